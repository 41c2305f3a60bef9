#!/usr/bin/env bats
# A write that fails is never forgotten: no 250 for a message with a hole (RFC 5321, 4.2.5, 6.1)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load program

# The places a message is written to: in OPTS what uses them, in $place where
# its files are.  A program leaves what it got in seen/.
into() {
	case $1 in
	Maildir)
		place=box
		OPTS=(-n mx.example -d example.org -m box) ;;
	spool)
		place=spool
		prog <<-SH
			cat >"$PWD/seen/\$\$"
		SH
		OPTS+=(./prog) ;;
	esac
}

# stored: the messages that are there
stored() {
	find box/new seen -type f 2>/dev/null
}

# whole FILE: one message is there, its end the bytes of FILE
whole() {
	local n
	n=$(stored | wc -l)
	[ "$n" = 1 ] || { echo "$n messages"; return 1; }
	tail -c "$(wc -c <"$1")" "$(stored)" | cmp - "$1"
}

# nothing_left: no message, and no part of one
nothing_left() {
	[ -z "$(find box spool seen -type f 2>/dev/null)" ]
}

# lines_of LENGTH: the file msg, of about 200 KB in lines of that length, no
# two of them alike
lines_of() {
	{
		printf 'Subject: lines of %s\n\n' "$1"
		seq -w 1 33333 | tr -d '\n' | fold -w "$1"
		echo
	} >msg
}

# letter_by DATA|BDAT: the file in, a session that sends the file msg
letter_by() {
	if [ "$1" = DATA ]; then
		letter_to u@example.org >in
		return
	fi
	sed 's/$/\r/' msg >chunk
	{
		printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<u@example.org>' "BDAT $(wc -c <chunk) LAST"
		cat chunk
		printf 'QUIT\r\n'
	} >in
}

# ---- a disk that is full for a moment ---------------------------------------

# a_moment DATA|BDAT: a message of one line of 900,000 octets; while the first
# two thirds of it comes, the disk it is written to is full.  $verdict is the reply,
# $second that to a small message after it, and the file left lists what was
# there in between.
a_moment() {
	need_root
	need unshare
	# shellcheck disable=SC2016 # for sh
	py "$1" "$place" unshare -m sh -c '
	    mount -t tmpfs -o size=4m,mode=1777 none "$0" || exit 9
	    mkdir -p box/tmp box/new; exec "$@"' "$place" \
	    "$SMTPD" "${OPTS[@]}" <<-'P' >verdicts
		import fcntl
		import os
		import re
		import subprocess
		import sys
		import talk

		how, place = sys.argv[1:3]
		THIRD = 300000
		r, w = os.pipe()
		# all of it fits in, so that smtpd has as much as it can take
		# with each read
		fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 1 << 20)
		child = subprocess.Popen(sys.argv[3:], stdin=r,
		    stdout=subprocess.PIPE, stderr=open('log', 'wb'))
		os.close(r)
		disk = '/proc/%d/cwd/%s' % (child.pid, place)

		def reply():
		    while True:
		        line = child.stdout.readline()
		        got = re.match(rb'(\d{3})( [245]\.\d+\.\d+)?[ \r]', line)
		        if got:
		            return line[:got.end()].strip().decode().replace(' ', '/')
		        if not line:
		            raise SystemExit('smtpd has ended')

		def ask(what, want=None):
		    os.write(w, what + b'\r\n')
		    got = reply()
		    if want and got != want:
		        raise SystemExit('%s: %s' % (what, got))
		    return got

		def send(what):
		    os.write(w, what)
		    if not talk.drained(w, child):
		        raise SystemExit('smtpd has ended')

		reply()
		ask(b'EHLO c.example', '250')
		ask(b'MAIL FROM:<a@c.example>', '250/2.1.0')
		ask(b'RCPT TO:<u@example.org>', '250/2.1.5')
		if how == 'DATA':
		    ask(b'DATA', '354')
		else:
		    # an empty chunk begins the message, and it is answered
		    ask(b'BDAT 0', '250/2.0.0')
		    send(b'BDAT %d LAST\r\n' % (3 * THIRD + 4))
		send(b'\r\n')
		try:
		    with open(disk + '/filler', 'wb', 0) as f:
		        while True:
		            f.write(bytes(4096))
		except OSError:
		    pass
		send(b'x' * THIRD)
		# a read later it is all written, or was not to be
		send(b'y' * (THIRD - 100))
		os.unlink(disk + '/filler')
		send(b'z' * THIRD)
		send(b'z' * 100 + b'\r\n')
		print(ask(b'.') if how == 'DATA' else reply())
		with open('left', 'w') as f:
		    for path, _, names in os.walk(disk):
		        f.write(''.join(path + '/' + n + '\n' for n in names))
		ask(b'MAIL FROM:<a@c.example>', '250/2.1.0')
		ask(b'RCPT TO:<u@example.org>', '250/2.1.5')
		ask(b'DATA', '354')
		print(ask(b'Subject: s\r\n\r\nb\r\n.'))
		ask(b'QUIT', '221/2.0.0')
		child.wait()
	P
	{ read -r verdict; read -r second; } <verdicts
}

