#!/usr/bin/env bats
# recipients: a program and several recipients: one reply, a reply each, a relay
# (RFC 2033; draft-hall-prdr-00; RFC 5321, 4.2.1)

# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load program

# by_name: a stand-in that ends as the recipient's name says: x67-a exits 67,
# and so does q567-a, with words of class 5
by_name() {
	prog <<-'P'
		printf '%s\n' "$RECIPIENT" >>seen/runs
		cat >"seen/$LOCAL"
		n=${LOCAL%%-*}
		case $n in
		x*)	exit "${n#x}" ;;
		q4*)	echo '4.2.2 over quota' ;;
		q5*)	echo '5.1.6 has moved' ;;
		q2*)	echo '2.1.5 filed' ;;
		esac
		exit "${n#q?}"
	P
	OPTS+=(./prog)
}

# at NAME...: the recipients at example.org, in rcpts
at() {
	rcpts=("${@/%/@example.org}")
}

# reply_lines: the lines of the reply to the dot
reply_lines() {
	tr -d '\r' <out | sed '1,/^354/d; /^221/d'
}

# lmtp RCPT...: an LMTP session that mails msg to them
lmtp() {
	OPTS=(--lmtp "${OPTS[@]}")
	letter_to "$@" | sed 's/^EHLO/LHLO/' >in
	send <in
	OPTS=("${OPTS[@]:1}")
}

# prdr RCPT...
prdr() {
	letter_to "$@" | sed 's/^\(MAIL FROM:<[^>]*>\)/\1 PRDR/' >in
	send <in
}

# after_dot: the replies behind 354, without QUIT's
after_dot() {
	local all
	all=$(full_codes)
	all=${all#* 354 }
	echo "${all% 221/2.0.0}"
}

# ---- one reply -------------------------------------------------------------

@test "recipients: each has a run and a file of its own, in their order, and 250 is for all" {
	local r
	by_name
	at x0-c x0-a x0-b
	printf 'Subject: s\n\nthe body\n' >msg
	mail_to "${rcpts[@]}"
	[ "$(verdicts)" = 250/2.0.0 ]
	[ "$(reply_lines | wc -l)" = 1 ]
	diff seen/runs <(printf '%s\n' "${rcpts[@]}")
	for r in x0-c x0-a x0-b; do
		[ "$(header Return-Path seen/$r)" = '<a@c.example>' ]
		[ "$(header Delivered-To seen/$r)" = "$r@example.org" ]
		[[ $(header Received seen/$r) == *" for <$r@example.org>; "* ]]
		[ "$(grep -c @example.org seen/$r)" = 2 ]
		tail -c "$(wc -c <msg)" seen/$r | cmp - msg
	done
	spool_is_empty
	[ "$status" = 0 ]
}

@test "recipients: an 8-bit message is labelled in every file, and none spoils another's" {
	local r
	prog <<-'P'
		cat >"seen/$LOCAL"
		# as far as it may, this one writes into its file
		head -c 100000 /dev/zero >/dev/stdin
		exit 0
	P
	OPTS+=(./prog)
	{
		printf 'Subject: s\n\n'
		printf '\303\251%s\n' "$(an_x 70000)" .
	} >msg
	mail_to a@example.org b@example.org c@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	for r in a b c; do
		[ "$(header Delivered-To seen/$r)" = $r@example.org ]
		[ "$(header Content-Type seen/$r)" = 'text/plain; charset=utf-8' ]
		tail -c "$(wc -c <msg)" seen/$r | cmp - msg
	done
	spool_is_empty
}

@test "recipients: the one reply is the worst that happened, and names who failed" {
	local want names line n=0 bad=0
	by_name
	OPTS=(-e 1 "${OPTS[@]}")
	while read -r want names; do
		# shellcheck disable=SC2086 # words are meant
		at $names
		mail_to "${rcpts[@]}"
		reply_lines | sed -n 's/^\([0-9]*\)[- ]\([0-9.]*\) <\([^@]*\)@example\.org>: \([0-9]*\) \([0-9.]*\) .*/\1\/\2 \3 \4\/\5/p' >got
		[ "$(verdicts)" = "$want" ] ||
		    { echo "$names: $(verdicts), not $want"; bad=1; }
		# a line for each that failed, in order, each with the one code
		# and with its own
		for line in "${rcpts[@]%@*}"; do
			case $line in
			x67*)	echo "$want $line 550/5.1.1" ;;
			x68*)	echo "$want $line 550/5.1.2" ;;
			x73*)	echo "$want $line 452/4.2.0" ;;
			x75*)	echo "$want $line 451/4.3.0" ;;
			x77*)	echo "$want $line 550/5.7.1" ;;
			x78*)	echo "$want $line 451/4.3.5" ;;
			q475*)	echo "$want $line 451/4.2.2" ;;
			q567*)	echo "$want $line 550/5.1.6" ;;
			esac
		done >wanted
		[ "$(reply_lines | wc -l)" = "$(wc -l <wanted)" ] || bad=1
		diff wanted got || bad=1
		# a dash in all of them but the last
		[ "$(reply_lines | grep -c '^...-')" = $(($(wc -l <wanted) - 1)) ] ||
		    bad=1
		[[ $(reply_lines | tail -n 1) == ???' '* ]] || bad=1
		n=$((n + 1))
	done <<-'T'
		550/5.1.1	x0-a x67-b
		550/5.1.1	x67-a x0-b x67-c
		550/5.1.1	x67-a x67-b
		550/5.1.6	q567-a x0-b
		554/5.3.0	q567-a x67-b
		554/5.3.0	x67-a x77-b
		554/5.3.0	x67-a x68-b x0-c
		452/4.2.0	x73-a x0-b
		452/4.2.0	x73-a x73-b
		451/4.3.0	x73-a x75-b
		451/4.2.2	x0-a q475-b x0-c
		451/4.3.0	x0-a x75-b
		451/4.3.0	q475-a x75-b
		451/4.3.5	x78-a x78-b
		451/4.3.0	x67-a x75-b
		451/4.3.0	x73-a x67-b
		451/4.3.0	x0-a x77-b x67-c q475-d x0-e
	T
	[ $n = 17 ]
	[ $bad = 0 ]
}

