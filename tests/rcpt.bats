# rcpt.bats - RCPT TO: whose mail is taken, and every reply it can get
# RFC 5321 sections 3.6, 4.1.1.3, 4.5.1; RFC 3461, 2034

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

HI='EHLO c.example' M='MAIL FROM:<a@c.example>'

# all_taken FILE: RCPT to u at each domain in FILE gets 250
all_taken() {
	{
		printf '%s\r\n' "$HI" "$M"
		sed 's/.*/RCPT TO:<u@&>\r/' "$1"
		printf 'QUIT\r\n'
	} >in
	OPTS+=(-e 9999)
	send <in
	full_codes | tr ' ' '\n' | sed '1,3d; $d' | paste -d ' ' - "$1" >got
	sed 's/^/250\/2.1.5 /' "$1" | diff got -
}

# for_domains OPTION...: the usual options, but these domains
for_domains() {
	OPTS=(-n mx.example -m box "$@")
}

@test "RCPT: a name given with --domain is taken, in any case, and no other" {
	launched
	for_domains -d example.org -d second.example
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<u@example.org>
		250/2.1.5 RCPT TO:<U@EXAMPLE.Org>
		250/2.1.5 RCPT TO:<u@second.example>
		250/2.1.5 RCPT TO:<u@example.org.>
		550/5.7.1 RCPT TO:<u@elsewhere.example>
		550/5.7.1 RCPT TO:<u@sub.example.org>
		550/5.7.1 RCPT TO:<u@xexample.org>
		550/5.7.1 RCPT TO:<u@example.or>
		550/5.7.1 RCPT TO:<u@example.orgs>
		550/5.7.1 RCPT TO:<u@org>
		550/5.7.1 RCPT TO:<u@mx.example>
		550/5.7.1 RCPT TO:<u@[192.0.2.1]>
	S
}

@test "RCPT: .NAME is its subdomains of any depth, and not itself" {
	launched
	for_domains -d .example.org
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<u@a.example.org>
		250/2.1.5 RCPT TO:<u@a.b.c.Example.ORG>
		550/5.7.1 RCPT TO:<u@example.org>
		550/5.7.1 RCPT TO:<u@aexample.org>
		550/5.7.1 RCPT TO:<u@a.example.org.evil.example>
	S
}

@test "RCPT: * is any domain" {
	launched
	for_domains -d '*'
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<u@example.org>
		250/2.1.5 RCPT TO:<u@a.b.elsewhere.example>
		501/5.1.3 RCPT TO:<u@no..domain>
	S
}

@test "RCPT: with no --domain, under a launcher, it is the host name's" {
	launched
	for_domains
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<u@mx.example>
		550/5.7.1 RCPT TO:<u@example.org>
		550/5.7.1 RCPT TO:<u@x.mx.example>
	S
}

@test "RCPT: @FILE reads the names from a file" {
	launched
	printf '%s\n' example.org Second.Example >list
	for_domains -d @list -d third.example
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<u@example.org>
		250/2.1.5 RCPT TO:<u@second.example>
		250/2.1.5 RCPT TO:<u@third.example>
		550/5.7.1 RCPT TO:<u@fourth.example>
		550/5.7.1 RCPT TO:<u@xample.org>
		550/5.7.1 RCPT TO:<u@example.or>
		550/5.7.1 RCPT TO:<u@org>
	S
}

@test "RCPT: a long list is read to its end, whatever the buffer" {
	launched
	seq -f 'd%.0f.example.org' 0 20000 >list
	for_domains -d @list
	# the first, the last, and some between
	sed -n '1p; $p; 0~197p' list >some
	all_taken some
	table "$HI" "$M" <<-'S'
		550/5.7.1 RCPT TO:<u@d20001.example.org>
		550/5.7.1 RCPT TO:<u@0.example.org>
	S
}

