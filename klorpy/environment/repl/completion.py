"""Completions of a session as a menu: the name, what kind of thing it is, its signature and its first line of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as MenuItem
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples

from klorpy.environment.session import Completion, Session


class SessionCompleter(Completer):
    """What `session` knows; `commands` are the terminal's own, with a line about each."""

    def __init__(self, session: Session, commands: Mapping[str, str]) -> None:
        self._session = session
        self._commands = commands

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[MenuItem]:
        cursor = document.cursor_position
        for item in self._found(document.text, cursor):
            yield MenuItem(item.text, start_position=item.start - cursor, display=item.text, display_meta=_meta(item))

    def _found(self, text: str, cursor: int) -> Iterator[Completion]:
        seen = set()
        # A completion that fails must not disturb who is typing.
        try:
            for item in self._session.complete(text, cursor):
                seen.add(item.text)
                yield item
        except Exception:
            pass
        typed = text[:cursor].lstrip()
        if typed.startswith(",") and not typed[1:].strip(_LETTERS):
            start = cursor - len(typed)
            for name, summary in self._commands.items():
                if name.startswith(typed) and name not in seen:
                    yield Completion(name, start, "command", doc=summary)


#: The width of the longest kind.
_KIND = len("choreography")
_LETTERS = "abcdefghijklmnopqrstuvwxyz-"


def _meta(item: Completion) -> StyleAndTextTuples:
    """What stands beside a name."""
    meta: StyleAndTextTuples = [("class:completion-kind", item.kind.ljust(_KIND))]
    if item.signature:
        meta.append(("class:completion-signature", f"  {item.signature}"))
    if item.doc.strip():
        meta.append(("", f"  {item.doc.strip().splitlines()[0]}"))
    return meta
