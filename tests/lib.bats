#!/usr/bin/env bats
# lib.bats - the language as a library: make lib, install-lib, smtp_parse(3)
# RFC 5321, 4.1.1.4

# shellcheck disable=SC2030,SC2031 # each test is a subshell
load helper
load tree

PAGE=$ROOT/contrib/smtp_parse.3

# example: the host in the man page
example() {
	awk '/^\.Ed/ { on = 0 } on; /^\.Bd -literal/ { on = 1 }' "$PAGE"
}

# config ARG...: pkg-config, of what was installed below dest and nothing else
config() {
	PKG_CONFIG_LIBDIR=$PWD/dest${1:?}/pkgconfig PKG_CONFIG_PATH='' \
	    PKG_CONFIG_SYSROOT_DIR=$PWD/dest pkg-config "${@:2}" smtp_parse
}

# serves PROGRAM: it takes a mail
serves() {
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA ..x . QUIT |
	    "$1" >out 3>mail
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	echo .x | cmp - mail
}

# public: the functions of the header, in its order
public() {
	"${CC:-cc}" -E -P "$ROOT/smtp_parse.h" | tr '\n' ' ' | tr ';' '\n' |
	    grep -v '{' | sed -nE 's/.*[ *](smtp_[a-z0-9_]+)\(.*/\1/p'
}

# synopsis: those of the man page's synopsis
synopsis() {
	awk '/^\.Sh/ { on = $2 == "SYNOPSIS" }
	    on && ($1 == ".Fn" || $1 == ".Fo") { print $2 }' "$PAGE"
}

# described: those that have an entry
described() {
	sed -n '/^\.It Fn /{ s/^\.It//; s/ Fn / /g; s/ ,/ /g; p; }' "$PAGE" |
	    tr -s ' ' '\n' | grep .
}

@test "lib: library, header, page and what pkg-config reads go below DESTDIR, and leave it" {
	tree
	mk install-lib DESTDIR="$PWD/dest"
	files dest >got
	printf '%s 644\n' usr/local/include/smtp_parse.h \
	    usr/local/lib/libsmtp_parse.a \
	    usr/local/lib/pkgconfig/smtp_parse.pc \
	    usr/local/share/man/man3/smtp_parse.3 | diff - got
	cmp dest/usr/local/include/smtp_parse.h "$ROOT/smtp_parse.h"
	cmp dest/usr/local/share/man/man3/smtp_parse.3 "$PAGE"
	mk uninstall-lib DESTDIR="$PWD/dest"
	[ "$(files dest | wc -l)" = 0 ]
	mk uninstall-lib DESTDIR="$PWD/dest"
}

@test "lib: uninstall removes what install put, and nothing of others" {
	tree
	mkdir -p dest/usr/local/{include,lib/pkgconfig,share/man/man3}
	echo other >dest/usr/local/include/smtp.h
	echo other >dest/usr/local/lib/pkgconfig/other.pc
	find dest | sort >before
	mk install-lib DESTDIR="$PWD/dest"
	mk uninstall-lib DESTDIR="$PWD/dest"
	find dest | sort | diff before -
}

@test "lib: the modes do not come from the umask" {
	tree
	(umask 077; mk install-lib DESTDIR="$PWD/dest")
	run ! grep -v ' 644$' <(files dest)
}

@test "lib: the man page's host is built by what pkg-config says, and takes a mail" {
	need pkg-config cc
	tree
	mk install-lib DESTDIR="$PWD/dest"
	[ "$(config /usr/local/lib --modversion)" = \
	    "$(sed -n 's/^VERSION *= *//p' "$ROOT/Makefile")" ]
	example >host.c
	grep -q '^main(void)$' host.c
	# shellcheck disable=SC2046 # words
	cc -std=c11 -Wall -Wextra -Werror -o host host.c \
	    $(config /usr/local/lib --cflags --libs)
	serves ./host
}

@test "lib: PREFIX and LIBDIR are where pkg-config finds it, though it was built before" {
	need pkg-config cc
	tree
	mk lib
	mk install-lib DESTDIR="$PWD/dest" PREFIX=/opt/mail LIBDIR=/opt/mail/lib64
	files dest | sed 's/ .*//' >got
	printf '%s\n' opt/mail/include/smtp_parse.h \
	    opt/mail/lib64/libsmtp_parse.a \
	    opt/mail/lib64/pkgconfig/smtp_parse.pc \
	    opt/mail/share/man/man3/smtp_parse.3 | diff - got
	example >host.c
	# shellcheck disable=SC2046 # words
	cc -std=c11 -o host host.c $(config /opt/mail/lib64 --cflags --libs)
	serves ./host
	mk uninstall-lib DESTDIR="$PWD/dest" PREFIX=/opt/mail \
	    LIBDIR=/opt/mail/lib64
	[ "$(files dest | wc -l)" = 0 ]
}

@test "lib: it can be a part of a shared library" {
	need cc
	tree
	mk lib
	cc -shared -Wl,-z,text -Wl,--no-undefined -o liball.so \
	    -Wl,--whole-archive src/libsmtp_parse.a -Wl,--no-whole-archive
	example >host.c
	cc -std=c11 -I"$ROOT" -o host host.c -L. -lall -Wl,-rpath,"$PWD"
	serves ./host
}

@test "lib: make clean takes away what make lib made" {
	tree
	mk clean
	files src >before
	mk lib
	[ -s src/libsmtp_parse.a ]
	mk clean
	files src | diff before -
}

@test "lib: the man page's synopsis has every function of the header, in its order" {
	public >header
	[ "$(wc -l <header)" -ge 70 ]
	synopsis | diff header - ||
	    { echo "each function of smtp_parse.h has its place in $PAGE"; false; }
}

@test "lib: the man page has a word on every function of its synopsis, and once" {
	synopsis | sort >names
	described | grep -v '^SMTP_' | sort | diff names -
}

@test "lib: the man page has each question and each answer of the header" {
	local name
	awk '/^enum smtp_(ask|reply) [{]/ { on = 1 } /^}/ { on = 0 } on' \
	    "$ROOT/smtp_parse.h" | grep -oE '^	SMTP_[A-Z_]+' | tr -d '\t' |
	    grep -vx 'SMTP_NOTHING\|SMTP_ANSWERS' >names
	[ "$(wc -l <names)" -ge 40 ]
	while read -r name; do
		grep -qE "^\.It Dv (.* )?$name( |\$)" "$PAGE" ||
		    { echo "$name"; return 1; }
	done <names
}

@test "lib: the man page's host is the header's" {
	example >page
	sed -n '/takes mail for anyone:$/,/^ \* What holds/p' \
	    "$ROOT/smtp_parse.h" | sed '1d; $d; s/^ \* \{0,1\}//' |
	    sed '1{/^$/d}' | sed '${/^$/d}' | diff page -
}

@test "lib: mandoc and groff find nothing to say about the man page" {
	need mandoc groff
	mandoc -Tlint -Wwarning "$PAGE" >lint 2>&1 || { cat lint; false; }
	groff -mandoc -ww -z "$PAGE" >>lint 2>&1
	[ ! -s lint ] || { cat lint; false; }
}
