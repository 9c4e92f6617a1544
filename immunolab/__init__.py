"""immunolab: from cytometry and single-cell files to paired shifts of T-cell subsets."""

from importlib.metadata import version as _version

__version__ = _version("immunolab")
