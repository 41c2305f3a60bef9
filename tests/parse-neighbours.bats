# parse-neighbours.bats - networks, the PROXY protocol, XCLIENT, what AUTH sends
# HAProxy's proxy-protocol.txt; Postfix, XCLIENT_README; RFC 4648, RFC 4616
#
# A row is input, verdict, reason; parse_driver.c says how octets are written.

load parse

@test "nets: an address is in a network if so many bits agree" {
	"$DRIVER" nets <<-'S'
		192.0.2.1|192.0.2.1		yes	the address
		192.0.2.1|192.0.2.2		no	another
		192.0.2.0/24|192.0.2.255	yes	24 bits
		192.0.2.0/24|192.0.3.0		no	not these
		192.0.2.128/25|192.0.2.127	no	25 bits
		192.0.2.128/25|192.0.2.128	yes	25 bits
		192.0.2.99/24|192.0.2.1		yes	more bits than count
		0.0.0.0/0|255.255.255.255	yes	all of IPv4
		0.0.0.0/0|::1			no	and no IPv6
		::/0|2001:db8::1		yes	all of IPv6
		::/0|192.0.2.1			no	and no IPv4
		2001:db8::/33|2001:db8:7fff::1	yes	33 bits
		2001:db8::/33|2001:db8:8000::1	no	33 bits
		::ffff:192.0.2.0/120|192.0.2.9	yes	mapped
		::1|::1				yes	one
		10.0.0.0/8,::1 192.0.2.1|192.0.2.1	yes	the last of three
		10.0.0.0/8,::1 192.0.2.1|::1	yes	the second
		10.0.0.0/8,::1 192.0.2.1|10.1.2.3	yes	the first
		10.0.0.0/8,::1 192.0.2.1|11.1.2.3	no	none
		*|192.0.2.1			yes	any
		*|				yes	even none
		10.0.0.0/8 *|			yes	even none
		192.0.2.1|			no	none is in no network
		0.0.0.0/0|			no	none is in no network
		,10.0.0.1, ,|10.0.0.1		yes	commas too many
	S
	"$DRIVER" nets <<-'S'
		\e|				bad	nothing
		,|				bad	nothing
		192.0.2.0/33|			bad	too many bits
		::/129|				bad	too many bits
		192.0.2.0/|			bad	no bits
		192.0.2.0/-1|			bad	no number
		192.0.2.0/024x|			bad	no number
		192.0.2|			bad	no address
		localhost|			bad	a name
		192.0.2.1 x|			bad	the second
		**|				bad	no star
		/8|				bad	no address
	S
}

@test "proxy: version 1" {
	"$DRIVER" proxy <<-'S'
		PROXY TCP4 192.0.2.7 192.0.2.1 4321 25\r\n	40 ::ffff:192.0.2.7 4321 ::ffff:192.0.2.1 25	IPv4
		PROXY TCP4 192.0.2.7 192.0.2.1 4321 25\r\nEHLO	40 ::ffff:192.0.2.7 4321 ::ffff:192.0.2.1 25	more behind it
		PROXY TCP6 2001:db8::7 2001:db8::1 0 65535\r\n	44 2001:db8::7 0 2001:db8::1 65535 v6	IPv6
		PROXY UNKNOWN\r\n				15 local	unknown
		PROXY UNKNOWN ffff::1 x y z\r\n			29 local	unknown, and anything
		PROXY TCP4 192.0.2.7 192.0.2.1 4321 25\n	syntax	no CR
		PROXY TCP4 192.0.2.7 192.0.2.1 4321 25\r	more	no LF yet
		PROXY TCP4 192.0.2.7 192.0.2.1 4321\r\n		syntax	no second port
		PROXY TCP4 192.0.2.7 192.0.2.1 4321 25 \r\n	syntax	a blank behind
		PROXY TCP4 192.0.2.7 192.0.2.1 4321 25 1\r\n	syntax	a word too many
		PROXY TCP4  192.0.2.7 192.0.2.1 4321 25\r\n	syntax	two blanks
		PROXY TCP4 192.0.2.7 192.0.2.1 04321 25\r\n	syntax	a zero in front
		PROXY TCP4 192.0.2.7 192.0.2.1 4321 65536\r\n	syntax	no port
		PROXY TCP4 192.0.2.7 192.0.2.1 -1 25\r\n	syntax	no port
		PROXY TCP4 2001:db8::7 192.0.2.1 1 25\r\n	syntax	IPv6 in TCP4
		PROXY TCP4 192.0.2.256 192.0.2.1 1 25\r\n	syntax	no address
		PROXY TCP5 192.0.2.7 192.0.2.1 1 25\r\n		syntax	no family
		PROXY tcp4 192.0.2.7 192.0.2.1 1 25\r\n		syntax	in this case only
		proxy TCP4 192.0.2.7 192.0.2.1 1 25\r\n		syntax	in this case only
		PROXY\r\n					syntax	nothing
		PROXY UNKNOWN\tx\r\n				syntax	a control octet
		PROXY UNKNOWN \{91}x\r\n			107 local	107 octets
		PROXY UNKNOWN \{92}x\r\n			syntax	108
		PROXY UNKNOWN \{93}x				syntax	and no end in sight
		EHLO x\r\n					syntax	SMTP
		P						more	it may be one
		\e						more	nothing
	S
}

