# session.bats - the session of smtp_parse.h: dialogues, each held whole, cut in
# two at every octet, and octet by octet.  DESIGN.md sections 5 and 6; RFC 5321
# sections 3 and 4, RFC 2033, 2034, 3030, 3207, 4954

load helper

setup_file() {
	export SESSION_DRIVER=${SESSION_DRIVER:-$ROOT/tests/session_driver}
	[ ! -x "$SESSION_DRIVER" ] || return 0
	SESSION_DRIVER=$BATS_FILE_TMPDIR/session_driver
	"${CC:-cc}" -std=c11 -D_GNU_SOURCE -g -O1 -I"$ROOT" \
	    -o "$SESSION_DRIVER" -fsanitize=address,undefined \
	    -fno-sanitize-recover=all \
	    "$ROOT/tests/session_driver.c" "$ROOT/smtp_parse.c"
}

@test "session: dialogues come out as they are written, however they are cut" {
	run "$SESSION_DRIVER" "$ROOT/tests/session.dialogues"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "session: the driver sees a reply that is not the one written, and one too many" {
	printf '%s\n' '# wrong' 'C: NOOP' 'S: 220' 'S: 500' >wrong
	run "$SESSION_DRIVER" wrong
	[ "$status" -eq 1 ]
	printf '%s\n' '# left over' 'C: NOOP' 'S: 220' >over
	run "$SESSION_DRIVER" over
	[ "$status" -eq 1 ]
}
