# tolerance.bats - what old devices and stock clients do, and is taken or told
# RFC 5321 sections 2.3.8 and 4.1.1.3; RFC 4954 section 4; Postfix,
# XCLIENT_README; zabbix and nagios modules look for a word in the greeting

# shellcheck disable=SC2015,SC2030,SC2031,SC2153,SC2154 # OPTS is each test's own
load live

# the name alice and the password "Sesam, 1"
PLAIN=AGFsaWNlAFNlc2FtLCAx
USER_=YWxpY2U=
PASS=U2VzYW0sIDE=

@test "greeting: the word ready is in it, in LMTP too" {
	say QUIT
	[ "$(head -n 1 out)" = $'220 mx.example ESMTP ready\r' ]
	OPTS+=(-l)
	say QUIT
	[ "$(head -n 1 out)" = $'220 mx.example LMTP ready\r' ]
}

# ---- lines that end in LF alone ----

LF_ONLY='EHLO alarm-panel\nMAIL FROM:<a@c.example>\nRCPT TO:<u@example.org>\n'
LF_ONLY+='DATA\nSubject: x\n\nbody\n.\nQUIT\n'

@test "LF alone: a client that ends its lines so and waits is told 500 5.5.2 within a second or two, and is heard then" {
	local over
	for over in tcp socket; do
		rm -f log
		live $over "$SMTPD" "${OPTS[@]}" <<-'P'
			import sys
			import time
			import live
			s = live.Session(sys.argv[2:], over=sys.argv[1])
			s.expect('220', 5)
			for line in b'EHLO alarm-panel\n', b'HELO alarm-panel\n':
			    began = time.monotonic()
			    s.send(line)
			    s.expect('500/5.5.2', 3)
			    if time.monotonic() - began < 0.8:
			        live.fail('what was behind it was not waited for')
			# once
			if s.reply(1.5) != 'nothing':
			    live.fail('twice')
			# it is no CRLF line: nothing was begun
			s.lines('RCPT TO:<u@example.org>', 'QUIT')
			s.expect('503/5.5.1 221/2.0.0', 3)
			if s.ended(5) != 0:
			    live.fail('status')
		P
		[ "$(grep -c ' refused .* reply=500 ' log)" = 2 ]
	done
	grep -q $'^[0-9.]* 500 5\\.5\\.2 .*CRLF' out
}

@test "LF alone: a whole session sent at once is told 500 5.5.2, once, and nothing is delivered" {
	live "$LF_ONLY" "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import live
		s = live.Session(sys.argv[2:], over='tcp')
		s.expect('220', 5)
		s.send(sys.argv[1].encode().decode('unicode_escape').encode())
		s.expect('500/5.5.2', 3)
		if s.reply(1.5) != 'nothing':
		    live.fail('twice')
		s.lines('QUIT')
		s.expect('221/2.0.0', 3)
	P
	nothing_kept
	[ "$(grep -c ' refused .* reply=500 ' log)" = 1 ]
}

@test "LF alone: at the end of input a line so ended is told 500 5.5.2, once, at once" {
	local data
	launched
	for data in "$LF_ONLY" 'NOOP\n' 'EHLO c.example\r\nNOOP\nQU' 'NOOP\nNOOP'
	do
		SECONDS=0
		printf '%b' "$data" >in
		send <in
		[ "$(grep -c $'^500 5\\.5\\.2 .*CRLF.*\r$' out)" = 1 ]
		[ "$(codes | tr ' ' '\n' | grep -c 500)" = 1 ]
		[ $SECONDS -le 1 ]
		[ "$status" = 0 ]
		[ "$(grep -c ' refused .* reply=500 ' log)" = 1 ]
		nothing_kept
	done
}

@test "LF alone: a line with a bare LF and CRLF behind it is one line, told once and at once" {
	local data
	launched
	for data in 'NOOP\nNOOP\r\n' 'NOOP\nNOOP\nNOOP\nMAIL FROM:<a@c.example>\r\n' \
	    '\nNOOP\r\n'; do
		printf '%bRCPT TO:<u@example.org>\r\nQUIT\r\n' "$data" >in
		send <in
		[ "$(full_codes)" = '220 500/5.5.2 503/5.5.1 221/2.0.0' ]
	done
	# the rest of it comes before the second is over
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import time
		import live
		s = live.Session(sys.argv[1:], over='tcp')
		s.expect('220', 5)
		s.send(b'NOOP\nNO')
		time.sleep(0.3)
		s.send(b'OP\r\n')
		s.expect('500/5.5.2', 0.6)
		s.lines('NOOP')
		s.expect('250/2.0.0', 0.6)
		if s.reply(1.3) != 'nothing':
		    live.fail('a reply too many')
	P
}

