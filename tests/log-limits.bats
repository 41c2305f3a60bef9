# log-limits.bats - no line of the log is longer than a pipe keeps together, and
# no client fills the log
# POSIX, PIPE_BUF; smtpd(8), DIAGNOSTICS

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load live

# limits.py: run(argv, data, journal, over) is a session and its log, in the
# pieces in which it was written; wrong(pieces, journal) is what is wrong there
limits_py() {
	cat <<-'P'
		import os
		import re
		import subprocess
		import sys
		import tempfile
		import threading

		MOST = 4096
		# a value is in quotes, with none in it, or has neither quote nor
		# blank
		LINE = re.compile(rb'(smtpd\[\d+\]: |<\d+>)[a-z-]+'
		    rb'( [a-z_-]+=("([^"\\]|\\.)*"|[^ "]*))*'
		    rb'( ?[^ "=]*(\.\.\.|cut|more|truncated)[^"]*)?')


		def run(argv, data, journal=False, over='pipe'):
		    env = dict(os.environ)
		    if over == 'pipe':
		        # in packets: each is one write
		        r, w = os.pipe2(os.O_DIRECT)
		    else:
		        w = os.open('log', os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
		    st = os.fstat(w)
		    if journal:
		        env['JOURNAL_STREAM'] = '%d:%d' % (st.st_dev, st.st_ino)
		    pieces = []

		    def read():
		        while True:
		            got = os.read(r, 65536)
		            if not got:
		                break
		            pieces.append(got)

		    with tempfile.TemporaryFile(dir='.') as f:
		        f.write(data)
		        f.seek(0)
		        child = subprocess.Popen(argv, stdin=f, stderr=w, env=env,
		            stdout=open('out', 'wb'))
		        os.close(w)
		        if over == 'pipe':
		            read()
		            os.close(r)
		        child.wait(20)
		    if over == 'file':
		        pieces = open('log', 'rb').read().splitlines(True)
		    return pieces


		def wrong(pieces, journal=False):
		    bad = []
		    if not pieces:
		        bad.append('no log')
		    for p in pieces:
		        what = []
		        if len(p) > MOST:
		            what.append('%d octets' % len(p))
		        if not p.endswith(b'\n') or p.count(b'\n') != 1:
		            what.append('not a line')
		        if not p.startswith(b'<' if journal else b'smtpd['):
		            what.append('has another beginning')
		        if not LINE.fullmatch(p.rstrip(b'\n')):
		            what.append('is not made of words')
		        if what:
		            bad.append('%s: %r ... %r' % (', '.join(what), p[:60],
		                p[-60:]))
		    return bad


		def report(bad):
		    print('\n'.join(bad[:9]), len(bad))
		    sys.exit(len(bad) > 0)


		def long_mail(n=1000):
		    """everything in it is as long as it may be, and is escaped"""
		    rcpts = b''.join(b'RCPT TO:<%s%04d@example.org>\r\n' % (b'r' * 184,
		        i) for i in range(n))
		    return (b'EHLO %s\r\nMAIL FROM:<%s@c.example> SMTPUTF8 SIZE=1\r\n%s'
		        b'DATA\r\nFrom: \x01\x02\r\nMessage-ID: <%s>\r\n\r\nx\r\n.\r\n'
		        % (b'\xff' * 255, b'\xc3\xa9' * 400, rcpts, b'\x01' * 900))
	P
}

@test "log limits: no line is over 4096 octets, and each stands whole" {
	limits_py >limits.py
	py "$SMTPD" "${OPTS[@]}" -e 100000 <<-'P'
		from limits import *
		bad = []
		for over in 'pipe', 'file':
		    for journal in False, True:
		        for verbose in [], ['-v']:
		            for long in (long_mail(),
		                    b'EHLO ' + b'\xff' * 255 + b'\r\n' +
		                    b'NOOP ' + b'\xff' * 2041 + b'\r\n' +
		                    b'NOOP ' + b'"' * 2041 + b'\r\n' +
		                    b'NOOP ' + b'\\' * 2041 + b'\r\n' +
		                    b'MAIL FROM:<' + b'a' * 1900 + b'>\r\n' +
		                    b'MAIL FROM:<' + b'\xff' * 1900 + b'>\r\n' +
		                    b'HELO ' + b'\xff' * 1990 + b'\r\n' +
		                    b'Q' * 2040 + b'\r\n' + b'\xff' * 2040 + b'\r\n' +
		                    b'MAIL FROM:<> ENVID=' + b'x' * 100 + b'\r\n' +
		                    b'RCPT TO:<' + b'\xff' * 1900 + b'>\r\n'):
		                log = run([*sys.argv[1:], *verbose], long + b'QUIT\r\n',
		                    journal, over)
		                bad += ['%s, %s: %s' % (over, verbose, b)
		                    for b in wrong(log, journal)]
		report(bad)
	P
}

@test "log limits: what was cut shows it, and a line that was not does not" {
	limits_py >limits.py
	py "$SMTPD" "${OPTS[@]}" <<-'P'
		from limits import *
		MARK = re.compile(rb'\.\.\.|cut|more|truncated')
		log = run(sys.argv[1:], long_mail() + b'QUIT\r\n')
		lines = [l for l in log if b' reply=250' in l]
		if len(lines) != 1 or not MARK.search(lines[0][-60:]):
		    report(['not one such line that shows its cut', *map(repr, lines)])
		# what of it was cut is not the beginning
		for want in b' id=', b' helo="', b' from="', b' rcpts=1000':
		    if want not in lines[0]:
		        report(['no %r in %r' % (want, lines[0])])
		short = run(sys.argv[1:], b'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		    b'RCPT TO:<u@example.org>\r\nDATA\r\n\r\nx\r\n.\r\nQUIT\r\n')
		report([repr(l) for l in short if MARK.search(l)])
	P
}

@test "log limits: sessions that share a pipe do not write into each other's lines" {
	limits_py >limits.py
	py "$SMTPD" "${OPTS[@]}" <<-'P'
		import fcntl
		from limits import *
		r, w = os.pipe()
		# of one page: what is longer than that comes in pieces
		fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
		with open('in', 'wb') as f:
		    f.write(long_mail(60) * 5 + b'QUIT\r\n')
		children = [subprocess.Popen(sys.argv[1:], stdin=open('in', 'rb'),
		    stdout=subprocess.DEVNULL, stderr=w) for i in range(4)]
		os.close(w)
		got = b''
		while True:
		    more = os.read(r, 3000)
		    if not more:
		        break
		    got += more
		for c in children:
		    c.wait(20)
		if len(re.findall(rb': message id', got)) != 4 * 5:
		    report(['not all lines are there'])
		report(wrong(got.splitlines(True)))
	P
}

@test "log limits: a session logs a hundred refusals, and then how many more there were" {
	local line
	launched
	OPTS+=(-e 1000000)
	for line in FOO 'MAIL FROM:<@>' 'RCPT TO:<u@example.org>' 'HELO'; do
		{
			yes "$line"$'\r' | head -n 20000
			printf 'QUIT\r\n'
		} >in
		send <in
		[ "$(codes | tr ' ' '\n' | grep -c '^5')" = 20000 ]
		[ "$(grep -c '^smtpd[^ ]* refused .*what=' log)" = 100 ] || {
			grep -c . log
			false
		}
		# 19900 more
		grep -qE '[^0-9]19900([^0-9]|$)' log
		[ "$(wc -c <log)" -lt 30000 ]
	done
	# a hundred are all there are
	{ yes FOO$'\r' | head -n 100; printf 'QUIT\r\n'; } >in
	send <in
	[ "$(grep -c '^smtpd[^ ]* refused .*what=' log)" = 100 ]
	[ "$(wc -l <log)" = 101 ]
	# a session that is sent away says how many as well
	{ yes FOO$'\r' | head -n 200; } >in
	OPTS[-1]=150
	send <in
	[[ $(full_codes) = *' 421/4.7.0' ]]
	[ "$(grep -c '^smtpd[^ ]* refused .*what=' log)" = 100 ]
	grep -qE '[^0-9]5[01]([^0-9]|$)' log
}

@test "log limits: the log of a flood is smaller than the flood" {
	local what
	launched
	OPTS+=(-e 1000000)
	while IFS= read -r what; do
		{
			yes "$(printf '%b' "$what")"$'\r' | head -n 10000
			printf 'QUIT\r\n'
		} >in
		send <in
		[[ $(full_codes) = *' 221/2.0.0' ]]
		[ "$(wc -c <log)" -lt "$(wc -c <in)" ] || {
			echo "$what: $(wc -c <log) for $(wc -c <in)"
			false
		}
	done <<-'W'
		x
		FOO
		HELO x
		NOOP\001
		MAIL FROM:<a@c.example> RET=HDRS\r\nRSET
		MAIL FROM:<>\r\nRCPT TO:<u@example.org> NOTIFY=NEVER\r\nRSET
		MAIL FROM:<>\r\nRCPT TO:<u@x.example>\r\nRSET
		BDAT 0
		DATA
		AUTH PLAIN x
	W
}

# ---- what counts as junk, so that it ends ----

# ends_at FROM TO LINE...: with -e 2 a session of HEAD and then the lines, again
# and again, ends in 421 4.7.0 after so many of their replies
ends_at() {
	local from=$1 to=$2 n all
	shift 2
	{
		[ ${#HEAD[@]} = 0 ] || printf '%s\r\n' "${HEAD[@]}"
		yes "$(printf '%s\r\n' "$@")"$'\r' | head -n 3000 | tr -s '\r'
		printf 'QUIT\r\n'
	} >in
	"$SMTPD" "${OPTS[@]}" -e 2 <in >out 2>log && status=0 || status=$?
	all=$(full_codes)
	n=$(($(wc -w <<<"$all") - 1 - ${#HEAD[@]}))
	if [[ $all != *' 421/4.7.0' ]] || ((n < from || n > to)) ||
	    [ "$status" != "${STATUS:-1}" ]; then
		echo "$*: $n, ${all: -60}, $status"
		return 1
	fi
}

@test "log limits: a message that one of many has got is told, however many have not" {
	# shellcheck disable=SC2016 # for the program
	printf '#!/bin/sh\ncat >/dev/null\n[ "$LOCAL" = good ] || exit 67\n' >program
	chmod 755 program
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<good@example.org>\r\n'
		printf 'RCPT TO:<bad%d@example.org>\r\n' {1..101}
		printf 'DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n'
	} >in
	PROTO=TCP TCPREMOTEIP=192.0.2.7 "$SMTPD" -n mx.example -d example.org ./program \
	    <in >out 2>log || :
	[ "$(grep -c ' refused id=' log)" = 100 ]
	[ "$(grep -c ' message id=.*to="good@example.org"' log)" = 1 ]
}

@test "junk: every hundredth HELO, EHLO, VERB, ONEX is an error" {
	local line
	launched
	HEAD=()
	for line in 'HELO c.example' 'EHLO c.example' VERB ONEX NOOP; do
		ends_at 300 300 "$line"
	done
	ends_at 300 300 'HELO c.example' VERB EHLO\ c 'NOOP x' RSET
	OPTS+=(--lmtp)
	ends_at 300 300 'LHLO c.example'
}

@test "junk: two thousand HELOs are the end where no limit is given" {
	launched
	{ yes $'HELO x\r' | head -n 3000; printf 'QUIT\r\n'; } >in
	send <in
	[[ $(full_codes) = *' 421/4.7.0' ]]
	[ "$(full_codes | wc -w)" -ge 2000 ]
	[ "$(full_codes | wc -w)" -le 2110 ]
	[ "$status" = 1 ]
}

@test "junk: so is every hundredth 4xx, but for 452 4.5.3" {
	launched
	OPTS=(-n mx.example -d @missing -m box -r 10000)
	HEAD=('EHLO c.example' 'MAIL FROM:<a@c.example>')
	# (and something of ours has failed)
	STATUS=75 ends_at 290 310 'RCPT TO:<u@example.org>'
	[ "$(codes | tr ' ' '\n' | sort | uniq -c | sort -rn |
	    awk 'NR == 1 { print $2 }')" = 451 ]
	OPTS=(-n mx.example -d example.org -m box -r 1 -e 2)
	{
		printf '%s\r\n' "${HEAD[@]}"
		yes $'RCPT TO:<u@example.org>\r' | head -n 2000
		printf 'QUIT\r\n'
	} >in
	send <in
	[[ $(full_codes) = *' 452/4.5.3 221/2.0.0' ]]
	[ "$(full_codes | wc -w)" = 2004 ]
}

@test "junk: and every hundredth DSN parameter that is ignored" {
	launched
	OPTS+=(-r 10000)
	HEAD=('EHLO c.example' 'MAIL FROM:<a@c.example>')
	ends_at 290 310 'RCPT TO:<u@example.org> NOTIFY=NEVER'
	# without one RCPT is none
	{
		printf '%s\r\n' "${HEAD[@]}"
		yes $'RCPT TO:<u@example.org>\r' | head -n 2000
		printf 'QUIT\r\n'
	} >in
	OPTS+=(-e 2)
	send <in
	[[ $(full_codes) = *' 250/2.1.5 221/2.0.0' ]]
}

@test "junk: a delivered message makes good what was before it" {
	launched
	OPTS+=(-e 1)
	{
		for _ in 1 2 3; do
			yes $'HELO x\r' | head -n 190
			printf '%s\r\n' 'MAIL FROM:<a@c.example>' \
			    'RCPT TO:<u@example.org>' DATA x .
		done
		printf 'QUIT\r\n'
	} >in
	send <in
	[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]]
	[ "$(count box/new)" = 3 ]
}
