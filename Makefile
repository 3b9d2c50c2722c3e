# cnnc: `make` builds build/cnnc; `make check` tests it. Everything made goes to $(BUILD).
BUILD    ?= build
PREFIX   ?= /usr/local
CC       ?= cc
CFLAGS   ?= -O2 -g
LDFLAGS  ?=
DESTDIR  ?=
JOBS     ?= $(shell nproc 2>/dev/null || echo 2)
$(if $(strip $(BUILD)),,$(error BUILD is empty: name a folder for what is built))

WARN     := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Werror
PKG      := $(or $(PKG_CONFIG),pkg-config)
# Debian calls it lua5.4, others lua or lua-5.4.
LUA_PC   := $(firstword $(shell for p in lua5.4 lua-5.4 lua54 lua; do \
	$(PKG) --exists "$$p >= 5.4" 2>/dev/null && echo $$p; done))
ifneq ($(LUA_PC),)
LUA_CFLAGS := $(shell $(PKG) --cflags $(LUA_PC))
LUA_LIBS   := $(shell $(PKG) --libs $(LUA_PC))
else
LUA_CFLAGS := -I/usr/include/lua5.4
LUA_LIBS   := -llua5.4
endif
LIBS     := $(LUA_LIBS) -ltcc -ledit -ljansson -lz -ldl -lm -lpthread
ALL_CFLAGS := -std=c11 $(WARN) $(CFLAGS) -MMD -MP $(LUA_CFLAGS)