@test "LF alone: what is behind it is the next line, whole" {
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import live
		s = live.Session(sys.argv[1:], over='tcp')
		s.expect('220', 5)
		s.send(b'EHLO c.example\nNO')
		s.expect('500/5.5.2', 3)
		s.send(b'OP\r\nQUIT\r\n')
		s.expect('250/2.0.0 221/2.0.0', 3)
	P
}

@test "LF alone: a slow client that ends its lines in CRLF is told nothing" {
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import time
		import live
		s = live.Session(sys.argv[1:], over='tcp')
		s.expect('220', 5)
		for piece in b'NO', b'OP', b'\r':
		    s.send(piece)
		    if s.reply(1.2) != 'nothing':
		        live.fail('a reply to', piece)
		s.send(b'\n')
		s.expect('250/2.0.0', 3)
	P
}

@test "LF alone: in an AUTH exchange it is told, too" {
	OPTS+=(--auth /bin/true --secured)
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import live
		s = live.Session(sys.argv[1:], over='tcp').greeted()
		s.lines('AUTH LOGIN')
		s.expect('334', 3)
		s.send(b'YWxpY2U=\n')
		s.expect('500/5.5.2', 3)
		# the exchange is over
		s.lines('NOOP', 'QUIT')
		s.expect('250/2.0.0 221/2.0.0', 3)
	P
	run ! grep -q YWxpY2U log
}

