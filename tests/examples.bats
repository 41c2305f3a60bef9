# examples.bats - the examples of the man page, typed as they stand there, on a
# machine where smtpd is installed

# shellcheck disable=SC2016 # what stands in single quotes is for another shell
# shellcheck disable=SC2030,SC2031 # bats runs each test in a shell of its own
load helper
load boot

: "${LAUNCHERS_DIR:=/opt/smtpd-launchers}"

# example N: the Nth block of the section EXAMPLES, or of SECTION, of smtpd.8, or of
# PAGE, as it is shown
example() {
	awk -v want="$1" -v section="${SECTION:-EXAMPLES}" '
		/^\.S[hs] / { on = substr($0, 5) == section }
		on && /^\.Ed/ { inside = 0 }
		inside && n == want { print }
		on && /^\.Bd/ { inside = 1; n++ }' "$ROOT/${PAGE:-smtpd.8}" |
	    sed "s/\\\\(aq/'/g; s/\\\\&//g; s/\\\\e/\\\\/g" >example
	[ -s example ] || { echo "there is no example $1"; return 1; }
	cat example
}

# commands: what is behind a prompt in it, with the lines that go on
commands() {
	sed 's/^[#$] //' example
}

setup_file() {
	local tree=$BATS_FILE_TMPDIR/tree p=openbsd-inetd
	"$SDBOOT" possible >"$BATS_FILE_TMPDIR/why" || return 0
	mkdir -p "$tree/root/smtpd" "$tree/etc" "$tree/usr"
	echo mx.example.net >"$tree/etc/hostname"
	[ ! -d "$LAUNCHERS_DIR/$p" ] ||
	    cp -a "$LAUNCHERS_DIR/$p/usr/." "$tree/usr/"
	"$SDBOOT" start "$MACHINE" "$tree"
	tar cf - -C "$ROOT" --exclude=./.git --exclude=./run --exclude=./box . |
	    inside tar xf - -C /root/smtpd
	inside sed -i '/^smtpd:/d' /etc/passwd /etc/group
	inside rm -rf /var/mail/smtpd
	inside bash -ec 'mkdir -p /usr/local/sbin /etc/smtpd
		cp "$1" /usr/local/sbin/smtpd
		cd /root/smtpd && sh contrib/mailbox postmaster alice all tickets' - \
	    "/root/smtpd/${SMTPD#"$ROOT/"}"
	cd "$BATS_FILE_TMPDIR" || return
	example 3 | inside tee /etc/smtpd.conf >/dev/null
	inside bash -c 'printf "%s\n" alice bob@example.net >/etc/smtpd.users'
}

# listening PORT
listening() {
	inside bash -c "exec 9<>/dev/tcp/127.0.0.1/$1" 2>/dev/null
}

# sent RCPT: the reply codes to a mail for it, over port 25
sent() {
	inside bash -c "exec 9<>/dev/tcp/127.0.0.1/25 && printf '%s\r\n' 'EHLO c.example' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<$1>' DATA 'Subject: x' '' x . QUIT >&9 &&
	    cat <&9" | sed -n 's/^\([0-9][0-9][0-9]\) .*/\1/p' | tr '\n' ' '
}

# session RCPT COMMAND: the same, with a command as the man page has it
session() {
	printf '%s\n' 'HELO c.example' 'MAIL FROM:<a@c.example>' "RCPT TO:<$1>" \
	    DATA 'Subject: x' '' x . QUIT |
	    inside bash -c "PATH=/usr/local/sbin:\$PATH; $2" |
	    sed -n 's/^\([0-9][0-9][0-9]\) .*/\1/p' | tr '\n' ' '
}

# mails BOX: how many are in it
mails() {
	inside bash -c "ls /var/mail/smtpd/$1/new | wc -l"
}

@test "examples: two domains, a list of users, one Maildir, checked and under inetd" {
	booted "$LAUNCHERS_DIR/openbsd-inetd/usr/sbin/inetd"
	example 4
	commands | inside bash -e >said
	cat said
	[ "$(tail -n 1 said)" = ok ]
	grep -q '^domain example\.net (/etc/smtpd\.conf:2)$' said
	example 2
	tr -d '\n' <example | sed 's/   */ /; s/$/\n/' | inside tee /etc/inetd.conf
	inside inetd -i /etc/inetd.conf >inetd.log 2>&1 3>&- &
	background=$!
	eventually listening 25
	before=$(mails all)
	[ "$(sent alice@example.org)" = '220 250 250 250 354 250 221 ' ]
	[ "$(sent bob@example.net)" = '220 250 250 250 354 250 221 ' ]
	[ "$(sent bob@example.org)" = '220 250 250 550 554 500 500 500 500 221 ' ]
	[ "$(mails all)" = $((before + 2)) ]
}

teardown() {
	if [ -n "${background:-}" ]; then
		inside pkill -x 'inetd|tcpserver|postgrey' || :
		kill "$background" 2>/dev/null || :
	fi
}

