"""Virtual trials with known truth, written as real FCS files.

Shares nothing with the gating: truth comes from the cells that were drawn.
"""

from immunolab.simulation.counts import simulate_counts
from immunolab.simulation.model import Options
from immunolab.simulation.study_files import simulate

__all__ = ["Options", "simulate", "simulate_counts"]
