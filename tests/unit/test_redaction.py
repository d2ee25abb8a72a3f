"""Secrets in a text are masked in whatever form they are written; what is none stays readable."""

import ast
import base64
import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from dbops.redaction import MASK, Redactor, without_tokens

SECRET = 's3cr3t/pa\'ss "w€rd" <&>\\%'
PLAIN = "s3cr3t-passw0rd"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq83vEjRW=\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        repr(SECRET),
        repr({"password": SECRET, "it's": 1}),
        ascii(SECRET),
        json.dumps(SECRET),
        json.dumps({"p": SECRET}, ensure_ascii=False),
        html.escape(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower(),
        SECRET.replace("'", "''"),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_masked_however_it_is_quoted_or_encoded(written: str) -> None:
    cleaned = Redactor([SECRET]).clean(f"a {written} b")
    assert MASK in cleaned
    for piece in ("s3cr3t", "w€rd", "733363", "czNjcjN0"):
        assert piece not in cleaned


@given(before=st.binary(max_size=7), after=st.binary(max_size=7), urlsafe=st.booleans())
def test_a_secret_is_masked_within_what_was_encoded_with_it(
    before: bytes, after: bytes, urlsafe: bool
) -> None:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    cleaned = Redactor([PLAIN]).clean(encode(before + PLAIN.encode() + after).decode())
    left = cleaned.partition(MASK)
    assert left[1]
    assert len(left[0]) <= (len(before) * 8 + 5) // 6 + 1


BETWEEN = [
    "\x1b[31m",
    "\x1b[0m",
    "\x1b]8;;http://x/\x07",
    "\0",
    "\u200b",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\xad",
]


@given(st.lists(st.sampled_from(BETWEEN), min_size=1, max_size=len(PLAIN)), st.data())
def test_what_is_not_seen_between_its_letters_hides_no_secret(
    between: list[str], data: st.DataObject
) -> None:
    text = PLAIN
    for unseen in between:
        at = data.draw(st.integers(0, len(text)))
        # Not into the middle of another one.
        if at == len(text) or text[at] in PLAIN:
            text = text[:at] + unseen + text[at:]
    cleaned = Redactor([PLAIN]).clean(f"is {text} here")
    letters = re.sub(r"\x1b\[\d*m|\x1b\]8;;http://x/\x07|[\0\u200b\u202e\u2066\ufeff\xad]", "", cleaned)
    assert PLAIN not in letters


def test_letters_that_are_struck_over_hide_no_secret() -> None:
    assert MASK in Redactor([PLAIN]).clean("".join(f"{letter}\b{letter}" for letter in PLAIN))


@pytest.mark.parametrize(
    "spelled",
    [" ".join(PLAIN), repr(list(PLAIN)), json.dumps(list(PLAIN)), "-".join(PLAIN), ", ".join(PLAIN)],
)
def test_a_secret_is_masked_where_something_stands_between_its_letters(spelled: str) -> None:
    assert re.search(r"s\W+3\W+c", Redactor([PLAIN]).clean(f"> {spelled}")) is None


def test_a_key_of_many_lines_is_masked_in_the_document_that_holds_it_and_as_it_is_meant() -> None:
    account = json.dumps({"type": "service_account", "private_key": KEY, "client_email": "ops@example.org"})
    redactor = Redactor([account])
    assert "MIIE" not in redactor.clean(account)
    assert redactor.clean("has q83vEjRW= in it") == f"has {MASK} in it"
    assert redactor.clean("mail to ops@example.org") == "mail to ops@example.org"


TOKENS = [
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "ghp_" + "aB3" * 12,
    "github_pat_" + "aB3_" * 20,
    "glpat-" + "aB3-_" * 4,
    "xoxb-123456789012-abcdefABCDEF",
    "sk_live_" + "aB3" * 8,
    "rk_test_" + "aB3" * 8,
    "whsec_" + "aB3" * 8,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "AIza" + "aB3-_" * 7,
    "npm_" + "aB3" * 12,
    "SG." + "a" * 22 + "." + "b" * 43,
    "django-insecure-$)k2(xx=!w8&v0+k9z@1q^r5",
    "opsdash_" + "aB3-_zZ" * 6 + "x",
    "pbkdf2_sha256$870000$abcdefghijkl$q83vEjRWq83vEjRWq83vEjRWq83v=",
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    "around", ["{}", "it is {}.", "x='{}'", "({})", '{{"a": "{}"}}', "https://a.example/?k={}&b=1"]
)
def test_the_tokens_of_well_known_services_are_masked(token: str, around: str) -> None:
    cleaned = without_tokens(around.format(token))
    assert MASK in cleaned
    assert token[10:] not in cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {MASK}"),
        ("{'HTTP_AUTHORIZATION': 'Basic dXNlcjpwYXNz'}", f"{{'HTTP_AUTHORIZATION': 'Basic {MASK}'}}"),
        ("curl -H 'authorization: token 1234abcd' x", f"curl -H 'authorization: token {MASK}' x"),
        ("sends Bearer abcdefghijklmnopqrst", f"sends Bearer {MASK}"),
        ("sends Basic dXNlcjpwYXNz", f"sends Basic {MASK}"),
        ("SECRET_KEY = 'abc$%^defghijk'", f"SECRET_KEY = '{MASK}'"),
        ("'PASSWORD': 'pw with blanks',", f"'PASSWORD': '{MASK}',"),
        ('{"password": "correct horse battery"}', f'{{"password": "{MASK}"}}'),
        ("'PASSWORD': 'hunter2',", f"'PASSWORD': '{MASK}',"),
        ('{"api_key": "abcd1234"}', f'{{"api_key": "{MASK}"}}'),
        ("host=db password=hunter2 user=x", f"host=db password={MASK} user=x"),
        ("PGPASSWORD=hunter2 psql", f"PGPASSWORD={MASK} psql"),
        ("password: hunter2-hunter2", f"password: {MASK}"),
        ("postgres://shop:hunter2@db/shop", f"postgres://shop:{MASK}@db/shop"),
        ("postgres://shop:hun@ter2@db/shop", f"postgres://shop:{MASK}@db/shop"),
        ("redis://:hunter2@cache/0", f"redis://:{MASK}@cache/0"),
        ("https://abcdefghijklmnopqrstuvwx@git.example/", f"https://{MASK}@git.example/"),
        ("Set-Cookie: sessionid=abcdefghijklmnopqrstuv; Path=/", f"Set-Cookie: sessionid={MASK}; Path=/"),
        ("SECRET_KEY_FALLBACKS = ['abc$%^defghijk']", f"SECRET_KEY_FALLBACKS = ['{MASK}']"),
    ],
)
def test_what_stands_where_a_secret_stands_is_masked(text: str, cleaned: str) -> None:
    assert without_tokens(text) == cleaned


