"""Servers that are there already: DATABASE_URL and REDIS_URL. Looked at before anything is started."""

from urllib.parse import urlsplit

import psycopg
import redis

from embedded.errors import ChoiceError

POSTGRES_SCHEMES = ("postgres", "postgresql")
REDIS_SCHEMES = ("redis", "rediss", "unix")


def require_postgres(url: str) -> None:
    """Raise ChoiceError unless this Postgres lets us in. No message repeats the URL: it has a password."""
    if urlsplit(url).scheme not in POSTGRES_SCHEMES:
        raise ChoiceError(
            "DATABASE_URL does not begin with postgres:// as the URL of a Postgres does. Nothing was started."
        )
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.ProgrammingError:
        raise ChoiceError(
            "DATABASE_URL is not a valid URL: it is postgres://USER:PASSWORD@HOST:PORT/NAME, and signs like "
            "@ / : in the password are written as %40 %2F %3A. Nothing was started."
        ) from None
    except psycopg.OperationalError as error:
        raise ChoiceError(
            f"The Postgres of DATABASE_URL does not let us in: {_reason(error)}. Nothing was started."
        ) from None


def _reason(error: psycopg.OperationalError) -> str:
    """The last part of libpq's first line, which comes after the address."""
    _, known, reason = str(error).partition("\n")[0].rpartition("failed: ")
    return reason.strip() if known else "it cannot be reached"


def require_redis(url: str) -> None:
    """Raise ChoiceError unless this Redis answers."""
    if urlsplit(url).scheme not in REDIS_SCHEMES:
        raise ChoiceError(
            "REDIS_URL does not begin with redis:// as the URL of a Redis does. Nothing was started."
        )
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as client:
            client.ping()
    except redis.AuthenticationError:
        raise ChoiceError("The Redis of REDIS_URL refuses the password in it. Nothing was started.") from None
    except (redis.RedisError, ValueError):
        raise ChoiceError("The Redis of REDIS_URL cannot be reached. Nothing was started.") from None
