"""What identifies the text of a choreography: two roles that play different texts refuse each other.

    choreography  ->  fingerprint            fingerprint(chor)
    two roles'    ->  what differs           differences(marks)

The fingerprint has one digest for each definition that a run can reach: of its signature and of its form without
comments and layout. The helper functions of the host language are not part of it: roles may well have their own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from klorpy.core.choreography import Choreography, Definition, Site, reachable
from klorpy.core.types import Role

_TOKEN: Final = re.compile(r'''(?P<string>"(?:[^"\\]|\\.)*")|(?P<comment>;[^\n]*)|(?P<space>[\s,]+)|(?P<word>[()\[\]{}]|[^\s,"()\[\]{};]+)''', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The choreography's name and signature, and a digest for each definition that it reaches, itself among them."""

    name: str
    signature: str
    parts: Mapping[str, bytes]


def fingerprint(chor: Choreography) -> Fingerprint:
    """The fingerprint of a choreography as it is now.

    >>> from klorpy import evaluate
    >>> one = evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))").tell
    >>> two = evaluate("(defchor tell [A B] (-> A B) [x] ; says it\\n  (A->B x))").tell
    >>> fingerprint(one) == fingerprint(two)
    True
    """
    parts = {name: digest(definition) for name, definition in _named(reachable(chor).values())}
    return Fingerprint(chor.name, str(chor.signature), parts)


def differences(marks: Mapping[Role, Fingerprint]) -> tuple[str, ...]:
    """What differs between the fingerprints of two roles, in sentences that both of them find; () when they are equal.

    >>> one = Fingerprint("f", "(-> A B)", {"f": b"1", "g": b"2"})
    >>> differences({"B": Fingerprint("f", "(-> A B)", {"f": b"1", "g": b"3", "h": b"4"}), "A": one})
    ('h is reached only by B', 'the text of g differs')
    """
    (a, one), (b, other) = sorted(marks.items())
    if one == other:
        return ()
    found = []
    if one.name != other.name:
        found.append(f"{a} plays {one.name}, {b} {other.name}")
    if one.signature != other.signature:
        found.append(f"the signature is {one.signature} at {a}, {other.signature} at {b}")
    for name in one.parts.keys() | other.parts.keys():
        if name not in other.parts:
            found.append(f"{name} is reached only by {a}")
        elif name not in one.parts:
            found.append(f"{name} is reached only by {b}")
        elif one.parts[name] != other.parts[name] and (name != one.name or one.signature == other.signature):
            found.append(f"the text of {name} differs")
    return tuple(sorted(found))


def digest(definition: Definition) -> bytes:
    """Sixteen bytes for a definition: its signature, its form, and the sites that its macros made of it."""
    made = hashlib.blake2b(digest_size=16)
    made.update(str(definition.signature).encode())
    for token in _tokens(definition.source.slice(definition.span)):
        made.update(b"\0" + token.encode())
    for site in definition.sites:
        made.update(f"\1{site.kind}".encode())
        for token in _tokens(site.text):
            made.update(b"\0" + token.encode())
    return made.digest()


def site_keys(chor: Choreography) -> dict[Site, bytes]:
    """For each site that a run of `chor` can pass, the bytes that name it: the same in every process."""
    keys = {}
    for number, (_, definition) in enumerate(sorted(_named(reachable(chor).values()), key=lambda item: item[0])):
        for site in (*definition.sites, definition.carrier):
            keys[site] = number.to_bytes(2, "big") + site.index.to_bytes(2, "big")
    return keys


def _named(definitions: Iterable[Definition]) -> Iterator[tuple[str, Definition]]:
    """Definitions with their names; the second of one name is called `name#2`."""
    seen: dict[str, int] = {}
    for definition in definitions:
        seen[definition.name] = count = seen.get(definition.name, 0) + 1
        yield (definition.name if count == 1 else f"{definition.name}#{count}"), definition


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup in ("string", "word"):
            yield match.group()
