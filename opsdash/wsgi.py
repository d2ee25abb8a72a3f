"""For servers that speak only WSGI: every page works, but live streams need opsdash.asgi."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsdash.settings")

application = get_wsgi_application()
