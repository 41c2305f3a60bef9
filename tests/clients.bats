# clients.bats - what real clients send through tcpserver arrives byte for byte
# RFC 5321 3.3, 4.5.2 (dots), 4.5.3.1.6 (long lines); RFC 2920; RFC 6152
#
# Some clients send a message as they get it: they are given the letters below,
# and what is stored beneath our header must be the letter.  The others make
# the message themselves: there the body is compared, or what the attachment
# decodes to, and those header fields that were asked for.

# shellcheck disable=SC2030,SC2031 # each test is a subshell
load helper

: "${CLIENTS_DIR:=/opt/smtpd-clients}"
NODE_PATH=$CLIENTS_DIR/node_modules
POSTFIX=$CLIENTS_DIR/postfix/usr
NULLMAILER=$CLIENTS_DIR/nullmailer/usr/lib/nullmailer

teardown() {
	[ -n "${launcher:-}" ] || return 0
	kill "$launcher" 2>/dev/null || :
	wait "$launcher" 2>/dev/null || :
}

# serve: smtpd behind tcpserver, which takes a free port and says which; and
# for the client, a home without any configuration
serve() {
	need tcpserver
	export HOME=$PWD
	unset MAILRC EMAIL
	sender=a@c.example
	rm -f port
	tcpserver -1 -HR -l mx.example 127.0.0.1 0 "$SMTPD" "${OPTS[@]}" \
	    >port 2>log </dev/null 3>&- &
	launcher=$!
	eventually test -s port
	port=$(<port)
}

# client COMMAND...: its output in the file said, its exit status in $status
client() {
	status=0
	timeout 60 "$@" >said 2>&1 3>&- || status=$?
}

# succeeded: if the client did not, what it and smtpd had to say
succeeded() {
	[ "$status" = 0 ] || { echo "status $status"; cat said log; return 1; }
}

# failed: by its own decision, not by a signal, the time or for being missing
failed() {
	case $status in
	0|12[4-9]|13?|14?|15?)
		echo "status $status"
		cat said log
		return 1 ;;
	esac
}

heading() {
	printf '%s\n' 'From: a@c.example' 'To: u@example.org' \
	    'Date: Thu, 01 Jan 2026 00:00:00 +0000' \
	    'Message-ID: <1@c.example>' "Subject: $1"
}

# the fields of a text in UTF-8
mime() {
	printf '%s\n' 'MIME-Version: 1.0' \
	    'Content-Type: text/plain; charset=utf-8' \
	    'Content-Transfer-Encoding: 8bit'
}

# a text that is hard on clients and servers, in ASCII and in UTF-8
hard() {
	printf '%s\n' . .. ... .dot ..dots . '' ' . ' '' .QUIT QUIT RSET \
	    'From here' '>From there' '~q' 'blanks behind   ' $'a tab\t' \
	    '   ' $'\t' '=2E' '-- ' --
	printf '%0990d\n' 0
	printf '.%0989d\n' 0
	printf '%s\n' '' . '' ..
}

utf8() {
	hard
	printf '%s\n' 'Zürich, naïve, 日本語' '.Ärger' 'ÿ'
}

# letters: a file in the directory letters for each of them
letters() {
	mkdir -p letters
	{ heading hard; echo; hard; } >letters/hard
	{ heading utf8; mime; echo; utf8; } >letters/utf8
	{ heading unended; echo; printf 'one\n.\nno end'; } >letters/unended
	{ heading empty; echo; } >letters/empty
	heading header >letters/header
	printf '.one\n.\n..\n\nand no header\n' >letters/bare
	{ heading big; echo; noise; base64 noise.bin; } >letters/big
	{ heading bytes; mime; echo; bytes; } >letters/bytes
}
LETTERS=(hard utf8 unended empty header bare big bytes)

