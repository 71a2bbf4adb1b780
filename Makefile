# The main commands are `make demo` and `make test`. Both create .venv from the hashed lock files, and reuse it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
ONCE ?=
GPUS ?=

# Tests start hundreds of Python processes. Without bytecode files each process compiles the packages again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check unit exhaustive e2e cluster cluster-down golden stubs docs manifests lock clean

help: ## Print this list.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 24

demo: $(VENV)/.terminal ## Run the three agents on this machine (ONCE=1: exit after the tour; GPUS=scenario: a name or a file).
	@trap : INT; $(BIN)/gpunode demo $(if $(ONCE),--once) $(if $(GPUS),--gpus "$(GPUS)") || [ $$? -eq 130 ] # 130: Ctrl-C

# mypy uses one core. The tests use the others, and wait for other processes at times.
test: ## Run the linters, mypy, the import contracts and the fast tests.
	@$(MAKE) --no-print-directory --jobs 2 check unit

check: $(VENV)/.dev ## Run ruff, mypy and the import contracts.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

unit: $(VENV)/.dev ## Run only the fast tests.
	@$(BIN)/python -m pytest

exhaustive: $(VENV)/.dev ## Run the slow tests, and every property with many random examples. CI runs these too.
	@FUZZ_EXAMPLES=200 $(BIN)/python -m pytest --hypothesis-profile exhaustive --timeout 600 \
		-m '(exhaustive or hypothesis or fuzz) and not gpu and not e2e and not image and not browser'

.PHONY: mutate
mutate: $(VENV)/.dev ## Test the tests: change the code in COUNT=40 places of a copy (SEED=1 PACKAGES=folders WIDER=tests).
	@COUNT="$(COUNT)" SEED="$(SEED)" PACKAGES="$(PACKAGES)" WIDER="$(WIDER)" $(BIN)/python -m tests.mutate

.PHONY: audit
audit: $(VENV)/.audit ## Check the locked packages for known vulnerabilities. Needs access to PyPI.
	@$(VENV)/audit/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
		--requirement requirements.lock --requirement requirements-terminal.lock --requirement requirements-dev.lock

FUZZ_EXAMPLES ?= 2000
.PHONY: fuzz
fuzz: $(VENV)/.dev ## Fuzz every parser for some minutes (FUZZ_EXAMPLES=n for each parser).
	@FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -m fuzz --timeout 7200 tests/fuzz

.PHONY: test-gpu
test-gpu: $(VENV)/.dev ## Compare the results for this machine's real GPUs with nvidia-smi. Skipped without a driver.
	@$(BIN)/python -m pytest -m gpu -n 0 -rs tests/gpu

.PHONY: test-browser
test-browser: $(VENV)/.dev ## Test the page of gpunode ui in Chromium, and leave screenshots in build/screens. Needs chromium-driver.
	@$(BIN)/python -m pytest -m browser -n 0 tests/gpunode/ui

e2e: $(VENV)/.dev ## Run every scenario on a real cluster, then remove the cluster (KEEP=1 retains it). Needs root and Go.
	@$(BIN)/python -m tests.e2e

cluster: $(VENV)/.dev ## Start a real Kubernetes cluster on this machine, with an image of this tree. Needs root and Go.
	@$(BIN)/python -m tests.e2e.cluster up

cluster-down: $(VENV)/.dev ## Remove the cluster. Built programs remain in the cache.
	@$(BIN)/python -m tests.e2e.cluster down

BENCH = $(if $(QUICK),--quick) $(foreach part,$(ONLY),--only $(part)) $(if $(SAVE),--folder benchmarks/results)
# Also after a failed check, whose result the page has to show.
PAGES = $(if $(SAVE),; status=$$?; $(MAKE) --no-print-directory docs && exit $$status)
.PHONY: bench
bench: $(VENV)/.dev ## Measure memory, start, calls and reactions beside their goals (QUICK=1, AGAINST=kind=command). Needs root.
	@$(BIN)/python -m benchmarks $(BENCH) $(if $(AGAINST),--against '$(AGAINST)') $(PAGES)

NODES ?= 500
.PHONY: scale
scale: $(VENV)/.dev ## Run the agents of NODES=500 Nodes against a real API server, and check their requests. Needs Go.
	@$(BIN)/python -m benchmarks.scale --nodes $(NODES) $(if $(SAVE),--folder benchmarks/results) $(PAGES)

SOAK_SECONDS ?= 600
.PHONY: soak
soak: $(VENV)/.dev ## Run all agents while everything around them changes, and check that they do not grow (SOAK_SECONDS=600). Needs root.
	@$(BIN)/python -m benchmarks.soak $(SOAK_SECONDS) $(if $(SAVE),benchmarks/results) $(PAGES)

