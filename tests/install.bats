#!/usr/bin/env bats
# The Makefile: install, uninstall, dist, the user's flags (README.md, Install)

load helper
load tree

@test "install: program and pages go below DESTDIR, and nothing else does" {
	tree
	mk install DESTDIR="$PWD/dest"
	files dest >got
	printf '%s\n' 'usr/local/sbin/smtpd 755' \
	    'usr/local/share/man/man7/smtpd-delivery.7 644' \
	    'usr/local/share/man/man8/smtpd.8 644' >want
	diff want got
	cmp dest/usr/local/share/man/man8/smtpd.8 "$ROOT/smtpd.8"
	cmp dest/usr/local/share/man/man7/smtpd-delivery.7 "$ROOT/contrib/smtpd-delivery.7"
	dest/usr/local/sbin/smtpd --version
}

@test "install: the modes do not come from the umask" {
	tree
	(umask 077; mk install DESTDIR="$PWD/dest")
	run grep -vE ' (755|644)$' <(files dest)
	[ "$status" = 1 ]
}

@test "install: uninstall leaves no file" {
	tree
	mk install DESTDIR="$PWD/dest"
	[ "$(files dest | wc -l)" = 3 ]
	mk uninstall DESTDIR="$PWD/dest"
	[ "$(files dest | wc -l)" = 0 ]
}

@test "install: uninstall removes what install put, and nothing of others" {
	tree
	mkdir -p dest/usr/local/sbin dest/usr/local/share/man/man{7,8}
	echo other >dest/usr/local/sbin/smtpd.old
	echo other >dest/usr/local/share/man/man8/other.8
	echo other >dest/usr/local/share/man/man7/other.7
	mkdir dest/usr/local/empty
	find dest | sort >before
	mk install DESTDIR="$PWD/dest"
	mk uninstall DESTDIR="$PWD/dest"
	find dest | sort | diff before -
}

@test "install: uninstall where nothing is installed is no error" {
	tree
	mk uninstall DESTDIR="$PWD/dest"
}

@test "install: installing twice is installing once" {
	tree
	mk install DESTDIR="$PWD/dest"
	files dest >once
	mk install DESTDIR="$PWD/dest"
	files dest | cmp once -
}

@test "install: a running program is replaced, and not written into" {
	tree
	mk install DESTDIR="$PWD/dest"
	mkfifo hold
	dest/usr/local/sbin/smtpd "${OPTS[@]}" <hold >out 2>log 3>&- &
	exec 9>hold
	eventually grep -q '^220' out
	mk install DESTDIR="$PWD/dest"
	printf 'QUIT\r\n' >&9
	exec 9>&-
	wait $!
	[ "$(codes)" = '220 221' ]
}

# watching: the programs that install uses, each of which notes in the file gone
# when the installed smtpd, before or after it, is not there or cannot run
watching() {
	local p
	mkdir watch
	for p in cp mv rm ln install chmod; do
		cat >"watch/$p" <<-S
			#!/bin/sh
			see() { "$PWD/dest/usr/local/sbin/smtpd" --version >/dev/null 2>&1 || echo "$p \$*" >>"$PWD/gone"; }
			echo "$p" >>"$PWD/watched"
			see "\$@"
			"$(command -v "$p")" "\$@"
			status=\$?
			see "\$@"
			exit \$status
		S
		chmod 755 "watch/$p"
	done
}

@test "install: at each moment of a second install a program that runs is there" {
	tree
	mk install DESTDIR="$PWD/dest"
	watching
	PATH=$PWD/watch:$PATH mk install DESTDIR="$PWD/dest"
	[ -s watched ]
	cat gone || :
	[ ! -e gone ]
	[ "$(files dest | wc -l)" = 3 ]
}

