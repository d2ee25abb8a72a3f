#!/bin/sh
# Writes .env for docker-compose.yml from .env.example: what must be secret is made up, what exists is left alone.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
  echo ".env exists and is left as it is. Move it away first if you want a new one: its passwords open your data." >&2
  exit 1
fi

letters() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
fernet_key() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; }

umask 077
sed \
  -e "s|^OPSDASH_SECRET_KEY=\$|&$(letters 32)|" \
  -e "s|^OPSDASH_SEALING_KEYS=\$|&$(fernet_key)|" \
  -e "s|^POSTGRES_PASSWORD=\$|&$(letters 24)|" \
  -e "s|^REDIS_PASSWORD=\$|&$(letters 24)|" \
  -e "/^DATABASE_URL=/d" -e "/^REDIS_URL=/d" \
  -e "s|^OPSDASH_SECURE=1\$|OPSDASH_SECURE=0|" \
  .env.example >.env.new
mv -n .env.new .env
echo "Wrote .env. Keep a copy where you keep secrets: without OPSDASH_SEALING_KEYS the secrets of targets cannot be read."
echo "OPSDASH_SECURE is 0, for http on this machine only. Behind a proxy with https set it to 1 (docs/compose.md)."
