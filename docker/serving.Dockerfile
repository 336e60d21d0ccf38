# Answers POST /invocations with a registered model. The model contains its code; the image has no code of this repository.
#
#     docker build -f docker/serving.Dockerfile -t daily-profit/serving:local .
#     docker run --rm -p 8080:8080 -e MLFLOW_TRACKING_URI -e MODEL_URI=models:/net_profit@champion \
#         daily-profit/serving:local
#
# MODEL_URI names the model, which is downloaded once at start: a new champion is served after a restart.
# MLFLOW_MODELS_WORKERS is the number of processes. GET /ping answers 200 when the model is loaded. A command after the
# image's name runs instead. The container writes only to /tmp.

FROM python:3.11-slim-bookworm AS dependencies
COPY docker/serving.lock /build/
# Wheels only: a package that needs a compiler fails here, instead of adding build tools. Bytecode is not checked against
# the sources at run time, so it is valid on a read-only file system and for any file times.
RUN python -m venv --without-pip /opt/venv \
    && pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet --root-user-action ignore \
        --no-cache-dir --no-compile --only-binary :all: --require-hashes --requirement /build/serving.lock \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/tests/' /opt/venv/lib

FROM python:3.11-slim-bookworm
# LightGBM needs OpenMP. MLflow's launcher starts the server as a child process: tini forwards signals and reaps zombies.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    && useradd --uid 10001 --user-group --no-log-init --home-dir /tmp --shell /usr/sbin/nologin serving
COPY --from=dependencies /opt/venv /opt/venv
COPY docker/serve.sh /opt/
RUN chmod 0555 /opt/serve.sh
# One thread per process: requests have few rows, and LightGBM would use as many threads as the host has cores.
# Artifacts go through MLflow's server, which would otherwise return signed URLs of an S3 store that only it can reach.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    OMP_NUM_THREADS=1 \
    DO_NOT_TRACK=true \
    MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD=false \
    MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD=false
WORKDIR /tmp
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ping', timeout=4)"]
ENTRYPOINT ["tini", "--"]
CMD ["/opt/serve.sh"]
ARG VERSION=local
LABEL org.opencontainers.image.title="daily-profit serving" \
      org.opencontainers.image.description="Serves a registered model over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
