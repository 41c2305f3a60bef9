# label.bats - just-send-8: the header that unlabelled 8-bit text is given
# RFC 1428; RFC 2045 sections 4, 5 and 6; RFC 3629

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

GOOD='220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0'

# label CHARSET: the three lines
label() {
	printf '%s\n' 'MIME-Version: 1.0' \
	    "Content-Type: text/plain; charset=$1" \
	    'Content-Transfer-Encoding: 8bit'
}

# has_label CHARSET FILE [DIR]: the one message kept is our header, the last of
# it Received, then the three lines, then the bytes of FILE; its name tells its
# size
has_label() {
	local m n
	{
		label "$1"
		! starts_as_body "$2" || echo
		cat "$2"
	} >labelled
	stored_is labelled "${3:-box}" || return 1
	m=$(only_message "${3:-box}")
	n=$(($(wc -c <"$m") - $(wc -c <labelled)))
	[ "$(head -c $n "$m" | grep -av '^[ 	]' | tail -n 1 | cut -d: -f1)" = \
	    Received ] || { echo 'not right below Received'; return 1; }
	size_is_told "$m"
}

# has_no_label FILE [DIR]: nothing stands between our header and FILE
has_no_label() {
	stored_is "$1" "${2:-box}" &&
	    size_is_told "$(only_message "${2:-box}")"
}

size_is_told() {
	[ "${1##*,S=}" = "$(wc -c <"$1")" ] || { echo "$1: a wrong S="; return 1; }
}

# one_chunk FILE: a session that sends it by BDAT (LF line ends in FILE)
one_chunk() {
	sed 's/$/\r/' "$1" >chunk
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' "BDAT $(wc -c <chunk) LAST"
	cat chunk
	printf 'QUIT\r\n'
}

