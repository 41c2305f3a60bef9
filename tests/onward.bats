#!/usr/bin/env bats
# onward - contrib/mail-onward and mail-to-lmtp: the next server's reply is ours;
# and contrib/scanner, from a device in clear to a provider that wants a token
# RFC 5321, 4.2; RFC 2033; XOAUTH2; msmtp(1)

# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2016 # what stands in single quotes is for another shell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them
load helper

teardown() {
	[ -z "${server:-}" ] || kill -9 -- "-$server" 2>/dev/null || :
	[ -z "${gateway:-}" ] || kill -9 -- "-$gateway" 2>/dev/null || :
}

answers() {
	(exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

free_port() {
	py <<-'P'
		import socket
		s = socket.socket()
		s.bind(('127.0.0.1', 0))
		print(s.getsockname()[1])
	P
}

# next_server OPTION...: smtpd with trouble in script, at $port; its Maildir is inbox
next_server() {
	need msmtp tcpserver
	mkdir -p inbox/{tmp,new,cur}
	port=$(free_port)
	setsid tcpserver -HR -l 0 127.0.0.1 "$port" "$SMTPD" -n next.example \
	    -d example.org -m inbox --faults="$PWD/script" --log off "$@" \
	    >server.log 2>&1 3>&- </dev/null &
	server=$!
	disown
	: >script
	eventually answers "$port"
}

# rows: what trouble the next server makes, and our reply to the dot
rows() {
	cat <<-'R'
		550/5.1.1 rcpt 550-5.1.1
		550/5.7.1 rcpt 550-5.7.1
		554/5.2.1 rcpt 553-5.2.1
		451/4.2.1 rcpt 450-4.2.1
		451/4.2.1 rcpt 451-4.2.1
		452/4.2.2 rcpt 452-4.2.2
		550/5.0.0 rcpt 550
		554/5.6.0 dot 554-5.6.0
		554/5.2.2 dot 552-5.2.2
		550/5.7.1 dot 550-5.7.1
		451/4.3.0 dot 451-4.3.0
		452/4.3.1 dot 452-4.3.1
		451/4.4.1 dot drop
		451/4.4.1 dot cut0
		451/4.4.1 data drop
		451/4.4.1 connect drop
		451/4.4.1 connect 554
		451/4.4.1 connect 421
		451/4.4.1 ehlo 550
	R
}

# of SMTP alone: LMTP has these in other places, or not at all
smtp_rows() {
	cat <<-'R'
		550/5.7.1 mail 550-5.7.1
		451/4.1.8 mail 451-4.1.8
		451/4.7.0 mail 530-5.7.0
		554/5.5.0 data 554-5.5.0
		451/4.3.1 data 450-4.3.1
	R
}

# all_rows [LINE...]: each, and the trouble's words are in our reply
all_rows() {
	local want line bad=0
	while read -r want line; do
		echo "$line" >script
		say 'EHLO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA \
		    'Subject: x' '' x . QUIT
		[[ $(full_codes) = *" 354 $want 221/2.0.0" ]] &&
		    { [[ $want = */4.4.1 || $want = 451/4.7.0 ]] ||
		    grep -q "^${want%/*} ${want#*/} This trouble was asked for" out; } &&
		    continue
		printf '%s: wanted %s\n' "$line" "$want"
		cat out log
		bad=1
	done
	[ $bad = 0 ]
}

@test "mail-onward: each reply of the next server is ours, with its words" {
	next_server
	OPTS=(-n mx.example -d example.org "$ROOT/contrib/mail-onward" --host=127.0.0.1 --port="$port"
	    --timeout=5 -- '{recipients}')
	{ rows; smtp_rows; } >table
	all_rows <table
	# what was cut off behind the dot was delivered: there is no way to know
	[ "$(count inbox)" = 1 ]
}

@test "mail-onward: the mail goes on as it came, and so does the envelope" {
	next_server
	OPTS=(-n mx.example -d example.org "$ROOT/contrib/mail-onward" --host=127.0.0.1 --port="$port"
	    -- '{recipients}')
	{
		printf '%s\n' 'From: "A" <a@c.example>' 'Bcc: hidden@example.org' \
		    'Subject: x' '' . .. .dot 'From here' $'na\xc3\xafve \xff' ''
		printf '%0900d\n\n' 0
	} >letter
	deliver letter
	[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]]
	tail -c "$(wc -c <letter)" "$(only_message inbox)" | cmp - letter
	[ "$(header Received "$(only_message inbox)" | wc -l)" = 2 ]
	[ "$(header Return-Path "$(only_message inbox)")" = '<a@c.example>' ]
	rm inbox/new/*
	say 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' 'RCPT TO:<v+w@example.org>' \
	    DATA x . QUIT
	[ "$(header Return-Path "$(only_message inbox)")" = '<>' ]
	header Delivered-To "$(only_message inbox)" | paste -sd ' ' - |
	    cmp - <(echo u@example.org v+w@example.org)
}

@test "mail-onward: a wrong set-up defers the mail" {
	need msmtp
	local how
	for how in '--host=127.0.0.1 --port=1' '-C nosuch' '-a nosuch' --nosuch; do
		# shellcheck disable=SC2206 # words
		OPTS=(-n mx.example -d example.org "$ROOT/contrib/mail-onward" $how -- '{recipients}')
		say 'EHLO c' 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA x . QUIT
		[[ $(full_codes) = *' 354 451/4.4.1 221/2.0.0' ]]
	done
}

@test "mail-to-lmtp: each recipient has the next server's reply, with its words" {
	next_server --lmtp
	OPTS=(-n mx.example -d example.org "$ROOT/contrib/mail-to-lmtp" "127.0.0.1:$port")
	rows >table
	all_rows <table
	rm -f inbox/new/*
	: >script
	say 'EHLO c' 'MAIL FROM:<a@c.example> PRDR' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<550-5.2.1@example.org>' 'RCPT TO:<452-4.2.2@example.org>' \
	    DATA 'Subject: x' '' x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 354 353 250/2.0.0 550/5.2.1 452/4.2.2 250/2.0.0 221/2.0.0' ]
	# its own header stands for ours
	header Return-Path "$(only_message inbox)" | cmp - <(echo '<a@c.example>')
	header Delivered-To "$(only_message inbox)" | cmp - <(echo u@example.org)
	[ "$(header Received "$(only_message inbox)" | wc -l)" = 2 ]
}

# provider: a server that wants STARTTLS and XOAUTH2, at $port; who knows the token
# may send, and the mail is in the file sent
provider() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
	    -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem \
	    -addext 'subjectAltName = DNS:localhost' 2>/dev/null
	cat >provider.py <<-'P'
		import base64, socket, ssl, sys
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
		context.load_cert_chain('cert.pem', 'key.pem')
		s = socket.create_server(('127.0.0.1', int(sys.argv[1])))
		want = b'user=scanner@example.org\x01auth=Bearer %s\x01\x01'
		def serve(c):
		    say = lambda t: c.sendall(t.encode() + b'\r\n')
		    f, secure, known, data = c.makefile('rb'), False, False, False
		    say('220 provider')
		    while True:
		        line = f.readline()
		        verb = line[:4].upper()
		        if not line:
		            return
		        if verb == b'EHLO':
		            say('250-provider\r\n250 ' +
		                ('AUTH XOAUTH2 PLAIN' if secure else 'STARTTLS'))
		        elif verb == b'STAR':
		            say('220 go')
		            c = context.wrap_socket(c, server_side=True)
		            f, secure = c.makefile('rb'), True
		        elif verb == b'AUTH':
		            token = open('token', 'rb').read().strip()
		            if len(line.split()) < 3:
		                say('334 ')
		                line += f.readline()
		            known = secure and base64.b64decode(line.split()[2]) == want % token
		            say('235 2.7.0 yes' if known else '535 5.7.8 no')
		        elif verb in (b'MAIL', b'RCPT'):
		            open('sent', 'ab').write(line)
		            say('250 ok' if known else '530 5.7.0 who are you?')
		        elif verb == b'DATA':
		            say('354 go')
		            with open('sent', 'ab') as out:
		                for line in f:
		                    if line == b'.\r\n':
		                        break
		                    out.write(line)
		            say('250 2.0.0 taken')
		        elif verb == b'QUIT':
		            say('221 bye')
		            return
		        else:
		            say('500 what?')
		while True:
		    c, _ = s.accept()
		    try:
		        serve(c)
		    except (OSError, ssl.SSLError) as e:
		        print(e)
	P
	port=$(free_port)
	setsid /usr/bin/python3 provider.py "$port" >server.log 2>&1 3>&- </dev/null &
	server=$!
	disown
	eventually answers "$port"
}

# scanner: contrib's page, with this test's port, user and paths, at $at
scanner() {
	local me
	me=$(id -un)
	need_root
	need tcpserver msmtp cvm-checkpassword openssl setpriv swaks
	provider
	printf 'scanner:%s:%s:%s:The scanner:/:/bin/sh\n' \
	    "$(printf 'Sesam 1' | openssl passwd -6 -stdin)" "$(id -u)" "$(id -g)" >users
	printf '#!/bin/sh\ncat %s/token\n' "$PWD" >oauth-token
	chmod 755 oauth-token
	echo ya29.right >token
	# as the page has it, but for the host
	sed -n '/^#	account default/,/^#	allow_from/s/^#	//p' "$ROOT/contrib/scanner" |
	    sed -e 's/^host .*/host localhost/' -e "s/^port .*/port $port/" \
	    -e "s|/etc/smtpd/oauth-token|$PWD/oauth-token|" >msmtprc
	echo "tls_trust_file $PWD/cert.pem" >>msmtprc
	chmod 600 msmtprc
	at=$(free_port)
	sed -e "s|/usr/local/sbin/smtpd|$SMTPD|" -e "s|^user=.*|user=$me|" \
	    -e "s|^users=.*|users=$PWD/users|" -e "s|^msmtprc=.*|msmtprc=$PWD/msmtprc|" \
	    -e "s|/usr/local/bin/mail-onward|$ROOT/contrib/mail-onward|" \
	    -e "s|^devices=.*|devices=${1:-127.0.0.0/8}|" -e "s| 0 587 | 127.0.0.1 $at |" \
	    "$ROOT/contrib/scanner" >scanner
	chmod 755 scanner
	setsid ./scanner >gateway.log 2>&1 3>&- </dev/null &
	gateway=$!
	disown
	eventually answers "$at"
}

# scans [PASSWORD]: what a device sends, in clear, with bare line ends
scans() {
	py "$at" "${1:-Sesam 1}" <<-'P'
		import base64, socket, sys
		s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20)
		f = s.makefile('rb')
		def reply():
		    while True:
		        line = f.readline().decode()
		        if not line or line[3:4] != '-':
		            print(line.split(' ')[0] + '/' + line.split(' ')[1].strip(), end=' ')
		            return
		b64 = lambda t: base64.b64encode(t.encode()).decode()
		reply()
		for line in ('EHLO scanner', 'AUTH LOGIN', b64('scanner'), b64(sys.argv[2]),
		    'MAIL FROM:<device@scanner.local>', 'RCPT TO:<boss@far.example>', 'DATA',
		    'Subject: a scan\n\nfirst\nsecond\n.', 'QUIT'):
		    s.sendall(line.encode() + b'\n')
		    reply()
	P
}

