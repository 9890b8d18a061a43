"""What holds of every generated choreography, as functions that raise AssertionError where it does not.

Each law takes a program (or a text) and says in its docstring which theorem it tests. A message says what differs; the
caller knows the seed.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import random
import traceback
import types
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import anyio
import hy

import klorpy
from klorpy.core import types as k
from klorpy.language.compiler import recompile
from klorpy.testing.central import Outcome, canonical, erased, evaluate
from klorpy.testing.kinds import HOST
from klorpy.testing.terms import Agr, Arr, Program, Region, Role, Tup, Ty, show

#: The file name under which generated texts are compiled.
FILENAME: Final = "<generated>"
#: Seconds that a program may run. Generated ones are done in milliseconds; mutated ones may repeat for ever.
PATIENCE: Final = 30.0
_KLORPY: Final = str(Path(klorpy.__file__).parent)


def namespace(text: str) -> types.ModuleType:
    """Evaluate a text in a module that has what generated programs use."""
    module = klorpy.evaluate("", name="generated", filename=FILENAME)
    vars(module).update(HOST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        return klorpy.evaluate(text, module=module, filename=FILENAME)


def compiled(program: Program) -> types.ModuleType:
    try:
        return namespace(program.text)
    except klorpy.KlorError as error:
        raise AssertionError(f"a well-typed program is refused: {error.render()}") from error


def simulated(module: types.ModuleType, program: Program, seed: int) -> klorpy.Simulation:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        try:
            return klorpy.simulate_chor(
                module.main, *copy.deepcopy(program.args), seed=seed, sanitize=True, timeout=PATIENCE
            )
        except klorpy.ChoreographyFailed as failed:
            raise AssertionError(f"under seed {seed}: {failed.render()}") from failed


# --- Runs -------------------------------------------------------------------------------------------------------------


def agrees(program: Program, seeds: tuple[int, ...] = (0, 1)) -> None:
    """No deadlock, no mismatch, and every role computes what the centralised reading computes, in several schedules."""
    module = compiled(program)
    want = evaluate(program)
    for seed in seeds:
        simulation = simulated(module, program, seed)
        _compare(program, want, simulation.results, channels_of(simulation.messages), f"under seed {seed}")
        outputs = {role: text.splitlines() for role, text in simulation.outputs.items()}
        _same(outputs, want.outputs, f"outputs under seed {seed}")


def inlines(program: Program, seeds: tuple[int, ...] = (0, 1)) -> None:
    """A scope that nobody updates does what its body does in its place, and each entry tells all others of one version."""
    module = compiled(program)
    want = evaluate(program)
    for seed in seeds:
        simulation = simulated(module, program, seed)
        entries = list(filter(_of_a_scope, simulation.messages))
        channels = channels_of(message for message in simulation.messages if not _of_a_scope(message))
        _compare(program, want, simulation.results, channels, f"under seed {seed}")
        _same({role: text.splitlines() for role, text in simulation.outputs.items()}, want.outputs, f"outputs under seed {seed}")
        told: dict[str, set[Any]] = {}
        for message in entries:
            told.setdefault(str(message.site), set()).add(message.value)
        _same({text: len(values - {"done"}) for text, values in told.items()}, dict.fromkeys(told, 1), "versions of each scope")


def stands_alone(program: Program) -> None:
    """The text of a scope means the same by itself, and as an update of the scope."""
    module = compiled(program)
    for name, roles, body in [(t.name, t.roles, show(t.body)) for t in program.terms() if isinstance(t, Region)]:
        chor = getattr(module, hy.mangle(name))
        before = chor.definition
        sites = [(site.kind, site.text, site.places) for site in recompile(before).sites]
        _same(sites, [(site.kind, site.text, site.places) for site in before.sites], f"the places of {name}")
        for role in roles:
            compile(klorpy.project(chor, role), name, "exec")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", klorpy.KlorWarning)
            klorpy.evaluate(f"(update {name} {body})", module=module, filename=FILENAME)
        now = chor.definition
        _same(now.signature, before.signature, f"the signature of an update of {name}")
        _same([site.kind for site in now.sites], [site.kind for site in before.sites], f"the places of an update of {name}")


def _of_a_scope(message: klorpy.Message) -> bool:
    """Whether it is said at the entry or the exit of a scope; a call has no other messages."""
    return message.site is not None and message.site.kind == "call"


def channels_of(messages: Iterable[klorpy.Message]) -> dict[tuple[Role, Role], list[Any]]:
    channels: dict[tuple[Role, Role], list[Any]] = {}
    for message in messages:
        channels.setdefault((message.source, message.target), []).append(canonical(message.value))
    return channels


def _compare(
    program: Program, want: Outcome, results: Mapping[Role, Any], channels: Mapping[tuple[Role, Role], list[Any]], when: str
) -> None:
    type_ = program.main.type.result
    for role in program.main.roles:
        expected = canonical(erased(type_, want.value, role, klorpy.noop))
        _same(canonical(results[role]), expected, f"the result of {role} {when}")
    _same(dict(channels), want.channels, f"messages {when}")


def _same(found: Any, expected: Any, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what}:\n  found    {found}\n  expected {expected}")


def explored(program: Program, schedules: int = 30) -> None:
    """No schedule differs from the first, and none fails."""
    module = compiled(program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        found = klorpy.explore(module.main, *program.args, schedules=schedules, timeout=PATIENCE)
    if found.first.verdict is not None:
        raise AssertionError(found.first.verdict.render())
    if not found:
        raise AssertionError(f"schedule {found.seed!r}: {found.difference}")


def repeats(program: Program, seed: int) -> None:
    """Equal seeds give equal traces."""
    module = compiled(program)
    _same(_trace(simulated(module, program, seed)), _trace(simulated(module, program, seed)), "the second trace")


def _trace(simulation: klorpy.Simulation) -> list[Any]:
    trace = []
    for event in simulation.events:
        fields = {name: getattr(event, name) for name in type(event).__slots__}
        trace.append((type(event).__name__, [canonical(value) for name, value in fields.items() if name != "site"]))
    return trace


def verified(program: Program, source: random.Random) -> None:
    """Verification of agreements changes no result and adds exactly the messages that are specified.

    n(n-1) for each check of n roles when all exchange, 2(n-1) when one of them collects.
    """
    plain = replace(program, verify={})
    bare = evaluate(plain)
    everywhere = replace(program, verify={d.name: True for d in program.defs})
    central = replace(program, verify={d.name: source.choice(d.roles) for d in program.defs})
    before = klorpy.alter_opts({"verify": {"agreement": True}})
    try:
        module = compiled(plain)
    finally:
        klorpy.alter_opts(before)
    for variant, compiled_ in ((everywhere, module), (central, compiled(central))):
        want = evaluate(variant)
        added = sum(2 * (n - 1) if one else n * (n - 1) for n, one in want.checks)
        simulation = simulated(compiled_, variant, 0)
        _compare(variant, want, simulation.results, channels_of(simulation.messages), f"with verification {dict(variant.verify)}")
        _same(canonical(want.value), canonical(bare.value), "the value with verification")
        _same(len(simulation.messages), bare.messages + added, "the number of messages")


def played(program: Program) -> None:
    """Playing each role over the memory network gives what the simulator gives."""
    module = compiled(program)
    want = evaluate(program)
    channels: dict[tuple[Role, Role], list[Any]] = {}
    results: dict[Role, Any] = {}
    chor = module.main

    async def play(network: klorpy.MemoryNetwork, role: Role) -> None:
        args = [
            copy.deepcopy(arg)
            for arg, type_ in zip(program.args, program.main.type.params, strict=True)
            if role in type_.roles
        ]
        transport = _Recorded(network.endpoint(role), role, channels)
        results[role] = await klorpy.play_role({"role": role, "transport": transport}, chor, *args)

    async def everyone() -> None:
        network = klorpy.MemoryNetwork(chor.roles)
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                for role in chor.roles:
                    group.start_soon(play, network, role)

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", klorpy.KlorWarning)
        anyio.run(everyone)
    _compare(program, want, results, channels, "over the memory network")


class _Recorded:
    """A transport that notes what it receives."""

    def __init__(
        self, transport: klorpy.Transport, role: Role, channels: dict[tuple[Role, Role], list[Any]]
    ) -> None:
        self.transport, self.role, self.channels = transport, role, channels

    async def send(self, target: str, value: Any, site: Any) -> None:
        await self.transport.send(target, value, site)

    async def receive(self, source: str, site: Any) -> Any:
        value = await self.transport.receive(source, site)
        self.channels.setdefault((source, self.role), []).append(canonical(value))
        return value

    async def close(self) -> None:
        await self.transport.close()


# --- Texts ------------------------------------------------------------------------------------------------------------


def type_of(type_: Ty) -> k.Type:
    """A generated type as klorpy's."""
    match type_:
        case Agr(roles):
            return k.Agreement(roles)
        case Tup(items):
            return k.Tuple(tuple(map(type_of, items)))
        case Arr(params, result, aux):
            return k.Arrow(tuple(map(type_of, params)), type_of(result), aux)


