"""Secrets that must not leave in a message or a traceback."""

import os
import re
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|URL|URI|DSN", re.IGNORECASE)
SHORTEST = 4
_secrets = set()


def learn(value):
    """From now on `value` is masked."""
    if isinstance(value, str) and len(value) >= SHORTEST:
        _secrets.update((value, quote(value, safe="")))


def learn_environment():
    for name, value in os.environ.items():
        if SECRET_NAME.search(name):
            learn_declared(value)


def learn_declared(value):
    """Of a URL only the password is a secret."""
    try:
        password = urlsplit(value).password
    except ValueError:
        password = None
    if password:
        learn(password)
        learn(unquote(password))
    elif "://" not in value:
        learn(value)


def redact(text):
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
