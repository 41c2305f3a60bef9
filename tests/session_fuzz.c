/*
 * session_fuzz - a session with any octets, any pieces, any answers: make fuzz.
 *
 * The first 16 octets say how: the terms, the answers to come, where to cut.
 * The others are what the client sends; but 1 is a silence for as long as the
 * host has patience, and 2 with the octet behind it so many times 64 letters.
 * The session is run whole, octet by octet, and cut as the input says: each time
 * the replies, the stored octets and the questions must be the same, and hold
 * what session_check.h says.
 */
#include <stdlib.h>

#include "session_check.h"

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

enum { HOW = 16, MOST = 1 << 15, CALLS = 1 << 16 };
enum { SILENCE = 1, MANY = 2, TIMES = 64 };

struct run {			/* what came of it */
	char		 out[MOST];
	char		 stored[MOST];
	unsigned char	 asked[MOST];	/* but INPUT and STORE */
	size_t		 out_n, stored_n, asked_n;
	size_t		 finished;	/* of stored */
	enum smtp_end	 end;
};

#define MUST(x) do { if (!(x)) abort(); } while (0)

static void
keep(char *to, size_t *n, struct slice s)
{
	if (s.n > MOST - *n)
		s.n = MOST - *n;
	memcpy(to + *n, s.p, s.n);
	*n += s.n;
}

/* How much is stored of a message that is too big depends on its pieces: what
 * counts is a message that came to its FINISH. */
static void
run_asked(struct run *r, const struct smtp_host *h, enum smtp_ask ask)
{
	if (ask == SMTP_STORE)
		keep(r->stored, &r->stored_n, h->stored);
	else if (ask != SMTP_INPUT && ask != SMTP_FLUSH && r->asked_n < MOST)
		r->asked[r->asked_n++] = (unsigned char)ask;
	if (ask == SMTP_FINISH)
		r->finished = r->stored_n;
	if (ask == SMTP_FORGET || ask == SMTP_CLOSE)
		r->stored_n = r->finished;
}

static struct smtp_terms
terms_of(const unsigned char *how, bool tls)
{
	return (struct smtp_terms){
		.hostname = smtp_slice("s.example"),
		.size = how[0] & 1 ? 20 : 0,
		.recipients = 1 + how[0] / 2 % 4,
		.errors = how[0] / 8 % 8,
		.junk = how[0] / 64,
		.lmtp = how[1] & 1,
		.by_hand = (how[1] & 2) != 0,
		.terminal = (how[1] & 4) != 0,
		.normalize = (how[1] & 8) != 0,
		.tls = (how[1] & 16) != 0 && !tls,
		.auth = (how[1] & 32) != 0,
		.auth_now = (how[1] & 16) == 0 || tls,
		.xclient = (how[1] & 64) != 0,
		.encrypted = tls,
		.needs_tls = (how[2] & 1) != 0,
		.needs_login = (how[2] & 2) != 0,
		.verbose = (how[2] & 4) != 0,
		.strict = (how[2] & 8) != 0
	};
}

/* the answer to the next question: YES more often than not, and none to what
 * is only told */
static const struct answer *
answer_of(const unsigned char *how, enum smtp_ask ask, size_t number)
{
	const unsigned char c = how[4 + number % (HOW - 4)];

	if (ask == SMTP_INPUT || ask == SMTP_FLUSH || ask == SMTP_STORE ||
	    ask == SMTP_NOTE || ask == SMTP_FORGET || ask == SMTP_PAUSE ||
	    c < 160)
		return &answers[A_YES];
	return &answers[c % ANSWERS];
}

/* how much of what is left comes at once: nothing, in a silence */
static size_t
piece(const unsigned char *how, unsigned way, struct slice in, size_t number)
{
	const size_t n = 1 + how[4 + number % (HOW - 4)] % 16;
	const char *silence = memchr(in.p, SILENCE, in.n);
	const size_t left = silence == NULL ? in.n : (size_t)(silence - in.p);

	return way == 0 || left == 0 ? left : way == 1 || left < n ? 1 : n;
}

