# replies-first.bats - a reply that was decided is sent before anything else is
# waited for, whatever the client has pipelined behind it
# RFC 2920 section 3.2; RFC 3030 section 4.2

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load live

# slow_policy SECONDS: a policy program that thinks so long about each RCPT
slow_policy() {
	cat >policy.sh <<-P
		#!/bin/sh
		while read -r line; do
			[ -z "\$line" ] || continue
			sleep $1
			printf 'action=DUNNO\n\n'
		done
	P
	chmod 755 policy.sh
	OPTS+=(--policy ./policy.sh)
}

# a message in lock-step up to the dot's line, then GROUP in the same write
DELIVERED="
import sys
import live
def begin(over):
    s = live.Session(sys.argv[1:], over).greeted()
    s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>')
    s.expect('250/2.1.0 250/2.1.5')
    s.lines('DATA')
    s.expect('354')
    return s
"

@test "replies first: the 250 of a mail waits for no policy server's word on the next" {
	slow_policy 3
	live "$SMTPD" "${OPTS[@]}" <<-P
		$DELIVERED
		for over in 'socket', 'pipe':
		    s = begin(over)
		    s.lines('Subject: x', '', 'x', '.',
		        'MAIL FROM:<b@c.example>', 'RCPT TO:<v@example.org>')
		    s.expect('250/2.0.0', 1)
		    s.expect('250/2.1.0', 1)
		    if s.reply(0.5) != 'nothing':
		        live.fail('the policy server was not waited for')
		    s.close()
		    s.ended()
	P
	[ "$(count box/new)" = 2 ]
}

@test "replies first: of pipelined chunks each is answered before the next message's program ends" {
	mkdir spool
	cat >prog <<-'P'
		#!/bin/sh
		cat >/dev/null
		sleep 1.5
		echo x >>ran
	P
	chmod 755 prog
	live "$SMTPD" -n mx.example -d example.org --spool spool -- "$PWD/prog" <<-'P'
		import sys
		import live
		for over in 'socket', 'pipe':
		    s = live.Session(sys.argv[1:], over).greeted()
		    s.send(b''.join(b'MAIL FROM:<a@c.example>\r\n'
		        b'RCPT TO:<u@example.org>\r\nBDAT 3 LAST\r\nx\r\n'
		        for i in range(3)))
		    for i in range(3):
		        # the program runs for one and a half
		        s.expect('250/2.1.0 250/2.1.5 250/2.0.0', 2.4,
		            '%s: chunk %d' % (over, i))
		    s.lines('QUIT')
		    s.expect('221/2.0.0')
		    s.ended()
	P
	[ "$(wc -l <ran)" = 6 ]
}

@test "replies first: of many pipelined RCPTs the first is answered before the last is asked about" {
	slow_policy 0.3
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import live
		for over in 'socket', 'pipe':
		    s = live.Session(sys.argv[1:], over).greeted()
		    s.lines('MAIL FROM:<a@c.example>', *('RCPT TO:<u%d@example.org>' % i
		        for i in range(20)))
		    s.expect('250/2.1.0 250/2.1.5', 1)
		    s.expect('250/2.1.5', 1)
		    s.close()
		    s.ended(2)
	P
}

@test "replies first: a checkpassword program is not waited for with the 250 unsent" {
	printf '#!/bin/sh\nsleep 2\n' >checker
	chmod 755 checker
	OPTS+=(--auth ./checker --secured)
	live "$SMTPD" "${OPTS[@]}" <<-P
		$DELIVERED
		for over in 'socket', 'pipe':
		    s = begin(over)
		    s.lines('Subject: x', '', 'x', '.',
		        'AUTH PLAIN AGFsaWNlAHNlY3JldA==')
		    s.expect('250/2.0.0', 1)
		    if s.reply(0.5) != 'nothing':
		        live.fail('the program was not waited for')
		    s.expect('235/2.7.0')
		    s.lines('QUIT')
		    s.expect('221/2.0.0')
		    s.ended()
	P
}

