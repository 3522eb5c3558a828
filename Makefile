# What people type. The build itself is Meson's; see CONTRIBUTING.md.
PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: all help deps test torture demo bench bench-store flame-graph fuzz lint fmt install clean

all: deps $(BUILD)/build.ninja ## build build/amid and its plugin
	@ninja -C $(BUILD) $(if $(VERBOSE),-v,--quiet)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make test T=NAME   only the tests whose name or file has NAME in it"
	@echo "  make install DESTDIR= PREFIX=/usr/local"

deps: ## install the Debian packages that are missing (as root)
	@tools/install-packages tools/apt-packages.txt

$(BUILD)/build.ninja: | deps
	@meson setup $(BUILD) --prefix $(PREFIX) >/dev/null

test: all ## run all tests; ends with "N passed, N failed"
	@/usr/bin/python3 tests/run.py --build $(BUILD) $(if $(T),--only "$(T)")

TORTURE_MINUTES ?= 5
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
torture: all ## crash everything everywhere for TORTURE_MINUTES; it prints its seed, SEED= repeats it
	@$(BUILD)/tests/torture/torture --minutes $(TORTURE_MINUTES) --seed $(SEED)

demo: all ## the whole story with the stock aws CLI, in a scratch folder
	@tests/demo.sh $(BUILD)

bench: all ## measure, beside peers
	@/usr/bin/python3 tests/bench/run.py --build $(BUILD)

bench-store: all ## how fast and thrifty blocks are, beside peers; some minutes
	@tools/install-packages tools/apt-packages-bench.txt
	@/usr/bin/python3 tests/bench/bench_store.py $(BUILD)

flame-graph: deps ## where the time of blocks goes: docs/flame-*.svg, with perf
	@tools/install-packages tools/apt-packages-bench.txt
	@test -e build-profile || CFLAGS=-fno-omit-frame-pointer meson setup build-profile >/dev/null
	@ninja -C build-profile --quiet && /usr/bin/python3 tests/bench/profile_store.py build-profile docs

fuzz: all ## run every fuzz target for a short while (for longer: tests/fuzz/meson.build)
	@/usr/bin/python3 tests/run.py --build $(BUILD) --layers fuzz

lint: all ## layering, sizes, clang-format, clang-tidy, cppcheck
	@tools/lint $(BUILD)

fmt: deps ## format the C files that differ from HEAD
	@git diff --name-only --diff-filter=d HEAD -- '*.c' '*.h' | xargs -r clang-format -i

install: all ## install below DESTDIR/PREFIX
	@meson configure $(BUILD) --prefix $(PREFIX) >/dev/null && DESTDIR=$(DESTDIR) meson install -C $(BUILD) --quiet

clean: ## remove what was built
	@rm -rf $(BUILD) build-*
