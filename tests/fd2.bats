# fd2.bats - when fd 2 is the connection, nothing but replies is ever on it
# RFC 5321 section 4.2: every line a client gets is a reply

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# wired KIND PLAN BYTES [OPTION...]: a session of BYTES over a socket of this
# kind (tcp, unix), with the program's fds as PLAN says:
#	all	0, 1 and 2 are the one socket
#	again	the same, each a duplicate of its own
#	out	0 is a pipe; 1 and 2 are the socket
#	in	0 and 2 are the socket; 1 is a pipe
#	file	0 and 1 are the socket, 2 is the file log
#	null	0 and 1 are the socket, 2 is /dev/null
#	other	0 and 1 are the socket, 2 is another socket
#	closed	0 and 1 are the socket, 2 is closed
# All that comes out of the socket, and of the pipe, is left in `out`; what the
# other socket got, in `log`.
wired() {
	status=0
	py "$1" "$2" "$3" "$SMTPD" "${@:4}" <<-'P' || status=$?
		import os
		import socket
		import subprocess
		import sys
		import talk

		kind, plan, data = sys.argv[1:4]
		data = data.encode().decode('unicode_escape').encode('latin1')
		if kind == 'unix':
		    client, conn = socket.socketpair()
		else:
		    server = socket.create_server(('127.0.0.1', 0))
		    client = socket.create_connection(server.getsockname())
		    conn, _ = server.accept()
		client.settimeout(talk.LIMIT)
		pipe_in, pipe_out = os.pipe(), os.pipe()
		other = socket.socketpair()
		fds = [conn.fileno()] * 3
		if plan == 'again':
		    fds = [os.dup(conn.fileno()) for _ in range(3)]
		elif plan == 'out':
		    fds[0] = pipe_in[0]
		elif plan == 'in':
		    fds[1] = pipe_out[1]
		elif plan == 'file':
		    fds[2] = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
		elif plan == 'null':
		    fds[2] = os.open('/dev/null', os.O_WRONLY)
		elif plan == 'other':
		    fds[2] = other[1].fileno()
		child = subprocess.Popen(sys.argv[4:], stdin=fds[0], stdout=fds[1],
		    stderr=fds[2],
		    preexec_fn=(lambda: os.close(2)) if plan == 'closed' else None)
		for fd in set(fds) - {conn.fileno(), other[1].fileno()}:
		    os.close(fd)
		conn.close()
		other[1].close()
		if plan == 'out':
		    os.write(pipe_in[1], data)
		    os.close(pipe_in[1])
		else:
		    try:
		        client.sendall(data)
		    except (BrokenPipeError, ConnectionResetError):
		        pass    # it has said its 421, and is gone
		got = b''
		while True:
		    try:
		        more = client.recv(65536)
		    except ConnectionResetError:
		        break
		    if not more:
		        break
		    got += more
		if plan == 'in':
		    while True:
		        more = os.read(pipe_out[0], 65536)
		        if not more:
		            break
		        got += more
		if plan == 'other':
		    other[0].settimeout(talk.LIMIT)
		    with open('log', 'wb') as log:
		        log.write(other[0].recv(65536))
		open('out', 'wb').write(got)
		sys.exit(talk.ended(child))
	P
}

# a session with everything that is worth a line in the log
SESSION='EHLO c.example\r\nFOO\r\nMAIL FROM:<a@c.example>\r\n'
SESSION+='RCPT TO:<u@elsewhere.example>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n'
SESSION+='Subject: x\r\n\r\nx\r\n.\r\nMAIL FROM:<a@c.example>\r\n'
SESSION+='RCPT TO:<u@example.org>\r\nDATA\r\nx\ny\r\n.\r\nQUIT\r\n'
CODES='220 250 500 250 550 250 354 250 250 250 354 550 221'

# only_replies: every line in `out` is a reply's, ended by CRLF
only_replies() {
	[ -s out ] || { echo 'nothing at all'; return 1; }
	if grep -Evan $'^[2-5][0-9][0-9][ -][ -~]*\r$|^[2-5][0-9][0-9]\r$' out; then
		echo 'is no reply'
		return 1
	fi
}

@test "fd 2: while it is the connection, replies alone are on it" {
	local kind plan
	for kind in tcp unix; do
		for plan in all again out in; do
			rm -f box/new/*
			wired $kind $plan "$SESSION" "${OPTS[@]}"
			only_replies || { echo "$kind $plan"; false; }
			[ "$(codes)" = "$CODES" ] || {
				echo "$kind $plan: $(codes)"
				false
			}
			[ "$(count box/new)" = 1 ]
			[ "$status" = 0 ]
		done
	done
}

@test "fd 2: so it is with -v and with --log stderr" {
	wired tcp all "$SESSION" "${OPTS[@]}" -v
	only_replies
	[ "$(codes)" = "$CODES" ]
	wired unix all "$SESSION" "${OPTS[@]}" --log stderr -v
	only_replies
	[ "$(codes)" = "$CODES" ]
}

@test "fd 2: a fault of ours is not told on it" {
	rmdir box/tmp
	wired tcp all "$SESSION" "${OPTS[@]}"
	only_replies
	[[ $(codes) = '220 250 500 250 '* ]]
	rm -r box
	wired tcp all "$SESSION" "${OPTS[@]}"
	only_replies
}

@test "fd 2: a wrong option gets the client 421, and no usage" {
	wired tcp all 'QUIT\r\n' --no-such-option
	only_replies
	[ "$(codes)" = 421 ]
	[ "$status" = 64 ]
	wired unix all 'QUIT\r\n' -s nonsense -m box
	only_replies
	[ "$(codes)" = 421 ]
	[ "$status" = 64 ]
	echo 'no-such-name 1' >conf
	wired tcp all 'QUIT\r\n' -m box -f conf
	only_replies
	[ "$(codes)" = 421 ]
	[ "$status" = 78 ]
	wired tcp all 'QUIT\r\n' -d example.org
	only_replies
	[ "$(codes)" = 421 ]
	[ "$status" = 78 ]
}

@test "fd 2: a file, or another socket, has the log" {
	wired tcp file "$SESSION" "${OPTS[@]}"
	only_replies
	[ "$(codes)" = "$CODES" ]
	grep -q '127\.0\.0\.1' log
	wired tcp other "$SESSION" "${OPTS[@]}"
	only_replies
	grep -q '127\.0\.0\.1' log
}

@test "fd 2: closed, no file of the mail's is taken for it" {
	printf 'Subject: x\n\nx\n' >want
	wired tcp closed "$SESSION" "${OPTS[@]}" -v
	only_replies
	[ "$(codes)" = "$CODES" ]
	stored_is want
	rm box/new/*
	wired tcp null "$SESSION" "${OPTS[@]}" -v --log stderr
	[ "$(codes)" = "$CODES" ]
	stored_is want
}

@test "fd 2: with 0 or 1 closed nothing is delivered, and nothing crashes" {
	local status=0
	printf '%s\r\n' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA \
	    x . QUIT >in
	timeout -k 1 10 "$SMTPD" "${OPTS[@]}" <&- >out 2>log || status=$?
	[ "$status" -lt 124 ]
	nothing_kept
	status=0
	timeout -k 1 10 "$SMTPD" "${OPTS[@]}" <in >&- 2>log || status=$?
	[ "$status" -lt 124 ]
	[ "$(count box/tmp)" = 0 ]
	# whatever became of the mail, no reply is in it
	run ! grep -rqa '^[2-5][0-9][0-9] ' box
}
