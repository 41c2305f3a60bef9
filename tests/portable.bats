#!/usr/bin/env bats
# portable.bats - what builds it, and what it asks of a system (README.md, Systems)
# POSIX.1-2008, and of POSIX.1-2024 ppoll, pipe2 and mkostemp

load helper
load tree

# works: the program that was built takes a mail into a Maildir
works() {
	mkdir -p box/tmp box/new box/cur
	rm -f box/new/*
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA ..x . QUIT |
	    src/smtpd -n mx.example -d example.org -m box >out 2>log
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	echo >want
	echo .x >>want
	stored_is want
}

# built_by MAKE ARG...: it builds, works, and leaves /dev/null what it was
built_by() {
	tree
	mk clean
	"$1" -s -C src "${@:2}" >make.out 2>&1 || { cat make.out; return 1; }
	cat make.out
	[ -c /dev/null ]
	works
}

@test "portable: bmake builds it, and says nothing" {
	need bmake
	built_by bmake
	[ ! -s make.out ]
	bmake -s -C src install DESTDIR="$PWD/dest"
	[ "$(files dest | wc -l)" = 3 ]
	bmake -s -C src uninstall DESTDIR="$PWD/dest"
	[ "$(files dest | wc -l)" = 0 ]
}

@test "portable: gcc builds it, and says nothing" {
	need gcc
	built_by make CC=gcc
	[ ! -s make.out ]
}

@test "portable: clang builds it, and says nothing" {
	need clang
	built_by make CC=clang
	[ ! -s make.out ]
}

@test "portable: tcc builds it, which knows few of our flags" {
	need tcc
	built_by make CC=tcc
}

@test "portable: musl-gcc builds it, static and not" {
	need musl-gcc
	built_by make CC=musl-gcc
	mk static
	mv src/smtpd-static src/smtpd
	works
}

# of_a_system FLAG...: what the compiler misses there, where headers show POSIX.1-2008 and
# nothing else
of_a_system() {
	"${CC:-cc}" -std=c11 -D_XOPEN_SOURCE=700 -DVERSION='"x"' -I"$ROOT" -Wall \
	    -Wextra -fsyntax-only "$@" 2>said || :
	cat said
	sed -nE "s/.*(error|warning): //p" said |
	    sed -nE "s/^([^‘']*)[‘']([a-z_A-Z0-9]+).*/\2/p" | sort -u >missed
}

@test "portable: off Linux smtpd wants POSIX.1-2008 and four functions that the BSDs have" {
	of_a_system -U__linux__ "$ROOT/smtpd.c"
	printf '%s\n' explicit_bzero mkostemp pipe2 ppoll | diff - missed
	run ! grep -q error: said
}

@test "portable: the language and the sink want POSIX.1-2008 and nothing else" {
	of_a_system -U__linux__ "$ROOT/smtp_parse.c"
	[ ! -s said ]
	of_a_system -U__linux__ "$ROOT/contrib/smtpsink.c"
	[ ! -s said ]
}

# conditions FILE: the functions in which, or right behind which (Landlock's two), what
# is compiled depends on the system
conditions() {
	awk '/^[a-z_]+\(/ { f = $0; sub(/\(.*/, "", f) }
	    /^#(if|ifdef|ifndef) .*(__|SYS_)/ { print f == "" ? "includes" : f }' "$1"
}

@test "portable: only these functions are another on another system, and none of the language" {
	conditions "$ROOT/smtpd.c" >found
	cat found
	diff - found <<-'F'
		includes
		show
		file_link
		program_sync
		conf_set
		conf_finish
		test_warnings
		session_end
		close_range_of
		harden
		harden
	F
	run ! grep -nE '^#(if|ifdef|ifndef)' "$ROOT/smtp_parse.c"
}
