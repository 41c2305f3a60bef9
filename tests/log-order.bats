# log-order.bats - the keys of the log's lines are those of the man page, in its
# order, in every mode
# smtpd(8): The log

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # each test is a subshell
load logged

# order: the keys as the man page has them, a line for each kind of line
order() {
	awk '/^The keys of these lines are frozen/ { on = 1 }
		on && /^\.Ed/ { exit }
		on && /^(message|refused|session) / { printf "%s%s", nl, $0; nl = "\n" }
		on && /^ / { printf " %s", $0 }
		END { print "" }' "$ROOT/smtpd.8" | tr -s ' '
}

# keys FILE: of each line its kind, and its keys
keys() {
	sed -nE 's/"([^"\\]|\\.)*"/""/g
		/^[^ ]*: (message|refused|session) /!d
		s/^[^ ]*: //; s/=("")?[^ ]*//g; p' "$1"
}

# in_order FILE: each line has keys of the man page only, in its order; a "to"
# may come again, "cut" is last
in_order() {
	order >frozen
	keys "$1" >had
	[ -s had ]
	awk 'NR == FNR { kind = $1; for (i = 2; i <= NF; i++) at[kind, $i] = i; next }
		{ last = 0
		  for (i = 2; i <= NF; i++) {
			if ($i == "cut" && i == NF)
				continue
			n = at[$1, $i]
			if (n == 0 || n < last || (n == last && $i != "to")) {
				print "not in order: " $i ": " $0
				bad = 1
			}
			last = n
		  } } END { exit bad }' frozen had
}

each_mode() {
	launched
	OPTS=(-n mx.example -d example.org)
	mkdir -p to/{u,v,postmaster}/{tmp,new,cur}
	printf '#!/bin/sh\ncat <&3 >/dev/null\n' >yes
	printf '#!/bin/sh\ncat >/dev/null\n[ "$RECIPIENT" != v@example.org ] || exit 75\n' >some
	chmod 755 yes some
	client 192.0.2.7 -m box -- 'EHLO c' 'MAIL FROM: <a@c>' "${TO[@]}" "${MAIL[@]}" \
	    'RCPT TO:<x@else.example>' NONSENSE $'AUTH \001' QUIT
	client 192.0.2.7 -m 'to/{user}' -- 'EHLO c' "$FROM" "${TO[@]}" 'RCPT TO:<w@example.org>' \
	    "${MAIL[@]}" "$FROM" "${TO[0]}" "${MAIL[@]}" QUIT
	client 192.0.2.7 -m 'to/{user}' --lmtp -- 'LHLO c' "$FROM" "${TO[@]}" "${MAIL[@]}"
	mv to/v/new to/v/gone
	client 192.0.2.7 -m 'to/{user}' --lmtp -- 'LHLO c' "$FROM" "${TO[@]}" "${MAIL[@]}"
	client 192.0.2.7 -m 'to/{user}' -- 'EHLO c' "$FROM PRDR" "${TO[@]}" "${MAIL[@]}" QUIT
	client 192.0.2.7 -m 'to/{user}' -- 'EHLO c' "$FROM" "${TO[@]}" "${MAIL[@]}" QUIT
	client 192.0.2.7 -m box -- 'EHLO c' "$FROM" "${TO[0]}" 'BDAT 4' $'ab' 'BDAT 0 LAST' \
	    "$FROM" "${TO[0]}" $'BDAT 3\r\na\nb' 'BDAT 0 LAST' QUIT
	client 192.0.2.7 -m box -v -- 'EHLO c' "$FROM" "${TO[0]}" "${MAIL[@]}" QUIT
	client 192.0.2.7 -m box --size 10 -- 'EHLO c' "$FROM" "${TO[0]}" "${MAIL[@]}" QUIT
	client 192.0.2.7 -m box --secured --auth ./yes -- 'EHLO c' 'AUTH PLAIN AHUAcA==' "$FROM" \
	    "${TO[0]}" "${MAIL[@]}" 'VRFY x y' QUIT
	client 192.0.2.7 ./some -- 'EHLO c' "$FROM" "${TO[@]}" "${MAIL[@]}" QUIT
	client 192.0.2.7 ./some '{recipients}' -- 'EHLO c' "$FROM" "${TO[0]}" "${MAIL[@]}" QUIT
	client 192.0.2.7 -m box -e 200 -- 'EHLO c' $(seq 150) QUIT
	client 192.0.2.7 -m box -- 'EHLO c' "$FROM" "${TO[0]}" DATA half
	client 192.0.2.7 --proxy '*' -m box -- "$(printf \
	    'PROXY TCP4 192.0.2.9 192.0.2.1 99 25')" 'EHLO c' QUIT
	# TLS, its version and cipher, as a proxy tells them
	{
		printf '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x37'
		printf '\xc0\0\x02\x09\xc0\0\x02\x01\0\x63\0\x19'
		printf '\x20\0\x28\x01\0\0\0\0\x21\0\x07TLSv1.3\x23\0\x16TLS_AES_256_GCM_SHA384'
		printf '%s\r\n' 'EHLO c' "$FROM" "${TO[0]}" "${MAIL[@]}" FOO QUIT
	} >in
	"$SMTPD" -n mx.example -d example.org --log stderr -m box --proxy '*' \
	    <in >out 2>log || :
	cat log >>all
}

