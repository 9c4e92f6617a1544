"""YAML files as plain data or frozen dataclasses, every fault with its line."""

from immunolab.config.document import Document, Place, dump_yaml, flow_yaml, parse_yaml, read_package_yaml, read_yaml
from immunolab.config.records import NOT_A_KEY, Variants, build, build_as_meant, build_sound, record_keys

__all__ = [
    "NOT_A_KEY",
    "Document",
    "Place",
    "Variants",
    "build",
    "build_as_meant",
    "build_sound",
    "dump_yaml",
    "flow_yaml",
    "parse_yaml",
    "read_package_yaml",
    "read_yaml",
    "record_keys",
]
