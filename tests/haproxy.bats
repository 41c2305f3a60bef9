# haproxy.bats - HAProxy, hitch and stunnel in front, telling who the client is
# PROXY protocol 2.x, versions 1 and 2; contrib/haproxy.cfg is used as it stands
#
# Each test has a network of its own.  There 192.0.2.10 and 2001:db8::10 are the
# host of HAProxy, 192.0.2.11 and .12 that of smtpd, 198.51.100.7 and 2001:db8::7
# are clients.

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
# shellcheck disable=SC2034,SC2154 # what net.bash shares
load net

CLIENTS=(2001:db8::10 198.51.100.7 2001:db8::7)
HOSTS=(192.0.2.10 192.0.2.11 "${CLIENTS[@]}")

setup_file() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
	    -nodes -days 2 -subj /CN=mx.example -keyout "$BATS_FILE_TMPDIR/key" \
	    -out "$BATS_FILE_TMPDIR/cert" 2>/dev/null || return 0
	cat "$BATS_FILE_TMPDIR"/{key,cert} >"$BATS_FILE_TMPDIR/pem"
}

# haproxy_with FILE...: running, configured by these and the server's state on
# a socket
haproxy_with() {
	local file
	local -a files=()
	printf 'global\n\tstats socket %s/state\n' "$PWD" >stats.cfg
	for file in "$@" stats.cfg; do
		files+=(-f "$file")
	done
	start haproxy -db "${files[@]}" >haproxy.log 2>&1
	eventually test -S state
}

# states: each server and what became of its last check, as "mx1 UP L7OK"; while
# the next one runs, HAProxy puts "* " before
states() {
	echo 'show stat' | socat - UNIX-CONNECT:state |
	    awk -F, '$2 !~ /^(# |svname|FRONTEND|BACKEND|$)/ {
		sub(/^\* /, "", $37)
		print $2, $18, $37
	    }'
}

are_well() {
	[ "$(states | sort -u | grep -c .)" = "$(states | grep -c " UP $1\$")" ] &&
	    [ -n "$(states)" ]
}

# state_is N STATE: so many servers are in that state
state_is() {
	[ "$(states | grep -c " $2\$")" = "$1" ]
}

# haproxy_to OPTION...: HAProxy between 192.0.2.10:25 and the smtpd at $port,
# with these words behind the server; with TLS on port 465
haproxy_to() {
	cat >test.cfg <<-S
		defaults
			mode tcp
			source 192.0.2.10
			timeout connect 5s
			timeout client 20s
			timeout server 20s
			timeout check 5s
			default-server inter 100ms
			${CHECK:-}
		listen smtp
			bind 192.0.2.10:25,2001:db8::10:25
			bind 192.0.2.10:465,2001:db8::10:465 ssl crt pem
			unique-id-format test%ts
			server mx1 192.0.2.11:$port $*
	S
	haproxy_with test.cfg
}

# a_host_for_smtpd: with an interface of its own; WITHIN runs a command on it
a_host_for_smtpd() {
	mount -t tmpfs tmpfs /run
	ip netns add mx
	ip link add eth0 type veth peer name eth0 netns mx
	ip address add 192.0.2.10/24 dev eth0
	ip link set eth0 up
	ip -n mx address add 192.0.2.11/24 dev eth0
	ip -n mx address add 192.0.2.12/24 dev eth0
	ip -n mx link set eth0 up
	ip -n mx route add default via 192.0.2.10
	WITHIN=(ip netns exec mx)
}

contrib_recipe() {
	local at mx
	a_host_for_smtpd
	OPTS+=(--proxy 192.0.2.10)
	for mx in 192.0.2.11 192.0.2.12; do
		serve $mx 25
	done
	OPTS+=(--require tls)
	for mx in 192.0.2.11 192.0.2.12; do
		serve $mx 10465
	done
	haproxy_with "$ROOT/contrib/haproxy.cfg"
	eventually state_is 4 'UP L7OK'
	host=192.0.2.10 port=25
	mail_from 198.51.100.7 u@example.org
	came_from 198.51.100.7
	host=2001:db8::10
	mail_from 2001:db8::7 u@example.org
	came_from IPv6:2001:db8::7
	# with TLS, which smtpd insists on and learns of
	host=192.0.2.10 port=465 tls=yes
	mail_from 198.51.100.7 u@example.org
	came_from 198.51.100.7 ESMTPS
	host=2001:db8::10
	mail_from 2001:db8::7 u@example.org
	came_from IPv6:2001:db8::7 ESMTPS
	tls=
	# no one comes in but through HAProxy
	for at in 25 10465; do
		host=192.0.2.11 port=$at
		from 198.51.100.7 QUIT
		[ ! -s out ]
	done
	# with one of the two gone, mail goes on
	kill -KILL -- "-${started[0]}"
	for _ in 1 2 3; do
		host=192.0.2.10 port=25
		mail_from 198.51.100.7 u@example.org
	done
}

@test "haproxy: contrib's recipe delivers with and without TLS, and checks its servers" {
	need haproxy socat openssl
	mkdir etc-haproxy
	cp "$BATS_FILE_TMPDIR/pem" etc-haproxy/smtpd.pem
	alone "${CLIENTS[@]}" -- contrib_recipe
}

