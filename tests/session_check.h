/*
 * session_check - what must hold of a session, whatever it is fed and answered.
 *
 * A watch stands beside a session and sees what its host sees: each question,
 * each answer, each reply.  It knows nothing of how the machine works; it
 * keeps what it must remember in a flat struct, so that it can be part of a
 * state.  tests/prove.c and tests/session_fuzz.c both have one.
 */
#ifndef SESSION_CHECK_H
#define SESSION_CHECK_H

#include <string.h>

#include "smtp_parse.h"

enum must {
	MUST_FORM,		/* nothing is broken: 0 is free for that */
	MUST_LINE,
	MUST_ENHANCED,
	MUST_OUT,
	MUST_FIT,
	MUST_GOOD,
	MUST_BEGIN,
	MUST_STORE,
	MUST_FINISH,
	MUST_OUTCOME,
	MUST_EACH,
	MUST_FORGET,
	MUST_SAID,
	MUST_421,
	MUST_ASK,
	MUST_SECRET,
	/* these are prove's own */
	MUST_ONE,
	MUST_UNASKED,
	MUST_REPLY,
	MUST_STATE,
	MUST_ERRORS,
	MUST_GONE,
	MUST_BYE,
	MUST_ANEW,
	MUST_BOUND,
	MUSTS
};

static const char *const must_text[MUSTS] = {
	[MUST_FORM] = "",
	[MUST_LINE] = "a reply is lines of printable text, of one code",
	[MUST_ENHANCED] = "a reply has one enhanced code, of its class",
	[MUST_OUT] = "nothing that a client said is in a reply",
	[MUST_FIT] = "an answer has the codes its question gives it",
	[MUST_GOOD] = "no 2xx to a message without a good answer",
	[MUST_BEGIN] = "no BEGIN without an accepted recipient, or twice",
	[MUST_STORE] = "nothing in STORE before BEGIN, after a failure, over SIZE",
	[MUST_FINISH] = "FINISH is asked once, of what has not failed",
	[MUST_OUTCOME] = "OUTCOME is of an accepted recipient, after EACH",
	[MUST_EACH] = "as many LMTP replies as accepted recipients",
	[MUST_FORGET] = "FORGET once for each accepted MAIL",
	[MUST_SAID] = "FORGET is told what came of the message",
	[MUST_421] = "after a 421 only NOTE, FORGET, CLOSE",
	[MUST_ASK] = "a question comes in its order",
	[MUST_SECRET] = "a password is nowhere outside PASSWORD",
	[MUST_ONE] = "a command has a reply, and a message all of its",
	[MUST_UNASKED] = "no reply is unasked, none comes twice",
	[MUST_REPLY] = "the reply is the command's, and the right one",
	[MUST_STATE] = "client and machine agree where they are",
	[MUST_ERRORS] = "no more errors are borne than the terms say",
	[MUST_GONE] = "GONE leads to CLOSE from everywhere",
	[MUST_BYE] = "SHUTDOWN and TIMEOUT lead to 421 and CLOSE",
	[MUST_ANEW] = "after HANDSHAKE all is as at the start",
	[MUST_BOUND] = "without input it comes to an end",
};

/* all that a host can answer, what does not fit or does not exist, too */
struct answer {
	enum smtp_reply	 reply;
	const char	*own;		/* of smtp_own(): codes, or NULL */
	size_t		 room;		/* for BEGIN and STORE */
};

enum { ROOM = 4096, FULL = 1280 };	/* so much of out: one reply */

