# recipes.bats - contrib's recipes for mail systems that hand mail on to smtpd:
# Exim and sendmail by LMTP, fetchmail by SMTP and LMTP
# RFC 2033
#
# Each recipe is used as it stands, on a host of the test's own.

# shellcheck disable=SC2154 # what net.bash shares
load host

EXIM=$CLIENTS_DIR/exim4-daemon-light/usr/sbin/exim4
SENDMAIL=$CLIENTS_DIR/sendmail-bin/usr/libexec/sendmail/sendmail

setup_file() {
	export CLIENTS_DIR
}

# is_logged PATTERN: in what smtpd said to syslog
is_logged() {
	grep -aqE "$1" syslog
}

# each_has_his_own: alice's mail came, bob's waits, carol's is refused
each_has_his_own() {
	has_letter alice
	[ "$(header Return-Path "$(only_message mail/alice)")" = '<postmaster@example.org>' ]
	[ "$(header Delivered-To "$(only_message mail/alice)")" = alice@example.org ]
	[[ $(header Received "$(only_message mail/alice)" | head -n 1) = *' with LMTP id '* ]]
	[ "$(count mail/bob)" = 0 ]
	grep -i '^Final-Recipient:' "$(only_message mail/postmaster)" >failed
	[ "$(wc -l <failed)" = 1 ]
	grep -qi '; *carol@example\.org$' failed
}

# ---- Exim ----

# exim_with SED...: Exim by the recipe, after these
exim_with() {
	mkdir -p /etc/exim4 /var/spool/exim4 /var/log/exim4
	chown Debian-exim:Debian-exim /var/spool/exim4 /var/log/exim4
	sed "$@" "$ROOT/contrib/exim4.conf" >/etc/exim4/exim4.conf
}

exim_mails() {
	/usr/sbin/exim4 -odf -oi -f postmaster@example.org "$@" <letter
	cat /var/log/exim4/mainlog
}

exim_by_command() {
	a_host exim4-daemon-light
	exim_with ''
	exim_mails alice@example.org bob@example.org carol@example.org
}

exim_by_socket() {
	a_host exim4-daemon-light
	exim_with 's/transport = smtpd_command/transport = smtpd_socket/'
	on_socket /run/smtpd-lmtp --lmtp -d example.org --log syslog \
	    --maildir '/var/mail/smtpd/{user}'
	chown Debian-exim /run/smtpd-lmtp
	exim_mails alice@example.org bob@example.org carol@example.org
}

@test "recipes: Exim's lmtp transport starts smtpd, and has a reply for each recipient" {
	need "$EXIM" socat
	lettered
	alone -- exim_by_command
	each_has_his_own
	grep -q '=> alice <alice@example.org>' said
	grep -q '== bob@example.org' said
	grep -q '\*\* carol@example.org' said
	is_logged 'alice@example.org'
}

@test "recipes: Exim's lmtp transport connects to a socket, and has a reply for each recipient" {
	need "$EXIM" socat systemd-socket-activate
	lettered
	alone -- exim_by_socket
	each_has_his_own
	grep -q '=> alice <alice@example.org>' said
	grep -q '== bob@example.org' said
	grep -q '\*\* carol@example.org' said
	is_logged 'alice@example.org'
}

exim_without_log() {
	a_host exim4-daemon-light
	exim_with 's/ --log syslog/ -v/'
	exim_mails alice@example.org carol@example.org
}

# Exim has the command's fd 2 be the same pipe as its fd 1
@test "recipes: of a log that nobody sends elsewhere, nothing gets into Exim's dialogue" {
	need "$EXIM" socat
	lettered
	alone -- exim_without_log
	has_letter alice
	grep -q '=> alice <alice@example.org>' said
	grep -q '\*\* carol@example.org.*550' said
	run ! grep -q Malformed said
	is_logged 'to="alice@example.org"'
}

# ---- sendmail ----

# sendmail_by_recipe: sendmail by Debian's sendmail.mc, with the recipe's lines
# where the recipe says, made into sendmail.cf
sendmail_by_recipe() {
	mkdir -p /etc/mail/m4 /var/spool/mqueue /var/lib/sendmail/host_status
	# there is no DNS
	echo hosts files >/etc/mail/service.switch
	touch /etc/mail/aliases /etc/mail/m4/{dialup,provider}.m4
	echo example.org >/etc/mail/local-host-names
	awk -v recipe="$ROOT/contrib/sendmail.mc" '
		/^MAILER_DEFINITIONS/ {
			while (getline line <recipe)
				print line
		}
		{ print }' /usr/share/sendmail/cf/debian/sendmail.mc \
	    >/etc/mail/sendmail.mc
	m4 /etc/mail/sendmail.mc >/etc/mail/sendmail.cf
	/usr/libexec/sendmail/makemap hash /etc/mail/access </dev/null
	/usr/libexec/sendmail/sendmail -bi
}

sendmail_hands_over() {
	a_host sendmail-bin sendmail-cf
	sendmail_by_recipe
	# in the foreground
	/usr/libexec/sendmail/sendmail -Am -i -odi -f postmaster@example.org \
	    alice@example.org bob@example.org carol@example.org <letter || :
	/usr/libexec/sendmail/sendmail -bp
	cat syslog
}

