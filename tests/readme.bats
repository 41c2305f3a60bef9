# readme.bats - README.md, followed word for word on a machine without smtpd
# Each block of commands is run as it stands, by a shell that reads them from its
# standard input as if they had been pasted; systemd, booted by sdboot.sh, has a
# network of its own and so port 25.

# shellcheck disable=SC2094,SC2016 # what stands in single quotes is for another shell
# shellcheck disable=SC2030,SC2031 # bats runs each test in a shell of its own

load helper
load boot

: "${LAUNCHERS_DIR:=/opt/smtpd-launchers}"

# blocks: the indented blocks of README.md; a line "HEADING|N" before each
blocks() {
	awk '
		# a transcript is another suite
		/^```/ { shown = !shown }
		shown { next }
		/^#/ { heading = $0; sub(/^#+ /, "", heading); n = 0 }
		/^    / {
			if (!inside)
				print heading "|" ++n
			inside = 1
			print
		}
		/^[^ ]/ { inside = 0 }' "$ROOT/README.md"
}

# block HEADING N: the commands of that block
block() {
	blocks | awk -v want="$1|$2" '
		/^[^ ]/ { on = $0 == want }
		on && /^    / { print substr($0, 5) }' >commands
	[ -s commands ] || { echo "README.md has no $1, $2"; return 1; }
	cat commands
}

# paste HEADING N: run that block in the machine, in the source's directory; each
# of its commands must succeed.  What they say is in the file said.
paste_in() {
	block "$1" "$2" >block
	{
		echo 'cd /root/smtpd && domain=example.org'
		echo 'trap "echo failed: \$BASH_COMMAND; exit 1" ERR'
		cat block
	} | inside timeout 60 bash -s >said 2>&1 || { cat block said; return 1; }
	cat said
}

setup_file() {
	local tree=$BATS_FILE_TMPDIR/tree p
	"$SDBOOT" possible >"$BATS_FILE_TMPDIR/why" || return 0
	mkdir -p "$tree/etc/systemd/system.conf.d" "$tree/usr/lib/systemd/system" \
	    "$tree/root/smtpd"
	echo mx.example.net >"$tree/etc/hostname"
	echo '# the package has this file' >"$tree/etc/inetd.conf"
	printf '[Manager]\nDefaultEnvironment=ASAN_OPTIONS=detect_leaks=0\n' \
	    >"$tree/etc/systemd/system.conf.d/sanitizers.conf"
	for p in openbsd-inetd xinetd; do
		[ -d "$LAUNCHERS_DIR/$p" ] || continue
		cp -a "$LAUNCHERS_DIR/$p/usr/." "$tree/usr/"
		cp -a "$LAUNCHERS_DIR/$p/etc/." "$tree/etc/"
		[ ! -d "$LAUNCHERS_DIR/$p/lib" ] ||
		    cp -a "$LAUNCHERS_DIR/$p/lib/." "$tree/usr/lib/"
	done
	"$SDBOOT" start "$MACHINE" "$tree"
	# with its times, so that what is built is not built again
	tar cf - -C "$ROOT" --exclude=./.git --exclude=./run --exclude=./box . |
	    inside tar xf - -C /root/smtpd
	inside mkdir -p /etc/service
	inside sed -i '/^smtpd:/d' /etc/passwd /etc/group
	inside rm -rf /var/mail/smtpd /usr/local/sbin/smtpd /etc/sysusers.d
	files_there >"$BATS_FILE_TMPDIR/before"
}

teardown() {
	[ -z "${background:-}" ] || kill "$background" 2>/dev/null || :
}

# machine PROGRAM...: skip (in CI: fail) where it cannot be, or one is missing
machine() {
	booted make cc swaks "$@"
}

# files_there: every file of the machine that an installation could add, and the
# accounts; useradd(8) keeps copies and a lock of its own
files_there() {
	inside bash -c '
		find /etc /usr /var/mail -xdev ! -path "*/dovecot/*" \
		    ! -path /usr/local/share/man/man8 \
		    ! -name "*-" ! -name .pwd.lock ! -name ld.so.cache \
		    ! -name "__pycache__" ! -name "*.pyc" 2>/dev/null
		cat /etc/passwd /etc/group' | sort
}

# taken_away: all that was there before is, and nothing else
taken_away() {
	files_there >after
	diff "$BATS_FILE_TMPDIR/before" after
	run ! inside bash -c 'exec 9<>/dev/tcp/127.0.0.1/25'
}

# installed: the first commands, for all launchers
installed() {
	paste_in Install 1
	inside /usr/local/sbin/smtpd --version
	[ "$(inside stat -c '%U:%G %a' /var/mail/smtpd/{postmaster,alice}/new |
	    sort -u)" = 'smtpd:smtpd 700' ]
}

is_open() {
	inside bash -c 'exec 9<>/dev/tcp/127.0.0.1/25' 2>/dev/null
}

# delivers: a mail for the domain of the README comes in by port 25, one for
# nobody is refused, and the host's name is no domain of ours
delivers() {
	eventually is_open
	inside find /var/mail/smtpd/alice/new -type f -delete
	block 'Does it work?' 1 | sed 's/^/cd \/; domain=example.org; /' |
	    inside bash -s >said 2>&1 || :
	cat said
	grep -q '<~\* *250 2\.0\.0\|<-  250 2\.0\.0' said
	grep -qE '550 5\.1\.1' said
	[ "$(inside bash -c 'ls /var/mail/smtpd/alice/new | wc -l')" = 1 ]
	inside bash -c 'cat /var/mail/smtpd/alice/new/*' >mail
	grep -q '^Delivered-To: alice@example\.org$' mail
	grep -q '^Received: from .*\[127\.0\.0\.1\]' mail
	[ "$(inside bash -c 'stat -c "%U %a" /var/mail/smtpd/alice/new/*')" = \
	    'smtpd 600' ]
	inside swaks --server 127.0.0.1 --to alice@mx.example.net >said 2>&1 || :
	grep -q '550 5\.7\.1' said
}

# no_process: none of smtpd's user is left
no_process() {
	! inside pgrep -u smtpd
}

# uninstalled: the last commands, for all launchers
uninstalled() {
	# while a mail reader or a session is there, userdel(8) refuses
	eventually no_process
	paste_in 'Upgrade, uninstall' 5
	grep -q /var/mail/smtpd said
	run ! grep -qE 'account|/etc/' said
	taken_away
}

@test "readme: systemd: installed, mail comes in and is read, watched, all taken away" {
	machine mutt doveadm /usr/lib/dovecot/imap curl openssl script
	installed
	paste_in systemd 1
	delivers
	# Watching it
	inside journalctl -q --sync
	paste_in 'Watching it' 1
	grep -q '/postmaster\|alice@example' said
	run ! grep -q failed: said
	# Reading it, by mutt at a terminal
	block 'Reading it' 1 >line
	# no, and quit: mutt throws away what was typed before it asks
	for key in n q q; do
		sleep 1
		printf %s "$key"
	done | inside env TERM=xterm timeout 20 script -qefc "$(cat line)" \
	    /dev/null >screen 2>&1
	grep -aq 'test ' screen
	# by IMAP
	inside bash -ec 'cp -a /etc/dovecot /root/dovecot.away
		cd /etc/dovecot/private
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
		    -nodes -days 2 -subj /CN=mx -keyout dovecot.key \
		    -out dovecot.pem 2>/dev/null'
	paste_in 'Reading it' 2
	imap() {
		inside curl -sS -m 10 -u "alice:$1" \
		    'imap://127.0.0.1/INBOX;MAILINDEX=1' >fetched 2>&1
	}
	eventually imap 'her password'
	grep -q '^Delivered-To: alice@example\.org' fetched
	run ! imap wrong
	inside bash -c 'service dovecot stop; rm -rf /etc/dovecot;
	    mv /root/dovecot.away /etc/dovecot'
	# Maildirs
	paste_in Maildirs 1
	inside swaks --server 127.0.0.1 --to bob@example.org,abuse@example.org \
	    >said 2>&1
	[ "$(inside bash -c 'cd /var/mail/smtpd && ls bob/new postmaster/new |
	    grep -c S=')" = 2 ]
	# Upgrade, with a session that lasts
	inside bash -c 'cd /root/smtpd && make && make install' >said 2>&1
	delivers_again
	paste_in 'Upgrade, uninstall' 1
	uninstalled
}

# delivers_again: one mail more
delivers_again() {
	inside swaks --server 127.0.0.1 --to alice@example.org >said 2>&1
}

@test "readme: systemd: procmail, by the drop-in, files for known users and refuses others" {
	machine procmail
	installed
	paste_in systemd 1
	paste_in Programs 1
	delivers
	paste_in 'Upgrade, uninstall' 1
	inside rm -r /etc/smtpd
	uninstalled
}

@test "readme: the units that make install-systemd puts: mail comes in, all taken away" {
	machine
	paste_in Packages 1
	eventually is_open
	inside swaks --server 127.0.0.1 --to postmaster@example.org >said 2>&1 ||
	    { cat said; false; }
	[ "$(inside bash -c 'ls /var/mail/smtpd/postmaster/new | wc -l')" = 1 ]
	inside systemctl disable --now smtpd.socket
	uninstalled
}

@test "readme: openbsd-inetd: installed, mail comes in, all taken away" {
	machine "$LAUNCHERS_DIR/openbsd-inetd/usr/sbin/inetd"
	installed
	paste_in inetd 1
	delivers
	inside journalctl -q --sync
	inside journalctl -q -t smtpd | grep -q alice@example.org
	paste_in 'Upgrade, uninstall' 2
	uninstalled
	inside service openbsd-inetd stop
}

@test "readme: xinetd: installed, mail comes in, all taken away" {
	machine "$LAUNCHERS_DIR/xinetd/usr/sbin/xinetd"
	installed
	paste_in inetd 2
	delivers
	paste_in 'Upgrade, uninstall' 3
	inside service xinetd stop
	uninstalled
}

@test "readme: tcpserver under runit: installed, mail comes in, all taken away" {
	machine tcpserver runsvdir sv
	inside runsvdir -P /etc/service >runsvdir.log 2>&1 3>&- &
	background=$!
	installed
	paste_in tcpserver 1
	delivers
	paste_in 'Upgrade, uninstall' 4
	uninstalled
	inside pkill -x runsvdir
}

@test "readme: contrib/run without the user starts nothing, and says who is missing" {
	machine tcpserver
	run ! inside id smtpd
	run inside timeout 20 sh /root/smtpd/contrib/run
	[ "$status" = 1 ]
	[[ $output = *smtpd*mailbox* ]]
	run ! is_open
}

@test "readme: a step that fails ends the chain, and without the domain nothing is installed" {
	machine
	block systemd 1 >block
	(echo 'cd /root/smtpd; unset domain'; cat block) |
	    inside bash -s >said 2>&1 && return 1
	cat said
	taken_away
	block Install 1 | sed 's/make install/false/' >block
	(echo 'cd /root/smtpd'; cat block) | inside bash -s >said 2>&1 && return 1
	taken_away
}

@test "readme: the sessions to paste work in a copy of the source" {
	need make cc
	unset MAKEFLAGS MFLAGS MAKELEVEL
	mkdir src
	(cd "$ROOT" && tar cf - --exclude=./.git --exclude=./run --exclude=./box .) |
	    (cd src && tar xf -)
	block 'A session' 1 >block
	(cd src && bash -se <../block) >said 2>&1 || { cat said; false; }
	cat said
	grep -q '^Subject: The first mail' said
	grep -q '^250 2\.0\.0 ' said
	block smtpd 1 | sed -n 's/ *#.*//; /run/p' >block
	(cd src && bash -se <../block) >said 2>&1 || { cat said; false; }
	grep -q '^Subject: The first mail' said
}

@test "readme: --auth with blanks is a line of a --config file, where a launcher knows no quotes" {
	printf '#!/bin/sh\ncat <&3 >/dev/null\n[ "$1 $2" = "a b" ]\n' >checker
	chmod 755 checker
	printf '%s\n' 'domain example.org' 'maildir box' "auth $PWD/checker a b" \
	    >conf
	# shellcheck disable=SC2034 # helper.bash uses it
	OPTS=(-n mx.example --secured --config conf)
	launched
	say 'EHLO c.example' 'AUTH PLAIN AGFsaWNlAHNlY3JldA==' QUIT
	[ "$(codes)" = '220 250 235 221' ]
	grep -q -- "--config" "$ROOT/contrib/inetd.conf" "$ROOT/README.md"
}

@test "readme: --strict tells by its status, and in the log, what a client does wrong" {
	block 'Writing a client?' 1 >block
	mkdir bin
	ln -s "$SMTPD" bin/smtpd
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' QUIT \
	    >what-it-sends
	PATH=$PWD/bin:$PATH bash block >said 2>log
	printf '%s\r\n' 'MAIL FROM: <a@c.example>' QUIT >what-it-sends
	status=0
	PATH=$PWD/bin:$PATH bash block >said 2>log || status=$?
	[ "$status" = 1 ]
	grep -q 'blank-after-colon.*RFC 5321, 3\.3' log
}

@test "readme: the sink ends well behind the mail it waits for" {
	need make cc curl
	unset MAKEFLAGS MFLAGS MAKELEVEL
	mkdir src
	(cd "$ROOT" && tar cf - --exclude=./.git --exclude=./run --exclude=./box .) |
	    (cd src && tar xf -)
	block 'Testing what sends mail?' 1 >block
	(cd src && exec bash -e ../block) >said 2>&1 3>&- &
	eventually grep -q '^listening on ' said
	printf 'Subject: x\n\nx\n' | curl -sS --crlf "smtp://127.0.0.1:$(sed -n \
	    's/^listening on .*://p' said)" --mail-from a@c.example \
	    --mail-rcpt u@example.org -T -
	wait $!
	grep -q '^from=<a@c\.example> to=<u@example\.org> sunk/new/' said
	grep -q '^Subject: x$' src/sunk/new/*
}

@test "readme: every block of commands is run by a test here, or is make's" {
	blocks | grep '^[^ ].*|[0-9]*$' | sort >all
	grep -oE "(paste_in|block) ('[^']*'|[A-Za-z]+) [0-9]+" "${BATS_TEST_FILENAME}" |
	    sed -E "s/^[a-z_]+ //; s/'//g; s/ ([0-9]+)$/|\1/" | sort -u >run
	# large/package.bats has the package, and make itself gates, bench and check
	echo 'Packages|2' >>run
	printf '%s\n' 'What it costs|1' 'Hacking|1' >>run
	sort -u run | comm -23 all - >neither
	cat neither
	[ ! -s neither ]
	for heading in 'What it costs' Hacking; do
		run ! grep -vE '^(make|bash \.ci/run)' <(block "$heading" 1)
	done
}

@test "readme: no block is more than a terminal takes as it stands: no here-document" {
	run ! grep -nE '^    .*<<' "$ROOT/README.md"
}
