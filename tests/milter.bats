#!/usr/bin/env bats
# milter - contrib/milter-filter: what a milter wants is done to the mail, and a
# refusal of its is ours; with opendkim(8), opendmarc(8) and rspamd's proxy

# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2016 # what stands in single quotes is for another shell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them
load helper

teardown() {
	local pid
	for pid in "${daemons[@]}"; do
		kill -9 "$pid" 2>/dev/null || :
	done
}

daemons=()

daemon() {
	"$@" >>daemon.log 2>&1 3>&- </dev/null &
	daemons+=($!)
	disown
}

# through SOCKET [FILE]: the mail of the file letter by that milter into the file
# mail, as a program; the reply is in out
through() {
	launched
	printf '#!/bin/sh\ncat >"%s/mail"\n' "$PWD" >keep
	chmod 755 keep
	rm -f mail
	OPTS=(-n mx.example -d example.org --spool . --log stderr "$ROOT/contrib/mail-filtered"
	    "$ROOT/contrib/milter-filter $1" "$PWD/keep")
	deliver "${2:-letter}"
	verdict=$(full_codes | sed 's/.* 354 \([^ ]*\) .*/\1/')
}

letter() {
	printf '%s\n' 'From: a@c.example' 'To: u@example.org' 'Subject:  two' ' lines' \
	    'X-Mine: one' 'x-mine: two' 'Date: Fri, 27 Nov 2026 00:00:00 +0000' \
	    'Message-ID: <1@c.example>' 'MIME-Version: 1.0' '' 'first' . $'na\xc3\xafve \xff' '' 'last' >letter
}

# mail_is FIELDS [BODY]: behind what smtpd puts in front; the body of the letter, or this
mail_is() {
	sed -n '1,/^Received: /p' mail | sed 's/:.*//' |
	    cmp - <(printf '%s\n' Return-Path Delivered-To Received)
	{
		printf '%s\n' "$1" ''
		if [ -n "${2:-}" ]; then cat "$2"; else sed '1,/^$/d' letter; fi
	} >want
	# Received has three lines
	sed 1,5d mail | diff want -
}

