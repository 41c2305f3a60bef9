# mtas.bats - real mail systems as clients, with the extensions that they use
# RFC 3030 (Exim); RFC 6531 (Postfix, curl, Python); RFC 3461; RFC 1428
#
# Each runs in a mount, network and process namespace of its own: /etc and the
# queue are the test's, there is no network but loopback, and nothing outlives
# the test.  smtpd is behind tcpserver there, on a port that the kernel gives.

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

: "${CLIENTS_DIR:=/opt/smtpd-clients}"
POSTFIX=$CLIENTS_DIR/postfix/usr
EXIM=$CLIENTS_DIR/exim4-daemon-light/usr/sbin/exim4

# alone FUNCTION ARG...: call it in those namespaces; there /mnt is the test's
# directory mta, smtpd is served at $port, and the dialogue is in the file log
alone() {
	need_root
	need tcpserver unshare ip
	mkdir -p mta etc
	cp /etc/{passwd,group,nsswitch.conf,ld.so.cache} etc
	printf '127.0.0.1 localhost\n' >etc/hosts
	printf '%s:x:%s:%s::/:/usr/sbin/nologin\n' postfix 8101 8101 \
	    Debian-exim 8102 8102 >>etc/passwd
	printf '%s:x:%s:\n' postfix 8101 Debian-exim 8102 postdrop 8103 \
	    >>etc/group
	chmod 755 mta etc
	chmod 644 etc/*
	{
		declare -p SMTPD OPTS POSTFIX EXIM ROOT
		declare -f eventually begin arrived serve postfix exim by_sendmail \
		    exim_sends curl_sends "$1"
		echo 'begin "$@"'
	} >alone.sh
	timeout 60 unshare --mount --net --pid --fork --kill-child --mount-proc \
	    --propagation private bash alone.sh "$@" >said 2>&1 </dev/null 3>&- ||
	    { echo "status $?"; cat said log mta/log*; return 1; }
}

begin() {
	set -e
	umask 022
	mount --bind etc /etc
	mount --bind mta /mnt
	[ ! -e /dev/log ] || mount --bind /dev/null /dev/log
	ip link set lo up
	serve
	"$@"
}

serve() {
	tcpserver -1 -HR -l mx.example 127.0.0.1 0 "$SMTPD" "${OPTS[@]}" -v \
	    >port 2>log &
	eventually test -s port
	port=$(<port)
}

# arrived N: so many messages are there, in all
arrived() {
	# shellcheck disable=SC2317
	are_there() { [ "$(find box/new -type f | wc -l)" -ge "$1" ]; }
	eventually are_there "$1"
}

# letter NAME [FIELD...]: a file of that name that is hard on clients
letter() {
	{
		printf '%s\n' 'From: a@c.example' 'To: u@example.org' \
		    'Date: Thu, 01 Jan 2026 00:00:00 +0000' \
		    'Message-ID: <1@c.example>' "Subject: $1" "${@:2}" '' \
		    . .. ... .dot ..dots '' ' . ' '' .QUIT QUIT 'BDAT 3' \
		    'From here' '>From there' 'blanks behind   ' $'a tab\t' '   '
		printf '%0990d\n.%0989d\n' 0 0
		printf '%s\n' '' . '' ..
	} >"$1"
}
MIME=('MIME-Version: 1.0' 'Content-Type: text/plain; charset=utf-8'
    'Content-Transfer-Encoding: 8bit')

# big NAME: the letter, and behind it half a megabyte of lines
big() {
	letter "$1"
	head -c 400000 /dev/urandom | base64 | sed 's/^[a-f]/.&/' >>"$1"
}

# is_stored LETTER FILE: FILE is the letter beneath trace header fields
is_stored() {
	local n
	n=$(($(wc -c <"$2") - $(wc -c <"$1")))
	tail -c +$((n + 1)) "$2" | cmp - "$1" || return 1
	head -c $n "$2" >trace
	run ! grep -aEv '^(Return-Path|Delivered-To|Received):( |$)|^[ 	]+[^ 	]' \
	    trace
	# smtpd's, and the client's
	[ "$(grep -c ^Received: trace)" = "${HOPS:-2}" ]
}

# from SENDER: the message of that envelope
from() {
	awk -v "want=Return-Path: <$1>" 'FNR == 1 && $0 == want { print FILENAME }' \
	    box/new/*
}

# heard PATTERN: so often smtpd heard a line like that, without case
heard() {
	grep -ciE "dialogue .*heard=\"$1" log || :
}

# ---- Postfix ----

# postfix SETTING...: running, with these, and smtpd as where all goes
postfix() {
	export LD_LIBRARY_PATH=$POSTFIX/lib/postfix MAIL_CONFIG=/mnt/conf
	mkdir -p /mnt/conf /mnt/data /mnt/q/{active,bounce,corrupt,defer} \
	    /mnt/q/{deferred,flush,hold,incoming,private,saved,trace} \
	    /mnt/q/{maildrop,pid,public}
	chown postfix /mnt/data /mnt/q/[!p]* /mnt/q/{private,public}
	chmod 700 /mnt/q/[!p]* /mnt/q/private
	chgrp postdrop /mnt/q/{maildrop,public}
	chmod 1730 /mnt/q/maildrop
	chmod 710 /mnt/q/public
	printf '%s\n' 'compatibility_level = 3.6' 'queue_directory = /mnt/q' \
	    'data_directory = /mnt/data' 'meta_directory = /mnt/conf' \
	    "daemon_directory = $POSTFIX/lib/postfix/sbin" \
	    "command_directory = $POSTFIX/sbin" \
	    "shlib_directory = $POSTFIX/lib/postfix" \
	    {im,ex}'port_environment = LD_LIBRARY_PATH MAIL_CONFIG' \
	    'in_flow_delay = 0' \
	    'maillog_file = /mnt/log' 'maillog_file_prefixes = /mnt' \
	    'inet_interfaces = loopback-only' 'inet_protocols = ipv4' \
	    'myhostname = c.example' 'mydestination =' 'alias_maps =' \
	    'local_recipient_maps =' 'disable_dns_lookups = yes' \
	    "relayhost = [127.0.0.1]:$port" "$@" >/mnt/conf/main.cf
	{
		printf '%s unix n - n - 1 %s\n' pickup pickup qmgr qmgr
		printf '%s unix - - n - 0 bounce\n' bounce defer trace
		printf '%s unix - - n - - %s\n' rewrite trivial-rewrite \
		    proxymap proxymap error error retry error smtp smtp \
		    lmtp lmtp
		printf '%s\n' 'cleanup unix n - n - 0 cleanup' \
		    'postlog unix-dgram n - n - 1 postlogd' \
		    'tlsmgr unix - - n - 1 tlsmgr' 'flush unix n - n - 0 flush' \
		    "${SERVICE:-}"
	} >/mnt/conf/master.cf
	"$POSTFIX/lib/postfix/sbin/master" -c /mnt/conf &
	eventually test -S /mnt/q/public/pickup -o -p /mnt/q/public/pickup
	eventually test -S /mnt/q/public/qmgr -o -p /mnt/q/public/qmgr
}

# by_sendmail LETTER ARG...: hand it to Postfix
by_sendmail() {
	"$POSTFIX/sbin/sendmail" -i "${@:2}" <"$1"
}

need_postfix() {
	need "$POSTFIX/lib/postfix/sbin/master"
}

postfix_mails() {
	postfix
	by_sendmail ascii -f a@c.example u@example.org
	arrived 1
	by_sendmail mime -f a@c.example u@example.org v@example.org
	arrived 2
	by_sendmail big -f '<>' u@example.org
	arrived 3
}

postfix_is_onward() {
	export PATH=$ROOT/contrib:$PATH
	SERVICE=$'127.0.0.1:2526 inet n - n - - smtpd\nrelay unix - - n - - smtp' \
	    postfix \
	    'smtpd_relay_restrictions = reject_unauth_destination' \
	    'relay_domains = example.org' 'message_size_limit = 60000' \
	    'relay_recipient_maps = inline:{ { u@example.org = OK } }'
	onward() {
		"$SMTPD" -n mx.example -d example.org --log stderr mail-onward \
		    --host=127.0.0.1 --port=2526 -- '{recipients}' 2>>onward.log |
		    tr -d '\r' | grep -E '^(4|5|250 2\.0)' | sed 's/ Delivered.*//'
	}
	for who in u nosuch; do
		for what in ascii big; do
			{
				printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
				printf 'RCPT TO:<%s@example.org>\r\nDATA\r\n' $who
				sed 's/^\./../; s/$/\r/' $what
				printf '.\r\nQUIT\r\n'
			} | onward
		done
	done >replies
	arrived 1
}