@test "LF alone: with --bare-newline normalize the session is taken, at once and in lock-step, and mail delivered" {
	OPTS+=(--bare-newline normalize)
	printf 'Subject: x\n\nbody\n' >want
	launched
	printf '%b' "$LF_ONLY" >in
	send <in
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	[ "$status" = 0 ]
	stored_is want
	rm box/new/*
	# the same byte by byte
	drip <in
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	stored_is want
	rm box/new/*
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import live
		s = live.Session(sys.argv[1:], over='tcp')
		s.expect('220', 5)
		for line, code in (('EHLO alarm-panel', '250'),
		    ('MAIL FROM:<a@c.example>', '250/2.1.0'),
		    ('RCPT TO:<u@example.org>', '250/2.1.5'), ('DATA', '354'),
		    ('Subject: x\n\nbody\n.', '250/2.0.0'), ('QUIT', '221/2.0.0')):
		    s.send(line.encode() + b'\n')
		    # and not after a second of silence
		    s.expect(code, 0.8)
		if s.ended(5) != 0:
		    live.fail('status')
	P
	stored_is want
}

@test "LF alone: normalized, where DATA itself ended in CRLF a message ends by CRLF . CRLF alone" {
	launched
	OPTS+=(--bare-newline normalize)
	for end in '\r\n' '\n'; do
		rm -f box/new/*
		printf '%b' "EHLO c.example${end}MAIL FROM:<a@c.example>$end" \
		    "RCPT TO:<u@example.org>${end}DATA\r\n" \
		    'Subject: x\n\nbody\n.\nRSET\n.\r\nstill\r\n.\r\nQUIT\n' >in
		send <in
		[ "$(codes)" = '220 250 250 250 354 250 221' ]
		printf '%s\n' 'Subject: x' '' body . RSET . still >want
		stored_is want
	done
}

@test "LF alone: without normalize no LF . LF ends a message, and no command ends in LF" {
	launched
	printf '%b' 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n' \
	    'RCPT TO:<u@example.org>\r\nDATA\r\nSubject: x\n\nbody\n.\nRSET\n' \
	    '.\r\n\r\n.\r\nNOOP\nQUIT\r\n' >in
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 550/5.5.2 500/5.5.2' ]
	nothing_kept
}

@test "LF alone: normalized, commands may end in LF and in CRLF by turns" {
	launched
	OPTS+=(--bare-newline normalize)
	printf '%b' 'EHLO c.example\r\nNOOP\nNOOP\r\nNOOP\n\r\nQUIT\n' >in
	send <in
	[ "$(codes)" = '220 250 250 250 250 500 221' ]
	printf '%b' 'EHLO c.example\nNOOP\r\nNOOP\nNOOP\r\nQUIT\n' >in
	send <in
	[ "$(codes)" = '220 250 250 250 250 221' ]
	# a bare CR is bare all the same
	printf '%b' 'EHLO c.example\nNO\rOP\nNOOP\r\r\nQUIT\n' >in
	send <in
	[ "$(codes)" = '220 250 500 500 221' ]
}

# ---- a bare newline in a message ----

# told_line WANT TEXT: of a message of this text, with \r and \n, the reply to
# the dot says 550 5.5.2, and that it is in this line
told_line() {
	printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n' >in
	printf 'RCPT TO:<u@example.org>\r\nDATA\r\n%b\r\n.\r\nQUIT\r\n' "$2" >>in
	send <in
	[[ "$(full_codes)" = *' 354 550/5.5.2 221/2.0.0' ]] &&
	    grep -qE "^550 5\.5\.2 [^0-9]*$1[^0-9]*"$'\r$' out || {
		echo "$2: wanted line $1:"
		grep '^5' out
		return 1
	}
}

@test "bare newline: 550 5.5.2 names the line of the message in which the first one is" {
	local way
	for way in by_hand launched; do
		[ $way = by_hand ] || launched
		told_line 1 'x\ny'
		told_line 1 'Sub\rject: x\r\n\r\nx\ny'
		told_line 3 'Subject: x\r\n\r\nx\ny\r\nz\rz'
		told_line 4 'Subject: x\r\n\r\nx\r\n\r'
		told_line 5 '1\r\n2\r\n3\r\n4\r\n5\n6\r\n7'
		told_line 1 '.\n\r\nx\ny\r\n'
		told_line 1001 "$(printf 'line\\r\\n%.0s' {1..1000})x\\ny"
	done
}

@test "bare newline: each message is counted from its own first line" {
	{
		printf 'EHLO c.example\r\n'
		for text in '1\r\n2\r\n3\nx' '1\r\n2\nx'; do
			printf 'MAIL FROM:<a@c.example>\r\n'
			printf 'RCPT TO:<u@example.org>\r\nDATA\r\n%b\r\n.\r\n' "$text"
		done
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(grep '^550' out | tr -cd '0-9\n' | paste -sd ' ' -)" = '5505523 5505522' ]
}

@test "bare newline: the line is in the log, too" {
	told_line 2 'Subject: x\r\n\ny\r\nz'
	grep '^550' out | tr -d '\r' | cut -c 5- >said
	grep -F "$(<said)" log
}

# ---- AUTH in clear, for scanners ----

# in_clear ADDRESS LINE...: a session of a client from there
in_clear() {
	printf '%s\r\n' 'EHLO c.example' "${@:2}" QUIT >in
	status=0
	env PROTO=TCP TCPREMOTEIP="$1" "$SMTPD" "${OPTS[@]}" <in >out 2>log \
	    3>&- || status=$?
}

@test "auth-clear: from these networks AUTH is offered and taken without encryption, and Received says ESMTPA" {
	local address
	OPTS+=(--auth /bin/true --auth-clear '192.0.2.0/24,2001:db8::/32')
	for address in 192.0.2.7 2001:db8::7 ::ffff:192.0.2.8; do
		rm -f box/new/*
		in_clear "$address" "AUTH PLAIN $PLAIN" 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' x .
		[ "$(full_codes)" = '220 250 235/2.7.0 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
		grep -q $'^250-AUTH PLAIN LOGIN\r$' out
		[[ $(header Received) = *' with ESMTPA '* ]]
	done
}

@test "auth-clear: from elsewhere AUTH is 538 and not offered, and the program is not run" {
	local address
	printf '#!/bin/sh\necho run >>"%s/runs"\n' "$PWD" >checker
	chmod 755 checker
	OPTS+=(--auth "$PWD/checker" --auth-clear '192.0.2.0/24')
	for address in 192.0.3.7 2001:db8::7 127.0.0.1 no-address; do
		in_clear "$address" "AUTH PLAIN $PLAIN" 'AUTH LOGIN'
		[ "$(full_codes)" = '220 250 538/5.7.11 538/5.7.11 221/2.0.0' ]
		run ! grep -q '^250[- ]AUTH' out
	done
	[ ! -e runs ]
	in_clear 192.0.2.9 "AUTH PLAIN $PLAIN"
	[ -e runs ]
}

@test "auth-clear: by hand, and without --auth, nothing is offered" {
	OPTS+=(--auth-clear '0.0.0.0/0,::/0')
	in_clear 192.0.2.7 "AUTH PLAIN $PLAIN"
	[ "$(full_codes)" = '220 250 502/5.5.1 221/2.0.0' ]
	OPTS+=(--auth /bin/true)
	say 'EHLO c.example' "AUTH PLAIN $PLAIN" QUIT
	[ "$(full_codes)" = '220 250 538/5.7.11 221/2.0.0' ]
}

@test "auth-clear: the address that a PROXY header tells counts, not the proxy's own" {
	launched
	OPTS+=(--auth /bin/true --auth-clear 198.51.100.0/24 --proxy '*')
	printf '%s\r\n' 'PROXY TCP4 198.51.100.9 192.0.2.1 99 25' 'EHLO c' \
	    "AUTH PLAIN $PLAIN" QUIT >in
	send <in
	[ "$(full_codes)" = '220 250 235/2.7.0 221/2.0.0' ]
	OPTS+=(--auth-clear 192.0.2.0/24)
	send <in
	[ "$(full_codes)" = '220 250 538/5.7.11 221/2.0.0' ]
}

@test "auth-clear: what is no network is told at start" {
	run -64 "$SMTPD" "${OPTS[@]}" --auth-clear 192.0.2 </dev/null
	run -64 "$SMTPD" "${OPTS[@]}" --auth-clear '' </dev/null
	run -64 "$SMTPD" "${OPTS[@]}" --auth-clear 192.0.2.0/33 </dev/null
}

# ---- AUTH ----

@test "AUTH: the third malformed exchange of a session is its last, 421 4.7.0" {
	OPTS+=(--auth /bin/true --secured)
	say 'EHLO c.example' 'AUTH PLAIN !' 'AUTH PLAIN' '=' 'AUTH LOGIN' '!' \
	    "AUTH PLAIN $PLAIN" QUIT
	[ "$(full_codes)" = '220 250 501/5.5.2 334 501/5.5.2 334 421/4.7.0' ]
	[ "$status" = 1 ]
}

@test "AUTH: malformed ones and wrong passwords are counted together" {
	OPTS+=(--auth /bin/false --secured)
	say 'EHLO c.example' 'AUTH PLAIN !' "AUTH PLAIN $PLAIN" 'AUTH PLAIN !' QUIT
	[ "$(full_codes)" = '220 250 501/5.5.2 535/5.7.8 421/4.7.0' ]
	say 'EHLO c.example' 'AUTH PLAIN !' 'AUTH LOGIN' '?' "AUTH PLAIN $PLAIN" \
	    QUIT
	[ "$(full_codes)" = '220 250 501/5.5.2 334 501/5.5.2 421/4.7.0' ]
}

@test "AUTH: one that is cancelled, or of an unknown mechanism, is not malformed" {
	OPTS+=(--auth /bin/true --secured)
	say 'EHLO c.example' 'AUTH PLAIN !' 'AUTH PLAIN !' 'AUTH PLAIN' '*' \
	    'AUTH CRAM-MD5' 'AUTH LOGIN' '*' "AUTH PLAIN $PLAIN" QUIT
	[ "$(full_codes)" = '220 250 501/5.5.2 501/5.5.2 334 501/5.7.0 504/5.5.4 334 501/5.7.0 235/2.7.0 221/2.0.0' ]
}

@test "AUTH: blanks behind base64 are taken, in the command line and in the continuation" {
	local blank
	OPTS+=(--auth /bin/true --secured)
	for blank in ' ' '   ' $'\t' $' \t '; do
		say 'EHLO c.example' "AUTH PLAIN $PLAIN$blank" QUIT
		[ "$(full_codes)" = '220 250 235/2.7.0 221/2.0.0' ]
		say 'EHLO c.example' "AUTH PLAIN$blank" "$PLAIN$blank" QUIT
		[ "$(full_codes)" = '220 250 334 235/2.7.0 221/2.0.0' ]
		say 'EHLO c.example' 'AUTH LOGIN' "$USER_$blank" "$PASS$blank" QUIT
		[ "$(full_codes)" = '220 250 334 334 235/2.7.0 221/2.0.0' ]
		say 'EHLO c.example' "AUTH LOGIN $USER_$blank" "$PASS$blank" QUIT
		[ "$(full_codes)" = '220 250 334 235/2.7.0 221/2.0.0' ]
	done
	# not within it
	say 'EHLO c.example' 'AUTH PLAIN' "${PLAIN:0:8} ${PLAIN:8}" QUIT
	[ "$(full_codes)" = '220 250 334 501/5.5.2 221/2.0.0' ]
}

# ---- XCLIENT's HELO ----

@test "XCLIENT: the client's HELO stays in Received and for the program, whatever the proxy says of itself" {
	local hello
	launched
	for hello in 'EHLO front.example' 'HELO front.example'; do
		OPTS=(-n mx.example -d example.org -m box --xclient '*')
		rm -f box/new/*
		say 'EHLO front.example' 'XCLIENT ADDR=198.51.100.9 HELO=c.example' \
		    "$hello" "$hello" RSET 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' x . QUIT
		[[ $(header Received) = 'from c.example ('* ]]
		run ! grep -q front.example "$(only_message)"
		mkdir -p spool
		OPTS=(-n mx.example -d example.org --spool spool --xclient '*'
		    sh -c 'env >told')
		send <in
		grep -qx CLIENT_HELO=c.example told
	done
}

@test "XCLIENT: with its HELO a client that says none of its own is as it was told" {
	launched
	OPTS+=(--xclient '*')
	say 'EHLO front.example' 'XCLIENT HELO=c.example PROTO=ESMTP' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA 'Subject: x' \
	    '' x . QUIT
	[[ $(header Received) = 'from c.example ('*' with ESMTP '* ]]
}

@test "XCLIENT: another one without HELO= makes the next EHLO the client's" {
	launched
	OPTS+=(--xclient '*')
	say 'EHLO front.example' 'XCLIENT ADDR=198.51.100.9 HELO=c.example' \
	    'EHLO front.example' 'XCLIENT ADDR=198.51.100.10' 'EHLO d.example' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA 'Subject: x' \
	    '' x . QUIT
	[[ $(header Received) = 'from d.example ('*'[198.51.100.10]'* ]]
}

@test "XCLIENT: an unknown HELO does not stay" {
	launched
	OPTS+=(--xclient '*')
	say 'EHLO front.example' 'XCLIENT ADDR=198.51.100.9 HELO=[UNAVAILABLE]' \
	    'EHLO d.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    DATA 'Subject: x' '' x . QUIT
	[[ $(header Received) = 'from d.example ('* ]]
}

# ---- addresses ----

@test "addresses: dots in front, behind and doubled in a local part are taken, and mail to them is kept" {
	table 'EHLO c.example' <<-'T'
		250/2.1.0	MAIL FROM:<.printer@c.example>
		250/2.0.0	RSET
		250/2.1.0	MAIL FROM:<ilo.@c.example>
		250/2.0.0	RSET
		250/2.1.0	MAIL FROM:<a..b.@c.example>
		250/2.1.5	RCPT TO:<.u@example.org>
		250/2.1.5	RCPT TO:<u.@example.org>
		250/2.1.5	RCPT TO:<u..v@example.org>
		250/2.1.5	RCPT TO:u...v@example.org
		# of a domain they are no good
		501/5.1.3	RCPT TO:<u@example..org>
		501/5.1.3	RCPT TO:<u@.example.org>
	T
	mail_to .u@example.org u..v.@example.org
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$(header Delivered-To | paste -sd ' ' -)" = '.u@example.org u..v.@example.org' ]
}

@test "addresses: with a template a user whose name begins with a dot is none, and no directory above is reached" {
	mkdir -p home/{postmaster,u..v}/{tmp,new,cur} {tmp,new,cur}
	mkdir -p home/{tmp,new,cur}
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
	mail_to u..v@example.org
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$(count home/u..v/new)" = 1 ]
	table 'EHLO c.example' 'MAIL FROM:<a@c.example>' <<-'T'
		550/5.1.1	RCPT TO:<.u@example.org>
		550/5.1.1	RCPT TO:<.postmaster@example.org>
		50*/5.1.*	RCPT TO:<.@example.org>
		50*/5.1.*	RCPT TO:<..@example.org>
		550/5.1.1	RCPT TO:<..u@example.org>
	T
	[ "$(count home)" = 1 ]
	[ "$(count new)" = 0 ]
}

