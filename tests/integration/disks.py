"""Small disks, which are full soon. Only root can make them."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from embedded import accounts

SUPERUSER = os.environ.get("TEST_POSTGRES_SUPERUSER_URL", "")
Disk = Callable[[int], Path]


@pytest.fixture
def small_disk() -> Iterator[Disk]:
    """Disks of so many megabytes, which Postgres may use too."""
    account = accounts.for_servers(lambda subject, what: None)
    mounted: list[Path] = []

    def make(megabytes: int) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="opsdash-disk-"))
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder], check=False
        )
        if done.returncode:
            folder.rmdir()
            pytest.skip("this machine lets not even root mount a small disk")
        mounted.append(folder)
        folder.chmod(0o755)
        if account:
            os.chown(folder, account.uid, account.gid)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def fill(folder: Path) -> Path:
    """Not a byte is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


@contextmanager
def tablespace(folder: Path) -> Iterator[str]:
    name = f"small_{uuid.uuid4().hex[:8]}"
    place = folder / "space"
    place.mkdir()
    shutil.chown(place, folder.stat().st_uid, folder.stat().st_gid)
    with psycopg.connect(SUPERUSER, autocommit=True) as server:
        server.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'")
        server.execute(f"GRANT CREATE ON TABLESPACE {name} TO PUBLIC")
        yield name
        server.execute(f"DROP TABLESPACE {name}")


@contextmanager
def own_table_on(disk: Path, table: str) -> Iterator[Path]:
    with tablespace(disk) as space:
        move(table, space)
        try:
            yield disk / "space"
        finally:
            move(table, "pg_default")


def move(table: str, space: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} SET TABLESPACE {space}")
