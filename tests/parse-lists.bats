# parse-lists.bats - domain and user lists, local parts taken apart, and the
# Maildir paths made of them.  RFC 5321 sections 2.4, 4.1.2; DESIGN.md, 3 and 7
#
# A row is input, verdict, reason; parse_driver.c says how octets are written.
# Where a function takes several inputs there are bars between them.

load parse

@test "lists: a domain pattern is a name, .NAME for its subdomains, or * for any" {
	"$DRIVER" matches <<-'S'
		example.org|example.org			yes	the name
		example.org|EXAMPLE.Org			yes	in any case
		EXAMPLE.org|example.ORG			yes	on either side
		example.org|a.example.org		no	a subdomain
		example.org|org				no	the domain above
		example.org|xexample.org		no	the same end
		example.org|example.orgx		no	the same beginning
		example.org|example.com			no	another
		example.org|exampleXorg			no	a dot is no wildcard
		.example.org|a.example.org		yes	a subdomain
		.example.org|a.b.c.example.org		yes	of any depth
		.example.ORG|A.Example.org		yes	in any case
		.example.org|example.org		no	not the name itself
		.example.org|xexample.org		no	not the same end
		.example.org|a.example.org.evil		no	not in the middle
		.example.org|org			no	not the domain above
		.a|b.a					yes	the shortest
		.a|a					no	and not itself
		.a|.a					no	nor what is no domain
		.|a					no	a dot only
		*|a					yes	any
		*|a.b.c					yes	any
		*|[192.0.2.1]				yes	a literal, too
		**|a					no	no other wildcard
		*.a|b.a					no	nor this
		*a|ba					no	nor this
		[192.0.2.1]|[192.0.2.1]			yes	a literal is a name like others
		[IPv6:2001:DB8::1]|[ipv6:2001:db8::1]	yes	in any case
		[IPv6:2001:db8::1]|[IPv6:2001:db8:0::1]	no	compared as text
		\xc3\xa4.example|\xc3\xa4.EXAMPLE	yes	8 bit equals itself
		\xc3\xa4.example|\xc3\x84.example	no	and has no case
		|a					no	no pattern
	S
}

@test "lists: an entry is a line without its comment and the blanks around it" {
	"$DRIVER" list-line <<-'S'
		example.org			example.org		alone
		\s \t example.org \t\s		example.org		blanks around it
		example.org # ours		example.org		a comment
		example.org#ours		example.org		with no blank before it
		example.org # a # b		example.org		two of them
		a b				a b			a blank within stays
		\e				\e			an empty line
		\s\t\s				\e			blanks
		\x23 comment			\e			a comment
		\s\t# comment			\e			behind blanks
		\x23				\e			the sign only
		\x23\x23			\e			twice
		alice@example.org\t# she	alice@example.org	a user
		a\x00b				a\x00b			NUL is no end
	S
}

@test "lists: a user entry is user@domain, user in any domain, or @domain for all of it" {
	"$DRIVER" user <<-'S'
		al@example.org|al|al|example.org	yes	the address
		AL@Example.org|al|al|example.ORG	yes	in any case
		al@example.org|al|al|example.com	no	in another domain
		al@example.org|bo|bo|example.org	no	another user
		al@example.org|al|al|a.example.org	no	a subdomain
		al|al|al|example.org			yes	in any domain
		AL|al|al|example.com			yes	in any case
		al|alx|alx|example.org			no	a longer name
		alx|al|al|example.org			no	a shorter one
		@example.org|al|al|example.org		yes	anybody
		@EXAMPLE.org|bo|bo|example.org		yes	in any case
		@example.org|al|al|example.com		no	in another domain
		al|al+x|al|example.org			yes	without the extension
		al+x|al+x|al|example.org		yes	with it
		al+y|al+x|al|example.org		no	with another
		al@example.org|al+x|al|example.org	yes	without it, in the domain
		al+x@example.org|al+x|al|example.org	yes	with it
		al+x@example.org|al|al|example.org	no	one that was not given
		a@b@example.org|a@b|a@b|example.org	yes	a local part with an @, unquoted
		a@b|a@b|a@b|example.org			no	that is user a in domain b
		example.org|al|al|example.org		no	a domain without @ is a user
		@|al|al|example.org			no	no domain
		al@|al|al|example.org			no	no domain behind a user
		|al|al|example.org			no	nothing
	S
}

