"""Overrides of gates in their file: read, written, and every fault of a hand-written one with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from immunolab.errors import InputError
from immunolab.events.transforms import Asinh, Logicle
from immunolab.gating.gates import Dimension, Ellipsoid, Polygon, Rectangle
from immunolab.gating.overrides import Override, StatedBorder, read_overrides, write_overrides

CD25 = Dimension("CD25", Logicle(262144, 0.5, 4.5, 0))
CD127 = Dimension("CD127", Asinh(150))
POLYGON = Polygon((CD25, CD127), ((0.2, 1.1), (0.5, 1.1234567890123), (0.5, 3.0), (0.2, 3.0)))
ELLIPSE = Ellipsoid((CD25, CD127), (0.3, 2.0), ((0.01, 0.002), (0.002, 0.04)), 2.0)
ABOVE = Rectangle((CD25,), (0.321,), (None,))
CLOSED = Rectangle((CD25,), (0.3,), (0.3,))
SEVERAL = (
    Override("a1", "c", "S1", "/A/B", POLYGON, ABOVE, "control", 'it is: "so"\nand #2', "Å. B.", "2026-11-26T10:00:00Z",
             4.9, 3.123456789012, "ab" * 32, "cd" * 32),
    Override("a2", "c", "S1", "/A/C", ELLIPSE, CLOSED, "no_border", reader="AB"),
    Override("a3", "a3", "S2", "", None, None, "other", "true", "null",
             borders=(StatedBorder("CD25", (3000.25,)), StatedBorder("CD4", (None, 100.5)))),
)  # fmt: skip


def test_written_overrides_are_read_back_to_the_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "overrides.yaml"
    write_overrides(SEVERAL, path)
    assert read_overrides(path) == SEVERAL
    text = path.read_text(encoding="utf-8")
    assert "gate: {polygon: {x: CD25, y: CD127, points: [[" in text
    assert "was: no border" in text
    write_overrides(read_overrides(path), path)
    assert path.read_text(encoding="utf-8") == text
    write_overrides((), path)
    assert read_overrides(path) == () == read_overrides(tmp_path / "absent.yaml")


def test_comments_that_people_wrote_stay_with_their_entry(tmp_path: Path) -> None:
    path = tmp_path / "overrides.yaml"
    write_overrides(SEVERAL, path)
    text = path.read_text(encoding="utf-8")
    for at, said in (
        ("- id: a1", "# asked of Anna,\n# on the phone"),
        ("- id: a2", "# second"),
        ("  sample: S2", "#in it"),
    ):
        assert text.count(at) == 1
        text = text.replace(at, f"{said}\n{at}")
    path.write_text(text + "# last", encoding="utf-8")
    found = read_overrides(path)
    assert found == SEVERAL
    assert [one.remarks for one in found] == [
        ("# asked of Anna,", "# on the phone"),
        ("# second",),
        ("#in it", "# last"),
    ]
    write_overrides((found[0], found[2]), path)
    again = path.read_text(encoding="utf-8")
    assert "# on the phone\n- id: a1" in again
    assert "# second" not in again  # its entry is gone
    assert [one.remarks for one in read_overrides(path)] == [found[0].remarks, found[2].remarks]
    write_overrides(read_overrides(path), path)
    assert path.read_text(encoding="utf-8") == again


def test_a_gate_changed_by_hand_beside_its_digits_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "overrides.yaml"
    write_overrides(SEVERAL[:1], path)
    text = path.read_text(encoding="utf-8")
    changed = text.replace("[1560.87, 1502.68]", "[1800, 1502.68]")
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(InputError, match=r"not the gate that exact\.gate holds.*\n.*remove gate from exact"):
        read_overrides(path)


def test_an_id_that_a_sample_of_another_entry_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "overrides.yaml"
    rest = "population: T, threshold: {CD25: 3000}, reason: control, reader: me}"
    two, one = "- {id: a, sample: [S1, S2], " + rest, "- {id: a.1, sample: S3, " + rest
    for entries in ((two, one), (one, two)):
        path.write_text("\n".join(("overrides:", *entries)) + "\n", encoding="utf-8")
        with pytest.raises(InputError, match=r"the id 'a\.1' is duplicated: line 2 has it"):
            read_overrides(path)
    path.write_text(f"overrides:\n{two}\n{one.replace('a.1', 'b')}\n", encoding="utf-8")
    assert [found.id for found in read_overrides(path)] == ["a.1", "a.2", "b"]


def test_every_fault_of_a_hand_written_file_is_given_at_once_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "overrides.yaml"
    path.write_text(
        """overrides:
