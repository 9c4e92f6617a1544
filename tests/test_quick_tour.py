"""The code of docs/quick_tour.md, cell by cell as it is written, on the sample data and on tubes of another group."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from builders import REPOSITORY, data_folder
from few_figures import few_figures
from flowio import create_fcs

import immunolab as il
from immunolab.simulation import Options

CELLS = re.findall(
    r"^```python\n(.*?)^```$", (REPOSITORY / "docs" / "quick_tour.md").read_text(), re.MULTILINE | re.DOTALL
)
# What the tour calls its things, and what the spleen of a mouse has in their place.
SPLEEN = {
    '"treg_th17_tfh_teff"': '"gates.xml"',
    '"CD25", to=3000': '"NK1.1", to=(3000, None), population="NK1_1+"',
    '"Treg"': '"CD4 T cells"',
    'of="CD4"': 'of="T cells"',
    "treg_pct_cd4": "cd4_pct_t",
}


def run_tour(folder: Path, names: dict[str, str], prepared: dict[str, object]) -> dict[str, object]:
    """Run every cell in a folder, after the replacements, and return what the cells left."""
    space: dict[str, object] = dict(prepared)
    for number, cell in enumerate(CELLS, 1):
        for ours, theirs in names.items():
            cell = cell.replace(ours, theirs)
        try:
            exec(compile(cell, f"cell {number}", "exec"), space)
        except Exception as error:
            error.add_note(f"cell {number} of the tour:\n{cell}")
            raise
        plt.close("all")
    return space


def _panel(file: Path) -> None:
    tube = il.read_fcs(file)
    rows = [{"channel": channel.name, "marker": channel.marker} for channel in tube.channels if channel.marker]
    pd.DataFrame(rows).to_csv("panel.csv", index=False)


def _table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    people = [f"P{number}" for number in range(8)]
    before = random.lognormal(1.4, 0.3, 8)
    after = before * random.lognormal(0.5, 0.2, 8)
    values = np.concatenate([before, after])
    return pd.DataFrame({"id": people * 2, "visit": ["W0"] * 8 + ["W10"] * 8, "treg": values})


def _cells(folder: Path) -> None:
    options = Options(events=1_000, citeseq=250, truth_events=False)
    il.simulate("sle_nct02084238", patients=1, seed=3, folder=folder / "single", visits=["W0"], options=options)
    shutil.copy(folder / "single" / "cells" / "SLE001_W0_cells.h5ad", folder / "cells.h5ad")


def _sample_data(folder: Path) -> dict[str, object]:
    """Lay out three patients of sample_data under the names of the tour."""
    source = REPOSITORY / "sample_data" / "sle"
    sheet = pd.read_csv(source / "samples.csv", dtype=str)
    sheet = sheet[sheet["patient_id"].isin(["SLE001", "SLE002", "SLE003"])]
    for file in sheet["file"]:
        shutil.copy(source / file, folder / Path(file).name.replace("SLE00", "P0"))
    sheet["file"] = sheet["file"].str.replace("fcs/", "")
    sheet = sheet.apply(lambda column: column.str.replace("SLE00", "P0"))
    sheet.assign(panel=None).to_csv(folder / "samples.csv", index=False)
    (folder / "study.yaml").write_text(
        "study: tour\nsimulated: true\ntrial: sle_nct02084238\ncomparison: {before: W0, after: W10}\n"
    )
    return {"strategy": il.builtin_strategy("treg_th17_tfh_teff")}


_SPLEEN_STUDY = """study: spleen
sheet: samples.csv
panels: {spleen: {strategy: gates.xml, specimen: other}}
endpoints:
  - {id: cd4_pct_t, statistic: percent_of_parent, population: CD4 T cells, parent: T cells, source: the gates}
comparison: {before: W0, after: W10}
"""


def _spleen(folder: Path) -> dict[str, object]:
    """Part the events of FlowSOM's tube into two visits of three patients, with the expert's workspace beside them."""
    source = data_folder("flow/flowsom_68983")
    whole = il.read_fcs(source / "68983.fcs")
    names = [channel.name for channel in whole.channels]
    labels = [channel.label or "" for channel in whole.channels]
    matrix = whole.spillover
    written = ",".join(map(str, (len(matrix.channels), *matrix.channels, *matrix.matrix.ravel())))
    parts = np.random.default_rng(0).permutation(len(whole)) % 6
    rows = []
    for part in range(6):
        sample = f"P0{part // 2 + 1}_{('W0', 'W10')[part % 2]}"
        values = np.column_stack([whole.raw(name)[parts == part] for name in names])
        with (folder / f"{sample}.fcs").open("wb") as file:
            create_fcs(file, values.ravel(), names, labels, {"spillover": written})
        rows.append({"sample_id": sample, "patient_id": sample[:3], "visit": sample[4:], "file": f"{sample}.fcs"})
    pd.DataFrame(rows).assign(panel="spleen").to_csv(folder / "samples.csv", index=False)
    gated = il.gate(whole, source / "gating.wsp")
    gated.save(folder / "gates.xml")
    (folder / "study.yaml").write_text(_SPLEEN_STUDY)
    return {"strategy": gated.strategy}


@pytest.mark.parametrize(
    ("lay_out", "names", "population", "parent"),
    [(_sample_data, {}, "Treg", "CD4"), (_spleen, SPLEEN, "CD4 T cells", "T cells")],
    ids=["sample_data", "flowsom_68983"],
)
def test_the_tour_runs_as_written(
    lay_out: Callable[[Path], dict[str, object]],
    names: dict[str, str],
    population: str,
    parent: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared = lay_out(tmp_path)
    _cells(tmp_path)
    _panel(tmp_path / "P01_W0.fcs")
    tubes = [il.read_fcs(tmp_path / f"P01_{visit}.fcs") for visit in ("W0", "W10")]
    with few_figures():
        left = run_tour(tmp_path, names, {**prepared, "tubes": tubes, "table": _table()})
    gated, moved, run = left["gated"], left["moved"], left["run"]
    assert 0 < gated.percent(population, of=parent) < 100
    assert len(gated[population]) == np.count_nonzero(gated.mask(population))
    assert moved.strategy != gated.strategy
    assert [one.sample_id for one in left["many"]] == ["P01_W0", "P01_W10"]
    assert left["adata"].obs["immunolab_cluster"].nunique() == 20
    assert left["cells"].obs["immunolab_label"].notna().all()
    assert run.shifts["n_pairs"].max() == 3
    assert (tmp_path / "out" / "report.html").exists()
