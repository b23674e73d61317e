# The image of Mage and of the package it runs; also of the GCS emulator, which is in the same packages.
# Any other base that has Python 3.11: --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# ---- the packages, as the hashed list says; uv and its downloads stay behind here
FROM ${PYTHON_IMAGE} AS packages
WORKDIR /srv/taxi
RUN python -m venv /opt/uv && python -m venv --without-pip /opt/venv
COPY requirements/uv.sh requirements/uv.txt requirements/mage.txt requirements/
# compiled here, since nobody may write there later and Mage imports thousands of modules
RUN --mount=type=cache,target=/root/.cache/uv,sharing=locked \
    VENV=/opt/uv UV_LINK_MODE=copy requirements/uv.sh pip install --quiet --python /opt/venv/bin/python \
    --compile-bytecode --no-deps --require-hashes -r requirements/mage.txt

# ---- what runs
FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="nyc-taxi-mage" \
      org.opencontainers.image.description="New York taxi trips: Mage and the pipeline that it runs"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/srv/taxi \
    HOME=/tmp \
    USER=taxi \
    PYTHONUNBUFFERED=1 \
    ARROW_DEFAULT_MEMORY_POOL=jemalloc \
    JE_ARROW_MALLOC_CONF=dirty_decay_ms:50,muzzy_decay_ms:0 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONWARNINGS=ignore \
    GIT_PYTHON_REFRESH=quiet \
    DISABLE_AUTO_BROWSER_OPEN=1 \
    MAGE_ACCESS_TOKEN_EXPIRY_TIME=28800 \
    HIDE_API_TRIGGER_TOKEN=1 \
    MAGE_DATA_DIR=/var/lib/mage \
    MAGE_PRESENTERS_DIRECTORY=/srv/taxi/mage_project/presenters \
    TAXI_WORKSPACE=/workspace
# Whoever the container runs as (compose: the owner of the checkout) may write into new volumes.
RUN useradd --no-create-home --home-dir /tmp --uid 1000 taxi && \
    install -d -m 1777 /workspace /var/lib/mage /var/lib/gcs
COPY --from=packages /opt/venv /opt/venv
COPY --chmod=755 docker/taxi /usr/local/bin/taxi
WORKDIR /srv/taxi
RUN ln -s mage_project/io_config.yaml io_config.yaml
# readable for everybody, however strict the umask of the checkout
COPY --chmod=755 nyc_taxi nyc_taxi
COPY --chmod=755 mage_project mage_project
COPY --chmod=755 launchers launchers
USER 1000
EXPOSE 6789
HEALTHCHECK --interval=10s --timeout=8s --start-period=180s --retries=6 \
    CMD ["python", "-m", "launchers.mage.health"]
# The token of the trigger `new file` is set as soon as Mage has a database to set it in.
CMD ["sh", "-c", "(until python -m launchers.mage.health; do sleep 2; done; python -m launchers.mage.trigger_token) & \
                  exec python -m launchers.mage.mage_patches start mage_project --host 0.0.0.0 --port 6789"]
