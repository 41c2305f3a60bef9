# told.bats - what the log says of why: the words of a refusal, whose mail it
# was, and which file a fault is about

# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # OPTS is each test's own
load live

# line EVENT [N]: the Nth line of this event, the first if that is not said,
# without its head
line() {
	sed -n "s/^[^ ]*: $1 //p" log | sed -n "${2:-1}p"
}

# says LINE KEY=VALUE...: each of them is one of its words
says() {
	local word
	for word in "${@:2}"; do
		[[ " $1 " = *" $word "* ]] && continue
		printf '%s is not in: %s\n' "$word" "$1"
		return 1
	done
}

# id_of_reply: the ID in the reply to the dot, of the last message
id_of_reply() {
	sed -n 's/\r$//; s/^250 2\.0\.0 .*\([0-9]\{10\}\.M[0-9]*P[0-9]*Q[0-9]*\).*/\1/p' \
	    out | tail -n 1
}

# ---- refusals ----

@test "refused: the line has the reply's code, its enhanced code and words, the sender and the recipient" {
	local n=0 code words
	echo alice >users
	OPTS+=(-u users)
	launched
	say 'EHLO c.example' FOO 'MAIL FROM:<a@>' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@elsewhere.example>' 'RCPT TO:<bob@example.org>' DATA QUIT
	[ "$(codes)" = '220 250 500 501 250 550 550 554 221' ]
	[ "$(grep -c ': refused ' log)" = 5 ]
	while read -r code words; do
		n=$((n + 1))
		says "$(line refused $n)" "reply=$code" "text=\"$words\"" \
		    'client=[192.0.2.7]:4321'
		[[ $words = [45].[0-9]*.[0-9]*' '[A-Z]* ]]
	done < <(sed -n 's/\r$//; /^5/p' out)
	[ $n = 5 ]
	for n in 1 2; do
		[[ "$(line refused $n)" != *' from='* ]]
		[[ "$(line refused $n)" != *' to='* ]]
	done
	says "$(line refused 3)" 'from="a@c.example"' 'to="u@elsewhere.example"'
	says "$(line refused 4)" 'from="a@c.example"' 'to="bob@example.org"'
	# DATA has no one recipient
	says "$(line refused 5)" 'from="a@c.example"'
	[[ "$(line refused 5)" != *' to='* ]]
}

@test "refused: the recipient is the one of this line, and of no line before it" {
	say 'EHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    FOO 'RCPT TO:<v@elsewhere.example>' FOO 'RCPT TO:<' RSET FOO QUIT
	[ "$(codes)" = '220 250 250 250 500 550 500 501 250 500 221' ]
	[[ "$(line refused 1)" != *' to='* ]]
	says "$(line refused 2)" 'to="v@elsewhere.example"'
	[[ "$(line refused 3)" != *' to='* ]]
	[[ "$(line refused 4)" != *' to='* ]]
	# the sender is gone with RSET
	says "$(line refused 4)" 'from="a@c.example"'
	[[ "$(line refused 5)" != *' from='* ]]
}

@test "refused: what a policy server and a program said is in the line" {
	cat >policy.sh <<-'P'
		#!/bin/sh
		while read -r line; do
			[ -n "$line" ] || printf 'action=450 4.2.0 come back later\n\n'
		done
	P
	chmod 755 policy.sh
	OPTS+=(--policy ./policy.sh)
	mail_to u@example.org
	says "$(line refused)" reply=450 'text="4.2.0 come back later"' \
	    'to="u@example.org"'
	OPTS=(-n mx.example -d example.org --lmtp -- sh -c
	    'echo 5.7.1 no such mail here; exit 77')
	say 'LHLO c.example' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    DATA 'Subject: x' '' x . QUIT
	[[ "$(full_codes)" = *' 354 550/5.7.1 221/2.0.0' ]]
	says "$(line refused)" reply=550 'text="5.7.1 no such mail here"' \
	    'from="a@c.example"' 'to="u@example.org"'
}

@test "refused: quotes and control characters of the client's are escaped in every word" {
	printf '%b\r\n' 'EHLO c.example' 'MAIL FROM:<"a\\"b"@c.example>' \
	    'RCPT TO:<"u\\" x=\\"y"@elsewhere.example>' QUIT >in
	send <in
	[ "$(codes)" = '220 250 250 550 221' ]
	# each word is KEY=VALUE, and a quote within a value is escaped
	[ "$(line refused | grep -cE '^([a-z-]+=([^" ]*|"([^"\\]|\\.)*") ?)+$')" = 1 ]
	[[ "$(line refused)" != *' x="'* ]]
}

@test "session: the count of messages that were refused has a name of its own" {
	say 'EHLO c.example' FOO 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@elsewhere.example>' 'RCPT TO:<u@example.org>' DATA \
	    $'x\ny' . 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' DATA \
	    x . QUIT
	[ "$(codes)" = '220 250 500 250 550 250 354 550 250 250 354 250 221' ]
	says "$(line session)" messages=1 messages-refused=1
	# so that grep for the event finds the event alone
	[ "$(grep -cw refused log)" = "$(grep -c 'messages-refused\|: refused ' log)" ]
	[[ "$(line session)" != *' refused='* ]]
}

# ---- faults ----