@test "RCPT: every name of a list is found, at every offset in a buffer" {
	launched
	# lines of many lengths, so that a buffer ends at any place in a name
	awk 'BEGIN { for (i = 0; i < 900; i++)
	    printf "x%0*d.example\n", 1 + i % 61, i }' >list
	for_domains -d @list
	all_taken list
}

@test "RCPT: a list missing, unreadable, empty or unfinished is 451 4.3.0" {
	local list bad=0
	launched
	mkdir dir
	: >empty
	printf 'example.org\nsecond.example' >unfinished
	for list in none dir empty unfinished none/x; do
		for_domains -d "@$list"
		STATUS=75 table "$HI" "$M" >why <<-'S' ||
			451/4.3.0 RCPT TO:<u@second.example>
			451/4.3.0 RCPT TO:<u@elsewhere.example>
		S
		{ echo "domains in $list:"; cat why; bad=1; }
		for_domains -d example.org -u "$list"
		STATUS=75 table "$HI" "$M" >why <<-'S' ||
			451/4.3.0 RCPT TO:<u@example.org>
			550/5.7.1 RCPT TO:<u@elsewhere.example>
		S
		{ echo "users in $list:"; cat why; bad=1; }
	done
	[ $bad = 0 ]
}

@test "RCPT: a list that is repaired is good for the next process" {
	for_domains -d @list
	say "$HI" "$M" 'RCPT TO:<u@example.org>' QUIT
	[ "$(codes)" = '220 250 250 451 221' ]
	echo example.org >list
	say "$HI" "$M" 'RCPT TO:<u@example.org>' QUIT
	[ "$(codes)" = '220 250 250 250 221' ]
}

@test "RCPT: --users names the recipients that exist" {
	launched
	cat >users <<-'S'
		# who lives here
		alice@example.org
		bob

		@all.example
		carol@second.example
		dave+only@example.org
	S
	for_domains -d example.org -d second.example -d all.example -u users
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<alice@example.org>
		250/2.1.5 RCPT TO:<alice@EXAMPLE.ORG>
		550/5.1.1 RCPT TO:<alice@second.example>
		250/2.1.5 RCPT TO:<bob@example.org>
		250/2.1.5 RCPT TO:<bob@second.example>
		250/2.1.5 RCPT TO:<bob@all.example>
		250/2.1.5 RCPT TO:<anyone@all.example>
		250/2.1.5 RCPT TO:<any+thing@all.example>
		550/5.1.1 RCPT TO:<carol@example.org>
		250/2.1.5 RCPT TO:<carol@second.example>
		550/5.1.1 RCPT TO:<nobody@example.org>
		550/5.1.1 RCPT TO:<bo@example.org>
		550/5.1.1 RCPT TO:<bobb@example.org>
		550/5.1.1 RCPT TO:<who@example.org>
		550/5.7.1 RCPT TO:<bob@elsewhere.example>
		550/5.7.1 RCPT TO:<alice@elsewhere.example>
	S
}

@test "RCPT: a user is looked up whole, then without the extension" {
	launched
	printf '%s\n' alice dave+only@example.org >users
	for_domains -d example.org -u users
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<alice+news@example.org>
		250/2.1.5 RCPT TO:<alice+a+b@example.org>
		250/2.1.5 RCPT TO:<dave+only@example.org>
		550/5.1.1 RCPT TO:<dave+other@example.org>
		550/5.1.1 RCPT TO:<dave@example.org>
		550/5.1.1 RCPT TO:<alice-news@example.org>
		550/5.1.1 RCPT TO:<+alice@example.org>
	S
}

@test "RCPT: --delimiter is another character, or none" {
	launched
	printf '%s\n' alice >users
	for_domains -d example.org -u users --delimiter -
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<alice-news@example.org>
		550/5.1.1 RCPT TO:<alice+news@example.org>
	S
	for_domains -d example.org -u users --delimiter ''
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<alice@example.org>
		550/5.1.1 RCPT TO:<alice+news@example.org>
		550/5.1.1 RCPT TO:<alice-news@example.org>
	S
}

