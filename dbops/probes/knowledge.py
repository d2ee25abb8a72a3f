"""Reading what the prober found, with its age judged."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dbops import conf
from dbops.models import Probe, TargetDatabase, clock

# The target itself was there when it found one of these; only these say that it was not.
NOT_THERE = {"unreachable", "broken", "unknown"}


@dataclass(frozen=True)
class Readiness:
    """A probe in words. `look` is a status's; `since_at` belongs to `unknown`; `reached_at` is set when the
    target itself reached its database although it does not answer here."""

    look: str
    word: str
    detail: str = ""
    probed_at: datetime | None = None
    since_at: datetime | None = None
    reached_at: datetime | None = None


def readiness_of(database: TargetDatabase) -> Readiness | None:
    """None for a database that is never probed: it has no server (SQLite), or none that we know to ask."""
    probe: Probe | None = getattr(database, "probe", None)
    if database.vendor != "postgresql":
        return None
    if probe is None:
        return Readiness("unknown", "not probed")
    if is_stale(probe, clock.now()):
        return Readiness("unknown", "unknown", f"Then: {_last_word(probe)}.", since_at=probe.probed_at)
    if probe.state == Probe.State.ANSWERS:
        return Readiness("ready", "answers", _answer(probe), probe.probed_at)
    if probe.state == Probe.State.NOT_HERE:
        return Readiness("unknown", "not reachable from here", probe.detail, probe.probed_at)
    return _unreachable(probe, database)


def is_stale(probe: Probe, now: datetime) -> bool:
    """Older than PROBE_STALE_S; one that is asked less often, because it fails, is given that much longer."""
    spare = conf.knob("PROBE_STALE_S") - conf.knob("PROBE_INTERVAL_S")
    return now > probe.next_at + timedelta(seconds=spare)


def _last_word(probe: Probe) -> str:
    return {"answers": "it answered", "unreachable": "it did not answer"}.get(
        probe.state, "it was not reachable from here"
    )


def _answer(probe: Probe) -> str:
    standby = ", in recovery: a standby, read-only" if probe.in_recovery else ""
    return f"in {probe.latency_ms} ms{standby}"


def _unreachable(probe: Probe, database: TargetDatabase) -> Readiness:
    """Two truths, where the target itself reached it. After it failed here: so it fails only from here."""
    reached_at = _reached_at(database)
    only_here = database.target.is_served_elsewhere or (reached_at is not None and reached_at > probe.since)
    return Readiness(
        look="unknown" if only_here else "unreachable",
        word="does not answer from here" if only_here else "does not answer",
        detail=f"{probe.reason}: {probe.detail}",
        probed_at=probe.probed_at,
        reached_at=reached_at,
    )


def _reached_at(database: TargetDatabase) -> datetime | None:
    states = {status.state for status in database.found()}
    if database.inspected_at is None or not states or states & NOT_THERE:
        return None
    recently = clock.now() - timedelta(seconds=conf.knob("STALE_AFTER_S"))
    return database.inspected_at if database.inspected_at > recently else None
