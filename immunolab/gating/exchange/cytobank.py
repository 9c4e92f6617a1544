"""Cytobank's use of Gating-ML: names in custom information, gates tailored to files, populations as gate sets.

A tailored gate repeats the ``gate_id`` of the experiment's own and names its file. A population (gate set)
is an AND over all the gates on its way from root; the tree is found again by which set contains which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

from immunolab.gating.exchange.safe_xml import DATATYPES, GATING, local_name
from immunolab.gating.exchange.tree import Node
from immunolab.gating.exchange.workspace_model import ANY_FILE, bare_name
from immunolab.gating.strategy import Boolean


def custom(element: Element, name: str) -> str:
    """Return a text of a gate's custom information (``name``, ``gate_id`` ...), or an empty string.

    Parameters
    ----------
    element
        A gate of Gating-ML.
    name
        Tag of the text.
    """
    info = element.find(f"{DATATYPES}custom_info")
    for item in info.iter() if info is not None else ():
        if local_name(item) == name and item.text and item.text.strip():
            return item.text.strip()
    return ""


def files(elements: Sequence[Element]) -> list[str]:
    """Return the file names that gates are tailored to; ``""`` too when every gate has a general version."""
    groups = _groups(elements)
    general = [ANY_FILE] if all(ANY_FILE in versions for versions in groups.values()) else []
    return general + sorted({file for versions in groups.values() for file in versions if file})


def for_file(elements: Sequence[Element], file: str) -> tuple[list[Element], dict[str, str]]:
    """Return the gates of a tube, and for every gate id the id of the version chosen for the tube.

    Parameters
    ----------
    elements
        All gates of the document.
    file
        The tube's file name; empty for the gates of every tube.
    """
    chosen: list[Element] = []
    version_of: dict[str, str] = {}
    for versions in _groups(elements).values():
        version = versions.get(file, versions.get(ANY_FILE))
        if version is None:
            continue
        chosen.append(version)
        for other in versions.values():
            version_of[_id(other)] = _id(version)
    return chosen, version_of


def gate_sets(elements: Sequence[Element]) -> set[str]:
    """Return the ids of the elements that are populations in Cytobank."""
    return {_id(element) for element in elements if custom(element, "gate_set_id")}


def as_tree(nodes: Mapping[str, Node], sets: set[str]) -> dict[str, Node]:
    """Return nodes where gate sets form the tree and carry the gates they add to their parent.

    Parameters
    ----------
    nodes
        All gates by key.
    sets
        Keys of those that are populations (see `gate_sets`).
    """
    plain = {key: gates for key in sets if (gates := _plain_and(nodes[key])) is not None and set(gates) <= set(nodes)}
    used = {gate for gates in plain.values() for gate in gates}
    referred = {
        operand
        for key, node in nodes.items()
        if key not in plain and isinstance(node.gate, Boolean)
        for operand in node.gate.operands
    }
    tree = {key: node for key, node in nodes.items() if key not in plain and (key not in used or key in referred)}
    for key, gates in sorted(plain.items(), key=lambda item: len(item[1])):
        parent = _parent(key, plain)
        added = [gate for gate in gates if gate not in (plain[parent] if parent else ())]
        above = parent
        for gate in added[:-1]:
            step = f"{key}:{gate}"
            tree[step] = replace(nodes[gate], key=step, parent=above)
            above = step
        tree[key] = replace(nodes[key], parent=above, gate=nodes[added[-1]].gate if added else None)
    return tree


def _parent(key: str, plain: Mapping[str, list[str]]) -> str:
    own = set(plain[key])
    inner = [other for other, gates in plain.items() if set(gates) < own]
    return max(inner, key=lambda other: len(set(plain[other])), default="")


def _plain_and(node: Node) -> list[str] | None:
    gate = node.gate
    if not isinstance(gate, Boolean) or gate.operator != "and" or any(gate.complement):
        return None
    return list(dict.fromkeys(gate.operands))


def _groups(elements: Sequence[Element]) -> dict[str, dict[str, Element]]:
    """Return the versions of each gate by the file they are tailored to."""
    groups: dict[str, dict[str, Element]] = {}
    for element in elements:
        file = bare_name(custom(element, "fcs_file_filename"))
        gate_id = custom(element, "gate_id")
        group = f"gate {gate_id}" if gate_id else f"id {_id(element)}"
        versions = groups.setdefault(group, {})
        if file in versions:
            versions = groups.setdefault(f"{group}, number {len(groups)}", {})
        versions[file] = element
    return groups


def _id(element: Element) -> str:
    return element.get(f"{GATING}id") or element.get("id") or ""
