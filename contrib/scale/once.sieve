# once.sieve - a mail whose key was there within a week is the same mail again
# Goes to /etc/dovecot/once.sieve; RFC 7352.  mail-to-lmtp writes the key into the
# first field of each mail.
require ["duplicate"];

if duplicate :header "X-Message-Key" :seconds 604800 {
	discard;
	stop;
}
