"""`immunolab.to_anndata`: one tube or many, gated or not, or the tubes of a run, as one AnnData for scanpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from immunolab.clustering.annotate import compared_by
from immunolab.errors import InputError, Problem, nearest, unknown_words
from immunolab.events.cells import STORED, storable
from immunolab.events.storage import channel_table, join_events
from immunolab.events.storage import to_anndata as events_as_anndata
from immunolab.events.transforms import Transform
from immunolab.events.tube import Tube
from immunolab.gating.tubes import GatedTube
from immunolab.progress import progress
from immunolab.results.drawn_events import DrawnEvents, draw_events
from immunolab.results.run import Run
from immunolab.study.sheet import Study
from immunolab.version import VERSION

if TYPE_CHECKING:
    from anndata import AnnData

Channels = Literal["markers", "all"]
UNGATED = "ungated"
"""``obs["population"]`` of an event that is in no population."""
_HINT = "give tubes (read_fcs), gated tubes (gate), a list of them, or a run (read_run)"


def to_anndata(
    subject: Tube | GatedTube | Sequence[Tube | GatedTube] | Run,
    *,
    events: int | None = None,
    channels: Channels = "markers",
    samples: pd.DataFrame | Study | None = None,
    label_by: Sequence[str] = (),
    seed: int = 0,
    quiet: bool = False,
) -> AnnData:
    """Return the events of tubes as one AnnData that scanpy works on as it is.

    `GatedTube.to_anndata` gives one tube with all its channels in ``X``; this gives any number of tubes, with what
    cells are compared by in ``X``, so that ``sc.pp.neighbors(adata)`` needs no choice of columns.

    Parameters
    ----------
    subject
        A tube, a gated tube, a list of either, or a `Run`, whose tubes are read one after the other.
    events
        At most so many of each tube, drawn without replacement, so that every sample weighs alike; a tube's draw
        depends on `seed` and its sample_id alone. None takes all: 8 bytes an event and channel.
    channels
        ``markers``: ``X`` has the markers that `cluster` compares by, and scatter, time, viability, dump, DNA and
        channels without a marker are columns of ``obs``, compensated, in instrument units. ``all``: ``X`` has every
        channel, as `GatedTube.to_anndata`.
    samples
        Where the patient and the visit of each sample come from: a study, or a table with ``sample_id`` and further
        columns, all of which go to ``obs``. A run has its own sheet.
    label_by
        Populations that ``obs["population"]`` is chosen among: the first that an event is in. Left out, all: the
        deepest in the tree, and of several as deep the rarest over all tubes.
    seed
        Of the draws.
    quiet
        Show no progress while the tubes of a run are read.

    Returns
    -------
    AnnData
        ``X`` compensated, on display scale: one scale a channel for all tubes, the commonest of theirs (``var``,
        ``transform``); ``layers["compensated"]`` in instrument units; both float32. ``obs``: ``sample_id``, ``event``
        (its row in the file, from 0), what the sheet says (``patient_id``, ``visit``, ``cohort``, ``batch``,
        ``arm``), and ``population`` (see `label_by`).
        ``obsm["populations"]``: bool, events x populations that every tube has. ``uns["immunolab"]``: ``samples``
        (events in the file and drawn, sha256), ``counts`` (of whole tubes, with flags), ``notes``.

    Raises
    ------
    InputError
        There is no tube, one is of another type, two share a sample_id, they share no channel, `events` is below 1,
        a population is unknown, the table lacks a sample or has a column that events have.

    Examples
    --------
    >>> tubes = [il.read_fcs(f"sample_data/sle/fcs/SLE001_{visit}.fcs") for visit in ("W0", "W10")]
    >>> adata = il.to_anndata(il.gate(tubes, "treg_th17_tfh_teff"), events=1000)
    >>> adata.obs["sample_id"].value_counts().to_dict()
    {'SLE001_W0': 1000, 'SLE001_W10': 1000}
    """
    _check(subject, events, channels)
    sheet = _sheet(subject.study if isinstance(subject, Run) else samples)
    if isinstance(subject, Run):
        gated = set(subject.counts["sample_id"])
        names = [sample.sample_id for sample in subject.samples if sample.sample_id in gated]
        read = progress(names, len(names), "reading", logs=False, quiet=quiet)
        drawn = [draw_events(subject.tube(name), events, seed) for name in read]
    else:
        tubes = [subject] if isinstance(subject, Tube | GatedTube) else subject
        drawn = [draw_events(tube, events, seed) for tube in tubes]
    shared = _shared_channels(drawn, channels, sheet)
    scales, notes = _common_scales(drawn)
    adata = join_events([_part(one, shared, scales, beside=channels == "markers") for one in drawn])
    populations = list(adata.obsm.get("populations", ()))
    adata.uns[STORED] = {
        "modality": "flow",
        "samples": _samples_table(drawn),
        "notes": [*notes, *_notes(drawn, shared, populations, events)],
        "version": VERSION,
    }
    if populations:
        order = _order(drawn, populations, label_by)
        found = np.concatenate([one.first_of(order, UNGATED) for one in drawn])
        there = [name for name in (*populations, UNGATED) if name in set(found)]
        adata.obs["population"] = pd.Categorical(found, categories=there)
        trees = [one.tree for one in drawn if one.tree is not None]
        adata.uns[STORED] |= {
            "populations": trees[0].loc[populations].drop(columns="withheld"),
            "counts": storable(pd.concat([one.counts for one in drawn], ignore_index=True)),
        }
    if sheet is not None:
        _add_sheet(adata, sheet)
    return adata


def _check(subject: object, events: int | None, channels: str) -> None:
    problems = unknown_words(channels=(channels, get_args(Channels)))
    if events is not None and events < 1:
        problems.append(Problem("", "events", f"{events} events cannot be drawn", "give 1 or more, or None for all"))
    several = list(subject) if isinstance(subject, list | tuple) else [subject]
    if not several:
        problems.append(Problem("", "subject", "there is no tube", _HINT))
    problems += [
        Problem("", "subject", f"{type(one).__name__} is not a tube", _HINT)
        for one in several
        if not (isinstance(one, Tube | GatedTube) or (one is subject and isinstance(one, Run)))
    ]
    if problems:
        raise InputError(problems)


def _sheet(samples: pd.DataFrame | Study | None) -> pd.DataFrame | None:
    """Return what is known of each sample, indexed by sample_id; columns without any value are left out."""
    if samples is None:
        return None
    if isinstance(samples, Study):
        arms = samples.arms
        rows = [
            {
                "sample_id": sample.sample_id,
                "patient_id": sample.patient_id,
                "visit": sample.visit,
                "cohort": sample.cohort,
                "batch": sample.batch,
                "arm": sample.cohort
                if arms and (not arms.active or sample.cohort in (arms.control, *arms.active))
                else "",
                "study_day": sample.study_day,
            }
            for sample in samples.samples
        ]
        table = pd.DataFrame(rows).set_index("sample_id")
        return table.loc[:, (table.notna() & (table != "")).any()]
    table = samples.set_index("sample_id") if "sample_id" in samples else samples
    if table.index.name != "sample_id":
        hint = f"its columns: {', '.join(map(str, table.columns))}"
        raise InputError(Problem("", "samples", "the table has no column sample_id", hint))
    table = table.set_axis(table.index.astype(str), axis=0).rename_axis("sample_id")  # 101 of a CSV is tube "101"
    if repeated := sorted({str(name) for name in table.index[table.index.duplicated()]}):
        raise InputError(
            [Problem("", "samples", f"sample_id '{name}' has several rows", "keep one") for name in repeated]
        )
    return table


def _shared_channels(drawn: Sequence[DrawnEvents], channels: Channels, sheet: pd.DataFrame | None) -> list[str]:
    """Return the channels of X, which every tube has; raises what is wrong with the samples."""
    counted = Counter(one.name for one in drawn)
    problems = [
        Problem("", "sample_id", f"{n} tubes are called '{name}'", "give each its own")
        for name, n in counted.items()
        if n > 1
    ]
    if sheet is not None:
        have = f"it has: {', '.join(map(str, list(sheet.index)[:5]))}"
        problems += [
            Problem("", "samples", f"the table has no sample '{one.name}'", have)
            for one in drawn
            if one.name not in sheet.index
        ]
    tables = [channel_table(one.tube, {}) for one in drawn]
    own = [list(compared_by(table)) if channels == "markers" else list(table.index) for table in tables]
    shared = [name for name in (own[0] if own else ()) if all(name in names for names in own)]
    if not shared:
        problems.append(Problem("", "subject", "the tubes have no marker in common", "join tubes of one panel"))
    if problems:
        raise InputError(problems)
    return shared


def _common_scales(drawn: Sequence[DrawnEvents]) -> tuple[dict[str, Transform], list[str]]:
    """Return one display scale for each name, the commonest, of several as common the first; and a note on others."""
    scales: dict[str, Transform] = {}
    several = []
    for name in dict.fromkeys(name for one in drawn for name in one.scales):
        counted = Counter(one.scales[name] for one in drawn if name in one.scales)
        scales[name] = counted.most_common(1)[0][0]
        if len(counted) > 1:
            several.append(name)
    note = f"tubes have different display scales for {', '.join(several)}; X is on one for all (var['transform'])"
    return scales, [note] if several else []


def _part(one: DrawnEvents, names: list[str], scales: dict[str, Transform], *, beside: bool) -> AnnData:
    by_channel = {c.name: scales[shown] for shown, c in zip(one.tube.names, one.tube.channels, strict=True)}
    whole = events_as_anndata(one.tube, by_channel)
    whole.obs_names = [f"{one.name}:{row}" for row in one.rows]
    part = whole[:, names].copy()
    part.obs["event"] = one.rows.astype(np.int64)
    if beside:
        others = [name for name in whole.var_names if name not in names]
        for name in others:
            part.obs[name] = np.asarray(whole[:, name].layers["compensated"])[:, 0]
    if one.populations is not None:
        part.obsm["populations"] = one.populations.set_axis(part.obs_names, axis=0)
    return part


def _samples_table(drawn: Sequence[DrawnEvents]) -> pd.DataFrame:
    rows = [
        {
            "source_file": PurePath(one.tube.file).name,
            "source_sha256": one.tube.sha256,
            "n_events": one.n_events,
            "n_drawn": len(one.rows),
            "strategy": one.strategy,
        }
        for one in drawn
    ]
    return pd.DataFrame(rows, index=pd.Index([one.name for one in drawn], name="sample_id"))


def _notes(drawn: Sequence[DrawnEvents], names: list[str], populations: list[str], events: int | None) -> Iterator[str]:
    few = [one.name for one in drawn if events is not None and one.n_events < events]
    if few:
        yield f"fewer than {events} events, all of them taken: {', '.join(few)}"
    tables = [channel_table(one.tube, {}) for one in drawn]
    every = dict.fromkeys(name for table in tables for name in compared_by(table))
    if absent := [name for name in every if name not in names]:
        yield f"markers that not every tube has are left out: {', '.join(absent)}"
    moved = [
        name for name in names if len({tuple(table.loc[name, ["channel", "fluorochrome"]]) for table in tables}) > 1
    ]
    if moved:
        yield f"measured on different channels, so that intensities do not compare: {', '.join(moved)}"
    seen = dict.fromkeys(name for one in drawn if one.populations is not None for name in one.populations)
    if absent := [name for name in seen if name not in populations]:
        yield f"populations that not every tube has are left out: {', '.join(absent)}"
    for one in drawn:
        if one.tree is not None and (none := [n for n in populations if one.tree.loc[n, "withheld"]]):
            yield f"{one.name}: withheld, their events are no result: {', '.join(none)}"


def _order(drawn: Sequence[DrawnEvents], populations: list[str], label_by: Sequence[str]) -> list[str]:
    """Return populations in the order in which an event takes its name from them."""
    if unknown := [name for name in label_by if name not in populations]:
        raise InputError(
            [
                Problem("", "label_by", f"there is no population '{name}'", nearest(name, populations))
                for name in unknown
            ]
        )
    if label_by:
        return list(label_by)
    events = {
        name: sum(int(one.populations[name].sum()) for one in drawn if one.populations is not None)
        for name in populations
    }
    return sorted(populations, key=lambda name: (-drawn[0].depth(name), events[name]))


def _add_sheet(adata: AnnData, sheet: pd.DataFrame) -> None:
    if taken := [str(name) for name in sheet.columns if name in adata.obs]:
        hint = "rename it: the events have a column of that name"
        raise InputError([Problem("", "samples", f"the table has a column '{name}'", hint) for name in taken])
    for column in sheet.columns:
        adata.obs[column] = _of_samples(adata.obs["sample_id"], sheet[column])


def _of_samples(sample_ids: pd.Series, values: pd.Series) -> pd.Series | pd.Categorical:
    values = values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values
    named = sample_ids.astype(str).map(values)
    if pd.api.types.is_numeric_dtype(named):
        return named
    return pd.Categorical(named.fillna("").astype(str), categories=list(dict.fromkeys(values.fillna("").astype(str))))
