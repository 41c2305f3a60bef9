# secrets.bats - no name, no password and nothing that came later stands in the
# log for a line that was refused, and no control octet reaches a neighbour
# RFC 4954 sections 4 and 9; RFC 6531 section 3.3; SMTPD_POLICY_README

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load live

# The name alice and the password "secret", as clients send them, are
# YWxpY2U=, c2VjcmV0 and, for PLAIN, AGFsaWNlAHNlY3JldA==.

# refusals.py: SESSIONS, each a name, options, lines with an AUTH that comes to
# nothing, and the codes of the replies to them; behind each come the lines
# BEHIND: credentials that the client sends though it was refused, and a mail
refusals_py() {
	cat <<-'P'
		import re
		import subprocess
		import sys
		import talk

		NO = []
		CLEAR = ['--auth', '/bin/false']
		YES = [*CLEAR, '--secured']
		RIGHT = ['--auth', '/bin/true', '--secured']
		PLAIN = 'AUTH PLAIN AGFsaWNlAHNlY3JldA=='
		SESSIONS = [
		    ('no --auth', NO, [PLAIN], '502'),
		    ('no --auth, LOGIN', NO, ['AUTH LOGIN'], '502'),
		    ('no --auth, name', NO, ['AUTH LOGIN YWxpY2U='], '502'),
		    ('in clear', CLEAR, [PLAIN], '538'),
		    ('in clear, name', CLEAR, ['AUTH LOGIN YWxpY2U='], '538'),
		    ('in a transaction', YES, ['MAIL FROM:<a@c.example>', PLAIN],
		        '250 503'),
		    ('twice', RIGHT, ['AUTH PLAIN AGJvYgBvcGVu', PLAIN], '235 503'),
		    ('mechanism', YES, ['AUTH CRAM-MD5'], '504'),
		    ('mechanism, response', YES, ['AUTH XOAUTH2 AGFsaWNlAHNlY3JldA=='],
		        '504'),
		    ('bad base64', YES, [PLAIN + '!'], '501'),
		    ('bad base64, name', YES, ['AUTH LOGIN', 'YWxpY2U=!'], '334 501'),
		    ('bad base64, password', YES, ['AUTH LOGIN', 'Ym9i', 'c2VjcmV0!'],
		        '334 334 501'),
		    ('cancelled', YES, ['AUTH LOGIN', '*'], '334 501'),
		    ('wrapped', YES, ['AUTH PLAIN AGFsaWNl', 'AHNlY3JldA=='], '501 500'),
		    ('a blank in front', YES, [' ' + PLAIN], '500'),
		    ('a TAB in front', YES, ['\t' + PLAIN], '500'),
		    ('lower case', NO, ['auth plain AGFsaWNlAHNlY3JldA=='], '502'),
		    ('an equals sign', YES, ['AUTH=PLAIN AGFsaWNlAHNlY3JldA=='], '500'),
		    ('no blank', YES, ['AUTHPLAIN AGFsaWNlAHNlY3JldA=='], '500'),
		    ('of POP', YES, ['USER alice', 'PASS secret'], '500 500'),
		    ('bare LF', YES, ['EHLO x\n' + PLAIN], '500'),
		    ('bare LF, LOGIN', YES, ['AUTH LOGIN\nYWxpY2U=\nc2VjcmV0'], '500'),
		    ('bare CR', YES, ['EHLO x\r' + PLAIN], '500'),
		    ('control octet', YES, [PLAIN + '\x01'], '50[01]'),
		    ('control octet in front', YES, ['\x01' + PLAIN], '500'),
		    ('NUL', YES, ['AUTH PLAIN \0alice\0secret'], '50[01]'),
		    ('too long', YES, [PLAIN[:-2] + 'A' * 13000], '500'),
		    ('too long, response', YES, ['AUTH PLAIN', 'AGFsaWNl' + 'A' * 13000],
		        '334 500'),
		]
		BEHIND = ['YWxpY2U=', 'c2VjcmV0', 'AGFsaWNlAHNlY3JldA==',
		    'alice secret1', 'NOOP xyzzy', 'RSET', 'MAIL FROM:<a@c.example>',
		    'RCPT TO:<u@example.org>', 'DATA', 'Subject: plugh', '', 'x', '.',
		    'QUIT']
		AFTER = '500 500 500 500 250 250 250 250 354 250 221'
		# "alice" in the fourth is a verb, as far as anyone can tell
		SECRET = re.compile(rb'alice[^"]|secret|YWxpY2U|c2VjcmV0|AGFsaWNl|'
		    rb'AHNlY3JldA', re.I)


		def octets(lines):
		    return b''.join(l.encode('latin1') + b'\r\n'
		        for l in ['EHLO c.example', *lines, *BEHIND])


		def check(what, codes, out, log):
		    """what is wrong with that session, in a list"""
		    got = ' '.join(re.findall(r'^(\d\d\d)(?: .*)?\r$',
		        out.decode('latin1'), re.M))
		    bad = []
		    if not re.fullmatch('220 250 %s %s' % (codes, AFTER), got):
		        bad.append('%s: %s' % (what, got))
		    for line in log.split(b'\n'):
		        if SECRET.search(line) or b'dialogue' not in line and \
		                re.search(b'xyzzy|plugh', line):
		            bad.append('%s: %s' % (what, line.decode()))
		    return bad
	P
}