@test "lists: a whole list holds a recipient if one of its lines does, wherever it lies" {
	"$DRIVER" list users <<-'S'
		al@example.org\n|al|al|example.org		yes	the address
		al@example.org|al|al|example.org		yes	without a line end
		bo\nal\n|al|al|example.org			yes	the second, in any domain
		al\nbo\n|al|al|example.org			yes	the first
		bo\n \t al \t # she\r\n|al|al|example.org	yes	blanks and a comment
		al\r\n|al|al|example.org			yes	CRLF
		AL@EXAMPLE.org#x\n|al|al|example.org		yes	in any case
		@example.org\n|al|al|example.org		yes	all of the domain
		bo\n @EXAMPLE.org\n|al|al|example.org		yes	behind a blank
		@example.com\n|al|al|example.org		no	another
		al@example.com\n|al|al|example.org		no	another
		al+x\n|al+x|al|example.org			yes	with its extension
		al\n|al+x|al|example.org			yes	without
		al+y\nal-x\nalx\n|al+x|al|example.org		no	others
		a@b@example.org\n|a@b|a@b|example.org		yes	an @ in the local part
		\x23al\n|al|al|example.org			no	a comment
		xal\nalx\nx al\nal x\n|al|al|example.org	no	longer ones
		l\n|l|l|example.org				yes	one octet
		al\nl@x\nx l\n|l|l|example.org			no	and others
		a b@example.org\n|a b|a b|example.org		yes	a blank in it
		u1\nu12\nu2\n|u|u|example.org			no	others with more
		example.org\n|example.org|example.org|x	yes	one that looks like a domain
		x@example.org\n|example.org|example.org|x	no	and a domain that is none
		yx\n|x|yx|d					yes	a user that is no part of it
		x\n|x|yx|d					yes	nor is the local part
		@d\n|||d					yes	nobody
		\n\n|||d					no	and no entry
		\e|al|al|example.org				no	an empty list
		al|al+x|al|example.org				yes	the shortest
	S
	"$DRIVER" list domains <<-'S'
		example.org\n|example.org		yes	the name
		example.org|EXAMPLE.ORG			yes	in any case
		x\nexample.org\n|example.org		yes	the second
		.example.org\n|a.example.org		yes	of which it is a subdomain
		.org\n|a.example.org			yes	of which, too
		.example.org\n|example.org		no	not the name itself
		.ample.org\n|a.example.org		no	no label
		*\n|a					yes	any
		x\n * # all\r\n|a			yes	behind a blank
		**\n*a\n.\n|a				no	no such wildcard
		a.example.org\n|example.org		no	a subdomain
		org\n|example.org			no	the domain above
		example.org.x\n|example.org		no	a longer name
		\x23*\n|a				no	a comment
		host1.org\nhost12.org\n|host.org	no	others with more
		a\n|a					yes	one octet
		\e|a					no	an empty list
	S
}

@test "lists: a hundred thousand random lists hold what their lines do, and nothing else is read" {
	"$DRIVER" list-all <<<$'100000\tagrees\tby line or as a whole'
}

@test "lists: the extension begins behind the first delimiter that is not the first octet" {
	"$DRIVER" extension + <<-'S'
		a+b	a|b	one
		a+b+c	a|b+c	the first of two
		alice	alice|	none
		a+	a|	an empty one
		+a	+a|	the first octet is the user's
		+a+b	+a|b	and the next one counts
		++a	+|a	two at the head
		+	+|	nothing else
		a++b	a|+b	two together
		a-b	a-b|	another sign
		a\x00+b	a\x00|b	behind a NUL
		\e	|	nothing
	S
	"$DRIVER" extension - <<-'S'
		a-b	a|b	qmail's
		a+b	a+b|	the other sign
	S
	"$DRIVER" extension '' <<-'S'
		a+b	a+b|	no delimiter
		a\x00b	a\x00b|	that none is 0 does not make NUL one
	S
}

