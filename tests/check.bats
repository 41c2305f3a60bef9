# check.bats - what `make check` runs the tests with: tests/run, on small files
# made here, and tests/setup where something is missing

load helper

# file NAME <<TESTS: the test file NAME.bats.  A test in it begins with "it":
# bats would take any line here that begins as its own do
file() {
	sed 's/^[[:blank:]]*it /@test /' >"$1.bats"
}

CLEAN=(env -i --default-signal=INT PATH="${PATH//"$BATS_LIBEXEC:"/}" LC_ALL=C)
RUN=(bash "$ROOT/tests/run")

# check [VARIABLE=VALUE...] [FILE...]: tests/run, as from a shell, with nothing of
# the bats that runs it; what it says is in the file said, its exit status in
# $status
check() {
	local -a set=()
	while [[ ${1:-} = *=* ]]; do
		set+=("$1")
		shift
	done
	status=0
	"${CLEAN[@]}" TMPDIR="$PWD" "${set[@]}" "${RUN[@]}" "$@" \
	    >said 2>&1 3>&- || status=$?
	cat said
}

# last: the line with the numbers, without the time
last() {
	sed -n '$s/, in [0-9]* s$//p' said
}

# nobody_is_left: the run has left no process whose mark is $1, and no file
nobody_is_left() {
	run pgrep -f "sleep $1"
	[ "$status" = 1 ]
	[ -z "$(find . -maxdepth 1 -name 'check.*' ! -name '*.bats')" ]
}

# lasting MARK: a test that starts what is hard to end, and then hangs
lasting() {
	file lasting <<-T
		it "it is quick" { :; }
		it "it hangs" {
			cd "\$BATS_TEST_TMPDIR"
			setsid sleep $1 &
			(set -m; env -i sleep $1 & (trap '' INT TERM HUP; setsid sleep $1) &)
			: >"$PWD/begun"
			run sleep $1
		}
		it "it is never reached" { :; }
	T
}

@test "check: all that passes is counted, and the exit status is 0" {
	file a <<<$'it "one" { :; }\nit "two" { :; }'
	file b <<<'it "three" { :; }'
	check a.bats b.bats
	[ "$status" = 0 ]
	[ "$(last)" = '3 passed, 0 skipped, 0 failed' ]
}

@test "check: a test that fails is shown whole, no other is, and the exit status is not 0" {
	file a <<<'it "good" { echo unheard; }
	it "evil" { echo first; echo last; false; }
	it "fine" { echo unheard; }'
	file b <<<'it "three" { :; }'
	check a.bats b.bats
	[ "$status" = 1 ]
	[ "$(last)" = '3 passed, 0 skipped, 1 failed' ]
	grep -A9 '^not ok 2 evil' said >shown
	grep -xA1 '# first' shown | grep -x '# last'
	run ! grep -e unheard -e 'ok [13] ' said
	grep 'TESTS=.a.bats' said
}

@test "check: a test that skips is counted with its reason, and not with the passed" {
	file a <<<$'it "one" { skip "no foo here"; }\nit "two" { skip "no foo here"; }'
	file b <<<$'it "three" { skip; }\nit "four" { :; }'
	check a.bats b.bats
	[ "$status" = 0 ]
	[ "$(last)" = '1 passed, 3 skipped, 0 failed' ]
	grep -xE ' *2 no foo here' said
	grep -F .ci/install said || grep -F 'As root' said
}

@test "check: in CI a test that skips is a failure" {
	file a <<<$'it "one" { skip "no foo here"; }\nit "two" { :; }'
	check CI=true a.bats
	[ "$status" = 1 ]
}

@test "check: a file that does not parse, and one whose bats is killed, have failed" {
	file broken <<<'it "one" {'
	file killed <<<$'it "one" { kill -KILL $PPID; }\nit "two" { :; }'
	check broken.bats
	[ "$status" = 1 ]
	check killed.bats
	[ "$status" = 1 ]
	grep -E '[1-9][0-9]* failed' <(last)
	check missing.bats
	[ "$status" = 1 ]
}

