#!/usr/bin/env bats
# trouble: with --faults clients meet it, in smtpd and in contrib/smtpsink alike
# RFC 5321, 4.2 (replies), 3.8 (421), 4.5.4 (what a client does then)

# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2016 # what stands in single quotes is for dialogue()
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them
load helper

setup_file() {
	export SINK=$BATS_FILE_TMPDIR/smtpsink
	"${CC:-cc}" -std=c11 -D_GNU_SOURCE -g -O1 -I"$ROOT" -o "$SINK" \
	    -fsanitize=address,undefined -fno-sanitize-recover=all \
	    "$ROOT/contrib/smtpsink.c" "$ROOT/smtp_parse.c"
}

teardown() {
	[ -z "${sink:-}" ] || kill -9 "$sink" 2>/dev/null || :
}

# sinks OPTION...: the sink, at $port, with its Maildir in sunk
sinks() {
	"$SINK" -p 0 "$@" sunk >lines 2>err </dev/null 3>&- &
	sink=$!
	eventually test -s lines
	port=$(sed -n '1s/.*://p' lines)
}

sunk() {
	kill "$sink"
	wait "$sink"
	sink=
	cat err
	[ ! -s err ]
}

# swaks_to HOST...: a mail to u@example.org, or as it is said
swaks_to() {
	timeout 60 swaks --from a@c.example --to u@example.org --timeout 5 -n \
	    "$@" >said 2>&1 </dev/null 3>&-
}