@test "scanner: a device with a password in clear and bare line ends sends by way of a token" {
	scanner
	scans >replies || { cat replies gateway.log; false; }
	grep -q ' 354/Send 250/2.0.0 221/2.0.0 $' replies || { cat replies gateway.log server.log; false; }
	tr -d '\r' <sent >lines
	grep -qx 'MAIL FROM:<scanner@example.org>.*' lines
	grep -qx 'RCPT TO:<boss@far.example>.*' lines
	tail -n 4 lines | cmp - <(printf '%s\n' 'Subject: a scan' '' first second)
}

@test "scanner: a token that is refused defers the mail, and a wrong password takes none" {
	scanner
	echo ya29.old >token
	sed -i 's|cat .*|echo ya29.new|' oauth-token
	scans >replies
	grep -q ' 354/Send 451/4.4.1 221/2.0.0 $' replies || { cat replies gateway.log; false; }
	scans 'Sesam 2' >replies || :
	grep -q ' 535/5.7.8 530/5.7.0 ' replies
	[ ! -e sent ]
}

@test "scanner: from other networks no password is taken in clear" {
	scanner 192.168.1.0/24
	swaks --server "127.0.0.1:$at" --from a@c.example --to b@far.example --auth LOGIN \
	    --auth-user scanner --auth-password 'Sesam 1' >said 2>&1 </dev/null || rc=$?
	[ "$rc" = 28 ]
	[ ! -e sent ]
}

