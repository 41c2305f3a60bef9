# submission.bats - contrib/submission, from the client's TLS to the next server
# RFC 6409 (port 587), RFC 8314 (port 465); RFC 4954, RFC 3207

# each test is a subshell; helper.bash has the rest
# shellcheck disable=SC2030,SC2031,SC2154
load helper

SECRET='Sesam, "1" #2'

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
	    -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem \
	    -addext 'subjectAltName = DNS:localhost, IP:127.0.0.1' \
	    2>/dev/null || return 0
}

teardown() {
	local pid
	for pid in "${launchers[@]}"; do
		kill -KILL -- "-$pid" || :
		wait "$pid" || :
	done 2>/dev/null
}

# is_listening PORT: some process on this machine listens there
is_listening() {
	grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf '%04X' "$1") [0-9A-F:]* 0A " \
	    /proc/net/tcp /proc/net/tcp6
}

# choose_port: a port no one listens on, below those the kernel gives away;
# from 6000 of this file's own, because others run beside it
choose_port() {
	port=$((26000 + RANDOM % 6000))
	while is_listening $port; do
		port=$((26000 + RANDOM % 6000))
	done
}

# launch NAME COMMAND...: in a process group of its own, until $port is listened
# on; what it says is in the file NAME
launch() {
	local name=$1
	shift
	setsid "$@" >"$name" 2>&1 </dev/null 3>&- &
	launchers+=($!)
	eventually is_listening "$port" || { cat "$name"; return 1; }
}

# next_server: where the mail goes, the Maildir inbox; it has no user "nobody"
next_server() {
	mkdir -p inbox/tmp inbox/new inbox/cur
	printf '@%s\n' c.example next.example >next.users
	choose_port
	launch next.log tcpserver -HR -l 0 127.0.0.1 "$port" "$SMTPD" \
	    -n next.example -d next.example -u next.users -m inbox
	printf '%s\n' 'account default' 'host 127.0.0.1' "port $port" \
	    'tls off' 'auth off' 'domain mx.example' >msmtprc
	chmod 600 msmtprc
}

# submission 587|465: contrib's, with this test's ports, user and paths
submission() {
	local me
	need_root
	need tcpserver stunnel4 msmtp cvm-checkpassword openssl setpriv
	launchers=()
	me=$(id -un)
	next_server
	printf 'alice:%s:%s:%s:Alice:/:/bin/sh\n' \
	    "$(printf %s "$SECRET" | openssl passwd -6 -stdin)" \
	    "$(id -u)" "$(id -g)" >users
	mkdir bin
	# no package of Debian 12 has it: the project's own stands for it, with
	# the connection on another descriptor than 0, which it closes
	cat >bin/s6-ucspitlsd <<-SH
		#!/bin/sh
		cat "\$KEYFILE" "\$CERTFILE" >"$PWD/pem"
		unset KEYFILE CERTFILE TLS_UID TLS_GID
		exec python3 "$PWD/parent.py" "$PWD/pem" "\$@"
	SH
	cat >parent.py <<-P
		import sys
		sys.path.insert(0, '$BATS_TEST_DIRNAME')
		sys.dont_write_bytecode = True
		import ucspitls
		serve = ucspitls.serve
		ucspitls.serve = lambda sock, options: serve(sock.dup(), options)
		ucspitls.main()
	P
	chmod 755 bin/s6-ucspitlsd
	[ ! -x /usr/bin/python3 ] || ln -s /usr/bin/python3 bin/python3
	choose_port
	sed -e "s|/usr/local/sbin/smtpd|$SMTPD --verbose|" \
	    -e "s|^name=.*|name=mx.example|; s|^user=.*|user=$me|" \
	    -e "s|^cert=.*|cert=$BATS_FILE_TMPDIR/cert.pem|" \
	    -e "s|^key=.*|key=$BATS_FILE_TMPDIR/key.pem|" \
	    -e "s|^users=.*|users=$PWD/users|" \
	    -e "s|/etc/smtpd/msmtprc|$PWD/msmtprc|" \
	    -e "s|/usr/local/bin/mail-onward|$ROOT/contrib/mail-onward|" \
	    -e "s| 0 587 | 127.0.0.1 $port |" \
	    -e "s|accept = 465|accept = 127.0.0.1:$port|" \
	    "$ROOT/contrib/submission" >submission
	chmod 755 submission
	PATH=$PWD/bin:$PATH launch log "$PWD/submission" "$1"
	export HOME=$PWD SSL_CERT_FILE=$BATS_FILE_TMPDIR/cert.pem
	printf 'From: a@c.example\nSubject: a letter\n\n.\nbye\n' >letter
}

# client COMMAND...: its output in the file said, its exit status in $status
client() {
	status=0
	timeout 60 "$@" >said 2>&1 3>&- || status=$?
}

