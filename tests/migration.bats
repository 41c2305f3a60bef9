#!/usr/bin/env bats
# migration - from qmail-smtpd, mailfront, exim -bs, sendmail -bs, Mailpit: what
# contrib/migrating says, and what contrib/from-qmail and with-qmail-queue do
# qmail-smtpd(8), qmail-queue(8), tcprules(1), smtpfront(8); mtas.bats has Exim,
# launchers.bats has xinetd

# shellcheck disable=SC2016 # what stands in single quotes is for another shell
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them
load helper

: "${CLIENTS_DIR:=/opt/smtpd-clients}"
MAILFRONT=$CLIENTS_DIR/mailfront/usr/sbin/mailfront

teardown() {
	[ -z "${server:-}" ] || kill -9 -- "-$server" 2>/dev/null || :
}

# qmail: a home of qmail's, whose qmail-queue keeps what it gets, and ends with
# the status in the file code
qmail() {
	mkdir -p qmail/{control,users,bin}
	echo mx.example.org >qmail/control/me
	printf '%s\n' '# ours' example.org .example.org '' 'Example.NET  ' \
	    mx.example.org >qmail/control/rcpthosts
	cat >qmail/bin/qmail-queue <<-S
		#!/bin/sh
		cat >$PWD/body
		cat <&1 >$PWD/envelope
		exit "\$(cat $PWD/code)"
	S
	chmod 755 qmail/bin/qmail-queue
	echo 0 >code
	ln -s "$SMTPD" smtpd
	export QMAILQUEUE=$PWD/qmail/bin/qmail-queue PATH=$PWD:$PATH
}

# from_qmail: conf is what it prints
from_qmail() {
	sh "$ROOT/contrib/from-qmail" qmail/control "$@" >conf
	cat conf
}

# ours, mailfronts: a session with what comes, by the same control files
ours() {
	"$ROOT/contrib/with-qmail-queue" --config conf 2>log || :
}

mailfronts() {
	env QMAILHOME="$PWD/qmail" MODULE_PATH="$CLIENTS_DIR/mailfront/usr/lib/mailfront" \
	    TCPLOCALHOST=mx.example.org TCPLOCALIP=192.0.2.1 TCPREMOTEHOST=c.example \
	    "$MAILFRONT" smtp qmail check-fqdn counters relayclient qmail-validate \
	    add-received 2>/dev/null
}

# session RECIPIENT...: from SENDER, or a@c.example
session() {
	printf 'EHLO c.example\r\nMAIL FROM:<%s>\r\n' "${SENDER-a@c.example}"
	printf 'RCPT TO:<%s>\r\n' "$@"
	printf 'DATA\r\nSubject: a letter\r\n\r\n..\r\nbye\r\n.\r\nQUIT\r\n'
}

client() {
	export PROTO=TCP TCPREMOTEIP=192.0.2.7 TCPREMOTEPORT=4321
}

# accepted: the recipients' replies, their first digits
accepted() {
	tr -d '\r' <"$1" | grep -v '^250-' | sed -n '4,/^354\|^5.* 5.5.1/p' | cut -c1 |
	    paste -sd ''
}

@test "from-qmail: smtpd takes the recipients that mailfront takes by the same files" {
	local to
	need "$MAILFRONT"
	qmail
	client
	from_qmail
	for to in u@example.org u@EXAMPLE.ORG u@sub.example.org u@a.b.example.org \
	    u@badexample.org u@example.org.other u@example.net u@sub.example.net \
	    u@mx.example.org u@other.example u@org.example; do
		session "$to" postmaster@example.org | mailfronts >theirs
		session "$to" postmaster@example.org | ours >out
		[ "$(accepted out)" = "$(accepted theirs)" ] || { echo "$to"; cat out theirs; false; }
	done
	# by tcprules, in both
	session u@other.example | RELAYCLIENT='' mailfronts >theirs
	session u@other.example | RELAYCLIENT='' ours >out
	[ "$(accepted out)" = 23 ]
	[ "$(accepted theirs)" = 23 ]
	for size in 10 100000; do
		session u@example.org | DATABYTES=$size mailfronts >theirs
		session u@example.org | DATABYTES=$size ours >out
		[ "$(tail -n 2 out | cut -c1)" = "$(tail -n 2 theirs | cut -c1)" ]
	done
}

@test "with-qmail-queue: qmail-queue gets the envelope that mailfront gives it, and the mail" {
	need "$MAILFRONT"
	qmail
	client
	from_qmail
	for SENDER in a@c.example ''; do
		session u@example.org v+x@sub.example.org u@example.net | mailfronts >theirs
		mv envelope want
		session u@example.org v+x@sub.example.org u@example.net | ours >out
		cat -A envelope
		cmp envelope want
		grep '^250 2.0.0' out
		printf 'Subject: a letter\n\n.\nbye\n' >letter
		tail -c "$(wc -c <letter)" body | cmp - letter
		run ! grep -E '^(Return-Path|Delivered-To)' body
	done
}

