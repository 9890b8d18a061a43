"""Errors and warnings as data: a slug, a place, what is wrong, and how to mend it.

A *diagnostic* is raised as a `KlorError`, or collected by a pass that reports several. Nothing here prints:
`render` gives the text with the guilty form underlined, and its callers decide where it goes.

Three families are never mixed: the user's mistake (every slug of `TITLES` but the last two), what klorpy does
not support yet (`unsupported-form`), and our own bug (`internal`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from klorpy.core.spans import Source, Span

#: Every slug with its title, in the order of the language reference.
TITLES: Final[dict[str, str]] = {
    # Reading and expanding.
    "read-error": "the text cannot be read",
    "hy-error": "Hy refuses this form",
    "macro-error": "a macro failed",
    "too-deep": "forms are nested too deeply",
    # Definitions and signatures.
    "bad-roles": "not a role vector",
    "bad-signature": "not a type",
    "bad-param": "not a parameter vector",
    "dup-role": "a role is named twice",
    "dup-name": "a name is used twice",
    "unknown-role": "not a role of this choreography",
    "role-as-value": "a role is not a value",
    "arity": "wrong number of arguments",
    "return-type-mismatch": "the body does not have the type of the signature",
    "aux-not-normalised": "an auxiliary role appears in the types already",
    "aux-missing-role": "a role takes part that the signature leaves out",
    "bad-option": "not an option",
    # Names.
    "unknown-symbol": "unknown choreography",
    "not-a-chor": "not a choreography",
    "chor-not-instantiated": "a choreography needs its roles",
    "inst-arity": "wrong number of roles",
    # Communication.
    "copy-missing-src": "the sender does not have the value",
    "copy-dst-present": "the receiver has the value already",
    "copy-not-agreement": "only agreements can be sent",
    "narrow-missing-role": "the value is not at this role",
    "narrow-not-agreement": "only agreements can be narrowed",
    "agree-overlap": "the parts of an agreement overlap",
    "agree-not-agreement": "only agreements can agree",
    # Application.
    "agreement-op-arg": "an argument is not where the operator runs",
    "not-invokable": "this cannot be called",
    "chor-arg-type": "an argument does not have the parameter's type",
    "collection-element": "an element is not where the collection is built",
    # Choice.
    "if-guard-not-agreement": "a guard has to be an agreement",
    "if-unknown-choice": "a role does not know which branch is taken",
    "case-unknown-choice": "a role does not know which clause is taken",
    "branch-type-mismatch": "the branches have different types",
    "case-constant-type": "a constant is not where the value is",
    # Tuples.
    "unpack-shape": "the binder does not fit the tuple",
    "unpack-not-tuple": "only tuples can be unpacked",
    "unpack-binder": "not an unpack binder",
    # Choreographies as values.
    "chor-named-needs-aux": "a named choreography needs its auxiliary roles",
    "chor-variadic": "a choreography has a fixed number of parameters",
    # Repetition.
    "recur-arg-type": "an argument of recur does not have the parameter's type",
    "recur-arity": "wrong number of arguments to recur",
    "recur-not-tail": "recur has to be the last thing that is done",
    "bad-scope": "not a scope",
    "bad-update": "nothing that could be updated",
    "roles-outside-scope": "a role that is not of the scope",
    # Host forms.
    "homogeneous-fn": "a function belongs to one place",
    "homogeneous-try": "a try belongs to one place",
    "homogeneous-form": "this form belongs to one place",
    # Warnings.
    "unknown-name": "a name that nothing binds",
    "missing-require": "a file that only klorpy can run",
    "unused-role": "a role is never used",
    "signature-changed": "a signature changed",
    "nondeterministic-agreement": "an agreement on a nondeterministic value",
    "functions-not-compared": "functions cannot be compared",
    # Running.
    "role-not-part": "not a role of this choreography",
    "play-arity": "wrong number of arguments for this role",
    "sim-arity": "wrong number of arguments",
    "not-playable": "this choreography cannot be started from outside",
    "bad-config": "not a role configuration",
    "no-send": "the configuration cannot send",
    "no-recv": "the configuration cannot receive",
    "missing-locator": "the configuration does not say where a role is",
    "not-defined": "declared, but not defined",
    "not-callable": "a choreography is not a function",
    "stale-dependent": "compiled against another signature",
    "stale-bytecode": "compiled against another signature",
    "agreement-violated": "values of an agreement differ",
    "no-match": "no clause matches",
    "update-missing": "a version that is not here",
    "scope-order": "a scope in a run out of order",
    "not-copyable": "the value cannot be given to another role",
    "no-server": "the server cannot be used",
    "not-permitted": "the server does not permit it",
    "not-sendable": "the value cannot be sent to another process",
    "wire-error": "bytes that are not a value",
    "transport-closed": "the transport was closed",
    "peer-lost": "a role was lost",
    "session-failed": "the session failed",
    "roles-missing": "the cast is not complete",
    "protocol-error": "a role does not keep to the protocol",
    "unknown-session": "nobody plays this session",
    "not-certified": "the certificate is for other roles",
    "different-choreography": "two roles play different choreographies",
    "role-taken": "somebody else plays the role",
    "protocol-mismatch": "a role received another message than it waited for",
    "deadlock": "every role waits",
    "unread-message": "a message was never received",
    "timeout": "the time is over",
    "choreography-failed": "the choreography failed",
    "cannot-await": "an asynchronous function in a synchronous run",
    "no-trace": "the run kept no trace",
    "bad-argument": "not an argument of this function",
    # Protocols.
    "bad-protocol": "not a protocol",
    "undefined-protocol": "unknown protocol",
    "unbound-role": "not a role of this protocol",
    "self-message": "a role sends to itself",
    "unbound-recursion": "a variable without its recursion",
    "unguarded-recursion": "a recursion that does nothing",
    "non-tail-recursion": "a recursive call is not the last thing",
    "choice-sender-mismatch": "somebody else starts a branch",
    "choice-receiver-mismatch": "branches start with different receivers",
    "duplicate-label": "two branches have the same label",
    "unmergeable": "a role is not told of a choice",
    "too-large": "more than klorpy writes out",
    # Sessions.
    "bad-calculus": "not a choreography of the calculus",
    "unknown-channel": "unknown public channel",
    "no-such-session": "no such session is open",
    "session-roles": "a thread does not play this role",
    "session-mismatch": "the protocol goes on differently",
    "session-open": "a session is not finished",
    "sort-mismatch": "an expression has another sort",
    "unbound-variable": "a thread does not have this variable",
    "unknown-function": "a function that nobody defines",
    "unannounced-choice": "branches differ before anybody is told",
    # The calculus of choreographies, and contracts.
    "bad-term": "not a term of this notation",
    "self-communication": "a role cannot communicate with itself",
    "unknown-scope": "unknown scope",
    "unknown-contract": "unknown contract",
    "state-limit": "too many states",
    # Protocols of choreographies.
    "no-protocol": "the choreography has no protocol",
    "protocol-deviation": "the choreography does not keep to the protocol",
    # Conversations.
    "topic-too-deep": "a topic is nested too deeply",
    "message-not-ground": "a message holds a wildcard",
    "bad-endpoint": "not an endpoint",
    "bad-action": "not an action",
    "message-contract": "a message breaks its contract",
    "state-contract": "a state breaks its contract",
    # Not the user's mistake.
    "unsupported-form": "not supported inside a choreography",
    "internal": "a bug in klorpy",
}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong: `message` says what, `label` stands at the underlined form, `help` how to mend it."""

    slug: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[str, ...] = ()
    help: str = ""
    source: Source | None = None

    @property
    def title(self) -> str:
        return TITLES[self.slug]


