# ruff: noqa: E501
"""Strategy files: what they say, and every fault with its line."""

from __future__ import annotations

import pytest

from immunolab.config import parse_yaml
from immunolab.errors import InputError
from immunolab.events.transforms import Asinh, Identity, Logicle
from immunolab.gating.definitions import with_all_definitions
from immunolab.gating.placement.rules import rule_for
from immunolab.gating.strategy import Boolean, Declared, Ellipsoid, Polygon, Rectangle
from immunolab.gating.strategy_file import builtin_names, builtin_strategy, parse_strategy, read_strategy
from immunolab.vocabulary.populations import definitions, populations

EXAMPLE = """strategy: treg_surface
transform: {default: {logicle: {t: 262144, w: 0.5, m: 4.5, a: 0}}, scatter: linear}
populations:
  - {name: Lymphocytes, parent: root, polygon: {x: FSC-A, y: SSC-A, points: [[4e4, 1e4], [2e5, 1e4], [2e5, 9e4]]}}
  - {name: CD3, parent: Lymphocytes, above: {marker: CD3, by: valley}}
  - {name: CD4, parent: CD3, where: "CD4+ CD8-"}
  - {name: Treg, parent: CD4, where: "CD25hi CD127lo"}
thresholds:
  CD25:  {by: internal_reference, of: CD4 naive, scope: patient}
  CD127: {by: valley, within: [0.2, 0.7]}
"""


def parse(text: str):
    return parse_strategy(parse_yaml(text, "gating/treg.yaml"))


def faults(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def rows(*lines: str) -> str:
    return "populations:\n" + "\n".join(f"  - {line}" for line in lines)


def test_the_example_of_the_format() -> None:
    strategy = parse(EXAMPLE)
    assert [p.path for p in strategy.populations] == [
        "/Lymphocytes",
        "/Lymphocytes/CD3",
        "/Lymphocytes/CD3/CD4",
        "/Lymphocytes/CD3/CD4/Treg",
    ]
    polygon = strategy["Lymphocytes"].gate
    assert isinstance(polygon, Polygon)
    assert polygon.dimensions[0].transform == Identity()
    assert polygon.vertices[0] == (4e4, 1e4)
    treg = strategy["Treg"].gate
    assert treg == Declared("where", {"phenotype": (("CD25", "hi"), ("CD127", "lo"))})
    assert strategy.settings["transform"]["default"] == Logicle()


def test_a_pair_of_markers_left_to_the_defaults_gets_a_sloping_border() -> None:
    gate = parse(rows("{name: Treg, where: CD25hi CD127lo}"))["Treg"].gate
    assert gate == Declared("diagonal", {"x": "CD25", "y": "CD127"})


def test_geometry_in_a_file() -> None:
    text = rows(
        "{name: A, rectangle: {FSC-A: [4e4, null], CD3: [1.5, 6]}}",
        "{name: B, parent: A, ellipse: {x: CD4, y: CD8, mean: [4, 0], covariance: [[1, 0], [0, 1]], distance_square: 4}}",
        "{name: C, parent: A, all_of: [B], not: D}",
        "{name: D, parent: A, between: {marker: CD25, low: 1, high: 2}}",
        "{name: E, parent: A, any_of: [B, D]}",
    )
    strategy = parse("transform: {default: {asinh: {cofactor: 150}}, CD3: {asinh: {cofactor: 5}}}\n" + text)
    box = strategy["A"].gate
    assert isinstance(box, Rectangle)
    assert (box.lower, box.upper) == ((4e4, 1.5), (None, 6.0))
    assert box.dimensions[1].transform == Asinh(5.0)
    assert isinstance(strategy["B"].gate, Ellipsoid)
    assert strategy["C"].gate == Boolean("and", ("/A/B", "/A/D"), (False, True))
    assert strategy["E"].gate == Boolean("or", ("/A/B", "/A/D"), (False, False))
    names = [p.name for p in strategy.populations]
    assert names.index("D") < names.index("C")


def test_an_unknown_method_is_reported_as_the_manual_shows() -> None:
    text = EXAMPLE.replace("above: {marker: CD3, by: valley}", "above: {marker: CD3, by: valey}")
    (said,) = faults(text)
    assert said.startswith(
        "gating/treg.yaml:5  populations[1].above.by: unknown method 'valey'\n    hint: did you mean 'valley'? methods: "
    )
    assert "internal_reference" in said


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (rows("{name: A, where: CD3+, parent: CD33}", "{name: CD3, where: CD3+}"), "populations[0].parent: unknown parent 'CD33'"),
        (rows("{name: A, parent: B, where: CD3+}", "{name: B, parent: A, where: CD4+}"), "populations depend on each other: A -> B -> A"),
        (rows("{name: A, parent: A, where: CD3+}"), "populations depend on each other: A -> A"),
        (rows("{name: A, where: CD3+}", "{name: A, where: CD4+}"), "population 'A' is duplicated"),
        (rows("{name: A/B, where: CD3+}"), "'A/B' holds '/'"),
        (rows("{name: root, where: CD3+}"), "'root' is all events"),
        (rows("{where: CD3+}"), "populations[0].name: the key is missing"),
        (rows("{name: A}"), "a gate is missing"),
        (rows("{name: A, where: CD3+, above: {marker: CD4}}"), "one gate is needed, not 2: where, above"),
        (rows("{name: A, were: CD3+}"), "unknown key 'were'\n    hint: did you mean 'where'?"),
        (rows("{name: A, not: B}"), "unknown population 'B'"),
        (rows("{name: A, polygon: {x: CD3, y: CD4, points: [[1, 2]]}}"), "at least 3 points [x, y] are needed"),
        (rows("{name: A, above: {marker: CD3, within: [2, 1]}}"), "two numbers in rising order"),
        (rows("{name: A, above: {marker: CD3, by: fixed}}"), "a fixed border needs a number"),
        (rows("{name: A, above: {marker: CD3, quantile: 99}}"), "99 is not a share between 0 and 1"),
        (rows("{name: A, diagonal: {of: CD4_naiv}}", "{name: CD4_naive, where: CD45RA+}"), "did you mean 'CD4_naive'?"),
        (rows("{name: A, where: CD3}"), "CD3"),
        ("transform: {default: {logicl: {}}}\n" + rows("{name: A, where: CD3+}"), "unknown scale 'logicl'\n    hint: did you mean 'logicle'?"),
        ("thresholds: {CD25: {by: valley, scope: patients}}\n" + rows("{name: A, where: CD3+}"), "unknown scope 'patients'\n    hint: did you mean 'patient'?"),
        ("strategy: empty\n", "a list of populations is needed"),
        ("- just\n- a list\n", "a mapping with the key 'populations' is needed"),
    ],
)  # fmt: skip
def test_each_fault_is_reported_with_its_place(text: str, wanted: str) -> None:
    said = faults(text)
    assert any(wanted in line for line in said), said
    assert all(line.startswith("gating/treg.yaml") for line in said)


