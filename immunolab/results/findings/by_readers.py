"""What warns of gates that a reader placed: how many, at which visits, in which endpoints, and those not used."""

from __future__ import annotations

from collections.abc import Iterator

from immunolab.results.findings.registry import registered
from immunolab.results.findings.words import endpoint_name, listed
from immunolab.results.run import Run
from immunolab.schema.flags import READERS, split

_NAMED = 4  # endpoints, or overrides that are not used, named in a sentence; judgement: more are counted


def override_sentences(run: Run) -> Iterator[str]:
    """Yield a sentence on the gates that a reader placed, and one on those that are stale; none without any.

    Parameters
    ----------
    run
        The finished run.
    """
    used = run.overrides[run.overrides["status"] == "applied"]
    gates, tubes = used.drop_duplicates(["sample_id", "path"]), list(dict.fromkeys(used["sample_id"]))
    if len(gates):
        visits = {s.sample_id: s.visit for s in run.study.samples if s.gated and s.modality != "single_cell"}
        by_visit = [visits.get(name, "") for name in tubes]
        order = sorted(set(by_visit), key=[*visits.values(), ""].index)
        words = {visit: f"at {visit}" if visit else "without a visit" for visit in order}  # those of bridging controls
        spread = listed(f"{by_visit.count(visit)} {words[visit]}" for visit in order)
        some = f"{len(gates)} gate{'s' if len(gates) > 1 else ''} in {len(tubes)} of {len(visits)} tubes"
        yield f"A reader placed {some} ({spread}). {_reached(run)} Section Gates has each, with its reason."
    stale = run.overrides[run.overrides["status"] == "stale"]
    if len(stale):
        names = [f"{row.sample_id}, {row.population}: {row.message}" for row in stale.itertuples()]
        more = f"; and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        count = (
            "An override is stale and not used" if len(names) == 1 else f"{len(names)} overrides are stale and not used"
        )
        text = f"{count}: {'; '.join(names[:_NAMED])}{more}"
        yield text if text.endswith("?") else f"{text}."


def _reached(run: Run) -> str:
    """Return which registered endpoints the readers' gates reach, and in how many tubes."""
    rows = run.endpoints
    reached = rows.loc[[not READERS.isdisjoint(split(words)) for words in rows["flag"]]]
    n = reached.groupby("endpoint")["sample_id"].nunique()
    names = [
        f"{endpoint_name(one)} ({n[one.id]} tube{'s' if n[one.id] > 1 else ''})"
        for one in registered(run)
        if one.id in n
    ]
    if not names:
        return "No registered endpoint depends on them."
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return f"What depends on them: {listed([*names[:_NAMED], *more])}."
