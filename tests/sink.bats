#!/usr/bin/env bats
# sink.bats - contrib/smtpsink: one process, many clients, and the same promise
# RFC 5321, 4.1.1.4 (250), 4.5.2 (dots), 3.8 (421); RFC 2920; RFC 3030

# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2016 # what stands in single quotes is for another shell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them
load helper

# built SINK [SED]: smtpsink with sanitizers, and its source as SED changes it
built() {
	sed "${2:-}" "$ROOT/contrib/smtpsink.c" >"$1.c"
	"${CC:-cc}" -std=c11 -D_GNU_SOURCE -g -O1 -I"$ROOT" -o "$1" \
	    -fsanitize=address,undefined -fno-sanitize-recover=all \
	    "$1.c" "$ROOT/smtp_parse.c"
}

WITH=()

setup_file() {
	export SINK=$BATS_FILE_TMPDIR/smtpsink
	built "$SINK"
}

teardown() {
	[ -n "${sink:-}" ] || return 0
	# shellcheck disable=SC2046 # what it stands behind, and itself
	kill -9 $(pgrep -P "$sink") "$sink" 2>/dev/null || :
}

# start [COMMAND...]: the sink, in front of it COMMAND, at the port $port with
# its Maildir in sunk, and the options WITH
start() {
	"$@" "$SINK" -p 0 "${WITH[@]}" sunk >lines 2>err </dev/null 3>&- &
	sink=$!
	eventually test -s lines
	port=$(sed -n '1s/^listening on 127\.0\.0\.1:\([0-9]*\)$/\1/p' lines)
	[ -n "$port" ]
}

# stopped: SIGTERM ends it well, and tmp/ is empty
stopped() {
	local rc=0
	kill "$sink"
	wait "$sink" || rc=$?
	cat err
	[ $rc = 0 ] && [ ! -s err ] && [ "$(count sunk/tmp)" = 0 ]
	sink=
}

# client COMMAND...: a program that sends mail, and says that it did
client() {
	timeout 60 "$@" >said 2>&1 3>&- || { cat said; return 1; }
}

# letter: what is hard on clients and servers, in the file letter
letter() {
	printf '%s\n' 'From: a@c.example' 'To: u@example.org' \
	    'Date: Thu, 01 Jan 2026 00:00:00 +0000' \
	    'Message-ID: <1@c.example>' 'Subject: dots' '' \
	    . .. ... .dot ..dots . '' ' . ' .QUIT QUIT 'From here' '' . >letter
	printf '.%0989d\n.\n' 0 >>letter
}

# sinks SCRIPT: Python, with a client to begin with
sinks() {
	{
		cat <<-'P'
			import os
			import re
			import signal
			import socket
			import sys
			import time

			PORT, SINK = int(sys.argv[1]), int(sys.argv[2])


			class Client:
			    """a connection; replies are 250/2.0.0, and its words"""
			    def __init__(self, greeted=True):
			        self.sock = socket.create_connection(
			            ('127.0.0.1', PORT), 20)
			        self.file = self.sock.makefile('rb')
			        if greeted:
			            self.expect('220')

			    def send(self, data):
			        self.sock.sendall(data)

			    def reply(self):
			        while True:
			            line = self.file.readline().decode()
			            if not line:
			                return 'end'
			            m = re.fullmatch(r'(\d{3})(?: ([245]\.\d+\.\d+))?'
			                r'(?: (.*))?\r\n', line)
			            if m:
			                self.words = m.group(3)
			                return '/'.join(filter(None, m.groups()[:2]))

			    def expect(self, *want):
			        got = tuple(self.reply() for _ in want)
			        assert got == want, (got, want)

			    def say(self, line, want):
			        self.send(line.encode() + b'\r\n')
			        self.expect(want)

			    def envelope(self, sender='a@c.example', *rcpts):
			        self.say('EHLO c.example', '250')
			        self.say('MAIL FROM:<%s>' % sender, '250/2.1.0')
			        for r in rcpts or ('u@example.org',):
			            self.say('RCPT TO:<%s>' % r, '250/2.1.5')

			    def kept(self):
			        """the message that the last reply speaks of"""
			        name = re.fullmatch(r'Delivered as (\S+)', self.words)
			        with open('sunk/new/' + name.group(1), 'rb') as f:
			            return f.read()


		P
		cat
	} | py "$port" "$sink"
}

