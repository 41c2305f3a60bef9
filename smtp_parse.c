/*
 * smtp_parse - the language of SMTP.  The contract of every function here is
 * in smtp_parse.h.  There are two parts, each to be read by itself.
 *
 * The grammar: slices, text, lines, addresses, programs, policy, neighbours,
 * parameters, options, the message.  It has two floors.  scan_x(in) returns
 * how many octets at the start of in match the rule x, 0 for none.
 * smtp_parse_x() composes scans, applies the limits, names the error and sets
 * its outputs last.  Only drop() moves a pointer.
 *
 * The session, a machine on top of it, in sections that call no lower one:
 *
 *    what is said            every reply, in one table
 *    the commands            every verb, in another
 *    lines out of octets     what a client sends, a line at a time
 *    what is told of a line  to a log, without secrets
 *    one function per verb   do_x(), and after_x() for the host's answer
 *    a command and its reply what is counted, noted, and then said
 *    a message               the replies to it: one, or one for each
 *    a message's octets      DATA and BDAT, into the host's room
 *    the machine             smtp_next(): take the answer, go on, ask
 *
 * To follow a command, begin with smtp_next() at the end and read upwards: go()
 * calls go_line(), which calls command_line(), which calls do_mail(); that asks
 * SENDER, and after() hands the answer to after_sender().
 *
 * Tables hold text in place, not pointers to it: a pointer needs relocation,
 * and that makes data of a constant.
 */
#include <string.h>

#include "smtp_parse.h"

/* ---- slices ----------------------------------------------------------- */

static struct slice
drop(struct slice in, size_t n)
{
	/* an empty slice may point nowhere, and there + 0 is undefined */
	return n == 0 ? in : (struct slice){ in.p + n, in.n - n };
}

static struct slice
take(struct slice in, size_t n)
{
	return (struct slice){ in.p, n };
}

struct slice
smtp_slice(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

char
smtp_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
smtp_same(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (smtp_lower(a.p[i]) != smtp_lower(b.p[i]))
			return false;
	return true;
}

bool
smtp_is(struct slice a, const char *text)
{
	return smtp_same(a, smtp_slice(text));
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	char l = smtp_lower(c);

	return is_digit(c) || (l >= 'a' && l <= 'z');
}

static bool
is_eight_bit(char c)
{
	return ((unsigned char)c & 0x80) != 0;
}

static bool
has_eight_bit(struct slice in)
{
	for (size_t i = 0; i < in.n; i++)
		if (is_eight_bit(in.p[i]))
			return true;
	return false;
}

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* U+0000 to U+001F, U+007F to U+009F; the last ones are two octets in UTF-8 */
static size_t
scan_control(struct slice in)
{
	if (in.n > 1 && (unsigned char)in.p[0] == 0xc2 &&
	    ((unsigned char)in.p[1] & 0xe0) == 0x80)
		return 2;
	return in.n > 0 && is_control(in.p[0]) ? 1 : 0;
}

bool
smtp_has_control(struct slice in)
{
	for (; in.n > 0; in = drop(in, 1))
		if (scan_control(in) > 0)
			return true;
	return false;
}

bool
smtp_is_text(struct slice in)
{
	return !smtp_has_control(in) && smtp_utf8_valid(in);
}

/* U+200B, U+2060 and U+FEFF, as UTF-8 has them */
static bool
begins_invisible(struct slice in)
{
	static const char unseen[][4] = {
		"\xe2\x80\x8b", "\xe2\x81\xa0", "\xef\xbb\xbf"
	};

	for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++)
		if (in.n >= 3 && memcmp(in.p, unseen[i], 3) == 0)
			return true;
	return false;
}

bool
smtp_is_visible(struct slice in)
{
	if (!smtp_is_text(in))
		return false;
	for (; in.n > 0; in = drop(in, 1))
		if (begins_invisible(in))
			return false;
	return true;
}

static size_t
scan_blanks(struct slice in)
{
	size_t n = 0;

	while (n < in.n && is_blank(in.p[n]))
		n++;
	return n;
}

struct slice
smtp_trim(struct slice in)
{
	in = drop(in, scan_blanks(in));
	while (in.n > 0 && is_blank(in.p[in.n - 1]))
		in.n--;
	return in;
}

/* size-value = 1*20DIGIT                              (RFC 1870, section 4) */
enum smtp_status
smtp_parse_number(struct slice in, uint64_t max, uint64_t *out)
{
	uint64_t v = 0, digit;

	if (in.n == 0 || in.n > 20)
		return SMTP_ESYNTAX;
	for (size_t i = 0; i < in.n; i++) {
		if (!is_digit(in.p[i]))
			return SMTP_ESYNTAX;
		digit = (uint64_t)(in.p[i] - '0');
		v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
	}
	*out = v < max ? v : max;
	return SMTP_OK;
}

enum smtp_status
smtp_parse_size(struct slice in, uint64_t max, uint64_t *out)
{
	uint64_t v, unit = 1;

	if (in.n > 0 && (in.p[in.n - 1] == 'K' || in.p[in.n - 1] == 'M')) {
		unit = in.p[in.n - 1] == 'K' ? 1024 : 1024 * 1024;
		in.n--;
	}
	if (smtp_parse_number(in, UINT64_MAX, &v) != SMTP_OK)
		return SMTP_ESYNTAX;
	if (v > max / unit)
		return SMTP_ELONG;
	*out = v * unit;
	return SMTP_OK;
}

bool
smtp_cut(struct slice *in, char c, struct slice *part)
{
	const char *end;

	if (in->p == NULL)
		return false;
	end = memchr(in->p, c, in->n);
	*part = *in;
	if (end == NULL) {
		*in = (struct slice){ NULL, 0 };
		return true;
	}
	part->n = (size_t)(end - in->p);
	*in = drop(*in, part->n + 1);
	return true;
}

/* ---- text ------------------------------------------------------------- */

void
smtp_put(struct smtp_text *t, struct slice s)
{
	if (s.n > t->size - t->n) {
		s.n = t->size - t->n;
		t->cut = true;
	}
	/* an empty slice may point nowhere, and memcpy minds */
	if (s.n > 0)
		memcpy(t->p + t->n, s.p, s.n);
	t->n += s.n;
}

void
smtp_puts(struct smtp_text *t, const char *s)
{
	smtp_put(t, smtp_slice(s));
}

void
smtp_put_number(struct smtp_text *t, uint64_t v)
{
	char digits[20];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	smtp_put(t, (struct slice){ digits + n, sizeof(digits) - n });
}

void
smtp_put_escaped(struct smtp_text *t, struct slice s)
{
	static const char hex[] = "0123456789abcdef";
	char code[4] = "\\x";
	unsigned char c;

	for (size_t i = 0; i < s.n && i < SMTP_ESCAPED_MAX; i++) {
		c = (unsigned char)s.p[i];
		code[2] = hex[c >> 4];
		code[3] = hex[c & 15];
		if (!is_control(s.p[i]) && c < 128 && c != '"' && c != '\\')
			smtp_put(t, (struct slice){ s.p + i, 1 });
		else if (t->size - t->n >= sizeof(code))
			smtp_put(t, (struct slice){ code, sizeof(code) });
		else
			t->cut = true;
		/* half a code would be another octet's */
		if (t->cut)
			return;
	}
	if (s.n > SMTP_ESCAPED_MAX)
		smtp_puts(t, "...");
}

struct slice
smtp_written(const struct smtp_text *t)
{
	return (struct slice){ t->p, t->n };
}

const char *
smtp_string(struct smtp_text *t)
{
	if (t->cut || t->n == t->size)
		return NULL;
	t->p[t->n] = '\0';
	return t->p;
}

bool
smtp_put_pair(struct smtp_text *t, const char *key, struct slice value,
    bool quoted)
{
	struct smtp_text before = *t;

	t->cut = false;
	smtp_puts(t, " ");
	smtp_puts(t, key);
	smtp_puts(t, quoted ? "=\"" : "=");
	if (quoted)
		smtp_put_escaped(t, value);
	else
		smtp_put(t, value);
	smtp_puts(t, quoted ? "\"" : "");
	if (t->cut) {
		*t = before;
		return false;
	}
	t->cut = before.cut;
	return true;
}

void
smtp_put_client(struct smtp_text *t, struct slice address, struct slice port)
{
	smtp_puts(t, address.n > 0 ? "[" : "unknown");
	smtp_put(t, address);
	smtp_puts(t, address.n > 0 ? "]" : "");
	smtp_puts(t, port.n > 0 ? ":" : "");
	smtp_put(t, port);
}

bool
smtp_put_once(struct smtp_text *t, struct slice line)
{
	const struct smtp_text before = *t;
	const char *at, *lf;

	for (at = t->p; at < t->p + t->n; at = lf + 1) {
		lf = memchr(at, '\n', (size_t)(t->p + t->n - at));
		if ((size_t)(lf - at) == line.n &&
		    memcmp(at, line.p, line.n) == 0)
			return true;
	}
	smtp_put(t, line);
	smtp_puts(t, "\n");
	if (!t->cut)
		return true;
	*t = before;
	return false;
}

/* a character of UTF-8 beyond ASCII; 0 for none */
static size_t
scan_character(struct slice in)
{
	for (size_t n = 2; n <= 4 && n <= in.n; n++)
		if (smtp_utf8_valid(take(in, n)))
			return n;
	return 0;
}

void
smtp_put_json(struct smtp_text *t, struct slice s)
{
	static const char digits[] = "0123456789abcdef";
	char code[] = "\\u0000";
	size_t n;

	smtp_puts(t, "\"");
	for (; s.n > 0; s = drop(s, n)) {
		n = 1;
		if (is_eight_bit(s.p[0])) {
			n = scan_character(s);
			smtp_put(t, n > 0 ? take(s, n) :
			    smtp_slice("\\ufffd"));
			n += n == 0;
			continue;
		}
		code[4] = digits[s.p[0] >> 4];
		code[5] = digits[s.p[0] & 15];
		if (s.p[0] == '"' || s.p[0] == '\\')
			smtp_puts(t, "\\");
		smtp_put(t, is_control(s.p[0]) ? (struct slice){ code, 6 } :
		    take(s, 1));
	}
	smtp_puts(t, "\"");
}

/* ---- lines ------------------------------------------------------------ */

enum fit { FIT_NO, FIT_PREFIX, FIT_YES };

/* does in begin with text, or may it yet? */
static enum fit
begins(struct slice in, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i == in.n)
			return FIT_PREFIX;
		if (in.p[i] != text[i])
			return FIT_NO;
	}
	return FIT_YES;
}

enum smtp_opening
smtp_opening(struct slice in)
{
	static const struct {
		char	text[13];
		char	n;
		char	what;
	} known[] = {
		{ "\x16\x03", 2, SMTP_OPEN_TLS },
		{ "PROXY ", 6, SMTP_OPEN_PROXY },
		{ "\r\n\r\n\0\r\nQUIT\n", 12, SMTP_OPEN_PROXY },
		{ "GET ", 4, SMTP_OPEN_HTTP },
		{ "PUT ", 4, SMTP_OPEN_HTTP },
		{ "PRI ", 4, SMTP_OPEN_HTTP },
		{ "POST ", 5, SMTP_OPEN_HTTP },
		{ "HEAD ", 5, SMTP_OPEN_HTTP },
		{ "PATCH ", 6, SMTP_OPEN_HTTP },
		{ "TRACE ", 6, SMTP_OPEN_HTTP },
		{ "DELETE ", 7, SMTP_OPEN_HTTP },
		{ "OPTIONS ", 8, SMTP_OPEN_HTTP },
		{ "CONNECT ", 8, SMTP_OPEN_HTTP },
	};
	enum smtp_opening verdict = SMTP_OPEN_SMTP;

	if (in.n == 0)
		return SMTP_OPEN_MORE;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		switch (begins(in, known[i].text, (size_t)known[i].n)) {
		case FIT_YES:
			return (enum smtp_opening)known[i].what;
		case FIT_PREFIX:
			verdict = SMTP_OPEN_MORE;
			break;
		case FIT_NO:
			break;
		}
	return verdict;
}

/* command = verb [1*blank argument]                   (RFC 5321, 4.1.1) */
enum smtp_status
smtp_parse_command(struct slice line, struct slice *verb, struct slice *arg)
{
	size_t n = line.n;

	for (size_t i = line.n; i-- > 0;) {
		if (is_blank(line.p[i]))
			n = i;
		else if (is_control(line.p[i]))
			return SMTP_ESYNTAX;
	}
	*verb = take(line, n);
	*arg = smtp_trim(drop(line, n));
	return SMTP_OK;
}

