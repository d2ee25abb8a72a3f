"""Secrets that must not leave in a message or a traceback."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|KEY$|URL|URI|DSN", re.IGNORECASE)
SHORTEST = 6
_secrets: set[str] = set()


def learn(value: object) -> None:
    """From now on `value` is masked."""
    if isinstance(value, str) and len(value) >= SHORTEST:
        _secrets.update((value, quote(value, safe="")))


def learn_environment() -> None:
    for name, value in os.environ.items():
        if SECRET_NAME.search(name):
            learn_declared(value)


def learn_declared(value: str) -> None:
    """Of a URL only the password is a secret."""
    if "://" not in value:
        learn(value)
        return
    try:
        password = urlsplit(value).password or ""
    except ValueError:
        password = value
    learn(password)
    learn(unquote(password))


def redact(text: str) -> str:
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
