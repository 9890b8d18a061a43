"""The kernel at its edges: wrong answers, exits in the middle, names, contracts, many endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from klorpy import KlorError
from klorpy.conversations import (
    ANY,
    PUB,
    SUB,
    Absence,
    Add,
    Answer,
    Answered,
    Delete,
    Delivered,
    Endpoint,
    Exited,
    Feedback,
    Kernel,
    Kill,
    Message,
    Meta,
    Presence,
    Query,
    Quit,
    Replace,
    Role,
    Send,
    Spawn,
    Transition,
    Yield,
    nested_vm,
    observe_publishers,
    observe_subscribers,
    publisher,
    subscriber,
)  # fmt: skip


def listener(topic: Any, handler: Any = None, name: Any = "in", **handlers: Any) -> Add:
    return Add(Endpoint(name, subscriber(topic), on_message=handler, **handlers))


def texts(kernel: Kernel) -> list[str]:
    return [str(record) for record in kernel.take_log()]


def exits(kernel: Kernel) -> dict[str, Any]:
    return {str(r.process[-1]): r.reason for r in kernel.take_log() if isinstance(r, Exited)}


@pytest.mark.parametrize("rubbish", [42, "send", {"a": 1}, [Quit(), 3], (None, object)])
def test_a_handler_that_answers_rubbish_fails_its_process(rubbish: Any) -> None:
    kernel = Kernel(logging=True)
    kernel.start("A", [listener(("t",), lambda event, state: rubbish)])
    kernel.start("B", [Add(Endpoint("p", publisher(("t",)))), Send(("t",))])
    kernel.run()
    reason = exits(kernel)["A"]
    assert isinstance(reason, KlorError)
    assert reason.slug == "bad-action"
    assert kernel.find("B") is not None


def test_a_failing_handler_drops_its_change_and_its_actions_and_nothing_else() -> None:
    def count(event: Message, state: Any) -> Any:
        if event.body == ("t", "bad"):
            raise ValueError("no")
        return Transition((state or 0) + 1, Send(("seen", event.body[1])))

    kernel = Kernel(logging=True)
    a = kernel.start("A", [listener(("t", ANY), count)])
    kernel.start("B", [Add(Endpoint("watch", observe_publishers(("t", ANY))))])
    kernel.start("Z", [Send(("t", 1)), Send(("t", 2))])
    kernel.run()
    assert kernel.state_of(a) == 2
    kernel.start("Z", [Send(("t", "bad")), Send(("t", 3))])
    kernel.run()
    assert isinstance(exits(kernel)["A"], ValueError)
    assert kernel.state_of(a) is None


@pytest.mark.parametrize("make", [
    lambda: Endpoint("e", Role("up", ("t",))), lambda: Endpoint("e", Role(PUB, ("t",), "nosy")),
    lambda: Endpoint("e", ("t",)), lambda: Endpoint("e", subscriber("t"), on_message=3), lambda: Endpoint([], subscriber("t")),
])  # fmt: skip
def test_what_is_no_endpoint_is_refused_where_it_is_made(make: Any) -> None:
    with pytest.raises(KlorError) as caught:
        make()
    assert caught.value.slug == "bad-endpoint"
    assert caught.value.help


def test_actions_after_a_quit_are_dropped() -> None:
    kernel = Kernel(logging=True)
    kernel.start("W", [listener(("t", ANY))])
    kernel.start("A", [Send(("t", 1)), Quit("enough"), Send(("t", 2)), Spawn(lambda: Send(("t", 3)))])
    kernel.run()
    assert texts(kernel) == ['W/in ! #("t" 1)', 'A exit "enough"']


def test_an_endpoint_may_go_in_its_own_presence_handler() -> None:
    kernel = Kernel(logging=True)
    kernel.start("P", [Add(Endpoint("p", publisher(("t", 1)))), Add(Endpoint("q", publisher(("t", 2))))])
    kernel.start("A", [
        Add(Endpoint("in", subscriber(("t", ANY)), on_presence=lambda event, state: Delete("in", "seen one"))),
        listener("stay", name="stay"),
    ])  # fmt: skip
    kernel.run()
    heard = [r for r in kernel.take_log() if isinstance(r, Delivered) and str(r.process[0]) == "A"]
    # The burst is complete before its actions are performed, and the bracket is closed for each.
    assert [type(r.event) for r in heard] == [Presence, Presence, Absence, Absence]


def test_a_process_may_quit_in_the_middle_of_the_burst() -> None:
    kernel = Kernel(logging=True)
    for n in range(3):
        kernel.start(f"P{n}", [Add(Endpoint("p", publisher(("t", n))))])
    kernel.start(
        "A", [Add(Endpoint("in", subscriber(("t", ANY)), on_presence=lambda event, state: Quit("one is enough")))]
    )
    kernel.run()
    log = kernel.take_log()
    assert sum(isinstance(r, Delivered) and str(r.process[0]) == "A" for r in log) == 3
    assert [r.reason for r in log if isinstance(r, Exited)] == ["one is enough"]
    assert kernel.query(SUB, ANY) == ()


def test_names_belong_to_a_process_and_are_told_apart_by_type() -> None:
    kernel = Kernel(logging=True)
    for process in "AB":
        kernel.start(process, [listener(("t", process), name=name) for name in (1, True, 1.0, "1", (1,), (True,))])
    kernel.run()
    assert len(kernel.query(SUB, ANY)) == 12
    kernel.enqueue("A", Delete(True))
    kernel.run()
    assert [peer.name for peer, _ in kernel.query(SUB, ("t", "A"))] == [1, 1.0, "1", (1,), (True,)]


def test_the_youngest_of_a_name_is_meant() -> None:
    kernel = Kernel(logging=True)
    old = kernel.start("twin", [listener("t")])
    new = kernel.start("twin", [listener("t")])
    assert kernel.find("twin") == new
    kernel.start("K", [Kill("twin", "shot"), Kill("nobody"), Kill(new)])
    kernel.run()
    assert list(kernel.processes) == [old.number]


def test_a_continuation_comes_at_the_next_visit() -> None:
    seen = []

    def later(state: Any) -> Any:
        seen.append(state)
        return Transition("later", Send(("t", 2)))

    kernel = Kernel(logging=True)
    kernel.start("W", [listener(("t", ANY))])
    kernel.start("A", [Send(("t", 1)), Yield(later)], state="now")
    kernel.round()
    assert seen == []
    kernel.run()
    assert seen == ["now"]
    assert [text[:4] for text in texts(kernel)] == ["W/in", "W/in", "A ex"]


@pytest.mark.parametrize("handler", ["then", "failed"])
def test_the_parent_learns_how_a_spawn_went(handler: str) -> None:
    def broken() -> Any:
        raise OSError("no port")

    told: list[Any] = []
    keep = {handler: lambda value, state: told.append(value)}
    kernel = Kernel(logging=True)
    kernel.start("A", [Spawn(broken, "kid", **keep)])
    kernel.run()
    reason = exits(kernel)["kid"]
    assert isinstance(reason, OSError)
    assert told == [reason] if handler == "failed" else [str(pid) for pid in told] == ["kid"]


def test_a_boot_gives_state_and_actions() -> None:
    kernel = Kernel()
    kernel.start("A", [Spawn(lambda: Transition({"n": 1}, listener("t")), "kid")])
    kernel.run()
    assert kernel.state_of("kid") == {"n": 1}


def test_a_query_disturbs_nobody_and_answers_at_once() -> None:
    answers: list[Answer] = []
    kernel = Kernel(logging=True)
    kernel.start(
        "S", [Add(Endpoint("s", publisher(("channel", "shell")))), Add(Endpoint("o", observe_subscribers(ANY)))]
    )
    kernel.start(
        "Q",
        [Query(PUB, ("channel", ANY), lambda answer, state: answers.append(answer)), Query(PUB, ("channel", "x11"))],
    )
    kernel.run()
    assert [(str(peer), topic) for peer, topic in answers[0].found] == [("S/s", ("channel", "shell"))]
    assert texts(kernel) == ['Q ? pub #("channel" ANY): S/s', 'Q ? pub #("channel" "x11"): nobody', 'Q exit "gc"']


def test_handlers_are_exchanged_without_a_sound() -> None:
    kernel = Kernel(logging=True)
    kernel.start("P", [Add(Endpoint("p", publisher("t")))])
    kernel.start("A", [listener("t", lambda event, state: Transition("old"))])
    kernel.run()
    kernel.take_log()
    kernel.enqueue("A", listener("t", lambda event, state: Transition("new")))
    kernel.run()
    assert texts(kernel) == []
    kernel.enqueue("P", Send("t"))
    kernel.run()
    assert kernel.state_of("A") == "new"


def test_feedback_goes_upstream_and_replace_keeps_the_handlers() -> None:
    heard: list[Any] = []
    kernel = Kernel()
    kernel.start(
        "P", [Add(Endpoint("p", publisher(("t", 1)), on_message=lambda event, state: heard.append(event.body)))]
    )
    kernel.start("S", [Feedback(("t", 1)), Feedback(("t", 2))])
    kernel.enqueue("P", Replace("p", ("t", 2)))
    kernel.run()
    assert heard == [("t", 2)]


def test_a_kernel_that_never_gets_idle_can_be_stopped_between_rounds() -> None:
    def again(event: Message, state: int) -> Any:
        return Transition(state + 1, Send(("tick",)))

    kernel = Kernel()
    kernel.start("A", [listener(("tick",), again), Send(("tick",))], state=0)
    assert not kernel.run(rounds=100)
    assert kernel.state_of("A") == 100
    kernel.enqueue("A", Quit("stop"))
    assert kernel.run(rounds=2)
    assert kernel.processes == {}


def test_ten_thousand_endpoints() -> None:
    kernel = Kernel()
    heard: list[int] = []
    kernel.start(
        "all", [listener(("n", n), lambda event, state: heard.append(event.body[1]), name=n) for n in range(10_000)]
    )
    kernel.start("one", [Send(("n", 4242)), Send(("n", 10_000))])
    kernel.run()
    assert heard == [4242]
    kernel.enqueue("all", Quit())
    kernel.run()
    assert kernel.query(SUB, ANY) == ()
    assert kernel.processes == {}


def test_unhashable_payloads_and_unhashable_topics() -> None:
    heard: list[Any] = []
    kernel = Kernel()
    kernel.start("A", [
        *[listener(("t", n), name=n) for n in range(20)],
        listener(("t", ANY), lambda event, state: heard.append(event.body), name="any"),
        listener(("t", [1, 2]), lambda event, state: heard.append("exactly"), name="list"),
    ])  # fmt: skip
    kernel.start("B", [Send(("t", [1, 2])), Send(("t", {"a": 1}))])
    kernel.run()
    assert heard == [("t", [1, 2]), "exactly", ("t", {"a": 1})]


# --- Contracts --------------------------------------------------------------------------------------------------------


def test_a_message_against_the_contract_ends_who_sends_it() -> None:
    kernel = Kernel(logging=True, messages=lambda body: body[0] == "t")
    kernel.start("W", [listener(ANY)])
    kernel.start("A", [Send(("t", 1)), Send(("u", 1)), Send(("t", 2))])
    kernel.run()
    log = kernel.take_log()
    assert [r.event.body for r in log if isinstance(r, Delivered)] == [("t", 1), ("t", 2)]
    (end,) = [r for r in log if isinstance(r, Exited)]
    assert end.reason.slug == "message-contract"
    assert str(end.process[0]) == "A"


def test_a_state_against_the_invariant_is_never_taken() -> None:
    kernel = Kernel(logging=True)

    def boot() -> Transition:
        return Transition(0, listener(("t", ANY), lambda event, state: Transition(state + event.body[1])))

    kernel.start("W", [Spawn(boot, "A", invariant=lambda state: state < 3)])
    kernel.run()
    kernel.start("B", [Send(("t", 2)), Send(("t", 2))])
    kernel.run()
    reason = exits(kernel)["A"]
    assert reason.slug == "state-contract"
    assert "would be 4" in reason.message


def test_an_invariant_that_fails_at_birth() -> None:
    kernel = Kernel(logging=True)
    kernel.start("W", [Spawn(lambda: Transition(-1, listener("t")), "A", invariant=lambda state: state >= 0)])
    kernel.run()
    assert exits(kernel)["A"].slug == "state-contract"
    assert kernel.query(SUB, ANY) == ()


# --- VMs --------------------------------------------------------------------------------------------------------------


def test_a_vm_in_a_vm_in_a_vm() -> None:
    heard: list[Any] = []
    kernel = Kernel(logging=True)
    kernel.start("W", [listener(("up", ANY), lambda event, state: heard.append(event.body))])
    relay = [listener(("up", ANY), lambda event, state: Meta(Send(event.body)))]
    innermost = nested_vm([Send(("up", "lost")), Meta(Send(("up", 3)))], "c")
    kernel.start("boot", [nested_vm([*relay, nested_vm([*relay, innermost], "b")], "a")])
    kernel.run()
    assert heard == [("up", 3)]
    assert 'a/b/boot/in ! #("up" 3)' in texts(kernel)


def test_a_vm_that_is_killed_takes_all_with_it_and_runs_no_handler() -> None:
    ended: list[Any] = []
    kernel = Kernel(logging=True)
    kernel.start("T", [Add(Endpoint("s", subscriber(("svc", ANY))))])
    kernel.start("boot", [nested_vm([
        Meta(Add(Endpoint("m", publisher(("svc", 1)), on_absence=lambda event, state: ended.append(event)))), listener("t"),
    ], "vm")])  # fmt: skip
    kernel.run()
    assert len(kernel.query(PUB, ANY)) == 1
    kernel.enqueue("T", Kill("vm", "off"))
    kernel.run()
    assert ended == []
    assert texts(kernel)[-2:] == ['T/s - vm/boot^m pub #("svc" 1): "off"', 'vm exit "off"']


def test_what_an_action_at_the_meta_level_gives_comes_back() -> None:
    told: list[Any] = []
    kernel = Kernel(logging=True)
    kernel.start("S", [Add(Endpoint("s", publisher("svc")))])
    kernel.start("boot", [nested_vm([
        Meta(Spawn(lambda: listener("outer"), "sibling", then=lambda pid, state: told.append(str(pid)))),
        Meta(Query(PUB, "svc", lambda answer, state: told.append([str(peer) for peer, _ in answer.found]))),
        Meta(Yield(lambda state: told.append("later"))),
    ], "vm")])  # fmt: skip
    kernel.run()
    assert told == ["sibling", ["S/s"], "later"]
    assert [str(process.pid) for process in kernel.processes.values()] == ["S", "sibling"]


def test_meta_names_follow_the_rules_of_names() -> None:
    kernel = Kernel(logging=True)
    kernel.start("T", [Add(Endpoint("s", subscriber(("svc", ANY))))])
    stay = Meta(Add(Endpoint("stay", publisher("stay"))))
    kernel.start("boot", [nested_vm([stay, Meta(Add(Endpoint("m", publisher(("svc", 1)))))], "vm")])
    kernel.run()
    inner: Kernel = kernel.state_of("vm")
    kernel.take_log()

    def act(*actions: Any) -> list[str]:
        inner.enqueue("boot", actions)
        kernel.enqueue("vm", inner.turn())
        kernel.run()
        return texts(kernel)

    assert act(Meta(Add(Endpoint("m", publisher(("svc", 1)))))) == []
    assert [text[:17] for text in act(Meta(Replace("m", ("svc", 2))))] == [
        "T/s + vm/boot^m p", "vm/boot/^m + T/s ", "T/s - vm/boot^m p", "vm/boot/^m - T/s ",
    ]  # fmt: skip
    assert [text[:17] for text in act(Meta(Delete("m")), Meta(Delete("m")))] == ["T/s - vm/boot^m p"]
    act(Meta(Add(Endpoint("m", publisher(("svc", 1))))))
    assert 'vm/boot exit #("role-mismatch" "m")' in act(Meta(Add(Endpoint("m", subscriber(("svc", 1))))))


def test_too_far_out_is_a_failure_of_the_process() -> None:
    kernel = Kernel(logging=True)
    kernel.start("boot", [nested_vm([Meta(Meta(Add(Endpoint("m", publisher("svc")))))], "vm")])
    kernel.run()
    (reason,) = [r.reason for r in kernel.take_log() if isinstance(r, Exited) and str(r).startswith("vm/boot")]
    assert reason.slug == "bad-action"


def test_when_the_younger_of_two_of_a_name_ends_the_older_one_is_found() -> None:
    kernel = Kernel()
    older, younger = [kernel.start("kid", Add(Endpoint("in", subscriber("stay")))) for _ in range(2)]
    kernel.run()
    twin = kernel.copy()
    for each in (kernel, twin):
        assert each.find("kid") == younger
        each.enqueue("kid", Quit())
        each.run()
        assert each.find("kid") == older
        each.enqueue("kid", Quit())
        each.run()
        assert each.find("kid") is None


def test_what_a_vm_asks_itself_is_logged_and_what_it_asks_for_others_once() -> None:
    kernel = Kernel(logging=True)
    kernel.start("shop", Add(Endpoint("out", publisher(("price", ANY)))))
    inner = [Add(Endpoint("stay", subscriber("stay"))), Meta(Query(PUB, ("price", ANY), None))]
    kernel.start("boot", nested_vm(inner, name="vm"))
    kernel.run()
    asked = [record.process for record in kernel.take_log() if isinstance(record, Answered)]
    assert [[str(pid) for pid in process] for process in asked] == [["vm", "boot"]]
    kernel.start("other", nested_vm([Meta(Add(Endpoint("stay", subscriber("stay"))))], name="vm"))
    kernel.run()
    kernel.enqueue("vm", Query(PUB, ("price", ANY), None))
    kernel.run()
    asked = [record.process for record in kernel.take_log() if isinstance(record, Answered)]
    assert [[str(pid) for pid in process] for process in asked] == [["vm"]]
