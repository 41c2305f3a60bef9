#!/usr/bin/env bats
# A mailbox that is full refuses only itself, where each has a reply (RFC 2033, 4.2; draft-hall-prdr-00)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load helper

WHO='alice bob carol'

# full_setup: accounts, and the file msg, of 200 KB
full_setup() {
	local user
	need_root
	need unshare
	for user in postmaster $WHO; do
		mkdir -p home/"$user"/{tmp,new,cur}
	done
	printf 'Subject: large\n\n' >msg
	seq -w 1 40000 | head -c 200000 | fold -w 70 >>msg
	echo >>msg
}

# session LMTP|PRDR DATA|BDAT|chunks: the file in, msg for all three
session() {
	local verb=EHLO prdr='' n
	[ "$1" = LMTP ] && verb=LHLO || prdr=' PRDR'
	{
		printf '%s c.example\r\nMAIL FROM:<a@c.example>%s\r\n' \
		    $verb "$prdr"
		# shellcheck disable=SC2086 # three
		printf 'RCPT TO:<%s@example.org>\r\n' $WHO
		sed 's/$/\r/' msg >wire
		n=$(wc -c <wire)
		case $2 in
		DATA)	printf 'DATA\r\n'
			cat wire
			printf '.\r\n' ;;
		BDAT)	printf 'BDAT %d LAST\r\n' "$n"
			cat wire ;;
		chunks)	printf 'BDAT 150000\r\n'
			head -c 150000 wire
			printf 'BDAT %d LAST\r\n' $((n - 150000))
			tail -c +150001 wire ;;
		esac
		printf 'QUIT\r\n'
	} >in
	[ "$1" = LMTP ] && OPTS=(--lmtp) || OPTS=()
	OPTS+=(-n mx.example -d example.org -m 'home/{user}')
}

