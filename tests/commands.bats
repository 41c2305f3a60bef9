# commands.bats - the commands beside MAIL, RCPT and DATA, and lines that are none
# RFC 5321 sections 2.4, 4.1.1.5 to 4.1.1.10, 4.2.4 and 4.5.3.1.4

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# line N [WORD]: a command of N octets with its CRLF, NOOP if not said
line() {
	local word=${2:-NOOP} pad
	printf -v pad "%0$(($1 - ${#word} - 3))d" 0
	printf '%s %s\r\n' "$word" "$pad"
}

@test "commands: RSET, NOOP and QUIT get 250, 250 and 221" {
	launched
	say RSET NOOP QUIT
	[ "$(full_codes)" = '220 250/2.0.0 250/2.0.0 221/2.0.0' ]
	[ "$status" = 0 ]
}

@test "commands: verbs are taken in any case, with blanks behind them" {
	launched
	table 'EHLO c.example' <<-'S'
		250/2.0.0 noop
		250/2.0.0 NoOp
		250/2.0.0 NOOP\x20
		250/2.0.0 RSET\x20\x20
		250/2.0.0 RSET\t
		250/2.0.0 rset \t\x20
		214/2.0.0 help
		252/2.0.0 vrfy u@example.org
		502/5.5.1 expn list
		501/5.5.4 data now
	S
	say 'quit '
	[ "$(codes)" = '220 221' ]
}

@test "commands: an argument to DATA, RSET or QUIT is 501 5.5.4" {
	launched
	table 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' <<-'S'
		501/5.5.4 DATA now
		501/5.5.4 DATA \x20.
		501/5.5.4 RSET it
		501/5.5.4 QUIT it
		501/5.5.4 quit\tit
		250/2.1.5 RCPT TO:<v@example.org>
	S
}

@test "commands: NOOP and HELP take any argument" {
	launched
	table 'EHLO c.example' <<-'S'
		250/2.0.0 NOOP
		250/2.0.0 NOOP x
		250/2.0.0 NOOP RSET MAIL FROM:<a@c.example>
		250/2.0.0 NOOP (%s%n) "$(id)"
		250/2.0.0 NOOP b\xc3\xbccher
		214/2.0.0 HELP
		214/2.0.0 HELP MAIL
		214/2.0.0 HELP no such thing
	S
}

@test "commands: VRFY is 252 2.0.0, and 501 5.5.4 without an argument" {
	launched
	table 'EHLO c.example' <<-'S'
		252/2.0.0 VRFY u@example.org
		252/2.0.0 VRFY <u@example.org>
		501/5.5.4 VRFY
		501/5.5.4 VRFY\x20
	S
}

@test "commands: VRFY is 550 5.1.1 where --users says no" {
	launched
	printf '%s\n' alice bob@example.org >users
	OPTS+=(-u users)
	table 'EHLO c.example' <<-'S'
		252/2.0.0 VRFY alice@example.org
		252/2.0.0 VRFY <alice@example.org>
		252/2.0.0 VRFY alice
		252/2.0.0 VRFY alice+news
		252/2.0.0 VRFY bob@example.org
		252/2.0.0 VRFY postmaster
		550/5.1.1 VRFY nobody
		550/5.1.1 VRFY nobody@example.org
		550/5.1.1 VRFY <nobody@example.org>
	S
}

@test "commands: those that are refused for good get 502 5.5.1" {
	launched
	table 'EHLO c.example' <<-'S'
		502/5.5.1 EXPN staff
		502/5.5.1 EXPN
		502/5.5.1 ETRN example.org
		502/5.5.1 ETRN
		502/5.5.1 TURN
		502/5.5.1 SEND FROM:<a@c.example>
		502/5.5.1 SOML FROM:<a@c.example>
		502/5.5.1 SAML FROM:<a@c.example>
		502/5.5.1 saml
	S
}

@test "commands: SEND, SOML and SAML begin no transaction" {
	say 'EHLO c.example' 'SAML FROM:<a@c.example>' 'RCPT TO:<u@example.org>' QUIT
	[ "$(codes)" = '220 250 502 503 221' ]
}

@test "commands: VERB and ONEX are taken, and change nothing" {
	say 'EHLO c.example' VERB ONEX 'MAIL FROM:<a@c.example>' VERB ONEX \
	    'RCPT TO:<u@example.org>' ONEX DATA x . NOOP QUIT
	[ "$(full_codes)" = '220 250 250/2.0.0 250/2.0.0 250/2.1.0 250/2.0.0 250/2.0.0 250/2.1.5 250/2.0.0 354 250/2.0.0 250/2.0.0 221/2.0.0' ]
}

@test "commands: HELP is 214 2.0.0 and names what may be said now" {
	local word
	launched
	say 'EHLO c.example' HELP QUIT
	[ "$(full_codes)" = '220 250 214/2.0.0 221/2.0.0' ]
	grep '^214' out >help
	for word in MAIL NOOP QUIT; do
		grep -qw "$word" help || { echo "no $word in:"; cat help; false; }
	done
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' HELP QUIT
	grep '^214' out >help
	for word in RCPT RSET QUIT; do
		grep -qw "$word" help || { echo "no $word in:"; cat help; false; }
	done
}

@test "commands: an unknown one is 500 5.5.1" {
	launched
	table 'EHLO c.example' <<-'S'
		500/5.5.1 FOO
		500/5.5.1 FOO bar
		500/5.5.1 MAILS FROM:<a@c.example>
		500/5.5.1 MAI FROM:<a@c.example>
		500/5.5.1 NOO
		500/5.5.1 NOOPS
		500/5.5.1 DATAX
		500/5.5.1 QUITE
		500/5.5.1 .
		500/5.5.1 Subject: x
		500/5.5.1 ;
		500/5.5.? \xff\xfe\xfd
	S
}

