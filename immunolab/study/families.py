"""Families of endpoints that a study declares: tested together, one after the other where a gate says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from immunolab.config import Document
from immunolab.errors import Problem, nearest
from immunolab.study.endpoints import Endpoint, Role

FamilyRule = Literal["holm", "bonferroni", "fixed_sequence", "max_t", "bh", "none"]
Gate = Literal["serial", "parallel"]


@dataclass(frozen=True)
class DeclaredFamily:
    """Endpoints whose p-values are adjusted together.

    Attributes
    ----------
    name
        As it is written beside each q.
    endpoints
        Ids of its endpoints; their order counts for ``fixed_sequence``.
    role
        Instead of `endpoints`: every endpoint of a role that no family names, negative controls left out.
    rule
        Holm, Bonferroni, a fixed sequence, max-T by sign flips of the patients (Westfall and Young), the false
        discovery rate (``bh``), or none.
    gate
        Whether it waits for the family above it: for all of its endpoints to be rejected (``serial``), or for one
        at least (``parallel``); None does not wait.
    """

    name: str
    endpoints: tuple[str, ...] = ()
    role: Role | None = None
    rule: FamilyRule = "holm"
    gate: Gate | None = None


def family_problems(
    families: Sequence[DeclaredFamily], endpoints: Sequence[Endpoint], document: Document
) -> Iterator[Problem]:
    """Yield what is wrong with declared families.

    Parameters
    ----------
    families
        As read.
    endpoints
        Of the trial or study, one denominator each.
    document
        The file they were read from, for the lines.
    """
    known = {endpoint.id: endpoint for endpoint in endpoints}
    named: dict[str, str] = {}
    for i, family in enumerate(families):
        place = ("families", i)
        yield from _own_problems(family, families[:i], document, place)
        for k, name in enumerate(family.endpoints):
            at = (*place, "endpoints", k)
            if name not in known:
                hint = f"{nearest(name, known)} endpoints: {', '.join(known)}".strip()
                yield document.problem(at, f"no endpoint is named '{name}'", hint)
            elif name in named:
                yield document.problem(at, f"'{name}' is in the family '{named[name]}' too", "name it in one of them")
            elif known[name].negative_control:
                text = f"'{name}' is a negative control: it is tested for equivalence, in no family"
                yield document.problem(at, text, "leave it out, or take negative_control off the endpoint")
            elif not known[name].paired:
                text = f"'{name}' ({known[name].statistic}) is not compared between visits"
                yield document.problem(at, text, "families hold endpoints with a value before and one after")
            named.setdefault(name, family.name)


def _own_problems(
    family: DeclaredFamily, above: Sequence[DeclaredFamily], document: Document, place: tuple[str | int, ...]
) -> Iterator[Problem]:
    if family.name in {other.name for other in above}:
        yield document.problem((*place, "name"), f"family '{family.name}' is duplicated", "give each its own name")
    if bool(family.endpoints) == (family.role is not None):
        text = f"family '{family.name}' needs endpoints or a role, one of them"
        yield document.problem(place, text, "endpoints: [treg_pct_cd4, ...], or role: secondary")
    if family.role is not None and family.role in {other.role for other in above}:
        yield document.problem(
            (*place, "role"), f"two families hold role {family.role}", "list endpoints in one of them"
        )
    if family.rule == "fixed_sequence" and family.role is not None:
        text = "a fixed sequence needs its order"
        yield document.problem((*place, "rule"), text, "list the endpoints in the order in which they are tested")
    if family.gate is None:
        return
    if not above:
        yield document.problem((*place, "gate"), "no family is above the first one", "leave the gate out")
    elif above[-1].rule in ("bh", "none"):
        text = f"'{above[-1].name}' above has rule {above[-1].rule}, which controls no family-wise error"
        yield document.problem(
            (*place, "gate"), text, "a gate needs holm, bonferroni, fixed_sequence or max_t above it"
        )
    elif family.gate == "parallel" and above[-1].rule != "bonferroni":
        text = f"a parallel gate after '{above[-1].name}' needs rule: bonferroni there"
        hint = "what other rules leave unused cannot be passed on (Dmitrienko et al. 2003); or take gate: serial"
        yield document.problem((*place, "gate"), text, hint)
