# smtpd - see README.md.  make, make run, make check, make install.
.POSIX:

VERSION  = 0.2
PREFIX   = /usr/local
SBINDIR  = $(PREFIX)/sbin
MANDIR   = $(PREFIX)/share/man
LIBDIR   = $(PREFIX)/lib
INCDIR   = $(PREFIX)/include
PROGNAME = smtpd
PORT     = 2525
PROGRAM  =

# install-systemd and install-contrib: what the unit is to run smtpd with, and where
# all goes
DOMAIN   = example.org
OPTIONS  = -d $(DOMAIN) --maildir /var/mail/smtpd/{user}
BINDIR   = $(PREFIX)/bin
UNITDIR  = $(PREFIX)/lib/systemd/system
SYSUSERS = $(PREFIX)/lib/sysusers.d
TMPFILES = $(PREFIX)/lib/tmpfiles.d
BASHDIR  = $(PREFIX)/share/bash-completion/completions
ZSHDIR   = $(PREFIX)/share/zsh/site-functions

CC       = cc
MUSL     = musl-gcc
CFLAGS   = -O2 -g
STD      = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	   -D_TIME_BITS=64 -DVERSION='"$(VERSION)"'
WARN     = -Wall -Wextra -Wpedantic -Wshadow -Wconversion \
	   -Wmissing-prototypes -Wstrict-prototypes -Wvla
HARDEN   = -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fPIE
HARDENLD = -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
# these only where the compiler knows them; without the last one clang makes
# bcmp(3), which C has not, of memcmp(3)
MAYBE    = -fstack-clash-protection -fcf-protection=full \
	   -ftrivial-auto-var-init=zero -fno-builtin-bcmp
# No output is named: tcc as root would put a file in the place of /dev/null.
PROBE    = for f in $(MAYBE); do \
	     $(CC) -Werror $$f -fsyntax-only -x c /dev/null 2>/dev/null && \
	       printf '%s ' $$f; done
PROBELD  = echo 'int main(void) { return 0; }' >$@.probe.c; \
	   $(CC) $(HARDENLD) -o $@.probe $@.probe.c 2>/dev/null && \
	     printf '%s ' '$(HARDENLD)'; rm -f $@.probe $@.probe.c
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_SECONDS = 60
SRC      = smtpd.c smtp_parse.c
OBJ      = smtpd.o smtp_parse.o

.PHONY: all static sink lib sink-static run serve check check-asan check-32 \
	check-machine check-large scale gates bench flow prove prove-mutants fuzz \
	lint install install-lib \
	install-systemd install-contrib uninstall uninstall-lib \
	uninstall-systemd uninstall-contrib dist clean smtp_parse.pc

all: smtpd

smtpd: $(OBJ)
	$(CC) $$($(PROBELD)) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJ) $(LDLIBS)

.SUFFIXES: .c .o
.c.o:
	$(CC) $(STD) $(WARN) $(HARDEN) $$($(PROBE)) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(OBJ): smtp_parse.h

static: smtpd-static
smtpd-static: $(SRC) smtp_parse.h
	$(MUSL) $(STD) $(WARN) $(CFLAGS) -static $(LDFLAGS) -o $@ $(SRC)

smtpd-asan: $(SRC) smtp_parse.h
	$(CC) $(STD) $(WARN) $(CPPFLAGS) $(SANITIZE) -o $@ $(SRC)

# large files and inodes, and the years after 2038, where a long has 32 bits
smtpd-32: $(SRC) smtp_parse.h
	$(CC) -m32 -idirafter /usr/include/$$($(CC) -print-multiarch) \
	  $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -o $@ $(SRC)

# the limits of one session made short enough to be tested
smtpd-hasty: $(SRC) smtp_parse.h
	$(CC) $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -DSESSION_SECONDS=3 \
	  -DRATE_SECONDS=1 -DPOLICY_SECONDS=1 -DAUTH_SECONDS=1 \
	  -DWATCHDOG_SECONDS=2 \
	  -o $@ $(SRC)

