"""Settings of opsdash, read strictly from the environment: a typo stops the boot with a sentence."""

import difflib
import hashlib
import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError

from dbops.conf import KNOBS, Provider
from dbops.redaction.logs import learned

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
    "OPSDASH_OIDC_ISSUER",
    "OPSDASH_OIDC_CLIENT_ID",
    "OPSDASH_OIDC_CLIENT_SECRET",
    "OPSDASH_OIDC_NAME",
    "OPSDASH_OIDC_SCOPES",
    "OPSDASH_OIDC_CLAIM",
    "OPSDASH_OIDC_VIEWERS",
    "OPSDASH_OIDC_OPERATORS",
    "OPSDASH_OIDC_STAFF",
    "OPSDASH_OIDC_SUPERUSERS",
    "OPSDASH_OIDC_GROUPS",
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
    oidc = {
        name.removeprefix("OPSDASH_OIDC_").lower(): env.str(name, "").strip()
        for name in sorted(NAMES)
        if name.startswith("OPSDASH_OIDC_")
    }
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


def sign_on(told: dict[str, str]) -> Provider | None:
    """Single sign-on: all that it needs, or nothing of it."""
    needed = ("issuer", "client_id", "client_secret")
    given = [name for name, value in told.items() if value]
    if not given:
        return None
    if lacking := [f"OPSDASH_OIDC_{name.upper()}" for name in needed if name not in given]:
        raise ImproperlyConfigured(
            f"the environment sets OPSDASH_OIDC_{given[0].upper()}, but not {' and '.join(lacking)}: single "
            "sign-on needs the three of issuer, client id and secret. Set them, or none of OPSDASH_OIDC_."
        )
    issuer = urlsplit(told["issuer"])
    if issuer.scheme != "https" and not (issuer.scheme == "http" and is_loopback(issuer.hostname or "")):
        raise ImproperlyConfigured(
            "OPSDASH_OIDC_ISSUER must begin with https:// (http:// is for this machine)."
        )
    roles = {name: names_in(told[name]) for name in ("viewers", "operators", "staff", "superusers")}
    groups = groups_in(told["groups"])
    if not any(roles.values()) and not groups:
        raise ImproperlyConfigured(
            "single sign-on is set, but no group of the provider gives a role here, so nobody could see "
            "anything. Set OPSDASH_OIDC_VIEWERS, _OPERATORS, _STAFF, _SUPERUSERS or _GROUPS."
        )
    return Provider(
        issuer=told["issuer"],
        client_id=told["client_id"],
        client_secret=told["client_secret"],
        name=told["name"] or "single sign-on",
        claim=told["claim"] or "groups",
        scopes=told["scopes"] or "openid profile email",
        roles=roles,
        groups=groups,
    )


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_in(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def groups_in(text: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in sorted(names_in(text)):
        theirs, equals, ours_ = (part.strip() for part in pair.rpartition("="))
        if not theirs or not ours_ or not equals or ours_ in ("viewers", "operators"):
            raise ImproperlyConfigured(
                f"OPSDASH_OIDC_GROUPS must be pairs like theirs=ours, separated by commas; {pair!r} is none "
                "(viewers and operators have variables of their own)."
            )
        found.setdefault(ours_, set()).add(theirs)
    return {name: frozenset(sources) for name, sources in found.items()}


SIGN_ON = sign_on(oidc)

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
# Whatever a parameter of a page asks for. A process with a pool is the web process.
if pool_max:
    servers["statement_timeout"] = f"{DBOPS['QUERY_TIMEOUT_MS']}ms"
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
passwords = [database.get("PASSWORD"), unquote(urlsplit(REDIS_URL).password or "")]
if SIGN_ON:
    passwords.append(SIGN_ON.client_secret)
learned.learn("opsdash", [SECRET_KEY, *SEALING_KEYS, *map(str, passwords)])
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    # Before ours, which takes from the admin what they put there.
    "allauth.account",
    "allauth.mfa",
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
    "dbops.middleware.headers",
    "dbops.middleware.livez",
    # Before all that answers by itself.
    "csp.middleware.CSPMiddleware",
    "dbops.api.gate.gate",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "dbops.middleware.refusals",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dbops.middleware.own_site",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "dbops.signed_in.SignedInMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "dbops.middleware.plain_pages",
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
# Nothing of it that matters is lost when it is emptied.
CACHES = {"default": {"BACKEND": "dbops.signing.counters.Counters"}}
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
ACCOUNT_ADAPTER = "dbops.signing.adapters.AccountAdapter"
ACCOUNT_RATE_LIMITS = {
    "login_failed": f"{DBOPS['SIGN_IN_TRIES_ADDRESS']}/{DBOPS['SIGN_IN_WAIT_S']}s/ip,"
    f"{DBOPS['SIGN_IN_TRIES']}/{DBOPS['SIGN_IN_WAIT_S']}s/key"
}
ACCOUNT_EMAIL_VERIFICATION = "none"
MFA_ADAPTER = "dbops.signing.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
# Steps of 30 s that a phone's clock may be off.
MFA_TOTP_TOLERANCE = 1
# dbops.confirming asks, before any of its views.
MFA_REAUTHENTICATION_REQUIRED = False
MFA_ALLOW_UNVERIFIED_EMAIL = True
DEFAULT_EXCEPTION_REPORTER_FILTER = "dbops.reporter.ReporterFilter"
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
SERVESTATIC_ALLOW_ALL_ORIGINS = False
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
# Under https no other host of the domain can plant one: a browser takes this name from the host itself only.
host_only = "__Host-" if SECURE else ""
SESSION_COOKIE_NAME = f"{host_only}opsdash_session_{installation}"
CSRF_COOKIE_NAME = f"{host_only}opsdash_csrf_{installation}"
# Pages carry the token themselves.
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "dbops.views.errors.csrf_failed"
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
# No form of ours is larger, and none has a file.
DATA_UPLOAD_MAX_MEMORY_SIZE = FILE_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 0
FILE_UPLOAD_HANDLERS = ["opsdash.uploads.NoFiles"]
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
SESSION_COOKIE_HTTPONLY = True
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
    # Without secrets, and without what would forge a line.
    "formatters": {
        "line": {
            "()": "dbops.redaction.logs.Formatter",
            "fmt": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    # A database of ours that is away was told in one line (dbops.views.errors).
    "filters": {
        "not_503": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", 0) != 503,
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "django.request": {"filters": ["not_503"]},
        # It would write down what proves that a browser began a sign-on.
        "authlib": {"level": "INFO"},
    },
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
        "sweep_sessions": {
            "task": "dbops.sweep_sessions",
            "schedule": 60.0,
            "options": {"queue": "inspect", "priority": 0},
        },
        "sweep_snapshots": {
            "task": "dbops.sweep_snapshots",
            "schedule": 5.0,
            "options": {"queue": "inspect", "priority": 0},
        },
    },
}
