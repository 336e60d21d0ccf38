# All tasks of developers and of CI. `make help` lists them; every task builds what it needs.
.DEFAULT_GOAL := help
# Two recipes must not install into the same .venv at the same time.
.NOTPARALLEL:

# OPTIONS of `make tune` are parameters of MLproject, in capitals. Only values on make's command line count, because names
# such as DATA or SEED may mean something else in the environment.
# begin options: lists, written by `make options` from src/options.py
OPTIONS := TARGET DATA QUERY CONFIG FEATURES N_TRIALS TIMEOUT TOTAL_TIMEOUT MAX_WORKERS DEVICE SAMPLER PRUNER \
	ENSEMBLE_SIZE CONSTRAINT SELECT SPACE MONOTONE SEED USE_CV CV N_FOLDS PURGE_DAYS TEST_FRACTION VALID_FRACTION \
	STORAGE_URL STORAGE_DIR STUDY_NAME OUTPUT_DIR NO_REGISTER VERBOSE
REPORT_OPTIONS := STORAGE_URL STORAGE_DIR STUDY_NAME OUTPUT_DIR VERBOSE
RUN_OPTIONS := WAIT_SECONDS IDLE_SECONDS
# end options
TARGET := is_profitable
N_TRIALS := 30
GIVEN := $(sort TARGET N_TRIALS $(foreach name,$(OPTIONS),$(if $(filter command,$(origin $(name))),$(name))))
# Options of `make fanout`, `fanout-status` and `fanout-down`, in addition to those above that a pod can use.
FANOUT := WORKERS OVERLAY DRY_RUN KUBECTL $(RUN_OPTIONS)
FANOUT_DOWN := STUDY_NAME OVERLAY KUBECTL ALL VOLUMES
FANOUT_GIVEN := $(foreach name,$(sort $(FANOUT) $(FANOUT_DOWN)),$(if $(filter command,$(origin $(name))),$(name)))
PORT := 5000
export TARGET N_TRIALS PORT

# Make would silently ignore a mistyped option and tune with the default.
space := $(subst ,, )
TYPED := $(foreach word,$(subst \$(space),_,$(MAKEOVERRIDES)),$(firstword $(subst =, ,$(word))))
FANOUT_TYPED := $(if $(filter fanout%,$(MAKECMDGOALS)),$(FANOUT) $(FANOUT_DOWN))
UNKNOWN := $(filter-out $(OPTIONS) $(FANOUT_TYPED) ARGS BENCH PORT PYTHON SHELL UPGRADE,$(TYPED))
ifneq ($(UNKNOWN),)
$(error $(UNKNOWN) is unknown: use $(strip $(OPTIONS) $(FANOUT_TYPED)), ARGS, BENCH, PORT, PYTHON or UPGRADE)
endif

# Ordered by duration; `derived` takes an hour, `quality` several.
BENCHMARKS := report features leaks serving drift batch promotion overhead scaling memory distributed coverage growth derived quality
BENCH := $(BENCHMARKS)
# `gpu` runs only where it is named, because it needs an OpenCL device.
ifneq ($(filter-out $(BENCHMARKS) gpu,$(BENCH)),)
$(error BENCH=$(filter-out $(BENCHMARKS) gpu,$(BENCH)) is unknown: use $(BENCHMARKS) gpu)
endif

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Without git, MLflow records no commit; this turns off its warnings about that.
export GIT_PYTHON_REFRESH := quiet
# MLflow's info messages would interrupt the progress bar; its warnings are shown.
MLFLOW_LOGGING_LEVEL ?= WARNING
export MLFLOW_LOGGING_LEVEL
ifeq ($(HOME),)
export HOME := $(CURDIR)/.venv
endif
ifneq ($(shell [ -w "$$HOME" ] && echo writable),writable)
export XDG_CACHE_HOME := $(CURDIR)/.venv/.cache
export XDG_CONFIG_HOME := $(CURDIR)/.venv/.config
endif

# A .venv whose Python does not exist any more, or that was moved, must be created again.
fresh = $(shell $(1)/bin/python -I -c '' 2>/dev/null && [ "$$(cat $(1)/.place 2>/dev/null)" = "$$(pwd -P)" ] && echo yes)
FRESH := $(call fresh,.venv)
RUN := .venv/.stamp-requirements.lock
DEV := .venv/.stamp-requirements-dev.lock
# A separate environment, so that the packages of other projects do not change the versions in .venv.
PEERS := .venv-bench/.stamp-requirements-bench.lock

.PHONY: help setup tune report fanout fanout-status fanout-down ui test test-fast test-cluster check bench lock options clean force
help: ## List the tasks
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'
	@echo "Options of tune, as in \`make tune TARGET=net_profit N_TRIALS=100\`:" && echo "$(OPTIONS)" | fold -s -w 100 | sed 's/^/  /'

