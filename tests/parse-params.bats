# parse-params.bats - the parameters of MAIL, RCPT and BDAT, as the parser
# reads them.  RFC 5321 section 4.1.2; RFC 1870, 3030, 3461, 4954, 6152, 6531
#
# A row is input, verdict, reason; parse_driver.c says how octets are written.

# shellcheck disable=SC2030,SC2031,SC2154 # each, of parse.bash, sets x, c and i
load parse

@test "MAIL parameters: SIZE is 1 to 20 digits" {
	"$DRIVER" mail <<-'S'
		SIZE=0				ok size=0			the least
		SIZE=1000			ok size=1000			a number
		size=1000			ok size=1000			lower case
		SIZE=007			ok size=7			leading zeros
		SIZE=00000000000000000001	ok size=1			20 digits of them
		SIZE=18446744073709551615	ok size=18446744073709551615	the most 64 bits hold
		SIZE=18446744073709551616	ok size=18446744073709551615	one more: that or more
		SIZE=99999999999999999999	ok size=18446744073709551615	the most 20 digits hold
		SIZE=000000000000000000001	value				21 digits
		SIZE=100000000000000000000	value				21 digits, and a great number
		SIZE=-1				value				a sign
		SIZE=+1				value				the other one
		SIZE=0x10			value				hexadecimal
		SIZE=1K				value				a suffix
		SIZE=1.5			value				a fraction
		SIZE=\xb2			value				a digit only to some
		SIZE=\xd9\xa1			value				a digit of another script
		SIZE				value				no number
		SIZE=				syntax				an esmtp-value has one octet at least
		SIZE==1				syntax				and no "=" in it
		SIZE=1=1			syntax				behind another one neither
		SIZE =1				value				a blank before "=": SIZE has no value
		SIZE= 1				syntax				a blank behind it
		SIZE=1\x00			syntax				NUL is no end
		SIZE=1\x002			syntax				nor in the middle
	S
}

@test "MAIL parameters: BODY is 7BIT or 8BITMIME" {
	"$DRIVER" mail <<-'S'
		BODY=7BIT		ok	RFC 6152
		BODY=8BITMIME		ok	RFC 6152
		body=8bitmime		ok	lower case
		BODY=8BIT		value	not quite
		BODY=8BITMIMEX		value	too much
		BODY=BINARYMIME		value	RFC 3030, not offered
		BODY=7BIT,8BITMIME	value	a list
		BODY			value	none
		BODY=			syntax	an empty one
	S
}

@test "MAIL parameters: SMTPUTF8 has no value" {
	"$DRIVER" mail <<-'S'
		SMTPUTF8	ok utf8	RFC 6531, 3.4
		smtputf8	ok utf8	lower case
		SMTPUTF8=1	value	a value
		SMTPUTF8=	syntax	an empty one
		SMTPUTF		unknown	not quite
		SMTPUTF88	unknown	too much
	S
}

@test "MAIL parameters: RET and ENVID are known, and told as DSN" {
	"$DRIVER" mail <<-'S'
		RET=FULL		ok dsn	RFC 3461, 4.3
		RET=HDRS		ok dsn	RFC 3461, 4.3
		ret=hdrs		ok dsn	lower case
		RET=any			ok dsn	what is ignored is not judged
		ENVID=QQ314159		ok dsn	RFC 3461, 4.4
		ENVID=a+20b		ok dsn	xtext
		RET=FULL ENVID=x	ok dsn	both
		RET			value	no value
		ENVID			value	no value
		ENVID=			syntax	an empty one
	S
}

@test "MAIL parameters: PRDR is known only where it is offered" {
	"$DRIVER" mail <<-'S'
		PRDR		unknown	a reply for each recipient
		SIZE=1 PRDR	unknown	behind one that is known
	S
	"$DRIVER" mail PRDR <<-'S'
		PRDR	ok prdr	offered
		prdr	ok prdr	lower case
		PRDR=1	value	it has no value
	S
}