@test "recipients: the lines say what the program said, and are ten at most" {
	by_name
	at q475-a x0-b
	mail_to "${rcpts[@]}"
	[ "$(reply_lines)" = \
	    '451 4.2.2 <q475-a@example.org>: 451 4.2.2 over quota' ]
	[ "$status" = 75 ]
	at x67-{1..30}
	mail_to "${rcpts[@]}"
	[ "$(reply_lines | wc -l)" = 10 ]
	[ "$(reply_lines | grep -c '^550-5\.1\.1 <x67-[1-9]@')" = 9 ]
	[[ $(reply_lines | tail -n 1) == '550 5.1.1 <x67-10@'* ]]
	[ "$(wc -l <seen/runs)" = 32 ]
	# who was refused is all in the log, and that is no fault of ours
	[ "$(grep -c 'refused .*x67-' log)" = 30 ]
	[ "$status" = 0 ]
}

@test "recipients: a single one is told as ever" {
	by_name
	mail_to x67-a@example.org
	[ "$(reply_lines | wc -l)" = 1 ]
	[[ $(reply_lines) == '550 5.1.1 '[!\<]* ]]
}

@test "recipients: the lines keep to 512 octets, whatever the address and the words" {
	local long
	prog <<-'P'
		printf '5.1.1 %s\n' "$(printf '%0194d' 0)"
		exit 67
	P
	OPTS+=(./prog)
	long=$(an_x 850)
	mail_to "$long@example.org" "$(an_x 150)@example.org" "$(an_x 138)@example.org"
	[ "$(verdicts)" = 550/5.1.1 ]
	[ "$(reply_lines | grep -c '^550[- ]5\.1\.1 <xxxx.*>: 550 5\.1\.1 0000*$')" = 3 ]
	run ! grep -E '^.{512}' out
	run ! grep -a $'[^ -~\r]' out
}

@test "recipients: a failure of one counts as no error, and the next mail is as ever" {
	by_name
	OPTS=(-e 1 "${OPTS[@]}")
	{
		printf 'EHLO c.example\r\n'
		for _ in 1 2 3; do
			printf '%s\r\n' 'MAIL FROM:<a@c.example>' \
			    'RCPT TO:<x67-a@example.org>' \
			    'RCPT TO:<q567-b@example.org>' DATA x .
		done
		printf '%s\r\n' 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<x0-a@example.org>' 'RCPT TO:<x0-b@example.org>' \
		    DATA x . QUIT
	} >in
	send <in
	[ "$(verdicts)" = '554/5.3.0 554/5.3.0 554/5.3.0 250/2.0.0' ]
	[ "$status" = 0 ]
}

