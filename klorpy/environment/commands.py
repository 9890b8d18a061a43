"""The commands of a session: `,help`, `,type`, `,project` and so on.

A command is a function of the session and of what stands behind its name; it gives what it shows, as data with
`.text(palette)`, and raises KlorError for what cannot be done. Nothing here prints.
"""

from __future__ import annotations

import builtins
import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import TITLES, WARNINGS, KlorError
from klorpy.core.spans import Source
from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.environment import asking, files
from klorpy.environment.outcome import NOTHING
from klorpy.environment.outputs import (
    Explored,
    Picture,
    Programs,
    Ran,
    Recompilation,
    Request,
    Table,
    Text,
    Trace,
    dependencies,
    lines,
    stale_mark,
)
from klorpy.environment.step import Stepper
from klorpy.environment.tour import STEPS
from klorpy.language.hy_adapter import (
    Form,
    Keyword,
    KlorSyntaxError,
    List,
    Symbol,
    as_data,
    dotted_name,
    mangle,
    new_reader,
    read_forms,
    symbol_name,
)
from klorpy.language.options import alter_opts
from klorpy.language.show import project
from klorpy.simulator import Simulation
from klorpy.simulator.schedule import schedule_of

if TYPE_CHECKING:
    from klorpy.environment.session import Session


@dataclass(frozen=True)
class Command:
    """`arguments` says what each argument is, for completion; the last kind holds for all that follow. With `forms`,
    the arguments are forms, so that they may go on over several lines."""

    name: str
    usage: str
    summary: str
    run: Callable[[Session, str], Any]
    arguments: tuple[str, ...] = ()
    forms: bool = False
    details: str = ""


#: Commands by name, in the order of `,help`.
COMMANDS: dict[str, Command] = {}


def _command(
    usage: str, summary: str, *arguments: str, forms: bool = False
) -> Callable[[Callable[[Session, str], Any]], Callable[[Session, str], Any]]:
    def register(function: Callable[[Session, str], Any]) -> Callable[[Session, str], Any]:
        name = usage.split()[0][1:]
        COMMANDS[name] = Command(name, usage, summary, function, arguments, forms, (function.__doc__ or "").strip())
        return function

    return register


# --- Finding and reading ----------------------------------------------------------------------------------------------


def run(session: Session, text: str) -> Any:
    """Run the command that `text` (which starts with a comma) is, and give what it shows."""
    name, rest = split(text)
    command = find(name)
    if rest and " " not in command.usage:
        raise _bad(f",{command.name} takes no arguments", f"write ,{command.name} alone: {command.summary}")
    return command.run(session, rest)


def split(text: str) -> tuple[str, str]:
    """The name of a command, without its comma, and what stands behind it."""
    name, *rest = text.strip()[1:].split(None, 1) or [""]
    return (name, rest[0]) if rest else (name, "")


def find(name: str) -> Command:
    """The command of this name, which may be abbreviated. Raises KlorError `bad-argument`."""
    if name in COMMANDS:
        return COMMANDS[name]
    fitting = [command for command in COMMANDS if command.startswith(name)]
    if len(fitting) == 1:
        return COMMANDS[fitting[0]]
    if name and fitting:
        raise _bad(f",{name} could be {_any_of(fitting)}", "write more of it")
    close = asking.closest(name, list(COMMANDS))
    raise _bad(f"there is no command ,{name}", f"did you mean ,{close}?" if close else "type ,help to see them all")


def _any_of(names: list[str]) -> str:
    *first, last = [f",{name}" for name in names]
    return f"{', '.join(first)} or {last}"


def arguments_of(text: str) -> str | None:
    """The forms behind the name of a command, when it takes forms; None for any other text."""
    name, rest = split(text)
    try:
        command = find(name)
    except KlorError:
        return None
    return rest if command.forms else None


def _bad(message: str, help: str) -> KlorError:
    return KlorError(message, slug="bad-argument", help=help)


def _usage(name: str) -> KlorError:
    command = COMMANDS[name]
    return _bad(f"these are not the arguments of ,{name}", f"write {command.usage}: {command.summary}")


