"""The web process: `gunicorn -k asgi opsdash.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsdash.settings")
# Concurrent views share a bounded pool of connections; workers and commands need none.
os.environ.setdefault("OPSDASH_DB_POOL_MAX", "8")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
