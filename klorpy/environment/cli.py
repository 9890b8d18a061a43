"""The command `klorpy`: check, show and run the choreographies of a file.

    klorpy                           the REPL; `klorpy repl FILE …` loads files first
    klorpy run FILE CHOR [ARG …]     simulate a choreography; an ARG is a Hy literal or @file.json
    klorpy check FILE …              all errors of files, forms underlined; status 1 when there are any
    klorpy project FILE CHOR         the program of each role as Python
    klorpy signature FILE            the types of a file's choreographies
    klorpy graph FILE CHOR           who talks to whom, without running it
    klorpy protocol FILE CHOR        what is communicated, as a global type and each role's part of it
    klorpy launch FILE CHOR [ARG …]  play all roles, each in a process of its own
    klorpy play FILE CHOR --role R   play a role with other processes
    klorpy trace --connect ADDR …    look on at roles in other processes; over NATS with --nats URL
    klorpy certificates DIR ROLE …   certificates for roles
    klorpy nats permissions …        users for the roles, at a NATS server
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import Diagnostic, KlorError, KlorWarning, render
from klorpy.core.options import ORDERS
from klorpy.environment.arguments import choreographies, find_choreography, read_argument
from klorpy.environment.distributed import add_play
from klorpy.environment.launch import add_launch
from klorpy.environment.nats_server import add_nats
from klorpy.environment.present import Palette, error_text, event_lines, exploration_lines, result_lines, wants_colour
from klorpy.environment.tracing import add_trace
from klorpy.language.check import check
from klorpy.language.options import alter_opts


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Gives the exit status: 0, 1 for errors of the program, 2 for a wrong call."""
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    if more:
        # Arguments of a choreography may stand behind options, where argparse does not look for them any more.
        if not hasattr(arguments, "args") or any(text.startswith("--") for text in more):
            parser.error(f"unrecognized arguments: {' '.join(more)}")
        arguments.args += more
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal cannot show is shown as Python would write it, rather than lost with all the rest.
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", KlorWarning)
        try:
            status: int = arguments.command(arguments)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # Whoever read the output has left; Python would complain once more when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except SystemExit:
            raise
        except BaseException as error:
            print(error_text(error), file=sys.stderr)
            return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="klorpy", description="Choreographic programming for Python.")
    parser.add_argument("--version", action="version", version=f"klorpy {klorpy.__version__}")
    parser.set_defaults(command=_repl, files=[])
    commands = parser.add_subparsers(title="commands, without one the REPL", metavar="COMMAND")

    repl = commands.add_parser("repl", help="open the REPL", description="Open the REPL.")
    repl.add_argument("files", metavar="FILE", nargs="*", help="a .hy file to load first")
    repl.set_defaults(command=_repl)

    run = commands.add_parser("run", help="simulate a choreography", description="Simulate a choreography of a file.")
    _file_and_chor(run)
    run.add_argument("args", metavar="ARG", nargs="*", help='a Hy literal, such as 5, \'"text"\' or [1 2], or @file.json')
    run.add_argument("--seed", type=_seed, default=0, help="the order in which roles move (default 0)")
    run.add_argument("--order", choices=ORDERS, help="the order within each role (default: the definitions')")
    run.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this time")
    run.add_argument("--explore", type=int, metavar="N", help="run under N schedules and compare them")
    run.add_argument("--chart", metavar="PATH", help="write a message sequence chart: .svg, .txt or .mmd")
    run.add_argument("--project", action="store_true", help="show each role's program first")
    run.add_argument("--all", action="store_true", help="show all messages, also when there are many")
    run.add_argument("--quiet", action="store_true", help="show the results only")
    run.set_defaults(command=_run)

    checks = commands.add_parser("check", help="report all errors", description="Report all errors of files.")
    checks.add_argument("files", metavar="FILE", nargs="+")
    checks.set_defaults(command=_check)

    project = commands.add_parser("project", help="show each role's program", description="Show each role's program.")
    _file_and_chor(project)
    project.add_argument("--role", help="this role only")
    project.set_defaults(command=_project)

    order = commands.add_parser(
        "explain-order", help="show what waits for what at a role", description="Show what waits for what at a role."
    )
    _file_and_chor(order)
    order.add_argument("role", metavar="ROLE", help="one of its roles")
    order.add_argument("--order", choices=ORDERS, help="the order within the role (default: the definition's)")
    order.add_argument("--chart", metavar="PATH", help="write the graph as a Mermaid chart: .mmd")
    order.set_defaults(command=_explain_order)

    count = commands.add_parser(
        "count-violations", help="count what goes wrong without keys",
        description="Count the schedules in which a message is bound to the wrong receive.",
    )  # fmt: skip
    _file_and_chor(count)
    count.add_argument("args", metavar="ARG", nargs="*", help="as for run")
    count.add_argument("--integrity", choices=("none", "line", "token", "both"), help="one kind of key (default: all)")
    count.add_argument("--links", choices=("fifo", "unordered"), default="unordered", help="how links deliver")
    count.add_argument("--permute-local", action="store_true", help="permute the steps within roles too")
    count.add_argument("--runs", type=int, default=10_000, metavar="N", help="make at most N runs (default 10000)")
    count.set_defaults(command=_count_violations)

    graph = commands.add_parser("graph", help="show who talks to whom", description="Show who talks to whom.")
    _file_and_chor(graph)
    graph.add_argument("--output", metavar="PATH", help="write it to a file: .svg, .txt or .mmd")
    graph.set_defaults(command=_graph)

    protocol = commands.add_parser("protocol", help="show the protocol", description="Show the protocol of a choreography.")
    _file_and_chor(protocol)
    protocol.add_argument("--keeps-to", metavar="PROTOCOL", help="say whether it keeps to a protocol of the file")
    protocol.add_argument("--scribble", action="store_true", help="as Scribble")
    protocol.add_argument("--output", metavar="PATH", help="write each role's automaton to a file: .svg, .txt or .mmd")
    protocol.set_defaults(command=_protocol)

    add_launch(commands)
    add_play(commands, find_choreography, read_argument)
    add_trace(commands)
    add_nats(commands, find_choreography)

    signature = commands.add_parser("signature", help="show types", description="Show the types of choreographies.")
    signature.add_argument("file", metavar="FILE")
    signature.set_defaults(command=_signature)
    return parser