# with each way of telling: a mail over IPv4, over IPv6, and over TLS
haproxy_tells() {
	OPTS+=(--proxy 192.0.2.10)
	serve 192.0.2.11 0
	haproxy_to "$1"
	host=192.0.2.10 port=25
	mail_from 198.51.100.7 u@example.org
	came_from 198.51.100.7
	grep -q 'client=\[198\.51\.100\.7\]:[0-9]' log
	host=2001:db8::10
	mail_from 2001:db8::7 u@example.org
	came_from IPv6:2001:db8::7
	# what is said over TLS is told as such only where HAProxy says so
	host=192.0.2.10 port=465 tls=yes
	mail_from 198.51.100.7 u@example.org
	came_from 198.51.100.7 "$2"
	host=2001:db8::10
	mail_from 2001:db8::7 u@example.org
	came_from IPv6:2001:db8::7 "$2"
}

@test "haproxy: send-proxy, version 1: IPv4 and IPv6 clients are known" {
	need haproxy socat openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	alone "${HOSTS[@]}" -- haproxy_tells send-proxy ESMTP
}

@test "haproxy: send-proxy-v2: IPv4 and IPv6 clients are known" {
	need haproxy socat openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	alone "${HOSTS[@]}" -- haproxy_tells send-proxy-v2 ESMTP
}

@test "haproxy: send-proxy-v2-ssl-cn: they are, and who comes with TLS" {
	need haproxy socat openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	alone "${HOSTS[@]}" -- haproxy_tells send-proxy-v2-ssl-cn ESMTPS
}

@test "haproxy: all that version 2 can tell beside is passed over" {
	need haproxy socat openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	alone "${HOSTS[@]}" -- haproxy_tells \
	    'send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id' ESMTPS
}

# a check of each kind, over and over
haproxy_checks() {
	OPTS+=(--proxy 192.0.2.10 -v)
	serve 192.0.2.11 0 -v
	CHECK=$2 haproxy_to "$1 check"
	eventually are_well "$3"
	# the third one has come to its end
	eventually ended 3
	are_well "$3"
	# a connection that is reset counts as left in the middle, with status 1
	run ! grep -qE '^tcpserver: end [0-9]+ status ([^02]|2[^5])' log
	run ! grep -qE 'messages=[^0]|refused=[^0]' log
	host=192.0.2.10 port=25
	mail_from 198.51.100.7 u@example.org
	came_from 198.51.100.7
}

ended() {
	[ "$(grep -c '^tcpserver: end' log)" -ge "$1" ]
}

@test "haproxy: its checks that only connect find smtpd well" {
	local how
	need haproxy socat openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	for how in send-proxy send-proxy-v2 send-proxy-v2-ssl; do
		alone "${HOSTS[@]}" -- haproxy_checks $how '' L4OK
		rm -rf state log
	done
}

@test "haproxy: its checks that talk SMTP find smtpd well" {
	local how
	need haproxy socat openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	for how in send-proxy send-proxy-v2 send-proxy-v2-ssl; do
		alone "${HOSTS[@]}" -- haproxy_checks $how \
		    'option smtpchk EHLO haproxy.example' L7OK
		rm -rf state log
	done
}

# to a smtpd that is not told to expect it, or not from there
haproxy_is_no_proxy() {
	serve 192.0.2.11 0
	haproxy_to send-proxy-v2
	host=192.0.2.10 port=25
	from 198.51.100.7 QUIT
	grep -q ^421 out
	stop
	rm -f state
	OPTS+=(--proxy 192.0.2.12)
	serve 192.0.2.11 0
	haproxy_to send-proxy-v2
	host=192.0.2.10 port=25
	from 198.51.100.7 QUIT
	[ ! -s out ]
}

@test "haproxy: without --proxy, or from elsewhere, it is not believed" {
	need haproxy socat openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	alone "${HOSTS[@]}" -- haproxy_is_no_proxy
}

# ---- others that speak it ----

hitch_tells() {
	# where a connection to an address of one's own comes from
	OPTS+=(--proxy 192.0.2.11)
	serve 192.0.2.11 0
	start hitch --user=nobody --frontend='[192.0.2.10]:465' \
	    --frontend='[2001:db8::10]:465' --backend="[192.0.2.11]:$port" \
	    "--write-proxy-$1=on" pem >hitch.log 2>&1
	host=192.0.2.10 port=465 tls=yes
	eventually mail_from 198.51.100.7 u@example.org
	came_from 198.51.100.7 "$2"
	host=2001:db8::10
	mail_from 2001:db8::7 u@example.org
	came_from IPv6:2001:db8::7 "$2"
}

@test "hitch: --write-proxy-v1: the client is known" {
	need hitch openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	alone "${HOSTS[@]}" -- hitch_tells v1 ESMTP
}

@test "hitch: --write-proxy-v2: the client is known, and that it came with TLS" {
	need hitch openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	alone "${HOSTS[@]}" -- hitch_tells v2 ESMTPS
}

stunnel_tells() {
	# version 1 does not tell of TLS: that is for the administrator to say
	OPTS+=(--proxy 192.0.2.11 --secured)
	serve 192.0.2.11 0
	cat >stunnel.conf <<-S
		foreground = yes
		pid =
		[smtps]
		accept = 192.0.2.10:465
		connect = 192.0.2.11:$port
		protocol = proxy
		cert = $PWD/pem
	S
	start stunnel stunnel.conf >stunnel.log 2>&1
	host=192.0.2.10 port=465 tls=yes
	eventually mail_from 198.51.100.7 u@example.org
	came_from 198.51.100.7 ESMTPS
}

@test "stunnel: protocol = proxy: the client is known" {
	need stunnel openssl
	cp "$BATS_FILE_TMPDIR/pem" .
	alone "${HOSTS[@]}" -- stunnel_tells
}