@test "sink: it makes its Maildir, and says where it listens and what came" {
	start
	[ "$(stat -c %a sunk sunk/tmp sunk/new sunk/cur | sort -u)" = 700 ]
	sinks <<-'P'
		c = Client()
		c.envelope('a@c.example', 'u@example.org', '"b c"@example.net')
		c.say('DATA', '354')
		c.say('one\r\n.', '250/2.0.0')
		c.say('MAIL FROM:<>', '250/2.1.0')
		c.say('RCPT TO:<postmaster>', '250/2.1.5')
		c.say('VRFY u', '252/2.0.0')
		c.say('DATA', '354')
		c.say('two\r\n.', '250/2.0.0')
		c.say('QUIT', '221/2.0.0')
		c.expect('end')
	P
	stopped
	sed 1d lines >mails
	[ "$(wc -l <mails)" = 2 ]
	read -r from to quoted file <<<"$(sed -n 's/"b c"/"b_c"/; 1p' mails)"
	[ "$from $to $quoted" = \
	    'from=<a@c.example> to=<u@example.org> to=<"b_c"@example.net>' ]
	echo one | cmp - "$file"
	read -r from to file <<<"$(sed -n 2p mails)"
	[ "$from $to" = 'from=<> to=<postmaster>' ]
	echo two | cmp - "$file"
	[ "$(stat -c %a "$file")" = 600 ]
}

@test "sink: what swaks, msmtp, curl and smtplib send arrives byte for byte" {
	need swaks msmtp curl
	local file
	export HOME=$PWD
	start
	letter
	# without the dot, swaks ends it by another line end
	{ cat letter; echo .; } >dotted
	client swaks --server 127.0.0.1 --port "$port" --ehlo c.example \
	    --from a@c.example --to u@example.org --data @dotted
	client swaks --server 127.0.0.1 --port "$port" --ehlo c.example \
	    --from a@c.example --to u@example.org --data @dotted --pipeline
	client msmtp --host=127.0.0.1 --port="$port" --tls=off --auth=off \
	    --domain=c.example --from=a@c.example u@example.org <letter
	sed 's/$/\r/' letter >crlf
	client curl -q -sS "smtp://127.0.0.1:$port/c.example" \
	    --mail-from a@c.example --mail-rcpt u@example.org -T crlf
	sinks <<-'P'
		import smtplib
		with smtplib.SMTP('127.0.0.1', PORT, 'c.example') as s:
		    with open('letter') as f:
		        s.sendmail('a@c.example', 'u@example.org', f.read())
	P
	stopped
	sed '1d; s/.* //' lines >files
	[ "$(wc -l <files)" = 5 ]
	while read -r file; do
		cmp "$file" letter
	done <files
}

@test "sink: two hundred clients at once are all served, and each mail is whole in new/ when its 250 comes" {
	start
	sinks <<-'P'
		all = [Client() for _ in range(200)]
		for i, c in enumerate(all):
		    c.envelope('%d@c.example' % i)
		for c in all:
		    c.say('DATA', '354')
		# piece by piece, in turn
		text = [b'Subject: %d\r\n\r\n' % i + b'%d of it\r\n' % i * 3000
		    for i in range(200)]
		for at in range(0, 50000, 10000):
		    for t, c in zip(text, all):
		        c.send(t[at:at + 10000])
		for c in all:
		    c.send(b'.\r\n')
		for t, c in zip(text, all):
		    c.expect('250/2.0.0')
		    assert c.kept() == t.replace(b'\r\n', b'\n')
		for c in all:
		    c.say('QUIT', '221/2.0.0')
	P
	[ "$(count sunk/new)" = 200 ]
	[ "$(count sunk)" = 200 ]
	[ "$(sed 1d lines | sort -u | wc -l)" = 200 ]
	stopped
}

@test "sink: clients beyond its limit wait, and are served when others have gone" {
	[ "$(ulimit -n)" -ge 1024 ] || skip 'too few descriptors'
	start
	sinks <<-'P'
		all = [Client() for _ in range(500)]
		late = Client(greeted=False)
		late.sock.settimeout(1.5)
		try:
		    late.reply()
		    sys.exit('one too many')
		except TimeoutError:
		    pass
		all[250].say('QUIT', '221/2.0.0')
		late = Client(greeted=False)
		all[7].sock.close()
		all[7].file.close()
		late.expect('220')
	P
	stopped
}

