# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# make            builds the programs on this system
# make install    installs them (DESTDIR, PREFIX, LIBEXECDIR, ...)
# make dist       writes the sources to build/smtpusers-VERSION.tar.gz
# make demo       shows them at work              \
# make check      runs all tests (make ci lint too) |  in the development root,
# make soak       runs those that take long        |  which needs apt and root:
# make bench      measures                         |  see regress/Makefile
# make lint       checks sources and manuals       |
# make deb        makes Debian packages, build/deb /

# Where things go. LIBEXECDIR is where smtpd looks for tables and for filters
# without a path.
PREFIX ?=	/usr/local
SBINDIR ?=	$(PREFIX)/sbin
MANDIR ?=	$(PREFIX)/share/man
SYSCONFDIR ?=	/etc
SAMPLEDIR ?=	$(SYSCONFDIR)
CGIDIR ?=	$(PREFIX)/lib/cgi-bin
DATADIR ?=	$(PREFIX)/share/smtpusers
UNITDIR ?=	$(PREFIX)/lib/systemd/system
BASHCOMPDIR ?=	$(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR ?=	$(PREFIX)/share/zsh/site-functions
LIBEXECDIR ?=	$(patsubst %/encrypt,%,$(firstword \
		$(wildcard /usr/libexec/opensmtpd/encrypt \
		/usr/lib/opensmtpd/encrypt \
		$(PREFIX)/libexec/opensmtpd/encrypt) \
		/usr/libexec/opensmtpd/encrypt))

# Where things are.
SUITE :=	$(or $(shell cat /etc/smtpusers-devroot 2>/dev/null),native)
B ?=		build/$(SUITE)
LIB_C :=	$(wildcard lib/*.c)
FILTER_C :=	$(filter-out filter/filter-smtpusers.c,$(wildcard filter/*.c \
		filter/spf/*.c))
TABLE_C :=	$(filter-out table/table-smtpusers.c,$(wildcard table/*.c))
FUNCTIONS :=	$(sort $(wildcard scripts/functions/*.lua))
WEB_C :=	$(filter-out web/report.c web/reach_near.c,$(wildcard web/*.c))
MANUALS :=	$(wildcard lib/*.5 filter/*.8 table/*.8 web/*.8 scripts/*.7 scripts/*.8)
PACKAGE :=	$(wildcard scripts/provision/*.py)
HOOKS :=	scripts/hooks
HOOKS_PY :=	$(wildcard $(HOOKS)/smtpusers_hooks/*.py)
MONITORING :=	$(wildcard scripts/monitoring/*)
UNITFILES :=	$(wildcard $(HOOKS)/systemd/*) $(filter %.service %.timer, \
		$(MONITORING))

# What they are made with.
CFLAGS ?=	-O2 -g
PKG_CONFIG ?=	pkg-config
INSTALL ?=	install
PYTHON ?=	python3
LIBS :=		libevent_core hiredis libssl libcrypto libconfuse \
		libidn2 libcrypt libbsd-overlay libseccomp
NEAR_LIBS :=	libevent_core libconfuse libidn2 libbsd libseccomp
INCLUDES :=	-Ilib -Ifilter -Ifilter/spf -Itable -Iweb
WARN :=		-Wall -Wextra -Wshadow -Wmissing-prototypes \
		-Wstrict-prototypes -Wpointer-arith -Wformat=2 \
		-Wno-format-nonliteral
HARDEN :=	-fstack-protector-strong -fPIE -U_FORTIFY_SOURCE \
		-D_FORTIFY_SOURCE=3
HARDEN_LD :=	-pie -Wl,-z,relro -Wl,-z,now -Wl,--as-needed
# Asked of pkg-config at the first use, and once.
OUR_CFLAGS =	$(eval OUR_CFLAGS := -std=gnu11 -D_GNU_SOURCE -pthread \
		-DSMTPUSERS_VERSION='"$(shell cat VERSION)"' \
		$(WARN) $(WERROR) $(INCLUDES) \
		$(shell $(PKG_CONFIG) --cflags $(LIBS)))$(OUR_CFLAGS)
OUR_LIBS =	$(eval OUR_LIBS := $(shell $(PKG_CONFIG) --libs $(LIBS)) \
		-lspf2 -lunistring -lresolv)$(OUR_LIBS)

PROGRAMS :=	$(B)/rel/filter-smtpusers $(B)/rel/table-smtpusers
CGI :=		$(B)/rel/report.cgi $(B)/rel/report-full.cgi

all: $(PROGRAMS) $(CGI)

# The text of the Redis functions, which knows its release and its own hash, is
# part of the program.
$(B)/smtpusers.lua: $(FUNCTIONS) VERSION
	@mkdir -p $(@D)
	cat $(FUNCTIONS) | sed "s/@RELEASE@/$$(cat VERSION)/" >$@.text
	sed "s/@HASH@/$$(sha256sum <$@.text | cut -c 1-16)/" $@.text >$@
	rm $@.text

$(B)/rel/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(OUR_CFLAGS) $(HARDEN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# What the programs share, and what is theirs alone, as libraries: so a test
# may link any part of them.
define library
$(B)/$(1)/$(2).a: $(patsubst %.c,$(B)/$(1)/obj/%.o,$(3))
	@mkdir -p $$(@D)
	rm -f $$@
	$(AR) -rcs $$@ $$^
endef

define libraries
$(call library,$(1),libsmtpusers,$(LIB_C))
$(call library,$(1),libfilter,$(FILTER_C))
$(call library,$(1),libtable,$(TABLE_C))
$(call library,$(1),libweb,$(WEB_C))
$(B)/$(1)/obj/web/wording.o: scripts/reasons.ini
$(B)/$(1)/obj/web/language.o: $(wildcard web/po/*.po)
$(B)/$(1)/obj/filter/functions.o: $(B)/smtpusers.lua
$(B)/$(1)/obj/filter/functions.o: override CPPFLAGS += -Wa,-I$(B)
$(B)/$(1)/filter-smtpusers: $(B)/$(1)/obj/filter/filter-smtpusers.o \
    $(B)/$(1)/libfilter.a $(B)/$(1)/libsmtpusers.a
$(B)/$(1)/table-smtpusers: $(B)/$(1)/obj/table/table-smtpusers.o \
    $(B)/$(1)/libtable.a $(B)/$(1)/libsmtpusers.a
$(B)/$(1)/report.cgi: $(B)/$(1)/obj/web/reach_near.o
$(B)/$(1)/report.cgi $(B)/$(1)/report-full.cgi: \
    $(B)/$(1)/obj/web/report.o $(B)/$(1)/libweb.a \
    $(B)/$(1)/libfilter.a $(B)/$(1)/libsmtpusers.a
endef

$(eval $(call libraries,rel))

$(PROGRAMS) $(CGI):
	$(CC) -pthread $(CFLAGS) $(HARDEN_LD) $(LDFLAGS) -o $@ $^ $(OUR_LIBS)

# Libraries would take most of the time that a CGI program runs. Where they are
# not there to be linked statically: STATIC=
STATIC ?=	-static-pie
$(B)/rel/report.cgi: HARDEN_LD := $(filter-out -pie,$(HARDEN_LD)) $(STATIC)
$(B)/rel/report.cgi: OUR_LIBS = $(shell $(PKG_CONFIG) $(STATIC:%=--static) \
		--libs $(NEAR_LIBS)) -lunistring

# Scripts, samples and manuals, told where the rest is. Manuals name what is the
# default.
$(B)/told/%: % FORCE
	@mkdir -p $(@D)
	@sed -e 's|/usr/libexec/opensmtpd|$(LIBEXECDIR)|g' \
	    -e 's|/usr/local/share/smtpusers|$(DATADIR)|g' \
	    -e 's|/usr/local/lib/systemd/system|$(UNITDIR)|g' \
	    -e 's|/usr/local/lib/cgi-bin|$(CGIDIR)|g' \
	    -e 's|/usr/local/sbin/smtpusers-hook|$(SBINDIR)/smtpusers-hook|g' \
	    -e 's|/usr/local/share/bash-completion/completions|$(BASHCOMPDIR)|g' \
	    -e 's|/usr/local/share/zsh/site-functions|$(ZSHCOMPDIR)|g' \
	    -e 's|/etc/smtpusers.conf.sample|$(SAMPLEDIR)/smtpusers.conf.sample|g' \
	    -e 's|@SBINDIR@|$(SBINDIR)|g' -e 's|@DATADIR@|$(DATADIR)|g' \
	    -e 's|@LIBEXECDIR@|$(LIBEXECDIR)|g' \
	    -e 's|@VERSION@|$(shell cat VERSION)|g' \
	    -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' $< >$@

told =		$(addprefix $(B)/told/,$(1))
TOLD :=		$(call told,scripts/smtpusers)
TOLD_MONITORING := $(call told,$(MONITORING))
TOLD_WEB :=	$(call told,$(wildcard scripts/web/*))
TOLD_MANUALS :=	$(call told,$(MANUALS))
TOLD_HOOKS :=	$(call told,$(addprefix $(HOOKS)/,smtpusers-hook \
		smtpusers-notify smtpusers-hooks.conf.sample \
		smtpusers-notify.conf.sample) $(HOOKS_PY) $(UNITFILES))

# Mode, files, directory, and the name there where it is another.
define NL


endef
put =		$(foreach file,$(2),$(INSTALL) -D -m $(1) $(file) \
		$(DESTDIR)$(3)/$(or $(4),$(notdir $(file)))$(NL)	)

install: all $(TOLD) $(TOLD_MANUALS) $(TOLD_MONITORING) $(TOLD_WEB) install-hooks
	$(call put,755,$(PROGRAMS),$(LIBEXECDIR))
	$(call put,755,$(TOLD),$(SBINDIR))
	$(call put,755,$(CGI),$(CGIDIR))
	$(call put,644,lib/smtpusers.conf.sample,$(SAMPLEDIR))
	$(call put,644,scripts/opensmtpd.service.conf,$(UNITDIR)/opensmtpd.service.d,smtpusers.conf)
	$(call put,644,$(filter %.5,$(TOLD_MANUALS)),$(MANDIR)/man5)
	$(call put,644,$(filter %.7,$(TOLD_MANUALS)),$(MANDIR)/man7)
	$(call put,644,$(filter %.8,$(TOLD_MANUALS)),$(MANDIR)/man8)
	for name in smtpusers-hook smtpusers-notify; do \
	    ln -sf smtpusers-hooks.8 $(DESTDIR)$(MANDIR)/man8/$$name.8; done
	ln -sf report.cgi.8 $(DESTDIR)$(MANDIR)/man8/report-full.cgi.8
	$(call put,644,scripts/fail2ban/smtpusers.conf,$(DATADIR)/fail2ban)
	$(call put,644,$(TOLD_WEB),$(DATADIR)/web)
	$(call put,755,$(filter %.cgi,$(TOLD_MONITORING)),$(DATADIR)/monitoring)
	$(call put,644,$(filter %.json %.yml,$(TOLD_MONITORING)),$(DATADIR)/monitoring)
	$(call put,644,scripts/completion/_smtpusers,$(ZSHCOMPDIR))
	$(call put,644,scripts/completion/smtpusers.bash,$(BASHCOMPDIR),smtpusers)

# With what the command and the hooks share, compiled: they do not write there
# themselves, and each run would begin by compiling.
install-hooks: $(TOLD_HOOKS) $(B)/smtpusers.lua
	$(call put,644,scripts/reasons.ini $(B)/smtpusers.lua VERSION,$(DATADIR))
	$(call put,644,$(PACKAGE),$(DATADIR)/provision)
	$(call put,755,$(filter %-hook,$(TOLD_HOOKS)),$(SBINDIR))
	$(call put,644,$(filter %-hooks.conf.sample,$(TOLD_HOOKS)),$(SAMPLEDIR))
	$(call put,755,$(filter %-notify,$(TOLD_HOOKS)),$(DATADIR)/hooks)
	$(call put,644,$(filter %-notify.conf.sample,$(TOLD_HOOKS)) $(HOOKS)/event.mail,$(DATADIR)/hooks)
	$(call put,644,$(filter %.py,$(TOLD_HOOKS)),$(DATADIR)/hooks/smtpusers_hooks)
	$(call put,644,$(filter %.service %.timer,$(TOLD_HOOKS)),$(UNITDIR))
	-$(PYTHON) -m compileall -q $(if $(DESTDIR),-s $(DESTDIR) -p /) \
	    $(addprefix $(DESTDIR)$(DATADIR)/,provision hooks/smtpusers_hooks)

# The sources, made alike everywhere: those that git has where this is a clone,
# with neither owners nor dates but that of the version.
RELEASE :=	smtpusers-$(shell cat VERSION)

dist:
	@mkdir -p build
	{ [ -e .git ] && git ls-files -z 2>/dev/null || find . -mindepth 1 \
	    \( -path ./build -o -path ./.git -o -name .pytest_cache -o \
	    -name __pycache__ \) -prune -o ! -type d -printf '%P\0'; } | \
	    LC_ALL=C sort -z | tar -c -f build/$(RELEASE).tar --format=gnu \
	    --transform 's|^|$(RELEASE)/|' --owner=0 --group=0 \
	    --numeric-owner --mode=u+rwX,go+rX,go-w --mtime="$$(sed -n \
	    's/^ -- .*>  //p' debian/changelog | head -n 1)" \
	    --no-recursion --null -T -
	gzip -9nf build/$(RELEASE).tar

clean:
	rm -rf $(addprefix build/,native trixie trixie-deb forky debian deb check)

FORCE:

include regress/Makefile

# Without this, objects that only a pattern names would not be kept.
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all install install-hooks dist clean FORCE

-include $(shell find $(B) -name '*.d' 2>/dev/null)
