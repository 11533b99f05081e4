# make help lists the targets. Everything sets itself up first; see tools/setup.sh.
SHELL := /bin/bash
.PHONY: help setup demo test lint type format bench clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## prepare this machine: packages, virtual environment, build
	@tools/setup.sh

demo: setup  ## a simulated fleet that learns while it is deployed: make demo [ROBOTS=2] [MINUTES=10] [TASKS=...]
	@./lwd demo $(if $(ROBOTS),--robots $(ROBOTS)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(TASKS),--tasks $(TASKS)) $(ARGS)

test: setup  ## run all tests
	@tools/browser.sh
	@source tools/env.sh && python -m pytest $(ARGS)

lint: setup  ## check style, of Python and of Dockerfiles
	@source tools/env.sh && ruff check . && hadolint docker/*.Dockerfile

type: setup  ## check types
	@source tools/env.sh && mypy

format: setup  ## mend what the style checker can mend
	@source tools/env.sh && ruff check --fix .

bench: setup  ## run a benchmark: make bench NAME=safety [QUICK=1] [ARGS=...]
	@test -n "$(NAME)" || { echo "name one: make bench NAME=<$$(ls benchmarks | sed -n 's/^\([a-z].*\)\.py$$/\1/p' | paste -sd'|')>"; exit 2; }
	@source tools/env.sh && QUICK=$(QUICK) python -m benchmarks.$(NAME) $(ARGS)

clean:  ## remove what was built
	rm -rf build install log .venv
