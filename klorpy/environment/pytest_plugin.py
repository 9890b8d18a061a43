"""The pytest plugin: tests written in Hy, choreographies run under many schedules, charts of what failed.

* `test_*.hy` files are collected, with pytest's explanations of failed assertions. The ini option `klor_hy` says which:
  `auto` (the default) those that require or import klorpy, `true` all, `false` none.
* The fixture `simulate_chor` runs a choreography with `sanitize` on, under the seed or the schedules that the test's
  marker `klor(schedules=N, seed=S)` asks for.
* A failed test's report has the seed that replays each simulation, and its chart; `--klor-seed` replays it,
  `--klor-msc=DIR` writes the chart to a file.

pytest loads this module in every run, so that everything but pytest is imported when it is needed.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import traceback
import types
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from klorpy import Choreography, Simulation

#: A form that requires or imports klorpy, perhaps among others.
_USES_KLORPY: Final = re.compile(r"\((?:require|import)\b[^()]*\bklorpy\b")
#: Simulations of a test that are shown when it fails: the last ones; and how many steps of each.
_SHOWN: Final = 3
_STEPS: Final = 30


# --- Options ----------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    _leave_klorpy_alone(pluginmanager)
    group = parser.getgroup("klorpy")
    group.addoption("--klor-seed", metavar="SEED", help="run simulate_chor under this seed, as a failed test reported it")
    group.addoption("--klor-msc", metavar="DIR", help="write a chart of each simulation of a failed test into DIR")
    parser.addini("klor_hy", "which test_*.hy files to collect: auto (those that use klorpy), true or false", default="auto")


def _leave_klorpy_alone(pluginmanager: pytest.PytestPluginManager) -> None:
    """Take klorpy from what pytest rewrites. It rewrites the packages of plugins, and takes files of Hy for Python."""
    hook = pluginmanager.rewrite_hook
    with suppress(AttributeError):  # not documented, so it may go
        hook._must_rewrite.discard("klorpy")  # type: ignore[attr-defined]
        hook._marked_for_rewrite_cache.clear()  # type: ignore[attr-defined]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "klor(schedules=N, seed=SEED): let the fixture simulate_chor run under N schedules, or under this seed",
    )
    if config.getini("klor_hy") not in ("auto", "true", "false"):
        raise pytest.UsageError(f"klor_hy is auto, true or false, not {config.getini('klor_hy')!r}")
    text = config.getoption("klor_seed")
    if text is not None:
        config.stash[_SEED] = _seed(text)


def _seed(text: str) -> int | str:
    """The seed that the user gave. Raises UsageError for what is none."""
    from klorpy import KlorError
    from klorpy.simulator.schedule import schedule_of

    seed: int | str = int(text) if re.fullmatch(r"-?[0-9]+", text) else text
    try:
        schedule_of(seed)
    except KlorError as error:
        raise pytest.UsageError(f"--klor-seed: {error} ({error.help})") from None
    return seed


def pytest_report_header(config: pytest.Config) -> str | None:
    return f"klorpy: simulations run under seed {config.stash[_SEED]}" if _SEED in config.stash else None


# --- Collecting files of Hy -------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect a file of ours, and let no other plugin (such as pytest-hy) collect it a second time."""
    collected = yield
    return [HyModule.from_parent(parent, path=file_path)] if _is_ours(file_path, parent) else collected


