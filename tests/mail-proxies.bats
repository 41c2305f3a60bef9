# mail-proxies.bats - nginx's and Dovecot's mail proxies in front of smtpd
# Postfix's XCLIENT_README; PROXY protocol 2.1; RFC 4954; RFC 6409
#
# contrib's recipes as they stand, on a host of the test's own, whose address is
# 192.0.2.10; 198.51.100.7 is a client.

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
# shellcheck disable=SC2034,SC2154 # what net.bash shares
load host

NGINX=$CLIENTS_DIR/nginx/usr/sbin/nginx
SUBMISSION=$CLIENTS_DIR/dovecot-submissiond/usr/lib/dovecot/submission
HOSTS=(192.0.2.10 198.51.100.7)

setup_file() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
	    -nodes -days 2 -subj /CN=mx.example -keyout "$BATS_FILE_TMPDIR/key" \
	    -out "$BATS_FILE_TMPDIR/cert" 2>/dev/null || return 0
}

# checkpassword: for --auth; alice's password is secret
checkpassword() {
	cat >/usr/local/sbin/checkpw <<-'P'
		#!/bin/bash
		IFS= read -r -d '' user <&3
		IFS= read -r -d '' password <&3
		[ "$user $password" = 'alice secret' ] || exit 1
		exec "$@"
	P
	chmod 755 /usr/local/sbin/checkpw
}

# relay: the program that would send mail on, and keeps what it is told
relay() {
	cat >/usr/local/sbin/relay <<-'P'
		#!/bin/bash
		umask 077
		to=$(mktemp -d /var/mail/smtpd/relayed.XXXXXX) || exit 75
		printf '%s\n' "$@" >"$to/arguments"
		env >"$to/environment"
		exec cat >"$to/mail"
	P
	chmod 755 /usr/local/sbin/relay
}

# behind PORT WORD...: smtpd there, with these
behind() {
	local at=$1
	shift
	start tcpserver -1 -HR -l mx.example 127.0.0.1 "$at" \
	    setpriv --reuid smtpd --regid smtpd --clear-groups \
	    /usr/local/sbin/smtpd -n mx.example -d example.org -v \
	    --spool /tmp "$@" \
	    >"port.$at" 2>>log
	eventually test -s "port.$at"
}

greets() {
	[ -n "$(converse 192.0.2.10 "$1" QUIT 2>/dev/null)" ]
}

# nginx_with SED...: running by the recipe, after these
nginx_with() {
	mkdir -p /etc/nginx/modules-enabled /var/log/nginx /var/lib/nginx \
	    /etc/ssl/{certs,private}
	cp "$BATS_FILE_TMPDIR/cert" /etc/ssl/certs/smtpd.pem
	cp "$BATS_FILE_TMPDIR/key" /etc/ssl/private/smtpd.key
	cp /usr/share/nginx/modules-available/mod-mail.conf \
	    /etc/nginx/modules-enabled/
	sed "$@" "$ROOT/contrib/nginx-mail.conf" >/etc/nginx/nginx.conf
	start nginx -g 'daemon off;' >nginx.log 2>&1
	eventually greets 25
	host=192.0.2.10
}

nginx_tells() {
	a_host nginx nginx-common libnginx-mod-mail
	behind 10025 --xclient 127.0.0.1 -m '/var/mail/smtpd/{user}'
	nginx_with ''
	port=25
	mail_from 198.51.100.7 alice@example.org
	# the reply for one recipient is his own
	converse 192.0.2.10 25 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<alice@example.org>' 'RCPT TO:<carol@example.org>' \
	    'RCPT TO:<a@elsewhere.example>' RSET QUIT >replies
	# and smtpd's refusals are the client's, not nginx's word
	from 198.51.100.7 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<carol@example.org>' QUIT
}

@test "mail proxies: nginx without AUTH tells smtpd who the client is" {
	local msg
	need "$NGINX" socat openssl
	alone "${HOSTS[@]}" -- nginx_tells
	msg=$(only_message mail/alice)
	[[ $(header Received "$msg") = 'from c.example '*'[198.51.100.7]'*' with ESMTP '* ]]
	[ "$(header Return-Path "$msg")" = '<a@c.example>' ]
	grep -q 'message .*client=\[198\.51\.100\.7\].*helo="c.example".*reply=250' log
	[ "$(full_codes replies)" = '220 250 250/2.0.0 250/2.1.5 550/5.1.1 550/5.7.1 250/2.0.0 221/2.0.0' ]
	[[ "$(full_codes)" = '220 250 250/2.0.0 550/5.1.1'* ]]
}

