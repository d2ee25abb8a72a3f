"""What the provider says about people, and what it gets wrong on purpose."""

from typing import Any

from oauth2_provider.oauth2_validators import OAuth2Validator

import __main__


class Claims(OAuth2Validator):  # type: ignore[misc]
    oidc_claim_scope = None

    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        told = __main__.read("people").get(request.user.username, {})
        return {
            "preferred_username": request.user.username,
            "email": told.get("email", ""),
            "groups": told.get("groups", []),
        }

    def get_id_token_dictionary(self, token: Any, token_handler: Any, request: Any) -> Any:
        claims, expires = super().get_id_token_dictionary(token, token_handler, request)
        claims.update(__main__.read("faults"))
        return {name: value for name, value in claims.items() if value is not None}, expires

    def finalize_id_token(self, id_token: Any, token: Any, token_handler: Any, request: Any) -> str:
        signed = str(super().finalize_id_token(id_token, token, token_handler, request))
        head, _, signature = signed.rpartition(".")
        return f"{head}.{signature[::-1]}" if __main__.read("faults").get("forged") else signed
