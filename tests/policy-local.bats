# policy-local.bats - what a policy server is told of a client on this host
# postgrey(8); Postfix's SMTPD_POLICY_README
#
# By hand, and over a UNIX socket, there is no address: the server is told
# 127.0.0.1 and localhost, as Postfix tells it.

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
# shellcheck disable=SC2154 # what net.bash shares
load host

teardown() {
	[ "${#started[@]}" = 0 ] || stop
}

# postgrey_runs: on the socket grey.sock, with a delay of a second; what it was
# asked is in the file asked
postgrey_runs() {
	mkdir -p grey
	start socat -v UNIX-LISTEN:ask.sock,fork UNIX-CONNECT:grey.sock 2>asked
	start postgrey --unix="$PWD/grey.sock" --dbdir="$PWD/grey" \
	    --user="$(id -un)" --group="$(id -gn)" --delay=1 \
	    --auto-whitelist-clients=0 >grey.log 2>&1
	eventually test -S grey.sock -a -S ask.sock
	OPTS+=(--policy "$PWD/ask.sock")
}

# told VALUE: postgrey was, as name=value
told() {
	grep -qx "$1" asked
}

# greylisted COMMAND...: at first a mail is, and after the delay it comes
greylisted() {
	comes() {
		"$@"
		[ "$(codes)" = "$DELIVERED" ]
	}
	"$@"
	[[ "$(full_codes)" = '220 250 250/2.1.0 450/4.'* ]] ||
	    { cat out log grey.log; return 1; }
	grep -qi greylist out
	nothing_kept
	eventually comes "$@" || { cat out log grey.log; return 1; }
	header X-Greylist "$(only_message)" | grep -q '^delayed '
	told client_address=127.0.0.1
	told client_name=localhost
	told reverse_client_name=localhost
	run ! told client_address=unknown
}

@test "policy: by hand, postgrey is told 127.0.0.1 and localhost" {
	need postgrey socat
	postgrey_runs
	greylisted mail_to u@example.org
}

# by_socket: the same mail over the UNIX socket smtpd.sock
by_socket() {
	from "$PWD/smtpd.sock" 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA \
	    $'Subject: a letter\r\n\r\nDear reader\r\n.' QUIT
}

@test "policy: over a UNIX socket, postgrey is told 127.0.0.1 and localhost" {
	need postgrey socat systemd-socket-activate
	postgrey_runs
	start systemd-socket-activate --accept --inetd -l "$PWD/smtpd.sock" \
	    "$SMTPD" "${OPTS[@]}" 2>log
	eventually test -S smtpd.sock
	greylisted by_socket
}

# s6-ipcserver says PROTO=IPC, and names no address
@test "policy: under s6-ipcserver, postgrey is told 127.0.0.1 and localhost" {
	need postgrey socat s6-ipcserver
	postgrey_runs
	start s6-ipcserver "$PWD/smtpd.sock" "$SMTPD" "${OPTS[@]}" 2>log
	eventually test -S smtpd.sock
	greylisted by_socket
}