nginx_tells_by_proxy() {
	a_host nginx nginx-common libnginx-mod-mail
	behind 10025 --proxy 127.0.0.1 -m '/var/mail/smtpd/{user}'
	nginx_with -e 's/#\(xclient off;\)/\1/; s/#\(proxy_protocol on;\)/\1/'
	port=25
	mail_from 198.51.100.7 alice@example.org
}

@test "mail proxies: nginx does so by the PROXY protocol" {
	need "$NGINX" socat openssl
	alone "${HOSTS[@]}" -- nginx_tells_by_proxy
	[[ $(header Received "$(only_message mail/alice)") = *'[198.51.100.7]'*' with ESMTP '* ]]
	grep -q 'message .*client=\[198\.51\.100\.7\].*reply=250' log
}

# submits PORT MECHANISM PASSWORD: alice does, from 198.51.100.7, by smtplib
submits() {
	/usr/bin/python3 - "$@" <<-'P'
		import smtplib
		import ssl
		import sys

		port, mechanism, password = sys.argv[1:]
		tls = ssl._create_unverified_context()
		at = {'local_hostname': 'c.example',
		    'source_address': ('198.51.100.7', 0), 'timeout': 20}
		if port == '465':
		    s = smtplib.SMTP_SSL('192.0.2.10', port, context=tls, **at)
		else:
		    s = smtplib.SMTP('192.0.2.10', port, **at)
		    s.starttls(context=tls)
		s.ehlo()
		s.user, s.password = 'alice', password
		s.auth(mechanism, {'PLAIN': s.auth_plain,
		    'LOGIN': s.auth_login}[mechanism], initial_response_ok=False)
		s.sendmail('alice@example.org', ['b@elsewhere.example',
		    'c@elsewhere.example'], open('letter').read())
		s.quit()
	P
}

# was_relayed [DIR]: once, from alice, whose login and address were told
was_relayed() {
	local -a dirs=(mail/relayed.*)
	[ "${#dirs[@]}" = 1 ] || return 1
	[ -d "${dirs[0]}" ] || return 1
	printf '%s\n' -f alice@example.org -- b@elsewhere.example \
	    c@elsewhere.example | cmp - "${dirs[0]}/arguments" || return 1
	cat "${dirs[0]}/environment"
	grep -qx AUTH_USER=alice "${dirs[0]}/environment" || return 1
	grep -qx CLIENT_ADDRESS=198.51.100.7 "${dirs[0]}/environment" || return 1
	tail -c "$(wc -c <letter)" "${dirs[0]}/mail" | cmp - letter || return 1
	received=$(header Received "${dirs[0]}/mail" | head -n 1)
	echo "$received"
	[[ $received = 'from c.example '*'[198.51.100.7]'* ]] || return 1
	rm -r "${dirs[0]}"
}

nginx_has_logins_checked() {
	local at mechanism
	a_host nginx nginx-common libnginx-mod-mail
	checkpassword
	relay
	behind 10025 --xclient 127.0.0.1 -m '/var/mail/smtpd/{user}'
	behind 10587 --xclient 127.0.0.1 --secured --require auth \
	    --auth '/usr/local/sbin/checkpw /bin/true' -- \
	    /usr/local/sbin/relay -f '{sender}' -- '{recipients}'
	nginx_with ''
	for at in 587 465; do
		for mechanism in PLAIN LOGIN; do
			submits $at $mechanism secret
			was_relayed
			[[ $received = *' with ESMTPSA '* ]]
			# smtpd takes a second over it
			run ! submits $at $mechanism wrong
			run ! was_relayed
		done
	done
}

@test "mail proxies: nginx passes PLAIN and LOGIN on to smtpd, which checks them" {
	need "$NGINX" socat openssl
	lettered
	alone "${HOSTS[@]}" -- nginx_has_logins_checked
	grep -q 'client=\[198\.51\.100\.7\].*reply=250' log
}