@test "sink: a pipelined session of several messages is answered in its order" {
	start
	sinks <<-'P'
		c = Client()
		one = b'MAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\n'
		c.send(b'EHLO c.example\r\n' + one + b'DATA\r\n..1\r\n.\r\n' +
		    b'RCPT TO:<early@example.org>\r\n' +
		    one + b'BDAT 3\r\n2\r\nBDAT 4 LAST\r\n.3\r\n' +
		    one + b'DATA\r\n4\r\n.\r\nQUIT\r\n')
		c.expect('250', '250/2.1.0', '250/2.1.5', '354', '250/2.0.0')
		assert c.kept() == b'.1\n'
		c.expect('503/5.5.1', '250/2.1.0', '250/2.1.5', '250/2.0.0',
		    '250/2.0.0')
		assert c.kept() == b'2\n.3\n'
		c.expect('250/2.1.0', '250/2.1.5', '354', '250/2.0.0')
		assert c.kept() == b'4\n'
		c.expect('221/2.0.0', 'end')
	P
	stopped
}

@test "sink: chunks of any octets arrive as they were" {
	start
	head -c 300000 /dev/urandom | tr -d '\r\n' >octets
	sinks <<-'P'
		data = open('octets', 'rb').read()
		c = Client()
		c.envelope()
		for at in range(0, len(data), 65536):
		    piece = data[at:at + 65536]
		    c.send(b'BDAT %d\r\n' % len(piece) + piece)
		    c.expect('250/2.0.0')
		c.say('BDAT 0 LAST', '250/2.0.0')
		assert c.kept() == data + b'\n'
	P
	stopped
}

@test "sink: a client that dies in its message leaves nothing, and disturbs no other" {
	start
	sinks <<-'P'
		def begun():
		    c = Client()
		    c.envelope()
		    c.say('DATA', '354')
		    c.send(b'half of it\r\n' * 5000)
		    return c

		other, dies, resets = begun(), begun(), begun()
		dies.file.close()
		dies.sock.close()
		resets.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
		    b'\1\0\0\0\0\0\0\0')
		resets.file.close()
		resets.sock.close()
		end = time.monotonic() + 10
		while len(os.listdir('sunk/tmp')) > 1:
		    assert time.monotonic() < end
		    time.sleep(0.02)
		other.send(b'.\r\n')
		other.expect('250/2.0.0')
		assert other.kept() == b'half of it\n' * 5000
	P
	[ "$(count sunk)" = 1 ]
	stopped
	[ "$(wc -l <lines)" = 2 ]
}

@test "sink: a client that does not read its replies holds up no other, and gets them all" {
	start
	sinks <<-'P'
		deaf = Client()
		deaf.sock.setblocking(False)
		sent = 0
		quiet = time.monotonic() + 1
		# until its replies and then its commands fill all buffers
		while time.monotonic() < quiet:
		    try:
		        sent += deaf.sock.send(b'NOOP\r\n' * 10000)
		        quiet = time.monotonic() + 1
		    except BlockingIOError:
		        time.sleep(0.01)
		c = Client()
		c.envelope()
		c.say('DATA', '354')
		c.say('.', '250/2.0.0')
		c.say('QUIT', '221/2.0.0')
		deaf.sock.setblocking(True)
		deaf.sock.settimeout(20)
		got = 0
		while got < sent // 6:
		    got += deaf.sock.recv(1 << 20).count(b'\n')
	P
	stopped
}

@test "sink: SIGTERM is a 421 to all, and what is not complete is gone" {
	start
	sinks <<-'P'
		fresh, idle, full = Client(), Client(), Client()
		idle.envelope()
		full.envelope()
		full.say('DATA', '354')
		full.send(b'half of it\r\n' * 5000)
		end = time.monotonic() + 10
		while not os.listdir('sunk/tmp'):
		    assert time.monotonic() < end
		os.kill(SINK, signal.SIGTERM)
		for c in fresh, idle, full:
		    c.expect('421/4.3.2', 'end')
	P
	wait "$sink"
	sink=
	[ "$(count sunk)" = 0 ]
	[ "$(wc -l <lines)" = 1 ]
	[ ! -s err ]
}

