"""Words pass a shell as they are; logs and terminals hold what was said, and nothing of it does anything."""

import io
import json
import logging
import re
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbops.plain import plain, plain_page
from dbops.redaction import MASK, logs
from dbops.reporter import ReporterFilter
from dbops.target import frames
from dbops.target.address import Address
from dbops.transcript.events import event
from tests.hostile import PAYLOADS
from tests.strange import texts

STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PRINTS_WORDS = "import json,sys;sys.stdout.write(json.dumps(sys.argv[1:]))"

# No argv and no file name holds a NUL, and a locale's encoding no surrogate.
words = texts.map(lambda text: text.replace("\0", "").encode("utf-8", "replace").decode()[:2000])


@settings(max_examples=40, deadline=None)
@given(st.lists(words, min_size=1, max_size=5))
def test_a_remote_shell_hands_on_each_word_as_it_is(remote: list[str]) -> None:
    """As sshd does it: the words it was given are joined by blanks and parsed by a shell."""
    argv = Address("shop", ("ssh", "host", sys.executable, *remote), through_shell=True).command("x")
    assert argv[:2] == ["ssh", "host"]
    line = " ".join(argv[2:])
    printing = line.replace(sys.executable, f"{sys.executable} -c '{PRINTS_WORDS}'", 1)
    told = subprocess.run(["/bin/sh", "-c", printing], capture_output=True, check=True).stdout
    assert told.decode() == json.dumps([*remote, "-c", "x"])


@given(st.lists(words, min_size=1, max_size=5))
def test_without_a_shell_nothing_is_quoted_or_split(argv: list[str]) -> None:
    assert Address("shop", tuple(argv)).command("x") == [*argv, "-c", "x"]


# What is shown


@given(texts)
def test_a_plain_text_steers_no_terminal(text: str) -> None:
    assert not STEERS.search(plain(text))
    assert plain(text).count("\n") <= text.count("\n")


@given(texts)
def test_a_page_reads_as_it_is(text: str) -> None:
    page = plain_page(text.encode("utf-8", "replace")).decode()
    assert not STEERS.search(page.replace("\r", ""))


@given(texts)
def test_an_event_is_one_event(text: str) -> None:
    told = event("lines", {"lines": [text], text: text}, number=7)
    assert re.fullmatch(rb"event: lines\nid: 7\ndata: [ -~]*\n\n", told)


# What is logged


@pytest.fixture
def log() -> io.StringIO:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.Formatter("{levelname} {name}: {message}", style="{"))
    logger = logging.getLogger("hostile")
    logger.handlers, logger.propagate = [handler], False
    return written


@pytest.mark.parametrize("payload", [*PAYLOADS, "x\n2026-01-01 00:00:00,000 CRITICAL dbops: forged"])
def test_no_text_begins_a_record_of_its_own(log: io.StringIO, payload: str) -> None:
    try:
        raise ValueError(payload)
    except ValueError:
        logging.getLogger("hostile").exception("said %s", payload)
    lines = log.getvalue().split("\n")
    assert [
        line for line in lines if line and not line.startswith((" ", "Traceback", "ERROR hostile: "))
    ] == []
    assert not STEERS.search(log.getvalue())


def test_a_secret_that_the_process_has_learned_is_not_logged(log: io.StringIO) -> None:
    logs.learned.learn("a test", ["canary-of-the-log", "with'quote-canary"])
    try:
        raise ValueError({"key": "with'quote-canary"})
    except ValueError:
        logging.getLogger("hostile").exception("said %s and %r", "canary-of-the-log", ["with'quote-canary"])
    finally:
        logs.learned.learn("a test", [])
    assert "canary" not in log.getvalue() and log.getvalue().count(MASK) >= 3
    assert "canary" not in repr(logs.learned)


def test_the_handlers_of_a_library_are_guarded_once() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("gunicorn.of.a.test")
    logger.handlers, logger.propagate = [handler], False
    logs.guard("gunicorn.of.a.test")
    guarded = handler.formatter
    logs.guard("gunicorn.of.a.test")
    assert handler.formatter is guarded
    logger.error("token ghp_%s\nforged", "a" * 36)
    assert written.getvalue() == f"token {MASK}\n    forged\n"


def test_the_page_of_a_mistake_shows_no_variable_and_no_address_of_a_server() -> None:
    settings_shown = ReporterFilter().get_safe_settings()
    shown = repr({name: settings_shown[name] for name in ("DATABASES", "REDIS_URL", "CELERY", "SECRET_KEY")})
    assert "://" not in shown and "PASSWORD" not in shown
    frame = sys._getframe()
    assert {value for _, value in ReporterFilter().get_traceback_frame_variables(None, frame)} == {
        "(not shown)"
    }


# Frames


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(documents, st.sampled_from(["hello", "output", "event", "answer", "error", "end", "request", "", "x"]))
def test_a_frame_is_one_of_the_protocol_or_garbage(document: object, kind: str) -> None:
    header = {**document, "type": kind} if isinstance(document, dict) else document
    try:
        found = frames.typed(json.dumps(header).encode(), b"")
    except frames.Garbage:
        return
    assert type(found).__name__ in ("Hello", "Output", "Event", "Answer", "Failure", "End")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_frames_are_garbage_or_wait_for_more(data: bytes) -> None:
    with suppress(frames.Garbage):
        frames.Decoder().feed(data)


def test_a_document_without_an_end_of_its_depth_is_garbage() -> None:
    with pytest.raises(frames.Garbage):
        frames.typed(b"[" * 200_000, b"")
