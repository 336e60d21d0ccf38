# All commands that work on a study: create, workers and finish; also promotion and batch prediction.
#
#     docker build -f docker/tuner.Dockerfile -t daily-profit/tuner:local .
#     docker run --rm daily-profit/tuner:local src.modeling.train_with_optuna --help
#
# The arguments are a module and its options, as after `python -m`. The container writes only to /tmp and to its working
# directory /work, where artefacts/ and the embedded stores are. The rest may be read-only, and any user id works.

FROM python:3.11-slim-bookworm AS dependencies
COPY requirements.lock /build/
# Wheels only: a package that needs a compiler fails here, instead of adding build tools. Bytecode is not checked against
# the sources at run time, so it is valid on a read-only file system and for any file times.
RUN python -m venv --without-pip /opt/venv \
    && pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet --root-user-action ignore \
        --no-cache-dir --no-compile --only-binary :all: --require-hashes --requirement /build/requirements.lock \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/tests/' /opt/venv/lib

FROM python:3.11-slim-bookworm AS sources
COPY LICENSE /opt/daily-profit/
COPY src /opt/daily-profit/src
# Independent of the file modes of the checkout: everyone may read, nobody may write.
RUN chmod -R a=rX /opt/daily-profit \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/daily-profit/src

FROM python:3.11-slim-bookworm
# LightGBM needs OpenMP. As PID 1, Python would ignore SIGTERM until it has a handler and would not reap orphans; tini
# handles both.
# The list of OpenCL libraries, for LightGBM on an NVIDIA GPU; without one, it has no effect.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    && useradd --uid 10001 --user-group --no-log-init --home-dir /work --shell /usr/sbin/nologin daily-profit \
    && install --directory --owner 10001 --group 10001 --mode 1777 /work \
    && mkdir --parents /etc/OpenCL/vendors \
    && echo libnvidia-opencl.so.1 > /etc/OpenCL/vendors/nvidia.icd
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=sources /opt/daily-profit /opt/daily-profit
# HOME is for the caches of fontconfig, Matplotlib, MLflow and LightGBM's GPU kernels; DO_NOT_TRACK turns off MLflow's usage reports.
# Artifacts go through MLflow's server, which would otherwise return signed URLs of an S3 store that only it can reach.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/daily-profit \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    GIT_PYTHON_REFRESH=quiet \
    DO_NOT_TRACK=true \
    MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD=false \
    MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD=false
WORKDIR /work
USER 10001:10001
ENTRYPOINT ["tini", "--", "/opt/venv/bin/python", "-m"]
CMD ["src.modeling.optuna_parallel_optimization", "--help"]
ARG VERSION=local
LABEL org.opencontainers.image.title="daily-profit tuner" \
      org.opencontainers.image.description="Tunes LightGBM models: creates studies, runs trials, fits and registers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
