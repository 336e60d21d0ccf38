# Starts the server if every role has a password. The superuser's password is random and not saved, because nobody logs in
# as superuser. Arguments are passed on to the server.
set -eu
for name in OPTUNA_POSTGRES_PASSWORD MLFLOW_POSTGRES_PASSWORD; do
    if [ -z "$(printenv "$name")" ]; then
        echo "error: $name is empty: give it a value in the Secret credentials" >&2
        exit 2
    fi
done
# An interrupted first start leaves a server without databases, which a later start would not create: start over.
if [ -e "$PGDATA.unfinished" ]; then
    rm -rf "$PGDATA"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    touch "$PGDATA.unfinished"
fi
POSTGRES_PASSWORD="$(head -c 32 /dev/urandom | base64)"
export POSTGRES_PASSWORD
exec docker-entrypoint.sh postgres -c hba_file=/scripts/pg_hba.conf "$@"