@test "install: uninstall says what remains, and says nothing where nothing does" {
	tree
	mk install DESTDIR="$PWD/dest"
	mk uninstall DESTDIR="$PWD/dest"
	[ ! -s make.out ]
	mkdir -p dest/etc/systemd/system dest/etc/tmpfiles.d \
	    dest/var/mail/smtpd/postmaster
	: >dest/etc/systemd/system/smtpd.socket
	: >dest/etc/systemd/system/smtpd@.service
	: >dest/etc/systemd/system/sshd.socket
	: >dest/etc/tmpfiles.d/smtpd.conf
	printf '%s\n' '#smtp stream tcp /usr/local/sbin/smtpd smtpd' >dest/etc/inetd.conf
	mk install DESTDIR="$PWD/dest"
	mk uninstall DESTDIR="$PWD/dest"
	cat make.out
	sed -n "s|^ .*$PWD/dest||p" make.out >named
	printf '%s\n' /etc/systemd/system/smtpd.socket \
	    /etc/systemd/system/smtpd@.service /etc/tmpfiles.d/smtpd.conf \
	    /var/mail/smtpd | cmp - named
	grep -v '^#' "$ROOT/contrib/inetd.conf" >dest/etc/inetd.conf
	mk uninstall DESTDIR="$PWD/dest"
	grep "$PWD/dest/etc/inetd.conf" make.out
}

@test "install: PREFIX, SBINDIR and MANDIR are honoured, by uninstall too" {
	tree
	mk install DESTDIR="$PWD/dest" PREFIX=/opt/mail
	files dest >got
	printf '%s\n' 'opt/mail/sbin/smtpd 755' \
	    'opt/mail/share/man/man7/smtpd-delivery.7 644' \
	    'opt/mail/share/man/man8/smtpd.8 644' | diff - got
	mk uninstall DESTDIR="$PWD/dest" PREFIX=/opt/mail
	[ "$(files dest | wc -l)" = 0 ]
	mk install DESTDIR="$PWD/dest" SBINDIR=/libexec MANDIR=/man
	files dest | sed 's/ .*//' >got
	printf '%s\n' libexec/smtpd man/man7/smtpd-delivery.7 man/man8/smtpd.8 | diff - got
	mk uninstall DESTDIR="$PWD/dest" SBINDIR=/libexec MANDIR=/man
	[ "$(files dest | wc -l)" = 0 ]
}

@test "install: PROGNAME is the name of all files, where smtpd is another's" {
	tree
	mk install DESTDIR="$PWD/dest" PREFIX=/usr PROGNAME=in.smtpd
	files dest | sed 's/ .*//' >got
	printf '%s\n' usr/sbin/in.smtpd usr/share/man/man7/in.smtpd-delivery.7 \
	    usr/share/man/man8/in.smtpd.8 | diff - got
	mk uninstall DESTDIR="$PWD/dest" PREFIX=/usr PROGNAME=in.smtpd
	[ "$(files dest | wc -l)" = 0 ]
}

@test "install: install-systemd puts the strict unit for a domain, the user and the Maildirs, and uninstall-systemd takes them away" {
	tree
	mk install-systemd DESTDIR="$PWD/dest" DOMAIN=one.example
	files dest >got
	printf 'usr/local/lib/%s 644\n' systemd/system/smtpd.socket \
	    systemd/system/smtpd@.service sysusers.d/smtpd.conf \
	    tmpfiles.d/smtpd.conf | diff - got
	run ! grep -r 'example\.org' dest
	sed 's/one\.example/example.org/' dest/usr/local/lib/systemd/system/smtpd@.service |
	    cmp - "$ROOT/contrib/smtpd@.service"
	mk uninstall-systemd DESTDIR="$PWD/dest"
	[ "$(files dest | wc -l)" = 0 ]
	# under another name and place, all of it
	mk install install-systemd DESTDIR="$PWD/dest" PREFIX=/usr PROGNAME=in.smtpd
	run ! grep -rE '^[^#]*/usr/(local|sbin/smtpd)' dest/usr/lib
	grep -q '^ExecStart=-/usr/sbin/in.smtpd -d example.org' \
	    dest/usr/lib/systemd/system/in.smtpd@.service
	grep -q '^ExecPaths=/usr/sbin/in.smtpd ' dest/usr/lib/systemd/system/in.smtpd@.service
	mk uninstall uninstall-systemd DESTDIR="$PWD/dest" PREFIX=/usr PROGNAME=in.smtpd
	[ "$(files dest | wc -l)" = 0 ]
}

