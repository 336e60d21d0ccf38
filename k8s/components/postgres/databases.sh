# Runs once, when the volume is empty: a role and a database for each of the two, closed to the other.
#
# A role whose password is empty could not log in at all. That happens only where the overlay `local` was applied by hand
# instead of by `make fanout`: then the role is let in without one, and the network policies alone guard it.
set -eu
for name in optuna mlflow; do
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set name="$name" --set variable="${name}_password" <<'SQL'
\getenv password :variable
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
    eval "password=\${${name}_password}"
    if [ -z "$password" ]; then
        echo "warning: no password was given for $name: every pod that reaches this one is let in as $name" >&2
        sed -i "1i host $name $name all trust" "$PGDATA/pg_hba.conf"
    fi
done
