"""Panel drift: every planted fault is named, file by file, and nothing else is."""

from __future__ import annotations

import pytest
from builders import data_folder
from hypothesis import given
from hypothesis import strategies as st

from immunolab.loaders.fcs.read import read_header
from immunolab.quality.panel_drift import find_drift

_PANEL = [("FSC-A", ""), ("SSC-A", ""), ("FL1-A", "CD3 FITC"), ("FL2-A", "CD4 PE"), ("FL3-A", "CD25 APC"), ("Time", "")]


def _drift(changed, n_good=3):
    files = {f"good{i}.fcs": _PANEL for i in range(n_good)} | {"other.fcs": changed}
    found = find_drift(files)
    assert {d.file for d in found} <= {"other.fcs"}
    return {(d.kind, d.channel) for d in found}


def test_faults_planted_in_35_real_headers():
    folder = data_folder("flow/cytoqc_panel_drift/GvHD_QC")
    headers = {p.name: [(c.name, c.label) for c in read_header(p).channels] for p in sorted(folder.glob("*.fcs"))}
    assert len(headers) == 35
    found = {(d.file, d.kind, d.channel) for d in find_drift(headers)}
    assert found == {
        ("s10a01.fcs", "case", "fsc-h"),
        ("s10a01.fcs", "missing", "Time"),
        ("s10a02.fcs", "renamed_channel", "SSC1-H"),
        ("s10a02.fcs", "extra", "channelA"),
        ("s10a03.fcs", "case", "fsc-h"),
        ("s10a03.fcs", "renamed_channel", "SSC1-H"),
        ("s10a03.fcs", "renamed_marker", "FL2-H"),
        ("s10a04.fcs", "swapped", "FL1-H"),
        ("s10a04.fcs", "renamed_marker", "FL1-H"),
    }
    messages = {(d.problem.file, d.problem.place): d.problem.message for d in find_drift(headers)}
    assert messages["s10a01.fcs", "channel fsc-h"] == "differs in case only from 'FSC-H' of the others"
    assert messages["s10a03.fcs", "channel FL2-H"] == "names CD45 'PTPRC', the other files 'CD45'"
    swapped = "swapped with FL2-H: here FL1-H carries CD45 (PTPRC PE) and FL2-H CD15 (CD15 FITC)"
    assert swapped in [d.message for d in find_drift(headers)]


@pytest.mark.parametrize(
    ("position", "channel", "expected"),
    [
        (0, ("fsc-a", ""), ("case", "fsc-a")),
        (0, ("FSC A", ""), ("renamed_channel", "FSC A")),
        (2, ("FITC-A", "CD3 FITC"), ("renamed_channel", "FITC-A")),
        (3, ("FL2-A", "CD8 PE"), ("other_marker", "FL2-A")),
        (3, ("FL2-A", ""), ("other_marker", "FL2-A")),
        (4, ("FL3-A", "IL2RA APC"), ("renamed_marker", "FL3-A")),
        (4, ("FL3-A", "CD25 PE-Cy7"), ("other_dye", "FL3-A")),
    ],
)
def test_one_change_gives_one_drift(position, channel, expected):
    changed = list(_PANEL)
    changed[position] = channel
    assert _drift(changed) == {expected}


def test_swapped_missing_and_extra():
    assert _drift([*_PANEL[:2], ("FL1-A", "CD4 PE"), ("FL2-A", "CD3 FITC"), *_PANEL[4:]]) == {("swapped", "FL1-A")}
    assert _drift(_PANEL[:-1]) == {("missing", "Time")}
    assert _drift([*_PANEL, ("FL9-A", "CD8 BV421")]) == {("extra", "FL9-A")}


def test_text_of_a_label_that_may_be_a_name_is_not_quoted():
    changed = [*_PANEL[:2], ("FL1-A", "Wang CD8 FITC"), ("FL2-A", "Li IL2RA"), *_PANEL[4:], ("FL9-A", "Zhang")]
    text = "\n".join(str(d.problem) for d in find_drift({"a": _PANEL, "b": _PANEL, "c": changed}))
    assert "CD8" in text
    assert not any(name in text.upper() for name in ("WANG", "ZHANG", "LI IL2RA"))


def test_what_does_not_matter_is_silent():
    assert find_drift({}) == []
    assert find_drift({"one.fcs": _PANEL}) == []
    assert _drift([(name, label.lower()) for name, label in _PANEL]) == set()
    assert _drift([*_PANEL[:-1], ("Time", "Time (51.2 sec.)")]) == set()


def test_harmless_drift_is_distinguished_from_what_must_be_fixed():
    changed = [("fsc-a", ""), *_PANEL[1:4], ("FL3-A", "IL2RA APC"), _PANEL[5], ("FL9-A", "CD8 BV421")]
    found = find_drift({"a": _PANEL, "b": _PANEL, "c": changed})
    assert {d.kind: d.harmless for d in found} == {"case": False, "renamed_marker": True, "extra": True}


@given(st.permutations(_PANEL), st.integers(2, 5))
def test_order_of_channels_is_no_drift(order, n_files):
    files = {f"{i}.fcs": _PANEL for i in range(n_files)} | {"last.fcs": list(order)}
    assert find_drift(files) == []
