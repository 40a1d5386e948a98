# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `make help` lists the targets; everything that is built goes to $(B).
B ?= build
CC ?= gcc
BPF_CLANG ?= clang
BPFTOOL ?= $(or $(shell command -v bpftool 2>/dev/null),/usr/sbin/bpftool)
PYTHON ?= /usr/bin/python3
PREFIX ?= /usr
V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-8s%s\n' $(1) $(2);
endif

VERSION := 0.1.0
, := ,
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(if $(CI),-Werror)
SANFLAGS := $(if $(SAN),-fsanitize=$(if $(filter thread,$(SAN)),thread,address$(,)undefined) -fno-omit-frame-pointer)
LIBS := libbpf jansson yaml-0.1 libcap-ng
PKG := $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
LDLIBS := $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lelf -lz -pthread
CFLAGS ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -DTHRUWAY_VERSION='"$(VERSION)"' -Iinclude -Iuser -I$(B) $(PKG)
ALL_CFLAGS = -std=gnu17 $(CFLAGS) $(WARN) $(SANFLAGS) $(CPPFLAGS) -MMD -MP -pthread
BPF_CFLAGS := -std=gnu17 -O2 -g -mcpu=v3 -target bpf -Wall -Wextra -Wno-unused-function $(if $(CI),-Werror) \
	-Iinclude -Ibpf -I/usr/include/$(shell gcc -dumpmachine) -MMD -MP

LIB_SRC := $(wildcard user/base/*.c user/model/*.c user/kernel/*.c user/conn/*.c user/edge/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
CLI_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard user/cli/*.c))
BPF_OBJ := $(patsubst bpf/%.bpf.c,$(B)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
UNIT := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
PROG := $(patsubst %.c,$(B)/%,$(wildcard tests/prog/test_*.c))
PROG_BPF := $(patsubst tests/prog/%.bpf.c,$(B)/tests/prog/%.bpf.o,$(wildcard tests/prog/*.bpf.c))
FUZZ := $(notdir $(basename $(wildcard tests/fuzz/fuzz_*.c)))
MAN := $(patsubst docs/%.scd,$(B)/docs/%,$(wildcard docs/*.scd))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps demo check check-unit check-prog check-net check-docs bench soak fuzz lint format install clean help tests

all: $(B)/thruwayd $(B)/thruway $(MAN) ## build the daemon, the command and the man pages

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(B)/thruwayd: $(B)/user/thruwayd.o $(B)/libthruway.a
	$(call say,LINK,$@)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The command talks to the daemon: nothing of conn and edge goes into it.
$(B)/thruway: $(CLI_OBJ) $(filter $(addprefix $(B)/user/,base/% model/% kernel/%),$(LIB_OBJ))
	$(call say,LINK,$@)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/libthruway.a: $(LIB_OBJ)
	$(call say,AR,$@)rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) $(CFLAGS_$(notdir $*)) -c -o $@ $<

# Only the datapath's owner sees the skeleton.
$(B)/user/kernel/datapath.o: $(B)/thruway.skel.h

$(B)/bpf/%.bpf.o: bpf/%.bpf.c Makefile
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(BPF_CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(B)/tests/prog/%.bpf.o: tests/prog/%.bpf.c Makefile
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(BPF_CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(B)/thruway.bpf.o: $(BPF_OBJ)
	$(call say,BPFLINK,$@)$(BPFTOOL) gen object $@ $^

$(B)/thruway.skel.h: $(B)/thruway.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name thruway_bpf > $@

$(B)/docs/%: docs/%.scd
	@mkdir -p $(@D)
	$(call say,MAN,$@)scdoc < $< > $@

$(B)/tests/%: $(B)/tests/%.o $(B)/libthruway.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(LDLIBS_$(notdir $*)) -lcmocka

LDLIBS_test_hello_openssl := -lssl -lcrypto

$(B)/load: tools/bench/load.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -o $@ $< $(LDLIBS)

$(B)/lookup: $(B)/tools/bench/lookup.o $(B)/libthruway.a
	$(call say,LINK,$@)$(CC) -o $@ $^ $(LDLIBS)

tests: $(UNIT) $(PROG) $(PROG_BPF) $(addprefix $(B)/tests/fuzz/replay_,$(FUZZ))

# --- what a user calls -----------------------------------------------------------------------

deps: ## install what is missing (Debian packages)
	@tools/deps.sh

demo: deps ## show the main job on real TLS: three hosts, nginx, curl, bpftool
	@$(MAKE) --no-print-directory all
	@BUILD=$(abspath $(B)) tools/demo/demo.sh

check: ## all tests; the last line is "N passed, N failed"
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -k all tests
	@BUILD=$(abspath $(B)) tests/run.py unit fuzz prog net docs

check-unit check-prog check-net check-docs: ## one ring of tests alone
	@$(MAKE) --no-print-directory -k all tests
	@BUILD=$(abspath $(B)) tests/run.py $(patsubst check-%,%,$@) $(if $(filter check-unit,$@),fuzz)

bench: ## measure against nginx, HAProxy, sniproxy and plain forwarding (about 15 minutes)
	@tools/deps.sh test
	@$(MAKE) --no-print-directory all $(B)/load $(B)/lookup
	@BUILD=$(abspath $(B)) $(PYTHON) tools/bench/bench.py $(BENCH)

soak: ## churn for SECONDS (default 3600): nothing may be lost, nothing may stay
	@tools/deps.sh test
	@$(MAKE) --no-print-directory all $(B)/load
	@BUILD=$(abspath $(B)) $(PYTHON) tools/soak/soak.py --seconds $(or $(SECONDS),3600)

# --- fuzzing: the same target built for libFuzzer, and as a replayer of its corpus ---------------

$(B)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(LIB_SRC) $(B)/thruway.skel.h
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)clang -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined $(CPPFLAGS) -o $@ \
		$< $(LIB_SRC) $(LDLIBS)

$(B)/tests/fuzz/replay_fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(B)/libthruway.a
	$(call say,LINK,$@)$(CC) $(SANFLAGS) -o $@ $^ $(LDLIBS)

fuzz: $(FUZZ:%=$(B)/tests/fuzz/%) ## fuzz each parser for FUZZ_SECONDS (default 60)
	@for f in $(FUZZ); do mkdir -p $(B)/fuzz/$$f; \
		$(B)/tests/fuzz/$$f -max_total_time=$(or $(FUZZ_SECONDS),60) -print_final_stats=1 \
		$(B)/fuzz/$$f tests/corpus/$${f#fuzz_} || exit 1; done

# --- housekeeping ----------------------------------------------------------------------------

lint: ## formatting, layers, spelling, shell and Python
	@B=$(B) tools/lint.sh

format: ## format C sources in place
	clang-format -i $$(git ls-files '*.c' '*.h')

install: all ## install to $(DESTDIR)$(PREFIX)
	install -Dm755 $(B)/thruwayd $(DESTDIR)$(PREFIX)/sbin/thruwayd
	install -Dm755 $(B)/thruway $(DESTDIR)$(PREFIX)/sbin/thruway
	install -Dm644 docs/thruway.bash-completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/thruway
	install -Dm644 tools/deploy/thruwayd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/thruwayd.service
	for m in $(MAN); do n=$${m##*.}; install -Dm644 $$m $(DESTDIR)$(PREFIX)/share/man/man$$n/$${m##*/}; done

clean: ## remove what was built
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
