# parse-options.bats - options as data: values, command lines, lines of a file,
# help; a program's words, and where it may be found.  smtpd(8), DESCRIPTION
#
# A row is input, verdict, reason; parse_driver.c says how octets are written,
# and has a table of options of its own.

# shellcheck disable=SC2030,SC2031,SC2154 # each, of parse.bash, sets x, c and i
load parse

@test "sizes: K and M are octets by the 1024, and none passes the limit" {
	"$DRIVER" size 4194304 <<-'S'
		0				0	none
		4096				4096	octets
		4K				4096	by the 1024
		3M				3145728	by the 1048576
		4M				4194304	the limit itself
		4194305				long	one more
		5M				long	a million more
		4097K				long	by the 1024
		18446744073709551615		long	the greatest there is
		18446744073709551615M		long	and so many times
		\e				syntax	nothing
		K				syntax	no digits
		4k				syntax	a small letter
		4KK				syntax	two of them
		4KM				syntax	and others
		4G				syntax	another letter
		-1				syntax	a sign
		\s1				syntax	a blank
		1\x00				syntax	NUL
		000000000000000000001		syntax	21 digits
	S
}

@test "lists: they are cut at every separator, and what is behind the last one counts" {
	"$DRIVER" cut <<-'S'
		a,b,cc		a|b|cc	parts
		a		a	a single one
		\e		\e	an empty one
		,		|	two of them
		a,		a|	one behind the last
		,a		|a	one in front
		a,,b		a||b	one between
		a|\x00,b	a|\x00|b	any octets
	S
}

@test "values: what --domain takes is a domain, one behind a dot, a literal, a star or a file" {
	"$DRIVER" domain-pattern <<-'S'
		a.example	yes	a domain
		localhost	yes	of one part
		.a.example	yes	what is below it
		.a		yes	of one part
		*		yes	any
		@file		yes	a file
		@ b		yes	of any name
		[192.0.2.7]	yes	a literal
		[IPv6:::1]	yes	of the other kind
		\e		no	nothing
		.		no	a dot
		@		no	no name
		..a		no	two dots
		*.a		no	a star in front
		.[192.0.2.7]	no	below a literal is nothing
		a b		no	a blank
		a/b		no	a slash
		a_b.example	yes	an underscore
	S
}

@test "values: a delimiter is one visible octet that no address or path has of its own, or none" {
	delimiter() {
		case $c in
		''|[[:cntrl:]]|' '|@|\"|\\|/)	row "$x" no ;;
		*)	row "$x" "$([ "$i" -lt 127 ] && echo yes || echo no)" ;;
		esac
	}
	each delimiter | "$DRIVER" delimiter
	"$DRIVER" delimiter <<-'S'
		\e	yes	none
		++	no	two
	S
}

