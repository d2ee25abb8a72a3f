"""Settings of opsdash, read strictly from the environment: a typo stops the boot with a sentence."""

import difflib
import hashlib
import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError

from dbops.conf import KNOBS

BASE_DIR = Path(__file__).resolve().parent.parent

NAMES = {
    "OPSDASH_SECRET_KEY",
    "OPSDASH_SEALING_KEYS",
    "OPSDASH_ALLOWED_HOSTS",
    "OPSDASH_CSRF_TRUSTED_ORIGINS",
    "OPSDASH_DEBUG",
    "OPSDASH_SECURE",
    "OPSDASH_STATIC_ROOT",
    "OPSDASH_DB_POOL_MAX",
    "OPSDASH_LOG_LEVEL",
    "OPSDASH_TARGETS_FILE",
} | {f"OPSDASH_{knob.name}" for knob in KNOBS}
# Read by `make run` and by the tests, not by this module.
FOREIGN_PREFIXES = ("OPSDASH_DEMO_", "OPSDASH_TEST_")


def refuse_unknown_names() -> None:
    for name in os.environ:
        if name.startswith("OPSDASH_") and name not in NAMES and not name.startswith(FOREIGN_PREFIXES):
            close = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"Did you mean {close[0]}?" if close else "See .env.example for the names that exist."
            raise ImproperlyConfigured(f"the environment sets {name}, which opsdash does not know. {hint}")


def at_least(minimum: int) -> Any:
    def check(value: int) -> None:
        if value < minimum:
            raise EnvError(f"must be at least {minimum}")

    return check


env = Env()
refuse_unknown_names()