@test "recipients: the time limit is one for all runs, and who had none left is 451" {
	prog <<-'P'
		echo x >>seen/runs
		[ "$LOCAL" = quick ] || sleep 30
	P
	OPTS=(--program-timeout 1 "${OPTS[@]}" ./prog)
	SECONDS=0
	lmtp quick@example.org slow@example.org late@example.org
	[ $SECONDS -lt 3 ]
	[ "$(after_dot)" = '250/2.0.0 451/4.3.0 451/4.3.0' ]
	ran 2
	[ "$status" = 75 ]
	spool_is_empty
}

@test "recipients: a death and a program that vanishes are only that recipient's" {
	prog <<-'P'
		case $LOCAL in
		dies)	kill -9 $$ ;;
		breaks)	mv prog prog.away ;;
		esac
		exit 0
	P
	OPTS+=(./prog)
	lmtp a@example.org dies@example.org b@example.org breaks@example.org c@example.org
	[ "$(after_dot)" = '250/2.0.0 451/4.3.0 250/2.0.0 250/2.0.0 451/4.3.5' ]
}

@test "recipients: a spool too small for copies defers those who need one" {
	need_root
	need unshare
	prog <<-'P'
		echo "$LOCAL" >>seen/runs
		cat >"seen/$LOCAL"
	P
	OPTS=(--lmtp "${OPTS[@]}" ./prog)
	wide 40000
	letter_to a@example.org b@example.org | sed 's/^EHLO/LHLO/' >in
	# shellcheck disable=SC2016 # for sh
	unshare -m sh -c 'mount -t tmpfs -o size=64k none spool || exit 9
	    "$@" <in >out 2>log; ls -A spool >left' sh "$SMTPD" "${OPTS[@]}" 3>&-
	[ "$(after_dot)" = '452/4.3.1 250/2.0.0' ]
	[ "$(cat seen/runs)" = b ]
	tail -c "$(wc -c <msg)" seen/b | cmp - msg
	[ -e left ] && [ ! -s left ]
}

# ---- a reply for each ------------------------------------------------------

@test "recipients: LMTP replies for each accepted one in order, doubles included" {
	by_name
	at x0-a x67-b nobody@x q475-c x0-a q20-d x78-e
	rcpts[2]=nobody@other.example
	lmtp "${rcpts[@]}"
	[[ $(full_codes) == *' 550/5.7.1 '* ]]
	[ "$(after_dot)" = '250/2.0.0 550/5.1.1 451/4.2.2 250/2.0.0 250/2.1.5 451/4.3.5' ]
	[[ $(header Received seen/x0-a) == *' with LMTP '* ]]
	[ "$(header Delivered-To seen/q475-c)" = q475-c@example.org ]
	[ "$(reply_lines | sed -n 3p)" = '451 4.2.2 over quota' ]
	[ "$status" = 75 ]
	run ! grep -q nobody seen/runs
}

@test "recipients: LMTP with BDAT replies for each after LAST" {
	by_name
	OPTS=(--lmtp "${OPTS[@]}")
	printf '%s\r\n' 'LHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<x0-a@example.org>' 'RCPT TO:<x67-b@example.org>' \
	    'BDAT 3' x 'BDAT 3 LAST' y QUIT >in
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 250/2.0.0 250/2.0.0 550/5.1.1 221/2.0.0' ]
	[ "$(tail -n 2 seen/x0-a)" = $'x\ny' ]
}

@test "recipients: what is refused for all runs nothing, and has LMTP's reply for each" {
	by_name
	OPTS=(-s 30 "${OPTS[@]}")
	printf 'Subject: far too long for this server\n\nx\n' >msg
	lmtp x0-a@example.org x0-b@example.org
	[ "$(after_dot)" = '552/5.3.4 552/5.3.4' ]
	prdr x0-a@example.org x0-b@example.org
	[ "$(after_dot)" = 552/5.3.4 ]
	ran 0
	spool_is_empty
}

@test "recipients: with LMTP a loop is that recipient's alone, without it everyone's" {
	by_name
	printf 'Delivered-To: X0-B@example.org\n\nx\n' >msg
	lmtp x0-a@example.org x0-b@example.org x0-c@example.org
	[ "$(after_dot)" = '250/2.0.0 554/5.4.6 250/2.0.0' ]
	# the last has the file that was received: it may be the one that loops
	lmtp x0-a@example.org x0-b@example.org
	[ "$(after_dot)" = '250/2.0.0 554/5.4.6' ]
	diff seen/runs <(printf 'x0-%s@example.org\n' a c a)
	rm seen/runs
	mail_to x0-a@example.org x0-b@example.org
	[ "$(verdicts)" = 554/5.4.6 ]
	ran 0
}

