# parse-path.bats - the paths of MAIL, RCPT and VRFY, as the parser reads them
# RFC 5321 sections 4.1.2, 4.1.3, 4.5.3.1 and appendix C; RFC 6531, 3.3
#
# A row is input, verdict, reason; parse_driver.c says how octets are written.
# A path's verdict is local|domain|rest, then |8 for an octet over 127 in the
# mailbox and |@ for a second "@".

# shellcheck disable=SC2030,SC2031,SC2154 # each, of parse.bash, sets x, c and i
load parse

@test "path: keyword and colon come first, in any case, with blanks around the colon" {
	"$DRIVER" path FROM <<-'S'
		FROM:<a@b.example>		a|b.example|	as RFC 5321 has it
		from:<a@b.example>		a|b.example|	lower case
		fRoM:<a@b.example>		a|b.example|	any case
		FROM: <a@b.example>		a|b.example|	a blank behind the colon
		FROM :<a@b.example>		a|b.example|	a blank before it
		FROM \t : \t <a@b.example>	a|b.example|	many, and TABs
		\e				value		nothing
		F				value		a part of the keyword
		FROM				value		no colon
		FROM\s				value		no colon behind the blank
		FROM <a@b.example>		value		no colon before the path
		FRO:<a@b.example>		value		a keyword too short
		FROMM:<a@b.example>		value		a keyword too long
		TO:<a@b.example>		value		the other one
		\sFROM:<a@b.example>		value		a blank before the keyword is the caller's to cut
		FROM\x00:<a@b.example>		value		NUL is no end
		FROM; <a@b.example>		value		another sign than the colon
		<a@b.example>			value		no keyword
		FROM:				syntax		nothing behind the colon
		FROM:\s				syntax		a blank behind the colon
		FROM:: <a@b.example>		syntax		a second colon
	S
	"$DRIVER" path TO <<-'S'
		TO:<a@b.example>	a|b.example|	RCPT's
		to : a			a||		and its variations
		FROM:<a@b.example>	value		MAIL's
		T			value		a part of it
	S
}

@test "path: with no keyword the input begins with the path" {
	"$DRIVER" path '' <<-'S'
		a			a||			what people give to VRFY
		a@b.example		a|b.example|		an address
		<a@b.example>		a|b.example|		in brackets
		John Doe <a@b.example>	a|b.example|		with a name
		<a@b.example> SMTPUTF8	a|b.example|SMTPUTF8	with a parameter
		a@b.example SMTPUTF8	a|b.example|SMTPUTF8	without brackets, too
		: <a@b.example>		syntax			a colon without its keyword
		\e			syntax			nothing
	S
}

@test "path: <> is the null path" {
	"$DRIVER" path FROM <<-'S'
		FROM:<>		||		of a bounce
		FROM: <>	||		behind a blank
		FROM:<> SIZE=1	||SIZE=1	with a parameter
		FROM:<>\s\s	||		with blanks at the end
		FROM:Mailer <>	||		behind a name
		FROM:< >	||		with a blank in it
		FROM:<\t\s>	||		with some
		FROM:< <>	syntax		a bracket too many, behind a blank
		FROM:<\x00>	syntax		NUL is no blank
		FROM:<		syntax		cut off
		FROM:>		syntax		the other half
		FROM:<>>	value		a bracket too many
		FROM:<>SIZE=1	value		no blank before the parameter
		FROM:<@>	syntax		nothing on either side
		FROM:<">	syntax		a quote only
	S
}

