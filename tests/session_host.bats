#!/usr/bin/env bats
# session_host.bats - the host in smtp_parse.h's comment is a program, and works
# RFC 5321, 4.1.1.4, 4.5.3.1.9

# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them
load helper

# host: the program in the comment, as it stands there
host() {
	sed -n '/takes mail for anyone:$/,/^ \* What holds/p' \
	    "$ROOT/smtp_parse.h" | sed '1d; $d; s/^ \* \{0,1\}//'
}

setup_file() {
	export HOST=$BATS_FILE_TMPDIR/host
	host >"$HOST.c"
	grep -q '^main(void)$' "$HOST.c" ||
	    { echo 'there is no host in smtp_parse.h'; return 1; }
	"${CC:-cc}" -std=c11 -D_GNU_SOURCE -g -O1 -Wall -Wextra -Wpedantic \
	    -Wshadow -Wconversion -Werror -I"$ROOT" -o "$HOST" \
	    -fsanitize=address,undefined -fno-sanitize-recover=all \
	    "$HOST.c" "$ROOT/smtp_parse.c"
}

# hosted LINE...: what it makes of them is in out, and the mail in mail
hosted() {
	status=0
	printf '%s\r\n' "$@" | "$HOST" >out 2>log 3>mail || status=$?
	cat log
}

@test "host: it is as short as it says, and no line is too long" {
	host >host.c
	[ "$(grep -c . host.c)" -le 38 ]
	sed 's/^/ * /' host.c | expand >comment
	run ! grep -E '.{81}' comment
}

@test "host: a dialogue from its greeting to QUIT" {
	hosted 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' 'RCPT TO:<v@example.net>' DATA \
	    'Subject: dots' '' ..x . 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' \
	    'BDAT 4 LAST' "y$(printf '\r\nz')QUIT"
	[ "$status" = 0 ]
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0' ]
	printf 'Subject: dots\n\n.x\ny\nz\n' | cmp - mail
}

@test "host: what it was not made for it refuses, and goes on" {
	hosted 'EHLO c.example' STARTTLS 'AUTH PLAIN AGEAYg==' 'XCLIENT ADDR=192.0.2.1' \
	    'VRFY u' DATA 'MAIL FROM:<a@c.example>' DATA QUIT
	[ "$status" = 0 ]
	[ "$(codes)" = '220 250 502 502 550 451 503 250 503 221' ]
	[ ! -s mail ]
}

@test "host: end of input in a message keeps nothing of it" {
	hosted 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: half'
	[ "$status" = 0 ]
	[ "$(codes)" = '220 250 250 250 354' ]
	[ ! -s mail ]
}

@test "host: a message beyond its size is refused, and one of that size is not" {
	local n
	for n in 999998 999999; do
		{
			printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
			    'RCPT TO:<u@example.org>' DATA
			head -c $n /dev/zero | tr '\0' x
			printf '\r\n.\r\nQUIT\r\n'
		} >in
		"$HOST" <in >out 3>"mail.$n"
		codes >>got
	done
	printf '220 250 250 250 354 %s 221\n' 250 552 | cmp - got
	[ "$(wc -c <mail.999998)" = 999999 ]
	[ ! -s mail.999999 ]
}

@test "host: octet by octet the replies are the same" {
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: s' '' ..x . NOOP QUIT >in
	"$HOST" <in >want 3>mail
	cat >slow <<-'S'
		#!/bin/sh
		exec "$HOST" 3>mail.drip
	S
	chmod 755 slow
	SMTPD=$PWD/slow OPTS=()
	drip <in
	[ "$status" = 0 ]
	cmp want out
	cmp mail mail.drip
}

@test "host: what cannot be written is no 250" {
	[ -e /dev/full ] || skip 'no /dev/full'
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: s' . QUIT >in
	"$HOST" <in >out 3>/dev/full
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 452/4.3.1 221/2.0.0' ]
}