@test "MAIL parameters: AUTH is taken with any value, and told where that is no xtext" {
	"$DRIVER" mail <<-'S'
		AUTH=<>			ok	RFC 4954, 5: nobody in particular
		AUTH=a+2Bb@c.example	ok	somebody
		auth=<>			ok	lower case
		AUTH=<john+tag@c.example>	ok auth-parameter	"+" is to be +2B
		AUTH=a+			ok auth-parameter	at the end
		AUTH=a+0Ab		ok auth-parameter	a control character in hexadecimal
		AUTH=a=b		ok auth-parameter	"=" is to be +3D
		AUTH==			ok auth-parameter	nothing else
		AUTH=			ok auth-parameter	an empty one
		AUTH			ok auth-parameter	none
		AUTH= SIZE=1		ok size=1 auth-parameter	and another parameter
		AUTH=a=b\tSIZE=1	ok size=1 auth-parameter	behind a TAB
		SIZE=1 AUTH=<>		ok size=1	behind another
		AUTH=<a b>		syntax		a blank ends it
		AUTHX=a=b		syntax		another keyword's value has no "="
		AUTH-X=<>		unknown		another keyword
		AUTH=a\x00		syntax		NUL
		AUTH=a\x7f		syntax		DEL
		AUTH<>			syntax		no "="
		AUTH= AUTH=		value		twice
		AUTH AUTH=<>		value		twice
	S
	"$DRIVER" mail PRDR <<-'S'
		PRDR AUTH=<> SIZE=5	ok size=5 prdr	both
	S
}

@test "MAIL parameters: any number in any order, with blanks between" {
	"$DRIVER" mail <<-'S'
		\e				ok			none
		\s \t				ok			blanks only
		SIZE=1 BODY=7BIT		ok size=1		two
		BODY=7BIT SIZE=1		ok size=1		the other way
		SIZE=1 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x	ok size=1 utf8 dsn	all
		\s SIZE=1 \t BODY=7BIT\s\s	ok size=1		many blanks
		SIZE=1,BODY=7BIT		syntax			a comma
		SIZE=1;SMTPUTF8			value			a semicolon is no blank, but of the value
		SIZE=1\rBODY=7BIT		syntax			CR
	S
}

@test "MAIL parameters: what is not known is told from what is none" {
	"$DRIVER" mail <<-'S'
		X-FOO=1					unknown	a keyword and a value
		X-FOO					unknown	a keyword
		0					unknown	a digit may begin one
		a-					unknown	and a hyphen may end it
		\{200}X=\{300}y				unknown	a long one
		X=!"#$%&'()*+,-./:;<>?@[\\]^_`{|}~	unknown	all of esmtp-value
		X=\xc3\xa4				unknown	RFC 6531, 3.3
		NOTIFY=NEVER				unknown	RCPT's
		-X=1					syntax	a hyphen first
		=1					syntax	no keyword
		=					syntax	nothing
		X_Y=1					syntax	an underscore
		X.Y					syntax	a dot
		<a@b>					syntax	a path
		X\x00					syntax	NUL
		X=\x00					syntax	NUL
		X=\x7f					syntax	DEL
		X=a\x01					syntax	a control octet
		\xc3\xa4=1				syntax	8 bit in a keyword
	S
}

param_octet() {
	case $c in
	''|[$'\x01'-$'\x08'$'\x0a'-$'\x1f'$'\x7f'])
		row "X${x}Y" syntax; row "X=a${x}b" syntax ;;
	[A-Za-z0-9$'\t '-])
		row "X${x}Y" unknown; row "X=a${x}b" unknown ;;
	=)	row 'X=Y' unknown; row 'X=a=b' syntax ;;
	*)	row "X${x}Y" syntax; row "X=a${x}b" unknown ;;
	esac
}

@test "MAIL parameters: every octet is one of a keyword, of a value, a blank, or refused" {
	each param_octet >rows
	"$DRIVER" mail <rows
}

