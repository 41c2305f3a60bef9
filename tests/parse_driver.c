/*
 * parse_driver - a function of smtp_parse.h on the rows of a table.
 *
 *	parse_driver FUNCTION [PARAMETER] <TABLE
 *
 * A row is an input, the verdict wanted and the reason, one or more TABs
 * between them; a row without a verdict has its verdict printed.  Empty rows
 * and those that begin with "#" are comments.  Rows that get another verdict
 * are told, the first twenty; the status is then 1, and 2 for a table without
 * rows.
 *
 * In input and verdict \xHH, \r, \n, \t, \\ and \s (a space) stand for one
 * octet, \e for none, and \{N} before one of them repeats it N times.
 *
 * Every input is copied to end just before an unreadable page, and once more
 * to begin just behind one.  What decodes a stream (functions[].stream) gets
 * it whole, in pieces of 1, 2, 3... octets, and in two pieces cut at every
 * place, each piece before the page; all of that must agree.
 */
#include <sys/mman.h>

#include <arpa/inet.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "smtp_parse.h"

enum { PLACE_SIZE = 1 << 16, PARTS = 8, ROW_MAX = 4096 };
enum { IN, PART, OUT = PART + PARTS, OUT_CUT, PLACES };

static struct text {
	char	p[2 * PLACE_SIZE];
	size_t	n;
} verdict;

static const char *const status_name[] = {
	"ok", "syntax", "long", "unknown", "value", "more"
};
static struct { char *begin, *end; } places[PLACES];	/* see place() */
static bool at_begin;			/* of their place: where inputs go */
static char row[ROW_MAX];		/* the one at work */

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "parse_driver: %s\n", what);
	exit(3);
}

/* ---- memory with a fence ---------------------------------------------- */

static void
places_make(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p;

	for (int i = 0; i < PLACES; i++) {
		p = mmap(NULL, PLACE_SIZE + 2 * page, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) != 0 ||
		    mprotect(p + page + PLACE_SIZE, page, PROT_NONE) != 0)
			die("no memory");
		places[i].begin = p + page;
		places[i].end = p + page + PLACE_SIZE;
	}
}

/* n octets of a place, against one of its fences */
static char *
place(int which, size_t n)
{
	if (n > PLACE_SIZE)
		die("an input too long");
	return at_begin ? places[which].begin : places[which].end - n;
}

static struct slice
placed(int which, struct slice in)
{
	char *p = place(which, in.n);

	memcpy(p, in.p, in.n);
	return (struct slice){ p, in.n };
}

static void
fault(int sig)
{
	static const char what[] = "fault in row: ";

	(void)!write(STDOUT_FILENO, what, sizeof(what) - 1);
	(void)!write(STDOUT_FILENO, row, strlen(row));
	(void)!write(STDOUT_FILENO, "\n", 1);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* let sanitizers end in abort(3), so that fault() can name the row */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *
__asan_default_options(void)
{
	return "abort_on_error=1:handle_segv=0:handle_sigbus=0:detect_leaks=0";
}

const char *
__ubsan_default_options(void)
{
	return "abort_on_error=1:print_stacktrace=1";
}

/* ---- the verdict ------------------------------------------------------ */

static void
add(struct text *t, const char *p, size_t n)
{
	if (n > sizeof(t->p) - t->n)
		die("a verdict too long");
	if (n > 0)
		memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void
say_slice(struct slice s)
{
	add(&verdict, s.p, s.n);
}

static void __attribute__((format(printf, 1, 2)))
say(const char *format, ...)
{
	char buf[256];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(buf, sizeof(buf), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(buf))
		die("a word too long");
	add(&verdict, buf, (size_t)n);
}

static void
yes_no(bool yes)
{
	say(yes ? "yes" : "no");
}

/* a result that must be a part of what it was read from */
static void
say_part(struct slice in, struct slice s)
{
	if (s.p < in.p || s.n > in.n || (size_t)(s.p - in.p) > in.n - s.n) {
		say("!a slice outside its input ");
		return;
	}
	say_slice(s);
}

enum { FRESH = 0xa5 };

static bool
fresh(const void *p, size_t n)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < n; i++)
		if (c[i] != FRESH)
			return false;
	return true;
}

/* the name of a status, unless it is SMTP_OK; outputs are fresh, else */
static bool
ok(enum smtp_status status, const void *out, size_t n)
{
	if (status == SMTP_OK)
		return true;
	say("%s", status_name[status]);
	if (out != NULL && !fresh(out, n))
		say(" !an output touched");
	return false;
}

/* ---- octets written as text ------------------------------------------- */

static int
hex(char c)
{
	const char *digits = "0123456789abcdef", *at;

	at = c == '\0' ? NULL : strchr(digits, smtp_lower(c));
	return at == NULL ? -1 : (int)(at - digits);
}

/* one octet of the text at *p, or -1 for none */
static int
octet(const char **p)
{
	static const char names[] = "rnts\\", values[] = "\r\n\t \\";
	const char *at, *s = *p;

	if (*s != '\\') {
		++*p;
		return (unsigned char)*s;
	}
	*p += 2;
	if (s[1] == 'e')
		return -1;
	if (s[1] == 'x' && hex(s[2]) >= 0 && hex(s[3]) >= 0) {
		*p += 2;
		return hex(s[2]) << 4 | hex(s[3]);
	}
	at = s[1] == '\0' ? NULL : strchr(names, s[1]);
	if (at == NULL)
		die("an escape that is none");
	return (unsigned char)values[at - names];
}

static void
unescape(const char *p, struct text *out)
{
	unsigned long times;
	char *end, c;
	int v;

	out->n = 0;
	while (*p != '\0') {
		times = 1;
		if (p[0] == '\\' && p[1] == '{') {
			times = strtoul(p + 2, &end, 10);
			if (*end != '}' || end[1] == '\0')
				die("a repetition that is none");
			p = end + 1;
		}
		v = octet(&p);
		c = (char)v;
		for (; v >= 0 && times > 0; times--)
			add(out, &c, 1);
	}
}

static void
print_octet(char c)
{
	switch (c) {
	case '\r':
		printf("\\r");
		break;
	case '\n':
		printf("\\n");
		break;
	case '\t':
		printf("\\t");
		break;
	case '\\':
		printf("\\\\");
		break;
	default:
		if ((unsigned char)c < 0x20 || (unsigned char)c > 0x7e)
			printf("\\x%02x", (unsigned)(unsigned char)c);
		else
			putchar(c);
	}
}

static void
print_text(const struct text *t)
{
	enum { MANY = 8 };

	if (t->n == 0)
		printf("\\e");
	for (size_t i = 0, n; i < t->n; i += n) {
		for (n = 1; i + n < t->n && t->p[i + n] == t->p[i]; n++)
			continue;
		if (n < MANY)
			n = 1;
		else
			printf("\\{%zu}", n);
		print_octet(t->p[i]);
	}
}

/* ---- parts of an input, with "|" between ------------------------------ */

/* each in a place of its own; returns how many */
static int
parts(struct slice in, struct slice part[PARTS])
{
	const char *bar;
	int n = 0;

	while (n < PARTS) {
		bar = in.n == 0 ? NULL : memchr(in.p, '|', in.n);
		part[n] = in;
		if (bar != NULL)
			part[n].n = (size_t)(bar - in.p);
		in.p += part[n].n;
		in.n -= part[n].n;
		part[n] = placed(PART + n, part[n]);
		n++;
		if (bar == NULL)
			return n;
		in.p++;
		in.n--;
	}
	die("too many parts");
}

static void
two_parts(struct slice in, struct slice part[PARTS])
{
	if (parts(in, part) != 2)
		die("not two parts");
}

static uint64_t
number(struct slice in)
{
	uint64_t v;

	if (smtp_parse_number(in, UINT64_MAX, &v) != SMTP_OK)
		die("not a number");
	return v;
}

/* ---- slices, text ----------------------------------------------------- */

static void
do_trim(struct slice in, const char *param)
{
	(void)param;
	say_part(in, smtp_trim(in));
}

static void
do_same(struct slice in, const char *param)
{
	struct slice part[PARTS];

	(void)param;
	two_parts(in, part);
	yes_no(smtp_same(part[0], part[1]));
}

static void
do_is(struct slice in, const char *param)
{
	yes_no(smtp_is(in, param));
}

static void
do_lower(struct slice in, const char *param)
{
	char c;

	(void)param;
	for (size_t i = 0; i < in.n; i++) {
		c = smtp_lower(in.p[i]);
		add(&verdict, &c, 1);
	}
}

static void
do_number(struct slice in, const char *param)
{
	uint64_t v;

	memset(&v, FRESH, sizeof(v));
	if (ok(smtp_parse_number(in, param[0] == '\0' ? UINT64_MAX :
	    strtoull(param, NULL, 10), &v), &v, sizeof(v)))
		say("%" PRIu64, v);
}

/* "control" for what has one, else whether it is text */
static void
do_control(struct slice in, const char *param)
{
	const bool control = smtp_has_control(in), text = smtp_is_text(in);

	(void)param;
	if (text != (!control && smtp_utf8_valid(in)))
		say("!smtp_utf8_valid disagrees ");
	if (smtp_is_visible(in) && !text)
		say("!visible, and no text ");
	say(control ? "control" : smtp_is_visible(in) ? "text" :
	    text ? "invisible" : "octets");
}

/* every code point up to in, written in UTF-8 */
static void
do_control_all(struct slice in, const char *param)
{
	const uint64_t max = number(in);
	char s[5] = "";
	size_t n;

	(void)param;
	for (uint32_t v = 0; v <= max; v++) {
		n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
		s[0] = (char)(n == 1 ? v :
		    ((0xf00 >> n & 0xff) | v >> 6 * (n - 1)));
		for (size_t i = 1; i < n; i++)
			s[i] = (char)(0x80 | (v >> 6 * (n - 1 - i) & 0x3f));
		s[n] = 'x';
		const struct slice two = { s, n + 1 };
		const bool unseen = v == 0x200b || v == 0x2060 || v == 0xfeff;

		if (smtp_has_control(two) ==
		    (v < 0x20 || (v >= 0x7f && v <= 0x9f)) &&
		    smtp_is_visible(two) == (smtp_is_text(two) && !unseen))
			continue;
		say("U+%04" PRIX32 " goes wrong", v);
		return;
	}
	say("agrees");
}

/* write to a text of every size; what is the verdict without limits? */
static void
do_text(struct slice in, void (*write_it)(struct smtp_text *, struct slice))
{
	struct smtp_text t = { place(OUT, PLACE_SIZE), PLACE_SIZE, 0, false }, u;
	const char *s;

	write_it(&t, in);
	say_slice(smtp_written(&t));
	for (size_t size = 0; size <= t.n + 1; size++) {
		u = (struct smtp_text){ place(OUT_CUT, size), size, 0, false };
		write_it(&u, in);
		s = smtp_string(&u);
		if (u.cut != (size < t.n) || u.n != (u.cut ? size : t.n) ||
		    (s != NULL) != (size > t.n) ||
		    (s != NULL && s[t.n] != '\0') || memcmp(u.p, t.p, u.n) != 0)
			say(" !wrong with a size of %zu", size);
	}
}

