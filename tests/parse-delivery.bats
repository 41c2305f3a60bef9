# parse-delivery.bats - what a delivery is made of: what a message says of
# itself, its label, names of files, values of an envelope, lines of a log
# RFC 5321 sections 4.4 and 6.3; RFC 1428; RFC 5322 section 3.6.4
#
# A row is input, verdict, reason; parse_driver.c says how octets are written.

load parse

@test "scan: Received and Delivered-To are counted, and each Delivered-To is handed over" {
	"$DRIVER" scan <<-'S'
		Received: a\nReceived: b\n\nx\n		2,0||	two hops
		received: a\nRECEIVED : b\n\n		2,0||	in any case, and with blanks before the colon
		Delivered-To: a@b\n\n			to=a@b/0,1||	one
		Delivered-To: <a@b>\nDelivered-to: c\n\n	to=a@b/to=c/0,2||	without its brackets
		Delivered-To: <\nDelivered-To: <>\n\n	to=</to=/0,2||	half of them, and nothing but them
		Delivered-To: <a@b\nX: y\n\n		to=<a@b/0,1||	one bracket is none
		Delivered-To:\n\n			to=/0,1||	empty
		Delivered-To: a@b			to=a@b/0,1||	at the end of a message without body
		Delivered-To: a\n b\n\n			to=a b/0,1||	folded
		\nReceived: a\nDelivered-To: b\n	0,0||	in the body they are text
		X-Received: a\nReceived-By: b\n\n	0,0||	others
		\e					0,0||	nothing
	S
}

@test "scan: the first Message-ID that says something counts" {
	"$DRIVER" scan <<-'S'
		Message-ID: <a@b>\n\n			0,0|<a@b>|	one
		message-id:<a@b>\nMessage-ID: <c@d>\n\n	0,0|<a@b>|	the first
		Message-ID:\nMessage-ID: <c@d>\n\n	0,0|<c@d>|	but for an empty one
		Message-ID: <a@b>			0,0|<a@b>|	the message's end
		Message-ID: \{300}x\n\n			0,0|\{256}x|	its head
		\nMessage-ID: <a@b>\n			0,0||	in the body it is text
	S
}

@test "label: a body beyond ASCII without MIME gets its charset" {
	"$DRIVER" scan unknown-8bit <<-'S'
		X: y\n\n\xc3\xa9\n	0,0||MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n	UTF-8
		\n\xe9\n		0,0||MIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: 8bit\n	no UTF-8
		\n\xc3\xa9\xc3		0,0||MIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: 8bit\n	half a character at its end
		\xc3\xa9 x\n		0,0||MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n	a body that begins at once
		\nabc\n			0,0||	ASCII
		X: \xe9\n\nabc\n	0,0||	in the header
		MIME-Version: 1.0\n\n\xe9\n	0,0||	labelled
		content-type: text/plain\n\n\xe9\n	0,0||	labelled, in its way
		Content-Transfer-Encoding: 8bit\n\n\xe9\n	0,0||	and in this one
		DKIM-Signature: v=1\n\n\xe9\n	0,0||	signed
		X-MIME-Version: 1.0\n\n\xe9\n	0,0||MIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: 8bit\n	another field
	S
	printf '%s\t%s\t%s\n' '\n\xe9\n' '0,0||' 'nobody asks for a label' |
	    "$DRIVER" scan -
}

@test "mend: the first line is a field, or an empty line, whatever came" {
	"$DRIVER" mend <<-'S'
		Subject: x\n		Subject: x\n		a field stays
		\nbody\n		\nbody\n		so does an empty line
		From a@b Mon\nX: y\n	X-Mailbox-Line: From a@b Mon\nX: y\n	a line of an mbox file is a field
		>From a@b\nX: y\n	X-Mailbox-Line: From a@b\nX: y\n	without the mark before it
		From: x\n		From: x\n		a sender is none
		Hello\nX: y\n		\nHello\nX: y\n		no field: it is body
		\x20x\n			\n\x20x\n		what would go on with a field
		:x\n			\n:x\n			no name
		\x00\n			\n\x00\n		nor a NUL
		Subject			more			too little to tell
		\e			more			nothing
	S
}

@test "file: names in a Maildir" {
	"$DRIVER" put-file <<-'S'
		1.M2P3Q4|mx.example		tmp/1.M2P3Q4.mx.example		while it is written
		1.M2P3Q4|mx.example|5		new/1.M2P3Q4.mx.example,S=5	with its size
		i|\{128}h			tmp/i.\{128}h			as long as a host may be there
		i|\{129}h|0			new/i.\{128}h,S=0		and one that is longer
	S
	"$DRIVER" put-id <<-'S'
		1700000000|42|123|1	1700000000.M42P123Q1	a message's
		0|0|0|18446744073709551615	0.M0P0Q18446744073709551615	any numbers
	S
}

@test "values: user and extension of a local part, unquoted" {
	"$DRIVER" values + <<-'S'
		u|d		u||d		a user
		u+e|d		u|e|d		with an extension
		"u+e f"|d	u|e f|d		in quotes
		u+|d		u||d		an empty one
		"\\"+x"|d	"|x|d		a backslash
		U|D.org		U||D.org	as it was sent
	S
	"$DRIVER" fixed <<-'S'
		/var/mail/{user}	/var/mail/	the user's
		/var/mail/x{user}/y	/var/mail/	a part of a name
		{user}			\e		nothing before it
		x{user}			\e		no directory
		a/{x}/{user}		a/		any brace
		/{user}			/		the root
	S
}

