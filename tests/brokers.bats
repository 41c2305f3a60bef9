#!/usr/bin/env bats
# brokers - contrib/mail-to-redis, -nats, -kafka and -s3, each with its server, and
# contrib/scale/file-mail, which takes the mail out of Redis: killed at every step
# and tried again, each mail is there, and once
# redis-cli(1), nats-server(8), kcat(1), rclone(1)

# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2016 # what stands in single quotes is for another shell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them
# shellcheck disable=SC2119,SC2120 # file_mail's arguments may be none
# shellcheck disable=SC2317 # broken_off and eventually call what they are told
load helper

: "${CLIENTS_DIR:=/opt/smtpd-clients}"
S3RVER=$CLIENTS_DIR/node_modules/.bin/s3rver

teardown() {
	[ -z "${server:-}" ] || kill -9 "$server" 2>/dev/null || :
}

free_port() {
	port=$(py <<-'P'
		import socket
		s = socket.socket()
		s.bind(('127.0.0.1', 0))
		print(s.getsockname()[1])
	P
	)
}

answers() {
	(exec 9<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

refuses() {
	! answers
}

# serve COMMAND...: it answers at $port
serve() {
	"$@" >server.log 2>&1 3>&- </dev/null &
	server=$!
	disown
	eventually answers || { cat server.log; return 1; }
}

# given PROGRAM...: the mail of the file letter, from and to whom the session says;
# the program is killed after so many seconds as the file after has
given() {
	printf '#!/bin/sh\nexec timeout -s KILL "$(cat %s/after)" "$@"\n' "$PWD" >dying
	chmod 755 dying
	OPTS=(-n mx.example -d example.org --spool . --program-timeout 20 ./dying "$@")
	echo 20 >after
}

# letter N: of any octets, its line ends LF
letter() {
	{
		printf 'From: a@c.example\nSubject: mail %s\n\n' "$1"
		printf 'na\xc3\xafve\xff\n.\n..\n'
		head -c "$((RANDOM % 30000))" /dev/urandom | base64 -w 70
		printf '\0\n'
	} >letter
}

mailed() {
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		printf 'RCPT TO:<u@example.org>\r\nDATA\r\n'
		sed 's/^\./../; s/$/\r/' letter
		printf '.\r\nQUIT\r\n'
	} >in
	send <in
	[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]]
}

MAILS=12

# broken_off RESTART: each of the mails is tried until it is taken; the program is
# killed at ever later moments, and the server, every third time, by RESTART
broken_off() {
	local i try
	for ((i = 1; i <= MAILS; i++)); do
		letter "$i"
		cp letter "letter.$i"
		for ((try = 0; try < 40; try++)); do
			echo "0.$(printf '%03d' $((1 + (try * 17 + i * 7) % 160)))" >after
			[ "$try" -lt 12 ] || echo 20 >after
			if [ $((try % 3)) = 2 ] && [ "$1" != : ]; then
				kill -9 "$server"
				eventually refuses
				mailed && break
				"$1"
			fi
			mailed && break
		done
		[ "$try" -lt 40 ] || { cat out log server.log; return 1; }
		echo "$i: $try"
	done
}

# all_once: the keys are in the file keys, a line each; the messages, without the
# three fields of ours in front, in the files message.*
all_once() {
	[ "$(wc -l <keys)" = "$MAILS" ] || { cat keys; return 1; }
	[ "$(sort -u keys | wc -l)" = "$MAILS" ]
	grep -qxE '[0-9a-f]{64}' keys
	cat letter.* | sha256sum >letters
	local i
	for ((i = 1; i <= MAILS; i++)); do
		grep -lx "Subject: mail $i" message.* >same
		[ "$(wc -l <same)" = 1 ]
		tail -c "$(wc -c <"letter.$i")" "$(cat same)" | cmp - "letter.$i"
		head -n 1 "$(cat same)" | grep -qx 'Return-Path: <a@c.example>'
	done
}

# ---- Redis -----------------------------------------------------------------

redis() {
	serve redis-server --port "$port" --bind 127.0.0.1 --dir "$PWD" \
	    --appendonly yes --appendfsync always
}

redis_here() {
	need redis-server redis-cli
	free_port
	redis
	given "$ROOT/contrib/mail-to-redis" "redis://127.0.0.1:$port" mails
}

