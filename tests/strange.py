"""Strategies for what a person or a target may send: texts that other programs take for theirs, and documents
that are not as they should be."""

from typing import Any

from hypothesis import strategies as st

from tests.hostile import PAYLOADS

WORDS = [
    "--settings=x",
    "--pythonpath=/tmp",
    "-c",
    "--",
    "-",
    "-oProxyCommand=touch /tmp/x",
    "--upload-pack=x",
    "\0",
    "\n",
    "\r",
    "\r\nSet-Cookie: a=b",
    ";",
    "&&",
    "|",
    "$(id)",
    "`id`",
    "'",
    '"',
    "\\",
    "*",
    "?",
    "~",
    "%",
    "%s",
    "%(x)s",
    "{x}",
    "{{x}}",
    "{% x %}",
    "..",
    "/",
    "../../etc/passwd",
    "%2e%2e%2f",
    "%00",
    "\u202e",
    "\u200b",
    "\ufeff",
    "\ud800",
    "\udfff",
    "\U0001f4a3",
    "\u2028",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "nan",
    "inf",
    "-1",
    "0",
    "1e309",
    "9" * 400,
    "٣",
    "²",
    "NULL",
    "None",
    "true",
    "[]",
    "default",
    "shop",
    "0001_initial",
    "zero",
    "__first__",
    "__latest__",
    "//evil.example/",
    "https://evil.example/",
    "javascript:x",
]
texts = st.one_of(
    st.lists(st.sampled_from([*WORDS, *PAYLOADS]), min_size=1, max_size=4).map("".join),
    st.text(max_size=40),
    st.sampled_from(WORDS),
    st.sampled_from(WORDS).map(lambda word: (word * 20_000)[:20_000]),
)


def without_surrogates(text: str) -> str:
    """As it comes out of a request."""
    return text.encode("utf-8", "replace").decode()


sent = texts.map(without_surrogates)
# As it may stand in a frame: JSON of anything, without what no frame holds.
values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 2**31, 2**63, -(2**63) - 1, 10**400, 1.5, float("inf"), float("nan")]),
    sent.map(lambda text: text.replace("\0", "\ufffd")),
    st.sampled_from(
        [[], {}, [[]], [None], {"x": None}, [["shop"]], [["shop", 1]], [[None, None]], ["x"], [{}]]
    ),
)


def paths_of(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of every value in a JSON document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        inner = list(document.items())
    elif isinstance(document, list):
        inner = list(enumerate(document[:3]))
    found = [path] if path else []
    return found + [each for name, value in inner for each in paths_of(value, (*path, name))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The same with another value there; `...` takes it away."""
    name, *rest = path
    if rest:
        value = replaced(document[name], tuple(rest), value)
    if isinstance(document, dict):
        kept = {key: item for key, item in document.items() if key != name or value is not ...}
        return kept if value is ... else {**kept, name: value}
    copy = list(document)
    copy[name : name + 1] = [] if value is ... else [value]
    return copy
