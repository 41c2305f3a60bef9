# systemd.bats - the units of contrib, under a systemd that sdboot.sh boots
# systemd.socket(5), systemd.exec(5), sysusers.d(5), tmpfiles.d(5); port 25 is
# that of a network namespace

load helper
load boot

CONTRIB=$ROOT/contrib
BOX=/var/mail/smtpd/postmaster

setup_file() {
	local tree=$BATS_FILE_TMPDIR/tree
	"$SDBOOT" possible >"$BATS_FILE_TMPDIR/why" || return 0
	mkdir -p "$tree"/{usr/local/sbin,etc/sysusers.d,etc/tmpfiles.d}
	mkdir -p "$tree/etc/systemd/system"
	cp "$SMTPD" "$tree/usr/local/sbin/smtpd"
	cp "$CONTRIB/smtpd.socket" "$tree/etc/systemd/system/"
	cp "$CONTRIB/smtpd.sysusers" "$tree/etc/sysusers.d/smtpd.conf"
	cp "$CONTRIB/smtpd.tmpfiles" "$tree/etc/tmpfiles.d/smtpd.conf"
	echo mx.example >"$tree/etc/hostname"
	# for a build with sanitizers, which would look into /proc
	mkdir "$tree/etc/systemd/system.conf.d"
	printf '[Manager]\nDefaultEnvironment=ASAN_OPTIONS=detect_leaks=0\n' \
	    >"$tree/etc/systemd/system.conf.d/sanitizers.conf"
	"$SDBOOT" start "$MACHINE" "$tree"
	inside systemd-sysusers
	inside systemd-tmpfiles --create smtpd.conf
}

# listen FILE: the socket is there, each client gets the unit in FILE, and
# there are no mails
listen() {
	booted
	inside systemctl stop smtpd.socket 'smtpd@*.service'
	inside tee /etc/systemd/system/smtpd@.service <"$1" >/dev/null
	inside systemctl daemon-reload
	inside find $BOX -type f -delete
	inside journalctl -q --sync
	since=$(inside date '+%F %T.%6N')
	inside systemctl start smtpd.socket
}

# talk HOST LINE...: be a client in there
talk() {
	local host=$1
	shift
	inside bash -c "$(declare -f converse); converse \"\$@\"" - \
	    "$host" 25 "$@"
}

# journal ARG...: what was logged since the socket was started
journal() {
	inside journalctl -q --sync
	inside journalctl -q --since "$since" SYSLOG_IDENTIFIER=smtpd "$@"
}

# delivers HOST CLIENT: a mail arrives, and its client is known
delivers() {
	inside find $BOX -type f -delete
	talk "$1" 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<postmaster>' DATA \
	    $'Subject: a letter\r\n\r\n..\r\nbye\r\n.' QUIT >out
	cat out
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	run ! grep -avE $'^[2-5][0-9][0-9][ -][ -~]*\r$' out
	rm -rf mailbox
	mkdir -p mailbox/new
	inside bash -c "cat $BOX/new/*" >mailbox/new/mail
	printf 'Subject: a letter\n\n.\nbye\n' >want
	stored_is want mailbox
	[[ $(header Received mailbox/new/mail) = *"[$2]"* ]]
}

# all_ended: no session is left
all_ended() {
	[ -z "$(inside systemctl list-units -q --all --plain 'smtpd@*')" ]
}

