"""Faults by their numbers, and a target that leaves marks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.marks import Marked, marked_target
from tests.integration.conftest import (  # noqa: F401
    MakeTarget,
    make_database,
    make_job,
    make_target,
    people,
    postgres_url,
    quick_passwords,
)
from tests.integration.disks import small_disk  # noqa: F401

MakeMarked = Callable[..., Marked]


@pytest.fixture
def marked(make_target: MakeTarget, postgres_url: str, tmp_path: Path) -> MakeMarked:  # noqa: F811
    """`work`: Python, in the middle of its migration."""

    def make(work: str = "", *, url: str = postgres_url, **more: str) -> Marked:
        return marked_target(make_target, tmp_path / "mini", url, work, **more)

    return make