@test "check: no test has a terminal, or anything to read" {
	need script
	file a <<-'T'
		it "stdin" { [ -z "$(cat)" ]; }
		it "tty" { run ! bash -c ': </dev/tty'; }
	T
	# at a terminal, which has them
	"${CLEAN[@]}" TMPDIR="$PWD" script -qec "bash -c ': </dev/tty' &&
	    ${RUN[*]} a.bats" /dev/null >said </dev/null 3>&-
	cat said
	[ "$(tr -d '\r' <said | sed -n '$s/,.*//p')" = '2 passed' ]
}

@test "check: a test that hangs is ended by the limit, with all that it started" {
	local mark=1001$RANDOM
	need pgrep
	lasting $mark
	file b <<<'it "after it" { :; }'
	check LIMIT=1 JOBS=1 lasting.bats b.bats
	[ "$status" = 1 ]
	# the two that ended; the one that hung, and the one not reached
	[ "$(last)" = '2 passed, 0 skipped, 2 failed' ]
	nobody_is_left $mark
}

@test "check: what a test leaves behind is ended when its file ends" {
	local mark=1002$RANDOM
	need pgrep
	file a <<<"it 'one' { cd \"\$BATS_TEST_TMPDIR\"; setsid sleep $mark >/dev/null 2>&1 3>&- & }"
	check a.bats
	[ "$status" = 0 ]
	nobody_is_left $mark
}

@test "check: SIGINT, SIGTERM and SIGHUP each end all that it started, and it fails" {
	local mark=1003$RANDOM signal
	need pgrep
	lasting $mark
	for signal in INT TERM HUP; do
		echo "$signal"
		rm -f begun
		status=0
		"${CLEAN[@]}" TMPDIR="$PWD" "${RUN[@]}" lasting.bats \
		    >said 2>&1 3>&- &
		eventually test -e begun
		SECONDS=0
		kill -"$signal" $!
		wait $! || status=$?
		cat said
		[ "$SECONDS" -lt 5 ]
		[ "$status" -gt 128 ]
		nobody_is_left $mark
	done
}

@test "check: Ctrl-C at a terminal ends make and all that it started" {
	local mark=1004$RANDOM
	need pgrep make
	lasting $mark
	printf 'check:\n\t@bash %s lasting.bats\n' "$ROOT/tests/run" >Makefile
	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MAKEFILES
	py "$PWD" "${CLEAN[@]}" <<-'P'
		import os
		import pty
		import signal
		import sys
		import time

		pid, tty = pty.fork()
		if pid == 0:
		    os.execvp('env', sys.argv[2:] + ['TMPDIR=' + sys.argv[1],
		        'make', 'check'])
		signal.alarm(20)
		while not os.path.exists('begun'):
		    time.sleep(0.05)
		began = time.monotonic()
		os.write(tty, b'\x03')
		try:
		    while os.read(tty, 4096):
		        pass
		except OSError:    # nobody has the terminal any more
		    pass
		assert os.waitpid(pid, 0)[1] != 0
		assert time.monotonic() - began < 5
	P
	nobody_is_left $mark
}

@test "check: files run beside each other, as many as JOBS says" {
	# each waits for the other
	file a <<<"it 'one' { : >'$PWD/a'; until [ -e '$PWD/b' ]; do sleep 0.1; done; }"
	file b <<<"it 'two' { : >'$PWD/b'; until [ -e '$PWD/a' ]; do sleep 0.1; done; }"
	check JOBS=2 LIMIT=20 a.bats b.bats
	[ "$status" = 0 ]
	rm a b
	check JOBS=1 LIMIT=1 a.bats b.bats
	[ "$status" = 1 ]
}

@test "check: it finds every test file by itself, and each once" {
	mkdir copy
	for name in clients data new; do
		printf '@%s\n' 'test "one" { :; }' >copy/$name.bats
	done
	cp "$ROOT/tests/run" copy/
	RUN=(bash copy/run)
	check
	[ "$status" = 0 ]
	[ "$(last)" = '3 passed, 0 skipped, 0 failed' ]
}