@test "proxy: version 2" {
	local s='\r\n\r\n\x00\r\nQUIT\n'
	local a='\xc0\x00\x02\x07\xc0\x00\x02\x01\x10\xe1\x00\x19'
	local v6='\x20\x01\x0d\xb8\{11}\x00\x07\x20\x01\x0d\xb8\{11}\x00\x01'
	local four='::ffff:192.0.2.7 4321 ::ffff:192.0.2.1 25'
	"$DRIVER" proxy <<-S
		$s\\x21\\x11\\x00\\x0c$a	28 $four	IPv4
		$s\\x21\\x11\\x00\\x0c${a}EHLO	28 $four	more behind it
		$s\\x21\\x21\\x00\\x24$v6\\x10\\xe1\\x00\\x19	52 2001:db8::7 4321 2001:db8::1 25 v6	IPv6
		$s\\x20\\x00\\x00\\x00		16 local	LOCAL
		$s\\x20\\x11\\x00\\x0c$a	28 local	LOCAL with addresses
		$s\\x20\\x00\\x00\\x02\\xff\\xff	18 local	LOCAL with anything
		$s\\x21\\x00\\x00\\x00		16 local	unspecified
		$s\\x21\\x12\\x00\\x0c$a	28 local	datagrams
		$s\\x21\\x31\\x00\\xd8\\{216}\\x00	232 local	a UNIX socket
		$s\\x21\\x11\\x00\\x0b\\{11}\\x00	syntax	too short for its addresses
		$s\\x21\\x11\\x00\\x0d$a\\x01	syntax	a TLV without length
		$s\\x21\\x11\\x00\\x0f$a\\x01\\x00\\x01	syntax	a TLV that overruns
		$s\\x21\\x11\\x00\\x10$a\\x01\\x00\\x01x	32 $four	a TLV passed over
		$s\\x11\\x11\\x00\\x0c$a	syntax	version 1
		$s\\x22\\x11\\x00\\x0c$a	syntax	no command
		$s\\x21\\x41\\x00\\x0c$a	syntax	no family
		$s\\x21\\x13\\x00\\x0c$a	syntax	no protocol
		$s\\x21\\x11\\x00\\x0c		more	no addresses yet
		$s\\x21\\x11\\xff\\xff$a	more	a long one
		\\r\\n\\r\\n\\x00\\r\\nQUIT\\r	syntax	another signature
	S
	"$DRIVER" proxy <<-S
		$s\\x21\\x11\\x00\\x14$a\\x20\\x00\\x05\\x01\\{4}\\x00	36 $four tls\\s	TLS
		$s\\x21\\x11\\x00\\x14$a\\x20\\x00\\x05\\x00\\{4}\\x00	36 $four	none
		$s\\x21\\x11\\x00\\x1e$a\\x20\\x00\\x0f\\x01\\{4}\\x00\\x21\\x00\\x07TLSv1.3	46 $four tls TLSv1.3	its version
		$s\\x21\\x11\\x00\\x22$a\\x20\\x00\\x13\\x01\\{4}\\x00\\x21\\x00\\x07TLSv1.3\\x23\\x00\\x01X	50 $four tls TLSv1.3/X	its cipher
		$s\\x21\\x11\\x00\\x1a$a\\x20\\x00\\x0b\\x01\\{4}\\x00\\x21\\x00\\x03a b	42 $four tls\\s	no word
		$s\\x21\\x11\\x00\\x13$a\\x20\\x00\\x04\\x01\\{3}\\x00	syntax	too short
		$s\\x21\\x11\\x00\\x17$a\\x20\\x00\\x08\\x01\\{4}\\x00\\x21\\x00\\x07	syntax	a TLV within that overruns
	S
}

