# starttls.bats - STARTTLS, with the parent of the launcher doing the TLS
# RFC 3207; UCSPI-TLS; CVE-2011-0411
#
# In the tests that have no client of their own, the parent is the test: it is
# both who talks in clear and who talks when TLS is on, and there is no TLS.

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

: "${CLIENTS_DIR:=/opt/smtpd-clients}"

setup_file() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
	    -nodes -days 2 -subj /CN=localhost -keyout "$BATS_FILE_TMPDIR/key" \
	    -addext 'subjectAltName = DNS:localhost, IP:127.0.0.1' \
	    -out "$BATS_FILE_TMPDIR/cert" 2>/dev/null || return 0
	cat "$BATS_FILE_TMPDIR"/{key,cert} >"$BATS_FILE_TMPDIR/pem"
}

teardown() {
	[ -n "${parent:-}" ] || return 0
	{
		kill -KILL -- "-$parent" || :
		wait "$parent" || :
	} 2>/dev/null
}

# parent_is [ARG...]: run the script on standard input, which is the parent;
# there argv is smtpd with its options and the ARGs
parent_is() {
	launched
	cp "$BATS_TEST_DIRNAME/ucspitls.py" .
	{
		cat <<-'P'
			import os
			import signal
			import sys
			from ucspitls import NAMES, Program, unread
			argv = sys.argv[1:]
			TLS = b'SSL_PROTOCOL=TLSv1.3\0SSL_CIPHER=X-TEST\0\0'
			LETTER = (b'MAIL FROM:<a@c.example>\r\n'
			    b'RCPT TO:<u@example.org>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n')

			def same(what, got, want):
			    if got != want:
			        sys.exit(f'{what}:\n wanted {want}\n got    {got}')

			def offered(reply):
			    return b'\r\n250-STARTTLS\r\n' in reply
		P
		cat
	} | py "$SMTPD" "${OPTS[@]}" "$@"
}

# serve OPTION...: smtpd behind ucspitls.py, which is given them, at $port
serve() {
	[ -e "$BATS_FILE_TMPDIR/pem" ] || need openssl
	setsid /usr/bin/env python3 "$BATS_TEST_DIRNAME/ucspitls.py" --listen \
	    "$@" "$BATS_FILE_TMPDIR/pem" "$SMTPD" "${OPTS[@]}" -v \
	    >port 2>log </dev/null 3>&- &
	parent=$!
	eventually test -s port || { cat log; return 1; }
	port=$(<port)
}

# letter NAME: a file that is hard on clients, some 200 KB of it; LF line ends
letter() {
	{
		printf '%s\n' 'From: a@c.example' 'To: u@example.org' \
		    'Date: Thu, 01 Jan 2026 00:00:00 +0000' \
		    'Message-ID: <1@c.example>' "Subject: $1" '' . .. .dot '' . \
		    QUIT STARTTLS RSET
		head -c 150000 /dev/urandom | base64 | sed 's/^[a-f]/.&/'
	} >"$1"
}

# came_encrypted LETTER: it is the one kept, and its Received tells of the TLS
came_encrypted() {
	local received
	eventually only_message >/dev/null
	stored_is "$1"
	received=$(header Received)
	echo "$received"
	[[ $received =~ \ with\ ESMTPS\ \(using\ TLSv1\.[23]\ with\ cipher\ [-A-Z0-9_]+\)\ id\  ]]
}

# ---- where it is offered ----

@test "starttls: it is offered with three open descriptors, and not with any less" {
	parent_is <<-'P'
		def dialogue(**env):
		    p = Program(argv, **env).greeted()
		    offer = offered(p.clear.ask('EHLO c.example'))
		    code = p.clear.code('STARTTLS')
		    got = (offer, code, p.clear.code('NOOP'))
		    p.clear.ask('QUIT')
		    same('after QUIT', p.asked(), b'')
		    same('exit status', p.status(), 0)
		    return got

		p = Program(argv).greeted()
		same('EHLO', offered(p.clear.ask('EHLO c.example')), True)
		same('HELP', b' STARTTLS' in p.clear.ask('HELP'), True)
		same('STARTTLS', p.clear.code('STARTTLS'), '220/2.0.0')
		same('asked', p.asked(), b'Y')
		p.child.kill()
		p.status()
		for name in NAMES:
		    for value in (None, '', 'x', '-1', ' 5', '5 ', '0x5', '5.',
		                  '900', '0', '1', '2', '4294967299',
		                  '18446744073709551619', '9' * 40):
		        same(f'{name}={value}', dialogue(**{name: value}),
		             (False, '502/5.5.1', '250/2.0.0'))
		same('none', dialogue(**dict.fromkeys(NAMES)),
		     (False, '502/5.5.1', '250/2.0.0'))
	P
}