# full: what does not fit is 452, and leaves nothing; then what fits is taken
full() {
	sinks <<-'P'
		c = Client()
		c.envelope()
		c.say('DATA', '354')
		c.send(b'too much of it\r\n' * 20000 + b'.\r\n')
		c.expect('452/4.3.1')
		c.envelope()
		c.say('DATA', '354')
		c.say('short\r\n.', '250/2.0.0')
		c.say('QUIT', '221/2.0.0')
	P
}

@test "sink: a limit on the size of files is 452, and a smaller message is taken" {
	start bash -c 'ulimit -f 64; exec "$@"' bash
	full
	stopped
	[ "$(count sunk)" = 1 ]
}

@test "sink: a full disk is 452, and a smaller message is taken when it has room" {
	need_root
	need unshare
	mkdir sunk
	# shellcheck disable=SC2016 # for sh
	start unshare -m sh -c 'mount -t tmpfs -o size=64k none sunk || exit
	    trap : TERM; "$@" & wait; kill $!; wait $!; rc=$?
	    find sunk -type f >left; exit $rc' sh
	full
	kill "$sink"
	wait "$sink"
	sink=
	[ ! -s err ]
	[ "$(grep -c '^sunk/new/' left)" = 1 ]
	[ "$(wc -l <left)" = 1 ]
}

@test "sink: without a directory tmp it says 452, and no more" {
	start
	rmdir sunk/tmp
	sinks <<-'P'
		c = Client()
		c.envelope()
		c.say('DATA', '452/4.2.0')
		os.mkdir('sunk/tmp')
		c.envelope()
		c.say('DATA', '354')
		c.say('.', '250/2.0.0')
	P
	stopped
}

@test "sink: a client that says nothing is sent away" {
	SINK=$PWD/hasty
	built hasty 's/PATIENCE 300/PATIENCE 1/'
	start
	sinks <<-'P'
		c = Client()
		c.envelope()
		c.say('DATA', '354')
		c.send(b'and then')
		c.expect('421/4.4.2', 'end')
	P
	[ "$(count sunk)" = 0 ]
	stopped
}

@test "sink: what is complete at once is synced first, new/ once for all, and then answered" {
	need strace
	strace -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	start strace -qq -f -o trace -e trace=fsync,link,write \
	    env ASAN_OPTIONS=detect_leaks=0
	sinks <<-'P'
		pid = int(open('/proc/%d/task/%d/children' % (SINK, SINK)).read())
		all = [Client() for _ in range(20)]
		for c in all:
		    c.envelope()
		    c.say('DATA', '354')
		os.kill(pid, signal.SIGSTOP)
		# which takes its time where strace looks on
		while open('/proc/%d/stat' % pid).read().split(') ')[1][0] in 'RS':
		    time.sleep(0.01)
		for c in all:
		    c.send(b'.\r\n')
		os.kill(pid, signal.SIGCONT)
		for c in all:
		    c.expect('250/2.0.0')
		os.kill(pid, signal.SIGTERM)
	P
	wait "$sink" || :
	sink=
	[ "$(grep -c 'fsync(' trace)" = 21 ]
	[ "$(grep -c 'link(.* = 0' trace)" -ge 20 ]
	# no link, and no sync of a file, behind a 250 for one
	sed -n '/fsync(/,$p' trace >end
	sed '/ "250 2.0.0 Delivered/,$d' end >before
	[ "$(grep -c 'fsync(' before)" = 21 ]
	[ "$(grep -c '[^n]link(' before)" = 20 ]
	tail -n 1 before | grep -q 'fsync(\|write(1,'
}

@test "sink: a sync or link that fails is 451, and leaves nothing; the next mail is taken" {
	local fault
	need strace
	strace -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	for fault in fsync:error=EIO:when=1 link:error=EIO:when=1 \
	    fsync:error=EIO:when=2; do
		rm -rf sunk lines
		start strace -qq -f -o trace -e inject="$fault" \
		    env ASAN_OPTIONS=detect_leaks=0
		sinks <<-'P'
			c = Client()
			c.envelope()
			c.say('DATA', '354')
			c.say('one\r\n.', '451/4.3.0')
			assert os.listdir('sunk/tmp') + os.listdir('sunk/new') == []
			c.envelope()
			c.say('DATA', '354')
			c.say('two\r\n.', '250/2.0.0')
			assert c.kept() == b'two\n'
			c.say('QUIT', '221/2.0.0')
		P
		kill "$(pgrep -P "$sink")"
		wait "$sink" || :
		sink=
		[ "$(wc -l <lines)" = 2 ]
	done
}