class KlorError(Exception):
    """The base of every error that klorpy raises on purpose.

    `slug` names the kind of error, `span` the guilty form (None when there is no text), `help` how to mend it.
    `diagnostics` holds all that the pass found; the attributes are those of the first. Notes and help are also
    exception notes, so that plain tracebacks show them.
    """

    __module__ = "klorpy"

    #: The slug of a subclass that has just one.
    default_slug: ClassVar[str] = "internal"

    def __init__(self, message: str | Diagnostic, *more: Diagnostic, slug: str | None = None, help: str = "") -> None:
        if isinstance(message, str):
            message = Diagnostic(slug or self.default_slug, message, help=help)
        self.diagnostics: tuple[Diagnostic, ...] = (message, *more)
        super().__init__(message.message)
        self.slug = message.slug
        self.message = message.message
        self.span = message.span
        self.notes = message.notes
        self.help = message.help
        for note in message.notes:
            self.add_note(note)
        if message.help:
            self.add_note(f"help: {message.help}")

    @property
    def diagnostic(self) -> Diagnostic:
        return self.diagnostics[0]

    def __reduce__(self) -> tuple[Any, ...]:
        # What was found can be copied and sent to another process; what it was found in cannot.
        return _restored, (type(self), self.diagnostics)

    def restore(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Initialise a copy that was made from the diagnostics alone."""
        KlorError.__init__(self, *diagnostics)

    def render(self) -> str:
        """All diagnostics as text, each form underlined."""
        return "\n\n".join(render(d) for d in self.diagnostics)


def _restored(kind: type[KlorError], diagnostics: tuple[Diagnostic, ...]) -> KlorError:
    error = kind.__new__(kind)
    kind.restore(error, diagnostics)
    return error


class KlorWarning(UserWarning):
    """The category of klorpy's warnings; `slug` says which."""

    __module__ = "klorpy"

    def __init__(self, message: str, slug: str) -> None:
        super().__init__(message)
        self.message = message
        self.slug = slug


def render(diagnostic: Diagnostic) -> str:
    """A diagnostic as text for a terminal.

    >>> source = Source("shop.hy", "(defchor f [A B] (-> A B) [x]\\n  (A->C x))")
    >>> print(render(Diagnostic("unknown-role", "C is not a role of f", Span(2, 4, 2, 7), help="add it", source=source)))
    error[unknown-role]: C is not a role of f
      --> shop.hy:2:4
      |
    2 |   (A->C x))
      |    ^^^^
      = help: add it
    """
    d = diagnostic
    kind = "warning" if d.slug in WARNINGS else "error"
    out = [f"{kind}[{d.slug}]: {d.message}"]
    if d.span is not None:
        gutter = len(str(d.span.end_line))
        place = f"{d.source.filename}:{d.span}" if d.source else str(d.span)
        out.append(f"{' ' * gutter} --> {place}")
        if d.source:
            out += _excerpt(d.source, d.span, gutter, d.label)
        bar = " " * gutter + " = "
    else:
        bar = "  = "
    for note in d.notes:
        out.append(f"{bar}note: {_indented(note, len(bar) + 6)}")
    if d.help:
        out.append(f"{bar}help: {_indented(d.help, len(bar) + 6)}")
    return "\n".join(out)


#: A form that is longer is shown by its first and last lines.
_LINES_SHOWN = 6


def _excerpt(source: Source, span: Span, gutter: int, label: str) -> list[str]:
    out = [" " * gutter + " |"]
    numbers = list(range(span.line, span.end_line + 1))
    if len(numbers) > _LINES_SHOWN:
        numbers = [*numbers[: _LINES_SHOWN - 1], 0, numbers[-1]]
    for number in numbers:
        if number == 0:
            out.append(" " * gutter + " ⋮")
            continue
        line = source.line(number)
        if line is None:
            continue
        # Tabs, form feeds and the like are drawn as one column, so that the underline stands where the form does.
        line = "".join(c if c.isprintable() else " " for c in line)
        start = span.column if number == span.line else len(line) - len(line.lstrip()) + 1
        end = span.end_column if number == span.end_line else len(line.rstrip())
        line, start, end = _window(line, start, end)
        out.append(f"{number:>{gutter}} | {line}".rstrip())
        mark = " " * (start - 1) + "^" * max(end - start + 1, 1)
        suffix = f" {label}" if label and number == numbers[-1] else ""
        out.append(" " * gutter + f" | {mark}{suffix}")
    return out


#: Columns of a line that are shown.
_COLUMNS_SHOWN = 160


def _window(line: str, start: int, end: int) -> tuple[str, int, int]:
    """The part of a long line around the columns that are underlined, and where these are then."""
    if len(line) <= _COLUMNS_SHOWN:
        return line, start, end
    first = max(0, min(start - 1 - _COLUMNS_SHOWN // 3, len(line) - _COLUMNS_SHOWN))
    shown = line[first : first + _COLUMNS_SHOWN]
    head = "…" if first else ""
    tail = "…" if first + _COLUMNS_SHOWN < len(line) else ""
    shift = len(head) - first
    return head + shown + tail, start + shift, min(end + shift, len(head) + len(shown))


def _indented(text: str, width: int) -> str:
    return text.replace("\n", "\n" + " " * width)


WARNINGS: Final = frozenset(
    ("unknown-name", "missing-require", "unused-role", "signature-changed", "nondeterministic-agreement", "functions-not-compared")
)
