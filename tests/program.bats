#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test has OPTS of its own
# program: a message handed to one program, once (sysexits.h, qmail-command(8),
# RFC 3463)


# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load program

# ---- what it reads ---------------------------------------------------------

@test "program: it reads the message at offset 0, with LF ends and our trace in front" {
	prog <<-'P'
		sed -n 's/^pos:[^0-9]*//p' /proc/self/fdinfo/0 >seen/offset
		cat >seen/mail
	P
	OPTS+=(./prog)
	printf 'Subject: s\n\n.dot\n..\n\nlast\n' >msg
	mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	[ "$(cat seen/offset)" = 0 ]
	[ "$(sed -n 1p seen/mail)" = 'Return-Path: <a@c.example>' ]
	[ "$(sed -n 2p seen/mail)" = 'Delivered-To: u@example.org' ]
	[[ $(header Received seen/mail) == 'from c.example '*' by mx.example with ESMTP id '*' for <u@example.org>; '*+0000* ]]
	[ "$(grep -c '^Received:' seen/mail)" = 1 ]
	tail -c "$(wc -c <msg)" seen/mail | cmp - msg
	run ! grep -q $'\r' seen/mail
	spool_is_empty
}

@test "program: every octet, an endless line, an empty message come as they are" {
	local i
	prog <<-'P'
		cat >seen/mail
	P
	OPTS+=(./prog)
	: >msg
	mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	[ "$(tail -n 1 seen/mail | cut -c 1)" = $'\t' ] ||
	    [ "$(tail -n 1 seen/mail | cut -c 1)" = ' ' ]
	{
		printf 'MIME-Version: 1.0\n\n'
		for i in {0..9} 11 12 {14..255}; do
			printf %b "\\x$(printf %x "$i")"
		done
		echo
		an_x 300000
		printf '\n\n\n'
	} >msg
	mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	tail -c "$(wc -c <msg)" seen/mail | cmp - msg
}

@test "program: the same by chunks, in LF mode, and with bare newlines made whole" {
	prog <<-'P'
		cat >seen/mail
	P
	OPTS+=(./prog)
	printf 'EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\nBDAT 7\r\n.a\r\n..\rBDAT 4 LAST\r\n\n\r\nzQUIT\r\n' >in
	send <in
	[[ $(full_codes) == *' 250/2.0.0 250/2.0.0 221/2.0.0' ]]
	printf '.a\n..\n\nz\n' >want
	tail -c 9 seen/mail | cmp - want
	printf 'HELO c\nMAIL FROM:<a@c.example>\nRCPT TO:<u@example.org>\nDATA\n..a\nb\n.\nQUIT\n' >in
	send <in
	[ "$(verdicts)" = 250/2.0.0 ]
	[ "$(tail -n 2 seen/mail)" = $'.a\nb' ]
	OPTS=(--bare-newline normalize "${OPTS[@]}")
	printf 'HELO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\nDATA\r\na\nb\rc\r\n.\r\nQUIT\r\n' >in
	send <in
	[ "$(verdicts)" = 250/2.0.0 ]
	[ "$(tail -n 2 seen/mail)" = $'a\nb c' ]
}

@test "program: an unlabelled 8-bit message is labelled, and has one file all the same" {
	prog <<-'P'
		cat >seen/mail
	P
	OPTS+=(./prog)
	printf 'Subject: s\n\n\303\251\n' >msg
	mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	[ "$(header Content-Type seen/mail)" = 'text/plain; charset=utf-8' ]
	[ "$(grep -c '^Received:' seen/mail)" = 1 ]
	tail -c "$(wc -c <msg)" seen/mail | cmp - msg
	spool_is_empty
}

@test "program: its file is complete, 0600, in the spool and has no name" {
	prog <<-'P'
		stat -L -c '%h %a %s' /dev/stdin >seen/stat
		readlink /proc/self/fd/0 >seen/name
		ls -A spool >seen/spool
		wc -c >seen/size
	P
	OPTS+=(./prog)
	wide 200000
	(umask 0; mail_to u@example.org; verdicts >code)
	[ "$(cat code)" = 250/2.0.0 ]
	[ "$(cat seen/stat)" = "0 600 $(($(cat seen/size)))" ]
	[ "$(cat seen/size)" -gt 200000 ]
	[[ $(cat seen/name) == "$PWD/spool/"*"(deleted)" ]]
	[ ! -s seen/spool ]
}

@test "program: the file is not synced, and no page of ours is copied to start it" {
	need strace
	prog </dev/null
	OPTS+=(./prog)
	letter_to u@example.org >in
	traced -e trace=fsync,fdatasync,sync_file_range,syncfs,clone,clone3,fork,vfork,execve <in
	[ "$(verdicts)" = 250/2.0.0 ]
	run ! grep sync trace
	[ "$(grep -c -e fork -e clone trace)" = 1 ]
	grep -E 'vfork\(|CLONE_VM.*CLONE_VFORK' trace
}