@test "path: local parts are atoms and dots, but not dots only" {
	"$DRIVER" path '' <<-'S'
		<a@b>			a|b|			the shortest
		<a.b.c@d>		a.b.c|d|		dots within
		<0@b>			0|b|			digits
		<!#$%&'*+-/=?^_`{|}~@b>	!#$%&'*+-/=?^_`{|}~|b|	all of atext (RFC 5322, 3.2.3)
		<A.b@C.d>		A.b|C.d|		as sent, not folded
		<-@b>			-|b|			grammar; what becomes of it is policy
		<a+x@b>			a+x|b|			an extension
		<\{64}a@b>		\{64}a|b|		the 64 octets of 4.5.3.1.1
		<\{65}a@b>		\{65}a|b|		and more: VERP, SRS
		<.a@b>			.a|b|			a dot at the head: HPE's iLO
		<a.@b>			a.|b|			a dot at the end: docomo
		<a..b@c>		a..b|c|			two dots
		<..a...b..@c>		..a...b..|c|		many, everywhere
		<..+x@c>		..+x|c|			an extension behind two dots
		a.@b			a.|b|			without brackets, too
		.a			.a||			and without a domain
		<.@b>			syntax			a dot only
		<..@b>			syntax			two, only
		<.>			syntax			without a domain
		..			syntax			nor brackets
		<../a@b>		syntax			up and away
		<a/../b@c>		syntax			in the middle
		<a/..@b>		syntax			at the end
		<./a@b>			syntax			here
		<a/.b@c>		a/.b|c|			hidden, and a Dot-string all the same
		<a..b/c@d>		syntax			nor any other, beside a slash
		<a/b.c@d>		a/b.c|d|		but a slash and a dot
		<."a"@b>		syntax			no quotes behind a dot
		<"a".@b>		syntax			nor before one
		<a b@c>			syntax			a blank
		<a\tb@c>		syntax			a TAB
		< a@b>			a|b|			a blank behind the bracket
		<a@b >			a|b|			a blank before the bracket
		< \ta@b.\t >		a|b|			many, and TABs, and a dot
		< a >			a||			without a domain
		< "a b"@c >		"a b"|c|		around a quoted one
		< @r:a@b >		a|b|			around a source route
		<a@[192.0.2.1] >	a|[192.0.2.1]|		behind a literal
		John < a@b > SIZE=1	a|b|SIZE=1		behind a name
		< a@b >SIZE=1		value			no blank behind the path
		< a@b			syntax			and not closed
		< a@b x>		syntax			a word behind the blank
		<@r: a@b>		syntax			a blank behind the route
		<a @b>			syntax			a blank before the @
		<a@ b>			syntax			a blank behind it
		<a(x)@b>		syntax			a comment
		<a,b@c>			syntax			a comma
		<a;b@c>			syntax			a semicolon: CVE-2020-7247
		<a:b@c>			syntax			a colon
		<a[b@c>			syntax			a bracket
		<a\\b@c>		syntax			a backslash outside quotes
		<a<b@c>			syntax			a second bracket
		<a>b@c>			value			a path, and rubbish at once behind it
		<a\x00b@c>		syntax			NUL
		<a\x7fb@c>		syntax			DEL
		<a\rb@c>		syntax			CR
		<a\nb@c>		syntax			LF
		<a\x0bb@c>		syntax			VT
		<@b>			syntax			none
	S
}

local_octet() {
	case $c in
	[.A-Za-z0-9\!#\$%\&\'*+/=?^_\`\{\|\}~-])
		row "<a${x}b@c>" "a${x}b|c|" ;;
	@)	row '<a@b@c>' 'a@b|c||@' ;;
	'>')	row '<a>b@c>' value ;;
	[$'\x80'-$'\xff'])
		row "<a${x}b@c>" "a${x}b|c||8" ;;
	*)	row "<a${x}b@c>" syntax ;;
	esac
}

quoted_octet() {
	case $c in
	''|[$'\x01'-$'\x1f'$'\x7f'])
		row "<\"a${x}b\"@c>" syntax
		row "<\"a\\\\${x}b\"@c>" syntax ;;
	\"|\\) row "<\"a\\\\${x}b\"@c>" "\"a\\\\${x}b\"|c|" ;;
	[$'\x80'-$'\xff'])
		row "<\"a${x}b\"@c>" "\"a${x}b\"|c||8" ;;
	*)	row "<\"a${x}b\"@c>" "\"a${x}b\"|c|" ;;
	esac
}

