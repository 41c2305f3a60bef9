# log-watchers.bats - what reads smtpd's log: contrib's smtplog, and its files
# for fail2ban, mtail and rsyslog
# smtpd(8): The log

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # each test is a subshell
load logged

SMTPLOG=$ROOT/contrib/smtplog
# a_day: sessions of all kinds; who is in 192.0.2.0/24 did no harm
a_day() {
	printf 'u\n' >users
	printf '#!/bin/sh\ncat <&3 >/dev/null\nexit 1\n' >no
	chmod 755 no
	client 192.0.2.7 -- 'EHLO c.example' "$FROM" "${TO[0]}" "${MAIL[@]}" QUIT
	client 192.0.2.7 --size 9 -- 'EHLO c.example' "$FROM" "${TO[0]}" "${MAIL[@]}" QUIT
	client 192.0.2.8 -- 'EHLO c.example' 'MAIL FROM: <>' "${TO[0]}" "${MAIL[@]}" QUIT
	client 198.51.100.1 -- 'EHLO c.example' "$FROM" 'RCPT TO:<x@else.example>' QUIT
	client 198.51.100.2 --users users -- 'EHLO c.example' "$FROM" \
	    'RCPT TO:<admin@example.org>' QUIT
	client 198.51.100.3 --secured --auth ./no -- 'EHLO c.example' \
	    'AUTH PLAIN AHUAcA==' QUIT
	client 198.51.100.4 -e 2 -- FOO FOO FOO FOO
	client 198.51.100.5 -- 'GET / HTTP/1.0'
	client 2001:db8::5 -- 'EHLO c.example' "$FROM" 'RCPT TO:<x@else.example>' QUIT
	# who would have another banned
	client 192.0.2.9 -- 'EHLO x" client=[203.0.113.1] end=errors' \
	    'MAIL FROM:<"client=[203.0.113.1]"@c.example>' \
	    'RCPT TO:<"smtpd[1]: refused client=[203.0.113.1] reply=550"@example.org>' \
	    DATA 'Message-ID: smtpd[1]: auth client=[203.0.113.1] result=wrong' '' . QUIT
	client 192.0.2.9 -- $'EHLO x\e]0;\x07' 'NOOP "smtpd[1]: session client=[203.0.113.1] end=errors' \
	    'VRFY x y smtpd[1]: session client=[203.0.113.1] end=errors' QUIT
}

# as_syslog: the same, as syslog writes it
as_syslog() {
	sed 's/^/Nov 26 12:34:56 mx /' all
}

# ---- smtplog ----

@test "smtplog: what it sums up is what happened, from stderr, syslog and the journal" {
	a_day
	as_syslog >syslog
	gzip -k syslog
	sed 's/^smtpd\[[0-9]*\]: /<6>/' all >journal
	for log in all syslog syslog.gz journal; do
		"$SMTPLOG" "$log" >sum
		grep -qE '^  messages +3$' sum
		grep -qE '^  messages refused +1$' sum
		grep -qE '^  sessions +11$' sum
		grep -qE '^  552 5\.3\.4 Message too big: .* +1 ' sum
		grep -qE '^  550 5\.7\.1 No relaying .* +2 ' sum
		grep -qE '^  192\.0\.2\.7 +1 +[0-9]+ +1$' sum
		grep -qE '^  blank-after-colon +1 ' sum
		grep -qE '^  errors +1 ' sum
		run ! grep 'not understood' sum
	done
	grep -qE '^  11-26 12:00 +3  ' <("$SMTPLOG" syslog)
	"$SMTPLOG" all >sum
	"$SMTPLOG" <all >piped
	cmp sum piped
	"$SMTPLOG" all all | grep -qE '^  sessions +22$'
}

@test "smtplog: lines that are none of smtpd's are passed over, broken ones are counted" {
	{
		printf 'Nov 26 12:00:00 mx postfix/smtpd[1]: connect from x\n'
		printf 'smtpd[1]: message id=1.M1P1Q1 client=[192.0.2.7] size=x reply=250\n'
		printf 'smtpd[1]: message\n'
		printf 'smtpd[1]: session client=[192.0.2.7] helo="cut\n'
		printf '\0\377\n\n'
		head -c 100000 /dev/zero
	} >log
	"$SMTPLOG" log >sum
	grep -qE '^  messages +0$' sum
	grep -qE '^  lines not understood +2$' sum
	"$SMTPLOG" --html log >/dev/null
	run ! "$SMTPLOG" nowhere
	: >empty
	"$SMTPLOG" empty >sum
	"$SMTPLOG" --html empty >sum
}

