"""Every touch of Hy that its documentation does not promise, in one place.

Known to hold for Hy 1.3; the tests of this module are what to run against a new Hy.
"""

from __future__ import annotations

import ast
import builtins
import os
import re
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as Sequence_
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import hy
import hy.errors
from hy.compiler import HyASTCompiler, Result, hy_compile
from hy.errors import HyError, HyLanguageError
from hy.macros import macroexpand
from hy.reader import HyReader, mangle, read_many
from hy.reader.exceptions import PrematureEndOfInput
from hy.scoping import ScopeFn, ScopeLet

from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source, Span

Form: TypeAlias = Any  # a Hy model; Hy ships no types
Bytes = hy.models.Bytes
Dict = hy.models.Dict
Expression = hy.models.Expression
FComponent = hy.models.FComponent
FString = hy.models.FString
Integer = hy.models.Integer
Keyword = hy.models.Keyword
List = hy.models.List
Object = hy.models.Object
Sequence = hy.models.Sequence
Set = hy.models.Set
String = hy.models.String
Symbol = hy.models.Symbol
Tuple = hy.models.Tuple
NUMBERS = (hy.models.Integer, hy.models.Float, hy.models.Complex)

__all__ = [
    "NUMBERS",
    "Bytes",
    "Compiler",
    "Dict",
    "Expression",
    "FComponent",
    "FString",
    "Form",
    "HyASTCompiler",
    "HyError",
    "HyLanguageError",
    "Integer",
    "Keyword",
    "KlorSyntaxError",
    "List",
    "Object",
    "PrematureEndOfInput",
    "Result",
    "Sequence",
    "Set",
    "String",
    "Symbol",
    "Tuple",
    "head_name",
    "mangle",
    "new_reader",
    "read_forms",
    "readable_name",
    "show_form",
    "span_of",
    "symbol_name",
    "unmangled",
]  # fmt: skip


