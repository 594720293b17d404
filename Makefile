# The developer interface. `make help` lists it; `make bench` and `make test` set up whatever they need.
#
#   PYTHON=python3.12       the interpreter that creates the environment (3.11 or newer)
#   VENV=path               the environment to use; default .venv, or the conda environment of environment.yml when it is active
#   FEED=file               measure and profile this ITCH 5.0 file instead of a generated feed
#   TOOL=calls              the tool of `make profile`: line, calls, sample, instructions, counters or memory
#   UPDATE=1                `make instructions` writes its table anew instead of comparing with it
#   BASE=revision           `make instructions` counts that one, too, and compares with it instead
#   SYMBOLS=n MESSAGES=n    the generated feed of `make reference`: 1,000 symbols and 2 million messages
#   SEEDS=n                 how many seeds `make test` draws days from (10,000)
#   EVENTS=n SEED=n         how many events `make fuzz` draws (100 million), and from which seed on
#   CARGO=                  leave the Rust toolchain alone and do without the Rust engine
#   HFTLAB_REQUIRE_RUST=1   fail, instead of saying so and going on, where the Rust engine is missing

PYTHON ?= python3
CARGO ?= $(shell command -v cargo 2>/dev/null)
ifeq ($(CONDA_DEFAULT_ENV),hftlab)
VENV ?= $(CONDA_PREFIX)
else
VENV ?= .venv
endif

PY := $(VENV)/bin/python
# Python compiles a module when it is first imported; all of them beforehand would take as long as their installation.
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --no-compile
INSTALLED := $(VENV)/.hftlab-installed
RUST_BUILT := $(VENV)/.hftlab-rust-built
RUST_SOURCES := $(shell find rust_ext/src -name '*.rs') rust_ext/build.rs rust_ext/Cargo.toml rust_ext/pyproject.toml $(wildcard rust_ext/Cargo.lock)
# The landing page last: it lists the lessons.
NOTEBOOKS := $(sort $(wildcard notebooks/[0-9]*.py)) $(wildcard notebooks/index.py)

# Which build of the Rust engine: `make rust` and `make native` say so, everything else takes the one that is there.
BUILT_FOR := $(shell sed -n 2p $(RUST_BUILT) 2>/dev/null)
BUILD := $(or $(lastword $(patsubst rust,portable,$(filter rust native,$(MAKECMDGOALS)))),$(BUILT_FOR),portable)
# Each build keeps its own objects; a flag that the caller has set for all of cargo counts in neither.
BUILD_ENV := RUSTFLAGS="$(if $(filter native,$(BUILD)),-C target-cpu=native)" CARGO_TARGET_DIR="$(or $(CARGO_TARGET_DIR),$(CURDIR)/rust_ext/target)$(if $(filter native,$(BUILD)),/native)"

# A stamp names the checkout it was made from: in a copied, moved or shared environment it does not count.
STALE := $(foreach stamp,$(INSTALLED) $(RUST_BUILT),$(if $(filter $(CURDIR),$(shell sed -n 1p $(stamp) 2>/dev/null)),,$(stamp)))
STALE += $(if $(filter $(BUILD),$(BUILT_FOR)),,$(filter-out $(STALE),$(RUST_BUILT)))

define RUST_ABSENT

  **********************************************************************
  *  THE RUST ENGINE IS ABSENT: there is no `cargo` to build it with.  *
  *  What follows runs on the pure-Python engine alone, and tests that *
  *  need the Rust engine are skipped. Install a Rust toolchain        *
  *  (rustup, or environment.yml with conda), then run make again.     *
  **********************************************************************

endef
export RUST_ABSENT

.DEFAULT_GOAL := help
.PHONY: help setup bench report lab test quick seeds soak kills lint instructions reference fuzz notebooks pictures docs rust native profile clean rust-or-notice $(STALE)
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(INSTALLED) rust-or-notice  ## create .venv, install hftlab with its tools, build the Rust engine if cargo is there

