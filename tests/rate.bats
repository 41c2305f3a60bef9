# rate.bats - the longest session, and the slowest message
# RFC 5321, 4.5.3.2 and 7.8; smtpd-hasty has a session of 3 seconds and wants
# 100 octets in each second of a message

# shellcheck disable=SC2016 # the commands of trickle are for eval

load helper

setup_file() {
	export SMTPD=$ROOT/smtpd-hasty
	[ -x "$SMTPD" ] || make -s -C "$ROOT" smtpd-hasty
}

# trickle SECONDS COMMAND: say the commands in file head, and then as many
# octets as COMMAND writes, ten times a second
trickle() {
	local i
	{
		cat begin
		for ((i = 0; i < $1 * 10; i++)); do
			sleep 0.1
			eval "$2"
		done
	} 2>/dev/null >pipe &
	status=0
	"$SMTPD" "${OPTS[@]}" <pipe >out 2>log || status=$?
	wait
}

setup_head() {
	mkfifo pipe
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' "$1" >begin
}

@test "rate: a message that trickles is given up, 421 4.4.2, and no file is left" {
	launched
	setup_head DATA
	trickle 3 'printf x'
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 421/4.4.2' ]
	[ "$status" = 1 ]
	nothing_kept
	grep -q 'end=trickle' log
}

@test "rate: so is a chunk" {
	launched
	setup_head 'BDAT 100000 LAST'
	trickle 3 'printf x'
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 421/4.4.2' ]
	[ "$status" = 1 ]
	nothing_kept
}

@test "rate: so is a chunk that no one wants" {
	launched
	mkfifo pipe
	printf '%s\r\n' 'EHLO c.example' 'BDAT 100000' >begin
	trickle 3 'printf x'
	[ "$(full_codes)" = '220 250 421/4.4.2' ]
}

@test "rate: a message that keeps up is not" {
	launched
	setup_head DATA
	printf 'y' >>begin
	trickle 2 'printf "%050d\r\n" 0; [ $i -lt 19 ] || printf ".\r\nQUIT\r\n"'
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	only_message
}

@test "rate: a session has its end, whatever is said" {
	launched
	mkfifo pipe
	printf 'EHLO c.example\r\n' >begin
	trickle 4 'printf "NOOP\r\n"'
	[ "$(full_codes | tr ' ' '\n' | tail -n 1)" = 421/4.4.2 ]
	[ "$status" = 1 ]
	grep -q 'end=timeout' log
}

@test "rate: neither holds by hand" {
	setup_head DATA
	trickle 4 'printf x; [ $i -lt 39 ] || printf "\r\n.\r\nQUIT\r\n"'
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$status" = 0 ]
}

@test "rate: a session has its end while there is always more to read" {
	launched
	OPTS+=(-s 0)
	status=0
	{ printf 'EHLO c.example\r\nBDAT 999999999999\r\n'; cat /dev/zero; } |
	    timeout 20 "$SMTPD" "${OPTS[@]}" >out 2>log || status=${PIPESTATUS[1]}
	[ "$(full_codes)" = '220 250 421/4.4.2' ]
	grep -q 'end=timeout' log
}
