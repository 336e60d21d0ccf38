# Answers POST /<target>/invocations with registered models and follows their aliases. Every model contains its own code.
#
#     docker build -f docker/serving.Dockerfile -t daily-profit/serving:local .
#     docker run --rm -p 8080:8080 -e MLFLOW_TRACKING_URI daily-profit/serving:local \
#         src.serving.serve --targets=net_profit,is_profitable --host=0.0.0.0 --port=8080
#
# A command is the name of a module, as in the tuner's image; what serving does not need is not installed. GET /ping
# answers 200 while the process lives, GET /ready when all models are loaded. The container writes only to /tmp.

FROM python:3.11-slim-bookworm AS dependencies
COPY docker/serving.lock /build/
# Wheels only: a package that needs a compiler fails here, instead of adding build tools. Bytecode is not checked against
# the sources at run time, so it is valid on a read-only file system and for any file times.
RUN python -m venv --without-pip /opt/venv \
    && pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet --root-user-action ignore \
        --no-cache-dir --no-compile --only-binary :all: --require-hashes --requirement /build/serving.lock \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/tests/' /opt/venv/lib

FROM python:3.11-slim-bookworm AS sources
COPY LICENSE /opt/daily-profit/
COPY src /opt/daily-profit/src
# Independent of the file modes of the checkout: everyone may read, nobody may write.
RUN chmod -R a=rX /opt/daily-profit \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/daily-profit/src

FROM python:3.11-slim-bookworm
# LightGBM needs OpenMP. As PID 1, Python would ignore SIGTERM until it has a handler: tini forwards it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    && useradd --uid 10001 --user-group --no-log-init --home-dir /tmp --shell /usr/sbin/nologin serving
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=sources /opt/daily-profit /opt/daily-profit
# One thread per process: requests have few rows, and LightGBM would use as many threads as the host has cores.
# Artifacts go through MLflow's server, which would otherwise return signed URLs of an S3 store that only it can reach.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/daily-profit \
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
ENTRYPOINT ["tini", "--", "/opt/venv/bin/python", "-m"]
CMD ["src.serving.serve", "--host=0.0.0.0", "--port=8080"]
ARG VERSION=local
LABEL org.opencontainers.image.title="daily-profit serving" \
      org.opencontainers.image.description="Serves registered models over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
