# terminal.bats - a person at a terminal sees what is wrong, and only when it is
# his turn to look

# shellcheck disable=SC2015,SC2030,SC2031,SC2153,SC2154 # OPTS is each test's own
load live

# terminal LINE...: type these, each when a prompt is there, or 354, or, within a
# message, at once; "^D" ends the input.  The file `screen` has all that is shown,
# without CR; `behind` what was written behind a prompt before a key was touched;
# `greeted` what was there with the first prompt.  $status is smtpd's.
terminal() {
	status=0
	live "$SMTPD" "${OPTS[@]}" -- "$@" <<-'P' || status=$?
		import os, pty, re, select, subprocess, sys, time
		import live
		at = len(sys.argv) - 1 - sys.argv[::-1].index('--')
		argv, typed = sys.argv[1:at], sys.argv[at + 1:]
		ours, theirs = pty.openpty()
		child = subprocess.Popen(argv, stdin=theirs, stdout=theirs,
		    stderr=theirs, start_new_session=True)
		os.close(theirs)
		screen = behind = b''

		def more(within):
		    """what is shown within this time, or None at the end"""
		    if not select.select([ours], [], [], within)[0]:
		        return b''
		    try:
		        return os.read(ours, 65536) or None
		    except OSError:
		        return None

		def shown(what):
		    """wait until this is in what was shown since the last key"""
		    global screen
		    end = time.monotonic() + live.LIMIT
		    while not re.search(what, screen[since:].replace(b'\r', b'')):
		        got = more(end - time.monotonic())
		        if not got:
		            live.fail('wanted', what, 'there is', screen)
		        screen += got

		since = 0
		shown(rb'\n> \Z')
		open('greeted', 'wb').write(screen.replace(b'\r', b''))
		message = False
		for line in typed:
		    if not message:
		        # it is the person's turn now, and nobody else's
		        got = more(0.2)
		        if got:
		            behind += got
		            screen += got
		    since = len(screen)
		    os.write(ours, b'\x04' if line == '^D' else
		        line.encode() + b'\n')
		    if line == '^D' or line.lower() == 'quit':
		        break
		    if line.lower() == 'data' and not message:
		        shown(rb'\n> \Z|(?m:^354 .*\n)')
		        message = not screen.endswith(b'> ')
		    elif not message or line == '.':
		        message = False
		        shown(rb'\n> \Z')
		while True:
		    got = more(live.LIMIT)
		    if got is None:
		        break
		    if not got:
		        live.fail('it does not end:', screen)
		    screen += got
		open('screen', 'wb').write(screen.replace(b'\r', b''))
		open('behind', 'wb').write(behind)
		sys.exit(child.wait(live.LIMIT))
	P
	[ -e screen ] && [ ! -s behind ] || { echo 'behind the prompt:'; cat behind; return 1; }
}

LETTER=('helo c.example' 'mail from: a@c.example' 'rcpt to: u@example.org' data
    'Subject: x' '' hello .)

@test "terminal: nothing is written behind the prompt, with -v and without" {
	OPTS+=(--policy ./no-such-server)
	terminal "${LETTER[@]:0:3}" foo quit
	OPTS=(-n mx.example -d example.org -m box -v)
	terminal "${LETTER[@]}" foo quit
	[ "$status" = 0 ]
	grep -q ': dialogue ' screen
	grep -q ': message ' screen
	[ "$(count box/new)" = 1 ]
}

@test "terminal: the cause of a fault is shown, with the path, and no other line of the log" {
	rm -r box/new
	terminal "${LETTER[@]:0:4}" quit
	[ "$status" = 75 ]
	grep -q '^451 ' screen
	[ "$(grep -c 'smtpd\[.*: fault .*box' screen)" -ge 2 ]
	run ! grep -q 'smtpd\[.*: \(session\|message\|refused\) ' screen
}

@test "terminal: so is that of a policy server or a user list that is not there" {
	OPTS+=(--policy "$PWD/no-socket")
	terminal "${LETTER[@]:0:3}" quit
	grep -q "^smtpd\[.*: fault .*$PWD/no-socket" screen
	OPTS=(-n mx.example -d example.org -m box -u "$PWD/no-users")
	terminal "${LETTER[@]:0:3}" quit
	grep -q "^smtpd\[.*: fault .*$PWD/no-users" screen
}

@test "terminal: a Maildir that is missing is told before the greeting, and one that is there is not" {
	terminal quit
	run ! grep -q ': fault ' screen
	OPTS=(-n mx.example -d example.org -m "$PWD/nowhere")
	terminal quit
	sed '/^220 /,$d' greeted >before
	grep -q "$PWD/nowhere" before
	# in a pipe the greeting comes first, and is a reply's
	say QUIT
	grep -q "fault .*$PWD/nowhere" log
	[ "$(codes)" = '220 221' ]
}

@test "terminal: an empty line is no error, and gets no reply" {
	OPTS+=(-e 3)
	terminal '' '' '' '' '' noop quit
	[ "$status" = 0 ]
	run ! grep -q '^[45]' screen
	[ "$(grep -c '^250 ' screen)" = 1 ]
	# in a pipe it is one
	say '' QUIT
	[ "$(codes)" = '220 500 221' ]
}

@test "by hand: ? is HELP, and for a launcher's client it is none" {
	terminal '?' '? mail' quit
	[ "$(grep -c '^214' screen)" -ge 2 ]
	run ! grep -q '^5' screen
	say '?' QUIT
	[ "$(full_codes)" = '220 214/2.0.0 221/2.0.0' ]
	launched
	say '?' QUIT
	[ "$(full_codes)" = '220 500/5.5.1 221/2.0.0' ]
}

@test "by hand: MAIL and RCPT that lack a part are told how they go, and for a launcher's client they are not" {
	local line want
	while IFS='|' read -r line want; do
		say 'helo c' ${want:+'mail from:<a@c.example>'} "$line" QUIT
		grep '^5' out
		if [ -n "$want" ]; then
			grep -q '^501 5\.5\.4 .*RCPT TO:<' out
		else
			grep -q '^501 5\.5\.4 .*MAIL FROM:<' out
		fi
	done <<-'T'
		mail from me@x.example|
		mail me@x.example|
		mail <me@x.example>|
		rcpt to u@example.org|to
		rcpt u@example.org|to
	T
	launched
	say 'helo c' 'mail from me@x.example' QUIT
	run ! grep -q 'FROM:<' out
}

@test "terminal: a dry run is announced before the first word, and a Maildir is none" {
	OPTS=(-n mx.example)
	terminal "${LETTER[@]}" quit
	[ "$status" = 0 ]
	grep -qi 'dry run' greeted
	OPTS=(-n mx.example -d example.org -m box)
	terminal quit
	run ! grep -qi 'dry run' greeted
}

@test "terminal: ^D inside a message says that it was thrown away, and outside says nothing" {
	terminal "${LETTER[@]:0:7}" '^D'
	[ "$status" = 1 ]
	tail -n 2 screen | grep -q 'thrown away'
	nothing_kept
	terminal 'helo c.example' '^D'
	[ "$status" = 0 ]
	run ! grep -q 'thrown away' screen
	# in a pipe every line is a reply
	letter_to u@example.org | sed '/^\.\r$/,$d' >in
	send <in
	run ! grep -qv '^[2-5][0-9][0-9][ -]' out
}
