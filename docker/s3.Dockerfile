# A small S3 store: SeaweedFS as one process, with the bucket `mlflow`. Not for production.
#
#     docker build -f docker/s3.Dockerfile -t daily-profit/s3:local .
#     docker run --rm -p 8333:8333 -e AWS_ACCESS_KEY_ID -e AWS_SECRET_ACCESS_KEY daily-profit/s3:local
#
# The two variables set its access key; without them it does not start. Data is in /data. The internal ports (9333, 9340,
# 8888) need no key and listen on the loopback address only.

FROM python:3.11-slim-bookworm AS dependencies
COPY docker/s3.lock /build/
RUN python -m venv --without-pip /opt/venv \
    && pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet --root-user-action ignore \
        --no-cache-dir --no-compile --only-binary :all: --require-hashes --requirement /build/s3.lock

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --user-group --no-log-init --home-dir /data --shell /usr/sbin/nologin s3 \
    && install --directory --owner 10001 --group 10001 --mode 0755 /data
COPY --from=dependencies /opt/venv/bin/weed /usr/local/bin/weed
COPY docker/s3.py /opt/
RUN chmod 0444 /opt/s3.py
ENV HOME=/tmp
WORKDIR /data
USER 10001:10001
EXPOSE 8333
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8333/healthz', timeout=4)"]
ENTRYPOINT ["python", "/opt/s3.py", "8333", "8334"]
# SeaweedFS listens on the loopback address only; s3.py forwards port 8333 to its S3 port.
CMD ["weed", "mini", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port=8334", "-bucket=mlflow", \
     "-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
ARG VERSION=local
LABEL org.opencontainers.image.title="daily-profit s3" \
      org.opencontainers.image.description="S3 store of SeaweedFS in one process" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
