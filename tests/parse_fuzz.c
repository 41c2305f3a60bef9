/*
 * parse_fuzz - throw octets at all of smtp_parse.h: make fuzz.
 *
 * The first two octets say how, the others are the input.  What must hold:
 * slices lie within the input, what was accepted is accepted again and comes
 * out the same, a verdict stands once it is given, and a stream decodes to
 * the same however it is cut and however little room there is.
 */
#include <stdlib.h>
#include <string.h>

#include "smtp_parse.h"

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

enum { ROOM = 1 << 14 };

#define MUST(x) do { if (!(x)) abort(); } while (0)

static void
within(struct slice part, struct slice all)
{
	MUST(part.p >= all.p && part.n <= all.n &&
	    (size_t)(part.p - all.p) <= all.n - part.n);
}

static struct slice
part(struct slice in, size_t from, size_t to)
{
	return (struct slice){ in.p + from, to - from };
}

static bool
trimmed(struct slice s)
{
	return smtp_trim(s).p == s.p && smtp_trim(s).n == s.n;
}

static void
fuzz_lines(struct slice in, size_t cut)
{
	const enum smtp_opening what = smtp_opening(in);
	enum smtp_opening before = smtp_opening(part(in, 0, cut));
	const struct slice a = part(in, 0, cut), b = part(in, cut, in.n);
	struct slice verb, arg;

	MUST(before == what || before == SMTP_OPEN_MORE);
	MUST(what != SMTP_OPEN_MORE || in.n < 12);
	if (smtp_parse_command(in, &verb, &arg) == SMTP_OK) {
		within(verb, in);
		within(arg, in);
		MUST(trimmed(verb) && trimmed(arg));
	}
	MUST(smtp_distance(a, b) == smtp_distance(b, a));
	MUST((smtp_distance(a, b) == 0) == (a.n <= 16 && smtp_same(a, b)));
	MUST(smtp_distance(a, b) <= 9);
}

/* what a mailbox departs in stays with it; the other bits are of the line */
enum { MAILBOX_LENIENT = SMTP_LENIENT_DOTS | SMTP_LENIENT_NO_DOMAIN |
    SMTP_LENIENT_LONG_LOCAL_PART | SMTP_LENIENT_UNDERSCORE_IN_DOMAIN };

/* has it dots where a Dot-string has none? */
static bool
dots(struct slice local)
{
	if (local.n == 0 || local.p[0] == '"')
		return false;
	for (size_t i = 0; i < local.n; i++)
		if (local.p[i] == '.' && (i == 0 || i + 1 == local.n ||
		    memchr(".@", local.p[i - 1], 2) != NULL ||
		    memchr(".@", local.p[i + 1], 2) != NULL))
			return true;
	return false;
}

/* in: behind the keyword */
static void
path_lenient(const struct smtp_path *path, struct slice in)
{
	const unsigned l = path->lenient;
	char buf[ROOM];
	struct smtp_text t = SMTP_TEXT(buf);

	MUST(((l & SMTP_LENIENT_DOTS) != 0) == dots(path->local));
	MUST(!dots(path->local) ||
	    memchr(path->local.p, '/', path->local.n) == NULL);
	MUST(((l & SMTP_LENIENT_LONG_LOCAL_PART) != 0) == (path->local.n > 64));
	MUST((l & SMTP_LENIENT_NO_DOMAIN) == 0 || path->domain.n == 0);
	MUST((l & SMTP_LENIENT_TAB_FOR_BLANK) == 0 ||
	    memchr(in.p, '\t', in.n) != NULL);
	MUST((l & SMTP_LENIENT_NO_BRACKETS) == 0 ||
	    (l & (SMTP_LENIENT_NAME_BEFORE_BRACKETS |
	    SMTP_LENIENT_SOURCE_ROUTE | SMTP_LENIENT_BLANK_IN_BRACKETS)) == 0);
	/* where none was told the line is the keyword, ":" and the path */
	if ((l & ~(unsigned)MAILBOX_LENIENT) == 0) {
		smtp_puts(&t, ":<");
		smtp_put(&t, path->local);
		smtp_puts(&t, path->domain.n > 0 ? "@" : "");
		smtp_put(&t, path->domain);
		smtp_puts(&t, ">");
		MUST(t.n <= in.n && smtp_same(part(in, 0, t.n),
		    smtp_written(&t)));
	}
	t = SMTP_TEXT(buf);
	smtp_put_lenient(&t, l);
	MUST((t.n == 0) == (l == 0));
}