static const struct answer answers[] = {
	{ SMTP_YES, NULL, ROOM },
	{ SMTP_FAULT, NULL, ROOM },
	{ SMTP_GONE, NULL, ROOM },
	{ SMTP_SHUTDOWN, NULL, ROOM },
	{ SMTP_TIMEOUT, NULL, ROOM },
	{ SMTP_OWN, "421 4.7.28", ROOM },
	{ SMTP_LATE, NULL, ROOM },
	{ SMTP_EACH, NULL, ROOM },
	{ SMTP_DELIVERED, NULL, ROOM },
	{ SMTP_DRY, NULL, ROOM },
	{ SMTP_NO_LINKS, NULL, ROOM },
	{ SMTP_MISCONFIGURED, NULL, ROOM },
	{ SMTP_CANT_CREATE, NULL, ROOM },
	{ SMTP_QUOTA, NULL, ROOM },
	{ SMTP_NO_ROOM, NULL, ROOM },
	{ SMTP_CROWDED, NULL, ROOM },
	{ SMTP_UNAVAILABLE, NULL, ROOM },
	{ SMTP_WRONG, NULL, ROOM },
	{ SMTP_BAD_ADDRESS, NULL, ROOM },
	{ SMTP_NO_USER, NULL, ROOM },
	{ SMTP_NO_HOST, NULL, ROOM },
	{ SMTP_NOT_OURS, NULL, ROOM },
	{ SMTP_DENIED, NULL, ROOM },
	{ SMTP_UNFIT, NULL, ROOM },
	{ SMTP_REJECTED, NULL, ROOM },
	{ SMTP_LOOP, NULL, ROOM },
	{ SMTP_BAD_DATA, NULL, ROOM },
	{ SMTP_OWN, "250 2.6.0", ROOM },
	{ SMTP_OWN, "450 4.7.21", ROOM },
	{ SMTP_OWN, "550 5.7.123", ROOM },
	{ SMTP_OWN, "350 3.0.0", ROOM },	/* smtp_own() takes none such */
	{ SMTP_OWN, NULL, ROOM },		/* and it was not told any */
	{ SMTP_ANSWERS, NULL, ROOM },
	{ (enum smtp_reply)255, NULL, ROOM },
	{ SMTP_YES, NULL, 1 },
	{ SMTP_YES, NULL, 0 },
};

enum {
	ANSWERS = sizeof(answers) / sizeof(answers[0]),
	A_YES = 0, A_FAULT, A_GONE, A_SHUTDOWN, A_TIMEOUT, A_OWN_421, A_LATE
};

struct watch {			/* all zero, to begin */
	unsigned char	 asked;		/* enum smtp_ask */
	bool		 forget;	/* an accepted MAIL is not forgotten */
	bool		 begun;
	bool		 failed;
	bool		 finish;	/* it was asked */
	bool		 each;		/* and answered so */
	bool		 over;		/* a 421 was said */
	bool		 bye;		/* and asked for, by an answer */
	unsigned char	 plain;		/* the question whose reply has no
					 * enhanced code */
	bool		 more;		/* in a reply of several lines */
	bool		 good;		/* an answer, of FINISH or OUTCOME */
	bool		 outcome;	/* a reply to it comes */
	unsigned char	 fits;		/* answer + 1, of ... */
	unsigned char	 fits_ask;	/* ... which question; see MUST_FIT */
	unsigned short	 rcpts;		/* accepted */
	unsigned short	 ends;		/* good replies to a message so far */
	unsigned short	 all_good;	/* outcomes that were */
	char		 codes[12];	/* of the reply that goes on */
};

static uint64_t must_held[MUSTS];

/* where the first thing that broke is kept */
static enum must
must(enum must broken, enum must what, bool holds)
{
	must_held[what]++;
	return broken == MUST_FORM && !holds ? what : broken;
}

