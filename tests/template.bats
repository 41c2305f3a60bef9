#!/usr/bin/env bats
# Maildirs by template: who has a mailbox, who shares one (RFC 5321, 2.3.10, 3.6, 4.5.1)

# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2154 # helper.bash sets them

load helper

# account NAME...: make a Maildir for each, below home/
account() {
	local name
	for name in "$@"; do
		mkdir -p "home/$name"/{tmp,new,cur}
	done
}

# the delivered files, anywhere
messages() {
	find . -path '*/new/*' -type f | sort
}

# no account has a message, or a left-over of one
nothing_anywhere() {
	[ "$(find . \( -path '*/new/*' -o -path '*/tmp/*' \) -type f | wc -l)" = 0 ]
}

# verdicts ADDRESS...: what RCPT says to each, in one line
verdicts() {
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		printf 'RCPT TO:<%s>\r\n' "$@"
		printf 'RSET\r\nQUIT\r\n'
	} >in
	send <in
	full_codes | sed 's/^220 250 250\/2\.1\.0 //; s/ 250\/2\.0\.0 221\/2\.0\.0$//'
}

OK='220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0'
OK2='220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0 221/2.0.0'

template_setup() {
	rmdir box/* box
	account postmaster alice bob
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
}

# ---- the values ------------------------------------------------------------

@test "template: {user} is the local part" {
	template_setup
	mail_to alice@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/alice
	[ "$(messages | wc -l)" = 1 ]
}

@test "template: {user} is folded to lower case" {
	template_setup
	mail_to ALiCE@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/alice
}

@test "template: {domain} is the domain, folded to lower case" {
	template_setup
	account a.example/postmaster a.example/alice b.example/postmaster b.example/alice
	OPTS=(-n mx.example -d a.example -d b.example -m 'home/{domain}/{user}')
	mail_to alice@B.Example
	[ "$(full_codes)" = "$OK" ]
	only_message home/b.example/alice
	[ "$(messages | wc -l)" = 1 ]
}

@test "template: an address without a domain is in the first domain" {
	template_setup
	account a.example/postmaster a.example/alice
	OPTS=(-n mx.example -d .sub.example -d a.example -d b.example
	    -m 'home/{domain}/{user}')
	mail_to alice
	[ "$(full_codes)" = "$OK" ]
	only_message home/a.example/alice
}

@test "template: a quoted local part names the same account as the plain one" {
	template_setup
	mail_to '"al\ice"@example.org'
	[ "$(full_codes)" = "$OK" ]
	only_message home/alice
}

@test "template: a quoted local part may name an account with blanks" {
	template_setup
	account 'john q. public'
	mail_to '"John Q. Public"@example.org'
	[ "$(full_codes)" = "$OK" ]
	only_message 'home/john q. public'
}

@test "template: what an address brings is not looked at for placeholders again" {
	template_setup
	account '{domain}' example.org
	mail_to '{domain}@example.org'
	[ "$(full_codes)" = "$OK" ]
	only_message 'home/{domain}'
}

@test "template: percent signs and dollars in a template are themselves" {
	template_setup
	# shellcheck disable=SC2016 # a name
	local odd='%s$HOME'
	mv home "$odd"
	OPTS=(-n mx.example -d example.org -m "$odd/{user}")
	mail_to alice@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message "$odd/alice"
}

@test "template: {user} may be a part of a component, and stand before others" {
	template_setup
	account u-postmaster/mail u-alice/mail
	OPTS=(-n mx.example -d example.org -m 'home/u-{user}/mail')
	mail_to alice@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/u-alice/mail
}

@test "template: {user} may stand twice" {
	template_setup
	account p/postmaster/postmaster a/alice/alice
	mv home/p/postmaster home/a/
	OPTS=(-n mx.example -d example.org -m 'home/a/{user}/{user}')
	mail_to alice@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/a/alice/alice
}

@test "template: the file name has S= of its own copy, and 0600" {
	template_setup
	mail_to alice@example.org
	local f
	f=$(only_message home/alice)
	[[ $f == *,S=$(wc -c <"$f") ]]
	[ "$(stat -c %a "$f")" = 600 ]
}

# ---- extension and delimiter -----------------------------------------------

@test "template: an extension leads to its user" {
	template_setup
	mail_to alice+lists@example.org
	[ "$(full_codes)" = "$OK" ]
	[ "$(header Delivered-To "$(only_message home/alice)")" = alice+lists@example.org ]
}

@test "template: the first delimiter counts" {
	template_setup
	mail_to alice+lists+more@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/alice
}

@test "template: --delimiter names another one" {
	template_setup
	OPTS+=(--delimiter -)
	account alice+lists
	[ "$(verdicts alice-lists@example.org bob+lists@example.org)" = \
	    '250/2.1.5 550/5.1.1' ]
	mail_to alice-x@example.org
	only_message home/alice
	mail_to alice+lists@example.org
	only_message home/alice+lists
}

@test "template: an empty --delimiter means that there are no extensions" {
	template_setup
	OPTS+=(--delimiter '')
	[ "$(verdicts alice+lists@example.org alice@example.org)" = \
	    '550/5.1.1 250/2.1.5' ]
}

@test "template: {extension} is a folder where the address has one and the folder is there" {
	template_setup
	account alice/.lists
	OPTS=(-n mx.example -d example.org -m 'home/{user}/.{extension}')
	mail_to alice+lists@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/alice/.lists
	[ "$(messages | wc -l)" = 1 ]
}

@test "template: without an extension the component with {extension} is left out" {
	template_setup
	account alice/.lists alice/.
	OPTS=(-n mx.example -d example.org -m 'home/{user}/.{extension}')
	mail_to alice@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/alice
	[ "$(count home/alice/.lists)" = 0 ]
}

@test "template: where the extension's folder is missing its component is left out" {
	template_setup
	OPTS=(-n mx.example -d example.org -m 'home/{user}/.{extension}')
	mail_to alice+nosuch@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/alice
	[ ! -e home/alice/.nosuch ]
}

@test "template: {extension} may stand before other components" {
	template_setup
	account alice/ext/lists/box alice/ext/box postmaster/ext/box
	OPTS=(-n mx.example -d example.org -m 'home/{user}/ext/{extension}/box')
	mail_to alice+lists@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/alice/ext/lists/box
	mail_to alice@example.org
	only_message home/alice/ext/box
}

@test "template: an extension that may be no file name never leads anywhere else" {
	template_setup
	account evil alice/sub
	OPTS=(-n mx.example -d example.org -m 'home/{user}/{extension}')
	[ "$(verdicts '"alice+../evil"@example.org' '"alice+.."@example.org' \
	    '"alice+sub/../../evil"@example.org' alice+-x@example.org)" = \
	    '550/5.1.1 550/5.1.1 550/5.1.1 550/5.1.1' ]
}

@test "template: two folders of one user are two mailboxes" {
	template_setup
	account alice/.lists
	OPTS=(-n mx.example -d example.org -m 'home/{user}/.{extension}')
	mail_to alice+lists@example.org alice@example.org
	[ "$(full_codes)" = "$OK2" ]
	[ "$(header Delivered-To "$(only_message home/alice/.lists)")" = alice+lists@example.org ]
	[ "$(find home/alice/new -type f | wc -l)" = 1 ]
}

@test "template: an extension and none are one mailbox where there is no folder" {
	template_setup
	mail_to alice+x@example.org alice@example.org
	[ "$(full_codes)" = "$OK2" ]
	[ "$(header Delivered-To "$(only_message home/alice)" | wc -l)" = 2 ]
}

# ---- values that name no user ----------------------------------------------

@test "template: an empty local part names no user" {
	template_setup
	account ''
	[ "$(verdicts '""@example.org')" = 550/5.1.1 ]
}

@test "template: a name that begins with a dot or a hyphen names no user" {
	template_setup
	account .x -x
	[ "$(verdicts '".x"@example.org' -x@example.org '"."@example.org' \
	    '".."@example.org')" = '550/5.1.1 550/5.1.1 550/5.1.1 550/5.1.1' ]
}

@test "template: a name with a slash names no user" {
	template_setup
	account alice/sub
	[ "$(verdicts alice/sub@example.org /alice@example.org \
	    '"alice/../bob"@example.org' alice/@example.org)" = \
	    '550/5.1.1 550/5.1.1 550/5.1.1 550/5.1.1' ]
}

@test "template: a name of 255 octets is a user, one of 256 is not" {
	template_setup
	local long
	long=$(printf '%0255d' 0 | tr 0 a)
	account "$long"
	[ "$(verdicts "$long@example.org" "${long}a@example.org")" = \
	    '250/2.1.5 550/5.1.1' ]
	mail_to "$long@example.org"
	only_message "home/$long"
}

@test "template: a domain that may be no file name is no place" {
	template_setup
	account a.example/postmaster a.example/alice
	OPTS=(-n mx.example --relay -d '*' -m 'home/{domain}/{user}')
	local v
	v=$(verdicts alice@-a.example alice@.a.example alice@a/example \
	    'alice@[127.0.0.1]' alice@../a.example)
	[[ $v != *250* ]]
	[[ $v != *' 2'* ]]
	[ "$(messages | wc -l)" = 0 ]
}

# ---- who exists ------------------------------------------------------------

@test "template: who has no directory is no user, where postmaster's Maildir stands" {
	template_setup
	[ "$(verdicts carol@example.org alice@example.org)" = '550/5.1.1 250/2.1.5' ]
	[ ! -e home/carol ]
}

@test "template: without postmaster's Maildir an unknown user is deferred, and the log says what is missing" {
	template_setup
	rm -r home/postmaster
	verdicts carol@example.org >got
	[ "$(cat got)" = 451/4.3.0 ]
	[ "$status" = 75 ]
	grep -F home/postmaster log
}

@test "template: without postmaster's Maildir those who are there get their mail" {
	template_setup
	rm -r home/postmaster
	mail_to alice@example.org
	[ "$(full_codes)" = "$OK" ]
	only_message home/alice
}

@test "template: an unmounted file system refuses no one for good" {
	template_setup
	mkdir -p there
	OPTS=(-n mx.example -d example.org -m 'there/home/{user}')
	[ "$(verdicts alice@example.org bob+x@example.org postmaster@example.org)" = \
	    '451/4.3.0 451/4.3.0 451/4.3.0' ]
	# the first directory that is missing, or the one that was looked for
	grep -F there/home log
}

@test "template: each domain's own postmaster is asked where the template names domains" {
	template_setup
	account a.example/postmaster b.example/alice
	OPTS=(-n mx.example -d a.example -d b.example -d c.example
	    -m 'home/{domain}/{user}')
	[ "$(verdicts x@a.example x@b.example x@c.example alice@b.example)" = \
	    '550/5.1.1 451/4.3.0 451/4.3.0 250/2.1.5' ]
	grep -F home/b.example/postmaster log
	grep -F home/c.example/postmaster log
}

@test "template: postmaster's Maildir is looked for in the same place of the template" {
	template_setup
	mkdir -p mail/{postmaster,alice}/Maildir/{tmp,new,cur}
	OPTS=(-n mx.example -d example.org -m 'mail/{user}/Maildir')
	[ "$(verdicts alice@example.org carol@example.org)" = '250/2.1.5 550/5.1.1' ]
	rm -r mail/postmaster/Maildir
	[ "$(verdicts alice@example.org carol@example.org)" = '250/2.1.5 451/4.3.0' ]
	grep -F mail/postmaster/Maildir log
}

@test "template: postmaster needs a directory, in any case of letters" {
	template_setup
	[ "$(verdicts PostMaster@example.org Postmaster)" = '250/2.1.5 250/2.1.5' ]
	mail_to POSTMASTER@example.org
	only_message home/postmaster
	rm -r home/postmaster
	[ "$(verdicts postmaster@example.org)" = 451/4.3.0 ]
}

@test "template: a file where the directory should be is no user" {
	template_setup
	echo x >home/carol
	[ "$(verdicts carol@example.org)" = 550/5.1.1 ]
}

@test "template: a directory that cannot be looked at defers, and does not refuse" {
	need_root
	need setpriv
	template_setup
	cp "$SMTPD" ./smtpd.copy
	chmod 755 . home home/* home/*/* smtpd.copy
	chmod 700 home
	letter_to alice@example.org >in
	setpriv --reuid=65534 --regid=65534 --clear-groups ./smtpd.copy \
	    "${OPTS[@]}" <in >out 2>log || status=$?
	[[ $(full_codes) == '220 250 250/2.1.0 451/4.3.0 '* ]]
	[ "$status" = 75 ]
	nothing_anywhere
}

