#!/usr/bin/env bats
# As root: a mail belongs to whom the Maildir belongs to, and is no one else's to read
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load helper

# account NAME UID GID: the directories in it are root's, for the Maildir
# itself is what counts
account() {
	mkdir -p "home/$1"/{tmp,new,cur}
	chown "$2:$3" "home/$1"
}

# belongs DIR UID:GID: to them is the one message in it, and mode 0600
belongs() {
	local got
	got=$(stat -c '%u:%g %a' "$(only_message "$1")")
	[ "$got" = "$2 600" ] || { echo "$1: $got, not $2 600"; return 1; }
	[ "$(count "$1")" = 1 ]
}

owner_setup() {
	need_root
	account postmaster 0 0
	account alice 12345 23456
	account bob 12346 23457
	account carol 0 23458
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
}

@test "owner: as root a mail is given to the owner and the group of the Maildir" {
	need_root
	chown 12345:23456 box
	mail_to u@example.org
	[ "$status" = 0 ]
	belongs box 12345:23456
	rm box/new/*
	# no right to write in it has to do with that
	chmod 755 box
	chown 12345:23456 box/new box/tmp
	chown 0:0 box
	mail_to u@example.org
	belongs box 0:0
}

@test "owner: as root each of several mailboxes has a copy of its own" {
	owner_setup
	mail_to {alice,bob,carol,postmaster}@example.org
	[ "$status" = 0 ]
	belongs home/alice 12345:23456
	belongs home/bob 12346:23457
	belongs home/carol 0:23458
	belongs home/postmaster 0:0
}

@test "owner: as root, by LMTP and by BDAT, too" {
	owner_setup
	OPTS+=(--lmtp)
	letter_to {alice,bob}@example.org | sed 's/^EHLO/LHLO/' >in
	send <in
	[ "$status" = 0 ]
	belongs home/alice 12345:23456
	belongs home/bob 12346:23457
	rm home/*/new/*
	{
		printf '%s\r\n' 'LHLO c.example' 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<bob@example.org>' 'RCPT TO:<alice@example.org>' \
		    'BDAT 3' a 'BDAT 3 LAST' b QUIT
	} >in
	send <in
	[ "$status" = 0 ]
	belongs home/alice 12345:23456
	belongs home/bob 12346:23457
}

@test "owner: as root copies that get a label are given away, too" {
	owner_setup
	printf 'Subject: x\n\ncaf\xe9\n' >msg
	mail_to {alice,bob}@example.org
	[ "$status" = 0 ]
	grep -q unknown-8bit home/alice/new/*
	belongs home/alice 12345:23456
	belongs home/bob 12346:23457
	rm home/*/new/*
	mail_to bob@example.org
	belongs home/bob 12346:23457
}

@test "owner: as root an alias gives the mail to whom it leads" {
	owner_setup
	ln -s bob home/robert
	chown -h 12345:23456 home/robert
	mail_to robert@example.org
	[ "$status" = 0 ]
	belongs home/bob 12346:23457
}

@test "owner: as root a mail is given away before it has a name in new/" {
	owner_setup
	need strace
	letter_to alice@example.org >in
	traced -y -e trace=fchown,fchownat,chown,lchown,link,linkat <in
	[ "$status" = 0 ]
	belongs home/alice 12345:23456
	# by its descriptor: nothing else could be meant
	[ "$(sed 's/(.*//' trace | paste -sd ' ' -)" = 'fchown linkat' ]
	grep '^fchown([0-9]*<[^>]*/home/alice/tmp/[^>]*>, 12345, 23456)' trace
}

@test "owner: as root a mail that cannot be given away is deferred, and nothing is left" {
	owner_setup
	need strace
	letter_to alice@example.org >in
	traced -e trace=fchown -e inject=fchown:error=EIO <in
	[[ $(full_codes) = *' 354 451/4.3.0 221/2.0.0' ||
	    $(full_codes) = *' 250/2.1.5 451/4.3.0 '* ]]
	[ "$status" = 75 ]
	[ "$(count home)" = 0 ]
}

@test "owner: not as root nothing is given away, and a Maildir of another's takes mail" {
	need_root
	need setpriv strace
	cp "$SMTPD" ./smtpd.copy
	chmod 755 . smtpd.copy
	chmod -R 777 box
	SMTPD=./smtpd.copy
	: >trace
	chmod 666 trace
	letter_to u@example.org >in
	status=0
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
	    setpriv --reuid=65534 --regid=65534 --clear-groups \
	    strace -qq -o trace -e trace=fchown,fchownat,chown,linkat \
	    "$SMTPD" "${OPTS[@]}" <in >out 2>log || status=$?
	[ "$status" = 0 ]
	[ "$(stat -c '%u:%g %a' "$(only_message)")" = '65534:65534 600' ]
}
