# tested.bats - --test says what holds and where that is from, and finds each
# trouble that a session would have, before there is one

# shellcheck disable=SC2030,SC2031,SC2154 # OPTS is each test's own
load live

# told OPTION...: what --test says, in `out`; nothing is said elsewhere
told() {
	status=0
	"$SMTPD" --test "$@" >out 2>log </dev/null || status=$?
	[ ! -s log ] || { cat log; return 1; }
	grep -q '^ok$\|^[0-9]* problems*$' <(tail -n 1 out)
}

# has LINE...: each is a line of `out`
has() {
	local line
	for line; do
		grep -qxF -e "$line" out || { echo "no '$line' in"; cat out; return 1; }
	done
}

@test "--test: each value is told with where it is from" {
	printf '# a comment\nsize 3M\ndomain example.net\nrequire tls\nsecured\n' >conf
	DATABYTES='' TMPDIR='' told -f conf -d example.org -m "$PWD/box" --timeout 9 \
	    --require auth -a true
	[ "$status" = 0 ]
	has 'size 3145728 (conf:2)' 'domain example.net (conf:3)' \
	    'domain example.org (option)' "maildir $PWD/box (option)" \
	    'timeout 9 (option)' 'errors 20 (default)' 'require tls (conf:4)' \
	    'require auth (option)' 'secured (conf:5)' 'spool /tmp (default)' \
	    'auth true (option)'
	# the last word holds
	told -s 1K -f conf -m box
	has 'size 3145728 (conf:2)'
	told -f conf -s 1K -m box
	has 'size 1024 (option)'
	DATABYTES=12 TMPDIR=$PWD told -f conf -m box
	has 'size 12 (environment)' "spool $PWD (environment)"
}

@test "--test: every option that has a value is told, each once" {
	told -n mx.example -m box -d example.org
	sed 's/ .*//' out | sort | uniq -d | grep -vx 'warning:' >twice || true
	[ ! -s twice ]
	run ! grep -qv ' (default)$\| (option)$\|^spool .* (environment)$\|^warning: \|^ok$' out
	[ "$(grep -c ' (default)$' out)" -ge 8 ]
}

@test "--test: a value of the environment that is none is told" {
	DATABYTES=zz told -n mx.example -d example.org -m box
	[ "$status" = 0 ]
	grep -q '^warning: .*DATABYTES' out
	has 'size 52428800 (default)'
	TCPREMOTEIP=nonsense told -n mx.example -d example.org -m box
	grep -q '^warning: .*TCPREMOTEIP' out
}

@test "--test: each line of a list that names nobody is told by its number" {
	printf '%s\n' alice 'alice bob' '# x' '<x@y.example>' @ 'Al.I+ce@example.org' \
	    '@example.org' 'a@@b' 'x@example..org' 'x@[192.0.2.7]' 'dora # too' \
	    $'cr\r' '"q q"@example.org' $'\xff' >users
	told -n mx.example -d example.org -m box -u users
	[ "$status" = 0 ]
	sed -n 's/^warning: .*users.*line \([0-9]*\).*/\1/p' out | tr '\n' ' ' >lines
	[ "$(cat lines)" = '2 4 5 8 9 13 ' ] || { cat lines out; false; }
	printf '%s\n' example.net .example.net '*' 'foo bar' '@other' '<x>' >domains
	told -n mx.example -d @domains -m box
	sed -n 's/^warning: .*domains.*line \([0-9]*\).*/\1/p' out | tr '\n' ' ' >lines
	[ "$(cat lines)" = '4 5 6 ' ] || { cat lines out; false; }
}

@test "--test: what it says of a line, a session does" {
	printf '%s\n' alice 'bob dora' '<eve@example.org>' '@' >users
	OPTS+=(-u users)
	say 'HELO c' 'MAIL FROM:<>' 'RCPT TO:<alice@example.org>' \
	    'RCPT TO:<bob@example.org>' 'RCPT TO:<dora@example.org>' \
	    'RCPT TO:<eve@example.org>' QUIT
	[ "$(codes)" = '220 250 250 250 550 550 550 221' ]
}

@test "--test: a Maildir that lacks a part, or cannot be written, is a problem" {
	local part
	for part in tmp new; do
		mv box/$part part
		told "${OPTS[@]}"
		[ "$status" = 78 ]
		grep -q "^problem: .*box/$part" out
		# a link is none
		ln -s "$PWD/part" box/$part
		told "${OPTS[@]}"
		[ "$status" = 78 ]
		rm box/$part
		mv part box/$part
	done
	told "${OPTS[@]}"
	[ "$status" = 0 ]
	nothing_kept
}

