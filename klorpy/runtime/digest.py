"""What identifies the text of a definition, in every process alike.

    definition  ⊢  sixteen bytes: of its signature, of its form without comments and layout, and of what its macros made of it

The form's head is not part of it: a text is the same whether `defchor` or `update` brings it, and wherever it stands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from klorpy.core.choreography import Definition

_TOKEN: Final = re.compile(r'''(?P<string>"(?:[^"\\]|\\.)*")|(?P<comment>;[^\n]*)|(?P<space>[\s,]+)|(?P<word>[()\[\]{}]|[^\s,"()\[\]{};]+)''', re.DOTALL)


#: Bytes.
DIGEST: Final = 16


def digest(definition: Definition) -> bytes:
    """The digest of a definition."""
    made = hashlib.blake2b(digest_size=DIGEST)
    made.update(str(definition.signature).encode())
    if definition.inline is not None:
        # A body that stands in another definition is about the locals there.
        made.update(repr(definition.inline.params).encode("utf-8", "surrogatepass"))
    for word in words(definition):
        made.update(b"\0" + word.group().encode("utf-8", "surrogatepass"))
    for site in definition.sites:
        # Of what a macro made, the text is the macro's call; but it is known at which roles the value is.
        made.update(f"\1{site.kind} {site.places} {site.callee}".encode())
        for word in _words(site.text):
            made.update(b"\0" + word.group().encode("utf-8", "surrogatepass"))
    return made.digest()


def words(definition: Definition) -> Iterator[re.Match[str]]:
    """The words, strings and brackets of a definition's form, but for its head."""
    for number, word in enumerate(_words(definition.source.text)):
        if number != 1:
            yield word


def _words(text: str) -> Iterator[re.Match[str]]:
    return (match for match in _TOKEN.finditer(text) if match.lastgroup in ("string", "word"))
