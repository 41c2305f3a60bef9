# neighbour-faults.bats - what is told to a client when a neighbour is broken,
# goes away, or only looks whether anybody is there
# http://cr.yp.to/checkpwd/interface.html; Postfix, SMTPD_POLICY_README

# shellcheck disable=SC2015,SC2016,SC2030,SC2031,SC2153,SC2154 # OPTS is each test's
load live

teardown() {
	[ -z "${server_pid:-}" ] || kill "$server_pid" 2>/dev/null || true
}

# ---- checkpassword ----

# checking LEAST MOST VERDICT HOW...: for each HOW, a command of the shell that
# is the checkpassword program's last, there is a session; in each of them AUTH
# has this verdict, after so many seconds at least, and at most
checking() {
	printf '#!/bin/sh\ncat <&3 >/dev/null\neval "$*"\n' >checker
	chmod 755 checker
	live "$SMTPD" "$PWD/checker" "$@" <<-'P'
		import sys
		import time
		import live

		smtpd, checker, least, most, verdict = sys.argv[1:6]
		for how in sys.argv[6:]:
		    s = live.Session([smtpd, '-n', 'mx.example', '-d',
		        'example.org', '-m', 'box', '--secured', '--auth',
		        checker + ' ' + how], over='tcp').greeted()
		    began = time.monotonic()
		    s.lines('AUTH PLAIN AGFsaWNlAFNlc2FtLCAx')
		    s.expect(verdict, 10, how)
		    took = time.monotonic() - began
		    if not float(least) <= took <= float(most):
		        live.fail('%s: %.2f s' % (how, took))
		    # it is a verdict, and not the end
		    s.lines('QUIT')
		    s.expect('221/2.0.0', 5, how)
		    s.ended(5)
	P
}

@test "checkpassword: 0 is right, and 1, 3 and 100 are wrong, told after a second" {
	checking 0 0.9 235/2.7.0 'exit 0'
	checking 0.9 3 535/5.7.8 'exit 1' 'exit 3' 'exit 100'
	run ! grep -q ': fault ' log
}

@test "checkpassword: any other exit status and a signal are a fault of ours, told at once" {
	checking 0 0.9 454/4.7.0 'exit 2' 'exit 4' 'exit 64' 'exit 75' \
	    'exit 99' 'exit 101' 'exit 110' 'exit 111' 'exit 112' 'exit 126' \
	    'exit 127' 'exit 255' 'kill -HUP $$' 'kill -TERM $$' \
	    'kill -KILL $$' 'kill -SEGV $$' 'kill -PIPE $$'
	[ "$(grep -c " auth .* result=fault " log)" = 17 ]
}

@test "checkpassword: a chain that ends in a program that is missing or may not run tells nobody that his password is wrong" {
	: >plain-file
	checking 0 0.9 454/4.7.0 "exec $PWD/no-such-program" \
	    "exec $PWD/plain-file" "exec $PWD"
}

@test "checkpassword: a chain that is broken costs no try, however often it is asked" {
	printf '#!/bin/sh\ncat <&3 >/dev/null\nexit 127\n' >checker
	chmod 755 checker
	OPTS+=(--secured --auth "$PWD/checker")
	say 'EHLO c.example' 'AUTH PLAIN AGFsaWNlAHg=' 'AUTH PLAIN AGFsaWNlAHg=' \
	    'AUTH PLAIN AGFsaWNlAHg=' 'AUTH PLAIN AGFsaWNlAHg=' QUIT
	[ "$(full_codes)" = '220 250 454/4.7.0 454/4.7.0 454/4.7.0 454/4.7.0 221/2.0.0' ]
	[ "$status" = 75 ]
}

# ---- a policy server that closes ----

