from django.db import migrations, models

# What earlier versions wrote says it by its act, and its target by its name. A change of type rewrites the
# rows without an UPDATE, which the table refuses.
OUTCOME_OF_OLD = """
ALTER TABLE dbops_auditevent ALTER COLUMN outcome TYPE varchar(10)
    USING CASE WHEN act = 'refused' OR act LIKE '%.refused' THEN 'refused' ELSE 'done' END;
"""
TARGET_OF_OLD = """
CREATE FUNCTION pg_temp.target_named(act text, target text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT id FROM dbops_target WHERE name = split_part(target, '/', 1)
        AND act ~ '^(target|job|session|plan|snapshot)[.]'
$$;
ALTER TABLE dbops_auditevent ALTER COLUMN target_id TYPE bigint USING pg_temp.target_named(act, target);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("dbops", "0017_grants"),
    ]

    operations = [
        migrations.AddField(
            model_name="auditevent",
            name="after",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="before",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="outcome",
            field=models.CharField(
                choices=[("done", "done"), ("failed", "failed"), ("refused", "refused")],
                default="done",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="target_id",
            field=models.BigIntegerField(null=True),
        ),
        migrations.RunSQL(OUTCOME_OF_OLD, migrations.RunSQL.noop),
        migrations.RunSQL(TARGET_OF_OLD, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="auditevent",
            name="at",
            field=models.DateTimeField(auto_now_add=True),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["at", "id"], name="audit_in_order"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["actor", "at", "id"], name="audit_by_actor"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["act", "at", "id"], name="audit_by_act"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["outcome", "at", "id"], name="audit_by_outcome"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["target_id", "at", "id"], name="audit_by_target"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(
                condition=models.Q(("job_id__isnull", False)), fields=["job_id"], name="audit_by_job"
            ),
        ),
        migrations.AddConstraint(
            model_name="auditevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("outcome__in", ["done", "failed", "refused"])), name="audit_outcome_known"
            ),
        ),
    ]
