"""What differs between the plan that a person saw and the one that the job met."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dbops.models import Job, Plan

Names = list[str]


@dataclass(frozen=True)
class PlanChange:
    """Of "app.name": only in the plan of now; only in that of then; in both, from other source; recorded."""

    added: Names
    gone: Names
    edited: Names
    applied: Names

    @property
    def sentence(self) -> str:
        parts = (
            ("new in it: ", self.added),
            ("not in it any more: ", self.gone),
            ("with another source: ", self.edited),
            ("applied meanwhile: ", self.applied),
        )
        said = [f"{words}{some(names)}" for words, names in parts if names]
        return f"Since the plan was read: {'; '.join(said)}." if said else ""

    def to_json(self) -> dict[str, Names]:
        return asdict(self)


def change_of(job: Job, facts: Mapping[str, Any], applied: Iterable[Sequence[str]]) -> PlanChange | None:
    """None where the plan that it was started from is not kept any more. `facts`: as of PlanChanged."""
    expected = job.arguments.get("expected_plan") or ""
    plans = Plan.objects.filter(database=job.database_id, fingerprint=expected, state="done")
    kept = plans.order_by("-pk").first()
    if not expected or kept is None or kept.content is None:
        return None
    then = {name_of(entry["app"], entry["name"]): entry.get("hash") for entry in kept.content["migrations"]}
    now = {name_of(app, name): source for app, name, _, source in facts.get("plan") or []}
    return difference(then, now, {name_of(*pair[:2]) for pair in applied})


def difference(then: Mapping[str, Any], now: Mapping[str, Any], applied: set[str]) -> PlanChange:
    """Of {app.name: hash of its source} then and now, in their orders."""
    left = [name for name in then if name not in now]
    return PlanChange(
        added=[name for name in now if name not in then],
        gone=[name for name in left if name not in applied],
        edited=[name for name in now if name in then and now[name] != then[name]],
        applied=[name for name in left if name in applied],
    )


def name_of(app: str, name: str) -> str:
    return f"{app}.{name}"


def some(names: Names, most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