tests/parse_driver: tests/parse_driver.c smtp_parse.c smtp_parse.h
	$(CC) $(STD) $(WARN) -I. $(SANITIZE) -o $@ tests/parse_driver.c smtp_parse.c

tests/session_driver: tests/session_driver.c smtp_parse.c smtp_parse.h
	$(CC) $(STD) $(WARN) -I. $(SANITIZE) -o $@ tests/session_driver.c smtp_parse.c

tests/prove: tests/prove.c tests/session_check.h smtp_parse.c smtp_parse.h
	$(CC) $(STD) $(WARN) -I. -O2 -g -o $@ tests/prove.c smtp_parse.c

# the second host
sink: contrib/smtpsink
contrib/smtpsink: contrib/smtpsink.c smtp_parse.o
	$(CC) $(STD) $(WARN) $(HARDEN) $$($(PROBELD)) -I. $(CPPFLAGS) $(CFLAGS) \
	  $(LDFLAGS) -o $@ contrib/smtpsink.c smtp_parse.o $(LDLIBS)

# the same without libraries, for a container that has nothing else
sink-static: contrib/smtpsink.c smtp_parse.c smtp_parse.h
	$(MUSL) $(STD) $(WARN) -I. $(CPPFLAGS) $(CFLAGS) -static $(LDFLAGS) \
	  -o contrib/smtpsink-static contrib/smtpsink.c smtp_parse.c $(LDLIBS)

# the language alone, to be linked into whatever there is
lib: libsmtp_parse.a smtp_parse.pc
libsmtp_parse.a: smtp_parse.c smtp_parse.h
	$(CC) $(STD) $(WARN) $(HARDEN) -fPIC $$($(PROBE)) $(CPPFLAGS) $(CFLAGS) \
	  -c -o smtp_parse.pic.o smtp_parse.c
	rm -f $@
	$(AR) rc $@ smtp_parse.pic.o

# always made anew: where the library will be may be said anew
smtp_parse.pc:
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' \
	  'includedir=$(INCDIR)' '' 'Name: smtp_parse' \
	  'Description: the server side of SMTP, as a machine without I/O' \
	  'Version: $(VERSION)' 'Cflags: -I$${includedir}' \
	  'Libs: -L$${libdir} -lsmtp_parse' >$@

run: smtpd
	@mkdir -p run/tmp run/new run/cur
	./smtpd --maildir run <contrib/session.smtp
	@echo; echo "The newest mail in run/new:"
	@cd run/new && cat "$$(ls -t | head -n 1)"

serve: smtpd
	@sh contrib/serve ./smtpd $(PORT) run $(PROGRAM)

# TESTS='tests/data.bats tests/mail.bats' runs these only; tests/run has the
# rest of the settings
check:
	@CC='$(CC)' sh tests/setup
	@$(MAKE) all smtpd-hasty tests/parse_driver tests/session_driver
	@BATSFLAGS='$(BATSFLAGS)' bash tests/run $(TESTS)

check-asan:
	@CC='$(CC)' sh tests/setup
	@$(MAKE) all smtpd-asan smtpd-hasty tests/parse_driver tests/session_driver
	@BATSFLAGS='$(BATSFLAGS)' SMTPD=./smtpd-asan bash tests/run $(TESTS)

# what meets files, sizes and times
TESTS_32 = tests/maildir.bats tests/template.bats tests/data.bats \
	   tests/bdat.bats tests/faults.bats tests/cross.bats \
	   tests/limits.bats tests/log.bats tests/program.bats tests/rcpt.bats

check-32:
	@CC='$(CC)' sh tests/setup
	@$(MAKE) smtpd smtpd-32 smtpd-hasty tests/parse_driver tests/session_driver
	@BATSFLAGS='$(BATSFLAGS)' SMTPD=./smtpd-32 bash tests/run $(TESTS_32)