check_delivery() {
	listen "$CONTRIB/$1"
	delivers 127.0.0.5 127.0.0.1
	delivers ::1 IPv6:::1
	[ "$(inside stat -c '%U %a' $BOX/new)" = 'smtpd 700' ]
	[ "$(inside bash -c "stat -c '%U %a' $BOX/new/*")" = 'smtpd 600' ]
	[ "$(inside bash -c "ls $BOX/tmp $BOX/cur | grep -c .")" = 2 ]
	eventually all_ended
}

check_journal() {
	listen "$CONTRIB/$1"
	delivers 127.0.0.5 127.0.0.1
	eventually all_ended
	# one line for the message, one for the session, and no warning
	journal -o cat >said
	cat said
	[ "$(wc -l <said)" = 2 ]
	grep -q 'postmaster' said
	run ! grep -qE '^<[0-9]>' said
	# through stderr, not by syslog; what "<N>" said is the priority
	journal -o export >fields
	[ "$(field _TRANSPORT)" = stdout ]
	[ "$(field SYSLOG_FACILITY)" = 2 ]
	[ "$(field PRIORITY)" = 6 ]
	[[ $(field _SYSTEMD_UNIT) = smtpd@*127.0.0.1:*.service ]]
}

# field NAME: its different values in the file fields
field() {
	sed -n "s/^$1=//p" fields | sort -u
}

check_burst() {
	listen "$CONTRIB/$1"
	# shellcheck disable=SC2016
	inside bash -c '
		for _ in {1..1000}; do
			exec {fd}<>/dev/tcp/127.0.0.1/25
			exec {fd}>&-
		done' 2>refused
	[ ! -s refused ]
	eventually all_ended
	[ "$(inside systemctl is-active smtpd.socket)" = active ]
	delivers 127.0.0.5 127.0.0.1
}

# call: a client that stays; what is written to $to it sends, what the server
# says is in the file out; its process is $client
call() {
	rm -f to
	mkfifo to
	# shellcheck disable=SC2016
	inside bash -c '
		exec {fd}<>/dev/tcp/127.0.0.1/25
		cat <&0 >&"$fd" & cat <&"$fd"
		kill $!' <to >out 3>&- &
	client=$!
	exec {to}>to
	eventually has_said 220
}

# has_said CODE: the client was told it
has_said() {
	grep -q "^$1 " out
}

check_stop() {
	listen "$CONTRIB/$1"
	call
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<postmaster>' DATA 'Subject: a letter' '' half >&"$to"
	eventually has_said 354
	inside systemctl stop 'smtpd@*.service'
	wait "$client"
	exec {to}>&-
	[ "$(codes)" = '220 250 250 250 354 421' ]
	[ -z "$(inside find $BOX -type f)" ]
	all_ended
}

check_status() {
	listen "$CONTRIB/$1"
	call
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' >&"$to"
	eventually has_status '[127.0.0.1] MAIL 0 rcpt'
	inside systemctl --no-pager status 'smtpd@*' >shown
	grep -qF 'Status: "[127.0.0.1] MAIL 0 rcpt"' shown
	grep -q 'smtpd: \[127\.0\.0\.1\] MAIL 0 rcpt' shown
	printf 'QUIT\r\n' >&"$to"
	wait "$client"
	exec {to}>&-
}

# has_status TEXT: it is the one session's
has_status() {
	[ "$(inside systemctl show --value -p StatusText 'smtpd@*.service')" = "$1" ]
}

# analyze UNIT: verify finds nothing to say about it and the socket
analyze() {
	need systemd-analyze
	mkdir units
	cp "$CONTRIB/smtpd.socket" units/
	cp "$CONTRIB/$1" units/smtpd@.service
	verify "$PWD"/units/smtpd{.socket,@.service} >said
	cat said
	[ ! -s said ]
}

# runtime UNIT: how many microseconds it lets a session have
runtime() {
	systemd-analyze timespan \
	    "$(sed -n 's/^RuntimeMaxSec=//p' "$CONTRIB/$1")" |
	    sed -n 's/^ *.s: //p'
}

@test "sysusers and tmpfiles: a user who cannot log in, and postmaster's Maildir" {
	booted
	inside systemd-sysusers
	inside systemd-tmpfiles --create smtpd.conf
	inside getent passwd smtpd |
	    grep -q ':/var/mail/smtpd:/usr/sbin/nologin$'
	[ "$(inside stat -c '%U:%G %a' /var/mail/smtpd)" = 'smtpd:smtpd 750' ]
	inside stat -c '%U:%G %a' $BOX $BOX/{new,cur,tmp} >owners
	[ "$(sort -u owners)" = 'smtpd:smtpd 700' ]
}

@test "strict unit: mail arrives over IPv4 and IPv6, as the user of sysusers" {
	check_delivery smtpd@.service
}

@test "fast unit: mail arrives over IPv4 and IPv6, as the user of sysusers" {
	check_delivery smtpd-fast@.service
}

@test "strict unit: the log is in the journal, with priorities, and not with the client" {
	check_journal smtpd@.service
}

@test "fast unit: the log is in the journal, with priorities, and not with the client" {
	check_journal smtpd-fast@.service
}

@test "strict unit: the socket survives 1000 connections at once" {
	check_burst smtpd@.service
}

@test "fast unit: the socket survives 1000 connections at once" {
	check_burst smtpd-fast@.service
}

@test "strict unit: when stopped it tells the client 421 and leaves no file" {
	check_stop smtpd@.service
}

@test "fast unit: when stopped it tells the client 421 and leaves no file" {
	check_stop smtpd-fast@.service
}

@test "strict unit: systemctl status shows what each session does" {
	check_status smtpd@.service
}

@test "fast unit: systemctl status shows what each session does" {
	check_status smtpd-fast@.service
}

@test "strict unit: a client that breaks off leaves no failed unit" {
	listen "$CONTRIB/smtpd@.service"
	# shellcheck disable=SC2016
	inside bash -c '
		exec {fd}<>/dev/tcp/127.0.0.1/25
		read -r -u "$fd" line
		printf "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n" >&"$fd"'
	eventually all_ended
	[ "$(inside systemctl is-active smtpd.socket)" = active ]
}

@test "strict unit: a wrong option is said by syslog, and 421 to the client" {
	sed 's/ --maildir .*/ --maildirs/' "$CONTRIB/smtpd@.service" >unit
	listen "$PWD/unit"
	talk 127.0.0.1 QUIT >out || :
	cat out
	[ "$(codes)" = 421 ]
	journal -o export >fields
	field _TRANSPORT | grep -qx syslog
	field MESSAGE | grep -q maildirs
}

# landlock: a program that says how the system call that asks for Landlock's version ends
landlock() {
	echo "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))"
}

@test "strict unit: it does not keep smtpd from confining itself by Landlock" {
	need /usr/bin/python3
	sed -e "s|^ExecStart=.*|ExecStart=/usr/bin/python3 -c '$(landlock)'|" \
	    -e '/^NoExecPaths=/d; /^MemoryDenyWriteExecute=/d' \
	    "$CONTRIB/smtpd@.service" >unit
	listen "$PWD/unit"
	inside bash -c 'cat </dev/tcp/127.0.0.1/25' >version
	cat version
	[ "$(cat version)" = "$(inside /usr/bin/python3 -c "$(landlock)")" ]
}

@test "strict unit: systemd-analyze verify has nothing to say" {
	analyze smtpd@.service
}

@test "fast unit: systemd-analyze verify has nothing to say" {
	analyze smtpd-fast@.service
}

@test "both units: what is wrong with another's unit is not held against them" {
	need systemd-analyze
	mkdir -p units others/sysinit.target.{d,wants}
	cp "$CONTRIB"/smtpd{.socket,@.service} units/
	# ours wait for sysinit.target, which wants this one
	printf '[Unit]\nNo=key\n[Service]\nType=no\nExecStart=no\n' \
	    >others/other.service
	ln -s ../other.service others/sysinit.target.wants/
	printf '[Unit]\nNo=key\n' >others/sysinit.target.d/other.conf
	export SYSTEMD_UNIT_PATH=$PWD/others:
	verify "$PWD"/units/smtpd{.socket,@.service} >said
	cat said verify.out
	[ ! -s said ]
	grep -q other.service verify.out
	# what is wrong with ours is
	sed -i 's/^Accept=.*/Accept=maybe/' units/smtpd.socket
	sed -i 's|^ExecStart=.*|ExecStart=/nonexistent|' units/smtpd@.service
	mkdir units/smtpd@.service.d
	printf '[Service]\nNo=key\n' >units/smtpd@.service.d/own.conf
	verify "$PWD"/units/smtpd{.socket,@.service} >said
	grep 'smtpd.socket:.* maybe' said
	grep /nonexistent said
	grep own.conf said
}

@test "strict unit: its exposure is at most 0.3" {
	need systemd-analyze
	systemd-analyze security --offline=yes --no-pager --threshold=3 \
	    "$CONTRIB/smtpd@.service" >said 2>&1 || {
		cat said
		false
	}
}

@test "both units: a session may have its two hours" {
	need systemd-analyze
	[ "$(runtime smtpd@.service)" -gt 7200000000 ]
	[ "$(runtime smtpd-fast@.service)" -gt 7200000000 ]
}

# test_unit: contrib's, in the machine; its output is in said, its status in $ended
test_unit() {
	inside tee /root/test-unit <"$CONTRIB/test-unit" >/dev/null
	ended=0
	inside timeout 30 sh /root/test-unit >said 2>&1 || ended=$?
	cat said
	# and nothing of it stays
	run ! inside bash -c 'ls /run/systemd/system/smtpd-test* /run/smtpd-test*'
}

@test "test-unit: it says what holds in the unit as it stands" {
	listen "$CONTRIB/smtpd@.service"
	test_unit
	[ "$ended" = 0 ]
	grep -qE 'domain.*example\.org' said
	grep -qF '/var/mail/smtpd/{user}' said
	eventually all_ended
	delivers 127.0.0.5 127.0.0.1
}

@test "test-unit: a Maildir that the unit does not let smtpd write is found, where --test alone finds nothing" {
	inside mkdir -p /var/mail/all/{new,cur,tmp}
	inside chown -R smtpd:smtpd /var/mail/all
	sed 's|--maildir [^ ]*|--maildir /var/mail/all|' \
	    "$CONTRIB/smtpd@.service" >unit
	listen "$PWD/unit"
	inside setpriv --reuid=smtpd --regid=smtpd --clear-groups \
	    /usr/local/sbin/smtpd --test -d example.org -m /var/mail/all
	test_unit
	[ "$ended" = 78 ]
	grep -q /var/mail/all said
}

@test "test-unit: the drop-ins of the unit count" {
	listen "$CONTRIB/smtpd@.service"
	inside mkdir -p /etc/systemd/system/smtpd@.service.d
	printf '[Service]\nExecStart=\nExecStart=-/usr/local/sbin/smtpd -d other.example -m %s\n' \
	    $BOX | inside tee /etc/systemd/system/smtpd@.service.d/own.conf
	inside systemctl daemon-reload
	test_unit
	inside rm -r /etc/systemd/system/smtpd@.service.d
	inside systemctl daemon-reload
	[ "$ended" = 0 ]
	grep -q 'other\.example' said
	run ! grep -q 'example\.org' said
}

@test "both units: mail for the domain in them is taken, and the host's name is no domain of ours" {
	for unit in smtpd@.service smtpd-fast@.service; do
		listen "$CONTRIB/$unit"
		talk 127.0.0.1 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<postmaster@example.org>' \
		    'RCPT TO:<postmaster@mx.example>' QUIT >out
		[ "$(codes)" = '220 250 250 250 550 221' ]
	done
}