@test "starttls: descriptors past 1024 are used or refused, and nothing else" {
	ulimit -n 4096 || skip 'no such limit'
	parent_is <<-'P'
		fds = [os.open('/dev/null', os.O_RDONLY) for _ in range(1400)]
		p = Program(argv).greeted()
		if not offered(p.clear.ask('EHLO c.example')):
		    same('STARTTLS', p.clear.code('STARTTLS'), '502/5.5.1')
		    same('QUIT', p.clear.code('QUIT'), '221/2.0.0')
		else:
		    p.start_tls()
		    same('NOOP', p.secret.code('NOOP'), '250/2.0.0')
		    same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		same('exit status', p.status(), 0)
	P
}

@test "starttls: an argument is 501 5.5.4, and TLS is not begun" {
	parent_is <<-'P'
		p = Program(argv).greeted('EHLO c.example')
		same('STARTTLS x', p.clear.code('STARTTLS x'), '501/5.5.4')
		same('NOOP', p.clear.code('NOOP'), '250/2.0.0')
		same('QUIT', p.clear.code('QUIT'), '221/2.0.0')
		same('asked', p.asked(), b'')
	P
}

# ---- the switch ----

@test "starttls: 220 2.0.0 is out in clear before TLS is asked for, and nothing is read behind it" {
	parent_is <<-'P'
		p = Program(argv).greeted('EHLO c.example')
		p.clear.say(b'NOOP\r\nSTARTTLS\r\n')
		same('asked', p.asked(), b'Y')
		# both replies are there by now: not to be waited for
		n = unread(p.clear.r)
		said = os.read(p.clear.r, n) if n else b''
		same('said', [l[:9] for l in said.split(b'\r\n')],
		     [b'250 2.0.0', b'220 2.0.0', b''])
		# the client is quick, and the parent slow
		hello = b'\x16\x03\x01 a client hello\r\nNOOP\r\n'
		p.clear.say(hello)
		p.answer()
		same('EHLO', p.secret.ask('EHLO c.example')[:4], b'250-')
		same('left for TLS', p.clear.unread(), len(hello))
		same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		same('in clear', p.clear.rest(), b'')
		same('exit status', p.status(), 0)
	P
}

@test "starttls: what is sent in TLS before smtpd knows of it is not thrown away" {
	parent_is <<-'P'
		p = Program(argv).greeted('EHLO c.example')
		p.clear.ask('STARTTLS')
		same('asked', p.asked(), b'Y')
		p.secret.say(b'EHLO s.example\r\n' + LETTER + b'QUIT\r\n')
		p.answer()
		codes = [l[:3] for l in p.secret.rest().split(b'\r\n')
		         if l[3:4] == b' ']
		same('codes', b' '.join(codes), b'250 250 250 354 250 221')
		same('exit status', p.status(), 0)
	P
	[[ $(header Received) = 'from s.example '* ]]
}

@test "starttls: commands injected behind STARTTLS are never obeyed, however the input is split" {
	parent_is <<-'P'
		before = b'EHLO c.example\r\nSTARTTLS\r\n'
		injected = b'RSET\r\nEHLO evil.example\r\n' + \
		    LETTER.replace(b'a@c', b'evil@c') + b'NO'
		data = before + injected
		for i in range(1, len(data) + 1):
		    p = Program(argv).greeted()
		    p.clear.say(data[:i])
		    if i < len(before):
		        p.clear.all_read()
		    if i < len(data):
		        p.clear.say(data[i:])
		    same(f'{i}: asked', p.asked(), b'Y')
		    p.answer(b'\0\0' if i % 2 else TLS)
		    # half a command of clear text, half of it in TLS
		    p.secret.say(b'OP\r\nRCPT TO:<u@example.org>\r\nHELP\r\nQUIT\r\n')
		    same(f'{i}: in TLS', [l[:3] for l in
		         p.secret.rest().split(b'\r\n') if l[3:4] == b' '],
		         [b'500', b'503', b'214', b'221'])
		    same(f'{i}: in clear', [l[:3] for l in
		         p.clear.rest().split(b'\r\n') if l[3:4] == b' '],
		         [b'250', b'220'])
		    same(f'{i}: status', p.status(), 0)
	P
	nothing_kept
	run ! grep -q evil log
}

