# smtputf8.bats - addresses beyond ASCII, for a message that asks for it
# RFC 6531 sections 3.3 to 3.7 and 4.3; RFC 3629; RFC 6533 codes

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

A='MAIL FROM:<a@c.example>'
U='RCPT TO:<u@example.org>'

# invalid: octets that are no UTF-8, or none for an address, with the reason
invalid() {
	cat <<-'S'
		\x80			# a continuation alone
		\xbf
		x\xe9			# Latin-1
		\xc3			# cut off
		\xe2\x82
		\xf0\x9f\x98
		\xc3\xa9\xa9		# one too many
		\xc0\xaf		# overlong
		\xc1\xbf
		\xe0\x9f\xbf
		\xf0\x8f\xbf\xbf
		\xed\xa0\x80		# surrogates
		\xed\xbf\xbf
		\xed\xa0\xbd\xed\xb8\x80
		\xf4\x90\x80\x80	# beyond U+10FFFF
		\xf5\x80\x80\x80
		\xf8\x88\x80\x80\x80
		\xfe
		\xff
		\xc3\xa9\xff\xc3\xa9	# in the middle
		\xc2\x80		# U+0080 to U+009F, control characters
		\xc2\x85
		x\xc2\x9fx
	S
}

# valid: what is UTF-8, up to the limits
valid() {
	printf '%s\n' '\xc2\xa0' '\xdf\xbf' '\xe0\xa0\x80' '\xed\x9f\xbf' \
	    '\xee\x80\x80' '\xef\xbf\xbf' '\xf0\x90\x80\x80' '\xf4\x8f\xbf\xbf' \
	    'd\xc3\xb6rte' '\xe7\x94\xb2\xe6\x96\x90' 'x\xf0\x9f\x98\x80y'
}

# wanted CODE BEFORE AFTER: a row of table() for each line of octets
wanted() {
	local octets
	sed -E 's/[ 	]*#.*//' |
	    while read -r octets; do
		printf '%s %s%s%s\n' "$1" "$2" "$octets" "$3"
	    done
}

@test "smtputf8: it is offered, once" {
	launched
	say 'EHLO c.example' QUIT
	[ "$(grep -cE $'^250[- ]SMTPUTF8\r$' out)" = 1 ]
}

@test "smtputf8: MAIL takes the parameter in any case and place, without a value" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example> SMTPUTF8
		250/2.1.0 MAIL FROM:<a@c.example> smtputf8
		250/2.1.0 MAIL FROM:<> SmtpUtf8
		250/2.1.0 MAIL FROM:<a@c.example> SIZE=1 SMTPUTF8 BODY=8BITMIME
		250/2.1.0 MAIL FROM:<a@c.example> SMTPUTF8 BODY=7BIT
		250/2.1.0 MAIL FROM:<d\xc3\xb6rte@c.example> BODY=8BITMIME SMTPUTF8
		501/5.5.4 MAIL FROM:<a@c.example> SMTPUTF8=
		501/5.5.4 MAIL FROM:<a@c.example> SMTPUTF8=1
		501/5.5.4 MAIL FROM:<a@c.example> SMTPUTF8 SMTPUTF8
		555/5.5.4 MAIL FROM:<a@c.example> SMTPUTF
		555/5.5.4 MAIL FROM:<a@c.example> UTF8SMTP
	S
}

@test "smtputf8: RCPT takes no such parameter" {
	launched
	table 'EHLO c.example' "$A SMTPUTF8" <<-'S'
		555/5.5.4 RCPT TO:<u@example.org> SMTPUTF8
		250/2.1.5 RCPT TO:<u@example.org>
	S
}

@test "smtputf8: a sender in UTF-8 is taken, in local part, quotes and domain" {
	local format
	launched
	for format in '<%s@c.example>' '<"%s"@c.example>' '<a%sb@c.example>' \
	    '<a@%s.example>' '<a@b%s.example>' '<\xc3\xa9%s@b\xc3\xbc.example>'; do
		valid | wanted 250/2.1.0 "MAIL FROM:${format%%%s*}" \
		    "${format#*%s} SMTPUTF8"
	done >rows
	AFTER=RSET table 'EHLO c.example' <rows
}

