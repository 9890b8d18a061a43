"""Pictures of choreographies: message sequence charts of runs, and graphs of who talks to whom."""

from klorpy.environment.diagrams.chart import Chart, chart
from klorpy.environment.diagrams.drawing import Drawing, check_path

__all__ = ["Chart", "Drawing", "chart", "check_path"]