@test "addresses: blanks inside the angle brackets are taken" {
	table 'EHLO c.example' <<-'T'
		250/2.1.0	MAIL FROM:< a@c.example >
		250/2.0.0	RSET
		250/2.1.0	MAIL FROM: < a@c.example> SIZE=5
		250/2.0.0	RSET
		250/2.1.0	MAIL FROM:< >
		250/2.1.5	RCPT TO:< u@example.org >
		250/2.1.5	RCPT TO:<\tu@example.org\t>
		501/5.1.3	RCPT TO:<u @example.org>
	T
	say 'MAIL FROM:< a@c.example >' 'RCPT TO:<  u@example.org >' DATA x . QUIT
	[ "$(header Return-Path)" = '<a@c.example>' ]
	[ "$(header Delivered-To)" = u@example.org ]
}

@test "addresses: AUTH= on MAIL is taken, offered or not, whatever its value" {
	local with
	for with in '' '--auth /bin/true --secured'; do
		# shellcheck disable=SC2206 # words
		OPTS=(-n mx.example -d example.org -m box $with)
		AFTER=RSET table 'EHLO c.example' <<-'T'
			250/2.1.0	MAIL FROM:<a@c.example> AUTH=<>
			250/2.1.0	MAIL FROM:<a@c.example> AUTH=a@c.example
			250/2.1.0	MAIL FROM:<a@c.example> AUTH=e+3Dmc2@c.example
			250/2.1.0	MAIL FROM:<a@c.example> AUTH=e+3xmc2@c.example
			250/2.1.0	MAIL FROM:<a@c.example> AUTH=<a@c.example>
			250/2.1.0	MAIL FROM:<a@c.example> AUTH=
			250/2.1.0	MAIL FROM:<a@c.example> AUTH SIZE=5
			250/2.1.0	MAIL FROM:<a@c.example> SIZE=5 auth=a=b
			555/5.5.4	MAIL FROM:<a@c.example> AUTHX=a
		T
		[ "$(grep -c ' auth ' log)" = 0 ]
	done
}