@test "mail-to-redis: killed and restarted at every step, each mail is in the stream once" {
	redis_here
	broken_off redis
	py "$port" <<-'P'
		import socket, sys
		s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
		f = s.makefile('rb')
		def reply():
		    line = f.readline()
		    if line[:1] == b'*':
		        return [reply() for _ in range(int(line[1:]))]
		    assert line[:1] == b'$', line
		    data = f.read(int(line[1:]) + 2)
		    return data[:-2]
		s.sendall(b'XRANGE mails - +\r\n')
		with open('keys', 'w') as keys:
		    for n, (_, fields) in enumerate(reply()):
		        entry = dict(zip(fields[::2], fields[1::2]))
		        keys.write(entry[b'key'].decode() + '\n')
		        assert entry[b'sender'] == b'a@c.example', entry
		        assert entry[b'recipient'] == b'u@example.org', entry
		        open('message.%d' % n, 'wb').write(entry[b'message'])
	P
	all_once
}

@test "mail-to-redis: what Redis refuses is 451, and the mail is taken when it does not" {
	redis_here
	letter 1
	redis-cli -p "$port" set mails 'no stream'
	run ! mailed
	[[ $(full_codes) = *' 354 451/4.3.0 221/2.0.0' ]]
	grep -q WRONGTYPE log
	redis-cli -p "$port" del mails
	mailed
	# and once more it is known
	mailed
	[ "$(redis-cli -p "$port" xlen mails)" = 1 ]
}

# file_mail [COMMAND...]: it runs under the command until the stream is empty;
# 1 if it has ended before it was told to
file_mail() {
	"$@" "$ROOT/contrib/scale/file-mail" "redis://127.0.0.1:$port" mails one \
	    "$PWD/boxes/{user}" >>filed 2>&1 3>&- </dev/null &
	local filer=$! ended=0
	disown
	# shellcheck disable=SC2317 # eventually calls it
	over() {
		[ ! -d "/proc/$filer" ] || [ "$(redis-cli -p "$port" xlen mails)" = 0 ]
	}
	eventually over || { cat filed; return 1; }
	# what it does behind the deletion from the stream is done, too
	sleep 0.1
	kill -9 "$filer" 2>/dev/null || ended=1
	while [ -d "/proc/$filer" ]; do sleep 0.01; done
	return $ended
}

filing_here() {
	redis_here
	/usr/bin/python3 -c 'import redis' 2>/dev/null || need python3-redis
	mkdir boxes
}