# The same language on another machine, which an emulator is: 64 bits, most
# significant octet first; and MACHINE=arm-linux-gnueabihf, 32 bits.  Debian has
# the compiler in gcc-$(MACHINE), and the emulator in qemu-user-static.
MACHINE  = s390x-linux-gnu
TESTS_MACHINE = tests/parse-*.bats tests/session.bats tests/sequence.bats \
	   tests/mail.bats tests/data.bats tests/maildir.bats tests/template.bats

check-machine:
	@CC='$(CC)' sh tests/setup
	@MACHINE='$(MACHINE)' FLAGS='$(STD) $(WARN) $(CFLAGS)' sh tests/machine \
	  $(TESTS_MACHINE)

# what takes minutes: packages, made and installed in clean systems
check-large: all sink
	@CC='$(CC)' sh tests/setup
	@BATSFLAGS='$(BATSFLAGS)' JOBS=1 LIMIT=1200 bash tests/run tests/large/*.bats

# contrib/scale on hosts of its own, killed at random; KIND=lmtp for Dovecot
MAILS    = 1000
KIND     = redis

scale: all
	unshare --mount --net --pid --fork --kill-child --mount-proc \
	  tests/large/scale.py --mails $(MAILS) $(KIND)

gates: all
	-@$(MAKE) static >/dev/null 2>&1
	sh tests/gates ./smtpd ./smtpd-static

bench: all
	-@$(MAKE) static >/dev/null 2>&1
	bash tests/bench ./smtpd

# the picture of a connection's way, by graphviz
flow:
	dot -Tsvg contrib/flow.dot >contrib/flow.svg

# every state of the session, with every line and every answer
prove: tests/prove
	tests/prove

# and faults put into it are found
prove-mutants:
	CC='$(CC)' bash tests/mutants

FUZZ = clang $(STD) -I. -g -O1 -fsanitize=fuzzer,address,undefined \
	  -fno-sanitize-recover=all
fuzz:
	$(FUZZ) -o tests/parse_fuzz tests/parse_fuzz.c smtp_parse.c
	$(FUZZ) -o tests/session_fuzz tests/session_fuzz.c smtp_parse.c
	mkdir -p fuzz fuzz/session
	tests/parse_fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=4096 fuzz tests/seeds
	tests/session_fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=4096 \
	  fuzz/session tests/seeds/session

lint:
	shellcheck -s bash tests/*.bats tests/large/*.bats tests/*.bash tests/*.sh tests/bench tests/mutants tests/run \
	  .ci/run .ci/install
	shellcheck -s sh tests/gates tests/machine tests/setup contrib/mailbox contrib/remains contrib/run \
	  contrib/run-tls contrib/serve contrib/test-unit contrib/my-delivery \
	  contrib/completion contrib/from-qmail contrib/submission contrib/scanner \
	  contrib/tlswrapper contrib/with-* contrib/mail-[!t]* \
	  contrib/mail-to-[!n]* contrib/scale/run-* contrib/debian/tests/mail
	cppcheck -q --std=c11 --error-exitcode=1 --enable=warning,portability \
	  --suppress=missingIncludeSystem $(SRC) contrib/smtpsink.c
	mandoc -Tlint -Wwarning smtpd.8 contrib/smtpd-delivery.7 contrib/smtp_parse.3 \
	  contrib/smtpd-tools.1

# what is installed, with the place and the name that it has then
NAMED    = sed -e 's|/usr/local/sbin/smtpd|$(SBINDIR)/$(PROGNAME)|g' \
	   -e 's/man:smtpd(8)/man:$(PROGNAME)(8)/' -e 's/Xr smtpd 8/Xr $(PROGNAME) 8/' \
	   -e 's/Xr smtpd-delivery/Xr $(PROGNAME)-delivery/' \
	   -e 's/smtpd\.socket/$(PROGNAME).socket/g' -e 's/smtpd@/$(PROGNAME)@/g' \
	   -e 's/smtpd-mailbox/$(PROGNAME)-mailbox/' \
	   -e 's/smtpd-test-unit/$(PROGNAME)-test-unit/'

# each is copied beside its place and renamed, so that a launcher finds the old
# one or the new one at any moment, and whole
install: all
	mkdir -p $(DESTDIR)$(SBINDIR) $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(MANDIR)/man7
	cp smtpd $(DESTDIR)$(SBINDIR)/.$(PROGNAME).new
	chmod 755 $(DESTDIR)$(SBINDIR)/.$(PROGNAME).new
	mv -f $(DESTDIR)$(SBINDIR)/.$(PROGNAME).new $(DESTDIR)$(SBINDIR)/$(PROGNAME)
	$(NAMED) smtpd.8 >$(DESTDIR)$(MANDIR)/man8/.$(PROGNAME).8.new
	chmod 644 $(DESTDIR)$(MANDIR)/man8/.$(PROGNAME).8.new
	mv -f $(DESTDIR)$(MANDIR)/man8/.$(PROGNAME).8.new \
	  $(DESTDIR)$(MANDIR)/man8/$(PROGNAME).8
	$(NAMED) contrib/smtpd-delivery.7 \
	  >$(DESTDIR)$(MANDIR)/man7/.$(PROGNAME).7.new
	chmod 644 $(DESTDIR)$(MANDIR)/man7/.$(PROGNAME).7.new
	mv -f $(DESTDIR)$(MANDIR)/man7/.$(PROGNAME).7.new \
	  $(DESTDIR)$(MANDIR)/man7/$(PROGNAME)-delivery.7

# a directory that only ours was in goes, too
uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/$(PROGNAME) $(DESTDIR)$(MANDIR)/man8/$(PROGNAME).8 \
	  $(DESTDIR)$(MANDIR)/man7/$(PROGNAME)-delivery.7
	@rmdir $(DESTDIR)$(MANDIR)/man7 2>/dev/null || :
	@DESTDIR='$(DESTDIR)' sh contrib/remains

# the strict unit and what it wants; nothing is enabled or started
UNITFILES = $(DESTDIR)$(UNITDIR)/$(PROGNAME).socket \
	   $(DESTDIR)$(UNITDIR)/$(PROGNAME)@.service \
	   $(DESTDIR)$(SYSUSERS)/$(PROGNAME).conf \
	   $(DESTDIR)$(TMPFILES)/$(PROGNAME).conf

install-systemd:
	mkdir -p $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERS) $(DESTDIR)$(TMPFILES)
	$(NAMED) contrib/smtpd.socket >$(DESTDIR)$(UNITDIR)/$(PROGNAME).socket
	$(NAMED) -e 's|^\(ExecStart=-[^ ]*\) .*|\1 $(OPTIONS)|' \
	  -e 's/example\.org/$(DOMAIN)/g' 'contrib/smtpd@.service' \
	  >'$(DESTDIR)$(UNITDIR)/$(PROGNAME)@.service'
	cp contrib/smtpd.sysusers $(DESTDIR)$(SYSUSERS)/$(PROGNAME).conf
	cp contrib/smtpd.tmpfiles $(DESTDIR)$(TMPFILES)/$(PROGNAME).conf
	chmod 644 $(UNITFILES)

uninstall-systemd:
	rm -f $(UNITFILES)
	@for d in $(UNITDIR) $$(dirname $(UNITDIR)) $(SYSUSERS) $(TMPFILES); do \
	  rmdir $(DESTDIR)$$d 2>/dev/null || :; done

# the programs that mail is handed to, what reads the log and shows the sessions,
# the sink, and completion for two shells; $(PROGNAME)-mailbox makes a Maildir
TOOLS    = mail-filtered mail-onward mail-to-command mail-to-kafka mail-to-lmtp \
	   mail-to-nats mail-to-redis mail-to-s3 mail-to-webhook milter-filter \
	   smtplog smtpsink smtptop

install-contrib: all sink
	mkdir -p $(DESTDIR)$(BINDIR) $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BASHDIR) \
	  $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man8
	$(NAMED) contrib/smtpd-tools.1 >$(DESTDIR)$(MANDIR)/man1/smtpd-tools.1
	chmod 644 $(DESTDIR)$(MANDIR)/man1/smtpd-tools.1
	cd $(DESTDIR)$(MANDIR) && for p in $(TOOLS) $(PROGNAME)-mailbox.8 \
	  $(PROGNAME)-test-unit.8; do \
	  case $$p in *.8) f=man8/$$p ;; *) f=man1/$$p.1 ;; esac; \
	  echo .so man1/smtpd-tools.1 >$$f && chmod 644 $$f || exit 1; done
	for t in $(TOOLS); do cp contrib/$$t $(DESTDIR)$(BINDIR)/.$$t.new && \
	  chmod 755 $(DESTDIR)$(BINDIR)/.$$t.new && \
	  mv -f $(DESTDIR)$(BINDIR)/.$$t.new $(DESTDIR)$(BINDIR)/$$t || exit 1; done
	$(NAMED) contrib/mailbox >$(DESTDIR)$(SBINDIR)/$(PROGNAME)-mailbox
	$(NAMED) contrib/test-unit \
	  >$(DESTDIR)$(SBINDIR)/$(PROGNAME)-test-unit
	chmod 755 $(DESTDIR)$(SBINDIR)/$(PROGNAME)-mailbox \
	  $(DESTDIR)$(SBINDIR)/$(PROGNAME)-test-unit
	./smtpd --help | sh contrib/completion bash $(PROGNAME) \
	  >$(DESTDIR)$(BASHDIR)/$(PROGNAME)
	./smtpd --help | sh contrib/completion zsh $(PROGNAME) \
	  >$(DESTDIR)$(ZSHDIR)/_$(PROGNAME)
	chmod 644 $(DESTDIR)$(BASHDIR)/$(PROGNAME) $(DESTDIR)$(ZSHDIR)/_$(PROGNAME)

uninstall-contrib:
	for t in $(TOOLS); do rm -f $(DESTDIR)$(BINDIR)/$$t \
	  $(DESTDIR)$(MANDIR)/man1/$$t.1; done
	rm -f $(DESTDIR)$(MANDIR)/man1/smtpd-tools.1 \
	  $(DESTDIR)$(SBINDIR)/$(PROGNAME)-mailbox \
	  $(DESTDIR)$(SBINDIR)/$(PROGNAME)-test-unit \
	  $(DESTDIR)$(MANDIR)/man8/$(PROGNAME)-mailbox.8 \
	  $(DESTDIR)$(MANDIR)/man8/$(PROGNAME)-test-unit.8 \
	  $(DESTDIR)$(BASHDIR)/$(PROGNAME) $(DESTDIR)$(ZSHDIR)/_$(PROGNAME)

LIBFILES = $(DESTDIR)$(LIBDIR)/libsmtp_parse.a \
	   $(DESTDIR)$(LIBDIR)/pkgconfig/smtp_parse.pc \
	   $(DESTDIR)$(INCDIR)/smtp_parse.h \
	   $(DESTDIR)$(MANDIR)/man3/smtp_parse.3

install-lib: lib
	mkdir -p $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCDIR) \
	  $(DESTDIR)$(MANDIR)/man3
	cp libsmtp_parse.a $(DESTDIR)$(LIBDIR)
	cp smtp_parse.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	cp smtp_parse.h $(DESTDIR)$(INCDIR)
	cp contrib/smtp_parse.3 $(DESTDIR)$(MANDIR)/man3
	chmod 644 $(LIBFILES)

uninstall-lib:
	rm -f $(LIBFILES)

dist:
	git archive --prefix=smtpd-$(VERSION)/ -o smtpd-$(VERSION).tar.gz HEAD

clean:
	rm -rf smtpd smtpd-32 smtpd-static smtpd-asan smtpd-hasty smtpd-*.tar.gz *.o \
	  contrib/smtpsink contrib/smtpsink-static libsmtp_parse.a smtp_parse.pc \
	  tests/parse_driver tests/session_driver tests/bench_driver tests/parse_fuzz \
	  tests/session_fuzz tests/prove tests/.missing run fuzz
