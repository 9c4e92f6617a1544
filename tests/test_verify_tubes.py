"""verify reads the tubes again: a changed cell of counts, landmarks, acquisitions and bridge tables is named."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest
from test_pipeline import GATES

from immunolab.results.record import read_run
from immunolab.schema.tables import ALL
from immunolab.simulation import Options, simulate
from immunolab.workflow.measured_again import _Job, _measured
from immunolab.workflow.run import run
from immunolab.workflow.verify import tube_differences

YAML = """study: bridged
sheet: samples.csv
panels: {surface: {strategy: gates.yaml}}
comparison: {before: W0, after: W10}
quality: {bridge: follow}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients, two batches, a bridging control in each, drawn gates that follow it: a run without figures."""
    place = tmp_path_factory.mktemp("bridged")
    drawn = {"visits": ["W0", "W10"], "events": 1500, "confounded": True}
    options = Options(bridges=True, truth_events=False)
    simulate("sle_nct02084238", patients=3, seed=5, folder=place / "study", **drawn, options=options)
    (place / "study" / "gates.yaml").write_text(GATES)
    (place / "study" / "study.yaml").write_text(YAML)
    run(place / "study", out=place / "out", tables_only=True, quiet=True)
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place"))


def test_tables_that_nobody_touched_come_out_again(made: Path) -> None:
    tables = made / "out" / "tables"
    assert all((tables / f"{name}.csv").exists() for name in ("bridge_moves", "bridge_channels", "acquisitions"))
    assert list(tube_differences(read_run(made / "out"))) == []


def test_a_changed_cell_of_each_table_is_named_with_its_row_and_column(place: Path) -> None:
    """Each cell but one of another row than the last is a number; the words of acquisitions are all it has."""
    cells: dict[str, list[tuple[int, str, object]]] = {
        "counts": [(-1, "n_events", 7)],
        "landmarks": [(-1, "median", 9.5), (0, "marker", "CD99")],
        "acquisitions": [(-1, "day", 7), (0, "batch", "B7")],
        "bridge_moves": [(-1, "move", 0.5), (0, "outcome", "refused")],
        "bridge_channels": [(-1, "median_raw", 1.0)],
        "bridges": [(-1, "run", 7), (0, "aliquot", "9")],
        "quality": [(-1, "message", "sound"), (0, "value", 7.0)],
    }
    changed = set()
    for name, own in cells.items():
        path = place / "out" / "tables" / f"{name}.csv"
        frame = ALL[name].read(path)
        for row, column, value in own:
            number = frame.index[row]
            frame.loc[number, column] = value
            changed.add((f"tables/{name}.csv", f"row {number + 2}", column))
        frame.to_csv(path, index=False)
    found = list(tube_differences(read_run(place / "out")))
    assert {(p.file, p.place.split(",")[0], p.message.split()[0]) for p in found} == changed


def test_a_check_across_tubes_that_the_tables_do_not_give_is_named(place: Path) -> None:
    path = place / "out" / "tables" / "quality.csv"
    frame = ALL["quality"].read(path)
    last = frame.iloc[-1].to_dict()
    planted = last | {"check": "identity", "value": 9.0, "limit": 3.0, "status": "warn", "message": "exchanged"}
    pd.concat([frame, pd.DataFrame([planted])], ignore_index=True).to_csv(path, index=False)
    (problem,) = tube_differences(read_run(place / "out"))
    assert problem.file == "tables/quality.csv"
    assert problem.message == f"{len(frame) + 1} rows, computed again {len(frame)}"


def test_a_run_of_a_bridge_that_was_taken_out_is_missed(place: Path) -> None:
    path = place / "out" / "tables" / "bridges.csv"
    frame = ALL["bridges"].read(path)
    frame[frame["sample_id"] != "B2_surface_bridge"].to_csv(path, index=False)
    (problem,) = tube_differences(read_run(place / "out"))
    assert (problem.file, problem.message) == (
        "tables/bridges.csv",
        f"{len(frame) // 2} rows, computed again {len(frame)}",
    )


@pytest.mark.parametrize("change", ["another tube's", "gone", "no archive"])
def test_events_that_stains_are_compared_by_are_those_of_the_file(place: Path, change: str) -> None:
    first, second = sorted((place / "out" / "samples").glob("*/staining.npz"))[:2]
    if change == "another tube's":
        shutil.copyfile(second, first)
    elif change == "gone":
        first.unlink()
    else:
        first.write_bytes(b"PK")
    (problem,) = tube_differences(read_run(place / "out"))
    assert problem.file == f"samples/{first.parent.name}/staining.npz"
    assert problem.message == "the events that stains are compared by are not those of the tube's file"


def test_a_tubes_work_can_be_sent_to_a_worker_and_back(made: Path) -> None:
    run = read_run(made / "out")
    job = _Job("B1_surface_bridge", run.folder, run.study, run.inputs, None, run.seed)
    found = pickle.loads(pickle.dumps(_measured(pickle.loads(pickle.dumps(job)))))
    own = run.table("counts")
    assert [row["n_events"] for row in found.counts] == list(own.loc[own["sample_id"] == job.name, "n_events"])


def test_a_tube_that_is_another_now_is_said_not_to_be_computed_again(place: Path) -> None:
    tube = next((place / "study" / "fcs").glob("*_W10.fcs"))
    other = next((place / "study" / "fcs").glob("*_W0.fcs"))
    shutil.copyfile(other, tube)
    (problem,) = tube_differences(read_run(place / "out"))
    assert tube.stem in problem.message
    assert problem.message.startswith("not computed again of")
    tube.unlink()
    (problem,) = tube_differences(read_run(place / "out"))
    assert problem.message.startswith("not computed again from the tubes' files")
