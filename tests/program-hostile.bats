#!/usr/bin/env bats
# hostile: what a client may call itself and its correspondents reaches no
# shell, no option, no path and no variable's name (RFC 5321, 4.1.2; execve(2))

# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them
# shellcheck disable=SC2016 # most that looks like an expansion is to be none

load program

# show ARG...: the stand-in with these arguments: it shows what it was given
show() {
	prog <<-'P'
		printf '%s\0' "$#" "$@" >seen/args
		tr '\0' '\n' </proc/$$/environ >seen/env
		echo x >>seen/runs
	P
	OPTS=(-e 99999 "${OPTS[@]}" ./prog "$@")
}

# value NAME: of a variable that the stand-in saw; fails if there is none
value() {
	sed -n "s/^$1=//p" seen/env | head -n 1
	grep -aq "^$1=" seen/env
}

# only_known: it saw no variable but those of the contract, each once
only_known() {
	awk -F= '
	    BEGIN { n = split("PATH SHELL HOME USER LOGNAME TZ SENDER " \
		"RECIPIENT LOCAL DOMAIN HOST EXTENSION EXT CLIENT_ADDRESS " \
		"CLIENT_HOSTNAME CLIENT_HELO CLIENT_PROTOCOL AUTH_USER " \
		"MESSAGE_ID MESSAGE_KEY", known, " ")
		while (n > 0) left[known[n--]] = 1 }
	    !left[$1]-- { print "variable " $0; bad = 1 }
	    $1 == "PATH" && $2 != "/usr/local/bin:/usr/bin:/bin" ||
	    $1 == "SHELL" && $2 != "/bin/sh" { print; bad = 1 }
	    END { exit bad || NR < 6 }' seen/env
}

# row_of LINE: its fields, between TABs, into the array row; \x41 and the like
# stand for octets, \\ for a backslash, "-" for an empty field
row_of() {
	local field
	row=()
	while IFS= read -r -d $'\t' field; do
		[ -n "$field" ] || continue
		[ "$field" != - ] || field=
		printf -v field %b "$field"
		row+=("$field")
	done <<<"$1"$'\t'
}

