"""A lab's own threshold methods: each is given what its card wants, and nothing in its place."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import REPOSITORY
from planted import MARKERS, f1, planted_tube

import immunolab as il
from immunolab.cli import main
from immunolab.config import parse_yaml
from immunolab.errors import GatingError, InputError
from immunolab.gating.evaluate import evaluate
from immunolab.gating.method_registry import REGISTERED, Card, Parameter, register
from immunolab.gating.placement.fit import fit
from immunolab.gating.placement.method_lookup import load_methods, method
from immunolab.gating.strategy_file import parse_strategy
from immunolab.schema.flags import Flag
from immunolab.simulation.fcs_writer import write_fcs

LAB = """
import numpy as np
import immunolab as il
from immunolab.gating.method_registry import Band, Corner, Cut, Parameter

SEEN = []


@il.threshold_method("lab_parent", wants="parent", control="density", assumes="symmetry",
                     parameters=(Parameter("k", 1.0, "sd", "distance from the mean"),))
def lab_parent(values, *, k=1.0):
    SEEN.append(("parent", values))
    return values.mean() + k * values.std()


@il.threshold_method("lab_fmo", wants="control", control="fmo", assumes="same panel")
def lab_fmo(values):
    SEEN.append(("control", values))
    return Cut(float(np.quantile(values, 0.99)), (), float(values.std()))


@il.threshold_method("lab_reference", wants="reference", control="internal", assumes="negative")
def lab_reference(values):
    SEEN.append(("reference", values))
    return float(np.quantile(values, 0.98))


@il.threshold_method("lab_pair", wants="pair", control="density", assumes="a box", channels=("CD4", "CD8"))
def lab_pair(x, y):
    SEEN.append(("pair", x, y))
    return Band(((2, -9), (99, -9), (99, 2.5), (2, 2.5)), ("lab_word",))


@il.threshold_method("lab_corner", wants="pair_and_reference", control="internal", assumes="a corner", borders=True)
def lab_corner(x, y, reference):
    SEEN.append(("pair_and_reference", x, y, reference))
    beyond = (np.quantile(reference[0], 0.99), np.quantile(reference[1], 0.02)) if reference else (np.nan, np.nan)
    return Corner(Cut(float(beyond[0])), Cut(float(beyond[1])))
"""
HEAD = "transform: {default: {asinh: {cofactor: 150}}, scatter: linear}\npopulations:\n"
TREE = HEAD + (
    "  - {name: CD3, where: CD3+}\n  - {name: CD4, parent: CD3, where: CD4+ CD8-}\n"
    "  - {name: CD4_naive, parent: CD4, where: CD45RA+ CCR7+}\n"
)


@pytest.fixture
def lab(tmp_path: Path):
    """Register the lab's methods from its file; return the calls they see."""
    path = tmp_path / "lab_methods.py"
    path.write_text(LAB)
    load_methods(path)
    yield method("lab_parent").function.__globals__["SEEN"]
    for name in [name for name in REGISTERED if name.startswith("lab_")]:
        del REGISTERED[name]


def place(line: str, tube=None, **options):
    """Return the tube, its kinds, and the gates placed by a tree that ends in one more line."""
    made, kinds = planted_tube(0)
    tube = tube or made
    strategy = parse_strategy(parse_yaml(f"{TREE}  - {line}\n", "s.yaml"))
    return tube, kinds, fit(strategy, [tube], groups={"S1": {"batch": "B"}}, **options)


def border(fitted, marker: str, population: str = "A") -> pd.Series:
    table = fitted.thresholds
    return table[(table["population"] == population) & (table["marker"] == marker)].iloc[0]


def inside(fitted, tube, name: str) -> np.ndarray:
    strategy = fitted.strategies["S1"]
    return evaluate(strategy, tube).masks[strategy[name].path]


def asinh(tube, marker: str, mask: np.ndarray) -> np.ndarray:
    return np.arcsinh(tube.columns[tube.find(marker)][mask].astype(float) / 150)


def assert_withheld(fitted, tube, marker: str, *flags: str, reason: str) -> None:
    found = border(fitted, marker)
    assert pd.isna(found["threshold"])
    assert {"no_border", *flags} <= set(found["flag"].split(";"))
    assert reason in found["reason"]
    assert not inside(fitted, tube, "A").any()


