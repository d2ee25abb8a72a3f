"""Configuration, in Django's own admin: targets and their variables. What jobs and inspections wrote is not
edited there."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from dbops.access import Actor, client_address
from dbops.declare import FIELDS
from dbops.forms import WordsField
from dbops.models import AuditEvent, Grant, Target, TargetDatabase, TargetVariable
from dbops.rights import rights_of

admin.site.site_header = "opsdash configuration"
admin.site.site_title = "opsdash"
admin.site.index_title = "Configuration"


class AliasesField(WordsField):
    """Aliases, separated by blanks."""


class TargetForm(forms.ModelForm):  # type: ignore[type-arg]
    python = WordsField(help_text=Target._meta.get_field("python").help_text)
    launcher = WordsField(required=False, help_text=Target._meta.get_field("launcher").help_text)
    aliases = AliasesField(required=False, help_text=Target._meta.get_field("aliases").help_text)

    class Meta:
        model = Target
        fields = ["name", *FIELDS]


class OnceTextarea(forms.Textarea):
    """May be told not to show what was typed into it."""

    shows = True

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        return super().get_context(name, value if self.shows else "", attrs)


class VariableForm(forms.ModelForm):  # type: ignore[type-arg]
    """A secret value goes in and never comes out: an empty field keeps what is there."""

    value = forms.CharField(
        required=False,
        strip=False,
        widget=OnceTextarea(attrs={"rows": 1, "autocomplete": "off", "spellcheck": "false"}),
        help_text="A secret one is never shown again; leave it empty to keep it. ${NAME} is looked up in the "
        "environment of the worker.",
    )

    class Meta:
        model = TargetVariable
        fields = ["name", "is_secret"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and not self.instance.is_secret:
            self.initial["value"] = self.instance.plain
        # A form that is shown again for another mistake must not bring a secret back into the page.
        widget = self.fields["value"].widget
        assert isinstance(widget, OnceTextarea)
        widget.shows = not self.data.get(self.add_prefix("is_secret"))
        self.was_secret = bool(self.instance.pk and self.instance.is_secret)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.was_secret and not cleaned.get("is_secret") and not cleaned.get("value"):
            raise forms.ValidationError(
                "A secret is never shown again: enter the value anew to keep it in the open."
            )
        if not (self.was_secret and cleaned.get("is_secret") and not cleaned.get("value")):
            self.instance.keep(cleaned.get("value") or "", secret=bool(cleaned.get("is_secret")))
        return cleaned


class Audited(admin.ModelAdmin):  # type: ignore[type-arg]
    """Every change of the configuration is an audit event as well: `target.create`, `user.change` ..."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._audit("create", request, obj, message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._audit("change", request, obj, message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for deleted in queryset:
            self._audit("delete", request, deleted, None)
        return super().log_deletions(request, queryset)

    def _audit(self, act: str, request: HttpRequest, changed: Any, message: Any) -> None:
        """`message` names the fields that changed, never their values."""
        user: Any = request.user
        actor = Actor(user, user.get_username(), client_address(request), rights_of(user))
        name = f"{changed._meta.model_name}.{act}"
        AuditEvent.objects.record(name, actor, target=str(changed), changes=message)


class VariableInline(admin.TabularInline):  # type: ignore[type-arg]
    model = TargetVariable
    form = VariableForm
    extra = 1


class GrantInline(admin.TabularInline):  # type: ignore[type-arg]
    """Which groups see or operate a target, from either side."""

    model = Grant
    extra = 0
    verbose_name = "right of a group on a target"
    verbose_name_plural = "rights of groups on targets"


@admin.register(Target)
class TargetAdmin(Audited):
    form = TargetForm
    inlines = [VariableInline, GrantInline]
    list_display = ["name", "label", "environment", "queue", "allow_migrate", "allow_reset"]
    list_filter = ["environment", "queue"]
    search_fields = ["name", "label"]


class AuditedUserAdmin(Audited, UserAdmin):  # type: ignore[type-arg]
    """People: their roles are groups and flags."""


class AuditedGroupAdmin(Audited, GroupAdmin):
    """The groups viewers and operators have their role on all targets; others have what is granted here."""

    inlines = [GrantInline]


admin.site.unregister([User, Group])
admin.site.register(User, AuditedUserAdmin)
admin.site.register(Group, AuditedGroupAdmin)


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """What opsdash itself wrote."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TargetDatabase)
class TargetDatabaseAdmin(ReadOnly):
    list_display = ["target", "alias", "vendor", "name", "server_version", "pending_count", "inspected_at"]
    list_select_related = ["target"]
    list_per_page = 100
    search_fields = ["target__name", "target__label", "name"]


@admin.register(AuditEvent)
class AuditAdmin(ReadOnly):
    list_display = ["at", "actor", "act", "target", "job_id", "address", "reason"]
    list_filter = ["act"]
    search_fields = ["actor", "target", "reason"]