@test "with-qmail-queue: what qmail-queue ends with is the reply" {
	local row
	qmail
	client
	from_qmail
	for row in 0:250 11:554 31:554 40:554 41:451 51:451 53:451 81:451 91:451 111:451 10:451; do
		echo "${row%:*}" >code
		session u@example.org | ours >out
		[ "$(tail -n 2 out | cut -c1-3 | head -n 1)" = "${row#*:}" ] || {
			echo "$row"
			cat out log
			false
		}
	done
	rm "$QMAILQUEUE"
	session u@example.org | ours >out
	grep '^451 4.3.0' out
}

@test "from-qmail: each file is its option, and --test takes all of it" {
	qmail
	mkdir -p box/{tmp,new,cur}
	from_qmail
	holds() {
		"$SMTPD" --config conf --maildir box --test >held
		grep -q "^$1 (conf:" held || { cat held; return 1; }
	}
	# what it is without a file
	holds 'hostname mx.example.org'
	holds 'size 0'
	holds 'timeout 1200'
	holds 'domain mx.example.org'
	holds 'domain .example.org'
	# an address without a domain is in the host's
	[ "$(grep -m 1 '^domain ' conf)" = 'domain mx.example.org' ]
	echo 'smtp.example.org the finest ESMTP' >qmail/control/smtpgreeting
	echo 1000000 >qmail/control/databytes
	echo 99999999 >qmail/control/timeoutsmtpd
	echo example.net >qmail/control/envnoathost
	printf 'one.example\n.two.example\n' >qmail/control/morercpthosts
	echo alice >qmail/control/validrcptto
	printf '# none\n@spam.example\nx@y.example\n' >qmail/control/badmailfrom
	from_qmail
	holds 'hostname smtp.example.org'
	holds 'size 1000000'
	holds 'timeout 86400'
	holds "domain @$PWD/qmail/control/morercpthosts"
	holds "users $PWD/qmail/control/validrcptto"
	grep -x '# badmailfrom has 2 lines, .*' conf
	# not a domain
	echo '[192.0.2.1]' >>qmail/control/rcpthosts
	from_qmail
	grep -F '# no domain, left out: [192.0.2.1]' conf
	holds 'domain example.org'
	# more than a configuration should hold
	printf 'd%d.example\n' {1..1000} >>qmail/control/rcpthosts
	from_qmail
	holds "domain @$PWD/qmail/control/rcpthosts"
	run ! grep 'no newline' conf
	printf last.example >>qmail/control/rcpthosts
	from_qmail
	grep 'rcpthosts has no newline at its end' conf
	[ "$(wc -l <conf)" -lt 40 ]
	# the open relay is not opened
	rm qmail/control/rcpthosts
	from_qmail
	[ "$(grep -c '^domain ' conf)" = 1 ]
	holds 'domain mx.example.org'
	grep '^# there is no rcpthosts' conf
	rm qmail/control/me
	run -66 sh "$ROOT/contrib/from-qmail" qmail/control
}

@test "from-qmail: vpopmail's directories become a template" {
	qmail
	printf '%s\n' '+example.org-:example.org:89:89:/home/vpopmail/domains/example.org:-::' \
	    . >qmail/users/assign
	from_qmail
	grep -xF '#	maildir /home/vpopmail/domains/{domain}/{user}/Maildir' conf
}

