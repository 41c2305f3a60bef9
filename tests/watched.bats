# watched.bats - what is seen of a session from outside: its title, $NOTIFY_SOCKET
# and the line that SIGUSR1 asks for
# smtpd(8): WATCHING A SESSION; sd_notify(3)

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load live

# watch.py: title() of a session; seen() waits for one
watch_py() {
	cat <<-'P'
		import os
		import socket
		import sys
		import time
		import live

		MAIL = b'MAIL FROM:<a@c.example>\r\n'
		RCPT = b'RCPT TO:<u@example.org>\r\n'


		def shown(s):
		    with open('/proc/%d/cmdline' % s.child.pid, 'rb') as f:
		        return f.read()


		def title(s):
		    return shown(s).split(b'\0')[0].decode()


		def seen(s, want, within=5):
		    want = 'smtpd: ' + want
		    if not live.until(lambda: title(s) == want, within):
		        live.fail('%r for %r' % (title(s), want))


		def client(address, **more):
		    return dict(os.environ, PROTO='TCP', TCPREMOTEIP=address, **more)


		class Notified:
		    """a $NOTIFY_SOCKET, and when it was told what"""

		    def __init__(self, name):
		        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		        self.s.bind(name)

		    def told(self, within):
		        self.s.settimeout(max(0.001, within))
		        try:
		            return self.s.recv(4096).decode()
		        except (TimeoutError, socket.timeout):
		            return None
	P
}

watch() {
	watch_py >watch.py
	live "$@"
}

linux() {
	[ "$(uname)" = Linux ] || skip 'the title is in /proc on Linux only'
}

@test "title: it is current at each step of a session, and says whose it is" {
	linux
	watch "$SMTPD" "${OPTS[@]}" <<-'P'
		from watch import *
		s = live.Session(sys.argv[1:], env=client('192.0.2.7'))
		for said, want in (
		        (b'', 'START'),
		        (b'EHLO c.example\r\n', 'HELO'),
		        (MAIL, 'MAIL 0 rcpt'),
		        (b'RCPT TO:<v@else.example>\r\n', 'RCPT 0 rcpt'),
		        (3 * RCPT, 'RCPT 3 rcpt'),
		        (b'DATA\r\n', 'DATA 3 rcpt 0 bytes'),
		        (b'0123456\r\n', 'DATA 3 rcpt 9 bytes'),
		        (b'.\r\n', 'HELO'),
		        (MAIL + RCPT + b'BDAT 9\r\n0123456\r\n', 'BDAT 1 rcpt 9 bytes'),
		        (b'BDAT 9\r\n', 'BDAT 1 rcpt 9 bytes'),
		        (b'0123456\r\nRSET\r\n', 'HELO')):
		    s.send(said)
		    seen(s, '[192.0.2.7] ' + want)
		    if len(shown(s).rstrip(b'\0').split(b'\0')) != 1:
		        live.fail('more than the title', shown(s))
		s.lines('QUIT')
		if s.ended() != 0:
		    live.fail('status')
	P
}

@test "title: it has what the client's address has, and nothing that a client said" {
	linux
	watch "$SMTPD" "${OPTS[@]}" --auth /bin/true --secured <<-'P'
		from watch import *
		for address, told in (
		        ('2001:db8:1111:2222:3333:4444:5555:6666',
		            '[2001:db8:1111:2222:3333:4444:5555:6666]'),
		        ('::ffff:192.0.2.9', '[192.0.2.9]'),
		        ('no address', 'unknown')):
		    s = live.Session(sys.argv[1:], env=client(address))
		    seen(s, told + ' START')
		    s.send(b'EHLO \x1b[31mred\x07\r\nEHLO x\r\nAUTH LOGIN\r\n')
		    seen(s, told + ' AUTH')
		    s.send(b'dTo=\r\nc2VjcmV0')
		    seen(s, told + ' AUTH')
		    s.close()
		    s.ended()
	P
}