@test "commands: an empty line is 500, once" {
	launched
	table 'EHLO c.example' <<-'S'
		500/5.5.?
		500/5.5.? \x20
		500/5.5.? \t\x20\t
		250/2.0.0 NOOP
	S
}

@test "commands: the reply to an unknown one shows nothing of it" {
	launched
	printf 'EHLO c.example\r\nX"<>;%%s\033[2J\r\nZZTOP\xff\r\nQUIT\r\n' >in
	send <in
	[ "$(codes)" = '220 250 500 500 221' ]
	run ! grep -aq '[<>;%]\|ZZTOP' <(sed '/^250-/d' out)
	[ "$(tr -d '\r\n -~' <out | wc -c)" = 0 ]
}

@test "commands: a line of 2048 octets with its CRLF is taken" {
	launched
	{
		line 512
		line 1000
		line 2048
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(full_codes)" = '220 250/2.0.0 250/2.0.0 250/2.0.0 221/2.0.0' ]
}

@test "commands: a longer line is 500 5.5.2, once, and skipped whole" {
	local n bad=0
	launched
	# 2049 and 2050: with or without its CRLF, the first is over
	for n in 2051 2052 2100 4095 4096 4097 4098 8191 8192 8193 16384 32768 \
	    65535 65536 65537 65538 131072 1000000; do
		{
			line "$n"
			printf 'RSET\r\n'
			line "$n" 'MAIL FROM:<a@c.example>'
			printf 'RCPT TO:<u@example.org>\r\nQUIT\r\n'
		} >in
		send <in
		[ "$(full_codes)" = \
		    '220 500/5.5.2 250/2.0.0 500/5.5.2 503/5.5.1 221/2.0.0' ] || {
			echo "$n octets: $(full_codes)"
			bad=1
		}
	done
	[ $bad = 0 ]
}

@test "commands: no part of a long line is taken for a command" {
	local bad=0 n
	launched
	# RSET at every fifth octet, between CRs and LFs
	yes $'RSET\rRSET' | head -n 2000 >long
	for n in 1 2 3 4 5 6 7 8 9; do
		{
			head -c "$n" /dev/zero | tr '\0' X
			cat long
			printf '\r\nNOOP\r\nQUIT\r\n'
		} >in
		send <in
		[ "$(codes)" = '220 500 250 221' ] || {
			echo "shifted by $n: $(codes)"
			bad=1
		}
	done
	[ $bad = 0 ]
}

@test "commands: a long line is the same byte by byte" {
	launched
	{
		line 2048
		line 2051
		line 5000
		printf 'NOOP\r\nQUIT\r\n'
	} | drip
	[ "$(full_codes)" = \
	    '220 250/2.0.0 500/5.5.2 500/5.5.2 250/2.0.0 221/2.0.0' ]
}

@test "commands: NUL and other control bytes are 500 5.5.2, once" {
	local hex
	launched
	{
		for hex in 00 01 02 03 04 05 06 07 08 0a 0b 0c 0d 0e 0f 10 11 12 \
		    13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 7f; do
			printf '500/5.5.2 %s\n' "NOOP a\\x${hex}b" \
			    "NOOP\\x$hex" "\\x${hex}NOOP" "HELO a\\x${hex}b" \
			    "MAIL FROM:<a\\x${hex}@c.example>"
		done
		echo '503/5.5.1 RCPT TO:<u@example.org>'
	} >rows
	table 'EHLO c.example' <rows
}

@test "commands: a bare CR or LF does not end a command" {
	launched
	table 'EHLO c.example' <<-'S'
		500/5.5.2 NOOP\nNOOP
		500/5.5.2 NOOP\rNOOP
		500/5.5.2 NOOP\n\rNOOP
		500/5.5.2 NOOP\r
		500/5.5.2 NOOP\n
		500/5.5.2 NOOP\r\x00
		500/5.5.2 \nNOOP
		500/5.5.2 \rNOOP
		500/5.5.2 QUIT\nQUIT\nQUIT
		500/5.5.2 MAIL FROM:<a@c.example>\nRCPT TO:<u@example.org>\nDATA
		503/5.5.1 RCPT TO:<u@example.org>
		500/5.5.2 MAIL FROM:<a@c.example>\rRCPT TO:<u@example.org>\rDATA
		503/5.5.1 DATA
	S
}

@test "commands: bare CR and LF are the same byte by byte" {
	launched
	printf '%b\r\n' 'EHLO c.example' 'NOOP\nNOOP' 'NOOP\rNOOP' 'NOOP\r' \
	    'NOOP\n' 'QUIT\nQUIT' NOOP QUIT >in
	drip <in
	[ "$(codes)" = '220 250 500 500 500 500 500 250 221' ]
	[ "$status" = 0 ]
}

@test "commands: a whole session is the same in pieces of any size" {
	local n
	launched
	printf '%s\r\n' 'EHLO c.example' NOOP HELP FOO 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' 'RCPT TO:<u@no.example>' '' RSET \
	    'VRFY u@example.org' DATA QUIT >in
	send <in
	mv out want
	[ "$(codes want)" = '220 250 250 214 500 250 250 550 500 250 252 503 221' ]
	for n in 1 2 3 5 7 16 64; do
		drip $n <in
		cmp out want || { echo "in pieces of $n:"; cat out; false; }
	done
}
