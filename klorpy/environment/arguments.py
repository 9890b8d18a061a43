"""What the command line is given: a choreography of a file, and the values of its arguments."""

from __future__ import annotations

import json
from typing import Any

import klorpy
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import describe_error
from klorpy.language.hy_adapter import literal_value, mangle, read_forms


def choreographies(namespace: Any) -> list[Choreography]:
    """The choreographies that a namespace names."""
    return [value for value in vars(namespace).values() if isinstance(value, Choreography)]


def find_choreography(file: str, name: str) -> Choreography:
    """The choreography of that name in a file. Raises KlorError `not-a-chor`, and as `klorpy.load` does."""
    try:
        namespace = klorpy.load(file)
    except SystemExit as error:
        raise KlorError(
            f"{file} ends the process while it is loaded: {describe_error(error)}", slug="read-error",
            help="call what ends it in a function, not at the top of the file",
        ) from None  # fmt: skip
    found = getattr(namespace, mangle(name), None)
    if isinstance(found, Choreography):
        return found
    names = ", ".join(chor.name for chor in choreographies(namespace)) or "none"
    what = "no choreography called" if found is None else "something that is no choreography under the name"
    raise KlorError(f"{file} has {what} {name}", slug="not-a-chor", help=f"its choreographies are: {names}")


def read_argument(text: str) -> Any:
    """A Hy literal, or the contents of a JSON file when it starts with @. Raises KlorError `bad-argument`, `read-error`.

    >>> read_argument('[1 "two"]')
    [1, 'two']
    """
    if text.startswith("@"):
        try:
            with open(text[1:], encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise _bad_argument(f"cannot read {text[1:]}: {reason}", "give a file with one JSON value") from None
    forms = list(read_forms(text, "<argument>"))
    try:
        (form,) = forms
        return literal_value(form)
    except (ValueError, TypeError):
        raise _bad_argument(
            f"{text!r} is not a literal",
            f"write a Hy literal, a text in quotes ('\"{text}\"'), or @file.json",
        ) from None


def _bad_argument(message: str, help: str) -> KlorError:
    return KlorError(message, slug="bad-argument", help=help)
