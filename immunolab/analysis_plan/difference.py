"""A difference between plan and study, and how its two sides are worded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from immunolab.analysis_plan.content import Content

Area = Literal[
    "endpoint", "population", "definition", "sample", "comparison", "family", "estimand", "noise", "exclusion", "trial",
    "override", "study",
]  # fmt: skip
_NAMED = 8  # samples or populations named in one sentence; judgement: more are counted
_WORDS = {
    "dose_table": "doses",
    "noise": "inter-assay CV",
    "noise_df": "degrees of freedom of the inter-assay CV",
    "within_person": "CV within a person",
    "between_tubes": "CV between tubes",
    "moderated": "borrowing of variance (moderated)",
    "code": "sha256 of the study's own code",
    "compared": "visits compared",
}


@dataclass(frozen=True)
class Deviation:
    """One difference between plan and study.

    Attributes
    ----------
    area
        What kind of thing differs.
    what
        Which one.
    planned, now
        As planned and as it is; "" for what is not there.
    words
        In a sentence.
    endpoints
        Ids of the endpoints whose number it can change; empty where it changes none, or changes whose data there are.
    """

    area: Area
    what: str
    planned: str
    now: str
    words: str
    endpoints: tuple[str, ...] = ()


def endpoint_ids(planned: Content, now: Content) -> dict[str, None]:
    """Return the ids of all endpoints of two contents, in order.

    Parameters
    ----------
    planned, now
        Contents.
    """
    return dict.fromkeys((*planned["endpoints"], *now["endpoints"]))


def populations_of(planned: Content, now: Content, endpoint: str) -> set[str]:
    """Return the populations that an endpoint names, as planned or now.

    Parameters
    ----------
    planned, now
        Contents.
    endpoint
        Id of the endpoint.
    """
    keys = ("population", "parent", "numerator", "denominator")
    both = (one["endpoints"].get(endpoint, {}) for one in (planned, now))
    found: set[str] = set()
    for one in both:
        for key in keys:
            value = one.get(key)
            found |= {value} if isinstance(value, str) else set(value or ())
    return found


def counted_endpoints(planned: Content, now: Content) -> tuple[str, ...]:
    """Return the endpoints that are counted from gated populations.

    Parameters
    ----------
    planned, now
        Contents.
    """
    return tuple(name for name in endpoint_ids(planned, now) if populations_of(planned, now, name))


def leaves(first: Any, last: Any, *keys: str) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield the innermost values that differ, each with the keys that lead to it.

    Parameters
    ----------
    first, last
        Plain data.
    *keys
        That led here.
    """
    if first == last:
        return
    if isinstance(first, Mapping) and isinstance(last, Mapping):
        for name in dict.fromkeys((*first, *last)):
            yield from leaves(first.get(name), last.get(name), *keys, name)
        return
    yield keys, first, last


def say(keys: Sequence[str]) -> str:
    """Return keys in words.

    Parameters
    ----------
    keys
        As `leaves` gives them.
    """
    return ", ".join(_WORDS.get(key, key.replace("_", " ")) for key in keys)


def changed(what: str, first: Any, last: Any) -> str:
    """Return ``role planned primary, now secondary``.

    Parameters
    ----------
    what
        What changed, in words.
    first, last
        As planned, and as it is.
    """
    return f"{what}{' ' if what else ''}planned {text(first)}, now {text(last)}"


def text(value: Any) -> str:
    """Return a value in words: ``none``, ``yes``, ``W0, W10``.

    Parameters
    ----------
    value
        Plain data.
    """
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value))
    return _short(value) if isinstance(value, Mapping) else str(value)


def _short(value: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {text(item)}" for key, item in value.items() if key != "is") or "none"


def some(names: Iterable[str]) -> str:
    """Return names joined by commas; of many the first, and how many more.

    Parameters
    ----------
    names
        Of samples or populations.
    """
    every = list(names)
    more = len(every) - _NAMED
    return ", ".join(every) if more <= 0 else f"{', '.join(every[:_NAMED])} and {more} more"