@test "template: a user list and the template must both know the user" {
	template_setup
	printf '%s\n' alice carol@example.org >users
	OPTS+=(-u users)
	[ "$(verdicts alice@example.org alice+x@example.org bob@example.org \
	    carol@example.org postmaster@example.org)" = \
	    '250/2.1.5 250/2.1.5 550/5.1.1 550/5.1.1 250/2.1.5' ]
	mail_to alice@example.org
	only_message home/alice
}

@test "template: no directory is ever made" {
	template_setup
	find home | sort >before
	mail_to carol@example.org alice+x@example.org
	find home -not -type f | sort >after
	cmp before after
}

# ---- aliases ---------------------------------------------------------------

@test "template: a symbolic link is an alias" {
	template_setup
	ln -s alice home/info
	mail_to info@example.org
	[ "$(full_codes)" = "$OK" ]
	[ "$(header Delivered-To "$(only_message home/alice)")" = info@example.org ]
}

@test "template: an alias and its user share one copy with a Delivered-To each and no for" {
	template_setup
	ln -s alice home/info
	ln -s "$PWD/home/info" home/sales
	mail_to info@example.org alice@example.org sales@example.org
	[ "$(codes)" = '220 250 250 250 250 250 354 250 221' ]
	local f
	f=$(only_message home/alice)
	header Delivered-To "$f" | sort >got
	printf '%s@example.org\n' alice info sales >want
	cmp got want
	run grep -E '[ 	]for[ 	]' <(header Received "$f")
	[ "$status" = 1 ]
	[[ $f == *,S=$(wc -c <"$f") ]]
}