# offer WHO <<ROWS: in one session, a message for each row "CODES address
# ARG...", its address the recipient's or (WHO is MAIL) the sender's; what is
# accepted is run, with exactly these arguments; what is refused is not
offer() {
	local line bad=0 n=0 from_ to_
	local -a row
	connect
	while IFS= read -r line; do
		case $line in ''|'#'*) continue ;; esac
		row_of "$line"
		n=$((n + 1))
		rm -f seen/*
		from_='<a@c.example>' to_='<u@example.org>'
		[ "$1" = MAIL ] && from_=${row[1]} || to_=${row[1]}
		ask RSET
		ask "MAIL FROM:$from_${UTF8:+ SMTPUTF8}"
		[ "$1" = MAIL ] || ask "RCPT TO:$to_"
		if [ "$reply" != "${row[0]}" ]; then
			echo "row $n, ${row[1]}: ${reply:-nothing}, not ${row[0]}"
			bad=1
		fi
		[ "$1" != MAIL ] || ask "RCPT TO:$to_"
		ask DATA
		[ "$reply" != 354 ] || ask $'x\r\n.'
		case ${row[0]} in
		2*)	if [ "$reply" != 250/2.0.0 ]; then
				echo "row $n, ${row[1]}: $reply at the dot"
				bad=1
			elif ! printf '%s\0' $((${#row[@]} - 2)) \
			    "${row[@]:2}" | cmp - seen/args; then
				echo "row $n, ${row[1]}, was given:"
				tr '\0' '\n' <seen/args
				bad=1
			fi
			only_known || { echo "row $n: variables"; bad=1; } ;;
		*)	[ ! -e seen/runs ] || { echo "row $n ran"; bad=1; } ;;
		esac
	done
	hangup
	[ $n -gt 0 ] && [ "$(find . -name 'owned*')" = '' ] && [ $bad = 0 ]
}

# ---- {recipient} -----------------------------------------------------------

@test "hostile: {recipient} is no option, and nothing that needs its quotes" {
	show '{recipient}'
	offer RCPT <<-'T'
		250/2.1.5	<u@example.org>	u@example.org
		553/5.1.3	<-x@example.org>
		553/5.1.3	<--help@example.org>
		553/5.1.3	<->
		553/5.1.3	<-@example.org>
		553/5.1.3	<-oProxyCommand=touch$IFS-owned@example.org>
		553/5.1.3	<"-x"@example.org>
		553/5.1.3	<"\\-x"@example.org>
		250/2.1.5	<x-@example.org>	x-@example.org
		250/2.1.5	<+x@example.org>	+x@example.org
		# quotes that are not needed go
		250/2.1.5	<"alice"@example.org>	alice@example.org
		250/2.1.5	<"al.ice"@example.org>	al.ice@example.org
		250/2.1.5	<"al\\ice"@example.org>	alice@example.org
		250/2.1.5	<"a+b/c"@Example.ORG>	a+b/c@Example.ORG
		# those that are: no
		553/5.1.3	<""@example.org>
		553/5.1.3	<" "@example.org>
		553/5.1.3	<"a b"@example.org>
		553/5.1.3	<"a\\ b"@example.org>
		553/5.1.3	<"a\\"b"@example.org>
		553/5.1.3	<"a\\\\b"@example.org>
		553/5.1.3	<"a;touch owned"@example.org>
		553/5.1.3	<"$(touch owned)"@example.org>
		553/5.1.3	<"| touch owned"@example.org>
		553/5.1.3	<"a>owned"@example.org>
		553/5.1.3	<"../../etc/passwd"@example.org>
		553/5.1.3	<".."@example.org>
		553/5.1.3	<"."@example.org>
		553/5.1.3	<".a"@example.org>
		553/5.1.3	<"a."@example.org>
		553/5.1.3	<"a..b"@example.org>
		553/5.1.3	<"a,b"@example.org>
		553/5.1.3	<"a:b"@example.org>
		553/5.1.3	<"() { :; }; touch owned"@example.org>
		553/5.1.3	<"root@localhost"@example.org>
	T
}

@test "hostile: {recipient} has what a shell would see as it came, for none sees it" {
	show '{recipient}' 'x:{recipient}:y'
	offer RCPT <<-'T'
		250/2.1.5	<`touch${IFS}owned`@example.org>	`touch${IFS}owned`@example.org	x:`touch${IFS}owned`@example.org:y
		250/2.1.5	<$HOME@example.org>	$HOME@example.org	x:$HOME@example.org:y
		250/2.1.5	<$$@example.org>	$$@example.org	x:$$@example.org:y
		250/2.1.5	<a|touch$IFSowned|@example.org>	a|touch$IFSowned|@example.org	x:a|touch$IFSowned|@example.org:y
		250/2.1.5	<a&b@example.org>	a&b@example.org	x:a&b@example.org:y
		250/2.1.5	<*@example.org>	*@example.org	x:*@example.org:y
		250/2.1.5	<?@example.org>	?@example.org	x:?@example.org:y
		250/2.1.5	<~root@example.org>	~root@example.org	x:~root@example.org:y
		250/2.1.5	<'@example.org>	'@example.org	x:'@example.org:y
		250/2.1.5	<#@example.org>	#@example.org	x:#@example.org:y
		250/2.1.5	<x=y@example.org>	x=y@example.org	x:x=y@example.org:y
		250/2.1.5	<a^{b}@example.org>	a^{b}@example.org	x:a^{b}@example.org:y
	T
}

@test "hostile: what is no address is no argument either" {
	show '{recipient}'
	offer RCPT <<-'T'
		501/5.1.3	<$(touch owned)@example.org>
		501/5.1.3	<$(touch${IFS}owned)@example.org>
		501/5.1.3	<a;touch$IFS owned@example.org>
		501/5.1.3	<;id;@example.org>
		501/5.5.4	<a>owned@example.org>
		501/5.1.3	<a\\b@example.org>
		501/5.1.3	<a"b@example.org>
		501/5.1.3	<"a@example.org>
		501/5.1.3	<..@example.org>
		501/5.1.3	<../x@example.org>
		501/5.1.3	<a/../b@example.org>
		501/5.1.3	<u@example.org/../x>
		501/5.1.3	<u@example.org;id>
		501/5.1.3	<u@$(id).example.org>
		501/5.1.3	<u@>
		501/5.1.3	<@>
		501/5.1.3	<>
		# relaying in disguise
		550/5.7.1	<a%other.example@example.org>
		550/5.7.1	<other.example!a@example.org>
		550/5.7.1	<a@other.example@example.org>
		550/5.7.1	<u@other.example>
		550/5.7.1	<u@[127.0.0.1]>
		# octets that no command has
		500/5.5.2	<a\x01b@example.org>
		500/5.5.2	<a\nb@example.org>
		500/5.5.2	<"a\nb"@example.org>
		500/5.5.2	<"a\\\nb"@example.org>
		500/5.5.2	<a\rb@example.org>
		500/5.5.2	<a\x7fb@example.org>
		500/5.5.2	<"\x1b[2J"@example.org>
		553/5.6.7	<\xc3\xa9@example.org>
	T
}

@test "hostile: NUL is in no argument" {
	show '{recipient}'
	printf 'EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<a\0b@example.org>\r\nRCPT TO:<"a\\\0b"@example.org>\r\nRCPT TO:<u@example.org\0>\r\nDATA\r\nQUIT\r\n' >in
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 500/5.5.2 500/5.5.2 500/5.5.2 503/5.5.1 221/2.0.0' ]
	ran 0
}

@test "hostile: UTF-8 comes whole, and nothing that is none" {
	show '{recipient}' '{user}'
	UTF8=yes offer RCPT <<-'T'
		250/2.1.5	<\xc3\xa9@example.org>	\xc3\xa9@example.org	\xc3\xa9
		250/2.1.5	<"\xf0\x9f\x93\xa7"@example.org>	\xf0\x9f\x93\xa7@example.org	\xf0\x9f\x93\xa7
		250/2.1.5	<\xc3\x89A@example.org>	\xc3\x89A@example.org	\xc3\x89a
		553/5.1.3	<-\xc3\xa9@example.org>
		501/5.1.3	<\xe9@example.org>
		501/5.1.3	<\xc0\xaf@example.org>
		501/5.1.3	<\xed\xa0\x80@example.org>
		501/5.1.3	<\xc3@example.org>
		501/5.1.3	<"\xff"@example.org>
	T
}

@test "hostile: an address of 900 octets comes whole, one of 901 not at all" {
	local l888 want
	l888=$(an_x 888)
	show '{recipient}' '{user}' '{recipient}{recipient}{recipient}'
	{
		printf '250/2.1.5\t<%s@example.org>\t%s@example.org\t%s\t' \
		    "$l888" "$l888" "$l888"
		printf '%s@example.org' "$l888" "$l888" "$l888"
		printf '\n501/5.1.3\t<x%s@example.org>\n' "$l888"
	} >rows
	offer RCPT <rows
	show '{sender}'
	{
		printf '250/2.1.0\t<%s@example.org>\t%s@example.org\n' "$l888" "$l888"
		printf '501/5.1.7\t<x%s@example.org>\n' "$l888"
	} >rows
	offer MAIL <rows
}

@test "hostile: an argument with an option or a path of its own may hold more, or less" {
	show '-a{recipient}' '--to={user}' '={recipient}='
	offer RCPT <<-'T'
		250/2.1.5	<-x@example.org>	-a-x@example.org	--to=-x	=-x@example.org=
		553/5.1.3	<"-x y"@example.org>
		553/5.1.3	<a/b@example.org>
	T
	show '{recipient}'
	offer RCPT <<-'T'
		250/2.1.5	<a/b@example.org>	a/b@example.org
		250/2.1.5	</etc/passwd@example.org>	/etc/passwd@example.org
	T
	show '/m/{recipient}' '-d/m/{recipient}'
	offer RCPT <<-'T'
		250/2.1.5	<-x@example.org>	/m/-x@example.org	-d/m/-x@example.org
		553/5.1.3	<a/b@example.org>
		553/5.1.3	</etc/passwd@example.org>
		553/5.1.3	<"a/b"@example.org>
	T
	show '{recipient}/new'
	offer RCPT <<-'T'
		250/2.1.5	<x@example.org>	x@example.org/new
		553/5.1.3	</@example.org>
		553/5.1.3	<-x@example.org>
	T
}

# ---- {user}, {extension}, {domain} -----------------------------------------

@test "hostile: {user}, {extension} and {domain} are no path, no option, and in lower case" {
	show '{user}' '{extension}' '{domain}'
	offer RCPT <<-'T'
		250/2.1.5	<Bob+Ext@EXAMPLE.org>	bob	Ext	example.org
		250/2.1.5	<u@example.org>	u	-	example.org
		250/2.1.5	<u+@example.org>	u	-	example.org
		250/2.1.5	<u+a+b@example.org>	u	a+b	example.org
		250/2.1.5	<postmaster>	postmaster	-	example.org
		250/2.1.5	<"Bob+Ext"@example.org>	bob	Ext	example.org
		250/2.1.5	<x+.b@example.org>	x	.b	example.org
		553/5.1.3	<-x@example.org>
		553/5.1.3	<-x+y@example.org>
		553/5.1.3	<x+-v@example.org>
		553/5.1.3	<x+--v@example.org>
		553/5.1.3	</etc/passwd@example.org>
		553/5.1.3	<a/b@example.org>
		553/5.1.3	<x+a/b@example.org>
		553/5.1.3	<x+/@example.org>
		553/5.1.3	<"a/../b"@example.org>
		553/5.1.3	<".."@example.org>
		553/5.1.3	<"..+x"@example.org>
		553/5.1.3	<"x+.."@example.org>
		553/5.1.3	<"."@example.org>
		553/5.1.3	<""@example.org>
		553/5.1.3	<"a b"@example.org>
		553/5.1.3	<"x+a b"@example.org>
	T
}

@test "hostile: what they bring is not scanned again" {
	show '{user}' '{extension}' '={recipient}=' '{sender}'
	offer RCPT <<-'T'
		250/2.1.5	<{user}+{domain}@example.org>	{user}	{domain}	={user}+{domain}@example.org=	a@c.example
		250/2.1.5	<{sender}@example.org>	{sender}	-	={sender}@example.org=	a@c.example
		250/2.1.5	<{recipients}+{recipient}@example.org>	{recipients}	{recipient}	={recipients}+{recipient}@example.org=	a@c.example
		250/2.1.5	<"{extension}+{user}"@example.org>	{extension}	{user}	={extension}+{user}@example.org=	a@c.example
	T
	# nor put together
	show '{us{extension}' '{{extension}}' '{extension}{extension}'
	offer RCPT <<-'T'
		250/2.1.5	<u+er}@example.org>	{user}	{er}}	er}er}
		250/2.1.5	<u+user@example.org>	{ususer	{user}	useruser
		250/2.1.5	<u+sender@example.org>	{ussender	{sender}	sendersender
	T
	show '{sender}' '{recipient}'
	offer MAIL <<-'T'
		250/2.1.0	<{recipient}@c.example>	{recipient}@c.example	u@example.org
		250/2.1.0	<{sender}+{user}@c.example>	{sender}+{user}@c.example	u@example.org
	T
}

@test "hostile: as a part of a path they are a name in it" {
	show 'mail/{domain}/{user}/new' '{user}' './{extension}'
	offer RCPT <<-'T'
		250/2.1.5	<u+x@example.org>	mail/example.org/u/new	u	./x
		250/2.1.5	<u+-x@example.org>	mail/example.org/u/new	u	./-x
		553/5.1.3	<u+x/y@example.org>
		501/5.1.3	<../../x@example.org>
		553/5.1.3	<"../../x"@example.org>
		553/5.1.3	<a/b@example.org>
		553/5.1.3	<-x@example.org>
	T
}

@test "hostile: no foreign domain is an option or a path, where all are accepted" {
	show '{domain}' '{recipient}'
	OPTS=(-d '*' "${OPTS[@]}")
	offer RCPT <<-'T'
		250/2.1.5	<u@Other.Example>	other.example	u@Other.Example
		250/2.1.5	<u@[127.0.0.1]>	[127.0.0.1]	u@[127.0.0.1]
		250/2.1.5	<u@[IPv6:::1]>	[ipv6:::1]	u@[IPv6:::1]
		501/5.1.3	<u@a/b>
		501/5.1.3	<u@..>
		501/5.1.3	<u@.>
		501/5.1.3	<u@a..b>
		501/5.1.3	<u@`id`>
		501/5.1.3	<u@a$b>
		501/5.1.3	<u@{user}>
		501/5.1.3	<u@a b>
		501/5.1.3	<u@[/etc/passwd]>
	T
	connect
	for domain in -x -x.example --help '[-x]'; do
		ask RSET
		ask 'MAIL FROM:<a@c.example>'
		ask "RCPT TO:<u@$domain>"
		[[ $reply == 5* ]]
	done
	hangup
}

# ---- {recipients} ----------------------------------------------------------

@test "hostile: a relay's recipients are no options, and nothing that needs its quotes" {
	show '{recipients}'
	offer RCPT <<-'T'
		250/2.1.5	<u@example.org>	u@example.org
		250/2.1.5	<a/b@example.org>	a/b@example.org
		250/2.1.5	<"alice"@example.org>	alice@example.org
		250/2.1.5	<{recipients}@example.org>	{recipients}@example.org
		250/2.1.5	<`touch${IFS}owned`@example.org>	`touch${IFS}owned`@example.org
		553/5.1.3	<-x@example.org>
		553/5.1.3	<--@example.org>
		553/5.1.3	<"-x"@example.org>
		553/5.1.3	<"a b"@example.org>
		553/5.1.3	<"a,b"@example.org>
		553/5.1.3	<""@example.org>
	T
	# one that is refused is not among those who are not
	say 'MAIL FROM:<a@c.example>' 'RCPT TO:<u@example.org>' \
	    'RCPT TO:<-bad@example.org>' 'RCPT TO:<v@example.org>' DATA x . QUIT
	[ "$(verdicts)" = 250/2.0.0 ]
	printf '%s\0' 2 u@example.org v@example.org | cmp - seen/args
}

# ---- {sender} --------------------------------------------------------------

@test "hostile: {sender} is no option, and nothing that needs its quotes: 553 5.1.7" {
	show -f '{sender}'
	offer MAIL <<-'T'
		250/2.1.0	<a@c.example>	-f	a@c.example
		250/2.1.0	<>	-f	MAILER-DAEMON
		250/2.1.0	<"fine"@c.example>	-f	fine@c.example
		250/2.1.0	<a/b@c.example>	-f	a/b@c.example
		250/2.1.0	<a%b!c@c.example>	-f	a%b!c@c.example
		250/2.1.0	<`touch${IFS}owned`@c.example>	-f	`touch${IFS}owned`@c.example
		250/2.1.0	<srs0=ab=cd=d.example=u@c.example>	-f	srs0=ab=cd=d.example=u@c.example
		250/2.1.0	<MAILER-DAEMON@c.example>	-f	MAILER-DAEMON@c.example
		553/5.1.7	<-x@c.example>
		553/5.1.7	<--x@c.example>
		553/5.1.7	<-X/tmp/owned@c.example>
		553/5.1.7	<"-OQueueDirectory=/tmp -X/tmp/owned"@c.example>
		553/5.1.7	<"-x"@c.example>
		553/5.1.7	<"a b"@c.example>
		553/5.1.7	<"a\\" -Xowned b"@c.example>
		553/5.1.7	<"a\\\\\\" -Xowned b"@c.example>
		553/5.1.7	<""@c.example>
		501/5.1.7	<;touch$IFS-owned;@c.example>
		501/5.1.7	<$(id)@c.example>
		501/5.1.7	<a@$(id)>
	T
	show '-f{sender}' '={sender}='
	offer MAIL <<-'T'
		250/2.1.0	<-x@c.example>	-f-x@c.example	=-x@c.example=
		250/2.1.0	<>	-fMAILER-DAEMON	=MAILER-DAEMON=
		553/5.1.7	<"a b"@c.example>
	T
	show 'from/{sender}'
	offer MAIL <<-'T'
		250/2.1.0	<-x@c.example>	from/-x@c.example
		553/5.1.7	<a/b@c.example>
		553/5.1.7	<"../x"@c.example>
	T
}

@test "hostile: where no argument asks for them, sender and recipient may be what they like" {
	show fixed
	offer MAIL <<-'T'
		250/2.1.0	<-x@c.example>	fixed
		250/2.1.0	<"a b"@c.example>	fixed
		250/2.1.0	<"-X/tmp/owned"@c.example>	fixed
		250/2.1.0	<"() { :; }; touch owned"@c.example>	fixed
	T
	offer RCPT <<-'T'
		250/2.1.5	<-x@example.org>	fixed
		250/2.1.5	<a/b@example.org>	fixed
		250/2.1.5	<"$(touch owned)"@example.org>	fixed
		250/2.1.5	<"() { :; }; touch owned"@example.org>	fixed
		250/2.1.5	<"LD_PRELOAD=x"@example.org>	fixed
	T
}

@test "hostile: an option made of two values is none either" {
	show '{extension}{sender}' '{user}'
	connect
	for rcpt in u@example.org u+@example.org; do
		ask RSET
		ask 'MAIL FROM:<-x@c.example>'
		ask "RCPT TO:<$rcpt>"
		ask DATA
		[ "$reply" != 354 ] || ask $'x\r\n.'
		[[ $reply != 2* ]]
		ran 0
	done
	hangup
	show '{extension}{user}'
	offer RCPT <<-'T'
		250/2.1.5	<u+x@example.org>	xu
		553/5.1.3	<-u@example.org>
		250/2.1.5	<-u+x@example.org>	x-u
		553/5.1.3	<u+-x@example.org>
	T
}

@test "hostile: an option made of sender and recipient is refused for good" {
	# a 4xx would be tried again for days
	show '{extension}{sender}'
	say 'MAIL FROM:<-x@c.example>' 'RCPT TO:<u@example.org>' DATA x . QUIT
	ran 0
	[[ $(full_codes) == *' 553/5.1.'* ]]
	run ! grep -q '^4' out
}

# ---- the environment -------------------------------------------------------

@test "hostile: variables hold what came, unquoted only where that is said" {
	show
	while IFS= read -r line; do
		row_of "$line"
		rm -f seen/*
		say 'EHLO c.example' "MAIL FROM:${row[0]} SMTPUTF8" "RCPT TO:${row[0]}" \
		    DATA x . QUIT
		[ "$(verdicts)" = 250/2.0.0 ]
		only_known
		[ "$(value SENDER)" = "${row[1]}" ]
		[ "$(value RECIPIENT)" = "${row[1]}" ]
		[ "$(value LOCAL)" = "${row[2]}" ]
		[ "$(value EXTENSION)" = "${row[3]}" ]
		[ "$(value EXT)" = "${row[3]}" ]
		[ "$(value DOMAIN)" = example.org ]
		[ "$(value HOST)" = example.org ]
	done <<-'T'
		<u+x@example.org>	u+x@example.org	u+x	x
		<U+X@example.org>	U+X@example.org	U+X	X
		<"u+x"@example.org>	u+x@example.org	u+x	x
		<"a b+c d"@example.org>	"a b+c d"@example.org	a b+c d	c d
		<"a\\"b"@example.org>	"a\\"b"@example.org	a"b	-
		<"a;touch owned"@example.org>	"a;touch owned"@example.org	a;touch owned	-
		<`touch${IFS}owned`@example.org>	`touch${IFS}owned`@example.org	`touch${IFS}owned`	-
		<"$(touch owned)"@example.org>	"$(touch owned)"@example.org	$(touch owned)	-
		<"PATH=/tmp"@example.org>	PATH=/tmp@example.org	PATH=/tmp	-
		<PATH=/tmp@example.org>	PATH=/tmp@example.org	PATH=/tmp	-
		<"../../x"@example.org>	"../../x"@example.org	../../x	-
		<\xc3\xa9+\xc3\xa9@example.org>	\xc3\xa9+\xc3\xa9@example.org	\xc3\xa9+\xc3\xa9	\xc3\xa9
	T
	[ ! -e owned ]
}

@test "hostile: a value that an old shell would run, or no one could read, is no variable" {
	show
	offer RCPT <<-'T'
		250/2.1.5	<"() { :; }; touch owned"@example.org>
	T
	# its address begins with a quote; the local part by itself does not
	[ "$(value RECIPIENT)" = '"() { :; }; touch owned"@example.org' ]
	run ! value LOCAL
	offer RCPT <<-'T'
		250/2.1.5	<"x+() { :; }; touch owned"@example.org>
	T
	[ "$(value LOCAL)" = 'x+() { :; }; touch owned' ]
	run ! value EXTENSION
	run ! value EXT
	run ! grep -a '^[A-Z_]*=()' seen/env
}

@test "hostile: what a client calls itself is a value, or nothing" {
	local helo n=0
	show
	while IFS= read -r helo; do
		for verb in HELO EHLO; do
			printf '%s %b\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n.\r\nQUIT\r\n' \
			    $verb "${helo#* }" >in
			rm -f seen/*
			send <in
			[ "$(verdicts)" = 250/2.0.0 ] || { echo "$helo"; return 1; }
			only_known
			case $helo in
			same*)	[ "$(value CLIENT_HELO)" = "$(printf %b "${helo#* }")" ] ;;
			*)	run ! value CLIENT_HELO ;;
			esac
			run ! grep -a '^[A-Z_]*=()' seen/env
			n=$((n + 1))
		done
	done <<-'T'
		same c.example
		same [192.0.2.1]
		same $(touch owned)
		same `touch owned`
		same x () { :; }; touch owned
		same -x
		same LD_PRELOAD=/x
		same ../../x
		same a"b'c
		same \xc3\xa9.example
		same {user}
		none () { :; }; touch owned
		none (){ :;}; touch owned
		none ()
		none a\xffb
		none \xc0\xaf
		none a\xe9
	T
	[ $n = 34 ]
	[ ! -e owned ]
}

@test "hostile: a launcher's variables are believed only as they should be" {
	show
	export PROTO=TCP TCPREMOTEIP='() { :; }; touch owned' \
	    TCPREMOTEHOST='() { :; }' TCPREMOTEINFO='() { :; }' \
	    TCPLOCALIP=192.0.2.1
	TZ='() { :; }' USER='() { :; }; touch owned' LOGNAME=$'a\xff' mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	only_known
	run ! grep -a '()' seen/env
	for v in TZ USER LOGNAME; do
		run ! value $v
	done
	[ ! -e owned ]
}

@test "hostile: nothing in the message is anything but the message" {
	show '{recipient}'
	prog <<-'P'
		printf '%s\0' "$#" "$@" >seen/args
		cat >seen/mail
	P
	OPTS+=(./prog '{recipient}')
	printf '%s\n' 'To: -x@example.org, "| touch owned"' 'From: () { :; }; touch owned' \
	    'Subject: $(touch owned) `touch owned`' 'Bcc: {recipient}' \
	    'Message-ID: <() { :; }@x>' '' '~!touch owned' '{user}' '.forward' >msg
	mail_to u@example.org
	[ "$(verdicts)" = 250/2.0.0 ]
	printf '%s\0' 1 u@example.org | cmp - seen/args
	tail -c "$(wc -c <msg)" seen/mail | cmp - msg
	[ ! -e owned ]
}
