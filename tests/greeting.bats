# greeting.bats - the first words: the greeting, HELO, EHLO and its list
# RFC 5321 sections 3.1, 3.2, 4.1.1.1 and 4.3.1; RFC 2034 section 4

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# ehlo: the keywords that EHLO offers, one a line, with their arguments
ehlo() {
	say 'EHLO c.example' QUIT
	sed -n 's/\r$//; s/^250[- ]//p' out | sed 1d
}

@test "greeting: 220, our name, ESMTP, and no version number" {
	say QUIT
	[ "$(codes)" = '220 221' ]
	[ "$(head -n 1 out)" = $'220 mx.example ESMTP ready\r' ]
	[ "$status" = 0 ]
}

@test "greeting: the name is gethostname(2)'s where none is given" {
	OPTS=(-d example.org -m box)
	say QUIT
	[ "$(head -n 1 out)" = "220 $(uname -n) ESMTP ready"$'\r' ]
}

@test "greeting: it does not wait for the client to speak" {
	dialogue <<-'S'
		S: 220 mx.example ESMTP ready
		C: QUIT
		S: 221 2.0.0*
	S
}

@test "greeting: every line of every reply ends in CRLF" {
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' FOO HELP \
	    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' x . QUIT
	[ "$(codes)" = '220 250 250 500 214 250 354 250 221' ]
	[ "$(grep -c $'^[2-5][0-9][0-9][ -][^\r]*\r$' out)" = "$(wc -l <out)" ]
	[ -z "$(tail -c 1 out | tr -d '\n')" ]
}

@test "greeting: no reply line is over 512 octets or beyond ASCII" {
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' HELP FOO \
	    "RCPT TO:<$(printf '%0800d' 0)@example.org>" \
	    "RCPT TO:<$(printf '%0800d' 0)@elsewhere.example>" \
	    "HELO $(printf '%0255d' 0)" "EHLO $(printf '%0255d' 0)" QUIT
	[ "$(codes)" = '220 250 250 214 500 250 550 250 250 221' ]
	awk 'length > 511 { exit 1 }' out
	[ "$(tr -d '\r\n -~' <out | wc -c)" = 0 ]
}

@test "EHLO: the first line names us, and each keyword has a line" {
	say 'EHLO c.example' QUIT
	[ "$(codes)" = '220 250 221' ]
	[[ $(sed -n 2p out) = '250-mx.example'[$' \r']* ]]
	[[ $(grep -c '^250 ' out) = 1 ]]
	[[ $(tail -n 2 out | head -n 1) = '250 '* ]]
	[ "$status" = 0 ]
}

@test "EHLO: offers PIPELINING SIZE 8BITMIME ENHANCEDSTATUSCODES HELP in order" {
	ehlo >list
	grep -Ex 'PIPELINING|SIZE [0-9]+|8BITMIME|ENHANCEDSTATUSCODES|HELP' \
	    list >got
	printf '%s\n' PIPELINING 'SIZE 52428800' 8BITMIME \
	    ENHANCEDSTATUSCODES HELP >want
	cmp got want
}

@test "EHLO: what it offers besides stands in the order of the man page" {
	printf '%s\n' PIPELINING SIZE 8BITMIME SMTPUTF8 CHUNKING STARTTLS \
	    AUTH XCLIENT PRDR LIMITS ENHANCEDSTATUSCODES HELP >order
	ehlo | cut -d ' ' -f 1 >got
	# every keyword is one of these, none comes twice, in this order
	grep -Fxf got order >want
	cmp got want
}

@test "EHLO: offers nothing that cannot be had" {
	ehlo >list
	run ! grep -Eq '^(STARTTLS|AUTH|XCLIENT|BINARYMIME|VRFY|EXPN|ETRN|DSN)' list
}

