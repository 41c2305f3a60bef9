# helper.bash - what every suite starts from: an empty directory, a Maildir
# in it, and a few words to talk to smtpd with.
#
#	say LINE...	send the lines, CRLF ended, in one go
#	send <FILE	send bytes as they are (pipe or redirection)
#	dialogue <<S	lock-step: "C: text" sends, "S: glob" is the next reply line
#
# Each leaves the replies in the file `out`, the log in the file `log` and the
# exit status in $status.  The options are the array $OPTS.
#
# A pipe on standard input with no launcher's variable is what smtpd calls "by
# hand"; `launched` sets the variables tcpserver would.

bats_require_minimum_version 1.5.0

ROOT=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
: "${SMTPD:=$ROOT/smtpd}"
: "${DRIVER:=$ROOT/tests/parse_driver}"
[[ $SMTPD = /* ]] || SMTPD=$PWD/$SMTPD

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	unset PROTO TCPREMOTEIP TCPREMOTEPORT TCPREMOTEHOST TCPLOCALIP \
	    TCPLOCALPORT REMOTE_ADDR REMOTE_PORT REMOTE_HOST SOCAT_PEERADDR \
	    NCAT_REMOTE_ADDR RELAYCLIENT DATABYTES JOURNAL_STREAM NOTIFY_SOCKET
	mkdir -p box/tmp box/new box/cur
	OPTS=(-n mx.example -d example.org -m box)
}

# what tcpserver sets for a client at 192.0.2.7
launched() {
	export PROTO=TCP TCPREMOTEIP=192.0.2.7 TCPREMOTEPORT=4321 \
	    TCPLOCALIP=192.0.2.1 TCPLOCALPORT=25
}

# send: standard input, byte for byte
send() {
	status=0
	"$SMTPD" "${OPTS[@]}" >out 2>log 3>&- || status=$?
}

# say LINE...: each with CRLF, all in one write
say() {
	printf '%s\r\n' "$@" >in
	send <in
}

# by_program: from here on it is a program that puts messages into box, and
# not -m: mail may go anywhere from there.  Options come before this.
by_program() {
	local i
	printf '#!/bin/sh\nexec cat >"%s/box/new/$$"\n' "$PWD" >into
	chmod 755 into
	for i in "${!OPTS[@]}"; do
		[ "${OPTS[i]}" != -m ] || unset "OPTS[i]" "OPTS[i + 1]"
	done
	OPTS=("${OPTS[@]}" -- "$PWD/into")
}

# codes: the code of each reply, in one line
codes() {
	sed -n 's/^\([0-9][0-9][0-9]\) .*/\1/p; t; s/^\([0-9][0-9][0-9]\)\r*$/\1/p' \
	    "${1:-out}" | paste -sd ' ' -
}

# full_codes: as codes, with the enhanced code, such as 250/2.1.0
full_codes() {
	sed -nE 's/\r$//; t line
	    :line
	    s/^([0-9]{3}) ([245]\.[0-9]+\.[0-9]+)( .*)?$/\1\/\2/p; t
	    s/^([0-9]{3})( .*)?$/\1/p' "${1:-out}" | paste -sd ' ' -
}

# count DIR: how many files are in it
count() {
	find "$1" -mindepth 1 -type f | wc -l
}

# the one message in a Maildir's new/; fails if there are more or fewer
only_message() {
	local -a files=("${1:-box}"/new/*)
	[ ${#files[@]} = 1 ] && [ -f "${files[0]}" ] && printf '%s\n' "${files[0]}"
}

# body FILE: what stands behind the first empty line
body() {
	sed '1,/^$/d' "$1"
}

# nothing_kept: no message and no left-over in the Maildir
nothing_kept() {
	[ "$(count "${1:-box}")" = 0 ]
}

# deliver one message FILE (LF line ends, dots not doubled), pipelined
deliver() {
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		printf 'RCPT TO:<u@example.org>\r\nDATA\r\n'
		sed 's/^\./../; s/$/\r/' "$1"
		printf '.\r\nQUIT\r\n'
	} >in
	send <in
}

# dialogue: lock-step, through two fifos (a coprocess loses its last replies).
# "C: text" sends a line with CRLF, "S: glob" must match the next reply line,
# "! command" runs a command between, "EOF" closes the client's side,
# "# text" is a comment.
# shellcheck disable=SC2053 # what is wanted is a glob
dialogue() {
	local line got n=0 rc=0 in out pid
	rm -f dlg.in dlg.out
	mkfifo dlg.in dlg.out
	"$SMTPD" "${OPTS[@]}" <dlg.in >dlg.out 2>log 3>&- &
	pid=$!
	exec {in}>dlg.in {out}<dlg.out
	while [ $rc = 0 ] && IFS= read -r line; do
		n=$((n + 1))
		case $line in
		'C: '*)	printf '%s\r\n' "${line#C: }" >&"$in" ||
			{ echo "line $n: cannot send"; rc=1; } ;;
		'S: '*)	if ! IFS= read -r -t 10 -u "$out" got; then
				echo "line $n: no reply, wanted: ${line#S: }"
				rc=1
			elif [[ $got != *$'\r' ]]; then
				echo "line $n: reply without CR: $got"
				rc=1
			elif got=${got%$'\r'}; [[ $got != ${line#S: } ]]; then
				printf 'line %s: wanted: %s\n        got:    %s\n' \
				    "$n" "${line#S: }" "$got"
				rc=1
			fi ;;
		'! '*)	eval "${line#! }" || { echo "line $n: failed"; rc=1; } ;;
		EOF)	exec {in}>&- ;;
		''|'#'*) ;;
		*)	echo "line $n: what is '$line'?"; rc=2 ;;
		esac
	done
	{ exec {in}>&-; } 2>/dev/null
	if [ $rc = 0 ] && IFS= read -r -t 10 -u "$out" got; then
		echo "a reply too many: $got"
		rc=1
	fi
	exec {out}<&-
	[ $rc = 0 ] || kill "$pid" 2>/dev/null
	status=0
	wait "$pid" || status=$?
	return $rc
}

# need PROGRAM...: skip where one is missing; in CI, where all are installed, fail
need() {
	local p
	for p in "$@"; do
		if ! command -v "$p" >/dev/null 2>&1 && [ ! -x "$p" ]; then
			if [ -n "${CI:-}" ]; then
				echo "$p is missing, and this is CI" >&2
				return 1
			fi
			skip "$p is not installed"
		fi
	done
}

# need_root: skip (in CI: fail) where the test must be root
need_root() {
	if [ "$EUID" != 0 ]; then
		if [ -n "${CI:-}" ]; then
			echo "not root, and this is CI" >&2
			return 1
		fi
		skip 'only root can do this'
	fi
}

# eventually COMMAND...: true within ten seconds, asked ten times a second
eventually() {
	local i
	for i in {1..100}; do
		"$@" && return 0
		sleep 0.1
	done
	return 1
}

# table [LINE...] <<ROWS: one session that begins with the LINEs; then the
# rows "CODES LINE", each followed by the line $AFTER, if set; then QUIT.
# CODES is a glob for what full_codes makes of the reply.  In a row's line
# \xHH, \t and the like stand for bytes, and \\ for a backslash.  Says which
# rows got another reply, and fails unless each line got exactly one and the
# exit status was $STATUS, or 0.
table() {
	local want line i n bad=0 each=1
	local -a wants=() lines=() got=()
	[ -z "${AFTER:-}" ] || each=2
	: >in
	[ $# = 0 ] || printf '%s\r\n' "$@" >in
	while read -r want line; do
		case $want in ''|'#'*) continue ;; esac
		wants+=("$want")
		lines+=("$line")
		printf '%b\r\n' "$line" >>in
		[ $each = 1 ] || printf '%s\r\n' "$AFTER" >>in
	done
	[ ${#wants[@]} -gt 0 ] || { echo 'a table without rows'; return 2; }
	printf 'QUIT\r\n' >>in
	OPTS+=(-e 9999)
	send <in
	read -ra got <<<"$(full_codes out)"
	for i in "${!wants[@]}"; do
		n=$((1 + $# + i * each))
		# shellcheck disable=SC2053
		if [[ ${got[n]:-nothing} != ${wants[i]} ]]; then
			printf 'row %s: %s\n  wanted %s, got %s\n' $((i + 1)) \
			    "${lines[i]}" "${wants[i]}" "${got[n]:-nothing}"
			bad=1
		fi
	done
	n=$((1 + $# + ${#wants[@]} * each + 1))
	if [ ${#got[@]} != $n ] || [ "${got[-1]}" != 221/2.0.0 ]; then
		echo "${#got[@]} replies for $n, the last ${got[-1]}"
		bad=1
	fi
	[ "$status" = "${STATUS:-0}" ] || { echo "status $status"; bad=1; }
	return $bad
}

# starts_as_body FILE: its first line is neither empty nor a header field, so an
# empty line is put in front of it
starts_as_body() {
	[ -s "$1" ] && ! head -c 1100 "$1" | head -n 1 |
	    LC_ALL=C grep -aqE '^([!-9;-~]{1,1000}[ 	]*:|$)'
}

# stored_is WANT [DIR]: the one message kept is smtpd's header followed by
# exactly the bytes of the file WANT; by an empty line, first, if WANT begins
# with no field
stored_is() {
	local m n
	m=$(only_message "${2:-box}") || { echo 'not one message'; return 1; }
	if starts_as_body "$1"; then
		{ echo; cat "$1"; } >as_body
		set -- as_body "${2:-box}"
	fi
	n=$(($(wc -c <"$m") - $(wc -c <"$1")))
	[ $n -gt 0 ] || { echo 'the message is too short'; return 1; }
	tail -c "+$((n + 1))" "$m" | cmp - "$1" || return 1
	if head -c $n "$m" | grep -aEv \
	    '^(Return-Path|Delivered-To|Received):( |$)|^[ 	]+[^ 	]'; then
		echo 'is no header of ours'
		return 1
	fi
}

# header NAME [FILE]: the values of the fields NAME of a message, unfolded;
# of the one message kept, if no file is given
header() {
	sed '/^$/,$d' "${2:-$(only_message)}" |
	    sed -E -e ':a' -e '$!N' -e 's/\n[ 	]+/ /' -e 'ta' -e 'P' -e 'D' |
	    sed -n "s/^$1: //p"
}

# py ARG... <SCRIPT: a Python script that can import talk, below
py() {
	local python=python3
	# a version manager's python3 takes five times as long to start
	[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
	talk_py >talk.py
	PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 "$python" - "$@" 3>&-
}

# drip [N]: as send, but N bytes at a time (one, if not said), each piece
# written only when smtpd has read the one before
drip() {
	local data=${1:-1}
	cat >drip.in
	status=0
	py "$data" "$SMTPD" "${OPTS[@]}" <<-'P' || status=$?
		import sys
		import talk
		data = open('drip.in', 'rb').read()
		out, log, status = talk.run(sys.argv[2:], data, int(sys.argv[1]))
		open('out', 'wb').write(out)
		open('log', 'wb').write(log)
		sys.exit(status)
	P
}

# talk.py: to start smtpd, and to write to it in pieces
talk_py() {
	cat <<-'P'
		import fcntl
		import os
		import struct
		import subprocess
		import tempfile
		import termios
		import time

		LIMIT = 20    # seconds that no session here may last


		def unread(fd):
		    """how many bytes written to the pipe fd are not read yet"""
		    got = fcntl.ioctl(fd, termios.FIONREAD, b'\0\0\0\0')
		    return struct.unpack('i', got)[0]


		def drained(fd, child):
		    """wait until the child has read all of the pipe; False if it
		    has ended"""
		    end = time.monotonic() + LIMIT
		    while unread(fd):
		        if child.poll() is not None:
		            return False
		        if time.monotonic() > end:
		            child.kill()
		            raise SystemExit('smtpd does not read its input')
		        os.sched_yield()
		    return True


		def feed(fd, data, n, child):
		    """write data, n bytes at a time, each piece when the one
		    before has been read; False if the child ended before"""
		    try:
		        for i in range(0, len(data), n):
		            os.write(fd, data[i:i + n])
		            if not drained(fd, child):
		                return False
		    except BrokenPipeError:
		        return False
		    return True


		def ended(child):
		    """the child's exit status, as a shell has it"""
		    try:
		        status = child.wait(LIMIT)
		    except subprocess.TimeoutExpired:
		        child.kill()
		        raise SystemExit('smtpd does not end')
		    return status if status >= 0 else 128 - status


		def run(argv, data, n=0):
		    """a session of data, n bytes at a time, all at once if n is
		    0; its output, log and exit status"""
		    with tempfile.TemporaryFile(dir='.') as out, \
		            tempfile.TemporaryFile(dir='.') as log:
		        r, w = os.pipe()
		        child = subprocess.Popen(argv, stdin=r, stdout=out, stderr=log)
		        os.close(r)
		        feed(w, data, n or 65536, child)
		        os.close(w)
		        status = ended(child)
		        out.seek(0)
		        log.seek(0)
		        return out.read(), log.read(), status
	P
}

# A conversation, where a test must see one reply before it goes on:
#
#	connect		start smtpd (under "${WRAP[@]}", if set), say EHLO
#	ask LINE	send a line; $reply is then 250/2.1.0, or 354, or empty
#	attempt RCPT...	mail the file msg to them; $verdict is the first reply
#			that is no success, or the dot's; then RSET
#	hangup		QUIT; $status is then set

connect() {
	rm -f to from
	mkfifo to from
	"${WRAP[@]}" "$SMTPD" "${OPTS[@]}" <to >from 2>log 3>&- &
	server=$!
	exec {to}>to {from}<from
	trap '' PIPE
	receive && ask 'EHLO c.example'
}

# the next reply, whole
receive() {
	local line
	reply=
	while IFS= read -r -t 10 -u "$from" line; do
		line=${line%$'\r'}
		if [[ $line =~ ^([0-9]{3})(\ ([245]\.[0-9]+\.[0-9]+))?(\ .*)?$ ]]
		then
			reply=${BASH_REMATCH[1]}${BASH_REMATCH[3]:+/${BASH_REMATCH[3]}}
			return 0
		fi
	done
	return 1
}

ask() {
	printf '%s\r\n' "$1" >&"$to" || return 1
	receive
}

attempt() {
	local rcpt
	verdict=
	[ -e msg ] || printf 'Subject: a letter\n\nDear reader\n' >msg
	ask 'MAIL FROM:<a@c.example>'
	for rcpt in "$@"; do
		[[ $reply = 2* ]] && ask "RCPT TO:<$rcpt>"
	done
	[[ $reply = 2* ]] && ask DATA
	if [ "$reply" = 354 ]; then
		sed 's/^\./../; s/$/\r/' msg >&"$to"
		ask .
	fi
	# shellcheck disable=SC2034 # for the tests
	verdict=$reply
	ask RSET
}

hangup() {
	local rc=0
	ask QUIT || rc=1
	exec {to}>&- {from}<&-
	trap - PIPE
	status=0
	wait "$server" || status=$?
	return $rc
}

# traced OPTION...: as send, under strace; what it saw is in the file trace
traced() {
	status=0
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
	    strace -qq -o trace -s 512 "$@" "$SMTPD" "${OPTS[@]}" \
	    >out 2>log 3>&- || status=$?
}

# letter_to RCPT...: a pipelined session that mails the file msg (LF line ends)
letter_to() {
	[ -e msg ] || printf 'Subject: a letter\n\nDear reader\n' >msg
	printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
	printf 'RCPT TO:<%s>\r\n' "$@"
	printf 'DATA\r\n'
	sed 's/^\./../; s/$/\r/' msg
	printf '.\r\nQUIT\r\n'
}

# mail_to RCPT...: sends that
mail_to() {
	letter_to "$@" >in
	send <in
}

# converse HOST PORT LINE...: be a client over TCP, in lock-step: read the
# greeting, then send each LINE, with CRLF, when the reply before it is there.
# Prints every byte that the server said until it closed.
converse() (
	trap '' PIPE
	exec {fd}<>"/dev/tcp/$1/$2" || exit
	shift
	while [ $# != 0 ]; do
		line=
		until [[ $line =~ ^[0-9]{3}(\ |.?$) ]]; do
			IFS= read -r -t 20 -u "$fd" line || exit
			printf '%s\n' "$line"
		done
		shift
		[ $# = 0 ] || printf '%s\r\n' "$1" >&"$fd" || exit
	done
	timeout 20 cat <&"$fd"
)

# verify UNIT...: what systemd-analyze has to say about these files, whose names
# begin with smtpd.  It loads other units with them, and is not asked about
# those: which there are, and in what state, is the machine's affair.
verify() {
	local rc=0
	systemd-analyze verify --man=no "$@" >verify.out 2>&1 || rc=$?
	[ $rc -le 1 ] || { echo "systemd-analyze: status $rc"; return; }
	awk 'match($0, /^[^ ]*\.[a-z]+(\.d\/[^ ]*)?(:[0-9]+)?: /) &&
	    substr($0, 1, RLENGTH) ~ /\.(service|socket|target|mount|automount|swap|device|timer|path|slice|scope)(\.d\/|:)/ &&
	    substr($0, 1, RLENGTH) !~ /(^|\/)smtpd[@.]/ { next }
	    { print }' verify.out
}
