# The service (worker and bots); the engine and the queue are images of their own.
FROM python:3.12-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# The product's environment, from hashes alone; it changes rarely, so it is a layer of its own.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/askpix \
    && pip --python /opt/askpix/bin/python install --require-hashes --no-deps --only-binary :all: -r requirements.lock \
    && pip install --require-hashes --no-deps --only-binary :all: -r requirements-build.lock

COPY pyproject.toml README.md CHANGELOG.md LICENSE askpix.py ./
COPY bots bots
COPY inference inference
COPY storage storage
RUN hatchling build -t wheel -d /dist \
    && pip --python /opt/askpix/bin/python install --no-index --no-deps /dist/*.whl


FROM python:3.12-slim

# The embedded engine, used where no ASKPIX_ENGINE_URL is set, needs libgomp.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 askpix

COPY --from=build /opt/askpix /opt/askpix
ENV PATH=/opt/askpix/bin:$PATH PYTHONUNBUFFERED=1
USER askpix
WORKDIR /home/askpix
CMD ["askpix", "up"]
