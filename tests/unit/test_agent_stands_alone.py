"""The agent imports the standard library and Django, runs on Python 3.8, and nobody imports it."""

import ast
import sys
from pathlib import Path

import pytest

from dbops.target import bundle, frames

ROOT = Path(bundle.__file__).resolve().parent.parent.parent
AGENT = sorted((ROOT / "dbops" / "agent").glob("*.py"))
# They have to work before the target is set up, so Django is not theirs to import.
WITHOUT_DJANGO = {
    "bootstrap", "cancel", "channel", "child", "environment", "failures", "frames", "imports", "ladder",
    "launch", "redaction", "session", "sqlite", "supervisor", "unreachable",
    "watcher",
}  # fmt: skip


def imported(tree: ast.AST) -> set[str]:
    """First names of absolute imports."""
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {
        node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level
    }
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("path", AGENT, ids=lambda path: path.stem)
def test_a_module_of_the_agent_imports_only_the_standard_library_and_django(path: Path) -> None:
    allowed = set(sys.stdlib_module_names) | (set() if path.stem in WITHOUT_DJANGO else {"django"})
    assert imported(ast.parse(path.read_text())) <= allowed


@pytest.mark.parametrize("path", AGENT, ids=lambda path: path.stem)
def test_a_module_of_the_agent_is_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 8))


def test_the_bootstrap_is_valid_for_any_python() -> None:
    ast.parse(bundle.BOOTSTRAP, feature_version=(3, 4))
    assert "f'" not in bundle.BOOTSTRAP


@pytest.mark.parametrize("folder", ["dbops", "opsdash", "embedded"])
def test_nothing_of_ours_imports_the_agent(folder: str) -> None:
    paths = [path for path in (ROOT / folder).rglob("*.py") if path.parent.name != "agent"]
    assert [path for path in paths if imports_the_agent(ast.parse(path.read_text()))] == []


def imports_the_agent(tree: ast.AST) -> bool:
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    others = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    found = plain | {f"{node.module}.{alias.name}" for node in others for alias in node.names}
    return any(name == "dbops.agent" or name.startswith("dbops.agent.") for name in found)


def test_the_bundle_holds_every_module() -> None:
    size, text = bundle.bundle()[:10], bundle.bundle()[10:]
    assert int(size) == len(text)
    assert all(f'"{path.stem}":' in text.decode() for path in AGENT)


def test_the_two_ends_speak_one_protocol() -> None:
    from dbops.agent import frames as agent

    assert (agent.PROTOCOL, agent.PREAMBLE) == (frames.PROTOCOL, frames.PREAMBLE)
    assert agent.PREAMBLE not in bundle.bundle()
    said = [
        {"type": "event", "name": "plan", "data": {"n": 1}},
        {"type": "answer", "data": {"text": "é\udcff"}},
    ]
    sent = b"".join(map(agent.encode, said)) + agent.encode({"type": "output"}, b"\x00\xff")
    decoder, heard = frames.Decoder(), []
    for byte in sent:
        heard += decoder.feed(bytes([byte]))
    assert heard == [
        frames.Event("plan", {"n": 1}),
        frames.Answer({"text": "é?"}),
        frames.Output(b"\x00\xff"),
    ]
    assert agent.Decoder().feed(frames.encode({"type": "cancel"})) == [({"type": "cancel"}, b"")]


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n", b"\x00\x00\x00\x02\x00\x00\x00\x00{}", b"\xff" * 8]
)
def test_bytes_that_are_no_frames_are_refused(garbage: bytes) -> None:
    from dbops.agent import frames as agent

    with pytest.raises(frames.Garbage):
        frames.Decoder().feed(garbage)
    with pytest.raises(agent.Garbage):
        agent.Decoder().feed(garbage)
