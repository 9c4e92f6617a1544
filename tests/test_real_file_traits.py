"""What real files of other laboratories have, and was read as a fault or as a time that it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fcs_builder import write_fcs

import immunolab as il
from immunolab.events.tube import Channel, Tube
from immunolab.plots.steadiness import draw_steadiness
from immunolab.quality.cell_shares import cell_kinds, share_rows
from immunolab.quality.residual_spillover import stained_areas
from immunolab.quality.run_checks import run_rows
from immunolab.quality.steadiness import steadiness


@pytest.mark.parametrize(("step", "unit"), [("0.01", "s"), (None, "ticks of the clock")])
def test_times_are_seconds_only_where_the_file_says_how_long_a_tick_is(
    tmp_path: Path, step: str | None, unit: str
) -> None:
    events = np.random.default_rng(0).normal(500, 50, (6_000, 2))
    events[:, 1] = np.linspace(0, 262_143, 6_000)
    events[:600, 0] += 200  # a start at another level, which is cut
    keywords = {"$TIMESTEP": step} if step else {}
    path = write_fcs(tmp_path / "a.fcs", events, datatype="F", names=["PE-A", "Time"], keywords=keywords)
    tube = il.read_fcs(path)
    assert [channel.in_seconds for channel in tube.channels] == [False, step is not None]
    found = steadiness(tube)
    said = [row["message"] for row in run_rows(tube, found) if row["check"] == "time"]
    total = "2,621" if step else "262,143"
    assert said == [f"Time rises over {total} {unit}"]
    (cut,) = tube.clean().removed
    assert (cut.from_second is not None) == (step is not None)
    assert (" s)" in cut.message) == (step is not None)
    assert ("seconds" in draw_steadiness(tube, found).get_xlabel()) == (step is not None)


def test_cells_below_a_full_scatter_detector_are_no_debris() -> None:
    rng = np.random.default_rng(1)
    forward = np.minimum(rng.lognormal(np.log(2e5), 0.4, 6_000), 1.04e6)
    forward[:120] = 1.04e6  # clumps beyond the end of the detector: one value, as a hill of its own
    names = ("FSC-A", "FSC-H")
    tube = Tube(np.stack([forward, forward * 0.9]).astype(np.float32), tuple(Channel(n, kind="scatter") for n in names))
    (debris,) = [row for row in share_rows(tube, cell_kinds(tube)) if row["check"] == "debris"]
    assert (debris["status"], debris["value"]) == ("ok", 0.0)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["FL1 LogH", "FL1 LogA", "FL1 LinH", "FL1 LinA", "FL2 LogH", "FL2 LogA"], ["FL1 LogA", "FL2 LogA"]),  # S1400
        (["FL1", "FL2", "FL1-Peak-Lin", "FL2-Peak-Lin"], ["FL1", "FL2"]),  # Eclipse
        (["FL1-Height", "FL1-Area", "FL1-Log_Area", "FL2-Height"], ["FL1-Area", "FL2-Height"]),  # MoFlo
        (["FL1 INT LOG", "FL1 INT LIN", "FL2 INT LOG"], ["FL1 INT LOG", "FL2 INT LOG"]),  # Gallios
        (["BV421-A", "BV421-H", "PE-A", "PE-W"], ["BV421-A", "PE-A"]),
        (["Alexa Fluor 700-A", "PE", "APC-Cy7"], ["Alexa Fluor 700-A", "PE", "APC-Cy7"]),
    ],
)
def test_a_detector_recorded_in_several_forms_is_one_dye(names: list[str], kept: list[str]) -> None:
    columns = np.zeros((len(names), 10), dtype=np.float32)
    assert stained_areas(Tube(columns, tuple(Channel(name) for name in names))) == kept
