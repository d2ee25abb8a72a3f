"""Servers that are there already: DATABASE_URL and REDIS_URL. Looked at before anything is started."""

from urllib.parse import urlsplit

import psycopg
import redis

from embedded.errors import ChoiceError

POSTGRES_SCHEMES = ("postgres", "postgresql")
REDIS_SCHEMES = ("redis", "rediss", "unix")


def require_postgres(url: str) -> None:
    """Raise ChoiceError unless this Postgres lets us in. No message repeats the URL: it has a password."""
    _require_form("DATABASE_URL", url, POSTGRES_SCHEMES, "postgres://USER:PASSWORD@HOST:PORT/NAME")
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        raise ChoiceError(
            f"The Postgres of DATABASE_URL does not let us in: {_reason(error)}. Nothing was started."
        ) from None


def _require_form(name: str, url: str, schemes: tuple[str, ...], example: str) -> None:
    try:
        fits = urlsplit(url).scheme in schemes and urlsplit(url).port != 0
    except ValueError:  # what stands where the port belongs is no number
        fits = False
    if not fits:
        raise ChoiceError(
            f"{name} is not of the form {example} (signs like @ / : in the password are written as "
            "%40 %2F %3A). Nothing was started."
        )


def _reason(error: psycopg.Error) -> str:
    """The last part of libpq's first line: what comes before it may be a part of a mistyped URL."""
    _, known, reason = str(error).partition("\n")[0].rpartition("failed: ")
    return reason.strip() if known else "it cannot be reached"


def require_redis(url: str) -> None:
    """Raise ChoiceError unless this Redis answers."""
    _require_form("REDIS_URL", url, REDIS_SCHEMES, "redis://:PASSWORD@HOST:PORT/0")
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as client:
            client.ping()
    except redis.AuthenticationError:
        raise ChoiceError("The Redis of REDIS_URL refuses the password in it. Nothing was started.") from None
    except (redis.RedisError, ValueError):
        raise ChoiceError("The Redis of REDIS_URL cannot be reached. Nothing was started.") from None