/* a path written anew from its parts is read as the same */
static void
path_again(const struct smtp_path *path, unsigned lenient)
{
	char buf[ROOM];
	struct smtp_text t = SMTP_TEXT(buf);
	struct smtp_path again;
	struct slice rest;

	smtp_puts(&t, "To:<");
	smtp_put(&t, path->local);
	if (path->domain.n > 0)
		smtp_puts(&t, "@");
	smtp_put(&t, path->domain);
	smtp_puts(&t, ">");
	MUST(smtp_parse_path(smtp_written(&t), "TO", &again, &rest) == SMTP_OK);
	MUST(smtp_same(again.local, path->local) && rest.n == 0 &&
	    smtp_same(again.domain, path->domain) &&
	    again.eight_bit == path->eight_bit &&
	    again.second_at == path->second_at && again.lenient == lenient);
}

static void
fuzz_path(struct slice in, const char *keyword)
{
	struct smtp_path path;
	struct slice rest, user, extension;
	char *buf;
	size_t n;

	if (smtp_parse_path(in, keyword, &path, &rest) != SMTP_OK)
		return;
	within(path.local, in);
	within(path.domain, in);
	within(rest, in);
	MUST(trimmed(rest));
	MUST(path.local.n + path.domain.n < SMTP_MAILBOX_MAX);
	MUST(path.local.n > 0 || path.domain.n == 0);
	MUST(path.domain.n == 0 || smtp_is_literal(path.domain) ||
	    smtp_is_domain(path.domain) || !smtp_is_visible(path.domain));
	if (keyword[0] != '\0') {
		path_lenient(&path, part(in, strlen(keyword), in.n));
		path_again(&path, path.lenient & MAILBOX_LENIENT);
	} else
		MUST(path.lenient == 0);
	buf = malloc(path.local.n + 1);
	MUST(buf != NULL);
	MUST(smtp_unquote(path.local, buf, path.local.n, &n) == SMTP_OK);
	smtp_split_extension((struct slice){ buf, n }, '+', &user, &extension);
	MUST(user.n + extension.n + (user.n < n) == n);
	MUST(smtp_user_matches(path.local, path.local, user, user) ||
	    path.second_at || path.local.n == 0 || path.local.p[0] == '"');
	(void)smtp_relays(path.local);
	free(buf);
}

/* a list and who is looked for: as line by line */
static void
fuzz_lists(struct slice who, struct slice list)
{
	const struct slice domain = who.n > 0 ? who : smtp_slice("b");
	const struct slice user = part(who, 0, who.n / 2);
	struct slice line, entry;
	const char *lf;
	bool user_held = false, domain_held = false;

	for (size_t at = 0; at < list.n; at += line.n + 1) {
		line = part(list, at, list.n);
		lf = memchr(line.p, '\n', line.n);
		if (lf != NULL)
			line.n = (size_t)(lf - line.p);
		entry = smtp_list_line(line);
		if (entry.n == 0)
			continue;
		user_held = user_held ||
		    smtp_user_matches(entry, who, user, domain);
		domain_held = domain_held ||
		    smtp_domain_matches(entry, domain);
	}
	MUST(smtp_users_hold(list, who, user, domain) == user_held);
	MUST(smtp_domains_hold(list, domain) == domain_held);
}

static void
fuzz_words(struct slice in, size_t cut)
{
	struct smtp_mail mail;
	unsigned char ip[16];
	const struct slice entry = smtp_list_line(in);
	uint64_t v;
	bool flag;

	within(entry, in);
	MUST(trimmed(entry));
	fuzz_lists(part(in, 0, cut), part(in, cut, in.n));
	fuzz_lists(part(in, 0, cut < 3 ? cut : 3), part(in, cut, in.n));
	MUST(!smtp_names_file(in) || memchr(in.p, '/', in.n) == NULL);
	MUST(!smtp_names_file(in) || !smtp_has_control(in));
	MUST(smtp_is_text(in) == (smtp_utf8_valid(in) &&
	    !smtp_has_control(in)));
	MUST(!smtp_has_control(part(in, 0, cut)) || smtp_has_control(in));
	MUST(!smtp_is_visible(in) || smtp_is_text(in));
	MUST(!smtp_is_visible(in) || in.n < 3 ||
	    memcmp(in.p, "\xef\xbb\xbf", 3) != 0);
	MUST(!smtp_is_host(in) || smtp_is_domain(in));
	MUST(!smtp_is_literal(in) || !smtp_is_domain(in));
	MUST(smtp_domain_matches(smtp_slice("*"), in));
	(void)smtp_domain_matches(part(in, 0, cut), part(in, cut, in.n));
	(void)smtp_parse_mail(in, (unsigned)cut & 1, &mail);
	(void)smtp_parse_rcpt(in, &flag);
	if (smtp_parse_bdat(in, &v, &flag) == SMTP_OK)
		MUST(v <= INT64_MAX);
	if (smtp_parse_number(in, cut, &v) == SMTP_OK)
		MUST(v <= cut && in.n <= 20);
	(void)smtp_parse_ip(in, ip);
}

