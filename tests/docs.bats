#!/usr/bin/env bats
# smtpd.8, README.md and the program say the same (smtpd(8); RFC 5321, 3.5 to 4.5.3)

load helper

# in_help: the options of --help, one a line, with their hyphens; -odb and the
# like are examples of -oX
in_help() {
	"$SMTPD" --help | grep -oE -e '(^|[ ,[])--?[[:alpha:]][[:alnum:]-]*' |
	    sed 's/^[ ,[]//; /^-o[a-z]/d' | sort -u
}

# in_page: the options that smtpd.8 has an entry for
in_page() {
	awk '$1 == ".It" && / Fl / {
		for (i = 2; i < NF; i++)
			if ($i == "Fl") print "-" $(i + 1)
	}' "$ROOT/smtpd.8" | sed 's/\\-/-/g' | sort -u
}

# section NAME: that section of the man page
section() {
	awk -v name="$1" '/^\.Sh/ { on = $0 == ".Sh " name } on' "$ROOT/smtpd.8"
}

@test "docs: mandoc finds nothing to say about the man page" {
	need mandoc
	mandoc -Tlint -Wwarning "$ROOT/smtpd.8" "$ROOT/contrib/smtpd-delivery.7" >lint 2>&1 ||
	    { cat lint; false; }
	[ ! -s lint ]
}

@test "docs: groff finds nothing to say about the man page" {
	need groff
	groff -mandoc -ww -z "$ROOT/smtpd.8" "$ROOT/contrib/smtpd-delivery.7" >lint 2>&1
	cat lint
	[ ! -s lint ]
}

@test "docs: the man page has its sections, in the order of mdoc(7)" {
	grep -oE '^\.Sh .*' "$ROOT/smtpd.8" | sed 's/^\.Sh //; s/"//g' >got
	printf '%s\n' NAME SYNOPSIS DESCRIPTION ENVIRONMENT FILES 'EXIT STATUS' \
	    EXAMPLES 'SEE ALSO' STANDARDS CAVEATS 'SECURITY CONSIDERATIONS' >want
	grep -xFf want got | diff want -
}

@test "docs: every option of --help is in the man page, and the other way round" {
	in_help >help
	in_page >page
	[ "$(grep -c -e -- help)" -ge 16 ]
	diff help page
}

@test "docs: every option that --help shows is taken by the program" {
	local o unknown='no such option|unknown|unrecogni[sz]ed|invalid option|illegal option'
	for o in $(in_help); do
		"$SMTPD" --log off "$o" </dev/null >out 2>log || true
		if grep -iE "$unknown" log; then
			echo "$o is not known"
			return 1
		fi
	done
	# and this is how that would show
	"$SMTPD" --log off --no-such-option </dev/null >out 2>log || true
	grep -iE "$unknown" log
}

@test "docs: every long option is a name in a configuration file, but those about the run itself" {
	local o v ok
	echo u >list
	for o in $(in_help | sed -n 's/^--//p'); do
		case $o in
		config|test|help|version) continue ;;
		esac
		ok=no
		# whatever kind of value it takes, one of these is one
		for v in '' 1 off box a.example list '*' reject tls auth rcpt \
		    /bin/true 127.0.0.1:25; do
			printf '%s\n' "$o${v:+ $v}" >conf
			status=0
			"$SMTPD" -m box -f conf </dev/null >out 2>log || status=$?
			if [ "$status" != 78 ]; then
				ok=yes
				break
			fi
		done
		[ $ok = yes ] || { echo "$o cannot be in a file"; return 1; }
	done
}

@test "docs: the options about the run itself are told to have no place in a file, where they have none" {
	local o
	for o in config test version help; do
		echo "$o x" >conf
		status=0
		"$SMTPD" -m box -f conf </dev/null >out 2>log || status=$?
		if [ "$status" = 78 ]; then
			grep -qE "(Fl -|Cm )$o" "$ROOT/smtpd.8"
		fi
	done
	[ "$status" = 78 ]
}

@test "docs: the defaults in the man page are the program's" {
	"$SMTPD" --test -n mx.example -m box >out 2>log </dev/null
	grep -E '52428800|50M' out
	grep -w 1000 out
	grep -w 300 out
	grep -w 20 out
	local n
	for n in 50M 1000 300 20; do
		section DESCRIPTION | grep -qw "$n"
	done
}