/* what the client sends, as it was meant */
static struct slice
expanded(const unsigned char *p, size_t n)
{
	static char buf[MOST / 2];
	size_t to = 0, times;
	bool many;

	for (size_t i = 0; i < n; i++) {
		many = p[i] == MANY && i + 1 < n;
		times = many ? p[++i] * (size_t)TIMES : 1;
		if (times > sizeof(buf) - to)
			times = sizeof(buf) - to;
		memset(buf + to, many ? 'x' : p[i], times);
		to += times;
	}
	return (struct slice){ buf, to };
}

static void
run(struct run *r, const unsigned char *how, struct slice in, unsigned way)
{
	static char room[ROOM], out[2 * SMTP_OUT_MIN];
	static struct smtp_session s;
	static struct smtp_host h;
	struct watch w = { .asked = SMTP_NOTHING };
	const struct answer *a = &answers[A_YES];
	enum smtp_ask ask = SMTP_NOTHING;
	enum smtp_reply reply = SMTP_YES;
	struct slice said;
	size_t pieces = 0, questions = 0, fed, sent;

	memset(&s, 0, sizeof(s));
	memset(r, 0, sizeof(*r));
	h = (struct smtp_host){ .out = SMTP_TEXT(out), .id = smtp_slice("ID") };
	for (size_t calls = 0; ask != SMTP_CLOSE; calls++) {
		MUST(calls < CALLS);
		h.terms = terms_of(how, s.tls ||
		    (ask == SMTP_HANDSHAKE && reply == SMTP_YES));
		/* one way, what is written stays until it must go */
		if (way != 2 || ask == SMTP_INPUT || ask == SMTP_FLUSH ||
		    ask == SMTP_PAUSE || ask == SMTP_HANDSHAKE)
			h.out.n = 0;
		sent = h.out.n;
		ask = smtp_next(&s, &h, reply);
		said = (struct slice){ out + sent, h.out.n - sent };
		MUST(watch_call(&w, &s, &h, a, ask, said, NULL, NULL, NULL) ==
		    MUST_FORM);
		MUST(!h.out.cut);
		keep(r->out, &r->out_n, said);
		run_asked(r, &h, ask);
		a = answer_of(how, ask, questions);
		questions += ask != SMTP_INPUT && ask != SMTP_FLUSH &&
		    ask != SMTP_STORE;
		if (ask == SMTP_OUTCOME)
			h.address = smtp_slice("rcpt@s.example");
		/* a handshake comes when all that was in clear is known */
		if (ask == SMTP_HANDSHAKE)
			in.n = 0;
		if (ask == SMTP_INPUT && h.in.n == 0) {
			fed = in.n == 0 ? 0 : piece(how, way, in, pieces++);
			h.in = (struct slice){ in.p, fed };
			in.p += fed;
			in.n -= fed;
			if (fed == 0 && in.n == 0)
				a = &answers[A_GONE];
			else if (fed == 0) {
				a = &answers[A_LATE];
				in.p++;
				in.n--;
			}
		}
		reply = give(&s, &h, ask, a, room);
	}
	r->end = (enum smtp_end)s.end;
}

static bool
same(const struct run *a, const struct run *b)
{
	return a->out_n == b->out_n && a->stored_n == b->stored_n &&
	    a->asked_n == b->asked_n && a->end == b->end &&
	    memcmp(a->out, b->out, a->out_n) == 0 &&
	    memcmp(a->stored, b->stored, a->stored_n) == 0 &&
	    memcmp(a->asked, b->asked, a->asked_n) == 0;
}

int
LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
	static struct run whole, octets, cut;
	struct slice in;

	if (n < HOW)
		return 0;
	in = expanded(p + HOW, n - HOW);
	run(&whole, p, in, 0);
	run(&octets, p, in, 1);
	run(&cut, p, in, 2);
	MUST(same(&whole, &octets));
	MUST(same(&whole, &cut));
	return 0;
}
