"""A program with a token."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from dbops.access import Actor
from dbops.models import ApiToken, Target
from dbops.rights import ALL
from dbops.tokens import make

SCOPES = tuple(ApiToken.Scope.values)
SHELL = Actor(None, "shell:test", "shell", ALL)


@dataclass
class Caller:
    text: str
    token: ApiToken
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.text}"}

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/api/v1/{path}", headers={**self.headers, **headers})

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(
            f"/api/v1/{path}",
            json.dumps(body if body is not None else {}),
            content_type="application/json",
            headers={**self.headers, **headers},
        )

    def start(self, key: str, database: str = "shop/databases/default", **body: Any) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self.post(f"targets/{database}/jobs", {"operation": "migrate", **body}, **headers)


def caller(
    owner: User,
    scopes: Collection[str] = SCOPES,
    *,
    name: str = "ci",
    days: int = 30,
    targets: Collection[Target] | None = None,
) -> Caller:
    made = make(owner, name, scopes, days, SHELL, targets=targets)
    return Caller(made.text, made.token)
