#!/bin/sh
# Serves the model of MODEL_URI on port 8080; exit status 2 if MODEL_URI is empty.
set -eu
: "${MODEL_URI:?is empty: name the model, as in MODEL_URI=models:/net_profit@champion}"
exec mlflow models serve --env-manager local --host 0.0.0.0 --port 8080 --model-uri "$MODEL_URI"
