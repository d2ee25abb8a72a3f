"""docs/faults.md names every fault, and only tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs/faults.md").read_text()
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
FAULTS = {f"F{number}" for number in range(1, 27)}


def test_every_fault_has_a_row_and_every_test_it_names_exists() -> None:
    assert set(re.findall(r"\bF\d+\b", TABLE)) == FAULTS
    named = set(re.findall(r"`(test_\w+)`", TABLE))
    assert {name for name in named if f"def {name}(" not in TESTS} == set()


def test_every_test_that_injects_a_fault_is_named() -> None:
    marked = re.findall(r'@pytest\.mark\.fault\("[^"]+"\)\n(?:@.*\n|[ )\]].*\n)*def (test_\w+)', TESTS)
    assert len(marked) > 40
    assert {name for name in marked if f"`{name}`" not in TABLE} == set()


def test_every_fault_but_those_of_the_browser_has_a_test_with_its_number() -> None:
    numbers = set(re.findall(r'mark\.fault\("(F\d+)"\)', TESTS))
    assert numbers == FAULTS - {"F25"}
