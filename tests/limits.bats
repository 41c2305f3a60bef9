# limits.bats - too many errors, too many recipients, and who is no SMTP client
# RFC 5321 sections 3.8, 4.2.4, 4.3.2, 4.5.3.1.8 and 7.8

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# times N LINE: the line, N times, CRLF ended
times() {
	yes "$2"$'\r' | head -n "$1"
}

# tally: how many replies of each code there are after the greeting, in the
# order in which they first come
tally() {
	full_codes | tr ' ' '\n' | sed 1d | awk '
		!n[$0]++ { order[++k] = $0 }
		END { for (i = 1; i <= k; i++)
			print order[i] "*" n[order[i]] }' | paste -sd ' ' -
}

@test "errors: -e N are answered, the next gets 421 4.7.0 instead" {
	local n
	launched
	for n in 1 2 3 20; do
		OPTS=(-n mx.example -d example.org -m box -e "$n")
		{ times $((n + 5)) FOO; times 1 QUIT; } >in
		send <in
		[ "$(tally)" = "500/5.5.1*$n 421/4.7.0*1" ] || {
			echo "-e $n: $(tally)"
			false
		}
		[[ $(full_codes) = *' 421/4.7.0' ]]
		[ "$status" = 1 ]
	done
}

@test "errors: the limit is 20 where none is given" {
	launched
	{ times 20 FOO; times 1 QUIT; } >in
	send <in
	[ "$(tally)" = '500/5.5.1*20 221/2.0.0*1' ]
	{ times 21 FOO; times 1 QUIT; } >in
	send <in
	[ "$(tally)" = '500/5.5.1*20 421/4.7.0*1' ]
}

@test "errors: each 5xx counts, of whatever kind" {
	local line
	launched
	OPTS+=(-e 3)
	for line in FOO '' EXPN MAIL HELO 'MAIL FROM:<@>' 'RCPT TO:<u@example.org>' \
	    DATA 'QUIT x' 'MAIL FROM:<a@c.example> FOO' VRFY $'NOOP\001'; do
		{ times 4 "$line"; times 1 QUIT; } >in
		send <in
		[[ $(codes) = '220 5'??' 5'??' 5'??' 421' ]] || {
			echo "$line: $(codes)"
			false
		}
	done
	printf -v line '%03000d' 0
	{ times 4 "$line"; times 1 QUIT; } >in
	send <in
	[ "$(codes)" = '220 500 500 500 421' ]
}

@test "errors: refused recipients count, and nothing is delivered after 421" {
	launched
	OPTS+=(-e 2)
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<u@a.example>' 'RCPT TO:<u@b.example>' \
	    'RCPT TO:<u@c.example>' DATA x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 550/5.7.1 550/5.7.1 421/4.7.0' ]
	[ "$status" = 1 ]
	nothing_kept
}

@test "errors: what is refused for our trouble does not count" {
	launched
	OPTS=(-n mx.example -d @missing -m box -e 2)
	{
		times 1 'EHLO c.example'
		times 1 'MAIL FROM:<a@c.example>'
		times 10 'RCPT TO:<u@example.org>'
		times 1 QUIT
	} >in
	send <in
	[ "$(tally)" = '250*1 250/2.1.0*1 451/4.3.0*10 221/2.0.0*1' ]
}

@test "errors: the dot's own 5xx does not count" {
	launched
	OPTS+=(-e 2 -s 100)
	{
		times 1 'EHLO c.example'
		for _ in 1 2 3 4 5; do
			times 1 'MAIL FROM:<a@c.example>'
			times 1 'RCPT TO:<u@example.org>'
			times 1 DATA
			times 10 'ten octets and more'
			times 1 .
		done
		times 2 FOO
		times 1 NOOP
		times 1 QUIT
	} >in
	send <in
	[ "$(grep -c '^552 5\.3\.4' out)" = 5 ]
	[[ $(codes) = *' 552 500 500 250 221' ]]
}

@test "errors: a delivered message sets the count to nothing" {
	launched
	OPTS+=(-e 3)
	say 'EHLO c.example' FOO FOO FOO 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA x . FOO FOO FOO NOOP FOO QUIT
	[ "$(full_codes)" = '220 250 500/5.5.1 500/5.5.1 500/5.5.1 250/2.1.0 250/2.1.5 354 250/2.0.0 500/5.5.1 500/5.5.1 500/5.5.1 250/2.0.0 421/4.7.0' ]
	[ "$(count box/new)" = 1 ]
}

@test "errors: a refused message does not, nor does RSET or EHLO" {
	launched
	OPTS+=(-e 3 -s 1)
	say 'EHLO c.example' FOO FOO 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'too big' . RSET 'EHLO c.example' \
	    FOO FOO QUIT
	[ "$(codes)" = '220 250 500 500 250 250 354 552 250 250 500 421' ]
}