# by HOW FILE: deliver FILE by DATA, BDAT, or either of them byte by byte
by() {
	rm -f box/new/*
	case $1 in
	DATA)	deliver "$2" ;;
	BDAT)	one_chunk "$2" >in; send <in ;;
	data)	letter_from "$2" >in; drip 1 <in ;;
	bdat)	one_chunk "$2" >in; drip 1 <in ;;
	esac
	case $(full_codes) in
	"$GOOD"|'220 250 250/2.1.0 250/2.1.5 250/2.0.0 221/2.0.0') ;;
	*)	echo "$1 $2: $(full_codes)"; return 1 ;;
	esac
}

letter_from() {
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA
	sed 's/^\./../; s/$/\r/' "$1"
	printf '.\r\nQUIT\r\n'
}

# charsets HOW <<ROWS: each row "CHARSET BODY" (with \xHH and \n) is what a
# message of that body is labelled with; - for no label.  HOW as in by().
charsets() {
	cat >rows
	py "$1" "$SMTPD" "${OPTS[@]}" <<-'P'
		import os
		import re
		import sys
		import talk

		how, argv = sys.argv[1], sys.argv[2:]
		HEAD = b'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n' \
		    b'RCPT TO:<u@example.org>\r\n'
		TRACE = re.compile(rb'Return-Path: .*\nDelivered-To: .*\n'
		    rb'Received: .*\n([ \t].*\n)*')
		LABEL = b'MIME-Version: 1.0\nContent-Type: text/plain; charset=%s\n' \
		    b'Content-Transfer-Encoding: 8bit\n'
		bad = 0
		for row in open('rows'):
		    want, body = row.split(None, 1)
		    if want == '#':
		        continue
		    body = body.rstrip('\n').encode().decode('unicode_escape')
		    msg = b'Subject: x\n\n%s\n' % body.encode('latin-1')
		    wire = msg.replace(b'\n', b'\r\n')
		    if how.upper() == 'DATA':
		        wire = b'DATA\r\n' + wire + b'.\r\n'
		    else:
		        wire = b'BDAT %d LAST\r\n' % len(wire) + wire
		    out, log, status = talk.run(argv, HEAD + wire + b'QUIT\r\n',
		        0 if how.isupper() else 1)
		    kept = os.listdir('box/new')
		    stored = b''
		    for name in kept:
		        stored = open('box/new/' + name, 'rb').read()
		        os.unlink('box/new/' + name)
		    label = LABEL % want.encode() if want != '-' else b''
		    trace = TRACE.match(stored)
		    if len(kept) != 1 or not trace or \
		            stored[trace.end():] != label + msg or \
		            not kept[0].endswith(',S=%d' % len(stored)):
		        bad = 1
		        print(row, kept, stored, out)
		sys.exit(bad)
	P
}

# what is UTF-8, and what only looks like it (RFC 3629, 4)
sequences() {
	cat <<-'S'
		-		7 bits
		-		\x01\x7f\x1b
		utf-8		\xc2\x80
		utf-8		\xdf\xbf
		utf-8		\xe0\xa0\x80
		utf-8		\xec\x80\x80\xed\x9f\xbf\xee\x80\x80
		utf-8		\xef\xbf\xbf
		utf-8		\xf0\x90\x80\x80
		utf-8		\xf4\x8f\xbf\xbf
		utf-8		\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80
		# alone, cut off, too many
		unknown-8bit	\x80
		unknown-8bit	\xbf
		unknown-8bit	\xe9t\xe9
		unknown-8bit	\xc3
		unknown-8bit	\xc3x
		unknown-8bit	\xe2\x82
		unknown-8bit	\xe2\x82x
		unknown-8bit	\xf0\x9f\x98
		unknown-8bit	\xf0\x9f\x98\xc3\xa9
		unknown-8bit	\xc3\xa9\xa9
		unknown-8bit	\xe2\x82\xac\x82
		# a line end within
		unknown-8bit	\xc3\n\xa9
		# overlong
		unknown-8bit	\xc0\x80
		unknown-8bit	\xc1\xbf
		unknown-8bit	\xe0\x80\x80
		unknown-8bit	\xe0\x9f\xbf
		unknown-8bit	\xf0\x80\x80\x80
		unknown-8bit	\xf0\x8f\xbf\xbf
		# surrogates
		unknown-8bit	\xed\xa0\x80
		unknown-8bit	\xed\xbf\xbf
		unknown-8bit	\xed\xa0\x80\xed\xb0\x80
		# beyond U+10FFFF
		unknown-8bit	\xf4\x90\x80\x80
		unknown-8bit	\xf5\x80\x80\x80
		unknown-8bit	\xf8\x88\x80\x80\x80
		unknown-8bit	\xfe
		unknown-8bit	\xff
		# one bad byte is enough, wherever it is
		unknown-8bit	\xc3\xa9 \xe9 \xc3\xa9
		unknown-8bit	\xff\n\xc3\xa9\xc3\xa9
		unknown-8bit	\xc3\xa9\n\n\xc3\xa9\xff
	S
}

@test "label: the charset is utf-8 for valid UTF-8 alone, by DATA" {
	sequences | charsets DATA
}

@test "label: the charset is utf-8 for valid UTF-8 alone, by BDAT" {
	sequences | charsets BDAT
}

@test "label: the charset is the same byte by byte" {
	sequences | charsets data
	sequences | charsets bdat
}

@test "label: --label names another charset, for what is not UTF-8" {
	OPTS+=(--label iso-8859-15)
	charsets DATA <<-'S'
		iso-8859-15	caf\xe9
		utf-8		caf\xc3\xa9
		-		cafe
	S
}

@test "label: --label takes the name of a charset, and no header or blank in it" {
	local value status bad=0 c40
	printf -v c40 '%040d' 0
	for value in utf-8 iso-8859-1 windows-1252 x_y "$c40" OFF off; do
		"$SMTPD" --label "$value" -m box -T >said 2>&1 ||
		    { echo "$value:"; cat said; bad=1; }
	done
	for value in '' 'a b' a.b a/b $'a\r\nX: y' 'a;b' '"a"' $'\xe4' "${c40}0"; do
		status=0
		"$SMTPD" --label "$value" -m box -T >said 2>&1 || status=$?
		[ "$status" = 64 ] || { echo "'$value' is taken"; bad=1; }
	done
	[ $bad = 0 ]
}

@test "label: with --label off there is none" {
	OPTS+=(--label off)
	charsets DATA <<-'S'
		-	caf\xe9
		-	caf\xc3\xa9
		-	cafe
	S
	charsets BDAT <<-'S'
		-	caf\xe9
		-	caf\xc3\xa9
	S
}

@test "label: each of the four fields is a label, in any case, folded or not" {
	local field bad=0
	while IFS= read -r field; do
		# shellcheck disable=SC2059
		printf "Subject: x\n$field\nTo: y\n\ncaf\xe9\n" >msg
		by DATA msg
		has_no_label msg || { echo "$field"; bad=1; }
	done <<-'S'
		MIME-Version: 1.0
		mime-version:1.0
		MIME-VERSION:\n\t1.0
		Content-Type: text/plain; charset=koi8-r
		content-type:text/plain;\n charset=koi8-r
		CONTENT-TYPE:\n\n
		Content-Transfer-Encoding: 8bit
		cOnTeNt-tRaNsFeR-eNcOdInG:\n 8bit
		DKIM-Signature: v=1; a=rsa-sha256; d=c.example;\n\ts=x; bh=y; b=z
		dkim-signature:
	S
	[ $bad = 0 ]
}

@test "label: each of the four fields is seen byte by byte, first and last" {
	local field bad=0
	for field in MIME-Version: content-type: Content-Transfer-Encoding: \
	    DKIM-SIGNATURE:; do
		printf '%s x\nSubject: x\n\ncaf\xe9\n' "$field" >msg
		by data msg
		has_no_label msg || { echo "$field, first"; bad=1; }
		printf 'Subject: x\n%s\n\tx\n\ncaf\xe9\n' "$field" >msg
		by bdat msg
		has_no_label msg || { echo "$field, last"; bad=1; }
	done
	[ $bad = 0 ]
}

@test "label: a field is seen behind a header of any length, at any edge" {
	local n bad=0
	# from where both buffers end in the filler to where they end behind it
	for n in {65280..65540..16} 300000; do
		{
			yes "$(printf 'X: %090d' 0)" | head -c $((n / 94 * 94))
			printf 'X: %0*d\n' $((n % 94 + 1)) 0
			printf 'MIME-Version: 1.0\n\ncaf\xe9\n'
		} >msg
		by DATA msg
		has_no_label msg || { echo "behind $n octets"; bad=1; }
	done
	[ $bad = 0 ]
}

@test "label: no other field is one, nor are these in the body" {
	local field bad=0
	while IFS= read -r field; do
		# shellcheck disable=SC2059
		printf "Subject: x\n${field}caf\xe9\n" >msg
		by DATA msg
		has_label unknown-8bit msg || { echo "$field"; bad=1; }
	done <<-'S'
		X-MIME-Version: 1.0\n\n
		MIME-Versions: 1.0\n\n
		MIME-Versio: 1.0\n\n
		Content-Typ: text/plain\n\n
		Content-Language: de\n\n
		Content-Type-Encoding: 8bit\n\n
		DomainKey-Signature: x\n\n
		X:\n MIME-Version: 1.0\n\n
		\tContent-Type: text/plain\n\n
		\nMIME-Version: 1.0\n
		\n\nContent-Type: text/plain\n\n
		\nDKIM-Signature: x\nContent-Transfer-Encoding: 8bit\n\n
	S
	[ $bad = 0 ]
}

@test "label: 8-bit octets in the header alone get none" {
	printf 'Subject: caf\xe9\nFrom: \xc3\xa9 <a@c.example>\n\ncafe\n' >msg
	by DATA msg
	has_no_label msg
	by BDAT msg
	has_no_label msg
	# the header's have no say in what the body is
	printf 'Subject: caf\xe9\n\ncaf\xc3\xa9\n' >msg
	by DATA msg
	has_label utf-8 msg
	# and without a body there is nothing to label
	printf 'Subject: caf\xe9\n' >msg
	by DATA msg
	has_no_label msg
	printf 'Subject: caf\xe9\n\n' >msg
	by DATA msg
	has_no_label msg
}

@test "label: a message without any header is all body" {
	printf 'caf\xc3\xa9, and no header\n' >msg
	by DATA msg
	has_label utf-8 msg
	by bdat msg
	has_label utf-8 msg
	printf 'caf\xe9: no field\nMIME-Version: 1.0\n' >msg
	by DATA msg
	has_label unknown-8bit msg
	printf '\ncaf\xe9\n' >msg
	by DATA msg
	has_label unknown-8bit msg
	# the header ends at the first line that is no field
	printf 'Subject: x\ncaf\xe9\nMIME-Version: 1.0\n\n' >msg
	by data msg
	has_label unknown-8bit msg
}

# forty_megabytes: a mail of that much 7-bit text, its last line without end
forty_megabytes() {
	printf 'Subject: x\n\n'
	yes 'forty million octets of text that fits into seven bits' |
	    head -c 40000000
	printf '\nthe last one'
}

# the_last_octet_counts CHARSET BYTES: behind forty megabytes, by BDAT, where
# it is the very last octet of the mail, and by DATA
the_last_octet_counts() {
	# shellcheck disable=SC2059
	{ forty_megabytes; printf "$2"; } >msg
	sed 's/$/\r/' msg | head -c -1 >chunk
	{
		printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<u@example.org>' "BDAT $(wc -c <chunk) LAST"
		cat chunk
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(codes)" = '220 250 250 250 250 221' ]
	echo >>msg
	has_label "$1" msg
	by DATA msg
	has_label "$1" msg
}

@test "label: the last octet of forty megabytes is seen: Latin-1" {
	the_last_octet_counts unknown-8bit '\xe9'
}

@test "label: the last octet of forty megabytes is seen: UTF-8" {
	the_last_octet_counts utf-8 '\xc3\xa9'
}

@test "label: forty megabytes of 7-bit text get none, and are written once" {
	need strace
	{ forty_megabytes; echo; } >msg
	letter_from msg >in
	traced -e trace=write,pread64,copy_file_range,sendfile <in
	[ "$(full_codes)" = "$GOOD" ]
	has_no_label msg
	awk -F' = ' '/^write\(([3-9]|1[0-9])/ { n += $NF } /^p?read/ { exit 2 }
	    END { exit n > 40010000 }' trace
}

@test "label: a sequence at the edge of the input buffer is whole" {
	local edge before cut bad=0 start
	printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' >begin
	start=$(wc -c <begin)
	for edge in 65536 131072; do
		for before in 1 2 3; do
			for cut in '' x; do
				# four octets, so many of them before the edge; or
				# three of them, and ASCII
				printf 'Subject: x\n\n' >msg
				head -c $((edge - start - before)) /dev/zero |
				    tr '\0' x >>msg
				printf '%b\n' "\\xf0\\x9f\\x98${cut:-\\x80}" >>msg
				by DATA msg
				[ "$(grep -abo $'\xf0' in | cut -d: -f1)" = \
				    $((edge - before)) ]
				if [ -n "$cut" ]; then
					has_label unknown-8bit msg
				else
					has_label utf-8 msg
				fi || { echo "$edge $before $cut"; bad=1; }
			done
		done
	done
	[ $bad = 0 ]
}

@test "label: sequences are whole at every edge of every buffer" {
	local char pad bad=0
	# 132 KB of one character, so shifted that an edge falls everywhere in it
	for char in 'é' '€' '😀'; do
		for pad in '' x xx xxx; do
			{
				printf 'Subject: x\n\n%s' "$pad"
				yes "$char" | tr -d '\n' | head -c 132000
				echo
			} >msg
			by DATA msg
			has_label utf-8 msg || { echo "DATA $char $pad"; bad=1; }
			[ "$char" = '😀' ] || continue
			by BDAT msg
			has_label utf-8 msg || { echo "BDAT $char $pad"; bad=1; }
		done
	done
	[ $bad = 0 ]
}

@test "label: a sequence split between two chunks is whole" {
	local char all
	printf 'Subject: x\n\ncaf\xc3\xa9 \xf0\x9f\x98\x80\n' >msg
	sed 's/$/\r/' msg >chunk
	all=$(wc -c <chunk)
	for ((char = 17; char < all; char++)); do
		rm -f box/new/*
		{
			printf '%s\r\n' 'EHLO c.example' 'MAIL FROM:<a@c.example>' \
			    'RCPT TO:<u@example.org>' "BDAT $char"
			head -c $char chunk
			printf 'BDAT %s LAST\r\n' $((all - char))
			tail -c +$((char + 1)) chunk
			printf 'QUIT\r\n'
		} >in
		send <in
		has_label utf-8 msg || { echo "split at $char"; false; }
	done
}

@test "label: a sequence is not whole across a line end that stands between" {
	printf 'Subject: x\n\ncaf\xc3\n\xa9\n' >msg
	by bdat msg
	has_label unknown-8bit msg
}

@test "label: --size counts the message, not the label" {
	OPTS+=(-s 20)
	# 12 + 2 + 4 + 2 octets
	printf 'Subject: x\n\nca\xc3\xa9\n' >msg
	by DATA msg
	has_label utf-8 msg
	by BDAT msg
	has_label utf-8 msg
}

@test "label: a message with bare line feeds, normalized, has one too" {
	OPTS+=(--bare-newline normalize)
	printf 'Subject: x\n\ncaf\xc3\xa9\n' >msg
	letter_from msg | sed 's/^caf/a\n&/' >in
	printf 'Subject: x\n\na\ncaf\xc3\xa9\n' >msg
	send <in
	has_label utf-8 msg
}

@test "label: by hand, in LF mode, there is one too" {
	printf 'Subject: x\n\ncaf\xc3\xa9\n' >msg
	letter_from msg | tr -d '\r' >in
	send <in
	has_label utf-8 msg
}

@test "label: every mailbox of a message gets it" {
	local who
	mkdir -p home/{postmaster,alice,bob,carol}/{tmp,new,cur}
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
	printf 'Subject: x\n\ncaf\xe9\n' >msg
	mail_to alice@example.org bob@example.org carol@example.org
	[ "$(codes)" = '220 250 250 250 250 250 354 250 221' ]
	for who in alice bob carol; do
		has_label unknown-8bit msg home/$who
		[ "$(header Delivered-To "$(only_message home/$who)")" = \
		    $who@example.org ]
		[ "$(count home/$who)" = 1 ]
	done
	# all bear one name but for its size
	[ "$(cd home && printf '%s\n' */new/* | sed 's/.*new.//; s/,S=.*//' |
	    sort -u | wc -l)" = 1 ]
	[ "$(count home/postmaster)" = 0 ]
}

