# lmtp-unit.bats - Postfix hands mail to smtpd by LMTP, through the socket unit
# RFC 2033; systemd.socket(5); lmtp(8)
#
# contrib's postfix.cf, smtpd-lmtp.socket and lmtp.conf as they stand, with
# Debian's Postfix and its master.cf, under a systemd that sdboot.sh boots.

load host
load boot

# tree DIR: what is laid over the machine's files
tree() {
	local units=$1/etc/systemd/system postfix=$1/etc/postfix
	mkdir -p "$1"/usr/local/sbin "$1"/etc/{sysusers.d,tmpfiles.d,postfix} \
	    "$units/smtpd-lmtp@.service.d" "$1/etc/systemd/system.conf.d"
	cp "$SMTPD" "$1/usr/local/sbin/smtpd"
	cp "$ROOT/contrib/smtpd.sysusers" "$1/etc/sysusers.d/smtpd.conf"
	cp "$ROOT/contrib/smtpd.tmpfiles" "$1/etc/tmpfiles.d/smtpd.conf"
	# as the recipes say
	cp "$ROOT/contrib/smtpd-lmtp.socket" "$units/"
	cp "$ROOT/contrib/smtpd@.service" "$units/smtpd-lmtp@.service"
	cp "$ROOT/contrib/lmtp.conf" "$units/smtpd-lmtp@.service.d/"
	# for a build with sanitizers, which would look into /proc
	printf '[Manager]\nDefaultEnvironment=ASAN_OPTIONS=detect_leaks=0\n' \
	    >"$1/etc/systemd/system.conf.d/sanitizers.conf"
	# Postfix as Debian installs it
	cp -r "$CLIENTS_DIR/postfix/usr" "$1/"
	cp -r "$CLIENTS_DIR/postfix/etc/postfix" "$1/etc/"
	cp "$CLIENTS_DIR"/postfix/usr/share/postfix/{dynamicmaps.cf,makedefs.out} \
	    "$postfix/"
	cp "$CLIENTS_DIR/postfix/usr/share/postfix/master.cf.dist" \
	    "$postfix/master.cf"
	{
		grep -v tls "$CLIENTS_DIR/postfix/usr/share/postfix/main.cf.debian"
		cat "$ROOT/contrib/postfix.cf"
		# one's own, beside a network of lo alone
		printf '%s\n' 'myhostname = c.example' 'mydestination =' \
		    'inet_interfaces = loopback-only' \
		    'maillog_file = /var/log/postfix.log'
	} >"$postfix/main.cf"
	printf '%s\n' 'u postfix -' 'g postdrop -' \
	    >"$1/etc/sysusers.d/postfix.conf"
}

setup_file() {
	"$SDBOOT" possible >"$BATS_FILE_TMPDIR/why" || return 0
	[ -d "$CLIENTS_DIR/postfix" ] || return 0
	tree "$BATS_FILE_TMPDIR/tree"
	"$SDBOOT" start "$MACHINE" "$BATS_FILE_TMPDIR/tree"
	inside systemd-sysusers
	inside systemd-tmpfiles --create smtpd.conf
	inside sh -c 'mkdir -p /var/spool/postfix /var/lib/postfix
		chown postfix /var/lib/postfix
		cd /var/mail/smtpd
		mkdir -p alice/tmp alice/new alice/cur bob/new bob/cur
		chown -R smtpd:smtpd .'
	inside postfix set-permissions >"$BATS_FILE_TMPDIR/permissions" 2>&1 || :
	inside systemctl daemon-reload
}

# status_of USER: what Postfix made of the reply for that one
status_of() {
	inside sed -nE "s/.* to=<$1@.*dsn=([0-9.]*), status=([a-z]*) .*/\2 \1/p" \
	    /var/log/postfix.log
}

all_told() {
	inside grep -q 'to=<postmaster@.*status=sent' /var/log/postfix.log
}

@test "lmtp unit: Postfix, in its chroot, has a reply for each recipient through the socket" {
	booted "$CLIENTS_DIR/postfix/usr/lib/postfix/sbin/master"
	lettered
	inside systemctl start smtpd-lmtp.socket
	inside postfix start
	[ "$(inside stat -c '%U %a' /var/spool/postfix/private/smtpd-lmtp)" = 'postfix 600' ]
	inside sendmail -i -f postmaster@example.org alice@example.org \
	    bob@example.org carol@example.org <letter
	eventually all_told || { inside cat /var/log/postfix.log; false; }
	[ "$(status_of alice)" = 'sent 2.0.0' ]
	[ "$(status_of bob)" = 'deferred 4.3.0' ]
	[ "$(status_of carol)" = 'bounced 5.1.1' ]
	mkdir -p mail/alice/new
	inside sh -c 'cat /var/mail/smtpd/alice/new/*' >mail/alice/new/mail
	has_letter alice
	[ "$(header Return-Path mail/alice/new/mail)" = '<postmaster@example.org>' ]
	[ "$(header Delivered-To mail/alice/new/mail)" = alice@example.org ]
	[[ $(header Received mail/alice/new/mail | head -n 1) = *' with LMTP id '* ]]
	inside journalctl -q --sync
	inside journalctl -q -t smtpd -o cat >log
	grep -q 'reply=250.*to="alice@example.org"' log
}

@test "lmtp unit: systemd has nothing to say about the units" {
	need systemd-analyze
	tree "$PWD/tree"
	verify "$PWD/tree/etc/systemd/system/smtpd-lmtp.socket" \
	    "$PWD/tree/etc/systemd/system/smtpd-lmtp@.service" >found
	cat found
	[ ! -s found ]
}
