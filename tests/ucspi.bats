# ucspi.bats - the launchers of the UCSPI family, what they tell, tcprules,
# rblsmtpd.  UCSPI 1996 (cr.yp.to/proto/ucspi.txt), tcp-environ(5)

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load net

: "${LAUNCHERS_DIR:=/opt/smtpd-launchers}"
TCPSERVER6=$LAUNCHERS_DIR/ucspi-tcp-ipv6/usr/bin/tcpserver

teardown() {
	stop
}

# an honest listing of what a launcher put in the environment
show_environment() {
	printf '#!/bin/sh\nenv >%s/environment\nexec "$@"\n' "$PWD" >show
	chmod 755 show
}

@test "ucspi: PROTO=TCP, tcpserver's: the client is TCPREMOTEIP, and nothing is asked for" {
	need tcpserver
	show_environment
	serve 127.0.0.1 0 -- ./show
	mail_from 127.0.0.9 u@example.org
	came_from 127.0.0.9
	grep -qx PROTO=TCP environment
	grep -q '127\.0\.0\.9' log
}

@test "ucspi: PROTO=TCP6, tcpserver's for IPv6: the client is an IPv6 literal" {
	need "$TCPSERVER6"
	show_environment
	TCPSERVER=$TCPSERVER6 serve ::1 0 -- ./show
	mail_from ::1 u@example.org
	came_from IPv6:::1
	grep -qx PROTO=TCP6 environment
}

@test "ucspi: tcpserver for IPv6, listening on both: an IPv4 client is an IPv4 literal" {
	need "$TCPSERVER6"
	show_environment
	TCPSERVER=$TCPSERVER6 serve 0 0 -- ./show
	mail_from 127.0.0.9 u@example.org
	came_from 127.0.0.9
	grep -qx PROTO=TCP environment
	mail_from ::1 u@example.org
	came_from IPv6:::1
}

@test "ucspi: tcpserver -6: an IPv4 client is an IPv4 literal though it is told as ::ffff:" {
	need "$TCPSERVER6"
	show_environment
	TCPSERVER=$TCPSERVER6 serve 0 0 -6 -- ./show
	mail_from 127.0.0.9 u@example.org
	came_from 127.0.0.9
	grep -qx PROTO=TCP6 environment
	grep -qix TCPREMOTEIP=::ffff:127.0.0.9 environment
}

