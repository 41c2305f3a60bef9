# replies.bats - each reply says in one line what was wrong and what to say instead
# RFC 5321 sections 4.2, 4.5.3.1.5; RFC 2034 section 4; RFC 3463

load helper

# texts: the table of replies, as smtp_parse.c has it: "NAME<TAB>text"
texts() {
	sed -n "/^static const char replies\\[/,/^};/p" "$ROOT/smtp_parse.c" |
	    sed 1d |
	    tr -d '\n' | grep -o '\[[A-Z_0-9]*\][^"]*"[^"]*"' |
	    sed 's/^\[\([A-Z_0-9]*\)\][^"]*"\([^"]*\)"/\1\t\2/'
}

# unlike PATTERN: fail, and show them, if there are lines in `all` that do not match
unlike() {
	! grep -Ev "$1"
}

@test "replies: the table is read whole" {
	texts >all
	[ "$(wc -l <all)" = "$(sed -n '/^static const char replies\[/,/^};/p' \
	    "$ROOT/smtp_parse.c" | grep -c '^	\[')" ]
	[ "$(wc -l <all)" -gt 80 ]
	# each name that the program says has a text
	sed -n '/^	SAY_NONE = SMTP_ANSWERS,/,/SAYINGS/s/^	\(SAY_[A-Z_0-9]*\),.*/\1/p' \
	    "$ROOT/smtp_parse.c" | grep -v '^SAY_ASK$' | sort >names
	cut -f 1 all | grep '^SAY_' | sort | cmp - names
}

@test "replies: a text is printable ASCII, not long, and has no number of a version" {
	texts | cut -f 2 >all
	run ! grep -v '^[ -~]\{4,70\}$' all
	run ! grep -E "$(sed -n 's/^VERSION *= *//p' "$ROOT/Makefile" | sed 's/\./\\./g')( |$)" all
	run ! grep -i 'smtpd' all
}

@test "replies: an enhanced code is of its reply's class, and none is where none may be" {
	texts | cut -f 2 >all
	# the greeting, HELO, EHLO, LHLO and 3xx have none
	grep -v '^\(\([245]\)[0-9][0-9] \2\.[0-9]\.[0-9]* [ -~]*\)$' all >bare || true
	unlike '^(220 |250 |250 HELP|3[0-9][0-9] .*|500 (SMTP|LMTP) is .*|501 Your name .*)$' <bare
}

@test "replies: two that differ in meaning differ in words" {
	texts | cut -f 2 | sed 's/^[0-9]* \([0-9]\.[0-9.]* \)*//' | grep . | sort | uniq -d >twice
	cat twice
	[ ! -s twice ]
}

@test "replies: each refusal says what is wrong, and what to do" {
	texts | cut -f 2 | grep '^[45]' >all
	# which of them are told in full by command_reply() is the next test's
	grep -Ev 'Argument missing|Syntax error|No chunk size|Strictly taken' all |
	    unlike ': [A-Za-z<]|, try again later$|^501 Your name must follow'
}

@test "replies: a command that lacks something is told how it goes, each by its own example" {
	say 'EHLO c.example' MAIL 'MAIL x' 'MAIL FROM:<> =' RCPT 'VRFY' 'VRFY a b' 'BDAT x' >out
	grep '^501' out | sed 's/.*: say \(.*\)\r$/\1/' >examples
	printf '%s\n' 'MAIL FROM:<you@example.org>' 'MAIL FROM:<you@example.org>' \
	    'MAIL FROM:<you@example.org>' 'VRFY them@example.org' \
	    'VRFY them@example.org' 'BDAT 1000 LAST' >want
	grep -v '^RCPT' examples | cmp - want
	# what it is told to say is taken
	say 'EHLO c.example' "$(head -1 examples)" 'RCPT TO:<them@example.org>' \
	    'VRFY them@example.org' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 252/2.0.0 221/2.0.0' ]
}

@test "replies: what is out of order is told what comes first, and that does it" {
	launched
	OPTS+=(-a true --secured)
	say 'EHLO c.example' DATA 'RCPT TO:<u@example.org>' 'MAIL FROM:<>' 'MAIL FROM:<>' \
	    'AUTH PLAIN AHUAcA==' RSET 'AUTH PLAIN AHUAcA==' 'AUTH PLAIN AHUAcA==' QUIT
	grep '^503' out | sed 's/\r$//' >got
	cat >want <<-'T'
		503 5.5.1 No recipient yet: MAIL and RCPT first
		503 5.5.1 No sender yet: MAIL first
		503 5.5.1 A sender was given already: say RCPT, or RSET
		503 5.5.1 Not the time for AUTH: EHLO, AUTH, then MAIL
		503 5.5.1 You are authenticated already: say MAIL
	T
	cmp got want
}
