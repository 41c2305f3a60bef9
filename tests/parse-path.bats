# parse-path.bats - reverse-path and forward-path, and sendmail's variations
# RFC 5321, 4.1.2, 4.1.3 and appendix C; RFC 6531, 3.3

load parse

@test "path: what the grammar allows is read" {
	cases path FROM <<-'T'
	FROM:<a@b> => ok a|b|				# the plain case
	FROM:<> => ok ||					# the null sender
	from:<A@B.Example> => ok A|B.Example|		# case is kept
	FROM:<a.b.c@d> => ok a.b.c|d|			# Dot-string
	FROM:<!#$%&'*+-/=?^_`{|}~@d> => ok !#$%&'*+-/=?^_`{|}~|d|	# all of atext
	FROM:<""@d> => ok ""|d|				# an empty Quoted-string
	FROM:<"a b"@d> => ok "a b"|d|			# a blank in quotes
	FROM:<"a@b"@d> => ok "a@b"|d|			# an at sign in quotes
	FROM:<"a\\"b"@d> => ok "a\\"b"|d|			# a quoted quote
	FROM:<"a>b"@d> => ok "a>b"|d|			# a bracket in quotes
	FROM:<a@1.2.3.4> => ok a|1.2.3.4|			# digits are a Domain
	FROM:<a@x-y.z> => ok a|x-y.z|			# a hyphen within
	FROM:<a@x--y> => ok a|x--y|			# and two
	FROM:<a@_x._y> => ok a|_x._y|			# underscores are met in the field
	FROM:<a@[192.0.2.1]> => ok a|[192.0.2.1]|		# IPv4 literal
	FROM:<a@[IPv6:2001:db8::1]> => ok a|[IPv6:2001:db8::1]|	# IPv6 literal
	FROM:<a@[ipv6:::]> => ok a|[ipv6:::]|		# its tag in any case
	FROM:<a@[x400:y!z]> => ok a|[x400:y!z]|		# general literal
	FROM:<@a,@b.c:d@e> => ok d|e|			# a source route is dropped
	FROM:<@[192.0.2.1]:d@e> => ok d|e|		# of literals, too
	T
}

@test "path: sendmail's variations are read" {
	cases path FROM <<-'T'
	FROM: <a@b> => ok a|b|				# a blank behind the colon
	FROM:\t <a@b> => ok a|b|				# TAB is a blank
	FROM : <a@b> => ok a|b|				# a blank before it
	FROM:a@b => ok a|b|				# no brackets
	FROM:a => ok a||					# nor a domain
	FROM:<a> => ok a||				# no domain
	FROM:<a@b.> => ok a|b|				# a dot behind the domain
	FROM:a@b. => ok a|b|				# without brackets
	FROM:a@b. SIZE=1 => ok a|b|SIZE=1			# and with a parameter
	FROM:Al Pha <a@b> => ok a|b|			# a name in front
	FROM:"Pha, Al" <a@b> => ok a|b|			# a quoted one
	FROM:"<x@y>" <a@b> => ok a|b|			# that looks like a path
	FROM:Al P. Ha<a@b> => ok a|b|			# a dot in it, no blank
	FROM:<a@b>\x20\x20 => ok a|b|			# blanks behind
	FROM:<a@b>  SIZE=1\tX => ok a|b|SIZE=1\x09X		# parameters are left
	T
}

