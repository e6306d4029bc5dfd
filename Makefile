# make book and make test do everything on a fresh machine with python3 (3.11+), make and git.
PYTHON ?= python3
PROFILE ?= quick
RESULTS ?= results
TESTS ?=
GRID ?= workflow/grid.example.yaml
ON ?=
RUN ?=
VENV_PYTHON := .venv/bin/python
TINY := $(CURDIR)/_build/test
# One more than there are cores, as every third second is spent waiting for kernels and browsers.
BUSY := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.DEFAULT_GOAL := help
.PHONY: help book pdf grid long keep reproduce test fuzz lint audit bench clean distclean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-12s%s\n", $$1, $$2}'
	@echo
	@echo "PROFILE=tiny|quick|long|paper (now $(PROFILE)), RESULTS=folder (now $(RESULTS)), PYTHON=$(PYTHON)"

PINS := $(if $(UNPINNED),,-c constraints.txt)
TORCH := $(if $(UNPINNED),torch,$(shell grep '^torch==' constraints.txt))
PIP := $(VENV_PYTHON) -m pip install -qq $(PINS)
UV := $(VENV_PYTHON) -m uv pip install --quiet --python $(VENV_PYTHON) --compile-bytecode $(PINS)
OLD := Python 3.11 or later is needed: name another, as in make book PYTHON=python3.12

# Where there is no NVIDIA GPU, the CPU build of torch, from wherever it is on offer.
.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and '$(OLD)')"
	@echo "environment: installing into .venv ..."
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(PIP) uv
	@command -v nvidia-smi >/dev/null || $(VENV_PYTHON) -c "import torch" 2>/dev/null \
		|| $(PIP) --no-deps --only-binary :all: "$(TORCH)+cpu" 2>/dev/null \
		|| $(UV) --torch-backend cpu $(TORCH) 2>/dev/null \
		|| echo "no CPU build of torch is on offer here: taking the default one (larger)"
	@$(UV) -e ".[book,cluster,download,test]"
	@touch $@

book: .venv/.ready ## run what changed and render the book into _build/html
	@$(VENV_PYTHON) workflow/build.py --profile "$(PROFILE)" --results "$(RESULTS)"

pdf: .venv/.ready ## print the rendered book into _build/book.pdf (needs Chromium)
	@$(VENV_PYTHON) workflow/print_book.py

grid: .venv/.ready ## run GRID=file of notebooks and parameters; ON=workflow/slurm runs it there
	@$(VENV_PYTHON) workflow/run_grid.py "$(GRID)" --results "$(RESULTS)" $(if $(ON),--on "$(ON)")

long: .venv/.ready ## train every model for an hour; RUN=swin_cross_seed0 trains one, ON=folder elsewhere
	@nice -n 10 $(VENV_PYTHON) workflow/run_grid.py workflow/trainings.yaml --results "$(RESULTS)" \
		$(if $(ON),--on "$(ON)") $(if $(RUN),--only $(RUN))

keep: .venv/.ready ## keep the weights that make long has finished in book/reference/weights
	@nice -n 10 $(VENV_PYTHON) workflow/keep.py --results "$(RESULTS)" $(if $(RUN),--only $(RUN))

reproduce: .venv/.ready ## execute RUN=results/.../NAME.ipynb (or several) again from their manifests, and compare
	@$(VENV_PYTHON) workflow/reproduce.py $(or $(RUN),$(error say which run: make reproduce RUN=results/quick/notebooks/11_residual.ipynb))

# Bytecode is kept: without, every worker would rewrite the asserts of pytest's plugins anew.
test: .venv/.ready ## build the tiny book and run every test; TESTS="tests/test_x.py -k y" runs some
	@$(VENV_PYTHON) workflow/build.py --profile tiny --results "$(TINY)/results" --out "$(TINY)" --cores $(BUSY)
	@PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 GALTOOLS_TINY="$(TINY)" \
		$(VENV_PYTHON) -m pytest -n $(BUSY) --dist worksteal $(TESTS)

fuzz: .venv/.ready ## damage files of every kind for ten minutes; seeds that break a reader are kept
	@PYTHONPATH="$(CURDIR)" OMP_NUM_THREADS=1 $(VENV_PYTHON) tests/hostile.py --minutes 10

lint: .venv/.ready ## check style and spelling
	@$(VENV_PYTHON) -m ruff check . && $(VENV_PYTHON) -m ruff format --check . && $(VENV_PYTHON) -m codespell_lib

audit: .venv/.ready ## ask whether a pinned package has a known vulnerability (needs the network)
	@$(VENV_PYTHON) -m uv tool run pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

bench: .venv/.ready ## run every benchmark; tables go to benchmarks/*.json
	@$(VENV_PYTHON) -m uv pip install --quiet --python $(VENV_PYTHON) --constraint constraints.txt -e ".[bench]"
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(VENV_PYTHON) $$file || exit 1; done

clean: ## remove the rendered book and the results of tiny and quick
	rm -rf _build results/tiny results/quick

distclean: clean ## also remove the environment and every result, those of paper too
	rm -rf .venv results