# milter STEP ANSWER...: one of the test's own, at the socket s: to the step (a
# letter of the protocol) it says these, "LETTER text" each, where \0 is NUL and #N a
# number of four octets; to all others "go on".  What it was told is in the file told.
milter() {
	cat >milter.py <<-'P'
		import os, re, socket, struct, sys
		at, answers = sys.argv[1], sys.argv[2:]
		steps = int(os.environ.get('STEPS', '0'), 16)
		s = socket.socket(socket.AF_UNIX)
		s.bind('s')
		s.listen(5)
		def octets(text):
		    out = b''
		    for part in re.split(r'(#\d+|\\0)', text):
		        out += b'\0' if part == '\\0' else struct.pack('!I', int(part[1:])) \
		            if re.fullmatch(r'#\d+', part) else part.encode('latin-1')
		    return out
		while True:
		    c, _ = s.accept()
		    f = c.makefile('rb')
		    def say(command, data=b''):
		        c.sendall(struct.pack('!I', len(data) + 1) + command.encode() + data)
		    with open('told', 'ab') as told:
		        while True:
		            head = f.read(5)
		            if len(head) < 5:
		                break
		            data = f.read(struct.unpack('!I', head[:4])[0] - 1)
		            command = head[4:].decode()
		            told.write(head[4:] + b' ' + data.replace(b'\0', b'|') + b'\n')
		            if command == 'O':
		                say('O', struct.pack('!III', 6, 0x1ff, steps))
		            elif command == at:
		                for a in answers:
		                    if a == 'close':
		                        c.shutdown(socket.SHUT_RDWR)
		                    elif a == 'hang':
		                        f.read(1)
		                    else:
		                        say(a[0], octets(a[2:]))
		            elif command not in 'DQ':
		                say('c')
	P
	rm -f s told
	[ ${#daemons[@]} = 0 ] || kill -9 "${daemons[-1]}"
	daemon /usr/bin/env python3 milter.py "$@"
	eventually test -S s
}

HEADER='From: a@c.example
To: u@example.org
Subject:  two
 lines
X-Mine: one
x-mine: two
Date: Fri, 27 Nov 2026 00:00:00 +0000
Message-ID: <1@c.example>
MIME-Version: 1.0'

@test "milter: it is told client, envelope and message, and not what smtpd has put in front" {
	letter
	STEPS=100000 milter none
	through unix:s
	[ "$verdict" = 250/2.0.0 ]
	mail_is "$HEADER"
	sed -E 's/^(D Cj\|)[^|]*/\1HOST/; s/[0-9]+\.M[0-9]+P[0-9]+Q[0-9]+/ID/; /^O /d' told >got
	# a macro's D stands before its step; the body has CRLF
	{
		printf '%s\n' 'D Cj|HOST|{daemon_name}|smtpd|v|smtpd|'
		printf '%s\n' 'C [192.0.2.7]|4||192.0.2.7|' 'D H' 'H c.example|' \
		    'D Mi|ID|{mail_addr}|a@c.example|' 'M <a@c.example>|' \
		    'D R{rcpt_addr}|u@example.org|' 'R <u@example.org>|' 'T ' \
		    'L From| a@c.example|' 'L To| u@example.org|' 'L Subject|  two' ' lines|' \
		    'L X-Mine| one|' 'L x-mine| two|' \
		    'L Date| Fri, 27 Nov 2026 00:00:00 +0000|' 'L Message-ID| <1@c.example>|' \
		    'L MIME-Version| 1.0|' 'N '
		printf 'B first\r\n.\r\nna\xc3\xafve \xff\r\n\r\nlast\r\n\n'
		printf '%s\n' 'D Ei|ID|' 'E ' 'Q '
	} >want
	diff -a want got
}

@test "milter: steps that it leaves out are left out, and what it does not answer is not waited for" {
	letter
	# no connect, HELO, MAIL, RCPT, DATA; no answer to a header
	STEPS=28f milter none
	kill -9 "${daemons[-1]}"
	rm -f s told
	sed -i "s/elif command not in 'DQ'/elif command not in 'DQL'/" milter.py
	daemon env STEPS=28f python3 milter.py none
	eventually test -S s
	through unix:s
	[ "$verdict" = 250/2.0.0 ]
	sed 's/^\(.\) .*/\1/' told | grep -ax '[CHMRTLNBEQ]' | tr -d '\n' |
	    cmp - <(printf LLLLLLLLNBEQ)
	# and without the flag no blank stands in front of a value
	grep -aqx 'L From|a@c.example|' told
}

@test "milter: it adds, inserts, changes and takes away fields, quarantines, and replaces the body" {
	letter
	printf 'new\nbody\n' >new
	local at
	milter E 'h X-Last\0at the end\0' 'c '
	through unix:s
	mail_is "$HEADER"$'\nX-Last: at the end'
	milter E 'i #0X-First\0one'$'\r\n'' two\0' 'p ' 'i #1X-Zeroth\0 zero\0' 'a '
	through unix:s
	mail_is $'X-Zeroth: zero\nX-First: one\n two\n'"$HEADER"
	milter E 'i #3X-Third\0three\0' 'i #99X-End\0end\0' 'c '
	through unix:s
	mail_is "$(sed '2aX-Third: three' <<<"$HEADER")"$'\nX-End: end'
	milter E 'm #2X-MINE\0changed\0' 'm #1Subject\0\0' 'm #1X-New\0new\0' 'm #9X-No\0\0' 'c '
	through unix:s
	mail_is "$(sed '/^Subject/,/ lines/d; s/^x-mine:.*/x-mine: changed/' <<<"$HEADER")"$'\nX-New: new'
	milter E 'q looks odd\0' 'c '
	through unix:s
	mail_is "$HEADER"$'\nX-Quarantine: looks odd'
	[ "$verdict" = 250/2.0.0 ]
	milter E $'b new\r\nbo' $'b dy\r\n' 'h X-A\0b\0' 'c '
	through unix:s
	mail_is "$HEADER"$'\nX-A: b' new
}

@test "milter: a refusal at any step is ours, with its words; what it discards nobody gets" {
	letter
	local step want answer bad=0
	while read -r want answer; do
		for step in C H M R T L N B E; do
			milter "$step" "$answer"
			through unix:s
			[ "$verdict" = "$want" ] && [ ! -e mail ] && continue
			echo "$step $answer: $verdict, wanted $want"
			cat log daemon.log
			bad=1
		done
	done <<-'R'
		550/5.7.1 r
		451/4.7.1 t
		550/5.7.26 y 550 5.7.26 No DMARC\0
		550/5.7.1 y 550 no enhanced code\0
		550/5.3.4 y 552 5.3.4 too big\0
		451/4.2.0 y 450 4.2.0 later\0
		451/4.7.1 y 421 go away\0
		250/2.0.0 d
	R
	[ $bad = 0 ]
	milter R 'y 550 5.1.1 who is that?\0'
	through unix:s
	grep -q $'^550 5.1.1 who is that?\r$' out
}

@test "milter: one that is not there, goes, or is none defers the mail" {
	letter
	local how
	through unix:nowhere
	[ "$verdict" = 451/4.7.1 ]
	through inet:127.0.0.1:1
	[ "$verdict" = 451/4.7.1 ]
	for how in O C L B E; do
		milter "$how" close
		[ "$how" != O ] || { sed -i "s/if command == 'O':/if False:/" milter.py
			kill -9 "${daemons[-1]}"; rm -f s; daemon python3 milter.py O close; eventually test -S s; }
		through unix:s
		[ "$verdict" = 451/4.7.1 ]
		[ ! -e mail ]
	done
}

@test "milter: a mail without a body, or without a header, comes out as it came in" {
	local what
	milter none
	for what in 'Subject: x\n' 'Subject: x\n\n' '\nbody\n' 'X: \n\n\n\n' 'A:\n b\n\n\n.\n'; do
		# shellcheck disable=SC2059 # it is a format
		printf "$what" >letter
		through unix:s
		[ "$verdict" = 250/2.0.0 ]
		sed 1,5d mail >got
		cp letter want
		# a header alone gets its empty line
		[ "$what" != 'Subject: x\n' ] || echo >>want
		cmp got want
	done
}

# ---- real ones -------------------------------------------------------------

# opendkim_runs NAME: with the file NAME.conf, at the socket NAME
opendkim_runs() {
	printf '%s\n' 'Background no' "PidFile $PWD/$1.pid" "UserID $(id -un)" \
	    "Socket local:$PWD/$1" >>"$1.conf"
	daemon opendkim -f -x "$1.conf"
	eventually test -S "$1"
}

signed_by_opendkim() {
	need opendkim opendkim-genkey
	opendkim-genkey -b 1024 -d c.example -s sel -D .
	printf '%s\n' 'Mode s' 'Domain c.example' 'Selector sel' "KeyFile $PWD/sel.private" \
	    'RequireSafeKeys no' 'InternalHosts 192.0.2.0/24' >sign.conf
	opendkim_runs sign
	letter
	through unix:sign
	[ "$verdict" = 250/2.0.0 ]
	[ "$(grep -c '^DKIM-Signature:' mail)" = 1 ]
	# as another server would get it
	sed 1,5d mail >signed
}

@test "opendkim: what it signs through us it finds signed through us, and Authentication-Results arrives" {
	signed_by_opendkim
	printf 'sel._domainkey.c.example %s\n' \
	    "$(sed -n 's/^[^"]*"\([^"]*\)".*/\1/p' sel.txt | tr -d '\n')" >keys
	printf '%s\n' 'Mode v' "TestPublicKeys $PWD/keys" 'AuthservID mx.example' >verify.conf
	opendkim_runs verify
	through unix:verify signed
	[ "$verdict" = 250/2.0.0 ]
	sed '1,5d; /^DKIM/,$d' mail | tr -d '\n' | grep -q '^Authentication-Results: mx.example;.*dkim=pass '
	# one octet more, and it is not
	sed 's/^last$/lasts/' signed >broken
	through unix:verify broken
	sed '1,5d; /^DKIM/,$d' mail | tr -d '\n' | grep -q '^Authentication-Results: mx.example;.*dkim=fail '
}

