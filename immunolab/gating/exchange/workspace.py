"""One reader for every gate file: Gating-ML 2.0, FlowJo 10 and FlowJo 9, recognised by what they hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from immunolab.errors import InputError, Problem
from immunolab.gating.exchange.flowjo import flowjo_workspace
from immunolab.gating.exchange.flowjo9 import flowjo9_workspace
from immunolab.gating.exchange.gatingml import ROOT_TAG, gatingml_workspace
from immunolab.gating.exchange.safe_xml import local_name, read_root
from immunolab.gating.exchange.workspace_model import Workspace

__all__ = ["Workspace", "read_workspace"]


def read_workspace(path: Path | str) -> Workspace:
    """Read the gates of a FlowJo workspace (10: ``.wsp``, 9: ``.xml``) or Gating-ML 2.0 file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Workspace
        A strategy for each tube. Single gates that cannot be read are in its ``problems``, with their paths.

    Raises
    ------
    InputError
        The file is absent, broken, or something else.
    """
    workspace = _gates(read_root(path), path)
    # not its folder or its hash: a tube's strategy is the same wherever the file is, and when another tube's changed
    name = Path(path).name
    samples = (replace(one, strategy=replace(one.strategy, source=name)) for one in workspace.samples)
    return replace(workspace, samples=tuple(samples))


def _gates(root: Element, path: Path | str) -> Workspace:
    if root.tag == ROOT_TAG:
        return gatingml_workspace(root, str(path))
    if root.tag != "Workspace":
        message = f"is neither a FlowJo workspace nor Gating-ML 2.0: its root is <{local_name(root)}>"
        raise InputError(Problem(str(path), "", message, "export the gates from FlowJo or as Gating-ML 2.0"))
    major = root.get("flowJoVersion", "9").split(".")[0]
    old = major.isdigit() and int(major) < 10 and root.find("SampleList/Sample/Transformations") is None
    return flowjo9_workspace(root, str(path)) if old else flowjo_workspace(root, str(path))