@test "path: every octet is atext, or has a meaning, or is refused" {
	each local_octet >rows
	"$DRIVER" path '' <rows
	each quoted_octet >rows
	"$DRIVER" path '' <rows
}

@test "path: local parts may be quoted, and are kept as sent" {
	"$DRIVER" path '' <<-'S'
		<"a"@b>		"a"|b|		needless quotes
		<""@b>		""|b|		an empty Quoted-string is one
		<"a b"@c>	"a b"|c|	a blank
		<"a@b"@c>	"a@b"|c|	an @ that is no second one
		<"a>b"@c>	"a>b"|c|	a bracket that ends nothing
		<"<>"@c>	"<>"|c|		nor is this a null path
		<"a\\"b"@c>	"a\\"b"|c|	an escaped quote
		<"a\\\\"@c>	"a\\\\"|c|	an escaped backslash ends no escape
		<"a\\b"@c>	"a\\b"|c|	a needless escape
		<"..a..b."@c>	"..a..b."|c|	dots anywhere
		<"!#(),:;[]"@c>	"!#(),:;[]"|c|	all that is no atext
		"a b"@c		"a b"|c|	without brackets
		"a b"		"a b"||		and without a domain
		<"a@b>		syntax		no closing quote
		<"a\\"@b>	syntax		the closing one is escaped
		<"a\\		syntax		the end behind a backslash
		<"		syntax		the end behind the quote
		<"a"b@c>	syntax		an atom behind the quotes
		<a"b"@c>	syntax		quotes behind an atom
		<"a"."b"@c>	syntax		obsolete: words with dots between
		<"a""b"@c>	syntax		two of them
		<"a\tb"@c>	syntax		a TAB is no qtextSMTP
		<"a\x00b"@c>	syntax		NUL
		<"a\x7fb"@c>	syntax		DEL
		<"a\rb"@c>	syntax		CR
		<"a\nb"@c>	syntax		LF
		<"a\\\x00"@c>	syntax		NUL, escaped
		<"a\\\n"@c>	syntax		LF, escaped
		<"a\\\x7f"@c>	syntax		DEL, escaped
	S
}

@test "path: a domain is labels of letters, digits, hyphens within, and underscores" {
	"$DRIVER" path '' <<-'S'
		<a@b.c.d.e>		a|b.c.d.e|		many labels
		<a@localhost>		a|localhost|		one
		<a@1.2>			a|1.2|			digits
		<a@3com.example>	a|3com.example|		a digit first
		<a@x-y.example>		a|x-y.example|		a hyphen
		<a@x--y.example>	a|x--y.example|		two: punycode
		<a@_dmarc.b_c>		a|_dmarc.b_c|		underscores
		<a@b.example.>		a|b.example|		a dot behind it goes
		a@b.example.		a|b.example|		without brackets, too
		a@b.example. SIZE=1	a|b.example|SIZE=1	and before a parameter
		<a@b.example..>		syntax			two dots behind it
		<a@.>			syntax			a dot only
		<a@>			syntax			none
		a@			syntax			none, without brackets
		<a@.b>			syntax			a dot before it
		<a@b..c>		syntax			an empty label
		<a@-b>			syntax			a hyphen at the head
		<a@b->			syntax			a hyphen at the end
		<a@b-.c>		syntax			at the end of a label
		<a@b.-c>		syntax			at the head of a label
		<a@b.c-.>		syntax			before the last dot
		<a@b!c>			syntax			no bang paths here
		<a@b/c>			syntax			a slash
		<a@b:25>		syntax			a port
		<a@b,c>			syntax			a comma
		<a@b(c)>		syntax			a comment
		<a@"b">			syntax			quotes
		<a@b\x00.c>		syntax			NUL
		<a@b\x00>		syntax			NUL at the end
		<a@b\r>			syntax			CR
		<a@b;c>			syntax			a semicolon
	S
}

