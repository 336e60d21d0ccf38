# MLflow's tracking server, with the drivers for Postgres and S3.
#
#     docker build -f docker/mlflow.Dockerfile -t daily-profit/mlflow:local .
#     docker run --rm -p 5000:5000 daily-profit/mlflow:local
#
# Arguments after the image's name replace those of `mlflow`. Settings, including passwords, come from the environment, so
# that no process list shows them:
#     MLFLOW_BACKEND_STORE_URI     postgresql+psycopg2://user@host:5432/mlflow, with the password in PGPASSWORD
#     MLFLOW_ARTIFACTS_DESTINATION s3://bucket/folder, with MLFLOW_S3_ENDPOINT_URL and AWS_*; clients need neither
#     MLFLOW_SERVER_ALLOWED_HOSTS  host names and ports that clients may use; others are rejected
# With S3, clients download from the store by signed URLs; a client that cannot reach the store needs
# MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD=false, which the tuner and serving images set.
# An empty password is rejected. Without these settings, the server uses an SQLite file and a folder in /work. It writes
# only to /tmp and /work.

FROM python:3.11-slim-bookworm AS dependencies
COPY docker/mlflow.lock /build/
# Wheels only: a package that needs a compiler fails here, instead of adding build tools. Bytecode is not checked against
# the sources at run time, so it is valid on a read-only file system and for any file times.
RUN python -m venv --without-pip /opt/venv \
    && pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet --root-user-action ignore \
        --no-cache-dir --no-compile --only-binary :all: --require-hashes --requirement /build/mlflow.lock \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/tests/' /opt/venv/lib

FROM python:3.11-slim-bookworm
# As PID 1, MLflow's launcher would not stop the server's processes; tini forwards signals and reaps zombies.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    && useradd --uid 10001 --user-group --no-log-init --home-dir /work --shell /usr/sbin/nologin mlflow \
    && install --directory --owner 10001 --group 10001 --mode 1777 /work
COPY --from=dependencies /opt/venv /opt/venv
COPY docker/mlflow.sh /opt/
RUN chmod 0555 /opt/mlflow.sh
# Job execution is for MLflow's evaluation of language models; it would double the memory and triple the start-up time.
# A worker takes 240 MB, and so does the launcher.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    GIT_PYTHON_REFRESH=quiet \
    DO_NOT_TRACK=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    MLFLOW_WORKERS=2
WORKDIR /work
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
ENTRYPOINT ["tini", "--", "/opt/mlflow.sh"]
# Host and port are arguments, not environment variables: a Kubernetes Service named mlflow sets MLFLOW_PORT to a URL.
CMD ["server", "--host", "0.0.0.0", "--port", "5000", "--serve-artifacts"]
ARG VERSION=local
LABEL org.opencontainers.image.title="daily-profit mlflow" \
      org.opencontainers.image.description="MLflow tracking server with the drivers for Postgres and S3" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