@test "--test: so is one whose new/ or tmp/ is on another file system, read-only or full" {
	need_root
	need unshare mount
	for how in 'mount -t tmpfs none box/new' 'mount -t tmpfs none box/tmp' \
	    'mount -t tmpfs none box/new; mount -o remount,ro box/new' \
	    'mount -t tmpfs -o ro none box/tmp'; do
		status=0
		unshare -m sh -c "$how; exec \"\$@\"" - "$SMTPD" --test \
		    "${OPTS[@]}" >out 2>log </dev/null || status=$?
		[ "$status" = 78 ] || { echo "$how"; cat out; false; }
		grep -q '^problem: ' out
	done
	# full: nothing can be received now
	mkdir -p disk
	for what in '-m disk/box' '-S disk cat'; do
		status=0
		# shellcheck disable=SC2086 # two words or more
		unshare -m sh -c 'mount -t tmpfs -o size=64k none disk
			mkdir -p disk/box/tmp disk/box/new
			head -c 100k /dev/zero >disk/fill 2>/dev/null
			exec "$@"' - "$SMTPD" --test -n mx.example -d example.org \
		    $what >out 2>log </dev/null || status=$?
		[ "$status" = 78 ] || { echo "$what"; cat out; false; }
		grep -q '^problem: no room' out
	done
}

@test "--test: of a template's Maildirs each that a session could not use is told" {
	mkdir -p home/{postmaster,alice}/{tmp,new} home/{bob,carol}/tmp home/'lost+found' other/{tmp,new}
	ln -s "$PWD/other" home/eve
	ln -s alice home/al
	: >home/README
	told -n mx.example -d example.org -m 'home/{user}'
	# postmaster's is well, so mail can be received
	[ "$status" = 0 ]
	grep -q '^warning: .*home/bob/new' out
	grep -q '^warning: .*home/carol/new' out
	grep -q '^warning: .*lost+found/tmp' out
	grep -q '^warning: alias leads out .*home/eve' out
	run ! grep -q 'home/\(alice\|al\|postmaster\|README\)' out
	# and so a session does
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
	say 'HELO c' 'MAIL FROM:<>' 'RCPT TO:<eve@example.org>' \
	    'RCPT TO:<al@example.org>' QUIT
	[ "$(codes)" = '220 250 250 451 250 221' ]
}

@test "--test: where postmaster's leads out of the template, or lacks a part, it is a problem" {
	mkdir -p home other/{tmp,new}
	ln -s "$PWD/other" home/postmaster
	told -n mx.example -d example.org -m 'home/{user}'
	[ "$status" = 78 ]
	grep -q '^problem: alias leads out .*home/postmaster' out
	rm home/postmaster
	mkdir -p home/postmaster/tmp
	told -n mx.example -d example.org -m 'home/{user}'
	[ "$status" = 78 ]
	grep -q '^problem: .*home/postmaster/new' out
}

@test "--test: where the template names the domain, each has its postmaster, in a list, too" {
	mkdir -p home/{a.example,b.example}/postmaster/{tmp,new} home/c.example
	printf 'b.example\nc.example # no\n.d.example\n' >domains
	told -n mx.example -d a.example -d @domains -m 'home/{domain}/{user}'
	[ "$status" = 78 ]
	[ "$(grep -c '^problem: ' out)" = 1 ]
	grep -q '^problem: .*home/c\.example/postmaster' out
}

@test "--test: a program of any kind that is not executable is a problem" {
	: >plain
	local kind
	for kind in '-a ./plain --secured -m box' '-p ./plain -m box' './plain' '-a ./none -m box'; do
		# shellcheck disable=SC2086 # several words
		told -n mx.example -d example.org $kind
		[ "$status" = 78 ]
		grep -q '^problem: program ' out
	done
}

@test "--test: a host name without a dot is a warning, and without --domain a problem" {
	told -n mx -d example.org -m box
	[ "$status" = 0 ]
	grep -q '^warning: hostname mx' out
	launched
	told -n mx -m box
	[ "$status" = 78 ]
	grep -q '^problem: .*mx' out
	told -n mx.example -m box
	[ "$status" = 0 ]
	run ! grep -q '^warning: hostname' out
}

@test "--test: a kernel that cannot confine is a warning, where it would be asked to" {
	may_trace
	old_kernel "${OPTS[@]}"
	grep -qi '^warning: .*landlock' out
	old_kernel -n mx.example -d example.org cat
	run ! grep -qi landlock out
}

# old_kernel OPTION...: --test where there is no Landlock
old_kernel() {
	ASAN_OPTIONS=detect_leaks=0 strace -qq -o trace -e trace=444 \
	    -e inject=444:error=ENOSYS "$SMTPD" --test "$@" >out 2>log </dev/null
}