@test "EHLO: SIZE says the limit that is in force" {
	local row opts want bad=0
	for row in '-s 1000=1000' '-s 1K=1024' '-s 2M=2097152' '-s 0=0' \
	    '--size 77=77' '--size=3K=3072'; do
		want=${row##*=}
		read -ra opts <<<"${row%=*}"
		OPTS=(-n mx.example -d example.org -m box "${opts[@]}")
		ehlo >list
		grep -Fxq "SIZE $want" list || {
			echo "${row%=*}: $(grep SIZE list)"
			bad=1
		}
	done
	[ $bad = 0 ]
}

@test "EHLO: DATABYTES in the environment goes before --size" {
	OPTS+=(-s 1000)
	DATABYTES=500 ehlo >list
	grep -Fxq 'SIZE 500' list
	DATABYTES=0 ehlo >list
	grep -Fxq 'SIZE 0' list
	DATABYTES=2000 ehlo >list
	grep -Fxq 'SIZE 2000' list
}

@test "HELO: one line, and no list" {
	say 'HELO c.example' QUIT
	[ "$(codes)" = '220 250 221' ]
	[ "$(wc -l <out)" = 3 ]
	[[ $(sed -n 2p out) = '250 mx.example'[$' \r']* ]]
}

@test "HELO, EHLO: no argument, or one over 255 octets, is 501" {
	launched
	table <<-S
		501 HELO
		501 EHLO
		501 HELO\x20
		501 EHLO \t\x20
		501 HELO $(printf '%0256d' 0)
		501 EHLO $(printf '%0256d' 0)
		501 EHLO $(printf '%01000d' 0)
		250 HELO $(printf '%0255d' 0)
		250 EHLO $(printf '%0255d' 0)
	S
}

@test "HELO, EHLO: a bad name is no ground for refusal" {
	launched
	table <<-'S'
		250 HELO localhost
		250 HELO under_score.example
		250 HELO -dash-
		250 HELO .
		250 HELO a..b
		250 HELO [192.0.2.9]
		250 HELO [999.0.2.9]
		250 HELO 192.0.2.9
		250 HELO [IPv6:2001:db8::1]
		250 HELO [IPv6:no]
		250 HELO (;&|<>$`)
		250 HELO two words
		250 HELO %s%n%s
		250 EHLO ../../etc/passwd
		250 EHLO "quoted"
		250 EHLO @
		250 EHLO b\xc3\xbccher.example
		250 EHLO \xff\xfe
		250 ehlo Mixed.Case.EXAMPLE
	S
}

@test "HELO: the reply holds nothing that the client could have written there" {
	say $'HELO x"<>()\\;%s' QUIT
	[ "$(codes)" = '220 250 221' ]
	run ! grep -q '[<>"()\\;%]' <(sed -n 2p out)
}

@test "LHLO: 500 where LMTP is not spoken" {
	table 'EHLO c.example' <<-'S'
		500 LHLO c.example
		500 LHLO
	S
}

@test "codes: none in the greeting, in replies to HELO and EHLO, and in 354" {
	say 'HELO c.example' 'EHLO c.example' HELO EHLO "HELO $(printf '%0300d' 0)" \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA x . QUIT
	[ "$(full_codes)" = \
	    '220 250 250 501 501 501 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	# nor on a line that is not the last
	run ! grep -Eq '^(220|354)[ -][245]\.[0-9]+\.[0-9]+' out
	run ! grep -Eq '^(250-|501.)[245]\.[0-9]+\.[0-9]+' out
}

@test "codes: any other reply has one, of its own class, the same on every line" {
	launched
	say 'EHLO c.example' HELP NOOP VRFY 'VRFY u@example.org' 'EXPN x' FOO \
	    'RCPT TO:<u@example.org>' DATA MAIL 'MAIL FROM:<a@b@c>' \
	    'MAIL FROM:<a@c.example> FOO' 'MAIL FROM:<a@c.example> SIZE=x' \
	    'MAIL FROM:<a@c.example> SIZE=999999999' 'MAIL FROM:<a@c.example>' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<>' 'RCPT TO:<u@no.example>' DATA \
	    VERB RSET 'QUIT now' QUIT
	# without the greeting and EHLO's list
	sed '1,/^250 /d; s/\r$//' out >rest
	[ "$(grep -c '^...[ ]' rest)" = 22 ]
	run awk '
		!/^[245][0-9][0-9][ -][245]\.[0-9]+\.[0-9]+( .*)?$/ {
			print "has no code: " $0
		}
		substr($0, 1, 1) != substr($0, 5, 1) {
			print "is of another class: " $0
		}
		{
			split(substr($0, 5), word, " ")
			code = substr($0, 1, 3) word[1]
		}
		more && code != last {
			print "is not the code of the line before: " $0
		}
		{
			more = substr($0, 4, 1) == "-"
			last = code
		}
	' rest
	echo "$output"
	[ -z "$output" ]
}