def test_a_method_that_wants_the_parent_gets_the_parents_events(lab) -> None:
    tube, _, fitted = place("{name: A, parent: CD4, above: {marker: CD25, by: lab_parent, k: 2}}")
    values = asinh(tube, "CD25", inside(fitted, tube, "CD4"))
    np.testing.assert_allclose(lab[0][1], values, atol=1e-5)
    found = border(fitted, "CD25")
    assert found["threshold"] == pytest.approx(values.mean() + 2 * values.std(), abs=1e-5)
    assert (found["method"], found["control"]) == ("lab_parent", "density")
    assert found["ci_low"] < found["threshold"] < found["ci_high"]


def test_a_method_that_wants_a_control_tube_gets_its_events_and_no_others(lab) -> None:
    fmo, _ = planted_tube(9, sample_id="F", without="CXCR5")
    line = "{name: A, parent: CD4, above: {marker: CXCR5, by: lab_fmo}}"
    tube, kinds, fitted = place(line, controls={("B", "CXCR5"): fmo})
    assert 1000 < len(lab[0][1]) < fmo.n_events
    assert lab[0][1].max() < 2.6, "cells without the dye, of the same parent"
    assert border(fitted, "CXCR5")["control"] == "fmo"
    assert f1(inside(fitted, tube, "A"), np.isin(kinds, ("tfh", "tfh_quiet"))) > 0.9


def test_without_its_control_tube_the_border_is_withheld(lab) -> None:
    line = "{name: A, parent: CD4, above: {marker: CXCR5, by: lab_fmo}}"
    tube, _, fitted = place(line)
    assert lab == [], "the method must not run on other events"
    assert_withheld(fitted, tube, "CXCR5", "no_fmo", reason="no FMO tube of this batch")
    other, _ = planted_tube(9, sample_id="F", without="CXCR5", markers=MARKERS[:-1])
    tube, _, fitted = place(line, controls={("B", "CXCR5"): other})
    assert lab == []
    assert_withheld(fitted, tube, "CXCR5", "control_mismatch", reason="the fmo tube has another panel")


def test_a_method_that_wants_a_reference_gets_its_events(lab) -> None:
    tube, _, fitted = place("{name: A, parent: CD4, above: {marker: CXCR5, by: lab_reference, of: CD4_naive}}")
    values = asinh(tube, "CXCR5", inside(fitted, tube, "CD4_naive"))
    np.testing.assert_allclose(lab[0][1], values, atol=1e-5)
    assert border(fitted, "CXCR5")["threshold"] == pytest.approx(np.quantile(values, 0.98), abs=1e-5)


def test_without_its_reference_the_border_is_withheld(lab) -> None:
    tube, _, fitted = place("{name: A, parent: CD4, above: {marker: CD4, by: lab_reference}}")
    assert_withheld(fitted, tube, "CD4", reason="no reference population named")
    bare, _ = planted_tube(0, markers=tuple(m for m in MARKERS if m != "CD45RA"))
    text = HEAD + "  - {name: A, above: {marker: CXCR5, by: lab_reference, of: CD4_naive}}\n"
    fitted = fit(parse_strategy(parse_yaml(text, "s.yaml")), [bare])
    assert lab == [], "the method must not run on other events"
    assert_withheld(fitted, bare, "CXCR5", "no_reference", reason="no reference population CD4_naive")


def test_a_method_of_two_channels_is_a_gate_of_its_name(lab) -> None:
    tube, _, fitted = place("{name: A, parent: CD3, lab_pair: {}}")
    x, y = (asinh(tube, marker, inside(fitted, tube, "CD3")) for marker in ("CD4", "CD8"))
    np.testing.assert_allclose(lab[0][1:], [x, y], atol=1e-5)
    assert fitted.strategies["S1"]["A"].flag == "lab_word"
    np.testing.assert_array_equal(inside(fitted, tube, "A")[inside(fitted, tube, "CD3")], (x > 2) & (y < 2.5))


def test_a_corner_of_a_labs_own_is_a_gate_and_a_border(lab) -> None:
    line = "{name: A, parent: CD4, lab_corner: {x: CD25, y: CD127, of: CD4_naive}}"
    tube, kinds, fitted = place(line)
    naive = inside(fitted, tube, "CD4_naive")
    x, y = (asinh(tube, marker, naive) for marker in ("CD25", "CD127"))
    np.testing.assert_allclose(lab[0][3], [x, y], atol=1e-5)
    assert f1(inside(fitted, tube, "A"), kinds == "treg") > 0.9
    tube, _, fitted = place(
        "{name: A, parent: CD4, above: {marker: CD25, by: lab_corner, partner: CD127, of: CD4_naive}}"
    )
    assert border(fitted, "CD25")["threshold"] == pytest.approx(np.quantile(x, 0.99), abs=1e-5)
    assert border(fitted, "CD25")["method"] == "lab_corner"


