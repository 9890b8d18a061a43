"""Message sequence charts as Mermaid's `sequenceDiagram`.

Roles are written `r0`, `r1`, …, and texts of the user's appear only where Mermaid takes the rest of the line as text.
All that means something to Mermaid or to HTML there is written as a character's number.
"""

from __future__ import annotations

import re

from klorpy.environment.diagrams.measure import shorten
from klorpy.environment.diagrams.model import Arrow, Closed, Gap, Model, Note, Opened, framed

#: Words that Mermaid's parsers look for anywhere in a line.
_WORDS = re.compile(r"\b(end|style|classDef|click|subgraph|graph)\b|(style|classDef)", re.IGNORECASE)
_LABEL = 60


def escape(text: str, limit: int = _LABEL) -> str:
    """`text`, shortened, as Mermaid shows it.

    >>> escape('end; # "x"')
    '#101;nd#59; #35; #34;x#34;'
    """
    safe = set(" .,()[]_-+*/=!?'")
    text = shorten(text, limit).strip()
    first_letters = {match.start() for match in _WORDS.finditer(text)}
    return "".join(
        char if (char.isalnum() or char in safe or ord(char) > 0x7F) and i not in first_letters else f"#{ord(char)};"
        for i, char in enumerate(text)
    ) or "#160;"


def render(model: Model) -> str:
    """The source of the diagram."""
    lines = ["sequenceDiagram", f"    accTitle: {escape(f'{model.title} - {model.summary}', 200)}"]
    for column, line in enumerate(model.lifelines):
        lines.append(f"    participant r{column} as {escape(line.role)}")
    everybody = _over(range(len(model.lifelines)))
    depth = 1
    for item in framed(model):
        indent = "    " * depth
        match item:
            case Opened():
                label = f"{item.frame.label} (continued)" if item.continued else item.frame.label
                lines.append(f"{indent}rect rgba(128, 128, 128, 0.12)")
                depth += 1
                lines.append(f"{indent}    Note over {_over(item.columns)}: {escape(label)}")
            case Closed():
                depth -= 1
                lines.append("    " * depth + "end")
            case Arrow(source=source, target=target):
                text = f"◇ {item.text}" if item.guard is not None else item.text
                arrow, text = ("-x", f"{text} (never received)") if item.lost else ("->>", text)
                lines.append(f"{indent}r{source}{arrow}r{target}: {escape(text)}")
            case Note(column=column, kind=kind, text=text):
                mark = {"printed": "", "failed": "✗ ", "waits": "… "}[kind]
                lines.append(f"{indent}Note over r{column}: {escape(mark + text)}")
            case Gap():
                lines.append(f"{indent}Note over {everybody}: {escape('⋮ ' + item.text)}")
    for column, line in enumerate(model.lifelines):
        if line.ending == "result":
            lines.append(f"    Note over r{column}: {escape('= ' + line.text)}")
    if model.trouble:
        lines.append(f"    Note over {everybody}: {escape(model.trouble, 120)}")
    return "\n".join(lines) + "\n"


def _over(columns: range | tuple[int, ...]) -> str:
    low, high = min(columns), max(columns)
    return f"r{low}" if low == high else f"r{low},r{high}"