static void
do_put(struct slice in, const char *param)
{
	(void)param;
	do_text(in, smtp_put);
}

/* may an escaped text be cut here?  Not within a code. */
static bool
between_codes(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n)
		i += p[i] == '\\' ? 4 : 1;
	return i == n;
}

/* cut, up to three octets of room may be left over, and no code is halved */
static void
do_put_escaped(struct slice in, const char *param)
{
	struct smtp_text t = { place(OUT, PLACE_SIZE), PLACE_SIZE, 0, false }, u;

	(void)param;
	smtp_put_escaped(&t, in);
	say_slice(smtp_written(&t));
	for (size_t size = 0; size <= t.n + 3; size++) {
		u = (struct smtp_text){ place(OUT_CUT, size), size, 0, false };
		smtp_put_escaped(&u, in);
		if (u.n > size || (u.cut ? size > t.n + 2 || size - u.n > 3 :
		    u.n != t.n) || memcmp(u.p, t.p, u.n) != 0 ||
		    !between_codes(u.p, u.n))
			say(" !wrong with a size of %zu", size);
	}
}

static void
put_number(struct smtp_text *t, struct slice in)
{
	smtp_put_number(t, number(in));
}

static void
do_put_number(struct slice in, const char *param)
{
	(void)param;
	do_text(in, put_number);
}

/* key|value, and the parameter "quoted": all of it, or nothing */
static void
do_put_pair(struct slice in, const char *param)
{
	const bool quoted = strcmp(param, "quoted") == 0;
	struct smtp_text t = { place(OUT, PLACE_SIZE), PLACE_SIZE, 0, false };
	struct slice part[PARTS];
	char key[64];
	bool fits;
	size_t n;

	two_parts(in, part);
	snprintf(key, sizeof(key), "%.*s", (int)part[0].n, part[0].p);
	if (!smtp_put_pair(&t, key, part[1], quoted))
		say("!no room ");
	say_slice(smtp_written(&t));
	n = t.n;
	for (size_t size = 0; size <= n; size++) {
		t = (struct smtp_text){ place(OUT_CUT, size), size, 0, false };
		fits = smtp_put_pair(&t, key, part[1], quoted);
		if (fits != (size == n) || t.n != (fits ? n : 0) || t.cut)
			say(" !wrong with a size of %zu", size);
	}
}

static void
put_client(struct smtp_text *t, struct slice in)
{
	struct slice part[PARTS];

	two_parts(in, part);
	smtp_put_client(t, part[0], part[1]);
}

/* address|port */
static void
do_put_client(struct slice in, const char *param)
{
	(void)param;
	do_text(in, put_client);
}

/* ---- lines ------------------------------------------------------------ */

static void
do_opening(struct slice in, const char *param)
{
	static const char *const name[] = {
		"more", "smtp", "tls", "http", "proxy"
	};
	const enum smtp_opening what = smtp_opening(in);
	enum smtp_opening before;

	(void)param;
	say("%s", name[what]);
	for (size_t n = 0; n < in.n; n++) {
		before = smtp_opening(placed(PART, (struct slice){ in.p, n }));
		if (before != SMTP_OPEN_MORE && before != what)
			say(" !%s after %zu", name[before], n);
	}
}

static void
do_command(struct slice in, const char *param)
{
	struct slice out[2];

	(void)param;
	memset(out, FRESH, sizeof(out));
	if (!ok(smtp_parse_command(in, &out[0], &out[1]), out, sizeof(out)))
		return;
	say_part(in, out[0]);
	say("|");
	say_part(in, out[1]);
}

static void
do_distance(struct slice in, const char *param)
{
	struct slice part[PARTS];
	unsigned d;

	(void)param;
	two_parts(in, part);
	d = smtp_distance(part[0], part[1]);
	say("%u", d);
	if (d != smtp_distance(part[1], part[0]))
		say(" !another the other way");
}

/* the parameter is how long a line may be */
static void
do_cut_line(struct slice in, const char *param)
{
	const size_t most = (size_t)number(smtp_slice(param));
	struct slice left = in, line;

	while (left.n > 0) {
		line = smtp_cut_line(&left, most);
		if (line.n == 0 || line.n > most || line.p + line.n != left.p)
			say("!no line ");
		say("[");
		say_part(in, line);
		say("]");
	}
}

/* ---- addresses -------------------------------------------------------- */

static void
do_path(struct slice in, const char *param)
{
	struct { struct smtp_path path; struct slice rest; } out;

	memset(&out, FRESH, sizeof(out));
	if (!ok(smtp_parse_path(in, param, &out.path, &out.rest), &out,
	    sizeof(out)))
		return;
	say_part(in, out.path.local);
	say("|");
	say_part(in, out.path.domain);
	say("|");
	say_part(in, out.rest);
	if (out.path.eight_bit)
		say("|8");
	if (out.path.second_at)
		say("|@");
}

/* the names of the bits of a number */
static void
put_lenient(struct smtp_text *t, struct slice in)
{
	smtp_put_lenient(t, (unsigned)number(in));
}

static void
do_put_lenient(struct slice in, const char *param)
{
	(void)param;
	do_text(in, put_lenient);
}

static void
say_lenient(unsigned lenient)
{
	struct smtp_text t = { place(OUT, PLACE_SIZE), PLACE_SIZE, 0, false };

	smtp_put_lenient(&t, lenient);
	say_slice(smtp_written(&t));
}

/* what of a path RFC 5321 has not */
static void
do_lenient(struct slice in, const char *param)
{
	struct smtp_path path;
	struct slice rest;

	if (!ok(smtp_parse_path(in, param, &path, &rest), NULL, 0))
		return;
	say_lenient(path.lenient);
	if (path.lenient == 0)
		say("nothing");
}

static void
do_unquote(struct slice in, const char *param)
{
	const size_t size = in.n + 1;
	size_t n, m;
	char *buf = place(OUT, size);

	(void)param;
	memset(&n, FRESH, sizeof(n));
	if (!ok(smtp_unquote(in, buf, size, &n), &n, sizeof(n)))
		return;
	say_slice((struct slice){ buf, n });
	if (n > in.n)
		say(" !longer than it was");
	for (size_t i = 0; i <= n; i++) {
		memset(&m, FRESH, sizeof(m));
		if (smtp_unquote(in, place(OUT_CUT, i), i, &m) !=
		    (i < n ? SMTP_ELONG : SMTP_OK) ||
		    (i < n ? !fresh(&m, sizeof(m)) : m != n))
			say(" !wrong with a size of %zu", i);
	}
}

static void
do_relays(struct slice in, const char *param)
{
	(void)param;
	yes_no(smtp_relays(in));
}

static void
do_extension(struct slice in, const char *param)
{
	struct slice user, extension;

	smtp_split_extension(in, param[0], &user, &extension);
	say_part(in, user);
	say("|");
	say_part(in, extension);
}

static void
do_names_file(struct slice in, const char *param)
{
	(void)param;
	yes_no(smtp_names_file(in));
}

/* what name is it?  "host" is a domain, too */
static void
do_domain(struct slice in, const char *param)
{
	const bool domain = smtp_is_domain(in), host = smtp_is_host(in),
	    literal = smtp_is_literal(in);

	(void)param;
	if ((host && !domain) || (domain && literal))
		say("!two things at once ");
	say(literal ? "literal" : host ? "host" : domain ? "domain" : "no");
}

static void
do_ip(struct slice in, const char *param)
{
	unsigned char ip[16];

	(void)param;
	memset(ip, FRESH, sizeof(ip));
	if (!ok(smtp_parse_ip(in, ip), ip, sizeof(ip)))
		return;
	for (size_t i = 0; i < sizeof(ip); i++)
		say("%02x", (unsigned)ip[i]);
}

static void
do_matches(struct slice in, const char *param)
{
	struct slice part[PARTS];

	(void)param;
	two_parts(in, part);
	yes_no(smtp_domain_matches(part[0], part[1]));
}

static void
do_list_line(struct slice in, const char *param)
{
	(void)param;
	say_part(in, smtp_list_line(in));
}

/* entry|local|user|domain */
static void
do_user(struct slice in, const char *param)
{
	struct slice part[PARTS];

	(void)param;
	if (parts(in, part) != 4)
		die("not four parts");
	yes_no(smtp_user_matches(part[0], part[1], part[2], part[3]));
}

/* what smtp_users_hold and smtp_domains_hold do, line by line; who is local
 * part, user and domain */
static bool
list_model(struct slice list, const struct slice who[3], bool users)
{
	struct slice entry;
	const char *lf;
	size_t n;

	while (list.n > 0) {
		lf = memchr(list.p, '\n', list.n);
		n = lf != NULL ? (size_t)(lf - list.p) : list.n;
		entry = smtp_list_line((struct slice){ list.p, n });
		n += lf != NULL;
		list = (struct slice){ list.p + n, list.n - n };
		if (entry.n > 0 && (users ? smtp_user_matches(entry, who[0],
		    who[1], who[2]) : smtp_domain_matches(entry, who[2])))
			return true;
	}
	return false;
}

static bool
list_holds(struct slice list, const struct slice who[3], bool users)
{
	return users ? smtp_users_hold(list, who[0], who[1], who[2]) :
	    smtp_domains_hold(list, who[2]);
}

/* list|local|user|domain or list|domain; behind lines of every length, too,
 * and before some: it may lie anyhow in memory */
static void
do_list(struct slice in, const char *param)
{
	static char buf[1024];
	const bool users = strcmp(param, "users") == 0;
	struct slice part[PARTS], who[3];
	bool holds, model;

	if (parts(in, part) != (users ? 4 : 2))
		die("not so many parts");
	who[0] = who[1] = who[2] = part[1];
	if (users) {
		who[1] = part[2];
		who[2] = part[3];
	}
	holds = list_holds(part[0], who, users);
	yes_no(holds);
	for (size_t i = 0; i <= 200; i++)
		for (size_t k = 0; k <= 80; k += 40) {
			struct slice list = { buf, i + part[0].n + k };

			if (list.n > sizeof(buf))
				die("a list too long");
			memset(buf, '-', sizeof(buf));
			if (i > 0)
				buf[i - 1] = '\n';
			if (part[0].n > 0)
				memcpy(buf + i, part[0].p, part[0].n);
			if (k > 0)
				buf[i + part[0].n] = '\n';
			list = placed(OUT, list);
			model = list_model(list, who, users);
			if (list_holds(list, who, users) == model &&
			    model == holds)
				continue;
			say(" !otherwise behind %zu, before %zu", i, k);
			return;
		}
}

