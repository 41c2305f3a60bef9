# parse-misc.bats - the rest of the grammar: command lines, openings, numbers,
# names and addresses, verbs guessed, text, UTF-8, dates, the Received field
# RFC 5321 sections 4.1.1 to 4.1.3 and 4.4; RFC 3629, 4291, 5322; RFC 1870, 4
#
# A row is input, verdict, reason; parse_driver.c says how octets are written.
# Where a function takes several inputs there are bars between them.

# shellcheck disable=SC2030,SC2031,SC2154 # each, of parse.bash, sets x, c and i
load parse

@test "commands: a line is split at the first blank, and the argument trimmed" {
	"$DRIVER" command <<-'S'
		QUIT			QUIT|			a verb
		MAIL FROM:<a@b>		MAIL|FROM:<a@b>		and an argument
		noop a b		noop|a b		of two words, as sent
		NOOP\ta			NOOP|a			a TAB
		NOOP \t a \t\s		NOOP|a			many blanks
		QUIT\s\s		QUIT|			blanks at the end
		\sQUIT			|QUIT			a blank in front: no verb
		\e			|			an empty line
		\s\t\s			|			blanks
		NOOP \xc3\xa4\xff	NOOP|\xc3\xa4\xff	8 bit
		N\xc3\xa4		N\xc3\xa4|		in the verb
		\{2046}a		\{2046}a|		any length
	S
}

