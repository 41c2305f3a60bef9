#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2154 # each test has OPTS of its own
# policy: a policy server's word at RCPT (Postfix, SMTPD_POLICY_README and
# access(5); DESIGN: "Policy")

load helper

teardown() {
	[ -z "${server_pid:-}" ] || kill "$server_pid" 2>/dev/null || true
}

# serve WHERE: a policy server; WHERE is the path of a socket, or "tcp" or
# "tcp6", and then $port is set.  It answers by what is before the first "_" in
# the recipient's local part (the file answers, "WORD ACTION" a line), writes
# requests to the file requests, and an x for each connection to accepts.
serve() {
	cat >answers <<-'A'
		dunno DUNNO
		ok Ok
		dir DEFER_IF_REJECT no
		reject REJECT
		rejtext reject 5.7.23 SPF says no
		rejclass REJECT 4.7.1 not mine
		defer DEFER
		dip DEFER_IF_PERMIT Greylisted
		c450 450 4.2.0 later
		c550 550 nope
		c999 999 what
		c569 569 what
		bye 421 go away
		eight REJECT a£b
		warn WARN hm
		info INFO hm
		hold HOLD
		filter FILTER smtp:x
		p1 PREPEND X-One: 1
		p2 PREPEND X-Two: 2
		pnone PREPEND nofield
		pname PREPEND X One: 1
		pempty PREPEND
	A
	cat >server.py <<-'P'
		import socket, sys, time
		where = sys.argv[1]
		if where.startswith('tcp'):
		    v6 = where == 'tcp6'
		    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
		    s.bind(('::1' if v6 else '127.0.0.1', 0))
		    open('port', 'w').write('%d\n' % s.getsockname()[1])
		else:
		    s = socket.socket(socket.AF_UNIX)
		    s.bind(where)
		s.listen(5)
		open('ready', 'w').close()
		answers = dict(l.rstrip('\n').split(' ', 1)
		    for l in open('answers', encoding='utf-8'))
		while True:
		    c, _ = s.accept()
		    open('accepts', 'a').write('x')
		    buf = b''
		    while True:
		        while b'\n\n' not in buf:
		            d = c.recv(4096)
		            if not d:
		                break
		            buf += d
		        if b'\n\n' not in buf:
		            break
		        req, buf = buf.split(b'\n\n', 1)
		        if buf:
		            open('pipelined', 'w').close()
		        with open('requests', 'ab') as f:
		            f.write(req + b'\n\n')
		        who = dict(l.split(b'=', 1) for l in req.split(b'\n'))
		        word = who[b'recipient'].split(b'@')[0].decode().split('_')[0]
		        if word == 'close':
		            break
		        if word == 'hang':
		            time.sleep(20)
		            break
		        if word == 'flood':
		            c.sendall(b'x=' + b'y' * 100000)
		            break
		        if word == 'garbage':
		            c.sendall(b'hello\n\n')
		            continue
		        if word == 'long':
		            c.sendall(b'action=REJECT ' + b'z' * 3000 + b'\n\n')
		            continue
		        if word == 'cr':
		            c.sendall(b'action=PREPEND X-A: 1\rX-B: 2\n\n')
		            continue
		        if word == 'crlf':
		            c.sendall(b'x=y\r\nAction=reject no\r\n\r\n')
		            continue
		        if word.startswith('big'):
		            c.sendall(b'action=PREPEND X-' + word.encode() + b': ' +
		                b'b' * 900 + b'\n\n')
		            continue
		        reply = ('action=' + answers[word] + '\n\n').encode()
		        if who[b'sender'] == b'slow@c.example':
		            for i in range(len(reply)):
		                c.sendall(reply[i:i + 1])
		                time.sleep(0.001)
		        else:
		            c.sendall(reply)
		    c.close()
	P
	rm -f ready port accepts requests
	python3 server.py "$1" 3>&- &
	server_pid=$!
	eventually test -e ready
	[ ! -e port ] || port=$(cat port)
	OPTS+=(--policy "$1")
	[[ $1 != tcp* ]] || OPTS[-1]=127.0.0.1:$port
	[ "$1" != tcp6 ] || OPTS[-1]="[::1]:$port"
}

ACTIONS='250/2.1.5	RCPT TO:<dunno@example.org>
250/2.1.5	RCPT TO:<ok@example.org>
250/2.1.5	RCPT TO:<dir@example.org>
554/5.7.1	RCPT TO:<reject@example.org>
554/5.7.23	RCPT TO:<rejtext@example.org>
554/5.7.1	RCPT TO:<rejclass@example.org>
450/4.7.1	RCPT TO:<defer@example.org>
450/4.7.1	RCPT TO:<dip@example.org>
450/4.2.0	RCPT TO:<c450@example.org>
550/5.7.1	RCPT TO:<c550@example.org>
250/2.1.5	RCPT TO:<c999@example.org>
250/2.1.5	RCPT TO:<c569@example.org>
554/5.7.1	RCPT TO:<eight@example.org>
554/5.7.1	RCPT TO:<long@example.org>
554/5.7.1	RCPT TO:<crlf@example.org>
250/2.1.5	RCPT TO:<warn@example.org>
250/2.1.5	RCPT TO:<info@example.org>
250/2.1.5	RCPT TO:<hold@example.org>
250/2.1.5	RCPT TO:<filter@example.org>
250/2.1.5	RCPT TO:<pnone@example.org>
250/2.1.5	RCPT TO:<pname@example.org>
250/2.1.5	RCPT TO:<pempty@example.org>
250/2.1.5	RCPT TO:<cr@example.org>'

