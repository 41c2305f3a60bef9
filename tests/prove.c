/*
 * prove - enumerate the session of smtp_parse.c: make prove.
 *
 *	prove [NAME...]		these sets of terms; all, if none is named
 *
 * Every state that can be reached is: at INPUT every line and every piece of a
 * message is fed, and at every question every answer is given, what does not
 * fit it or does not exist, too.  The session has no pointer and may be copied,
 * so that a state is its octets, with those of a watch (session_check.h) and of
 * a client, who knows what he has said and which reply he is owed.  What both
 * say must hold is looked at in each step.  If it does not, the shortest
 * dialogue that shows it is printed, and the exit status is 1.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "session_check.h"

/* ---- what a client says ----------------------------------------------- */

#define CLIENT "Zq9"		/* is in all that he says, and in no reply */

enum verb {
	V_NONE, V_HELO, V_EHLO, V_LHLO, V_MAIL, V_RCPT, V_DATA, V_BDAT, V_RSET,
	V_NOOP, V_QUIT, V_VRFY, V_HELP, V_EXPN, V_ETRN, V_STARTTLS, V_PLAIN,
	V_LOGIN, V_AUTH, V_XCLIENT, V_GUESS, V_BAD, V_LONG_AUTH, V_EMPTY,
	V_BAD_BDAT, V_PARTIAL, V_FOREIGN, V_PIECE, V_RESPONSE
};

enum {				/* of a row */
	ARITY = 1 << 0,		/* its code comes before any other */
	UTF8 = 1 << 1,
	NEEDS_UTF8 = 1 << 2,
	PRDR = 1 << 3,
	BIG = 1 << 4,		/* SIZE is over the limit */
	BARE = 1 << 5,		/* where CRLF ends a line and nothing else */
	LAST = 1 << 6,
	LOGIN = 1 << 7,
	HELO = 1 << 8,
	SECRET = 1 << 9,
	AT_BOL = 1 << 10,	/* a piece that ends a line */
	DOT = 1 << 11,
	OTHER = 1 << 12,	/* who asks to act as someone else */
	OCTETS = 1 << 13,	/* it holds line ends that are none */
	DSN = 1 << 15,
	MORE = 1 << 16,		/* not for all sets of terms */
	REST = 1 << 14		/* it goes on with a line */
};

enum { SIZE = 3, LONG_LINE = SMTP_LINE_MAX + 9, LONG_AUTH = SMTP_AUTH_MAX + 9 };

static char long_line[LONG_LINE + 1], long_auth[LONG_AUTH + 1];
static char long_helo[300];

