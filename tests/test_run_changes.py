"""What check says before a run: change points with dates and patients, names of other rows, one tube in two rows."""

from __future__ import annotations

import weakref
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from fcs_builder import write_fcs

from immunolab.quality import staining, staining_sample
from immunolab.quality.run_changes import RunChange, TubeSetup, run_changes, tube_setup
from immunolab.study.file_names import NamedTube, names_of_others
from immunolab.workflow.check import check_study

FIRST = date(2024, 3, 4)


def tube(i: int, *, volt: float = 450.0, lot: str = "A", machine: str = "Aria", day: int | None = None) -> TubeSetup:
    """Return tube i: visits W0 and W10 of a patient are ten days apart, one patient a day."""
    patient, visit = f"P{i // 2:02}", ("W0", "W10")[i % 2]
    taken = FIRST + timedelta(days=(i // 2 + 10 * (i % 2)) if day is None else day)
    words = {"cytometer": machine, "lot": lot}
    return TubeSetup(f"s{i}", "t", patient, visit, "", taken, "", words, {}, {"PE": volt, "APC": 500.0})


def test_a_steady_study_has_no_change() -> None:
    assert run_changes([tube(i) for i in range(8)], [("W0", "W10")]) == []


def test_a_change_is_dated_and_says_between_whose_visits_it_is_worst_first() -> None:
    """The voltage changes with day 2 (patients 0 and 1 before it at W0 alone), the lot after all baselines."""
    tubes = []
    for i in range(8):
        day = i // 2 + 10 * (i % 2)
        tubes.append(tube(i, volt=450.0 if day < 2 else 480.0, lot="A" if day < 5 else "B"))
    found = run_changes(tubes, [("W0", "W10")])
    assert found == [
        RunChange("lot", "from 2024-03-14 on: lot A -> B, 4 tubes before, 4 after", 4, 4),
        RunChange("voltages", "from 2024-03-06 on: PE 450 -> 480 V, 2 tubes before, 6 after", 2, 4),
    ]
    assert found[1].message.endswith("after; between the compared visits of 2 of 4 patients")


def test_voltages_set_anew_every_day_are_one_line() -> None:
    (found,) = run_changes([tube(i, volt=450.0 + i + 20 * (i == 6), day=i) for i in range(10)])
    assert found.text.startswith("voltages change 9 times from 2024-03-04 to 2024-03-13, 10 settings in 10 tubes; ")
    assert found.text.endswith("the largest on 2024-03-10: PE 455 -> 476 V")


def test_voltages_of_another_cytometer_are_no_change_of_voltages() -> None:
    tubes = [tube(i, volt=(450.0, 390.0)[i % 2], machine=("Aria", "Canto")[i % 2]) for i in range(8)]
    assert {one.kind for one in run_changes(tubes)} == {"cytometer"}


def test_headers_give_lasers_voltages_and_dates() -> None:
    text = {"$DATE": "04-MAR-2024", "$BTIM": "10:00:00", "$CYT": "Fortessa", "LASER1NAME": "UV", "LASER1ASF": "1.09"}
    text |= {"$P1N": "PE-A", "$P1V": "450", "$P2N": "PE-H", "$P2V": "450", "$P3N": "APC-A", "$P3V": "0", "$P3O": "40"}
    found = tube_setup(text, tube=("s", "t", "P1", "W0"), batch="", taken=None, sheet={"lot": "L1", "site": ""})
    assert (found.taken, found.voltages) == (FIRST, {"PE": 450.0})
    assert found.words == {"cytometer": "Fortessa", "lot": "L1"}
    assert found.lasers == {"laser 1": "UV", "area scaling of laser 1 (UV)": "1.09", "laser power of APC-A": "40"}


def named(rows: list[tuple[str, str, str, str]]) -> list[NamedTube]:
    return [NamedTube(f"{i}", patient, visit, name, (header,)) for i, (patient, visit, name, header) in enumerate(rows)]


def test_a_file_or_header_of_another_row_is_named() -> None:
    rows = [(f"NY-0{p}", v, f"tube{p}{v}.fcs", f"NY_0{p} {v} 001") for p in range(10, 14) for v in ("W0", "W10")]
    assert names_of_others(named(rows)) == []
    rows[2], rows[4] = (*rows[2][:3], rows[4][3]), (*rows[4][:3], rows[2][3])
    found = names_of_others(named(rows))
    assert found == [
        ("2", "its header names patient NY-012, the sheet NY-011: files or labels may be swapped"),
        ("4", "its header names patient NY-011, the sheet NY-012: files or labels may be swapped"),
    ]
    rows[1] = (*rows[1][:2], "ny010_w0_again.fcs", rows[1][3])
    assert names_of_others(named(rows)) == found  # one name that tells a visit is no rule of the study's file names


@pytest.mark.parametrize("names", [("1", "2", "3"), ("A", "B", "C"), ("P1", "P2", "P3")])
def test_words_that_mean_something_else_name_nobody(names: tuple[str, ...]) -> None:
    """Numbers of specimens, letters of wells, and a word that every header has."""
    rows = [(name, "", f"x{name}y.fcs", f"Specimen_00{i}_P1_B1 2") for i, name in enumerate(names)]
    assert names_of_others(named(rows)) == []


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Write six tubes of three patients, with dates and voltages; the last is the first again."""
    rng, names = np.random.default_rng(3), ["FSC-A", "SSC-A", "PE-A", "APC-A", "FITC-A", "BV421-A", "Time"]
    labels = dict(zip(range(3, 7), ("CD3", "CD4", "CD25", "CD127"), strict=True))
    lines = ["sample_id,patient_id,visit,file,lot"]
    for i in range(6):
        cells = rng.lognormal(6, 1, (600, len(names)))
        cells[:, -1] = np.arange(600)
        keywords = {"$DATE": f"0{i % 5 + 1}-MAR-2024", "$BTIM": "10:00:00", "$ETIM": "10:01:00", "$CYT": "Aria"}
        keywords |= {f"$P{n}S": label for n, label in labels.items()} | {"$P3V": "450" if i < 2 else "480"}
        keywords |= {"TUBE NAME": f"P0{(1, 1, 3, 2, 2, 3)[i]}"}
        write_fcs(tmp_path / f"tube{i}.fcs", cells, names, keywords=keywords)
        lines.append(f"s{i},P0{i // 2 + 1},{('W0', 'W10')[i % 2]},tube{i}.fcs,L1")
    (tmp_path / "samples.csv").write_text("\n".join(lines) + "\n")
    scales = "transform: {default: {asinh: {cofactor: 150}}, scatter: linear}"
    tree = "populations:\n  - {name: CD4, parent: root, rectangle: {CD4: [0, null]}}\n"
    (tmp_path / "gates.yaml").write_text(f"strategy: drawn\n{scales}\n{tree}")
    (tmp_path / "study.yaml").write_text(
        "study: x\nsheet: samples.csv\npanels: {t: {strategy: gates.yaml}}\ncomparison: {before: W0, after: W10}\n"
    )
    return tmp_path


def test_check_names_swapped_tubes_before_changes(written: Path) -> None:
    checked = check_study(written)
    assert checked.problems == ()
    said = [note.partition("\n")[0].replace(f"{written}/", "") for note in checked.notes]
    at = [i for i, note in enumerate(said) if "files or labels may be swapped" in note]
    assert [said[i].partition(" ")[0] for i in at] == ["tube2.fcs", "tube4.fcs"]
    (twice,) = [i for i, note in enumerate(said) if "one acquisition" in note]
    assert "s0 and s5 have the date" in said[twice]
    (change,) = [i for i, note in enumerate(said) if "PE 450 -> 480 V" in note]
    assert said[change].startswith("from 2024-03-01 on") or said[change].startswith("voltages change")
    assert max(*at, twice) < change


def test_check_holds_no_more_tubes_than_are_compared(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: set[int] = set()
    most = [0]
    made = staining_sample.StainingSample.__init__

    def counted(self: staining_sample.StainingSample, *args: object, **named: object) -> None:
        made(self, *args, **named)  # type: ignore[arg-type]
        held.add(id(self))
        weakref.finalize(self, held.discard, id(self))
        most[0] = max(most[0], len(held))

    monkeypatch.setattr(staining_sample.StainingSample, "__init__", counted)
    monkeypatch.setattr(staining, "MOST_TUBES", 3)
    check_study(written)
    assert 0 < most[0] <= 4
