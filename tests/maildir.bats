#!/usr/bin/env bats
# Delivery into a Maildir: names, order, durability (RFC 5321, 4.2.5, 4.4, 6.1)

load helper

# id: the ID at the end of the last 250 to a dot
id() {
	sed -n 's/\r$//; s/^250 2\.0\.0 .* \([^ ]*M[0-9]*P[0-9]*Q[0-9]*[^ ]*\)$/\1/p' \
	    out | tail -n 1
}

# headers FILE: the names of its header fields, in order
headers() {
	sed -n '/^$/q; s/^\([^ \t:]*\):.*/\1/p' "$1"
}

# steps: what the trace shows of a delivery, one word a step.  Neighbouring
# writes are one step.  The last one is the reply to the dot.
steps() {
	awk '
	function step(word) { if (word != last || word != "write") print word
	    last = word }
	/^(write|writev|pwrite64)\([0-9]+<[^>]*\/tmp\/[^\/>]+>/	{ step("write") }
	/^(fsync|fdatasync)\([0-9]+<[^>]*\/tmp\/[^\/>]+>/	{ step("fsync") }
	/^close\([0-9]+<[^>]*\/tmp\/[^\/>]+>/			{ step("close") }
	/^(link|linkat|rename|renameat|renameat2)\(/		{ step("link") }
	/^(unlink|unlinkat)\(/					{ step("unlink") }
	/^(fsync|fdatasync)\([0-9]+<[^>]*\/new>/		{ step("fsync-new") }
	/^(write|writev|sendto|sendmsg)\(1<.*250 2\.0\.0 .*M[0-9]+P[0-9]+Q/ { step("250") }
	' trace | paste -sd ' ' -
}

CALLS=write,writev,pwrite64,fsync,fdatasync,close,sendto,sendmsg,%file

@test "maildir: a message becomes one file in new/, and tmp/ and cur/ stay empty" {
	mail_to u@example.org
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$status" = 0 ]
	[ "$(count box/new)" = 1 ]
	[ "$(count box)" = 1 ]
}

@test "maildir: the body is stored byte for byte, with LF line ends" {
	printf 'Subject: s\nMIME-Version: 1.0\n\none\n.two\n\n..\n\0 \200\377 \n' >msg
	head -c 5000 /dev/zero | tr '\0' x >>msg
	printf '\nlast\n' >>msg
	mail_to u@example.org
	[ "$status" = 0 ]
	body "$(only_message)" >got
	body msg >want
	cmp got want
}

@test "maildir: the header that came is kept as it was, behind ours" {
	printf 'Received: from a by b; x\nSubject: s\n\t folded\nX: \n\nb\n' >msg
	mail_to u@example.org
	tail -c "$(wc -c <msg)" "$(only_message)" >got
	cmp got msg
}

@test "maildir: the file is named SECONDS.MmicrosPpidQn.host,S=bytes" {
	local before after name
	before=$(date +%s)
	mail_to u@example.org
	after=$(date +%s)
	name=$(basename "$(only_message)")
	[[ $name =~ ^([0-9]+)\.M([0-9]+)P([0-9]+)Q([0-9]+)\.mx\.example,S=([0-9]+)$ ]]
	[ "${BASH_REMATCH[1]}" -ge "$before" ]
	[ "${BASH_REMATCH[1]}" -le "$after" ]
	[ "$((10#${BASH_REMATCH[2]}))" -lt 1000000 ]
}

@test "maildir: the P of the name is the process that took the mail" {
	letter_to u@example.org >in
	sh -c 'echo $$ >pid; exec "$@"' sh "$SMTPD" "${OPTS[@]}" <in >out 2>log
	[[ $(only_message) == *P"$(cat pid)"Q* ]]
}

@test "maildir: S= is the size of the file as it is stored" {
	local f n
	for n in 0 1 1000 100000; do
		printf 'Subject: %s\n\n' "$n" >msg
		head -c "$n" /dev/zero | tr '\0' x | fold -w 70 >>msg
		echo >>msg
		mail_to u@example.org
	done
	[ "$(count box/new)" = 4 ]
	for f in box/new/*; do
		[ "${f##*,S=}" = "$(wc -c <"$f")" ]
	done
}

@test "maildir: the file is its owner's alone, 0600, whatever the umask" {
	local mask
	letter_to u@example.org >in
	for mask in 0 022 0777; do
		rm -f box/new/*
		(umask $mask; exec "$SMTPD" "${OPTS[@]}" <in) >out 2>log
		[ "$(stat -c %a "$(only_message)")" = 600 ]
	done
}

@test "maildir: a host name from the system puts no slash or colon into the file name" {
	need_root
	need unshare
	OPTS=(-d example.org -m box)
	letter_to u@example.org >in
	# what the names may not hold, the host name does
	unshare --uts sh -c 'printf "../a:b/c" >/proc/sys/kernel/hostname &&
	    exec "$@"' sh "$SMTPD" "${OPTS[@]}" <in >out 2>log || true
	[ "$(find box -type f | grep -c '[:]')" = 0 ]
	[ "$(find . -name '*P*Q*' | grep -vc '^\./box/new/[^/]*$')" = 0 ]
	if grep -q '^250 2\.0\.0 .*Q' out; then
		[ "$(count box/new)" = 1 ]
	else
		nothing_kept
	fi
}

@test "maildir: the ID in the reply begins the file name" {
	mail_to u@example.org
	[[ $(id) =~ ^[0-9]+\.M[0-9]+P[0-9]+Q[0-9]+$ ]]
	[[ $(basename "$(only_message)") == "$(id)".mx.example,* ]]
}

@test "maildir: the ID in the reply is the one in Received" {
	mail_to u@example.org
	header Received "$(only_message)" | head -n 1 | grep -F " id $(id)"
}

@test "maildir: the ID in the reply is the one in the log" {
	mail_to u@example.org
	[ "$(grep -cF "$(id)" log)" = 1 ]
}

@test "maildir: three messages of one session have three names" {
	local i
	{
		printf 'EHLO c.example\r\n'
		for i in 1 2 3; do
			printf '%s\r\n' 'MAIL FROM:<a@c.example>' \
			    'RCPT TO:<u@example.org>' DATA "Subject: $i" '' \
			    "body $i" .
		done
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(codes)" = '220 250 250 250 354 250 250 250 354 250 250 250 354 250 221' ]
	[ "$(count box/new)" = 3 ]
	[ "$(count box)" = 3 ]
	sed -n 's/\r$//; s/^250 2\.0\.0 .* \([0-9.]*M[^ ]*\)$/\1/p' out | sort >ids
	[ "$(sort -u ids | wc -l)" = 3 ]
	find box/new -type f | sed 's|.*/||; s/\.mx\.example,.*//' | sort >names
	cmp ids names
	for i in 1 2 3; do
		[ "$(grep -lx "body $i" box/new/* | wc -l)" = 1 ]
	done
}

@test "maildir: nothing of one message is left in the next" {
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<one@c.example>' \
	    'RCPT TO:<first@example.org>' 'RCPT TO:<second@example.org>' DATA \
	    'Subject: long' '' 'a much longer body than the other one' . \
	    'MAIL FROM:<two@c.example>' 'RCPT TO:<third@example.org>' DATA \
	    'Subject: s' '' b . QUIT >in
	send <in
	local f
	f=$(grep -lx b box/new/*)
	[ "$(header Return-Path "$f")" = '<two@c.example>' ]
	[ "$(header Delivered-To "$f")" = third@example.org ]
	run grep -e first -e second -e one@ -e longer "$f"
	[ "$status" = 1 ]
}

@test "maildir: Return-Path, Delivered-To and Received stand in front, in that order" {
	mail_to u@example.org
	headers "$(only_message)" >got
	printf '%s\n' Return-Path Delivered-To Received Subject >want
	cmp got want
}

@test "maildir: Return-Path holds the sender, Delivered-To the recipient" {
	mail_to u@example.org
	[ "$(header Return-Path "$(only_message)")" = '<a@c.example>' ]
	[ "$(header Delivered-To "$(only_message)")" = u@example.org ]
}

@test "maildir: the null sender is an empty Return-Path" {
	letter_to u@example.org | sed 's/<a@c\.example>/<>/' >in
	send <in
	[ "$(header Return-Path "$(only_message)")" = '<>' ]
}

@test "maildir: Received names client, host, protocol, recipient and a date in UTC" {
	launched
	TZ=Asia/Tokyo mail_to u@example.org
	header Received "$(only_message)" >got
	[ "$(wc -l <got)" = 1 ]
	grep -F 'from c.example' got
	grep -F '[192.0.2.7]' got
	grep -F 'by mx.example' got
	grep -E 'with ESMTP( |$|	)' got
	grep -F 'for <u@example.org>' got
	grep -E '; *[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} \+0000$' got
	local sent now
	sent=$(date -d "$(sed 's/.*; *//' got)" +%s)
	now=$(date +%s)
	[ $((now - sent)) -ge 0 ]
	[ $((now - sent)) -lt 60 ]
}

@test "maildir: after HELO the protocol is SMTP" {
	letter_to u@example.org | sed 's/^EHLO/HELO/' >in
	send <in
	header Received "$(only_message)" | grep -E 'with SMTP( |$|	)'
}

@test "maildir: no line of the trace headers is longer than 998 octets" {
	local long
	long=$(printf '%0250d' 0 | tr 0 a)
	letter_to "$long$long@example.org" \
	    | sed "s/c\.example/${long:0:60}.${long:0:60}.${long:0:60}.example/" >in
	send <in
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	run awk 'length($0) > 998 { exit 9 }' "$(only_message)"
	[ "$status" = 0 ]
}

@test "maildir: recipients who share the Maildir share one copy, a Delivered-To each" {
	mail_to u@example.org v@example.org w@example.org
	[ "$(codes)" = '220 250 250 250 250 250 354 250 221' ]
	header Delivered-To "$(only_message)" | sort >got
	printf '%s@example.org\n' u v w >want
	cmp got want
}

@test "maildir: a shared copy says for whom in Delivered-To, and not in Received" {
	mail_to u@example.org v@example.org
	run grep -E '[ 	]for[ 	]' <(header Received "$(only_message)")
	[ "$status" = 1 ]
}

@test "maildir: a thousand recipients of one Maildir make one file" {
	local -a all=()
	local i
	for i in {1..1000}; do
		all+=("user$i@example.org")
	done
	mail_to "${all[@]}"
	[ "$status" = 0 ]
	[ "$(grep -c '^250 2\.1\.5' out)" = 1000 ]
	[ "$(header Delivered-To "$(only_message)" | sort -u | wc -l)" = 1000 ]
	[[ $(only_message) == *,S=$(wc -c <"$(only_message)") ]]
}

@test "maildir: write, fsync, close, link, unlink, fsync of new/, and only then 250" {
	need strace
	letter_to u@example.org >in
	traced -y -e trace="$CALLS" <in
	[ "$status" = 0 ]
	[ "$(steps)" = 'write fsync close link unlink fsync-new 250' ]
}

@test "maildir: the order is the same for a message of many writes" {
	need strace
	printf 'Subject: s\n\n' >msg
	head -c 300000 /dev/urandom | base64 >>msg
	letter_to u@example.org >in
	traced -y -e trace="$CALLS" <in
	[ "$(steps)" = 'write fsync close link unlink fsync-new 250' ]
	body "$(only_message)" >got
	body msg | cmp - got
}

@test "maildir: there are exactly two fsyncs before the 250, and none after" {
	need strace
	letter_to u@example.org >in
	traced -e trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync <in
	[ "$(grep -c '^[a-z_]*sync' trace)" = 2 ]
	grep -q '^250 2\.0\.0 .*Q' out
}

@test "maildir: each message of a session has its own two fsyncs before its 250" {
	need strace
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA '' one . 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA '' two . QUIT >in
	traced -y -e trace="$CALLS" <in
	[ "$(steps | tr ' ' '\n' | grep -cx fsync)" = 2 ]
	[ "$(steps | tr ' ' '\n' | grep -cx fsync-new)" = 2 ]
	# no 250 stands before the last fsync of its message; pipelined, both
	# may come in one write
	[[ $(steps) == *fsync-new*fsync-new\ 250 || \
	    $(steps) == *fsync-new\ 250\ *fsync-new\ 250 ]]
}

@test "maildir: the message is written into a new file under tmp/, and linked from there" {
	need strace
	letter_to u@example.org >in
	traced -y -e trace=%file <in
	grep -E '^open(at)?\(.*tmp[/>].*O_CREAT' trace >creat
	[ "$(wc -l <creat)" = 1 ]
	grep -F O_EXCL creat
	grep -E '0600' creat
	run grep -E '^rename' trace
	[ "$status" = 1 ]
}

@test "maildir: a file that has the name already is never overwritten" {
	need strace
	letter_to u@example.org >in
	# link(2) is held up for a second; meanwhile its target is made here
	traced -e trace=link,linkat -e inject=link,linkat:delay_enter=1s:when=1 \
	    <in &
	local target
	eventually grep -q '^link' trace
	target=$(sed -n 's/^link(".*", *"\([^"]*\)".*/\1/p
	    s/^linkat([^"]*"[^"]*", [^"]*"\([^"]*\)".*/\1/p' trace | head -n 1)
	case $target in
	/*|box/*) ;;
	new/*)	target=box/$target ;;
	*)	target=box/new/$target ;;
	esac
	(set -C; echo precious >"$target")
	wait
	[ "$(cat "$target")" = precious ]
	[ "$(count box/tmp)" = 0 ]
	if grep -q '^250 2\.0\.0 .*Q' out; then
		[ "$(count box/new)" = 2 ]
		[ "box/new/$(id)" != "${target%%.mx.example*}" ]
		[ "$(ls box/new/"$(id)".*)" != "$target" ]
	else
		[[ $(full_codes) == *' 354 451/4.3.0 '* ]]
		[ "$(count box/new)" = 1 ]
	fi
}

@test "maildir: a Maildir named by an absolute path or with a slash at its end works" {
	OPTS=(-n mx.example -d example.org -m "$PWD/box/")
	mail_to u@example.org
	only_message
}

@test "maildir: a Maildir's name may hold blanks, percent signs and other braces" {
	mkdir -p 'a %s {b} c'/{tmp,new,cur}
	OPTS=(-n mx.example -d example.org -m 'a %s {b} c')
	mail_to u@example.org
	only_message 'a %s {b} c'
}

@test "maildir: a Maildir may be a symbolic link" {
	ln -s box link
	OPTS=(-n mx.example -d example.org -m link)
	mail_to u@example.org
	only_message box
}

@test "maildir: cur/ is not needed" {
	rmdir box/cur
	mail_to u@example.org
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	only_message
}
