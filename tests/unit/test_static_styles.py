"""The stylesheets: every state has a look, every pair of colours can be read, all of it is ours."""

import re
from pathlib import Path

import pytest

from dbops.models import status
from dbops.models.job import Job
from dbops.models.step import Step

STATIC = Path(__file__).resolve().parents[2] / "static"
CSS = STATIC / "css"
TONES = ("good", "busy", "warn", "bad", "odd", "quiet")
LATER_STATES = ("edited", "drifted", "unmade", "ready")
AA = 4.5


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def sheet(name: str) -> str:
    return without_comments((CSS / name).read_text())


def token(name: str) -> tuple[str, str]:
    """The light and the dark value."""
    found = re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\);", sheet("tokens.css"))
    assert found, f"tokens.css has no --{name}"
    return found[1], found[2]


def luminance(colour: str) -> float:
    if len(colour) == 4:
        colour = "#" + "".join(digit * 2 for digit in colour[1:])
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_reckoned_as_the_guidelines_do() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("tone", TONES)
def test_a_tone_can_be_read_on_its_background_and_on_the_page(tone: str, theme: int) -> None:
    words = token(f"{tone}-fg")[theme]
    assert contrast(words, token(f"{tone}-bg")[theme]) >= AA
    assert contrast(words, ("#ffffff", "#121212")[theme]) >= AA
    assert contrast(words, ("#f8f8f8", "#212121")[theme]) >= AA


@pytest.mark.parametrize("name", ["danger-bg", "danger-hover-bg"])
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_white_can_be_read_on_danger(name: str, theme: int) -> None:
    assert contrast("#ffffff", token(name)[theme]) >= AA


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["keyword", "name", "string", "number", "comment"])
def test_code_can_be_read_on_paper(name: str, theme: int) -> None:
    assert contrast(token(f"code-{name}")[theme], token("paper-bg")[theme]) >= AA


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["good-bg", "bad-bg", "added-mark-bg", "removed-mark-bg"])
def test_a_line_of_a_diff_can_be_read_and_so_can_what_is_marked_in_it(name: str, theme: int) -> None:
    assert contrast(token("paper-fg")[theme], token(name)[theme]) >= AA


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", [*(f"fg-{number}" for number in range(16)), "dim"])
def test_a_colour_of_a_terminal_can_be_read_on_paper_and_on_each_background(name: str, theme: int) -> None:
    words = token(f"ansi-{name}")[theme]
    assert contrast(words, token("paper-bg")[theme]) >= AA
    for number in range(16):
        assert contrast(words, token(f"ansi-bg-{number}")[theme]) >= AA, number
    # A line that is linked to, or found, has a background of its own.
    assert contrast(words, token("warn-bg")[theme]) >= AA
    assert contrast(words, token("busy-bg")[theme]) >= AA


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", [*(f"ansi-bg-{number}" for number in range(16)), "warn-bg", "busy-bg"])
def test_plain_text_can_be_read_on_what_stands_behind_it(name: str, theme: int) -> None:
    assert contrast(token("paper-fg")[theme], token(name)[theme]) >= AA


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_what_was_searched_can_be_read(theme: int) -> None:
    assert contrast(token("mark-fg")[theme], token("mark-bg")[theme]) >= AA


def test_every_look_that_a_target_may_choose_is_there() -> None:
    looks = {*re.findall(r"\.ansi-([a-z0-9-]+) ", sheet("ansi.css"))}
    colours = {f"{ground}-{number}" for ground in ("fg", "bg") for number in range(16)}
    assert looks == {"bold", "dim", "italic", "underline", *colours}


@pytest.mark.parametrize(
    "state", sorted({*status.STATES, *LATER_STATES, *Job.State.values, *Step.State.values})
)
def test_every_state_has_a_look(state: str) -> None:
    if state == "unknown":
        assert "--icon: var(--icon-question)" in sheet("status.css")
    else:
        assert re.search(rf"\.status--{state}\b[^}}]*--icon", sheet("status.css"), re.DOTALL)


def test_every_icon_that_is_used_is_drawn() -> None:
    drawn = set(re.findall(r"--icon-(\w+):", sheet("icons.css")))
    used = {
        name for path in CSS.glob("*.css") for name in re.findall(r"var\(--icon-(\w+)\)", path.read_text())
    }
    assert used <= drawn
    assert drawn <= used | {"info"}


def test_the_one_stylesheet_imports_every_other() -> None:
    imported = re.findall(r'@import url\("([^"]+)"\) layer\((\w+)\);', sheet("opsdash.css"))
    ours = {name for name, layer in imported if layer != "admin"}
    assert ours == {path.name for path in CSS.glob("*.css")} - {"opsdash.css"}
    order = re.search(r"@layer ([^;]+);", sheet("opsdash.css"))
    assert order
    assert order[1].split(", ") == list(dict.fromkeys(layer for _, layer in imported))


def test_nothing_comes_from_elsewhere() -> None:
    for path in CSS.glob("*.css"):
        for address in re.findall(r"url\(\"?([^\")]+)", without_comments(path.read_text())):
            assert address.startswith(("data:image/svg+xml,", "../admin/css/")) or "/" not in address, path


def test_colours_are_named_in_one_place() -> None:
    for path in CSS.glob("*.css"):
        if path.name in ("tokens.css", "icons.css"):
            continue
        colours = set(re.findall(r"#[0-9a-fA-F]{3,8}\b", sheet(path.name))) - {"#fff"}
        assert not colours, f"{path.name} has colours of its own: {colours}"


def test_every_outcome_has_an_icon_for_the_tab() -> None:
    for name in ("", "-running", "-succeeded", "-failed", "-cancelled", "-lost"):
        drawing = (STATIC / "img" / f"favicon{name}.svg").read_text()
        assert drawing.startswith("<svg ")
        assert "<script" not in drawing
