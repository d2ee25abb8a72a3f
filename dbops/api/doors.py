"""The door of every operation: a token in the Authorization header, its scope, and the role of its owner."""

from typing import Any

from django.http import HttpRequest
from ninja.security.base import AuthBase

from dbops.access import OpsRequest, audit_refusal, client_address, enter
from dbops.api.limits import allowance
from dbops.api.problems import NO_TOKEN, OUT_OF_SCOPE, REFUSED_TOKEN, Problem
from dbops.models import ApiToken
from dbops.rights import Role
from dbops.tokens import Holder, RefusedTokenError, holder_of

Scope = ApiToken.Scope


class ApiRequest(OpsRequest):
    """What an operation behind a door gets."""

    token: ApiToken


class Needs(AuthBase):
    """A door. `scope`: what the token must have. `role`: its owner's, on what the operation is about; what
    loads that looks."""

    openapi_type: str = "http"
    openapi_scheme: str = "bearer"
    scope: Scope
    role: Role

    def __call__(self, request: HttpRequest) -> ApiToken:
        return self.let_in(request)  # type: ignore[arg-type]

    def let_in(self, request: ApiRequest) -> ApiToken:
        holder = _holder(request)
        allowance.take(holder.token.owner_id)
        self._enter(request, holder)
        return holder.token

    def look_again(self, request: ApiRequest) -> None:
        """Of a request that has lasted: whether it still may have its answer."""
        self._enter(request, _holder(request))

    def _enter(self, request: ApiRequest, holder: Holder) -> None:
        request.token, request.user, request.rights = holder.token, holder.user, holder.rights
        if not holder.token.has(self.scope):
            raise self._out_of_scope(request)
        enter(request, holder.rights, self.role)

    def _out_of_scope(self, request: ApiRequest) -> Problem:
        if request.method != "GET":
            audit_refusal(request, needs=self.scope, has=request.token.scopes)
        return Problem(
            OUT_OF_SCOPE,
            f"This needs the scope {self.scope}; the token has {', '.join(request.token.scopes)}. "
            "Nothing was done. Make another token if you need it.",
            _challenge("insufficient_scope", scope=self.scope),
        )


class Reads(Needs):
    scope, role = Scope.READ, Role.VIEWER


class Starts(Needs):
    scope, role = Scope.START, Role.OPERATOR


class Cancels(Needs):
    scope, role = Scope.CANCEL, Role.OPERATOR


DOORS: dict[str, type[Needs]] = {door.__name__: door for door in (Reads, Starts, Cancels)}


def _holder(request: HttpRequest) -> Holder:
    try:
        return holder_of(token_of(request), client_address(request))
    except RefusedTokenError as refused:
        raise Problem(REFUSED_TOKEN, f"{refused} Nothing was done.", _challenge("invalid_token")) from None


def token_of(request: HttpRequest) -> str:
    """As the one Authorization header says it; no address and no form may."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        raise Problem(
            NO_TOKEN,
            "Send a token of opsdash: `Authorization: Bearer opsdash_...`. Nothing was done.",
            _challenge(),
        )
    if scheme.lower() != "bearer":
        raise Problem(NO_TOKEN, "The scheme is not Bearer. Nothing was done.", _challenge())
    return text.strip()


def _challenge(error: str = "", **more: Any) -> dict[str, str]:
    said = {"realm": "opsdash", **({"error": error} if error else {}), **more}
    return {"WWW-Authenticate": "Bearer " + ", ".join(f'{name}="{value}"' for name, value in said.items())}