setup: $(RUN) ## Create the environment in .venv (the other tasks do it too)
	@echo "The environment in .venv is ready."

tune: $(RUN) ## Tune, evaluate and register a model (TARGET=is_profitable N_TRIALS=30)
	@set --; for name in $(GIVEN); do \
	    option=$$(echo $$name | tr '[:upper:]' '[:lower:]'); \
	    eval "value=\$$$$name"; \
	    case $$value in *://*:*@* | *://*[?\&]password=*) \
	        echo "$$name contains a password, which MLflow would print and record: set PGPASSWORD instead" >&2; exit 2 ;; \
	    esac; \
	    set -- "$$@" -P "$$option=$$value"; \
	done; \
	[ -n "$$MLFLOW_EXPERIMENT_ID" ] || set -- --experiment-name "$${MLFLOW_EXPERIMENT_NAME:-daily-profit}" "$$@"; \
	echo "mlflow run . -e tune --env-manager local $$*"; \
	python -m src.tracking.connection.embedded_store && exec mlflow run . -e tune --env-manager local "$$@"

report: $(RUN) ## Write the report of the newest study (STUDY_NAME=..., or ARGS="--ensemble net_profit num_trades")
	@set -- $(ARGS); for name in $(filter $(REPORT_OPTIONS),$(GIVEN)); do \
	    eval "value=\$$$$name"; \
	    set -- "$$@" "--$$(echo $$name | tr 'A-Z_' 'a-z-')=$$value"; \
	done; \
	exec python -m src.modeling.optuna_visualization "$$@"

# Calls the script with those of these options that are set, as words NAME=value.
fan = set --; for name in $(2); do eval "value=\$$$$name"; set -- "$$@" "$$name=$$value"; done; \
	exec python -m k8s.fanout $(1) "$$@"

fanout: $(RUN) ## Run a study on Kubernetes (TARGET=net_profit WORKERS=8 N_TRIALS=400 OVERLAY=local, DRY_RUN=1)
	@$(call fan,up,$(sort $(GIVEN) $(filter $(FANOUT),$(FANOUT_GIVEN))))

fanout-status: $(RUN) ## Show a run, or everything in the cluster (STUDY_NAME=net_profit_20240101_120000)
	@$(call fan,status,$(filter STUDY_NAME OVERLAY KUBECTL,$(FANOUT_GIVEN)))

fanout-down: $(RUN) ## Delete a run, not its study (STUDY_NAME=..., or ALL=1 with the services, VOLUMES=1 too)
	@$(call fan,down,$(filter $(FANOUT_DOWN),$(FANOUT_GIVEN)))

ui: $(RUN) ## Start MLflow's UI of the embedded store (PORT=5000)
	@[ -f mlflow.db ] || { echo "There is no mlflow.db yet: run \`make tune\` first" >&2; exit 2; }
	@exec mlflow ui --backend-store-uri sqlite:///mlflow.db --port "$$PORT" --workers 1

test: $(DEV) ## Run the tests (ARGS="-k splits" goes to pytest)
	@python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(DEV) ## Run the tests that are not slow: without processes, servers and browsers
	@python -m pytest -n 2 --dist loadfile --fast $(ARGS)

test-cluster: $(DEV) ## Check fan-out, nights, servers and stores on the cluster that kubectl points to (ARGS="-k losses")
	@python -m pytest -o python_files='check_*.py' --timeout 1800 -x -v $(ARGS) tests/k8s/on_cluster

check: $(DEV) ## Check dependencies, options, style, types, manifests and test names
	@python .ci/deps.py check
	@python .ci/options.py check
	@ruff check --quiet .
	@ruff format --quiet --check . || { ruff format --diff --quiet .; false; }
	@mypy
	@python -m pytest --quiet --no-header tests/k8s/test_manifests.py
	@python .ci/collect.py

bench: $(PEERS) ## Run benchmarks against other projects (BENCH=quality ARGS="--seconds 60 --seeds 3")
	@for name in $(BENCH); do .venv-bench/bin/python -m benchmarks.$$name $(ARGS) || exit; done

lock: $(DEV) ## Derive the locks and conda.yaml from pyproject.toml (UPGRADE=1 for newer versions)
	@python .ci/deps.py lock $(if $(UPGRADE),--upgrade)

options: $(RUN) ## Generate what derives from src/options.py: MLproject, lists in this file, settings in k8s
	@python .ci/options.py write

clean: ## Delete environments and caches; results stay
	@rm -rf .venv .venv-bench .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): requirements.lock $(if $(FRESH),,force)
	@.ci/venv requirements.lock

$(DEV): requirements-dev.lock $(if $(FRESH),,force)
	@.ci/venv requirements-dev.lock

$(PEERS): requirements-bench.lock $(if $(call fresh,.venv-bench),,force)
	@.ci/venv requirements-bench.lock .venv-bench
