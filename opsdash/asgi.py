"""The web process: `gunicorn -k opsdash.worker.Worker opsdash.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsdash.settings")
# Concurrent views share a bounded pool of connections; workers and commands need none.
os.environ.setdefault("OPSDASH_DB_POOL_MAX", "8")

import django

django.setup(set_prefix=False)

from dbops.redaction import logs  # noqa: E402
from opsdash.handler import Handler  # noqa: E402 (views import models)

# gunicorn set up its own before us.
logs.guard("gunicorn.error", "gunicorn.access")

application = Handler()