def test_all_faults_are_reported_at_once() -> None:
    text = rows(
        "{name: A, parent: X, where: CD3+}", "{name: B, above: {marker: CD4, by: foo}}", "{name: B, where: CD8+}"
    )
    assert len(faults(text)) == 3


@pytest.mark.parametrize("name", builtin_names())
def test_shipped_strategies_speak_the_vocabulary(name: str) -> None:
    known = {definition.id for definition in definitions()}
    strategy = builtin_strategy(name)
    assert {p.definition for p in strategy.populations if p.definition} <= known
    extended = with_all_definitions(strategy)
    paths = [p.path for p in extended.populations]
    assert len(set(paths)) == len(paths)
    assert not any("/" in p.name for p in extended.populations)
    order = {p.path: i for i, p in enumerate(extended.populations)}
    for p in extended.populations:
        operands = p.gate.operands if isinstance(p.gate, Boolean) else ()
        assert all(order[o] < order[p.path] for o in (*operands, *([p.parent_path] if p.parent_path else [])))


def test_the_surface_strategy_follows_each_default_definition() -> None:
    strategy = builtin_strategy("treg_th17_tfh_teff")
    for id_ in ("Treg", "Th17", "Tfh_eff", "Tfh_CXCR5", "Teff", "Tconv", "Th1", "Th2", "Tfr", "CD4_naive"):
        assert strategy[id_].definition == populations()[id_].definition


def test_unknown_shipped_strategy_lists_the_names() -> None:
    with pytest.raises(InputError) as caught:
        builtin_strategy("treg_foxp")
    assert "did you mean 'treg_foxp3'?" in str(caught.value)


def test_a_file_is_read_with_its_hash(tmp_path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(EXAMPLE)
    assert "sha256:" in read_strategy(path).source
    with pytest.raises(InputError, match="cannot be read"):
        read_strategy(tmp_path / "absent.yaml")


def test_rules_of_a_strategy_win_over_the_shipped_ones() -> None:
    shipped = rule_for({}, "CD25", "hi")
    assert (shipped.by, shipped.partner) == ("diagonal", "CD127")
    own = rule_for({"CD25": {"by": "valley", "scope": "batch"}}, "CD25", "hi")
    assert (own.by, own.partner, own.scope) == ("valley", "", "batch")
    level = rule_for({"CD25": {"hi": {"k": 5}}}, "CD25", "hi")
    assert (level.by, level.parameters["k"]) == ("diagonal", 5)
    gate = rule_for({"CD25": {"by": "valley"}}, "CD25", "pos", {"by": "fixed", "at": 2.0})
    assert (gate.by, gate.parameters["at"]) == ("fixed", 2.0)
