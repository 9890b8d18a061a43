"""Programs with what must come of them: verdict, slug, signature, results, messages of each channel, outputs.

`vectors/klor.json` holds facts obtained by running Klor, the Clojure system whose language this is, and klorpy's own
expectation where the two differ (`differs_from_klor`).
"""

from __future__ import annotations

import json
import threading
import warnings
from pathlib import Path
from typing import Any

import anyio
import hy
import pytest

import klorpy

CASES = json.loads((Path(__file__).parent / "vectors" / "klor.json").read_text())["cases"]

#: Klor shows the values of a violated agreement in the order of a hash set; klorpy in the order of the roles.
ROLE_ORDER = {"verify-decentral-4-violated": "Values of an agreement differ: x, [7 7 7 8]"}


#: Which form is refused, where the vectors do not say it.
GUILTY = {"inst-inline-unknown-role": 1}


def decoded(value: Any) -> Any:
    """A value of the vectors as Python's."""
    if isinstance(value, dict):
        if "$kw" in value:
            return hy.models.Keyword(value["$kw"])
        if "$set" in value:
            return {decoded(item) for item in value["$set"]}
        if "$sym" in value:
            return hy.models.Symbol(value["$sym"])
        return {key: decoded(item) for key, item in value.items()}
    return [decoded(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """A value as the vectors write it: tuples as lists, functions as "$fn"."""
    if value is klorpy.noop:
        return "noop"
    if callable(value) and not isinstance(value, hy.models.Object):
        return "$fn"
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_vector(case: dict[str, Any]) -> None:
    expect, call = case["expect"], case.get("call")
    before = klorpy.alter_opts(case.get("opts", {}))
    try:
        namespace = evaluated(case, expect)
    finally:
        klorpy.alter_opts(before)
    check_signatures(namespace, case, expect)
    if call is None:
        return
    if call["kind"] == "eval":
        check_returned_choreography(namespace, expect)
        return
    chor = getattr(namespace, hy.mangle(call["chor"]))
    args = [decoded(arg) for arg in call.get("args", [])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        if "call_slug" in expect:
            with pytest.raises(klorpy.KlorError) as caught:
                if call["kind"] == "simulate":
                    klorpy.simulate_chor(chor, *args)
                else:
                    klorpy.run_role(call["config"], chor, *args)
            assert caught.value.slug == expect["call_slug"]
        elif call["kind"] == "simulate":
            check_simulation(klorpy.simulate_chor(chor, *args, check=False, sanitize=False), case["id"], expect)
        elif call["kind"] == "play-all":
            check_play(chor, call["per_role"], case["id"], expect)
        else:
            check_play_role(chor, call["config"], args, expect)


def evaluated(case: dict[str, Any], expect: dict[str, Any]) -> Any:
    """The namespace after all forms; a form that is to be refused is the last that is evaluated."""
    namespace = klorpy.evaluate("", name="vector")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        forms = list(hy.read_many(case["hy"]))
        texts = [case["hy"]] if len(forms) < 2 else top_level(case["hy"])
        guilty = expect.get("error_form_index", GUILTY.get(case["id"], 0))
        for i, text in enumerate(texts):
            if not expect["accept"] and i == guilty:
                with pytest.raises(klorpy.KlorError) as caught:
                    klorpy.evaluate(text, module=namespace)
                assert caught.value.slug == expect["slug"], caught.value.render()
                assert caught.value.span is not None
                assert caught.value.help
                break
            klorpy.evaluate(text, module=namespace)
    return namespace


def top_level(text: str) -> list[str]:
    """The texts of the top-level forms: each starts at the beginning of a line."""
    parts: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("(") or not parts:
            parts.append(line)
        else:
            parts[-1] += line
    return parts


def check_signatures(namespace: Any, case: dict[str, Any], expect: dict[str, Any]) -> None:
    wanted = dict(expect.get("signatures", {}))
    if "signature" in expect and "signatures" not in expect:
        chors = [v for v in vars(namespace).values() if isinstance(v, klorpy.Choreography)]
        name = case["call"]["chor"] if case.get("call") and "chor" in case["call"] else chors[-1].name
        wanted[name] = expect["signature"]
    for name, signature in wanted.items():
        assert klorpy.signature(getattr(namespace, hy.mangle(name))) == signature


def check_error(error: BaseException, text: str, id: str) -> None:
    text = ROLE_ORDER.get(id, text)
    if text.startswith("Signature of"):
        assert "was (forall" in str(error)
        assert [line.strip().rstrip(",;") for line in text.splitlines()[1:3]] == [
            " ".join(line.split()).rstrip(",;") for line in str(error).splitlines()[1:3]
        ]
    else:
        assert str(error) == text


def check_outcome(role: str, want: Any, results: dict[str, Any], failures: dict[str, BaseException], id: str) -> None:
    if isinstance(want, dict) and "$error" in want:
        check_error(failures[role], want["$error"], id)
    elif isinstance(want, dict) and "$blocked" in want:
        assert role not in results
        assert role not in failures
    else:
        assert plain(results[role]) == plain(decoded(want))


def check_simulation(simulation: klorpy.Simulation, id: str, expect: dict[str, Any]) -> None:
    for role, want in expect["results"].items():
        check_outcome(role, want, simulation.results, simulation.failures, id)
    if simulation.verdict is None:
        assert simulation.results.keys() == expect["results"].keys()
    messages: dict[str, list[Any]] = {}
    for message in simulation.messages:
        messages.setdefault(f"{message.source}->{message.target}", []).append(plain(message.value))
    assert messages == {channel: plain(decoded(values)) for channel, values in expect["messages"].items()}
    for role, lines in expect.get("outputs", {}).items():
        assert simulation.outputs[role].splitlines() == lines


class Recorded:
    """A transport that notes what it receives."""

    def __init__(self, transport: klorpy.Transport, role: str, messages: dict[str, list[Any]]) -> None:
        self.transport, self.role, self.messages = transport, role, messages

    async def send(self, target: str, value: Any, site: Any) -> None:
        await self.transport.send(target, value, site)

    async def receive(self, source: str, site: Any) -> Any:
        value = await self.transport.receive(source, site)
        self.messages.setdefault(f"{source}->{self.role}", []).append(plain(value))
        return value

    async def close(self) -> None:
        await self.transport.close()


def check_play(chor: klorpy.Choreography, per_role: dict[str, list[Any]], id: str, expect: dict[str, Any]) -> None:
    messages: dict[str, list[Any]] = {}
    results: dict[str, Any] = {}
    failures: dict[str, BaseException] = {}

    async def play(network: klorpy.MemoryNetwork, role: str) -> None:
        transport = Recorded(network.endpoint(role), role, messages)
        try:
            results[role] = await klorpy.play_role(
                {"role": role, "transport": transport}, chor, *decoded(per_role[role])
            )
        except klorpy.KlorError as error:
            failures[role] = error

    async def everyone() -> None:
        network = klorpy.MemoryNetwork(chor.roles)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for role in chor.roles:
                    group.start_soon(play, network, role)
        for role in chor.roles:
            await network.endpoint(role).close()

    anyio.run(everyone)
    for role, want in expect["results"].items():
        check_outcome(role, want, results, failures, id)
    assert messages == {channel: plain(decoded(values)) for channel, values in expect["messages"].items()}


def check_play_role(
    chor: klorpy.Choreography, config: dict[str, Any], args: list[Any], expect: dict[str, Any]
) -> None:
    functions = {"send": lambda to, value: "anything", "recv": lambda source: 42}
    given = {key: functions.get(key, value) for key, value in config.items()}
    assert klorpy.run_role(given, chor, *args) == expect["play_result"]


def check_returned_choreography(namespace: Any, expect: dict[str, Any]) -> None:
    simulation = klorpy.simulate_chor(namespace.mk)
    results: dict[str, Any] = {}
    other = threading.Thread(target=lambda: results.update(B=simulation["B"]()))
    other.start()
    results["A"] = simulation["A"](5)
    other.join(10)
    assert [plain(results["A"]), results["B"]] == expect["eval_result"]