@test "RCPT: postmaster exists, in any case, with our domain or without" {
	launched
	echo alice@example.org >users
	for_domains -d example.org -d second.example -u users
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<postmaster>
		250/2.1.5 RCPT TO:<Postmaster>
		250/2.1.5 RCPT TO:POSTMASTER
		250/2.1.5 RCPT TO:<postmaster@example.org>
		250/2.1.5 RCPT TO:<PostMaster@Second.Example>
		250/2.1.5 RCPT TO:<"postmaster"@example.org>
		550/5.7.1 RCPT TO:<postmaster@elsewhere.example>
		550/5.1.1 RCPT TO:<postmasters@example.org>
		550/5.1.1 RCPT TO:<hostmaster@example.org>
	S
}

@test "RCPT: relaying in disguise is 550 5.7.1" {
	launched
	table "$HI" "$M" <<-'S'
		550/5.7.1 RCPT TO:<u%elsewhere.example@example.org>
		550/5.7.1 RCPT TO:<elsewhere.example!u@example.org>
		550/5.7.1 RCPT TO:<u@elsewhere.example@example.org>
		550/5.7.1 RCPT TO:<u%x%elsewhere.example@example.org>
		550/5.7.1 RCPT TO:<u%@example.org>
		550/5.7.1 RCPT TO:<!u@example.org>
		550/5.7.1 RCPT TO:<u%elsewhere.example>
		550/5.7.1 RCPT TO:<"u%elsewhere.example"@elsewhere.example>
		550/5.7.1 RCPT TO:<@example.org:u@elsewhere.example>
		250/2.1.5 RCPT TO:<@elsewhere.example:u@example.org>
	S
}

@test "RCPT: %, ! and @ are ordinary in a quoted local part, when it is ours" {
	launched
	say "$HI" "$M" 'RCPT TO:<"u@elsewhere.example"@example.org>' DATA x . QUIT
	# refused or taken as a name of ours, never sent elsewhere
	case $(codes) in
	'220 250 250 250 354 250 221')
		[ "$(header Delivered-To)" = '"u@elsewhere.example"@example.org' ] ;;
	'220 250 250 550 554 500 500 221')
		nothing_kept ;;
	*)	false ;;
	esac
}

@test "RCPT: who may relay may use %, ! and any domain, but no second @" {
	launched
	OPTS+=(--relay)
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<u@example.org>
		250/2.1.5 RCPT TO:<u@elsewhere.example>
		250/2.1.5 RCPT TO:<u@[192.0.2.1]>
		250/2.1.5 RCPT TO:<u%elsewhere.example@example.org>
		250/2.1.5 RCPT TO:<elsewhere.example!u@example.org>
		501/5.1.3 RCPT TO:<u@elsewhere.example@example.org>
	S
}

@test "RCPT: RELAYCLIENT lets the client relay through a program, and is not appended" {
	launched
	by_program
	RELAYCLIENT='' table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<u@elsewhere.example>
		250/2.1.5 RCPT TO:<u%elsewhere.example@example.org>
		501/5.1.3 RCPT TO:<u@elsewhere.example@example.org>
	S
	export RELAYCLIENT=@gateway.example
	say "$HI" "$M" 'RCPT TO:<u@elsewhere.example>' DATA x . QUIT
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	[ "$(header Delivered-To)" = u@elsewhere.example ]
}

@test "RCPT: with Maildirs RELAYCLIENT opens no foreign domain, and nothing like one" {
	launched
	local maildir
	mkdir -p users/postmaster/{tmp,new,cur} users/bob/{tmp,new,cur}
	export RELAYCLIENT=
	for maildir in box 'users/{user}'; do
		OPTS=(-n mx.example -d example.org -m "$maildir")
		table "$HI" "$M" <<-'S'
			550/5.7.1 RCPT TO:<bob@elsewhere.example>
			550/5.7.1 RCPT TO:<postmaster@elsewhere.example>
			550/5.7.1 RCPT TO:<bob@[192.0.2.1]>
			550/5.7.1 RCPT TO:<bob%elsewhere.example@example.org>
			550/5.7.1 RCPT TO:<elsewhere.example!bob@example.org>
			550/5.7.1 RCPT TO:<bob@elsewhere.example@example.org>
			250/2.1.5 RCPT TO:<bob@example.org>
		S
	done
}

