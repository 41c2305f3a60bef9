# eof.bats - the client that goes away: at any byte, by signal, by reset
# RFC 5321 sections 3.8, 4.1.1.10 and 6.1; RFC 1047

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# cut_everywhere OPTION...: end the session in the file `whole` after each of
# its bytes; only the last dot, with its CRLF, may leave a message
cut_everywhere() {
	py "$SMTPD" "${OPTS[@]}" "$@" <<-'P'
		import os
		import re
		import sys
		import talk

		data = open('whole', 'rb').read()
		dot = data.rindex(b'\r\n.\r\n') + 5
		begun = data.index(b'DATA\r\n') + 6
		bad = 0
		for n in range(len(data) + 1):
		    out, log, status = talk.run(sys.argv[1:], data[:n])
		    wrong = []
		    new, tmp = os.listdir('box/new'), os.listdir('box/tmp')
		    if tmp:
		        wrong.append('left in tmp: %s' % tmp)
		    if len(new) != (n >= dot):
		        wrong.append('messages: %d' % len(new))
		    codes = re.findall(rb'^(\d\d\d)(?: |\r$)', out, re.M)
		    # one for each whole command, and the greeting; a farewell may
		    # follow, but nothing that says yes
		    whole = min(data[:n].count(b'\r\n'), data[:begun].count(b'\r\n'))
		    due = 1 + whole + (data[dot:n].count(b'\r\n') + 1 if n >= dot else 0)
		    if len(codes) < due or any(c[:1] in b'23' for c in codes[due:]):
		        wrong.append('%d due, replies %s' % (due, codes))
		    want = 0 if n < data.index(b'MAIL') or n >= dot else 1
		    if n < data.index(b'MAIL') or n >= begun:
		        if status != want:
		            wrong.append('status %d' % status)
		    elif status not in (0, 1):
		        wrong.append('status %d' % status)
		    if wrong:
		        bad += 1
		        print('after', n, 'bytes,', data[:n][-20:], *wrong, sep='; ')
		    for name in new:
		        os.unlink('box/new/' + name)
		sys.exit(bad > 0)
	P
}

whole_session() {
	printf '%b' 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n' \
	    'RCPT TO:<u@example.org>\r\nDATA\r\nSubject: x\r\n\r\n..\r\n' \
	    'hello\r\n.x\r\n\r\n.\r\nQUIT\r\n'
}

@test "eof: at every byte of a session it delivers nothing before the dot" {
	launched
	whole_session >whole
	cut_everywhere
}

@test "eof: the same by hand, and with --bare-newline normalize" {
	whole_session | sed 's/^hello/hel\nlo/' >whole
	cut_everywhere --bare-newline normalize
}

@test "eof: the same in LF mode, by hand" {
	local n
	whole_session | tr -d '\r' >whole
	for ((n = 0; n < $(wc -c <whole) - 5; n++)); do
		head -c $n whole >in
		send <in
		nothing_kept || { echo "after $n bytes"; false; }
	done
	send <whole
	[ "$(count box/new)" = 1 ]
	[ "$status" = 0 ]
}

@test "eof: a message cut within a long line or after many leaves nothing" {
	local n bad=0
	for n in 1000 4095 4096 4097 65536 1000000; do
		{
			whole_session | sed '/^Subject/,$d'
			printf "%0${n}d" 0
		} >in
		send <in
		[ "$status" = 1 ] || { echo "$n: status $status"; bad=1; }
		nothing_kept || { echo "$n: kept"; bad=1; }
		{
			whole_session | sed '/^Subject/,$d'
			yes $'hello\r' | head -n "$n"
		} >in
		send <in
		[ "$status" = 1 ] || { echo "$n lines: status $status"; bad=1; }
		nothing_kept || { echo "$n lines: kept"; bad=1; }
	done
	[ $bad = 0 ]
}

@test "eof: a command without its line end is not carried out" {
	printf 'EHLO c.example\r\nQUIT' >in
	send <in
	[ "$(codes)" = '220 250' ] || [[ $(codes) = '220 250 421' ]]
}

@test "eof: no input at all is a client that left properly" {
	send </dev/null
	[ "$(codes)" = 220 ]
	[ "$status" = 0 ]
}

@test "eof: a message delivered before it stays" {
	whole_session | sed '/^QUIT/d' >in
	send <in
	[ "$(codes)" = '220 250 250 250 354 250' ]
	[ "$(count box/new)" = 1 ]
	[ "$status" = 0 ]
}

