"""The SVG that diagrams are made of: elements, escaped texts, colours for light and dark, estimated text widths.

A diagram paints its own background, since nobody can know on what it is shown: a notebook may be dark on a system that
is light. Colours are classes and not custom properties, no element refers to another, and all class names are below
one, so that several diagrams can stand in one page, and simple viewers show them too.
"""

from __future__ import annotations

from html import escape
from typing import Final

from klorpy.environment.diagrams.measure import cells

SANS: Final = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"
MONO: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"

#: The colours of the roles in the order of the terminal's: blue, green, magenta, cyan, yellow, red; light and dark.
ROLES: Final = (
    ("#2563eb", "#7aa7ff"), ("#15803d", "#5fd38d"), ("#a21caf", "#e58bf0"),
    ("#0e7490", "#4fd1e5"), ("#a16207", "#f2c744"), ("#c2362b", "#ff8a7a"),
)  # fmt: skip
#: What is not a role's: page, text, lesser text, lines, boxes, what went wrong, who waits, text on a role's colour.
_COLOURS: Final = {
    "page": ("#ffffff", "#15181e"), "ink": ("#1f2937", "#e6e9ef"), "dim": ("#667085", "#9aa4b2"),
    "rule": ("#d5d9e0", "#3a414d"), "box": ("#f6f7f9", "#20252d"), "bad": ("#c81e1e", "#ff7b72"),
    "wait": ("#b45309", "#f0b429"), "on": ("#ffffff", "#10131a"),
}  # fmt: skip


def role_class(column: int) -> str:
    return f"r{column % len(ROLES)}"


def _style() -> str:
    def colours(place: int) -> str:
        roles = [f".klorpy .r{i}{{color:{pair[place]}}}" for i, pair in enumerate(ROLES)]
        return "".join([*roles, *(f".klorpy .{name}{{color:{pair[place]}}}" for name, pair in _COLOURS.items())])

    # A text's own font size is in its class, so that the page around cannot change it.
    return (
        f".klorpy text{{fill:currentColor;font-family:{SANS};font-size:12px}}"
        f".klorpy .m{{font-family:{MONO}}}.klorpy .s{{font-size:11px}}.klorpy .n{{font-size:10px}}"
        ".klorpy .name{font-size:13px;font-weight:600}.klorpy .title{font-size:15px;font-weight:650}"
        f"{colours(0)}@media (prefers-color-scheme:dark){{{colours(1)}}}"
    )


STYLE: Final = _style()


def mono_width(text: str, size: float = 12) -> float:
    """The width of `text` in a monospaced font, a little too large for most of them."""
    return cells(text) * size * 0.61


def sans_width(text: str, size: float = 13) -> float:
    """The width of `text` in a proportional font, rather too large than too small."""
    return sum(_EM.get(char, 0.66 if char.isascii() else 0.62 * cells(char)) for char in text) * size


_EM: Final = {**dict.fromkeys("iIjl.,:;'|!()[]", 0.36), **dict.fromkeys("frt-/ ", 0.42), **dict.fromkeys("mwMWQO@%&", 0.95)}


def number(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


class Sheet:
    """An SVG picture under way: elements in the order in which they are painted."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def open(self, css: str = "", title: str = "") -> None:
        self.parts.append(f"<g{_class(css)}>" + (f"<title>{escape(title, quote=False)}</title>" if title else ""))

    def close(self) -> None:
        self.parts.append("</g>")

    def text(self, x: float, y: float, text: str, css: str = "", anchor: str = "middle") -> None:
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(
            f'<text x="{number(x)}" y="{number(y)}"{_class(css)}{at} xml:space="preserve">{escape(text, quote=False)}</text>'
        )

    def path(self, d: str, css: str = "", extra: str = 'fill="none" stroke="currentColor"') -> None:
        self.parts.append(f'<path d="{d}"{_class(css)} {extra}/>')

    def rect(self, x: float, y: float, width: float, height: float, css: str = "", extra: str = "", round: float = 0) -> None:
        corner = f' rx="{number(round)}"' if round else ""
        self.parts.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
            f"{corner}{_class(css)}{' ' + extra if extra else ''}/>"
        )

    def whole(self, width: float, height: float, title: str, description: str) -> str:
        """The picture with its title and its description, which are what a screen reader reads."""
        w, h = number(width), number(height)
        name = escape(title)
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="klorpy" role="img" aria-label="{name}" width="{w}" '
                f'height="{h}" viewBox="0 0 {w} {h}">',
                f"<title>{escape(title, quote=False)}</title>",
                f"<desc>{escape(description, quote=False)}</desc>",
                f"<style>{STYLE}</style>",
                f'<rect x="0.5" y="0.5" width="{number(width - 1)}" height="{number(height - 1)}" rx="10" class="page" '
                'fill="currentColor"/>',
                f'<rect x="0.5" y="0.5" width="{number(width - 1)}" height="{number(height - 1)}" rx="10" class="rule" '
                'fill="none" stroke="currentColor"/>',
                *self.parts,
                "</svg>",
            ]
        )


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""
