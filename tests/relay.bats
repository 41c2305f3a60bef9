#!/usr/bin/env bats
# Leave to relay opens other domains where mail goes on from here, and none where it stays (RFC 5321, 3.6.2, 7.1)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load program

# may HOW: what gives the client leave: in OPTS, the environment, and $hello,
# the lines that begin the session, with $greeted their replies
may() {
	launched
	hello=('EHLO c.example')
	greeted='220 250'
	case $1 in
	RELAYCLIENT)
		export RELAYCLIENT= ;;
	AUTH)
		printf '#!/bin/sh\ncat <&3 >/dev/null\n' >checker
		chmod 755 checker
		OPTS=(--secured --auth "$PWD/checker" "${OPTS[@]}")
		hello+=('AUTH PLAIN AGFsaWNlAHNlY3JldA==')
		greeted+=' 235/2.7.0' ;;
	XCLIENT)
		OPTS=(--xclient '*' "${OPTS[@]}")
		hello+=('XCLIENT LOGIN=alice' 'EHLO c.example')
		greeted+=' 220 250' ;;
	nothing) ;;
	esac
}

HOWS='RELAYCLIENT AUTH XCLIENT'

# told REPLIES HOW: to RCPTs of bob elsewhere, and bob and alice here, there
# are these replies
told() {
	say "${hello[@]}" 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<bob@elsewhere.example>' 'RCPT TO:<bob@example.org>' \
	    DATA 'Subject: x' '' x . QUIT
	[ "$(full_codes)" = "$greeted 250/2.1.0 $1 354 250/2.0.0 221/2.0.0" ] ||
		{ echo "$2: $(full_codes)"; return 1; }
}

@test "relay: with a Maildir, leave to relay opens no other domain" {
	local how
	for how in $HOWS nothing; do
		rm -f box/new/*
		(
			OPTS=(-n mx.example -d example.org -m box)
			may "$how"
			told '550/5.7.1 250/2.1.5' "$how"
			[ "$(header Delivered-To)" = bob@example.org ]
		)
	done
}

@test "relay: with accounts, or with --users, leave to relay opens no other domain either" {
	local how
	mkdir -p home/{postmaster,bob}/{tmp,new,cur}
	echo bob >users
	for how in $HOWS; do
		(
			OPTS=(-n mx.example -d example.org -m 'home/{user}')
			may "$how"
			told '550/5.7.1 250/2.1.5' "$how"
			OPTS=(-n mx.example -d example.org -m box -u users)
			may "$how"
			told '550/5.7.1 250/2.1.5' "$how"
		)
	done
	[ "$(grep -L '^Delivered-To: bob@example.org$' home/*/new/* box/new/* |
	    wc -l)" = 0 ]
}

@test "relay: with a program, leave to relay opens every domain" {
	local how
	prog <<-'P'
		cat >/dev/null
		echo "$RECIPIENT" >>seen/runs
	P
	for how in $HOWS; do
		rm -f seen/runs
		(
			OPTS+=(./prog)
			may "$how"
			told '250/2.1.5 250/2.1.5' "$how"
		)
		diff <(sort seen/runs) \
		    <(printf 'bob@%s\n' elsewhere.example example.org)
	done
	(
		OPTS+=(./prog)
		may nothing
		told '550/5.7.1 250/2.1.5' nothing
	)
}

@test "relay: with --relay a Maildir takes mail for every domain, whoever asks" {
	local how
	for how in $HOWS nothing; do
		rm -f box/new/*
		(
			OPTS=(-n mx.example -d example.org -m box --relay)
			may "$how"
			told '250/2.1.5 250/2.1.5' "$how"
			[ "$(header Delivered-To | wc -l)" = 2 ]
		)
	done
}

@test "relay: with LMTP it is the same" {
	local how
	for how in RELAYCLIENT nothing; do
		rm -f box/new/*
		(
			OPTS=(-n mx.example -d example.org -m box --lmtp)
			may "$how"
			hello=('LHLO c.example')
			told '550/5.7.1 250/2.1.5' "$how"
		)
	done
}

# tests OPTION...: what --test prints of domains and relaying
tests() {
	"$SMTPD" --test -n mx.example -d example.org --secured \
	    --auth "$PWD/checker" "$@" </dev/null 2>&1 |
	    grep -iE 'relay|domain'
}

@test "relay: --test says that leave to relay opens no domain for a Maildir" {
	printf '#!/bin/sh\nexit 0\n' >checker
	chmod 755 checker
	tests -m box >maildir
	tests -- /bin/cat >program
	# a word more than where mail goes on
	grep -vxFf program maildir
}
