"""The longest files first, so that no worker is left with one of them at the end; one core for each worker."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

LONGEST = ("test_notebooks", "test_chaos", "test_pipeline", "test_five_trials")
_YOUNG = 50_000  # objects made between two searches for what can be freed (Python: 700)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file: the long ones in the order given, the others as collected."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_collection_finish() -> None:
    """Leave what is imported and collected out of the search for what can be freed: it stays until the end.

    To look at all of it takes a second at each `gc.collect`, and those of reports and statsmodels are many.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


@pytest.fixture(scope="session", autouse=True)
def _one_core() -> Iterator[None]:
    """Give each process of tests one core: commands without --jobs then start no workers, seconds of imports each.

    What is done in workers is tested where --jobs is given, and by the demo of .ci/run.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "sched_getaffinity", lambda _pid: {0}, raising=False)
        yield
