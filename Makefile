# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# make            builds the programs on this system
# make install    installs them (DESTDIR, PREFIX, LIBEXECDIR, ...)
# make demo       shows them at work          \
# make check      runs all tests               | in the development root,
# make bench      measures                     | which needs apt and root
# make lint       checks sources and manuals  /

SUITE :=	$(or $(shell cat /etc/smtpusers-devroot 2>/dev/null),native)
B ?=		build/$(SUITE)

PREFIX ?=	/usr/local
SBINDIR ?=	$(PREFIX)/sbin
MANDIR ?=	$(PREFIX)/share/man
SYSCONFDIR ?=	/etc
DATADIR ?=	$(PREFIX)/share/smtpusers
BASHCOMPDIR ?=	$(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR ?=	$(PREFIX)/share/zsh/site-functions
# Where smtpd looks for tables and for filters without a path.
LIBEXECDIR ?=	$(patsubst %/encrypt,%,$(firstword \
		$(wildcard /usr/libexec/opensmtpd/encrypt \
		/usr/lib/opensmtpd/encrypt \
		$(PREFIX)/libexec/opensmtpd/encrypt) \
		/usr/libexec/opensmtpd/encrypt))

CFLAGS ?=	-O2 -g
CLANG ?=	clang
PKG_CONFIG ?=	pkg-config
INSTALL ?=	install

LIBS :=		libevent_core hiredis hiredis_ssl libssl libcrypto libconfuse \
		libidn2 libcrypt libbsd-overlay libseccomp

# Only these compilers are known to have nothing to say.
ifeq ($(SUITE),trixie)
WERROR ?=	-Werror
endif

WARN :=		-Wall -Wextra -Wshadow -Wmissing-prototypes \
		-Wstrict-prototypes -Wpointer-arith -Wformat=2 \
		-Wno-format-nonliteral
# Asked of pkg-config at the first use, and once.
OUR_CFLAGS =	$(eval OUR_CFLAGS := -std=gnu11 -D_GNU_SOURCE -pthread \
		$(WARN) $(WERROR) -Ilib -Ifilter -Ifilter/spf -Itable \
		$(shell $(PKG_CONFIG) --cflags $(LIBS)))$(OUR_CFLAGS)
OUR_LIBS =	$(eval OUR_LIBS := $(shell $(PKG_CONFIG) --libs $(LIBS)) \
		-lspf2 -lunistring -lresolv)$(OUR_LIBS)

HARDEN :=	-fstack-protector-strong -fPIE -U_FORTIFY_SOURCE \
		-D_FORTIFY_SOURCE=3
HARDEN_LD :=	-pie -Wl,-z,relro -Wl,-z,now -Wl,--as-needed
SANITIZE :=	-fsanitize=address,undefined -fno-sanitize-recover=all \
		-fno-omit-frame-pointer -O1 -g
FUZZ :=		-fsanitize=address,undefined -fno-sanitize-recover=all \
		-O1 -g

LIB_C :=	$(wildcard lib/*.c)
FILTER_C :=	$(filter-out filter/filter-smtpusers.c,$(wildcard filter/*.c \
		filter/spf/*.c))
TABLE_C :=	$(filter-out table/table-smtpusers.c,$(wildcard table/*.c))
PART_C :=	$(LIB_C) $(FILTER_C) $(TABLE_C)
UNIT_C :=	$(wildcard regress/unit/test_*.c)
UNIT_HELP_C :=	$(filter-out $(UNIT_C),$(wildcard regress/unit/*.c))
FUZZ_C :=	$(wildcard regress/fuzz/fuzz_*.c)
BENCH_C :=	$(wildcard regress/bench/*.c)

UNITS :=	$(patsubst regress/unit/%.c,$(B)/san/unit/%,$(UNIT_C))
FUZZERS :=	$(patsubst regress/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_C))
BENCHES :=	$(patsubst regress/bench/%.c,$(B)/bench/%,$(BENCH_C))
READERS :=	$(addprefix $(B)/differential/,ours gmime go-reader JavaReader.class)
PROGRAMS :=	$(foreach kind,rel san,$(B)/$(kind)/filter-smtpusers \
		$(B)/$(kind)/table-smtpusers)
MANUALS :=	$(wildcard lib/*.5 filter/*.8 table/*.8 scripts/*.7 scripts/*.8)
FUNCTIONS :=	$(sort $(wildcard scripts/functions/*.lua))

all: $(B)/rel/filter-smtpusers $(B)/rel/table-smtpusers

programs: $(PROGRAMS)

# Objects: release, sanitized, and for the fuzzers.

# The text of the Redis functions is part of the program.
$(B)/smtpusers.lua: $(FUNCTIONS)
	@mkdir -p $(@D)
	cat $(FUNCTIONS) >$@

FUNCTIONS_O :=	$(foreach kind,rel san fuzz,$(B)/$(kind)/obj/filter/functions.o)
$(FUNCTIONS_O): $(B)/smtpusers.lua
$(FUNCTIONS_O): override CPPFLAGS += -Wa,-I$(B)

$(B)/rel/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(OUR_CFLAGS) $(HARDEN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/san/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(OUR_CFLAGS) $(SANITIZE) $(CPPFLAGS) -MMD -MP -c -o $@ $<

$(B)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CLANG) $(OUR_CFLAGS) $(FUZZ) -fsanitize=fuzzer-no-link $(CPPFLAGS) \
	    -MMD -MP -c -o $@ $<

# What the programs share, and what is theirs alone, as libraries: so a test
# may link any part of them.

define library
$(B)/$(1)/$(2).a: $(patsubst %.c,$(B)/$(1)/obj/%.o,$(3))
	@mkdir -p $$(@D)
	rm -f $$@
	$(AR) -rcs $$@ $$^
endef

$(foreach kind,rel san fuzz,\
$(eval $(call library,$(kind),libsmtpusers,$(LIB_C)))\
$(eval $(call library,$(kind),libfilter,$(FILTER_C)))\
$(eval $(call library,$(kind),libtable,$(TABLE_C))))

ALL_A =		$(addprefix $(B)/$(1)/,libfilter.a libtable.a libsmtpusers.a)

$(B)/rel/filter-smtpusers: $(B)/rel/obj/filter/filter-smtpusers.o \
    $(B)/rel/libfilter.a $(B)/rel/libsmtpusers.a
	$(CC) -pthread $(CFLAGS) $(HARDEN_LD) $(LDFLAGS) -o $@ $^ $(OUR_LIBS)

$(B)/rel/table-smtpusers: $(B)/rel/obj/table/table-smtpusers.o \
    $(B)/rel/libtable.a $(B)/rel/libsmtpusers.a
	$(CC) -pthread $(CFLAGS) $(HARDEN_LD) $(LDFLAGS) -o $@ $^ $(OUR_LIBS)

$(B)/san/filter-smtpusers: $(B)/san/obj/filter/filter-smtpusers.o \
    $(B)/san/libfilter.a $(B)/san/libsmtpusers.a
	$(CC) -pthread $(SANITIZE) $(LDFLAGS) -o $@ $^ $(OUR_LIBS)

$(B)/san/table-smtpusers: $(B)/san/obj/table/table-smtpusers.o \
    $(B)/san/libtable.a $(B)/san/libsmtpusers.a
	$(CC) -pthread $(SANITIZE) $(LDFLAGS) -o $@ $^ $(OUR_LIBS)

$(B)/san/unit/%: $(B)/san/obj/regress/unit/%.o \
    $(patsubst %.c,$(B)/san/obj/%.o,$(UNIT_HELP_C)) $(call ALL_A,san)
	@mkdir -p $(@D)
	$(CC) -pthread $(SANITIZE) $(LDFLAGS) -o $@ $^ $(OUR_LIBS) -lcmocka

$(B)/fuzz/fuzz_%: $(B)/fuzz/obj/regress/fuzz/fuzz_%.o $(call ALL_A,fuzz)
	$(CLANG) -pthread $(FUZZ) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ \
	    $(OUR_LIBS)

# Readers of From, to compare with.

$(B)/differential/ours: $(B)/san/obj/regress/differential/ours.o \
    $(B)/san/libfilter.a $(B)/san/libsmtpusers.a
	@mkdir -p $(@D)
	$(CC) -pthread $(SANITIZE) $(LDFLAGS) -o $@ $^ $(OUR_LIBS)

$(B)/differential/gmime: regress/differential/gmime.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(WERROR) $(CPPFLAGS) \
	    $(CFLAGS) $$($(PKG_CONFIG) --cflags gmime-3.0) -o $@ $< \
	    $(LDFLAGS) $$($(PKG_CONFIG) --libs gmime-3.0)

$(B)/differential/go-reader: regress/differential/go-reader.go
	@mkdir -p $(@D)
	GOCACHE=$$(mktemp -d) GOFLAGS=-trimpath go build -o $@ $<

$(B)/differential/JavaReader.class: regress/differential/JavaReader.java
	@mkdir -p $(@D)
	javac -cp /usr/share/java/jakarta-mail.jar -d $(@D) $<

$(B)/bench/%: $(B)/rel/obj/regress/bench/%.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(BENCH_LIBS)

$(B)/bench/echo-libopensmtpd: BENCH_LIBS = -lopensmtpd -levent
$(B)/bench/load: BENCH_LIBS = -lssl -lcrypto -pthread
$(B)/bench/charges: BENCH_LIBS = -pthread $(OUR_LIBS)
$(B)/bench/charges: $(B)/rel/libfilter.a $(B)/rel/libsmtpusers.a

# Without this, objects that only a pattern names would not be kept.
.SECONDARY:
.DELETE_ON_ERROR:

install: all
	$(INSTALL) -d $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(SBINDIR) \
	    $(DESTDIR)$(DATADIR)/provision $(DESTDIR)$(BASHCOMPDIR) \
	    $(DESTDIR)$(ZSHCOMPDIR) \
	    $(DESTDIR)$(SYSCONFDIR) $(DESTDIR)$(MANDIR)/man5 \
	    $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(MANDIR)/man8
	$(INSTALL) -m 755 $(B)/rel/filter-smtpusers $(B)/rel/table-smtpusers \
	    $(DESTDIR)$(LIBEXECDIR)/
	sed -e 's|@LIBEXECDIR@|$(LIBEXECDIR)|g' \
	    -e 's|@DATADIR@|$(DATADIR)|g' scripts/smtpusers >$(B)/rel/smtpusers
	$(INSTALL) -m 755 $(B)/rel/smtpusers $(DESTDIR)$(SBINDIR)/smtpusers
	$(INSTALL) -m 644 scripts/reasons.ini $(B)/smtpusers.lua \
	    $(DESTDIR)$(DATADIR)/
	$(INSTALL) -m 644 scripts/provision/*.py \
	    $(DESTDIR)$(DATADIR)/provision/
	$(INSTALL) -m 644 scripts/completion/smtpusers.bash \
	    $(DESTDIR)$(BASHCOMPDIR)/smtpusers
	$(INSTALL) -m 644 scripts/completion/_smtpusers \
	    $(DESTDIR)$(ZSHCOMPDIR)/_smtpusers
	$(INSTALL) -m 644 lib/smtpusers.conf.sample \
	    $(DESTDIR)$(SYSCONFDIR)/smtpusers.conf.sample
	for page in $(MANUALS); do \
		$(INSTALL) -m 644 $$page \
		    $(DESTDIR)$(MANDIR)/man$${page##*.}/ || exit 1; \
	done

# The hooks of panels: the command, what they are made of, and what a panel is
# given.

HOOKS :=	scripts/hooks
HOOKS_PY :=	$(wildcard $(HOOKS)/smtpusers_hooks/*.py)
HOOKS_RUN :=	$(HOOKS)/smtpusers-hook \
		$(wildcard $(HOOKS)/directadmin/* $(HOOKS)/cpanel/*)
HOOKS_DATA :=	$(HOOKS_PY) $(wildcard $(HOOKS)/systemd/* $(HOOKS)/*.sample)

install: install-hooks

install-hooks:
	for file in $(patsubst $(HOOKS)/%,%,$(HOOKS_RUN) $(HOOKS_DATA)); do \
		mkdir -p $(B)/hooks/$${file%/*} && \
		sed -e 's|@SBINDIR@|$(SBINDIR)|g' -e 's|@DATADIR@|$(DATADIR)|g' \
		    -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' $(HOOKS)/$$file \
		    >$(B)/hooks/$$file.installed || exit 1; \
	done
	$(INSTALL) -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(SYSCONFDIR) \
	    $(addprefix $(DESTDIR)$(DATADIR)/hooks/,smtpusers_hooks \
	    directadmin cpanel systemd)
	$(INSTALL) -m 755 $(B)/hooks/smtpusers-hook.installed \
	    $(DESTDIR)$(SBINDIR)/smtpusers-hook
	$(INSTALL) -m 644 $(B)/hooks/smtpusers-hooks.conf.sample.installed \
	    $(DESTDIR)$(SYSCONFDIR)/smtpusers-hooks.conf.sample
	for file in $(patsubst $(HOOKS)/%,%,$(wildcard $(HOOKS)/directadmin/* \
	    $(HOOKS)/cpanel/*)); do \
		$(INSTALL) -m 755 $(B)/hooks/$$file.installed \
		    $(DESTDIR)$(DATADIR)/hooks/$$file || exit 1; \
	done
	for file in $(patsubst $(HOOKS)/%,%,$(HOOKS_PY) \
	    $(wildcard $(HOOKS)/systemd/*)); do \
		$(INSTALL) -m 644 $(B)/hooks/$$file.installed \
		    $(DESTDIR)$(DATADIR)/hooks/$$file || exit 1; \
	done

.PHONY: install-hooks

# The rest runs in the development root; DEVMAKE also hands down what was set
# on the command line.

DEVMAKE =	make --no-print-directory -j"$$(nproc)" $(MAKEOVERRIDES)
RESULTS :=	build/check
CHECK =		regress/check.py -d $(RESULTS)

demo bench lint:
	scripts/devroot $(DEVMAKE) $@-in-root

# Every suite runs, whatever became of the one before; what one of them left
# undone is found by the last line.
check:
	rm -rf $(RESULTS)
	-scripts/devroot $(DEVMAKE) check-in-root
	-scripts/devroot -s forky $(DEVMAKE) check-smtpd79
	@scripts/devroot python3 $(CHECK) summary unit fuzz differential e2e \
	    smtpd79

# One after another, for the tests have deadlines; what could not be built is
# the suite's failure to report.
check-in-root:
	-$(MAKE) check-unit
	-$(MAKE) check-fuzz
	-$(MAKE) check-differential
	-$(MAKE) check-e2e

check-unit:
	-$(MAKE) -k $(UNITS)
	python3 $(CHECK) unit $(UNITS)

check-fuzz:
	-$(MAKE) -k $(FUZZERS)
	python3 $(CHECK) fuzz $(FUZZERS)

check-differential:
	-$(MAKE) -k $(READERS)
	B=$(B) python3 $(CHECK) pytest differential regress/differential

check-e2e:
	-$(MAKE) -k programs
	B=$(B) python3 $(CHECK) pytest e2e -m "not smtpd79" regress/e2e

check-smtpd79:
	-$(MAKE) -k programs
	B=$(B) python3 $(CHECK) pytest smtpd79 -m smtpd79 regress/e2e

demo-in-root: programs
	B=$(B) scripts/demo

bench-in-root: all $(BENCHES)
	B=$(B) python3 regress/bench/bench.py

# What there is to look at, found by what it is.
ALL_C :=	$(PART_C) $(wildcard filter/filter-smtpusers.c \
		table/table-smtpusers.c) $(UNIT_C) $(UNIT_HELP_C) $(FUZZ_C) \
		$(BENCH_C)
ALL_H :=	$(wildcard lib/*.h filter/*.h filter/spf/*.h table/*.h regress/*/*.h)
CANDIDATES =	$(wildcard .ci/* scripts/* regress/* regress/*/*)
ALL_SH =	$(shell grep -lsE '^\#!/bin/sh' $(CANDIDATES))
ALL_PY =	$(shell grep -lsE '^\#!/usr/bin/(env )?python3' $(CANDIDATES)) \
		$(wildcard regress/*/*.py scripts/provision/*.py)

CANDIDATES +=	$(wildcard $(HOOKS)/* $(HOOKS)/*/*)
ALL_PY +=	$(HOOKS_PY) $(wildcard regress/e2e/hooks/*.py)

LINTS :=	lint-format lint-tidy lint-cppcheck lint-sh lint-man lint-py

lint-in-root: $(LINTS)

lint-format:
	clang-format --dry-run -Werror $(ALL_C) $(ALL_H)

lint-tidy:
	printf '%s\n' $(ALL_C) | xargs -P "$$(nproc)" -I @ \
	    clang-tidy --quiet --warnings-as-errors='*' @ -- $(OUR_CFLAGS)

lint-cppcheck:
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr \
	    --enable=warning,performance,portability \
	    --check-level=exhaustive --suppress=missingIncludeSystem \
	    --suppress=toomanyconfigs --suppress=readdirCalled \
	    --library=posix --library=bsd \
	    --include=/usr/include/$$(gcc -print-multiarch)/bsd/sys/queue.h \
	    --include=/usr/include/uthash.h \
	    -Ilib -Ifilter -Ifilter/spf -Itable $(ALL_C)

lint-sh:
	shellcheck $(ALL_SH)
	shellcheck -s bash scripts/completion/*.bash
	zsh -n scripts/completion/_smtpusers

lint-man:
	mandoc -Tlint -Wstyle $(MANUALS) 2>&1 | \
	    { ! grep -vE 'referenced manual not found|outdated mandoc.db'; }

lint-py:
	python3 -m pyflakes $(ALL_PY)

clean:
	rm -rf $(addprefix build/,native trixie forky check)

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.PHONY: all programs install demo check bench lint clean check-in-root \
    check-unit check-fuzz check-differential check-e2e check-smtpd79 \
    demo-in-root bench-in-root lint-in-root $(LINTS)
