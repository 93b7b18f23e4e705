# The service (workers, bots, the page); the engine and the store are images of their own.
FROM python:3.12-slim AS build

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# The product's environment, from hashes alone; it changes rarely, so it is a layer of its own.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/askpix \
    && pip --python /opt/askpix/bin/python install --require-hashes --no-deps --only-binary :all: -r requirements.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements-build.lock

COPY pyproject.toml README.md CHANGELOG.md LICENSE askpix.py ./
COPY bots bots
COPY inference inference
COPY storage storage
RUN /opt/build/bin/hatchling build -t wheel -d /dist \
    && pip --python /opt/askpix/bin/python install --no-index --no-deps /dist/*.whl


FROM python:3.12-slim

# The engine for machines without a GPU needs libgomp. Debian keeps no old version of it that could be pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin askpix \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data /models /pages /held

COPY --from=build /opt/askpix /opt/askpix
# Its file system is read-only: what libraries keep between calls goes where it may be lost.
ENV PATH=/opt/askpix/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp ASKPIX_DATA_DIR=/data
USER 10001:10001
WORKDIR /tmp
CMD ["askpix", "up"]
