# byhand.bats - a person types: LF lines, any domain, dry run, a word of help
# RFC 5321 section 2.3.8, and what is left of it by hand

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# type_in LINE...: the lines as a person's shell would send them, LF ended
type_in() {
	printf '%s\n' "$@" >in
	send <in
}

# bytes TEXT...: the texts, with their \r and \n
bytes() {
	printf '%b' "$@" >in
	send <in
}

@test "by hand: a session of LF lines delivers" {
	type_in 'HELO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' hello ..dots '...' . QUIT
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	[ "$status" = 0 ]
	printf '%s\n' 'Subject: x' '' hello .dots .. >want
	stored_is want
}

@test "by hand: a CR within an LF message is bare, and refused" {
	bytes 'HELO c.example\nMAIL FROM:<a@c.example>\n' \
	    'RCPT TO:<u@example.org>\nDATA\nx\ry\n.\nQUIT\n'
	[ "$(codes)" = '220 250 250 250 354 550 221' ]
	nothing_kept
}

@test "by hand: LF mode is the same byte by byte" {
	printf '%s\n' 'HELO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' hello ..dots . QUIT |
	    drip
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	printf '%s\n' 'Subject: x' '' hello .dots >want
	stored_is want
}

@test "by hand: a session whose first line ends in CRLF is held to CRLF" {
	bytes 'HELO c.example\r\nNOOP\nNOOP\r\nQUIT\r\n'
	[ "$(codes)" = '220 250 500 221' ]
	bytes 'NOOP\r\nMAIL FROM:<a@c.example>\r\n' \
	    'RCPT TO:<u@example.org>\r\nDATA\r\nx\n.\nRSET\r\n.\r\nQUIT\r\n'
	[ "$(codes)" = '220 250 250 250 354 550 221' ]
	nothing_kept
}

@test "by hand: under a launcher's variable no LF line is taken" {
	local setting
	for setting in PROTO=TCP REMOTE_ADDR=192.0.2.7 REMOTE_HOST=192.0.2.7 \
	    SOCAT_PEERADDR=192.0.2.7 NCAT_REMOTE_ADDR=192.0.2.7 \
	    TCPREMOTEIP=192.0.2.7; do
		status=0
		printf 'NOOP\nNOOP\nNOOP\r\nQUIT\r\n' |
		    env "$setting" "$SMTPD" "${OPTS[@]}" >out 2>log || status=$?
		[ "$(codes)" = '220 500 221' ] || {
			echo "$setting: $(codes)"
			false
		}
	done
}

@test "by hand: a socket on standard input is no hand" {
	py "$SMTPD" "${OPTS[@]}" <<-'P'
		import socket
		import subprocess
		import sys
		import talk

		ours, theirs = socket.socketpair()
		ours.settimeout(talk.LIMIT)
		with open('out', 'wb') as out, open('log', 'wb') as log:
		    child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=out,
		        stderr=log)
		theirs.close()
		ours.sendall(b'NOOP\nNOOP\r\nQUIT\r\n')
		sys.exit(talk.ended(child))
	P
	[ "$(codes)" = '220 500 221' ]
}

@test "by hand: with neither Maildir nor program it is a dry run, and says so" {
	OPTS=(-n mx.example)
	find . -mindepth 1 | sort >"$BATS_FILE_TMPDIR/before"
	for end in '\r\n' '\n'; do
		printf "%s$end" 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<anyone@any.example>' DATA 'Subject: x' '' hello . \
		    QUIT >in
		send <in
		[ "$(codes)" = '220 250 250 250 354 250 221' ]
		[ "$status" = 0 ]
		grep -q $'^250 2\\.0\\.0 dry run: nothing was kept\r*$' out
	done
	# nothing is written anywhere near
	rm in out log
	find . -mindepth 1 | sort | cmp - "$BATS_FILE_TMPDIR/before"
	nothing_kept
}

@test "by hand: a dry run refuses what would be refused" {
	OPTS=(-n mx.example -s 10)
	say 'EHLO c.example' 'MAIL FROM:<a@>' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@any..example>' 'RCPT TO:<u@any.example>' DATA \
	    'more than ten octets' . QUIT
	[ "$(full_codes)" = '220 250 501/5.1.7 250/2.1.0 501/5.1.3 250/2.1.5 354 552/5.3.4 221/2.0.0' ]
	OPTS=(-n mx.example)
	bytes 'EHLO c\r\nMAIL FROM:<a@c.example>\r\n' \
	    'RCPT TO:<u@any.example>\r\nDATA\r\nx\ny\r\n.\r\nQUIT\r\n'
	[ "$(codes)" = '220 250 250 250 354 550 221' ]
}