@test "from-qmail: rules by address become networks, and what is none is told" {
	qmail
	cat >rules <<-'R'
		# a comment
		127.:allow,RELAYCLIENT="",DATABYTES="0"
		192.0.2.7:deny
		198.51.100.:deny
		10.1-3.0.:allow
		=.example.org:allow,RELAYCLIENT=""
		:allow,DATABYTES="1000"
	R
	from_qmail rules
	grep -c '^#	' conf
	sed -n '1,/These are:/d; s/^#	//p' conf >got
	cat >want <<-'R'
		may relay: 127.0.0.0/8
		size 0: 127.0.0.0/8
		not a network: 10.1-3.0.:allow
		not a network: =.example.org:allow,RELAYCLIENT=""
		may relay: =.example.org
		size 1000: everyone
		IPAddressDeny=192.0.2.7/32
		IPAddressDeny=198.51.100.0/24
	R
	diff want got
	# who is not named is denied: then systemd has to know who is
	printf '%s\n' 127.:allow 192.0.2.7:allow :deny >rules
	from_qmail rules
	sed -n '1,/These are:/d; s/^#	//p' conf >got
	printf 'IPAddressDeny=any\nIPAddressAllow=%s\nIPAddressAllow=%s\n' 127.0.0.0/8 \
	    192.0.2.7/32 >want
	diff want got
	# one inside of another: systemd takes the allowed one of both
	printf '%s\n' 192.0.2.7:allow 192.0.2.:deny 198.51.100.:allow 198.51.100.9:deny \
	    :allow >rules
	from_qmail rules
	sed -n '1,/These are:/d; s/^#	//p' conf >got
	printf '%s\n' IPAddressAllow=192.0.2.7/32 IPAddressDeny=192.0.2.0/24 \
	    IPAddressDeny=198.51.100.9/32 >want
	diff want got
	printf '%s\n' 192.0.2.7:deny 192.0.2.:allow :deny >rules
	from_qmail rules
	sed -n '1,/These are:/d; s/^#	//p' conf >got
	printf '%s\n' IPAddressAllow=192.0.2.0/24 IPAddressDeny=any \
	    'cannot be said: 192.0.2.7/32 denied inside 192.0.2.0/24' >want
	diff <(sort want) <(sort got)
}

@test "from-qmail: who has no domain is in the host's; what is only relayed is no one's here" {
	qmail
	echo Mx.Example.org >qmail/control/me
	printf '%s\n' customer.example mx.example.org backup.example >qmail/control/rcpthosts
	printf '%s\n' customer.example >qmail/control/locals
	echo virtual.example:alice >qmail/control/virtualdomains
	from_qmail
	[ "$(grep -m 1 '^domain ' conf)" = 'domain mx.example.org' ]
	[ "$(grep -c 'not delivered here' conf)" = 1 ]
	grep 'not delivered here.*: backup.example' conf
	echo elsewhere.example >qmail/control/envnoathost
	from_qmail
	grep '^# an address without a domain .* elsewhere.example' conf
	: >qmail/control/rcpthosts
	from_qmail
	grep '^# rcpthosts is empty' conf
	echo 5000000000 >qmail/control/databytes
	from_qmail
	grep -x 'size 5000000000' conf
	run -66 sh "$ROOT/contrib/from-qmail" nosuch
}

@test "with-qmail-queue: a program in qmail-queue's place sees the client; half an envelope is none" {
	qmail
	client
	from_qmail
	sed -i "2i echo \"\$TCPREMOTEIP\" >$PWD/who" qmail/bin/qmail-queue
	session u@example.org | ours >out
	grep '^250 2.0.0' out
	[ "$(cat who)" = 192.0.2.7 ]
	# a printf that fails: where it is a program, it may find no memory
	printf '#!/bin/bash\nenable -n printf\n' >slow
	sed 1d "$ROOT/contrib/with-qmail-queue" >>slow
	printf '#!/bin/sh\ncase $1 in T*) exit 1 ;; esac\nexec /usr/bin/printf "$@"\n' >./printf
	chmod 755 slow printf
	rm envelope
	CLIENT_ADDRESS=192.0.2.7 bash slow --queue "$QMAILQUEUE" a@c.example u@example.org <conf
	printf 'Fa@c.example\0' | cmp - envelope
}

@test "migrating: in place of Mailpit the sink answers what its API was asked" {
	need make cc
	command -v swaks >/dev/null || need swaks
	[ -x "$ROOT/contrib/smtpsink" ] || make -C "$ROOT" sink
	setsid "$ROOT/contrib/smtpsink" -p 0 --json --faults mails >mails.json 3>&- </dev/null &
	server=$!
	disown
	eventually grep -q '^listening' mails.json
	port=$(sed -n '1s/.*://p' mails.json)
	swaks --server "127.0.0.1:$port" --to ann@example.org --auth-user any \
	    --auth-password any --header 'Subject: Welcome' >said || { cat said; false; }
	swaks --server "127.0.0.1:$port" --to bob@example.org >said
	# GET messages
	py <<-'P'
		import json
		lines = open('mails.json').read().splitlines()[1:]
		mails = [json.loads(line) for line in lines]
		assert [m['to'] for m in mails] == [['ann@example.org'], ['bob@example.org']], mails
		assert ['Subject', 'Welcome'] in mails[0]['header'], mails
		open(mails[0]['path']).read().index('Subject: Welcome')
	P
	# GET search
	[ "$(grep -c '"to":\[[^]]*"ann@example.org"' mails.json)" = 1 ]
	[ "$(count mails/new)" = 2 ]
	# its chaos
	run ! swaks --server "127.0.0.1:$port" --to 550-5.1.1@example.org
}
