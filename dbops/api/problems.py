"""What went wrong, as RFC 9457 has it: every answer of the API that is none of what was asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse

MEDIA_TYPE = "application/problem+json"
NOTHING_HERE = "There is no such thing here, or this token does not see it. Nothing was done."


@dataclass(frozen=True)
class Kind:
    """`name` is the last part of its type and never changes."""

    name: str
    status: HTTPStatus
    title: str

    @property
    def type(self) -> str:
        return f"/api/problems/{self.name}"


BAD_REQUEST = Kind("bad-request", HTTPStatus.BAD_REQUEST, "The request cannot be read")
HTTPS_ONLY = Kind("https-only", HTTPStatus.FORBIDDEN, "The API answers by https only")
NO_TOKEN = Kind("no-token", HTTPStatus.UNAUTHORIZED, "The request brings no token")
REFUSED_TOKEN = Kind("refused-token", HTTPStatus.UNAUTHORIZED, "The token opens nothing")
OUT_OF_SCOPE = Kind("out-of-scope", HTTPStatus.FORBIDDEN, "The token does not have the scope")
NOT_ALLOWED = Kind("not-allowed", HTTPStatus.FORBIDDEN, "The owner of the token does not have the role")
NOT_FOUND = Kind("not-found", HTTPStatus.NOT_FOUND, "Nothing is here")
METHOD = Kind("method", HTTPStatus.METHOD_NOT_ALLOWED, "The method is not one of this address")
CONFLICT = Kind("conflict", HTTPStatus.CONFLICT, "The state of things refuses it")
UNKNOWN = Kind("unknown-migration", HTTPStatus.CONFLICT, "The latest inspection saw no such migration")
NO_LENGTH = Kind("no-length", HTTPStatus.LENGTH_REQUIRED, "The request does not say how long its body is")
TOO_LARGE = Kind("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large")
MEDIA = Kind("media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is not said to be JSON")
INVALID = Kind("invalid", HTTPStatus.UNPROCESSABLE_ENTITY, "A part of the request is not as it has to be")
KEY_REUSED = Kind("key-reused", HTTPStatus.UNPROCESSABLE_ENTITY, "The key was sent with something else")
TOO_MANY = Kind("too-many", HTTPStatus.TOO_MANY_REQUESTS, "The token asks too often")
FAILED = Kind("failed", HTTPStatus.INTERNAL_SERVER_ERROR, "opsdash made a mistake")
AWAY = Kind("away", HTTPStatus.SERVICE_UNAVAILABLE, "opsdash's own database does not answer")
TOO_LONG = Kind("too-long", HTTPStatus.SERVICE_UNAVAILABLE, "It asks too much of opsdash's own database")

KINDS = (
    BAD_REQUEST, HTTPS_ONLY, NO_TOKEN, REFUSED_TOKEN, OUT_OF_SCOPE, NOT_ALLOWED, NOT_FOUND, METHOD, CONFLICT,
    UNKNOWN, NO_LENGTH, TOO_LARGE, MEDIA, INVALID, KEY_REUSED, TOO_MANY, FAILED, AWAY,
    TOO_LONG,
)  # fmt: skip


@dataclass(eq=False)
class Problem(Exception):
    """Answered as `kind`. `detail`: sentences; `more`: further members of the document."""

    kind: Kind
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def answer(problem: Problem) -> HttpResponse:
    document = {
        "type": problem.kind.type,
        "title": problem.kind.title,
        "status": int(problem.kind.status),
        "detail": problem.detail,
        **problem.more,
    }
    return HttpResponse(
        json.dumps(document),
        status=problem.kind.status,
        content_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )


def key_reused() -> Problem:
    return Problem(
        KEY_REUSED,
        "This Idempotency-Key was sent with another request before. Nothing was started. Send a new key with "
        "what is another request.",
    )
