"""`il.qc`, `immunolab qc` and `il.pl.steadiness`: the worst tube first, each with its reason and picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import planted_faults as planted
import pytest
from matplotlib import pyplot as plt

import immunolab as il
from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.events.tube import Tube
from immunolab.schema.gating import QUALITY
from immunolab.simulation.fcs_writer import write_fcs

PLAN = replace(planted.plan_of(1), n_events=20_000, top=262_143.0, with_time=True)


def saved(tube: Tube, path: Path) -> Path:
    spill = (tube.spillover.channels, tube.spillover.matrix)
    names, labels = [c.name for c in tube.channels], [c.label for c in tube.channels]
    write_fcs(path, names, labels, tube.columns, spillover=spill)
    return path


@pytest.fixture(scope="module")
def steady() -> Tube:
    return planted.drawn(PLAN)


@pytest.fixture(scope="module")
def clogged(steady: Tube) -> Tube:
    return planted.clog(steady, np.random.default_rng(2))


def test_the_worst_tube_is_first_with_its_lights(steady: Tube, clogged: Tube) -> None:
    names = ("good", "clog", "step", "also good")
    half = planted.step(steady, np.random.default_rng(1))
    tubes = [replace(t, sample_id=n) for n, t in zip(names, (steady, clogged, half, steady), strict=True)]
    found = il.qc(tubes, quiet=True)
    assert found.samples == ["step", "clog", "good", "also good"]
    assert found.lights["run"].to_dict() == {"step": "fail", "clog": "warn", "good": "ok", "also good": "ok"}
    assert set(found.lights.drop(columns="run").to_numpy().ravel()) == {"ok"}
    assert list(found.warnings("good")["check"]) == []
    assert found.warnings("clog")["check"].iloc[0] == "steadiness"
    with pytest.raises(InputError, match="no tube of this name was checked"):
        found.warnings("god")
    assert list(found.removed["sample_id"].unique()) == ["clog"]
    assert found.table.attrs["table"] == QUALITY.name
    html = found._repr_html_()
    assert html.index("step") < html.index("clog") < html.index("also good")
    assert repr(found) == "TubeQuality(4 tubes: 1 fail, 1 warn, 2 ok)"


def test_doubled_doublets_are_found_beside_the_other_tubes() -> None:
    plan = replace(PLAN, n_events=8_000)
    tubes = [replace(planted.drawn(plan, salt=i), sample_id=f"T{i}") for i in range(6)]
    doubled = replace(planted.doubled_doublets(plan), sample_id="doubled")
    found = il.qc([*tubes, doubled], quiet=True)
    assert found.samples[0] == "doubled"
    assert not any(found.warnings(name)["check"].isin(["doublets"]).any() for name in found.samples[1:])
    assert not il.qc(doubled).warnings("doubled")["check"].isin(["doublets"]).any()  # alone it is below the limit
    assert any("the other tubes have" in text for text in found.warnings("doubled")["message"])


def test_what_is_no_tube_is_named() -> None:
    with pytest.raises(InputError, match="there is no tube"):
        il.qc([])
    with pytest.raises(InputError, match="int is neither a tube nor a file"):
        il.qc([3])


def test_files_that_are_not_there_are_all_named_before_any_is_read(tmp_path: Path) -> None:
    files = [tmp_path / "first.fcs", tmp_path / "second.fcs"]
    with pytest.raises(InputError, match=r"(?s)first\.fcs.*does not exist.*second\.fcs.*does not exist"):
        il.qc(files)


def test_a_folder_in_place_of_its_files_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)this is a folder.*name its files: .*\*\.fcs"):
        il.qc(tmp_path)


def test_a_link_whose_file_is_gone_fails_alone(steady: Tube, tmp_path: Path) -> None:
    (tmp_path / "lost.fcs").symlink_to(tmp_path / "nowhere.fcs")
    found = il.qc([tmp_path / "lost.fcs", saved(steady, tmp_path / "kept.fcs")])
    header = found.table.query("sample_id == 'lost'")
    assert list(header["status"]) == ["fail"]
    assert "cannot be read" in header["message"].iloc[0]
    assert "kept" in found.samples


def test_a_panel_that_cannot_be_read_is_no_fault_of_the_tubes(steady: Tube, tmp_path: Path) -> None:
    tube = saved(steady, tmp_path / "good.fcs")
    (tmp_path / "panel.csv").write_text("channel,marker\n,CD4\n")
    for panel in ("absent.csv", "panel.csv"):
        with pytest.raises(InputError, match=panel):
            il.qc(tube, panel=tmp_path / panel)


def test_the_command_writes_a_page_and_tables(
    steady: Tube, clogged: Tube, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = saved(steady, tmp_path / "good.fcs"), saved(clogged, tmp_path / "bad <b>.fcs")
    broken = tmp_path / "broken.fcs"
    broken.write_bytes(b"FCS3.0 no")
    out = tmp_path / "out"
    assert main(["qc", str(good), str(bad), str(broken), "-o", str(out), "--quiet"]) == 3
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("fail  broken: cannot be read")
    assert "1 of 3 tubes without a warning" in said
    table = pd.read_csv(out / "quality.csv")
    assert list(table["sample_id"].unique()) == ["broken", "bad <b>", "good"]
    assert list(table.columns) == QUALITY.names
    cut = pd.read_csv(out / "removed_stretches.csv")
    assert set(cut["reason"]) == {"clog"}
    page = (out / "quality.html").read_text()
    assert page.count("data:image/png;base64") == 2
    assert page.index("broken") < page.index("bad &lt;b&gt;") < page.index(">good<")
    assert "<b>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert main(["qc", str(tmp_path / "absent.fcs"), "-o", str(out)]) == 1


def test_the_picture_marks_what_is_cut_and_shows_the_run_after_cutting(clogged: Tube) -> None:
    ax = il.pl.steadiness(clogged)
    assert [text.get_text() for text in ax.texts] == ["cut"]
    seconds = clogged.columns[-1] - clogged.columns[-1, 0]
    [span] = [patch for patch in ax.patches if patch.get_alpha() == 0.15]
    assert span.get_x() == pytest.approx(seconds[6_000], rel=0.05)
    assert span.get_x() + span.get_width() == pytest.approx(seconds[8_000], rel=0.05)
    assert ax.get_xlim()[1] == pytest.approx(seconds[-1], rel=0.01)
    after = il.pl.steadiness(clogged.clean())
    assert [text.get_text() for text in after.texts] == []
    few = il.pl.steadiness(clogged.take(np.arange(100)))
    assert "too few events" in few.texts[0].get_text()
    plt.close("all")