@test "starttls: a long line, a CR or a NUL behind STARTTLS does not reach into TLS" {
	parent_is <<-'P'
		for tail in (b'x' * 3000, b'x' * 60000, b'\r', b'\r\n\r', b'\0',
		             b'\n', b'\xff\xfe', b'NOOP ' + b'y' * 2040):
		    p = Program(argv).greeted('EHLO c.example')
		    p.clear.say(b'STARTTLS\r\n' + tail)
		    same('asked', p.asked(), b'Y')
		    p.answer()
		    same(f'{tail[:9]}', p.secret.code('NOOP'), '250/2.0.0')
		    same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		    same('status', p.status(), 0)
	P
}

@test "starttls: HELO and the envelope are forgotten, and it is neither offered nor obeyed again" {
	OPTS+=(-v)
	parent_is <<-'P'
		p = Program(argv).greeted('EHLO clear.example',
		    'MAIL FROM:<clear@c.example>', 'RCPT TO:<clear@example.org>')
		p.start_tls()
		for line, code in (('RCPT TO:<u@example.org>', '503/5.5.1'),
		                   ('DATA', '503/5.5.1'),
		                   ('STARTTLS', '503/5.5.1'),
		                   ('MAIL FROM:<a@c.example>', '250/2.1.0'),
		                   ('RCPT TO:<u@example.org>', '250/2.1.5'),
		                   ('DATA', '354'),
		                   ('Subject: no EHLO\r\n\r\n.', '250/2.0.0')):
		    same(line, p.secret.code(line), code)
		same('offered', b'STARTTLS' in p.secret.ask('EHLO tls.example'), False)
		same('HELP', b'STARTTLS' in p.secret.ask('HELP'), False)
		for line, code in (('STARTTLS', '503/5.5.1'),
		                   ('MAIL FROM:<a@c.example>', '250/2.1.0'),
		                   ('STARTTLS', '503/5.5.1'),
		                   ('RCPT TO:<u@example.org>', '250/2.1.5'),
		                   ('DATA', '354'),
		                   ('Subject: EHLO\r\n\r\n.', '250/2.0.0'),
		                   ('QUIT', '221/2.0.0')):
		    same(line, p.secret.code(line), code)
		same('asked', p.asked(), b'')
		same('in clear', p.clear.rest(), b'')
		same('status', p.status(), 0)
	P
	[ "$(count box/new)" = 2 ]
	run ! grep -qr 'clear\.example\|clear@' box
	run ! grep -q ' message .*clear@' log
	[[ $(header Received "$(grep -l '^Subject: EHLO' box/new/*)") = \
	    'from tls.example '*' with ESMTPS (using TLSv1.3 with cipher X-TEST) id '* ]]
	[[ $(header Received "$(grep -l '^Subject: no' box/new/*)") = \
	    'from unknown '*' (using TLSv1.3 with cipher X-TEST) id '* ]]
}

@test "starttls: a message that had begun by BDAT is given up" {
	parent_is <<-'P'
		p = Program(argv).greeted('EHLO c.example',
		    'MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>',
		    'BDAT 6\r\nA: b')
		p.start_tls()
		same('NOOP', p.secret.code('NOOP'), '250/2.0.0')
		same('left', os.listdir('box/tmp'), [])
		same('BDAT', p.secret.code('BDAT 0 LAST'), '503/5.5.1')
		same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		same('status', p.status(), 0)
	P
	nothing_kept
}

@test "starttls: before EHLO it is taken as well" {
	parent_is <<-'P'
		p = Program(argv).greeted().start_tls()
		same('NOOP', p.secret.code('NOOP'), '250/2.0.0')
		same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		same('status', p.status(), 0)
	P
}

@test "starttls: end of input, a timeout and SIGTERM are what they are in clear" {
	OPTS+=(-t 1)
	parent_is <<-'P'
		p = Program(argv).greeted('EHLO c.example').start_tls()
		p.secret.ask('EHLO c.example')
		p.secret.hang_up()
		same('end of input', p.secret.rest(), b'')
		same('status', p.status(), 0)

		p = Program(argv).greeted('EHLO c.example').start_tls()
		p.secret.ask('EHLO c.example')
		same('timeout', p.secret.rest()[:9], b'421 4.4.2')
		same('in clear', p.clear.rest(), b'')
		same('status', p.status(), 1)

		p = Program(argv).greeted('EHLO c.example').start_tls()
		p.secret.ask('EHLO c.example')
		p.child.send_signal(signal.SIGTERM)
		same('SIGTERM', p.secret.rest()[:9], b'421 4.3.2')
		same('in clear', p.clear.rest(), b'')
		same('status', p.status(), 1)
	P
}