unsigned
smtp_distance(struct slice a, struct slice b)
{
	enum { MAX = 16 };
	unsigned char d[MAX + 1][MAX + 1], best;

	if (a.n > MAX || b.n > MAX)
		return 9;
	for (size_t i = 0; i <= a.n; i++)
		for (size_t j = 0; j <= b.n; j++) {
			if (i == 0 || j == 0) {
				d[i][j] = (unsigned char)(i + j);
				continue;
			}
			best = d[i - 1][j - 1];
			if (smtp_lower(a.p[i - 1]) != smtp_lower(b.p[j - 1]))
				best++;
			if (d[i - 1][j] + 1 < best)
				best = (unsigned char)(d[i - 1][j] + 1);
			if (d[i][j - 1] + 1 < best)
				best = (unsigned char)(d[i][j - 1] + 1);
			if (i > 1 && j > 1 && d[i - 2][j - 2] + 1 < best &&
			    smtp_lower(a.p[i - 1]) == smtp_lower(b.p[j - 2]) &&
			    smtp_lower(a.p[i - 2]) == smtp_lower(b.p[j - 1]))
				best = (unsigned char)(d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	return d[a.n][b.n] < 9 ? d[a.n][b.n] : 9;
}

struct slice
smtp_cut_line(struct slice *in, size_t most)
{
	struct slice line = take(*in, in->n < most ? in->n : most);
	const char *lf = memchr(line.p, '\n', line.n);

	if (lf != NULL)
		line.n = (size_t)(lf - line.p) + 1;
	*in = drop(*in, line.n);
	return line;
}

/* ---- addresses -------------------------------------------------------- */

/* atext = ALPHA / DIGIT / one of these / UTF8-non-ascii
 *                                        (RFC 5322, 3.2.3; RFC 6531, 3.3) */
static bool
is_atext(char c)
{
	return is_alnum(c) || is_eight_bit(c) ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Dot-string = Atom *("." Atom)  (RFC 5321, 4.1.2), and dots in front of it,
 * behind it and doubled; dots only are none */
static size_t
scan_dot_string(struct slice in)
{
	bool atext = false;
	size_t n = 0;

	for (; n < in.n && (in.p[n] == '.' || is_atext(in.p[n])); n++)
		atext = atext || in.p[n] != '.';
	return atext ? n : 0;
}

/* Quoted-string = DQUOTE *(qtext / "\" graphic) DQUOTE  (RFC 5321, 4.1.2) */
static size_t
scan_quoted(struct slice in)
{
	if (in.n == 0 || in.p[0] != '"')
		return 0;
	for (size_t n = 1; n < in.n; n++) {
		if (in.p[n] == '"')
			return n + 1;
		if (in.p[n] == '\\' && ++n == in.n)
			return 0;
		if (is_control(in.p[n]))
			return 0;
	}
	return 0;
}

/* has a local part dots where a Dot-string has none? */
static bool
has_odd_dots(struct slice local)
{
	char c, last = '.';

	if (local.n == 0 || local.p[0] == '"')
		return false;
	for (size_t i = 0; i < local.n; i++, last = c) {
		/* a second "@" has one Dot-string on either side */
		c = local.p[i] == '@' ? '.' : local.p[i];
		if (c == '.' && last == '.')
			return true;
	}
	return last == '.';
}

/* Local-part = Dot-string *("@" Dot-string) / Quoted-string: the "@" is not
 * in RFC 5321; it is there to be told from rubbish and refused as relaying.
 * Beside a "/" dots are RFC 5321's, so that "../a" is no address */
static size_t
scan_local(struct slice in, bool *second_at)
{
	size_t n = scan_dot_string(in), more;
	struct slice next;

	*second_at = false;
	if (n == 0)
		return scan_quoted(in);
	while (n < in.n && in.p[n] == '@') {
		next = drop(in, n + 1);
		more = scan_dot_string(next);
		if (more == 0 || more == next.n || next.p[more] != '@')
			break;
		*second_at = true;
		n += 1 + more;
	}
	if (memchr(in.p, '/', n) != NULL && has_odd_dots(take(in, n)))
		return 0;
	return n;
}

static bool
is_let_dig(char c)
{
	return is_alnum(c) || c == '_' || is_eight_bit(c);
}

/* sub-domain = Let-dig [Ldh-str]                        (RFC 5321, 4.1.2) */
static size_t
scan_subdomain(struct slice in)
{
	size_t n = 0;

	while (n < in.n &&
	    (is_let_dig(in.p[n]) || (n > 0 && in.p[n] == '-')))
		n++;
	return n > 0 && in.p[n - 1] == '-' ? 0 : n;
}

/* Domain = sub-domain *("." sub-domain)                 (RFC 5321, 4.1.2) */
static size_t
scan_domain(struct slice in)
{
	size_t n = scan_subdomain(in), more;

	while (n > 0 && n < in.n && in.p[n] == '.') {
		more = scan_subdomain(drop(in, n + 1));
		if (more == 0)
			break;
		n += 1 + more;
	}
	return n;
}

/* Snum *3("." Snum)                                     (RFC 5321, 4.1.3) */
static bool
parse_ipv4(struct slice in, unsigned char ip[4])
{
	size_t n;
	unsigned v;

	for (int i = 0; i < 4; i++) {
		if (i > 0) {
			if (in.n == 0 || in.p[0] != '.')
				return false;
			in = drop(in, 1);
		}
		for (n = 0, v = 0; n < in.n && n < 3 && is_digit(in.p[n]); n++)
			v = v * 10 + (unsigned)(in.p[n] - '0');
		if (n == 0 || v > 255 || (n > 1 && in.p[0] == '0'))
			return false;
		ip[i] = (unsigned char)v;
		in = drop(in, n);
	}
	return in.n == 0;
}

/* IPv6-hex = 1*4HEXDIG */
static size_t
scan_hex(struct slice in, unsigned *value)
{
	size_t n;
	char c;

	*value = 0;
	for (n = 0; n < in.n && n < 4; n++) {
		c = smtp_lower(in.p[n]);
		if (is_digit(c))
			*value = *value << 4 | (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (unsigned)(c - 'a' + 10);
		else
			break;
	}
	return n;
}

/* eight groups, of which "::" stands for one or more, the last two may be
 * IPv4                                                    (RFC 4291, 2.2) */
static bool
parse_ipv6(struct slice in, unsigned char ip[16])
{
	size_t n, at = 0, gap = 17;
	unsigned v;

	if (in.n >= 2 && in.p[0] == ':' && in.p[1] == ':') {
		gap = 0;
		in = drop(in, 2);
	}
	while (in.n > 0 && at < 16) {
		n = scan_hex(in, &v);
		if (n < in.n && in.p[n] == '.') {
			if (at > 12 || !parse_ipv4(in, ip + at))
				return false;
			at += 4;
			in.n = 0;
			break;
		}
		if (n == 0)
			return false;
		ip[at++] = (unsigned char)(v >> 8);
		ip[at++] = (unsigned char)(v & 0xff);
		in = drop(in, n);
		if (in.n == 0)
			break;
		if (in.p[0] != ':' || in.n == 1)
			return false;
		in = drop(in, 1);
		if (in.p[0] == ':') {
			if (gap < 17)
				return false;
			gap = at;
			in = drop(in, 1);
		}
	}
	if (in.n > 0 || (gap < 17 ? at > 14 : at != 16))
		return false;
	if (gap < 17) {
		memmove(ip + 16 - (at - gap), ip + gap, at - gap);
		memset(ip + gap, 0, 16 - at);
	}
	return true;
}

enum smtp_status
smtp_parse_ip(struct slice in, unsigned char ip[16])
{
	unsigned char v[16] = { [10] = 0xff, [11] = 0xff };

	if (!parse_ipv4(in, v + 12) && !parse_ipv6(in, v))
		return SMTP_ESYNTAX;
	memcpy(ip, v, 16);
	return SMTP_OK;
}

/* General-address-literal = Standardized-tag ":" 1*dcontent
 *                                                       (RFC 5321, 4.1.3) */
static bool
is_general_literal(struct slice in)
{
	const char *colon = in.n > 0 ? memchr(in.p, ':', in.n) : NULL;
	size_t tag = colon == NULL ? 0 : (size_t)(colon - in.p);

	if (tag == 0 || tag + 1 == in.n || !is_alnum(in.p[tag - 1]))
		return false;
	for (size_t i = 0; i < tag; i++)
		if (!is_alnum(in.p[i]) && in.p[i] != '-')
			return false;
	for (size_t i = tag + 1; i < in.n; i++)
		if (in.p[i] < 33 || in.p[i] > 126 ||
		    (in.p[i] >= '[' && in.p[i] <= ']'))
			return false;
	return true;
}

/* address-literal = "[" (IPv4 / "IPv6:" IPv6 / General) "]" */
static size_t
scan_literal(struct slice in)
{
	unsigned char ip[16];
	struct slice a;
	const char *end;
	bool ok;

	if (in.n == 0 || in.p[0] != '[')
		return 0;
	end = memchr(in.p, ']', in.n);
	if (end == NULL)
		return 0;
	a = (struct slice){ in.p + 1, (size_t)(end - in.p) - 1 };
	if (a.n > 5 && smtp_is(take(a, 5), "IPv6:"))
		ok = parse_ipv6(drop(a, 5), ip);
	else
		ok = parse_ipv4(a, ip) || is_general_literal(a);
	return ok ? a.n + 2 : 0;
}

bool
smtp_is_domain(struct slice in)
{
	return in.n > 0 && in.n <= SMTP_DOMAIN_MAX &&
	    scan_domain(in) == in.n && smtp_is_visible(in);
}

bool
smtp_is_host(struct slice in)
{
	return smtp_is_domain(in) && !has_eight_bit(in);
}

bool
smtp_is_literal(struct slice in)
{
	return in.n > 0 && in.n <= SMTP_DOMAIN_MAX && scan_literal(in) == in.n;
}

/* A-d-l ":" = At-domain *("," At-domain) ":"             (RFC 5321, 4.1.2) */
static size_t
scan_route(struct slice in)
{
	size_t n = 0, more;

	for (;;) {
		if (n == in.n || in.p[n] != '@')
			return 0;
		n++;
		more = scan_domain(drop(in, n));
		if (more == 0)
			more = scan_literal(drop(in, n));
		if (more == 0 || n + more == in.n)
			return 0;
		n += more;
		if (in.p[n] == ':')
			return n + 1;
		if (in.p[n] != ',')
			return 0;
		n++;
	}
}

/* esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")(RFC 5321, 4.1.2) */
static size_t
scan_esmtp_keyword(struct slice in)
{
	size_t n = 0;

	while (n < in.n && (is_alnum(in.p[n]) || (n > 0 && in.p[n] == '-')))
		n++;
	return n;
}

/* a name before "<": words, quoted or not, and blanks; 0 if no "<" follows */
static size_t
scan_name(struct slice in)
{
	size_t n = 0, more;

	while (n < in.n && in.p[n] != '<') {
		more = scan_quoted(drop(in, n));
		if (more == 0 && !is_atext(in.p[n]) && !is_blank(in.p[n]) &&
		    in.p[n] != '.')
			return 0;
		n += more > 0 ? more : 1;
	}
	return n < in.n ? n : 0;
}

/* is it no name, but the parameter of a path that is missing: "AUTH=<>"? */
static bool
ends_in_parameter(struct slice name)
{
	size_t at = name.n, n;

	while (at > 0 && !is_blank(name.p[at - 1]))
		at--;
	name = drop(name, at);
	n = scan_esmtp_keyword(name);
	return n > 0 && n + 1 == name.n && name.p[n] == '=';
}

/* Mailbox = Local-part ["@" (Domain ["."] / address-literal)] */
static size_t
scan_mailbox(struct slice in, struct smtp_path *path)
{
	size_t n, m;

	n = scan_local(in, &path->second_at);
	path->local = take(in, n);
	path->domain = drop(path->local, n);
	if (n > 0 && n < in.n && in.p[n] == '@') {
		in = drop(in, n + 1);
		m = scan_domain(in);
		if (m == 0)
			m = scan_literal(in);
		path->domain = take(in, m);
		if (m == 0)
			return 0;
		if (m < in.n && in.p[m] == '.' && in.p[m - 1] != ']') {
			path->lenient |= SMTP_LENIENT_TRAILING_DOT;
			m++;
		}
		n += 1 + m;
	}
	path->eight_bit = has_eight_bit(path->local) ||
	    has_eight_bit(path->domain);
	return n;
}

/* Mailbox, but not esmtp-keyword "=" and more, without "@" */
static size_t
scan_bare_mailbox(struct slice in, struct smtp_path *path)
{
	const size_t n = scan_mailbox(in, path);
	const size_t keyword = scan_esmtp_keyword(path->local);

	if (path->domain.n == 0 && keyword > 0 && keyword < path->local.n &&
	    path->local.p[keyword] == '=')
		return 0;
	return n;
}

/* Path = "<" *blank [[A-d-l ":"] Mailbox *blank] ">" / Mailbox;  0 for no
 * path */
static size_t
scan_path(struct slice in, struct smtp_path *path)
{
	size_t n, m;

	if (in.n == 0 || in.p[0] != '<') {
		path->lenient |= SMTP_LENIENT_NO_BRACKETS;
		return scan_bare_mailbox(in, path);
	}
	n = 1 + scan_blanks(drop(in, 1));
	if (n > 1)
		path->lenient |= SMTP_LENIENT_BLANK_IN_BRACKETS;
	if (n < in.n && in.p[n] == '>') {
		path->local = path->domain = take(in, 0);
		return n + 1;
	}
	m = scan_route(drop(in, n));
	if (m > 0)
		path->lenient |= SMTP_LENIENT_SOURCE_ROUTE;
	n += m;
	m = scan_mailbox(drop(in, n), path);
	if (m == 0)
		return 0;
	n += m;
	m = scan_blanks(drop(in, n));
	if (m > 0)
		path->lenient |= SMTP_LENIENT_BLANK_IN_BRACKETS;
	n += m;
	return n < in.n && in.p[n] == '>' ? n + 1 : 0;
}

/* keyword *blank ":" *blank; 0 if it is not there */
static size_t
scan_keyword(struct slice in, const char *keyword, unsigned *lenient)
{
	struct slice key = smtp_slice(keyword);
	size_t n = key.n, before, behind;

	if (in.n < n || !smtp_same(take(in, n), key))
		return 0;
	before = scan_blanks(drop(in, n));
	n += before;
	if (n == in.n || in.p[n] != ':')
		return 0;
	behind = scan_blanks(drop(in, n + 1));
	if (before > 0)
		*lenient |= SMTP_LENIENT_BLANK_BEFORE_COLON;
	if (behind > 0)
		*lenient |= SMTP_LENIENT_BLANK_AFTER_COLON;
	return n + 1 + behind;
}

/* what a mailbox has that RFC 5321 has not */
static unsigned
lenient_mailbox(struct slice local, struct slice domain)
{
	enum { LOCAL_MAX = 64 };	/* 4.5.3.1.1 */
	unsigned lenient = 0;

	if (has_odd_dots(local))
		lenient |= SMTP_LENIENT_DOTS;
	if (local.n > LOCAL_MAX)
		lenient |= SMTP_LENIENT_LONG_LOCAL_PART;
	if (local.n > 0 && domain.n == 0 && !smtp_is(local, "postmaster"))
		lenient |= SMTP_LENIENT_NO_DOMAIN;
	if (domain.n > 0 && domain.p[0] != '[' &&
	    memchr(domain.p, '_', domain.n) != NULL)
		lenient |= SMTP_LENIENT_UNDERSCORE_IN_DOMAIN;
	return lenient;
}

enum smtp_status
smtp_parse_path(struct slice in, const char *keyword, struct smtp_path *path,
    struct slice *rest)
{
	struct smtp_path found = { .lenient = 0 };
	struct slice behind;
	size_t n;

	if (keyword[0] != '\0') {
		n = scan_keyword(in, keyword, &found.lenient);
		if (n == 0)
			return SMTP_EVALUE;
		in = drop(in, n);
	}
	n = scan_name(in);
	if (ends_in_parameter(take(in, n)))
		return SMTP_ESYNTAX;
	if (n > 0)
		found.lenient |= SMTP_LENIENT_NAME_BEFORE_BRACKETS;
	in = drop(in, n);
	n = scan_path(in, &found);
	if (n == 0)
		return SMTP_ESYNTAX;
	in = drop(in, n);
	if (in.n > 0 && !is_blank(in.p[0]))
		return n > 1 && in.p[-1] == '>' ? SMTP_EVALUE : SMTP_ESYNTAX;
	if (found.domain.n > SMTP_DOMAIN_MAX ||
	    found.local.n > SMTP_MAILBOX_MAX ||
	    found.domain.n >= SMTP_MAILBOX_MAX - found.local.n)
		return SMTP_ELONG;
	found.lenient |= lenient_mailbox(found.local, found.domain);
	behind = smtp_trim(in);
	if (behind.n > 0 && memchr(in.p, '\t',
	    (size_t)(behind.p - in.p) + behind.n) != NULL)
		found.lenient |= SMTP_LENIENT_TAB_FOR_BLANK;
	if (keyword[0] == '\0')
		found.lenient = 0;
	*path = found;
	*rest = behind;
	return SMTP_OK;
}

/* how far in goes on as a path, or could; of a whole one, where its address
 * begins */
static size_t
scan_towards_path(struct slice in)
{
	struct smtp_path path = { .lenient = 0 };
	size_t n = scan_name(in), begin, m;
	const bool bracket = n < in.n && in.p[n] == '<';

	if (bracket)
		n += 1 + scan_blanks(drop(in, n + 1));
	n += scan_route(drop(in, n));
	begin = n;
	n += scan_local(drop(in, n), &path.second_at);
	if (path.second_at || (n == begin && !(bracket && n < in.n &&
	    in.p[n] == '>')))
		return n;
	if (n < in.n && in.p[n] == '@') {
		n++;
		m = scan_domain(drop(in, n));
		if (m == 0)
			m = scan_literal(drop(in, n));
		if (m == 0)
			return n;
		n += m;
		n += n < in.n && in.p[n] == '.';
	}
	n += scan_blanks(drop(in, n));
	if (bracket && n < in.n && in.p[n] == '>')
		n++;
	return bracket && in.p[n - 1] == '>' && (n == in.n ||
	    is_blank(in.p[n])) ? begin : n;
}

/* how far in goes on as keyword *blank ":" */
static size_t
scan_towards_keyword(struct slice in, const char *keyword)
{
	size_t n = 0;

	while (n < in.n && keyword[n] != '\0' &&
	    smtp_lower(in.p[n]) == smtp_lower(keyword[n]))
		n++;
	return keyword[n] == '\0' ? n + scan_blanks(drop(in, n)) : n;
}

bool
smtp_leniency(unsigned i, struct slice *name, struct slice *rule)
{
	static const struct { char name[21], rule[20]; } all[] = {
		{ "no-brackets", "RFC 5321, 4.1.2" },
		{ "blank-before-colon", "RFC 5321, 3.3" },
		{ "blank-after-colon", "RFC 5321, 3.3" },
		{ "name-before-brackets", "RFC 5321, 4.1.2" },
		{ "blank-in-brackets", "RFC 5321, 4.1.2" },
		{ "dots", "RFC 5321, 4.1.2" },
		{ "trailing-dot", "RFC 5321, 4.1.2" },
		{ "source-route", "RFC 5321, 4.1.1.3" },
		{ "no-domain", "RFC 5321, 4.1.2" },
		{ "long-local-part", "RFC 5321, 4.5.3.1.1" },
		{ "underscore-in-domain", "RFC 5321, 4.1.2" },
		{ "tab-for-blank", "RFC 5321, 4.1.1" },
		{ "auth-parameter", "RFC 4954, 5" },
		{ "no-helo", "RFC 5321, 4.1.4" },
		{ "lf-line", "RFC 5321, 2.3.8" },
		{ "bare-newline", "RFC 5321, 2.3.8" },
		{ "helo-name", "RFC 5321, 4.1.1.1" },
		{ "long-line", "RFC 5321, 4.5.3.1.4" },
		{ "not-offered", "RFC 5321, 4.1.1.11" }
	};

	if (i >= sizeof(all) / sizeof(all[0]))
		return false;
	*name = smtp_slice(all[i].name);
	*rule = smtp_slice(all[i].rule);
	return true;
}

void
smtp_put_lenient(struct smtp_text *t, unsigned lenient)
{
	const char *comma = "";
	struct slice name, rule;

	for (unsigned i = 0; smtp_leniency(i, &name, &rule); i++) {
		if ((lenient & 1U << i) == 0)
			continue;
		smtp_puts(t, comma);
		smtp_put(t, name);
		comma = ",";
	}
}

enum smtp_status
smtp_unquote(struct slice local, char *buf, size_t size, size_t *n)
{
	size_t used = 0;
	bool quoted = local.n >= 2 && local.p[0] == '"';

	if (quoted)
		local = (struct slice){ local.p + 1, local.n - 2 };
	for (size_t i = 0; i < local.n; i++) {
		if (quoted && local.p[i] == '\\' && i + 1 < local.n)
			i++;
		if (used == size)
			return SMTP_ELONG;
		buf[used++] = local.p[i];
	}
	*n = used;
	return SMTP_OK;
}

bool
smtp_relays(struct slice local)
{
	if (local.n == 0 || local.p[0] == '"')
		return false;
	return memchr(local.p, '%', local.n) != NULL ||
	    memchr(local.p, '!', local.n) != NULL ||
	    memchr(local.p, '@', local.n) != NULL;
}

/* mime-charset = 1*mime-charset-chars                     (RFC 2978, 2.3) */
bool
smtp_is_charset(struct slice in)
{
	for (size_t i = 0; i < in.n; i++)
		if (!is_alnum(in.p[i]) && (in.p[i] == '\0' ||
		    strchr("!#$%&'+-^_`{}~", in.p[i]) == NULL))
			return false;
	return in.n > 0 && in.n <= SMTP_CHARSET_MAX;
}

void
smtp_split_extension(struct slice local, char delimiter, struct slice *user,
    struct slice *extension)
{
	const char *at = NULL;

	if (delimiter != '\0' && local.n > 1)
		at = memchr(local.p + 1, delimiter, local.n - 1);
	*user = local;
	*extension = drop(local, local.n);
	if (at != NULL) {
		*user = take(local, (size_t)(at - local.p));
		*extension = drop(local, user->n + 1);
	}
}

bool
smtp_names_file(struct slice value)
{
	if (value.n == 0 || value.n > SMTP_NAME_MAX ||
	    value.p[0] == '.' || value.p[0] == '-')
		return false;
	return memchr(value.p, '/', value.n) == NULL &&
	    !smtp_has_control(value);
}

/* one network of a list, which is moved past it: "*", or an address with or
 * without a number of bits; 0 bits of "*" are any */
static bool
next_net(struct slice *in, unsigned char ip[16], size_t *bits, bool *any)
{
	struct slice net, number = { NULL, 0 };
	const char *slash;
	uint64_t v = 128;
	bool v4;

	while (in->n > 0 && (is_blank(in->p[0]) || in->p[0] == ','))
		*in = drop(*in, 1);
	net = take(*in, 0);
	while (net.n < in->n && !is_blank(in->p[net.n]) && in->p[net.n] != ',')
		net.n++;
	*in = drop(*in, net.n);
	*any = smtp_is(net, "*");
	if (*any || net.n == 0)
		return *any;
	slash = memchr(net.p, '/', net.n);
	if (slash != NULL) {
		number = drop(net, (size_t)(slash - net.p) + 1);
		net.n = (size_t)(slash - net.p);
	}
	v4 = memchr(net.p, ':', net.n) == NULL;
	if (smtp_parse_ip(net, ip) != SMTP_OK)
		return false;
	if (slash != NULL && (smtp_parse_number(number, 256, &v) != SMTP_OK ||
	    number.n > 3 || v > (v4 ? 32 : 128)))
		return false;
	/* an IPv4 address is the last 32 bits of 128 */
	*bits = (size_t)v + (slash != NULL && v4 ? 96 : 0);
	return true;
}

bool
smtp_is_nets(struct slice nets)
{
	unsigned char ip[16];
	size_t bits, n = 0;
	bool any;

	for (;;) {
		while (nets.n > 0 && (is_blank(nets.p[nets.n - 1]) ||
		    nets.p[nets.n - 1] == ','))
			nets.n--;
		if (nets.n == 0)
			return n > 0;
		if (!next_net(&nets, ip, &bits, &any))
			return false;
		n++;
	}
}

/* do so many leading bits agree? */
static bool
same_bits(const unsigned char a[16], const unsigned char b[16], size_t bits)
{
	size_t whole = bits / 8, left = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return left == 0 || ((a[whole] ^ b[whole]) >> (8 - left)) == 0;
}

bool
smtp_nets_match(struct slice nets, const unsigned char ip[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	unsigned char net[16];
	size_t bits;
	bool any, v4 = ip != NULL && memcmp(ip, mapped, sizeof(mapped)) == 0;

	while (next_net(&nets, net, &bits, &any)) {
		if (any)
			return true;
		/* ::/0 is IPv6, of which IPv4 is no part */
		if (ip != NULL && (!v4 || bits >= 96) &&
		    same_bits(net, ip, bits))
			return true;
	}
	return false;
}

bool
smtp_domain_matches(struct slice pattern, struct slice domain)
{
	if (smtp_is(pattern, "*"))
		return true;
	if (pattern.n > 1 && pattern.p[0] == '.')
		return domain.n > pattern.n &&
		    smtp_same(pattern, drop(domain, domain.n - pattern.n));
	return smtp_same(pattern, domain);
}

struct slice
smtp_list_line(struct slice in)
{
	const char *hash = in.n > 0 ? memchr(in.p, '#', in.n) : NULL;

	if (hash != NULL)
		in = take(in, (size_t)(hash - in.p));
	if (in.n > 0 && in.p[in.n - 1] == '\r')
		in.n--;
	return smtp_trim(in);
}

bool
smtp_user_matches(struct slice entry, struct slice local, struct slice user,
    struct slice domain)
{
	size_t at = entry.n;

	while (at > 0 && entry.p[at - 1] != '@')
		at--;
	if (at > 0) {
		if (!smtp_same(drop(entry, at), domain))
			return false;
		entry = take(entry, at - 1);
		if (entry.n == 0)
			return true;
	}
	return smtp_same(entry, local) || smtp_same(entry, user);
}

/*
 * A whole list.  Of a million lines few can match, and which is told from a
 * few octets at fixed distances, so that compilers look at many places at
 * once.  In front of an entry is a line end or a blank.  It begins with a mark
 * ("@"; "." or "*"), or with the name looked for, of which two octets are
 * compared, and behind that it ends, or "@" follows, or what the local part
 * goes on with behind the user.  Of those octets only the bits are looked at
 * that none of them has, and of letters all but the one that tells case: what
 * matches is not missed, and what else gets through is looked at again.
 */
enum {
	BLOCK = 256,
	NOT_BEFORE = 0xff & ~('\n' | '\t' | ' '),
	NOT_BEHIND = 0xff & ~('\n' | '\r' | '\t' | ' ' | '#'),
	NO_CASE = 0xff & ~0x20
};

struct sought {
	struct slice	 local, user, domain;	/* who; or only the domain */
	bool		 users;		/* it is a list of users */
	struct slice	 name;		/* which of them is looked for */
	size_t		 one, two;	/* the octets of it to compare */
	unsigned char	 c1, c2;	/* which they are */
	unsigned char	 mark, marks;	/* a mark, and the bits marks share */
	unsigned char	 not_behind;	/* bits of what is not behind it */
};

/* Which two octets differ the most from one name of a list to the next: the
 * last two digits of a user or of a domain's first label; one digit and its
 * neighbour; the first octet and the last.  No name: its mark will do. */
static void
seek_octets(struct sought *s)
{
	const char *dot = s->users || s->name.n == 0 ? NULL :
	    memchr(s->name.p, '.', s->name.n);
	size_t n = dot == NULL ? s->name.n : (size_t)(dot - s->name.p);
	size_t digits = 0;

	s->c1 = s->c2 = s->mark;
	s->one = s->two = 0;
	if (n == 0)
		return;
	s->two = n - 1;
	for (size_t i = n; i > 0 && digits < 2; i--)
		if (is_digit(s->name.p[i - 1])) {
			if (digits++ == 0)
				s->two = i - 1;
			else
				s->one = i - 1;
		}
	if (digits == 1)
		s->one = s->two > 0 ? s->two - 1 : n - 1;
	s->c1 = (unsigned char)s->name.p[s->one];
	s->c2 = (unsigned char)s->name.p[s->two];
}

/* At which of so many octets may an entry begin that matches?  One octet
 * before them is looked at, and name.n behind. */
static bool
look_at_block(const struct sought *s, const char *in,
    unsigned char hit[restrict BLOCK])
{
	const unsigned char *const at = (const unsigned char *)in;
	const unsigned char *const before = at - 1;
	const unsigned char *const behind = at + s->name.n;
	const unsigned char *const one = at + s->one, *const two = at + s->two;
	const unsigned char c1 = s->c1, c2 = s->c2, not_behind = s->not_behind;
	const unsigned char mark = s->mark, marks = s->marks;
	unsigned char any[BLOCK / 2];
	uint64_t words[2];

	for (int i = 0; i < BLOCK; i++) {
		unsigned char name = (unsigned char)
		    ((((one[i] ^ c1) | (two[i] ^ c2)) & NO_CASE) |
		    (behind[i] & not_behind));
		unsigned char marked = (unsigned char)
		    ((at[i] ^ mark) & marks);
		unsigned char miss = name < marked ? name : marked;

		hit[i] = (miss | (before[i] & NOT_BEFORE)) == 0;
	}
	for (int i = 0; i < BLOCK / 2; i++)
		any[i] = hit[i] | hit[i + BLOCK / 2];
	for (int i = 0; i < BLOCK / 4; i++)
		any[i] |= any[i + BLOCK / 4];
	for (int i = 0; i < BLOCK / 8; i++)
		any[i] |= any[i + BLOCK / 8];
	for (int i = 0; i < BLOCK / 16; i++)
		any[i] |= any[i + BLOCK / 16];
	memcpy(words, any, sizeof(words));
	return (words[0] | words[1]) != 0;
}

/* may in begin with the name, and with the domain if there is an "@" then? */
static bool
may_be(struct slice in, struct slice name, struct slice domain)
{
	if (in.n < name.n || !smtp_same(take(in, name.n), name))
		return false;
	in = drop(in, name.n);
	if (in.n == 0 || in.p[0] != '@')
		return in.n == 0 || (in.p[0] & NOT_BEHIND) == 0;
	in = drop(in, 1);
	return in.n >= domain.n && smtp_same(take(in, domain.n), domain);
}

/* may in begin with an entry that matches?  A no is right. */
static bool
may_match(const struct sought *s, struct slice in)
{
	const struct slice none = take(s->domain, 0), d = s->domain;

	if (s->users)
		return may_be(in, s->name, d) || may_be(in, none, d) ||
		    (s->local.n > s->name.n && may_be(in, s->local, d));
	if (in.p[0] == '*' || may_be(in, d, none))
		return true;
	for (size_t i = 1; in.p[0] == '.' && i + 1 < d.n; i++)
		if (d.p[i] == '.' && in.n > 1 &&
		    smtp_lower(d.p[i + 1]) == smtp_lower(in.p[1]) &&
		    may_be(in, drop(d, i), none))
			return true;
	return false;
}

/* is only blank what is between there and the line end before? */
static bool
begins_line(struct slice list, size_t at)
{
	while (at > 0 && is_blank(list.p[at - 1]))
		at--;
	return at == 0 || list.p[at - 1] == '\n';
}

/* does the line that begins there match?  *at is moved behind it. */
static bool
line_matches(const struct sought *s, struct slice list, size_t *at)
{
	struct slice line = drop(list, *at);
	const char *lf = memchr(line.p, '\n', line.n);

	if (lf != NULL)
		line.n = (size_t)(lf - line.p);
	*at += line.n + (lf != NULL);
	line = smtp_list_line(line);
	if (line.n == 0)
		return false;
	return s->users ? smtp_user_matches(line, s->local, s->user,
	    s->domain) : smtp_domain_matches(line, s->domain);
}

static bool
list_holds(struct slice list, struct sought *s)
{
	unsigned char hit[BLOCK];
	size_t at = 0, line;

	seek_octets(s);
	if (list.n == 0 || line_matches(s, list, &at))
		return list.n > 0;
	/* from here on there is an octet in front of every place */
	for (; list.n - at >= BLOCK + s->name.n; at += BLOCK) {
		if (!look_at_block(s, list.p + at, hit))
			continue;
		for (size_t i = 0; i < BLOCK; i++) {
			line = at + i;
			if (hit[i] != 0 && may_match(s, drop(list, line)) &&
			    begins_line(list, line) &&
			    line_matches(s, list, &line))
				return true;
		}
	}
	while (at > 0 && at < list.n && list.p[at - 1] != '\n')
		at--;
	while (at < list.n)
		if (line_matches(s, list, &at))
			return true;
	return false;
}

/* [1*(atext / ".")] ["@" (Domain / address-literal)], one of them at least */
bool
smtp_is_user(struct slice in)
{
	struct slice domain;
	size_t n = 0;

	while (n < in.n && (is_atext(in.p[n]) || in.p[n] == '.'))
		n++;
	if (n == in.n || in.p[n] != '@')
		return n > 0 && n == in.n;
	domain = drop(in, n + 1);
	return smtp_is_domain(domain) || smtp_is_literal(domain);
}

bool
smtp_domains_hold(struct slice list, struct slice domain)
{
	struct sought s = { .domain = domain, .name = domain, .mark = '*',
	    .marks = 0xff & ~('*' ^ '.'), .not_behind = NOT_BEHIND };

	return list_holds(list, &s);
}

bool
smtp_users_hold(struct slice list, struct slice local, struct slice user,
    struct slice domain)
{
	struct sought s = { .local = local, .user = user, .domain = domain,
	    .users = true, .name = user, .mark = '@', .marks = 0xff,
	    .not_behind = NOT_BEHIND & ~'@' };

	/* as it is, one look is enough for both */
	if (user.n > 0 && local.n >= user.n &&
	    smtp_same(take(local, user.n), user)) {
		if (local.n > user.n)
			s.not_behind &= (unsigned char)
			    ~((unsigned char)local.p[user.n] | 0x20);
		return list_holds(list, &s);
	}
	if (list_holds(list, &s))
		return true;
	s.name = local;
	return list_holds(list, &s);
}

/* a template knows the first three, a program's argument all; the last one
 * stands for an argument, not for a part of one */
enum { PLACE_NONE, PLACE_USER, PLACE_DOMAIN, PLACE_EXTENSION,
    PLACE_RECIPIENT, PLACE_SENDER, PLACE_RECIPIENTS };

/* "{user}" / "{domain}" / ...: those up to last; 0 for none of them */
static size_t
scan_placeholder(struct slice in, int last, int *which)
{
	static const char names[][13] = {
		"", "{user}", "{domain}", "{extension}", "{recipient}",
		"{sender}", "{recipients}"
	};
	size_t n;

	for (*which = last; *which > PLACE_NONE; --*which) {
		n = strlen(names[*which]);
		if (begins(in, names[*which], n) == FIT_YES)
			return n;
	}
	return 0;
}

/* does a component hold that placeholder; or any, for PLACE_NONE? */
static bool
holds_placeholder(struct slice in, int which)
{
	int found;

	for (; in.n > 0; in = drop(in, 1))
		if (scan_placeholder(in, PLACE_EXTENSION, &found) > 0 &&
		    (which == PLACE_NONE || found == which))
			return true;
	return false;
}

bool
smtp_is_template(struct slice path)
{
	return holds_placeholder(path, PLACE_NONE);
}

static struct slice
template_value(const struct smtp_values *v, int which)
{
	switch (which) {
	case PLACE_USER:
		return v->user;
	case PLACE_DOMAIN:
		return v->domain;
	default:
		return v->extension;
	}
}

/* is it one of a Maildir's own directories? */
static bool
is_maildirs(struct slice name)
{
	return smtp_is(name, "tmp") || smtp_is(name, "new") ||
	    smtp_is(name, "cur");
}

/* one component, without its slash */
static enum smtp_status
expand_part(struct slice part, const struct smtp_values *v,
    struct smtp_text *out)
{
	const size_t from = out->n;
	struct slice value;
	size_t n, name = 0;
	bool extension = false, replaced = false;
	int which;

	for (; part.n > 0; part = drop(part, n)) {
		n = scan_placeholder(part, PLACE_EXTENSION, &which);
		if (n == 0) {
			n = 1;
			name++;
			smtp_put(out, take(part, 1));
			continue;
		}
		replaced = true;
		extension = extension || which == PLACE_EXTENSION;
		value = template_value(v, which);
		name += value.n;
		if (!smtp_names_file(value))
			return SMTP_EVALUE;
		for (size_t i = 0; i < value.n; i++) {
			char c = value.p[i];

			if (which != PLACE_EXTENSION)
				c = smtp_lower(c);
			smtp_put(out, (struct slice){ &c, 1 });
		}
	}
	if ((replaced && name > SMTP_NAME_MAX) || (extension && !out->cut &&
	    is_maildirs((struct slice){ out->p + from, out->n - from })))
		return SMTP_EVALUE;
	return SMTP_OK;
}

enum smtp_status
smtp_expand(struct slice template, const struct smtp_values *v, bool extended,
    struct smtp_text *out)
{
	enum smtp_status status;
	struct slice part;
	const char *slash;

	for (; template.n > 0; template = drop(template, part.n)) {
		slash = memchr(template.p, '/', template.n);
		part = template;
		if (slash != NULL)
			part.n = (size_t)(slash - template.p);
		if (extended || !holds_placeholder(part, PLACE_EXTENSION)) {
			status = expand_part(part, v, out);
			if (status != SMTP_OK)
				return status;
			smtp_puts(out, slash != NULL ? "/" : "");
		}
		part.n += slash != NULL;
	}
	return smtp_string(out) == NULL ? SMTP_ELONG : SMTP_OK;
}

void
smtp_values_of(struct smtp_values *v, struct slice local, struct slice domain,
    char delimiter, char buf[SMTP_MAILBOX_MAX])
{
	struct slice unquoted = { buf, 0 };

	(void)smtp_unquote(local, buf, SMTP_MAILBOX_MAX, &unquoted.n);
	smtp_split_extension(unquoted, delimiter, &v->user, &v->extension);
	v->domain = domain;
}

struct slice
smtp_fixed(struct slice template)
{
	size_t end = 0;

	for (size_t n = 0; n < template.n && template.p[n] != '{'; n++)
		if (template.p[n] == '/')
			end = n + 1;
	return take(template, end);
}

uint32_t
smtp_hash(struct slice address)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < address.n; i++)
		h = (h ^ (unsigned char)smtp_lower(address.p[i])) * 16777619U;
	return h;
}

struct slice
smtp_rcpt_address(const struct smtp_rcpt *r)
{
	return (struct slice){ r->local.p, r->local.n + 1 + r->domain.n };
}

enum { INDEX_SIZE = sizeof(((struct smtp_rcpt_index *)NULL)->first) /
    sizeof(uint16_t) };

/* from the i-th on, one more than the number of the next recipient that has
 * the address; 0 for none */
static size_t
find_rcpt(const struct smtp_rcpt *all, size_t i, struct slice address,
    uint32_t hash)
{
	while (i > 0 && (all[i - 1].hash != hash ||
	    !smtp_same(smtp_rcpt_address(&all[i - 1]), address)))
		i = all[i - 1].next;
	return i;
}

void
smtp_rcpt_enter(struct smtp_rcpt_index *index, struct smtp_rcpt *all, size_t n)
{
	const struct slice address = smtp_rcpt_address(&all[n]);
	const uint32_t hash = smtp_hash(address);
	uint16_t *first = &index->first[hash % INDEX_SIZE];
	size_t i = find_rcpt(all, *first, address, hash);

	all[n].hash = hash;
	all[n].same = n;
	all[n].next = *first;
	*first = (uint16_t)(n + 1);
	for (; i > 0; i = find_rcpt(all, all[i - 1].next, address, hash))
		if (memcmp(all[i - 1].local.p, address.p, all[n].local.n) == 0)
			all[n].same = all[i - 1].same;
}

bool
smtp_rcpt_loops(const struct smtp_rcpt_index *index, struct smtp_rcpt *all,
    struct slice address)
{
	const uint32_t hash = smtp_hash(address);
	size_t i = find_rcpt(all, index->first[hash % INDEX_SIZE], address,
	    hash);
	const bool found = i > 0;

	for (; i > 0; i = find_rcpt(all, all[i - 1].next, address, hash))
		all[i - 1].loops = true;
	return found;
}

void
smtp_rcpt_forget(struct smtp_rcpt_index *index, const struct smtp_rcpt *all,
    size_t n)
{
	while (n-- > 0)
		index->first[all[n].hash % INDEX_SIZE] = 0;
}

size_t
smtp_rcpt_group(struct smtp_rcpt *all, size_t n, size_t *first)
{
	const struct smtp_rcpt *r;
	size_t boxes = 0, b;

	for (size_t i = 0; i < n; i++) {
		r = &all[all[i].same];
		for (b = 0; b < boxes; b++)
			if (memcmp(r->key, all[first[b]].key,
			    sizeof(r->key)) == 0)
				break;
		if (b == boxes)
			first[boxes++] = i;
		all[i].box = b;
	}
	return boxes;
}

size_t
smtp_rcpt_next(const struct smtp_rcpt *all, size_t n, size_t i)
{
	const size_t box = all[i].box;

	do
		i++;
	while (i < n && (all[i].box != box || all[i].same != i));
	return i;
}

bool
smtp_rcpt_all_loop(const struct smtp_rcpt *all, size_t n, size_t i)
{
	const size_t box = all[i].box;

	while (i < n && (all[i].box != box || all[i].loops))
		i++;
	return i == n;
}

bool
smtp_is_domain_pattern(struct slice in)
{
	if (smtp_is(in, "*") || (in.n > 1 && in.p[0] == '@'))
		return true;
	if (in.n > 1 && in.p[0] == '.')
		return smtp_is_domain(drop(in, 1));
	return smtp_is_domain(in) || smtp_is_literal(in);
}

bool
smtp_is_delimiter(struct slice in)
{
	if (in.n == 0)
		return true;
	return in.n == 1 && in.p[0] > ' ' && in.p[0] <= '~' &&
	    strchr("@\"\\/", in.p[0]) == NULL;
}

/* "[" address "]" ":" port, or an IPv4 address without brackets */
enum smtp_status
smtp_parse_server(struct slice in, unsigned char ip[16], unsigned *port)
{
	struct slice host = in;
	uint64_t v;

	while (host.n > 0 && host.p[host.n - 1] != ':')
		host.n--;
	if (host.n == 0 || smtp_parse_number(drop(in, host.n), 65536, &v) !=
	    SMTP_OK || v > 65535)
		return SMTP_ESYNTAX;
	host.n--;
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = take(drop(host, 1), host.n - 2);
	else if (memchr(host.p, ':', host.n) != NULL)
		return SMTP_ESYNTAX;
	if (smtp_parse_ip(host, ip) != SMTP_OK)
		return SMTP_ESYNTAX;
	*port = (unsigned)v;
	return SMTP_OK;
}

/* ---- programs --------------------------------------------------------- */

/* the next octet of a local part without its quotes, and how long it is as
 * it stands there */
static size_t
scan_plain(struct slice in, bool quoted, char *c)
{
	size_t n = quoted && in.n > 1 && in.p[0] == '\\' ? 2 : 1;

	*c = in.p[n - 1];
	return n;
}

/* what is between the quotes, if it has some */
static struct slice
without_quotes(struct slice local, bool *quoted)
{
	*quoted = local.n >= 2 && local.p[0] == '"';
	return *quoted ? take(drop(local, 1), local.n - 2) : local;
}

/* Dot-string = Atom *("." Atom)                         (RFC 5321, 4.1.2) */
bool
smtp_needs_quotes(struct slice local)
{
	struct slice in;
	char c, last = '.';
	bool quoted;

	in = without_quotes(local, &quoted);
	if (!quoted)
		return false;
	for (; in.n > 0; last = c) {
		in = drop(in, scan_plain(in, true, &c));
		if (c == '.' ? last == '.' : !is_atext(c))
			return true;
		/* in quotes they were no relaying: see smtp_relays */
		if (c == '%' || c == '!')
			return true;
	}
	return last == '.';
}

void
smtp_put_address(struct smtp_text *t, struct slice local, struct slice domain)
{
	bool quoted = false;
	char c;

	if (!smtp_needs_quotes(local))
		local = without_quotes(local, &quoted);
	while (local.n > 0) {
		local = drop(local, scan_plain(local, quoted, &c));
		smtp_put(t, (struct slice){ &c, 1 });
	}
	if (domain.n > 0)
		smtp_puts(t, "@");
	smtp_put(t, domain);
}

bool
smtp_has_argument(struct slice arg)
{
	int which;

	for (; arg.n > 0; arg = drop(arg, 1))
		if (scan_placeholder(arg, PLACE_SENDER, &which) > 0)
			return true;
	return false;
}

static struct slice
argument_value(const struct smtp_arguments *v, int which)
{
	switch (which) {
	case PLACE_USER:
		return v->user;
	case PLACE_DOMAIN:
		return v->domain;
	case PLACE_EXTENSION:
		return v->extension;
	case PLACE_RECIPIENT:
		return v->recipient;
	default:
		return v->sender;
	}
}

/* may the value stand there, but for a "-" in front? */
static bool
argument_fits(const struct smtp_arguments *v, int which, bool path)
{
	struct slice value = argument_value(v, which);

	if (which == PLACE_SENDER ? v->sender_quoted :
	    v->quoted && which != PLACE_DOMAIN)
		return false;
	if (which != PLACE_RECIPIENT && which != PLACE_SENDER)
		path = true;
	if (!path || value.n == 0)
		return true;
	if (value.p[0] == '.' && (which != PLACE_EXTENSION ||
	    smtp_is(value, ".") || smtp_is(value, "..")))
		return false;
	return memchr(value.p, '/', value.n) == NULL;
}

enum smtp_status
smtp_put_argument(struct smtp_text *t, struct slice arg,
    const struct smtp_arguments *v)
{
	const bool path = arg.n > 0 && memchr(arg.p, '/', arg.n) != NULL;
	const bool option = arg.n > 0 && arg.p[0] == '-';
	struct slice value;
	bool first = true;
	size_t n;
	int which;
	char c;

	for (; arg.n > 0; arg = drop(arg, n)) {
		n = scan_placeholder(arg, PLACE_SENDER, &which);
		value = take(arg, n > 0 ? n : 1);
		if (n == 0)
			n = 1;
		else if (argument_value(v, which).p == NULL)
			which = PLACE_NONE;
		else if (!argument_fits(v, which, path))
			return SMTP_EVALUE;
		else
			value = argument_value(v, which);
		for (size_t i = 0; i < value.n; i++, first = false) {
			c = value.p[i];
			if (first && c == '-' && !option)
				return SMTP_EVALUE;
			if (which == PLACE_USER || which == PLACE_DOMAIN)
				c = smtp_lower(c);
			smtp_put(t, (struct slice){ &c, 1 });
		}
	}
	return t->cut ? SMTP_ELONG : SMTP_OK;
}

static bool
is_letter(char c)
{
	return is_alnum(c) && !is_digit(c);
}

/* "-" and letters: how many octets */
static size_t
scan_letters(struct slice in)
{
	size_t n = 1;

	if (in.n == 0 || in.p[0] != '-')
		return 0;
	while (n < in.n && is_letter(in.p[n]))
		n++;
	return n > 1 ? n : 0;
}

/* the name of a long option, without its hyphens: one of these, cut short as
 * getopt_long(3) takes it, or behind other words */
static bool
is_command_name(struct slice name)
{
	static const char names[][11] = {
		"command", "exec", "execute", "eval", "expression"
	};
	struct slice known, last = name;

	for (size_t i = name.n; i > 0; i--)
		if (name.p[i - 1] == '-') {
			last = drop(name, i);
			break;
		}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		known = smtp_slice(names[i]);
		if (smtp_same(last, known) || (name.n > 0 &&
		    name.n < known.n && smtp_same(name, take(known, name.n))))
			return true;
	}
	return false;
}

/* what the argument behind an option is */
static enum smtp_behind
option_takes(struct slice word)
{
	enum { LETTERS_C = 5, LETTERS_E = 3 };

	if (word.n > 2 && word.p[0] == '-' && word.p[1] == '-')
		return is_command_name(drop(word, 2)) ? SMTP_BEHIND_COMMAND :
		    SMTP_BEHIND_NOTHING;
	if (word.n == 0 || scan_letters(word) != word.n)
		return SMTP_BEHIND_NOTHING;
	if (word.n - 1 <= LETTERS_C && memchr(word.p, 'c', word.n) != NULL)
		return memchr(word.p, 'o', word.n) != NULL ?
		    SMTP_BEHIND_NAME : SMTP_BEHIND_SHELL;
	return word.n - 1 <= LETTERS_E && word.p[word.n - 1] == 'e' ?
	    SMTP_BEHIND_COMMAND : SMTP_BEHIND_NOTHING;
}

/* what the next argument is, behind this one and those before */
static enum smtp_behind
behind_next(enum smtp_behind behind, struct slice arg)
{
	const bool option = arg.n > 0 && (arg.p[0] == '-' || arg.p[0] == '+');

	if (behind == SMTP_BEHIND_NAME)
		return SMTP_BEHIND_SHELL;
	if (behind != SMTP_BEHIND_SHELL)
		return option_takes(arg);
	if (!option)
		return SMTP_BEHIND_NOTHING;
	return arg.n > 1 && arg.p[1] != '-' &&
	    memchr(arg.p, 'o', arg.n) != NULL ? SMTP_BEHIND_NAME :
	    SMTP_BEHIND_SHELL;
}

/* an option and its argument in one word */
static bool
joins_command(struct slice arg)
{
	const char *equals = arg.n > 0 ? memchr(arg.p, '=', arg.n) : NULL;
	size_t n = scan_letters(arg);

	if (n == 0 && equals != NULL)
		n = (size_t)(equals - arg.p);
	return option_takes(take(arg, n)) != SMTP_BEHIND_NOTHING;
}

bool
smtp_is_command(enum smtp_behind *behind, struct slice arg)
{
	const bool command = *behind != SMTP_BEHIND_NOTHING ||
	    joins_command(arg);
	bool placeholder = false, sign = smtp_has_control(arg);
	size_t n;
	int which;

	*behind = behind_next(*behind, arg);
	for (; arg.n > 0; arg = drop(arg, n)) {
		n = scan_placeholder(arg, PLACE_RECIPIENTS, &which);
		placeholder = placeholder || n > 0;
		if (n > 0)
			continue;
		n = 1;
		sign = sign || (arg.p[0] != '\0' &&
		    strchr(" '\"`|&;<>()$\\*?[]#~!", arg.p[0]) != NULL);
	}
	return placeholder && (command || sign);
}

bool
smtp_fits_environment(struct slice value)
{
	if (value.n >= 2 && value.p[0] == '(' && value.p[1] == ')')
		return false;
	return smtp_is_text(value);
}

bool
smtp_put_variable(struct smtp_text *t, const char *name, struct slice value)
{
	struct smtp_text w = *t;

	if (!smtp_fits_environment(value))
		return false;
	smtp_puts(&w, name);
	smtp_puts(&w, "=");
	smtp_put(&w, value);
	smtp_put(&w, (struct slice){ "", 1 });
	if (w.cut)
		return false;
	*t = w;
	return true;
}

/* subject = detail = 1*3DIGIT, "without leading zero digits"
 *                                                     (RFC 3463, section 2) */
static size_t
scan_subcode(struct slice in)
{
	size_t n = 0;

	while (n < in.n && n < 3 && is_digit(in.p[n]))
		n++;
	return n > 1 && in.p[0] == '0' ? 0 : n;
}

/* status-code = ( "2" / "4" / "5" ) "." subject "." detail, and no more in
 * the word                                            (RFC 3463, section 2) */
static size_t
scan_enhanced(struct slice in)
{
	size_t n = 1, more;

	if (in.n == 0 || (in.p[0] != '2' && in.p[0] != '4' && in.p[0] != '5'))
		return 0;
	for (int i = 0; i < 2; i++) {
		if (n == in.n || in.p[n] != '.')
			return 0;
		more = scan_subcode(drop(in, n + 1));
		if (more == 0)
			return 0;
		n += 1 + more;
	}
	return n < in.n && !is_blank(in.p[n]) ? 0 : n;
}

enum smtp_status
smtp_parse_enhanced(struct slice in, char class, struct slice *code,
    struct slice *text)
{
	size_t n = scan_enhanced(in);
	struct slice words = smtp_trim(drop(in, n));

	if (n == 0 || words.n == 0)
		return SMTP_ESYNTAX;
	if (class != 0 ? in.p[0] != class : in.p[0] == '2')
		return SMTP_EVALUE;
	*code = take(in, n);
	*text = words;
	return SMTP_OK;
}

static bool
is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

/* A CR waits for what follows: with an LF it is a line end, even where that
 * line is empty and the one before it is still the last. */
void
smtp_last(struct smtp_last *l, struct slice in)
{
	char c;

	for (; in.n > 0; in = drop(in, 1)) {
		c = in.p[0];
		if (c == '\n') {
			l->ended = l->n > 0 || l->unfit;
			l->cr = false;
			continue;
		}
		if (c == '\r' && !l->cr) {
			l->cr = true;
			continue;
		}
		if (l->ended) {
			l->n = 0;
			l->unfit = l->ended = false;
		}
		if (l->cr || !is_printable(c) || l->n == sizeof(l->text))
			l->unfit = true;
		else
			l->text[l->n++] = c;
		l->cr = c == '\r';
	}
}

struct slice
smtp_last_line(const struct smtp_last *l)
{
	return (struct slice){ l->text, l->unfit || l->cr ? 0 : l->n };
}

static void
argue_recipient(struct smtp_argued *a, const struct smtp_rcpt *r,
    char delimiter)
{
	struct smtp_text t = SMTP_TEXT(a->recipient);
	struct smtp_values v;

	smtp_values_of(&v, r->local, r->domain, delimiter,
	    a->local_text);
	(void)smtp_unquote(r->local, a->local_text, SMTP_MAILBOX_MAX,
	    &a->local.n);
	a->local.p = a->local_text;
	smtp_put_address(&t, r->local, r->domain);
	a->v.recipient = smtp_written(&t);
	a->v.user = v.user;
	a->v.domain = v.domain;
	a->v.extension = v.extension.p != NULL ? v.extension :
	    smtp_slice("");
	a->v.quoted = smtp_needs_quotes(r->local);
}

void
smtp_argue(struct smtp_argued *a, const struct smtp_rcpt *recipient,
    char delimiter, struct slice sender, struct slice null)
{
	struct smtp_text t = SMTP_TEXT(a->sender);
	size_t at = sender.n;

	a->v = (struct smtp_arguments){ .sender = null };
	a->local = (struct slice){ NULL, 0 };
	if (recipient != NULL)
		argue_recipient(a, recipient, delimiter);
	while (at > 0 && sender.p[at - 1] != '@')
		at--;
	if (at == 0)
		return;
	smtp_put_address(&t, take(sender, at - 1), drop(sender, at));
	a->v.sender = smtp_written(&t);
	a->v.sender_quoted = smtp_needs_quotes(take(sender, at - 1));
}

bool
smtp_is_recipients(const char *arg)
{
	return strcmp(arg, "{recipients}") == 0;
}

/* the argument is all the recipients */
static void
put_recipients(struct smtp_text *t, const struct smtp_rcpt *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!all[i].loops) {
			smtp_put_address(t, all[i].local, all[i].domain);
			smtp_put(t, (struct slice){ "", 1 });
		}
}

enum smtp_status
smtp_put_arguments(struct smtp_text *t, char *const args[],
    const struct smtp_arguments *v, const struct smtp_rcpt *all, size_t n)
{
	const char *arg;

	for (; *args != NULL; args++) {
		arg = smtp_is_recipients(*args) ? "{recipient}" : *args;
		if (arg != *args && all != NULL) {
			put_recipients(t, all, n);
			continue;
		}
		if (smtp_put_argument(t, smtp_slice(arg), v) == SMTP_EVALUE)
			return SMTP_EVALUE;
		smtp_put(t, (struct slice){ "", 1 });
	}
	return t->cut ? SMTP_ELONG : SMTP_OK;
}

enum smtp_status
smtp_parse_words(struct slice in, struct smtp_words *words)
{
	struct smtp_text t = SMTP_TEXT(words->text);
	size_t n = 0, length;

	/* each word's NUL takes the place of a blank, or of the end */
	if (in.n >= sizeof(words->text))
		return SMTP_ELONG;
	for (;;) {
		in = drop(in, scan_blanks(in));
		if (in.n == 0)
			break;
		if (n + 1 >= sizeof(words->argv) / sizeof(words->argv[0]))
			return SMTP_ELONG;
		words->argv[n++] = t.p + t.n;
		for (length = 0; length < in.n; length++)
			if (is_blank(in.p[length]))
				break;
		smtp_put(&t, take(in, length));
		smtp_put(&t, (struct slice){ "", 1 });
		in = drop(in, length);
	}
	words->argv[n] = NULL;
	return n > 0 ? SMTP_OK : SMTP_ESYNTAX;
}

const char *
smtp_program_word(struct smtp_program *p, struct slice arg)
{
	const bool first = !p->begun;
	bool once, one = false;
	int which;

	once = scan_placeholder(arg, PLACE_RECIPIENTS, &which) == arg.n &&
	    which == PLACE_RECIPIENTS;
	p->begun = true;
	if (first && (arg.n == 0 || once || smtp_has_argument(arg)))
		return "no name of a program";
	if (once && p->once)
		return "may be given once";
	for (struct slice in = arg; in.n > 0; in = drop(in, 1))
		one = one || scan_placeholder(in, PLACE_RECIPIENT, &which) > 0;
	p->once = p->once || once;
	p->one = p->one || one;
	if (p->once && p->one)
		return "{recipients}, and a placeholder for one recipient";
	/* what it brings is the client's */
	return !smtp_is_command(&p->behind, arg) ? NULL : "a placeholder "
	    "where a command may stand; use \"$RECIPIENT\" and its like";
}

bool
smtp_put_place(struct smtp_text *t, struct slice *dirs, struct slice name)
{
	struct slice dir = { NULL, 0 };

	if (name.n > 0 && memchr(name.p, '/', name.n) != NULL) {
		if (dirs->p == NULL)
			return false;
		*dirs = dir;
	} else if (!smtp_cut(dirs, ':', &dir))
		return false;
	else {
		smtp_put(t, dir);
		smtp_puts(t, dir.n > 0 ? "/" : "./");
	}
	smtp_put(t, name);
	return true;
}

bool
smtp_has_misspelt(struct slice text, bool argument)
{
	static const char known[][11] = { "user", "domain", "extension",
	    "recipient", "sender", "recipients" };
	const size_t holds = argument ? 6 : 3;
	unsigned least, d;
	struct slice word;
	const char *end;

	for (; text.n > 0; text = drop(text, 1)) {
		end = memchr(text.p, '}', text.n);
		if (text.p[0] != '{' || end == NULL)
			continue;
		word = take(drop(text, 1), (size_t)(end - text.p) - 1);
		least = 9;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			d = smtp_distance(word, smtp_slice(known[i]));
			if (i >= holds && d == 0)
				d = 1;
			if (d < least)
				least = d;
		}
		if (least > 0 && least <= 2)
			return true;
	}
	return false;
}

