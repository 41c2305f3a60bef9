# held-up.bats - nothing holds a session up for ever: no log that nobody reads,
# no helper that cannot be killed, no list, however long; and a signal, or a
# client's end, is seen meanwhile
# smtpd(8): --log, --program-timeout, SIGNALS

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load live

teardown() {
	# what could not be killed by the program can be by us
	cat left* 2>/dev/null | xargs -r kill -KILL 2>/dev/null || :
}

# ---- a log that nobody reads ----

# full.py: full_pipe() is a pipe that takes nothing more
full_py() {
	cat <<-'P'
		import os
		import re
		import sys
		import time
		import live

		MAIL = ('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>')


		def full_pipe():
		    r, w = os.pipe()
		    os.set_blocking(w, False)
		    try:
		        while True:
		            os.write(w, b'.' * 4095 + b'\n')
		    except BlockingIOError:
		        pass
		    # smtpd's would not block either
		    os.set_blocking(w, True)
		    return r, w


		def mail(s, what=''):
		    """in lock-step; no log is waited for before the reply"""
		    s.lines(*MAIL, 'DATA')
		    s.expect('250/2.1.0 250/2.1.5 354', 5, what + ' envelope')
		    s.lines('Subject: x', '', 'x', '.')
		    s.expect('250/2.0.0', 0.7, what + ' dot')


		def read_all(r):
		    got = b''
		    while True:
		        more = os.read(r, 65536)
		        if not more:
		            return got.decode()
		        got += more


		def drain(r):
		    os.set_blocking(r, False)
		    try:
		        while os.read(r, 65536):
		            pass
		    except BlockingIOError:
		        pass
		    os.set_blocking(r, True)
	P
}

@test "held up: with a full pipe on fd 2 mail comes, and the session ends" {
	full_py >full.py
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		from full import *
		for over in 'socket', 'pipe':
		    r, w = full_pipe()
		    began = time.monotonic()
		    s = live.Session(sys.argv[1:], over, stderr=w).greeted()
		    mail(s, over)
		    s.lines('QUIT')
		    s.expect('221/2.0.0', 2)
		    if s.ended(3) != 0 or time.monotonic() - began > 3.5:
		        live.fail('too late:', time.monotonic() - began)
	P
	[ "$(count box/new)" = 2 ]
}

@test "held up: many lines that a full pipe does not take are not waited for one by one" {
	full_py >full.py
	live "$SMTPD" "${OPTS[@]}" -v <<-'P'
		from full import *
		r, w = full_pipe()
		began = time.monotonic()
		s = live.Session(sys.argv[1:], stderr=w).greeted()
		for i in range(5):
		    s.lines('FOO')
		    s.expect('500/5.5.1', 2)
		s.lines('QUIT')
		s.expect('221/2.0.0', 2)
		s.ended(3)
		if time.monotonic() - began > 4:
		    live.fail('too late:', time.monotonic() - began)
	P
}

@test "held up: SIGTERM is heard while fd 2 is a full pipe" {
	full_py >full.py
	live "$SMTPD" "${OPTS[@]}" -v <<-'P'
		from full import *
		for after in 0, 0.2:
		    r, w = full_pipe()
		    s = live.Session(sys.argv[1:], stderr=w).greeted()
		    s.lines('FOO')
		    s.expect('500/5.5.1', 2)
		    time.sleep(after)
		    s.terminate()
		    s.expect('421/4.3.2', 1.5)
		    if s.ended(3) != 1:
		        live.fail('status')
	P
}

@test "held up: read again, the log says how many lines are missing" {
	full_py >full.py
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		from full import *
		r, w = full_pipe()
		s = live.Session(sys.argv[1:], stderr=w).greeted()
		os.close(w)
		for i in range(3):
		    s.lines('FOO%s' % 'ABC'[i])
		    s.expect('500/5.5.1', 3)
		# what is waited for now is dropped, at last
		time.sleep(1.2)
		s.lines('NOOP')
		s.expect('250/2.0.0', 3)
		drain(r)
		for i in range(2):
		    s.lines('FOO%s' % 'DE'[i])
		    s.expect('500/5.5.1', 2)
		s.lines('QUIT')
		s.expect('221/2.0.0', 2)
		s.ended(3)
		log = read_all(r)
		print(log)
		m = re.search(r'(?:missing|dropped|lost|skipped)[^0-9\n]*(\d+)|'
		    r'(\d+) [a-z ]*(?:missing|dropped|lost|skipped)', log)
		if not m:
		    live.fail('nothing is said of those that are not there')
		there = len(re.findall('refused client|session client', log))
		missing = int(m[1] or m[2])
		if missing < 1 or there + missing != 6:
		    live.fail(there, 'and', missing, 'for six lines')
		# the note is in the first line that went out, or is that
		if 'FOOE' not in log or log.index(m[0]) > log.index('FOOE'):
		    live.fail('it comes late')
		for line in log.splitlines():
		    if not re.match(r'smtpd\[\d+\]: [a-z-]+ ', line):
		        live.fail('no whole line:', line)
	P
}

