# parse-params.bats - parameters of MAIL and RCPT, the argument of BDAT
# RFC 5321, 4.1.2; RFC 1870, 3030, 3461, 4954, 6531

load parse

@test "parameters of MAIL: the known ones with good values" {
	cases mail <<-'T'
	 => ok						# none at all
	SIZE=0 => ok size=0				# no size
	size=1000 => ok size=1000				# any case
	SIZE=18446744073709551615 => ok size=18446744073709551615	# 64 bits
	SIZE=18446744073709551616 => ok size=18446744073709551615	# over them
	SIZE=99999999999999999999 => ok size=18446744073709551615	# 20 digits
	BODY=7BIT => ok
	BODY=8bitmime => ok				# any case
	SMTPUTF8 => ok smtputf8
	RET=HDRS ENVID=QQ314159 => ok dsn			# DSN, unasked
	RET=any ENVID=+3D => ok dsn			# any value
	SIZE=1  BODY=7BIT\tSMTPUTF8 => ok size=1 smtputf8	# blanks between
	T
}

@test "parameters of MAIL: wrong values, and twice the same" {
	cases mail <<-'T'
	SIZE => value					# none
	SIZE=x => value					# no digits
	SIZE=-1 => value					# a sign
	SIZE=1k => value					# a suffix
	SIZE=100000000000000000000 => value		# 21 digits
	SIZE=000000000000000000001 => value		# 21 of them, all the same
	BODY => value					# none
	BODY=BINARYMIME => value				# not offered
	BODY=9BIT => value				# no such
	SMTPUTF8=1 => value				# takes none
	RET => value					# needs one
	ENVID => value					# needs one
	SIZE=1 SIZE=1 => value				# twice
	RET=FULL ret=FULL => value			# twice, in any case
	T
}

@test "parameters of MAIL: unknown is told from malformed" {
	cases mail <<-'T'
	HOLDFOR=1 => unknown
	BY=1;R => unknown
	MT-PRIORITY=3 => unknown
	REQUIRETLS => unknown
	AUTH=<> => unknown				# where AUTH is not offered
	PRDR => unknown					# where PRDR is not
	X => unknown
	1 => unknown					# a digit may begin one
	SIZE=1 X=y => unknown				# the first wrong one counts
	X=y SIZE=x => unknown				# in this order, too
	SIZE=x X=y => value				# and in that
	=1 => syntax					# no keyword
	-X => syntax					# a hyphen first
	X= => syntax					# no value behind "="
	SIZE= => syntax					# not even a known one's
	SIZE==1 => syntax				# twice "="
	X=a=b => syntax					# in the value
	X! => syntax					# no keyword's octet
	<x> => syntax					# a path
	\xc3\xa4=1 => syntax				# not in a keyword
	X=\xc3\xa4 => unknown				# in a value, by SMTPUTF8
	T
}

@test "parameters of MAIL: AUTH and PRDR where they are offered" {
	cases mail all <<-'T'
	AUTH=<> => ok
	AUTH=a+2Bb@c => ok
	AUTH => value					# needs one
	PRDR => ok prdr
	PRDR=1 => value					# takes none
	T
}

@test "parameters of RCPT" {
	cases rcpt <<-'T'
	 => ok
	NOTIFY=NEVER => ok dsn
	NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b => ok dsn
	NOTIFY => value
	ORCPT => value
	NOTIFY=NEVER NOTIFY=NEVER => value		# twice
	SIZE=1 => unknown				# MAIL's
	RRVS=x => unknown
	NOTIFY= => syntax
	T
}

@test "the argument of BDAT" {
	cases bdat <<-'T'
	0 => ok 0
	86 LAST => ok 86 last
	86 \tlast => ok 86 last				# blanks, any case
	0 LAST => ok 0 last
	9223372036854775807 => ok 9223372036854775807	# 63 bits
	9223372036854775808 => long			# one more
	99999999999999999999 => long			# 20 digits
	100000000000000000000 => syntax			# 21 digits
	 => syntax					# none
	LAST => syntax					# no size
	-1 => syntax
	+1 => syntax
	0x10 => syntax
	1 LASTLY => syntax
	1 LAST x => syntax
	1,5 => syntax
	T
}

@test "numbers" {
	cases number <<-'T'
	0 => ok 0
	007 => ok 7
	18446744073709551615 => ok 18446744073709551615
	18446744073709551616 => ok 18446744073709551615	# held at the most
	 => syntax
	1\x20 => syntax
	\xd9\xa1 => syntax				# an Arabic one
	1\0 => syntax					# NUL ends nothing
	T
}