@test "path: a domain may be an address literal" {
	"$DRIVER" path '' <<-'S'
		<a@[192.0.2.1]>		a|[192.0.2.1]|		IPv4
		<a@[IPv6:2001:db8::1]>	a|[IPv6:2001:db8::1]|	IPv6
		a@[192.0.2.1]		a|[192.0.2.1]|		without angle brackets
		<a@[x-tag:any.thing]>	a|[x-tag:any.thing]|	General-address-literal
		<a@[x:<>@,]>		a|[x:<>@,]|		dcontent may be much
		<a@[192.0.2.1].>	syntax			no dot behind a literal
		<a@[192.0.2.1>		syntax			not closed
		<a@[192.0.2.1]]>	syntax			closed twice
		<a@[192.0.2]>		syntax			three numbers
		<a@[192.0.2.01]>	syntax			a leading zero: octal, or is it?
		<a@[]>			syntax			empty
		<a@[b.example]>		syntax			a name
		<a@[192.0.2.1]b>	syntax			a name behind it
		<a@b[192.0.2.1]>	syntax			a name before it
		<[192.0.2.1]>		syntax			no local part
	S
}

@test "path: without a domain it is a local part" {
	"$DRIVER" path TO <<-'S'
		TO:<postmaster>		postmaster||		4.5.1: always to be taken
		TO:<Postmaster>		Postmaster||		in any case
		TO:postmaster		postmaster||		without brackets
		TO:<"a b">		"a b"||			quoted
		TO:a.b NOTIFY=NEVER	a.b||NOTIFY=NEVER	with a parameter
		TO:<a%b>		a%b||			relaying in disguise is atext
		TO:<b!a>		b!a||			and so is this
		TO:<a.>			a.||			a dot behind a local part is its own
		TO:a.			a.||			without brackets, too
		TO:a b			a||b			what follows is parameters
	S
}

@test "path: an unquoted second @ is told from rubbish" {
	"$DRIVER" path TO <<-'S'
		TO:<a@b@c>		a@b|c||@		two
		TO:<a@b@c@d>		a@b@c|d||@		three
		TO:a@b@c		a@b|c||@		without brackets
		TO:<a@b.d@c.e>		a@b.d|c.e||@		dots on both sides
		TO:<a@b%x@c>		a@b%x|c||@		and more
		TO:<a@b@[192.0.2.1]>	a@b|[192.0.2.1]||@	at a literal
		TO:<a@b@c.>		a@b|c||@		and a dot
		TO:<"a@b"@c>		"a@b"|c|		within quotes it is none
		TO:<@x:a@b@c>		a@b|c||@		behind a route
		TO:<a@@b>		syntax			nothing between
		TO:<a@b@>		syntax			nothing behind
		TO:<@a@b>		syntax			nothing before
		TO:<a@"b"@c>		syntax			quotes behind the first
		TO:<"a"@b@c>		syntax			quotes before it
		TO:<a@b..c@d>		a@b..c|d||@		two dots between
		TO:<a.@.b@c>		a.@.b|c||@		dots on both sides of the first
		TO:<a@b.@c>		a@b.|c||@		a dot before the second
		TO:<a@.@c>		syntax			a dot only between
	S
}

@test "path: a source route is checked and dropped" {
	"$DRIVER" path TO <<-'S'
		TO:<@r:a@b>			a|b|		one hop
		TO:<@r.example,@s.example:a@b>	a|b|		two
		TO:<@r,@s,@t:a@b> SIZE=1	a|b|SIZE=1	three, and a parameter
		TO:<@r:"a b"@c>			"a b"|c|	a quoted local part
		TO:<@[192.0.2.1],@[x:y]:a@b>	a|b|		literals, too
		TO:<@r:postmaster>		postmaster||	no domain
		TO:<@r\xc3\xa4:a@b>		a|b|		8 bit, but not in the mailbox
		TO:<@r:@s:a@b>			syntax		a colon for the comma
		TO:<@r,s:a@b>			syntax		no @
		TO:<@r,:a@b>			syntax		an empty hop
		TO:<@r,@:a@b>			syntax		a hop without name
		TO:<@:a@b>			syntax		the only one without name
		TO:<@r:>			syntax		no mailbox
		TO:<@r>				syntax		nor its colon
		TO:<@r,				syntax		cut off behind the comma
		TO:<@r				syntax		cut off in the name
		TO:<@				syntax		cut off behind the @
		TO:<@r a@b>			syntax		a blank for the colon
		TO:<@-r:a@b>			syntax		no Domain
		TO:<@r..s:a@b>			syntax		nor this
		TO:<r:a@b>			syntax		no @ at all
		TO:@r:a@b			syntax		without brackets there is no route
	S
}