@test "title: whatever arguments and environment there are, they hold, and it is whole" {
	linux
	local long
	long=$(printf '%0200d' 0)
	mkdir -p "$long"/box/{tmp,new,cur}
	watch "$SMTPD" "$long/box" <<-'P'
		from watch import *
		smtpd, box = sys.argv[1:]
		def holds(argv, env):
		    s = live.Session(argv, env=env)
		    seen(s, '[192.0.2.7] START')
		    s.greeted()
		    s.send(MAIL + RCPT + b'DATA\r\nx\r\n')
		    s.expect('250/2.1.0 250/2.1.5 354')
		    # of room for less than all of it the first octets are there
		    if not live.until(lambda: title(s).startswith(
		            'smtpd: [192.0.2.7] DATA 1 rcpt 3'), 5):
		        live.fail(title(s))
		    s.lines('.', 'QUIT')
		    s.expect('250/2.0.0 221/2.0.0')
		    if s.ended() != 0:
		        live.fail(argv)
		few = dict(PROTO='TCP', TCPREMOTEIP='192.0.2.7')
		argv = [smtpd, '-d', 'example.org', '-m', box, '-n', 'mx.example']
		holds(argv, few)
		holds(argv, dict(few, A='x' * 5000, B='y'))
		holds(argv[:3] + ['-m' + box] + argv[5:], client('192.0.2.7'))
		holds(argv + 200 * ['-d', 'a.example'], few)
		if len(os.listdir(box + '/new')) != 4:
		    live.fail('mails')
	P
}

@test "title: it is cut where its place ends, whatever lengths both have" {
	linux
	watch "$SMTPD" <<-'P'
		from watch import *
		for n in range(1, 31):
		    # what stands behind the arguments is too long to be moved
		    env = dict(A='x' * 5000, PROTO='TCP', TCPREMOTEIP='192.0.2.7')
		    s = live.Session(['s', '-mbox', '-dx.y', '-n' + 'm' * n + '.x'],
		        executable=sys.argv[1], env=env)
		    if not live.until(lambda: title(s).startswith('smtpd: [192'), 5):
		        live.fail(n, title(s)[:99])
		    if not 'smtpd: [192.0.2.7] START'.startswith(title(s).rstrip(' ')):
		        live.fail(n, title(s)[:99])
		    s.lines('QUIT')
		    s.ended()
	P
}

@test "title: of a chunk that is no message's the octets of the last one are not told" {
	linux
	watch "$SMTPD" "${OPTS[@]}" <<-'P'
		from watch import *
		s = live.Session(sys.argv[1:], env=client('192.0.2.7'))
		s.send(MAIL + RCPT + b'DATA\r\n0123456\r\n.\r\n' + MAIL + b'BDAT 9\r\n01')
		seen(s, '[192.0.2.7] BDAT 0 rcpt')
		s.close()
		s.ended()
	P
}

@test "title: a program's arguments and environment are not those that gave up their place" {
	linux
	cat >program <<-'P'
		#!/bin/sh
		printf '%s\n' "$@" "$RECIPIENT" "$TZ" "$CLIENT_ADDRESS" >>"$PWD"/told
		cat "/proc/$PPID/cmdline" | tr -d '\0' >title
		cat >/dev/null
	P
	chmod 755 program
	watch "$SMTPD" -d example.org -- "$PWD/program" one '{recipient}' <<-'P'
		from watch import *
		s = live.Session(sys.argv[1:], env=dict(PROTO='TCP', TZ='UTC',
		    TCPREMOTEIP='192.0.2.7', PATH=os.environ['PATH']))
		s.send(MAIL + RCPT + b'DATA\r\nx\r\n.\r\nQUIT\r\n')
		s.expect('220 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0')
	P
	printf '%s\n' one u@example.org u@example.org UTC 192.0.2.7 | cmp - told
	[ "$(cat title)" = 'smtpd: [192.0.2.7] DELIVER 1 rcpt 3 bytes' ]
}

@test "notify: a session that lasts is told, not in its first second, and once a second at most" {
	watch "$SMTPD" "${OPTS[@]}" <<-'P'
		from watch import *
		for name, told in ('told', os.path.abspath('told')), \
		        ('\0smtpd-%d' % os.getpid(), '@smtpd-%d' % os.getpid()):
		    n = Notified(name)
		    s = live.Session(sys.argv[1:],
		        env=client('192.0.2.7', NOTIFY_SOCKET=told))
		    began = time.monotonic()
		    s.expect('220', 5)
		    s.send(MAIL)
		    first = n.told(5)
		    if first != 'READY=1\nSTATUS=[192.0.2.7] MAIL 0 rcpt':
		        live.fail(first)
		    if not 0.9 < time.monotonic() - began < 1.6:
		        live.fail('first', time.monotonic() - began)
		    # what is new within the second is told at its end, and once
		    at = time.monotonic()
		    s.send(RCPT)
		    s.expect('250/2.1.0 250/2.1.5')
		    s.send(b'DATA\r\n')
		    s.expect('354')
		    second = n.told(5)
		    if 'DATA 1 rcpt' not in second or time.monotonic() - at < 0.9:
		        live.fail(second, time.monotonic() - at)
		    # nothing new, nothing told
		    if n.told(2.2) is not None:
		        live.fail('told again')
		    at, told_n = time.monotonic(), 0
		    while time.monotonic() < at + 2.5:
		        s.send(b'one more line\r\n')
		        told_n += n.told(0.05) is not None
		    if not 2 <= told_n <= 3:
		        live.fail(told_n, 'in 2.5 s')
		    s.close()
		    s.ended()
		    # a short one tells nothing
		    s = live.Session(sys.argv[1:],
		        env=client('192.0.2.7', NOTIFY_SOCKET=told))
		    s.lines('QUIT')
		    s.ended()
		    while n.told(0.1):
		        continue
	P
}

