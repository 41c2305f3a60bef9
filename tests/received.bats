# received.bats - the Received line as others read it, and the limits we state
# RFC 5321 section 4.4; RFC 3848; RFC 6531 section 4.3; RFC 5322; RFC 9422

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

A='MAIL FROM:<a@c.example>'
U='RCPT TO:<u@example.org>'

# raw: the Received field of the one message, as it is folded
raw() {
	awk '/^[^ \t]|^$/ { on = /^Received:/ } on' "$(only_message)"
}

# with: the protocol it names
with() {
	header Received | sed -E 's/.* with ([^ ]+) id .*/\1/'
}

@test "received: with is SMTP after HELO, ESMTP after EHLO, the last that was said" {
	local want row bad=0
	while read -r want row; do
		IFS=, read -r -a row <<<"$row"
		say "${row[@]}" "$A" "$U" DATA x . QUIT
		[ "$(with)" = "$want" ] || { echo "${row[*]}: $(with)"; bad=1; }
		rm -f box/new/*
	done <<-'S'
		SMTP	HELO c
		ESMTP	EHLO c
		ESMTP	HELO c,EHLO c
		SMTP	EHLO c,HELO c
		SMTP	EHLO c,HELO c,RSET
		ESMTP	EHLO c,RSET
		ESMTP	EHLO c,HELO
		SMTP	HELO c,EHLO
		ESMTP	EHLO c,NOOP,HELP
		SMTP	NOOP
	S
	[ $bad = 0 ]
}

@test "received: with is UTF8SMTP for a message with SMTPUTF8, LMTP for LMTP" {
	say 'EHLO c.example' "$A SMTPUTF8" "$U" DATA x . QUIT
	[ "$(with)" = UTF8SMTP ]
	rm box/new/*
	say 'EHLO c.example' "$A SMTPUTF8" "$U" 'BDAT 0 LAST' QUIT
	[ "$(with)" = UTF8SMTP ]
	rm box/new/*
	OPTS+=(--lmtp)
	say 'LHLO c.example' "$A" "$U" DATA x . QUIT
	[ "$(with)" = LMTP ]
	rm box/new/*
	say 'LHLO c.example' "$A SMTPUTF8" "$U" DATA x . QUIT
	[ "$(with)" = UTF8LMTP ]
}

@test "received: it is the same by BDAT as by DATA, but for ID and time" {
	launched
	say 'EHLO c.example' "$A" "$U" DATA x . QUIT
	header Received | sed -E 's/ id .* for / id X for /; s/;.*//' >want
	rm box/new/*
	say 'EHLO c.example' "$A" "$U" 'BDAT 3 LAST' x QUIT
	header Received | sed -E 's/ id .* for / id X for /; s/;.*//' >got
	cmp got want
}