@test "file-mail: killed at every step, each mail is filed once, even if it was read and deleted meanwhile" {
	need strace
	filing_here
	local step mails=0
	mkdir read
	# all that it does with two mails: each is the last thing, once
	for step in fsync:{1..5} rename:{1..2} unlink:{1..2} sendto:{1..5}; do
		for _ in 1 2; do
			mails=$((mails + 1))
			letter "$mails"
			cp letter "letter.$mails"
			mailed
		done
		run -1 file_mail strace -qq -o /dev/null -e trace="${step%:*}" \
		    -e inject="${step%:*}:signal=KILL:when=${step#*:}"
		# it is read, and deleted
		[ ! -d boxes/u/new ] || find boxes/u/new -type f -exec mv -t read {} +
		file_mail
		find boxes/u/new -type f -exec mv -t read {} +
		[ "$(find read -type f | wc -l)" = "$mails" ]
	done
	for f in letter.*; do
		tail -c "$(wc -c <"$f")" "$(grep -lx "Subject: mail ${f#letter.}" read/*)" | cmp - "$f"
	done
	[ -z "$(find boxes/u/tmp boxes/.file-mail.one.mails -type f)" ]
	find boxes/* boxes/.[!.]* -type f ! -perm 600 -o -type d ! -perm 700 >wrong
	[ ! -s wrong ]
}

@test "file-mail: users by their names; hostile ones are the postmaster; what is gone from the stream is nothing" {
	filing_here
	letter 1
	add() {
		redis-cli -p "$port" XADD mails '*' key k sender s recipient "$1" \
		    message "Subject: to $1" >entry
	}
	for to in Bob@example.org ../x@example.org .hidden@example.org 'a/b@example.org' @ ''; do
		add "$to"
	done
	redis-cli -p "$port" XGROUP CREATE mails file-mail 0
	# begun before, and deleted by hand since
	redis-cli -p "$port" XREADGROUP GROUP file-mail one COUNT 1 STREAMS mails '>'
	redis-cli -p "$port" XDEL mails "$(redis-cli -p "$port" XRANGE mails - + COUNT 1 | head -n 1)"
	add carol@example.org
	file_mail
	[ "$(cd boxes && echo *)" = 'carol postmaster' ]
	[ "$(find boxes/postmaster/new -type f | wc -l)" = 5 ]
	add Bob@example.org
	file_mail
	grep -qx 'Subject: to Bob@example.org' boxes/bob/new/*
}

@test "file-mail: what cannot be filed does not hold up the rest, and is tried again" {
	filing_here
	add() {
		redis-cli -p "$port" XADD mails '*' "$@" >>entries
	}
	: >boxes/carol
	add recipient carol@example.org message 'Subject: for carol'
	add something else
	for n in {1..40}; do
		add recipient bob@example.org message "Subject: $n"
	done
	run ! file_mail timeout 2
	[ "$(find boxes/bob/new -type f | wc -l)" = 40 ]
	[ "$(redis-cli -p "$port" xlen mails)" = 2 ]
	grep -q "$(sed -n 1p entries): .*carol" filed
	grep -q "$(sed -n 2p entries): this is no mail" filed
	rm boxes/carol
	run ! file_mail timeout 2
	[ "$(cat boxes/carol/new/*)" = 'Subject: for carol' ]
	[ "$(redis-cli -p "$port" xlen mails)" = 1 ]
	[ "$(find boxes -type f | wc -l)" = 41 ]
}

@test "file-mail: of two streams the same entry is two mails; domains may have their own" {
	filing_here
	for stream in a b; do
		redis-cli -p "$port" XADD $stream 1700000000000-0 recipient Alice+x@Example.org \
		    message "Subject: of $stream"
		timeout 1 "$ROOT/contrib/scale/file-mail" "redis://127.0.0.1:$port" $stream one \
		    "$PWD/boxes/{domain}/{user}/Maildir" 3>&- || :
	done
	[ "$(grep -h '' boxes/example.org/alice/Maildir/new/* | sort)" = $'Subject: of a\nSubject: of b' ]
}

@test "file-mail: a Redis that is full is emptied" {
	filing_here
	redis-cli -p "$port" XADD mails '*' recipient u@example.org message 'Subject: 1'
	redis-cli -p "$port" XGROUP CREATE mails file-mail 0
	redis-cli -p "$port" CONFIG SET maxmemory 1
	run redis-cli -p "$port" XADD mails '*' recipient u@example.org message 'Subject: 2'
	[[ $output = OOM* ]]
	file_mail
	[ "$(cat boxes/u/new/*)" = 'Subject: 1' ]
}

@test "file-mail: two of one name do not run; without Redis it waits, and goes on with it" {
	filing_here
	local run=("$ROOT/contrib/scale/file-mail" "redis://127.0.0.1:$port" mails one "$PWD/boxes/{user}")
	"${run[@]}" >filed 2>&1 3>&- </dev/null &
	disown
	local filer=$!
	# shellcheck disable=SC2317 # eventually calls it
	grouped() { redis-cli -p "$port" XINFO GROUPS mails | grep -q file-mail; }
	eventually grouped
	run -75 "${run[@]}"
	[[ $output = *'one is running already'* ]]
	run -64 "${run[0]}"
	kill -9 "$server"
	eventually grep -q . filed
	redis
	letter 1
	mailed
	filed_one() { [ "$(find boxes/u/new -type f 2>/dev/null | wc -l)" = 1 ]; }
	eventually filed_one
	kill -9 "$filer"
}

# ---- NATS ------------------------------------------------------------------

nats() {
	serve nats-server -a 127.0.0.1 -p "$port" -js -sd "$PWD/js"
}

nats_here() {
	need nats-server
	free_port
	nats
	"$ROOT/contrib/mail-to-nats" --make MAILS "nats://127.0.0.1:$port" mails
	given "$ROOT/contrib/mail-to-nats" "nats://127.0.0.1:$port" mails
}

@test "mail-to-nats: killed and restarted at every step, each mail is in the stream once" {
	nats_here
	broken_off nats
	cp "$ROOT/contrib/mail-to-nats" mail_to_nats.py
	py "$port" <<-'P'
		import base64, json, re, sys
		import mail_to_nats
		url = 'nats://127.0.0.1:' + sys.argv[1]
		def api(what, **arg):
		    n = mail_to_nats.Nats(url)
		    return n.ask('$JS.API.' + what, {}, json.dumps(arg).encode())
		state = api('STREAM.INFO.MAILS')['state']
		with open('keys', 'w') as keys:
		    for seq in range(state['first_seq'], state['last_seq'] + 1):
		        m = api('STREAM.MSG.GET.MAILS', seq=seq)['message']
		        head = base64.b64decode(m['hdrs']).decode()
		        keys.write(re.search('Nats-Msg-Id: (.*)\r', head).group(1) + '\n')
		        assert 'Recipient: u@example.org\r' in head
		        open('message.%d' % seq, 'wb').write(base64.b64decode(m['data']))
	P
	all_once
}

@test "mail-to-nats: no stream, a wrong password and no server are 451, too big a mail is 554" {
	nats_here
	letter 1
	given "$ROOT/contrib/mail-to-nats" "nats://127.0.0.1:$port" others
	run ! mailed
	[[ $(full_codes) = *' 354 451/4.3.0 221/2.0.0' ]]
	grep -q 'no stream takes this subject' log
	given "$ROOT/contrib/mail-to-nats" nats://127.0.0.1:1 mails
	run ! mailed
	[[ $(full_codes) = *' 354 451/4.3.0 221/2.0.0' ]]
	given "$ROOT/contrib/mail-to-nats" "nats://127.0.0.1:$port" mails
	head -c 1100000 /dev/zero | tr '\0' x | fold -w 70 >>letter
	echo >>letter
	run ! mailed
	[[ $(full_codes) = *' 354 554/5.3.4 221/2.0.0' ]]
	kill -9 "$server"
	serve nats-server -a 127.0.0.1 -p "$port" -js -sd "$PWD/js" --user me --pass right
	letter 1
	run ! mailed
	grep -qi 'authorization violation' log
	given "$ROOT/contrib/mail-to-nats" "nats://me:right@127.0.0.1:$port" mails
	mailed
}

# ---- Kafka -----------------------------------------------------------------

# kafka: Debian has no broker; librdkafka, of which kcat is made, has one for tests
kafka() {
	cat >kafka.py <<-'P'
		import sys, time
		from confluent_kafka import Producer
		p = Producer({'bootstrap.servers': 'x', 'test.mock.num.brokers': 1})
		b = list(p.list_topics().brokers.values())[0]
		open('port', 'w').write('%d\n' % b.port)
		time.sleep(300)
	P
	/usr/bin/python3 kafka.py >server.log 2>&1 3>&- </dev/null &
	server=$!
	eventually test -s port
	port=$(cat port)
}

@test "mail-to-kafka: killed at every step, each mail is in the topic, and known by its key" {
	need kcat
	/usr/bin/python3 -c 'import confluent_kafka' 2>/dev/null || need python3-confluent-kafka
	kafka
	given "$ROOT/contrib/mail-to-kafka" "127.0.0.1:$port" mails
	broken_off :
	kcat -C -b "127.0.0.1:$port" -t mails -e -q -f '%k %R%s' 2>consumed.err >consumed
	py <<-'P'
		import struct
		data, seen = open('consumed', 'rb').read(), {}
		while data:
		    key, data = data[:64].decode(), data[65:]
		    n = struct.unpack('>i', data[:4])[0]
		    message, data = data[4:4 + n], data[4 + n:]
		    # the second of a kind is the same, but for our Received
		    seen.setdefault(key, message)
		with open('keys', 'w') as keys:
		    for n, (key, message) in enumerate(seen.items()):
		        keys.write(key + '\n')
		        open('message.%d' % n, 'wb').write(message)
	P
	all_once
}

@test "mail-to-kafka: without a broker the mail is deferred" {
	need kcat
	given "$ROOT/contrib/mail-to-kafka" 127.0.0.1:1 mails
	echo 3 >after
	letter 1
	run ! mailed
	[[ $(full_codes) = *' 354 451/4.3.0 221/2.0.0' ]]
}

# ---- S3 --------------------------------------------------------------------

s3() {
	serve "$S3RVER" --directory "$PWD/s3" --address 127.0.0.1 --port "$port" \
	    --configure-bucket mails
}

@test "mail-to-s3: killed and restarted at every step, each mail is one object" {
	need rclone "$S3RVER"
	local MAILS=5
	unset "${!AWS_@}"
	mkdir s3
	free_port
	s3
	cat >rclone.conf <<-C
		[box]
		type = s3
		provider = Other
		endpoint = http://127.0.0.1:$port
		access_key_id = S3RVER
		secret_access_key = S3RVER
		force_path_style = true
	C
	# /etc/smtpd/rclone.conf is not the test's to write
	sed "s,/etc/smtpd/rclone.conf,$PWD/rclone.conf," "$ROOT/contrib/mail-to-s3" >to-s3
	chmod 755 to-s3
	given ./to-s3 box:mails/in
	broken_off s3
	rclone --config rclone.conf copy box:mails/in got
	(cd got && ls) | sed 's/\.eml$//' >keys
	local file n=0
	for file in got/*; do
		mv "$file" message.$((n += 1))
	done
	all_once
	rclone --config rclone.conf lsf box:mails | cmp - <(echo in/)
}

@test "mail-to: each says how it is called, and that is no refusal of a mail" {
	local to
	for to in redis nats kafka s3; do
		status=0
		"$ROOT/contrib/mail-to-$to" a b c d e </dev/null >out 2>&1 || status=$?
		[ "$status" = 64 ] || [ "$to-$status" = nats-1 ]
		grep -q usage: out
	done
}