@test "fault: of a Maildir, the line has the path, the mailbox and the message's id" {
	local sub
	for sub in tmp new; do
		rm -rf home
		mkdir -p home/{postmaster,alice}/{tmp,new,cur}
		OPTS=(-n mx.example -d example.org -m "$PWD/home/{user}")
		rm -r "home/alice/$sub"
		# postmaster's comes first, and well
		each_letter postmaster alice
		# DATA is refused where tmp/ is missing, and the dot where new/ is
		[[ "$(codes)" = *' 354 250 250 250 '?(354 )'45'?' '* ]]
		grep ': fault ' log
		[[ "$(line fault)" = 'client=unknown id='*'Q2 '* ]]
		says "$(line fault)" "mailbox=\"$PWD/home/alice\""
		[[ "$(line fault)" = *" path=\"$PWD/home/alice"*"$sub"* ]]
	done
}

# each_letter USER...: in one session a message to each
each_letter() {
	local u
	{
		printf 'EHLO c.example\r\n'
		for u; do
			printf 'MAIL FROM:<a@c.example>\r\nRCPT TO:<%s@example.org>\r\n' "$u"
			printf 'DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n'
		done
		printf 'QUIT\r\n'
	} >in
	send <in
}

@test "fault: while a message is received or stored, its id is the one in the log's line of the message" {
	may_trace
	local call
	letter_to u@example.org >in
	for call in fsync linkat; do
		traced -e trace=$call -e "inject=$call:error=EIO" <in
		[[ "$(full_codes)" = *' 354 45'*' 221/2.0.0' ]]
		says "$(line fault)" 'mailbox="box"' \
		    "$(line message | grep -o '^id=[^ ]*')"
		[[ "$(line fault)" = *' path="'* ]]
	done
}

@test "fault: of a message that is over, the id is not told with the next one's" {
	local id
	cat >policy.sh <<-'P'
		#!/bin/sh
		while read -r line; do
			case $line in
			recipient=v*)	exit ;;
			'')		printf 'action=DUNNO\n\n' ;;
			esac
		done
	P
	chmod 755 policy.sh
	OPTS+=(--policy ./policy.sh)
	{
		letter_to u@example.org | sed '/^QUIT/d'
		printf 'MAIL FROM:<a@c.example>\r\nRCPT TO:<v@example.org>\r\nQUIT\r\n'
	} >in
	send <in
	[[ "$(full_codes)" = *' 354 250/2.0.0 250/2.1.0 451/4.3.5 221/2.0.0' ]]
	id=$(id_of_reply)
	[ -n "$id" ]
	says "$(line message)" "id=$id"
	[[ "$(line fault)" != *" id="* ]]
	[[ "$(line fault)" != *" mailbox="* ]]
}

@test "fault: of a spool, a list and a policy server, the line has the path" {
	OPTS=(-n mx.example -d example.org -S "$PWD/no-spool" -- cat)
	mail_to u@example.org
	[[ "$(line fault)" = *" path=\"$PWD/no-spool"* ]]
	[[ "$(line fault)" = *" id="* ]]
	OPTS=(-n mx.example -d example.org -m box -u "$PWD/no-users")
	mail_to u@example.org
	says "$(line fault)" "path=\"$PWD/no-users\""
	OPTS=(-n mx.example -d example.org -m box --policy "$PWD/no-socket")
	mail_to u@example.org
	says "$(line fault)" "path=\"$PWD/no-socket\""
}

@test "fault: one that is found while leaving is written" {
	may_trace
	letter_to u@example.org | sed '/^\.\r$/,$d' >in
	traced -e trace=unlinkat -e inject=unlinkat:error=EIO <in
	[ "$status" = 1 ]
	grep -q ': fault .*box' log
	grep -q ': session .* end=in-message ' log
}

# ---- time ----

@test "session: its milliseconds are of a clock that nobody sets" {
	local ms
	need cc
	# a sanitizer asks for the time before the library below is there
	SMTPD=$ROOT/smtpd
	cat >set.c <<-'C'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <sys/time.h>
		#include <time.h>

		/* an hour has gone by whenever the time of day is asked */
		static long hours;

		int
		clock_gettime(clockid_t id, struct timespec *t)
		{
			int (*real)(clockid_t, struct timespec *) =
			    (int (*)(clockid_t, struct timespec *))
			    dlsym(RTLD_NEXT, "clock_gettime");
			int rc = real(id, t);

			if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
				t->tv_sec += 3600 * ++hours;
			return rc;
		}

		time_t
		time(time_t *t)
		{
			struct timespec now;

			clock_gettime(CLOCK_REALTIME, &now);
			if (t != NULL)
				*t = now.tv_sec;
			return now.tv_sec;
		}

		int
		gettimeofday(struct timeval *restrict t, void *restrict zone)
		{
			(void)zone;
			t->tv_sec = time(NULL);
			t->tv_usec = 0;
			return 0;
		}
	C
	cc -shared -fPIC -o set.so set.c -ldl
	letter_to u@example.org >in
	LD_PRELOAD=$PWD/set.so "$SMTPD" "${OPTS[@]}" <in >out 2>log 3>&-
	ms=$(line session | grep -o ' ms=[0-9]*')
	[ "${ms#*=}" -lt 60000 ]
	# and it was loaded: the message is of another hour than it is
	[ "$(($(basename "$(only_message)" | cut -d. -f1) - $(date +%s)))" -gt 3000 ]
}
