# smtptop.bats - contrib/smtptop: all sessions in one table, live
# proc(5); smtpd(8): WATCHING A SESSION

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them
load live

TOP=$ROOT/contrib/smtptop

teardown() {
	tmux -L "smtptop-$BATS_TEST_NUMBER" kill-server 2>/dev/null || :
	# shellcheck disable=SC2046
	kill $(cat pids 2>/dev/null) 2>/dev/null || :
}

# hold N: N sessions that stay, in states one after the other; the file pids has
# them and their holder, told what each client was told, clients theirs
hold() {
	live_py >live.py
	cat >hold.py <<-'P'
		import os
		import sys
		import time
		import live

		n, argv = int(sys.argv[1]), sys.argv[2:]
		MAIL = b'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		RCPT = b'RCPT TO:<u@example.org>\r\n'
		SAID = (b'', b'EHLO c.example\r\n', MAIL, MAIL + 3 * RCPT,
		    MAIL + 2 * RCPT + b'DATA\r\n' + 1000 * b'0123456\r\n')
		held = []
		for i in range(n):
		    s = live.Session(argv, env=dict(os.environ, PROTO='TCP',
		        TCPREMOTEIP='192.0.2.%d' % i if i < 250 else
		        '2001:db8::%x' % i))
		    s.send(SAID[i % 5])
		    held.append(s)
		with open('pids.new', 'w') as f:
		    print(os.getpid(), *(s.child.pid for s in held), file=f)
		os.rename('pids.new', 'pids')
		time.sleep(2)
		while any(s.child.poll() is None for s in held):
		    for s in held:
		        if s.child.poll() is not None and s.r != -1:
		            with open('ended', 'a') as f:
		                print(s.child.pid, s.child.returncode,
		                    os.read(s.r, 65536).split(b'\r\n')[-2].decode(),
		                    file=f)
		            s.r = -1
		    time.sleep(0.1)
	P
	python3 hold.py "$1" "$SMTPD" "${OPTS[@]}" >held 2>&1 3>&- &
	eventually [ -s pids ]
}

# ours: of a table those of our own sessions, without pid and age
ours() {
	cut -d ' ' -f 2- pids | tr ' ' '\n' >ours
	awk -F '\t' -v OFS='\t' 'NR == FNR { is[$1]; next }
		$1 in is { print $2, $3, $4, $5, $6 }' ours "$1"
}

# on_terminal WIDTH HEIGHT ARG...: smtptop, in a terminal of that size
on_terminal() {
	need tmux
	local w=$1 h=$2
	shift 2
	tmux -L "smtptop-$BATS_TEST_NUMBER" -f /dev/null new-session -d \
	    -x "$w" -y "$h" "$TOP $*; echo status \$?; sleep 60"
}

mux() {
	tmux -L "smtptop-$BATS_TEST_NUMBER" "$@"
}

# shows PATTERN: the screen does, now
shows() {
	mux capture-pane -p >screen
	grep -qE -- "$1" screen
}

@test "smtptop: --once is a table of what each session does, a line each" {
	hold 5
	eventually is_there
	head -1 table | cmp - <(printf 'pid\tclient\tstate\trcpts\toctets\trate\tage\n')
	run ! grep -avE '^[ -~	]*$' table
}

is_there() {
	"$TOP" --once >table
	ours table >got
	printf '%s\t%s\t%s\t%s\t%s\n' 192.0.2.0 START 0 0 0 192.0.2.1 HELO 0 0 0 \
	    192.0.2.2 MAIL 0 0 0 192.0.2.3 RCPT 3 0 0 192.0.2.4 DATA 2 9000 0 |
	    diff - got
}

@test "smtptop: on a pipe it is --once; -u shows one user's, a user that is none is an error" {
	hold 2
	"$TOP" >table
	[ "$(ours table | wc -l)" = 2 ]
	"$TOP" --once -u "$(id -un)" >table
	[ "$(ours table | wc -l)" = 2 ]
	"$TOP" --once -u daemon >table
	[ "$(ours table | wc -l)" = 0 ]
	run ! "$TOP" --once -u no-such-user
	"$TOP" --once | head -0
}

@test "smtptop: a title that another gave himself breaks nothing, and no octet of it reaches the terminal" {
	local title
	for title in $'smtpd: [192.0.2.7] \e[31mDATA' 'smtpd: ' 'smtpd: [x] DATA 1 rcpt' \
	    "smtpd: [192.0.2.7] DATA $(printf '%0300d' 0) rcpt" \
	    $'smtpd: [192.0.2.7] DATA 1 rcpt 5 bytes\n1\t2\t3' \
	    "smtpd: $(printf '%03000d' 0)"; do
		bash -c 'exec -a "$0" sleep 30' "$title" 3>&- &
		echo $! >>fakes
	done
	paste -sd ' ' fakes >pids
	"$TOP" --once >table
	run ! grep -avE '^[ -~	]*$' table
	run ! awk -F '\t' 'NF != 7 { exit 0 } END { exit 1 }' table
	[ "$(grep -cwFf fakes table)" = 6 ]
}