# by_smtpd, by_sink [OPTION...]: the mail by each, with --faults=script; $rc is the
# client's word, and $kept how many mails were
by_smtpd() {
	rc=0
	rm -f box/new/*
	swaks_to --pipe "$SMTPD -n s.example -d example.org -m box --log off --faults=script" \
	    "$@" || rc=$?
	kept=$(count box)
}

by_sink() {
	rc=0
	rm -rf sunk lines
	sinks --faults=script
	swaks_to --server "127.0.0.1:$port" "$@" || rc=$?
	sunk
	kept=$(count sunk)
}

# what the client says: swaks(1), EXIT CODES; and how many mails are kept
rows() {
	cat <<-'R'
		0 1 # no trouble
		21 0 connect 554
		21 0 connect 421-4.3.2
		6 0 connect drop
		6 0 connect cut9
		6 0 connect stop0
		22 0 ehlo 502
		6 0 ehlo drop
		6 0 ehlo stop0
		6 0 ehlo cut30
		23 0 mail 550-5.1.8
		23 0 mail 421
		6 0 mail drop
		24 0 rcpt 550-5.1.1
		24 0 rcpt 452-4.2.2
		24 0 rcpt1 550
		0 1 rcpt2 550
		6 0 rcpt drop
		25 0 data 451
		6 0 data drop
		6 0 data cut3
		6 0 data stop20
		26 0 dot 452-4.2.2
		26 0 dot 421
		6 0 dot drop
		6 1 dot cut0
		6 1 dot cut12
		6 1 dot stop0
		26 0 dot slow1 554-5.6.0
		0 1 rcpt slow1
		0 1 data slow1
	R
}

@test "trouble: each step and each kind of it is met by a real client, by both hosts" {
	need swaks
	local want kept_want how bad=0
	while read -r want kept_want line; do
		printf '%s\n' "$line" >script
		for how in by_smtpd by_sink; do
			$how
			[ "$rc $kept" != "$want $kept_want" ] || continue
			printf '%s, %s: wanted %s, kept %s; got %s, %s\n' "$how" "$line" \
			    "$want" "$kept_want" "$rc" "$kept"
			cat said
			bad=1
		done
	done < <(rows)
	[ $bad = 0 ]
}

# to ADDRESS: swaks, curl and smtplib, each to the sink; what they say, in a line
to() {
	local rc=0
	swaks_to --server "127.0.0.1:$port" --to "$1" || rc=$?
	printf '%s ' "$rc"
	rc=0
	printf 'Subject: x\n\nx\n' | timeout 60 curl -sS --crlf --max-time 9 \
	    "smtp://127.0.0.1:$port/c.example" --mail-from a@c.example --mail-rcpt "$1" \
	    -T - >/dev/null 2>&1 || rc=$?
	printf '%s ' "$rc"
	py "$port" "$1" <<-'P'
		import smtplib, sys
		try:
		    with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), 'c.example', 9) as s:
		        s.sendmail('a@c.example', [sys.argv[2]], 'Subject: x\n\nx\n')
		    print('sent')
		except smtplib.SMTPRecipientsRefused as e:
		    code, text = e.recipients[sys.argv[2]]
		    print(code, text.decode().split()[0])
		except smtplib.SMTPServerDisconnected:
		    print('gone')
	P
}

@test "trouble: an address asks for it, and swaks, curl and smtplib each meet it" {
	need swaks curl
	sinks --faults
	to u@example.org | cmp - <(echo 0 0 sent)
	to 550-5.1.1@example.org | cmp - <(echo 24 55 550 5.1.1)
	to 452-4.2.2@example.org | cmp - <(echo 24 55 452 4.2.2)
	to 550@example.org | cmp - <(echo 24 55 550 5.0.0)
	to 421@example.org | cmp - <(echo 24 55 421 4.0.0)
	to drop@example.org | cmp - <(echo 6 56 gone)
	to cut5@example.org | cmp - <(echo 6 56 gone)
	[ "$(count sunk)" = 3 ]
	SECONDS=0
	to slow2@example.org | cmp - <(echo 0 0 sent)
	[ "$SECONDS" -ge 3 ]
	[ "$(count sunk)" = 6 ]
	swaks_to --server "127.0.0.1:$port" --from 550-5.1.8@c.example || rc=$?
	[ "$rc" = 23 ]
	sunk
}

@test "trouble: nobody meets it who runs without --faults" {
	say 'EHLO c' 'MAIL FROM:<550@c.example>' 'RCPT TO:<421@example.org>' \
	    'RCPT TO:<drop@example.org>' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 221/2.0.0' ]
}

@test "trouble: what is no word of it is an address like any other" {
	OPTS+=(--faults)
	table 'EHLO c' 'MAIL FROM:<>' <<-'T'
		250/2.1.5	RCPT TO:<250@example.org>
		250/2.1.5	RCPT TO:<560@example.org>
		250/2.1.5	RCPT TO:<5500@example.org>
		250/2.1.5	RCPT TO:<550-4.1.1@example.org>
		250/2.1.5	RCPT TO:<550-5.1@example.org>
		250/2.1.5	RCPT TO:<550-@example.org>
		250/2.1.5	RCPT TO:<slow@example.org>
		250/2.1.5	RCPT TO:<slow3601@example.org>
		250/2.1.5	RCPT TO:<slow-1@example.org>
		250/2.1.5	RCPT TO:<dropped@example.org>
		250/2.1.5	RCPT TO:<cut@example.org>
		550/5.1.1	RCPT TO:<550-5.1.1@elsewhere.example>
	T
}

@test "trouble: so many octets are sent, and so many taken, and not one more" {
	local n
	for n in 0 1 9 28 29 60; do
		echo "connect cut$n" >script
		OPTS=(-n s.example --log off --faults=script)
		say 'EHLO c' QUIT
		OPTS=(-n s.example --log off)
		cp out short
		say 'EHLO c' QUIT
		head -c "$n" out | cmp - short
	done
	# of the message, with its dot, there are 25
	OPTS=(-n s.example -d example.org -m box --log stderr --faults script)
	for n in 0 1 22 24 25 26; do
		echo "data stop$n" >script
		say 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA \
		    "$(printf 'x%.0s' {1..20})" . QUIT
		if [ "$n" -lt 25 ]; then
			[ "$(codes)" = '220 250 250 250 354' ]
			grep -q 'end=in-message' log
			nothing_kept
		else
			[ "$(codes)" = '220 250 250 250 354 250' ]
			[ "$(count box)" = 1 ]
			rm box/new/*
		fi
	done
}

@test "trouble: by smtpd the times are counted in a session, by the sink over all" {
	echo 'dot1 451-4.3.0' >script
	OPTS+=(--faults script)
	local mail=('MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA x .)
	say 'EHLO c' "${mail[@]}" "${mail[@]}" QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 451/4.3.0 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	need swaks
	sinks --faults script
	run -26 swaks_to --server "127.0.0.1:$port"
	[ "$(count sunk)" = 0 ]
	swaks_to --server "127.0.0.1:$port"
	[ "$(count sunk)" = 1 ]
	sunk
}

@test "trouble: LMTP, PRDR, BDAT, a template and a program meet it all the same" {
	local one=('MAIL FROM:<>' 'RCPT TO:<u@example.org>' 'RCPT TO:<450-4.2.1@example.org>')
	local end=('RCPT TO:<v@example.org>' 'BDAT 3 LAST' $'x\r\nQUIT')
	printf 'dot1 552-5.3.4\n' >script
	OPTS+=(--faults script)
	say 'EHLO c' "${one[@]}" "${end[@]}"
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 450/4.2.1 250/2.1.5 552/5.3.4 221/2.0.0' ]
	say 'EHLO c' 'MAIL FROM:<> PRDR' "${one[@]:1}" "${end[@]}"
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 450/4.2.1 250/2.1.5 552/5.3.4 221/2.0.0' ]
	OPTS+=(--lmtp --log off)
	say 'LHLO c' "${one[@]}" "${end[@]}"
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 450/4.2.1 250/2.1.5 552/5.3.4 552/5.3.4 221/2.0.0' ]
	mkdir -p at/{u,v,postmaster}/{tmp,new,cur}
	OPTS=(-n s.example -d example.org -m 'at/{user}' --lmtp --log off --faults script)
	say 'LHLO c' "${one[@]}" "${end[@]}"
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 450/4.2.1 250/2.1.5 552/5.3.4 552/5.3.4 221/2.0.0' ]
	nothing_kept at
	OPTS=(-n s.example -d example.org -m box --faults script)
	by_program
	say 'EHLO c' "${one[@]}" "${end[@]}"
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 450/4.2.1 250/2.1.5 552/5.3.4 221/2.0.0' ]
	nothing_kept
	printf 'data1 450-4.3.1\n' >script
	say 'EHLO c' "${one[@]}" "${end[@]}"
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 450/4.2.1 250/2.1.5 450/4.3.1 221/2.0.0' ]
	nothing_kept
}

@test "trouble: a message that meets it has its own line in the log" {
	launched
	echo 'data2 451' >script
	OPTS+=(--faults script)
	local mail=('MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA)
	say 'EHLO c' "${mail[@]}" x . "${mail[@]}" QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 250/2.1.0 250/2.1.5 451/4.0.0 221/2.0.0' ]
	[ "$(sed -n 's/.* message id=\([^ ]*\) .*/\1/p' log | sort -u | wc -l)" = 2 ]
	grep -q 'trouble client=\[192.0.2.7\]:4321 what="data2 451"' log
}

