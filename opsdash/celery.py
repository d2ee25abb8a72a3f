"""The Celery application. Settings come from Django; `dbops.tasks` holds the tasks."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsdash.settings")

app = Celery("opsdash")
app.config_from_object("opsdash.settings:CELERY")
app.autodiscover_tasks(["dbops"])
app.autodiscover_tasks(["opsdash"], related_name="presence")