@test "docs: each variable the program reads is in the man page" {
	local v
	grep -ohE '"(PROTO|[A-Z]{3,}[A-Z_]{3,})"' "$ROOT"/smtp*.c | tr -d '"' |
	    grep -E '^(PROTO|TCP|REMOTE_|RELAYCLIENT|DATABYTES|JOURNAL_STREAM|NOTIFY_SOCKET|SOCAT_|NCAT_|SSL|TMPDIR)' |
	    sort -u >variables
	[ "$(wc -l <variables)" -ge 20 ]
	while read -r v; do
		grep -q "$v" "$ROOT/smtpd.8" || { echo "$v"; return 1; }
	done <variables
	section ENVIRONMENT | grep -q TCPREMOTEIP
	section ENVIRONMENT | grep -q RELAYCLIENT
	section ENVIRONMENT | grep -q DATABYTES
}

@test "docs: the man page lists the exit statuses" {
	local n
	section '"EXIT STATUS"' >exits
	[ -s exits ] || section 'EXIT STATUS' >exits
	for n in 0 1 64 75 78; do
		grep -qE "^\.It( Li| Ic| Er| Sy)? $n( |$)" exits || { echo "$n"; return 1; }
	done
}

@test "docs: each departure from RFC 5321 is listed with its section" {
	local n
	section STANDARDS >standards
	grep -qE '5321' standards
	for n in 3.5 7.3 3.8 4.1.1.10 4.1.1.11 4.1.4 4.4 4.5.3.1.8; do
		grep -qF "$n" standards || { echo "$n"; return 1; }
	done
}

@test "docs: README names the two commands, and the Makefile has them" {
	grep -F 'make run' "$ROOT/README.md"
	grep -F 'make check' "$ROOT/README.md"
	grep -E '^run:' "$ROOT/Makefile"
	grep -E '^check:' "$ROOT/Makefile"
}

@test "docs: each make command that README shows is a target" {
	local t
	# within backquotes, or indented as a block
	{
		# shellcheck disable=SC2016 # backquotes as such
		grep -oE '`[^`]*\bmake [a-z][a-z-]*' "$ROOT/README.md"
		grep -E '^(    |	|\$ )[^a-z]*make [a-z]' "$ROOT/README.md"
	} | grep -oE 'make [a-z][a-z-]*' | sort -u >shown
	[ "$(wc -l <shown)" -ge 2 ]
	while read -r _ t; do
		grep -qE "^([a-z -]* )?$t( [a-z -]*)?:" "$ROOT/Makefile" ||
		    { echo "$t"; return 1; }
	done <shown
}

@test "docs: each file below contrib/ that README or the man page names is there" {
	local f
	grep -ohE 'contrib/[A-Za-z0-9@._-]+[A-Za-z0-9]' "$ROOT/README.md" \
	    "$ROOT/smtpd.8" | sort -u >named
	[ -s named ]
	while read -r f; do
		[ -e "$ROOT/$f" ] || { echo "$f"; return 1; }
	done <named
}

@test "docs: each option that README shows is one" {
	in_help >help
	grep -E 'smtpd' "$ROOT/README.md" |
	    grep -vE '(systemctl|journalctl|swaks) ' | grep -oE -e ' --[a-z][a-z-]+' |
	    tr -d ' ' | sort -u >shown
	run grep -vxFf help shown
	[ "$status" = 1 ]
}

@test "docs: README, man page and --test all say to make postmaster's Maildir first" {
	grep -qi postmaster "$ROOT/README.md"
	grep -qi postmaster "$ROOT/smtpd.8"
}

@test "docs: CHANGES begins with this version, and LICENSE is there" {
	local version
	version=$(sed -n 's/^VERSION *= *//p' "$ROOT/Makefile")
	grep -m 1 -E '[0-9]+\.[0-9]+' "$ROOT/CHANGES" | grep -F "$version"
	grep -q 'Permission to use, copy, modify, and' "$ROOT/LICENSE"
}

# words DIR: those in the picture there
words() {
	sed -n 's/.*<text [^>]*>\([^<]*\)<.*/\1/p' "$1/flow.svg" | sort
}

@test "docs: contrib/flow.svg is what make flow draws" {
	need dot make
	mkdir contrib
	cp "$ROOT/contrib/flow.dot" contrib/
	make -s -f "$ROOT/Makefile" flow
	# another graphviz may have other places for the same words
	words contrib | cmp - <(words "$ROOT/contrib")
	[ "$(grep -c '<text ' contrib/flow.svg)" -gt 30 ]
}

@test "docs: what contrib/scale/README counts is what the gates hold" {
	limit() {
		sed -n "s/^$1=\([0-9][0-9]*\).*/\1/p" "$ROOT/tests/gates"
	}
	counted() {
		grep -qF "$1" "$ROOT/contrib/scale/README" || { echo "$1"; return 1; }
	}
	counted "    $(limit SYSCALLS) system calls for a session"
	counted ", and $(limit MESSAGE) for a further message"
	counted "    $(limit FAULTS) pages of 4 KiB"
	counted "connections * $(limit FAULTS) pages"
	counted "    $(limit BYTE) instructions for an octet"
}
