"""Identifiers in cytometry files: find them, and write files that hold none."""

from immunolab.privacy.deidentify import Deidentified, Record, deidentify
from immunolab.privacy.scan import Finding, findings_text, scan

__all__ = ["Deidentified", "Finding", "Record", "deidentify", "findings_text", "scan"]
