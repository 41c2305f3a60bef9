#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test has OPTS of its own
# policy, real: postgrey on a socket and a port, policyd-spf as a program
# (postgrey(8), policyd-spf(1))

load helper

: "${CLIENTS_DIR:=/opt/smtpd-clients}"
SPF=$CLIENTS_DIR/postfix-policyd-spf-python/usr/bin/policyd-spf

teardown() {
	[ -z "${postgrey_pid:-}" ] || kill "$postgrey_pid" 2>/dev/null || true
}

# postgrey_at OPTION...: with a delay of one second, as whoever we are
postgrey_at() {
	mkdir -p grey
	postgrey "$@" --dbdir="$PWD/grey" --user="$(id -un)" \
	    --group="$(id -gn)" --delay=1 --auto-whitelist-clients=0 \
	    --privacy >grey.log 2>&1 3>&- </dev/null &
	postgrey_pid=$!
}

# greylisted: at first it is, and after the delay it is not
greylisted() {
	launched
	mail_to u@example.org
	[[ "$(full_codes)" = '220 250 250/2.1.0 450/4.'* ]] || { cat out log grey.log; return 1; }
	grep -qi greylist out
	nothing_kept
	comes_now() {
		mail_to u@example.org
		[[ "$(full_codes)" = *' 354 250/2.0.0 221/2.0.0' ]]
	}
	eventually comes_now
	header X-Greylist "$(only_message)" | grep -q '^delayed '
}

@test "postgrey: on a UNIX socket, a mail comes the second time, with its header" {
	need postgrey
	postgrey_at --unix="$PWD/grey.sock"
	eventually test -S grey.sock
	OPTS+=(--policy "$PWD/grey.sock")
	greylisted
}

@test "postgrey: on a port, the same" {
	local port
	need postgrey
	port=$(py <<-'P'
		import socket
		s = socket.socket()
		s.bind(('127.0.0.1', 0))
		print(s.getsockname()[1])
	P
	)
	postgrey_at --inet=127.0.0.1:"$port"
	up() { (exec 9<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
	eventually up
	OPTS+=(--policy "127.0.0.1:$port")
	greylisted
}

@test "policyd-spf: as a program, it puts its word above Received" {
	local path=$PATH
	need "$SPF"
	printf '%s\n' 'debugLevel = 0' 'skip_addresses = 192.0.2.0/24' \
	    'HELO_reject = Fail' 'Mail_From_reject = Fail' >spf.conf
	launched
	PATH=/usr/bin:/bin
	OPTS+=(--policy "/usr/bin/python3 $SPF $PWD/spf.conf")
	mail_to u@example.org v@example.org
	PATH=$path
	[[ "$(full_codes)" = *' 250/2.1.5 250/2.1.5 354 250/2.0.0 221/2.0.0' ]] || {
		cat out log
		return 1
	}
	[ "$(sed '/^$/,$d' "$(only_message)" | grep -c '^X-Comment: SPF ')" = 1 ]
	[[ $(sed -n '4p' "$(only_message)") = 'X-Comment: SPF '* ]]
}