static void
fuzz_writing(struct slice in, size_t cut)
{
	static char buf[ROOM], less[ROOM];
	const struct slice a = part(in, 0, cut), b = part(in, cut, in.n);
	const struct smtp_values v = { b, a, b };
	struct smtp_trace trace = { .helo = in, .name = smtp_slice("c.example"),
	    .address = smtp_slice("::1"), .ipv6 = true, .seconds = (int64_t)cut,
	    .host = smtp_slice("h"), .protocol = smtp_slice("SMTP") };
	struct smtp_text t = SMTP_TEXT(buf);
	size_t n;

	smtp_put_escaped(&t, in);
	smtp_put_number(&t, cut);
	for (size_t i = 0; i < t.n; i++)
		MUST(buf[i] >= ' ' && buf[i] <= '~' && buf[i] != '"');
	t = (struct smtp_text){ .p = buf, .size = cut };
	if (smtp_expand(a, &v, in.n % 2 == 0, &t) == SMTP_OK)
		MUST(t.n < cut && buf[t.n] == '\0');
	(void)smtp_is_template(a);
	n = smtp_received(&trace, buf, sizeof(buf));
	MUST(n < SMTP_TRACE_MAX && buf[n - 1] == '\n');
	for (size_t i = 0; i < n; i++)
		MUST((buf[i] >= ' ' && buf[i] <= '~') ||
		    (buf[i] == '\n' && (i == n - 1 || buf[i + 1] == '\t')) ||
		    (buf[i] == '\t' && i > 0 && buf[i - 1] == '\n'));
	cut = smtp_received(&trace, less, cut < n ? cut : n);
	MUST(memcmp(less, buf, cut) == 0);
}

/* Decode in two pieces, room octets at a time; how much came out.  What is
 * left of in is behind the end. */
static size_t
decode(struct slice *in, size_t cut, size_t room, bool chunk,
    struct smtp_data *d, char *out)
{
	struct slice piece = { in->p, cut };
	struct smtp_room left = { out, 0 };
	enum smtp_data_status status = SMTP_DATA_MORE;

	for (int half = 0; half < 2 && status == SMTP_DATA_MORE; half++) {
		do {
			left.n = room;
			status = (chunk ? smtp_chunk : smtp_data)(d, &piece,
			    &left);
			MUST(status != SMTP_DATA_FULL || left.n == 0);
		} while (status == SMTP_DATA_FULL);
		in->n -= (size_t)(piece.p - in->p);
		in->p = piece.p;
		MUST(status == SMTP_DATA_END || piece.n == 0);
		piece = *in;
	}
	left.n = 2;
	if (chunk)
		MUST(smtp_chunk_end(d, &left) == SMTP_DATA_END);
	return (size_t)(left.p - out);
}

static void
fuzz_data(struct slice in, size_t cut, struct smtp_data how, bool chunk)
{
	static char one[2 * ROOM], two[2 * ROOM];
	struct smtp_data a = how, b = how;
	struct slice rest = in, left = in;
	const size_t n = decode(&rest, in.n, in.n + 1, chunk, &a, one);

	MUST(n <= in.n + 2 && (chunk || n <= a.octets));
	MUST(decode(&left, cut, 1 + cut % 11, chunk, &b, two) == n);
	MUST(memcmp(one, two, n) == 0 && left.p == rest.p &&
	    a.at == b.at && a.bare == b.bare && a.octets == b.octets);
	MUST(!how.normalize || n == 0 || memchr(one, '\r', n) == NULL);
}