@test "secrets: what follows an AUTH that was refused is not logged, with -v or without" {
	refusals_py >refusals.py
	py "$SMTPD" "${OPTS[@]}" -e 100 <<-'P'
		import sys
		from refusals import *
		bad = []
		for name, options, lines, codes in SESSIONS:
		    for verbose in [], ['-v']:
		        out, log, status = talk.run([*sys.argv[1:], *options, *verbose],
		            octets(lines))
		        bad += check(' '.join([name, *verbose]), codes, out, log)
		print('\n'.join(bad[:9]), len(bad))
		sys.exit(len(bad) > 0)
	P
}

@test "secrets: nor is it in two pieces, wherever they are cut, or octet by octet" {
	refusals_py >refusals.py
	py "$SMTPD" "${OPTS[@]}" -e 100 <<-'P'
		import sys
		from refusals import *
		bad = []
		for name, options, lines, codes in SESSIONS:
		    if name not in ('cancelled', 'wrapped'):
		        continue
		    data = octets(lines)
		    for at in range(1, len(data)):
		        with open('o', 'w+b') as o, open('l', 'w+b') as l:
		            child = subprocess.Popen([*sys.argv[1:], *options],
		                stdin=subprocess.PIPE, stdout=o, stderr=l)
		            fd = child.stdin.fileno()
		            talk.feed(fd, data[:at], at, child)
		            talk.feed(fd, data[at:], len(data), child)
		            child.stdin.close()
		            talk.ended(child)
		            o.seek(0)
		            l.seek(0)
		            bad += check('%s, %d' % (name, at), codes, o.read(),
		                l.read())
		    out, log, _ = talk.run([*sys.argv[1:], *options], data, 1)
		    bad += check(name + ', octets', codes, out, log)
		print('\n'.join(bad[:9]), len(bad))
		sys.exit(len(bad) > 0)
	P
}

@test "secrets: a refusal is logged as itself, though more came in meanwhile" {
	OPTS+=(--auth /bin/true --secured)
	# a cancelled AUTH, and behind it, where its line was, another
	printf '%s\r\n' 'EHLO client.exampl' 'AUTH LOGIN' '*' \
	    'AUTH PLAIN AGFsaWNlAHNlY3JldA==' QUIT >in
	local n
	for n in 1 2 5 1000; do
		drip $n <in
		[ "$(full_codes)" = '220 250 334 501/5.7.0 235/2.7.0 221/2.0.0' ]
		[ "$(grep -c 'refused client' log)" = 1 ]
		grep -q 'refused .*reply=501 .*what="AUTH' log
		run ! grep -qi 'AGFs\|secret\|PLAIN' log
	done
}

