#!/bin/sh
# Serves the model that MODEL_URI names on port 8080; exit status 2 if it names none.
set -eu
: "${MODEL_URI:?is empty: name the model, as in MODEL_URI=models:/net_profit@champion}"
exec mlflow models serve --env-manager local --host 0.0.0.0 --port 8080 --model-uri "$MODEL_URI"