def test_what_two_channels_lack_withholds_gate_and_border(lab) -> None:
    markers = tuple(m for m in MARKERS if m != "CD45RA")
    bare, _ = planted_tube(0, markers=markers)
    text = HEAD + "  - {name: CD3, where: CD3+}\n"
    corner = text + "  - {name: A, parent: CD3, lab_corner: {x: CD25, y: CD127}}\n"
    fitted = fit(parse_strategy(parse_yaml(corner, "s.yaml")), [bare])
    assert lab[0][3] is None
    assert not inside(fitted, bare, "A").any()
    assert "no_border" in border(fitted, "CD25")["flag"]
    lab.clear()
    partner = text + "  - {name: A, parent: CD3, above: {marker: CD25, by: lab_corner, partner: CD45RA}}\n"
    fitted = fit(parse_strategy(parse_yaml(partner, "s.yaml")), [bare])
    assert lab == []
    assert_withheld(fitted, bare, "CD25", reason="no CD45RA in the panel")


def test_a_labs_method_that_finds_no_border_withholds_it(lab) -> None:
    il.threshold_method("lab_none", wants="parent", control="density", assumes="")(lambda values: np.nan)
    tube, _, fitted = place("{name: A, parent: CD4, above: {marker: CD25, by: lab_none}}")
    assert_withheld(fitted, tube, "CD25", reason="lab_none found none among")
    il.threshold_method("lab_then", wants="parent", control="density", assumes="", instead=("tail",))(lambda v: np.nan)
    _, _, fitted = place("{name: A, parent: CD4, above: {marker: CD25, by: lab_then}}")
    assert border(fitted, "CD25")["method"] == "tail"


def test_shipped_methods_say_on_their_cards_what_takes_their_place() -> None:
    _, _, fitted = place("{name: A, parent: CD4, above: {marker: CXCR5, by: fmo, of: CD4_naive}}")
    found = border(fitted, "CXCR5")
    assert (found["method"], found["flag"]) == ("internal_reference", "no_fmo")
    assert found["reason"].endswith("no FMO tube of this batch")


def test_every_flag_of_a_border_is_declared() -> None:
    for line in (
        "{name: A, parent: CD4, where: CD25hi CCR6+}",
        "{name: A, parent: CD4, above: {marker: CXCR5, by: fmo}}",
    ):
        flags = place(line)[2].thresholds["flag"].dropna()
        assert len(flags)
        assert {word for flag in flags for word in flag.split(";")} <= set(Flag)


def test_faults_of_a_method_are_errors_with_its_name(lab, tmp_path: Path) -> None:
    def broken(values):
        raise ZeroDivisionError("oh")

    register("lab_broken", broken, Card("lab_broken", "parent", "density", "nothing"))
    register("lab_text", lambda values: "high", Card("lab_text", "parent", "density", "nothing"))
    register("lab_list", lambda x, y: [1], Card("lab_list", "pair", "density", "nothing", channels=("CD4", "CD8")))
    with pytest.raises(GatingError, match="threshold method 'lab_broken' failed: ZeroDivisionError: oh"):
        place("{name: A, parent: CD4, above: {marker: CD25, by: lab_broken}}")
    with pytest.raises(GatingError, match="threshold method 'lab_text' returned str"):
        place("{name: A, parent: CD4, above: {marker: CD25, by: lab_text}}")
    with pytest.raises(GatingError, match="threshold method 'lab_list' returned list"):
        place("{name: A, parent: CD4, lab_list: {}}")


