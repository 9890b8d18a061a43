"""The macros that `(require klorpy *)` gives: `defchor`, `update`, `defprotocol`, `with-opts`, `alter-opts!`, and the names of the
language.

The forms of the language mean something inside a choreography only; there the analyzer reads them, and these macros
are never expanded. Anywhere else they say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hy.macros import macro

from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.language import options
from klorpy.language.compiler import compile_defchor, compile_scope, compile_update
from klorpy.language.hy_adapter import (
    Compiler,
    Dict,
    Expression,
    Form,
    HyASTCompiler,
    Integer,
    KlorSyntaxError,
    String,
    Symbol,
    as_data,
    mangle,
    show_form,
    span_of,
)


@macro("defchor")
def defchor(_hy_compiler: HyASTCompiler, *forms: Form) -> Any:
    """Define a choreography, `(defchor name [R+] T [param*] body*)`, or declare it, `(defchor name [R+] T)`."""
    return _compiled(Compiler(_hy_compiler), compile_defchor)


@macro("update")
def update(_hy_compiler: HyASTCompiler, *forms: Form) -> Any:
    """Give a choreography that is there a new body, `(update name [R+] T [param*] body*)`, which scopes take at their next entry;
    for a scope that stands inside of a definition `(update name body*)` will do."""
    return _compiled(Compiler(_hy_compiler), compile_update)


def _compiled(compiler: Compiler, compile: Callable[[Compiler, Form], Any]) -> Any:
    this = compiler.this
    try:
        return compile(compiler, this)
    except KlorError:
        raise
    except Exception as error:
        raise _error(compiler, this, "internal", f"klorpy failed: {type(error).__name__}: {error}",
                     "this is a bug in klorpy; please report it with the text of the choreography") from error  # fmt: skip


@macro("defprotocol")
def defprotocol(_hy_compiler: HyASTCompiler, *forms: Form) -> Any:
    """Declare a protocol: `(defprotocol Name [Role …] what-happens …)`."""
    compiler = Compiler(_hy_compiler)
    this = compiler.this
    if len(forms) < 2 or not isinstance(forms[0], Symbol):
        raise _error(compiler, this, "bad-protocol", "defprotocol takes a name and the roles",
                     "write (defprotocol Name [Role …] what-happens …)")  # fmt: skip
    # The theory of protocols stands on its own, and is loaded when a protocol is declared. What it gets is the text, so
    # that its errors underline it.
    span = span_of(this)
    text = compiler.source.slice(span)
    if not text.startswith("(defprotocol"):
        # A macro made this form: the text is not there.
        text = show_form(this)
    function = Expression(map(Symbol, (".", "hy", "I", "klorpy", "protocol")))
    call = Expression([
        function, String(text), String(compiler.source.filename), Integer(span.line), Integer(span.column),
        Expression([Symbol("globals")]),
    ])  # fmt: skip
    compiler.define(mangle(str(forms[0])))
    definition = Expression([Symbol("setv"), forms[0], call])
    return Expression([Symbol("do"), definition, forms[0]]).replace(this)


@macro("with-opts")
def with_opts(_hy_compiler: HyASTCompiler, *forms: Form) -> Any:
    """Compile definitions under options: `(with-opts {:verify {:agreement True}} (defchor …) …)`."""
    compiler = Compiler(_hy_compiler)
    this = compiler.this
    if not forms or not isinstance(forms[0], Dict):
        raise _error(compiler, this, "bad-option", "with-opts takes options and definitions",
                     "write (with-opts {:verify {:agreement True}} (defchor …) …)")  # fmt: skip
    try:
        with options.using(as_data(forms[0])):
            return compiler.compile_body(forms[1:])
    except ValueError:
        raise _error(compiler, forms[0], "bad-option", "options are written out, not computed",
                     "write them as literals, or set them with (alter-opts! f …)") from None  # fmt: skip
    except KlorError as error:
        raise _placed(compiler, forms[0], error) from None


@macro("alter-opts!")
def alter_opts(_hy_compiler: HyASTCompiler, *forms: Form) -> Any:
    """Change the options of all definitions that follow: `(alter-opts! {…})` or `(alter-opts! f arg*)`."""
    compiler = Compiler(_hy_compiler)
    this = compiler.this
    if not forms:
        raise _error(compiler, this, "bad-option", "alter-opts! takes options, or a function and its arguments",
                     "write (alter-opts! {:verify {:agreement True}})")  # fmt: skip
    try:
        if not isinstance(forms[0], Dict):
            # Definitions are compiled before the module runs, so the function has to be known by then.
            try:
                options.alter_opts(*[_hy_compiler.eval(form) for form in forms])
            except KlorError:
                raise
            except Exception as error:
                reason = f"{show_form(this)} raised {type(error).__name__}: {error}"
                raise _error(compiler, forms[0], "bad-option", reason,
                             "give options, or a function that makes new ones of the present ones") from None  # fmt: skip
            return Symbol("None")
        data = as_data(forms[0])
        options.alter_opts(data)
    except ValueError:
        raise _error(compiler, forms[0], "bad-option", "options are written out, not computed",
                     "write them as literals, or give a function: (alter-opts! f …)") from None  # fmt: skip
    except KlorError as error:
        raise _placed(compiler, forms[0], error) from None
    # Once more when the module runs, for the time that it is loaded from bytecode.
    call = [Expression(map(Symbol, (".", "hy", "I", "klorpy", "alter_opts"))), data]
    return Expression(call).replace(this)


def _error(compiler: Compiler, form: Form, slug: str, message: str, help: str) -> KlorSyntaxError:
    span = span_of(form, span_of(compiler.this))
    return KlorSyntaxError(Diagnostic(slug, message, span, help=help, source=compiler.source))


def _placed(compiler: Compiler, form: Form, error: KlorError) -> KlorError:
    """`error` with the place of `form`, unless it has one."""
    if error.span is not None:
        return error
    return _error(compiler, form, error.slug, error.message, error.help)


#: Forms of the language by their usage.
FORMS: Final = {
    "lifting": "(lifting [Role …] expr …)",
    "copy": "(copy [Sender Receiver] expr)",
    "narrow": "(narrow [Role …] expr)",
    "pack": "(pack expr …)",
    "unpack": "(unpack [[name …] expr …] body …)",
    "agree!": "(agree! expr …)",
    "agree": "(agree expr …)",
    "chor": "(chor (-> T …) [param …] body …)",
    "inst": "(inst name [Role …])",
    "loop": "(loop [name expr …] body …)",
    "recur": "(recur expr …)",
    "scope": "(scope name [Role …] body …) or (scope (name [Role …] expr …))",
}


def _outside(name: str, usage: str) -> None:
    def form(_hy_compiler: HyASTCompiler, *forms: Form) -> Any:
        compiler = Compiler(_hy_compiler)
        if name == "scope" and (found := _compiled(compiler, compile_scope)) is not None:
            return found
        raise _error(compiler, compiler.this, "unsupported-form", f"`{name}` means something in a choreography only",
                     f"write {usage} inside a defchor")  # fmt: skip

    macro(name)(form)


for _name, _usage in FORMS.items():
    _outside(_name, _usage)
