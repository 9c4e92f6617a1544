"""Identifiers in cytometry files: find them, and write files that hold none."""

from immunolab.privacy.deidentify import Deidentified, Record, deidentify
from immunolab.privacy.scan import Identifier, findings_text, scan

__all__ = ["Deidentified", "Identifier", "Record", "deidentify", "findings_text", "scan"]