try:
    DEBUG = env.bool("OPSDASH_DEBUG", False)
    SECURE = env.bool("OPSDASH_SECURE", True)
    SECRET_KEY = env.str("OPSDASH_SECRET_KEY")
    SEALING_KEYS: list[str] = env.list("OPSDASH_SEALING_KEYS")
    ALLOWED_HOSTS = env.list("OPSDASH_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
    CSRF_TRUSTED_ORIGINS: list[str] = env.list("OPSDASH_CSRF_TRUSTED_ORIGINS", [])
    REDIS_URL = env.str("REDIS_URL")
    STATIC_ROOT = env.str("OPSDASH_STATIC_ROOT", None)
    LOG_LEVEL = env.str("OPSDASH_LOG_LEVEL", "INFO").upper()
    TARGETS_FILE = env.str("OPSDASH_TARGETS_FILE", str(BASE_DIR / "targets.toml"))
    database = dict(env.dj_db_url("DATABASE_URL"))
    pool_max = env.int("OPSDASH_DB_POOL_MAX", 0, validate=at_least(0))
    DBOPS = {
        knob.name: env.int(f"OPSDASH_{knob.name}", knob.default, validate=at_least(knob.minimum))
        for knob in KNOBS
    }
except EnvError as error:
    raise ImproperlyConfigured(f"{error}. See .env.example for what is expected.") from None

if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("OPSDASH_SECRET_KEY is shorter than 32 characters; use a long random text.")
if not SEALING_KEYS:
    raise ImproperlyConfigured("OPSDASH_SEALING_KEYS is empty; it needs at least one Fernet key.")
for position, key in enumerate(SEALING_KEYS, 1):
    try:
        Fernet(key)
    except ValueError:
        raise ImproperlyConfigured(
            f"key {position} of OPSDASH_SEALING_KEYS is not a Fernet key (32 bytes in url-safe base64)."
        ) from None
if database.get("ENGINE") != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database (postgres://...).")
if not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL must start with redis://, rediss:// or unix://.")

# A network that is cut tells nobody. Our end finds out within about ten seconds, so that neither a page nor
# the thread that reads a job's target waits for hours; the server's end does too, and ends what pauses in a
# transaction, so that a session that nobody holds any more holds no lock.
# https://www.postgresql.org/docs/current/libpq-connect.html, runtime-config-connection.html
ours = {"keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 2, "tcp_user_timeout": 10_000}
servers = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
options = dict(database.get("OPTIONS", {}))
# Of one that is named twice the last counts: DATABASE_URL's own win.
told = [*(f"-c {name}={value}" for name, value in servers.items()), options.get("options", "")]
database["OPTIONS"] = {"connect_timeout": 5, **ours, **options, "options": " ".join(filter(None, told))}
# Under ASGI every concurrent view would open a connection of its own, without bound; asgi.py asks for a pool.
if pool_max:
    # The pool's own retries come ever more seldom; given up soon, the next request tries at once.
    sizes = {"min_size": 0, "max_size": pool_max, "timeout": 5, "reconnect_timeout": 3}
    database["OPTIONS"]["pool"] = sizes
database["CONN_MAX_AGE"] = 0
# A connection that the pool kept while the server was restarted is dead: it is tried before it is handed out.
database["CONN_HEALTH_CHECKS"] = True
DATABASES = {"default": database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "dbops",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
]

MIDDLEWARE = [
    "dbops.middleware.livez",
    "dbops.api.gate.gate",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "dbops.middleware.SignedInMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "opsdash.urls"
ASGI_APPLICATION = "opsdash.asgi.application"
WSGI_APPLICATION = "opsdash.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dbops.access.role_of_page",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Without a collected folder (development, `make run`) the files are served from where they lie.
SERVESTATIC_USE_FINDERS = STATIC_ROOT is None
SERVESTATIC_AUTOREFRESH = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# A host's cookies are shared by all its ports: two installations side by side need names of their own.
own_name = f"{database['HOST']}:{database['PORT']}/{database['NAME']}"
installation = hashlib.sha256(own_name.encode()).hexdigest()[:8]
SESSION_COOKIE_NAME = f"opsdash_session_{installation}"
CSRF_COOKIE_NAME = f"opsdash_csrf_{installation}"
SESSION_COOKIE_AGE = DBOPS["SESSION_HOURS"] * 3600
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_SSL_REDIRECT = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    # A database of ours that is away was told in one line (dbops.views.errors).
    "filters": {
        "not_503": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", 0) != 503,
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"django.request": {"filters": ["not_503"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
}

CELERY = {
    "broker_url": REDIS_URL,
    "broker_connection_retry_on_startup": True,
    # Early ack and a claim in the database decide who runs a job; nothing may be delivered a second time
    # only because it takes long, and nothing may wait behind a running job in a worker's pocket.
    # A broker that is silent (frozen, or cut off) may hold up neither a page nor a worker. A worker's BRPOP
    # is answered every second, so that an idle one never meets the timeout.
    "broker_transport_options": {
        "visibility_timeout": 30 * 86400,
        "global_keyprefix": "opsdash:celery:",
        "socket_timeout": 2,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "max_retries": 0,
    },
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "task_ignore_result": True,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_default_queue": "jobs",
    "task_track_started": False,
    "worker_hijack_root_logger": False,
    "worker_send_task_events": False,
    "timezone": "UTC",
    # A worker that gave up its broker for good would end, and the job that it works on with it.
    "broker_connection_max_retries": None,
    # They go before the inspections that wait in the same queue (priority 0 is the first).
    "beat_scheduler": "opsdash.beat:Scheduler",
    "beat_schedule": {
        "inspect_due": {
            "task": "dbops.inspect_due",
            "schedule": 5.0,
            "options": {"queue": "inspect", "priority": 0},
        },
        "refresh_due": {
            "task": "dbops.refresh_due",
            "schedule": 5.0,
            "options": {"queue": "inspect", "priority": 0},
        },
        "sweep_jobs": {
            "task": "dbops.sweep_jobs",
            "schedule": 5.0,
            "options": {"queue": "inspect", "priority": 0},
        },
        "sweep_plans": {
            "task": "dbops.sweep_plans",
            "schedule": 5.0,
            "options": {"queue": "inspect", "priority": 0},
        },
        "sweep_transcripts": {
            "task": "dbops.sweep_transcripts",
            "schedule": 3600.0,
            "options": {"queue": "inspect", "priority": 0},
        },
        "sweep_snapshots": {
            "task": "dbops.sweep_snapshots",
            "schedule": 5.0,
            "options": {"queue": "inspect", "priority": 0},
        },
    },
}
