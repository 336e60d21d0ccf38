# Answers POST /invocations with a registered model. The model brings its own code; nothing of this repository is here.
#
#     docker build -f docker/serving.Dockerfile -t daily-profit/serving:local .
#     docker run --rm -p 8080:8080 -e MLFLOW_TRACKING_URI -e MODEL_URI=models:/net_profit@champion \
#         daily-profit/serving:local
#
# MODEL_URI names the model, which is fetched once, when the container starts: a new champion is served after a restart.
# MLFLOW_MODELS_WORKERS is the number of processes. GET /ping answers 200 as soon as the model is loaded. What follows
# the image's name is a command that runs instead. Only /tmp is written to.

FROM python:3.11-slim-bookworm AS dependencies
COPY docker/serving.lock /build/
# Wheels only: a package that wanted a compiler would fail here, not slip build tools in. The bytecode is checked
# against nothing at run time, so it holds on a file system that cannot be written and whatever the files' times are.
RUN python -m venv --without-pip /opt/venv \
    && pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet --root-user-action ignore \
        --no-cache-dir --no-compile --only-binary :all: --require-hashes --requirement /build/serving.lock \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/tests/' /opt/venv/lib

FROM python:3.11-slim-bookworm
# LightGBM needs OpenMP. MLflow's launcher starts the server as a child: tini passes signals on and reaps.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    && useradd --uid 10001 --user-group --no-log-init --home-dir /tmp --shell /usr/sbin/nologin serving
COPY --from=dependencies /opt/venv /opt/venv
COPY docker/serve.sh /opt/
RUN chmod 0555 /opt/serve.sh
# One thread per process: a request's few rows are not worth more, and LightGBM would take the host's number of cores.
# Artifacts come and go through MLflow's server; otherwise it hands out signed URLs of an S3 store that only it can reach.
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
