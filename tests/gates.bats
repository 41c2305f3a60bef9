# gates.bats - what a session costs: system calls, page faults, syncs,
# instructions; a pipelined group is one read and one write (RFC 2920, 3.2)

load helper

@test "gates: a session costs no more than its limits" {
	need strace valgrind cc
	if ! command -v musl-gcc >/dev/null 2>&1; then
		need musl-gcc
	fi
	make -s -C "$ROOT" smtpd static
	run sh "$ROOT/tests/gates" "$ROOT/smtpd" "$ROOT/smtpd-static"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output = *'page faults'* ]]
}