/* ---- keys ------------------------------------------------------------- */

static uint32_t
rotate(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

/* (FIPS 180-4, 6.2.2) */
static void
sha256_block(uint32_t sum[8], const unsigned char *p)
{
	static const uint32_t k[64] = {
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
		0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
		0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
		0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
		0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
		0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
		0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
		0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
		0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
		0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
		0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
		0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
		0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
		0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
		0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
	};
	uint32_t w[64], a = sum[0], b = sum[1], c = sum[2], d = sum[3];
	uint32_t e = sum[4], f = sum[5], g = sum[6], h = sum[7], one, two;

	for (size_t i = 0; i < 16; i++, p += 4)
		w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		    (uint32_t)p[2] << 8 | p[3];
	for (size_t i = 16; i < 64; i++) {
		one = w[i - 15];
		two = w[i - 2];
		w[i] = w[i - 16] + w[i - 7] +
		    (rotate(one, 7) ^ rotate(one, 18) ^ one >> 3) +
		    (rotate(two, 17) ^ rotate(two, 19) ^ two >> 10);
	}
	for (size_t i = 0; i < 64; i++) {
		one = h + k[i] + w[i] + ((e & f) ^ (~e & g)) +
		    (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25));
		two = ((a & b) ^ (a & c) ^ (b & c)) +
		    (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22));
		h = g;
		g = f;
		f = e;
		e = d + one;
		d = c;
		c = b;
		b = a;
		a = one + two;
	}
	sum[0] += a;
	sum[1] += b;
	sum[2] += c;
	sum[3] += d;
	sum[4] += e;
	sum[5] += f;
	sum[6] += g;
	sum[7] += h;
}

void
smtp_sha256(struct smtp_sha256 *s, struct slice in)
{
	static const uint32_t first[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
	};
	size_t at = (size_t)(s->octets % 64), n;

	if (s->octets == 0)
		memcpy(s->h, first, sizeof(first));
	s->octets += in.n;
	while (in.n > 0) {
		n = in.n < 64 - at ? in.n : 64 - at;
		memcpy(s->block + at, in.p, n);
		in = drop(in, n);
		at += n;
		if (at < 64)
			break;
		sha256_block(s->h, s->block);
		at = 0;
	}
}

/* (FIPS 180-4, 5.1.1) */
void
smtp_sha256_end(struct smtp_sha256 *s, char hex[64])
{
	static const char digits[] = "0123456789abcdef";
	const uint64_t bits = s->octets * 8;
	const size_t at = (size_t)(s->octets % 64);
	char end[72] = { (char)0x80 };
	const size_t n = (at < 56 ? 56 : 120) - at;

	for (unsigned i = 0; i < 8; i++)
		end[n + i] = (char)(unsigned char)(bits >> (56 - 8 * i));
	smtp_sha256(s, (struct slice){ end, n + 8 });
	for (size_t i = 0; i < 64; i++)
		hex[i] = digits[s->h[i / 8] >> (28 - 4 * (i % 8)) & 15];
}

static void
key_octets(struct smtp_key *k, struct slice in)
{
	k->octets += in.n;
	smtp_sha256(&k->sum, in);
}

/* Is the next octet a part of a Received field in front of the message?  What
 * was seen of its name is kept, for it may come to be another's. */
static bool
key_skips(struct smtp_key *k, char c)
{
	static const char name[] = "received:";

	if (k->in_field) {
		k->in_field = c != '\n';
		return true;
	}
	if (k->named == 0 && k->behind && is_blank(c)) {
		k->in_field = true;
		return true;
	}
	if (smtp_lower(c) != name[k->named])
		return false;
	k->name[k->named++] = c;
	if (name[k->named] == '\0') {
		k->named = 0;
		k->behind = k->in_field = true;
	}
	return true;
}

void
smtp_key_message(struct smtp_key *k, struct slice in)
{
	while (!k->begun && in.n > 0) {
		if (key_skips(k, in.p[0])) {
			in = drop(in, 1);
			continue;
		}
		k->begun = true;
		key_octets(k, (struct slice){ k->name, k->named });
	}
	key_octets(k, in);
}

void
smtp_key_next(struct smtp_key *k, struct slice in)
{
	char buf[24];
	struct smtp_text t = SMTP_TEXT(buf);

	if (!k->begun)
		key_octets(k, (struct slice){ k->name, k->named });
	k->begun = true;
	smtp_puts(&t, "\n");
	smtp_put_number(&t, k->octets);
	smtp_puts(&t, "\n");
	smtp_sha256(&k->sum, smtp_written(&t));
	k->octets = 0;
	key_octets(k, in);
}

void
smtp_key_end(struct smtp_key *k, char hex[64])
{
	smtp_key_next(k, smtp_slice(""));
	smtp_sha256_end(&k->sum, hex);
}

/* ---- policy ----------------------------------------------------------- */

void
smtp_put_words(struct smtp_text *t, struct slice s)
{
	char c;

	for (size_t i = 0; i < s.n && i < SMTP_WORDS_MAX; i++) {
		c = is_printable(s.p[i]) ? s.p[i] : '?';
		smtp_put(t, (struct slice){ &c, 1 });
	}
}

/* Reply-code = %x34-35 %x30-35 DIGIT                      (RFC 5321, 4.2) */
static bool
is_refusal(struct slice word)
{
	return word.n == 3 && (word.p[0] == '4' || word.p[0] == '5') &&
	    word.p[1] >= '0' && word.p[1] <= '5' && is_digit(word.p[2]);
}

/* field-name ":", in printable ASCII or UTF-8               (RFC 5322, 2.2) */
static bool
is_field(struct slice in)
{
	const char *colon = in.n > 0 ? memchr(in.p, ':', in.n) : NULL;
	size_t name = colon == NULL ? 0 : (size_t)(colon - in.p);

	for (size_t i = 0; i < in.n; i++)
		if ((i < name && (!is_printable(in.p[i]) || in.p[i] == ' ')) ||
		    (in.p[i] != '\t' && scan_control(drop(in, i)) > 0))
			return false;
	return name > 0 && smtp_utf8_valid(in);
}

/* action = word [blanks text]                         (Postfix, access(5)) */
static void
policy_action(struct slice all, struct smtp_policy *p)
{
	struct slice word, text;
	size_t n = 0;

	while (n < all.n && !is_blank(all.p[n]))
		n++;
	word = take(all, n);
	text = smtp_trim(drop(all, n));
	*p = (struct smtp_policy){ .action = SMTP_OTHER, .all = all,
	    .code = take(all, 0), .enhanced = take(all, 0), .text = text };
	if (smtp_is(word, "DUNNO") || smtp_is(word, "OK") ||
	    smtp_is(word, "DEFER_IF_REJECT"))
		p->action = SMTP_PASS;
	else if (smtp_is(word, "WARN") || smtp_is(word, "INFO"))
		p->action = SMTP_WARN;
	else if (smtp_is(word, "PREPEND") && is_field(text))
		p->action = SMTP_PREPEND;
	else if (smtp_is(word, "REJECT"))
		p->code = smtp_slice("554");
	else if (smtp_is(word, "DEFER") || smtp_is(word, "DEFER_IF_PERMIT"))
		p->code = smtp_slice("450");
	else if (is_refusal(word))
		p->code = word;
	if (p->code.n == 0)
		return;
	p->action = SMTP_REFUSE;
	n = scan_enhanced(text);
	if (n > 0 && text.p[0] == p->code.p[0]) {
		p->enhanced = take(text, n);
		p->text = smtp_trim(drop(text, n));
	}
}

enum smtp_status
smtp_parse_policy(struct slice in, struct smtp_policy *p)
{
	const struct slice name = smtp_slice("action=");
	struct slice line, action = { NULL, 0 };
	const char *lf;

	for (;;) {
		lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
		if (lf == NULL)
			return SMTP_EMORE;
		line = take(in, (size_t)(lf - in.p));
		in = drop(in, line.n + 1);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0)
			break;
		if (action.p == NULL && line.n >= name.n &&
		    smtp_same(take(line, name.n), name))
			action = smtp_trim(drop(line, name.n));
	}
	if (action.n == 0)
		return SMTP_ESYNTAX;
	policy_action(action, p);
	return SMTP_OK;
}

/* name "=" value LF */
static void
put_attribute(struct smtp_text *t, const char *name, struct slice value)
{
	char c;

	smtp_puts(t, name);
	smtp_puts(t, "=");
	for (size_t i = 0; i < value.n; i++) {
		c = value.p[i];
		if ((unsigned char)c < 0x20 || c == 0x7f)
			c = '?';
		smtp_put(t, (struct slice){ &c, 1 });
	}
	smtp_puts(t, "\n");
}

static void
put_known(struct smtp_text *t, const char *name, struct slice value)
{
	put_attribute(t, name, value.n > 0 ? value : smtp_slice("unknown"));
}

static void
put_asker(struct smtp_text *t, const struct smtp_question *q)
{
	/* as Postfix tells who comes from its own machine */
	const struct slice name = q->local ? smtp_slice("localhost") : q->name;

	put_attribute(t, "client_address", q->local ?
	    smtp_slice("127.0.0.1") : q->address);
	put_known(t, "client_name", name);
	put_known(t, "client_port", q->port);
	put_known(t, "reverse_client_name", name);
}

void
smtp_put_question(struct smtp_text *t, const struct smtp_question *q)
{
	smtp_puts(t, "request=smtpd_access_policy\n");
	put_attribute(t, "protocol_state", q->state);
	put_attribute(t, "protocol_name", q->protocol);
	put_asker(t, q);
	put_attribute(t, "server_address", q->server);
	put_attribute(t, "server_port", q->server_port);
	put_attribute(t, "helo_name", q->helo);
	put_attribute(t, "sender", q->sender);
	put_attribute(t, "recipient", q->recipient);
	smtp_puts(t, "recipient_count=");
	smtp_put_number(t, q->recipients);
	smtp_puts(t, "\n");
	put_attribute(t, "instance", q->instance);
	smtp_puts(t, "size=");
	smtp_put_number(t, q->size);
	smtp_puts(t, "\n");
	put_attribute(t, "sasl_method", q->login_method);
	put_attribute(t, "sasl_username", q->login);
	put_attribute(t, "encryption_protocol", q->tls_version);
	put_attribute(t, "encryption_cipher", q->tls_cipher);
	smtp_puts(t, "encryption_keysize=0\n");
	/* what we can't know is empty */
	smtp_puts(t, "queue_id=\n");
	put_attribute(t, "etrn_domain", q->etrn);
	smtp_puts(t, "stress=\nsasl_sender=\n"
	    "ccert_subject=\nccert_issuer=\nccert_fingerprint=\n"
	    "ccert_pubkey_fingerprint=\npolicy_context=\n\n");
}

/* ---- neighbours ------------------------------------------------------- */

enum {
	PP2_HEAD = 16,		/* signature, version, family, length */
	PP2_TYPE_SSL = 0x20,
	PP2_SUBTYPE_SSL_VERSION = 0x21,
	PP2_SUBTYPE_SSL_CIPHER = 0x23,
	PP2_CLIENT_SSL = 1
};

static unsigned
octet(struct slice in, size_t i)
{
	return (unsigned char)in.p[i];
}

static unsigned
two_octets(struct slice in, size_t i)
{
	return octet(in, i) << 8 | octet(in, i + 1);
}

bool
smtp_is_tls_word(struct slice in)
{
	for (size_t i = 0; i < in.n; i++)
		if (!is_alnum(in.p[i]) && (in.p[i] == '\0' ||
		    strchr(".-_/:+", in.p[i]) == NULL))
			return false;
	return in.n > 0 && in.n <= SMTP_TLS_WORD_MAX;
}

static bool
is_exactly(struct slice in, const char *text)
{
	const size_t n = strlen(text);

	return in.n == n && memcmp(in.p, text, n) == 0;
}

/* the next word of a header of version 1: one blank between them */
static struct slice
next_word(struct slice *in)
{
	const char *blank = in->n > 0 ? memchr(in->p, ' ', in->n) : NULL;
	struct slice word = *in;

	if (blank == NULL) {
		*in = drop(*in, in->n);
		return word;
	}
	word.n = (size_t)(blank - in->p);
	*in = drop(*in, word.n + 1);
	return word;
}

/* port = "0" / %x31-39 0*4DIGIT, up to 65535 */
static bool
parse_port(struct slice in, unsigned *port)
{
	uint64_t v;

	if (in.n > 5 || (in.n > 1 && in.p[0] == '0') ||
	    smtp_parse_number(in, 65536, &v) != SMTP_OK || v > 65535)
		return false;
	*port = (unsigned)v;
	return true;
}

/* "PROXY" SP ( "TCP4" / "TCP6" ) SP source SP destination SP port SP port, or
 * "PROXY" SP "UNKNOWN" and anything                  (PROXY protocol, 2.1) */
static bool
parse_proxy_v1(struct slice line, struct smtp_proxy *p)
{
	struct slice word = next_word(&line);
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool v4;

	if (!is_exactly(word, "PROXY"))
		return false;
	word = next_word(&line);
	if (is_exactly(word, "UNKNOWN")) {
		p->local = true;
		return true;
	}
	p->ipv6 = is_exactly(word, "TCP6");
	if (!p->ipv6 && !is_exactly(word, "TCP4"))
		return false;
	if (smtp_parse_ip(next_word(&line), p->source) != SMTP_OK)
		return false;
	v4 = memcmp(p->source, mapped, sizeof(mapped)) == 0;
	if (!p->ipv6 && !v4)
		return false;
	if (smtp_parse_ip(next_word(&line), p->destination) != SMTP_OK)
		return false;
	v4 = memcmp(p->destination, mapped, sizeof(mapped)) == 0;
	if (!p->ipv6 && !v4)
		return false;
	if (!parse_port(next_word(&line), &p->source_port))
		return false;
	return line.n > 0 && memchr(line.p, ' ', line.n) == NULL &&
	    parse_port(line, &p->destination_port);
}

/* the next TLV of in: type, two octets of length, value  (2.2.4) */
static bool
next_tlv(struct slice *in, unsigned *type, struct slice *value)
{
	size_t n;

	if (in->n < 3)
		return false;
	*type = octet(*in, 0);
	n = two_octets(*in, 1);
	if (n > in->n - 3)
		return false;
	*value = take(drop(*in, 3), n);
	*in = drop(*in, 3 + n);
	return true;
}

/* PP2_TYPE_SSL: client, four octets of verify, TLVs             (2.2.5) */
static bool
parse_tlv_ssl(struct slice in, struct smtp_proxy *p)
{
	struct slice value;
	unsigned type;

	if (in.n < 5)
		return false;
	p->tls = (octet(in, 0) & PP2_CLIENT_SSL) != 0;
	for (in = drop(in, 5); in.n > 0;) {
		if (!next_tlv(&in, &type, &value))
			return false;
		if (!p->tls || !smtp_is_tls_word(value))
			continue;
		if (type == PP2_SUBTYPE_SSL_VERSION)
			p->tls_version = value;
		else if (type == PP2_SUBTYPE_SSL_CIPHER)
			p->tls_cipher = value;
	}
	return true;
}

static bool
parse_tlvs(struct slice in, struct smtp_proxy *p)
{
	struct slice value;
	unsigned type;

	while (in.n > 0) {
		if (!next_tlv(&in, &type, &value))
			return false;
		if (type == PP2_TYPE_SSL && !parse_tlv_ssl(value, p))
			return false;
	}
	return true;
}

/* the addresses and ports of a header of version 2        (2.2, 2.2.3) */
static bool
parse_proxy_v2(unsigned family, struct slice in, struct smtp_proxy *p)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	const size_t size = family == 0x21 ? 16 : 4, unix_size = 216;

	if (family == 0x31 || family == 0x32) {
		p->local = true;
		return in.n >= unix_size && parse_tlvs(drop(in, unix_size), p);
	}
	if (family != 0x11 && family != 0x21) {
		/* unspecified, or datagrams: nothing to be made of it */
		p->local = true;
		return true;
	}
	if (in.n < 2 * size + 4)
		return false;
	p->ipv6 = size == 16;
	memcpy(p->source, mapped, sizeof(mapped));
	memcpy(p->destination, mapped, sizeof(mapped));
	memcpy(p->source + 16 - size, in.p, size);
	memcpy(p->destination + 16 - size, in.p + size, size);
	p->source_port = two_octets(in, 2 * size);
	p->destination_port = two_octets(in, 2 * size + 2);
	return parse_tlvs(drop(in, 2 * size + 4), p);
}

