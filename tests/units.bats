#!/usr/bin/env bats
# units.bats - contrib's sockets for ports 465 and 587, and the drop-ins for many
# domains and for the poll limit, under a systemd that sdboot.sh boots
# RFC 8314, RFC 6409; systemd.socket(5), systemd.exec(5)

# shellcheck disable=SC2154 # helper.bash sets it
load helper
load boot

CONTRIB=$ROOT/contrib
UNITS=/etc/systemd/system
SECRET='Sesam, "1" #2'

# put DIRECTORY FILE [NAME]: contrib's file in the tree
put() {
	mkdir -p "$tree/$1"
	cp "$CONTRIB/$2" "$tree/$1/${3:-$2}"
}

setup_file() {
	tree=$BATS_FILE_TMPDIR/tree
	"$SDBOOT" possible >"$BATS_FILE_TMPDIR/why" || return 0
	mkdir -p "$tree"/{usr/local/sbin,usr/bin,etc/smtpd,etc/ssl/private,opt/tls}
	# not the build with sanitizers: tlswrapper gives it too little memory
	cp "$ROOT/smtpd" "$tree/usr/local/sbin/smtpd"
	put etc/sysusers.d smtpd.sysusers smtpd.conf
	put etc/tmpfiles.d smtpd.tmpfiles smtpd.conf
	put $UNITS smtpd.socket
	put $UNITS smtpd@.service
	put usr/local/bin mail-onward
	# as their headers say
	local name
	for name in submission submissions; do
		put $UNITS smtpd-$name.socket
		put $UNITS smtpd@.service smtpd-$name@.service
		put $UNITS/smtpd-$name@.service.d mda.conf
		put $UNITS/smtpd-$name@.service.d mda-network.conf
		put $UNITS/smtpd-$name@.service.d $name.conf
	done
	echo mx.example >"$tree/etc/hostname"
	(
		cd "$tree/etc/ssl/private" || exit
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
		    -nodes -days 2 -subj /CN=mx.example -keyout smtpd.key \
		    -out smtpd.crt 2>/dev/null
		cat smtpd.key smtpd.crt >smtpd.pem
		chmod 700 .
		chmod 600 smtpd.*
	)
	# no package of Debian 12 has it: the tests' own stands for it
	cp "$ROOT/tests/ucspitls.py" "$tree/opt/tls"
	cat >"$tree/usr/bin/s6-ucspitlsd" <<-'S'
		#!/bin/sh
		[ "$1" = -K ] && shift 2
		cat "$KEYFILE" "$CERTFILE" >/tmp/pem
		unset KEYFILE CERTFILE
		exec /usr/bin/python3 -c '
		import sys
		sys.path.insert(0, "/opt/tls")
		sys.dont_write_bytecode = True
		import ucspitls
		serve = ucspitls.serve
		ucspitls.serve = lambda sock, options: serve(sock.dup(), options)
		ucspitls.main()' /tmp/pem "$@"
	S
	chmod 755 "$tree/usr/bin/s6-ucspitlsd"
	printf '%s\n' 'account default' 'host 127.0.0.1' 'port 2526' 'tls off' \
	    'auth off' >"$tree/etc/smtpd/msmtprc"
	"$SDBOOT" start "$MACHINE" "$tree"
	inside systemd-sysusers
	inside systemd-tmpfiles --create smtpd.conf
	printf 'alice:%s:%s:%s:Alice:/:/bin/sh\n' \
	    "$(printf %s "$SECRET" | openssl passwd -6 -stdin)" \
	    "$(inside id -u smtpd)" "$(inside id -g smtpd)" |
	    inside tee /etc/smtpd/submission.users >/dev/null
	inside sh -c 'chgrp smtpd /etc/smtpd/submission.users /etc/smtpd/msmtprc
		chmod 640 /etc/smtpd/submission.users /etc/smtpd/msmtprc
		mkdir -p /var/mail/next/new /var/mail/next/cur /var/mail/next/tmp'
	inside systemd-run -q --unit=next tcpserver -HR -l 0 127.0.0.1 2526 \
	    /usr/local/sbin/smtpd -n next.example -d next.example -m /var/mail/next
}

# listens PORT: someone does, in the machine
listens() {
	inside bash -c "exec 9<>/dev/tcp/127.0.0.1/$1" 2>/dev/null
}

# on SOCKET PORT
on() {
	booted openssl swaks tcpserver msmtp cvm-checkpassword tlswrapper
	eventually listens 2526
	inside find /var/mail/next -type f -delete
	inside systemctl daemon-reload
	inside systemctl restart "$1"
	eventually listens "$2"
}

# swak OPTION...: a letter for v@next.example; what is said is in the file said
swak() {
	status=0
	inside timeout 60 swaks --server 127.0.0.1 --ehlo c.example \
	    --from a@c.example --to v@next.example "$@" >said 2>&1 || status=$?
	cat said
	inside journalctl -q --sync
	inside journalctl -q -n 30 -o cat >journal
}

