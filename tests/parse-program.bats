# parse-program.bats - arguments and environment of a program, what it says, and
# what a policy server says.  RFC 3463 section 2; Postfix, access(5)
#
# A row is input, verdict, reason; parse_driver.c says how octets are written.

load parse

@test "argument: placeholders are replaced once, and nothing else is" {
	"$DRIVER" argument <<-'S'
		{recipient}|u@d|U|D|e|s		u@d	the address
		{user}|u@d|UsEr|D|e|s		user	in lower case
		{domain}|u@d|U|D.Org|e|s	d.org	in lower case
		{extension}|u@d|U|D|Ext|s	Ext	as it was sent
		{extension}|u@d|U|D||s		\e	empty
		{sender}|u@d|U|D|e|S@c		S@c	the sender
		a{user}b{user}|u@d|U|D|e|s	aubu	twice
		{user}|u@d|{domain}|D|e|s	{domain}	not again
		{{user}}|u@d|U|D|e|s		{u}	braces around it
		{user|u@d|U|D|e|s		{user	half of one
		{USER}{x}{}{recipients}|u@d|U|D|e|s	{USER}{x}{}{recipients}	none of them
		\e|u@d|U|D|e|s			\e	empty
		{recipient}{sender}|u@d|U|D|e|~	u@d{sender}	one that has no value
	S
}

@test "argument: no value makes an option or a path" {
	"$DRIVER" argument <<-'S'
		{recipient}|-u@d|-u|D|e|s	value	a hyphen in front
		{user}|-u@d|-u|D|e|s		value	of the user
		x{user}|-u@d|-u|D|e|s		x-u	behind something
		-{user}|-u@d|-u|D|e|s		--u	behind a hyphen of the administrator's
		{extension}{user}|-u@d|-u|D||s	value	behind nothing
		{extension}{user}|-u@d|-u|D|e|s	e-u	behind something that came
		{sender}|u@d|U|D|e|-s@c		value	of the sender
		{recipient}|a/b@d|a/b|D|e|s	a/b@d	a slash in an address
		{user}|a/b@d|a/b|D|e|s		value	in a user
		{extension}|u@d|U|D|a/b|s	value	in an extension
		/m/{recipient}|a/b@d|a/b|D|e|s	value	in a path
		/m/{sender}|u@d|U|D|e|a/b@c	value	the sender, in a path
		{sender}|u@d|U|D|e|a/b@c	a/b@c	the sender alone
		{domain}|u@d|-u|D|e|-s		d	another's hyphen
	S
	"$DRIVER" argument <<-'S'
		{user}|..+x@d|..|D|x|s		value	two dots
		{user}|.+x@d|.|D|x|s		value	one
		/m/{user}|..+x@d|..|D|x|s	value	in a path
		--dir={user}|..+x@d|..|D|x|s	value	in an option
		{user}|.u@d|.u|D|e|s		value	a dot in front of a name
		{extension}|u+..@d|u|D|..|s	value	of the extension
		/m/{extension}{extension}|u+.@d|u|D|.|s	value	that make two
		/m/.{extension}|u+.@d|u|D|.|s	value	behind another
		{extension}|u+.b@d|u|D|.b|s	.b	with more behind it
		/m/{recipient}|.u@d|.u|D|e|s	value	of an address, in a path
		/m/{sender}|u@d|u|D|e|.s@c	value	of the sender, in a path
		{recipient}|.u@d|.u|D|e|s	.u@d	of an address alone
		-f{sender}|u@d|u|D|e|.s@c	-f.s@c	of the sender alone
		/m/{user}|u..v@d|u..v|D|e|s	/m/u..v	within
		/m/{user}|u.@d|u.|D|e|s		/m/u.	behind
	S
	"$DRIVER" argument quoted <<-'S'
		{recipient}|u@d|U|D|e|s		value	it needs quotes
		{user}|u@d|U|D|e|s		value	and so does a part of it
		{extension}|u@d|U|D|e|s		value	any part
		{domain}|u@d|U|D|e|s		d	but not the domain
		{sender}|u@d|U|D|e|s		s	nor the sender
	S
	"$DRIVER" argument sender-quoted <<-'S'
		{recipient}{domain}|u@d|U|D|e|s	u@dd	another's quotes
		{sender}|u@d|U|D|e|s		value	its own
	S
}

@test "argument: which have placeholders" {
	"$DRIVER" has-argument <<-'S'
		{user}			yes	one
		a{sender}b		yes	within
		{extension		no	half of one
		{recipients}		no	all of them is another matter
		{User}			no	in this case only
		\e			no	nothing
	S
}

@test "address: quotes stay where they are needed" {
	"$DRIVER" address <<-'S'
		u|d			u@d plain	none
		"u"|d			u@d plain	not needed
		"u.v+w"|d		u.v+w@d plain	not needed
		"\\u"|d			u@d plain	a backslash that is not needed
		"u v"|d			"u v"@d quoted	a blank
		".u"|d			".u"@d quoted	a dot in front
		"u..v"|d		"u..v"@d quoted	two dots
		""|d			""@d quoted	nothing
		.u..v.|d		.u..v.@d plain	dots that came without quotes
		..+x|d			..+x@d plain	only, before an extension
		"u@v"|d			"u@v"@d quoted	an at
		"u\\"v"|d		"u\\"v"@d quoted	a quote
		\xc3\xa4|d		\xc3\xa4@d plain	UTF-8
	S
}

@test "command: no placeholder behind an option that may take a command, of any program" {
	"$DRIVER" is-command <<-'S'
		sh|-c|{recipient}		{recipient}	a shell
		sh|-ec|{recipient}		{recipient}	with other letters
		sh|-euxc|{user}			{user}		four
		sh|-lxeuc|{user}		{user}		five
		bash|-lc|--|x{user}		x{user}		behind the end of options
		bash|-c|-e|{sender}		{sender}	behind another option
		sh|-c|+x|{user}			{user}		with a plus
		bash|-co|errexit|{user}		{user}		behind the word of -o
		bash|-c|-o|errexit|{user}	{user}		in a word of its own
		bash|-c|+o|{domain}|x		{domain}	the word itself
		bash|-c|--posix|{user}		{user}		an o in a long one takes none
		env|X=1|dash|-x|-c|{domain}	{domain}	a program before it
		su|-c|{extension}|mail		{extension}	others
		flock|FILE|-c|x {recipient}	x {recipient}	others
		sg|GROUP|-c|{recipient}		{recipient}	others
		script|-c|{recipient}		{recipient}	others
		cat|-c|{user}			{user}		any
		find|.|-exec|{user}		{user}		find
		perl|-e|{user}			{user}		Perl
		perl|-ne|{user}			{user}		with another letter
		perl|-lpe|{user}		{user}		with two
		sh|-c|{recipients}		{recipients}	all of them
		sh|-c|x{recipients}y		x{recipients}y	where they are but text
		script|--command|{user}		{user}		a long option
		x|--exec|{user}			{user}		another
		x|--execute|{user}		{user}		another
		x|--eval|{user}			{user}		another
		sed|--expression|{user}		{user}		another
		x|--comm|{user}			{user}		cut short
		su|--session-command|{user}	{user}		behind another word
		sh|-c|{user}|-c|{user}		{user}; {user}	each
		sh|-c|-{user}			-{user}		an option, too
	S
}

@test "command: nor in one word with such an option" {
	"$DRIVER" is-command <<-'S'
		x|--command={recipient}		--command={recipient}	a long one
		x|--exe={user}			--exe={user}	cut short
		x|--session-command={user}	--session-command={user}	behind another word
		x|--eval=a={user}		--eval=a={user}	the first sign counts
		su|-c{user}			-c{user}	a short one
		su|-lc{user}			-lc{user}	with other letters
		perl|-ne{user}			-ne{user}	Perl
		su|-c=x{user}			-c=x{user}	with a sign
		su|-c/bin/{user}		-c/bin/{user}	with a path
		x|-f{sender}			good		another letter
		x|-d/m/{recipient}		good		and a path
		x|--to={recipient}		good		another word
		x|-to={user}			good		with one hyphen
		x|--commander={user}		good		a longer word
	S
}

@test "command: what is no command may have placeholders" {
	"$DRIVER" is-command <<-'S'
		procmail|-t|-a|{extension}|-d|{user}			good	procmail
		procmail|-m|RECIPIENT={recipient}|rc			good	with a variable
		dovecot-lda|-e|-f|{sender}|-a|{recipient}|-d|{user}	good	an -e without an argument
		sendmail|-i|-f|{sender}|--|{recipients}			good	sendmail
		prog|x{foo}{user}					good	lone braces
		prog|<x>|y						good	signs without a placeholder
		sh|-c|x "$1"|sh|{recipient}				good	a word behind the command
		sh|-c|x|{user}						good	behind a command of one word
		sh|-e|./prog|{user}					good	a script, not a command
		sh|./prog|{user}					good	the same
		prog|-c|file|-d|{user}					good	an argument that is given
		prog|-config|{user}					good	a word of six letters
		prog|-mode|{user}					good	one of four with an e
		prog|-C|{user}						good	another letter
		prog|-c5|{user}						good	not all letters
		prog|c|{user}						good	no option
		prog|--|{user}						good	the end of options
		prog|-|{user}						good	standard input
		prog|-o|x|{user}					good	an -o without a -c
		prog|--no-commands|{user}				good	another long one
		prog|--sender|{sender}					good	another
		\e							good	nothing
	S
}

# shellcheck disable=SC2154 # the loop that calls it sets them
command_octet() {
	case $c in
	[0-9a-zA-Z{}=%,@:/+._^-])	row "$x" good ;;
	*)	if [ "$i" -lt 128 ]; then row "$x" bad; else row "$x" good; fi ;;
	esac
}

@test "command: a placeholder stands beside letters, digits and { } = % , @ : / + - . _ ^, and nothing that a shell looks at" {
	each command_octet >rows
	"$DRIVER" is-command-with <rows
	"$DRIVER" is-command-with <<-'S'
		\xc3\xa4	good	UTF-8
		\xc2\x85	bad	a control character in two octets
		{foo}		good	other braces
		--x=		good	an option
		system("	bad	a program's text
	S
}

@test "environment: which values may stand in it" {
	"$DRIVER" environment <<-'S'
		\e			yes	nothing
		a=b $(x) `y`		yes	what no shell looks at
		()			no	a function
		() { :; }		no	a function
		(			yes	half of it
		x()			yes	not in front
		a\nb			no	a line feed
		a\tb			no	a control octet
		a\x7fb			no	a control octet
		a\x00b			no	NUL
		\xc3\xa4		yes	UTF-8
		a\xc2\x85b		no	U+0085, a control character
		\xc3			no	no UTF-8
		\xff			no	no UTF-8
	S
}

@test "enhanced: a code of the class, a blank and words" {
	"$DRIVER" enhanced 4 <<-'S'
		4.2.2 over quota	4.2.2 over quota	as it should be
		4.2.2   over quota\s\s	4.2.2 over quota	blanks around
		4.123.123 x		4.123.123 x	three digits
		4.1234.1 x		syntax	four
		4.1.1234 x		syntax	four
		4.2.2			syntax	no words
		4.2.2\s			syntax	no words
		4.2.2x			syntax	no blank
		4.2 x			syntax	two numbers
		4..2 x			syntax	an empty one
		3.2.2 x			syntax	no class
		44.2.2 x		syntax	no class
		5.2.2 x			value	another class
		2.2.2 x			value	another class
		\s4.2.2 x		syntax	a blank in front
		\e			syntax	nothing
	S
	"$DRIVER" enhanced <<-'S'
		4.2.2 x			4.2.2 x	either
		5.2.2 x			5.2.2 x	either
		2.2.2 x			value	not this
	S
}

@test "last: the last line that is not empty, if it is fit" {
	"$DRIVER" last <<-'S'
		a			a	without an end
		a\n			a	with one
		a\r\n			a	with CRLF
		a\n\n\r\n\n		a	empty lines behind
		a\nb			b	the last
		a\nb\n			b	the last
		\n\na			a	empty lines before
		\e			\e	nothing
		\n			\e	nothing
		\r\n			\e	nothing
		a\rb\n			\e	a CR within
		a\r\r\n			\e	two CR
		a\tb			\e	a control octet
		\xc3\xa4		\e	no ASCII
		\xc3\xa4\nb		b	the line before does not count
		b\n\xc3\xa4		\e	and the one behind does
		a\x00b			\e	NUL
		\{200}x			\{200}x	the longest
		\{201}x			\e	one more
		\{201}x\na		a	another line
		a\n\{300}x\n		\e	not the one before
		\{200}x\r\n		\{200}x	its end does not count
	S
}

@test "words: printable ASCII, the rest is ?, 200 octets" {
	"$DRIVER" words <<-'S'
		a b			a b	as they are
		a\r\nb			a??b	line ends
		\xc3\xa4		??	no ASCII
		\{201}x			\{200}x	too many
		\e			\e	nothing
	S
}

@test "policy: the first action, ended by an empty line" {
	"$DRIVER" policy <<-'S'
		action=DUNNO\n\n	pass\s	passes
		action=ok\n\n		pass\s	in any case
		action=DEFER_IF_REJECT x\n\n	pass x	passes
		action=DUNNO\r\n\r\n	pass\s	CRLF
		ACTION=DUNNO\n\n	pass\s	the name, too
		a=b\naction=OK\nc=d\n\n	pass\s	among others
		action=OK\naction=REJECT\n\n	pass\s	the first
		action=OK\n\naction=REJECT\n\n	pass\s	what is behind is not looked at
		action=OK\n		more	no empty line
		action=OK		more	no line end
		\e			more	nothing
		\n			syntax	no action
		action=\n\n		syntax	an empty one
		action\n\n		syntax	no value
		xaction=OK\n\n		syntax	another name
		hello\n\n		syntax	no pair
	S
}

@test "policy: what refuses, with its code" {
	"$DRIVER" policy <<-'S'
		action=REJECT\n\n	refuse 554 []\s	bare
		action=reject no\n\n	refuse 554 [] no	with words
		action=REJECT 5.7.23 no\n\n	refuse 554 [5.7.23] no	with a code of its class
		action=REJECT 4.7.1 no\n\n	refuse 554 [] 4.7.1 no	with one of another
		action=DEFER\n\n	refuse 450 []\s	later
		action=DEFER_IF_PERMIT 4.2.0 x\n\n	refuse 450 [4.2.0] x	later
		action=450\n\n		refuse 450 []\s	a code
		action=421 4.7.1 x\n\n	refuse 421 [4.7.1] x	a code
		action=550  x  y \n\n	refuse 550 [] x  y	a code
		action=559 x\n\n	refuse 559 [] x	the highest
		action=560 x\n\n	other x	no reply code
		action=250 x\n\n	other x	no refusal
		action=55 x\n\n		other x	two digits
		action=5500 x\n\n	other x	four
		action=REJECTX\n\n	other\s	another word
	S
}

@test "policy: PREPEND wants a header field" {
	"$DRIVER" policy <<-'S'
		action=PREPEND X-A: b\n\n	prepend X-A: b	a field
		action=prepend X-A:\n\n		prepend X-A:	an empty one
		action=PREPEND X-A: \xc3\xa4\n\n	prepend X-A: \xc3\xa4	UTF-8
		action=PREPEND X-A: \xff\n\n	other X-A: \xff	not so
		action=PREPEND X A: b\n\n	other X A: b	a blank in the name
		action=PREPEND : b\n\n		other : b	no name
		action=PREPEND b\n\n		other b	no colon
		action=PREPEND\n\n		other\s	nothing
		action=PREPEND X-A: b\rX-B: c\n\n	other X-A: b\rX-B: c	a CR
		action=PREPEND X-A: b\x00\n\n	other X-A: b\x00	NUL
		action=PREPEND X-A: b\xc2\x85\n\n	other X-A: b\xc2\x85	U+0085, a control character
		action=PREPEND X-A:\tb\n\n	prepend X-A:\tb	a TAB
		action=WARN x\n\n		warn x	to be logged
		action=INFO x\n\n		warn x	to be logged
		action=HOLD\n\n			other\s	not known
	S
}

@test "put-variable: NAME=value and a NUL, or nothing at all" {
	"$DRIVER" put-variable <<-'S'
		USER|u		USER=u\x00	a variable
		USER|		USER=\x00	without a value
		A|b=c d		A=b=c d\x00	any text
		A|a\nb		not		a control character
		A|a\x00b		not		a NUL
		A|() { :; }	not		what old shells run
		A|\xff		not		no UTF-8
	S
}
