"""What is a secret by its shape: tokens of well-known services, headers, passwords in URLs and settings.

Every part of a pattern is bounded and begins where a word does: a megabyte of letters must not cost a minute.
Each pattern is tried only on lines that hold one of its signs.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass

MASK = "••••••"

# The password of any URL with user and password: a DSN that the target built by itself. One with an @ in it
# that was not encoded goes on to the last @.
DSN_PASSWORD = re.compile(
    r"(?P<head>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^\s:/@]{0,100}:)"
    r"[^\s@/]{1,200}(?:@[^\s@/'\"<>,;]{1,100}){0,3}(?=@)",
    re.IGNORECASE,
)
# A token in the place of the user: https://TOKEN@git.example/.
DSN_TOKEN = re.compile(r"(?P<head>(?<![a-z0-9+.-])https?://)[a-z0-9_-]{20,200}(?=@)", re.IGNORECASE)

# Also behind a line feed or a tab that is written as \\n or \\t.
START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
NO_LETTER = r"(?![A-Za-z0-9_-])"
TOKENS: dict[tuple[str, ...], str] = {
    ("AKIA", "ASIA"): START + r"A(?:KIA|SIA)[A-Z0-9]{16}\b",
    ("gh",): START + r"gh[pousr]_[A-Za-z0-9]{30,255}",
    ("github_pat_",): START + r"github_pat_[A-Za-z0-9_]{20,255}",
    ("gl",): START + r"gl(?:pat|dt|rt|cbt|ptt|soat|agent|oas|ft|imt)-[A-Za-z0-9_.-]{16,300}",
    ("xox", "xapp-"): START + r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,250}",
    ("hooks.slack.com",): r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/_-]{10,200}",
    ("_live_", "_test_"): START + r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,250}",
    ("whsec_",): START + r"whsec_[A-Za-z0-9+/=]{16,250}",
    ("eyJ",): START + r"eyJ[A-Za-z0-9_-]{6,4000}\.[A-Za-z0-9_-]{6,8000}(?:\.[A-Za-z0-9_-]{0,2000}){0,3}",
    ("AIza",): START + r"AIza[A-Za-z0-9_-]{35}" + NO_LETTER,
    ("npm_",): START + r"npm_[A-Za-z0-9]{36}\b",
    ("pypi-",): START + r"pypi-[A-Za-z0-9_-]{50,500}",
    ("SG.",): START + r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}",
    ("sk-",): START + r"sk-(?:[a-z]{2,8}-)?[A-Za-z0-9_-]{20,250}",
    ("django-insecure-",): r"django-insecure-[^\s'\"<>]{20,200}",
    # Of our own JSON API (dbops.tokens): a target may print the one that it was given.
    ("opsdash_",): START + r"opsdash_[A-Za-z0-9_-]{43}" + NO_LETTER,
    ("pbkdf2_", "argon2", "bcrypt", "scrypt"): START
    + r"(?:pbkdf2_sha\d{1,3}|argon2\w{0,2}|bcrypt\w{0,7}|scrypt)"
    r"\$[^\s'\"]{20,500}",
}

# "Authorization: Bearer ...", {'HTTP_AUTHORIZATION': 'Basic ...'}
AUTHORIZATION = re.compile(
    r"(?P<head>authorization['\"]{0,2}[ \t]{0,4}[:=,][ \t]{0,4}b?['\"]?"
    r"(?:bearer|basic|token|apikey|negotiate|digest(?P<is_digest>))[ \t]{1,4})"
    r"(?P<value>(?(is_digest)[^\r\n]{1,4000}|[^\s'\"]{4,4000}))",
    re.IGNORECASE,
)
BEARER = re.compile(r"(?P<head>\bbearer[ \t]{1,4})(?P<value>[a-z0-9._~+/-]{16,4000}={0,2})", re.IGNORECASE)
BASIC = re.compile(
    r"(?P<head>\bbasic[ \t]{1,4})(?P<value>[a-z0-9+/]{8,400}={0,2})(?![a-z0-9+/=])", re.IGNORECASE
)
COOKIE = re.compile(
    r"(?P<head>\b(?:sessionid|csrftoken|csrfmiddlewaretoken|opsdash_(?:session|csrf)_[0-9a-f]{8})"
    r"['\"]{0,2}[ \t]{0,2}[:=][ \t]{0,2}['\"]?)(?P<value>[A-Za-z0-9_-]{16,128})"
)

# A value behind a name that says what it is. `SIGNS` in small letters, as a text is looked through.
NAME = (
    r"(?:secret(?:[_-]?(?:access)?[_-]?key)?|passw(?:or)?d|passphrase|token|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|credentials?|(?<![a-z])pwd|(?<![a-z])pass|sealing[_-]?keys?|signing[_-]?key|encryption[_-]?key)"
    r"(?:[_-]?(?:\d{1,2}|base|fallbacks|old|new))?"
)
SIGN = re.compile(rf"{NAME}['\"]{{0,2}}\s{{0,3}}(?:=>|[:=])")
SIGNS = ("secret", "pass", "token", "key", "credential", "pwd")
QUOTED_VALUE = re.compile(
    rf"(?P<head>(?:{NAME})(?P<mark>['\"]{{0,2}})\s{{0,3}}(?:=>|[:=])\s{{0,3}}[\[(]?[rbf]?(?P<quote>['\"]))"
    rf"(?P<value>(?:\\.|(?!(?P=quote))[^\r\n\\]){{4,500}})(?P<end>(?P=quote))",
    re.IGNORECASE,
)
BARE_VALUE = re.compile(
    rf"(?P<head>(?:{NAME})(?P<equals>=|: |:|\s=\s))(?P<value>[^\s'\"&,;<>\[\](){{}}|]{{4,300}})"
    r"(?P<behind>[,()\[.]|)",
    re.IGNORECASE,
)
# What stands behind such a name in programs and sentences, and is no secret.
PATH = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
DOTTED = re.compile(r"[a-z_]\w*(?:\.\w+)+")
# `pass=1200 fail=3`, `max_token=4096`: what tests and programs count.
COUNTER = re.compile(r"\d{1,9}%?")
COUNTED = re.compile(r"(?:pass|token)\b", re.IGNORECASE)
HARMLESS = frozenset(
    {"none", "true", "false", "null", "undefined", "required", "optional", "password", "token"}
)


@dataclass(frozen=True)
class Rule:
    """`signs`: a line without any of them is not looked at; in small letters where `folded`."""

    signs: tuple[str, ...]
    mask: Callable[[str], str]
    folded: bool = False
    also: str = ""


def without_tokens(text: str) -> str:
    """Each line by itself."""
    rules = _wanted(text)
    if not rules:
        return text
    lines = text.split("\n")
    for rule in rules:
        lines = [rule.mask(line) if _has(line, rule) else line for line in lines]
    return "\n".join(lines)


def _wanted(text: str) -> list[Rule]:
    lowered = text.lower()
    return [rule for rule in RULES if _has_either(lowered if rule.folded else text, rule)]


def _has(line: str, rule: Rule) -> bool:
    return _has_either(line.lower() if rule.folded else line, rule)


def _has_either(text: str, rule: Rule) -> bool:
    return rule.also in text and any(sign in text for sign in rule.signs)


def without_password(line: str) -> str:
    """Every URL's."""
    line = DSN_PASSWORD.sub(rf"\g<head>{MASK}", line)
    return DSN_TOKEN.sub(rf"\g<head>{MASK}", line)


