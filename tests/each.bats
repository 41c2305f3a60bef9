# each.bats - a reply for each recipient: LMTP and PRDR
# RFC 2033; draft-hall-prdr-00

# shellcheck disable=SC2030,SC2031 # bats runs each test in a shell of its own

load helper

ACCOUNTS='postmaster alice bob carol'

accounts() {
	local user
	for user in $ACCOUNTS; do
		mkdir -p "home/$user/tmp" "home/$user/new" "home/$user/cur"
	done
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
}

# lmtp LINE...: an LMTP session
lmtp() {
	OPTS+=(--lmtp)
	say 'LHLO c.example' "$@" QUIT
}

# kept: who has how many messages, as "alice:1 bob:0 carol:0"
kept() {
	local user
	for user in alice bob carol; do
		printf '%s:%s\n' "$user" "$(count "home/$user")"
	done | paste -sd ' ' -
}

@test "LMTP: LHLO is the greeting, and must come; HELO and EHLO are 500" {
	OPTS+=(--lmtp)
	say 'HELO c.example' 'EHLO c.example' 'MAIL FROM:<a@c.example>' LHLO \
	    'LHLO c.example' 'MAIL FROM:<a@c.example>' QUIT
	[ "$(full_codes)" = \
	    '220 500 500 503/5.5.1 501 250 250/2.1.0 221/2.0.0' ]
	head -n 1 out | grep -q '^220 mx\.example LMTP'
}

@test "LMTP: LHLO offers what EHLO does, but PRDR" {
	lmtp
	grep -q '^250-PIPELINING' out
	grep -q '^250-ENHANCEDSTATUSCODES' out
	grep -q '^250-SIZE ' out
	run ! grep -q PRDR out
	say 'LHLO c.example' 'MAIL FROM:<a@c.example> PRDR' QUIT
	[ "$(full_codes)" = '220 250 555/5.5.4 221/2.0.0' ]
}