def _is_ours(path: Path, parent: pytest.Collector) -> bool:
    if path.suffix != ".hy" or not (path.name.startswith("test_") or parent.session.isinitpath(path)):
        return False
    which = parent.config.getini("klor_hy")
    if which == "auto":
        return _USES_KLORPY.search(path.read_text(encoding="utf-8", errors="replace")) is not None
    return bool(which == "true")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Show what is wrong in a file of Hy that a test imports, without the frames of its compilation."""
    report = yield
    error = getattr(getattr(getattr(report, "call", None), "excinfo", None), "value", None)
    if error is not None and "klorpy" in sys.modules and not collector.config.getoption("fulltrace"):
        from klorpy import KlorError
        from klorpy.environment.present import error_text

        for shown in (error, error.__cause__):  # pytest wraps what is a SyntaxError too
            if isinstance(shown, KlorError):
                report.longrepr = error_text(shown)
    return report


class HyModule(pytest.Module):
    """A file of Hy whose definitions are collected as those of a Python file are."""

    _module: types.ModuleType | None = None

    def _getobj(self) -> types.ModuleType:
        # pytest asks several times, and a module is to be evaluated once.
        if self._module is None:
            self._module = self._evaluated()
            self.config.pluginmanager.consider_module(self._module)
        return self._module

    def _evaluated(self) -> types.ModuleType:
        """The module. Raises CollectError with what the user has to know, and nothing else."""
        from klorpy import KlorError
        from klorpy.environment.present import error_text, exception_text

        name = self._enter_path()
        module = types.ModuleType(name)
        module.__file__ = str(self.path)
        module.__package__ = name.rpartition(".")[0]
        before = sys.modules.get(name)
        sys.modules[name] = module
        try:
            _evaluate(self.path, module, rewrite=self.config.getoption("assertmode") == "rewrite")
        except Exception as error:
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
            text = error_text(error) if isinstance(error, KlorError) else exception_text(error)
            raise self.CollectError(text.replace(str(self.path), self.nodeid)) from None
        return module

    def _enter_path(self) -> str:
        """Make what stands beside the file importable, as pytest's import mode asks for, and name the module."""
        folder, parts = self.path.parent, [self.path.stem]
        while (folder / "__init__.py").exists() or (folder / "__init__.hy").exists():
            parts.insert(0, folder.name)
            folder = folder.parent
        mode = self.config.getoption("importmode")
        if mode == "importlib":
            # Names are made unique by their folders, and the path stays as it is.
            return ".".join(Path(self.nodeid).with_suffix("").parts)
        if str(folder) not in sys.path:
            sys.path.insert(0 if mode == "prepend" else len(sys.path), str(folder))
        return ".".join(parts)


def _evaluate(path: Path, module: types.ModuleType, *, rewrite: bool) -> None:
    """Evaluate a file form by form, with assertions that explain themselves."""
    from klorpy import KlorError
    from klorpy.core.spans import Source
    from klorpy.language.evaluate import python_code
    from klorpy.language.hy_adapter import compile_toplevel, new_reader, read_forms

    rewritten = _rewriter(path) if rewrite else None
    source = Source(str(path), path.read_text(encoding="utf-8"))
    reader = new_reader(module)
    for form in read_forms(source.text, source.filename, reader):
        try:
            body, value = compile_toplevel(form, module, source, reader)
            if rewritten is not None:
                rewritten(body)
            statements, expression = python_code(body, value, form, source)
        except KlorError as error:
            raise error.with_traceback(None) from None
        exec(statements, module.__dict__)
        eval(expression, module.__dict__)


def _rewriter(path: Path) -> Callable[[Any], None] | None:
    """What rewrites the assertions of a Python tree; None when this pytest does it otherwise."""
    try:
        from _pytest.assertion.rewrite import rewrite_asserts
    except ImportError:  # not documented, so it may go
        return None
    return lambda body: rewrite_asserts(body, b"", str(path))


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> list[pytest.Item] | None:
    """Collect the functions of a file of Hy by the names that the user wrote: `test-ok?`, `test-double`."""
    if collector.getparent(HyModule) is None:
        return None
    from klorpy.language.hy_adapter import mangle, unmangled

    written = unmangled(name)
    if mangle(name) != name:
        return []  # the second name that the function got below; a class inherits it
    if written == name or isinstance(obj, type) or not callable(obj):
        return None
    if not any(collector.istestfunction(obj, spelling) for spelling in (name, written, written.replace("-", "_"))):
        return None
    # pytest looks a test up by its name when it runs.
    setattr(collector.obj, written, obj)
    return list(collector._genfunctions(written, obj))


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Call a test of Hy. Every function of Hy gives the value of its last form, so pytest's warning is not for these."""
    if pyfuncitem.getparent(HyModule) is None or inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    __tracebackhide__ = True
    names = inspect.signature(pyfuncitem.obj).parameters
    pyfuncitem.obj(**{name: value for name, value in pyfuncitem.funcargs.items() if name in names})
    return True


# --- The fixture ------------------------------------------------------------------------------------------------------


class Wish(NamedTuple):
    """What the marker asks for."""

    schedules: int = 1
    seed: int | str | None = None