@test "program: without --spool the message waits in TMPDIR, or in /tmp" {
	prog <<-'P'
		readlink /proc/self/fd/0 >seen/name
	P
	OPTS=(-n mx.example -d example.org ./prog)
	mkdir other
	TMPDIR=$PWD/other mail_to u@example.org
	[[ $(cat seen/name) == "$PWD/other/"* ]]
	(unset TMPDIR; mail_to u@example.org)
	[[ $(cat seen/name) == /tmp/* ]]
}

# ---- what it starts with ---------------------------------------------------

@test "program: it has the descriptors 0 to 2, and no other" {
	prog <<-'P'
		for n in 0 1 2; do readlink /proc/$$/fd/$n; done >seen/first
		ls /proc/self/fd >seen/fds
	P
	OPTS+=(./prog)
	# an 8-bit message is copied: two files; and what a launcher left open
	printf 'Subject: s\n\n\303\251\n' >msg
	letter_to u@example.org >in
	send <in 5<msg 17>junk 900<msg
	[ "$(verdicts)" = 250/2.0.0 ]
	# 3 is the directory that ls reads
	[ "$(paste -sd ' ' seen/fds)" = '0 1 2 3' ]
	[[ $(sed -n 1p seen/first) == "$PWD/spool/"* ]]
	[ "$(sed -n 3p seen/first | sed 's/:.*//')" = pipe ]
}

@test "program: it may start with the descriptor of the log closed, too" {
	prog <<-'P'
		cat >seen/mail
		echo '4.2.2 heard'
		exit 75
	P
	OPTS+=(./prog)
	letter_to u@example.org >in
	status=0
	"$SMTPD" "${OPTS[@]}" <in >out 2>&- 3>&- || status=$?
	[ "$(verdicts)" = 451/4.2.2 ]
	tail -c "$(wc -c <msg)" seen/mail | cmp - msg
}

@test "program: nothing of what it says is on the wire, though 2 be the socket" {
	prog <<-'P'
		echo out-of-the-program; echo err-of-the-program >&2
		exit 75
	P
	OPTS+=(./prog)
	letter_to u@example.org >in
	status=0
	py "$SMTPD" "${OPTS[@]}" <<-'P' || status=$?
		import socket
		import subprocess
		import sys
		import talk
		client, conn = socket.socketpair()
		client.settimeout(talk.LIMIT)
		child = subprocess.Popen(sys.argv[1:], stdin=conn, stdout=conn,
		    stderr=conn)
		conn.close()
		client.sendall(open('in', 'rb').read())
		with open('out', 'wb') as out:
		    while got := client.recv(65536):
		        out.write(got)
		sys.exit(talk.ended(child))
	P
	[ "$status" = 75 ]
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 451/4.3.0 221/2.0.0' ]
	run ! grep of-the-program out
	run ! grep -av '^[2-5][0-9][0-9][ -].*.$' out
}

@test "program: signals, their mask, the process group, umask and core are its own" {
	prog <<-'P'
		# not by a child: the shell blocks signals while it makes one
		while read -r line; do
			case $line in
			SigBlk:*|SigIgn:*) echo "$line" ;;
			esac
		done </proc/$$/status >seen/signals
		ps -o pgid= -p $$ | tr -d ' ' >seen/group
		echo $$ >seen/pid
		umask >seen/umask
		ulimit -c >seen/core
		grep NoNewPrivs /proc/$$/status >seen/privs
	P
	OPTS+=(./prog)
	letter_to u@example.org >in
	# all signals ignored and blocked by the launcher
	(umask 0; env --ignore-signal --block-signal "$SMTPD" "${OPTS[@]}" \
	    <in >out 2>log 3>&-)
	[ "$(verdicts)" = 250/2.0.0 ]
	# the C library's own two, 32 and 33, may be as they were
	while read -r _ mask; do
		(( (16#$mask & ~0x180000000) == 0 ))
	done <seen/signals
	[ "$(wc -l <seen/signals)" = 2 ]
	[ "$(cat seen/group)" = "$(cat seen/pid)" ]
	[ "$(cat seen/umask)" = 0077 ]
	[ "$(cat seen/core)" = 0 ]
	# a set-uid one may need it
	[ "$(cat seen/privs)" = "$(grep NoNewPrivs /proc/$$/status)" ]
}

# environ_of: the variables that the program saw, but for the ID
environ_of() {
	tr '\0' '\n' <seen/env |
	    sed 's/^MESSAGE_ID=[0-9]*\.M[0-9]*P[0-9]*Q1$/MESSAGE_ID=ok/
		s/^MESSAGE_KEY=[0-9a-f]\{64\}$/MESSAGE_KEY=ok/' | sort
}

@test "program: the environment is made from nothing" {
	prog </dev/null
	OPTS+=(cp /proc/self/environ seen/env)
	launched
	mkdir home
	letter_to u+x@example.org >in
	env SECRET=1 IFS=x BASH_ENV=/x LD_BIND_NOW=1 MAIL=x RELAYCLIENT= \
	    PATH="/nowhere:$PATH" SHELL=/bin/false TCPREMOTEINFO=root \
	    HOME="$PWD/home" USER=me LOGNAME=mine TZ=UTC \
	    RECIPIENT=root SENDER=root "$SMTPD" "${OPTS[@]}" <in >out 2>log 3>&-
	[ "$(verdicts)" = 250/2.0.0 ]
	environ_of >got
	sort >want <<-E
		AUTH_USER=
		CLIENT_ADDRESS=192.0.2.7
		CLIENT_HELO=c.example
		CLIENT_HOSTNAME=
		CLIENT_PROTOCOL=ESMTP
		DOMAIN=example.org
		EXT=x
		EXTENSION=x
		HOME=$PWD/home
		HOST=example.org
		LOCAL=u+x
		LOGNAME=mine
		MESSAGE_ID=ok
		MESSAGE_KEY=ok
		PATH=/usr/local/bin:/usr/bin:/bin
		RECIPIENT=u+x@example.org
		SENDER=a@c.example
		SHELL=/bin/sh
		TZ=UTC
		USER=me
	E
	diff want got
}

@test "program: what the launcher does not give is not there, nor a home not to be entered" {
	prog </dev/null
	OPTS+=(cp /proc/self/environ seen/env)
	printf 'HELO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<u@Example.ORG>\r\nDATA\r\n.\r\nQUIT\r\n' >in
	for home in /nowhere/at/all "$PWD/in" ''; do
		env -i PATH="$PATH" HOME="$home" TZ=$'a\nb' \
		    ASAN_OPTIONS="${ASAN_OPTIONS:-}" \
		    "$SMTPD" "${OPTS[@]}" <in >out 2>log 3>&-
		[ "$(verdicts)" = 250/2.0.0 ]
		environ_of | sed '/^CLIENT_ADDRESS=$/d' >got
		sort >want <<-E
			AUTH_USER=
			CLIENT_HELO=c.example
			CLIENT_HOSTNAME=
			CLIENT_PROTOCOL=SMTP
			DOMAIN=Example.ORG
			EXT=
			EXTENSION=
			HOST=Example.ORG
			LOCAL=u
			MESSAGE_ID=ok
			MESSAGE_KEY=ok
			PATH=/usr/local/bin:/usr/bin:/bin
			RECIPIENT=u@Example.ORG
			SENDER=
			SHELL=/bin/sh
		E
		diff -i want got
		rm seen/env
	done
}

@test "program: a home that this user may not enter is no HOME" {
	need_root
	need setpriv
	prog </dev/null
	OPTS+=(cp /proc/self/environ seen/env)
	mkdir home
	chmod 700 home
	chmod 755 .
	chmod 777 seen spool
	cp "$SMTPD" ./smtpd.copy
	chmod 755 smtpd.copy
	letter_to u@example.org >in
	HOME=$PWD/home setpriv --reuid=65534 --regid=65534 --clear-groups \
	    ./smtpd.copy "${OPTS[@]}" <in >out 2>log 3>&-
	[ "$(verdicts)" = 250/2.0.0 ]
	run ! grep -a '^HOME=' <(environ_of)
}

# ---- its arguments ---------------------------------------------------------

@test "program: placeholders are replaced, and other braces are left alone" {
	prog <<-'P'
		printf '%s\0' "$#" "$@" >seen/args
	P
	OPTS+=(./prog '{user}' '={recipient}=' '{extension}' -f '{sender}'
	    '-f{sender}' '{domain}' '{other}' '{' '' '{user}{user}' '{{user}}'
	    '{User}' 'a b' '{user' 'x{domain}y{extension}z' -n --test --)
	mail_to U+Ext@Example.ORG
	[ "$(verdicts)" = 250/2.0.0 ]
	printf '%s\0' 19 u '=U+Ext@Example.ORG=' Ext -f a@c.example \
	    -fa@c.example example.org '{other}' '{' '' uu '{u}' \
	    '{User}' 'a b' '{user' xexample.orgyExtz -n --test -- >want
	cmp want seen/args
}

@test "program: without an extension its argument is empty, and so is a delimiter's absence" {
	prog <<-'P'
		printf '[%s]' "$@" >>seen/args
	P
	OPTS+=(./prog '{extension}' '{user}' 'x{extension}')
	mail_to u@example.org
	mail_to u+@example.org
	[ "$(cat seen/args)" = '[][u][x][][u][x]' ]
	rm seen/args
	OPTS=(--delimiter - "${OPTS[@]}")
	mail_to u-v+w@example.org
	OPTS=(--delimiter '' "${OPTS[@]:2}")
	mail_to u-v+w@example.org
	[ "$(cat seen/args)" = '[v+w][u][xv+w][][u-v+w][x]' ]
}

@test "program: the null sender is MAILER-DAEMON in arguments" {
	prog <<-'P'
		printf '%s\0' "$#" "$@" "$SENDER" >seen/args
	P
	OPTS+=(./prog -f '{sender}' '={sender}=')
	say 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA . QUIT
	[ "$(verdicts)" = 250/2.0.0 ]
	printf '%s\0' 3 -f MAILER-DAEMON '=MAILER-DAEMON=' '' >want
	cmp want seen/args
}

@test "program: it is looked for in the launcher's PATH, or is the path it is" {
	prog </dev/null
	mkdir bin
	printf '#!/bin/sh\ntouch seen/%s\n' first >bin/hand-it
	printf '#!/bin/sh\ntouch seen/%s\n' second >hand-it
	chmod 755 bin/hand-it hand-it
	OPTS+=(hand-it)
	PATH=$PWD/bin:$PATH mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	[ -e seen/first ] && [ ! -e seen/second ]
	OPTS[-1]=./hand-it
	PATH=$PWD/bin:$PATH mail_to u@example.org
	[ -e seen/second ]
	OPTS[-1]=hand-it
	mail_to u@example.org
	[ "$(verdicts)" = 451/4.3.5 ]
}

@test "program: one that is not there, or cannot be run, is 451 4.3.5, and no shell tries" {
	local what
	prog </dev/null
	touch plain
	printf '#!/nowhere/at/all\n' >lost
	printf 'touch seen/ran\n' >headless
	mkdir -p folder
	chmod 755 lost headless folder
	OPTS+=(x)
	for what in ./missing ./plain ./lost ./headless ./folder no-such-program \
	    ./plain/x; do
		OPTS[-1]=$what
		mail_to u@example.org
		[ "$(verdicts)" = 451/4.3.5 ] || { echo "$what"; return 1; }
		[ "$status" = 75 ]
		grep -q 'fault .*exec' log
	done
	ran 0
	[ ! -e seen/ran ]
	spool_is_empty
}

@test "program: a placeholder in a shell's command is an error at the start" {
	local n=0 bad=0
	prog </dev/null
	local -a args
	while read -r -a args; do
		status=0
		"$SMTPD" "${OPTS[@]}" "${args[@]}" </dev/null >out 2>log ||
		    status=$?
		[ "$status" = 64 ] || { echo "${args[*]}: $status"; bad=1; }
		[ ! -s out ] && [ -s log ]
		n=$((n + 1))
	done <<-'A'
		sh -c {user}
		/bin/sh -c echo{recipient}
		bash -ec {sender}
		bash -ce {sender}
		bash -x -e -c {sender}
		bash -c -e {sender}
		sh -c -- {user}
		sh -c +x {user}
		bash -co errexit {user}
		bash -c -o errexit {user}
		env X=1 dash -x -c {domain}
		nice -n 5 ksh -c {user}
		su mail -c {extension}
		su -c {extension} mail
		sh -c {recipients}
		sh -c x{recipients}y
	A
	[ $n = 16 ]
	[ $bad = 0 ]
}

@test "program: behind the command of a shell a placeholder is only a word" {
	prog </dev/null
	# shellcheck disable=SC2016 # for sh
	OPTS+=(sh -c 'printf "%s\n" "$1" "$RECIPIENT" >seen/arg' sh '{recipient}')
	# shellcheck disable=SC2016 # as it is
	mail_to 'x`touch${IFS}owned`$$@example.org'
	[ "$(verdicts)" = 250/2.0.0 ]
	# shellcheck disable=SC2016 # as it is
	printf '%s\n' 'x`touch${IFS}owned`$$@example.org'{,} >want
	cmp want seen/arg
	[ ! -e owned ]
	# no shell, or a script of one
	for args in 'cat {user}' 'sh ./prog {user}' 'sh -e ./prog {user}'; do
		# shellcheck disable=SC2206 # words are meant
		OPTS=(-n mx.example -d example.org --spool spool $args)
		say QUIT
		[ "$status" = 0 ]
	done
}

@test "program: what makes no sense on the command line is 64" {
	local -a args
	local n=0
	prog </dev/null
	while read -r -a args; do
		status=0
		"$SMTPD" -d example.org "${args[@]}" </dev/null >out 2>log ||
		    status=$?
		[ "$status" = 64 ] || { echo "${args[*]}: $status"; return 1; }
		n=$((n + 1))
	done <<-'A'
		-m box cat
		--maildir=box -- cat
		cat {recipients} {user}
		cat {recipient} {recipients}
		cat {recipients} x{domain}
		cat {extension} {recipients}
		{user}
		{recipients}
		./{domain}/prog
		--program-timeout 0 cat
		--program-timeout -1 cat
		--program-timeout x cat
		--program-timeout
		--sync /nowhere/at/all cat
		--spool= cat
		--spool
	A
	[ $n = 16 ]
	run -64 "$SMTPD" -d example.org -- ''
}

@test "program: options of its own are its own, and the options in front may be in a file" {
	prog <<-'P'
		printf '[%s]' "$@" >seen/args
		readlink /proc/self/fd/0 >seen/name
	P
	printf 'spool %s\nprogram-timeout 7\ndomain example.org\n' "$PWD/spool" >conf
	OPTS=(-f conf ./prog --help -V --spool=/nowhere -x)
	mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	[ "$(cat seen/args)" = '[--help][-V][--spool=/nowhere][-x]' ]
	[[ $(cat seen/name) == "$PWD/spool/"* ]]
	run -0 "$SMTPD" -T "${OPTS[@]}"
	[[ $output == *'program-timeout 7'* ]]
}

@test "program: --test tells of it and of the spool, and of what is missing" {
	prog </dev/null
	OPTS+=(./prog '{user}')
	run -0 "$SMTPD" -T "${OPTS[@]}"
	[[ $output == *'program ./prog {user}'* ]]
	[[ $output == *'spool spool'* ]]
	run -78 "$SMTPD" -T -d example.org --spool spool -- no-such-program
	run -78 "$SMTPD" -T -d example.org --spool nowhere ./prog
	ran 0
}

# ---- how it ends -----------------------------------------------------------

@test "program: every exit status has its reply" {
	local i
	local -a want=()
	prog <<-'P'
		exit "${LOCAL#x}"
	P
	OPTS=(-e 1 "${OPTS[@]}" ./prog)
	for i in {0..255}; do
		case $i in
		0|99)	want+=(250/2.0.0) ;;
		67)	want+=(550/5.1.1) ;;
		68)	want+=(550/5.1.2) ;;
		65)	want+=(554/5.6.0) ;;
		77)	want+=(550/5.7.1) ;;
		100)	want+=(554/5.3.0) ;;
		73)	want+=(452/4.2.0) ;;
		64|69|70|78|126|127) want+=(451/4.3.5) ;;
		*)	want+=(451/4.3.0) ;;
		esac
	done
	each_to x{0..255}@example.org
	diff <(verdicts | tr ' ' '\n') <(printf '%s\n' "${want[@]}")
	# what was refused for good is no fault of ours, the rest is
	[ "$status" = 75 ]
	each_to x{67,0,100}@example.org
	[ "$status" = 0 ]
	spool_is_empty
}