@test "RCPT: sendmail's variations are all taken, and are one address" {
	launched
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO: <u@example.org>
		250/2.1.5 RCPT TO:\t<u@example.org>
		250/2.1.5 RCPT\t  TO:<u@example.org>
		250/2.1.5 rcpt to:<u@example.org>
		250/2.1.5 RCPT TO:u@example.org
		250/2.1.5 RCPT TO: u@example.org\x20\t
		250/2.1.5 RCPT TO:<u@example.org>\x20
		250/2.1.5 RCPT TO:<u@example.org.>
		250/2.1.5 RCPT TO:Full Name <u@example.org>
		250/2.1.5 RCPT TO:"u@elsewhere.example" <u@example.org>
		250/2.1.5 RCPT TO:<@r.example:u@example.org>
		250/2.1.5 RCPT TO:<@r.example,@s.example:u@example.org>
		250/2.1.5 RCPT TO:<u>
		250/2.1.5 RCPT TO:u
	S
	sed '$d' in >session
	printf '%s\r\n' DATA x . QUIT >>session
	send <session
	header Delivered-To | sort -u >got
	echo u@example.org >want
	cmp got want
}

@test "RCPT: an address without a domain gets the first plain --domain" {
	echo listed.example >list
	for_domains -d .sub.example -d @list -d '*' -d first.example \
	    -d second.example
	say "$HI" "$M" 'RCPT TO:<bob>' DATA x . QUIT
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	[ "$(header Delivered-To)" = bob@first.example ]
}

@test "RCPT: a bad address is 501 5.1.3" {
	launched
	table "$HI" "$M" <<-S
		501/5.1.3 RCPT TO:<>
		501/5.1.3 RCPT TO:
		501/5.1.3 RCPT TO:<u@example.org
		501/5.1.3 RCPT TO:<@example.org>
		501/5.1.3 RCPT TO:<u@>
		501/5.1.3 RCPT TO:<u@example..org>
		501/5.1.3 RCPT TO:<u@.example.org>
		501/5.1.3 RCPT TO:<u@example.org..>
		501/5.1.3 RCPT TO:<u v@example.org>
		501/5.1.3 RCPT TO:<u,v@example.org>
		501/5.1.3 RCPT TO:<(u)@example.org>
		501/5.1.3 RCPT TO:<"u@example.org>
		501/5.1.3 RCPT TO:<"u"v@example.org>
		501/5.1.3 RCPT TO:<<u@example.org>>
		501/5.1.3 RCPT TO:<u@[192.0.2.300]>
		501/5.1.3 RCPT TO:<@r.example,u@example.org>
		501/5.1.3 RCPT TO:<u@$(printf '%0260d' 0)>
	S
}

@test "RCPT: what is not its syntax is 501 5.5.4" {
	launched
	table "$HI" "$M" <<-'S'
		501/5.5.4 RCPT
		501/5.5.4 RCPT TO
		501/5.5.4 RCPT TO <u@example.org>
		501/5.5.4 RCPT <u@example.org>
		501/5.5.4 RCPT FROM:<u@example.org>
		501/5.5.4 RCPT TO:<u@example.org>NOTIFY=NEVER
	S
}

