# parse-header.bats - the header of a message, whole and in pieces
# RFC 5322 sections 2.2, 2.2.3, 3.6.8 and 4.5.8
#
# A row is input, verdict, reason; parse_driver.c says how octets are written.
# A verdict is name=value/ for each field, and ":" and the body if it was
# reached.  The driver cuts each input in pieces of every size.

# shellcheck disable=SC2030,SC2031,SC2154 # each, of parse.bash, sets x, c and i
load parse

@test "header: fields end at the empty line, and the body follows" {
	"$DRIVER" header <<-'S'
		Subject: x\n\nbody\n		Subject=x/:body\n	one field
		Subject: x\nTo: y\n\nbody\n	Subject=x/To=y/:body\n	two
		Subject: x\n\n			Subject=x/:		an empty body
		Subject: x\n\n\n		Subject=x/:\n		a body of one empty line
		Subject: x\n\nTo: y\n\n		Subject=x/:To: y\n\n	what looks like a field is body now
		\nbody				:body			no header
		\n				:			nothing at all but the end of a header
		\e				\e			nothing
		a:b\n\n\x00\xff			a=b/:\x00\xff		any octet in the body
	S
}

@test "header: a message that ends within its header has no body" {
	"$DRIVER" header <<-'S'
		Subject: x\n		Subject=x/	its line is complete
		Subject: x		Subject=x/	or not
		Subject: x\n y\n	Subject=x y/	folded
		Subject: x\n y		Subject=x y/	folded, cut off
		Subject: x\n\s		Subject=x/	cut off in the fold
		Subject: x\nTo:y	Subject=x/To=y/	two fields
		Subject:\n		Subject=/	an empty one
		Subject:		Subject=/	cut off behind the colon
		Subject: x\nTo		Subject=x/	a line that could yet be a field
		Subject: x\nTo\s	Subject=x/	cut off before the colon
		Subject			\e		the only one
	S
}

@test "header: a value is unfolded and has no blanks around it" {
	"$DRIVER" header <<-'S'
		Subject:x\n\n			Subject=x/:		no blank
		Subject: \t x \t \n\n		Subject=x/:		many
		Subject: a b\tc\n\n		Subject=a b\tc/:	blanks within stay
		Subject: a\n b\n\n		Subject=a b/:		folded: only the line end goes
		Subject: a\n\tb\n\n		Subject=a\tb/:		with a TAB
		Subject: a\n  b \n c\n\n	Subject=a  b  c/:	twice, with blanks on both sides
		Subject:\n x\n\n		Subject=x/:		at once
		Subject:\n \n x\n\n		Subject=x/:		behind a line of blanks (4.2)
		Subject: x\n \n\nbody		Subject=x/:body		a line of blanks does not end the header
		Subject: x\n :y\n\n		Subject=x :y/:		a colon in it
		Subject: x\n To: y\n\n		Subject=x To: y/:	what looks like a field is continued
		Subject: a:b: c\n\n		Subject=a:b: c/:	colons in the value
		Subject::\n\n			Subject=:/:		and nothing else
		Subject: \x00\xff\r\n\n		Subject=\x00\xff\r/:	any octet but LF
		X: \{70}a\n \{70}b\n\n		X=\{70}a \{70}b/:	longer than a line should be
	S
}

@test "header: a name is printable ASCII without a colon, with blanks behind it" {
	"$DRIVER" header <<-'S'
		a:x\n\n			a=x/:			one letter
		X-Y_Z.0!"#$%&'()*+,/;<=>?@[\\]^`{|}~: x\n\n	X-Y_Z.0!"#$%&'()*+,/;<=>?@[\\]^`{|}~=x/:	all of ftext
		sUBJECT: x\n\n		sUBJECT=x/:		as it was sent
		Subject : x\n\n		Subject=x/:		a blank before the colon (4.5.8)
		Subject \t : x\n\n	Subject=x/:		many
		Subject x: y\n\n	:Subject x: y\n\n	two words are no name
		Subject\n: x\n		:Subject\n: x\n		a fold before the colon
		: x\n\n			:: x\n\n		no name
		\s: x\n\n		: : x\n\n		a blank for a name
		Sub\x00ject: x\n	:Sub\x00ject: x\n	NUL
		S\xc3\xbc: x\n		:S\xc3\xbc: x\n		8 bit
		S\x7f: x\n		:S\x7f: x\n		DEL
		S\r: x\n		:S\r: x\n		CR
		S: x\nT\x01: y\n	S=x/:T\x01: y\n		the second
	S
}

name_octet() {
	case $c in
	:)	row 'X:Y:z' 'X=Y:z/' ;;
	[\~!-\}])	row "X${x}Y:z" "X${x}Y=z/" ;;
	*)	row "X${x}Y:z" ":X${x}Y:z" ;;
	esac
	[ "$i" = 10 ] || row "X:Y${x}z" "X=Y${x}z/"
}