# setup_without COMMAND...: tests/setup, unprivileged as far as it can tell, where
# these are not in PATH
setup_without() {
	local dir name
	rm -rf bin
	mkdir bin
	for dir in /usr/sbin /usr/bin /sbin /bin; do
		for name in bash cat cc dirname gcc id python3 setsid sh; do
			[ ! -x "$dir/$name" ] || ln -sf "$dir/$name" bin/
		done
	done
	ln -sf "$(command -v bats)" bin/
	printf '#!/bin/sh\necho 1000\n' >bin/unprivileged
	chmod 755 bin/unprivileged
	mv bin/unprivileged bin/id
	for name; do
		rm -f "bin/$name"
	done
	status=0
	PATH=$PWD/bin sh "$ROOT/tests/setup" >said 2>&1 || status=$?
	cat said
}

@test "setup: with all that every test needs, it says nothing" {
	setup_without
	[ "$status" = 0 ]
	[ ! -s said ]
}

@test "setup: unprivileged, it names what is missing, and fails" {
	for name in bats cc python3 bash setsid; do
		setup_without $name
		[ "$status" = 1 ]
		grep -w "$name" said
	done
}

# debian: a tree with tests/setup and .ci/install, and in PATH what stands for
# root and for apt-get: it knows all packages but those in the file unknown, and
# writes to the file asked what it is asked for
debian() {
	mkdir -p tree/tests tree/.ci bin
	cp "$ROOT/tests/setup" tree/tests/
	sed "s|/usr/sbin/policy-rc.d|$PWD/policy-rc.d|" "$ROOT/.ci/install" \
	    >tree/.ci/install
	export HERE=$PWD LAUNCHERS_DIR=$PWD/launchers CLIENTS_DIR=$PWD/clients
	: >asked
	: >installed
	: >unknown
	stand_in id <<<'echo 0'
	stand_in apt-get <<-'S'
		echo "$*" >>"$HERE/asked"
		for word; do
			! grep -qx -e "$word" "$HERE/unknown" || exit 100
			case $word in
			install) to=install ;;
			download) to=download ;;
			-*|*=*) ;;
			*)	[ "${to:-}" != install ] || echo "$word" >>"$HERE/installed"
				[ "${to:-}" != download ] || : >"${word}_1.deb" ;;
			esac
		done
	S
	# shellcheck disable=SC2016
	stand_in dpkg-query <<<'sed "s/$/ installed/" "$HERE/installed"'
	# shellcheck disable=SC2016
	stand_in dpkg <<<'mkdir "$3"'
	# shellcheck disable=SC2016
	stand_in npm <<-'S'
		for word; do
			case $word in
			*@*)	mkdir -p "$CLIENTS_DIR/node_modules/${word%@*}" ;;
			esac
		done
	S
}

stand_in() {
	{ echo '#!/bin/sh'; cat; } >"bin/$1"
	chmod 755 "bin/$1"
}

# set_up: what tests/setup says is in the file said
set_up() {
	: >asked
	status=0
	PATH=$PWD/bin:$PATH sh tree/tests/setup >said 2>&1 || status=$?
	cat said asked
}

@test "setup: as root on Debian it says what it installs, installs it, and not again" {
	debian
	set_up
	[ "$status" = 0 ]
	head -n 1 said | grep '\.ci/install.* bats .* valgrind.* xinetd'
	grep -E '^.* install .* bats .* valgrind' asked
	grep 'download xinetd' asked
	set_up
	[ "$status" = 0 ]
	[ ! -s said ]
	[ ! -s asked ]
}

@test "setup: what cannot be had keeps nothing else back, and is asked for once" {
	debian
	printf '%s\n' valgrind xinetd >unknown
	set_up
	[ "$status" = 0 ]
	sort tree/tests/.missing | diff unknown -
	grep -x strace installed
	[ -d launchers/openbsd-inetd ]
	set_up
	[ "$status" = 0 ]
	grep 'valgrind xinetd' said
	[ ! -s asked ]
	# but .ci/install by itself fails, at once
	run ! env PATH="$PWD/bin:$PATH" bash tree/.ci/install
}
