"""What the kernel guarantees, on random scripts. Each test is named after what it checks."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from klorpy.conversations import (
    NOTHING,
    Absence,
    Add,
    Endpoint,
    Kernel,
    Presence,
    Quit,
    Send,
    intersect,
    publisher,
    subscriber,
)  # fmt: skip
from klorpy.conversations.actions import visible
from klorpy.conversations.log import Delivered, Exited, Record
from klorpy.testing.conversation_vectors import Script, reason_term, record_json
from tests.conversations import scripts

EXAMPLES = scripts.examples(120)


def play(vector: dict[str, Any]) -> tuple[Script, list[Record]]:
    """Run a script; what is still on hold at the end is run, too."""
    script = Script(vector["programs"])
    records: list[Record] = []
    for step in vector["script"]:
        script.step({**step, "hold": True})
        if not step.get("hold"):
            script.kernel.run()
            records += script.kernel.take_log()
    script.kernel.run()
    return script, records + script.kernel.take_log()


def told(records: list[Record]) -> dict[Any, list[Presence | Absence]]:
    """Presences and absences by who was told, about whom, and on what topic."""
    found: dict[Any, list[Presence | Absence]] = defaultdict(list)
    for record in records:
        if isinstance(record, Delivered) and isinstance(record.event, (Presence, Absence)):
            event = record.event
            found[record.process, record.name, event.peer, repr(event.role.topic)].append(event)
    return found


@given(scripts.vectors())
@EXAMPLES
def test_bracket(vector: dict[str, Any]) -> None:
    """Presence and absence alternate, presence first; what is open at the end is what can be seen in the tables."""
    script, records = play(vector)
    brackets = told(records)
    for events in brackets.values():
        assert all(isinstance(event, Absence if n % 2 else Presence) for n, event in enumerate(events))
    living = set(script.kernel.processes)
    opened = {
        key for key, events in brackets.items() if len(events) % 2 and key[0][0].number in living
    }  # fmt: skip
    entries = [entry for process in script.kernel.processes.values() for entry in process.endpoints.values()]
    expected = {
        ((local.process.pid,), local.endpoint.name, remote.peer, repr(common))
        for local in entries
        for remote in entries
        if local.role.orientation is not remote.role.orientation
        and visible(remote.interest, local.interest)
        and (common := intersect(local.topic, remote.topic)) is not NOTHING
    }
    assert opened == expected


@given(scripts.vectors())
@EXAMPLES
def test_determinism(vector: dict[str, Any]) -> None:
    first, again = play(vector)[1], play(vector)[1]
    assert [record_json(r) for r in first] == [record_json(r) for r in again]


@given(scripts.vectors(), st.integers(0, 6), st.integers(0, 3))
@EXAMPLES
def test_resume(vector: dict[str, Any], place: int, rounds: int) -> None:
    """A copy that is made in the middle, even between two rounds, goes on as the original does, and neither sees the other."""
    script = Script(vector["programs"])
    for step in vector["script"][:place]:
        script.step({**step, "hold": True})
        script.kernel.run(rounds)
    twin = Script(vector["programs"])
    twin.kernel = script.kernel.copy()
    logs = []
    for each in (script, twin):
        for step in vector["script"][place:]:
            each.step({**step, "hold": True})
            each.kernel.run()
        each.kernel.run()
        logs.append([record_json(record) for record in each.kernel.take_log()])
    assert json.dumps(logs[0]) == json.dumps(logs[1])


@given(scripts.vectors())
@EXAMPLES
def test_tombstone(vector: dict[str, Any]) -> None:
    """Nothing is delivered to a process after its end, and one that failed has no event between that and its end."""
    _, records = play(vector)
    gone = set()
    for record in records:
        assert record.process not in gone
        if isinstance(record, Exited):
            gone.add(record.process)


@given(scripts.vectors())
@EXAMPLES
def test_reason(vector: dict[str, Any]) -> None:
    """Absences right before the end of a process that are caused by it carry the reason of its end."""
    _, records = play(vector)
    for place, record in enumerate(records):
        if not isinstance(record, Exited):
            continue
        before = place - 1
        while before >= 0:
            event = records[before]
            if not isinstance(event, Delivered) or not isinstance(event.event, Absence):
                break
            if event.event.peer.process != record.process[-1]:
                break
            # A deletion just before has a reason of its own.
            if event.event.reason not in ("bye", None, "replaced"):
                assert reason_term(event.event.reason) == reason_term(record.reason)
            before -= 1


ADDS = st.lists(
    st.tuples(st.sampled_from(scripts.ORIENTATIONS), scripts.topics, st.sampled_from(scripts.INTERESTS)),
    min_size=1,
    max_size=4,
)


@given(ADDS, st.data())
@EXAMPLES
def test_confluence(roles: list[Any], data: Any) -> None:
    """Whoever comes first: processes that only add endpoints end up knowing the same."""
    joins = [{"p": name, "do": [["add", "e", *role]]} for name, role in zip("ABCD", roles, strict=False)]
    results = set()
    for order in permutations(joins):
        hold = data.draw(st.booleans())
        _, records = play({"programs": {}, "script": [{**step, "hold": hold} for step in order]})
        results.add(frozenset(
            (str(process[0]), name, str(peer.process), topic)
            for (process, name, peer, topic), events in told(records).items() if len(events) % 2
        ))  # fmt: skip
    assert len(results) == 1


@given(ADDS, st.lists(scripts.topics, min_size=1, max_size=3))
@EXAMPLES
def test_replace(roles: list[Any], topics: list[Any]) -> None:
    """Of one replacement, each pair hears of a presence, of an absence, or of a presence and then an absence."""
    script = Script({})
    for name, role in zip("ABCD", roles, strict=False):
        script.step({"p": name, "do": [["add", "e", *role]]})
    for topic in topics:
        events = script.step({"p": "A", "do": [["replace", "e", topic]]})
        assert events is not None
        pairs: dict[Any, str] = defaultdict(str)
        for event in events:
            pairs[event[0], event[1], event[-1]] += event[2]
        assert set(pairs.values()) <= {"+", "-", "+-"}


@given(scripts.vectors())
@EXAMPLES
def test_isolation(vector: dict[str, Any]) -> None:
    """Processes whose topics meet nobody else's change no line of the log."""
    topic = ["elsewhere", 1, 2, 3, 4]
    loners = [{"p": f"X{n}", "do": [["add", "e", o, topic, "participant"], ["send", topic]]}
              for n, o in enumerate(["pub", "sub", "pub"])]  # fmt: skip
    # A topic that is nothing but a wildcard meets theirs.
    calm = json.loads(re.sub(r'("pub"|"sub"|"replace", "[efg]"), "_"', r'\1, ["t", "_"]', json.dumps(vector)))

    def log(script: list[Any]) -> list[Any]:
        events = [record_json(record) for record in play({**calm, "script": script})[1]]
        return [event for event in events if not event[0].startswith("X")]

    assert log(calm["script"]) == log([*loners, *calm["script"]])


