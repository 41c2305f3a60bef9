/*
 * smtpsink - take mail for anyone, and keep it in a Maildir.
 *
 *	smtpsink [-p [ADDRESS:]PORT] [--json] [--once N] [--timeout SECONDS]
 *	    [--faults[=FILE]] [DIR]
 *
 * One process for hundreds of clients at once, at 127.0.0.1:2525 if nothing
 * else is said: to test what sends mail.  A message is stored as it came, once
 * for all its recipients, in DIR, a Maildir (./sink); when its 250 is there,
 * so is its file, and a line on standard output that tells its envelope and its
 * file; with --json an object, with the fields of its header.  AUTH is taken,
 * whatever is said.  Port 0 is any that is free, which is printed.  With --once
 * it ends when it has taken N mails; its exit status is 1 if --timeout comes
 * first.  With --faults clients meet trouble, as addresses or FILE ask for it:
 * see smtpd(8).  SIGTERM ends it well.
 *
 * The language is smtp_parse's.  smtpd, its other host, may wait at any
 * question, for it serves one client.  This one waits in poll(2) only: a
 * session whose answer is not there yet is put aside.  So all messages that
 * are complete in one round are linked into new/, and new/ is synced once for
 * all of them, before any gets its 250.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "smtp_parse.h"

#define PATIENCE 300		/* seconds without a sign of life */
#define CLIENTS 500		/* at once, of two descriptors; others wait */
#define RECIPIENTS 100		/* of a mail */
#define HEADER (256 << 10)	/* octets of a header that are told */
#define GRACE 2			/* seconds to say QUIT, behind the last mail */
#define LATER SMTP_ANSWERS	/* an answer that is not there yet */

struct client {
	int		 fd;
	int		 file;		/* in tmp/; -1: none */
	time_t		 since;		/* when it was last heard of */
	enum smtp_ask	 ask;		/* the open question, ... */
	enum smtp_reply	 answer;	/* ... and, of FINISH, its answer */
	size_t		 sent;		/* of what is in out */
	bool		 looked;	/* at the question, for trouble: */
	bool		 troubled;	/* there is some, ... */
	time_t		 until;		/* ... to begin with: it waits */
	struct smtp_trouble trouble;
	uint64_t	 may_send, may_take;	/* octets; in trouble, few */
	struct smtp_text envelope;	/* addresses, behind each a NUL */
	struct smtp_session s;
	struct smtp_host h;
	char		 tmp[80], new[80];	/* the mail's two places */
	char		 in[16384], out[4096], room[16384];
	char		 text[(RECIPIENTS + 1) * (SMTP_MAILBOX_MAX + 2)];
};

static struct client *clients[CLIENTS];
static size_t clients_n;
static time_t now;		/* of a clock that nobody sets */
static const char *maildir;
static int newdir;
static bool json;
static bool faults;
static struct smtp_script script;
static uint64_t wanted, taken;		/* mails; 0: no end */
static time_t ends;			/* and then it is over; 0: never */
static volatile sig_atomic_t stopped;

static enum smtp_reply
mail_address(struct client *c)
{
	smtp_put_address(&c->envelope, c->h.path.local, c->h.path.domain);
	smtp_put(&c->envelope, (struct slice){ "", 1 });
	return SMTP_YES;
}

/* The header of a mail, unfolded: a field a line, and nothing behind them. */
static struct slice
mail_header(const char *path)
{
	static char text[HEADER];
	int fd = open(path, O_RDONLY);
	ssize_t got = fd == -1 ? -1 : read(fd, text, sizeof(text));
	size_t n = got > 0 ? (size_t)got : 0, kept = 0;

	if (fd != -1)
		close(fd);
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n' && i + 1 < n && (text[i + 1] == ' ' ||
		    text[i + 1] == '\t'))
			continue;
		text[kept++] = text[i];
		if (text[i] == '\n' && i + 1 < n && text[i + 1] == '\n')
			break;
	}
	while (kept > 0 && text[kept - 1] != '\n')
		kept--;
	return (struct slice){ text, kept };
}

