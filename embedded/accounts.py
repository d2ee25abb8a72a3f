"""Who runs Postgres and Redis. Postgres refuses to run as root: root needs a system user without any rights.

`nobody` and the user of a distribution's own Postgres are no choice: other programs run as them and could
read our data, or be read by ours. A user of our own is made with useradd, which every Debian has, the slim
images included.
"""

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from embedded.errors import MachineError

NAME = "opsdash"
FIRST_PERSON = 1000
INSTEAD = "Or set DATABASE_URL and REDIS_URL to servers of your own."


@dataclass(frozen=True)
class Account:
    """A system user that the private servers run as."""

    name: str
    uid: int
    gid: int


def for_servers(say: Callable[[str, str], None]) -> Account | None:
    """The account for Postgres and Redis: None (the caller's own) unless root; made if it does not exist."""
    if os.geteuid() != 0:
        return None
    entry = _look_up()
    if entry is None:
        say("user", f"making the system user {NAME} (no login, no home) to run Postgres and Redis")
        entry = _make()
    _require_harmless(entry)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _look_up() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        return None


def _make() -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise MachineError(
            f"Postgres does not run as root and this machine has no useradd to make the system user {NAME}: "
            f"make it by hand, or run this as an ordinary user. {INSTEAD}"
        )
    shell = shutil.which("nologin", path="/usr/sbin:/sbin") or "/bin/false"
    made = subprocess.run(
        [
            useradd,
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
            "--shell",
            shell,
            NAME,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    entry = _look_up()  # another checkout may have made it in the same moment
    if entry is None:
        raise MachineError(
            f"The system user {NAME} could not be made: {made.stderr.strip()}. {INSTEAD}", made.stdout
        )
    return entry


def _require_harmless(entry: pwd.struct_passwd) -> None:
    reason = _harm(entry)
    if reason:
        raise MachineError(
            f"The user {NAME} {reason}, so the private Postgres and Redis are not run as it: "
            f"rename that user, or run this as an ordinary user. {INSTEAD}"
        )


def _harm(entry: pwd.struct_passwd) -> str:
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        return "has root's rights"
    if entry.pw_uid >= FIRST_PERSON or not entry.pw_shell.endswith(("/nologin", "/false")):
        return "is not a system user without a login"
    groups = [group.gr_name for group in grp.getgrall() if entry.pw_name in group.gr_mem]
    if groups:
        return f"also belongs to the group {groups[0]}"
    others = [
        other.pw_name for other in pwd.getpwall() if other.pw_uid == entry.pw_uid and other.pw_name != NAME
    ]
    if others:
        return f"has the same number as {others[0]}"
    return ""