@test "install: install-contrib puts the tools, which run, and uninstall-contrib takes them away" {
	tree
	(umask 077; mk install-contrib DESTDIR="$PWD/dest")
	run ! grep -vE ' (755|644)$' <(files dest)
	run -64 dest/usr/local/bin/smtpsink --nosuch
	for t in "$ROOT"/contrib/mail-[!t]* "$ROOT"/contrib/mail-to-*; do
		cmp "$t" "dest/usr/local/bin/${t##*/}"
	done
	run -64 dest/usr/local/sbin/smtpd-mailbox
	[ -s dest/usr/local/share/bash-completion/completions/smtpd ]
	[ -s dest/usr/local/share/zsh/site-functions/_smtpd ]
	mk uninstall-contrib DESTDIR="$PWD/dest"
	[ "$(files dest | wc -l)" = 0 ]
}

# completes WORD...: what bash would offer for the last one
completes() {
	bash -c '
		source ./complete.bash
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_smtpd_options
		printf "%s\n" "${COMPREPLY[@]}"' - "$@" >offered
	cat offered
}

@test "install: bash completes every option there is, and the words and files behind them" {
	need shellcheck
	"$SMTPD" --help | sh "$ROOT/contrib/completion" bash >complete.bash
	shellcheck -s bash complete.bash
	completes smtpd --
	"$SMTPD" --help | grep -oE '^  (-., |    )--[a-z-]+' | sed 's/.*--/--/' |
	    sort >options
	[ "$(wc -l <options)" -gt 25 ]
	sort offered | diff options -
	completes smtpd --bare-newline ''
	printf '%s\n' reject normalize | diff - offered
	completes smtpd --log sy
	[ "$(<offered)" = syslog ]
	: >here.conf
	completes smtpd -f her
	[ "$(<offered)" = here.conf ]
	completes smtpd --timeout ''
	[ -z "$(<offered)" ]
}

@test "install: zsh completes every option there is" {
	need zsh
	mkdir functions
	"$SMTPD" --help | sh "$ROOT/contrib/completion" zsh >functions/_smtpd
	cat >ask.zsh <<-'Z'
		zmodload zsh/zpty
		zpty z zsh -f -i
		zpty -w z 'PS1=; fpath=($PWD/functions $fpath); autoload -U compinit; compinit -D -u; LISTMAX=1000; COLUMNS=200; LINES=200; print REA''DY'
		while zpty -r z line && [[ $line != *READY* ]]; do :; done
		zpty -w -n z $'smtpd --bare-newline no\t'
		for i in {1..50}; do
			sleep 0.1
			while zpty -r -t z line; do got+=$line; done
			[[ $got = *normalize* ]] && break
		done
		print -r -- "$got"
		[[ $got = *normalize* ]]
	Z
	timeout 30 zsh -f ask.zsh </dev/null
	for o in $("$SMTPD" --help | grep -oE '^  (-., |    )--[a-z-]+' | sed 's/.*--//'); do
		grep -qF -e "'*--$o" functions/_smtpd
	done
}

@test "install: an empty DESTDIR means PREFIX itself" {
	tree
	mk install PREFIX="$PWD/here"
	[ -x here/sbin/smtpd ]
	mk uninstall PREFIX="$PWD/here"
	[ "$(files here | wc -l)" = 0 ]
}