# signalled STAGE: SIGTERM after the program has read all that a client says
# up to there; prints the codes and leaves $status
signalled() {
	status=0
	py "$1" "$SMTPD" "${OPTS[@]}" <<-'P' || status=$?
		import os
		import signal
		import subprocess
		import sys
		import talk

		said = {
		    'greeting': b'',
		    'half a command': b'EHLO c.exa',
		    'EHLO': b'EHLO c.example\r\n',
		    'a half long line': b'NOOP ' + b'x' * 5000,
		    'MAIL': b'EHLO c\r\nMAIL FROM:<a@c.example>\r\n',
		    'RCPT': b'MAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\n',
		}
		said['DATA'] = said['RCPT'] + b'DATA\r\n'
		said['a line'] = said['DATA'] + b'Subject: x\r\n'
		said['half a line'] = said['DATA'] + b'Subject: x\r\n\r\nhel'
		said['a megabyte'] = said['DATA'] + b'0123456789\r\n' * 90000
		said['CRLF'] = said['DATA'] + b'x\r\n'
		said['CRLF dot'] = said['DATA'] + b'x\r\n.'
		said['CRLF dot CR'] = said['DATA'] + b'x\r\n.\r'
		said['one too big'] = said['DATA'] + b'x' * 3000000

		r, w = os.pipe()
		with open('out', 'wb') as out, open('log', 'wb') as log:
		    child = subprocess.Popen(sys.argv[2:], stdin=r, stdout=out,
		        stderr=log)
		os.close(r)
		# the greeting tells that it has started
		end = talk.time.monotonic() + talk.LIMIT
		while not os.path.getsize('out'):
		    if talk.time.monotonic() > end:
		        child.kill()
		        sys.exit('no greeting')
		    talk.time.sleep(0.001)
		talk.feed(w, said[sys.argv[1]], 65536, child)
		child.send_signal(signal.SIGTERM)
		# the client stays, and says no more
		sys.exit(talk.ended(child))
	P
}

@test "SIGTERM: 421 4.3.2 at once and no file, wherever the session is" {
	local stage bad=0
	launched
	OPTS+=(-s 2M)
	for stage in greeting 'half a command' EHLO 'a half long line' MAIL RCPT \
	    DATA 'a line' 'half a line' 'a megabyte' CRLF 'CRLF dot' \
	    'CRLF dot CR' 'one too big'; do
		signalled "$stage"
		[ "$status" = 1 ] || { echo "$stage: status $status"; bad=1; }
		[[ $(full_codes) = *' 421/4.3.2' ]] || {
			echo "$stage: $(full_codes)"
			bad=1
		}
		nothing_kept || { echo "$stage: a file is left"; bad=1; }
	done
	[ $bad = 0 ]
}

# flooded WHAT: SIGTERM while the client writes WHAT without end
flooded() {
	status=0
	py "$1" "$SMTPD" "${OPTS[@]}" <<-'P' || status=$?
		import os
		import signal
		import subprocess
		import sys
		import threading
		import time
		import talk

		r, w = os.pipe()
		with open('out', 'wb') as out, open('log', 'wb') as log:
		    child = subprocess.Popen(sys.argv[2:], stdin=r, stdout=out,
		        stderr=log)
		os.close(r)
		sent = 0


		def flood():
		    global sent
		    block = {'lines': b'0123456789\r\n' * 5000, 'dots': b'..\r\n' * 16000,
		        'one line': b'x' * 65536, 'bare': b'x\n' * 32000,
		        'commands': b'NOOP\r\n' * 10000}[sys.argv[1]]
		    try:
		        if sys.argv[1] != 'commands':
		            os.write(w, b'MAIL FROM:<a@c.example>\r\n'
		                b'RCPT TO:<u@example.org>\r\nDATA\r\n')
		        while True:
		            sent += os.write(w, block)
		    except BrokenPipeError:
		        pass


		thread = threading.Thread(target=flood, daemon=True)
		thread.start()
		end = time.monotonic() + talk.LIMIT
		while sent < 1000000 and time.monotonic() < end:
		    time.sleep(0.001)
		child.send_signal(signal.SIGTERM)
		began = time.monotonic()
		status = talk.ended(child)
		if time.monotonic() - began > 5:
		    print('it took', time.monotonic() - began, 'seconds')
		    sys.exit(99)
		sys.exit(status)
	P
}