@test "sink: a 250 is sent before the next message is synced" {
	need strace
	strace -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	start strace -qq -f -o trace -e trace=fsync,write \
	    env ASAN_OPTIONS=detect_leaks=0
	sinks <<-'P'
		c = Client()
		one = b'MAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\n'
		c.send(b'EHLO c\r\n' + (one + b'BDAT 1 LAST\r\nx') * 2 + b'QUIT\r\n')
		c.expect('250', *['250/2.1.0', '250/2.1.5', '250/2.0.0'] * 2,
		    '221/2.0.0')
	P
	kill "$(pgrep -P "$sink")"
	wait "$sink" || :
	sink=
	sed -nE 's/.*(fsync)\(.*/\1/p; s/.*write\(.*250 2\.0\.0 Deliv.*/250/p' \
	    trace | paste -sd ' ' - >order
	echo 'fsync fsync 250 fsync fsync 250' | cmp - order
}

@test "sink: how to call it is told, and what is wrong ends it" {
	local bad
	for bad in 'a b' '-p x a' '-p 65536 a' '-q a' '-p' '--once 0' '--once x' \
	    '--timeout -1' --nothing; do
		# shellcheck disable=SC2086 # words
		run timeout 10 "$SINK" $bad
		[ "$status" = 64 ]
		[[ $output = *usage:* || $output = *"${bad#-* }"* || $output = *-p* ]]
	done
	run timeout 10 "$SINK" -p 0 no/such/place
	[ "$status" = 1 ]
	start
	run timeout 10 "$SINK" -p "$port" sunk
	[ "$status" = 1 ]
	stopped
}

@test "sink: make sink builds it, and make clean takes it away" {
	need make
	unset MAKEFLAGS MFLAGS MAKELEVEL
	mkdir src
	(cd "$ROOT" && tar cf - --exclude=./.git --exclude=./run .) |
	    (cd src && tar xf -)
	make -s -C src clean
	make -s -C src sink CFLAGS='-O2 -Werror'
	[ -x src/contrib/smtpsink ]
	make -s -C src clean
	[ ! -e src/contrib/smtpsink ]
}

# ended N: it ends by itself, with this status, and tmp/ is empty
ended() {
	local rc=0
	wait "$sink" || rc=$?
	cat err
	[ $rc = "$1" ] && [ "$(count sunk/tmp)" = 0 ]
	sink=
}

@test "sink: a mail is there when its client returns, a thousand times in a row" {
	start
	sinks <<-'P'
		c = Client()
		c.say('EHLO c.example', '250')
		for n in range(1000):
		    c.say('MAIL FROM:<>', '250/2.1.0')
		    c.say('RCPT TO:<u@example.org>', '250/2.1.5')
		    c.say('DATA', '354')
		    c.say('Subject: %d\r\n\r\nx\r\n.' % n, '250/2.0.0')
		    assert c.kept() == b'Subject: %d\n\nx\n' % n
		    if n % 50 == 0:
		        assert not os.system('grep -qrx "Subject: %d" sunk/new' % n)
	P
	stopped
	[ "$(count sunk/new)" = 1000 ]
}

@test "sink: with --json each mail is an object, with its envelope and the fields of its header" {
	local WITH=(--json)
	start
	sinks <<-'P'
		c = Client()
		c.say('EHLO c.example', '250')
		c.say('AUTH PLAIN AG1lAHB3', '235/2.7.0')
		c.say('MAIL FROM:<a@c.example> SMTPUTF8', '250/2.1.0')
		c.send('RCPT TO:<"q\\"\\\\ x"@example.org>\r\nRCPT TO:<\xe4@example.org>\r\n'
		    .encode())
		c.expect('250/2.1.5', '250/2.1.5')
		c.say('DATA', '354')
		c.say('Subject: one\r\n\ttwo\r\nX: \r\nX:"\\\r\n\r\nNo: field\r\n.', '250/2.0.0')
		c.say('QUIT', '221/2.0.0')
	P
	stopped
	py <<-'P'
		import json
		line = open('lines').read().splitlines()[1]
		m = json.loads(line)
		path = m.pop('path')
		assert path.startswith('sunk/new/') and open(path).read(), path
		want = {'from': 'a@c.example', 'to': ['"q\\"\\\\ x"@example.org',
		    '\xe4@example.org'], 'helo': 'c.example', 'user': 'me', 'size': 44,
		    'header': [['Subject', 'one\ttwo'], ['X', ''], ['X', '"\\']]}
		assert m == want, (m, want)
	P
}

