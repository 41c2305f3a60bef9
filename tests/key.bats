# key.bats - MESSAGE_KEY: the same whenever a delivery is tried again, another for
# any other
# FIPS 180-4

# shellcheck disable=SC2030,SC2031,SC2154 # OPTS is each test's own
load parse

@test "sha256: the vectors of FIPS 180-4, and a text of every length, in any pieces" {
	"$DRIVER" sha256 <<-'T'
		abc	ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad	FIPS
		abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq	248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1	FIPS
		abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu	cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1	FIPS
	T
	local n text
	for n in {0..200}; do
		text=$(head -c "$n" <<<"$(seq 100 300 | tr -d '\n')")
		printf '%s\t%s\tof %d octets\n' "$text" \
		    "$(printf %s "$text" | sha256sum | cut -d' ' -f1)" "$n"
	done | tail -n +2 >rows
	"$DRIVER" sha256 <rows
}

@test "sha256: a million times an a, by way of a message" {
	[ "$(key_of "$(head -c 1000000 /dev/zero | tr '\0' a)" a@b c@d)" = \
	    "$( (head -c 1000000 /dev/zero | tr '\0' a; printf '\n1000000\na@b\n3\nc@d\n3\n') |
	    sha256sum | cut -d' ' -f1)" ]
}

# key_of MESSAGE SENDER RECIPIENT...: its key, by sha256sum, as smtpd(8) says
key_of() {
	local part
	for part; do
		printf '%s\n%d\n' "$part" "${#part}"
	done | sha256sum | cut -d' ' -f1
}

@test "key: of the message nothing counts that is in a Received field in front" {
	local rest=$'Subject: x\n\nhello\n'
	row() {
		printf '%s\t%s\t%s\n' "$1" "$(key_of "$2" a@b c@d)" "$3"
	}
	{
		row 'Subject: x\n\nhello\n' "$rest" none
		row 'Received: a\nSubject: x\n\nhello\n' "$rest" one
		row 'RECEIVED: a\n\tb\n c\nreceived:\nSubject: x\n\nhello\n' "$rest" 'two, one of lines'
		row 'Received: a\n\nhello\n' $'\nhello\n' 'and no other field'
		row 'Subject: x\nReceived: a\n\nx\n' $'Subject: x\nReceived: a\n\nx\n' 'behind another'
		row 'Receive: a\n\nx\n' $'Receive: a\n\nx\n' 'nearly one'
		row 'Receivedx: a\n\nx\n' $'Receivedx: a\n\nx\n' 'nearly one'
		row 'ReceiveD: a\nrecei' recei 'cut short'
		row 'Received' Received 'that alone'
		row 'Received: a\nRec\n' $'Rec\n' 'a line of some of it'
	} >rows
	"$DRIVER" key <rows
}

# keyed ARG...: smtpd hands each mail to a program that keeps its key
keyed() {
	cat >keep <<-'P'
		#!/bin/sh
		cat >"mail.${RECIPIENT:-all}"
		echo "$MESSAGE_KEY" >"key.${RECIPIENT:-all}"
	P
	chmod 755 keep
	OPTS=(-n mx.example -d example.org ./keep)
}

# tried LINE...: one mail for u@example.org, with these lines in front of it
tried() {
	rm -f key.*
	printf '%s\r\n' "${HELO:-HELO c.example}" "MAIL FROM:<${FROM-a@c.example}>" \
	    'RCPT TO:<u@example.org>' DATA "$@" 'Subject: x' '' 'hello' '..dot' \
	    . QUIT >in
	send <in
	[[ "$(codes)" = *' 250 221' ]]
	key=$(cat key.u@example.org)
}

WANT=$'Subject: x\n\nhello\n.dot\n'

@test "key: the program gets it, and it is what smtpd(8) says" {
	keyed
	tried
	[ "$key" = "$(key_of "$WANT" a@c.example u@example.org)" ]
	[ "$(tail -n 4 mail.u@example.org)" = "${WANT%$'\n'}" ]
	FROM='' tried
	[ "$key" = "$(key_of "$WANT" '' u@example.org)" ]
}