@test "hole: a Maildir's disk that is full for a moment defers, and the next message is delivered" {
	local how
	for how in DATA BDAT; do
		into Maildir
		a_moment $how
		[ "$verdict" = 452/4.3.1 ] || { echo "$how: $verdict"; false; }
		[ ! -s left ]
		[ "$second" = 250/2.0.0 ]
	done
}

@test "hole: a spool's disk that is full for a moment defers, and the next message is delivered" {
	local how
	for how in DATA BDAT; do
		into spool
		a_moment $how
		[ "$verdict" = 452/4.3.1 ] || { echo "$how: $verdict"; false; }
		[ ! -s left ]
		[ "$second" = 250/2.0.0 ]
		# the program saw the second, and only that
		[ "$(stored | wc -l)" = 1 ]
		[ "$(body "$(stored)")" = b ]
		rm -r seen
	done
}

# ---- each write -------------------------------------------------------------

# every_write ERROR CODE: whichever one write of the message in the file in
# fails, the reply is CODE and nothing is left.  Leaves in $writes how many
# there were.
every_write() {
	local -a numbers
	local n name
	traced -y -e trace=write,writev,pwrite64,pwritev <in
	[ "$status" = 0 ] || { echo "no fault, and $(full_codes)"; return 1; }
	whole msg || return 1
	mapfile -t numbers < <(awk -v place="/$place/" '
	    { name = $0; sub(/\(.*/, "", name); seen[name]++ }
	    $1 ~ /^p?writev?(64)?\([0-9]+</ && index($1, place) {
		print name, seen[name] }' trace)
	for n in "${numbers[@]}"; do
		name=${n% *}
		n=${n#* }
		rm -rf seen box/new/*
		mkdir seen
		traced -e trace="$name" -e inject="$name":error="$1":when="$n" <in
		[[ " $(full_codes) " == *" $2 221/2.0.0 "* ]] ||
			{ echo "$name $n: $(full_codes)"; return 1; }
		nothing_left || { echo "$name $n: something is left"; return 1; }
	done
	rm -rf seen box/new/*
	mkdir seen
	writes=${#numbers[@]}
}

@test "hole: whichever write of a message fails, the message is deferred and nothing is left" {
	need strace
	local length how where error code
	mkdir seen spool
	for length in 70 200000; do
		lines_of $length
		for how in DATA BDAT; do
			letter_by $how
			for where in Maildir spool; do
				into $where
				every_write ENOSPC 452/4.3.1 ||
					{ echo "$length $how $where"; false; }
				# 200 KB by 64
				[ "$writes" -ge 3 ]
			done
		done
	done
}

@test "hole: the error of a write that was followed by others is the one that is told" {
	need strace
	mkdir seen spool
	lines_of 200000
	letter_by DATA
	into Maildir
	every_write EDQUOT 452/4.2.2
	every_write EIO 451/4.3.0
	[ "$writes" -ge 3 ]
}