@test "path: what is no path is told" {
	cases path FROM <<-'T'
	FROM:x => ok x||					# to compare with
	FROM => value					# no colon
	TO:<a@b> => value					# another keyword
	FRO:<a@b> => value				# not all of it
	FROMX:<a@b> => value				# more than it
	:<a@b> => value					# no keyword
	FROM: => syntax					# no path
	FROM:\x20 => syntax				# a blank is none
	FROM:<a@b => syntax				# no end
	FROM:a@b> => syntax				# no beginning
	FROM:<<a@b>> => syntax				# twice
	FROM:<a@b>x => value				# something behind it
	FROM:< a@b> => syntax				# a blank within
	FROM:<a@b > => syntax				# and there
	FROM:<a b@c> => syntax				# and there
	FROM:<@b> => syntax				# no local part
	FROM:<a@> => syntax				# no domain behind the at sign
	FROM:<.a@b> => syntax				# a dot first
	FROM:<a.@b> => syntax				# last
	FROM:<a..b@c> => syntax				# twice
	FROM:<a@.b> => syntax				# in the domain first
	FROM:<a@b..> => syntax				# last twice
	FROM:<a@b..c> => syntax				# twice
	FROM:<a@-b> => syntax				# a hyphen first
	FROM:<a@b-> => syntax				# last
	FROM:<a@b-.c> => syntax				# last in a label
	FROM:<a(x)@b> => syntax				# a comment
	FROM:<a;b@c> => syntax				# a semicolon
	FROM:<"a@b> => syntax				# a quote that is not closed
	FROM:<"a"b@c> => syntax				# text behind it
	FROM:<"a\\> => syntax				# a backslash last
	FROM:<a@[1.2.3]> => syntax			# three numbers
	FROM:<a@[1.2.3.4.5]> => syntax			# five
	FROM:<a@[256.2.3.4]> => syntax			# too large
	FROM:<a@[01.2.3.4]> => syntax			# octal, or is it?
	FROM:<a@[1.2.3.4> => syntax			# no bracket
	FROM:<a@[]> => syntax				# nothing in it
	FROM:<a@[IPv6:1::2::3]> => syntax			# two gaps
	FROM:<a@[IPv6:1:2:3:4:5:6:7]> => syntax		# seven groups
	FROM:<a@[IPv6:1:2:3:4:5:6:7:8:9]> => syntax		# nine
	FROM:<a@[IPv6:12345::]> => syntax			# five digits
	FROM:<a@[IPv6:::1.2.3]> => syntax			# half an IPv4
	FROM:<a@[-x:y]> => ok a|[-x:y]|			# a tag is let-dig at its end only
	FROM:<a@[x-:y]> => syntax				# and this is none
	FROM:<a@[x:]> => syntax				# no content
	FROM:<a@[x:a\x5cb]> => syntax			# a backslash in it
	FROM:<@a:> => syntax				# a route to nowhere
	FROM:<@a,b:c@d> => syntax				# a route without at sign
	FROM:<@a@b> => syntax				# a route without colon
	T
}

@test "path: a second at sign is read, and told" {
	cases path TO <<-'T'
	TO:<a@b@c> => ok a@b|c| second@			# relaying in disguise
	TO:<a@b@c@d> => ok a@b@c|d| second@		# and twice
	TO:<a%b@c> => ok a%b|c|				# that is for smtp_relays
	TO:<"a@b"@c> => ok "a@b"|c|			# quoted it is none
	TO:<a@[1.2.3.4]@c> => syntax			# a literal does not relay
	T
}

@test "path: octets beyond ASCII are read, and told" {
	cases path TO <<-'T'
	TO:<\xc3\xa4@b> => ok \xc3\xa4|b| 8bit		# in the local part
	TO:<a@\xc3\xa4.b> => ok a|\xc3\xa4.b| 8bit		# in the domain
	TO:<"\xe4"@b> => ok "\xe4"|b| 8bit			# quoted, and no UTF-8
	TO:<\xff@b> => ok \xff|b| 8bit			# is for the caller to judge
	T
}

@test "path: control octets and NUL are in no path" {
	local x
	for x in 00 01 09 0a 0b 0d 1f 7f; do
		printf 'FROM:<a\\x%s@b> => syntax\n' $x
		printf 'FROM:<a@b\\x%sc> => syntax\n' $x
		printf 'FROM:<"a\\x%s"@b> => syntax\n' $x
	done >all
	cases path FROM <all
}

@test "path: the limits are 900 octets, and 255 of domain" {
	local l895 d255
	printf -v l895 '%0895d' 0
	printf -v d255 '%0255d' 0
	{
		printf 'FROM:<%s@b.cd> => ok %s|b.cd|\n' "${l895}" "${l895}"
		printf 'FROM:<%s0@b.cd> => long\n' "${l895}"
		printf 'FROM:<a@%s> => ok a|%s|\n' "$d255" "$d255"
		printf 'FROM:<a@%s.> => ok a|%s|\n' "$d255" "$d255"
		printf 'FROM:<a@%s0> => long\n' "$d255"
		# where a domain is still to come
		printf 'FROM:<%s0000> => ok %s0000||\n' "$l895" "$l895"
		printf 'FROM:<%s00000> => long\n' "$l895"
	} >all
	cases path FROM <all
}

@test "path: without a keyword it is VRFY's" {
	cases path '' <<-'T'
	<a@b> SMTPUTF8 => ok a|b|SMTPUTF8			# with parameter
	a => ok a||					# a name alone
	T
}