@test "RCPT: an address of 900 octets is taken, one of 901 is 501 5.1.3" {
	local n l900
	n=$((900 - 12))		# less "@example.org"
	printf -v l900 "%0${n}d" 0
	table "$HI" "$M" <<-S
		250/2.1.5 RCPT TO:<${l900:0:64}@example.org>
		250/2.1.5 RCPT TO:<${l900:0:65}@example.org>
		250/2.1.5 RCPT TO:<${l900:0:300}@example.org>
		501/5.1.3 RCPT TO:<0$l900@example.org>
		501/5.1.3 RCPT TO:<$l900$l900@example.org>
		250/2.1.5 RCPT TO:<$l900@example.org>
	S
	say "$HI" "$M" "RCPT TO:<$l900@example.org>" DATA x . QUIT
	[ "$(codes)" = '220 250 250 250 354 250 221' ]
	header Delivered-To | tr -d ' ' >got
	echo "$l900@example.org" >want
	cmp got want
}

@test "RCPT: a parameter not known is 555 5.5.4" {
	launched
	table "$HI" "$M" <<-'S'
		555/5.5.4 RCPT TO:<u@example.org> FOO
		555/5.5.4 RCPT TO:<u@example.org> FOO=BAR
		555/5.5.4 RCPT TO:<u@example.org> SIZE=10
		555/5.5.4 RCPT TO:<u@example.org> NOTIFY=NEVER FOO
	S
}

@test "RCPT: DSN's NOTIFY and ORCPT are taken though not offered" {
	launched
	table "$HI" "$M" <<-'S'
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=NEVER
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=SUCCESS,FAILURE,DELAY
		250/2.1.5 RCPT TO:<u@example.org> notify=failure
		250/2.1.5 RCPT TO:<u@example.org> ORCPT=rfc822;u@example.org
		250/2.1.5 RCPT TO:<u@example.org> ORCPT=rfc822;u+2Bx@example.org
		250/2.1.5 RCPT TO:<u@example.org> NOTIFY=DELAY ORCPT=rfc822;x
		501/5.5.4 RCPT TO:<u@example.org> NOTIFY=
		501/5.5.4 RCPT TO:<u@example.org> ORCPT=a=b
		501/5.5.4 RCPT TO:<u@example.org> =
	S
}

@test "RCPT: non-ASCII without SMTPUTF8 is 553 5.6.7" {
	launched
	table "$HI" "$M" <<-'S'
		553/5.6.7 RCPT TO:<\xc3\xa4@example.org>
		553/5.6.7 RCPT TO:<"\xc3\xa4"@example.org>
	S
}

@test "RCPT: NUL and control bytes never cut an address" {
	launched
	table "$HI" "$M" <<-'S'
		500/5.5.2 RCPT TO:<u@example.org\x00.elsewhere.example>
		500/5.5.2 RCPT TO:<u@example.org\x00>
		500/5.5.2 RCPT TO:<u@elsewhere.example\x00@example.org>
		500/5.5.2 RCPT TO:<u\x0a@example.org>
		500/5.5.2 RCPT TO:<"u\\\x0d"@example.org>
	S
}

@test "RCPT: loopback may not relay either" {
	PROTO=TCP TCPREMOTEIP=127.0.0.1 table "$HI" "$M" <<-'S'
		550/5.7.1 RCPT TO:<u@elsewhere.example>
	S
	PROTO=TCP6 TCPREMOTEIP=::1 table "$HI" "$M" <<-'S'
		550/5.7.1 RCPT TO:<u@elsewhere.example>
	S
}

@test "RCPT: an address that passes 900 octets by our domain is 501, and so is a sender" {
	local l888 l889
	printf -v l888 '%0888d' 0
	l889=${l888}0
	launched
	OPTS=(-n mx.example -d example.org -m box)
	say 'EHLO c.example' "MAIL FROM:<$l889>" "MAIL FROM:<$l888>" \
	    "RCPT TO:<$l889>" "RCPT TO:<$l888>" DATA x . QUIT
	[ "$(full_codes)" = '220 250 501/5.1.7 250/2.1.0 501/5.1.3 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	grep -qx "Delivered-To: $l888@example.org" "$(only_message)"
	awk 'length > 998 { exit 1 }' "$(only_message)"
}