@test "label: no message has that of the one before" {
	printf 'Subject: x\n\ncaf\xe9\n' >eight
	printf 'Subject: y\n\ncafe\n' >seven
	printf 'Subject: z\nMIME-Version: 1.0\n\ncaf\xe9\n' >mime
	printf 'Subject: u\n\ncaf\xc3\xa9\n' >utf8
	{
		printf 'EHLO c.example\r\n'
		for msg in eight seven mime utf8 seven; do
			letter_from $msg | sed '1d; $d'
		done
		printf 'QUIT\r\n'
	} >in
	send <in
	[ "$(codes | tr ' ' '\n' | grep -c 354)" = 5 ]
	[ "$(count box/new)" = 5 ]
	mkdir -p one/new
	for msg in eight utf8; do
		mv "$(grep -l "^$(head -n 1 $msg)" box/new/*)" one/new
		[ $msg != eight ] || has_label unknown-8bit eight one
		[ $msg != utf8 ] || has_label utf-8 utf8 one
		rm one/new/*
	done
	mv "$(grep -l '^Subject: z' box/new/*)" one/new
	has_no_label mime one
	# the sevens
	[ "$(count box/new)" = 2 ]
	run ! grep -ql ^MIME-Version box/new/*
}

# writes: what the trace shows of a delivery, one word a step; neighbouring
# writes are one, and those before a tmp file is given up are not shown
writes() {
	awk '
	/O_CREAT/						{ n = 0; w[n++] = "create" }
	/^write\([0-9]+<[^>]*\/tmp\/[^\/>]+>/	{ if (w[n-1] != "write") w[n++] = "write" }
	/^fsync\([0-9]+<[^>]*\/tmp\/[^\/>]+>/	{ w[n++] = "fsync" }
	/^linkat\([0-9]+<[^>]*\/tmp>/		{ w[n++] = "link" }
	/^unlinkat\([0-9]+<[^>]*\/tmp>/		{ w[n++] = "unlink" }
	/^fsync\([0-9]+<[^>]*\/new>/		{ w[n++] = "fsync-new" }
	/^(write|sendto)\(1<.*250 2\.0\.0 .*M[0-9]+P[0-9]+Q/	{ w[n++] = "250" }
	END { for (i = 0; i < n; i++) print w[i] }' trace | paste -sd ' ' -
}

@test "label: a labelled message is written, synced, linked, and only then 250" {
	need strace
	printf 'Subject: x\n\ncaf\xe9\n' >msg
	yes 'a line of many' | head -n 30000 >>msg
	letter_from msg >in
	traced -y -e trace=openat,write,fsync,linkat,unlinkat,sendto <in
	[ "$(writes)" = 'create write fsync link unlink fsync-new 250' ]
	[ "$(grep -c ^linkat trace)" = 1 ]
	[ "$(grep -c ^fsync trace)" = 2 ]
	has_label unknown-8bit msg
	[ "$(count box)" = 1 ]
}

@test "label: whichever call of a labelled delivery fails, all or nothing is kept" {
	need strace
	local call n bad=0 kept
	printf 'Subject: x\n\ncaf\xe9\n' >msg
	letter_from msg >in
	for call in openat write fsync linkat unlinkat dup pread64; do
		for n in 1 2 3; do
			rm -f box/*/*
			traced -e trace=$call -e inject=$call:error=EIO:when=$n \
			    -P box -P box/tmp -P box/new <in || :
			kept=$(count box/new)
			case $(codes) in
			*' 354 250 221')
				[ "$kept" = 1 ] && has_label unknown-8bit msg ;;
			*' 451 221'|*' 452 221'|*' 451 500 '*)
				[ "$kept" = 0 ] ;;
			*)	false ;;
			esac || { echo "$call $n: $(codes), $kept kept"; bad=1; }
		done
	done
	[ $bad = 0 ]
}