@test "addresses: a parameter where the path is missing is 501, and no address" {
	AFTER=RSET table 'EHLO c.example' <<-'T'
		501/5.*		MAIL FROM: BODY=8BITMIME
		501/5.*		MAIL FROM:BODY=8BITMIME
		501/5.*		MAIL FROM:SIZE=100
		501/5.*		MAIL FROM: SIZE=100 BODY=8BITMIME
		250/2.1.0	MAIL FROM:<SIZE=100>
		250/2.1.0	MAIL FROM:SIZE=100@c.example
	T
	AFTER='' table 'EHLO c.example' 'MAIL FROM:<a@c.example>' <<-'T'
		501/5.*		RCPT TO: NOTIFY=NEVER
		501/5.*		RCPT TO:NOTIFY=NEVER
		501/5.*		RCPT TO: ORCPT=rfc822;u@example.org
		250/2.1.5	RCPT TO:NOTIFY=NEVER@example.org
	T
}

@test "addresses: characters without width and the C1 controls are refused, with SMTPUTF8, too" {
	local c
	for c in '\xe2\x80\x8b' '\xe2\x81\xa0' '\xef\xbb\xbf' '\xc2\x80' \
	    '\xc2\x85' '\xc2\x9f'; do
		printf '%b\r\n' 'EHLO c.example' \
		    "MAIL FROM:<a${c}b@c.example> SMTPUTF8" \
		    "MAIL FROM:<a@c${c}.example> SMTPUTF8" \
		    'MAIL FROM:<\xc3\xa4@c.example> SMTPUTF8' \
		    "RCPT TO:<u${c}@example.org>" \
		    "RCPT TO:<${c}u@example.org>" \
		    "RCPT TO:<\"u${c}\"@example.org>" \
		    'RCPT TO:<\xc3\xbc@example.org>' QUIT >in
		send <in
		[ "$(codes | sed -E 's/\b5[0-9]{2}/5xx/g')" = \
		    '220 250 5xx 5xx 250 5xx 5xx 5xx 250 221' ] || {
			echo "$c: $(full_codes)"
			false
		}
	done
	# U+200C and U+200D are letters' own in some scripts
	printf '%b\r\n' 'EHLO c.example' \
	    'MAIL FROM:<\xd9\x86\xe2\x80\x8c\xd9\x87@c.example> SMTPUTF8' \
	    QUIT >in
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 221/2.0.0' ]
}