static struct row {
	const char	*text;
	unsigned char	 verb;
	const char	*code;		/* of an argument that is wrong */
	unsigned	 flags;
	unsigned char	 left;		/* BDAT's size, or a piece's */
	size_t		 n;
} rows[] = {
	{ "HELO " CLIENT "\r\n", V_HELO, NULL, MORE, 0, 0 },
	{ "HELO\r\n", V_HELO, "501", 0, 0, 0 },
	{ "EHLO " CLIENT "\r\n", V_EHLO, NULL, 0, 0, 0 },
	{ long_helo, V_EHLO, "501", 0, 0, 0 },
	{ "LHLO " CLIENT "\r\n", V_LHLO, NULL, 0, 0, 0 },
	{ "MAIL FROM:<" CLIENT "@a.b>\r\n", V_MAIL, NULL, 0, 0, 0 },
	{ "MAIL FROM:<> SIZE=2 RET=HDRS\r\n", V_MAIL, NULL, MORE | DSN, 0, 0 },
	{ "MAIL FROM:<> SIZE=9\r\n", V_MAIL, "552 5.3.4", BIG, 0, 0 },
	{ "MAIL FROM:<" CLIENT "> SIZE=" CLIENT "\r\n", V_MAIL, "501 5.5.4",
	    0, 0, 0 },
	{ "MAIL FROM:<\303\244" CLIENT "@a.b> SMTPUTF8\r\n", V_MAIL, NULL,
	    UTF8 | MORE, 0, 0 },
	{ "MAIL FROM:<\303\244" CLIENT "@a.b>\r\n", V_MAIL, "550 5.6.7", 0, 0,
	    0 },
	{ "MAIL FROM:<> PRDR\r\n", V_MAIL, NULL, MORE | PRDR, 0, 0 },
	{ "MAIL FROM:<" CLIENT "@\r\n", V_MAIL, "501 5.1.7", 0, 0, 0 },
	{ "MAIL " CLIENT "\r\n", V_MAIL, "501 5.5.4", 0, 0, 0 },
	{ "MAIL FROM:<> " CLIENT "=1\r\n", V_MAIL, "555 5.5.4", MORE, 0, 0 },
	{ "MAIL\r\n", V_MAIL, "501 5.5.4", ARITY, 0, 0 },
	{ "RCPT TO:<" CLIENT "@a.b>\r\n", V_RCPT, NULL, 0, 0, 0 },
	{ "RCPT TO:<" CLIENT "@a.b> NOTIFY=NEVER\r\n", V_RCPT, NULL, MORE | DSN, 0, 0 },
	{ "RCPT TO:<\303\244" CLIENT "@a.b>\r\n", V_RCPT, "553 5.6.7",
	    NEEDS_UTF8, 0, 0 },
	{ "RCPT TO:<>\r\n", V_RCPT, "501 5.1.3", 0, 0, 0 },
	{ "RCPT FROM:<" CLIENT ">\r\n", V_RCPT, "501 5.5.4", 0, 0, 0 },
	{ "RCPT TO:<u@a.b> " CLIENT "=1\r\n", V_RCPT, "555 5.5.4", MORE, 0, 0 },
	{ "RCPT\r\n", V_RCPT, "501 5.5.4", ARITY, 0, 0 },
	{ "DATA\r\n", V_DATA, NULL, 0, 0, 0 },
	{ "DATA " CLIENT "\r\n", V_DATA, "501 5.5.4", ARITY, 0, 0 },
	{ "BDAT 0\r\n", V_BDAT, NULL, 0, 0, 0 },
	{ "BDAT 2\r\n", V_BDAT, NULL, 0, 2, 0 },
	{ "BDAT 0 LAST\r\n", V_BDAT, NULL, LAST, 0, 0 },
	{ "BDAT 2 LAST\r\n", V_BDAT, NULL, LAST, 2, 0 },
	{ "BDAT 4 LAST\r\n", V_BDAT, NULL, MORE | LAST, 4, 0 },
	{ "BDAT " CLIENT "\r\n", V_BAD_BDAT, "501 5.5.4", 0, 0, 0 },
	{ "RSET\r\n", V_RSET, NULL, 0, 0, 0 },
	{ "RSET " CLIENT "\r\n", V_RSET, "501 5.5.4", ARITY, 0, 0 },
	{ "NOOP " CLIENT "\r\n", V_NOOP, NULL, 0, 0, 0 },
	{ "QUIT\r\n", V_QUIT, NULL, 0, 0, 0 },
	{ "QUIT " CLIENT "\r\n", V_QUIT, "501 5.5.4", ARITY, 0, 0 },
	{ "VRFY " CLIENT "@a.b\r\n", V_VRFY, NULL, 0, 0, 0 },
	{ "VRFY <" CLIENT "@\r\n", V_VRFY, "501 5.1.3", MORE, 0, 0 },
	{ "HELP " CLIENT "\r\n", V_HELP, NULL, 0, 0, 0 },
	{ "EXPN " CLIENT "\r\n", V_EXPN, "502 5.5.1", 0, 0, 0 },
	{ "ETRN " CLIENT "\r\n", V_ETRN, NULL, MORE, 0, 0 },
	{ "STARTTLS\r\n", V_STARTTLS, NULL, 0, 0, 0 },
	{ "STARTTLS " CLIENT "\r\n", V_STARTTLS, "501 5.5.4", ARITY, 0, 0 },
	{ "AUTH PLAIN\r\n", V_PLAIN, NULL, 0, 0, 0 },
	{ "AUTH LOGIN\r\n", V_LOGIN, NULL, 0, 0, 0 },
	{ "AUTH PLAIN AHVzZXIAc0VjUmVULTc3\r\n", V_PLAIN, NULL, SECRET, 0, 0 },
	{ "AUTH PLAIN eAB1c2VyAHNFY1JlVC03Nw==\r\n", V_PLAIN, NULL,
	    SECRET | OTHER, 0, 0 },
	{ "AUTH PLAIN " CLIENT "c0VjUmVULTc3\r\n", V_PLAIN, "501 5.5.2",
	    SECRET, 0, 0 },
	{ "AUTH LOGIN dXNlcg==\r\n", V_LOGIN, NULL, LOGIN, 0, 0 },
	{ "AUTH PLAIN =\r\n", V_PLAIN, "501 5.5.2", 0, 0, 0 },
	{ "AUTH " CLIENT " c0VjUmVULTc3\r\n", V_AUTH, "504 5.5.4", SECRET, 0,
	    0 },
	{ "AUTH\r\n", V_AUTH, "501 5.5.4", 0, 0, 0 },
	{ "XCLIENT NAME=" CLIENT "\r\n", V_XCLIENT, NULL, 0, 0, 0 },
	{ "XCLIENT LOGIN=" CLIENT "\r\n", V_XCLIENT, NULL, LOGIN, 0, 0 },
	{ "XCLIENT PROTO=ESMTP HELO=" CLIENT "\r\n", V_XCLIENT, NULL, HELO, 0,
	    0 },
	{ "XCLIENT " CLIENT "\r\n", V_XCLIENT, "501 5.5.4", 0, 0, 0 },
	{ CLIENT "\r\n", V_NONE, "500 5.5.1", 0, 0, 0 },
	{ "NOPO\r\n", V_NONE, "500 5.5.1", 0, 0, 0 },
	{ "?\r\n", V_GUESS, NULL, 0, 0, 0 },
	{ "\r\n", V_EMPTY, "500 5.5.1", 0, 0, 0 },
	{ "NOOP \001" CLIENT "\r\n", V_BAD, "500 5.5.2", 0, 0, 0 },
	{ "NO\nOP\r\n", V_BAD, "500 5.5.2", MORE | BARE, 0, 0 },
	{ long_line, V_BAD, "500 5.5.2", 0, 0, 0 },
	{ long_auth, V_LONG_AUTH, "500 5.5.6", SECRET, 0, 0 },
	{ "NOOP\nRS", V_PARTIAL, "500 5.5.2", MORE | BARE, 0, 0 },
	{ "ET\r\n", V_RSET, NULL, REST, 0, 0 },
	{ "\026\003\001\002", V_FOREIGN, NULL, OCTETS, 0, 0 },
	{ "GET / HTTP/1.0\r\n", V_FOREIGN, NULL, 0, 0, 0 },
	{ "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", V_FOREIGN, NULL, 0, 0, 0 },
	{ "\r\n\r\n\0\r\nQUIT\n", V_FOREIGN, NULL, OCTETS, 0, 12 },
	/* of a message */
	{ "t\r\n", V_PIECE, NULL, AT_BOL, 3, 0 },
	{ "t", V_PIECE, NULL, 0, 1, 0 },
	{ "\r\n", V_PIECE, NULL, AT_BOL, 2, 0 },
	{ ".\r\n", V_PIECE, NULL, AT_BOL | DOT, 3, 0 },
	{ "..\r\n", V_PIECE, NULL, MORE | AT_BOL, 4, 0 },
	{ "\nt", V_PIECE, NULL, MORE | BARE, 2, 0 },
	{ CLIENT "\r\n", V_PIECE, NULL, AT_BOL | BIG, 5, 0 },
	/* of an AUTH exchange; code is of PLAIN's, that of LOGIN's below */
	{ "AHVzZXIAc0VjUmVULTc3\r\n", V_RESPONSE, NULL, SECRET, 0, 0 },
	{ "dXNlcg==\r\n", V_RESPONSE, "501 5.5.2", LOGIN, 0, 0 },
	{ "c0VjUmVULTc3\r\n", V_RESPONSE, "501 5.5.2", LOGIN | SECRET, 0, 0 },
	{ "*\r\n", V_RESPONSE, "501 5.7.0", ARITY, 0, 0 },
	{ "\r\n", V_RESPONSE, "501 5.5.2", 0, 0, 0 },
	{ "c0VjUmVULTc3?\r\n", V_RESPONSE, "501 5.5.2", ARITY | SECRET, 0, 0 },
	{ long_auth, V_RESPONSE, "500 5.5.6", ARITY | SECRET, 0, 0 },
	{ "c0Vj\nUmVULTc3\r\n", V_RESPONSE, "501 5.5.2", ARITY | BARE, 0, 0 },
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void
rows_begin(void)
{
	memset(long_line, 'x', LONG_LINE);
	memcpy(long_line, "MAIL FROM:", 10);
	memset(long_auth, 'x', LONG_AUTH);
	memcpy(long_auth, "AUTH PLAIN c0VjUmVULTc3", 23);
	memset(long_helo, 'x', sizeof(long_helo) - 1);
	memcpy(long_helo, "EHLO ", 5);
	memcpy(long_line + LONG_LINE - 2, "\r\n", 2);
	memcpy(long_auth + LONG_AUTH - 2, "\r\n", 2);
	memcpy(long_helo + sizeof(long_helo) - 3, "\r\n", 2);
	for (int i = 0; i < ROWS; i++)
		if (rows[i].n == 0)
			rows[i].n = strlen(rows[i].text);
}

/* ---- the terms -------------------------------------------------------- */

static const struct set {
	const char	*name;
	bool		 more;		/* all rows are fed */
	bool		 starttls;	/* and what it makes of the terms */
	bool		 full;		/* out has room for one reply */
	struct smtp_terms terms;
} sets[] = {
	{ "plain", true, false, false, { .errors = 1 } },
	{ "junk", false, false, false, { .junk = 2 } },
	{ "lmtp", true, false, false, { .lmtp = true, .errors = 1 } },
	{ "starttls", false, true, false, { .tls = true, .errors = 1 } },
	{ "auth", false, false, false, { .auth = true, .auth_now = true,
	    .errors = 1 } },
	{ "xclient", false, false, false, { .xclient = true, .errors = 1 } },
	{ "all", false, true, false, { .tls = true, .auth = true,
	    .xclient = true } },
	{ "needs_tls", false, true, false, { .tls = true, .needs_tls = true,
	    .auth = true } },
	{ "needs_login", false, false, false, { .needs_login = true,
	    .auth = true, .auth_now = true, .xclient = true } },
	{ "by_hand", true, false, false, { .by_hand = true,
	    .terminal = true } },
	{ "normalize", true, false, false, { .normalize = true } },
	{ "verbose", false, false, false, { .verbose = true, .lmtp = true,
	    .auth = true, .auth_now = true, .junk = 2 } },
	{ "full", true, false, true, { .errors = 1 } },
	{ "full_lmtp", true, false, true, { .lmtp = true, .errors = 1 } },
	{ "full_auth", false, true, true, { .tls = true, .auth = true } },
};

enum { SETS = sizeof(sets) / sizeof(sets[0]) };

static const struct set *set;

/* as they are before, or behind, STARTTLS */
static struct smtp_terms
terms_of(bool tls)
{
	struct smtp_terms t = set->terms;

	t.hostname = smtp_slice("s.example");
	t.size = SIZE;
	t.recipients = 2;
	if (set->starttls) {
		t.tls = !tls;
		t.encrypted = tls;
		t.auth_now = t.auth && tls;
	}
	return t;
}

/* ---- the client ------------------------------------------------------- */

enum mode {
	M_GREETING, M_LINE, M_BODY, M_CHUNK, M_ENDED, M_PLAIN, M_USER,
	M_PASSWORD, M_TLS, M_OVER
};

struct client {			/* all zero, to begin */
	unsigned char	 mode;
	unsigned char	 state;		/* enum smtp_state, as it should be */
	unsigned char	 row;		/* what he said, while in want */
	unsigned char	 want;		/* replies */
	unsigned char	 left;		/* octets of a chunk */
	unsigned char	 errors;	/* as they were when he said it */
	unsigned char	 junk;
	bool		 helo;
	bool		 barred;	/* he did not get on */
	bool		 anew;		/* nor yet, behind XCLIENT */
	bool		 login;
	bool		 tls;
	bool		 utf8;
	bool		 prdr;
	bool		 ours;		/* the chunk */
	bool		 last;
	bool		 bol;
	bool		 bare;
	bool		 big;
	unsigned char	 octets;
	bool		 lf;		/* all his lines end so, if ... */
	bool		 ends_known;	/* ... he has said one */
	bool		 asked;		/* the question that belongs to row */
	bool		 rest;		/* "RS" is in the line already */
	bool		 rest_came;	/* before the line was given up */
	bool		 counted;	/* what is big or bare, after BEGIN */
};

/* how long it is: his line ends may have one octet */
static size_t
row_n(const struct row *r, bool lf)
{
	const bool shorter = lf && r->n > 1 && r->text[r->n - 2] == '\r';

	return r->n - shorter;
}

static const struct row *
row_of(const struct client *c)
{
	return &rows[c->row];
}

static const char *
model_auth(const struct client *c, const struct row *r,
    const struct smtp_terms *t)
{
	if (!t->auth)
		return "502 5.5.1";
	if (!t->auth_now)
		return "538 5.7.11";
	return c->state != SMTP_S_IDLE || c->login ? "503 5.5.1" : r->code;
}

/* the codes a line is owed, "" if it is right: then its question's, or those
 * of its verb */
static const char *
model(const struct client *c, const struct smtp_terms *t)
{
	const struct row *r = row_of(c);
	const char *wrong = r->code == NULL ? "" : r->code;
	const bool all = r->verb == V_MAIL || r->verb == V_RCPT ||
	    r->verb == V_DATA || r->verb == V_VRFY || r->verb == V_EXPN;
	const bool auth = r->verb == V_PLAIN || r->verb == V_LOGIN ||
	    r->verb == V_AUTH;
	const unsigned txn = SMTP_S_MAIL | SMTP_S_TRIED | SMTP_S_RCPT |
	    SMTP_S_BDAT;

	if (c->barred && r->verb != V_QUIT && r->verb != V_XCLIENT &&
	    r->verb != V_NONE && r->verb != V_EMPTY && r->verb != V_BAD &&
	    r->verb != V_BAD_BDAT && r->verb != V_LONG_AUTH &&
	    r->verb != V_PARTIAL && r->verb != V_FOREIGN &&
	    (r->verb != V_GUESS || t->by_hand))
		return r->verb == V_HELO || r->verb == V_EHLO ||
		    r->verb == V_LHLO ? "503" : "503 5.5.1";
	if ((all || auth) && t->needs_tls && !t->encrypted)
		return "530 5.7.0";
	if (all && t->needs_login && !c->login)
		return "530 5.7.0";
	if ((r->flags & ARITY) != 0)
		return wrong;
	switch (r->verb) {
	case V_HELO:
	case V_EHLO:
		return t->lmtp ? "500" : wrong;
	case V_LHLO:
		return t->lmtp ? wrong : "500";
	case V_MAIL:
		if ((c->state & txn) != 0 ||
		    (t->lmtp && c->state == SMTP_S_HELO))
			return "503 5.5.1";
		return (r->flags & PRDR) != 0 && t->lmtp ? "555 5.5.4" : wrong;
	case V_RCPT:
		if ((c->state & (txn - SMTP_S_BDAT)) == 0)
			return "503 5.5.1";
		return (r->flags & NEEDS_UTF8) != 0 && c->utf8 ? "" : wrong;
	case V_DATA:
		if (c->state == SMTP_S_TRIED && !t->lmtp)
			return "554 5.5.1";
		return c->state == SMTP_S_RCPT ? "" : "503 5.5.1";
	case V_STARTTLS:
		return c->tls ? "503 5.5.1" : t->tls ? "" : "502 5.5.1";
	case V_PLAIN:
	case V_LOGIN:
	case V_AUTH:
		wrong = model_auth(c, r, t);
		return wrong == NULL ? "" : wrong;
	case V_XCLIENT:
		return !t->xclient ? "550 5.7.0" : (c->state & txn) != 0 ?
		    "503 5.5.1" : wrong;
	case V_GUESS:
		return t->by_hand ? "" : "500 5.5.1";
	case V_FOREIGN:
		return "421 4.7.0";
	default:
		return wrong;
	}
}

/* of a chunk that is none of a message's */
static const char *
model_astray(const struct client *c, const struct smtp_terms *t)
{
	if ((t->needs_tls && !t->encrypted) || (t->needs_login && !c->login))
		return "530 5.7.0";
	return c->state == SMTP_S_TRIED && !t->lmtp ? "554 5.5.1" : "503 5.5.1";
}

/* of a line of the AUTH exchange */
static const char *
model_response(const struct client *c)
{
	const struct row *r = row_of(c);

	if (r->code != NULL && (r->flags & ARITY) != 0)
		return r->code;
	if (c->mode == M_PLAIN)
		return r->code == NULL ? "" : r->code;
	/* an empty name is challenged for its password, and then found out */
	return c->mode == M_USER || r->n > 2 ? "" : "501 5.5.2";
}

/* the codes of a verb that asks nothing and was right */
static const char *
model_right(unsigned verb)
{
	switch (verb) {
	case V_RSET:
	case V_NOOP:
		return "250 2.0.0";
	case V_QUIT:
		return "221 2.0.0";
	case V_HELP:
	case V_GUESS:
		return "214 2.0.0";
	default:
		return NULL;
	}
}

static bool
verb_is_junk(unsigned verb)
{
	return verb == V_HELO || verb == V_EHLO || verb == V_LHLO ||
	    verb == V_RSET || verb == V_NOOP || verb == V_VRFY ||
	    verb == V_HELP;
}

/* the chunk is complete */
static void
client_chunk(struct client *c, const struct smtp_terms *t, unsigned rcpts)
{
	c->want = (unsigned char)(c->ours && c->last && t->lmtp ? rcpts : 1);
	if (c->ours && c->last)
		c->mode = M_ENDED;
}

static void
client_piece(struct client *c, const struct row *r,
    const struct smtp_terms *t, unsigned rcpts)
{
	const bool ends = c->mode == M_BODY && c->bol && (r->flags & DOT) != 0;

	if (c->mode == M_CHUNK)
		c->left = (unsigned char)(c->left - row_n(r, c->lf));
	if ((r->flags & BARE) != 0 && !t->normalize)
		c->bare = true;
	/* of a dot more than one counts; a bare LF counts once, or twice */
	if (!ends)
		c->octets = (unsigned char)(c->octets + r->left -
		    (c->mode == M_BODY && c->bol && r->text[0] == '.') +
		    ((r->flags & BARE) != 0 && t->normalize));
	c->big |= c->octets > SIZE;
	if (c->big)
		c->octets = SIZE + 1;
	c->bol = (r->flags & AT_BOL) != 0;
	if (ends) {
		c->mode = M_ENDED;
		c->want = (unsigned char)(t->lmtp ? rcpts : 1);
	}
	if (c->mode == M_CHUNK && c->left == 0)
		client_chunk(c, t, rcpts);
}

static void
client_begins_message(struct client *c)
{
	c->bol = true;
	c->bare = c->big = false;
	c->counted = true;
	c->octets = 0;
}

/* what he says, and what he is owed for it */
static void
client_says(struct client *c, unsigned row, const struct smtp_terms *t,
    const struct smtp_session *s, unsigned rcpts)
{
	const struct row *r = &rows[row];

	if (r->verb == V_PIECE) {
		client_piece(c, r, t, rcpts);
		return;
	}
	/* its line was wrong already */
	if ((r->flags & REST) != 0 && c->want > 0) {
		c->rest_came = true;
		return;
	}
	c->rest_came = false;
	c->row = (unsigned char)row;
	c->errors = (unsigned char)s->errors;
	c->junk = s->junk;
	c->want = 1;
	c->ends_known = true;
	if (c->mode != M_LINE)
		return;
	c->rest = false;
	if (r->verb == V_EMPTY && t->terminal)
		c->want = 0;
	else if (r->verb == V_BDAT) {
		c->want = 0;
		c->ours = (c->state & (SMTP_S_RCPT | SMTP_S_BDAT)) != 0;
		c->last = (r->flags & LAST) != 0;
		c->left = r->left;
		if (c->state != SMTP_S_BDAT)
			client_begins_message(c);
		c->mode = M_CHUNK;
		if (c->left == 0)
			client_chunk(c, t, rcpts);
	}
}

static unsigned char
idle(const struct client *c)
{
	return c->helo ? SMTP_S_IDLE : SMTP_S_HELO;
}

/* what his line was right for */
static void
client_got(struct client *c, const char *codes)
{
	const struct row *r = row_of(c);

	switch (r->verb) {
	case V_HELO:
	case V_EHLO:
	case V_LHLO:
		if (codes[0] != '2')
			break;
		c->helo = true;
		c->state = idle(c);
		break;
	case V_RSET:
		c->state = idle(c);
		break;
	case V_MAIL:
		if (codes[0] != '2')
			break;
		c->state = SMTP_S_MAIL;
		c->utf8 = (r->flags & UTF8) != 0;
		c->prdr = (r->flags & PRDR) != 0;
		break;
	case V_RCPT:
		c->state = codes[0] == '2' || c->state == SMTP_S_RCPT ?
		    SMTP_S_RCPT : SMTP_S_TRIED;
		break;
	case V_DATA:
		if (codes[0] == '3') {
			c->mode = M_BODY;
			client_begins_message(c);
		} else
			c->state = idle(c);
		break;
	case V_PLAIN:
	case V_LOGIN:
		if (codes[0] == '3')
			c->mode = r->verb == V_PLAIN ? M_PLAIN :
			    (r->flags & LOGIN) != 0 ? M_PASSWORD : M_USER;
		c->login = codes[0] == '2';
		break;
	case V_XCLIENT:
		if (!c->anew)
			break;
		c->barred = codes[0] != '2';
		c->login = (r->flags & LOGIN) != 0;
		c->helo = (r->flags & HELO) != 0;
		c->state = SMTP_S_HELO;
		break;
	case V_STARTTLS:
		if (codes[0] == '2')
			c->mode = M_TLS;
		break;
	}
	if (r->verb == V_QUIT)
		c->mode = M_OVER;
}

/*
 * A refusal is an error, and where there were enough the reply is another;
 * some commands are junk, and what is accepted otherwise is neither.
 */
static enum must
client_counts(const struct client *c, const struct smtp_session *s,
    const struct smtp_terms *t, struct slice codes)
{
	const struct row *r = row_of(c);
	const bool junk = t->junk > 0 && (verb_is_junk(r->verb) ||
	    ((r->flags & DSN) != 0 && codes.p[0] == '2'));
	const unsigned per = t->junk > 0 ? t->junk : 1;
	const uint64_t before = (uint64_t)c->errors * per + c->junk;
	const uint64_t now = s->errors * per + s->junk;
	enum must broken = must(MUST_FORM, MUST_ERRORS,
	    s->errors <= t->errors);

	if (codes.p[0] == '5')
		return must(broken, MUST_ERRORS, s->errors > c->errors);
	return must(broken, MUST_ERRORS, now == before + junk ||
	    (codes.p[0] == '4' && now == before + junk + (t->junk > 0)));
}

/* his line is answered */
static enum must
client_line(struct client *c, const struct smtp_terms *t,
    const struct smtp_session *s, const struct watch *w, struct slice codes)
{
	const char *wrong = model(c, t), *right = model_right(row_of(c)->verb);
	const unsigned verb = row_of(c)->verb;
	enum must broken = MUST_FORM;

	if (wrong[0] != '\0') {
		broken = must(broken, MUST_REPLY, begins(codes, wrong) &&
		    !c->asked);
		/* a recipient who is refused is one who was tried */
		if (verb == V_RCPT && c->state == SMTP_S_MAIL &&
		    (row_of(c)->flags & ARITY) == 0 && wrong[2] != '0' &&
		    !begins(codes, "503"))
			c->state = SMTP_S_TRIED;
	} else if (right != NULL)
		broken = must(broken, MUST_REPLY, begins(codes, right));
	else if (codes.p[0] != '3')
		/* the second recipient is the last, and is not asked about */
		broken = must(broken, MUST_REPLY, c->asked ||
		    (verb == V_RCPT && begins(codes, "452 4.5.3")));
	/* none is the last reply anyway, or what is said of a message */
	if (!w->bye && verb != V_BAD_BDAT && !(verb == V_DATA && c->asked) &&
	    !c->anew)
		broken = broken == MUST_FORM ? client_counts(c, s, t, codes) :
		    broken;
	if (wrong[0] == '\0')
		client_got(c, codes.p);
	c->asked = c->anew = false;
	c->rest = verb == V_PARTIAL && !c->rest_came;
	if (verb == V_BAD_BDAT)
		c->mode = M_OVER;
	return broken;
}

static enum must
client_response(struct client *c, const struct smtp_terms *t,
    const struct smtp_session *s, const struct watch *w, struct slice codes)
{
	const char *wrong = model_response(c);
	enum must broken = MUST_FORM;

	if (wrong[0] != '\0')
		broken = must(broken, MUST_REPLY, begins(codes, wrong));
	else if (c->mode == M_USER)
		broken = must(broken, MUST_REPLY, begins(codes, "334"));
	else
		broken = must(broken, MUST_REPLY, c->asked || (c->mode ==
		    M_PASSWORD && begins(codes, "501 5.5.2")));
	if (!w->bye && broken == MUST_FORM)
		broken = client_counts(c, s, t, codes);
	c->login = codes.p[0] == '2';
	c->mode = codes.p[0] == '3' ? M_PASSWORD : M_LINE;
	c->asked = false;
	return broken;
}

/* a chunk's reply, where it is not the last of a message */
static enum must
client_chunk_reply(struct client *c, const struct smtp_terms *t,
    const struct watch *w, struct slice codes)
{
	c->mode = M_LINE;
	if (!c->ours)
		return must(MUST_FORM, MUST_REPLY, begins(codes,
		    model_astray(c, t)));
	c->state = codes.p[0] == '2' ? SMTP_S_BDAT : idle(c);
	if (c->counted && (c->big || c->bare))
		return must(MUST_FORM, MUST_REPLY, begins(codes, c->big ?
		    "552 5.3.4" : "550 5.5.2"));
	return must(MUST_FORM, MUST_REPLY, w->failed ? codes.p[0] != '2' :
	    begins(codes, "250 2.0.0"));
}

static enum must
client_message_reply(struct client *c, const struct smtp_terms *t,
    struct slice codes, const struct watch *w)
{
	enum must broken = MUST_FORM;

	if (c->counted && (c->big || c->bare))
		broken = must(broken, MUST_REPLY, begins(codes, c->big ?
		    "552 5.3.4" : "550 5.5.2"));
	if (begins(codes, "353")) {
		c->want = (unsigned char)(w->rcpts + 1);
		return must(broken, MUST_EACH, c->prdr && w->finish);
	}
	/* one reply for all is good if it is for all */
	if (codes.p[0] == '2' && w->each && !t->lmtp && !c->prdr)
		broken = must(broken, MUST_GOOD, w->all_good == w->rcpts);
	if (c->want == 0) {
		c->mode = M_LINE;
		c->state = idle(c);
	}
	return broken;
}

/* A reply has come. */
static enum must
client_hears(struct client *c, const struct smtp_session *s,
    const struct smtp_terms *t, const struct watch *w)
{
	const struct slice codes = smtp_slice(w->codes);
	const bool foreign = row_of(c)->verb == V_FOREIGN;
	enum must broken = must(MUST_FORM, MUST_UNASKED, c->mode != M_OVER);

	if (begins(codes, "421")) {
		/* at any time, but not for nothing */
		broken = must(broken, MUST_UNASKED, w->bye || c->want > 0 ||
		    c->mode == M_CHUNK);
		broken = must(broken, MUST_REPLY, w->bye || foreign ||
		    begins(codes, "421 4.7."));
		c->mode = M_OVER;
		c->want = 0;
		return broken;
	}
	if (c->mode == M_GREETING) {
		c->mode = M_LINE;
		c->state = SMTP_S_HELO;
		c->barred = codes.p[0] != '2';
		return must(broken, MUST_REPLY, begins(codes, "220") ||
		    c->barred);
	}
	broken = must(broken, MUST_UNASKED, c->want > 0);
	if (broken != MUST_FORM)
		return broken;
	c->want--;
	switch (c->mode) {
	case M_LINE:
		return client_line(c, t, s, w, codes);
	case M_CHUNK:
		return client_chunk_reply(c, t, w, codes);
	case M_ENDED:
		return client_message_reply(c, t, codes, w);
	case M_PLAIN:
	case M_USER:
	case M_PASSWORD:
		return client_response(c, t, s, w, codes);
	default:
		return must(broken, MUST_UNASKED, false);
	}
}

/* Does the machine wait for what the client is about to say? */
static bool
client_agrees(const struct client *c, const struct smtp_session *s,
    const struct smtp_host *h)
{
	switch (c->mode) {
	case M_LINE:
		/* an empty line first may be the head of a PROXY header */
		if (s->at == SMTP_AT_OPENING)
			return c->want == 0 || h->patience > 0;
		return s->at == SMTP_AT_LINE && s->state == c->state &&
		    (c->want == 0 || row_of(c)->verb == V_PARTIAL);
	case M_BODY:
		return s->at == SMTP_AT_BODY;
	case M_CHUNK:
		return s->at == SMTP_AT_CHUNK && s->left == c->left;
	case M_PLAIN:
		return s->at == SMTP_AT_PLAIN && c->want == 0;
	case M_USER:
		return s->at == SMTP_AT_USER && c->want == 0;
	case M_PASSWORD:
		return s->at == SMTP_AT_PASSWORD && c->want == 0;
	default:
		return false;
	}
}

static enum must
client_is_asked(struct client *c, const struct smtp_session *s,
    const struct smtp_host *h, const struct watch *w, enum smtp_ask next)
{
	const unsigned verb = row_of(c)->verb;

	switch (next) {
	case SMTP_INPUT:
		if (c->want == 0 && c->mode == M_LINE && !c->rest)
			c->row = 0;
		return must(MUST_FORM, MUST_STATE, client_agrees(c, s, h));
	case SMTP_CLOSE:
		return must(MUST_FORM, MUST_ONE, w->over || w->bye ||
		    c->mode == M_OVER);
	case SMTP_CONNECT:
		c->anew = c->mode != M_GREETING;
		return must(MUST_FORM, MUST_ASK, !c->anew || (c->asked &&
		    verb == V_XCLIENT));
	case SMTP_HELO:
		c->asked = verb == V_HELO || verb == V_EHLO || verb == V_LHLO;
		break;
	case SMTP_ETRN:
		c->asked = verb == V_ETRN;
		break;
	case SMTP_SENDER:
		c->asked = verb == V_MAIL;
		break;
	case SMTP_RCPT:
		c->asked = verb == V_RCPT;
		break;
	case SMTP_VRFY:
		c->asked = verb == V_VRFY;
		break;
	case SMTP_STARTTLS:
		c->asked = verb == V_STARTTLS;
		break;
	case SMTP_XCLIENT:
		c->asked = verb == V_XCLIENT;
		break;
	case SMTP_PASSWORD:
		c->asked = verb == V_PLAIN || verb == V_RESPONSE;
		break;
	case SMTP_PAUSE:
		c->asked = true;
		break;
	case SMTP_STORE:
		return must(MUST_FORM, MUST_STORE, !c->big);
	case SMTP_BEGIN:
		if (verb == V_BDAT)
			return must(MUST_FORM, MUST_ASK, c->ours);
		c->asked = verb == V_DATA;
		break;
	default:
		return MUST_FORM;
	}
	return must(MUST_FORM, MUST_ASK, c->asked);
}

/* what is fed to a client in this state */
static bool
client_may_say(const struct client *c, const struct smtp_session *s,
    const struct row *r, bool lf, bool terms_by_hand, bool normalize)
{
	const bool crlf = !lf && !normalize && (!terms_by_hand ||
	    (c->ends_known && !c->lf));

	if (lf && !terms_by_hand)
		return false;
	if (terms_by_hand && c->ends_known && lf != c->lf)
		return false;
	if ((r->flags & BARE) != 0 && !crlf && !(normalize &&
	    r->verb == V_PIECE))
		return false;
	if ((r->flags & OCTETS) != 0 && lf)
		return false;
	switch (c->mode) {
	case M_LINE:
		/* is it the head of a PROXY header? */
		if (s->at == SMTP_AT_OPENING && s->opening_n > 0)
			return false;
		if (c->want > 0 || c->rest)
			return (r->flags & REST) != 0 &&
			    (c->rest || row_of(c)->verb == V_PARTIAL);
		if ((r->flags & REST) != 0)
			return false;
		if (r->verb == V_FOREIGN)
			return s->at == SMTP_AT_OPENING;
		return r->verb < V_FOREIGN;
	case M_BODY:
		return r->verb == V_PIECE;
	case M_CHUNK:
		return r->verb == V_PIECE && row_n(r, lf) <= c->left;
	case M_USER:
		/* what he sends for his name is no secret */
		if ((r->flags & (SECRET | ARITY)) == SECRET)
			return false;
		/* FALLTHROUGH */
	case M_PLAIN:
	case M_PASSWORD:
		return r->verb == V_RESPONSE;
	default:
		return false;
	}
}

/* ---- states ----------------------------------------------------------- */

enum { HEAD = offsetof(struct smtp_session, messages) };

struct key {
	unsigned char	 head[HEAD];
	char		 own[10];
	struct watch	 watch;
	struct client	 client;
	unsigned char	 row;		/* of which some is in, from ... */
	unsigned char	 from;
};

struct state {
	struct smtp_session s;
	struct watch	 w;
	struct client	 c;
	unsigned char	 row;
	unsigned char	 from;
};

struct node {			/* a state that was reached */
	size_t		 octets;	/* where its session is kept, ... */
	unsigned	 n;		/* ... all but the zeros behind it */
	unsigned	 parent;
	unsigned short	 step;		/* that led here from there */
	struct key	 key;
};

/* A step is an answer, or a row that is fed, with CRLF or with LF. */
enum { STEP_ROW = ANSWERS, STEP_ROW_LF = STEP_ROW + ROWS };

static struct node *nodes;
static unsigned nodes_n, nodes_size;
static unsigned *table, table_size;
static char *octets;
static size_t octets_n, octets_size;
static unsigned (*edges)[2];	/* of answers: from node to node */
static size_t edges_n, edges_size;
static uint64_t steps;

static void *
grow(void *p, size_t size)
{
	p = realloc(p, size);
	if (p == NULL) {
		perror("prove");
		exit(2);
	}
	return p;
}

/*
 * What is not part of a state, because nothing looks at it before it is set:
 *
 * - of a line that was a command, all, once its reply is due (what NOTE tells
 *   of it is looked at in the step that asks it); line_begin() drops it.  Own
 *   words can only be said again if they were a 421, which is the end.
 * - of a message, all, until message_begin(): but not in a message, nor in one
 *   of which a chunk has come (S_BDAT).
 * - what is of one command (dsn, a chunk's size) or one transaction (rcpts,
 *   utf8) behind it: each sets it anew.
 * - at the end, all but what is still to be said and forgotten.
 * - which refusal it is that is to be said: two of a class lead to the same.
 *   That it is the right one is looked at in the step that said it.
 * - which line is the bare one is told, and no more; how big a message that is
 *   too big is nobody asks.
 */
static void
mask_message(struct smtp_session *s)
{
	memset(&s->data, 0, sizeof(s->data));
	memset(&s->tally, 0, sizeof(s->tally));
	s->begun = s->ended = s->big = false;
	s->failed = s->all = 0;
	s->next = 0;
}

static void
mask_line(struct smtp_session *s)
{
	if (s->heard) {
		s->line_n -= s->used;
		s->used = s->heard_n = 0;
		s->to_at = s->to_n = 0;
		s->cr = s->lf = s->lf_alone = s->skip = false;
	}
	if (s->asked == SMTP_INPUT) {
		s->told = s->verb = 0;
		s->heard = false;
		s->own_n = 0;
	}
	s->dsn = s->ours = s->last = false;
	s->left = s->user_n = 0;
	if (s->state != SMTP_S_BDAT)
		mask_message(s);
	if (s->state == SMTP_S_HELO || s->state == SMTP_S_IDLE) {
		s->rcpts = 0;
		s->utf8 = s->each = false;
	}
}

static void
mask_end(struct smtp_session *s)
{
	const struct smtp_session was = *s;

	memset(s, 0, HEAD);
	s->at = was.at;
	s->state = was.state;
	s->asked = was.asked;
	s->end = was.end;
	s->say = was.say;
	s->fate = was.fate;
	s->forget = was.forget;
	s->verb = was.verb;
	s->greeting = was.greeting;
	s->own_n = was.say == SMTP_OWN || was.fate == SMTP_OWN ? was.own_n : 0;
}

static void
mask_client_message(struct client *c)
{
	c->bol = c->bare = c->big = c->counted = false;
	c->octets = 0;
}

/* The same of the client.  Rows that are owed the same are the same. */
static void
mask_client(struct client *c, const struct smtp_session *s)
{
	const struct row *r = row_of(c);

	if (c->mode == M_CHUNK && !c->ours)
		mask_client_message(c);
	if (c->mode == M_BODY || c->mode == M_CHUNK || c->mode == M_ENDED) {
		c->errors = c->junk = 0;
		if (s->asked != SMTP_BEGIN && s->asked != SMTP_NOTE)
			c->row = 0;
	}
	if (s->at == SMTP_AT_END) {
		c->errors = c->junk = c->left = 0;
		c->helo = c->login = c->utf8 = c->prdr = false;
		c->barred = c->anew = false;
		mask_client_message(c);
	}
	if (s->asked == SMTP_NOTE)
		for (unsigned i = 0; i < c->row; i++)
			if (rows[i].verb == r->verb &&
			    rows[i].code == r->code && ((rows[i].flags ^
			    r->flags) & ~(unsigned)SECRET) == 0)
				c->row = (unsigned char)i;
	if (c->mode != M_LINE || s->at != SMTP_AT_LINE)
		return;
	if (s->state != SMTP_S_BDAT)
		mask_client_message(c);
	c->left = 0;
	c->ours = c->last = false;
	if (c->want == 0)
		c->errors = c->junk = 0;
	if (s->state == SMTP_S_HELO || s->state == SMTP_S_IDLE)
		c->utf8 = c->prdr = false;
}

static void
key_of(const struct state *at, struct key *key)
{
	static struct smtp_session s;

	memset(key, 0, sizeof(*key));
	memcpy(&s, &at->s, HEAD);
	key->watch = at->w;
	key->client = at->c;
	if (!at->w.more)
		memset(key->watch.codes, 0, sizeof(key->watch.codes));
	s.data.lines = s.data.bare_line = 0;
	if (s.big)
		s.data.octets = 0;
	if ((s.asked == SMTP_INPUT || s.asked == SMTP_NOTE) &&
	    s.at == SMTP_AT_LINE)
		mask_line(&s);
	if (s.asked == SMTP_NOTE && at->w.fits > 0) {
		s.say = (unsigned char)answer_codes((enum smtp_ask)
		    at->w.fits_ask, &answers[at->w.fits - 1])[0];
		s.own_n = 0;
		key->watch.fits = key->watch.fits_ask = 0;
	}
	if (s.failed != SMTP_YES && s.failed != SMTP_OWN && s.failed != 0)
		s.failed = (unsigned char)smtp_reply_text((enum smtp_reply)
		    s.failed).p[0];
	if (s.at == SMTP_AT_CHUNK && !s.ours)
		mask_message(&s);
	if (s.at == SMTP_AT_CHUNK || s.at == SMTP_AT_BODY)
		s.line_n = s.heard_n = s.used = 0;
	if (s.at == SMTP_AT_END)
		mask_end(&s);
	mask_client(&key->client, &s);
	if (s.own_n > 0)
		memcpy(key->own, at->s.own, sizeof(key->own));
	memcpy(key->head, &s, HEAD);
	key->row = at->row;
	key->from = at->from;
}

static unsigned
hash(const struct key *key)
{
	const unsigned char *p = (const unsigned char *)key;
	uint64_t h = 14695981039346656037u, v;

	for (size_t i = 0; i + 8 <= sizeof(*key); i += 8) {
		memcpy(&v, p + i, 8);
		h = (h ^ v) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	for (size_t i = sizeof(*key) / 8 * 8; i < sizeof(*key); i++)
		h = (h ^ p[i]) * 1099511628211u;
	return (unsigned)(h ^ h >> 32);
}

/* where in the table such a state is, or would be; 0 there: not yet */
static unsigned *
find(const struct key *key)
{
	unsigned at = hash(key) & (table_size - 1);

	while (table[at] != 0 && memcmp(&nodes[table[at] - 1].key, key,
	    sizeof(*key)) != 0)
		at = (at + 1) & (table_size - 1);
	return &table[at];
}

static void
table_grow(void)
{
	table_size = table_size == 0 ? 1 << 16 : table_size * 2;
	free(table);
	table = grow(NULL, table_size * sizeof(*table));
	memset(table, 0, table_size * sizeof(*table));
	for (unsigned i = 0; i < nodes_n; i++)
		*find(&nodes[i].key) = i + 1;
}

/* how much of it is not zero */
static size_t
extent(const struct smtp_session *s)
{
	const char *p = (const char *)s;
	size_t n = sizeof(*s);
	uint64_t v;

	for (; n > HEAD + 8; n -= 8) {
		memcpy(&v, p + n - 8, 8);
		if (v != 0)
			break;
	}
	return n;
}

/* the number of a state's node, which is new or not */
static unsigned
node_of(const struct state *at, unsigned parent, unsigned step)
{
	static struct key key;
	const char *p = (const char *)&at->s;
	const size_t n = extent(&at->s);
	unsigned *place;
	struct node *node;

	if (nodes_n * 2 >= table_size)
		table_grow();
	key_of(at, &key);
	place = find(&key);
	if (*place != 0)
		return *place - 1;
	if (nodes_n == nodes_size) {
		nodes_size = nodes_size == 0 ? 4096 : nodes_size * 2;
		nodes = grow(nodes, nodes_size * sizeof(*nodes));
	}
	if (octets_n + n > octets_size) {
		octets_size = octets_size * 2 + (1 << 20);
		octets = grow(octets, octets_size);
	}
	node = &nodes[nodes_n];
	*node = (struct node){ octets_n, (unsigned)n, parent,
	    (unsigned short)step, key };
	memcpy(octets + octets_n, p, n);
	octets_n += n;
	*place = ++nodes_n;
	return nodes_n - 1;
}

static void
state_of(unsigned node, struct state *at)
{
	const struct node *n = &nodes[node];

	memcpy(&at->s, octets + n->octets, n->n);
	memset((char *)&at->s + n->n, 0, sizeof(at->s) - n->n);
	at->w = n->key.watch;
	at->c = n->key.client;
	at->row = n->key.row;
	at->from = n->key.from;
}

/* ---- a step ----------------------------------------------------------- */

struct told {			/* of each step, to be printed or looked at */
	enum smtp_ask	 next;
	enum must	 broken;
	char		 out[4096];
	size_t		 out_n;
	char		 note[600];
};

struct hearing {		/* for client_hears() */
	struct client	*c;
	const struct smtp_session *s;
	const struct smtp_terms *t;
};

static enum must
hears(void *arg, const struct watch *w)
{
	const struct hearing *hearing = arg;

	return client_hears(hearing->c, hearing->s, hearing->t, w);
}

static bool
has(const void *p, size_t n, const char *text)
{
	return n > 0 && memmem(p, n, text, strlen(text)) != NULL;
}

static bool
has_secret(const void *p, size_t n)
{
	return has(p, n, "sEcReT-77") || has(p, n, "c0VjUmVULTc3") ||
	    has(p, n, "c2VyAHNFY1JlVC03Nw");
}

/* A password is in PASSWORD, and nowhere else: but in the line that the client
 * has sent, before it is looked at. */
static bool
secret_kept(const struct smtp_session *s, const struct smtp_host *h,
    const struct told *told)
{
	return (told->next == SMTP_PASSWORD || s->at == SMTP_AT_COMMAND ||
	    !has_secret(s, extent(s))) &&
	    !has_secret(told->out, told->out_n) && (told->next != SMTP_NOTE ||
	    (!has_secret(h->told.p, h->told.n) &&
	    !has_secret(h->said.p, h->said.n)));
}

static size_t
feed(const struct state *at, char buf[LONG_AUTH])
{
	const struct row *r = &rows[at->row];
	size_t n = row_n(r, at->c.lf);

	memcpy(buf, r->text, r->n);
	if (n < r->n)
		buf[n - 1] = '\n';
	return n;
}

/* what a host answers besides */
static void
host_sets(struct state *at, struct smtp_host *h, unsigned step, char *room)
{
	static char out[4096];
	const bool handshake = at->w.asked == SMTP_HANDSHAKE && step == A_YES;

	at->c.tls |= handshake;
	h->terms = terms_of(at->c.tls);
	h->out = (struct smtp_text){ .p = out, .size = set->full ? FULL :
	    sizeof(out) };
	h->id = smtp_slice("ID");
	h->address = smtp_slice("");
	if (at->w.begun && !at->w.failed)
		h->room = (struct smtp_room){ room, ROOM };
	if (at->w.asked == SMTP_OUTCOME)
		h->address = smtp_slice("rcpt@s.example");
	if (handshake) {
		at->c.mode = M_LINE;
		at->c.helo = at->c.login = false;
		at->c.state = SMTP_S_HELO;
	}
}

static void
told_of_note(struct told *told, const struct smtp_host *h)
{
	(void)snprintf(told->note, sizeof(told->note), "%.*s | %.*s",
	    h->told.n > 200 ? 200 : (int)h->told.n, h->told.p,
	    h->said.n > 200 ? 200 : (int)h->said.n, h->said.p);
}

static void
step_make(struct state *at, unsigned step, struct told *told)
{
	static char buf[LONG_AUTH], room[ROOM];
	static struct smtp_host h;
	struct hearing hearing = { &at->c, &at->s, &h.terms };
	const struct answer *a = &answers[step < ANSWERS ? step : A_YES];
	enum smtp_reply reply;
	enum must more;
	size_t n = 0;

	h = (struct smtp_host){ .patience = 0 };
	host_sets(at, &h, step, room);
	if (step >= STEP_ROW) {
		at->c.lf = step >= STEP_ROW_LF;
		at->row = (unsigned char)((step - STEP_ROW) % ROWS);
		at->from = 0;
		client_says(&at->c, at->row, &h.terms, &at->s,
		    at->w.rcpts);
	}
	if (step >= STEP_ROW || at->from > 0)
		n = feed(at, buf);
	h.in = (struct slice){ buf + at->from, n - at->from };
	reply = give(&at->s, &h, (enum smtp_ask)at->w.asked, a, room);
	if (at->w.asked == SMTP_BEGIN && (a->reply != SMTP_YES || a->room < 2))
		at->c.counted = false;
	told->next = smtp_next(&at->s, &h, reply);
	memcpy(told->out, h.out.p, h.out.n);
	told->out_n = h.out.n;
	if (told->next == SMTP_NOTE)
		told_of_note(told, &h);
	told->broken = watch_call(&at->w, &at->s, &h, a, told->next,
	    smtp_written(&h.out), CLIENT, hears, &hearing);
	more = client_is_asked(&at->c, &at->s, &h, &at->w, told->next);
	if (told->broken == MUST_FORM)
		told->broken = more;
	told->broken = must(told->broken, MUST_SECRET, secret_kept(&at->s, &h,
	    told) && (step < STEP_ROW ||
	    (rows[at->row].flags & SECRET) == 0 || h.secret));
	told->broken = must(told->broken, MUST_LINE, !h.out.cut);
	at->from = (unsigned char)(h.in.n > 0 && told->next != SMTP_INPUT &&
	    told->next != SMTP_CLOSE ? n - h.in.n : 0);
	if (at->from == 0)
		at->row = 0;
	steps++;
}

/* ---- what is said if it breaks ---------------------------------------- */

static void
print_text(const char *who, struct slice s)
{
	enum { SHOWN = 70 };

	printf("%s", who);
	for (size_t i = 0; i < s.n && i < SHOWN; i++) {
		if (s.p[i] == '\r')
			printf("\\r");
		else if (s.p[i] == '\n')
			printf("\\n");
		else if (s.p[i] < ' ' || s.p[i] > '~')
			printf("\\%03o", (unsigned char)s.p[i]);
		else
			putchar(s.p[i]);
	}
	printf("%s\n", s.n > SHOWN ? "..." : "");
}

static const char *
ask_name(unsigned ask)
{
	static const char *const names[] = { "NOTHING", "INPUT", "FLUSH",
	    "PAUSE", "NOTE", "CONNECT", "HELO", "SENDER", "RCPT", "VRFY",
	    "ETRN", "BEGIN", "STORE",
	    "FINISH", "OUTCOME", "FORGET", "PASSWORD", "STARTTLS",
	    "HANDSHAKE", "XCLIENT", "CLOSE" };

	return ask < sizeof(names) / sizeof(names[0]) ? names[ask] : "?";
}

static void
print_step(struct state *at, unsigned step)
{
	static struct told told;
	const struct answer *a = &answers[step < ANSWERS ? step : A_YES];
	const unsigned asked = at->w.asked;
	struct slice line;
	const char *end;

	if (step >= STEP_ROW) {
		line = smtp_slice(rows[(step - STEP_ROW) % ROWS].text);
		print_text(step >= STEP_ROW_LF ? "C (LF): " : "C: ", line);
	} else if (a->own != NULL)
		printf("   %s <- smtp_own(%s)\n", ask_name(asked), a->own);
	else
		printf("   %s <- %d %.*s, room %zu\n", ask_name(asked),
		    (int)a->reply, (int)smtp_reply_text(a->reply).n,
		    smtp_reply_text(a->reply).p, a->room);
	step_make(at, step, &told);
	line = (struct slice){ told.out, told.out_n };
	while (line.n > 0 && (end = memmem(line.p, line.n, "\r\n", 2)) !=
	    NULL) {
		print_text("S: ", (struct slice){ line.p,
		    (size_t)(end - line.p) });
		line.n -= (size_t)(end - line.p) + 2;
		line.p = end + 2;
	}
	if (told.next == SMTP_NOTE)
		print_text("   note ", smtp_slice(told.note));
}

/* the way to a node, and one step more, taken again and told */
static void
print_way(unsigned node, const unsigned *more, size_t more_n)
{
	static struct state at;
	static unsigned way[1 << 16];
	size_t n = 0;

	for (; node != 0 && n < sizeof(way) / sizeof(way[0]);
	    node = nodes[node].parent)
		way[n++] = nodes[node].step;
	memset(&at, 0, sizeof(at));
	print_step(&at, A_YES);
	while (n > 0)
		print_step(&at, way[--n]);
	for (size_t i = 0; i < more_n; i++)
		print_step(&at, more[i]);
}

_Noreturn static void
broken(enum must what, unsigned node, const unsigned *more, size_t more_n)
{
	printf("%s: BROKEN: %s\n", set->name, must_text[what]);
	print_way(node, more, more_n);
	fflush(stdout);
	_exit(1);
}

/* ---- all steps from a state ------------------------------------------- */

/* Answered so from here on, it comes to an end, with a 421 or without. */
static void
ends_by(unsigned node, unsigned answer, const char *codes)
{
	enum { CALLS = 16 };
	static struct state at;
	static struct told told;
	unsigned said = 0, calls = 0, way[CALLS];
	bool other = false, greets = false, over;

	state_of(node, &at);
	over = at.w.over || at.s.end != SMTP_END_NONE ||
	    at.w.asked == SMTP_HANDSHAKE;
	do {
		way[calls] = answer;
		greets |= at.s.greeting;
		step_make(&at, answer, &told);
		if (told.broken != MUST_FORM)
			broken(told.broken, node, way, calls + 1);
		other |= told.next != SMTP_NOTE && told.next != SMTP_FORGET &&
		    told.next != SMTP_FLUSH && told.next != SMTP_CLOSE &&
		    (codes != NULL || told.next != SMTP_INPUT);
		said += has(told.out, told.out_n, codes != NULL ? codes :
		    "421") || (greets &&
		    has(told.out, told.out_n, "421 "));
	} while (told.next != SMTP_CLOSE && ++calls < CALLS);
	if (other || told.next != SMTP_CLOSE || (codes != NULL &&
	    said != !over && nodes[node].key.watch.bye == false))
		broken(codes == NULL ? MUST_GONE : MUST_BYE, node, way,
		    calls < CALLS ? calls + 1 : calls);
	must_held[codes == NULL ? MUST_GONE : MUST_BYE]++;
}

/* Behind TLS nothing is known of what was said in clear. */
static bool
is_anew(const struct state *at)
{
	static struct smtp_session s, start;

	memset(&start, 0, sizeof(start));
	memcpy(&s, &at->s, HEAD);
	start.at = SMTP_AT_LINE;
	start.state = SMTP_S_HELO;
	start.asked = SMTP_INPUT;
	start.failed = s.failed = 0;
	start.say = s.say;
	start.fate = s.fate;
	start.tls = true;
	start.errors = s.errors;
	start.junk = s.junk;
	start.tries = s.tries;
	start.newline = s.newline;
	mask_line(&s);
	return memcmp(&s, &start, HEAD) == 0;
}

static void
edge(unsigned from, unsigned to)
{
	if (edges_n == edges_size) {
		edges_size = edges_size == 0 ? 1 << 16 : edges_size * 2;
		edges = grow(edges, edges_size * sizeof(*edges));
	}
	edges[edges_n][0] = from;
	edges[edges_n++][1] = to;
}

static unsigned now_node, now_step;

/* a call that does not return */
static void
hung(int signo)
{
	(void)signo;
	printf("%s: BROKEN: %s: a call does not return\n", set->name,
	    must_text[MUST_BOUND]);
	print_way(now_node, NULL, 0);
	printf("   and now step %u\n", now_step);
	fflush(stdout);
	_exit(1);
}

static void
go_step(unsigned node, unsigned step)
{
	static struct state at;
	static struct told told;
	unsigned to, way[2] = { step, A_YES };

	now_node = node;
	now_step = step;
	if ((steps & 1023) < 2)
		alarm(20);
	state_of(node, &at);
	step_make(&at, step, &told);
	if (told.broken != MUST_FORM)
		broken(told.broken, node, &step, 1);
	if (nodes[node].key.watch.asked == SMTP_HANDSHAKE && step == A_YES) {
		must_held[MUST_ANEW]++;
		if (!is_anew(&at))
			broken(MUST_ANEW, node, &step, 1);
	}
	to = node_of(&at, node, step);
	/* what is said of an answer, is it that answer's?  See mask_line() */
	if (told.next == SMTP_NOTE && at.w.fits > 0) {
		step_make(&at, A_YES, &told);
		if (told.broken != MUST_FORM)
			broken(told.broken, node, way, 2);
		told.next = SMTP_NOTE;
	}
	if (step < STEP_ROW && to != node)
		edge(node, to);
	if (to == node && step < STEP_ROW && told.next != SMTP_CLOSE)
		broken(MUST_BOUND, node, &step, 1);
}

/* Answers to these are not looked at, but for a few that end the session: one
 * of the others at each state, another at the next, is enough. */
static bool
is_told_only(unsigned asked)
{
	return asked == SMTP_NOTE || asked == SMTP_FORGET ||
	    asked == SMTP_CLOSE;
}

static void
expand(unsigned node)
{
	const unsigned asked = nodes[node].key.watch.asked;
	const struct client c = nodes[node].key.client;
	static struct state at;

	for (unsigned a = 0; a < ANSWERS; a++) {
		/* there is nothing that was said; it would ask again */
		if (asked == SMTP_INPUT && answers[a].reply == SMTP_YES)
			continue;
		if (answers[a].room < ROOM && asked != SMTP_BEGIN &&
		    asked != SMTP_STORE)
			continue;
		if (!is_told_only(asked) || a <= A_OWN_421 ||
		    a == A_LATE + node % (ANSWERS - A_LATE))
			go_step(node, a);
	}
	if (nodes[node].key.client.mode == M_OVER)
		return;
	ends_by(node, A_GONE, NULL);
	ends_by(node, A_SHUTDOWN, "421 4.3.2");
	ends_by(node, A_TIMEOUT, "421 4.4.2");
	if (asked != SMTP_INPUT)
		return;
	state_of(node, &at);
	for (unsigned lf = 0; lf < 2; lf++)
		for (unsigned row = 0; row < ROWS; row++)
			if ((set->more || (rows[row].flags & MORE) == 0) &&
			    client_may_say(&c, &at.s, &rows[row], lf == 1,
			    set->terms.by_hand, set->terms.normalize))
				go_step(node, (lf == 1 ? STEP_ROW_LF :
				    STEP_ROW) + row);
}

/* No circle of answers: the longest way without input is so long. */
static unsigned
longest_way(void)
{
	unsigned *into = grow(NULL, nodes_n * sizeof(*into));
	unsigned *first = grow(NULL, (nodes_n + 1) * sizeof(*first));
	unsigned *queue = grow(NULL, nodes_n * sizeof(*queue));
	unsigned *length = grow(NULL, nodes_n * sizeof(*length));
	unsigned head = 0, tail = 0, most = 0, to;
	size_t e = 0;

	memset(into, 0, nodes_n * sizeof(*into));
	memset(length, 0, nodes_n * sizeof(*length));
	/* they were made in the order of the nodes they come from */
	for (unsigned n = 0; n <= nodes_n; n++) {
		while (e < edges_n && edges[e][0] < n)
			e++;
		first[n] = (unsigned)e;
	}
	for (e = 0; e < edges_n; e++)
		into[edges[e][1]]++;
	for (unsigned n = 0; n < nodes_n; n++)
		if (into[n] == 0)
			queue[tail++] = n;
	while (head < tail) {
		for (e = first[queue[head]]; e < first[queue[head] + 1]; e++) {
			to = edges[e][1];
			if (length[to] < length[queue[head]] + 1)
				length[to] = length[queue[head]] + 1;
			if (length[to] > most)
				most = length[to];
			if (--into[to] == 0)
				queue[tail++] = to;
		}
		head++;
	}
	if (tail < nodes_n)
		for (unsigned n = 0; n < nodes_n; n++)
			if (into[n] > 0)
				broken(MUST_BOUND, n, NULL, 0);
	must_held[MUST_BOUND] += edges_n;
	return most;
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
prove(void)
{
	static struct state at;
	static struct told told;
	const double began = seconds();
	unsigned held = 0, way;

	(void)signal(SIGALRM, hung);
	step_make(&at, A_YES, &told);
	if (told.broken != MUST_FORM)
		broken(told.broken, 0, NULL, 0);
	(void)node_of(&at, 0, A_YES);
	for (unsigned n = 0; n < nodes_n; n++)
		expand(n);
	way = longest_way();
	for (int i = 0; i < MUSTS; i++)
		held += must_held[i] > 0;
	printf("%-12s %7u states %9llu transitions %6.1f s, %u invariants, "
	    "at most %u answers in a row\n", set->name, nodes_n,
	    (unsigned long long)steps, seconds() - began, held, way);
	fflush(stdout);
}

int
main(int argc, char *argv[])
{
	int running = 0, status, failed = 0;

	rows_begin();
	for (int i = 0; i < SETS; i++) {
		bool named = argc < 2;

		for (int k = 1; k < argc; k++)
			named |= strcmp(argv[k], sets[i].name) == 0;
		if (!named)
			continue;
		while (running >= 2 && wait(&status) > 0) {
			running--;
			failed |= status != 0;
		}
		fflush(stdout);
		if (fork() == 0) {
			set = &sets[i];
			prove();
			_exit(0);
		}
		running++;
	}
	while (wait(&status) > 0)
		failed |= status != 0;
	for (int i = 0; i < MUSTS && !failed; i++)
		if (must_text[i] != NULL && must_text[i][0] != '\0')
			printf("held: %s\n", must_text[i]);
	return failed;
}