@test "template: aliases and others in one message: one copy a mailbox" {
	template_setup
	ln -s alice home/info
	mail_to info@example.org bob@example.org alice@example.org
	[ "$(codes)" = '220 250 250 250 250 250 354 250 221' ]
	[ "$(header Delivered-To "$(only_message home/alice)" | wc -l)" = 2 ]
	[ "$(header Delivered-To "$(only_message home/bob)")" = bob@example.org ]
}

@test "template: a directory mounted twice is one mailbox, by device and inode" {
	need_root
	need unshare
	template_setup
	account twin
	letter_to twin@example.org alice@example.org >in
	unshare -m sh -c 'mount --bind home/alice home/twin && exec "$@"' sh \
	    "$SMTPD" "${OPTS[@]}" <in >out 2>log
	[ "$(full_codes)" = "$OK2" ]
	[ "$(header Delivered-To "$(only_message home/alice)" | wc -l)" = 2 ]
}

@test "template: an alias that leads out of the template's place is deferred" {
	template_setup
	# places with names like home's, and one as long
	mkdir -p {elsewhere,home.d,mail/box}/{tmp,new,cur}
	ln -s ../elsewhere home/eve
	ln -s "$PWD/elsewhere" home/abs
	ln -s ../home.d home/near
	ln -s ../mail/box home/side
	ln -s .. home/up
	[ "$(verdicts eve@example.org abs@example.org near@example.org \
	    side@example.org up@example.org alice@example.org)" = \
	    '451/4.3.0 451/4.3.0 451/4.3.0 451/4.3.0 451/4.3.0 250/2.1.5' ]
	mail_to eve@example.org
	nothing_anywhere
}

