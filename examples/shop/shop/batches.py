"""Data migrations go through a large table in slices, say where they are, and give the database a rest."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from django.conf import settings

Row = TypeVar("Row")


def batches(rows: Sequence[Row], size: int, noun: str) -> Iterator[Sequence[Row]]:
    """Yield slices of `rows`, printing one line of progress after each."""
    total = len(rows)
    print(f"\n    {total} {noun} in batches of {size}")
    for start in range(0, total, size):
        batch = rows[start : start + size]
        yield batch
        print(f"    {start + len(batch):>5} / {total} {noun}")
        time.sleep(settings.BATCH_PAUSE_S)