@test "trouble: SIGTERM in the midst of it is 421, but to the dot 451" {
	local step
	for step in rcpt dot; do
		echo "$step slow9" >script
		OPTS=(-n s.example -d example.org -m box --faults script)
		{
			echo 'S: 220 *'
			echo 'C: MAIL FROM:<>'
			echo 'S: 250 *'
			echo 'C: RCPT TO:<u@example.org>'
			[ $step = rcpt ] || printf '%s\n' 'S: 250 *' 'C: DATA' 'S: 354 *' 'C: x' 'C: .'
			printf '%s\n' '! sleep 0.3' '! kill "$pid"'
			[ $step = rcpt ] || echo 'S: 451 4.3.0 *'
			echo 'S: 421 4.3.2 *'
		} >steps
		dialogue <steps
		nothing_kept
	done
}

@test "trouble: in the sink it holds up no other client" {
	sinks --faults
	py "$port" <<-'P'
		import smtplib, sys, time
		one = smtplib.SMTP('127.0.0.1', int(sys.argv[1]), 'c.example', 20)
		one.ehlo()
		one.mail('a@c.example')
		one.putcmd('rcpt', 'TO:<slow3@example.org>')
		began = time.monotonic()
		for _ in range(5):
		    with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), 'c.example') as s:
		        s.sendmail('a@c.example', ['u@example.org'], 'Subject: x\n\nx\n')
		assert time.monotonic() - began < 1.5
		assert one.getreply()[0] == 250
		assert 1.9 < time.monotonic() - began < 5
		assert one.data('Subject: x\n\nx\n')[0] == 250
		one.quit()
	P
	[ "$(count sunk)" = 6 ]
	sunk
}