static bool
begins(struct slice s, const char *with)
{
	return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

/* the codes an answer stands for, as smtp_parse.h has them; "" is any */
static const char *
answer_codes(enum smtp_ask ask, const struct answer *a)
{
	const bool sender = ask == SMTP_SENDER;
	const bool outcome = ask == SMTP_FINISH || ask == SMTP_OUTCOME;
	const bool takes_words = ask != SMTP_INPUT && ask != SMTP_FLUSH &&
	    ask != SMTP_PAUSE && ask != SMTP_NOTE && ask != SMTP_FORGET &&
	    ask != SMTP_HANDSHAKE && ask != SMTP_CLOSE;
	const bool yes = a->reply == SMTP_YES && (a->room > 1 ||
	    (ask != SMTP_BEGIN && ask != SMTP_STORE));

	if (a->reply == SMTP_SHUTDOWN)
		return "421 4.3.2";
	if (a->reply == SMTP_TIMEOUT)
		return "421 4.4.2";
	if (takes_words && a->own != NULL && strncmp(a->own, "421", 3) == 0)
		return a->own;
	if (ask == SMTP_STARTTLS)
		return yes ? "220 2.0.0" : "454 4.7.0";
	if (yes)
		return ask == SMTP_HELO ? "250" : ask == SMTP_CONNECT ? "220" :
		    ask == SMTP_ETRN ? "502 5.5.1" :
		    sender ? "250 2.1.0" : ask == SMTP_RCPT ? "250 2.1.5" :
		    ask == SMTP_VRFY ? "252 2.0.0" : ask == SMTP_BEGIN ?
		    "354" : ask == SMTP_PASSWORD ? "235 2.7.0" :
		    ask == SMTP_XCLIENT ? "220" : outcome ? "250 2.0.0" :
		    "";
	if (takes_words && a->own != NULL &&
	    strchr(outcome ? "245" : "45", a->own[0]) != NULL)
		return a->own;
	switch (a->reply) {
	case SMTP_DELIVERED:
	case SMTP_DRY:
		return outcome ? "250 2.0.0" : "451 4.3.0";
	case SMTP_MISCONFIGURED:
		return "451 4.3.5";
	case SMTP_CANT_CREATE:
		return "452 4.2.0";
	case SMTP_QUOTA:
		return "452 4.2.2";
	case SMTP_NO_ROOM:
		return "452 4.3.1";
	case SMTP_CROWDED:
		return "452 4.5.3";
	case SMTP_UNAVAILABLE:
		return ask == SMTP_PASSWORD ? "454 4.7.0" : "451 4.3.0";
	case SMTP_WRONG:
		return ask == SMTP_PASSWORD ? "535 5.7.8" : "451 4.3.0";
	case SMTP_BAD_ADDRESS:
		return sender ? "501 5.1.7" : "501 5.1.3";
	case SMTP_NO_USER:
		return "550 5.1.1";
	case SMTP_NO_HOST:
		return "550 5.1.2";
	case SMTP_NOT_OURS:
	case SMTP_DENIED:
		return "550 5.7.1";
	case SMTP_UNFIT:
		return sender ? "553 5.1.7" : "553 5.1.3";
	case SMTP_REJECTED:
		return "554 5.3.0";
	case SMTP_LOOP:
		return "554 5.4.6";
	case SMTP_BAD_DATA:
		return "554 5.6.0";
	default:
		return "451 4.3.0";
	}
}

/* would this answer to FINISH or OUTCOME be a delivery? */
static bool
is_good(enum smtp_ask ask, const struct answer *a)
{
	return answer_codes(ask, a)[0] == '2';
}

static size_t
scan_digits(struct slice s, size_t at)
{
	size_t n = 0;

	while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
		n++;
	return n;
}

/* the length of an enhanced code at the head of a reply's words */
static size_t
enhanced_at(struct slice s, size_t at)
{
	size_t n = 0, digits;

	for (int part = 0; part < 3; part++) {
		digits = scan_digits(s, at + n);
		if (digits == 0 || digits > 3)
			return 0;
		n += digits;
		if (part < 2 && (at + n >= s.n || s.p[at + n++] != '.'))
			return 0;
	}
	return at + n == s.n || s.p[at + n] == ' ' ? n : 0;
}

/* One line of a reply; it is whole if w->more is false behind it. */
static enum must
watch_line(struct watch *w, struct slice line, const char *client)
{
	enum must broken = MUST_FORM;
	const bool first = !w->more;
	size_t enhanced;
	char codes[sizeof(w->codes)] = "";

	if (line.n < 4 || line.n > 510 || scan_digits(line, 0) != 3 ||
	    (line.p[3] != ' ' && line.p[3] != '-'))
		return must(broken, MUST_LINE, false);
	for (size_t i = 0; i < line.n; i++)
		broken = must(broken, MUST_LINE, line.p[i] >= ' ' &&
		    line.p[i] <= '~');
	enhanced = enhanced_at(line, 4);
	if (enhanced > 0)
		broken = must(broken, MUST_ENHANCED, line.p[4] == line.p[0] &&
		    (w->plain == SMTP_NOTHING || (w->plain == SMTP_HELO &&
		    begins(line, "421"))) && (line.n == 4 + enhanced ||
		    enhanced_at(line, 5 + enhanced) == 0));
	else
		broken = must(broken, MUST_ENHANCED, line.p[0] == '3' ||
		    w->plain != SMTP_NOTHING ||
		    begins(line, "503 No mail") ||
		    begins(line, "220") || begins(line, "250") ||
		    begins(line, "500") || begins(line, "501"));
	for (size_t i = 0; i < 3 + (enhanced > 0 ? 1 + enhanced : 0); i++)
		codes[i] = line.p[i] == '-' ? ' ' : line.p[i];
	broken = must(broken, MUST_LINE, first || memcmp(codes, w->codes,
	    sizeof(codes)) == 0);
	if (client != NULL)
		broken = must(broken, MUST_OUT, memmem(line.p, line.n, client,
		    strlen(client)) == NULL);
	memcpy(w->codes, codes, sizeof(codes));
	w->more = line.p[3] == '-';
	return broken;
}

/* A reply is whole: does it say what was answered? */
static enum must
watch_reply(struct watch *w, bool lmtp)
{
	const struct slice codes = smtp_slice(w->codes);
	const bool is_421 = begins(codes, "421");
	const enum smtp_ask ask = (enum smtp_ask)w->fits_ask;
	const struct answer *a = w->fits > 0 ? &answers[w->fits - 1] : NULL;
	char fits[16] = "";
	enum must broken = must(MUST_FORM, MUST_421, !w->over);

	if (a != NULL && !begins(codes, "353")) {
		strncpy(fits, answer_codes(ask, a), w->plain !=
		    SMTP_NOTHING ? 3 : sizeof(fits) - 1);
		broken = must(broken, MUST_FIT, is_421 || begins(codes, fits));
		w->fits = w->fits_ask = 0;
	}
	if (w->finish && codes.p[0] == '2') {
		broken = must(broken, MUST_GOOD, w->good);
		w->ends++;
		if (w->each && lmtp)
			broken = must(broken, MUST_GOOD,
			    w->ends <= w->all_good);
	}
	w->over |= is_421;
	w->plain = SMTP_NOTHING;
	return broken;
}

/* what an answer changes */
static enum must
watch_answer(struct watch *w, const struct answer *a)
{
	const enum smtp_ask ask = (enum smtp_ask)w->asked;
	enum must broken = MUST_FORM;
	const bool is_yes = a->reply == SMTP_YES;

	w->bye |= a->reply == SMTP_GONE ||
	    ((ask == SMTP_INPUT || ask == SMTP_FLUSH ||
	    ask == SMTP_HANDSHAKE) && !is_yes) ||
	    strncmp(answer_codes(ask, a), "421", 3) == 0;
	switch (ask) {
	case SMTP_SENDER:
		w->forget |= is_yes;
		if (is_yes)
			w->rcpts = 0;
		break;
	case SMTP_RCPT:
		w->rcpts = (unsigned short)(w->rcpts + is_yes);
		break;
	case SMTP_BEGIN:
	case SMTP_STORE:
		w->begun |= ask == SMTP_BEGIN;
		w->failed |= !is_yes || a->room < 2;
		return broken;
	case SMTP_FINISH:
		w->good |= is_good(ask, a);
		w->each = a->reply == SMTP_EACH;
		if (w->each)
			return broken;
		break;
	case SMTP_OUTCOME:
		w->good |= is_good(ask, a);
		w->all_good = (unsigned short)(w->all_good + is_good(ask, a));
		return broken;
	case SMTP_CONNECT:
	case SMTP_HELO:
	case SMTP_VRFY:
	case SMTP_ETRN:
	case SMTP_STARTTLS:
	case SMTP_XCLIENT:
	case SMTP_PASSWORD:
		break;
	default:
		return broken;
	}
	if (a->reply != SMTP_GONE) {
		w->fits = (unsigned char)(a - answers + 1);
		w->fits_ask = (unsigned char)ask;
	}
	return broken;
}

/* the message is over, and with it the transaction */
static enum must
watch_forget(struct watch *w, const struct smtp_host *h)
{
	enum must broken = must(MUST_FORM, MUST_FORGET, w->forget);
	const bool good = h->said.n > 0 && h->said.p[0] == '2';

	broken = must(broken, MUST_SAID, h->said.n == 0 ||
	    (w->begun && h->said.n > 3));
	broken = must(broken, MUST_GOOD, !good || (w->finish && w->good));
	/* one reply of 2xx was said, unless the host broke off there */
	broken = must(broken, MUST_SAID, good == (w->ends > 0) || w->bye);
	w->forget = w->begun = w->failed = w->finish = w->each = false;
	w->good = false;
	w->ends = w->all_good = w->rcpts = 0;
	return broken;
}

/* a question is asked: is it its time? */
static enum must
watch_ask(struct watch *w, const struct smtp_session *s,
    const struct smtp_host *h, enum smtp_ask next)
{
	enum must broken = must(MUST_FORM, MUST_ASK, next != SMTP_NOTHING &&
	    next <= SMTP_CLOSE && (w->asked != SMTP_CLOSE ||
	    next == SMTP_CLOSE));

	broken = must(broken, MUST_421, !(w->over || w->bye) ||
	    next == SMTP_NOTE || next == SMTP_FORGET || next == SMTP_CLOSE ||
	    (!w->over && (next == SMTP_INPUT || next == SMTP_FLUSH)));
	broken = must(broken, MUST_ASK, next != SMTP_INPUT || h->in.n == 0);
	broken = must(broken, MUST_ASK, next != SMTP_FLUSH || h->out.n > 0);
	if (next == SMTP_CONNECT || next == SMTP_HELO)
		w->plain = (unsigned char)next;
	switch (next) {
	case SMTP_CONNECT:
		return must(broken, MUST_ASK, !w->forget);
	case SMTP_SENDER:
		broken = must(broken, MUST_ASK, !w->forget && (!h->terms.
		    needs_tls || h->terms.encrypted));
		return must(broken, MUST_ASK, !h->terms.needs_login ||
		    s->login_n > 0);
	case SMTP_RCPT:
		return must(broken, MUST_ASK, w->forget && !w->begun &&
		    s->rcpts == w->rcpts && w->rcpts < h->terms.recipients);
	case SMTP_BEGIN:
		return must(broken, MUST_BEGIN, w->forget && w->rcpts > 0 &&
		    !w->begun && s->rcpts == w->rcpts);
	case SMTP_STORE:
		broken = must(broken, MUST_STORE, h->stored.n > 0 &&
		    w->forget && !w->finish);
		return must(broken, MUST_STORE, w->begun && !w->failed);
	case SMTP_FINISH:
		broken = must(broken, MUST_FINISH, w->begun && !w->failed &&
		    !w->finish);
		w->finish = true;
		return broken;
	case SMTP_OUTCOME:
		return must(broken, MUST_OUTCOME, w->each && w->finish &&
		    h->rcpt < w->rcpts);
	case SMTP_PASSWORD:
		broken = must(broken, MUST_ASK, s->login_n == 0 &&
		    h->terms.auth && h->terms.auth_now);
		return must(broken, MUST_ASK, h->user.n > 0);
	case SMTP_STARTTLS:
		return must(broken, MUST_ASK, h->terms.tls && !s->tls);
	case SMTP_HANDSHAKE:
		return must(broken, MUST_ASK, !w->forget && h->in.n == 0);
	case SMTP_XCLIENT:
		return must(broken, MUST_ASK, h->terms.xclient && !w->forget);
	case SMTP_FORGET:
		return must(broken, MUST_FORGET, w->forget);
	case SMTP_CLOSE:
		broken = must(broken, MUST_FORGET, !w->forget);
		return must(broken, MUST_ASK, s->end != SMTP_END_NONE);
	default:
		return broken;
	}
}

/*
 * One call of smtp_next() was made: what was answered, what was written, and
 * what is asked now.  each_reply, if it is not NULL, is called for each whole
 * reply.  Returns what was broken, MUST_FORM for nothing.
 */
static enum must
watch_call(struct watch *w, const struct smtp_session *s,
    const struct smtp_host *h, const struct answer *a, enum smtp_ask next,
    struct slice out, const char *client,
    enum must (*each_reply)(void *, const struct watch *), void *arg)
{
	enum must broken = MUST_FORM, more;
	const char *end;
	size_t n;

	if (w->asked != SMTP_NOTHING && w->asked != SMTP_CLOSE)
		broken = watch_answer(w, a);
	while (out.n > 0 && broken == MUST_FORM) {
		end = memmem(out.p, out.n, "\r\n", 2);
		if (end == NULL)
			return must(broken, MUST_LINE, false);
		n = (size_t)(end - out.p);
		broken = watch_line(w, (struct slice){ out.p, n }, client);
		out.p += n + 2;
		out.n -= n + 2;
		if (w->more || broken != MUST_FORM)
			continue;
		broken = watch_reply(w, h->terms.lmtp);
		more = each_reply == NULL ? MUST_FORM : each_reply(arg, w);
		broken = broken == MUST_FORM ? more : broken;
	}
	if (broken == MUST_FORM)
		broken = watch_ask(w, s, h, next);
	if (broken == MUST_FORM && next == SMTP_FORGET)
		broken = watch_forget(w, h);
	/* GONE may be the end of a line only */
	w->bye &= s->at == SMTP_AT_END;
	w->asked = (unsigned char)next;
	return broken;
}

/* Answer: have the host's words said, and set the room of BEGIN and STORE. */
static enum smtp_reply
give(struct smtp_session *s, struct smtp_host *h, enum smtp_ask asked,
    const struct answer *a, char room[ROOM])
{
	const char *enhanced;

	if (asked == SMTP_BEGIN || asked == SMTP_STORE)
		h->room = (struct smtp_room){ a->room > 0 ? room : NULL,
		    a->room };
	if (a->own == NULL)
		return a->reply;
	enhanced = strchr(a->own, ' ') + 1;
	return smtp_own(s, (struct slice){ a->own, 3 }, smtp_slice(enhanced),
	    smtp_slice("Words"));
}

#endif
