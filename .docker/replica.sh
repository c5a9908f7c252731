#!/bin/bash
# Copies the primary the first time, then follows it.
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chmod 0700 "$PGDATA"
  pg_basebackup --host=postgres --username="$POSTGRES_USER" --pgdata="$PGDATA" --write-recovery-conf \
    --checkpoint=fast
fi
# Without the feedback the primary removes rows that an export here still reads.
exec postgres -c hot_standby_feedback=on
