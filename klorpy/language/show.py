"""What the compiler knows of a choreography, as text: its signature and its projections."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.language.compiler import recompile

if TYPE_CHECKING:
    from klorpy.language.pipeline import Emitted


def signature(chor: Choreography) -> str:
    """The type of a choreography, roles in the order of its role vector. Raises KlorError `not-a-chor`.

    >>> from klorpy import evaluate
    >>> signature(evaluate("(defchor tell [A B] (-> A #{B A}) [x] (A=>B x))").tell)
    '(forall [A B] (-> A #{A B} | 0))'
    """
    return _checked(chor).signature.text


def project(chor: Choreography, role: Role) -> str:
    """The program of one role as readable Python: what runs, with the source of each command beside it.

    The checks of agreements that `sanitize` asks for are left out, and so is what counts the rounds of a loop for keys.

    Raises KlorError `not-a-chor`, `not-defined`, `role-not-part`.

    >>> from klorpy import evaluate
    >>> print(project(evaluate("(defchor tell [A B] (-> A B) [x] (A->B x))").tell, "B"))
    def tell_B(cast):
        A = cast[0]
        t = yield (RECEIVE, A, s0)  # (A->B x)
        return t
    """
    definition = _checked(chor).defined()
    role = str(role)
    if role not in definition.roles:
        raise KlorError(
            f"{role!r} is not a role of {chor.name}", slug="role-not-part", help=f"its roles are [{' '.join(definition.roles)}]"
        )
    emitted = recompile(definition)
    index = definition.roles.index(role)
    functions = [node for node in emitted.builder.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    leaves, projections = functions[: -len(definition.roles)], functions[-len(definition.roles) :]
    mine = projections[index]
    _without_checks(mine, {emitted.emitter.audit})
    used = {node.id for node in ast.walk(mine) if isinstance(node, ast.Name)}
    shown = [leaf for leaf in leaves if leaf.name in used]
    texts = [_commented(ast.unparse(node), emitted) for node in (*shown, mine)]
    return "\n\n".join(texts)


def _without_checks(function: ast.AST, flags: set[str]) -> None:
    """Leave out what runs under `sanitize` only, and what only keys need."""
    for node in ast.walk(function):
        for name in ("body", "orelse"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                kept = [s for s in block if not (isinstance(s, ast.If) and _names(s.test, flags))]
                block[:] = kept or ([ast.Pass()] if name == "body" else [])


def _names(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _commented(text: str, emitted: Emitted) -> str:
    """Python text with the form beside each command, and without the brackets that `ast.unparse` puts around yields."""
    by_name = dict(zip(emitted.emitter.sites, emitted.sites, strict=True))
    site_name = re.compile(r"\b(s\d+(?:_\d+)?)\)+$")
    lines = []
    for line in text.splitlines():
        line = re.sub(r"= \((yield .*)\)$", r"= \1", line)
        match = site_name.search(line)
        if match and match[1] in by_name and ("yield" in line or "RECEIVE" in line):
            form = by_name[match[1]].text
            line += f"  # {form if len(form) <= 60 else form[:59] + '…'}"
        elif line.strip() == "yield":
            line += "  # never reached: it makes this a generator"
        lines.append(line)
    return "\n".join(lines)


def _checked(chor: object) -> Choreography:
    if isinstance(chor, Choreography):
        return chor
    raise KlorError(
        f"{getattr(chor, '__name__', None) or repr(chor)} is not a choreography",
        slug="not-a-chor",
        help="give what defchor defined",
    )