@test "recipients: LMTP's session goes on after it, and its exit status is the faults'" {
	by_name
	OPTS=(--lmtp -e 2 "${OPTS[@]}")
	{
		printf 'LHLO c\r\n'
		for _ in 1 2 3 4; do
			printf '%s\r\n' 'MAIL FROM:<a@c.example>' \
			    'RCPT TO:<x67-a@example.org>' \
			    'RCPT TO:<x77-b@example.org>' DATA x .
		done
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(codes | grep -o '354 550 550' | wc -l)" = 4 ]
	[ "$status" = 0 ]
}

@test "recipients: PRDR is 353, a reply for each, and 250 if any got it" {
	by_name
	at x0-a x67-b q475-c x0-a
	prdr "${rcpts[@]}"
	[ "$(after_dot)" = '353 250/2.0.0 550/5.1.1 451/4.2.2 250/2.0.0 250/2.0.0' ]
	[ "$status" = 75 ]
	# one recipient has a reply of its own, too
	prdr x67-a@example.org
	[ "$(after_dot)" = '353 550/5.1.1 550/5.1.1' ]
}

@test "recipients: PRDR's last reply is the worst, if none got it" {
	by_name
	at x67-a x67-b
	prdr "${rcpts[@]}"
	[ "$(after_dot)" = '353 550/5.1.1 550/5.1.1 550/5.1.1' ]
	at x67-a x77-b
	prdr "${rcpts[@]}"
	[ "$(after_dot)" = '353 550/5.1.1 550/5.7.1 554/5.3.0' ]
	[ "$status" = 0 ]
	at x67-a q475-b
	prdr "${rcpts[@]}"
	[ "$(after_dot)" = '353 550/5.1.1 451/4.2.2 451/4.3.0' ]
	[ "$status" = 75 ]
}

@test "recipients: a sync that fails takes back every success, and no failure" {
	need strace
	by_name
	OPTS=(--lmtp --sync spool "${OPTS[@]}")
	letter_to x0-a@example.org x67-b@example.org q20-c@example.org |
	    sed 's/^EHLO/LHLO/' >in
	traced -e trace=syncfs -e inject=syncfs:error=EIO <in
	[ "$(after_dot)" = '451/4.3.0 550/5.1.1 451/4.3.0' ]
	[ "$(grep -c syncfs trace)" = 1 ]
}

# ---- a relay ---------------------------------------------------------------

# relay [ARG...]: a stand-in that is given all of them; ./say is said, ./rc the
# exit status
relay() {
	prog <<-'P'
		echo x >>seen/runs
		printf '%s\0' "$#" "$@" >seen/args
		cat /proc/$$/environ >seen/env
		cat >seen/mail
		[ ! -e say ] || cat say
		exit "$(cat rc)"
	P
	rm -f say
	echo 0 >rc
	OPTS+=(./prog "$@")
}

# args_are ARG...
args_are() {
	printf '%s\0' $# "$@" | cmp - seen/args
}

@test "recipients: a relay runs once, with all of them, and has no final delivery's header" {
	relay -i -f '{sender}' -- '{recipients}' end
	at b a c b
	mail_to "${rcpts[@]}"
	[ "$(verdicts)" = 250/2.0.0 ]
	ran 1
	args_are -i -f a@c.example -- "${rcpts[@]}" end
	[ "$(grep -c '^[A-Z][A-Za-z-]*:' seen/mail)" = 2 ]
	[[ $(header Received seen/mail) == 'from c.example '* ]]
	run ! grep -e '^Return-Path' -e '^Delivered-To' -e 'for <' -e example.org seen/mail
	tail -c "$(wc -c <msg)" seen/mail | cmp - msg
	for v in RECIPIENT LOCAL DOMAIN HOST EXTENSION EXT; do
		run ! grep -az "^$v=" seen/env
	done
	grep -azq '^SENDER=a@c.example$' seen/env
	grep -azq '^MESSAGE_ID=' seen/env
	spool_is_empty
}

@test "recipients: a relay for one says for whom, and the environment does" {
	relay '{recipients}'
	mail_to u+x@example.org
	args_are u+x@example.org
	[[ $(header Received seen/mail) == *' for <u+x@example.org>; '* ]]
	run ! grep -e '^Return-Path' -e '^Delivered-To' seen/mail
	grep -azq '^RECIPIENT=u+x@example.org$' seen/env
	grep -azq '^LOCAL=u+x$' seen/env
	grep -azq '^EXT=x$' seen/env
}

@test "recipients: a relay's null sender is the empty argument" {
	relay -f '{sender}' '={sender}=' -- '{recipients}'
	say 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' 'RCPT TO:<v@example.org>' \
	    DATA . QUIT
	[ "$(verdicts)" = 250/2.0.0 ]
	args_are -f '' '==' -- u@example.org v@example.org
	grep -azq '^SENDER=$' seen/env
}

@test "recipients: only an argument that is all {recipients} is replaced" {
	relay 'x{recipients}' '{recipients}' '{recipients}x' '{ recipients}'
	mail_to u@example.org v@example.org
	args_are 'x{recipients}' u@example.org v@example.org '{recipients}x' \
	    '{ recipients}'
	ran 1
}

@test "recipients: a relay's outcome is everyone's" {
	relay '{recipients}'
	echo 75 >rc
	echo '4.4.1 next hop is away' >say
	mail_to u@example.org v@example.org
	[ "$(reply_lines)" = '451 4.4.1 next hop is away' ]
	lmtp u@example.org v@example.org u@example.org
	[ "$(after_dot)" = '451/4.4.1 451/4.4.1 451/4.4.1' ]
	prdr u@example.org v@example.org
	[ "$(after_dot)" = '353 451/4.4.1 451/4.4.1 451/4.4.1' ]
	echo 67 >rc
	mail_to u@example.org v@example.org
	[ "$(verdicts)" = 550/5.1.1 ]
	[ "$(reply_lines | wc -l)" = 1 ]
	echo 0 >rc
	lmtp u@example.org v@example.org
	[ "$(after_dot)" = '250/2.0.0 250/2.0.0' ]
	ran 5
}

@test "recipients: with LMTP, a looping one is left out of a relay's run" {
	relay '{recipients}'
	printf 'Delivered-To: V@example.org\n\nx\n' >msg
	lmtp u@example.org v@example.org w@example.org
	[ "$(after_dot)" = '250/2.0.0 554/5.4.6 250/2.0.0' ]
	args_are u@example.org w@example.org
	lmtp v@example.org v@example.org
	[ "$(after_dot)" = '554/5.4.6 554/5.4.6' ]
	ran 1
	lmtp v@example.org u@example.org
	[ "$(after_dot)" = '554/5.4.6 250/2.0.0' ]
	args_are u@example.org
}

@test "recipients: a thousand reach a relay in one run" {
	relay '{recipients}'
	at r{1..1000}
	mail_to "${rcpts[@]}"
	[ "$(verdicts)" = 250/2.0.0 ]
	ran 1
	args_are "${rcpts[@]}"
}

@test "recipients: more than fit a relay's arguments are 452 4.5.3 at RCPT, and those before go" {
	local long
	relay '{recipients}'
	long=$(an_x 800)
	at "$long"-{1..300}
	mail_to "${rcpts[@]}"
	[ "$(verdicts)" = 250/2.0.0 ]
	n=$(full_codes | grep -o 250/2.1.5 | wc -l)
	[ "$n" -ge 40 ] && [ "$n" -lt 300 ]
	[ "$(full_codes | grep -o 452/4.5.3 | wc -l)" = $((300 - n)) ]
	ran 1
	args_are "${rcpts[@]:0:n}"
}

@test "recipients: however many, and however often they are asked for, no bound is passed" {
	local -a thrice=('{recipients}' '{recipients}' '{recipients}')
	relay "${thrice[@]}"
	status=0
	"$SMTPD" "${OPTS[@]}" </dev/null >out 2>log || status=$?
	# once is all that a relay needs: to refuse more is right, too
	[ "$status" = 64 ] || {
		OPTS=(-r 10000 -n mx.example -d b --spool spool -- ./prog
		    "${thrice[@]}")
		{
			printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
			yes $'RCPT TO:<a@b>\r' | head -n 10000
			printf 'DATA\r\nx\r\n.\r\nQUIT\r\n'
		} >in
		send <in
		[[ $(verdicts) == 250/2.0.0 || $(verdicts) == 451/4.3.[05] ]]
		[ "$(codes | sed 's/.* //')" = 221 ]
	}
}