static enum smtp_status
scan_proxy_v1(struct slice in, struct smtp_proxy *p, size_t *used)
{
	const struct slice head = take(in, in.n < SMTP_PROXY_V1_MAX ? in.n :
	    SMTP_PROXY_V1_MAX);
	const char *lf = memchr(head.p, '\n', head.n);
	size_t n = lf != NULL ? (size_t)(lf - in.p) : head.n;

	/* a CR ends it, and nothing but LF is behind that */
	for (size_t i = 0; i < n; i++)
		if (is_control(in.p[i]) && (in.p[i] != '\r' || i + 1 < n))
			return SMTP_ESYNTAX;
	if (lf == NULL)
		return head.n == SMTP_PROXY_V1_MAX ? SMTP_ESYNTAX : SMTP_EMORE;
	if (n == 0 || in.p[n - 1] != '\r' ||
	    !parse_proxy_v1(take(in, n - 1), p))
		return SMTP_ESYNTAX;
	*used = n + 1;
	return SMTP_OK;
}

static enum smtp_status
scan_proxy_v2(struct slice in, struct smtp_proxy *p, size_t *used)
{
	enum { LOCAL = 0x20, PROXY = 0x21 };
	size_t n;

	if (in.n > 12 && octet(in, 12) != LOCAL && octet(in, 12) != PROXY)
		return SMTP_ESYNTAX;
	if (in.n > 13 && ((octet(in, 13) >> 4) > 3 || (octet(in, 13) & 15) > 2))
		return SMTP_ESYNTAX;
	if (in.n < PP2_HEAD)
		return SMTP_EMORE;
	n = two_octets(in, 14);
	if (in.n - PP2_HEAD < n)
		return SMTP_EMORE;
	p->local = octet(in, 12) == LOCAL;
	if (!p->local && !parse_proxy_v2(octet(in, 13),
	    take(drop(in, PP2_HEAD), n), p))
		return SMTP_ESYNTAX;
	*used = PP2_HEAD + n;
	return SMTP_OK;
}

enum smtp_status
smtp_parse_proxy(struct slice in, struct smtp_proxy *proxy, size_t *used)
{
	static const char v2[] = "\r\n\r\n\0\r\nQUIT\n";
	const enum fit one = begins(in, "PROXY ", 6);
	const enum fit two = begins(in, v2, 12);
	struct smtp_proxy p = { .local = false };
	enum smtp_status status;
	size_t n;

	if (one == FIT_NO && two == FIT_NO)
		return SMTP_ESYNTAX;
	if (one != FIT_YES && two != FIT_YES)
		return SMTP_EMORE;
	status = one == FIT_YES ? scan_proxy_v1(in, &p, &n) :
	    scan_proxy_v2(in, &p, &n);
	if (status != SMTP_OK)
		return status;
	*proxy = p;
	*used = n;
	return SMTP_OK;
}

static int
hex_digit(char c)
{
	char l = smtp_lower(c);

	return is_digit(c) ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* xtext = *( xchar / "+" 2HEXDIG )                     (RFC 3461, section 4) */
static bool
put_xtext(struct slice in, struct smtp_text *t)
{
	int high, low;
	char c;

	for (size_t i = 0; i < in.n; i++) {
		c = in.p[i];
		if (c == '+') {
			if (in.n - i < 3)
				return false;
			high = hex_digit(in.p[i + 1]);
			low = hex_digit(in.p[i + 2]);
			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (is_control(c))
			return false;
		smtp_put(t, (struct slice){ &c, 1 });
	}
	return !t->cut;
}

/* "IPV6:" address / address */
static bool
parse_x_address(struct slice *value, unsigned char ip[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool v6 = value->n > 5 && smtp_is(take(*value, 5), "IPV6:");
	struct slice v = v6 ? drop(*value, 5) : *value;

	if (smtp_parse_ip(v, ip) != SMTP_OK)
		return false;
	if (!v6 && memcmp(ip, mapped, sizeof(mapped)) != 0)
		return false;
	*value = v;
	return true;
}

static bool
check_x_value(enum smtp_x which, struct slice *value, struct smtp_xclient *x)
{
	switch (which) {
	case SMTP_X_NAME:
		return smtp_is_host(*value);
	case SMTP_X_ADDR:
		return parse_x_address(value, x->addr);
	case SMTP_X_DESTADDR:
		return parse_x_address(value, x->destaddr);
	case SMTP_X_PORT:
		return parse_port(*value, &x->port);
	case SMTP_X_DESTPORT:
		return parse_port(*value, &x->destport);
	case SMTP_X_PROTO:
		return smtp_is(*value, "SMTP") || smtp_is(*value, "ESMTP") ||
		    smtp_is(*value, "LMTP");
	case SMTP_X_HELO:
		return value->n <= SMTP_DOMAIN_MAX && !smtp_has_control(*value);
	default:
		return value->n <= SMTP_LOGIN_MAX && smtp_is_text(*value);
	}
}

/* attribute = name "=" xtext */
static enum smtp_status
parse_attribute(struct slice in, struct smtp_xclient *x, struct smtp_text *t)
{
	static const char names[SMTP_X_ATTRIBUTES][9] = {
		"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR",
		"DESTPORT"
	};
	const char *equals = memchr(in.p, '=', in.n);
	const size_t from = t->n;
	struct slice name, value;
	int i = 0;

	if (equals == NULL || equals == in.p)
		return SMTP_ESYNTAX;
	name = take(in, (size_t)(equals - in.p));
	while (i < SMTP_X_ATTRIBUTES && !smtp_is(name, names[i]))
		i++;
	if (i == SMTP_X_ATTRIBUTES)
		return SMTP_EUNKNOWN;
	value = drop(in, name.n + 1);
	if (smtp_is(value, "[UNAVAILABLE]") || smtp_is(value, "[TEMPUNAVAIL]"))
		value = drop(value, value.n);
	else {
		if (!put_xtext(value, t))
			return SMTP_EVALUE;
		value = (struct slice){ t->p + from, t->n - from };
		if (value.n == 0 || !check_x_value((enum smtp_x)i, &value, x))
			return SMTP_EVALUE;
	}
	x->given[i] = true;
	x->value[i] = value;
	return SMTP_OK;
}

enum smtp_status
smtp_parse_xclient(struct slice in, struct smtp_xclient *x)
{
	struct smtp_text t = SMTP_TEXT(x->text);
	enum smtp_status status;
	struct slice word;

	memset(x, 0, offsetof(struct smtp_xclient, text));
	in = smtp_trim(in);
	if (in.n == 0)
		return SMTP_ESYNTAX;
	for (; in.n > 0; in = smtp_trim(drop(in, word.n))) {
		word = take(in, 0);
		while (word.n < in.n && !is_blank(in.p[word.n]))
			word.n++;
		status = parse_attribute(word, x, &t);
		if (status != SMTP_OK)
			return status;
	}
	return SMTP_OK;
}

/* the six bits of a base64 digit, or -1                 (RFC 4648, 4) */
static int
base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* 4base64, the last of them perhaps 2base64 "==" or 3base64 "=" */
enum smtp_status
smtp_base64(struct slice in, char *buf, size_t size, size_t *n)
{
	size_t used = 0, pad, i;
	uint32_t v;
	int digit;

	if (in.n % 4 != 0)
		return SMTP_ESYNTAX;
	for (; in.n > 0; in = drop(in, 4)) {
		pad = in.n > 4 || in.p[3] != '=' ? 0 : in.p[2] != '=' ? 1 : 2;
		for (i = v = 0; i < 4; i++) {
			digit = i < 4 - pad ? base64_digit(in.p[i]) : 0;
			if (digit < 0)
				return SMTP_ESYNTAX;
			v = v << 6 | (uint32_t)digit;
		}
		if ((pad == 1 && (v & 0xff) != 0) ||
		    (pad == 2 && (v & 0xffff) != 0))
			return SMTP_ESYNTAX;
		for (i = 0; i < 3 - pad; i++) {
			if (used == size)
				return SMTP_ELONG;
			buf[used++] = (char)(v >> (16 - 8 * i) & 0xff);
		}
	}
	*n = used;
	return SMTP_OK;
}

/* message = [authzid] NUL authcid NUL passwd            (RFC 4616, 2) */
enum smtp_status
smtp_parse_plain(struct slice in, struct slice *authzid, struct slice *authcid,
    struct slice *passwd)
{
	const char *one = in.n > 0 ? memchr(in.p, '\0', in.n) : NULL, *two;
	struct slice zid, cid;

	if (one == NULL)
		return SMTP_ESYNTAX;
	zid = take(in, (size_t)(one - in.p));
	in = drop(in, zid.n + 1);
	two = in.n > 0 ? memchr(in.p, '\0', in.n) : NULL;
	if (two == NULL || two == in.p)
		return SMTP_ESYNTAX;
	cid = take(in, (size_t)(two - in.p));
	in = drop(in, cid.n + 1);
	if (in.n == 0 || memchr(in.p, '\0', in.n) != NULL ||
	    smtp_has_control(cid))
		return SMTP_ESYNTAX;
	*authzid = zid;
	*authcid = cid;
	*passwd = in;
	return SMTP_OK;
}

void
smtp_put_password(struct smtp_text *t, struct slice user,
    struct slice password, uint64_t seconds)
{
	smtp_put(t, user);
	smtp_put(t, (struct slice){ "", 1 });
	smtp_put(t, password);
	smtp_put(t, (struct slice){ "", 1 });
	smtp_put_number(t, seconds);
	smtp_put(t, (struct slice){ "", 1 });
}

/* one entry: what may be repeated of it is kept */
static void
tls_entry(struct smtp_tls *t)
{
	struct slice entry = { t->entry, t->entry_n }, value;
	const char *equals = memchr(entry.p, '=', entry.n);

	if (equals == NULL)
		return;
	value = drop(entry, (size_t)(equals - entry.p) + 1);
	entry = take(entry, (size_t)(equals - entry.p));
	if (!smtp_is_tls_word(value))
		return;
	if (is_exactly(entry, "SSL_PROTOCOL")) {
		memcpy(t->version, value.p, value.n);
		t->version_n = value.n;
	} else if (is_exactly(entry, "SSL_CIPHER")) {
		memcpy(t->cipher, value.p, value.n);
		t->cipher_n = value.n;
	}
}

/* *( 1*octet NUL ) NUL */
bool
smtp_tls(struct smtp_tls *t, struct slice in)
{
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] != '\0') {
			/* one that does not fit is none of the two */
			if (t->entry_n < sizeof(t->entry))
				t->entry[t->entry_n] = in.p[i];
			if (t->entry_n <= sizeof(t->entry))
				t->entry_n++;
			continue;
		}
		if (t->entry_n == 0)
			return true;
		if (t->entry_n <= sizeof(t->entry))
			tls_entry(t);
		t->entry_n = 0;
	}
	return false;
}

struct slice
smtp_unbracket(struct slice in)
{
	return in.n > 2 && in.p[0] == '[' && in.p[in.n - 1] == ']' ?
	    take(drop(in, 1), in.n - 2) : in;
}

/* port = 1*20DIGIT, up to 65535 */
enum smtp_status
smtp_parse_port(struct slice in, unsigned *port)
{
	uint64_t v;

	if (smtp_parse_number(in, 65536, &v) != SMTP_OK || v > 65535)
		return SMTP_ESYNTAX;
	*port = (unsigned)v;
	return SMTP_OK;
}

/* the value of a variable, NULL if it is not set */
static const char *
env_find(char *const env[], const char *name)
{
	const size_t n = strlen(name);

	for (; *env != NULL; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

static struct slice
env_value(char *const env[], const char *name)
{
	const char *v = env_find(env, name);

	return smtp_slice(v != NULL ? v : "");
}

static void
launched_skip(struct smtp_launched *l, const char *name)
{
	if (l->nskipped < sizeof(l->skipped) / sizeof(l->skipped[0]))
		l->skipped[l->nskipped++] = name;
}

/* the client's address and port from a pair of variables */
static bool
launched_client(char *const env[], struct smtp_launched *l,
    const char *address, const char *port, bool may_be_else)
{
	struct slice a = env_value(env, address), p = env_value(env, port);
	unsigned number;

	if (a.n == 0)
		return false;
	/* as socat has them */
	if (smtp_parse_ip(smtp_unbracket(a), l->ip) != SMTP_OK) {
		if (!may_be_else)
			launched_skip(l, address);
		return false;
	}
	l->client = true;
	if (p.n > 0 && smtp_parse_port(p, &number) == SMTP_OK)
		l->port = p;
	else if (p.n > 0)
		launched_skip(l, port);
	return true;
}

static void
launched_server(char *const env[], struct smtp_launched *l)
{
	l->server = smtp_parse_ip(env_value(env, "TCPLOCALIP"),
	    l->server_ip) == SMTP_OK;
	if (smtp_parse_port(env_value(env, "TCPLOCALPORT"),
	    &l->server_port) != SMTP_OK)
		l->server_port = 0;
}

void
smtp_launched(char *const env[], struct smtp_launched *l)
{
	static const char pairs[][2][17] = {
		{ "TCPREMOTEIP", "TCPREMOTEPORT" },
		{ "REMOTE_ADDR", "REMOTE_PORT" },
		{ "REMOTE_HOST", "REMOTE_PORT" },
		{ "SOCAT_PEERADDR", "SOCAT_PEERPORT" },
		{ "NCAT_REMOTE_ADDR", "NCAT_REMOTE_PORT" }
	};
	static const char others[][14] = { "PROTO", "TCPLOCALIP",
	    "TCPREMOTEHOST", "TCPREMOTEPORT", "REMOTE_PORT" };
	enum { SURE = 2, PAIRS = sizeof(pairs) / sizeof(pairs[0]) };
	struct slice name = env_value(env, "TCPREMOTEHOST");
	size_t i = 0;

	*l = (struct smtp_launched){ .relay = env_find(env, "RELAYCLIENT") !=
	    NULL, .named = env_value(env, "TCPREMOTEIP").n > 0 ||
	    env_value(env, "REMOTE_HOST").n > 0 };
	while (i < PAIRS && !launched_client(env, l, pairs[i][0], pairs[i][1],
	    i >= SURE))
		i++;
	if (i == 0 && smtp_is_host(name))
		l->name = name;
	else if (i == 0 && name.n > 0)
		launched_skip(l, "TCPREMOTEHOST");
	launched_server(env, l);
	for (i = 0; i < PAIRS; i++)
		l->any = l->any || env_find(env, pairs[i][0]) != NULL;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		l->any = l->any || env_find(env, others[i]) != NULL;
}

/* ---- parameters ------------------------------------------------------- */

/* esmtp-value = 1*(%d33-60 / %d62-126 / UTF8-non-ascii)
 *                                        (RFC 5321, 4.1.2; RFC 6531, 3.3) */
static size_t
scan_esmtp_value(struct slice in)
{
	size_t n = 0;

	while (n < in.n && !is_control(in.p[n]) && in.p[n] != ' ' &&
	    in.p[n] != '=')
		n++;
	return n;
}

struct param {
	struct slice	 name;
	struct slice	 value;		/* empty where there is none */
};

/* esmtp-param = esmtp-keyword ["=" esmtp-value]; 0 for what is none */
static size_t
scan_param(struct slice in, struct param *param)
{
	size_t n = scan_esmtp_keyword(in), more;

	param->name = take(in, n);
	param->value = drop(param->name, n);
	if (n > 0 && n < in.n && in.p[n] == '=') {
		more = scan_esmtp_value(drop(in, n + 1));
		if (more == 0)
			return 0;
		param->value = take(drop(in, n + 1), more);
		n += 1 + more;
	}
	if (n < in.n && !is_blank(in.p[n]))
		return 0;
	return n;
}

/* the parameters of MAIL, as in known[] of smtp_parse_mail */
enum { SIZE, BODY, SMTPUTF8, RET, ENVID, AUTH, PRDR, MAIL_PARAMS };

/* "AUTH" ["=" and what is neither blank nor control]: of a value that is
 * ignored nothing can be wrong */
static size_t
scan_auth(struct slice in, struct param *param)
{
	size_t n = scan_esmtp_keyword(in), from;

	param->name = take(in, n);
	if (!smtp_is(param->name, "AUTH"))
		return 0;
	from = n < in.n && in.p[n] == '=' ? n + 1 : n;
	if (from > n)
		for (n = from; n < in.n && !is_control(in.p[n]) &&
		    in.p[n] != ' '; n++)
			continue;
	param->value = drop(take(in, n), from);
	return n < in.n && !is_blank(in.p[n]) ? 0 : n;
}

/* xtext, or "<>"                                 (RFC 4954, 5; RFC 3461, 4) */
static bool
is_xtext(struct slice in)
{
	char buf[SMTP_LINE_MAX];
	struct smtp_text t = SMTP_TEXT(buf);

	return in.n > 0 && memchr(in.p, '=', in.n) == NULL &&
	    put_xtext(in, &t);
}

static bool
mail_value_ok(const struct param *p, unsigned what, struct smtp_mail *mail)
{
	switch (what) {
	case SIZE:
		mail->has_size = true;
		return smtp_parse_number(p->value, UINT64_MAX,
		    &mail->size) == SMTP_OK;
	case BODY:
		return smtp_is(p->value, "7BIT") ||
		    smtp_is(p->value, "8BITMIME");
	case SMTPUTF8:
		mail->smtputf8 = true;
		return p->value.n == 0;
	case PRDR:
		mail->prdr = true;
		return p->value.n == 0;
	case RET:
	case ENVID:
		mail->dsn = true;
		return p->value.n > 0;
	default:		/* AUTH */
		if (!is_xtext(p->value))
			mail->lenient |= SMTP_LENIENT_AUTH_PARAMETER;
		return true;
	}
}

enum smtp_status
smtp_parse_mail(struct slice in, unsigned with, struct smtp_mail *mail)
{
	static const char known[MAIL_PARAMS][9] = {
		"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH", "PRDR"
	};
	struct smtp_mail found = { 0 };
	struct param p;
	unsigned seen = 0, i;
	size_t n;

	for (in = smtp_trim(in); in.n > 0; in = smtp_trim(drop(in, n))) {
		n = scan_auth(in, &p);
		if (n == 0)
			n = scan_param(in, &p);
		if (n == 0)
			return SMTP_ESYNTAX;
		for (i = 0; i < MAIL_PARAMS && !smtp_is(p.name, known[i]); i++)
			continue;
		if (i == MAIL_PARAMS ||
		    (i == PRDR && !(with & SMTP_WITH_PRDR)))
			return SMTP_EUNKNOWN;
		if ((seen & 1U << i) != 0 || !mail_value_ok(&p, i, &found))
			return SMTP_EVALUE;
		seen |= 1U << i;
	}
	*mail = found;
	return SMTP_OK;
}

enum smtp_status
smtp_parse_rcpt(struct slice in, bool *dsn)
{
	bool notify = false, orcpt = false, *seen;
	struct param p;
	size_t n;

	for (in = smtp_trim(in); in.n > 0; in = smtp_trim(drop(in, n))) {
		n = scan_param(in, &p);
		if (n == 0)
			return SMTP_ESYNTAX;
		if (smtp_is(p.name, "NOTIFY"))
			seen = &notify;
		else if (smtp_is(p.name, "ORCPT"))
			seen = &orcpt;
		else
			return SMTP_EUNKNOWN;
		if (*seen || p.value.n == 0)
			return SMTP_EVALUE;
		*seen = true;
	}
	*dsn = notify || orcpt;
	return SMTP_OK;
}

/* where the first of them begins that is wrong */
static size_t
scan_right_params(struct slice in, bool mail, unsigned with)
{
	struct smtp_mail m;
	size_t n = 0, next;
	bool dsn;

	for (n = scan_blanks(in); n < in.n; n = next) {
		for (next = n; next < in.n && !is_blank(in.p[next]); next++)
			continue;
		if ((mail ? smtp_parse_mail(take(in, next), with, &m) :
		    smtp_parse_rcpt(take(in, next), &dsn)) != SMTP_OK)
			break;
		next += scan_blanks(drop(in, next));
	}
	return n;
}

/* bdat-cmd = "BDAT" SP chunk-size [SP end-marker]       (RFC 3030, 2) */
enum smtp_status
smtp_parse_bdat(struct slice in, uint64_t *size, bool *last)
{
	struct slice word, rest;
	uint64_t v;

	if (smtp_parse_command(in, &word, &rest) != SMTP_OK ||
	    (rest.n > 0 && !smtp_is(rest, "LAST")) ||
	    smtp_parse_number(word, UINT64_MAX, &v) != SMTP_OK)
		return SMTP_ESYNTAX;
	if (v > INT64_MAX)
		return SMTP_ELONG;
	*size = v;
	*last = rest.n > 0;
	return SMTP_OK;
}

/* ---- options ---------------------------------------------------------- */

/* what a text must be, but for its length; the words that tell if not */
static const char *
text_wrong(enum smtp_kind kind, struct slice in)
{
	unsigned char ip[16];
	unsigned port;

	switch (kind) {
	case SMTP_KIND_HOST:
		return smtp_is_host(in) ? NULL : "not a domain name";
	case SMTP_KIND_NETS:
		return smtp_is_nets(in) ? NULL : "not networks such as "
		    "192.0.2.0/24,2001:db8::/32, or *";
	case SMTP_KIND_CHARSET:
		return smtp_is_charset(in) ? NULL : "not a charset";
	case SMTP_KIND_DOMAIN:
		return smtp_is_domain_pattern(in) ? NULL :
		    "not a domain, .domain, * or @file";
	case SMTP_KIND_SERVER:
		return memchr(in.p, ':', in.n) == NULL ||
		    memchr(in.p, '/', in.n) != NULL ||
		    (smtp_parse_server(in, ip, &port) == SMTP_OK &&
		    port != 0) ? NULL :
		    "neither ADDRESS:PORT nor a path nor a program";
	default:
		return in.n > 0 ? NULL : "empty";
	}
}

static const char *
set_number(const struct smtp_option *o, struct slice in, struct smtp_text *t)
{
	uint64_t v = 0;
	const enum smtp_status status = o->kind == SMTP_KIND_SIZE ?
	    smtp_parse_size(in, o->max, &v) :
	    smtp_parse_number(in, UINT64_MAX, &v);

	if (status == SMTP_ESYNTAX)
		return o->kind == SMTP_KIND_SIZE ? "not a size" :
		    "not a number";
	if (status == SMTP_OK && v >= o->min && v <= o->max) {
		*(uint64_t *)o->to = v;
		return NULL;
	}
	smtp_puts(t, "out of range: ");
	smtp_put_number(t, o->min);
	smtp_puts(t, " to ");
	smtp_put_number(t, o->max);
	return smtp_string(t);
}

/* the bit of a word, 0 if it is none of them */
static unsigned
choice_of(const char *words, struct slice in)
{
	struct slice left = smtp_slice(words), word;

	for (unsigned bit = 1; smtp_cut(&left, ' ', &word); bit <<= 1)
		if (word.n == in.n && memcmp(word.p, in.p, in.n) == 0)
			return bit;
	return 0;
}

static const char *
set_choice(const struct smtp_option *o, struct slice in, struct smtp_text *t)
{
	const bool some = o->kind == SMTP_KIND_SOME;
	unsigned *to = o->to, chosen = some ? *to : 0, bit;
	struct slice one = in;

	do {
		if (some)
			(void)smtp_cut(&in, ',', &one);
		bit = choice_of(o->words, one);
		chosen |= bit;
	} while (bit != 0 && some && in.p != NULL);
	if (bit != 0) {
		*to = chosen;
		return NULL;
	}
	smtp_puts(t, "none of these: ");
	smtp_puts(t, o->words);
	return smtp_string(t);
}

const char *
smtp_option_set(const struct smtp_option *o, const char *value,
    struct smtp_text *t)
{
	const struct slice in = smtp_slice(value);
	const char *wrong;

	switch (o->kind) {
	case SMTP_KIND_FLAG:
		*(bool *)o->to = true;
		return NULL;
	case SMTP_KIND_NUMBER:
	case SMTP_KIND_SIZE:
		return set_number(o, in, t);
	case SMTP_KIND_ONE:
	case SMTP_KIND_SOME:
		return set_choice(o, in, t);
	case SMTP_KIND_DELIMITER:
		if (!smtp_is_delimiter(in))
			return "not one character of a local part";
		*(char *)o->to = value[0];
		return NULL;
	case SMTP_KIND_OTHER:
		return NULL;
	case SMTP_KIND_MAYBE:
		*(const char **)o->to = value;
		return NULL;
	default:
		wrong = text_wrong(o->kind, in);
		if (wrong == NULL)
			*(const char **)o->to = o->kind == SMTP_KIND_CHARSET &&
			    smtp_is(in, "off") ? NULL : value;
		return wrong;
	}
}

/* the words that were chosen, a comma between */
static void
put_choice(struct smtp_text *t, const struct smtp_option *o)
{
	struct slice words = smtp_slice(o->words), word;
	const unsigned chosen = *(const unsigned *)o->to;

	for (unsigned bit = 1; smtp_cut(&words, ' ', &word); bit <<= 1) {
		if ((chosen & bit) == 0)
			continue;
		smtp_puts(t, t->n > 0 ? "," : "");
		smtp_put(t, word);
	}
}

bool
smtp_option_get(const struct smtp_option *o, struct smtp_text *t,
    struct slice *value)
{
	const char *text;

	switch (o->kind) {
	case SMTP_KIND_FLAG:
		*value = smtp_written(t);
		return *(const bool *)o->to;
	case SMTP_KIND_NUMBER:
	case SMTP_KIND_SIZE:
		smtp_put_number(t, *(const uint64_t *)o->to);
		break;
	case SMTP_KIND_ONE:
	case SMTP_KIND_SOME:
		put_choice(t, o);
		*value = smtp_written(t);
		return t->n > 0;
	case SMTP_KIND_DELIMITER:
		smtp_put(t, (struct slice){ o->to, *(const char *)o->to !=
		    '\0' });
		break;
	case SMTP_KIND_DOMAIN:
	case SMTP_KIND_OTHER:
		return false;
	default:
		text = *(const char *const *)o->to;
		if (text == NULL && o->kind == SMTP_KIND_CHARSET)
			text = "off";
		if (text != NULL)
			*value = smtp_slice(text);
		return text != NULL;
	}
	*value = smtp_written(t);
	return true;
}

/* setting = name [1*blank value]; a line may be a comment, too */
static enum smtp_status
parse_setting(struct slice line, struct slice *name, struct slice *value)
{
	if (line.n > 0 && memchr(line.p, '\0', line.n) != NULL)
		return SMTP_ESYNTAX;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	line = smtp_trim(line);
	if (line.n > 0 && line.p[0] == '#')
		line.n = 0;
	return smtp_parse_command(line, name, value);
}

static const struct smtp_option *
find_name(const struct smtp_option *o, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++)
		if (o[i].name[0] != '\0' && smtp_is(name, o[i].name))
			return o + i;
	return NULL;
}

const char *
smtp_option_line(const struct smtp_option *o, size_t n, struct slice line,
    const struct smtp_option **found, struct slice *name, struct slice *value)
{
	*found = NULL;
	*name = *value = take(line, 0);
	if (parse_setting(line, name, value) != SMTP_OK)
		return "a control character";
	if (name->n == 0)
		return NULL;
	*found = find_name(o, n, *name);
	if (*found == NULL)
		return "no such option";
	if ((*found)->to == NULL)
		return "not in a file";
	return (*found)->arg == NULL && value->n > 0 ? "takes no value" : NULL;
}

void
smtp_put_help(struct smtp_text *t, const struct smtp_option *o, size_t column)
{
	const struct slice letter = { &o->letter, o->letter != 0 };
	const size_t begin = t->n;

	smtp_puts(t, letter.n > 0 ? "  -" : "    ");
	smtp_put(t, letter);
	if (o->name[0] != '\0') {
		smtp_puts(t, letter.n > 0 ? ", --" : "  --");
		smtp_puts(t, o->name);
		smtp_puts(t, o->arg != NULL && o->arg[0] != '[' ? " " : "");
	}
	smtp_puts(t, o->arg != NULL ? o->arg : "");
	do
		smtp_puts(t, " ");
	while (!t->cut && t->n - begin < column);
	smtp_puts(t, o->help);
}

/* ---- the message ------------------------------------------------------ */

enum { AT_BOL = 0, AT_TEXT, AT_CR, AT_DOT, AT_DOTCR };

static void
emit(struct smtp_room *out, char c)
{
	*out->p = c;
	*out = (struct smtp_room){ out->p + 1, out->n - 1 };
}

/* is one of these eight octets under 32?  Exact, if not for which */
static bool
holds_control(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101U;

	return ((word - ones * 32) & ~word & ones * 128) != 0;
}

/* Copy text up to a CR, an LF, or the end of in or out: eight octets at a
 * time, as long as they hold no control character.  (One memchr for CR and
 * one for LF would read everything twice, and musl's is slow.) */
static size_t
copy_text(struct slice *in, struct smtp_room *out)
{
	enum { WORD = sizeof(uint64_t) };
	const size_t most = in->n < out->n ? in->n : out->n;
	const char *const from = in->p;
	char *const to = out->p;
	size_t n = 0, stop;
	uint64_t word;

	do {
		for (stop = n + (most - n) / WORD * WORD; n < stop; n += WORD) {
			memcpy(&word, from + n, WORD);
			if (holds_control(word))
				break;
			memcpy(to + n, &word, WORD);
		}
		stop = most - n < WORD ? most : n + WORD;
		for (; n < stop && from[n] != '\r' && from[n] != '\n'; n++)
			to[n] = from[n];
	} while (n == stop && n < most);
	*in = drop(*in, n);
	*out = (struct smtp_room){ to + n, out->n - n };
	return n;
}

/* a CR or LF that belongs to no line end, and stays or becomes a blank */
static void
bare(struct smtp_data *d, char c, struct smtp_room *out)
{
	if (!d->bare)
		d->bare_line = d->lines + 1;
	d->bare = true;
	d->at = AT_TEXT;
	d->octets++;
	emit(out, c == '\r' && d->normalize ? ' ' : c);
}

static void
line_end(struct smtp_data *d, struct slice *in, struct smtp_room *out)
{
	d->at = AT_BOL;
	d->octets += 2;
	d->lines++;
	emit(out, '\n');
	*in = drop(*in, 1);
}

/* text, and the CR or LF behind it; there is room for one octet at least */
static void
decode_text(struct smtp_data *d, bool dots, struct slice *in,
    struct smtp_room *out)
{
	d->octets += copy_text(in, out);
	if (in->n == 0 || out->n == 0)
		return;
	if (in->p[0] == '\r') {
		*in = drop(*in, 1);
		if (d->newline == SMTP_LF && !d->normalize)
			bare(d, '\r', out);
		else
			d->at = AT_CR;
	} else if (d->newline == SMTP_LF) {
		line_end(d, in, out);
	} else {
		*in = drop(*in, 1);
		bare(d, '\n', out);
		if (d->normalize)
			d->octets++;
		/* a dot behind a bare LF is a dot */
		if (d->normalize && !dots)
			d->at = AT_BOL;
	}
}

static enum smtp_data_status
decode(struct smtp_data *d, bool dots, struct slice *in, struct smtp_room *out)
{
	while (in->n > 0 && out->n > 0) {
		switch (d->at) {
		case AT_BOL:
			d->at = AT_TEXT;
			if (dots && in->p[0] == '.') {
				d->at = AT_DOT;
				*in = drop(*in, 1);
			}
			break;
		case AT_DOT:
			d->at = AT_TEXT;
			if (in->p[0] == '\r' &&
			    (d->newline != SMTP_LF || d->normalize))
				d->at = AT_DOTCR;
			else if (in->p[0] != '\n' || d->newline != SMTP_LF)
				break;
			*in = drop(*in, 1);
			if (d->at == AT_TEXT)
				return SMTP_DATA_END;
			break;
		case AT_DOTCR:
			if (in->p[0] != '\n') {
				bare(d, '\r', out);
				break;
			}
			*in = drop(*in, 1);
			return SMTP_DATA_END;
		case AT_CR:
			if (in->p[0] == '\n')
				line_end(d, in, out);
			else
				bare(d, '\r', out);
			break;
		default:
			decode_text(d, dots, in, out);
		}
	}
	return in->n == 0 ? SMTP_DATA_MORE : SMTP_DATA_FULL;
}

enum smtp_data_status
smtp_data(struct smtp_data *d, struct slice *in, struct smtp_room *out)
{
	return decode(d, true, in, out);
}

enum smtp_data_status
smtp_chunk(struct smtp_data *d, struct slice *in, struct smtp_room *out)
{
	return decode(d, false, in, out);
}

enum smtp_data_status
smtp_chunk_end(struct smtp_data *d, struct smtp_room *out)
{
	if (out->n < 2)
		return SMTP_DATA_FULL;
	if (d->at == AT_CR)
		bare(d, '\r', out);
	if (d->at != AT_BOL)
		emit(out, '\n');
	d->at = AT_BOL;
	return SMTP_DATA_END;
}

/* where smtp_header is: a field that is complete but for the question
 * whether the next line continues it is told by colon > 0 at H_BOL */
enum { H_BOL = 0, H_NAME, H_BLANK, H_VALUE, H_BODY };

static void
header_keep(struct smtp_header *h, struct slice text)
{
	if (text.n > sizeof(h->text) - h->n)
		text.n = sizeof(h->text) - h->n;
	memcpy(h->text + h->n, text.p, text.n);
	h->n += text.n;
}

static enum smtp_header_status
header_field(struct smtp_header *h, struct slice *name, struct slice *value)
{
	struct slice all = { h->text, h->n };
	size_t n = h->colon;

	*name = take(all, n);
	n += scan_blanks(drop(all, n)) + 1;
	*value = smtp_trim(drop(all, n));
	h->colon = 0;
	return SMTP_HEADER_FIELD;
}

/* the line is no field: it is the body's first, and so is what we hold */
static enum smtp_header_status
header_body(struct smtp_header *h, struct slice *value)
{
	*value = (struct slice){ h->text, h->n };
	h->at = H_BODY;
	h->n = 0;
	return SMTP_HEADER_END;
}

/* ftext = %d33-57 / %d59-126                            (RFC 5322, 3.6.8) */
static bool
is_ftext(char c)
{
	return c > ' ' && c < 0x7f && c != ':';
}

/* field-name *blank ":", all within SMTP_FIELD_MAX octets
 *                                                   (RFC 5322, 3.6.8, 4.5) */
enum smtp_first
smtp_first_line(struct slice head)
{
	size_t n = 0;

	if (head.n > 0 && head.p[0] == '\n')
		return SMTP_FIRST_FIELD;
	if (head.n > SMTP_FIELD_MAX)
		head = take(head, SMTP_FIELD_MAX);
	while (n < head.n && is_ftext(head.p[n]))
		n++;
	if (n > 0)
		n += scan_blanks(drop(head, n));
	if (n == head.n && n < SMTP_FIELD_MAX)
		return SMTP_FIRST_MORE;
	if (n > 0 && n < head.n && head.p[n] == ':')
		return SMTP_FIRST_FIELD;
	if (head.p[0] == '>')
		head = drop(head, 1);
	return begins(head, "From ", 5) == FIT_YES ? SMTP_FIRST_MAILBOX :
	    SMTP_FIRST_BODY;
}

/* the name of a field and its colon, one octet; false if it can be none */
static bool
header_name(struct smtp_header *h, char c)
{
	if (h->n == sizeof(h->text))
		return false;
	if (c == ':' && h->n > 0) {
		if (h->at == H_NAME)
			h->colon = h->n;
		h->at = H_VALUE;
	} else if (is_blank(c) && h->n > 0) {
		if (h->at == H_NAME)
			h->colon = h->n;
		h->at = H_BLANK;
	} else if (h->at != H_NAME || !is_ftext(c))
		return false;
	h->text[h->n++] = c;
	return true;
}

/* the rest of a line of a field, its line end not kept */
static void
header_value(struct smtp_header *h, struct slice *in)
{
	const char *lf = memchr(in->p, '\n', in->n);
	size_t n = lf == NULL ? in->n : (size_t)(lf - in->p);

	header_keep(h, take(*in, n));
	if (lf != NULL) {
		h->at = H_BOL;
		n++;
	}
	*in = drop(*in, n);
}

enum smtp_header_status
smtp_header(struct smtp_header *h, struct slice *in, struct slice *name,
    struct slice *value)
{
	while (in->n > 0 && h->at != H_BODY) {
		switch (h->at) {
		case H_BOL:
			if (h->colon > 0 && is_blank(in->p[0])) {
				h->at = H_VALUE;
				break;
			}
			if (h->colon > 0)
				return header_field(h, name, value);
			h->n = 0;
			h->at = H_NAME;
			if (in->p[0] == '\n') {
				*in = drop(*in, 1);
				return header_body(h, value);
			}
			break;
		case H_VALUE:
			header_value(h, in);
			break;
		default:
			if (!header_name(h, in->p[0])) {
				h->colon = 0;
				return header_body(h, value);
			}
			*in = drop(*in, 1);
		}
	}
	if (h->at != H_BODY)
		return SMTP_HEADER_MORE;
	*value = take(*in, 0);
	return SMTP_HEADER_END;
}

bool
smtp_header_end(struct smtp_header *h, struct slice *name,
    struct slice *value)
{
	if (h->colon == 0 || (h->at != H_BOL && h->at != H_VALUE))
		return false;
	header_field(h, name, value);
	return true;
}

/* the octets that may follow this first one of a sequence
 *                                           (RFC 3629, section 4, UTF8-2..4) */
static bool
utf8_begin(struct smtp_utf8 *u, unsigned char c)
{
	u->low = 0x80;
	u->high = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		u->left = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		u->left = 2;
		if (c == 0xe0)
			u->low = 0xa0;
		if (c == 0xed)
			u->high = 0x9f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		u->left = 3;
		if (c == 0xf0)
			u->low = 0x90;
		if (c == 0xf4)
			u->high = 0x8f;
	} else
		return false;
	return true;
}

