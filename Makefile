# The thin front: every target is a line or two of cmake, ctest or a script in tools/.
# `make help` lists them.
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
TESTS ?= OFF
CMAKE_FLAGS ?=
BENCH_FLAGS ?=
FUZZ_SECONDS ?= 600

.PHONY: all demo test long bench asan ubsan tsan fuzz install clean help

all: ## build/sensorium, libsensorium.so and libsensorium.a
	@tools/build.sh $(BUILD) $(JOBS) -DBUILD_TESTING=$(TESTS) $(CMAKE_FLAGS)

demo: ## fetch real pictures and questions, learn, score, answer (installs what is missing when root)
	@tools/deps.sh install build demo
	@$(MAKE) --no-print-directory all
	@tools/demo.sh $(BUILD)

test: ## build and run all tests (installs what is missing when root)
	@tools/deps.sh install build test
	@$(MAKE) --no-print-directory all TESTS=ON
	@ctest --test-dir $(BUILD) -j$(JOBS) --output-on-failure -LE long

long: ## the slow tests too, then everything once more against oneDNN 3; published sizes where SN_BENCH_PYTHON has Transformers
	@tools/deps.sh install build test demo
	@$(MAKE) --no-print-directory all TESTS=ON
	@ctest --test-dir $(BUILD) -j$(JOBS) --output-on-failure
	@tools/onednn3.sh $(BUILD)-onednn3 $(JOBS)
	@ctest --test-dir $(BUILD)-onednn3 -j$(JOBS) --output-on-failure
	@if [ -n "$$SN_BENCH_PYTHON" ]; then \
	  cmake --build $(BUILD) --target run_page -j $(JOBS) && \
	  "$$SN_BENCH_PYTHON" tools/full_models.py $(BUILD)/models && \
	  "$$SN_BENCH_PYTHON" tools/check_full_models.py $(BUILD)/run_page $(BUILD)/models; \
	else echo "published sizes: not checked (SN_BENCH_PYTHON: a python3 with torch and transformers)"; fi

bench: ## ours against PyTorch, alternately; SN_BENCH_PYTHON has the peer, BENCH_FLAGS go to bench/run.py
	@tools/deps.sh install build demo
	@$(MAKE) --no-print-directory all
	@cmake --build $(BUILD) --target bench_train bench_models bench_tokenizer -j $(JOBS)
	@python3 bench/run.py $(BUILD) $(BENCH_FLAGS)

asan ubsan tsan: ## the tests under the address, undefined or thread sanitizer
	@tools/deps.sh install build test
	@tools/sanitize.sh $@ $(BUILD)-$@ $(JOBS)

fuzz: ## every fuzz target for FUZZ_SECONDS (600) with clang's libFuzzer
	@tools/deps.sh install build test fuzz
	@fuzz/run.sh $(BUILD)-fuzz $(FUZZ_SECONDS) $(JOBS)

install: all ## to PREFIX (/usr/local), under DESTDIR if given
	@DESTDIR='$(DESTDIR)' cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## remove the build directories
	rm -rf $(BUILD) $(BUILD)-*

help: ## this list
	@sed -n 's/^\([a-z ]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | expand -t 18
