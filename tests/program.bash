# program.bash - what the suites about programs share: a stand-in to hand
# messages to, and words for what became of them.

# shellcheck disable=SC2034 # helper.bash uses it

load helper

# prog <<SCRIPT: the stand-in ./prog, a shell script; what it finds out it
# leaves in the directory seen.  A test appends to OPTS the program and its
# arguments, and puts options in front.
prog() {
	mkdir -p seen spool
	{
		printf '#!/bin/sh\n'
		cat
	} >prog
	chmod 755 prog
	OPTS=(-n mx.example -d example.org --spool spool --)
}

# each_to RCPT...: as mail_to, but a message to each of them
each_to() {
	local r
	{
		printf 'EHLO c.example\r\n'
		for r; do
			printf 'MAIL FROM:<a@c.example>\r\nRCPT TO:<%s>\r\n' "$r"
			printf 'DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n'
		done
		printf 'QUIT\r\n'
	} >in
	send <in
}

# verdicts: the reply to the dot of each message
verdicts() {
	full_codes | tr ' ' '\n' |
	    awk 'last == "354" { print } { last = $0 }' | paste -sd ' ' -
}

# an_x N: N octets
an_x() {
	head -c "$1" /dev/zero | tr '\0' x
}

# wide N: the file msg, of N octets in lines
wide() {
	{
		printf 'Subject: wide\n\n'
		an_x "$1" | fold -w 70
		echo
	} >msg
}

# spool_is_empty [DIR]
spool_is_empty() {
	[ -z "$(find "${1:-spool}" -mindepth 1)" ]
}

# ran N: the stand-in left a line for each of so many runs
ran() {
	local n=0
	[ ! -e seen/runs ] || n=$(wc -l <seen/runs)
	[ "$n" = "$1" ] || { echo "$n runs, not $1"; return 1; }
}
