# mda.bats - contrib's recipes for delivery programs, as they stand
# procmail(1), maildrop(1), dovecot-lda(1), mdeliver(1), bogofilter(1),
# msmtp(1), curl(1), systemd.exec(5); installed in a machine that sdboot.sh boots

# shellcheck disable=SC2030,SC2031 # bats runs each test in a shell of its own
# shellcheck disable=SC2016 # what stands in single quotes is for another shell
# shellcheck disable=SC2034 # helper.bash uses OPTS

load helper
load boot

CONTRIB=$ROOT/contrib
BOXES=/var/mail/smtpd

# install_in TREE: what an administrator would copy, where the headers say
install_in() {
	mkdir -p "$1"/usr/local/{sbin,bin} "$1"/etc/{smtpd,sysusers.d} \
	    "$1"/etc/{dovecot,systemd/system,systemd/system.conf.d}
	cp "$SMTPD" "$1/usr/local/sbin/smtpd"
	cp "$CONTRIB"/with-* "$1/usr/local/sbin/"
	cp "$CONTRIB"/mail-* "$CONTRIB/my-delivery" "$1/usr/local/bin/"
	cp "$CONTRIB"/{procmailrc,procmailrc-mbox,maildroprc} "$1/etc/smtpd/"
	cp "$CONTRIB"/smtpd.sysusers "$1/etc/sysusers.d/smtpd.conf"
	cp "$CONTRIB"/{smtpd.socket,smtpd@.service} "$1/etc/systemd/system/"
	echo example.org >"$1/etc/hostname"
	printf 'alice\nbob\npostmaster\n' >"$1/etc/smtpd/users"
	printf 'account default\nhost 127.0.0.1\nfrom x@example.org\n' \
	    >"$1/etc/msmtprc"
	printf '[Manager]\nDefaultEnvironment=ASAN_OPTIONS=detect_leaks=0\n' \
	    >"$1/etc/systemd/system.conf.d/sanitizers.conf"
	cat >"$1/etc/dovecot/dovecot.conf" <<-'C'
		protocols = lmtp
		ssl = no
		log_path = /dev/null
		mail_location = maildir:~/Maildir
		mail_plugins = quota
		passdb {
		  driver = passwd-file
		  args = /etc/dovecot/users
		}
		userdb {
		  driver = passwd-file
		  args = /etc/dovecot/users
		}
		service auth {
		  unix_listener auth-userdb {
		    mode = 0666
		  }
		}
		service stats {
		  unix_listener stats-writer {
		    mode = 0666
		  }
		}
		plugin {
		  quota = maildir:User quota
		  quota_rule = *:storage=100K
		}
		protocol lmtp {
		  mail_plugins = quota
		}
		!include dovecot-quota.conf
	C
	cp "$CONTRIB/dovecot-quota.conf" "$1/etc/dovecot/"
}

# accounts: who is in the machine, and what is theirs
accounts() {
	inside bash -ec '
		systemd-sysusers
		chown smtpd /etc/smtpd/maildroprc
		chmod 600 /etc/smtpd/maildroprc
		for u in alice bob; do
			useradd -m $u
			printf "%s@example.org::%s:%s::/srv/%s::\n" $u \
			    $(id -u smtpd) $(id -g smtpd) $u
		done >/etc/dovecot/users
		mkdir -p /var/mail/smtpd/{alice,bob,postmaster}/{new,cur,tmp} \
		    /srv/{alice,bob}
		chown -R smtpd:smtpd /var/mail/smtpd /srv'
}

setup_file() {
	"$SDBOOT" possible >"$BATS_FILE_TMPDIR/why" || return 0
	install_in "$BATS_FILE_TMPDIR/tree"
	"$SDBOOT" start "$MACHINE" "$BATS_FILE_TMPDIR/tree"
	accounts
}

teardown() {
	[ -z "${background:-}" ] || kill "$background" 2>/dev/null || :
}

# machine PROGRAM...: skip (in CI: fail) where it cannot be, or one is missing;
# no mail is in it
machine() {
	booted "$@"
	inside find /var/mail /home /srv -type f -path '*/new/*' -delete
	more=()
	as=(setpriv --reuid=smtpd --regid=smtpd --clear-groups)
}

# a mail that a careless program would change
a_letter() {
	{
		printf 'From: A <a@c.example>\nSubject: a letter\n'
		printf 'Date: Tue, 3 Nov 2026 10:00:00 +0000\n'
		printf 'Message-ID: <1@c.example>\nMIME-Version: 1.0\n'
		printf 'Content-Type: text/plain; charset=utf-8\n\n'
		printf 'From me to you\n.\n..\ncaf\xc3\xa9 \xff\n\n>From\n'
		head -c 5000 /dev/zero | tr '\0' x
		printf '\n  \n\nlast\n\n'
	} >msg
}

# run_recipe NAME OPTION...: a session of the file in with contrib's recipe
run_recipe() {
	status=0
	inside "${as[@]}" "$@" <in >out 2>log 3>&- || status=$?
	cat out log
}

# hand_over NAME RCPT...: mail the file msg to them by the recipe
hand_over() {
	local recipe=$1
	shift
	[ -e msg ] || a_letter
	letter_to "$@" >in
	run_recipe "$recipe" --domain example.org "${more[@]}"
}

# verdict: the reply to the dot
verdict() {
	full_codes | sed 's/.* 354 \([^ ]*\) .*/\1/'
}

# in_box DIR: how many mails are in it, in the machine
in_box() {
	inside bash -c 'shopt -s nullglob; set -- "$1"/new/*; echo $#' - "$1"
}

# got DIR RCPT: one mail is there, the bytes of msg, with our three headers
# in front, for RCPT
got() {
	rm -rf mailbox
	mkdir -p mailbox/new
	[ "$(in_box "$1")" = 1 ] || { echo "$(in_box "$1") mails in $1"; return 1; }
	inside bash -c 'cat "$1"/new/*' - "$1" >mailbox/new/mail
	is_whole mailbox/new/mail "$2"
}

# is_whole FILE RCPT: that, of a file
is_whole() {
	local n=$(($(wc -c <"$1") - $(wc -c <msg)))
	[ "$n" -gt 0 ] || { echo "$1 is too short"; return 1; }
	tail -c "+$((n + 1))" "$1" | cmp - msg || return 1
	head -c "$n" "$1" >front
	cat front
	sed -E 's/^(Received: from c\.example) .*/\1/; /^[ \t]/d' front >names
	printf '%s\n' "Return-Path: <${FROM-a@c.example}>" "Delivered-To: $2" \
	    'Received: from c.example' | cmp - names
}