# ---- what fails ----

@test "starttls: with no one behind the control descriptor it is 454 4.7.0, and clear text goes on" {
	parent_is <<-'P'
		for when in 'before', 'after':
		    p = Program(argv)
		    if when == 'before':
		        p.control.close()
		    p.greeted('EHLO c.example')
		    p.control.close()
		    same(when, p.clear.code('STARTTLS'), '454/4.7.0')
		    for line, code in (('MAIL FROM:<a@c.example>', '250/2.1.0'),
		                       ('RCPT TO:<u@example.org>', '250/2.1.5'),
		                       ('DATA', '354'),
		                       ('Subject: x\r\n\r\n.', '250/2.0.0'),
		                       ('STARTTLS', '454/4.7.0'),
		                       ('QUIT', '221/2.0.0')):
		        same(line, p.clear.code(line), code)
		    same('in clear', p.clear.rest(), b'')
		    same('in TLS', p.secret.rest(), b'')
		    p.status()
	P
	[ "$(count box/new)" = 2 ]
	[ "$(cat box/new/* | grep -c ' with ESMTP$')" = 2 ]
}

@test "starttls: a handshake that failed ends the session without a further byte" {
	parent_is <<-'P'
		def failed(what, how, status=1):
		    p = Program(argv).greeted('EHLO c.example',
		        'MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>')
		    p.clear.say(b'STARTTLS\r\nDATA\r\nx\r\n.\r\n')
		    same(what, p.clear.reply()[:10], b'220 2.0.0 ')
		    same(what, p.asked(), b'Y')
		    how(p)
		    p.secret.say(b'') or p.clear.say(b'')
		    same(what + ': in clear', p.clear.rest(), b'')
		    same(what + ': in TLS', p.secret.rest(), b'')
		    same(what + ': status', p.status(), status)

		failed('closed', lambda p: p.control.close())
		for answer in (b'S', b'SSL_PROTOCOL=TLSv1.3',
		               b'SSL_PROTOCOL=TLSv1.3\0', TLS[:-1]):
		    failed(f'{answer}', lambda p: (p.answer(answer),
		                                   p.control.close()))
		# what sslserver does
		failed('SIGTERM', lambda p: p.child.send_signal(signal.SIGTERM))
		failed('half an answer, SIGTERM', lambda p: (p.answer(TLS[:9]),
		    p.child.send_signal(signal.SIGTERM)))
	P
	nothing_kept
}

@test "starttls: a parent that does not answer, or does not end, has as long as the client" {
	OPTS+=(-t 1)
	parent_is <<-'P'
		from threading import Thread

		def begun():
		    p = Program(argv).greeted('EHLO c.example')
		    p.clear.ask('STARTTLS')
		    p.asked()
		    return p

		def flood(p, piece):
		    try:
		        while True:
		            p.control.sendall(piece)
		    except ConnectionError:
		        pass

		silent = [begun(), begun()]
		silent[1].answer(b'SSL_PROTOCOL=TLSv1.3\0')
		loud = [begun(), begun()]
		floods = [Thread(target=flood, args=a) for a in
		    zip(loud, (b'x' * 4096, b'SSL_PROTOCOL=TLSv1.3\0' * 200))]
		for t in floods:
		    t.start()
		for p in silent + loud:
		    same('in clear', p.clear.rest(), b'')
		    same('in TLS', p.secret.rest(), b'')
		for t in floods:
		    t.join()
		for p in silent + loud:
		    same('status', p.status(), 1)
	P
}

# ---- what is answered ----

