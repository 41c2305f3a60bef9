# auth-clients.bats - real clients, cvm-checkpassword and a real user database
# RFC 4954; cvm-checkpassword(8), cvm-unix(8), cvm-pwfile(8)

# each test is a subshell; helper.bash has the rest
# shellcheck disable=SC2030,SC2031,SC2154
load helper

: "${CLIENTS_DIR:=/opt/smtpd-clients}"
NODE_PATH=$CLIENTS_DIR/node_modules

# a password that a shell, a configuration or a line would not carry by chance
SECRET=$'Säsam "öffne" \'dich\' $HOME \\n #1, %s'

# and one for smtplib, which takes no other
ASCII='Sesam "open" #2, %s'

teardown() {
	[ -n "${launcher:-}" ] || return 0
	kill "$launcher" 2>/dev/null || :
	wait "$launcher" 2>/dev/null || :
}

# crypted PASSWORD, as in shadow(5)
crypted() {
	printf %s "$1" | openssl passwd -6 -stdin
}

# users: the files passwd and shadow.  bob's account is locked, carol's home
# is not there.
users() {
	local name id=4000
	mkdir home
	cp /etc/passwd passwd
	cp /etc/shadow shadow
	for name in alice bob carol dora; do
		sed -i "/^$name:/d" passwd shadow
		id=$((id + 1))
		printf '%s:x:%s:%s::%s/home/%s:/bin/sh\n' $name $id $id \
		    "$PWD" $name >>passwd
	done
	mkdir home/alice home/bob home/dora
	# bats makes its directories for its own user; alice goes to her home
	chmod_up home
	{
		printf 'alice:%s:20000:0:99999:7:::\n' "$(crypted "$SECRET")"
		printf 'bob:!%s:20000:0:99999:7:::\n' "$(crypted "$SECRET")"
		printf 'carol:%s:20000:0:99999:7:::\n' "$(crypted "$SECRET")"
		printf 'dora:%s:20000:0:99999:7:::\n' "$(crypted "$ASCII")"
	} >>shadow
}