/* the octets up to the first over 127, 32 and then 8 at a time */
static size_t
scan_ascii(struct slice in)
{
	const uint64_t tops = 0x8080808080808080U;
	uint64_t w[4];
	size_t n = 0;

	for (; in.n - n >= sizeof(w); n += sizeof(w)) {
		memcpy(w, in.p + n, sizeof(w));
		if (((w[0] | w[1] | w[2] | w[3]) & tops) != 0)
			break;
	}
	for (; in.n - n >= sizeof(w[0]); n += sizeof(w[0])) {
		memcpy(w, in.p + n, sizeof(w[0]));
		if ((w[0] & tops) != 0)
			break;
	}
	while (n < in.n && !is_eight_bit(in.p[n]))
		n++;
	return n;
}

void
smtp_utf8(struct smtp_utf8 *u, struct slice in)
{
	unsigned char c;

	while (!u->bad) {
		if (u->left == 0)
			in = drop(in, scan_ascii(in));
		if (in.n == 0)
			return;
		c = (unsigned char)in.p[0];
		if (u->left == 0) {
			u->eight_bit = true;
			u->bad = !utf8_begin(u, c);
		} else {
			u->bad = c < u->low || c > u->high;
			u->low = 0x80;
			u->high = 0xbf;
			u->left--;
		}
		in = drop(in, 1);
	}
}

bool
smtp_utf8_valid(struct slice in)
{
	struct smtp_utf8 u = { 0 };

	smtp_utf8(&u, in);
	return !u.bad && u.left == 0;
}

/* a number of so many digits, and what stands behind it */
static void
put_digits(struct smtp_text *t, int64_t v, size_t digits, const char *after)
{
	char buf[4];

	for (size_t i = digits; i-- > 0; v /= 10)
		buf[i] = (char)('0' + v % 10);
	smtp_put(t, (struct slice){ buf, digits });
	smtp_puts(t, after);
}

/* date-time = day-name "," day month year hour ":" minute ":" second zone
 *                                                         (RFC 5322, 3.3) */
void
smtp_date(int64_t seconds, char out[SMTP_DATE_SIZE])
{
	static const char days[] = "ThuFriSatSunMonTueWed";
	static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
	int64_t day = seconds / 86400, s = seconds % 86400;
	int64_t z = day + 719468;	/* since 0000-03-01: leap days last */
	int64_t era = z / 146097, doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * doy + 2) / 153;	/* 0 is March */
	struct smtp_text t = { out, SMTP_DATE_SIZE, 0, false };

	smtp_put(&t, (struct slice){ days + 3 * (day % 7), 3 });
	smtp_puts(&t, ", ");
	put_digits(&t, doy - (153 * m + 2) / 5 + 1, 2, " ");
	smtp_put(&t, (struct slice){ months + 3 * m, 3 });
	smtp_puts(&t, " ");
	put_digits(&t, yoe + era * 400 + (m >= 10), 4, " ");
	put_digits(&t, s / 3600, 2, ":");
	put_digits(&t, s / 60 % 60, 2, ":");
	put_digits(&t, s % 60, 2, " +0000");
	(void)smtp_string(&t);
}

/* a word of up to three pieces, on a new line where it would pass 77
 * columns; the TAB before it counts for eight */
static void
put_word(struct smtp_text *t, size_t *column, const char *before,
    struct slice word, const char *after)
{
	enum { TAB = 8, COLUMNS = 77 };
	size_t n = strlen(before) + word.n + strlen(after);

	if (*column + 1 + n > COLUMNS && *column > TAB) {
		smtp_puts(t, "\n\t");
		*column = TAB;
	} else {
		smtp_puts(t, " ");
		*column += 1;
	}
	smtp_puts(t, before);
	smtp_put(t, word);
	smtp_puts(t, after);
	*column += n;
}

/* "?" for each octet that no domain or address literal could have */
static void
mask_helo(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(p[i]) && p[i] != '.' && p[i] != '-' &&
		    p[i] != '_')
			p[i] = '?';
}

/* from Extended-Domain: what the client calls itself, and who it is */
static void
put_client(struct smtp_text *w, size_t *column, const struct smtp_trace *t)
{
	char helo[SMTP_DOMAIN_MAX];
	struct slice from = { helo, t->helo.n };
	const char *open = t->name.n > 0 ? "[" : "([";

	if (from.n > sizeof(helo))
		from.n = sizeof(helo);
	if (from.n > 0)
		memcpy(helo, t->helo.p, from.n);
	if (!smtp_is_literal(t->helo))
		mask_helo(helo, from.n);
	put_word(w, column, "from ", from.n > 0 ? from :
	    smtp_slice("unknown"), "");
	if (t->name.n > 0)
		put_word(w, column, "(", t->name, "");
	if (t->address.n == 0)
		put_word(w, column, t->name.n > 0 ? "" : "(",
		    smtp_slice("unknown"), ")");
	else {
		if (t->ipv6)
			open = t->name.n > 0 ? "[IPv6:" : "([IPv6:";
		put_word(w, column, open, t->address, "])");
	}
}

/* Received: from Extended-Domain by Domain with Protocol id String
 *	[for Path]; date-time                            (RFC 5321, 4.4) */
/* (using VERSION with cipher NAME), as far as they are known */
static void
put_tls(struct smtp_text *w, size_t *column, const struct smtp_trace *t)
{
	const bool cipher = t->tls_cipher.n > 0;

	if (t->tls_version.n == 0)
		return;
	put_word(w, column, "(using ", t->tls_version, cipher ? "" : ")");
	if (!cipher)
		return;
	put_word(w, column, "", smtp_slice("with"), "");
	put_word(w, column, "cipher ", t->tls_cipher, ")");
}

size_t
smtp_received(const struct smtp_trace *t, char *buf, size_t size)
{
	struct smtp_text w = { buf, size, 0, false };
	size_t column = sizeof("Received:") - 1;
	char date[SMTP_DATE_SIZE];

	smtp_puts(&w, "Received:");
	put_client(&w, &column, t);
	put_word(&w, &column, "by ", t->host, "");
	put_word(&w, &column, "with ", t->protocol, "");
	put_tls(&w, &column, t);
	put_word(&w, &column, "id ", t->id, t->recipient.n > 0 ? "" : ";");
	if (t->recipient.n > 0) {
		put_word(&w, &column, "", smtp_slice("for"), "");
		put_word(&w, &column, "<", t->recipient, ">;");
	}
	smtp_date(t->seconds, date);
	put_word(&w, &column, "", smtp_slice(date), "");
	smtp_puts(&w, "\n");
	return w.n;
}

/* a text in front, instead of so many octets; there is room */
static void
put_first(struct smtp_text *t, const char *text, size_t instead)
{
	size_t n = strlen(text);

	memmove(t->p + n, t->p + instead, t->n - instead);
	memcpy(t->p, text, n);
	t->n = t->n + n - instead;
}

bool
smtp_mend_first(struct smtp_text *head)
{
	switch (smtp_first_line(smtp_written(head))) {
	case SMTP_FIRST_MORE:
		return false;
	case SMTP_FIRST_MAILBOX:
		put_first(head, "X-Mailbox-Line: ", head->p[0] == '>');
		break;
	case SMTP_FIRST_BODY:
		put_first(head, "\n", 0);
		break;
	case SMTP_FIRST_FIELD:
		break;
	}
	return true;
}

/* true for a Delivered-To field */
static bool
scan_field(struct smtp_scan *s, struct slice name, struct slice value,
    struct slice *to)
{
	struct smtp_text msgid = SMTP_TEXT(s->msgid);

	if (smtp_is(name, "Delivered-To")) {
		s->delivered++;
		if (value.n > 1 && value.p[0] == '<' &&
		    value.p[value.n - 1] == '>')
			value = take(drop(value, 1), value.n - 2);
		*to = value;
		return true;
	}
	if (smtp_is(name, "Received"))
		s->received++;
	else if (smtp_is(name, "Message-ID") && s->msgid_n == 0) {
		smtp_put(&msgid, value);
		s->msgid_n = msgid.n;
	} else if (smtp_is(name, "MIME-Version") ||
	    smtp_is(name, "Content-Type") ||
	    smtp_is(name, "Content-Transfer-Encoding") ||
	    smtp_is(name, "DKIM-Signature"))
		s->labelled = true;
	return false;
}

bool
smtp_scan(struct smtp_scan *s, struct slice *in, struct slice *to)
{
	struct slice name, value;

	while (!s->in_body) {
		switch (smtp_header(&s->header, in, &name, &value)) {
		case SMTP_HEADER_MORE:
			return false;
		case SMTP_HEADER_FIELD:
			if (scan_field(s, name, value, to))
				return true;
			break;
		case SMTP_HEADER_END:
			s->in_body = true;
			if (!s->labelled)
				smtp_utf8(&s->utf8, value);
		}
	}
	if (!s->labelled)
		smtp_utf8(&s->utf8, *in);
	*in = drop(*in, in->n);
	return false;
}

bool
smtp_scan_end(struct smtp_scan *s, struct slice *to)
{
	struct slice name, value;

	return smtp_header_end(&s->header, &name, &value) &&
	    scan_field(s, name, value, to);
}

void
smtp_put_label(struct smtp_text *t, const struct smtp_scan *s,
    const char *charset)
{
	if (s->labelled || !s->utf8.eight_bit)
		return;
	smtp_puts(t, "MIME-Version: 1.0\n"
	    "Content-Type: text/plain; charset=");
	smtp_puts(t, s->utf8.bad || s->utf8.left > 0 ? charset : "utf-8");
	smtp_puts(t, "\nContent-Transfer-Encoding: 8bit\n");
}

void
smtp_put_id(struct smtp_text *t, uint64_t seconds, uint64_t microseconds,
    uint64_t pid, uint64_t n)
{
	smtp_put_number(t, seconds);
	smtp_puts(t, ".M");
	smtp_put_number(t, microseconds);
	smtp_puts(t, "P");
	smtp_put_number(t, pid);
	smtp_puts(t, "Q");
	smtp_put_number(t, n);
}

void
smtp_put_file(struct smtp_text *t, bool new, struct slice id,
    struct slice host, uint64_t octets)
{
	smtp_puts(t, new ? "new/" : "tmp/");
	smtp_put(t, id);
	smtp_puts(t, ".");
	smtp_put(t, host.n > SMTP_HOST_IN_NAME ?
	    take(host, SMTP_HOST_IN_NAME) : host);
	if (!new)
		return;
	smtp_puts(t, ",S=");
	smtp_put_number(t, octets);
}

/* ---- the session: what is said ---------------------------------------- */

/*
 * Each answer of a host is the reply it stands for; these are the session's
 * own.  4xx is the host's trouble, 5xx the client's.  No octet of the client's
 * is in here: what can vary (an ID, the list of verbs) follows the text.
 */
enum {
	SAY_NONE = SMTP_ANSWERS,
	SAY_HELP,
	SAY_HELPS,
	SAY_HELP_OF,
	SAY_GREETING,
	SAY_TLS,
	SAY_BYE,
	SAY_AUTH_RIGHT,
	SAY_HELO,
	SAY_EHLO,
	SAY_SENDER,
	SAY_RCPT,
	SAY_CHUNK,
	SAY_VRFY,
	SAY_CHALLENGE,
	SAY_USERNAME,
	SAY_PASSWORD,
	SAY_DATA,
	SAY_ERRORS,
	SAY_AUTH_TRIES,
	SAY_IS_TLS,
	SAY_IS_HTTP,
	SAY_IS_PROXY,
	SAY_NO_TLS,
	SAY_UNKNOWN,
	SAY_LHLO,
	SAY_HELO_LMTP,
	SAY_BAD_LINE,
	SAY_BARE_LINE,
	SAY_LONG_LINE,
	SAY_LONG_AUTH,
	SAY_HELO_ARG,
	SAY_NO_ARG,
	SAY_NEED_ARG,
	SAY_SYNTAX,
	SAY_BAD_CHUNK,
	SAY_BAD_PARAM,
	SAY_STRICT,
	SAY_BAD_SENDER,
	SAY_BASE64,
	SAY_CANCELLED,
	SAY_NOT_DONE,
	SAY_AUTH_AGAIN,
	SAY_AUTH_LATE,
	SAY_TLS_AGAIN,
	SAY_X_LATE,
	SAY_IN_BDAT,
	SAY_CHUNK_BEHIND,
	SAY_BARRED,
	SAY_NESTED,
	SAY_LHLO_FIRST,
	SAY_MAIL_FIRST,
	SAY_RCPT_FIRST,
	SAY_MECHANISM,
	SAY_REQUIRED_TLS,
	SAY_REQUIRED_AUTH,
	SAY_AUTH_CLEAR,
	SAY_BARE,
	SAY_SENDER_UTF8,
	SAY_XCLIENT,
	SAY_TOO_BIG,
	SAY_UNFIT_SENDER,
	SAY_RCPT_UTF8,
	SAY_NO_RCPT,
	SAY_NO_PARAM,
	SAY_ASK,		/* nothing yet: s->asked is the question */
	SAYINGS
};

static const char replies[SAYINGS][72] = {
	[SAY_HELP]	= "214 2.0.0 You may say:",
	[SAY_HELPS]	= "214 2.0.0 HELP and one of these tells of it",
	[SAY_HELP_OF]	= "214 2.0.0 ",
	[SAY_GREETING]	= "220 ",
	[SAY_TLS]	= "220 2.0.0 Begin TLS now",
	[SAY_BYE]	= "221 2.0.0 Bye",
	[SAY_AUTH_RIGHT] = "235 2.7.0 Authenticated",
	[SAY_HELO]	= "250 ",
	[SAY_EHLO]	= "250 HELP",
	[SMTP_YES]	= "250 2.0.0 Ok",
	[SMTP_DRY]	= "250 2.0.0 dry run: nothing was kept",
	[SMTP_DELIVERED] = "250 2.0.0 Delivered as ",
	[SAY_CHUNK]	= "250 2.0.0 Chunk ok",
	[SAY_SENDER]	= "250 2.1.0 Sender ok",
	[SAY_RCPT]	= "250 2.1.5 Recipient ok",
	[SAY_VRFY]	= "252 2.0.0 That is not told: send mail, and see",
	[SAY_CHALLENGE]	= "334 ",
	[SAY_USERNAME]	= "334 VXNlcm5hbWU6",	/* "Username:", ... */
	[SAY_PASSWORD]	= "334 UGFzc3dvcmQ6",	/* ... "Password:" */
	[SMTP_EACH]	= "353 A reply for each recipient follows",
	[SAY_DATA] =
	    "354 Send the message, end it with a dot alone on a line",
	[SMTP_SHUTDOWN]	= "421 4.3.2 Shutting down, try again later",
	[SMTP_TIMEOUT]	= "421 4.4.2 Waited too long: connect again",
	[SAY_ERRORS] =
	    "421 4.7.0 Too many errors: connect again without them",
	[SAY_AUTH_TRIES] = "421 4.7.0 Too many wrong passwords: connect again",
	[SAY_IS_TLS] =
	    "421 4.7.0 This port speaks SMTP in clear: begin without TLS",
	[SAY_IS_HTTP] =
	    "421 4.7.0 This port speaks SMTP, not HTTP: send mail here",
	[SAY_IS_PROXY] =
	    "421 4.7.0 No PROXY header is taken on this port: send none",
	[SMTP_FAULT]	= "451 4.3.0 Local fault, try again later",
	[SMTP_NO_LINKS] =
	    "451 4.3.0 No hard links at the mailbox, try again later",
	[SMTP_MISCONFIGURED] = "451 4.3.5 Not set up right, try again later",
	[SMTP_CANT_CREATE] = "452 4.2.0 Mailbox not writable, try again later",
	[SMTP_QUOTA]	= "452 4.2.2 Over quota, try again later",
	[SMTP_NO_ROOM]	= "452 4.3.1 No room, try again later",
	[SMTP_CROWDED] =
	    "452 4.5.3 Too many recipients: more in another message",
	[SAY_NO_TLS]	= "454 4.7.0 TLS is not to be had, try again later",
	[SMTP_UNAVAILABLE] =
	    "454 4.7.0 Passwords are not checked, try again later",
	[SAY_LHLO]	= "500 SMTP is spoken here, not LMTP: say EHLO",
	[SAY_HELO_LMTP]	= "500 LMTP is spoken here, not SMTP: say LHLO",
	[SAY_UNKNOWN]	= "500 5.5.1 Command not recognised: HELP lists them",
	[SAY_BAD_LINE] =
	    "500 5.5.2 A control character in the line: leave it out",
	[SAY_BARE_LINE] =
	    "500 5.5.2 Lines end in CRLF, not in LF alone: send both",
	[SAY_LONG_LINE] =
	    "500 5.5.2 Line too long: at most 2048 octets, with CRLF",
	[SAY_LONG_AUTH] =
	    "500 5.5.6 Line too long: AUTH takes 12288 octets, with CRLF",
	[SAY_HELO_ARG]	= "501 Your name must follow, in 1 to 255 octets",
	[SMTP_BAD_ADDRESS] =
	    "501 5.1.3 Bad recipient address: say <user@example.org>",
	[SAY_BAD_SENDER] =
	    "501 5.1.7 Bad sender address: say <user@example.org> or <>",
	[SAY_BASE64] =
	    "501 5.5.2 Not base64 of what was asked for: AUTH again",
	[SAY_NO_ARG]	= "501 5.5.4 Nothing may follow: say the command alone",
	[SAY_NEED_ARG]	= "501 5.5.4 Argument missing",
	[SAY_SYNTAX]	= "501 5.5.4 Syntax error in the arguments",
	[SAY_BAD_CHUNK]	= "501 5.5.4 No chunk size, so no next command",
	[SAY_BAD_PARAM] =
	    "501 5.5.4 Bad value of a parameter: mend it or leave it out",
	[SAY_STRICT]	= "501 5.5.4 Strictly taken this is wrong",
	[SAY_CANCELLED]	= "501 5.7.0 AUTH is cancelled: go on, or say it again",
	[SAY_NOT_DONE]	= "502 5.5.1 Not available here: HELP lists what is",
	[SAY_AUTH_AGAIN] = "503 5.5.1 You are authenticated already: say MAIL",
	[SAY_AUTH_LATE] =
	    "503 5.5.1 Not the time for AUTH: EHLO, AUTH, then MAIL",
	[SAY_TLS_AGAIN]	= "503 5.5.1 TLS has begun already: say EHLO",
	[SAY_X_LATE]	= "503 5.5.1 XCLIENT stands before MAIL: RSET first",
	[SAY_IN_BDAT]	= "503 5.5.1 BDAT has begun: go on with it, or RSET",
	[SAY_CHUNK_BEHIND] =
	    "503 5.5.1 A chunk before it was refused: RSET first",
	[SAY_BARRED]	= "503 5.5.1 No mail is taken from you: say QUIT",
	[SAY_NESTED] =
	    "503 5.5.1 A sender was given already: say RCPT, or RSET",
	[SAY_LHLO_FIRST] = "503 5.5.1 Not introduced yet: LHLO first",
	[SAY_MAIL_FIRST] = "503 5.5.1 No sender yet: MAIL first",
	[SAY_RCPT_FIRST] = "503 5.5.1 No recipient yet: MAIL and RCPT first",
	[SAY_MECHANISM] =
	    "504 5.5.4 Mechanism not known: say AUTH PLAIN or LOGIN",
	[SAY_REQUIRED_TLS] = "530 5.7.0 Encryption is wanted: STARTTLS first",
	[SAY_REQUIRED_AUTH] = "530 5.7.0 A password is wanted: AUTH first",
	[SMTP_WRONG]	= "535 5.7.8 Wrong user or password: AUTH again",
	[SAY_AUTH_CLEAR] =
	    "538 5.7.11 No password without encryption: TLS first",
	[SMTP_NO_USER]	= "550 5.1.1 No such user: check the address",
	[SMTP_NO_HOST]	= "550 5.1.2 No such domain: check the address",
	[SAY_BARE]	= "550 5.5.2 A bare CR or LF in the message: send CRLF",
	[SAY_SENDER_UTF8] =
	    "550 5.6.7 A sender beyond ASCII: MAIL needs SMTPUTF8",
	[SAY_XCLIENT] =
	    "550 5.7.0 XCLIENT is not yours to say: go on without",
	[SMTP_NOT_OURS] =
	    "550 5.7.1 No relaying to that domain: ask its own server",
	[SMTP_DENIED]	= "550 5.7.1 Delivery not permitted: ask the recipient",
	[SAY_TOO_BIG] =
	    "552 5.3.4 Message too big: send less, SIZE is the limit",
	[SMTP_UNFIT] =
	    "553 5.1.3 No such recipient is handed on: say a plain one",
	[SAY_UNFIT_SENDER] =
	    "553 5.1.7 No such sender is handed on: say a plain one",
	[SAY_RCPT_UTF8] =
	    "553 5.6.7 A recipient beyond ASCII: MAIL needs SMTPUTF8",
	[SAY_NO_RCPT] =
	    "554 5.5.1 Every recipient was refused: say another RCPT",
	[SMTP_REJECTED] =
	    "554 5.3.0 Refused for good: send it no more",
	[SMTP_LOOP]	= "554 5.4.6 The message is looping: stop a forwarding",
	[SMTP_BAD_DATA]	= "554 5.6.0 The message was not understood: mend it",
	[SAY_NO_PARAM]	= "555 5.5.4 Parameter not known: leave it out",
};

