# start.bats - what smtpd makes of how it was started: descriptors, a launcher's
# line, the host's name, options of others, and --test, which tells beforehand
# inetd.conf(5), systemd.socket(5), sendmail(8)

# shellcheck disable=SC2015,SC2016,SC2030,SC2031,SC2153,SC2154 # OPTS is each test's
load live

SESSION='EHLO c.example\r\nFOO\r\nMAIL FROM:<a@c.example>\r\n'
SESSION+='RCPT TO:<u@elsewhere.example>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n'
SESSION+='Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n'

# ---- descriptors ----

# only_replies CODES: every line in `out` is a reply's, and these are the codes
only_replies() {
	[ "$(codes)" = "$1" ] || { echo "$(codes), not $1"; return 1; }
	if grep -Evan $'^[2-5][0-9][0-9][ -][ -~]*\r$' out; then
		echo 'is no reply'
		return 1
	fi
}

@test "fd 2: while it is fd 1's pipe, file or fifo, replies alone are on it, by hand and under a launcher" {
	local way
	mkfifo fifo
	for way in by_hand launched; do
		[ $way = by_hand ] || launched
		printf '%b' "$SESSION" >in
		"$SMTPD" "${OPTS[@]}" <in 2>&1 3>&- | cat >out
		only_replies '220 250 500 250 550 250 354 250 221'
		"$SMTPD" "${OPTS[@]}" -v --log stderr <in 2>&1 3>&- | cat >out
		only_replies '220 250 500 250 550 250 354 250 221'
		"$SMTPD" "${OPTS[@]}" -v <in >out 2>&1 3>&-
		only_replies '220 250 500 250 550 250 354 250 221'
		cat fifo >out &
		"$SMTPD" "${OPTS[@]}" -v <in >fifo 2>fifo 3>&-
		wait $!
		only_replies '220 250 500 250 550 250 354 250 221'
		[ "$(count box/new)" = 4 ]
		rm box/new/*
	done
}

@test "fd 2: while it is fd 1's pipe, no fault is told on it" {
	printf '%b' "$SESSION" >in
	rmdir box/tmp
	"$SMTPD" "${OPTS[@]}" <in 2>&1 3>&- | cat >out
	[ "$(head -n 1 out)" = $'220 mx.example ESMTP ready\r' ]
	run ! grep -Evan $'^[2-5][0-9][0-9][ -][ -~]*\r$' out
}

@test "fd 2: while it is another pipe than fd 1's, the log is on it" {
	printf '%b' "$SESSION" >in
	{ "$SMTPD" "${OPTS[@]}" <in 2>&1 >&4 3>&- | cat >log; } 4>&1 | cat >out
	only_replies '220 250 500 250 550 250 354 250 221'
	[ "$(grep -c ' refused ' log)" = 2 ]
	grep -q ' session ' log
}

@test "fd 2: a wrong option is said by hand, though it is fd 1's pipe" {
	run -64 bash -c '"$1" --no-such-option 2>&1 </dev/null | cat; exit "${PIPESTATUS[0]}"' - "$SMTPD"
	[[ $output = *--no-such-option* ]]
}

@test "fd 2: with /dev/null for all three smtpd ends at once, and well" {
	"$SMTPD" "${OPTS[@]}" </dev/null >/dev/null 2>/dev/null
}

# on_a_terminal COMMAND...: with a pseudoterminal as descriptors 0 to 2, on
# which QUIT is typed; the file `screen` has what is on it
on_a_terminal() {
	live "$@" <<-'P'
		import os, pty, select, subprocess, sys, tty
		import live
		ours, theirs = pty.openpty()
		tty.setraw(theirs)
		child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs,
		    stderr=theirs)
		os.close(theirs)
		os.write(ours, b'FOO\r\nQUIT\r\n')
		screen = b''
		while select.select([ours], [], [], live.LIMIT)[0]:
		    try:
		        screen += os.read(ours, 65536)
		    except OSError:
		        break
		child.wait(live.LIMIT)
		open('screen', 'wb').write(screen)
	P
}

@test "fd 2: a line that a launcher hands over is the connection, though it is a terminal" {
	launched
	on_a_terminal "$SMTPD" "${OPTS[@]}" -v
	mv screen out
	only_replies '220 500 221'
}

@test "fd 2: the terminal of a person has the log with -v, for all that" {
	on_a_terminal "$SMTPD" "${OPTS[@]}" -v
	grep -q ' session ' screen
}

# its_fstats: which calls of fstat(2), counted with those of the loader, are
# of the descriptors 0 to 2
its_fstats() {
	traced -e trace=fstat,newfstatat <in
	awk '{ n++ } /^(new)?fstat(at)?\([012],/ { print n }' trace
}

@test "descriptors: an fstat(2) that fails is no closed descriptor: the greeting comes, and nothing is opened" {
	local error n opened
	may_trace
	printf '%b' "$SESSION" >in
	its_fstats >calls
	[ "$(wc -l <calls)" -ge 3 ]
	traced -e trace=open,openat <in
	opened=$(grep -c /dev/null trace || :)
	for error in EIO EOVERFLOW ESTALE; do
		while read -r n; do
			traced -e trace=open,openat,fstat,newfstatat -e \
			    "inject=fstat,newfstatat:error=$error:when=$n" <in
			grep -qE "\([012],.* -1 $error .*INJECTED" trace
			[ "$(head -n 1 out)" = $'220 mx.example ESMTP ready\r' ] &&
			    grep -aq '^221 ' out || {
				echo "$error at $n"
				cat out log
				false
			}
			[ "$(grep -c /dev/null trace || :)" -le "$((opened + 1))" ]
		done <calls
	done
}

# ---- a launcher's line ----

# sent_away STATUS COMMAND...: the client is told 421, without an enhanced code,
# and nothing else
sent_away() {
	local want=$1
	shift
	status=0
	"$@" <in >out 2>log 3>&- || status=$?
	[ "$status" = "$want" ] || { echo "status $status"; cat out log; return 1; }
	[ "$(full_codes)" = 421 ] && [ "$(wc -l <out)" = 1 ] || {
		cat out
		return 1
	}
	[ -s log ]
}

@test "launcher: where its line lacks the program's name, the client is told 421, and the status is 64" {
	printf '%b' "$SESSION" >in
	launched
	sent_away 64 bash -c 'exec -a -d "$@"' - "$SMTPD" example.org -m box
	sent_away 64 bash -c 'exec -a -m "$@"' - "$SMTPD" box
	sent_away 64 bash -c 'exec -a --maildir "$@"' - "$SMTPD" box
	# the option is named
	grep -qF -e --maildir log
	nothing_kept
}

@test "launcher: a login shell's hyphen or a path before the name are no harm" {
	printf '%b' "$SESSION" >in
	launched
	bash -c 'exec -a /usr/local/sbin/smtpd "$@"' - "$SMTPD" "${OPTS[@]}" \
	    <in >out 2>log
	[ "$(codes)" = '220 250 500 250 550 250 354 250 221' ]
	bash -c 'exec -a mail "$@"' - "$SMTPD" "${OPTS[@]}" <in >out 2>log
	[ "$(codes)" = '220 250 500 250 550 250 354 250 221' ]
}

@test "launcher: a program that is not there, or may not be run, is 421 at start" {
	local program
	printf '%b' "$SESSION" >in
	: >no-program
	launched
	for program in "$PWD/missing" ./no-program no-such-program-anywhere \
	    ./missing/program; do
		sent_away 78 "$SMTPD" -n mx.example -d example.org -- "$program" x
		grep -qF -e "$program" log
	done
	# by hand there is a session, to try it
	unset PROTO TCPREMOTEIP TCPREMOTEPORT TCPLOCALIP TCPLOCALPORT
	OPTS=(-n mx.example -d example.org -- ./missing)
	send <in
	[[ "$(codes)" = '220 250 500 250 550 250 354 45'?' 221' ]]
}

@test "launcher: a socket that listens is told about on standard error, and no client of it is touched" {
	local family
	for family in tcp unix; do
		rm -f log
		live $family "$SMTPD" "${OPTS[@]}" <<-'P'
			import select
			import socket
			import subprocess
			import sys
			import live
			if sys.argv[1] == 'tcp':
			    s = socket.create_server(('127.0.0.1', 0))
			else:
			    s = socket.socket(socket.AF_UNIX)
			    s.bind('listening')
			    s.listen(5)
			client = socket.socket(s.family)
			client.connect(s.getsockname())
			with open('log', 'w') as log:
			    child = subprocess.Popen(sys.argv[2:], stdin=s, stdout=s,
			        stderr=log)
			status = child.wait(3)
			if status != 64:
			    live.fail('status', status)
			# it still waits to be accepted
			if not select.select([s], [], [], 0)[0]:
			    live.fail('someone has taken the client')
			conn, _ = s.accept()
			if select.select([client], [], [], 0.1)[0]:
			    live.fail('the client was told', client.recv(100))
		P
		grep -q Accept=yes log
		grep -q nowait log
	done
}

# ---- the host's name ----

# on_host NAME COMMAND...: in a world where the host has this name
on_host() {
	unshare --uts bash -c 'printf %s "$1" >/proc/sys/kernel/hostname
	    shift; exec "$@"' - "$@"
}

@test "host name: without a dot, and without --domain, a launcher's client is told 421, and the status is 78" {
	local name
	need_root
	need unshare
	printf '%b' "$SESSION" >in
	launched
	for name in vm localhost '(none)' 'a b' mail.; do
		sent_away 78 on_host "$name" "$SMTPD" -m box
		grep -q -e --domain log
	done
	nothing_kept
}

@test "host name: without a dot it does with --domain, with --relay, with --hostname, and by hand" {
	need_root
	need unshare
	printf '%b' "$SESSION" >in
	launched
	on_host vm "$SMTPD" -m box -d example.org <in >out 2>log
	[ "$(codes)" = '220 250 500 250 550 250 354 250 221' ]
	[ "$(head -n 1 out)" = $'220 vm ESMTP ready\r' ]
	on_host vm "$SMTPD" -m box -n example.org <in >out 2>log
	[ "$(codes)" = '220 250 500 250 550 250 354 250 221' ]
	on_host vm "$SMTPD" -m box --relay <in >out 2>log
	[ "$(codes)" = '220 250 500 250 250 250 354 250 221' ]
	unset PROTO TCPREMOTEIP TCPREMOTEPORT TCPLOCALIP TCPLOCALPORT
	on_host vm "$SMTPD" -m box <in >out 2>log
	[ "$(codes)" = '220 250 500 250 250 250 354 250 221' ]
}

@test "host name: of one with a dot behind it the rest is ours, and our domain" {
	need_root
	need unshare
	printf '%b' "$SESSION" >in
	launched
	on_host example.org. "$SMTPD" -m box <in >out 2>log
	[ "$(head -n 1 out)" = $'220 example.org ESMTP ready\r' ]
	[ "$(codes)" = '220 250 500 250 550 250 354 250 221' ]
	[[ $(header Received) = *' by example.org with '* ]]
}

@test "host name: what is no name is not said to a client" {
	need_root
	need unshare
	echo QUIT >in
	on_host '(none)' "$SMTPD" -m box -d example.org <in >out 2>log
	[ "$(head -n 1 out)" = $'220 localhost ESMTP ready\r' ]
}

# ---- options of others, and the environment ----

@test "sendmail: its options beside -bs are ignored" {
	local o
	for o in -odb -oem -om -ov -oi -oA/etc/aliases -oQ/tmp '-o i'; do
		rm -f box/new/*
		printf '%b' "$SESSION" >in
		# shellcheck disable=SC2086 # "-o i" is two words
		"$SMTPD" -bs $o "${OPTS[@]}" <in >out 2>log
		[ "$(codes)" = '220 250 500 250 550 250 354 250 221' ]
		# shellcheck disable=SC2086
		"$SMTPD" $o -bs "${OPTS[@]}" <in >out 2>log
		[ "$(codes)" = '220 250 500 250 550 250 354 250 221' ]
		[ "$(count box/new)" = 2 ]
	done
	# as nmh says it
	"$SMTPD" -bs -odi -oem -om -ov "${OPTS[@]}" <in >out 2>log
	[ "$(codes)" = '220 250 500 250 550 250 354 250 221' ]
}

@test "sendmail: another mode than -bs is refused" {
	run -64 "$SMTPD" -bd "${OPTS[@]}" </dev/null
	run -64 "$SMTPD" -bm "${OPTS[@]}" </dev/null
}

@test "environment: with PATH unset --test finds what a session runs, and no more" {
	printf '%b' "$SESSION" >in
	OPTS=(-n mx.example -d example.org -- sh -c 'cat >got')
	env -u PATH "$SMTPD" --test "${OPTS[@]}" >out 2>log
	[ "$(tail -n 1 out)" = ok ]
	env -u PATH "$SMTPD" "${OPTS[@]}" <in >out 2>log
	[ "$(codes)" = '220 250 500 250 550 250 354 250 221' ]
	[ -s got ]
	# one that is in the current directory only is found by neither
	printf '#!/bin/sh\n' >here-only
	chmod 755 here-only
	OPTS=(-n mx.example -d example.org -- here-only)
	status=0
	env -u PATH "$SMTPD" --test "${OPTS[@]}" >out 2>log || status=$?
	[ "$status" = 78 ]
	env -u PATH "$SMTPD" "${OPTS[@]}" <in >out 2>log || :
	[[ "$(codes)" = *' 354 45'?' 221' ]]
}

# ---- --test ----

# holds OPTION...: --test says that all is well
holds() {
	status=0
	"$SMTPD" --test "$@" >out 2>log </dev/null || status=$?
	[ "$status" = 0 ] && [ "$(tail -n 1 out)" = ok ] &&
	    ! grep -q '^problem:' out && [ ! -s log ] || {
		echo "$*: status $status"
		cat out log
		return 1
	}
}

# lacks N OPTION...: --test tells N problems, in lines, counts them in the last
# one, and exits with 78
lacks() {
	local n=$1
	shift
	status=0
	"$SMTPD" --test "$@" >out 2>log </dev/null || status=$?
	[ "$status" = 78 ] && [ "$(grep -c '^problem: ' out)" = "$n" ] &&
	    [[ "$(tail -n 1 out)" = "$n problem"?(s) ]] || {
		echo "$*: status $status, wanted $n problems"
		cat out log
		return 1
	}
}

@test "--test: the last line is ok, or how many problems there are" {
	holds "${OPTS[@]}"
	lacks 1 -d example.org -m nowhere/box
	grep -q '^problem: .*nowhere/box' out
	lacks 3 "${OPTS[@]}" -u no-users -d @no-domains \
	    --auth ./no-program
}

@test "--test: a user list or domain list that is missing, empty, or ends without a newline is a problem" {
	local o list
	echo alice >good
	: >empty
	printf 'alice\nbob' >unfinished
	for o in -u -d@; do
		for list in empty unfinished missing .; do
			if [ $o = -u ]; then
				lacks 1 "${OPTS[@]}" -u "$list"
			else
				lacks 1 "${OPTS[@]}" -d "@$list"
			fi
			grep -qF "$list" <(grep '^problem: ' out)
		done
	done
	holds "${OPTS[@]}" -u good
	holds "${OPTS[@]}" -d @good
}

@test "--test: a policy server that is not there, or does not answer, is a problem" {
	lacks 1 "${OPTS[@]}" --policy "$PWD/no-socket"
	lacks 1 "${OPTS[@]}" --policy 127.0.0.1:1
	lacks 1 "${OPTS[@]}" --policy './no-program x'
	lacks 1 "${OPTS[@]}" --policy no-such-program-anywhere
	# one that has left its socket behind, and one that listens
	live "$SMTPD" --test "${OPTS[@]}" <<-'P'
		import socket
		import subprocess
		import sys
		import live
		s = socket.socket(socket.AF_UNIX)
		s.bind('socket')
		def test(where):
		    p = subprocess.run([*sys.argv[1:], '--policy', where],
		        stdout=subprocess.PIPE)
		    print(p.stdout.decode())
		    return p.returncode, p.stdout.splitlines()[-1]
		if test('./socket') != (78, b'1 problem'):
		    live.fail('nobody listens, and no word of it')
		s.listen(1)
		if test('./socket') != (0, b'ok'):
		    live.fail('it listens')
		s = socket.create_server(('127.0.0.1', 0))
		if test('127.0.0.1:%d' % s.getsockname()[1]) != (0, b'ok'):
		    live.fail('it listens, by TCP')
	P
	printf '#!/bin/sh\n' >program
	chmod 755 program
	holds "${OPTS[@]}" --policy ./program
}

@test "--test: a word in braces that is nearly a placeholder is a problem" {
	local word
	mkdir -p home/postmaster/{tmp,new,cur} prog
	for word in usr users User domian extenson; do
		run -78 "$SMTPD" --test -n mx.example -d example.org \
		    -m "home/{$word}" </dev/null
		grep -qF "{$word}" <(grep '^problem: ' <<<"$output")
	done
	for word in recipent sendr recipientss usr; do
		lacks 1 -n mx.example -d example.org -- cat "--to={$word}"
		grep -qF "{$word}" <(grep '^problem: ' out)
	done
	holds -n mx.example -d example.org -m 'home/{user}'
	holds -n mx.example -d example.org -- cat '{recipient}' '{sender}' \
	    '{user}' '{domain}' '{extension}'
	# other braces are nobody's affair
	holds -n mx.example -d example.org -- cat '{}' '{0}' '{something-else}' \
	    '{' '}{'
}

@test "--test: without --domain it says which domain would hold under a launcher" {
	need_root
	need unshare
	on_host mail.example.net "$SMTPD" --test -m box >out 2>log </dev/null
	grep -q '^domain .*mail\.example\.net' out
	on_host vm "$SMTPD" --test -m box >out 2>log </dev/null
	grep -q '^domain .*none' out
	run ! grep -q '^domain .*vm' out
	# and what holds there
	launched
	on_host mail.example.net "$SMTPD" --test -m box >out 2>log </dev/null
	grep -q '^domain mail\.example\.net (' out
}

@test "--test: under a launcher's variables nowhere to deliver is a problem, and by hand none" {
	holds -n mx.example -d example.org
	launched
	lacks 1 -n mx.example -d example.org
	holds "${OPTS[@]}"
	unset PROTO TCPREMOTEIP TCPREMOTEPORT TCPLOCALIP TCPLOCALPORT
	export REMOTE_ADDR=192.0.2.7
	lacks 1 -n mx.example -d example.org
}

@test "--test: a wrong value is named, with its file and line, and with its range" {
	local line
	while read -r line; do
		printf '# a comment\n%s\n' "$line" >conf
		status=0
		"$SMTPD" --test -m box -f conf >out 2>log </dev/null || status=$?
		[ "$status" = 78 ]
		grep -qF "conf:2" log
		grep -qF "'${line#* }'" log || { cat log; false; }
	done <<-'T'
		size x
		timeout 0
		recipients many
		errors -1
		domain a b
		bare-newline maybe
		delimiter xy
		xclient 192.0.2.0/33
		auth-clear nowhere
		require everything
	T
	for line in 'timeout 0' 'timeout 86401' 'program-timeout 0'; do
		echo "$line" >conf
		"$SMTPD" --test -m box -f conf >out 2>log </dev/null || :
		grep -qw 86400 log
		grep -qw 1 <(sed 's/conf:1//' log)
	done
	status=0
	"$SMTPD" --test -m box --timeout 86401 >out 2>log </dev/null || status=$?
	[ "$status" = 64 ]
	grep -qw 86400 log
	grep -qw 86401 log
}

@test "--test: nothing that it does is left behind, and no session is begun" {
	mkdir -p spool
	touch out log before after
	find . -mindepth 1 | sort >before
	holds "${OPTS[@]}"
	holds -n mx.example -d example.org -S spool -- cat
	find . -mindepth 1 | sort >after
	cmp before after
}

# ---- --help and words ----

@test "--help: the words that explain stand in one column" {
	"$SMTPD" --help >out
	grep '^  [ -]' out | grep -- ' -' >rows
	[ "$(wc -l <rows)" -gt 25 ]
	# where the first one has them, and a blank is before it
	column=$(sed -n '1s/accept .*//p' rows | wc -c)
	cut -c "$((column - 1))-$column" rows >there
	run ! grep -qv '^ [^ ]' there
}

@test "options: -maildir is told as what it is" {
	run -64 "$SMTPD" -maildir box </dev/null
	grep -qE '(^|[^-])-maildir' <<<"$output"
	grep -qF -e --maildir <<<"$output"
	launched
	echo QUIT >in
	sent_away 64 "$SMTPD" -n mx.example -d example.org -maildir box
	grep -qF -e --maildir log
}
