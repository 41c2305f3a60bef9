# terminal.bats - a person at a terminal sees what is wrong, and only when it is
# his turn to look

# shellcheck disable=SC2015,SC2030,SC2031,SC2153,SC2154 # OPTS is each test's own
load live

# terminal LINE...: type these, each when a prompt is there; "^D" ends the input,
# and "^C" interrupts.  There are no colours, unless COLOURS is
# set, and empty; KIND is the terminal's.  The file `screen` has all that is shown,
# without CR; `behind` what was written behind a prompt before a key was touched;
# `greeted` what was there with the first prompt.  $status is smtpd's.
terminal() {
	status=0
	NO_COLOR=${COLOURS-1} TERM=${KIND-xterm} live "$SMTPD" "${OPTS[@]}" -- "$@" <<-'P' || status=$?
		import fcntl, os, pty, re, select, subprocess, sys, termios, time
		import live
		at = len(sys.argv) - 1 - sys.argv[::-1].index('--')
		argv, typed = sys.argv[1:at], sys.argv[at + 1:]
		ours, theirs = pty.openpty()
		child = subprocess.Popen(argv, stdin=theirs, stdout=theirs,
		    stderr=theirs, start_new_session=True,
		    preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
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

		PROMPT = rb'(?:\A|\n)[a-z]+(?: \d+)?> \Z'
		since = 0
		shown(PROMPT)
		open('greeted', 'wb').write(screen.replace(b'\r', b''))
		for line in typed:
		    # it is the person's turn now, and nobody else's
		    got = more(0.05)
		    if got:
		        behind += got
		        screen += got
		    since = len(screen)
		    os.write(ours, {'^D': b'\x04', '^C': b'\x03'}.get(line,
		        line.encode() + b'\n'))
		    if line in ('^D', '^C') or line.lower() == 'quit':
		        break
		    shown(PROMPT)
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

@test "terminal: who is refused at the greeting is told what is left to say" {
	cat >policy <<-'S'
		#!/bin/sh
		while read -r line; do
			[ -n "$line" ] || printf 'action=REJECT not you\n\n'
		done
	S
	chmod 755 policy
	OPTS+=(--policy ./policy --policy-states connect)
	terminal 'helo c.example' quit
	[ "$status" = 0 ]
	grep -q '^554 not you$' screen
	grep -q '^(no mail is taken from you: say QUIT)$' screen
	grep -q '^quit> helo c.example$' screen
	grep -q '^503 No mail' screen
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

@test "terminal: HELP tells of each command that may be said now, HELP and one of them of that" {
	terminal help 'help rcpt' 'helo c' help 'help nothing' quit
	sed -n '/^ehlo> help$/,/^214 /p' screen >first
	sed -n '/^mail> help$/,/^214 /p' screen >second
	grep -q '^214-2\.0\.0 EHLO host\.example  *[a-z]' first
	grep -q '^214-2\.0\.0 QUIT  *[a-z]' first
	run ! grep -q '^214.2\.0\.0 \(RCPT\|DATA\|STARTTLS\|AUTH\)' first second
	grep -q '^214 2\.0\.0 RCPT TO:<them@example\.org>  *[a-z].* (not now)$' screen
	# what is no command is as HELP alone, and each line has the same code
	[ "$(grep -c '^214 ' screen)" = 4 ]
	grep -A 1 '^mail> help nothing$' screen | grep -q '^214-'
	[ "$(sed -n 's/^214.\([^ ]*\) .*/\1/p' screen | sort -u)" = 2.0.0 ]
	# elsewhere it is one line, whatever is behind it
	say HELP 'HELP MAIL' QUIT
	[ "$(grep -c '^214' out)" = 2 ]
	[ "$(grep '^214' out | sort -u | wc -l)" = 1 ]
}

@test "MAIL and RCPT that lack a part are told how they go" {
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
		mail|
		mail from me@x.example|
		mail me@x.example|
		mail <me@x.example>|
		rcpt|to
		rcpt to u@example.org|to
		rcpt u@example.org|to
	T
}

@test "terminal: the prompt names what is waited for" {
	OPTS+=(-a 'false' --recipients 9)
	terminal 'ehlo c' 'auth login' "$(base64 <<<u)" '*' 'auth plain' '*' \
	    "${LETTER[@]:1:2}" 'rcpt to:<v@example.org>' data x . \
	    'mail from:<>' 'rcpt to:<u@example.org>' 'bdat 3' xx rset noop quit
	sed -n 's/^\(\([a-z]*\)\( [0-9]*\)*>\) .*/\1/p' screen | tr '\n' ' ' >prompts
	cat prompts
	echo -n 'ehlo> mail> user> password> mail> plain> mail> rcpt> rcpt 1> rcpt 2>' \
	    'data> data> mail> rcpt> rcpt 1> chunk> bdat> mail> mail> ' >want
	cmp prompts want
}

@test "terminal: with --lmtp it is lhlo, and where a password is wanted auth" {
	OPTS+=(-l)
	terminal 'lhlo c' quit
	grep -q '^(.*LHLO host' screen
	sed -n 's/^\([a-z]*>\) .*/\1/p' screen | tr '\n' ' ' >prompts
	[ "$(cat prompts)" = 'lhlo> mail> ' ]
	printf '#!/bin/sh\ncat <&3 >/dev/null\n' >yes
	chmod 755 yes
	OPTS=(-n mx.example -d example.org -m box -a ./yes --require auth)
	terminal 'ehlo c' 'auth login' dQ== cA== quit
	grep -q '^(.*AUTH LOGIN' screen
	sed -n 's/^\([a-z]*>\) .*/\1/p' screen | tr '\n' ' ' >prompts
	[ "$(cat prompts)" = 'ehlo> auth> user> password> mail> ' ]
}

@test "terminal: what may be said next is told once, with an example" {
	terminal 'ehlo c' 'mail from:<a@c.example>' rset 'mail from:<a@c.example>' \
	    rset quit
	[ "$(grep -c '^(.*EHLO host\.example' screen)" = 1 ]
	[ "$(grep -c '^(.*MAIL FROM:<you@example\.org>)' screen)" = 1 ]
	[ "$(grep -c '^(.*RCPT TO:<postmaster@example\.org>)' screen)" = 1 ]
}

@test "terminal: a caret stands where a command is wrong" {
	local command column
	while IFS='|' read -r command column; do
		terminal "$command" quit
		# what is behind ehlo> was typed; the line below it is ours
		grep -A 1 '^ehlo> ' screen | sed -n 2p >mark
		if [ -z "$column" ]; then
			run ! grep -q '^ *^$' mark
			continue
		fi
		printf '%*s\n' "$column" '^' >want
		cmp mark want || { cat screen; return 1; }
	done <<-'T'
		foo|7
		quit now|12
		ehlo|11
		mail|11
		mail from|16
		mail from:|17
		mail frum:<a@c.example>|14
		mail from a@c.example|17
		mail from:<a@|20
		mail from:<a@>|20
		mail from:<a b@c.example>|20
		mail from:<a@c..example>|22
		mail from:<a@c.example|29
		mail from:<a@c.example>x|30
		mail from:<>FOO|19
		mail from:<..@c.example>|18
		mail from:<"a@c.example>|18
		mail from:<a@[1.2.3]>|20
		mail from:<a@b@c.example>|21
		MAIL FROM:<ä@b@c.example>|21
		mail from:<> size=x|20
		mail from:<> body=7bit size=1 foo|37
		vrfy <a b>|15
		noop|
		rset|
		mail from:<ä@c.example>|
	T
}

@test "terminal: replies have a colour by their class, where NO_COLOR and the terminal allow it" {
	local COLOURS='' KIND=xterm
	rm -r box/new
	terminal 'ehlo c' foo 'mail from:<>' 'rcpt to:<u@example.org>' quit
	grep -q $'^\e\\[32m220 [^\e]*\e\\[m$' screen
	grep -q $'^\e\\[32m250-PIPELINING\e\\[m$' screen
	grep -q $'^\e\\[31m500 [^\e]*\e\\[m$' screen
	grep -q $'^\e\\[33m452 \|^\e\\[33m451 ' screen || grep -q $'\e\\[32m250 2.1.5' screen
	KIND=dumb
	terminal 'ehlo c' foo quit
	run ! grep -q $'\e' screen
	KIND=xterm COLOURS=1
	terminal 'ehlo c' foo quit
	run ! grep -q $'\e' screen
}

@test "terminal: who never saw SMTP sends a mail by what the prompts say" {
	terminal_by_prompts
	[ "$(count box/new)" = 1 ]
	grep -q '^Subject: hello$' box/new/*
	grep -q '^Delivered-To: postmaster@example.org$' box/new/*
}

# terminal_by_prompts: at each prompt, what the hint in front of it gives as its
# example, or names first, is said
terminal_by_prompts() {
	NO_COLOR=1 live "$SMTPD" "${OPTS[@]}" <<-'P'
		import os, pty, re, select, subprocess, sys
		import live
		ours, theirs = pty.openpty()
		child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs,
		    stderr=theirs, start_new_session=True)
		os.close(theirs)

		def until(what):
		    screen = b''
		    while not re.search(what, screen):
		        if not select.select([ours], [], [], live.LIMIT)[0]:
		            live.fail('wanted', what, 'there is', screen)
		        screen += os.read(ours, 65536)
		    return screen.replace(b'\r', b'').decode()

		for n in range(20):
		    screen = until(rb'\n[a-z]+( \d+)?> \Z')
		    hint = re.findall(r'^\((.*)\)$', screen, re.M)[-1]
		    example = re.search(r'such as (.*)|say ([A-Z]+),.*or (QUIT)|say ([A-Z]+),',
		        hint)
		    if '"Subject: hello"' in hint:
		        for line in 'Subject: hello', '', 'text':
		            os.write(ours, line.encode() + b'\n')
		            until(rb'data> \Z')
		        os.write(ours, b'.\n')
		        continue
		    said = example[1] or example[3] or example[4]
		    os.write(ours, said.encode() + b'\n')
		    if said == 'QUIT':
		        break
		until(rb'221 ')
		sys.exit(child.wait(live.LIMIT))
	P
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

@test "terminal: ^D inside a message says that it was thrown away, and outside it is QUIT" {
	terminal "${LETTER[@]:0:7}" '^D'
	[ "$status" = 1 ]
	tail -n 2 screen | grep -q 'thrown away'
	nothing_kept
	terminal '^D'
	[ "$status" = 0 ]
	tail -n 2 screen | grep -q '^ehlo> QUIT$'
	tail -n 1 screen | grep -q '^221 '
	terminal "${LETTER[@]:0:3}" '^D'
	[ "$status" = 0 ]
	tail -n 1 screen | grep -q '^221 '
	run ! grep -q 'thrown away' screen
	# in a pipe every line is a reply
	letter_to u@example.org | sed '/^\.\r$/,$d' >in
	send <in
	run ! grep -qv '^[2-5][0-9][0-9][ -]' out
	printf '%s\n' 'helo c.example' 'mail from:<>' >in
	send <in || true
	[ "$(codes)" = '220 250 250' ]
}

@test "terminal: ^C delivers nothing, and says so" {
	local n
	for n in 0 1 2 3 4 7; do
		terminal "${LETTER[@]:0:n}" '^C'
		[ "$status" = 1 ]
		grep -q '^421 4\.3\.2 ' screen
		tail -n 1 screen | grep -q '^(.*not\|no.*delivered'
		nothing_kept
	done
	# what had its 250 before stays
	terminal "${LETTER[@]}" "${LETTER[@]:1:6}" '^C'
	tail -n 1 screen | grep -q '^(1 message delivered in box)$'
	[ "$(count box/new)" = 1 ]
}

@test "terminal: the end says where the mail lies, or who has taken it, or that nothing was kept" {
	terminal "${LETTER[@]}" "${LETTER[@]:1}" quit
	tail -n 1 screen | grep -q '^(2 messages delivered in box)$'
	OPTS=(-n mx.example -d example.org -- sh -c 'cat >/dev/null')
	OPTS=(-n mx.example -d example.org true)
	terminal "${LETTER[@]}" quit
	tail -n 1 screen | grep -q '^(1 message delivered by true)$'
	OPTS=(-n mx.example)
	terminal "${LETTER[@]}" quit
	tail -n 1 screen | grep -q '^(a dry run: nothing was kept)$'
}

@test "a pipe, a file and a socket are told what the language says, octet by octet the same, and nothing else" {
	dialogue >in
	TERM=xterm "$SMTPD" "${OPTS[@]}" <in 2>log | ids_away >pipe
	TERM=xterm "$SMTPD" "${OPTS[@]}" <in >file.raw 2>log
	ids_away <file.raw >file
	TERM=xterm live "$SMTPD" "${OPTS[@]}" <<-'P'
		import socket, subprocess, sys
		ours, theirs = socket.socketpair()
		child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs)
		theirs.close()
		ours.sendall(open('in', 'rb').read())
		ours.shutdown(socket.SHUT_WR)
		with open('socket.raw', 'wb') as f:
		    while chunk := ours.recv(65536):
		        f.write(chunk)
		sys.exit(child.wait(60))
	P
	ids_away <socket.raw >socket
	cmp pipe file
	# a socket is a launcher's: to what is no command there is no guess
	sed 's/; did you mean [A-Z]*?//' pipe >plain
	cmp plain socket
	run ! grep -qv $'^[2-5][0-9][0-9][ -][ -~]*\r$' pipe
	[ "$(grep -c '^5' pipe)" = 4 ]
}

dialogue() {
	printf '%s\r\n' 'EHLO c.example' FOO HELP 'HELP MAIL' 'MAIL FROM' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@b..example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' hello . 'QUIT now' QUIT
}

ids_away() {
	sed 's/Delivered as [^ ]*\r/Delivered as ID\r/'
}

# as_shown: without what differs from session to session
as_shown() {
	sed 's/Delivered as [^ ]*/Delivered as ID/; s/ *$//'
}

@test "terminal: the transcripts of README and man page are what is shown" {
	awk '/^```$/ { if (on) exit; on = 1; next } on' "$ROOT/README.md" >readme
	awk '/^\.Sh EXAMPLES/ { s = 1 } s && /^\.Ed/ { exit } on
		s && /^\.Bd/ { on = 1 }' "$ROOT/smtpd.8" >page
	local file options typed
	for file in readme page; do
		read -r _ _ options <"$file"
		read -ra OPTS <<<"$options"
		sed 1d "$file" | as_shown >want
		mapfile -t typed < <(sed -n 's/^[a-z]*\( [0-9]*\)*> *//p' want)
		terminal "${typed[@]}"
		as_shown <screen | diff want -
	done
	[ "$(count box/new)" = 2 ]
}

@test "terminal: in a real one, of 80 columns, prompts, carets and the end stand where they should" {
	need tmux
	local screen=$PWD/tmux.sock n=0 key
	tmux -S "$screen" -f /dev/null new-session -d -x 80 -y 50 \
	    "env -u NO_COLOR TERM=screen $SMTPD ${OPTS[*]}; echo status \$?; cat"
	for key in 'ehlo me' 'mail from:<a@c..example>' 'mail from:<a@c.example>' \
	    'rcpt to:<u@example.org>' 'rcpt to:<v@example.org>' data 'Subject: x' '' hello .; do
		eventually prompts $((n += 1))
		tmux -S "$screen" send-keys -l "$key"
		tmux -S "$screen" send-keys Enter
	done
	eventually prompts $((n += 1))
	tmux -S "$screen" send-keys C-d
	eventually seen '^status 0$'
	tmux -S "$screen" capture-pane -p >shown
	tmux -S "$screen" capture-pane -p -e >colours
	tmux -S "$screen" kill-server
	cat shown
	grep -A 1 '^mail> mail from:<a@c\.\.example>$' shown | sed -n 2p >mark
	printf '%22s\n' '^' >want
	cmp mark want
	grep -q '^rcpt 2> data$' shown
	grep -q '^data> \.$' shown
	grep -q '^mail> QUIT$' shown
	grep -q '^(1 message delivered in box)$' shown
	run ! grep -q '.\{81\}' shown
	grep -q $'\e\\[31m  *^$' colours
	[ "$(count box/new)" = 1 ]
}

# seen PATTERN: it is on the screen of the tmux
seen() {
	tmux -S "$screen" capture-pane -p | grep -q "$1"
}

# prompts N: so many are there
prompts() {
	[ "$(tmux -S "$screen" capture-pane -p |
	    grep -c '^[a-z][a-z]*\( [0-9][0-9]*\)*>')" = "$1" ]
}

@test "terminal: of a reply that --faults cuts no more is shown than it says, with colours too" {
	local n
	for n in 0 1 2 3 9; do
		env -u NO_COLOR TERM=xterm python3 - "$SMTPD" "$n" <<-'P'
			import os, pty, sys
			pid, at = pty.fork()
			if pid == 0:
			    os.execv(sys.argv[1], [sys.argv[1], '-n', 'mx.example', '--faults'])
			shown = b''
			def until(what):
			    global shown
			    while what not in shown:
			        shown += os.read(at, 65536)
			until(b'ehlo> ')
			os.write(at, b'EHLO c.example\n')
			until(b'mail> ')
			os.write(at, b'MAIL FROM:<cut%s@c.example>\n' % sys.argv[2].encode())
			until(b'c.example>\r\n')
			shown = b''
			while True:
			    try:
			        got = os.read(at, 65536)
			    except OSError:
			        break
			    if not got:
			        break
			    shown += got
			assert len(shown) < 200, (sys.argv[2], len(shown), shown[:300])
			os.waitpid(pid, 0)
		P
	done
}