struct slice
smtp_reply_text(enum smtp_reply answer)
{
	return smtp_slice(replies[(unsigned)answer < SMTP_ANSWERS ? answer :
	    SMTP_FAULT]);
}

/* the text of a reply, in words of its own or not */
static struct slice
said(const struct smtp_session *s, unsigned say)
{
	return say == SMTP_OWN ? (struct slice){ s->own, s->own_n } :
	    smtp_slice(replies[say]);
}

static char
class_of(const struct smtp_session *s, unsigned say)
{
	return said(s, say).p[0];
}

/* too many recipients: a policy server may say it, too, and the client goes on
 * with those that it has */
static bool
is_crowded(const struct smtp_session *s, unsigned say)
{
	return smtp_is(take(said(s, say), 9), "452 4.5.3");
}

/* a reply's code and enhanced code, "250 2.0.0" */
static struct slice
codes_of(struct slice text)
{
	const char *end = memchr(text.p + 4, ' ', text.n - 4);

	return end == NULL ? text : take(text, (size_t)(end - text.p));
}

static unsigned
say_own(struct smtp_session *s, struct slice codes, struct slice words)
{
	struct smtp_text t = SMTP_TEXT(s->own);

	smtp_put(&t, codes);
	smtp_puts(&t, " ");
	smtp_put_words(&t, words);
	s->own_n = t.n;
	return SMTP_OWN;
}

/* Is a question open whose answer may have words?  At any other moment what is
 * there may be those of a reply that is not written yet; and after HANDSHAKE
 * nothing is said but by who is behind it. */
static bool
takes_words(const struct smtp_session *s)
{
	return s->asked >= SMTP_CONNECT && s->asked != SMTP_FORGET &&
	    s->asked != SMTP_HANDSHAKE && s->asked != SMTP_CLOSE;
}

/* Reply-code = ("2" / "4" / "5") %x30-35 DIGIT            (RFC 5321, 4.2) */
enum smtp_reply
smtp_own(struct smtp_session *s, struct slice code, struct slice enhanced,
    struct slice words)
{
	char buf[32];
	struct smtp_text codes = SMTP_TEXT(buf);

	if (!takes_words(s) || code.n != 3 || (code.p[0] != '2' &&
	    code.p[0] != '4' && code.p[0] != '5') || code.p[1] < '0' ||
	    code.p[1] > '5' || !is_digit(code.p[2]) ||
	    scan_enhanced(enhanced) == 0 ||
	    scan_enhanced(enhanced) != enhanced.n ||
	    enhanced.p[0] != code.p[0])
		return SMTP_FAULT;
	smtp_put(&codes, code);
	smtp_puts(&codes, " ");
	smtp_put(&codes, enhanced);
	say_own(s, smtp_written(&codes), words);
	return SMTP_OWN;
}

/* what an answer says; one that does not fit the question is a fault */
static unsigned
say_answer(const struct smtp_session *s, enum smtp_reply answer)
{
	const bool sender = s->asked == SMTP_SENDER;
	const bool outcome = s->asked == SMTP_FINISH ||
	    s->asked == SMTP_OUTCOME;

	switch ((int)answer) {
	case SMTP_BAD_ADDRESS:
		return sender ? SAY_BAD_SENDER : SMTP_BAD_ADDRESS;
	case SMTP_UNFIT:
		return sender ? SAY_UNFIT_SENDER : SMTP_UNFIT;
	case SMTP_YES:
	case SMTP_DELIVERED:
	case SMTP_DRY:
		return outcome ? (unsigned)answer : SMTP_FAULT;
	case SMTP_OWN:
		return s->own_n == 0 || (s->own[0] == '2' && !outcome) ?
		    SMTP_FAULT : SMTP_OWN;
	case SMTP_UNAVAILABLE:
	case SMTP_WRONG:
		return s->asked == SMTP_PASSWORD ? (unsigned)answer :
		    SMTP_FAULT;
	default:
		return (unsigned)answer >= SMTP_NO_LINKS &&
		    (unsigned)answer < SMTP_ANSWERS ? (unsigned)answer :
		    SMTP_FAULT;
	}
}

/* one line of a reply, in two parts */
static void
put_line(struct smtp_host *h, struct slice text, struct slice more)
{
	smtp_put(&h->out, text);
	smtp_put(&h->out, more);
	smtp_puts(&h->out, "\r\n");
}

static void
put_reply(const struct smtp_session *s, struct smtp_host *h, unsigned say)
{
	put_line(h, said(s, say), smtp_slice(""));
}

/* junk costs us more than it costs the client: so much of it is an error */
static void
count_junk(struct smtp_session *s, const struct smtp_terms *t)
{
	if (t->junk == 0 || ++s->junk < t->junk)
		return;
	s->junk = 0;
	s->errors++;
}

/* ---- the session: the commands ---------------------------------------- */

enum need { NEED_NOTHING, NEED_TLS, NEED_ALL };	/* of what terms want */
enum arg { ARG_NONE, ARG_MAY, ARG_MUST };

enum verb {
	VERB_NONE, VERB_HELO, VERB_EHLO, VERB_LHLO, VERB_STARTTLS, VERB_AUTH,
	VERB_XCLIENT, VERB_MAIL, VERB_RCPT, VERB_DATA, VERB_BDAT, VERB_RSET,
	VERB_NOOP, VERB_QUIT, VERB_VRFY, VERB_HELP, VERB_VERB, VERB_ONEX,
	VERB_EXPN, VERB_ETRN, VERB_TURN, VERB_SEND, VERB_SOML, VERB_SAML,
	VERBS
};

enum {
	S_HELO = SMTP_S_HELO,
	S_IDLE = SMTP_S_IDLE,
	S_MAIL = SMTP_S_MAIL,
	S_TRIED = SMTP_S_TRIED,
	S_RCPT = SMTP_S_RCPT,
	S_BDAT = SMTP_S_BDAT,
	S_TXN = S_MAIL | S_TRIED | S_RCPT | S_BDAT,
	S_ANY = S_HELO | S_IDLE | S_TXN
};

static const struct command {
	char		 name[9];
	unsigned char	 arg;
	unsigned char	 when;	/* the states it is allowed in */
	unsigned char	 order;	/* the reply in any other */
	unsigned char	 need;	/* what must have been done before it */
	unsigned char	 say;	/* all there is to it, if no do_x() */
	bool		 junk;	/* see count_junk() */
} commands[VERBS] = {
	[VERB_HELO] = { "HELO", ARG_MAY, S_ANY, .junk = true },
	[VERB_EHLO] = { "EHLO", ARG_MAY, S_ANY, .junk = true },
	[VERB_LHLO] = { "LHLO", ARG_MAY, S_ANY, .junk = true },
	[VERB_STARTTLS] = { "STARTTLS", ARG_NONE, S_ANY, .junk = false },
	[VERB_AUTH] = { "AUTH", ARG_MAY, S_ANY, .need = NEED_TLS },
	[VERB_XCLIENT] = { "XCLIENT", ARG_MAY, S_ANY, .junk = false },
	[VERB_MAIL] = { "MAIL", ARG_MUST, S_HELO | S_IDLE,
	    .order = SAY_NESTED, .need = NEED_ALL },
	[VERB_RCPT] = { "RCPT", ARG_MUST, S_MAIL | S_TRIED | S_RCPT,
	    .order = SAY_MAIL_FIRST, .need = NEED_ALL },
	[VERB_DATA] = { "DATA", ARG_NONE, S_TRIED | S_RCPT,
	    .order = SAY_RCPT_FIRST, .need = NEED_ALL },
	/* its chunk is read, and then it is judged */
	[VERB_BDAT] = { "BDAT", ARG_MAY, S_ANY, .junk = false },
	[VERB_RSET] = { "RSET", ARG_NONE, S_ANY, .junk = true },
	[VERB_NOOP] = { "NOOP", ARG_MAY, S_ANY, .say = SMTP_YES, .junk = true },
	[VERB_QUIT] = { "QUIT", ARG_NONE, S_ANY, .junk = false },
	[VERB_VRFY] = { "VRFY", ARG_MUST, S_ANY, .need = NEED_ALL,
	    .junk = true },
	[VERB_HELP] = { "HELP", ARG_MAY, S_ANY, .junk = true },
	[VERB_VERB] = { "VERB", ARG_MAY, S_ANY, .say = SMTP_YES, .junk = true },
	[VERB_ONEX] = { "ONEX", ARG_MAY, S_ANY, .say = SMTP_YES, .junk = true },
	[VERB_EXPN] = { "EXPN", ARG_MAY, S_ANY, .need = NEED_ALL,
	    .say = SAY_NOT_DONE },
	[VERB_ETRN] = { "ETRN", ARG_MAY, S_ANY, .say = SAY_NOT_DONE },
	[VERB_TURN] = { "TURN", ARG_MAY, S_ANY, .say = SAY_NOT_DONE },
	[VERB_SEND] = { "SEND", ARG_MAY, S_ANY, .say = SAY_NOT_DONE },
	[VERB_SOML] = { "SOML", ARG_MAY, S_ANY, .say = SAY_NOT_DONE },
	[VERB_SAML] = { "SAML", ARG_MAY, S_ANY, .say = SAY_NOT_DONE }
};

static enum verb
verb_find(struct slice name)
{
	for (unsigned v = VERB_NONE + 1; v < VERBS; v++)
		if (smtp_is(name, commands[v].name))
			return (enum verb)v;
	return VERB_NONE;
}

/* has the client done what the terms want before such a command? */
static bool
required_met(const struct smtp_session *s, const struct smtp_terms *t,
    unsigned need)
{
	if (need != NEED_NOTHING && t->needs_tls && !t->encrypted)
		return false;
	return need != NEED_ALL || !t->needs_login || s->login_n > 0;
}

static unsigned
say_required(const struct smtp_terms *t)
{
	return t->needs_tls && !t->encrypted ? SAY_REQUIRED_TLS :
	    SAY_REQUIRED_AUTH;
}

/* is it of use in this state, and here at all? */
static bool
command_works(const struct smtp_session *s, const struct smtp_terms *t,
    unsigned verb, unsigned state)
{
	if (s->barred && verb != VERB_QUIT)
		return false;
	switch (verb) {
	case VERB_BDAT:
		return (state & (S_RCPT | S_BDAT)) != 0;
	case VERB_HELO:
	case VERB_EHLO:
		return !t->lmtp;
	case VERB_LHLO:
		return t->lmtp;
	case VERB_STARTTLS:
		return t->tls;
	case VERB_AUTH:
		return t->auth && t->auth_now && s->login_n == 0 &&
		    state == S_IDLE;
	case VERB_XCLIENT:
		return t->xclient && (state & S_TXN) == 0;
	case VERB_MAIL:
		if (t->lmtp && state == S_HELO)
			return false;
		break;
	}
	return required_met(s, t, commands[verb].need) &&
	    (commands[verb].when & state) != 0 &&
	    commands[verb].say != SAY_NOT_DONE;
}

/* how a command goes, and what it is for */
static const struct help {
	char	 usage[32];
	char	 what[44];
} helps[VERBS] = {
	[VERB_HELO] = { "HELO host.example", "says who you are, as of old" },
	[VERB_EHLO] = { "EHLO host.example", "says who you are" },
	[VERB_LHLO] = { "LHLO host.example", "says who you are" },
	[VERB_STARTTLS] = { "STARTTLS", "has the connection encrypted" },
	[VERB_AUTH] = { "AUTH LOGIN", "asks for user and password, in base64" },
	[VERB_XCLIENT] = { "XCLIENT ADDR=192.0.2.7",
	    "says for whom you speak" },
	[VERB_MAIL] = { "MAIL FROM:<you@example.org>",
	    "begins a message: who sends it" },
	[VERB_RCPT] = { "RCPT TO:<them@example.org>",
	    "one who gets it; again for another" },
	[VERB_DATA] = { "DATA", "begins its text" },
	[VERB_BDAT] = { "BDAT 1000 LAST", "so many octets are its text" },
	[VERB_RSET] = { "RSET", "forgets the message" },
	[VERB_NOOP] = { "NOOP", "does nothing" },
	[VERB_QUIT] = { "QUIT", "ends the session" },
	[VERB_VRFY] = { "VRFY them@example.org",
	    "asks whether there is such a user" },
	[VERB_HELP] = { "HELP MAIL", "tells of a command; HELP of all" },
	[VERB_VERB] = { "VERB", "does nothing, as in sendmail" },
	[VERB_ONEX] = { "ONEX", "does nothing, as in sendmail" },
	[VERB_EXPN] = { "EXPN staff", "is not available here" },
	[VERB_ETRN] = { "ETRN example.org", "is not available here" },
	[VERB_TURN] = { "TURN", "is not available here" },
	[VERB_SEND] = { "SEND FROM:<you@example.org>",
	    "is not available here" },
	[VERB_SOML] = { "SOML FROM:<you@example.org>",
	    "is not available here" },
	[VERB_SAML] = { "SAML FROM:<you@example.org>",
	    "is not available here" }
};

/* HELP at a terminal: a command's line, behind its code */
static void
put_help(const struct smtp_session *s, struct smtp_host *h, unsigned verb)
{
	enum { WIDTH = 30 };
	const struct slice usage = smtp_slice(helps[verb].usage);

	smtp_put(&h->out, usage);
	for (size_t n = usage.n; n < WIDTH; n++)
		smtp_puts(&h->out, " ");
	smtp_puts(&h->out, helps[verb].what);
	if (!command_works(s, &h->terms, verb, s->state))
		smtp_puts(&h->out, " (not now)");
}

/* The lines of all that may be said now; the reply's last one follows. */
static void
put_helps(const struct smtp_session *s, struct smtp_host *h)
{
	for (unsigned v = VERB_NONE + 1; v < VERBS; v++) {
		if (!command_works(s, &h->terms, v, s->state))
			continue;
		smtp_puts(&h->out, "214-2.0.0 ");
		put_help(s, h, v);
		smtp_puts(&h->out, "\r\n");
	}
}

/* HELP: the verbs that may be said now */
static void
put_verbs(const struct smtp_session *s, struct smtp_host *h)
{
	for (unsigned v = VERB_NONE + 1; v < VERBS; v++) {
		if (!command_works(s, &h->terms, v, s->state))
			continue;
		smtp_puts(&h->out, " ");
		smtp_puts(&h->out, commands[v].name);
	}
}

/* by hand: the verb probably meant */
static void
put_guess(const struct smtp_session *s, struct smtp_host *h,
    struct slice verb)
{
	unsigned best = VERB_NONE, least = 3, d;

	for (unsigned v = VERB_NONE + 1; v < VERBS; v++) {
		d = smtp_distance(verb, smtp_slice(commands[v].name));
		if (d < least && command_works(s, &h->terms, v, S_ANY)) {
			least = d;
			best = v;
		}
	}
	if (best == VERB_NONE)
		return;
	smtp_puts(&h->out, "; did you mean ");
	smtp_puts(&h->out, commands[best].name);
	smtp_puts(&h->out, "?");
}

/* ---- the session: lines out of octets --------------------------------- */

enum got { GOT_MORE, GOT_LINE, GOT_LONG, GOT_BARE };
enum { VERB_SEEN = 5 };		/* octets that tell AUTH from all else */

enum newline { NEWLINE_UNKNOWN, NEWLINE_CRLF, NEWLINE_LF };

/* what is told of the AUTH that is under way, instead of its line */
enum told { TOLD_LINE, TOLD_AUTH, TOLD_PLAIN, TOLD_LOGIN };

static bool
is_auth(struct slice line)
{
	return line.n >= VERB_SEEN && smtp_is(take(line, 4), "AUTH") &&
	    is_blank(line.p[4]);
}

/* is the response of an AUTH exchange to come? */
static bool
in_auth(const struct smtp_session *s)
{
	return s->at == SMTP_AT_PLAIN || s->at == SMTP_AT_USER ||
	    s->at == SMTP_AT_PASSWORD;
}

/* the command, or as much of it as is known where it was no line */
static struct slice
heard(const struct smtp_session *s)
{
	return (struct slice){ s->line, s->heard_n };
}

/* The line is done with: nothing of it is kept but what follows it. */
static void
line_drop(struct smtp_session *s)
{
	size_t rest = s->line_n - s->used;

	memmove(s->line, s->line + s->used, rest);
	memset(s->line + rest, 0, s->used);
	s->line_n = rest;
	s->used = s->heard_n = 0;
}

/* So much of it without an end is too long; its head will tell what it was. */
static void
line_skip(struct smtp_session *s)
{
	s->cr = s->line[s->line_n - 1] == '\r';
	s->skip = true;
	memset(s->line + VERB_SEEN, 0, s->line_n - VERB_SEEN);
	s->line_n = VERB_SEEN;
}

/* how many octets this line may have, as far as it is known */
static size_t
line_most(const struct smtp_session *s)
{
	return in_auth(s) || is_auth((struct slice){ s->line, s->line_n }) ?
	    SMTP_AUTH_MAX : SMTP_LINE_MAX;
}

/* What a silent client left may be of a line that might be longer. */
static void
line_begin(struct smtp_session *s)
{
	line_drop(s);
	s->heard = s->skip = s->lf = s->lf_alone = false;
	s->cr = s->line_n > 0 && s->line[s->line_n - 1] == '\r';
	if (s->line_n >= line_most(s))
		line_skip(s);
	if (in_auth(s))
		return;
	s->told = TOLD_LINE;
	s->verb = 0;
	s->to_at = s->to_n = 0;
}

/* Does this LF end a line?  By hand the first one decides how lines end. */
static bool
line_ends(struct smtp_session *s, const struct smtp_terms *t, bool crlf)
{
	if (s->newline == NEWLINE_UNKNOWN)
		s->newline = crlf ? NEWLINE_CRLF : NEWLINE_LF;
	if (!crlf && s->newline == NEWLINE_CRLF && !t->normalize) {
		s->lf = true;
		return false;
	}
	s->lf_alone = !crlf;
	return true;
}

/* a line is there, and this much of it was its end */
static enum got
line_is(struct smtp_session *s, size_t end)
{
	s->heard = true;
	s->used = s->line_n;
	s->heard_n = s->line_n - end;
	return s->skip ? GOT_LONG : GOT_LINE;
}

/* how many octets of in go on with the line: up to a line end, and no more
 * than it may have */
static size_t
line_part(const struct smtp_session *s, struct slice in, size_t max)
{
	const char *lf = memchr(in.p, '\n', in.n);
	size_t n = lf == NULL ? in.n : (size_t)(lf - in.p) + 1;

	if (s->skip)
		return n;
	/* how long it may be is known behind the verb */
	if (s->line_n < VERB_SEEN)
		max = VERB_SEEN;
	return n < max - s->line_n ? n : max - s->line_n;
}

/* The next line, copied: what is in the host's buffer moves. */
static enum got
line_take(struct smtp_session *s, struct smtp_host *h, struct slice *in)
{
	struct slice part;
	size_t max;
	bool crlf;

	while (in->n > 0) {
		max = line_most(s);
		part = take(*in, line_part(s, *in, max));
		*in = drop(*in, part.n);
		crlf = part.n > 1 ? part.p[part.n - 2] == '\r' : s->cr;
		s->cr = part.p[part.n - 1] == '\r';
		if (!s->skip) {
			memcpy(s->line + s->line_n, part.p, part.n);
			s->line_n += part.n;
		}
		h->secret |= max == SMTP_AUTH_MAX || is_auth((struct slice){
		    s->line, s->line_n });
		if (part.p[part.n - 1] == '\n' &&
		    line_ends(s, &h->terms, crlf))
			return line_is(s, s->skip ? 0 : crlf &&
			    (s->newline == NEWLINE_CRLF ||
			    h->terms.normalize) ? 2 : 1);
		if (!s->skip && s->line_n == max)
			line_skip(s);
	}
	return GOT_MORE;
}

/*
 * An LF that is no line end may be part of a bad line, to which there is one
 * reply.  But a client that says nothing behind it waits for a reply: what it
 * has said up to there is passed over.
 */
static enum got
line_silent(struct smtp_session *s)
{
	s->heard = true;
	s->used = s->line_n;
	while (!s->skip && s->line[s->used - 1] != '\n')
		s->used--;
	s->heard_n = s->used < VERB_SEEN ? s->used : VERB_SEEN;
	return s->skip ? GOT_LONG : GOT_BARE;
}

/* ---- the session: what is told of a line ------------------------------ */

/* up to the first control character */
static size_t
scan_clean(struct slice in)
{
	size_t n = 0;

	while (n < in.n && !(is_control(in.p[n]) && in.p[n] != '\t'))
		n++;
	return n;
}