@test "lists: a file name is 1 to 255 octets, with no slash, no control octet, no dot or hyphen in front" {
	"$DRIVER" names-file <<-'S'
		alice		yes	a name
		a.b-c_d+e=f	yes	dots and hyphens within
		A		yes	one octet
		\{255}a		yes	255
		\{256}a		no	256
		\e		no	none
		.		no	the directory itself
		..		no	the one above
		.a		no	hidden; Maildir++'s folders
		-a		no	an option
		-		no	a hyphen only
		a-		yes	at the end
		a/b		no	a slash
		/		no	nothing else
		/a		no	in front
		a/		no	at the end
		a/../b		no	the way out
		a..b		yes	dots that lead nowhere
		a\x00		no	NUL at the end
		\x00a		no	in front
		a\x00b		no	in the middle
		a\nb		no	LF
		a\tb		no	TAB
		a\x1fb		no	the last of the control octets but
		a\x7fb		no	DEL
		a b		yes	a blank
		a\\b		yes	a backslash
		~a		yes	a tilde means nothing without a shell
		*?[a]		yes	nor do these
		\xc3\xa4	yes	UTF-8
		\xff		yes	and what is none
		a\xc2\x80	no	U+0080, a control character
		a\xc2\x9fb	no	U+009F, the last of them
		a\xc2\xa0	yes	U+00A0 is none
		a\xc2		yes	nor is half of one
	S
}

@test "lists: relaying in disguise is a %, ! or @ in a local part without quotes" {
	"$DRIVER" relays <<-'S'
		alice		no	a user
		a.b+c-d=e_f	no	signs without a meaning
		a%b		yes	the percent hack
		b!a		yes	a bang path
		a@b		yes	a second @
		%		yes	nothing else
		a%		yes	at the end
		!a		yes	in front
		"a%b"		no	in quotes
		"a@b"		no	in quotes
		"b!a"		no	in quotes
		\e		no	nothing
		a\x00%b		yes	behind a NUL
	S
}

@test "lists: unquoting takes away quotes and backslashes" {
	"$DRIVER" unquote <<-'S'
		a.b		a.b		no quotes
		"a.b"		a.b		needless ones
		"a b"		a b		a blank
		""		\e		nothing in them
		"a\\"b"		a"b		an escaped quote
		"a\\\\b"	a\\b		an escaped backslash
		"\\\\"		\\		and nothing else
		"\\\\\\""	\\"		both
		"\\a\\b"	ab		needless escapes
		"a@b"		a@b		an @
		"\\\xc3\xa4"	\xc3\xa4	8 bit
		\e		\e		nothing
		\{900}a		\{900}a		the longest
		"\{898}a"	\{898}a		in quotes
	S
}

