#!/bin/sh
# Before web and workers: opsdash's own database is there, and has this version's schema.
set -eu
case "$POSTGRES_PASSWORD$REDIS_PASSWORD" in
  *[!A-Za-z0-9]*)
    echo "POSTGRES_PASSWORD and REDIS_PASSWORD become parts of URLs: use letters and digits only. Nothing was started." >&2
    exit 2 ;;
esac
python manage.py wait_for_db --timeout 120
exec python manage.py migrate --noinput
