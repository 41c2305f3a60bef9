#!/usr/bin/env bats
# A first line that is no header field: a mailbox's From line, or text (RFC 5322, 2.2, 3.6.7)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load program

OK='220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0'
FROM='From a@c.example Wed Jan 15 11:11:37 2020'

# every_way MODE <<ROWS: each row "SENT STORED", with \n, \xHH and \s for a
# blank, "-" for nothing, is how a message begins and how it is stored; behind
# each stands a field and a body of no interest.  It comes by DATA, in pieces
# of many sizes, and by BDAT, in two chunks, split wherever it can matter.  MODE
# is Maildir, LMTP (two mailboxes), program or relay.  Says which row is stored
# as anything else.
every_way() {
	cat >rows
	mkdir -p home/{postmaster,alice,bob}/{tmp,new,cur} seen spool
	printf '#!/bin/sh\nexec cat >"%s/seen/$$"\n' "$PWD" >prog
	chmod 755 prog
	py "$1" "$SMTPD" <<-'P'
		import os
		import re
		import sys
		import talk

		mode, smtpd = sys.argv[1:3]
		lmtp = mode == 'LMTP'
		opts = [smtpd, '-n', 'mx.example', '-d', 'example.org'] + {
		    'Maildir': ['-m', 'box'],
		    'LMTP': ['--lmtp', '-m', 'home/{user}'],
		    'program': ['--spool', 'spool', '--', './prog'],
		    'relay': ['--spool', 'spool', '--', './prog', '{recipients}'],
		}[mode]
		where = {'Maildir': ['box/new'], 'LMTP': ['home/alice/new',
		    'home/bob/new']}.get(mode, ['seen'])
		rcpts = ['alice', 'bob'] if lmtp else ['alice']
		head = b'%s c.example\r\nMAIL FROM:<s@c.example>\r\n' % (
		    b'LHLO' if lmtp else b'EHLO') + b''.join(
		    b'RCPT TO:<%s@example.org>\r\n' % r.encode() for r in rcpts)
		REST = b'X-Rest: 1\n\nbody\n'
		OURS = re.compile(rb'(Return-Path|Delivered-To|Received): ?|[ \t]+[^ \t]')
		bad = runs = 0


		def wrong(*what):
		    """the first few are told"""
		    global bad
		    bad += 1
		    if bad <= 10:
		        print(*what, sep=', ')



		def text(s):
		    if s == '-':
		        return b''
		    s = re.sub(r'\\x(..)', lambda m: chr(int(m[1], 16)), s)
		    return s.replace('\\n', '\n').replace('\\t', '\t').replace(
		        '\\s', ' ').encode('latin-1')


		def check(row, how, data, n, want):
		    global runs
		    runs += 1
		    out, log, status = talk.run(opts, data, n)
		    got = []
		    for d in where:
		        for name in os.listdir(d):
		            with open(d + '/' + name, 'rb') as f:
		                got.append(f.read())
		            os.unlink(d + '/' + name)
		    if len(got) != len(where) or status != 0 or b'250 2.0.0' not in out:
		        return wrong(row, how, status, len(got), out[-80:])
		    for g in got:
		        front = g[:-len(want)].split(b'\n')
		        if not g.endswith(want) or front.pop() != b'' or not front \
		                or not all(OURS.match(l) for l in front):
		            return wrong(row, how, g[:400])


		for row in open('rows', encoding='latin-1'):
		    row = row.strip()
		    sent, stored = [text(s) + REST for s in row.split()]
		    wire = sent.replace(b'\n', b'\r\n')
		    data = head + b'DATA\r\n' + re.sub(rb'(?m)^\.', b'..', wire) + \
		        b'.\r\nQUIT\r\n'
		    small = len(wire) < 200
		    for n in (0, 1, 2, 3) if small else (0, 1000):
		        check(row[:60], 'DATA by %d' % n, data, n, stored)
		    at = len(wire) - len(REST)
		    for k in sorted(set(range(0, 9 if small else 7)) |
		            {at - 3, at - 2, at - 1, at, len(wire)}):
		        if not 0 <= k <= len(wire):
		            continue
		        data = head + b'BDAT %d\r\n' % k + wire[:k] + \
		            b'BDAT %d LAST\r\n' % (len(wire) - k) + wire[k:] + b'QUIT\r\n'
		        check(row[:60], 'BDAT split at %d' % k, data, 0, stored)
		        if small and k < 7 and k % 2:
		            check(row[:60], 'BDAT split at %d, by 1' % k, data, 1, stored)
		if runs < 20:
		    sys.exit('no rows')
		if bad:
		    sys.exit('%d of %d are wrong' % (bad, runs))
	P
}

