"""The Celery application. Settings come from Django; `dbops.tasks` holds the tasks."""

import os
from typing import Any

from celery import Celery
from celery.signals import after_setup_logger, after_setup_task_logger

from dbops.redaction import logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsdash.settings")

app = Celery("opsdash")
app.config_from_object("opsdash.settings:CELERY")
app.autodiscover_tasks(["dbops"])
app.autodiscover_tasks(["opsdash"], related_name="presence")


@after_setup_logger.connect
@after_setup_task_logger.connect
def _guard(**_: Any) -> None:
    """Celery's own handlers."""
    logs.guard("", "celery", "celery.task", "celery.redirected", "multiprocessing")
