#!/usr/bin/env bats
# The log: one line each, key=value, nothing of the client's unescaped (smtpd(8), DIAGNOSTICS)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2154 # helper.bash sets them

load helper

# lines [FILE]: how many there are
lines() {
	wc -l <"${1:-log}"
}

# clean: the log is nothing but printable ASCII in whole lines
clean() {
	run env LC_ALL=C grep -anvE '^[ -~]+$' log
	[ "$status" = 1 ] || { echo "$output"; return 1; }
	[ "$(tail -c 1 log)" = '' ]
}

# outside: the log without what stands in quotes
outside() {
	sed 's/"[^"]*"/""/g' log
}

# letter_from SENDER HELO MESSAGE-ID: a session with one mail, as printf's %b
letter_from() {
	printf 'EHLO %b\r\nMAIL FROM:<%b>\r\n' "$2" "$1"
	printf 'RCPT TO:<u@example.org>\r\nDATA\r\nMessage-ID: %b\r\n' "$3"
	printf 'Subject: s\r\n\r\nthe body\r\n.\r\nQUIT\r\n'
}

@test "log: with a file on fd 2 the log is there" {
	mail_to u@example.org
	[ -s log ]
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
}

@test "log: every line is an event and key=value words" {
	launched
	rmdir box/cur
	mail_to u@example.org v@elsewhere.example
	clean
	run grep -vE '^([^ =]+: )?[a-z]+( [a-z_-]+=("[^"]*"|[^" ]*))+$' log
	[ "$status" = 1 ]
}

@test "log: a message is one line, with its ID, sender, recipient and the mail's own Message-ID" {
	letter_from a@c.example c.example '<own.123@c.example>' >in
	send <in
	local id
	id=$(basename "$(only_message)")
	id=${id%%.mx.example*}
	grep -F "$id" log >line
	[ "$(lines line)" = 1 ]
	grep -F own.123@c.example line
	grep -F a@c.example line
	grep -F u@example.org line
}

@test "log: another message is another line, and no more" {
	local one='MAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n\r\nb\r\n.\r\n'
	printf '%b' 'EHLO c\r\n' "$one" 'QUIT\r\n' >in
	send <in
	local n
	n=$(lines)
	printf '%b' 'EHLO c\r\n' "$one" "$one" "$one" 'QUIT\r\n' >in
	send <in
	[ "$(lines)" = $((n + 2)) ]
}

@test "log: a refusal is one line, with the address and the reply's code" {
	say 'EHLO c' 'MAIL FROM:<a@c.example>' QUIT
	local n
	n=$(lines)
	say 'EHLO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<who@elsewhere.example>' QUIT
	[ "$(lines)" = $((n + 1)) ]
	grep -F who@elsewhere.example log >line
	[ "$(lines line)" = 1 ]
	grep -F 550 line
	say 'EHLO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<who@elsewhere.example>' \
	    'RCPT TO:<x@elsewhere.example>' 'RCPT TO:<y@elsewhere.example>' QUIT
	[ "$(lines)" = $((n + 3)) ]
}

@test "log: a refused message is one line, as one that came" {
	mail_to u@example.org
	local n
	n=$(lines)
	OPTS+=(-s 10)
	mail_to u@example.org
	[[ $(full_codes) == *' 354 552/5.3.4 '* ]]
	[ "$(lines)" = "$n" ]
	grep -F 552 log
}

@test "log: a session is one line, however it ends" {
	local n
	say QUIT
	n=$(lines)
	[ "$n" -ge 1 ]
	send </dev/null
	[ "$(lines)" = "$n" ]
	say 'EHLO c' NOOP RSET NOOP HELP 'VRFY u@example.org' QUIT
	[ "$(lines)" = "$n" ]
	say 'EHLO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA x
	[ "$(lines)" -le $((n + 1)) ]
}

@test "log: every line of a session names the client" {
	launched
	say 'EHLO c' NONSENSE 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@elsewhere.example>' 'RCPT TO:<u@example.org>' DATA '' b \
	    . QUIT
	grep -vF 192.0.2.7 log >others || true
	# a word about the whole process is no line of the session
	run grep -E 'example|refus|550|250' others
	[ "$status" = 1 ]
	[ "$(grep -cF 192.0.2.7 log)" -ge 4 ]
}

@test "log: no byte of the client's is there unescaped" {
	local benign hostile
	letter_from a@c.example c.example '<own@c.example>' >in
	send <in
	benign=$(lines)
	letter_from '"a\\" id=evil client=evil"@c.example' \
	    'c"\\\0377\0303\0251" evil=evil' \
	    '<\01\033[2J\0377\0200\011"\\ evil=evil\0177@c>' >in
	send <in
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	hostile=$(lines)
	[ "$hostile" = "$benign" ]
	clean
	run grep evil <(outside)
	[ "$status" = 1 ]
}

