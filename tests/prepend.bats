# prepend.bats - what a policy server has put in front of a message
# Postfix, access(5): PREPEND

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# says <<TABLE: a policy program that answers "USER ACTION" a line
says() {
	cat >answers
	cat >policy.sh <<-'P'
		#!/bin/bash
		while IFS= read -r line; do
			case $line in
			recipient=*)	who=${line#*=} who=${who%%@*} ;;
			'')		printf 'action=%s\n\n' \
					    "$(sed -n "s/^$who //p" answers)" ;;
			esac
		done
	P
	chmod 755 policy.sh
	OPTS+=(--policy ./policy.sh)
}

# given: the X- fields in front of our Received
given() {
	sed '/^Received/,$d' "$(only_message)" | grep ^X-
}

@test "prepend: a field that is the beginning of another is one of its own" {
	says <<-'T'
		a PREPEND X-A: 1
		b PREPEND X-A: 12
		c PREPEND X-AA: 1
		d PREPEND A: 1
	T
	mail_to b@example.org a@example.org
	[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]]
	[ "$(given | sort)" = $'X-A: 1\nX-A: 12' ]
	rm box/new/*
	mail_to a@example.org b@example.org
	[ "$(given | sort)" = $'X-A: 1\nX-A: 12' ]
	rm box/new/*
	mail_to c@example.org a@example.org
	[ "$(given | sort)" = $'X-A: 1\nX-AA: 1' ]
	rm box/new/*
	mail_to c@example.org a@example.org d@example.org
	[ "$(sed '/^Received/,$d' "$(only_message)" | grep -c 'A: 1$')" = 3 ]
}

@test "prepend: the same field is there once, whoever it was said of" {
	says <<-'T'
		a PREPEND X-A: 1
		b PREPEND X-A: 1
		c PREPEND X-B: 1
	T
	mail_to a@example.org b@example.org c@example.org a@example.org
	[ "$(given)" = $'X-A: 1\nX-B: 1' ]
}