@test "template: an alias over another domain stays within the part before the first brace" {
	template_setup
	account a.example/postmaster b.example/postmaster b.example/alice
	ln -s ../b.example/alice home/a.example/info
	ln -s b.example home/c.example
	OPTS=(-n mx.example -d '*' -m 'home/{domain}/{user}')
	mail_to info@a.example alice@c.example alice@b.example
	[ "$(codes)" = '220 250 250 250 250 250 354 250 221' ]
	[ "$(header Delivered-To "$(only_message home/b.example/alice)" | wc -l)" = 3 ]
}

@test "template: a link to nowhere is no user, one to itself is deferred" {
	template_setup
	ln -s nowhere home/ghost
	ln -s loop home/loop
	[ "$(verdicts ghost@example.org loop@example.org)" = '550/5.1.1 451/4.3.0' ]
}

@test "template: a relative template, an absolute one and one through a link serve alike" {
	template_setup
	ln -s home elsewhere
	local t
	for t in home/ "$PWD/home/" ./home/ "$PWD/./home/" elsewhere/; do
		rm -f home/alice/new/*
		ln -sfn alice home/info
		OPTS=(-n mx.example -d example.org -m "$t{user}")
		mail_to alice@example.org info@example.org
		[ "$(full_codes)" = "$OK2" ]
		only_message home/alice
	done
}

# ---- several mailboxes -----------------------------------------------------

@test "template: two users get a copy each, and neither sees the other" {
	template_setup
	mail_to alice@example.org bob@example.org
	[ "$(full_codes)" = "$OK2" ]
	[ "$(header Delivered-To "$(only_message home/alice)")" = alice@example.org ]
	[ "$(header Delivered-To "$(only_message home/bob)")" = bob@example.org ]
	run grep bob "$(only_message home/alice)"
	[ "$status" = 1 ]
	run grep alice "$(only_message home/bob)"
	[ "$status" = 1 ]
}

@test "template: a copy of one recipient has its for" {
	template_setup
	mail_to alice@example.org bob@example.org
	header Received "$(only_message home/alice)" | grep -F 'for <alice@example.org>'
	header Received "$(only_message home/bob)" | grep -F 'for <bob@example.org>'
}

@test "template: fifty mailboxes get fifty copies of one name, each with its own size" {
	template_setup
	local -a all=()
	local i f
	for i in {1..50}; do
		account "user$i"
		all+=("user$i@example.org")
	done
	printf 'Subject: s\n\n' >msg
	head -c 50000 /dev/urandom | base64 >>msg
	body msg >want
	mail_to "${all[@]}"
	[ "$status" = 0 ]
	[ "$(messages | wc -l)" = 50 ]
	[ "$(messages | sed 's|.*/||; s/,S=.*//' | sort -u | wc -l)" = 1 ]
	for i in {1..50}; do
		f=$(only_message "home/user$i")
		grep -qx "Delivered-To: user$i@example.org" "$f"
		[[ $f == *,S=$(stat -c %s "$f") ]]
		body "$f" | cmp - want
	done
}

