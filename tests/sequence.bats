# sequence.bats - which command may follow which, and what each forgets
# RFC 5321 sections 3.3, 4.1.1.5 and 4.1.4

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

M='MAIL FROM:<a@c.example>' R='RCPT TO:<u@example.org>'

@test "sequence: MAIL is taken before HELO, as sendmail does" {
	say "$M" "$R" DATA 'Subject: x' '' x . QUIT
	[ "$(full_codes)" = \
	    '220 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$(count box/new)" = 1 ]
}

@test "sequence: RCPT before MAIL is 503 5.5.1" {
	say 'EHLO c.example' "$R" QUIT
	[ "$(full_codes)" = '220 250 503/5.5.1 221/2.0.0' ]
}

@test "sequence: DATA before MAIL, and before any RCPT, is 503 5.5.1" {
	say 'EHLO c.example' DATA "$M" DATA "$R" DATA x . QUIT
	[ "$(full_codes)" = '220 250 503/5.5.1 250/2.1.0 503/5.5.1 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$(count box/new)" = 1 ]
}

@test "sequence: DATA when every RCPT was refused is 554 5.5.1" {
	say 'EHLO c.example' "$M" 'RCPT TO:<u@elsewhere.example>' 'RCPT TO:<>' \
	    DATA 'NOOP' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 550/5.7.1 501/5.1.3 554/5.5.1 250/2.0.0 221/2.0.0' ]
	nothing_kept
}

@test "sequence: a RCPT refused beside one taken does no harm" {
	say 'EHLO c.example' "$M" 'RCPT TO:<u@elsewhere.example>' "$R" \
	    'RCPT TO:<v@elsewhere.example>' DATA x . QUIT
	[ "$(codes)" = '220 250 250 550 250 550 354 250 221' ]
	[ "$(header Delivered-To)" = u@example.org ]
}

@test "sequence: a nested MAIL is 503 5.5.1, and the first one stands" {
	say 'EHLO c.example' "$M" 'MAIL FROM:<b@c.example>' "$R" \
	    'MAIL FROM:<b@c.example>' DATA x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 503/5.5.1 250/2.1.5 503/5.5.1 354 250/2.0.0 221/2.0.0' ]
	[ "$(header Return-Path)" = '<a@c.example>' ]
}

@test "sequence: a refused MAIL begins nothing" {
	say 'EHLO c.example' 'MAIL FROM:<a@' "$R" "$M" "$R" QUIT
	[ "$(codes)" = '220 250 501 503 250 250 221' ]
}

@test "sequence: RSET forgets the sender" {
	say 'EHLO c.example' "$M" RSET "$R" "$M" QUIT
	[ "$(codes)" = '220 250 250 250 503 250 221' ]
}

@test "sequence: RSET forgets the recipients" {
	say 'EHLO c.example' "$M" "$R" RSET "$M" DATA 'RCPT TO:<v@example.org>' \
	    DATA x . QUIT
	[ "$(codes)" = '220 250 250 250 250 250 503 250 354 250 221' ]
	[ "$(header Delivered-To)" = v@example.org ]
}

@test "sequence: RSET forgets that every recipient was refused" {
	say 'EHLO c.example' "$M" 'RCPT TO:<u@elsewhere.example>' RSET DATA "$M" \
	    DATA QUIT
	[ "$(codes)" = '220 250 250 550 250 503 250 503 221' ]
}

@test "sequence: RSET is taken at any time, and again" {
	say RSET RSET 'EHLO c.example' RSET "$M" RSET RSET "$M" "$R" RSET QUIT
	[ "$(codes)" = '220 250 250 250 250 250 250 250 250 250 250 221' ]
}

@test "sequence: HELO and EHLO reset the transaction" {
	say 'EHLO c.example' "$M" "$R" 'EHLO d.example' DATA "$R" "$M" "$R" \
	    'HELO e.example' DATA "$R" QUIT
	[ "$(codes)" = '220 250 250 250 250 503 503 250 250 250 503 503 221' ]
}

@test "sequence: a refused HELO leaves the transaction alone" {
	say 'EHLO c.example' "$M" "$R" HELO DATA x . QUIT
	[ "$(codes)" = '220 250 250 250 501 354 250 221' ]
	[[ $(header Received) = 'from c.example '* ]]
}

@test "sequence: the last HELO or EHLO is the one that Received names" {
	say 'EHLO c.example' 'HELO d.example' "$M" "$R" DATA x . QUIT
	[[ $(header Received) = 'from d.example '*' with SMTP '* ]]
	rm box/new/*
	say 'HELO c.example' 'EHLO d.example' "$M" "$R" DATA x . QUIT
	[[ $(header Received) = 'from d.example '*' with ESMTP '* ]]
}

@test "sequence: what touches no transaction leaves it as it is" {
	say 'EHLO c.example' "$M" NOOP "$R" 'VRFY u@example.org' 'EXPN x' HELP FOO \
	    'DATA x' 'RSET x' 'QUIT x' VERB ONEX 'MAIL x' 'RCPT x' '' DATA x . QUIT
	[ "$(codes)" = '220 250 250 250 250 252 502 214 500 501 501 501 250 250 503 501 500 354 250 221' ]
	[ "$(header Return-Path)" = '<a@c.example>' ]
	[ "$(header Delivered-To)" = u@example.org ]
}

@test "sequence: after a message the transaction is over" {
	say 'EHLO c.example' "$M" "$R" DATA x . "$R" DATA "$M" "$R" DATA y . QUIT
	[ "$(codes)" = '220 250 250 250 354 250 503 503 250 250 354 250 221' ]
	[ "$(count box/new)" = 2 ]
}

@test "sequence: after a refused message the transaction is over" {
	OPTS+=(-s 10)
	say 'EHLO c.example' "$M" "$R" DATA 'more than ten octets' . "$R" DATA "$M" \
	    "$R" DATA y . QUIT
	[ "$(codes)" = '220 250 250 250 354 552 503 503 250 250 354 250 221' ]
	[ "$(count box/new)" = 1 ]
}

@test "sequence: a second message has its own sender and recipients only" {
	say 'EHLO c.example' "$M" "$R" DATA one . 'MAIL FROM:<>' \
	    'RCPT TO:<v@example.org>' DATA two . QUIT
	[ "$(codes)" = '220 250 250 250 354 250 250 250 354 250 221' ]
	[ "$(count box/new)" = 2 ]
	header Delivered-To "$(grep -l '^one$' box/new/*)" >first
	header Delivered-To "$(grep -l '^two$' box/new/*)" >second
	[ "$(cat first)" = u@example.org ]
	[ "$(cat second)" = v@example.org ]
	[ "$(header Return-Path "$(grep -l '^two$' box/new/*)")" = '<>' ]
}

@test "sequence: a hundred messages in one session" {
	local i
	{
		printf 'EHLO c.example\r\n'
		for i in {1..100}; do
			printf '%s\r\n' "MAIL FROM:<a$i@c.example>" "$R" DATA "$i" .
		done
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$status" = 0 ]
	[ "$(codes | wc -w)" = 403 ]
	[ "$(grep -c '^250 2\.0\.0 ' out)" = 100 ]
	[ "$(count box/new)" = 100 ]
	[ "$(count box/tmp)" = 0 ]
	# of each: the sender, and the last line
	awk 'FNR == 1 && NR > 1 { print from, last }
	    /^Return-Path: / { from = $2 } { last = $0 }
	    END { print from, last }' box/new/* | sort >got
	for i in {1..100}; do echo "<a$i@c.example> $i"; done | sort >want
	cmp got want
}

@test "sequence: nothing after QUIT is read" {
	say 'EHLO c.example' QUIT "$M" "$R" DATA x . NOOP
	[ "$(codes)" = '220 250 221' ]
	[ "$status" = 0 ]
	nothing_kept
}

@test "sequence: QUIT in the middle of a transaction keeps nothing" {
	say 'EHLO c.example' "$M" "$R" QUIT
	[ "$(codes)" = '220 250 250 250 221' ]
	[ "$status" = 0 ]
	nothing_kept
}

@test "sequence: a client in lock-step gets each reply when it is due" {
	dialogue <<-'S'
		S: 220 *
		C: HELO c.example
		S: 250 *
		C: MAIL FROM:<a@c.example>
		S: 250 2.1.0*
		C: RCPT TO:<u@example.org>
		S: 250 2.1.5*
		C: DATA
		S: 354 *
		C: Subject: x
		C: .
		S: 250 2.0.0*
		C: QUIT
		S: 221 2.0.0*
	S
	[ "$status" = 0 ]
	[ "$(count box/new)" = 1 ]
}
