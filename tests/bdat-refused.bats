# bdat-refused.bats - chunks that were sent behind a refused one are read, and
# are one error with it
# RFC 3030 section 2

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load live

# behind N: as many chunks as a client may have sent before it saw the reply;
# what is in them is no command
behind() {
	local i
	for ((i = 1; i < $1; i++)); do
		printf 'BDAT 6\r\nQUIT\r\n'
	done
	printf 'BDAT 8 LAST\r\nDATA\r\n\r\n'
}

# refused N WANT LINE...: with -e N a session of EHLO, the LINEs as printf's %b,
# twenty chunks behind, and then each of RSET, MAIL, EHLO with a mail that
# comes: the LINEs' replies are WANT, those to all chunks behind 503 5.5.1.
# Where $OPEN is set the transaction is still open, and no MAIL is tried.
refused() {
	local n=$1 want=$2 hello=${HELLO:-EHLO c.example} end got bad=0
	shift 2
	local -a ends=(RSET "$hello")
	[ -n "${OPEN:-}" ] || ends+=('MAIL FROM:<b@c.example>')
	for end in "${ends[@]}"; do
		rm -f box/new/*
		{
			printf '%s\r\n' "$hello"
			printf '%b' "$@"
			behind 20
			printf '%s\r\n' "$end"
			case $end in
			MAIL*)	;;
			*)	printf 'MAIL FROM:<b@c.example>\r\n' ;;
			esac
			printf 'RCPT TO:<u@example.org>\r\n'
			printf 'BDAT 6\r\ngood\r\nBDAT 0 LAST\r\nQUIT\r\n'
		} >in
		"$SMTPD" "${OPTS[@]}" -e "$n" <in >out 2>log && status=0 ||
		    status=$?
		got=$(full_codes)
		# with every recipient refused DATA's own reply will do
		[ -z "${OPEN:-}" ] || got=${got//554?5.5.1/503\/5.5.1}
		case $end in
		RSET)	end='250/2.0.0 250/2.1.0' ;;
		MAIL*)	end=250/2.1.0 ;;
		*)	end='250 250/2.1.0' ;;
		esac
		[ "$got" = "220 250 $want$(printf ' 503/5.5.1%.0s' {1..20}) $end 250/2.1.5 250/2.0.0 250/2.0.0 221/2.0.0" ] ||
		    { echo "-e $n: $got"; bad=1; }
		[ "$(count box/new)" = 1 ] || bad=1
		[ "$(cat box/new/* | tail -n 1)" = good ] || bad=1
		[ "$status" = 0 ] || { echo "status $status"; bad=1; }
	done
	return $bad
}

MAIL='MAIL FROM:<a@c.example>\r\n'
RCPT='RCPT TO:<u@example.org>\r\n'
FOREIGN='RCPT TO:<u@elsewhere.example>\r\n'

@test "refused chunk: with a bare LF in it, the twenty behind it are one error with it" {
	refused 2 '250/2.1.0 250/2.1.5 550/5.5.2' "$MAIL" "$RCPT" \
	    'BDAT 4\r\na\nb\n'
	refused 1 '250/2.1.0 250/2.1.5 550/5.5.2' "$MAIL" "$RCPT" \
	    'BDAT 4\r\na\nb\n'
}

@test "refused chunk: so with one that is too big" {
	OPTS+=(-s 16)
	refused 1 '250/2.1.0 250/2.1.5 552/5.3.4' "$MAIL" "$RCPT" \
	    'BDAT 20\r\naaaaaaaa\r\nbbbbbbbb\r\n'
	refused 1 '250/2.1.0 250/2.1.5 250/2.0.0 552/5.3.4' "$MAIL" "$RCPT" \
	    'BDAT 10\r\naaaaaaaa\r\nBDAT 10\r\nbbbbbbbb\r\n'
}

@test "refused chunk: so where every recipient was refused" {
	# the recipient is the first error, the chunks are the second
	OPEN=yes
	refused 2 '250/2.1.0 550/5.7.1 503/5.5.1' "$MAIL" "$FOREIGN" \
	    'BDAT 4\r\nab\r\n'
}

@test "refused chunk: so where the sender was refused" {
	refused 3 '501/5.1.7 503/5.5.1 503/5.5.1' 'MAIL FROM:<@>\r\n' "$RCPT" \
	    'BDAT 4\r\nab\r\n'
}

@test "refused chunk: so under LMTP" {
	OPTS+=(--lmtp)
	HELLO='LHLO c.example'
	refused 1 '250/2.1.0 250/2.1.5 250/2.1.5 550/5.5.2' "$MAIL" "$RCPT" \
	    'RCPT TO:<v@example.org>\r\n' 'BDAT 4\r\na\nb\n'
	OPEN=yes
	refused 2 '250/2.1.0 550/5.7.1 503/5.5.1' "$MAIL" "$FOREIGN" \
	    'BDAT 4\r\nab\r\n'
}

@test "refused chunk: so where a fault of ours refused it" {
	need_root
	need unshare
	# a disk of a few pages, that is full in the middle of it
	{
		printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<u@example.org>' 'BDAT 300000'
		head -c 300000 /dev/zero | tr '\0' '\n' | sed 's/$/\r/' |
		    head -c 300000
		behind 20
		printf '%s\r\n' RSET NOOP QUIT
	} >in
	# shellcheck disable=SC2016 # for sh
	unshare -m sh -c 'mount -t tmpfs -o size=64k none box &&
	    mkdir box/tmp box/new box/cur && exec "$@"' sh \
	    "$SMTPD" "${OPTS[@]}" -e 1 <in >out 2>log 3>&- && status=0 || status=$?
	[ "$(full_codes)" = "220 250 250/2.1.0 250/2.1.5 452/4.3.1$(printf \
	    ' 503/5.5.1%.0s' {1..20}) 250/2.0.0 250/2.0.0 221/2.0.0" ]
}

@test "refused chunk: it is the same in pieces of any size" {
	local n
	OPTS+=(-e 1)
	{
		printf '%b' 'EHLO c.example\r\n' "$MAIL" "$RCPT" 'BDAT 4\r\na\nb\n'
		behind 20
		printf 'RSET\r\nQUIT\r\n'
	} >in
	for n in 1 2 3 7; do
		drip $n <in
		[ "$(full_codes)" = "220 250 250/2.1.0 250/2.1.5 550/5.5.2$(printf \
		    ' 503/5.5.1%.0s' {1..20}) 250/2.0.0 221/2.0.0" ]
		nothing_kept
	done
}

@test "refused chunk: the next one, in the next message, is an error of its own" {
	OPTS+=(-e 3)
	{
		printf 'EHLO c.example\r\n'
		for i in 1 2 3; do
			# the recipient is an error, and the chunks are
			printf '%b' "$MAIL" "$FOREIGN" 'BDAT 4\r\nab\r\n'
			behind 20
			printf 'RSET\r\n'
		done
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(codes | tr ' ' '\n' | grep -c '503\|554')" = 21 ]
	[[ $(full_codes) = *' 250/2.0.0 250/2.1.0 550/5.7.1 421/4.7.0' ]]
	[ "$status" = 1 ]
}

@test "refused chunk: a loop of empty chunks is ended at last" {
	local what
	OPTS+=(-e 2)
	for what in "$MAIL$RCPT" "$MAIL$FOREIGN" ''; do
		{
			printf '%b' 'EHLO c.example\r\n' "$what"
			yes $'BDAT 0\r' | head -n 5000
			printf 'QUIT\r\n'
		} >in
		send <in
		[[ $(full_codes) = *' 421/4.7.0' ]] || {
			echo "$what: $(full_codes | tail -c 50)"
			false
		}
		[ "$(full_codes | wc -w)" -lt 400 ]
		[ "$status" = 1 ]
	done
}

@test "refused chunk: so is one of chunks that nobody wants" {
	OPTS+=(-e 2)
	{
		printf '%b' 'EHLO c.example\r\n' "$MAIL" "$RCPT" 'BDAT 4\r\na\nb\n'
		yes $'BDAT 2\r\n\r' | head -n 10000
		printf 'QUIT\r\n'
	} >in
	send <in
	[[ $(full_codes) = *' 503/5.5.1 421/4.7.0' ]]
	[ "$(full_codes | wc -w)" -lt 400 ]
}