@test "program: no refusal of its counts as an error of the session" {
	prog <<-'P'
		exit 67
	P
	OPTS=(-e 2 "${OPTS[@]}" ./prog)
	each_to {a..k}@example.org
	[ "$(verdicts | tr ' ' '\n' | sort | uniq -c | tr -s ' ')" = ' 11 550/5.1.1' ]
	[ "$(codes | sed 's/.* //')" = 221 ]
	[ "$status" = 0 ]
}

@test "program: death by any signal is 451 4.3.0, whatever was said before" {
	local s
	local -a signals=()
	prog <<-'P'
		echo '2.0.0 fine'
		kill -"${LOCAL#s}" $$
		exit 0
	P
	OPTS+=(./prog)
	for s in {1..31} {34..64}; do
		case $s in
		17|18|19|20|21|22|23|28)	# does not end it
			;;
		*)	signals+=("$s") ;;
		esac
	done
	each_to "${signals[@]/#/s}"
	[ ${#signals[@]} = 54 ]
	[ "$(verdicts | tr ' ' '\n' | sort | uniq -c | tr -s ' ')" = ' 54 451/4.3.0' ]
	grep -q 'program .*signal=9 ' log
	grep -q 'program .*signal=64 ' log
}

@test "program: its last line replaces the text, if it fits" {
	local row name want bad=0 i=0
	local -a names=() wants=() got
	prog <<-'P'
		f() { printf "$@"; exit 75; }
		case $LOCAL in
		quota)	f 'noise\n4.2.2 over quota\n' ;;
		crlf)	f '4.2.2 over quota\r\n\r\n' ;;
		noend)	printf '5.2.1 mailbox closed'; exit 100 ;;
		class)	f '5.2.2 over quota\n' ;;
		good)	f '2.2.2 over quota\n' ;;
		eight)	f '4.2.2 \303\251\n' ;;
		nul)	f '4.2.2 a\000b\n' ;;
		esc)	f '4.2.2 a\033b\n' ;;
		del)	f '4.2.2 a\177b\n' ;;
		tab)	f '4.2.2 a\tb\n' ;;
		cr)	f '4.2.2 a\r550 5.1.1 b\n' ;;
		crs)	f '4.2.2 a\r\r\n' ;;
		just)	f '4.2.2 %194s\n' x ;;
		long)	f '4.2.2 %195s\n' x ;;
		bare)	f '4.2.2\n' ;;
		blank)	f '4.2.2  \n' ;;
		tied)	f '4.2.2x over\n' ;;
		indent)	f ' 4.2.2 over\n' ;;
		code)	f '452 4.2.2 over quota\n' ;;
		short)	f '4.2 over quota\n' ;;
		three)	f '4.999.999 over quota\n' ;;
		four)	f '4.1000.1 over quota\n' ;;
		old)	f '4.2.2 over quota\nand more\n' ;;
		error)	echo '4.2.2 err' >&2; exit 75 ;;
		both)	echo '4.2.1 out'; echo '4.2.2 err' >&2; exit 75 ;;
		ours)	echo '4.2.2 ours'; exit 78 ;;
		no67)	echo '5.1.6 has moved'; exit 67 ;;
		no67t)	echo '4.2.2 later'; exit 67 ;;
		slow)	printf '4.2'; sleep 0.05; printf '.2 in pieces'; exit 75 ;;
		late)	printf '4.2.1 a\n4.2'; sleep 0.05; printf '.2 b\n'; exit 75 ;;
		ok)	echo '2.1.5 filed' ;;
		okbad)	echo '5.1.1 not so' ;;
		oktext)	echo 'filed' ;;
		flood)	an=$(printf '%070000d' 0); f '%s\n4.2.2 over\n' "$an" ;;
		esac
	P
	OPTS+=(./prog)
	while read -r name want; do
		names+=("$name@example.org")
		wants+=("$want")
	done <<-'T'
		quota	451/4.2.2
		crlf	451/4.2.2
		noend	554/5.2.1
		class	451/4.3.0
		good	451/4.3.0
		eight	451/4.3.0
		nul	451/4.3.0
		esc	451/4.3.0
		del	451/4.3.0
		tab	451/4.3.0
		cr	451/4.3.0
		crs	451/4.3.0
		just	451/4.2.2
		long	451/4.3.0
		bare	451/4.3.0
		blank	451/4.3.0
		tied	451/4.3.0
		indent	451/4.3.0
		code	451/4.3.0
		short	451/4.3.0
		three	451/4.999.999
		four	451/4.3.0
		old	451/4.3.0
		error	451/4.2.2
		both	451/4.2.2
		ours	451/4.2.2
		no67	550/5.1.6
		no67t	550/5.1.1
		slow	451/4.2.2
		late	451/4.2.2
		ok	250/2.1.5
		okbad	250/2.0.0
		oktext	250/2.0.0
		flood	451/4.2.2
	T
	each_to "${names[@]}"
	[ ${#names[@]} = 34 ]
	# full_codes knows codes of one digit
	read -r -a got <<<"$(verdicts)"
	for i in "${!wants[@]}"; do
		[ "${wants[i]}" = 451/4.999.999 ] || [ "${got[i]}" = "${wants[i]}" ] ||
		    { echo "${names[i]}: ${got[i]}, not ${wants[i]}"; bad=1; }
	done
	[ "${#got[@]}" = 34 ]
	grep -q $'^451 4\.999\.999 over quota\r$' out
	grep -q $'^451 4\.2\.2 over quota\r$' out
	# a reply is a line of printable ASCII, of 512 octets at most
	LC_ALL=C
	run ! grep -aq $'[^ -~\r]' out
	run ! grep -aqE '^.{511}' out
	[ $bad = 0 ]
}

@test "program: on success its words are said, and the ID" {
	prog <<-'P'
		echo "$MESSAGE_ID" >seen/id
		cat >seen/mail
		echo '2.1.5 filed under f'
	P
	OPTS+=(./prog)
	mail_to u@example.org
	grep -q "^250 2\.1\.5 filed under f .*$(cat seen/id)" out
	[[ $(header Received seen/mail) == *" id $(cat seen/id) "* ]]
	grep -q "message id=$(cat seen/id) " log
}

# ---- what it says ----------------------------------------------------------

@test "program: a flood of output is read, and 4 KB of it logged" {
	prog <<-'P'
		case $LOCAL in
		line)	head -c 20000000 /dev/zero | tr '\0' x; echo ;;
		lines)	yes yyyy | head -c 20000000 ;;
		esac
		echo '4.2.2 after the flood'
		exit 75
	P
	OPTS+=(./prog)
	mail_to line@example.org
	[ "$(verdicts)" = 451/4.2.2 ]
	[ "$(grep -o 'text="[^"]*"' log | tr -cd x | wc -c)" -le 4200 ]
	[ "$(grep -o 'text="[^"]*"' log | tr -cd x | wc -c)" -gt 4000 ]
	[ "$(wc -c <log)" -lt 20000 ]
	mail_to lines@example.org
	[ "$(verdicts)" = 451/4.2.2 ]
	[ "$(grep -o 'text="[^"]*"' log | tr -cd y | wc -c)" -le 4096 ]
}

@test "program: what it says is escaped in the log, and cannot be a line of ours" {
	prog <<-'P'
		printf 'a\033[2Jb\rc\000d"e\\f\377g\n\n'
		printf 'smtpd[1]: session forged\n'
	P
	OPTS+=(./prog)
	mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	LC_ALL=C
	run ! grep -aq $'[^ -~]' log
	run ! grep -aE '^(<[0-9]>)?smtpd\[1\]' log
	run ! grep -a '^[^"]* session forged' log
	grep -q 'output id=.* text="smtpd\[1\]: session forged"' log
}

@test "program: output ends up in the log with how it ended, and for whom" {
	prog <<-'P'
		echo one; echo two >&2
		exit 73
	P
	OPTS+=(./prog)
	mail_to u@example.org
	grep -q 'output id=[^ ]* text="one"' log
	grep -q 'output id=[^ ]* text="two"' log
	grep -q 'program id=[^ ]* exit=73 to="u@example.org"' log
	grep -q 'message id=[^ ]* .* reply=452 .* program="./prog" status=73 ' log
	[ "$(grep -o ' id=[^ ]*' log | sort -u | wc -l)" = 1 ]
}

@test "program: one that reads nothing, or closes all, delivers all the same" {
	prog <<-'P'
		exec <&- >&- 2>&-
		exit 0
	P
	wide 300000
	OPTS+=(./prog)
	mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	OPTS[-1]=true
	mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	OPTS[-1]=false
	mail_to u@example.org
	[ "$(verdicts)" = 451/4.3.0 ]
	spool_is_empty
}

@test "program: one that writes over its file harms no one" {
	prog <<-'P'
		head -c 100000 /dev/zero >/dev/stdin
		cat >/dev/null
		exit 0
	P
	OPTS+=(./prog)
	each_to a@example.org b@example.org
	[[ $(verdicts) == '250/2.0.0 250/2.0.0' ]]
	spool_is_empty
}

# ---- how long --------------------------------------------------------------

gone() {
	! kill -0 "$1" 2>/dev/null || [[ $(cat "/proc/$1/stat" 2>/dev/null) == *') Z '* ]]
}

@test "program: a grandchild that keeps its descriptors holds nothing up" {
	prog <<-'P'
		case $LOCAL in
		quiet)	sleep 30 & ;;
		loud)	yes & ;;
		far)	setsid sleep 30 & ;;
		esac
		echo $! >>seen/pids
		echo '4.2.2 busy'
		exit 75
	P
	OPTS+=(./prog)
	SECONDS=0
	each_to quiet@example.org loud@example.org far@example.org
	[ $SECONDS -lt 10 ]
	[[ $(verdicts) == '451/4.2.2 451/4.'*' 451/4.2.2' ]]
	# one that writes on has no reader any more
	while read -r pid; do
		kill "$pid" || true
	done <seen/pids
}

@test "program: the time limit ends it, however it resists, with its children" {
	local name
	local -a pids=()
	prog <<-'P'
		case $LOCAL in
		deaf)	trap '' TERM INT HUP QUIT
			sleep 41 & echo $! >>seen/pids
			sleep 42 & echo $! >>seen/pids
			wait; sleep 43 ;;
		stop)	kill -STOP $$ ;;
		closed)	exec <&- >&- 2>&-; sleep 44 ;;
		said)	echo '2.0.0 delivered'; sleep 45 ;;
		flood)	exec yes ;;
		spin)	while :; do :; done ;;
		esac
		exit 0
	P
	OPTS=(--program-timeout 1 "${OPTS[@]}" ./prog)
	SECONDS=0
	for name in deaf stop closed said flood spin; do
		letter_to "$name@example.org" |
		    "$SMTPD" "${OPTS[@]}" >"out.$name" 2>"log.$name" 3>&- &
		pids+=($!)
	done
	for name in "${pids[@]}"; do
		wait "$name" || true
	done
	[ $SECONDS -lt 6 ]
	for name in deaf stop closed said flood spin; do
		cp "out.$name" out
		[ "$(verdicts)" = 451/4.3.0 ] || { echo "$name"; return 1; }
		grep -q 'program id=[^ ]* seconds=1 ' "log.$name"
	done
	[ "$(wc -l <seen/pids)" = 2 ]
	while read -r name; do
		eventually gone "$name"
	done <seen/pids
	spool_is_empty
}

