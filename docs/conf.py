"""The documentation as a site: `make docs`, or `sphinx-build -W docs docs/_build`."""

from __future__ import annotations

from typing import Any

from pygments.lexer import Lexer, do_insertions
from pygments.token import Generic, Text
from sphinx.application import Sphinx

import klorpy
from klorpy.environment.repl.lexer import KlorLexer

project = "klorpy"
author = "the authors of klorpy"
copyright = "the authors of klorpy"
release = version = klorpy.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
nitpicky = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
maximum_signature_line_length = 80

html_theme = "furo"
html_title = "klorpy"
html_static_path = ["_static"]
html_css_files = ["klorpy.css"]
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"


class PromptLexer(Lexer):
    """A session at klorpy's prompt: what is typed is klorpy's language, the rest is output."""

    name = "klorpy's prompt"
    aliases = ["repl"]

    def get_tokens_unprocessed(self, text: str) -> Any:
        language = KlorLexer(**self.options)
        code, insertions = "", []
        typing = False
        for line in text.splitlines(keepends=True):
            typing = line.startswith("=> ") or (typing and line.startswith("   ") and not _complete(code))
            if typing:
                if line.startswith("=> "):
                    yield from do_insertions(insertions, language.get_tokens_unprocessed(code))
                    code, insertions = "", []
                insertions.append((len(code), [(0, Generic.Prompt, line[:3])]))
                code += line[3:]
            else:
                yield from do_insertions(insertions, language.get_tokens_unprocessed(code))
                code, insertions = "", []
                yield 0, Generic.Output, line
        yield from do_insertions(insertions, language.get_tokens_unprocessed(code))


class CommandLexer(Lexer):
    """Commands after `$ `, and what they print. (The lexer of Pygments takes `#` for a prompt.)"""

    name = "commands"
    aliases = ["console"]

    def get_tokens_unprocessed(self, text: str) -> Any:
        for line in text.splitlines(keepends=True):
            if line.startswith("$ "):
                yield 0, Generic.Prompt, "$ "
                yield 2, Text, line[2:]
            else:
                yield 0, Generic.Output, line


def _complete(code: str) -> bool:
    return code.startswith(",") or sum(map(code.count, "([{")) <= sum(map(code.count, ")]}"))


def setup(app: Sphinx) -> None:
    app.add_lexer("hy", KlorLexer)
    app.add_lexer("repl", PromptLexer)
    app.add_lexer("console", CommandLexer)
