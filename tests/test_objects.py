"""Objects of the face as a notebook sees them: lengths, indexing, tables with units, short pictures of themselves."""

from __future__ import annotations

import copy
import html
import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from builders import REPOSITORY
from planted import planted_tube

import immunolab as il
from immunolab.errors import GatingError, InputError, UnknownName
from immunolab.gating.tubes import GatedTube
from immunolab.schema.comparison import SHIFTS

LONGEST = 3_000  # characters of a plain repr: a screen


@cache
def _gated() -> GatedTube:
    return il.gate(planted_tube(0, 4_000)[0], "treg_th17_tfh_teff")


def test_a_tube_and_a_gated_tube_are_tables_of_events() -> None:
    tube = _gated().tube
    head = tube.head(3)
    assert list(head.columns) == tube.names
    np.testing.assert_array_equal(head["CD25"], tube["CD25"][:3])
    np.testing.assert_array_equal(_gated()["Treg", "CD25"], tube["CD25"][_gated().mask("Treg")])
    frame = _gated().to_frame(population="Treg")
    assert len(frame) == len(_gated()["Treg"]) == _gated().mask("Treg").sum()
    np.testing.assert_array_equal(_gated().head(2, population="Treg"), frame.head(2))
    assert len(_gated()) == len(list(_gated()))
    with pytest.raises(GatingError, match=r"it is a channel: tube\['CD25'\]"):
        _gated()["CD25"]
    with pytest.raises(UnknownName, match="did you mean 'Treg'"):
        _gated().strategy["Trg"]


def test_tables_of_events_say_their_units() -> None:
    tube = replace(_gated().tube)
    assert tube.to_frame().attrs["units"]["CD25"] == "instrument units"
    assert tube.to_frame("display").attrs["units"]["CD25"].startswith("logicle")
    assert tube.to_frame("display").attrs["units"]["FSC-A"] == "linear"
    assert tube.to_frame().attrs["columns"]["CD25"]["meaning"] == "CD25 on CD25-A, compensated"


@pytest.mark.parametrize("name", ["counts", "thresholds", "intensities"])
def test_tables_of_a_gated_tube_have_units_and_a_dictionary_of_every_column(name: str) -> None:
    table = getattr(_gated(), name)
    assert table.attrs["table"] == name
    assert set(table.attrs["columns"]) == set(table.columns)
    assert all(words["meaning"] for words in table.attrs["columns"].values())
    assert all(table.attrs["columns"][column]["unit"] == unit for column, unit in table.attrs["units"].items())


def test_words_of_columns_survive_what_pandas_does_and_break_nothing() -> None:
    counts = _gated().counts
    large = counts[counts["n_events"] > 100]
    both = pd.concat([counts, large])
    for derived in (large, both, counts.copy(), counts.head(2), counts.assign(more=1), counts.sort_values("n_events")):
        assert derived.attrs["units"]["percent_of_parent"] == "%"
    assert pd.concat([counts, pd.DataFrame({"n_events": [1]})]).attrs == {}
    assert copy.deepcopy(counts).attrs == counts.attrs == pickle.loads(pickle.dumps(counts)).attrs
    assert ((counts == counts.copy()) | counts.isna()).all(axis=None)
    assert counts.equals(counts.assign())
    pd.testing.assert_frame_equal(counts, counts.copy())
    assert SHIFTS.empty().attrs["columns"]["n_pairs"]["unit"] == "patients"


def test_tables_of_a_comparison_say_their_units() -> None:
    table = pd.DataFrame(
        {"id": [p for p in "abcdef" for _ in "12"], "visit": ["W0", "W10"] * 6, "treg": np.arange(1.0, 13.0)}
    )
    found = il.compare(table, patient="id", visit="visit", before="W0", after="W10", value="treg", unit="%")
    assert found.shifts.attrs["table"] == "shifts"
    assert found.pairs.attrs["units"]["before"] == "unit"  # the column of that name says it
    assert found.visits.attrs["columns"]["median"]["meaning"]