# with_full USER...: the session in the file in, where these have an account
# of $SIZE, or 64 KB.  The others' mail is then in home/, and what the full ones have is
# listed in the file left.
with_full() {
	local user
	for user in $WHO; do
		rm -f home/"$user"/*/*
	done
	status=0
	# shellcheck disable=SC2016 # for sh
	unshare -m sh -c 'full=$1 size=$2; shift 2
	    for user in $full; do
		mount -t tmpfs -o size=$size none "home/$user" || exit 9
		mkdir "home/$user/tmp" "home/$user/new" "home/$user/cur"
	    done
	    "$@"; rc=$?
	    for user in $full; do find "home/$user" -type f; done >left
	    exit $rc' sh "$*" "${SIZE:-64k}" "$SMTPD" "${OPTS[@]}" \
	    <in >out 2>log || status=$?
}

# only_they USER...: they were refused, and all others have the message whole
only_they() {
	local user want='' all=250/2.0.0
	for user in $WHO; do
		if [[ " $* " = *" $user "* ]]; then
			want+=' 452/4.3.1'
		else
			want+=' 250/2.0.0'
		fi
	done
	# PRDR's replies are between 353 and what they come to
	[ "${OPTS[0]}" = --lmtp ] || want=" 353$want $all"
	[[ $(full_codes) = *"$want 221/2.0.0" ]] ||
		{ echo "wanted$want, got $(full_codes)"; return 1; }
	[ "$status" = 75 ] || { echo "status $status"; return 1; }
	[ ! -s left ] || { echo 'a full one has'; cat left; return 1; }
	for user in $WHO; do
		[[ " $* " != *" $user "* ]] || continue
		stored_is msg "home/$user" || { echo "$user"; return 1; }
		[ "$(count "home/$user/tmp")" = 0 ] || return 1
		[ "$(header Delivered-To "$(only_message "home/$user")")" = \
		    "$user@example.org" ] || return 1
	done
}

@test "full: with LMTP a full mailbox refuses only itself, whichever it is" {
	full_setup
	local how full
	for how in DATA BDAT chunks; do
		session LMTP $how
		for full in alice bob carol; do
			with_full $full
			only_they $full || { echo "$how $full"; false; }
		done
	done
}

@test "full: the others have the whole message, wherever in it the first mailbox became full" {
	full_setup
	local how full
	for how in DATA BDAT; do
		session LMTP $how
		# within the first block of 64 KB, at its end, at that of the
		# second, and with the last octets
		for SIZE in 4k 16k 64k 128k 192k; do
			for full in alice 'alice bob'; do
				# shellcheck disable=SC2086 # one or two
				with_full $full
				# shellcheck disable=SC2086 # one or two
				only_they $full ||
					{ echo "$how $full $SIZE"; false; }
			done
		done
	done
}

@test "full: with LMTP two full mailboxes of three refuse only themselves" {
	full_setup
	local how full
	for how in DATA BDAT; do
		session LMTP $how
		for full in 'alice bob' 'bob carol' 'alice carol'; do
			# shellcheck disable=SC2086 # two
			with_full $full
			# shellcheck disable=SC2086 # two
			only_they $full || { echo "$how $full"; false; }
		done
	done
}

@test "full: with PRDR a full mailbox refuses only itself, whichever it is" {
	full_setup
	local how full
	for how in DATA BDAT; do
		session PRDR $how
		for full in alice bob carol 'alice bob' 'alice carol'; do
			# shellcheck disable=SC2086 # one or two
			with_full $full
			# shellcheck disable=SC2086 # one or two
			only_they $full || { echo "$how $full"; false; }
		done
	done
}

@test "full: with LMTP three full mailboxes refuse, and a small message after it goes to all" {
	full_setup
	session LMTP DATA
	{
		sed '$d' in
		printf 'MAIL FROM:<a@c.example>\r\n'
		# shellcheck disable=SC2086 # three
		printf 'RCPT TO:<%s@example.org>\r\n' $WHO
		printf 'DATA\r\nSubject: small\r\n\r\nshort\r\n.\r\nQUIT\r\n'
	} >in2
	mv in2 in
	with_full alice bob carol
	[[ $(full_codes) = *' 452/4.3.1 452/4.3.1 452/4.3.1 250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 354 250/2.0.0 250/2.0.0 250/2.0.0 221/2.0.0' ]]
	# one each
	[ "$(wc -l <left)" = 3 ]
	[ "$(grep -c '/new/' left)" = 3 ]
}

@test "full: with one reply for all, one full mailbox defers all, and nothing is left" {
	full_setup
	local full
	session LMTP DATA
	OPTS=("${OPTS[@]:1}")
	sed 's/^LHLO/EHLO/' in >in2
	mv in2 in
	for full in alice bob carol; do
		with_full $full
		[[ $(full_codes) = *' 354 452/4.3.1 221/2.0.0' ]]
		[ ! -s left ]
		[ -z "$(find home -type f)" ]
	done
}

@test "full: where each copy gets a label, too, a full mailbox refuses only itself" {
	full_setup
	local user
	printf 'Subject: eight\n\ncaf\xe9\n' >msg
	seq 1 30000 >>msg
	session LMTP DATA
	for user in alice bob carol; do
		with_full $user
		[[ $(full_codes) = *' 354 '*' 221/2.0.0' ]]
		[ "$(full_codes | tr ' ' '\n' | grep -c 452/4.3.1)" = 1 ]
		[ "$(full_codes | tr ' ' '\n' | grep -c 250/2.0.0)" = 2 ]
		[ ! -s left ]
		[ "$(grep -la 'charset=unknown-8bit' home/*/new/* | wc -l)" = 2 ]
		[ "$(find home -type f | wc -l)" = 2 ]
	done
}

@test "full: a file system that tells no size is not taken to be full" {
	need_root
	need unshare
	local size
	for size in 1000 40000000; do
		# shellcheck disable=SC2016 # for sh
		WRAP=(unshare -m sh -c 'mount -t ramfs none box || exit 9
		    mkdir box/tmp box/new box/cur; "$@"; rc=$?
		    find box -type f >kept; exit $rc' sh)
		connect
		ask "MAIL FROM:<a@c.example> SIZE=$size"
		[ "$reply" = 250/2.1.0 ]
		ask 'RCPT TO:<u@example.org>'
		ask DATA
		[ "$reply" = 354 ]
		ask $'Subject: s\r\n\r\nb\r\n.'
		[ "$reply" = 250/2.0.0 ]
		hangup
		[ "$status" = 0 ]
		[ "$(grep -c '^box/new/' kept)" = 1 ]
	done
}
