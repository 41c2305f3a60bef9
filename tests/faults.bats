#!/usr/bin/env bats
# Faults of ours: 4xx, nothing left behind, the session goes on (RFC 5321, 4.2.1, 4.2.5, 6.1)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load helper

# under_strace OPTION...: what connect starts is traced
under_strace() {
	need strace
	WRAP=(env ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
	    strace -qq -o trace "$@")
}

# deferred CODE: attempt u@example.org gets it, and leaves nothing
deferred() {
	attempt u@example.org
	[ "$verdict" = "$1" ] || { echo "$verdict, not $1"; return 1; }
	nothing_kept
}

# delivered: attempt u@example.org gets through, into the one file
delivered() {
	attempt u@example.org
	[ "$verdict" = 250/2.0.0 ] || { echo "$verdict, not 250"; return 1; }
	[ "$(count box/new)" = 1 ] && [ "$(count box)" = 1 ]
}

# large: a message of about 200 KB
large() {
	printf 'Subject: large\n\n' >msg
	head -c 200000 /dev/zero | tr '\0' x | fold >>msg
	echo >>msg
}

small() {
	printf 'Subject: small\n\nshort\n' >msg
}

# ---- directories -----------------------------------------------------------

@test "faults: without tmp/ a message is deferred, and with it the next is delivered" {
	rmdir box/tmp
	connect
	deferred 451/4.3.0
	deferred 451/4.3.0
	mkdir box/tmp
	delivered
	hangup
	[ "$status" = 75 ]
}

@test "faults: without new/ a message is deferred, and with it the next is delivered" {
	rmdir box/new
	connect
	deferred 451/4.3.0
	mkdir box/new
	delivered
	hangup
	[ "$status" = 75 ]
}

@test "faults: tmp/ or new/ that is a file is a fault of ours" {
	rmdir box/tmp
	echo x >box/tmp
	connect
	attempt u@example.org
	[ "$verdict" = 451/4.3.0 ]
	rm box/tmp
	mkdir box/tmp
	rmdir box/new
	echo x >box/new
	attempt u@example.org
	[ "$verdict" = 451/4.3.0 ]
	[ "$(count box/tmp)" = 0 ]
	[ "$(cat box/new)" = x ]
	rm box/new
	mkdir box/new
	delivered
	hangup
	[ "$status" = 75 ]
}

@test "faults: new/ that vanishes while the message comes defers it, and the next is delivered" {
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	ask DATA
	[ "$reply" = 354 ]
	rmdir box/new
	ask $'Subject: s\r\n\r\nb\r\n.'
	[ "$reply" = 451/4.3.0 ]
	nothing_kept
	mkdir box/new
	delivered
	hangup
	[ "$status" = 75 ]
}

@test "faults: without any Maildir a message is deferred, and none is made" {
	rm -r box
	connect
	attempt u@example.org
	[ "$verdict" = 451/4.3.0 ]
	hangup
	[ "$status" = 75 ]
	[ ! -e box ]
}

@test "faults: a Maildir that is a file is a fault of ours" {
	rm -r box
	echo x >box
	connect
	attempt u@example.org
	[ "$verdict" = 451/4.3.0 ]
	hangup
	[ "$status" = 75 ]
	[ "$(cat box)" = x ]
}

@test "faults: a Maildir that may not be written is a fault of ours" {
	need_root
	need setpriv
	cp "$SMTPD" ./smtpd.copy
	chmod 755 . box smtpd.copy
	chmod 777 box/new box/cur
	SMTPD=./smtpd.copy
	WRAP=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	connect
	deferred 451/4.3.0
	chmod 777 box/tmp
	chmod 755 box/new
	deferred 451/4.3.0
	chmod 777 box/new
	delivered
	hangup
	[ "$status" = 75 ]
	[ "$(stat -c %u "$(only_message)")" = 65534 ]
}

