# host.bash - for the tests of contrib's recipes: a host of the test's own, on
# which a recipe is put where it says that it goes

load net

: "${CLIENTS_DIR:=/opt/smtpd-clients}"
export CLIENTS_DIR

# a_host PACKAGE...: called by what `alone` calls.  /usr is as if these, of the
# packages that .ci/install unpacks, were installed; /etc has only what users and
# names need.  /dev, /run, /var/spool, /var/lib, /var/log and /usr/local/sbin are
# empty, but for smtpd; what it says to syslog is in the file syslog.
# /var/mail/smtpd is the directory mail, with Maildirs for postmaster, alice and
# bob, of which bob's is broken; carol has none.
a_host() {
	local n user dirs=
	for n; do
		dirs+=$CLIENTS_DIR/$n/usr:
	done
	mount -t overlay -o "lowerdir=$dirs/usr" overlay /usr
	umask 022
	mkdir -p dev etc mail/{postmaster,alice,bob}/{tmp,new,cur}
	rmdir mail/bob/tmp
	mount -t tmpfs -o mode=755 tmpfs dev
	for n in null zero full random urandom; do
		: >"dev/$n"
		mount --bind "/dev/$n" "dev/$n"
	done
	ln -s /proc/self/fd dev/fd
	mount --rbind dev /dev
	cp -a /etc/{passwd,group,nsswitch.conf,ld.so.cache,services,alternatives} etc
	echo '127.0.0.1 localhost' >etc/hosts
	n=8100
	for user in smtpd postfix Debian-exim smmta smmsp fetchmail postdrop; do
		sed -i "/^$user:/d" etc/passwd etc/group
		echo "$user:x:$n:$n::/:/usr/sbin/nologin" >>etc/passwd
		echo "$user:x:$n:" >>etc/group
		n=$((n + 1))
	done
	chmod 755 etc
	mount --bind etc /etc
	for n in /run /var/spool /var/lib /var/log /var/mail /usr/local/sbin; do
		mount -t tmpfs -o mode=755 tmpfs $n
	done
	mkdir /var/mail/smtpd
	mount --bind mail /var/mail/smtpd
	chown -R smtpd:smtpd /var/mail/smtpd
	cp "$SMTPD" /usr/local/sbin/smtpd
	start socat -u UNIX-RECV:/dev/log,mode=666 OPEN:syslog,creat,append
	eventually test -S /dev/log
}

# on_socket PATH OPTION...: smtpd with them, there, as a socket unit starts it
on_socket() {
	local path=$1
	shift
	start systemd-socket-activate --accept --inetd -l "$path" \
	    setpriv --reuid smtpd --regid smtpd --clear-groups \
	    /usr/local/sbin/smtpd "$@" 2>activate.err
	eventually test -S "$path"
}

# lettered: the file letter, which begins with a header, and is hard on clients
lettered() {
	{
		printf '%s\n' 'From: a@c.example' 'To: alice@example.org' \
		    'Date: Thu, 01 Jan 2026 00:00:00 +0000' \
		    'Message-ID: <1@c.example>' 'Subject: a letter' '' \
		    . .. .dot '' ' . ' QUIT 'From here' '   '
		printf '%0900d\n' 0
		printf '%s\n' '' . '' ..
	} >letter
}

# has_letter USER [HOPS]: that mailbox has the letter once, whole, beneath trace
# fields; one Return-Path, and this many Received lines
has_letter() {
	local msg n
	msg=$(only_message "mail/$1") || { echo "$1: not one message"; return 1; }
	n=$(($(wc -c <"$msg") - $(wc -c <letter)))
	tail -c +$((n + 1)) "$msg" | cmp - letter || return 1
	head -c $n "$msg" >trace
	cat trace
	[ "$(grep -c ^Return-Path: trace)" = 1 ] || return 1
	[ "$(grep -c ^Received: trace)" = "${2:-2}" ]
}
