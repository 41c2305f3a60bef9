#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test has OPTS of its own
# policy, states: a policy server is asked at the steps that --policy-states
# names (Postfix, SMTPD_POLICY_README; RFC 5321, 3.1)

load helper

ALL=connect,ehlo,mail,rcpt,data,end-of-message,vrfy,etrn

# asks STATES [RULE...]: a policy program is asked at these states; a RULE is
# "STATE ACTION", all else DUNNO, and the action "close" closes.  What it is
# asked is in the file requests.
asks() {
	local states=$1
	shift
	printf '%s\n' "$@" >rules
	cat >policy <<-'P'
		#!/bin/bash
		while IFS= read -r line; do
			printf '%s\n' "$line" >>requests
			[[ $line != protocol_state=* ]] || state=${line#*=}
			[ -z "$line" ] || continue
			action=DUNNO
			while read -r at rule; do
				[ "$at" != "$state" ] || action=$rule
			done <rules
			[ "$action" != close ] || exit
			[ "$action" != sleep ] || exec sleep 9
			printf 'action=%s\n\n' "$action"
		done
	P
	chmod 755 policy
	rm -f requests
	OPTS=(-n mx.example -d example.org -m box --policy ./policy
	    --policy-states "$states")
}

# asked: the states it was asked at
asked() {
	sed -n 's/^protocol_state=//p' requests | paste -sd ' ' -
}

# session: each verb once.  A chunk is read, whatever is thought of it.
session() {
	say 'EHLO c.example' 'VRFY u@example.org' 'ETRN example.org' \
	    'MAIL FROM:<a@c.example> SIZE=20' 'RCPT TO:<u@example.org>' \
	    'BDAT 12 LAST' $'Subject: x\r\nQUIT'
}

GOOD='220 250 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0'

# rows: state|action|what is said, where it is the only one that is asked at
rows() {
	cat <<-'R'
		CONNECT|REJECT no|554 503 503/5.5.1 503/5.5.1 503/5.5.1 503/5.5.1 503/5.5.1 221/2.0.0
		CONNECT|450 4.2.0 no|450 503 503/5.5.1 503/5.5.1 503/5.5.1 503/5.5.1 503/5.5.1 221/2.0.0
		CONNECT|421 go away|421
		CONNECT|close|451 503 503/5.5.1 503/5.5.1 503/5.5.1 503/5.5.1 503/5.5.1 221/2.0.0
		CONNECT|PREPEND X-A: b|=
		EHLO|REJECT no|220 554 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0
		EHLO|DEFER|220 450 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0
		EHLO|421 go away|220 421/4.7.1
		EHLO|close|220 451 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0
		EHLO|PREPEND X-A: b|=
		VRFY|REJECT no|220 250 554/5.7.1 502/5.5.1 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0
		VRFY|421 go away|220 250 421/4.7.1
		VRFY|close|220 250 451/4.3.5 502/5.5.1 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0
		ETRN|550 5.1.2 no|220 250 252/2.0.0 550/5.1.2 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0
		ETRN|421 go away|220 250 252/2.0.0 421/4.7.1
		ETRN|close|220 250 252/2.0.0 451/4.3.5 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0
		MAIL|REJECT no|220 250 252/2.0.0 502/5.5.1 554/5.7.1 503/5.5.1 503/5.5.1 221/2.0.0
		MAIL|DEFER_IF_PERMIT|220 250 252/2.0.0 502/5.5.1 450/4.7.1 503/5.5.1 503/5.5.1 221/2.0.0
		MAIL|421 go away|220 250 252/2.0.0 502/5.5.1 421/4.7.1
		MAIL|close|220 250 252/2.0.0 502/5.5.1 451/4.3.5 503/5.5.1 503/5.5.1 221/2.0.0
		MAIL|PREPEND X-A: b|=X
		RCPT|REJECT no|220 250 252/2.0.0 502/5.5.1 250/2.1.0 554/5.7.1 554/5.5.1 221/2.0.0
		RCPT|close|220 250 252/2.0.0 502/5.5.1 250/2.1.0 451/4.3.5 554/5.5.1 221/2.0.0
		RCPT|PREPEND X-A: b|=X
		DATA|REJECT no|220 250 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 554/5.7.1 221/2.0.0
		DATA|DEFER|220 250 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 450/4.7.1 221/2.0.0
		DATA|421 go away|220 250 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 421/4.7.1
		DATA|close|220 250 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 451/4.3.5 221/2.0.0
		DATA|PREPEND X-A: b|=X
		END-OF-MESSAGE|REJECT no|220 250 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 554/5.7.1 221/2.0.0
		END-OF-MESSAGE|450 4.2.0 no|220 250 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 450/4.2.0 221/2.0.0
		END-OF-MESSAGE|421 go away|220 250 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 421/4.7.1
		END-OF-MESSAGE|close|220 250 252/2.0.0 502/5.5.1 250/2.1.0 250/2.1.5 451/4.3.5 221/2.0.0
		END-OF-MESSAGE|PREPEND X-A: b|=
	R
}

# row_holds STATE WANT: and the mail is there if its 250 was said, else nothing
row_holds() {
	local want=$2
	[[ $want != =* ]] || want=$GOOD
	[ "$(full_codes)" = "$want" ] || return 1
	case $want in
	*' 250/2.0.0 221/2.0.0')
		[ "$(header X-A | wc -l)" = "$([ "$2" = =X ] && echo 1 || echo 0)" ] ;;
	*)	nothing_kept ;;
	esac
}