@test "notify: a socket that is not there, full or no name holds nothing up" {
	watch "$SMTPD" "${OPTS[@]}" <<-'P'
		from watch import *
		full = Notified('full')
		c = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		c.setblocking(False)
		try:
		    while True:
		        c.sendto(b'x' * 1000, 'full')
		except BlockingIOError:
		    pass
		held = [live.Session(sys.argv[1:], env=client('192.0.2.7',
		    NOTIFY_SOCKET=to)) for to in ('/nowhere', '@nobody-at-all', '',
		    '@', 'relative', '/' + 200 * 'x', os.path.abspath('full'))]
		time.sleep(1.3)
		for s in held:
		    s.send(MAIL + RCPT + b'DATA\r\n')
		    s.expect('220 250/2.1.0 250/2.1.5 354')
		time.sleep(1.1)
		for s in held:
		    s.send(b'x\r\n.\r\nQUIT\r\n')
		    s.expect('250/2.0.0 221/2.0.0', 5)
		    if s.ended() != 0:
		        live.fail('status')
	P
}

@test "SIGUSR1: a state line at any moment, and nothing else of it" {
	watch "$SMTPD" "${OPTS[@]}" --log stderr <<-'P'
		from watch import *
		import signal
		s = live.Session(sys.argv[1:], env=client('192.0.2.7'))
		def asked(want):
		    def there():
		        s.child.send_signal(signal.SIGUSR1)
		        with open('log') as f:
		            return ': state client=[192.0.2.7] what="[192.0.2.7] ' + \
		                want + '"\n' in f.read()
		    if not live.until(there, 5):
		        live.fail(want)
		s.expect('220', 5)
		asked('START')
		s.send(MAIL + RCPT + b'DA')
		s.expect('250/2.1.0 250/2.1.5')
		asked('RCPT 1 rcpt')
		s.send(b'TA\r\n')
		s.expect('354')
		asked('DATA 1 rcpt 0 bytes')
		s.send(b'x\r\n.')
		asked('DATA 1 rcpt 3 bytes')
		s.send(b'\r\nQUIT\r\n')
		s.expect('250/2.0.0 221/2.0.0')
		if s.ended() != 0:
		    live.fail('status')
	P
	[ "$(find box/new -type f | wc -l)" = 1 ]
}

@test "SIGUSR1: a hundred of them take nothing from a program's words, a password's check or a policy's answer" {
	cat >program <<-'P'
		#!/bin/sh
		cat >/dev/null
		sleep 0.3
		echo '5.7.9 said to the end'
		exit 77
	P
	printf '#!/bin/sh\nsleep 0.3\nexit 1\n' >check
	cat >policy <<-'P'
		#!/bin/sh
		while read -r line; do
			[ -n "$line" ] || { sleep 0.3; printf 'action=450 4.7.8 later\n\n'; }
		done
	P
	chmod 755 program check policy
	watch "$SMTPD" "$PWD" <<-'P'
		from watch import *
		import signal
		import threading
		smtpd, here = sys.argv[1:]
		def shower(s):
		    for _ in range(100):
		        s.child.send_signal(signal.SIGUSR1)
		        time.sleep(0.005)
		for options, said, want in (
		        (['--', here + '/program'],
		            MAIL + RCPT + b'DATA\r\nx\r\n.\r\n',
		            '250/2.1.0 250/2.1.5 354 550/5.7.9'),
		        (['-m', here + '/box', '--secured', '-a', here + '/check'],
		            b'EHLO x\r\nAUTH PLAIN AHUAcA==\r\n',
		            '250 535/5.7.8'),
		        (['-m', here + '/box', '-p', here + '/policy'],
		            b'EHLO x\r\n' + MAIL + RCPT,
		            '250 250/2.1.0 450/4.7.8')):
		    s = live.Session([smtpd, '-d', 'example.org', *options],
		        env=client('192.0.2.7'))
		    t = threading.Thread(target=shower, args=(s,))
		    s.expect('220', 8, options)
		    s.send(said)
		    t.start()
		    s.expect(want, 15, options)
		    t.join()
		    s.close()
		    s.ended()
	P
}
