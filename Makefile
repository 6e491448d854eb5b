# vmm-service. `make help` lists the targets. Each works on a fresh Debian 12 as root.
PRESET ?= release
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)
DESTDIR ?=
PREFIX ?= /usr

.PHONY: help deps configure build guest image-debian run test lint format asan tsan fuzz bench install clean hooks

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install what is missing: Debian packages and, for the tests, npm packages
	@tools/deps.sh

$(BUILD)/build.ninja: CMakeLists.txt CMakePresets.json | deps
	@cmake --preset $(PRESET) >/dev/null

build: deps $(BUILD)/build.ninja ## Build vmm-service and vmctl into build/release/bin
	@cmake --build --preset $(PRESET) -j $(JOBS) --target vmm-service vmctl vmm-jail vmm-guest-agent

guest: build ## Build the tiny guest from Debian packages: build/images/tiny.form
	@guest/tiny.sh build/guest-images
	@guest/pack.sh build/guest-images/tiny build/images/tiny.form $(BUILD)/bin/vmctl

image-debian: deps ## Build a Debian 12 disk with cloud-init from Debian packages: build/images/debian-12.qcow2
	@guest/debian.sh build/images

run: build guest ## Start the service with a first machine; Ctrl-C stops it
	@tools/run.sh

test: deps $(BUILD)/build.ninja guest image-debian ## Build everything and run all tests
	@cmake --build --preset $(PRESET) -j $(JOBS)
	@tools/test.sh $(PRESET)

lint: deps ## Check format, rooms, awaits, spelling, shell and (TIDY=all for every file) clang-tidy
	@tools/lint.sh

format: deps ## Format the C++ sources
	@git ls-files '*.cpp' '*.h' | xargs clang-format-19 -i

asan: ## All unit tests under AddressSanitizer and UBSan
	@tools/sanitize.sh asan

tsan: ## All unit tests under ThreadSanitizer
	@tools/sanitize.sh tsan

fuzz: deps ## Run each fuzz target (SECONDS_EACH=60)
	@tools/fuzz.sh

bench: build guest image-debian ## Measure, and write docs/benchmarks.md
	@tools/bench.sh

install: build ## Install programs, manual page, completion and the documented configuration below DESTDIR
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX)
	@install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/doc/vmm-service
	@$(BUILD)/bin/vmctl man >$(DESTDIR)$(PREFIX)/share/man/man1/vmctl.1
	@$(BUILD)/bin/vmctl completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/vmctl
	@install -m 644 config/default.conf README.md $(DESTDIR)$(PREFIX)/share/doc/vmm-service/

hooks: ## Check each commit with the linter
	@git config core.hooksPath tools/hooks

clean: ## Remove everything that was built
	@rm -rf build
