"""The ISAC Gating-ML 2.0 compliance gates, event by event: one test a gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import data_folder

from immunolab.events.tube import Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.exchange.gatingml import read_gatingml
from immunolab.loaders.fcs.read import read_fcs

FOLDER = "flow/flowkit_gate_ref/gate_ref"
GATES = """
And1 And2 And3 And4 Ellipse1 Ellipsoid3D FL2N-FL4N FL2N-FL4P FL2P-FL4N FL2P-FL4P FSCD-FL1P FSCD-SSCN-FL1N
FSCN-SSCN FSCN-SSCP-FL1P FSCP-SSCN-FL1N Not1 Or1 Or2 ParAnd2 ParAnd3 ParQuadRect Polygon1 Polygon2 Polygon3NS
Polygon4 Range1 Range2 RatRange1 RatRange1a RatRange2 Rectangle1 Rectangle2 Rectangle3 Rectangle4 Rectangle5
ScalePar1 ScaleRange1 ScaleRange1c ScaleRange2 ScaleRange2c ScaleRange3 ScaleRange3c ScaleRange4 ScaleRange4c
ScaleRange5 ScaleRange5c ScaleRange6 ScaleRange6c ScaleRange7c ScaleRange8c ScaleRect1
""".split()  # noqa: SIM905

OTHER_NAMES = {"ParRectangle1": "ParQuadRect"}  # the gate's name in its file and in the truth differ


@pytest.fixture(scope="module")
def folder() -> Path:
    return data_folder(FOLDER)


@pytest.fixture(scope="module")
def tube(folder: Path) -> Tube:
    return read_fcs(folder / "data1.fcs")


@pytest.fixture(scope="module")
def everything(folder: Path, tube: Tube) -> dict[str, np.ndarray]:
    masks: dict[str, np.ndarray] = {}
    for name in ("all_gates", "ellipsoid3d_gate", "parent_quadrant_rect_gate"):
        memberships = evaluate(read_gatingml(folder / "gml" / f"gml_{name}.xml"), tube)
        masks |= {OTHER_NAMES.get(p.name, p.name): memberships.masks[p.path] for p in memberships.strategy.populations}
    return masks


def truth(folder: Path, gate: str) -> np.ndarray:
    return np.loadtxt(folder / "truth" / f"Results_{gate}.txt", dtype=int).astype(bool)


@pytest.mark.parametrize("gate", GATES)
def test_every_event_of_a_compliance_gate_is_right(gate: str, folder: Path, everything: dict[str, np.ndarray]) -> None:
    assert np.array_equal(everything[gate], truth(folder, gate))


SINGLE_FILES = """
range_gate_attr_testing boolean_and1 boolean_and2 boolean_and3_complement boolean_and4_not boolean_not1
boolean_or1 boolean_or2 ellipse1 ellipse2 ellipsoid3d log_ratio_range1 matrix_poly4 matrix_rect3 matrix_rect4
matrix_rect5 matrix_transform_asinh_range1c matrix_transform_asinh_range6c matrix_transform_hyperlog_range2c
matrix_transform_hyperlog_range7c matrix_transform_linear_range3c matrix_transform_logicle_range4c
matrix_transform_logicle_range5c matrix_transform_logicle_range8c matrix_transform_logicle_rect1
parent_poly1_boolean_and2 parent_quadrant_rect parent_range1_boolean_and3 parent_rect1_rect_par1 poly1 poly2
poly3ns quadrant1 quadrant2 range ratio_range1 ratio_range2 rect1 rect2 time_range transform_asinh_range1
transform_hyperlog_range2 transform_linear_range3 transform_log_range6 transform_logicle_range4
transform_logicle_range5
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", SINGLE_FILES)
def test_a_file_with_one_compliance_gate_reads_alone(name: str, folder: Path, tube: Tube) -> None:
    suffix = "" if name.endswith("testing") else "_gate"
    memberships = evaluate(read_gatingml(folder / "gml" / f"gml_{name}{suffix}.xml"), tube)
    compared = 0
    for path, mask in memberships.masks.items():
        gate = path.rsplit("/", 1)[1]
        if (folder / "truth" / f"Results_{gate}.txt").exists():
            assert np.array_equal(mask, truth(folder, gate)), gate
            compared += 1
    assert compared or name in {"ellipse2"}


def test_the_listed_gates_are_all_there_is_truth_for(folder: Path) -> None:
    listed = {path.stem.removeprefix("Results_") for path in (folder / "truth").glob("Results_*.txt")}
    assert listed == set(GATES)
