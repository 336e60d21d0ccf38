# The one vocabulary of tasks, for people and for CI. `make help` lists them; each builds what it needs.
.DEFAULT_GOAL := help
# Two recipes must never install into one .venv at a time.
.NOTPARALLEL:

# OPTIONS are those of `make tune`: each is a parameter of MLproject, in capitals. Only what stands on make's command line
# counts, because names such as DATA or SEED may mean something else in the environment.
# begin options: lists, written by `make options` from src/options.py
OPTIONS := TARGET DATA QUERY CONFIG N_TRIALS TIMEOUT MAX_WORKERS SAMPLER PRUNER ENSEMBLE_SIZE SEED USE_CV CV \
	N_FOLDS PURGE_DAYS TEST_FRACTION VALID_FRACTION STORAGE_URL STORAGE_DIR STUDY_NAME OUTPUT_DIR NO_REGISTER \
	VERBOSE
REPORT_OPTIONS := STORAGE_URL STORAGE_DIR STUDY_NAME OUTPUT_DIR VERBOSE
RUN_OPTIONS := WAIT_SECONDS IDLE_SECONDS
# end options
TARGET := is_profitable
N_TRIALS := 30
GIVEN := $(sort TARGET N_TRIALS $(foreach name,$(OPTIONS),$(if $(filter command,$(origin $(name))),$(name))))
# Those of `make fanout` and its sisters, beside the ones above that a pod can use.
FANOUT := WORKERS OVERLAY DRY_RUN KUBECTL $(RUN_OPTIONS)
FANOUT_DOWN := STUDY_NAME OVERLAY KUBECTL ALL VOLUMES
FANOUT_GIVEN := $(foreach name,$(sort $(FANOUT) $(FANOUT_DOWN)),$(if $(filter command,$(origin $(name))),$(name)))
PORT := 5000
export TARGET N_TRIALS PORT

# A mistyped option would be ignored in silence, so that the default is tuned instead.
space := $(subst ,, )
TYPED := $(foreach word,$(subst \$(space),_,$(MAKEOVERRIDES)),$(firstword $(subst =, ,$(word))))
FANOUT_TYPED := $(if $(filter fanout%,$(MAKECMDGOALS)),$(FANOUT) $(FANOUT_DOWN))
UNKNOWN := $(filter-out $(OPTIONS) $(FANOUT_TYPED) ARGS BENCH PORT PYTHON SHELL UPGRADE,$(TYPED))
ifneq ($(UNKNOWN),)
$(error $(UNKNOWN) is unknown: use $(strip $(OPTIONS) $(FANOUT_TYPED)), ARGS, BENCH, PORT, PYTHON or UPGRADE)
endif

# In the order of their length; `quality` takes hours.
BENCHMARKS := report overhead scaling memory distributed coverage growth quality
BENCH := $(BENCHMARKS)
ifneq ($(filter-out $(BENCHMARKS),$(BENCH)),)
$(error BENCH=$(filter-out $(BENCHMARKS),$(BENCH)) is unknown: use $(BENCHMARKS))
endif

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Without git, MLflow records no commit; that is no reason for a page of warnings.
export GIT_PYTHON_REFRESH := quiet
# MLflow's running commentary would drown the progress bar; its warnings stay.
MLFLOW_LOGGING_LEVEL ?= WARNING
export MLFLOW_LOGGING_LEVEL
ifeq ($(HOME),)
export HOME := $(CURDIR)/.venv
endif
ifneq ($(shell [ -w "$$HOME" ] && echo writable),writable)
export XDG_CACHE_HOME := $(CURDIR)/.venv/.cache
export XDG_CONFIG_HOME := $(CURDIR)/.venv/.config
endif

# A .venv whose Python is gone, or that was moved with its folder, is as good as none.
fresh = $(shell $(1)/bin/python -I -c '' 2>/dev/null && [ "$$(cat $(1)/.place 2>/dev/null)" = "$$(pwd -P)" ] && echo yes)
FRESH := $(call fresh,.venv)
RUN := .venv/.stamp-requirements.lock
DEV := .venv/.stamp-requirements-dev.lock
# The peers' packages must not decide what the product runs on.
PEERS := .venv-bench/.stamp-requirements-bench.lock

.PHONY: help setup tune report fanout fanout-status fanout-down ui test test-fast test-cluster check bench lock options clean force
help: ## List the tasks
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'
	@echo "Options of tune, as in \`make tune TARGET=net_profit N_TRIALS=100\`:" && echo "$(OPTIONS)" | fold -s -w 100 | sed 's/^/  /'

setup: $(RUN) ## Make the environment in .venv (the other tasks do it too)
	@echo "The environment in .venv is ready."