# a password that nginx has checked is told by XCLIENT
# shellcheck disable=SC2016 # the variable is nginx's
nginx_checks_logins() {
	a_host nginx nginx-common libnginx-mod-mail
	relay
	behind 10025 --xclient 127.0.0.1 -m '/var/mail/smtpd/{user}'
	behind 10587 --xclient 127.0.0.1 --secured --require auth -- \
	    /usr/local/sbin/relay -f '{sender}' -- '{recipients}'
	# what an HTTP server of the administrator's would be asked
	nginx_with -e '/proxy_smtp_auth on/d' -e '/location = .587/a\
		if ($http_auth_pass != secret) {\
			add_header Auth-Status "Invalid login";\
			return 204;\
		}'
	submits 587 PLAIN secret
	was_relayed
	submits 587 LOGIN secret
	was_relayed
	run ! submits 587 PLAIN wrong
	run ! was_relayed
}

@test "mail proxies: of a login that nginx has checked, smtpd learns by XCLIENT" {
	need "$NGINX" socat openssl
	lettered
	alone "${HOSTS[@]}" -- nginx_checks_logins
	grep -q 'XCLIENT .*LOGIN=alice' log
}

# dovecot_with SED...: running by the recipe, after these, beside what a Dovecot
# that serves users has already
dovecot_with() {
	mkdir -p /etc/dovecot/conf.d
	cp "$BATS_FILE_TMPDIR/cert" /etc/dovecot/cert.pem
	cp "$BATS_FILE_TMPDIR/key" /etc/dovecot/key.pem
	echo 'alice:{PLAIN}secret' >/etc/dovecot/users
	chmod 644 /etc/dovecot/users
	cat >/etc/dovecot/dovecot.conf <<-'C'
		# it is unpacked beside the other parts
		version_ignore = yes
		protocols =
		log_path = /var/log/dovecot
		ssl = required
		ssl_cert = </etc/dovecot/cert.pem
		ssl_key = </etc/dovecot/key.pem
		auth_mechanisms = plain login
		mail_location = maildir:/var/mail/smtpd/%n
		passdb {
			driver = passwd-file
			args = /etc/dovecot/users
		}
		userdb {
			driver = static
			args = uid=smtpd gid=smtpd home=/var/mail/smtpd/%n
		}
		!include conf.d/*.conf
	C
	sed "$@" "$ROOT/contrib/dovecot-submission.conf" \
	    >/etc/dovecot/conf.d/99-smtpd.conf
	start dovecot -F >dovecot.log 2>&1
	eventually greets 587 || { cat /var/log/dovecot; return 1; }
}

dovecot_tells() {
	a_host dovecot-submissiond
	relay
	behind 10587 --xclient 127.0.0.1 --secured --require auth -- \
	    /usr/local/sbin/relay -f '{sender}' -- '{recipients}'
	dovecot_with ''
	submits 587 PLAIN secret || { cat /var/log/dovecot; return 1; }
	was_relayed
	[[ $received = *' with ESMTPSA '* ]]
	submits 587 LOGIN secret
	was_relayed
	run ! submits 587 PLAIN wrong
	run ! was_relayed
}

@test "mail proxies: Dovecot's submission tells smtpd who the client is, and the user" {
	need "$SUBMISSION" dovecot socat openssl
	lettered
	alone "${HOSTS[@]}" -- dovecot_tells
	grep -q 'client=\[198\.51\.100\.7\].*user="alice".*reply=250' log
}

dovecot_logs_in() {
	a_host dovecot-submissiond
	checkpassword
	relay
	behind 10587 --secured --require auth \
	    --auth '/usr/local/sbin/checkpw /bin/true' -- \
	    /usr/local/sbin/relay -f '{sender}' -- '{recipients}'
	dovecot_with -e 's/^#\(submission_relay_\)/\1/' \
	    -e 's/^\(submission_relay_user = \).*/\1alice/'
	submits 587 PLAIN secret || { cat /var/log/dovecot; return 1; }
	cp -r mail/relayed.* relayed
}

@test "mail proxies: Dovecot's submission logs in at smtpd, if so told" {
	need "$SUBMISSION" dovecot socat openssl
	lettered
	alone "${HOSTS[@]}" -- dovecot_logs_in
	grep -qx AUTH_USER=alice relayed/environment
	grep -qx CLIENT_ADDRESS=127.0.0.1 relayed/environment
	[[ $(header Received relayed/mail | head -n 1) = *' with ESMTPSA '* ]]
	tail -c "$(wc -c <letter)" relayed/mail | cmp - letter
}
