#!/usr/bin/env bats
# make serve, contrib/serve: a listener to try smtpd with (README.md)

load helper

teardown() {
	[ -z "${server_group:-}" ] || {
		kill -KILL -- "-$server_group" || :
		wait "$server_group" || :
	} 2>/dev/null
}

# is_listening PORT: someone does
is_listening() {
	grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf '%04X' "$1") [0-9A-F:]* 0A " \
	    /proc/net/tcp /proc/net/tcp6
}

# free_port: $port is one that the kernel has just given away
free_port() {
	port=$(py <<-'P'
		import socket
		s = socket.socket()
		s.bind(('127.0.0.1', 0))
		print(s.getsockname()[1])
	P
	)
}

# serve [ARG...]: contrib/serve at a port of its own; its output is in said
serve() {
	need systemd-socket-activate
	free_port
	setsid sh "$ROOT/contrib/serve" "$SMTPD" "$port" "$@" >said 2>&1 \
	    </dev/null 3>&- &
	server_group=$!
	eventually is_listening "$port" || { cat said; return 1; }
}

# a_mail SUBJECT: a session
a_mail() {
	converse 127.0.0.1 "$port" 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@any.example>' DATA "Subject: $1"$'\r\n\r\nDear\e[2J reader\r\n.' \
	    QUIT >out
	cat out
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
}

# has_shown WORDS: it has
has_shown() {
	grep -qF "$1" said
}

@test "serve: each mail is shown as it comes, without what would move the cursor" {
	serve "$PWD/box"
	a_mail first
	eventually has_shown 'Subject: first'
	eventually has_shown 'Dear[2J reader'
	run ! grep -q $'\e' said
	a_mail second
	eventually has_shown 'Subject: second'
	[ "$(grep -c '^Subject: first' said)" = 1 ]
	[ "$(count box/new)" = 2 ]
}

@test "serve: mail that was there before is not shown" {
	printf 'Subject: old\n\n' >box/new/old
	serve "$PWD/box"
	a_mail new
	eventually has_shown 'Subject: new'
	run ! grep -q 'Subject: old' said
}

@test "serve: a program gets the mail, and what it says is in the log" {
	# shellcheck disable=SC2016
	printf '#!/bin/sh\ncat >"%s/got"\necho it took "$RECIPIENT"\n' "$PWD" >take
	chmod 755 take
	serve "$PWD/box" "$PWD/take"
	a_mail letter
	grep -q '^Subject: letter' got
	eventually has_shown 'it took u@any.example'
	nothing_kept
}

@test "serve: it is quiet about the processes that come and go" {
	serve "$PWD/box"
	a_mail letter
	eventually has_shown 'Subject: letter'
	run ! grep -qiE 'spawned|child|connection attempt|communication attempt' said
}

@test "serve: on a busy port it ends at once, and names who is there" {
	need ss systemd-socket-activate
	mkfifo ready
	py >ready <<-'P' &
		import socket
		s = socket.socket()
		s.bind(('127.0.0.1', 0))
		s.listen()
		print(s.getsockname()[1], flush=True)
		s.accept()
	P
	server_group=
	port=$(head -n 1 ready)
	status=0
	timeout 20 sh "$ROOT/contrib/serve" "$SMTPD" "$port" "$PWD/box" >said 2>&1 \
	    </dev/null || status=$?
	cat said
	[ "$status" = 1 ]
	holder=$(ss -Hltnp "sport = :$port" | sed -n 's/.*pid=\([0-9]*\).*/\1/p')
	[ -n "$holder" ]
	kill "$holder"
	grep -q "$port.*python3.*$holder" said
	grep -q "PORT=" said
}

@test "serve: make serve takes PORT= and PROGRAM=" {
	need make
	unset MAKEFLAGS MFLAGS MAKELEVEL
	make -n -C "$ROOT" serve PORT=2599 PROGRAM='/bin/cat -n' >said
	grep -E 'contrib/serve .*smtpd 2599 .*/bin/cat -n$' said
	make -n -C "$ROOT" serve >said
	grep -E 'contrib/serve .*smtpd 2525 ' said
}
