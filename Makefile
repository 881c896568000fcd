# SPDX-License-Identifier: GPL-3.0-or-later
# A thin door to meson and ninja. The first build leaves everything in build/.
BUILD := build
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all run check install bench torture fuzz lint coverage clean help

all:
	@tools/install-packages --check build
	@test -e $(BUILD)/build.ninja || meson setup $(BUILD) --prefix '$(PREFIX)'
	ninja -C $(BUILD)

help:
	@echo 'make            build holdfast in $(BUILD)/'
	@echo 'make run        install what is missing, build, and show a backup and a restore'
	@echo 'make check      install what tests need, build, run every test'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make bench      compare with restic, borg and plain tools'
	@echo 'make torture    kill, crash, fault and mutate at length'
	@echo 'make fuzz       an hour of fuzzing for each decoder'
	@echo 'make lint       layers, style, a second compiler, static analysis'
	@echo 'make coverage   line coverage per folder; fails below the threshold'
	@echo 'make clean      remove everything that was built'

run:
	tools/install-packages build run
	$(MAKE) all
	tools/run

check:
	tools/install-packages build test
	tools/check

install: all
	meson configure $(BUILD) -Dprefix='$(PREFIX)'
	DESTDIR='$(DESTDIR)' meson install -C $(BUILD)

bench:
	tools/install-packages build bench
	$(MAKE) all
	tests/bench/run

torture:
	tools/install-packages build test
	$(MAKE) all
	tests/crash/torture

fuzz:
	tools/install-packages build fuzz
	tests/fuzz/run

lint:
	tools/install-packages build lint
	tools/lint

coverage:
	tools/install-packages build test coverage
	tools/coverage

clean:
	rm -rf $(BUILD) $(BUILD)-*