def _file_and_chor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a .hy file")
    parser.add_argument("chor", metavar="CHOR", help="the name of a choreography in it")


def _seed(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdecimal() else text


# --- Commands ---------------------------------------------------------------------------------------------------------


#: Lines of a run that are shown unless all are asked for.
_LINES_SHOWN = 200


def _repl(arguments: argparse.Namespace) -> int:
    # prompt_toolkit is for those who type; the other commands start without it.
    from klorpy.environment import repl

    if "" not in sys.path:
        sys.path.insert(0, "")  # as at Python's own prompt, files of the current folder can be imported
    return repl.main(arguments.files)


def _graph(arguments: argparse.Namespace) -> int:
    from klorpy.environment.diagrams import check_path, role_graph

    if arguments.output is not None:
        check_path(arguments.output)
    chor = find_choreography(arguments.file, arguments.chor)
    graph = role_graph(chor)
    if arguments.output is None:
        print(graph.text(shutil.get_terminal_size().columns, Palette(chor.roles, wants_colour(sys.stdout))))
    else:
        graph.save(arguments.output)
    return 0


def _protocol(arguments: argparse.Namespace) -> int:
    from klorpy.environment.diagrams import check_path
    from klorpy.environment.diagrams.automata import automata
    from klorpy.environment.protocols import protocol_lines, protocol_named

    if arguments.output is not None:
        check_path(arguments.output)
    chor = find_choreography(arguments.file, arguments.chor)
    if arguments.keeps_to is not None:
        verdict = klorpy.conforms(chor, protocol_named(chor.defined().namespace, arguments.keeps_to))
        print(verdict, file=sys.stdout if verdict else sys.stderr)
        return 0 if verdict else 1
    protocol = klorpy.protocol_of(chor)
    if arguments.output is not None:
        automata(protocol).save(arguments.output)
    else:
        print("\n".join(protocol_lines(protocol, Palette(chor.roles, wants_colour(sys.stdout)), scribbled=arguments.scribble)))
    return 0


def _run(arguments: argparse.Namespace) -> int:
    chor = find_choreography(arguments.file, arguments.chor)
    args = [read_argument(text) for text in arguments.args]
    palette = Palette(chor.roles, wants_colour(sys.stdout))
    if not arguments.quiet:
        print(f"{palette.strong(chor.name)}  {chor.signature}\n")
    if arguments.project:
        _print_projections(chor, chor.roles, palette)
    if arguments.explore is not None:
        return _explore(chor, args, arguments)
    if arguments.chart is not None:
        from klorpy.environment.diagrams import chart, check_path

        check_path(arguments.chart)
    simulation = klorpy.simulate_chor(
        chor, *args, seed=arguments.seed, timeout=arguments.timeout, check=False, detail=arguments.chart is not None,
        order=arguments.order,
    )
    if arguments.chart is not None:
        chart(simulation).save(arguments.chart)
    if not arguments.quiet:
        lines = event_lines(simulation.events, palette)
        if len(lines) > _LINES_SHOWN and not arguments.all:
            half = _LINES_SHOWN // 2
            lines = [*lines[:half], f"… {len(lines) - 2 * half} lines more (--all shows them) …", *lines[-half:]]
        print("\n".join([*lines, ""]))
    print("\n".join(result_lines(simulation, palette)))
    if simulation.verdict is not None:
        sys.stdout.flush()
        print("\n" + error_text(simulation.verdict), file=sys.stderr)
        return 1
    return 0


def _explore(chor: Choreography, args: list[Any], arguments: argparse.Namespace) -> int:
    found = klorpy.explore(chor, *args, schedules=arguments.explore, timeout=arguments.timeout, order=arguments.order)
    palette = Palette(chor.roles, wants_colour(sys.stdout))
    order = "" if arguments.order is None else f" --order {arguments.order}"
    first, *rest = exploration_lines(found, f"--seed {found.seed}{order}")
    print("\n  ".join([first, *rest]))
    if found.different is None:
        print()
        print("\n".join(result_lines(found.first, palette)))
        if found.first.verdict is not None:
            print("\n" + error_text(found.first.verdict), file=sys.stderr)
        return 0 if found.first.verdict is None else 1
    return 1


def _check(arguments: argparse.Namespace) -> int:
    errors = choreographies = 0
    for file in arguments.files:
        with _same_options():
            try:
                with open(file, encoding="utf-8") as stream:
                    found = check(stream.read(), file)
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                print(render(Diagnostic("read-error", f"cannot read {file}: {reason}")), file=sys.stderr)
                errors += 1
                continue
        for diagnostic in (*found.warnings, *found.errors):
            print(render(diagnostic) + "\n", file=sys.stderr)
        errors += len(found.errors)
        choreographies += len(found.signatures)
    files = _count(len(arguments.files), "file", "files")
    what = _count(choreographies, "choreography", "choreographies")
    print(f"{files}, {what}: {_count(errors, 'error', 'errors') if errors else 'no errors'}")
    return 1 if errors else 0


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _project(arguments: argparse.Namespace) -> int:
    chor = find_choreography(arguments.file, arguments.chor)
    roles = chor.roles if arguments.role is None else (arguments.role,)
    if arguments.role is not None:
        print(klorpy.project(chor, arguments.role))
    else:
        _print_projections(chor, roles, Palette(chor.roles, wants_colour(sys.stdout)))
    return 0


def _explain_order(arguments: argparse.Namespace) -> int:
    chor = find_choreography(arguments.file, arguments.chor)
    if arguments.chart is not None and not arguments.chart.endswith(".mmd"):
        raise KlorError(
            f"{arguments.chart} is no Mermaid chart", slug="bad-argument", help="give a path that ends in .mmd"
        )
    found = klorpy.explain_order(chor, arguments.role, arguments.order)
    print(found)
    if arguments.chart is not None:
        with open(arguments.chart, "w", encoding="utf-8") as file:
            file.write(found.mermaid())
    return 0


def _count_violations(arguments: argparse.Namespace) -> int:
    chor = find_choreography(arguments.file, arguments.chor)
    args = [read_argument(text) for text in arguments.args]
    modes = ("none", "line", "token", "both") if arguments.integrity is None else (arguments.integrity,)
    for mode in modes:
        found = klorpy.count_violations(
            chor, *args, integrity=mode, links=arguments.links, permute_local=arguments.permute_local, runs=arguments.runs
        )
        print(f"{mode.ljust(5)}  {found}{'' if found.complete else '  (a sample)'}")
    return 0


def _print_projections(chor: Choreography, roles: Sequence[str], palette: Palette) -> None:
    for role in roles:
        print(f"{palette.role(role, f'# role {role}')}\n{klorpy.project(chor, role)}\n")


def _signature(arguments: argparse.Namespace) -> int:
    chors = choreographies(klorpy.load(arguments.file))
    width = max((len(chor.name) for chor in chors), default=0)
    for chor in chors:
        print(f"{chor.name.ljust(width)}  {chor.signature}")
    return 0


@contextmanager
def _same_options() -> Iterator[None]:
    before = alter_opts({})
    alter_opts(before)
    try:
        yield
    finally:
        alter_opts(before)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: IO[str] | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    if isinstance(message, KlorWarning):
        print(f"{filename}:{lineno}: warning[{message.slug}]: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno, line), file=sys.stderr, end="")


if __name__ == "__main__":
    sys.exit(main())
