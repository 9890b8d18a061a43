"""What identifies the text of a choreography: two roles that play different texts refuse each other.

    choreography  ->  fingerprint            fingerprint(chor)
    two roles'    ->  what differs           differences(marks)
    own, other    ->  where it begins to     departure(mine, theirs)

The fingerprint has one digest for each definition that a run is bound to: of its signature and of its form without
comments and layout. Behind it is a trail, by which each side finds the place in its own text from which on the other has
another one: at most `_STEPS` short digests, however long the text is. The helper functions of the host language are not part
of it: roles may well have their own. Nor is what only scopes call: the roles agree on that at each entry.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from klorpy.core.choreography import Choreography, Definition, Site, reachable
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role
from klorpy.runtime.digest import DIGEST, digest, words

#: Bytes of a digest in a trail.
_STEP: Final = 2
#: Steps of a trail, at most.
_STEPS: Final = 64


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The choreography's name and signature, and what identifies each definition that a run is bound to, its own among them.

    `definitions` are those of this process, by the same names.
    """

    name: str
    signature: str
    parts: Mapping[str, bytes]
    definitions: Mapping[str, Definition] = field(default_factory=dict, compare=False, repr=False)


def fingerprint(chor: Choreography) -> Fingerprint:
    """The fingerprint of a choreography as it is now.

    >>> from klorpy import evaluate
    >>> one = evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))").tell
    >>> two = evaluate("(defchor tell [A B] (-> A B) [x] ; says it\\n  (A->B x))").tell
    >>> fingerprint(one) == fingerprint(two)
    True
    """
    definitions = dict(_named(reachable(chor, scopes=False).values()))
    parts = {name: digest(definition) + _trail(definition) for name, definition in definitions.items()}
    return Fingerprint(chor.name, str(chor.signature), parts, definitions)


def differences(marks: Mapping[Role, Fingerprint]) -> tuple[str, ...]:
    """What differs between the fingerprints of two roles, in sentences that both of them find; () when they are equal.

    >>> one = Fingerprint("f", "(-> A B)", {"f": bytes(17), "g": bytes(17)})
    >>> other = Fingerprint("f", "(-> A B)", {"f": bytes(17), "g": bytes(16) + b"\\0ab", "h": bytes(17)})
    >>> differences({"B": other, "A": one})
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
            same_text = one.parts[name][DIGEST:] == other.parts[name][DIGEST:]
            found.append(f"what macros make of {name} differs" if same_text else f"the text of {name} differs")
    return tuple(sorted(found))


def departure(mine: Fingerprint, theirs: Fingerprint) -> tuple[Source, Span] | None:
    """Where the text of this process begins to differ from another one: the source, and the word in it.

    In a text of more than 64 words it may be some words later that it does. None when all texts are alike.
    """
    for name, definition in mine.definitions.items():
        ours, others = mine.parts[name][DIGEST:], theirs.parts.get(name, b"")[DIGEST:]
        if others and ours != others:
            found = list(words(definition))
            if found:
                return definition.source.at(definition.span), _span(definition, found[min(_common(ours, others), len(found) - 1)])
    return None


def _common(one: bytes, other: bytes) -> int:
    """How many words of two texts with these trails are surely the same at their beginning."""
    trails = ((trail[1:-_STEP], 1 << trail[0]) for trail in (one, other))
    (one, stride), (other, other_stride) = sorted(trails, key=lambda trail: trail[1])
    common = 0
    for step in range(len(other) // _STEP):
        fine = (step + 1) * other_stride // stride
        if one[(fine - 1) * _STEP : fine * _STEP] != other[step * _STEP : (step + 1) * _STEP]:
            break
        common = (step + 1) * other_stride
    return common


def _trail(definition: Definition) -> bytes:
    """The binary logarithm of a stride, a short digest of all words up to each multiple of it, and one of all words.

    Strides are powers of two, so that of two trails one has the steps of the other.
    """
    texts = [word.group() for word in words(definition)]
    power = 0
    while len(texts) > _STEPS << power:
        power += 1
    made, steps = hashlib.blake2b(digest_size=_STEP), bytearray((power,))
    for number, word in enumerate(texts, 1):
        made.update(b"\0" + word.encode("utf-8", "surrogatepass"))
        if number % (1 << power) == 0:
            steps += made.digest()
    return bytes(steps) + made.digest()


class SiteKeys(dict[Site, bytes]):
    """The bytes that name each site that a run of a choreography can pass: the same in every process.

    What a run is bound to has numbers, since all roles agree on that when they join. What scopes run is agreed on when they
    are entered: its sites are named by the digest of their definition, with the first bit set, and found when the first of
    them is asked for.
    """

    def __init__(self, chor: Choreography) -> None:
        self._chor = chor
        self._numbers: dict[bytes, bytes] = {}
        named = sorted(_named(reachable(chor, scopes=False).values()), key=lambda item: item[0])
        for number, (_, definition) in enumerate(named):
            prefix = number.to_bytes(2, "big")
            self._numbers.setdefault(digest(definition), prefix)
            self._add(definition, prefix)

    def __missing__(self, site: Site) -> bytes:
        self.find()
        return self.setdefault(site, b"")

    def find(self) -> Self:
        """Name the sites of all that scopes may run now, and of what they ran."""
        todo, seen = [self._chor], set[Choreography]()
        while todo:
            choreography = todo.pop()
            if choreography in seen:
                continue
            seen.add(choreography)
            found = [definition for version in choreography.versions.values() for definition in version.definitions.values()]
            for definition in (*found, *([choreography.definition] if choreography.definition else ())):
                todo.extend(definition.called())
                if definition.carrier not in self:
                    made = digest(definition)
                    # The same text may have been evaluated again, here and not elsewhere.
                    self._add(definition, self._numbers.get(made, bytes([made[0] | 0x80]) + made[1:8]))
        return self

    def site(self, key: bytes) -> Site | None:
        """The site that a key names, if it does and the site is known."""
        return next((site for site, found in self.items() if found == key), None) if key else None

    def _add(self, definition: Definition, prefix: bytes) -> None:
        for site in (*definition.sites, definition.carrier):
            self[site] = prefix + site.index.to_bytes(2, "big")


def sites_by_key(chor: Choreography) -> dict[bytes, Site]:
    """The sites that a run of `chor` can pass, as far as they are known here, by the keys that name them."""
    return {key: site for site, key in SiteKeys(chor).find().items()}


def _named(definitions: Iterable[Definition]) -> Iterator[tuple[str, Definition]]:
    """Definitions with their names; the second of one name is called `name#2`."""
    seen: dict[str, int] = {}
    for definition in definitions:
        seen[definition.name] = count = seen.get(definition.name, 0) + 1
        yield (definition.name if count == 1 else f"{definition.name}#{count}"), definition


def _span(definition: Definition, word: re.Match[str]) -> Span:
    """Where a word of the definition stands in its source; of a longer one, where it begins."""
    before = word.string[: word.start()]
    line = definition.span.line + before.count("\n")
    column = len(before) - before.rfind("\n") - 1 + (definition.span.column if "\n" not in before else 1)
    return Span(line, column, line, column + len(word.group().partition("\n")[0]) - 1)
