# Runs once, when the volume of Postgres is empty: creates a role and a database for Optuna and for MLflow, closed to the
# other role. Both have a table alembic_version, so they cannot share a database. psql reads passwords from the environment.
set -eu
export PGPASSWORD="$POSTGRES_PASSWORD"
for name in optuna mlflow; do
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        --set name="$name" --set variable="$(echo "$name" | tr '[:lower:]' '[:upper:]')_POSTGRES_PASSWORD" <<'SQL'
\getenv password :variable
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
rm -f "$PGDATA.unfinished" # see start.sh
