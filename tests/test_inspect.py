"""`inspect` shows what is in a file; `convert` writes it as AnnData with the same numbers."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from anndata import AnnData, read_h5ad
from builders import REPOSITORY, data_folder

from immunolab.cli import main
from immunolab.errors import DataFileError, InputError
from immunolab.events.transforms import Asinh, Logicle
from immunolab.loaders.convert import convert_fcs, default_scales
from immunolab.loaders.fcs.read import read_fcs, read_header
from immunolab.loaders.inspect import inspect_file

_KEYS = ["file", "fcs_version", "n_events", "cytometer", "channels", "spillover", "datasets", "warnings"]
_CHANNEL_KEYS = ["channel", "label", "marker", "fluorochrome", "kind", "median", "scale", "scale_reason"]


@pytest.fixture(scope="module")
def surface():
    return data_folder("flow/flowkit_bsd/100715.fcs")


def test_contract_of_inspect(surface, capsys):
    assert main(["inspect", str(surface), "--json", "--medians"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == _KEYS
    assert [list(row) for row in found["channels"]] == [_CHANNEL_KEYS] * 16
    assert (found["fcs_version"], found["n_events"], found["datasets"]) == ("2.0", 65_016, 1)
    assert found["spillover"]["channels"][0] == "B515-A"
    assert np.shape(found["spillover"]["matrix"]) == (13, 13)
    markers = {row["channel"]: row["marker"] for row in found["channels"]}
    assert markers["R660-A"] == "CD45RO"
    assert markers["V450-A"] == "Viability"
    assert markers["FSC-A"] is None
    assert found["channels"][0]["median"] == pytest.approx(41_644.2, rel=1e-5)


def test_medians_only_when_asked(surface):
    assert {row["median"] for row in inspect_file(surface)["channels"]} == {None}


def test_table_to_read(surface, capsys):
    assert main(["inspect", str(surface)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "events     65,016" in lines
    row = "B515-A   KI67          Ki-67      -                fluorescence  arcsinh(x / "
    assert any(line.startswith(row) for line in lines)


def test_medians_are_those_two_other_readers_give():
    """First column of every file on whose events and median fcsparser and FlowCal agree."""
    folder = data_folder("fcs_edge_cases")
    agreed = 0
    for row in csv.DictReader((folder / "readers.csv").open(encoding="utf-8")):
        if not row["fp_n"] or row["fp_n"] != row["fc_n"] or row["fp_col0_median"] != row["fc_col0_median"]:
            continue
        found = inspect_file(folder / row["path"], medians=True)
        assert found["n_events"] == float(row["fp_n"]), row["path"]
        assert found["channels"][0]["median"] == pytest.approx(float(row["fp_col0_median"]), rel=1e-6), row["path"]
        agreed += 1
    assert agreed >= 10


def test_where_header_and_text_disagree_the_right_one_is_followed():
    folder = data_folder("fcs_edge_cases/instruments")
    accuri = inspect_file(folder / "Accuri - C6.fcs", medians=True)
    cyan = inspect_file(folder / "Beckman Coulter - Cyan.fcs", medians=True)
    assert accuri["channels"][0]["median"] == 335_305
    assert cyan["channels"][0]["median"] == 32_402
    assert any("disagree" in words for words in accuri["warnings"])


def test_data_sets_are_counted_and_chosen():
    path = data_folder("fcs_edge_cases/multi_dataset/test.FCS")
    first, second = inspect_file(path), inspect_file(path, dataset=1)
    assert first["datasets"] == second["datasets"] == 2
    assert any("2 data sets; this is number 1" in words for words in second["warnings"])
    with pytest.raises(DataFileError, match="data set 2 is not in the file; it holds 2"):
        inspect_file(path, dataset=2)


@pytest.mark.parametrize("content", [b"", b"FCS3.0", b"sample,CD4\n1,2\n", b"\x89HDF\r\n\x1a\n" + b"\0" * 100])
def test_what_is_no_data_file_is_refused(tmp_path, capsys, content):
    path = tmp_path / "unusual.fcs"
    path.write_bytes(content)
    assert main(["inspect", str(path)]) == 1
    message = capsys.readouterr().err
    assert str(path) in message
    assert "hint:" in message
    assert "Traceback" not in message


def test_several_files_are_shown_one_after_the_other_and_a_broken_one_stops_none(tmp_path, capsys):
    """``inspect *.fcs`` was an error of usage: unrecognized arguments."""
    whole = [str(REPOSITORY / "sample_data" / "sle" / "fcs" / name) for name in ("SLE001_W0.fcs", "SLE001_W10.fcs")]
    broken = tmp_path / "broken.fcs"
    broken.write_bytes(b"FCS3.0")
    assert main(["inspect", whole[0], str(broken), whole[1]]) == 3
    said = capsys.readouterr()
    assert [line.split()[-1] for line in said.out.splitlines() if line.startswith("file ")] == whole
    assert str(broken) in said.err
    assert main(["inspect", "--json", *whole]) == 0
    assert [one["file"] for one in json.loads(capsys.readouterr().out)] == whole


def test_single_cell_file(tmp_path):
    import pandas as pd

    cells = AnnData(np.array([[0, 1], [3, 1], [0, 5]], dtype=np.float32))
    cells.var_names = ["FOXP3", "IL2RA"]
    cells.obsm["protein"] = pd.DataFrame({"CD25": [1.0, 2.0, 9.0]}, index=cells.obs_names)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    found = inspect_file(tmp_path / "cells.h5ad", medians=True)
    assert list(found) == _KEYS
    assert [(r["channel"], r["kind"], r["median"]) for r in found["channels"]] == [
        ("FOXP3", "gene", 0.0),
        ("IL2RA", "gene", 1.0),
        ("CD25", "protein", 2.0),
    ]
    assert found["warnings"] == ["obs has no column sample_id"]


def test_convert_reads_back_to_the_same_numbers(surface, tmp_path):
    out = tmp_path / "deep" / "tube.h5ad"
    assert main(["convert", str(surface), "-o", str(out)]) == 0
    data, events = read_h5ad(out), read_fcs(surface)
    scales = default_scales(read_header(surface))
    for channel in ("FSC-A", "B515-A", "G560-A"):
        row = events.find(channel)
        compensated = events.compensated(channel)
        np.testing.assert_array_equal(data.layers["compensated"][:, row], compensated.astype(np.float32))
        if channel in scales:
            assert data.var["transform"].iloc[row] == repr(scales[channel])
            compensated = scales[channel].apply(compensated)
        np.testing.assert_array_equal(data.X[:, row], compensated.astype(np.float32))
    assert list(data.var["marker"]) == [c.marker or "" for c in events.channels]
    assert set(data.obs["sample_id"]) == {"100715"}
    assert data.uns["immunolab"]["source_sha256"] == events.sha256
    assert [p.name for p in out.parent.iterdir()] == ["tube.h5ad"]


def test_scales_follow_the_kind_of_channel(surface):
    scales = default_scales(read_header(surface))
    assert set(map(type, scales.values())) == {Logicle}
    assert not {"FSC-A", "FSC-H", "SSC-A"} & set(scales)
    spectral = data_folder("fcs_edge_cases/instruments/Cytek NL-2000.fcs")
    tops = {scale.t for scale in default_scales(read_header(spectral)).values() if isinstance(scale, Logicle)}
    assert tops == {c.range for c in read_header(spectral).channels if c.name.startswith(("B", "R")) and c.range > 1}


def test_mass_channels_take_arcsinh():
    from immunolab.loaders.fcs.channels import FcsChannel
    from immunolab.loaders.fcs.header import FcsHeader

    channels = tuple(
        FcsChannel(name, label, "F", 32, 4096.0, (0, 0), 1.0)
        for name, label in [("Nd145Di", "145Nd_CD4"), ("Time", "")]
    )
    header = FcsHeader("", "3.0", 0, 1, {}, channels, 0, (32, 32), "<", 0, 0, ())
    assert default_scales(header) == {"Nd145Di": Asinh(5.0)}


def test_convert_takes_markers_from_a_panel(tmp_path):
    folder = data_folder("flow/cytoexplorer_activation")
    panel = folder / "Activation-Experiment-Markers.csv"
    assert (
        main(["convert", str(folder / "Activation_1.fcs"), "-o", str(tmp_path / "a.h5ad"), "--panel", str(panel)]) == 0
    )
    assert {"CD4", "CD8", "CD69", "CD44", "CD11c", "Va2"} <= set(read_h5ad(tmp_path / "a.h5ad").var_names)


def test_convert_never_writes_over_its_input(surface):
    with pytest.raises(InputError, match=r"the output must be an \.h5ad file"):
        convert_fcs(surface, surface)


def test_long_lists_are_cut_in_the_table_only(tmp_path, capsys):
    cells = AnnData(np.zeros((2, 250), dtype=np.float32))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    assert main(["inspect", str(tmp_path / "cells.h5ad")]) == 0
    assert "... and 50 more; --json lists all" in capsys.readouterr().out
    assert len(inspect_file(tmp_path / "cells.h5ad")["channels"]) == 250
