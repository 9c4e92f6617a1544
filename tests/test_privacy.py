"""De-identified files hold no planted name in any byte, and every event as it was."""

from __future__ import annotations

import binascii
import csv
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import flowio
import numpy as np
import pytest
from builders import data_folder
from fcs_builder import write_fcs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.loaders.fcs.read import read_fcs, read_header
from immunolab.privacy import deidentify, scan
from immunolab.privacy.allowed import harmless, harmless_label, model_words
from immunolab.privacy.deidentify import _write_data_set
from immunolab.privacy.keyfile import add_to_key

NAMES = ("WANGXIAOMING", "Wang Xiaoming", "wangxm", "MRN0048213", "13912345678", "王小明", "1957-03-12")
_EVENTS = np.arange(24, dtype="<f4").reshape(6, 4) * 37.5 - 20
_CHANNELS = [("FSC-A", ""), ("BV421-A", "CD25 BV421"), ("PE-A", "CD127 PE Wang Xiaoming"), ("Wangxm-A", "CD4 王小明")]
_MATRIX = "3,BV421-A,PE-A,Wangxm-A,1,0.1,0,0.05,1,0,0,0.02,1"
_PLANTED = {
    "$SRC": NAMES[0],
    "$OP": NAMES[1],
    "$COM": f"seen by {NAMES[2]}",
    "$FIL": f"{NAMES[0]}_W10.fcs",
    "$CYT": f"{NAMES[1]}'s LSRFortessa 0048213",
    "$SMNO": NAMES[3],
    "$DATE": "12-MAR-1957",
    "$BTIM": "09:12:11",
    "$CELLS": "PBMC " + NAMES[5],
    "PATIENT PHONE": NAMES[4],
    "Birthday of patient": NAMES[6],
    "GUID": "7c9e-" + NAMES[2],
    "$INST": NAMES[1],
    "$TIMESTEP": "0.01",
    "$VOL": "53000",
    "SPILL": _MATRIX,
    "$P2V": "410",
    "$P3V": NAMES[3],
    "$P4G": NAMES[2],
    "$P2L": "405",
    "$P2TAG": "BV421",
    "$P3ANALYTE": NAMES[1],
    "$ETIM": "Wang Xiaoming 10:11",
}


def _planted(version="3.1", *, text_after_data=False, encoding="utf-8", extra=None, next_data=False):
    """Return an FCS file with names in TEXT, supplemental TEXT, ANALYSIS, OTHER, gaps and behind DATA."""
    name = NAMES[0].encode()
    data = _EVENTS.tobytes()
    supplement = f"/$PROJ/{NAMES[1]}/MORE/{NAMES[3]}/".encode(encoding)
    pairs = {"$MODE": "L", "$DATATYPE": "F", "$BYTEORD": "1,2,3,4", "$PAR": "4", "$TOT": "6"} | _PLANTED | (extra or {})
    for i, (channel, label) in enumerate(_CHANNELS, start=1):
        pairs |= {f"$P{i}N": channel, f"$P{i}S": label, f"$P{i}B": "32", f"$P{i}E": "0,0", f"$P{i}R": "262144"}
    body = "/" + "".join(f"{k}/{v}/" for k, v in pairs.items() if v)
    width = len(body.encode(encoding)) + 200
    text_first = 5000 if text_after_data else 300
    data_first = 300 if text_after_data else text_first + width + 20
    after = (text_first + width if text_after_data else data_first + len(data)) + 11
    places = {
        "$BEGINSTEXT": after,
        "$ENDSTEXT": after + len(supplement) - 1,
        "$BEGINANALYSIS": after + 500,
        "$ENDANALYSIS": after + 500 + len(name) + 4,
        "$BEGINDATA": data_first,
        "$ENDDATA": data_first + len(data) - 1,
        "$NEXTDATA": after + 800 if next_data else 0,
    }
    text = (body + "".join(f"{k}/{v}/" for k, v in places.items())).encode(encoding)
    assert len(text) <= width
    file = bytearray(b" " * (after + 800))
    header = (
        f"FCS{version}    "
        + "".join(
            f"{n:8d}" for n in (text_first, text_first + len(text) - 1, data_first, data_first + len(data) - 1, 0, 0)
        )
        + f"{after + 600:8d}{after + 640:8d}"
    )
    for start, raw in [
        (0, header.encode()),
        (100, name),
        (text_first, text),
        (data_first, data),
        (after, supplement),
        (after + 500, b"/A/" + name),
        (after + 600, NAMES[5].encode("gbk") + name),
        (after + 760, NAMES[3].encode()),
    ]:
        file[start : start + len(raw)] = raw
    return bytes(file)


