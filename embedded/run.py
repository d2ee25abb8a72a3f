"""`make run`: the private servers, opsdash's own processes, and the end of all of them."""

import contextlib
import errno
import os
from collections.abc import Iterator

from embedded import existing, ports, state
from embedded.errors import EmbeddedError, MachineError
from embedded.keeper import Notice, keep
from embedded.screen import complain, say, show
from embedded.servers import Wishes
from embedded.start import Start
from embedded.state import State
from embedded.supervisor import Stopped, Supervisor

DEFAULT_PORT = "8000"
FULL = (errno.ENOSPC, errno.EDQUOT)


def main() -> int:
    """Run until Ctrl-C. 0 after an orderly end, 1 if it could not start (one sentence says why)."""
    place = state.locate()
    try:
        wishes = Wishes.read(os.environ, DEFAULT_PORT)
        ports.require_free(wishes.port)
        _require_wished_servers(wishes)
        with _disk_in_words(place):
            state.create(place)
        with state.locked(place):
            return keep(lambda notice: work(place, wishes, notice), own_session=True)
    except EmbeddedError as error:
        return _tell(error)


def _require_wished_servers(wishes: Wishes) -> None:
    if wishes.database_url:
        existing.require_postgres(wishes.database_url)
    if wishes.redis_url:
        existing.require_redis(wishes.redis_url)


@contextlib.contextmanager
def _disk_in_words(place: State) -> Iterator[None]:
    """Turn what the disk refuses into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise MachineError(
                f"The disk that holds {place.root} is full: make room and start again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise MachineError(
                f"{error.filename} cannot be written ({error.strerror}): the state is kept there."
            ) from error
        raise


def _tell(error: EmbeddedError) -> int:
    complain("\n".join(part for part in (error.details, f"opsdash: {error}") if part))
    return 1


def work(place: State, wishes: Wishes, notice: Notice) -> int:
    """Start all, watch, stop all. Runs below its keeper."""
    supervisor = Supervisor(place, notice)
    try:
        with _disk_in_words(place):
            Start(place, wishes, supervisor).perform()
        supervisor.watch()
    except Stopped:
        show("")
    except EmbeddedError as error:
        return _tell(error)
    finally:
        say("stop", "ending all processes")
        supervisor.stop()
    show(f"opsdash has stopped. Its data stay in {place.root} for the next `make run`.")
    return 0