@test "SIGTERM: is noticed while a client floods" {
	local what bad=0
	launched
	OPTS+=(-s 3M -e 9999)
	for what in lines dots 'one line' bare commands; do
		flooded "$what"
		[ "$status" = 1 ] || { echo "$what: status $status"; bad=1; }
		[[ $(full_codes) = *' 421/4.3.2' ]] || {
			echo "$what: $(full_codes | tail -c 60)"
			bad=1
		}
		nothing_kept || { echo "$what: a file is left"; bad=1; }
	done
	[ $bad = 0 ]
}

@test "SIGTERM: is noticed while there is always more to read" {
	local what bad=0
	launched
	OPTS+=(-s 3M)
	for what in DATA NOOP; do
		# a session, and then a hole that takes minutes to read
		case $what in
		DATA)	printf '%s\r\n' 'MAIL FROM:<a@c.example>' \
			    'RCPT TO:<u@example.org>' DATA >in ;;
		NOOP)	printf 'NOOP ' >in ;;
		esac
		truncate -s 1T in
		status=0
		py "$SMTPD" "${OPTS[@]}" <<-'P' || status=$?
			import os
			import signal
			import subprocess
			import sys
			import talk

			fd = os.open('in', os.O_RDONLY)
			with open('out', 'wb') as out, open('log', 'wb') as log:
			    child = subprocess.Popen(sys.argv[1:], stdin=fd, stdout=out,
			        stderr=log)
			end = talk.time.monotonic() + talk.LIMIT
			# the offset is ours, too: it tells how far it is
			while os.lseek(fd, 0, os.SEEK_CUR) < 10000000:
			    if talk.time.monotonic() > end or child.poll() is not None:
			        child.kill()
			        sys.exit('it does not read on')
			child.send_signal(signal.SIGTERM)
			sys.exit(talk.ended(child))
		P
		[ "$status" = 1 ] || { echo "$what: status $status"; bad=1; }
		[[ $(full_codes) = *' 421/4.3.2' ]] || {
			echo "$what: $(full_codes)"
			bad=1
		}
		nothing_kept || { echo "$what: a file is left"; bad=1; }
	done
	[ $bad = 0 ]
}

@test "SIGTERM: is noticed while a client takes its time with the replies" {
	launched
	OPTS+=(-e 9999)
	py "$SMTPD" "${OPTS[@]}" <<-'P'
		import os
		import signal
		import subprocess
		import sys
		import talk

		with open('in', 'wb') as f:
		    f.write(b'EHLO c.example\r\n' + b'HELP\r\n' * 100000)
		r, w = os.pipe()
		with open('in', 'rb') as data, open('log', 'wb') as log:
		    child = subprocess.Popen(sys.argv[1:], stdin=data, stdout=w,
		        stderr=log)
		os.close(w)
		# until the pipe takes no more
		was, end = 0, talk.time.monotonic() + talk.LIMIT
		while talk.time.monotonic() < end:
		    talk.time.sleep(0.05)
		    now = talk.unread(r)
		    if now == was and now > 30000:
		        break
		    was = now
		else:
		    child.kill()
		    sys.exit('the pipe is not filled')
		if child.poll() is not None:
		    sys.exit('it has gone already')
		child.send_signal(signal.SIGTERM)
		# now it reads after all: what was under way comes whole, then 421
		got = b''
		while True:
		    more = os.read(r, 65536)
		    if not more:
		        break
		    got += more
		open('out', 'wb').write(got)
		sys.exit(talk.ended(child) != 1)
	P
	[[ $(full_codes) = *' 214/2.0.0 421/4.3.2' ]]
	# not all of it, though all of it was there to be read
	[ "$(codes | wc -w)" -lt 50000 ]
}

