# xclient.bats - what XCLIENT does not say of the new client is not taken from
# the one who speaks for it
# Postfix, XCLIENT_README

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# recorder: a policy program that keeps what it was asked
recorder() {
	cat >policy.sh <<-P
		#!/bin/bash
		while IFS= read -r line; do
			printf '%s\n' "\$line" >>$PWD/requests
			[ -n "\$line" ] || printf 'action=DUNNO\n\n'
		done
	P
	chmod 755 policy.sh
	OPTS+=(--policy ./policy.sh --xclient '*')
	launched
	export TCPREMOTEHOST=proxy.example.org
	rm -f requests
}

# mail XCLIENT...: a mail behind these
mail() {
	local -a lines=()
	local x
	for x; do
		lines+=('EHLO front' "XCLIENT $x")
	done
	say "${lines[@]}" 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' x . QUIT
	[[ $(full_codes) = *' 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]]
}

@test "xclient: an address without a name has none, not the proxy's" {
	recorder
	mail ADDR=198.51.100.9
	grep -qx client_address=198.51.100.9 requests
	grep -qx client_name=unknown requests
	grep -qx reverse_client_name=unknown requests
	[[ $(header Received) = *'[198.51.100.9]'* ]]
	run ! grep -q proxy.example.org "$(only_message)" requests
}

@test "xclient: nor the name of the client before it" {
	recorder
	mail 'ADDR=198.51.100.8 NAME=m.c.example' ADDR=198.51.100.9
	grep -qx client_name=unknown requests
	run ! grep -q 'm\.c\.example\|proxy' "$(only_message)" requests
	rm box/new/* requests
	mail 'ADDR=198.51.100.8 NAME=m.c.example'
	grep -qx client_name=m.c.example requests
	[[ $(header Received) = *'(m.c.example [198.51.100.8])'* ]]
}

@test "xclient: a name alone is the name of whom we have" {
	recorder
	mail NAME=m.c.example
	grep -qx client_address=192.0.2.7 requests
	grep -qx client_name=m.c.example requests
}

@test "xclient: a program is told no name of the proxy's either" {
	recorder
	mkdir spool
	OPTS=(-n mx.example -d example.org --spool spool --xclient '*'
	    sh -c 'env >told')
	mail ADDR=198.51.100.9
	grep -qx CLIENT_ADDRESS=198.51.100.9 told
	run ! grep -q proxy.example.org told
}

@test "xclient: a server's address without its port has none" {
	recorder
	mail 'DESTADDR=192.0.2.98 DESTPORT=587' DESTADDR=192.0.2.99
	grep -qx server_address=192.0.2.99 requests
	grep -qE '^server_port=(unknown|0)?$' requests
	run ! grep -q '^server_port=587' requests
	rm requests
	mail 'DESTADDR=192.0.2.98 DESTPORT=587' 'DESTADDR=192.0.2.99 DESTPORT=25'
	grep -qx server_port=25 requests
	rm requests
	# not even our own
	mail DESTADDR=192.0.2.99
	grep -qE '^server_port=(unknown|0)?$' requests
}

@test "xclient: a login that is too long is refused, not cut" {
	local name n
	recorder
	for n in 600 1000; do
		name=$(head -c $n /dev/zero | tr '\0' n)
		say 'EHLO front' "XCLIENT LOGIN=$name" 'EHLO c.example' \
		    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@elsewhere.example>' \
		    'RCPT TO:<u@example.org>' QUIT
		[ "$(full_codes)" = '220 250 501/5.5.4 250 250/2.1.0 550/5.7.1 250/2.1.5 221/2.0.0' ] ||
		    { echo "$n: $(full_codes)"; false; }
		grep -qx sasl_username= requests
		run ! grep -q nnn requests
	done
	say 'EHLO front' "XCLIENT LOGIN=${name:0:60}" 'EHLO c.example' \
	    'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' QUIT
	grep -qx "sasl_username=${name:0:60}" requests
}
