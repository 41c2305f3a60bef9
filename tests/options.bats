#!/usr/bin/env bats
# The command line, the configuration file, exit statuses (smtpd(8), OPTIONS, EXIT STATUS)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2154 # helper.bash sets them

load helper

# refused OPTION...: smtpd says why on stderr, nothing on stdout, and exits 64.
# The word $named, if set, must be in what it says.
refused() {
	status=0
	"$SMTPD" "$@" </dev/null >out 2>log || status=$?
	[ "$status" = 64 ] || { echo "$*: status $status, not 64"; return 1; }
	[ ! -s out ] || { echo "$*: said something on stdout"; return 1; }
	[ -s log ] || { echo "$*: said nothing"; return 1; }
	if ! grep -qF -e "${named-$1}" log; then
		echo "$*: ${named-$1} is not in:"
		cat log
		return 1
	fi
}

# taken OPTION...: smtpd starts with them, greets, and goes in peace
taken() {
	status=0
	"$SMTPD" -m box "$@" <<<QUIT >out 2>log || status=$?
	[ "$status" = 0 ] || { echo "$*: status $status"; cat log; return 1; }
	[ "$(codes)" = '220 221' ]
}

# bad_file LINE...: a file of these lines; the fault is in the last one
bad_file() {
	printf '%s\n' "$@" >conf
	status=0
	"$SMTPD" -f conf -m box </dev/null >out 2>log || status=$?
	[ "$status" = 78 ] || { echo "$*: status $status, not 78"; return 1; }
	[ ! -s out ] || { echo "$*: said something on stdout"; return 1; }
	grep -qF "conf:$#" log || { echo "$*: no line in:"; cat log; return 1; }
}

# greeting: the name in the greeting
greeting() {
	sed -n '1s/^220 \([^ ]*\) ESMTP.*/\1/p' out | tr -d '\r'
}

# ehlo KEYWORD: the line of the EHLO reply that begins so
ehlo() {
	tr -d '\r' <out | sed -n "s/^250[- ]\($1\( .*\)\{0,1\}\)\$/\1/p"
}

# ---- values ----------------------------------------------------------------

@test "options: an option that is not known is refused" {
	refused --nosuch
	refused --nosuch=1
	named=Z refused -Z
}