static void
put_fields(struct smtp_text *t, struct slice header)
{
	const char *comma = "", *colon;
	struct slice line;

	while (smtp_cut(&header, '\n', &line) && line.n > 0 &&
	    (colon = memchr(line.p, ':', line.n)) != NULL) {
		smtp_puts(t, comma);
		smtp_puts(t, "[");
		smtp_put_json(t, smtp_trim((struct slice){ line.p,
		    (size_t)(colon - line.p) }));
		smtp_puts(t, ",");
		smtp_put_json(t, smtp_trim((struct slice){ colon + 1,
		    line.n - 1 - (size_t)(colon - line.p) }));
		smtp_puts(t, "]");
		comma = ",";
	}
}

/* The sender, and then the recipients. */
static void
put_envelope(struct smtp_text *t, struct client *c)
{
	struct slice all = smtp_written(&c->envelope), one;

	smtp_puts(t, json ? "{\"from\":" : "from=<");
	for (int i = 0; smtp_cut(&all, '\0', &one) && all.p != NULL; i++) {
		if (i > 0)
			smtp_puts(t, !json ? " to=<" : i == 1 ? ",\"to\":[" :
			    ",");
		if (json)
			smtp_put_json(t, one);
		else
			smtp_put(t, one);
		smtp_puts(t, json ? "" : ">");
	}
	smtp_puts(t, json ? "]" : "");
}

static void
put_pair(struct smtp_text *t, const char *key, struct slice value)
{
	smtp_puts(t, key);
	smtp_put_json(t, value);
}

/* Tell of a mail, in a line. */
static void
mail_tell(struct client *c)
{
	static char line[8 * HEADER];
	char path[4096 + sizeof(c->new)];
	struct smtp_text t = SMTP_TEXT(line), p = SMTP_TEXT(path);

	smtp_puts(&p, maildir);
	smtp_puts(&p, "/");
	smtp_puts(&p, c->new);
	put_envelope(&t, c);
	if (!json) {
		smtp_puts(&t, " ");
		smtp_put(&t, smtp_written(&p));
	} else {
		put_pair(&t, ",\"helo\":", (struct slice){ c->s.helo,
		    c->s.helo_n });
		put_pair(&t, ",\"user\":", (struct slice){ c->s.login,
		    c->s.login_n });
		smtp_puts(&t, ",\"size\":");
		smtp_put_number(&t, c->s.data.octets);
		put_pair(&t, ",\"path\":", smtp_written(&p));
		smtp_puts(&t, ",\"header\":[");
		put_fields(&t, mail_header(c->new));
		smtp_puts(&t, "]}");
	}
	smtp_puts(&t, "\n");
	(void)fwrite(line, 1, t.n, stdout);
	(void)fflush(stdout);
}