@test "mtas: mail-onward hands mail to Postfix, and its replies are ours" {
	need_postfix
	need msmtp
	letter ascii
	big big
	alone postfix_is_onward
	cat replies onward.log
	[ "$(count box)" = 1 ]
	HOPS=3 is_stored ascii "$(from a@c.example)"
	[[ $(<replies) = '250 2.0.0'$'\n''554 5.3.4 '*$'\n''550 5.1.1 <nosuch@example.org>: '*$'\n''550 5.1.1 '* ]]
}

# 3.7's smtp(8) sends no BDAT, be CHUNKING offered or not: what it does with
# smtpd's offer is to leave it alone
@test "mtas: Postfix's mail arrives byte for byte, by DATA though CHUNKING is offered" {
	local msg name
	need_postfix
	letter ascii
	letter mime "${MIME[@]}"
	echo 'Grüße, 日本語' >>mime
	big big
	alone postfix_mails
	[ "$(count box/new)" = 3 ]
	for name in ascii mime big; do
		msg=$(grep -l "^Subject: $name$" box/new/*)
		is_stored $name "$msg"
		header Received "$msg" | head -n 1 | grep -q ' with ESMTP id '
	done
	[ "$(heard BDAT)" = 0 ]
	[ "$(heard 'DATA"')" = 3 ]
	[ "$(heard 'MAIL FROM:<> SIZE=[0-9]+')" = 1 ]
	[ "$(heard 'MAIL FROM:<a@c.example> SIZE=[0-9]+ BODY=8BITMIME"')" -ge 1 ]
	[ "$(heard 'RCPT TO:<[uv]@example.org> ORCPT')" = 0 ]
}

postfix_mails_without_chunking() {
	postfix 'smtp_discard_ehlo_keywords = chunking, pipelining, silent-discard'
	by_sendmail big -f a@c.example u@example.org
	arrived 1
}

@test "mtas: Postfix's mail arrives byte for byte without PIPELINING and CHUNKING" {
	need_postfix
	big big
	alone postfix_mails_without_chunking
	is_stored big "$(only_message)"
}

postfix_mails_eight_bits() {
	postfix
	by_sendmail utf8 -f a@c.example u@example.org
	by_sendmail latin1 -f a@c.example u@example.org
	arrived 2
}

@test "mtas: what Postfix sends unlabelled is labelled, above Postfix's Received" {
	local name msg
	need_postfix
	printf 'Message-ID: <1@c.example>\nFrom: a@c.example\nTo: u@example.org\n' >fields
	printf 'Date: Thu, 01 Jan 2026 00:00:00 +0000\nSubject: ' >>fields
	{ cat fields; printf 'utf8\n\ncaf\xc3\xa9\n'; } >utf8
	{ cat fields; printf 'latin1\n\ncaf\xe9\n'; } >latin1
	alone postfix_mails_eight_bits
	for name in utf8:utf-8 latin1:unknown-8bit; do
		msg=$(grep -la "^Subject: ${name%:*}$" box/new/*)
		tail -c "$(wc -c <"${name%:*}")" "$msg" | cmp - "${name%:*}"
		sed '/^Message-ID/,$d; /^[ 	]/d' "$msg" | cut -d: -f1 |
		    paste -sd ' ' >got
		echo 'Return-Path Delivered-To Received MIME-Version Content-Type Content-Transfer-Encoding Received' >want
		cmp got want
		[ "$(header Content-Type "$msg")" = "text/plain; charset=${name#*:}" ]
	done
}

postfix_mails_utf8() {
	postfix
	by_sendmail mime -f 'dörte@müller.example' 'jürgen@example.org' \
	    'u@bücher.example'
	arrived 1
	by_sendmail ascii -f a@c.example u@example.org
	arrived 2
}

@test "mtas: Postfix's SMTPUTF8 message arrives byte for byte, and the next is plain" {
	local msg
	need_postfix
	OPTS+=(-d 'bücher.example')
	letter mime 'X-From: Dörte' "${MIME[@]}"
	letter ascii
	alone postfix_mails_utf8
	msg=$(grep -l '^Subject: mime$' box/new/*)
	is_stored mime "$msg"
	[ "$(header Return-Path "$msg")" = '<dörte@müller.example>' ]
	[ "$(header Delivered-To "$msg" | sort | paste -sd ' ')" = \
	    'jürgen@example.org u@bücher.example' ]
	header Received "$msg" | head -n 1 | grep -q ' with UTF8SMTP id '
	[ "$(heard 'MAIL FROM:<d.*> .*SMTPUTF8')" = 1 ]
	msg=$(grep -l '^Subject: ascii$' box/new/*)
	is_stored ascii "$msg"
	header Received "$msg" | head -n 1 | grep -q ' with ESMTP id '
	[ "$(heard 'MAIL FROM:<a@c.example>.*SMTPUTF8')" = 0 ]
}

postfix_mails_with_notify() {
	postfix
	by_sendmail ascii -f a@example.org -N success,failure,delay -R hdrs \
	    -V QQ314159 u@example.org
	arrived 2
}

# Where DSN is not offered, smtp(8) sends none of its parameters; it tells the
# sender itself that the message was relayed
@test "mtas: Postfix, asked for a report of success, makes it when smtpd says 250" {
	local msg
	need_postfix
	letter ascii
	alone postfix_mails_with_notify
	[ "$(count box/new)" = 2 ]
	msg=$(from a@example.org)
	is_stored ascii "$msg"
	msg=$(from '')
	[ "$(header Delivered-To "$msg")" = a@example.org ]
	grep -q '^Action: relayed' "$msg"
	grep -q '^Original-Envelope-Id: QQ314159' "$msg"
	[ "$(heard '(MAIL|RCPT) .*(NOTIFY|RET|ENVID|ORCPT)=')" = 0 ]
}

postfix_is_refused() {
	postfix
	by_sendmail ascii -f a@example.org u@example.org v@no.example
	arrived 2
}

@test "mtas: Postfix returns what smtpd refuses, and mails the others" {
	local msg
	need_postfix
	letter ascii
	alone postfix_is_refused
	[ "$(count box/new)" = 2 ]
	is_stored ascii "$(from a@example.org)"
	msg=$(from '')
	[ "$(header Delivered-To "$msg")" = a@example.org ]
	grep -q '^Status: 5\.7\.1' "$msg"
	grep -q '^Final-Recipient: rfc822; v@no.example' "$msg"
}

# ---- Postfix by LMTP ----

postfix_mails_by_lmtp() {
	postfix "default_transport = lmtp:inet:127.0.0.1:$port" 'relayhost ='
	by_sendmail ascii -f a@c.example alice@example.org bob@example.org \
	    carol@example.org
	eventually grep -q 'to=<bob@example.org>.*status=' /mnt/log
	eventually grep -q 'to=<carol@example.org>.*status=' /mnt/log
	eventually grep -q 'to=<alice@example.org>.*status=' /mnt/log
}

# told WHO STATUS: what Postfix made of the reply for a recipient
told() {
	grep -q "to=<$1@example.org>.*dsn=$2" mta/log
}

@test "mtas: Postfix, by LMTP, mails one mailbox, keeps one's mail and returns another's" {
	local user
	need_postfix
	letter ascii
	for user in postmaster alice bob; do
		mkdir -p home/$user/tmp home/$user/new home/$user/cur
	done
	rmdir home/bob/tmp
	OPTS=(-n mx.example -d example.org -l -m "$PWD/home/{user}")
	alone postfix_mails_by_lmtp
	is_stored ascii "$(only_message home/alice)"
	[[ $(header Received "$(only_message home/alice)") = *' with LMTP id '* ]]
	told alice '2\.0\.0, status=sent'
	told bob '4\.3\.0, status=deferred'
	told carol '5\.1\.1, status=bounced'
}

@test "mtas: Postfix, by LMTP, has the program's word on each recipient" {
	need_postfix
	letter ascii
	cat >mda <<-'P'
		#!/bin/sh
		case $LOCAL in
		bob)	echo '4.2.2 over quota'; exit 75 ;;
		carol)	echo '5.2.1 gone away'; exit 100 ;;
		esac
		exec cat >"$0.$LOCAL"
	P
	chmod 755 mda
	OPTS=(-n mx.example -d example.org -l "$PWD/mda")
	alone postfix_mails_by_lmtp
	is_stored ascii mda.alice
	told alice '2\.0\.0, status=sent'
	told bob '4\.2\.2, status=deferred .*over quota'
	told carol '5\.2\.1, status=bounced .*gone away'
}

# ---- Exim ----

# exim TRANSPORT-OPTION...: configured, to send everything to smtpd
exim() {
	mkdir -p /etc/exim4 /mnt/exim
	chown Debian-exim /mnt/exim
	printf '%s\n' 'primary_hostname = c.example' "exim_path = $EXIM" \
	    'spool_directory = /mnt/exim' 'log_file_path = /mnt/log.%s' \
	    'disable_ipv6' 'keep_environment =' 'never_users =' \
	    'begin routers' 'all:' 'driver = manualroute' 'self = send' \
	    'host_find_failed = defer' 'transport = out' \
	    'route_list = * 127.0.0.1 byname' \
	    'begin transports' 'out:' 'driver = smtp' "port = $port" \
	    'hosts_avoid_tls = *' "hosts_try_prdr = ${prdr:-:}" "$@" \
	    'begin retry' '* * F,1h,15m' >/etc/exim4/exim4.conf
	: >/mnt/log
	touch /mnt/log.{main,reject,panic}
	chown Debian-exim /mnt/log.*
}

# exim_sends LETTER ARG...: at once, in the foreground
exim_sends() {
	"$EXIM" -odf -oi "${@:2}" <"$1"
	cat /mnt/log.* >/mnt/log
}

exim_mails() {
	exim "hosts_try_chunking = $1"
	exim_sends ascii -f a@c.example u@example.org
	exim_sends mime -f a@c.example u@example.org v@example.org
	exim_sends big -f '<>' u@example.org
	arrived 3
}

# exim_letters: and what is stored of them
exim_letters() {
	need "$EXIM"
	letter ascii
	letter mime "${MIME[@]}"
	echo 'Grüße, 日本語' >>mime
	big big
}

exim_letters_are_stored() {
	local msg name
	[ "$(count box/new)" = 3 ]
	for name in ascii mime big; do
		msg=$(grep -l "^Subject: $name$" box/new/*)
		is_stored $name "$msg" || return 1
		header Received "$msg" | head -n 1 | grep -q ' with ESMTP id '
	done
	[ "$(header Return-Path "$msg")" = '<>' ]
}

@test "mtas: Exim's mail arrives byte for byte, by BDAT" {
	exim_letters
	alone exim_mails '*'
	exim_letters_are_stored
	[ "$(heard 'DATA"')" = 0 ]
	[ "$(heard 'BDAT [0-9]+ LAST"')" = 3 ]
	# the big one is sent in more than one chunk
	[ "$(heard 'BDAT [0-9]+"')" -ge 1 ]
}

@test "mtas: Exim's mail arrives byte for byte, by DATA" {
	exim_letters
	alone exim_mails :
	exim_letters_are_stored
	[ "$(heard 'BDAT')" = 0 ]
	[ "$(heard 'DATA"')" = 3 ]
}

exim_is_refused() {
	exim 'hosts_try_chunking = *'
	exim_sends big -f a@c.example u@no.example || :
	exim_sends big -f a@c.example u@example.org v@no.example || :
	exim_sends bare -f a@c.example u@example.org
	cat /mnt/log.* >/mnt/log
	arrived 2
}

# Exim sends RCPT and the first BDAT in one go: with the only recipient refused
# that chunk has to be read
@test "mtas: Exim, by BDAT, mails the others when one is refused, and no one when all are" {
	exim_letters
	sed 's/^Subject: .*/Subject: bare/' ascii >bare
	alone exim_is_refused
	[ "$(count box/new)" = 2 ]
	is_stored big "$(grep -l '^Subject: big$' box/new/*)"
	is_stored bare "$(grep -l '^Subject: bare$' box/new/*)"
	[ "$(grep -c 'end=quit' log)" -ge 3 ]
	run ! grep -q 'end=bad-chunk' log
}

exim_is_too_big() {
	exim 'hosts_try_chunking = *'
	exim_sends big -f '<>' u@example.org || :
	exim_sends ascii -f '<>' u@example.org
	arrived 1
}

# it sends MAIL with SIZE, RCPT and the first chunk in one go
@test "mtas: Exim's chunk behind a MAIL that is refused for its SIZE is read" {
	exim_letters
	OPTS+=(-s 100000)
	alone exim_is_too_big
	is_stored ascii "$(only_message)"
	grep -o 'said="[2-5][0-9][0-9] .*' log | sed 's/said="//' >replies
	[[ $(full_codes replies) = '220 250 552/5.3.4 503/5.5.1 503/5.5.1 '* ]]
	run ! grep -q 'end=bad-chunk' log
}

exim_prdr() {
	local prdr='*'
	exim 'hosts_try_chunking = :'
	exim_sends ascii -f a@c.example alice@example.org bob@example.org || :
	eventually test -s /mnt/log
}

@test "mtas: Exim, by PRDR, has one recipient's mail delivered and keeps the other's" {
	local user
	exim_letters
	for user in postmaster alice bob; do
		mkdir -p home/$user/tmp home/$user/new home/$user/cur
	done
	rmdir home/bob/tmp
	OPTS=(-n mx.example -d example.org -m "$PWD/home/{user}")
	alone exim_prdr
	is_stored ascii "$(only_message home/alice)"
	[ "$(count home/bob)" = 0 ]
	[ "$(heard 'MAIL FROM:<a@c.example> .*PRDR')" = 1 ]
	grep -o 'said="[2-5][0-9][0-9] .*' log | sed 's/said="//' >replies
	[[ $(codes replies) = *' 354 353 250 451 250 221' ]]
	# Exim has the other one for another try
	grep -q '=> alice@example.org' mta/log.main
	grep -q '== bob@example.org' mta/log.main
}

@test "mtas: Exim, by PRDR, has the program's word on each recipient" {
	exim_letters
	cat >mda <<-'P'
		#!/bin/sh
		[ "$LOCAL" = bob ] && { echo '4.2.2 over quota'; exit 75; }
		exec cat >"$0.$LOCAL"
	P
	chmod 755 mda
	OPTS=(-n mx.example -d example.org "$PWD/mda")
	alone exim_prdr
	is_stored ascii mda.alice
	[ ! -e mda.bob ]
	grep -q '=> alice@example.org' mta/log.main
	grep -q '== bob@example.org.*over quota' mta/log.main
}

# ---- curl and Python ----

# curl_sends LETTER FROM TO
curl_sends() {
	curl -sS --url "smtp://127.0.0.1:$port/c.example" --mail-from "$2" \
	    --mail-rcpt "$3" --upload-file "$1"
}

curl_mails_utf8() {
	curl_sends crlf 'dörte@c.example' 'jürgen@example.org'
	curl_sends ascii a@c.example u@example.org
}

@test "mtas: curl's SMTPUTF8 message arrives byte for byte, and the next is plain" {
	local msg
	need curl
	letter mime 'X-From: Dörte' "${MIME[@]}"
	letter ascii
	sed 's/$/\r/' mime >crlf
	sed -i 's/$/\r/' ascii
	LC_ALL=C.UTF-8 alone curl_mails_utf8
	[ "$(count box/new)" = 2 ]
	msg=$(grep -l '^Subject: mime$' box/new/*)
	HOPS=1 is_stored mime "$msg"
	[ "$(header Return-Path "$msg")" = '<dörte@c.example>' ]
	[ "$(header Delivered-To "$msg")" = 'jürgen@example.org' ]
	[[ $(header Received "$msg") = *' with UTF8SMTP id '* ]]
	[ "$(heard 'MAIL FROM:.*SMTPUTF8')" = 1 ]
	msg=$(grep -l '^Subject: ascii$' box/new/*)
	[[ $(header Received "$msg") = *' with ESMTP id '* ]]
}

smtplib_mails_utf8() {
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 - "$port" <<-'P'
		import email.message
		import email.policy
		import smtplib
		import sys

		s = smtplib.SMTP('127.0.0.1', int(sys.argv[1]), 'c.example')
		mime = open('mime', 'rb').read().replace(b'\n', b'\r\n')
		s.ehlo()
		assert s.has_extn('smtputf8') and s.has_extn('chunking')
		# as it is, with DSN's parameters unasked
		s.sendmail('dörte@c.example', ['jürgen@example.org'], mime,
		    ['SMTPUTF8', 'BODY=8BITMIME', 'RET=HDRS', 'ENVID=x+2By'],
		    ['NOTIFY=SUCCESS,FAILURE', 'ORCPT=utf-8;j\\x{FC}rgen@example.org'])
		# one that says by itself that it needs it
		m = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
		m['From'] = 'Dörte <dörte@c.example>'
		m['To'] = 'jürgen@example.org'
		m['Subject'] = 'Grüße'
		m.set_content('Zürich, 日本語\n', cte='8bit')
		open('object', 'wb').write(bytes(m).replace(b'\r\n', b'\n'))
		s.send_message(m)
		# and in the same session one that does not
		s.sendmail('a@c.example', ['u@example.org'], open('ascii').read())
		s.quit()
	P
}

@test "mtas: smtplib's SMTPUTF8 messages arrive byte for byte, and the next is plain" {
	local msg
	letter mime 'X-From: Dörte' "${MIME[@]}"
	letter ascii
	alone smtplib_mails_utf8
	msg=$(grep -l '^Subject: mime$' box/new/*)
	HOPS=1 is_stored mime "$msg"
	[ "$(header Return-Path "$msg")" = '<dörte@c.example>' ]
	[ "$(header Delivered-To "$msg")" = 'jürgen@example.org' ]
	[[ $(header Received "$msg") = *' with UTF8SMTP id '* ]]
	msg=$(grep -l '^Subject: Grüße$' box/new/*)
	HOPS=1 is_stored object "$msg"
	[[ $(header Received "$msg") = *' with UTF8SMTP id '* ]]
	msg=$(grep -l '^Subject: ascii$' box/new/*)
	HOPS=1 is_stored ascii "$msg"
	[[ $(header Received "$msg") = *' with ESMTP id '* ]]
}

exim_keeps_its_queue() {
	exim
	sed -i '1i acl_smtp_rcpt = accept\nqueue_only' /etc/exim4/exim4.conf
	"$EXIM" -bs <session
	"$SMTPD" -bs -n c.example -d example.org "$EXIM" -i -f '{sender}' -- '{recipients}' <session
	"$EXIM" -bp >queue
	# the first line is the file's name
	sed -n 's/^.* \([^ ]*-[^ ]*-[^ ]*\) <.*/\1/p' queue | while read -r id; do
		"$EXIM" -Mvb "$id" </dev/null | sed 1d >"body.$id"
	done
}

@test "mtas: where exim -bs spoke, smtpd hands the mail to Exim's queue, and it is the same mail" {
	need "$EXIM"
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		printf 'RCPT TO:<%s>\r\n' u@example.org v@example.org
		printf 'DATA\r\nFrom: a@c.example\r\n\r\n..\r\nbye\r\n.\r\n'
		printf 'MAIL FROM:<>\r\nRCPT TO:<u@example.org>\r\n'
		printf 'DATA\r\nFrom: b@c.example\r\n\r\nbounce\r\n.\r\nQUIT\r\n'
	} >session
	alone exim_keeps_its_queue
	cat queue
	# sender and recipients, each twice
	[ "$(grep -c '<a@c.example>' queue)" = 2 ]
	[ "$(grep -c '<>' queue)" = 2 ]
	[ "$(grep -cx ' *u@example.org' queue)" = 4 ]
	[ "$(grep -cx ' *v@example.org' queue)" = 2 ]
	[ "$(sha256sum body.* | cut -c1-64 | sort | uniq -c | grep -c '^ *2 ')" = 2 ]
}