# all_rows: each, and the server was asked at its state and no other
all_rows() {
	local state action want bad=0
	while IFS='|' read -r state action want; do
		asks "$(tr '[:upper:]' '[:lower:]' <<<"$state")" "$state $action"
		[ -z "${PROGRAM:-}" ] || by_program
		rm -f box/new/*
		session
		row_holds "$state" "$want" && [[ "$(asked)" = "$state"?( "$state") ]] &&
		    continue
		printf '%s %s: wanted %s\n' "$state" "$action" "$want"
		cat out log requests
		bad=1
	done < <(rows)
	[ $bad = 0 ]
}

@test "states: each action at each of them has its reply, and only mail that got 250 is kept" {
	launched
	all_rows
}

@test "states: the same where a program gets the mail" {
	launched
	PROGRAM=yes all_rows
}

@test "states: at RCPT it is asked if no others are named" {
	asks rcpt
	OPTS=("${OPTS[@]::${#OPTS[@]}-2}")
	session
	[ "$(full_codes)" = "$GOOD" ]
	[ "$(asked)" = RCPT ]
}

@test "states: what is told at each is what Postfix tells" {
	launched
	asks "$ALL"
	session
	[ "$(full_codes)" = "$GOOD" ]
	[ "$(asked)" = 'CONNECT EHLO VRFY ETRN MAIL RCPT DATA END-OF-MESSAGE' ]
	attribute() {
		sed -n "s/^$1=//p" requests | sed 's/^$/-/' | paste -sd ' ' -
	}
	attribute protocol_name | cmp - <(echo SMTP ESMTP ESMTP ESMTP ESMTP ESMTP ESMTP ESMTP)
	attribute helo_name | cmp - <(echo - c.example c.example c.example c.example \
	    c.example c.example c.example)
	attribute sender | cmp - <(echo - - - - a@c.example a@c.example a@c.example a@c.example)
	attribute recipient | cmp - <(echo - - u@example.org - - u@example.org \
	    u@example.org u@example.org)
	attribute recipient_count | cmp - <(echo 0 0 0 0 0 0 1 1)
	attribute size | cmp - <(echo 0 0 0 0 20 20 20 12)
	attribute etrn_domain | cmp - <(echo - - - example.org - - - -)
	attribute client_address | grep -qx '\(192.0.2.7 *\)*'
	[ "$(grep ^instance= requests | sort -u | wc -l)" = 1 ]
}

@test "states: of several recipients none is named behind RCPT, and each message has its instance" {
	asks mail,rcpt,data,end-of-message
	local two=('MAIL FROM:<>' 'RCPT TO:<u@example.org>' 'RCPT TO:<v@example.org>'
	    DATA 'Subject: x' .)
	say 'EHLO c' "${two[@]}" 'MAIL FROM:<>' RSET "${two[@]}" QUIT
	[ "$(asked)" = 'MAIL RCPT RCPT DATA END-OF-MESSAGE MAIL MAIL RCPT RCPT DATA END-OF-MESSAGE' ]
	sed -n 's/^recipient=//p' requests | sed 's/^$/-/; s/@example.org//' |
	    paste -sd ' ' - | cmp - <(echo - u v - - - - u v - -)
	sed -n 's/^recipient_count=//p' requests | paste -sd ' ' - |
	    cmp - <(echo 0 0 0 2 2 0 0 0 0 2 2)
	sed -n 's/^instance=//p' requests | uniq -c | sed 's/ *\([0-9]*\) .*/\1/' |
	    paste -sd ' ' - | cmp - <(echo 5 1 5)
}

