from django.db import migrations

REFUSE = """
CREATE FUNCTION dbops_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON dbops_auditevent
    FOR EACH ROW EXECUTE FUNCTION dbops_audit_is_append_only();
-- TRUNCATE passes triggers that stand for each row.
CREATE TRIGGER audit_is_never_truncated BEFORE TRUNCATE ON dbops_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION dbops_audit_is_append_only();
"""
ALLOW = """
DROP TRIGGER audit_is_never_truncated ON dbops_auditevent;
DROP TRIGGER audit_is_append_only ON dbops_auditevent;
DROP FUNCTION dbops_audit_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("dbops", "0001_initial")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
