"""Collecting what the passes find."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from klorpy.core.diagnostics import Diagnostic
from klorpy.core.spans import Source
from klorpy.language.hy_adapter import KlorSyntaxError


@dataclass(slots=True)
class Report:
    """The errors and warnings of one definition, in the order in which they were found."""

    source: Source
    errors: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)

    def error(self, diagnostic: Diagnostic) -> None:
        found = replace(diagnostic, source=self.source)
        # One form gives one error of a kind, however often macros made a pass look at it.
        if not any(e.slug == found.slug and e.span == found.span and e.message == found.message for e in self.errors):
            self.errors.append(found)

    def warn(self, diagnostic: Diagnostic) -> None:
        self.warnings.append(replace(diagnostic, source=self.source))

    def check(self) -> None:
        """Raise KlorSyntaxError when there were errors."""
        if self.errors:
            raise KlorSyntaxError(*self.errors)