/* in: how many lists of random lines, nearly like what is looked for */
static void
do_list_all(struct slice in, const char *param)
{
	static const char letters[] = "aAb1@.+ \t\n\n\n#\r*/`0\xc3\xe1";
	static const char *const words[] = { "a1", "A1b", "b", "a", "a1+b",
	    "ab.1a", "a.b", "B.1", "1.a.b", "A1@", " a", "", "11", "b11", "1ab1",
	    "a1@a.b", "@a.b", ".b", "*", "\n", " ", "#", "\r\n", "a#" };
	const uint64_t most = number(in);
	uint64_t seed = 1, yes = 0;
	char buf[700], text[3][8];
	struct slice who[3], list;
	struct smtp_text t;
	bool users, model;

	(void)param;
	for (uint64_t i = 0; i < most; i++) {
#define RANDOM(n) (seed = seed * 6364136223846793005U + 1442695040888963407U, \
    (size_t)(seed >> 33) % (n))
		users = RANDOM(2) == 0;
		for (size_t k = 0; k < 3; k++) {
			who[k] = smtp_slice(words[RANDOM(15)]);
			if (RANDOM(4) == 0) {
				who[k] = (struct slice){ text[k],
				    1 + RANDOM(5) };
				for (size_t j = 0; j < who[k].n; j++)
					text[k][j] = letters[RANDOM(20)];
			}
		}
		if (who[2].n == 0)
			who[2] = smtp_slice("a.b");
		/* as it is in use, mostly: local is user, or has more */
		if (RANDOM(4) != 0 && who[0].n > 0)
			who[1] = (struct slice){ who[0].p,
			    RANDOM(2) == 0 ? who[0].n : 1 + RANDOM(who[0].n) };
		t = (struct smtp_text){ buf, RANDOM(sizeof(buf)), 0, false };
		while (!t.cut)
			switch (RANDOM(12)) {
			case 0:
				smtp_put(&t, who[RANDOM(3)]);
				break;
			case 1:
				smtp_puts(&t, "\n");
				break;
			case 2:
			case 3:
				smtp_puts(&t, words[RANDOM(24)]);
				break;
			case 4:
				smtp_puts(&t, "xyzxyz.xyz@xyz\nxyz\n");
				break;
			default:
				if (RANDOM(3) == 0)
					smtp_put(&t, (struct slice){ letters +
					    RANDOM(20), 1 });
				else
					smtp_puts(&t, "zyzzyz\n");
			}
		at_begin = RANDOM(2) == 0;
		list = placed(OUT, smtp_written(&t));
		model = list_model(list, who, users);
		yes += model;
		if (list_holds(list, who, users) == model)
			continue;
		say("%s for %s ", model ? "no" : "yes", users ? "user" :
		    "domain");
		for (size_t k = 0; k < 3; k++) {
			say_slice(who[k]);
			say("|");
		}
		say_slice(list);
		return;
	}
	/* neither answer is rare */
	say(yes > most / 8 && yes < most - most / 8 ? "agrees" :
	    "agrees, but has told little");
}

static void
do_is_template(struct slice in, const char *param)
{
	(void)param;
	yes_no(smtp_is_template(in));
}

/* template|user|domain|extension */
static void
do_expand(struct slice in, const char *param)
{
	const bool extended = strcmp(param, "extended") == 0;
	struct slice part[PARTS];
	struct smtp_values v;
	char *buf = place(OUT, PLACE_SIZE);
	struct smtp_text out = { buf, PLACE_SIZE, 0, false };
	enum smtp_status status;
	size_t n;

	if (parts(in, part) != 4)
		die("not four parts");
	v = (struct smtp_values){ part[1], part[2], part[3] };
	status = smtp_expand(part[0], &v, extended, &out);
	if (!ok(status, NULL, 0))
		return;
	say_slice(smtp_written(&out));
	n = out.n;
	if (buf[n] != '\0')
		say(" !no NUL");
	for (size_t size = 0; size <= n + 1; size++) {
		out = (struct smtp_text){ place(OUT_CUT, size), size, 0, false };
		if (smtp_expand(part[0], &v, extended, &out) !=
		    (size <= n ? SMTP_ELONG : SMTP_OK))
			say(" !wrong with a size of %zu", size);
	}
}

/* ---- parameters ------------------------------------------------------- */

static void
do_mail(struct slice in, const char *param)
{
	struct smtp_mail mail;

	memset(&mail, FRESH, sizeof(mail));
	if (!ok(smtp_parse_mail(in,
	    strcmp(param, "PRDR") == 0 ? SMTP_WITH_PRDR : 0, &mail),
	    &mail, sizeof(mail)))
		return;
	say("ok");
	if (mail.has_size)
		say(" size=%" PRIu64, mail.size);
	else if (mail.size != 0)
		say(" !a size, and none");
	if (mail.smtputf8)
		say(" utf8");
	if (mail.prdr)
		say(" prdr");
	if (mail.dsn)
		say(" dsn");
	if (mail.lenient != 0) {
		say(" ");
		say_lenient(mail.lenient);
	}
}

static void
do_rcpt(struct slice in, const char *param)
{
	bool dsn;

	(void)param;
	memset(&dsn, FRESH, sizeof(dsn));
	if (ok(smtp_parse_rcpt(in, &dsn), &dsn, sizeof(dsn)))
		say(dsn ? "ok dsn" : "ok");
}

static void
do_bdat(struct slice in, const char *param)
{
	struct { uint64_t size; bool last; } out;

	(void)param;
	memset(&out, FRESH, sizeof(out));
	if (ok(smtp_parse_bdat(in, &out.size, &out.last), &out, sizeof(out)))
		say("%" PRIu64 "%s", out.size, out.last ? " last" : "");
}

/* ---- streams ---------------------------------------------------------- */

static size_t cut_first, cut_more;	/* how an input is cut now */
static size_t room;			/* octets of output at a time; 0: enough */

/* the next piece of in, in a place of its own */
static bool
piece(struct slice *in, size_t *n, struct slice *out)
{
	if (in->n == 0)
		return false;
	*n = *n == 0 ? cut_first : cut_more;
	if (*n > in->n)
		*n = in->n;
	*out = placed(PART, (struct slice){ in->p, *n });
	in->p += *n;
	in->n -= *n;
	return true;
}

/* "crlf" or "lf", and "-normalize" behind it */
static struct smtp_data
decoder(const char *param)
{
	return (struct smtp_data){
	    .newline = strncmp(param, "lf", 2) == 0 ? SMTP_LF : SMTP_CRLF,
	    .normalize = strstr(param, "-normalize") != NULL };
}

/* decode a piece into the text out, with room for as much as is promised to
 * be enough, or as little at a time as room says */
static enum smtp_data_status
decode(struct smtp_data *d, bool chunk, struct slice *in, struct text *out)
{
	enum smtp_data_status status;
	struct smtp_room to;
	size_t n;
	char *p;

	do {
		n = room > 0 ? room : in->n + 1;
		p = place(OUT, n);
		to = (struct smtp_room){ p, n };
		status = (chunk ? smtp_chunk : smtp_data)(d, in, &to);
		if (to.p < p || (size_t)(to.p - p) != n - to.n)
			say("!p and n of the room disagree ");
		add(out, p, n - to.n);
		if (status == SMTP_DATA_FULL && (to.n > 0 || room == 0))
			say("!full, and was not ");
		if (status == SMTP_DATA_MORE && in->n > 0)
			say("!more, with octets left ");
	} while (status == SMTP_DATA_FULL && room > 0);
	return status;
}

/* end or more|what is stored|octets|what follows; bare */
static void
do_data(struct slice in, const char *param)
{
	static struct text stored;
	struct smtp_data d = decoder(param);
	enum smtp_data_status status = SMTP_DATA_MORE;
	struct slice next = { "", 0 };
	size_t n = 0;

	stored.n = 0;
	while (status == SMTP_DATA_MORE && piece(&in, &n, &next))
		status = decode(&d, false, &next, &stored);
	say(status == SMTP_DATA_END ? "end|" : "more|");
	add(&verdict, stored.p, stored.n);
	say("|%" PRIu64 "|", d.octets);
	say_slice(next);
	say_slice(in);
	if (d.bare)
		say("|bare");
}

/* what is stored|octets; bare */
static void
do_chunk(struct slice in, const char *param)
{
	static struct text stored;
	struct smtp_data d = decoder(param);
	struct slice next = { "", 0 };
	struct smtp_room to = { place(OUT, 1), 1 };
	size_t n = 0;

	stored.n = 0;
	while (piece(&in, &n, &next))
		if (decode(&d, true, &next, &stored) != SMTP_DATA_MORE)
			say("!an end in a chunk ");
	if (smtp_chunk_end(&d, &to) != SMTP_DATA_FULL || to.n != 1)
		say("!an end in too little room ");
	to = (struct smtp_room){ place(OUT, 2), 2 };
	if (smtp_chunk_end(&d, &to) != SMTP_DATA_END || to.n > 2)
		say("!no end ");
	add(&stored, place(OUT, 2), 2 - to.n);
	add(&verdict, stored.p, stored.n);
	say("|%" PRIu64, d.octets);
	if (d.bare)
		say("|bare");
}

static void
say_field(const struct smtp_header *h, struct slice name, struct slice value)
{
	const struct slice text = { h->text, sizeof(h->text) };

	say_part(text, name);
	say("=");
	say_part(text, value);
	say("/");
}

/* name=value/ for each field; then ":" and the body, if there is one */
static void
do_header(struct slice in, const char *param)
{
	static struct smtp_header header;
	struct smtp_header *h = &header;
	enum smtp_header_status status = SMTP_HEADER_MORE;
	struct slice next, name, value;
	size_t n = 0;

	(void)param;
	memset(h, 0, sizeof(*h));
	while (status != SMTP_HEADER_END && piece(&in, &n, &next))
		while ((status = smtp_header(h, &next, &name, &value)) ==
		    SMTP_HEADER_FIELD)
			say_field(h, name, value);
	if (status == SMTP_HEADER_MORE) {
		if (smtp_header_end(h, &name, &value))
			say_field(h, name, value);
		if (smtp_header_end(h, &name, &value))
			say("!a second end ");
		return;
	}
	say(":");
	if (value.n > SMTP_FIELD_MAX)
		say("!too much kept ");
	say_slice(value);
	say_slice(next);
	say_slice(in);
	if (smtp_header(h, &next, &name, &value) != SMTP_HEADER_END ||
	    value.n > 0)
		say("!no end any more ");
	if (smtp_header_end(h, &name, &value))
		say("!a field behind the end ");
}

/* what smtp_header makes of the first line, in the words of smtp_first; it
 * sees that a name is too long with the octet behind it */
static enum smtp_first
first_by_header(struct slice in)
{
	static struct smtp_header h;
	const char *lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
	struct slice name, value, line = in, more = { "x", 1 };
	enum smtp_header_status status;

	memset(&h, 0, sizeof(h));
	if (lf != NULL)
		line.n = (size_t)(lf - in.p) + 1;
	status = smtp_header(&h, &line, &name, &value);
	if (status == SMTP_HEADER_MORE && in.n >= SMTP_FIELD_MAX && lf == NULL)
		status = smtp_header(&h, &more, &name, &value);
	if (status == SMTP_HEADER_MORE)
		return smtp_header_end(&h, &name, &value) ? SMTP_FIRST_FIELD :
		    SMTP_FIRST_MORE;
	if (in.p[0] == '\n')
		return SMTP_FIRST_FIELD;
	if (in.n >= 5 && memcmp(in.p, "From ", 5) == 0)
		return SMTP_FIRST_MAILBOX;
	return in.n >= 6 && memcmp(in.p, ">From ", 6) == 0 ?
	    SMTP_FIRST_MAILBOX : SMTP_FIRST_BODY;
}