@test "states: HELO and LHLO are told as they were said" {
	asks ehlo
	say 'HELO a' 'EHLO b' QUIT
	[ "$(asked)" = 'HELO EHLO' ]
	asks ehlo
	OPTS+=(--lmtp --log off)
	say 'LHLO a' QUIT
	[ "$(asked)" = LHLO ]
	grep -qx protocol_name=LMTP requests
}

@test "states: DATA that is refused has no 354, and the next message is asked about anew" {
	launched
	asks data 'DATA REJECT no'
	say 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA 'MAIL FROM:<>' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 554/5.7.1 250/2.1.0 221/2.0.0' ]
	nothing_kept
	[ "$(grep -c 'message .*reply=554' log)" = 1 ]
}

@test "states: by LMTP a refusal of the message is each recipient's, by PRDR one reply" {
	launched
	asks end-of-message 'END-OF-MESSAGE 452 4.2.2 Mailbox is full'
	OPTS+=(--lmtp)
	say 'LHLO c' 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' 'RCPT TO:<v@example.org>' \
	    DATA x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 452/4.2.2 452/4.2.2 221/2.0.0' ]
	asks end-of-message 'END-OF-MESSAGE REJECT no'
	say 'EHLO c' 'MAIL FROM:<> PRDR' 'RCPT TO:<u@example.org>' 'RCPT TO:<v@example.org>' \
	    DATA x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 554/5.7.1 221/2.0.0' ]
	nothing_kept
}

@test "states: SIGTERM while it is asked about a message is 451 to the dot, and 421 behind it" {
	asks end-of-message 'END-OF-MESSAGE sleep'
	dialogue <<-'S'
		S: 220 *
		C: EHLO c
		S: 250-*
		S: 250-*
		S: 250-*
		S: 250-*
		S: 250-*
		S: 250-*
		S: 250-*
		S: 250-*
		S: 250-*
		S: 250 *
		C: MAIL FROM:<>
		S: 250 *
		C: RCPT TO:<u@example.org>
		S: 250 *
		C: DATA
		S: 354 *
		C: x
		C: .
		! eventually test -s requests
		! kill "$pid"
		S: 451 4.3.0 *
		S: 421 4.3.2 *
	S
	nothing_kept
}

@test "states: a message that is refused for itself is not asked about at its end" {
	launched
	asks end-of-message
	say 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA $'bare\nlf' . \
	    'MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA 'Delivered-To: u@example.org' . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 550/5.5.2 250/2.1.0 250/2.1.5 354 554/5.4.6 221/2.0.0' ]
	[ ! -e requests ]
}

@test "states: what a policy server refused at the greeting is logged, and no line behind it is secret" {
	launched
	asks connect 'CONNECT REJECT 5.7.1 not you'
	say 'AUTH PLAIN AHVzZXIAc0VjUmVU' QUIT
	[ "$(full_codes)" = '554 503/5.5.1 221/2.0.0' ]
	grep -q '^554 not you.$' out
	grep -q 'refused client=\[192.0.2.7\]:4321 reply=554 text="5.7.1 not you"' log
	run ! grep -q c0VjUmVU log
}

