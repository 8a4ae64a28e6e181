# One command each. Every one works from a clean clone: the environment is made on first use and again only when
# pyproject.toml or the tested versions change.
#
#   PYTHON               interpreter that makes the environment (3.11 or 3.12)
#   VENV                 where the environment stands
#   KAITIAN_TORCH_INDEX  package index to take torch from, for machines without a GPU whose own index offers torch only
#                        with CUDA (several GB): the CPU index that PyTorch's install page names. Empty: the usual index.
#   KAITIAN_SHARED       folder of real data for the tests marked `shared`; default ../shared/data

PYTHON ?= python3
VENV ?= .venv
KAITIAN_TORCH_INDEX ?=
ARGS ?=
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed

export KAITIAN_TORCH_INDEX
# Ray starts many processes; where this variable is set each one compiles every module again and start-up takes 8 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup test test-slow test-shared check format demo soak bench golden reference clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with the tested versions (a minute or two, once)

$(STAMP): pyproject.toml .ci/constraints.txt .ci/install
	.ci/install "$(PYTHON)" "$(VENV)"
	@touch $(STAMP)

demo: setup ## raw dump -> corpus -> trained model -> report, under 5 minutes on 2 cores
	$(RUN)/kaitian demo $(ARGS)

test: setup ## everything but the long runs (ARGS="-k word" narrows it)
	$(RUN)/python -m pytest $(ARGS)

test-slow: setup ## the long runs: kill and resume, big inputs
	$(RUN)/python -m pytest -m slow $(ARGS)

test-shared: setup ## the tests on real data, long ones included
	$(RUN)/python -m pytest -m shared --slow $(ARGS)

check: setup ## format, lint, types
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy

format: setup ## rewrite the sources in the house format
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

soak: setup ## damaged inputs against every reader: no hang, no crash, no neighbour lost (minutes)
	$(RUN)/python -m tests.soak $(ARGS)

bench: setup ## every benchmark on its own small input; results as JSON lines under outputs/bench
	@mkdir -p outputs/bench
	@set -e; for bench in tests/bench/bench_*.py; do \
		name=$$(basename $$bench .py); echo "$$name"; \
		$(RUN)/python -m tests.bench.$$name --out outputs/bench/$$name.jsonl $(ARGS); \
	done

golden: setup ## rewrite tests/golden/stage_table.json after a stage and its version changed; shows what changed
	$(RUN)/python -m tests.golden.regenerate $(ARGS)
	@git --no-pager diff --stat -- tests/golden || true

reference: setup ## rewrite stages/signals/REFERENCE.md after a signal changed
	$(RUN)/python -m stages.signals.reference

clean: ## remove caches and the environment, never a store
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
