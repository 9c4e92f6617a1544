"""The installed version and its very code, which results are keyed by, and the libraries that numbers pass through."""

import platform
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

VERSION = version("immunolab")
_LIBRARIES = (
    "immunolab",
    "anndata",
    "flowio",
    "flowkit",
    "flowutils",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "scanpy",
    "scikit-learn",
    "scipy",
    "statsmodels",
)


def package_content() -> Callable[[], str]:
    """Return a function that returns the sha256 of the installed package's files, as hex.

    It is a function within a function, and so is sent as code to a worker elsewhere, which would look up one of this
    module in its own package, and that package is what is in question.
    """

    def content() -> str:
        import hashlib
        from importlib.util import find_spec
        from pathlib import Path

        spec = find_spec("immunolab")
        places = spec.submodule_search_locations if spec else None
        if not places:
            return "not installed"
        root, digest = Path(places[0]), hashlib.sha256()
        for path in sorted(path for path in root.rglob("*") if path.is_file() and path.parent.name != "__pycache__"):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()

    return content


@cache
def code_key() -> str:
    """Return the sha256 of the package's files: results of other code, of the same version too, are not kept."""
    return package_content()()


def library_versions() -> dict[str, str]:
    """Return the versions of Python, immunolab and its numerical libraries, by name.

    Returns
    -------
    dict
        ``not installed`` for a library that is not there.
    """
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
