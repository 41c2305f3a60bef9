# parse-words.bats - commands, openings, names, lists, templates, dates, Received
# RFC 5321, 4.1.1, 4.1.2, 4.1.3, 4.4; RFC 5322, 3.3

load parse

@test "command: verb and argument" {
	cases command <<-'T'
	NOOP => ok NOOP|
	mail FROM:<a> => ok mail|FROM:<a>
	MAIL \t FROM:<a>\t\x20 => ok MAIL|FROM:<a>		# blanks around
	 => ok |						# an empty line
	\x20NOOP => ok |NOOP				# a blank first
	N\xc3\xa4 x => ok N\xc3\xa4|x			# 8-bit passes
	NO\0OP => syntax
	NOOP\r => syntax
	NO\nOP => syntax
	NOOP \x7f => syntax
	NOOP \x1b[m => syntax
	T
}

@test "opening: what is foreign, at its first octets" {
	cases opening <<-'T'
	EHLO x\r\n => smtp
	\x16\x03\x01\x02\x00 => tls
	\x16\x03 => tls
	\x16 => more
	\x16\x02 => smtp
	GET / HTTP/1.0\r\n => http
	POST /x => http
	PRI * HTTP/2.0\r\n => http
	CONNECT x:25 => http
	OPTIONS * => http
	GETX => smtp					# no blank behind it
	get / => smtp					# methods have a case
	PROXY TCP4 => proxy
	PROXY => more
	PROX\r\n => smtp
	\r\n\r\n\0\r\nQUIT\n\x21 => proxy
	\r\n\r\n\0\r\nQUIT => more
	\r\n => more
	\r\nEHLO => smtp
	\n => smtp
	H => more
	HELO => smtp
	DATA => smtp
	 => more
	T
}

@test "distance: slips of the hand" {
	cases distance <<-'T'
	MAIL\tmail => 0
	MAIL\tMIAL => 1					# two swapped
	MAIL\tMAI => 1					# one left out
	MAIL\tMAIIL => 1					# one too many
	MAIL\tNAIL => 1					# one wrong
	MAIL\tQUIT => 3
	MAIL\t => 4
	ABCDEFGHIJ\tKLMNOPQRST => 9			# no use in counting on
	ABCDEFGHIJKLMNOPQ\tA => 9				# too long
	T
}

@test "addresses of hosts" {
	cases ip <<-'T'
	192.0.2.1 => 00000000000000000000ffffc0000201
	::ffff:192.0.2.1 => 00000000000000000000ffffc0000201
	::FFFF:c000:201 => 00000000000000000000ffffc0000201
	:: => 00000000000000000000000000000000
	::1 => 00000000000000000000000000000001
	1:: => 00010000000000000000000000000000
	2001:db8::a:1 => 20010db80000000000000000000a0001
	1:2:3:4:5:6:7:8 => 00010002000300040005000600070008
	1:2:3:4:5:6:7:: => 00010002000300040005000600070000
	::2:3:4:5:6:7:8 => 00000002000300040005000600070008
	1:2:3:4:5:6:1.2.3.4 => 00010002000300040005000601020304
	1::1.2.3.4 => 00010000000000000000000001020304
	 => syntax
	1.2.3 => syntax
	1.2.3.4. => syntax
	1.2.3.400 => syntax
	1.2.3.4\x20 => syntax
	1.2.3.4\0 => syntax
	01.2.3.4 => syntax
	0x1.2.3.4 => syntax
	: => syntax
	::: => syntax
	1: => syntax
	:1 => syntax
	1:::2 => syntax
	1::2::3 => syntax
	1:2:3:4:5:6:7:8: => syntax
	1:2:3:4:5:6:7:8:: => syntax
	::1:2:3:4:5:6:7:8 => syntax
	1:2:3:4:5:6:7:1.2.3.4 => syntax
	1.2.3.4::1 => syntax
	fe80::1%eth0 => syntax
	[::1] => syntax
	g:: => syntax
	T
}

@test "domains, hosts and literals" {
	cases is <<-'T'
	a => domain host -
	A.b-c.1 => domain host -
	_a => domain host -
	a. => - - -					# the dot is the path's
	.a => - - -
	a..b => - - -
	-a => - - -
	 => - - -
	\xc3\xa4.b => domain - -
	\xe4.b => - - -					# no UTF-8
	[192.0.2.1] => - - literal
	[IPv6:::1] => - - literal
	[::1] => - - -
	[x:y]z => - - -
	a b => - - -
	a\0b => - - -
	T
}

@test "local parts: quotes, extensions, relaying, file names" {
	cases words + <<-'T'
	alice => alice|alice| file
	alice+x => alice+x|alice|x file
	alice+x+y => alice+x+y|alice|x+y file
	alice+ => alice+|alice| file
	+x => +x|+x| file					# not at the first octet
	"a b" => a b|a b| file
	"a\\"b" => a"b|a"b| file
	"a+b" => a+b|a|b file
	"" => ||						# names no file
	a%b => a%b|a%b| relays file
	a!b => a!b|a!b| relays file
	a@b => a@b|a@b| relays file
	"a%b" => a%b|a%b| file				# quoted it is a name
	.a => .a|.a|					# none
	-a => -a|-a|					# none
	a/b => a/b|a/b|					# none
	"a\\\x07" => a\x07|a\x07|				# none
	T
	cases words <<-'T'
	alice+x => alice+x|alice+x| file			# no delimiter
	T
}

@test "lists: domains" {
	cases matches <<-'T'
	example.org\tEXAMPLE.ORG => yes
	example.org\tx.example.org => no
	.example.org\tx.example.org => yes
	.example.org\tx.Y.Example.org => yes
	.example.org\texample.org => no
	.example.org\t.example.org => no
	.example.org\txexample.org => no
	*\tanything => yes
	.\tx => no
	\tx => no
	T
}

@test "lists: users" {
	cases user <<-'T'
	alice\talice\talice\tb.c => yes
	ALICE@B.C\talice\talice\tb.c => yes
	alice@x\talice\talice\tb.c => no
	@b.c\tbob\tbob\tb.c => yes
	@x\tbob\tbob\tb.c => no
	alice\talice+x\talice\tb.c => yes
	alice+x\talice+x\talice\tb.c => yes
	alice+x\talice\talice\tb.c => no
	a@b@b.c\ta@b\ta@b\tb.c => yes
	\x20alice \x23 her\talice\talice\tb.c => yes
	\x23alice\talice\talice\tb.c => no
	alice\r\talice\talice\tb.c => yes
	T
}

@test "templates" {
	cases expand extended <<-'T'
	/m/{user}\tAlice\tB.C\tX => ok /m/alice
	/m/{domain}/{user}\ta\tB.C\t => ok /m/b.c/a
	/m/{user}/.{extension}\ta\tb\tLists => ok /m/a/.Lists
	{user}{user}\ta\tb\t => ok aa
	/m/{users}/{user}\ta\tb\t => ok /m/{users}/a
	/m/{user}\t{domain}\tb\t => ok /m/{domain}
	/m\ta\tb\t => ok /m plain
	/m/{user}\t../x\tb\t => value
	/m/{user}\t\tb\t => value
	/m/{user}\t-x\tb\t => value
	/m/{user}/{extension}\ta\tb\t.x => value
	/mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm/{user}\ta\tb\t => long
	T
	cases expand <<-'T'
	/m/{user}/.{extension}\ta\tb\tx => ok /m/a/
	/m/.{extension}/{user}\ta\tb\tx => ok /m/a
	T
}

@test "dates" {
	cases date <<-'T'
	0 => Thu, 01 Jan 1970 00:00:00 +0000
	951782400 => Tue, 29 Feb 2000 00:00:00 +0000
	951868800 => Wed, 01 Mar 2000 00:00:00 +0000
	1078012800 => Sun, 29 Feb 2004 00:00:00 +0000
	4107542400 => Mon, 01 Mar 2100 00:00:00 +0000
	1795477096 => Mon, 23 Nov 2026 23:38:16 +0000
	1798761599 => Thu, 31 Dec 2026 23:59:59 +0000
	2147483648 => Tue, 19 Jan 2038 03:14:08 +0000
	253402300799 => Fri, 31 Dec 9999 23:59:59 +0000
	T
}

@test "dates: each day for ninety years is date(1)'s" {
	local s=43200
	while [ $s -lt 2900000000 ]; do
		echo $s
		s=$((s + 86400))
	done >days
	"$DRIVER" date <days >got
	sed 's/^/@/' days | LC_ALL=C date -u -f - '+%a, %d %b %Y %H:%M:%S +0000' |
	    cmp - got
}

@test "Received: names, addresses, and what HELO may not say" {
	cases received <<-'T'
	c.example\t\t192.0.2.7\ta@b => Received: from c.example ([192.0.2.7]) by mx.example with ESMTP id 1.M2P3Q4\n\x09for <a@b>; Thu, 01 Jan 1970 00:00:00 +0000\n
	c.example\tn.example\t192.0.2.7\t => Received: from c.example (n.example [192.0.2.7]) by mx.example with ESMTP\n\x09id 1.M2P3Q4; Thu, 01 Jan 1970 00:00:00 +0000\n
	\t\t\t => Received: from unknown (unknown) by mx.example with ESMTP id 1.M2P3Q4;\n\x09Thu, 01 Jan 1970 00:00:00 +0000\n
	[1.2.3.4]\t\t2001:db8::1\t => Received: from [1.2.3.4] ([IPv6:2001:db8::1]) by mx.example with ESMTP\n\x09id 1.M2P3Q4; Thu, 01 Jan 1970 00:00:00 +0000\n
	a(b)\xe4;c\t\t\t => Received: from a?b???c (unknown) by mx.example with ESMTP id 1.M2P3Q4;\n\x09Thu, 01 Jan 1970 00:00:00 +0000\n
	T
}

@test "values in a log are escaped" {
	cases escaped <<-'T'
	plain text => plain text
	"\r\n\x1b => \\x22\\x0d\\x0a\\x1b
	\\ => \\x5c
	\xc3\xa4\0\x7f => \\xc3\\xa4\\x00\\x7f
	%s%n => %s%n
	T
	printf '%0300d\n' 0 | "$DRIVER" escaped >got
	printf '%0256d...\n' 0 | cmp - got
}
