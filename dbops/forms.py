"""What people send: checked against lists that the server made, never passed on as free text."""

import shlex
import uuid
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db.models import QuerySet

from dbops import conf
from dbops.models import ApiToken, AuditEvent, Target
from dbops.models.job import ACTIVE, FINAL
from dbops.models.plan import ZERO
from dbops.models.status import STATES
from dbops.models.token import NAME_CHARS
from dbops.plain import plain

# As a row of the overview says them.
STATE_WORDS = {"checked": "nothing to apply"}
# A place between two events of the audit trail (dbops.pages.audit_query).
CURSOR = r"\A[0-9]{1,16}\.[0-9]{1,18}\Z"


class KeyField(forms.UUIDField):
    """Of a page, by chance. Those that programs bring are made of names (version 5, dbops.api.jobs): nobody
    can take one of them away by a form."""

    def clean(self, value: Any) -> Any:
        key = super().clean(value)
        if key is not None and key.version != 4:
            raise ValidationError("This is no key of a page of opsdash. Open the page anew.")
        return key


class MigrateForm(forms.Form):
    """The whole project, one app, or one app up to a named migration."""

    key = KeyField(widget=forms.HiddenInput)
    app = forms.ChoiceField(required=False, label="App")
    migration = forms.ChoiceField(required=False, label="Up to migration")
    reason = forms.CharField(required=False, max_length=500, label="Reason (kept in the audit trail)")
    # The fingerprint of the plan that stood beside the form.
    plan = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    # Sent from the page of a plan that could not be read.
    unseen = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, known: list[tuple[str, str]], plan: str = "", **kwargs: Any) -> None:
        """`known`: (app, migration name) of every migration that the latest inspection saw as unapplied;
        `plan`: the fingerprint of the whole project's plan that stands beside the form."""
        super().__init__(*args, **kwargs)
        self.known = set(known)
        apps = list(dict.fromkeys(app for app, _ in known))
        self.choices("app").choices = [("", "whole project"), *((app, app) for app in apps)]
        self.choices("migration").choices = [
            ("", "the latest"),
            *((f"{app}.{name}", f"{app}.{name}") for app, name in known),
        ]
        self.initial.setdefault("key", uuid.uuid4())
        self.initial.setdefault("plan", plan)

    def choices(self, name: str) -> forms.ChoiceField:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        return field

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        app, _, migration = (cleaned.get("migration") or "").partition(".")
        if migration and cleaned.get("app") and cleaned["app"] != app:
            raise ValidationError(
                f"{app}.{migration} is no migration of {cleaned['app']}. Nothing was started. "
                "Choose a migration of that app, or no app."
            )
        return cleaned

    @property
    def arguments(self) -> dict[str, str]:
        app, _, migration = self.cleaned_data["migration"].partition(".")
        if migration:
            return {"app": app, "migration": migration}
        return {"app": self.cleaned_data["app"]} if self.cleaned_data["app"] else {}


class PlanForm(forms.Form):
    """Which plan to read: to the newest of all or of an app, or to a migration; to one that is applied, or to
    before the first, leads backwards."""

    to = forms.ChoiceField(required=False, label="Plan")

    def __init__(self, *args: Any, known: dict[str, list[tuple[str, bool]]], **kwargs: Any) -> None:
        """`known`: {app: [(migration name, applied)]} as the latest inspection saw them."""
        super().__init__(*args, **kwargs)
        field = self.fields["to"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            ("", "whole project to the newest"),
            *((app, _ways(app, known[app])) for app in known),
        ]

    @property
    def chosen(self) -> tuple[str, str]:
        """(app, migration) as migrate takes them."""
        app, _, migration = self.cleaned_data["to"].partition(".")
        return app, migration


def _ways(app: str, migrations: list[tuple[str, bool]]) -> list[tuple[str, str]]:
    ways = [
        (f"{app}.{name}", plain(f"{'back to' if applied else 'to'} {app}.{name}"))
        for name, applied in reversed(migrations)
    ]
    back = [(f"{app}.{ZERO}", f"back to before {app}'s first")] if any(one for _, one in migrations) else []
    return [(f"{app}.", f"{app} to its newest"), *ways, *back]


class ConfirmForm(forms.Form):
    """An act whose arguments stand in the job that it is asked for from: a remedy, or the same once more."""

    key = KeyField(widget=forms.HiddenInput)
    # Of the same once more: the fingerprint of the plan that its page showed.
    plan = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    reason = forms.CharField(required=False, max_length=500, label="Reason (kept in the audit trail)")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("key", uuid.uuid4())


class PreviewForm(ConfirmForm):
    """The files that a preview showed are to be written: `expected` is their fingerprint."""

    expected = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, shown: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("expected", shown)


class CancelForm(forms.Form):
    reason = forms.CharField(required=False, max_length=500)


class ResolutionForm(forms.Form):
    """Staff ends a lost job on its own word."""

    reason = forms.CharField(max_length=500, error_messages={"required": "Say why. Nothing was changed."})


class SessionForm(forms.Form):
    """Staff ends a session that keeps a job waiting; both starts say which one, in which
    transaction, the page showed."""

    backend_start = forms.CharField(max_length=50, widget=forms.HiddenInput)
    transaction_start = forms.CharField(required=False, max_length=50, widget=forms.HiddenInput)
    reason = forms.CharField(max_length=500, error_messages={"required": "Say why. Nothing was done."})


