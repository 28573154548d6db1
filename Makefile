# make run      the server on the demo model
# make quick    format, lint, types, and the tests that need nothing but Python packages and little time
# make check    format, lint, types, and all tests but those of the images and of 64-bit Arm
# make test     everything: what CI runs; wants Debian, and root
# make arm      more of edgevlm on 64-bit Arm by qemu, with its images, and a table of it; takes long at first
# make gpu      what needs an NVIDIA GPU, with a table of results; without one it says so
# make gpu-pack what a machine with a GPU and no package registry needs for that beside the repository
# make fuzz     every reader of what others send, fuzzed by coverage: SECONDS=60 for each
# make soak     a server in mixed use with faults around it, and a table: MINUTES=10
# make sbom     the images' components and hashes by their locks, in OUT (default: build/sbom); images hold theirs
# make fix      format and mend what can be mended

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# pyproject.toml says what the marks are
PYTEST := $(BIN)/pytest --numprocesses 3 --dist worksteal
QUICK := not (arm or browser or container or tools or twin or slow)
# many tests start processes, which would compile all of it again
export PYTHONDONTWRITEBYTECODE :=

# TensorRT's own code, as far as it runs without a GPU; tests/tensorrt says what for
TENSORRT := $(VENV)/tensorrt
TWINS := $(addprefix $(TENSORRT)/twin-,$(addsuffix /installed,1.4.0.76 1.7.1.116))
BINDINGS := $(addprefix $(TENSORRT)/bindings-,$(addsuffix /installed,10.3.0 10.13.3.9 11.4.0.106))
CUDA := $(addprefix $(TENSORRT)/,cuda-python-12.6.2.post1/installed cuda-bindings-13.2.0/installed)

# what tests/chart renders the chart with
HELM := $(VENV)/helm/installed

.PHONY: run quick check test containers arm gpu gpu-pack lint fix fuzz soak sbom test-tools

run: $(VENV)/installed-cpu
	$(BIN)/edgevlm serve

# the clients' tests are all marked as slow, and so are their imports
quick: lint
	$(PYTEST) --hypothesis-profile quick -m '$(QUICK)' --ignore tests/clients

check: lint test-tools $(TWINS) $(BINDINGS) $(CUDA) $(HELM)
	$(PYTEST) -m 'not (arm or container)'

test: lint test-tools $(TWINS) $(BINDINGS) $(CUDA) $(HELM)
	$(PYTEST)

containers: $(VENV)/installed-test test-tools $(HELM)
	$(PYTEST) -m container

arm: $(VENV)/installed-test test-tools
	$(BIN)/python -m tests.arm --json $(VENV)/arm/report.json

# CUDA, ONNX Runtime for it and TensorRT come from whoever calls: PYTHON has them
gpu:
	PYTHONPATH=.:server:engines:export:demo:$$PYTHONPATH $(PYTHON) -m tests.gpu $(if $(OUT),--out $(OUT))

gpu-pack: $(VENV)/installed-test
	$(BIN)/python -m tests.gpu.pack $(or $(OUT),build/gpu)

lint: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# a browser, Node's packages, clients with an environment of their own, podman, qemu; does nothing where they are
test-tools: $(VENV)/installed-test
	tests/install_tools

fix: $(VENV)/installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m tests.chart.readme
	$(BIN)/python -m tests.monitoring.dashboard
	$(BIN)/python -m tests.docs.tables

fuzz: $(VENV)/installed-test $(VENV)/installed-fuzz
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(TARGETS)

soak: $(VENV)/installed-test
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10)

sbom: $(VENV)/installed-test
	for image in cpu jetson-jp6 jetson-jp7; do \
		$(BIN)/python docker/sbom.py docker/locks/$$image.txt $(or $(OUT),build/sbom)/$$image || exit 1; \
	done

$(VENV)/installed-%: pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[$*]'
	touch $@

$(HELM): tests/chart/fetch_helm.py | $(VENV)/installed-test
	rm -rf $(@D)
	$(BIN)/python -m tests.chart.fetch_helm $(@D)
	touch $@

# all of them have the same module name, so each has a folder of its own that a test puts on its path
$(TENSORRT)/twin-%/installed: | $(VENV)/installed-test
	rm -rf $(@D)
	$(PIP) --target $(@D) tensorrt-rtx-cu13==$*
	touch $@

# the Python layer alone, over libraries that hold nothing but the names it asks for
$(TENSORRT)/bindings-%/installed: tests/tensorrt/stub.c | $(VENV)/installed-test
	rm -rf $(@D)
	$(PIP) --target $(@D) --no-deps tensorrt-cu12-bindings==$*
	for name in nvinfer nvinfer_plugin nvonnxparser; do \
		file=lib$$name.so.$(firstword $(subst ., ,$*)); \
		$(CC) -shared -fPIC -Wl,-soname,$$file -o $(@D)/$$file $< || exit 1; \
	done
	touch $@

# what JetPack 6 and 7 have; in the first the modules are part of cuda-python itself
$(TENSORRT)/cuda-python-%/installed: | $(VENV)/installed-test
	rm -rf $(@D)
	$(PIP) --target $(@D) --no-deps cuda-python==$*
	touch $@

$(TENSORRT)/cuda-bindings-%/installed: | $(VENV)/installed-test
	rm -rf $(@D)
	$(PIP) --target $(@D) cuda-bindings==$*
	touch $@
