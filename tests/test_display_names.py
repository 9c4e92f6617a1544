"""How names of tables are written for a reader: no id of the vocabulary shows its underscores or its spelling."""

from __future__ import annotations

import re

import pytest

from immunolab.clinical.scores import score_methods
from immunolab.clinical.scores.scales import scales
from immunolab.plots.labels import EndpointLabel
from immunolab.vocabulary.display_names import display_name, parent_name, unit_name, with_display_names
from immunolab.vocabulary.populations import populations
from immunolab.vocabulary.variables import variables


@pytest.mark.parametrize("names", [populations, variables, score_methods, scales])
def test_no_name_of_the_vocabulary_shows_code(names):
    for name in names():
        assert not re.search(r"_|\.slope", display_name(name)), name


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("Tfh_eff", "effector Tfh"),
        ("Treg/Tfh_eff", "Treg/effector Tfh"),
        ("ALSFRS_R.slope", "ALSFRS-R slope"),
        ("NfL_CSF", "NfL in cerebrospinal fluid"),
        ("a study's own_name", "a study's own name"),
    ],
)
def test_an_id_is_written_for_a_reader(id, name):
    assert display_name(id) == name


def test_denominators_and_units_have_names():
    assert parent_name("cd4") == "CD4+ T cells"
    assert parent_name("my_gate") == "my gate"
    assert unit_name("cells/uL") == "cells/µL"
    assert unit_name("pg/mL") == "pg/mL"


def test_a_label_is_made_of_them():
    named = EndpointLabel("tfh_pct_cd4", "Tfh_eff", "CXCR5+ PD-1hi", "CD4", "%")
    assert named.axis == "effector Tfh (CXCR5+ PD-1hi), % of CD4+ T cells"
    assert named.short == "effector Tfh, % of CD4"


def test_ids_within_a_sentence_are_written_as_elsewhere():
    said = with_display_names("SELENA_SLEDAI below 4, then above it; Tfh_eff as well, at W10")
    assert said == "SELENA-SLEDAI below 4, then above it; effector Tfh as well, at W10"
