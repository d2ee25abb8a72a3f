"""Every knob of opsdash: its type, unit and default.

A knob NAME is set by the environment variable OPSDASH_NAME, which opsdash.settings reads (and checks) at
boot. This module is the only reader of settings inside dbops: `conf.knob("LOCK_TIMEOUT_MS")`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings

# As in pyproject.toml.
VERSION = "0.1.0"


@dataclass(frozen=True)
class Knob:
    name: str
    default: int
    minimum: int
    unit: str
    meaning: str


KNOBS: tuple[Knob, ...] = (
    Knob("INSPECTION_INTERVAL_S", 60, 5, "seconds", "how often a target is inspected by itself"),
    Knob(
        "FULL_INSPECTION_INTERVAL_S",
        300,
        5,
        "seconds",
        "how often where fast refreshes tell in between what is applied",
    ),
    Knob(
        "REFRESH_INTERVAL_S", 15, 1, "seconds", "how often what is applied is read without starting a target"
    ),
    Knob("INSPECTION_TIMEOUT_S", 60, 5, "seconds", "how long one inspection may take before it is stopped"),
    Knob("STALE_AFTER_S", 600, 10, "seconds", "knowledge older than this is shown as unknown"),
    Knob("INSPECTIONS_KEPT", 50, 1, "rows a target", "how many inspections of a target are kept"),
    Knob("PLAN_BUDGET_S", 20, 1, "seconds", "how long the SQL of a plan may take; what is left has none"),
    Knob("PLANS_KEPT", 30, 2, "rows a database", "how many plans of a target database are kept"),
    Knob("PLAN_BYTES", 20_000_000, 100_000, "bytes", "of a plan; texts beyond this are not kept"),
    Knob("LOCK_TIMEOUT_MS", 5000, 0, "milliseconds", "lock_timeout of a migrate job's session; 0 is off"),
    Knob("LOCK_TRIES", 5, 1, "tries", "of an atomic migration that waits longer for a lock; 1 is no retry"),
    Knob("LOCK_BACKOFF_MS", 2000, 0, "milliseconds", "rest before its second try; doubled for each one more"),
    Knob("STATEMENT_TIMEOUT_MS", 0, 0, "milliseconds", "statement_timeout of a migrate job; 0 is off"),
    Knob("PROBE_INTERVAL_S", 10, 1, "seconds", "how often a target's database server is probed"),
    Knob("PROBE_STALE_S", 30, 2, "seconds", "an answer older than this is shown as unknown"),
    Knob("HEARTBEAT_S", 5, 1, "seconds", "how often a worker says that it and its job are alive"),
    Knob(
        "LOST_AFTER_S",
        20,
        3,
        "seconds",
        "without a sign of life for this long a job is lost, a worker silent",
    ),
    Knob("REPUBLISH_AFTER_S", 30, 5, "seconds", "a job still queued after this long is published again"),
    Knob("CANCEL_GRACE_S", 5, 1, "seconds", "time between two rungs of the cancel ladder"),
    Knob("BATCH_MS", 100, 10, "milliseconds", "output is collected this long before it is written"),
    Knob("BATCH_BYTES", 65536, 1024, "bytes", "or until it is this large"),
    Knob("LINE_CHARS", 16384, 256, "characters", "a longer line of output is broken into several"),
    Knob(
        "TRANSCRIPT_BYTES",
        100_000_000,
        65536,
        "bytes",
        "of a transcript; of a larger one the first and the last part are kept",
    ),
    Knob("TRANSCRIPT_DAYS", 180, 1, "days", "a transcript is removed so long after the end of its job"),
    Knob("STREAM_KEEPALIVE_S", 10, 1, "seconds", "an idle stream says that it is alive this often"),
    Knob("STREAM_RECHECK_S", 30, 1, "seconds", "an open stream checks its viewer's rights this often"),
    Knob(
        "STREAMS_PER_SESSION",
        4,
        1,
        "streams",
        "open at once in one browser and web process; further pages ask every 2 s",
    ),
    Knob(
        "STREAMS_PER_USER",
        12,
        1,
        "streams",
        "the same of all browsers of one person, in one web process",
    ),
    Knob("SEARCHES_PER_USER", 2, 1, "searches", "of transcripts, at a time in one web process"),
    Knob("DOWNLOADS_PER_USER", 3, 1, "downloads", "of one person on their way in one web process"),
    Knob("PAGE_SIZE", 50, 5, "rows", "rows on one page of a list"),
    Knob(
        "QUERY_TIMEOUT_MS",
        5000,
        100,
        "milliseconds",
        "how long opsdash's own database may work on one statement of a page",
    ),
    Knob("SESSION_HOURS", 12, 1, "hours", "a login lasts this long"),
    Knob(
        "SESSION_IDLE_MINUTES", 0, 0, "minutes", "a login that nobody uses ends after this long; 0 is never"
    ),
    Knob("REAUTH_S", 300, 1, "seconds", "dangerous acts need a confirmation that is not older than this"),
    Knob(
        "REQUIRE_SECOND_FACTOR",
        0,
        0,
        "of 0, 1, 2",
        "who must have a second factor: 0 nobody, 1 staff and superusers, 2 everybody",
    ),
    Knob("SIGN_IN_TRIES", 5, 1, "failures", "of one name (or of one person's codes) before it must wait"),
    Knob("SIGN_IN_TRIES_ADDRESS", 20, 1, "failures", "from one address before it must wait"),
    Knob("SIGN_IN_WAIT_S", 300, 1, "seconds", "how long failed sign-ins are counted"),
    Knob("TOKEN_MAX_DAYS", 90, 1, "days", "a token of the API is made for so long at most"),
    Knob("API_REQUESTS_A_MINUTE", 600, 1, "requests", "of one person's tokens, in one web process"),
    Knob("API_WAIT_S", 25, 0, "seconds", "a request to the API waits for lines so long at most"),
    Knob("API_FOLLOWS", 4, 1, "requests", "of one person that wait for lines at once, in one web process"),
    Knob("TRUSTED_PROXIES", 0, 0, "proxies", "how many proxies of ours every request passes"),
)


@dataclass(frozen=True)
class Provider:
    """Single sign-on by OpenID Connect (OPSDASH_OIDC_...)."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str
    claim: str
    scopes: str
    # A role, or the name of a group here -> the provider's groups that give it.
    roles: Mapping[str, frozenset[str]]
    groups: Mapping[str, frozenset[str]]


DEFAULTS: Mapping[str, int] = {knob.name: knob.default for knob in KNOBS}


def knob(name: str) -> int:
    """The value of a knob, in the unit that KNOBS gives for it."""
    return int(settings.DBOPS[name])


def provider() -> Provider | None:
    """None: people sign in by name and password only."""
    found: Provider | None = settings.SIGN_ON
    return found


def redis_url() -> str:
    return str(settings.REDIS_URL)


def sealing_keys() -> tuple[str, ...]:
    """Fernet keys; the first seals, all unseal, so a key is rotated by putting a new one in front."""
    return tuple(settings.SEALING_KEYS)