@test "received: its grammar is RFC 5321's, for any client" {
	local ip name helo bad=0
	launched
	while read -r ip name helo; do
		export TCPREMOTEIP=$ip TCPREMOTEHOST=$name
		[ "$name" != - ] || unset TCPREMOTEHOST
		say "EHLO $helo" "$A" "$U" DATA x . QUIT
		header Received | tr -s '\t ' ' ' |
		    grep -Eq '^from ([A-Za-z0-9._?-]+|\[[^] ]+\]) \(([A-Za-z0-9.-]+ )?\[(IPv6:)?[0-9a-f.:]+\]\) by mx\.example with ESMTP id [0-9]+\.M[0-9]+P[0-9]+Q[0-9]+ for <u@example\.org>; [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} \+0000$' || {
			echo "$ip $name $helo: $(header Received)"
			bad=1
		}
		rm -f box/new/*
	done <<-'S'
		192.0.2.7 - c.example
		192.0.2.7 client.example c.example
		192.0.2.7 client.example [192.0.2.9]
		2001:db8::7 - c.example
		2001:db8::7 client.example [IPv6:2001:db8::7]
		::ffff:192.0.2.7 - c.example
		192.0.2.7 - c(.example)
		192.0.2.7 - ;
	S
	[ $bad = 0 ]
}

@test "received: no line has over 77 columns, whatever the length of its words" {
	local n word bad=0
	launched
	export TCPREMOTEIP=2001:db8:1234:5678:9abc:def0:1234:5678
	for n in {1..53}; do
		printf -v word '%0*d' "$n" 0
		word=${word//0/x}
		export TCPREMOTEHOST=$word.example
		case $((n % 3)) in
		0)	say "EHLO $word" "$A" "$U" DATA x . QUIT ;;
		1)	say 'EHLO c' "$A" "RCPT TO:<$word@example.org>" DATA x . QUIT ;;
		2)	say "EHLO $word" "$A" "RCPT TO:<$word@example.org>" DATA x . \
			    QUIT ;;
		esac
		raw >folded
		# what is folded goes on with a blank and ends with none
		expand folded | awk 'length > 77 || / $/ { exit 1 }
		    NR == 1 && !/^Received: from / { exit 1 }
		    NR > 1 && !/^        [^ ]/ { exit 1 }' ||
		    { echo "$n:"; cat folded; bad=1; }
		rm -f box/new/*
	done
	[ $bad = 0 ]
}

@test "received: a word longer than a line has a line of its own" {
	local word
	launched
	printf -v word '%0200d' 0
	say 'EHLO c.example' "$A" "RCPT TO:<$word@example.org>" DATA x . QUIT
	raw >folded
	[ "$(expand folded | awk 'length > 77' | wc -l)" = 1 ]
	grep -qx "	<$word@example.org>;" folded
}

@test "received: it is not folded where it need not be" {
	launched
	say 'EHLO c.example' "$A" "$U" DATA x . QUIT
	[ "$(raw | wc -l)" -le 4 ]
}

@test "received: its date is read by others as the time, with the right weekday" {
	local before after
	before=$(date +%s)
	TZ=Pacific/Kiritimati LC_ALL=tr_TR.UTF-8 say 'EHLO c.example' "$A" "$U" \
	    DATA x . QUIT
	after=$(date +%s)
	header Received | sed 's/.*; *//' >stamp
	py "$before" "$after" <<-'P'
		import calendar
		import email.utils
		import re
		import sys
		import time

		date = open('stamp').read().strip()
		assert re.fullmatch(r'(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|'
		    r'Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} '
		    r'\d\d:\d\d:\d\d \+0000', date), date
		t = calendar.timegm(email.utils.parsedate(date))
		assert int(sys.argv[1]) <= t <= int(sys.argv[2]), date
		assert date == time.strftime('%a, %d %b %Y %H:%M:%S +0000',
		    time.gmtime(t)), date
	P
}

@test "received: its ID and the date tell of the same second" {
	local id date
	say 'EHLO c.example' "$A" "$U" DATA x . QUIT
	id=$(header Received | sed -E 's/.* id ([0-9]+)\.M.*/\1/')
	date=$(date -d "$(header Received | sed 's/.*; *//')" +%s)
	[ "$date" = "$id" ]
}

# ---- LIMITS ----

@test "LIMITS: EHLO states RCPTMAX, 1000 where nothing is said" {
	launched
	say 'EHLO c.example' QUIT
	[ "$(grep -cE $'^250[- ]LIMITS RCPTMAX=1000\r$' out)" = 1 ]
	[ "$(grep -c LIMITS out)" = 1 ]
	say 'HELO c.example' QUIT
	run ! grep -q LIMITS out
}

@test "LIMITS: what it states is held, to the recipient" {
	local n max i
	launched
	for n in 1 2 7 100 1234; do
		OPTS=(-n mx.example -d example.org -m box -r "$n")
		say 'EHLO c.example' QUIT
		max=$(sed -nE $'s/^250[- ]LIMITS RCPTMAX=([1-9][0-9]*)\r$/\\1/p' out)
		[ "$max" = $n ]
		{
			printf '%s\r\n' 'EHLO c.example' "$A"
			for ((i = 0; i <= n; i++)); do
				printf 'RCPT TO:<u%s@example.org>\r\n' $i
			done
			printf '%s\r\n' DATA x . QUIT
		} >in
		send <in
		[ "$(full_codes | tr ' ' '\n' | grep -c '^250/2\.1\.5$')" = $n ]
		[[ $(full_codes) = *' 250/2.1.5 452/4.5.3 354 250/2.0.0 221/2.0.0' ]]
		[ "$(header Delivered-To | wc -l)" = $n ]
		rm -f box/new/*
	done
}

@test "LIMITS: in LMTP it is stated too" {
	OPTS+=(--lmtp -r 5)
	launched
	say 'LHLO c.example' QUIT
	[ "$(grep -cE $'^250[- ]LIMITS RCPTMAX=5\r$' out)" = 1 ]
}