@test "SIGTERM: a client with CRLF dot CRLF on its way is told, not dropped" {
	launched
	# before the program reads at all: the signal is the first thing it sees
	py "$SMTPD" "${OPTS[@]}" <<-'P'
		import os
		import signal
		import subprocess
		import sys
		import talk

		data = (b'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		    b'RCPT TO:<u@example.org>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n')
		wrong = 0
		for i in range(60):
		    r, w = os.pipe()
		    with open('out', 'wb') as out, open('log', 'wb') as log:
		        child = subprocess.Popen(sys.argv[1:], stdin=r, stdout=out,
		            stderr=log)
		    os.close(r)
		    while not os.path.getsize('out'):
		        if child.poll() is not None:
		            sys.exit('it has gone')
		    # one write, and the signal at a moment of its own
		    os.write(w, data)
		    for _ in range(i * 50):
		        pass
		    child.send_signal(signal.SIGTERM)
		    status = talk.ended(child)
		    os.close(w)
		    said = open('out', 'rb').read()
		    new, tmp = os.listdir('box/new'), os.listdir('box/tmp')
		    # delivered if and only if it was said to be
		    if len(new) != said.count(b'\r\n250 2.0.0 ') or tmp:
		        print('round', i, said, new, tmp)
		        wrong += 1
		    if (b'\r\n221 ' in said) != (status == 0) or status not in (0, 1):
		        print('round', i, said, 'status', status)
		        wrong += 1
		    for name in new:
		        os.unlink('box/new/' + name)
		sys.exit(wrong > 0)
	P
}

# over_socket SCRIPT: Python lines that find `client`, a connected TCP socket,
# and `child`, the program at its other end
over_socket() {
	{
		cat <<-'P'
			import os
			import socket
			import struct
			import subprocess
			import sys
			import talk

			server = socket.create_server(('127.0.0.1', 0))
			client = socket.create_connection(server.getsockname())
			conn, _ = server.accept()
			server.close()
			client.settimeout(talk.LIMIT)
			with open('log', 'wb') as log:
			    child = subprocess.Popen(sys.argv[1:], stdin=conn,
			        stdout=conn, stderr=log)
			conn.close()


			def heard(code):
			    """all replies, up to the one with this code"""
			    got = b''
			    while b'\n' + code + b' ' not in b'\n' + got or got[-1:] != b'\n':
			        more = client.recv(65536)
			        if not more:
			            sys.exit('the connection ended: %r' % got)
			        got += more
			    return got


			def reset():
			    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
			        struct.pack('ii', 1, 0))
			    client.close()


			ENVELOPE = (b'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
			    b'RCPT TO:<u@example.org>\r\nDATA\r\n')
		P
		cat
	} >script.py
	py "$SMTPD" "${OPTS[@]}" <script.py
}

@test "reset: a client that resets in the middle of DATA leaves nothing" {
	over_socket <<-'P'
		heard(b'220')
		client.sendall(ENVELOPE)
		heard(b'354')
		client.sendall(b'Subject: x\r\n\r\nhello\r\n.')
		reset()
		sys.exit(talk.ended(child) != 1)
	P
	nothing_kept
}

@test "reset: a client that resets in the middle of a flood leaves nothing" {
	over_socket <<-'P'
		heard(b'220')
		client.sendall(ENVELOPE + b'0123456789\r\n' * 100000)
		reset()
		sys.exit(talk.ended(child) != 1)
	P
	nothing_kept
}

@test "reset: a client that resets before the greeting is no crash" {
	over_socket <<-'P'
		reset()
		sys.exit(talk.ended(child) not in (0, 1))
	P
	nothing_kept
}

@test "reset: a client that resets while replies are due is no crash" {
	over_socket <<-'P'
		client.sendall(b'EHLO c.example\r\n' + b'HELP\r\n' * 1000)
		heard(b'220')
		reset()
		sys.exit(talk.ended(child) not in (0, 1))
	P
}

@test "half-closed: a client that sends all and closes gets every reply" {
	over_socket <<-'P'
		client.sendall(ENVELOPE + b'Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n')
		client.shutdown(socket.SHUT_WR)
		got = heard(b'221')
		sys.exit(talk.ended(child) != 0 or b'250 2.0.0 ' not in got)
	P
	[ "$(count box/new)" = 1 ]
}

@test "gone: a client that closes behind its dot has delivered" {
	over_socket <<-'P'
		heard(b'220')
		client.sendall(ENVELOPE)
		heard(b'354')
		client.sendall(b'Subject: x\r\n\r\nhello\r\n.\r\n')
		client.close()
		sys.exit(talk.ended(child) not in (0, 1))
	P
	[ "$(count box/new)" = 1 ]
	[ "$(count box/tmp)" = 0 ]
}

@test "gone: nobody reading the replies is no SIGPIPE" {
	local status
	whole_session >in
	# a pipe whose reading end is closed when the greeting is there
	py "$SMTPD" "${OPTS[@]}" <<-'P' || status=$?
		import os
		import subprocess
		import sys
		import talk

		r, w = os.pipe()
		with open('log', 'wb') as log:
		    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE,
		        stdout=w, stderr=log)
		os.close(w)
		os.read(r, 1000)
		os.close(r)
		child.stdin.write(open('in', 'rb').read())
		child.stdin.close()
		sys.exit(talk.ended(child))
	P
	[ "$status" = 1 ]
	[ "$(count box/tmp)" = 0 ]
}