/* every beginning of it wants more, or has the verdict; smtp_header agrees */
static void
do_first(struct slice in, const char *param)
{
	static const char *const name[] = { "more", "field", "mailbox", "body" };
	const enum smtp_first what = smtp_first_line(in);
	enum smtp_first before;
	struct slice head = in;

	(void)param;
	say("%s", name[what]);
	for (head.n = 0; head.n <= in.n; head.n++) {
		before = smtp_first_line(placed(PART, head));
		if (before != SMTP_FIRST_MORE && before != what)
			say(" !%s after %zu", name[before], head.n);
		if (before != first_by_header(head))
			say(" !another of smtp_header after %zu", head.n);
	}
}

static void
do_utf8(struct slice in, const char *param)
{
	struct smtp_utf8 u = { 0 };
	const struct slice whole = in;
	struct slice next;
	size_t n = 0;

	(void)param;
	while (piece(&in, &n, &next))
		smtp_utf8(&u, next);
	say(u.bad ? "bad" : u.left > 0 ? "cut" : u.eight_bit ? "utf8" : "ascii");
	if (u.bad && !u.eight_bit)
		say(" !bad, and ASCII");
	if (smtp_utf8_valid(placed(OUT, whole)) != (!u.bad && u.left == 0))
		say(" !smtp_utf8_valid disagrees");
}

typedef void function(struct slice, const char *);

/* cut in every way; want is the verdict on the whole */
static void
cut(function *run, struct slice in, const char *param)
{
	static struct text want;

	cut_first = cut_more = in.n;
	room = 0;
	run(in, param);
	want = verdict;
	for (size_t i = 1; i <= in.n; i++)
		for (int how = 0; how < 3; how++) {
			cut_first = how == 2 ? in.n : i;
			cut_more = how == 0 ? i : in.n;
			room = how == 2 ? i : 0;
			verdict.n = 0;
			run(in, param);
			if (verdict.n == want.n &&
			    memcmp(verdict.p, want.p, want.n) == 0)
				continue;
			say(" !so, with %s %zu",
			    how == 0 ? "pieces of" : how == 1 ? "a cut at" :
			    "room for", i);
			return;
		}
	verdict = want;
}

/* ---- dates, Received -------------------------------------------------- */

static void
do_date(struct slice in, const char *param)
{
	char *out = place(OUT, SMTP_DATE_SIZE);

	(void)param;
	memset(out, FRESH, SMTP_DATE_SIZE);
	smtp_date((int64_t)number(in), out);
	if (memchr(out, '\0', SMTP_DATE_SIZE) == NULL)
		say("!no NUL");
	else
		say("%s", out);
}

/* a Received field cut at every size must be the head of the whole */
static void
received(const struct smtp_trace *t)
{
	char *whole = place(OUT, SMTP_TRACE_MAX), *p;
	const size_t n = smtp_received(t, whole, SMTP_TRACE_MAX);

	say_slice((struct slice){ whole, n });
	for (size_t size = 0; size <= n; size++) {
		p = place(OUT_CUT, size);
		if (smtp_received(t, p, size) != size ||
		    memcmp(p, whole, size) != 0)
			say(" !wrong with a size of %zu", size);
	}
}

/* helo|name|address|host|protocol|id|recipient|seconds */
static void
do_received(struct slice in, const char *param)
{
	struct slice part[PARTS];
	struct smtp_trace t;

	(void)param;
	if (parts(in, part) != 8)
		die("not eight parts");
	t = (struct smtp_trace){ .helo = part[0], .name = part[1],
	    .address = part[2], .host = part[3], .protocol = part[4],
	    .id = part[5], .recipient = part[6],
	    .seconds = (int64_t)number(part[7]) };
	t.ipv6 = t.address.n > 0 && memchr(t.address.p, ':', t.address.n);
	received(&t);
}

/* ---- all inputs of a kind, against a model ---------------------------- */

/* the next string over an alphabet, in order of length; false after those
 * of max octets */
static bool
next_string(char *s, size_t *n, size_t max, const char *alphabet)
{
	for (size_t i = 0; i < *n; i++) {
		s[i] = *(strchr(alphabet, s[i]) + 1);
		if (s[i] != '\0')
			return true;
		s[i] = alphabet[0];
	}
	if (*n == max)
		return false;
	s[(*n)++] = alphabet[0];
	return true;
}

enum { ALL_MAX = 32 };

struct decoded {
	bool	 end, bare;
	uint64_t octets;
	char	 stored[ALL_MAX];
	size_t	 n;
	size_t	 used;			/* of the input, if there is an end */
};

/* may a CR be part of a line end? */
static bool
takes_crlf(const struct smtp_data *how)
{
	return how->newline == SMTP_CRLF || how->normalize;
}

/* how long the line end is that stands there; 0: none does */
static size_t
line_end_at(struct slice in, size_t i, const struct smtp_data *how)
{
	if (takes_crlf(how) && in.n - i >= 2 &&
	    memcmp(in.p + i, "\r\n", 2) == 0)
		return 2;
	return how->newline == SMTP_LF && in.n > i && in.p[i] == '\n';
}

/* what smtp_data and smtp_chunk do, for who knows the whole input */
static void
model(struct slice in, const struct smtp_data *how, bool chunk,
    struct decoded *m)
{
	bool bol = true;
	size_t i = 0, n, len;

	memset(m, 0, sizeof(*m));
	while (i < in.n) {
		n = in.n - i;
		len = line_end_at(in, i, how);
		if (len > 0) {
			m->stored[m->n++] = '\n';
			m->octets += 2;
			i += len;
			bol = true;
			continue;
		}
		if (bol && !chunk && in.p[i] == '.') {
			len = line_end_at(in, i + 1, how);
			m->end = len > 0;
			m->used = i + 1 + len;
			if (m->end || n == 1)
				return;
			if (n == 2 && in.p[i + 1] == '\r' && takes_crlf(how))
				return;
			i++;
			bol = false;
			continue;
		}
		bol = false;
		if (in.p[i] == '\r' && takes_crlf(how) && n == 1 && !chunk)
			return;
		m->bare = m->bare || in.p[i] == '\r' || in.p[i] == '\n';
		m->octets += in.p[i] == '\n' && how->normalize ? 2 : 1;
		bol = chunk && in.p[i] == '\n' && how->normalize;
		m->stored[m->n++] = in.p[i] == '\r' && how->normalize ? ' ' :
		    in.p[i];
		i++;
	}
	if (chunk && !bol)
		m->stored[m->n++] = '\n';
}

/* the same by the functions; bit i of cuts: the input is cut before i + 1 */
static void
decode_cut(struct slice in, unsigned cuts, struct smtp_data d, bool chunk,
    struct decoded *m)
{
	struct smtp_room to = { m->stored, sizeof(m->stored) };
	struct slice next;
	size_t n;

	memset(m, 0, sizeof(*m));
	while (in.n > 0 && !m->end) {
		for (n = 1; n < in.n && !(cuts >> m->used >> (n - 1) & 1); n++)
			continue;
		next = placed(PART, (struct slice){ in.p, n });
		m->end = (chunk ? smtp_chunk : smtp_data)(&d, &next, &to) ==
		    SMTP_DATA_END;
		in.p += n;
		in.n -= n;
		m->used += n - next.n;
	}
	if (chunk)
		(void)smtp_chunk_end(&d, &to);
	m->n = sizeof(m->stored) - to.n;
	m->bare = d.bare;
	m->octets = d.octets;
}

static void
all_strings(struct slice in, const char *param, bool chunk)
{
	const struct smtp_data how = decoder(param);
	char s[ALL_MAX];
	struct decoded want, got;
	struct slice all = { s, 0 };
	const size_t max = (size_t)number(in);

	do {
		model(all, &how, chunk, &want);
		for (unsigned cuts = 0; all.n == 0 ? cuts < 1 :
		    cuts < 1U << (all.n - 1); cuts++) {
			decode_cut(all, cuts, how, chunk, &got);
			if (got.end == want.end && got.bare == want.bare &&
			    got.octets == want.octets && got.n == want.n &&
			    memcmp(got.stored, want.stored, got.n) == 0 &&
			    (!got.end || got.used == want.used))
				continue;
			say("cut %#x goes wrong: ", cuts);
			say_slice(all);
			return;
		}
	} while (next_string(s, &all.n, max, "\r\n.x"));
	say("agrees");
}

static void
do_data_all(struct slice in, const char *param)
{
	all_strings(in, param, false);
}

static void
do_chunk_all(struct slice in, const char *param)
{
	all_strings(in, param, true);
}

/* alphabet|longest: against inet_pton(3) */
static void
do_ip_all(struct slice in, const char *param)
{
	struct slice part[PARTS];
	unsigned char got[16], want[16] = { [10] = 0xff, [11] = 0xff };
	char alphabet[16] = "", s[ALL_MAX] = "";
	size_t n = 0;
	bool is;

	(void)param;
	two_parts(in, part);
	if (part[0].n >= sizeof(alphabet) || number(part[1]) >= ALL_MAX)
		die("too many letters");
	memcpy(alphabet, part[0].p, part[0].n);
	do {
		s[n] = '\0';
		memset(want, 0, 10);
		want[10] = want[11] = 0xff;
		is = inet_pton(AF_INET, s, want + 12) == 1 ||
		    inet_pton(AF_INET6, s, want) == 1;
		if (is == (smtp_parse_ip(placed(OUT, (struct slice){ s, n }),
		    got) == SMTP_OK) && (!is || memcmp(got, want, 16) == 0))
			continue;
		say("another for %s", s);
		return;
	} while (next_string(s, &n, (size_t)number(part[1]), alphabet));
	say("agrees");
}

/* beginning|longest: what may follow it, against smtp_header */
static void
do_first_all(struct slice in, const char *param)
{
	struct slice part[PARTS], head;
	char s[ALL_MAX];
	size_t n = 0;

	(void)param;
	two_parts(in, part);
	if (part[0].n + number(part[1]) > ALL_MAX)
		die("too many letters");
	memcpy(s, part[0].p, part[0].n);
	do {
		head = (struct slice){ s, part[0].n + n };
		if (smtp_first_line(placed(OUT, head)) ==
		    first_by_header(head))
			continue;
		say("another for ");
		say_slice(head);
		return;
	} while (next_string(s + part[0].n, &n, (size_t)number(part[1]),
	    ">From :\n\t\x7f"));
	say("agrees");
}

/* each number in each form of UTF-8's scheme that can hold it: in, the most
 * to try; only the shortest form is right, and no surrogate is */
static void
do_utf8_all(struct slice in, const char *param)
{
	static const uint32_t limit[] = { 0x80, 0x800, 0x10000, 0x200000 };
	const uint64_t max = number(in);
	char s[4];
	bool right;

	(void)param;
	for (uint32_t v = 0; v <= max; v++)
		for (size_t n = 1; n <= 4; n++) {
			if (v >= limit[n - 1])
				continue;
			for (size_t i = 0; i < n; i++)
				s[i] = (char)(0x80 | (v >> 6 * (n - 1 - i) & 0x3f));
			if (n == 1)
				s[0] = (char)v;
			else
				s[0] = (char)((0xf00 >> n & 0xff) | v >> 6 * (n - 1));
			right = (n == 1 || v >= limit[n - 2]) &&
			    (v < 0xd800 || v > 0xdfff) && v <= 0x10ffff;
			if (smtp_utf8_valid((struct slice){ s, n }) == right)
				continue;
			say("U+%04" PRIX32 " in %zu octets goes wrong", v, n);
			return;
		}
	say("agrees");
}

