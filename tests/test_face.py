"""The face: every name is there, no room hides a function, and names that changed still answer with a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
from builders import REPOSITORY
from planted import planted_tube

import immunolab as il


@pytest.mark.parametrize("name", il.__all__)
def test_every_name_of_the_face_is_there(name: str) -> None:
    assert not isinstance(getattr(il, name), ModuleType)
    assert getattr(il, name).__doc__


@pytest.mark.parametrize("name", il.__all__)
def test_no_room_has_the_name_of_a_function(name: str) -> None:
    # an imported submodule becomes an attribute of the package and would hide the function from then on
    assert find_spec(f"immunolab.{name}") is None


@pytest.mark.parametrize("old", sorted(il._RENAMED))
def test_a_name_that_changed_still_answers_and_names_the_new_one(old: str) -> None:
    new, _, _ = il._RENAMED[old]
    with pytest.warns(DeprecationWarning, match=f"immunolab.{old} is now immunolab.{re.escape(new)}"):
        assert callable(getattr(il, old))


@pytest.mark.filterwarnings("ignore:immunolab.*is now:DeprecationWarning")
def test_a_notebook_of_version_0_2_gates_as_it_did() -> None:
    tube, _ = planted_tube(0, 4_000, sample_id="S1")
    fitted = il.fit(il.builtin_strategy("treg_th17_tfh_teff"), [tube])
    memberships = il.evaluate(fitted.strategies["S1"], tube)
    counts = il.counts_table(memberships, "S1")
    gated = il.gate(tube, "treg_th17_tfh_teff")
    assert dict(zip(counts["path"], counts["n_events"], strict=True)) == dict(
        zip(gated.counts["path"], gated.counts["n_events"], strict=True)
    )
    np.testing.assert_allclose(il.to_anndata(tube)[:, "CD4"].layers["compensated"][:, 0], tube["CD4"], rtol=1e-6)
    assert il.load_study(REPOSITORY / "sample_data" / "sle") == il.read_study(REPOSITORY / "sample_data" / "sle")


@pytest.mark.parametrize(
    "code", ["import immunolab as il\n\nfor _ in range(3): il.load_study", "\n\nfrom immunolab import load_study"]
)
def test_the_warning_is_shown_once_a_line_and_points_at_the_users_code(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("DeprecationWarning: immunolab.load_study is now immunolab.read_study") == 1
    assert done.stderr.startswith("<string>:3:")


def test_simulate_stays_a_function_after_its_room_is_imported() -> None:
    code = "import immunolab as il; il.simulate; import immunolab.simulation.model; print(callable(il.simulate))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'gating_of'"):
        il.gating_of  # noqa: B018