/* the fields of a header cut in two, with NUL between, and the body */
static size_t
header(struct slice in, size_t cut, struct smtp_text *t)
{
	struct smtp_header h = { 0 };
	struct slice name, value, piece = { in.p, cut };
	enum smtp_header_status status = SMTP_HEADER_MORE;
	const struct slice nul = { "", 1 };

	for (int half = 0; half < 2; half++) {
		while ((status = smtp_header(&h, &piece, &name, &value)) ==
		    SMTP_HEADER_FIELD) {
			MUST(name.n > 0 && trimmed(value));
			MUST(name.n + value.n < SMTP_FIELD_MAX);
			smtp_put(t, name);
			smtp_put(t, nul);
			smtp_put(t, value);
			smtp_put(t, nul);
		}
		if (status == SMTP_HEADER_END) {
			smtp_put(t, value);
			smtp_put(t, piece);
		}
		piece = (struct slice){ in.p + cut, in.n - cut };
	}
	if (smtp_header_end(&h, &name, &value))
		smtp_put(t, value);
	MUST(!t->cut);
	return t->n;
}

/* the same for every longer head, and a field if smtp_header says so */
static void
fuzz_first(struct slice in, size_t cut)
{
	static struct smtp_header h;
	const enum smtp_first what = smtp_first_line(in);
	const enum smtp_first before = smtp_first_line(part(in, 0, cut));
	const char *lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
	struct slice name, value, line;

	MUST(before == what || before == SMTP_FIRST_MORE);
	MUST(what != SMTP_FIRST_MORE || (in.n < SMTP_FIELD_MAX && lf == NULL));
	if (what == SMTP_FIRST_MORE)
		return;
	memset(&h, 0, sizeof(h));
	line = part(in, 0, lf != NULL ? (size_t)(lf - in.p) + 1 : in.n);
	if (smtp_header(&h, &line, &name, &value) == SMTP_HEADER_END)
		MUST((what == SMTP_FIRST_FIELD) == (in.p[0] == '\n'));
	else
		MUST(smtp_header_end(&h, &name, &value) ==
		    (what == SMTP_FIRST_FIELD) || in.n == SMTP_FIELD_MAX);
}

static void
fuzz_streams(struct slice in, size_t cut)
{
	static char one[4 * ROOM], two[4 * ROOM];
	struct smtp_text a = SMTP_TEXT(one), b = SMTP_TEXT(two);
	struct smtp_utf8 u = { 0 };

	fuzz_first(in, cut);
	MUST(header(in, in.n, &a) == header(in, cut, &b) &&
	    memcmp(one, two, a.n) == 0);
	smtp_utf8(&u, part(in, 0, cut));
	smtp_utf8(&u, part(in, cut, in.n));
	MUST(smtp_utf8_valid(in) == (!u.bad && u.left == 0));
}

/* whatever it is, the same for every beginning, and within */
static void
fuzz_neighbours(struct slice in, size_t cut)
{
	struct smtp_proxy p, q;
	struct smtp_policy policy;
	static struct smtp_xclient x;
	struct slice zid, cid, password, code, text;
	enum smtp_status all, some;
	size_t used, n;
	char buf[ROOM];
	unsigned char ip[16] = { 0 };

	all = smtp_parse_proxy(in, &p, &used);
	some = smtp_parse_proxy(part(in, 0, cut), &q, &n);
	MUST(all != SMTP_OK || used <= in.n);
	MUST(some == SMTP_EMORE || some == all);
	MUST(some != SMTP_OK || n == used);
	(void)smtp_script_wrong(in);
	all = smtp_parse_policy(in, &policy);
	if (all == SMTP_OK) {
		within(policy.all, in);
		MUST((policy.action == SMTP_REFUSE) == (policy.code.n == 3));
	}
	if (smtp_parse_xclient(in, &x) == SMTP_OK)
		for (int i = 0; i < SMTP_X_ATTRIBUTES; i++)
			MUST(!smtp_has_control(x.value[i]));
	if (smtp_base64(in, buf, sizeof(buf), &n) == SMTP_OK)
		MUST(n <= in.n / 4 * 3);
	if (smtp_parse_plain(in, &zid, &cid, &password) == SMTP_OK) {
		within(zid, in);
		within(password, in);
		MUST(zid.n + cid.n + password.n + 2 == in.n);
		MUST(!smtp_has_control(cid));
	}
	if (smtp_parse_enhanced(in, 0, &code, &text) == SMTP_OK) {
		within(code, in);
		within(text, in);
	}
	if (smtp_is_nets(in))
		(void)smtp_nets_match(in, ip);
	(void)smtp_is_tls_word(in);
	MUST(!smtp_fits_environment(in) || smtp_is_text(in));
}

