"""`make run`: the private servers, opsdash's own processes, and the end of all of them."""

import os

from embedded import existing, ports, state
from embedded.disk import refusals_in_words
from embedded.errors import EmbeddedError
from embedded.keeper import Notice, keep
from embedded.screen import complain, say, show
from embedded.servers import Wishes
from embedded.start import Start
from embedded.state import State
from embedded.supervisor import Stopped, Supervisor

DEFAULT_PORT = "8000"


def main() -> int:
    """Run until Ctrl-C. 0 after an orderly end, 1 if it could not start (one sentence says why)."""
    place = state.locate()
    try:
        wishes = Wishes.read(os.environ, DEFAULT_PORT)
        ports.require_free(wishes.port)
        _require_wished_servers(wishes)
        with refusals_in_words(place.root):
            _make(place)
        with state.locked(place):
            return keep(lambda notice: work(place, wishes, notice), own_session=True)
    except EmbeddedError as error:
        return _tell(error)


def _make(place: State) -> None:
    if not place.root.exists():
        say("state", f"making {place.root}, where databases, logs and passwords are kept")
    state.create(place)


def _require_wished_servers(wishes: Wishes) -> None:
    if wishes.database_url:
        existing.require_postgres(wishes.database_url)
    if wishes.redis_url:
        existing.require_redis(wishes.redis_url)


def _tell(error: EmbeddedError) -> int:
    complain("\n".join(part for part in (error.details, f"opsdash: {error}") if part))
    return 1


def work(place: State, wishes: Wishes, notice: Notice) -> int:
    """Start all, watch, stop all. Runs below its keeper."""
    supervisor = Supervisor(place, notice)
    try:
        with refusals_in_words(place.root):
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
