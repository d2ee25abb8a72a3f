"""The provider of single sign-on, by OpenID Connect: the way there and back is Authlib's, which proves state,
nonce, PKCE and the signature, issuer, audience and age of the token."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.django_client import OAuth
from django.http import HttpRequest, HttpResponse
from joserfc.errors import JoseError

from dbops import conf
from dbops.models import clock

logger = logging.getLogger(__name__)

PATIENCE_S = 5
# Of whatever a provider offers only these: with a shared secret, or none, anybody could sign.
SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# How far their clock may be ahead of or behind ours.
LEEWAY_S = 60
# OpenID Connect Core, 2: no longer than this.
SUBJECT_CHARACTERS = 255
UNDER_WAY = "single_sign_on"


class ProviderError(Exception):
    """Nobody was signed in, and nothing was changed."""


class NotFreshError(ProviderError):
    """The provider did not ask for a new sign-in."""


def leave(request: HttpRequest, back_to: str, *, anew: bool = False) -> HttpResponse:
    """To the provider; `anew`: it must ask who is there even if it knows."""
    more = {"prompt": "login", "max_age": "0"} if anew else {}
    with _as_ours():
        redirect: HttpResponse = _client().authorize_redirect(request, back_to, **more)
    return redirect


def come_back(request: HttpRequest) -> Mapping[str, Any]:
    """What the provider says about who came back, with the groups, wherever it tells those."""
    provider = _provider()
    with _as_ours():
        client = _client()
        token = client.authorize_access_token(
            request,
            claims_options={"iss": {"essential": True, "value": provider.issuer}, "sub": {"essential": True}},
            leeway=LEEWAY_S,
        )
        claims = dict(token["userinfo"])
        if provider.claim not in claims and "userinfo_endpoint" in client.server_metadata:
            told = dict(client.userinfo(token=token))
            if told.get("sub") == claims["sub"]:
                claims = {**told, **claims}
    if not 0 < len(str(claims["sub"])) <= SUBJECT_CHARACTERS:
        raise ProviderError(UNPROVEN)
    return claims


def require_fresh(claims: Mapping[str, Any]) -> None:
    if not is_fresh(claims):
        raise NotFreshError("It did not say that you have just signed in there.")


def is_fresh(claims: Mapping[str, Any]) -> bool:
    """They signed in there a moment ago; a provider that does not say when proves nothing."""
    at = claims.get("auth_time")
    return type(at) is int and clock.now().timestamp() - at <= conf.knob("REAUTH_S") + LEEWAY_S


def _provider() -> conf.Provider:
    provider = conf.provider()
    if provider is None:
        raise ProviderError("No provider is set.")
    return provider


def _client() -> Any:
    """A new one each time: what the provider says about itself, and its keys, are as they are now."""
    provider = _provider()
    client = OAuth().register(
        "opsdash",
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": provider.scopes,
            "code_challenge_method": "S256",
            "default_timeout": PATIENCE_S,
        },
    )
    told = client.load_server_metadata()
    if told.get("issuer") != provider.issuer:
        raise ProviderError("What answers there is another issuer than OPSDASH_OIDC_ISSUER names.")
    offered = told.get("id_token_signing_alg_values_supported", ["RS256"])
    told["id_token_signing_alg_values_supported"] = [each for each in offered if each in SIGNATURES]
    return client


@contextmanager
def _as_ours() -> Iterator[None]:
    """Whatever goes wrong there is told in a sentence. Neither a token nor a secret is in the log."""
    try:
        yield
    except ProviderError:
        raise
    except requests.RequestException as problem:
        logger.warning("the provider of single sign-on fails: %s", type(problem).__name__)
        raise ProviderError("It does not answer as it should.") from None
    except (AuthlibBaseError, JoseError) as problem:
        logger.warning("single sign-on was not completed: %s", type(problem).__name__)
        raise ProviderError(SENTENCES.get(str(getattr(problem, "error", "")), UNPROVEN)) from None
    except (LookupError, TypeError, ValueError, RuntimeError) as problem:
        logger.warning("single sign-on was not completed: %s", type(problem).__name__)
        raise ProviderError(UNPROVEN) from None


UNPROVEN = "What it said about you could not be proven."
SENTENCES = {
    "access_denied": "It, or you there, said no.",
    "mismatching_state": "This browser did not begin it here, or began it too long ago.",
    "invalid_client": "It does not accept the client id and secret of opsdash.",
    "login_required": "It wants you to sign in there first.",
}