@test "faults: a read-only file system is a fault of ours" {
	need_root
	need unshare
	WRAP=(unshare -m sh -c 'mount --bind box box &&
	    mount -o remount,ro,bind box && exec "$@"' sh)
	connect
	deferred 451/4.3.0
	deferred 451/4.3.0
	hangup
	[ "$status" = 75 ]
}

@test "faults: a session under which the Maildir fails is told so in the log, with the errno" {
	rmdir box/tmp
	connect
	attempt u@example.org
	hangup
	grep -E 'No[^=]*such[^=]*file' log
}

# ---- space -----------------------------------------------------------------

# on_tmpfs OPTIONS: connect, with a tmpfs of these options as the Maildir; at
# the end the file left lists what is in its tmp/, and kept what is in new/
on_tmpfs() {
	need_root
	need unshare
	# shellcheck disable=SC2016 # for sh
	WRAP=(unshare -m sh -c 'mount -t tmpfs -o "$1" none box || exit 9; shift
	    mkdir box/tmp box/new; "$@"; rc=$?; find box/tmp -type f >left
	    find box/new -type f >kept; exit $rc' sh "$1")
	connect
}

@test "faults: a full disk defers a message, and a smaller one is delivered" {
	large
	on_tmpfs size=64k
	attempt u@example.org
	[ "$verdict" = 452/4.3.1 ]
	small
	attempt u@example.org
	[ "$verdict" = 250/2.0.0 ]
	large
	attempt u@example.org
	[ "$verdict" = 452/4.3.1 ]
	hangup
	[ "$status" = 75 ]
	[ ! -s left ]
	[ "$(wc -l <kept)" = 1 ]
}

@test "faults: a disk that fills within the first block defers too" {
	on_tmpfs size=4k
	printf 'Subject: s\n\n' >msg
	head -c 6000 /dev/zero | tr '\0' x | fold >>msg
	echo >>msg
	attempt u@example.org
	[ "$verdict" = 452/4.3.1 ]
	hangup
	[ "$status" = 75 ]
	[ ! -s left ]
	[ ! -s kept ]
}

@test "faults: a disk without a free inode defers a message" {
	# the root, tmp/ and new/ are three
	on_tmpfs size=1m,nr_inodes=3
	attempt u@example.org
	[ "$verdict" = 452/4.3.1 ]
	hangup
	[ "$status" = 75 ]
	[ ! -s kept ]
}

@test "faults: SIZE over the free space is deferred at MAIL, and never refused" {
	on_tmpfs size=64k
	ask 'MAIL FROM:<a@c.example> SIZE=1000000'
	[ "$reply" = 452/4.3.1 ]
	ask 'MAIL FROM:<a@c.example> SIZE=1000'
	[ "$reply" = 250/2.1.0 ]
	hangup
}

@test "faults: a limit on the size of files defers a message, and a smaller one is delivered" {
	large
	WRAP=(bash -c 'ulimit -f 64; exec "$@"' bash)
	connect
	attempt u@example.org
	[[ $verdict == 45[12]/4.* ]]
	nothing_kept
	small
	delivered
	hangup
	[ "$status" = 75 ]
}

@test "faults: a limit on open files at start leaves no message half done" {
	local n
	letter_to u@example.org >in
	for n in 3 4 5 6; do
		rm -f box/new/*
		(ulimit -n $n; exec "$SMTPD" "${OPTS[@]}" <in) >out 2>log || true
		if grep -q '^250 2\.0\.0 .*P.*Q' out; then
			only_message
		else
			nothing_kept
		fi
	done
}

# ---- errors of single calls ------------------------------------------------

# find_call CALLS PATTERN: the first of these calls, in a delivery of the file
# in, whose line matches PATTERN: sets name to the call and n to its number
find_call() {
	traced -y -e trace="$1" <in
	rm -f box/new/*
	read -r name n < <(awk -v pattern="$2" '{ name = $0; sub(/\(.*/, "", name)
	    seen[name]++ } $0 ~ pattern { print name, seen[name]; exit }' trace)
}

@test "faults: an error of the first fsync, the file's, defers; the next message is delivered" {
	under_strace -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO:when=1
	connect
	deferred 451/4.3.0
	delivered
	hangup
	[ "$status" = 75 ]
}

@test "faults: an error of the second fsync, the directory's, defers and takes the file back" {
	under_strace -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO:when=2
	connect
	deferred 451/4.3.0
	delivered
	hangup
	[ "$status" = 75 ]
}

@test "faults: no fsync is tried again after an error" {
	under_strace -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO
	connect
	deferred 451/4.3.0
	hangup
	[ "$status" = 75 ]
	[ "$(grep -c '^f[a-z]*sync' trace)" = 1 ]
}

@test "faults: a full disk that shows at fsync is a full disk, a quota a quota" {
	under_strace -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=ENOSPC:when=1
	connect
	deferred 452/4.3.1
	hangup
	under_strace -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EDQUOT:when=1
	connect
	deferred 452/4.2.2
	delivered
	hangup
	[ "$status" = 75 ]
}

