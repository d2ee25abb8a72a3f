"""The shop's settings. Everything that differs between two installations comes from the environment.

DATABASE_URL      postgres://user:password@host:port/name (required)
SHOP_SECRET_KEY   Django's secret key (made up at each start where it is missing)
SHOP_DEBUG        1 for Django's error pages
SHOP_BATCH_PAUSE  seconds that a data migration rests after each batch (default 0.25)
"""

import os
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

if "DATABASE_URL" not in os.environ:
    raise ImproperlyConfigured("The shop needs DATABASE_URL, such as postgres://shop:secret@127.0.0.1/shop.")

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY") or get_random_secret_key()
DEBUG = os.environ.get("SHOP_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "catalog",
    "customers",
    "orders",
    "payments",
    "shipping",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]

ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"

DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

BATCH_PAUSE_S = float(os.environ.get("SHOP_BATCH_PAUSE", "0.25"))