@test "commands: a control octet other than TAB is refused wherever it is" {
	"$DRIVER" command <<-'S'
		NOOP \x01		syntax			the first but NUL
		NOOP a\x00		syntax			NUL at the end
		\x00NOOP		syntax			in front
		NO\x00OP		syntax			in the verb
		NOOP\x00		syntax			behind it
		NOOP a\rb		syntax			CR
		NOOP\r			syntax			CR at the end
		NOOP a\nb		syntax			LF
		NOOP\n			syntax			LF at the end
		NOOP a\x08		syntax			backspace
		NOOP \x0b		syntax			VT
		NOOP \x1b[2J		syntax			escape
		NOOP \x1f		syntax			the last under 32
		NOOP \x7f		syntax			DEL
		NOOP \x80\x9f\xa0	NOOP|\x80\x9f\xa0	the controls of others are not
	S
}

@test "openings: TLS, HTTP and PROXY are told from SMTP, from as few octets as can be" {
	"$DRIVER" opening <<-'S'
		\e					more	nothing yet
		EHLO c.example\r\n			smtp	a client
		e					smtp	an octet of one
		\n					smtp	LF
		\r					more	CR: an empty line, or PROXY version 2
		\r\n					more	CRLF
		\r\nQUIT				smtp	an empty line
		\r\n\r\n				more	two of them
		\r\n\r\nE				smtp	and a command
		\x16					more	a TLS handshake record?
		\x16\x03				tls	of any version
		\x16\x03\x01\x02\x00\x01		tls	a hello
		\x16\x02				smtp	of none
		\x15\x03				smtp	an alert does not come first
		GET / HTTP/1.1\r\n			http	a browser
		GET\s					http	the blank settles it
		GET					more	which may yet come
		G					more	as may the rest
		GE\r\n					smtp	and may not
		GETX					smtp	a verb
		get /					smtp	methods are in capitals
		HEAD /					http	RFC 9110, 9.3
		POST /					http	ALPACA's
		PUT /					http	RFC 9110, 9.3
		PATCH /					http	RFC 5789
		TRACE /					http	RFC 9110, 9.3
		DELETE /				http	RFC 9110, 9.3
		OPTIONS *				http	RFC 9110, 9.3
		CONNECT mx:25				http	an open proxy is looked for
		PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n	http	HTTP/2
		P					more	POST, PUT, PATCH, PRI or PROXY
		PROXX					smtp	none of them
		HE					more	HEAD, or a command
		HELO c					smtp	a command
		HELP					smtp	a command
		DATA					smtp	a command
		DE					more	DELETE
		PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n	proxy	version 1
		PROXY\s					proxy	the blank settles it
		PROXY					more	not yet
		proxy TCP4				smtp	in capitals
		\r\n\r\n\x00\r\nQUIT\n			proxy	version 2, the 12 octets
		\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c	proxy	and the next ones
		\r\n\r\n\x00\r\nQUIT			more	eleven of them
		\r\n\r\n\x00\r\nQUIT\r			smtp	not quite
		\r\n\r\n\x00\n				smtp	nor this
	S
}

@test "openings: each proper head of a foreign opening is undecided, and nothing longer is" {
	local i n word
	for word in 'GET ' 'PUT ' 'PRI ' 'POST ' 'HEAD ' 'PATCH ' 'TRACE ' \
	    'DELETE ' 'OPTIONS ' 'CONNECT ' 'PROXY '; do
		for ((i = 1; i < ${#word}; i++)); do
			printf '%s\tmore\thead of %s\n' "${word::i}" "$word"
			printf '%s~\tsmtp\thead of %s, and more\n' \
			    "${word::i}" "$word"
		done
	done >rows
	n=$(wc -l <rows)
	[ "$n" = 104 ]
	"$DRIVER" opening <rows
}

@test "verbs: the distance is how many slips lie between two, in any case" {
	"$DRIVER" distance <<-'S'
		MAIL|MAIL				0	none
		mail|MAIL				0	case is none
		MAIL|MALI				1	neighbours swapped
		mial|MAIL				1	in another case
		MAIL|NAIL				1	one wrong
		MAIL|MAL				1	one left out
		MAIL|MAAIL				1	one too many
		MAIL|AIL				1	the first left out
		MAIL|MAI				1	the last left out
		MAIL|MAILL				1	the last twice
		MAIL|AMLI				2	two swaps
		MAIL|LIAM				3	backwards: two wrong, two swapped
		EHLO|HELO				1	swapped, and another verb
		EHLO|HELLO				2	people type this
		QUIT|EXIT				2	and this
		QUIT|DATA				4	nothing in common
		MAIL|RCPT				4	nothing in common
		a|\e					1	nothing on one side
		\e|\e					0	on both
		|abcdefgh				8	eight
		|abcdefghi				9	nine
		|abcdefghij				9	ten are more than eight
		abcdefghijklmnop|abcdefghijklmnop	0	16 octets
		abcdefghijklmnop|ABCDEFGHIJKLMNO	1	and 15
		abcdefghijklmnopq|abcdefghijklmnopq	9	17
		a|abcdefghijklmnopq			9	17 on one side
		\{3000}a|\{3000}a			9	far over it
		abcdefghijklmnop|ponmlkjihgfedcba	9	all different
		\xc3|\xe3				1	no case beyond ASCII
		a\x00b|a\x00c				1	behind a NUL
	S
}

@test "slices: case is folded in ASCII and nowhere else" {
	"$DRIVER" same <<-'S'
		abc|ABC		yes	letters
		aBc|AbC		yes	either way
		abc|abd		no	another
		abc|ab		no	shorter
		ab|abc		no	longer
		\e|\e		yes	nothing
		a|\e		no	and something
		@|`		no	the octet before A
		[|{		no	the one behind Z
		0|P		no	a digit
		\xc4|\xe4	no	Latin 1
		\xe4|\xe4	yes	itself
		k|\xe2\x84\xaa	no	the Kelvin sign
		i\x00j|I\x00J	yes	behind a NUL
		i\x00j|i\x00k	no	it is looked at
	S
	"$DRIVER" is 'Size' <<-'S'
		SIZE		yes	a text
		sizes		no	longer
		siz		no	shorter
		size\x00	no	with NUL
		\e		no	nothing
	S
	"$DRIVER" lower <<-'S'
		AZ@[az{0\xc4\xff\x00	az@[az{0\xc4\xff\x00	octet by octet
	S
}

@test "slices: trimming takes blanks and TABs from both ends" {
	"$DRIVER" trim <<-'S'
		a			a		none
		\s \t a\t b \t\s	a\t b		both
		\s\t			\e		nothing else
		\e			\e		nothing
		a\r\n			a\r\n		not CR and LF
		\x0ba\xa0		\x0ba\xa0	nor what else may be white
		\x00 a			\x00 a		nor NUL
	S
}

@test "numbers: 1 to 20 digits, and above a maximum the maximum" {
	"$DRIVER" number <<-'S'
		0			0			the least
		10			10			a number
		007			7			leading zeros
		18446744073709551614	18446744073709551614	near the end of 64 bits
		18446744073709551615	18446744073709551615	the end
		18446744073709551616	18446744073709551615	behind it
		18446744073709551620	18446744073709551615	further on
		99999999999999999999	18446744073709551615	20 digits
		00000000000000000000	0			of zero
		000000000000000000000	syntax			21
		\e			syntax			none
		-1			syntax			a sign
		+1			syntax			the other one
		\s1			syntax			a blank in front
		1\s			syntax			behind
		1 2			syntax			between
		1.0			syntax			a dot
		0x1			syntax			hexadecimal
		1e3			syntax			an exponent
		1\x00			syntax			NUL
		/			syntax			the octet before 0
		:			syntax			the one behind 9
		\xb2			syntax			a superscript
	S
	"$DRIVER" number 65536 <<-'S'
		65535			65535	under the maximum
		65536			65536	the maximum
		65537			65536	above it
		99999999999999999999	65536	far above it
	S
}

@test "text: what does not fit is cut off, and told" {
	# the driver tries every size
	"$DRIVER" put <<-'S'
		\e		\e		nothing
		a		a		an octet
		a\x00b\r\n\xff	a\x00b\r\n\xff	any
		\{300}a		\{300}a		many
	S
	"$DRIVER" put-number <<-'S'
		0			0			the least
		9			9			a digit
		10			10			two
		1000000			1000000			zeros
		18446744073709551615	18446744073709551615	the most
	S
}

@test "text: for a log all but printable ASCII is escaped, and 256 octets are the most" {
	"$DRIVER" put-escaped <<-'S'
		a b!~			a b!~				printable
		\e			\e				nothing
		a"b			a\\x22b				a quote
		a\\b			a\\x5cb				a backslash
		a\nb			a\\x0ab				LF
		a\r\tb			a\\x0d\\x09b			CR, TAB
		\x00\x1f\x7f\x80\xff	\\x00\\x1f\\x7f\\x80\\xff	what is not ASCII, or is no sign
		%s%n			%s%n				no format is ever made of it
		\{256}a			\{256}a				256
		\{257}a			\{256}a...			257
		\{256}ab		\{256}a...			whatever the last is
		\{255}a\n		\{255}a\\x0a			256 as they came, not as written
		\{255}a\nb		\{255}a\\x0a...			and one more
	S
}

@test "names: a domain, with UTF-8 or without, and an address literal are told apart" {
	"$DRIVER" domain <<-'S'
		b.example			host	a name
		b				host	one label
		1.2.3.4				host	digits are labels
		x-y.z_0				host	hyphens within, underscores
		_b				host	an underscore in front
		\{63}a.b			host	a label of 63
		\{255}a				host	255 octets
		\{256}a				no	256
		\xc3\xa4.example		domain	UTF-8 (RFC 6531)
		b.\xe4\xbe\x8b			domain	of three octets
		b\xc2\x85.example		no	U+0085, a control character
		b\xc2\xa0.example		domain	the first behind them
		\xe4.example			no	Latin 1
		b.\xc3				no	UTF-8, cut off
		\xc0\xae			no	a dot in an overlong form
		\e				no	nothing
		.				no	a dot
		b.				no	a dot at the end
		.b				no	in front
		b..c				no	two
		-b				no	a hyphen in front
		b-				no	at the end
		b-.c				no	at the end of a label
		b.-c				no	in front of one
		b c				no	a blank
		b\x00				no	NUL
		b/c				no	a slash
		b:c				no	a colon
		b@c				no	an @
		*				no	a wildcard
		[192.0.2.1]			literal	IPv4
		[0.0.0.0]			literal	the least
		[255.255.255.255]		literal	the most
		[256.0.0.1]			no	more
		[1.2.3]				no	too few
		[1.2.3.4.5]			no	too many
		[1.2.3.4			no	not closed
		1.2.3.4]			no	not opened
		x1.2.3.4]			no	with something else
		[1.2.3.4]]			no	closed twice
		[[1.2.3.4]]			no	twice
		[1.2.3.4]x			no	something behind it
		[ 1.2.3.4]			no	a blank
		[1.2.3.4\x00]			no	NUL
		[]				no	nothing
		[				no	half
		[IPv6:::]			literal	the shortest
		[IPv6:2001:db8::192.0.2.1]	literal	with IPv4 at its end
		[ipv6:::1]			literal	the tag in any case
		[IPv6:]				no	no address
		[IPv6:1.2.3.4]			no	IPv4
		[IPv6:g::]			no	no digit
		[2001:db8::1]			literal	a General one, with the tag 2001
		[::1]				no	no tag
		[IPv7:x]			literal	a tag not known (4.1.3)
		[x:y]				literal	the shortest
		[x-y:z]				literal	a hyphen in the tag
		[x-:z]				no	at its end
		[-:z]				no	only
		[-x:z]				literal	in front it may be
		[:z]				no	no tag
		[x:]				no	no dcontent
		[x_y:z]				no	an underscore in the tag
		[x:!Z^~]			literal	dcontent: 33 to 90, 94 to 126
		[x:a[b]				no	91
		[x:a\\b]			no	92
		[x:a b]				no	a blank
		[x:a\x7f]			no	DEL
		[x:\xc3\xa4]			no	8 bit
		[x:\{251}a]			literal	255 octets
		[x:\{252}a]			no	256
	S
}

domain_octet() {
	case $c in
	[._A-Za-z0-9-])
		row "b${x}c" host ;;
	*)	row "b${x}c" no ;;
	esac
	case $c in
	\[|\\|\]|''|[$'\x01'-' '$'\x7f'-$'\xff'])
		row "[x:y${x}z]" no ;;
	*)	row "[x:y${x}z]" literal ;;
	esac
}

@test "names: every octet is one of a domain, of a literal, of both or neither" {
	each domain_octet >rows
	"$DRIVER" domain <rows
}

@test "addresses: IPv4 is four numbers under 256, IPv6 eight groups with one :: at most" {
	"$DRIVER" ip <<-'S'
		192.0.2.1			00000000000000000000ffffc0000201	IPv4, mapped
		0.0.0.0				00000000000000000000ffff00000000	the least
		255.255.255.255			00000000000000000000ffffffffffff	the most
		::ffff:192.0.2.1		00000000000000000000ffffc0000201	the same as IPv4
		::				00000000000000000000000000000000	nothing but zeros
		::1				00000000000000000000000000000001	at the end
		1::				00010000000000000000000000000000	in front
		1::2				00010000000000000000000000000002	on both sides
		2001:db8:a:b:c:d:E:F		20010db8000a000b000c000d000e000f	no ::, any case
		0001:0:00:000:0000:0:0:1	00010000000000000000000000000001	leading zeros
		1:2:3:4:5:6:7::			00010002000300040005000600070000	:: for one group (RFC 4291, 2.2)
		::2:3:4:5:6:7:8			00000002000300040005000600070008	in front
		1::3:4:5:6:7:8			00010000000300040005000600070008	in the middle
		1:2:3:4:5:6:1.2.3.4		00010002000300040005000601020304	IPv4 for the last two
		::1.2.3.4			00000000000000000000000001020304	and zeros
		64:ff9b::192.0.2.33		0064ff9b0000000000000000c0000221	and others
		1:2:3:4:5::1.2.3.4		00010002000300040005000001020304	:: for one, before IPv4
		\e				syntax	nothing
		1.2.3				syntax	three numbers
		1.2.3.4.5			syntax	five
		256.1.1.1			syntax	one over 255
		01.1.1.1			syntax	a leading zero: octal, or is it?
		1.1.1.00			syntax	two zeros
		1.1.1.256			syntax	the last
		1.1.1.1000			syntax	four digits
		1..1.1				syntax	an empty one
		.1.1.1.1			syntax	in front
		1.1.1.1.			syntax	a dot at the end
		1.1.1.-1			syntax	a sign
		0x1.1.1.1			syntax	hexadecimal
		1.1.1.1\s			syntax	a blank
		1.1.1.1/24			syntax	a mask
		1.1.1.1:25			syntax	a port
		1.1.1.1\x00			syntax	NUL
		16843009			syntax	one number
		:				syntax	half of ::
		:::				syntax	three colons
		1:::2				syntax	in the middle
		1::2::3				syntax	two ::
		::1::				syntax	at both ends
		1:2:3:4:5:6:7			syntax	seven groups
		1:2:3:4:5:6:7:8:9		syntax	nine
		1:2:3:4:5:6:7:8::		syntax	eight and ::
		::1:2:3:4:5:6:7:8		syntax	:: and eight
		1:2:3:4::5:6:7:8		syntax	:: between eight
		1:2:3:4:5:6:7:			syntax	a colon at the end
		1:				syntax	nothing behind it
		:1:2:3:4:5:6:7:8		syntax	a colon in front
		12345::				syntax	five digits
		g::				syntax	no digit
		1:2:3:4:5:6:7:1.2.3.4		syntax	IPv4 too late
		::1.2.3				syntax	three numbers of it
		::1.2.3.4:5			syntax	IPv4 not at the end
		1.2.3.4::1			syntax	in front
		1:2:3:4:5:6:7::1.2.3.4		syntax	no room for ::
		fe80::1%eth0			syntax	a zone
		[::1]				syntax	brackets
		::1\x00				syntax	NUL
	S
}

@test "addresses: all short texts of digits, dots and colons are read as inet_pton(3) reads them" {
	"$DRIVER" ip-all <<-'S'
		1:.|9	agrees	any form
		1:|17	agrees	eight groups and their colons
		25.|11	agrees	numbers about 255
		f0G:.|7	agrees	hexadecimal
	S
}

@test "UTF-8: well-formed sequences are (RFC 3629, 4)" {
	"$DRIVER" utf8 <<-'S'
		\e					ascii	nothing
		a\x00\r\n\x7f				ascii	7 bit
		\{100}a					ascii	much of it
		\xc2\x80				utf8	U+0080, the first of two octets
		\xdf\xbf				utf8	U+07FF, the last
		\xe0\xa0\x80				utf8	U+0800, the first of three
		\xed\x9f\xbf				utf8	U+D7FF, before the surrogates
		\xee\x80\x80				utf8	U+E000, behind them
		\xef\xbf\xbf				utf8	U+FFFF, the last of three
		\xf0\x90\x80\x80			utf8	U+10000, the first of four
		\xf4\x8f\xbf\xbf			utf8	U+10FFFF, the last of all
		\xef\xbb\xbfa				utf8	a byte order mark
		\{31}a\xc3\xa4\{40}b\xe2\x82\xac	utf8	between much ASCII
		\{29}\xe2\x82\xac			bad	a first octet repeated
	S
}

@test "UTF-8: overlong forms, surrogates, what is over U+10FFFF and what is cut off are not" {
	"$DRIVER" utf8 <<-'S'
		\x80			bad	a continuation of nothing
		\xbf			bad	the last of these
		\xc0\x80		bad	U+0000 in two octets
		\xc1\xbf		bad	U+007F in two
		\xe0\x80\x80		bad	U+0000 in three
		\xe0\x9f\xbf		bad	U+07FF in three
		\xf0\x80\x80\x80	bad	U+0000 in four
		\xf0\x8f\xbf\xbf	bad	U+FFFF in four
		\xed\xa0\x80		bad	U+D800, a surrogate
		\xed\xbf\xbf		bad	U+DFFF, the last
		\xf4\x90\x80\x80	bad	U+110000
		\xf5\x80\x80\x80	bad	no first octet
		\xf8\x88\x80\x80\x80	bad	five octets
		\xfe			bad	never
		\xff			bad	never
		\xe4			cut	Latin 1, or the first of three
		\xe4a			bad	Latin 1 and a letter
		\xc3			cut	of two
		\xe2\x82		cut	of three
		\xf0\x9f		cut	of four
		\xf0\x9f\x98		cut	the last left out
		\xc3\xc3\xa4		bad	a first octet for a second
		\xe2\x82\xc3\xa4	bad	and for a third
		\xc3\xa4\xa4		bad	a continuation too many
		\xe2\x28\xa1		bad	a letter within
		\xe2\x82\x7f		bad	the octet under continuations, as the third
		\xe2\x82\xc0		bad	the one over them
		\xc3\x7f		bad	under, as the second
		\xc3\xc0		bad	over
		\xf0\x9f\x98\x7f	bad	under, as the fourth
		\xf0\x9f\x98\xc0	bad	over
		\{50}a\x80		bad	behind much ASCII
		\x80\{50}a		bad	before it
	S
}

@test "UTF-8: each number up to 1FFFFF is well formed in its shortest form only, surrogates and all over 10FFFF never" {
	"$DRIVER" utf8-all <<<$'2097151\tagrees\tin one to four octets'
}

@test "UTF-8: control characters are U+0000 to U+001F and U+007F to U+009F, text has none, and what is visible none of three more" {
	"$DRIVER" control <<-'S'
		\e			text	nothing
		a b~			text	ASCII
		a\nb			control	a line feed
		a\tb			control	a TAB
		\x00			control	NUL
		a\x1f			control	the last of the first
		a\x7f			control	DEL
		\xc2\x80		control	U+0080
		a\xc2\x85b		control	U+0085, the next line
		\xc2\x9f		control	U+009F
		\xc2\xa0		text	U+00A0 is none
		\xc3\x80		text	nor what ends in the same octet
		\xe2\x80\xa8		text	nor U+2028
		a\xe2\x80\x8bb	invisible	U+200B, without width
		\xe2\x81\xa0		invisible	U+2060
		a\xef\xbb\xbf		invisible	U+FEFF, at the end
		\xe2\x80\x8c		text	U+200C, which Persian is written with
		\xe2\x80\x8b\n		control	both
		\xef\xbb\xbf\xff		octets	before what is no UTF-8
		\x85			octets	half of one, which is no UTF-8
		\xc2			octets	the other half
		\xc2\xc2\x85		control	behind half of one
		\xff\n			control	behind what is no UTF-8
	S
	"$DRIVER" control-all <<<$'1114111\tagrees\tno other code point is one'
}

@test "dates: leap years, ends of months, and the first and last second there are" {
	"$DRIVER" date <<-'S'
		0		Thu, 01 Jan 1970 00:00:00 +0000	the first
		1		Thu, 01 Jan 1970 00:00:01 +0000	and the next
		86399		Thu, 01 Jan 1970 23:59:59 +0000	the end of a day
		86400		Fri, 02 Jan 1970 00:00:00 +0000	another
		5097599		Sat, 28 Feb 1970 23:59:59 +0000	the last of a February
		5097600		Sun, 01 Mar 1970 00:00:00 +0000	no leap year
		31535999	Thu, 31 Dec 1970 23:59:59 +0000	the end of a year
		31536000	Fri, 01 Jan 1971 00:00:00 +0000	another
		68169600	Tue, 29 Feb 1972 00:00:00 +0000	a leap year
		951782400	Tue, 29 Feb 2000 00:00:00 +0000	one in four hundred
		951868800	Wed, 01 Mar 2000 00:00:00 +0000	the day behind it
		1000000000	Sun, 09 Sep 2001 01:46:40 +0000	ten digits
		1795477096	Mon, 23 Nov 2026 23:38:16 +0000	the header's example
		1709164800	Thu, 29 Feb 2024 00:00:00 +0000	a leap year
		2147483647	Tue, 19 Jan 2038 03:14:07 +0000	the last of 31 bits
		2147483648	Tue, 19 Jan 2038 03:14:08 +0000	beyond
		4107542399	Sun, 28 Feb 2100 23:59:59 +0000	a century
		4107542400	Mon, 01 Mar 2100 00:00:00 +0000	that is no leap year
		4294967296	Sun, 07 Feb 2106 06:28:16 +0000	beyond 32 bits
		13574563200	Tue, 29 Feb 2400 00:00:00 +0000	one that is
		253402214400	Fri, 31 Dec 9999 00:00:00 +0000	the last day
		253402300799	Fri, 31 Dec 9999 23:59:59 +0000	the last second
	S
}

@test "dates: every day of more than 400 years is as counted" {
	"$DRIVER" date-all <<<$'2401\tagrees\tfrom 1970 on'
}

@test "Received: from, by, with, id, for and the date, in that order" {
	# helo|name|address|host|protocol|id|recipient|seconds
	"$DRIVER" received <<-'S'
		c.ex|h.ex|192.0.2.7|mx.ex|SMTP|1.Q1|u@s.ex|0	Received: from c.ex (h.ex [192.0.2.7]) by mx.ex with SMTP id 1.Q1 for\n\t<u@s.ex>; Thu, 01 Jan 1970 00:00:00 +0000\n	all there is
		c.ex||192.0.2.7|mx.ex|ESMTP|1.Q1|u@s.ex|0	Received: from c.ex ([192.0.2.7]) by mx.ex with ESMTP id 1.Q1 for <u@s.ex>;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	no name
		c.ex|h.ex||mx.ex|ESMTP|1.Q1|u@s.ex|0	Received: from c.ex (h.ex unknown) by mx.ex with ESMTP id 1.Q1 for <u@s.ex>;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	no address
		c.ex|||mx.ex|ESMTP|1.Q1|u@s.ex|0	Received: from c.ex (unknown) by mx.ex with ESMTP id 1.Q1 for <u@s.ex>;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	neither
		|||mx.ex|ESMTP|1.Q1|u@s.ex|0		Received: from unknown (unknown) by mx.ex with ESMTP id 1.Q1 for <u@s.ex>;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	no HELO
		c.ex|h.ex|192.0.2.7|mx.ex|ESMTPSA|1.Q1||0	Received: from c.ex (h.ex [192.0.2.7]) by mx.ex with ESMTPSA id 1.Q1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	no recipient
		c.ex|h.ex|2001:db8::1|mx.ex|SMTP|1.Q1|u@s.ex|0	Received: from c.ex (h.ex [IPv6:2001:db8::1]) by mx.ex with SMTP id 1.Q1 for\n\t<u@s.ex>; Thu, 01 Jan 1970 00:00:00 +0000\n	IPv6
		c.ex||::1|mx.ex|SMTP|1.Q1|u@s.ex|0	Received: from c.ex ([IPv6:::1]) by mx.ex with SMTP id 1.Q1 for <u@s.ex>;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	IPv6, and no name
	S
}

@test "Received: octets of HELO that no domain and no literal may hold become question marks" {
	"$DRIVER" received <<-'S'
		x-y_0.Z|h|1.2.3.4|mx|SMTP|1||0		Received: from x-y_0.Z (h [1.2.3.4]) by mx with SMTP id 1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	a domain is as it was sent
		[192.0.2.7]|h|1.2.3.4|mx|SMTP|1||0	Received: from [192.0.2.7] (h [1.2.3.4]) by mx with SMTP id 1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	and so is a literal
		[IPv6:::1]|h|1.2.3.4|mx|SMTP|1||0	Received: from [IPv6:::1] (h [1.2.3.4]) by mx with SMTP id 1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	and this
		a b|h|1.2.3.4|mx|SMTP|1||0		Received: from a?b (h [1.2.3.4]) by mx with SMTP id 1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	a blank
		a(b);c|h|1.2.3.4|mx|SMTP|1||0		Received: from a?b??c (h [1.2.3.4]) by mx with SMTP id 1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	what has a meaning in the field
		a"\\<>@,|h|1.2.3.4|mx|SMTP|1||0		Received: from a?????? (h [1.2.3.4]) by mx with SMTP id 1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	and more of it
		a\x00\r\n\t\x7f|h|1.2.3.4|mx|SMTP|1||0	Received: from a????? (h [1.2.3.4]) by mx with SMTP id 1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	control octets
		\n\nbody|h|1.2.3.4|mx|SMTP|1||0		Received: from ??body (h [1.2.3.4]) by mx with SMTP id 1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	no header ends here
		\{300}a|h|1.2.3.4|mx|SMTP|1||0		Received:\n\tfrom \{255}a\n\t(h [1.2.3.4]) by mx with SMTP id 1; Thu, 01 Jan 1970 00:00:00 +0000\n	of more than 255 octets the first ones
	S
}

@test "Received: lines are folded under 78 columns, but for a word that passes them itself" {
	# a TAB is eight columns; the line of 77 stays one, that of 78 does not
	"$DRIVER" received <<-'S'
		\{26}c|h|1.2.3.4|mx|SMTP|1||0	Received: from \{26}c (h [1.2.3.4]) by mx with SMTP id 1;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	77 columns
		\{27}c|h|1.2.3.4|mx|SMTP|1||0	Received: from \{27}c (h [1.2.3.4]) by mx with SMTP\n\tid 1; Thu, 01 Jan 1970 00:00:00 +0000\n	78 columns
		c|h|1.2.3.4|\{100}m|SMTP|1||0	Received: from c (h [1.2.3.4])\n\tby \{100}m\n\twith SMTP id 1; Thu, 01 Jan 1970 00:00:00 +0000\n	a long word has a line of its own
		c|h|1.2.3.4|mx|SMTP|1|\{900}u|0	Received: from c (h [1.2.3.4]) by mx with SMTP id 1 for\n\t<\{900}u>;\n\tThu, 01 Jan 1970 00:00:00 +0000\n	the longest mailbox, and no line over 998
	S
	"$DRIVER" received-all <<<$'20000\tagrees\twords of any length'
}