def _forms(session: Session, text: str) -> tuple[list[Form], Source]:
    """The forms of `text`, which the present command ends with, at their places in the command."""
    before = session.command[: len(session.command) - len(text)]
    source = session.source_of(session.command)
    blank = "".join("\n" if c == "\n" else " " for c in before)
    try:
        return list(read_forms(blank + text, source.filename, new_reader(session.module))), source
    except KlorSyntaxError as error:
        raise KlorSyntaxError(replace(error.diagnostic, source=source)) from None


def _chor(session: Session, form: Form | str) -> Choreography:
    """The choreography that a name means. Raises KlorError `not-a-chor`."""
    name = form if isinstance(form, str) and not isinstance(form, Symbol) else symbol_name(form) or dotted_name(form)
    if name is None:
        raise KlorError("this is not the name of a choreography", slug="not-a-chor", help="write its name")
    try:
        value = session.registry.find(str(name))
    except KeyError:
        value = None
    if isinstance(value, Choreography):
        return value
    names = [chor.name for chor in session.registry.all() if chor.name != str(name)]
    close = asking.closest(str(name), names)
    known = ", ".join(names) or "none"
    raise KlorError(
        f"{name} is not a choreography",
        slug="not-a-chor",
        help=f"did you mean {close}?" if close else f"the choreographies here are: {known}",
    )


def _call(session: Session, name: str, text: str) -> tuple[Choreography, list[Any], dict[str, Any]]:
    """`CHOR ARG … :option VALUE …`: the choreography, the values of the arguments, and of the options."""
    forms, source = _forms(session, text)
    if not forms:
        raise _usage(name)
    chor = _chor(session, forms[0])
    args: list[Any] = []
    options: dict[str, Any] = {}
    rest = forms[1:]
    while rest:
        form = rest.pop(0)
        if isinstance(form, Keyword) and rest:
            options[form.name.replace("-", "_")] = session.value_of(rest.pop(0), source)
        else:
            args.append(session.value_of(form, source))
    return chor, args, options


# --- Running ----------------------------------------------------------------------------------------------------------


@_command(",sim CHOR ARG … [:seed N]", "simulate a choreography", "chor", "name", forms=True)
def _sim(session: Session, rest: str) -> Ran:
    """Runs all roles and shows what each ends with. The arguments are forms. Options, such as :seed, :timeout and
    :sanitize, are those of simulate-chor. Then ,trace and ,msc show what happened."""
    chor, args, options = _call(session, "sim", rest)
    try:
        return Ran(session.simulate(chor, *args, **{"check": False, "detail": True, **options}))
    except TypeError as error:
        raise _wrong_option(error) from None


def _wrong_option(error: TypeError) -> BaseException:
    if "unexpected keyword argument" not in str(error):
        return error
    return _bad(str(error).replace("got an unexpected keyword argument", "has no option"), "see ,doc simulate-chor")


@_command(",step [CHOR ARG …]", "run a choreography message by message", "chor", "name", forms=True)
def _step(session: Session, rest: str) -> Any:
    """,step CHOR ARG …  begins; then, as long as it runs:
    ,step            the next role that can moves, to its next message
    ,step ROLE       this role moves
    ,step back [N]   takes back the last move, or N
    ,step run        goes on to the end, or to a breakpoint
    ,step run ROLE   goes on until this role has moved
    ,step run X      goes on until a role is at line X, at a form with the text X, or begins the choreography X
    ,step break X    makes the role, line or text X a breakpoint, or no longer
    ,step show       shows where each role is
    ,step stop       gives up"""
    words = rest.split()
    if session.stepper is not None and (not words or words[0] in session.stepper.words):
        done = session.stepper.obey(words)
        if session.stepper.ended:
            session.note_simulation(session.stepper.simulation())
        if done is None:
            session.stepper = None
            return lines("stopped")
        return done
    if not words:
        raise _bad("no choreography is being stepped through", "begin with ,step CHOR ARG …")
    chor, args, options = _call(session, "step", rest)
    stepper = Stepper(chor, args, sanitize=bool(options.get("sanitize")))
    if session.stepper is not None:
        session.stepper.close()
    session.stepper = stepper
    return stepper.view()


