"""The installed version; results are keyed by it."""

from importlib.metadata import version

VERSION = version("immunolab")