@test "header: every octet is one of a name, or of a value, or of neither" {
	each name_octet >rows
	"$DRIVER" header <rows
}

@test "header: the first line that is no field begins the body" {
	"$DRIVER" header <<-'S'
		hello\nworld\n				:hello\nworld\n		at once
		hello world: x\n			:hello world: x\n	a colon, too late
		Subject: x\nhello\n			Subject=x/:hello\n	behind a field
		Subject: x\nhello world\n\nTo: y\n	Subject=x/:hello world\n\nTo: y\n	and the rest is body
		Subject: x\nhello : y z\n\n		Subject=x/hello=y z/:	while this is one
		Subject: x\n.\n				Subject=x/:.\n		a dot
		From a@b Mon Nov 23\nSubject: x\n	:From a@b Mon Nov 23\nSubject: x\n	mbox's From_ line is none
		\tx: y\n				:\tx: y\n		a continuation of nothing
		\s\nSubject: x\n			: \nSubject: x\n	a line of blanks first
	S
}

@test "header: a field over 1024 octets is cut there, and the next one is read" {
	"$DRIVER" header <<-'S'
		X:\{1022}a\nY: z\n\n			X=\{1022}a/Y=z/:	1024
		X:\{1023}a\nY: z\n\n			X=\{1022}a/Y=z/:	1025
		X: \{1022}a\nY: z\n\n			X=\{1021}a/Y=z/:	the blank is one of them
		X:\{1100}a\n b\n \{9}c\nY: z\n\n	X=\{1022}a/Y=z/:	folded behind the cut
		X:\{1000}a\n\{40}\sb\nY: z\n\n		X=\{1000}a/Y=z/:	cut in blanks
		\{1022}X:aa\nY: z\n\n			\{1022}X=a/Y=z/:	a long name
		\{1023}X:a\nY: z\n\n			\{1023}X=/Y=z/:		with its colon 1024
		\{1023}X :a\nY: z\n\n			:\{1023}X :a\nY: z\n\n	a name and blanks that fill it are none
		\{1024}X:a\nY: z\n\n			:\{1024}X:a\nY: z\n\n	a name that fills it is none
		\{1100}X:a\nY: z\n\n			:\{1100}X:a\nY: z\n\n	nor is a longer one
	S
}

@test "header: the first line begins a field, or is an mbox's From_ line, or body" {
	"$DRIVER" first <<-'S'
		\e			more	nothing
		Su			more	a name so far
		Subject			more	a whole one
		Subject \t		more	blanks behind it
		Subject:		field	its colon
		Subject \t :		field	blanks before the colon (4.5)
		Subject: x\nTo: y\n	field	and more
		a:			field	one letter
		>a:			field	any sign
		\nbody			field	an empty line ends the header as it is
		:			body	no name
		\sx: y			body	a blank in front
		\tx: y			body	a TAB
		\s\n			body	a line of blanks
		hello\n			body	one word
		hello world: x		body	two words
		a\r			body	a control octet
		\x00			body	another
		S\xc3\xbc: x		body	8 bit
		From			more	a field or not
		From\s			more	still
		From  \t		more	still
		From :			field	the obsolete form of a field
		From \t:		field	with other blanks
		From:			field	the usual
		From a@b Mon Nov 23	mailbox	an mbox's line
		From \n		mailbox	and nothing behind it
		From a: b		mailbox	a colon, too late
		>From			more	a field or not
		>From\s			more	still
		>From :			field	a field of that name
		>From a			mailbox	as mbox files quote it
		>From:			field	a field of that name
		>>From a		body	quoted twice
		from a			body	exactly so
		FROM a			body	exactly so
		From\ta		body	a TAB
		From\n			body	no blank
		Froma b			body	a longer word
		\sFrom a		body	a blank in front
		>\n			body	a quote
	S
}

@test "header: what the first line is, is told with its 1024th octet at the latest" {
	"$DRIVER" first <<-'S'
		\{1023}X		more	a name of 1023
		\{1023}X:		field	with its colon 1024
		\{1024}X		body	a name that fills it
		\{1024}X:		body	and its colon, too late
		X\{1022}\s		more	blanks
		X\{1022}\s:		field	with the colon 1024
		X\{1023}\s		body	blanks that fill it
		From\{1019}\s		more	of a From_ line, too
		From\{1019}\s:	field	with the colon 1024
		From\{1020}\s		mailbox	and without
		>From\{1019}\s:	mailbox	too late
	S
}

@test "header: every first line of up to six octets is what smtp_header makes of it" {
	"$DRIVER" first-all <<-'S'
		|6	agrees	any
		From|4	agrees	behind From
		>From|4	agrees	behind >From
	S
}
