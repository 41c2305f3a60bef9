# parse.bash - what the suites of the parser share: parse_driver, which compares
# rows of input, verdict and reason itself, and rows for every octet

# shellcheck disable=SC2030,SC2031,SC2034 # the suites use what each sets

load helper

setup_file() {
	[ ! -x "$DRIVER" ] || return 0
	export DRIVER=$BATS_FILE_TMPDIR/parse_driver
	"${CC:-cc}" -std=c11 -D_GNU_SOURCE -g -O1 -I"$ROOT" -o "$DRIVER" \
	    -fsanitize=address,undefined -fno-sanitize-recover=all \
	    "$ROOT/tests/parse_driver.c" "$ROOT/smtp_parse.c"
}

# each FUNCTION: the rows that it prints for every octet; $x is its escape, $c
# the octet itself (empty for NUL), $i its number
each() (
	trap - DEBUG	# of bats, for each command: it takes longer than they do
	LC_ALL=C
	for ((i = 0; i < 256; i++)); do
		printf -v x '\\x%02x' $i
		printf -v c %b "$x"
		"$@"
	done
)

# row INPUT VERDICT
row() {
	printf '%s\t%s\tthe octet %s\n' "$1" "$2" "$x"
}