@test "states: behind XCLIENT the client that it names is asked about" {
	launched
	asks connect,ehlo
	OPTS+=(--xclient 192.0.2.7)
	say 'EHLO proxy.example' 'XCLIENT ADDR=192.0.2.99 HELO=c.example' 'EHLO proxy.example' QUIT
	[ "$(full_codes)" = '220 250 220 250 221/2.0.0' ]
	[ "$(asked)" = 'CONNECT EHLO CONNECT EHLO' ]
	sed -n 's/^client_address=//p' requests | uniq -c | grep -q '2 192.0.2.99'
	# it is known by the name that the proxy told
	sed -n 's/^helo_name=//p' requests | tail -n 1 | grep -qx c.example
}

@test "states: a wrong one is named, and --test tells where they are from" {
	run -64 "$SMTPD" --policy /s --policy-states rcpt,dot
	[[ $output = *'none of these: connect ehlo mail rcpt data end-of-message vrfy etrn'* ]]
	asks connect,rcpt
	echo 'policy-states mail' >conf
	run "$SMTPD" "${OPTS[@]}" -f conf --test
	grep -qx 'policy-states connect,mail,rcpt (conf:1)' <<<"$output"
	run "$SMTPD" -n mx.example -m box --policy-states rcpt --test
	grep -qx 'warning: --policy-states without --policy' <<<"$output"
}

@test "states: the login that is asked about is this moment's" {
	asks connect,mail
	launched
	OPTS+=(--secured --auth /bin/true --xclient '*')
	say 'EHLO c.example' "AUTH PLAIN $(printf '\0verylongname\0pw' | base64)" \
	    'MAIL FROM:<a@c.example>' RSET 'XCLIENT ADDR=192.0.2.99 LOGIN=bob' \
	    'XCLIENT ADDR=192.0.2.98' QUIT
	cat out
	sed -n 's/^sasl_username=//p' requests | paste -sd '|' - >got
	# before the greeting; at MAIL; behind each XCLIENT
	[ "$(cat got)" = '|verylongname|bob|' ]
	# what came in one segment is the session's at its end, too
	say 'EHLO c.example' "AUTH PLAIN $(printf '\0alice\0pw' | base64)" QUIT
	grep -q 'session .*user="alice"' log
}

@test "states: a client that has closed its side behind the message hears its reply, as without a policy" {
	local states
	for states in rcpt end-of-message; do
		asks $states
		rm -rf box
		mkdir -p box/{tmp,new,cur}
		py "$SMTPD" "${OPTS[@]}" <<-'P'
			import os, socket, subprocess, sys
			at = socket.create_server(('127.0.0.1', 0))
			ours = socket.create_connection(at.getsockname())
			theirs, _ = at.accept()
			child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs,
			    stderr=open('log', 'w'), env=dict(os.environ, PROTO='TCP',
			    TCPREMOTEIP='192.0.2.7'))
			theirs.close()
			ours.sendall(b'EHLO c\r\nMAIL FROM:<a@c.example>\r\n'
			    b'RCPT TO:<u@example.org>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n')
			ours.shutdown(socket.SHUT_WR)
			said = b''
			while True:
			    got = ours.recv(65536)
			    if not got:
			        break
			    said += got
			assert b'\r\n354 ' in said and b'\r\n250 2.0.0 ' in said, said
			assert child.wait() == 0
		P
		[ "$(count box/new)" = 1 ]
	done
}

@test "states: 452 4.5.3 is no fault of ours, whoever says it" {
	asks rcpt 'RCPT 452 4.5.3 enough'
	launched
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 452/4.5.3 221/2.0.0' ]
	[ "$status" = 0 ]
	asks rcpt 'RCPT 452 4.2.2 full'
	launched
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' QUIT
	[ "$status" = 75 ]
}