# sslserver and s6-tlsserver: with what they are known to set, and a pipe
@test "ucspi: PROTO=SSL: the client is TCPREMOTEIP all the same" {
	launched
	export PROTO=SSL SSL_PROTOCOL=TLSv1.3 SSL_CIPHER=TLS_AES_256_GCM_SHA384
	mail_to u@example.org
	came_from 192.0.2.7
	rm box/new/*
	export TCPREMOTEIP=2001:db8::7
	mail_to u@example.org
	came_from IPv6:2001:db8::7
}

@test "ucspi: PROTO=UNIX, unixserver's: a mail is delivered, its client unknown" {
	need unixserver
	show_environment
	# getopt(3): without -- it takes smtpd's options for its own
	start unixserver -q -- socket ./show "$SMTPD" "${OPTS[@]}" 2>log
	eventually test -S socket
	mail_from "$PWD/socket" u@example.org
	came_from ''
	grep -qx PROTO=UNIX environment
	grep -q '^UNIXREMOTEPID=' environment
	# no peer is no reason to trust
	mail_from "$PWD/socket" u@elsewhere.example "$REFUSED"
}

@test "ucspi: PROTO=IPC, s6-ipcserver's: a mail is delivered, its client unknown" {
	need s6-ipcserver
	show_environment
	start s6-ipcserver -q socket ./show "$SMTPD" "${OPTS[@]}" 2>log
	eventually test -S socket
	mail_from "$PWD/socket" u@example.org
	came_from ''
	grep -qx PROTO=IPC environment
	grep -q '^IPCREMOTEEUID=' environment
	mail_from "$PWD/socket" u@elsewhere.example "$REFUSED"
}

@test "ucspi: with any PROTO, through a pipe, no one is by hand, and LF ends no line" {
	local proto
	printf 'HELO c\nQUIT\n' >in
	send <in
	[ "$(codes)" = '220 250 221' ]
	printf '\r\n' >>in
	for proto in TCP TCP6 SSL UNIX IPC; do
		PROTO=$proto send <in
		# all of that is one bad line
		[ "$(codes)" = '220 500' ]
	done
}

@test "tcprules: who has RELAYCLIENT may send anywhere; its value is not appended" {
	local who
	need tcpserver tcprules
	tcprules rules.cdb rules.tmp <<-'S'
		127.0.0.2:allow,RELAYCLIENT=""
		127.0.0.3:allow,RELAYCLIENT="@gateway.example"
		127.0.0.4:allow
		:allow
	S
	by_program
	serve 127.0.0.1 0 -x rules.cdb
	for who in 127.0.0.2 127.0.0.3; do
		mail_from $who someone@elsewhere.example
			came_from $who
		[ "$(header Delivered-To)" = someone@elsewhere.example ]
	done
	mail_from 127.0.0.4 someone@elsewhere.example "$REFUSED"
	# and no one else is kept from a domain of ours
	mail_from 127.0.0.4 u@example.org
	[ "$(header Delivered-To)" = u@example.org ]
}

# offered SOURCE: the SIZE that EHLO offers to it
offered() {
	from "$1" 'EHLO c.example' QUIT
	tr -d '\r' <out | sed -n 's/^250-SIZE //p'
}

@test "tcprules: DATABYTES goes before --size, each way; 0 is no limit" {
	need tcpserver tcprules
	tcprules rules.cdb rules.tmp <<-'S'
		127.0.0.2:allow,DATABYTES="0"
		127.0.0.3:allow,DATABYTES="30"
		127.0.0.4:allow,DATABYTES="2000"
		:allow
	S
	OPTS+=(-s 1000)
	serve 127.0.0.1 0 -x rules.cdb
	[ "$(offered 127.0.0.2)" = 0 ]
	[ "$(offered 127.0.0.3)" = 30 ]
	[ "$(offered 127.0.0.4)" = 2000 ]
	[ "$(offered 127.0.0.5)" = 1000 ]
	# the letter has more than 30 octets, and less than 1000
	mail_from 127.0.0.3 u@example.org '220 250 250 250 354 552 221'
	nothing_kept
	mail_from 127.0.0.5 u@example.org
	from 127.0.0.2 'EHLO c' 'MAIL FROM:<a@c.example> SIZE=1500' QUIT
	[ "$(codes)" = '220 250 250 221' ]
	from 127.0.0.5 'EHLO c' 'MAIL FROM:<a@c.example> SIZE=1500' QUIT
	[ "$(codes)" = '220 250 552 221' ]
}

@test "tcprules: RELAYCLIENT and DATABYTES come through rblsmtpd; deny is tcpserver's" {
	need tcpserver tcprules rblsmtpd
	tcprules rules.cdb rules.tmp <<-'S'
		127.0.0.2:allow,RELAYCLIENT="",RBLSMTPD="",DATABYTES="0"
		127.0.0.3:allow,RBLSMTPD="Not you"
		127.0.0.4:allow,RBLSMTPD="-Never you"
		127.0.0.5:deny
		:allow,RBLSMTPD=""
	S
	by_program
	serve 127.0.0.1 0 -x rules.cdb -- rblsmtpd
	mail_from 127.0.0.2 someone@elsewhere.example
	[ "$(offered 127.0.0.2)" = 0 ]
	mail_from 127.0.0.6 someone@elsewhere.example "$REFUSED"
	# these talk to rblsmtpd
	from 127.0.0.3 'EHLO c' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' QUIT
	[[ "$(codes)" = *' 451 221' ]]
	grep -q 'Not you' out
	from 127.0.0.4 'EHLO c' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' QUIT
	[[ "$(codes)" = *' 553 221' ]]
	grep -q 'Never you' out
	from 127.0.0.5 QUIT
	[ ! -s out ]
}

# in a network with no one else in it
behind_a_zone() {
	python3 zone.py >zone.ready &
	eventually test -s zone.ready
	export DNSCACHEIP=127.0.0.53
	serve 127.0.0.1 0 -- rblsmtpd -a wl.example -r bl.example
	mail_from 127.0.0.2 u@example.org
	came_from 127.0.0.2
	mail_from 127.0.0.66 u@example.org '220 250 250 451 221'
	grep -q 'Listed as a test' out
	nothing_kept
	# listed, but known to be well
	mail_from 127.0.0.67 u@example.org
	came_from 127.0.0.67
}

# zone.py: TXT of 66 and 67 in bl.example, A of 67 in wl.example
zone_py() {
	cat <<-'P'
		import socket
		import struct

		def name(s):
		    return b''.join(bytes([len(x)]) + x for x in s.split(b'.')) + b'\0'

		TXT, A = 16, 1
		ZONE = {
		    (name(b'66.0.0.127.bl.example'), TXT): b'\x10Listed as a test',
		    (name(b'67.0.0.127.bl.example'), TXT): b'\x10Listed as a test',
		    (name(b'67.0.0.127.wl.example'), A): bytes([127, 0, 0, 2]),
		}
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.bind(('127.0.0.53', 53))
		print('ready', flush=True)
		while True:
		    q, who = s.recvfrom(512)
		    end = q.index(b'\0', 12) + 1
		    question = q[12:end + 4]
		    kind, = struct.unpack('>H', q[end:end + 2])
		    data = ZONE.get((q[12:end].lower(), kind))
		    answer = b'' if data is None else b'\xc0\x0c' + struct.pack(
		        '>HHIH', kind, 1, 60, len(data)) + data
		    s.sendto(q[:2] + struct.pack('>HHHHH',
		        0x8580 if answer else 0x8583, 1, 1 if answer else 0, 0, 0) +
		        question + answer, who)
	P
}

@test "rblsmtpd: with a zone on loopback, who is listed talks to it, all others to smtpd" {
	need rblsmtpd
	zone_py >zone.py
	alone -- behind_a_zone
}
