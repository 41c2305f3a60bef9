/*
 * parse_fuzz - throw octets at smtp_parse.h: make fuzz.
 *
 * The first octet chooses the mode, the rest is the input.  What is checked:
 * slices lie within the input, and a stream comes out the same when it is cut.
 */
#include <stdlib.h>
#include <string.h>

#include "smtp_parse.h"

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

enum { ROOM = 1 << 16 };

static void
within(struct slice part, struct slice all)
{
	if (part.n > 0 && (part.p < all.p || part.p + part.n > all.p + all.n))
		abort();
}

static void
fuzz_words(struct slice in)
{
	struct slice a, b;
	struct smtp_path path;
	struct smtp_mail mail;
	unsigned char ip[16];
	char buf[ROOM];
	uint64_t v;
	size_t n;
	bool flag;

	if (smtp_parse_command(in, &a, &b) == SMTP_OK) {
		within(a, in);
		within(b, in);
	}
	if (smtp_parse_path(in, "", &path, &b) == SMTP_OK) {
		within(path.local, in);
		within(path.domain, in);
		within(b, in);
		if (path.local.n + path.domain.n >= SMTP_MAILBOX_MAX)
			abort();
		if (smtp_unquote(path.local, buf, path.local.n, &n) != SMTP_OK)
			abort();
		smtp_split_extension((struct slice){ buf, n }, '+', &a, &b);
		(void)smtp_relays(path.local);
		(void)smtp_names_file(a);
		(void)smtp_user_matches(smtp_list_line(in), a, b, path.domain);
	}
	(void)smtp_parse_mail(in, SMTP_WITH_AUTH | SMTP_WITH_PRDR, &mail);
	(void)smtp_parse_rcpt(in, &flag);
	(void)smtp_parse_bdat(in, &v, &flag);
	(void)smtp_parse_ip(in, ip);
	(void)smtp_opening(in);
	(void)smtp_is_host(in);
	(void)smtp_is_literal(in);
	(void)smtp_domain_matches(in, smtp_trim(in));
	(void)smtp_distance(in, smtp_slice("MAIL"));
}

static void
fuzz_writing(struct slice in)
{
	static char buf[ROOM];
	struct smtp_text t = { buf, 300, 0, false };
	struct smtp_values v = { in, in, in };
	struct smtp_trace trace = { in, in, in, true, in, in, in, in, 0 };

	smtp_put_escaped(&t, in);
	(void)smtp_string(&t);
	t.n = 0;
	(void)smtp_expand(in, &v, in.n % 2 == 0, &t);
	if (smtp_received(&trace, buf, 300) > 300)
		abort();
}

/* Decode in two pieces, out a little at a time; how much came out. */
static size_t
decode(struct slice in, size_t cut, size_t room, enum smtp_newline newline,
    char *out)
{
	struct smtp_data d = { .newline = newline };
	struct slice piece = { in.p, cut };
	struct smtp_room left;
	enum smtp_data_status status;
	size_t n = 0;

	for (int half = 0; half < 2; half++) {
		do {
			left = (struct smtp_room){ out + n, room };
			status = smtp_data(&d, &piece, &left);
			n += room - left.n;
			if (status == SMTP_DATA_END)
				return n;
		} while (status == SMTP_DATA_FULL);
		piece = (struct slice){ in.p + cut, in.n - cut };
	}
	return n;
}

static void
fuzz_streams(struct slice in, size_t cut, enum smtp_newline newline)
{
	static char one[ROOM], two[ROOM];
	struct smtp_header h = { 0 };
	struct smtp_utf8 u = { 0 };
	struct slice name, value, rest = in, head = { in.p, cut };
	size_t n = decode(in, 0, ROOM / 2, newline, one);

	if (decode(in, cut, 1, newline, two) != n || memcmp(one, two, n) != 0)
		abort();
	while (smtp_header(&h, &rest, &name, &value) == SMTP_HEADER_FIELD)
		if (name.n == 0 || name.n + value.n > SMTP_FIELD_MAX)
			abort();
	(void)smtp_header_end(&h, &name, &value);
	smtp_utf8(&u, head);
	smtp_utf8(&u, (struct slice){ in.p + cut, in.n - cut });
	if (smtp_utf8_valid(in) != (!u.bad && u.left == 0))
		abort();
}

int
LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
	struct slice in;

	if (n < 2 || n > ROOM / 4)
		return 0;
	in = (struct slice){ (const char *)p + 2, n - 2 };
	fuzz_words(in);
	fuzz_writing(in);
	fuzz_streams(in, in.n == 0 ? 0 : p[0] % (in.n + 1),
	    (enum smtp_newline)(p[1] % 3));
	return 0;
}