@test "sink: that is JSON, whatever the mail is" {
	local WITH=(--json)
	start
	sinks <<-'P'
		import random
		r = random.Random(7)
		def octets(n):
		    return bytes(r.choice([r.randrange(256), 34, 92, 0xc3, 0xe2, 9, 32])
		        for _ in range(n)).replace(b'\r', b'').replace(b'\n', b'')
		mails = [b'', b'\r\n', b'X', b':\r\n', b'X:\r\n', b'\r\n\r\n', b' x: y\r\n',
		    b'X: ' + bytes(i for i in range(256) if i not in (10, 13)) + b'\r\n',
		    b'X: ' + b'\xff' * 400000 + b'\r\n\r\n', b':\r\n' * 100000,
		    b'X: \xf0\x9f\x98\x80 \xf0\x9f\x98 \xed\xa0\x80 \xc0\x80\r\n']
		for n in range(200):
		    mails.append(b'\r\n'.join(octets(r.randrange(60)).replace(b' ', b':', 1)
		        for _ in range(r.randrange(6))) + b'\r\n')
		c = Client()
		c.say('EHLO c.example', '250')
		for m in mails:
		    c.send(b'MAIL FROM:<>\r\n' + b'RCPT TO:<"\\"\\\\"@example.org>\r\n' * 100 +
		        b'BDAT %d LAST\r\n' % len(m) + m)
		    c.expect('250/2.1.0', *['250/2.1.5'] * 100, '250/2.0.0')
		c.say('QUIT', '221/2.0.0')
		open('n', 'w').write(str(len(mails)))
	P
	stopped
	sed 1d lines >objects
	[ "$(wc -l <objects)" = "$(cat n)" ]
	split -l 1 objects object.
	local file n=0
	for file in object.*; do
		[ $((n += 1)) -gt 15 ] || python3 -m json.tool <"$file" >/dev/null
	done
	py <<-'P'
		import json
		for line in open('objects', encoding='utf-8'):
		    m = json.loads(line)
		    assert m['from'] == '' and len(m['to']) == 100, m['to']
		    assert all(len(f) == 2 for f in m['header'])
	P
}

@test "sink: with --once it ends well behind the Nth mail, and its client may say QUIT" {
	local WITH=(--once 2 --timeout 60)
	start
	SECONDS=0
	sinks <<-'P'
		c, d = Client(), Client()
		for n in range(2):
		    c.envelope()
		    c.say('DATA', '354')
		    c.say('x\r\n.', '250/2.0.0')
		d.say('EHLO d', '250')
		# no more are taken
		d.say('MAIL FROM:<>', '421/4.3.2')
		d.expect('end')
		c.say('QUIT', '221/2.0.0')
		c.expect('end')
	P
	ended 0
	[ "$SECONDS" -lt 5 ]
	[ "$(count sunk/new)" = 2 ]
}

@test "sink: a client that stays behind the last mail is sent away" {
	local WITH=(--once 1)
	start
	sinks <<-'P'
		c = Client()
		c.envelope()
		c.say('DATA', '354')
		c.say('x\r\n.', '250/2.0.0')
		c.expect('421/4.3.2', 'end')
	P
	ended 0
}

@test "sink: when --timeout passes before, the status is 1" {
	local WITH=(--once 2 --timeout 2)
	start
	sinks <<-'P'
		c = Client()
		c.envelope()
		c.say('DATA', '354')
		c.say('x\r\n.', '250/2.0.0')
		c.say('DATA', '503/5.5.1')
		c.expect('421/4.3.2', 'end')
	P
	ended 1
	[ "$(count sunk/new)" = 1 ]
}

@test "sink: any user and password is right" {
	local WITH=(--json)
	start
	sinks <<-'P'
		import smtplib
		for user, password in ('u', 'p'), ('\xe4', 'x' * 200):
		    with smtplib.SMTP('127.0.0.1', PORT, 'c.example') as s:
		        s.ehlo()
		        assert s.has_extn('AUTH')
		        s.user, s.password = user, password
		        s.auth('LOGIN', s.auth_login) if user == 'u' else s.docmd(
		            'AUTH', 'PLAIN AMOkAHg=')
		        s.sendmail('a@c.example', 'u@example.org', 'Subject: x\n\n')
	P
	stopped
	grep -q '"user":"u"' lines
	grep -q $'"user":"\xc3\xa4"' lines
}

