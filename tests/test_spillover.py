"""Spillover matrices: every spelling is read, every fault is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import data_folder
from fcs_builder import write_fcs

from immunolab.errors import DataFileError
from immunolab.events.compensation import _plain, weighted_sums
from immunolab.events.tube import Channel, Spillover, Tube
from immunolab.loaders.fcs.read import read_fcs
from immunolab.loaders.fcs.spillover import keyword_spillover, match_spillover, read_spillover
from immunolab.loaders.preprocessing_checks import signs_of_processing

TRUTH = np.array([[1.0, 0.2, 0.05], [0.03, 1.0, 0.1], [0.0, 0.02, 1.0]])
DYES = ("FL1-A", "FL2-A", "FL3-A")
NAMES = ["FSC-A", "SSC-A", *DYES]


def spelled(matrix: np.ndarray = TRUTH, names: tuple[str, ...] = DYES) -> str:
    return ",".join([str(len(names)), *names, *(f"{value:.17g}" for value in np.ravel(matrix))])


def tube(n: int = 400) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.hstack([rng.uniform(1e4, 2e5, (n, 2)), rng.lognormal(7, 1, (n, 3)) @ TRUTH])


@pytest.mark.parametrize("keyword", ["$SPILLOVER", "SPILL", "$SPILL", "SPILLOVER"])
def test_keywords_are_read(keyword: str) -> None:
    matrix, notes = keyword_spillover({keyword: spelled()})
    assert matrix is not None
    assert matrix.channels == DYES
    assert np.array_equal(matrix.matrix, TRUTH)
    assert notes == []


def test_comp_has_numbers_for_names() -> None:
    matrix, _ = keyword_spillover({"$COMP": "2,1,0.5,0.25,1"})
    assert matrix is not None
    matched, _ = match_spillover(matrix, ["FL1-A", "FL2-A"])
    assert matched is not None
    assert matched.channels == ("FL1-A", "FL2-A")
    assert np.array_equal(matched.matrix, [[1, 0.5], [0.25, 1]])


def test_what_the_instrument_subtracted_is_reported_not_applied() -> None:
    assert keyword_spillover({"$DFC1TO2": "0.00"}) == (None, [])
    matrix, notes = keyword_spillover({"$DFC1TO2": "28.40"})
    assert matrix is None
    assert notes == ["TEXT records compensation done by the instrument ($DFCmTOn); it is not applied again"]


def test_channels_without_values_are_no_matrix() -> None:
    matrix, notes = keyword_spillover({"$SPILLOVER": "2,FL1-A,FL2-A"})
    assert matrix is None
    assert "holds no values" in notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3,FL1-A,FL2-A,FL3-A,1,0,0,1", "wrong size: 3 channels need 9 values, it holds 4"),
        ("x,FL1-A,1", "wrong size"),
        ("99999,FL1-A,1", "wrong size"),
        ("2,FL1-A,FL2-A,1,0,zero,1", "1 values are not numbers"),
        ("2,FL1-A,FL2-A,1,nan,0,1", "not finite"),
        ("2,FL1-A,FL9-A,1,0.1,0,1", "channels the tube lacks: FL9-A"),
        ("2,FL1-A,FL1-A,1,0.1,0,1", "names FL1-A twice"),
        ("2,FL1-A,FL2-A,1,1,1,1", "singular"),
        ("2,FL1-A,FL2-A,0,1,1,0", "diagonal of FL1-A is not positive"),
        ("2,FL1-A,FL2-A,1,40,0,1", "absurd: 40 from FL1-A into FL2-A"),
        ("2,FL1-A,FL2-A,1,0,-7,1", "absurd: -7 from FL2-A into FL1-A"),
    ],
)
def test_faults_of_a_file_s_matrix_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = write_fcs(tmp_path / "a.fcs", tube(), NAMES, keywords={"$SPILLOVER": text})
    with pytest.raises(DataFileError, match=message) as caught:
        read_fcs(path)
    assert caught.value.where == str(path)
    assert "spillover=None" in caught.value.hint
    assert read_fcs(path, spillover=None).spillover is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2,FL1-A,FL2-A,1,1.5,0,1", "coefficients above 1"),
        ("2,FL1-A,FL2-A,1,-0.3,0,1", "coefficients below -0.1"),
        ("2,FL1-A,FL2-A,2,0.1,0,1", "diagonal of the spillover matrix is not 1"),
        ("2,FL1-A,FL2-A,100,10,0,100", "in percent"),
        ("2,FL1-A,FL9-A,1,0,0,1", "channels of the spillover matrix that the tube lacks: 1"),
    ],
)
def test_unusual_matrices_are_reported_and_used(tmp_path: Path, text: str, message: str) -> None:
    events = read_fcs(write_fcs(tmp_path / "a.fcs", tube(), NAMES, keywords={"$SPILLOVER": text}))
    assert events.spillover is not None
    assert any(message in words for words in events.warnings)


@pytest.mark.parametrize("names", [("fl1-a", "FL2-a", "FL3-A"), ("3", "4", "5"), ("CD3", "CD4", "CD8")])
def test_channels_are_found_by_case_number_and_label(tmp_path: Path, names: tuple[str, ...]) -> None:
    words = {"SPILL": spelled(names=names), "$P3S": "CD3", "$P4S": "CD4", "$P5S": "CD8"}
    events = read_fcs(write_fcs(tmp_path / "a.fcs", tube(), NAMES, keywords=words))
    assert events.spillover is not None
    assert events.spillover.channels == DYES


def test_a_compensated_export_is_not_compensated_again(tmp_path: Path) -> None:
    names = ["FSC-A", "SSC-A", *(f"Comp-{dye}" for dye in DYES)]
    events = read_fcs(write_fcs(tmp_path / "a.fcs", tube(), names, keywords={"SPILL": spelled()}))
    assert events.spillover is None
    assert any("compensated already, the matrix is not applied again" in words for words in events.warnings)


CSV = "FL1-A,FL2-A,FL3-A\n1,0.2,0.05\n0.03,1,0.1\n0,0.02,1\n"
NAMED = ",FL1-A,FL2-A,FL3-A\nFL2-A :: CD4,0.03,1,0.1\nFL1-A,1,0.2,0.05\nFL3-A,0,0.02,1\n"
FLOWJO_9 = "my matrix\n<\t>\nFL1-A\tFL2-A\tFL3-A\n1\t0.2\t0.05\n0.03\t1\t0.1\n0\t0.02\t1\n"
_ROW = '<t:spillover d:parameter="{}">{}</t:spillover>'
_CELL = '<t:coefficient d:parameter="{}" t:value="{}"/>'
FLOWJO_10 = (
    '<?xml version="1.0"?><g:gatingML xmlns:g="g" xmlns:t="t" xmlns:d="d"><t:spilloverMatrix prefix="Comp-">'
    + "".join(
        _ROW.format(dye, "".join(_CELL.format(other, value) for other, value in zip(DYES, row, strict=True)))
        for dye, row in zip(DYES, TRUTH, strict=True)
    )
    + "</t:spilloverMatrix></g:gatingML>"
)


@pytest.mark.parametrize("text", [CSV, CSV.replace(",", ";"), "# " + CSV, NAMED, FLOWJO_9, FLOWJO_10, "\ufeff" + CSV])
def test_files_are_read_and_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "matrix.mtx"
    path.write_text(text, encoding="utf-8")
    matrix = read_spillover(path)
    assert matrix.channels == DYES
    assert np.array_equal(matrix.matrix, TRUTH)
    events = read_fcs(write_fcs(tmp_path / "a.fcs", tube(), NAMES), spillover=path)
    assert events.spillover is not None
    assert events.spillover.channels == DYES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no matrix"),
        ("FL1-A,FL2-A\n1,0\n", "wrong size: 2 channels, 1 rows"),
        ("FL1-A,FL2-A\n1,0\n0\n", "line 3 of the matrix has 1 values"),
        ("FL1-A,FL2-A\n1,a\n0,1\n", "not numbers"),
        (",A,B\nA,1,0\nC,0,1\n", "row and column names of the matrix differ: B, C"),
        ("<?xml version='1.0'?><a>", "not well-formed XML"),
        ("<?xml version='1.0'?><a/>", "no spilloverMatrix"),
    ],
)
def test_faults_of_matrix_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "matrix.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataFileError, match=message) as caught:
        read_spillover(path)
    assert caught.value.where == str(path)


def test_compensation_recovers_what_was_spilled(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    light = rng.lognormal(7, 1, (300, 3))
    raw = np.hstack([rng.uniform(1, 2, (300, 2)), light @ TRUTH])
    events = read_fcs(write_fcs(tmp_path / "a.fcs", raw, NAMES, keywords={"$SPILLOVER": spelled()}))
    for i, dye in enumerate(DYES):
        assert np.allclose(events.compensated(dye), light[:, i], rtol=1e-4, atol=0.05)
    assert np.array_equal(events.compensated("FSC-A"), events.raw("FSC-A"))


def test_compensated_values_are_those_of_flowkit() -> None:
    import flowkit

    path = data_folder("flow/flowkit_bsd/100715.fcs")
    sample = flowkit.Sample(path)
    sample.apply_compensation(sample.metadata["spill"])
    events = read_fcs(path)
    assert events.spillover is not None
    for name in events.spillover.channels:
        expected = sample.get_channel_events(name, source="comp")
        assert np.abs(events.compensated(name) - expected).max() < 1e-7


def test_sums_do_not_depend_on_blocks_or_compilation() -> None:
    rng = np.random.default_rng(2)
    columns = rng.normal(0, 1e5, (9, 10_001)).astype(np.float32)
    weights = rng.normal(0, 1, (6, 9)) * (rng.random((6, 9)) < 0.7)
    weights[2] = np.eye(9)[4]
    plain = np.empty((6, 10_001))
    _plain(weights, columns, np.arange(6), plain)
    import numba  # noqa: F401  -- from here on the compiled loop runs

    assert np.array_equal(weighted_sums(weights, columns), plain)
    assert np.array_equal(weighted_sums(weights, columns[:, 777:5001]), plain[:, 777:5001])
    assert np.array_equal(weighted_sums(weights[3:4], columns)[0], plain[3])
    assert np.allclose(plain, weights @ columns.astype(float), rtol=1e-12, atol=1e-7)


def test_nan_stays_in_the_channels_that_depend_on_it() -> None:
    columns = np.ones((3, 4), dtype=np.float32)
    columns[0, 1] = np.nan
    channels = tuple(Channel(name) for name in ("FSC-A", "FL1-A", "FL2-A"))
    matrix = Spillover(("FL1-A", "FL2-A"), np.array([[1.0, 0.1], [0.0, 1.0]]))
    events = Tube(columns, channels, matrix)
    assert np.isnan(events.compensated("FSC-A")).sum() == 1
    assert np.isfinite(events.compensated("FL2-A")).all()


def light(n_channels: int, kind: str, scale: float, pattern: str = "D{}-A") -> tuple[np.ndarray, tuple[Channel, ...]]:
    values = np.random.default_rng(1).lognormal(0, 0.5, (n_channels, 500)) * scale
    return values.astype(np.float32), tuple(
        Channel(pattern.format(i + 1), kind=kind)  # type: ignore[arg-type]
        for i in range(n_channels)
    )


@pytest.mark.parametrize(
    ("columns_and_channels", "spillover", "cytometer", "message"),
    [
        (light(4, "fluorescence", 1.0), None, "", "near 0 to 5"),
        (light(5, "mass", 10.0), None, "", "mass cytometer"),
        (light(5, "fluorescence", 900.0), None, "CyTOF", "mass cytometer"),
        (light(20, "fluorescence", 900.0), None, "", "look unmixed"),
        (light(6, "fluorescence", 900.0), None, "Aurora", "look unmixed"),
        (light(20, "fluorescence", 900.0, "V{}-A"), None, "Aurora", "not unmixed"),
        (light(3, "fluorescence", 900.0, "Comp-D{}-A"), None, "", "called Comp-"),
        (light(2, "scatter", -900.0), None, "", "scatter values are negative"),
    ],
)
def test_signs_of_processing(columns_and_channels: tuple, spillover: None, cytometer: str, message: str) -> None:
    columns, channels = columns_and_channels
    notes = signs_of_processing(columns, channels, spillover, cytometer)
    assert len(notes) == 1
    assert message in notes[0]


def test_raw_tubes_show_no_signs() -> None:
    folder = data_folder("flow/cytoexplorer_activation")
    for path in sorted(folder.rglob("*.fcs")):
        assert read_fcs(path).warnings == ()