@test "examples: a Maildir for each user and domain, under tcpserver" {
	booted tcpserver
	example 5
	commands | inside bash -e >tcpserver.log 2>&1 3>&- &
	background=$!
	eventually listening 25
	[ "$(sent abuse@example.org)" = '220 250 250 250 354 250 221 ' ]
	[ "$(sent alice@example.org)" = '220 250 250 550 554 500 500 500 500 221 ' ]
	[ "$(mails example.org/postmaster)" = 1 ]
}

@test "examples: a pipe tells whether an address is accepted, and a message delivered" {
	booted
	example 6
	commands | inside bash
	commands | sed 's/alice/nobody/' >other
	run ! inside bash <other
}

@test "examples: each message goes to a script of one's own" {
	booted
	inside install -m 755 /root/smtpd/contrib/my-delivery /usr/local/bin/
	example 7
	[ "$(session tickets@example.org "$(commands)")" = '220 250 250 250 354 250 221 ' ]
	[ "$(mails tickets)" = 1 ]
	[ "$(session x@example.org "$(commands)")" = '220 250 250 250 354 550 221 ' ]
}

@test "examples: and to procmail, with one file of rules, or with each user's own" {
	booted procmail
	inside install -m 644 /root/smtpd/contrib/procmailrc /etc/smtpd/procmailrc
	inside bash -c 'id dora || useradd -m dora' >/dev/null
	example 8
	head -n 2 example >first
	tail -n 1 example >second
	before=$(mails alice)
	[ "$(session alice@example.org "$(cat first)")" = '220 250 250 250 354 250 221 ' ]
	[ "$(mails alice)" = $((before + 1)) ]
	[ "$(session dora@example.org "$(cat second)")" = '220 250 250 250 354 250 221 ' ]
	inside grep -q '^Subject: x' /var/mail/dora
}

@test "examples: and to sendmail, for any domain" {
	booted
	inside bash -c 'printf "#!/bin/sh\necho \"\$@\" >/tmp/args\ncat >/tmp/mail\n" \
	    >/usr/local/sbin/sendmail && chmod 755 /usr/local/sbin/sendmail'
	example 9
	[ "$(session x@elsewhere.example "$(commands)")" = '220 250 250 250 354 250 221 ' ]
	[ "$(inside cat /tmp/args)" = '-i -f a@c.example -- x@elsewhere.example' ]
	inside grep -q '^Subject: x$' /tmp/mail
}

@test "examples: postgrey is asked first" {
	booted postgrey
	inside postgrey --inet=10023 --delay=1 >postgrey.log 2>&1 3>&- &
	background=$!
	eventually listening 10023
	example 10
	[[ "$(session x@example.org "$(commands)")" = '220 250 250 450 '* ]]
	sleep 2
	[ "$(session x@example.org "$(commands)")" = '220 250 250 250 354 250 221 ' ]
}

@test "examples: a directory is a user, and a link an alias" {
	booted
	SECTION=Maildirs example 1
	inside rm -rf /var/mail/smtpd/alice /var/mail/smtpd/info
	sed 1d example | inside bash -ec 'cd /var/mail/smtpd; . /dev/stdin'
	[ "$(session info@example.org "$(sed 1q example)")" = '220 250 250 250 354 250 221 ' ]
	[ "$(mails alice)" = 1 ]
	[ "$(session nobody@example.org "$(sed 1q example)")" = \
	    '220 250 250 550 554 500 500 500 500 221 ' ]
}

@test "examples: smtpd-delivery's template, and its program" {
	booted
	PAGE=contrib/smtpd-delivery.7 SECTION=Templates example 1
	inside rm -rf /var/mail/smtpd/alice /var/mail/smtpd/info
	sed 1d example | inside bash -ec 'cd /var/mail/smtpd; . /dev/stdin'
	[ "$(session info@example.org "$(sed 1q example)")" = '220 250 250 250 354 250 221 ' ]
	PAGE=contrib/smtpd-delivery.7 example 1
	inside bash -c 'rm -rf /srv/mails; mkdir /srv/mails; cat >/usr/local/bin/archive
		chmod 755 /usr/local/bin/archive' <example
	local run='smtpd -d example.org /usr/local/bin/archive'
	[ "$(session u@example.org "$run")" = '220 250 250 250 354 250 221 ' ]
	# it comes again
	[ "$(session u@example.org "$run")" = '220 250 250 250 354 250 221 ' ]
	[ "$(session archive-2025@example.org "$run")" = '220 250 250 250 354 550 221 ' ]
	[ "$(inside ls /srv/mails | wc -l)" = 1 ]
	[ "$(inside ls /srv/mails | grep -cxE '[0-9a-f]{64}')" = 1 ]
}

@test "examples: all of them are run, here or where the transcript is" {
	awk '/^\.Sh EXAMPLES/ { on = 1 } /^\.Sh SEE/ { on = 0 }
		on && /^\.Bd/ { n++ } END { print n }' "$ROOT/smtpd.8" >there
	[ "$(cat there)" = 10 ]
}