@test "sink: it listens where -p says, by IPv6, too, and keeps the mail in ./sink" {
	local where
	for where in 127.0.0.2:24025 '[::1]:24026' 127.0.0.1:0; do
		rm -f lines
		"$SINK" -p "$where" >lines 2>err </dev/null 3>&- &
		sink=$!
		eventually test -s lines
		[ "$(sed "s/:[1-9][0-9]*\$/:${where##*:}/" lines)" = "listening on $where" ] || { cat lines err; false; }
		kill "$sink"
		wait "$sink"
		[ -d sink/new ]
	done
	for where in x 65536 -1 127.0.0.1 localhost:25 :25 127.0.0.1:70000; do
		run -64 "$SINK" -p "$where"
	done
}

@test "sink: the recipes for pytest and sh pass as they stand, and fail where no mail comes" {
	need curl pytest-3
	mkdir bin
	ln -s "$SINK" bin/smtpsink
	export PATH=$PWD/bin:$PATH PYTHONDONTWRITEBYTECODE=1
	pytest-3 -q -p no:cacheprovider "$ROOT/contrib/test_mail.py" >said 2>&1 ||
	    { cat said; false; }
	sh "$ROOT/contrib/test-mail" >said 2>&1 || { cat said; false; }
	grep -q arrived said
	sed 's/Subject: Welcome.r/Subject: Other\\r/' "$ROOT/contrib/test_mail.py" >test_other.py
	run ! pytest-3 -q -p no:cacheprovider test_other.py
	sed '0,/Subject: Welcome/s//Subject: Other/' "$ROOT/contrib/test-mail" >other
	run ! sh other
}

@test "sink: README's steps of a pipeline pass as they stand, each in a shell of its own" {
	need_root
	need make cc curl unshare ip
	unset MAKEFLAGS MFLAGS MAKELEVEL
	mkdir src
	(cd "$ROOT" && tar cf - --exclude=./.git --exclude=./run --exclude=./box .) |
	    (cd src && tar xf -)
	/usr/bin/python3 -c 'import yaml' 2>/dev/null || need python3-yaml
	sed -n '/^```yaml/,/^```$/{/^```/!p}' "$ROOT/README.md" >steps.yaml
	/usr/bin/python3 -c 'import yaml
for step in yaml.safe_load(open("steps.yaml")): print(step["run"])' >steps
	[ "$(wc -l <steps)" = 5 ]
	# what sends the mail is somebody else's program
	cat >>src/Makefile <<-'M'
		test:; printf 'Subject: Welcome\n\nHello.\n' | curl -sS --retry 9 \
		    --retry-connrefused --crlf smtp://127.0.0.1:2525 \
		    --mail-from a@c.example --mail-rcpt ann@example.org -T -
	M
	# port 2525 is one of a network of its own, which ends with all that is in it
	unshare --net --pid --fork --kill-child sh -c 'ip link set lo up; cd src
	    while read -r step; do bash -ec "$step" </dev/null || exit; done <../steps' \
	    >said 2>&1 3>&- || { cat said; false; }
}

@test "sink: the container's program needs nothing but itself" {
	need_root
	need musl-gcc chroot curl make
	mkdir root
	make -s -C "$ROOT" sink-static
	mkdir -p root/contrib
	sed -n 's/^COPY \([^ ]*\) \/\(.*\)/\1 \2/p' "$ROOT/contrib/smtpsink.container" >copy
	read -r from to <copy
	cp "$ROOT/$from" "root/$to"
	rmdir root/contrib
	sed -n 's/^ENTRYPOINT \[\(.*\)\]/\1/p' "$ROOT/contrib/smtpsink.container" |
	    tr -d '",' | sed 's/:2525/:0/' >entry
	read -ra argv <entry
	chroot root "${argv[@]}" >lines 2>err </dev/null 3>&- &
	sink=$!
	eventually test -s lines
	printf 'Subject: x\n\nx\n' | curl -sS --crlf "smtp://127.0.0.1:$(sed -n \
	    '1s/.*://p' lines)" --mail-from a@c.example --mail-rcpt u@example.org -T -
	grep -q '^Subject: x$' root/mail/new/*
}