@test "LMTP: a reply for each accepted recipient in order, doubles included" {
	accounts
	lmtp 'MAIL FROM:<a@c.example>' 'RCPT TO:<alice@example.org>' \
	    'RCPT TO:<nobody@example.org>' 'RCPT TO:<bob@example.org>' \
	    'RCPT TO:<bob@example.org>' DATA 'Subject: x' '' x .
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 550/5.1.1 250/2.1.5 250/2.1.5 354 250/2.0.0 250/2.0.0 250/2.0.0 221/2.0.0' ]
	[ "$(kept)" = 'alice:1 bob:1 carol:0' ]
	grep -q 'with LMTP' home/alice/new/*
}

@test "LMTP: one mailbox that fails does not keep the others from it" {
	accounts
	rmdir home/bob/tmp
	lmtp 'MAIL FROM:<a@c.example>' 'RCPT TO:<alice@example.org>' \
	    'RCPT TO:<bob@example.org>' 'RCPT TO:<carol@example.org>' \
	    DATA 'Subject: x' '' x .
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 354 250/2.0.0 451/4.3.0 250/2.0.0 221/2.0.0' ]
	[ "$(kept)" = 'alice:1 bob:0 carol:1' ]
	[ "$status" = 75 ]
}

@test "LMTP: the first mailbox may be the one that fails, before the message" {
	accounts
	rmdir home/alice/tmp home/bob/new
	lmtp 'MAIL FROM:<a@c.example>' 'RCPT TO:<alice@example.org>' \
	    'RCPT TO:<bob@example.org>' 'RCPT TO:<carol@example.org>' \
	    DATA 'Subject: x' '' $'\xe9' .
	[ "$(codes)" = '220 250 250 250 250 250 354 451 451 250 221' ]
	[ "$(kept)" = 'alice:0 bob:0 carol:1' ]
}

@test "LMTP: the first mailbox may be the one that fails, when it is linked" {
	accounts
	need strace
	printf '%s\r\n' 'LHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<alice@example.org>' 'RCPT TO:<bob@example.org>' \
	    DATA 'Subject: x' '' x . QUIT >in
	strace -qq -f -o /dev/null -e trace=link,linkat \
	    -e inject=link,linkat:error=EIO:when=1 \
	    "$SMTPD" "${OPTS[@]}" --lmtp <in >out 2>log || true
	[ "$(codes)" = '220 250 250 250 250 354 451 250 221' ]
	[ "$(kept)" = 'alice:0 bob:1 carol:0' ]
}

@test "LMTP: a loop is that recipient's alone" {
	accounts
	lmtp 'MAIL FROM:<a@c.example>' 'RCPT TO:<alice@example.org>' \
	    'RCPT TO:<bob@example.org>' DATA \
	    'Delivered-To: ALICE@example.org' 'Subject: x' '' x .
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 554/5.4.6 250/2.0.0 221/2.0.0' ]
	[ "$(kept)" = 'alice:0 bob:1 carol:0' ]
}

@test "LMTP: a message that is refused is refused for each" {
	accounts
	OPTS+=(-s 10)
	lmtp 'MAIL FROM:<a@c.example>' 'RCPT TO:<alice@example.org>' \
	    'RCPT TO:<bob@example.org>' DATA 'Subject: too big' .
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 552/5.3.4 552/5.3.4 221/2.0.0' ]
	[ "$(kept)" = 'alice:0 bob:0 carol:0' ]
}

@test "LMTP: without an accepted recipient DATA is 503" {
	accounts
	lmtp 'MAIL FROM:<a@c.example>' DATA 'RCPT TO:<nobody@example.org>' DATA
	[ "$(full_codes)" = '220 250 250/2.1.0 503/5.5.1 550/5.1.1 503/5.5.1 221/2.0.0' ]
}

@test "LMTP: BDAT has its replies for each after LAST" {
	accounts
	OPTS+=(--lmtp)
	printf '%s\r\n' 'LHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<alice@example.org>' 'RCPT TO:<bob@example.org>' \
	    'BDAT 3' x 'BDAT 3 LAST' y QUIT >in
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 250/2.0.0 250/2.0.0 250/2.0.0 221/2.0.0' ]
	[ "$(kept)" = 'alice:1 bob:1 carol:0' ]
}

@test "LMTP: an 8-bit message is labelled in every mailbox but one that failed" {
	accounts
	rmdir home/alice/new
	mkdir home/alice/new.away
	lmtp 'MAIL FROM:<a@c.example>' 'RCPT TO:<bob@example.org>' \
	    'RCPT TO:<alice@example.org>' 'RCPT TO:<carol@example.org>' \
	    DATA 'Subject: x' '' $'caf\xc3\xa9' .
	[ "$(codes)" = '220 250 250 250 250 250 354 250 451 250 221' ]
	[ "$(kept)" = 'alice:0 bob:1 carol:1' ]
	grep -q 'charset=utf-8' home/bob/new/* home/carol/new/*
}

@test "PRDR: 353, a reply for each, and 250 if any got it" {
	accounts
	rmdir home/bob/tmp
	say 'EHLO c.example' 'MAIL FROM:<a@c.example> PRDR' \
	    'RCPT TO:<alice@example.org>' 'RCPT TO:<bob@example.org>' \
	    DATA 'Subject: x' '' x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 353 250/2.0.0 451/4.3.0 250/2.0.0 221/2.0.0' ]
	[ "$(kept)" = 'alice:1 bob:0 carol:0' ]
}

@test "PRDR: if none got it, the last reply is the worst: what may pass" {
	accounts
	rmdir home/bob/tmp
	say 'EHLO c.example' 'MAIL FROM:<a@c.example> PRDR' \
	    'RCPT TO:<alice@example.org>' 'RCPT TO:<bob@example.org>' \
	    DATA 'Delivered-To: alice@example.org' '' x . QUIT
	[ "$(codes)" = '220 250 250 250 250 354 353 554 451 451 221' ]
	[ "$(kept)" = 'alice:0 bob:0 carol:0' ]
}

@test "PRDR: what is refused for all gets one reply, and the next mail is as ever" {
	accounts
	OPTS+=(-s 20)
	say 'EHLO c.example' 'MAIL FROM:<a@c.example> PRDR' \
	    'RCPT TO:<alice@example.org>' 'RCPT TO:<bob@example.org>' \
	    DATA 'Subject: too long a one' . 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<alice@example.org>' 'RCPT TO:<bob@example.org>' \
	    DATA x . QUIT
	[ "$(codes)" = '220 250 250 250 250 354 552 250 250 250 354 250 221' ]
	[ "$(kept)" = 'alice:1 bob:1 carol:0' ]
}