@test "faults: an error of link defers; the next message is delivered" {
	local error
	for error in EIO EXDEV EROFS; do
		rm -f box/new/*
		under_strace -e trace=link,linkat -e inject=link,linkat:error=$error:when=1
		connect
		deferred 451/4.3.0
		delivered
		hangup
		[ "$status" = 75 ]
	done
}

@test "faults: link says the disk is full, or the quota is: so does the reply" {
	under_strace -e trace=link,linkat -e inject=link,linkat:error=ENOSPC:when=1
	connect
	deferred 452/4.3.1
	hangup
	under_strace -e trace=link,linkat -e inject=link,linkat:error=EDQUOT:when=1
	connect
	deferred 452/4.2.2
	delivered
	hangup
}

@test "faults: names that exist, however often, never end in a refusal or a loop" {
	under_strace -e trace=link,linkat -e inject=link,linkat:error=EEXIST
	connect
	deferred 451/4.3.0
	hangup
	[ "$status" = 75 ]
	[ "$(grep -c '^link' trace)" -le 10 ]
}

@test "faults: one name that exists defers, or the next is taken" {
	under_strace -e trace=link,linkat -e inject=link,linkat:error=EEXIST:when=1
	connect
	attempt u@example.org
	case $verdict in
	250/2.0.0)	only_message ;;
	451/4.3.0)	nothing_kept; delivered ;;
	*)		false ;;
	esac
	[ "$(count box/tmp)" = 0 ]
	hangup
}

@test "faults: an error of write defers with the reply of its kind, and the next message is delivered" {
	need strace
	letter_to u@example.org >in
	local name n error code
	find_call write,writev,pwrite64 '/tmp/[^/>]+>'
	while read -r error code; do
		traced -e trace="$name" -e inject="$name":error="$error":when="$n" <in
		[ "$(full_codes)" = "220 250 250/2.1.0 250/2.1.5 354 $code 221/2.0.0" ]
		[ "$status" = 75 ]
		nothing_kept
	done <<-S
	ENOSPC 452/4.3.1
	EDQUOT 452/4.2.2
	EIO 451/4.3.0
	S
	send <in
	only_message
}

@test "faults: an interrupted write is done again" {
	need strace
	local name n
	large
	letter_to u@example.org >in
	find_call write,writev,pwrite64 '/tmp/[^/>]+>'
	traced -e trace="$name" -e inject="$name":error=EINTR:when="$n" <in
	[[ $(full_codes) == *' 354 250/2.0.0 221/2.0.0' ]]
	body "$(only_message)" >got
	body msg | cmp - got
}

@test "faults: an interrupted fsync is done again" {
	need strace
	letter_to u@example.org >in
	local n
	for n in 1 2; do
		rm -f box/new/*
		traced -e trace=fsync,fdatasync \
		    -e inject=fsync,fdatasync:error=EINTR:when=$n <in
		[[ $(full_codes) == *' 354 250/2.0.0 221/2.0.0' ]]
		only_message
	done
}

@test "faults: an interrupted read is done again" {
	need strace
	letter_to u@example.org >in
	local name n
	find_call read,readv,recvfrom '^[a-z]*\(0<'
	traced -e trace="$name" -e inject="$name":error=EINTR:when="$n" <in
	[[ $(full_codes) == *' 354 250/2.0.0 221/2.0.0' ]]
	only_message
}

@test "faults: an error of close defers" {
	need strace
	letter_to u@example.org >in
	local name n
	find_call close '/tmp/[^/>]+>'
	traced -e trace=close -e inject=close:error=EIO:when="$n" <in
	[[ $(full_codes) == *' 354 451/4.3.0 221/2.0.0' ]]
	[ "$status" = 75 ]
	nothing_kept
}

@test "faults: a temporary file that cannot be made defers, whatever the reason" {
	need strace
	letter_to u@example.org >in
	local name n error code
	find_call open,openat O_CREAT
	while read -r error code; do
		under_strace -e trace="$name" -e inject="$name":error="$error":when="$n"
		connect
		deferred "$code"
		delivered
		hangup
		[ "$status" = 75 ]
		rm -f box/new/*
	done <<-S
	EMFILE 451/4.3.0
	ENFILE 451/4.3.0
	EIO 451/4.3.0
	ENOSPC 452/4.3.1
	EDQUOT 452/4.2.2
	S
}

# holds: what must be true after any single fault
holds() {
	local f
	[ "$(count box/tmp)" = 0 ] || { echo 'litter in tmp/'; return 1; }
	for f in box/new/*; do
		[ ! -e "$f" ] || tail -n "$(wc -l <msg)" "$f" | cmp - msg || return 1
	done
	if grep -q '^250 2\.0\.0 .*M.*P.*Q' out; then
		[ "$(count box/new)" = 1 ] || { echo '250 and no mail'; return 1; }
	elif grep -q '^4' out; then
		[ "$(count box/new)" = 0 ] || { echo '4xx and a mail'; return 1; }
	fi
	# the replies to MAIL, RCPT, DATA and the dot, each as far as the
	# one before it was none of success
	awk '{ for (i = 3; i <= 6; i++) { if ($i ~ /^5/) exit 1
	    if ($i ~ /^4/) exit 0 } }' <(full_codes) ||
	    { echo 'refused for good'; return 1; }
}

@test "faults: whichever single call fails, 250 means delivered and 4xx means nothing left" {
	need strace
	printf 'Subject: sweep\n\nbody\n' >msg
	letter_to u@example.org >in
	local call n of error
	traced -e trace=openat,open,write,fsync,close,link,linkat,fstat,newfstatat,fstatfs,statfs <in
	[ "$status" = 0 ]
	sed 's/(.*//' trace | sort | uniq -c >calls
	while read -r of call; do
		[ "$call" = close ] && error=EIO || error=ENOSPC
		for ((n = 1; n <= of; n++)); do
			rm -f box/new/*
			# an unlink that fails leaves what it leaves
			traced -e trace="$call" \
			    -e inject="$call":error="$error":when=$n <in
			holds || { echo "at $call $n"; return 1; }
		done
	done <calls
	[ "$(awk '{ n += $1 } END { print n }' calls)" -ge 8 ]
}

# ---- death -----------------------------------------------------------------

@test "faults: killed at any call, smtpd leaves in new/ a whole message or none" {
	need strace
	printf 'Subject: sweep\n\nbody\n' >msg
	letter_to u@example.org >in
	local call n of f
	traced -e trace=write,fsync,close,link,linkat,unlink,unlinkat <in
	sed 's/(.*//' trace | sort | uniq -c >calls
	while read -r of call; do
		for ((n = 1; n <= of; n++)); do
			rm -f box/*/*
			traced -e trace="$call" -e inject="$call":signal=KILL:when=$n <in
			[ "$status" != 0 ]
			for f in box/new/*; do
				[ ! -e "$f" ] || tail -n 3 "$f" | cmp - msg
			done
			if grep -q '^250 2\.0\.0 .*M.*P.*Q' out; then
				[ "$(count box/new)" = 1 ]
			fi
		done
	done <calls
}

@test "faults: killed in the middle of DATA, smtpd leaves nothing in new/" {
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	ask DATA
	[ "$reply" = 354 ]
	large
	sed 's/$/\r/' msg >&"$to"
	kill -9 "$server"
	wait "$server" || true
	[ "$(count box/new)" = 0 ]
}

@test "faults: a client that goes in the middle of DATA leaves no file" {
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	ask DATA
	[ "$reply" = 354 ]
	large
	sed 's/$/\r/' msg >&"$to"
	exec {to}>&- {from}<&-
	wait "$server" || status=$?
	[ "$status" = 1 ]
	nothing_kept
}

@test "faults: a client that goes between the dot and the reply has its mail delivered" {
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	ask DATA
	[ "$reply" = 354 ]
	# no one is there to read the reply
	exec {from}<&-
	printf 'Subject: s\r\n\r\nlast words\r\n.\r\n' >&"$to"
	exec {to}>&-
	wait "$server" || true
	[ "$(body "$(only_message)")" = 'last words' ]
	[ "$(count box)" = 1 ]
}

@test "faults: SIGTERM in the middle of DATA is a 421, and nothing is left" {
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	ask DATA
	printf 'Subject: s\r\n' >&"$to"
	kill -TERM "$server"
	receive
	[ "$reply" = 421/4.3.2 ]
	exec {to}>&- {from}<&-
	status=0
	wait "$server" || status=$?
	[ "$status" = 1 ]
	nothing_kept
}

@test "faults: SIGTERM between the dot and its reply waits for the delivery" {
	# fsync is held up; the signal comes meanwhile
	under_strace -e trace=fsync,fdatasync \
	    -e inject=fsync,fdatasync:delay_enter=500ms:when=1
	# shellcheck disable=SC2016 # for sh
	WRAP+=(sh -c 'echo $$ >pid; exec "$@"' sh)
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<u@example.org>'
	ask DATA
	printf 'Subject: s\r\n\r\nb\r\n.\r\n' >&"$to"
	eventually grep -q '^f[a-z]*sync' trace
	kill -TERM "$(cat pid)"
	receive
	[ "$reply" = 250/2.0.0 ]
	only_message
	exec {to}>&- {from}<&-
	status=0
	wait "$server" || status=$?
	[ "$status" = 1 ]
}

# ---- lists -----------------------------------------------------------------

@test "faults: a list that is emptied in place while it is read ends no session" {
	yes alice@example.org | head -n 5000 >users
	OPTS+=(-u "$PWD/users")
	# it is open, and what is done with it is held up before it is closed
	under_strace -P "$PWD/users" -e trace=close \
	    -e inject=close:delay_enter=500ms:when=1
	connect
	ask 'MAIL FROM:<a@c.example>'
	printf 'RCPT TO:<bob@example.org>\r\n' >&"$to"
	eventually grep -q '^close' trace
	: >users
	receive
	# by what was read, or by what is left
	[[ $reply = 550/5.1.1 ]] || [[ $reply = 451/4.3.0 ]]
	ask 'RCPT TO:<alice@example.org>'
	[ "$reply" = 451/4.3.0 ]
	hangup
	[ "$status" = 75 ]
}
