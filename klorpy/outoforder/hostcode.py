"""What a piece of host code touches, as far as its compiled text tells.

Given the Python that Hy made of a leaf and the names that it can see; result: the resources that it touches. A call
counts by what the called function declares (`klorpy.core.ordering`); a call of anything else, of a method for
instance, touches everything, and so do assignments to elements and attributes. Operators, collections and names touch
nothing.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from klorpy.core.ordering import barrier, declared, independent, resources
from klorpy.outoforder.flow import NOTHING, Touched, union

_UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True)
class Effects:
    touched: Touched
    reads: bool
    unordered: bool
    barrier: bool
    #: The functions that are called, innermost and leftmost first, by their names in the text.
    calls: tuple[str, ...]


def effects_of(
    nodes: list[ast.AST], local: frozenset[str], look: Callable[[str], Any], alias: Mapping[str, ast.expr]
) -> Effects:
    """The effects of Python code. `look` gives what a name means outside, or raises NameError; `alias` are locals that
    stand for a name, since it is read before what it is called with."""
    touched: Touched = NOTHING
    unordered = fence = reads = False
    calls: list[str] = []
    for node, free in _walk(nodes, alias):
        found: Touched = NOTHING
        if isinstance(node, ast.Call):
            named = _named(node.func, alias)
            function = _value(named, local, look)
            fence = fence or function is barrier
            found = NOTHING if function is barrier else resources(function)
            reads = reads or not (free or declared(function))
            calls.append(ast.unparse(named).rpartition(".")[2])
        elif _changes(node):
            found = None
        elif isinstance(node, ast.expr) and not isinstance(node, (ast.Name, ast.Constant, ast.Attribute)):
            reads = reads or not free
        elif isinstance(node, ast.Attribute):
            reads = reads or (not free and _value(node, local, look) is _UNKNOWN)
        if found is None or found:
            unordered = unordered or free
            touched = touched if free else union(touched, found)
    return Effects(touched, reads, unordered, fence, tuple(calls))


def _walk(nodes: list[ast.AST], alias: Mapping[str, ast.expr]) -> Iterator[tuple[ast.AST, bool]]:
    """Each node below, children first; and whether it stands inside `(independent …)`."""

    def visit(node: ast.AST, free: bool) -> Iterator[tuple[ast.AST, bool]]:
        inside = free or (isinstance(node, ast.Call) and _last_name(_named(node.func, alias)) == independent.__name__)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)
        yield node, free

    for node in nodes:
        yield from visit(node, False)


def _named(node: ast.expr, alias: Mapping[str, ast.expr]) -> ast.expr:
    return alias.get(node.id, node) if isinstance(node, ast.Name) else node


def is_name(node: ast.expr | None) -> bool:
    """Whether code is a name, or a name in a module, and no more."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _changes(node: ast.AST) -> bool:
    """Whether a node changes an object, or runs code that a call does not show."""
    match node:
        case ast.Attribute(ctx=ctx) | ast.Subscript(ctx=ctx):
            return not isinstance(ctx, ast.Load)
        case ast.Await() | ast.Import() | ast.ImportFrom() | ast.With() | ast.AsyncWith() | ast.AsyncFor():
            return True
        case _:
            return False


def _value(node: ast.expr, local: frozenset[str], look: Callable[[str], Any]) -> Any:
    """What a name, or a name in a module or a class, means; something unknown for all else."""
    match node:
        case ast.Name(id=name) if name not in local:
            try:
                return look(name)
            except NameError:
                return _UNKNOWN
        case ast.Attribute(value=value, attr=name):
            holder = _value(value, local, look)
            # An attribute of an object may be anything at another time; those of modules and classes stay.
            return getattr(holder, name, _UNKNOWN) if isinstance(holder, (types.ModuleType, type)) else _UNKNOWN
        case _:
            return _UNKNOWN
