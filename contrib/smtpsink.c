/*
 * smtpsink - take mail for anyone, and keep it in a Maildir.
 *
 * One process for hundreds of clients at once, at 127.0.0.1: to test what sends
 * mail.  A message is stored as it came, once for all its recipients; a line on
 * standard output tells its envelope and its file.  SIGTERM ends it.
 *
 * The language is smtp_parse's.  smtpd, its other host, may wait at any
 * question, for it serves one client.  This one waits in poll(2) only: a
 * session whose answer is not there yet is put aside.  So all messages that
 * are complete in one round are linked into new/, and new/ is synced once for
 * all of them, before any gets its 250.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "smtp_parse.h"

#define PATIENCE 300		/* seconds without a sign of life */
#define CLIENTS 500		/* at once, of two descriptors; others wait */
#define LATER SMTP_ANSWERS	/* an answer that is not there yet */

struct client {
	int		 fd;
	int		 file;		/* in tmp/; -1: none */
	time_t		 since;		/* when it was last heard of */
	enum smtp_ask	 ask;		/* the open question, ... */
	enum smtp_reply	 answer;	/* ... and, of FINISH, its answer */
	size_t		 sent;		/* of what is in out */
	struct smtp_text envelope;	/* what does not fit is not told */
	struct smtp_session s;
	struct smtp_host h;
	char		 tmp[80], new[80];	/* the mail's two places */
	char		 text[8192], in[16384], out[4096], room[16384];
};

static struct client *clients[CLIENTS];
static size_t clients_n;
static time_t now;		/* of a clock that nobody sets */
static const char *maildir;
static int newdir;
static volatile sig_atomic_t stopped;

static enum smtp_reply
mail_address(struct client *c, const char *field)
{
	smtp_puts(&c->envelope, field);
	smtp_put_address(&c->envelope, c->h.path.local, c->h.path.domain);
	smtp_puts(&c->envelope, ">");
	return SMTP_YES;
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
	ssize_t n;

	while (c->sent < c->h.out.n) {
		n = write(c->fd, c->out + c->sent, c->h.out.n - c->sent);
		if (n == -1 && errno == EAGAIN)
			return false;
		if (n == -1)
			break;		/* it is gone; read(2) will tell */
		c->sent += (size_t)n;
	}
	c->sent = c->h.out.n = 0;
	return true;
}

static enum smtp_reply
answer_of(struct client *c)
{
	switch (c->ask) {
	case SMTP_FLUSH:
		return flushed(c) ? SMTP_YES : LATER;
	case SMTP_SENDER:
		c->envelope = SMTP_TEXT(c->text);
		return mail_address(c, "from=<");
	case SMTP_RCPT:
		return mail_address(c, " to=<");
	case SMTP_VRFY:
		return SMTP_YES;
	case SMTP_BEGIN:
		return mail_begin(c);
	case SMTP_STORE:
		return mail_store(c);
	case SMTP_FORGET:
		return mail_forget(c);
	case SMTP_INPUT:
	case SMTP_FINISH:
	case SMTP_CLOSE:
		flushed(c);		/* no reply waits for a sync */
		return LATER;		/* of hear(), deliver(), sweep() */
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
	n = read(c->fd, c->in, sizeof(c->in));
	if (n == -1 && errno == EAGAIN)
		return;
	c->h.in = (struct slice){ c->in, n > 0 ? (size_t)n : 0 };
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
	c->h.out = SMTP_TEXT(c->out);
	c->h.terms = (struct smtp_terms){ .hostname = smtp_slice("localhost"),
	    .size = 50 << 20, .recipients = 100, .errors = 20 };
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

	for (i = 0; i < clients_n; i++)
		if (clients[i]->ask == SMTP_FINISH)
			done[n++] = clients[i];
	for (i = 0; i < n; i++)
		done[i]->answer = mail_link(done[i]);
	synced = n > 0 && fsync(newdir) == 0;
	for (i = 0; i < n; i++) {
		c = done[i];
		if (c->answer == SMTP_DELIVERED && !synced) {
			unlink(c->new);
			c->answer = SMTP_FAULT;
		} else if (c->answer == SMTP_DELIVERED) {
			printf("%.*s %s/%s\n", (int)c->envelope.n, c->text,
			    maildir, c->new);
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

/* A round; true if it was the last.  Of a signal poll(2) tells nothing new. */
static bool
serve(int listener)
{
	static struct pollfd p[CLIENTS + 1];
	struct timespec t;
	struct client *c;
	size_t i;
	bool last;

	for (i = 0; i < clients_n; i++)
		p[i] = (struct pollfd){ .fd = clients[i]->fd, .events =
		    clients[i]->h.out.n > 0 ? POLLOUT : POLLIN };
	p[i] = (struct pollfd){ .fd = listener, .events = POLLIN };
	poll(p, (nfds_t)(clients_n + (clients_n < CLIENTS)), 1000);
	last = stopped;
	clock_gettime(CLOCK_MONOTONIC, &t);
	now = t.tv_sec;
	for (i = 0; i < clients_n; i++) {
		c = clients[i];
		if (last)
			dismiss(c, SMTP_SHUTDOWN);
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

static int
listener_at(in_port_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&a, n) == -1 ||
	    listen(fd, CLIENTS) == -1 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) == -1)
		err(1, "127.0.0.1");
	printf("listening on 127.0.0.1:%u\n", (unsigned)ntohs(a.sin_port));
	return fd;
}

int
main(int argc, char *argv[])
{
	uint64_t port = 2525;
	int c, listener;

	while ((c = getopt(argc, argv, "p:")) != -1)
		if (c != 'p' || smtp_parse_number(smtp_slice(optarg), 65536,
		    &port) != SMTP_OK)
			port = 65536;
	if (port > 65535 || argc - optind != 1)
		errx(64, "usage: smtpsink [-p PORT] MAILDIR");
	maildir = argv[optind];
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
	listener = listener_at((in_port_t)port);
	while (!serve(listener))
		continue;
	return 0;
}