# chmod_up DIR: anyone may pass through it and those above
chmod_up() {
	local dir
	dir=$(cd "$1" && pwd)
	while [ "$dir" != / ]; do
		[ -z "$(find "$dir" -maxdepth 0 ! -perm -001)" ] || chmod o+x "$dir"
		dir=${dir%/*}
		dir=${dir:-/}
	done
}

# serve: smtpd behind tcpserver, where /etc has these users; to anyone who asks
# it says that the connection is secure
serve() {
	need_root
	need tcpserver cvm-checkpassword unshare openssl
	users
	export HOME=$PWD
	unset MAILRC EMAIL
	OPTS+=(--secured --auth 'cvm-checkpassword cvm-unix /bin/true' -v
	    --require auth)
	rm -f port
	unshare --mount --propagation private sh -c '
		mount --bind passwd /etc/passwd
		mount --bind shadow /etc/shadow
		exec "$@"' - \
	    tcpserver -1 -HR -l mx.example 127.0.0.1 0 "$SMTPD" "${OPTS[@]}" \
	    >port 2>log </dev/null 3>&- &
	launcher=$!
	eventually test -s port
	port=$(<port)
	printf 'Subject: a letter\nFrom: a@c.example\n\nDear reader\n' >letter
}

# client COMMAND...: its output in the file said, its exit status in $status
client() {
	status=0
	timeout 60 "$@" >said 2>&1 3>&- || status=$?
}

# sent HOW: the letter was taken, from a user, as all must be, who has shown it
# by mechanism $1; and the log knows no password
sent() {
	[ "$status" = 0 ] || { echo "status $status"; cat said log; return 1; }
	[[ $(header Received) = *' with ESMTPSA '* ]]
	[ "$(header Delivered-To)" = u@example.org ]
	logs_no_password
	grep -q "AUTH $1" log
	: >log
	rm box/new/*
}

logs_no_password() {
	run ! grep -aF -e dich -e open -e "$(printf %s "$SECRET" | base64 -w 0)" \
	    -e "$(printf '\0alice\0%s' "$SECRET" | base64 -w 0)" log
}

# refused CODE: the client failed, and said why
refused() {
	[ "$status" != 0 ] && [ "$status" -lt 124 ]
	grep -q "$1" said || { cat said log; return 1; }
	nothing_kept || { find box -type f -exec cat {} +; cat said; return 1; }
}

# ---- cvm ----

# login USER PASSWORD: the reply to it
login() {
	converse 127.0.0.1 "$port" 'EHLO c.example' \
	    "AUTH PLAIN $(printf '\0%s\0%s' "$@" | base64 -w 0)" QUIT |
	    full_codes /dev/stdin | cut -d ' ' -f 3
}

five_replies() {
	[ "$(wc -l <replies)" = 5 ]
}

@test "cvm: the right password is 235, wrong ones, no user and a locked one 535" {
	serve
	[ "$(login alice "$SECRET")" = 235/2.7.0 ]
	{
		login alice "${SECRET}x" &
		login alice "${SECRET%?}" &
		login nobody x &
		login no-one "$SECRET" &
		login bob "$SECRET" &
	} 3>&- >replies
	eventually five_replies
	[ "$(sort replies | uniq -c)" = '      5 535/5.7.8' ]
}

@test "cvm: a user whose home is not there is a temporary fault" {
	serve
	[ "$(login carol "$SECRET")" = 454/4.7.0 ]
}

@test "cvm: a domain behind the name is cvm's business" {
	serve
	[ "$(login alice@example.org "$SECRET")" = 235/2.7.0 ]
}

@test "cvm: cvm-pwfile has users of its own, and smtpd need not be root" {
	need_root
	need cvm-checkpassword setpriv openssl
	local u g
	u=$(id -u nobody)
	g=$(id -g nobody)
	printf 'alice:%s:%s:%s:Alice:/:/bin/sh\n' "$(crypted "$SECRET")" \
	    "$u" "$g" >users
	chmod_up .
	chmod 644 users
	chmod_up "$(dirname "$SMTPD")"
	OPTS+=(--secured --auth "env CVM_PWFILE_PATH=$PWD/users CVM_PWFILE_PWCMP=crypt cvm-checkpassword cvm-pwfile /bin/true"
	    --require auth)
	as_nobody() {
		printf '%s\r\n' 'EHLO c.example' "AUTH PLAIN $(printf '\0%s\0%s' \
		    "$@" | base64 -w 0)" 'MAIL FROM:<a@c.example>' \
		    'RCPT TO:<u@example.org>' QUIT |
		    setpriv --reuid "$u" --regid "$g" --clear-groups \
			"$SMTPD" "${OPTS[@]}" >out 2>log 3>&-
	}
	chown -R "$u:$g" box
	as_nobody alice "$SECRET"
	[ "$(full_codes)" = '220 250 235/2.7.0 250/2.1.0 250/2.1.5 221/2.0.0' ]
	as_nobody alice wrong
	[ "$(full_codes)" = '220 250 535/5.7.8 530/5.7.0 530/5.7.0 221/2.0.0' ]
}

# ---- swaks ----

by_swaks() {
	client swaks --server 127.0.0.1 --port "$port" --ehlo c.example \
	    --from a@c.example --to u@example.org --data @letter \
	    --auth-user alice --auth-password "$SECRET" "$@"
}

@test "auth: swaks by PLAIN, LOGIN, and what it is offered" {
	need swaks
	serve
	by_swaks --auth PLAIN
	sent PLAIN
	by_swaks --auth LOGIN
	sent LOGIN
	by_swaks --auth
	sent '\(PLAIN\|LOGIN\)'
	by_swaks --auth-optional
	sent '\(PLAIN\|LOGIN\)'
	by_swaks --auth CRAM-MD5,DIGEST-MD5,LOGIN
	sent LOGIN
}

@test "auth: swaks goes without its other mechanisms, which are not offered" {
	local m
	need swaks
	perl -MAuthen::SASL -e 1 || {
		[ -z "${CI:-}" ] || return 1
		skip "perl's Authen::SASL is not installed"
	}
	serve
	for m in CRAM-MD5 CRAM-SHA1 DIGEST-MD5; do
		by_swaks --auth $m
		[ "$status" = 28 ]
	done
}

# ---- msmtp ----

# by_msmtp MECHANISM PASSWORD; its file takes the password from a command
by_msmtp() {
	printf %s "$2" >secret
	client msmtp -C /dev/null --host=127.0.0.1 --port="$port" --tls=off \
	    --auth="$1" --user=alice --passwordeval='cat secret' \
	    --domain=c.example --from=a@c.example u@example.org <letter
}

@test "auth: msmtp by PLAIN and LOGIN" {
	need msmtp
	serve
	by_msmtp plain "$SECRET"
	sent PLAIN
	by_msmtp login "$SECRET"
	sent LOGIN
	# on its own it takes neither without TLS, nor one that is not offered
	by_msmtp on "$SECRET"
	[ "$status" != 0 ]
	by_msmtp cram-md5 "$SECRET"
	[ "$status" != 0 ]
	nothing_kept
}

# ---- curl ----

by_curl() {
	client curl -sS "smtp://127.0.0.1:$port/c.example" --crlf \
	    --mail-from a@c.example --mail-rcpt u@example.org \
	    --upload-file letter "$@"
}

@test "auth: curl by PLAIN and LOGIN, with an initial response and without" {
	local ir
	need curl
	serve
	for ir in --sasl-ir --no-sasl-ir; do
		by_curl --user "alice:$SECRET" $ir
		sent '\(PLAIN\|LOGIN\)'
		by_curl --user "alice:$SECRET" --login-options AUTH=PLAIN $ir
		sent PLAIN
		by_curl --user "alice:$SECRET" --login-options AUTH=LOGIN $ir
		sent LOGIN
	done
	# to act as oneself is allowed, as another it is not
	by_curl --user "alice:$SECRET" --sasl-authzid alice --sasl-ir
	sent PLAIN
	by_curl --user "alice:$SECRET" --sasl-authzid bob --sasl-ir
	[ "$status" = 67 ]
	nothing_kept
}

# ---- smtplib ----

by_smtplib() {
	client /usr/bin/env python3 - "$port" "$ASCII" "$@" <<-'P'
		import smtplib
		import sys
		port, password, mechanism, ir = sys.argv[1:]
		s = smtplib.SMTP('127.0.0.1', int(port), 'c.example')
		s.ehlo()
		if mechanism == 'any':
		    s.login('dora', password, initial_response_ok=ir == 'ir')
		else:
		    s.user, s.password = 'dora', password
		    s.auth(mechanism, getattr(s, 'auth_' + mechanism.lower()),
		        initial_response_ok=ir == 'ir')
		s.sendmail('a@c.example', ['u@example.org'],
		    open('letter', 'rb').read().replace(b'\n', b'\r\n'))
		s.quit()
	P
}

@test "auth: Python's smtplib by PLAIN and LOGIN, with an initial response and without" {
	local ir
	serve
	for ir in ir no-ir; do
		by_smtplib PLAIN $ir
		sent PLAIN
		by_smtplib LOGIN $ir
		sent LOGIN
		by_smtplib any $ir
		sent '\(PLAIN\|LOGIN\)'
	done
}

# ---- nodemailer ----

by_nodemailer() {
	NODE_PATH=$NODE_PATH client node - "$port" "$@" <<-'J'
		const [port, method, user, pass] = process.argv.slice(2);
		const transport = require('nodemailer').createTransport({
			host: '127.0.0.1', port, name: 'c.example',
			ignoreTLS: true, authMethod: method,
			auth: { user, pass } });
		transport.sendMail({
			envelope: { from: 'a@c.example', to: ['u@example.org'] },
			raw: require('fs').readFileSync('letter') })
		    .then(() => process.exit(0), (e) => {
			console.log(e.message);
			process.exit(1);
		});
	J
}

@test "auth: nodemailer by PLAIN and LOGIN" {
	need node "$NODE_PATH/nodemailer"
	serve
	by_nodemailer PLAIN alice "$SECRET"
	sent PLAIN
	by_nodemailer LOGIN alice "$SECRET"
	sent LOGIN
	by_nodemailer '' alice "$SECRET"
	sent '\(PLAIN\|LOGIN\)'
	by_nodemailer CRAM-MD5 alice "$SECRET"
	[ "$status" != 0 ]
	nothing_kept
}

# ---- all of them ----

# wrong HOW ARG...: in a directory of its own, at the same time as the others
wrong() {
	local box=$PWD/box
	mkdir "$*"
	(
		cp letter "$*"
		cd "$*" || exit
		ln -s "$box" box
		"$@"
		refused 535 && : >was-refused
	) 3>&- &
	wrong+=($!)
	tries+=("$*")
}

@test "auth: with a wrong password each of them is refused, and says so" {
	local wrong=() tries=() t
	need swaks msmtp curl node "$NODE_PATH/nodemailer"
	serve
	wrong by_swaks --auth PLAIN --auth-password wrong
	wrong by_swaks --auth LOGIN --auth-password wrong
	wrong by_msmtp plain wrong
	wrong by_msmtp login wrong
	wrong by_curl --user alice:wrong --verbose
	ASCII=wrong wrong by_smtplib PLAIN ir
	ASCII=wrong wrong by_smtplib any no-ir
	wrong by_nodemailer PLAIN alice wrong
	wrong by_nodemailer LOGIN alice wrong
	wait "${wrong[@]}"
	for t in "${tries[@]}"; do
		echo "$t"
		[ -e "$t/was-refused" ]
	done
}
