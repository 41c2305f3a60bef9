# peer.bats - who the client is, by the environment or the socket, and what
# Received says of it.  RFC 5321 sections 4.1.3, 4.4 and 7.3

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# received [NAME=VALUE...]: the Received field of a message that came in with
# this environment through a pipe
received() {
	rm -f box/new/*
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' x . QUIT >in
	env "$@" "$SMTPD" "${OPTS[@]}" <in >out 2>log 3>&- || echo "status $?"
	header Received
}

# by_socket KIND [NAME=VALUE...]: the same, through a socket of this kind:
# tcp (from 127.0.0.1), mapped (the same, on a dual-stack socket), tcp6
# (from ::1) or unix
by_socket() {
	rm -f box/new/*
	py "$1" env "${@:2}" "$SMTPD" "${OPTS[@]}" <<-'P' || echo "status $?"
		import socket
		import subprocess
		import sys
		import talk

		kind = sys.argv[1]
		if kind == 'unix':
		    client, conn = socket.socketpair()
		else:
		    try:
		        if kind == 'tcp':
		            server = socket.create_server(('127.0.0.1', 0))
		        else:
		            server = socket.create_server(('::', 0),
		                family=socket.AF_INET6, dualstack_ipv6=True)
		        to = '::1' if kind == 'tcp6' else '127.0.0.1'
		        client = socket.create_connection(
		            (to, server.getsockname()[1]))
		    except OSError as error:
		        print('no', kind, error)
		        sys.exit(77)
		    conn, _ = server.accept()
		client.settimeout(talk.LIMIT)
		with open('log', 'wb') as log:
		    child = subprocess.Popen(sys.argv[2:], stdin=conn, stdout=conn,
		        stderr=log)
		conn.close()
		client.sendall(b'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		    b'RCPT TO:<u@elsewhere.example>\r\n'
		    b'RCPT TO:<u@example.org>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n'
		    b'QUIT\r\n')
		got = b''
		while True:
		    more = client.recv(65536)
		    if not more:
		        break
		    got += more
		open('out', 'wb').write(got)
		sys.exit(talk.ended(child))
	P
	header Received
}

# from ADDRESS GOT: whether a Received field says that the peer is this
from() {
	[[ $2 = "from c.example "*"[$1]"*' by mx.example '* ]] && return
	echo "wanted $1, got: $2"
	return 1
}

@test "peer: TCPREMOTEIP with PROTO is the client's address" {
	from 192.0.2.7 "$(received PROTO=TCP TCPREMOTEIP=192.0.2.7)"
	from 192.0.2.7 "$(received PROTO=TCP6 TCPREMOTEIP=192.0.2.7)"
	from 192.0.2.7 "$(received PROTO=SSL TCPREMOTEIP=192.0.2.7)"
	from IPv6:2001:db8::7 "$(received PROTO=TCP6 TCPREMOTEIP=2001:db8::7)"
	from IPv6:2001:db8::7 "$(received PROTO=TCP6 TCPREMOTEIP=2001:DB8:0::7)"
}

@test "peer: REMOTE_ADDR is the client's address" {
	from 192.0.2.8 "$(received REMOTE_ADDR=192.0.2.8 REMOTE_PORT=99)"
	from IPv6:2001:db8::8 "$(received REMOTE_ADDR=2001:db8::8)"
}

@test "peer: REMOTE_HOST is, when it is an address" {
	from 192.0.2.9 "$(received REMOTE_HOST=192.0.2.9)"
	from IPv6:2001:db8::9 "$(received REMOTE_HOST=2001:db8::9)"
}

@test "peer: the first that applies wins" {
	from 192.0.2.7 "$(received PROTO=TCP TCPREMOTEIP=192.0.2.7 \
	    REMOTE_ADDR=192.0.2.8 REMOTE_HOST=192.0.2.9)"
	from 192.0.2.8 "$(received REMOTE_ADDR=192.0.2.8 REMOTE_HOST=192.0.2.9)"
	# tlswrapper sets it without PROTO
	from 192.0.2.7 "$(received TCPREMOTEIP=192.0.2.7 REMOTE_ADDR=192.0.2.8)"
}

@test "peer: an IPv4-mapped address is unmapped" {
	from 192.0.2.7 "$(received PROTO=TCP6 TCPREMOTEIP=::ffff:192.0.2.7)"
	from 192.0.2.8 "$(received REMOTE_ADDR=::FFFF:192.0.2.8)"
	from 192.0.2.9 "$(received REMOTE_HOST=::ffff:c000:209)"
}

@test "peer: a value that does not parse is skipped, and logged" {
	local value bad=0
	for value in 192.0.2 192.0.2.256 192.0.2.7.9 0x7f.1 ' 192.0.2.7' \
	    '192.0.2.7 ' 192.0.2.7/24 host.example '' : 1::2::3 12345::1 \
	    'fe80::1%eth0' $'192.0.2.7\n' $'192.0.2.7\r\nX: y'; do
		from 192.0.2.8 "$(received PROTO=TCP TCPREMOTEIP="$value" \
		    REMOTE_ADDR=192.0.2.8)" || { echo "'$value'"; bad=1; }
		[ -z "$value" ] || grep -q TCPREMOTEIP log || {
			echo "not logged: '$value'"
			bad=1
		}
		from 192.0.2.9 "$(received REMOTE_ADDR="$value" \
		    REMOTE_HOST=192.0.2.9)" || { echo "'$value'"; bad=1; }
	done
	[ $bad = 0 ]
}

@test "peer: TCPREMOTEHOST is named when it is a Domain, and else not" {
	local value got
	[[ $(received PROTO=TCP TCPREMOTEIP=192.0.2.7 \
	    TCPREMOTEHOST=client.example) = *'(client.example [192.0.2.7])'* ]]
	for value in 'two words' 'a..b' '-x;y' $'a.example\nX-Evil: y' \
	    $'a\r\nX-Evil: y' '(comment)' '<a@b>' 'b\c' $'b\xfcd'; do
		got=$(received PROTO=TCP TCPREMOTEIP=192.0.2.7 \
		    TCPREMOTEHOST="$value")
		from 192.0.2.7 "$got"
		[[ $got = 'from c.example ('?([a-z]* )'[192.0.2.7])'* ]] || {
			echo "'$value' in: $got"
			false
		}
		[[ $got != *"$value"* ]]
		run ! grep -q Evil "$(only_message)"
	done
}

@test "peer: through a pipe without a launcher the client is unknown" {
	[[ $(received A=b) = 'from c.example '*' by mx.example '* ]]
	[[ $(received A=b) != *'['* ]]
	# a name in REMOTE_HOST is no address
	[[ $(received REMOTE_HOST=host.example) != *'['* ]]
}

@test "peer: getpeername(2) is asked where the environment says nothing" {
	from 127.0.0.1 "$(by_socket tcp A=b)"
}

@test "peer: the environment goes before the socket" {
	from 192.0.2.9 "$(by_socket tcp REMOTE_HOST=192.0.2.9 REMOTE_PORT=1)"
	from 192.0.2.7 "$(by_socket tcp PROTO=TCP TCPREMOTEIP=192.0.2.7)"
	from 192.0.2.8 "$(by_socket unix REMOTE_ADDR=192.0.2.8)"
	# and the socket before what does not parse
	from 127.0.0.1 "$(by_socket tcp REMOTE_HOST=host.example REMOTE_ADDR=x)"
}

@test "peer: a dual-stack socket's IPv4 client is unmapped" {
	local got
	got=$(by_socket mapped A=b)
	[[ $got != 'no mapped'* ]] || skip 'no IPv6 here'
	from 127.0.0.1 "$got"
}

@test "peer: an IPv6 client is an IPv6 literal" {
	local got
	got=$(by_socket tcp6 A=b)
	[[ $got != 'no tcp6'* ]] || skip 'no IPv6 here'
	from IPv6:::1 "$got"
}

@test "peer: a UNIX socket's client is unknown" {
	local got
	got=$(by_socket unix A=b)
	[[ $got = 'from c.example '*' by mx.example '* ]]
	[[ $got != *'['* ]]
}

@test "peer: no address grants anything, loopback least of all" {
	by_socket tcp A=b
	# the first recipient, elsewhere, was refused
	[ "$(codes)" = '220 250 250 550 250 354 250 221' ]
	by_socket tcp REMOTE_HOST=127.0.0.1
	[ "$(codes)" = '220 250 250 550 250 354 250 221' ]
	by_socket unix A=b
	[ "$(codes)" = '220 250 250 550 250 354 250 221' ]
	# into Maildirs, RELAYCLIENT opens none either
	by_socket tcp RELAYCLIENT=
	[ "$(codes)" = '220 250 250 550 250 354 250 221' ]
}

@test "peer: the log names the same address as Received" {
	received PROTO=TCP TCPREMOTEIP=192.0.2.7
	grep -q '192\.0\.2\.7' log
	received REMOTE_ADDR=::ffff:192.0.2.8
	grep -q '192\.0\.2\.8' log
	run ! grep -qi '::ffff' log
}
