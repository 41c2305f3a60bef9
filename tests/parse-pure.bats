# parse-pure.bats - the parser has no memory and asks nobody: no I/O, malloc,
# globals, errno or locale.  STYLE.md sections 2 and 14; RFC 5321 as a whole

load helper

# what memory and text are copied and compared with, and what compilers add
ALLOWED='(__)?(mem|str)[a-z0-9]+(_chk)?|__stack_chk_(fail|guard)(_local)?|_GLOBAL_OFFSET_TABLE_'

# compiled COMPILER [FLAG...]: smtp_parse.o, by the Makefile's rule
compiled() {
	local compiler=$1
	shift
	need "$compiler" make nm
	mkdir -p "$compiler"
	cp "$ROOT"/smtp_parse.[ch] "$compiler"
	make -s -C "$compiler" -f "$ROOT/Makefile" CC="$compiler" "$@" smtp_parse.o
}

# pure COMPILER: says what its smtp_parse.o asks for or keeps, or gives away
# under a name that is not its own; fails then
pure() {
	local object=$1/smtp_parse.o
	! nm -u "$object" | sed 's/^ *[Uvw] //' | grep -vxE "$ALLOWED" &&
	    ! nm "$object" | grep -E '^[^ ]* [bBdDgGsScC] ' &&
	    ! nm -g --defined-only "$object" | grep -v ' smtp_[a-z0-9_]*$' &&
	    nm -g --defined-only "$object" | grep -q ' T smtp_parse_path$'
}

@test "pure: gcc has nothing to say, and its object asks for nothing but mem* and str* and has no data" {
	compiled gcc CFLAGS='-O2 -Werror'
	pure gcc
}

@test "pure: clang has nothing to say, and its object asks for nothing but mem* and str* and has no data" {
	compiled clang CFLAGS='-O2 -Werror'
	pure clang
}

@test "pure: it stays so without optimizing and hardening" {
	local compiler
	for compiler in gcc clang; do
		command -v "$compiler" >/dev/null || continue
		compiled "$compiler" CFLAGS=-O0 MAYBE= HARDEN=
		pure "$compiler"
	done
}

@test "pure: the check finds what is not pure" {
	need cc
	mkdir impure
	for what in 'int smtp_parse_path(void) { static int n; return n++; }' \
	    'int smtp_parse_path(void) { static int n = 1; return n++; }' \
	    'void *smtp_parse_path(void) { return malloc(1); }' \
	    'int smtp_parse_path(void) { return errno; }' \
	    'int smtp_parse_path(void) { return isalpha(65); }' \
	    'int other(void) { return 1; } int smtp_parse_path(void) { return 1; }' \
	    'int other(void) { return 1; }'; do
		printf '%s\n' '#include <ctype.h>' '#include <errno.h>' \
		    '#include <stdlib.h>' "$what" |
		    cc -x c -c -o impure/smtp_parse.o -
		run pure impure
		[ "$status" != 0 ] || { echo "$what"; false; }
	done
}

@test "pure: the header needs nothing before it, and may be included twice" {
	need cc
	printf '#include "smtp_parse.h"\n#include "smtp_parse.h"\n%s\n' \
	    'enum smtp_status status = SMTP_OK;' >twice.c
	cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$ROOT" -c twice.c
}

@test "pure: a program may link it and nothing else" {
	need cc
	cat >other.c <<-'C'
		#include "smtp_parse.h"

		int
		main(void)
		{
			struct smtp_path path;
			struct slice rest;

			return smtp_parse_path(smtp_slice("TO:<a@b.example>"),
			    "TO", &path, &rest) == SMTP_OK &&
			    smtp_is(path.domain, "B.example") ? 0 : 1;
		}
	C
	cc -std=c11 -I"$ROOT" -o other other.c "$ROOT/smtp_parse.c"
	./other
}
