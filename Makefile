# Everything happens in .venv in this checkout; nothing needs root.
.DEFAULT_GOAL := help
.PHONY: help setup up test test-sglang lint deploy-check docs bench-queue bench-road bench-context bench-gateway \
	bench-failover chaos claims fuzz demo-model lock

BIN := .venv/bin
SETUP := python3 .ci/setup.py

export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
unexport PYTHONDONTWRITEBYTECODE  # the tests start hundreds of Pythons, each of which would compile everything

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/run.stamp: requirements.lock requirements-build.lock pyproject.toml .ci/setup.py
	@$(SETUP) .venv run requirements.lock requirements-build.lock

.venv/dev.stamp: .venv/run.stamp requirements-dev.lock
	@$(SETUP) .venv dev requirements-dev.lock

setup: .venv/dev.stamp  ## make the environment, for running and for developing

up: .venv/run.stamp  ## run everything: queue, engine, worker, page and the bots that have a token
	@exec $(BIN)/askpix up

test: .venv/dev.stamp  ## all tests in random order, the built wheel included (ARGS="-k queue" for some)
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# Not compiled at installation: the first start compiles the part that it imports. (pip wants a "no" to its "no".)
.venv-sglang/run.stamp: requirements-sglang.lock tests/sglang/constraints.txt pyproject.toml .ci/setup.py
	@PIP_CONSTRAINT=tests/sglang/constraints.txt PIP_NO_COMPILE=no $(SETUP) .venv-sglang run requirements-sglang.lock

test-sglang: .venv/dev.stamp .venv-sglang/run.stamp  ## tests against real SGLang on the CPU, in an environment of its own
	@$(BIN)/python -m pytest tests/sglang $(ARGS)

lint: .venv/dev.stamp  ## ruff, pyright, the import contracts, the ceilings, compose.yaml and the Dockerfile
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --quiet --check . || { echo "make lint: run $(BIN)/ruff format"; exit 1; }
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	@$(BIN)/hadolint --failure-threshold info Dockerfile
	@$(BIN)/python -m pytest -q tests/test_ceilings.py tests/test_repository.py

deploy-check: .venv/dev.stamp  ## compose.yaml and the Dockerfile against their rules and the code, without a container
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	@$(BIN)/hadolint --failure-threshold info Dockerfile
	@$(BIN)/python -m pytest -q tests/test_compose.py tests/test_deployed.py

docs: .venv/dev.stamp  ## write the pages that are made from code: docs/settings.md, troubleshooting.md, scale.md
	@$(BIN)/python -m bench.pages

.venv-bench/run.stamp: requirements-bench.lock .ci/setup.py
	@$(SETUP) .venv-bench run requirements-bench.lock

.venv-bench-taskiq/run.stamp: requirements-bench-taskiq.lock .ci/setup.py
	@$(SETUP) .venv-bench-taskiq run requirements-bench-taskiq.lock

bench-queue: .venv/run.stamp .venv-bench/run.stamp .venv-bench-taskiq/run.stamp  ## the queue beside bare streams, arq, taskiq and saq; one JSON line last
	@$(BIN)/python -m bench.queue

bench-road: .venv/dev.stamp  ## what the service adds from update to engine and back; one JSON line last
	@$(BIN)/python -m bench.road

bench-context: .venv/dev.stamp .venv-sglang/run.stamp  ## what trimming leaves of SGLang's prefix cache; one JSON line last
	@$(BIN)/python -m bench.context

.venv-gateway/run.stamp: bench/gateway.lock .ci/setup.py
	@$(SETUP) .venv-gateway run bench/gateway.lock

bench-gateway: .venv/dev.stamp .venv-gateway/run.stamp  ## two engines: our own choice beside SGLang's gateway; one JSON line last
	@$(BIN)/python -m bench.gateway

bench-failover: .venv/dev.stamp  ## kill a Sentinel's primary again and again under 50 asks/s; one JSON line last
	@$(BIN)/python -m bench.failover --kills 10

chaos: .venv/dev.stamp  ## everything goes wrong under load (CHAOS_SECONDS=60, CHAOS_SEED replays); one JSON line last
	@$(BIN)/python -m bench.chaos

fuzz: .venv/dev.stamp  ## 20,000 bad inputs at every door, more for FUZZ_SECONDS; one JSON line last
	@$(BIN)/python -m bench.fuzz $(or $(FUZZ_SECONDS),0) $(or $(FUZZ_SEED),1)

claims: .venv/dev.stamp  ## what we claim, each as a scenario (ARGS="--quick albums" for some); one JSON line last
	@$(BIN)/python -m bench.claims $(ARGS)

demo-model:  ## train the demo model anew, in an environment of its own (a GPU; on a CPU with ARGS=--small)
	@$(SETUP) .venv-demo demo inference/demo/requirements.txt
	@.venv-demo/bin/python -m inference.demo.train $(ARGS)
	@.venv-demo/bin/python -m inference.demo.convert

lock:  ## resolve the locks again (UPGRADE=--upgrade for newer versions)
	@.ci/lock $(UPGRADE)
