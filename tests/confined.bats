# confined.bats - what a session may not have, or do, wherever it was started:
# descriptors, directories that were not there, time that is not its own
# smtpd(8): SECURITY CONSIDERATIONS, --program-timeout

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load live

# ---- the least rate ----

@test "rate: a message in chunks that trickles is given up as a whole" {
	hasty
	launched
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import time
		import live
		s = live.Session(sys.argv[1:]).greeted()
		s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>')
		s.expect('250/2.1.0 250/2.1.5')
		began = time.monotonic()
		while True:
		    # some thirty octets in a second, of the hundred
		    try:
		        s.send(b'BDAT 2\r\n\r\n')
		    except BrokenPipeError:
		        pass    # the reply says why
		    got = s.reply(2)
		    if got != '250/2.0.0':
		        break
		    time.sleep(0.3)
		took = time.monotonic() - began
		if got != '421/4.4.2' or took > 2.2:
		    live.fail('%s after %.1f s' % (got, took))
		if s.ended() != 1:
		    live.fail('status')
	P
	grep -q 'end=trickle' log
	nothing_kept
}

@test "rate: a message in chunks that keeps up is not, and the next one begins anew" {
	hasty
	launched
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import time
		import live
		s = live.Session(sys.argv[1:]).greeted()
		s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>')
		s.expect('250/2.1.0 250/2.1.5')
		for i in range(6):
		    s.send(b'BDAT 60\r\n' + b'x' * 58 + b'\r\n')
		    s.expect('250/2.0.0')
		    time.sleep(0.2)
		s.lines('BDAT 0 LAST')
		s.expect('250/2.0.0')
		# no message: a client may be slow
		time.sleep(1.1)
		s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>')
		s.expect('250/2.1.0 250/2.1.5')
		s.send(b'BDAT 4\r\nab\r\n')
		s.expect('250/2.0.0')
		s.lines('BDAT 0 LAST', 'QUIT')
		s.expect('250/2.0.0 221/2.0.0')
		s.ended()
	P
	[ "$(count box/new)" = 2 ]
}

# ---- descriptors ----

@test "descriptors: a program has none of the launcher's, however high, without close_range(2)" {
	may_trace
	mkdir spool
	cat >prog <<-'P'
		#!/bin/bash
		# no child: it would have some of its own
		cd /proc/self/fd && echo * >"$OLDPWD/fds"
	P
	chmod 755 prog
	letter_to u@example.org >in
	py "$SMTPD" -n mx.example -d example.org --spool spool ./prog <<-'P'
		import os
		import resource
		import subprocess
		import sys
		soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
		if hard != resource.RLIM_INFINITY and hard < 4096:
		    sys.exit(77)
		resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
		null = os.open('/dev/null', os.O_RDWR)
		high = (7, 900, 1023, 1024, 1500, 4000)
		for fd in high:
		    os.dup2(null, fd)
		    os.set_inheritable(fd, True)
		bad = 0
		for limit, inject in ((4096, True), (4096, False), (1024, True)):
		    # what is open may be over a limit that was set later
		    if os.path.exists('fds'):
		        os.unlink('fds')
		    strace = ['strace', '-qq', '-o', 'trace', '-e',
		        'inject=close_range:error=ENOSYS'] if inject else []
		    subprocess.run([*strace, *sys.argv[1:]], stdin=open('in'),
		        stdout=open('out', 'w'), stderr=open('log', 'w'),
		        close_fds=False, preexec_fn=lambda: resource.setrlimit(
		        resource.RLIMIT_NOFILE, (limit, hard)))
		    fds = set(map(int, open('fds').read().split()))
		    if fds & set(high) or not fds >= {0, 1, 2}:
		        print(limit, inject, sorted(fds))
		        bad = 1
		sys.exit(bad)
	P
	[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]]
}

@test "descriptors: with fd 2 closed the log goes to syslog" {
	need_root
	need unshare
	live_py >live.py
	talk_py >talk.py
	cat >closed.py <<-'P'
		import os
		import socket
		import sys
		import live
		log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		log.bind('/dev/log')
		log.settimeout(2)
		for over in 'socket', 'pipe':
		    s = live.Session(sys.argv[1:], over,
		        preexec_fn=lambda: os.close(2)).greeted()
		    s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<x@elsewhere.example>',
		        'RCPT TO:<u@example.org>', 'DATA')
		    s.expect('250/2.1.0 550/5.7.1 250/2.1.5 354')
		    s.lines('x', '.', 'QUIT')
		    s.expect('250/2.0.0 221/2.0.0')
		    s.ended()
		    told = b''
		    try:
		        while b'session' not in told:
		            told += log.recv(65536) + b'\n'
		    except TimeoutError:
		        live.fail(over, 'no session in the log:', told)
		    for want in b'refused', b'x@elsewhere.example', b'message id=':
		        if want not in told:
		            live.fail(over, want, told)
	P
	local python=python3
	[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
	launched
	# shellcheck disable=SC2016 # for bash
	PYTHONDONTWRITEBYTECODE=1 unshare -m bash -c '
	    mkdir dev && mount -t tmpfs none dev || exit 99
	    for f in null urandom; do
	        touch dev/$f && mount --bind /dev/$f dev/$f || exit 99
	    done
	    mount --move dev /dev || exit 99
	    exec "$@"' bash $python closed.py "$SMTPD" "${OPTS[@]}" 3>&-
	[ "$(count box/new)" = 2 ]
	# nor is it in the mail
	run ! grep -rq 'refused\|session' box/new
}