# arrived: the next server has the letter for v and w, from a, in one piece;
# it came by way of ours, who had it encrypted, from a user that is known
arrived() {
	local m
	[ "$status" = 0 ] || { echo "status $status"; cat said log; return 1; }
	m=$(only_message inbox)
	[ "$(body "$m")" = "$(body letter)" ]
	[ "$(header Return-Path "$m")" = '<a@c.example>' ]
	[ "$(header Delivered-To "$m" | sort | paste -sd ' ')" = \
	    'v@next.example w@next.example' ]
	[ "$(header Received "$m" | wc -l)" = 2 ]
	[[ $(header Received "$m" | tail -n 1) = \
	    *'[127.0.0.1]'*' by mx.example with ESMTPSA '* ]]
	run ! grep -aF -e Sesam -e "$(printf %s "$SECRET" | base64)" \
	    -e "$(printf '\0alice\0%s' "$SECRET" | base64)" log
	rm "$m"
}

nothing_arrived() {
	nothing_kept inbox || { cat said log; return 1; }
}

by_swaks() {
	client swaks --server "localhost:$port" --ehlo c.example \
	    --from a@c.example --to v@next.example,w@next.example \
	    --data @letter "$@"
}

with_password=(--auth-user alice --auth-password "$SECRET")

by_msmtp() {
	printf %s "$SECRET" >secret
	client msmtp -C /dev/null --host=localhost --port="$port" \
	    --tls=on --tls-trust-file="$SSL_CERT_FILE" --domain=c.example \
	    --auth=on --user=alice --passwordeval='cat secret' \
	    --from=a@c.example "$@" v@next.example w@next.example <letter
}

by_curl() {
	client curl -sS --cacert "$SSL_CERT_FILE" --crlf --upload-file letter \
	    --mail-from a@c.example --mail-rcpt v@next.example \
	    --mail-rcpt w@next.example --user "alice:$SECRET" "$@"
}

by_smtplib() {
	client /usr/bin/env python3 - "$port" "$SECRET" "$1" <<-'P'
		import smtplib
		import ssl
		import sys
		port, secret, how = sys.argv[1:]
		context = ssl.create_default_context()
		if how == 'starttls':
		    s = smtplib.SMTP('localhost', int(port), 'c.example')
		    s.starttls(context=context)
		else:
		    s = smtplib.SMTP_SSL('localhost', int(port), 'c.example',
		        context=context)
		s.login('alice', secret)
		s.sendmail('a@c.example', ['v@next.example', 'w@next.example'],
		    open('letter', 'rb').read().replace(b'\n', b'\r\n'))
		s.quit()
	P
}

@test "submission: on port 587 STARTTLS, a password, and msmtp carries the mail on" {
	need swaks curl
	submission 587
	by_swaks --tls --auth PLAIN "${with_password[@]}"
	arrived
	by_swaks --tls --auth LOGIN "${with_password[@]}"
	arrived
	by_msmtp
	arrived
	by_curl --ssl-reqd "smtp://localhost:$port/c.example"
	arrived
	by_smtplib starttls
	arrived
}

@test "submission: on port 587 nothing is to be had in clear" {
	need swaks
	submission 587
	converse 127.0.0.1 "$port" 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    "AUTH PLAIN $(printf '\0alice\0%s' "$SECRET" | base64)" \
	    'VRFY v@next.example' QUIT >out
	[ "$(full_codes)" = \
	    '220 250 530/5.7.0 530/5.7.0 530/5.7.0 221/2.0.0' ]
	grep -q '^250-STARTTLS' out
	run ! grep -q AUTH out
	# encrypted, but no one knows by whom
	by_swaks --tls
	[ "$status" != 0 ]
	grep -q 530 said
	nothing_arrived
}

@test "submission: on port 465 TLS from the first byte, a password, and msmtp carries the mail on" {
	need swaks curl
	submission 465
	by_swaks --tls-on-connect --auth PLAIN "${with_password[@]}"
	arrived
	by_swaks --tls-on-connect --auth LOGIN "${with_password[@]}"
	arrived
	by_msmtp --tls-starttls=off
	arrived
	by_curl "smtps://localhost:$port/c.example"
	arrived
	by_smtplib tls
	arrived
}

@test "submission: on port 465 nothing is to be had without the password" {
	need swaks
	submission 465
	by_swaks --tls-on-connect
	[ "$status" != 0 ]
	grep -q 530 said
	by_swaks --tls-on-connect --auth PLAIN --auth-user alice \
	    --auth-password wrong
	[ "$status" != 0 ]
	grep -q 535 said
	nothing_arrived
}

@test "submission: what the next server refuses the client is told, and nothing is kept" {
	need swaks
	submission 465
	by_swaks --tls-on-connect --auth PLAIN "${with_password[@]}" \
	    --to v@elsewhere.example
	[ "$status" != 0 ]
	grep -q '^<~\*\** [45]' said || { cat said log; false; }
	grep -q 'server message: 550' log
	nothing_arrived
	# nor is there anything when it can't be reached
	kill -KILL -- "-${launchers[0]}"
	by_swaks --tls-on-connect --auth PLAIN "${with_password[@]}"
	[ "$status" != 0 ]
	grep -q '^<~\*\** 4' said || { cat said log; false; }
	nothing_arrived
}
