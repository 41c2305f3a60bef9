#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2154 # each test has OPTS of its own
# proxy: the PROXY protocol before the greeting, and XCLIENT
# (HAProxy's proxy-protocol.txt; Postfix, XCLIENT_README)

load helper

V1='PROXY TCP4 198.51.100.9 192.0.2.1 4321 25\r\n'
V2='\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x09\xc0\x00\x02\x01\x10\xe1\x00\x19'
# with a TLV that says TLSv1.3
V2TLS='\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x1e\xc6\x33\x64\x09\xc0\x00\x02\x01\x10\xe1\x00\x19\x20\x00\x0f\x01\0\0\0\0\x21\x00\x07TLSv1.3'
LOCAL='\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00'

# comes HEADER: a mail behind that header
comes() {
	{
		printf '%b' "$1"
		letter_to u@example.org
	} >in
	send <in
}

# nothing_said: not one octet, but a line in the log
nothing_said() {
	[ ! -s out ] && grep -q 'fault .*proxy' log && [ "$status" = 1 ]
}

@test "proxy: the header says who the client is, and the greeting comes after it" {
	local h
	launched
	OPTS+=(--proxy 192.0.2.0/24)
	for h in "$V1" "$V2" "$V2TLS"; do
		comes "$h"
		[[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]]
		[[ $(header Received) = *'([198.51.100.9])'* ]]
		grep -q 'client=\[198.51.100.9\]:4321' log
		[ "$h" = "$V2TLS" ] || [[ $(header Received) = *' with ESMTP id '* ]]
		rm box/new/*
	done
	comes "$V2TLS"
	[[ $(header Received) = *' with ESMTPS (using TLSv1.3) id '* ]]
}

@test "proxy: LOCAL and UNKNOWN leave the client who he is" {
	local h
	launched
	OPTS+=(--proxy 192.0.2.7)
	for h in "$LOCAL" 'PROXY UNKNOWN\r\n' 'PROXY UNKNOWN x y\r\n'; do
		comes "$h"
		[[ $(header Received) = *'([192.0.2.7])'* ]]
		rm box/new/*
	done
}

@test "proxy: the header may come in pieces of any size" {
	local n
	OPTS+=(--proxy '*')
	for n in 1 2 3 7; do
		printf '%bQUIT\r\n' "$V1" | drip "$n"
		[ "$(codes)" = '220 221' ]
		printf '%bQUIT\r\n' "$V2TLS" | drip "$n"
		[ "$(codes)" = '220 221' ]
	done
}

@test "proxy: whoever comes without a header, or with a bad one, is told nothing" {
	local h
	OPTS+=(--proxy '*')
	for h in 'EHLO c\r\nQUIT\r\n' 'PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n' \
	    'PROXY UNKNOWN\nQUIT\r\n' '\r\n\r\n\0\r\nQUIT\n\x31' 'P' \
	    "PROXY UNKNOWN $(printf '%099d' 0)\r\n" '\x16\x03\x01' 'GET / HTTP/1.0\r\n'; do
		printf '%b' "$h" >in
		send <in
		nothing_said
	done
}

@test "proxy: from elsewhere a header is worth nothing" {
	launched
	OPTS+=(--proxy '198.51.100.0/24,2001:db8::/32')
	comes "$V1"
	nothing_said
	OPTS=("${OPTS[@]:0:6}" --proxy 192.0.2.7)
	unset PROTO TCPREMOTEIP TCPREMOTEPORT
	comes "$V1"
	nothing_said
}

@test "proxy: there is no greeting before it, and five seconds for it" {
	local t=$SECONDS
	OPTS+=(--proxy '*')
	rm -f to from
	mkfifo to from
	"$SMTPD" "${OPTS[@]}" <to >from 2>log 3>&- &
	server=$!
	exec {to}>to {from}<from
	printf 'PROXY TCP4 1.2.3.4' >&"$to"
	run ! timeout 1 head -c 1 <&"$from"
	# its end, without an octet
	[ -z "$(timeout 20 cat <&"$from")" ]
	exec {to}>&- {from}<&-
	status=0
	wait "$server" || status=$?
	[ "$status" = 1 ]
	[ $((SECONDS - t)) -ge 4 ] && [ $((SECONDS - t)) -le 9 ]
}

@test "proxy: without --proxy a header is 421" {
	printf '%bQUIT\r\n' "$V1" | send
	[ "$(full_codes)" = '220 421/4.7.0' ]
}

@test "proxy: RELAYCLIENT ends at a header, --relay does not" {
	launched
	export RELAYCLIENT=
	OPTS+=(--proxy '*')
	by_program
	{ printf '%b' "$V1"; letter_to u@elsewhere.example; } >in
	send <in
	[[ "$(full_codes)" = *' 550/5.7.1 '* ]]
	{ printf '%b' "$LOCAL"; letter_to u@elsewhere.example; } >in
	send <in
	[[ "$(full_codes)" = *' 354 250/2.0.0 '* ]]
	OPTS=(--relay "${OPTS[@]}")
	{ printf '%b' "$V1"; letter_to u@elsewhere.example; } >in
	send <in
	[[ "$(full_codes)" = *' 354 250/2.0.0 '* ]]
}

@test "proxy: what --proxy and --xclient take are networks" {
	local n
	for n in x 192.0.2.0/33 ::/129 localhost '' ', ' 192.0.2; do
		run -64 "$SMTPD" --proxy "$n" </dev/null
		run -64 "$SMTPD" --xclient "$n" </dev/null
	done
}

# ---- XCLIENT ----

@test "xclient: it is offered and taken where --xclient says, and 550 elsewhere" {
	launched
	say 'EHLO c' 'XCLIENT ADDR=198.51.100.9' QUIT
	[ "$(full_codes)" = '220 250 550/5.7.0 221/2.0.0' ]
	run ! grep -q XCLIENT <(grep ^250 out)
	OPTS+=(--xclient 192.0.2.7)
	say 'EHLO c' 'XCLIENT ADDR=198.51.100.9' QUIT
	[ "$(full_codes)" = '220 250 220 221/2.0.0' ]
	grep -q $'^250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r$' out
	# by the address in force, which is another now
	say 'EHLO c' 'XCLIENT ADDR=198.51.100.9' 'XCLIENT ADDR=192.0.2.7' QUIT
	[ "$(full_codes)" = '220 250 220 550/5.7.0 221/2.0.0' ]
	say 'EHLO c' 'XCLIENT PORT=1' 'XCLIENT PORT=2' QUIT
	[ "$(full_codes)" = '220 250 220 220 221/2.0.0' ]
}

@test "xclient: the client is who it says, and the session is at its start" {
	launched
	export TCPREMOTEHOST=front.example
	OPTS+=(--xclient 192.0.2.7)
	say 'EHLO front' \
	    'XCLIENT NAME=mail.c.example ADDR=IPV6:2001:db8::9 PORT=99 HELO=c.example' \
	    'EHLO front' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    DATA . QUIT
	# its HELO stays, whatever the one in front says of itself
	[[ $(header Received) = 'from c.example (mail.c.example [IPv6:2001:db8::9]) by '* ]]
	grep -q 'client=\[2001:db8::9\]:99' log
	rm box/new/*
	# HELO is forgotten but for what XCLIENT said of it
	say 'EHLO front' 'XCLIENT HELO=c.example PROTO=ESMTP NAME=[UNAVAILABLE]' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA . QUIT
	[[ $(header Received) = 'from c.example ([192.0.2.7]) by '*' with ESMTP id '* ]]
	rm box/new/*
	say 'EHLO front' 'XCLIENT ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL]' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA . QUIT
	[[ $(header Received) = 'from unknown (unknown) by '*' with SMTP id '* ]]
}

@test "xclient: bad ones are 501, one in a transaction 503, and change nothing" {
	launched
	OPTS+=(--xclient '*')
	table 'EHLO c' <<-'T'
		501/5.5.4	XCLIENT
		501/5.5.4	XCLIENT x
		501/5.5.4	XCLIENT IDENT=x
		501/5.5.4	XCLIENT ADDR=x
		501/5.5.4	XCLIENT ADDR=2001:db8::1
		501/5.5.4	XCLIENT NAME=a+0D+0Ab
		501/5.5.4	XCLIENT ADDR=198.51.100.9 PORT=x
		250/2.1.0	MAIL FROM:<a@c.example>
		503/5.5.1	XCLIENT ADDR=198.51.100.9
		250/2.1.5	RCPT TO:<u@example.org>
		503/5.5.1	XCLIENT ADDR=198.51.100.9
	T
	run ! grep -q 198.51.100.9 <(grep -o 'client=[^ ]*' log)
}

@test "xclient: RELAYCLIENT ends at ADDR; LOGIN is as good as AUTH" {
	launched
	export RELAYCLIENT=
	OPTS+=(--xclient '*')
	by_program
	say 'EHLO c' 'XCLIENT ADDR=198.51.100.9' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@elsewhere.example>' QUIT
	[[ "$(full_codes)" = *' 550/5.7.1 221/2.0.0' ]]
	say 'EHLO c' 'XCLIENT ADDR=198.51.100.9 LOGIN=alice' 'EHLO c' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@elsewhere.example>' DATA . QUIT
	[[ "$(full_codes)" = *' 250/2.1.5 354 250/2.0.0 221/2.0.0' ]]
	[[ $(header Received) = *' with ESMTPA id '* ]]
	# the next one has to say so again
	say 'EHLO c' 'XCLIENT ADDR=198.51.100.9 LOGIN=alice' 'XCLIENT PORT=1' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@elsewhere.example>' QUIT
	[[ "$(full_codes)" = *' 550/5.7.1 221/2.0.0' ]]
}

@test "xclient: a policy server and a program are told of the new client" {
	cat >prog <<-'P'
		#!/bin/sh
		while read -r line; do
			case $line in
			'')	printf 'action=DUNNO\n\n' ;;
			*)	echo "$line" >>asked ;;
			esac
		done
	P
	chmod 755 prog
	launched
	OPTS=(-n mx.example -d example.org --xclient '*' --policy ./prog
	    sh -c 'env >told')
	say 'EHLO c' 'XCLIENT ADDR=198.51.100.9 NAME=m.c.example LOGIN=bob PORT=7 DESTADDR=192.0.2.99 DESTPORT=587' \
	    'EHLO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA . QUIT
	grep -qx client_address=198.51.100.9 asked
	grep -qx client_name=m.c.example asked
	grep -qx client_port=7 asked
	grep -qx server_address=192.0.2.99 asked
	grep -qx server_port=587 asked
	grep -qx sasl_username=bob asked
	grep -qx CLIENT_ADDRESS=198.51.100.9 told
	grep -qx CLIENT_HOSTNAME=m.c.example told
	grep -qx AUTH_USER=bob told
}

@test "xclient: swaks brings it along" {
	need swaks
	OPTS+=(--xclient 0.0.0.0/0)
	launched
	swaks --pipe "$SMTPD ${OPTS[*]}" --ehlo c.example -f a@c.example \
	    -t u@example.org --xclient 'ADDR=198.51.100.9 NAME=m.c.example' \
	    --header 'Subject: x' >said 2>&1 3>&- || { cat said; return 1; }
	[[ $(header Received) = *'(m.c.example [198.51.100.9])'* ]]
}
