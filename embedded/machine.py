"""What the tests need of the machine: Chromium and some programs, by apt where root and missing."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from embedded.errors import MachineError

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_VARIABLE = "OPSDASH_TEST_CHROMIUM"
# Program and package: a target through ssh, a host whose clock is off, and a second host with a line to it,
# which only root can make.
PROGRAMS = {"sshd": "openssh-server", "faketime": "faketime"}
OF_ROOT = {"ip": "iproute2"}

Say = Callable[[str, str], None]


def ensure_chromium(say: Say) -> Path | None:
    """The Chromium to test with, None where none can be had; with CI set that is an error."""
    named = Path(os.environ.get(CHROMIUM_VARIABLE) or CHROMIUM)
    if named.exists():
        return named
    if named == Path(CHROMIUM) and _may_install():
        _install("chromium", say)
        return named
    if is_ci():
        raise MachineError(
            f"The browser tests need {named}: install chromium. With CI set no test is left out."
        )
    return None


def ensure_programs(say: Say) -> None:
    """Install what is missing; what cannot be had leaves tests out, and with CI set that is an error."""
    for program, package in {**PROGRAMS, **(OF_ROOT if os.geteuid() == 0 else {})}.items():
        if not _is_there(program) and _may_install():
            _install(package, say)
        if not _is_there(program) and is_ci():
            raise MachineError(f"A test needs {program}: install {package}. With CI set no test is left out.")


def _is_there(program: str) -> bool:
    """An ordinary user's PATH may lack the places of sshd and ip."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install(package: str, say: Say) -> None:
    say("apt", f"installing {package}, which the tests need")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        done = subprocess.run(
            ["apt-get", "-q", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise MachineError(f"apt-get could not install {package}, which the tests need.", done.stdout)