@test "smtptop: on a terminal, sorted by any column, either way, and q ends it" {
	hold 5
	sleep 1
	on_terminal 80 24 -d 0.3
	eventually shows '^ +PID CLIENT +STATE +RCPT +OCTETS +RATE +AGE\*$'
	shows '^[0-9]+ sessions, [0-9]+ sending, '
	mux send-keys c
	eventually shows 'CLIENT\*'
	shows '192\.0\.2\.0 +START +- +- +- '
	[ "$(grep -oE '192\.0\.2\.[0-4] ' screen | paste -sd '' -)" = \
	    '192.0.2.0 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 ' ]
	mux send-keys r
	eventually reversed
	mux send-keys o
	eventually shows 'OCTETS\*'
	grep -oE '192\.0\.2\.4 +DATA +2 +9000' screen
	mux send-keys q
	eventually shows '^status 0'
}

reversed() {
	mux capture-pane -p >screen
	[ "$(grep -oE '192\.0\.2\.[0-4] ' screen | paste -sd '' -)" = \
	    '192.0.2.4 192.0.2.3 192.0.2.2 192.0.2.1 192.0.2.0 ' ]
}

@test "smtptop: 200 sessions, at 80, 120 and 40 columns" {
	local w
	hold 200
	on_terminal 80 24 -d 0.3
	for w in 80 120 40; do
		mux resize-window -x "$w" -y 24
		eventually fits "$w"
	done
	"$TOP" --once >table
	[ "$(ours table | wc -l)" = 200 ]
	mux send-keys End
	mux resize-window -x 80 -y 10
	eventually fits 80
	mux send-keys q
	eventually shows '^status 0'
}

# fits WIDTH: the screen is full, and no line is too long
fits() {
	mux capture-pane -p >screen
	grep -q '^2[0-9][0-9] sessions, 40 sending' screen || return
	grep -q '^k=end it q=quit' screen || return
	case $1 in
	40)	grep -qE '^ +PID CLIENT +STATE +OCTETS' screen ;;
	*)	grep -qE '^ +PID CLIENT +STATE +RCPT +OCTETS +RATE +AGE' screen ;;
	esac
}

@test "smtptop: k, and y, ends the session under the cursor: its client gets 421" {
	hold 3
	sleep 1
	on_terminal 80 24 -d 0.3 -s client
	eventually shows '192\.0\.2\.1 +HELO'
	# the cursor is on the first one; others' may be above ours
	eventually down_to 192.0.2.1
	mux send-keys k
	eventually shows '^end the session of 192\.0\.2\.1 \(pid [0-9]+\)\? y/n'
	mux send-keys n
	sleep 0.5
	[ ! -e ended ]
	mux send-keys k
	eventually shows '^end the session of 192\.0\.2\.1 '
	mux send-keys y
	eventually [ -s ended ]
	[ "$(cut -d ' ' -f 2-4 ended)" = '1 421 4.3.2' ]
	[ "$(cut -d ' ' -f 1 ended)" = "$(cut -d ' ' -f 3 pids)" ]
	eventually gone_from_it
	mux send-keys q
}

# down_to CLIENT: the cursor is on it, or goes one further
down_to() {
	mux capture-pane -pe >screen
	grep -q $'\e\[[0-9;]*7m *[0-9]* '"$1 " screen && return
	mux send-keys Down
	return 1
}

gone_from_it() {
	mux capture-pane -p >screen
	! grep -q '192\.0\.2\.1 ' screen
}

@test "smtptop: what begins and ends while it looks is no error" {
	on_terminal 80 24 -d 0.05
	for _ in {1..60}; do
		printf 'QUIT\r\n' | "$SMTPD" "${OPTS[@]}" >/dev/null 2>&1
	done
	mux send-keys q
	eventually shows '^status 0'
}

@test "smtptop: its picture is made of a table, and is the one in contrib" {
	"$TOP" --from "$ROOT/tests/smtptop.tsv" --svg -s octets >svg
	cmp svg "$ROOT/contrib/smtptop.svg"
	"$TOP" --from "$ROOT/tests/smtptop.tsv" --once | sort |
	    cmp - <(sort "$ROOT/tests/smtptop.tsv")
	python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' svg
}