@_command(",trace", "what happened in the last simulation")
def _trace(session: Session, rest: str) -> Trace:
    return Trace(_last(session, "trace"))


def _last(session: Session, name: str) -> Simulation:
    if session.simulation is None:
        raise _bad(f"nothing has been simulated yet, so there is nothing for ,{name} to show", "type ,sim CHOR ARG …")
    return session.simulation


@_command(",msc [FILE]", "the last simulation as a message sequence chart", "file")
def _msc(session: Session, rest: str) -> Any:
    """With FILE, writes the chart there: as a picture (.svg), as text (.txt) or for Mermaid (.mmd)."""
    diagrams: Any = importlib.import_module("klorpy.environment.diagrams")
    return _drawn(diagrams.chart(_last(session, "msc")), rest)


@_command(",graph [CHOR [FILE]]", "who talks to whom", "chor", "file")
def _graph(session: Session, rest: str) -> Any:
    """Of a choreography that need not have run; without a name, of the last simulation, with the number of messages.
    With FILE, writes the picture there, as ,msc does."""
    diagrams: Any = importlib.import_module("klorpy.environment.diagrams")
    name, _, file = rest.partition(" ")
    subject = _chor(session, name) if name else _last(session, "graph")
    return _drawn(diagrams.role_graph(subject), file.strip())


@_command(",world NAME [FILE]", "who is there in a world of conversations", "name", "file")
def _world(session: Session, rest: str) -> Any:
    """Of a World, a Ground or a Kernel: its processes, those of nested VMs inside, their endpoints, and who sees whom, at
    this moment. With FILE, writes the picture there, as ,msc does."""
    worlds: Any = importlib.import_module("klorpy.environment.diagrams.world")
    name, _, file = rest.partition(" ")
    if not name:
        raise _usage("world")
    forms, source = _forms(session, name)
    return _drawn(worlds.world_picture(session.value_of(forms[0], source)), file.strip())


@_command(",protocol CHOR [PROTOCOL or FILE]", "what a choreography communicates, and whether it keeps to a protocol", "chor", "any")
def _protocol(session: Session, rest: str) -> Any:
    """Shows the choreography as a global type, and each role's part of it. With the name of a protocol, says whether the
    choreography keeps to it, and if not, where. With FILE, writes each role's automaton there: .svg, .txt or .mmd."""
    protocols: Any = importlib.import_module("klorpy.environment.protocols")
    name, _, more = rest.partition(" ")
    if not name:
        raise _usage("protocol")
    chor, more = _chor(session, name), more.strip()
    if "." in more:
        pictures: Any = importlib.import_module("klorpy.environment.diagrams.automata")
        return _drawn(pictures.automata(klorpy.protocol_of(chor)), more)
    if more:
        verdict = klorpy.conforms(chor, protocols.protocol_named(vars(session.module), more))
        return Text(tuple(str(verdict).splitlines()))
    return Text(tuple(protocols.protocol_lines(klorpy.protocol_of(chor))))


def _drawn(drawing: Any, path: str) -> Any:
    if not path:
        return Picture(drawing)
    drawing.save(os.path.expanduser(path))
    return lines(f"written to {path}")


@_command(",explore CHOR ARG … [:schedules N]", "run under many schedules and compare", "chor", "name", forms=True)
def _explore(session: Session, rest: str) -> Explored:
    """Runs a choreography under every order in which its roles can move, or under a sample (:schedules, 100 if left
    out), and says whether they all did the same."""
    chor, args, options = _call(session, "explore", rest)
    try:
        return Explored(session.explore(chor, *args, **options))
    except TypeError as error:
        raise _wrong_option(error) from None


@_command(",seed [N]", "show or set the order in which roles move in simulations")
def _seed(session: Session, rest: str) -> Text:
    """0 lets each role run until it waits; another number interleaves them at random, always in the same way; a text
    such as s1.0.2 is a schedule that ,explore reported."""
    if rest:
        word = rest.strip('"')
        seed = int(word) if word.lstrip("-").isdecimal() else word
        schedule_of(seed)
        session.seed = seed
    return lines(f"seed {session.seed}")