class TokenForm(forms.Form):
    """A token of the JSON API, for the person who asks for it."""

    name = forms.CharField(max_length=NAME_CHARS, help_text="What uses it. It stands in the audit trail.")
    scopes = forms.MultipleChoiceField(
        choices=ApiToken.Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        label="It may",
        error_messages={"required": "Choose one at least. Nothing was made."},
    )
    targets = forms.ModelMultipleChoiceField(
        queryset=Target.objects.none(),
        required=False,
        to_field_name="name",
        label="Only on these targets",
        help_text="None chosen: on all that you may see, also on those that come later.",
    )
    days = forms.IntegerField(min_value=1, label="Expires after (days)")

    def __init__(self, *args: Any, known: QuerySet[Target], **kwargs: Any) -> None:
        """`known`: the targets that the person sees."""
        super().__init__(*args, **kwargs)
        most = conf.knob("TOKEN_MAX_DAYS")
        self.initial.setdefault("days", min(30, most))
        self.initial.setdefault("scopes", [ApiToken.Scope.READ])
        targets, days = self.fields["targets"], self.fields["days"]
        assert isinstance(targets, forms.ModelMultipleChoiceField) and isinstance(days, forms.IntegerField)
        targets.queryset = known.order_by("name")
        days.max_value, days.help_text = most, f"{most} at most."
        days.validators.append(MaxValueValidator(most))
        days.widget.attrs["max"] = most


class OverviewFilter(forms.Form):
    """Search and filter of the overview; they live in the URL."""

    page = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
    q = forms.CharField(required=False, max_length=100, label="Search")
    environment = forms.ChoiceField(
        required=False, choices=[("", "all environments"), *Target.Environment.choices]
    )
    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", "any status"),
            ("trouble", "in trouble"),
            *((state, STATE_WORDS.get(state, state)) for state in STATES),
        ],
    )
    sort = forms.ChoiceField(
        required=False,
        label="Order",
        choices=[
            ("", "the worst first"),
            ("-status", "the best first"),
            ("name", "name"),
            ("-name", "name, backwards"),
            ("environment", "production first"),
            ("-environment", "development first"),
            ("pending", "most to apply first"),
            ("-pending", "least to apply first"),
            ("inspected", "longest not inspected first"),
            ("-inspected", "just inspected first"),
            ("status", "the worst first"),
        ],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A link may say it; the list offers it once.
        widget = self.fields["sort"].widget
        assert isinstance(widget, forms.Select)
        widget.choices = [choice for choice in widget.choices if choice[0] != "status"]


class CompareForm(forms.Form):
    """Two target databases, each as "target/alias"."""

    a = forms.CharField(required=False, max_length=500, label="One")
    b = forms.CharField(required=False, max_length=500, label="The other")

    @property
    def chosen(self) -> tuple[str, str]:
        self.is_valid()
        return self.cleaned_data.get("a") or "", self.cleaned_data.get("b") or ""


class JobsFilter(forms.Form):
    page = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
    q = forms.CharField(required=False, max_length=100, label="Target")
    state = forms.ChoiceField(
        required=False,
        choices=[("", "any state"), ("active", "active"), *((state, state) for state in (*ACTIVE, *FINAL))],
    )


class AuditFilter(forms.Form):
    """What of the audit trail; it lives in the URL. Days are those of UTC."""

    q = forms.CharField(required=False, max_length=200, label="Words of reason and details")
    who = forms.CharField(required=False, max_length=200, label="Who")
    act = forms.CharField(
        required=False, max_length=50, label="Act", widget=forms.TextInput(attrs={"list": "acts"})
    )
    target = forms.CharField(required=False, max_length=500, label="Target")
    job = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, label="Job")
    outcome = forms.ChoiceField(
        required=False, choices=[("", "any outcome"), *AuditEvent.Outcome.choices], label="Outcome"
    )
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}))

    @property
    def wanted(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if value}


class AuditPlace(forms.Form):
    """Where in what was found: a page of `size`, behind `before` or in front of `after`."""

    size = forms.IntegerField(required=False)
    before = forms.RegexField(CURSOR, required=False, strip=False)
    after = forms.RegexField(CURSOR, required=False, strip=False)


class ExportForm(AuditFilter):
    format = forms.ChoiceField(choices=[("csv", "CSV"), ("jsonl", "JSON lines")])


class WordsField(forms.CharField):
    """A command line, typed as in a shell, kept as a list of words."""

    def prepare_value(self, value: Any) -> Any:
        return shlex.join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        try:
            return shlex.split(value or "")
        except ValueError as error:
            raise ValidationError(f"This cannot be read as words of a command: {error}.") from None

    def validate(self, value: Any) -> None:
        if self.required and not value:
            raise ValidationError("Give at least one word.", code="required")
        if any("\0" in word for word in value):
            raise ValidationError("A word of a command cannot hold a NUL character.")

    def run_validators(self, value: Any) -> None:
        """The limits of CharField are for texts, not for lists."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(initial) != self.to_python(data))
