"""What is raised in an operation -> a problem document. An error of ours is raised on: Django logs it. What
is not found is answered by the gate, with one sentence for what is not there and what is not seen."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import Error
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from dbops import launch
from dbops.api import problems
from dbops.api.problems import Problem, answer
from dbops.models.away import is_away, took_too_long, words, words_too_long

RETRY_AFTER_S = 5


def handle(api: NinjaAPI) -> None:
    handlers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        Problem: _problem,
        PermissionDenied: _not_allowed,
        launch.NotAllowedError: _not_allowed,
        launch.SentAlreadyError: _sent_already,
        launch.RefusedError: _conflict,
        ValidationError: _invalid,
        HttpError: _unreadable,
        AuthenticationError: _raise,
        Error: _database,
        Exception: _raise,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    return answer(problem)


def _not_allowed(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return answer(Problem(problems.NOT_ALLOWED, str(error)))


def _conflict(request: HttpRequest, refused: launch.RefusedError) -> HttpResponse:
    more = {"job": refused.job.pk} if refused.job else {}
    return answer(Problem(problems.CONFLICT, str(refused), more=more))


def _sent_already(request: HttpRequest, refused: launch.SentAlreadyError) -> HttpResponse:
    return answer(problems.key_reused())


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Which part, and why; never what was sent, which may be a secret in the wrong place."""
    errors = [{"where": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors]
    said = "; ".join(f"{one['where']}: {one['message']}" for one in errors[:3])
    return answer(Problem(problems.INVALID, f"{said}. Nothing was done.", more={"errors": errors}))


def _unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    """What the parser raised is behind it."""
    if isinstance(error.__cause__, Problem):
        return answer(error.__cause__)
    return answer(Problem(problems.BAD_REQUEST, "The body is no JSON that can be read. Nothing was done."))


def _database(request: HttpRequest, error: Error) -> HttpResponse:
    if took_too_long(error):
        return answer(Problem(problems.TOO_LONG, words_too_long()))
    if not is_away(error):
        raise error
    unknown = "Whether anything was done is not known: look before you ask again."
    detail = f"{words(error)}. Jobs that run go on. {unknown}"
    return answer(Problem(problems.AWAY, detail, {"Retry-After": str(RETRY_AFTER_S)}))


def _raise(request: HttpRequest, error: Exception) -> HttpResponse:
    raise error
