"""What things are called at a NATS server, and what each role may do with them.

    app, session, roles  ->  subjects, the stream, a consumer     Names(app)
    app, role            ->  publish and subscribe lists          Names(app).permissions(role)

Every part of a name that is ours to choose is one token of a subject. What a role says to another is stored under
`klorpy.<app>.<session>.<from>.<to>`; that a role is there, and that it has left, under the same with `=` for everybody;
one token more is said and not stored. So a server that lets the user of a role publish under `klorpy.<app>.*.<role>.>`
lets it speak for no other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from klorpy.core.types import Role

#: In the place of a role: everybody.
ALL: Final = "="

#: What is said and not stored: how far one is, and that one is there.
NOW: Final = "now"
HERE: Final = "here"

#: The user that makes the stream where roles may not, and the one that reads what all roles say.
SETUP: Final = "klorpy-setup"
OBSERVER: Final = "klorpy-observer"

_LONGEST: Final = 200


def token(name: str) -> str:
    """A name as one token of a subject, from which `name_of` gets it back; never `=`.

    >>> token("order.7"), token("zweiter Käufer"), token("=")
    ('order=2E7', 'zweiter=20K=C3=A4ufer', '=3D')
    """
    return quote(name, safe="").replace(".", "%2E").replace("~", "%7E").replace("%", "=") or "=00"


def name_of(token: str) -> str:
    """The name that a token stands for.

    >>> name_of(token("order.7*"))
    'order.7*'
    """
    return "" if token == "=00" else unquote(token.replace("=", "%"))


@dataclass(frozen=True, slots=True)
class Names:
    """The names of an application.

    >>> names = Names("shop")
    >>> names.message("order-7", "Buyer", "Seller"), names.stream
    ('klorpy.shop.order-7.Buyer.Seller', 'klorpy-shop')
    """

    app: str = "klorpy"

    @property
    def prefix(self) -> str:
        return f"klorpy.{token(self.app)}"

    @property
    def stream(self) -> str:
        return f"klorpy-{token(self.app)}"

    def stored(self) -> str:
        """All subjects that are stored."""
        return f"{self.prefix}.*.*.*"

    def message(self, session: str, source: Role, target: Role) -> str:
        """What a role says to another."""
        return f"{self.prefix}.{token(session)}.{token(source)}.{token(target)}"

    def inbox(self, session: str, target: Role) -> str:
        """All that is said to a role."""
        return f"{self.prefix}.{token(session)}.*.{token(target)}"

    def said(self, session: str, source: Role, target: Role, what: str) -> str:
        """What a role says to another that is not stored: `what` is NOW or HERE, or `*` for both."""
        source, target = (role if role == "*" else token(role) for role in (source, target))
        return f"{self.prefix}.{token(session)}.{source}.{target}.{what}"

    def asked(self, session: str, role: Role) -> str:
        """What an observer, who is no role, asks a role: whether it is there."""
        return f"{self.prefix}.{token(session)}.{ALL}.{token(role)}.{NOW}"

    def cast(self, session: str, role: Role) -> str:
        """That a role is there, and that it has left."""
        return f"{self.prefix}.{token(session)}.{token(role)}.{ALL}"

    def casts(self) -> str:
        """The same of all roles of all sessions."""
        return f"{self.prefix}.*.*.{ALL}"

    def session(self, session: str) -> str:
        """All that is stored of a session."""
        return f"{self.prefix}.{token(session)}.*.*"

    def consumer(self, session: str, role: Role) -> str:
        """The consumer of a role in a session; a digest where the name would be too long for a file."""
        name = f"{token(session)}=={token(role)}"
        return name if len(name) <= _LONGEST else hashlib.blake2b(name.encode(), digest_size=20).hexdigest()

    def permissions(self, *roles: Role, user: str) -> dict[str, list[str]]:
        """What the user of `roles` has to be allowed, and no more: `publish` and `subscribe`.

        It can neither speak for other roles nor read what is said to them. It can end sessions of the application, as
        every role can.
        """
        api = "$JS.API"
        publish = []
        for role in roles:
            publish += [
                f"{self.prefix}.*.{token(role)}.>",
                f"{api}.CONSUMER.CREATE.{self.stream}.*.{self.prefix}.*.*.{token(role)}",
            ]
        publish += [
            # To notice sessions that others begin, and who has left.
            f"{api}.CONSUMER.CREATE.{self.stream}.*.{self.casts()}",
            f"{api}.DIRECT.GET.{self.stream}.{self.casts()}",
            # To leave nothing behind.
            f"{api}.CONSUMER.DELETE.{self.stream}.*",
            f"{api}.STREAM.PURGE.{self.stream}",
        ]
        subscribe = [f"{self.prefix}.*.*.{token(role)}.>" for role in roles]
        return {"publish": publish, "subscribe": [*subscribe, f"{replies(user)}.>"]}

    def observer_permissions(self) -> dict[str, list[str]]:
        """What the user has to be allowed that reads everything: it can say nothing but the question who is there."""
        publish = [f"$JS.API.CONSUMER.CREATE.{self.stream}.*.{self.prefix}.>", f"{self.prefix}.*.{ALL}.*.{NOW}"]
        return {"publish": publish, "subscribe": [self.stored(), f"{replies(OBSERVER)}.>"]}

    def setup_permissions(self) -> dict[str, list[str]]:
        """What the user has to be allowed that makes the stream."""
        return {"publish": [f"$JS.API.STREAM.CREATE.{self.stream}"], "subscribe": [f"{replies(SETUP)}.>"]}


def replies(user: str | None) -> str:
    """Where the server's answers to a user come: each user has a place of its own, which others cannot read.

    >>> replies("Buyer"), replies(None)
    ('_INBOX.Buyer', '_INBOX')
    """
    return f"_INBOX.{token(user)}" if user else "_INBOX"
