"""Mermaid: every line is one that Mermaid's grammar knows, whatever the texts are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klorpy.core.values import show
from klorpy.environment.diagrams import chart, role_graph
from klorpy.environment.diagrams.measure import plain
from klorpy.environment.diagrams.mermaid import escape
from klorpy.simulator import Simulation
from tests.environment.diagrams.nasty import nasty, relaxed, simulations
from tests.environment.diagrams.runs import RUNS

#: A text after a colon or "as": letters, the signs that mean nothing, and numbers of characters.
SAFE = r"(?:[^\W_]|[ .,()\[\]_\-+*/=!?']|[^\x00-\x7f]|#\d+;)+"
LINES = (
    "sequenceDiagram", rf"accTitle: {SAFE}", rf"participant r\d+ as {SAFE}", rf"r\d+(?:->>|-x)r\d+: {SAFE}",
    rf"Note over r\d+(?:,r\d+)?: {SAFE}", r"rect rgba\(128, 128, 128, 0\.12\)", "end",
)  # fmt: skip
GRAPH_LINES = ("graph LR", rf"accTitle: {SAFE}", rf'r\d+\(\["{SAFE}"\]\)', rf'r\d+ (?:-->|-\.->|-\.-)\|"{SAFE}"\| r\d+')


@relaxed
@given(simulations())
def test_every_line_is_known(simulation: Simulation) -> None:
    for text, known in ((chart(simulation).mermaid(), LINES), (role_graph(simulation).mermaid(), GRAPH_LINES)):
        assert text.endswith("\n")
        for line in text[:-1].split("\n"):
            assert any(re.fullmatch(pattern, line.strip()) for pattern in known), line


@relaxed
@given(simulations())
def test_every_message_is_there_in_order(simulation: Simulation) -> None:
    roles = simulation.choreography.roles
    arrows = re.findall(r"^ *r(\d+)(->>|-x)r(\d+): ", chart(simulation).mermaid(), re.MULTILINE)
    assert [(roles[int(a)], roles[int(b)], arrow) for a, arrow, b in arrows] == [
        (m.source, m.target, arrow) for some, arrow in ((simulation.messages, "->>"), (simulation.unread, "-x")) for m in some
    ]  # fmt: skip


def decoded(text: str) -> str:
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), text)


@relaxed
@given(nasty | st.text())
def test_escaped_texts_say_the_same(text: str) -> None:
    shown = plain(text)
    assert decoded(escape(shown, 5000)) == (shown.strip() or "\xa0")


@pytest.mark.parametrize("word", ["end", "END", "style", "classDef", "restyle", "subgraph", "end end"])
def test_words_of_mermaids_are_hidden(word: str) -> None:
    assert not re.search(r"\bend\b|style|classdef|subgraph", escape(word), re.IGNORECASE)


@pytest.mark.parametrize("text", ["a;b", "a#b", "%%{init}", "a:b", "<br/>", "$$x$$", '"', "`", "{", "|", "\\n", "&amp;"])
def test_signs_of_mermaids_are_hidden(text: str) -> None:
    assert re.fullmatch(SAFE, escape(text))
    assert not set(re.sub(r"#\d+;", "", escape(text))) & set(";#%:<>$\"`{}|\\&")


def test_long_texts_are_shortened() -> None:
    assert decoded(escape("x" * 100)) == "x" * 59 + "…"


@pytest.mark.parametrize("name", RUNS)
def test_values_are_there(name: str) -> None:
    simulation = RUNS[name]()
    text = decoded(chart(simulation).mermaid())
    for message in simulation.messages[:50]:
        assert plain(show(message.value))[:40] in text
