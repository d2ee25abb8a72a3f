"""A target: one Django project as it runs in one place, its variables and its databases."""

import re
from typing import Any, cast

from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse

from dbops.models.status import RANKS, Status
from dbops.sealing import seal, unseal

NAME = RegexValidator(
    r"\A[a-z0-9][a-z0-9_-]{0,62}\Z",
    "Use lower-case letters, digits, - and _, beginning with a letter or digit, at most 63.",
)
QUEUE = RegexValidator(r"\A[a-z0-9][a-z0-9_.-]{0,62}\Z", "Use lower-case letters, digits, - _ and .")
ALIAS = re.compile(r"(?!\.{1,2}$)[^/\0]+")
# As Django's engines call themselves; mysql is MariaDB too.
WITH_GUARD = ("postgresql", "sqlite")
WITHOUT_UNDO = ("mysql", "oracle")
VARIABLE = RegexValidator(r"\A[A-Za-z_][A-Za-z0-9_]*\Z", "A variable's name has letters, digits and _.")


def states_of_statuses() -> models.GeneratedField:
    """The states of the `statuses` beside it, in their order, kept by the database itself: what the overview
    filters and sorts by, without reading the evidence."""
    states = models.Func(
        "statuses",
        models.Value("$[*].state"),
        function="jsonb_path_query_array",
        output_field=models.JSONField(),
    )
    return models.GeneratedField(expression=states, output_field=models.JSONField(), db_persist=True)


def default_launcher() -> list[str]:
    return ["manage.py"]


