"""Hy forms to the surface tree: names resolved, macros expanded, every form known or reported."""

from klorpy.language.analyzer.context import Context
from klorpy.language.analyzer.definition import analyze_defchor, analyze_inline, read_header, read_inline

__all__ = ["Context", "analyze_defchor", "analyze_inline", "read_header", "read_inline"]