@test "hash: addresses that are the same have the same" {
	"$DRIVER" hash <<-'S'
		u@d|u@d		same	equal
		U@d.Org|u@D.oRG	same	in another case
		u@d|v@d		differ	others
		\e|u@d		differ	nothing
		\xc3\xa9|\xc3\x89	differ	beyond ASCII case counts
	S
}

@test "argue: the values of an envelope" {
	"$DRIVER" argue +MAILER-DAEMON <<-'S'
		u|d|a@b		u@d u d  u <a@b>		plain
		U+E|D|a@b	U+E@D U D E U+E <a@b>		with an extension, as it was sent
		u+|d|a@b	u+@d u d  u+ <a@b>		with an empty one
		u|d|\e		u@d u d  u <MAILER-DAEMON>	from nobody
		"u"|d|"a"@b	u@d u d  u <a@b>		quotes that are not needed
		"u v"|d|"a@b"@c	"u v"@d quoted u v d  u v <"a@b"@c> quoted	and that are
		~|~|a@b		<a@b>				a sender alone
		~|~|\e		<MAILER-DAEMON>			nobody at all
	S
}

@test "rcpts: who is equal, whose message loops, and who shares a copy" {
	"$DRIVER" rcpts <<-'S'
		u@d			0:0 [0]			one
		u@d v@d			0:0 1:1 [0][1]		two
		u@d u@d			0:0 0:0 [0]		one twice
		u@d u@D			0:0 0:0 [0]		its domain in another case
		u@d U@d			0:0 1:1 [0][1]		a local part in another case is another
		u@d U@d u@D U@D		0:0 1:1 0:0 1:1 [0][1]	both twice
		u@d v@d u@d w@d		0:0 1:1 0:0 2:3 [0][1][3]	with others between
		u@d >u@d		! 0:0L [0]L		one had it
		u@d v@d >V@D		! 0:0 1:1L [0][1]L	in another case
		u@d U@d u@d >u@d	! 0:0L 1:1L 0:0L [0]L[1]L	all that it may name
		u@d >v@d >\s			? ? 0:0 [0]	others had it
		\e			\e			nobody
	S
	"$DRIVER" rcpts key <<-'S'
		u@d v@d			0:0 0:1 [0 1]		the same mailbox
		u@d v@d u@d w@d		0:0 0:1 0:0 0:3 [0 1 3]	equal ones count once
		u@d v@e w@d		0:0 1:1 0:2 [0 2][1]	two mailboxes
		u@d v@e w@d >u@d	! 0:0L 1:1 0:2 [0 2][1]	one of a mailbox's had it
		u@d v@e w@d >u@d >w@d	! ! 0:0L 1:1 0:2L [0 2]L[1]	both had
	S
}

@test "arguments: all of a program's, with the recipients in the place of one" {
	"$DRIVER" put-arguments <<-'S'
		p|a|\e			p;a;		as they are
		p|{user}|x{recipient}|\e	p;r;xr@d;	with their values
		p|{recipients}|u v	p;u@d;v@d;	all recipients
		p|-f|{recipients}|-x|u v! w	p;-f;u@d;w@d;-x;	but for one that had it
		p|{recipients}|u!	p;		nobody
		p|{recipients}|\e	p;r@d;		one for all, to try
		p|x{recipients}|u v	p;x{recipients};	only a whole argument
		p||\e			p;;		an empty one
	S
	printf '%s\t%s\t%s\n' 'p|{user}|\e' value 'no value may stand there' \
	    'p|{recipients}|\e' value 'nor there' \
	    'p|{recipients}|u' 'p;u@d;' 'but there' |
	    "$DRIVER" put-arguments quoted
}

@test "pair: a value in a log, all of it or none" {
	"$DRIVER" put-pair <<-'S'
		id|1.M2P3Q4	\x20id=1.M2P3Q4		as it is
		id|\e		\x20id=			empty
	S
	"$DRIVER" put-pair quoted <<-'S'
		to|u@d		\x20to="u@d"		quoted
		to|a"b\\\r\n	\x20to="a\\x22b\\x5c\\x0d\\x0a"	what could end it, or the line
		to|\{300}x	\x20to="\{256}x..."	too long
	S
	"$DRIVER" put-client <<-'S'
		192.0.2.7|25	[192.0.2.7]:25	with a port
		2001:db8::1|\e	[2001:db8::1]	without
		\e|\e		unknown		unknown
		\e|25		unknown:25	but for its port
	S
}

@test "line: a text is cut at its line ends, and a long line anywhere" {
	"$DRIVER" cut-line 5 <<-'S'
		a\nbc\n		[a\n][bc\n]	two
		a		[a]		without an end
		\n\n		[\n][\n]	empty ones
		abcdefg\n	[abcde][fg\n]	a long one
		abcde\nf	[abcde][\n][f]	its end in the next piece
		\e		\e		nothing
	S
}
