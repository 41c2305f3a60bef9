# data.bats - the message itself: what is stored, what is counted, what is
# put in front.  RFC 5321 sections 4.1.1.4, 4.4, 4.5.2, 4.5.3.1, 6.3; RFC 1870

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# in_session: standard input between DATA and QUIT; no dot is added
in_session() {
	printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
	printf 'RCPT TO:<u@example.org>\r\nDATA\r\n'
	cat
	printf 'QUIT\r\n'
}

GOOD='220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0'

# refused_with CODES: that is how the last message went, and nothing is left
refused_with() {
	[ "$(full_codes)" = "220 250 250/2.1.0 250/2.1.5 354 $1 221/2.0.0" ] &&
	    nothing_kept
}

@test "data: a message is stored as it was sent, with LF line ends" {
	printf '%s\n' 'Subject: x' 'From: a@c.example' '' 'hello' '' 'world' '' >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
	[ "$(count box/tmp)" = 0 ]
}

@test "data: one dot at the head of a line goes, and no other dot" {
	printf '%b\r\n' 'Subject: x' '' '..' '...' '..x' '.x' 'x.' 'x..' '. ' '.\t' \
	    ' .' ' ..' '....' '.\x00' '.' | in_session >in
	send <in
	[ "$(full_codes)" = "$GOOD" ]
	printf '%b\n' 'Subject: x' '' '.' '..' '.x' 'x' 'x.' 'x..' ' ' '\t' \
	    ' .' ' ..' '...' '\x00' >want
	stored_is want
}