def reads_back(roles: tuple[Role, ...], type_: Arr) -> None:
    """parse ∘ render is the identity on signatures; and a rendered arrow in a defchor is read as the same arrow."""
    arrow = type_of(type_)
    assert isinstance(arrow, k.Arrow)
    signature = k.Signature(roles, arrow)
    _same(k.parse_signature(signature.text), signature, "the signature that is read back")
    _same(k.parse_signature(signature.text).text, signature.text, "the text of what is read back")
    module = namespace(f"(defchor declared [{' '.join(roles)}] {k.render(arrow, roles)})")
    _same(module.declared.signature, signature, "the signature of a definition")


def signed(program: Program) -> None:
    """A definition has the signature that it was written with, its auxiliary part inferred or written."""
    module = compiled(program)
    for d in program.defs:
        arrow = type_of(d.type)
        assert isinstance(arrow, k.Arrow)
        chor = getattr(module, hy.mangle(d.name))
        _same(k.parse_signature(klorpy.signature(chor)), k.Signature(d.roles, arrow), f"the signature of {d.name}")


def projects(program: Program) -> None:
    """The projection for every role is valid Python."""
    module = compiled(program)
    for d in program.defs:
        for role in d.roles:
            text = klorpy.project(getattr(module, hy.mangle(d.name)), role)
            try:
                tree = ast.parse(text)
                compile(tree, f"{d.name}_{role}", "exec")
            except SyntaxError as error:
                raise AssertionError(f"the projection of {d.name} for {role}: {error}\n{text}") from error
            if not isinstance(tree.body[-1], ast.FunctionDef):
                raise AssertionError(f"the projection of {d.name} for {role} is no function:\n{text}")


