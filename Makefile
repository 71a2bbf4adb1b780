# Two commands do everything: `make demo` and `make test`. Both make .venv from the hashed lock files and reuse it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
ONCE ?=
GPUS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check unit e2e cluster cluster-down golden stubs docs manifests lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

demo: $(VENV)/.runtime ## run the three agents on this machine (ONCE=1 ends after the tour, GPUS=name|file chooses the fleet)
	@$(BIN)/gpunode demo $(if $(ONCE),--once) $(if $(GPUS),--gpus "$(GPUS)")

test: check unit ## style, types, layers and all tests

check: $(VENV)/.dev ## ruff, mypy strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

unit: $(VENV)/.dev ## the tests alone
	@$(BIN)/python -m pytest

.PHONY: audit
audit: $(VENV)/.audit ## known vulnerabilities of the locked packages, asked of PyPI; needs the network
	@$(VENV)/audit/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
		--requirement requirements.lock --requirement requirements-dev.lock

FUZZ_EXAMPLES ?= 2000
.PHONY: fuzz
fuzz: $(VENV)/.dev ## every parser with damaged input for some minutes (FUZZ_EXAMPLES=n for each); `make test` does it for seconds
	@FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -m fuzz --timeout 7200 tests/fuzz

.PHONY: test-gpu
test-gpu: $(VENV)/.dev ## what we say of this machine's real GPUs, compared with nvidia-smi; skipped without a driver
	@$(BIN)/python -m pytest -m gpu -n 0 -rs tests/gpu

e2e: $(VENV)/.dev ## every scenario on a real cluster, then nothing is left (KEEP=1 keeps it); needs root and Go
	@$(BIN)/python -m tests.e2e

cluster: $(VENV)/.dev ## a real Kubernetes cluster on this machine, with an image of this tree; needs root and Go
	@$(BIN)/python -m tests.e2e.cluster up

cluster-down: $(VENV)/.dev ## take it down; what was built stays in the cache
	@$(BIN)/python -m tests.e2e.cluster down

golden: $(VENV)/.dev ## write the golden files anew; read the diff before you commit it
	@$(BIN)/python -m pytest --golden=write -p no:randomly -n 0 -m golden

stubs: $(VENV)/.dev ## generate the kubelet API stubs from the .proto files
	@$(BIN)/python -m tests.stubs write

docs: $(VENV)/.dev ## write the generated parts of docs/ anew
	@$(BIN)/python -m tests.docs write

manifests: $(VENV)/.dev ## write the manifests that are made from the Helm chart anew
	@$(BIN)/python -m tests.manifests write

lock: $(VENV)/.uv ## resolve the lock files anew
	@$(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --upgrade \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --extra build pyproject.toml -o requirements.lock
	@$(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --upgrade \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

IMAGE ?= localhost/gpunode:dev
BUILDPLATFORM := linux/$(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)
PLATFORM ?= $(BUILDPLATFORM)
# The date of all files, the same for all versions: what did not change is the same layer. 1980, because archives know none before.
SOURCE_DATE_EPOCH ?= 315532800
BUILDER ?=
BUILDAH ?= buildah
.PHONY: image image-builder test-image

image: ## the agents' image with buildah (IMAGE=name PLATFORM=linux/arm64 BUILDER=image); see docs/image.md
	@$(BUILDAH) build --layers --platform $(PLATFORM) --timestamp $(SOURCE_DATE_EPOCH) \
		--build-arg SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) --build-arg BUILDPLATFORM=$(BUILDPLATFORM) $(if $(BUILDER),--build-arg BUILDER=$(BUILDER)) \
		--label org.opencontainers.image.revision=$(shell git rev-parse HEAD 2>/dev/null) $(BUILD_FLAGS) --tag $(IMAGE) .

image-builder: ## what builds the image, made of Debian's packages alone; for where no image registry is (root and mmdebstrap needed)
	@mmdebstrap --quiet --variant=apt --include=ca-certificates,python3-minimal,python3-pip --aptopt='APT::Install-Recommends "false"' \
		bookworm - "deb http://deb.debian.org/debian bookworm main" "deb http://deb.debian.org/debian bookworm-updates main" \
		"deb http://deb.debian.org/debian-security bookworm-security main" >build-rootfs.tar && \
	container=$$($(BUILDAH) from scratch) && $(BUILDAH) add --quiet $$container build-rootfs.tar / && \
	$(BUILDAH) commit --quiet --rm $$container localhost/gpunode-builder; status=$$?; rm -f build-rootfs.tar; exit $$status

test-image: $(VENV)/.dev ## what `make image` made: each agent runs without root on a read-only root, and no library is missing
	@IMAGE=$(IMAGE) $(BIN)/python -m pytest -m image -n 0 -rs tests/image

clean: ## remove .venv and everything built
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gpunode needs Python 3.11 or newer; '$(PYTHON)' is not. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "python3-venv is missing. Install it: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the locked dependencies into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.audit: | $(BIN)/python
	@$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/python -m pip --quiet install pip-audit
	@touch $@

$(VENV)/.uv: | $(BIN)/python
	@$(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/python -m pip --quiet install uv
	@touch $@
