-- A role for opsdash's web, workers, beat and prober that owns nothing: it can write rows, and neither alter tables nor
-- switch off the triggers that keep the audit trail. Run once by the owner, after
-- the first `manage.py migrate`; who may create no role has the first statement done by somebody who may:
--   psql "$OWNER_URL" -v password="$APP_PASSWORD" -f docker/own-role.sql
-- Then `migrate` keeps the owner's DATABASE_URL, and all else gets one with opsdash_app.
CREATE ROLE opsdash_app LOGIN PASSWORD :'password';
GRANT USAGE ON SCHEMA public TO opsdash_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO opsdash_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO opsdash_app;
-- What later versions add.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO opsdash_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO opsdash_app;
REVOKE UPDATE, DELETE ON dbops_auditevent FROM opsdash_app;
-- It may read which version's schema there is, and not say so.
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM opsdash_app;
