#!/usr/bin/env bats
# The same recipient more than once: one run of the program, whose outcome is the reply of each (RFC 5321, 4.5.3.1.8; RFC 2033)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load program

# by_name: a stand-in that ends as the recipient's name says: x67-a exits 67
by_name() {
	prog <<-'P'
		printf '%s\n' "$RECIPIENT" >>seen/runs
		cat >>seen/mail
		n=${LOCAL%%-*}
		n=${n#[xX]}
		[ "$n" = 0 ] || echo "said of $LOCAL"
		exit "$n"
	P
	OPTS+=(./prog)
}

# relay: a stand-in that gets all recipients at once, and tells them
relay() {
	prog <<-'P'
		echo run >>seen/runs
		printf '%s\n' "$@" >seen/args
		cat >seen/mail
		exit "$(cat rc 2>/dev/null || echo 0)"
	P
	OPTS+=(./prog '{recipients}')
}

# session EHLO|PRDR|LHLO LINES: RCPT lines in the file rcpts, in one session;
# what came after 354 is in $said
session() {
	local prdr=''
	[ "$1" != PRDR ] || prdr=' PRDR'
	{
		printf '%s c.example\r\n' "${1/PRDR/EHLO}"
		printf 'MAIL FROM:<a@c.example>%s\r\n' "$prdr"
		sed 's/.*/RCPT TO:<&>\r/' rcpts
		printf 'DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n'
	} >in
	[ "$1" != LHLO ] || OPTS=(--lmtp "${OPTS[@]}")
	send <in
	[ "$1" != LHLO ] || OPTS=("${OPTS[@]:1}")
	said=$(full_codes)
	[[ $said = *' 354 '*' 221/2.0.0' ]] || { echo "$said"; return 1; }
	said=${said#* 354 }
	said=${said% 221/2.0.0}
}

# to RCPT...: the file rcpts
to() {
	printf '%s\n' "$@" >rcpts
}

# often N WORD: so many times, in one line
often() {
	yes "$2" | head -n "$1" | paste -sd ' ' -
}

@test "doubles: 500 RCPTs of one address run the program once" {
	by_name
	yes x0-a@example.org | head -n 500 >rcpts
	session EHLO
	[ "$(full_codes | grep -o 250/2.1.5 | wc -l)" = 500 ]
	[ "$said" = 250/2.0.0 ]
	ran 1
	[ "$(grep -c '^Delivered-To: ' seen/mail)" = 1 ]
}

@test "doubles: the outcome of that run is the reply of each, by LMTP and by PRDR" {
	by_name
	local row code all
	for row in 0:250/2.0.0 67:550/5.1.1 75:451/4.3.0; do
		code=${row#*:}
		yes "x${row%:*}-a@example.org" | head -n 500 >rcpts
		rm -f seen/*
		session LHLO
		[ "$said" = "$(often 500 "$code")" ]
		ran 1
		rm -f seen/*
		session PRDR
		all=$code
		[ "$said" = "353 $(often 500 "$code") $all" ]
		ran 1
	done
}

@test "doubles: with one reply the one that failed is told as one that failed" {
	by_name
	yes x67-a@example.org | head -n 500 >rcpts
	session EHLO
	[[ $said = 550/5.1.1 ]]
	ran 1
	to x0-b@example.org x67-a@example.org x67-a@example.org x0-b@example.org
	rm seen/*
	session EHLO
	[ "$said" = 550/5.1.1 ]
	grep -q '<x67-a@example.org>' out
	run ! grep x0-b@ out
	ran 2
}

@test "doubles: between others each address has one run, and the replies are in the order of RCPT" {
	by_name
	to x0-a@example.org x67-b@example.org x0-a@example.org
	session LHLO
	[ "$said" = '250/2.0.0 550/5.1.1 250/2.0.0' ]
	diff <(sort seen/runs) <(printf '%s@example.org\n' x0-a x67-b)
	rm seen/*
	to x67-b@example.org x0-a@example.org x75-c@example.org \
	    x67-b@example.org x75-c@example.org x0-a@example.org
	session LHLO
	[ "$said" = '550/5.1.1 250/2.0.0 451/4.3.0 550/5.1.1 451/4.3.0 250/2.0.0' ]
	diff <(sort seen/runs) <(printf '%s@example.org\n' x0-a x67-b x75-c)
	rm seen/*
	session EHLO
	[ "$said" = 451/4.3.0 ]
	ran 3
}

@test "doubles: what a program says of an address is said to each" {
	prog <<-'P'
		echo run >>seen/runs
		cat >/dev/null
		echo '4.2.2 over quota'
		exit 75
	P
	OPTS+=(./prog)
	to a@example.org a@example.org a@example.org
	session LHLO
	[ "$said" = '451/4.2.2 451/4.2.2 451/4.2.2' ]
	[ "$(grep -c '^451 4\.2\.2 over quota' out)" = 3 ]
	ran 1
}

@test "doubles: the case of a domain makes no other address, that of a local part does" {
	by_name
	to x0-a@example.org x0-a@EXAMPLE.org x0-a@Example.Org x0-a
	session LHLO
	[ "$said" = "$(often 4 250/2.0.0)" ]
	ran 1
	rm seen/*
	to x0-a@example.org X0-a@example.org x0-A@example.org
	session LHLO
	[ "$said" = "$(often 3 250/2.0.0)" ]
	ran 3
	rm seen/*
	# and an extension does
	to x0-a@example.org x0-a+x@example.org x0-a+x@example.org
	session LHLO
	ran 2
}

@test "doubles: another domain makes another address" {
	by_name
	OPTS=(-d example.net "${OPTS[@]}")
	to x0-a@example.org x0-a@example.net x0-a@example.org
	session LHLO
	[ "$said" = "$(often 3 250/2.0.0)" ]
	ran 2
}

@test "doubles: they run again for the next message" {
	by_name
	to x0-a@example.org x0-a@example.org
	session EHLO
	sed -n '/^MAIL/,/^\.\r$/p' in >again
	{
		sed '$d' in
		cat again
		printf 'QUIT\r\n'
	} >in2
	rm seen/*
	send <in2
	[ "$(full_codes | grep -o '354 250/2.0.0' | wc -l)" = 2 ]
	ran 2
}

@test "doubles: they count for --recipients" {
	by_name
	OPTS=(-r 3 "${OPTS[@]}")
	to x0-a@example.org x0-a@example.org x0-a@example.org x0-a@example.org
	session LHLO
	[ "$(full_codes | grep -o 452/4.5.3 | wc -l)" = 1 ]
	[ "$said" = "$(often 3 250/2.0.0)" ]
	ran 1
}

@test "doubles: a loop is that of each of them, and no run" {
	by_name
	to x0-a@example.org x0-b@example.org x0-a@example.org
	{
		printf 'LHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		sed 's/.*/RCPT TO:<&>\r/' rcpts
		printf 'DATA\r\nDelivered-To: x0-a@example.org\r\n\r\nx\r\n.\r\nQUIT\r\n'
	} >in
	OPTS=(--lmtp "${OPTS[@]}")
	send <in
	[[ $(full_codes) = *' 354 554/5.4.6 250/2.0.0 554/5.4.6 221/2.0.0' ]]
	ran 1
}

# ---- whose Delivered-To counts for a relay -------------------------------------

# passed_on LINES...: the Delivered-To lines of a message, in $said its reply
passed_on() {
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		printf 'RCPT TO:<u@example.org>\r\nRCPT TO:<v@example.org>\r\n'
		printf 'DATA\r\n'
		printf 'Delivered-To: %s\r\n' "$@"
		printf 'Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n'
	} >in
	send <in
	said=$(verdicts)
}

@test "doubles: a relay takes any number of Delivered-To lines that are not its recipients'" {
	relay
	passed_on {1..150}@example.org
	[ "$said" = 250/2.0.0 ]
	ran 1
	[ "$(grep -c '^Delivered-To: ' seen/mail)" = 150 ]
}

@test "doubles: a relay refuses a message whose Delivered-To is a recipient of its own, wherever it stands" {
	relay
	passed_on V@Example.org
	[ "$said" = 554/5.4.6 ]
	passed_on {1..50}@example.org u@example.org {51..60}@example.org
	[ "$said" = 554/5.4.6 ]
	passed_on {1..150}@example.org u@example.org
	[ "$said" = 554/5.4.6 ]
	ran 0
}
