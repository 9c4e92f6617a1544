"""Agreement of counts and events, and the command that gates files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import data_folder

from immunolab.cli import main
from immunolab.cli.words import DONE, INPUT_PROBLEM, SOME_FAILED
from immunolab.errors import InputError
from immunolab.events.tube import Channel, Tube
from immunolab.gating.agreement import agreement, event_agreement, masks_of_labels, read_reference_counts
from immunolab.gating.display_bins import bin_bounds
from immunolab.gating.exchange import read_workspace, write_gatingml
from immunolab.gating.exchange.workspace_model import BinnedGate
from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Polygon, Population, Rectangle, Strategy
from immunolab.schema.gating import COUNTS, FAILURES, THRESHOLDS

LINE = "flow/flowkit_bsd/simple_line_example"


def counts(*rows: tuple[str, str, str, int, int]) -> pd.DataFrame:
    names = ["sample_id", "population", "path", "n_events", "n_parent"]
    return pd.DataFrame(rows, columns=names)


def test_counts_there_and_here_are_joined_by_path_or_by_a_unique_name() -> None:
    here = counts(
        ("s", "root", "/", 1000, 1000),
        ("s", "T", "/T", 400, 1000),
        ("s", "IL-2", "/T/IL-2", 40, 400),
        ("s", "B", "/B", 5, 1000),
    )
    there = pd.DataFrame(
        [("s", "root", 1000), ("s", "root/T", 402), ("s", "IL-2", 39), ("s", "/NK", 7)],
        columns=["sample_id", "path", "n_events"],
    )
    bounds = {("s", "/T"): (395, 405), ("s", "/T/IL-2"): (40, 44)}
    table = agreement(here, there, binned=bounds).set_index("path")
    assert list(table.index) == ["/", "/T", "/T/IL-2", "/B", "/NK"]
    assert table.loc["/T", "difference"] == -2
    assert table.loc["/T", "difference_percent_of_parent"] == pytest.approx(-0.2)
    assert table.loc["/T/IL-2", "percent_of_parent_there"] == pytest.approx(100 * 39 / 402)
    assert table["flag"].fillna("").tolist() == ["", "display_bins", "", "only_here", "only_there"]


def test_bins_bound_counts_by_the_events_within_one_bin_of_an_edge() -> None:
    square = Polygon((Dimension("A"), Dimension("B")), ((10, 10), (50, 10), (50, 50), (10, 50)))
    strategy = Strategy(
        "s",
        (
            Population("/in", square),
            Population("/in/high", Rectangle((Dimension("B"),), (30.0,), (None,))),
            Population("/out", Boolean("not", ("/in",), (False,))),
            Population("/low", Rectangle((Dimension("A"),), (None,), (20.0,))),
        ),
    )
    # a bin is 2 wide and 4 high: the first is inside whatever the bins, the next four may be, the last two are not
    a = [30.0, 11.5, 8.5, 30.0, 30.0, 7.5, 30.0]
    b = [20.0, 40.0, 40.0, 13.5, 53.5, 40.0, 54.5]
    tube = Tube(np.array([a, b], dtype=np.float32), (Channel("A"), Channel("B")), sample_id="s")
    found = bin_bounds(strategy, {"/in": BinnedGate(square, (2.0, 4.0))}, tube)
    assert found == {"/in": (1, 5), "/in/high": (0, 3), "/out": (2, 6)}
    round_one = Ellipsoid(square.dimensions, (30.0, 30.0), ((400.0, 0.0), (0.0, 400.0)), 1.0)
    events = Tube(np.array([[30, 48.5, 51.5, 52.5], [30, 30, 30, 30]], np.float32), (Channel("A"), Channel("B")))
    one = Strategy("s", (Population("/e", round_one),))
    assert bin_bounds(one, {"/e": BinnedGate(round_one, (2.0, 2.0))}, events) == {"/e": (1, 3)}


def test_a_difference_that_bins_cannot_explain_is_not_put_down_to_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = data_folder("flow/flowsom_68983")
    text = (place / "gating.wsp").read_text(encoding="utf-8")
    assert text.count('count="10745"') == 1
    changed = tmp_path / "changed.wsp"
    changed.write_text(text.replace('count="10745"', 'count="9745"'), encoding="utf-8")  # T cells
    arguments = ["gate", str(place / "68983.fcs"), "--strategy", str(place / "gating.wsp"), "-o", str(tmp_path)]
    assert main([*arguments, "--against", str(changed)]) == DONE
    table = pd.read_csv(tmp_path / "agreement.csv").set_index("population")
    assert table.loc["T cells", "difference"] == 1002
    assert pd.isna(table.loc["T cells", "flag"])
    assert table.loc["B cells", "flag"] == "display_bins"
    assert "differences larger than such bins explain: 1" in capsys.readouterr().out


def test_precision_recall_and_f1_follow_their_definitions() -> None:
    here = {"/a": np.array([1, 1, 1, 0], bool), "/none": np.zeros(4, bool), "/only here": np.ones(4, bool)}
    there = {"/a": np.array([0, 1, 1, 1], bool), "/none": np.zeros(4, bool)}
    table = event_agreement(here, there, "s").set_index("path")
    assert table.loc["/a", ["precision", "recall", "f1"]].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert table.loc["/none", ["precision", "recall", "f1"]].isna().all()
    assert "/only here" not in table.index


def test_a_reference_without_a_needed_column_says_which_words_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("tube,population,count\na,T,1\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_reference_counts(path)
    assert "no column for sample_id" in str(caught.value)
    path.write_text("sample,population,count\na.fcs,T,1\na.fcs,B,many\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"row 3 .*not a number|not a number"):
        read_reference_counts(path)


def test_a_reference_may_have_a_column_for_each_population(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "Sample,root,CD3+/CD4 | Count,CD3+/CD4 | Freq. of Parent,B\na.fcs,100,30,75.1,7\nb.fcs,90,20,60.2,\n",
        encoding="utf-8",
    )
    table = read_reference_counts(path)
    assert sorted(map(tuple, table.to_numpy().tolist())) == [
        ("a", "B", 7),
        ("a", "CD3+/CD4", 30),
        ("a", "root", 100),
        ("b", "CD3+/CD4", 20),
        ("b", "root", 90),
    ]
    path.write_text("file,root,B\na.fcs,100,7\nb.fcs,many,7\n", encoding="utf-8")
    with pytest.raises(InputError, match="row 3"):
        read_reference_counts(path)


def test_a_workspace_agrees_with_its_table_of_counts(tmp_path: Path) -> None:
    place = data_folder("flow/symphony_foxp3_wsp")
    stored = pd.read_csv(place / "flowjo_counts.csv")
    words = ["--strategy", str(place / "workspace.wsp"), "--against", str(place / "flowjo_counts.csv")]
    assert main(["gate", *(str(place / file) for file in stored["file"]), *words, "-o", str(tmp_path)]) == DONE
    table = pd.read_csv(tmp_path / "agreement.csv")
    assert len(table) == 24
    assert table["difference"].notna().all()
    assert table["difference_percent_of_parent"].abs().max() < 0.15


def test_spleen_counts_are_within_two_thousandths_of_the_parent_of_flowjos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = data_folder("flow/flowsom_68983")
    gates = str(place / "gating.wsp")
    arguments = ["gate", str(place / "68983.fcs"), "--strategy", gates, "-o", str(tmp_path), "--against", gates]
    assert main(arguments) == DONE
    table = pd.read_csv(tmp_path / "agreement.csv").set_index("path")
    published = pd.read_csv(place / "flowsom_68983_counts.csv").iloc[1:].set_index("path")["count_flowjo"]
    assert (table.loc[published.index, "n_there"] == published).all()
    assert table["difference_percent_of_parent"].abs().max() < 0.2
    assert table["difference"].abs().max() == 13
    polygons = table.index[table["difference"] != 0]
    assert (table.loc[polygons, "flag"] == "display_bins").all()
    text = capsys.readouterr().out
    assert "largest difference 0.068 % of the parent (/Lymphocytes), at most 13 events" in text
    assert table[["precision", "recall", "f1"]].isna().all(axis=None)  # of gates compared with themselves
    assert "precision" not in text
    flags = pd.read_csv(tmp_path / "counts.csv")["flag"].fillna("")
    assert not flags.str.contains("staining").any()  # drawn by a person, with a far end on every axis
    assert (tmp_path / "figures" / "agreement.png").stat().st_size > 5_000


def test_spleen_labels_agree_cell_by_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = data_folder("flow/flowsom_68983")
    arguments = ["gate", str(place / "68983.fcs"), "--strategy", str(place / "gating.wsp"), "-o", str(tmp_path)]
    assert main([*arguments, "--against", str(place / "gatingResult.csv"), "--memberships"]) == DONE
    table = pd.read_csv(tmp_path / "agreement.csv").dropna(subset=["f1"]).set_index("population")
    with capsys.disabled():
        for label, row in table.iterrows():
            print(
                f"\n{label}: precision {row['precision']:.4f}, recall {row['recall']:.4f}, F1 {row['f1']:.4f}", end=""
            )
    assert set(table.index) == {"B cells", "CD4 T cells", "CD8 T cells", "NK cells", "NK T cells", "gd T cells"}
    assert table["f1"].min() > 0.999
    memberships = pd.read_parquet(tmp_path / "memberships" / "68983.parquet")
    tallies = COUNTS.read(tmp_path / "counts.csv").set_index("population")["n_events"]
    assert {name: int(memberships[name].sum()) for name in memberships} == tallies.drop("root").to_dict()


@pytest.fixture
def line(tmp_path: Path) -> Path:
    place = data_folder(LINE)
    shutil.copy(place / "data_set_simple_line_100.fcs", tmp_path / "line.fcs")
    return tmp_path


def ranges(path: Path, *channels: str) -> Path:
    populations = tuple(
        Population(f"/{name}", Rectangle((Dimension(name, compensation="none"),), (50_000.0,), (None,)))
        for name in channels
    )
    write_gatingml(Strategy("ranges", populations), path)
    return path


def test_the_command_writes_tables_gates_and_a_workspace_that_gate_alike(line: Path) -> None:
    gates = ranges(line / "in.xml", "channel_A", "channel_B")
    out = line / "out"
    assert (
        main(["gate", str(line / "line.fcs"), "--strategy", str(gates), "-o", str(out), "--wsp", str(out / "x.wsp")])
        == DONE
    )
    first = COUNTS.read(out / "counts.csv")
    borders = THRESHOLDS.read(out / "thresholds.csv")
    assert borders[["channel", "threshold_raw", "control"]].values.tolist() == [
        ["channel_A", 50_000.0, "imported"],
        ["channel_B", 50_000.0, "imported"],
    ]
    assert len(FAILURES.read(out / "failures.csv")) == 0
    for again in (out / "gates" / "line.xml", out / "x.wsp"):
        assert main(["gate", str(line / "line.fcs"), "--strategy", str(again), "-o", str(line / "again")]) == DONE
        pd.testing.assert_frame_equal(COUNTS.read(line / "again" / "counts.csv"), first)


def test_a_yaml_strategy_gates_too(line: Path) -> None:
    text = """strategy: probe
