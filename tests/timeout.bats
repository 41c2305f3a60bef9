# timeout.bats - a client that says nothing more is told so and left
# RFC 5321 section 4.5.3.2

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

OPEN='EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
RCPT=$OPEN'RCPT TO:<u@example.org>\r\n'

# silent NAME BYTES: begin, in a directory NAME of its own, the session of a
# client that says BYTES and then nothing, and never hangs up
silent() {
	mkdir "$1"
	(
		cd "$1" || exit
		mkdir -p box/tmp box/new box/cur
		mkfifo fifo
		exec 4<>fifo
		printf '%b' "$2" >&4
		status=0
		timeout -k 1 20 "$SMTPD" "${OPTS[@]}" -t 1 <&4 >out 2>log 3>&- ||
		    status=$?
		echo "$status" >status
	) 3>&- &
}

@test "timeout: 421 4.4.2, status 1 and no file, at every stage" {
	local dir bad=0
	launched
	silent greeting ''
	silent half-command 'EHLO c.exam'
	silent line-without-LF 'EHLO c.example\r'
	silent after-EHLO 'EHLO c.example\r\n'
	silent after-MAIL "$OPEN"
	silent after-RCPT "$RCPT"
	silent half-a-long-line "NOOP $(printf '%05000d' 0)"
	silent after-DATA "${RCPT}DATA\r\n"
	silent in-the-header "${RCPT}DATA\r\nSubject: x"
	silent in-the-body "${RCPT}DATA\r\nSubject: x\r\n\r\nhello\r\n"
	silent at-the-dot "${RCPT}DATA\r\nSubject: x\r\n\r\nhello\r\n."
	silent at-the-dots-CR "${RCPT}DATA\r\nSubject: x\r\n\r\nhello\r\n.\r"
	silent behind-a-bare-LF-dot "${RCPT}DATA\r\nSubject: x\n\n.\n"
	silent after-a-message "${RCPT}DATA\r\nx\r\n.\r\n"
	wait
	for dir in */status; do
		dir=${dir%/status}
		[[ $(full_codes "$dir/out") = *' 421/4.4.2' ]] || {
			echo "$dir: $(full_codes "$dir/out")"
			bad=1
		}
		[ "$(cat "$dir/status")" = 1 ] || {
			echo "$dir: status $(cat "$dir/status")"
			bad=1
		}
		[ "$dir" = after-a-message ] || nothing_kept "$dir/box" || {
			echo "$dir: a file is left"
			bad=1
		}
	done
	[ "$(find . -name status | wc -l)" = 14 ]
	[ $bad = 0 ]
	[ "$(count after-a-message/box/new)" = 1 ]
	[ "$(full_codes half-command/out)" = '220 421/4.4.2' ]
	[ "$(full_codes at-the-dot/out)" = \
	    '220 250 250/2.1.0 250/2.1.5 354 421/4.4.2' ]
}

@test "timeout: each word of the client's begins it anew" {
	py "$SMTPD" "${OPTS[@]}" -t 2 <<-'P'
		import os
		import subprocess
		import sys
		import talk

		r, w = os.pipe()
		out = open('out', 'w+b')
		with open('log', 'wb') as log:
		    child = subprocess.Popen(sys.argv[1:], stdin=r, stdout=out,
		        stderr=log)
		os.close(r)
		# over two seconds in all, but never two without a word
		for word in (b'NOOP\r\n', b'NO', b'OP\r\nQUIT\r\n'):
		    talk.time.sleep(0.8)
		    os.write(w, word)
		sys.exit(talk.ended(child))
	P
	[ "$(codes)" = '220 250 250 221' ]
}

@test "timeout: a client that takes no replies is left, too" {
	launched
	py "$SMTPD" "${OPTS[@]}" -t 1 -e 9999 <<-'P'
		import os
		import subprocess
		import sys
		import talk

		with open('in', 'wb') as f:
		    f.write(b'EHLO c.example\r\n' + b'HELP\r\n' * 20000)
		r, w = os.pipe()
		with open('in', 'rb') as data, open('log', 'wb') as log:
		    child = subprocess.Popen(sys.argv[1:], stdin=data, stdout=w,
		        stderr=log)
		os.close(w)
		# nobody reads r
		sys.exit(talk.ended(child) != 1)
	P
}