@test "first line: From and >From of a mailbox are kept as X-Mailbox-Line, however they come" {
	every_way Maildir <<-'S'
	From\sa@c.example\sWed\sJan\s15\n X-Mailbox-Line:\sFrom\sa@c.example\sWed\sJan\s15\n
	>From\sa@c.example\sWed\sJan\s15\n X-Mailbox-Line:\sFrom\sa@c.example\sWed\sJan\s15\n
	From\s\n X-Mailbox-Line:\sFrom\s\n
	From\sa:\sb\n X-Mailbox-Line:\sFrom\sa:\sb\n
	From\sx\nFrom\sx\n X-Mailbox-Line:\sFrom\sx\nFrom\sx\n
	S
}

@test "first line: a header field is left as it is, however it comes" {
	every_way Maildir <<-'S'
	From:\sa@c.example\n From:\sa@c.example\n
	from:\sa@c.example\n from:\sa@c.example\n
	F:\n F:\n
	Subject:\sx\n\sy\n Subject:\sx\n\sy\n
	From-Here:\sx\n From-Here:\sx\n
	X-Mailbox-Line:\sFrom\sx\n X-Mailbox-Line:\sFrom\sx\n
	- -
	S
}

@test "first line: one that begins no field gets an empty line in front, however it comes" {
	every_way Maildir <<-'S'
	\scontinued\n \n\scontinued\n
	\tcontinued\n \n\tcontinued\n
	\s\n \n\s\n
	\sSubject:\sx\n \n\sSubject:\sx\n
	hello\n \nhello\n
	hello\sthere\n \nhello\sthere\n
	Fro\n \nFro\n
	From\n \nFrom\n
	>From\n \n>From\n
	>Fro\sx\n \n>Fro\sx\n
	>>From\sx\n \n>>From\sx\n
	from\sx\n \nfrom\sx\n
	:\sx\n \n:\sx\n
	.\n \n.\n
	.x\n \n.x\n
	S
}

@test "first line: an empty one is left as it is" {
	every_way Maildir <<-'S'
	\n \n
	\n\sx\n \n\sx\n
	\nFrom\sx\n \nFrom\sx\n
	\n\n \n\n
	S
}

@test "first line: one of 2000 octets, or of 200,000, is read to its end" {
	local x n
	for n in 2000 200000; do
		x=$(an_x $n)
		every_way Maildir <<-S
		$x\\n \\n$x\\n
		From\\s$x\\n X-Mailbox-Line:\\sFrom\\s$x\\n
		>From\\s$x\\n X-Mailbox-Line:\\sFrom\\s$x\\n
		\\s$x\\n \\n\\s$x\\n
		S
	done
}

@test "first line: it is the same for two mailboxes by LMTP, a program, and a relay" {
	local mode
	for mode in LMTP program relay; do
		every_way $mode <<-'S'
		From\sx\n X-Mailbox-Line:\sFrom\sx\n
		>From\sx\n X-Mailbox-Line:\sFrom\sx\n
		\sx\n \n\sx\n
		hello\n \nhello\n
		Subject:\sx\n Subject:\sx\n
		\n \n
		S
	done
}

