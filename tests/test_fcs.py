"""Every cytometer's files: right numbers or one clear error, nothing else."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from builders import data_folder
from fcs_builder import fcs_bytes, write_fcs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immunolab.errors import DataFileError
from immunolab.loaders.fcs.read import read_fcs, read_header

EDGE = "fcs_edge_cases"
UNREADABLE = {
    "fcsparser/corrupted.fcs": "not an FCS file: there is no HEADER",
    "fcsparser/sample_header.fcs": "cut short: 0 of 20,000 events",
    "morganconrad/AriaFile1.fcs": "cut short: 6,052 of 10,000 events",
}
NAMES = ["FSC-A", "SSC-A", "FL1-A"]


def events_of(n: int = 50, channels: int = 3, top: int = 200) -> np.ndarray:
    return np.random.default_rng(7).integers(1, top, (n, channels)).astype(float)


def table() -> list[dict[str, str]]:
    with (data_folder(EDGE) / "readers.csv").open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_every_edge_case_gives_the_numbers_two_readers_agree_on() -> None:
    folder, wrong, n_compared = data_folder(EDGE), [], 0
    for row in table():
        if row["path"] in UNREADABLE:
            continue
        events = read_fcs(folder / row["path"], stored=True)
        first, last = np.median(events.columns[0].astype(float)), np.median(events.columns[-1].astype(float))
        if row["flowcal"] == "ok" and row["fcsparser"] == "ok" and row["fp_n"] == row["fc_n"]:
            n_compared += 1
            expected = int(float(row["fp_n"])), float(row["fc_col0_median"]), float(row["fp_last_median"])
            if not np.allclose((events.n_events, first, last), expected, rtol=2e-7):
                wrong.append((row["path"], (events.n_events, first, last), expected))
    assert wrong == []
    assert n_compared >= 30


@pytest.mark.parametrize(("name", "words"), UNREADABLE.items())
def test_broken_files_say_what_is_broken(name: str, words: str) -> None:
    path = data_folder(f"{EDGE}/{name}")
    with pytest.raises(DataFileError, match=words) as caught:
        read_fcs(path)
    assert caught.value.where == str(path)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "n_events", "first_median"),
    [
        ("instruments/Accuri - C6.fcs", 60_661, 335_305),
        ("instruments/Beckman Coulter - Cyan.fcs", 5_789, 32_402),
        ("instruments/Cytek xP5.fcs", 23_126, 8_940),
        ("flowcal/Data003.fcs", 25_000, 733),
        ("fcsparser/fake_large_fcs.fcs", 11_585, 389.62),
    ],
)
def test_files_that_are_read_silently_wrong_elsewhere(name: str, n_events: int, first_median: float) -> None:
    events = read_fcs(data_folder(f"{EDGE}/{name}"), stored=True)
    assert events.n_events == n_events
    assert np.median(events.columns[0]) == pytest.approx(first_median, rel=1e-6)


def test_ten_bit_values_agree_with_the_high_resolution_data_set_of_the_same_file() -> None:
    path = data_folder(f"{EDGE}/instruments/Beckman Coulter - Cytomics FC500.LMD")
    coarse, fine = read_fcs(path, stored=True), read_fcs(path, dataset=1, stored=True)
    assert coarse.n_events == fine.n_events == 27_072
    assert np.abs(coarse.raw("FS Lin") - np.floor(fine.raw("FS") / 1024)).max() <= 1
    assert np.abs(coarse.raw("SS Lin") - np.floor(fine.raw("SS") / 1024)).max() <= 1
    assert any("2 data sets" in words for words in coarse.warnings)


def test_a_keyword_after_an_empty_value_is_found() -> None:
    # $COM is empty in these files, and the delimiter it leaves doubled hides $DATATYPE from other readers
    header = read_header(data_folder(f"{EDGE}/instruments/Partec - CyFlow v2.9.fcs"))
    assert header.text["$DATATYPE"] == "I"
    assert header.n_events == 72_989


def test_offsets_that_fit_are_followed_and_the_disagreement_is_reported() -> None:
    folder = data_folder(f"{EDGE}/flowio")
    right = read_fcs(folder / "variable_int_example.fcs", stored=True)
    for name in ("data_start_offset_discrepancy_example.fcs", "data_stop_offset_discrepancy_example.fcs"):
        events = read_fcs(folder / name, stored=True)
        assert np.array_equal(events.columns, right.columns)
        assert any("HEADER and TEXT disagree" in words for words in events.warnings)


@pytest.mark.parametrize("name", ["flow/flowkit_bsd/100715.fcs", "fcs_edge_cases/flowio/data1.fcs"])
def test_linear_values_are_those_of_flowio(name: str) -> None:
    import flowio

    path = data_folder(name)
    expected = flowio.FlowData(str(path)).as_array(preprocess=True)
    assert np.array_equal(read_fcs(path).columns, expected.T.astype(np.float32))


@pytest.mark.parametrize("version", ["2.0", "3.0", "3.1", "3.2"])
@pytest.mark.parametrize(
    ("datatype", "bits"),
    [
        ("I", [8, 8, 8]),
        ("I", [16, 16, 16]),
        ("I", [24, 24, 24]),
        ("I", [32, 32, 32]),
        ("I", [64, 64, 64]),
        ("I", [8, 16, 32]),
        ("I", [10, 10, 10]),
        ("I", [12, 9, 16]),
        ("F", None),
        ("D", None),
        ("A", [4, 5, 3]),
        ("A", ["*", "*", "*"]),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_layout_reads_back(tmp_path: Path, version: str, datatype: str, bits: list | None, order: str) -> None:
    truth = events_of(77)
    ranges = [1024] * 3 if datatype == "I" and bits and max(map(int, bits)) > 8 else [256] * 3
    path = write_fcs(
        tmp_path / "a.fcs", truth, NAMES, version=version, datatype=datatype, bits=bits, order=order, ranges=ranges
    )
    events = read_fcs(path)
    assert events.columns.dtype == np.float32
    assert all(column.flags.c_contiguous for column in events.columns)
    assert np.array_equal(events.columns.T, truth)
    assert events.warnings == ()


def test_ten_bits_stored_in_sixteen_are_recognised_by_the_length(tmp_path: Path) -> None:
    truth = events_of(40)
    wide = truth.astype("<u2").tobytes()
    path = write_fcs(tmp_path / "a.fcs", truth, NAMES, datatype="I", bits=[10] * 3, data=wide)
    assert np.array_equal(read_fcs(path).columns.T, truth)


def test_bits_above_the_range_are_masked(tmp_path: Path) -> None:
    truth = events_of(30)
    dirty = truth + 1024 * 5
    path = write_fcs(tmp_path / "a.fcs", dirty, NAMES, datatype="I", bits=[16] * 3, ranges=[1000, 1024, 513])
    assert np.array_equal(read_fcs(path).columns.T, truth)


def test_scales_follow_the_standard(tmp_path: Path) -> None:
    stored = np.array([[0, 100, 7], [512, 300, 9], [1023, 400, 11]])
    words = {"$P1E": "4,0", "$P1G": "2", "$P2G": "4", "$P3G": "3", "$TIMESTEP": "0.25"}
    path = write_fcs(
        tmp_path / "a.fcs", stored, ["FL1-H", "SSC-H", "Time"], datatype="I", ranges=[1024] * 3, keywords=words
    )
    events = read_fcs(path)
    assert np.allclose(events.raw("FL1-H"), 10 ** (4 * stored[:, 0] / 1024), rtol=1e-7)
    assert np.array_equal(events.raw("SSC-H"), stored[:, 1] / 4)
    assert np.array_equal(events.raw("Time"), stored[:, 2] / 4)
    assert np.array_equal(read_fcs(path, stored=True).columns.T, stored)
    assert events.warnings == ("$PnG on a logarithmic channel is ignored, as the standard asks: FL1-H",)


def test_mixed_types_of_fcs_3_2(tmp_path: Path) -> None:
    truth = np.array([[1.5, 7, 1 / 3], [-2.5, 9, 1e6]])
    packed = np.array([tuple(row) for row in truth], dtype=[("a", "<f4"), ("b", "<u2"), ("c", "<f8")]).tobytes()
    words = {"$P2B": "16", "$P2R": "65536", "$P2DATATYPE": "I", "$P3B": "64", "$P3DATATYPE": "D"}
    words["$BEGINDATETIME"] = "2024-02-03T10:11:12Z"
    path = write_fcs(tmp_path / "a.fcs", truth, NAMES, version="3.2", keywords=words, data=packed)
    events = read_fcs(path)
    assert np.array_equal(events.columns.T, truth.astype(np.float32))
    assert [c.datatype for c in read_header(path).channels] == ["F", "I", "D"]


def test_missing_tot_follows_from_the_length(tmp_path: Path) -> None:
    truth = events_of(33)
    path = write_fcs(tmp_path / "a.fcs", truth, NAMES, keywords={"$TOT": None})
    events = read_fcs(path)
    assert np.array_equal(events.columns.T, truth)
    assert events.warnings == ("$TOT is missing; the number of events follows from the length of DATA",)


def test_zero_events_is_a_tube_without_events(tmp_path: Path) -> None:
    events = read_fcs(write_fcs(tmp_path / "a.fcs", np.empty((0, 3)), NAMES))
    assert events.columns.shape == (3, 0)
    assert len(events.channels) == 3


def test_nan_and_inf_are_kept_and_reported(tmp_path: Path) -> None:
    truth = events_of(30)
    truth[3, 1], truth[4, 1], truth[5, 2] = np.nan, np.inf, -np.inf
    events = read_fcs(write_fcs(tmp_path / "a.fcs", truth, NAMES))
    assert np.array_equal(events.columns.T, truth, equal_nan=True)
    assert "SSC-A: 2 events hold NaN or infinite values" in events.warnings
    assert "FL1-A: 1 events hold NaN or infinite values" in events.warnings


@pytest.mark.parametrize("shift", ["header_shift", "text_shift"])
def test_one_wrong_offset_is_seen(tmp_path: Path, shift: str) -> None:
    truth = events_of(60)
    events = read_fcs(write_fcs(tmp_path / "a.fcs", truth, NAMES, **{shift: -80}))
    # both lengths fit the file; a DATA segment within TEXT is the wrong one, else HEADER is believed
    assert np.array_equal(events.columns.T, truth)
    assert any("disagree" in words for words in events.warnings)


def test_blank_header_offsets_and_an_end_that_is_off_by_one(tmp_path: Path) -> None:
    truth = events_of(20)
    assert np.array_equal(read_fcs(write_fcs(tmp_path / "a.fcs", truth, NAMES, header_data=False)).columns.T, truth)
    events = read_fcs(write_fcs(tmp_path / "b.fcs", truth, NAMES, end_shift=1))
    assert np.array_equal(events.columns.T, truth)
    assert events.warnings == ("the end of DATA is off by one byte; it is safe to read",)


def test_names_are_made_unique_and_never_empty(tmp_path: Path) -> None:
    path = write_fcs(tmp_path / "a.fcs", events_of(5, 4), ["FL1-A", "FL1-A", " ", "FL1-A_2"])
    header = read_header(path)
    assert [c.name for c in header.channels] == ["FL1-A", "FL1-A_3", "P3", "FL1-A_2"]
    assert len(header.warnings) == 2


def test_keywords_keep_their_dollar_and_escaped_delimiters(tmp_path: Path) -> None:
    words = {"$COM": "a$b/c", "OWN": "x", "EMPTY": "", "AFTER": "y", "$P1S": "CD4 µ"}
    more = {"MORE": "in//side", "OWN": "z"}
    path = write_fcs(tmp_path / "a.fcs", events_of(5), NAMES, keywords=words, supplement=more)
    header = read_header(path)
    assert {key: header.text[key] for key in words} == words
    assert header.text["MORE"] == "in//side"
    assert header.channels[0].label == "CD4 µ"


def test_data_sets_are_chosen_and_counted(tmp_path: Path) -> None:
    first, second = events_of(10), events_of(20) + 1
    size = len(fcs_bytes(first, NAMES, keywords={"$NEXTDATA": "00000"}))
    chained = fcs_bytes(first, NAMES, keywords={"$NEXTDATA": f"{size:05d}"}) + fcs_bytes(second, NAMES)
    path = tmp_path / "a.fcs"
    path.write_bytes(chained)
    assert read_header(path).datasets == 2
    assert np.array_equal(read_fcs(path).columns.T, first)
    assert np.array_equal(read_fcs(path, dataset=1).columns.T, second)
    with pytest.raises(DataFileError, match="data set 2 is not in the file; it holds 2"):
        read_header(path, dataset=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"$BYTEORD": "2,1,4,3"}, "BYTEORD '2,1,4,3' is neither little endian"),
        ({"$MODE": "C"}, "holds histograms"),
        ({"$PAR": "1000000000"}, "does not describe channel 4"),
        ({"$PAR": None}, "PAR does not give the number of channels"),
        ({"$DATATYPE": None}, "DATATYPE is missing"),
        ({"$DATATYPE": "X"}, "DATATYPE 'X' is not known"),
        ({"$TOT": "999999999999"}, "999,999,999,999 events"),
        ({"$DATATYPE": "I", "$P2B": "99999"}, "P2B gives no usable width"),
        ({"$DATATYPE": "I", "$P2B": "1"}, "P2B gives no usable width"),
    ],
)
def test_absurd_keywords_are_named(tmp_path: Path, words: dict, message: str) -> None:
    path = write_fcs(tmp_path / "a.fcs", events_of(2000), NAMES, keywords=words)
    with pytest.raises(DataFileError, match=message):
        read_fcs(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be opened: No such file") as caught:
        read_fcs(tmp_path / "none.fcs")
    assert str(tmp_path / "none.fcs") in str(caught.value)


def test_truncated_data_says_how_many_events_are_there(tmp_path: Path) -> None:
    raw = fcs_bytes(events_of(100), NAMES)
    path = tmp_path / "a.fcs"
    path.write_bytes(raw[:-605])
    with pytest.raises(DataFileError, match="cut short: 49 of 100 events are there"):
        read_fcs(path)


def only_clear_errors(raw: bytes) -> None:
    """Read bytes as a file: success or DataFileError."""
    with tempfile.NamedTemporaryFile(suffix=".fcs") as handle:
        handle.write(raw)
        handle.flush()
        with suppress(DataFileError):
            assert read_fcs(handle.name).columns.nbytes <= 4 * len(raw)


SEEDS = [
    fcs_bytes(events_of(40), NAMES, keywords={"$SPILLOVER": "2,SSC-A,FL1-A,1,0.1,0,1"}),
    fcs_bytes(events_of(40), NAMES, datatype="I", bits=[10, 16, 24], version="2.0"),
    fcs_bytes(events_of(40), NAMES, datatype="I", bits=[8, 8, 8], order=">"),
    fcs_bytes(events_of(40), NAMES, datatype="A", bits=["*"] * 3, supplement={"A": "b"}),
    fcs_bytes(events_of(40), NAMES, datatype="A", bits=[4] * 3),
    fcs_bytes(events_of(40), NAMES, keywords={"$NEXTDATA": "00058"}),
]
fuzz = settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.too_slow])


@fuzz
@given(
    raw=st.sampled_from(SEEDS),
    places=st.lists(st.tuples(st.integers(0, 900), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
    cut=st.one_of(st.none(), st.integers(0, 1500)),
)
def test_mutated_bytes_never_crash_the_reader(raw: bytes, places: list[tuple[int, bytes]], cut: int | None) -> None:
    changed = bytearray(raw)
    for place, value in places:
        changed[place : place + len(value)] = value
    only_clear_errors(bytes(changed[:cut]))


KEYWORDS = [
    "$PAR",
    "$TOT",
    "$P1B",
    "$P2B",
    "$P3B",
    "$P1R",
    "$P2E",
    "$P1G",
    "$BYTEORD",
    "$DATATYPE",
    "$MODE",
    "$NEXTDATA",
    "$BEGINDATA",
    "$ENDDATA",
    "$BEGINSTEXT",
    "$ENDSTEXT",
    "$SPILLOVER",
    "$COMP",
    "$TIMESTEP",
    "$P1N",
    "$P1DATATYPE",
]
VALUES = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["", " ", "0", "1", "-1", "nan", "1e999", "*", "I", "F", "D", "A", "4,3,2,1", "1,2", "0,0", "4,0",
                     "999999999999999999", "2,FSC-A,SSC-A,1,0,0,1", "2,FSC-A,SSC-A,1,1,1,1", "1,nan", "3,2,1"]),
    st.text(max_size=12),
)  # fmt: skip


@fuzz
@given(
    datatype=st.sampled_from("IFDA"),
    words=st.dictionaries(st.sampled_from(KEYWORDS), st.one_of(st.none(), VALUES), min_size=1, max_size=5),
    version=st.sampled_from(["2.0", "3.0", "3.1", "3.2"]),
)
def test_absurd_keywords_never_crash_the_reader(datatype: str, words: dict, version: str) -> None:
    bits = [4, 4, 4] if datatype == "A" else None
    only_clear_errors(fcs_bytes(events_of(20), NAMES, datatype=datatype, bits=bits, keywords=words, version=version))


@settings(max_examples=100, deadline=2000)
@given(raw=st.binary(max_size=400))
def test_noise_is_refused(raw: bytes) -> None:
    only_clear_errors(raw)
    only_clear_errors(b"FCS3.1    " + raw)


@pytest.mark.parametrize(
    ("datatype", "bits", "words"),
    [
        ("I", [8, 8, 8], {}),
        ("A", ["*"] * 3, {}),
        ("I", [8, 8, 8], {"$TOT": "99999999999"}),
        ("F", None, {"$PAR": "99999999"}),
    ],
)
def test_memory_stays_below_four_times_the_file(tmp_path: Path, datatype: str, bits: list | None, words: dict) -> None:
    one = np.full((500_000 if datatype == "A" else 2_000_000, 3), 7)
    data = {"I": b"\7" * one.size, "A": b"7 " * one.size, "F": b"\0" * (4 * one.size)}[datatype]
    path = write_fcs(tmp_path / "a.fcs", one, NAMES, datatype=datatype, bits=bits, keywords=words, data=data)
    program = (
        "import sys\nfrom immunolab.errors import DataFileError\nfrom immunolab.loaders.fcs.read import read_fcs\n"
        "try:\n    print(read_fcs(sys.argv[1]).n_events)\nexcept DataFileError:\n    print('refused')\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    outcome, peak_kib = done.stdout.split()
    assert outcome == ("refused" if words else str(len(one)))
    assert int(peak_kib) * 1024 < 4 * path.stat().st_size + 200 * 2**20


@pytest.mark.parametrize("amplification", ["0,0", "4,1"], ids=["linear", "logarithmic"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_ten_bits_stored_in_sixteen_are_read_without_what_is_above_them(tmp_path, amplification, order):
    values = np.array([[5, 1023], [0, 512], [700, 1]])
    flags = np.array([[0x8400, 0], [0x0400, 0], [0xFC00, 0]])  # 33,797 was read for the first 5
    path = write_fcs(
        tmp_path / "a.fcs",
        values,
        ["FSC", "FL1"],
        datatype="I",
        bits=[10, 10],
        ranges=[1024, 1024],
        order=order,
        keywords={"$P1E": amplification, "$P2E": amplification},
        data=(values | flags).astype(f"{order}u2").tobytes(),
    )
    tube = read_fcs(path)
    expected = values if amplification == "0,0" else 10 ** (4 * values / 1024)
    np.testing.assert_allclose(tube.columns.T, expected, rtol=1e-6)
    (note,) = [note for note in tube.warnings if "bits above $PnR" in note]
    assert "100.0% of values: FSC;" in note
    assert "FL1" not in note


def test_a_range_that_cuts_most_values_is_said(tmp_path):
    values = np.arange(1000).reshape(-1, 1) * 60
    path = write_fcs(tmp_path / "a.fcs", values, ["FL1"], datatype="I", bits=[16], ranges=[1024])
    assert any("in up to 98.2% of values: FL1" in note for note in read_fcs(path).warnings)


def test_a_header_that_gives_no_number_for_data_is_said(tmp_path):
    path = write_fcs(tmp_path / "a.fcs", np.ones((5, 1)), ["FL1"])
    raw = bytearray(path.read_bytes())
    raw[26:34] = b"    ????"
    path.write_bytes(bytes(raw))
    tube = read_fcs(path)
    assert (tube.columns == 1).all()
    assert any("HEADER's place of DATA is no number ('???? to" in note for note in tube.warnings)