@test "data: every byte but CR and LF is kept, NUL and 8-bit among them" {
	{
		printf 'Subject: x\nMIME-Version: 1.0\n\n'
		# each but LF and CR, two octets apart and side by side
		LC_ALL=C awk 'BEGIN { for (i = 0; i < 256; i++) if (i != 10 && i != 13)
		    printf "%ca%c%c", i, i, i }' </dev/null
		printf '\n\0\n\0\0\n\377\n'
	} >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: bytes that other systems take for line ends are only bytes" {
	printf 'Subject: x\nMIME-Version: 1.0\n\na\013.\013b\014.\014c\n' >want
	printf 'a\302\205.\302\205b\342\200\250.\342\200\250c\n\032\n\004\n' >>want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: an empty message is stored" {
	: >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: empty lines are kept, each and all" {
	printf '\n\n\n\n' >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: a message without an empty line is stored as it is" {
	printf 'Subject: x\nTo: y\n' >want
	deliver want
	stored_is want
	rm box/new/*
	printf 'no header at all\nand more\n' >want
	deliver want
	stored_is want
}

@test "data: lines of any length are kept whole" {
	local n
	for n in 998 999 1000 1001 4095 4096 4097 8192 16384 65535 65536 65537 \
	    1000000; do
		printf "%0${n}d\n" 0
	done >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: line ends and dots at every offset of a buffer are seen" {
	# lines of many lengths, each with a dot to be removed, in all more than
	# any buffer: its end comes at every place in a line
	awk 'BEGIN { for (i = 0; i < 5000; i++) {
	    s = sprintf("%*s", i * 7 % 51, ""); gsub(/ /, ".", s)
	    print "." s "." i } }' >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: a message is the same in pieces of any size" {
	local n
	printf '%b\n' 'Subject: x' '' '.' '..' '...' '' 'a.' '\x00.' '.' 'b' >want
	deliver want
	stored_is want
	for n in 1 2 3 4 5 7 11; do
		rm -f box/new/*
		drip $n <in
		[ "$(full_codes)" = "$GOOD" ]
		stored_is want || { echo "in pieces of $n"; false; }
	done
}

@test "data: a megabyte is kept byte for byte" {
	head -c 1000000 /dev/urandom | tr -d '\r' >bytes
	printf 'Subject: x\nMIME-Version: 1.0\n\n' | cat - bytes <(echo) >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: a message of exactly --size octets is taken, one more is 552" {
	local n bad=0
	OPTS+=(-s 1000)
	for n in 997 998; do
		# one line and its end: n + 2 octets
		printf "%0${n}d\n" 0 >want
		deliver want
		[ "$(full_codes)" = "$GOOD" ] || { echo "$n: $(codes)"; bad=1; }
		stored_is want || bad=1
		rm -f box/new/*
	done
	printf '%0999d\n' 0 >want
	deliver want
	refused_with 552/5.3.4 || { echo "1001: $(codes)"; bad=1; }
	[ $bad = 0 ]
}

@test "data: line ends count two octets" {
	OPTS+=(-s 1000)
	# 500 empty lines: 1000 octets on the wire, 500 as stored
	yes '' | head -n 500 >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
	rm box/new/*
	yes '' | head -n 501 >want
	deliver want
	refused_with 552/5.3.4
}

@test "data: a doubled dot counts as one" {
	OPTS+=(-s 1000)
	# 100 lines of 8 octets and CRLF, sent with one dot more
	yes '.1234567' | head -n 100 >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
	rm box/new/*
	{ cat want; echo; } >larger
	deliver larger
	refused_with 552/5.3.4
}

@test "data: our own header is not counted" {
	OPTS+=(-s 3)
	echo x >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
	rm box/new/*
	echo xx >want
	deliver want
	refused_with 552/5.3.4
}

@test "data: SIZE declared too small is no limit, the one in force is" {
	OPTS+=(-s 1000)
	say 'EHLO c.example' 'MAIL FROM:<a@c.example> SIZE=1' \
	    'RCPT TO:<u@example.org>' DATA 'more than one octet' . QUIT
	[ "$(full_codes)" = "$GOOD" ]
	[ "$(count box/new)" = 1 ]
}

@test "data: with --size 0 and DATABYTES=0 nothing is too big" {
	yes 'a line of a long message' | head -n 100000 >want
	OPTS+=(-s 0)
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
	rm box/new/*
	OPTS+=(-s 100)
	export DATABYTES=0
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: DATABYTES is the limit, whatever --size says" {
	OPTS+=(-s 0)
	export DATABYTES=10
	echo 12345678 >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	rm box/new/*
	echo 123456789 >want
	deliver want
	refused_with 552/5.3.4
}

@test "data: one too big is read to its end, whatever is in it" {
	OPTS+=(-s 100)
	{
		yes 'RSET' | head -n 5000 | sed 's/$/\r/'
		printf 'QUIT\r\n\r\n..\r\n.x\r\nDATA\r\n.\r\n'
		printf 'MAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\n'
		printf 'DATA\r\nsmall\r\n.\r\n'
	} | in_session >in
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 552/5.3.4 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	echo small >want
	stored_is want
}

@test "data: a hundred Received lines are 554 5.4.6, fewer are not" {
	local i
	seq -f 'Received: from a by b; %.0f' 98 >want
	printf 'Subject: x\n\nhello\n' >>want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
	rm box/new/*
	for i in 1 2; do echo "received: from a by b; $i"; done | cat - want >larger
	deliver larger
	refused_with 554/5.4.6
}

@test "data: Received is counted in the header, whole fields, and only there" {
	local i
	{
		seq -f 'X-Received: %.0f' 100
		seq -f 'Receive: %.0f' 100
		seq -f 'Receiveds: %.0f' 100
		echo 'Subject: x'
		seq -f ' Received: %.0f' 100
		# 40 fields in 80 lines
		seq -f $'Received: from a\n\tReceived: %.0f' 40
		echo
		seq -f 'Received: %.0f' 150
	} >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: Received lines are counted in pieces of any size too" {
	local i
	seq -f 'Received: %.0f' 101 >want
	printf '\nhello\n' >>want
	deliver want
	refused_with 554/5.4.6
	drip 1 <in
	refused_with 554/5.4.6
	drip 3 <in
	refused_with 554/5.4.6
}

@test "data: Delivered-To equal to the recipient is 554 5.4.6" {
	local field bad=0
	for field in 'Delivered-To: u@example.org' 'delivered-to:U@EXAMPLE.ORG' \
	    'DELIVERED-TO: 	 u@Example.Org  '; do
		printf '%s\n' 'Subject: x' "$field" 'To: y' '' hello >want
		deliver want
		refused_with 554/5.4.6 || { echo "$field: $(codes)"; bad=1; }
		rm -f box/new/*
		drip 1 <in
		refused_with 554/5.4.6 || { echo "$field, dripped"; bad=1; }
		rm -f box/new/*
	done
	[ $bad = 0 ]
}

@test "data: Delivered-To of someone else, or in the body, is no loop" {
	printf '%s\n' 'Delivered-To: uu@example.org' 'Delivered-To: u@example.or' \
	    'Delivered-To: u@example.orgs' 'X-Delivered-To: u@example.org' \
	    'Subject: x' ' Delivered-To: u@example.org' '' \
	    'Delivered-To: u@example.org' >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: where a line is no field, the header has ended" {
	{
		printf '%s\n' 'Subject: x' 'no field' 'Delivered-To: u@example.org'
		seq -f 'Received: %.0f' 150
	} >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
}

@test "data: one looping recipient fails the message for all" {
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<v@example.org>' DATA 'Delivered-To: v@example.org' '' x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 554/5.4.6 221/2.0.0' ]
	nothing_kept
}

@test "data: a delivered message that comes back is stopped" {
	printf '%s\n' 'Subject: x' '' hello >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	mv "$(only_message)" again
	deliver again
	refused_with 554/5.4.6
}

@test "trace: Return-Path, Delivered-To and Received stand in front, in order" {
	launched
	printf '%s\n' 'Subject: x' '' hello >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	sed '/^Subject: x$/,$d; /^[ 	]/d; s/:.*//' "$(only_message)" >got
	printf '%s\n' Return-Path Delivered-To Received >order
	cmp got order
	[ "$(header Return-Path)" = '<a@c.example>' ]
	[ "$(header Delivered-To)" = u@example.org ]
}

