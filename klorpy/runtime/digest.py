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


def digest(definition: Definition) -> bytes:
    """Sixteen bytes for a definition."""
    made = hashlib.blake2b(digest_size=16)
    made.update(str(definition.signature).encode())
    if definition.inline is not None:
        # A body that stands in another definition is about the locals there.
        made.update(repr(definition.inline.params).encode("utf-8", "surrogatepass"))
    bracket, _, *rest = _tokens(definition.source.text) if definition.source.text else ("", "")
    for token in (bracket, *rest):
        made.update(b"\0" + token.encode("utf-8", "surrogatepass"))
    for site in definition.sites:
        made.update(f"\1{site.kind}".encode())
        for token in _tokens(site.text):
            made.update(b"\0" + token.encode("utf-8", "surrogatepass"))
    return made.digest()


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup in ("string", "word"):
            yield match.group()
