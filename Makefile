# decant: make (the binary), make test, make demo, make bench, make asan, make check-interop,
# make install (PREFIX=/usr/local, DESTDIR), make format, make deps, make clean, make help.
# DEPS=0 installs nothing and names what is missing.
# BUILD=dir builds elsewhere; SAN=1 adds AddressSanitizer and UBSan (make asan does both);
# WERROR=1 makes warnings errors, as CI does; V=1 shows the compiler's commands.

BUILD ?= build
PREFIX ?= /usr/local
CC ?= cc
PACKAGES = pkg-config libopenblas-dev libsqlite3-dev libcurl4-openssl-dev libcjson-dev \
           libpcre2-dev libutf8proc-dev libcmocka-dev libmicrohttpd-dev zlib1g-dev sqlite3
PC_LIBS = openblas sqlite3 libcurl libcjson libpcre2-8 libutf8proc

ROOMS = core teacher student dataset quant distill
SRC := $(shell find $(ROOMS) -name '*.c' | LC_ALL=C sort)
CLI_SRC := $(sort $(wildcard cli/*.c))
TEST_SRC := $(shell find tests -name 'test_*.c' | LC_ALL=C sort)
SERVER_SRC := $(sort $(wildcard tests/server/*.c))
BENCH_SRC := $(sort $(wildcard tests/bench/bench_*.c))
OBJ := $(SRC:%.c=$(BUILD)/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/%.o)
TESTS := $(TEST_SRC:%.c=$(BUILD)/%)
BENCHES := $(BENCH_SRC:%.c=$(BUILD)/%)
SERVER = $(BUILD)/tests/server/teacher
SERVER_OBJ := $(SERVER_SRC:%.c=$(BUILD)/%.o)
LIB = $(BUILD)/libdecant.a
VERSION := $(shell cat VERSION)

WARN = -Wall -Wextra -Wno-missing-field-initializers
ifeq ($(WERROR),1)
  WARN += -Werror
endif
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=c17 $(WARN) $(CFLAGS) -fopenmp -D_GNU_SOURCE -DDECANT_VERSION='"$(VERSION)"' \
             -I. -I$(BUILD) $(shell pkg-config --cflags $(PC_LIBS) 2>/dev/null)
LIBS = $(shell pkg-config --libs $(PC_LIBS) 2>/dev/null) -fopenmp -lm
ifeq ($(SAN),1)
  ALL_CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
  LIBS += -fsanitize=address,undefined
endif

# A line for each thing made, or with V=1 its command.
ifeq ($(V),1)
  say =
  Q =
else
  say = @echo "$(1) $(2)"
  Q = @
endif

all: deps
	@$(MAKE) --no-print-directory $(BUILD)/decant

$(BUILD)/decant: $(CLI_OBJ) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $(CLI_OBJ) $(LIB) $(LIBS)

$(LIB): $(OBJ)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $(OBJ)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The corpus's schema as C string literals, for dataset/schema.c.
$(BUILD)/dataset/%.inc: dataset/%.sql
	@mkdir -p $(@D)
	$(call say,SQL,$<)
	$(Q)sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' $< >$@
$(BUILD)/dataset/schema.o: $(patsubst %.sql,$(BUILD)/%.inc,$(wildcard dataset/*.sql))

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $< $(LIB) $(LIBS)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $< $(LIB) $(LIBS) -lcmocka

# The HTTP teacher of the tests; nothing else uses libmicrohttpd and zlib.
$(SERVER): $(SERVER_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $(SERVER_OBJ) $(LIBS) $(shell pkg-config --libs libmicrohttpd zlib 2>/dev/null)

-include $(OBJ:.o=.d) $(SERVER_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TESTS:%=%.d) $(BENCHES:%=%.d)
.PRECIOUS: $(BUILD)/%.o

binaries: $(BUILD)/decant $(TESTS) $(SERVER)
benches: $(BENCHES) $(SERVER)

test: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) binaries
	@BUILD=$(BUILD) tests/run.sh

asan: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) BUILD=build-asan SAN=1 CFLAGS='-O1 -g' binaries
	@BUILD=build-asan SAN=1 tests/run.sh

bench: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BUILD)/decant benches
	@BUILD=$(BUILD) tests/bench/run.sh

demo: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BUILD)/decant
	@BUILD=$(BUILD) examples/demo.sh

check-interop: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BUILD)/decant $(SERVER)
	@BUILD=$(BUILD) tests/interop/run.sh

install: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) $(BUILD)/decant
	install -D -m 755 $(BUILD)/decant $(DESTDIR)$(PREFIX)/bin/decant

deps:
	@DEPS='$(DEPS)' tests/deps.sh $(PACKAGES)

format:
	clang-format -i $(SRC) $(CLI_SRC) $(TEST_SRC) $(BENCH_SRC) $(SERVER_SRC) $(shell find $(ROOMS) cli tests -name '*.h')

help:
	@sed -n '1,/^$$/s/^# //p' Makefile

clean:
	rm -rf build build-asan build-clang

.PHONY: all binaries benches test asan bench demo check-interop install deps format help clean
.DEFAULT_GOAL := all
