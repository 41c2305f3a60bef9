# launchers.bats - a mail through each launcher, over TCP, into a Maildir
# inetd(8), xinetd.conf(5), tcpserver(1), tcpsvd(8), socat(1); the files of
# contrib are used as they stand, but for port, user and paths

load helper

: "${LAUNCHERS_DIR:=/opt/smtpd-launchers}"
OPENBSD_INETD=$LAUNCHERS_DIR/openbsd-inetd/usr/sbin/inetd
INETUTILS_INETD=$LAUNCHERS_DIR/inetutils-inetd/usr/sbin/inetutils-inetd
XINETD=$LAUNCHERS_DIR/xinetd/usr/sbin/xinetd

teardown() {
	[ -n "${launcher:-}" ] || return 0
	{
		kill -KILL -- "-$launcher" || :
		wait "$launcher" || :
	} 2>/dev/null
}

# is_listening PORT: some process on this machine listens there
is_listening() {
	grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf '%04X' "$1") [0-9A-F:]* 0A " \
	    /proc/net/tcp /proc/net/tcp6
}

# choose_port: a port no one listens on, below those the kernel gives away;
# from 6000 of this file's own, because others run beside it
choose_port() {
	port=$((20000 + RANDOM % 6000))
	while is_listening $port; do
		port=$((20000 + RANDOM % 6000))
	done
}

# contrib: standard input, with this test's port, user and paths
contrib() {
	local me
	me=$(id -un)
	mkdir -p mail/postmaster/{new,cur,tmp}
	sed -e "s|/usr/local/sbin/smtpd|$SMTPD|" \
	    -e "s|/var/mail/smtpd/|$PWD/mail/|" \
	    -e "s|\(--maildir [^ ]*\)|\1 --verbose|" \
	    -e "s|^smtp |$port |; s| smtpd \($SMTPD\)| $me \1|" \
	    -e "s|\(user.*= \)smtpd|\1$me|" \
	    -e "s| 0 smtp | 0 $port |; s|\(id -[ug] \)smtpd|\1$me|g"
}

# launch COMMAND...: in a process group of its own, until $port is listened on
launch() {
	setsid "$@" >launcher.out 2>launcher.err </dev/null 3>&- &
	launcher=$!
	eventually is_listening "$port" || { cat launcher.err; return 1; }
}

# launch_with_syslog COMMAND...: the same, where /dev/log is the test's own,
# written to the file syslog
launch_with_syslog() {
	mkdir dev
	# shellcheck disable=SC2016
	launch unshare --mount --propagation private bash -c '
		mount -t tmpfs tmpfs dev
		for n in null zero random urandom; do
			: >"dev/$n"
			mount --bind "/dev/$n" "dev/$n"
		done
		mount --rbind dev /dev
		socat -u UNIX-RECV:/dev/log OPEN:syslog,creat,append &
		until [ -S /dev/log ]; do sleep 0.1; done
		exec "$@"' - "$@"
}

# mail_through HOST RECIPIENT: a session, of which the client sees replies only
mail_through() {
	converse "$1" "$port" 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    "RCPT TO:<$2>" DATA $'Subject: a letter\r\n\r\n..\r\nbye\r\n.' \
	    QUIT >out
	cat out
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	run ! grep -avE $'^[2-5][0-9][0-9][ -][ -~]*\r$' out
}

# arrived DIR CLIENT: one mail is in it, whole, and its Received names CLIENT
arrived() {
	printf 'Subject: a letter\n\n.\nbye\n' >want
	stored_is want "$1"
	header Received "$(only_message "$1")"
	[[ $(header Received "$(only_message "$1")") = *"[$2]"* ]]
}

# arrived_from_unknown DIR: the same, and Received has no address
arrived_from_unknown() {
	printf 'Subject: a letter\n\n.\nbye\n' >want
	stored_is want "$1"
	header Received "$(only_message "$1")"
	[[ $(header Received "$(only_message "$1")") != *'['* ]]
}