@test "policy: every action has its reply, over one connection, one request at a time" {
	serve "$PWD/socket"
	STATUS=75 table 'EHLO c' 'MAIL FROM:<a@c.example>' <<<"$ACTIONS"
	[ "$(cat accepts)" = x ]
	[ ! -e pipelined ]
	grep -q $'^554 5.7.23 SPF says no\r$' out
	grep -q $'^450 4.7.1 Greylisted\r$' out
	LC_ALL=C
	run ! grep -aq $'[^ -~\r]' out
	run ! grep -qE '.{300}' out
	[ "$(grep -c 'policy-warning' log)" = 2 ]
	[ "$(grep -c 'policy-unknown' log)" = 8 ]
}

@test "policy: an answer may come in pieces of any size" {
	serve "$PWD/socket"
	STATUS=75 table 'EHLO c' 'MAIL FROM:<slow@c.example>' <<<"$ACTIONS"
}

@test "policy: the server may be at an IPv4 or an IPv6 address" {
	serve tcp
	mail_to reject@example.org dunno@example.org
	[[ "$(full_codes)" = *' 554/5.7.1 250/2.1.5 354 250/2.0.0 221/2.0.0' ]]
	kill "$server_pid"
	OPTS=("${OPTS[@]:0:6}")
	serve tcp6
	mail_to reject@example.org dunno@example.org
	[[ "$(full_codes)" = *' 554/5.7.1 250/2.1.5 354 250/2.0.0 221/2.0.0' ]]
}

@test "policy: a program is started once and asked on its standard input" {
	cat >prog <<-'P'
		#!/bin/sh
		echo "$@" >>starts
		while read -r line; do
			case $line in
			recipient=r*)	action='REJECT no' ;;
			recipient=*)	action=DUNNO ;;
			'')		printf 'action=%s\n\n' "$action" ;;
			esac
		done
		echo end >>starts
	P
	chmod 755 prog
	OPTS+=(--policy './prog with  words')
	mail_to r@example.org a@example.org r2@example.org
	[[ "$(full_codes)" = *' 554/5.7.1 250/2.1.5 554/5.7.1 354 250/2.0.0 221/2.0.0' ]]
	ended() { [ "$(cat starts)" = $'with words\nend' ]; }
	eventually ended
}

@test "policy: the request has Postfix's attributes and ends with an empty line" {
	serve "$PWD/socket"
	launched
	export TCPREMOTEHOST=mail.c.example
	say 'EHLO c.example' 'MAIL FROM:<a@c.example> SIZE=1234' \
	    'RCPT TO:<dunno@example.org>' 'RCPT TO:<dunno_2@example.org>' QUIT
	sed '/^$/q' requests | sed 's/^instance=[0-9.]*$/instance=N/' >got
	cat >want <<-'W'
		request=smtpd_access_policy
		protocol_state=RCPT
		protocol_name=ESMTP
		client_address=192.0.2.7
		client_name=mail.c.example
		client_port=4321
		reverse_client_name=mail.c.example
		server_address=192.0.2.1
		server_port=25
		helo_name=c.example
		sender=a@c.example
		recipient=dunno@example.org
		recipient_count=0
		instance=N
		size=1234
		sasl_method=
		sasl_username=
		encryption_protocol=
		encryption_cipher=
		encryption_keysize=0
		queue_id=
		etrn_domain=
		stress=
		sasl_sender=
		ccert_subject=
		ccert_issuer=
		ccert_fingerprint=
		ccert_pubkey_fingerprint=
		policy_context=

	W
	diff want got
	# one instance a message
	[ "$(grep ^instance= requests | sort -u | wc -l)" = 1 ]
}

@test "policy: the server is asked last, and at RCPT only" {
	serve "$PWD/socket"
	echo known@example.org >users
	OPTS+=(-u users -r 1)
	echo dunno@example.org >>users
	AFTER='NOOP' table 'EHLO c' 'MAIL FROM:<a@c.example>' <<-'T'
		550/5.7.1	RCPT TO:<dunno@elsewhere.example>
		550/5.1.1	RCPT TO:<reject@example.org>
		501/5.1.3	RCPT TO:<>
		252/2.0.0	VRFY dunno@example.org
		250/2.1.5	RCPT TO:<dunno@example.org>
		452/4.5.3	RCPT TO:<known@example.org>
	T
	[ "$(grep -c ^recipient= requests)" = 1 ]
}

