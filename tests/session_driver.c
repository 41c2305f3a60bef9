/*
 * session_driver - hold dialogues with the session: see session.dialogues.
 *
 *	session_driver FILE	each dialogue, whole and cut at every octet
 *
 * A dialogue begins with "# what it shows", and each of its lines says one
 * thing:
 *
 *	terms WORD...		lmtp, tls, auth, ..., or errors=2, size=9; long:
 *				the ID and own words are
 *	answer ASK WORD...	the answers to this question, first to last; the
 *				last one goes on (YES, if none is told)
 *	C: text			what the client sends, with CRLF behind it; \n,
 *				\r, \0 and \\ are octets, \c: nothing follows
 *	S: text			a reply line begins so, the next one not yet seen
 *	N: told | said		a NOTE begins so, in the same way
 *	M: text			the stored octets, in all
 *	end WORD		why it was closed (smtp_end_word)
 *
 * All that the client sends is sent at once, then cut in two at each octet,
 * then octet by octet; each way once with room for all replies, and once for
 * one at a time.  No reply line may be left over or too long, and at the end
 * no line may be left in the session.  What does not come out so is printed,
 * and the exit status is 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp_parse.h"

enum { LINE = 4096, LINES = 400, MOST = 1 << 16, ROOM = 4096, REPLIES = 4096,
    REPLY = 1280 };

struct dialogue {
	char		 name[LINE];
	char		 line[LINES][LINE];	/* as written */
	unsigned	 lines;
	char		 in[MOST];
	size_t		 in_n;
	struct slice	 id, words;
};

struct came {			/* of it */
	char		 out[MOST];
	char		 notes[MOST];		/* one a line */
	char		 stored[MOST];
	size_t		 out_n, notes_n, stored_n;
	const char	*end;
	bool		 kept;		/* something of a line */
};

static const char *const asks[] = { "NOTHING", "INPUT", "FLUSH", "PAUSE",
    "NOTE", "CONNECT", "HELO", "SENDER", "RCPT", "VRFY", "ETRN", "BEGIN",
    "STORE", "FINISH", "OUTCOME", "FORGET", "PASSWORD", "STARTTLS",
    "HANDSHAKE", "XCLIENT", "CLOSE" };

static const char *const replies[] = { "FAULT", "YES", "LATE", "GONE", "EACH",
    "OWN", "DELIVERED", "DRY", "SHUTDOWN", "TIMEOUT", "NO_LINKS",
    "MISCONFIGURED", "CANT_CREATE", "QUOTA", "NO_ROOM", "CROWDED",
    "UNAVAILABLE", "WRONG", "BAD_ADDRESS", "NO_USER", "NO_HOST", "NOT_OURS",
    "DENIED", "UNFIT", "REJECTED", "LOOP", "BAD_DATA" };

_Noreturn static void
die(const char *why, const char *what)
{
	fprintf(stderr, "session_driver: %s: %s\n", why, what);
	exit(2);
}

static void
add(char *to, size_t *n, struct slice s)
{
	if (s.n >= MOST - *n)
		die("too much", "of one dialogue");
	memcpy(to + *n, s.p, s.n);
	*n += s.n;
	to[*n] = '\0';
}

/* what "C: " or "M: " has, its escapes undone */
static void
add_text(char *to, size_t *n, const char *text, const char *end)
{
	char c;

	for (; *text != '\0'; text++) {
		c = *text;
		if (c == '\\') {
			text++;
			if (*text == 'c')
				return;
			c = *text == 'n' ? '\n' : *text == 'r' ? '\r' :
			    *text == '0' ? '\0' : *text;
		}
		add(to, n, (struct slice){ &c, 1 });
	}
	add(to, n, smtp_slice(end));
}