@test "path: a full name may stand before the brackets" {
	"$DRIVER" path FROM <<-'S'
		FROM:John Doe <a@b>	a|b|			words
		FROM: John Doe <a@b>	a|b|			behind a blank
		FROM:John<a@b>		a|b|			without a blank
		FROM:"Doe, John" <a@b>	a|b|			in quotes
		FROM:"<x@y>" <a@b>	a|b|			with another path in quotes
		FROM:"a\\"b" J. <a@b>	a|b|			quotes, escaped, and an initial
		FROM:J\xc3\xb6rg <a@b>	a|b|			8 bit, but not in the mailbox
		FROM:John <a@b> SIZE=1	a|b|SIZE=1		and a parameter
		FROM:"Doe, John <a@b>	syntax			an open quote
		FROM:x@y <a@b>		x|y|<a@b>		no name but an address, and no parameter
		FROM:John, Doe <a@b>	syntax			a comma that wants quotes
		FROM:John\x00 <a@b>	syntax			NUL
		FROM:John\x01 <a@b>	syntax			a control octet
		FROM:John (Doe) <a@b>	John||(Doe) <a@b>	a comment is no name: a path, and no parameter
		FROM:John "Doe <a@b>	John||"Doe <a@b>	nor is an open quote
	S
}

@test "path: a parameter where the path is missing is no path" {
	"$DRIVER" path FROM <<-'S'
		FROM: BODY=8BITMIME		syntax		MAIL's
		FROM:SIZE=1000			syntax		without a blank
		FROM: size=1000 BODY=7BIT	syntax		and another
		FROM:X-Y=			syntax		without a value
		FROM:a=b=c			syntax		with a second "="
		FROM:AUTH=<>			syntax		no null path behind a name
		FROM: SIZE=1 AUTH=<a@b>		syntax		nor another
		FROM:a=b@c			a=b|c|		with "@" it is one
	S
	"$DRIVER" path TO <<-'S'
		TO: NOTIFY=NEVER		syntax		RCPT's
		TO:<NOTIFY=NEVER>		NOTIFY=NEVER||	in brackets it is one
		TO:<BODY=7BIT@b>		BODY=7BIT|b|	and with "@", too
		TO:BODY=7BIT@b			BODY=7BIT|b|	without brackets
		TO:prvs=1=a@b			prvs=1=a|b|	BATV
		TO:"BODY=7BIT"			"BODY=7BIT"||	quoted
		TO:=a				=a||		no keyword
		TO:a_b=c			a_b=c||		"_" is in no keyword
		TO:a.b=c			a.b=c||		nor is a dot
		TO:-a=b				-a=b||		nor a hyphen in front
		TO:NOTIFY			NOTIFY||	a keyword alone may be a user
		TO:=?utf-8?Q?J?= <a@b>		a|b|		an encoded word is a name
		TO:=?utf-8?Q?J?=<a@b>		a|b|		without a blank, too
		TO:a= <a@b>			a|b|		a name that ends in "="
	S
}