@test "template: all copies are written and synced before the first is linked, and all dirs before 250" {
	need strace
	template_setup
	letter_to alice@example.org bob@example.org >in
	traced -y -e trace=write,writev,pwrite64,fsync,fdatasync,close,link,linkat,unlink,unlinkat <in
	[ "$(full_codes)" = "$OK2" ]
	awk '
	/^f(data)?sync\([0-9]+<[^>]*\/tmp\/[^\/>]+>/	{ printf "s" }
	/^close\([0-9]+<[^>]*\/tmp\/[^\/>]+>/		{ printf "c" }
	/^link(at)?\(/					{ printf "L" }
	/^f(data)?sync\([0-9]+<[^>]*\/new>/		{ printf "d" }
	/^write\(1<.*250 2\.0\.0 .*M[0-9]+P[0-9]+Q/	{ printf "R" }
	END { print "" }' trace >order
	grep -Ex '[sc]*s[sc]*s[sc]*L[Ld]*d[Ld]*dR' order
	[ "$(tr -cd s <order)" = ss ]
	[ "$(tr -cd L <order)" = LL ]
	[ "$(tr -cd d <order)" = dd ]
}

# fails_for_both: the message for alice and bob got 45x, and no one has it
fails_for_both() {
	[[ $verdict == 45[12]/4.* ]]
	nothing_anywhere
}

@test "template: where the second mailbox loses its new/, the first is taken back" {
	template_setup
	connect
	ask 'MAIL FROM:<a@c.example>'
	ask 'RCPT TO:<alice@example.org>'
	ask 'RCPT TO:<bob@example.org>'
	[ "$reply" = 250/2.1.5 ]
	rmdir home/bob/new
	ask DATA
	[ "$reply" != 354 ] || ask $'Subject: s\r\n\r\nb\r\n.'
	verdict=$reply
	fails_for_both
	ask RSET
	mkdir home/bob/new
	attempt alice@example.org bob@example.org
	[ "$verdict" = 250/2.0.0 ]
	hangup
	[ "$status" = 75 ]
	[ "$(messages | wc -l)" = 2 ]
}

@test "template: where the second mailbox has no tmp/, the first gets nothing" {
	template_setup
	rmdir home/bob/tmp
	connect
	attempt alice@example.org bob@example.org
	fails_for_both
	mkdir home/bob/tmp
	attempt alice@example.org bob@example.org
	[ "$verdict" = 250/2.0.0 ]
	hangup
	[ "$status" = 75 ]
}

@test "template: an account without new/ is deferred, not refused" {
	template_setup
	rmdir home/bob/*
	connect
	attempt bob@example.org
	fails_for_both
	attempt alice@example.org
	[ "$verdict" = 250/2.0.0 ]
	hangup
}

@test "template: a second new/ that nothing may be linked into takes the first back" {
	need_root
	need chattr
	template_setup
	chattr +i home/bob/new 2>chattr.err || skip 'no chattr on this file system'
	connect
	attempt alice@example.org bob@example.org
	chattr -i home/bob/new
	fails_for_both
	attempt alice@example.org bob@example.org
	[ "$verdict" = 250/2.0.0 ]
	hangup
	[ "$status" = 75 ]
}

@test "template: a second new/ on another file system takes the first back" {
	need_root
	need unshare
	template_setup
	# shellcheck disable=SC2034 # for connect
	WRAP=(unshare -m sh -c 'mount --bind home/bob/new home/bob/new &&
	    mount -o remount,ro,bind home/bob/new && exec "$@"' sh)
	connect
	attempt alice@example.org bob@example.org
	fails_for_both
	attempt alice@example.org
	[ "$verdict" = 250/2.0.0 ]
	hangup
	[ "$status" = 75 ]
}

@test "template: a second mailbox whose disk is full takes the first back" {
	need_root
	need unshare
	template_setup
	printf 'Subject: s\n\n' >msg
	head -c 200000 /dev/zero | tr '\0' x | fold >>msg
	echo >>msg
	# shellcheck disable=SC2034 # for connect
	# shellcheck disable=SC2016 # for sh
	WRAP=(unshare -m sh -c 'mount -t tmpfs -o size=64k none home/bob &&
	    mkdir home/bob/tmp home/bob/new && "$@"; rc=$?
	    find home/bob -type f >left; exit $rc' sh)
	connect
	attempt alice@example.org bob@example.org
	[ "$verdict" = 452/4.3.1 ]
	[ "$(messages | wc -l)" = 0 ]
	printf 'Subject: s\n\nshort\n' >msg
	attempt alice@example.org
	[ "$verdict" = 250/2.0.0 ]
	hangup
	[ "$status" = 75 ]
	[ ! -s left ]
}

@test "template: whichever link fails, every copy before it is taken back" {
	need strace
	template_setup
	account carol
	letter_to alice@example.org bob@example.org carol@example.org >in
	local n
	for n in 1 2 3; do
		traced -e trace=link,linkat -e inject=link,linkat:error=EIO:when=$n <in
		[[ $(full_codes) == *' 354 451/4.3.0 221/2.0.0' ]]
		[ "$status" = 75 ]
		nothing_anywhere
	done
	send <in
	[ "$(messages | wc -l)" = 3 ]
}

@test "template: whichever sync fails, no one gets a copy" {
	need strace
	template_setup
	letter_to alice@example.org bob@example.org >in
	local n
	for n in 1 2 3 4; do
		traced -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO:when=$n <in
		[[ $(full_codes) == *' 354 451/4.3.0 221/2.0.0' ]]
		[ "$status" = 75 ]
		nothing_anywhere
	done
	send <in
	[ "$(messages | wc -l)" = 2 ]
}

@test "template: a refused recipient does not keep the others from their mail" {
	template_setup
	mail_to alice@example.org carol@example.org bob@example.org
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 550/5.1.1 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	[ "$(messages | wc -l)" = 2 ]
	run grep -r carol home
	[ "$status" = 1 ]
}

@test "template: a recipient named twice gets one copy" {
	template_setup
	mail_to alice@example.org alice@example.org ALICE@example.org
	[ "$(codes)" = '220 250 250 250 250 250 354 250 221' ]
	only_message home/alice
}