LIB_SRC  := $(filter-out compiler/main.c,$(wildcard compiler/*.c compiler/*/*.c))
RT_SRC   := $(wildcard runtime/*.c runtime/formats/*.c)
TEST_SRC := $(wildcard tests/test_*.c)
# What several tests share: every other .c of tests/.
HELP_SRC := $(filter-out $(TEST_SRC),$(wildcard tests/*.c))
BENCH_SRC := $(wildcard tests/bench/*.c)
BENCH_HELP := $(wildcard tests/bench/common/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/*.c)

obj       = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIB      := $(BUILD)/libcnnc.a
RT       := $(BUILD)/libcnnc_rt.a
HELP     := $(BUILD)/libtests.a
CNNC     := $(BUILD)/cnnc
# Those that take longest begin first, so that none is left alone at the end.
LONG     := $(patsubst %,$(BUILD)/tests/%,test_ops test_entries test_winograd test_recompute test_aarch64 test_reference)
FULL     := $(patsubst %,$(BUILD)/tests/%,test_ops test_entries test_reference test_aarch64 test_prelude)
TESTS    := $(LONG) $(filter-out $(LONG),$(TEST_SRC:tests/%.c=$(BUILD)/tests/%))
BENCHES  := $(BENCH_SRC:tests/bench/%.c=$(BUILD)/bench/%)
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)
ALL_SRC  := $(LIB_SRC) compiler/main.c $(RT_SRC) $(TEST_SRC) $(HELP_SRC) $(BENCH_SRC) $(BENCH_HELP) $(FUZZ_SRC)

.PHONY: all tests deps demo check check-full check-san fuzz benches bench bench-kernels ablation roofline golden fmt lint layers \
	install clean
.SECONDARY:
.DELETE_ON_ERROR:

all: $(CNNC) $(RT)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

# An archive is made anew, so that a source that went away goes away here too.
$(LIB): $(call obj,$(LIB_SRC))
	@rm -f $@
	@$(AR) rcs $@ $^
$(RT): $(call obj,$(RT_SRC))
	@rm -f $@
	@$(AR) rcs $@ $^

$(HELP): $(call obj,$(HELP_SRC))
	@rm -f $@
	@$(AR) rcs $@ $^

$(CNNC): $(call obj,compiler/main.c) $(LIB) $(RT)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(HELP) $(LIB) $(RT)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ -lcmocka $(LIBS) -o $@
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(call obj,$(BENCH_HELP)) $(LIB) $(RT)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(HELP) $(LIB) $(RT)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ -lcmocka $(LIBS) -o $@

deps:
	@sh tools/deps.sh

# In parallel, unless the caller has said how.
SUBMAKE   = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))

# The test programs in one go; the recursion lets `deps` install what the build needs first.
tests: $(CNNC) $(TESTS) $(BENCHES)
check: deps
	@$(SUBMAKE) tests layers
	@BUILD=$(BUILD) CC="$(CC)" sh tests/run.sh $(TESTS)

# What check leaves out for its time, the examples, fuzzing, and all of check under the sanitizers.
check-full:
	@sh tools/deps.sh full
	@$(SUBMAKE) tests
	@BUILD=$(BUILD) CC="$(CC)" CNNC_CHECK=full sh tests/run.sh $(FULL)
	@for e in digits filters; do $(MAKE) --no-print-directory -C examples/$$e \
		BUILD=$(abspath $(BUILD)) CNNC=$(abspath $(CNNC)) check || exit 1; done
	@$(SUBMAKE) fuzz
	@$(MAKE) --no-print-directory check-san

check-san:
	@$(MAKE) --no-print-directory check BUILD=$(BUILD)/san CFLAGS="-O1 -g -fno-omit-frame-pointer \
		-fsanitize=address,undefined -fno-sanitize-recover=undefined"

# Files for FUZZ_SECONDS; N networks made at random, of seeds from SEED on. What is found is said, and
# is a failure.
FUZZ_SECONDS ?= 60
N    ?= 60
SEED ?= 1
fuzz: $(CNNC) $(FUZZERS)
	@BUILD=$(BUILD) $(BUILD)/fuzz/fuzz_formats $(FUZZ_SECONDS)
	@BUILD=$(BUILD) $(BUILD)/fuzz/fuzz_networks $(N) $(SEED)

# Whole networks beside other engines: rewrites tables and figure in docs/; BENCH="--network resnet50 --batch 1
# --threads 1 --what infer" measures a part, see tests/bench/bench.py. Single layers beside oneDNN and ONNX Runtime:
# KERNELS="--filter 3x3 --batch 1", see tests/bench/layers.py.
benches: $(CNNC) $(BENCHES)
bench: deps
	@$(SUBMAKE) benches
	@BUILD=$(BUILD) python3 tests/bench/bench.py $(BENCH)
bench-kernels: deps
	@$(SUBMAKE) benches
	@BUILD=$(BUILD) python3 tests/bench/layers.py $(KERNELS)
# What fusion, Winograd, prefetches and vectors bring: ABLATION="--network lenet", see tests/bench/ablation.py.
ablation: deps
	@$(SUBMAKE) benches
	@BUILD=$(BUILD) python3 tests/bench/ablation.py $(ABLATION)
# A network's steps below the machine's roofs, drawn.
NETWORK  ?= networks/resnet.lua -D depth=50 -b infer=1 -b train=16
PLOT     ?= $(BUILD)/roofline.svg
roofline: deps
	@$(SUBMAKE) $(CNNC)
	@BUILD=$(BUILD) python3 tests/bench/roofline.py $(PLOT) $(NETWORK)

# Learns the digits of examples/ in the open, in a few seconds.
demo: $(CNNC) $(RT)
	@$(MAKE) --no-print-directory -C examples/digits BUILD=$(abspath $(BUILD)) CNNC=$(abspath $(CNNC)) demo

# Rewrites the expected texts of tests/pass and tests/emit; review the diff.
golden: deps
	@$(SUBMAKE) $(CNNC) $(BUILD)/tests/test_golden
	@BUILD=$(BUILD) CNNC_GOLDEN=write sh tests/run.sh $(BUILD)/tests/test_golden

# All that is written by hand.
BY_HAND   = $(shell find compiler runtime tests examples -name '*.[ch]' -not -path 'tests/emit/*')
fmt:
	clang-format -i $(BY_HAND)
lint: layers
	@clang-format --dry-run -Werror $(BY_HAND)
	@for f in $(ALL_SRC); do clang -std=c11 $(WARN) $(LUA_CFLAGS) -fsyntax-only $$f || exit 1; done
	@mkdir -p $(BUILD) && awk 'FNR > 600 { print FILENAME ": more than 600 lines"; bad = 1; nextfile } \
		END { exit bad }' $(ALL_SRC)
layers:
	@sh tools/layers.sh

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include/cnnc/formats $(DESTDIR)$(PREFIX)/lib \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/cnnc/networks \
		$(DESTDIR)$(PREFIX)/share/doc/cnnc
	install $(CNNC) $(DESTDIR)$(PREFIX)/bin
	install -m 644 compiler/cnnc.h $(wildcard runtime/*.h) $(DESTDIR)$(PREFIX)/include/cnnc
	install -m 644 $(wildcard runtime/formats/*.h) $(DESTDIR)$(PREFIX)/include/cnnc/formats
	install -m 644 $(LIB) $(RT) $(DESTDIR)$(PREFIX)/lib
	install -m 644 docs/cnnc.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/building.md docs/language.md docs/pth_to_safetensors.py $(DESTDIR)$(PREFIX)/share/doc/cnnc
	install -m 644 $(wildcard networks/*.lua) $(DESTDIR)$(PREFIX)/share/cnnc/networks

clean:
	rm -rf $(BUILD)

-include $(patsubst %.c,$(BUILD)/%.d,$(ALL_SRC))