# --- Mutations --------------------------------------------------------------------------------------------------------


def withstands(text: str, args: tuple[Any, ...], seeds: tuple[int, ...] = (0, 1), patience: float = 0.25) -> str:
    """Compiling any text raises nothing but KlorError; and what is accepted neither deadlocks nor mismatches.

    Gives "refused", "no main" or the verdict. Host code may fail: names are not looked up before the program runs. An
    agreement may be violated where the text has `agree!`, the only form that asserts one; that ends the run before its
    consequences. Assumes a text without mutable values at two roles.
    """
    try:
        module = _evaluated(text)
    except klorpy.KlorError as error:
        shown = error.render()
        if not error.slug or not error.message:
            raise AssertionError(f"an error without slug or message: {error!r}") from error
        if error.slug == "internal":
            causes = "".join(traceback.format_exception(error))
            raise AssertionError(f"klorpy itself failed: {shown}\n{causes}") from error
        return "refused"
    main = getattr(module, "main", None)
    if not isinstance(main, klorpy.Choreography) or main.definition is None:
        return "no main"
    verdict = "done"
    for seed in seeds:
        try:
            with _quiet():
                simulation = klorpy.simulate_chor(
                    main, *copy.deepcopy(args), seed=seed, sanitize=True, check=False, timeout=patience
                )
        except klorpy.KlorError as error:
            return error.slug
        except Exception as error:
            where = "".join(traceback.format_exception(error))
            raise AssertionError(f"under seed {seed}, simulating raised {type(error).__name__}: {where}") from error
        if simulation.verdict is None:
            _has_results(simulation, main)
            continue
        verdict = simulation.verdict.slug
        _excuse(simulation, text, seed)
    return verdict


def _evaluated(text: str) -> Any:
    """The module of a text; None when its host code fails as it is evaluated."""
    before = klorpy.alter_opts({})
    klorpy.alter_opts(before)
    try:
        with _quiet():
            return namespace(text)
    except klorpy.KlorError:
        raise
    except Exception as error:
        # What has lost its defchor is host code, and runs.
        if not any(frame.filename == FILENAME for frame in traceback.extract_tb(error.__traceback__)):
            raise AssertionError(f"compiling raised {type(error).__name__}: {''.join(traceback.format_exception(error))}") from error
        return None
    finally:
        klorpy.alter_opts(before)


@contextlib.contextmanager
def _quiet() -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _has_results(simulation: klorpy.Simulation, main: klorpy.Choreography) -> None:
    """Raise AssertionError unless exactly the roles of the result type have a result."""
    roles = main.signature.arrow.result.roles
    for role, value in simulation.results.items():
        if _lacks(value) == (role in roles):
            raise AssertionError(f"the result of {role} is {value!r}, but the signature is {main.signature}")


def _lacks(value: Any) -> bool:
    """Whether a value is noop, or a tuple with noop in it."""
    return value is klorpy.noop or (isinstance(value, tuple) and any(map(_lacks, value)))


def _excuse(simulation: klorpy.Simulation, text: str, seed: int) -> None:
    """Raise AssertionError unless a failed run is the fault of its host code."""
    verdict = simulation.verdict
    assert verdict is not None
    if verdict.slug == "timeout":
        return
    cause = verdict.__cause__
    if verdict.slug == "deadlock" or not isinstance(cause, Exception):
        raise AssertionError(f"under seed {seed}: {verdict.render()}")
    if isinstance(cause, klorpy.KlorError):
        allowed = {"no-match", "not-copyable", "not-defined", "cannot-await", "not-callable", "play-arity", "not-a-chor"}
        if "agree" in text:
            allowed.add("agreement-violated")
        if cause.slug not in allowed:
            raise AssertionError(f"under seed {seed}: {verdict.render()}")
        return
    frames = traceback.extract_tb(cause.__traceback__)
    if isinstance(cause, UnboundLocalError) and not any(word in text for word in ("setv", "setx", "del ", "lfor", "for ")):
        raise AssertionError(f"under seed {seed}, a role lacks a value that it needs: {verdict.render()}")
    if frames and frames[-1].filename.startswith(_KLORPY) and "/testing/" not in frames[-1].filename:
        where = "".join(traceback.format_exception(cause))
        raise AssertionError(f"under seed {seed}, an error inside klorpy: {where}")
