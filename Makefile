# A thin front for Meson. `make help` lists the targets.
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all help deps install check quick bench demo format clean

all: $(BUILD)/build.ninja
	meson compile -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/deps --check build
	meson setup $(BUILD)

help:
	@echo 'make                  build $(BUILD)/src/igloo'
	@echo 'make install          install it; DESTDIR= and PREFIX=/usr/local'
	@echo 'make demo             a small project in a box, step by step'
	@echo 'make check            every test (5 to 30 minutes)'
	@echo 'make quick            the tests that take less than a minute'
	@echo 'make bench            the measurements'
	@echo 'make format           let clang-format decide'
	@echo 'make deps             install with apt what the other targets need'
	@echo 'make clean            remove what was built'

deps:
	tools/deps build run test

install: all
	meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX))
	DESTDIR=$(DESTDIR) meson install -C $(BUILD)

check:
	@tools/deps build run test
	@tests/run check

quick:
	@tools/deps build run test
	@tests/run quick

demo:
	@tools/deps build run
	@$(MAKE) --no-print-directory all
	@tools/demo $(BUILD)/src/igloo

bench: all
	@bench/run $(BUILD)/src/igloo

format:
	git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD) build-check