# ---- directories ----

# appears MAILDIR DIR...: with --maildir so, the DIRs are made, as Maildirs,
# when the session has begun: no mail gets there, and the log says why
appears() {
	local root=$1 d
	shift
	OPTS=(-n mx.example -d example.org -m "$root")
	connect
	for d; do
		mkdir -p "$d"/{tmp,new,cur}
	done
	attempt u@example.org
	# shellcheck disable=SC2154 # attempt sets it
	[[ $verdict = 451/* ]] || { echo "$root: $verdict"; return 1; }
	attempt u@example.org
	[[ $verdict = 451/* ]] || { echo "$root: $verdict"; return 1; }
	hangup
	[ "$status" = 75 ]
	[ -z "$(find "$@" -type f)" ]
	grep -q 'fault .*missing' log
	# the next session has it
	OPTS+=(-v)
	mail_to u@example.org
	[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]]
}

@test "maildir: one that is not there at the start gets no mail in that session" {
	appears missing missing
	appears "$PWD/missing2/below" missing2/below
}

@test "maildir: nor does one by a template whose root is not there" {
	appears 'missing/{user}' missing/{postmaster,u}
	appears "$PWD/missing2/{domain}/{user}" \
	    missing2/example.org/{postmaster,u}
}

# ---- who the client is ----

@test "client: TCPREMOTEIP without PROTO is its address" {
	export TCPREMOTEIP=192.0.2.7
	mail_to u@example.org
	[ "$status" = 0 ]
	[[ $(header Received) = *'[192.0.2.7]'* ]]
	grep -q 'client=\[192\.0\.2\.7\]' log
	export TCPREMOTEPORT=4321 TCPREMOTEHOST=mail.c.example
	rm box/new/*
	mail_to u@example.org
	[[ $(header Received) = *'(mail.c.example [192.0.2.7])'* ]]
	grep -q 'client=\[192\.0\.2\.7\]:4321' log
	# and it is no one at a keyboard: no domain is taken for given
	OPTS=(-n mx.example -m box)
	mail_to u@example.org
	[[ $(full_codes) = *' 550/5.7.1 '* ]]
}

@test "client: so it is over a socket that is another's" {
	export TCPREMOTEIP=2001:db8::7
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import sys
		import live
		s = live.Session(sys.argv[1:], 'tcp').greeted()
		s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>', 'DATA')
		s.expect('250/2.1.0 250/2.1.5 354')
		s.lines('x', '.', 'QUIT')
		s.expect('250/2.0.0 221/2.0.0')
		s.ended()
	P
	[[ $(header Received) = *'[IPv6:2001:db8::7]'* ]]
	run ! grep -q '127\.0\.0\.1' log
}

# ---- time that ran out ----

@test "program: a recipient whose run was not begun for want of time is named in the log" {
	local r
	mkdir spool
	cat >prog <<-'P'
		#!/bin/sh
		echo "$1" >>ran
		sleep 20
	P
	chmod 755 prog
	OPTS=(-n mx.example -d example.org --spool spool --program-timeout 1
	    ./prog '{recipient}')
	mail_to one@example.org two@example.org three@example.org
	[[ $(full_codes) = *' 354 451/4.3.0 221/2.0.0' ]]
	[ "$(cat ran)" = one@example.org ]
	for r in one two three; do
		# besides what the client was told
		grep "$r@example.org" log |
		    grep -v ': message \|: refused ' >of || {
			echo "nothing of $r"
			cat log
			false
		}
		[ "$(wc -l <of)" = 1 ]
		grep -q ' id=' of
	done
	OPTS=(--lmtp "${OPTS[@]}")
	say 'LHLO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<one@example.org>' \
	    'RCPT TO:<two@example.org>' DATA x . QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 451/4.3.0 451/4.3.0 221/2.0.0' ]
	for r in one two; do
		grep "$r@example.org" log |
		    grep -vq ': message \|: refused '
	done
}