static enum smtp_reply
mail_begin(struct client *c)
{
	static unsigned long count;

	snprintf(c->new, sizeof(c->new), "new/%lld.P%ldQ%lu.localhost",
	    (long long)time(NULL), (long)getpid(), ++count);
	snprintf(c->tmp, sizeof(c->tmp), "tmp%s", c->new + 3);
	c->file = open(c->tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
	c->h.room = (struct smtp_room){ c->room, sizeof(c->room) };
	return c->file != -1 ? SMTP_YES : SMTP_CANT_CREATE;
}

static enum smtp_reply
mail_store(struct client *c)
{
	if (write(c->file, c->h.stored.p, c->h.stored.n) !=
	    (ssize_t)c->h.stored.n)
		return SMTP_NO_ROOM;
	c->h.room = (struct smtp_room){ c->room, sizeof(c->room) };
	return SMTP_YES;
}

static enum smtp_reply
mail_link(struct client *c)
{
	if (fsync(c->file) == -1 || link(c->tmp, c->new) == -1)
		return SMTP_FAULT;
	c->h.id = smtp_slice(c->new + 4);
	return SMTP_DELIVERED;
}

/* Delivered or not, what is in tmp/ has no use any more. */
static enum smtp_reply
mail_forget(struct client *c)
{
	if (c->file != -1)
		close(c->file);
	unlink(c->tmp);
	c->file = -1;
	return SMTP_YES;
}

/* Whether all of out was sent, or never will be. */
static bool
flushed(struct client *c)
{
	size_t left;
	ssize_t n;

	while (c->sent < c->h.out.n) {
		left = c->h.out.n - c->sent;
		n = write(c->fd, c->out + c->sent, left < c->may_send ? left :
		    (size_t)c->may_send);
		if (n == -1 && errno == EAGAIN)
			return false;
		if (n == -1)
			break;		/* it is gone; read(2) will tell */
		c->sent += (size_t)n;
		if (c->may_send != UINT64_MAX)
			c->may_send -= (uint64_t)n;
		if (c->may_send == 0) {
			shutdown(c->fd, SHUT_RDWR);
			break;
		}
	}
	c->sent = c->h.out.n = 0;
	return true;
}

/* With --faults: has the client to meet trouble?  What it has sent already is a
 * part of what is taken. */
static enum smtp_reply
meet(struct client *c)
{
	const struct smtp_trouble *t = &c->trouble;

	if (!c->looked) {
		c->looked = true;
		c->troubled = faults && smtp_trouble(&script, &c->s, &c->h,
		    &c->trouble);
		c->until = c->troubled ? now + (time_t)t->seconds : 0;
	}
	if (!c->troubled)
		return SMTP_YES;
	if (now < c->until) {
		(void)flushed(c);	/* no reply waits for it */
		return LATER;
	}
	c->troubled = false;
	c->until = 0;
	if (t->cut)
		c->may_send = c->h.out.n - c->sent + t->sent;
	if (t->stop) {
		if (c->h.in.n > t->taken)
			c->h.in.n = (size_t)t->taken;
		c->may_take = t->taken - c->h.in.n;
	}
	return smtp_trouble_answer(&c->s, t);
}

/* Are all mails there that were wanted? */
static bool
enough(void)
{
	return wanted > 0 && taken >= wanted;
}

static enum smtp_reply
answer_of(struct client *c)
{
	const enum smtp_reply trouble = c->ask == SMTP_FINISH ? SMTP_YES :
	    meet(c);

	if (trouble != SMTP_YES)
		return trouble;
	switch (c->ask) {
	case SMTP_FLUSH:
		return flushed(c) ? SMTP_YES : LATER;
	case SMTP_SENDER:
		c->envelope = SMTP_TEXT(c->text);
		return enough() ? SMTP_SHUTDOWN : mail_address(c);
	case SMTP_RCPT:
		return mail_address(c);
	case SMTP_CONNECT:
	case SMTP_HELO:
	case SMTP_VRFY:
	case SMTP_ETRN:
	case SMTP_PASSWORD:
		return SMTP_YES;
	case SMTP_BEGIN:
		return mail_begin(c);
	case SMTP_STORE:
		return mail_store(c);
	case SMTP_FORGET:
		return mail_forget(c);
	case SMTP_INPUT:
		flushed(c);
		return c->may_take == 0 ? SMTP_GONE : LATER;
	case SMTP_FINISH:
	case SMTP_CLOSE:
		flushed(c);		/* no reply waits for a sync */
		return LATER;		/* of deliver(), sweep() */
	default:
		return SMTP_FAULT;	/* nothing else is offered */
	}
}

/* Take an answer, and go on to a question that has none yet. */
static void
go_on(struct client *c, enum smtp_reply answer)
{
	while (answer != LATER) {
		c->ask = smtp_next(&c->s, &c->h, answer);
		c->looked = false;
		answer = answer_of(c);
	}
}

/* One read a round, so that who sends much holds up nobody. */
static void
hear(struct client *c)
{
	ssize_t n;

	c->since = now;
	go_on(c, answer_of(c));
	if (c->ask != SMTP_INPUT || c->h.out.n > 0)
		return;
	n = read(c->fd, c->in, sizeof(c->in) < c->may_take ? sizeof(c->in) :
	    (size_t)c->may_take);
	if (n == -1 && errno == EAGAIN)
		return;
	c->h.in = (struct slice){ c->in, n > 0 ? (size_t)n : 0 };
	if (c->may_take != UINT64_MAX)
		c->may_take -= c->h.in.n;
	go_on(c, n > 0 ? SMTP_YES : SMTP_GONE);
}

/* Send it away.  One that does not read what it is told is told no more. */
static void
dismiss(struct client *c, enum smtp_reply why)
{
	go_on(c, c->h.out.n > 0 ? SMTP_GONE : why);
	if (!flushed(c))
		c->h.out.n = c->sent;
}

static void
welcome(int listener)
{
	struct client *c = calloc(1, sizeof(*c));
	int fd = accept(listener, NULL, NULL);

	if (c == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) == -1) {
		close(fd);
		free(c);
		return;
	}
	c->fd = fd;
	c->file = -1;
	c->since = now;
	c->may_send = c->may_take = UINT64_MAX;
	c->h.out = SMTP_TEXT(c->out);
	c->h.terms = (struct smtp_terms){ .hostname = smtp_slice("localhost"),
	    .size = 50 << 20, .recipients = RECIPIENTS, .errors = 20,
	    .auth = true, .auth_now = true };
	clients[clients_n++] = c;
	go_on(c, SMTP_YES);
}