@test "xclient: attributes, xtext, and what is not to be had" {
	"$DRIVER" xclient <<-'S'
		ADDR=192.0.2.7			ADDR=192.0.2.7	IPv4
		addr=IPV6:2001:db8::7		ADDR=2001:db8::7	IPv6, any case
		ADDR=ipv6:2001:db8::7		ADDR=2001:db8::7	IPv6, any case
		ADDR=2001:db8::7		value	without its prefix
		ADDR=IPV6:192.0.2.256		value	no address
		NAME=a.example ADDR=192.0.2.7	NAME=a.example ADDR=192.0.2.7	two
		NAME=a+2Eexample		NAME=a.example	xtext
		NAME=a+2eexample		NAME=a.example	in lower case
		NAME=a+2			value	half of it
		NAME=a+zz			value	no hex
		NAME=a+0Ab			value	a line feed
		NAME=a+00			value	NUL
		NAME=[UNAVAILABLE]		NAME=	unknown
		ADDR=[TEMPUNAVAIL] NAME=[tempunavail]	NAME= ADDR=	unknown
		PORT=65535 DESTPORT=0		PORT=65535 DESTPORT=0	ports
		PORT=65536			value	no port
		PORT=x				value	no port
		PROTO=ESMTP			PROTO=ESMTP	known
		PROTO=HTTP			value	not known
		HELO=+5B192.0.2.1+5D		HELO=[192.0.2.1]	a literal
		HELO=\{255}x			HELO=\{255}x	the longest
		HELO=\{256}x			value	one more
		LOGIN=j+C3+B6rg			LOGIN=j\xc3\xb6rg	UTF-8
		LOGIN=+FF			value	not so
		LOGIN=a+C2+85			value	U+0085, a control character
		LOGIN=a+C2+A0			LOGIN=a\xc2\xa0	the first behind them
		HELO=a+C2+85			value	in HELO, too
		HELO=+FF			HELO=\xff	which need not be UTF-8
		LOGIN=\{512}x			LOGIN=\{512}x	the longest
		LOGIN=\{513}x			value	one more
		LOGIN=				value	empty
		DESTADDR=192.0.2.1		DESTADDR=192.0.2.1	ours
		NAME=a NAME=b.example		NAME=b.example	the last
		IDENT=x				unknown	another's
		NAME				syntax	no value
		=x				syntax	no name
		\e				syntax	nothing
	S
}

@test "base64: groups of four, padding at the end, and its bits are zero" {
	"$DRIVER" base64 <<-'S'
		\e			\e	nothing
		Zg==			f	one octet
		Zm8=			fo	two
		Zm9v			foo	three
		Zm9vYmFy		foobar	six
		AGEAYg==		\x00a\x00b	NUL
		//8=			\xff\xff	the last digits
		++++			\xfb\xef\xbe	and the one before
		Zg=			syntax	three
		Zg			syntax	two
		Z===			syntax	one digit
		====			syntax	none
		Zh==			syntax	bits that are no octet
		Zm9=			syntax	bits that are no octet
		Zg==Zg==		syntax	padding within
		Z=g=			syntax	padding within
		Zm9v\n			syntax	a line feed
		Zm 9			syntax	a blank
		Zm-_			syntax	another alphabet
		Zm\x009			syntax	NUL
	S
}

