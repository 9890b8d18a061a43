"""Files of a session: load them, load again those that changed, and save what was defined."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.environment.present import Palette
from klorpy.environment.registry import is_hy, stale_calls
from klorpy.language.compiler import recompile
from klorpy.language.evaluate import evaluate
from klorpy.language.hy_adapter import mangle, read_forms, symbols_in

if TYPE_CHECKING:
    from klorpy.environment.session import Evaluated, Session


@dataclass
class Files:
    """The files that a session's definitions came from, with what they contained then."""

    #: Loaded into the session's namespace, by path.
    loaded: dict[str, bytes] = field(default_factory=dict)
    #: Imported modules of Hy, by name.
    imported: dict[str, bytes] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=lambda: set(sys.modules))

    def notice_imports(self) -> None:
        """Note the modules of Hy that were imported since."""
        for name in sys.modules.keys() - self._seen:
            self._seen.add(name)
            module = sys.modules.get(name)
            if isinstance(module, types.ModuleType) and is_hy(module):
                try:
                    self.imported[name] = _digest(_read(str(module.__file__)))
                except KlorError:  # the file has gone already
                    continue


@dataclass(frozen=True)
class Loaded:
    """What loading files did: for each file, the names of what it defined."""

    files: tuple[tuple[str, tuple[str, ...]], ...]

    def text(self, palette: Palette) -> str:
        if not self.files:
            return "no file has changed"
        return "\n".join(
            f"{palette.strong(_shown(path))}: {', '.join(names) or 'nothing new'}" for path, names in self.files
        )


def load(session: Session, path: str) -> Loaded:
    """Evaluate a file in the session's namespace. Raises what went wrong in it."""
    path = os.path.abspath(os.path.expanduser(path))
    text = _read(path)
    session.files.loaded[path] = _digest(text)
    defined: list[str] = []
    with _beside(path):
        for outcome in session.evaluate_text(text, _shown(path)):
            if outcome.error is not None:
                raise outcome.error
            defined += outcome.defined
    return Loaded(((path, tuple(dict.fromkeys(defined))),))


def reload(session: Session) -> Loaded:
    """Evaluate again the files, loaded or imported, whose text is another than it was. Raises what went wrong.

    What a file no longer defines stays defined, as does everything from a file that is gone.
    """
    done: list[tuple[str, tuple[str, ...]]] = []
    session.files.notice_imports()
    for module in _in_order(session, [name for name in session.files.imported if name in sys.modules]):
        path = str(module.__file__)
        if not os.path.exists(path):
            continue
        text = _read(path)
        if _digest(text) == session.files.imported[module.__name__]:
            continue
        before = _definitions(module)
        with _beside(path):
            evaluate(text, module=module, filename=_shown(path))
        session.files.imported[module.__name__] = _digest(text)
        after = _definitions(module)
        done.append((path, tuple(name for name in after if after[name] is not before.get(name))))
    for path, digest in list(session.files.loaded.items()):
        if os.path.exists(path) and _digest(_read(path)) != digest:
            try:
                done += load(session, path).files
            except BaseException:
                session.files.loaded[path] = digest
                raise
    return Loaded(tuple(done))


def _definitions(module: types.ModuleType) -> dict[str, Any]:
    """The functions, classes, macros and choreographies of a module."""
    found: dict[str, Any] = {}
    for value in vars(module).values():
        if isinstance(value, Choreography) and value.module == module.__name__:
            found[value.name] = value.definition
        elif isinstance(value, (type, types.FunctionType)) and value.__module__ == module.__name__:
            found[value.__name__] = value
    return found


def _in_order(session: Session, names: list[str]) -> list[types.ModuleType]:
    """Modules, those that others use before these."""
    order: list[types.ModuleType] = []
    seen: set[str] = set()
    todo = [(name, False) for name in reversed(names)]
    while todo:
        name, left = todo.pop()
        if left:
            order.append(sys.modules[name])
        elif name not in seen and name in names:
            seen.add(name)
            todo.append((name, True))
            todo += [(used, False) for used in _used(sys.modules[name])]
    return order


def _used(module: types.ModuleType) -> set[str]:
    found = set()
    for value in vars(module).values():
        if isinstance(value, types.ModuleType):
            found.add(value.__name__)
        elif isinstance(value, Choreography):
            found.add(value.module)
        else:
            found.add(str(getattr(value, "__module__", "")))
    return found - {module.__name__}