@test "replies first: no file is synced while a reply is unsent" {
	may_trace
	# two messages and more in one write
	{
		printf 'EHLO c.example\r\n'
		for i in 1 2; do
			printf '%s\r\n' 'MAIL FROM:<a@c.example>' \
			    'RCPT TO:<u@example.org>' DATA "Subject: $i" '' x .
		done
		printf 'QUIT\r\n'
	} >in
	traced -e trace=write,fsync,fdatasync,link,linkat <in
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	# the first message's 250 stands before the second one's first fsync
	awk '/^write\(1,/ && /250 2\.0\.0/ { if (!said) said = NR }
	    /^fsync|^fdatasync/ { if (links == 1 && !second) second = NR }
	    /^link(at)?\(/ { links++ }
	    # the directory of the first message is synced behind its link
	    /^fsync/ && links == 1 && !first++ { second = 0 }
	    END { print said, second; exit !(said && second && said < second) }' \
	    trace
}

@test "replies first: a group without such a wait is one read and one write" {
	may_trace
	cat >group.py <<-'P'
		import sys
		import live
		over = sys.argv[1]
		s = live.Session(sys.argv[2:], over)
		s.expect('220')
		s.lines('EHLO c.example')
		s.expect('250')
		s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>',
		    'RCPT TO:<v@example.org>', 'RCPT TO:<w@elsewhere.example>', 'DATA')
		s.expect('250/2.1.0 250/2.1.5 250/2.1.5 550/5.7.1 354')
		s.lines('Subject: x', '', 'x', '.', 'RSET', 'MAIL FROM:<a@c.example>',
		    'NOOP', 'RCPT TO:<u@example.org>', 'DATA')
		s.expect('250/2.0.0 250/2.0.0 250/2.1.0 250/2.0.0 250/2.1.5 354')
		s.lines('y', '.', 'QUIT')
		s.expect('250/2.0.0 221/2.0.0')
		sys.exit(s.ended())
	P
	local over
	export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
	printf 'u\nv\n' >users
	OPTS+=(-u users)
	for over in socket pipe; do
		live $over strace -qq -o trace -e \
		    trace=read,readv,recvfrom,write,writev,sendto \
		    "$SMTPD" "${OPTS[@]}" <group.py
		grep -E '^(read|readv|recvfrom)\(0,' trace | grep -v EAGAIN >reads
		grep -E '^(write|writev|sendto)\(1,' trace | grep -v EAGAIN >writes
		cat reads writes
		# EHLO, the group, the message with the next, the last
		[ "$(wc -l <reads)" = 4 ]
		# the greeting, and one for each
		[ "$(wc -l <writes)" = 5 ]
	done
}

@test "replies first: a command has one reply, wherever among the others it fills what is sent" {
	live "$SMTPD" "${OPTS[@]}" --auth /bin/true --secured <<-'P'
		import sys
		import time
		import live
		FULL = 32768 - 1280	# octets that are kept before they are sent

		def begun(ehlos, noops, tail):
		    s = live.Session(sys.argv[1:], 'socket')
		    s.send(ehlos * b'EHLO x\r\n' + noops * b'NOOP\r\n' + tail)
		    return s

		s = begun(1, 0, b'QUIT\r\n')
		s.ended()
		said = s.sock.recv(4096)
		greeting = said.index(b'\n') + 1
		ehlo = said.index(b'250 HELP\r\n') + 10 - greeting
		ehlos = (FULL - greeting) // ehlo
		about = (FULL - greeting - ehlos * ehlo) // 14
		for tail in b'NO\nOP\r\n', b'AUTH FOO\nx\r\n':
		    held = [(n, begun(ehlos, n, tail))
		        for n in range(max(0, about - 8), about + 4)]
		    time.sleep(1.4)
		    for n, s in held:
		        for _ in range(1 + ehlos + n):
		            if s.reply(8) not in ('220', '250', '250/2.0.0'):
		                live.fail(n, tail)
		        if not s.reply(8).startswith('50'):
		            live.fail(n, tail)
		        s.lines('QUIT')
		        s.expect('221/2.0.0', 8, n)
		        if s.ended() != 0:
		            live.fail(n, tail, s.child.returncode)
		        s.close()
	P
}

@test "replies first: a thousand recipients are each told at once, over LMTP" {
	live "$SMTPD" "${OPTS[@]}" --lmtp <<-'P'
		import sys
		import live
		s = live.Session(sys.argv[1:], 'socket')
		s.expect('220', 8)
		s.lines('LHLO c.example', 'MAIL FROM:<a@c.example>',
		    *['RCPT TO:<u%d@example.org>' % n for n in range(1000)], 'DATA')
		s.expect('250 250/2.1.0' + 1000 * ' 250/2.1.5' + ' 354', 8)
		s.send(b'a bare\nLF\r\n.\r\n')
		s.expect(1000 * ' 550/5.5.2', 8)
		s.close()
	P
}