@test "plain: authzid, authcid and password, NUL between them" {
	"$DRIVER" plain <<-'S'
		\x00a\x00b			[][a][b]	without authzid
		z\x00a\x00b			[z][a][b]	with one
		\x00\xff\x00\x01		[][\xff][\x01]	any octets
		\x00a\nb\x00b			syntax	a line feed in the name
		\x00\x7f\x00b		syntax	DEL in it
		\x00a\xc2\x85\x00b		syntax	U+0085 in it
		\x00a\x00b\nc\x7f\xc2\x85	[][a][b\nc\x7f\xc2\x85]	a password may hold them
		\x00a\x00			syntax	no password
		\x00\x00b			syntax	no name
		a\x00b			syntax	one NUL
		ab			syntax	none
		\x00a\x00b\x00		syntax	three
		\x00a\x00b\x00c		syntax	three
		\e			syntax	nothing
	S
}

@test "tls-word: what may name a version or a cipher" {
	"$DRIVER" tls-word <<-'S'
		TLSv1.3				yes	a version
		ECDHE-RSA-AES128-GCM-SHA256	yes	a cipher
		TLS_AES_256_GCM_SHA384		yes	a cipher
		\{64}x				yes	the longest
		\{65}x				no	one more
		a b				no	a blank
		a)				no	a bracket
		a\n				no	a line feed
		\xc3\xa4			no	no ASCII
		\x00				no	NUL
		\e				no	nothing
	S
}

@test "tls: what a launcher tells is read in pieces of any size, and two entries are kept" {
	local p=SSL_PROTOCOL c=SSL_CIPHER
	"$DRIVER" tls <<-S
		\\x00				/ +end	nothing is told
		$p=TLSv1.3\\x00$c=X\\x00\\x00	TLSv1.3/X +end	both
		$c=X\\x00$p=TLSv1.3\\x00\\x00	TLSv1.3/X +end	in any order
		$p=TLSv1.3\\x00$c=X\\x00	TLSv1.3/X	no end
		$p=TLSv1.3\\x00$c=X	TLSv1.3/	half an entry
		A=b\\x00$p=Y\\x00c\\x00\\x00	Y/ +end	others between them
		$p=Y\\x00\\x00$c=X\\x00\\x00	Y/ +end	what is behind the end
		$p=Y\\x00$p=Z\\x00\\x00	Z/ +end	the last counts
		$p=Y\\x00$p=a b\\x00\\x00	Y/ +end	if it is a word
		$p=\\x00\\x00		/ +end	nothing is no word
		$p\\x00\\x00			/ +end	no value
		=TLSv1.3\\x00\\x00		/ +end	no name
		ssl_cipher=X\\x00\\x00	/ +end	the name is as it is
		${p}S=X\\x00\\x00		/ +end	and the whole of it
		$p=\\{64}x\\x00\\x00	\\{64}x/ +end	the longest
		$p=\\{65}x\\x00\\x00	/ +end	one more
		A=\\{78}x\\x00$c=X\\x00\\x00	/X +end	an entry that just fits
		A=\\{79}x\\x00$c=X\\x00\\x00	/X +end	and one that does not
		A=\\{2000}x\\x00$c=X\\x00\\x00	/X +end	a long one
		\\e				/	nothing yet
	S
}