@test "errors: every hundredth NOOP, RSET, VRFY or HELP is one" {
	local line want
	launched
	OPTS+=(-e 2)
	while read -r want line; do
		{ times 299 "$line"; times 1 QUIT; } >in
		send <in
		[ "$(tally)" = "$want*299 221/2.0.0*1" ] || {
			echo "299 times $line: $(tally)"
			false
		}
		{ times 310 "$line"; times 1 QUIT; } >in
		send <in
		[ "$(tally)" = "$want*299 421/4.7.0*1" ] || {
			echo "310 times $line: $(tally)"
			false
		}
	done <<-'S'
		250/2.0.0 NOOP
		250/2.0.0 RSET
		252/2.0.0 VRFY u@example.org
		214/2.0.0 HELP
	S
}

@test "recipients: one over -r gets 452 4.5.3, and those before it stay" {
	launched
	OPTS+=(-r 3)
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u1@example.org>' \
	    'RCPT TO:<u2@example.org>' 'RCPT TO:<u3@example.org>' \
	    'RCPT TO:<u4@example.org>' 'RCPT TO:<u5@example.org>' DATA x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 452/4.5.3 452/4.5.3 354 250/2.0.0 221/2.0.0' ]
	header Delivered-To | sort >got
	printf '%s\n' u1@example.org u2@example.org u3@example.org >want
	cmp got want
}

@test "recipients: doubles count" {
	launched
	OPTS+=(-r 3)
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<u@example.org>' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<u@example.org>' QUIT
	[ "$(codes)" = '220 250 250 250 250 250 452 221' ]
}

@test "recipients: the count begins anew with each message" {
	launched
	OPTS+=(-r 1)
	{
		times 1 'EHLO c.example'
		for _ in 1 2 3; do
			times 1 'MAIL FROM:<a@c.example>'
			times 2 'RCPT TO:<u@example.org>'
			times 1 DATA
			times 1 .
		done
		times 1 'MAIL FROM:<a@c.example>'
		times 1 'RCPT TO:<u@example.org>'
		times 1 RSET
		times 1 'MAIL FROM:<a@c.example>'
		times 1 'RCPT TO:<u@example.org>'
		times 1 QUIT
	} >in
	send <in
	[ "$(codes)" = '220 250 250 250 452 354 250 250 250 452 354 250 250 250 452 354 250 250 250 250 250 250 221' ]
	[ "$(count box/new)" = 3 ]
}

@test "recipients: the limit is 1000 where none is given" {
	launched
	{
		times 1 'EHLO c.example'
		times 1 'MAIL FROM:<a@c.example>'
		times 1001 'RCPT TO:<u@example.org>'
		times 1 QUIT
	} >in
	send <in
	[ "$(tally)" = '250*1 250/2.1.0*1 250/2.1.5*1000 452/4.5.3*1 221/2.0.0*1' ]
}

@test "recipients: too many are no error of the client" {
	launched
	OPTS+=(-r 1 -e 2)
	{
		times 1 'EHLO c.example'
		times 1 'MAIL FROM:<a@c.example>'
		times 20 'RCPT TO:<u@example.org>'
		times 1 QUIT
	} >in
	send <in
	[ "$(tally)" = '250*1 250/2.1.0*1 250/2.1.5*1 452/4.5.3*19 221/2.0.0*1' ]
}

# sent_away BYTES...: each of these (\r, \n and \xHH are one byte), sent at once
# and byte by byte by a client that stays on the line, gets the greeting and a
# 421 4.7.0, and is left, with nothing delivered
sent_away() {
	launched
	py "$SMTPD" "${OPTS[@]}" -- "$@" <<-'P'
		import os
		import re
		import subprocess
		import sys
		import talk

		split = sys.argv.index('--')
		argv, openings = sys.argv[1:split], sys.argv[split + 1:]
		# what an attacker would have a browser send along
		EVIL = (b'MAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\n'
		    b'DATA\r\nx\r\n.\r\n')
		bad = 0
		for opening in openings:
		    data = opening.encode().decode('unicode_escape').encode('latin1')
		    for piece, rest in ((65536, EVIL), (1, EVIL), (65536, b''), (1, b'')):
		        r, w = os.pipe()
		        with open('out', 'wb') as out, open('log', 'wb') as log:
		            child = subprocess.Popen(argv, stdin=r, stdout=out,
		                stderr=log)
		        os.close(r)
		        talk.feed(w, data + rest, piece, child)
		        # w is still open: what ends the session is its own doing
		        status = talk.ended(child)
		        os.close(w)
		        with open('out', 'rb') as out:
		            said = out.read()
		        kept = os.listdir('box/new') + os.listdir('box/tmp')
		        if status != 1 or kept or not re.fullmatch(
		            rb'220 [^\n]*\r\n(421-4\.7\.0 [^\n]*\n)*421 4\.7\.0 [^\n]*\r\n',
		            said):
		            bad += 1
		            print(opening[:60], 'in pieces of', piece, 'status', status,
		                'said', said, 'kept', kept)
		sys.exit(bad > 0)
	P
}