def _without_authorization(line: str) -> str:
    return AUTHORIZATION.sub(_headed, line)


def _headed(found: re.Match[str]) -> str:
    return f"{found['head']}{MASK}"


def _without_basic(line: str) -> str:
    return BASIC.sub(_basic, line)


def _basic(found: re.Match[str]) -> str:
    return _headed(found) if _is_user_and_password(found["value"]) else found[0]


def _is_user_and_password(text: str) -> bool:
    try:
        return b":" in b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _without_values(line: str) -> str:
    if not SIGN.search(line.lower()):
        return line
    return BARE_VALUE.sub(_bare, QUOTED_VALUE.sub(_quoted, line))


def _quoted(found: re.Match[str]) -> str:
    value = found["value"]
    if value.lower() in HARMLESS or DOTTED.fullmatch(value):
        return found[0]
    # A sentence behind a name; a pass phrase is written as a value, in quotes on both sides of the sign.
    if " " in value and not _is_of_a_password(found["head"]):
        return found[0]
    return f"{found['head']}{MASK}{found['end']}"


def _bare(found: re.Match[str]) -> str:
    value, equals = found["value"], found["equals"]
    if value.lower() in HARMLESS or value.startswith((MASK, "***", "$", "{{", "%(", "%s", "<", "/", "…")):
        return found[0]
    if COUNTER.fullmatch(value) and COUNTED.match(found["head"]):
        return found[0]
    # A keyword argument; an assignment, or a sentence.
    if found["behind"] in tuple(",()[.") and PATH.fullmatch(value) and found["behind"]:
        return found[0]
    if equals != "=" and not _is_no_word(value):
        return found[0]
    return f"{found['head']}{MASK}{found['behind']}"


def _is_of_a_password(head: str) -> bool:
    """`'PASSWORD': '` and `password = "`, unlike `token: '`: words that a person chose have blanks."""
    return "pass" in head.lower()


def _is_no_word(value: str) -> bool:
    """Long, with digits and letters: hunter2-hunter2."""
    has_both = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return len(value) >= 8 and has_both and "." not in value.strip(".")


def _token_rule(signs: tuple[str, ...], pattern: str) -> Rule:
    found = re.compile(pattern)
    return Rule(signs, lambda line: found.sub(MASK, line))


RULES = (
    *(_token_rule(signs, pattern) for signs, pattern in TOKENS.items()),
    Rule(("authorization",), _without_authorization, folded=True),
    Rule(("bearer",), lambda line: BEARER.sub(_headed, line), folded=True),
    Rule(("basic",), _without_basic, folded=True),
    Rule(
        ("sessionid", "csrftoken", "csrfmiddlewaretoken", "opsdash_session_", "opsdash_csrf_"),
        lambda line: COOKIE.sub(_headed, line),
    ),
    Rule(SIGNS, lambda line: _without_values(line), folded=True),
    Rule(("@",), without_password, also="://"),
)