@test "path: what RFC 5321 has not is told" {
	"$DRIVER" lenient FROM <<-'S'
		FROM:<a@b.example>		nothing		as RFC 5321 has it
		FROM:<>				nothing		a bounce
		from:<a.b@c> SIZE=1\s\s		nothing		any case, and blanks at the end
		FROM:<a@b>\t			nothing		a TAB at the end, too (4.1.1)
		FROM:<"..a b"@c>		nothing		dots in quotes
		FROM:<a@[IPv6:::1]>		nothing		a literal
		FROM:<\{64}a@b>			nothing		64 octets
		FROM:<\xc3\xa4@\xc3\xa4>	nothing		what RFC 6531 has
		FROM:a@b			no-brackets	none
		FROM :<a@b>			blank-before-colon	one
		FROM: <a@b>			blank-after-colon	one
		FROM\t:\t<a@b>			blank-before-colon,blank-after-colon	TABs
		FROM:J. Doe <a@b>		name-before-brackets	a name
		FROM:< a@b>			blank-in-brackets	in front
		FROM:<a@b >			blank-in-brackets	behind
		FROM:< >			blank-in-brackets	nothing else
		FROM:<.a@b>			dots		in front
		FROM:<a.@b>			dots		behind
		FROM:<a..b@c>			dots		doubled
		FROM:<a@b.>			trailing-dot	behind the domain
		FROM:<@r:a@b>			source-route	one hop
		FROM:<a>			no-domain	none
		FROM:<"a">			no-domain	a quoted one
		FROM:<\{65}a@b>			long-local-part	65 octets
		FROM:<"\{63}a"@b>		long-local-part	with their quotes
		FROM:<a@b_c>			underscore-in-domain	one
		FROM:<a_b@[x:y_z]>		nothing		but none in a literal, or a local part
		FROM:<@r_s:a@b>			source-route	nor in what is dropped
		FROM:<a@b>\tSIZE=1		tab-for-blank	before a parameter
		FROM:<a@b> SIZE=1\tBODY=7BIT	tab-for-blank	between two
		FROM: a.			no-brackets,blank-after-colon,dots,no-domain	many
		FROM : J <\t@r:\{65}.a@b_c.> X\t=	blank-before-colon,blank-after-colon,name-before-brackets,blank-in-brackets,dots,trailing-dot,source-route,long-local-part,underscore-in-domain,tab-for-blank	nearly all
	S
	"$DRIVER" lenient TO <<-'S'
		TO:<postmaster>		nothing			4.5.1
		TO:<PostMaster>		nothing			in any case
		TO:postmaster		no-brackets		without brackets
		TO:<postmasters>	no-domain		another
		TO:<a@b@c>		nothing			a second @ is told apart
		TO:<a.@b@c>		dots			a dot before it
		TO:<a@.b@c>		dots			and behind
	S
	"$DRIVER" lenient '' <<-'S'
		a			nothing			VRFY takes anything
		< a..b@c_d. >		nothing			really
	S
}

@test "path: what is told has names, in one order, with commas between" {
	"$DRIVER" put-lenient <<-'S'
		0	\e			none
		1	no-brackets		the first
		5	no-brackets,blank-after-colon	two
		32768	bare-newline		one more
		262144	not-offered		the last
		65535	no-brackets,blank-before-colon,blank-after-colon,name-before-brackets,blank-in-brackets,dots,trailing-dot,source-route,no-domain,long-local-part,underscore-in-domain,tab-for-blank,auth-parameter,no-helo,lf-line,bare-newline	the first 16
		524288	\e			no other bit has one
	S
}

@test "path: without brackets it ends at a blank" {
	"$DRIVER" path FROM <<-'S'
		FROM:a@b		a|b|		nothing behind it
		FROM:a@b SIZE=1		a|b|SIZE=1	a parameter
		FROM:a@b\tSIZE=1	a|b|SIZE=1	behind a TAB
		FROM:a@b\s		a|b|		a blank at the end
		FROM:a@b>		syntax		half a pair
		FROM:<a@b		syntax		the other half
		FROM:<a@b SIZE=1	syntax		the same, and a parameter
	S
}

