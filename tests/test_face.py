"""The face: every name is there, no room hides a function, and names that changed still answer with a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType

import pytest

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


def test_simulate_stays_a_function_after_its_room_is_imported() -> None:
    code = "import immunolab as il; il.simulate; import immunolab.simulation.model; print(callable(il.simulate))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'gating_of'"):
        il.gating_of  # noqa: B018
