# strict.bats - the verdict on a client: what it did that it should not, and
# --strict, which takes nothing of it
# smtpd(8): --strict, --verbose; RFC 5321, 2.3.8, 3.3, 4.1.1 to 4.1.4, 4.5.3.1

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

HELLO='EHLO c.example' FROM='MAIL FROM:<a@c.example>'
TO='RCPT TO:<u@example.org>'

# verdict: what the log says of it, a line each
verdict() {
	sed -n 's/.*: verdict client=[^ ]* wrong="\([^"]*\)" rule="\([^"]*\)"$/\1: \2/p
	    s/.*: verdict client=[^ ]* wrong="\([^"]*\)"$/\1/p' log
}

# rows: a leniency, the rule it is against, and the line that uses it
rows() {
	local long
	long=$(printf '%065d' 0)
	cat <<-T
		no-brackets|RFC 5321, 4.1.2|MAIL FROM:a@c.example
		no-brackets|RFC 5321, 4.1.2|RCPT TO:u@example.org
		blank-before-colon|RFC 5321, 3.3|MAIL FROM :<a@c.example>
		blank-after-colon|RFC 5321, 3.3|RCPT TO: <u@example.org>
		name-before-brackets|RFC 5321, 4.1.2|MAIL FROM:John Doe <a@c.example>
		blank-in-brackets|RFC 5321, 4.1.2|RCPT TO:< u@example.org >
		dots|RFC 5321, 4.1.2|RCPT TO:<u..v@example.org>
		trailing-dot|RFC 5321, 4.1.2|RCPT TO:<u@example.org.>
		source-route|RFC 5321, 4.1.1.3|RCPT TO:<@c.example:u@example.org>
		no-domain|RFC 5321, 4.1.2|RCPT TO:<u>
		long-local-part|RFC 5321, 4.5.3.1.1|RCPT TO:<$long@example.org>
		underscore-in-domain|RFC 5321, 4.1.2|MAIL FROM:<a@c_d.example>
		tab-for-blank|RFC 5321, 4.1.1|MAIL FROM:<a@c.example>	SIZE=5
		auth-parameter|RFC 4954, 5|MAIL FROM:<a@c.example> AUTH=a=b
		helo-name|RFC 5321, 4.1.1.1|EHLO c..example
		long-line|RFC 5321, 4.5.3.1.4|NOOP $(printf '%0510d' 0)
		not-offered|RFC 5321, 4.1.1.11|RCPT TO:<u@example.org> NOTIFY=NEVER
		not-offered|RFC 5321, 4.1.1.11|MAIL FROM:<a@c.example> RET=HDRS
	T
}

# each_row: a session for each row, in which its line stands where it can; it is
# named, with its rule, and row_is holds
each_row() {
	local name rule line verb want bad=0
	while IFS='|' read -r name rule line; do
		verb=${line%%[ :]*}
		case $verb in
		MAIL)	set -- "$HELLO" "$line" ;;
		RCPT)	set -- "$HELLO" "$FROM" "$line" ;;
		*)	set -- "$HELLO" "$line" ;;
		esac
		say "$@" QUIT
		want="$name: $rule"
		[ "$(verdict)" != "$want" ] || ! row_is || continue
		printf '%s\n' "$line" "$want" "$status"
		cat out log
		bad=1
	done < <(rows)
	[ $bad = 0 ]
}

@test "verdict: with --verbose each leniency is taken, and named with its rule at the end" {
	launched
	OPTS+=(--verbose --log stderr)
	row_is() {
		[ "$status" = 0 ] && ! grep -q '^5' out
	}
	each_row
}

@test "strict: each leniency is refused, with its name, and the exit status is 1" {
	launched
	OPTS+=(--strict --log stderr)
	row_is() {
		[ "$status" = 1 ] && [ "$(grep -c '^5' out)" = 1 ] &&
		    grep -Eq "^501 (5\.5\.4 )?Strictly .*${name}" out
	}
	each_row
}

@test "strict: they are refused over LMTP and for a program, too" {
	launched
	OPTS+=(--strict --log stderr --lmtp)
	HELLO='LHLO c.example'
	row_is() {
		[ "$status" = 1 ] && grep -q '^501 5\.5\.4 ' out
	}
	rows() {
		printf '%s\n' 'no-brackets|RFC 5321, 4.1.2|RCPT TO:u@example.org' \
		    'blank-after-colon|RFC 5321, 3.3|MAIL FROM: <a@c.example>'
	}
	each_row
	OPTS=(-n mx.example -d example.org --strict --log stderr)
	HELLO='EHLO c.example'
	by_program
	each_row
}

