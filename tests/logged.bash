# logged.bash - sessions whose logs are looked at together

# shellcheck disable=SC2034,SC2154 # who loads it uses them
load helper

FROM='MAIL FROM:<a@c.example>'
TO=('RCPT TO:<u@example.org>' 'RCPT TO:<v@example.org>')
MAIL=(DATA 'Message-ID: <1@c.example>' '' text .)

# client ADDRESS OPTION... -- LINE...: a session of his; its log goes to all, too
client() {
	local address=$1 options=()
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	printf '%s\r\n' "$@" >in
	status=0
	PROTO=TCP TCPREMOTEIP=$address "$SMTPD" "${OPTS[@]}" --log stderr \
	    "${options[@]}" <in >out 2>log || status=$?
	cat log >>all
}