@pytest.mark.parametrize(
    ("card", "fault"),
    [
        (Card("lab_new", "control", "density", ""), "says 'fmo' or 'unstained'"),
        (Card("lab_new", "controls", "fmo", ""), "unknown wants 'controls'"),  # type: ignore[arg-type]
        (Card("lab_new", "parent", "density", "", (Parameter("q", 0.9, "", ""),)), "no parameter 'q'"),
        (Card("lab_new", "parent", "density", "", (Parameter("k", 2.0, "", ""),)), "'k' is 3.0 in the function, 2.0"),
        (Card("lab_old", "parent", "density", ""), "its card is named 'lab_old'"),
    ],
)
def test_a_card_that_contradicts_its_function_is_refused(card: Card, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        register("lab_new", lambda values, *, k=3.0: k, card)
    assert "lab_new" not in REGISTERED


def test_names_that_are_taken_are_refused() -> None:
    for name, fault in (("valley", "already registered"), ("auto", "a word of threshold rules")):
        with pytest.raises(ValueError, match=fault):
            il.threshold_method(name, wants="parent", control="density", assumes="")(lambda values: 0.0)


def test_parameters_of_a_labs_method_are_checked_in_the_file(lab) -> None:
    with pytest.raises(InputError, match="a number is needed, not 'far'"):
        place("{name: A, parent: CD4, above: {marker: CD25, by: lab_parent, k: far}}")
    with pytest.raises(InputError, match="unknown key 'kk'"):
        place("{name: A, parent: CD4, lab_pair: {kk: 1}}")
    with pytest.raises(InputError, match="name the second channel"):
        place("{name: A, parent: CD4, above: {marker: CD25, by: lab_corner}}")


def test_a_file_of_methods_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("1 / 0\n")
    with pytest.raises(InputError, match="cannot be run: ZeroDivisionError"):
        load_methods(path)
    with pytest.raises(InputError, match="is not a Python file"):
        load_methods(tmp_path / "absent.py")


def test_the_method_of_the_manual_works_as_printed(lab, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "strategy_file.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "manual.py").write_text(code.replace('"median_plus"', '"lab_median_plus"'))
    load_methods(tmp_path / "manual.py")
    rule = "{marker: CD25, by: lab_median_plus, of: CD4_naive, k: 2}"
    tube, _, fitted = place(f"{{name: A, parent: CD4, above: {rule}}}")
    values = asinh(tube, "CD25", inside(fitted, tube, "CD4_naive"))
    assert border(fitted, "CD25")["threshold"] == pytest.approx(np.median(values) + 2 * values.std(), abs=1e-4)


def test_a_file_of_methods_as_version_0_2_had_it_still_works(lab, tmp_path: Path) -> None:
    (tmp_path / "earlier.py").write_text(
        "from immunolab.gating.cards import Card, Cut, register\n"
        "def plus(values, k=3.0):\n    return Cut(float(values.mean() + k * values.std()))\n"
        "register('lab_plus', plus, Card('lab_plus', 'parent', 'density', 'one main group of negative events'))\n"
    )
    sys.modules.pop("immunolab.gating.cards", None)
    with pytest.warns(DeprecationWarning, match=r"immunolab\.gating\.method_registry"):
        load_methods(tmp_path / "earlier.py")
    tube, _, fitted = place("{name: A, parent: CD4, above: {marker: CD25, by: lab_plus}}")
    values = asinh(tube, "CD25", inside(fitted, tube, "CD4"))
    assert border(fitted, "CD25")["threshold"] == pytest.approx(values.mean() + 3 * values.std(), abs=1e-4)


def test_a_study_uses_the_methods_of_its_own_file(lab, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO", logger="immunolab")
    for index, visit in enumerate(("W0", "W10")):
        tube, _ = planted_tube(index, 3000)
        labels = [channel.marker or "" for channel in tube.channels]
        write_fcs(tmp_path / f"{visit}.fcs", [channel.name for channel in tube.channels], labels, tube.columns)
    (tmp_path / "samples.csv").write_text(
        "sample_id,patient_id,visit,file,panel\nA,P01,W0,W0.fcs,surface\nB,P01,W10,W10.fcs,surface\n"
    )
    (tmp_path / "s.yaml").write_text(TREE + "  - {name: A, parent: CD4, above: {marker: CD25, by: lab_parent}}\n")
    (tmp_path / "study.yaml").write_text(
        "study: lab\nmethods_module: lab_methods.py\npanels: {surface: {strategy: s.yaml}}\n"
        "comparison: {before: W0, after: W10, noise: 15}\n"
    )
    for name in [name for name in REGISTERED if name.startswith("lab_")]:
        del REGISTERED[name]
    command = ["run", str(tmp_path), "-o", str(tmp_path / "out"), "--tables-only", "--jobs", "1"]
    assert main([*command, "--allow-code"]) == 0
    assert "code of lab_methods.py runs (sha256 " in caplog.text
    table = pd.read_csv(tmp_path / "out" / "tables" / "thresholds.csv")
    assert set(table.loc[table["population"] == "A", "method"]) == {"lab_parent"}