# recording: a compiler that writes down its arguments and makes its output
recording() {
	cat >cc <<-'S'
		#!/bin/sh
		# the arguments, one line a call
		printf '%s\n' "$*" >>"${0%/*}/cc.log"
		while [ $# -gt 0 ]; do
			[ "$1" != -o ] || : >"$2"
			shift
		done
	S
	chmod +x cc
}

@test "install: the user's CFLAGS come after every flag of ours" {
	tree
	recording
	mk clean
	mk CC="$PWD/cc" CFLAGS='-O0 -DLAST_OF_ALL'
	grep -e ' -c ' cc.log | grep -F smtp >calls
	[ "$(wc -l <calls)" -ge 2 ]
	run grep -v -e '-O0 -DLAST_OF_ALL' calls
	[ "$status" = 1 ]
	# behind them stand only the files
	run grep -E -e '-DLAST_OF_ALL.* -(O|W|f|std|D|U|g|m)' calls
	[ "$status" = 1 ]
	run grep -E -e '-O2' calls
	[ "$status" = 1 ]
}

@test "install: the user's CPPFLAGS and LDFLAGS are used, and HARDEN may be empty" {
	tree
	recording
	mk clean
	mk CC="$PWD/cc" CPPFLAGS=-DUSERS_CPP LDFLAGS=-Wl,-users-ld
	grep -e ' -c ' cc.log | grep -F smtpd.c | grep -F -e -DUSERS_CPP
	grep -v -e ' -c ' cc.log | grep -F -e '-o smtpd' >linked
	grep -F -e -Wl,-users-ld linked
	grep -e -DUSERS_CPP cc.log | grep -e -fstack-protector-strong
	run grep -E -e '-Wl,-users-ld.* -Wl,-z' linked
	[ "$status" = 1 ]
	mk clean
	rm cc.log
	mk CC="$PWD/cc" HARDEN= HARDENLD=
	run grep -e -fstack-protector -e -Wl,-z cc.log
	[ "$status" = 1 ]
}

@test "install: the Makefile holds to POSIX: no conditionals, no :=, no shell function" {
	run grep -nE '^(ifeq|ifdef|ifneq|else|endif|include)|[^:]:=|\?=|\+=|\$\((shell|wildcard|patsubst|foreach)|^[^	]*%.*:' "$ROOT/Makefile"
	[ "$status" = 1 ]
	grep -x '\.POSIX:' "$ROOT/Makefile"
}

@test "install: dist makes an archive of what is committed, which builds" {
	need git cc
	tree
	mk clean
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
	    GIT_CEILING_DIRECTORIES=$PWD
	git -C src init -q
	git -C src add -A
	git -C src -c user.name=n -c user.email=e@e.example commit -qm all
	echo stray >src/stray
	local version archive
	version=$(sed -n 's/^VERSION *= *//p' src/Makefile)
	mk dist
	archive=$(find src -maxdepth 1 -name "smtpd-$version.tar*")
	[ -f "$archive" ]
	mkdir un
	tar xf "$archive" -C un
	[ "$(ls un)" = "smtpd-$version" ]
	for f in smtpd.c smtp_parse.c smtp_parse.h Makefile smtpd.8 README.md \
	    CHANGES LICENSE contrib tests; do
		[ -e "un/smtpd-$version/$f" ]
	done
	[ ! -e "un/smtpd-$version/stray" ]
	rm src/stray
	make -s -C "un/smtpd-$version" CFLAGS=-O0 smtpd
	"un/smtpd-$version/smtpd" --version
	# and clean takes away all that was made
	mk clean
	[ "$(git -C src status --porcelain --ignored)" = '' ]
}

@test "recipes: AppArmor's parser takes the profile" {
	need apparmor_parser
	apparmor_parser -Q -K "$ROOT/contrib/smtpd.apparmor" 2>said
	run ! grep -i error said
}

@test "recipes: logrotate turns over the file that rsyslog writes, and rsyslog is told" {
	need_root
	need logrotate
	grep -q "file=\"/var/log/smtpd.log\"" "$ROOT/contrib/rsyslog.conf"
	sed -e "s|/var/log/smtpd.log|$PWD/smtpd.log|" \
	    -e "s|/usr/lib/rsyslog/rsyslog-rotate|touch $PWD/told|" \
	    "$ROOT/contrib/smtpd.logrotate" >rotate
	chmod 644 rotate
	chmod 755 .
	logrotate -s state rotate
	[ ! -e told ]
	echo one >smtpd.log
	logrotate -f -s state rotate
	[ -e told ]
	[ "$(cat smtpd.log.1)" = one ]
	echo two >smtpd.log
	logrotate -f -s state rotate
	[ "$(zcat smtpd.log.2.gz)" = one ]
}
