# bdat.bats - a message in chunks, counted instead of ended by a dot
# RFC 3030; RFC 5321 sections 4.1.1.4, 4.5.3.1 and 6.3; RFC 1870

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
# shellcheck disable=SC2154 # to, from, reply and server are connect's
load helper

HEAD=('EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>')
HEADS='220 250 250/2.1.0 250/2.1.5'

# session ITEM...: into the file in.  An item is a line; "BDAT ARG|OCTETS" is a
# chunk of these octets (\r, \n, \xHH and the like), whose size is said before
# ARG: "|x" is "BDAT 1" and x, " LAST|x" is "BDAT 1 LAST" and x.
session() {
	local item
	for item; do
		case $item in
		*'|'*)	printf '%b' "${item#*|}" >octets
			printf 'BDAT %s%s\r\n' "$(wc -c <octets)" "${item%%|*}"
			cat octets ;;
		*)	printf '%s\r\n' "$item" ;;
		esac
	done >in
}

# chunks ITEM...: HEAD, the items, QUIT, all in one go; and what was said to
# the items and to QUIT is in $said
chunks() {
	session "${HEAD[@]}" "$@" QUIT
	send <in
	said=$(full_codes)
	[[ $said = "$HEADS "* ]] || { echo "$said"; return 1; }
	said=${said#"$HEADS "}
}

DONE='250/2.0.0 221/2.0.0'

# want TEXT: what must have been stored, into the file want
want() {
	printf '%b' "$1" >want
}

@test "bdat: one chunk with LAST is a message" {
	chunks ' LAST|Subject: x\r\n\r\nhello\r\n'
	[ "$said" = "$DONE" ]
	[ "$status" = 0 ]
	want 'Subject: x\n\nhello\n'
	stored_is want
	[ "$(count box/tmp)" = 0 ]
	[[ $(header Received) = *' with ESMTP id '* ]]
	# its reply has the ID that the name begins with
	[[ $(basename "$(only_message)") = "$(sed -n \
	    's/^250 2\.0\.0 .* \([0-9.MPQ]*\)\r$/\1/p' out)".* ]]
}

@test "bdat: chunks are put together, and each has its 250" {
	chunks '|Subject: x\r\n' '|\r\nhel' '|lo\r\n' ' LAST|world\r\n'
	[ "$said" = "250/2.0.0 250/2.0.0 250/2.0.0 $DONE" ]
	want 'Subject: x\n\nhello\nworld\n'
	stored_is want
}

@test "bdat: an empty chunk may be LAST, or any" {
	chunks '|Subject: x\r\n\r\nhello\r\n' ' LAST|'
	[ "$said" = "250/2.0.0 $DONE" ]
	want 'Subject: x\n\nhello\n'
	stored_is want
	rm box/new/*
	chunks '|' '|Subject: x\r\n\r\nhello\r\n' '|' '|' ' LAST|'
	[ "$said" = "250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0 $DONE" ]
	stored_is want
	rm box/new/*
	# and a message may be empty
	chunks ' LAST|'
	[ "$said" = "$DONE" ]
	: >want
	stored_is want
}

@test "bdat: verb and LAST are taken in any case, with blanks around" {
	{
		printf '%s\r\n' "${HEAD[@]}"
		printf 'bdat  12\t\r\nSubject: x\r\n'
		printf 'BdAt 00000000000000009   lAsT  \r\n\r\nhello\r\nQUIT\r\n'
	} >in
	send <in
	[ "$(full_codes)" = "$HEADS 250/2.0.0 $DONE" ]
	want 'Subject: x\n\nhello\n'
	stored_is want
}

@test "bdat: pipelined chunks are answered in one write, before the message is delivered" {
	need strace
	session "${HEAD[@]}" '|Subject: x\r\n' '|\r\n' ' LAST|hello\r\n' QUIT
	traced -e trace=read,write <in
	[ "$(full_codes)" = "$HEADS 250/2.0.0 250/2.0.0 $DONE" ]
	[ "$(grep -c '^read(0, ' trace)" = 1 ]
	# the greeting; all up to the last chunk; the message's and QUIT's
	[ "$(grep -c '^write(1, ' trace)" = 3 ]
	[ "$(grep '^write(1, ' trace | sed -n 2p | grep -o '250 2\.0\.0' |
	    wc -l)" = 2 ]
}

@test "bdat: in lock-step each chunk is answered when it is there" {
	dialogue <<-'S'
		S: 220 *
		C: HELO c.example
		S: 250 *
		C: MAIL FROM:<a@c.example>
		S: 250 2.1.0 *
		C: RCPT TO:<u@example.org>
		S: 250 2.1.5 *
		C: BDAT 5
		! printf 'X: y' >&"$in"
		! printf '\r' >&"$in"
		S: 250 2.0.0 *
		C: BDAT 6
		! printf '\n\r\n' >&"$in"
		! printf 'abc' >&"$in"
		S: 250 2.0.0 *
		C: BDAT 0 LAST
		S: 250 2.0.0 *
		C: QUIT
		S: 221 *
	S
	want 'X: y\n\nabc\n'
	stored_is want
}

@test "bdat: two messages in a session, and one by DATA between them" {
	chunks ' LAST|one\r\n' "${HEAD[@]:1}" DATA two . "${HEAD[@]:1}" \
	    '|thr' ' LAST|ee\r\n'
	[ "$said" = "250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0 250/2.1.0 250/2.1.5 250/2.0.0 $DONE" ]
	[ "$(tail -qn 1 box/new/* | sort | paste -sd ' ')" = 'one three two' ]
}

@test "bdat: dots are content, none is undoubled" {
	chunks ' LAST|.\r\n..\r\n...x\r\nSubject: x\r\n.\r\n\r\n.x\r\n..\r\n.\r\n'
	[ "$said" = "$DONE" ]
	want '.\n..\n...x\nSubject: x\n.\n\n.x\n..\n.\n'
	stored_is want
}

@test "bdat: CRLF dot CRLF ends nothing, and what follows is no command" {
	chunks '|a\r\n.\r\nQUIT\r\n' ' LAST|.\r\nRSET\r\n.\r\nMAIL FROM:<x@y>\r\n'
	[ "$said" = "250/2.0.0 $DONE" ]
	want 'a\n.\nQUIT\n.\nRSET\n.\nMAIL FROM:<x@y>\n'
	stored_is want
}

@test "bdat: chunks split CRLF and CRLF dot CRLF anywhere" {
	chunks '|a\r' '|\n.' '|\r' '|\n' '|b' '|\r' '|\n.\r' ' LAST|\n'
	[ "$said" = "250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0 $DONE" ]
	want 'a\n.\nb\n.\n'
	stored_is want
}

@test "bdat: a last line without its line end is given one" {
	chunks ' LAST|Subject: x\r\n\r\nhello'
	[ "$said" = "$DONE" ]
	want 'Subject: x\n\nhello\n'
	stored_is want
	rm box/new/*
	chunks '|Subject: x\r\n\r\nhello' ' LAST|'
	[ "$said" = "250/2.0.0 $DONE" ]
	stored_is want
	rm box/new/*
	chunks '|Subject: x\r\n\r\n' ' LAST|.'
	want 'Subject: x\n\n.\n'
	stored_is want
}

@test "bdat: every byte but CR and LF is kept, NUL and 8-bit among them" {
	{
		printf 'Subject: x\nMIME-Version: 1.0\n\n'
		LC_ALL=C awk 'BEGIN { for (i = 0; i < 256; i++) if (i != 10 && i != 13)
		    printf "%ca%c%c", i, i, i }' </dev/null
		printf '\n\0\n\0\0\n\377\n'
	} >want
	LC_ALL=C sed 's/$/\r/' want >wire
	{
		printf '%s\r\n' "${HEAD[@]}" 'BDAT 100'
		head -c 100 wire
		printf 'BDAT %s LAST\r\n' $(($(wc -c <wire) - 100))
		tail -c +101 wire
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(full_codes)" = "$HEADS 250/2.0.0 $DONE" ]
	stored_is want
}

@test "bdat: lines and chunks of any length are kept whole" {
	local n at=1 size
	for n in 998 1001 4096 8192 65535 65536 65537 1000000; do
		printf "%0${n}d\n" 0
	done >want
	sed 's/$/\r/' want >wire
	{
		printf '%s\r\n' "${HEAD[@]}"
		for size in 1 65535 65536 65537 131072 300000; do
			printf 'BDAT %s\r\n' $size
			tail -c +$at wire | head -c $size
			at=$((at + size))
		done
		printf 'BDAT %s LAST\r\n' $(($(wc -c <wire) - at + 1))
		tail -c +$at wire
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(codes)" = '220 250 250 250 250 250 250 250 250 250 250 221' ]
	stored_is want
}

# a session of three chunks in which everything is split that can be
split_session() {
	session "${HEAD[@]}" '|Subject: x\r\n\r\n.\r' \
	    '|\n..\r\nMAIL\r\n' '|' ' LAST|\r\n.\r\nend' QUIT
	want 'Subject: x\n\n.\n..\nMAIL\n\n.\nend\n'
}
SPLIT="$HEADS 250/2.0.0 250/2.0.0 250/2.0.0 $DONE"

@test "bdat: a session is the same in pieces of any size" {
	local n
	launched
	split_session
	for n in 1 2 3 5 7 11; do
		drip $n <in
		[ "$(full_codes)" = "$SPLIT" ]
		stored_is want || { echo "in pieces of $n"; false; }
		rm box/new/*
	done
}

@test "bdat: a session is the same in two pieces, wherever it is cut" {
	launched
	split_session
	printf '%s' "$SPLIT" >codes
	py "$SMTPD" "${OPTS[@]}" <<-'P'
		import os
		import re
		import subprocess
		import sys
		import talk

		data = open('in', 'rb').read()
		want = open('want', 'rb').read()
		# the codes, with the enhanced ones, of the last line of each reply
		codes = open('codes', 'rb').read().split()
		bad = 0
		for n in range(1, len(data)):
		    r, w = os.pipe()
		    child = subprocess.Popen(sys.argv[1:], stdin=r,
		        stdout=open('out', 'wb'), stderr=open('log', 'wb'))
		    os.close(r)
		    whole = talk.feed(w, data[:n], n, child)
		    if n < len(data) and whole:
		        talk.feed(w, data[n:], len(data), child)
		    os.close(w)
		    status = talk.ended(child)
		    got = re.findall(rb'^(\d{3})(?: (\d\.\d\.\d))?[ \r]',
		        open('out', 'rb').read(), re.M)
		    got = [a + b'/' + b if b else a for a, b in got]
		    kept = os.listdir('box/new')
		    stored = [open('box/new/' + k, 'rb').read() for k in kept]
		    for k in kept:
		        os.unlink('box/new/' + k)
		    if got != codes or status or len(kept) != 1 or \
		            not stored[0].endswith(b'\n' + want):
		        bad = 1
		        print('cut at', n, got, status, stored)
		sys.exit(bad)
	P
}

@test "bdat: a message is the same in chunks of any size" {
	launched
	want 'Subject: x\n\n.\n..\n\n\nQUIT\n.\nend\n'
	py "$SMTPD" "${OPTS[@]}" <<-'P'
		import os
		import sys
		import talk

		want = open('want', 'rb').read()
		wire = want.replace(b'\n', b'\r\n')
		bad = 0
		for size in range(1, len(wire) + 1):
		    data = b'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n' \
		        b'RCPT TO:<u@example.org>\r\n'
		    for i in range(0, len(wire), size):
		        piece = wire[i:i + size]
		        data += b'BDAT %d%s\r\n' % (len(piece),
		            b' LAST' if i + size >= len(wire) else b'') + piece
		    out, log, status = talk.run(sys.argv[1:], data + b'QUIT\r\n')
		    kept = os.listdir('box/new')
		    stored = [open('box/new/' + k, 'rb').read() for k in kept]
		    for k in kept:
		        os.unlink('box/new/' + k)
		    if status or len(kept) != 1 or \
		            not stored[0].endswith(b'\n' + want):
		        bad = 1
		        print('chunks of', size, out, status, stored)
		sys.exit(bad)
	P
}

@test "bdat: input that ends at any byte of a session leaves nothing" {
	split_session
	launched
	py "$SMTPD" "${OPTS[@]}" <<-'P'
		import os
		import re
		import sys
		import talk

		data = open('in', 'rb').read()
		last = data.rindex(b'end') + 3
		mail = data.index(b'RCPT TO')
		bad = 0
		for n in range(len(data) + 1):
		    out, log, status = talk.run(sys.argv[1:], data[:n])
		    new, tmp = os.listdir('box/new'), os.listdir('box/tmp')
		    for name in new:
		        os.unlink('box/new/' + name)
		    ids = len(re.findall(rb'^250 2\.0\.0 .*M\d+P\d+Q\d+', out, re.M))
		    if tmp or len(new) != (n >= last) or ids != (n >= last) or \
		            (n > mail and status != (n < last)):
		        bad = 1
		        print('after', n, 'bytes', data[:n][-20:], new, tmp, ids,
		            status)
		sys.exit(bad)
	P
}

# ---- order ----

@test "bdat: without MAIL or RCPT it is 503 5.5.1, and its octets are no commands" {
	launched
	session 'EHLO c.example' '|QUIT\r\n' ' LAST|RSET\r\nQUIT\r\n' \
	    'MAIL FROM:<a@c.example>' '|DATA\r\n.\r\n' ' LAST|QUIT\r\n' \
	    'RCPT TO:<u@example.org>' ' LAST|x\r\n' QUIT
	send <in
	[ "$(full_codes)" = "220 250 503/5.5.1 503/5.5.1 250/2.1.0 503/5.5.1 503/5.5.1 250/2.1.5 $DONE" ]
	want 'x\n'
	stored_is want
}

@test "bdat: with every recipient refused it is 554 5.5.1, as DATA" {
	launched
	session 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@no.example>' '|QUIT\r\n' ' LAST|QUIT\r\n' QUIT
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 550/5.7.1 554/5.5.1 554/5.5.1 221/2.0.0' ]
	nothing_kept
}

@test "bdat: it is taken before EHLO as MAIL is" {
	session 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' ' LAST|x\r\n' \
	    QUIT
	send <in
	[ "$(full_codes)" = "220 250/2.1.0 250/2.1.5 $DONE" ]
	[[ $(header Received) = *' with SMTP id '* ]]
}

@test "bdat: MAIL, RCPT and DATA are 503 5.5.1 once it has begun, and it goes on" {
	chunks '|Subject: x\r\n' DATA 'MAIL FROM:<b@c.example>' \
	    'RCPT TO:<v@example.org>' ' LAST|\r\nhello\r\n'
	[ "$said" = "250/2.0.0 503/5.5.1 503/5.5.1 503/5.5.1 $DONE" ]
	want 'Subject: x\n\nhello\n'
	stored_is want
	[ "$(header Return-Path)" = '<a@c.example>' ]
	[ "$(header Delivered-To)" = u@example.org ]
}

@test "bdat: an empty chunk is a beginning as well" {
	chunks '|' DATA ' LAST|x\r\n'
	[ "$said" = "250/2.0.0 503/5.5.1 $DONE" ]
}

@test "bdat: NOOP, HELP, VRFY and what is wrong may stand between chunks" {
	chunks '|Subject: x\r\n' NOOP 'VRFY u@example.org' FOO ' LAST|\r\nhello\r\n'
	[ "$said" = "250/2.0.0 250/2.0.0 252/2.0.0 500/5.5.1 $DONE" ]
	want 'Subject: x\n\nhello\n'
	stored_is want
}

@test "bdat: within DATA it is text" {
	chunks DATA 'BDAT 3 LAST' x .
	[ "$said" = "354 $DONE" ]
	want 'BDAT 3 LAST\nx\n'
	stored_is want
}

@test "bdat: RSET, EHLO and HELO forget the chunks, QUIT delivers nothing" {
	local verb
	for verb in RSET 'EHLO d.example' 'HELO d.example'; do
		chunks '|Subject: one\r\n' "$verb" '|x' "${HEAD[@]:1}" \
		    ' LAST|Subject: two\r\n'
		[[ $said = "250/2.0.0 250"*" 503/5.5.1 250/2.1.0 250/2.1.5 $DONE" ]]
		want 'Subject: two\n'
		stored_is want || { echo "$verb"; false; }
		[ "$(count box/tmp)" = 0 ]
		rm box/new/*
	done
	chunks '|Subject: one\r\n'
	[ "$said" = "$DONE" ]
	nothing_kept
}

# ---- refused chunks ----

# refuses CODE ITEM...: the last item is a chunk refused with CODE; the next
# are read and 503 5.5.1, until RSET, MAIL or EHLO.  Then a message is taken.
refuses() {
	local code=$1 verb again
	shift
	launched
	for verb in RSET 'MAIL FROM:<b@c.example>' 'EHLO d.example' \
	    'HELO d.example'; do
		again='250/2.0.0 250/2.1.0'
		[[ $verb != ?H* && $verb != HE* ]] || again='250 250/2.1.0'
		if [[ $verb = MAIL* ]]; then
			chunks "$@" '|RSET\r\n' ' LAST|QUIT\r\n' '|' "$verb" \
			    'RCPT TO:<u@example.org>' ' LAST|a\r\n'
			again=250/2.1.0
		else
			chunks "$@" '|RSET\r\n' ' LAST|QUIT\r\n' '|' "$verb" \
			    'MAIL FROM:<b@c.example>' \
			    'RCPT TO:<u@example.org>' ' LAST|a\r\n'
		fi
		[[ $said = *"$code 503/5.5.1 503/5.5.1 503/5.5.1 $again 250/2.1.5 $DONE" ]] || {
			echo "$verb: $said"
			return 1
		}
		printf 'a\n' >want
		stored_is want || return 1
		[ "$(header Return-Path)" = '<b@c.example>' ] || return 1
		[ "$(count box)" = 1 ] || return 1
		rm box/new/*
	done
}

@test "bdat: one too big is 552 5.3.4 in its chunk, then 503 till RSET, MAIL, EHLO" {
	OPTS+=(-s 5)
	refuses 552/5.3.4 '|123' '|456'
	refuses 552/5.3.4 '|123' ' LAST|456'
}

@test "bdat: a bare LF is 550 5.5.2 in its chunk, then 503 till RSET, MAIL, EHLO" {
	refuses 550/5.5.2 '|a\r\n' '|b\nc'
	refuses 550/5.5.2 '|a\r\n' ' LAST|b\nc'
}

@test "bdat: a bare CR is 550 5.5.2 in its chunk, then 503 till RSET, MAIL, EHLO" {
	refuses 550/5.5.2 '|a\r\n' '|b\rc'
}

@test "bdat: RCPT and DATA are 503 5.5.1 after a refused chunk" {
	launched
	chunks '|a\nb' 'RCPT TO:<u@example.org>' DATA '|x'
	[ "$said" = '550/5.5.2 503/5.5.1 503/5.5.1 503/5.5.1 221/2.0.0' ]
	nothing_kept
}

@test "bdat: bare LF and CR are seen at the edges of chunks" {
	local row n=0 bad=0
	launched
	while IFS=' ' read -r -a row; do
		chunks "${row[@]:1}"
		[ "$said" = "${row[0]//+/ } 221/2.0.0" ] && nothing_kept || {
			echo "${row[*]}: $said"
			bad=1
		}
		n=$((n + 1))
	done <<-'S'
		550/5.5.2 |\n
		250/2.0.0+550/5.5.2 |a |\nb
		250/2.0.0+550/5.5.2 |a\r |b
		250/2.0.0+550/5.5.2 |a\r |\r\n
		250/2.0.0+550/5.5.2 |a\r\n |\n
		550/5.5.2 |\r\r
		550/5.5.2 |a\r\r\n
		250/2.0.0+250/2.0.0+550/5.5.2 |a\r | |x
		250/2.0.0+250/2.0.0+250/2.0.0+550/5.5.2 |a\r |\n |b |\n
	S
	[ $n = 9 ]
	while IFS=' ' read -r -a row; do
		chunks "${row[@]:1:${#row[@]}-2}" " LAST${row[-1]}"
		[ "$said" = "${row[0]//+/ } 221/2.0.0" ] && nothing_kept || {
			echo "${row[*]}: $said"
			bad=1
		}
	done <<-'S'
		550/5.5.2 |a\r
		550/5.5.2 |\r
		550/5.5.2 |\n
		250/2.0.0+550/5.5.2 |a\r |
		250/2.0.0+550/5.5.2 |a |\r
		250/2.0.0+550/5.5.2 |a\r\n |\n
	S
	[ $bad = 0 ]
}

@test "bdat: normalized, a bare LF is a line end and a bare CR a blank" {
	OPTS+=(--bare-newline normalize)
	launched
	chunks '|a\nb\r' '|c\r\n\r' '|\nd\r\r' ' LAST|\ne\n.\nf\r'
	[ "$said" = "250/2.0.0 250/2.0.0 250/2.0.0 $DONE" ]
	want 'a\nb c\n\nd \ne\n.\nf \n'
	stored_is want
}

@test "bdat: by hand, in LF mode, LF is the line end of chunks too" {
	{
		printf '%s\n' "${HEAD[@]}" 'BDAT 5 LAST'
		printf 'a\n.\nbQUIT\n'
	} >in
	send <in
	[ "$(full_codes)" = "$HEADS $DONE" ]
	want 'a\n.\nb\n'
	stored_is want
}

@test "bdat: the size counts across chunks, as on the wire: the limit, and one over" {
	OPTS+=(-s 20)
	launched
	# 10 lines' ends; no dot is one less
	chunks '|a\r\n.\r\n\r\n' '|\r\n..\r\n' '|\r\n' ' LAST|12\r\n'
	[ "$said" = "250/2.0.0 250/2.0.0 250/2.0.0 $DONE" ]
	want 'a\n.\n\n\n..\n\n12\n'
	stored_is want
	rm box/new/*
	chunks '|a\r\n.\r\n\r\n' '|\r\n..\r\n' '|\r\n' ' LAST|123\r\n'
	[ "$said" = '250/2.0.0 250/2.0.0 250/2.0.0 552/5.3.4 221/2.0.0' ]
	nothing_kept
	# the line end that we add is not counted
	chunks '|0123456789' ' LAST|0123456789'
	[ "$said" = "250/2.0.0 $DONE" ]
	want '01234567890123456789\n'
	stored_is want
	rm box/new/*
	chunks '|0123456789' ' LAST|0123456789a'
	[ "$said" = '250/2.0.0 552/5.3.4 221/2.0.0' ]
	nothing_kept
	chunks '|0123456789' '|0123456789a' ' LAST|b'
	[ "$said" = '250/2.0.0 552/5.3.4 503/5.5.1 221/2.0.0' ]
	nothing_kept
}

@test "bdat: DATABYTES is the limit, and with --size 0 there is none" {
	OPTS+=(-s 0)
	launched
	yes 0123456789 | head -n 50000 >want
	{
		printf '%s\r\n' "${HEAD[@]}" 'BDAT 600000 LAST'
		sed 's/$/\r/' want
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(full_codes)" = "$HEADS $DONE" ]
	stored_is want
	rm box/new/*
	export DATABYTES=599999
	send <in
	[ "$(full_codes)" = "$HEADS 552/5.3.4 221/2.0.0" ]
	nothing_kept
}

@test "bdat: a refused chunk is read to its last byte before the reply" {
	local name
	launched
	OPTS+=(-s 1000)
	session 'EHLO c.example' '|QUIT\r\n' && head -c -1 in >no_mail
	session "${HEAD[@]:0:2}" 'RCPT TO:<u@no.example>' '|QUIT\r\n' &&
	    head -c -1 in >no_rcpt
	session "${HEAD[@]}" '|\nQUIT\r\n' && head -c -1 in >bare
	session "${HEAD[@]}" "|$(printf '%01100d' 0)\r\nQUIT\r\n" &&
	    head -c -1 in >big
	session "${HEAD[@]}" '|\n' '|QUIT\r\n' && head -c -1 in >refused
	for name in no_mail no_rcpt bare big refused; do
		# all but the last octet of the chunk is there, bit by bit; then
		# it, and QUIT
		echo $name
		py "$SMTPD" "${OPTS[@]}" "$name" <<-'P'
			import os
			import re
			import subprocess
			import sys
			import talk

			data = open(sys.argv.pop(), 'rb').read()
			r, w = os.pipe()
			child = subprocess.Popen(sys.argv[1:], stdin=r,
			    stdout=open('out', 'wb'), stderr=open('log', 'wb'))
			os.close(r)

			def replies():
			    return re.findall(rb'^(\d{3})[ \r]',
			        open('out', 'rb').read(), re.M)

			# what is said is out when the next octet has been read
			head, tail = data[:-4], data[-4:]
			assert talk.feed(w, head, len(head), child)
			assert talk.feed(w, tail, 1, child)
			before = replies()
			assert talk.feed(w, b'\nQUIT\r\n', 7, child)
			os.close(w)
			assert talk.ended(child) == 0
			after = replies()[len(before):]
			print(before, after)
			assert before[-1][:1] in b'25' and len(after) == 2
			assert after[0][:1] == b'5' and after[1] == b'221'
		P
	done
}

@test "bdat: a huge refused chunk is read whole, and is no message" {
	launched
	OPTS+=(-s 1000)
	{
		printf '%s\r\n' "${HEAD[@]}" 'BDAT 10000000'
		yes "QUIT"$'\r' | head -c 10000000
		printf '%s\r\n' 'BDAT 0 LAST' "${HEAD[@]:1}" 'BDAT 3 LAST'
		printf 'x\r\nQUIT\r\n'
	} >in
	send <in
	[ "$(full_codes)" = "$HEADS 552/5.3.4 503/5.5.1 250/2.1.0 250/2.1.5 $DONE" ]
	want 'x\n'
	stored_is want
}

@test "bdat: a fault of ours is 4xx, after the chunk was read" {
	mv box/tmp away
	launched
	chunks '|QUIT\r\n' ' LAST|RSET\r\n'
	[ "$said" = '451/4.3.0 503/5.5.1 221/2.0.0' ]
	[ "$status" = 75 ]
	chunks ' LAST|QUIT\r\n'
	[ "$said" = '451/4.3.0 221/2.0.0' ]
	mv away box/tmp
	mv box/new away
	chunks ' LAST|QUIT\r\n'
	[ "$said" = '451/4.3.0 221/2.0.0' ]
	nothing_kept
}

@test "bdat: a size that cannot be read is 501 5.5.4, and the connection closes" {
	local arg bad=0
	launched
	while IFS= read -r arg; do
		{
			printf '%s\r\n' "${HEAD[@]}"
			printf 'BDAT%b\r\nx\r\nNOOP\r\nQUIT\r\n' "$arg"
		} >in
		send <in
		if [ "$(full_codes)" != "$HEADS 501/5.5.4" ] || [ "$status" != 1 ] ||
		    ! nothing_kept; then
			echo "'$arg': $(full_codes), status $status"
			bad=1
		fi
	done <<-'S'

		\x20
		 LAST
		 x
		 x LAST
		 -1
		 +1
		 1x
		 0x10
		 1.0
		 1,000
		 1K
		 1LAST
		 1 FIRST
		 1 LAST LAST
		 1 1
		 1 LASTLY
		 =1
		 "1"
		 9223372036854775808
		 18446744073709551615
		 18446744073709551617
		 99999999999999999999999999999999
	S
	[ $bad = 0 ]
}

@test "bdat: a size that cannot be read closes in the middle of chunks, and before MAIL" {
	launched
	chunks '|Subject: x\r\n' 'BDAT x' ' LAST|y\r\n'
	[ "$said" = '250/2.0.0 501/5.5.4' ]
	nothing_kept
	[ "$status" = 1 ]
	session 'EHLO c.example' 'BDAT -1' NOOP
	send <in
	[ "$(full_codes)" = '220 250 501/5.5.4' ]
}

@test "bdat: the largest size that can be read is waited for" {
	launched
	{
		printf '%s\r\n' "${HEAD[@]}" 'BDAT 9223372036854775807'
		printf 'QUIT\r\nQUIT\r\n'
	} >in
	send <in
	[ "$(full_codes)" = "$HEADS" ]
	[ "$status" = 1 ]
	nothing_kept
}

@test "bdat: CHUNKING is offered, BINARYMIME is not, and BODY=BINARYMIME is 501 5.5.4" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		501/5.5.4 MAIL FROM:<a@c.example> BODY=BINARYMIME
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=1 body=binarymime
		250/2.1.0 MAIL FROM:<a@c.example> BODY=8BITMIME
	S
	[ "$(grep -c '^250[- ]CHUNKING' out)" = 1 ]
	run ! grep -q BINARYMIME out
}

# ---- the message as a whole ----

@test "bdat: a Delivered-To equal to the recipient is 554 5.4.6, in any chunks" {
	launched
	chunks ' LAST|Delivered-To: U@example.org\r\n\r\nx\r\n'
	[ "$said" = '554/5.4.6 221/2.0.0' ]
	chunks '|Subject: x\r\ndeliv' '|ered-to:u@exam' ' LAST|ple.org'
	[ "$said" = '250/2.0.0 250/2.0.0 554/5.4.6 221/2.0.0' ]
	nothing_kept
	chunks ' LAST|Subject: x\r\n\r\nDelivered-To: u@example.org\r\n'
	[ "$said" = "$DONE" ]
}

# hops N [PIECE]: N Received fields and a body, in chunks of PIECE octets
hops() {
	local at
	{ yes 'Received: from x by y' | head -n "$1"; printf '\nx\n'; } >want
	sed 's/$/\r/' want >wire
	{
		printf '%s\r\n' "${HEAD[@]}"
		for ((at = 0; $# == 2 && at < $(wc -c <wire); at += $2)); do
			tail -c +$((at + 1)) wire | head -c "$2" >octets
			printf 'BDAT %s\r\n' "$(wc -c <octets)"
			cat octets
		done
		if [ $# = 2 ]; then
			printf 'BDAT 0 LAST\r\n'
		else
			printf 'BDAT %s LAST\r\n' "$(wc -c <wire)"
			cat wire
		fi
		printf 'QUIT\r\n'
	} >in
	OPTS+=(-e 1000)
	send <in
}

@test "bdat: a hundred Received lines are 554 5.4.6, fewer are not" {
	launched
	hops 100
	[ "$(full_codes)" = "$HEADS 554/5.4.6 221/2.0.0" ]
	nothing_kept
	hops 98
	[ "$(full_codes)" = "$HEADS $DONE" ]
	stored_is want
	rm box/new/*
	hops 98 277
	[[ $(full_codes) = *" $DONE" ]]
	stored_is want
	rm box/new/*
	# refused in the chunk where they are complete, or at the end
	hops 100 277
	[[ $(full_codes) = *'250/2.0.0 554/5.4.6 '* ]]
	nothing_kept
}

@test "bdat: refused messages are no errors of the session" {
	launched
	OPTS+=(-e 1 -s 1)
	chunks ' LAST|123' "${HEAD[@]:1}" ' LAST|123' "${HEAD[@]:1}" ' LAST|123' \
	    "${HEAD[@]:1}" ' LAST|1'
	[ "$said" = "552/5.3.4 250/2.1.0 250/2.1.5 552/5.3.4 250/2.1.0 250/2.1.5 552/5.3.4 250/2.1.0 250/2.1.5 $DONE" ]
	[ "$(count box/new)" = 1 ]
}

@test "bdat: chunks without a transaction are errors, and a flood of them ends" {
	launched
	OPTS+=(-e 3)
	session 'EHLO c.example' '|a' '|b' '|c' '|d' '|e' QUIT
	send <in
	[ "$(full_codes)" = '220 250 503/5.5.1 503/5.5.1 503/5.5.1 421/4.7.0' ]
	[ "$status" = 1 ]
}

@test "bdat: each mailbox of a message gets it" {
	local who
	mkdir -p home/{postmaster,alice,bob}/{tmp,new,cur}
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
	session "${HEAD[@]:0:2}" 'RCPT TO:<alice@example.org>' \
	    'RCPT TO:<bob@example.org>' '|a\r' ' LAST|\n.\r\nb' QUIT
	send <in
	[ "$(codes)" = '220 250 250 250 250 250 250 221' ]
	want 'a\n.\nb\n'
	for who in alice bob; do
		stored_is want home/$who
		[ "$(count home/$who)" = 1 ]
	done
}

@test "bdat: the file is synced and linked once, before the reply to LAST" {
	need strace
	session "${HEAD[@]}" '|Subject: x\r\n' '|\r\n' ' LAST|x\r\n' QUIT
	traced -y -e trace=fsync,linkat,unlinkat,sendto,write <in
	awk '
	/^fsync\([0-9]+<[^>]*\/box\/tmp\//	{ w = w " fsync" }
	/^linkat\(/			{ w = w " link" }
	/^unlinkat\(/			{ w = w " unlink" }
	/^fsync\([0-9]+<[^>]*\/new>/	{ w = w " fsync-new" }
	/^(write|sendto)\(1<.*250 2\.0\.0 .*M[0-9]+P[0-9]+Q/ { w = w " 250" }
	END { print w }' trace >got
	[ "$(<got)" = ' fsync link unlink fsync-new 250' ]
}

@test "bdat: SIGTERM within a chunk is 421 4.3.2, and nothing is left" {
	launched
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	printf 'BDAT 5\r\nX: y\r' >&"$to"
	receive
	[ "$reply" = 250/2.0.0 ]
	printf 'BDAT 50 LAST\r\nabc' >&"$to"
	kill -TERM "$server"
	receive
	[ "$reply" = 421/4.3.2 ]
	exec {to}>&- {from}<&-
	status=0
	wait "$server" || status=$?
	[ "$status" = 1 ]
	nothing_kept
}

@test "bdat: a last chunk may end at any octet of a buffer" {
	# what is stored passes 64 KiB at one of these, whatever stands before it
	py >in <<-'P'
		import sys
		out = sys.stdout.buffer
		out.write(b'EHLO c.example\r\n')
		for n in range(65536 - 330, 65536 - 100):
		    out.write(b'MAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\n'
		        b'BDAT %d LAST\r\n' % n + b'x' * n)
		out.write(b'QUIT\r\n')
	P
	status=0
	timeout 60 "$SMTPD" "${OPTS[@]}" <in >out 2>log || status=$?
	[ "$status" = 0 ]
	[ "$(grep -c '^250 2\.0\.0' out)" = 230 ]
	[ "$(count box/new)" = 230 ]
	[ "$(find box/new -type f -size -65000c | wc -l)" = 0 ]
}