# is_in_syslog: a session came to its end there, said by smtpd as "mail"
is_in_syslog() {
	grep -aqE '<(1[6-9]|2[0-3])>[^<]*smtpd\[[0-9]+\]: ' syslog
}

# deliver_to_contrib HOST CLIENT: mail for postmaster, with the files of contrib
deliver_to_contrib() {
	rm -f mail/postmaster/new/*
	mail_through "$1" postmaster
	arrived mail/postmaster "$2"
}

@test "openbsd-inetd: contrib's lines deliver over IPv4 and IPv6, and log by syslog" {
	need_root
	need "$OPENBSD_INETD" socat unshare
	choose_port
	contrib <"$ROOT/contrib/inetd.conf" >conf
	launch_with_syslog "$OPENBSD_INETD" -i "$PWD/conf"
	deliver_to_contrib 127.0.0.5 127.0.0.1
	deliver_to_contrib ::1 IPv6:::1
	eventually is_in_syslog
}

@test "openbsd-inetd: contrib's lines are not shut at the 257th connection of a minute" {
	need_root
	need "$OPENBSD_INETD" socat unshare
	choose_port
	contrib <"$ROOT/contrib/inetd.conf" >conf
	launch_with_syslog "$OPENBSD_INETD" -i "$PWD/conf"
	for _ in {1..300}; do
		converse 127.0.0.1 "$port" QUIT >out
	done
	[ "$(codes)" = '220 221' ]
}

@test "inetutils-inetd: contrib's lines deliver over IPv4 and IPv6, and log by syslog" {
	need_root
	need "$INETUTILS_INETD" socat unshare
	choose_port
	sed 's/^#smtp/smtp/' "$ROOT/contrib/inetd.conf" | contrib >conf
	launch_with_syslog "$INETUTILS_INETD" -d "$PWD/conf"
	deliver_to_contrib 127.0.0.5 127.0.0.1
	deliver_to_contrib ::1 IPv6:::1
	eventually is_in_syslog
}

@test "inetutils-inetd: with --environment the client is the same" {
	need_root
	need "$INETUTILS_INETD" socat unshare
	choose_port
	contrib <"$ROOT/contrib/inetd.conf" >conf
	launch_with_syslog "$INETUTILS_INETD" -d --environment "$PWD/conf"
	deliver_to_contrib 127.0.0.5 127.0.0.1
}

@test "xinetd: contrib's service delivers over IPv4 and IPv6, and logs by syslog" {
	need_root
	need "$XINETD" socat unshare
	choose_port
	{
		contrib <"$ROOT/contrib/xinetd.smtpd" |
		    sed "s/^{/&\n\ttype = UNLISTED\n\tport = $port/"
		printf 'defaults\n{\n\tlog_type = FILE %s/xinetd.log\n}\n' "$PWD"
	} >conf
	launch_with_syslog "$XINETD" -dontfork -f "$PWD/conf" \
	    -pidfile "$PWD/xinetd.pid"
	deliver_to_contrib 127.0.0.5 127.0.0.1
	deliver_to_contrib ::1 IPv6:::1
	eventually is_in_syslog
}

@test "xinetd: the entry that ran sendmail -bs runs smtpd, with sendmail behind it" {
	need_root
	need "$XINETD" socat unshare
	choose_port
	# what Debian's sendmail and contrib/migrating say; sendmail keeps what it gets
	printf '#!/bin/sh\necho "$@" >%s/args; exec cat >%s/mail\n' "$PWD" "$PWD" >sendmail
	chmod 755 sendmail
	cat >conf <<-C
		service smtp
		{
			type = UNLISTED
			port = $port
			socket_type = stream
			protocol = tcp
			wait = no
			user = root
			server = $SMTPD
			server_args = -bs -d example.org $PWD/sendmail -i -f {sender} -- {recipients}
		}
	C
	launch_with_syslog "$XINETD" -dontfork -f "$PWD/conf" \
	    -pidfile "$PWD/xinetd.pid"
	mail_through 127.0.0.5 u@example.org
	[ "$(cat args)" = '-i -f a@c.example -- u@example.org' ]
	printf 'Subject: a letter\n\n.\nbye\n' >want
	tail -c "$(wc -c <want)" mail | cmp - want
}

@test "tcpserver: contrib's run delivers, and logs to tcpserver's output" {
	need_root
	need tcpserver
	choose_port
	contrib <"$ROOT/contrib/run" >service
	chmod 755 service
	launch ./service
	deliver_to_contrib 127.0.0.5 127.0.0.1
	eventually grep -qE '^tcpserver: end .* status 0' launcher.out
	grep -q postmaster launcher.out
}

@test "tcpserver: RELAYCLIENT of tcprules lets a client send to any domain" {
	need tcpserver tcprules
	choose_port
	tcprules rules.cdb rules.tmp <<<'127.0.0.1:allow,RELAYCLIENT=""'
	by_program
	launch tcpserver -HR -l 0 -x rules.cdb 127.0.0.5 "$port" \
	    "$SMTPD" "${OPTS[@]}"
	mail_through 127.0.0.5 someone@elsewhere.example
	arrived box 127.0.0.1
}

@test "tcpsvd: a mail is delivered" {
	need tcpsvd
	choose_port
	launch tcpsvd -l mx.example 127.0.0.5 "$port" "$SMTPD" "${OPTS[@]}"
	mail_through 127.0.0.5 u@example.org
	arrived box 127.0.0.1
}

@test "systemd-socket-activate: a mail is delivered, IPv4 seen through ::ffff:" {
	need systemd-socket-activate
	choose_port
	launch systemd-socket-activate --accept --inetd -l "[::]:$port" \
	    "$SMTPD" "${OPTS[@]}"
	mail_through 127.0.0.5 u@example.org
	arrived box 127.0.0.1
}

@test "systemd-socket-activate: a mail is delivered over IPv6" {
	need systemd-socket-activate
	choose_port
	launch systemd-socket-activate --accept --inetd -l "[::]:$port" \
	    "$SMTPD" "${OPTS[@]}"
	mail_through ::1 u@example.org
	arrived box IPv6:::1
}

@test "socat EXEC,nofork: a mail is delivered" {
	need socat
	choose_port
	launch socat "TCP-LISTEN:$port,fork,reuseaddr" \
	    "EXEC:$SMTPD ${OPTS[*]},nofork"
	mail_through 127.0.0.5 u@example.org
	arrived box 127.0.0.1
}

@test "socat EXEC,nofork: IPv4 is seen through ::ffff:" {
	need socat
	choose_port
	launch socat "TCP6-LISTEN:$port,fork,reuseaddr,ipv6only=0" \
	    "EXEC:$SMTPD ${OPTS[*]},nofork"
	mail_through 127.0.0.5 u@example.org
	arrived box 127.0.0.1
}

@test "socat EXEC: over a socketpair a mail is delivered, its client known by socat's variables" {
	need socat
	choose_port
	launch socat "TCP-LISTEN:$port,fork,reuseaddr" "EXEC:$SMTPD ${OPTS[*]}"
	mail_through 127.0.0.5 u@example.org
	arrived box 127.0.0.1
}

@test "socat EXEC,pipes: over two pipes a mail is delivered, its client known by socat's variables" {
	need socat
	choose_port
	launch socat "TCP-LISTEN:$port,fork,reuseaddr" \
	    "EXEC:$SMTPD ${OPTS[*]},pipes"
	mail_through 127.0.0.5 u@example.org
	arrived box 127.0.0.1
}

@test "socat EXEC,stderr: the socketpair on fd 2 gets nothing, syslog gets the log" {
	need_root
	need socat unshare
	choose_port
	launch_with_syslog socat "TCP-LISTEN:$port,fork,reuseaddr" \
	    "EXEC:$SMTPD ${OPTS[*]} -v,stderr"
	mail_through 127.0.0.5 u@example.org
	arrived box 127.0.0.1
	eventually is_in_syslog
}
