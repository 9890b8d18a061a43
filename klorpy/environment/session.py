"""A session: one input, what came of it. No terminal, no printing; the REPL, the notebook and the tests all use this.

An input is read form by form, so that what one form defines is there for the next, and each form gives an `Outcome` as
soon as it is done. An input that starts with a comma is a command (see `klorpy.environment.commands`). Nothing that is
put in ends a session: what goes wrong is an outcome too. Only KeyboardInterrupt passes through, and leaves the session
as usable as it was.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import inspect
import linecache
import types
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import hy
import hy.macros

import klorpy
from klorpy.core.diagnostics import Diagnostic, KlorError, KlorWarning
from klorpy.core.diagnostics import render as render_diagnostic
from klorpy.core.spans import Source
from klorpy.environment import commands, complete
from klorpy.environment.complete import Completion
from klorpy.environment.files import Files
from klorpy.environment.outcome import NOTHING, Outcome, Status
from klorpy.environment.outputs import Explored, Ran
from klorpy.environment.present import Palette, error_text
from klorpy.environment.registry import Note, Registry
from klorpy.environment.step import Stepper
from klorpy.language.evaluate import new_module, python_code
from klorpy.language.hy_adapter import (
    Form,
    Keyword,
    List,
    compile_toplevel,
    head_name,
    mangle,
    new_reader,
    read_forms,
    span_of,
    symbol_name,
)
from klorpy.language.options import alter_opts, using
from klorpy.language.pipeline import collecting
from klorpy.runtime.loop import LoopThread
from klorpy.simulator import ChoreographyFailed, Exploration, Simulation
from klorpy.simulator.schedule import Seed

#: What a session's namespace has from the beginning, besides klorpy's macros.
GIVEN: Final = ("simulate_chor", "explore", "play_role", "run_role", "project", "signature", "noop")

#: A computation that yields what is to be awaited, and is sent what that gave.
Steps: TypeAlias = Generator[Awaitable[Any], Any, Any]

__all__ = ["NOTHING", "Completion", "Note", "Outcome", "Session", "Status", "render"]


@dataclass(frozen=True)
class Evaluated:
    """A form that was evaluated without an error, as `,save` needs it."""

    text: str
    filename: str
    #: The symbol at the head of the form, and the name that it defines if it defines one (mangled).
    head: str | None
    name: str | None
    defined: tuple[str, ...]


class Session:
    """A namespace, what is defined in it, and what was evaluated last.

    `await_` runs what `await` outside of any function needs; left out, it is run in a thread of the session's own,
    which `close` ends. `module` is the namespace; left out, a new one is made.
    """

    def __init__(
        self, *, name: str = "klorpy_session", await_: Callable[[Awaitable[Any]], Any] | None = None,
        module: types.ModuleType | None = None,
    ) -> None:  # fmt: skip
        if module is None:
            module = new_module(name)
        else:
            hy.macros.require("klorpy", module, assignments="ALL")
        self.module = module
        self.name = name
        self.registry = Registry(module)
        self.seed: Seed = 0
        #: The simulation that ran last, whatever became of it.
        self.simulation: Simulation | None = None
        #: What was evaluated, in order.
        self.history: list[Evaluated] = []
        self.files = Files()
        #: The choreography that is stepped through, if one is.
        self.stepper: Stepper | None = None
        #: The command that runs, as it was written.
        self.command = ""
        #: Whether the user asked to leave.
        self.ended = False
        self._loop: LoopThread | None = None
        self._await = await_ or self._in_thread
        self._reader = new_reader(module)
        self._inputs = 0
        self._watched = False
        #: Where a command gathers the warnings and definitions of what it evaluates.
        self._told: tuple[list[Warning], list[str]] | None = None
        self._options = alter_opts({})
        alter_opts(self._options)
        #: `simulate_chor` and `explore` with the session's seed; the run is remembered.
        self.simulate = self._recording(klorpy.simulate_chor)
        self.explore = self._recording(klorpy.explore)
        for name in GIVEN:
            vars(module).setdefault(name, getattr(klorpy, name))
        self._keep_recording()

    def close(self) -> None:
        """End the thread of `await`, if there is one. The session can go on, and makes another when it needs one."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None
        if self.stepper is not None:
            self.stepper.close()
            self.stepper = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that definitions are compiled under, besides the verification of signatures."""
        return self._options

    # --- Reading ---

    def status(self, text: str) -> Status:
        """Whether `text` can be evaluated as it stands. Never raises."""
        if is_command(text):
            arguments = commands.arguments_of(text)
            if arguments is None:
                return Status.COMPLETE
            text = arguments
        reader = new_reader(self.module)
        reader.reader_macros.update(self._reader.reader_macros)
        try:
            for _ in read_forms(text, "<input>", _Patient(reader)):
                pass
        except _Incomplete:
            return Status.INCOMPLETE
        except KeyboardInterrupt:
            raise
        except BaseException:  # a reader macro can raise anything
            return Status.WRONG
        return Status.COMPLETE

    def complete(self, text: str, cursor: int) -> list[Completion]:
        """What could stand at offset `cursor` of `text`."""
        return complete.completions(self, text, cursor)

    # --- Evaluating ---

    def evaluate(self, text: str, *, filename: str | None = None) -> Iterator[Outcome]:
        """Evaluate `text`, form by form, and give what came of each; after an error no further forms."""
        if is_command(text):
            yield self._command(text.strip())
            return
        yield from self.evaluate_text(text, filename)

    def evaluate_text(self, text: str, filename: str | None = None) -> Iterator[Outcome]:
        """As `evaluate`, for text that is no command."""
        for steps in self._forms(text, filename):
            outcome: Outcome = self._finish(steps)
            yield outcome
            if outcome.error is not None:
                return

    async def evaluate_async(self, text: str, *, filename: str | None = None) -> AsyncIterator[Outcome]:
        """As `evaluate`; what `await` outside of any function needs is awaited on the loop that runs this."""
        if is_command(text):
            yield self._command(text.strip())
            return
        for steps in self._forms(text, filename):
            outcome: Outcome = await _finish_here(steps)
            yield outcome
            if outcome.error is not None:
                return

    def _forms(self, text: str, filename: str | None) -> Iterator[Steps]:
        """The evaluation of each form in turn; the next is read when the one before is done."""
        source = self.source_of(text, filename)
        forms = read_forms(text, source.filename, self._reader)
        while True:
            try:
                form = next(forms)
            except StopIteration:
                return
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a reader macro can raise anything
                yield _nothing_to_await(self._failed(text, error))
                return
            yield self._form(form, source)

    def _form(self, form: Form, source: Source) -> Steps:
        outcome: Outcome = yield from self._evaluate(form, source)
        if outcome.error is None:
            self.history.append(
                Evaluated(outcome.text, source.filename, head_name(form), _defined_name(form), outcome.defined)
            )
        if self._told is not None:
            self._told[0].extend(outcome.warnings)
            self._told[1].extend(outcome.defined)
        return outcome

    def _finish(self, steps: Steps) -> Any:
        """The result of `steps`; what they await is awaited by `await_`."""
        resume = functools.partial(next, steps)
        while True:
            try:
                awaitable = resume()
            except StopIteration as stop:
                return stop.value
            try:
                resume = functools.partial(steps.send, self._await(awaitable))
            except BaseException as error:
                resume = functools.partial(steps.throw, error)

    def source_of(self, text: str, filename: str | None = None) -> Source:
        """An input under the name by which tracebacks find its lines."""
        if filename is None:
            self._inputs += 1
            kind = "input" if self.name == "klorpy_session" else self.name
            filename = f"<{kind} {self._inputs}>"
        # With no modification time, the entry stays when files are checked for changes.
        linecache.cache[filename] = (len(text), None, [line + "\n" for line in text.split("\n")], filename)
        return Source(filename, text)

    def _evaluate(self, form: Form, source: Source) -> Steps:
        text = source.slice(span_of(form))
        value: Any = None
        error: BaseException | None = None
        with self._watching() as seen:
            try:
                value = yield from self._value(form, source)
            except KeyboardInterrupt:
                raise
            except BaseException as raised:
                error = raised
        changes = self.registry.refresh()
        self.files.notice_imports()
        self._keep_recording()
        notes = (*seen, *changes.warnings)
        if error is not None:
            return self._failed(text, error, notes, changes.defined)
        self.note_simulation(value)
        if value is None:
            return Outcome(text, warnings=notes, defined=changes.defined, notes=changes.notes)
        self._remember(value)
        return Outcome(text, value, warnings=notes, defined=changes.defined, notes=changes.notes)

    def value_of(self, form: Form, source: Source) -> Any:
        """The value of a form of `source`; what it awaits is awaited. Raises what it raises."""
        return self._finish(self._value(form, source))

    def _value(self, form: Form, source: Source) -> Steps:
        try:
            body, value = compile_toplevel(form, self.module, source, self._reader)
            statements, expression = python_code(body, value, form, source, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except KlorError as error:
            # The frames of Hy's compiler, and of klorpy's, say nothing to the user.
            raise error.with_traceback(None) from None
        yield from self._execute(statements)
        return (yield from self._execute(expression))

    def _execute(self, code: types.CodeType) -> Steps:
        value = eval(code, vars(self.module))
        if code.co_flags & inspect.CO_COROUTINE:
            value, error = yield _settled(value)
            if error is not None:
                raise error
        return value

    def _failed(
        self, text: str, error: BaseException, notes: tuple[Warning, ...] = (), defined: tuple[str, ...] = ()
    ) -> Outcome:
        setattr(self.module, mangle("*e"), error)
        if isinstance(error, SystemExit):
            self.ended = True
        if isinstance(error, ChoreographyFailed):
            self.note_simulation(error.simulation)
        return Outcome(text, error=error, warnings=notes, defined=defined)

    def _remember(self, value: Any) -> None:
        names = vars(self.module)
        one, two, three = (mangle(f"*{i}") for i in (1, 2, 3))
        names[three], names[two], names[one] = names.get(two), names.get(one), value

    def note_simulation(self, value: Any) -> None:
        """Remember a run as the last one, if `value` is one."""
        if isinstance(value, Exploration):
            value = value.different or value.first
        if isinstance(value, Simulation):
            self.simulation = value

    @contextmanager
    def _watching(self) -> Iterator[list[Warning]]:
        """Evaluate under the session's options, and collect the warnings."""
        seen: list[Warning] = []
        found: list[Diagnostic] = []
        # What a command evaluates is watched inside of the command: its options are the session's, too.
        inner, self._watched = self._watched, True
        before = {} if inner else alter_opts(self._options)
        try:
            with (
                warnings.catch_warnings(record=True) as caught,
                collecting(found),
                using({"verify": {"signature": True}}),
            ):
                warnings.simplefilter("always", KlorWarning)
                yield seen
        finally:
            self._watched = inner
            if not inner:
                self._options = alter_opts(before)
            seen += map(Note, found)
            for warning in caught:
                # Of changed signatures the registry tells, with the places of all that is stale.
                if getattr(warning.message, "slug", None) != "signature-changed":
                    seen.append(warning.message)  # type: ignore[arg-type]

    # --- Commands ---

    def _command(self, text: str) -> Outcome:
        error: BaseException | None = None
        output: Any = None
        notes: list[Warning] = []
        defined: list[str] = []
        outside, self._told = self._told, (notes, defined)
        self.command = text
        try:
            with self._watching() as seen:
                try:
                    output = commands.run(self, text)
                except KeyboardInterrupt:
                    raise
                except BaseException as raised:
                    error = raised
        finally:
            self._told = outside
        changes = self.registry.refresh()
        notes += (*seen, *changes.warnings)
        names = tuple(dict.fromkeys((*defined, *changes.defined)))
        if error is not None:
            return self._failed(text, error, tuple(notes), names)
        return Outcome(text, output=output, warnings=tuple(notes), defined=names, notes=changes.notes)

    # --- What the namespace gives ---

    def _keep_recording(self) -> None:
        """Let `simulate_chor` and `explore` mean the session's, also when a file has imported klorpy's."""
        for name, own in (("simulate_chor", self.simulate), ("explore", self.explore)):
            if vars(self.module).get(name) is getattr(klorpy, name):
                setattr(self.module, name, own)

    def _recording(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`simulate_chor` or `explore` with the session's seed; the run is remembered."""
        takes_seed = "seed" in inspect.signature(function).parameters

        @functools.wraps(function)
        def recording(chor: Any, *args: Any, **options: Any) -> Any:
            if takes_seed:
                options.setdefault("seed", self.seed)
            result = function(chor, *args, **options)
            self.note_simulation(result)
            return result

        return recording

    # --- Awaiting ---

    def _in_thread(self, awaitable: Awaitable[Any]) -> Any:
        if self._loop is None:
            self._loop = LoopThread()
        future: Future[Any] | None = None
        try:
            future = self._loop.start(_awaited, awaitable)
            return future.result()
        except BaseException:
            if future is not None:
                future.cancel()
            else:  # interrupted before it could be known what was started: end all that runs there
                loop, self._loop = self._loop, None
                loop.close()
            raise


def _nothing_to_await(outcome: Outcome) -> Steps:
    yield from ()
    return outcome


async def _finish_here(steps: Steps) -> Any:
    """The result of `steps`; what they await is awaited here."""
    resume = functools.partial(next, steps)
    while True:
        try:
            awaitable = resume()
        except StopIteration as stop:
            return stop.value
        try:
            resume = functools.partial(steps.send, await awaitable)
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                # Not what is awaited was cancelled, but whoever awaits it.
                steps.close()
                raise
            resume = functools.partial(steps.throw, error)


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _settled(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """The value or the exception of `awaitable`, the latter with the user's frames only.

    An exception such as SystemExit that reached the loop would end all that runs there.
    """
    try:
        return await awaitable, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        traceback = error.__traceback__
        return None, error.with_traceback(traceback.tb_next if traceback else None)


# --- Reading ----------------------------------------------------------------------------------------------------------


def is_command(text: str) -> bool:
    """Whether an input is a command and not text of Hy."""
    return text.lstrip().startswith(",")


class _Incomplete(Exception):
    pass


class _Patient:
    """A reader that tells text that ends too early from text that is wrong."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def parse(self, *args: Any, **kwargs: Any) -> Iterator[Form]:
        try:
            yield from self._reader.parse(*args, **kwargs)
        except hy.PrematureEndOfInput:
            raise _Incomplete from None
        except hy.errors.HyLanguageError as error:
            # Of a field of an f-string that ends too early Hy says that it holds junk.
            if "trailing junk in field" in str(error) and not self._reader.peekc():
                raise _Incomplete from None
            raise


def _defined_name(form: Form) -> str | None:
    """The name that `(defn name …)` and the like define, mangled."""
    for part in form[1:] if head_name(form) else ():
        name = symbol_name(part)
        if name is not None:
            return str(mangle(name)) if name.strip(".") else name
        if not isinstance(part, (Keyword, List)):
            break
    return None


# --- Showing ----------------------------------------------------------------------------------------------------------


def render(outcome: Outcome, palette: Palette) -> str:
    """An outcome as text: warnings, the error with its form underlined or the value, and notes; "" when there is nothing."""
    parts = [warning_text(warning) for warning in outcome.warnings]
    if outcome.error is not None:
        parts.append(error_text(outcome.error))
    elif outcome.output is not None:
        parts.append(outcome.output.text(palette))
    elif outcome.value is not NOTHING:
        parts.append(value_text(outcome.value, palette))
    parts += [f"note: {note}" for note in outcome.notes]
    return "\n".join(part for part in parts if part)


def warning_text(warning: Warning) -> str:
    if isinstance(warning, Note):
        return render_diagnostic(warning.diagnostic)
    if isinstance(warning, KlorWarning):
        return f"warning[{warning.slug}]: {warning}"
    return f"{type(warning).__name__}: {warning}"


def value_text(value: Any, palette: Palette) -> str:
    """A value as the prompt shows it: as Hy writes it, and a simulation as a table of roles."""
    if isinstance(value, Simulation):
        return Ran(value).text(palette)
    if isinstance(value, Exploration):
        return Explored(value).text(palette)
    try:
        return str(hy.repr(value))
    except Exception as error:
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