@test "MAIL parameters: one given twice is a wrong value" {
	"$DRIVER" mail PRDR <<-'S'
		SIZE=1 SIZE=1			value	the same
		SIZE=1 size=2			value	in another case
		BODY=7BIT BODY=8BITMIME		value	which?
		SMTPUTF8 SMTPUTF8		value	without values
		PRDR PRDR			value	without values
		RET=FULL BODY=7BIT RET=FULL	value	another between
		ENVID=x ENVID=y			value	RFC 3461, 4.4
		AUTH=<> AUTH=<>			value	RFC 4954, 5
	S
}

@test "MAIL parameters: the first fault that applies is the verdict" {
	"$DRIVER" mail <<-'S'
		X=1 SIZE=x		unknown	unknown before wrong
		SIZE=x X=1		value	wrong before unknown
		SIZE=x =		value	wrong before none
		= SIZE=x		syntax	none before wrong
		X=1 =			unknown	unknown before none
		SIZE=1 SIZE=2 X=1	value	twice before unknown
	S
}

@test "RCPT parameters: NOTIFY and ORCPT are known" {
	"$DRIVER" rcpt <<-'S'
		\e					ok	none
		\s\t					ok	blanks only
		NOTIFY=NEVER				ok dsn	RFC 3461, 4.1
		NOTIFY=SUCCESS,FAILURE,DELAY		ok dsn	a list
		NOTIFY=any				ok dsn	what is ignored is not judged
		notify=never				ok dsn	lower case
		ORCPT=rfc822;Bob@b.example		ok dsn	RFC 3461, 4.2
		NOTIFY=NEVER ORCPT=rfc822;a+2Bb@c	ok dsn	both
		ORCPT=rfc822;a \t NOTIFY=DELAY\s	ok dsn	the other way, with blanks
		NOTIFY					value	no value
		ORCPT					value	no value
		NOTIFY=NEVER NOTIFY=NEVER		value	twice
		ORCPT=rfc822;a ORCPT=rfc822;b		value	twice
		NOTIFY=					syntax	an empty one
		NOTIFY=a=b				syntax	"=" in a value
		NOTIFY=a\x00				syntax	NUL
		SIZE=1					unknown	MAIL's
		BODY=7BIT				unknown	MAIL's
		NOTIFYX=1				unknown	too much
		X					unknown	any other
		NOTIFY=NEVER X				unknown	behind one that is known
		<a@b>					syntax	no esmtp-param
	S
}

@test "BDAT: a size of 63 bits, and perhaps LAST" {
	"$DRIVER" bdat <<-'S'
		0				0			nothing
		1000				1000			a chunk
		0 LAST				0 last			nothing more
		86 LAST				86 last			RFC 3030, 4.2
		86 last				86 last			lower case
		86\tLAST			86 last			a TAB
		86 \t  LAST			86 last			many blanks
		86\s				86			a blank at the end
		007				7			leading zeros
		00000000000000000001		1			20 digits
		9223372036854775807		9223372036854775807	the most of 63 bits
		9223372036854775808		long			one more
		9223372036854775808 LAST	long			with LAST
		18446744073709551616		long			beyond 64
		99999999999999999999		long			the most of 20 digits
		000000000000000000001		syntax			21 digits
		\e				syntax			nothing
		\s				syntax			a blank
		LAST				syntax			no size
		\s86 LAST			syntax			a blank before it is the caller's to cut
		-1				syntax			a sign
		+1				syntax			the other one
		0x10				syntax			hexadecimal
		1K				syntax			a suffix
		86LAST				syntax			no blank
		86 LASTX			syntax			too much
		86 LAS				syntax			too little
		86 LAST LAST			syntax			twice
		86 LAST X=1			syntax			a parameter
		86 87				syntax			two sizes
		86,87				syntax			with a comma
		86\x00				syntax			NUL
		86 LAST\x00			syntax			NUL at the end
		86\r				syntax			CR
		86 LAST\n			syntax			LF
	S
}