@test "trace: Received says from whom, by whom, how, for whom and when" {
	local got id date now
	launched
	export TCPREMOTEHOST=client.example
	printf 'Subject: x\n\n' >want
	deliver want
	got=$(header Received | tr -s '\t ' ' ')
	echo "$got"
	[[ $got = 'from c.example (client.example [192.0.2.7]) by mx.example '* ]]
	[[ $got = *' with ESMTP id '* ]]
	[[ $got = *' for <u@example.org>; '* ]]
	[[ $got = *' +0000' ]]
	id=$(sed -E 's/.* id ([^ ;]+).*/\1/' <<<"$got")
	[ -n "$id" ]
	# id is the file's name up to its Qn, and stands in the reply
	[[ $(basename "$(only_message)") =~ ^"$id"(Q[0-9]+)?\.mx\.example,S= ]]
	grep -q "^250 2\.0\.0 .*$id" out
	grep -q "$id" log
	date=${got##*; }
	[[ $date =~ ^(Mon|Tue|Wed|Thu|Fri|Sat|Sun),\ [0-9]{1,2}\ [A-Z][a-z][a-z]\ [0-9]{4}\ [0-9]{2}:[0-9]{2}:[0-9]{2}\ \+0000$ ]]
	now=$(date +%s)
	[ $((now - $(date -d "$date" +%s))) -ge 0 ]
	[ $((now - $(date -d "$date" +%s))) -lt 60 ]
}

@test "trace: the date is in +0000 in any time zone and locale" {
	local now
	printf 'Subject: x\n\n' >want
	TZ=America/New_York LC_ALL=de_DE.UTF-8 deliver want
	[[ $(header Received) = *' +0000' ]]
	now=$(date +%s)
	[ $((now - $(date -d "$(header Received | sed 's/.*; *//')" +%s))) -lt 60 ]
}

@test "trace: the null sender is <>" {
	say 'HELO c.example' 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA x . QUIT
	[ "$(header Return-Path)" = '<>' ]
	[[ $(header Received) = *' with SMTP id '* ]]
}

@test "trace: without HELO there is a Received line all the same" {
	say 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA x . QUIT
	[[ $(header Received) = from\ ?*' by mx.example with SMTP id '* ]]
}

@test "trace: bytes of HELO that belong to no domain or literal are ?" {
	local name want bad=0
	while read -r name want; do
		printf '%b' 'HELO ' "$name" '\r\nMAIL FROM:<a@c.example>\r\n' \
		    'RCPT TO:<u@example.org>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n' >in
		send <in
		[[ "$(header Received)" = "from $want"[' ']* ]] || {
			echo "$name: $(header Received)"
			bad=1
		}
		rm -f box/new/*
	done <<-'S'
		a.b-c.example a.b-c.example
		[192.0.2.9] [192.0.2.9]
		[IPv6:2001:db8::1] [IPv6:2001:db8::1]
		a(b)c;d a?b?c?d
		<a@b> ?a?b?
		"a\\b" ?a?b?
		a\xc3\xa4b a??b
		$(id)`id` ??id??id?
	S
	[ $bad = 0 ]
}

@test "trace: the longest addresses and names give no line over 998 octets" {
	local l900 l255
	printf -v l900 '%0888d' 0
	printf -v l255 '%0255d' 0
	launched
	export TCPREMOTEHOST=${l255:0:60}.${l255:0:60}.${l255:0:60}.example
	say "EHLO $l255" "MAIL FROM:<$l900@c.example>" \
	    "RCPT TO:<$l900@example.org>" DATA 'Subject: x' '' x . QUIT
	[ "$(full_codes)" = "$GOOD" ]
	awk 'length > 998 { exit 1 }' "$(only_message)"
	sed -i '/^Subject: x$/,$d' "$(only_message)"
	# each line is a field or goes on with one
	run ! grep -Evq '^(Return-Path|Delivered-To|Received):( |$)|^[ 	]+[^ 	]' \
	    "$(only_message)"
}

@test "trace: with several recipients in one mailbox, no for, each Delivered-To" {
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<v@example.org>' 'RCPT TO:<u@example.org>' DATA x . QUIT
	[ "$(codes)" = '220 250 250 250 250 250 354 250 221' ]
	header Delivered-To | sort -u >got
	printf '%s\n' u@example.org v@example.org >want
	cmp got want
	[[ $(header Received) != *' for '* ]]
}

@test "trace: the message's own header stands as it was, below ours" {
	printf '%s\n' 'Received: from x by y; z' 'Return-Path: <other@c.example>' \
	    'Delivered-To: other@example.org' 'Date: never' '' hello >want
	deliver want
	[ "$(full_codes)" = "$GOOD" ]
	stored_is want
	[ "$(header Return-Path | head -n 1)" = '<a@c.example>' ]
}

@test "data: the file's name says how many bytes are in it" {
	printf '%s\n' 'Subject: x' '' hello >want
	deliver want
	[[ $(only_message) =~ ^box/new/[0-9]+\.M[0-9]+P[0-9]+Q[0-9]+\.mx\.example,S=([0-9]+)$ ]]
	[ "${BASH_REMATCH[1]}" = "$(wc -c <"$(only_message)")" ]
}

@test "loop: a hundred Delivered-To lines are one, and are not looked at any more" {
	local i
	for ((i = 0; i < 99; i++)); do
		echo "Delivered-To: x$i@elsewhere.example"
	done >m
	{ cat m; printf "Subject: x\n\n"; } >msg
	deliver msg
	[ "$(full_codes)" = "$GOOD" ]
	{ echo 'Delivered-To: x@elsewhere.example'; cat msg; } >over
	deliver over
	[[ $(full_codes) = *' 354 554/5.4.6 '* ]]
}