@test "smtputf8: a recipient in UTF-8 is taken" {
	launched
	OPTS=(-n mx.example -d example.org -d 'bücher.example' -m box)
	valid | wanted 250/2.1.5 'RCPT TO:<' '@example.org>' >rows
	valid | wanted 250/2.1.5 'RCPT TO:<"' '"@example.org>' >>rows
	valid | wanted 250/2.1.5 'RCPT TO:<' '@b\xc3\xbccher.example>' >>rows
	table 'EHLO c.example' "$A SMTPUTF8" <rows
}

@test "smtputf8: a sender that is no UTF-8 is 501 5.1.7" {
	launched
	invalid | wanted 501/5.1.7 'MAIL FROM:<' '@c.example> SMTPUTF8' >rows
	invalid | wanted 501/5.1.7 'MAIL FROM:<"' '"@c.example> SMTPUTF8' >>rows
	invalid | wanted 501/5.1.7 'MAIL FROM:<a@b' 'c.example> SMTPUTF8' >>rows
	AFTER=RSET table 'EHLO c.example' <rows
}

@test "smtputf8: a recipient that is no UTF-8 is 501 5.1.3" {
	launched
	OPTS+=(-d '*')
	invalid | wanted 501/5.1.3 'RCPT TO:<' '@example.org>' >rows
	invalid | wanted 501/5.1.3 'RCPT TO:<"' '"@example.org>' >>rows
	invalid | wanted 501/5.1.3 'RCPT TO:<u@x' 'y.example>' >>rows
	table 'EHLO c.example' "$A SMTPUTF8" <rows
}

@test "smtputf8: no octet at the edge of a part completes one in the next" {
	launched
	table 'EHLO c.example' "$A SMTPUTF8" <<-'S'
		501/5.1.3 RCPT TO:<u\xc3@\xa9.example.org>
		501/5.1.3 RCPT TO:<u@x\xc3.\xa9y.example.org>
	S
}

@test "smtputf8: without the parameter a sender is 550 5.6.7, a recipient 553 5.6.7" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		550/5.6.7 MAIL FROM:<d\xc3\xb6rte@c.example>
		550/5.6.7 MAIL FROM:<d\xc3\xb6rte@c.example> BODY=8BITMIME
		550/5.6.7 MAIL FROM:<a@b\xc3\xbccher.example>
		250/2.1.0 MAIL FROM:<a@xn--bcher-kva.example>
	S
	OPTS+=(-d '*')
	table 'EHLO c.example' "$A BODY=8BITMIME" <<-'S'
		553/5.6.7 RCPT TO:<d\xc3\xb6rte@example.org>
		553/5.6.7 RCPT TO:<"d\xc3\xb6rte"@example.org>
		553/5.6.7 RCPT TO:<u@b\xc3\xbccher.example>
		250/2.1.5 RCPT TO:<u@xn--bcher-kva.example>
	S
	# and nothing that is sent makes up for it
	table 'EHLO c.example' <<-'S'
		550/5.6.7 MAIL FROM:<d\xc3\xb6rte@c.example>
		503/5.5.1 RCPT TO:<u@example.org>
	S
}