@test "strict: after a refusal the right line is taken, and the verdict stays" {
	launched
	OPTS+=(--strict --log stderr)
	say "$HELLO" 'MAIL FROM: <a@c.example>' "$FROM" 'RCPT TO:u@example.org' \
	    "$TO" DATA x . QUIT
	[ "$(full_codes)" = '220 250 501/5.5.4 250/2.1.0 501/5.5.4 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$status" = 1 ]
	[ "$(verdict)" = "$(printf '%s\n' 'no-brackets: RFC 5321, 4.1.2' \
	    'blank-after-colon: RFC 5321, 3.3')" ]
}

@test "strict: a client that keeps to the standard has 0, whatever it uses" {
	launched
	local in
	OPTS+=(--strict --log stderr --users users)
	printf 'u\n' >users
	while read -r in; do
		printf '%b' "$in" | sed 's/$/\r/' >in
		send <in
		[ "$status" != 0 ] || [ "$(verdict)" != nothing ] || continue
		printf '%s\n' "$in"
		cat out log
		return 1
	done <<-'T'
		EHLO c.example\nQUIT\n
		EHLO [192.0.2.7]\nMAIL FROM:<>\nRCPT TO:<u@example.org>\nDATA\nSubject: x\n\n..x\n.\nQUIT\n
		HELO c.example\nMAIL FROM:<a@c.example>\nRSET\nNOOP x\nVRFY u\nHELP\nQUIT\n
		ehlo c.example\nmail from:<"a b"@c.example> size=100 body=8BITMIME smtputf8\nrcpt to:<u@EXAMPLE.org>\nbdat 3\nx\nbdat 0 last\nquit\n
		EHLO c.example\nMAIL FROM:<a@c.example> PRDR\nRCPT TO:<u@example.org>\nRCPT TO:<Postmaster>\nDATA\nx\n.\nQUIT\n
		EHLO c.example\nMAIL FROM:<a@c.example>\nRCPT TO:<nobody@example.org>\nRCPT TO:<u@else.example>\nDATA\nQUIT\n
		EHLO c.example\nEXPN list\nQUIT\n
	T
}

@test "strict: what is refused as no command, in no order or with a bare LF is held against the client" {
	launched
	local lines
	OPTS+=(--strict --log stderr)
	while read -r lines; do
		printf '%b' "$lines" >in
		send <in
		[ "$status" != 1 ] || ! verdict | grep -q '^refused' || continue
		printf '%s\n' "$lines"
		cat out log
		return 1
	done <<-'T'
		FOO\r\nQUIT\r\n
		EHLO\r\nQUIT\r\n
		RCPT TO:<u@example.org>\r\nQUIT\r\n
		EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nMAIL FROM:<>\r\nQUIT\r\n
		EHLO c.example\r\nMAIL FROM:<a@c.example> FOO=1\r\nQUIT\r\n
		EHLO c.example\r\nMAIL FROM:<a@c.example> SIZE=x\r\nQUIT\r\n
		EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<u@>\r\nQUIT\r\n
		EHLO c.example\r\nNO\nOP\r\nQUIT\r\n
		EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\nDATA\r\nx\ny\r\n.\r\nQUIT\r\n
	T
}

@test "strict: no QUIT is held against the client; normalize mends nothing" {
	launched
	OPTS+=(--strict --log stderr --bare-newline normalize)
	say "$HELLO"
	[ "$status" = 1 ]
	[ "$(verdict)" = 'no-quit: RFC 5321, 4.1.1.10' ]
	printf 'EHLO c.example\nQUIT\n' >in
	send <in
	[ "$status" = 1 ]
	[ "$(codes)" = '220 500' ]
	printf '%s\r\n' "$HELLO" "$FROM" "$TO" DATA $'x\ny' . QUIT >in
	send <in
	[ "$status" = 1 ]
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 550/5.5.2 221/2.0.0' ]
}

@test "strict: by hand lines end in CRLF, too; without it in LF" {
	printf 'EHLO c.example\nQUIT\n' >in
	send <in
	[ "$(codes)" = '220 250 221' ]
	OPTS+=(--strict)
	send <in
	[ "$status" = 1 ]
	[ "$(codes)" = '220 500' ]
	say "$HELLO" QUIT
	[ "$status" = 0 ]
}

@test "strict: MAIL before HELO, and a parameter that HELO does not offer, are refused, too" {
	launched
	OPTS+=(--strict --log stderr)
	say "$FROM" QUIT
	[ "$(full_codes)" = '220 501/5.5.4 221/2.0.0' ]
	[ "$(verdict)" = 'no-helo: RFC 5321, 4.1.4' ]
	say 'HELO c.example' "$FROM SIZE=5" QUIT
	[ "$(verdict)" = 'not-offered: RFC 5321, 4.1.1.11' ]
}

@test "strict: who was sent away is not blamed for no QUIT" {
	launched
	OPTS+=(--strict --log stderr -e 1)
	say FOO FOO FOO
	[ "$status" = 1 ]
	[ "$(verdict)" = refused ]
}

@test "strict: the man page's example comes out as it is there" {
	awk '/^\.Ss A verdict/ { on = 1 } on && /^\.Ed/ { exit }
		on && /^\$ / { show = 1 } on && show { print }' "$ROOT/smtpd.8" |
	    sed 's/\\e/\\/g; s/\\&//' >page
	sed -n '1s/^\$ //p; 2p' page >example
	mkdir bin
	ln -s "$SMTPD" bin/smtpd
	{ PATH=$PWD/bin:$PATH bash example; } >said 2>log
	[ "$(cat said)" = "$(tail -1 page)" ]
	[ "$(grep -o ': verdict .*' page)" = "$(grep -o ': verdict .*' log)" ]
}

@test "strict: swaks keeps to the standard" {
	need swaks
	swaks --pipe "$SMTPD -n mx.example -d example.org -m box --strict --log stderr" \
	    --ehlo c.example --from a@c.example --to u@example.org >said 2>log
	[ "$(verdict)" = nothing ]
}