static void
term(struct dialogue *d, struct smtp_terms *t, const char *word)
{
	static char text[700];
	const char *number = strchr(word, '=');
	const uint64_t v = number == NULL ? 0 : strtoull(number + 1, NULL, 10);
	const struct { const char *name; bool *flag; } flags[] = {
		{ "lmtp", &t->lmtp }, { "by_hand", &t->by_hand },
		{ "terminal", &t->terminal }, { "normalize", &t->normalize },
		{ "tls", &t->tls }, { "auth", &t->auth },
		{ "auth_now", &t->auth_now }, { "xclient", &t->xclient },
		{ "encrypted", &t->encrypted }, { "needs_tls", &t->needs_tls },
		{ "needs_login", &t->needs_login }, { "verbose", &t->verbose },
		{ "strict", &t->strict }
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strcmp(word, flags[i].name) == 0) {
			*flags[i].flag = true;
			return;
		}
	if (strcmp(word, "long") == 0) {
		memset(text, 'x', sizeof(text));
		d->id = d->words = (struct slice){ text, sizeof(text) };
	} else if (strncmp(word, "size=", 5) == 0)
		t->size = v;
	else if (strncmp(word, "recipients=", 11) == 0)
		t->recipients = v;
	else if (strncmp(word, "errors=", 7) == 0)
		t->errors = v;
	else if (strncmp(word, "junk=", 5) == 0)
		t->junk = (unsigned)v;
	else
		die("no such term", word);
}

static struct smtp_terms
terms_of(struct dialogue *d)
{
	struct smtp_terms t = { .hostname = smtp_slice("s.example"),
	    .recipients = 100, .errors = 20 };
	char line[LINE];

	for (unsigned i = 0; i < d->lines; i++) {
		if (strncmp(d->line[i], "terms ", 6) != 0)
			continue;
		strncpy(line, d->line[i] + 6, LINE);
		for (char *w = strtok(line, " "); w != NULL;
		    w = strtok(NULL, " "))
			term(d, &t, w);
	}
	return t;
}

/* the answer to a question that is asked for the number-th time; own words
 * are written "450:4.7.1" */
static enum smtp_reply
answer_of(const struct dialogue *d, struct smtp_session *s, enum smtp_ask ask,
    unsigned number)
{
	char line[LINE], *w, *last = NULL;

	for (unsigned i = 0; i < d->lines; i++) {
		if (strncmp(d->line[i], "answer ", 7) != 0)
			continue;
		strncpy(line, d->line[i] + 7, LINE);
		w = strtok(line, " ");
		if (w == NULL || strcmp(w, asks[ask]) != 0)
			continue;
		while ((w = strtok(NULL, " ")) != NULL) {
			last = w;
			if (number-- == 0)
				break;
		}
		break;
	}
	if (last == NULL)
		return SMTP_YES;
	if (last[3] == ':')
		return smtp_own(s, (struct slice){ last, 3 },
		    smtp_slice(last + 4), d->words);
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
		if (strcmp(last, replies[i]) == 0)
			return (enum smtp_reply)i;
	die("no such answer", last);
}

/* Where it is cut: octets to begin with, and then so many at once; and so many
 * octets of replies have room. */
static void
hold(struct dialogue *d, size_t cut, size_t then, size_t size,
    struct came *came)
{
	static char out[REPLIES], room[ROOM];
	static struct smtp_session s;
	static struct smtp_host h;
	unsigned asked[SMTP_CLOSE + 1] = { 0 };
	struct slice in = { d->in, d->in_n };
	enum smtp_reply answer = SMTP_YES;
	enum smtp_ask ask;
	size_t n;

	memset(&s, 0, sizeof(s));
	memset(came, 0, sizeof(*came));
	d->id = smtp_slice("ID");
	d->words = smtp_slice("Words");
	h = (struct smtp_host){ .out = { .p = out, .size = size },
	    .terms = terms_of(d) };
	h.id = d->id;
	do {
		h.out.n = 0;
		ask = smtp_next(&s, &h, answer);
		add(came->out, &came->out_n, smtp_written(&h.out));
		if (ask == SMTP_STORE)
			add(came->stored, &came->stored_n, h.stored);
		if (ask == SMTP_NOTE) {
			add(came->notes, &came->notes_n, h.told);
			add(came->notes, &came->notes_n, smtp_slice(" | "));
			add(came->notes, &came->notes_n, h.said);
			add(came->notes, &came->notes_n, smtp_slice("\r\n"));
		}
		answer = answer_of(d, &s, ask, asked[ask]++);
		if (ask == SMTP_BEGIN || ask == SMTP_STORE)
			h.room = (struct smtp_room){ room, ROOM };
		if (ask == SMTP_OUTCOME)
			h.address = smtp_slice(h.rcpt == 0 ? "u" : "v");
		if (ask == SMTP_HANDSHAKE) {
			h.terms.tls = false;
			h.terms.encrypted = h.terms.auth_now = true;
			in.n = 0;
		}
		if (ask == SMTP_INPUT && h.in.n == 0) {
			n = cut > 0 ? cut : then;
			cut = 0;
			h.in = (struct slice){ in.p, n < in.n ? n : in.n };
			in.p += h.in.n;
			in.n -= h.in.n;
			answer = h.in.n > 0 ? SMTP_YES : SMTP_GONE;
		}
	} while (ask != SMTP_CLOSE);
	came->end = smtp_end_word((enum smtp_end)s.end);
	for (n = 0; n < sizeof(s.line) && s.line[n] == '\0'; n++)
		continue;
	came->kept = n < sizeof(s.line);
}