READABLE = [
    "Operations to perform:",
    "  Apply all migrations: admin, auth, contenttypes, sessions, shop",
    "  Applying auth.0002_alter_permission_name_max_length... OK",
    "  Applying authtoken.0001_initial... OK (0.214s)",
    "    - Alter field password on user",
    "    - Create model APIKey",
    "Migrations for 'accounts':",
    "  accounts/migrations/0003_token_secret.py",
    'CREATE TABLE "auth_user" ("id" integer NOT NULL PRIMARY KEY, "password" varchar(128) NOT NULL);',
    'ALTER TABLE "accounts_token" ADD COLUMN "secret_key" varchar(64) DEFAULT \'\' NOT NULL;',
    'CREATE INDEX "accounts_token_key_like" ON "accounts_token" ("key" varchar_pattern_ops);',
    "('password', models.CharField(max_length=128, verbose_name='password')),",
    "password = models.CharField(max_length=128)",
    "token = models.ForeignKey(to='accounts.Token', on_delete=models.CASCADE)",
    "connect(password=password, token=self.token)",
    "self.api_key = get_api_key()",
    "AUTH_PASSWORD_VALIDATORS = [{'NAME': 'django.contrib.auth.password_validation.MinimumLengthValidator'}]",
    "PASSWORD_RESET_TIMEOUT = 259200",
    "primary_key=True, serialize=False",
    "commit 2e18efb7d5a9d7a1d1a2b3c4d5e6f708192a3b4c",
    "order 550e8400-e29b-41d4-a716-446655440000 has no customer",
    'django.db.utils.OperationalError: FATAL:  password authentication failed for user "shop"',
    "DETAIL:  Key (token)=(5) already exists.",
    "psycopg.errors.UndefinedColumn: column shop_item.secret does not exist",
    "password: This field is required.",
    "token: expected str, got None",
    "tokens=12345 used",
    "tests: pass=1200 fail=3",
    "max_token=4096",
    "done pass=100%",
    "api_key: None",
    "basic configuration loaded",
    "the bearer of this letter",
    "git@github.com:example/shop.git",
    "ssh://git@host/srv/shop.git",
    "see https://docs.djangoproject.com/en/5.2/topics/auth/passwords/#using-argon2",
    "  File \"/srv/.venv/lib/python3.12/site-packages/django/db/backends/utils.py\", line 105, in _execute",
    "totals: 12,000 of 480,000 orders (batch 13, 0.412 s)",
    "1 2 3 4 5 6 7 8 9 10",
    "a\nb\nc\nd",
]  # fmt: skip