# ---- each leniency is named in the session's line ----

# lenient WANT LINE...: in a session of these lines and QUIT it is said that
# these leniencies were used; an empty WANT: that none was
lenient() {
	local want=$1 got
	shift
	say "$@" QUIT
	got=$(sed -n 's/.*: session .* lenient="\([^"]*\)".*/\1/p' log)
	[ "$(grep -c ': session ' log)" = 1 ] && [ "$got" = "$want" ] || {
		printf '%s: wanted "%s", got "%s"\n' "$*" "$want" "$got"
		cat out
		return 1
	}
	[ -n "$want" ] || [[ "$(cat log)" != *lenient=* ]]
}

@test "lenient: each leniency that a client used is named in its session's line" {
	local hello='EHLO c.example' from='MAIL FROM:<a@c.example>' bad=0
	launched
	while IFS='|' read -r want line; do
		case $line in
		MAIL*)	lenient "$want" "$hello" "$(printf %b "$line")" || bad=1 ;;
		*)	lenient "$want" "$hello" "$from" "$(printf %b "$line")" ||
			bad=1 ;;
		esac
		grep -q '^250 2\.1\.[05] ' out
	done <<-'T'
		no-brackets|MAIL FROM:a@c.example
		no-brackets|RCPT TO:u@example.org
		blank-before-colon|MAIL FROM :<a@c.example>
		blank-after-colon|MAIL FROM: <a@c.example>
		blank-after-colon|RCPT TO: <u@example.org>
		name-before-brackets|MAIL FROM:John Doe <a@c.example>
		blank-in-brackets|RCPT TO:< u@example.org >
		dots|RCPT TO:<u..v@example.org>
		dots|MAIL FROM:<.a@c.example>
		trailing-dot|RCPT TO:<u@example.org.>
		source-route|RCPT TO:<@c.example:u@example.org>
		no-domain|RCPT TO:<u>
		underscore-in-domain|MAIL FROM:<a@c_d.example>
		tab-for-blank|MAIL FROM:<a@c.example>\tSIZE=5
		auth-parameter|MAIL FROM:<a@c.example> AUTH=a=b
		no-brackets,blank-after-colon|MAIL FROM: a@c.example
		blank-after-colon,dots|MAIL FROM: <a..b@c.example>
	T
	[ $bad = 0 ]
}

