"""Reports of large studies: memory that does not grow with the figures drawn, and pages beside the first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

DRAW = """
import json, resource, sys
from functools import partial
from pathlib import Path
import pandas as pd
from immunolab.plots.style import MM, WIDTH
from immunolab.report.figure import ReportFigure, on_axes, write_figure

def plot(ax):
    for i in range(40):
        ax.plot([0, 1], [i, i + 1])
        ax.text(0.5, i, f"line {i}")
    return ax

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

folder, peaks = Path(sys.argv[1]), []
for i in range(14):
    draw = partial(on_axes, plot, WIDTH, 250 * MM)
    write_figure(ReportFigure(f"flow_{i}", "gating", "", draw, pd.DataFrame(), suffixes=(".png",)), folder)
    peaks.append(peak())
print(json.dumps([peaks, "numba" in sys.modules]))
"""


def test_memory_does_not_grow_with_the_figures_drawn(tmp_path: Path) -> None:
    """Sixteen pages of gates took a process from 300 to 630 MiB; a figure's pixels were held three times."""
    done = subprocess.run([sys.executable, "-c", DRAW, str(tmp_path)], check=True, capture_output=True, text=True)
    peaks, numba = json.loads(done.stdout.splitlines()[-1])
    assert peaks[-1] - peaks[1] < 15  # MiB
    assert not numba
