# dsn.bats - the parameters of delivery reports come unasked, and are taken
# RFC 3461 sections 4.1 to 4.4; RFC 5321 section 4.1.1.11

load helper

A='MAIL FROM:<a@c.example>'

@test "dsn: it is not offered" {
	launched
	say 'EHLO c.example' QUIT
	[ "$(codes)" = '220 250 221' ]
	run ! grep -qi dsn out
}

@test "dsn: RET and ENVID are taken on MAIL, with any value that is one" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example> RET=FULL
		250/2.1.0 MAIL FROM:<a@c.example> RET=HDRS
		250/2.1.0 MAIL FROM:<a@c.example> ret=hdrs
		250/2.1.0 MAIL FROM:<a@c.example> RET=SOMETHING
		250/2.1.0 MAIL FROM:<> RET=FULL
		250/2.1.0 MAIL FROM:<a@c.example> ENVID=QQ314159
		250/2.1.0 MAIL FROM:<a@c.example> EnvId=a+2Bb+3Dc
		250/2.1.0 MAIL FROM:<a@c.example> ENVID=no+xtext
		250/2.1.0 MAIL FROM:<a@c.example> ENVID=!\x22#$%&'()*+,-./:;<>?@[\\]^_`{|}~
		250/2.1.0 MAIL FROM:<a@c.example> ENVID=x RET=HDRS
		250/2.1.0 MAIL FROM:<a@c.example> RET=HDRS ENVID=x BODY=8BITMIME SIZE=5
		250/2.1.0 MAIL FROM:<a@c.example> SMTPUTF8 ENVID=x SIZE=5
	S
	printf 'ENVID=%0500d\n' 0 >long
	AFTER=RSET table 'EHLO c.example' <<<"250/2.1.0 $A $(<long)"
}

@test "dsn: NOTIFY and ORCPT are taken on RCPT, with any value that is one" {
	launched
	table 'EHLO c.example' "$A" <<-'S'
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=NEVER
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=SUCCESS
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=SUCCESS,FAILURE,DELAY
		250/2.1.5 RCPT TO:<u@example.org> notify=delay,failure
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=NEVER,SUCCESS
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=SOMETIMES
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=,
		250/2.1.5 RCPT TO:<u@example.org> ORCPT=rfc822;Bob@Example.ORG
		250/2.1.5 RCPT TO:<u@example.org> ORCPT=rfc822;u+2Bx@example.org
		250/2.1.5 RCPT TO:<u@example.org> ORCPT=utf-8;d\\x{F6}rte@example.org
		250/2.1.5 RCPT TO:<u@example.org> ORCPT=x400;/S+3Du/O+3Dorg/
		250/2.1.5 RCPT TO:<u@example.org> orcpt=nothing
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=NEVER ORCPT=rfc822;u
		250/2.1.5 RCPT TO:<u@example.org>   ORCPT=rfc822;u  NOTIFY=NEVER\x20\x20
	S
}

@test "dsn: without a value, with two, or twice, each is 501 5.5.4" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		501/5.5.4 MAIL FROM:<a@c.example> RET
		501/5.5.4 MAIL FROM:<a@c.example> RET=
		501/5.5.4 MAIL FROM:<a@c.example> RET=FULL=HDRS
		501/5.5.4 MAIL FROM:<a@c.example> RET=FULL RET=FULL
		501/5.5.4 MAIL FROM:<a@c.example> ENVID
		501/5.5.4 MAIL FROM:<a@c.example> ENVID=
		501/5.5.4 MAIL FROM:<a@c.example> ENVID=a=b
		501/5.5.4 MAIL FROM:<a@c.example> ENVID=a envid=b
		501/5.5.4 MAIL FROM:<a@c.example> RET = FULL
		501/5.5.4 MAIL FROM:<a@c.example> RET=\x20FULL
	S
	table 'EHLO c.example' "$A" <<-'S'
		501/5.5.4 RCPT TO:<u@example.org> NOTIFY
		501/5.5.4 RCPT TO:<u@example.org> NOTIFY=
		501/5.5.4 RCPT TO:<u@example.org> NOTIFY=NEVER=NEVER
		501/5.5.4 RCPT TO:<u@example.org> NOTIFY=NEVER NOTIFY=NEVER
		501/5.5.4 RCPT TO:<u@example.org> ORCPT
		501/5.5.4 RCPT TO:<u@example.org> ORCPT=
		501/5.5.4 RCPT TO:<u@example.org> ORCPT=rfc822;a=b
		501/5.5.4 RCPT TO:<u@example.org> ORCPT=a orcpt=b
		501/5.5.4 RCPT TO:<u@example.org>NOTIFY=NEVER
		250/2.1.5 RCPT TO:<u@example.org>
	S
}