@test "smtputf8: it is asked for by each message anew" {
	launched
	table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<d\xc3\xb6rte@c.example> SMTPUTF8
		250/2.0.0 RSET
		550/5.6.7 MAIL FROM:<d\xc3\xb6rte@c.example>
		250/2.1.0 MAIL FROM:<a@c.example>
		553/5.6.7 RCPT TO:<d\xc3\xb6rte@example.org>
		250/2.1.5 RCPT TO:<u@example.org>
		250/2.0.0 BDAT 0 LAST
		250/2.1.0 MAIL FROM:<d\xc3\xb6rte@c.example> SMTPUTF8
		250/2.1.5 RCPT TO:<d\xc3\xb6rte@example.org>
		250/2.0.0 BDAT 0 LAST
		550/5.6.7 MAIL FROM:<d\xc3\xb6rte@c.example>
		250/2.1.0 MAIL FROM:<a@c.example>
		553/5.6.7 RCPT TO:<d\xc3\xb6rte@example.org>
	S
	# a MAIL that is refused asks for nothing
	rm -f box/new/*
	table 'EHLO c.example' <<-'S'
		501/5.1.7 MAIL FROM:<\xff@c.example> SMTPUTF8
		250/2.1.0 MAIL FROM:<a@c.example>
		553/5.6.7 RCPT TO:<d\xc3\xb6rte@example.org>
		250/2.1.5 RCPT TO:<u@example.org>
		250/2.0.0 BDAT 0 LAST
	S
	[[ $(header Received) = *' with ESMTP id '* ]]
}

@test "smtputf8: Received says UTF8SMTP, for such a message alone" {
	launched
	say 'EHLO c.example' "$A SMTPUTF8" "$U" DATA 'Subject: 1' '' x . \
	    "$A" "$U" DATA 'Subject: 2' '' x . \
	    "$A SMTPUTF8" RSET "$A" "$U" DATA 'Subject: 3' '' x . \
	    "$A SMTPUTF8" 'RCPT TO:<ü@example.org>' DATA 'Subject: 4' '' x . QUIT
	[ "$(count box/new)" = 4 ]
	for n in 1 2 3 4; do
		header Received "$(grep -l "^Subject: $n" box/new/*)" |
		    sed -E 's/.* with ([^ ]+) id .*/\1/'
	done >got
	printf '%s\n' UTF8SMTP ESMTP ESMTP UTF8SMTP >want
	cmp got want
}

@test "smtputf8: in LMTP Received says UTF8LMTP" {
	OPTS+=(--lmtp)
	launched
	say 'LHLO c.example' "$A SMTPUTF8" 'RCPT TO:<ü@example.org>' DATA x . QUIT
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	[[ $(header Received) = *' with UTF8LMTP id '* ]]
}

@test "smtputf8: addresses are stored as they came, U-labels and all" {
	launched
	OPTS=(-n mx.example -d 'bücher.example' -m box)
	printf 'Subject: x\n\nhello\n' >want
	say 'EHLO c.example' 'MAIL FROM:<Dörte@Müller.example> SMTPUTF8' \
	    'RCPT TO:<用户+é@BÜcher.example>' 'RCPT TO:<用户@bücher.example>' \
	    DATA 'Subject: x' '' hello . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 550/5.7.1 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	stored_is want
	[ "$(header Return-Path)" = '<Dörte@Müller.example>' ]
	[ "$(header Delivered-To)" = '用户@bücher.example' ]
	[[ $(header Received) = *' for <用户@bücher.example>; '* ]]
}

@test "smtputf8: a U-label and its A-label are two domains" {
	launched
	OPTS=(-n mx.example -d 'bücher.example' -d 'xn--mller-kva.example' -m box)
	table 'EHLO c.example' "$A SMTPUTF8" <<-'S'
		250/2.1.5 RCPT TO:<u@b\xc3\xbccher.example>
		550/5.7.1 RCPT TO:<u@xn--bcher-kva.example>
		250/2.1.5 RCPT TO:<u@xn--mller-kva.example>
		550/5.7.1 RCPT TO:<u@m\xc3\xbcller.example>
	S
}

@test "smtputf8: --users and a template know names in UTF-8" {
	mkdir -p home/{postmaster,'dörte','用户'}/{tmp,new,cur}
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
	launched
	say 'EHLO c.example' "$A SMTPUTF8" 'RCPT TO:<dörte@example.org>' \
	    'RCPT TO:<用户+x@example.org>' 'RCPT TO:<dorte@example.org>' \
	    DATA 'Subject: x' '' hello . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 550/5.1.1 354 250/2.0.0 221/2.0.0' ]
	printf 'Subject: x\n\nhello\n' >want
	stored_is want 'home/dörte'
	stored_is want 'home/用户'
	[ "$(count home)" = 2 ]
	[ "$(header Delivered-To "$(only_message 'home/用户')")" = \
	    '用户+x@example.org' ]
	printf '%s\n' 'dörte@example.org' '用户' >users
	OPTS+=(-u users)
	table 'EHLO c.example' "$A SMTPUTF8" <<-'S'
		250/2.1.5 RCPT TO:<d\xc3\xb6rte@example.org>
		250/2.1.5 RCPT TO:<\xe7\x94\xa8\xe6\x88\xb7@example.org>
		550/5.1.1 RCPT TO:<d\xc3\xb6rt@example.org>
		501/5.1.3 RCPT TO:<d\xc3rte@example.org>
	S
}