@test "lenient: of a client that keeps to the standard nothing is said" {
	launched
	lenient '' 'EHLO c.example' 'MAIL FROM:<a@c.example> SIZE=5 AUTH=<>' \
	    'RCPT TO:<u@example.org>' 'RCPT TO:<Postmaster>' \
	    'rcpt to:<"a b"@example.org>' 'VRFY u' DATA 'Subject: x' '' x .
	lenient '' 'HELO c.example' 'MAIL FROM:<>' RSET NOOP
	# nor of what was refused
	lenient '' 'EHLO c.example' 'MAIL FROM: <a@c..example>' 'RCPT FOO'
}

@test "lenient: those of a session are together, each once, whatever it does between" {
	launched
	lenient 'no-brackets,blank-after-colon,dots' 'EHLO c.example' \
	    'MAIL FROM: <a@c.example>' RSET 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:u@example.org' 'RCPT TO: <u..@example.org>' RSET \
	    'EHLO c.example' 'MAIL FROM: <a@c.example>'
}

@test "lenient: MAIL without HELO, LF alone and a bare newline that was normalized are named, too" {
	launched
	say 'MAIL FROM:<a@c.example>' QUIT
	[[ "$(grep ': session ' log)" = *' lenient="no-helo"'* ]]
	OPTS+=(--bare-newline normalize)
	printf 'EHLO c.example\nQUIT\n' >in
	send <in
	[ "$(codes)" = '220 250 221' ]
	[[ "$(grep ': session ' log)" = *' lenient="lf-line"'* ]]
	lenient bare-newline 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA $'x\ny' .
}
