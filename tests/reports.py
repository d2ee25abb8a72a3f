"""Reports as the agent's `inspect` gives them, made by hand: as many migrations as one likes."""

import random
from typing import Any

Entry = dict[str, Any]


def migration(app: str, name: str, *dependencies: tuple[str, str], **more: Any) -> Entry:
    return {
        "app": app, "name": name, "hash": f"{app}-{name}", "file": f"/srv/{app}/migrations/{name}.py",
        "dependencies": [list(each) for each in dependencies], "run_before": [], "replaces": [],
        "atomic": True, "initial": None, **more,
    }  # fmt: skip


def database(disk: list[Entry], applied: list[tuple[str, str]], **more: Any) -> Entry:
    """What one alias adds: these are recorded, the rest of the files is to apply."""
    recorded = set(applied)
    files = [(entry["app"], entry["name"]) for entry in disk]
    return {
        "alias": "default", "vendor": "postgresql", "reachable": True,
        "applied": [[app, name, "2026-01-05T09:00:00+00:00"] for app, name in applied],
        "plan": [{"app": app, "name": name} for app, name in files if (app, name) not in recorded],
        "ghosts": [list(key) for key in applied if key not in files],
        "conflicts": {}, "errors": [], "migrations": {}, **more,
    }  # fmt: skip


def grown(count: int, apps: int) -> list[Entry]:
    """A project of so many migrations: each follows the last of its app, some also another app's last."""
    dice = random.Random(count)
    names = [f"{word}{number or ''}" for number in range(5) for word in WORDS][:apps]
    last: dict[str, str] = {}
    disk = []
    for _ in range(count):
        app = dice.choice(names[: 2 + len(last)])
        name = f"{int(last[app][:4]) + 1 if app in last else 1:04}_{dice.choice(CHANGES)}"
        dependencies = [(app, last[app])] if app in last else []
        others = [other for other in last if other != app]
        if others and dice.random() < 0.12:
            other = dice.choice(others)
            dependencies.append((other, last[other]))
        disk.append(migration(app, name, *dependencies))
        last[app] = name
    return disk


WORDS = ["accounts", "catalog", "orders", "billing", "shipping", "reviews", "search", "reports"]
CHANGES = ["add_price", "alter_customer_email", "rename_total", "index_created_at", "fill_slugs", "initial"]