# arrived: once, by an encrypted session of someone who is known
arrived() {
	[ "$status" = 0 ] || { cat journal; return 1; }
	[ "$(inside bash -c 'ls /var/mail/next/new | wc -l')" = 1 ]
	inside bash -c 'cat /var/mail/next/new/*' >mail
	cat mail
	grep -q 'with ESMTPSA' mail
	inside find /var/mail/next -type f -delete
}

@test "port 465: with TLS and a password the mail is sent on; without the password it is 530, with a wrong one 535" {
	on smtpd-submissions.socket 465
	swak --port 465 --tlsc --auth PLAIN --auth-user alice --auth-password "$SECRET"
	arrived
	swak --port 465 --tlsc
	grep -q '530 5\.7\.0' said
	swak --port 465 --tlsc --auth PLAIN --auth-user alice --auth-password no
	grep -q '535 5\.7\.8' said
	[ "$(inside bash -c 'ls /var/mail/next/new | wc -l')" = 0 ]
}

@test "port 587: with STARTTLS and a password the mail is sent on; in clear it is 530" {
	on smtpd-submission.socket 587
	swak --port 587 --tls --auth PLAIN --auth-user alice --auth-password "$SECRET"
	arrived
	swak --port 587
	grep -q '530 5\.7\.0' said
	swak --port 587 --tls
	grep -q '530 5\.7\.0' said
}

@test "ports 465 and 587: smtpd itself is an ordinary user's, and cannot read the key where it lies" {
	on smtpd-submissions.socket 465
	inside systemctl start smtpd-submission.socket
	run ! inside setpriv --reuid=smtpd --regid=smtpd --clear-groups \
	    cat /etc/ssl/private/smtpd.key
	run ! inside setpriv --reuid=smtpd --regid=smtpd --clear-groups \
	    cat /etc/ssl/private/smtpd.pem
	inside bash -c '
		exec 8<>/dev/tcp/127.0.0.1/587
		read -r greeting <&8
		sleep 60 | openssl s_client -quiet -connect 127.0.0.1:465 >/root/said 2>/dev/null &
		for _ in {1..100}; do
			! grep -q 220 /root/said || break
			sleep 0.1
		done
		ps -o user:20= -C smtpd
		kill %1' >users
	cat users
	[ "$(wc -l <users)" = 2 ]
	[ "$(sort -u users)" = smtpd ]
}

# to RECIPIENT: its code at port 25
to() {
	inside bash -c "$(declare -f converse); converse \"\$@\"" - 127.0.0.1 25 \
	    'EHLO c.example' 'MAIL FROM:<a@c.example>' "RCPT TO:<$1>" QUIT >out
	codes | cut -d ' ' -f 4
}

@test "domains.conf: a domain is a line of a file, and a Maildir of its own; sessions see the file as it is" {
	on smtpd.socket 25
	inside mkdir -p $UNITS/smtpd@.service.d
	inside tee $UNITS/smtpd@.service.d/domains.conf <"$CONTRIB/domains.conf" >/dev/null
	inside systemctl daemon-reload
	echo one.example | inside tee /etc/smtpd/domains
	inside sh -s one.example/postmaster one.example/alice two.example/postmaster \
	    two.example/alice <"$CONTRIB/mailbox"
	inside swaks --server 127.0.0.1 --from a@c.example --to alice@one.example
	[ "$(inside bash -c 'ls /var/mail/smtpd/one.example/alice/new | wc -l')" = 1 ]
	[ "$(to bob@one.example)" = 550 ]
	[ "$(to alice@two.example)" = 550 ]
	printf '%s\n' one.example two.example | inside tee /etc/smtpd/domains.new
	inside mv /etc/smtpd/domains.new /etc/smtpd/domains
	[ "$(to alice@two.example)" = 250 ]
	[ "$(inside bash -c 'ls /var/mail/smtpd/two.example/alice/new | wc -l')" = 0 ]
	inside rm -r $UNITS/smtpd@.service.d
	inside systemctl daemon-reload
}

@test "units: systemd-analyze verify has nothing to say about ports 465 and 587, and domains.conf" {
	need systemd-analyze
	local name
	for name in submission submissions; do
		rm -rf units
		mkdir -p units/smtpd@.service.d
		cp "$CONTRIB/smtpd-$name.socket" units/smtpd.socket
		cp "$CONTRIB/smtpd@.service" units/
		cp "$CONTRIB"/{mda,mda-network,$name,domains}.conf units/smtpd@.service.d/
		verify "$PWD"/units/smtpd{.socket,@.service} >verified
		cat verified
		[ ! -s verified ]
	done
}

@test "poll-limit.conf: where systemd knows it, it has the limit; where it does not, the socket listens" {
	on smtpd.socket 25
	inside mkdir -p $UNITS/smtpd.socket.d
	inside tee $UNITS/smtpd.socket.d/poll-limit.conf <"$CONTRIB/poll-limit.conf" >/dev/null
	inside systemctl daemon-reload
	inside systemctl restart smtpd.socket
	eventually listens 25
	if [ "$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')" -ge 255 ]; then
		[ "$(inside systemctl show -P PollLimitBurst smtpd.socket)" = 500 ]
	fi
	inside rm -r $UNITS/smtpd.socket.d
	inside systemctl daemon-reload
}