@test "unbracket: the brackets around an address go, and no others" {
	"$DRIVER" unbracket <<-'S'
		[::1]		::1	an address
		::1		::1	none around it
		[::1		[::1	one of them
		::1]		::1]	the other
		[]		[]	nothing in them
		[[a]]		[a]	one pair
		]a[		]a[	the wrong way round
		[		[	one octet
		\e		\e	nothing
	S
}

@test "port: a number up to 65535" {
	"$DRIVER" port <<-'S'
		25		25	a port
		0		0	none, but a number
		65535		65535	the last
		65536		syntax	one more
		00025		25	zeros in front
		\{20}9		syntax	20 digits
		\{21}0		syntax	21 of them
		-1		syntax	a sign
		2 5		syntax	a blank
		smtp		syntax	a name
		\e		syntax	nothing
	S
}

@test "question: the attributes of Postfix, each on one line, and an empty line" {
	local head='request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n'
	local tail='stress=\nsasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\npolicy_context=\n\n'
	printf '%s\t%s\t%s\n' \
	    '|192.0.2.7|c.example|4321|h.example|a@c.example|u@example.org|me' \
	    "${head}client_address=192.0.2.7\\nclient_name=c.example\\nclient_port=4321\\nreverse_client_name=c.example\\nserver_address=192.0.2.7\\nserver_port=4321\\nhelo_name=h.example\\nsender=a@c.example\\nrecipient=u@example.org\\nrecipient_count=0\\ninstance=1.2.3\\nsize=2\\nsasl_method=PLAIN\\nsasl_username=me\\nencryption_protocol=\\nencryption_cipher=c.example\\nencryption_keysize=0\\nqueue_id=\\netrn_domain=4321\\n$tail" \
	    'all that is known' \
	    '|||||||' \
	    "${head}client_address=\\nclient_name=unknown\\nclient_port=unknown\\nreverse_client_name=unknown\\nserver_address=\\nserver_port=\\nhelo_name=\\nsender=\\nrecipient=\\nrecipient_count=0\\ninstance=1.2.3\\nsize=0\\nsasl_method=PLAIN\\nsasl_username=\\nencryption_protocol=\\nencryption_cipher=\\nencryption_keysize=0\\nqueue_id=\\netrn_domain=\\n$tail" \
	    'nothing is' \
	    'yes|::1|n||a\nb\x7f|a=b|\xc3\xa4|\x00' \
	    "${head}client_address=127.0.0.1\\nclient_name=localhost\\nclient_port=unknown\\nreverse_client_name=localhost\\nserver_address=::1\\nserver_port=\\nhelo_name=a?b?\\nsender=a=b\\nrecipient=\\xc3\\xa4\\nrecipient_count=3\\ninstance=1.2.3\\nsize=1\\nsasl_method=PLAIN\\nsasl_username=?\\nencryption_protocol=yes\\nencryption_cipher=n\\nencryption_keysize=0\\nqueue_id=\\netrn_domain=\\n$tail" \
	    'of this machine, and control octets' |
	    "$DRIVER" put-question
}

@test "launched: the first launcher that has an address tells of the client" {
	"$DRIVER" launched <<-'S'
		HOME=/x					none	no launcher
		PROTO=					launcher	a variable, though empty
		TCPREMOTEIP=				launcher	this one
		TCPREMOTEPORT=1				launcher	or this
		REMOTE_PORT=1				launcher	or this
		TCPLOCALIP=::1				launcher to ::1 0	or this
		SOCAT_PEERPORT=1			none	but not this
		NCAT_REMOTE_PORT=1			none	nor this
		TCPREMOTEIPX=::1			none	another name
		TCPREMOTEIP				none	no variable
		TCPREMOTEIP=192.0.2.7|TCPREMOTEPORT=9	launcher named from ::ffff:192.0.2.7 9	UCSPI
		TCPREMOTEPORT=9|TCPREMOTEIP=::1		launcher named from ::1 9	in any order
		TCPREMOTEIP=::1				launcher named from ::1\s	no port
		TCPREMOTEIP=::1|TCPREMOTEPORT=x		launcher named from ::1 \s-TCPREMOTEPORT	a bad one
		TCPREMOTEIP=::1|TCPREMOTEPORT=65536	launcher named from ::1 \s-TCPREMOTEPORT	one too large
		TCPREMOTEIP=::1|TCPREMOTEHOST=c.example	launcher named from ::1 ,c.example	its name
		TCPREMOTEIP=::1|TCPREMOTEHOST=		launcher named from ::1\s	no name
		TCPREMOTEIP=::1|TCPREMOTEHOST=a b	launcher named from ::1 \s-TCPREMOTEHOST	no Domain
		REMOTE_ADDR=::1|TCPREMOTEHOST=c.example	launcher from ::1\s	UCSPI's is no other's
		REMOTE_ADDR=::1|REMOTE_PORT=7		launcher from ::1 7	systemd
		TCPREMOTEIP=x|REMOTE_ADDR=::1		launcher named from ::1 \s-TCPREMOTEIP	what does not parse is passed over
		TCPREMOTEIP=x|REMOTE_ADDR=y|REMOTE_HOST=::1|REMOTE_PORT=z	launcher named from ::1 \s-TCPREMOTEIP -REMOTE_ADDR -REMOTE_PORT	the most that can be
		REMOTE_HOST=c.example|SOCAT_PEERADDR=::1	launcher named from ::1\s	a name is not skipped
		SOCAT_PEERADDR=/run/s|NCAT_REMOTE_ADDR=::1	launcher from ::1\s	nor is a path
		SOCAT_PEERADDR=[::1]|SOCAT_PEERPORT=5	launcher from ::1 5	brackets
		NCAT_REMOTE_ADDR=::1|NCAT_REMOTE_PORT=6	launcher from ::1 6	ncat
		TCPREMOTEIP=::1|REMOTE_ADDR=::2		launcher named from ::1\s	the first wins
		TCPREMOTEIP=::1|TCPREMOTEIP=::2		launcher named from ::1\s	and of a name
		TCPLOCALIP=192.0.2.1|TCPLOCALPORT=25	launcher to ::ffff:192.0.2.1 25	our own
		TCPLOCALIP=::1|TCPLOCALPORT=x		launcher to ::1 0	no port
		TCPLOCALIP=x|TCPLOCALPORT=25		launcher	no address
		RELAYCLIENT=				none relay	tcprules'
	S
}

@test "put-password: name, password and time, a NUL behind each" {
	"$DRIVER" put-password <<-'S'
		u@example.org|secret	u@example.org\x00secret\x001234567890\x00	all three
		|			\x00\x001234567890\x00	nothing is something
		\xc3\xa4|a\nb\xff	\xc3\xa4\x00a\nb\xff\x001234567890\x00	any octets
	S
}

@test "script: a step, and what comes of it; the first line that is none is told" {
	"$DRIVER" script <<-'S'
		\e					0	nothing
		\n#x\n \t\n				0	comments and blanks
		connect drop				0	each step ...
		ehlo 502\nmail 550\nrcpt 4\x35\x30\n	0	... some of them
		data stop1000\r\ndot\tcut0		0	CRLF, and a TAB
		DOT12 Slow5 421-4.3.2 # x		0	a number, several words
		rcpt 550-5.123.9			0	a long code
		rcpt18446744073709551614 drop		0	the greatest number
		rcpt					1	no word
		rcpt0 drop				1	number 0
		rcpt-1 drop				1	no number
		rcpt2x drop				1	nor this
		rcpt18446744073709551616 drop		1	too great
		quit drop				1	no step
		drop					1	no step at all
		dot 250					1	no trouble
		dot 350					1	nor that
		dot 460					1	no reply code
		dot 45					1	half of one
		dot 4500				1	more than one
		dot 450-				1	no enhanced code
		dot 450-5.0.0				1	of another class
		dot 450-4.0				1	half of one
		dot 450-4.0.0.0				1	more than one
		dot slow				1	no seconds
		dot slow3601				1	too many
		dot cut1073741825			1	too many octets
		dot drop now				1	another word
		dot drop\nrcpt\n			2	the second
		dot drop\n\n#\ndot \x00		4	a control octet
	S
}