class KlorSyntaxError(KlorError, SyntaxError, HyLanguageError):  # type: ignore[misc]
    """A mistake in the text of a choreography, found while it is compiled.

    A `SyntaxError`, so that Python, IPython and the `hy` command draw the caret; a `HyLanguageError`, so that Hy
    lets it pass through macro expansion. Tools that know only one line show the first line of the form.
    """

    __module__ = "klorpy"

    def __init__(self, first: Diagnostic, *more: Diagnostic) -> None:
        KlorError.__init__(self, first, *more)
        line, source, span = None, first.source, first.span
        self.msg = f"{first.message} [{first.slug}]"
        if span is not None:
            self.filename = source.filename if source else None
            self.lineno, self.offset = span.line, span.column
            line = source.line(span.line) if source else None
            if span.end_line == span.line:
                self.end_lineno, self.end_offset = span.end_line, span.end_column + 1
            elif line is not None:
                self.end_lineno, self.end_offset = span.line, len(line) + 1
        self.text = line
        self.print_file_and_line = None

    def restore(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        KlorSyntaxError.__init__(self, *diagnostics)

    def __str__(self) -> str:
        return self.message


def span_of(form: Form, default: Span | None = None) -> Span:
    """Where `form` was read; `default` (or the start of the text) when the form was made by a macro."""
    if not hasattr(form, "_start_line"):
        return default or Span(1, 1, 1, 1)
    return Span(form.start_line, form.start_column, form.end_line, form.end_column)


def symbol_name(form: Form) -> str | None:
    """The name of a symbol as the user writes it; None for any other form."""
    return str(form) if isinstance(form, Symbol) else None


def head_name(form: Form) -> str | None:
    """The symbol at the head of an expression; None when there is none."""
    return symbol_name(form[0]) if isinstance(form, Expression) and form else None


def dotted_name(form: Form) -> str | None:
    """`a.b.c` for the form that the reader makes of it, (. a b c); None for any other form."""
    if (
        isinstance(form, Expression)
        and len(form) > 2
        and all(isinstance(part, Symbol) for part in form)
        and str(form[0]) == "."
        and str(form[1]) != "None"
    ):
        return ".".join(str(part) for part in form[1:])
    return None


def unmangled(name: str) -> str:
    """The Hy name of a Python name; the name itself when it only looks mangled."""
    try:
        return str(hy.unmangle(name))
    except ValueError:
        return name


def show_form(form: Form) -> str:
    """A form as the user writes it, on one line."""
    text = hy.repr(form)
    text = text[1:] if text.startswith("'") else text
    return _GENSYM.sub(r"\1", re.sub(r"\s+", " ", text))


#: What `hy.gensym` makes of a name: different each time, so shown without its number.
_GENSYM = re.compile(r"_hy_gensym_(.+?)_\d+\b")


def readable_name(name: str) -> str:
    """The name that a symbol made by `hy.gensym` was made from; any other as it is."""
    return _GENSYM.sub(r"\1", name)


def symbols_in(form: Form) -> Iterator[str]:
    """The mangled name of every symbol in `form`, and the parts of dotted ones."""
    todo = [form]
    while todo:
        current = todo.pop()
        if isinstance(current, Symbol):
            name = str(current)
            if name.strip("."):
                yield mangle(name)
        elif isinstance(current, (Sequence, FComponent)):
            todo.extend(current)


def _symbol_texts(forms: Iterable[Form]) -> Iterator[str]:
    for form in forms:
        if isinstance(form, Symbol):
            yield str(form)
        elif isinstance(form, Sequence):
            yield from _symbol_texts(form)


def as_data(form: Form) -> Any:
    """A literal form as the Python value it denotes: keywords and symbols as strings.

    Raises ValueError for a form that is no literal.
    """
    if isinstance(form, Dict):
        items = list(form)
        if len(items) % 2:
            raise ValueError(form)
        return {as_data(k): as_data(v) for k, v in zip(items[::2], items[1::2], strict=True)}
    if isinstance(form, Keyword):
        return form.name
    if isinstance(form, Symbol):
        name = str(form)
        return {"True": True, "False": False, "None": None}.get(name, name)
    if isinstance(form, String):
        return str(form)
    if isinstance(form, NUMBERS):
        return literal_value(form)
    if head_name(form) == "quote" and len(form) == 2:
        return as_data(form[1])
    raise ValueError(form)


def literal_value(form: Form) -> Any:
    """The Python value of a literal form: numbers, text, None, True, False, keywords and collections of them.

    Raises ValueError for any other form.
    """
    if isinstance(form, (List, Tuple, Set)):
        return {List: list, Tuple: tuple, Set: set}[type(form)](literal_value(item) for item in form)
    if isinstance(form, Dict):
        items = [literal_value(item) for item in form]
        if len(items) % 2:
            raise ValueError(form)
        return dict(zip(items[::2], items[1::2], strict=True))
    if isinstance(form, NUMBERS):
        return next(kind(form) for model, kind in zip(NUMBERS, (int, float, complex), strict=True) if type(form) is model)
    if isinstance(form, Bytes):
        return bytes(form)
    if isinstance(form, Keyword):
        return form
    if isinstance(form, Symbol) and str(form) in ("None", "True", "False"):
        return as_data(form)
    if isinstance(form, String):
        return str(form)
    raise ValueError(form)


# --- Tracebacks -------------------------------------------------------------------------------------------------------

# The `hy` command leaves the frames of its compiler out of the tracebacks of mistakes in the text; so klorpy's too. The
# set is private: where a Hy does not have it, tracebacks are longer.
_hidden: set[str] = getattr(hy.errors, "_tb_hidden_modules", set())
_hidden.update((os.path.dirname(__file__), os.path.join(os.path.dirname(__file__), "analyzer")))


# --- Reading ----------------------------------------------------------------------------------------------------------


def new_reader(module: types.ModuleType) -> Any:
    """A reader that knows the reader macros of `module`."""
    reader = HyReader()
    reader.reader_macros.update(getattr(module, "_hy_reader_macros", {}))
    return reader


def read_forms(text: str, filename: str, reader: Any = None) -> Iterator[Form]:
    """The forms of `text`, one at a time, so that reader macros take effect.

    Raises KlorSyntaxError: `read-error`, or `too-deep` for brackets that are nested more than DEPTH levels.
    """
    source = Source(filename, text)
    reader = reader or HyReader()
    brackets = _Brackets(text)
    if brackets.too_deep is not None:
        raise too_deep(source, _point(text, brackets.too_deep))
    surrogate = re.search("[\ud800-\udfff]", text)
    if surrogate is not None:
        raise KlorSyntaxError(
            Diagnostic(
                "read-error", "half of a surrogate pair is no character", _point(text, surrogate.start()),
                help="leave it out, or write the character that the pair stands for", source=source,
            )
        )  # fmt: skip
    try:
        yield from read_many(text.removeprefix("\ufeff"), filename=filename, reader=reader, skip_shebang=True)
    except HyLanguageError as error:
        if "recursion depth" in str(error):
            raise too_deep(source) from None
        raise read_failure(error, source, brackets) from None
    except RecursionError:
        raise too_deep(source) from None
    except ValueError as error:  # an integer literal beyond Python's limit of digits
        raise KlorSyntaxError(Diagnostic("read-error", str(error), Span(1, 1, 1, 1), source=source)) from None


def read_failure(error: HyLanguageError, source: Source, brackets: _Brackets) -> KlorSyntaxError:
    line, column = max(getattr(error, "lineno", None) or 1, 1), max(getattr(error, "offset", None) or 1, 1)
    span, label = Span(line, column, line, column), ""
    message = str(getattr(error, "msg", error))
    help_ = "look at the text just before this place"
    if isinstance(error, PrematureEndOfInput):
        message, help_ = "the text ends before the form does", "close it"
        if brackets.string is not None:
            span, label = _point(source.text, brackets.string), "this string is not closed"
        elif brackets.open:
            span, label = _point(source.text, brackets.open[-1]), "this bracket is not closed"
    elif message.startswith("Ran into a"):
        closing = message[len("Ran into a '") :][:1]
        message = f"'{closing}' closes nothing here"
        help_ = "leave it out, or open a bracket of its kind before"
        if brackets.mismatch is not None:
            opened = _point(source.text, brackets.mismatch)
            message = f"'{closing}' does not close the '{source.text[brackets.mismatch]}' of {opened}"
            help_ = "close each bracket with its own kind"
    elif "reader macro" in message:
        help_ = "define it with defreader, or require it, before it is used"
    return KlorSyntaxError(Diagnostic("read-error", message, span, label=label, help=help_, source=source))


#: Levels of brackets that are read. Hy's reader takes time cubic in the depth, and its compiler gives up soon after.
DEPTH = 100

_LEXEMES = re.compile(r'"(?:\\.|[^"\\])*("?)|;[^\n]*|[()\[\]{}]', re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class _Brackets:
    """What can be said of a text by its brackets and strings alone; places are offsets."""

    def __init__(self, text: str) -> None:
        self.open: list[int] = []
        self.string: int | None = None
        self.too_deep: int | None = None
        self.mismatch: int | None = None
        for match in _LEXEMES.finditer(text):
            lexeme = match[0]
            if lexeme[0] == '"' and not match[1]:
                self.string = match.start()
            elif lexeme in _CLOSING:
                self.open.append(match.start())
                if len(self.open) > DEPTH and self.too_deep is None:
                    self.too_deep = self.open[0]
            elif lexeme in ")]}" and self.open:
                opened = self.open.pop()
                if _CLOSING[text[opened]] != lexeme and self.mismatch is None:
                    self.mismatch = opened


def _point(text: str, offset: int) -> Span:
    before = text[:offset]
    line, column = before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
    return Span(line, column, line, column)


def too_deep(source: Source, span: Span | None = None) -> KlorSyntaxError:
    # Near the limit of recursion Hy forgets to take a model out of its list of those that it is looking at; a later
    # one at the same address would be taken for part of itself.
    getattr(hy.models, "_seen", set()).clear()
    return KlorSyntaxError(
        Diagnostic(
            "too-deep",
            "the forms are nested more deeply than can be compiled",
            span,
            help="give inner parts a name: a function, a choreography or a local",
            source=source,
        )
    )


# --- Compiling --------------------------------------------------------------------------------------------------------

#: Choreographies that a compiler has seen defined but that are not executed yet: name -> what the caller stores.
_COMPILED: WeakKeyDictionary[HyASTCompiler, dict[str, Any]] = WeakKeyDictionary()
_INLINE: WeakKeyDictionary[HyASTCompiler, dict[str, Any]] = WeakKeyDictionary()
_IMPORTS: WeakKeyDictionary[HyASTCompiler, dict[str, tuple[str, str | None]]] = WeakKeyDictionary()


class Compiler:
    """What the choreographic compiler needs of the Hy compiler that called its macro."""

    def __init__(self, hy_compiler: HyASTCompiler) -> None:
        self._hy = hy_compiler
        self.module: types.ModuleType = hy_compiler.module
        self.source = Source(hy_compiler.filename or "<string>", hy_compiler.source or "")
        self.this: Form = hy_compiler.this

    @property
    def compiled(self) -> dict[str, Any]:
        """What `defchor` noted in this compilation, by mangled name."""
        return _COMPILED.setdefault(self._hy, {})

    @property
    def inline(self) -> dict[str, Any]:
        """The scopes with a body of their own that were compiled in this compilation, by mangled name."""
        return _INLINE.setdefault(self._hy, {})

    def define(self, name: str) -> None:
        """Tell Hy's scope that `name` (mangled) is defined here."""
        self._hy.scope.define(name)

    def knows(self, name: str) -> bool:
        """Whether `name` (mangled) is bound where the macro was called, as far as can be known at this time."""
        scope = self._hy.scope
        while scope is not None:
            if name in getattr(scope, "defined", ()) or name in getattr(scope, "bindings", ()):
                return True
            scope = scope.parent
        return name in vars(self.module) or hasattr(builtins, name) or name in self._imports()

    def known_names(self) -> set[str]:
        """All names (mangled) that `knows` knows."""
        found = set(vars(self.module)) | set(dir(builtins)) | set(self._imports())
        scope = self._hy.scope
        while scope is not None:
            found.update(getattr(scope, "defined", ()), getattr(scope, "bindings", ()))
            scope = scope.parent
        return found

    def is_hidden(self, name: str) -> bool:
        """Whether a function or a `let` around the macro call binds `name` (mangled)."""
        scope = self._hy.scope
        while scope is not None and scope.parent is not None:
            if name in getattr(scope, "defined", ()) or name in getattr(scope, "bindings", ()):
                return True
            scope = scope.parent
        return False

    # A file is compiled before it runs, so what its `(import …)` forms bind is not there yet.

    def imported(self, name: str) -> tuple[str, str | None] | None:
        """Where the file's own import forms bind `name` (mangled): a module, and the attribute or None for itself."""
        return self._imports().get(name)

    def star_imports(self) -> list[str]:
        """The modules of which the file imports everything, the last first."""
        return [module for module, attribute in reversed(self._imports().values()) if attribute == "*"]

    def _imports(self) -> dict[str, tuple[str, str | None]]:
        found = _IMPORTS.get(self._hy)
        if found is None:
            found = _IMPORTS[self._hy] = {}
            if "(import" in self.source.text:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        forms = list(read_many(self.source.text, skip_shebang=True))
                    except (HyError, ValueError):  # reader macros that only the real reader has: nothing is known
                        forms = []
                for form in forms:
                    _collect_imports(form, self.module, found)
        return found

    def expand_once(self, form: Form) -> Form | None:
        """One step of a user's macro; None when the head is no user's macro, or its expansion is no form."""
        macro = self._user_macro(form)
        if macro is None:
            return None
        with self._keep_this():
            result = macroexpand(form, self.module, self._hy, once=True, result_ok=False)
        return None if result is form else result

    def _user_macro(self, form: Form) -> Callable[..., Any] | None:
        name = head_name(form)
        if name is not None and not name.strip("."):
            return None
        if name is None:
            name = dotted_name(form[0]) if isinstance(form, Expression) and form else None
            if name is None:
                return None
            if name.startswith("hy.R."):
                return _one_shot
        key = ".".join(map(mangle, name.split(".")))
        places: Iterable[Mapping[str, Any]] = (
            self._hy.extra_macros,
            *(state["macros"] for state in reversed(self._hy.local_state_stack)),
            getattr(self.module, "_hy_macros", {}),
        )
        core = builtins._hy_macros.get(key)  # type: ignore[attr-defined]
        for place in places:
            if key in place:
                found: Callable[..., Any] = place[key]
                return None if found is core else found
        return None

    def is_core_macro(self, name: str) -> bool:
        return mangle(name) in builtins._hy_macros  # type: ignore[attr-defined]

    def compile(self, form: Form, names: Mapping[str, str], is_async: bool) -> tuple[list[ast.stmt], ast.expr]:
        """Python for a host form: statements, and the expression of its value.

        `names` maps the (mangled) locals of the choreography to the Python names that stand for them; Hy's own
        renaming of `let` does it, so that shadowing inside the form is right. `is_async` allows `await`.
        """
        arguments = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        function = self._hy.scope.create(ScopeFn, arguments, is_async)
        with self._keep_this(), function:
            scope = self._hy.scope.create(ScopeLet)
            scope.bindings.update(names)
            with scope:
                result = self._hy.compile(form)
        return result.stmts, result.force_expr

    def pattern_names(self, pattern: list[Form], source: Source, span: Span) -> list[str] | KlorError:
        """The names that a pattern of `match` (with its `:as` and `:if`) binds, or why it is no pattern."""
        form = Expression([Symbol("match"), Symbol("None"), *pattern, Symbol("None")]).replace(pattern[0])
        try:
            statements, _ = self.compile(form, {}, True)
        except Exception as error:
            return as_klor_error(error, source, span)
        names: list[str] = []
        for statement in statements:
            for node in ast.walk(statement):
                if isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
                    names.append(node.name)
                elif isinstance(node, ast.MatchMapping) and node.rest:
                    names.append(node.rest)
        spelled = {mangle(name): name for name in _symbol_texts(pattern)}
        return [spelled.get(name, name) for name in dict.fromkeys(names)]

    def compile_body(self, forms: Iterable[Form]) -> Any:
        """The Hy result of `forms`, evaluated in turn where the macro was called."""
        total = Result()
        with self._keep_this():
            for form in forms:
                total += total.expr_as_stmt()
                total += self._hy.compile(form)
        return total

    @contextmanager
    def _keep_this(self) -> Iterator[None]:
        this = self._hy.this
        try:
            yield
        finally:
            self._hy.this = this


def _one_shot() -> None:
    """Stands for a macro that `hy.R` requires on the spot."""


#: Forms whose insides are no part of the module's own level.
_OWN_SCOPE = frozenset(("fn", "defn", "defclass", "defmacro", "quote", "quasiquote", "defchor"))


def _collect_imports(form: Form, module: types.ModuleType, found: dict[str, tuple[str, str | None]]) -> None:
    """Note what the import forms in a top-level form bind; also inside `when`, `try` and the like."""
    if head_name(form) in _OWN_SCOPE:
        return
    if head_name(form) != "import":
        if isinstance(form, Sequence):
            for inner in form:
                _collect_imports(inner, module, found)
        return
    parts = list(form[1:])
    while parts:
        target = parts.pop(0)
        name = _module_name(target, module)
        if name is None:
            continue
        if len(parts) >= 2 and parts[0] == Keyword("as"):
            found[mangle(str(parts[1]))] = (name, None)
            del parts[:2]
        elif parts and isinstance(parts[0], List):
            names = list(parts.pop(0))
            while names:
                original = mangle(str(names.pop(0)))
                alias = original
                if len(names) >= 2 and names[0] == Keyword("as"):
                    alias = mangle(str(names[1]))
                    del names[:2]
                found[alias] = (name, original)
        elif parts and parts[0] == Symbol("*"):
            parts.pop(0)
            found["*" + name] = (name, "*")
        else:
            # `(import a.b)` binds a; that a.b is to be imported is noted under the dotted name.
            found[name] = (name, None)
            found.setdefault(name.split(".")[0], (name.split(".")[0], None))


def _module_name(form: Form, module: types.ModuleType) -> str | None:
    if isinstance(form, Symbol) and str(form).strip("."):
        name: str = mangle(str(form))
        return name
    if isinstance(form, Symbol):
        form = Expression([form])
    if isinstance(form, Expression) and form and all(isinstance(part, Symbol) for part in form):
        head, parts = str(form[0]), [mangle(str(p)) for p in form[1:] if str(p) != "None"]
        if head.strip("."):
            return None
        # (. a b) is a.b, (. None a b) is .a.b, and (.. None a) is ..a; a lone dot is the package itself.
        dots = len(head) if len(form) == 1 or str(form[1]) == "None" else 0
        if not dots:
            return ".".join(parts)
        package = (getattr(module, "__package__", None) or module.__name__.rpartition(".")[0]).split(".")
        if package == [""] or dots > len(package):
            return None  # the import form itself will say that there is no package
        return ".".join([*package[: len(package) - dots + 1], *parts])
    return None


def hy_compiler(module: types.ModuleType, source: Source) -> HyASTCompiler:
    """A compiler of Hy for forms of one text."""
    return HyASTCompiler(module, filename=source.filename, source=source.text)


def compile_toplevel(
    form: Form, module: types.ModuleType, source: Source, reader: Any = None, compiler: HyASTCompiler | None = None
) -> tuple[ast.Module, ast.Expression]:
    """A top-level form as the statements to execute and the expression of its value.

    Forms that are compiled without being executed in between, as those of a file, share a `compiler`, which knows
    the choreographies that it has seen. Raises KlorError: as klorpy's macros raise it, or `hy-error` for what Hy
    itself refuses.
    """
    compiler = compiler or hy_compiler(module, source)
    try:
        with HyReader.using_reader(reader, create=False):
            body, value = hy_compile(
                form, module, get_expr=True, compiler=compiler, filename=source.filename, source=source.text
            )
    except Exception as error:
        raise_interrupt(error)
        raise as_klor_error(error, source, span_of(form)) from error.__cause__
    return body, value


def raise_interrupt(error: BaseException) -> None:
    """Raise the KeyboardInterrupt or SystemExit that Hy took for a macro's failure, if `error` stands for one."""
    cause = error.__context__
    if isinstance(error, HyLanguageError) and isinstance(cause, (KeyboardInterrupt, SystemExit)):
        raise cause


def as_klor_error(error: BaseException, source: Source, span: Span) -> KlorError:
    """What Hy raised while compiling the form at `span`, as a KlorError with a place in the user's text."""
    if isinstance(error, KlorError):
        return error
    if isinstance(error.__context__, KlorError):  # raised by a macro, and wrapped by Hy
        found = error.__context__.diagnostic
        return KlorSyntaxError(replace(found, span=found.span or span, source=found.source or source))
    text = str(getattr(error, "msg", None) or error)
    if isinstance(error, RecursionError) or "RecursionError" in text:
        return too_deep(source, span)
    slug, message = "hy-error", text.strip().partition("\n")[0]
    help_ = "look the form up in Hy's manual"
    pattern = re.match(r"parse error for pattern macro '(.+)': got unexpected (.+), expected: (.+)", message)
    if pattern:
        message = f"`{pattern[1]}` does not fit: Hy expects {pattern[3]}, and found {pattern[2]}"
    if isinstance(error, HyLanguageError):
        line, column = getattr(error, "lineno", None), getattr(error, "offset", None)
        # Without a text, the place is Hy's default and not the form's.
        known = bool(getattr(error, "text", None))
        if known and line is not None and column is not None and (span.line, 0) <= (line, column) <= (span.end_line, 10**9):
            width = getattr(error, "arrow_offset", None) or 0
            span = Span(line, column, line, column + max(width, 0))
        if text.startswith("expanding macro"):
            name, _, reason = text[len("expanding macro ") :].strip().partition("\n")
            slug, message = "macro-error", f"the macro {name} raised {' '.join(reason.split())}"
            help_ = "look at the macro and at what it was given"
    elif "Internal Compiler Bug" in text:
        message = "Hy's compiler failed: " + text.strip().splitlines()[-1]
    else:
        message = f"{type(error).__name__}: {text}"
    return KlorSyntaxError(Diagnostic(slug, message, span, help=help_, source=source))


_EXACT = "_klorpy_exact"


def exact(node: ast.AST) -> None:
    """Note that `node`, and all below it, has columns as Python means them."""
    setattr(node, _EXACT, True)


def shift_columns(nodes: Iterable[ast.AST], source: Source) -> None:
    """Make the columns that Hy gave to `nodes` and all below what Python means: from 0, in bytes of UTF-8.

    Nodes that klorpy emitted (see `exact`) have such columns already, with all below them.
    """
    lines, plain = source.lines, source.text.isascii()
    seen: set[int] = set()
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if id(node) in seen or hasattr(node, _EXACT):
            continue
        seen.add(id(node))
        todo.extend(ast.iter_child_nodes(node))
        if not hasattr(node, "lineno"):
            continue
        place: Any = node
        place.col_offset = byte_column(lines, plain, place.lineno, place.col_offset - 1)
        if getattr(place, "end_lineno", None) is not None and getattr(place, "end_col_offset", None) is not None:
            place.end_col_offset = byte_column(lines, plain, place.end_lineno, place.end_col_offset)


def byte_column(lines: Sequence_[str], plain: bool, line: int, column: int) -> int:
    if column <= 0:
        return 0
    if plain or not 0 < line <= len(lines):
        return column
    return len(lines[line - 1][:column].encode(errors="surrogatepass"))