@test "program: one that is quick is not held against the next, who has the time again" {
	prog <<-'P'
		sleep 0.4
	P
	OPTS=(--program-timeout 1 "${OPTS[@]}" ./prog)
	each_to {a,b,c,d}@example.org
	[ "$(verdicts)" = '250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0' ]
}

# ---- when it does not run --------------------------------------------------

@test "program: nothing runs for a message that is broken off" {
	local rest n=0
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	while IFS= read -r rest; do
		printf 'EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\n%b' "$rest" >in
		send <in
		[ "$status" = 1 ] || { echo "$rest: $status"; return 1; }
		n=$((n + 1))
	done <<-'T'
		DATA\r\n
		DATA\r\nx
		DATA\r\nx\r\n
		DATA\r\nx\r\n.
		DATA\r\nx\r\n.\r
		DATA\r\nx\n.\n
		DATA\r\nx\r.\r
		DATA\r\nx\r\n.\n
		DATA\r\nx\r\n..\r\n
		BDAT 5\r\nabc\r\n
		BDAT 5 LAST\r\nabc\r
	T
	[ $n = 11 ]
	ran 0
	spool_is_empty
}

@test "program: nothing runs for a message that is too big, bare, looping or taken back" {
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS=(-s 10000 "${OPTS[@]}" ./prog)
	wide 12000
	mail_to u@example.org
	[ "$(verdicts)" = 552/5.3.4 ]
	printf 'EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\nDATA\r\nx\ny\r\n.\r\nQUIT\r\n' >in
	send <in
	[ "$(verdicts)" = 550/5.5.2 ]
	printf 'Delivered-To: U@example.org\n\nx\n' >msg
	mail_to u@example.org
	[ "$(verdicts)" = 554/5.4.6 ]
	for _ in {1..100}; do echo 'Received: x'; done >msg
	mail_to u@example.org
	[ "$(verdicts)" = 554/5.4.6 ]
	say 'EHLO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' 'BDAT 3' \
	    x RSET 'BDAT 0 LAST' QUIT
	say 'EHLO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@other.example>' DATA QUIT
	[[ $(full_codes) == *' 550/5.7.1 554/5.5.1 221/2.0.0' ]]
	ran 0
	spool_is_empty
}