def _assert_no_name(folder: Path):
    for path in folder.rglob("*"):
        raw = str(path.relative_to(folder)).encode() + b"\0" + (path.read_bytes() if path.is_file() else b"")
        for name in (*NAMES, "Xiaoming", "0048213", "1957", "MAR", "Birthday"):
            for spelled in {name, name.upper(), name.lower(), name.title()}:
                for encoding in ("utf-8", "utf-16-le", "gbk"):
                    assert spelled.encode(encoding) not in raw, f"{path.name} holds a planted name"


@pytest.mark.parametrize("version", ["2.0", "3.0", "3.1", "3.2"])
@pytest.mark.parametrize("text_after_data", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_no_planted_name_is_left_in_any_byte(tmp_path, version, text_after_data, encoding):
    folder = tmp_path / "Wang Xiaoming 1957"
    folder.mkdir()
    source = folder / "WANGXIAOMING_W10_王小明.fcs"
    source.write_bytes(_planted(version, text_after_data=text_after_data, encoding=encoding))
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    done = deidentify([folder], tmp_path / "out", key=tmp_path / "key.csv")
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before
    _assert_no_name(tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["FCS0001.fcs", "audit.csv"]
    (record,) = done.records
    events = hashlib.sha256(_EVENTS.tobytes()).hexdigest()
    assert record.data_sha256_before == record.data_sha256_after == events
    assert (record.channels_renamed, record.labels_reduced) == ("$P4N", "$P3S $P4S")
    assert scan([tmp_path / "out"]) == []
    header = read_header(tmp_path / "out" / "FCS0001.fcs")
    assert header.version == version
    assert header.cytometer == "LSRFortessa"
    kept = header.text
    assert [kept["$TIMESTEP"], kept["$VOL"], kept["$P2V"], kept["$P2L"]] == ["0.01", "53000", "410", "405"]
    assert [kept.get(f"$P{i}S") for i in range(1, 5)] == [None, "CD25 BV421", "CD127 PE", "CD4"]
    assert kept["SPILL"] == _MATRIX.replace("Wangxm-A", "P4")


def test_events_markers_and_compensation_are_unchanged(tmp_path):
    source = tmp_path / "tube.fcs"
    source.write_bytes(_planted())
    deidentify([source], tmp_path / "out")
    before, after = read_fcs(source), read_fcs(tmp_path / "out" / "FCS0001.fcs")
    np.testing.assert_array_equal(after.columns, before.columns)
    np.testing.assert_array_equal(after.columns, _EVENTS.T)
    assert [c.marker for c in after.channels] == [c.marker for c in before.channels] == [None, "CD25", "CD127", "CD4"]
    for marker in ("CD25", "CD127", "CD4"):
        np.testing.assert_array_equal(after.compensated(marker), before.compensated(marker))


@pytest.mark.parametrize("version", ["2.0", "3.0", "3.1"])
def test_another_reader_agrees(tmp_path, version):
    source = tmp_path / "tube.fcs"
    source.write_bytes(_planted(version))
    deidentify([source], tmp_path / "out")
    data = flowio.FlowData(str(tmp_path / "out" / "FCS0001.fcs"))
    np.testing.assert_array_equal(np.reshape(data.events, (-1, 4)).astype("<f4"), _EVENTS)


def test_several_data_sets_come_out_as_several(tmp_path):
    source = tmp_path / "tube.fcs"
    source.write_bytes(_planted("3.0", next_data=True) + _planted("3.0", extra={"$TOT": "6"}))
    done = deidentify([source], tmp_path / "out")
    assert [r.data_set for r in done.records] == [0, 1]
    out = tmp_path / "out" / "FCS0001.fcs"
    for dataset in (0, 1):
        np.testing.assert_array_equal(read_fcs(out, dataset=dataset).columns, _EVENTS.T)
    _assert_no_name(tmp_path / "out")
    assert scan([out]) == []


def test_crc_is_that_of_header_text_and_data(tmp_path):
    source = tmp_path / "tube.fcs"
    source.write_bytes(_planted("3.1"))
    deidentify([source], tmp_path / "out")
    raw = (tmp_path / "out" / "FCS0001.fcs").read_bytes()
    assert int(raw[-8:]) == binascii.crc_hqx(raw[:-8], 0)


class _Zeros(io.RawIOBase):
    def read(self, size=-1):
        return bytes(size)

    def seek(self, *place):
        return 0


class _Head(io.RawIOBase):
    def __init__(self):
        self.raw, self.size = b"", 0

    def write(self, block):
        self.raw = self.raw or bytes(block)
        self.size += len(block)
        return len(block)


@pytest.mark.parametrize("version", ["2.0", "3.1"])
def test_offsets_beyond_what_the_header_can_say(version):
    out, length = _Head(), 101_000_000
    _write_data_set(out, version, {"$PAR": "1", "$TOT": "25250000"}, _Zeros(), 0, length, last=True)
    assert out.raw[:6] == (b"FCS3.0" if version == "2.0" else b"FCS3.1")
    assert out.raw[26:58].split() == [b"0", b"0", b"0", b"0"]
    words = out.raw[256:].decode().split("|")
    text = dict(zip(words[1::2], words[2::2], strict=False))
    assert int(text["$BEGINDATA"]) == len(out.raw)
    assert int(text["$ENDDATA"]) == len(out.raw) + length - 1
    assert out.size == len(out.raw) + length + 8


def test_every_cytometer_comes_through_with_the_same_events(tmp_path):
    folder = data_folder("fcs_edge_cases")
    sources = [folder / "instruments", folder / "multi_dataset", folder / "flowio"]
    done = deidentify(sources, tmp_path / "out")
    assert done.failures == ()
    assert scan([tmp_path / "out"]) == []
    codes = {row["code"]: Path(row["file"]) for row in csv.DictReader(done.key.open(encoding="utf-8"))}
    assert len(codes) >= 25
    for record in done.records:
        assert record.data_sha256_before == record.data_sha256_after
        before = read_fcs(codes[record.file.removesuffix(".fcs")], dataset=record.data_set, spillover=None)
        after = read_fcs(tmp_path / "out" / record.file, dataset=record.data_set, spillover=None)
        np.testing.assert_array_equal(after.columns, before.columns)
        assert [c.marker for c in after.channels] == [c.marker for c in before.channels]


def test_scan_names_file_key_and_rule_but_no_value(tmp_path, capsys):
    source = tmp_path / "tube.fcs"
    source.write_bytes(_planted())
    assert main(["deidentify", "--scan", str(source)]) == 1
    said = capsys.readouterr()
    for name in (*NAMES, "Xiaoming", "0048213", "1957", "MAR"):
        assert name not in said.out + said.err
    rules = {(f.key, f.rule) for f in scan([source])}
    assert {
        ("$SRC", "patient or specimen"),
        ("$OP", "people"),
        ("$INST", "place or device"),
        ("$DATE", "date or time"),
        ("$CELLS", "looks like: Chinese, Japanese or Korean text"),
        ("PATIENT PHONE", "looks like: telephone or record number"),
        ("BIRTHDAY OF PATIENT", "looks like: date"),
        ("$P3S", "words that are no marker, dye or detector"),
        ("$P4N", "words that are no marker, dye or detector"),
        ("$P3V", "not on the allow-list"),
        ("$PROJ", "patient or specimen"),
        ("supplemental TEXT", "segment that is not needed"),
        ("ANALYSIS", "segment that is not needed"),
        ("bytes outside TEXT and DATA", "hidden or OTHER segment"),
    } <= rules
    assert not {key for key, _ in rules} & {"$P2N", "$P2S", "$P2V", "$TIMESTEP", "$VOL", "$TOT", "$P1R"}


def test_scan_of_names_in_file_and_companions(tmp_path):
    source = tmp_path / "wangxiaoming 1957-03-12.fcs"
    source.write_bytes(_planted())
    (tmp_path / "gates.wsp").write_text("<Workspace/>")
    rules = {(f.key, f.rule) for f in scan([tmp_path])}
    assert ("$SRC", "recurs in the file or folder name") in rules
    assert ("file name", "date") in rules
    assert ("file", "FlowJo workspace: holds paths and user names") in rules


def test_clean_files_scan_clean(tmp_path, capsys):
    (tmp_path / "tube.fcs").write_bytes(_planted())
    assert main(["deidentify", str(tmp_path / "tube.fcs"), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert printed.count(hashlib.sha256(_EVENTS.tobytes()).hexdigest()) == 2
    assert main(["deidentify", "--scan", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_a_folder_without_an_fcs_file_is_not_called_clean(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("no cytometry here")
    assert main(["deidentify", str(tmp_path), "--scan"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{tmp_path}  no FCS file is in this folder")


def test_codes_come_from_the_key_and_new_ones_are_added(tmp_path):
    for name in ("anna.fcs", "bela.fcs"):
        (tmp_path / name).write_bytes(_planted(extra={"$SMNO": name}))
    key = tmp_path / "secret" / "key.csv"
    key.parent.mkdir()
    key.write_text("code,file,note\nSLE01_P003_W0_surface,anna.fcs,first\n")
    deidentify([tmp_path / "anna.fcs", tmp_path / "bela.fcs"], tmp_path / "out", key=key)
    assert sorted(p.name for p in (tmp_path / "out").glob("*.fcs")) == ["FCS0001.fcs", "SLE01_P003_W0_surface.fcs"]
    rows = list(csv.reader(key.open(encoding="utf-8")))
    assert rows == [
        ["code", "file", "note"],
        ["SLE01_P003_W0_surface", "anna.fcs", "first"],
        ["FCS0001", str(tmp_path / "bela.fcs"), ""],
    ]
    shutil.rmtree(tmp_path / "out")
    deidentify([tmp_path / "bela.fcs"], tmp_path / "out", key=key)
    assert [p.name for p in (tmp_path / "out").glob("*.fcs")] == ["FCS0001.fcs"]


def test_same_inputs_give_the_same_bytes(tmp_path):
    for name in ("zeta.fcs", "alpha.fcs"):
        (tmp_path / name).write_bytes(_planted(extra={"$SMNO": name}))
    runs = []
    for out in ("one", "two"):
        deidentify([tmp_path / "zeta.fcs", tmp_path / "alpha.fcs"], tmp_path / out)
        runs.append({p.name: p.read_bytes() for p in (tmp_path / out).iterdir()})
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("out", "key", "message"),
    [
        ("out", "out/key.csv", "the key file is inside the output"),
        ("in/out", "key.csv", "the output is inside a folder of originals"),
        ("in", "key.csv", "the output is inside a folder of originals"),
    ],
)
def test_key_output_and_originals_are_kept_apart(tmp_path, out, key, message):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.fcs").write_bytes(_planted())
    with pytest.raises(InputError, match=message):
        deidentify([tmp_path / "in"], tmp_path / out, key=tmp_path / key)
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "a.fcs"]


def test_faults_of_the_key_are_all_listed(tmp_path):
    for name in ("anna.fcs", "bela.fcs", "cilla.fcs"):
        (tmp_path / name).write_bytes(_planted())
    key = tmp_path / "key.csv"
    key.write_text("file,code\nanna.fcs,anna_W0\nbela.fcs,P/2\n,P3\ncilla.fcs,P4\nother.fcs,P4\n")
    with pytest.raises(InputError) as caught:
        deidentify(tmp_path.glob("*.fcs"), tmp_path / "out", key=key)
    assert [(p.place, p.message) for p in caught.value.problems] == [
        ("line 2", "the code holds the file's own name"),
        ("line 3", "the code is not usable as a file name"),
        ("line 4", "the file is empty"),
    ]
    key.write_text("file,code\nanna.fcs,P1\nbela.fcs,P1\n")
    with pytest.raises(InputError, match="the code P1 is given to 2 files"):
        deidentify(tmp_path.glob("*.fcs"), tmp_path / "out", key=key)
    key.write_text("name;code\n")
    with pytest.raises(InputError, match="the columns file and code are needed"):
        deidentify(tmp_path.glob("*.fcs"), tmp_path / "out", key=key)
    assert not (tmp_path / "out").exists()


def test_an_unreadable_file_is_named_and_the_others_go_on(tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.fcs").write_bytes(_planted())
    (folder / "short.fcs").write_bytes(_planted()[: _planted().index(_EVENTS.tobytes()) + 10])
    (folder / "text.fcs").write_text("sample,CD4\n")
    (folder / "notes.txt").write_text("not looked at")
    assert main(["deidentify", str(folder), "-o", str(tmp_path / "out")]) == 3
    said = capsys.readouterr().err
    assert said.count("hint:") == 2
    assert "short.fcs" in said
    assert "text.fcs" in said
    assert [p.name for p in (tmp_path / "out").glob("*.fcs")] == ["FCS0001.fcs"]
    assert main(["deidentify", "--scan", str(folder / "text.fcs")]) == 1
    assert main(["deidentify", str(tmp_path / "nowhere"), "-o", str(tmp_path / "out2")]) == 1
    assert main(["deidentify", str(folder)]) == 2


def test_originals_are_never_written_over(tmp_path):
    folder, key = tmp_path / "in", tmp_path / "key.csv"
    folder.mkdir()
    sources = [folder / "a.fcs", folder / "P1.fcs"]
    for source in sources:
        source.write_bytes(_planted(extra={"$SMNO": source.name}))
    key.write_text("file,code\na.fcs,P1\nP1.fcs,Q2\n")
    before = [source.read_bytes() for source in sources]
    with pytest.raises(InputError, match="writing this would replace an original"):
        deidentify(sources, folder, key=key)
    assert [source.read_bytes() for source in sources] == before


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        ("CD25 BV421", "CD25 BV421"),
        ("FSC-Height", "FSC-Height"),
        ("Time (102.40 sec.)", "Time (102.40 sec.)"),
        ("FL1 Lin", "FL1 Lin"),
        ("CD4 Lin", "CD4"),
        ("Li Ming HLA-DR", "HLA-DR"),
        ("IFN-γ", "IFN-g"),
        ("Zhang", ""),
        ("12/03/70", ""),
        ("00482133", ""),
        ("482 113", ""),
        ("CD4 139 123 456 78", "CD4"),
        ("488-710/45", "488-710/45"),
    ],
)
def test_labels_keep_only_words_of_the_vocabulary(label, kept):
    assert harmless_label(label) == kept


def test_channel_names_of_real_instruments_are_kept():
    renamed = set()
    for path in sorted(data_folder("fcs_edge_cases/instruments").iterdir()):
        if path.suffix.lower() in (".fcs", ".lmd"):
            renamed |= {c.name for c in read_header(path).channels if not harmless(c.name)}
    assert renamed == set()


def test_cytometer_keeps_its_model_only():
    assert model_words("Dr. Wang's FACSCanto II V33896100") == "FACSCanto II"
    assert model_words("Cytomics FC 500") == "Cytomics FC 500"
    assert model_words("room 12") == ""


_WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(_WORDS, _WORDS, max_size=6),
    st.sampled_from(["$COM", "$P1S", "$P2S", "$P1V", "$CYT", "$TIMESTEP", "$P1D", "SPILL", "$P2L"]),
)
def test_whatever_a_keyword_holds_the_planted_word_is_removed(tmp_path, others, key):
    extra = {f"X{k}": f"{v}QXJZVK" for k, v in others.items()} | {key: "QXJZVK"}
    folder = tmp_path / "in"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    folder.mkdir()
    (folder / "tube.fcs").write_bytes(_planted(extra=extra))
    deidentify([folder], tmp_path / "out", key=tmp_path / "key.csv")
    raw = (tmp_path / "out" / "FCS0001.fcs").read_bytes()
    assert b"QXJZVK" not in raw
    np.testing.assert_array_equal(read_fcs(tmp_path / "out" / "FCS0001.fcs").columns, _EVENTS.T)


@pytest.mark.parametrize(
    ("keyword", "written", "kept"),
    [
        ("$VOL", "10023456", "10000000"),
        ("$VOL", "120.75", "121"),
        ("$VOL", "0048213", "48200"),
        ("$VOL", "13912345678", None),
        ("$VOL", "-5", None),
        ("$TIMESTEP", "0048213", None),
        ("$TIMESTEP", "1e-5", "1e-5"),
        ("$DFC1TO2", "13912345678", None),
        ("$DFC1TO2", "12.5", "12.5"),
    ],
)
def test_a_record_number_in_place_of_a_quantity_does_not_go_out(tmp_path, keyword, written, kept):
    source = write_fcs(tmp_path / "a.fcs", np.ones((3, 2)), ["FSC-A", "FL1-A"], keywords={keyword: written})
    assert bool(scan([source])) == (kept != written)
    deidentify([source], tmp_path / "out", key=tmp_path / "key.csv")
    assert read_header(tmp_path / "out" / "FCS0001.fcs").text.get(keyword) == kept
    assert scan([tmp_path / "out"]) == []


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    source = write_fcs(tmp_path / "a.fcs", np.ones((200_000, 2)), ["FSC-A", "FL1-A"])
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom immunolab.privacy import deidentify\n"
        "Path.replace = lambda part, target: os.kill(os.getpid(), signal.SIGKILL)\n"
        "deidentify([sys.argv[1]], sys.argv[2], key=sys.argv[3])\n"
    )
    out, key = tmp_path / "out", tmp_path / "key.csv"
    words = [sys.executable, "-c", program, str(source), str(out), str(key)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert [path for path in tmp_path.iterdir() if ".part-" in path.name]  # of the key
    add_to_key(key, {source: "X1"})
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert [path for path in out.iterdir() if ".part-" in path.name]
    (out / f".running.fcs.part-{os.getpid()}-1.fcs").touch()  # of a process that still runs
    deidentify([source], out, key=key)
    assert sorted(path.name for path in out.iterdir() if ".part-" in path.name) == [
        f".running.fcs.part-{os.getpid()}-1.fcs"
    ]
    assert not [path for path in tmp_path.iterdir() if ".part-" in path.name]


def test_a_key_is_never_written_into_what_is_there_already(tmp_path, monkeypatch):
    spied, key = tmp_path / "spied.csv", tmp_path / "key.csv"
    spied.write_text("")

    def planted(path, write):
        part = path.with_name(".part")
        part.symlink_to(spied)
        return write(part)

    monkeypatch.setattr("immunolab.privacy.keyfile.write_atomically", planted)
    with pytest.raises(FileExistsError):
        add_to_key(key, {tmp_path / "a.fcs": "X1"})
    assert spied.read_text() == ""