@test "secrets: a refused BDAT is logged as itself, not as what came behind it" {
	local n
	for n in 7 100000; do
		{
			printf 'EHLO c.example\r\nBDAT %s\r\n' $n
			head -c $n /dev/zero | tr '\0' x
			printf 'NOOP plugh\r\nQUIT\r\n'
		} >in
		for piece in 65536 1000; do
			drip $piece <in
			[ "$(full_codes)" = '220 250 503/5.5.1 250/2.0.0 221/2.0.0' ]
			grep -q "refused .*reply=503 .*what=\"BDAT $n\"" log
			run ! grep -q 'xxx\|plugh' log
		done
	done
}

@test "secrets: of a verb that is not known sixteen letters are logged, and no argument" {
	say 'EHLO c.example' 'NONSENSE' 'PASS opensesame' \
	    'ABCDEFGHIJKLMNOPQRSTUVWXYZ' 'abcdefghijklmnopqrst uvwxyz' QUIT
	[ "$(full_codes)" = '220 250 500/5.5.1 500/5.5.1 500/5.5.1 500/5.5.1 221/2.0.0' ]
	[ "$(grep -c 'refused client' log)" = 4 ]
	grep -q 'refused.*NONSENSE' log
	grep -q 'refused.*PASS' log
	run ! grep -q 'opensesame' log
	grep -q 'refused.*ABCDEFGHIJKLMNOP' log
	run ! grep -q 'ABCDEFGHIJKLMNOPQ' log
	grep -q 'refused.*abcdefghijklmnop' log
	run ! grep -q 'abcdefghijklmnopq\|uvwxyz' log
}

@test "secrets: a line that begins with no verb is told as a length" {
	local line LC_ALL=C
	for line in 'b64digits1' 'x-y z' '=plugh' '<plugh@example.org>' '"plugh' \
	    $'pl\351ugh' '* plugh' $'plugh\tx1' $'plugh\001'; do
		say 'EHLO c.example' "$line" QUIT
		[[ $(codes) = '220 250 500 221' ]]
		grep 'refused client' log >refused
		[ "$(wc -l <refused)" = 1 ]
		case $line in
		# a verb has a blank behind it, or a TAB
		$'plugh\tx1')	run ! grep -q 'x1' refused ;;
		*)	grep -q "\<${#line}\>" refused ||
			    { cat refused; echo "no ${#line}"; false; } ;;
		esac
		run ! grep -q 'digits1\|x-y\|plugh[^"]' refused
	done
}

@test "secrets: without a limit on its letters, no part of a long line is logged" {
	{
		printf 'EHLO c.example\r\n'
		head -c 5000 /dev/zero | tr '\0' q
		printf '\r\nQUIT\r\n'
	} >in
	send <in
	[ "$(full_codes)" = '220 250 500/5.5.2 221/2.0.0' ]
	grep -q 'refused client' log
	run ! grep -q 'qqqqqqqqqqqqqqqqq' log
}

# ---- control octets, and whom they do not reach ----

# recorder: a policy program that says DUNNO and keeps what it was asked
recorder() {
	cat >policy.sh <<-P
		#!/bin/bash
		LC_ALL=C
		while IFS= read -r line; do
			printf '%s\n' "\$line" >>$PWD/requests
			[ -n "\$line" ] || printf 'action=DUNNO\n\n'
		done
	P
	printf '#!/bin/sh\ncat <&3 >>%s/given\n' "$PWD" >checker
	chmod 755 policy.sh checker
	OPTS+=(--policy ./policy.sh --auth "$PWD/checker" --secured -e 1000)
}