_SEED: Final = pytest.StashKey[int | str]()
_ITEM: Final = pytest.StashKey[pytest.Item]()
_RUNS: Final = pytest.StashKey[deque[Any]]()


def wish_of(schedules: int = 1, seed: int | str | None = None) -> Wish:
    """The arguments of the marker. Raises ValueError for those that mean nothing."""
    if not isinstance(schedules, int) or isinstance(schedules, bool) or schedules < 1:
        raise ValueError(f"schedules is a positive number, not {schedules!r}")
    if schedules > 1 and isinstance(seed, str):
        raise ValueError(f"the seed {seed!r} means one schedule, not {schedules}")
    return Wish(schedules, seed)


def _wish(item: pytest.Item) -> Wish:
    marker = item.get_closest_marker("klor")
    try:
        return Wish() if marker is None else wish_of(*marker.args, **marker.kwargs)
    except (TypeError, ValueError) as error:
        pytest.fail(f"the marker klor(schedules=N, seed=SEED): {error}", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marker that says nothing, or that nothing heeds: the test would seem to do more than it does."""
    if _wish(item) != Wish() and not _is_heard(item):
        pytest.fail(
            "the marker klor says how the fixture simulate_chor runs, which this test does not take; "
            "let it have the parameter simulate_chor",
            pytrace=False,
        )


def _is_heard(item: pytest.Item) -> bool:
    """Whether something can heed the marker. One of a class or a module may be for others of its tests."""
    fixtures = getattr(item, "fixturenames", ("simulate_chor",))
    return not {"simulate_chor", "request"}.isdisjoint(fixtures) or all(m.name != "klor" for m in item.own_markers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.config.stash[_ITEM] = item
    item.stash[_RUNS] = deque(maxlen=_SHOWN)
    return (yield)


class SchedulesDiffer(AssertionError):
    """A choreography does not do the same under every schedule. `simulation` is the run that differs."""

    def __init__(self, message: str, simulation: Simulation) -> None:
        super().__init__(message)
        self.simulation = simulation


class Simulate:
    """The fixture's value: `simulate_chor` as the current test wants it.

    A call runs under the seed of `--klor-seed`, else under its own, else as the marker says. Under several schedules,
    each run gets copies of the arguments, all have to do the same, and the first is returned. Raises what
    `klorpy.simulate_chor` raises, and SchedulesDiffer.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def __repr__(self) -> str:
        return "<simulate_chor>"

    def __call__(
        self, chor: Choreography, *args: Any, seed: int | str | None = None, sanitize: bool = True, **options: Any
    ) -> Simulation:
        __tracebackhide__ = True
        from klorpy import ChoreographyFailed

        runs = self._config.stash[_ITEM].stash[_RUNS]
        try:
            for simulation in self._simulations(chor, args, seed, {**options, "sanitize": sanitize}):
                runs.append(simulation)
        except ChoreographyFailed as error:
            runs.append(error.simulation)
            raise
        return simulation

    def _simulations(
        self, chor: Choreography, args: tuple[Any, ...], seed: int | str | None, options: dict[str, Any]
    ) -> Iterator[Simulation]:
        """The simulation to return, and before it one to compare with it, if any."""
        __tracebackhide__ = True
        from klorpy import explore, simulate_chor

        wish = _wish(self._config.stash[_ITEM])
        replayed = self._config.stash.get(_SEED, None)
        if replayed is not None:
            seed = replayed
        elif seed is None:
            seed = wish.seed
        else:
            wish = Wish()
        if wish.schedules == 1:
            yield simulate_chor(chor, *args, seed=0 if seed is None else seed, **options)
        elif seed is None:
            allowed = {name: options[name] for name in ("check", "sanitize", "timeout", "order", "links", "window") if name in options}
            found = explore(chor, *args, schedules=wish.schedules, **{"check": True, **allowed})
            if found.different is not None:
                raise _differs(found.first, found.different, found.difference)
            yield found.first
        else:
            yield _compared(chor, args, wish, seed, replayed is not None, options)


def _compared(
    chor: Choreography, args: tuple[Any, ...], wish: Wish, seed: int | str, replay: bool, options: dict[str, Any]
) -> Simulation:
    """The run under `seed`, compared with those under the seeds that follow; a replay, with the plain one."""
    __tracebackhide__ = True
    from klorpy import simulate_chor
    from klorpy.core.values import NotCopyable, isolate
    from klorpy.simulator.run import compare

    def copied(value: Any) -> Any:
        try:
            return isolate(value)
        except NotCopyable:
            return value

    seeds = ["s", seed] if replay or isinstance(seed, str) else range(seed, seed + wish.schedules)
    first: Simulation | None = None
    for number in seeds:
        simulation = simulate_chor(chor, *map(copied, args), seed=number, **options)
        if first is None:
            first = simulation
        elif (difference := compare(first, simulation)) is not None:
            raise _differs(first, simulation, difference)
    return simulation if replay else first  # type: ignore[return-value]


def _differs(first: Simulation, other: Simulation, difference: str) -> SchedulesDiffer:
    name = first.choreography.name
    message = f"{name} does not do the same under seed {other.seed!r} as under {first.seed!r}: {difference}"
    return SchedulesDiffer(message, other)


@pytest.fixture(scope="session")
def simulate_chor(pytestconfig: pytest.Config) -> Simulate:
    """`klorpy.simulate_chor`, under the schedules of the test's marker, with the copies of agreements compared.

    (One object for all tests, so that tests with Hypothesis, which call their function many times, may use it.)
    """
    return Simulate(pytestconfig)


# --- Reports ----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failed test's simulations, and of klorpy's errors only the user's own frames."""
    failed = call.excinfo is not None and "klorpy" in sys.modules
    if failed and call.excinfo is not None and not item.config.getoption("fulltrace"):
        _hide_klorpy(call.excinfo)
    report = yield
    if failed and report.failed and call.excinfo is not None:
        for number, simulation in enumerate(_to_show(item, call.excinfo.value)):
            report.sections.append(_section(item, simulation, call.excinfo.value, number))
    return report


def _hide_klorpy(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    from klorpy import KlorError

    if isinstance(excinfo.value, (KlorError, SchedulesDiffer)):
        ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
        seen: types.TracebackType | None = None
        # A chain of its own: pytest cuts a traceback by following the chain, past what has been filtered out.
        for frame, line in reversed(list(traceback.walk_tb(excinfo.tb))):
            if not os.path.abspath(frame.f_code.co_filename).startswith(ours):
                seen = types.TracebackType(seen, frame, frame.f_lasti, line)
        if seen is not None:
            excinfo.traceback = type(excinfo.traceback)(seen)


def _to_show(item: pytest.Item, error: BaseException) -> list[Simulation]:
    guilty = getattr(error, "simulation", None)
    if guilty is not None:
        return [guilty]
    runs = list(item.stash.get(_RUNS, ()))
    # Hypothesis calls a test many times, the last time with the example that it shows.
    return runs[-1:] if getattr(getattr(item, "obj", None), "is_hypothesis_test", False) else runs


def _section(item: pytest.Item, simulation: Simulation, error: BaseException, number: int) -> tuple[str, str]:
    from klorpy import KlorError

    lines = [f'replay it by: pytest "{item.nodeid}" --klor-seed={simulation.seed}']
    folder = item.config.getoption("klor_msc")
    if folder is not None:
        lines.append(f"chart: {_write_chart(Path(folder), item.nodeid, number, simulation)}")
    if isinstance(error, KlorError) and getattr(error, "simulation", None) is simulation:
        lines += ["", error.render()]
    lines += ["", _chart(simulation, "text", steps=_STEPS)]
    return f"klorpy: {simulation.choreography.name}, seed {simulation.seed}", "\n".join(lines)


def _write_chart(folder: Path, nodeid: str, number: int, simulation: Simulation) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    picture = _chart(simulation, "svg")
    name = re.sub(r"[^\w.-]+", "_", nodeid) + (f"_{number + 1}" if number else "")
    path = folder / f"{name}.{'svg' if picture.lstrip().startswith('<') else 'txt'}"
    path.write_text(picture, encoding="utf-8")
    return path


def _chart(simulation: Simulation, kind: str, **options: Any) -> str:
    """The chart of a run, or else its log. Never raises: a report must not hide what failed."""
    try:
        from klorpy.environment.diagrams import chart

        return str(getattr(chart(simulation, **options), kind)())
    except Exception:
        try:
            return "\n".join(deque(simulation.lines(), _STEPS))
        except Exception as error:
            return f"(no chart: {error})"
