# Writes both databases to standard output, as SQL that restore.sh reads:
#
#     kubectl -n daily-profit exec postgres-0 -- bash /scripts/backup.sh > backup.sql
#
# MLflow's database comes first: a trial that ends during the backup is missing there, and is written again from the study.
# Each database is restored in one transaction, so that a truncated backup leaves the database that it ends in unchanged.
set -euo pipefail
for name in mlflow optuna; do
    printf '\\connect %s %s\nBEGIN;\nDROP OWNED BY CURRENT_USER CASCADE;\n' "$name" "$name"
    PGPASSWORD="$(printenv "${name^^}_POSTGRES_PASSWORD")" pg_dump --username="$name" --no-owner --no-privileges \
        --exclude-table-data=daily_profit_predictions "$name" # a cache: missing predictions are computed again
    printf 'COMMIT;\n'
done
printf '\\echo both databases are restored\n'
