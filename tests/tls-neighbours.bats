# tls-neighbours.bats - programs that do the TLS, with contrib's files
# stunnel(8), tlswrapper(1), tlswrapper-smtp(1), s6-ucspitlsd, sslserver(1)
#
# The files are run as they stand: each test has /usr/local/sbin, /var/mail,
# /etc/ssl/private, the users and the ports to itself.

# shellcheck disable=SC2030,SC2031,SC2034 # what is set is for net.bash
load net

teardown() {
	stop
}

# with_world FUNCTION ARG...: call it where contrib's paths and users are there,
# the certificate is for mx.example, and 192.0.2.7 and 2001:db8::7 are clients
with_world() {
	need_root
	need openssl curl tcpserver
	mkdir -p sbin private mail/smtpd/postmaster/{new,cur,tmp}
	cp "$SMTPD" sbin/smtpd
	chmod 755 sbin sbin/smtpd mail mail/smtpd
	chown -R 8110:8110 mail/smtpd
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
	    -nodes -days 2 -subj /CN=mx.example \
	    -addext subjectAltName=DNS:mx.example \
	    -keyout private/smtpd.key -out private/smtpd.crt 2>/dev/null
	cat private/smtpd.{key,crt} >private/smtpd.pem
	chmod 600 private/*
	cp private/smtpd.crt ca
	{
		printf 'From: a@c.example\nSubject: a letter\n\n.\n..\n.QUIT\n\n'
		head -c 100000 /dev/urandom | base64 | sed 's/^[a-f]/.&/'
	} >letter
	{ cat /etc/passwd; echo smtpd:x:8110:8110::/:/usr/sbin/nologin; } >passwd
	{ cat /etc/group; echo smtpd:x:8110:; } >group
	chmod 644 passwd group
	export BATS_TEST_DIRNAME
	alone 192.0.2.7 2001:db8::7 -- world "$@"
}

world() {
	mount --bind sbin /usr/local/sbin
	mount --bind private /etc/ssl/private
	mount --bind mail /var/mail
	mount --bind passwd /etc/passwd
	mount --bind group /etc/group
	PATH=$PWD/bin:$PATH
	"$@"
}

# is_listening PORT: someone does, here
is_listening() {
	grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf '%04X' "$1") [0-9A-F:]* 0A " \
	    /proc/net/tcp /proc/net/tcp6
}

# mails URL SOURCE [CURL-OPTION...]: the letter, from there, by curl, which
# trusts this certificate only
mails() {
	local host=127.0.0.1 at=${1##*:}
	[[ $2 != *:* ]] || host='[::1]'
	rm -f mail/smtpd/postmaster/new/*
	curl -sS -m 20 --cacert ca --ssl-reqd --crlf --interface "$2" \
	    --resolve "mx.example:$at:$host" --url "$1/c.example" \
	    --mail-from a@c.example --mail-rcpt postmaster \
	    --upload-file letter "${@:3}"
}

# arrived LITERAL [GLOB]: the letter did, whole, from there, with that protocol
# shellcheck disable=SC2053,SC2027 # what is wanted is a glob
arrived() {
	local got protocol=${2:-ESMTPS}
	stored_is letter mail/smtpd/postmaster
	got=$(header Received "$(only_message mail/smtpd/postmaster)")
	echo "$got"
	[[ $got = "from c.example ([$1]) by "*" with "$protocol" id "* ]]
}

# by_starttls SOURCE WITH: run-tls's answer, from there
by_starttls() {
	mails smtp://mx.example:25 "$1"
	arrived "$1" 'ESMTPS (using TLSv1.3 with cipher TLS_*)'
}

# ---- stunnel ----

stunnel_runs() {
	# in the foreground, so that it ends with the test
	{ echo 'foreground = yes'; cat "$ROOT/contrib/stunnel.conf"; } >conf
	start stunnel4 "$PWD/conf" >stunnel.log 2>&1
	eventually is_listening 587
	eventually is_listening 465
	mails smtps://mx.example:465 192.0.2.7
	arrived 192.0.2.7
	mails smtps://mx.example:465 2001:db8::7
	arrived IPv6:2001:db8::7
	mails smtp://mx.example:587 192.0.2.7
	arrived 192.0.2.7
	mails smtp://mx.example:587 2001:db8::7
	arrived IPv6:2001:db8::7
}

@test "stunnel: contrib's file delivers on 465 and, by STARTTLS, on 587, and tells the client's address" {
	need stunnel4
	with_world stunnel_runs
}

stunnel_in_clear() {
	{ echo 'foreground = yes'; cat "$ROOT/contrib/stunnel.conf"; } >conf
	start stunnel4 "$PWD/conf" >stunnel.log 2>&1
	eventually is_listening 587
	port=587
	from 127.0.0.1 'EHLO c.example' 'MAIL FROM:<a@c.example>' QUIT
	[ "$(codes)" = '220 250' ]
	from 127.0.0.1 'HELO c.example' 'MAIL FROM:<a@c.example>' QUIT
	[ "$(codes)" = 220 ]
	# injected behind STARTTLS
	from 127.0.0.1 'EHLO c.example' \
	    $'STARTTLS\r\nRSET\r\nMAIL FROM:<a@c.example>' QUIT
	[ "$(codes)" = '220 250 220' ]
}

@test "stunnel: contrib's file takes no command in clear but EHLO and STARTTLS" {
	need stunnel4
	with_world stunnel_in_clear
	[ "$(count mail)" = 0 ]
}

# ---- tlswrapper ----

# it limits the memory of what it starts: no room for a sanitizer's
unsanitized() {
	[ ! -x "$ROOT/smtpd" ] || SMTPD=$ROOT/smtpd
}

tlswrapper_runs() {
	start "$ROOT/contrib/tlswrapper" >log
	eventually is_listening 465
	mails smtps://mx.example:465 192.0.2.7
	arrived 192.0.2.7
	eventually grep -q ' session .*192\.0\.2\.7.* end=quit' log
}

@test "tlswrapper: contrib's script delivers on 465, tells the client's address, and logs" {
	need tlswrapper
	unsanitized
	with_world tlswrapper_runs
}

tlswrapper_smtp_runs() {
	OPTS=(-n mx.example -m "/var/mail/smtpd/{user}")
	chmod 755 sbin
	SMTPD=/usr/local/sbin/smtpd serve 127.0.0.1 25 -- tlswrapper -n \
	    -f /etc/ssl/private/smtpd.pem tlswrapper-smtp -u smtpd
	mails smtp://mx.example:25 192.0.2.7
	arrived 192.0.2.7 ESMTP
	rm mail/smtpd/postmaster/new/*
	# with smtpd alone, LF "." CRLF ends nothing
	from 127.0.0.1 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<postmaster>' DATA $'Subject: half\r\n\r\nof it\n.' QUIT
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	only_message mail/smtpd/postmaster
}

# which is why contrib does without it; if this fails, it has been mended
@test "tlswrapper-smtp: it does STARTTLS for smtpd, but ends a message at a bare LF and a dot" {
	need tlswrapper tlswrapper-smtp
	unsanitized
	with_world tlswrapper_smtp_runs
}

# ---- UCSPI-TLS ----

# stands_in NAME <SCRIPT: for a program that Debian has not got
stands_in() {
	mkdir -p bin
	{
		printf '#!/bin/sh\nset -e\n'
		printf 'tls="/usr/bin/env python3 %s/ucspitls.py"\n' \
		    "$BATS_TEST_DIRNAME"
		cat
	} >"bin/$1"
	chmod 755 bin "bin/$1"
}

run_tls_runs() {
	start "$ROOT/contrib/run-tls" >log
	eventually is_listening 25
	by_starttls 192.0.2.7
	# and in clear
	port=25
	rm mail/smtpd/postmaster/new/*
	from 192.0.2.7 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<postmaster>' DATA $'Subject: x\r\n\r\n.' QUIT
	[ "$(codes)" = "$DELIVERED" ]
	[[ $(header Received "$(only_message mail/smtpd/postmaster)") = \
	    *'[192.0.2.7]'*' with ESMTP id '* ]]
	[ "$(stat -c %u mail/smtpd/postmaster/new/*)" = 8110 ]
	eventually grep -q ' session .*192\.0\.2\.7.* end=quit' log
}

@test "run-tls: contrib's script starts smtpd as s6-ucspitlsd wants it" {
	need s6-setuidgid
	stands_in s6-ucspitlsd <<-'S'
		[ "$TLS_UID:$TLS_GID" = "$(id -u nobody):$(id -g nobody)" ]
		while getopts SsYyZzv:K:k: o; do :; done
		shift $((OPTIND - 1))
		# it lives as long as it is needed: in this directory
		cat "$KEYFILE" "$CERTFILE" >"pem.$$"
		unset KEYFILE CERTFILE TLS_UID TLS_GID
		exec $tls "pem.$$" "$@"
	S
	with_world run_tls_runs
}

@test "run-tls: contrib's script starts smtpd as sslserver wants it" {
	# what is not s6-ucspitlsd runs as -u and -g; TLS as $SSL_UID
	stands_in sslserver <<-'S'
		[ "$SSL_UID:$SSL_GID" = "$(id -u nobody):$(id -g nobody)" ]
		while getopts 13UXpPhHrRoOdDqQvVIeEsSnNmzZc:y:x:B:g:u:b:l:t:T:w: o
		do
			case $o in
			n)	wait=yes ;;
			e)	env=yes ;;
			u)	uid=$OPTARG ;;
			g)	gid=$OPTARG ;;
			l)	name=$OPTARG ;;
			esac
		done
		shift $((OPTIND - 1))
		[ "$wait$env" = yesyes ]
		cat "$KEYFILE" "$CERTFILE" >pem
		chmod 644 pem
		host=$1 port=$2
		shift 2
		exec tcpserver -vHR -l "$name" "$host" "$port" $tls \
		    --like sslserver pem setpriv --reuid "$uid" --regid "$gid" \
		    --clear-groups "$@"
	S
	hide_s6
	with_world run_tls_runs
}

# hide_s6: s6-ucspitlsd is not to be found, even where it is installed
hide_s6() {
	! command -v s6-ucspitlsd >/dev/null ||
	    skip 's6-ucspitlsd is installed, and goes first'
}