@_command(",time FORM", "evaluate a form and say how long it took", "name", forms=True)
def _time(session: Session, rest: str) -> Text:
    if not rest:
        raise _usage("time")
    begin = time.perf_counter()
    values = list(session.evaluate_text(rest))
    taken = time.perf_counter() - begin
    for outcome in values:
        if outcome.error is not None:
            raise outcome.error
    shown = [show(values[-1].value, 500)] if values and values[-1].value is not NOTHING else []
    return Text((*shown, _duration(taken)))


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


# --- Asking -----------------------------------------------------------------------------------------------------------


@_command(",type NAME or ,type [ROLE …] EXPR", "the type of a choreography, or of an expression", "chor", forms=True)
def _type(session: Session, rest: str) -> Text:
    """,type NAME shows the signature of a choreography; ,type [A B] (A->B (A 1)) the type of an expression in which A
    and B take part; ,type EXPR what kind of value it is."""
    forms, source = _forms(session, rest)
    if not forms:
        raise _usage("type")
    if len(forms) > 1:
        if not isinstance(forms[0], List):
            raise _usage("type")
        return lines(asking.expression_type(session.module, source, forms[0], forms[1:]))
    name = symbol_name(forms[0]) or dotted_name(forms[0])
    if name is not None:
        try:
            value = session.registry.find(name)
        except KeyError:
            if not hasattr(builtins, mangle(name)):
                raise asking.unknown(session, name) from None
            value = getattr(builtins, mangle(name))
    else:
        value = session.value_of(forms[0], source)
    if isinstance(value, Choreography):
        return lines(f"{value.name}  {value.signature}{stale_mark(value)}")
    kind = type(value)
    return lines(kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}")


@_command(",project CHOR [ROLE]", "the program of each role, or of one, as Python", "chor", "role")
def _project(session: Session, rest: str) -> Programs:
    words = rest.split()
    if not 1 <= len(words) <= 2:
        raise _usage("project")
    chor = _chor(session, words[0])
    roles = words[1:] or chor.defined().roles
    return Programs(chor, {role: project(chor, role) for role in roles})


@_command(",expand FORM", "what macros make of a form, step by step", "name", forms=True)
def _expand(session: Session, rest: str) -> Text:
    forms, source = _forms(session, rest)
    if len(forms) != 1:
        raise _usage("expand")
    first, *steps = asking.expansions(session.module, source, forms[0])
    return Text((first, *(f"  => {step}" for step in steps))) if steps else lines(first, "  nothing to expand")


@_command(",doc NAME", "what is known of a name", "any")
def _doc(session: Session, rest: str) -> Any:
    if not rest:
        raise _usage("doc")
    if rest.startswith(","):
        return _help(session, rest)
    return Text(tuple(asking.documentation(session, rest)))


@_command(",source NAME", "the text that defined a name", "any")
def _source(session: Session, rest: str) -> Text:
    if not rest:
        raise _usage("source")
    return Text(tuple(asking.source_text(session, rest)))


@_command(",deps NAME", "who calls a choreography, and whom it calls", "chor")
def _deps(session: Session, rest: str) -> Any:
    """Everybody at any distance, with places. What was compiled against a signature that has changed is marked."""
    if not rest:
        raise _usage("deps")
    return dependencies(session.registry, _chor(session, rest))


@_command(",roles", "the choreographies, by role")
def _roles(session: Session, rest: str) -> Any:
    found: dict[Role, list[str]] = {}
    for chor in session.registry.all():
        for role in chor.roles:
            found.setdefault(role, []).append(chor.name)
    if not found:
        return lines("there are no choreographies yet")
    return Table(tuple((role, ", ".join(names)) for role, names in found.items()))


@_command(",errors [SLUG]", "the kinds of errors, or one of them", "slug")
def _errors(session: Session, rest: str) -> Any:
    if not rest:
        return Table(tuple(TITLES.items()), notes=("", "The first part of a message, error[…], is one of these."))
    if rest not in TITLES:
        close = asking.closest(rest, list(TITLES))
        raise _bad(f"there is no error {rest}", f"did you mean {close}?" if close else "type ,errors to see them all")
    kind = "warning" if rest in WARNINGS else "error"
    return lines(f"{kind}[{rest}]: {TITLES[rest]}", f"  an example, and its cure: docs/reference/errors.md#{rest}")