def test_a_wide_comparison_shows_its_first_rows() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": [p for p in "abcdef" for _ in "12"], "visit": ["W0", "W10"] * 6})
    table = table.assign(**{f"m{i}": rng.normal(10, 1, 12) for i in range(60)})
    found = il.compare(table, patient="id", visit="visit", before="W0", after="W10", value="m*")
    assert "and 40 more rows, see .shifts" in repr(found)
    assert found._repr_html_().count("<tr>") == 21


def test_a_strategy_is_a_line_and_a_tree() -> None:
    strategy = il.builtin_strategy("treg_th17_tfh_teff")
    assert repr(strategy) == "Strategy treg_th17_tfh_teff: 41 populations, 36 of them placed by data"
    shown = _gated().strategy._repr_html_()
    assert shown.count("<tr>") == len(_gated().strategy) + 1
    assert "polygon on CD25 and CD127" in shown
    assert "Treg" in shown


def test_what_a_file_calls_a_thing_is_escaped() -> None:
    name = "<script>alert(1)</script>"
    strategy = il.Strategy(name).add("<b>x", {"above": {"marker": "CD3", "at": 600}})
    tube = replace(_gated().tube, sample_id=name)
    gated = il.gate(tube, strategy)
    study = il.read_study(REPOSITORY / "sample_data" / "sle")
    odd = replace(study, name=name, samples=tuple(replace(s, patient_id=f"<{s.patient_id}>") for s in study.samples))
    for shown in (strategy, gated, tube, odd, strategy.diff(il.Strategy("b")), gated.strategy):
        text = shown._repr_html_()
        assert "<script>" not in text
        assert "<b>" not in text
    assert html.escape("<SLE001>") in odd._repr_html_()


def test_a_study_shows_holes_and_batches() -> None:
    study = il.read_study(REPOSITORY / "sample_data" / "sle")
    full = study._repr_html_()
    assert "(B1)" in full
    assert "without a sample" not in full
    last = next(s for s in reversed(study.samples) if s.visit == "W10" and not s.control_of)
    holed = replace(study, samples=tuple(s for s in study.samples if s != last))
    assert "1 without a sample" in holed._repr_html_()


def test_plain_pictures_are_short() -> None:
    strategy = il.builtin_strategy("treg_th17_tfh_teff")
    study = il.read_study(REPOSITORY / "sample_data" / "sle")
    for shown in (_gated(), _gated().tube, _gated().strategy, strategy, study):
        assert len(repr(shown)) < LONGEST
        assert max(map(len, repr(shown).splitlines())) < 200


def test_names_are_completed() -> None:
    assert "Treg" in _gated()._ipython_key_completions_()
    assert {"CD25", "CD25-A"} <= set(_gated().tube._ipython_key_completions_())
    assert "Treg" in _gated().strategy._ipython_key_completions_()


def test_a_table_of_one_s_own_is_compared_without_cohorts_or_says_what_it_lacks() -> None:
    table = pd.DataFrame({"patient_id": [p for p in "abcdef" for _ in "12"], "visit": ["W0", "W10"] * 6})
    table = table.assign(endpoint="treg", value=np.random.default_rng(0).uniform(2, 9, 12))
    found = il.compare_endpoints(table.assign(unit="%"), il.Plan("W0", "W10"))
    assert found.shifts["n_pairs"].tolist() == [6]
    with pytest.raises(InputError) as caught:
        il.compare_endpoints(table.rename(columns={"patient_id": "patient"}), il.Plan("W0", "W10"))
    assert str(caught.value) == (
        "endpoints  there is no column 'patient_id'; the table has: patient, visit, endpoint, value\n"
        "    hint: use table.rename(columns={'patient': 'patient_id'}), or immunolab.compare, which takes a table of "
        "any columns\n"
        "endpoints  there is no column 'unit'; the table has: patient, visit, endpoint, value\n"
        "    hint: use table.assign(unit='%'), or immunolab.compare, which takes a table of any columns\n"
        "2 problems"
    )


def test_a_list_of_gated_tubes_is_a_line_each_and_one_tube_its_tree():
    """Forty tubes at a prompt of IPython were fifty thousand characters."""
    from IPython.lib.pretty import pretty

    gated = _gated()
    assert pretty(gated) == repr(gated)
    line = f"GatedTube({gated.sample_id}: gates of {gated.strategy.name})"
    assert pretty([gated, gated]).split() == f"[{line}, {line}]".split()
