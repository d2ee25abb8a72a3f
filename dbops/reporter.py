"""Django's page for a mistake of ours, which only OPSDASH_DEBUG shows: what of the process stands on it."""

import re
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from dbops.redaction.logs import learned


class ReporterFilter(SafeExceptionReporterFilter):
    """No value of a variable: a frame of ours may hold a target's environment. Settings also without what
    leads to a server, whose address holds a password."""

    hidden_settings = re.compile(
        SafeExceptionReporterFilter.hidden_settings.pattern + "|URL|DSN|DATABASE|CELERY|LOGGING|SEALING",
        re.IGNORECASE,
    )

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        return learned.redactor.clean(cleansed) if isinstance(cleansed, str) else cleansed

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        return [(name, "(not shown)") for name in tb_frame.f_locals]