# --- Changing ---------------------------------------------------------------------------------------------------------


@_command(",recompile [NAME …]", "evaluate again what is stale, callees first", "chor")
def _recompile(session: Session, rest: str) -> Recompilation:
    """Evaluates the text of the choreographies named, and of all whose callees have another signature now than when
    they were compiled. What no longer compiles keeps its old definition."""
    chosen = [_chor(session, name) for name in rest.split()]
    done = tuple(session.registry.recompile(chosen))
    return Recompilation(done, tuple(session.registry.stale()))


@_command(",update NAME or ,update on|off", "which roles the last redefinition lets be updated alone", "chor")
def _update(session: Session, rest: str) -> Text:
    """Compares what each role does now with what it did before the last redefinition: may it be updated alone while others
    still run the old one, only after them, or together with them, and which run would break otherwise. ,update off turns
    off the notes about that at redefinitions, ,update on turns them on again."""
    if rest in ("on", "off"):
        session.registry.tells = rest == "on"
        return lines(f"notes about updates are {rest}")
    if not rest:
        raise _usage("update")
    chor = _chor(session, rest)
    before = session.registry.previous.get(chor)
    if before is None:
        raise _bad(f"{chor.name} was not redefined in this session", "define it again, and then ask")
    return Text(tuple(str(klorpy.compare(before, chor)).splitlines()))


@_command(",load FILE", "evaluate a file in this session", "file")
def _load(session: Session, rest: str) -> files.Loaded:
    if not rest:
        raise _usage("load")
    return files.load(session, _path(rest))


@_command(",reload", "evaluate again the files that changed since they were loaded or imported")
def _reload(session: Session, rest: str) -> files.Loaded:
    return files.reload(session)


@_command(",save FILE", "write what was defined to a file that can be loaded", "file")
def _save(session: Session, rest: str) -> files.Saved:
    """Writes definitions, imports and options in order, each in its last version; not what was only tried."""
    if not rest:
        raise _usage("save")
    return files.save(session, _path(rest))


def _path(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


@_command(",opts [{…}]", "show or set the options of definitions", "option", forms=True)
def _opts(session: Session, rest: str) -> Text:
    """For instance ,opts {:verify {:agreement True}}. The signature of what is called is always verified here."""
    if rest:
        forms, _ = _forms(session, rest)
        if len(forms) != 1:
            raise _usage("opts")
        try:
            alter_opts(as_data(forms[0]))
        except ValueError:
            raise KlorError("options are written out", slug="bad-option", help="see ,help opts") from None
    options = alter_opts({})
    alter_opts(options)
    agreement = options["verify"]["agreement"]
    return lines(
        f"{{:verify {{:agreement {agreement}}}}}",
        f"seed {session.seed}",
    )


# --- The session itself -----------------------------------------------------------------------------------------------


@_command(",help [COMMAND]", "the commands, or one of them", "command")
def _help(session: Session, rest: str) -> Any:
    if rest:
        command = find(rest.lstrip(","))
        return lines(command.usage, f"  {command.summary}", *_details(command.details))
    rows = tuple((command.usage, command.summary) for command in COMMANDS.values())
    return Table(rows, notes=("", "Names may be abbreviated. Everything else is Hy."))


def _details(text: str) -> list[str]:
    return ["", *(f"  {line.strip()}" for line in text.splitlines())] if text else []


@_command(",tour", "a tour of five minutes")
def _tour(session: Session, rest: str) -> Text:
    """At a prompt the tour goes on by itself; here it is shown as a whole."""
    shown: list[str] = []
    for number, step in enumerate(STEPS, 1):
        shown += [f"{number}. {step.title}", step.text.strip(), "", *step.form.splitlines(), ""]
    return Text(tuple(shown[:-1]))


@_command(",clear", "clear the screen")
def _clear(session: Session, rest: str) -> Request:
    return Request("clear")


@_command(",quit", "leave")
def _quit(session: Session, rest: str) -> Request:
    session.ended = True
    return Request("quit")


__all__ = ["COMMANDS", "Command", "arguments_of", "find", "run", "split"]
