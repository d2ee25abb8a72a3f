"""Text of a target as it may be shown: without what would steer a terminal or make a line read other than
it is. The page's script does the same (static/js/ansi.js)."""

import re
from collections.abc import Sequence

# CSI, OSC / DCS / PM / APC strings with their end, and the two-character sequences; each within one line.
ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]"
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# The same in UTF-8. A carriage return is a line feed to a browser.
CONTROLS_OF_PAGE = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]"
)

PICTURES = frozenset([*(chr(0x2400 + code) for code in range(0x20)), "\u2421", "\ufffd"])


def plain(text: str) -> str:
    """Tabs and line feeds stay; any other control is shown as its picture."""
    if text.isprintable():
        return text
    return CONTROLS.sub(picture, without_escapes(text))


def plain_page(html: bytes) -> bytes:
    """A page, or a part of one, in which no name makes the rest read otherwise than it is. What leads to
    such a name is encoded in the addresses of links, which stay as they are."""
    return CONTROLS_OF_PAGE.sub(picture_of_page, html)


def picture_of_page(found: re.Match[bytes]) -> bytes:
    return CONTROLS.sub(picture, found.group().decode()).encode()


def without_escapes(text: str) -> str:
    """Of many lines each as if it stood alone."""
    return ESCAPES.sub("", text) if "\x1b" in text or "\x9b" in text else text


def picture(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


# How many migrations the sentence of a job names; its steps are all of them.
MOST_LISTED = 20


def listed(migrations: Sequence[Sequence[str]]) -> str:
    """[["catalog", "0001_initial"]] -> "catalog.0001_initial"; of very many the first."""
    names = ", ".join(f"{app}.{name}" for app, name in migrations[:MOST_LISTED])
    more = len(migrations) - MOST_LISTED
    return f"{names} and {more} more" if more > 0 else names
