# Replaces both databases with those of a backup, while no run is active and MLflow's server is stopped:
#
#     kubectl -n daily-profit exec -i postgres-0 -- bash /scripts/restore.sh < backup.sql
set -euo pipefail
umask 077
PGPASSFILE="$(mktemp)"
export PGPASSFILE
trap 'rm -f "$PGPASSFILE"' EXIT
for name in optuna mlflow; do
    printf '*:*:*:%s:%s\n' "$name" "$(printenv "${name^^}_POSTGRES_PASSWORD" | sed 's/[\\:]/\\&/g')"
done > "$PGPASSFILE"
psql --no-psqlrc --quiet --output=/dev/null --set=ON_ERROR_STOP=1 --username=optuna optuna |
    grep -x 'both databases are restored' || {
    echo "error: the backup was not restored completely: fix the error above and restore it again" >&2
    exit 1
}