@pytest.mark.parametrize("text", READABLE)
def test_ordinary_output_stays_readable(text: str) -> None:
    assert Redactor([PLAIN, "another-secret-value"]).clean(text) == text


def test_the_migrations_of_the_examples_and_of_django_stay_as_they_are() -> None:
    import django

    roots = [Path(settings.BASE_DIR) / "examples", Path(django.__file__).parent / "contrib"]
    files = [file for root in roots for file in root.rglob("migrations/*.py")]
    redactor = Redactor([PLAIN])
    assert len(files) > 40
    for file in files:
        text = file.read_text()
        assert redactor.clean(text) == text, file
        ast.parse(redactor.clean(text))


def test_a_repr_tells_nothing() -> None:
    assert PLAIN not in repr(Redactor([PLAIN]))


HOSTILE = [
    "secret", "token='", "token=", "a://", "x://u:p", "authorization:", "eyJaaaaaa.", "AKIA", "gh", "bearer ",
    "basic a", "a b ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "xoxb-", "\\", "'", "@",
    "pass: ", "://", "\x1b[", "\x1b]8;;", "a\b", "password = ", "s 3 ", "\u200b", "\ud800", "\n", "s\n",
]  # fmt: skip


@given(st.lists(st.sampled_from([*HOSTILE, PLAIN]), max_size=30))
def test_whatever_is_said_the_lines_stay_as_many_and_hold_no_secret(pieces: list[str]) -> None:
    text = "".join(pieces)
    cleaned = Redactor([PLAIN]).clean(text)
    assert cleaned.count("\n") == text.count("\n")
    assert PLAIN not in cleaned


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_of_what_might_begin_a_secret_is_looked_through(piece: str) -> None:
    """Without any bound, patterns that go back cost hours; the test's own limit ends them."""
    text = (piece * (1_000_000 // len(piece)))[:1_000_000]
    assert len(Redactor([PLAIN]).clean(text)) > 0


@given(st.one_of(st.text(), st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))))
def test_any_secret_can_be_known(secret: Any) -> None:
    cleaned = Redactor([secret]).clean(f"a {secret} b")
    assert (
        len(secret) < 4
        or "\n" in secret
        or not secret.isprintable()
        or secret not in cleaned
        or secret in MASK
    )