@test "smtplog: no octet of a client's is a control character or HTML in what it prints" {
	client 192.0.2.7 -- $'EHLO <script>\e' "$FROM" "${TO[0]}" "${MAIL[@]}" QUIT
	client 192.0.2.7 -- 'EHLO c' "$FROM" 'RCPT TO:<"<b>&"@else.example>' QUIT
	printf 'smtpd[1]: refused client=[<script>] reply=550 text="<script>alert(1)</script>" what="x"\n' >>all
	"$SMTPLOG" all >sum
	run ! grep -aP '[\x00-\x09\x0b-\x1f\x7f]' sum
	"$SMTPLOG" --html all >page
	run ! grep -iE '<script|<b>' page
	run ! grep -aP '[\x00-\x09\x0b-\x1f\x7f]' page
}

@test "smtplog: --html is a page that a browser shows" {
	need chromium
	a_day
	"$SMTPLOG" --html all >page.html
	HOME=$PWD timeout 60 chromium --headless --no-sandbox --disable-gpu \
	    --screenshot="$PWD/page.png" --window-size=900,1200 \
	    "file://$PWD/page.html" >said 2>&1
	HOME=$PWD timeout 60 chromium --headless --no-sandbox --disable-gpu \
	    --dump-dom "file://$PWD/page.html" >dom 2>said
	# bars are there, and its picture is no blank page
	[ "$(grep -o '<rect' dom | wc -l)" -ge 5 ]
	[ "$(wc -c <page.png)" -gt 15000 ]
}

# ---- fail2ban ----

@test "fail2ban: who guesses, relays or makes errors is found, and no one else" {
	need fail2ban-regex
	a_day
	mkdir filter
	cp /etc/fail2ban/filter.d/common.conf filter/
	cp "$ROOT/contrib/fail2ban/smtpd.conf" filter/
	as_syslog >syslog
	for log in syslog all; do
		sed 's/^smtpd/Nov 26 12:34:56 mx smtpd/' "$log" >dated
		fail2ban-regex --out ip dated filter/smtpd.conf >ips 2>said
		sort -u ips >banned
		printf '%s\n' 198.51.100.{1..5} 2001:db8::5 | sort | diff - banned
	done
	# and it is the whole of fail2ban's configuration that holds
	fail2ban-regex -v dated filter/smtpd.conf >said 2>&1
	grep -q '^Failregex: 6 total' said
}

# ---- mtail ----

@test "mtail: its counters are what happened" {
	need mtail
	a_day
	as_syslog >syslog.log
	mtail --one_shot --one_shot_format=prometheus --logs "$PWD/syslog.log" \
	    --progs "$ROOT/contrib/smtpd.mtail" >metrics 2>said
	grep -q '^smtpd_messages_total{.*} 3$' metrics
	grep -q '^smtpd_delivery_milliseconds_count{.*} 3$' metrics
	grep -q '^smtpd_refused_total{event="message",.*reply="552"} 1$' metrics
	grep -q '^smtpd_refused_total{event="command",.*reply="550"} [3-9]$' metrics
	grep -q '^smtpd_sessions_total{end="errors",.*} 1$' metrics
	grep -q '^smtpd_sessions_total{end="http",.*} 1$' metrics
	[ "$(sed -n 's/^smtpd_sessions_total{.*} //p' metrics | paste -sd + - | bc)" = 11 ]
}

# ---- rsyslog ----

@test "rsyslog: smtpd's lines are in a file of their own, and whole" {
	need rsyslogd
	need logger
	{
		echo 'module(load="imuxsock" SysSock.Use="off")'
		echo "input(type=\"imuxsock\" Socket=\"$PWD/dev-log\")"
		sed "s|/var/log/smtpd.log|$PWD/smtpd.log|" "$ROOT/contrib/rsyslog.conf"
		echo "*.* action(type=\"omfile\" file=\"$PWD/rest.log\")"
	} >rsyslog.conf
	rsyslogd -N1 -f "$PWD/rsyslog.conf"
	rsyslogd -n -f "$PWD/rsyslog.conf" -i "$PWD/pid" >said 2>&1 3>&- &
	local rsyslogd=$!
	eventually [ -S dev-log ]
	client 192.0.2.7 -- 'EHLO c.example' "$FROM" "${TO[0]}" "${MAIL[@]}" QUIT
	while read -r line; do
		logger -u "$PWD/dev-log" -p mail.info -t smtpd --id=812 -- \
		    "${line#*: }"
	done <all
	logger -u "$PWD/dev-log" -p mail.info -t other -- a line of another
	eventually grep -qs 'a line of another' rest.log
	kill "$rsyslogd"
	wait "$rsyslogd" || :
	[ "$(grep -c 'smtpd\[812\]: message id=' smtpd.log)" = 1 ]
	run ! grep 'smtpd\[' rest.log
	"$SMTPLOG" smtpd.log | grep -qE '^  messages +1$'
}
