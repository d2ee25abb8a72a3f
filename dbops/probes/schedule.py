"""When a database is asked again, in seconds. Pure."""

import random

MOST_PAUSE_S = 60.0
# The first look at each is spread over this, so that a start is no thunderclap.
FIRST_PAUSE_S = 1.0
JITTER = 0.1


def pause_after(failures: int, interval_s: float) -> float:
    """`failures` in a row: the first is looked at again as soon as any, then ever less often."""
    pause = interval_s * 2.0 ** min(max(0, failures - 1), 10)
    return max(interval_s, min(pause, MOST_PAUSE_S))


def away_pause(failures: int, interval_s: float) -> float:
    """While our own database is away it is tried after 1 s, 2 s, 4 s, up to the interval."""
    return min(2.0 ** (failures - 1), interval_s) if 0 < failures < 10 else interval_s


def jittered(pause_s: float) -> float:
    return pause_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