bench: setup  ## time every engine and variant on a generated feed, or on FEED=path
	@mkdir -p out
	$(VENV)/bin/hftlab bench --out out/bench.json $(if $(FEED),--feed "$(FEED)")

report: setup  ## measure everything and write out/report.html, on a generated feed or on FEED=path
	$(VENV)/bin/hftlab report --out out/report.html $(if $(FEED),--feed "$(FEED)")

lab: setup  ## open JupyterLab on the course; it needs no network
	$(VENV)/bin/hftlab lab

test: setup  ## run the Rust tests, then the Python tests and every notebook
ifneq ($(CARGO),)
	cd rust_ext && cargo test --quiet
endif
	HFTLAB_SEEDS=$(or $(SEEDS),10000) $(PY) -m pytest tests -p no:nbval --numprocesses 2 --dist loadfile --no-loadscope-reorder
	$(PY) -m pytest notebooks --numprocesses 2 --dist loadfile --no-loadscope-reorder --nbval-lax --nbval-current-env --nbval-cell-timeout=300 \
		--nbval-sanitize-with=tests/nbval_sanitize.cfg

kills: setup  ## 20 workers of a sweep killed at random, processes and a cluster's: the rows are the same bytes
	HFTLAB_KILLS=20 $(PY) -m pytest tests/batch -q -k killed

quick: setup  ## the inner loop: Python tests that are neither slow nor on sockets, in under a minute
	$(PY) -m pytest tests -q -m "not slow and not net and not browser and not root" --numprocesses 2 --dist worksteal

seeds: setup  ## 10,000 days of exchange and trader on a network in one process, each with faults that its seed draws
	$(VENV)/bin/hftlab faults --seeds 10000 --engine python --workers $$(nproc)

soak: setup  ## a million such days, which takes hours
	$(VENV)/bin/hftlab faults --seeds 1000000 --engine python --workers $$(nproc)

lint: $(INSTALLED)  ## check style and types: ruff, mypy, rustfmt, clippy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
ifneq ($(CARGO),)
	cd rust_ext && cargo fmt --check
	@# Without Python the crate, and the one test that is not built with it; with Python all the others, and the bench.
	cd rust_ext && cargo clippy --quiet --test allocations -- -D warnings
	cd rust_ext && PYO3_PYTHON="$(abspath $(PY))" cargo clippy --quiet --all-targets --features python,criterion -- -D warnings
else
	@printf '%s\n' "$$RUST_ABSENT" >&2
endif

instructions: $(INSTALLED)  ## count instructions per message with valgrind and compare with the committed table; UPDATE=1 writes it
	$(PY) rust_ext/instructions.py $(if $(UPDATE),--update) $(if $(BASE),--base "$(BASE)")

reference:  ## time the Rust engine beside a bare FIFO book with and without asking ahead, on SYMBOLS=n or FEED=path
	cd rust_ext && cargo build --quiet --release --example reference
	"$(or $(CARGO_TARGET_DIR),rust_ext/target)/release/examples/reference" $(or $(FEED),$(SYMBOLS),1000) $(or $(MESSAGES),2000000)

fuzz:  ## 100 million events with structured prices and references through the Rust variants, against a plain book
	cd rust_ext && HFTLAB_FUZZ_EVENTS=$(or $(EVENTS),100000000) HFTLAB_FUZZ_SEED=$(or $(SEED),1) cargo test --release --test structured -- --nocapture

