# SPDX-License-Identifier: GPL-3.0-or-later
# A thin door to meson and ninja. The first build leaves everything in build/.
BUILD := build
PREFIX ?= /usr/local
DESTDIR ?=
# no: programs and manual only, nothing outside the prefix
SYSTEM ?= yes

.PHONY: all run up demo check install deb deb-check bench torture fuzz lint coverage clean help

all:
	@tools/install-packages --check build
	@test -e $(BUILD)/build.ninja || meson setup $(BUILD) --prefix '$(PREFIX)'
	ninja -C $(BUILD)

help:
	@echo 'make            build holdfast in $(BUILD)/'
	@echo 'make run        install what is missing, build, and show a server, a host, a job and a restore'
	@echo 'make up         the same system, running until Ctrl-C, with its data of last time'
	@echo 'make demo       the command line alone, without a server'
	@echo 'make check      install what tests need, build, run every test'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) SYSTEM=$(SYSTEM)'
	@echo 'make deb        build the Debian packages in build-deb/'
	@echo 'make deb-check  build them, and try them in a copy of this system (root)'
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

up:
	tools/install-packages build run
	$(MAKE) all
	tools/up

demo:
	tools/install-packages build run
	$(MAKE) all
	tools/demo

check:
	tools/install-packages build test
	tools/check

install: all
	meson configure $(BUILD) -Dprefix='$(PREFIX)' -Dsystem=$(if $(filter no,$(SYSTEM)),false,true)
	DESTDIR='$(DESTDIR)' meson install -C $(BUILD)

deb:
	tools/install-packages build deb
	tools/deb

deb-check: deb
	tests/packages/test_packages.py build-deb

bench:
	tools/install-packages build bench
	$(MAKE) all
	tests/bench/run

torture:
	tools/install-packages build test
	$(MAKE) all
	tests/crash/torture
	python3 tests/fleet/test_freeze.py $(BUILD)

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
