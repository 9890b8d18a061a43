"""All roles of a choreography in one process: deterministic, seeded, explorable."""

from klorpy.simulator.progress import Progress, watching
from klorpy.simulator.run import Exploration, explore, simulate_chor
from klorpy.simulator.simulation import ChoreographyFailed, Simulation

__all__ = ["ChoreographyFailed", "Exploration", "Progress", "Simulation", "explore", "simulate_chor", "watching"]
