"""Phenotypes are read as written, and the vocabulary's populations and definitions hold together."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immunolab.errors import InputError
from immunolab.vocabulary.lexicon import markers
from immunolab.vocabulary.phenotypes import Level, parse_phenotype, spell_phenotype
from immunolab.vocabulary.populations import (
    definition,
    definitions,
    populations,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CD4+ CD25hi CD127lo", [("CD4", "pos"), ("CD25", "hi"), ("CD127", "lo")]),
        ("CD25hiCD127lo", [("CD25", "hi"), ("CD127", "lo")]),
        ("CD25++ CD127-/lo", [("CD25", "hi"), ("CD127", "lo")]),
        ("HLA-DR+ CD38+", [("HLA-DR", "pos"), ("CD38", "pos")]),
        ("PD-1hi, CXCR5+, IL-17A+, CD45RA-", [("PD-1", "hi"), ("CXCR5", "pos"), ("IL-17A", "pos"), ("CD45RA", "neg")]),
        ("CD45RA-CCR7-", [("CD45RA", "neg"), ("CCR7", "neg")]),
        ("CD14-CD19-", [("CD14", "neg"), ("CD19", "neg")]),
        ("CD16-CD56-", [("CD16", "neg"), ("CD56", "neg")]),
        ("CD56bright CD16dim", [("CD56", "hi"), ("CD16", "lo")]),
        ("IFN-γ+ TNF-a+ CD11chi", [("IFN-g", "pos"), ("TNF-a", "pos"), ("CD11c", "hi")]),
        ("PD1hiCXCR5+ICOS+", [("PD-1", "hi"), ("CXCR5", "pos"), ("ICOS", "pos")]),
        ("CD4⁺ CD8⁻ CD3−", [("CD4", "pos"), ("CD8", "neg"), ("CD3", "neg")]),
        ("IL7Rlo CD279hi", [("CD127", "lo"), ("PD-1", "hi")]),
        ("MyTetramer+", [("MyTetramer", "pos")]),
        ("FOXP3int", [("FOXP3", "int")]),
    ],
)
def test_phenotypes(text, expected):
    assert list(parse_phenotype(text)) == expected


def test_faults_are_all_listed():
    with pytest.raises(InputError) as caught:
        parse_phenotype("CD25 CD4+ FOXP3=hi CD4- +")
    assert [p.message for p in caught.value.problems] == [
        "'CD25' has no level",
        "'FOXP3=hi' is not a marker with a level; did you mean 'FOXP3'?",
        "'+' is not a marker with a level",
        "'CD4' is duplicated",
    ]
    assert caught.value.problems[0].place == "phenotype 'CD25 CD4+ FOXP3=hi CD4- +'"


def test_an_empty_phenotype_is_a_fault():
    with pytest.raises(InputError, match="there is no marker"):
        parse_phenotype("  ")


_CONDITIONS = st.lists(
    st.tuples(st.sampled_from(sorted(markers())), st.sampled_from(get_args(Level))),
    min_size=1,
    max_size=6,
    unique_by=lambda c: c[0],
)


@given(_CONDITIONS, st.booleans())
def test_spelling_reads_back(conditions, blanks):
    text = spell_phenotype(conditions)
    assert list(parse_phenotype(text)) == conditions
    if blanks:
        assert list(parse_phenotype(text.replace(" ", "  "))) == conditions


def test_every_trial_subset_has_several_definitions_with_literature():
    for subset in ("Treg", "Th17", "Tfh", "Teff"):
        own = [d for d in definitions() if d.subset == subset]
        assert len(own) >= 5, subset
        assert sum(bool(d.literature) for d in own) >= 4, subset
        assert len({(d.parent, d.phenotypes, d.exclude) for d in own}) == len(own), subset


def test_names_of_the_vocabulary_point_at_each_other():
    known = populations()
    ids = [d.id for d in definitions()]
    assert len(set(ids)) == len(ids)
    seen: set[str] = {""}
    for item in known.values():
        assert item.parent in seen, f"{item.id} before its parent"
        seen.add(item.id)
        assert item.definition in {"", *ids}
    for item in definitions():
        assert item.parent in known
        assert set(item.exclude) <= set(known)
        assert item.required <= set(markers())


def test_exclusions_ask_for_their_own_markers():
    assert {"CD25", "CD127", "CXCR5", "CD45RA"} < definition("Th17.CCR6posCXCR3neg").required
    assert definition("Th17.CCR6posCXCR3neg_all").required == {"CCR6", "CXCR3", "CD45RA"}


def test_default_definition_comes_first():
    for subset in ("Treg", "Th17", "Teff"):
        first = next(d for d in definitions() if d.subset == subset)
        assert populations()[subset].definition == first.id
    with pytest.raises(InputError, match=r"did you mean 'Treg\.CD25hiCD127lo'"):
        definition("Treg.CD25hiCD127low")