@test "path: what follows it begins with a blank, and has none around it" {
	"$DRIVER" path FROM <<-'S'
		FROM:<a@b> SIZE=1			a|b|SIZE=1		one blank
		FROM:<a@b> \t SIZE=1 BODY=7BIT \t\s	a|b|SIZE=1 BODY=7BIT	many
		FROM:<a@b>\tSIZE=1			a|b|SIZE=1		a TAB
		FROM:<a@b>\s				a|b|			at the end only
		FROM:<a@b> <c@d>			a|b|<c@d>		the parameters are not this function's
		FROM:<a@b>SIZE=1			value			none
		FROM:<a@b>>				value			a bracket
		FROM:<a@b><c@d>				value			a path
		FROM:<a@b>, <c@d>			value			a list
		FROM:<a@b>\x00				value			NUL
		FROM:<a@b>\r				value			CR
		FROM:<<a@b>>				syntax			two brackets
	S
}

@test "path: octets over 127 pass as atext, in quotes and in sub-domains, and are told" {
	"$DRIVER" path TO <<-'S'
		TO:<\xc3\xbc@b>		\xc3\xbc|b||8		a local part
		TO:<"\xc3\xbc"@b>	"\xc3\xbc"|b||8		a quoted one
		TO:<"\\\xc3\xbc"@b>	"\\\xc3\xbc"|b||8	escaped
		TO:<a@\xc3\xbc.example>	a|\xc3\xbc.example||8	a domain
		TO:<a@b\xc3\xbc>	a|b\xc3\xbc||8		within a label
		TO:\xc3\xbc		\xc3\xbc|||8		neither brackets nor domain
		TO:<\xc3@\xa4>		\xc3|\xa4||8		that they are UTF-8 is not this function's to say
		TO:<\xff\x80@b>		\xff\x80|b||8		nor that they never are
		TO:<\xc3\xbc@b@c>	\xc3\xbc@b|c||8|@	with a second @
		TO:<a@b> X=\xc3\xbc	a|b|X=\xc3\xbc		in a parameter they are not the mailbox's
		TO:<a@[x:\xc3\xbc]>	syntax			no dcontent
	S
}

@test "path: a mailbox of 900 octets passes and one of 901 is too long" {
	"$DRIVER" path FROM <<-'S'
		FROM:<\{898}a@b>			\{898}a|b|		900, the most of it before the @
		FROM:<\{899}a@b>			long			901
		FROM:<\{644}a@\{255}b>			\{644}a|\{255}b|	900, with the longest domain
		FROM:<\{645}a@\{255}b>			long			901
		FROM:<\{899}a>				\{899}a||		no domain yet: the @ counts
		FROM:<\{900}a>				long			so 900 are one too many
		FROM:<"\{896}a"@b>			"\{896}a"|b|		with its quotes
		FROM:<"\{897}a"@b>			long			with its quotes, 901
		FROM:<a@\{255}b>			a|\{255}b|		a domain of 255 octets
		FROM:<a@\{256}b>			long			one of 256
		FROM:<a@\{255}b.>			a|\{255}b|		its last dot does not count
		FROM:<a@\{127}b.\{127}c>		a|\{127}b.\{127}c|	255 in two labels
		FROM:<a@\{127}b.\{128}c>		long			256 in two labels
		FROM:<a@[x:\{251}b]>			a|[x:\{251}b]|		a literal of 255
		FROM:<a@[x:\{252}b]>			long			a literal of 256
		FROM:<\{1800}a@b>			long			far over it
		FROM:<@\{255}r,@\{255}s:\{898}a@b>	\{898}a|b|		a source route does not count
		FROM:<\{901}a@b..c>			syntax			syntax comes first
		FROM:<\{901}a@b>x			value			and so does what follows
	S
}

@test "path: no octet behind the input is looked at, nor one before it" {
	local i row
	# each head of it gets a verdict; the pages around it trap the rest
	row='FROM : "J. D" <@r.example,@s:"a\\\\ b"@[IPv6:2001:db8::1]> SIZE=1'
	for ((i = 1; i <= ${#row}; i++)); do
		[[ ${row::i} = *\\ ]] || printf '%s\n' "${row::i}"
	done >rows
	"$DRIVER" path FROM <rows >out
	[ "$(tail -n 1 out)" = '"a\\\\ b"|[IPv6:2001:db8::1]|SIZE=1' ]
	[ "$(wc -l <out)" = "$(wc -l <rows)" ]
}