class Target(models.Model):
    """How to start one project's Python, and what may be done to its databases."""

    class Environment(models.TextChoices):
        DEVELOPMENT = "development", "development"
        STAGING = "staging", "staging"
        PRODUCTION = "production", "production"

    name = models.CharField(max_length=63, unique=True, validators=[NAME], help_text="In URLs and commands.")
    label = models.CharField(max_length=200, blank=True, help_text="What people call it.")
    environment = models.CharField(
        max_length=20, choices=Environment.choices, default=Environment.DEVELOPMENT
    )
    working_directory = models.CharField(
        max_length=1000, blank=True, help_text="Where the launcher is started, as seen from its Python."
    )
    python = models.JSONField(
        help_text="The words that start the target's Python, e.g. /srv/shop/.venv/bin/python, "
        "or: docker exec -i shop-web python"
    )
    through_shell = models.BooleanField(
        default=False, help_text="The words pass a remote shell that parses them again (ssh)."
    )
    launcher = models.JSONField(
        default=default_launcher,
        blank=True,
        help_text="manage.py, another script, or -m module; with fixed leading arguments.",
    )
    settings_module = models.CharField(
        max_length=200, blank=True, help_text="Only where there is no launcher, or where it does not choose."
    )
    env_file = models.CharField(
        max_length=1000, blank=True, help_text="A .env file that the worker reads and hands over."
    )
    aliases = models.JSONField(
        default=list, blank=True, help_text="Database aliases to show; empty: all that the settings name."
    )
    queue = models.CharField(max_length=63, default="jobs", validators=[QUEUE])
    allow_migrate = models.BooleanField(default=True, help_text="Off: nobody can start a migrate job here.")
    allow_reset = models.BooleanField(default=False, help_text="Off: nobody can reset a database here.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    # Single flight: set by the conditional UPDATE that lets one inspection begin.
    inspecting_since = models.DateTimeField(null=True, blank=True, editable=False)
    inspection_asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The latest inspection: when it began, what it met before it came to any database, the versions there.
    inspected_at = models.DateTimeField(null=True, blank=True, editable=False)
    statuses = models.JSONField(default=list, blank=True, editable=False)
    states = states_of_statuses()
    python_version = models.CharField(max_length=50, blank=True, editable=False)
    django_version = models.CharField(max_length=50, blank=True, editable=False)
    # Fast refresh: when one was begun (single flight), when the latest that worked for all its databases was.
    refresh_tried_at = models.DateTimeField(null=True, blank=True, editable=False)
    refreshed_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Why there is none, in words; "" where it works or was not tried.
    refresh_refused = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="target_environment_known",
                condition=models.Q(environment__in=["development", "staging", "production"]),
            ),
            models.CheckConstraint(
                name="target_production_is_never_reset",
                condition=~models.Q(environment="production", allow_reset=True),
                violation_error_message="A production target can never allow reset.",
            ),
            models.CheckConstraint(
                name="target_can_be_launched",
                condition=~models.Q(launcher=[], settings_module=""),
                violation_error_message="Give a launcher (manage.py) or a settings module.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("target", args=[self.name])

    @property
    def title(self) -> str:
        return self.label or self.name

    @property
    def inspect_queue(self) -> str:
        """Inspections have a worker of their own, beside the one that serves the target's jobs."""
        return f"{self.queue}-inspect" if self.is_served_elsewhere else "inspect"

    @property
    def is_served_elsewhere(self) -> bool:
        """By a worker with a queue of its own: what that can reach, others may not."""
        return self.queue != "jobs"


class TargetVariable(models.Model):
    """One environment variable of a target. A secret one is kept sealed and is never shown again."""

    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="variables")
    name = models.CharField(max_length=200, validators=[VARIABLE])
    is_secret = models.BooleanField(default=False)
    plain = models.TextField(blank=True)
    sealed = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["target", "name"], name="variable_once_a_target"),
            models.CheckConstraint(
                name="secret_variable_is_sealed",
                condition=models.Q(is_secret=True, plain="") | models.Q(is_secret=False, sealed=""),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def value(self) -> str:
        return unseal(self.sealed) if self.is_secret else self.plain

    def keep(self, value: str, *, secret: bool) -> None:
        """Put a value into the row (unsaved), sealed where it is secret."""
        self.is_secret = secret
        self.plain = "" if secret else value
        self.sealed = seal(value) if secret else ""


class TargetDatabase(models.Model):
    """One database alias of a target, with what the latest inspection found there."""

    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="databases")
    alias = models.TextField()
    in_settings = models.BooleanField(default=True, help_text="The settings still name this alias.")
    vendor = models.CharField(max_length=50, blank=True)
    name = models.TextField(blank=True)
    host = models.TextField(blank=True)
    port = models.TextField(blank=True)
    server_version = models.CharField(max_length=100, blank=True)
    # The database behind the alias, whatever name or address leads there (see dbops.agent).
    identity = models.CharField(max_length=1000, blank=True, db_index=True)
    sealed_connection = models.TextField(blank=True, editable=False)
    statuses = models.JSONField(default=list, blank=True)
    states = states_of_statuses()
    pending_count = models.PositiveIntegerField(default=0)
    applied_count = models.PositiveIntegerField(default=0)
    inspected_at = models.DateTimeField(null=True, blank=True)
    # The latest fast refresh since then, and what it found otherwise than the inspection:
    # dbops.inspection.fresh.
    refreshed_at = models.DateTimeField(null=True, blank=True)
    fresh = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["target__name", "alias"]
        constraints = [
            models.UniqueConstraint(fields=["target", "alias"], name="alias_once_a_target"),
        ]

    def __str__(self) -> str:
        return f"{self.target.name}/{self.alias}"

    @property
    def has_address(self) -> bool:
        """Its alias can stand in a URL; settings may call one "a/b", "" or ".."."""
        return ALIAS.fullmatch(self.alias) is not None

    @property
    def has_guard(self) -> bool:
        """Or nobody knows yet what kind it is."""
        return self.vendor in (*WITH_GUARD, "", "unknown")

    @property
    def undoes_schema_changes(self) -> bool:
        """Those of a migration that fails half-way, where it is atomic."""
        return self.vendor not in WITHOUT_UNDO

    def found(self) -> list[Status]:
        """The typed statuses that the latest inspection found, worst first; age is judged by the reader."""
        return [Status.from_json(cast("dict[str, Any]", entry)) for entry in self.statuses]

    def judge(self, statuses: list[Status]) -> None:
        """Keep what was found (unsaved), the worst first: the overview sorts by the first."""
        worst_first = sorted(statuses, key=lambda status: -RANKS[status.state])
        self.statuses = [status.to_json() for status in worst_first]