static bool
leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* every day from 1970 on, counted one by one; in: the first year not to */
static void
do_date_all(struct slice in, const char *param)
{
	static const char days[] = "ThuFriSatSunMonTueWed";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const int length[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};
	const int last = (int)number(in);
	int64_t count = 0;
	int s;
	char got[SMTP_DATE_SIZE], want[64];

	(void)param;
	for (int year = 1970; year < last; year++)
		for (int m = 0; m < 12; m++)
			for (int d = 1; d <= length[m] + (m == 1 && leap(year));
			    d++, count++) {
				s = (int)(count * 7919 % 86400);
				(void)snprintf(want, sizeof(want),
				    "%.3s, %02d %.3s %04d %02d:%02d:%02d +0000",
				    days + count % 7 * 3, d, months + m * 3,
				    year, s / 3600, s / 60 % 60, s % 60);
				smtp_date(count * 86400 + s, got);
				if (strcmp(got, want) == 0)
					continue;
				say("%s for %s", got, want);
				return;
			}
	say("agrees");
}

/* the words of a Received field, for who need not fold it */
static size_t
received_words(const struct smtp_trace *t, char words[][1024])
{
	const bool named = t->name.n > 0;
	size_t n = 0;

	(void)snprintf(words[n++], 1024, "from %.*s",
	    (int)t->helo.n, t->helo.p);
	if (named)
		(void)snprintf(words[n++], 1024, "(%.*s",
		    (int)t->name.n, t->name.p);
	(void)snprintf(words[n++], 1024, "%s[%s%.*s])", named ? "" : "(",
	    t->ipv6 ? "IPv6:" : "", (int)t->address.n, t->address.p);
	(void)snprintf(words[n++], 1024, "by %.*s",
	    (int)t->host.n, t->host.p);
	(void)snprintf(words[n++], 1024, "with %.*s",
	    (int)t->protocol.n, t->protocol.p);
	(void)snprintf(words[n++], 1024, "id %.*s%s", (int)t->id.n, t->id.p,
	    t->recipient.n > 0 ? "" : ";");
	if (t->recipient.n > 0) {
		(void)snprintf(words[n++], 1024, "for");
		(void)snprintf(words[n++], 1024, "<%.*s>;",
		    (int)t->recipient.n, t->recipient.p);
	}
	smtp_date(t->seconds, words[n++]);
	return n;
}

/* is text those words, with a blank or a fold between them, no line over 77
 * columns (a TAB is eight) but one of a single word, and no needless fold? */
static bool
folded_well(struct slice text, char words[][1024], size_t count)
{
	size_t column = sizeof("Received:") - 1, n;

	if (text.n < column || memcmp(text.p, "Received:", column) != 0)
		return false;
	text.p += column;
	text.n -= column;
	for (size_t i = 0; i < count; i++) {
		n = strlen(words[i]);
		if (text.n > 1 && memcmp(text.p, "\n\t", 2) == 0) {
			if (column + 1 + n <= 77)
				return false;
			column = 7;
			text.p++;
			text.n--;
		} else if (text.n == 0 || text.p[0] != ' ' ||
		    column + 1 + n > 77)
			return false;
		if (text.n - 1 < n || memcmp(text.p + 1, words[i], n) != 0)
			return false;
		column += 1 + n;
		text.p += 1 + n;
		text.n -= 1 + n;
	}
	return text.n == 1 && text.p[0] == '\n';
}

/* in: how many fields, with parts of lengths that differ from one to the
 * next, up to the longest there are */