@test "log order: each line has its keys in the man page's order, in every mode" {
	each_mode
	in_order all
}

@test "log order: each key of the man page is there in some mode" {
	each_mode
	order >frozen
	keys all >had
	local kind rest key bad=0
	while read -r kind rest; do
		for key in $rest; do
			grep -q "^$kind .*\<$key\>" had || {
				echo "no $key in $kind"
				bad=1
			}
		done
	done <frozen
	[ $bad = 0 ]
}

@test "log order: what is always known is always there" {
	each_mode
	keys all >had
	run ! grep -vE '^message id client .*size rcpts greeting-ms rcpt-ms dot-ms delivery-ms reply .*message-id from to|^refused .*client .*reply text (octets|what)|^session client .*end messages messages-refused .*octets ms' had
}

@test "log order: a client can push no key but its recipients out of a message's line" {
	launched
	local long at
	long=$(printf '\\%.0s' {1..255})
	at=$(printf '%0200d' 0)@$(printf 'a.%.0s' {1..100})example
	{
		printf 'EHLO %s\r\nMAIL FROM:<%s>\r\n' "$long" "$at"
		for i in {1..100}; do
			printf 'RCPT TO:<%s%s@example.org>\r\n' "$i" "$(printf '%0200d' 0)"
		done
		printf 'DATA\r\nMessage-ID: <%s>\r\n\r\n.\r\nQUIT\r\n' "$long$long$long"
	} >in
	"$SMTPD" -n mx.example -d example.org -m box --log stderr <in >out 2>log
	in_order log
	grep -E '^message .* reply path .*message-id from to .*to cut$' had
	[ "$(awk '{ if (length > n) n = length } END { print n }' log)" -le 4095 ]
}

@test "log order: a message that came before its greeting could go has times, too" {
	launched
	OPTS=(-n mx.example -d example.org)
	client 192.0.2.7 --proxy '*' -m box --size 9 -- \
	    'PROXY TCP4 192.0.2.9 192.0.2.1 99 25' 'EHLO c' "$FROM" "${TO[0]}" \
	    "${MAIL[@]}" QUIT
	grep -q ': message .* reply=552 ' log
	run ! grep -E '(-ms| ms)=[0-9]{5}' log
}

@test "log order: the times are of this message's steps" {
	launched
	{
		printf 'EHLO c\r\n'
		sleep 0.3
		printf '%s\r\n' "$FROM" "${TO[0]}"
		sleep 0.4
		printf '%s\r\n' "${MAIL[@]}"
		sleep 0.3
		printf '%s\r\n' "$FROM" "${TO[0]}" "${MAIL[@]}" QUIT
	} | "$SMTPD" -n mx.example -d example.org --log stderr sh -c \
	    'sleep 0.5; cat >/dev/null' >out 2>log
	[ "$(codes)" = '220 250 250 250 354 250 250 250 354 250 221' ]
	sed -nE 's/.*: message .* greeting-ms=([0-9]+) rcpt-ms=([0-9]+) dot-ms=([0-9]+) delivery-ms=([0-9]+) .*/\1 \2 \3 \4/p' log >when
	cat when
	# it began before the first 0.3 seconds; the second was sent while the
	# first was delivered
	awk 'NR == 1 { bad = $1 > 250 || $2 < 250 || $3 - $2 < 350 || $4 < 450 || $4 > 1500 }
		NR == 2 { bad = bad || $2 < 1100 || $3 < $2 || $4 < 450 }
		END { exit bad || NR != 2 }' when
}
