#!/usr/bin/env bats
# Names that a template makes no mailbox of: too long for a file, or a Maildir's own (RFC 5321, 4.5.3.1.1; maildir(5))
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load program

account() {
	local name
	for name; do
		mkdir -p "home/$name"/{tmp,new,cur}
	done
}

# told ADDRESS...: what RCPT says to each, in one line
told() {
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		printf 'RCPT TO:<%s>\r\n' "$@"
		printf 'RSET\r\nQUIT\r\n'
	} >in
	send <in
	full_codes | sed 's/^220 250 250\/2\.1\.0 //; s/ 250\/2\.0\.0 221\/2\.0\.0$//'
}

@test "names: a user whose directory's name would be too long is no user" {
	local template n
	for template in '{user}.d' '{user}.mail/box' 'u-{user}' \
	    'x/{user}.d/box' '{domain}.{user}'; do
		rm -rf home
		OPTS=(-n mx.example -d example.org -m "home/$template")
		template=${template/'{domain}'/example.org}
		account "${template/'{user}'/postmaster}" "${template/'{user}'/alice}"
		[ "$(told alice@example.org)" = 250/2.1.5 ]
		for n in 240 250 253 254 255; do
			[ "$(told "$(an_x $n)@example.org")" = 550/5.1.1 ] ||
				{ echo "$template $n: $(full_codes)"; false; }
		done
	done
}

@test "names: one as long as a file's may be is a user, if there is one" {
	local x
	x=$(an_x 253)
	OPTS=(-n mx.example -d example.org -m 'home/{user}.d')
	account postmaster.d "$x.d"
	[ "$(told "$x@example.org")" = 250/2.1.5 ]
	mail_to "$x@example.org"
	[ "$status" = 0 ]
	only_message "home/$x.d"
}

@test "names: an extension that is too long for a file's name is never a fault of ours" {
	account postmaster alice
	OPTS=(-n mx.example -d example.org -m 'home/{user}/.{extension}.d')
	[ "$(told "alice+$(an_x 200)@example.org")" = 250/2.1.5 ]
	[[ $(told "alice+$(an_x 252)@example.org" "alice+$(an_x 254)@example.org") =~ \
	    ^(250/2.1.5|550/5.1.1)\ (250/2.1.5|550/5.1.1)$ ]]
}

@test "names: where postmaster's mailbox is missing, one that is too long is no user all the same, or is deferred" {
	account alice.d
	OPTS=(-n mx.example -d example.org -m 'home/{user}.d')
	[[ $(told "$(an_x 255)@example.org") =~ ^(550/5.1.1|451/4.3.0)$ ]]
	[ "$(told bob@example.org)" = 451/4.3.0 ]
}

@test "names: cur, new and tmp are no extensions, and their mail is the user's own" {
	local ext
	account postmaster alice alice/{cur,new,tmp,lists}
	OPTS=(-n mx.example -d example.org -m 'home/{user}/{extension}')
	for ext in cur new tmp; do
		mail_to alice+$ext@example.org
		[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
		[ "$(find home -type f | wc -l)" = 1 ]
		[ "$(find home/alice/new -maxdepth 1 -type f | wc -l)" = 1 ]
		rm home/alice/new/*.*
	done
	# another is one
	mail_to alice+lists@example.org
	[ "$status" = 0 ]
	only_message home/alice/lists
}

@test "names: alice and alice+cur are one mailbox, and share a copy" {
	account postmaster alice alice/cur
	OPTS=(-n mx.example -d example.org -m 'home/{user}/{extension}')
	mail_to alice@example.org alice+cur@example.org
	[ "$status" = 0 ]
	[ "$(find home -type f | wc -l)" = 1 ]
	diff <(header Delivered-To "$(only_message home/alice)") \
	    <(printf '%s@example.org\n' alice alice+cur)
}

@test "names: without directories in them cur, new and tmp lead nowhere else either" {
	local ext
	account postmaster alice
	OPTS=(-n mx.example -d example.org -m 'home/{user}/{extension}')
	for ext in cur new tmp; do
		mail_to alice+$ext@example.org
		[ "$status" = 0 ]
		only_message home/alice
		rm home/alice/new/*
	done
}
