# gates.bats - what a session costs in system calls, page faults, syncs and
# instructions; a pipelined group is one read and one write (RFC 2920, 3.2)

load helper

@test "gates: a session costs no more than its limits" {
	need strace valgrind
	make -s -C "$ROOT" smtpd
	if command -v musl-gcc >/dev/null; then
		make -s -C "$ROOT" smtpd-static
	fi
	run sh "$ROOT/tests/gates" "$ROOT/smtpd" "$ROOT/smtpd-static"
	echo "$output"
	[ "$status" = 0 ]
	# without it, nothing but the dynamic build was held
	need musl-gcc
	[[ $output = *'page faults'* ]]
}