@test "lists: a template is a path with {user}, {domain} or {extension} in it" {
	"$DRIVER" is-template <<-'S'
		/m/{user}	yes	one
		/m/{domain}/x	yes	another
		/m/{extension}	yes	the third
		{user}		yes	nothing else
		/m/x{user}y	yes	within a component
		/m/{{user}}	yes	within braces
		/m/box		no	none
		/m/{User}	no	in another case
		/m/{user	no	cut off
		/m/user}	no	the other half
		/m/{ user}	no	a blank
		/m/{}		no	empty
		/m/{recipient}	no	one of the programs'
		/m/{us/er}	no	a slash in it
		\e		no	nothing
		{		no	a brace
	S
}

@test "lists: a template is expanded once, in lower case, and other braces stay" {
	"$DRIVER" expand <<-'S'
		/m/{user}|al|example.org|		/m/al			one
		/m/{domain}/{user}|al|example.org|	/m/example.org/al	two
		/m/{user}|Al|X.org|			/m/al			folded
		/m/{domain}|Al|X.Org|			/m/x.org		folded
		/M/{user}|al|x|				/M/al			but the template is not
		/m/a{user}b{user}c|al|x|		/m/aalbalc		twice in a component
		/m/{user}/|al|x|			/m/al/			the last slash stays
		//m//{user}|al|x|			//m//al			and empty components
		m/{user}|al|x|				m/al			a path that is not absolute
		/m/{{user}}|al|x|			/m/{al}			other braces stay
		/m/{User}{x}{|al|x|			/m/{User}{x}{		they are no placeholders
		/m/{user}|{domain}|x|			/m/{domain}		a value is not expanded again
		/m/{domain}|al|{user}|			/m/{user}		whatever comes first
		/m/us{user|al|x|			/m/us{user		cut off
		/m/box|al|x|				/m/box			no template
		/m/{user}|\xc3\x84|x|			/m/\xc3\x84		8 bit has no case
		|al|x|					\e			nothing
	S
}

@test "lists: a component with {extension} is left out, with its slash, where there is none" {
	"$DRIVER" expand <<-'S'
		/m/{user}/{extension}|al|x|ext		/m/al/	the last one
		/m/{extension}/{user}|al|x|ext		/m/al	one in the middle
		/m/.{extension}x/{user}|al|x|ext	/m/al	with more in it
		{extension}/m|al|x|ext			m	the first one
		/m/{user}{extension}|al|x|ext		/m/	with {user} in it
		/m/{extension}|al|x|../b		/m/	its value is not looked at
	S
	"$DRIVER" expand extended <<-'S'
		/m/{user}/{extension}|al|x|ext		/m/al/ext	the last one
		/m/{extension}/{user}|al|x|ext		/m/ext/al	one in the middle
		/m/{user}/.{extension}/|al|x|Ext	/m/al/.Ext/	an extension is not folded
		/m/{extension}|al|x|			value		an empty one names no file
		/m/{extension}|al|x|.ext		value		nor does this
		/m/{extension}|al|x|a/b			value		nor this
	S
}

@test "lists: no extension leads to tmp, new or cur of a Maildir" {
	"$DRIVER" expand extended <<-'S'
		/m/{user}/{extension}|al|x|cur		value		one of a Maildir's own
		/m/{user}/{extension}|al|x|new		value		the second
		/m/{user}/{extension}|al|x|tmp		value		the third
		/m/{user}/{extension}|al|x|CuR		value		in any case
		/m/{extension}/box|al|x|new		value		before others
		/m/{extension}/|al|x|tmp		value		with a slash behind it
		/m/t{extension}|al|x|mp			value		made up with the template
		/m/{user}{extension}|ne|x|w		value		and with another value
		/m/.{extension}|al|x|cur		/m/.cur		a folder of that name
		/m/{extension}|al|x|curb		/m/curb		a longer name
		/m/{extension}|al|x|cu			/m/cu		a shorter one
		/m/{user}/new|al|x|ext			/m/al/new	the template's own
		/m/{user}|new|x|ext			/m/new		a user's name
	S
	"$DRIVER" expand <<-'S'
		/m/{user}/{extension}|al|x|cur		/m/al/		left out, it may be anything
	S
}

@test "lists: a component is a file's name as a whole, with what stands beside its values" {
	"$DRIVER" expand <<-'S'
		/m/{user}.d|\{253}a|x|	/m/\{253}a.d	255 octets
		/m/{user}.d|\{254}a|x|	value		256
		/m/{user}.d/box|\{254}a|x|	value		within a path
		/m/x{user}|\{255}a|x|	value		in front
		/m/{user}@{domain}|\{200}a|\{54}x|	/m/\{200}a@\{54}x	two values
		/m/{user}@{domain}|\{200}a|\{55}x|	value	are too long together
		/m/{user}/{domain}|\{200}a|\{200}x|	/m/\{200}a/\{200}x	each in its own
		/m/\{256}b/{user}|al|x|	/m/\{256}b/al	the template's own is no recipient's fault
	S
}

@test "lists: a value that is used and names no file is refused" {
	"$DRIVER" expand <<-'S'
		/m/{user}||x|		value		empty
		/m/{user}|..|x|		value		the directory above
		/m/{user}|.al|x|	value		a dot in front
		/m/{user}|-al|x|	value		a hyphen in front
		/m/{user}|a/b|x|	value		a slash
		/m/x{user}|../b|x|	value		behind other text, too
		/m/{user}|a\x00|x|	value		NUL
		/m/{user}|a\nb|x|	value		LF
		/m/{user}|\{256}a|x|	value		too long
		/m/{user}|\{255}a|x|	/m/\{255}a	not yet
		/m/{domain}|al||	value		an empty domain
		/m/{domain}|al|.x|	value		a dot in front of it
		/m/{domain}|..|x|	/m/x		a value not used may be anything
		/m/{user}|al|a/b|	/m/al		any of them
	S
}