@test "by hand: a dry run with --domain keeps to it" {
	OPTS=(-n mx.example -d example.org)
	say 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<u@any.example>' QUIT
	[ "$(codes)" = '220 250 250 550 221' ]
}

@test "by hand: without --domain a Maildir takes any domain" {
	OPTS=(-n mx.example -m box)
	say 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@any.example>' DATA x . QUIT
	[ "$(codes)" = '220 250 250 354 250 221' ]
	[ "$(header Delivered-To)" = u@any.example ]
}

@test "by hand: neither Maildir nor program is an error under a launcher" {
	launched
	OPTS=(-n mx.example -d example.org)
	say QUIT
	[ "$(codes)" = 421 ]
	[ "$status" = 78 ]
}

@test "by hand: the status says how the session went" {
	local rest
	say QUIT
	[ "$status" = 0 ]
	rest='MAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n'
	# cut in the middle of a message
	bytes "$rest" 'x\r\n'
	[ "$status" = 1 ]
	# sent away
	OPTS+=(-e 1)
	say FOO FOO FOO
	[ "$status" = 1 ]
	# deferred for a fault of ours
	rm -r box/tmp
	bytes "$rest" 'x\r\n.\r\nQUIT\r\n'
	[[ $(codes) = *' 45'?' '* ]]
	[ "$status" = 75 ]
}

@test "by hand: an unknown command gets the one probably meant" {
	local word want bad=0
	while read -r word want; do
		say "$word" QUIT
		[ "$(full_codes)" = '220 500/5.5.1 221/2.0.0' ] || {
			echo "$word: $(full_codes)"
			bad=1
		}
		sed -n 2p out | grep -Eqw "$want" || { sed -n 2p out; bad=1; }
	done <<-'S'
		HLEO HELO
		EHLP EHLO|HELP
		MIAL MAIL
		RCTP RCPT
		QIUT QUIT
		quti QUIT
		NOPO NOOP
		DATAA DATA
		RSTE RSET
	S
	[ $bad = 0 ]
}

@test "by hand: nothing is guessed from afar, nor for a launcher's client" {
	say XYZZYPLUGH QUIT
	[ "$(full_codes)" = '220 500/5.5.1 221/2.0.0' ]
	run ! grep -Eqw 'HELO|EHLO|MAIL|RCPT|DATA|QUIT|NOOP' <(sed -n 2p out)
	launched
	say HLEO MIAL QIUT QUIT
	[ "$(codes)" = '220 500 500 500 221' ]
	run ! grep -Eqw 'HELO|EHLO|MAIL|RCPT|DATA|QUIT|NOOP' out
}

# terminal LINE...: type the lines at a pseudoterminal; what it shows goes to
# the file `screen`
terminal() {
	printf '%s\n' "$@" >typed
	status=0
	py "$SMTPD" "${OPTS[@]}" <<-'P' || status=$?
		import os
		import pty
		import select
		import subprocess
		import sys
		import talk

		ours, theirs = pty.openpty()
		child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs,
		    stderr=theirs)
		os.close(theirs)
		screen = b''


		def look(until=None):
		    """take in what is shown, up to a text or the end"""
		    global screen
		    begin = len(screen)
		    while until is None or until not in screen[begin:]:
		        if not select.select([ours], [], [], talk.LIMIT)[0]:
		            child.kill()
		            sys.exit('it shows no %r, but %r' % (until, screen))
		        try:
		            screen += os.read(ours, 65536)
		        except OSError:
		            return


		look(b'220 ')
		for line in open('typed', 'rb'):
		    os.write(ours, line)
		look()
		open('screen', 'wb').write(screen)
		sys.exit(talk.ended(child))
	P
}

@test "by hand: at a terminal a message can be typed" {
	terminal 'helo c.example' 'mail from: a@c.example' 'rcpt to: u@example.org' \
	    data 'Subject: x' '' hello . quit
	cat screen
	[ "$status" = 0 ]
	printf '%s\n' 'Subject: x' '' hello >want
	stored_is want
	# it says where the mail went
	grep -q box screen
	grep -q '^221 \|[^0-9]221 ' screen
}

@test "by hand: at a terminal there is no log, but with -v" {
	terminal 'helo c.example' 'mail from: a@c.example' \
	    'rcpt to: u@elsewhere.example' quit
	run ! grep -q '[a-z]=[^ ]' screen
	OPTS+=(-v)
	terminal 'helo c.example' 'mail from: a@c.example' \
	    'rcpt to: u@elsewhere.example' quit
	grep -q '[a-z]=[^ ]' screen
}

@test "by hand: a terminal has help, a pipe has no prompt" {
	terminal help quit
	grep -q '214' screen
	type_in NOOP QUIT
	# every line of a pipe's session is a reply
	run ! grep -Evq '^[2-5][0-9][0-9][ -]' out
}
