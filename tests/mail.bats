# mail.bats - MAIL FROM: every reply it can get, and what it stores
# RFC 5321 sections 4.1.1.2 and 4.1.2; RFC 1870, 6152, 3461, 2034

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# return_paths: the Return-Path of a message sent after each MAIL line on
# standard input, sorted
return_paths() {
	local line
	rm -f box/new/*
	{
		printf 'EHLO c.example\r\n'
		while IFS= read -r line; do
			printf '%b\r\n' "$line"
			printf '%s\r\n' 'RCPT TO:<u@example.org>' DATA x .
		done
		printf 'QUIT\r\n'
	} >in
	send <in
	cat box/new/* | sed -n 's/^Return-Path: //p' | sort
}

@test "MAIL: an ordinary sender, and the null one" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example>
		250/2.1.0 MAIL FROM:<>
		250/2.1.0 MAIL FROM:<a.b-c+d=e@sub.c-1.example>
		250/2.1.0 MAIL FROM:<!#$%&'*+/=?^_`{|}~-@c.example>
		250/2.1.0 MAIL FROM:<"a b"@c.example>
		250/2.1.0 MAIL FROM:<"a\\"b\\\\c"@c.example>
		250/2.1.0 MAIL FROM:<"a@b>c"@c.example>
		250/2.1.0 MAIL FROM:<""@c.example>
		250/2.1.0 MAIL FROM:<a@[192.0.2.1]>
		250/2.1.0 MAIL FROM:<a@[IPv6:2001:db8::1]>
		250/2.1.0 MAIL FROM:<a@[IPv6:::ffff:192.0.2.1]>
		250/2.1.0 MAIL FROM:<a@tag-1.example>
		250/2.1.0 MAIL FROM:<a@localhost>
		250/2.1.0 MAIL FROM:<a%b@c.example>
		250/2.1.0 MAIL FROM:<b!a@c.example>
	S
}

@test "MAIL: sendmail's variations are all taken" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM: <a@c.example>
		250/2.1.0 MAIL FROM:\t <a@c.example>
		250/2.1.0 MAIL   FROM:<a@c.example>
		250/2.1.0 MAIL\tFROM:<a@c.example>
		250/2.1.0 mail from:<a@c.example>
		250/2.1.0 mAiL fRoM:<a@c.example>
		250/2.1.0 MAIL FROM:a@c.example
		250/2.1.0 MAIL FROM: a@c.example
		250/2.1.0 MAIL FROM:<a@c.example>\x20
		250/2.1.0 MAIL FROM:<a@c.example>\x20\t\x20
		250/2.1.0 MAIL FROM:<a@c.example.>
		250/2.1.0 MAIL FROM:Full Name <a@c.example>
		250/2.1.0 MAIL FROM: "Name, Full" <a@c.example>
		250/2.1.0 MAIL FROM:<@r.example:a@c.example>
		250/2.1.0 MAIL FROM:<@r.example,@s.example:a@c.example>
		250/2.1.0 MAIL FROM:<a>
		250/2.1.0 MAIL FROM:a
		250/2.1.0 MAIL FROM: <>
		250/2.1.0 MAIL FROM:a@c.example SIZE=100
		250/2.1.0 MAIL FROM:Full Name <a@c.example> SIZE=100
		250/2.1.0 MAIL FROM:<a@c.example>  SIZE=100\t BODY=8BITMIME
	S
}

@test "MAIL: each variation is stored as the address that is meant" {
	return_paths >got <<-'S'
		MAIL FROM:<a@c.example>
		mail from: \t a@c.example\x20\x20
		MAIL FROM:<a@c.example.>
		MAIL FROM:Full Name <a@c.example>
		MAIL FROM:"A \\"name\\" <b@d.example>" <a@c.example> SIZE=1
		MAIL FROM:<@r.example,@s.example:a@c.example>
		MAIL FROM:a@c.example BODY=8BITMIME
	S
	for _ in 1 2 3 4 5 6 7; do echo '<a@c.example>'; done >want
	cmp got want
}

@test "MAIL: what is stored is the address as it was sent" {
	return_paths >got <<-'S'
		MAIL FROM:<"a b"@c.example>
		MAIL FROM:<"\\"q\\\\"@c.example>
		MAIL FROM:<a@[192.0.2.1]>
		MAIL FROM:<Mixed+Case@c.example>
		MAIL FROM:<>
	S
	sort >want <<-'S'
		<"a b"@c.example>
		<"\"q\\"@c.example>
		<a@[192.0.2.1]>
		<Mixed+Case@c.example>
		<>
	S
	cmp got want
}

@test "MAIL: an address without a domain gets the first plain --domain" {
	OPTS=(-n mx.example -d .sub.example -d '*' -d first.example
	    -d second.example -m box)
	[ "$(return_paths <<<'MAIL FROM:<bob>')" = '<bob@first.example>' ]
	[ "$(return_paths <<<'MAIL FROM:bob SIZE=5')" = '<bob@first.example>' ]
	[ "$(return_paths <<<'MAIL FROM:<"b b">')" = '<"b b"@first.example>' ]
}

@test "MAIL: what is not its syntax is 501 5.5.4" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		501/5.5.4 MAIL
		501/5.5.4 MAIL\x20
		501/5.5.4 MAIL FROM
		501/5.5.4 MAIL FROM <a@c.example>
		501/5.5.4 MAIL <a@c.example>
		501/5.5.4 MAIL TO:<a@c.example>
		501/5.5.4 MAIL FROMAGE:<a@c.example>
		501/5.5.4 MAIL FROM:<a@c.example>SIZE=1
		501/5.5.4 MAIL FROM:<a@c.example>>
	S
}

@test "MAIL: a bad address is 501 5.1.7" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-S
		501/5.1.7 MAIL FROM:<a@c.example
		501/5.1.7 MAIL FROM:<@c.example>
		501/5.1.7 MAIL FROM:<a@>
		501/5.1.7 MAIL FROM:<a@.>
		501/5.1.7 MAIL FROM:<a@c..example>
		501/5.1.7 MAIL FROM:<a@.c.example>
		501/5.1.7 MAIL FROM:<a@c.example..>
		501/5.1.7 MAIL FROM:<a@-c.example>
		501/5.1.7 MAIL FROM:<a@c.ex(ample)>
		501/5.1.7 MAIL FROM:<a@c ex>
		501/5.1.7 MAIL FROM:<a b@c.example>
		501/5.1.7 MAIL FROM:<a@b@c.example>
		501/5.1.7 MAIL FROM:<a,b@c.example>
		501/5.1.7 MAIL FROM:<a;b@c.example>
		501/5.1.7 MAIL FROM:<(a)@c.example>
		501/5.1.7 MAIL FROM:<"a@c.example>
		501/5.1.7 MAIL FROM:<"a"b@c.example>
		501/5.1.7 MAIL FROM:<"a\\\\"@c.example>
		501/5.1.7 MAIL FROM:<<a@c.example>>
		501/5.1.7 MAIL FROM:<a@[192.0.2.256]>
		501/5.1.7 MAIL FROM:<a@[192.0.2]>
		501/5.1.7 MAIL FROM:<a@[192.0.2.1>
		501/5.1.7 MAIL FROM:<a@192.0.2.1]>
		501/5.1.7 MAIL FROM:<a@[IPv6:2001:db8:::1]>
		501/5.1.7 MAIL FROM:<a@[IPv6:1:2:3:4:5:6:7]>
		501/5.1.7 MAIL FROM:<a@[]>
		501/5.1.7 MAIL FROM:<@r.example,a@c.example>
		501/5.1.7 MAIL FROM:<@r..example:a@c.example>
		501/5.1.7 MAIL FROM:<;touch\x20x;>
		501/5.1.7 MAIL FROM:<a@$(printf '%0260d' 0)>
		501/5.1.7 MAIL FROM:
	S
}

@test "MAIL: an address of 900 octets is taken, one of 901 is 501 5.1.7" {
	local n l900
	n=$((900 - 10))		# less "@c.example"
	printf -v l900 "%0${n}d" 0
	AFTER=RSET table 'EHLO c.example' <<-S
		250/2.1.0 MAIL FROM:<${l900:0:64}@c.example>
		250/2.1.0 MAIL FROM:<${l900:0:65}@c.example>
		250/2.1.0 MAIL FROM:<${l900:0:300}@c.example>
		250/2.1.0 MAIL FROM:<$l900@c.example>
		250/2.1.0 MAIL FROM:<$l900@c.example> SIZE=1
		501/5.1.7 MAIL FROM:<0$l900@c.example>
		501/5.1.7 MAIL FROM:<$l900$l900@c.example>
	S
	[ "$(return_paths <<<"MAIL FROM:<$l900@c.example>")" = \
	    "<$l900@c.example>" ]
}

@test "MAIL: a parameter not known is 555 5.5.4" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		555/5.5.4 MAIL FROM:<a@c.example> FOO
		555/5.5.4 MAIL FROM:<a@c.example> FOO=BAR
		555/5.5.4 MAIL FROM:<a@c.example> SIZE=1 FOO=BAR
		555/5.5.4 MAIL FROM:<a@c.example> SIZES=1
		555/5.5.4 MAIL FROM:<a@c.example> NOTIFY=NEVER
		555/5.5.4 MAIL FROM:<> X-1=!~
	S
}

@test "MAIL: parameters that are none are 501 5.5.4" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		501/5.5.4 MAIL FROM:<a@c.example> =
		501/5.5.4 MAIL FROM:<a@c.example> =1
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=1=2
		501/5.5.4 MAIL FROM:<a@c.example> -X=1
		501/5.5.4 MAIL FROM:<a@c.example> (x)
		501/5.5.4 MAIL FROM:<a@c.example> <b@c.example>
	S
}

@test "MAIL: a known parameter with a bad value is 501 5.5.4" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		501/5.5.4 MAIL FROM:<a@c.example> SIZE
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=x
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=-1
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=+1
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=1K
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=0x10
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=123456789012345678901
		501/5.5.4 MAIL FROM:<a@c.example> SIZE=000000000000000000001
		501/5.5.4 MAIL FROM:<a@c.example> BODY
		501/5.5.4 MAIL FROM:<a@c.example> BODY=
		501/5.5.4 MAIL FROM:<a@c.example> BODY=9BIT
	S
}

@test "MAIL: known parameters with good values, in any case" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example> SIZE=0
		250/2.1.0 MAIL FROM:<a@c.example> size=1000
		250/2.1.0 MAIL FROM:<a@c.example> SIZE=00000000000000000001
		250/2.1.0 MAIL FROM:<a@c.example> BODY=7BIT
		250/2.1.0 MAIL FROM:<a@c.example> BODY=8BITMIME
		250/2.1.0 MAIL FROM:<a@c.example> body=8bitmime
		250/2.1.0 MAIL FROM:<a@c.example> BODY=8BITMIME SIZE=12
		250/2.1.0 MAIL FROM:<> SIZE=12
	S
}

@test "MAIL: DSN's RET and ENVID are taken though not offered" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example> RET=HDRS
		250/2.1.0 MAIL FROM:<a@c.example> ret=full
		250/2.1.0 MAIL FROM:<a@c.example> ENVID=QQ314159
		250/2.1.0 MAIL FROM:<a@c.example> ENVID=a+2Bb+3Dc
		250/2.1.0 MAIL FROM:<a@c.example> RET=FULL ENVID=x SIZE=5 BODY=7BIT
	S
}

@test "MAIL: SIZE over the limit is 552 5.3.4, at the limit it is taken" {
	launched
	OPTS+=(-s 1000)
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example> SIZE=999
		250/2.1.0 MAIL FROM:<a@c.example> SIZE=1000
		552/5.3.4 MAIL FROM:<a@c.example> SIZE=1001
		552/5.3.4 MAIL FROM:<a@c.example> SIZE=4294967297
		552/5.3.4 MAIL FROM:<a@c.example> SIZE=18446744073709551617
		552/5.3.4 MAIL FROM:<a@c.example> SIZE=99999999999999999999
	S
}

@test "MAIL: DATABYTES goes before --size" {
	launched
	OPTS+=(-s 1000)
	export DATABYTES=500
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example> SIZE=500
		552/5.3.4 MAIL FROM:<a@c.example> SIZE=501
	S
	DATABYTES=5000
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example> SIZE=5000
		552/5.3.4 MAIL FROM:<a@c.example> SIZE=5001
	S
	DATABYTES=0
	AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example> SIZE=1000000
	S
}

@test "MAIL: SIZE over the free space is 452 4.3.1" {
	launched
	OPTS+=(-s 0)
	STATUS=75 AFTER=RSET table 'EHLO c.example' <<-'S'
		250/2.1.0 MAIL FROM:<a@c.example> SIZE=1000
		452/4.3.1 MAIL FROM:<a@c.example> SIZE=9223372036854775807
		452/4.3.1 MAIL FROM:<a@c.example> SIZE=99999999999999999999
	S
}

@test "MAIL: non-ASCII without SMTPUTF8 is 550 5.6.7" {
	launched
	AFTER=RSET table 'EHLO c.example' <<-'S'
		550/5.6.7 MAIL FROM:<\xc3\xa4@c.example>
		550/5.6.7 MAIL FROM:<a@b\xc3\xbccher.example>
		550/5.6.7 MAIL FROM:<"\xc3\xa4"@c.example>
	S
}

@test "MAIL: a refused one leaves no trace of itself" {
	say 'EHLO c.example' 'MAIL FROM:<b@c.example> FOO=1' \
	    'MAIL FROM:<b@c.example> SIZE=x' 'MAIL FROM:<b@@>' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA x . QUIT
	[ "$(codes)" = '220 250 555 501 501 250 250 354 250 221' ]
	[ "$(header Return-Path)" = '<a@c.example>' ]
}
