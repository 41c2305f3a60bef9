# parse-pure.bats - the grammar is a library without I/O, memory or globals
# nm(1)

load helper

# pure CC: what the object needs is mem* and str*, and it holds no data
pure() {
	need "$1" nm
	make -s -C "$ROOT" -n smtp_parse.o >/dev/null
	cp "$ROOT"/smtp_parse.[ch] "$ROOT/Makefile" .
	make -s CC="$1" "${@:2}" smtp_parse.o
	nm -u smtp_parse.o | awk '{ print $NF }' >needs
	grep -qx memcpy needs
	# the compiler's own support of memory and of the stack's end is no I/O
	run ! grep -Evx '(__)?(mem|str)[a-z]+(_chk)?|__stack_chk_fail' needs
	nm smtp_parse.o >symbols
	run ! grep -i ' [bcd] ' symbols
	# all that is external is named smtp_
	# shellcheck disable=SC2016 # for awk
	run ! awk '$2 ~ /[TR]/ && $3 !~ /^smtp_/ { print; found = 1 }
	    END { exit !found }' symbols
}

@test "smtp_parse.o of gcc needs mem* and str*, and holds no data" {
	pure gcc
}

@test "smtp_parse.o of clang needs mem* and str*, and holds no data" {
	pure clang
}

@test "smtp_parse.o without hardening needs nothing more" {
	pure gcc HARDEN= MAYBE=
	run ! grep -q __ needs
}

@test "smtp_parse.h can be included alone, and twice" {
	printf '#include "smtp_parse.h"\n#include "smtp_parse.h"\n' >x.c
	cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$ROOT" -c x.c
}