/* however a value looks, it adds no line to a question */
static void
fuzz_helpers(struct slice in, size_t cut)
{
	static char buf[4 * ROOM];
	const struct slice a = part(in, 0, cut), b = part(in, cut, in.n);
	const struct smtp_question q = { .name = a, .helo = b, .login = b };
	struct smtp_tls whole = { .entry_n = 0 }, pieces = { .entry_n = 0 };
	struct smtp_text t = SMTP_TEXT(buf);
	size_t lines = 0;
	unsigned port;

	MUST(smtp_tls(&whole, in) ==
	    (smtp_tls(&pieces, a) || smtp_tls(&pieces, b)));
	MUST(memcmp(&whole, &pieces, sizeof(whole)) == 0);
	smtp_put_question(&t, &q);
	MUST(!t.cut);
	for (size_t i = 0; i < t.n; i++)
		lines += t.p[i] == '\n';
	MUST(lines == 29 + 1);	/* attributes, and the end */
	t = SMTP_TEXT(buf);
	if (smtp_put_variable(&t, "NAME", in))
		MUST(t.n == in.n + 6 && t.p[t.n - 1] == '\0');
	else
		MUST(t.n == 0);
	within(smtp_unbracket(in), in);
	MUST(smtp_parse_port(in, &port) != SMTP_OK || port <= 65535);
}

static void
fuzz_program(struct slice in, size_t cut)
{
	const struct slice a = part(in, 0, cut), b = part(in, cut, in.n);
	struct smtp_arguments v = { b, b, b, b, b, false, false };
	struct smtp_last whole = { .n = 0 }, pieces = { .n = 0 };
	char buf[ROOM];
	struct smtp_text t = SMTP_TEXT(buf);
	enum smtp_behind behind = SMTP_BEHIND_NOTHING;

	(void)smtp_is_command(&behind, a);
	if (smtp_is_command(&behind, b))
		MUST(smtp_has_argument(b) || b.n >= 12);
	if (smtp_put_argument(&t, a, &v) == SMTP_OK && t.n > 0)
		MUST(t.p[0] != '-' || (a.n > 0 && a.p[0] == '-'));
	t = SMTP_TEXT(buf);
	if (smtp_put_argument(&t, smtp_slice("/m/{sender}"), &v) == SMTP_OK)
		MUST(!smtp_is(b, ".") && !smtp_is(b, ".."));
	t = SMTP_TEXT(buf);
	if (smtp_put_argument(&t, smtp_slice("{user}"), &v) == SMTP_OK)
		MUST(!smtp_is(b, ".") && !smtp_is(b, ".."));
	smtp_last(&whole, in);
	smtp_last(&pieces, a);
	smtp_last(&pieces, b);
	MUST(smtp_same(smtp_last_line(&whole), smtp_last_line(&pieces)));
	t = SMTP_TEXT(buf);
	if (a.n > 0 && a.n <= SMTP_MAILBOX_MAX)
		smtp_put_address(&t, a, b);
}

/* what is known of a message that comes in two pieces */
static void
scan(struct slice in, size_t cut, struct smtp_scan *s, struct smtp_text *t)
{
	struct slice piece = part(in, 0, cut), to;

	memset(s, 0, sizeof(*s));
	for (int half = 0; half < 2; half++) {
		while (smtp_scan(s, &piece, &to)) {
			smtp_put(t, to);
			smtp_puts(t, "|");
		}
		MUST(piece.n == 0);
		piece = part(in, cut, in.n);
	}
	if (smtp_scan_end(s, &to))
		smtp_put(t, to);
	smtp_put_label(t, s, "x");
	smtp_put(t, (struct slice){ s->msgid, s->msgid_n });
}