@given(scripts.vectors(size=3))
@EXAMPLES
def test_nesting(vector: dict[str, Any]) -> None:
    """A program has the same log at ground and in a VM, and in a VM of a VM, but for the names."""
    start = [["spawn", f"p{n}", {"as": step["p"]}] for n, step in enumerate(vector["script"])]
    programs = {**vector["programs"], **{f"p{n}": {"init": step["do"]} for n, step in enumerate(vector["script"])}}

    def log(step: dict[str, Any], depth: int) -> list[Any]:
        _, records = play({"programs": programs, "script": [step]})
        found = []
        for record in records:
            if len(record.process) > depth:
                # Names at the level of the program.
                shorn = record_json(record)
                shorn[0] = str(record.process[-1])
                text = json.dumps(shorn)
                found.append(text.replace("vm/", "").replace("outer/", ""))
        return found

    flat = log({"p": "boot", "do": start}, 0)
    assert log({"vm": "vm", "do": start}, 1) == flat
    assert log({"p": "start", "do": [["vm", "outer", [["vm", "vm", start]]]]}, 2) == flat


@given(scripts.vectors(crashes=False, exits=False))
@EXAMPLES
def test_fifo(vector: dict[str, Any]) -> None:
    """What a process sends reaches another one in order, after its presence and before its absence."""
    numbers = iter(range(10_000))
    script = []
    for step in vector["script"]:
        script.append(step)
        script.append({"p": step["p"], "do": [["send", ["n", [next(numbers), step["p"]]]]]})
    listener = {"p": "Z", "do": [["add", "z", "sub", ["n", ["_", "_"]], "observer"]]}
    _, records = play({"programs": vector["programs"], "script": [listener, *script]})
    heard: dict[str, list[int]] = defaultdict(list)
    for record in records:
        if isinstance(record, Delivered) and record.name == "z" and not isinstance(record.event, (Presence, Absence)):
            number, sender = record.event.body[1]
            if isinstance(sender, str):
                heard[sender].append(number)
    assert heard
    for order in heard.values():
        assert order == sorted(order)


def test_presence_first_and_absence_last() -> None:
    """One batch: a publisher that comes, speaks and goes is seen, heard and missed, in that order."""
    kernel = Kernel(logging=True)
    kernel.start("R", [Add(Endpoint("in", subscriber(("t", 1))))])
    kernel.start("S", [Add(Endpoint("out", publisher(("t", 1)))), Send(("t", 1)), Quit("done")])
    kernel.run()
    heard = [type(r.event).__name__ for r in kernel.take_log() if isinstance(r, Delivered) and str(r.process[0]) == "R"]
    assert heard == ["Presence", "Message", "Absence"]
