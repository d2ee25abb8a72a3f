"""A body is JSON, and says so."""

import json
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

from dbops.api.problems import BAD_REQUEST, MEDIA, Problem


class JsonParser(Parser):
    def parse_body(self, request: HttpRequest) -> Any:
        """A form of another site cannot say that it sends JSON."""
        if request.content_type != "application/json":
            raise Problem(MEDIA, "Send JSON, with `Content-Type: application/json`. Nothing was done.")
        try:
            return json.loads(request.body)
        except (ValueError, RecursionError):
            raise Problem(BAD_REQUEST, "The body is no JSON that can be read. Nothing was done.") from None