@test "key: a retry has the same, by whatever way, client and session it comes" {
	keyed
	local first
	tried
	first=$key
	tried 'Received: from elsewhere' '	by another'
	[ "$key" = "$first" ]
	HELO='EHLO other.example' tried 'Received: x' 'Received: y'
	[ "$key" = "$first" ]
	launched 192.0.2.99
	tried
	[ "$key" = "$first" ]
	# and as chunks
	printf 'EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\nBDAT 7\r\nSubjectBDAT 18 LAST\r\n: x\r\n\r\nhello\r\n.dot' >in
	printf '\r\nQUIT\r\n' >>in
	sed -i 's/BDAT 18 LAST/BDAT 20 LAST/' in
	send <in
	[[ "$(codes)" = *' 250 221' ]]
	[ "$(cat key.u@example.org)" = "$first" ]
	# LMTP, and several recipients of whom each has his own
	OPTS=(-l -n mx.example -d example.org ./keep)
	printf '%s\r\n' 'LHLO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<v@example.org>' \
	    'RCPT TO:<u@example.org>' DATA 'Subject: x' '' hello ..dot . QUIT >in
	send <in
	[ "$(cat key.u@example.org)" = "$first" ]
	[ "$(cat key.v@example.org)" = "$(key_of "$WANT" a@c.example v@example.org)" ]
}

@test "key: with one octet changed it is another, wherever that is" {
	keyed
	local line first
	tried
	first=$key
	FROM=b@c.example tried
	[ "$key" != "$first" ]
	for line in 'X: y' 'subject: y'; do
		tried "$line"
		[ "$key" != "$first" ]
	done
	printf '%s\r\n' 'HELO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    DATA 'Subject: x' '' 'hellO' '..dot' . QUIT >in
	send <in
	[ "$(cat key.u@example.org)" != "$first" ]
}

@test "key: of a relay it is one over all recipients, in whatever order, and once each" {
	keyed
	OPTS=(-n mx.example --relay ./keep '{recipients}')
	relayed() {
		{
			printf '%s\r\n' 'HELO c' 'MAIL FROM:<a@c.example>'
			printf 'RCPT TO:<%s>\r\n' "$@"
			printf '%s\r\n' DATA 'Subject: x' '' hello ..dot . QUIT
		} >in
		send <in
		[[ "$(codes)" = *' 250 221' ]]
	}
	relayed u@b.example t@b.example u@a.example
	[ "$(cat key.all)" = "$(key_of "$WANT" a@c.example t@b.example u@a.example u@b.example)" ]
	cp key.all first
	relayed u@a.example u@b.example t@b.example u@a.example
	cmp key.all first
	relayed u@a.example
	[ "$(cat key.u@a.example)" = "$(key_of "$WANT" a@c.example u@a.example)" ]
}

@test "key: with -v a Maildir's log has it, and without it none is made" {
	OPTS+=(-v)
	printf '%s\r\n' 'HELO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    DATA 'Received: z' 'Subject: x' '' hello ..dot . QUIT >in
	send <in
	grep -q ": message .* key=$(key_of "$WANT" a@c.example u@example.org) message-id=" log
	OPTS=(-n mx.example -d example.org -m box)
	send <in
	run ! grep -q ' key=' log
}

@test "key: a text that gets a label, and one of a mailbox file, have theirs, too" {
	keyed
	OPTS=(-n mx.example -d example.org ./keep)
	printf '%s\r\n' 'HELO c' 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    DATA 'Subject: x' '' $'gr\xc3\xbc\xc3\x9fe' . QUIT >in
	send <in
	LC_ALL=C
	[ "$(cat key.u@example.org)" = "$(key_of $'Subject: x\n\ngr\xc3\xbc\xc3\x9fe\n' \
	    a@c.example u@example.org)" ]
	send <in
	cp key.u@example.org first
	send <in
	cmp key.u@example.org first
}