@test "held up: sessions that share a full pipe end, all of them, and deliver" {
	full_py >full.py
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		from full import *
		r, w = full_pipe()
		began = time.monotonic()
		all = [live.Session(sys.argv[1:], stderr=w) for i in range(5)]
		for s in all:
		    s.greeted()
		for s in all:
		    s.lines(*MAIL, 'FOO', 'DATA')
		for s in all:
		    s.expect('250/2.1.0 250/2.1.5 500/5.5.1 354', 3)
		# room for a line or two of one of them: the others must not hang on it
		os.read(r, 4096)
		for s in all:
		    s.lines('Subject: x', '', 'x', '.')
		for s in all:
		    s.expect('250/2.0.0', 1.5)
		for s in all:
		    s.lines('QUIT')
		for s in all:
		    s.expect('221/2.0.0', 3)
		    s.ended(3)
		if time.monotonic() - began > 6:
		    live.fail('too late:', time.monotonic() - began)
	P
	[ "$(count box/new)" = 5 ]
}

@test "held up: with a /dev/log that nobody reads mail comes, and SIGTERM is heard" {
	need_root
	need unshare
	full_py >full.py
	live_py >live.py
	talk_py >talk.py
	cat >held.py <<-'P'
		import socket
		from full import *
		# nobody reads it, and it is full
		log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		log.bind('/dev/log')
		fill = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		fill.setblocking(False)
		fill.connect('/dev/log')
		try:
		    while True:
		        fill.send(b'x' * 100)
		except BlockingIOError:
		    pass
		began = time.monotonic()
		s = live.Session(sys.argv[1:]).greeted()
		mail(s)
		s.lines('QUIT')
		s.expect('221/2.0.0', 2)
		s.ended(3)
		if time.monotonic() - began > 3.5:
		    live.fail('too late:', time.monotonic() - began)
		s = live.Session(sys.argv[1:]).greeted()
		s.lines('FOO')
		s.expect('500/5.5.1', 2)
		s.terminate()
		s.expect('421/4.3.2', 1.5)
		s.ended(3)
	P
	local python=python3
	[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
	# shellcheck disable=SC2016 # for bash
	PYTHONDONTWRITEBYTECODE=1 unshare -m bash -c '
	    mkdir dev && mount -t tmpfs none dev || exit 99
	    for f in null urandom; do
	        touch dev/$f && mount --bind /dev/$f dev/$f || exit 99
	    done
	    mount --move dev /dev || exit 99
	    exec "$@"' bash $python held.py "$SMTPD" "${OPTS[@]}" \
	    --log syslog 3>&-
	[ "$(count box/new)" = 1 ]
}

# ---- helpers that kill(2) may not touch ----

# untouchable: the program ./untouchable is root's whoever runs it, and sleeps;
# it leaves its process ID in a file
untouchable() {
	need_root
	need cc setpriv
	cat >untouchable.c <<-'C'
		#define _GNU_SOURCE
		#include <stdio.h>
		#include <unistd.h>
		int main(void)
		{
			char name[40];
			FILE *f;
			if (setresuid(0, 0, 0) == -1)
				return 1;
			snprintf(name, sizeof(name), "left.%d", (int)getpid());
			f = fopen(name, "w");
			fprintf(f, "%d\n", (int)getpid());
			fclose(f);
			sleep(60);
			return 0;
		}
	C
	cc -o untouchable untouchable.c
	chmod 4755 untouchable
	chmod 755 .
	mkdir -m 777 spool
	chmod 777 box/*
	# where set-id programs have no such leave, nothing can be tried
	setpriv --reuid=65534 --regid=65534 --clear-groups \
	    ./untouchable 3>&- & local pid=$!
	eventually compgen -G 'left.*' >/dev/null || skip 'set-id is not to be had'
	kill -KILL $pid
	wait $pid || :
	rm left.*
	NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	NOBODY+=("$SMTPD" -n mx.example -d example.org)
}

@test "held up: a program that may not be killed is left, 451, and the log says so" {
	untouchable
	live "${NOBODY[@]}" --spool spool --program-timeout 1 ./untouchable <<-'P'
		import os
		import sys
		import time
		import live
		s = live.Session(sys.argv[1:]).greeted()
		s.lines('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>', 'DATA')
		s.expect('250/2.1.0 250/2.1.5 354')
		s.lines('x', '.')
		began = time.monotonic()
		s.expect('451/4.3.0', 8)
		if time.monotonic() - began < 0.9:
		    live.fail('it was not waited for')
		s.lines('NOOP', 'QUIT')
		s.expect('250/2.0.0 221/2.0.0', 2)
		if s.ended(3) != 75:
		    live.fail('status')
		left = [int(f[5:]) for f in os.listdir('.') if f[:5] == 'left.']
		if len(left) != 1 or live.gone(left[0]):
		    live.fail('it does not live on', left)
	P
	grep -qiE 'lives|alive|still|not permitted' log
}

@test "held up: so is a checkpassword program, 454; and SIGTERM is heard before" {
	hasty
	untouchable
	live "${NOBODY[@]}" -m box --auth ./untouchable --secured <<-'P'
		import sys
		import time
		import live
		s = live.Session(sys.argv[1:]).greeted()
		s.lines('AUTH PLAIN AGFsaWNlAHNlY3JldA==')
		s.expect('454/4.7.0', 8)
		s.close()
		s.ended(3)
		s = live.Session(sys.argv[1:]).greeted()
		s.lines('AUTH PLAIN AGFsaWNlAHNlY3JldA==')
		# it is dead to the world: past the limit, and not given up yet
		time.sleep(1.5)
		s.terminate()
		s.expect('421/4.3.2', 1.5)
		s.ended(7)
	P
	grep -qiE 'lives|alive|still|not permitted' log
}

# ---- long lists ----

# a_million WORD: the file list, a million of that word, numbered
a_million() {
	seq -f "$1" 1000000 >list
}

@test "held up: SIGTERM is heard while pipelined RCPTs are looked up in a long list" {
	a_million user%.0f@example.org
	live "$SMTPD" "${OPTS[@]}" -u list -e 1000000 -r 10000 <<-'P'
		import sys
		import time
		import live
		s = live.Session(sys.argv[1:]).greeted()
		s.lines('MAIL FROM:<a@c.example>')
		s.expect('250/2.1.0')
		rcpts = b''.join(b'RCPT TO:<nobody%d@example.org>\r\n' % i
		    for i in range(10000))[:65000]
		s.send(rcpts)
		time.sleep(0.3)
		s.terminate()
		began = time.monotonic()
		got = 'nothing'
		while True:
		    now = s.reply(max(0, began + 1.3 - time.monotonic()))
		    if now == 'end':
		        break
		    if now == 'nothing':
		        live.fail('no end after 1.3 s, the last was', got)
		    got = now
		if got != '421/4.3.2':
		    live.fail('the last was', got)
		if s.ended(1) != 1:
		    live.fail('status')
	P
}

@test "held up: a million users, or domains, cost a RCPT some milliseconds" {
	local python='
		import resource
		import sys
		import live
		s = live.Session(sys.argv[2:]).greeted()
		s.lines("MAIL FROM:<a@c.example>")
		s.expect("250/2.1.0")
		# half of them are at the end of the list, half are not there
		s.lines(*("RCPT TO:<%s>" % (sys.argv[1] % (999900 + i))
		    for i in range(200)))
		s.expect(" ".join(["250/2.1.5"] * 101 + ["550/*"] * 99), 60)
		s.lines("QUIT")
		s.expect("221/2.0.0")
		s.ended()
		# its own time, for others may be at work here
		used = resource.getrusage(resource.RUSAGE_CHILDREN)
		if used.ru_utime + used.ru_stime > 3:
		    live.fail("%.1f s" % (used.ru_utime + used.ru_stime))
	'
	python=${python//$'\n\t\t'/$'\n'}
	# a build with sanitizers costs a hundred times as much
	SMTPD=$ROOT/smtpd
	a_million user%.0f@example.org
	live user%d@example.org "$SMTPD" "${OPTS[@]}" -u list -e 1000 <<<"$python"
	a_million d%.0f.example
	live u@d%d.example "$SMTPD" -n mx.example -m box -d @list -e 1000 \
	    <<<"$python"
}

@test "held up: the same question has the same answer for the whole session" {
	printf 'u@example.org\n' >list
	OPTS+=(-u list)
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	# shellcheck disable=SC2154 # ask sets it
	[ "$reply" = 250/2.1.5 ]
	printf 'v@example.org\n' >list.new
	mv list.new list
	ask 'RCPT TO:<u@example.org>'
	[ "$reply" = 250/2.1.5 ]
	hangup
}

# ---- a signal, or the client's end, while a helper is waited for ----

# sleeper: the program ./sleeper, that does not go before it must, has two
# processes, and leaves their IDs
sleeper() {
	cat >sleeper <<-P
		#!/bin/sh
		trap '' TERM HUP INT
		sleep 60 &
		echo \$\$ \$! >$PWD/left.\$\$
		wait
	P
	chmod 755 sleeper
	# one behind a socket, too
	cat >server.py <<-'P'
		import os
		import socket
		s = socket.socket(socket.AF_UNIX)
		s.bind('policy')
		s.listen(5)
		with open('left.server', 'w') as f:
		    f.write('%d\n' % os.getpid())
		kept = []
		while True:
		    kept.append(s.accept())
	P
	python3 server.py 3>&- &
	eventually test -S policy
	eventually test -s left.server
}

# held.py: WAITS, each a name, options and what is said; and asked(s, lines) says
# it and waits until the helper is there: the IDs it left
held_py() {
	cat <<-'P'
		import glob
		import os
		import sys
		import time
		import live

		RCPT = ('MAIL FROM:<a@c.example>', 'RCPT TO:<u@example.org>')
		AUTH = ('AUTH PLAIN AGFsaWNlAHNlY3JldA==',)
		WAITS = [
		    ('AUTH', ['--auth', './sleeper', '--secured'], AUTH),
		    ('policy program', ['--policy', './sleeper'], RCPT),
		    ('policy server', ['--policy', os.getcwd() + '/policy'], RCPT),
		]


		def ids():
		    return [int(p) for f in glob.glob('left.[0-9]*')
		        for p in open(f).read().split()]


		def asked(s, options, lines):
		    for f in glob.glob('left.[0-9]*'):
		        os.unlink(f)
		    s.lines(*lines)
		    if lines is RCPT:
		        s.expect('250/2.1.0')
		    if './sleeper' in options:
		        if not live.until(lambda: len(ids()) == 2, 5):
		            live.fail('no helper')
		    else:
		        time.sleep(0.3)
		    return ids()


		def all_gone(what, left, within):
		    if not live.until(lambda: all(map(live.gone, left)), within):
		        live.fail(what, ': a helper lives on')
	P
}

@test "held up: SIGTERM while a helper is waited for is 421 4.3.2, and ends the helper" {
	sleeper
	held_py >held.py
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		from held import *
		for name, options, lines in WAITS:
		    s = live.Session([*sys.argv[1:], *options]).greeted()
		    left = asked(s, options, lines)
		    s.terminate()
		    s.expect('421/4.3.2', 1.5, name)
		    if s.ended(3, name) != 1:
		        live.fail(name, 'status')
		    all_gone(name, left, 0.5)
	P
}

@test "held up: a client that goes while a helper is waited for is noticed" {
	sleeper
	held_py >held.py
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		from held import *
		for over in 'socket', 'tcp':
		    for name, options, lines in WAITS:
		        what = name + ', ' + over
		        s = live.Session([*sys.argv[1:], *options], over).greeted()
		        left = asked(s, options, lines)
		        s.close()
		        s.ended(2, what)
		        all_gone(what, left, 0.5)
	P
	nothing_kept
}

@test "held up: a client that has said all, and waits for the replies, has not gone" {
	cat >policy.sh <<-'P'
		#!/bin/sh
		while read -r line; do
			[ -n "$line" ] || { sleep 0.5; printf 'action=DUNNO\n\n'; }
		done
	P
	chmod 755 policy.sh
	OPTS+=(--policy ./policy.sh)
	live "$SMTPD" "${OPTS[@]}" <<-'P'
		import socket
		import sys
		import live
		for over in 'socket', 'tcp':
		    s = live.Session(sys.argv[1:], over)
		    s.lines('EHLO c.example', 'MAIL FROM:<a@c.example>',
		        'RCPT TO:<u@example.org>', 'DATA', 'x', '.', 'QUIT')
		    s.sock.shutdown(socket.SHUT_WR)
		    s.expect('220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0', 5)
		    if s.ended(2) != 0:
		        live.fail('status')
	P
	[ "$(count box/new)" = 2 ]
}

# ---- a policy program that does not end ----

@test "held up: a policy program that hangs is gone with its session, however that ends" {
	cat >hangs <<-P
		#!/bin/sh
		trap '' TERM HUP INT
		while read -r line; do
			[ -n "\$line" ] || { printf 'action=DUNNO\n\n'; break; }
		done
		sleep 1000 &
		echo \$\$ \$! >$PWD/left.\$\$
		sleep 1000
	P
	chmod 755 hangs
	held_py >held.py
	live "$SMTPD" "${OPTS[@]}" -e 1 --policy ./hangs <<-'P'
		from held import *
		for how in 'QUIT', 'errors', 'SIGTERM', 'close':
		    s = live.Session(sys.argv[1:]).greeted()
		    for f in glob.glob('left.[0-9]*'):
		        os.unlink(f)
		    s.lines(*RCPT)
		    s.expect('250/2.1.0 250/2.1.5', 2)
		    if not live.until(lambda: len(ids()) == 2, 5):
		        live.fail('no helper')
		    left = ids()
		    if how == 'QUIT':
		        s.lines('QUIT')
		        s.expect('221/2.0.0', 1, how)
		    elif how == 'errors':
		        s.lines('FOO', 'FOO')
		        s.expect('500/5.5.1 421/4.7.0', 1, how)
		    elif how == 'SIGTERM':
		        s.terminate()
		        s.expect('421/4.3.2', 1, how)
		    else:
		        s.close()
		    s.ended(4, how)
		    all_gone(how, left, 0.5)
	P
}

@test "held up: one that hangs in the middle of a question is gone, too" {
	hasty
	sleeper
	held_py >held.py
	live "$SMTPD" "${OPTS[@]}" --policy ./sleeper <<-'P'
		from held import *
		s = live.Session(sys.argv[1:]).greeted()
		left = asked(s, sys.argv, RCPT)
		s.expect('451/4.3.5', 2)
		s.lines('QUIT')
		s.expect('221/2.0.0', 2)
		s.ended(4)
		all_gone('', left, 0.5)
	P
}

@test "held up: one that ends with its input may do what it has to" {
	cat >tidy <<-P
		#!/bin/sh
		while read -r line; do
			[ -n "\$line" ] || printf 'action=DUNNO\n\n'
		done
		sleep 0.3
		echo ended >$PWD/ended
	P
	chmod 755 tidy
	OPTS+=(--policy ./tidy)
	mail_to u@example.org
	[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]]
	eventually test -s ended
}

# ---- a call that does not come back (a file server that is dead) ----

# dead_disk: from the file ./dead on, fsync never comes back
dead_disk() {
	need cc
	cat >dead.c <<-'C'
		#include <unistd.h>

		int
		fsync(int fd)
		{
			(void)fd;
			while (access("dead", F_OK) == 0)
				pause();
			return 0;
		}
	C
	cc -shared -fPIC -o dead.so dead.c
	hasty
}

@test "held up: a call that does not come back ends the session at last" {
	dead_disk
	touch dead
	letter_to u@example.org >in
	SECONDS=0
	LD_PRELOAD=$PWD/dead.so timeout -k 1 20 "$SMTPD" "${OPTS[@]}" \
	    <in >out 2>log && status=0 || status=$?
	# by SIGALRM, and with no 250
	[ "$status" = 142 ]
	[ $SECONDS -ge 1 ] && [ $SECONDS -lt 8 ]
	[ "$(codes)" = '220 250 250 250 354' ]
	[ "$(count box/new)" = 0 ]
	rm dead
	LD_PRELOAD=$PWD/dead.so "$SMTPD" "${OPTS[@]}" <in >out 2>log
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
}

@test "held up: a wait has limits of its own, and is no such call" {
	hasty
	# twice as long as a call may take; by hand no session is too long
	{ sleep 4; printf 'NOOP\r\nQUIT\r\n'; } | "$SMTPD" "${OPTS[@]}" >out 2>log
	[ "$(codes)" = '220 250 221' ]
}
