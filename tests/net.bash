# net.bash - what the suites about neighbours share: a network of the test's own,
# tcpserver in it, and a client that may come from any address.

load helper

# alone ADDRESS... -- FUNCTION ARG...: call it where loopback has these addresses
# besides its own and nobody else is: every port is free, nothing outlives the
# test, no one is reached.  There /etc/haproxy is the test's directory
# etc-haproxy, if there is one, and /dev/log is nobody's.
alone() {
	need_root
	need unshare ip tcpserver
	{
		declare -p SMTPD OPTS ROOT DELIVERED REFUSED PATH
		declare -f
		echo 'begin "$@"'
	} >alone.sh
	timeout 60 unshare --mount --net --pid --fork --kill-child --mount-proc \
	    --propagation private bash alone.sh "$@" >said 2>&1 </dev/null 3>&- ||
	    { echo "status $?"; tail -n 20 said log ./*.log; return 1; }
}

begin() {
	set -e
	ip link set lo up
	while [ "$1" != -- ]; do
		case $1 in
		*:*)	ip -6 address add "$1/128" dev lo nodad ;;
		*)	ip address add "$1/32" dev lo ;;
		esac
		shift
	done
	[ ! -e /dev/log ] || mount --bind /dev/null /dev/log
	if [ -d etc-haproxy ]; then
		mkdir -p /etc/haproxy
		mount --bind etc-haproxy /etc/haproxy
	fi
	shift
	"$@"
}

# start COMMAND...: in the background, in a process group of its own, until the
# test's end
started=()
start() {
	setsid "$@" </dev/null 3>&- &
	started+=("$!")
}

# stop: all that was started
stop() {
	local p
	for p in "${started[@]}"; do
		kill -KILL -- "-$p" || :
		wait "$p" || :
	done 2>/dev/null
	started=()
}

# serve ADDRESS PORT [OPTION...] [-- PROGRAM...]: tcpserver there, at $port,
# which the kernel chooses if it is 0; it runs smtpd, with the PROGRAM in front.
# The log is the file log.  The array WITHIN is a command to run all that with.
serve() {
	local address=$1 at=$2
	local -a options=()
	shift
	while shift && [ $# != 0 ] && [ "$1" != -- ]; do
		options+=("$1")
	done
	shift || :
	rm -f port
	start "${WITHIN[@]}" "${TCPSERVER:-tcpserver}" -1 -HR -l mx.example "${options[@]}" \
	    "$address" "$at" "$@" "$SMTPD" "${OPTS[@]}" >port 2>>log
	eventually test -s port || { cat log; return 1; }
	port=$(<port)
}

# from SOURCE LINE...: a client that comes from there, in lock-step, to $port of
# $host or 127.0.0.1 (::1, if the source has a colon); to the path that the
# source is, if it has a slash; with TLS, if $tls is set.  After a refusal only
# the last line is sent.  The replies are in the file out; none at all, if
# the server closes before.
from() {
	py "${host:-}" "${port:-0}" "${tls:-}" "$@" >out <<-'P'
		import socket
		import ssl
		import sys
		import talk

		host, port, tls, source, *lines = sys.argv[1:]
		if '/' in source:
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(talk.LIMIT)
		    s.connect(source)
		else:
		    host = host or ('::1' if ':' in source else '127.0.0.1')
		    s = socket.create_connection((host, int(port)), talk.LIMIT,
		        (source, 0))
		if tls:
		    context = ssl.create_default_context()
		    context.check_hostname = False
		    context.verify_mode = ssl.CERT_NONE
		    s = context.wrap_socket(s, suppress_ragged_eofs=True)
		got = s.makefile('rb')
		try:
		    for line in lines:
		        while True:
		            reply = got.readline()
		            sys.stdout.write(reply.decode('latin-1'))
		            if reply[3:4] != b'-':
		                break
		        if not reply:
		            sys.exit(0)
		        if reply[:1] in b'45':
		            line = lines[-1]
		        s.sendall(line.encode('latin-1') + b'\r\n')
		        if line is lines[-1]:
		            break
		    sys.stdout.write(got.read().decode('latin-1'))
		except ConnectionResetError:
		    pass
	P
}

DELIVERED='220 250 250 250 354 250 221'
REFUSED='220 250 250 550 221'

# mail_from SOURCE RECIPIENT [CODES]: a letter from there, which must get these
# replies; if not said, be delivered
mail_from() {
	rm -f box/new/*
	from "$1" 'EHLO c.example' 'MAIL FROM:<a@c.example>' "RCPT TO:<$2>" \
	    DATA $'Subject: a letter\r\n\r\nDear reader\r\n.' QUIT
	[ "$(codes)" = "${3-$DELIVERED}" ] || { codes; return 1; }
}

# came_from LITERAL [PROTOCOL]: the one message kept did; empty: from who knows
# where
came_from() {
	local got
	got=$(header Received)
	case $1 in
	'') [[ $got = 'from c.example '*' by mx.example '* && $got != *'['* ]] ;;
	*) [[ $got = "from c.example "*"[$1]"*' by mx.example '* ]] ;;
	esac || { echo "$got"; return 1; }
	[[ $got = *" with ${2:-ESMTP} "* ]] || { echo "$got"; return 1; }
}