@test "program: with no domain but our own name, no other is accepted" {
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS=(-n mx.example --spool spool ./prog)
	mail_to u@example.org
	[[ $(full_codes) == *' 550/5.7.1 554/5.5.1 '* ]]
	ran 0
	mail_to u@mx.example
	ran 1
}

# ---- faults ----------------------------------------------------------------

@test "program: a spool that is missing, or no directory, is 451, and the log says so" {
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	rmdir spool
	mail_to u@example.org
	[[ $(full_codes) == *' 250/2.1.5 451/4.3.0'* ]]
	[ "$status" = 75 ]
	grep -q 'fault .*path="spool"' log
	: >spool
	mail_to u@example.org
	[[ $(full_codes) == *' 250/2.1.5 451/4.3.0'* ]]
	ran 0
}

@test "program: a spool that may not be written is 451" {
	need_root
	need setpriv
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	chmod 755 . spool
	cp "$SMTPD" ./smtpd.copy
	chmod 755 smtpd.copy
	letter_to u@example.org >in
	status=0
	setpriv --reuid=65534 --regid=65534 --clear-groups \
	    ./smtpd.copy "${OPTS[@]}" <in >out 2>log 3>&- || status=$?
	[[ $(full_codes) == *' 250/2.1.5 451/4.3.0'* ]]
	[ "$status" = 75 ]
	ran 0
}

