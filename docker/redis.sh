#!/bin/sh
# Redis with its password from the environment: in its arguments everybody on the host could read it.
set -eu
install -d -o redis -g redis -m 0700 /data
exec setpriv --reuid redis --regid redis --init-groups redis-server - <<CONFIG
bind * -::*
port 6379
requirepass $REDIS_PASSWORD
dir /data
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
CONFIG