/* of AUTH: a mechanism that we know, and not what is behind it */
static enum told
told_of_auth(struct slice line)
{
	struct slice mechanism = take(line, scan_clean(line));
	size_t n = 0;

	mechanism = smtp_trim(drop(mechanism, VERB_SEEN));
	while (n < mechanism.n && !is_blank(mechanism.p[n]))
		n++;
	mechanism = take(mechanism, n);
	return smtp_is(mechanism, "PLAIN") ? TOLD_PLAIN :
	    smtp_is(mechanism, "LOGIN") ? TOLD_LOGIN : TOLD_AUTH;
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

/* letters, of one case from the second on: base64 mixes them */
static size_t
scan_word(struct slice in)
{
	size_t n = 0;

	while (n < in.n && is_lower(smtp_lower(in.p[n])) &&
	    (n < 2 || is_lower(in.p[n]) == is_lower(in.p[1])))
		n++;
	return n;
}

/*
 * What is told of a line.  What is no command may be a password, sent behind
 * an AUTH that was refused: of that no more than the head of what looks like a
 * verb, else only the length.  And nothing behind a control character.
 */
static struct slice
told_of(struct slice line, size_t *octets)
{
	enum { VERB_TOLD = 16 };
	struct slice clean = take(line, scan_clean(line)), verb, arg;
	size_t n;

	*octets = 0;
	(void)smtp_parse_command(clean, &verb, &arg);
	if (verb_find(verb) != VERB_NONE)
		return clean;
	n = scan_word(verb);
	if (n == 0 || n < verb.n || (verb.n == clean.n && clean.n < line.n)) {
		*octets = line.n;
		return smtp_slice("");
	}
	return take(verb, n < VERB_TOLD ? n : VERB_TOLD);
}

/* where the argument of MAIL or RCPT is wrong */
static size_t
wrong_argument(struct slice arg, bool mail, const struct smtp_terms *t)
{
	const char *keyword = mail ? "FROM" : "TO";
	struct smtp_path path;
	struct slice rest;
	unsigned lenient = 0;
	size_t n;

	n = scan_keyword(arg, keyword, &lenient);
	if (n == 0)
		return scan_towards_keyword(arg, keyword);
	if (smtp_parse_path(arg, keyword, &path, &rest) != SMTP_OK ||
	    path.second_at)
		return n + scan_towards_path(drop(arg, n));
	if (rest.n == 0)
		return n;
	n = (size_t)(rest.p - arg.p);
	return n + scan_right_params(rest, mail, t->lmtp ? 0 :
	    SMTP_WITH_PRDR);
}

/* Where in its line a command is wrong; SMTP_NOWHERE, if not in its words. */
static size_t
wrong_at(const struct smtp_session *s, const struct smtp_terms *t,
    unsigned say)
{
	struct slice line = heard(s), verb = line, arg = line;
	size_t at;

	if (say == SAY_BAD_LINE)
		return scan_clean(line);
	if (smtp_parse_command(line, &verb, &arg) != SMTP_OK)
		return SMTP_NOWHERE;
	at = (size_t)(arg.p - line.p);
	switch (say) {
	case SAY_UNKNOWN:
		return (size_t)(verb.p - line.p);
	case SAY_NEED_ARG:
		return line.n;
	case SAY_NO_ARG:
	case SAY_HELO_ARG:
	case SAY_BAD_CHUNK:
		return at;
	case SAY_SYNTAX:
	case SAY_BAD_SENDER:
	case SMTP_BAD_ADDRESS:
	case SAY_BAD_PARAM:
	case SAY_NO_PARAM:
		return s->verb == VERB_MAIL || s->verb == VERB_RCPT ? at +
		    wrong_argument(arg, s->verb == VERB_MAIL, t) :
		    s->verb == VERB_VRFY ? at + scan_towards_path(arg) : at;
	default:
		return SMTP_NOWHERE;
	}
}

/* a note of the command, and of what was said to it */
static enum smtp_ask
note(const struct smtp_session *s, struct smtp_host *h, enum smtp_note what,
    unsigned say)
{
	static const char auth[][11] = { "", "AUTH", "AUTH PLAIN",
	    "AUTH LOGIN" };

	h->note = what;
	h->said = said(s, say);
	h->octets = 0;
	h->told = what == SMTP_NOTE_RCPT ? smtp_slice("") :
	    s->told != TOLD_LINE ? smtp_slice(auth[s->told]) :
	    told_of(heard(s), &h->octets);
	h->wrong = what == SMTP_NOTE_REFUSED && s->told == TOLD_LINE ?
	    wrong_at(s, &h->terms, say) : SMTP_NOWHERE;
	h->to = (struct slice){ s->line + s->to_at, s->to_n };
	h->rcpt = (size_t)s->next;
	return SMTP_NOTE;
}

/* ---- the session: one function per verb ------------------------------- */

/*
 * A command is its row, do_x() and, where the host must be asked, after_x(),
 * which takes the answer.  Both return the reply; do_x() may return SAY_ASK,
 * and SAY_NONE says that all was written already.
 */

/* Words that an earlier answer had are none of this one's. */
static unsigned
ask(struct smtp_session *s, enum smtp_ask question)
{
	s->asked = (unsigned char)question;
	s->own_n = 0;
	return SAY_ASK;
}

/* the one code that forgets a transaction */
static void
transaction_end(struct smtp_session *s)
{
	s->forget |= (s->state & S_TXN) != 0;
	s->chunk_refused = s->mail_refused = false;
	s->state = s->helo_n > 0 ? S_IDLE : S_HELO;
}

/* Nothing of a secret is kept. */
static void
auth_wipe(struct smtp_session *s)
{
	line_drop(s);
	memset(s->login + s->login_n, 0, sizeof(s->login) - s->login_n);
	s->user_n = 0;
}

/* The session ends, once the transaction is forgotten. */
static void
end(struct smtp_session *s, enum smtp_end why)
{
	/* what began as a line may have been part of a password */
	s->used = s->line_n;
	auth_wipe(s);
	/* some were told already what became of the message */
	if (s->at == SMTP_AT_EACH && s->next > 0)
		s->fate = s->tally.good > 0 ? SMTP_DELIVERED : SMTP_FAULT;
	transaction_end(s);
	s->at = SMTP_AT_END;
	s->end = (unsigned char)why;
}

/* The same with these words. */
static unsigned
bye(struct smtp_session *s, unsigned say, enum smtp_end why)
{
	s->say = (unsigned char)say;
	end(s, why);
	return SAY_NONE;
}

/* What is taken that the RFCs have not: false if it is not taken here. */
static bool
takes(struct smtp_session *s, const struct smtp_terms *t, unsigned lenient)
{
	s->asked_lenient = lenient;
	if (t->strict)
		s->lenient |= lenient;
	return !t->strict || lenient == 0;
}

/* Who does not get on may say QUIT; or be a proxy, who speaks for another. */
static unsigned
after_connect(struct smtp_session *s, enum smtp_reply answer)
{
	const unsigned say = answer == SMTP_YES ? SAY_GREETING :
	    say_answer(s, answer);

	s->barred = answer != SMTP_YES;
	s->deferred |= class_of(s, say) == '4';
	return say;
}

static unsigned
do_helo(struct smtp_session *s, struct smtp_host *h, struct slice arg)
{
	const bool right = smtp_is_domain(arg) || smtp_is_literal(arg);

	if (arg.n == 0 || arg.n > sizeof(s->helo))
		return SAY_HELO_ARG;
	if (!takes(s, &h->terms, right ? 0 : SMTP_LENIENT_HELO_NAME))
		return SAY_STRICT;
	h->esmtp = s->verb != VERB_HELO;
	h->arg = s->helo_told ? (struct slice){ s->helo, s->helo_n } : arg;
	return ask(s, SMTP_HELO);
}

static unsigned
after_helo(struct smtp_session *s, enum smtp_reply answer)
{
	struct slice verb, arg;

	if (answer != SMTP_YES)
		return say_answer(s, answer);
	(void)smtp_parse_command(heard(s), &verb, &arg);
	s->lenient |= s->asked_lenient;
	if (!s->helo_told) {
		memcpy(s->helo, arg.p, arg.n);
		s->helo_n = arg.n;
	}
	transaction_end(s);
	s->esmtp = s->verb != VERB_HELO;
	return s->esmtp ? SAY_EHLO : SAY_HELO;
}

static void
put_ehlo(struct smtp_host *h, const char *word, const uint64_t *number)
{
	smtp_puts(&h->out, "250-");
	smtp_puts(&h->out, word);
	if (number != NULL)
		smtp_put_number(&h->out, *number);
	smtp_puts(&h->out, "\r\n");
}

/* the reply to EHLO, but its last line */
static void
put_extensions(struct smtp_host *h)
{
	const struct smtp_terms *t = &h->terms;

	put_line(h, smtp_slice("250-"), t->hostname);
	put_ehlo(h, "PIPELINING", NULL);
	put_ehlo(h, "SIZE ", &t->size);
	put_ehlo(h, "8BITMIME", NULL);
	put_ehlo(h, "SMTPUTF8", NULL);
	put_ehlo(h, "CHUNKING", NULL);
	if (t->tls)
		put_ehlo(h, "STARTTLS", NULL);
	if (t->auth && t->auth_now)
		put_ehlo(h, "AUTH PLAIN LOGIN", NULL);
	if (t->xclient)
		put_ehlo(h, "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR "
		    "DESTPORT", NULL);
	if (!t->lmtp)
		put_ehlo(h, "PRDR", NULL);
	put_ehlo(h, "LIMITS RCPTMAX=", &t->recipients);
	put_ehlo(h, "ENHANCEDSTATUSCODES", NULL);
}

/* what an address beyond ASCII comes to */
static unsigned
check_utf8(const struct smtp_path *path, bool allowed, unsigned not_allowed,
    unsigned invalid)
{
	if (!path->eight_bit)
		return SAY_NONE;
	if (!allowed)
		return not_allowed;
	return smtp_is_visible(path->local) && smtp_is_visible(path->domain) ?
	    SAY_NONE : invalid;
}

static unsigned
say_param(enum smtp_status status)
{
	return status == SMTP_EUNKNOWN ? SAY_NO_PARAM :
	    status == SMTP_EVALUE ? SAY_BAD_PARAM : SAY_SYNTAX;
}

/* Parameters of what EHLO does not offer, or where nobody said EHLO. */
static unsigned
not_offered(const struct smtp_session *s, struct slice params, bool dsn)
{
	return dsn || (params.n > 0 && !s->esmtp) ? SMTP_LENIENT_NOT_OFFERED :
	    0;
}

static unsigned
do_mail(struct smtp_session *s, struct smtp_host *h, struct slice arg)
{
	const struct smtp_terms *t = &h->terms;
	struct smtp_path *path = &h->path;
	struct smtp_mail *mail = &h->mail;
	enum smtp_status status;
	struct slice rest;
	unsigned say;

	if (t->lmtp && s->state == S_HELO)
		return SAY_LHLO_FIRST;
	status = smtp_parse_path(arg, "FROM", path, &rest);
	if (status == SMTP_EVALUE)
		return SAY_SYNTAX;
	if (status != SMTP_OK || path->second_at)
		return SAY_BAD_SENDER;
	status = smtp_parse_mail(rest, t->lmtp ? 0 : SMTP_WITH_PRDR, mail);
	if (status != SMTP_OK)
		return say_param(status);
	say = check_utf8(path, mail->smtputf8, SAY_SENDER_UTF8,
	    SAY_BAD_SENDER);
	if (say != SAY_NONE)
		return say;
	if (mail->has_size && t->size > 0 && mail->size > t->size)
		return SAY_TOO_BIG;
	h->arg = arg;
	h->dsn = s->dsn = mail->dsn;
	s->utf8 = mail->smtputf8;
	s->each = t->lmtp || mail->prdr;
	if (!takes(s, t, path->lenient | mail->lenient | not_offered(s, rest,
	    mail->dsn) | (s->helo_n == 0 ? SMTP_LENIENT_NO_HELO : 0)))
		return SAY_STRICT;
	return ask(s, SMTP_SENDER);
}

/* DSN parameters come unasked: they are told, and that is all (RFC 3461). */
static void
accepted(struct smtp_session *s, const struct smtp_terms *t)
{
	s->lenient |= s->asked_lenient;
	if (s->dsn)
		count_junk(s, t);
	s->chunk_refused = false;
}

static unsigned
after_sender(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer)
{
	if (answer != SMTP_YES) {
		s->utf8 = s->each = false;
		return say_answer(s, answer);
	}
	accepted(s, &h->terms);
	s->rcpts = 0;
	s->state = S_MAIL;
	return SAY_SENDER;
}

static unsigned
do_rcpt(struct smtp_session *s, struct smtp_host *h, struct slice arg)
{
	struct smtp_path *path = &h->path;
	enum smtp_status status;
	struct slice rest;
	unsigned say;

	if (s->state == S_MAIL)
		s->state = S_TRIED;
	status = smtp_parse_path(arg, "TO", path, &rest);
	if (status == SMTP_EVALUE)
		return SAY_SYNTAX;
	if (status != SMTP_OK || path->local.n == 0)
		return SMTP_BAD_ADDRESS;
	s->to_at = (size_t)(path->local.p - s->line);
	s->to_n = path->local.n + (path->domain.n > 0 ? 1 + path->domain.n :
	    0);
	status = smtp_parse_rcpt(rest, &h->dsn);
	if (status != SMTP_OK)
		return say_param(status);
	say = check_utf8(path, s->utf8, SAY_RCPT_UTF8, SMTP_BAD_ADDRESS);
	if (say != SAY_NONE)
		return say;
	if (s->rcpts >= h->terms.recipients)
		return SMTP_CROWDED;
	h->arg = arg;
	s->dsn = h->dsn;
	if (!takes(s, &h->terms, path->lenient | not_offered(s, rest, h->dsn)))
		return SAY_STRICT;
	return ask(s, SMTP_RCPT);
}

static unsigned
after_rcpt(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer)
{
	if (answer != SMTP_YES)
		return say_answer(s, answer);
	accepted(s, &h->terms);
	s->rcpts++;
	s->state = S_RCPT;
	return SAY_RCPT;
}

/* no more is said than RCPT would, and that only where users are known */
static unsigned
do_vrfy(struct smtp_session *s, struct smtp_host *h, struct slice arg)
{
	struct slice rest;
	unsigned say;

	if (smtp_parse_path(arg, "", &h->path, &rest) != SMTP_OK ||
	    h->path.local.n == 0)
		return SMTP_BAD_ADDRESS;
	if (rest.n > 0 && !smtp_is(rest, "SMTPUTF8"))
		return SAY_SYNTAX;
	say = check_utf8(&h->path, rest.n > 0, SAY_RCPT_UTF8,
	    SMTP_BAD_ADDRESS);
	return say != SAY_NONE ? say : ask(s, SMTP_VRFY);
}

/* a message is to come; what is known of the last one goes */
static unsigned
message_begin(struct smtp_session *s, struct smtp_host *h)
{
	memset(&s->data, 0, sizeof(s->data));
	memset(&s->tally, 0, sizeof(s->tally));
	/* an old device that ends all its lines so ends its messages so, too;
	 * no mail server would say DATA like that */
	s->data.newline = s->newline == NEWLINE_LF ||
	    (h->terms.normalize && s->lf_alone) ? SMTP_LF : SMTP_CRLF;
	s->data.normalize = h->terms.normalize;
	s->failed = SMTP_YES;
	s->big = s->ended = false;
	s->next = 0;
	return ask(s, SMTP_BEGIN);
}

static unsigned
do_data(struct smtp_session *s, struct smtp_host *h)
{
	if (s->state == S_TRIED)
		return h->terms.lmtp ? SAY_RCPT_FIRST : SAY_NO_RCPT;
	return message_begin(s, h);
}

/* The chunk is read whatever is thought of it; then it is judged. */
static unsigned
do_bdat(struct smtp_session *s, struct smtp_host *h, struct slice arg)
{
	if (smtp_parse_bdat(arg, &s->left, &s->last) != SMTP_OK)
		return bye(s, SAY_BAD_CHUNK, SMTP_END_BAD_CHUNK);
	if (s->left == 0 && !s->last)
		count_junk(s, &h->terms);
	s->ours = (s->state & (S_RCPT | S_BDAT)) != 0;
	s->at = SMTP_AT_CHUNK;
	return s->state == S_RCPT ? message_begin(s, h) : SAY_NONE;
}

static unsigned
do_rset(struct smtp_session *s)
{
	transaction_end(s);
	return SMTP_YES;
}

static unsigned
do_starttls(struct smtp_session *s, const struct smtp_terms *t)
{
	if (s->tls)
		return SAY_TLS_AGAIN;
	return t->tls ? ask(s, SMTP_STARTTLS) : SAY_NOT_DONE;
}

/* Nothing that came in clear is known any more. */
static unsigned
after_starttls(struct smtp_session *s, enum smtp_reply answer)
{
	if (answer != SMTP_YES)
		return SAY_NO_TLS;
	s->helo_n = s->login_n = 0;
	s->login_by = SMTP_BY_NONE;
	s->helo_told = s->esmtp = false;
	transaction_end(s);
	s->at = SMTP_AT_HANDSHAKE;
	return SAY_TLS;
}

/* the third is the last */
static unsigned
auth_failed(struct smtp_session *s, unsigned say)
{
	enum { TRIES = 3 };

	return ++s->tries < TRIES ? say : bye(s, SAY_AUTH_TRIES,
	    SMTP_END_AUTH);
}

static unsigned
auth_challenge(struct smtp_session *s, struct smtp_host *h,
    enum smtp_at at, unsigned challenge)
{
	s->at = (unsigned char)at;
	put_reply(s, h, challenge);
	return SAY_NONE;
}

/* A wrong password takes a second. */
static unsigned
auth_pause(struct smtp_session *s, struct smtp_host *h)
{
	line_drop(s);
	h->user = (struct slice){ s->login, s->user_n < sizeof(s->login) ?
	    s->user_n : sizeof(s->login) };
	return ask(s, SMTP_PAUSE);
}

/* Ask about what is in login and in line; a name that is too long for any
 * user, or someone to act as, is as wrong as a wrong password. */
static unsigned
auth_ask(struct smtp_session *s, struct smtp_host *h, struct slice password,
    bool other)
{
	s->at = SMTP_AT_LINE;
	if (other || s->user_n > sizeof(s->login))
		return auth_pause(s, h);
	h->user = (struct slice){ s->login, s->user_n };
	h->password = password;
	return ask(s, SMTP_PASSWORD);
}

static void
auth_keep_user(struct smtp_session *s, struct slice user)
{
	s->user_n = user.n;
	memcpy(s->login, user.p, user.n < sizeof(s->login) ? user.n :
	    sizeof(s->login));
}

static unsigned
auth_plain(struct smtp_session *s, struct smtp_host *h, struct slice text)
{
	struct slice other, user, password;

	if (smtp_parse_plain(text, &other, &user, &password) != SMTP_OK)
		return SAY_BASE64;
	auth_keep_user(s, user);
	/* to act as someone else is not offered */
	return auth_ask(s, h, password, other.n > 0 && (other.n != user.n ||
	    memcmp(other.p, user.p, user.n) != 0));
}

/* (draft-murchison-sasl-login) */
static unsigned
auth_login(struct smtp_session *s, struct smtp_host *h,
    struct slice password)
{
	struct slice user = { s->login, s->user_n };

	if (user.n > sizeof(s->login))
		user.n = sizeof(s->login);
	if (user.n == 0 || password.n == 0 || smtp_has_control(user) ||
	    memchr(password.p, '\0', password.n) != NULL)
		return SAY_BASE64;
	return auth_ask(s, h, password, false);
}

/* a response, still in base64; decoded where it is */
static unsigned
auth_response(struct smtp_session *s, struct smtp_host *h, enum smtp_at at,
    struct slice in)
{
	struct slice text = { s->line, 0 };
	unsigned say;

	if (smtp_base64(in, s->line, sizeof(s->line), &text.n) != SMTP_OK)
		say = SAY_BASE64;
	else if (at == SMTP_AT_PLAIN)
		say = auth_plain(s, h, text);
	else if (at == SMTP_AT_PASSWORD)
		say = auth_login(s, h, text);
	else {
		auth_keep_user(s, text);
		say = auth_challenge(s, h, SMTP_AT_PASSWORD, SAY_PASSWORD);
	}
	if (say != SAY_BASE64)
		return say;
	s->at = SMTP_AT_LINE;
	return auth_failed(s, say);
}

static unsigned
do_auth(struct smtp_session *s, struct smtp_host *h, struct slice arg)
{
	const bool plain = s->told == TOLD_PLAIN;
	const enum smtp_at at = plain ? SMTP_AT_PLAIN : SMTP_AT_USER;
	struct slice initial;

	if (!h->terms.auth)
		return SAY_NOT_DONE;
	if (!h->terms.auth_now)
		return SAY_AUTH_CLEAR;
	if (s->login_n > 0)
		return SAY_AUTH_AGAIN;
	if (s->state != S_IDLE)
		return SAY_AUTH_LATE;
	if (arg.n == 0)
		return auth_failed(s, SAY_NEED_ARG);
	if (s->told != TOLD_PLAIN && s->told != TOLD_LOGIN)
		return SAY_MECHANISM;
	initial = smtp_trim(drop(arg, 5));	/* both names are as long */
	if (initial.n == 0)
		return auth_challenge(s, h, at, plain ? SAY_CHALLENGE :
		    SAY_USERNAME);
	if (smtp_is(initial, "="))
		initial.n = 0;
	return auth_response(s, h, at, initial);
}

/* a line of the exchange */
static unsigned
auth_line(struct smtp_session *s, struct smtp_host *h, enum got got)
{
	const enum smtp_at at = (enum smtp_at)s->at;

	s->at = SMTP_AT_LINE;
	if (got == GOT_LONG)
		return SAY_LONG_AUTH;
	if (got == GOT_BARE)
		return SAY_BARE_LINE;
	if (smtp_is(heard(s), "*"))
		return SAY_CANCELLED;
	return auth_response(s, h, at, smtp_trim(heard(s)));
}

static unsigned
after_password(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer)
{
	if (answer == SMTP_WRONG)
		return auth_pause(s, h);
	if (answer == SMTP_YES) {
		s->login_n = s->user_n;
		s->login_by = s->told == TOLD_PLAIN ? SMTP_BY_PLAIN :
		    SMTP_BY_LOGIN;
	}
	return answer == SMTP_YES ? SAY_AUTH_RIGHT : say_answer(s, answer);
}

static unsigned
do_xclient(struct smtp_session *s, struct smtp_host *h, struct slice arg)
{
	if (!h->terms.xclient)
		return SAY_XCLIENT;
	if ((s->state & S_TXN) != 0)
		return SAY_X_LATE;
	if (smtp_parse_xclient(arg, &h->xclient) != SMTP_OK)
		return SAY_SYNTAX;
	h->arg = arg;
	return ask(s, SMTP_XCLIENT);
}

/* It begins anew, as another client. */
static unsigned
after_xclient(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer)
{
	struct smtp_text login = SMTP_TEXT(s->login);
	struct smtp_text helo = SMTP_TEXT(s->helo);
	const struct slice *v = h->xclient.value;
	struct slice verb, arg;

	if (answer != SMTP_YES)
		return say_answer(s, answer);
	/* it lay in the host's hands: what was asked is in the line still */
	(void)smtp_parse_command(heard(s), &verb, &arg);
	(void)smtp_parse_xclient(arg, &h->xclient);
	s->greeting = true;
	smtp_put(&login, v[SMTP_X_LOGIN]);
	s->login_n = login.n;
	s->login_by = SMTP_BY_NONE;
	s->esmtp = h->xclient.given[SMTP_X_PROTO] &&
	    !smtp_is(v[SMTP_X_PROTO], "SMTP");
	s->helo_n = 0;
	transaction_end(s);
	smtp_put(&helo, v[SMTP_X_HELO]);
	s->helo_n = helo.n;
	s->helo_told = s->helo_n > 0;
	return ask(s, SMTP_CONNECT);
}

static unsigned
command_do(struct smtp_session *s, struct smtp_host *h, enum verb verb,
    struct slice arg)
{
	const struct smtp_terms *t = &h->terms;
	const bool lmtp = t->lmtp;

	switch (verb) {
	case VERB_HELO:
	case VERB_EHLO:
		return lmtp ? SAY_HELO_LMTP : do_helo(s, h, arg);
	case VERB_LHLO:
		return lmtp ? do_helo(s, h, arg) : SAY_LHLO;
	case VERB_STARTTLS:
		return do_starttls(s, t);
	case VERB_AUTH:
		return do_auth(s, h, arg);
	case VERB_XCLIENT:
		return do_xclient(s, h, arg);
	case VERB_MAIL:
		return do_mail(s, h, arg);
	case VERB_RCPT:
		return do_rcpt(s, h, arg);
	case VERB_DATA:
		return do_data(s, h);
	case VERB_BDAT:
		return do_bdat(s, h, arg);
	case VERB_RSET:
		return do_rset(s);
	case VERB_QUIT:
		return bye(s, SAY_BYE, SMTP_END_QUIT);
	case VERB_VRFY:
		return do_vrfy(s, h, arg);
	case VERB_ETRN:
		h->arg = arg;
		return ask(s, SMTP_ETRN);
	case VERB_HELP:
		return !t->terminal ? SAY_HELP : verb_find(arg) == VERB_NONE ?
		    SAY_HELPS : SAY_HELP_OF;
	default:
		return commands[verb].say;
	}
}

static unsigned
command_run(struct smtp_session *s, struct smtp_host *h, enum verb verb,
    struct slice arg)
{
	const struct command *c = &commands[verb];

	if (verb == VERB_NONE)
		return SAY_UNKNOWN;
	/* a chunk is read, whatever is thought of it */
	if (s->barred && verb != VERB_QUIT && verb != VERB_XCLIENT &&
	    verb != VERB_BDAT)
		return SAY_BARRED;
	if (!required_met(s, &h->terms, c->need))
		return say_required(&h->terms);
	if (c->arg == ARG_NONE && arg.n > 0)
		return SAY_NO_ARG;
	if (c->arg == ARG_MUST && arg.n == 0)
		return SAY_NEED_ARG;
	if ((c->when & s->state) == 0)
		return s->state == S_BDAT ? SAY_IN_BDAT : c->order;
	return command_do(s, h, verb, arg);
}

/* ---- the session: a command and its reply ----------------------------- */

static void
too_many_errors(struct smtp_session *s, const struct smtp_terms *t)
{
	if (s->errors > t->errors)
		(void)bye(s, SAY_ERRORS, SMTP_END_ERRORS);
}

/* Does it say that the client does not keep to the protocol?  What is refused
 * for whom it is for, or is only not to be had, does not; and of what is taken
 * elsewhere SMTP_LENIENT_ tells. */
static bool
blames(const struct smtp_session *s, unsigned say)
{
	const struct slice text = said(s, say);

	if (say == SAY_NOT_DONE || say == SAY_CANCELLED || say == SAY_STRICT ||
	    text.p[0] != '5')
		return false;
	return text.p[1] == '0' || smtp_is(take(text, 3), "555");
}

/* Count what has to be counted, and have it said; or what is asked first. */
static enum smtp_ask
command_end(struct smtp_session *s, const struct smtp_terms *t, unsigned say)
{
	bool ours;
	char class;

	if (say == SAY_ASK)
		return (enum smtp_ask)s->asked;
	if (say == SAY_NONE)
		return SMTP_NOTHING;
	if (s->told != TOLD_LINE)
		auth_wipe(s);
	if (s->verb == VERB_MAIL)
		s->mail_refused = say != SAY_SENDER;
	class = class_of(s, say);
	ours = class == '4' && !is_crowded(s, say);
	if (class == '5' && !s->same_error)
		s->errors++;
	else if (class == '5' || ours)
		count_junk(s, t);
	s->wrong |= blames(s, say) && !s->same_error;
	s->same_error = false;
	s->deferred |= ours;
	s->say = (unsigned char)say;
	return SMTP_NOTHING;
}

/* Is the command longer than it may be, with its end (4.5.3.1.4)? */
static bool
is_long(const struct smtp_session *s)
{
	/* what SIZE, BODY, SMTPUTF8 and AUTH add (1870, 6152, 6531, 4954) */
	enum { MOST = 512, MAIL_MOST = MOST + 26 + 17 + 10 + 500 };

	return s->verb != VERB_AUTH &&
	    s->used > (s->verb == VERB_MAIL ? MAIL_MOST : MOST);
}

/* One command line, from octets to what is said or asked. */
static unsigned
command_line(struct smtp_session *s, struct smtp_host *h)
{
	const struct smtp_terms *t = &h->terms;
	struct slice line = heard(s), verb, arg;

	if (smtp_parse_command(line, &verb, &arg) != SMTP_OK)
		return SAY_BAD_LINE;
	if (t->terminal && line.n == 0)
		return SAY_NONE;
	s->verb = (unsigned char)(t->by_hand && smtp_is(verb, "?") ?
	    VERB_HELP : verb_find(verb));
	if (commands[s->verb].junk)
		count_junk(s, t);
	too_many_errors(s, t);
	if (s->at == SMTP_AT_END)
		return SAY_NONE;
	if (!takes(s, t, (s->lf_alone && !t->by_hand ? SMTP_LENIENT_LF_LINE :
	    0) | (is_long(s) ? SMTP_LENIENT_LONG_LINE : 0)))
		return SAY_STRICT;
	s->lenient |= s->asked_lenient;
	return command_run(s, h, (enum verb)s->verb, arg);
}

/* A greeting, and what is said of HELO and its kin, have no enhanced code
 * (RFC 2034, 4). */
static bool
is_plain(const struct smtp_session *s)
{
	const struct slice text = said(s, s->say);
	const bool helo = s->verb == VERB_HELO || s->verb == VERB_EHLO ||
	    s->verb == VERB_LHLO;

	return scan_enhanced(drop(text, 4)) > 0 &&
	    (s->greeting || (helo && !smtp_is(take(text, 3), "421")));
}

/* the reply that is due, with what can vary in it */
static void
command_reply(struct smtp_session *s, struct smtp_host *h)
{
	struct slice line = heard(s), verb = { line.p, 0 }, arg = verb;
	const struct slice text = said(s, s->say);
	const bool plain = is_plain(s);

	(void)smtp_parse_command(line, &verb, &arg);
	if (s->say == SAY_EHLO)
		put_extensions(h);
	if (s->say == SAY_HELPS)
		put_helps(s, h);
	smtp_put(&h->out, take(text, plain ? 3 : text.n));
	smtp_put(&h->out, drop(text, plain ? codes_of(text).n : text.n));
	switch (s->say) {
	case SAY_GREETING:
		smtp_put(&h->out, h->terms.hostname);
		smtp_puts(&h->out, h->terms.lmtp ? " LMTP ready" :
		    " ESMTP ready");
		break;
	case SAY_HELO:
		smtp_put(&h->out, h->terms.hostname);
		break;
	case SAY_HELP:
		put_verbs(s, h);
		break;
	case SAY_HELP_OF:
		put_help(s, h, verb_find(arg));
		break;
	case SAY_STRICT:
		smtp_puts(&h->out, ": ");
		smtp_put_lenient(&h->out, s->asked_lenient);
		break;
	case SAY_UNKNOWN:
		if (h->terms.by_hand)
			put_guess(s, h, verb);
		break;
	case SAY_NEED_ARG:
	case SAY_SYNTAX:
	case SAY_BAD_CHUNK:
		smtp_puts(&h->out, ": say ");
		smtp_puts(&h->out, helps[s->verb].usage);
		break;
	}
	smtp_puts(&h->out, "\r\n");
	s->say = SAY_NONE;
	s->noted = s->greeting = false;
}

/* Say what is due: a refusal is noted before, and one error too many is said
 * instead of a command's own reply. */
static enum smtp_ask
go_say(struct smtp_session *s, struct smtp_host *h)
{
	const char class = class_of(s, s->say);

	if (s->at != SMTP_AT_END && (class == '4' || class == '5') &&
	    !s->noted) {
		s->noted = true;
		return note(s, h, SMTP_NOTE_REFUSED, s->say);
	}
	if (s->at != SMTP_AT_END)
		too_many_errors(s, &h->terms);
	command_reply(s, h);
	return SMTP_NOTHING;
}

/* ---- the session: a message ------------------------------------------- */

/* what is wrong with it so far, whoever gets it */
static unsigned
message_verdict(struct smtp_session *s)
{
	char buf[80];
	struct smtp_text t = SMTP_TEXT(buf);

	if (s->big)
		return SAY_TOO_BIG;
	if (!s->data.bare || s->data.normalize)
		return s->failed == SMTP_YES ? SAY_NONE : s->failed;
	s->wrong = true;
	/* which line it is, for whoever mends the client */
	smtp_puts(&t, "A bare CR or LF in line ");
	smtp_put_number(&t, s->data.bare_line);
	smtp_puts(&t, " of the message: send CRLF");
	return say_own(s, codes_of(said(s, SAY_BARE)), smtp_written(&t));
}

/* one reply to a message, or to its delivery to one recipient */
static void
put_delivery(struct smtp_session *s, struct smtp_host *h, unsigned say)
{
	enum { MOST = 512 - 3 };	/* but a blank and CRLF (4.5.3.1.5) */
	const bool own = say == SMTP_OWN && s->own[0] == '2';
	struct slice text = said(s, say), id = h->id;

	if (!own && say != SMTP_DELIVERED)
		id.n = 0;
	if (id.n > MOST - text.n)
		id.n = MOST - text.n;
	smtp_put(&h->out, text);
	smtp_puts(&h->out, own && id.n > 0 ? " " : "");
	put_line(h, id, smtp_slice(""));
	s->deferred |= class_of(s, say) == '4';
}

/* The reply or replies were said: count them, and end the transaction.  A 5xx
 * here is no error of the session's: clients may send on. */
static void
message_over(struct smtp_session *s, const struct smtp_terms *t, unsigned say)
{
	const char class = class_of(s, say);

	if (class == '4')
		count_junk(s, t);
	if (class != '2')
		s->refused++;
	else if (say != SMTP_DRY) {
		s->errors = s->junk = 0;
		s->messages++;
	}
	/* what could not be kept was decoded there */
	if (s->big || s->failed != SMTP_YES)
		memset(s->line, 0, sizeof(s->line));
	s->fate = (unsigned char)say;
	s->at = SMTP_AT_LINE;
	transaction_end(s);
}

/* There is one reply, whatever the protocol. */
static enum smtp_ask
message_reply(struct smtp_session *s, struct smtp_host *h, unsigned say)
{
	put_delivery(s, h, say);
	message_over(s, &h->terms, say);
	return SMTP_NOTHING;
}

/* A reply for each recipient, in their order: all, or what its outcome is. */
static enum smtp_ask
message_each(struct smtp_session *s, struct smtp_host *h, unsigned all)
{
	s->all = (unsigned char)all;
	s->next = 0;
	s->at = SMTP_AT_EACH;
	if (!h->terms.lmtp)
		put_reply(s, h, SMTP_EACH);
	return SMTP_NOTHING;
}

/* What came of it came of it for all. */
static enum smtp_ask
message_all(struct smtp_session *s, struct smtp_host *h, unsigned say)
{
	return s->each && (h->terms.lmtp || class_of(s, say) == '2') ?
	    message_each(s, h, say) : message_reply(s, h, say);
}

/* All octets are there: have it delivered, or say why not. */
static enum smtp_ask
message_end(struct smtp_session *s, struct smtp_host *h)
{
	const unsigned say = message_verdict(s);

	if (s->data.bare && s->data.normalize)
		s->lenient |= SMTP_LENIENT_BARE_NEWLINE;
	if (say != SAY_NONE)
		return message_all(s, h, say);
	(void)ask(s, SMTP_FINISH);
	return SMTP_FINISH;
}

static enum smtp_ask
after_finish(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer)
{
	if (answer != SMTP_EACH)
		return message_all(s, h, say_answer(s, answer));
	if (s->each)
		return message_each(s, h, SAY_NONE);
	s->next = 0;
	s->at = SMTP_AT_TALLY;
	return SMTP_NOTHING;
}

static void
tally_add(struct smtp_session *s, unsigned say)
{
	struct smtp_tally *t = &s->tally;
	struct slice codes = codes_of(said(s, say));

	if (codes.p[0] == '2') {
		t->good++;
		/* own words are gone when all is summed up */
		t->say = (unsigned char)(say == SMTP_OWN ? SMTP_DELIVERED :
		    say);
		return;
	}
	if (t->bad++ == 0) {
		t->n = (unsigned char)codes.n;
		memcpy(t->codes, codes.p, codes.n);
	} else if (codes.n != t->n || memcmp(codes.p, t->codes, t->n) != 0)
		t->differ = true;
	t->temporary |= codes.p[0] == '4';
}

/* the failures' one code; or, if they differ, that which may pass */
static struct slice
tally_codes(const struct smtp_session *s)
{
	const struct smtp_tally *t = &s->tally;

	if (!t->differ)
		return (struct slice){ t->codes, t->n };
	return codes_of(said(s, t->temporary ? SMTP_FAULT : SMTP_REJECTED));
}

static enum smtp_ask
ask_outcome(struct smtp_session *s, struct smtp_host *h)
{
	h->rcpt = (size_t)s->next;
	h->address = smtp_slice("");
	(void)ask(s, SMTP_OUTCOME);
	return SMTP_OUTCOME;
}

static enum smtp_ask
each_said(struct smtp_session *s, struct smtp_host *h, unsigned say)
{
	const bool bad = class_of(s, say) != '2';

	put_delivery(s, h, say);
	tally_add(s, say);
	if (bad)
		(void)note(s, h, SMTP_NOTE_RCPT, say);
	s->next++;
	return bad ? SMTP_NOTE : SMTP_NOTHING;
}

static enum smtp_ask
go_each(struct smtp_session *s, struct smtp_host *h)
{
	unsigned say;

	if (s->next < s->rcpts && s->all != SAY_NONE)
		return each_said(s, h, s->all);
	if (s->next < s->rcpts)
		return ask_outcome(s, h);
	/* delivered if to any */
	say = s->tally.good > 0 ? s->tally.say : say_own(s, tally_codes(s),
	    smtp_slice("No delivery to any recipient"));
	if (!h->terms.lmtp)
		put_delivery(s, h, say);
	message_over(s, &h->terms, say);
	return SMTP_NOTHING;
}

static uint64_t
failure_lines(const struct smtp_session *s)
{
	enum { MOST = 10 };

	return s->tally.bad < MOST ? s->tally.bad : MOST;
}

/* One reply for several recipients, each with an outcome of its own: all is
 * well, or, in a line of its each, who did not get it. */
static enum smtp_ask
go_tally(struct smtp_session *s, struct smtp_host *h)
{
	if (s->next < s->rcpts)
		return ask_outcome(s, h);
	if (s->tally.bad == 0)
		return message_reply(s, h, s->tally.say);
	s->left = failure_lines(s);
	s->next = 0;
	s->at = SMTP_AT_FAILURES;
	return SMTP_NOTHING;
}

/* one line of the reply that names who did not get the message */
static void
put_failure(struct smtp_session *s, struct smtp_host *h, struct slice text)
{
	enum { ADDRESS_MAX = 150 };	/* a line has 512 (4.5.3.1.5) */
	const struct slice codes = tally_codes(s), address = h->address;
	struct smtp_text *t = &h->out;

	s->left--;
	smtp_put(t, take(codes, 3));
	smtp_puts(t, s->left > 0 ? "-" : " ");
	smtp_put(t, drop(codes, 4));
	if (text.n > 0) {
		smtp_puts(t, " <");
		if (address.n <= ADDRESS_MAX)
			smtp_put(t, address);
		else {
			smtp_put_words(t, take(address, ADDRESS_MAX));
			smtp_puts(t, "...");
		}
		smtp_puts(t, ">: ");
	}
	put_line(h, text, smtp_slice(""));
}

/* The reply ends here, if it has begun, though lines of it are missing. */
static void
end_failures(struct smtp_session *s, struct smtp_host *h)
{
	if (s->left == 0 || s->left == failure_lines(s))
		return;
	s->left = 1;
	put_failure(s, h, smtp_slice(""));
}

static enum smtp_ask
go_failures(struct smtp_session *s, struct smtp_host *h)
{
	if (s->next < s->rcpts)
		return ask_outcome(s, h);
	/* should a host have changed its mind */
	while (s->left > 0)
		put_failure(s, h, smtp_slice(""));
	s->deferred |= tally_codes(s).p[0] == '4';
	message_over(s, &h->terms, say_own(s, tally_codes(s),
	    smtp_slice("")));
	return SMTP_NOTHING;
}

static enum smtp_ask
after_outcome(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer)
{
	const unsigned say = say_answer(s, answer);

	if (s->at == SMTP_AT_EACH)
		return each_said(s, h, say);
	if (s->at == SMTP_AT_TALLY && s->rcpts == 1)
		return message_reply(s, h, say);
	if (s->at == SMTP_AT_TALLY)
		tally_add(s, say);
	else if (class_of(s, say) != '2') {
		if (s->left > 0)
			put_failure(s, h, said(s, say));
		(void)note(s, h, SMTP_NOTE_RCPT, say);
		s->next++;
		return SMTP_NOTE;
	}
	s->next++;
	return SMTP_NOTHING;
}

/* ---- the session: a message's octets ---------------------------------- */

/* BEGIN or STORE was answered: is there room for more?  The first refusal is
 * the message's. */
static bool
message_room(struct smtp_session *s, const struct smtp_host *h,
    enum smtp_reply answer)
{
	if (answer != SMTP_YES || h->room.p == NULL || h->room.n < 2)
		s->failed = (unsigned char)say_answer(s, answer);
	return s->failed == SMTP_YES;
}

static enum smtp_ask
after_begin(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer)
{
	s->begun = message_room(s, h, answer);
	if (s->verb == VERB_BDAT)
		return SMTP_NOTHING;
	if (!s->begun)
		return message_reply(s, h, s->failed);
	put_reply(s, h, SAY_DATA);
	s->at = SMTP_AT_BODY;
	return SMTP_NOTHING;
}

/* Decode what is in, or a chunk's end, into the host's room; or, where nothing
 * can be kept any more, into what is free of the session. */
static enum smtp_ask
message_decode(struct smtp_session *s, struct smtp_host *h, struct slice *in)
{
	const bool keep = s->failed == SMTP_YES && !s->big;
	struct smtp_room scratch = { s->line, sizeof(s->line) };
	struct smtp_room *room = keep ? &h->room : &scratch;
	const char *from = room->p;
	enum smtp_data_status status;

	status = in == NULL ? smtp_chunk_end(&s->data, room) :
	    s->at == SMTP_AT_CHUNK ? smtp_chunk(&s->data, in, room) :
	    smtp_data(&s->data, in, room);
	s->ended = status == SMTP_DATA_END;
	s->big |= h->terms.size > 0 && s->data.octets > h->terms.size;
	h->stored = (struct slice){ from, (size_t)(room->p - from) };
	if (!keep || s->big || h->stored.n == 0)
		return SMTP_NOTHING;
	(void)ask(s, SMTP_STORE);
	return SMTP_STORE;
}

static enum smtp_ask
go_body(struct smtp_session *s, struct smtp_host *h)
{
	if (s->ended)
		return message_end(s, h);
	return h->in.n == 0 ? SMTP_INPUT : message_decode(s, h, &h->in);
}

/* A chunk that is none of a message.  The first one behind a sender who was
 * refused, or recipients who all were, or behind a chunk that was, is an error,
 * and what the client had sent behind it by then is part of it (RFC 3030, 2).
 */
static unsigned
chunk_astray(struct smtp_session *s, const struct smtp_terms *t)
{
	const bool required = !required_met(s, t, NEED_ALL);

	s->same_error = s->chunk_refused;
	if (s->state == S_TRIED || s->mail_refused || required)
		s->chunk_refused = true;
	if (required)
		return say_required(t);
	if (s->same_error && s->state != S_TRIED)
		return SAY_CHUNK_BEHIND;
	return s->state == S_TRIED && !t->lmtp ? SAY_NO_RCPT : SAY_RCPT_FIRST;
}

/* A chunk is there, and it is not the last of a message. */
static enum smtp_ask
chunk_end(struct smtp_session *s, struct smtp_host *h)
{
	unsigned say;

	s->at = SMTP_AT_LINE;
	if (!s->ours)
		return command_end(s, &h->terms, chunk_astray(s, &h->terms));
	say = message_verdict(s);
	if (say == SAY_NONE) {
		s->state = S_BDAT;
		return command_end(s, &h->terms, SAY_CHUNK);
	}
	(void)message_reply(s, h, say);
	s->errors += class_of(s, say) == '5';
	s->chunk_refused = true;
	return SMTP_NOTHING;
}

static enum smtp_ask
go_chunk(struct smtp_session *s, struct smtp_host *h)
{
	struct slice part;
	enum smtp_ask next = SMTP_NOTHING;
	size_t n;

	if (s->left == 0 && !(s->ours && s->last))
		return chunk_end(s, h);
	if (s->left == 0)
		return s->begun && !s->ended ? message_decode(s, h, NULL) :
		    message_end(s, h);
	if (h->in.n == 0)
		return SMTP_INPUT;
	n = h->in.n < s->left ? h->in.n : (size_t)s->left;
	part = take(h->in, n);
	if (s->ours && s->begun) {
		next = message_decode(s, h, &part);
		n -= part.n;
	}
	s->left -= n;
	h->in = drop(h->in, n);
	return next;
}

/* ---- the session: the machine ----------------------------------------- */

/* seconds until what is there is taken for all that comes; 0: for ever */
static unsigned
patience(const struct smtp_session *s)
{
	if (s->at == SMTP_AT_OPENING)
		/* an empty line, or the PROXY protocol's second version */
		return s->opening_n > 0 && s->opening[0] == '\r';
	return s->lf && !s->heard && (s->at == SMTP_AT_LINE || in_auth(s));
}

/* What the first octets are; who speaks another protocol is sent away before
 * anything of it is taken for a command. */
static enum smtp_ask
go_opening(struct smtp_session *s, struct smtp_host *h)
{
	struct slice opening;

	if (h->in.n == 0)
		return SMTP_INPUT;
	s->opening[s->opening_n++] = h->in.p[0];
	h->in = drop(h->in, 1);
	opening = (struct slice){ s->opening, s->opening_n };
	switch (smtp_opening(opening)) {
	case SMTP_OPEN_MORE:
		break;
	case SMTP_OPEN_SMTP:
		s->at = SMTP_AT_LINE;
		break;
	case SMTP_OPEN_TLS:
		(void)bye(s, SAY_IS_TLS, SMTP_END_TLS);
		break;
	case SMTP_OPEN_HTTP:
		(void)bye(s, SAY_IS_HTTP, SMTP_END_HTTP);
		break;
	case SMTP_OPEN_PROXY:
		(void)bye(s, SAY_IS_PROXY, SMTP_END_PROXY);
		break;
	}
	return SMTP_NOTHING;
}

/* A line is there, or so much of one that it is none. */
static enum smtp_ask
line_got(struct smtp_session *s, struct smtp_host *h, enum got got)
{
	if (in_auth(s))
		return command_end(s, &h->terms, auth_line(s, h, got));
	if (is_auth(heard(s)))
		s->told = (unsigned char)told_of_auth(heard(s));
	if (got == GOT_LONG)
		return command_end(s, &h->terms, s->told != TOLD_LINE ?
		    SAY_LONG_AUTH : SAY_LONG_LINE);
	if (got == GOT_BARE)
		return command_end(s, &h->terms, SAY_BARE_LINE);
	s->at = SMTP_AT_COMMAND;
	return h->terms.verbose ? note(s, h, SMTP_NOTE_HEARD, SAY_NONE) :
	    SMTP_NOTHING;
}

static enum smtp_ask
go_line(struct smtp_session *s, struct smtp_host *h)
{
	struct slice opening = { s->opening, s->opening_n };
	enum got got;

	if (s->heard)
		line_begin(s);
	if (opening.n > 0) {
		got = line_take(s, h, &opening);
		memmove(s->opening, opening.p, opening.n);
		s->opening_n = opening.n;
	} else if (h->in.n > 0)
		got = line_take(s, h, &h->in);
	else
		return SMTP_INPUT;
	return got == GOT_MORE ? SMTP_NOTHING : line_got(s, h, got);
}

static enum smtp_ask
go_command(struct smtp_session *s, struct smtp_host *h)
{
	s->at = SMTP_AT_LINE;
	return command_end(s, &h->terms, command_line(s, h));
}

/* What came in clear behind STARTTLS is nobody's word. */
static enum smtp_ask
go_handshake(struct smtp_session *s, struct smtp_host *h)
{
	h->in.n = s->opening_n = 0;
	(void)ask(s, SMTP_HANDSHAKE);
	return SMTP_HANDSHAKE;
}

static enum smtp_ask
go_forget(struct smtp_session *s, struct smtp_host *h)
{
	h->said = s->fate == SAY_NONE ? smtp_slice("") : said(s, s->fate);
	s->fate = SAY_NONE;
	s->forget = false;
	return SMTP_FORGET;
}

/* Is there room for any reply? */
static bool
has_room(const struct smtp_host *h)
{
	enum { REPLY_MAX = 1280 };	/* EHLO's, with the longest hostname */

	return h->out.size - h->out.n >= REPLY_MAX;
}

/* Go on, as far as it goes without an answer. */
static enum smtp_ask
go(struct smtp_session *s, struct smtp_host *h)
{
	const bool done = s->at == SMTP_AT_END && s->say == SAY_NONE;

	if (!done && !has_room(h))
		return SMTP_FLUSH;
	if (s->say != SAY_NONE)
		return go_say(s, h);
	if (s->forget)
		return go_forget(s, h);
	switch (s->at) {
	case SMTP_AT_OPENING:
		return go_opening(s, h);
	case SMTP_AT_COMMAND:
		return go_command(s, h);
	case SMTP_AT_BODY:
		return go_body(s, h);
	case SMTP_AT_CHUNK:
		return go_chunk(s, h);
	case SMTP_AT_EACH:
		return go_each(s, h);
	case SMTP_AT_TALLY:
		return go_tally(s, h);
	case SMTP_AT_FAILURES:
		return go_failures(s, h);
	case SMTP_AT_HANDSHAKE:
		return go_handshake(s, h);
	case SMTP_AT_END:
		return SMTP_CLOSE;
	default:
		return go_line(s, h);
	}
}

/* Nothing more will come. */
static void
gone(struct smtp_session *s)
{
	enum smtp_end why = SMTP_END_GONE;

	if (s->asked == SMTP_INPUT) {
		if (s->at == SMTP_AT_BODY || s->at == SMTP_AT_CHUNK)
			why = SMTP_END_IN_MESSAGE;
		else if (in_auth(s))
			why = SMTP_END_IN_AUTH;
		else if (s->at == SMTP_AT_LINE)
			why = (s->state & S_TXN) != 0 ?
			    SMTP_END_IN_TRANSACTION : SMTP_END_EOF;
	}
	s->say = SAY_NONE;
	end(s, why);
}

static enum smtp_ask
after_input(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer)
{
	const bool silent = answer == SMTP_GONE ||
	    (answer == SMTP_LATE && patience(s) > 0);

	if (answer == SMTP_YES)
		return SMTP_NOTHING;
	if (silent && s->at == SMTP_AT_OPENING) {
		s->at = SMTP_AT_LINE;
		return SMTP_NOTHING;
	}
	if (silent && patience(s) > 0)
		return line_got(s, h, line_silent(s));
	gone(s);
	return SMTP_NOTHING;
}

static void
after_handshake(struct smtp_session *s, enum smtp_reply answer)
{
	if (answer != SMTP_YES) {
		end(s, SMTP_END_TLS_FAILED);
		return;
	}
	s->tls = true;
	s->at = SMTP_AT_LINE;
	line_begin(s);
}

/* What the answer to a command's question has it say. */
static unsigned
after(struct smtp_session *s, struct smtp_host *h, enum smtp_reply answer)
{
	switch (s->asked) {
	case SMTP_HELO:
		return after_helo(s, answer);
	case SMTP_SENDER:
		return after_sender(s, h, answer);
	case SMTP_RCPT:
		return after_rcpt(s, h, answer);
	case SMTP_VRFY:
		return answer == SMTP_YES ? SAY_VRFY : say_answer(s, answer);
	case SMTP_ETRN:
		return answer == SMTP_YES ? SAY_NOT_DONE :
		    say_answer(s, answer);
	case SMTP_STARTTLS:
		return after_starttls(s, answer);
	case SMTP_XCLIENT:
		return after_xclient(s, h, answer);
	case SMTP_PASSWORD:
		return after_password(s, h, answer);
	case SMTP_PAUSE:
		return auth_failed(s, SMTP_WRONG);
	default:		/* a note, or what was forgotten */
		return SAY_NONE;
	}
}

/* Some answers end the session, whatever was asked. */
static bool
ends(struct smtp_session *s, struct smtp_host *h, enum smtp_reply answer)
{
	const bool own = say_answer(s, answer) == SMTP_OWN &&
	    smtp_is(take(said(s, SMTP_OWN), 3), "421");

	if (s->asked == SMTP_HANDSHAKE)		/* in clear, or not at all? */
		return false;
	if (answer == SMTP_GONE && s->asked != SMTP_INPUT)
		gone(s);
	if (answer != SMTP_SHUTDOWN && answer != SMTP_TIMEOUT && !own)
		return s->at == SMTP_AT_END;
	if (s->at == SMTP_AT_FAILURES)
		end_failures(s, h);
	if (answer == SMTP_SHUTDOWN)
		(void)bye(s, SMTP_SHUTDOWN, SMTP_END_SHUTDOWN);
	else if (answer == SMTP_TIMEOUT)
		(void)bye(s, SMTP_TIMEOUT, SMTP_END_TIMEOUT);
	else
		(void)bye(s, SMTP_OWN, SMTP_END_HOST);
	return true;
}

static enum smtp_ask
take_answer(struct smtp_session *s, struct smtp_host *h,
    enum smtp_reply answer)
{
	/* what cannot be sent is not said */
	if (s->asked == SMTP_FLUSH && s->at == SMTP_AT_END &&
	    (answer == SMTP_GONE || !has_room(h)))
		s->say = SAY_NONE;
	if (s->at == SMTP_AT_END || ends(s, h, answer))
		return SMTP_NOTHING;
	switch (s->asked) {
	case SMTP_INPUT:
		return after_input(s, h, answer);
	case SMTP_FLUSH:
		if (answer != SMTP_YES || !has_room(h))
			gone(s);
		return SMTP_NOTHING;
	case SMTP_CONNECT:
		s->say = (unsigned char)after_connect(s, answer);
		return SMTP_NOTHING;
	case SMTP_BEGIN:
		return after_begin(s, h, answer);
	case SMTP_STORE:
		(void)message_room(s, h, answer);
		return SMTP_NOTHING;
	case SMTP_FINISH:
		return after_finish(s, h, answer);
	case SMTP_OUTCOME:
		return after_outcome(s, h, answer);
	case SMTP_HANDSHAKE:
		after_handshake(s, answer);
		return SMTP_NOTHING;
	default:
		return command_end(s, &h->terms, after(s, h, answer));
	}
}

static enum smtp_ask
start(struct smtp_session *s, const struct smtp_terms *t)
{
	s->at = SMTP_AT_OPENING;
	s->state = S_HELO;
	s->newline = t->by_hand && (t->terminal || !t->strict) ?
	    NEWLINE_UNKNOWN : NEWLINE_CRLF;
	s->failed = SMTP_YES;
	s->say = s->fate = s->all = SAY_NONE;
	s->greeting = true;
	return SMTP_CONNECT;
}

enum smtp_ask
smtp_next(struct smtp_session *s, struct smtp_host *h, enum smtp_reply answer)
{
	enum smtp_ask next = SMTP_NOTHING;

	h->secret = false;
	if (s->asked == SMTP_NOTHING)
		next = start(s, &h->terms);
	else
		next = take_answer(s, h, answer);
	while (next == SMTP_NOTHING)
		next = go(s, h);
	s->asked = (unsigned char)next;
	h->patience = next == SMTP_INPUT ? patience(s) : 0;
	return next;
}

const char *
smtp_end_word(enum smtp_end why)
{
	static const char words[][16] = { "", "quit", "eof", "in-transaction",
	    "in-message", "in-auth", "gone", "errors", "auth", "bad-chunk",
	    "tls", "http", "proxy", "tls-failed", "terminated", "timeout",
	    "policy" };

	return words[why];
}

void
smtp_put_protocol(struct smtp_text *t, const struct smtp_session *s,
    const struct smtp_terms *terms)
{
	const bool plain = !terms->lmtp && !s->utf8 && !s->esmtp;

	smtp_puts(t, s->utf8 ? "UTF8" : "");
	smtp_puts(t, terms->lmtp ? "LMTP" : s->utf8 || plain ? "SMTP" :
	    "ESMTP");
	smtp_puts(t, !plain && terms->encrypted ? "S" : "");
	smtp_puts(t, !plain && s->login_n > 0 ? "A" : "");
}

/* what a session does, in a word */
static const char *
state_word(const struct smtp_session *s)
{
	static const char at[][9] = { [SMTP_AT_START] = "START",
	    [SMTP_AT_BODY] = "DATA", [SMTP_AT_CHUNK] = "BDAT",
	    [SMTP_AT_PLAIN] = "AUTH", [SMTP_AT_USER] = "AUTH",
	    [SMTP_AT_PASSWORD] = "AUTH", [SMTP_AT_HANDSHAKE] = "STARTTLS",
	    [SMTP_AT_END] = "QUIT" };

	switch (s->asked) {
	case SMTP_FINISH:
	case SMTP_OUTCOME:
		return "DELIVER";
	case SMTP_PASSWORD:
	case SMTP_PAUSE:
		return "AUTH";
	}
	if (s->at < sizeof(at) / sizeof(at[0]) && at[s->at][0] != '\0')
		return at[s->at];
	return s->state == S_IDLE ? "HELO" : s->state == S_MAIL ? "MAIL" :
	    s->state == S_BDAT ? "BDAT" : (s->state & S_TXN) != 0 ? "RCPT" :
	    "START";
}

void
smtp_put_state(struct smtp_text *t, const struct smtp_session *s,
    struct slice address)
{
	smtp_put_client(t, address, smtp_slice(""));
	smtp_puts(t, " ");
	smtp_puts(t, state_word(s));
	if ((s->state & S_TXN) == 0)
		return;
	smtp_puts(t, " ");
	smtp_put_number(t, s->rcpts);
	smtp_puts(t, " rcpt");
	/* a chunk that is none of a message leaves the last one's octets */
	if (s->asked != SMTP_FINISH && s->asked != SMTP_OUTCOME &&
	    s->at != SMTP_AT_BODY && s->state != S_BDAT &&
	    !(s->at == SMTP_AT_CHUNK && s->ours))
		return;
	smtp_puts(t, " ");
	smtp_put_number(t, s->data.octets);
	smtp_puts(t, " bytes");
}

/* what is waited for, at a terminal; and what a person may do about it */
enum step {
	STEP_EHLO, STEP_LHLO, STEP_AUTH, STEP_MAIL, STEP_RCPT, STEP_MORE,
	STEP_DATA, STEP_CHUNK, STEP_BDAT, STEP_AGAIN, STEP_USER,
	STEP_PASSWORD, STEP_PLAIN, STEP_BARRED
};

static const struct {
	char	 prompt[9];
	char	 hint[72];	/* behind a last "@" come domain and ">" */
} steps[] = {
	[STEP_EHLO] = { "ehlo", "say who you are, such as EHLO host.example" },
	[STEP_LHLO] = { "lhlo", "say who you are, such as LHLO host.example" },
	[STEP_AUTH] = { "auth", "a password is wanted first: say AUTH LOGIN" },
	[STEP_MAIL] = { "mail", "say who sends it, such as MAIL FROM:<you@" },
	[STEP_RCPT] = { "rcpt", "say who gets it, such as RCPT "
	    "TO:<postmaster@" },
	[STEP_MORE] = { "rcpt", "say DATA, to write it; or RCPT, for another "
	    "who gets it" },
	[STEP_DATA] = { "data", "\"Subject: hello\", an empty line, your text; "
	    "a dot alone ends it" },
	[STEP_CHUNK] = { "chunk", "the octets that were announced" },
	[STEP_BDAT] = { "bdat", "say BDAT again; behind LAST it is delivered" },
	[STEP_AGAIN] = { "mail", "say MAIL, for another one; or QUIT" },
	[STEP_USER] = { "user", "your name, in base64; * gives up" },
	[STEP_PASSWORD] = { "password", "your password, in base64: it is "
	    "seen" },
	[STEP_BARRED] = { "quit", "no mail is taken from you: say QUIT" },
	[STEP_PLAIN] = { "plain", "NUL, name, NUL, password, all in base64; "
	    "* gives up" }
};

static enum step
step_of(const struct smtp_session *s, const struct smtp_terms *t)
{
	if (s->barred)
		return STEP_BARRED;
	switch (s->at) {
	case SMTP_AT_BODY:
		return STEP_DATA;
	case SMTP_AT_CHUNK:
		return STEP_CHUNK;
	case SMTP_AT_PLAIN:
		return STEP_PLAIN;
	case SMTP_AT_USER:
		return STEP_USER;
	case SMTP_AT_PASSWORD:
		return STEP_PASSWORD;
	}
	switch (s->state) {
	case S_HELO:
		return t->lmtp ? STEP_LHLO : STEP_EHLO;
	case S_IDLE:
		if (t->needs_login && s->login_n == 0)
			return STEP_AUTH;
		return s->messages > 0 ? STEP_AGAIN : STEP_MAIL;
	case S_RCPT:
		return STEP_MORE;
	case S_BDAT:
		return STEP_BDAT;
	default:
		return STEP_RCPT;
	}
}

unsigned
smtp_put_prompt(struct smtp_text *t, const struct smtp_session *s,
    const struct smtp_terms *terms)
{
	const enum step step = step_of(s, terms);

	smtp_puts(t, steps[step].prompt);
	if (step == STEP_MORE) {
		smtp_puts(t, " ");
		smtp_put_number(t, s->rcpts);
	}
	smtp_puts(t, "> ");
	return step;
}

void
smtp_put_hint(struct smtp_text *t, const struct smtp_session *s,
    const struct smtp_terms *terms, struct slice domain)
{
	const struct slice hint = smtp_slice(steps[step_of(s, terms)].hint);

	smtp_put(t, hint);
	if (hint.p[hint.n - 1] != '@')
		return;
	smtp_put(t, domain);
	smtp_puts(t, ">");
}

/* ---- trouble on demand ------------------------------------------------ */

static const char step_words[SMTP_STEPS][8] = { "connect", "ehlo", "mail",
    "rcpt", "data", "dot" };

/* word = name 1*DIGIT */
static bool
parse_counted(struct slice word, const char *name, uint64_t max, uint64_t *n)
{
	const size_t at = strlen(name);

	return word.n > at && smtp_is(take(word, at), name) &&
	    smtp_parse_number(drop(word, at), UINT64_MAX, n) == SMTP_OK &&
	    *n <= max;
}

/* reply = ("4" / "5") %x30-35 DIGIT ["-" enhanced] */
static bool
parse_reply(struct slice word, struct smtp_trouble *t)
{
	const struct slice enhanced = drop(word, word.n < 4 ? word.n : 4);

	if (word.n < 3 || (word.p[0] != '4' && word.p[0] != '5') ||
	    word.p[1] < '0' || word.p[1] > '5' || !is_digit(word.p[2]))
		return false;
	if (word.n > 3 && (word.p[3] != '-' || enhanced.n == 0 ||
	    enhanced.p[0] != word.p[0] ||
	    scan_enhanced(enhanced) != enhanced.n))
		return false;
	t->code = take(word, 3);
	t->enhanced = enhanced.n > 0 ? enhanced :
	    smtp_slice(word.p[0] == '4' ? "4.0.0" : "5.0.0");
	return true;
}

static bool
parse_trouble(struct slice word, struct smtp_trouble *t)
{
	enum { LONGEST = 3600, MOST = 1 << 30 };

	if (smtp_is(word, "drop"))
		t->drop = true;
	else if (parse_counted(word, "cut", MOST, &t->sent))
		t->cut = true;
	else if (parse_counted(word, "stop", MOST, &t->taken))
		t->stop = true;
	else if (!parse_counted(word, "slow", LONGEST, &t->seconds))
		return parse_reply(word, t);
	return true;
}

/* The step, and which time it comes, 0 for each; false if it is none. */
static bool
parse_step(struct slice word, enum smtp_step *step, uint64_t *number)
{
	*number = 0;
	for (unsigned i = 0; i < SMTP_STEPS; i++) {
		*step = (enum smtp_step)i;
		if (smtp_is(word, step_words[i]))
			return true;
		if (parse_counted(word, step_words[i], UINT64_MAX - 1, number))
			return *number > 0;
	}
	return false;
}

/* line = step 1*word, blanks between; false if it is none.  A comment is one of
 * no step. */
static bool
parse_script(struct slice line, enum smtp_step *step, uint64_t *number,
    struct smtp_trouble *t)
{
	struct slice word, left = smtp_list_line(line);

	*step = SMTP_STEPS;
	*t = (struct smtp_trouble){ .what = left };
	if (left.n == 0)
		return true;
	if (smtp_parse_command(left, &word, &left) != SMTP_OK ||
	    !parse_step(word, step, number) || left.n == 0)
		return false;
	while (left.n > 0) {
		(void)smtp_parse_command(left, &word, &left);
		if (!parse_trouble(word, t))
			return false;
	}
	return true;
}

uint64_t
smtp_script_wrong(struct slice text)
{
	struct smtp_trouble t;
	enum smtp_step step;
	struct slice line;
	uint64_t number;

	for (uint64_t n = 1; smtp_cut(&text, '\n', &line); n++)
		if (!parse_script(line, &step, &number, &t))
			return n;
	return 0;
}

static enum smtp_step
step_asked(const struct smtp_session *s)
{
	static const unsigned char asked[SMTP_STEPS] = { SMTP_CONNECT,
	    SMTP_HELO, SMTP_SENDER, SMTP_RCPT, SMTP_BEGIN, SMTP_FINISH };
	unsigned step = 0;

	while (step < SMTP_STEPS && asked[step] != s->asked)
		step++;
	return (enum smtp_step)step;
}

bool
smtp_trouble(struct smtp_script *script, const struct smtp_session *s,
    const struct smtp_host *h, struct smtp_trouble *t)
{
	const enum smtp_step asked = step_asked(s);
	struct slice left = script->text, line;
	enum smtp_step step;
	uint64_t number;

	if (asked == SMTP_STEPS)
		return false;
	script->seen[asked]++;
	while (smtp_cut(&left, '\n', &line))
		if (parse_script(line, &step, &number, t) && step == asked &&
		    (number == 0 || number == script->seen[asked]))
			return true;
	*t = (struct smtp_trouble){ .what = h->path.local };
	return (asked == SMTP_STEP_MAIL || asked == SMTP_STEP_RCPT) &&
	    parse_trouble(h->path.local, t);
}

enum smtp_reply
smtp_trouble_answer(struct smtp_session *s, const struct smtp_trouble *t)
{
	if (t->drop)
		return SMTP_GONE;
	return t->code.n == 0 ? SMTP_YES : smtp_own(s, t->code, t->enhanced,
	    smtp_slice("This trouble was asked for"));
}
