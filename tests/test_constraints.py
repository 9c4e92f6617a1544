"""Versions that are known to work together: complete for what is installed, and with the hash of each file."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def spelled(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(file):
    lines = [line.split()[0] for line in (ROOT / file).read_text().splitlines() if line and line[0] != "#"]
    return {spelled(name): number for name, number in (line.split("==") for line in lines)}


def needed(name, extras, seen):
    """Add every package that one needs here, directly or through others."""
    for text in requires(name) or []:
        one = Requirement(text)
        wanted = one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras or {""})
        if wanted and (spelled(one.name), *sorted(one.extras)) not in seen:
            seen.add((spelled(one.name), *sorted(one.extras)))
            try:
                needed(one.name, one.extras, seen)
            except PackageNotFoundError:
                continue  # an extra that is not installed here
    return {name for name, *_ in seen}


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def test_every_package_that_is_installed_has_its_version():
    unpinned = needed("immunolab", {"", "test", "docs"}, set()) - set(pinned("constraints.txt")) - {"immunolab"}
    assert {name for name in unpinned if version(name)} == set()


def test_every_version_has_a_hash():
    assert pinned("requirements-hashed.txt") == pinned("constraints.txt")
    lines = (ROOT / "requirements-hashed.txt").read_text().splitlines()
    assert all(re.search(r"==\S+ --hash=sha256:[0-9a-f]{64}$", line) for line in lines if line[0] != "#")


def test_no_version_is_of_a_package_that_nothing_names():
    """PyDESeq2 was pinned, and so installed by the hashed file, when nothing needed it any more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for some in project["optional-dependencies"].values() for one in some)]
    named = {spelled(Requirement(one).name) for one in asked}
    pins = pinned("constraints.txt")
    for name, number in pins.items():
        if installed(name) != number:
            pytest.skip(f"{name} {number} is not installed: what it needs is not known")
        named |= {spelled(Requirement(one).name) for one in requires(name) or []}
    assert set(pins) - named == set()