.PHONY: faults
faults: $(VENV)/.dev ## Break everything around the agents, and count lost labels and allocations (QUICK=1, ONLY=fault). Needs root.
	@$(BIN)/python -m benchmarks.faults $(BENCH) $(PAGES)

golden: $(VENV)/.dev ## Update the golden files. Read the diff before you commit it.
	@$(BIN)/python -m pytest --golden=write -p no:randomly -n 0 -m golden

stubs: $(VENV)/.dev ## Generate the stubs of the kubelet APIs from the .proto files.
	@$(BIN)/python -m tests.stubs write

docs: $(VENV)/.dev ## Generate the pages of docs/ and the man pages, which come from the code.
	@$(BIN)/python -m tests.docs write

.PHONY: screens
screens: test-browser ## Record the pictures of docs/images: terminals and the page. Needs chromium-driver.
	@$(BIN)/python -m tests.pictures

manifests: $(VENV)/.dev ## Generate the manifests from the Helm chart.
	@$(BIN)/python -m tests.manifests write

# The extra `terminal` of pyproject.toml.
TERMINAL = import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["terminal"], sep="\n")
RESOLVE = $(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --upgrade \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: $(VENV)/.uv ## Resolve the lock files again with the newest versions.
	@$(RESOLVE) --extra build pyproject.toml -o requirements.lock
	@$(BIN)/python -c '$(TERMINAL)' | $(RESOLVE) -c requirements.lock - -o requirements-terminal.lock
	@$(RESOLVE) --extra build --extra terminal --extra ui --extra dev -c requirements.lock -c requirements-terminal.lock pyproject.toml \
		-o requirements-dev.lock

IMAGE ?= localhost/gpunode:dev
BUILDPLATFORM := linux/$(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)
PLATFORM ?= $(BUILDPLATFORM)
# The date of all files, equal for all versions, so that unchanged files result in equal layers. 1980 is the earliest date of archives.
SOURCE_DATE_EPOCH ?= 315532800
BUILDER ?=
BUILDAH ?= buildah
# The first of these programs that this machine has.
IMAGE_TOOL ?= $(firstword $(foreach tool,$(BUILDAH) podman docker,$(if $(shell command -v $(tool)),$(tool))))
IMAGE_FLAGS = --platform $(PLATFORM) --build-arg SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(if $(BUILDER),--build-arg BUILDER=$(BUILDER)) \
	--label org.opencontainers.image.revision=$(shell git rev-parse HEAD 2>/dev/null) $(BUILD_FLAGS) --tag $(IMAGE) .
.PHONY: image image-builder test-image

image: ## Build the agents' image with buildah, podman or docker (IMAGE=name PLATFORM=linux/arm64). See docs/how-to/build-image.md.
ifeq ($(IMAGE_TOOL),)
	@echo "No program that builds images was found. Install buildah, podman, or docker with buildx: apt-get install buildah" >&2; exit 1
else ifeq ($(notdir $(IMAGE_TOOL)),docker)
	@$(IMAGE_TOOL) buildx version >/dev/null 2>&1 || \
		{ echo "docker has no buildx. Install docker-buildx-plugin (Debian: docker-buildx), buildah or podman" >&2; exit 1; }
	@$(IMAGE_TOOL) buildx build --file Containerfile --load $(IMAGE_FLAGS)
else
	@$(IMAGE_TOOL) build --layers --timestamp $(SOURCE_DATE_EPOCH) --build-arg BUILDPLATFORM=$(BUILDPLATFORM) $(IMAGE_FLAGS)
endif

image-builder: ## Build the builder image from Debian packages, without an image registry. Needs root and mmdebstrap.
	@mmdebstrap --quiet --variant=apt --include=ca-certificates,python3-minimal,python3-pip --aptopt='APT::Install-Recommends "false"' \
		bookworm - "deb http://deb.debian.org/debian bookworm main" "deb http://deb.debian.org/debian bookworm-updates main" \
		"deb http://deb.debian.org/debian-security bookworm-security main" >build-rootfs.tar && \
	container=$$($(BUILDAH) from scratch) && $(BUILDAH) add --quiet $$container build-rootfs.tar / && \
	$(BUILDAH) commit --quiet --rm $$container localhost/gpunode-builder; status=$$?; rm -f build-rootfs.tar; exit $$status

test-image: $(VENV)/.dev ## Test the image of `make image`: each agent runs without root on a read-only root. Needs root, buildah and runc.
	@IMAGE=$(IMAGE) $(BIN)/python -m pytest -m image -n 0 -rs tests/image

clean: ## Remove .venv and all build results.
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

$(VENV)/.terminal: requirements-terminal.lock $(VENV)/.runtime
	@$(PIP) --require-hashes -r requirements-terminal.lock
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
