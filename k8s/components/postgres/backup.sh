# Writes both databases to standard output, as SQL that restore.sh reads:
#
#     kubectl -n daily-profit exec postgres-0 -- bash /scripts/backup.sh > backup.sql
#
# MLflow's comes first: a trial that ends meanwhile is then missing there, and written again from the study. Each database
# is replaced in one transaction, so that a backup that breaks off changes nothing in the one that it breaks off in.
set -euo pipefail
for name in mlflow optuna; do
    printf '\\connect %s %s\nBEGIN;\nDROP OWNED BY CURRENT_USER CASCADE;\n' "$name" "$name"
    PGPASSWORD="$(printenv "${name^^}_POSTGRES_PASSWORD")" pg_dump --username="$name" --no-owner --no-privileges \
        --exclude-table-data=daily_profit_predictions "$name" # a cache: trials are trained again where it is empty
    printf 'COMMIT;\n'
done
printf '\\echo both databases are restored\n'
