"""The commands that prepare a NATS server for an application.

    klorpy nats permissions FILE CHOR [--app NAME] [--together R+R …] [--observer]    users, for the server's configuration
    klorpy nats prepare --nats URL [--app NAME]                                       make the stream, where roles may not
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import anyio

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.runtime.sessions import prepare
from klorpy.runtime.transports.nats_names import OBSERVER, SETUP, Names, token


def add_nats(commands: Any, find: Callable[[str, str], Choreography]) -> None:
    """Add `nats` to the commands of the parser; `find` gives a choreography of a file."""
    nats = commands.add_parser("nats", help="prepare a NATS server", description="Prepare a NATS server for an application.")
    actions = nats.add_subparsers(metavar="ACTION", required=True)
    permissions = actions.add_parser(
        "permissions", help="users for the roles of a choreography",
        description="Print what goes into the configuration of nats-server, so that each role has a user that can neither speak "
        "for the others nor read what is said to them. The passwords come from the environment of nats-server.",
    )  # fmt: skip
    permissions.add_argument("file", metavar="FILE", help="a .hy file")
    permissions.add_argument("chor", metavar="CHOR", help="the name of a choreography in it")
    permissions.add_argument("--app", default="klorpy", metavar="NAME", help="the application (default klorpy)")
    permissions.add_argument(
        "--together", action="append", default=[], metavar="ROLE+ROLE", help="roles that one process plays, as one user"
    )
    permissions.add_argument(
        "--observer", action="store_true", help=f"a user {OBSERVER} as well, for klorpy trace: it reads what all roles say"
    )
    permissions.set_defaults(command=lambda arguments: _permissions(arguments, find))
    setup = actions.add_parser(
        "prepare", help="make the stream of an application",
        description=f"Make the stream of an application, as the user {SETUP}: the users of roles may not.",
    )  # fmt: skip
    setup.add_argument("--nats", required=True, metavar="URL", help=f"for example nats://{SETUP}:PASSWORD@HOST:4222")
    setup.add_argument("--app", default="klorpy", metavar="NAME", help="the application (default klorpy)")
    setup.set_defaults(command=_prepare)


def _permissions(arguments: argparse.Namespace, find: Callable[[str, str], Choreography]) -> int:
    chor = find(arguments.file, arguments.chor)
    together = [text.split("+") for text in arguments.together]
    for line in permission_lines(chor, Names(arguments.app), together, observer=arguments.observer):
        print(line)
    return 0


def permission_lines(
    chor: Choreography, names: Names, together: Sequence[Sequence[Role]] = (), observer: bool = False
) -> Iterator[str]:
    """The lines of a server's configuration with a user for each role, or for several, and one for an observer.

    Raises KlorError `role-not-part`.

    >>> import klorpy
    >>> chor = klorpy.evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))").tell
    >>> "\\n".join(permission_lines(chor, Names())).count("user:")
    3
    """
    roles = chor.roles
    for role in {role for group in together for role in group} - set(roles):
        raise KlorError(
            f"{role} is not a role of {chor.name}", slug="role-not-part", help=f"its roles are [{' '.join(roles)}]"
        )
    groups: list[Sequence[Role]] = [*together, *([role] for role in roles if not any(role in group for group in together))]
    users = {token("+".join(group)): group for group in groups}
    yield f"# The roles of {chor.name}, application {names.app!r}. Passwords come from the environment of nats-server."
    yield "authorization {"
    yield "  users = ["
    for user, group in users.items():
        yield from _user(user, names.permissions(*group, user=user))
    if observer:
        yield from _user(OBSERVER, names.observer_permissions())
    yield from _user(SETUP, names.setup_permissions())
    yield "  ]"
    yield "}"


def _user(user: str, permissions: Mapping[str, list[str]]) -> Iterator[str]:
    variable = "KLORPY_" + re.sub(r"\W|=", "_", user.removeprefix("klorpy-")).upper()
    yield "    {"
    yield f"      user: {json.dumps(user)}, password: ${variable}"
    yield "      permissions: {"
    for verb, subjects in permissions.items():
        yield f"        {verb}: {{ allow: ["
        yield from (f"          {json.dumps(subject, ensure_ascii=False)}" for subject in subjects)
        yield "        ] }"
    yield "      }"
    yield "    }"


def _prepare(arguments: argparse.Namespace) -> int:
    anyio.run(prepare, arguments.nats, arguments.app)
    print(f"the stream {Names(arguments.app).stream} is there")
    return 0
