.PHONY: setup pitr bench-restore demo vagrant test lint words types unit model seeded functional docs fuzz sweep drill-sweep bench trust backups
.DEFAULT_GOAL := help

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: ## .venv with everything (called by the others)
	@scripts/setup

demo: setup ## a primary, a backup and a replica on real machines, from nothing
	@scripts/demo

vagrant: setup ## the main job on two machines of Vagrant's; PROVIDER=lxc (default) or libvirt
	@PROVIDER=$(or $(PROVIDER),lxc) scripts/vagrant

test: setup ## everything: lint, types, unit, cases, laws, functional
	@scripts/test

backups: setup ## restores, drills, watching, rotation of the passphrase: on real machines, long
	.venv/bin/pgprovision lab prepare --yes
	.venv/bin/pytest -rs -m backups

sweep: setup ## every crash point of the main verbs by kinds of death, ~30 min; a result file
	.venv/bin/python -m tests.sweep
	PGP_SWEEP=1 .venv/bin/pytest -q tests/functional/test_identity.py tests/unit/test_identity_files.py
	PGP_SWEEP=1 .venv/bin/pytest -q tests/cluster/test_backups.py --covers F111

bench: setup ## a rerun with 500 databases, 2,000 roles and 5,000 hba lines: seconds, in a lab of its own
	@scripts/bench

pitr: setup ## a hundred restores to a point in time, each compared row by row; ~10 min
	PGP_PITR=100 .venv/bin/pytest -q tests/laws/backup/test_restore_laws.py -k hundred

bench-restore: setup ## our restore and clone beside pgbackrest and pg_basebackup; SIZE=5 GB
	PGP_SIZE=$(or $(SIZE),5) .venv/bin/pytest -q -s benchmarks/restore.py

drill-sweep: setup ## a drill killed at each of its changes, and cleaned up after, ten minutes
	.venv/bin/python -m tests.sweep.drill

trust: setup ## all of it, hours: the tests, sweep, seeded bugs, model, fuzz; writes docs/trust.md
	mkdir -p results
	PGP_RESULTS=results scripts/test --junitxml=results/tests.xml
	PGP_RESULTS=results $(MAKE) seeded model fuzz
	.venv/bin/python -m tests.sweep --results results
	.venv/bin/python -m tests.support.trust_report results/tests.xml results $$(git describe --always --dirty)

lint: setup ## ruff, and the words that are to go (STYLE.md)
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/python -m tests.support.words --budget

words: setup ## where each word that is to go is found; WORD=NAME for one of them, COUNT=1 for numbers
	.venv/bin/python -m tests.support.words $(if $(COUNT),--count) $(if $(WORD),"$(WORD)") || :

types: setup ## mypy, strict
	.venv/bin/mypy

unit: setup ## the quick tests: no root, no machines
	.venv/bin/pytest -m "not lab"

model: setup ## the loop under every fault, in 5000 examples (EXAMPLES=n); a quarter of an hour
	PGP_EXAMPLES=$(or $(EXAMPLES),5000) .venv/bin/pytest --hypothesis-show-statistics \
	  tests/unit/test_engine_model.py

seeded: setup ## known mistakes, put in one by one: which test catches each
	@scripts/seeded

docs: setup ## the pages that are made from the program: commands, inventory keys, templates, schema
	@scripts/docs

fuzz: setup ## 100,000 mutated inventories, SEED=1: each loads or is refused with exit code 2
	@scripts/fuzz $(or $(COUNT),100000) $(or $(SEED),1)