@test "trouble: the man page's script does what its comments say" {
	sed -n '/^# the first message is put off/,/^\.Ed/p' "$ROOT/smtpd.8" | sed '$d' >script
	[ "$(grep -vc '^#' script)" = 4 ]
	OPTS+=(--faults script --log off)
	local i mail=('MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA x .)
	SECONDS=0
	say 'EHLO c' "${mail[@]}" "${mail[@]}" 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' \
	    RSET "${mail[@]}"
	[ "$SECONDS" -ge 5 ]
	# the first is put off, the second try taken, and of the next the 250 is lost
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 451/4.3.0 250/2.1.0 250/2.1.5 354 250/2.0.0 250/2.1.0 550/5.1.1 250/2.0.0 250/2.1.0 250/2.1.5 354' ]
	[ "$(count box)" = 2 ]
	# and where nothing is cut off before, the fourth message is
	sed -i /^dot/d script
	rm box/new/*
	mail=('MAIL FROM:<>' 'RCPT TO:<v@example.org>' 'RCPT TO:<w@example.org>' DATA)
	say 'EHLO c' "${mail[@]}" x . "${mail[@]}" x . "${mail[@]}" x . "${mail[@]}" \
	    "$(printf 'x%.0s' {1..1100})" . QUIT
	[ "$(codes | tr ' ' '\n' | grep -c 354)" = 4 ]
	[ "$(count box)" = 3 ]
}

@test "trouble: a script that is none is told, with its line" {
	local bad
	for bad in 'dot' 'dot 250' 'dot0 451' 'helo 451' 'rcpt 452 x' 'rcpt slow' 'rcpt 2 452' \
	    'dot 451-5.1.1' 'rcpt cutx' $'rcpt 4\00152'; do
		printf '# a comment\n\nrcpt 452\n%s\n' "$bad" >script
		run -78 "$SMTPD" -m box --faults=script </dev/null
		[[ $output = *script:4:* ]]
		run -64 timeout 9 "$SINK" --faults=script
		[[ $output = *script:4:* ]]
	done
	run -78 "$SMTPD" -m box --faults=nosuch </dev/null
	run -1 timeout 9 "$SINK" --faults=nosuch
	printf ' rcpt \t452 # with blanks\r\nDATA 451\n\n' >script
	echo 'faults script' >conf
	run "$SMTPD" -n s.example -m box -f conf --test
	[ "$status" = 0 ]
	grep -qx 'faults script (conf:1)' <<<"$output"
	grep -q '^warning: --faults ' <<<"$output"
	echo faults >conf
	run "$SMTPD" -n s.example -m box -f conf --test
	grep -qx 'faults (conf:1)' <<<"$output"
}