# serve HOW [WHERE]: a policy server on the socket WHERE (./socket), which is
# "tcp" for one on a port of 127.0.0.1.  It rejects who begins with "bad", and
# closes a connection as HOW says:
#	each	when it has given an answer
#	idle	half a second after an answer, if there is no other question
#	never	answers no question: it closes when it has read one
#	second	answers the first question of each connection, and closes when
#		it has read the second
#	half	gives half an answer, and closes
#	keep	not at all
# It writes a line "N RECIPIENT" to the file asked for each question, N being
# the number of the connection.
serve() {
	cat >server.py <<-'P'
		import os
		import select
		import socket
		import sys

		how, where = sys.argv[1:3]
		if where == 'tcp':
		    s = socket.create_server(('127.0.0.1', 0))
		    name = '127.0.0.1:%d' % s.getsockname()[1]
		else:
		    s = socket.socket(socket.AF_UNIX)
		    s.bind(where)
		    s.listen(5)
		    name = where
		with open('where.new', 'w') as f:
		    f.write(name)
		os.rename('where.new', 'where')
		number = 0
		while True:
		    c, _ = s.accept()
		    number += 1
		    buf = b''
		    answered = 0
		    while True:
		        if how == 'idle' and answered:
		            if not select.select([c], [], [], 0.5)[0]:
		                break
		        try:
		            more = c.recv(4096)
		        except ConnectionResetError:
		            break
		        if not more:
		            break
		        buf += more
		        if not buf.endswith(b'\n\n'):
		            continue
		        q = dict(l.split(b'=', 1) for l in buf.strip().split(b'\n'))
		        with open('asked', 'a') as f:
		            f.write('%d %s\n' % (number, q[b'recipient'].decode()))
		        buf = b''
		        if how == 'never' or (how == 'second' and answered):
		            break
		        bad = q[b'recipient'].startswith(b'bad')
		        answer = b'action=REJECT no\n\n' if bad else b'action=DUNNO\n\n'
		        if how == 'half':
		            c.sendall(answer[:7])
		            break
		        c.sendall(answer)
		        answered += 1
		        if how == 'each':
		            break
		    c.close()
		    if how != 'keep' and number == 1:
		        open('closed', 'w').close()
	P
	rm -f where closed
	/usr/bin/python3 server.py "$1" "${2:-$PWD/socket}" 3>&- &
	server_pid=$!
	eventually test -e where
	OPTS=(-n mx.example -d example.org -m box --policy "$(cat where)")
}

