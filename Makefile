# Each target is one line: `scripts/kit VERB` does the work and returns the exact exit code. make returns 2 for every failure.
# Settings go on the command line: make up WORKERS=4 HOST=http://shop.example. They are described in .env.example.
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
KIT := scripts/kit

.PHONY: help setup up join down restart reload scale ps logs monitor health incidents diagnose selftest run capacity try report reports swarm-up swarm-scale swarm-down swarm-monitor swarm-diagnose clean purge unit test test-long lint docs bench

help:
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "%s%s\n", (n++ ? "\n" : ""), substr($$0, 5)} \
	/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ Use

setup: ## prepare this machine: Docker if it is missing, base image, host tools (DRY_RUN=1 only prints the plan)
	@scripts/setup

up: ## start the stack: make up WORKERS=4 HOST=http://shop.example
	@$(KIT) up

join: ## start workers here for the master of another machine: make join MASTER=10.0.0.5 WORKERS=4
	@$(KIT) join

down: ## stop the stack; runs and reports stay
	@$(KIT) down

restart: ## restart every container
	@$(KIT) restart

reload: ## load the edited locustfile in every process, without a build
	@$(KIT) reload

scale: ## change the number of workers, also during a run: make scale WORKERS=8
	@$(KIT) scale

ps: ## list the containers and their states
	@$(KIT) ps

logs: ## print the logs of the containers (SERVICE=worker TAIL=50 FOLLOW=1)
	@$(KIT) logs

monitor: ## show the live view: run, incidents, containers, logs (ONCE=1 prints one frame)
	@$(KIT) monitor

health: ## check that master, statistics, monitor, target and HEALTH_URLS answer
	@$(KIT) health

incidents: ## list what went wrong (SINCE=10m), or show one incident with its evidence (ID=...)
	@$(KIT) incidents

diagnose: ## find out why something does not work: cause, evidence, fix (ONLY= FORMAT= BUNDLE= NOTE=)
	@$(KIT) diagnose

selftest: ## check that the monitor records OOM kills on this machine
	@$(KIT) selftest

run: ## run one test, with a verdict and a report: make run USERS=200 SPAWN_RATE=20 RUN_TIME=2m
	@$(KIT) run

capacity: ## find the maximum throughput of one endpoint: make capacity ENDPOINT=/api/cart HOST=http://shop.example
	@$(KIT) capacity

try: ## run each task once with one user per class, and print each request
	@$(KIT) try

report: ## list the recorded runs; RUN=last makes the report again, BASELINE=<id> compares
	@$(KIT) report

reports: ## list the reports in REPORTS_DIR
	@$(KIT) reports

clean: ## stop the stack, and remove the built images; results stay
	@$(KIT) clean

purge: ## stop the stack, and delete images, runs and ledger; it asks first
	@$(KIT) purge

##@ Many machines (Docker Swarm)

swarm-up: ## start the stack on all nodes: make swarm-up WORKERS=40 SWARM_NODES=ssh://user@host (or REGISTRY=)
	@$(KIT) swarm-up

swarm-scale: ## change the number of workers: make swarm-scale WORKERS=60
	@$(KIT) swarm-scale

swarm-down: ## stop the stack; runs and ledgers stay on their nodes
	@$(KIT) swarm-down

swarm-monitor: ## show the live view of all nodes
	@$(KIT) swarm-monitor

swarm-diagnose: ## find out why the stack on the Swarm does not work
	@$(KIT) swarm-diagnose

##@ Develop

unit: ## run the unit tests, which need no Docker, in a minute
	@scripts/test unit

test: ## run everything that CI runs
	@scripts/test

test-long: ## run the full fault matrix and the soak tests; it takes hours
	@scripts/test long

lint: ## run ruff, mypy, the import contract, the checks of names, docs and links, shellcheck
	@scripts/lint

docs: ## build the documentation as a site in .locust-kit/site, and check its links
	@.venv/bin/python scripts/docs.py

bench: ## measure what the monitor costs, and how late it records an event
	@scripts/bench
