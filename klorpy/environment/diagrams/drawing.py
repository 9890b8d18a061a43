"""What every diagram can do: be shown as SVG, as text and as Mermaid, and be saved as any of them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from klorpy.core.diagnostics import KlorError
from klorpy.environment.present import Palette

_SUFFIXES = {".svg": "svg", ".txt": "text", ".mmd": "mermaid", ".mermaid": "mermaid"}


def check_path(path: str | os.PathLike[str]) -> None:
    """Raises KlorError `bad-argument` for a path that no diagram can be saved to."""
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise KlorError(
            f"cannot tell from the name {os.fspath(path)} what to write",
            slug="bad-argument",
            help="let it end in .svg for a picture, .txt for text, or .mmd for Mermaid",
        )
    if not Path(path).parent.is_dir():
        raise KlorError(
            f"cannot write {os.fspath(path)}: there is no folder {Path(path).parent}", slug="bad-argument", help="make it first"
        )


class Drawing(ABC):
    """A diagram. In a notebook it shows itself."""

    @abstractmethod
    def svg(self) -> str:
        """A picture as one SVG element, without scripts and without references to anything outside."""

    @abstractmethod
    def text(self, width: int | None = None, palette: Palette | None = None) -> str:
        """Lines of at most `width` cells (100 when it is None; not less than 20 in any case)."""

    @abstractmethod
    def mermaid(self) -> str:
        """The source of a Mermaid diagram, for GitHub, JupyterLab and others that draw it."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file: SVG (.svg), text (.txt) or Mermaid (.mmd).

        Raises KlorError `bad-argument` for other names, and for a file that cannot be written.
        """
        check_path(path)
        path = Path(path)
        content = getattr(self, _SUFFIXES[path.suffix.lower()])()
        try:
            path.write_text(content.rstrip("\n") + "\n", encoding="utf-8")
        except OSError as error:
            reason = error.strerror or str(error)
            raise KlorError(
                f"cannot write {path}: {reason}", slug="bad-argument", help="give a file in a folder that can be written to"
            ) from None

    def __str__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": self.text()}
