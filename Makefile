# Each target is one line: `scripts/kit VERB` does the work and has the true exit code (make makes every failure a 2).
# Settings go on the command line: make up WORKERS=4 HOST=http://shop.example. They are described in .env.example.
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
KIT := scripts/kit

.PHONY: help setup up join down restart reload scale ps logs monitor health incidents diagnose selftest run capacity try report reports swarm-up swarm-scale swarm-down swarm-monitor swarm-diagnose clean purge unit test test-long lint bench

help:
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "%s%s\n", (n++ ? "\n" : ""), substr($$0, 5)} \
	/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ Use

setup: ## prepare this machine: Docker if there is none, base image, host tools (DRY_RUN=1 only says)
	@scripts/setup

up: ## start the stack: make up WORKERS=4 HOST=http://shop.example
	@$(KIT) up

join: ## workers on this machine for another one's master: make join MASTER=10.0.0.5 WORKERS=4
	@$(KIT) join

down: ## end the stack; runs and reports stay
	@$(KIT) down

restart: ## restart every container as it is
	@$(KIT) restart

reload: ## after editing the locustfile: every process loads it anew
	@$(KIT) reload

scale: ## another number of workers, during a run too: make scale WORKERS=8
	@$(KIT) scale

ps: ## the containers and their state
	@$(KIT) ps

logs: ## what the containers print (SERVICE=locust-worker TAIL=50 FOLLOW=1)
	@$(KIT) logs

monitor: ## the live view: services, resources, logs (ONCE=1 for one frame)
	@$(KIT) monitor

health: ## whether master, statistics, sidecar, target and HEALTH_URLS answer (exit code)
	@$(KIT) health

incidents: ## what went wrong, one line each (SINCE=10m, or ID=... for one of them whole)
	@$(KIT) incidents

diagnose: ## why it does not work, and the commands that mend it (ONLY= FORMAT= BUNDLE= NOTE=)
	@$(KIT) diagnose

selftest: ## kill small containers of its own and see whether the sidecar saw every kill
	@$(KIT) selftest

run: ## one run, one verdict: make run USERS=200 SPAWN_RATE=20 RUN_TIME=2m
	@$(KIT) run

capacity: ## how much one endpoint carries: make capacity ENDPOINT=/api/cart HOST=http://shop.example
	@$(KIT) capacity

try: ## one user, one pass, each request printed
	@$(KIT) try

report: ## the runs on the disk; RUN=last makes its report anew, BASELINE=<id> compares
	@$(KIT) report

reports: ## the reports in REPORTS_DIR
	@$(KIT) reports

clean: ## end the stack, remove the built images; never a result
	@$(KIT) clean

purge: ## clean, and delete runs and ledger too; asks first
	@$(KIT) purge

##@ Many machines (Docker Swarm)

swarm-up: ## start the stack on all nodes: make swarm-up WORKERS=40 SWARM_NODES=ssh://user@host (or REGISTRY=)
	@$(KIT) swarm-up

swarm-scale: ## another number of workers: make swarm-scale WORKERS=60
	@$(KIT) swarm-scale

swarm-down: ## end the stack; runs and ledgers stay on their nodes
	@$(KIT) swarm-down

swarm-monitor: ## the live view of all nodes together
	@$(KIT) swarm-monitor

swarm-diagnose: ## why it does not work: nodes, images, placement, network, workers
	@$(KIT) swarm-diagnose

##@ Develop

unit: ## the tests that need no Docker and no process of their own, in a minute
	@scripts/test unit

test: ## everything that CI runs
	@scripts/test

test-long: ## full matrices and soaks
	@scripts/test long

lint: ## ruff, mypy, the import contract, names, shellcheck
	@scripts/lint

bench: ## what watching costs, beside the seed's loop, docker stats and glances; and how late an event is
	@scripts/bench
