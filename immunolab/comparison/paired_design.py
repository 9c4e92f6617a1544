"""The design of a paired comparison of two visits: patients, batches that are apart from the visit, the later visit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.schema.flags import Code

Array = NDArray[np.float64]


def paired_design(batches: Sequence[str]) -> tuple[Array, dict[Code, str]]:
    """Return a column for each patient, for batches that are apart from the visit, and last for the later visit.

    Parameters
    ----------
    batches
        Batch of each sample, "" where unknown: all patients before, then the same patients after.

    Returns
    -------
    tuple of (array, dict)
        ``(S, p)`` of full rank; and why it is not adjusted for batch, where it should be and cannot.
    """
    n = len(batches) // 2
    patients, later = np.tile(np.eye(n), (2, 1)), np.repeat([0.0, 1.0], n)[:, None]
    plain = np.hstack([patients, later])
    before, after = tuple(batches[:n]), tuple(batches[n:])
    if before == after:
        return plain, {}
    if "" in batches:
        return plain, {Code.W_BATCH_UNKNOWN: "a file has no batch; not adjusted for batch"}
    names = sorted(set(batches))
    columns = np.array([[float(one == name) for name in names[1:]] for one in batches])
    with_batches = np.hstack([patients, columns])
    if np.linalg.matrix_rank(np.hstack([with_batches, later])) == np.linalg.matrix_rank(with_batches):
        return plain, {Code.E_BATCH_ALIASED: "batch coincides with visit"}
    independent = patients
    for column in columns.T:
        wider = np.hstack([independent, column[:, None]])
        if np.linalg.matrix_rank(wider) == wider.shape[1]:
            independent = wider
    if 2 * n - independent.shape[1] - 1 < 1:
        return plain, {Code.E_BATCH_DF: "as many batches as pairs; not adjusted for batch"}
    return np.hstack([independent, later]), {}