static void
do_received_all(struct slice in, const char *param)
{
	static const char x[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	static char words[PARTS + 1][1024];
	const size_t big = sizeof(x) - 1 < 255 ? sizeof(x) - 1 : 255;
	const uint64_t most = number(in);
	char *buf = place(OUT, SMTP_TRACE_MAX);
	struct smtp_trace t;
	uint64_t seed = 1;
	size_t n, range;

	(void)param;
	for (uint64_t i = 0; i < most; i++) {
		size_t len[6];

		range = i % 2 == 0 ? big : 60;
		for (size_t k = 0; k < 6; k++) {
			seed = seed * 6364136223846793005U + 1442695040888963407U;
			len[k] = 1 + (size_t)(seed >> 33) % range;
		}
		t = (struct smtp_trace){ { x, len[0] }, { x, len[1] },
		    { x, len[2] % 46 }, i % 3 == 0, { x, len[3] },
		    { x, 1 + len[4] % 12 }, { x, 1 + len[4] % 60 },
		    { x, len[5] }, (int64_t)(seed >> 33), { "", 0 }, { "", 0 } };
		t.address.n += t.address.n == 0;
		t.name.n = i % 5 == 0 ? 0 : t.name.n;
		t.recipient.n = i % 7 == 0 ? 0 : t.recipient.n;
		n = smtp_received(&t, buf, SMTP_TRACE_MAX);
		if (folded_well((struct slice){ buf, n }, words,
		    received_words(&t, words)))
			continue;
		say("folded wrong: ");
		say_slice((struct slice){ buf, n });
		return;
	}
	say("agrees");
}

/* local|domain, and the delimiter */
static void
do_values(struct slice in, const char *param)
{
	struct smtp_values v;
	struct slice part[PARTS];
	char *buf = place(OUT, SMTP_MAILBOX_MAX);

	two_parts(in, part);
	smtp_values_of(&v, part[0], part[1], param[0], buf);
	say_slice(v.user);
	say("|");
	say_slice(v.extension);
	say("|");
	say_slice(v.domain);
}

static void
do_fixed(struct slice in, const char *param)
{
	(void)param;
	say_part(in, smtp_fixed(in));
}

static void
do_hash(struct slice in, const char *param)
{
	struct slice part[PARTS];

	(void)param;
	two_parts(in, part);
	say(smtp_hash(part[0]) == smtp_hash(part[1]) ? "same" : "differ");
}

/* in pieces */
static void
do_sha256(struct slice in, const char *param)
{
	struct smtp_sha256 sum = { .octets = 0 };
	char hex[64];
	struct slice next;
	size_t n = 0;

	(void)param;
	while (piece(&in, &n, &next))
		smtp_sha256(&sum, next);
	smtp_sha256_end(&sum, hex);
	say("%.64s", hex);
}

/* a message in pieces; from a@b to c@d */
static void
do_key(struct slice in, const char *param)
{
	struct smtp_key key = { .octets = 0 };
	char hex[64];
	struct slice next;
	size_t n = 0;

	(void)param;
	while (piece(&in, &n, &next))
		smtp_key_message(&key, next);
	smtp_key_next(&key, smtp_slice("a@b"));
	smtp_key_next(&key, smtp_slice("c@d"));
	smtp_key_end(&key, hex);
	say("%.64s", hex);
}

static void
do_script(struct slice in, const char *param)
{
	(void)param;
	say("%ju", (uintmax_t)smtp_script_wrong(in));
}

static void
do_is_user(struct slice in, const char *param)
{
	(void)param;
	say(smtp_is_user(in) ? "yes" : "no");
}

static enum smtp_first
mended_first(struct slice in, struct smtp_text *t)
{
	enum smtp_first first = smtp_first_line(in);
	const bool mended = smtp_mend_first(t);

	if (mended != (first != SMTP_FIRST_MORE))
		say("!smtp_first_line disagrees ");
	if (mended && smtp_first_line(smtp_written(t)) != SMTP_FIRST_FIELD)
		say("!it is no field ");
	return first;
}

/* what is put in front, with just the room that it may want */
static void
do_mend(struct slice in, const char *param)
{
	enum { MORE = 16 };
	const size_t size = in.n + MORE;
	struct smtp_text t = { place(OUT, size), size, in.n, false };

	(void)param;
	memcpy(t.p, in.p, in.n);
	if (mended_first(in, &t) == SMTP_FIRST_MORE)
		say("more");
	else
		say_slice(smtp_written(&t));
}

/* what is known of a message at its end, and its label; the parameter is the
 * charset of one that is not UTF-8, "-" for no label */
static void
do_scan(struct slice in, const char *param)
{
	static struct smtp_scan scan;
	struct smtp_scan *s = &scan;
	struct smtp_text t = { place(OUT, PLACE_SIZE), PLACE_SIZE, 0, false };
	struct slice next, to;
	size_t n = 0;

	memset(s, 0, sizeof(*s));
	s->labelled = strcmp(param, "-") == 0;
	while (piece(&in, &n, &next)) {
		while (smtp_scan(s, &next, &to)) {
			say("to=");
			say_slice(to);
			say("/");
		}
		if (next.n > 0)
			say("!octets left over ");
	}
	if (smtp_scan_end(s, &to)) {
		say("to=");
		say_slice(to);
		say("/");
	}
	say("%u,%u", s->received, s->delivered);
	say("|");
	say_slice((struct slice){ s->msgid, s->msgid_n });
	say("|");
	smtp_put_label(&t, s, param);
	say_slice(smtp_written(&t));
}

/* seconds|microseconds|pid|number */
static void
put_id(struct smtp_text *t, struct slice in)
{
	struct slice part[PARTS];

	if (parts(in, part) != 4)
		die("not four parts");
	smtp_put_id(t, number(part[0]), number(part[1]), number(part[2]),
	    number(part[3]));
}

static void
do_put_id(struct slice in, const char *param)
{
	(void)param;
	do_text(in, put_id);
}

/* id|host for a name in tmp/, id|host|octets for one in new/ */
static void
put_file(struct smtp_text *t, struct slice in)
{
	struct slice part[PARTS];
	const bool new = parts(in, part) == 3;

	smtp_put_file(t, new, part[0], part[1], new ? number(part[2]) : 0);
}

static void
do_put_file(struct slice in, const char *param)
{
	(void)param;
	do_text(in, put_file);
}

/* ---- programs, policy, neighbours ------------------------------------- */

/* template|recipient|user|domain|extension|sender; parameter "quoted",
 * "sender-quoted"; a value "-" is one that is not to be replaced */
static void
do_argument(struct slice in, const char *param)
{
	struct slice part[PARTS];
	struct smtp_arguments v;
	char *buf = place(OUT, PLACE_SIZE);
	struct smtp_text t = { buf, PLACE_SIZE, 0, false };
	size_t n;

	if (parts(in, part) != 6)
		die("not six parts");
	for (int i = 1; i < 6; i++)
		if (smtp_is(part[i], "~"))
			part[i] = (struct slice){ NULL, 0 };
	v = (struct smtp_arguments){ part[1], part[2], part[3], part[4],
	    part[5], strcmp(param, "quoted") == 0,
	    strcmp(param, "sender-quoted") == 0 };
	if (!ok(smtp_put_argument(&t, part[0], &v), NULL, 0))
		return;
	say_slice(smtp_written(&t));
	n = t.n;
	for (size_t size = 0; size < n; size++) {
		t = (struct smtp_text){ place(OUT_CUT, size), size, 0, false };
		if (smtp_put_argument(&t, part[0], &v) != SMTP_ELONG)
			say(" !wrong with a size of %zu", size);
	}
}

/* the recipients of a message, local|domain and a blank between two, and
 * Delivered-To addresses behind a ">"; "key" puts two in a box with a key of
 * their own, those in one domain.  A recipient is told as box:same, "L" if it
 * loops; then first and further ones of each box, "L" if all loop. */
static void
do_rcpts(struct slice in, const char *param)
{
	static struct smtp_rcpt_index index;
	static struct smtp_rcpt all[64];
	static const struct smtp_rcpt_index none;
	size_t n = 0, first[64], boxes;
	struct slice word;
	const char *at;

	while (in.n > 0) {
		at = memchr(in.p, ' ', in.n);
		word = (struct slice){ in.p, at != NULL ? (size_t)(at - in.p) :
		    in.n };
		in.p += word.n + (at != NULL);
		in.n -= word.n + (at != NULL);
		if (word.p[0] == '>') {
			word = (struct slice){ word.p + 1, word.n - 1 };
			say("%s", smtp_rcpt_loops(&index, all, word) ? "! " :
			    "? ");
			continue;
		}
		at = memchr(word.p, '@', word.n);
		if (at == NULL)
			die("no address");
		memset(&all[n], 0, sizeof(all[n]));
		all[n].local = (struct slice){ word.p, (size_t)(at - word.p) };
		all[n].domain = (struct slice){ at + 1, word.n - 1 -
		    all[n].local.n };
		all[n].key[1] = strcmp(param, "key") != 0 ? n :
		    (unsigned char)smtp_lower(at[1]);
		smtp_rcpt_enter(&index, all, n);
		n++;
	}
	boxes = smtp_rcpt_group(all, n, first);
	for (size_t i = 0; i < n; i++)
		say("%zu:%zu%s ", all[i].box, all[i].same,
		    all[i].loops ? "L" : "");
	for (size_t b = 0; b < boxes; b++) {
		say("[");
		for (size_t i = first[b]; i < n; i = smtp_rcpt_next(all, n, i))
			say("%s%zu", i == first[b] ? "" : " ", i);
		say("]%s", smtp_rcpt_all_loop(all, n, first[b]) ? "L" : "");
	}
	smtp_rcpt_forget(&index, all, n);
	if (memcmp(&index, &none, sizeof(none)) != 0)
		say(" !remembered");
}

/* arguments, the last part the recipients' local parts with a blank between
 * two; one that ends in "!" loops; without them all stand for {recipient} */
static void
do_put_arguments(struct slice in, const char *param)
{
	static char text[PARTS][64];
	static struct smtp_rcpt all[64];
	struct smtp_arguments v = { .recipient = smtp_slice("r@d"),
	    .user = smtp_slice("r"), .quoted = strcmp(param, "quoted") == 0 };
	char *args[PARTS + 1];
	struct slice part[PARTS], left;
	struct smtp_text t = { place(OUT, PLACE_SIZE), PLACE_SIZE, 0, false };
	int count = parts(in, part) - 1;
	size_t n = 0, size;
	const char *at;

	for (int i = 0; i < count; i++) {
		snprintf(text[i], sizeof(text[i]), "%.*s", (int)part[i].n,
		    part[i].p);
		args[i] = text[i];
	}
	args[count] = NULL;
	for (left = part[count]; left.n > 0; n++) {
		at = memchr(left.p, ' ', left.n);
		all[n] = (struct smtp_rcpt){ .local = { left.p, at != NULL ?
		    (size_t)(at - left.p) : left.n },
		    .domain = smtp_slice("d") };
		left.p += all[n].local.n + (at != NULL);
		left.n -= all[n].local.n + (at != NULL);
		all[n].loops = all[n].local.p[all[n].local.n - 1] == '!';
	}
	if (!ok(smtp_put_arguments(&t, args, &v, n > 0 ? all : NULL, n), NULL,
	    0))
		return;
	for (size_t i = 0; i < t.n; i++)
		say("%c", t.p[i] != '\0' ? t.p[i] : ';');
	for (size = 0; size < t.n; size++) {
		struct smtp_text u = { place(OUT_CUT, size), size, 0, false };

		if (smtp_put_arguments(&u, args, &v, n > 0 ? all : NULL, n) !=
		    SMTP_ELONG)
			say(" !wrong with a size of %zu", size);
	}
}

static void
do_has_argument(struct slice in, const char *param)
{
	(void)param;
	yes_no(smtp_has_argument(in));
}

/* local|domain|sender, local "~" for no recipient; the parameter is the
 * delimiter and what stands for the null sender */
static void
do_argue(struct slice in, const char *param)
{
	static struct smtp_argued a;
	struct smtp_rcpt rcpt = { .loops = false };
	struct slice part[PARTS];

	if (parts(in, part) != 3)
		die("not three parts");
	if (!smtp_is(part[0], "~")) {
		rcpt.local = part[0];
		rcpt.domain = part[1];
	}
	memset(&a, FRESH, sizeof(a));
	smtp_argue(&a, rcpt.local.p != NULL ? &rcpt : NULL, param[0], part[2],
	    smtp_slice(param + 1));
	if (rcpt.local.p == NULL && (a.v.recipient.p != NULL ||
	    a.v.user.p != NULL || a.v.domain.p != NULL ||
	    a.v.extension.p != NULL))
		say("!a value of nobody ");
	if (rcpt.local.p != NULL) {
		say_slice(a.v.recipient);
		say(" %s", a.v.quoted ? "quoted " : "");
		say_slice(a.v.user);
		say(" ");
		say_slice(a.v.domain);
		say(" ");
		say_slice(a.v.extension);
		say("%s ", a.v.extension.p == NULL ? "!none" : "");
		say_slice(a.local);
		say(" ");
	}
	say("<");
	say_slice(a.v.sender);
	say(">%s", a.v.sender_quoted ? " quoted" : "");
}

/* local|domain */
static void
do_address(struct slice in, const char *param)
{
	struct slice part[PARTS];
	struct smtp_text t = { place(OUT, PLACE_SIZE), PLACE_SIZE, 0, false };

	(void)param;
	two_parts(in, part);
	smtp_put_address(&t, part[0], part[1]);
	say_slice(smtp_written(&t));
	say(" %s", smtp_needs_quotes(part[0]) ? "quoted" : "plain");
}

/* the arguments of a program: those that have a placeholder in a command */
static void
do_is_command(struct slice in, const char *param)
{
	enum smtp_behind behind = SMTP_BEHIND_NOTHING;
	struct slice part[PARTS];
	const int n = parts(in, part);
	bool found = false;

	(void)param;
	for (int i = 0; i < n; i++) {
		if (!smtp_is_command(&behind, part[i]))
			continue;
		say(found ? "; " : "");
		say_slice(part[i]);
		found = true;
	}
	if (!found)
		say("good");
}

/* what an octet beside a placeholder makes of an argument */
static void
do_is_command_with(struct slice in, const char *param)
{
	static const char *const before[] = { "", "x", "{user}" };
	const char *const after[] = { "{user}", "x{user}y", "{recipients}", "" };
	enum smtp_behind behind;
	char buf[64];
	struct smtp_text t;
	int yes = 0;

	(void)param;
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 4; k++) {
			t = SMTP_TEXT(buf);
			smtp_puts(&t, before[i]);
			smtp_put(&t, in);
			smtp_puts(&t, after[k]);
			behind = SMTP_BEHIND_NOTHING;
			yes += smtp_is_command(&behind, placed(PART,
			    smtp_written(&t)));
		}
	/* two of these have no placeholder */
	say(yes == 0 ? "good" : yes == 10 ? "bad" : "now one, now the other");
}

static void
do_environment(struct slice in, const char *param)
{
	(void)param;
	yes_no(smtp_fits_environment(in));
}

static void
do_enhanced(struct slice in, const char *param)
{
	struct slice out[2];

	memset(out, FRESH, sizeof(out));
	if (!ok(smtp_parse_enhanced(in, param[0], &out[0], &out[1]), out,
	    sizeof(out)))
		return;
	say_part(in, out[0]);
	say(" ");
	say_part(in, out[1]);
}

/* in two pieces, cut at every place, and octet by octet */
static void
do_last(struct slice in, const char *param)
{
	struct smtp_last whole = { .n = 0 }, l;
	struct slice want, got;

	(void)param;
	smtp_last(&whole, in);
	want = smtp_last_line(&whole);
	say_slice(want);
	for (size_t cut = 0; cut <= in.n; cut++) {
		l = (struct smtp_last){ .n = 0 };
		smtp_last(&l, (struct slice){ in.p, cut });
		for (size_t i = cut; i < in.n; i++)
			smtp_last(&l, (struct slice){ in.p + i, 1 });
		got = smtp_last_line(&l);
		if (got.n != want.n || memcmp(got.p, want.p, got.n) != 0)
			say(" !otherwise, cut at %zu", cut);
	}
}

static void
do_words(struct slice in, const char *param)
{
	(void)param;
	do_text(in, smtp_put_words);
}

/* every beginning of it wants more, until it is complete */
static void
do_policy(struct slice in, const char *param)
{
	static const char *const names[] = { "pass", "refuse", "prepend",
	    "warn", "other" };
	struct smtp_policy p, q;
	enum smtp_status status;

	(void)param;
	memset(&p, FRESH, sizeof(p));
	status = smtp_parse_policy(in, &p);
	for (size_t n = 0; n < in.n; n++) {
		struct slice head = placed(PART, (struct slice){ in.p, n });
		enum smtp_status s = smtp_parse_policy(head, &q);

		if (s != SMTP_EMORE && s != status)
			say("!otherwise, cut at %zu ", n);
	}
	if (!ok(status, &p, sizeof(p)))
		return;
	say("%s", names[p.action]);
	if (p.action == SMTP_REFUSE) {
		say(" ");
		say_slice(p.code);
		say(" [");
		say_slice(p.enhanced);
		say("]");
	}
	say(" ");
	say_slice(p.text);
}

/* name|value: in the least room that will do, and in less */
static void
do_put_variable(struct slice in, const char *param)
{
	char name[64] = "";
	struct slice part[PARTS];
	struct smtp_text t;
	bool put = false;

	(void)param;
	two_parts(in, part);
	if (part[0].n >= sizeof(name))
		die("a name too long");
	memcpy(name, part[0].p, part[0].n);
	for (size_t size = 0; size <= in.n + 1; size++) {
		t = (struct smtp_text){ place(OUT, size), size, 0, false };
		put = smtp_put_variable(&t, name, part[1]);
		if (t.cut || t.n != (put ? in.n + 1 : 0) ||
		    (put && size <= in.n))
			say("!wrong with a size of %zu ", size);
	}
	if (!put)
		say("not");
	else
		say_slice(smtp_written(&t));
}

/* user|password */
static void
put_password(struct smtp_text *t, struct slice in)
{
	struct slice part[PARTS];

	two_parts(in, part);
	smtp_put_password(t, part[0], part[1], 1234567890);
}

static void
do_put_password(struct slice in, const char *param)
{
	(void)param;
	do_text(in, put_password);
}