def _shown(path: str) -> str:
    """A path as messages have it: from here, if it lies below."""
    short = os.path.relpath(path)
    return path if short.startswith("..") else short


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise KlorError(f"cannot read {path}: {reason}", slug="read-error", help="give the path of a .hy file") from None


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass")).digest()


@contextmanager
def _beside(path: str) -> Iterator[None]:
    """Modules beside `path` can be imported."""
    folder = os.path.dirname(path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


# --- Saving -----------------------------------------------------------------------------------------------------------

#: Forms that change what is defined; others only do something.
DEFINING = frozenset((
    "defchor", "update", "defprotocol", "defn", "defmacro", "defclass", "deftype", "defreader", "setv", "import", "require", "with-opts",
    "alter-opts!", "eval-and-compile", "eval-when-compile", "pragma",
))  # fmt: skip
#: A definition inside of `do` and the like.
_INNER = re.compile(r"\((?:def\w*|setv|import|require)\s")
#: Of these the last version takes the place of the first.
_REPLACED = frozenset(("defchor", "defprotocol", "defn", "defmacro", "defclass"))


@dataclass(frozen=True)
class Saved:
    path: str
    count: int
    left_out: tuple[str, ...]

    def text(self, palette: Palette) -> str:
        what = f"{self.count} form{'' if self.count == 1 else 's'}"
        out = [f"{what} saved in {self.path}"]
        if self.left_out:
            out.append(f"commented out, since what they call has changed: {', '.join(self.left_out)}")
        return "\n".join(out)


def save(session: Session, path: str) -> Saved:
    """Write the definitions of a session, in order, as a file that can be loaded. Raises KlorError `bad-argument`."""
    entries = [entry for entry in session.history if _defines(entry)]
    broken = tuple(name for name in _broken(session))
    parts = ["(require klorpy *)\n(import klorpy [simulate-chor explore play-role run-role project signature noop])"]
    for entry in _last_versions(entries):
        spoilt = any(name in broken for name in entry.defined)
        parts.append(f"; what this calls has changed\n#_ {entry.text}" if spoilt else entry.text)
    write(path, "\n\n".join(parts) + "\n")
    return Saved(path, len(parts) - 1, broken)


def write(path: str, text: str) -> None:
    """Write a file. Raises KlorError `bad-argument`."""
    try:
        with open(os.path.expanduser(path), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise KlorError(
            f"cannot write {path}: {error.strerror or error}", slug="bad-argument", help="give another path"
        ) from None


def _defines(entry: Evaluated) -> bool:
    return entry.head in DEFINING or bool(entry.defined) or (entry.head == "do" and bool(_INNER.search(entry.text)))


def _broken(session: Session) -> Iterator[str]:
    """The stale choreographies that no longer compile."""
    for choreography in session.registry.all():
        if choreography.definition is not None and any(True for _ in stale_calls(choreography)):
            try:
                recompile(choreography.definition)
            except KlorError:
                yield choreography.name


def _last_versions(entries: list[Evaluated]) -> list[Evaluated]:
    """Without definitions that later ones replaced.

    A later version stands where the first stood, since others may use it from there on; unless it uses what was
    defined in between. Then both stay.
    """
    out: list[Evaluated] = []
    #: Where each name was defined first, and where the version stands that a later one replaces.
    first: dict[str, int] = {}
    latest: dict[str, int] = {}
    #: The entry that defined each name: a scope is defined by what is around it.
    whose: dict[str, str | None] = {}
    for entry in entries:
        name = entry.name if entry.head in _REPLACED else None
        if name is not None and name in latest:
            at = latest[name]
            uses = _symbols(entry.text)
            if all(first[other] < at for other in uses if other in first and other != name):
                out[at] = entry
                continue
        for defined in {*entry.defined, *([entry.name] if entry.name else [])}:
            first.setdefault(mangle(defined), len(out))
            if entry.head != "update":
                whose[defined] = entry.name
        if name is not None:
            latest[name] = len(out)
        elif entry.head == "update" and entry.name is not None:
            latest.pop(whose.get(entry.name) or entry.name, None)  # what is defined anew after an update stays behind it
        out.append(entry)
    return out


def _symbols(text: str) -> set[str]:
    try:
        return {name for form in read_forms(text, "<history>") for name in symbols_in(form)}
    except KlorError:  # reader macros of the session
        return set()