/* Link all that is complete, sync new/ once, answer.  Was there anything? */
static bool
deliver(void)
{
	struct client *c, *done[CLIENTS];
	size_t i, n = 0;
	bool synced;

	for (i = 0; i < clients_n; i++) {
		c = clients[i];
		if (c->ask != SMTP_FINISH)
			continue;
		c->answer = meet(c);
		if (c->answer != LATER)
			done[n++] = c;
	}
	for (i = 0; i < n; i++)
		if (done[i]->answer == SMTP_YES)
			done[i]->answer = mail_link(done[i]);
	synced = n > 0 && fsync(newdir) == 0;
	for (i = 0; i < n; i++) {
		c = done[i];
		if (c->answer == SMTP_DELIVERED && !synced) {
			unlink(c->new);
			c->answer = SMTP_FAULT;
		} else if (c->answer == SMTP_DELIVERED) {
			taken++;
			mail_tell(c);
		}
		go_on(c, c->answer);
	}
	return n > 0;
}

static void
sweep(void)
{
	struct client *c;
	size_t i = clients_n, n = 0;

	while (i-- > 0) {
		c = clients[i];
		if (c->ask != SMTP_CLOSE || !flushed(c))
			continue;
		/* what is not read would reset it, 421 and all */
		while (read(c->fd, c->in, sizeof(c->in)) > 0 && n < 1000)
			n++;
		close(c->fd);
		free(c);
		clients[i] = clients[--clients_n];
	}
}

/* Is this round the last?  Behind the last mail that was wanted a client may
 * say QUIT, for a while. */
static bool
is_last(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = t.tv_sec;
	if (enough() && (ends == 0 || ends > now + GRACE))
		ends = now + GRACE;
	return stopped || (ends != 0 && now >= ends) ||
	    (enough() && clients_n == 0);
}

/* A round; true if it was the last.  Of a signal poll(2) tells nothing new. */
static bool
serve(int listener)
{
	static struct pollfd p[CLIENTS + 1];
	struct client *c;
	size_t i;
	bool last;

	for (i = 0; i < clients_n; i++)
		p[i] = (struct pollfd){ .fd = clients[i]->fd, .events =
		    clients[i]->h.out.n > 0 ? POLLOUT :
		    clients[i]->until > 0 ? 0 : POLLIN };
	p[i] = (struct pollfd){ .fd = enough() ? -1 : listener,
	    .events = POLLIN };
	poll(p, (nfds_t)(clients_n + (clients_n < CLIENTS)),
	    enough() && clients_n == 0 ? 0 : 1000);
	last = is_last();
	for (i = 0; i < clients_n; i++) {
		c = clients[i];
		if (last)
			dismiss(c, SMTP_SHUTDOWN);
		else if (c->until > 0 && now >= c->until)
			go_on(c, answer_of(c));
		else if (p[i].revents != 0)
			hear(c);
		else if (now - c->since >= PATIENCE)
			dismiss(c, SMTP_TIMEOUT);
		else if (c->h.patience > 0 && now - c->since >= c->h.patience)
			go_on(c, SMTP_LATE);
	}
	if (!last && p[i].revents != 0)
		welcome(listener);
	while (deliver())
		continue;	/* what is behind it may be the next one */
	sweep();
	return last;
}

static void
stop(int signal)
{
	stopped = signal;
}