@test "log: what was refused is escaped as well" {
	{
		printf 'HELO c\r\n'
		printf 'X\0\1\2\33[2J\177\377"\\ evil=evil\r\n'
		printf 'two\nlines evil=evil\r\n'
		printf 'two\rlines evil=evil\r\n'
		printf 'MAIL FROM:<\33]0;t\7@c> evil="evil\r\n'
		printf 'MAIL FROM:<a@c> "=\\" evil=evil"\r\n'
		printf 'RCPT TO:<\377\376@\n> evil=evil\r\n'
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$status" = 0 ]
	clean
	run grep -E '(^| )evil' <(outside)
	[ "$status" = 1 ]
}

@test "log: a backslash of the client's is not taken for an escape of ours" {
	say 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<"\x41"@elsewhere.example>' QUIT
	[ "$(codes)" = '220 250 250 550 221' ]
	grep -F x41 log
	run grep -F '\x41' log
	[ "$status" = 1 ]
}

@test "log: a Message-ID of many lines is one line" {
	printf 'EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n' >in
	printf 'Message-ID:\r\n <one@\r\n\tc.example>\r\n evil=evil\r\n\r\nb\r\n.\r\nQUIT\r\n' >>in
	send <in
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	clean
	grep -F '<one@' log
	run grep evil <(outside)
	[ "$status" = 1 ]
}

@test "log: what looks like a format is text" {
	letter_from '%n%s%n%s@c.example' 'c' '<%n%n%s%x%1000000d@c.example>' >in
	send <in
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	grep -F '%n%s%n%s@c.example' log
	grep -F '%n%n%s%x%1000000d@c.example' log
	# a name of the launcher's that is no name
	launched
	TCPREMOTEHOST='%n%s%s' say QUIT
	[ "$status" = 0 ]
	clean
}

@test "log: what the launcher says is escaped as well" {
	launched
	TCPREMOTEHOST=$'host\nevil evil=evil' TCPREMOTEIP=$'1.2.3.4\nevil' \
	    TCPREMOTEPORT=$'25\nevil' say QUIT
	[ "$(codes)" = '220 221' ]
	clean
	run grep -E '^evil|(^| )evil=' <(outside)
	[ "$status" = 1 ]
}

@test "log: a message of the longest addresses still has its ID in a line of its own" {
	local long id f
	long=$(printf '%0800d' 0 | tr 0 a)
	letter_from "$long@c.example" "$(printf '%0255d' 0 | tr 0 h)" \
	    "<$(printf '%09000d' 0 | tr 0 i)@c>" |
	    sed "s/u@example/$long@example/" >in
	send <in
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	f=$(basename "$(only_message)")
	id=${f%%.mx.example*}
	[ "$(grep -cF "$id" log)" = 1 ]
	clean
	run awk 'length($0) > 4096 { exit 9 }' log
	[ "$status" = 0 ]
}

@test "log: a client that says much pushes nothing out of the line of its message" {
	local helo sender
	helo=$(printf '%0250d' 0 | sed 's/0/\\0377/g')
	sender=$(printf '%0400d' 0 | sed 's/0/\\\\"/g')
	letter_from "\"$sender\"@c.example" "$helo" \
	    '<own.123@c.example>' >in
	send <in
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	clean
	run grep -vE '^([^ =]+: )?[a-z]+( [a-z_-]+=("[^"]*"|[^" ]*))+$' log
	[ "$status" = 1 ]
	local f
	f=$(basename "$(only_message)")
	grep -F "${f%%.mx.example*}" log >line
	grep -F u@example.org line
	grep -F own.123@c.example line
	grep -wF 250 line
}

@test "log: a message for many recipients is still one line, with its ID" {
	local -a all=()
	local i f n
	mail_to u@example.org
	n=$(lines)
	rm box/new/*
	for i in {1..500}; do
		all+=("user$i@example.org")
	done
	mail_to "${all[@]}"
	f=$(basename "$(only_message)")
	[ "$(grep -cF "${f%%.mx.example*}" log)" = 1 ]
	[ "$(lines)" = "$n" ]
}

@test "log: --log off is silence, whatever happens" {
	OPTS+=(--log off)
	rmdir box/new
	mail_to u@example.org x@elsewhere.example
	[ ! -s log ]
	OPTS+=(-v)
	mail_to u@example.org
	[ ! -s log ]
}

@test "log: without -v the dialogue is not there, with it both sides are" {
	say 'EHLO c.example' 'NOOP marker-of-mine' QUIT
	run grep -F marker-of-mine log
	[ "$status" = 1 ]
	OPTS+=(-v)
	say 'EHLO c.example' 'NOOP marker-of-mine' QUIT
	grep -F marker-of-mine log
	grep -F PIPELINING log
	grep -F '221' log
	clean
}

@test "log: the dialogue escapes what the client said" {
	OPTS+=(-v)
	printf 'EHLO c\r\nNOOP \33[2J\377 "evil" evil=evil\r\nX\0Y\nZ\r\nQUIT\r\n' >in
	send <in
	clean
	run grep -E '(^| )evil' <(outside)
	[ "$status" = 1 ]
}

@test "log: the dialogue does not hold the mail" {
	OPTS+=(-v)
	letter_from a@c.example c '<i@c.example>' >in
	send <in
	run grep -E 'the body|the.x20body|Subject' log
	[ "$status" = 1 ]
}

@test "log: lines have a priority where JOURNAL_STREAM is fd 2" {
	: >log
	JOURNAL_STREAM=$(stat -c %d:%i log)
	export JOURNAL_STREAM
	mail_to u@example.org x@elsewhere.example
	[ -s log ]
	run grep -vE '^<[0-7]>' log
	[ "$status" = 1 ]
	clean
}

@test "log: a fault has a higher priority than mail that came" {
	: >log
	JOURNAL_STREAM=$(stat -c %d:%i log)
	export JOURNAL_STREAM
	mail_to u@example.org
	local id
	id=$(basename "$(only_message)")
	grep "${id%%.mx.example*}" log | grep -E '^<[56]>'
	rmdir box/tmp
	: >log
	mail_to u@example.org
	grep -E '^<[0-4]>' log
}

@test "log: lines have no priority where JOURNAL_STREAM is another stream" {
	local v
	: >log
	for v in '' 0:0 "$(stat -c %d:%i in 2>/dev/null || echo 1:2)" \
	    "$(stat -c %d log):" "$(stat -c %d:%i log)x" "x$(stat -c %d:%i log)" \
	    "$(stat -c %d:%i box)"; do
		JOURNAL_STREAM=$v mail_to u@example.org
		[ -s log ]
		run grep -E '^<[0-7]>' log
		[ "$status" = 1 ]
	done
	unset JOURNAL_STREAM
	mail_to u@example.org
	run grep -E '^<[0-7]>' log
	[ "$status" = 1 ]
}

@test "log: a log that cannot be written stops no mail" {
	letter_to u@example.org >in
	"$SMTPD" "${OPTS[@]}" <in >out 2>/dev/full
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	only_message
}

@test "log: a log that no one reads any more stops no mail" {
	letter_to u@example.org >in
	mkfifo pipe
	: <pipe &
	exec 9>pipe
	wait
	"$SMTPD" "${OPTS[@]}" <in >out 2>&9 3>&-
	exec 9>&-
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	only_message
}

@test "log: with fd 2 closed no line of it gets into a mail or to the client" {
	letter_to u@example.org x@elsewhere.example >in
	"$SMTPD" "${OPTS[@]}" -v <in >out 2>&-
	[ "$(codes)" = '220 250 250 250 550 354 250 221' ]
	run grep -avE $'^[2-5][0-9][0-9][ -].*\r$' out
	[ "$status" = 1 ]
	tail -c "$(wc -c <msg)" "$(only_message)" | cmp - msg
	run grep -E 'session|client=|dialogue' "$(only_message)"
	[ "$status" = 1 ]
}

# on_socket OPTION...: the session in the file in over a socket that is fd 0, 1
# and 2; in a mount namespace with a /dev/log, what came there is in the file
# syslog, a line each
on_socket() {
	need_root
	need unshare python3
	local python=python3
	[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
	cat >on_socket.py <<-'P'
		import socket, subprocess, sys, threading
		log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		log.bind('/dev/log')
		def keep():
		    with open('syslog', 'wb') as f:
		        while True:
		            line = log.recv(65536)
		            if line == b'done':
		                break
		            f.write(line.rstrip(b'\0') + b'\n')
		keeper = threading.Thread(target=keep, daemon=True)
		keeper.start()
		ours, its = socket.socketpair()
		child = subprocess.Popen(sys.argv[1:], stdin=its, stdout=its, stderr=its)
		its.close()
		ours.settimeout(10)
		try:
		    ours.sendall(open('in', 'rb').read())
		    ours.shutdown(socket.SHUT_WR)
		except OSError:
		    pass    # it has ended already
		with open('out', 'wb') as out:
		    while True:
		        piece = ours.recv(65536)
		        if not piece:
		            break
		        out.write(piece)
		status = child.wait(10)
		end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		end.sendto(b'done', '/dev/log')
		keeper.join(10)
		sys.exit(status)
	P
	status=0
	# shellcheck disable=SC2016 # for bash
	unshare -m bash -c 'mkdir dev && mount -t tmpfs none dev || exit 99
	    for f in null urandom; do
	        touch dev/$f && mount --bind /dev/$f dev/$f || exit 99
	    done
	    mount --move dev /dev || exit 99
	    exec "$@"' bash $python on_socket.py "$SMTPD" "$@" 3>&- || status=$?
	[ "$status" != 99 ]
}

@test "log: where fd 2 is the connection the log goes to syslog, as mail" {
	letter_to u@example.org x@elsewhere.example >in
	on_socket "${OPTS[@]}" -v
	[ "$status" = 0 ]
	[ "$(codes)" = '220 250 250 250 550 354 250 221' ]
	run grep -avE $'^[2-5][0-9][0-9][ -].*\r$' out
	[ "$status" = 1 ]
	[ -s syslog ]
	# facility 2: 16 to 23
	run grep -vE '^<(1[6-9]|2[0-3])>' syslog
	[ "$status" = 1 ]
	grep -E 'smtpd\[[0-9]+\]:' syslog
	local id
	id=$(basename "$(only_message)")
	[ "$(grep -cF "${id%%.mx.example*}" syslog)" -ge 1 ]
}

@test "log: --log syslog goes there, and fd 2 stays empty" {
	letter_to u@example.org >in
	on_socket -n mx.example -d example.org -m box --log syslog
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	grep -E '^<(1[6-9]|2[0-3])>' syslog
}

@test "log: on a socket, --log stderr never writes to it" {
	letter_to u@example.org >in
	on_socket "${OPTS[@]}" --log stderr -v
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	run grep -avE $'^[2-5][0-9][0-9][ -].*\r$' out
	[ "$status" = 1 ]
}

@test "log: under a launcher a wrong option is told to syslog" {
	: >in
	launched
	on_socket -m box --size wrong
	[ "$status" = 64 ]
	[ "$(full_codes)" = 421 ]
	grep -E '^<(1[6-9]|2[0-3])>' syslog | grep size
}

@test "log: without a /dev/log, --log syslog stops no mail" {
	need_root
	need unshare
	letter_to u@example.org >in
	unshare -m bash -c 'mkdir dev && mount -t tmpfs none dev
	    touch dev/null && mount --bind /dev/null dev/null
	    mount --move dev /dev; exec "$@"' bash \
	    "$SMTPD" "${OPTS[@]}" --log syslog <in >out 2>log
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	[ ! -s log ]
	only_message
}

# hangs_up OPTION... : a client that leaves behind the dot, with MAIL's parameters in
# $MAIL and the recipients a, b and c; the log is in the file log
hangs_up() {
	py "$SMTPD" -n mx.example -d example.org --log stderr "$@" <<-P
		import os, socket, subprocess, sys, time
		ours, theirs = socket.socketpair()
		child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs,
		    stderr=open('log', 'w'), env=dict(os.environ, PROTO='TCP',
		    TCPREMOTEIP='192.0.2.7'))
		theirs.close()
		ours.sendall(b'EHLO c.example\r\nMAIL FROM:<a@c.example>$MAIL\r\n' +
		    b''.join(b'RCPT TO:<%c@example.org>\r\n' % c for c in b'abc') + b'DATA\r\n')
		said = b''
		while b'\r\n354 ' not in said:
		    said += ours.recv(65536)
		ours.sendall(b'Subject: x\r\n\r\nx\r\n.\r\n')
		ours.close()
		child.wait(20)
	P
	cat log
}

@test "log: who hangs up behind the dot, and whose mail was delivered, has a line of it" {
	local MAIL
	mkdir -p boxes/{a,b,c,postmaster}/{tmp,new,cur}
	for MAIL in '' ' PRDR'; do
		hangs_up -m "$PWD/boxes/{user}"
		[ "$(count boxes)" = 3 ]
		[ "$(grep -c ' message id=.* to="a@example.org" to="b@example.org" to="c@example.org"' log)" = 1 ]
		find boxes -type f -delete
	done
	# shellcheck disable=SC2016 # for the program
	printf '#!/bin/sh\ncat >/dev/null\n[ "$LOCAL" = a ] || exit 67\necho got >>got\n' >program
	chmod 755 program
	MAIL=''
	hangs_up ./program
	[ "$(cat got)" = got ]
	[ "$(grep -c ' message id=.*from="a@c.example"' log)" = 1 ]
	# the 353 of PRDR cannot be said, and no program is run
	rm got
	MAIL=' PRDR'
	hangs_up ./program
	[ ! -e got ]
}
