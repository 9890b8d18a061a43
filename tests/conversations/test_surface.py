"""The surface in Hy: the macros say what the functions say."""

from __future__ import annotations

from typing import Any

import hy
import pytest

from klorpy import KlorError, evaluate
from klorpy.conversations import (
    ANY,
    Interest,
    Kernel,
    Population,
    Role,
    everything,
    observer,
    publisher,
    quit,
    ready,
    role,
    subscriber,
    transition,
)  # fmt: skip
from klorpy.conversations.contracts import fits, one_of

HEAD = """
(require klorpy.stdlib.conversations *)
(import klorpy.conversations [publisher subscriber observer transition send feedback quit at-meta-level delete ANY
                              VirtualClock]
        klorpy.conversations.drivers [timer-driver SetTimer TimerExpired])
"""


def hy_value(text: str) -> Any:
    return evaluate(f"{HEAD}\n(setv value {text})").value


def run(*programs: Any) -> list[str]:
    kernel = Kernel(logging=True)
    for number, program in enumerate(programs):
        kernel.start(f"p{number}", program)
    kernel.run()
    return [str(record) for record in kernel.take_log()]


def test_a_role_with_clauses() -> None:
    counter = hy_value("""
      (spawn :name "counter"
        (transition 0
          (role "in" (subscriber #("count" _))
            [#("count" "stop") (quit state)]
            [#("count" (| 1 2)) (transition (+ state 1) (send #("small" state)))]
            [#("count" n)
              (setv twice (* 2 n))
              [(send #("large" twice)) None]])))""")
    kernel = Kernel(logging=True)
    kernel.start("boot", counter)
    kernel.run()
    kernel.start(
        "out",
        hy_value('[(role "out" (subscriber _))  (send #("count" 1)) (send #("count" 5)) (send #("count" "stop"))]'),
    )
    kernel.run()
    bodies = [record.event.body for record in kernel.take_log() if getattr(record, "name", "") == "out"]
    assert bodies == [("count", 1), ("count", 5), ("count", "stop"), ("small", 0), ("large", 10)]
    assert kernel.find("counter") is None


def test_presence_and_absence_bind_what_they_are_about() -> None:
    watch = hy_value("""
      [(role "watch" (observer (publisher #("chat" _)))
         :on-presence (send #("arrived" (get conversation 1)))
         :on-absence (send #("left" (get conversation 1) reason)))
       (role "spy" (subscriber #("left" _ _)))]""")
    ann = hy_value('[(role "me" (publisher #("chat" "ann"))) (quit "tired")]')
    log = run(watch, ann)
    assert 'p0/spy ! #("left" "ann" "tired")' in log


def test_wildcards_are_those_of_the_role_only() -> None:
    made = hy_value('(role "e" (publisher #("a" _ #("b" _) [_])) :on-presence (do (setv _ 1) None))')
    assert made.endpoint.role.topic == ("a", ANY, ("b", ANY), [ANY])
    assert hy_value('(topic #("a" _))') == ("a", ANY)


def test_a_ground_program_in_hy() -> None:
    ground = hy_value("""
      (ground-vm :clock (VirtualClock)
        (timer-driver)
        (nested-vm :name "inner" (role "stay" (subscriber "never")) (at-meta-level (send #("hello"))))
        (role "tea" (subscriber (TimerExpired "tea" _)) [(TimerExpired _ now) (quit now)])
        (send (SetTimer "tea" 180)))""")
    assert ground.clock.now() == 180


@pytest.mark.parametrize("form", [
    '(role "e" (subscriber "t") :on-message 1)', '(role "e" (subscriber "t") [x])', '(role "e" (subscriber "t") x)',
    "(spawn :who 1 2)", "(nested-vm :name)", '(role "e" (subscriber "t") :on-presence 1 :on-presence 2)',
])  # fmt: skip
def test_wrong_forms_say_how_to_write_them(form: str) -> None:
    with pytest.raises((KlorError, hy.errors.HyError)) as caught:
        hy_value(form)
    assert "write (" in "".join(getattr(caught.value, "__notes__", [])) + str(caught.value)


def test_observers_name_the_role_that_they_watch() -> None:
    assert observer(publisher("t")) == Role(subscriber("t").orientation, "t", Interest.OBSERVER)
    assert everything(subscriber("t")) == Role(publisher("t").orientation, "t", Interest.EVERYTHING)


@pytest.mark.parametrize(("shape", "value", "expected"), [
    (ANY, object(), True), (int, 1, True), (int, True, False), (bool, True, True), (("a", str), ("a", "b"), True),
    (("a", str), ["a", "b"], False), (lambda n: n > 3, 4, True), (lambda n: n > 3, 3, False), (1, 1.0, False), (None, None, True),
])  # fmt: skip
def test_shapes(shape: Any, value: Any, expected: bool) -> None:
    assert fits(shape, value) is expected
    assert one_of(shape, ("never",))(value) is expected


def test_a_population_tells_the_first_and_the_last() -> None:
    edges: list[str] = []

    def counted(event: Any, before: Population) -> Any:
        after = before.after(event)
        edges.append("rise" if after.arose(before) else "fall" if after.fell(before) else str(len(after)))
        return transition(after)

    kernel = Kernel()
    kernel.start("watch", role("w", observer(publisher(("svc", ANY))), counted, counted), Population())
    pids = [kernel.start("p", [role("a", publisher(("svc", n))), role("b", publisher(("svc", ANY)))]) for n in range(2)]
    kernel.run()
    for pid in pids:
        kernel.enqueue(pid, quit())
    kernel.run()
    assert edges == ["rise", "2", "3", "4", "3", "2", "1", "fall"]


def test_ready_tells_how_many_are_there() -> None:
    told: list[Any] = []

    def present(event: Any, state: Any) -> None:
        told.append("+")

    kernel = Kernel()
    for n in range(3):
        kernel.start("p", role("me", publisher(("svc", n))))
    kernel.start("w", ready(role("w", subscriber(("svc", ANY)), present), lambda count, state: told.append(count)))
    kernel.run()
    assert told == ["+", "+", "+", 3]
