#!/usr/bin/env bats
# Waiting for a program: a wait that is interrupted, or finds no child, is not the program's failure (wait(2))
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load program

# waits ERROR N CODE: the file in, where the N-th wait for a child is told as
# failed: the reply to the dot is CODE, and the program ran once
waits() {
	rm -rf seen
	mkdir seen
	traced -e trace=wait4,waitid -e inject=wait4,waitid:error="$1":when="$2" <in
	[ "$2" != 1 ] || grep -q INJECTED trace || { echo 'no wait'; return 1; }
	[[ $(full_codes) = *" 354 $3 221/2.0.0" ]] ||
		{ echo "$1 $2: $(full_codes)"; return 1; }
	ran 1
}

@test "wait: a program's success is told as that, whichever wait is interrupted or finds no child" {
	need strace
	local error n
	prog <<-'P'
		cat >seen/mail
		echo run >>seen/runs
	P
	OPTS+=(./prog)
	letter_to u@example.org >in
	for error in EINTR ECHILD; do
		for n in 1 2 3; do
			waits $error $n 250/2.0.0
		done
	done
	[ "$status" = 0 ]
}

@test "wait: a program's failure is told as that, whichever wait is interrupted" {
	need strace
	local n
	prog <<-'P'
		cat >seen/mail
		echo run >>seen/runs
		exit 67
	P
	OPTS+=(./prog)
	letter_to u@example.org >in
	for n in 1 2 3; do
		waits EINTR $n 550/5.1.1
	done
}

@test "wait: with a launcher that ignores SIGCHLD a program's outcome is its own" {
	local rc code
	prog <<-'P'
		cat >seen/mail
		echo run >>seen/runs
		exit "$(cat rc)"
	P
	OPTS+=(./prog)
	letter_to u@example.org >in
	while read -r rc code; do
		echo "$rc" >rc
		status=0
		env --ignore-signal=CHLD "$SMTPD" "${OPTS[@]}" <in >out 2>log ||
			status=$?
		[[ $(full_codes) = *" 354 $code 221/2.0.0" ]]
	done <<-'S'
		0 250/2.0.0
		67 550/5.1.1
		75 451/4.3.0
	S
	ran 3
}

@test "wait: a password that is right is told as that, whichever wait is interrupted or finds no child" {
	need strace
	local error n
	printf '#!/bin/sh\ncat <&3 >/dev/null\n' >checker
	chmod 755 checker
	OPTS+=(--secured --auth "$PWD/checker")
	printf '%s\r\n' 'EHLO c.example' 'AUTH PLAIN AGFsaWNlAHNlY3JldA==' QUIT >in
	for error in EINTR ECHILD; do
		for n in 1 2; do
			traced -e trace=wait4,waitid \
			    -e inject=wait4,waitid:error=$error:when=$n <in
			[ $n != 1 ] || grep -q INJECTED trace
			[ "$(full_codes)" = '220 250 235/2.7.0 221/2.0.0' ] ||
				{ echo "$error $n: $(full_codes)"; false; }
		done
	done
}