@test "first line: a message that is no more than the beginning of one" {
	local sent want
	while read -r sent want; do
		rm -f box/new/*
		{
			printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
			printf 'RCPT TO:<u@example.org>\r\n'
			printf 'BDAT %d LAST\r\n%b' \
			    "$(printf %b "$sent" | wc -c)" "$sent"
			printf 'QUIT\r\n'
		} >in
		send <in
		[[ $(full_codes) = *' 250/2.0.0 221/2.0.0' ]]
		printf '%b' "$want" >want
		stored_is want || { echo "$sent"; false; }
	done <<-'S'
	F		\nF\n
	From		\nFrom\n
	From\x20	X-Mailbox-Line:\x20From\x20\n
	>From\x20x	X-Mailbox-Line:\x20From\x20x\n
	>		\n>\n
	\x20		\n\x20\n
	S
}

# ---- what is behind a From line is the header --------------------------------

# html: a page that says what it is, behind a From line
html() {
	printf '%s\n' "$FROM" 'From: a@c.example' 'Subject: x' \
	    'MIME-Version: 1.0' 'Content-Type: text/html; charset=iso-8859-1' \
	    'Content-Transfer-Encoding: 8bit' '' $'<p>Gr\xfc\xdfe</p>'
}

@test "first line: behind a From line the header is seen: what has a charset gets no other" {
	html >msg
	deliver msg
	[ "$(full_codes)" = "$OK" ]
	{
		printf 'X-Mailbox-Line: '
		cat msg
	} >want
	stored_is want
	[ "$(header MIME-Version)" = 1.0 ]
	[ "$(header Content-Type)" = 'text/html; charset=iso-8859-1' ]
	# the name tells its size
	[[ $(only_message) = *,S=$(wc -c <"$(only_message)") ]]
}

@test "first line: 8-bit text behind a From line gets its label above it" {
	printf '%s\n' "$FROM" 'Subject: x' '' $'Gr\xfc\xdfe' >msg
	deliver msg
	[ "$(full_codes)" = "$OK" ]
	[ "$(header Content-Type)" = 'text/plain; charset=unknown-8bit' ]
	[ "$(header X-Mailbox-Line)" = "$FROM" ]
	{
		printf 'X-Mailbox-Line: '
		cat msg
	} >want
	tail -c "$(wc -c <want)" "$(only_message)" | cmp - want
}

@test "first line: text that begins with no field is body, and labelled as that" {
	printf '%s\n' ' Gr'$'\xfc\xdf''e' 'MIME-Version: 1.0' '' x >msg
	deliver msg
	[ "$(full_codes)" = "$OK" ]
	[ "$(header Content-Type)" = 'text/plain; charset=unknown-8bit' ]
	body "$(only_message)" | cmp - msg
}

@test "first line: behind a From line a loop is found, by address and by number" {
	printf '%s\n' "$FROM" 'Delivered-To: U@example.org' '' x >msg
	deliver msg
	[ "$(full_codes)" = "${OK/354 250\/2.0.0/354 554\/5.4.6}" ]
	nothing_kept
	{
		echo "$FROM"
		printf 'Received: from x by y; z\n%.0s' {1..100}
		printf '\nx\n'
	} >msg
	deliver msg
	[ "$(full_codes)" = "${OK/354 250\/2.0.0/354 554\/5.4.6}" ]
	nothing_kept
	# the From line itself is none of them
	sed -i 2d msg
	deliver msg
	[ "$(full_codes)" = "$OK" ]
}

@test "first line: what is body from the first line on is not searched for loops" {
	local first
	for first in ' x' 'hello' ''; do
		rm -f box/new/*
		printf '%s\n' "$first" 'Delivered-To: u@example.org' \
		    'Message-ID: <in@the.body>' '' x >msg
		deliver msg
		[ "$(full_codes)" = "$OK" ] || { echo "'$first'"; false; }
		run ! grep in@the.body log
	done
}

@test "first line: behind a From line the Message-ID is in the log" {
	printf '%s\n' "$FROM" 'Message-ID: <one@c.example>' '' x >msg
	deliver msg
	[ "$(full_codes)" = "$OK" ]
	grep 'message-id="*<one@c\.example>' log
}

@test "first line: a blank in front never changes our Received" {
	printf '%s\n' ' ; Mon, 1 Jan 1990 00:00:00 +0000' 'Subject: x' '' x >msg
	deliver msg
	[ "$(full_codes)" = "$OK" ]
	[ "$(header Received | wc -l)" = 1 ]
	run ! grep 1990 <(header Received)
	body "$(only_message)" | cmp - msg
}

@test "first line: the size that is counted is the client's, not what we put in front" {
	local first
	for first in "$FROM" 'hello' ' x'; do
		rm -f box/new/*
		printf '%s\n' "$first" '' x >msg
		OPTS=(-n mx.example -d example.org -m box
		    -s "$(sed 's/$/\r/' msg | wc -c)")
		deliver msg
		[ "$(full_codes)" = "$OK" ]
		OPTS[-1]=$((OPTS[-1] - 1))
		deliver msg
		[[ $(full_codes) = *' 354 552/5.3.4 221/2.0.0' ]]
	done
}

@test "first line: by hand, in LF mode, it is the same" {
	printf '%s\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA "$FROM" 'Subject: x' '' x . QUIT |
	    send
	printf '%s\n' "X-Mailbox-Line: $FROM" 'Subject: x' '' x >want
	stored_is want
}

@test "first line: with --bare-newline normalize a bare LF ends it" {
	OPTS+=(--bare-newline normalize)
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		printf 'RCPT TO:<u@example.org>\r\nDATA\r\n'
		printf '%s\nSubject: x\n\nx\n\r\n.\r\nQUIT\r\n' "$FROM"
	} >in
	send <in
	[ "$(full_codes)" = "$OK" ]
	printf '%s\n' "X-Mailbox-Line: $FROM" 'Subject: x' '' x '' >want
	stored_is want
}