@test "starttls: the answer may come in pieces, be long, and hold what is not for us" {
	parent_is <<-'P'
		pem = '-----BEGIN CERTIFICATE-----\n' + ('M' * 64 + '\n') * 30
		# as sslserver does, for a client with a chain of certificates
		long = b'SSL_PROTOCOL=TLSv1.3\0SSL_SESSION_ID=00\0' \
		    b'SSL_CIPHER=X-TEST\0SSL_CIPHER_EXPORT=false\0' + \
		    b''.join(b'SSL_CLIENT_CERT_CHAIN_%d=%s\0' % (i, pem.encode())
		             for i in range(6)) + b'\0'
		# as s6-ucspitlsd does: a variable without "=" is to be unset
		s6 = b'SSL_PROTOCOL=TLSv1.3\0SSL_CIPHER=X-TEST\0' \
		    b'SSL_TLS_SNI_SERVERNAME\0SSL_PEER_CERT_HASH\0' \
		    b'SSL_PEER_CERT_SUBJECT\0\0'
		alike = b'XSSL_PROTOCOL=no\0SSL_PROTOCOL_X=no\0SSL_PROTO=no\0' \
		    b'SSL_PROTOCOL\0ssl_cipher=no\0SSL_CIPHER_EXPORT=no\0' + TLS
		for answer, n in ((TLS, 1), (TLS, 2), (TLS, 9999), (long, 700),
		                  (long, 99999), (s6, 3), (s6, 999), (alike, 5),
		                  (TLS + b'behind', 999)):
		    p = Program(argv).greeted('EHLO c.example')
		    p.clear.ask('STARTTLS')
		    p.asked()
		    for i in range(0, len(answer), n):
		        p.answer(answer[i:i + n])
		        from ucspitls import unsent, until
		        if i + n < len(answer):
		            until(lambda: not unsent(p.control.fileno()),
		                  'the answer is not read')
		    p.secret.ask('EHLO c.example')
		    p.secret.say(LETTER)
		    same('codes', [p.secret.reply()[:3] for _ in range(4)],
		         [b'250', b'250', b'354', b'250'])
		    same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		    same('status', p.status(), 0)
	P
	[ "$(count box/new)" = 9 ]
	for f in box/new/*; do
		[[ $(header Received "$f") = *' with ESMTPS (using TLSv1.3 with cipher X-TEST) id '* ]]
	done
	[ "$(grep -c '^[^ ]* message .*TLSv1\.3.*X-TEST' log)" = 9 ]
}

@test "starttls: a protocol or a cipher that is not a word reaches neither Received nor the log" {
	parent_is <<-'P'
		bad = [b'', b'\r\nX-Evil: evil', b'evil\n', b'evil\r', b'\x1bevil',
		       b'evil evil', b' evil', b'evil ', b'evil\t', b'evil\xff',
		       b'evil\x7f', b'evil)', b'(evil', b'evil"', b'evil\\',
		       b'evil' + b'x' * 300, b'evil' * 5000]
		for value in bad:
		    for answer in (b'SSL_PROTOCOL=TLSv1.3\0SSL_CIPHER=%s\0\0',
		                   b'SSL_PROTOCOL=%s\0SSL_CIPHER=X-TEST\0\0'):
		        p = Program(argv).greeted('EHLO c.example')
		        p.start_tls(answer % value)
		        p.secret.ask('EHLO c.example')
		        p.secret.say(LETTER)
		        same(f'{value[:20]}', [p.secret.reply()[:3]
		             for _ in range(4)], [b'250', b'250', b'354', b'250'])
		        same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		        same('status', p.status(), 0)
	P
	[ "$(count box/new)" = 34 ]
	run ! grep -rqi evil box log
	run ! grep -rqaP '[^\n -~\t]' box log
	for f in box/new/*; do
		[[ $(header Received "$f") =~ \ with\ ESMTPS(\ \(using\ [^\(\)]*\))?\ id\  ]]
		sed '/^Subject/,$d' "$f" >trace
		run ! grep -Ev '^(Return-Path|Delivered-To|Received): |^	' trace
	done
}

@test "starttls: an empty answer is an answer" {
	parent_is <<-'P'
		p = Program(argv).greeted('EHLO c.example').start_tls(b'\0\0')
		p.secret.ask('EHLO c.example')
		p.secret.say(LETTER)
		same('codes', [p.secret.reply()[:3] for _ in range(4)],
		     [b'250', b'250', b'354', b'250'])
		same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
	P
	[[ $(header Received) = *' with ESMTPS id '* ]]
}

# ---- who has to, and who need not ----

@test "starttls: --require tls is 530 5.7.0 to what deals in mail, and to nothing else" {
	OPTS+=(--require tls)
	parent_is -e 99 <<-'P'
		p = Program(argv).greeted('EHLO c.example')
		mail = ('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>', 'DATA',
		        'VRFY u', 'EXPN u', 'AUTH PLAIN AGEAYg==', 'BDAT 6\r\nQUIT',
		        'BDAT 6 LAST\r\nQUIT')
		for line in mail:
		    same(line, p.clear.code(line), '530/5.7.0')
		for line, code in (('NOOP', '250/2.0.0'), ('RSET', '250/2.0.0'),
		                   ('HELP', '214/2.0.0'), ('XYZZY', '500/5.5.1'),
		                   ('HELO c.example', '250'), ('VERB', '250/2.0.0'),
		                   ('EHLO c.example', '250')):
		    same(line, p.clear.code(line), code)
		p.start_tls()
		p.secret.ask('EHLO c.example')
		p.secret.say(LETTER)
		same('codes', [p.secret.reply()[:3] for _ in range(4)],
		     [b'250', b'250', b'354', b'250'])
		same('VRFY', p.secret.code('VRFY u'), '252/2.0.0')
		same('EXPN', p.secret.code('EXPN u'), '502/5.5.1')
		same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		same('status', p.status(), 0)
		p = Program(argv, **dict.fromkeys(NAMES)).greeted('EHLO c.example')
		same('without TLS', p.clear.code('MAIL FROM:<>'), '530/5.7.0')
		same('QUIT', p.clear.code('QUIT'), '221/2.0.0')
		p.status()
	P
	only_message >/dev/null
}

@test "starttls: --secured is ESMTPS at once, and leaves nothing to start" {
	OPTS+=(--secured --require tls)
	parent_is <<-'P'
		p = Program(argv).greeted()
		same('offered', offered(p.clear.ask('EHLO c.example')), False)
		same('STARTTLS', p.clear.code('STARTTLS')[:1], '5')
		p.clear.say(LETTER)
		same('codes', [p.clear.reply()[:3] for _ in range(4)],
		     [b'250', b'250', b'354', b'250'])
		same('QUIT', p.clear.code('QUIT'), '221/2.0.0')
		same('asked', p.asked(), b'')
	P
	[[ $(header Received) = *' with ESMTPS id '* ]]
}

@test "starttls: SMTPUTF8 makes it UTF8SMTPS" {
	parent_is <<-'P'
		p = Program(argv).greeted('EHLO c.example').start_tls()
		p.secret.ask('EHLO c.example')
		p.secret.say(LETTER.replace(b'c.example>', b'c.example> SMTPUTF8'))
		same('codes', [p.secret.reply()[:3] for _ in range(4)],
		     [b'250', b'250', b'354', b'250'])
		p.secret.ask('QUIT')
	P
	[[ $(header Received) = *' with UTF8SMTPS (using '* ]]
}

@test "starttls: LMTP has it too, and wants its LHLO again" {
	OPTS+=(--lmtp)
	parent_is <<-'P'
		p = Program(argv).greeted()
		same('offered', offered(p.clear.ask('LHLO c.example')), True)
		p.clear.ask('MAIL FROM:<a@c.example>')
		p.start_tls()
		same('MAIL', p.secret.code('MAIL FROM:<a@c.example>')[:3], '503')
		same('offered', offered(p.secret.ask('LHLO c.example')), False)
		p.secret.say(LETTER)
		same('codes', [p.secret.reply()[:3] for _ in range(4)],
		     [b'250', b'250', b'354', b'250'])
		same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		same('status', p.status(), 0)
	P
	[[ $(header Received) = *' with LMTPS (using TLSv1.3 with cipher X-TEST) id '* ]]
}

@test "starttls: a delivery program has none of the descriptors and none of the variables" {
	cat >program <<-'P'
		#!/bin/sh
		cd "${0%/*}" || exit
		exec >>seen
		echo run
		find /proc/$$/fd -mindepth 1 -printf '%f %l\n' >fds
		# the shell has its own, on files of this directory
		grep -v -e '^[012] ' -e " $PWD/" fds
		env | grep SSL
		exit 0
	P
	chmod 755 program
	OPTS=(-n mx.example -d example.org)
	parent_is -- "$PWD/program" <<-'P'
		def mail(c):
		    c.ask('EHLO c.example')
		    c.say(LETTER)
		    same('codes', [c.reply()[:3] for _ in range(4)],
		         [b'250', b'250', b'354', b'250'])

		p = Program(argv).greeted()
		mail(p.clear)
		p.start_tls()
		mail(p.secret)
		same('QUIT', p.secret.code('QUIT'), '221/2.0.0')
		same('status', p.status(), 0)
	P
	cat seen
	[ "$(cat seen)" = $'run\nrun' ]
}

# ---- clients ----

@test "starttls: openssl's client speaks TLS 1.2 and 1.3 with it, and its letter arrives" {
	local v
	need openssl
	serve
	for v in tls1_2 tls1_3; do
		{
			printf 'EHLO s.example\nMAIL FROM:<a@c.example>\n'
			printf 'RCPT TO:<u@example.org>\nDATA\nSubject: %s\n\n.\n' $v
			printf 'QUIT\n'
		} | lockstep openssl s_client -quiet -crlf -$v -starttls smtp \
		    -CAfile "$BATS_FILE_TMPDIR/cert" -verify_return_error \
		    -connect "127.0.0.1:$port"
	done
	[ "$(count box/new)" = 2 ]
	[[ $(header Received "$(grep -l tls1_2 box/new/*)") = \
	    'from s.example '*' with ESMTPS (using TLSv1.2 with cipher ECDHE-'* ]]
	[[ $(header Received "$(grep -l tls1_3 box/new/*)") = \
	    'from s.example '*' with ESMTPS (using TLSv1.3 with cipher TLS_'* ]]
}

# lockstep COMMAND...: give it the lines of standard input, each when the reply
# to the one before is there
lockstep() {
	local line reply i o pid
	mkfifo i o
	"$@" <i >o 2>client.err 3>&- &
	pid=$!
	exec {i}>i {o}<o
	while IFS= read -r line; do
		printf '%s\n' "$line" >&"$i"
		case $line in Subject*|'') continue ;; esac
		reply=
		until [[ $reply =~ ^[0-9]{3}(\ |.?$) ]]; do
			IFS= read -r -t 10 -u "$o" reply || return 1
		done
		[[ $reply = [23]* ]] || { echo "$line: $reply"; return 1; }
	done
	exec {i}>&- {o}<&-
	rm i o
	wait "$pid"
}

@test "starttls: swaks's letter arrives, by TLS" {
	need swaks
	letter swaks.txt
	serve --like sslserver
	swaks --server 127.0.0.1 --port "$port" --tls --helo c.example \
	    --from a@c.example --to u@example.org --data @swaks.txt >said 2>&1 ||
	    { cat said; return 1; }
	grep -q '^=== TLS started' said
	# swaks puts a newline behind it
	echo >>swaks.txt
	came_encrypted swaks.txt
}

@test "starttls: smtplib's letter arrives, by TLS, and the certificate holds" {
	letter smtplib.txt
	serve --pieces 7
	sed 's/$/\r/' smtplib.txt >crlf
	py "$port" "$BATS_FILE_TMPDIR/cert" <<-'P'
		import smtplib, ssl, sys
		s = smtplib.SMTP('localhost', int(sys.argv[1]), 'c.example')
		s.ehlo()
		assert s.has_extn('starttls')
		s.starttls(context=ssl.create_default_context(cafile=sys.argv[2]))
		assert not s.ehlo_resp
		s.ehlo()
		assert not s.has_extn('starttls')
		s.sendmail('a@c.example', ['u@example.org'], open('crlf', 'rb').read())
		s.quit()
	P
	came_encrypted smtplib.txt
}

@test "starttls: curl's letter arrives, by TLS, and the certificate holds" {
	need curl
	letter curl.txt
	serve --like sslserver --pieces 1000
	curl -sS --ssl-reqd --cacert "$BATS_FILE_TMPDIR/cert" --crlf \
	    --url "smtp://localhost:$port/c.example" --mail-from a@c.example \
	    --mail-rcpt u@example.org --upload-file curl.txt
	came_encrypted curl.txt
}

@test "starttls: msmtp's letter arrives, by TLS, and the certificate holds" {
	need msmtp
	letter msmtp.txt
	serve --giant 20000
	msmtp -C /dev/null --host=localhost --port="$port" --tls=on \
	    --tls-starttls=on --tls-trust-file="$BATS_FILE_TMPDIR/cert" \
	    --domain=c.example -f a@c.example u@example.org <msmtp.txt
	came_encrypted msmtp.txt
}

@test "starttls: a client whose handshake fails is let go, and smtpd with it" {
	need openssl
	serve
	run ! openssl s_client -quiet -starttls smtp -tls1_1 \
	    -cipher 'ALL:@SECLEVEL=0' -connect "127.0.0.1:$port" </dev/null
	converse 127.0.0.1 "$port" 'EHLO c.example' STARTTLS 'no TLS at all' >out ||
	    : # the connection is reset
	[[ $(codes) = '220 250 220' ]]
	eventually sessions_ended 2
	nothing_kept
}

# sessions_ended N: so many, none of them as it should
sessions_ended() {
	[ "$(grep -c ' session .* end=' log)" = "$1" ] &&
	    run ! grep -q ' session .* end=quit' log
}

@test "starttls: a client that TLS fails for may come back in clear, where a dead parent says 454" {
	need swaks
	serve --dead
	swaks --server 127.0.0.1 --port "$port" --tls-optional --helo c.example \
	    --from a@c.example --to u@example.org >said 2>&1 ||
	    { cat said; return 1; }
	grep -q '<\*\* 454 4\.7\.0 ' said
	eventually only_message >/dev/null
	[[ $(header Received) = *' with ESMTP id '* ]]
}

@test "starttls: Postfix, told to encrypt or not to send, sends" {
	local postfix=$CLIENTS_DIR/postfix/usr
	need_root
	need "$postfix/lib/postfix/sbin/master" unshare ip openssl
	letter postfix.txt
	printf '%s\n' 'smtp_tls_security_level = encrypt' >settings
	alone_with_postfix
	eventually only_message >/dev/null
	tail -c "$(wc -c <postfix.txt)" "$(only_message)" | cmp - postfix.txt
	header Received | head -n 1 | grep -qE \
	    ' with ESMTPS \(using TLSv1\.3 with cipher TLS_[A-Z0-9_]+\) id '
}

# alone_with_postfix: smtpd behind ucspitls.py, and Postfix that sends the file
# postfix.txt there, in namespaces of their own; the file settings is more main.cf
alone_with_postfix() {
	mkdir -p mta etc
	cp /etc/{passwd,group,nsswitch.conf,ld.so.cache} etc
	printf '127.0.0.1 localhost\n' >etc/hosts
	echo 'postfix:x:8101:8101::/:/usr/sbin/nologin' >>etc/passwd
	printf '%s\n' postfix:x:8101: postdrop:x:8103: >>etc/group
	chmod 755 mta etc
	chmod 644 etc/*
	{
		declare -p SMTPD OPTS postfix BATS_TEST_DIRNAME BATS_FILE_TMPDIR
		declare -f eventually serve postfix_runs has_come need
		echo postfix_runs
	} >alone.sh
	timeout 60 unshare --mount --net --pid --fork --kill-child --mount-proc \
	    --propagation private bash -e alone.sh >said 2>&1 </dev/null 3>&- ||
	    { echo "status $?"; cat said log mta/log*; return 1; }
}

postfix_runs() {
	local bin=$postfix/lib/postfix
	umask 022
	mount --bind etc /etc
	mount --bind mta /mnt
	[ ! -e /dev/log ] || mount --bind /dev/null /dev/log
	ip link set lo up
	serve
	export LD_LIBRARY_PATH=$bin MAIL_CONFIG=/mnt/conf
	mkdir -p /mnt/conf /mnt/data /mnt/q/{active,bounce,corrupt,defer} \
	    /mnt/q/{deferred,flush,hold,incoming,private,saved,trace} \
	    /mnt/q/{maildrop,pid,public}
	chown postfix /mnt/data /mnt/q/[!p]* /mnt/q/{private,public}
	chmod 700 /mnt/q/[!p]* /mnt/q/private
	chgrp postdrop /mnt/q/{maildrop,public}
	chmod 1730 /mnt/q/maildrop
	chmod 710 /mnt/q/public
	{
		printf '%s\n' 'compatibility_level = 3.6' \
		    'queue_directory = /mnt/q' 'data_directory = /mnt/data' \
		    'meta_directory = /mnt/conf' \
		    "daemon_directory = $bin/sbin" "shlib_directory = $bin" \
		    "command_directory = $postfix/sbin" \
		    {im,ex}'port_environment = LD_LIBRARY_PATH MAIL_CONFIG' \
		    'maillog_file = /mnt/log' 'maillog_file_prefixes = /mnt' \
		    'inet_interfaces = loopback-only' 'inet_protocols = ipv4' \
		    'myhostname = c.example' 'mydestination =' 'alias_maps =' \
		    'local_recipient_maps =' 'disable_dns_lookups = yes' \
		    'in_flow_delay = 0' "relayhost = [127.0.0.1]:$port"
		cat settings
	} >/mnt/conf/main.cf
	{
		printf '%s unix n - n - 1 %s\n' pickup pickup qmgr qmgr
		printf '%s unix - - n - 0 bounce\n' bounce defer trace
		printf '%s unix - - n - - %s\n' rewrite trivial-rewrite \
		    proxymap proxymap error error retry error smtp smtp
		printf '%s\n' 'cleanup unix n - n - 0 cleanup' \
		    'postlog unix-dgram n - n - 1 postlogd' \
		    'tlsmgr unix - - n - 1 tlsmgr' 'flush unix n - n - 0 flush'
	} >/mnt/conf/master.cf
	"$bin/sbin/master" -c /mnt/conf &
	eventually test -S /mnt/q/public/pickup -o -p /mnt/q/public/pickup
	eventually test -S /mnt/q/public/qmgr -o -p /mnt/q/public/qmgr
	"$postfix/sbin/sendmail" -i -f a@c.example u@example.org <postfix.txt
	eventually has_come
}

has_come() {
	[ -n "$(find box/new -type f)" ]
}