@test "secrets: AUTH with a control octet in the name is 501 5.5.2, and asks nobody" {
	local o
	recorder
	for o in '\n' '\r' '\001' '\t' '\033' '\037' '\177' '\r\n' \
	    '\nsasl_username=root'; do
		rm -f given requests
		say 'EHLO c.example' "AUTH PLAIN $(printf '\0al%bice\0x' "$o" |
		    base64 -w 0)" 'AUTH LOGIN' "$(printf 'al%bice' "$o" |
		    base64 -w 0)" eA== RSET 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<u@example.org>' QUIT
		# whether the name is looked at before the password is asked for
		# or behind it, LOGIN ends in one 501
		[[ $(full_codes) =~ \
		    ^'220 250 501/5.5.2 334 '('334 501/5.5.2'|'501/5.5.2 500/5.5.1')' 250/2.0.0 250/2.1.0 250/2.1.5 221/2.0.0'$ ]] ||
		    { echo "$o: $(full_codes)"; false; }
		[ ! -e given ]
		grep -qx 'sasl_username=' requests
		run ! grep -q 'ice\|root' requests
	done
	# the same without it
	say 'EHLO c.example' "AUTH PLAIN $(printf '\0alice\0x' | base64)" QUIT
	[ "$(full_codes)" = '220 250 235/2.7.0 221/2.0.0' ]
	[ "$(head -c 6 given | tr '\0' .)" = alice. ]
}

@test "secrets: U+0080 to U+009F are no part of an address" {
	local c
	for c in '\302\200' '\302\205' '\302\233' '\302\237'; do
		printf "%b" "EHLO c.example\\r\\nMAIL FROM:<a${c}b@c.example> SMTPUTF8\\r\\n" \
		    "MAIL FROM:<\"a${c}b\"@c.example> SMTPUTF8\\r\\n" \
		    "MAIL FROM:<a@c${c}d.example> SMTPUTF8\\r\\n" \
		    "MAIL FROM:<a@c.example> SMTPUTF8\\r\\n" \
		    "RCPT TO:<u${c}v@example.org>\\r\\n" \
		    "RCPT TO:<\"u${c}v\"@example.org>\\r\\n" \
		    "RCPT TO:<u\\303\\251@example.org>\\r\\n" \
		    "RCPT TO:<u\\302\\240v@example.org>\\r\\nQUIT\\r\\n" >in
		send <in
		[ "$(full_codes)" = '220 250 501/5.1.7 501/5.1.7 501/5.1.7 250/2.1.0 501/5.1.3 501/5.1.3 250/2.1.5 250/2.1.5 221/2.0.0' ] ||
		    { echo "$c: $(full_codes)"; false; }
	done
}

@test "secrets: a policy server is sent no control octet, and each attribute once" {
	local c1=$'\302\205'
	recorder
	launched
	export TCPREMOTEHOST=$'mail.c.example\nclient_address=198.51.100.1'
	OPTS+=(--xclient 192.0.2.0/24)
	say $'EHLO c\302\205.example' 'MAIL FROM:<> SMTPUTF8' \
	    'RCPT TO:<u@example.org>' RSET $'EHLO c\tx' \
	    "MAIL FROM:<a${c1}b@c.example> SMTPUTF8" 'RCPT TO:<u@example.org>' \
	    RSET "AUTH PLAIN $(printf '\0al\nice\0x' | base64)" \
	    'MAIL FROM:<a@c.example> SMTPUTF8' "RCPT TO:<u${c1}@example.org>" \
	    'RCPT TO:<u@example.org>' RSET \
	    'XCLIENT LOGIN=al+0Aice' 'XCLIENT HELO=c+0Ad' 'XCLIENT NAME=c+7Fd' \
	    'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' QUIT
	[ "$(grep -c '^request=' requests)" -ge 3 ]
	LC_ALL=C
	run ! grep -aqP '[\x00-\x1f\x7f]' requests
	run ! grep -avE '^([a-z_]+=.*)?$' requests
	[ "$(grep -c '^client_address=' requests)" = \
	    "$(grep -c '^request=' requests)" ]
	run ! grep -q '198\.51' requests
}
