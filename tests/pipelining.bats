# pipelining.bats - many commands in one go: in order, in one read and one write
# RFC 2920

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# over_packets: run the Python lines on standard input with `say(bytes)`,
# which sends them in one piece and returns the replies, one string for each
# write(2) of the program.  A SEQPACKET socket keeps the pieces apart.
over_packets() {
	{
		cat <<-'P'
			import socket
			import subprocess
			import sys
			import talk

			ours, theirs = socket.socketpair(socket.AF_UNIX,
			    socket.SOCK_SEQPACKET)
			ours.settimeout(talk.LIMIT)
			with open('log', 'wb') as log:
			    child = subprocess.Popen(sys.argv[1:], stdin=theirs,
			        stdout=theirs, stderr=log)
			theirs.close()


			def say(data, until):
			    """send data; the writes it is answered with, up to the one
			    that ends with a reply of this code"""
			    if data:
			        ours.sendall(data)
			    writes = []
			    while True:
			        got = ours.recv(1 << 20).decode()
			        if not got:
			            sys.exit('the connection ended: %r' % writes)
			        writes.append(got)
			        last = got.split('\r\n')[-2]
			        if last[:4] == until + ' ':
			            return writes


			def codes(text):
			    return ' '.join(line[:3] for line in text.split('\r\n')
			        if line[3:4] == ' ')


			def check(what, got, *want):
			    if got != [*want]:
			        child.kill()
			        sys.exit('%s: wanted %r, got %r' % (what, [*want], got))


		P
		cat
	} >script.py
	py "$SMTPD" "${OPTS[@]}" <script.py
}

@test "pipelining: a group is answered in one write" {
	over_packets <<-'P'
		def written(data, until):
		    return [codes(text) for text in say(data, until)]


		check('greeting', written(b'', '220'), '220')
		check('EHLO', written(b'EHLO c.example\r\n', '250'), '250')
		check('group', written(b'MAIL FROM:<a@c.example>\r\n'
		    b'RCPT TO:<u@example.org>\r\nRCPT TO:<u@no.example>\r\n'
		    b'RCPT TO:<v@example.org>\r\nDATA\r\n', '354'),
		    '250 250 550 250 354')
		check('dot', written(b'Subject: x\r\n\r\nx\r\n.\r\n', '250'), '250')
		check('next', written(b'RSET\r\nMAIL FROM:<a@c.example>\r\n'
		    b'RCPT TO:<u@example.org>\r\nDATA\r\n', '354'),
		    '250 250 250 354')
		check('end', written(b'x\r\n.\r\nQUIT\r\n', '221'), '250 221')
		sys.exit(talk.ended(child))
	P
	[ "$(count box/new)" = 2 ]
}

@test "pipelining: replies wait for no more input than there is" {
	over_packets <<-'P'
		check('greeting', [codes(t) for t in say(b'', '220')], '220')
		# one command and a half: the whole one is answered
		check('one', [codes(t) for t in say(b'NOOP\r\nNO', '250')], '250')
		check('the other', [codes(t) for t in say(b'OP\r\nQUIT\r\n', '221')],
		    '250 221')
		sys.exit(talk.ended(child))
	P
}

@test "pipelining: fifty recipients and DATA get one write" {
	over_packets <<-'P'
		say(b'', '220')
		got = say(b'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n' +
		    b''.join(b'RCPT TO:<u%d@example.org>\r\n' % i
		    for i in range(50)) + b'DATA\r\n', '354')
		check('fifty', [codes(text) for text in got],
		    ' '.join(['250'] * 52 + ['354']))
		say(b'x\r\n.\r\n', '250')
		say(b'QUIT\r\n', '221')
		sys.exit(talk.ended(child))
	P
	[ "$(count box/new)" = 1 ]
	[ "$(header Delivered-To | wc -l)" = 50 ]
}