@test "mail-onward and mail-to-lmtp: each says how it is called" {
	local to
	for to in mail-onward mail-to-lmtp; do
		status=0
		"$ROOT/contrib/$to" </dev/null >out 2>&1 || status=$?
		[ "$status" = 64 ]
		grep -q usage: out
	done
}

@test "mail-to-lmtp: a mail that is cut off on its way goes nowhere" {
	mkdir tools
	cp "$ROOT/contrib/mail-to-lmtp" tools
	printf '#!/bin/sh\ncat >%s/went\n' "$PWD" >tools/mail-onward
	export SENDER=a@c.example RECIPIENT=u@example.org MESSAGE_KEY=abc
	chmod 755 tools/*
	printf 'Return-Path: <a@c.example>\nDelivered-To: u@example.org\nSubject: x\n\nbody\n' >mail
	tools/mail-to-lmtp next.example:24 <mail
	printf 'X-Message-Key: abc\nSubject: x\n\nbody\n' | cmp - went
	rm went
	printf '#!/bin/sh\nhead -c 60\nkill -9 $$\n' >tools/sed
	chmod 755 tools/sed
	PATH=$PWD/tools:$PATH run -75 tools/mail-to-lmtp next.example:24 <mail
	[ ! -e went ]
	# a disk without room for it
	printf '#!/bin/sh\necho /dev/full\n' >tools/mktemp
	rm tools/sed
	printf '#!/bin/sh\nexit 0\n' >tools/rm
	chmod 755 tools/mktemp tools/rm
	PATH=$PWD/tools:$PATH run -75 tools/mail-to-lmtp next.example:24 <mail
	[ ! -e went ]
}