@test "opendmarc: its result arrives, and a mail without From is 550" {
	need opendmarc
	printf '%s\n' 'Background false' "PidFile $PWD/dmarc.pid" "Socket local:$PWD/dmarc" \
	    'AuthservID mx.example' 'RejectFailures true' 'RequiredHeaders true' >dmarc.conf
	daemon opendmarc -f -c dmarc.conf
	eventually test -S dmarc
	letter
	through unix:dmarc
	[ "$verdict" = 250/2.0.0 ]
	sed -n 6p mail | grep -q '^Authentication-Results: mx.example; dmarc='
	sed -i /^From/d letter
	through unix:dmarc
	[ "$verdict" = 550/5.7.1 ]
	[ ! -e mail ]
}

@test "rspamd: its proxy refuses GTUBE with its words, and takes the rest" {
	need rspamd
	local port
	port=$(py <<-'P'
		import socket
		s = socket.socket()
		s.bind(('127.0.0.1', 0))
		print(s.getsockname()[1])
	P
	)
	mkdir rs
	# all there are take half a minute to compile
	printf 'example\norg\n' >tld
	cat >rspamd.conf <<-C
		options {
		  url_tld = "$PWD/tld";
		  pidfile = "$PWD/rs/pid";
		  filters = "";
		  dns { nameserver = ["127.0.0.1:1:1"]; timeout = 0.1s; retransmits = 1; }
		  control_socket = "$PWD/rs/control mode=0600";
		}
		logging { type = "file"; filename = "$PWD/rs/log"; level = "info"; }
		worker "rspamd_proxy" {
		  bind_socket = "127.0.0.1:$port";
		  milter = yes;
		  timeout = 20s;
		  count = 1;
		  upstream "local" { default = yes; self_scan = yes; }
		}
		actions { reject = 15; add_header = 6; }
	C
	daemon rspamd -f -c "$PWD/rspamd.conf" -i
	letter
	# it listens before it can answer
	# shellcheck disable=SC2317 # eventually calls it
	takes() {
		through "inet:127.0.0.1:$port"
		[ "$verdict" = 250/2.0.0 ]
	}
	eventually takes || { cat log rs/log daemon.log; return 1; }
	mail_is "$HEADER"
	echo 'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X' >>letter
	through "inet:$port@127.0.0.1"
	[ "$verdict" = 550/5.7.1 ]
	grep -q '^550 5.7.1 Gtube pattern' out
	[ ! -e mail ]
	pkill -P "${daemons[-1]}" || :
}
