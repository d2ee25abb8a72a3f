"""`make clean-state`: remove what `make run` has kept for this checkout. Needs nothing but Python."""

import contextlib
import shutil
import sys

from embedded import state
from embedded.errors import EmbeddedError
from embedded.screen import complain, show


def main() -> int:
    place = state.locate()
    if not place.root.exists():
        show(f"There is no state of this checkout: {place.root} does not exist.")
        return 0
    try:
        with state.locked(place):
            shutil.rmtree(place.root)
    except EmbeddedError as error:
        complain(f"{error} Nothing was removed.")
        return 1
    except OSError as error:
        complain(f"{place.root} could not be removed completely: {error.strerror}: {error.filename}")
        return 1
    if place.root.parent == state.SYSTEM_WIDE:
        with contextlib.suppress(OSError):  # another checkout has its state there
            state.SYSTEM_WIDE.rmdir()
    show(f"Removed {place.root}: databases, logs and generated passwords.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
