"""What a migration's file was when it was applied: the archive of sources, and who refers to it."""

from django.db import models
from django.db.models import F, Q

from dbops.models.target import Target, TargetDatabase


class MigrationSource(models.Model):
    """The text of one file, once for all targets where it was proven to have this hash; else it is what one
    target says of its own file, and `target` names it. `hash` is SHA-256 of the bytes; `text` is without
    secrets, so that the one cannot be reckoned from the other."""

    hash = models.CharField(max_length=64)
    target = models.ForeignKey(Target, null=True, on_delete=models.CASCADE, related_name="sources")
    text = models.TextField(blank=True)
    cut = models.BooleanField(default=False, help_text="The file is longer than what is kept.")
    # Proven, and nothing is masked but the ends of lines: equal texts mean equal files.
    exact = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="source_is_kept_once_for_all", fields=["hash"], condition=Q(target=None)
            ),
            models.UniqueConstraint(name="source_is_kept_once_a_target", fields=["hash", "target"]),
            models.CheckConstraint(
                name="source_of_one_target_is_not_exact", condition=Q(target=None) | Q(exact=False)
            ),
        ]

    def __str__(self) -> str:
        return self.hash[:12]


class SeenMigration(models.Model):
    """One migration of one database, as inspections saw it.

    `hash` is frozen with the row in django_migrations that says it is applied (`applied_at`): what a later
    file differs from. While it is pending it follows the file. "" where no file was seen. Texts are looked up
    by hash and may be lacking.
    """

    database = models.ForeignKey(TargetDatabase, on_delete=models.CASCADE, related_name="seen_migrations")
    app = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    applied = models.BooleanField()
    # As the row says; None where it says nothing.
    applied_at = models.DateTimeField(null=True)
    hash = models.CharField(max_length=64, blank=True)
    # On disk at the latest inspection; "" where the file is gone.
    hash_now = models.CharField(max_length=64, blank=True)
    # The very text was seen before it was applied. Otherwise it may have been edited before it was archived.
    seen_before = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField()
    # When `hash` was frozen.
    frozen_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["database", "app", "name"], name="migration_seen_once_a_database"
            ),
            models.CheckConstraint(
                name="seen_migration_is_frozen_when_applied",
                condition=Q(applied=True, frozen_at__isnull=False)
                | Q(applied=False, frozen_at=None, applied_at=None, hash=F("hash_now")),
            ),
        ]
        indexes = [
            models.Index(fields=["hash"], name="seen_migration_hash"),
            models.Index(fields=["hash_now"], name="seen_migration_hash_now"),
        ]

    def __str__(self) -> str:
        return f"{self.app}.{self.name}"

    @property
    def is_edited(self) -> bool:
        """Another file lies there than the one that was applied. A file that is gone is no edit."""
        return self.applied and bool(self.hash and self.hash_now) and self.hash != self.hash_now