/* Where it is said: an address with a port, or a port of this machine. */
static socklen_t
place(const char *where, struct sockaddr_storage *a)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
	unsigned char ip[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
	uint64_t number = 0;
	unsigned port = 0;

	if (smtp_parse_number(smtp_slice(where), 65536, &number) == SMTP_OK)
		port = (unsigned)number;
	else if (smtp_parse_server(smtp_slice(where), ip, &port) != SMTP_OK)
		port = 65536;
	if (port > 65535)
		errx(64, "-p %s: neither PORT nor ADDRESS:PORT", where);
	if (ip[10] == 0xff && ip[11] == 0xff) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((in_port_t)port);
		memcpy(&v4->sin_addr, ip + 12, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((in_port_t)port);
	memcpy(&v6->sin6_addr, ip, 16);
	return sizeof(*v6);
}

static int
listener_at(const char *where)
{
	struct sockaddr_storage a = { 0 };
	socklen_t n = place(where, &a);
	const struct sockaddr_in *v4 = a.ss_family == AF_INET ?
	    (struct sockaddr_in *)&a : NULL;
	const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
	char host[INET6_ADDRSTRLEN];
	int fd = socket(a.ss_family, SOCK_STREAM, 0), on = 1;

	if (fd == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&a, n) == -1 ||
	    listen(fd, CLIENTS) == -1 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) == -1 ||
	    inet_ntop(a.ss_family, v4 ? (const void *)&v4->sin_addr :
	    &v6->sin6_addr, host, sizeof(host)) == NULL)
		err(1, "%s", where);
	printf("listening on %s%s%s:%u\n", v4 ? "" : "[", host, v4 ? "" : "]",
	    (unsigned)ntohs(v4 ? v4->sin_port : v6->sin6_port));
	return fd;
}

static uint64_t
number(const char *option, const char *value)
{
	uint64_t n = 0;

	if (smtp_parse_number(smtp_slice(value), 1 << 30, &n) != SMTP_OK ||
	    n == 0)
		errx(64, "%s %s: not a number above 0", option, value);
	return n;
}

static _Noreturn void
usage(void)
{
	errx(64, "usage: smtpsink [-p [ADDRESS:]PORT] [--json] [--once N] "
	    "[--timeout SECONDS] [--faults[=FILE]] [DIR]");
}

/* What trouble is asked for; of no file, by addresses only. */
static void
faults_of(const char *path)
{
	static char text[16 * 1024];
	const int fd = path == NULL ? -1 : open(path, O_RDONLY);
	const ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof(text));
	uint64_t line;

	faults = true;
	if (path != NULL && (fd == -1 || n == -1))
		err(1, "%s", path);
	if (n == sizeof(text))
		errx(1, "%s: too long", path);
	script.text = (struct slice){ text, (size_t)n };
	line = smtp_script_wrong(script.text);
	if (line > 0)
		errx(64, "%s:%llu: not a step, and what is to come of it",
		    path, (unsigned long long)line);
	if (fd != -1)
		close(fd);
}

/* A regular file behind --faults is the script: DIR is none. */
static bool
is_file(const char *path)
{
	struct stat st;

	return path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The options; where it is to listen. */
static const char *
options(int argc, char *argv[])
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "once", required_argument, NULL, 'o' },
		{ "timeout", required_argument, NULL, 't' },
		{ "faults", optional_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 }
	};
	const char *where = "2525";
	struct timespec t;
	int c;

	clock_gettime(CLOCK_MONOTONIC, &t);
	while ((c = getopt_long(argc, argv, "p:", longs, NULL)) != -1) {
		if (c == 'p')
			where = optarg;
		else if (c == 'j')
			json = true;
		else if (c == 'o')
			wanted = number("--once", optarg);
		else if (c == 't')
			ends = t.tv_sec + (time_t)number("--timeout", optarg);
		else if (c == 'f')
			faults_of(optarg != NULL || !is_file(argv[optind]) ?
			    optarg : argv[optind++]);
		else
			usage();
	}
	if (argc - optind > 1)
		usage();
	maildir = optind < argc ? argv[optind] : "sink";
	return where;
}

int
main(int argc, char *argv[])
{
	const char *where = options(argc, argv);
	int listener;

	mkdir(maildir, 0700);
	if (chdir(maildir) == -1)
		err(1, "%s", maildir);
	mkdir("tmp", 0700);
	mkdir("cur", 0700);
	mkdir("new", 0700);
	newdir = open("new", O_RDONLY);
	if (newdir == -1)
		err(1, "%s/new", maildir);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);	/* write(2) tells, too */
	setvbuf(stdout, NULL, _IOLBF, 0);
	listener = listener_at(where);
	while (!serve(listener))
		continue;
	return !stopped && !enough() && ends != 0;
}
