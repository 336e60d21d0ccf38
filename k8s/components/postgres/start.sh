# Starts the server, unless a role would be without a password. Nobody ever logs in as the superuser: its password is made
# here and kept nowhere. What follows the script's name goes to the server.
set -eu
for name in OPTUNA_POSTGRES_PASSWORD MLFLOW_POSTGRES_PASSWORD; do
    if [ -z "$(printenv "$name")" ]; then
        echo "error: $name is empty: give it a value in the Secret credentials" >&2
        exit 2
    fi
done
# A first start that was cut off leaves a server without its databases, which no later start would make: begin again.
if [ -e "$PGDATA.unfinished" ]; then
    rm -rf "$PGDATA"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    touch "$PGDATA.unfinished"
fi
POSTGRES_PASSWORD="$(head -c 32 /dev/urandom | base64)"
export POSTGRES_PASSWORD
exec docker-entrypoint.sh postgres -c hba_file=/scripts/pg_hba.conf "$@"