# texts: what the clients that make the message themselves are given
texts() {
	mkdir texts
	hard >texts/hard
	utf8 >texts/utf8
	printf 'one\n.\nno end' >texts/unended
	: >texts/empty
}

# noise: the file noise.bin, a megabyte of any bytes
noise() {
	head -c 1000000 /dev/urandom >noise.bin
}

# every byte there is but those of line ends and NUL
bytes() {
	# shellcheck disable=SC2059
	printf "$(printf '\\x%02x' {1..9} 11 12 {14..255})\n"
}

# whole FILE: with a line end behind the last line, which SMTP gives to all
whole() {
	cat "$1"
	[ -z "$(tail -c 1 "$1")" ] || echo
}

# carries HOW LETTER...: each letter is stored as it was given to the function
# HOW, made whole
carries() {
	local how=$1 letter
	shift
	letters
	for letter; do
		echo "the letter $letter"
		"$how" "letters/$letter" u@example.org
		succeeded
		whole "letters/$letter" >want
		stored_is want
		[ "$(header Return-Path)" = "<$sender>" ]
		[ "$(header Delivered-To)" = u@example.org ]
		rm box/new/*
	done
}

# refused HOW: the client fails with a recipient in a domain that is not ours
refused() {
	letters
	"$1" letters/hard u@no.example
	failed
	nothing_kept
}

# The second of these is refused.  Some clients then mail to the others, some
# to no one.
THREE=(u@example.org v@no.example w@example.org)

# others_get LETTER
others_get() {
	stored_is "$1"
	[ "$(header Delivered-To | paste -sd ' ')" = \
	    'u@example.org w@example.org' ]
}

# all_hold N LETTER: there are N messages, and each is the letter
all_hold() {
	local m n
	[ "$(count box/new)" = "$1" ]
	n=$(wc -c <"$2")
	for m in box/new/*; do
		tail -c "$n" "$m" | cmp - "$2"
	done
}

# fields_are NAME VALUE...: these fields of the one message have these values
fields_are() {
	while [ $# -gt 0 ]; do
		echo "$1 is $(header "$1"), wanted $2"
		[ "$(header "$1")" = "$2" ]
		shift 2
	done
}

# part N: what the Nth part of the one message decodes to, or, where it has
# no parts, its body
part() {
	py "$1" "$(only_message)" <<-'P'
		import email
		import sys
		with open(sys.argv[2], 'rb') as f:
		    m = email.message_from_binary_file(f)
		if m.is_multipart():
		    m = m.get_payload(int(sys.argv[1]))
		sys.stdout.buffer.write(m.get_payload(decode=True))
	P
}

# ---- swaks ----

# what ends in a line end needs the dot, or swaks adds another line end
swaks_data() {
	cat "$1"
	[ -n "$(tail -c 1 "$1")" ] || echo .
}

by_swaks() {
	local to
	swaks_data "$1" >data
	shift
	to=$(IFS=,; echo "$*")
	client swaks "${SWAKS[@]}" --ehlo c.example --from "${sender:-<>}" \
	    --to "$to" --data @data
}

over_tcp() {
	need swaks
	serve
	SWAKS=(--server 127.0.0.1 --port "$port" "$@")
}

# swaks does not double a dot in the first line, and ends a header
SWAKS_LETTERS=(hard utf8 unended empty big bytes)

@test "clients: swaks' mail arrives byte for byte" {
	over_tcp
	carries by_swaks "${SWAKS_LETTERS[@]}"
}

@test "clients: swaks' mail arrives byte for byte with pipelining" {
	over_tcp --pipeline
	carries by_swaks "${SWAKS_LETTERS[@]}"
}

@test "clients: swaks' mail arrives byte for byte through a pipe" {
	need swaks
	sender=a@c.example
	{ echo '#!/bin/bash'; printf '%q ' exec "$SMTPD" "${OPTS[@]}"; } >smtpd
	echo '2>>log' >>smtpd
	chmod +x smtpd
	SWAKS=(--pipe ./smtpd)
	carries by_swaks "${SWAKS_LETTERS[@]}"
	refused by_swaks
}

@test "clients: swaks' attachment arrives byte for byte" {
	over_tcp
	noise
	utf8 >text
	client swaks "${SWAKS[@]}" --ehlo c.example --from "$sender" \
	    --to u@example.org --h-Subject 'an attachment' --body @text \
	    --attach-type application/octet-stream --attach @noise.bin
	succeeded
	fields_are From "$sender" To u@example.org Subject 'an attachment'
	part 1 | cmp - noise.bin
	part 0 | cmp - text
}

@test "clients: swaks' null sender is taken" {
	over_tcp
	sender=
	carries by_swaks hard
}

@test "clients: swaks mails the others when one of them is refused" {
	over_tcp
	letters
	by_swaks letters/hard "${THREE[@]}"
	succeeded
	grep -q '^<\*\* 550 ' said
	others_get letters/hard
	rm box/new/*
	SWAKS+=(--pipeline)
	by_swaks letters/hard "${THREE[@]}"
	succeeded
	grep -q '^<\*\* 550 ' said
	others_get letters/hard
}

@test "clients: swaks fails when its only recipient is refused" {
	over_tcp
	refused by_swaks
	grep -q '^<\*\* 550 ' said
	SWAKS+=(--pipeline)
	refused by_swaks
	grep -q '^<\*\* 550 ' said
}

# ---- msmtp ----

by_msmtp() {
	local letter=$1
	shift
	client msmtp --host=127.0.0.1 --port="$port" --tls=off --auth=off \
	    --domain=c.example --from="$sender" "$@" <"$letter"
}

with_msmtp() {
	need msmtp
	serve
}

# msmtp gives a header to what has none
@test "clients: msmtp's mail arrives byte for byte" {
	with_msmtp
	carries by_msmtp hard utf8 unended empty header big bytes
}

@test "clients: msmtp's null sender is taken" {
	with_msmtp
	sender=
	carries by_msmtp hard
}

@test "clients: msmtp mails no one when one of them is refused" {
	with_msmtp
	letters
	by_msmtp letters/hard "${THREE[@]}"
	failed
	grep -q 550 said
	nothing_kept
}

@test "clients: msmtp fails when its only recipient is refused" {
	with_msmtp
	refused by_msmtp
	grep -q 550 said
}

# ---- curl ----

by_curl() {
	local letter=$1 to rcpts=()
	shift
	for to; do
		rcpts+=(--mail-rcpt "$to")
	done
	client curl -q -sS "smtp://127.0.0.1:$port/c.example" \
	    --mail-from "$sender" "${rcpts[@]}" "${CURL[@]}" -T "$letter"
}

with_curl() {
	need curl
	serve
	CURL=(--crlf)
}

@test "clients: curl's mail arrives byte for byte" {
	with_curl
	carries by_curl "${LETTERS[@]}"
}

@test "clients: curl's mail of CRLF lines arrives byte for byte" {
	with_curl
	CURL=()
	letters
	sed 's/$/\r/' letters/utf8 >crlf
	by_curl crlf u@example.org
	succeeded
	stored_is letters/utf8
}

@test "clients: curl's attachment arrives byte for byte" {
	with_curl
	noise
	client curl -q -sS "smtp://127.0.0.1:$port/c.example" \
	    --mail-from "$sender" --mail-rcpt u@example.org \
	    -H "From: $sender" -H 'Subject: an attachment' \
	    -F '=.a text' -F '=@noise.bin;encoder=base64'
	succeeded
	fields_are From "$sender" Subject 'an attachment'
	part 1 | cmp - noise.bin
	[ "$(part 0)" = '.a text' ]
}

@test "clients: curl's null sender is taken" {
	with_curl
	sender=
	carries by_curl hard
}

@test "clients: curl mails no one, or the others, when one of them is refused" {
	with_curl
	letters
	by_curl letters/hard "${THREE[@]}"
	failed
	grep -q 550 said
	nothing_kept
	CURL+=(--mail-rcpt-allowfails)
	by_curl letters/hard "${THREE[@]}"
	succeeded
	others_get letters/hard
}

@test "clients: curl fails when its only recipient is refused" {
	with_curl
	refused by_curl
	grep -q 550 said
	CURL+=(--mail-rcpt-allowfails)
	refused by_curl
}

# ---- Python's smtplib ----

# a Python program, with a connection in `s`; with no word of ours, what it
# does not catch is printed and fails it
python() {
	status=0
	{
		cat <<-'P'
			import smtplib
			import sys
			from email.generator import BytesGenerator
			from email.message import EmailMessage

			port, sender, letter, *to = sys.argv[1:]
			s = smtplib.SMTP('127.0.0.1', int(port), 'c.example', 60)
		P
		cat
		echo 's.quit()'
	} | py "$port" "$sender" "$@" >said 2>&1 || status=$?
}

by_smtplib() {
	python "$@" <<-'P'
		with open(letter, 'rb') as f:
		    data = f.read().replace(b'\n', b'\r\n')
		refused = s.sendmail(sender, to, data, ['BODY=8BITMIME'])
		for r in refused:
		    print(refused[r][0], r)
	P
}

with_smtplib() {
	need python3
	serve
}

@test "clients: smtplib's mail arrives byte for byte" {
	with_smtplib
	carries by_smtplib "${LETTERS[@]}"
}

@test "clients: smtplib's message object arrives as it is written" {
	with_smtplib
	noise
	# smtplib writes a > before what looks like the separator of an mbox
	utf8 | grep -v ^From >text
	python text u@example.org <<-'P'
		m = EmailMessage()
		m['From'] = sender
		m['To'] = to[0]
		m['Subject'] = 'Zürich'
		with open(letter, encoding='utf-8') as f:
		    m.set_content(f.read(), cte='8bit')
		with open('noise.bin', 'rb') as f:
		    m.add_attachment(f.read(), maintype='application',
		        subtype='octet-stream', filename='noise.bin')
		with open('want', 'wb') as f:
		    BytesGenerator(f).flatten(m)
		s.send_message(m, mail_options=['BODY=8BITMIME'])
	P
	succeeded
	stored_is want
	part 0 | cmp - text
	part 1 | cmp - noise.bin
}

@test "clients: smtplib's null sender is taken" {
	with_smtplib
	sender=
	carries by_smtplib hard
}

@test "clients: smtplib mails the others and names the one that is refused" {
	with_smtplib
	letters
	by_smtplib letters/hard "${THREE[@]}"
	succeeded
	[ "$(cat said)" = '550 v@no.example' ]
	others_get letters/hard
}

@test "clients: smtplib fails when its only recipient is refused" {
	with_smtplib
	refused by_smtplib
	grep -q '^smtplib.SMTPRecipientsRefused: .*550' said
}

@test "clients: smtplib's three messages in one session all arrive" {
	with_smtplib
	letters
	python letters/hard u@example.org <<-'P'
		with open(letter) as f:
		    text = f.read()
		for _ in range(3):
		    s.sendmail(sender, to, text)
	P
	succeeded
	all_hold 3 letters/hard
}

# ---- mail of GNU mailutils ----

by_mailutils() {
	local text=$1
	shift
	client mail.mailutils --norc --no-config \
	    -E "set sendmail=smtp://127.0.0.1:$port" -r "${sender:-<>}" \
	    -s 'a letter' "${MAIL[@]}" "$@" <"$text"
}

with_mailutils() {
	need mail.mailutils
	serve
	MAIL=()
}

@test "clients: mailutils' mail arrives byte for byte" {
	local text
	with_mailutils
	texts
	for text in texts/*; do
		echo "$text"
		by_mailutils "$text" u@example.org
		succeeded
		whole "$text" >want
		body "$(only_message)" | cmp - want
		fields_are Return-Path "<$sender>" To '<u@example.org>' \
		    Subject 'a letter'
		rm box/new/*
	done
}

@test "clients: mailutils' attachment arrives byte for byte" {
	with_mailutils
	noise
	utf8 >text
	MAIL=(-A noise.bin)
	by_mailutils text u@example.org
	succeeded
	part 0 | cmp - text
	part 1 | cmp - noise.bin
	fields_are Subject 'a letter'
}

@test "clients: mailutils' mail arrives byte for byte through msmtp" {
	with_mailutils
	need msmtp
	printf 'host 127.0.0.1\nport %s\nfrom %s\n' "$port" "$sender" >msmtprc
	printf '#!/bin/sh\nexec msmtp -C msmtprc "$@"\n' >sendmail
	chmod +x sendmail
	utf8 >text
	client mail.mailutils --norc --no-config -s 'a letter' \
	    -E "set sendmail=sendmail://$PWD/sendmail" u@example.org <text
	succeeded
	body "$(only_message)" | cmp - text
	fields_are Subject 'a letter'
}

@test "clients: mailutils' null sender is taken" {
	with_mailutils
	sender=
	hard >text
	by_mailutils text u@example.org
	succeeded
	body "$(only_message)" | cmp - text
	fields_are Return-Path '<>'
}

# it does not tell of the one
@test "clients: mailutils mails the others when one of them is refused" {
	with_mailutils
	hard >text
	by_mailutils text "${THREE[@]}"
	succeeded
	body "$(only_message)" | cmp - text
	[ "$(header Delivered-To | paste -sd ' ')" = \
	    'u@example.org w@example.org' ]
}

@test "clients: mailutils fails when its only recipient is refused" {
	with_mailutils
	refused by_mailutils
}

# ---- s-nail ----

by_snail() {
	local text=$1
	shift
	client s-nail -:/ -Sv15-compat -S "mta=smtp://127.0.0.1:$port" \
	    -S smtp-auth=none -S hostname=c.example -S ttycharset=utf-8 \
	    -S mime-encoding=8bit -S "DEAD=$PWD/dead" -S "record=$PWD/sent" \
	    -r "$sender" -s 'a letter' "${SNAIL[@]}" "$@" <"$text"
}

with_snail() {
	need s-nail
	serve
	SNAIL=()
}

# what it sent is what it recorded, less the separators of mbox
is_as_recorded() {
	sed -e 1d -e '$d' sent >want
	stored_is want
	rm sent
}

@test "clients: s-nail's mail arrives byte for byte" {
	local text
	with_snail
	texts
	# without what it would write as quoted-printable
	grep -v -e ^From -e '^[. ]*$' -e 0000 texts/utf8 >texts/plain
	for text in texts/*; do
		echo "$text"
		by_snail "$text" u@example.org
		succeeded
		is_as_recorded
		part 0 | cmp - "$text"
		fields_are Return-Path "<$sender>" From "$sender" \
		    To u@example.org Subject 'a letter'
		[ "$text" != texts/plain ] ||
		    body "$(only_message)" | cmp - "$text"
		rm box/new/*
	done
}

@test "clients: s-nail's attachment arrives byte for byte" {
	with_snail
	noise
	utf8 >text
	SNAIL=(-a noise.bin)
	by_snail text u@example.org
	succeeded
	is_as_recorded
	part 0 | cmp - text
	part 1 | cmp - noise.bin
}

@test "clients: s-nail mails no one when one of them is refused" {
	with_snail
	hard >text
	by_snail text "${THREE[@]}"
	failed
	grep -q 550 said
	nothing_kept
}

@test "clients: s-nail fails when its only recipient is refused" {
	with_snail
	refused by_snail
	grep -q 550 said
}

# ---- git send-email ----

by_git() {
	local letter=$1 to rcpts=()
	shift
	for to; do
		rcpts+=(--to="$to")
	done
	client git send-email --smtp-server=127.0.0.1 \
	    --smtp-server-port="$port" --smtp-domain=c.example \
	    --from="$sender" --confirm=never --suppress-cc=all --no-validate \
	    --transfer-encoding=8bit "${rcpts[@]}" "$letter"
}

with_git() {
	need git "$(git --exec-path)/git-send-email"
	serve
	export GIT_CONFIG_NOSYSTEM=1 GIT_CEILING_DIRECTORIES=$PWD \
	    GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=$sender \
	    GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=$sender
}

@test "clients: git send-email's mail arrives byte for byte" {
	local letter
	with_git
	letters
	for letter in hard utf8 unended empty big; do
		echo "the letter $letter"
		by_git "letters/$letter" u@example.org
		succeeded
		whole "letters/$letter" | sed '1,/^$/d' >want
		body "$(only_message)" | cmp - want
		fields_are Return-Path "<$sender>" From "$sender" \
		    To u@example.org Subject "$letter"
		rm box/new/*
	done
}

@test "clients: git send-email's patches arrive fit to be applied" {
	with_git
	noise
	utf8 >text
	git init -q there
	git -C there commit -q --allow-empty -m 'the beginning'
	git clone -q there here
	cp noise.bin text here
	git -C here add text
	git -C here commit -q -m 'Add a text'
	git -C here add noise.bin
	git -C here commit -q -m 'Add noise'
	git -C here format-patch -q -o ../patches --binary -2
	by_git patches u@example.org
	succeeded
	[ "$(count box/new)" = 2 ]
	git -C there am -q ../box
	cmp there/text text
	cmp there/noise.bin noise.bin
}

@test "clients: git send-email mails no one when one of them is refused" {
	with_git
	letters
	by_git letters/hard "${THREE[@]}"
	failed
	grep -q '^5\.7\.1 ' said
	nothing_kept
}

@test "clients: git send-email fails when its only recipient is refused" {
	with_git
	refused by_git
	grep -q '^5\.7\.1 ' said
}

# ---- nodemailer ----

# a program that mails `message`, prints the recipients refused, and fails with
# the reply's code if that is all of them
node_mail() {
	{
		cat <<-'N'
			const fs = require('fs')
			const [port, sender, letter, ...to] = process.argv.slice(2)
			const transport = require('nodemailer').createTransport({
			    host: '127.0.0.1', port: +port, name: 'c.example'})
			const message = {envelope: {from: sender, to}}
		N
		cat
		cat <<-'N'
			transport.sendMail(message).then(
			    i => i.rejectedErrors?.forEach(
			        e => console.log(e.responseCode, e.recipient)),
			    e => {
			        console.log(e.responseCode, e.message)
			        process.exit(1)
			    })
		N
	} >mail.js
	NODE_PATH=$NODE_PATH client node mail.js "$port" "$sender" "$@"
}

by_nodemailer() {
	node_mail "$@" <<<'message.raw = fs.readFileSync(letter)'
}

with_nodemailer() {
	need node "$NODE_PATH/nodemailer"
	serve
}

@test "clients: nodemailer's mail arrives byte for byte" {
	with_nodemailer
	carries by_nodemailer "${LETTERS[@]}"
}

@test "clients: nodemailer's attachment arrives byte for byte" {
	with_nodemailer
	noise
	utf8 >text
	node_mail text u@example.org <<-'N'
		message.from = sender
		message.to = to
		message.subject = 'a letter'
		message.messageId = '<1@c.example>'
		message.text = fs.readFileSync('text')
		message.attachments = [{path: 'noise.bin'}]
	N
	succeeded
	part 0 | cmp - text
	part 1 | cmp - noise.bin
	fields_are From "$sender" To u@example.org Subject 'a letter' \
	    Message-ID '<1@c.example>'
}

@test "clients: nodemailer's null sender is taken" {
	with_nodemailer
	sender=
	carries by_nodemailer hard
}

@test "clients: nodemailer mails the others and names the one that is refused" {
	with_nodemailer
	letters
	by_nodemailer letters/hard "${THREE[@]}"
	succeeded
	[ "$(cat said)" = '550 v@no.example' ]
	others_get letters/hard
}

@test "clients: nodemailer fails when its only recipient is refused" {
	with_nodemailer
	refused by_nodemailer
	grep -q '^550' said
}

# ---- Postfix's smtp-source ----

smtp_source() {
	LD_LIBRARY_PATH=$POSTFIX/lib/postfix client "$POSTFIX/sbin/smtp-source" \
	    -M c.example -f "$sender" "$@" "127.0.0.1:$port"
}

by_smtp_source() {
	smtp_source -F "$1" -t "$2"
}

with_smtp_source() {
	need "$POSTFIX/sbin/smtp-source"
	serve
}

# it puts an empty line behind each file
@test "clients: smtp-source's mail arrives byte for byte" {
	local letter
	with_smtp_source
	letters
	for letter in "${LETTERS[@]}"; do
		echo "the letter $letter"
		by_smtp_source "letters/$letter" u@example.org
		succeeded
		{ whole "letters/$letter"; echo; } >want
		stored_is want
		fields_are Return-Path "<$sender>" Delivered-To u@example.org
		rm box/new/*
	done
}

@test "clients: smtp-source's null sender is taken" {
	with_smtp_source
	letters
	sender=
	by_smtp_source letters/hard u@example.org
	succeeded
	fields_are Return-Path '<>'
}

@test "clients: smtp-source's five recipients share one copy" {
	with_smtp_source
	smtp_source -r 5 -t u@example.org -l 1000
	succeeded
	[ "$(header Delivered-To | sort | paste -sd ' ')" = \
	    '2u@example.org 3u@example.org 4u@example.org 5u@example.org u@example.org' ]
}

@test "clients: smtp-source's hundred messages from ten sessions at once all arrive" {
	with_smtp_source
	letters
	smtp_source -s 10 -m 100 -t u@example.org -F letters/hard
	succeeded
	echo >>letters/hard
	all_hold 100 letters/hard
}

@test "clients: smtp-source's hundred messages in one session all arrive" {
	with_smtp_source
	letters
	smtp_source -d -m 100 -t u@example.org -F letters/hard
	succeeded
	echo >>letters/hard
	all_hold 100 letters/hard
}

@test "clients: smtp-source fails when its recipient is refused" {
	with_smtp_source
	refused by_smtp_source
	grep -q 550 said
}

# ---- nullmailer's smtp ----

by_nullmailer() {
	local letter=$1
	shift
	{ printf '%s\n' "$sender" "$@" ''; cat "$letter"; } >queued
	printf 'host=127.0.0.1\nport=%s\n' "$port" >options
	# the message is on descriptor 3, the options on 0
	HELOHOST=c.example client bash -c "exec '$NULLMAILER/smtp' 3<queued" \
	    <options
}

with_nullmailer() {
	need "$NULLMAILER/smtp"
	serve
}

@test "clients: nullmailer's mail arrives byte for byte" {
	with_nullmailer
	carries by_nullmailer "${LETTERS[@]}"
}

@test "clients: nullmailer's null sender is taken" {
	with_nullmailer
	sender=
	carries by_nullmailer hard
}

@test "clients: nullmailer mails no one when one of them is refused" {
	with_nullmailer
	letters
	by_nullmailer letters/hard "${THREE[@]}"
	failed
	grep -q 550 said
	nothing_kept
}

@test "clients: nullmailer fails when its only recipient is refused" {
	with_nullmailer
	refused by_nullmailer
	grep -q 550 said
}