@test "recipes: sendmail's local_lmtp mailer starts smtpd, and has a reply for each recipient" {
	need "$SENDMAIL" m4 socat
	lettered
	alone -- sendmail_hands_over
	each_has_his_own
}

# ---- fetchmail ----

# pop3: a POP3 server with one mail, the file letter, on 127.0.0.1:110, until the
# mail is removed; what it was told is in the file pop3.said
pop3() {
	cat >pop3.py <<-'P'
		import os
		import socket

		letter = b'Return-Path: <a@c.example>\r\n'
		letter += open('letter', 'rb').read().replace(b'\n', b'\r\n')
		dotted = b'\r\n'.join(b'.' + line if line[:1] == b'.' else line
		    for line in letter.split(b'\r\n'))
		said = open('pop3.said', 'w')
		server = socket.create_server(('127.0.0.1', 110))
		open('pop3.up', 'w').close()
		there, marked = 1, 0
		while there:
		    conn, _ = server.accept()
		    f = conn.makefile('rwb')
		    f.write(b'+OK\r\n')
		    f.flush()
		    for line in f:
		        line = line.decode().strip()
		        print(line, file=said, flush=True)
		        word = line.split()[0].upper()
		        reply = b'+OK\r\n'
		        if word == 'STAT':
		            reply = b'+OK %d %d\r\n' % (there, len(letter))
		        elif word == 'LIST':
		            reply = b'+OK 1 %d\r\n' % len(letter)
		            if line.upper() == 'LIST':
		                reply = b'+OK\r\n1 %d\r\n.\r\n' % len(letter)
		        elif word in ('RETR', 'TOP'):
		            reply = b'+OK\r\n' + dotted + b'.\r\n'
		        elif word == 'DELE':
		            marked = 1
		        elif word == 'QUIT':
		            there -= marked
		        elif word not in ('USER', 'PASS', 'NOOP'):
		            reply = b'-ERR\r\n'
		        f.write(reply)
		        f.flush()
		    conn.close()
	P
	rm -f pop3.up
	start /usr/bin/python3 pop3.py
	eventually test -e pop3.up
}

# fetch SED...: once, by the recipe, after these; without TLS, for the server
# above has none
fetch() {
	sed -e 's/pop.example.net/127.0.0.1/; s/ ssl$/ sslproto ""/' \
	    -e '/^set daemon/d; /^set syslog/d' "$@" \
	    "$ROOT/contrib/fetchmailrc" >/etc/fetchmailrc
	chmod 600 /etc/fetchmailrc
	FETCHMAILHOME=/run fetchmail -f /etc/fetchmailrc -v || [ $? = 1 ]
}

removed() {
	grep -q '^DELE 1' pop3.said
}

fetchmail_by_smtp() {
	a_host fetchmail
	pop3
	start tcpserver -HR -l mx.example 127.0.0.1 25 setpriv --reuid smtpd \
	    --regid smtpd --clear-groups /usr/local/sbin/smtpd \
	    -n mx.example -d example.org -m '/var/mail/smtpd/{user}' 2>log
	eventually converse 127.0.0.1 25 QUIT
	# bob's Maildir is broken
	fetch -e 's/alice@/bob@/'
	run ! removed
	fetch
	removed
	# carol is refused
	pop3
	fetch -e 's/alice@/carol@/'
	removed
}

@test "recipes: fetchmail gives a mail to smtpd by SMTP, and again after a 4xx" {
	need "$CLIENTS_DIR/fetchmail/usr/bin/fetchmail" socat
	lettered
	alone -- fetchmail_by_smtp
	has_letter alice
	[ "$(header Return-Path "$(only_message mail/alice)")" = '<a@c.example>' ]
	[ "$(header Delivered-To "$(only_message mail/alice)")" = alice@example.org ]
	[[ $(header Received "$(only_message mail/alice)" | head -n 1) = *'[127.0.0.1]'*' with ESMTP id '* ]]
	# one is the letter, the other says why it is there
	[ "$(count mail/postmaster)" = 2 ]
	head -qn 1 mail/postmaster/new/* | sort >senders
	printf 'Return-Path: %s\n' '<>' '<a@c.example>' | cmp - senders
}

fetchmail_by_lmtp() {
	a_host fetchmail
	pop3
	on_socket /run/smtpd-lmtp --lmtp -d example.org \
	    --maildir '/var/mail/smtpd/{user}'
	fetch -e '/smtphost "127/d; s/#\(smtphost .*lmtp\)/\1/' -e 's/alice@/bob@/'
	run ! removed
	fetch -e '/smtphost "127/d; s/#\(smtphost .*lmtp\)/\1/'
	removed
}

@test "recipes: fetchmail does so by LMTP, on a socket" {
	need "$CLIENTS_DIR/fetchmail/usr/bin/fetchmail" socat systemd-socket-activate
	lettered
	alone -- fetchmail_by_lmtp
	has_letter alice
	[ "$(header Return-Path "$(only_message mail/alice)")" = '<a@c.example>' ]
	[[ $(header Received "$(only_message mail/alice)" | head -n 1) = *' with LMTP id '* ]]
}
