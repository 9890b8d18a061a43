"""The options in force: `with-opts` around definitions, `alter-opts!` for all that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from klorpy.core.diagnostics import KlorError
from klorpy.core.options import HELP, Options

_global = Options()
_around: ContextVar[Options | None] = ContextVar("klorpy-options", default=None)


def current() -> Options:
    """The options that a definition is compiled under now."""
    return _around.get() or _global


@contextmanager
def using(given: Mapping[str, Any]) -> Iterator[None]:
    """Compile under the options in force with those of `given` in their place."""
    token = _around.set(current().merged(given))
    try:
        yield
    finally:
        _around.reset(token)


def alter_opts(change: Mapping[str, Any] | Callable[..., Mapping[str, Any]], *args: Any) -> dict[str, Any]:
    """Change the options of all definitions compiled from now on; give those that were in force before.

    `change` is the new options (what they leave out has its default), or a function that is called with the present
    ones and `args`. Raises KlorError `bad-option`, and changes nothing, when they are none.

    >>> before = alter_opts({"verify": {"agreement": True}})
    >>> alter_opts(before)
    {'verify': {'agreement': True, 'signature': False}}
    """
    global _global
    before = _global.as_mapping()
    if callable(change):
        change = change(before, *args)
    elif args or not isinstance(change, Mapping):
        raise KlorError(f"options are a dict or a function, not {change!r}", slug="bad-option", help=HELP)
    _global = Options().merged(_plain(change))
    return before


def _plain(options: Any) -> Any:
    """Keys and values as strings where Hy gives keywords and symbols."""
    if isinstance(options, Mapping):
        return {_word(key): _plain(value) for key, value in options.items()}
    return options if isinstance(options, bool) else _word(options)


def _word(value: Any) -> Any:
    name = getattr(value, "name", None)  # a Hy keyword
    return name if isinstance(name, str) else str(value) if isinstance(value, str) else value