/* local|address|name|port|helo|sender|recipient|login: the other half of the
 * fields is made of them */
static void
put_question(struct smtp_text *t, struct slice in)
{
	struct slice part[PARTS];

	if (parts(in, part) != PARTS)
		die("not eight parts");
	smtp_put_question(t, &(struct smtp_question){
	    .state = smtp_slice("RCPT"), .local = part[0].n > 0, .protocol = smtp_slice("ESMTP"),
	    .address = part[1], .name = part[2], .port = part[3],
	    .server = part[1], .server_port = part[3], .helo = part[4],
	    .sender = part[5], .recipient = part[6],
	    .instance = smtp_slice("1.2.3"), .size = part[7].n,
	    .recipients = part[0].n, .etrn = part[3],
	    .login_method = smtp_slice("PLAIN"), .login = part[7],
	    .tls_version = part[0], .tls_cipher = part[2] });
}

static void
do_put_question(struct slice in, const char *param)
{
	(void)param;
	do_text(in, put_question);
}

static void
say_ip(const unsigned char ip[16])
{
	char buf[INET6_ADDRSTRLEN];

	say("%s", inet_ntop(AF_INET6, ip, buf, sizeof(buf)));
}

/* what is behind the header stands behind a bar, and is not looked at */
static void
do_proxy(struct slice in, const char *param)
{
	struct { struct smtp_proxy p; size_t used; } out, o;
	enum smtp_status status;

	(void)param;
	memset(&out, FRESH, sizeof(out));
	status = smtp_parse_proxy(in, &out.p, &out.used);
	for (size_t n = 0; n < in.n; n++) {
		struct slice head = placed(PART, (struct slice){ in.p, n });
		enum smtp_status s = smtp_parse_proxy(head, &o.p, &o.used);

		if (s == SMTP_OK && (status != SMTP_OK || o.used != out.used ||
		    n < o.used))
			say("!complete at %zu ", n);
		if (s != SMTP_EMORE && s != status)
			say("!otherwise, cut at %zu ", n);
		if (s == SMTP_EMORE && status == SMTP_OK && n >= out.used)
			say("!wants more at %zu ", n);
	}
	if (!ok(status, &out, sizeof(out)))
		return;
	say("%zu ", out.used);
	if (out.p.local) {
		say("local");
		return;
	}
	say_ip(out.p.source);
	say(" %u ", out.p.source_port);
	say_ip(out.p.destination);
	say(" %u%s%s", out.p.destination_port, out.p.ipv6 ? " v6" : "",
	    out.p.tls ? " tls " : "");
	say_slice(out.p.tls_version);
	say(out.p.tls_cipher.n > 0 ? "/" : "");
	say_slice(out.p.tls_cipher);
}

static void
do_xclient(struct slice in, const char *param)
{
	static const char *const names[] = { "NAME", "ADDR", "PORT", "PROTO",
	    "HELO", "LOGIN", "DESTADDR", "DESTPORT" };
	static struct smtp_xclient x;
	const char *blank = "";

	(void)param;
	memset(&x, FRESH, sizeof(x));
	if (!ok(smtp_parse_xclient(in, &x), NULL, 0))
		return;
	for (int i = 0; i < SMTP_X_ATTRIBUTES; i++) {
		if (!x.given[i] && (x.value[i].p != NULL || x.value[i].n > 0))
			say("!a value of %s, and none was given ", names[i]);
		if (!x.given[i])
			continue;
		say("%s%s=", blank, names[i]);
		say_slice(x.value[i]);
		blank = " ";
	}
}

static void
do_base64(struct slice in, const char *param)
{
	char *buf = place(OUT, PLACE_SIZE);
	size_t n, m;

	(void)param;
	memset(&n, FRESH, sizeof(n));
	if (!ok(smtp_base64(in, buf, PLACE_SIZE, &n), &n, sizeof(n)))
		return;
	say_slice((struct slice){ buf, n });
	for (size_t size = 0; size <= n; size++)
		if (smtp_base64(in, place(OUT_CUT, size), size, &m) !=
		    (size < n ? SMTP_ELONG : SMTP_OK))
			say(" !wrong with a size of %zu", size);
}

static void
do_plain(struct slice in, const char *param)
{
	struct slice out[3];

	(void)param;
	memset(out, FRESH, sizeof(out));
	if (!ok(smtp_parse_plain(in, &out[0], &out[1], &out[2]), out,
	    sizeof(out)))
		return;
	for (int i = 0; i < 3; i++) {
		say("[");
		say_part(in, out[i]);
		say("]");
	}
}

static void
do_tls_word(struct slice in, const char *param)
{
	(void)param;
	yes_no(smtp_is_tls_word(in));
}

/* the same however it is cut; +end where that was seen */
static void
do_tls(struct slice in, const char *param)
{
	struct smtp_tls whole = { .entry_n = 0 }, t;
	bool end = smtp_tls(&whole, in), ended;

	(void)param;
	say_slice((struct slice){ whole.version, whole.version_n });
	say("/");
	say_slice((struct slice){ whole.cipher, whole.cipher_n });
	say(end ? " +end" : "");
	for (size_t cut = 0; cut <= in.n; cut++) {
		t = (struct smtp_tls){ .entry_n = 0 };
		ended = smtp_tls(&t, placed(PART, (struct slice){ in.p, cut }));
		for (size_t i = cut; i < in.n && !ended; i++)
			ended = smtp_tls(&t, (struct slice){ in.p + i, 1 });
		if (ended != end || memcmp(&t, &whole, sizeof(t)) != 0)
			say(" !otherwise, cut at %zu", cut);
	}
}

static void
do_unbracket(struct slice in, const char *param)
{
	(void)param;
	say_part(in, smtp_unbracket(in));
}

static void
do_port(struct slice in, const char *param)
{
	unsigned port;

	(void)param;
	memset(&port, FRESH, sizeof(port));
	if (ok(smtp_parse_port(in, &port), &port, sizeof(port)))
		say("%u", port);
}

/* NAME=value|... */
static void
do_launched(struct slice in, const char *param)
{
	struct smtp_launched l;
	char *env[PARTS + 1] = { NULL };
	struct slice part[PARTS];
	int n = parts(in, part);

	(void)param;
	for (int i = 0; i < n; i++) {
		env[i] = calloc(1, part[i].n + 1);
		if (env[i] == NULL)
			die("no memory");
		memcpy(env[i], part[i].p, part[i].n);
	}
	memset(&l, FRESH, sizeof(l));
	smtp_launched(env, &l);
	say("%s", l.any ? "launcher" : "none");
	say("%s%s", l.relay ? " relay" : "", l.named ? " named" : "");
	if (l.client) {
		say(" from ");
		say_ip(l.ip);
		say(" ");
		say_slice(l.port);
		say(l.name.n > 0 ? "," : "");
		say_slice(l.name);
	}
	if (l.server) {
		say(" to ");
		say_ip(l.server_ip);
		say(" %u", l.server_port);
	}
	for (size_t i = 0; i < l.nskipped; i++)
		say(" -%s", l.skipped[i]);
	for (int i = 0; i < n; i++)
		free(env[i]);
}

/* nets|address; "bad" for what are no networks */
static void
do_nets(struct slice in, const char *param)
{
	struct slice part[PARTS];
	unsigned char ip[16];

	(void)param;
	two_parts(in, part);
	if (!smtp_is_nets(part[0])) {
		say("bad");
		return;
	}
	if (part[1].n > 0 && smtp_parse_ip(part[1], ip) != SMTP_OK)
		die("no address");
	yes_no(smtp_nets_match(part[0], part[1].n > 0 ? ip : NULL));
}

/* ---- options ---------------------------------------------------------- */

static void
do_size(struct slice in, const char *param)
{
	uint64_t v;

	memset(&v, FRESH, sizeof(v));
	if (ok(smtp_parse_size(in, strtoull(param, NULL, 10), &v), &v,
	    sizeof(v)))
		say("%" PRIu64, v);
}

/* a list with commas, as it is with bars */
static void
do_cut(struct slice in, const char *param)
{
	struct slice rest = in, part;
	int n = 0;

	(void)param;
	for (; smtp_cut(&rest, ',', &part); n++) {
		say(n > 0 ? "|" : "");
		say_part(in, part);
	}
	if (rest.p != NULL || smtp_cut(&rest, ',', &part))
		say(" !more of it");
}

static void
do_domain_pattern(struct slice in, const char *param)
{
	(void)param;
	yes_no(smtp_is_domain_pattern(in));
}

static void
do_delimiter(struct slice in, const char *param)
{
	(void)param;
	yes_no(smtp_is_delimiter(in));
}

static void
do_server(struct slice in, const char *param)
{
	struct {
		unsigned char	ip[16];
		unsigned	port;
	} out;

	(void)param;
	memset(&out, FRESH, sizeof(out));
	if (!ok(smtp_parse_server(in, out.ip, &out.port), &out, sizeof(out)))
		return;
	say_ip(out.ip);
	say(" %u", out.port);
}

/* the words, each in brackets; how many there are, for a param */
static void
do_argv(struct slice in, const char *param)
{
	struct smtp_words w;
	int n = 0;

	if (!ok(smtp_parse_words(in, &w), NULL, 0))
		return;
	for (; w.argv[n] != NULL; n++)
		if (param[0] == '\0') {
			say("[");
			say_slice(smtp_slice(w.argv[n]));
			say("]");
		}
	if (param[0] != '\0')
		say("%d", n);
}

/* the words of a program: the first that is wrong, and why */
static void
do_program(struct slice in, const char *param)
{
	struct smtp_program p = { 0 };
	struct slice part[PARTS];
	const int n = parts(in, part);
	const char *wrong;

	(void)param;
	for (int i = 0; i < n; i++) {
		wrong = smtp_program_word(&p, part[i]);
		if (wrong == NULL)
			continue;
		say("%d: ", i);
		/* what it says is for people, but for its first words */
		say("%.11s", wrong);
		return;
	}
	say(p.once ? "once" : "each");
}

static void
do_misspelt(struct slice in, const char *param)
{
	yes_no(smtp_has_misspelt(in, param[0] != '\0'));
}

/* PATH and a name: where it may be */
static void
do_place(struct slice in, const char *param)
{
	struct slice part[PARTS];
	char buf[64];
	struct smtp_text t = SMTP_TEXT(buf);
	int n = 0;

	(void)param;
	two_parts(in, part);
	for (; smtp_put_place(&t, &part[0], part[1]); t.n = 0) {
		say(n++ > 0 ? " " : "");
		say_slice(smtp_written(&t));
	}
}

static struct {
	bool		 flag;
	uint64_t	 number, size;
	unsigned	 one, some;
	char		 delimiter;
	const char	*text, *host, *nets, *charset, *domain, *server;
} set;