@test "options: an option without its value is refused" {
	local o
	for o in --domain --maildir --users --hostname --size --recipients \
	    --timeout --errors --bare-newline --delimiter --log --config; do
		named=${o#--} refused "$o"
	done
	for o in d m u n s r t e f; do
		named=$o refused -$o
	done
}

@test "options: a value for an option that takes none is refused" {
	local o
	for o in relay strict verbose test version help; do
		named=$o refused --$o=yes
	done
}

@test "options: --size is a number, with K or M behind it or not" {
	local v
	for v in '' x -1 +1 ' 1' '1 ' 1.5 1KB 1KK 1T K M 0x10 1e3; do
		named=size refused --size "$v"
	done
	named=size refused -s 12q
	for v in 0 1 1000 10K 10M 00100; do
		taken --size "$v"
	done
}

@test "options: a --size beyond any number is refused, and none wraps round" {
	local v
	for v in 99999999999999999999999 18446744073709551616 \
	    18014398509481984K 17592186044416M 99999999999999999999M; do
		named=size refused --size "$v"
	done
}

@test "options: --size is what EHLO offers: K is 1024, M is 1024 times that, 0 is 0" {
	local v want
	while read -r v want; do
		OPTS=(-m box -s "$v")
		say 'EHLO c.example' QUIT
		[ "$(ehlo SIZE)" = "SIZE $want" ]
	done <<-S
	12345 12345
	1K 1024
	3M 3145728
	0 0
	S
	OPTS=(-m box)
	say 'EHLO c.example' QUIT
	[ "$(ehlo SIZE)" = 'SIZE 52428800' ]
}

@test "options: the counts are numbers" {
	local o v
	for o in recipients timeout errors; do
		for v in '' x -1 +5 1x 1K ' 1' 99999999999999999999999; do
			named=$o refused --$o "$v"
		done
		taken --$o 17
	done
}

@test "options: a count of nothing is refused" {
	local o
	for o in recipients timeout errors; do
		named=$o refused --$o 0
	done
}

@test "options: --recipients is the limit of RCPTs" {
	OPTS+=(-r 2)
	say HELO\ c 'MAIL FROM:<>' 'RCPT TO:<a@example.org>' \
	    'RCPT TO:<a@example.org>' 'RCPT TO:<a@example.org>' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 452/4.5.3 221/2.0.0' ]
}

@test "options: --timeout is how long smtpd waits" {
	local before
	OPTS+=(-t 1)
	before=$SECONDS
	connect
	receive || true
	[ "$reply" = 421/4.4.2 ]
	[ $((SECONDS - before)) -le 9 ]
	exec {to}>&- {from}<&-
	wait "$server" || status=$?
	[ "$status" = 1 ]
}

@test "options: --errors is how many errors a client may make" {
	OPTS+=(-e 3)
	say X1 X2 X3 X4 QUIT
	[ "$(full_codes)" = '220 500/5.5.1 500/5.5.1 421/4.7.0' ] ||
	    [ "$(full_codes)" = '220 500/5.5.1 500/5.5.1 500/5.5.1 421/4.7.0' ]
	[ "$status" = 1 ]
}

@test "options: --log takes stderr, syslog, off" {
	local v
	for v in '' on STDERR stdout file /tmp/x; do
		named=log refused --log "$v"
	done
	for v in stderr syslog off; do
		taken --log $v
	done
}

@test "options: --bare-newline takes reject, normalize" {
	local v
	for v in '' yes Reject reject,normalize; do
		named=bare-newline refused --bare-newline "$v"
	done
	taken --bare-newline reject
	taken --bare-newline normalize
}

@test "options: --bare-newline normalize takes what reject refuses" {
	printf '%s\r\n' 'HELO c' 'MAIL FROM:<>' 'RCPT TO:<u@example.org>' DATA \
	    $'Subject: s\n\nb' . QUIT >in
	OPTS+=(--bare-newline reject)
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 550/5.5.2 221/2.0.0' ]
	nothing_kept
	OPTS+=(--bare-newline normalize)
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$(body "$(only_message)")" = b ]
}

@test "options: --delimiter is one character or none" {
	local v
	for v in ab ++ $'\xc3\xa9'; do
		named=delimiter refused --delimiter "$v"
	done
	for v in + - = . ''; do
		taken --delimiter "$v"
	done
}

@test "options: --hostname is a domain, or an address in brackets" {
	local v
	for v in '' 'a b' -a a..b .a 'a/b' $'a\nb' "a'" 'a<b' \
	    "$(printf '%0256d' 0 | tr 0 a)"; do
		named=hostname refused --hostname "$v"
	done
	taken -n mx.example
	[ "$(greeting)" = mx.example ]
	taken --hostname localhost
	[ "$(greeting)" = localhost ]
}

@test "options: --domain is a domain, .domain, * or @file" {
	local v
	for v in '' 'a b' ..a a..b - 'a/b' '*.a' '**' . @; do
		named=domain refused --domain "$v"
	done
	echo a.example >names
	for v in a.example .a.example '*' @names A.EXAMPLE; do
		taken --domain "$v"
	done
}

@test "options: the maildir is not empty" {
	named=maildir refused --maildir ''
}

@test "options: the users' file is not empty" {
	named=users refused --maildir box --users ''
}

@test "options: --relay opens every domain" {
	say HELO\ c 'MAIL FROM:<>' 'RCPT TO:<a@elsewhere.example>' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 550/5.7.1 221/2.0.0' ]
	OPTS+=(--relay)
	say HELO\ c 'MAIL FROM:<>' 'RCPT TO:<a@elsewhere.example>' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 221/2.0.0' ]
}

@test "options: Maildir and program together are refused" {
	named='' refused -m box cat
	named='' refused -m box -- cat
}

@test "options: long options take = or the next word, short ones both" {
	taken --hostname=a.example
	[ "$(greeting)" = a.example ]
	taken -na.example
	[ "$(greeting)" = a.example ]
	taken -n a.example
	[ "$(greeting)" = a.example ]
}

@test "options: what a value says is never a format" {
	named=%n%s%s%n refused --size %n%s%s%n
	named=%n%s refused --%n%s
	bad_file 'size %n%s%s'
	bad_file '%n%s%s x'
}

# ---- order -----------------------------------------------------------------

@test "options: a later option replaces an earlier one" {
	taken -n a.example -n b.example
	[ "$(greeting)" = b.example ]
	OPTS=(-m nowhere -d example.org -m box)
	mail_to u@example.org
	only_message
}

@test "options: --domain adds" {
	OPTS=(-m box -d a.example -d .b.example --domain c.example)
	say HELO\ c 'MAIL FROM:<>' 'RCPT TO:<u@a.example>' \
	    'RCPT TO:<u@x.b.example>' 'RCPT TO:<u@c.example>' \
	    'RCPT TO:<u@b.example>' 'RCPT TO:<u@d.example>' QUIT
	[ "$(codes)" = '220 250 250 250 250 250 550 550 221' ]
}

@test "options: a configuration file counts where it stands" {
	echo hostname file.example >conf
	taken -n before.example -f conf
	[ "$(greeting)" = file.example ]
	taken -n before.example -f conf -n after.example
	[ "$(greeting)" = after.example ]
	taken --config=conf
	[ "$(greeting)" = file.example ]
}

@test "options: a file's domains are added to the others" {
	printf 'domain b.example\ndomain c.example\n' >conf
	OPTS=(-m box -d a.example -f conf -d d.example)
	say HELO\ c 'MAIL FROM:<>' 'RCPT TO:<u@a.example>' 'RCPT TO:<u@b.example>' \
	    'RCPT TO:<u@c.example>' 'RCPT TO:<u@d.example>' \
	    'RCPT TO:<u@e.example>' QUIT
	[ "$(codes)" = '220 250 250 250 250 250 250 550 221' ]
}

# ---- the file --------------------------------------------------------------

@test "options: a file may set everything that is asked of it" {
	echo alice >users
	cat >conf <<-S
	# what this host takes
	domain example.org
	maildir box
	users users
	hostname file.example
	size 2K
	recipients 3
	timeout 77
	errors 5
	bare-newline normalize
	delimiter -
	log stderr
	relay
	verbose
	S
	OPTS=(-f conf)
	say 'EHLO c.example' 'MAIL FROM:<>' 'RCPT TO:<alice-x@example.org>' \
	    'RCPT TO:<bob@example.org>' QUIT
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 550/5.1.1 221/2.0.0' ]
	[ "$(greeting)" = file.example ]
	[ "$(ehlo SIZE)" = 'SIZE 2048' ]
	grep -q 'alice-x' log
}

@test "options: in a file, comments, empty lines and blanks around do not count" {
	printf '%s\n' '# hostname no.example' '' '   ' '	# hostname no.example' \
	    ' 	 hostname	 	a.example 	 ' '#' '' >conf
	taken -f conf
	[ "$(greeting)" = a.example ]
}

@test "options: in a file, a value is the rest of the line, blanks and quotes kept" {
	mkdir -p "a  'b' \"c\""/{tmp,new,cur}
	printf 'maildir  a  %sb%s "c"  \n' "'" "'" >conf
	OPTS=(-d example.org -f conf)
	mail_to u@example.org
	only_message "a  'b' \"c\""
}

@test "options: an empty file is a file without options" {
	: >conf
	taken -n a.example -f conf
	[ "$(greeting)" = a.example ]
}

@test "options: a last line without newline counts, or is told" {
	printf 'hostname a.example\nsize x' >conf
	status=0
	"$SMTPD" -m box -f conf </dev/null >out 2>log || status=$?
	[ "$status" = 78 ]
	grep -F conf:2 log
}

@test "options: a wrong value in a file is 78, with the file and the line" {
	bad_file 'size x'
	bad_file '# one' '' 'timeout 5' 'timeout x'
	bad_file 'log nowhere'
	bad_file 'bare-newline maybe'
	bad_file 'domain a b'
	bad_file 'hostname ..'
	bad_file 'delimiter abc'
	bad_file 'recipients -1'
	bad_file 'errors 1x'
	bad_file size
	bad_file maildir
	bad_file 'users  	'
}

@test "options: an unknown name in a file is 78, with the file and the line" {
	bad_file 'nosuch x'
	bad_file 'size 5' nosuch
	bad_file 'siz 5'
	bad_file '--size 5'
	bad_file 'size=5'
	bad_file '-s 5'
	bad_file 's 5'
}

@test "options: a file names no second file" {
	echo hostname b.example >other
	bad_file 'config other'
	bad_file 'hostname a.example' 'config other'
}

@test "options: a second --config is refused" {
	echo hostname a.example >a
	echo hostname b.example >b
	named=config refused -f a -f b
}

@test "options: a configuration file that is not there is told by its name" {
	status=0
	"$SMTPD" -m box -f nosuch.conf </dev/null >out 2>log || status=$?
	[ "$status" = 64 ] || [ "$status" = 78 ]
	[ ! -s out ]
	grep -F nosuch.conf log
}

@test "options: a directory is no configuration file" {
	status=0
	"$SMTPD" -m box -f box </dev/null >out 2>log || status=$?
	[ "$status" = 64 ] || [ "$status" = 78 ]
	[ ! -s out ]
	[ -s log ]
}

@test "options: bytes of no text in a file are an error, and no crash" {
	printf 'hostname a\0b\n' >conf
	status=0
	"$SMTPD" -m box -f conf </dev/null >out 2>log || status=$?
	[ "$status" = 78 ]
	head -c 300000 /dev/urandom >conf
	status=0
	"$SMTPD" -m box -f conf </dev/null >out 2>log || status=$?
	[ "$status" = 78 ] || [ "$status" = 64 ]
	head -c 300000 /dev/zero | tr '\0' x >conf
	status=0
	"$SMTPD" -m box -f conf </dev/null >out 2>log || status=$?
	[ "$status" = 78 ] || [ "$status" = 64 ]
	[ ! -s out ]
}

# ---- about itself ----------------------------------------------------------

@test "options: -bs is accepted and without effect" {
	taken -bs
	taken -bs -n a.example
	[ "$(greeting)" = a.example ]
	taken -n a.example -bs
	[ "$(greeting)" = a.example ]
}

@test "options: --help goes to stdout, with every option, and exits 0" {
	local o
	"$SMTPD" --help >out 2>log </dev/null
	[ ! -s log ]
	for o in domain maildir users hostname size recipients timeout errors \
	    relay bare-newline delimiter log config strict verbose test version \
	    help; do
		grep -q -e "--$o\>" out
	done
	for o in d m u n s r t e f v T V h; do
		grep -qE -e "(^|[^-[:alnum:]])-$o\>" out
	done
	cp out help
	"$SMTPD" -h >out 2>log </dev/null
	cmp out help
}

@test "options: no line of --help is wider than a terminal" {
	"$SMTPD" --help >out
	run grep -E '.{81}' out
	[ "$status" = 1 ]
}

@test "options: --version is one line on stdout, with the version of the Makefile" {
	"$SMTPD" --version >out 2>log </dev/null
	[ ! -s log ]
	[ "$(wc -l <out)" = 1 ]
	grep -E '^smtpd [0-9]+\.[0-9]' out
	if [ -e "$ROOT/Makefile" ]; then
		grep -F " $(sed -n 's/^VERSION *= *//p' "$ROOT/Makefile")" out
	fi
	"$SMTPD" -V | cmp - out
}

@test "options: --test prints what holds, says nothing of SMTP, and exits 0" {
	"$SMTPD" --test -n mx.example -d a.example -d .b.example -m "$PWD/box" \
	    -s 3M -r 123 -t 45 -e 6 >out 2>log </dev/null
	grep -F mx.example out
	grep -F a.example out
	grep -F .b.example out
	grep -F "$PWD/box" out
	grep -E '3145728|3M' out
	grep -w 123 out
	grep -w 45 out
	grep -w 6 out
	run grep '^[245][0-9][0-9][- ]' out
	[ "$status" = 1 ]
}

@test "options: --test counts the file too" {
	printf 'hostname file.example\nsize 4K\n' >conf
	"$SMTPD" -T -m box -f conf -n late.example >out 2>log </dev/null
	grep -E '4096|4K' out
	grep -F late.example out
	run grep -F file.example out
	[ "$status" = 1 ]
}

@test "options: --test tells what is wrong as any start does" {
	named=size refused --test --size x
	echo 'size x' >conf
	status=0
	"$SMTPD" --test -f conf -m box >out 2>log </dev/null || status=$?
	[ "$status" = 78 ]
	grep -F conf:1 log
}

@test "options: --test warns of fewer than 100 recipients" {
	"$SMTPD" --test -m box -r 100 >out 2>&1 </dev/null
	"$SMTPD" --test -m box -r 99 >less 2>&1 </dev/null
	[ "$(wc -l <less)" -gt "$(wc -l <out)" ]
}

@test "options: --test says loudly that postmaster's Maildir is missing" {
	mkdir -p home/postmaster/{tmp,new,cur}
	"$SMTPD" --test -d example.org -m 'home/{user}' >out 2>&1 </dev/null
	rm -r home
	mkdir home
	"$SMTPD" --test -d example.org -m 'home/{user}' >less 2>&1 </dev/null || true
	grep -F home/postmaster less
	[ "$(wc -l <less)" -gt "$(wc -l <out)" ]
}

@test "options: --test reads nothing and delivers nothing" {
	mail_to u@example.org
	rm box/new/*
	"$SMTPD" "${OPTS[@]}" --test <in >out 2>log
	nothing_kept
}

# ---- exit statuses ---------------------------------------------------------

@test "options: a client that says QUIT has left properly: 0" {
	say QUIT
	[ "$status" = 0 ]
	say 'HELO c' 'MAIL FROM:<>' QUIT
	[ "$status" = 0 ]
}

@test "options: a client that ends its input with no message begun has left properly: 0" {
	send </dev/null
	[ "$status" = 0 ]
	say 'HELO c'
	[ "$status" = 0 ]
	letter_to u@example.org | sed '/^QUIT/d' >in
	send <in
	[ "$status" = 0 ]
}

@test "options: a client that goes in the middle of its message: 1" {
	letter_to u@example.org | sed '/^\.\r*$/,$d' >in
	send <in
	[ "$status" = 1 ]
	nothing_kept
}

@test "options: refusals alone leave the status 0" {
	say X 'RCPT TO:<a>' 'HELO c' 'MAIL FROM:<>' 'RCPT TO:<a@elsewhere.example>' QUIT
	[ "$(codes)" = '220 500 503 250 250 550 221' ]
	[ "$status" = 0 ]
}

@test "options: something deferred for a fault of ours: 75, even after QUIT" {
	rmdir box/tmp
	connect
	attempt u@example.org
	hangup
	[ "$status" = 75 ]
}

@test "options: SIGTERM is being sent away: 421 and 1" {
	connect
	kill -TERM "$server"
	receive
	[ "$reply" = 421/4.3.2 ]
	exec {to}>&- {from}<&-
	status=0
	wait "$server" || status=$?
	[ "$status" = 1 ]
}

@test "options: by hand, without Maildir or program, is a dry run, and says so" {
	OPTS=(-n mx.example)
	mail_to u@anywhere.example
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	grep -F 'dry run' out
	[ "$status" = 0 ]
	[ "$(count box)" = 0 ]
}

# ---- under a launcher ------------------------------------------------------

# sent_away STATUS OPTION...: the client gets one line, 421 without an enhanced
# code, and smtpd exits with STATUS
sent_away() {
	local want=$1
	shift
	status=0
	"$SMTPD" "$@" </dev/null >out 2>log || status=$?
	[ "$status" = "$want" ] || { echo "$*: status $status, not $want"; return 1; }
	[ "$(full_codes)" = 421 ] || { echo "$*: got"; cat out; return 1; }
	[ "$(wc -l <out)" = 1 ]
	grep -q $'\r$' out
	run grep -E '^421 [245]\.[0-9]+\.[0-9]+' out
	[ "$status" = 1 ]
}

@test "options: under a launcher a wrong option is a 421 for the client, and 64" {
	launched
	sent_away 64 --nosuch
	sent_away 64 -m box --size x
	sent_away 64 -m box --size
	sent_away 64 -m box cat
	sent_away 64 -m box --domain 'a b'
}

@test "options: under a launcher a wrong file is a 421 for the client, and 78" {
	launched
	echo 'size x' >conf
	sent_away 78 -m box -f conf
	echo 'nosuch x' >conf
	sent_away 78 -m box -f conf
	[ -s log ]
	grep -F conf:1 log
}

@test "options: under a launcher, neither Maildir nor program is a 421, and 78" {
	launched
	sent_away 78 -d example.org
	sent_away 78
	echo 'size 5' >conf
	sent_away 78 -f conf
}

@test "options: under a launcher nothing of the command line reaches the client" {
	launched
	sent_away 64 -m box --size SECRET
	run grep SECRET out
	[ "$status" = 1 ]
}

@test "options: on a socket, which fd 2 is too, the client gets the 421 and nothing else" {
	need python3
	local -a cases=('-m box --size x' '-m box --nosuch' '-f conf -m box'
	    '-d example.org' '-m box cat')
	echo 'size x' >conf
	py "$SMTPD" "${cases[@]}" <<-'P'
		import re, socket, subprocess, sys
		smtpd, wants = sys.argv[1], [64, 64, 78, 78, 64]
		for case, want in zip(sys.argv[2:], wants):
		    ours, its = socket.socketpair()
		    child = subprocess.Popen([smtpd] + case.split(), stdin=its,
		        stdout=its, stderr=its)
		    its.close()
		    ours.settimeout(10)
		    got = b''
		    while True:
		        piece = ours.recv(4096)
		        if not piece:
		            break
		        got += piece
		    status = child.wait(10)
		    ours.close()
		    if status != want or not re.fullmatch(rb'421 [ -~]*\r\n', got) \
		            or re.match(rb'421 [245]\.\d', got):
		        sys.exit('%s: status %d, got %r' % (case, status, got))
	P
}