@test "policy server: one that closes after each answer is asked every question" {
	local where
	for where in "$PWD/socket" tcp; do
		rm -f asked box/new/*
		serve each "$where"
		mail_to a@example.org bad@example.org b@example.org c@example.org
		[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 554/5.7.1 250/2.1.5 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
		[ "$status" = 0 ]
		[ "$(cat asked)" = $'1 a@example.org\n2 bad@example.org\n3 b@example.org\n4 c@example.org' ]
		run ! grep -q ': fault ' log
		kill "$server_pid"
	done
}

@test "policy server: one that closed an idle connection is connected to again" {
	serve idle
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<a@example.org>'
	[ "$reply" = 250/2.1.5 ]
	eventually test -e closed
	ask 'RCPT TO:<bad@example.org>'
	[ "$reply" = 554/5.7.1 ]
	ask 'RCPT TO:<b@example.org>'
	[ "$reply" = 250/2.1.5 ]
	hangup
	[ "$status" = 0 ]
	[ "$(cat asked)" = $'1 a@example.org\n2 bad@example.org\n2 b@example.org' ]
	run ! grep -q ': fault ' log
}

@test "policy server: one that was started anew between two questions is asked the second" {
	local where=$PWD/socket
	serve keep
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<a@example.org>'
	[ "$reply" = 250/2.1.5 ]
	kill -KILL "$server_pid"
	wait "$server_pid" || :
	rm "$where"
	serve keep
	ask 'RCPT TO:<bad@example.org>'
	[ "$reply" = 554/5.7.1 ]
	ask 'RCPT TO:<b@example.org>'
	[ "$reply" = 250/2.1.5 ]
	hangup
	[ "$(wc -l <asked)" = 3 ]
	run ! grep -q ': fault ' log
}

@test "policy server: one that is gone between two questions is 451 4.3.5 and a fault" {
	serve keep
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<a@example.org>'
	[ "$reply" = 250/2.1.5 ]
	kill -KILL "$server_pid"
	wait "$server_pid" || :
	rm "$PWD/socket"
	ask 'RCPT TO:<b@example.org>'
	[ "$reply" = 451/4.3.5 ]
	hangup
	[ "$status" = 75 ]
	grep -q ': fault .*policy' log
}

@test "policy server: a question is put once more over a new connection, where the old one was closed upon it" {
	serve second
	mail_to a@example.org b@example.org bad@example.org
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 554/5.7.1 354 250/2.0.0 221/2.0.0' ]
	# b was asked about twice, and so was bad
	[ "$(cat asked)" = $'1 a@example.org\n1 b@example.org\n2 b@example.org\n2 bad@example.org\n3 bad@example.org' ]
	run ! grep -q ': fault ' log
}

@test "policy server: one that closes a new connection without an answer is 451 4.3.5, and was asked once" {
	serve never
	mail_to a@example.org b@example.org
	[[ "$(full_codes)" = '220 250 250/2.1.0 451/4.3.5 451/4.3.5 554/5.5.1 '* ]]
	[ "$(cat asked)" = '1 a@example.org' ]
	[ "$(grep -c ': fault .*policy' log)" = 1 ]
	[ "$status" = 75 ]
}

@test "policy server: half an answer is none, and is 451 4.3.5" {
	serve half
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<a@example.org>' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 451/4.3.5 221/2.0.0' ]
	[ "$(cat asked)" = '1 a@example.org' ]
}

@test "policy server: a program that ends after each answer is started for each question" {
	cat >prog <<-'P'
		#!/bin/sh
		echo "$$" >>starts
		while read -r line; do
			case $line in
			recipient=bad*)	action='REJECT no' ;;
			recipient=*)	action=DUNNO ;;
			'')		printf 'action=%s\n\n' "$action"; exit 0 ;;
			esac
		done
	P
	chmod 755 prog
	OPTS+=(--policy ./prog)
	mail_to a@example.org bad@example.org b@example.org
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 554/5.7.1 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$(sort -u starts | wc -l)" = 3 ]
	[ "$(wc -l <starts)" = 3 ]
	run ! grep -q ': fault ' log
}

@test "policy server: a program that ends without an answer is started once, and is 451 4.3.5" {
	printf '#!/bin/sh\necho >>starts\nread -r line\n' >prog
	chmod 755 prog
	OPTS+=(--policy ./prog)
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<a@example.org>' \
	    'RCPT TO:<b@example.org>' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 451/4.3.5 451/4.3.5 221/2.0.0' ]
	[ "$(wc -l <starts)" = 1 ]
}

# ---- who the client is, for a policy server ----

# recorder: a policy program that keeps what it was asked in the file requests
recorder() {
	cat >policy.sh <<-P
		#!/bin/bash
		while IFS= read -r line; do
			printf '%s\n' "\$line" >>$PWD/requests
			[ -n "\$line" ] || printf 'action=DUNNO\n\n'
		done
	P
	chmod 755 policy.sh
	OPTS+=(--policy ./policy.sh)
	rm -f requests
}

# asked_of WANT [NAME=VALUE...]: in this environment the server is told
# "ADDRESS NAME PORT" of the client
asked_of() {
	local got
	rm -f requests
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' QUIT >in
	env "${@:2}" "$SMTPD" "${OPTS[@]}" <in >out 2>log 3>&- || :
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 221/2.0.0' ] || {
		echo "${*:2}: $(full_codes)"
		return 1
	}
	got=$(sed -n 's/^client_\(address\|name\|port\)=//p' requests |
	    paste -sd ' ' -)
	[ "$got" = "$1" ] || { echo "${*:2}: $got"; return 1; }
}

@test "client: socat's and ncat's variables are its address and port, for the policy server" {
	recorder
	asked_of '192.0.2.7 unknown 4321' SOCAT_PEERADDR=192.0.2.7 \
	    SOCAT_PEERPORT=4321
	asked_of '192.0.2.8 unknown 4322' NCAT_REMOTE_ADDR=192.0.2.8 \
	    NCAT_REMOTE_PORT=4322
	asked_of '192.0.2.7 unknown 4321' SOCAT_PEERADDR=::ffff:192.0.2.7 \
	    SOCAT_PEERPORT=4321
	# as socat writes it
	asked_of '2001:db8::7 unknown 4321' SOCAT_PEERPORT=4321 \
	    SOCAT_PEERADDR='[2001:0db8:0000:0000:0000:0000:0000:0007]'
	asked_of '2001:db8::8 unknown 4322' NCAT_REMOTE_ADDR=2001:db8::8 \
	    NCAT_REMOTE_PORT=4322
}

@test "client: socat's and ncat's variables are its address in Received and in the log" {
	local setting want
	while read -r want setting; do
		rm -f box/new/*
		letter_to u@example.org >in
		env "$setting" "$SMTPD" "${OPTS[@]}" <in >out 2>log 3>&-
		[[ $(header Received) = *"[$want]"* ]]
		[ "$(grep -cF " client=" log)" = "$(wc -l <log)" ]
		[ "$(grep -cF " client=[${want#IPv6:}]" log)" = "$(wc -l <log)" ]
	done <<-'T'
		192.0.2.7	SOCAT_PEERADDR=192.0.2.7
		192.0.2.8	NCAT_REMOTE_ADDR=192.0.2.8
		IPv6:2001:db8::7	SOCAT_PEERADDR=[2001:0db8:0000:0000:0000:0000:0000:0007]
		IPv6:2001:db8::8	NCAT_REMOTE_ADDR=2001:db8::8
	T
}

@test "client: the variables of tcpserver and systemd go before socat's, and socat's before ncat's" {
	recorder
	asked_of '192.0.2.1 unknown unknown' TCPREMOTEIP=192.0.2.1 \
	    SOCAT_PEERADDR=192.0.2.7 SOCAT_PEERPORT=1
	asked_of '192.0.2.2 unknown unknown' REMOTE_ADDR=192.0.2.2 \
	    SOCAT_PEERADDR=192.0.2.7 SOCAT_PEERPORT=1
	asked_of '192.0.2.7 unknown unknown' SOCAT_PEERADDR=192.0.2.7 \
	    NCAT_REMOTE_ADDR=192.0.2.8 NCAT_REMOTE_PORT=1
}

@test "client: by hand it is 127.0.0.1 and localhost, for the policy server" {
	recorder
	asked_of '127.0.0.1 localhost unknown'
	grep -qx reverse_client_name=localhost requests
}

@test "client: over a UNIX socket it is 127.0.0.1 and localhost, for the policy server" {
	recorder
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import live
		s = live.Session(sys.argv[1:]).greeted()
		s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>', 'QUIT')
		s.expect('250/2.1.0 250/2.1.5 221/2.0.0', 5)
		s.ended(5)
	P
	grep -qx client_address=127.0.0.1 requests
	grep -qx client_name=localhost requests
	# no one believes that he has an address, for all that
	run ! grep -q '127\.0\.0\.1' log
}

@test "client: a remote one without an address is not asked about, and is 451 4.3.5" {
	recorder
	export PROTO=TCP
	mail_to u@example.org
	[[ "$(full_codes)" = '220 250 250/2.1.0 451/4.3.5 554/5.5.1 '* ]]
	[ "$status" = 75 ]
	[ ! -e requests ]
	grep -q ': fault .*policy.*address' log
	nothing_kept
}

@test "client: one that XCLIENT says has no address is not asked about, and is 451 4.3.5" {
	local address
	recorder
	OPTS+=(--xclient '*')
	launched
	for address in '[UNAVAILABLE]' '[TEMPUNAVAIL]'; do
		say 'EHLO front' "XCLIENT ADDR=$address" 'EHLO c.example' \
		    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' QUIT
		[ "$(full_codes)" = '220 250 220 250 250/2.1.0 451/4.3.5 221/2.0.0' ]
		[ ! -e requests ]
		grep -q ': fault .*policy.*address' log
	done
	# another has one, in the same session
	say 'EHLO front' 'XCLIENT ADDR=[UNAVAILABLE]' 'EHLO c.example' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' RSET \
	    'XCLIENT ADDR=192.0.2.9' 'EHLO c.example' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' QUIT
	[[ "$(full_codes)" = *' 451/4.3.5 '*' 250/2.1.5 221/2.0.0' ]]
	grep -qx client_address=192.0.2.9 requests
}

@test "client: by hand, one that XCLIENT says is remote is not localhost" {
	recorder
	OPTS+=(--xclient '*')
	say 'EHLO front' 'XCLIENT ADDR=[UNAVAILABLE]' 'EHLO c.example' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' QUIT
	[ "$(full_codes)" = '220 250 220 250 250/2.1.0 451/4.3.5 221/2.0.0' ]
	[ ! -e requests ]
}

# ---- who only looks whether we are there ----

# looked HOW OVER [OPTION...]: a client connects, does what HOW says, and is
# gone; the log has the session's line and no other, and the exit status is 0
looked() {
	rm -f log
	live "$1" "$2" "$SMTPD" "${@:3}" <<-'P'
		import select
		import socket
		import struct
		import sys
		import live

		how, over = sys.argv[1:3]
		if over == 'tcp':
			    server = socket.create_server(('127.0.0.1', 0))
		    ours = socket.create_connection(server.getsockname())
		    conn, _ = server.accept()
		else:
		    ours, conn = socket.socketpair()
		if how.startswith('reset') and over == 'tcp':
		    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
		        struct.pack('ii', 1, 0))
		if how.endswith('before'):
		    ours.close()
		with open('log', 'ab') as log:
		    child = live.subprocess.Popen(sys.argv[3:], stdin=conn,
		        stdout=conn, stderr=log)
		conn.close()
		if how.endswith('greeted'):
		    if not select.select([ours], [], [], live.LIMIT)[0]:
		        live.fail('no greeting')
		    if how == 'greeted':
		        ours.recv(1000)
		ours.close()
		status = child.wait(live.LIMIT)
		if status != 0:
		    live.fail('%s over %s: status %d' % (how, over, status))
	P
	[ "$(wc -l <log)" = 1 ] && grep -q ': session ' log || {
		echo "$*:"
		cat log
		return 1
	}
}

@test "health check: to connect and close is one line of a session, no fault, and status 0" {
	local over how
	for over in tcp socket; do
		for how in before greeted reset-before reset-greeted now reset-now
		do
			looked $how $over "${OPTS[@]}"
		done
	done
}

@test "health check: so it is with --proxy, without a header" {
	local over how
	OPTS+=(--proxy '*')
	for over in tcp socket; do
		for how in before reset-before now reset-now; do
			looked $how $over "${OPTS[@]}"
		done
	done
}

@test "health check: with --proxy half a header is a fault, and status 1" {
	OPTS+=(--proxy '*')
	printf 'PROXY TCP4 192.0.2.7 ' >in
	launched
	send <in
	[ "$status" = 1 ]
	grep -q ': fault .*proxy' log
	[ ! -s out ]
}

@test "health check: a client that has spoken and is gone in a message is none" {
	local how
	for how in close reset; do
		rm -f log
		live $how "$SMTPD" "${OPTS[@]}" <<-'P'
			import socket
			import struct
			import sys
			import live
			s = live.Session(sys.argv[2:], over='tcp').greeted()
			s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>',
			    'DATA')
			s.expect('250/2.1.0 250/2.1.5 354', 5)
			if sys.argv[1] == 'reset':
			    s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
			        struct.pack('ii', 1, 0))
			s.close()
			if s.ended(5) != 1:
			    live.fail('another status')
		P
	done
	nothing_kept
}
