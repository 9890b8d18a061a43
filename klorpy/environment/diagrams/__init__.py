"""Pictures of choreographies: message sequence charts of runs, and graphs of who talks to whom.

    chart(simulate_chor(buy_book, order, catalogue))    what every role did, in order
    role_graph(buy_book)                                who may talk to whom, without running it

Both show themselves in a notebook, and have `svg()`, `text()`, `mermaid()` and `save(path)`.
"""

from klorpy.environment.diagrams.drawing import Drawing, check_path
from klorpy.environment.diagrams.graph import Graph, role_graph
from klorpy.environment.diagrams.sequence import Chart, chart

__all__ = ["Chart", "Drawing", "Graph", "chart", "check_path", "role_graph"]
