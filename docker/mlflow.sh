#!/bin/sh
# Runs `mlflow` with these arguments; exit status 2 if a password is set but empty.
set -eu
for password in "PGPASSWORD=${PGPASSWORD-unset}" "AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY-unset}"; do
    if [ -z "${password#*=}" ]; then
        echo "error: ${password%=} is empty: give it the password of the store, or leave it unset" >&2
        exit 2
    fi
done
exec mlflow "$@"