@test "dsn: control octets in a value are 500 5.5.2, as in any line" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		500/5.5.2 MAIL FROM:<a@c.example> ENVID=a\x01b
		500/5.5.2 MAIL FROM:<a@c.example> ENVID=a\x00
		500/5.5.2 MAIL FROM:<a@c.example> ENVID=a\x7f
		500/5.5.2 MAIL FROM:<a@c.example> RET=a\nRCPT
	S
}

@test "dsn: MAIL's are not RCPT's, nor the other way: 555 5.5.4" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		555/5.5.4 MAIL FROM:<a@c.example> NOTIFY=NEVER
		555/5.5.4 MAIL FROM:<a@c.example> ORCPT=rfc822;u
	S
	table 'EHLO c.example' "$A" <<-'S'
		555/5.5.4 RCPT TO:<u@example.org> RET=FULL
		555/5.5.4 RCPT TO:<u@example.org> ENVID=x
	S
}

@test "dsn: what other extensions ask for is not promised: 555 5.5.4" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		555/5.5.4 MAIL FROM:<a@c.example> HOLDFOR=60
		555/5.5.4 MAIL FROM:<a@c.example> HOLDUNTIL=2026-01-01T00:00:00Z
		555/5.5.4 MAIL FROM:<a@c.example> BY=120;R
		555/5.5.4 MAIL FROM:<a@c.example> by=120;nt
		555/5.5.4 MAIL FROM:<a@c.example> MT-PRIORITY=3
		555/5.5.4 MAIL FROM:<a@c.example> MT-PRIORITY=-9
		555/5.5.4 MAIL FROM:<a@c.example> REQUIRETLS
		555/5.5.4 MAIL FROM:<a@c.example> RET=FULL REQUIRETLS
		555/5.5.4 MAIL FROM:<a@c.example> TRANSID=<1@c.example>
		555/5.5.4 MAIL FROM:<a@c.example> SUBMITTER=a@c.example
		555/5.5.4 MAIL FROM:<a@c.example> SOLICIT=org.example:ADV:ADLT
		555/5.5.4 MAIL FROM:<a@c.example> CONPERM
		555/5.5.4 MAIL FROM:<a@c.example> ALT-ADDRESS=a@c.example
		555/5.5.4 MAIL FROM:<a@c.example> XFOO=1
	S
	table 'EHLO c.example' "$A" <<-'S'
		555/5.5.4 RCPT TO:<u@example.org> RRVS=2026-01-01T00:00:00Z
		555/5.5.4 RCPT TO:<u@example.org> CONNEG
		555/5.5.4 RCPT TO:<u@example.org> NOTIFY=NEVER XFOO=1
		555/5.5.4 RCPT TO:<u@example.org> XFOO=1 NOTIFY
	S
}

@test "dsn: they are logged and change nothing: no report, and one message" {
	launched
	printf 'Subject: x\n\nhello\n' >want
	say 'EHLO c.example' "$A RET=HDRS ENVID=QQ\"31\\4" \
	    'RCPT TO:<u@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y' \
	    DATA 'Subject: x' '' hello . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	stored_is want
	[ "$(count box)" = 1 ]
	[ "$(header Return-Path)" = '<a@c.example>' ]
	grep -q 'ENVID=' log
	grep -q 'RET=HDRS' log
	grep -q 'NOTIFY=SUCCESS,DELAY' log
	grep -q 'ORCPT=rfc822;x@y' log
	# a quote does not end its value in the log
	run ! grep -qF 'QQ"31' log
}

@test "dsn: nothing is logged of them where there are none, or MAIL is refused" {
	launched
	say 'EHLO c.example' "$A" 'RCPT TO:<u@example.org>' DATA x . \
	    'MAIL FROM:<a@c.example> RET=HDRS FOO' QUIT
	[ "$(codes)" = '220 250 250 250 354 250 555 221' ]
	run ! grep -q '^[^ ]* *dsn' log
}

@test "dsn: NOTIFY=NEVER asks for silence towards the sender, not the recipient" {
	launched
	say 'EHLO c.example' "$A" 'RCPT TO:<u@example.org> NOTIFY=NEVER' \
	    'RCPT TO:<u@no.example> NOTIFY=NEVER' DATA x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 550/5.7.1 354 250/2.0.0 221/2.0.0' ]
	[ "$(count box/new)" = 1 ]
}