@test "pipelining: a group is one read(2) and one write(2)" {
	need strace
	strace -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	mkfifo to from
	# (a leak checker cannot work while another traces)
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 \
	    strace -o trace -e trace=read,readv,recvfrom,write,writev,sendto \
	    "$SMTPD" "${OPTS[@]}" <to >from 2>log 3>&- &
	exec {to}>to {from}<from
	local line
	# reply CODE: read up to the last line of a reply with it
	reply() {
		while IFS= read -r -t 10 -u "$from" line; do
			[[ $line != "$1 "* ]] || return 0
		done
		return 1
	}
	reply 220
	printf 'EHLO c.example\r\n' >&"$to"
	reply 250
	printf '%s\r\n' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<v@example.org>' DATA >group
	cat group >&"$to"
	reply 354
	printf 'Subject: x\r\n\r\nx\r\n.\r\n' >&"$to"
	reply 250
	printf 'QUIT\r\n' >&"$to"
	reply 221
	exec {to}>&- {from}<&-
	wait $!
	# from EHLO's reply to the message: the group, its replies, no more
	sed -n '/^write.*250.PIPELINING\|^write.*250-mx\.example/,/^read.*Subject/p' \
	    trace | sed '1d; $d' | grep -v 'ENOENT\|^---' >got
	cat got
	[ "$(grep -c '^\(read\|readv\|recvfrom\)(' got)" = 1 ]
	[ "$(grep -c '^\(write\|writev\|sendto\)(1,' got)" = 1 ]
	grep -q "^read.*= $(wc -c <group)\$" got
}

@test "pipelining: a whole session in one write is answered in order" {
	launched
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<u@no.example>' DATA 'Subject: one' '' one . FOO \
	    'MAIL FROM:<b@c.example>' 'RCPT TO:<v@example.org>' DATA \
	    'Subject: two' '' two . NOOP QUIT
	[ "$(codes)" = '220 250 250 250 550 354 250 500 250 250 354 250 250 221' ]
	[ "$(count box/new)" = 2 ]
}

@test "pipelining: a thousand recipients in one go" {
	launched
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		seq -f $'RCPT TO:<user%.0f@example.org>\r' 1000
		printf 'DATA\r\nSubject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n'
	} >in
	send <in
	[ "$status" = 0 ]
	[ "$(grep -c '^250 2\.1\.5' out)" = 1000 ]
	[ "$(codes | wc -w)" = 1006 ]
	[ "$(full_codes | sed 's/.* 354 /354 /')" = '354 250/2.0.0 221/2.0.0' ]
	[ "$(count box/new)" = 1 ]
	header Delivered-To | sort >got
	seq -f 'user%.0f@example.org' 1000 | sort >want
	cmp got want
	[ "$(body "$(only_message)")" = hello ]
}

@test "pipelining: what stands behind the dot is not lost, in any piece" {
	local n
	launched
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA one . 'MAIL FROM:<b@c.example>' \
	    'RCPT TO:<v@example.org>' DATA two . QUIT >whole
	for n in 1 2 3 7 100; do
		drip $n <whole
		[ "$(codes)" = '220 250 250 250 354 250 250 250 354 250 221' ] || {
			echo "in pieces of $n: $(codes)"
			false
		}
		[ "$(count box/new)" = 2 ]
		[ "$(cat box/new/* | grep -cx 'one\|two')" = 2 ]
		rm box/new/*
	done
}

@test "pipelining: a client that reads nothing until it has said all" {
	over_packets <<-'P'
		# not a packet socket's worth: each of these is one read
		ours.sendall(b'EHLO c.example\r\n')
		for i in range(20):
		    ours.sendall(b'MAIL FROM:<a@c.example>\r\nRSET\r\n')
		got = ''.join(say(b'QUIT\r\n', '221'))
		check('all', [codes(got)], ' '.join(['220', '250'] + ['250'] * 40 +
		    ['221']))
		sys.exit(talk.ended(child))
	P
}