/* recipients of an octet and a domain of one: who is equal, who shares a box */
static void
fuzz_rcpts(struct slice in)
{
	enum { MOST = 16 };
	static struct smtp_rcpt_index index;
	struct smtp_rcpt all[MOST];
	size_t first[MOST], n = 0, same, boxes;
	char text[MOST][3];

	for (; n < MOST && 2 * n + 1 < in.n; n++) {
		memcpy(text[n], (char[]){ in.p[2 * n], '@', in.p[2 * n + 1] },
		    3);
		all[n] = (struct smtp_rcpt){ .local = { text[n], 1 },
		    .domain = { text[n] + 2, 1 },
		    .key = { 0, (unsigned char)text[n][0] & 3U } };
		smtp_rcpt_enter(&index, all, n);
		for (same = 0; same < n; same++)
			if (text[same][0] == text[n][0] &&
			    smtp_same(all[same].domain, all[n].domain))
				break;
		MUST(all[n].same == same);
	}
	if (n > 0)
		MUST(smtp_rcpt_loops(&index, all, (struct slice){ text[0],
		    3 }));
	boxes = smtp_rcpt_group(all, n, first);
	for (size_t i = 0; i < n; i++)
		MUST(all[i].box < boxes && first[all[i].box] <= i &&
		    all[first[all[i].box]].key[1] == all[i].key[1]);
	for (size_t b = 0; b < boxes; b++)
		MUST(!smtp_rcpt_all_loop(all, n, first[b]) ||
		    all[first[b]].loops);
	smtp_rcpt_forget(&index, all, n);
	for (size_t i = 0; i < sizeof(index.first) / sizeof(uint16_t); i++)
		MUST(index.first[i] == 0);
}

static void
fuzz_delivery(struct slice in, size_t cut)
{
	static char one[4 * ROOM], two[4 * ROOM];
	static struct smtp_scan whole, pieces;
	static struct smtp_argued argued;
	struct smtp_text a = SMTP_TEXT(one), b = SMTP_TEXT(two);
	struct slice left = in, line, rest;
	struct smtp_rcpt rcpt = { .loops = false };
	struct smtp_path path;

	scan(in, in.n, &whole, &a);
	scan(in, cut, &pieces, &b);
	MUST(a.n == b.n && memcmp(one, two, a.n) == 0 &&
	    whole.received == pieces.received &&
	    whole.delivered == pieces.delivered);
	while (left.n > 0) {
		line = smtp_cut_line(&left, 1 + cut);
		MUST(line.n > 0 && line.n <= 1 + cut &&
		    line.p + line.n == left.p);
	}
	a = SMTP_TEXT(one);
	smtp_put(&a, in);
	if (smtp_mend_first(&a))
		MUST(smtp_first_line(smtp_written(&a)) == SMTP_FIRST_FIELD);
	b = (struct smtp_text){ .p = two, .size = cut };
	if (!smtp_put_pair(&b, "key", in, cut % 2 == 0))
		MUST(b.n == 0 && !b.cut);
	within(smtp_fixed(in), in);
	if (smtp_parse_path(in, "TO", &path, &rest) == SMTP_OK &&
	    path.local.n > 0 && cut < SMTP_MAILBOX_MAX) {
		rcpt.local = path.local;
		rcpt.domain = path.domain;
		smtp_argue(&argued, &rcpt, '+', part(in, 0, cut),
		    smtp_slice("x"));
		MUST(argued.v.recipient.n > 0 && argued.v.sender.p != NULL &&
		    argued.v.extension.p != NULL);
	}
	fuzz_rcpts(in);
}

int
LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
	static const char *const keyword[] = { "", "FROM", "TO" };
	struct slice in;
	size_t cut;

	if (n < 2 || n > ROOM / 2)
		return 0;
	in = (struct slice){ (const char *)p + 2, n - 2 };
	cut = (p[0] | (size_t)(p[1] & 0xf0) << 4) % (in.n + 1);
	fuzz_lines(in, cut);
	fuzz_path(in, keyword[p[1] % 3]);
	fuzz_words(in, cut);
	fuzz_writing(in, cut);
	fuzz_data(in, cut, (struct smtp_data){ .newline = p[1] & 1 ? SMTP_LF :
	    SMTP_CRLF, .normalize = (p[1] & 4) != 0 }, (p[1] & 8) != 0);
	fuzz_streams(in, cut);
	fuzz_program(in, cut);
	fuzz_delivery(in, cut);
	fuzz_neighbours(in, cut);
	fuzz_helpers(in, cut);
	return 0;
}