# spool_on OPTIONS: connect, with a tmpfs of these options as the spool; at the
# end the file left lists what is in it
spool_on() {
	need_root
	need unshare
	# shellcheck disable=SC2016 # for sh
	WRAP=(unshare -m sh -c 'mount -t tmpfs -o "$1" none spool || exit 9; shift
	    "$@"; rc=$?; ls -A spool >left; exit $rc' sh "$1")
	connect
}

@test "program: a spool that is full is 452 4.3.1, and a smaller message is handed on" {
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	wide 200000
	spool_on size=64k
	attempt u@example.org
	[ "$verdict" = 452/4.3.1 ]
	printf 'Subject: small\n\nshort\n' >msg
	attempt u@example.org
	[ "$verdict" = 250/2.0.0 ]
	ask 'MAIL FROM:<a@c.example> SIZE=1000000'
	[ "$reply" = 452/4.3.1 ]
	wide 200000
	attempt u@example.org
	[ "$verdict" = 452/4.3.1 ]
	hangup
	[ "$status" = 75 ]
	[ -e left ] && [ ! -s left ]
	ran 1
}

@test "program: a spool without a free inode is 452 4.3.1" {
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	spool_on size=1m,nr_inodes=1
	attempt u@example.org
	[ "$verdict" = 452/4.3.1 ]
	hangup
	[ "$status" = 75 ]
	[ -e left ] && [ ! -s left ]
	ran 0
}

@test "program: limits on files, descriptors and processes defer, and no run is half" {
	local n
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	wide 300000
	letter_to u@example.org >in
	status=0
	(ulimit -f 64; exec "$SMTPD" "${OPTS[@]}" <in >out 2>log) || status=$?
	[ "$(verdicts)" = 452/4.3.1 ]
	[ "$status" = 75 ]
	ran 0
	spool_is_empty
	printf 'Subject: s\n\nb\n' >msg
	letter_to u@example.org >in
	for n in 3 4 5 6 7 8; do
		rm -f seen/runs
		(ulimit -n $n; exec "$SMTPD" "${OPTS[@]}" <in >out 2>log) || true
		case $(verdicts) in
		250/*)	ran 1 ;;
		*)	ran 0
			run ! grep -q '^5' out ;;
		esac
	done
	spool_is_empty
}

@test "program: no process left to be had is 451" {
	need_root
	need setpriv prlimit
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	chmod 755 .
	chmod 777 seen spool
	cp "$SMTPD" ./smtpd.copy
	chmod 755 smtpd.copy
	letter_to u@example.org >in
	status=0
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
	    prlimit --nproc=1 setpriv --reuid=65533 --regid=65533 --clear-groups \
	    ./smtpd.copy "${OPTS[@]}" <in >out 2>log 3>&- || status=$?
	[[ $(verdicts) == 451/4.3.[05] ]]
	[ "$status" = 75 ]
	ran 0
}

@test "program: whichever single call fails, 250 means one run and 4xx none left behind" {
	need strace
	prog <<-'P'
		cat >seen/mail
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	printf 'Subject: sweep\n\n\303\251\n' >msg
	letter_to u@example.org >in
	local call n of error total=0
	traced -e trace=openat,write,lseek,pipe2,clone,clone3,vfork,ftruncate,close,fstat,newfstatat,read,pread64,sendfile,copy_file_range <in
	[ "$status" = 0 ]
	# behind the greeting only; before it the dynamic linker reads
	sed 's/(.*//' trace | sort | uniq -c >calls
	while read -r of call; do
		case $call in
		read|fstat|newfstatat|pread64) continue ;;
		esac
		[ "$call" = close ] && error=EIO || error=ENOSPC
		for ((n = 1; n <= of; n++)); do
			rm -f seen/*
			traced -e trace="$call" \
			    -e inject="$call":error="$error":when=$n <in
			total=$((total + 1))
			spool_is_empty || { echo "litter at $call $n"; return 1; }
			case $(verdicts) in
			250/*)	ran 1
				tail -n 3 seen/mail | cmp - msg ;;
			5*)	echo "refused at $call $n"; return 1 ;;
			4*)	# none, or one that the client will hear of again
				[ ! -e seen/mail ] ||
				    tail -n 3 seen/mail | cmp - msg ;;
			esac
		done
	done <calls
	[ $total -ge 8 ]
}

@test "program: killed at any call, smtpd leaves no message in the spool, and runs it whole" {
	need strace
	prog <<-'P'
		cat >seen/mail
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	printf 'Subject: sweep\n\n\303\251\n' >msg
	letter_to u@example.org >in
	local call n of total=0
	traced -e trace=openat,write,unlink,unlinkat,lseek,pipe2,clone,clone3,vfork,wait4,close <in
	sed 's/(.*//' trace | sort | uniq -c >calls
	while read -r of call; do
		for ((n = 1; n <= of; n++)); do
			rm -f seen/*
			traced -e trace="$call" -e inject="$call":signal=KILL:when=$n <in
			# how often it waits is not the same each time
			[ "$status" = 0 ] || total=$((total + 1))
			# before the file has lost its name nothing is in it
			[ -z "$(find spool -type f -size +0)" ] ||
			    { echo "left at $call $n"; return 1; }
			rm -f spool/*
			if grep -q '^250 2\.0\.0 .*M.*P.*Q' out; then
				ran 1
			fi
			[ ! -e seen/runs ] || tail -n 3 seen/mail | cmp - msg
		done
	done <calls
	[ $total -ge 10 ]
}

@test "program: killed in the middle of DATA, smtpd leaves nothing and runs nothing" {
	prog <<-'P'
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	ask DATA
	[ "$reply" = 354 ]
	wide 200000
	sed 's/$/\r/' msg >&"$to"
	kill -9 "$server"
	wait "$server" || true
	spool_is_empty
	ran 0
}

@test "program: SIGTERM while it runs does not come before its reply" {
	prog <<-'P'
		kill -TERM $PPID
		sleep 0.2
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	letter_to u@example.org | sed '$d' >in
	send <in
	ran 1
	[[ $(full_codes) == *' 354 250/2.0.0 421/4.3.2' ]]
	[ "$status" = 1 ]
}

@test "program: other signals while it runs change nothing" {
	prog <<-'P'
		for s in CHLD CONT WINCH PIPE URG; do kill -"$s" $PPID; done
		sleep 0.1
		echo x >>seen/runs
		echo '2.1.5 filed'
	P
	OPTS+=(./prog)
	mail_to u@example.org
	ran 1
	[ "$(verdicts)" = 250/2.1.5 ]
	[ "$status" = 0 ]
}

@test "program: a client that goes between the dot and the reply has its run" {
	prog <<-'P'
		cat >/dev/null
		echo ready >started
		read -r _ <go
		echo x >>seen/runs
	P
	OPTS+=(./prog)
	mkfifo started go
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	ask DATA
	printf 'Subject: s\r\n\r\nb\r\n.\r\n' >&"$to"
	read -r _ <started
	exec {to}>&- {from}<&-
	echo >go
	wait "$server" || true
	ran 1
	spool_is_empty
}

# ---- --sync ----------------------------------------------------------------

@test "program: --sync syncs once a message, after the program and before 250" {
	need strace
	prog <<-'P'
		[ "$LOCAL" = bad ] && exit 67
		echo x >>seen/runs
	P
	OPTS=(--sync spool "${OPTS[@]}" ./prog)
	letter_to u@example.org v@example.org >in
	traced -e trace=syncfs,clone,clone3,vfork,write <in
	[ "$(verdicts)" = 250/2.0.0 ]
	ran 2
	[ "$(grep -c syncfs trace)" = 1 ]
	run ! grep -q 'syncfs.*= -1' trace
	[ "$(sed '/syncfs/,$d' trace | grep -c -e clone -e vfork)" = 2 ]
	sed '1,/syncfs/d' trace | grep -q 'write(1, .*250 2\.0\.0'
	# nothing was delivered: nothing is synced
	letter_to bad@example.org >in
	traced -e trace=syncfs <in
	[ "$(verdicts)" = 550/5.1.1 ]
	run ! grep syncfs trace
}

@test "program: a sync that fails is no 250" {
	need strace
	prog <<-'P'
		echo '2.1.5 filed'
	P
	OPTS=(--sync spool "${OPTS[@]}" ./prog)
	letter_to u@example.org >in
	while read -r error code; do
		traced -e trace=syncfs -e inject=syncfs:error="$error" <in
		[ "$(verdicts)" = "$code" ]
		[ "$status" = 75 ]
	done <<-'T'
		EIO	451/4.3.0
		ENOSPC	452/4.3.1
		EDQUOT	452/4.2.2
	T
}
