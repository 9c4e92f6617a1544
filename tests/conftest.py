"""The longest files first, so that no worker is left with one of them at the end."""

from __future__ import annotations

import pytest

LONGEST = ("test_notebooks", "test_chaos", "test_pipeline", "test_five_trials")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file: the long ones in the order given, the others as collected."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
