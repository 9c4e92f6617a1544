"""What a notebook answers to what users get wrong most often: each message in full, as it is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from builders import REPOSITORY
from fcs_builder import write_fcs
from planted import planted_tube

import immunolab as il
from immunolab.errors import ImmunolabError
from immunolab.events.transforms import Log
from immunolab.events.tube import Tube
from immunolab.gating.tubes import GatedTube

MARKERS = ("CD3", "CD4", "CD8", "CD25")
HAS = "FSC-A, FSC-H, SSC-A, CD3, CD4, CD8, CD25"
FCS = REPOSITORY / "sample_data" / "sle" / "fcs"


@cache
def _tube() -> Tube:
    return replace(planted_tube(0, 2_000, sample_id="P01_W0", markers=MARKERS)[0], file="P01_W0.fcs")


def _strategy() -> il.Strategy:
    return (
        il.Strategy("mine")
        .add("CD3", {"above": {"marker": "CD3", "at": 600}})
        .add("CD4", {"rectangle": {"CD4": [700, None], "CD8": [None, 1200]}}, parent="CD3")
        .add("CD8", {"rectangle": {"CD4": [None, 700], "CD8": [1500, None]}}, parent="CD3")
        .add("Treg", {"above": {"marker": "CD25", "at": 1000}}, parent="CD4")
        .add("Tconv", {"not": "Treg"}, parent="CD4")
    )


@cache
def _gated() -> GatedTube:
    return il.gate(_tube(), _strategy())


@cache
def _on_log() -> GatedTube:
    strategy = il.Strategy("log", settings={"transform": {"default": Log(262144, 4.5)}})
    return il.gate(_tube(), strategy.add("CD25hi", {"above": {"marker": "CD25", "at": 500}}))


def _table() -> pd.DataFrame:
    values = np.random.default_rng(0).uniform(2, 9, 12)
    return pd.DataFrame({"id": [p for p in "abcdef" for _ in "12"], "visit": ["W0", "W10"] * 6, "treg": values})


def _compare(table: pd.DataFrame | str | None = None, **changed: object) -> object:
    words = {"patient": "id", "visit": "visit", "before": "W0", "after": "W10", "value": "treg", "unit": "%"}
    return il.compare(_table() if table is None else table, **(words | changed))  # type: ignore[arg-type]


def _polygon(points: list[tuple[float, float]]) -> il.Strategy:
    return _strategy().add("p", {"polygon": {"x": "CD25", "y": "CD8", "points": points}}, parent="CD4")


def _cells() -> anndata.AnnData:
    genes = ["CD3E", "CD3D", "CD4", "CD8A", "FOXP3", "IL2RA", "IL7R", "CCR7", "MS4A1", "NKG7", "LYZ", "CD14"]
    return anndata.AnnData(
        np.random.default_rng(0).normal(size=(60, len(genes))).astype(np.float32), var=pd.DataFrame(index=genes)
    )


def _columns_of_their_own(folder: Path) -> object:
    (folder / "panel.csv").write_text("chan;mark\nBV421-A;CD25\n")
    return il.read_fcs(FCS / "SLE001_W0.fcs", panel=folder / "panel.csv")


def _other_workspace(folder: Path) -> object:
    path = folder / "A.fcs"
    write_fcs(path, _tube().columns.T, [channel.name for channel in _tube().channels])
    _gated().save(folder / "gates.wsp")
    return il.gate(il.read_fcs(path), folder / "gates.wsp")


Mistake = tuple[str, Callable[[Path], object], str]
MISTAKES: list[Mistake] = [
    (
        "a marker that the tube lacks",
        lambda _: _tube()["CD127"],
        f"P01_W0  marker or channel 'CD127' is not in the tube\n    hint: the tube has: {HAS}",
    ),
    (
        "a misspelt marker",
        lambda _: _tube()["CD-25"],
        f"P01_W0  marker or channel 'CD-25' is not in the tube\n    hint: did you mean 'CD25'? the tube has: {HAS}",
    ),
    (
        "an unknown population",
        lambda _: _gated()["Tregs"],
        "P01_W0  there is no population 'Tregs'\n"
        "    hint: did you mean 'Treg'? populations: CD3, CD4, CD8, Treg, Tconv",
    ),
    (
        "a marker asked of populations",
        lambda _: _gated()["CD25"],
        "P01_W0  there is no population 'CD25'\n"
        "    hint: it is a channel: tube['CD25'], or gated['Tconv', 'CD25'] in a population; "
        "populations: CD3, CD4, CD8, Treg, Tconv",
    ),
    (
        "a path that is a folder",
        lambda _: il.read_fcs(FCS),
        f"{FCS}  the file cannot be opened: Is a directory\n"
        f"    hint: it is a folder: name a file in it, such as '{FCS / 'SLE001_W0.fcs'}'",
    ),
    (
        "a misspelt file",
        lambda _: il.read_fcs(FCS / "SLE001W0.fcs"),
        f"{FCS / 'SLE001W0.fcs'}  the file cannot be opened: No such file or directory\n"
        "    hint: did you mean 'SLE001_W0.fcs'? check the path",
    ),
    (
        "a panel with other column names",
        _columns_of_their_own,
        "{folder}/panel.csv:line 1  no column for the channel; there are: chan;mark\n"
        "    hint: did you mean 'channel'? name it one of: channel, fcs_colname, $pnn, pnn, detector, parameter, name, "
        "fcs channel, column\n"
        "{folder}/panel.csv:line 1  no column for the marker; there are: chan;mark\n"
        "    hint: did you mean 'marker'? name it one of: marker, antigen, target, protein, $pns, pns, desc, label, "
        "description\n"
        "2 problems",
    ),
    (
        "a panel of another instrument",
        lambda _: il.read_fcs(FCS / "SLE001_W0.fcs", panel={"FL1-H": "CD4"}),
        "panel  none of its channels is in the tube: FL1-H\n"
        "    hint: the tube has: FSC-A, FSC-H, SSC-A, BUV395-A, BUV496-A, BV421-A, BV510-A, BV605-A, BV650-A, BV711-A, "
        "BV786-A, FITC-A, PerCP-Cy5-5-A, PE-A, PE-CF594-A, PE-Cy7-A, Alexa Fluor 647-A, Alexa Fluor 700-A, "
        "APC-eFluor780-A, Time",
    ),
    (
        "a file instead of a tube",
        lambda _: il.gate("P01.fcs", "cytof"),  # type: ignore[call-overload]
        "tubes  'P01.fcs' is not a tube\n    hint: read the files first: gate(immunolab.read_fcs(file), strategy)",
    ),
    (
        "a list without tubes",
        lambda _: il.gate([], "cytof"),
        "tubes  there is no tube\n"
        "    hint: no file was found? look at the pattern that names them, and read each with read_fcs(file)",
    ),
    (
        "two tubes of one name",
        lambda _: il.gate([_tube(), _tube()], "cytof"),
        "P01_W0  two tubes have the same sample_id\n    hint: give each its own: read_fcs(file, sample_id='P01_W0')",
    ),
    (
        "a workspace without that tube",
        _other_workspace,
        "{folder}/A.fcs  {folder}/gates.wsp has no gates for this file\n    hint: it has gates for: P01_W0.fcs",
    ),
    (
        "a strategy that is not shipped",
        lambda _: il.gate(_tube(), "treg_th17"),
        "no shipped strategy is named 'treg_th17'\n"
        "    hint: did you mean 'treg_th17_tfh_teff'? "
        "shipped strategies: cytof, th_ics, treg_foxp3, treg_th17_tfh_teff",
    ),
    (
        "an unknown parent",
        lambda _: _strategy().add("Th17", "CCR6+", parent="memory"),
        "mine:parent  there is no population 'memory'\n    hint: populations: root, CD3, CD4, CD8, Treg, Tconv",
    ),
    (
        "a phenotype without levels",
        lambda _: _strategy().add("naive", "CD45RA CCR7+", parent="CD4"),
        "mine:where  'CD45RA' has no level\n"
        "    hint: write each marker with its level: CD4+ CD25hi CD127lo CD45RA- HLA-DR+ FOXP3int",
    ),
    (
        "a polygon of two vertices",
        lambda _: _polygon([(1000, 0), (5000, 300)]),
        "mine:polygon.points  at least 3 points [x, y] are needed\n    hint: write points: [[x, y], ...] with numbers",
    ),
    (
        "a polygon that crosses itself",
        lambda _: _polygon([(1000, 0), (5000, 300), (5000, 0), (1000, 300)]),
        "mine:polygon.points  the polygon crosses itself: its edges 1-2 and 3-4 meet\n"
        "    hint: give the corners in the order around the gate",
    ),
    (
        "ends the wrong way round",
        lambda _: _strategy().add("r", {"rectangle": {"CD25": [3000, 10]}}),
        "mine:rectangle.CD25  the low end 3000 is not below the high end 10\n    hint: write [low, high]",
    ),
    (
        "a move of an unknown marker",
        lambda _: _gated().move("CD127", to=3000),
        "mine:move CD127  no gate has a border on 'CD127', and no population is called so\n"
        "    hint: borders are on CD3, CD4, CD8, CD25",
    ),
    (
        "a move of a border that is at two places",
        lambda _: _gated().move("CD8", to=900),
        "mine:move CD8  it has borders at several places: 1,200 (CD4); 1,500 (CD8)\n"
        "    hint: say which: move('CD8', to=..., population='CD4'), or for all: population=['CD4', 'CD8']",
    ),
    (
        "a number in quotes",
        lambda _: _gated().move("CD25", to="3000"),  # type: ignore[arg-type]
        "mine:move CD25  '3000' is text\n    hint: give a number in instrument units: to=3000",
    ),
    (
        "a negative number on a log scale",
        lambda _: _on_log().move("CD25", to=-50),
        "log:move CD25  -50 has no place on the log scale of CD25, which begins above 0\n"
        "    hint: give a number in instrument units that the scale has, or None for an open side",
    ),
    (
        "a population that others need is removed",
        lambda _: _gated().remove("Treg"),
        "mine:Tconv  its gate needs Treg, which would be removed\n"
        "    hint: remove them together: remove('Treg', 'Tconv')",
    ),
    (
        "a file of an unknown kind",
        lambda folder: _gated().save(folder / "gates.csv"),
        "{folder}/gates.csv  unknown ending '.csv'\n    hint: endings: .yaml, .yml, .xml, .wsp",
    ),
    (
        "a table with other column names",
        lambda _: _compare(_table().rename(columns={"id": "patient"})),
        "the table  there is no column 'id'\n    hint: columns: patient, visit, treg",
    ),
    (
        "a misspelt visit",
        lambda _: _compare(before="W00"),
        "no sample has visit 'W00'\n    hint: did you mean 'W0'? visits there: W0, W10",
    ),
    (
        "the same visit twice",
        lambda _: _compare(after="W0"),
        "plan  before and after are both 'W0'\n    hint: name two visits",
    ),
    (
        "percentages above 100",
        lambda _: _compare(_table().assign(treg=[150.0, *_table()["treg"][1:]])),
        "the table:row 0  a percentage outside 0..100 in 'treg' (E_PERCENT)\n"
        "    hint: correct the value; where it is no share of a whole give its unit, or the scale log or identity",
    ),
    (
        "a patient twice at a visit",
        lambda _: _compare(pd.concat([_table(), _table().tail(1)], ignore_index=True)),
        "the table:rows 11, 12  two samples of one patient, visit and endpoint (E_DUP_VISIT)\n"
        "    hint: name the visits apart, or keep one sample; to pool acquisitions add up their counts first",
    ),
    (
        "words among numbers",
        lambda _: _compare(_table().astype({"treg": object}).assign(treg=["n.d.", *_table()["treg"][1:]])),
        "the table:row 0, column treg  text in a number column: 'n.d.' (E_TEXT)\n"
        "    hint: write a number, or leave the cell empty when it is missing",
    ),
    (
        "a test that is none",
        lambda _: _compare(test="t-test"),
        "test  't-test' is unknown\n"
        "    hint: allowed: auto, t, wilcoxon, signflip, count_weighted, mixed, binomial_mixed",
    ),
    (
        "a folder without study.yaml",
        lambda folder: il.read_study(folder),
        "{folder}  there is no study.yaml in this folder\n"
        "    hint: name the folder that holds study.yaml; 'immunolab init FOLDER' proposes one from FCS files",
    ),
    (
        "a folder that is no run",
        lambda folder: il.read_run(folder),
        "{folder}  there is no run in this folder\n    hint: name the folder that 'immunolab run' wrote",
    ),
    (
        "cells without counts",
        lambda _: il.label(_cells()),
        "the matrix holds z-scores (negative values), and there are no counts\n"
        "    hint: put raw counts into layers['counts']",
    ),
    (
        "clusters on a marker that is not there",
        lambda _: il.cluster(_gated().to_anndata(), markers=["CD45RA"]),
        f"markers  there is no marker 'CD45RA'\n    hint: markers: {HAS}",
    ),
]


@pytest.mark.parametrize(("make", "text"), [one[1:] for one in MISTAKES], ids=[one[0] for one in MISTAKES])
def test_a_mistake_is_answered_with_what_where_and_how(
    make: Callable[[Path], object], text: str, tmp_path: Path
) -> None:
    with pytest.raises(ImmunolabError) as caught:
        make(tmp_path)
    assert str(caught.value).replace(str(tmp_path), "{folder}") == text.replace(str(tmp_path), "{folder}")


def test_a_misspelt_name_of_the_face_is_guessed() -> None:
    with pytest.raises(
        AttributeError, match=r"module 'immunolab' has no attribute 'read_fc'; did you mean 'read_fcs'\?"
    ):
        il.read_fc  # noqa: B018


def test_fractions_given_as_percent_are_said_with_the_result() -> None:
    table = _table().assign(treg=np.random.default_rng(0).uniform(0.3, 0.8, 12))
    said = [line for line in repr(_compare(table)).splitlines() if line.startswith("W_FRACTION")]
    low, high = table["treg"].min(), table["treg"].max()
    assert said == [f"W_FRACTION  treg: all values are within {low:g}..{high:g}; they were read as percent"]


def test_fractions_at_one_visit_and_percentages_at_the_other_are_said_with_the_result() -> None:
    table = _table()
    table["treg"] = np.where(table["visit"] == "W0", 0.045, 6.0) * np.linspace(0.9, 1.1, len(table))
    said = [line for line in repr(_compare(table)).splitlines() if line.startswith("W_FRACTION")]
    assert len(said) == 1
    assert "fractions at one visit and percentages at the other?" in said[0]
    table["treg"] = np.where(table["visit"] == "W0", 0.3, 6.0) * np.linspace(0.9, 1.1, len(table))
    assert "W_FRACTION" not in repr(_compare(table))  # a twentyfold rise of a rare subset


def test_an_unknown_unit_is_said_with_the_result() -> None:
    assert (
        "W_UNIT  treg: unit 'percnt' says no scale: compared as differences (identity); give the unit, or a scale"
        in repr(_compare(unit="percnt")).splitlines()
    )


def test_an_amount_below_zero_does_not_change_the_scale_without_a_word() -> None:
    table = _table()
    table["treg"] = np.linspace(20.0, 90.0, len(table))
    assert "W_NEGATIVE" not in repr(_compare(table, unit="pg/ml"))
    table.loc[0, "treg"] = -1.0
    found = _compare(table, unit="pg/ml")
    assert found.shifts["estimate_scale"].unique().tolist() == ["identity"]
    assert "W_NEGATIVE  treg: 1 value(s) below 0 (lowest -1 pg/ml): compared as differences" in repr(found)
    assert "W_NEGATIVE" not in repr(_compare(table, unit="points"))  # signed by nature


def test_patients_and_visits_spelled_alike_are_named() -> None:
    rows = [(p, v, 4.0 + i + (v != "W0")) for i, p in enumerate(("P1", "P2", "P3", "P4", "P5")) for v in ("W0", "W10")]
    table = pd.DataFrame(rows, columns=["id", "visit", "treg"])
    assert "W_ALIKE" not in repr(_compare(table))
    table.loc[2, "id"] = "p2"
    table.loc[4, "visit"] = "w0"
    said = [line for line in repr(_compare(table)).splitlines() if line.startswith("W_ALIKE")]
    assert said == [
        "W_ALIKE  patients that may be one, and count as different: 'p2' and 'P2'",
        "W_ALIKE  visits that may be one, and count as different: 'W0' and 'w0'",
    ]


def test_days_before_and_after_zero_are_not_spelled_alike() -> None:
    rows = [(str(p), day, 4.0 + p + (day == "7")) for p in range(1, 6) for day in ("-7", "7")]
    table = pd.DataFrame(rows, columns=["id", "visit", "treg"])
    assert "W_ALIKE" not in repr(_compare(table, before="-7", after="7"))