tune: $(RUN) ## Tune, judge and register a model (TARGET=is_profitable N_TRIALS=30)
	@set --; for name in $(GIVEN); do \
	    option=$$(echo $$name | tr '[:upper:]' '[:lower:]'); \
	    eval "value=\$$$$name"; \
	    case $$value in *://*:*@* | *://*[?\&]password=*) \
	        echo "$$name holds a password, which MLflow would print and record: set PGPASSWORD instead" >&2; exit 2 ;; \
	    esac; \
	    set -- "$$@" -P "$$option=$$value"; \
	done; \
	[ -n "$$MLFLOW_EXPERIMENT_ID" ] || set -- --experiment-name "$${MLFLOW_EXPERIMENT_NAME:-daily-profit}" "$$@"; \
	echo "mlflow run . -e tune --env-manager local $$*"; \
	python -m src.tracking.connection.embedded_store && exec mlflow run . -e tune --env-manager local "$$@"

report: $(RUN) ## Write a study's report, the newest's (STUDY_NAME=..., or ARGS="--ensemble net_profit num_trades")
	@set -- $(ARGS); for name in $(filter $(REPORT_OPTIONS),$(GIVEN)); do \
	    eval "value=\$$$$name"; \
	    set -- "$$@" "--$$(echo $$name | tr 'A-Z_' 'a-z-')=$$value"; \
	done; \
	exec python -m src.modeling.optuna_visualization "$$@"

# Calls the script with the given ones of these names, as words NAME=value.
fan = set --; for name in $(2); do eval "value=\$$$$name"; set -- "$$@" "$$name=$$value"; done; \
	exec python -m k8s.fanout $(1) "$$@"

fanout: $(RUN) ## Run a study on Kubernetes (TARGET=net_profit WORKERS=8 N_TRIALS=400 OVERLAY=local, DRY_RUN=1)
	@$(call fan,up,$(sort $(GIVEN) $(filter $(FANOUT),$(FANOUT_GIVEN))))

fanout-status: $(RUN) ## Show a run, or all that is in the cluster (STUDY_NAME=net_profit_20240101_120000)
	@$(call fan,status,$(filter STUDY_NAME OVERLAY KUBECTL,$(FANOUT_GIVEN)))

fanout-down: $(RUN) ## Take a run away; its study stays (STUDY_NAME=..., or ALL=1 with the services, VOLUMES=1 too)
	@$(call fan,down,$(filter $(FANOUT_DOWN),$(FANOUT_GIVEN)))

ui: $(RUN) ## Open MLflow's pages of the embedded store (PORT=5000)
	@[ -f mlflow.db ] || { echo "There is no mlflow.db yet: run \`make tune\` first" >&2; exit 2; }
	@exec mlflow ui --backend-store-uri sqlite:///mlflow.db --port "$$PORT" --workers 1

test: $(DEV) ## Run the tests (ARGS="-k splits" goes to pytest)
	@python -m pytest -n 2 --dist loadfile $(ARGS)

test-fast: $(DEV) ## Run the tests that start no process, server or browser
	@python -m pytest -n 2 --dist loadfile --fast $(ARGS)

test-cluster: $(DEV) ## Check fan-out, nights and stores on the cluster that kubectl points to (ARGS="-k losses")
	@python -m pytest -o python_files='check_*.py' --timeout 1800 -x -v $(ARGS) tests/k8s/on_cluster

check: $(DEV) ## Check dependencies, options, style, types, manifests and the names of the tests
	@python .ci/deps.py check
	@python .ci/options.py check
	@ruff check --quiet .
	@ruff format --quiet --check . || { ruff format --diff --quiet .; false; }
	@mypy
	@python -m pytest --quiet --no-header tests/k8s/test_manifests.py
	@python .ci/collect.py

bench: $(PEERS) ## Measure against the peers (BENCH=quality ARGS="--seconds 60 --seeds 3")
	@for name in $(BENCH); do .venv-bench/bin/python -m benchmarks.$$name $(ARGS) || exit; done

lock: $(DEV) ## Derive the locks and conda.yaml from pyproject.toml (UPGRADE=1 for newer versions)
	@python .ci/deps.py lock $(if $(UPGRADE),--upgrade)

options: $(RUN) ## Write what derives from src/options.py: MLproject, lists of this file, settings in k8s
	@python .ci/options.py write

clean: ## Remove environments and caches; results stay
	@rm -rf .venv .venv-bench .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): requirements.lock $(if $(FRESH),,force)
	@.ci/venv requirements.lock

$(DEV): requirements-dev.lock $(if $(FRESH),,force)
	@.ci/venv requirements-dev.lock

$(PEERS): requirements-bench.lock $(if $(call fresh,.venv-bench),,force)
	@.ci/venv requirements-bench.lock .venv-bench