@test "policy: PREPEND adds a field once, above Received and below what is delivered" {
	serve "$PWD/socket"
	mail_to p1_a@example.org p2@example.org p1_b@example.org pnone@example.org
	[ "$(sed -n '1,/^Received/p' "$(only_message)" | sed 's/:.*//' | tr '\n' ' ')" = \
	    'Return-Path Delivered-To Delivered-To Delivered-To Delivered-To X-One X-Two Received ' ]
}

@test "policy: PREPEND is for one message, and 2 KB of it" {
	serve "$PWD/socket"
	{
		printf 'EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<p1@example.org>\r\nRSET\r\n'
		printf 'MAIL FROM:<a@c.example>\r\n'
		printf 'RCPT TO:<big%s@example.org>\r\n' 1 2 3 4
		printf 'RCPT TO:<p2@example.org>\r\nDATA\r\n\r\n.\r\nQUIT\r\n'
	} >in
	send <in
	[ "$(grep -c '^X-big[12]: b*$' "$(only_message)")" = 2 ]
	[ "$(grep -c '^X-' "$(only_message)")" = 3 ]
	[ "$(grep -c policy-no-room log)" = 2 ]
}

@test "policy: a program's message has the field above Received too" {
	serve "$PWD/socket"
	OPTS=(-n mx.example -d example.org --policy "$PWD/socket" sh -c 'cat >got')
	mail_to p1@example.org
	[ "$(sed -n '1,/^Received/p' got | sed 's/:.*//' | tr '\n' ' ')" = \
	    'Return-Path Delivered-To X-One Received ' ]
}

@test "policy: 421 from the server ends the session" {
	serve "$PWD/socket"
	mail_to dunno@example.org bye@example.org dunno@example.org
	[[ "$(full_codes)" = *' 250/2.1.5 421/4.7.1' ]]
	[ "$status" = 1 ] || [ "$status" = 75 ]
	nothing_kept
}

@test "policy: a server that fails is 451 4.3.5 and not asked again" {
	local how times
	for how in close garbage flood; do
		serve "$PWD/socket.$how"
		# where it closed, it may only have been tired of the connection
		times=1
		[ $how != close ] || times=2
		mail_to dunno@example.org "$how@example.org" dunno@example.org \
		    dunno@example.org
		[[ "$(full_codes)" = *' 250/2.1.5 451/4.3.5 451/4.3.5 451/4.3.5 354 250/2.0.0 221/2.0.0' ]]
		[ "$(wc -c <accepts)" = $times ]
		[ "$(grep -c ^recipient= requests)" = $((1 + times)) ]
		[ "$status" = 75 ]
		grep -q 'fault .*policy' log
		kill "$server_pid"
		rm -f box/new/*
		OPTS=("${OPTS[@]:0:6}")
	done
}

@test "policy: a server that is not there is 451 4.3.5" {
	local where
	for where in "$PWD/nothing" 127.0.0.1:1 ./no-such-program \
	    'no-such-program-anywhere x'; do
		OPTS=("${OPTS[@]:0:6}" --policy "$where")
		mail_to u@example.org
		[[ "$(full_codes)" = *' 250/2.1.0 451/4.3.5 554/5.5.1 '* ]]
		grep -q 'fault .*policy' log
	done
	nothing_kept
}

@test "policy: a server that hangs is given up" {
	[ -x "$ROOT/smtpd-hasty" ] || skip 'smtpd-hasty is not built'
	SMTPD=$ROOT/smtpd-hasty
	serve "$PWD/socket"
	SECONDS=0
	mail_to hang@example.org dunno@example.org
	[ $SECONDS -lt 5 ]
	[[ "$(full_codes)" = *' 451/4.3.5 451/4.3.5 554/5.5.1 '* ]]
}

@test "policy: SIGTERM while the server is asked ends the session" {
	serve "$PWD/socket"
	connect
	ask 'MAIL FROM:<a@c.example>'
	printf 'RCPT TO:<hang@example.org>\r\n' >&"$to"
	eventually test -s requests
	kill -TERM "$server"
	receive
	[ "$reply" = 421/4.3.2 ]
	exec {to}>&- {from}<&-
}

@test "policy: a name is no address, for no DNS is asked" {
	local where
	for where in localhost:10023 127.0.0.1:0 127.0.0.1:65536 ::1:10023 ''; do
		run -64 "$SMTPD" --policy "$where" </dev/null
	done
}

@test "policy: LMTP is told as the protocol" {
	serve "$PWD/socket"
	OPTS+=(-l)
	say 'LHLO c' 'MAIL FROM:<>' 'RCPT TO:<dunno@example.org>' QUIT
	grep -qx protocol_name=LMTP requests
	grep -qx sender= requests
}