/* the next line of what came, if it begins so */
static bool
next_is(char **at, const char *begins)
{
	char *end = strstr(*at, "\r\n");

	if (end == NULL || end - *at > 510 ||
	    strncmp(*at, begins, strlen(begins)) != 0)
		return false;
	*at = end + 2;
	return true;
}

/* Did it come out as it is written?  Says what did not. */
static bool
as_written(const struct dialogue *d, struct came *came, const char *how)
{
	char *out = came->out, *notes = came->notes, stored[MOST];
	const char *line;
	size_t stored_n = 0;
	bool is = true, notes_told = false, stored_told = false;

	for (unsigned i = 0; i < d->lines && is; i++) {
		line = d->line[i];
		if (strncmp(line, "S: ", 3) == 0)
			is = next_is(&out, line + 3);
		else if (strncmp(line, "N: ", 3) == 0) {
			notes_told = true;
			is = next_is(&notes, line + 3);
		} else if (strncmp(line, "M: ", 3) == 0) {
			stored_told = true;
			add_text(stored, &stored_n, line + 3, "\n");
		} else if (strncmp(line, "end ", 4) == 0)
			is = strcmp(came->end, line + 4) == 0;
		if (!is)
			printf("%s, %s: not so: %s\ncame:\n%s%send %s\n",
			    d->name, how, line, out, notes, came->end);
	}
	if (is && (*out != '\0' || (notes_told && *notes != '\0'))) {
		printf("%s, %s: left over:\n%s%s", d->name, how, out, notes);
		return false;
	}
	if (is && stored_told && (stored_n != came->stored_n ||
	    memcmp(stored, came->stored, stored_n) != 0)) {
		printf("%s, %s: stored:\n%s\n", d->name, how, came->stored);
		return false;
	}
	if (is && came->kept)
		printf("%s, %s: a line is left in the session\n", d->name,
		    how);
	return is && !came->kept;
}

/* 0 if it came out so, however it is cut */
static int
check(struct dialogue *d, unsigned *held)
{
	static struct came came;
	char how[64];
	size_t size;

	for (unsigned i = 0; i < d->lines; i++)
		if (strncmp(d->line[i], "C: ", 3) == 0)
			add_text(d->in, &d->in_n, d->line[i] + 3, "\r\n");
	for (size_t i = 0; i < 2 * (d->in_n + 1); i++) {
		const size_t cut = i / 2;

		size = i % 2 == 0 ? REPLIES : REPLY;
		/* 0 is whole, the last one octet by octet */
		hold(d, cut < d->in_n ? cut : 1, cut < d->in_n || cut == 0 ?
		    d->in_n + 1 : 1, size, &came);
		(void)snprintf(how, sizeof(how), "cut at %zu, %zu octets of "
		    "replies", cut, size);
		if (!as_written(d, &came, how))
			return 1;
		++*held;
	}
	return 0;
}

int
main(int argc, char *argv[])
{
	static struct dialogue d;
	char line[LINE];
	unsigned held = 0, dialogues = 0;
	int failed = 0;
	FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;

	if (f == NULL)
		die("cannot read", argc == 2 ? argv[1] : "nothing");
	for (bool more = true; more;) {
		more = fgets(line, sizeof(line), f) != NULL;
		if (!more || line[0] == '#') {
			if (d.lines > 0) {
				failed |= check(&d, &held);
				dialogues++;
			}
			memset(&d, 0, sizeof(d));
		}
		line[strcspn(line, "\n")] = '\0';
		if (more && line[0] == '#')
			memcpy(d.name, line, LINE);
		else if (more && line[0] != '\0' && d.lines < LINES)
			memcpy(d.line[d.lines++], line, LINE);
	}
	printf("%u dialogues, held %u times\n", dialogues, held);
	return failed;
}
