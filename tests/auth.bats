# auth.bats - AUTH PLAIN and LOGIN, checked by a checkpassword program
# RFC 4954, RFC 4616 (PLAIN); http://cr.yp.to/checkpwd/interface.html

# OPTS is each test's own; the programs are scripts in quotes; helper.bash has
# the rest
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154
load helper

# the name alice and the password "Sesam, 1"
PLAIN=AGFsaWNlAFNlc2FtLCAx
USER_=YWxpY2U=
PASS=U2VzYW0sIDE=
# alice with the password "wrong"
WRONG=AGFsaWNlAHdyb25n

# checker [<SCRIPT]: smtpd offers AUTH, and the program is a shell script that
# has what came on descriptor 3 in the file given, and counts its runs in runs.
# Without a script it knows alice.
checker() {
	{
		printf '#!/bin/sh\ndir=%s\n' "$PWD"
		cat <<-'SH'
			cat <&3 >"$dir/given"
			echo run >>"$dir/runs"
		SH
		if [ $# = 0 ]; then
			cat <<-'SH'
				[ "$(tr '\0' '\n' <"$dir/given" | head -n 2)" = \
				    'alice
				Sesam, 1' ]
			SH
		else
			printf '%s\n' "$@"
		fi
	} >checker
	chmod 755 checker
	OPTS+=(--auth "$PWD/checker" --secured)
}

# runs N: so often was the program run
runs() {
	local n=0
	[ ! -e runs ] || n=$(wc -l <runs)
	[ "$n" = "$1" ] || { echo "$n runs, not $1"; return 1; }
}

# plain AUTHZID USER PASSWORD, with printf's escapes, as base64
plain() {
	printf '%b\0%b\0%b' "$@" | base64 -w 0
}

b64() {
	printf '%b' "$1" | base64 -w 0
}

# an_a N: so many letters A
an_a() {
	head -c "$1" /dev/zero | tr '\0' A
}

# said WANT LINE...: in a session of EHLO, the LINEs and QUIT the replies to
# the LINEs are WANT
said() {
	local want="220 250 $1 221/2.0.0" got
	shift
	say 'EHLO c.example' "$@" QUIT
	got=$(full_codes)
	[ "$got" = "$want" ] || { printf '%s\n' "$want" "$got"; cat log; return 1; }
}

# beside NAME COMMAND...: in a directory of its own, at the same time as others
beside() {
	local name=$1
	shift
	mkdir -p "$name"/box/{tmp,new,cur}
	(
		cd "$name" || exit
		"$@" >verdict 2>&1 && echo passed >passed
	) 3>&- &
}

# all_passed NAME...: those have ended, and did
all_passed() {
	local name bad=0
	wait
	for name; do
		[ -e "$name/passed" ] && continue
		echo "-- $name:"
		cat "$name/verdict"
		bad=1
	done
	return $bad
}

# by_rows N [LINE...] <<ROWS: as table, but a session for each N rows; for the
# third exchange that is malformed ends one
by_rows() {
	local each=$1 piece bad=0
	shift
	grep -v '^[	 ]*#' | split -l "$each" - piece.
	for piece in piece.*; do
		table "$@" <"$piece" || bad=1
	done
	rm piece.*
	return $bad
}

# offers: what EHLO says of AUTH
offers() {
	say 'EHLO c.example' QUIT
	sed -n 's/\r$//; s/^250[- ]\(AUTH.*\)/\1/p' out
}

# ---- where it may be said ----

@test "AUTH: offered with --auth where the connection is secure, nowhere else" {
	[ "$(offers)" = '' ]
	OPTS+=(--secured)
	[ "$(offers)" = '' ]
	OPTS+=(--auth /bin/true)
	[ "$(offers)" = 'AUTH PLAIN LOGIN' ]
	OPTS=(-n mx.example -d example.org -m box --auth /bin/true)
	[ "$(offers)" = '' ]
}

@test "AUTH: in clear 538, without --auth 502" {
	said 502/5.5.1 "AUTH PLAIN $PLAIN"
	OPTS+=(--secured)
	said 502/5.5.1 "AUTH PLAIN $PLAIN"
	OPTS=(-n mx.example -d example.org -m box --auth "$PWD/checker")
	said '538/5.7.11 538/5.7.11' "AUTH PLAIN $PLAIN" 'AUTH LOGIN'
	launched
	said 538/5.7.11 "AUTH PLAIN $PLAIN"
}

@test "AUTH: before EHLO, again, and in a transaction 503" {
	checker
	say "AUTH PLAIN $PLAIN" 'EHLO c.example' QUIT
	[ "$(full_codes)" = '220 503/5.5.1 250 221/2.0.0' ]
	runs 0
	said '250/2.1.0 503/5.5.1 250/2.1.5 503/5.5.1 250/2.0.0 235/2.7.0' \
	    'MAIL FROM:<a@c.example>' "AUTH PLAIN $PLAIN" \
	    'RCPT TO:<u@example.org>' 'AUTH LOGIN' RSET "AUTH PLAIN $PLAIN"
	runs 1
	said '235/2.7.0 503/5.5.1 250/2.0.0 503/5.5.1 250 503/5.5.1' \
	    "AUTH PLAIN $PLAIN" "AUTH PLAIN $PLAIN" RSET 'AUTH LOGIN' \
	    'EHLO c.example' "AUTH PLAIN $PLAIN"
	runs 2
}

@test "AUTH: under LMTP it is the same, and Received says LMTPSA" {
	checker
	OPTS+=(--lmtp)
	say 'LHLO c.example' "AUTH PLAIN $PLAIN" 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' x . QUIT
	[ "$(full_codes)" = '220 250 235/2.7.0 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[[ $(header Received) = *' with LMTPSA '* ]]
}

# ---- the exchange ----

@test "AUTH: PLAIN and LOGIN, with and without an initial response" {
	checker
	said 235/2.7.0 "AUTH PLAIN $PLAIN"
	said 235/2.7.0 "auth plain $PLAIN"
	said '334 235/2.7.0' 'AUTH PLAIN' "$PLAIN"
	said '334 334 235/2.7.0' 'AUTH LOGIN' $USER_ $PASS
	said '334 235/2.7.0' "AUTH Login $USER_" $PASS
	runs 5
}

@test "AUTH: the challenges are empty, and those for name and password" {
	checker
	said '334 235/2.7.0' 'AUTH PLAIN' "$PLAIN"
	grep -qxF $'334 \r' out
	said '334 334 235/2.7.0' 'AUTH LOGIN' $USER_ $PASS
	grep '^334' out >challenges
	printf '334 %s\r\n' "$(b64 Username:)" "$(b64 Password:)" |
	    cmp - challenges
}

@test "AUTH: = is an empty initial response, and none by itself" {
	checker
	# no message of PLAIN is empty, and neither is a name
	said '501/5.5.2 235/2.7.0' 'AUTH PLAIN =' "AUTH PLAIN $PLAIN"
	runs 1
	# for LOGIN it is a name all the same: a password is asked for, or not
	say 'EHLO c.example' 'AUTH LOGIN =' $PASS QUIT
	[[ $(full_codes) != *235* ]]
	# on a line of its own it is base64, and bad
	said '334 501/5.5.2 235/2.7.0' 'AUTH PLAIN' = "AUTH PLAIN $PLAIN"
	runs 2
}

@test "AUTH: the same byte by byte" {
	checker
	printf '%s\r\n' 'EHLO c.example' 'AUTH LOGIN' $USER_ $PASS QUIT | drip
	[ "$(full_codes)" = '220 250 334 334 235/2.7.0 221/2.0.0' ]
	printf '%s\r\n' 'EHLO c.example' "AUTH PLAIN $PLAIN" \
	    'MAIL FROM:<a@c.example>' QUIT | drip
	[ "$(full_codes)" = '220 250 235/2.7.0 250/2.1.0 221/2.0.0' ]
}

@test "AUTH: in lock-step, each challenge is sent before it waits" {
	checker
	dialogue <<-S
		S: 220 *
		C: EHLO c.example
		S: 250-*
		S: 250-PIPELINING
		S: 250-SIZE *
		S: 250-8BITMIME
		S: 250-SMTPUTF8
		S: 250-CHUNKING
		S: 250-AUTH PLAIN LOGIN
		S: 250-PRDR
		S: 250-LIMITS *
		S: 250-ENHANCEDSTATUSCODES
		S: 250 HELP
		C: AUTH LOGIN
		S: 334 VXNlcm5hbWU6
		C: $USER_
		S: 334 UGFzc3dvcmQ6
		C: $PASS
		S: 235 2.7.0 *
		C: QUIT
		S: 221 *
	S
	[ "$status" = 0 ]
}

@test "AUTH: what is behind the line is the exchange's next line, a command or not" {
	checker 'exit 0'
	# all of it is sent at once; these two happen to be base64
	said '334 334 235/2.7.0 250/2.0.0' 'AUTH LOGIN' VERB QUIT NOOP
	runs 1
	printf '%s\0%s\0' "$(base64 -d <<<VERB)" "$(base64 -d <<<QUIT)" >want
	cmp -n "$(wc -c <want)" want given
	said '334 334 501/5.5.2 334 501/5.7.0 334 501/5.5.2 250/2.0.0' \
	    'AUTH LOGIN' NOOP 'MAIL FROM:<a@c.example>' 'AUTH PLAIN' '*' \
	    'AUTH LOGIN' 'EHLO c.example' NOOP
	runs 1
}

@test "AUTH: * cancels at every challenge, and costs no try" {
	checker
	said '334 501/5.7.0 334 501/5.7.0 334 334 501/5.7.0 334 501/5.7.0 235/2.7.0' \
	    'AUTH PLAIN' '*' 'AUTH LOGIN' '*' 'AUTH LOGIN' $USER_ '*' \
	    "AUTH LOGIN $USER_" '*' "AUTH PLAIN $PLAIN"
	runs 1
}

@test "AUTH: what is no mechanism, no base64 and no message is refused" {
	checker
	by_rows 2 'EHLO c.example' <<-T
		501/5.5.4	AUTH
		501/5.5.4	AUTH \x20
		504/5.5.4	AUTH CRAM-MD5
		504/5.5.4	AUTH DIGEST-MD5 =
		504/5.5.4	AUTH XOAUTH2 $PLAIN
		504/5.5.4	AUTH SCRAM-SHA-256
		504/5.5.4	AUTH PLAINX
		504/5.5.4	AUTH PLAI
		504/5.5.4	AUTH $PLAIN
		# strict: RFC 4648, 3.1 to 3.3 and 3.5
		501/5.5.2	AUTH PLAIN !
		501/5.5.2	AUTH PLAIN *
		501/5.5.2	AUTH PLAIN ==
		501/5.5.2	AUTH PLAIN AGFsaWNlAFNlc2FtLCA
		501/5.5.2	AUTH PLAIN AGFsaWNlAFNlc2FtLCB=
		501/5.5.2	AUTH PLAIN AGFsaWNlAHh=
		501/5.5.2	AUTH PLAIN AGFsaWNlAHh5eA=
		501/5.5.2	AUTH PLAIN AGFsaWNlAHh5eA===
		501/5.5.2	AUTH PLAIN AGFsaWNlAHh5eA==AGFs
		501/5.5.2	AUTH PLAIN AGFs=WNlAHh5
		501/5.5.2	AUTH PLAIN AGFsaWNlAHh5-_8=
		501/5.5.2	AUTH PLAIN A
		501/5.5.[24]	AUTH PLAIN AGFs aWNl
		501/5.5.[24]	AUTH PLAIN $PLAIN x
		# no [authzid] NUL authcid NUL passwd (RFC 4616, 2)
		501/5.5.2	AUTH PLAIN $(b64 'alice')
		501/5.5.2	AUTH PLAIN $(b64 '\0alice')
		501/5.5.2	AUTH PLAIN $(b64 '\0')
		501/5.5.2	AUTH PLAIN $(plain '' alice '')
		501/5.5.2	AUTH PLAIN $(plain '' '' pw)
		501/5.5.2	AUTH PLAIN $(plain '' alice 'pw\0')
		501/5.5.2	AUTH PLAIN $(plain '' alice 'p\0w')
		501/5.5.2	AUTH PLAIN $(plain '' alice 'pw\0\0x')
		# LOGIN's name
		501/5.5.2	AUTH LOGIN !
		500/5.5.2	AUTH PLAIN AGFs\x00aWNl
		500/5.5.2	AUTH PLAIN AGFs\x07
		235/2.7.0	AUTH PLAIN $PLAIN
	T
	runs 1
}

@test "AUTH: strict base64 and no NUL on the lines of the exchange, too" {
	checker
	by_rows 4 'EHLO c.example' <<-T
		334		AUTH PLAIN
		501/5.5.2	!
		334		AUTH PLAIN
		501/5.5.2	$PLAIN x
		334		AUTH PLAIN
		501/5.5.2	AGFsaWNlAFNlc2FtLCA
		334		AUTH PLAIN
		501/5.5.2	*x
	T
	by_rows 3 'EHLO c.example' <<-T
		334		AUTH LOGIN
		334		$USER_
		501/5.5.2	${PASS%=}
		334		AUTH LOGIN
		334		$USER_
		50[01]/5.5.2	AB\x00=
		334		AUTH LOGIN
		334		$USER_
		501/5.5.2	$(b64 'Sesam, 1\0')
		334		AUTH LOGIN
		334		$USER_
		501/5.5.2	$(b64 'Ses\0am')
		235/2.7.0	AUTH PLAIN $PLAIN
	T
	runs 1
}

@test "AUTH: the name and the password of LOGIN are not empty, and hold no NUL" {
	checker 'exit 0'
	for name in '' "$(b64 'ali\0ce')" "$(b64 'alice\0')"; do
		say 'EHLO c.example' 'AUTH LOGIN' "$name" $PASS QUIT
		[[ $(full_codes) = '220 250 334 '*50[01]/5.5.* ]]
		run ! grep -q ^235 out
	done
	said '334 334 501/5.5.2' 'AUTH LOGIN' $USER_ ''
	runs 0
}

@test "AUTH: lines to 12288 octets, longer ones 500 5.5.6, once" {
	checker
	# two octets are the line's end; of 12286 no base64 can be made
	said '334 501/5.5.2 334 500/5.5.6 334 500/5.5.6 250/2.0.0' \
	    'AUTH PLAIN' "$(an_a 12286)" 'AUTH PLAIN' "$(an_a 12287)" \
	    'AUTH PLAIN' "$(an_a 100000)" NOOP
	said '334 334 501/5.5.2 334 334 500/5.5.6 250/2.0.0' \
	    'AUTH LOGIN' $USER_ "$(an_a 12286)" \
	    'AUTH LOGIN' $USER_ "$(an_a 12287)" NOOP
	runs 0
}

@test "AUTH: a line with its initial response may have 12288 octets, too" {
	checker
	# "AUTH PLAIN " has eleven
	said '501/5.5.2 500/5.5.6 250/2.0.0' "AUTH PLAIN $(an_a 12275)" \
	    "AUTH PLAIN $(an_a 12276)" NOOP
	# no other command may
	said '500/5.5.2 500/5.5.2' "NOOP $(an_a 3000)" "AUTHOR $(an_a 3000)"
	runs 0
}

@test "AUTH: the end of input in the exchange is the end of the session" {
	local text
	checker
	for text in 'AUTH PLAIN\r\n' 'AUTH LOGIN\r\n' "AUTH LOGIN\r\n$USER_\r\n" \
	    "AUTH LOGIN $USER_\r\n$PASS" "AUTH PLAIN\r\n$PLAIN" \
	    "AUTH PLAIN\r\n$PLAIN\r" "AUTH LOGIN\r\n$USER_\r\n$PASS\r"; do
		printf 'EHLO c.example\r\n%b' "$text" >in
		send <in
		[[ $(codes) = '220 250 334'?( 334) ]]
		[ "$status" = 1 ]
	done
	# not even of a line that lacks its end
	printf 'EHLO c.example\r\nAUTH PLAIN %s' "$PLAIN" >in
	send <in
	[ "$(codes)" = '220 250' ]
	runs 0
}

@test "AUTH: a client that is silent in the exchange is sent away" {
	checker
	OPTS+=(-t 1)
	connect
	ask 'AUTH LOGIN'
	ask $USER_
	[ "$reply" = 334 ]
	receive
	[ "$reply" = 421/4.4.2 ]
	run ! hangup
	runs 0
}

# ---- the program ----

@test "checkpassword: name, password and time, each with a NUL, and then the end" {
	checker
	said 235/2.7.0 "AUTH PLAIN $PLAIN"
	cp given plain
	said '334 334 235/2.7.0' 'AUTH LOGIN' $USER_ $PASS
	cp given login
	/usr/bin/python3 - plain login <<-'P'
		import re
		import sys
		import time
		for name in sys.argv[1:]:
		    given = open(name, 'rb').read()
		    m = re.fullmatch(rb'alice\0Sesam, 1\0([0-9]{10})\0', given)
		    assert m, given
		    assert abs(int(m[1]) - time.time()) < 60, given
	P
}

@test "checkpassword: any bytes but NUL reach it as they were sent" {
	local all user
	checker 'exit 0'
	all=$(printf '\\x%02x' {1..255})
	# of a name, those that are no control characters
	user="*' \"\\\\$(printf '\\x%02x' {33..91} {93..126} {160..255})"
	said '334 334 235/2.7.0' 'AUTH LOGIN' "$(b64 "$user")" "$(b64 "$all")"
	printf '%b\0' "$user" "$all" >want
	cmp -n "$(wc -c <want)" want given
	run ! grep -qaP '[^\t -~]' log
	said '235/2.7.0' "AUTH PLAIN $(plain '' "$user" "$all")"
	cmp -n "$(wc -c <want)" want given
}

@test "AUTH: a name with a control character is 501 5.5.2, and no program runs" {
	local octets
	local -a controls
	checker 'exit 0'
	read -ra controls <<<"$(printf '\\x%02x ' {1..31} 127)"
	controls+=('\xc2\x80' '\xc2\x85' '\xc2\x9f')
	for octets in "${controls[@]}"; do
		echo "501/5.5.2 AUTH PLAIN $(plain '' "a${octets}b" pw)"
		echo "501/5.5.2 AUTH PLAIN $(plain '' "$octets" pw)"
	done >rows
	[ "$(sort -u rows | wc -l)" = 70 ]
	by_rows 2 'EHLO c.example' <rows
	said '334 334 501/5.5.2 334 501/5.5.2' \
	    'AUTH LOGIN' "$(b64 'a\nb')" "$(b64 pw)" \
	    "AUTH LOGIN $(b64 'a\xc2\x85b')" "$(b64 pw)"
	runs 0
	run ! grep -qaP '[^\t -~]' log
	# NO-BREAK SPACE is none
	said 235/2.7.0 "AUTH PLAIN $(plain '' 'a\xc2\xa0b' pw)"
	runs 1
}

@test "checkpassword: 512 octets at most, with the three NULs" {
	local n
	checker 'exit 0'
	# alice, the time in ten digits, three NULs
	n=$((512 - 5 - 10 - 3))
	said 235/2.7.0 "AUTH PLAIN $(plain '' alice "$(an_a $n)")"
	[ "$(wc -c <given)" = 512 ]
	said '334 235/2.7.0' "AUTH LOGIN $USER_" "$(b64 "$(an_a $n)")"
	[ "$(wc -c <given)" = 512 ]
	runs 2
}

@test "checkpassword: its arguments are split at blanks once, and there is no shell" {
	checker 'printf "%s\n" "$0" "$@" >"$dir/args"'
	OPTS+=(--auth "$PWD/checker one  'two  three'	\$HOME ; * {user} \`id\` >x")
	said 235/2.7.0 "AUTH PLAIN $PLAIN"
	printf '%s\n' "$PWD/checker" one "'two" "three'" "\$HOME" ';' '*' '{user}' \
	    "\`id\`" '>x' | cmp - args
	[ ! -e x ]
}

@test "checkpassword: it is found by PATH, and may be a chain" {
	checker
	mkdir bin
	mv checker bin/check-it
	# what checkpassword does when the password was right
	cat >bin/chain <<-'SH'
		#!/bin/sh
		exec "$@"
	SH
	chmod 755 bin/chain
	PATH=$PWD/bin:$PATH
	OPTS+=(--auth "chain env X=y check-it")
	said 235/2.7.0 "AUTH PLAIN $PLAIN"
	runs 1
}

@test "checkpassword: the connection, the log's words and our descriptors are not its" {
	checker 'echo 235 2.7.0 yes; echo 235 2.7.0 no >&2
		cat <&0 >"$dir/input" 2>&1
		ls /proc/self/fd >"$dir/fds"
		exit 111'
	said '454/4.7.0 250/2.0.0' "AUTH PLAIN $PLAIN" NOOP
	run ! grep -q 235 out
	[ ! -s input ]
	# ls has the directory open, and 3 was not closed by the shell
	cat fds
	[ "$(paste -sd ' ' fds)" = '0 1 2 3 4' ]
}

@test "checkpassword: its signals are the defaults, and the program gets no password elsewhere" {
	# not by a child: the shell blocks signals while it makes one
	checker 'while read -r line; do echo "$line"; done \
		    <"/proc/$$/status" >"$dir/status"
		tr "\\0" "\\n" <"/proc/$$/environ" >"$dir/environ"
		tr "\\0" "\\n" <"/proc/$$/cmdline" >"$dir/cmdline"'
	(trap '' PIPE HUP; said 235/2.7.0 "AUTH PLAIN $PLAIN")
	cat status
	grep -Eq '^SigIgn:[[:space:]]*0*(180000000)?$' status
	grep -q '^SigBlk:[[:space:]]*0*$' status
	run ! grep -qaF -e Sesam -e "$PLAIN" -e "$PASS" environ cmdline
}

@test "checkpassword: one that cannot be run is our fault, 454" {
	OPTS+=(--secured)
	: >no-program
	chmod 644 no-program
	printf '#!/no/such/interpreter\n' >no-interpreter
	chmod 755 no-interpreter
	for p in "$PWD/missing" "$PWD/no-program" "$PWD/no-interpreter" "$PWD" \
	    no-such-name; do
		OPTS+=(--auth "$p")
		said '454/4.7.0 250/2.0.0' "AUTH PLAIN $PLAIN" NOOP
		[ -s log ]
	done
}

@test "checkpassword: one that does not read is not waited for, nor does it end us" {
	OPTS+=(--secured --auth /bin/true)
	said 235/2.7.0 "AUTH PLAIN $PLAIN"
}

@test "checkpassword: a child that it leaves behind does not delay the reply" {
	checker 'sleep 1000 &
		echo $! >"$dir/pid"'
	said 235/2.7.0 "AUTH PLAIN $PLAIN"
	kill "$(<pid)" 2>/dev/null || :
}

@test "checkpassword: temporary failures are no failed tries" {
	checker '[ $(wc -l <"$dir/runs") = 5 ] || exit 111'
	said '454/4.7.0 454/4.7.0 454/4.7.0 454/4.7.0 235/2.7.0' \
	    "AUTH PLAIN $PLAIN" "AUTH PLAIN $PLAIN" "AUTH PLAIN $PLAIN" \
	    "AUTH PLAIN $PLAIN" "AUTH PLAIN $PLAIN"
}

@test "checkpassword: when it takes too long it is killed, with its children, and 454" {
	checker 'sleep 1000 &
		echo $! >"$dir/pid"
		wait'
	: "${HASTY:=$ROOT/smtpd-hasty}"
	SMTPD=$HASTY said '454/4.7.0 250/2.0.0' "AUTH PLAIN $PLAIN" NOOP
	eventually dead "$(<pid)"
}

# dead PID: it is gone, or a zombie that no one waits for
dead() {
	[ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}

# ---- who it is, and what it buys ----

# three_failures: a second each, and the third ends the session
three_failures() {
	local begun=$EPOCHREALTIME took
	checker
	say 'EHLO c.example' "AUTH PLAIN $WRONG" 'AUTH LOGIN' $USER_ \
	    "$(b64 wrong)" "AUTH PLAIN $WRONG" "AUTH PLAIN $PLAIN" QUIT
	took=$((${EPOCHREALTIME/[.,]/} - ${begun/[.,]/}))
	[ "$(full_codes)" = '220 250 535/5.7.8 334 334 535/5.7.8 421/4.7.0' ] ||
	    { cat out; return 1; }
	[ "$status" = 1 ]
	runs 3
	echo "it took $took microseconds"
	[ $took -ge 2500000 ] && [ $took -lt 9000000 ]
}

third_time_lucky() {
	checker
	said '535/5.7.8 535/5.7.8 235/2.7.0' "AUTH PLAIN $WRONG" \
	    "AUTH PLAIN $WRONG" "AUTH PLAIN $PLAIN"
}

# failures are the session's: neither RSET nor EHLO nor a 501 makes them good
forgetful() {
	checker
	say 'EHLO c.example' "AUTH PLAIN $WRONG" RSET 'AUTH CRAM-MD5' \
	    "AUTH PLAIN $WRONG" 'EHLO c.example' 'AUTH PLAIN' '*' \
	    "AUTH PLAIN $WRONG"
	[ "$(full_codes)" = \
	    '220 250 535/5.7.8 250/2.0.0 504/5.5.4 535/5.7.8 250 334 501/5.7.0 421/4.7.0' ]
}

# of pretenders the program is not asked
pretender() {
	checker 'exit 0'
	said '535/5.7.8' "AUTH PLAIN $(plain bob alice 'Sesam, 1')"
	runs 0
	said '535/5.7.8 235/2.7.0' "AUTH PLAIN $(plain Alice alice 'Sesam, 1')" \
	    "AUTH PLAIN $(plain alice alice 'Sesam, 1')"
	runs 1
}

# of one that is too long, neither
too_long() {
	checker 'exit 0'
	# alice, the time in ten digits, three NULs
	said '535/5.7.8 334 535/5.7.8' \
	    "AUTH PLAIN $(plain '' alice "$(an_a $((513 - 5 - 10 - 3)))")" \
	    "AUTH LOGIN $USER_" "$(b64 "$(an_a 9000)")"
	runs 0
}

# who has failed, or cancelled, may not relay, and the log knows the name
stranger() {
	OPTS+=(--secured --auth /bin/false)
	said '535/5.7.8 334 501/5.7.0 250/2.1.0 550/5.7.1' "AUTH PLAIN $PLAIN" \
	    'AUTH PLAIN' '*' 'MAIL FROM:<a@c.example>' 'RCPT TO:<b@no.example>'
	grep -q alice log
}

# nor may they mail at all, where that is required
barred() {
	OPTS+=(--secured --auth /bin/false --require auth)
	said '535/5.7.8 530/5.7.0 334 501/5.7.0 530/5.7.0' "AUTH PLAIN $PLAIN" \
	    'MAIL FROM:<a@c.example>' 'AUTH PLAIN' '*' 'MAIL FROM:<a@c.example>'
}

@test "AUTH: a failure costs a second, the third the connection, and none of them buys a thing" {
	for f in three_failures third_time_lucky forgetful pretender too_long \
	    stranger barred; do
		beside $f $f
	done
	all_passed three_failures third_time_lucky forgetful pretender \
	    too_long stranger barred
}

@test "AUTH: who has said it may send to any domain, and to ours, where mail goes on from here" {
	checker
	by_program
	said '250/2.1.0 550/5.7.1 250/2.1.5 250/2.0.0 235/2.7.0 250/2.1.0 250/2.1.5 250/2.1.5' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<b@no.example>' \
	    'RCPT TO:<u@example.org>' RSET "AUTH PLAIN $PLAIN" \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<b@no.example>' \
	    'RCPT TO:<u@example.org>'
	grep -q 'result=right user="alice"' log
}

@test "AUTH: Received says ESMTPSA, and ESMTPS for who did not" {
	local mail=('MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA
	    'Subject: x' '' x .)
	checker
	said '235/2.7.0 250/2.1.0 250/2.1.5 354 250/2.0.0' "AUTH PLAIN $PLAIN" \
	    "${mail[@]}"
	[[ $(header Received) = *' with ESMTPSA '* ]]
	rm box/new/*
	said '250/2.1.0 250/2.1.5 354 250/2.0.0' "${mail[@]}"
	[[ $(header Received) = *' with ESMTPS '* ]]
	rm box/new/*
	said '235/2.7.0 250/2.1.0 250/2.1.5 354 250/2.0.0' "AUTH PLAIN $PLAIN" \
	    "${mail[0]} SMTPUTF8" "${mail[@]:1}"
	[[ $(header Received) = *' with UTF8SMTPSA '* ]]
}

# sends: the options of smtpd as far as the program, which leaves what it was
# told of the user in the file who
sends() {
	checker 'exit 0'
	OPTS=(-n mx.example -d example.org --spool . "${OPTS[@]:6}" --
	    /bin/sh -c "echo \"\${AUTH_USER:-none}\" >>'$PWD/who'")
}

# letter_of BASE64: the user sends a letter
letter_of() {
	said '235/2.7.0 250/2.1.0 250/2.1.5 354 250/2.0.0' "AUTH PLAIN $1" \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@no.example>' DATA \
	    'Subject: x' '' x .
}

@test "AUTH: the program has the name in AUTH_USER, where it is fit for that" {
	sends
	AUTH_USER=mallory said '250/2.1.0 250/2.1.5 354 250/2.0.0' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA x .
	letter_of "$PLAIN"
	letter_of "$(plain '' "O'Brien \"\$(id)\"" pw)"
	letter_of "$(plain '' 'J\xc3\xb6rg@c.example' pw)"
	letter_of "$(plain '' '() { :; }; id' pw)"
	letter_of "$(plain '' 'a\xffb' pw)"
	letter_of "$(plain '' 'a\xc2' pw)"
	printf '%s\n' none alice "O'Brien \"\$(id)\"" $'J\xc3\xb6rg@c.example' \
	    none none none | cmp - who
}

@test "AUTH: the name is in the log, and no byte of it is raw there" {
	checker 'exit 0'
	said 235/2.7.0 "AUTH PLAIN $PLAIN"
	grep -q alice log
	said 235/2.7.0 "AUTH PLAIN $(plain '' 'a\xc2\xff=" c\\n<3>b' pw)"
	grep -q 'result=right user=' log
	run ! grep -qaP '[^\t -~]' log
	run ! grep -q '^<3>b' log
	[ "$(sed -n 's/.*: \([a-z]*\) .*user=.*/\1/p' log | paste -sd ' ' -)" = 'auth session' ]
	# nor where it is refused
	said 501/5.5.2 "AUTH PLAIN $(plain '' 'a\n<3>b\x1b[1m' pw)"
	grep -q 'reply=501' log
	run ! grep -qaP '[^\t -~]' log
	run ! grep -q '<3>b' log
}

# ---- --require ----

@test "require auth: 530 to what is mail's, before AUTH; all else is free" {
	checker
	OPTS+=(--require auth)
	said '530/5.7.0 530/5.7.0 530/5.7.0 530/5.7.0 530/5.7.0 250/2.0.0 250/2.0.0 214/2.0.0 250 235/2.7.0 252/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA \
	    'VRFY u@example.org' 'EXPN list' NOOP RSET HELP 'EHLO c.example' \
	    "AUTH PLAIN $PLAIN" 'VRFY u@example.org' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA x .
	only_message
}

@test "require auth: 530 to BDAT, too, whose chunk is read and no command" {
	checker
	OPTS+=(--require auth)
	printf '%s\r\n' 'EHLO c.example' 'BDAT 6' QUIT 'BDAT 6 LAST' QUIT NOOP \
	    QUIT >in
	send <in
	[ "$(full_codes)" = '220 250 530/5.7.0 530/5.7.0 250/2.0.0 221/2.0.0' ]
	[ "$status" = 0 ]
}

@test "require tls: 530 to AUTH as well; --secured is as good; both may be asked for" {
	OPTS+=(--auth /bin/true --require tls)
	said '530/5.7.0 530/5.7.0 250/2.0.0' "AUTH PLAIN $PLAIN" \
	    'MAIL FROM:<a@c.example>' NOOP
	OPTS+=(--secured)
	said '250/2.1.0 250/2.0.0 235/2.7.0' 'MAIL FROM:<a@c.example>' RSET \
	    "AUTH PLAIN $PLAIN"
	OPTS+=(--require auth)
	said '530/5.7.0 235/2.7.0 250/2.1.0' 'MAIL FROM:<a@c.example>' \
	    "AUTH PLAIN $PLAIN" 'MAIL FROM:<a@c.example>'
}

@test "require: other words are refused, and so is auth where there is none" {
	OPTS+=(--secured --require password)
	say QUIT
	[ "$status" = 64 ]
	[ ! -s out ]
}

@test "AUTH: the options may stand in a file" {
	checker
	printf '%s\n' "auth $PWD/checker" secured 'require auth' 'require tls' >conf
	OPTS=(-n mx.example -d example.org -m box --config conf)
	said '530/5.7.0 235/2.7.0 250/2.1.0' 'MAIL FROM:<a@c.example>' \
	    "AUTH PLAIN $PLAIN" 'MAIL FROM:<a@c.example>'
}

# ---- where the password is ----

@test "AUTH: the password is not in the log, not even with --verbose" {
	checker
	OPTS+=(--verbose)
	said '334 334 235/2.7.0' 'AUTH LOGIN' $USER_ $PASS
	cat log >>logs
	said "235/2.7.0" "AUTH PLAIN $PLAIN"
	cat log >>logs
	said '334 501/5.7.0 334 235/2.7.0' 'AUTH PLAIN' '*' "AUTH LOGIN $USER_" $PASS
	cat log >>logs
	# nor where the line is refused, in its place or out of it
	said '501/5.5.2 501/5.5.2 235/2.7.0 503/5.5.1' "AUTH PLAIN x$PLAIN" \
	    "AUTH PLAIN $PLAIN=" "AUTH PLAIN $PLAIN" "AUTH PLAIN $PLAIN"
	cat log >>logs
	said '504/5.5.4' "AUTH X-OTHER $PLAIN"
	cat log >>logs
	said '334 501/5.5.2 334 334 501/5.5.2' 'AUTH PLAIN' "$PLAIN=" \
	    'AUTH LOGIN' $USER_ "$PASS="
	cat log >>logs
	say "AUTH PLAIN $PLAIN" QUIT
	cat log >>logs
	# an initial response that the client sends after blanks, or TABs
	said "235/2.7.0" "Auth	plain   $PLAIN"
	cat log >>logs
	OPTS=(-n mx.example -d example.org -m box --auth /bin/true --verbose)
	said '538/5.7.11' "AUTH PLAIN $PLAIN"
	cat log >>logs
	OPTS=(-n mx.example -d example.org -m box --verbose)
	said '502/5.5.1' "AUTH PLAIN $PLAIN"
	cat log >>logs
	grep -q AUTH logs
	run ! grep -aF -e Sesam -e "${PLAIN:0:16}" -e "${PLAIN:8}" -e "${PASS:0:8}" \
	    logs
}

@test "AUTH: a response that comes in pieces, or with the line before, is not logged" {
	checker
	OPTS+=(--verbose)
	printf '%s\r\n' 'EHLO c.example' 'AUTH PLAIN' "$PLAIN" QUIT | drip
	[ "$(full_codes)" = '220 250 334 235/2.7.0 221/2.0.0' ]
	run ! grep -aF -e "${PLAIN:0:16}" -e "${PLAIN:8}" log
	printf '%s\r\n' 'EHLO c.example' "AUTH PLAIN $PLAIN" QUIT | drip 7
	[ "$(full_codes)" = '220 250 235/2.7.0 221/2.0.0' ]
	run ! grep -aF -e "${PLAIN:0:16}" -e "${PLAIN:8}" log
}

# in_memory PID TEXT...: those of the texts that it has in memory it may write
in_memory() {
	/usr/bin/python3 - "$@" <<-'P'
		import sys
		pid, texts = sys.argv[1], [t.encode() for t in sys.argv[2:]]
		found = set()
		seen = 0
		with open(f'/proc/{pid}/maps') as maps, \
		        open(f'/proc/{pid}/mem', 'rb', 0) as mem:
		    for line in maps:
		        fields = line.split()
		        if 'w' not in fields[1]:
		            continue
		        begin, end = (int(x, 16) for x in fields[0].split('-'))
		        mem.seek(begin)
		        try:
		            data = mem.read(end - begin)
		        except OSError:
		            continue
		        seen += len(data)
		        found |= {t for t in texts if t in data}
		assert seen > 10000, seen
		for t in found:
		    print(t.decode())
	P
}

# leaves_nothing LINE...: these said, the last with the reply $WANT, nothing of
# the password is in smtpd's memory, plain or in base64, while it waits; the
# name of the client is, so the search is good
leaves_nothing() {
	local line found
	connect
	for line; do
		ask "$line"
	done
	[ "$reply" = "$WANT" ]
	found=$(in_memory "$server" c.example xyzzy-geheim-4711 geheim \
	    "${b64s[@]}")
	hangup
	[ "$found" = c.example ] || { echo "found: $found"; return 1; }
}

@test "AUTH: the password is in no memory of ours after its use" {
	need_root
	if nm "$SMTPD" | grep -q __asan_init; then
		# what the sanitizer keeps is no part of the program
		SMTPD=$ROOT/smtpd
	fi
	local secret=xyzzy-geheim-4711 plain pass b64s
	plain=$(plain '' alice $secret)
	pass=$(b64 $secret)
	# parts of both, so that one overwritten in front is found as well
	b64s=("${plain:12:12}" "${plain:20}" "${pass:0:12}" "${pass:12:8}")
	checker 'exit 0'
	WANT=235/2.7.0 leaves_nothing "AUTH PLAIN $plain"
	WANT=235/2.7.0 leaves_nothing 'AUTH PLAIN' "$plain"
	WANT=235/2.7.0 leaves_nothing 'AUTH LOGIN' $USER_ "$pass"
	OPTS+=(-v)
	WANT=235/2.7.0 leaves_nothing "AUTH LOGIN $USER_" "$pass"
	OPTS+=(--auth /bin/false)
	WANT=535/5.7.8 leaves_nothing "AUTH PLAIN $plain"
	WANT=535/5.7.8 leaves_nothing 'AUTH LOGIN' $USER_ "$pass"
	# where it is of no use, too
	WANT=501/5.5.2 leaves_nothing "AUTH PLAIN $plain="
	WANT=501/5.5.2 leaves_nothing 'AUTH PLAIN' "$plain="
	WANT=501/5.5.2 leaves_nothing 'AUTH LOGIN' $USER_ "$pass="
	OPTS=(-n mx.example -d example.org -m box --auth /bin/true)
	WANT=538/5.7.11 leaves_nothing "AUTH PLAIN $plain"
}

# ---- by hand ----

@test "AUTH: on a terminal it is offered, LF will do, and Received says ESMTPA" {
	checker
	OPTS=(-n mx.example -d example.org -m box --auth "$PWD/checker")
	py "$SMTPD" "${OPTS[@]}" <<-P
		import os
		import pty
		import select
		import subprocess
		import sys
		import termios

		import talk

		ours, theirs = pty.openpty()
		mode = termios.tcgetattr(theirs)
		mode[3] &= ~termios.ECHO
		termios.tcsetattr(theirs, termios.TCSANOW, mode)
		child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs,
		    stderr=theirs)
		os.close(theirs)
		got = b''

		def until(text):
		    global got
		    while text not in got:
		        assert select.select([ours], [], [], talk.LIMIT)[0], got
		        got += os.read(ours, 4096)
		    got = got[got.index(text) + len(text):]

		until(b'220 ')
		os.write(ours, b'EHLO c.example\n')
		until(b'AUTH PLAIN LOGIN')
		until(b'250 HELP')
		os.write(ours, b'AUTH LOGIN\n')
		until(b'334 ')
		os.write(ours, b'$USER_\n')
		until(b'334 ')
		os.write(ours, b'$PASS\n')
		until(b'235 2.7.0')
		os.write(ours, b'MAIL FROM:<a@c.example>\n')
		until(b'250 2.1.0')
		os.write(ours, b'RCPT TO:<u@example.org>\n')
		until(b'250 2.1.5')
		os.write(ours, b'DATA\n')
		until(b'354')
		os.write(ours, b'Subject: x\n\nx\n.\n')
		until(b'250 2.0.0')
		os.write(ours, b'QUIT\n')
		until(b'221')
		sys.exit(talk.ended(child))
	P
	[[ $(header Received) = *' with ESMTPA '* ]]
}