notebooks: setup  ## regenerate the notebooks from their text pairs and execute them in place
	$(if $(NOTEBOOKS),,$(error there is no text pair notebooks/[0-9]*.py))
	$(PY) -m jupytext --quiet --update --to ipynb $(NOTEBOOKS)
	@# Without bars of progress, which CI has none of. Each part has a home of its own: the landing page shows a course of which
	@# nothing has been passed yet.
	@# The seconds of each are listed in the course; the landing page, which shows them, comes last.
	home="$$(mktemp -d)" && trap 'rm -rf "$$home"' EXIT && times=notebooks/course/run_times.csv && touch $$times && \
	for part in $(patsubst %.py,%.ipynb,$(filter-out %/index.py,$(NOTEBOOKS))) notebooks/index.ipynb; do start=$$(date +%s) && \
		CI=true HFTLAB_HOME="$$home/$${part##*/}" $(PY) -m nbconvert --log-level ERROR --to notebook --execute --inplace \
		--ExecutePreprocessor.timeout=600 --ExecutePreprocessor.record_timing=False $$part || exit 1; \
		name=$${part##*/} && sed -i "/^$$name,/d" $$times && echo "$$name,$$(($$(date +%s) - start))" >> $$times; done

pictures: setup  ## draw the pictures of the README anew, on this machine
	$(PY) examples/pictures.py notebooks/pictures

docs: $(INSTALLED)  ## write docs/cli.md and docs/api.md anew from the code
	$(PY) docs/make_cli.py
	$(PY) docs/make_api.py

rust: $(if $(CARGO),$(RUST_BUILT))  ## build and install the Rust engine, for every processor of this architecture
	$(if $(CARGO),@:,$(error the Rust engine cannot be built: there is no cargo on PATH))

native: $(if $(CARGO),$(RUST_BUILT))  ## build and install the Rust engine for this processor alone, then verify that it gives the same bits
	$(if $(CARGO),,$(error the Rust engine cannot be built: there is no cargo on PATH))
	@$(PY) -c 'import hftlab_rust; print("Installed:", hftlab_rust.BUILD)'
	$(VENV)/bin/hftlab verify python rust --messages 50000
	$(VENV)/bin/hftlab verify python rust --regime burst --messages 50000

profile: setup  ## profile the Python engine line by line, or TOOL=calls|sample|instructions|counters|memory
	$(VENV)/bin/hftlab profile $(if $(TOOL),--tool "$(TOOL)") $(if $(FEED),--feed "$(FEED)")

clean:  ## remove everything make has made here, .venv included
	rm -rf .venv out build dist rust_ext/target rust_ext/fuzz/target .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find hftlab tests notebooks examples \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

$(PY):
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "make: no '$(PYTHON)' on PATH; hftlab needs Python 3.11 or newer (make PYTHON=/path/to/python3 ...)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.exit(sys.version_info < (3, 11) and \
		"make: $(PYTHON) is Python " + v + "; hftlab needs 3.11 or newer (make PYTHON=python3.11 ...)")'
	"$(PYTHON)" -m venv "$(VENV)"

# hftlab/__init__.py holds the version, which an editable install copies into its metadata.
$(INSTALLED): pyproject.toml hftlab/__init__.py | $(PY)
	@echo "Installing hftlab and its tools into $(VENV); the first time this takes a few minutes."
	@$(PIP) --editable '.[dev]'
	@echo "$(CURDIR)" > $@

# No build isolation: the dev extra has brought maturin, and maturin looks for itself on PATH.
$(RUST_BUILT): $(RUST_SOURCES) | $(INSTALLED)
	@echo "Building the Rust engine (release, $(BUILD))."
	@$(BUILD_ENV) PATH="$(abspath $(VENV))/bin:$$PATH" $(PIP) --no-build-isolation --no-deps --force-reinstall ./rust_ext || \
		{ echo "make: the Rust engine did not build (see above); 'make CARGO= ...' does without it" >&2; exit 1; }
	@printf '%s\n' "$(CURDIR)" "$(BUILD)" > $@

# An extension that is installed already may be used where the toolchain is gone.
rust-or-notice: $(if $(CARGO),$(RUST_BUILT),$(INSTALLED))
ifeq ($(CARGO),)
	@if $(PY) -c 'import hftlab_rust' 2>/dev/null; then \
		echo "make: no cargo; using the hftlab-rust that is installed in $(VENV)"; \
	else \
		printf '%s\n' "$$RUST_ABSENT" >&2; \
		if [ "$$HFTLAB_REQUIRE_RUST" = 1 ]; then echo "make: HFTLAB_REQUIRE_RUST=1, stopping" >&2; exit 1; fi; \
	fi
endif
