"""`--inspect` of several targets that only workers elsewhere can reach: how long each is waited for."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from dbops.inspection import inspect_now
from dbops.management.commands import _inspecting
from dbops.models import Target
from tests.integration.conftest import MakeTarget

pytestmark = pytest.mark.django_db


class Clock:
    """Time passes where it is slept, and workers work meanwhile."""

    def __init__(self, working: Callable[[float], None]) -> None:
        self.now = 0.0
        self.working = working

    def monotonic(self) -> float:
        return self.now

    def sleep(self, _: float) -> None:
        self.now += 10
        self.working(self.now)


def ask(monkeypatch: pytest.MonkeyPatch, done_at: dict[str, int]) -> tuple[Any, str]:
    """Exit code and words of `status --inspect`; `done_at`: after how many seconds a target is inspected."""

    def working(now: float) -> None:
        for name, at in done_at.items():
            if at == now:
                inspect_now(Target.objects.get(name=name))

    said = StringIO()
    monkeypatch.setattr(_inspecting, "time", Clock(working))
    with pytest.raises(SystemExit) as ended:
        call_command(
            "status", "--inspect", *Target.objects.values_list("name", flat=True), stdout=said, stderr=said
        )
    return ended.value.code, said.getvalue()


@pytest.fixture
def targets(make_target: MakeTarget, settings: Any) -> None:
    settings.DBOPS = {**settings.DBOPS, "INSPECTION_TIMEOUT_S": 60}
    for name in ("a1", "a2", "a3"):
        make_target(name, queue="a")
    make_target("b1", queue="b")


@pytest.mark.usefixtures("targets")
def test_each_has_its_time_from_when_its_worker_was_done_with_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, said = ask(monkeypatch, {"b1": 20, "a1": 60, "a3": 120, "a2": 180})
    assert "was not inspected" not in said
    assert code != 9


@pytest.mark.usefixtures("targets")
def test_the_worker_of_another_queue_buys_it_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = ask(monkeypatch, {"a1": 50, "a2": 100, "a3": 150})
    assert code == 9
    assert "b1 was not inspected: no worker of the queue b-inspect has done it in time" in said
    assert Target.objects.filter(name="a2", inspected_at=None).exists(), (
        "it does not wait for the others first"
    )
