# Everything a newcomer needs. Nothing but Python >= 3.11, a C++20 compiler and the PyPI index is required.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMPS := $(VENV)/stamps

PACKAGE_SOURCES := $(shell find src native -type f -not -name '*.so' -not -path '*/__pycache__/*') \
	CMakeLists.txt pyproject.toml LICENSE

NATIVE_SOURCES := $(shell find native -name '*.cpp' -o -name '*.hpp' -o -name '*.inl')

.PHONY: help demo test test-python test-native test-threads test-neon test-amx test-isa count-instructions keras-tests lint bench bench-short bench-gpu docs wgan format clean

help:
	@echo "make demo         set up and train the handwritten digits: curves and kernels in digits.png"
	@echo "make test         set up and pass all tests"
	@echo "make test-native, test-threads, test-neon, test-amx, test-isa, count-instructions: the C++ core (CONTRIBUTING.md)"
	@echo "make keras-tests  Keras' own tests, fetched, against densekit"
	@echo "make lint         style, types, import contracts"
	@echo "make bench        measure against Keras, PyTorch, JAX, scikit-learn and ONNX Runtime"
	@echo "make bench-gpu    the JAX engine on a GPU, against plain JAX, Keras and PyTorch"
	@echo "make docs         run every example in README and docs"
	@echo "make wgan         the W-GAN example: a ring of Gaussians in wgan.png"

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "densekit needs Python 3.11 or newer: set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet "scikit-build-core>=0.11" "nanobind>=2.4" "numpy>=2.0" "cmake>=3.26" ninja
	@mkdir -p $(STAMPS) && touch $@

# The build folder stays, so a change compiles only what it touches.
$(STAMPS)/package: $(STAMPS)/venv $(PACKAGE_SOURCES)
	$(PY) -m pip install --quiet --no-build-isolation --no-deps --force-reinstall .
	@touch $@

$(STAMPS)/runtime: pyproject.toml $(STAMPS)/venv
	$(PY) scripts/requirements.py plot | $(PY) -m pip install --quiet -r /dev/stdin
	@touch $@

$(STAMPS)/test-tools: pyproject.toml $(STAMPS)/venv
	$(PY) scripts/requirements.py plot test | $(PY) -m pip install --quiet -r /dev/stdin
	@touch $@

$(STAMPS)/bench-tools: pyproject.toml $(STAMPS)/test-tools
	$(PY) scripts/requirements.py bench | $(PY) -m pip install --quiet -r /dev/stdin
	@touch $@

$(STAMPS)/torch: $(STAMPS)/venv
	$(PY) -m pip install --quiet torch==2.13.0
	@touch $@

demo: $(STAMPS)/runtime $(STAMPS)/package
	$(PY) examples/digits.py

wgan: $(STAMPS)/runtime $(STAMPS)/package
	$(PY) examples/wgan.py

test: test-python docs

test-python: $(STAMPS)/test-tools $(STAMPS)/package
	$(PY) -m pytest -q -n auto --maxprocesses 8 --dist loadfile tests

docs: $(STAMPS)/test-tools $(STAMPS)/package
	$(PY) -m pytest -q scripts/check_examples.py
	$(PY) scripts/coverage_of_keras.py --check
	$(PY) scripts/readme_benchmarks.py --check

NATIVE := $(BIN)/cmake -S native -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DDENSEKIT_TESTS=ON
CTEST := $(BIN)/ctest --output-on-failure -j 2 --timeout 400 --test-dir

# The C++ tests, with AddressSanitizer and UndefinedBehaviorSanitizer.
test-native: $(STAMPS)/venv
	$(NATIVE) -B build/sanitized -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDENSEKIT_SANITIZE=address,undefined
	$(BIN)/cmake --build build/sanitized --target test_programs
	$(CTEST) build/sanitized

# The C++ tests of everything that runs on several threads, with ThreadSanitizer.
test-threads: $(STAMPS)/venv
	$(NATIVE) -B build/threads -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDENSEKIT_SANITIZE=thread
	$(BIN)/cmake --build build/threads --target test_plan test_tuner
	$(CTEST) build/threads -R '^test_(plan|tuner)$$'

# The C++ tests on 64-bit ARM: cross-compiled, run in an emulator.
test-neon: $(STAMPS)/venv
	@scripts/need.sh aarch64-linux-gnu-g++=g++-aarch64-linux-gnu qemu-aarch64=qemu-user
	$(NATIVE) -B build/neon -DCMAKE_BUILD_TYPE=Release -DDENSEKIT_LEVEL=-O2 \
		-DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/native/tests/aarch64-linux-gnu.cmake
	$(BIN)/cmake --build build/neon --target test_programs
	DENSEKIT_TEST_THIN=20 $(CTEST) build/neon

# The C++ tests of products by tiles on a CPU with AMX, which is emulated.
test-amx: $(STAMPS)/venv
	scripts/test_amx.sh

# Every instruction set this machine has but does not choose by itself, forced, under the tests of the native engine.
test-isa: $(STAMPS)/test-tools $(STAMPS)/package
	$(PY) scripts/test_isas.py

# Instructions a training step and a prediction take, against benchmarks/instruction_counts.json; UPDATE=1 writes it.
count-instructions: $(STAMPS)/package
	@scripts/need.sh valgrind=valgrind
	$(PY) scripts/count_instructions.py $(if $(UPDATE),--update)

# Keras' own tests, which are fetched; ARGS="layers/core -v --json now.json" chooses and compares.
keras-tests: $(STAMPS)/test-tools $(STAMPS)/package
	$(PY) scripts/keras_own_tests.py $(ARGS)

lint: $(STAMPS)/test-tools $(STAMPS)/package
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports
	@$(BIN)/clang-format --dry-run --Werror $(NATIVE_SOURCES)

format: $(STAMPS)/test-tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(NATIVE_SOURCES)

bench: $(STAMPS)/bench-tools $(STAMPS)/torch $(STAMPS)/package
	$(PY) benchmarks/run.py

bench-short: $(STAMPS)/bench-tools $(STAMPS)/package
	$(PY) benchmarks/run.py --short

# On a machine with a GPU, in an environment that has JAX and PyTorch for it: both are installed as their own guides say.
bench-gpu: $(STAMPS)/test-tools $(STAMPS)/package
	$(PY) benchmarks/gpu.py --write

clean:
	rm -rf build $(VENV)