# a_full_disk DIR: a file system of 32 KB is there, with the same directories;
# the rest of it is taken
a_full_disk() {
	inside bash -ec '
		cd "$1"
		dirs=$(find . -mindepth 1 -type d)
		mount -t tmpfs -o "size=32k,mode=755,uid=$(id -u smtpd)" tmpfs "$1"
		cd "$1"
		echo "$dirs" | sort | xargs setpriv --reuid=smtpd --clear-groups \
		    --regid=smtpd mkdir -p
		head -c 60000 /dev/zero >filling 2>/dev/null || :
		[ "$(stat -f -c %a .)" = 0 ]' - "$1"
}

an_ordinary_disk() {
	inside umount "$1"
}

# defers_when_full RECIPE DIR: and takes the same mail when there is room again
defers_when_full() {
	a_full_disk "$2"
	hand_over "$1" alice@example.org
	inside find "$2" -type f -size +0 ! -name filling >found
	an_ordinary_disk "$2"
	cat found
	[[ $(verdict) = 45[12]/4.* ]]
	[ ! -s found ]
	[ "$status" = 75 ]
	hand_over "$1" alice@example.org
	[ "$(verdict)" = 250/2.0.0 ]
}

# ---- procmail --------------------------------------------------------------

@test "with-procmail: each of several recipients gets the exact bytes" {
	machine procmail
	hand_over with-procmail alice@example.org bob@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	[ "$status" = 0 ]
	got $BOXES/alice alice@example.org
	got $BOXES/bob bob@example.org
	[ "$(inside bash -c "stat -c '%U %a' $BOXES/alice/new/*")" = \
	    'smtpd 600' ]
}

@test "with-procmail: case and extension do not matter; an unknown user is 550 5.1.1; a folder takes its extension" {
	machine procmail
	inside mkdir -p $BOXES/alice/.lists/{new,cur,tmp}
	inside chown -R smtpd:smtpd $BOXES/alice/.lists
	hand_over with-procmail Alice+Other@example.org
	got $BOXES/alice Alice+Other@example.org
	hand_over with-procmail nosuch@example.org
	[ "$(verdict)" = 550/5.1.1 ]
	hand_over with-procmail nosuch@example.org alice+lists@example.org
	[ "$(verdict)" = 550/5.1.1 ]
	got $BOXES/alice/.lists alice+lists@example.org
	[ "$(in_box $BOXES/alice)" = 1 ]
	inside rm -r $BOXES/alice/.lists
}

@test "with-procmail: if postmaster's Maildir is missing too, unknown users are deferred" {
	machine procmail
	inside mv $BOXES/postmaster $BOXES/away
	hand_over with-procmail nosuch@example.org
	inside mv $BOXES/away $BOXES/postmaster
	[ "$(verdict)" = 451/4.3.0 ]
}

@test "procmailrc: called without {user} it defers, and files nothing" {
	machine procmail
	a_letter
	letter_to alice@example.org >in
	run_recipe smtpd --domain example.org -- \
	    procmail -t -Y -p -m /etc/smtpd/procmailrc
	[[ $(verdict) = 451/4.3.* ]]
	run inside find $BOXES -type f
	[ -z "$output" ]
}

@test "with-procmail: Content-Length is left as it came" {
	machine procmail
	printf 'Content-Length: 3\nSubject: x\n\nlonger than that\n' >msg
	hand_over with-procmail alice@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	got $BOXES/alice alice@example.org
}

@test "with-procmail: a full disk or a missing rcfile defers the mail" {
	machine procmail
	defers_when_full with-procmail $BOXES
	inside mv /etc/smtpd/procmailrc /etc/smtpd/away
	hand_over with-procmail alice@example.org
	inside mv /etc/smtpd/away /etc/smtpd/procmailrc
	[ "$(verdict)" = 451/4.3.0 ]
	[ "$(in_box $BOXES/alice)" = 1 ]
}

@test "with-procmail: what was delivered is synced between procmail's end and 250" {
	machine procmail strace
	a_letter
	letter_to alice@example.org >in
	run_recipe env ASAN_OPTIONS=detect_leaks=0 strace -f -qq -s 4096 \
	    -e trace=link,exit_group,syncfs,write \
	    -e signal=none -o /tmp/trace with-procmail --domain example.org
	inside cat /tmp/trace >trace
	inside rm /tmp/trace
	[ "$(verdict)" = 250/2.0.0 ]
	grep -oE ' link\(| exit_group\(| syncfs\(| write\(1, "250 2\.0\.0' trace |
	    sed -n 's/write.*250/250/; s/(//; /link/,$p' >order
	cat order
	# procmail's link and end, the sync, the reply to the dot, our end
	[ "$(paste -sd ' ' order | tr -s ' ')" = \
	    ' link exit_group syncfs 250 2.0.0 exit_group' ]
}

@test "with-procmail-d: system users get the exact bytes; an unknown one is 550 5.1.1" {
	machine procmail
	as=()
	inside bash -c 'for u in alice bob; do
		printf "DEFAULT=\$HOME/Maildir/\n" >/home/$u/.procmailrc
		chown $u: /home/$u/.procmailrc; done'
	hand_over with-procmail-d alice@example.org bob+lists@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	got /home/alice/Maildir alice@example.org
	got /home/bob/Maildir bob+lists@example.org
	[ "$(inside bash -c "stat -c %U /home/bob/Maildir/new/*")" = bob ]
	hand_over with-procmail-d nosuch@example.org
	[ "$(verdict)" = 550/5.1.1 ]
	[ "$status" = 0 ]
}

@test "with-procmail-d: without root, set-uid procmail does the same" {
	machine procmail
	inside bash -c 'printf "DEFAULT=\$HOME/Maildir/\n" >/home/alice/.procmailrc
		chown alice: /home/alice/.procmailrc'
	hand_over with-procmail-d alice@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	got /home/alice/Maildir alice@example.org
	[ "$(inside bash -c "stat -c %U /home/alice/Maildir/new/*")" = alice ]
}

@test "with-procmail-d: the extension is \$1, the null sender MAILER-DAEMON" {
	machine procmail
	as=()
	inside bash -c 'cat >/home/alice/.procmailrc <<"R"
DEFAULT=$HOME/Maildir/
ARG=$1
:0 c
* ? printf "%s" "$ARG" >"$HOME/arg"
$HOME/mbox
R
		rm -f /home/alice/mbox; chown alice: /home/alice/.procmailrc'
	a_letter
	letter_to alice+some.list@example.org |
	    sed 's/^MAIL FROM:<.*>/MAIL FROM:<>/' >in
	run_recipe with-procmail-d --domain example.org
	[ "$(verdict)" = 250/2.0.0 ]
	FROM='' got /home/alice/Maildir alice+some.list@example.org
	[ "$(inside cat /home/alice/arg)" = some.list ]
	[[ $(inside sed -n 1p /home/alice/mbox) = 'From MAILER-DAEMON '* ]]
}

# ---- maildrop --------------------------------------------------------------

@test "with-maildrop: each recipient gets the exact bytes; an unknown one is 550 5.1.1" {
	machine maildrop
	hand_over with-maildrop alice@example.org bob+lists@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	got $BOXES/alice alice@example.org
	got $BOXES/bob bob+lists@example.org
	hand_over with-maildrop nosuch@example.org
	[ "$(verdict)" = 550/5.1.1 ]
}

@test "with-maildrop: one recipient of two is unknown: the other has it, and the reply says who has not" {
	machine maildrop
	hand_over with-maildrop alice@example.org nosuch@example.org
	[ "$(verdict)" = 550/5.1.1 ]
	got $BOXES/alice alice@example.org
	grep -q '^550[ -]5\.1\.1 .*<nosuch@example\.org>' out
	run ! grep -q '^550.*alice@example.org' out
}

@test "with-maildrop: if postmaster's Maildir is missing too, unknown users are deferred" {
	machine maildrop
	inside mv $BOXES $BOXES.away
	inside mkdir $BOXES
	hand_over with-maildrop alice@example.org
	inside rmdir $BOXES
	inside mv $BOXES.away $BOXES
	[ "$(verdict)" = 451/4.3.0 ]
}

@test "with-maildrop: a full disk, a missing or unsafe filter defers the mail" {
	machine maildrop
	defers_when_full with-maildrop $BOXES
	inside chmod 666 /etc/smtpd/maildroprc
	hand_over with-maildrop alice@example.org
	inside chmod 600 /etc/smtpd/maildroprc
	[ "$(verdict)" = 451/4.3.0 ]
	inside mv /etc/smtpd/maildroprc /etc/smtpd/away
	hand_over with-maildrop alice@example.org
	inside mv /etc/smtpd/away /etc/smtpd/maildroprc
	[ "$(verdict)" = 451/4.3.0 ]
}

@test "with-maildrop: no address becomes a command, a path or an option" {
	machine maildrop
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<alice/new@example.org>' 'RCPT TO:<-d@example.org>' \
	    'RCPT TO:<"../smtpd/alice"@example.org>' \
	    'RCPT TO:<`touch${IFS}bad`@example.org>' \
	    'DATA' 'Subject: x' '' x . QUIT >in
	run_recipe env -C $BOXES with-maildrop --domain example.org
	[ "$(full_codes)" = '220 250 250/2.1.0 553/5.1.3 553/5.1.3 553/5.1.3 250/2.1.5 354 550/5.1.1 221/2.0.0' ]
	[ "$(in_box $BOXES/alice)" = 0 ]
	run ! inside test -e $BOXES/bad
}

@test "maildrop -d, as root: system users get the exact bytes; an unknown one is 550 5.1.1" {
	machine maildrop
	as=()
	inside bash -c 'printf "to \"\$HOME/Maildir\"\n" >/home/alice/.mailfilter
		mkdir -p /home/alice/Maildir/{new,cur,tmp}
		chmod 600 /home/alice/.mailfilter
		chown -R alice: /home/alice'
	a_letter
	letter_to alice+x@example.org >in
	run_recipe smtpd --domain example.org --sync /home -- \
	    maildrop -f '{sender}' -d '{user}'
	[ "$(verdict)" = 250/2.0.0 ]
	got /home/alice/Maildir alice+x@example.org
	letter_to nosuch@example.org >in
	run_recipe smtpd --domain example.org --sync /home -- \
	    maildrop -f '{sender}' -d '{user}'
	[ "$(verdict)" = 550/5.1.1 ]
}

# ---- mbox ------------------------------------------------------------------

# mbox_machine: alice and postmaster have files in /var/mail, and smtpd may write
mbox_machine() {
	machine procmail
	inside bash -ec 'chown root:mail /var/mail; chmod 2775 /var/mail
	    usermod -aG mail smtpd
	    for u in alice postmaster; do
	        install -m 660 -o alice -g mail /dev/null /var/mail/$u
	    done'
	as=(setpriv --reuid=smtpd --regid=smtpd --init-groups)
}

# in_mbox FILE: Subject and sender of each mail in it, as a mail reader finds them
in_mbox() {
	inside cat "$1" >mbox
	py <<-'P'
		import mailbox
		for m in mailbox.mbox('mbox', create=False):
		    print(m['Subject'], m.get_from().split()[0])
	P
}

@test "with-procmail-mbox: a mail is appended, and its text cannot look like another" {
	mbox_machine
	printf 'Subject: one\n\ntext\nFrom x@y  Fri Nov 27 00:00:00 2026\n\nFrom here\n' >msg
	hand_over with-procmail-mbox alice@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	printf 'Subject: two\n\nno empty line behind it\n' >msg
	hand_over with-procmail-mbox Alice+x@example.org
	in_mbox /var/mail/alice | cmp - <(printf '%s\n' 'one a@c.example' 'two a@c.example')
	grep -qx '>From here' mbox
	[ "$(inside stat -c '%U %G %a' /var/mail/alice)" = 'alice mail 660' ]
	inside test ! -e /var/mail/alice.lock
}

@test "with-procmail-mbox: who has no file is 550 5.1.1; a lock file, a link and a directory are none" {
	mbox_machine
	inside bash -c 'touch /var/mail/alice.lock.lock /var/mail/bob.lock
	    chown smtpd /var/mail/*.lock; ln -sf alice /var/mail/carol'
	hand_over with-procmail-mbox nosuch@example.org bob.lock@example.org \
	    carol@example.org smtpd@example.org
	inside rm -f /var/mail/carol /var/mail/bob.lock /var/mail/alice.lock.lock
	[ "$(verdict)" = 550/5.1.1 ]
	[ "$(grep -c '^550.5.1.1 <' out)" = 4 ]
	inside mv /var/mail/postmaster /var/mail/away
	hand_over with-procmail-mbox nosuch@example.org
	inside mv /var/mail/away /var/mail/postmaster
	[ "$(verdict)" = 451/4.3.0 ]
	[ "$(inside stat -c %s /var/mail/alice)" = 0 ]
}

@test "with-procmail-mbox: of mails that come at once each is whole" {
	local i
	local -a all=()
	mbox_machine
	for i in {1..12}; do
		{
			printf 'Subject: %s\n\n' "$i"
			head -c 40000 /dev/zero | tr '\0' "${i: -1}" | fold -w 70
			echo
		} >msg
		letter_to alice@example.org >"in.$i"
		inside "${as[@]}" with-procmail-mbox --domain example.org <"in.$i" \
		    >"out.$i" 2>/dev/null 3>&- &
		all+=($!)
	done
	wait "${all[@]}"
	[ "$(grep -l '^250 2.0.0 ' out.* | wc -l)" = 12 ]
	in_mbox /var/mail/alice | sort -n | cmp - <(printf '%s a@c.example\n' {1..12})
	[ "$(grep -cE '^([0-9])\1{69}$' mbox)" = $((12 * 571)) ]
}

# ---- Dovecot ---------------------------------------------------------------

# dovecot_runs: it answers what dovecot-lda asks
dovecot_runs() {
	inside dovecot 2>dovecot.err || grep -q 'already running' dovecot.err
	eventually inside test -S /run/dovecot/auth-userdb
}

@test "with-dovecot-lda: each recipient gets the exact bytes; an unknown one is 550 5.1.1" {
	machine dovecot
	dovecot_runs
	hand_over with-dovecot-lda alice@example.org bob+lists@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	got /srv/alice/Maildir alice@example.org
	got /srv/bob/Maildir bob+lists@example.org
	hand_over with-dovecot-lda nosuch@example.org
	[ "$(verdict)" = 550/5.1.1 ]
}

@test "with-dovecot-lda: over quota is a refusal in the session, and no bounce" {
	machine dovecot
	dovecot_runs
	{
		printf 'Subject: big\n\n'
		head -c 120000 /dev/zero | tr '\0' x | fold -w 70
		echo
	} >msg
	hand_over with-dovecot-lda alice@example.org
	[ "$(verdict)" = 550/5.7.1 ]
	[ "$(in_box /srv/alice/Maildir)" = 0 ]
	grep -qi quota log
}

@test "with-dovecot-lda: while Dovecot is down the mail is deferred" {
	machine dovecot
	inside doveadm stop || :
	hand_over with-dovecot-lda alice@example.org
	[[ $(verdict) = 451/4.3.* ]]
	[ "$status" = 75 ]
}

# ---- mdeliver --------------------------------------------------------------

@test "with-mdeliver: listed users get the exact bytes; others are 550 5.1.1 at RCPT" {
	machine mdeliver
	hand_over with-mdeliver alice@example.org nosuch@example.org \
	    bob+lists@example.org
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 550/5.1.1 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	got $BOXES/alice alice@example.org
	got $BOXES/bob bob+lists@example.org
}

@test "with-mdeliver: a full disk or a missing Maildir defers the mail" {
	machine mdeliver
	defers_when_full with-mdeliver $BOXES
	inside mv $BOXES/alice $BOXES/away
	hand_over with-mdeliver alice@example.org
	inside mv $BOXES/away $BOXES/alice
	[ "$(verdict)" = 451/4.3.0 ]
}

# ---- sendmail --------------------------------------------------------------

# a_smarthost: the plain unit listens on the machine's port 25, for Maildirs
a_smarthost() {
	inside ln -sf /usr/bin/msmtp /usr/sbin/sendmail
	inside systemctl start smtpd.socket
}

@test "with-sendmail: msmtp sends the exact bytes to the next server, once for all recipients" {
	machine msmtp
	a_smarthost
	more=(--relay)
	hand_over with-sendmail alice@example.org bob@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	for user in alice bob; do
		rm -rf mailbox
		mkdir -p mailbox/new
		inside bash -c "cat $BOXES/$user/new/*" >mailbox/new/mail
		stored_is msg mailbox
		header Received mailbox/new/mail >hops
		[ "$(wc -l <hops)" = 2 ]
		[ "$(header Return-Path mailbox/new/mail)" = '<a@c.example>' ]
		[ "$(header Delivered-To mailbox/new/mail)" = "$user@example.org" ]
	done
}

@test "with-sendmail: what the next server refuses is refused, what it defers is deferred" {
	machine msmtp
	a_smarthost
	more=(--relay)
	hand_over with-sendmail nosuch@example.org
	[[ $(verdict) = 55?/5.* ]]
	inside mv $BOXES $BOXES.away
	hand_over with-sendmail alice@example.org
	inside mv $BOXES.away $BOXES
	[[ $(verdict) = 45?/4.* ]]
	inside systemctl stop smtpd.socket
	hand_over with-sendmail alice@example.org
	[[ $(verdict) = 45?/4.* ]]
	[ "$status" = 75 ]
	[ "$(in_box $BOXES/alice)" = 0 ]
}

@test "with-sendmail: \$SENDMAIL gets -i, the sender, all recipients, and the mail as a relay's" {
	cat >standin <<-'S'
		#!/bin/sh
		for a; do printf '%s|' "$a"; done >args
		cat >mail
		exit "$(cat code)"
	S
	chmod 755 standin
	ln -s "$SMTPD" smtpd
	export SENDMAIL=$PWD/standin PATH=$PWD:$PATH
	a_letter
	echo 0 >code
	letter_to 'x@a.example' 'y+z@b.example' >in
	"$CONTRIB/with-sendmail" --relay --domain example.org <in >out 2>log
	[ "$(verdict)" = 250/2.0.0 ]
	[ "$(cat args)" = '-i|-f|a@c.example|--|x@a.example|y+z@b.example|' ]
	tail -c "$(wc -c <msg)" mail | cmp - msg
	run ! grep -qE '^(Return-Path|Delivered-To):' mail
	[ "$(grep -c '^Received:' mail)" = 1 ]
	echo 67 >code
	sed -i 's/^MAIL FROM:<.*>/MAIL FROM:<>/' in
	"$CONTRIB/with-sendmail" --relay --domain example.org <in >out 2>log
	[ "$(verdict)" = 550/5.1.1 ]
	[ "$(cat args)" = '-i|-f||--|x@a.example|y+z@b.example|' ]
	echo 69 >code
	status=0
	"$CONTRIB/with-sendmail" --relay --domain example.org <in >out 2>log ||
	    status=$?
	[ "$(verdict)" = 451/4.3.5 ]
	[ "$status" = 75 ]
}

@test "with-sendmail: no one may send elsewhere whom nothing allows to" {
	ln -s "$SMTPD" smtpd
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<x@elsewhere.example>' DATA QUIT >in
	SENDMAIL=/bin/true PATH=$PWD:$PATH "$CONTRIB/with-sendmail" \
	    --domain example.org <in >out 2>log
	[ "$(full_codes)" = '220 250 250/2.1.0 550/5.7.1 554/5.5.1 221/2.0.0' ]
}

# ---- bogofilter ------------------------------------------------------------

# trained: bogofilter knows a spam and a ham
trained() {
	inside bash -ec '
		rm -rf /var/lib/bogofilter
		mkdir /var/lib/bogofilter
		for i in 1 2 3; do
			printf "Subject: $i\n\ncheap pills casino winner prize\n" |
			    bogofilter -s -d /var/lib/bogofilter
			printf "Subject: $i\n\nminutes meeting agenda tuesday\n" |
			    bogofilter -n -d /var/lib/bogofilter
		done
		chown -R smtpd: /var/lib/bogofilter'
}

@test "with-bogofilter: the mail arrives with a word of bogofilter's, else unchanged" {
	machine procmail bogofilter
	trained
	a_letter
	hand_over with-bogofilter alice@example.org bob@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	for user in alice bob; do
		inside bash -c "cat $BOXES/$user/new/*" >filtered
		[ "$(grep -ac '^X-Bogosity: ' filtered)" = 1 ]
		sed '/^X-Bogosity: /d' filtered >plain
		is_whole plain $user@example.org
	done
}

@test "with-bogofilter: a word list that cannot be read defers the mail" {
	machine procmail bogofilter
	inside rm -rf /var/lib/bogofilter
	hand_over with-bogofilter alice@example.org
	[ "$(verdict)" = 451/4.3.0 ]
	[ "$status" = 75 ]
	[ "$(in_box $BOXES/alice)" = 0 ]
}

@test "mail-filtered: the program gets what comes out, its exit status is the outcome" {
	OPTS=(-n mx.example -d example.org --spool . -- "$CONTRIB/mail-filtered"
	    "sed s/^Subject:/Betreff:/" "$PWD/prog" '*' 'two words' '')
	cat >prog <<-'S'
		#!/bin/sh
		for a; do printf '%s|' "$a"; done >args
		cat >mail
		ls -l /proc/self/fd >fds
		exit 77
	S
	chmod 755 prog
	mail_to u@example.org
	[ "$(verdict)" = 550/5.7.1 ]
	[ "$(cat args)" = '*|two words||' ]
	grep -q '^Betreff: a letter$' mail
	# nothing is open but 0, 1, 2 and what ls itself looks at
	[ "$(grep -cE ' [0-9]+ -> ' fds)" = 4 ]
	grep -q ' 0 -> .*(deleted)$' fds
}

@test "mail-filtered: a filter that fails, or swallows the mail, defers it" {
	local filter
	printf '#!/bin/sh\ncat >mail\n' >prog
	printf '#!/bin/sh\ncat; exit 1\n' >fails
	chmod 755 prog fails
	for filter in "$PWD/fails" false true 'sh -c kill${IFS}-9${IFS}$$' /no/such/filter \
	    'head -c 10' 'bogofilter -e -p -d /no/such/directory'; do
		OPTS=(-n mx.example -d example.org --spool . --
		    "$CONTRIB/mail-filtered" "$filter" "$PWD/prog")
		mail_to u@example.org
		echo "$filter: $(verdict)"
		[ "$(verdict)" = 451/4.3.0 ]
		[ ! -e mail ]
	done
}

# ---- a command, a webhook --------------------------------------------------

@test "mail-to-command: the command gets mail and envelope; no address reaches its shell" {
	OPTS=(-n mx.example -d example.org --spool . -- "$CONTRIB/mail-to-command"
	    sh -c 'cat >"$0/mail.$MESSAGE_ID"; printf "%s %s" "$SENDER" "$RECIPIENT" >"$0/who"'
	    "$PWD")
	a_letter
	mail_to 'u`touch$bad`;x@example.org' '"$(touch bad)"@example.org'
	cat out
	[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]]
	[ "$(count .)" -gt 0 ]
	[ ! -e bad ]
	[ "$(cat who)" = 'a@c.example "$(touch bad)"@example.org' ]
	tail -c "$(wc -c <msg)" mail.* | cmp - msg
}

@test "mail-to-command: whatever the command fails with, the mail is deferred; its word is told" {
	local how
	for how in 'exit 1' 'exit 67' 'exit 77' 'exit 99' 'exit 100' 'kill -9 $$'
	do
		OPTS=(-n mx.example -d example.org --spool . --
		    "$CONTRIB/mail-to-command" sh -c "$how")
		mail_to u@example.org
		[ "$(verdict)" = 451/4.3.0 ]
	done
	OPTS=(-n mx.example -d example.org --spool . --
	    "$CONTRIB/mail-to-command" sh -c 'echo 4.2.2 over quota; exit 1')
	mail_to u@example.org
	grep -q '^451 4\.2\.2 over quota' out
	OPTS=(-n mx.example -d example.org --spool . --
	    "$CONTRIB/mail-to-command" /no/such/command)
	mail_to u@example.org
	[ "$(verdict)" = 451/4.3.0 ]
}

# an_application: an HTTP server; it answers /NNN with that status, and keeps
# the request in the files posted and fields; $port is its port
an_application() {
	need curl
	local python=python3
	[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
	mkfifo ready
	"$python" - >/dev/null 2>app.err 3>&- <<-'P' &
		import http.server


		class App(http.server.BaseHTTPRequestHandler):
		    def do_POST(self):
		        n = int(self.headers['Content-Length'])
		        open('posted', 'wb').write(self.rfile.read(n))
		        open('fields', 'w').write(str(self.headers))
		        self.send_response(int(self.path[1:]))
		        self.send_header('Content-Length', '0')
		        self.end_headers()


		server = http.server.HTTPServer(('127.0.0.1', 0), App)
		open('ready', 'w').write(str(server.server_port))
		server.serve_forever()
	P
	background=$!
	port=$(cat ready)
}

# post STATUS: mail the file msg to the application, that answers so
post() {
	OPTS=(-n mx.example -d example.org --spool . --
	    "$CONTRIB/mail-to-webhook" "http://127.0.0.1:$port/$1")
	mail_to 'u+x@example.org'
}

@test "mail-to-webhook: the exact bytes are posted, with the envelope" {
	an_application
	a_letter
	launched
	post 200
	[ "$(verdict)" = 250/2.0.0 ]
	is_whole posted u+x@example.org
	grep -qi '^Content-Type: message/rfc822' fields
	grep -qE '^X-[A-Za-z-]+: <?a@c\.example>?$' fields
	grep -qE '^X-[A-Za-z-]+: <?u\+x@example\.org>?$' fields
	id=$(sed -n 's/^250 2\.0\.0 .* \([^ ]*\)\r$/\1/p' out | tail -n 1)
	grep -qE "^X-[A-Za-z-]+: $id\$" fields
}

@test "mail-to-webhook: 2xx is delivered; 4xx refuses but where it is about the set-up; the rest defers; the status is told" {
	an_application
	while read -r answer want; do
		post "$answer"
		echo "$answer: $(verdict)"
		[[ $(verdict) = "$want" ]]
		[ "${answer:0:1}" = 2 ] || grep -q "^[45].*HTTP $answer" out
	done <<-'T'
		201 250/2.0.0
		204 250/2.0.0
		400 554/5.3.0
		401 451/4.3.0
		403 451/4.3.0
		404 451/4.3.0
		405 451/4.3.0
		413 554/5.3.0
		422 554/5.3.0
		301 451/4.3.0
		408 451/4.3.0
		429 451/4.3.0
		500 451/4.3.0
		503 451/4.3.0
	T
	kill "$background"
	wait "$background" || :
	post 200
	[ "$(verdict)" = 451/4.3.0 ]
	[ "$status" = 75 ]
}

@test "mail-to-webhook, mail-to-command: without an argument the log has the usage, and the mail is deferred" {
	local name
	for name in mail-to-webhook mail-to-command; do
		OPTS=(-n mx.example -d example.org --spool . --
		    "$CONTRIB/$name")
		mail_to u@example.org
		[ "$(verdict)" = 451/4.3.5 ]
		grep -q "usage: $name" log
	done
}

# ---- a script of one's own --------------------------------------------------

@test "my-delivery: its exit status and its words are the reply" {
	machine
	more=()
	inside mkdir -p $BOXES/tickets/{new,cur,tmp}
	inside chown -R smtpd:smtpd $BOXES/tickets
	a_letter
	letter_to tickets+7@example.org >in
	run_recipe smtpd --domain example.org -- /usr/local/bin/my-delivery
	[ "$(verdict)" = 250/2.0.0 ]
	got $BOXES/tickets tickets+7@example.org
	letter_to noreply@example.org >in
	run_recipe smtpd --domain example.org -- /usr/local/bin/my-delivery
	grep -q '^550 5\.7\.1 nobody reads noreply' out
	letter_to other@example.org >in
	run_recipe smtpd --domain example.org -- /usr/local/bin/my-delivery
	grep -q '^550 5\.1\.1 there is only tickets here' out
	inside mv $BOXES/tickets/tmp $BOXES/tickets/away
	letter_to tickets@example.org >in
	run_recipe smtpd --domain example.org -- /usr/local/bin/my-delivery
	inside mv $BOXES/tickets/away $BOXES/tickets/tmp
	grep -q '^451 4\.3\.0 it could not be stored' out
	[ "$(in_box $BOXES/tickets)" = 1 ]
}

# ---- the units -------------------------------------------------------------

# unit DROP-IN: clients at the socket get the strict unit with it
unit() {
	local etc=/etc/systemd/system/smtpd@.service.d
	inside systemctl stop smtpd.socket 'smtpd@*.service'
	inside rm -rf $etc
	inside mkdir $etc
	inside tee "$etc/$1" <"$CONTRIB/$1" >/dev/null
	inside systemctl daemon-reload
	inside systemctl start smtpd.socket
}

plain_unit() {
	inside systemctl stop smtpd.socket
	inside rm -rf /etc/systemd/system/smtpd@.service.d
	inside systemctl daemon-reload
}

# mailed RCPT: a session at port 25
mailed() {
	{
		printf '%s\r\n' "$1" >rcpt
		[ -e msg ] || a_letter
		sed 's/^\./../; s/$/\r/' msg
		printf .
	} >crlf
	inside bash -c "$(declare -f converse); converse \"\$@\"" - \
	    127.0.0.1 25 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    "RCPT TO:<$1>" DATA "$(cat crlf)" QUIT >out
	cat out
	inside journalctl -q --sync
	inside journalctl -q -n 20 -o cat SYSLOG_IDENTIFIER=smtpd
}

@test "mda.conf: procmail delivers the exact bytes under the strict unit, as smtpd" {
	machine procmail
	unit mda.conf
	mailed alice@example.org
	plain_unit
	[ "$(verdict)" = 250/2.0.0 ]
	got $BOXES/alice alice@example.org
	[ "$(inside bash -c "stat -c '%U %a' $BOXES/alice/new/*")" = \
	    'smtpd 600' ]
}

@test "mda.conf: without its rcfile the mail is deferred" {
	machine procmail
	unit mda.conf
	inside mv /etc/smtpd/procmailrc /etc/smtpd/away
	mailed alice@example.org
	inside mv /etc/smtpd/away /etc/smtpd/procmailrc
	plain_unit
	[ "$(verdict)" = 451/4.3.0 ]
}

# program COMMAND...: the ExecStart of mda.conf has it, instead of procmail; the
# drop-ins named in $with are there as well
program() {
	local etc=/etc/systemd/system/smtpd@.service.d conf
	unit mda.conf
	inside sed -i "s|^\\(ExecStart=-.*\\) procmail .*|\\1 $*|" "$etc/mda.conf"
	for conf in "${with[@]}"; do
		inside tee "$etc/$conf" <"$CONTRIB/$conf" >/dev/null
	done
	inside systemctl daemon-reload
	inside systemctl cat smtpd@.service | grep -F "$*"
}

@test "mda.conf: a script in /usr/local/bin, and mail-to-command, run under the strict unit" {
	machine
	local with=()
	inside mkdir -p $BOXES/tickets/{new,cur,tmp}
	inside chown -R smtpd:smtpd $BOXES/tickets
	program my-delivery
	mailed tickets@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	got $BOXES/tickets tickets@example.org
	program mail-to-command cp /dev/stdin $BOXES/alice/new/copied
	mailed alice@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	got $BOXES/alice alice@example.org
	program mail-to-command false
	mailed alice@example.org
	plain_unit
	[ "$(verdict)" = 451/4.3.0 ]
}

@test "mda.conf: what was delivered is synced before 250" {
	grep -q '^ExecStart=-.* --sync /var/mail/smtpd ' "$CONTRIB/mda.conf"
	machine
	local with=()
	program mail-to-command true
	inside sed -i 's|--sync /var/mail/smtpd|--sync /no/such/place|' \
	    /etc/systemd/system/smtpd@.service.d/mda.conf
	inside systemctl daemon-reload
	mailed alice@example.org || :
	plain_unit
	[[ $(codes) = 421* || $(verdict) = 451/* ]]
}

@test "mda.conf: 50 MB for two recipients pass, where the spool and the Maildirs are memory" {
	machine procmail
	inside bash -c 'mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /var/mail &&
		mkdir -p /var/mail/smtpd/{alice,bob,postmaster}/{new,cur,tmp} &&
		chown -R smtpd:smtpd /var/mail/smtpd && chmod 1777 /tmp'
	unit mda.conf
	inside bash -c "$(declare -f converse); "'
		line=$(printf %098d 0)
		converse 127.0.0.1 25 "EHLO c.example" "MAIL FROM:<a@c.example>" \
		    "RCPT TO:<alice@example.org>" "RCPT TO:<bob@example.org>" \
		    DATA "$(yes "$line"$'"'\r'"' | head -n 510000; printf x)"$'"'\r\n.'"' QUIT' >out
	for user in alice bob; do
		[ "$(in_box $BOXES/$user)" = 1 ] || : >missing
	done
	inside umount /var/mail
	plain_unit
	cat out
	[ "$(verdict)" = 250/2.0.0 ]
	[ ! -e missing ]
}

@test "mda-network.conf: mail-to-webhook posts under the strict unit; without it the mail is deferred" {
	machine curl
	local with=()
	a_letter
	inside python3 -u -c '
import http.server
class App(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        n = int(self.headers["Content-Length"])
        open("/root/posted", "wb").write(self.rfile.read(n))
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8025), App).serve_forever()
' >/dev/null 2>&1 3>&- &
	background=$!
	# shellcheck disable=SC2317 # eventually calls it
	up() { inside bash -c '(exec 9<>/dev/tcp/127.0.0.1/8025) 2>/dev/null'; }
	eventually up
	program mail-to-webhook http://localhost:8025/
	mailed alice@example.org
	[ "$(verdict)" = 451/4.3.0 ]
	run ! inside test -e /root/posted
	with=(mda-network.conf)
	program mail-to-webhook http://localhost:8025/
	mailed alice@example.org
	plain_unit
	[ "$(verdict)" = 250/2.0.0 ]
	inside cat /root/posted >posted
	is_whole posted alice@example.org
}

@test "mda-suid.conf: procmail -d delivers the exact bytes to a system user" {
	machine procmail
	inside bash -c 'printf "DEFAULT=\$HOME/Maildir/\n" >/home/alice/.procmailrc
		chown alice: /home/alice/.procmailrc'
	unit mda-suid.conf
	mailed alice@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	mailed nosuch@example.org
	plain_unit
	[ "$(verdict)" = 550/5.1.1 ]
	got /home/alice/Maildir alice@example.org
	[ "$(inside bash -c "stat -c %U /home/alice/Maildir/new/*")" = alice ]
}

@test "mda.conf, mda-network.conf, mda-suid.conf and policy.conf: systemd-analyze verify has nothing to say" {
	need systemd-analyze
	local conf
	for conf in mda.conf mda-network.conf mda-suid.conf policy.conf; do
		mkdir -p "$conf.d/smtpd@.service.d"
		cp "$CONTRIB"/smtpd{.socket,@.service} "$conf.d/"
		cp "$CONTRIB/$conf" "$conf.d/smtpd@.service.d/"
		verify "$PWD/$conf.d"/smtpd{.socket,@.service} >said
		cat said
		[ ! -s said ]
	done
}

# ---- policy servers --------------------------------------------------------

# postgrey_there: it listens in the machine, with a delay of a second
postgrey_there() {
	inside bash -c 'rm -rf /tmp/grey; mkdir /tmp/grey; exec postgrey \
	    --inet=127.0.0.1:10023 --dbdir=/tmp/grey --user=root --group=root \
	    --delay=1 --auto-whitelist-clients=0' >/dev/null 2>&1 3>&- &
	background=$!
	up() { inside bash -c '(exec 9<>/dev/tcp/127.0.0.1/10023) 2>/dev/null'; }
	eventually up
}

@test "with-postgrey: who is new is told to come again, and then gets through" {
	machine postgrey
	postgrey_there
	more=(--maildir "$BOXES/{user}")
	# it knows no one without an address
	as+=(env PROTO=TCP TCPREMOTEIP=192.0.2.7)
	hand_over with-postgrey alice@example.org
	[[ $(full_codes) = *' 450/4.'* ]]
	# shellcheck disable=SC2317 # eventually calls it
	again() {
		hand_over with-postgrey alice@example.org
		[ "$(verdict)" = 250/2.0.0 ]
	}
	eventually again
	[ "$(in_box $BOXES/alice)" = 1 ]
	inside pkill postgrey
}

@test "mail-to-lmtp: Dovecot's word is ours, and its header stands for ours" {
	machine dovecot msmtp
	dovecot_runs
	eventually inside test -S /run/dovecot/lmtp
	a_letter
	to_lmtp() {
		letter_to "$@" >in
		status=0
		inside "${as[@]}" smtpd -n mx.example -d example.org \
		    /usr/local/bin/mail-to-lmtp /run/dovecot/lmtp <in >out 2>log 3>&- || status=$?
		cat out log
	}
	to_lmtp alice@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	inside bash -c 'cat /srv/alice/Maildir/new/*' >stored
	tail -c "$(wc -c <msg)" stored | cmp - msg
	[ "$(grep -c '^Return-Path: <a@c.example>' stored)" = 1 ]
	[ "$(grep -c '^Delivered-To: alice@example.org' stored)" = 1 ]
	to_lmtp nosuch@example.org
	[ "$(verdict)" = 550/5.1.1 ]
	grep -q '^550 5.1.1 .*nosuch@example.org' out
	{
		printf 'Subject: big\n\n'
		head -c 120000 /dev/zero | tr '\0' x | fold -w 70
		echo
	} >msg
	to_lmtp bob@example.org
	[ "$(verdict)" = 554/5.2.2 ]
	inside doveadm stop || :
	to_lmtp alice@example.org
	[ "$(verdict)" = 451/4.4.1 ]
}

@test "with-quota-status: Dovecot says at RCPT who has no room, and who is nobody" {
	machine dovecot
	dovecot_runs
	more=(--maildir "$BOXES/{user}")
	# with what Dovecot knew of its size
	inside bash -c 'rm -rf /srv/alice/Maildir
	    mkdir -p /srv/alice/Maildir/{new,cur,tmp}
	    head -c 150000 /dev/zero | tr "\0" x >/srv/alice/Maildir/new/1
	    chown -R smtpd:smtpd /srv/alice'
	hand_over with-quota-status alice@example.org bob@example.org nosuch@example.org
	inside rm -r /srv/alice/Maildir
	[ "$(full_codes)" = '220 250 250/2.1.0 452/4.2.2 250/2.1.5 550/5.1.1 354 250/2.0.0 221/2.0.0' ]
	grep -q '^452 4.2.2 Mailbox is full' out
	got $BOXES/bob bob@example.org
}

# answers PORT-OR-PATH: in the machine
answers() {
	case $1 in
	/*)	inside test -S "$1" ;;
	*)	inside bash -c "(exec 9<>/dev/tcp/127.0.0.1/$1) 2>/dev/null" ;;
	esac
}

@test "with-policyd-rate-limit: who logs in may send two mails, and no third" {
	local i
	machine policyd-rate-limit
	sed -e 's/- \[10, 60\].*/- [2, 60]/; s/^user:.*/user: root/; s/^group:.*/group: root/' \
	    -e 's,/var/run/policyd-rate-limit,/run,; s,/var/lib/policyd-rate-limit,/run,' \
	    /etc/policyd-rate-limit.yaml |
	    inside sh -c 'mkdir -p /var/spool/postfix/ratelimit; cat >/run/limits.yaml'
	inside policyd-rate-limit --file /run/limits.yaml >/dev/null 2>&1 3>&- </dev/null &
	background=$!
	eventually answers /var/spool/postfix/ratelimit/policy
	more=(--maildir "$BOXES/{user}" --auth /bin/true --secured)
	a_letter
	for i in 250/2.1.5 250/2.1.5 450/4.7.1; do
		letter_to alice@example.org |
		    sed $'s/^MAIL/AUTH PLAIN AG1lAHB3\\r\\n&/' >in
		run_recipe with-policyd-rate-limit --domain example.org "${more[@]}"
		[[ $(full_codes) = *" 235/2.7.0 250/2.1.0 $i "* ]]
	done
	grep -q '^450 4.7.1 Rate limit reach' out
	inside pkill -f policyd-rate-limit
	[ "$(in_box $BOXES/alice)" = 2 ]
}

@test "with-postfwd: each of its rules is asked at its step" {
	machine postfwd
	local postfwd
	postfwd=$(readlink -f "$(command -v postfwd)")
	inside sh -c 'mkdir -p /etc/postfix; cat >/etc/postfix/postfwd.cf' \
	    <"$CONTRIB/postfwd.cf"
	inside "$postfwd" --daemon --file=/etc/postfix/postfwd.cf --interface=127.0.0.1 \
	    --port=10040 --user=root --group=root --pidfile=/run/postfwd.pid \
	    >/dev/null 2>&1 3>&- </dev/null
	eventually answers 10040
	inside install -d -o smtpd $BOXES/root
	more=(--maildir "$BOXES/{user}")
	as+=(env PROTO=TCP TCPREMOTEIP=192.0.2.66)
	hand_over with-postfwd alice@example.org
	[[ $(codes) = '521 503 '* ]]
	as[-1]=TCPREMOTEIP=192.0.2.7
	hand_over with-postfwd alice@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	[ "$(in_box $BOXES/alice)" = 1 ]
	# and now what each of the others refuses
	{
		printf '%s\r\n' 'EHLO localhost' 'EHLO c.example' 'MAIL FROM:<a@invalid>' \
		    'MAIL FROM:<>' 'RCPT TO:<root@example.org>' \
		    'RCPT TO:<alice@example.org>' RSET 'MAIL FROM:<a@c.example>'
		printf 'RCPT TO:<alice@example.org>\r\n%.0s' {1..20}
		printf '%s\r\n' DATA 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<alice@example.org>' 'RCPT TO:<bob@example.org>' DATA
		yes "$(printf 'x%.0s' {1..98})"$'\r' | head -n 100000
		printf '.\r\nQUIT\r\n'
	} >in
	run_recipe with-postfwd --domain example.org "${more[@]}" >/dev/null
	inside pkill -f postfwd
	full_codes | sed 's/\(250.2.1.5 \)\{20\}/20 /' | diff - <(echo 220 554 250 \
	    550/5.1.8 250/2.1.0 554/5.7.1 250/2.1.5 250/2.0.0 250/2.1.0 20 450/4.7.1 \
	    250/2.1.0 250/2.1.5 250/2.1.5 354 552/5.3.4 221/2.0.0)
	[ "$(in_box $BOXES/alice)" = 1 ]
}

@test "policy.conf: the strict unit asks postgrey" {
	machine postgrey
	postgrey_there
	unit policy.conf
	again() {
		mailed alice@example.org
		[ "$(verdict)" = 250/2.0.0 ]
	}
	mailed alice@example.org
	[[ $(full_codes) = *' 450/4.'* ]]
	eventually again
	plain_unit
	inside pkill postgrey
	[ "$(in_box $BOXES/alice)" = 1 ]
}

@test "with-policyd-spf: its word stands in the mail" {
	machine
	need "${CLIENTS_DIR:=/opt/smtpd-clients}/postfix-policyd-spf-python/usr/bin/policyd-spf"
	inside ln -sf "$CLIENTS_DIR/postfix-policyd-spf-python/usr/bin/policyd-spf" \
	    /usr/bin/policyd-spf
	more=(--maildir "$BOXES/{user}")
	as+=(env PROTO=TCP TCPREMOTEIP=127.0.0.1)
	hand_over with-policyd-spf alice@example.org
	[ "$(verdict)" = 250/2.0.0 ]
	inside bash -c "cat $BOXES/alice/new/*" | sed '/^$/,$d' |
	    grep -q '^X-Comment: SPF '
}
