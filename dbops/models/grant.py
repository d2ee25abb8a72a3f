"""Which targets a group sees or operates."""

from django.contrib.auth.models import Group
from django.db import models

from dbops.models.target import Target


class Grant(models.Model):
    """The members of a group have this role on one target. Roles on all targets: dbops.rights."""

    class Role(models.TextChoices):
        VIEWER = "viewer", "viewer: sees it"
        OPERATOR = "operator", "operator: starts and cancels jobs there"
        STAFF = "staff", "staff: also dangerous acts there"

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="grants")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="grants")
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        ordering = ["group__name", "target__name"]
        constraints = [
            models.UniqueConstraint(fields=["group", "target"], name="grant_once_a_group_and_target"),
            models.CheckConstraint(
                name="grant_role_known",
                condition=models.Q(role__in=["viewer", "operator", "staff"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.group.name} is {self.role} on {self.target.name}"
