# placeholders.bats - what a client sends never stands in a command that some
# program has a shell, or itself, run: that is refused when smtpd starts
# DESIGN section 7: Program; smtpd(8)

# shellcheck disable=SC2016 # what looks like an expansion is for nobody
# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load program

# started WANT ARG...: with this program it ends with this status, and if that
# is not 0 nothing is on its output, and something in the log
started() {
	local want=$1
	shift
	"$SMTPD" -n mx.example -d example.org --spool . -- "$@" \
	    </dev/null >out 2>log 3>&- && status=0 || status=$?
	[ "$status" = "$want" ] || { printf '%s, not %s:' "$status" "$want"
	    printf ' [%s]' "$@"; echo; return 1; }
	[ "$want" = 0 ] || { [ ! -s out ] && [ -s log ]; }
}

@test "placeholders: behind a -c or an -e there are none, whatever the program" {
	local bad=0 p
	for p in '{recipient}' '{user}' '{domain}' '{extension}' '{sender}' \
	    'x{user}y' '{recipients}' 'x{recipients}'; do
		started 64 flock /tmp/lock -c "$p" || bad=1
		started 64 sg mail -c "$p" || bad=1
		started 64 script -c "$p" /dev/null || bad=1
		started 64 script -qc "$p" /dev/null || bad=1
		started 64 perl -e "$p" || bad=1
		started 64 python3 -c "$p" || bad=1
		started 64 no-such-program -x 1 -c "$p" last || bad=1
		started 64 ./prog -e "$p" last || bad=1
		started 64 sh -c "$p" || bad=1
		started 64 sh -ec "$p" || bad=1
		started 64 env X=1 su mail -c "$p" || bad=1
	done
	[ $bad = 0 ]
}

@test "placeholders: there are none beside a blank, a quote or what a shell knows" {
	local bad=0 p c
	for p in '{recipient}' '{user}' '{domain}' '{extension}' '{sender}'; do
		# shellcheck disable=SC1003 # a backslash is meant
		for c in ' ' $'\t' $'\n' "'" '"' '\' '`' '$' '|' '&' ';' '<' \
		    '>' '(' ')'; do
			started 64 ./prog "x$c$p" || bad=1
			started 64 ./prog "$p${c}x" last || bad=1
			started 64 ./prog one "a${c}b-$p" || bad=1
		done
	done
	started 64 awk 'BEGIN { system("deliver {recipient}") }' || bad=1
	started 64 find . -exec 'mail {user}' ';' || bad=1
	started 64 ssh host 'deliver {user}' || bad=1
	started 64 xargs -I% 'x={sender};y' || bad=1
	[ $bad = 0 ]
}

@test "placeholders: elsewhere they stay good" {
	local bad=0
	started 0 procmail -t -Y -a '{extension}' -f '{sender}' -d '{user}' || bad=1
	started 0 /usr/lib/dovecot/dovecot-lda -e -f '{sender}' \
	    -a '{recipient}' -d '{user}@{domain}' || bad=1
	started 0 /usr/sbin/sendmail -i -f '{sender}' -- '{recipients}' || bad=1
	started 0 /usr/bin/msmtp -C /etc/msmtprc -f '{sender}' -- \
	    '{recipients}' || bad=1
	started 0 maildrop -f '{sender}' /etc/maildroprc '{user}' \
	    '{extension}' || bad=1
	started 0 mdeliver '/var/mail/{domain}/{user}' || bad=1
	started 0 ./prog '-f{sender}' --to='{recipient}' '{user}{user}' \
	    'x{domain}y{extension}z' '{sender}:{recipient}' || bad=1
	# what holds no placeholder may hold all else
	started 0 sh -c 'exec deliver "$RECIPIENT"' || bad=1
	started 0 ./prog 'a b' '{other} ;' '{' '$x{User}' '' -c '' \
	    -e '{ x; }' '{user}' || bad=1
	[ $bad = 0 ]
}

@test "placeholders: where a shell is wanted the variable is the way, and runs nothing" {
	need flock
	prog </dev/null
	OPTS+=(flock lock -c 'printf "%s\n" "$RECIPIENT" >>seen/rcpt')
	mail_to 'x`touch${IFS}owned`@example.org' 'y$(touch${IFS}owned)@example.org'
	# (parentheses are no part of an address without quotes)
	[[ $(verdicts) = 250/2.0.0 ]]
	printf '%s\n' 'x`touch${IFS}owned`@example.org' | cmp - seen/rcpt
	[ ! -e owned ]
}

@test "placeholders: under a launcher the client is told 421, and no program runs" {
	launched
	say QUIT
	"$SMTPD" -d example.org -- flock lock -c 'touch owned {user}' </dev/null \
	    >out 2>log && status=0 || status=$?
	[ "$status" = 64 ]
	[ "$(codes)" = 421 ]
	[ ! -e owned ]
	grep -q '{user}' log
}