- {id: k, sample: S1, threshold: {CD25: 3000}, reason: control, reader: me}
- {id: k, sample: S1, threshold: {CD25: 3000}, reason: contrl, reader: me}
- sample: [S1, S2]
  population: Treg
  gate: {polygon: {x: CD25, y: CD127, points: [[100, 100], [1000, 1000], [1000, 100], [100, 1000]]}}
  reason: other
  reader: me
- sample: S1
  threshold: {CD25: big}
  reason: control
  raeder: me
- {sample: S1, reason: control, reader: me}
- {sample: S1, threshold: {CD4: [100, 10]}, reason: control, reader: me, at: yesterday}
""",
        encoding="utf-8",
    )
    with pytest.raises(InputError) as error:
        read_overrides(path)
    found = {(problem.place, problem.message.split(": ", 1)[1]) for problem in error.value.problems}
    assert found == {
        ("3", "unknown reason 'contrl'"),
        ("3", "the id 'k' is duplicated: line 2 has it"),
        ("7", "the reason 'other' needs a comment"),
        ("6", "the polygon crosses itself: its edges 1-2 and 3-4 meet"),
        ("10", "a number in instrument units is needed"),
        ("12", "unknown key 'raeder'"),
        ("9", "the key is missing"),
        ("13", "a gate is missing"),
        ("14", "the low end 100 is not below the high end 10"),
        ("14", "'yesterday' is no date"),
    }
    path.write_text("overrides:\n- {sample: S1\n  reason: control\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"overrides\.yaml:3  not valid YAML"):
        read_overrides(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"vertices":[[0.2,1.1]', '"vertices":[["a",1.1]'),
        ('"vertices":[[0.2,1.1]', '"vertices":[[0.2]'),
        ('"name":"CD25"', '"name":[]'),
        ('"w":0.5', '"w":"x"'),
        ('"dimensions":[', '"dimensions":["CD4",'),
        ('"is":"Polygon"', '"is":"Population"'),
        ('"is":"Polygon"', '"is":"Nothing"'),
    ],
)
def test_digits_that_are_no_gate_are_refused_in_words(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "overrides.yaml"
    write_overrides(SEVERAL[:1], path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"exact\.gate: cannot be read: is no gate.*\n.*remove it"):
        read_overrides(path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "overrides:\n", "overrides: []\n"])
def test_a_file_without_entries_holds_no_override(tmp_path: Path, text: str) -> None:
    (tmp_path / "overrides.yaml").write_text(text, encoding="utf-8")
    assert read_overrides(tmp_path / "overrides.yaml") == ()


@pytest.mark.parametrize("value", [".inf", "1e400", ".nan", "[.inf, 3]", "true", "{}", "[1, 2, 3]", "[null, null]"])
def test_a_border_is_a_finite_number(tmp_path: Path, value: str) -> None:
    entry = f"overrides:\n- {{sample: S, threshold: {{CD25: {value}}}, reason: control, reader: ' '}}\n"
    (tmp_path / "overrides.yaml").write_text(entry, encoding="utf-8")
    with pytest.raises(InputError, match="a number in instrument units is needed") as error:
        read_overrides(tmp_path / "overrides.yaml")
    assert any("reader: the key is missing" in str(problem) for problem in error.value.problems)