@test "values: a server is an address and a port, and IPv6 has brackets" {
	"$DRIVER" server <<-'S'
		192.0.2.7:25		::ffff:192.0.2.7 25	IPv4
		[192.0.2.7]:25		::ffff:192.0.2.7 25	in brackets
		[2001:db8::1]:10023	2001:db8::1 10023	IPv6
		192.0.2.7:1		::ffff:192.0.2.7 1	the least port
		192.0.2.7:65535		::ffff:192.0.2.7 65535	the greatest
		192.0.2.7:65536		syntax	one more
		192.0.2.7:0		::ffff:192.0.2.7 0	any that is free
		192.0.2.7:		syntax	no digits
		192.0.2.7		syntax	no port
		192.0.2.7:+1		syntax	a sign
		:25			syntax	no address
		[]:25			syntax	none in brackets
		[:25			syntax	half of them
		2001:db8::1:25		syntax	IPv6 without brackets
		localhost:25		syntax	a name
		\e			syntax	nothing
		:			syntax	a colon
		192.0.2.7\x00:25	syntax	NUL
	S
}

@test "words: a command line is split at blanks and nothing else" {
	"$DRIVER" argv <<-'S'
		a			[a]		one
		a b			[a][b]		two
		\sa \t b\t		[a][b]		blanks around them
		"a b" 'c'		["a][b"]['c']	quotes are none of ours
		a\\ b			[a\\][b]	nor are backslashes
		\e			syntax		none
		\s\t			syntax		blanks
		\{1023}a		[\{1023}a]	as long as can be
		\{1024}a		long		one octet more
		\{1022}\sa		[a]		blanks count
		\{1023}\sa		long		and so they do here
	S
	words() { printf '%s\t%s\t%s words\n' "$(printf 'a %.0s' $(seq "$1"))" "$2" "$1"; }
	{ words 62 62; words 63 63; words 64 long; words 200 long; } |
	    "$DRIVER" argv n
}

@test "program: it is run once for all by {recipients}, and else for each" {
	"$DRIVER" program <<-'S'
		cat				each	no placeholder
		cat|{recipient}			each	one
		cat|{user}|{domain}|{extension}	each	more
		cat|{sender}			each	the sender
		cat|{recipients}		once	all of them
		cat|{sender}|{recipients}	once	and the sender, who is one
		cat|x{recipients}		each	a part of an argument is none
		cat|{Recipients}		each	nor is this
		cat|\e				each	an empty argument
	S
}

@test "program: its name is none of the client's words, and {recipients} is alone" {
	"$DRIVER" program <<-'S'
		\e				0: no name of 	no name
		{user}				0: no name of 	a placeholder
		/bin/{user}			0: no name of 	a part of it
		{recipients}			0: no name of 	all recipients
		cat|{recipients}|{recipients}	2: may be give	twice
		cat|{recipients}|{user}		2: {recipients	and one's own
		cat|{recipient}|{recipients}	2: {recipients	in the other order
		cat|x{domain}|{recipients}	2: {recipients	a part of one
		sh|-c|echo {user}		2: a placehold	a command
		sh|-c|x|{user}			each		what is behind it
		cat|{user};			1: a placehold	a sign of the shell
	S
}

@test "braces: a word in them that is nearly a placeholder is told, in a path and in an argument" {
	"$DRIVER" misspelt <<-'S'
		home/{user}		no	it is one
		{domain}/{extension}	no	and so are these
		home/{usr}		yes	a letter is missing
		home/{users}		yes	one too many
		{user}/{domian}		yes	two swapped
		{recipient}		yes	of an argument
		{sender}		yes	of an argument
		{something-else}	no	nothing like it
		{}			no	nothing
		{0}			no	a number
		{usr			no	half of braces
		usr}			no	and the other half
		{{usr}			yes	behind another brace
		{usr\x00}		yes	NUL is an octet
		\e			no	nothing
	S
	"$DRIVER" misspelt argument <<-'S'
		{recipient}{sender}	no	they hold here
		--to={recipients}	no	and this
		--to={recipent}		yes	a letter is missing
		{sendr}			yes	here too
	S
}

@test "places: a program is looked for in each directory of PATH, or where its slash says" {
	"$DRIVER" place <<-'S'
		/bin:/usr/bin|cat	/bin/cat /usr/bin/cat	in each
		/bin|./cat		./cat			a slash: there
		/bin|/a/cat		/a/cat			and there
		\e|cat			./cat			an empty one is here
		/bin:|cat		/bin/cat ./cat		so it is at the end
		:/bin|cat		./cat /bin/cat		and in front
		/bin|\e			/bin/			no name
	S
}

@test "options: what is set is told again as it was given" {
	"$DRIVER" option <<-'S'
		flag		none		not given
		flag|\e		=		given
		number|7	=7		a number
		number|1|99	=99		the last one counts
		size|4K		=4096		a size, in octets
		one		none		none chosen
		one|a		=a		a word
		one|a|cc	=cc		the last one counts
		some|a		=a		of several
		some|cc|a|cc	=a,cc		each, once
		some|cc,a	=a,cc		several at once
		some|a|b,cc	=a,b,cc		and more
		delimiter	=		none
		delimiter|+	=+		an octet
		delimiter|+|\e	=		taken back
		text		none		not given
		text|a b	=a b		any text
		host|mx.example	=mx.example	a name
		nets|192.0.2.0/24,::1	=192.0.2.0/24,::1	networks
		charset		=off		none
		charset|utf-8	=utf-8		one
		charset|utf-8|OFF	=off	taken back
		domain|a.example	none	they are the caller's to keep
		server|/run/s	=/run/s		a path
		server|127.0.0.1:25	=127.0.0.1:25	an address
		server|prog a:b/c	=prog a:b/c	a program
		server|prog a	=prog a		and another
	S
}

@test "options: a value that is wrong changes nothing" {
	"$DRIVER" option <<-'S'
		number|7|0		out of range: 1 to 99; =7	too little
		number|100		out of range: 1 to 99; =1	too much
		number|7|x		not a number; =7		none
		number|7|1K		not a number; =7		a size is none
		size|5K			out of range: 0 to 4096; =0	too much
		size|x			not a size; =0			none
		one|a|b c		none of these: a b cc; =a	two words
		one|a,b			none of these: a b cc; none	two of one
		some|a|b,x,cc		none of these: a b cc; =a	one of several
		some|,			none of these: a b cc; none	none of several
		one|A			none of these: a b cc; none	another case
		one|c			none of these: a b cc; none	half of one
		one|\e			none of these: a b cc; none	nothing
		delimiter|+|++		not one character of a local part; =+	two
		text|a|\e		empty; =a			nothing
		host|a|a b		not a domain name; =a		a blank
		charset|utf-8|\xff	not a charset; =utf-8		no charset
		domain|a b		not a domain, .domain, * or @file; none	a blank
		server|a|192.0.2.7:0	neither ADDRESS:PORT nor a path nor a program; =a	no port
		server|a|host:25	neither ADDRESS:PORT nor a path nor a program; =a	a name
	S
}

@test "files: a line is a name and a value, a comment, or nothing" {
	"$DRIVER" option-line <<-'S'
		number 7		number|7		both
		\s number \t 7\t	number|7		blanks around them
		NUMBER 7		number|7		in any case
		number			number|			no value
		number 7\r		number|7		CRLF
		text a b # c		text|a b # c		all of it
		flag			flag|			a flag
		flag x			takes no |x		with a value
		\e			nothing			an empty line
		\s\t			nothing			blanks
		\r			nothing			CRLF
		# number 7		nothing			a comment
		\s#			nothing			behind a blank
		#\x01			nothing			any octets, in a comment
		#\x00			a control|		but NUL
		number \x00		a control|		NUL
		number 7\x01		a control|		a control octet
		number\r7		a control|		a CR
		number 7\r\r		a control|		two of them
		numbe 7			no such o|7		not cut short
		-n 7			no such o|7		no hyphens
		other			not in a |		for the command line
	S
}

@test "help: what explains an option begins in one column, or behind a blank" {
	"$DRIVER" help 20 <<-'S'
		n	  -n, --number N    a number	both names
		f	  -f, --flag        a flag	no argument
		g	  -g                another	a letter only
		one	\s     --one W       a word	a name only
	S
	"$DRIVER" help 4 <<-'S'
		n	  -n, --number N a number	no room
		f	  -f, --flag a flag	none behind a name
	S
}