@test "smtputf8: VRFY takes the parameter, and wants it for UTF-8" {
	launched
	printf '%s\n' 'dörte@example.org' u@example.org >users
	OPTS+=(-u users)
	table 'EHLO c.example' <<-'S'
		252/2.0.0 VRFY u@example.org SMTPUTF8
		252/2.0.0 VRFY <u@example.org> smtputf8
		252/2.0.0 VRFY d\xc3\xb6rte@example.org SMTPUTF8
		252/2.0.0 VRFY <d\xc3\xb6rte@example.org> SMTPUTF8
		553/5.6.7 VRFY d\xc3\xb6rte@example.org
		553/5.6.7 VRFY <d\xc3\xb6rte@example.org>
		550/5.1.1 VRFY <d\xc3\xb6rtje@example.org> SMTPUTF8
		501/5.1.3 VRFY <d\xc3rte@example.org> SMTPUTF8
		501/5.1.3 VRFY <\xed\xa0\x80@example.org> SMTPUTF8
		501/5.5.4 VRFY u@example.org SMTPUTF9
		501/5.5.4 VRFY u@example.org SMTPUTF8=1
		553/5.6.7 VRFY d\xc3\xb6rte@example.org
	S
}

@test "smtputf8: MAIL's asking does nothing for VRFY, nor VRFY's for MAIL" {
	launched
	table 'EHLO c.example' <<-'S'
		252/2.0.0 VRFY <d\xc3\xb6rte@example.org> SMTPUTF8
		550/5.6.7 MAIL FROM:<d\xc3\xb6rte@c.example>
		250/2.1.0 MAIL FROM:<a@c.example> SMTPUTF8
		553/5.6.7 VRFY <d\xc3\xb6rte@example.org>
		250/2.1.5 RCPT TO:<d\xc3\xb6rte@example.org>
	S
}

@test "smtputf8: the reply and the log hold no octet beyond ASCII" {
	launched
	say 'EHLO c.example' 'MAIL FROM:<dörte@c.example> SMTPUTF8' \
	    'RCPT TO:<ü@example.org>' 'RCPT TO:<ü@no.example>' \
	    'VRFY <ü@example.org>' DATA 'Message-ID: <ü@c.example>' '' x . QUIT
	[ "$(codes)" = '220 250 250 250 550 553 354 250 221' ]
	run ! env LC_ALL=C grep -q '[^ -~	]' <(tr -d '\r' <out)
	run ! env LC_ALL=C grep -q '[^ -~	]' log
	grep -qF 'd\xc3\xb6rte@c.example' log
}

@test "smtputf8: the limit of 900 octets counts octets" {
	local l
	launched
	# 444 of two octets, 888 in all, with @example.org 900
	printf -v l '%0444d' 0
	l=${l//0/'\xc3\xa4'}
	table 'EHLO c.example' "$A SMTPUTF8" <<-S
		250/2.1.5 RCPT TO:<$l@example.org>
		501/5.1.3 RCPT TO:<x$l@example.org>
	S
}

@test "smtputf8: a header in UTF-8 is stored as it came, and no label is put above" {
	launched
	printf 'From: Dörte <dörte@c.example>\nSubject: Grüße\n\nhello\n' >want
	{
		printf '%s\r\n' 'EHLO c.example' "$A SMTPUTF8" "$U" DATA
		sed 's/$/\r/' want
		printf '.\r\nQUIT\r\n'
	} >in
	send <in
	stored_is want
	drip 1 <in
	[ "$(count box/new)" = 2 ]
}
