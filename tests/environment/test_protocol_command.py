"""`klorpy protocol`."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

import klorpy
from klorpy.behaviour.listing import listing
from klorpy.environment.cli import main
from klorpy.environment.diagrams.automata import automata

TEXT = """(require klorpy *)
(defprotocol Ask [C S] (-> C S int) (branch S C (yes (-> S C str)) (no)))
(defprotocol Other [C S] (-> C S int))
(defchor ask [C S] (-> C C) [x]
  (do (C->S x) (if (S=>C (S (f))) (S->C (S 1)) (C None))))
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "ask.hy"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def test_the_protocol_and_each_role(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["protocol", file, "ask"]) == 0
    out = capsys.readouterr().out
    assert "(branch S C (true (-> S C any)) (false end))" in out
    assert "C  S!<any>; S&{" in out


def test_scribble(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["protocol", file, "ask", "--scribble"]) == 0
    out = capsys.readouterr().out
    assert "global protocol ask(role C, role S) {" in out
    assert "choice at S {" in out
    assert "true() from S to C;" in out


def test_keeps_to(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["protocol", file, "ask", "--keeps-to", "Ask"]) == 0
    assert capsys.readouterr().out == "ask keeps to Ask\n"
    assert main(["protocol", file, "ask", "--keeps-to", "Other"]) == 1
    assert "where Other has ended" in capsys.readouterr().err
    assert main(["protocol", file, "ask", "--keeps-to", "Nothing"]) == 1
    assert "undefined-protocol" in capsys.readouterr().err


def test_a_picture_of_the_automata(file: str, tmp_path: Path) -> None:
    path = tmp_path / "ask.svg"
    assert main(["protocol", file, "ask", "--output", str(path)]) == 0
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"C", "S", "S!<any>", "S?true()", "0"} <= set(texts)
    width, height = (float(root.get(side, "0")) for side in ("width", "height"))
    for element in root.iter():
        if element.tag.endswith("text"):
            assert 0 <= float(element.get("x", "0")) <= width
            assert 0 <= float(element.get("y", "0")) <= height


def test_a_role_that_is_not_told_has_no_automaton() -> None:
    told = klorpy.protocol("(defprotocol P [A B C] (branch A B (x (-> C B int)) (y)))")
    picture = automata(told)
    assert "C is not told" in picture.text() or "C" in picture.text()
    assert isinstance(picture.parts["C"], str)
    ElementTree.fromstring(picture.svg())
    assert "stateDiagram" in picture.mermaid()


def test_a_listing_reads_back() -> None:
    text = (
        "(defprotocol Long [A B C] (mu t (choice A [(-> A B (first int)) (-> B C (a-long-label and-its sort)) t] "
        '[(-> A B (second)) (branch C A ("two words" (-> A B int) (-> B A int) (-> A B int)) (stop))])))'
    )
    protocol = klorpy.protocol(text)
    shown = listing(protocol)
    assert len(shown.splitlines()) > 5
    assert klorpy.protocol(shown) == protocol