@test "opening: an HTTP request gets 421 4.7.0 and is closed" {
	local rest=' HTTP/1.1\r\nHost: mx.example\r\n\r\n'
	sent_away "GET /$rest" "POST /x?y=z$rest" "HEAD /$rest" "PUT /a$rest" \
	    "OPTIONS *$rest" "DELETE /a$rest" "CONNECT mx.example:25$rest" \
	    "PATCH /a$rest" "TRACE /$rest" 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' \
	    'GET / HTTP/1.0\r\n'
}

@test "opening: a TLS hello gets 421 4.7.0 and is closed, with no line end" {
	local hello='\x02\x00\x01\x00\x01\xfc\x03\x03'
	# versions 3.0 to 3.3; and one that happens to have line ends in it
	sent_away "\\x16\\x03\\x00$hello" "\\x16\\x03\\x01$hello" \
	    "\\x16\\x03\\x02$hello" "\\x16\\x03\\x03$hello" \
	    '\x16\x03\x01\x02\x00\x01\r\n\r\n'
}

@test "opening: a PROXY header without --proxy gets 421 4.7.0 and is closed" {
	sent_away 'PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n' \
	    'PROXY TCP6 2001:db8::1 2001:db8::2 1234 25\r\n' \
	    'PROXY UNKNOWN\r\n' 'PROXY UNKNOWN a b c d\r\nEHLO c.example\r\n'
}

@test "opening: a PROXY header of version 2 likewise" {
	local v2='\r\n\r\n\x00\r\nQUIT\n'
	# IPv4; and a local one, as from a health check
	sent_away \
	    "$v2\\x21\\x11\\x00\\x0c\\xc0\\x00\\x02\\x01\\xc0\\x00\\x02\\x02\\x04\\xd2\\x00\\x19" \
	    "$v2\\x20\\x00\\x00\\x00"
}

@test "opening: none of these is anything special once a command was there" {
	launched
	table 'EHLO c.example' <<-'S'
		500/5.5.1 GET / HTTP/1.1
		500/5.5.1 Host: mx.example
		500/5.5.1 PROXY TCP4 192.0.2.1 192.0.2.2 1234 25
		500/5.5.2 \x16\x03\x01\x02\x00
		250/2.0.0 NOOP
	S
}

@test "opening: an SMTP client that looks a little like one is none" {
	local first want how bad=0
	launched
	while read -r want first; do
		printf '%b' "$first" '\r\nNOOP\r\nQUIT\r\n' >in
		for how in send drip; do
			$how <in
			[[ $(codes) = "220 $want 250 221" ]] || {
				echo "$first: $(codes)"
				bad=1
			}
		done
	done <<-'S'
		250 HELO GET
		500 G
		500 PROX
		500 P
		500 \x16
		500 GETTING on
	S
	[ $bad = 0 ]
}

# A line of AUTH may be longer than any other.  Of one with a bare LF in it, what
# stands behind the LF begins a new line when the client falls silent.
@test "limits: what a silent client leaves behind a bare LF is held to the next line's own length" {
	launched
	OPTS=(-n mx.example -d example.org -m box --secured --auth 'true')
	py "$SMTPD" "${OPTS[@]}" <<-'P'
		import concurrent.futures, itertools, socket, subprocess, sys

		def session(first, rest, then):
		    """the codes, and the exit status"""
		    ours, theirs = socket.socketpair()
		    child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs,
		                             stderr=subprocess.DEVNULL)
		    theirs.close()
		    ours.settimeout(20)
		    said = b''
		    def until(code):
		        nonlocal said
		        while code not in said:
		            got = ours.recv(65536)
		            assert got, (first[:20], len(rest), len(then), said)
		            said += got
		    ours.sendall(b'EHLO c.example\r\n')
		    until(b'250 ')
		    ours.sendall(first)
		    if first.startswith(b'AUTH PLAIN\r'):
		        until(b'334 ')
		    ours.sendall(b'abc\n' + rest)
		    # it waits for us a second
		    until(b'not in LF')
		    ours.sendall(then + b'\r\nNOOP\r\nQUIT\r\n')
		    until(b'\r\n221 ')
		    ours.close()
		    return said, child.wait()

		def row(case):
		    first, rest, then = case
		    said, status = session(first, b'x' * rest, b'y' * then)
		    lines = said.decode().split('\r\n')
		    codes = [l for l in lines if l[:4] in ('500 ', '501 ')]
		    assert len(codes) == 2, (case, lines)
		    assert lines[-3][:9] == '250 2.0.0', (case, lines)
		    assert status == 0, (case, status)

		with concurrent.futures.ThreadPoolExecutor(16) as pool:
		    list(pool.map(row, itertools.product(
		        (b'AUTH PLAIN ', b'AUTH PLAIN\r\n'),
		        (2043, 2047, 2048, 2049, 11000, 12200), (0, 1, 60000))))
	P
}