transform: {default: linear, scatter: linear}
populations:
  - {name: box, parent: root, polygon: {x: channel_A, y: channel_B, points: [[0, 0], [3e5, 0], [3e5, 3e5], [0, 3e5]]}}
"""
    (line / "s.yaml").write_text(text, encoding="utf-8")
    assert main(["gate", str(line / "line.fcs"), "--strategy", str(line / "s.yaml"), "-o", str(line / "out")]) == DONE
    assert COUNTS.read(line / "out" / "counts.csv")["n_events"].tolist() == [100, 100]


def test_unreadable_files_are_reported_and_the_others_done(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line / "text.fcs").write_text("not a cytometry file\n" * 20, encoding="utf-8")
    (line / "empty.fcs").write_bytes(b"")
    gates = ranges(line / "in.xml", "channel_A")
    files = [str(line / name) for name in ("absent.fcs", "text.fcs", "line.fcs", "empty.fcs")]
    assert main(["gate", *files, "--strategy", str(gates), "-o", str(line / "out"), "--jobs", "2"]) == SOME_FAILED
    said = capsys.readouterr().err
    for name in ("absent.fcs", "text.fcs", "empty.fcs"):
        assert str(line / name) in said
    assert "Traceback" not in said
    assert set(COUNTS.read(line / "out" / "counts.csv")["sample_id"]) == {"line"}
    failures = FAILURES.read(line / "out" / "failures.csv")
    assert set(failures["sample_id"]) == {"absent", "text", "empty"}
    assert set(failures["stage"]) == {"read"}
    assert main(["gate", *files[:2], "--strategy", str(gates), "-o", str(line / "none")]) == INPUT_PROBLEM


def test_all_that_stops_the_run_is_reported_at_once(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line / "b").mkdir()
    shutil.copy(line / "line.fcs", line / "b" / "line.fcs")
    (line / "bad.xml").write_text("<broken", encoding="utf-8")
    files = [str(line / "line.fcs"), str(line / "b" / "line.fcs"), str(line / "absent.fcs")]
    arguments = ["--strategy", str(line / "bad.xml"), "--against", str(line / "none.csv"), "-o", str(line / "out")]
    assert main(["gate", *files, *arguments]) == INPUT_PROBLEM
    said = capsys.readouterr().err
    assert "2 files share the stem 'line'" in said
    assert "is not well-formed XML" in said
    assert "none.csv  cannot be read" in said
    assert "there is no such file" in said
    assert "4 problems" in said
    assert not (line / "out").exists()


def test_a_shipped_strategy_is_named_without_a_path(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["gate", str(line / "line.fcs"), "-o", str(line / "out"), "--strategy"]
    assert main([*words, "treg_th17_tfh_tef"]) == INPUT_PROBLEM
    assert "no shipped strategy is named 'treg_th17_tfh_tef'\n    hint: did you mean" in capsys.readouterr().err
    assert main([*words, "treg_th17_tfh_teff"]) == SOME_FAILED
    assert "the panel lacks" in capsys.readouterr().err


def test_a_folder_is_no_file_and_a_file_no_folder(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--strategy", str(ranges(line / "in.xml", "channel_A")), "-o"]
    assert main(["gate", str(line), *words, str(line / "out")]) == INPUT_PROBLEM
    assert "is a folder, not a file" in capsys.readouterr().err
    assert main(["gate", str(line / "line.fcs"), *words, str(line / "in.xml")]) == INPUT_PROBLEM
    assert capsys.readouterr().err.startswith(str(line / "in.xml"))


def test_a_gate_on_an_absent_channel_fails_alone(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gates = ranges(line / "in.xml", "channel_A", "chanel_B")
    assert main(["gate", str(line / "line.fcs"), "--strategy", str(gates), "-o", str(line / "out")]) == SOME_FAILED
    said = capsys.readouterr().err
    assert "/chanel_B: marker or channel 'chanel_B' is not in the tube" in said
    assert "did you mean 'channel_B'?" in said
    assert COUNTS.read(line / "out" / "counts.csv")["path"].tolist() == ["/", "/channel_A"]
    assert len(FAILURES.read(line / "out" / "failures.csv")) == 1


def test_a_file_that_is_not_in_the_workspace_fails_and_the_other_one_is_done(line: Path) -> None:
    workspace = data_folder(LINE) / "single_ellipse_51_events.wsp"
    shutil.copy(line / "line.fcs", line / "data_set_simple_line_100.fcs")
    files = [str(line / "line.fcs"), str(line / "data_set_simple_line_100.fcs")]
    assert main(["gate", *files, "--strategy", str(workspace), "-o", str(line / "out")]) == SOME_FAILED
    done = COUNTS.read(line / "out" / "counts.csv")
    assert done["n_events"].tolist() == [100, 51]
    (failure,) = FAILURES.read(line / "out" / "failures.csv").to_dict("records")
    assert failure["sample_id"] == "line"
    assert "has no gates for this file" in failure["error"]
    assert "data_set_simple_line_100.fcs" in failure["hint"]


def test_labels_that_do_not_fit_the_events_are_refused(line: Path) -> None:
    (line / "labels.csv").write_text("T\n" * 7, encoding="utf-8")
    gates = ranges(line / "in.xml", "channel_A")
    arguments = ["gate", str(line / "line.fcs"), "--strategy", str(gates), "-o", str(line / "out")]
    assert main([*arguments, "--against", str(line / "labels.csv")]) == SOME_FAILED
    assert "7 labels for 100 events" in FAILURES.read(line / "out" / "failures.csv")["error"][0]


def test_labels_name_populations_by_name_only_where_it_is_unique() -> None:
    gate = Polygon((Dimension("A"), Dimension("B")), ((0, 0), (1, 0), (1, 1)))
    strategy = Strategy("s", tuple(Population(path, gate) for path in ("/T", "/T/IL-2", "/B", "/B/IL-2")))
    masks = masks_of_labels(["T", "IL-2", "/B/IL-2", "other"], strategy)
    assert {path: mask.tolist() for path, mask in masks.items()} == {
        "/T": [True, False, False, False],
        "/B/IL-2": [False, False, True, False],
    }


def test_counts_stated_by_a_workspace_are_kept_by_path() -> None:
    imported = read_workspace(data_folder(LINE) / "single_ellipse_51_events.wsp")
    assert imported.counts_for("data_set_simple_line_100.fcs") == {"/": 100, "/ellipse1": 51}


def test_a_flowjo_table_is_compared_with_gates_of_other_paths_by_name() -> None:
    from immunolab.workflow.gate_summary import agreement_text

    here = counts(
        ("s", "root", "/", 1000, 1000),
        ("s", "CD3", "/live/CD3", 500, 900),
        ("s", "CD4", "/live/CD3/CD4", 260, 500),
        ("s", "CD8", "/live/CD3/CD8", 200, 500),
    )
    there = pd.DataFrame(
        [("s", "root", 1000), ("s", "CD3+", 480), ("s", "CD3+/CD4+", 240), ("s", "CD3+/CD8-", 230)],
        columns=["sample_id", "path", "n_events"],
    )
    table = agreement(here, there).set_index("path")
    assert table.loc["/live/CD3/CD4", "difference"] == 20
    assert table.loc["/live/CD3/CD4", "percent_of_parent_there"] == pytest.approx(50.0)  # of its own parent there
    assert table.loc["/live/CD3/CD4", "path_there"] == "/CD3+/CD4+"
    assert table.loc["/live/CD3/CD8", "flag"] == "only_here"  # CD8- is no CD8
    text = agreement_text(table.reset_index())
    assert "the same by name: /CD3+/CD4+ there, /live/CD3/CD4 here" in text
    assert "no population here is called as these there: /CD3+/CD8-" in text


def test_only_all_events_are_the_root_of_another_program() -> None:
    here = counts(("s", "root", "/", 1000, 1000), ("s", "cells", "/cells", 500, 1000))
    there = pd.DataFrame(
        [("s", "root", 1000), ("s", "root/cells", 480), ("s", "rooted", 3)], columns=["sample_id", "path", "n_events"]
    )
    table = agreement(here, there).set_index("path")
    assert table["n_there"].to_dict() == {"/": 1000, "/cells": 480, "/rooted": 3}


def test_many_populations_are_summarised_by_their_largest_differences() -> None:
    from immunolab.workflow.gate_summary import agreement_text

    here = pd.DataFrame(
        {
            "sample_id": [f"S{i:03d}" for i in range(200)],
            "population": "CD4",
            "parent": "root",
            "path": "/CD4",
            "n_events": [500 + (25 if i == 150 else 0) for i in range(200)],
            "n_parent": 1000,
        }
    )
    there = here.assign(n_events=500)[["sample_id", "path", "n_events"]].drop(index=199)
    text = agreement_text(agreement(here, there))
    assert ["S199" in text.splitlines()[1], "S150" in text.splitlines()[2]] == [True, True]
    assert "the 60 largest differences, those of one side first, of 200" in text
    assert "199 populations counted on both sides; largest difference 2.500 % of the parent (/CD4)" in text
