"""Bytes of a process become lines: nothing lost, nothing forged, secrets out."""

from hypothesis import given
from hypothesis import strategies as st

from dbops.redaction import MASK, Redactor
from dbops.transcript.lines import LineSplitter


def splitter(*secrets: str, limit: int = 1000) -> LineSplitter:
    return LineSplitter(Redactor(secrets), limit)


def feed_all(target: LineSplitter, *pieces: bytes) -> list[str]:
    return [line for piece in pieces for line in target.feed(piece)] + target.feed(b"", final=True)


def test_a_line_is_given_when_it_is_complete_and_shown_as_tail_before() -> None:
    lines = splitter()
    assert lines.feed(b"Applying b.0003...") == []
    assert lines.tail == "Applying b.0003..."
    assert lines.feed(b" OK\n") == ["Applying b.0003... OK"]
    assert lines.tail == ""


def test_a_character_cut_in_two_is_put_together() -> None:
    assert feed_all(splitter(), "é\n".encode()[:1], "é\n".encode()[1:]) == ["é"]


def test_invalid_utf8_and_nul_become_visible_and_harm_nothing() -> None:
    assert feed_all(splitter(), b"a\xff\xfeb\x00c\n") == ["a��b�c"]


def test_a_carriage_return_goes_back_to_the_beginning_of_the_line() -> None:
    lines = splitter()
    assert lines.feed(b"10 %\r20 %\r") == []
    assert lines.tail == "20 %"
    assert lines.feed(b"30 %\n") == ["30 %"]


def test_windows_line_ends_are_line_ends_also_when_cut_between() -> None:
    assert feed_all(splitter(), b"one\r", b"\ntwo\r\n") == ["one", "two"]


def test_a_long_progress_bar_takes_no_memory() -> None:
    lines = splitter()
    for percent in range(5000):
        lines.feed(b"\r" + b"#" * 50 + str(percent).encode())
    assert len(lines._rest) < 200
    assert feed_all(lines, b"\n") == ["#" * 50 + "4999"]


def test_a_line_without_an_end_is_broken_and_nothing_of_it_is_lost() -> None:
    lines = feed_all(splitter(limit=100), *[b"x" * 1000] * 20)
    assert "".join(lines) == "x" * 20_000
    assert max(map(len, lines)) <= 100


def test_the_last_words_without_a_line_feed_are_a_line() -> None:
    assert feed_all(splitter(), b"Killed") == ["Killed"]


def test_a_secret_is_masked_also_when_it_comes_in_pieces() -> None:
    assert feed_all(splitter("s3cr3t-pass"), b"password is s3cr", b"3t-pass!\n") == [f"password is {MASK}!"]


def test_a_secret_is_masked_in_the_tail() -> None:
    lines = splitter("s3cr3t-pass")
    lines.feed(b"password: s3cr3t-pass")
    assert lines.tail == f"password: {MASK}"


def test_a_secret_that_comes_letter_by_letter_is_never_shown_as_far_as_it_has_come() -> None:
    lines, shown = splitter("s3cr3t-pass"), set[str]()
    for letter in "password: s3cr3t-pass!":
        lines.feed(letter.encode())
        shown.add(lines.tail)
    assert lines.tail == f"password: {MASK}!"
    assert not [text for text in shown if "s3c" in text]


def test_what_only_looked_like_the_beginning_of_a_secret_is_shown_as_soon_as_that_is_clear() -> None:
    lines = splitter("s3cr3t-pass")
    lines.feed(b"of s3c")
    assert lines.tail == "of "
    lines.feed(b"tions")
    assert lines.tail == "of s3ctions"


def test_half_a_secret_is_masked_where_output_ends_in_it() -> None:
    assert feed_all(splitter("s3cr3t-pass"), b"password: s3cr3t-p") == [f"password: {MASK}"]


def test_a_private_key_is_masked_however_its_lines_come() -> None:
    key = b"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc=\n-----END RSA PRIVATE KEY-----\nOK\n"
    expected = [f"-----BEGIN RSA PRIVATE KEY-----{MASK}", MASK, MASK, MASK, "OK"]
    assert feed_all(splitter(), key) == expected
    assert feed_all(splitter(), *[key[i : i + 1] for i in range(len(key))]) == expected


def test_a_private_key_is_masked_in_the_tail() -> None:
    lines = splitter()
    lines.feed(b"-----BEGIN PRIVATE KEY-----\nMIIEpAIB")
    assert lines.tail == MASK


def test_letters_on_lines_of_their_own_are_masked_from_the_fourth_on() -> None:
    spelled = [f"{letter}\n".encode() for letter in "s3cr3t-pass"]
    expected = ["s", "3", "c", *[MASK] * 8]
    assert feed_all(splitter("s3cr3t-pass"), *spelled) == expected
    assert feed_all(splitter("s3cr3t-pass"), b"".join(spelled)) == expected


def test_a_secret_is_masked_where_an_endless_line_is_cut() -> None:
    for offset in range(190, 230):
        lines = feed_all(splitter("s3cr3t-pass", limit=100), b"x" * offset + b"s3cr3t-pass" + b"y" * 300)
        assert "s3cr3t" not in "".join(lines) and "pass" not in "".join(lines), offset


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    assert feed_all(splitter("-----BEGIN-----\nMIIEkeykey"), b"-----BEGIN-----\nMIIEkeykey\n") == [MASK, MASK]


def test_the_password_of_any_url_is_masked() -> None:
    assert feed_all(splitter(), b"postgres://shop:hunter2@db/shop refused\n") == [
        f"postgres://shop:{MASK}@db/shop refused"
    ]


def test_a_short_value_is_not_masked_everywhere() -> None:
    assert feed_all(splitter("1"), b"11 of 21\n") == ["11 of 21"]


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_however_output_is_cut_the_lines_are_the_same(pieces: list[bytes]) -> None:
    assert feed_all(splitter(), *pieces) == feed_all(splitter(), b"".join(pieces))


PIECES = ["s3cr3t", "pa ss", "s3", "\n", "\r", "://", "a:", "@h", " ", "\ufffd", "\u2028", "•"]


@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_what_is_masked_in_many_lines_at_once_is_what_is_masked_in_each(pieces: list[str]) -> None:
    redactor, text = Redactor(["s3cr3t", "pa ss\ns3cr3t:// @h"]), "".join(pieces)
    assert redactor.clean(text).split("\n") == [redactor.clean(line) for line in text.split("\n")]


@given(st.lists(st.sampled_from([piece.encode() for piece in PIECES]), max_size=40), st.data())
def test_a_secret_is_masked_wherever_output_is_cut(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    lines = feed_all(splitter("s3cr3t"), whole[:cut], whole[cut:])
    assert lines == feed_all(splitter("s3cr3t"), whole)
    assert not [line for line in lines if "s3cr3t" in line]


@given(st.binary(max_size=400))
def test_a_line_never_holds_a_line_feed_a_carriage_return_or_nul(data: bytes) -> None:
    assert not [line for line in feed_all(splitter(limit=40), data) if set(line) & set("\n\r\0")]
