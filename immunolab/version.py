"""The installed version, which results are keyed by, and those of the libraries that numbers pass through."""

import platform
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
