"""migrate, forward: the whole project, one app, or one app up to a named migration."""

from collections.abc import Mapping
from typing import Any

from dbops import conf
from dbops.operations.base import Context, Done
from dbops.plain import listed
from dbops.rights import Role
from dbops.target.about import size_of


class Migrate:
    """Arguments: {} or {"app": label} or {"app": label, "migration": name}; `expected_plan`: the fingerprint
    of the plan that the person saw. Where the plan is another by then, nothing is done."""

    name = "migrate"
    role = Role.OPERATOR
    changing = True
    writes_tree = False

    def title(self, arguments: Mapping[str, Any]) -> str:
        words = ["migrate", arguments.get("app") or "", "to" if arguments.get("migration") else ""]
        return " ".join(filter(None, [*words, arguments.get("migration") or ""]))

    def perform(self, context: Context) -> Done:
        own: list[list[str]] = []

        def on_event(name: str, data: Mapping[str, Any]) -> None:
            follow(context, name, data)
            own.extend(its_own(name, data))

        answer = context.agent("perform", request(context), on_event)
        answer = {**answer, "recorded_after": recorded_once(answer, own)}
        kept = ("recorded_after", "recorded_known", "nothing_to_do")
        facts = {key: answer[key] for key in kept if key in answer}
        return Done(outcome(answer), {**facts, "size_after": size_of(answer.get("size_after"))})


def request(context: Context) -> dict[str, Any]:
    return {
        "operation": "migrate",
        "alias": context.alias,
        "app": context.arguments.get("app") or None,
        "migration": context.arguments.get("migration") or None,
        "expected_plan": context.arguments.get("expected_plan") or None,
        "retries": {"tries": conf.knob("LOCK_TRIES"), "backoff_ms": conf.knob("LOCK_BACKOFF_MS")},
        "session": session(context),
    }


def session(context: Context) -> dict[str, Any]:
    return {
        "lock_timeout_ms": conf.knob("LOCK_TIMEOUT_MS"),
        "statement_timeout_ms": conf.knob("STATEMENT_TIMEOUT_MS"),
        "application_name": context.label,
    }


def follow(context: Context, name: str, data: Mapping[str, Any]) -> None:
    """An event of the agent -> steps of the job."""
    if name == "guard":
        context.say(guard_words(data))
    elif name == "about":
        context.about(data)
    elif name == "connection" and data.get("purpose") == "work":
        context.running(data.get("backend_pid"), data.get("backend_started"))
    elif name == "working":
        context.running(None)
    elif name == "plan":
        context.plan_steps("migration", [f"{app}.{migration}" for app, migration in data["migrations"]])
    elif name == "step_started":
        context.begin_step(data["kind"], step_name(data))
    elif name in ("step_finished", "step_failed"):
        context.end_step(
            step_name(data),
            failed=name == "step_failed",
            duration_ms=data["duration_ms"],
            statements=data.get("statements"),
        )
    elif name == "step_retried":
        context.retry_step(
            step_name(data),
            attempt=data["try"],
            attempts=data["tries"],
            again_in_s=data["again_in_s"],
            waits=data["waits"],
            duration_ms=data["duration_ms"],
            statements=data.get("statements"),
        )
    elif name == "lock_wait":
        context.lock_wait(data["waits"], data.get("problem") or "")
    elif name == "session_ended":
        context.session_ended(data["id"], data["done"], data["words"])


def its_own(name: str, data: Mapping[str, Any]) -> list[list[str]]:
    """The migrations that an event names as planned or begun."""
    if name == "plan":
        return [list(pair) for pair in data["migrations"]]
    return [[data["app"], data["name"]]] if name == "step_started" and data["kind"] == "migration" else []


def recorded_once(answer: Mapping[str, Any], own: list[list[str]]) -> list[list[str]]:
    """Somebody else may have recorded others meanwhile, or one of these twice."""
    newly = [list(pair) for pair in answer.get("recorded_after") or []]
    return [pair for number, pair in enumerate(newly) if pair in own and pair not in newly[:number]]


def guard_words(data: Mapping[str, Any]) -> str:
    if not data["taken"]:
        return "This kind of database has no guard: opsdash cannot keep others of its jobs away from it."
    return f"The guard is taken ({data['kind']}): no other job of opsdash changes this database meanwhile."


def step_name(data: Mapping[str, Any]) -> str:
    """`catalog.0002_price`; what is no migration (the receivers of post_migrate) is called by its kind."""
    return f"{data['app']}.{data['name']}" if data.get("app") else str(data["kind"])


def outcome(answer: Mapping[str, Any]) -> str:
    recorded = answer.get("recorded_after") or []
    if answer.get("nothing_to_do"):
        return "There was nothing to apply."
    if not answer.get("recorded_known", True):
        return "migrate ended without an error."
    if not recorded:
        return "migrate ended without an error and recorded no migration."
    names = listed(recorded)
    count = f"{len(recorded)} migration{'s' if len(recorded) > 1 else ''}"
    return f"Applied and recorded {count}: {names}."