static const struct smtp_option options[] = {
	{ 'f', "flag", NULL, SMTP_KIND_FLAG, &set.flag, .help = "a flag" },
	{ 'g', "", NULL, SMTP_KIND_FLAG, &set.flag, .help = "another" },
	{ 'n', "number", "N", SMTP_KIND_NUMBER, &set.number, 1, 99,
	    .help = "a number" },
	{ 's', "size", "N", SMTP_KIND_SIZE, &set.size, 0, 4096,
	    .help = "a size" },
	{ 0, "one", "W", SMTP_KIND_ONE, &set.one, .words = "a b cc",
	    .help = "a word" },
	{ 0, "some", "W", SMTP_KIND_SOME, &set.some, .words = "a b cc",
	    .help = "words" },
	{ 0, "delimiter", "C", SMTP_KIND_DELIMITER, &set.delimiter,
	    .help = "an octet" },
	{ 't', "text", "T", SMTP_KIND_TEXT, &set.text, .help = "a text" },
	{ 0, "texts", "T", SMTP_KIND_TEXT, &set.text, .help = "texts" },
	{ 0, "host", "H", SMTP_KIND_HOST, &set.host, .help = "a host" },
	{ 0, "nets", "N", SMTP_KIND_NETS, &set.nets, .help = "networks" },
	{ 0, "charset", "C", SMTP_KIND_CHARSET, &set.charset,
	    .help = "a charset" },
	{ 'd', "domain", "D", SMTP_KIND_DOMAIN, &set.domain,
	    .help = "a domain" },
	{ 0, "server", "S", SMTP_KIND_SERVER, &set.server,
	    .help = "a server" },
	{ 'o', "other", NULL, SMTP_KIND_OTHER, .help = "something else" }
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

/* a text of its own, with a NUL behind it */
static const char *
text_of(int which, struct slice in)
{
	char *p = place(which, in.n + 1);

	memmove(p, in.p, in.n);
	p[in.n] = '\0';
	return p;
}

static void
say_value(const struct smtp_option *o, struct slice *value)
{
	static char buf[64];
	struct smtp_text t = SMTP_TEXT(buf);

	if (!smtp_option_get(o, &t, value)) {
		say("none");
		*value = smtp_slice("");
		return;
	}
	say("=");
	say_slice(*value);
}

/* an option's name, and values that it is given: what holds then, or the one
 * that is wrong; what holds can be given it again */
static void
do_option(struct slice in, const char *param)
{
	const struct smtp_option *o = options;
	struct slice part[PARTS], value, again;
	const int n = parts(in, part);
	char buf[128];
	struct smtp_text t = SMTP_TEXT(buf);
	const char *wrong;

	(void)param;
	memset(&set, 0, sizeof(set));
	set.number = 1;
	while (o < options + OPTIONS && !smtp_is(part[0], o->name))
		o++;
	if (o == options + OPTIONS)
		die("no such option");
	for (int i = 1; i < n; i++) {
		wrong = smtp_option_set(o, text_of(PART + i, part[i]), &t);
		if (wrong != NULL) {
			say("%s; ", wrong);
			t.n = 0;
		}
	}
	say_value(o, &value);
	if (o->kind == SMTP_KIND_SOME || value.n == 0 || o->arg == NULL)
		return;
	again = placed(OUT, value);
	wrong = smtp_option_set(o, text_of(OUT_CUT, again), &t);
	if (wrong != NULL || !smtp_option_get(o, &t, &value) ||
	    !smtp_same(again, value))
		say(" !not again");
}

/* a line of a file */
static void
do_option_line(struct slice in, const char *param)
{
	const struct smtp_option *o;
	struct slice name, value;
	const char *wrong = smtp_option_line(options, OPTIONS, in, &o, &name,
	    &value);

	(void)param;
	if (wrong != NULL)
		say("%.9s|", wrong);
	else if (o == NULL) {
		say("nothing");
		return;
	} else
		say("%s|", o->name);
	say_part(in, value);
}

static void
do_help(struct slice in, const char *param)
{
	char buf[64];
	struct smtp_text t = SMTP_TEXT(buf);

	for (int i = 0; i < OPTIONS; i++)
		if (options[i].letter == in.p[0] || smtp_is(in,
		    options[i].name)) {
			smtp_put_help(&t, options + i, strtoul(param, NULL,
			    10));
			say_slice(smtp_written(&t));
			return;
		}
}

/* ---- the table -------------------------------------------------------- */

static const struct {
	const char	*name;
	function	*run;
	bool		 stream;
} functions[] = {
	{ "trim",		do_trim,		false },
	{ "same",		do_same,		false },
	{ "is",			do_is,			false },
	{ "lower",		do_lower,		false },
	{ "number",		do_number,		false },
	{ "control",		do_control,		false },
	{ "control-all",	do_control_all,		false },
	{ "put",		do_put,			false },
	{ "put-number",		do_put_number,		false },
	{ "put-escaped",	do_put_escaped,		false },
	{ "put-pair",		do_put_pair,		false },
	{ "put-client",		do_put_client,		false },
	{ "opening",		do_opening,		false },
	{ "command",		do_command,		false },
	{ "distance",		do_distance,		false },
	{ "cut-line",		do_cut_line,		false },
	{ "path",		do_path,		false },
	{ "lenient",		do_lenient,		false },
	{ "put-lenient",	do_put_lenient,		false },
	{ "unquote",		do_unquote,		false },
	{ "relays",		do_relays,		false },
	{ "extension",		do_extension,		false },
	{ "names-file",		do_names_file,		false },
	{ "domain",		do_domain,		false },
	{ "ip",			do_ip,			false },
	{ "ip-all",		do_ip_all,		false },
	{ "matches",		do_matches,		false },
	{ "list-line",		do_list_line,		false },
	{ "user",		do_user,		false },
	{ "list",		do_list,			false },
	{ "list-all",		do_list_all,		false },
	{ "is-template",	do_is_template,		false },
	{ "expand",		do_expand,		false },
	{ "values",		do_values,		false },
	{ "fixed",		do_fixed,		false },
	{ "hash",		do_hash,		false },
	{ "sha256",		do_sha256,		true },
	{ "key",		do_key,			true },
	{ "is-user",		do_is_user,		false },
	{ "script",		do_script,		false },
	{ "mail",		do_mail,		false },
	{ "rcpt",		do_rcpt,		false },
	{ "bdat",		do_bdat,		false },
	{ "data",		do_data,		true },
	{ "data-all",		do_data_all,		false },
	{ "chunk",		do_chunk,		true },
	{ "chunk-all",		do_chunk_all,		false },
	{ "header",		do_header,		true },
	{ "first",		do_first,		false },
	{ "first-all",		do_first_all,		false },
	{ "mend",		do_mend,		false },
	{ "scan",		do_scan,		true },
	{ "put-id",		do_put_id,		false },
	{ "put-file",		do_put_file,		false },
	{ "utf8",		do_utf8,		true },
	{ "utf8-all",		do_utf8_all,		false },
	{ "date",		do_date,		false },
	{ "date-all",		do_date_all,		false },
	{ "received",		do_received,		false },
	{ "received-all",	do_received_all,	false },
	{ "argument",		do_argument,		false },
	{ "has-argument",	do_has_argument,		false },
	{ "rcpts",		do_rcpts,		false },
	{ "put-arguments",	do_put_arguments,	false },
	{ "argue",		do_argue,		false },
	{ "address",		do_address,		false },
	{ "is-command",		do_is_command,		false },
	{ "is-command-with",	do_is_command_with,	false },
	{ "environment",	do_environment,		false },
	{ "put-variable",	do_put_variable,	false },
	{ "enhanced",		do_enhanced,		false },
	{ "last",		do_last,			false },
	{ "words",		do_words,		false },
	{ "policy",		do_policy,		false },
	{ "put-question",	do_put_question,	false },
	{ "proxy",		do_proxy,		false },
	{ "xclient",		do_xclient,		false },
	{ "base64",		do_base64,		false },
	{ "plain",		do_plain,		false },
	{ "tls-word",		do_tls_word,		false },
	{ "put-password",	do_put_password,	false },
	{ "tls",		do_tls,			false },
	{ "unbracket",		do_unbracket,		false },
	{ "port",		do_port,		false },
	{ "launched",		do_launched,		false },
	{ "nets",		do_nets,			false },
	{ "size",		do_size,		false },
	{ "cut",		do_cut,			false },
	{ "domain-pattern",	do_domain_pattern,	false },
	{ "delimiter",		do_delimiter,		false },
	{ "server",		do_server,		false },
	{ "argv",		do_argv,		false },
	{ "program",		do_program,		false },
	{ "misspelt",		do_misspelt,		false },
	{ "place",		do_place,		false },
	{ "option",		do_option,		false },
	{ "option-line",	do_option_line,		false },
	{ "help",		do_help,		false },
};

/* cut the column that begins at *p off the row */
static char *
column(char **p)
{
	char *begin = *p;

	*p += strcspn(*p, "\t");
	if (**p != '\0')
		*(*p)++ = '\0';
	*p += strspn(*p, "\t");
	return begin;
}

static void
run(size_t f, const struct text *in, const char *param)
{
	struct slice s = placed(IN, (struct slice){ in->p, in->n });

	verdict.n = 0;
	if (functions[f].stream)
		cut(functions[f].run, s, param);
	else
		functions[f].run(s, param);
}

/* true if a row gets the verdict it wants, in both places; tells, if not */
static bool
row_right(size_t f, const char *param, int n, char *rest, bool tell)
{
	static struct text in, want;
	const char *input = column(&rest), *wanted = column(&rest);
	const bool all = strstr(functions[f].name, "-all") != NULL;

	unescape(input, &in);
	unescape(wanted, &want);
	for (int i = 0; i < (all || functions[f].stream ? 1 : 2); i++) {
		at_begin = i > 0;
		run(f, &in, param);
		if (wanted[0] == '\0') {
			print_text(&verdict);
			putchar('\n');
			return true;
		}
		if (verdict.n == want.n &&
		    memcmp(verdict.p, want.p, want.n) == 0)
			continue;
		if (!tell)
			return false;
		printf("row %d: %s\n\t%s\n\twanted: %s\n\tgot:    ", n,
		    input, rest, wanted);
		print_text(&verdict);
		printf(at_begin ? "\n\tat the begin of a page\n" : "\n");
		return false;
	}
	return true;
}

int
main(int argc, char *argv[])
{
	static char line[ROW_MAX];
	enum { TOLD_MAX = 20 };
	size_t f = 0;
	int rows = 0, wrong = 0;

	if (argc < 2 || argc > 3)
		die("usage: parse_driver FUNCTION [PARAMETER]");
	while (strcmp(functions[f].name, argv[1]) != 0)
		if (++f == sizeof(functions) / sizeof(functions[0]))
			die("no such function");
	places_make();
	signal(SIGSEGV, fault);
	signal(SIGBUS, fault);
	signal(SIGABRT, fault);
	while (fgets(row, sizeof(row), stdin) != NULL) {
		if (strchr(row, '\n') == NULL)
			die("a row too long");
		row[strcspn(row, "\n")] = '\0';
		if (row[0] == '\0' || row[0] == '#')
			continue;
		memcpy(line, row, sizeof(line));
		wrong += !row_right(f, argc == 3 ? argv[2] : "", ++rows, line,
		    wrong < TOLD_MAX);
		at_begin = false;
		fflush(stdout);
	}
	if (wrong > TOLD_MAX)
		printf("and %d rows more\n", wrong - TOLD_MAX);
	return rows == 0 ? 2 : wrong > 0;
}
