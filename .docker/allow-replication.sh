#!/bin/bash
# When the primary is made: a standby may follow it. (A volume that is older than this file needs the
# line by hand, and `SELECT pg_reload_conf()`.)
set -euo pipefail
echo "host replication all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
