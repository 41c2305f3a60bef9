/*
 * smtpd - receive mail on stdin/stdout and deliver it.
 *
 * One process serves one client and exits, so memory is never freed on
 * the way out; what must not outlive us is a file in tmp/, a program that
 * was started and a line of the log, and session_end(), which runs at every
 * exit, takes care of them.
 *
 * Nothing is sized by the client: every buffer is static, its limit named,
 * and a page of it that no client fills is never touched.
 *
 * The sections, lowest first; nothing calls downwards:
 *
 *    1 conf      options and limits; constant once main() has read them
 *    2 wait      the one place where we do, signals, the watchdog
 *    3 peer      who the client is, and what stdin and stderr are
 *    4 log       key=value lines to stderr or syslog, and the way out
 *    5 reply     every sentence we can say
 *    6 net       one buffer each way, all timeouts of the connection
 *    7 message   the mail being received: its envelope, header and file
 *    8 maildir   which directory, and how it gets there for good
 *    9 helper    programs we start: environment, descriptors, waiting
 *   10 program   a message handed to one
 *   11 policy    a policy server's word
 *   12 auth      a checkpassword program's word
 *   13 tls       the launcher's, by UCSPI-TLS
 *   14 lists     whose mail we take: domains and users, in mapped files
 *   15 session   one function per verb, in the order a client says them
 *   16 commands  the table, dispatch, the loop
 *   17 options   one table for command line, file, --help and man page
 *   18 main
 *
 * To follow a mail, start at main() at the end and read upwards; or read
 * commands[] and then do_mail, do_rcpt, do_data, maildir_commit.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "smtp_parse.h"

/* ---- 1. conf: options and limits --------------------------------------- */

#ifndef VERSION
#define VERSION "unknown"
#endif
#ifndef SESSION_SECONDS
#define SESSION_SECONDS 7200	/* the longest session */
#endif
#ifndef AUTH_SECONDS
#define AUTH_SECONDS 60	/* for a checkpassword program */
#endif
#ifndef POLICY_SECONDS
#define POLICY_SECONDS 30	/* for a policy server to answer */
#endif
#ifndef WATCHDOG_SECONDS
#define WATCHDOG_SECONDS 3600	/* for a single call, before we are ended */
#endif
#ifndef RATE_SECONDS
#define RATE_SECONDS 300	/* over which DATA must keep up ... */
#endif

enum {
	RATE_OCTETS = 100,	/* ... this many octets a second */
	BYE_SECONDS = 5,	/* for a client to take its 421 */
	KILL_SECONDS = 5,	/* for a program to be gone once it is killed */
	BARE_SECONDS = 1,	/* for what follows a bare LF, if anything */
	OPENING_SECONDS = 1,	/* is an empty line one, or PROXY v2? */
	PROXY_SECONDS = 5,	/* for a PROXY header */
	HELO_MAX = 255,
	PREPENDED_MAX = 2048,
	HOPS_MAX = 100,		/* Received or Delivered-To lines: a loop
				 * (5321, 6.3) */
	JUNK_MAX = 100,		/* NOOPs and the like that make one error */
	RECIPIENTS_MAX = 10000,
	DOMAINS_MAX = 256,
	ARGUMENTS_MAX = 128 * 1024,	/* of a program, all of them */
	PROGRAM_ARGS_MAX = 256,		/* as given on our command line */
	ENVIRONMENT_MAX = 16 * 1024,
	IN_SIZE = 64 * 1024,	/* page-aligned 64 KiB reads are fastest */
	OUT_SIZE = 32 * 1024,	/* replies to some 800 pipelined RCPTs */
	POOL_SIZE = (RECIPIENTS_MAX + 1) * SMTP_MAILBOX_MAX
};

#ifndef POLLRDHUP
#define POLLRDHUP 0	/* Linux has it: the client will send no more */
#endif

#define SAFE_PATH "/usr/local/bin:/usr/bin:/bin"

enum exit_status {
	EXIT_LEFT = 0,		/* the client left properly */
	EXIT_BROKEN = 1,	/* in the middle, or was sent away */
	EXIT_OPTION = 64,
	EXIT_DEFERRED = 75,	/* something failed for a fault of ours */
	EXIT_CONFIG = 78
};

static pid_t own_pid;

enum log_where { TO_FIND_OUT, TO_STDERR, TO_SYSLOG, TO_NOWHERE };

struct words {			/* a program and its arguments */
	char		 text[1024];
	char		*argv[64];
};

static struct slice domains[DOMAINS_MAX];
static struct words policy_program, auth_program;

static struct {
	size_t		 domains;	/* how many */
	const char	*maildir;
	char		*const *program;	/* NULL: none */
	bool		 program_once;	/* for all recipients together */
	uint64_t	 program_timeout;
	const char	*spool;
	const char	*sync;		/* NULL: no */
	const char	*policy;	/* NULL: none */
	unsigned char	 policy_ip[16];
	unsigned	 policy_port;	/* 0: no address, a path */
	const char	*auth;		/* NULL: none */
	const char	*proxy;		/* networks; NULL: none */
	const char	*xclient;
	const char	*auth_clear;
	bool		 secured;
	bool		 require_tls;
	bool		 require_auth;
	const char	*users;
	const char	*hostname;
	const char	*label;		/* NULL: off */
	uint64_t	 size;		/* 0: no limit */
	uint64_t	 recipients;
	uint64_t	 timeout;
	uint64_t	 errors;
	enum log_where	 log;
	char		 delimiter;	/* 0: none */
	bool		 lmtp;
	bool		 normalize;
	bool		 relay;
	bool		 verbose;
	bool		 test;
	bool		 no_domain;	/* none was given, and we have none */
} conf = {
	.label = "unknown-8bit",
	.size = 50 * 1024 * 1024,
	.recipients = 1000,
	.timeout = 300,
	.program_timeout = 300,
	.errors = 20,
	.delimiter = '+',
};

/* ---- 2. wait: the one place where we do --------------------------------- */

/*
 * Signals are blocked everywhere but in ppoll(2): none is lost between a look
 * and a wait, and none comes between the dot and its reply.  Where a single
 * call blocks for good, on the server of a network file system that is dead,
 * alarm(2) ends the session, an hour after it last came by here.
 */
static volatile sig_atomic_t terminated;	/* SIGTERM has come */
static volatile sig_atomic_t woken;	/* another that ends a call has */

static struct {
	sigset_t	 mask;		/* while we wait: nothing is blocked */
	int64_t		 armed;		/* when the alarm was set */
	bool		 timer;		/* it is set to something else */
} waiting;

static void
on_signal(int sig)
{
	if (sig == SIGALRM || sig == SIGCHLD)
		woken = 1;
	else
		terminated = 1;
}

static void
signal_set(int sig, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler };

	sigaction(sig, &sa, NULL);
}

/* Milliseconds, of a clock that nobody sets. */
static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
watchdog_set(int64_t now)
{
	waiting.armed = now;
	alarm(WATCHDOG_SECONDS);
}

/* No call blocks longer than so many milliseconds, up to timer_end(). */
static void
timer_begin(int ms)
{
	const struct itimerval t = { { 0, 50 * 1000 },
	    { ms / 1000, ms % 1000 * 1000 } };

	waiting.timer = true;
	woken = 0;
	signal_set(SIGALRM, on_signal);
	setitimer(ITIMER_REAL, &t, NULL);
}

static void
timer_end(void)
{
	watchdog_set(now_ms());
	signal_set(SIGALRM, SIG_DFL);
	waiting.timer = false;
}

/*
 * Wait for descriptors, or for none, until a time: above 0 if one is ready, 0
 * when it is too late, below 0 for a signal, such as the end of a program.
 */
static int
wait_until(struct pollfd *p, nfds_t n, int64_t until)
{
	enum { OFTEN = WATCHDOG_SECONDS * 1000 / 60 };
	int64_t now = now_ms(), left;
	struct timespec t;
	int rc;

	for (;; now = now_ms()) {
		if (!waiting.timer && now - waiting.armed >= OFTEN)
			watchdog_set(now);
		left = until > now ? until - now : 0;
		if (left > OFTEN)
			left = OFTEN;
		t.tv_sec = (time_t)(left / 1000);
		t.tv_nsec = (long)(left % 1000) * 1000000;
		rc = ppoll(p, n, &t, &waiting.mask);
		if (rc > 0 || (rc == -1 && errno == EINTR))
			return rc;
		if (rc == -1 || until <= now + left)
			return 0;
	}
}

/* Has a signal come that ends us?  Where something is always ready, none gets
 * in by ppoll(2), so nothing is waited for here. */
static bool
termination_pending(void)
{
	(void)wait_until(NULL, 0, 0);
	return terminated;
}

static void
signals_set(void)
{
	static const int ending[] = { SIGTERM, SIGINT, SIGHUP };
	sigset_t block;

	sigemptyset(&waiting.mask);
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
		sigaddset(&block, ending[i]);
		signal_set(ending[i], on_signal);
	}
	sigprocmask(SIG_SETMASK, &block, NULL);
	signal_set(SIGPIPE, SIG_IGN);
	signal_set(SIGXFSZ, SIG_IGN);	/* a limit is EFBIG, not death */
	signal_set(SIGALRM, SIG_DFL);
	own_pid = getpid();
}

/* ---- 3. peer: who the client is ---------------------------------------- */

/*
 * The launcher's word, see smtp_launched(), comes before the kernel's, for
 * stunnel's children all see 127.0.0.1 as their peer.  No address grants
 * anything by itself.
 */
static struct {
	bool		 by_hand;	/* no socket, no launcher */
	bool		 terminal;	/* by hand, at a terminal */
	bool		 socket;	/* fd 1 is one */
	bool		 socket_in;	/* fd 0 is one */
	bool		 file;		/* fd 1 is one: it never blocks */
	bool		 no_stderr;	/* fd 2 was the connection, or shut */
	mode_t		 stderr_mode;	/* what it is, as st_mode has it */
	bool		 unix_socket;	/* fd 0 is one of this machine's */
	bool		 listening;	/* fd 0 is no connection at all */
	bool		 local;		/* by hand, or by a UNIX socket */
	bool		 relay_client;	/* RELAYCLIENT is set, and holds */
	struct slice	 address;	/* empty: unknown */
	struct slice	 port;
	struct slice	 name;
	unsigned char	 ip[16];	/* address, once more */
	bool		 ipv6;
	bool		 tls;		/* what it sends is encrypted */
	struct slice	 tls_version;	/* empty: unknown */
	struct slice	 tls_cipher;
	struct slice	 login;		/* who it is, by AUTH or XCLIENT */
	const char	*login_method;
	struct slice	 server;	/* our own address; empty: unknown */
	struct slice	 server_port;
	char		 text[INET6_ADDRSTRLEN];
	char		 digits[8];
	char		 name_text[SMTP_DOMAIN_MAX];
	char		 login_text[512];
	char		 tls_text[2][SMTP_TLS_WORD_MAX];
	char		 server_text[INET6_ADDRSTRLEN];
	char		 server_digits[8];
	const char	*skipped[8];	/* variables that did not parse */
	size_t		 nskipped;
} peer = { .login_method = "" };

extern char **environ;		/* in no header of POSIX's */

static struct smtp_launched launched;

static const char *
peer_env(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : NULL;
}

static const unsigned char ip_mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool
ip_is_v4(const unsigned char ip[16])
{
	return memcmp(ip, ip_mapped, sizeof(ip_mapped)) == 0;
}

/* Write an address of 16 octets, IPv4-mapped ones as IPv4. */
static struct slice
ip_text(const unsigned char ip[16], char text[INET6_ADDRSTRLEN])
{
	bool v4 = ip_is_v4(ip);

	return smtp_slice(inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip + 12 : ip,
	    text, INET6_ADDRSTRLEN) != NULL ? text : "");
}

static struct slice
port_text(unsigned port, char digits[8])
{
	struct smtp_text t = { digits, 8, 0, false };

	smtp_put_number(&t, port);
	return smtp_written(&t);
}

/* The text itself lies in a buffer that goes on. */
static struct slice
keep_text(struct slice s, char buf[SMTP_TLS_WORD_MAX])
{
	struct smtp_text t = { buf, SMTP_TLS_WORD_MAX, 0, false };

	smtp_put(&t, s);
	return smtp_written(&t);
}

static void
peer_keep(const unsigned char ip[16])
{
	memcpy(peer.ip, ip, sizeof(peer.ip));
	peer.ipv6 = !ip_is_v4(ip);
	peer.address = ip_text(ip, peer.text);
}

static void
peer_keep_server(const unsigned char ip[16], unsigned port)
{
	peer.server = ip_text(ip, peer.server_text);
	peer.server_port = port_text(port, peer.server_digits);
}

static void
peer_skip(const char *name)
{
	if (peer.nskipped < sizeof(peer.skipped) / sizeof(peer.skipped[0]))
		peer.skipped[peer.nskipped++] = name;
}

union endpoint {
	struct sockaddr_storage	room;
	struct sockaddr		any;
	struct sockaddr_in	v4;
	struct sockaddr_in6	v6;
	struct sockaddr_un	un;
};

/* The address and port of one end of the connection. */
static bool
socket_end(int (*get)(int, struct sockaddr *, socklen_t *),
    unsigned char ip[16], unsigned *port)
{
	union endpoint sa;
	socklen_t n = sizeof(sa);

	if (get(0, &sa.any, &n) == -1)
		return false;
	peer.unix_socket = sa.any.sa_family == AF_UNIX;
	if (sa.any.sa_family == AF_INET) {
		memcpy(ip, ip_mapped, sizeof(ip_mapped));
		memcpy(ip + 12, &sa.v4.sin_addr, 4);
		*port = ntohs(sa.v4.sin_port);
	} else if (sa.any.sa_family == AF_INET6) {
		memcpy(ip, &sa.v6.sin6_addr, 16);
		*port = ntohs(sa.v6.sin6_port);
	} else
		return false;
	return true;
}

static void
peer_from_socket(void)
{
	socklen_t n = sizeof(int);
	unsigned char ip[16];
	int listening = 0;
	unsigned port;

	if (socket_end(getpeername, ip, &port)) {
		peer_keep(ip);
		peer.port = port_text(port, peer.digits);
	} else if (!peer.unix_socket && getsockopt(0, SOL_SOCKET,
	    SO_ACCEPTCONN, &listening, &n) == 0)
		peer.listening = listening != 0;
}

/* Our own address is told to a policy server, and to no one else. */
static void
peer_find_server(void)
{
	unsigned char ip[16];
	unsigned port;

	if (launched.server)
		peer_keep_server(launched.server_ip, launched.server_port);
	else if (socket_end(getsockname, ip, &port))
		peer_keep_server(ip, port);
}

/* May it send to any domain?  Into Maildirs what it may is no more than its
 * own word, or a neighbour's: there only --relay opens foreign domains. */
static bool
peer_relays(void)
{
	return conf.relay || (conf.maildir == NULL &&
	    (peer.relay_client || peer.login.n > 0));
}

static void
peer_find(void)
{
	peer.relay_client = launched.relay;
	peer.tls = conf.secured;
	if (launched.client) {
		peer_keep(launched.ip);
		peer.port = launched.port;
		peer.name = launched.name;
	} else
		peer_from_socket();
	for (size_t i = 0; i < launched.nskipped; i++)
		peer_skip(launched.skipped[i]);
	/* who is named, though not so that we understand it, is not from here */
	peer.local = peer.address.n == 0 && (peer.by_hand ||
	    (peer.unix_socket && !launched.named));
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * See what descriptors 0 to 2 are.  From here on fd 2 is never the
 * connection: under most inetds it is when we start, and whatever the C
 * library or a program of ours wrote there, the client would read as a reply.
 */
static void
peer_descriptors(void)
{
	struct stat st[3] = { 0 };
	bool same;
	int null, one = 1;

	smtp_launched(environ, &launched);
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st[fd]) == -1 && errno == EBADF) {
			peer.no_stderr = fd == 2;
			if (open("/dev/null", O_RDWR) != fd)
				_exit(EXIT_DEFERRED);
		}
	peer.by_hand = !S_ISSOCK(st[0].st_mode) && !launched.any;
	peer.terminal = peer.by_hand && isatty(0) && isatty(1);
	peer.socket_in = S_ISSOCK(st[0].st_mode);
	peer.socket = S_ISSOCK(st[1].st_mode);
	peer.file = S_ISREG(st[1].st_mode);
	peer.stderr_mode = st[2].st_mode;
	same = st[2].st_ino != 0 &&
	    (same_file(&st[2], &st[0]) || same_file(&st[2], &st[1]));
	/* a person's terminal may well be all three, and so may /dev/null */
	if (S_ISCHR(st[2].st_mode) && !(launched.any && isatty(2)))
		same = false;
	if (same) {
		peer.no_stderr = true;
		null = open("/dev/null", O_WRONLY);
		if (null == -1 || dup2(null, 2) == -1)
			_exit(EXIT_DEFERRED);
		close(null);
	}
	if (peer.socket)
		(void)setsockopt(1, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
}

/* ---- 4. log: what is told, and to whom --------------------------------- */

/*
 * One line a message, one a refusal, one a session.  Nothing of it ever
 * reaches the client; octets of the client's are escaped in smtp_put_escaped().
 *
 * Lines wait in a queue until we are about to wait for the client, so that no
 * log stands between a dot and its reply.  Then a log that does not take them
 * is given a second; what it has not taken by then is dropped, and counted.
 */
enum {
	LOG_LINE = 4096,	/* with its end: a pipe keeps that together */
	LOG_QUEUE = 16 * 1024,
	LOG_PATIENCE = 1000,	/* milliseconds */
	LOG_GLANCE = 50,
	REFUSALS_LOGGED = 100	/* of a session; the others are counted */
};

#define LOG_CUT " cut=yes"

static char log_line[LOG_LINE];
static char log_queue[LOG_QUEUE];	/* lines, a priority before each */

static struct {
	struct smtp_text	 line;		/* the one being made */
	bool			 cut;		/* some of it did not fit */
	int			 priority;
	size_t			 queued;	/* octets */
	uint64_t		 missing;	/* lines that were dropped */
	bool			 stuck;		/* the last wait was in vain */
	bool			 full;		/* it takes nothing now */
	bool			 slow;		/* a write may take its time */
	bool			 open;		/* where is settled */
	bool			 faults_only;
	bool			 prefix;	/* <N>, for the journal */
	enum log_where		 where;
	/* the session, for its line at the end */
	int64_t			 began;
	uint64_t		 messages;
	uint64_t		 refused;	/* messages */
	uint64_t		 refusals;	/* of whatever */
	uint64_t		 notes;		/* of what was accepted */
	unsigned		 lenient;	/* SMTP_LENIENT_ bits */
	bool			 deferred;
	void			(*unfinished)(void);	/* see message_end() */
	/* the message that is under way, for its faults */
	struct slice		 id;
	const char		*mailbox;
} logged;

/* Does JOURNAL_STREAM name fd 2? (systemd.exec(5)) */
static bool
log_is_journal(void)
{
	const char *v = peer_env("JOURNAL_STREAM");
	char want[48];
	struct smtp_text t = SMTP_TEXT(want);
	struct stat st;

	if (v == NULL || fstat(2, &st) == -1)
		return false;
	smtp_put_number(&t, (uint64_t)st.st_dev);
	smtp_puts(&t, ":");
	smtp_put_number(&t, (uint64_t)st.st_ino);
	return smtp_is(smtp_written(&t), v);
}

static void
log_open(void)
{
	logged.open = true;
	logged.where = conf.log != TO_FIND_OUT ? conf.log : TO_STDERR;
	/* a person is told of faults, and else sees what happens */
	logged.faults_only = conf.log == TO_FIND_OUT && peer.terminal &&
	    !conf.verbose;
	if (logged.where == TO_STDERR && peer.no_stderr)
		logged.where = TO_SYSLOG;
	if (logged.where == TO_STDERR) {
		logged.prefix = log_is_journal();
		logged.slow = S_ISFIFO(peer.stderr_mode) ||
		    S_ISSOCK(peer.stderr_mode) ||
		    (S_ISCHR(peer.stderr_mode) && isatty(2));
	} else if (logged.where == TO_SYSLOG)
		openlog("smtpd", LOG_PID, LOG_MAIL);
}

/* A line with its newline goes out; false if it does not by then.  Nobody is
 * there to be told of an error but the next line. */
static bool
log_write(int priority, struct slice line, int64_t until)
{
	const bool socket = S_ISSOCK(peer.stderr_mode);
	struct pollfd p = { .fd = 2, .events = POLLOUT };
	ssize_t n;

	if (logged.where == TO_SYSLOG) {
		syslog(priority, "%.*s", (int)line.n - 1, line.p);
		return !woken;
	}
	while (line.n > 0) {
		if (logged.slow && wait_until(&p, 1, until) <= 0) {
			if (now_ms() >= until)
				return false;
			continue;
		}
		n = socket ? send(2, line.p, line.n, MSG_DONTWAIT |
		    MSG_NOSIGNAL) : write(2, line.p, line.n);
		if (n > 0)
			line = (struct slice){ line.p + n, line.n - (size_t)n };
		else if (n == -1 && errno != EAGAIN && errno != EINTR) {
			logged.missing++;
			return true;
		}
	}
	return true;
}

static void
log_head(struct smtp_text *t, int priority)
{
	if (logged.where == TO_STDERR) {
		smtp_puts(t, logged.prefix ? "<" : "smtpd[");
		smtp_put_number(t, logged.prefix ? (uint64_t)priority :
		    (uint64_t)own_pid);
		smtp_puts(t, logged.prefix ? ">" : "]: ");
	}
}

/* Say how many lines are missing; false if that is not to be said, either. */
static bool
log_missing(int64_t until)
{
	char buf[80];
	struct smtp_text t = SMTP_TEXT(buf);

	if (logged.missing == 0)
		return true;
	log_head(&t, LOG_WARNING);
	smtp_puts(&t, "missing lines=");
	smtp_put_number(&t, logged.missing);
	smtp_puts(&t, "\n");
	if (!log_write(LOG_WARNING, smtp_written(&t), until))
		return false;
	logged.missing = 0;
	return true;
}

/* Count the lines of the queue that will never be written, and forget them. */
static void
log_drop(struct slice queue)
{
	for (; queue.n > 0; queue.n--)
		logged.missing += queue.p[queue.n - 1] == '\n';
	logged.queued = 0;
}

/*
 * Write what is queued: as much as a log takes at once, or, with patience, in a
 * second; and then the rest is dropped.  Where another process has taken the
 * room in a pipe between our look and our write, or a syslog does not read, a
 * timer ends the call.
 */
static void
log_flush(bool patience)
{
	const bool guard = logged.where == TO_SYSLOG ||
	    (logged.slow && !S_ISSOCK(peer.stderr_mode));
	struct slice queue = { log_queue, logged.queued }, line;
	const bool wait = patience && !logged.stuck;
	int64_t until = now_ms() + (wait ? LOG_PATIENCE : 0);
	bool well;

	if (queue.n == 0 || (!patience && logged.full))
		return;
	if (guard)
		timer_begin(wait ? LOG_PATIENCE : LOG_GLANCE);
	for (well = log_missing(until); well && queue.n > 0;) {
		line = (struct slice){ queue.p + 1, queue.n - 1 };
		line.n = (size_t)((const char *)memchr(line.p, '\n', line.n) -
		    line.p) + 1;
		well = log_write(queue.p[0], line, until);
		if (well)
			queue = (struct slice){ line.p + line.n,
			    queue.n - line.n - 1 };
	}
	if (guard)
		timer_end();
	logged.stuck = !well && (patience || logged.stuck);
	logged.full = !well;
	memmove(log_queue, queue.p, queue.n);
	logged.queued = queue.n;
	if (patience)
		log_drop((struct slice){ log_queue, queue.n });
}

static void
log_begin(int priority, const char *event)
{
	if (!logged.open)
		log_open();
	/* room is kept for the sign of a cut, and the newline */
	logged.line = SMTP_TEXT(log_line);
	logged.line.size -= sizeof(LOG_CUT);
	logged.cut = false;
	logged.priority = priority;
	log_head(&logged.line, priority);
	smtp_puts(&logged.line, event);
}

static void
log_end(void)
{
	struct smtp_text *t = &logged.line;

	t->size += sizeof(LOG_CUT);
	if (logged.cut)
		smtp_puts(t, LOG_CUT);
	smtp_puts(t, "\n");
	if (logged.where == TO_NOWHERE ||
	    (logged.faults_only && logged.priority != LOG_ERR))
		return;
	if (t->n + 1 > sizeof(log_queue) - logged.queued)
		log_flush(false);
	if (t->n + 1 > sizeof(log_queue) - logged.queued) {
		logged.missing++;
		return;
	}
	log_queue[logged.queued] = (char)logged.priority;
	memcpy(log_queue + logged.queued + 1, t->p, t->n);
	logged.queued += t->n + 1;
}

/* " key=value": as it is, or quoted and escaped; all of it, or nothing. */
static void
log_pair(const char *key, struct slice value, bool quoted)
{
	struct smtp_text *t = &logged.line, before = *t;

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
		logged.cut = true;
	}
}

/* A value from outside. */
static void
log_quoted(const char *key, struct slice value)
{
	log_pair(key, value, true);
}

/* A value of our own making. */
static void
log_plain(const char *key, struct slice value)
{
	log_pair(key, value, false);
}

static void
log_number(const char *key, uint64_t value)
{
	char digits[20];
	struct smtp_text t = SMTP_TEXT(digits);

	smtp_put_number(&t, value);
	log_plain(key, smtp_written(&t));
}

static void
log_client(void)
{
	char buf[INET6_ADDRSTRLEN + 16];
	struct smtp_text t = SMTP_TEXT(buf);

	smtp_puts(&t, peer.address.n > 0 ? "[" : "unknown");
	smtp_put(&t, peer.address);
	smtp_puts(&t, peer.address.n > 0 ? "]" : "");
	if (peer.port.n > 0)
		smtp_puts(&t, ":");
	smtp_put(&t, peer.port);
	log_plain("client", smtp_written(&t));
}

/* A call of ours failed, or something is as it should not be. */
static void
log_fault(const char *what, const char *path, int error)
{
	log_begin(LOG_ERR, "fault");
	log_client();
	if (logged.id.n > 0)
		log_plain("id", logged.id);
	if (logged.mailbox != NULL)
		log_quoted("mailbox", smtp_slice(logged.mailbox));
	log_quoted("what", smtp_slice(what));
	if (path != NULL)
		log_quoted("path", smtp_slice(path));
	if (error != 0)
		log_quoted("error", smtp_slice(strerror(error)));
	log_end();
}

/* One line of ours, with --verbose. */
static void
log_said(struct slice said)
{
	if (!conf.verbose)
		return;
	log_begin(LOG_DEBUG, "dialogue");
	log_client();
	log_quoted("said", said);
	log_end();
}

/* The way out of a session, whatever its end. */
static _Noreturn void
leave(enum exit_status status, const char *how)
{
	char buf[SMTP_ESCAPED_MAX];
	struct smtp_text lenient = SMTP_TEXT(buf);

	if (logged.unfinished != NULL)
		logged.unfinished();
	log_begin(LOG_INFO, "session");
	log_client();
	log_plain("end", smtp_slice(how));
	log_number("messages", logged.messages);
	log_number("messages-refused", logged.refused);
	if (logged.refusals > REFUSALS_LOGGED)
		log_number("refusals-not-logged", logged.refusals -
		    REFUSALS_LOGGED);
	log_number("seconds", (uint64_t)(now_ms() - logged.began) / 1000);
	smtp_put_lenient(&lenient, logged.lenient);
	if (lenient.n > 0)
		log_quoted("lenient", smtp_written(&lenient));
	if (logged.messages > 0 && conf.maildir != NULL && geteuid() == 0)
		log_quoted("warning", smtp_slice("running as root"));
	log_end();
	exit(logged.deferred ? EXIT_DEFERRED : (int)status);
}

/* ---- 5. reply: every sentence we can say ------------------------------- */

/*
 * Sorted by code.  4xx is our trouble, 5xx theirs.  No octet of the client's
 * is in here: what can vary (an ID, the list of verbs) follows the text.
 */
enum reply {
	SAY_NOTHING,		/* the handler has replied itself */
	SAY_OWN,		/* see reply_make() */
	SAY_HELP,
	SAY_GREETING,
	SAY_TLS,
	SAY_BYE,
	SAY_AUTH_RIGHT,
	SAY_HELO,
	SAY_OK,
	SAY_DRY,
	SAY_DELIVERED,
	SAY_SENDER,
	SAY_RCPT,
	SAY_CHUNK,
	SAY_VRFY,
	SAY_CHALLENGE,
	SAY_EACH,
	SAY_DATA,
	SAY_CONFIG,
	SAY_SHUTDOWN,
	SAY_TIMEOUT,
	SAY_ERRORS,
	SAY_AUTH_TRIES,
	SAY_IS_TLS,
	SAY_IS_HTTP,
	SAY_IS_PROXY,
	SAY_FAULT,
	SAY_NO_LINKS,
	SAY_POLICY,
	SAY_MISCONFIGURED,
	SAY_TOO_MANY,
	SAY_CANT_CREATE,
	SAY_QUOTA,
	SAY_NO_ROOM,
	SAY_NO_TLS,
	SAY_AUTH_FAULT,
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
	SAY_BAD_SENDER,
	SAY_BAD_RCPT,
	SAY_BASE64,
	SAY_CANCELLED,
	SAY_NOT_DONE,
	SAY_ORDER,
	SAY_IN_BDAT,
	SAY_CHUNK_BEHIND,
	SAY_NESTED,
	SAY_LHLO_FIRST,
	SAY_MAIL_FIRST,
	SAY_RCPT_FIRST,
	SAY_MECHANISM,
	SAY_REQUIRED_TLS,
	SAY_REQUIRED_AUTH,
	SAY_AUTH_WRONG,
	SAY_AUTH_CLEAR,
	SAY_NO_USER,
	SAY_NO_HOST,
	SAY_BARE,
	SAY_SENDER_UTF8,
	SAY_NOT_OURS,
	SAY_DENIED,
	SAY_XCLIENT,
	SAY_TOO_BIG,
	SAY_UNFIT_RCPT,
	SAY_UNFIT_SENDER,
	SAY_RCPT_UTF8,
	SAY_NO_RCPT,
	SAY_FAILED,
	SAY_BAD_DATA,
	SAY_LOOP,
	SAY_NO_PARAM,
	SAYINGS
};

static const char *const reply_text[SAYINGS] = {
	[SAY_NOTHING]	= "",
	[SAY_OWN]	= "",
	[SAY_HELP]	= "214 2.0.0 You may say:",
	[SAY_GREETING]	= "220 ",
	[SAY_TLS]	= "220 2.0.0 Go ahead",
	[SAY_BYE]	= "221 2.0.0 Bye",
	[SAY_AUTH_RIGHT] = "235 2.7.0 Authenticated",
	[SAY_HELO]	= "250 ",
	[SAY_OK]	= "250 2.0.0 Ok",
	[SAY_DRY]	= "250 2.0.0 dry run: nothing was kept",
	[SAY_DELIVERED]	= "250 2.0.0 Delivered as ",
	[SAY_SENDER]	= "250 2.1.0 Sender ok",
	[SAY_RCPT]	= "250 2.1.5 Recipient ok",
	[SAY_CHUNK]	= "250 2.0.0 Chunk ok",
	[SAY_VRFY]	= "252 2.0.0 Send mail, and see",
	[SAY_CHALLENGE]	= "334 ",
	[SAY_EACH]	= "353 A reply for each recipient follows",
	[SAY_DATA]	= "354 Send the message, end it with a dot",
	[SAY_CONFIG]	= "421 Not configured, try again later",
	[SAY_SHUTDOWN]	= "421 4.3.2 Shutting down, try again later",
	[SAY_TIMEOUT]	= "421 4.4.2 Waited too long",
	[SAY_ERRORS]	= "421 4.7.0 Too many errors",
	[SAY_AUTH_TRIES] = "421 4.7.0 Too many wrong passwords",
	[SAY_IS_TLS]	= "421 4.7.0 This port speaks SMTP in clear, not TLS",
	[SAY_IS_HTTP]	= "421 4.7.0 This port speaks SMTP, not HTTP",
	[SAY_IS_PROXY]	= "421 4.7.0 No PROXY header is taken on this port",
	[SAY_FAULT]	= "451 4.3.0 Local fault, try again later",
	[SAY_NO_LINKS]	= "451 4.3.0 No hard links where the mailbox is",
	[SAY_POLICY]	= "451 4.3.5 The policy server is silent, try later",
	[SAY_MISCONFIGURED] = "451 4.3.5 Not set up right, try again later",
	[SAY_TOO_MANY]	= "452 4.5.3 Too many recipients",
	[SAY_CANT_CREATE] = "452 4.2.0 Mailbox not writable, try again later",
	[SAY_QUOTA]	= "452 4.2.2 Over quota, try again later",
	[SAY_NO_ROOM]	= "452 4.3.1 No room, try again later",
	[SAY_NO_TLS]	= "454 4.7.0 TLS is not to be had, try again later",
	[SAY_AUTH_FAULT] = "454 4.7.0 No check of passwords now, try later",
	[SAY_UNKNOWN]	= "500 5.5.1 Command not recognised",
	[SAY_LHLO]	= "500 LMTP is not spoken here",
	[SAY_HELO_LMTP]	= "500 LMTP is spoken here: LHLO, please",
	[SAY_BAD_LINE]	= "500 5.5.2 A control character in the line",
	[SAY_BARE_LINE]	= "500 5.5.2 Lines end in CRLF, not in LF alone",
	[SAY_LONG_LINE]	= "500 5.5.2 Line too long",
	[SAY_LONG_AUTH]	= "500 5.5.6 Line too long",
	[SAY_HELO_ARG]	= "501 A name of 1 to 255 octets, please",
	[SAY_NO_ARG]	= "501 5.5.4 No argument allowed",
	[SAY_NEED_ARG]	= "501 5.5.4 Argument missing",
	[SAY_SYNTAX]	= "501 5.5.4 Syntax error in the arguments",
	[SAY_BAD_CHUNK]	= "501 5.5.4 No chunk size, and so no next command",
	[SAY_BAD_PARAM]	= "501 5.5.4 Bad value of a parameter",
	[SAY_BAD_SENDER] = "501 5.1.7 Bad sender address",
	[SAY_BAD_RCPT]	= "501 5.1.3 Bad recipient address",
	[SAY_BASE64]	= "501 5.5.2 Not base64 of what was asked for",
	[SAY_CANCELLED]	= "501 5.7.0 Cancelled",
	[SAY_NOT_DONE]	= "502 5.5.1 Not available here",
	[SAY_ORDER]	= "503 5.5.1 Not now",
	[SAY_IN_BDAT]	= "503 5.5.1 BDAT has begun: go on with it, or RSET",
	[SAY_CHUNK_BEHIND] = "503 5.5.1 A chunk before it was refused",
	[SAY_NESTED]	= "503 5.5.1 A sender was given already",
	[SAY_LHLO_FIRST] = "503 5.5.1 LHLO first",
	[SAY_MAIL_FIRST] = "503 5.5.1 MAIL first",
	[SAY_RCPT_FIRST] = "503 5.5.1 MAIL and RCPT first",
	[SAY_MECHANISM]	= "504 5.5.4 Mechanism not known",
	[SAY_REQUIRED_TLS] = "530 5.7.0 STARTTLS first",
	[SAY_REQUIRED_AUTH] = "530 5.7.0 AUTH first",
	[SAY_AUTH_WRONG] = "535 5.7.8 Wrong user or password",
	[SAY_AUTH_CLEAR] = "538 5.7.11 Not without encryption",
	[SAY_NO_USER]	= "550 5.1.1 No such user",
	[SAY_NO_HOST]	= "550 5.1.2 No such domain",
	[SAY_BARE]	= "550 5.5.2 A bare CR or LF in the message",
	[SAY_SENDER_UTF8] = "550 5.6.7 A sender beyond ASCII needs SMTPUTF8",
	[SAY_NOT_OURS]	= "550 5.7.1 No relaying to that domain",
	[SAY_DENIED]	= "550 5.7.1 Delivery not permitted",
	[SAY_XCLIENT]	= "550 5.7.0 Not from here",
	[SAY_TOO_BIG]	= "552 5.3.4 Message too big",
	[SAY_UNFIT_RCPT] = "553 5.1.3 No such address is handed on",
	[SAY_UNFIT_SENDER] = "553 5.1.7 No such address is handed on",
	[SAY_RCPT_UTF8]	= "553 5.6.7 A recipient beyond ASCII needs SMTPUTF8",
	[SAY_NO_RCPT]	= "554 5.5.1 No valid recipients",
	[SAY_FAILED]	= "554 5.3.0 No delivery to any recipient",
	[SAY_BAD_DATA]	= "554 5.6.0 The message was not understood",
	[SAY_LOOP]	= "554 5.4.6 The message is looping",
	[SAY_NO_PARAM]	= "555 5.5.4 Parameter not known",
};

/*
 * The words of a program or of a server that was asked, in a reply of our
 * code: what SAY_OWN says.  They were checked to be printable ASCII.
 */
static char reply_own[SMTP_WORDS_MAX + 32];

static const char *
reply_words(enum reply say)
{
	return say == SAY_OWN ? reply_own : reply_text[say];
}

static enum reply
reply_make(struct slice code, struct slice enhanced, struct slice words)
{
	struct smtp_text t = SMTP_TEXT(reply_own);

	t.size--;
	smtp_put(&t, code);
	smtp_puts(&t, " ");
	smtp_put(&t, enhanced);
	smtp_puts(&t, " ");
	smtp_put(&t, words);
	t.p[t.n] = '\0';
	return SAY_OWN;
}

/* Its code and its enhanced code, "250 2.0.0". */
static struct slice
reply_codes(enum reply say)
{
	struct slice s = smtp_slice(reply_words(say));
	const char *end = memchr(s.p + 4, ' ', s.n - 4);

	if (end != NULL)
		s.n = (size_t)(end - s.p);
	return s;
}

/* ---- 6. net: one buffer each way --------------------------------------- */

/*
 * net_fill() and net_flush() are the only callers of read and write on the
 * connection.  Replies go out when we are about to wait, for input or anything
 * else, and before a commit, so that none that was decided waits for what comes
 * behind it; and not before, so that a pipelined group gets one write.
 */
static char net_in[IN_SIZE] __attribute__((aligned(4096)));
static char net_out[OUT_SIZE] __attribute__((aligned(4096)));

static struct {
	size_t		 in_at, in_n, out_n;
	uint64_t	 received;	/* octets, ever */
	enum { NL_UNKNOWN, NL_CRLF, NL_LF } newline;
	bool		 lf_alone;	/* ended the line that was last */
	const char	*prompt;	/* at a terminal */
	int64_t		 until;		/* the end of the longest session */
	int64_t		 looked;	/* for signals, by net_look() */
	bool		 ended;		/* end of input was seen */
	bool		 closing;	/* the last reply is in the buffer */
} net;

enum net_wait { NET_READY, NET_TIMEOUT, NET_TERMINATED };

static enum net_wait
net_wait(int fd, int64_t ms)
{
	struct pollfd p = { .fd = fd, .events = fd == 0 ? POLLIN : POLLOUT };
	int64_t now = now_ms(), until = now + ms;
	int n;

	if (until > net.until && !net.closing)
		until = net.until;
	for (;; now = now_ms()) {
		if (terminated && fd == 0 && !net.closing)
			return NET_TERMINATED;
		if (fd == 0 && now >= net.until)
			return NET_TIMEOUT;
		/* what was said is sent first, it may be a 250; but soon */
		if (terminated && until > now + BYE_SECONDS * 1000)
			until = now + BYE_SECONDS * 1000;
		n = wait_until(&p, 1, until);
		if (n >= 0)
			return n > 0 ? NET_READY : NET_TIMEOUT;
	}
}

/* A client that does not read is given up. */
static void
net_wait_out(void)
{
	if (net_wait(1, (net.closing ? BYE_SECONDS : (int64_t)conf.timeout) *
	    1000) != NET_READY)
		leave(EXIT_BROKEN, "not-reading");
}

static void
net_flush(void)
{
	size_t done = 0, most;
	ssize_t n;

	while (done < net.out_n) {
		most = net.out_n - done;
		if (peer.socket) {
			n = send(1, net_out + done, most,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		} else {
			/* a pipe said to be ready takes this much at once */
			if (most > PIPE_BUF)
				most = PIPE_BUF;
			if (!peer.file)
				net_wait_out();
			n = write(1, net_out + done, most);
		}
		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			net_wait_out();
		else if (errno != EINTR)
			/* who never said a word was only looking */
			leave(net.received == 0 && !peer.by_hand ? EXIT_LEFT :
			    EXIT_BROKEN, "gone");
	}
	net.out_n = 0;
}

/* No piece is larger than the buffer. */
static void
net_put(struct slice s)
{
	if (s.n > sizeof(net_out) - net.out_n)
		net_flush();
	if (s.n > 0)
		memcpy(net_out + net.out_n, s.p, s.n);
	net.out_n += s.n;
}

/* A line of a reply, in two parts. */
static void
net_say(struct slice text, struct slice more)
{
	/* what is logged must lie in one piece */
	if (text.n + more.n > sizeof(net_out) - net.out_n)
		net_flush();
	net_put(text);
	net_put(more);
	log_said((struct slice){ net_out + net.out_n -
	    text.n - more.n, text.n + more.n });
	net_put(smtp_slice("\r\n"));
}

/* A reply of one line; more goes behind its text. */
static void
net_reply(enum reply say, struct slice more)
{
	net_say(smtp_slice(reply_words(say)), more);
}

/* Send the client away with a 421. */
static _Noreturn void
bye(enum reply say, const char *how)
{
	net.closing = true;
	net_reply(say, smtp_slice(""));
	net_flush();
	leave(EXIT_BROKEN, how);
}

/* To be called before each command and each fill: a client that never pauses
 * keeps signals, and the end of the longest session, out of net_wait(). */
static void
net_look(void)
{
	enum { OFTEN = 50 };	/* milliseconds */
	int64_t now = now_ms();

	if (now - net.looked < OFTEN)
		return;
	net.looked = now;
	if (termination_pending())
		bye(SAY_SHUTDOWN, "terminated");
	if (now >= net.until)
		bye(SAY_TIMEOUT, "timeout");
}

/*
 * Add to the input buffer what comes: the number of octets, 0 at end of input.
 * After --timeout the client is sent away; or, if ms is not 0, after so many
 * milliseconds it is 0.
 */
static size_t
net_fill(int64_t ms)
{
	ssize_t n;

	if (net.ended) {
		net_flush();
		return 0;
	}
	if (net.in_at > 0) {
		memmove(net_in, net_in + net.in_at, net.in_n - net.in_at);
		net.in_n -= net.in_at;
		net.in_at = 0;
	}
	net_flush();
	log_flush(true);
	if (net.prompt != NULL) {
		net_put(smtp_slice(net.prompt));
		net_flush();
	}
	net_look();
	for (;;) {
		switch (net_wait(0, ms > 0 ? ms :
		    (int64_t)conf.timeout * 1000)) {
		case NET_TERMINATED:
			bye(SAY_SHUTDOWN, "terminated");
		case NET_TIMEOUT:
			if (ms > 0)
				return 0;
			bye(SAY_TIMEOUT, "timeout");
		case NET_READY:
			break;
		}
		n = read(0, net_in + net.in_n, sizeof(net_in) - net.in_n);
		if (n >= 0)
			break;
		if (errno != EINTR && errno != EAGAIN) {
			n = 0;
			break;
		}
	}
	net.ended = n == 0;
	net.in_n += (size_t)n;
	net.received += (uint64_t)n;
	return (size_t)n;
}

static struct slice
net_buffered(void)
{
	return (struct slice){ net_in + net.in_at, net.in_n - net.in_at };
}

static void
net_used(size_t n)
{
	net.in_at += n;
	if (net.in_at == net.in_n)
		net.in_at = net.in_n = 0;
}

/* Throw away what is buffered. */
static void
net_forget(void)
{
	net.in_at = net.in_n = 0;
}

/* Wipe what was used of it: there was a password in it. */
static void
net_forget_used(void)
{
	memmove(net_in, net_in + net.in_at, net.in_n - net.in_at);
	net.in_n -= net.in_at;
	net.in_at = 0;
	explicit_bzero(net_in + net.in_n, sizeof(net_in) - net.in_n);
}

/* How much of in is a line with its end, 0 if there is no end; set *body to
 * its length without the end.  By hand, the first line decides the mode. */
static size_t
net_line_end(struct slice in, size_t from, size_t *body)
{
	const char *lf;
	bool crlf;
	size_t n;

	for (; from < in.n; from = n) {
		lf = memchr(in.p + from, '\n', in.n - from);
		if (lf == NULL)
			return 0;
		n = (size_t)(lf - in.p) + 1;
		crlf = n > 1 && lf[-1] == '\r';
		if (net.newline == NL_UNKNOWN)
			net.newline = crlf ? NL_CRLF : NL_LF;
		*body = crlf && (net.newline == NL_CRLF || conf.normalize) ?
		    n - 2 : n - 1;
		net.lf_alone = !crlf;
		if (crlf || net.newline == NL_LF || conf.normalize)
			return n;
	}
	return 0;
}

enum net_line { LINE_OK, LINE_LONG, LINE_BARE, LINE_NONE };

/* Pass over an overlong line, whole. */
static enum net_line
net_skip_line(void)
{
	struct slice in = net_buffered();
	bool lf = false;	/* it may be all that comes, see net_line() */
	size_t n, body;

	for (;;) {
		n = net_line_end(in, 0, &body);
		if (n > 0) {
			net_used(n);
			return LINE_LONG;
		}
		lf = lf || (in.n > 0 && memchr(in.p, '\n', in.n) != NULL);
		/* a CR may be half of the line's end */
		net_used(in.n > 0 && in.p[in.n - 1] == '\r' ? in.n - 1 : in.n);
		if (net_fill(lf ? BARE_SECONDS * 1000 : 0) == 0)
			return lf ? LINE_LONG : LINE_NONE;
		in = net_buffered();
	}
}

/*
 * The next line of so many octets at most, without its end; LINE_NONE at end
 * of input.  An LF that is no line end may be part of a bad line, to which
 * there is one reply.  But a client that says nothing behind it waits for a
 * reply: LINE_BARE, and what it has said up to there is passed over.
 */
static enum net_line
net_line(struct slice *line, size_t max)
{
	struct slice in;
	size_t n, body, from = 0;
	const char *lf;

	for (;;) {
		in = net_buffered();
		n = net_line_end(in, from, &body);
		if (n > max || (n == 0 && in.n >= max))
			return net_skip_line();
		if (n > 0)
			break;
		from = in.n > 0 ? in.n - 1 : 0;
		lf = memrchr(in.p, '\n', in.n);
		if (net_fill(lf != NULL ? BARE_SECONDS * 1000 : 0) > 0)
			continue;
		if (lf == NULL)
			return LINE_NONE;
		in = net_buffered();
		lf = memrchr(in.p, '\n', in.n);
		net_used((size_t)(lf - in.p) + 1);
		return LINE_BARE;
	}
	*line = (struct slice){ in.p, body };
	net_used(n);
	return LINE_OK;
}

/* ---- 7. message: what is being received -------------------------------- */

struct rcpt {
	struct slice	 local;		/* as sent; adjoining "@" and domain */
	struct slice	 domain;
	dev_t		 dev;		/* the mailbox, see maildir_find */
	ino_t		 ino;
	unsigned	 box;
	enum smtp_reply	 outcome;	/* of the program's run */
	bool		 extended;	/* its directory has the extension */
	bool		 loops;		/* a Delivered-To names it */
	unsigned	 hash;		/* of the address, case folded */
	unsigned	 next;		/* in envelope_index; 0: none */
	size_t		 same;		/* the first recipient that is equal */
};

/* The envelope of one message: what RSET forgets. */
static struct {
	struct slice	 sender;	/* empty: the null sender */
	struct rcpt	 rcpt[RECIPIENTS_MAX];
	size_t		 rcpts;
	bool		 utf8;
	bool		 each;		/* a reply for each: LMTP, PRDR */
	const char	*protocol;	/* of the Received line's "with" */
	struct slice	 helo;
	struct smtp_text prepended;	/* header fields of the policy's */
	char		 prepended_text[PREPENDED_MAX];
	uint64_t	 size;		/* as MAIL said; 0: it did not */
	struct smtp_text instance;	/* for the policy server */
	char		 instance_text[64];
	char		 pool[POOL_SIZE];	/* the addresses */
	size_t		 used;
} envelope;

/* The recipients by their addresses' hashes: one more than their number. */
enum { INDEX_SIZE = 4096 };
static unsigned short envelope_index[INDEX_SIZE];

/* The message itself, from DATA to its reply. */
static struct {
	struct smtp_data	 data;
	struct smtp_header	 header;
	struct smtp_utf8	 utf8;		/* of the body */
	unsigned		 hops;		/* Received lines */
	unsigned		 delivered;	/* Delivered-To lines */
	bool			 loops;		/* see struct rcpt */
	bool			 labelled;	/* as MIME, or signed */
	bool			 big;
	bool			 in_body;
	bool			 begun;		/* its first line is known */
	size_t			 at;		/* its place in file_buf */
	enum smtp_reply		 outcome;	/* see worsen() */
	int64_t			 seconds;	/* the ID's, and the date's */
	struct smtp_text	 id;
	char			 id_text[64];
	struct smtp_text	 msgid;
	char			 msgid_text[256];
} message;

/* The file it is being written to: at most one at a time.  (Arrays stand
 * beside a struct with an initialiser, not in it: there they would be data of
 * ours, read from the disk page by page.) */
static char file_buf[IN_SIZE] __attribute__((aligned(4096)));

static struct {
	size_t		 n;		/* octets in file_buf */
	int		 fd;		/* -1: none, what is written is gone */
	const char	*path;		/* to tell of it */
	uint64_t	 octets;	/* written */
	enum smtp_reply	 outcome;	/* of all writes, see worsen() */
	/* where copies are made from: a file complete but for its label */
	int		 source;
	uint64_t	 source_octets;
	uint64_t	 body;		/* behind what we put in front */
	struct smtp_text label;		/* what goes above the body */
	char		 label_text[256];
} file = { .fd = -1, .source = -1 };

/* What went wrong first stays: no outcome is set in any other way, so that no
 * later success hides a hole. */
static enum smtp_reply
worsen(enum smtp_reply *outcome, enum smtp_reply o)
{
	if (*outcome == SMTP_YES)
		*outcome = o;
	return *outcome;
}

static enum smtp_reply
outcome_of(int error)
{
	switch (error) {
	case ENOSPC:
	case EFBIG:
		return SMTP_NO_ROOM;
	case EDQUOT:
		return SMTP_QUOTA;
	default:
		return SMTP_FAULT;
	}
}

/* Log a failed call on the way of a message, and say what it comes to. */
static enum smtp_reply
failed(const char *call, const char *path)
{
	int error = errno;

	log_fault(call, path != NULL ? path : file.path, error);
	return outcome_of(error);
}

static void
file_begin(int fd)
{
	file.fd = fd;
	file.n = 0;
	file.octets = 0;
	file.outcome = SMTP_YES;
}

/* Once a write has failed the file stays failed. */
static enum smtp_reply
file_flush(void)
{
	size_t done = 0;
	ssize_t n;

	while (file.fd != -1 && file.outcome == SMTP_YES && done < file.n) {
		n = write(file.fd, file_buf + done, file.n - done);
		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			worsen(&file.outcome, failed("write", NULL));
	}
	if (file.outcome == SMTP_YES) {
		file.octets += file.n;
		file.n = 0;
	}
	return file.outcome;
}

static enum smtp_reply
file_put(struct slice s)
{
	size_t n;

	while (s.n > 0) {
		if (file.n == sizeof(file_buf) && file_flush() != SMTP_YES)
			return file.outcome;
		n = sizeof(file_buf) - file.n;
		if (n > s.n)
			n = s.n;
		memcpy(file_buf + file.n, s.p, n);
		file.n += n;
		s = (struct slice){ s.p + n, s.n - n };
	}
	return file.outcome;
}

static enum smtp_reply
file_put_all(const char *before, struct slice s, const char *after)
{
	enum smtp_reply o = file_put(smtp_slice(before));

	if (o == SMTP_YES)
		o = file_put(s);
	return o == SMTP_YES ? file_put(smtp_slice(after)) : o;
}

/* What we put in front is there; the message follows.  There is room behind
 * it for the head of the message, see message_head(). */
static enum smtp_reply
file_front_done(void)
{
	enum smtp_reply o = file.outcome;

	if (sizeof(file_buf) - file.n < 3 * SMTP_FIELD_MAX)
		o = file_flush();
	file.body = file.octets + file.n;
	message.at = file.n;
	return o;
}

/* Room to decode octets of the message into; they count once file.n does. */
static struct smtp_room
file_room(void)
{
	return (struct smtp_room){ file_buf + file.n,
	    sizeof(file_buf) - file.n };
}

static void
file_close(void)
{
	if (file.fd != -1)
		close(file.fd);
	file.fd = -1;
}

/* Make the file's content last; it is closed whatever comes of it. */
static enum smtp_reply
file_sync(void)
{
	int rc = 0;

	if (file_flush() == SMTP_YES) {
		do
			rc = fsync(file.fd);
		while (rc == -1 && errno == EINTR);
		if (rc == -1)
			worsen(&file.outcome, failed("fsync", NULL));
	}
	if (close(file.fd) == -1)
		worsen(&file.outcome, failed("close", NULL));
	file.fd = -1;
	return file.outcome;
}

/* From here on file is a source; it is written, all but the label. */
static void
file_to_source(void)
{
	file.source = file.fd;
	file.source_octets = file.octets;
	file.fd = -1;
}

/* A source is the file once more: nothing but its sync is missing. */
static void
file_from_source(void)
{
	file_begin(file.source);
	file.octets = file.source_octets;
	file.source = -1;
}

/* Behind what is there goes a part of another file, all of it. */
static enum smtp_reply
file_copy(int from, uint64_t at, uint64_t end)
{
	size_t most = sizeof(file_buf);
	ssize_t n;

	while (at < end && file_flush() == SMTP_YES) {
		if (end - at < most)
			most = (size_t)(end - at);
		n = pread(from, file_buf, most, (off_t)at);
		if (n > 0) {
			at += (uint64_t)n;
			file.n = (size_t)n;
			continue;
		}
		if (n == 0)
			errno = EIO;
		if (errno != EINTR)
			worsen(&file.outcome, failed("read", NULL));
	}
	return file.outcome;
}

/* The message from the source, with the label that it is given. */
static enum smtp_reply
file_copy_source(void)
{
	enum smtp_reply o = file_put(smtp_written(&file.label));

	return o == SMTP_YES ? file_copy(file.source, file.body,
	    file.source_octets) : o;
}

static void
source_close(void)
{
	if (file.source != -1)
		close(file.source);
	file.source = -1;
}

static struct slice
rcpt_address(const struct rcpt *r)
{
	return (struct slice){ r->local.p, r->local.n + 1 + r->domain.n };
}

/* Store local@domain; false if it is too long, as it may become by the domain
 * it is given.  There is room for a sender and all recipients. */
static bool
envelope_keep(struct slice local, struct slice domain, struct slice *out)
{
	struct smtp_text t = { envelope.pool + envelope.used,
	    SMTP_MAILBOX_MAX, 0, false };

	smtp_put(&t, local);
	smtp_puts(&t, "@");
	smtp_put(&t, domain);
	if (t.cut)
		return false;
	*out = smtp_written(&t);
	envelope.used += t.n;
	return true;
}

/* FNV-1a, case folded */
static unsigned
address_hash(struct slice address)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < address.n; i++)
		h = (h ^ (unsigned char)smtp_lower(address.p[i])) * 16777619U;
	return h;
}

/* The next recipient of an address, case folded; *i is 0 to begin. */
static struct rcpt *
envelope_find(struct slice address, unsigned hash, size_t *i)
{
	struct rcpt *r;

	*i = *i == 0 ? envelope_index[hash % INDEX_SIZE] :
	    envelope.rcpt[*i - 1].next;
	for (; *i > 0; *i = r->next) {
		r = &envelope.rcpt[*i - 1];
		if (r->hash == hash && smtp_same(rcpt_address(r), address))
			return r;
	}
	return NULL;
}

/* Let the newest recipient be found, and see who is equal: local parts may
 * differ in case. */
static void
envelope_enter(struct rcpt *r)
{
	const struct rcpt *other;
	size_t i = 0, n = (size_t)(r - envelope.rcpt);

	r->hash = address_hash(rcpt_address(r));
	r->same = n;
	while ((other = envelope_find(rcpt_address(r), r->hash, &i)) != NULL)
		if (memcmp(other->local.p, r->local.p, r->local.n) == 0)
			r->same = other->same;
	r->next = envelope_index[r->hash % INDEX_SIZE];
	envelope_index[r->hash % INDEX_SIZE] = (unsigned short)(n + 1);
}

static void
envelope_clear(void)
{
	for (size_t i = 0; i < envelope.rcpts; i++)
		envelope_index[envelope.rcpt[i].hash % INDEX_SIZE] = 0;
	envelope.rcpts = 0;
	envelope.used = 0;
	envelope.sender = smtp_slice("");
	envelope.prepended.n = 0;
	logged.id = smtp_slice("");
	logged.mailbox = NULL;
}

/* A Delivered-To field: does it name one of ours? */
static void
envelope_delivered_to(struct slice address)
{
	struct rcpt *r;
	size_t i = 0;

	if (address.n > 1 && address.p[0] == '<' &&
	    address.p[address.n - 1] == '>')
		address = (struct slice){ address.p + 1, address.n - 2 };
	while ((r = envelope_find(address, address_hash(address), &i)) != NULL)
		r->loops = message.loops = true;
}

/* SECONDS.MmicrosPpidQn, the head of the file's name and the mail's ID. */
static void
message_new_id(void)
{
	static uint64_t counter;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	message.seconds = t.tv_sec;
	message.id = SMTP_TEXT(message.id_text);
	smtp_put_number(&message.id, (uint64_t)t.tv_sec);
	smtp_puts(&message.id, ".M");
	smtp_put_number(&message.id, (uint64_t)(t.tv_nsec / 1000));
	smtp_puts(&message.id, "P");
	smtp_put_number(&message.id, (uint64_t)own_pid);
	smtp_puts(&message.id, "Q");
	smtp_put_number(&message.id, ++counter);
	logged.id = smtp_written(&message.id);
}

static void
message_field(struct slice name, struct slice value)
{
	if (smtp_is(name, "Received"))
		message.hops++;
	else if (smtp_is(name, "Delivered-To")) {
		message.delivered++;
		envelope_delivered_to(value);
	} else if (smtp_is(name, "Message-ID") && message.msgid.n == 0)
		smtp_put(&message.msgid, value);
	else if (smtp_is(name, "MIME-Version") ||
	    smtp_is(name, "Content-Type") ||
	    smtp_is(name, "Content-Transfer-Encoding") ||
	    smtp_is(name, "DKIM-Signature"))
		message.labelled = true;
}

static void
message_body(struct slice in)
{
	if (conf.label != NULL && !message.labelled)
		smtp_utf8(&message.utf8, in);
}

/* Look at the next octets of the message for what we must know of it. */
static void
message_look(struct slice in)
{
	struct slice name, value;

	while (!message.in_body) {
		switch (smtp_header(&message.header, &in, &name, &value)) {
		case SMTP_HEADER_MORE:
			return;
		case SMTP_HEADER_FIELD:
			message_field(name, value);
			break;
		case SMTP_HEADER_END:
			message.in_body = true;
			message_body(value);
		}
	}
	message_body(in);
}

/* Put a text in front of the message, instead of so many octets of it. */
static void
message_put_first(const char *text, size_t instead)
{
	char *begin = file_buf + message.at;
	size_t n = strlen(text);

	memmove(begin + n, begin + instead, file.n - message.at - instead);
	memcpy(begin, text, n);
	file.n = file.n + n - instead;
}

/*
 * The first line of the message is being decoded: what stands there must not go
 * on with our own header, or end it.  So a line of an mbox file becomes a
 * field, and what is no field at all is body.
 */
static void
message_head(void)
{
	struct slice head = { file_buf + message.at, file.n - message.at };

	switch (smtp_first_line(head)) {
	case SMTP_FIRST_MORE:
		return;
	case SMTP_FIRST_MAILBOX:
		message_put_first("X-Mailbox-Line: ", head.p[0] == '>');
		break;
	case SMTP_FIRST_BODY:
		message_put_first("\n", 0);
		break;
	case SMTP_FIRST_FIELD:
		break;
	}
	message.begun = true;
	head.n = file.n - message.at;
	message_look(head);
}

/* The lines that unlabelled 8-bit text gets (RFC 1428); none: empty. */
static void
message_label(void)
{
	bool utf8 = !message.utf8.bad && message.utf8.left == 0;
	struct smtp_text *t = &file.label;

	file.label = SMTP_TEXT(file.label_text);
	if (!message.utf8.eight_bit || message.labelled)
		return;
	smtp_puts(t, "MIME-Version: 1.0\n"
	    "Content-Type: text/plain; charset=");
	smtp_puts(t, utf8 ? "utf-8" : conf.label);
	smtp_puts(t, "\nContent-Transfer-Encoding: 8bit\n");
}

static enum smtp_reply
message_return_path(void)
{
	return file_put_all("Return-Path: <", envelope.sender, ">\n");
}

static enum smtp_reply
message_delivered_to(const struct rcpt *r)
{
	return file_put_all("Delivered-To: ", rcpt_address(r), "\n");
}

/* Our Received field, and above it what the policy server adds; r is the
 * only recipient, or NULL. */
static enum smtp_reply
message_received(const struct rcpt *r)
{
	char buf[SMTP_TRACE_MAX];
	struct smtp_trace t = {
		.helo = envelope.helo,
		.name = peer.name,
		.address = peer.address,
		.ipv6 = peer.ipv6,
		.host = smtp_slice(conf.hostname),
		.protocol = smtp_slice(envelope.protocol),
		.tls_version = peer.tls_version,
		.tls_cipher = peer.tls_cipher,
		.id = smtp_written(&message.id),
		.seconds = message.seconds
	};
	enum smtp_reply o = file_put(smtp_written(&envelope.prepended));

	if (r != NULL)
		t.recipient = rcpt_address(r);
	return o == SMTP_YES ? file_put((struct slice){ buf,
	    smtp_received(&t, buf, sizeof(buf)) }) : o;
}

/* ---- 8. maildir: which directory, and how it gets there ---------------- */

/*
 * A box is a mailbox that gets a copy: a directory, by device and inode.  The
 * copy of one, its home, is written while the message comes in; the others
 * are copied from it at the end.  In this order, and in no other: write, fsync,
 * close, for every box; link into new/, for every box; then unlink from tmp/
 * and fsync new/.  What fails takes back all that was linked; or, where the
 * client takes a reply for each recipient, what was linked into that box.
 * There a home that fails while the message comes in is no more than one box:
 * another becomes the home, and gets what came so far, see maildir_move().
 */
struct box {
	size_t		 first;		/* its first recipient */
	size_t		 rcpts;
	uint64_t	 octets;	/* of its copy */
	enum smtp_reply	 outcome;	/* see worsen() */
	bool		 tmp;		/* a file of ours is in tmp/ */
	bool		 linked;	/* and in new/, not yet for good */
};

static struct box boxes[RECIPIENTS_MAX];
static char box_path[PATH_MAX];		/* of the one that is open */
static char maildir_root_path[PATH_MAX];	/* no alias leads out of here */

static struct {
	bool		 template;	/* the path has placeholders */
	size_t		 boxes;
	size_t		 home;		/* the box the message comes into */
	size_t		 here;		/* the box that is open */
	int		 tmp;		/* its tmp/ and its new/ */
	int		 new;
	bool		 give;		/* we are root, and it is not root's */
	struct stat	 st;		/* of the box's directory, ... */
	struct stat	 new_st;	/* ... and of its new/ */
} maildir = { .tmp = -1, .new = -1 };

/* What stands for the placeholders of a recipient; buf holds the user. */
static struct smtp_values
values_of(const struct rcpt *r, char buf[SMTP_MAILBOX_MAX])
{
	struct smtp_values v = { .domain = r->domain };
	struct slice local = { buf, 0 };

	(void)smtp_unquote(r->local, buf, SMTP_MAILBOX_MAX, &local.n);
	smtp_split_extension(local, conf.delimiter, &v.user, &v.extension);
	return v;
}

/* The mailbox that the template makes of them. */
static enum smtp_reply
expand(const struct smtp_values *v, bool extended, struct smtp_text *path)
{
	switch (smtp_expand(smtp_slice(conf.maildir), v, extended, path)) {
	case SMTP_OK:
		return SMTP_YES;
	case SMTP_EVALUE:
		return SMTP_NO_USER;
	default:
		log_fault("path too long", NULL, 0);
		return SMTP_FAULT;
	}
}

/* Find the place no alias may lead out of: what stands before the first
 * placeholder.  NULL, with errno, if it is not there. */
static const char *
maildir_root(void)
{
	char buf[PATH_MAX];
	struct smtp_text t = SMTP_TEXT(buf);
	const char *fixed;

	if (maildir_root_path[0] != '\0')
		return maildir_root_path;
	smtp_put(&t, (struct slice){ conf.maildir,
	    (size_t)(strchr(conf.maildir, '{') - conf.maildir) });
	while (t.n > 0 && t.p[t.n - 1] != '/')
		t.n--;
	if (t.n == 0)
		smtp_puts(&t, ".");
	errno = ENAMETOOLONG;
	fixed = smtp_string(&t);
	if (fixed != NULL && realpath(fixed, maildir_root_path) != NULL)
		return maildir_root_path;
	maildir_root_path[0] = '\0';
	return NULL;
}

/* Is there a directory at path, aliases followed, and within the root? */
static enum smtp_reply
maildir_look(const char *path, struct stat *st)
{
	char real[PATH_MAX];
	size_t n;

	if (maildir_root() == NULL) {
		(void)failed("realpath", conf.maildir);
		return SMTP_FAULT;
	}
	if (realpath(path, real) == NULL || stat(real, st) == -1) {
		if (errno == ENOENT || errno == ENOTDIR ||
		    errno == ENAMETOOLONG)
			return SMTP_NO_USER;
		(void)failed("realpath", path);
		return SMTP_FAULT;
	}
	n = strlen(maildir_root_path);
	if (n > 1 && (strncmp(real, maildir_root_path, n) != 0 ||
	    real[n] != '/')) {
		log_fault("alias leads out of the template", path, 0);
		return SMTP_FAULT;
	}
	return S_ISDIR(st->st_mode) ? SMTP_YES : SMTP_NO_USER;
}

/* No such user?  That is believed only where postmaster has a mailbox; else
 * what is missing is the file system. */
static enum smtp_reply
maildir_no_user(const struct smtp_values *of)
{
	struct smtp_values v = { .user = smtp_slice("postmaster"),
	    .domain = of->domain };
	char buf[PATH_MAX];
	struct smtp_text path = SMTP_TEXT(buf);
	struct stat st;

	if (expand(&v, false, &path) != SMTP_YES)
		return SMTP_NO_USER;
	if (maildir_look(path.p, &st) == SMTP_YES)
		return SMTP_NO_USER;
	log_fault("postmaster's Maildir is missing: unmounted?", path.p, 0);
	return SMTP_FAULT;
}

/* At RCPT: has the recipient a mailbox, and which? */
static enum smtp_reply
maildir_find(struct rcpt *r)
{
	char user[SMTP_MAILBOX_MAX], buf[PATH_MAX];
	struct smtp_text path;
	struct smtp_values v;
	struct stat st;
	enum smtp_reply o;

	if (!maildir.template)
		return SMTP_YES;
	v = values_of(r, user);
	r->extended = v.extension.n > 0 &&
	    strstr(conf.maildir, "{extension}") != NULL;
	for (;; r->extended = false) {
		path = SMTP_TEXT(buf);
		o = expand(&v, r->extended, &path);
		if (o == SMTP_YES)
			o = maildir_look(path.p, &st);
		else if (!r->extended || !smtp_names_file(v.extension))
			return o;
		if (o != SMTP_NO_USER || !r->extended)
			break;
	}
	if (o == SMTP_NO_USER)
		return maildir_no_user(&v);
	if (o == SMTP_YES) {
		r->dev = st.st_dev;
		r->ino = st.st_ino;
	}
	return o;
}

/* Of equal recipients only the first one counts. */
static bool
rcpt_is_first(const struct rcpt *r)
{
	return r == &envelope.rcpt[r->same];
}

/* Give every recipient its box. */
static void
maildir_group(void)
{
	const struct rcpt *other;
	struct rcpt *r;
	size_t b;

	maildir.boxes = 0;
	for (size_t i = 0; i < envelope.rcpts; i++) {
		r = &envelope.rcpt[i];
		for (b = 0; b < maildir.boxes; b++) {
			other = &envelope.rcpt[boxes[b].first];
			if (r->dev == other->dev && r->ino == other->ino)
				break;
		}
		if (b == maildir.boxes)
			boxes[maildir.boxes++] =
			    (struct box){
			    .first = i, .outcome = SMTP_YES };
		boxes[b].rcpts += rcpt_is_first(r);
		r->box = (unsigned)b;
	}
}

static void
box_close(void)
{
	if (maildir.new != -1)
		close(maildir.new);
	if (maildir.tmp != -1)
		close(maildir.tmp);
	maildir.tmp = maildir.new = -1;
}

/* What could not be opened: the box's directory, or a part of it. */
static enum smtp_reply
box_open_failed(const char *path, const char *part)
{
	const int error = errno;
	char buf[PATH_MAX + 8];
	struct smtp_text t = SMTP_TEXT(buf);
	const char *whole;
	enum smtp_reply o;

	smtp_puts(&t, path);
	smtp_puts(&t, part);
	whole = smtp_string(&t);
	errno = error;
	o = failed("open", whole);
	box_close();
	return o;
}

/* The two directories within a box's; neither is ever a link.  NULL, or which
 * of them failed. */
static const char *
box_open_parts(int dir)
{
	enum { FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

	if (fstat(dir, &maildir.st) == -1)
		return "";
	maildir.give = geteuid() == 0 && (maildir.st.st_uid != 0 ||
	    maildir.st.st_gid != getegid());
	maildir.tmp = openat(dir, "tmp", FLAGS);
	if (maildir.tmp == -1)
		return "/tmp";
	maildir.new = openat(dir, "new", FLAGS);
	return maildir.new != -1 && fstat(maildir.new, &maildir.new_st) == 0 ?
	    NULL : "/new";
}

/* Open a box.  With one Maildir for all it stays open for the session. */
static enum smtp_reply
box_open(size_t b)
{
	const struct rcpt *r = &envelope.rcpt[boxes[b].first];
	const char *path = conf.maildir;
	char user[SMTP_MAILBOX_MAX];
	struct smtp_text t = SMTP_TEXT(box_path);
	const char *part;
	struct smtp_values v;
	int dir;

	logged.mailbox = maildir.template ? box_path : path;
	if (maildir.new != -1 && maildir.here == b)
		return SMTP_YES;
	box_close();
	if (maildir.template) {
		v = values_of(r, user);
		if (expand(&v, r->extended, &t) != SMTP_YES)
			return SMTP_FAULT;
		path = t.p;
	}
	maildir.here = b;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1)
		return box_open_failed(path, "");
	part = box_open_parts(dir);
	if (part == NULL && maildir.template && (maildir.st.st_dev != r->dev ||
	    maildir.st.st_ino != r->ino)) {
		errno = ESTALE;
		part = "";
	}
	close(dir);
	return part == NULL ? SMTP_YES : box_open_failed(path, part);
}

/* The one Maildir that is open may have been moved away since, or another
 * been mounted over it. */
static void
box_check_place(void)
{
	char buf[PATH_MAX];
	struct smtp_text t = SMTP_TEXT(buf);
	const char *path;
	struct stat st;

	smtp_puts(&t, conf.maildir);
	smtp_puts(&t, "/new");
	path = smtp_string(&t);
	if (path == NULL || stat(path, &st) == -1 ||
	    st.st_dev != maildir.new_st.st_dev ||
	    st.st_ino != maildir.new_st.st_ino)
		box_close();
}

/* "tmp/ID.host", or "new/ID.host,S=octets" */
enum {
	HOST_IN_NAME = 128,	/* what NAME_MAX leaves for it, and less */
	BOX_NAME = sizeof(message.id_text) + HOST_IN_NAME + 32
};

/* the name within tmp/ or new/ is behind these */
enum { IN_DIR = sizeof("tmp/") - 1 };

static const char *
box_name(const struct box *b, const char *in, char buf[BOX_NAME])
{
	struct smtp_text t = { buf, BOX_NAME, 0, false };
	struct slice host = smtp_slice(conf.hostname);

	if (host.n > HOST_IN_NAME)
		host.n = HOST_IN_NAME;
	smtp_puts(&t, in);
	smtp_put(&t, smtp_written(&message.id));
	smtp_puts(&t, ".");
	smtp_put(&t, host);
	if (in[0] == 'n') {
		smtp_puts(&t, ",S=");
		smtp_put_number(&t, b->octets);
	}
	return smtp_string(&t);
}

/* What a box's copy has in front: we are final delivery. */
static enum smtp_reply
box_trace(size_t b)
{
	const struct box *box = &boxes[b];
	enum smtp_reply o = message_return_path();

	for (size_t i = box->first; o == SMTP_YES && i < envelope.rcpts; i++)
		if (envelope.rcpt[i].box == b &&
		    rcpt_is_first(&envelope.rcpt[i]))
			o = message_delivered_to(&envelope.rcpt[i]);
	return o == SMTP_YES ? message_received(box->rcpts == 1 ?
	    &envelope.rcpt[box->first] : NULL) : o;
}

/* Begin a box's copy in its tmp/; errno is EEXIST if the name is taken. */
static enum smtp_reply
box_create(size_t b)
{
	static char buf[BOX_NAME];
	const char *name = box_name(&boxes[b], "tmp/", buf);
	enum smtp_reply o = box_open(b);

	if (o != SMTP_YES)
		return o;
	file.path = name;
	file_begin(openat(maildir.tmp, name + IN_DIR,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
	if (file.fd == -1)
		return errno == EEXIST ? SMTP_FAULT : failed("create", name);
	boxes[b].tmp = true;
	return !maildir.give || fchown(file.fd, maildir.st.st_uid,
	    maildir.st.st_gid) == 0 ? SMTP_YES : failed("chown", name);
}

static enum smtp_reply
box_unlink(size_t b, const char *in)
{
	char buf[BOX_NAME];
	const char *name = box_name(&boxes[b], in, buf);
	enum smtp_reply o = box_open(b);

	if (o == SMTP_YES && unlinkat(in[0] == 'n' ? maildir.new : maildir.tmp,
	    name + IN_DIR, 0) == -1)
		o = failed("unlink", name);
	return o;
}

static void
box_take_back(size_t b)
{
	struct box *box = &boxes[b];

	if (box->linked)
		(void)box_unlink(b, "new/");
	if (box->tmp)
		(void)box_unlink(b, "tmp/");
	box->linked = box->tmp = false;
}

/* Take back whatever a message left behind; at exit, too. */
static void
maildir_abort(void)
{
	file_close();
	source_close();
	for (size_t b = 0; b < maildir.boxes; b++)
		box_take_back(b);
	maildir.boxes = 0;
}

/* After a failure the directory is opened anew, should it be another. */
static enum smtp_reply
maildir_failed(enum smtp_reply o)
{
	for (size_t b = 0; b < maildir.boxes; b++)
		worsen(&boxes[b].outcome, o);
	maildir_abort();
	box_close();
	return o;
}

/* Begin the message in a box; its ID may be taken there already. */
static enum smtp_reply
box_begin(size_t b)
{
	enum { TRIES = 3 };
	enum smtp_reply o = SMTP_FAULT;

	for (int i = 0; i < TRIES && o != SMTP_YES; i++) {
		if (i > 0)
			message_new_id();
		errno = 0;
		o = box_create(b);
		if (errno != EEXIST)
			break;
	}
	if (o != SMTP_YES && errno == EEXIST)
		o = failed("create", "tmp/");
	return o == SMTP_YES ? box_trace(b) : o;
}

/* Have the message come into the next box that takes it, from this one on;
 * where all get it or none does, into this one.  SMTP_YES, or what the last of
 * them came to. */
static enum smtp_reply
maildir_home(size_t b)
{
	enum smtp_reply o = boxes[b > 0 ? b - 1 : 0].outcome;

	for (; b < maildir.boxes; b++) {
		maildir.home = b;
		o = box_begin(b);
		if (o == SMTP_YES)
			o = file_front_done();
		if (worsen(&boxes[b].outcome, o) == SMTP_YES || !envelope.each)
			break;
		file_close();
		box_take_back(b);
	}
	return o;
}

static enum smtp_reply
maildir_begin(void)
{
	enum smtp_reply o;

	if (maildir.template)
		box_close();
	else if (maildir.new != -1)
		box_check_place();
	maildir_group();
	o = maildir_home(0);
	return o == SMTP_YES ? SMTP_YES : maildir_failed(o);
}

/*
 * The home has failed.  The next box that takes the message gets what the
 * home has got of it, and what it has not: that is in file_buf still, behind
 * what was put in front for the home, if that was not written yet.
 */
static enum smtp_reply
maildir_move(enum smtp_reply o)
{
	static char left_buf[IN_SIZE];
	const uint64_t at = file.body, end = file.octets;
	const size_t front = at > end ? (size_t)(at - end) : 0;
	const struct slice left = { left_buf, file.n - front };
	const int from = file.fd;

	worsen(&boxes[maildir.home].outcome, o);
	if (!envelope.each)
		return o;
	memcpy(left_buf, file_buf + front, left.n);
	/* it can be read until it is closed */
	file.fd = -1;
	box_take_back(maildir.home);
	while ((o = maildir_home(maildir.home + 1)) == SMTP_YES) {
		o = file_copy(from, at, end);
		if (o == SMTP_YES)
			o = file_put(left);
		if (worsen(&boxes[maildir.home].outcome, o) == SMTP_YES)
			break;
		file_close();
		box_take_back(maildir.home);
	}
	close(from);
	return o;
}

/* Write what is in file_buf. */
static enum smtp_reply
maildir_flush(void)
{
	enum smtp_reply o = file_flush();

	while (o != SMTP_YES) {
		o = maildir_move(o);
		if (o != SMTP_YES)
			break;
		o = file_flush();
	}
	return o;
}

static enum smtp_reply
box_copy(size_t b)
{
	enum smtp_reply o = box_create(b);

	if (o == SMTP_YES)
		o = box_trace(b);
	return o == SMTP_YES ? file_copy_source() : o;
}

/* The file in the home box is complete, unless it wants a label: then it is
 * no more than a source, and that box gets a copy, too. */
static enum smtp_reply
maildir_source(void)
{
	enum smtp_reply o = maildir_flush();

	message_label();
	if (o != SMTP_YES)
		return o;
	file_to_source();
	if (file.label.n == 0)
		return SMTP_YES;
	/* one that stays is in the way of that box's copy, and of no other's */
	boxes[maildir.home].tmp = box_unlink(maildir.home, "tmp/") != SMTP_YES;
	return SMTP_YES;
}

/* A box's copy is complete in its tmp/, and made to last. */
static enum smtp_reply
box_complete(size_t b)
{
	enum smtp_reply o = SMTP_YES;

	if (b == maildir.home && file.label.n == 0)
		file_from_source();
	else
		o = box_copy(b);
	if (o == SMTP_YES)
		o = file_sync();
	file_close();
	boxes[b].octets = file.octets;
	return o;
}

/* Give a file another name, which must be a new one: it gets both; or, where
 * there are no hard links, only that one, and *renamed says so. */
static enum smtp_reply
file_link(int dir, const char *name, int to_dir, const char *to, bool *renamed)
{
	enum { NOREPLACE = 1 };
	struct stat st;
	int error;

	*renamed = false;
	if (linkat(dir, name, to_dir, to, 0) == 0)
		return SMTP_YES;
	error = errno;
	if (error == EPERM || error == EOPNOTSUPP || error == ENOSYS) {
		errno = ENOSYS;
#ifdef SYS_renameat2
		*renamed = syscall(SYS_renameat2, dir, name, to_dir, to,
		    NOREPLACE) == 0;
#endif
		if (*renamed)
			return SMTP_YES;
		if (errno != ENOSYS && errno != EINVAL && errno != EPERM &&
		    errno != EOPNOTSUPP)
			return failed("rename", to);
		log_fault("the file system has no hard links, nor "
		    "renameat2(2)", to, errno);
		return SMTP_NO_LINKS;
	}
	/* a server's "no" may be to the second try of a request whose first
	 * went well: the file knows how many names it has */
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_nlink == 2)
		return SMTP_YES;
	errno = error;
	return failed("link", to);
}

/* Into the directory that will be synced, whatever its name is now. */
static enum smtp_reply
box_link(size_t b)
{
	char tmp_buf[BOX_NAME], new_buf[BOX_NAME];
	const char *tmp = box_name(&boxes[b], "tmp/", tmp_buf);
	const char *new = box_name(&boxes[b], "new/", new_buf);
	enum smtp_reply o = box_open(b);
	bool renamed;

	if (o == SMTP_YES)
		o = file_link(maildir.tmp, tmp + IN_DIR, maildir.new,
		    new + IN_DIR, &renamed);
	if (o == SMTP_YES) {
		boxes[b].linked = true;
		boxes[b].tmp = !renamed;
	}
	return o;
}

/* The name in tmp/ goes, and that in new/ is made to last. */
static enum smtp_reply
box_settle(size_t b)
{
	enum smtp_reply o = box_open(b);
	int rc;

	if (o == SMTP_YES && boxes[b].tmp) {
		o = box_unlink(b, "tmp/");
		boxes[b].tmp = o != SMTP_YES;
	}
	if (o != SMTP_YES)
		return o;
	do
		rc = fsync(maildir.new);
	while (rc == -1 && errno == EINTR);
	return rc == -1 ? failed("fsync", "new/") : SMTP_YES;
}

/* One step for a box, if it is well so far.  Unless each stands by itself, the
 * first failure is everyone's. */
static enum smtp_reply
box_step(size_t b, enum smtp_reply (*step)(size_t))
{
	if (boxes[b].outcome != SMTP_YES ||
	    worsen(&boxes[b].outcome, step(b)) == SMTP_YES)
		return SMTP_YES;
	if (!envelope.each)
		return boxes[b].outcome;
	box_take_back(b);
	return SMTP_YES;
}

static enum smtp_reply
maildir_step(enum smtp_reply (*step)(size_t))
{
	enum smtp_reply o = SMTP_YES;

	for (size_t b = 0; b < maildir.boxes && o == SMTP_YES; b++)
		o = box_step(b, step);
	return o;
}

/* All copies, and then what they are made from: after an error of fsync(2)
 * that might no longer be what was written. */
static enum smtp_reply
maildir_complete(void)
{
	enum smtp_reply o = SMTP_YES;

	for (size_t b = 0; b < maildir.boxes && o == SMTP_YES; b++)
		if (b != maildir.home)
			o = box_step(b, box_complete);
	return o == SMTP_YES ? box_step(maildir.home, box_complete) : o;
}

/* Leave out the boxes whose recipients all had the message before. */
static enum smtp_reply
box_check_loop(size_t b)
{
	if (!message.loops)
		return SMTP_YES;
	for (size_t i = boxes[b].first; i < envelope.rcpts; i++)
		if (envelope.rcpt[i].box == b && !envelope.rcpt[i].loops)
			return SMTP_YES;
	return SMTP_LOOP;
}

/* Deliver to every box or to none; or, with a reply for each, to those that
 * take it.  Where this comes to SMTP_YES the message outlives a power cut. */
static enum smtp_reply
maildir_commit(void)
{
	enum smtp_reply o;

	o = maildir_source();
	if (o == SMTP_YES)
		o = maildir_complete();
	source_close();
	if (o == SMTP_YES)
		o = maildir_step(box_check_loop);
	if (o == SMTP_YES)
		o = maildir_step(box_link);
	if (o == SMTP_YES)
		o = maildir_step(box_settle);
	if (o != SMTP_YES)
		return maildir_failed(o);
	for (size_t b = 0; b < maildir.boxes; b++)
		boxes[b].linked = false;
	return SMTP_YES;
}

/* ---- 9. helper: programs we start -------------------------------------- */

/*
 * A helper gets no shell, the descriptors it is given and no other, a process
 * group of its own, default signals and an environment made from nothing.  It
 * is started by posix_spawnp(3), which copies none of our pages.  It has a
 * deadline, and none outlives the session: see helpers_end().
 *
 * Nothing here leaves the process.  What waits says how it ended: SMTP_YES,
 * and with client SMTP_GONE when the client left, SMTP_SHUTDOWN for SIGTERM.
 */
static char helper_text[ENVIRONMENT_MAX];

static struct {
	char		*var[48];	/* the environment; the last is NULL */
	size_t		 vars;
	struct smtp_text env;		/* what they point into */
	/* not ended yet, 0: none; a program for a message or a password, and
	 * one for the policy, are the most */
	pid_t		 live[2];
} helper;

/* To be called before the first helper: its end ends a wait, that is all. */
static void
helper_signals(void)
{
	signal_set(SIGCHLD, on_signal);
}

/* A value that may not be there is no variable. */
static void
helper_env(const char *name, struct slice value)
{
	char *p = helper.env.p + helper.env.n;

	if (helper.vars + 1 < sizeof(helper.var) / sizeof(helper.var[0]) &&
	    smtp_put_variable(&helper.env, name, value))
		helper.var[helper.vars++] = p;
}

static void
helper_env_begin(const char *path)
{
	static const char given[][8] = { "USER", "LOGNAME", "TZ" };
	const char *v = getenv("HOME");

	memset(helper.var, 0, sizeof(helper.var));
	helper.vars = 0;
	helper.env = SMTP_TEXT(helper_text);
	helper_env("PATH", smtp_slice(path != NULL ? path : SAFE_PATH));
	helper_env("SHELL", smtp_slice("/bin/sh"));
	if (v != NULL && access(v, X_OK) == 0)
		helper_env("HOME", smtp_slice(v));
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		v = getenv(given[i]);
		if (v != NULL)
			helper_env(given[i], smtp_slice(v));
	}
}

/* Where a helper is kept; where there is room, for 0. */
static pid_t *
helper_place(pid_t pid)
{
	return &helper.live[helper.live[0] != pid];
}

/* Start a program with so many descriptors, as 0 and up, -1 for /dev/null; -1
 * with errno. */
static pid_t
helper_spawn(char *const argv[], const int *fds, int nfds)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	pid_t pid = -1;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawnattr_init(&attr);
	if (rc == 0)
		rc = posix_spawn_file_actions_init(&actions);
	if (rc == 0)
		rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
		    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(&attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(&attr, &all);
	for (int i = 0; rc == 0 && i < nfds; i++)
		rc = fds[i] != -1 ?
		    posix_spawn_file_actions_adddup2(&actions, fds[i], i) :
		    posix_spawn_file_actions_addopen(&actions, i, "/dev/null",
		    O_RDWR, 0);
	if (rc == 0)
		rc = posix_spawnp(&pid, argv[0], &actions, &attr, argv,
		    helper.var);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attr);
	errno = rc;
	if (rc != 0)
		return -1;
	*helper_place(0) = pid;
	return pid;
}

/* Has the client left?  Its end of input is no more than that while there is
 * something of it that we have not read. */
static bool
client_left(const struct pollfd *p)
{
	char c;

	if ((p->revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
		return true;
	return p->revents != 0 && net.in_n == net.in_at &&
	    recv(p->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* As helper_wait(), but once: SMTP_LATE for a signal, too. */
static enum smtp_reply
helper_wait_once(int fd, short events, int64_t until, bool client)
{
	struct pollfd p[2] = { { .fd = fd, .events = events }, { .fd = -1 } };
	int n;

	net_flush();
	if (client) {
		log_flush(false);
		p[1].fd = peer.socket_in ? 0 : 1;
		p[1].events = peer.socket_in ? POLLRDHUP : 0;
	}
	for (;;) {
		n = wait_until(p, 2, until);
		if (client && terminated)
			return SMTP_SHUTDOWN;
		if (n <= 0)
			return SMTP_LATE;
		if (p[1].revents != 0 && client_left(&p[1]))
			return SMTP_GONE;
		if (p[0].revents != 0)
			return SMTP_YES;
		/* it has closed one direction, and we have things to read */
		p[1].events = 0;
	}
}

/* Wait for a neighbour's descriptor, -1 for none, to be ready; SMTP_FAULT with
 * ETIMEDOUT when it is too late, or for SIGTERM without client. */
static enum smtp_reply
helper_wait(int fd, short events, int64_t until, bool client)
{
	enum smtp_reply r;

	do
		r = helper_wait_once(fd, events, until, client);
	while (r == SMTP_LATE && !terminated && now_ms() < until);
	errno = ETIMEDOUT;
	return r == SMTP_LATE ? SMTP_FAULT : r;
}

/* Let some time pass. */
static enum smtp_reply
helper_pause(int64_t until)
{
	enum smtp_reply r = helper_wait(-1, 0, until, true);

	return r == SMTP_FAULT ? SMTP_YES : r;
}

/* Has it ended, and how?  Of one that somebody else has waited for nothing is
 * known, as if it had been killed. */
static bool
helper_ended(pid_t pid, int *status)
{
	enum { TRIES = 3 };
	pid_t rc = -1;

	for (int i = 0; i < TRIES && rc == -1; i++)
		rc = waitpid(pid, status, WNOHANG);
	if (rc == 0)
		return false;
	if (rc == -1)
		*status = SIGKILL;
	*helper_place(pid) = 0;
	return true;
}

static void
helper_kill(pid_t pid)
{
	(void)kill(-pid, SIGKILL);
	(void)kill(pid, SIGKILL);
}

/*
 * Wait for a helper's end, and hear meanwhile what it says.  When its time is
 * up it is killed, and that is SMTP_FAULT; a set-id program may be one that we
 * may not kill.
 */
static enum smtp_reply
helper_finish(pid_t pid, const char *name, int out, bool (*hear)(int),
    int64_t until, bool client, int *status)
{
	bool killed = false;
	enum smtp_reply r;

	while (!helper_ended(pid, status)) {
		if (now_ms() >= until && killed) {
			log_fault("killed, and lives on", name, 0);
			*helper_place(pid) = 0;
			break;
		}
		if (now_ms() >= until) {
			helper_kill(pid);
			killed = true;
			out = -1;
			until = now_ms() + KILL_SECONDS * 1000;
			continue;
		}
		r = helper_wait_once(out, POLLIN, until, client);
		if (r == SMTP_GONE || r == SMTP_SHUTDOWN)
			return r;
		if (r == SMTP_YES && !hear(out))
			out = -1;
	}
	return killed ? SMTP_FAULT : SMTP_YES;
}

/* At the end of the session.  The one who has got an end of input has a second
 * more, and the client need not wait for that. */
static void
helpers_end(pid_t patient)
{
	int64_t until = now_ms() + 1000;
	pid_t pid;
	int status;

	for (size_t i = 0; i < sizeof(helper.live) / sizeof(pid_t); i++) {
		pid = helper.live[i];
		if (pid == 0)
			continue;
		close(0);
		close(1);
		while (!helper_ended(pid, &status) && pid == patient &&
		    now_ms() < until)
			(void)wait_until(NULL, 0, until);
		if (helper.live[i] != 0)
			helper_kill(pid);
	}
}

static void
set_nonblocking(int fd)
{
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* The program's argument vector, split at blanks. */
static bool
words_split(struct words *w, const char *value)
{
	struct smtp_text t = SMTP_TEXT(w->text);
	size_t n = 0;
	char *p;

	smtp_puts(&t, value);
	if (smtp_string(&t) == NULL)
		return false;
	for (p = t.p; *p != '\0';) {
		p += strspn(p, " \t");
		if (*p == '\0')
			break;
		if (n + 1 >= sizeof(w->argv) / sizeof(w->argv[0]))
			return false;
		w->argv[n++] = p;
		p += strcspn(p, " \t");
		if (*p != '\0')
			*p++ = '\0';
	}
	w->argv[n] = NULL;
	return n > 0;
}

/* ---- 10. program: hand it to one ---------------------------------------- */

/*
 * The message waits, complete, in a file that has no name any more; then the
 * program runs, for each recipient with a file of its own, or once for all.
 * The one that was received is for the last of them; the others are copied
 * from it before.
 */
static struct {
	int64_t		 until;		/* the end of all runs of a message */
	int		 exit;		/* of the last run; -1: by a signal */
	struct smtp_last last;		/* of its output */
	struct smtp_text said;		/* its head, for the log */
	char		 said_text[4096];
	char		 args[ARGUMENTS_MAX];
	char		*argv[RECIPIENTS_MAX + PROGRAM_ARGS_MAX];
	struct {			/* what it said of each recipient */
		unsigned char	 n;
		char		 text[SMTP_WORDS_MAX];
	} words[RECIPIENTS_MAX];
} program;

static bool
is_recipients(const char *arg)
{
	return strcmp(arg, "{recipients}") == 0;
}

/* What stands for the placeholders: r's, the sender's; NULL and false leave
 * them alone. */
struct arguments {
	struct smtp_arguments	v;
	char			user[SMTP_MAILBOX_MAX];
	char			recipient[SMTP_MAILBOX_MAX];
	char			sender[SMTP_MAILBOX_MAX];
};

static void
arguments_of(struct arguments *a, const struct rcpt *r, bool sender)
{
	struct smtp_text t = SMTP_TEXT(a->recipient);
	struct slice local = { envelope.sender.p, 0 };
	const char *at;

	a->v = (struct smtp_arguments){ 0 };
	if (r != NULL) {
		struct smtp_values v = values_of(r, a->user);

		smtp_put_address(&t, r->local, r->domain);
		a->v.recipient = smtp_written(&t);
		a->v.user = v.user;
		a->v.domain = v.domain;
		a->v.extension = v.extension;
		if (v.extension.p == NULL)
			a->v.extension = smtp_slice("");
		a->v.quoted = smtp_needs_quotes(r->local);
	}
	if (!sender)
		return;
	a->v.sender = smtp_slice(conf.program_once ? "" : "MAILER-DAEMON");
	at = envelope.sender.n == 0 ? NULL :
	    memrchr(envelope.sender.p, '@', envelope.sender.n);
	if (at == NULL)
		return;
	local.n = (size_t)(at - local.p);
	t = SMTP_TEXT(a->sender);
	smtp_put_address(&t, local, (struct slice){ at + 1,
	    envelope.sender.n - local.n - 1 });
	a->v.sender = smtp_written(&t);
	a->v.sender_quoted = smtp_needs_quotes(local);
}

/* May they all stand where the program's arguments have them? */
static bool
arguments_fit(const struct arguments *a)
{
	static char buf[2 * SMTP_LINE_MAX];
	struct smtp_text t;

	for (size_t i = 0; conf.program[i] != NULL; i++) {
		t = SMTP_TEXT(buf);
		if (smtp_put_argument(&t, smtp_slice(is_recipients(
		    conf.program[i]) ? "{recipient}" : conf.program[i]),
		    &a->v) == SMTP_EVALUE)
			return false;
	}
	return true;
}

static bool
program_takes_sender(void)
{
	static struct arguments a;

	if (conf.program == NULL)
		return true;
	arguments_of(&a, NULL, true);
	return arguments_fit(&a);
}

/* At RCPT: may the program be given this recipient? */
static enum smtp_reply
program_find(const struct rcpt *r)
{
	static struct arguments a;

	/* all must fit in the arguments */
	if (conf.program_once && envelope.used > ARGUMENTS_MAX / 2)
		return SMTP_CROWDED;
	arguments_of(&a, r, true);
	return arguments_fit(&a) ? SMTP_YES : SMTP_UNFIT;
}

/* The next argument, with its NUL; a relay's own is all the recipients. */
static enum smtp_status
program_argument(struct smtp_text *t, const char *arg,
    const struct arguments *a, size_t *argc)
{
	const struct rcpt *r = envelope.rcpt;
	enum smtp_status status;

	if (!is_recipients(arg)) {
		program.argv[(*argc)++] = t->p + t->n;
		status = smtp_put_argument(t, smtp_slice(arg), &a->v);
		smtp_put(t, (struct slice){ "", 1 });
		return status;
	}
	for (; r < envelope.rcpt + envelope.rcpts; r++) {
		if (r->loops)
			continue;
		program.argv[(*argc)++] = t->p + t->n;
		smtp_put_address(t, r->local, r->domain);
		smtp_put(t, (struct slice){ "", 1 });
	}
	return SMTP_OK;
}

/* Make the arguments of a run; r is NULL for a relay's. */
static enum smtp_reply
program_arguments(const struct rcpt *r)
{
	static struct arguments a;
	struct smtp_text t = SMTP_TEXT(program.args);
	size_t argc = 0;

	arguments_of(&a, r, true);
	for (size_t i = 0; conf.program[i] != NULL; i++)
		if (program_argument(&t, conf.program[i], &a, &argc) !=
		    SMTP_OK)
			return SMTP_FAULT;
	program.argv[argc] = NULL;
	if (t.cut)
		log_fault("arguments too long", NULL, 0);
	return t.cut ? SMTP_FAULT : SMTP_YES;
}

/* Make the environment of a run: what Postfix, Exim, qmail and OpenSMTPD set.
 * r is the only recipient, or NULL. */
static void
program_environment(const struct rcpt *r)
{
	static struct arguments a;
	char local[SMTP_MAILBOX_MAX];
	size_t n;

	helper_env_begin(NULL);
	arguments_of(&a, r, true);
	helper_env("SENDER", envelope.sender.n > 0 ? a.v.sender :
	    smtp_slice(""));
	if (r != NULL) {
		(void)smtp_unquote(r->local, local, sizeof(local), &n);
		helper_env("RECIPIENT", a.v.recipient);
		helper_env("LOCAL", (struct slice){ local, n });
		helper_env("DOMAIN", a.v.domain);
		helper_env("HOST", a.v.domain);
		helper_env("EXTENSION", a.v.extension);
		helper_env("EXT", a.v.extension);
	}
	helper_env("CLIENT_ADDRESS", peer.address);
	helper_env("CLIENT_HOSTNAME", peer.name);
	helper_env("CLIENT_HELO", envelope.helo);
	helper_env("CLIENT_PROTOCOL", smtp_slice(envelope.protocol));
	helper_env("AUTH_USER", peer.login);
	helper_env("MESSAGE_ID", smtp_written(&message.id));
}

/* What an exit status means: sysexits.h's, qmail-command(8)'s, the shell's. */
static enum smtp_reply
outcome_of_exit(int status)
{
	switch (status) {
	case 0:
	case 99:
		return SMTP_YES;
	case 67:
		return SMTP_NO_USER;
	case 68:
		return SMTP_NO_HOST;
	case 65:
		return SMTP_BAD_DATA;
	case 77:
		return SMTP_DENIED;
	case 100:
		return SMTP_REJECTED;
	case 73:
		return SMTP_CANT_CREATE;
	case 64:
	case 69:
	case 70:
	case 78:
	case 126:
	case 127:
		return SMTP_MISCONFIGURED;
	default:
		return SMTP_FAULT;
	}
}

/* A file in the spool, without a name. */
static enum smtp_reply
spool_create(void)
{
	char buf[PATH_MAX];
	struct smtp_text t = SMTP_TEXT(buf);
	int fd = -1;

	file.path = conf.spool;
	smtp_puts(&t, conf.spool);
	smtp_puts(&t, "/smtpd.XXXXXX");
	errno = ENAMETOOLONG;
	if (smtp_string(&t) != NULL)
		fd = mkostemp(t.p, O_CLOEXEC);
	file_begin(fd);
	if (fd == -1)
		return failed("create", conf.spool);
	return unlink(t.p) == -1 ? failed("unlink", t.p) : SMTP_YES;
}

/* What a run's file has in front: a relay's no more than where it was; r is
 * the only recipient, or NULL. */
static enum smtp_reply
program_trace(const struct rcpt *r)
{
	enum smtp_reply o = SMTP_YES;

	if (!conf.program_once) {
		o = message_return_path();
		if (o == SMTP_YES)
			o = message_delivered_to(r);
	}
	return o == SMTP_YES ? message_received(r) : o;
}

/* Whom the run with the file that was received is for, the last of them; NULL:
 * for several. */
static const struct rcpt *
program_home(void)
{
	const struct rcpt *r = &envelope.rcpt[envelope.rcpts - 1];

	if (conf.program_once && envelope.rcpts > 1)
		return NULL;
	while (!rcpt_is_first(r))
		r--;
	return r;
}

static void
program_abort(void)
{
	file_close();
	source_close();
}

static enum smtp_reply
program_failed(enum smtp_reply o)
{
	program_abort();
	return o;
}

static enum smtp_reply
program_begin(void)
{
	enum smtp_reply o = spool_create();

	if (o == SMTP_YES)
		o = program_trace(program_home());
	if (o == SMTP_YES)
		o = file_front_done();
	return o == SMTP_YES ? SMTP_YES : program_failed(o);
}

/* Take what the program says; false at its end. */
static bool
program_hear(int fd)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));
	struct slice s = { buf, n > 0 ? (size_t)n : 0 };

	smtp_put(&program.said, s);
	smtp_last(&program.last, s);
	return n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR));
}

/* The end of a run, or its time.  Who inherited the pipe and lives on does
 * not hold us up: what is in it by then was said. */
static bool
program_wait(pid_t pid, int out, int *status)
{
	enum { PIPE_READS = 16 };	/* of a pipe's 64 KiB */
	struct pollfd p = { .fd = out, .events = POLLIN };
	bool in_time = helper_finish(pid, program.argv[0], out, program_hear,
	    program.until, false, status) == SMTP_YES;

	for (int i = 0; i < PIPE_READS && wait_until(&p, 1, 0) > 0; i++)
		if (!program_hear(out))
			break;
	return in_time;
}

/* Log what a run said, a line of its each, and how it ended. */
static void
program_log(const struct rcpt *r, const char *how, int number)
{
	struct slice left = smtp_written(&program.said), line;
	const char *lf;

	for (; left.n > 0; left = (struct slice){ line.p + line.n,
	    left.n - line.n }) {
		lf = memchr(left.p, '\n', left.n);
		line = left;
		if (lf != NULL)
			line.n = (size_t)(lf - left.p) + 1;
		if (line.n > SMTP_ESCAPED_MAX)
			line.n = SMTP_ESCAPED_MAX;
		log_begin(LOG_INFO, "output");
		log_plain("id", smtp_written(&message.id));
		log_quoted("text", (struct slice){ line.p, line.n -
		    (line.p[line.n - 1] == '\n') });
		log_end();
	}
	if (number == 0)
		return;
	log_begin(LOG_WARNING, "program");
	log_plain("id", smtp_written(&message.id));
	log_number(how, (uint64_t)number);
	if (r != NULL)
		log_quoted("to", rcpt_address(r));
	log_end();
}

/* Run the program on the file; r is NULL for a relay of several. */
static enum smtp_reply
program_start(const struct rcpt *r)
{
	int out[2], status = 0;
	bool in_time;
	pid_t pid;

	if (lseek(file.fd, 0, SEEK_SET) == -1)
		return failed("lseek", conf.spool);
	if (pipe2(out, O_CLOEXEC) == -1)
		return failed("pipe", program.argv[0]);
	set_nonblocking(out[0]);
	pid = helper_spawn(program.argv, (int[]){ file.fd, out[1], out[1] },
	    3);
	if (pid == -1) {
		(void)failed("exec", program.argv[0]);
		close(out[0]);
		close(out[1]);
		return SMTP_MISCONFIGURED;
	}
	close(out[1]);
	in_time = program_wait(pid, out[0], &status);
	close(out[0]);
	if (!in_time)
		program_log(r, "seconds", (int)conf.program_timeout);
	else if (WIFEXITED(status))
		program_log(r, "exit", WEXITSTATUS(status));
	else
		program_log(r, "signal", WTERMSIG(status));
	return in_time && WIFEXITED(status) ?
	    outcome_of_exit(WEXITSTATUS(status)) : SMTP_FAULT;
}

/* Give a run its file: the one received, or a copy. */
static enum smtp_reply
program_file(const struct rcpt *r)
{
	enum smtp_reply o;

	file_close();
	if (r == program_home() && file.label.n == 0) {
		file_from_source();
		return SMTP_YES;
	}
	o = spool_create();
	if (o == SMTP_YES)
		o = program_trace(r);
	if (o == SMTP_YES)
		o = file_copy_source();
	return o == SMTP_YES ? file_flush() : o;
}

/* One run, for r, or NULL: for all of a relay's recipients. */
static enum smtp_reply
program_run(const struct rcpt *r)
{
	enum smtp_reply o = SMTP_FAULT;

	program.said = SMTP_TEXT(program.said_text);
	program.last = (struct smtp_last){ 0 };
	if (now_ms() >= program.until) {
		program_log(r, "seconds", (int)conf.program_timeout);
		return o;
	}
	o = program_file(r);
	if (o == SMTP_YES)
		o = program_arguments(conf.program_once ? NULL : r);
	if (o != SMTP_YES)
		return o;
	program_environment(r);
	return program_start(r);
}

static void
program_result(struct rcpt *r, enum smtp_reply o)
{
	struct slice words = smtp_last_line(&program.last);
	size_t i = (size_t)(r - envelope.rcpt);

	worsen(&r->outcome, o);
	program.words[i].n = (unsigned char)words.n;
	if (words.n > 0)
		memcpy(program.words[i].text, words.p, words.n);
}

/* Not every program makes its files last (procmail and maildrop do not sync
 * the directory): --sync does, before a success is told. */
static void
program_sync(void)
{
	struct rcpt *r = envelope.rcpt, *end = r + envelope.rcpts;
	enum smtp_reply o = SMTP_YES;
	int fd;

	while (r < end && (r->outcome != SMTP_YES || !rcpt_is_first(r)))
		r++;
	if (conf.sync == NULL || r == end)
		return;
	fd = open(conf.sync, O_RDONLY | O_CLOEXEC);
#ifdef __linux__
	if (fd == -1 || syncfs(fd) == -1)
		o = failed("sync", conf.sync);
#endif
	if (fd != -1)
		close(fd);
	for (; r < end && o != SMTP_YES; r++)
		if (r->outcome == SMTP_YES) {
			program.words[r - envelope.rcpt].n = 0;
			worsen(&r->outcome, o);
		}
}

/* Run for every recipient that is no loop, and not equal to one before; the
 * outcomes are theirs; told, if it is given, is called when one is known. */
static enum smtp_reply
program_commit(void (*told)(const struct rcpt *))
{
	struct rcpt *r = envelope.rcpt, *end = r + envelope.rcpts;
	enum smtp_reply o = file_flush();

	message_label();
	if (o != SMTP_YES)
		return program_failed(o);
	file_to_source();
	program.until = now_ms() + (int64_t)conf.program_timeout * 1000;
	for (; conf.program_once && r < end; r++)
		if (!r->loops) {
			o = program_run(program_home());
			break;
		}
	for (r = envelope.rcpt; r < end; r++) {
		program.words[r - envelope.rcpt].n = 0;
		if (r->loops)
			worsen(&r->outcome, SMTP_LOOP);
		else if (rcpt_is_first(r))
			program_result(r, conf.program_once ? o :
			    program_run(r));
		if (told != NULL && conf.sync == NULL)
			told(r);
	}
	program_sync();
	program_abort();
	return SMTP_YES;
}

/* The two kinds of delivery, and a dry run, seen from the session. */

static bool
delivery_none(void)
{
	return conf.maildir == NULL && conf.program == NULL;
}

static enum smtp_reply
delivery_find(struct rcpt *r)
{
	return conf.program != NULL ? program_find(r) : maildir_find(r);
}

static enum smtp_reply
delivery_begin(void)
{
	if (delivery_none()) {
		file_begin(-1);
		return file_front_done();
	}
	return conf.program != NULL ? program_begin() : maildir_begin();
}

/* Write what is in file_buf. */
static enum smtp_reply
delivery_flush(void)
{
	return conf.maildir != NULL ? maildir_flush() : file_flush();
}

/* Where this comes to SMTP_YES, rcpt_outcome() tells of each; and always where
 * each stands by itself in a Maildir. */
static enum smtp_reply
delivery_commit(void (*told)(const struct rcpt *))
{
	if (delivery_none())
		return SMTP_YES;
	return conf.program != NULL ? program_commit(told) :
	    maildir_commit();
}

/* What became of one recipient. */
static enum smtp_reply
rcpt_outcome(const struct rcpt *r)
{
	if (r->loops)
		return SMTP_LOOP;
	if (conf.program != NULL)
		return envelope.rcpt[r->same].outcome;
	return conf.maildir == NULL ? SMTP_YES : boxes[r->box].outcome;
}

/* What the program said of one recipient; empty for nothing. */
static struct slice
rcpt_words(const struct rcpt *r)
{
	if (conf.program == NULL || r->loops)
		return smtp_slice("");
	return (struct slice){ program.words[r->same].text,
	    program.words[r->same].n };
}

static void
delivery_abort(void)
{
	program_abort();
	maildir_abort();
}

/* ---- 11. policy: ask a server ------------------------------------------ */

/*
 * Postfix's policy delegation (SMTPD_POLICY_README): lines "name=value" and an
 * empty one, each way, over a connection that is kept for the session.  A
 * server that has failed is not asked again.
 */
static char policy_out[16 * 1024];
static char policy_in[4096];

static struct {
	int		 fd;
	pid_t		 pid;		/* of a program; 0: none */
	bool		 failed;
	bool		 told;		/* why it is not asked */
} policy = { .fd = -1 };

static void
policy_close(void)
{
	if (policy.fd != -1)
		close(policy.fd);
	policy.fd = -1;
}

/* A program that does not answer any more is killed.  SMTP_FAULT, or what came
 * while it ended. */
static enum smtp_reply
policy_end(void)
{
	enum smtp_reply r = SMTP_YES;
	int status;

	policy_close();
	if (policy.pid != 0)
		r = helper_finish(policy.pid, conf.policy, -1, NULL, 0, true,
		    &status);
	policy.pid = 0;
	return r == SMTP_YES ? SMTP_FAULT : r;
}

/* There is no answer to be had, now or in this session. */
static enum smtp_reply
policy_fault(const char *what, int error)
{
	log_fault(what, conf.policy, error);
	policy.failed = true;
	return policy_end();
}

static enum smtp_reply
policy_connect(const struct sockaddr *sa, socklen_t n, int64_t until)
{
	enum { AGAIN = 50 };	/* ms, when a UNIX socket's queue is full */
	enum smtp_reply r = SMTP_YES;
	socklen_t size = sizeof(int);
	int error = 0;

	policy.fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);
	if (policy.fd == -1)
		return SMTP_FAULT;
	while (r == SMTP_YES && connect(policy.fd, sa, n) == -1) {
		if (errno == EAGAIN && now_ms() < until) {
			r = helper_pause(now_ms() + AGAIN);
			continue;
		}
		if (errno != EINPROGRESS)
			return SMTP_FAULT;
		r = helper_wait(policy.fd, POLLOUT, until, true);
		if (r != SMTP_YES)
			return r;
		if (getsockopt(policy.fd, SOL_SOCKET, SO_ERROR, &error,
		    &size) == 0)
			errno = error;
		return errno == 0 ? SMTP_YES : SMTP_FAULT;
	}
	return r;
}

/* A program speaks the same on its standard input and output. */
static enum smtp_reply
policy_spawn(void)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		return SMTP_FAULT;
	policy.fd = pair[0];
	set_nonblocking(pair[0]);
	helper_env_begin(getenv("PATH"));
	pid = helper_spawn(policy_program.argv,
	    (int[]){ pair[1], pair[1], 2 }, 3);
	close(pair[1]);
	policy.pid = pid != -1 ? pid : 0;
	return pid != -1 ? SMTP_YES : SMTP_FAULT;
}

/* A name is a program; so is a path with arguments, or to what is no socket. */
static bool
policy_is_program(void)
{
	struct stat st;

	return conf.policy_port == 0 && (strchr(conf.policy, '/') == NULL ||
	    (stat(conf.policy, &st) == 0 && !S_ISSOCK(st.st_mode)) ||
	    policy_program.argv[1] != NULL);
}

/* SMTP_FAULT with errno. */
static enum smtp_reply
policy_open(int64_t until)
{
	const in_port_t port = htons((in_port_t)conf.policy_port);
	union endpoint sa = { .room = { 0 } };
	size_t n = strlen(conf.policy);
	socklen_t size;

	if (policy_is_program())
		return policy_spawn();
	if (port == 0) {
		errno = ENAMETOOLONG;
		if (n >= sizeof(sa.un.sun_path))
			return SMTP_FAULT;
		sa.un.sun_family = AF_UNIX;
		memcpy(sa.un.sun_path, conf.policy, n);
		size = sizeof(sa.un);
	} else if (ip_is_v4(conf.policy_ip)) {
		sa.v4.sin_family = AF_INET;
		sa.v4.sin_port = port;
		memcpy(&sa.v4.sin_addr, conf.policy_ip + 12, 4);
		size = sizeof(sa.v4);
	} else {
		sa.v6.sin6_family = AF_INET6;
		sa.v6.sin6_port = port;
		memcpy(&sa.v6.sin6_addr, conf.policy_ip, 16);
		size = sizeof(sa.v6);
	}
	return policy_connect(&sa.any, size, until);
}

/* One question over the connection that is there, and its answer into p.
 * SMTP_FAULT without policy.failed if it was closed, and gives none. */
static enum smtp_reply
policy_talk(const struct smtp_question *q, struct smtp_policy *p,
    int64_t until)
{
	struct smtp_text t = SMTP_TEXT(policy_out);
	enum smtp_status status = SMTP_EMORE;
	enum smtp_reply r;
	size_t sent = 0, got = 0;
	bool wait = false;
	ssize_t n = recv(policy.fd, policy_in, 1, MSG_DONTWAIT);

	/* an answer that nobody asked for is not one to the next question */
	if (n > 0)
		return policy_fault("policy: talks unasked", 0);
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return SMTP_FAULT;
	for (smtp_put_question(&t, q); status == SMTP_EMORE; wait = true) {
		r = !wait ? SMTP_YES : helper_wait(policy.fd,
		    sent < t.n ? POLLOUT : POLLIN, until, true);
		if (r == SMTP_FAULT)
			return policy_fault("policy", errno);
		if (r != SMTP_YES)
			return r;
		if (sent < t.n)
			n = send(policy.fd, t.p + sent, t.n - sent,
			    MSG_NOSIGNAL);
		else
			n = recv(policy.fd, policy_in + got,
			    sizeof(policy_in) - got, 0);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return got == 0 ? SMTP_FAULT : policy_fault("policy: "
			    "half an answer, or too long a one",
			    n == 0 ? 0 : errno);
		if (sent < t.n) {
			sent += (size_t)n;
			continue;
		}
		got += (size_t)n;
		status = smtp_parse_policy((struct slice){ policy_in, got }, p);
	}
	return status == SMTP_OK ? SMTP_YES :
	    policy_fault("policy: no action", 0);
}

/*
 * Ask.  SMTP_YES with the answer in p; SMTP_FAULT if there is none to be had;
 * or as helper_wait().  A server may end a connection when it has answered:
 * then there is another one.
 */
static enum smtp_reply
policy_ask(struct slice helo, struct slice recipient, const char *protocol,
    struct smtp_policy *p)
{
	const struct smtp_question q = {
		.local = peer.local,
		.protocol = smtp_slice(protocol),
		.address = peer.address,
		.name = peer.name,
		.port = peer.port,
		.server = peer.server,
		.server_port = peer.server_port,
		.helo = helo,
		.sender = envelope.sender,
		.recipient = recipient,
		.instance = smtp_written(&envelope.instance),
		.size = envelope.size,
		.login_method = smtp_slice(peer.login_method),
		.login = peer.login,
		.tls_version = peer.tls_version,
		.tls_cipher = peer.tls_cipher
	};
	int64_t until = now_ms() + (int64_t)POLICY_SECONDS * 1000;
	enum smtp_reply r = SMTP_FAULT;
	bool kept = true;

	while (r == SMTP_FAULT && kept && !policy.failed) {
		kept = policy.fd != -1;
		r = kept ? SMTP_YES : policy_open(until);
		if (r == SMTP_FAULT)
			return policy_fault("policy", errno);
		if (r == SMTP_YES)
			r = policy_talk(&q, p, until);
		if (r == SMTP_FAULT && !policy.failed)
			r = policy_end();
	}
	return r != SMTP_FAULT || policy.failed ? r :
	    policy_fault("policy: closed", 0);
}

/* ---- 12. auth: ask a checkpassword program ----------------------------- */

/*
 * The interface is Bernstein's: name, password and time, a NUL behind each, 512
 * octets at most, on descriptor 3; the exit status is the answer.  What held a
 * password is wiped as soon as it was used.
 */
static struct {
	char	buf[2][SMTP_AUTH_MAX];	/* what the client sent, decoded */
	char	told[SMTP_CHECK_MAX];	/* what the program is told */
} auth;

static void
auth_wipe(void)
{
	explicit_bzero(&auth, sizeof(auth));
}

static bool
auth_offered(void)
{
	return conf.auth != NULL && (peer.tls || peer.terminal ||
	    (conf.auth_clear != NULL && smtp_nets_match(smtp_slice(
	    conf.auth_clear), peer.address.n > 0 ? peer.ip : NULL)));
}

/* Start the program, with the words on its descriptor 3. */
static pid_t
auth_spawn(struct slice words)
{
	pid_t pid = -1;
	ssize_t n;
	int in[2];

	if (pipe2(in, O_CLOEXEC) == -1)
		return -1;
	/* so little always fits */
	n = write(in[1], words.p, words.n);
	close(in[1]);
	if (n == (ssize_t)words.n) {
		helper_env_begin(getenv("PATH"));
		pid = helper_spawn(auth_program.argv,
		    (int[]){ -1, -1, 2, in[0] }, 4);
	}
	close(in[0]);
	return pid;
}

/* Is that the user's password?  SMTP_YES, SMTP_WRONG, SMTP_UNAVAILABLE if
 * nobody knows; or as helper_wait(). */
static enum smtp_reply
auth_check(struct slice user, struct slice password)
{
	struct smtp_text t = SMTP_TEXT(auth.told);
	const char *name = auth_program.argv[0];
	enum smtp_reply r;
	int status;
	pid_t pid;

	smtp_put_password(&t, user, password, (uint64_t)time(NULL));
	if (t.cut)
		return SMTP_WRONG;
	pid = auth_spawn(smtp_written(&t));
	if (pid == -1) {
		log_fault("exec", name, errno);
		return SMTP_UNAVAILABLE;
	}
	r = helper_finish(pid, name, -1, NULL, now_ms() + AUTH_SECONDS * 1000,
	    true, &status);
	if (r != SMTP_YES && r != SMTP_FAULT)
		return r;
	if (r == SMTP_FAULT || !WIFEXITED(status))
		return SMTP_UNAVAILABLE;
	switch (WEXITSTATUS(status)) {
	case 0:
		return SMTP_YES;
	case 1:
	case 3:		/* vchkpw's */
	case 100:
		return SMTP_WRONG;
	default:
		log_begin(LOG_ERR, "fault");
		log_client();
		log_quoted("what", smtp_slice("checkpassword"));
		log_quoted("path", smtp_slice(name));
		log_number("exit", (uint64_t)WEXITSTATUS(status));
		log_end();
		return SMTP_UNAVAILABLE;
	}
}

/* ---- 13. tls: have the launcher begin it ------------------------------- */

/*
 * UCSPI-TLS: the launcher gives us a control descriptor and two that are in
 * clear on our side.  'Y' asks it to begin; when the client has shaken hands it
 * tells the environment, see smtp_tls().
 */
static struct {
	int	 fd[3];			/* control, read, write; -1: none */
	bool	 started;
} tls = { .fd = { -1, -1, -1 } };

static struct smtp_tls tls_told;

static bool
tls_to_be_had(void)
{
	return tls.fd[0] != -1 && !peer.tls;
}

/* Before what was inherited is closed: is it there, and all of it? */
static void
tls_find(void)
{
	static const char names[][12] = { "SSLCTLFD", "SSLREADFD",
	    "SSLWRITEFD" };
	const char *v;
	uint64_t fd;

	for (size_t i = 0; i < 3; i++) {
		v = peer_env(names[i]);
		if (v == NULL || smtp_parse_number(smtp_slice(v), INT_MAX,
		    &fd) != SMTP_OK || fd < 3 ||
		    fcntl((int)fd, F_SETFD, FD_CLOEXEC) == -1) {
			if (v != NULL)
				peer_skip(names[i]);
			tls.fd[0] = tls.fd[1] = tls.fd[2] = -1;
			return;
		}
		tls.fd[i] = (int)fd;
	}
}

/* The launcher's answer, which comes when the client has shaken hands. */
static bool
tls_answer(void)
{
	int64_t until = now_ms() + (int64_t)conf.timeout * 1000;
	bool end = false;
	char buf[4096];
	ssize_t n;

	while (!end) {
		if (now_ms() >= until || helper_wait(tls.fd[0], POLLIN, until,
		    false) != SMTP_YES)
			return false;
		n = read(tls.fd[0], buf, sizeof(buf));
		if (n == 0 || (n == -1 && errno != EINTR && errno != EAGAIN))
			return false;
		if (n > 0)
			end = smtp_tls(&tls_told,
			    (struct slice){ buf, (size_t)n });
	}
	peer.tls_version = (struct slice){ tls_told.version,
	    tls_told.version_n };
	peer.tls_cipher = (struct slice){ tls_told.cipher, tls_told.cipher_n };
	return true;
}

/* Is there someone at the other end?  He has nothing to say yet. */
static bool
tls_alive(void)
{
	struct pollfd p = { .fd = tls.fd[0], .events = POLLIN };

	return wait_until(&p, 1, 0) <= 0;
}

/* Begin; SMTP_GONE if that failed, and then nobody can go on. */
static enum smtp_reply
tls_start(void)
{
	struct stat in, out;

	if (write(tls.fd[0], "Y", 1) != 1 || !tls_answer() ||
	    dup2(tls.fd[1], 0) == -1 || dup2(tls.fd[2], 1) == -1 ||
	    fstat(0, &in) == -1 || fstat(1, &out) == -1)
		return SMTP_GONE;
	for (size_t i = 0; i < 3; i++)
		close(tls.fd[i]);
	peer.socket_in = S_ISSOCK(in.st_mode);
	peer.socket = S_ISSOCK(out.st_mode);
	peer.tls = tls.started = true;
	log_begin(LOG_INFO, "tls");
	log_client();
	log_quoted("version", peer.tls_version);
	log_quoted("cipher", peer.tls_cipher);
	log_end();
	return SMTP_YES;
}

/* ---- 14. lists: whose mail we take ------------------------------------- */

/*
 * The lists of users and of domains that were asked last; they stay mapped for
 * as long as they are the same files.  One that is cut short while we look at
 * it, which list_ask() alone does, has us jump back there.
 */
static sigjmp_buf list_cut;

static struct list {
	struct stat	 st;
	struct slice	 text;
} lists[2];

static void
on_list_cut(int sig)
{
	(void)sig;
	siglongjmp(list_cut, 1);
}

static bool
list_is_same(const struct stat *a, const struct stat *b)
{
	return same_file(a, b) && a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool
list_map(struct list *l, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	void *p = MAP_FAILED;

	if (l->text.n > 0)
		(void)munmap((void *)(uintptr_t)l->text.p, l->text.n);
	l->text.n = 0;
	if (fd == -1)
		return false;
	errno = 0;
	if (fstat(fd, &l->st) == 0 && l->st.st_size > 0)
		p = mmap(NULL, (size_t)l->st.st_size, PROT_READ, MAP_PRIVATE,
		    fd, 0);
	if (p != MAP_FAILED)
		l->text = (struct slice){ p, (size_t)l->st.st_size };
	close(fd);
	return p != MAP_FAILED;
}

struct who {			/* a recipient; of a domain no more is asked */
	struct slice	local;
	struct slice	user;
	struct slice	domain;
};

/* Ask a list: SMTP_YES, or no, or SMTP_FAULT.  One that is empty or ends
 * without a newline is just being written, and tells nothing. */
static enum smtp_reply
list_ask(const char *path, const struct who *who, enum smtp_reply no)
{
	const bool users = path == conf.users;
	struct list *l = &lists[users];
	volatile enum smtp_reply r = SMTP_FAULT;
	struct stat st;

	if ((l->text.n == 0 || stat(path, &st) == -1 ||
	    !list_is_same(&st, &l->st)) && !list_map(l, path)) {
		log_fault(errno == 0 ? "list empty" : "list", path, errno);
		return SMTP_FAULT;
	}
	signal_set(SIGBUS, on_list_cut);
	if (sigsetjmp(list_cut, 1) == 0 && l->text.p[l->text.n - 1] == '\n')
		r = (users ? smtp_users_hold(l->text, who->local, who->user,
		    who->domain) : smtp_domains_hold(l->text, who->domain)) ?
		    SMTP_YES : no;
	signal_set(SIGBUS, SIG_DFL);
	if (r == SMTP_FAULT)
		log_fault("list incomplete", path, 0);
	return r;
}

/* Is a domain ours?  SMTP_YES, SMTP_NOT_OURS or SMTP_FAULT. */
static enum smtp_reply
domain_find(struct slice domain)
{
	const struct who who = { .domain = domain };
	enum smtp_reply r = SMTP_NOT_OURS, one;

	if (conf.domains == 0)
		return SMTP_YES;
	for (size_t i = 0; i < conf.domains && r != SMTP_YES; i++) {
		one = SMTP_NOT_OURS;
		if (domains[i].p[0] == '@')
			one = list_ask(domains[i].p + 1, &who, one);
		else if (smtp_domain_matches(domains[i], domain))
			one = SMTP_YES;
		if (one != SMTP_NOT_OURS)
			r = one;
	}
	return r;
}

/* The domain that an address without one is given. */
static struct slice
domain_default(void)
{
	for (size_t i = 0; i < conf.domains; i++)
		if (smtp_is_domain(domains[i]))
			return domains[i];
	return smtp_slice(conf.hostname);
}

/* What was asked of --users in this session, and the answers: whoever asks
 * again hears the same. */
enum { ASKED = 16 };

static struct {
	struct smtp_text	who;
	char			text[SMTP_MAILBOX_MAX];
	enum smtp_reply		answer;
} asked[ASKED];

/* Does --users know this recipient?  SMTP_YES, SMTP_NO_USER or SMTP_FAULT.
 * Postmaster always exists (4.5.1). */
static enum smtp_reply
user_find(struct slice local, struct slice domain)
{
	char buf[SMTP_MAILBOX_MAX], address_buf[SMTP_MAILBOX_MAX];
	struct smtp_text t = SMTP_TEXT(address_buf);
	struct who who = { .local.p = buf, .domain = domain };
	struct slice extension;
	unsigned i;

	(void)smtp_unquote(local, buf, sizeof(buf), &who.local.n);
	if (conf.users == NULL || smtp_is(who.local, "postmaster"))
		return SMTP_YES;
	smtp_put(&t, who.local);
	smtp_puts(&t, "@");
	smtp_put(&t, domain);
	i = address_hash(smtp_written(&t)) % ASKED;
	if (!t.cut && smtp_same(smtp_written(&asked[i].who), smtp_written(&t)))
		return asked[i].answer;
	smtp_split_extension(who.local, conf.delimiter, &who.user, &extension);
	asked[i].answer = list_ask(conf.users, &who, SMTP_NO_USER);
	asked[i].who = SMTP_TEXT(asked[i].text);
	if (!t.cut && asked[i].answer != SMTP_FAULT)
		smtp_put(&asked[i].who, smtp_written(&t));
	return asked[i].answer;
}

/* ---- 15. session: one function per verb -------------------------------- */

enum need { NEED_NOTHING, NEED_TLS, NEED_ALL };	/* of --require */

enum state {			/* bits, so that a row can name several */
	S_HELO	= 1 << 0,	/* connected, not introduced */
	S_IDLE	= 1 << 1,	/* introduced, no transaction */
	S_MAIL	= 1 << 2,	/* sender given */
	S_TRIED	= 1 << 3,	/* recipients refused, none accepted yet */
	S_RCPT	= 1 << 4,	/* at least one recipient accepted */
	S_BDAT	= 1 << 5,	/* at least one chunk accepted */
	S_DONE	= 1 << 6,	/* QUIT answered */
	S_TXN	= S_MAIL | S_TRIED | S_RCPT | S_BDAT,
	S_ANY	= S_HELO | S_IDLE | S_TXN
};

static char session_line[SMTP_AUTH_MAX];	/* the command */

struct session {
	enum state	 state;
	bool		 esmtp;
	char		 helo[HELO_MAX];
	size_t		 helo_n;
	bool		 helo_told;	/* by XCLIENT: the proxy's own does
					 * not replace it */
	uint64_t	 errors;	/* since the last delivered message */
	uint64_t	 junk;
	unsigned	 auth_failures;
	bool		 chunk_refused;	/* what is behind it is its part */
	bool		 same_error;	/* a refusal that is such a part */
	bool		 mail_refused;	/* the last MAIL was */
	struct slice	 to;		/* of this RCPT, for the log */
	int64_t		 rate_since;	/* DATA: this window began then, ... */
	uint64_t	 rate_from;	/* ... at this count of octets */
};

static enum reply
say_outcome(enum smtp_reply o)
{
	switch (o) {
	case SMTP_NO_ROOM:
		return SAY_NO_ROOM;
	case SMTP_QUOTA:
		return SAY_QUOTA;
	case SMTP_NO_LINKS:
		return SAY_NO_LINKS;
	case SMTP_NO_USER:
		return SAY_NO_USER;
	case SMTP_LOOP:
		return SAY_LOOP;
	case SMTP_NO_HOST:
		return SAY_NO_HOST;
	case SMTP_BAD_DATA:
		return SAY_BAD_DATA;
	case SMTP_DENIED:
		return SAY_DENIED;
	case SMTP_REJECTED:
		return SAY_FAILED;
	case SMTP_CANT_CREATE:
		return SAY_CANT_CREATE;
	case SMTP_MISCONFIGURED:
		return SAY_MISCONFIGURED;
	case SMTP_UNFIT:
		return SAY_UNFIT_RCPT;
	case SMTP_CROWDED:
		return SAY_TOO_MANY;
	case SMTP_YES:
		return delivery_none() ? SAY_DRY : SAY_DELIVERED;
	default:
		return SAY_FAULT;
	}
}

/* Has the client done what --require wants before such a command? */
static bool
required_met(enum need need)
{
	if (need != NEED_NOTHING && conf.require_tls && !peer.tls)
		return false;
	return need != NEED_ALL || !conf.require_auth || peer.login.n > 0;
}

static enum reply
say_required(void)
{
	return conf.require_tls && !peer.tls ? SAY_REQUIRED_TLS :
	    SAY_REQUIRED_AUTH;
}

/* The one code that forgets a transaction. */
static void
transaction_end(struct session *s)
{
	delivery_abort();
	envelope_clear();
	s->chunk_refused = s->mail_refused = false;
	s->state = s->helo_n > 0 ? S_IDLE : S_HELO;
}

static bool
helo_keep(struct session *s, struct slice arg)
{
	if (arg.n == 0 || arg.n > sizeof(s->helo))
		return false;
	if (!s->helo_told) {
		memcpy(s->helo, arg.p, arg.n);
		s->helo_n = arg.n;
	}
	transaction_end(s);
	return true;
}

static enum reply
do_helo(struct session *s, struct slice arg)
{
	if (conf.lmtp)
		return SAY_HELO_LMTP;
	if (!helo_keep(s, arg))
		return SAY_HELO_ARG;
	s->esmtp = false;
	net_reply(SAY_HELO, smtp_slice(conf.hostname));
	return SAY_NOTHING;
}

/* One line of the reply to EHLO, but the last. */
static void
ehlo_line(const char *word, const uint64_t *number)
{
	char buf[SMTP_DOMAIN_MAX + 32];
	struct smtp_text t = SMTP_TEXT(buf);

	smtp_puts(&t, word);
	if (number != NULL)
		smtp_put_number(&t, *number);
	net_say(smtp_slice("250-"), smtp_written(&t));
}

static bool
xclient_allowed(void)
{
	return conf.xclient != NULL && smtp_nets_match(smtp_slice(
	    conf.xclient), peer.address.n > 0 ? peer.ip : NULL);
}

/* Writes its reply itself, being the one of many lines. */
static enum reply
do_extended_helo(struct session *s, struct slice arg)
{
	if (!helo_keep(s, arg))
		return SAY_HELO_ARG;
	s->esmtp = true;
	ehlo_line(conf.hostname, NULL);
	ehlo_line("PIPELINING", NULL);
	ehlo_line("SIZE ", &conf.size);
	ehlo_line("8BITMIME", NULL);
	ehlo_line("SMTPUTF8", NULL);
	ehlo_line("CHUNKING", NULL);
	if (tls_to_be_had())
		ehlo_line("STARTTLS", NULL);
	if (auth_offered())
		ehlo_line("AUTH PLAIN LOGIN", NULL);
	if (xclient_allowed())
		ehlo_line("XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR "
		    "DESTPORT", NULL);
	if (!conf.lmtp)
		ehlo_line("PRDR", NULL);
	ehlo_line("LIMITS RCPTMAX=", &conf.recipients);
	ehlo_line("ENHANCEDSTATUSCODES", NULL);
	net_reply(SAY_HELO, smtp_slice("HELP"));
	return SAY_NOTHING;
}

static enum reply
do_ehlo(struct session *s, struct slice arg)
{
	return conf.lmtp ? SAY_HELO_LMTP : do_extended_helo(s, arg);
}

static enum reply
do_lhlo(struct session *s, struct slice arg)
{
	return conf.lmtp ? do_extended_helo(s, arg) : SAY_LHLO;
}

/* Is there room for a message of so many octets? */
static bool
room_for(uint64_t size)
{
	const char *path = conf.program != NULL ? conf.spool :
	    maildir.template ? maildir_root() : conf.maildir;
	struct statvfs fs;

	/* a file system that tells no size is not full */
	if (path == NULL || statvfs(path, &fs) == -1 || fs.f_frsize == 0 ||
	    fs.f_blocks == 0)
		return true;
	return size / fs.f_frsize < fs.f_bavail;
}

/* What an address beyond ASCII comes to: SAY_NOTHING for nothing wrong. */
static enum reply
check_utf8(const struct smtp_path *path, bool allowed, enum reply not_allowed,
    enum reply invalid)
{
	if (!path->eight_bit)
		return SAY_NOTHING;
	if (!allowed)
		return not_allowed;
	return smtp_is_visible(path->local) && smtp_is_visible(path->domain) ?
	    SAY_NOTHING : invalid;
}

static enum reply
say_param(enum smtp_status status)
{
	switch (status) {
	case SMTP_EUNKNOWN:
		return SAY_NO_PARAM;
	case SMTP_EVALUE:
		return SAY_BAD_PARAM;
	default:
		return SAY_SYNTAX;
	}
}

/* A hundred of what costs us more than it costs the client are an error. */
static void
session_junk(struct session *s)
{
	if (++s->junk % JUNK_MAX == 0)
		s->errors++;
}

/* One error too many: that is said instead of a command's own reply. */
static void
session_errors(const struct session *s)
{
	if (s->errors > conf.errors)
		bye(SAY_ERRORS, "errors");
}

/* DSN parameters come unasked: they are told, and that is all (RFC 3461). */
static void
log_dsn(struct session *s, struct slice arg)
{
	session_junk(s);
	if (++logged.notes > REFUSALS_LOGGED)
		return;
	log_begin(LOG_INFO, "dsn-ignored");
	log_client();
	log_quoted("what", arg);
	log_end();
}

static enum reply
do_mail(struct session *s, struct slice arg)
{
	enum smtp_status status;
	struct smtp_mail mail;
	struct smtp_path path;
	struct slice rest, domain;
	enum reply say;

	if (conf.lmtp && s->state == S_HELO)
		return SAY_LHLO_FIRST;
	status = smtp_parse_path(arg, "FROM", &path, &rest);
	if (status == SMTP_EVALUE)
		return SAY_SYNTAX;
	if (status != SMTP_OK || path.second_at)
		return SAY_BAD_SENDER;
	status = smtp_parse_mail(rest, conf.lmtp ? 0 : SMTP_WITH_PRDR, &mail);
	if (status != SMTP_OK)
		return say_param(status);
	say = check_utf8(&path, mail.smtputf8, SAY_SENDER_UTF8,
	    SAY_BAD_SENDER);
	if (say != SAY_NOTHING)
		return say;
	if (mail.has_size && conf.size > 0 && mail.size > conf.size)
		return SAY_TOO_BIG;
	if (mail.has_size && !room_for(mail.size))
		return SAY_NO_ROOM;
	domain = path.domain.n > 0 ? path.domain : domain_default();
	if (path.local.n > 0 &&
	    !envelope_keep(path.local, domain, &envelope.sender))
		return SAY_BAD_SENDER;
	if (!program_takes_sender()) {
		envelope_clear();
		return SAY_UNFIT_SENDER;
	}
	if (mail.dsn)
		log_dsn(s, arg);
	logged.lenient |= path.lenient | mail.lenient;
	if (s->helo_n == 0)
		logged.lenient |= SMTP_LENIENT_NO_HELO;
	envelope.utf8 = mail.smtputf8;
	envelope.each = conf.lmtp || mail.prdr;
	envelope.size = mail.has_size ? mail.size : 0;
	envelope.instance.n = 0;
	s->chunk_refused = false;
	s->state = S_MAIL;
	return SAY_SENDER;
}

/* How the session ends where someone was waited for. */
static void
bye_if(enum smtp_reply r)
{
	if (r == SMTP_GONE)
		leave(EXIT_BROKEN, "gone");
	if (r == SMTP_SHUTDOWN)
		bye(SAY_SHUTDOWN, "terminated");
}

/* What --users has to say: known, or why not. */
static enum reply
say_user(struct slice local, struct slice domain, enum reply known)
{
	switch (user_find(local, domain)) {
	case SMTP_FAULT:
		return SAY_FAULT;
	case SMTP_NO_USER:
		return SAY_NO_USER;
	default:
		return known;
	}
}

/* May mail go to this address?  SAY_NOTHING if so. */
static enum reply
check_rcpt(const struct smtp_path *path, struct slice domain)
{
	enum smtp_reply found = SMTP_YES;

	if (path->second_at && peer_relays())
		return SAY_BAD_RCPT;
	if (!peer_relays() && smtp_relays(path->local))
		return SAY_NOT_OURS;
	if (path->domain.n > 0)
		found = domain_find(domain);
	if (found == SMTP_FAULT)
		return SAY_FAULT;
	if (found == SMTP_NOT_OURS)
		return peer_relays() ? SAY_NOTHING : SAY_NOT_OURS;
	return say_user(path->local, domain, SAY_NOTHING);
}

/* A number for the message that the policy server is asked about. */
static void
envelope_name(void)
{
	static uint64_t counter;

	envelope.instance = SMTP_TEXT(envelope.instance_text);
	smtp_put_number(&envelope.instance, (uint64_t)own_pid);
	smtp_puts(&envelope.instance, ".");
	smtp_put_number(&envelope.instance, (uint64_t)time(NULL));
	smtp_puts(&envelope.instance, ".");
	smtp_put_number(&envelope.instance, ++counter);
}

static void
log_policy(const char *event, struct slice text)
{
	if (++logged.notes > REFUSALS_LOGGED)
		return;
	log_begin(LOG_NOTICE, event);
	log_client();
	log_quoted("text", text);
	log_end();
}

/* A header field of the policy server's: once, and if there is room. */
static void
envelope_prepend(struct slice field)
{
	struct smtp_text *t = &envelope.prepended, before = *t;
	const char *line, *lf;

	if (t->p == NULL)
		*t = before = SMTP_TEXT(envelope.prepended_text);
	for (line = t->p; line < t->p + t->n; line = lf + 1) {
		lf = memchr(line, '\n', (size_t)(t->p + t->n - line));
		if ((size_t)(lf - line) == field.n &&
		    memcmp(line, field.p, field.n) == 0)
			return;
	}
	smtp_put(t, field);
	smtp_puts(t, "\n");
	if (t->cut) {
		*t = before;
		log_policy("policy-no-room", field);
	}
}

/* What a refusal of the policy server's comes to. */
static enum reply
say_refused(const struct smtp_policy *p)
{
	char text[SMTP_WORDS_MAX], enhanced[] = "4.7.1";
	struct smtp_text t = SMTP_TEXT(text);
	enum reply say;

	smtp_put_words(&t, p->text.n > 0 ? p->text :
	    smtp_slice("Refused by policy"));
	enhanced[0] = p->code.p[0];
	say = reply_make(p->code, p->enhanced.n > 0 ? p->enhanced :
	    smtp_slice(enhanced), smtp_written(&t));
	if (smtp_is(p->code, "421"))
		bye(say, "policy");
	return say;
}

/* The policy server's word, which comes last: SAY_NOTHING to accept. */
static enum reply
say_policy(const struct session *s, struct slice recipient)
{
	struct smtp_policy p;
	enum smtp_reply r;

	if (conf.policy == NULL)
		return SAY_NOTHING;
	if (peer.address.n == 0 && !peer.local) {
		if (!policy.told)
			log_fault("policy: not asked about a client without "
			    "address", conf.policy, 0);
		policy.told = true;
		return SAY_POLICY;
	}
	if (envelope.instance.n == 0)
		envelope_name();
	r = policy_ask((struct slice){ s->helo, s->helo_n }, recipient,
	    conf.lmtp ? "LMTP" : s->esmtp ? "ESMTP" : "SMTP", &p);
	bye_if(r);
	if (r != SMTP_YES)
		return SAY_POLICY;
	switch (p.action) {
	case SMTP_REFUSE:
		return say_refused(&p);
	case SMTP_PREPEND:
		envelope_prepend(p.text);
		break;
	case SMTP_WARN:
		log_policy("policy-warning", p.all);
		break;
	case SMTP_OTHER:
		log_policy("policy-unknown", p.all);
		break;
	case SMTP_PASS:
		break;
	}
	return SAY_NOTHING;
}

static enum reply
do_rcpt(struct session *s, struct slice arg)
{
	enum smtp_status status;
	struct smtp_path path;
	struct slice rest, domain, address;
	struct rcpt *r;
	enum smtp_reply o;
	enum reply say;
	bool dsn;

	if (s->state == S_MAIL)
		s->state = S_TRIED;
	status = smtp_parse_path(arg, "TO", &path, &rest);
	if (status == SMTP_EVALUE)
		return SAY_SYNTAX;
	if (status != SMTP_OK || path.local.n == 0)
		return SAY_BAD_RCPT;
	s->to = (struct slice){ path.local.p, path.local.n +
	    (path.domain.n > 0 ? 1 + path.domain.n : 0) };
	status = smtp_parse_rcpt(rest, &dsn);
	if (status != SMTP_OK)
		return say_param(status);
	say = check_utf8(&path, envelope.utf8, SAY_RCPT_UTF8, SAY_BAD_RCPT);
	if (say != SAY_NOTHING)
		return say;
	if (envelope.rcpts >= conf.recipients)
		return SAY_TOO_MANY;
	domain = path.domain.n > 0 ? path.domain : domain_default();
	say = check_rcpt(&path, domain);
	if (say != SAY_NOTHING)
		return say;
	if (!envelope_keep(path.local, domain, &address))
		return SAY_BAD_RCPT;
	r = &envelope.rcpt[envelope.rcpts];
	*r = (struct rcpt){
		.local = { address.p, path.local.n },
		.domain = { address.p + path.local.n + 1, domain.n },
		.outcome = SMTP_YES
	};
	o = delivery_find(r);
	say = o == SMTP_YES ? say_policy(s, address) : say_outcome(o);
	if (say != SAY_NOTHING) {
		envelope.used -= address.n;
		return say;
	}
	if (dsn)
		log_dsn(s, arg);
	logged.lenient |= path.lenient;
	envelope.rcpts++;
	envelope_enter(r);
	s->chunk_refused = false;
	s->state = S_RCPT;
	return SAY_RCPT;
}

static void
rate_begin(struct session *s)
{
	s->rate_since = now_ms();
	s->rate_from = net.received;
}

/* RFC 3848 and RFC 6531, 4.3: S for TLS, A for AUTH, behind all but SMTP. */
static const char *
protocol_name(const struct session *s)
{
	static char buf[16];
	struct smtp_text t = SMTP_TEXT(buf);

	smtp_puts(&t, envelope.utf8 ? "UTF8" : "");
	smtp_puts(&t, conf.lmtp ? "LMTP" : envelope.utf8 ? "SMTP" :
	    s->esmtp ? "ESMTP" : "SMTP");
	if (t.n > 4 || conf.lmtp) {
		smtp_puts(&t, peer.tls ? "S" : "");
		smtp_puts(&t, peer.login.n > 0 ? "A" : "");
	}
	return smtp_string(&t);
}

/* Begin to receive a message; the outcome is message.outcome. */
static enum smtp_reply
message_begin(struct session *s)
{
	memset(&message, 0, sizeof(message));
	message.outcome = SMTP_YES;
	message.msgid = SMTP_TEXT(message.msgid_text);
	message.data.newline = net.newline == NL_LF ? SMTP_LF : SMTP_CRLF;
	/* an old device that ends all its lines so ends its messages so, too;
	 * no mail server would say DATA like that */
	if (conf.normalize && net.lf_alone)
		message.data.newline = SMTP_LF;
	message.data.normalize = conf.normalize;
	envelope.helo = (struct slice){ s->helo, s->helo_n };
	envelope.protocol = protocol_name(s);
	rate_begin(s);
	message_new_id();
	return worsen(&message.outcome, delivery_begin());
}

/* Octets were decoded into the file's buffer: look at them there, and keep them
 * if the message still may be kept. */
static void
message_take(size_t n)
{
	struct slice in = { file_buf + file.n, n };

	if (conf.size > 0 && message.data.octets > conf.size)
		message.big = true;
	if (message.outcome != SMTP_YES || message.big) {
		message.begun = true;
		message_look(in);
		file.n = 0;
		return;
	}
	file.n += n;
	if (message.begun)
		message_look(in);
	else
		message_head();
}

/* Decode what is in, as far as the message goes. */
static enum smtp_data_status
message_decode(enum smtp_data_status (*decode)(struct smtp_data *,
    struct slice *, struct smtp_room *), struct slice *in)
{
	enum smtp_data_status status;
	struct smtp_room room, left;

	do {
		/* two octets of room are what smtp_chunk_end() wants */
		if (sizeof(file_buf) - file.n < 2)
			worsen(&message.outcome, delivery_flush());
		if (message.outcome != SMTP_YES)
			file.n = 0;
		left = room = file_room();
		/* what is put in front of it must find room, too */
		if (!message.begun && left.n > SMTP_FIELD_MAX)
			left.n = room.n = SMTP_FIELD_MAX;
		status = decode(&message.data, in, &left);
		message_take(room.n - left.n);
	} while (status == SMTP_DATA_FULL);
	return status;
}

/* A client that trickles is sent away. */
static void
rate_check(struct session *s)
{
	enum { WINDOW = RATE_SECONDS * 1000 };

	if (peer.by_hand || now_ms() - s->rate_since < WINDOW)
		return;
	if (net.received - s->rate_from < RATE_OCTETS * RATE_SECONDS)
		bye(SAY_TIMEOUT, "trickle");
	rate_begin(s);
}

/* More of the message. */
static void
message_fill(struct session *s)
{
	if (net_fill(0) == 0) {
		if (peer.terminal)
			net_put(smtp_slice("(no dot was seen: the message "
			    "was thrown away)\r\n"));
		net_flush();
		leave(EXIT_BROKEN, "in-message");
	}
	rate_check(s);
}

/* Receive to the final dot. */
static void
data_receive(struct session *s)
{
	enum smtp_data_status status = SMTP_DATA_MORE;
	struct slice in, left;

	while (status != SMTP_DATA_END) {
		left = in = net_buffered();
		if (in.n == 0) {
			message_fill(s);
			continue;
		}
		status = message_decode(smtp_data, &left);
		net_used(in.n - left.n);
	}
}

/* Which line it is, for whoever mends the client. */
static enum reply
say_bare(void)
{
	char buf[80];
	struct smtp_text t = SMTP_TEXT(buf);
	struct slice codes = reply_codes(SAY_BARE);

	smtp_puts(&t, "A bare CR or LF in line ");
	smtp_put_number(&t, message.data.bare_line);
	smtp_puts(&t, " of the message");
	return reply_make((struct slice){ codes.p, 3 },
	    (struct slice){ codes.p + 4, codes.n - 4 }, smtp_written(&t));
}

/* What is wrong with the message so far, whoever gets it?  SAY_NOTHING if it
 * can be kept. */
static enum reply
message_verdict(void)
{
	if (message.big)
		return SAY_TOO_BIG;
	if (message.data.bare && !conf.normalize)
		return say_bare();
	if ((message.loops && !envelope.each) || message.hops >= HOPS_MAX)
		return SAY_LOOP;
	/* so many of them are a loop by themselves, but not where mail is only
	 * passed through */
	if (message.delivered >= HOPS_MAX && !conf.program_once)
		return SAY_LOOP;
	return SAY_NOTHING;
}

/* A session's refusals beyond the first hundred are only counted. */
static bool
log_is_flooded(void)
{
	return ++logged.refusals > REFUSALS_LOGGED;
}

static void
log_message(enum reply say)
{
	const struct slice words = { reply_words(say), 3 };

	if (words.p[0] != '2' && log_is_flooded())
		return;
	log_begin(LOG_INFO, "message");
	log_plain("id", smtp_written(&message.id));
	log_plain("reply", words);
	if (words.p[0] != '2')
		log_quoted("text", smtp_slice(words.p + 4));
	log_number("size", message.data.octets);
	log_number("rcpts", envelope.rcpts);
	log_client();
	if (peer.login.n > 0)
		log_quoted("user", peer.login);
	if (peer.tls_version.n > 0)
		log_quoted("tls", peer.tls_version);
	if (peer.tls_cipher.n > 0)
		log_quoted("cipher", peer.tls_cipher);
	log_quoted("helo", envelope.helo);
	log_quoted("message-id", smtp_written(&message.msgid));
	log_quoted("from", envelope.sender);
	for (size_t i = 0; i < envelope.rcpts && !logged.cut; i++)
		log_quoted("to", rcpt_address(&envelope.rcpt[i]));
	log_end();
}

/* A line of the client's, as far as a log is told of it. */
struct told {
	struct slice	 text;
	size_t		 octets;	/* of a line that is no command */
};

/* What was refused, and with which words; sender and recipient, as far as they
 * are known. */
static void
log_refused(enum reply say, struct told told, struct slice to)
{
	struct slice words = smtp_slice(reply_words(say)), code = words;

	if (log_is_flooded())
		return;
	code.n = 3;
	words = (struct slice){ words.p + 4, words.n - 4 };
	log_begin(LOG_NOTICE, "refused");
	log_client();
	log_plain("reply", code);
	log_quoted("text", words);
	if (told.octets > 0)
		log_number("octets", told.octets);
	else
		log_quoted("what", told.text);
	if (envelope.sender.n > 0)
		log_quoted("from", envelope.sender);
	if (to.n > 0)
		log_quoted("to", to);
	log_end();
}

static void
log_refused_rcpt(enum reply say, const struct rcpt *r)
{
	log_refused(say, (struct told){ rcpt_address(r), 0 }, rcpt_address(r));
}

/* One reply to a message, or to its delivery to one recipient. */
static void
delivery_reply(enum reply say)
{
	char buf[sizeof(message.id_text) + PATH_MAX + 16];
	struct smtp_text more = SMTP_TEXT(buf);
	char class = reply_words(say)[0];

	if (say == SAY_OWN && class == '2')
		smtp_puts(&more, " ");
	if (say == SAY_DELIVERED || (say == SAY_OWN && class == '2'))
		smtp_put(&more, smtp_written(&message.id));
	if (say == SAY_DELIVERED && peer.terminal) {
		smtp_puts(&more, conf.program != NULL ? " by " : " in ");
		smtp_puts(&more, conf.program != NULL ? conf.program[0] :
		    conf.maildir);
	}
	logged.deferred = logged.deferred || class == '4';
	net_reply(say, smtp_written(&more));
}

/* What is said of one recipient: the words of the program, if it has some for
 * what its exit status says. */
static enum reply
say_rcpt(const struct rcpt *r)
{
	enum reply say = say_outcome(rcpt_outcome(r));
	struct slice codes = reply_codes(say), enhanced, words;

	if (smtp_parse_enhanced(rcpt_words(r), codes.p[0], &enhanced,
	    &words) != SMTP_OK)
		return say;
	codes.n = 3;
	return reply_make(codes, enhanced, words);
}

/* What several outcomes come to. */
struct tally {
	size_t		 good, bad;
	bool		 differ;	/* the failures' codes */
	bool		 temporary;	/* one of them at least */
	char		 codes[16];	/* of the first */
	size_t		 codes_n;
};

static void
tally_add(struct tally *t, enum reply say)
{
	struct slice codes = reply_codes(say);

	if (codes.p[0] == '2') {
		t->good++;
		return;
	}
	if (t->bad++ == 0) {
		t->codes_n = codes.n < sizeof(t->codes) ? codes.n :
		    sizeof(t->codes);
		memcpy(t->codes, codes.p, t->codes_n);
	} else if (codes.n != t->codes_n ||
	    memcmp(codes.p, t->codes, codes.n) != 0)
		t->differ = true;
	t->temporary = t->temporary || codes.p[0] == '4';
}

/* The failures' one code; or, if they differ, that which may pass. */
static struct slice
tally_codes(const struct tally *t)
{
	if (!t->differ)
		return (struct slice){ t->codes, t->codes_n };
	return reply_codes(t->temporary ? SAY_FAULT : SAY_FAILED);
}

static enum reply
tally_say(const struct tally *t, const char *words)
{
	struct slice codes = tally_codes(t);

	return reply_make((struct slice){ codes.p, 3 },
	    (struct slice){ codes.p + 4, codes.n - 4 }, smtp_slice(words));
}

/*
 * A reply for each recipient, in their order: all, or, for SAY_NOTHING, what
 * became of it.  Where a program runs for one after the other, each is told
 * when its run has ended: no reply that is decided waits for the next run.
 */
static struct {
	struct tally	 tally;
	size_t		 said;		/* replies */
} each;

static void
each_say(const struct rcpt *r, enum reply all)
{
	enum reply say;

	if (each.said++ == 0 && !conf.lmtp)
		net_reply(SAY_EACH, smtp_slice(""));
	say = all != SAY_NOTHING ? all : say_rcpt(r);
	delivery_reply(say);
	if (reply_words(say)[0] != '2')
		log_refused_rcpt(say, r);
	tally_add(&each.tally, say);
}

/* The reply goes out before the next run begins. */
static void
each_told(const struct rcpt *r)
{
	each_say(r, SAY_NOTHING);
	net_flush();
}

/* The client has left when some had the message and others not yet. */
static void
each_unfinished(void)
{
	logged.unfinished = NULL;
	if (each.said > 0)
		log_message(each.tally.good > 0 ? SAY_DELIVERED : SAY_FAULT);
}

/* Those that were not said yet; returned is what all come to: delivered if to
 * any. */
static enum reply
each_reply(enum reply all)
{
	while (each.said < envelope.rcpts)
		each_say(&envelope.rcpt[each.said], all);
	return each.tally.good > 0 ? say_outcome(SMTP_YES) :
	    tally_say(&each.tally, "No delivery to any recipient");
}

/* One line of the reply that names who did not get the message. */
static void
failure_line(const struct tally *t, const struct rcpt *r, size_t more)
{
	enum { ADDRESS_MAX = 150 };	/* a line has 512 (4.5.3.1.5) */
	char buf[512];
	struct smtp_text line = SMTP_TEXT(buf);
	struct slice codes = tally_codes(t), address = rcpt_address(r);

	smtp_put(&line, (struct slice){ codes.p, 3 });
	smtp_puts(&line, more > 0 ? "-" : " ");
	smtp_put(&line, (struct slice){ codes.p + 4, codes.n - 4 });
	smtp_puts(&line, " <");
	if (address.n <= ADDRESS_MAX)
		smtp_put(&line, address);
	else {
		smtp_put_words(&line, (struct slice){ address.p, ADDRESS_MAX });
		smtp_puts(&line, "...");
	}
	smtp_puts(&line, ">: ");
	smtp_puts(&line, reply_words(say_rcpt(r)));
	net_say(smtp_written(&line), smtp_slice(""));
}

/* One reply for several recipients, each with an outcome of its own: all is
 * well, or who did not get it. */
static enum reply
together_reply(void)
{
	enum { LINES = 10 };
	const struct rcpt *r = envelope.rcpt, *end = r + envelope.rcpts;
	struct tally t = { 0 };
	size_t left;
	enum reply say;

	if (conf.program == NULL || conf.program_once || envelope.rcpts == 1) {
		say = say_rcpt(r);
		delivery_reply(say);
		return say;
	}
	for (; r < end; r++)
		tally_add(&t, say_rcpt(r));
	if (t.bad == 0) {
		delivery_reply(SAY_DELIVERED);
		return SAY_DELIVERED;
	}
	left = t.bad < LINES ? t.bad : LINES;
	for (r = envelope.rcpt; r < end; r++) {
		say = say_rcpt(r);
		if (reply_words(say)[0] == '2')
			continue;
		log_refused_rcpt(say, r);
		if (left > 0)
			failure_line(&t, r, --left);
	}
	logged.deferred = logged.deferred || tally_codes(&t).p[0] == '4';
	return tally_say(&t, "");
}

/* The reply or replies to a message's end, and the end of its transaction.  A
 * 5xx here is no error of the session's: clients may send on. */
static void
message_reply(struct session *s, enum reply say)
{
	if (conf.lmtp) {
		say = each_reply(say);
	} else if (say == SAY_NOTHING && envelope.each) {
		say = each_reply(say);
		delivery_reply(say);
	} else if (say == SAY_NOTHING)
		say = together_reply();
	else
		delivery_reply(say);
	if (reply_words(say)[0] == '4')
		session_junk(s);
	if (reply_words(say)[0] != '2')
		logged.refused++;
	else if (say != SAY_DRY) {
		s->errors = s->junk = 0;
		logged.messages++;
	}
	log_message(say);
	transaction_end(s);
}

/* All octets are there: deliver, or say why not. */
static void
message_end(struct session *s)
{
	struct slice name, value;
	enum reply say;

	memset(&each, 0, sizeof(each));
	if (smtp_header_end(&message.header, &name, &value))
		message_field(name, value);
	if (message.data.bare && conf.normalize)
		logged.lenient |= SMTP_LENIENT_BARE_NEWLINE;
	say = message_verdict();
	/* what was said before does not wait for this message's delivery */
	net_flush();
	logged.unfinished = each_unfinished;
	if (say == SAY_NOTHING && message.outcome == SMTP_YES)
		worsen(&message.outcome, delivery_commit(envelope.each ?
		    each_told : NULL));
	logged.unfinished = NULL;
	/* boxes that stand by themselves tell what became of each */
	if (say == SAY_NOTHING && message.outcome != SMTP_YES &&
	    (conf.maildir == NULL || !envelope.each))
		say = say_outcome(message.outcome);
	message_reply(s, say);
}

/* There will be no message: one reply, whatever the protocol. */
static void
message_refuse(struct session *s, enum reply say)
{
	delivery_reply(say);
	if (reply_words(say)[0] == '4')
		session_junk(s);
	logged.refused++;
	log_message(say);
	transaction_end(s);
}

/* Writes its two replies itself. */
static enum reply
do_data(struct session *s, struct slice arg)
{
	const char *prompt = net.prompt;

	(void)arg;
	if (s->state == S_TRIED)
		return conf.lmtp ? SAY_RCPT_FIRST : SAY_NO_RCPT;
	if (message_begin(s) != SMTP_YES) {
		message_refuse(s, say_outcome(message.outcome));
		return SAY_NOTHING;
	}
	net_reply(SAY_DATA, smtp_slice(""));
	net.prompt = NULL;
	data_receive(s);
	net.prompt = prompt;
	message_end(s);
	return SAY_NOTHING;
}

/* Receive so many octets of a chunk; keep them if there is a message. */
static void
chunk_receive(struct session *s, uint64_t left, bool keep)
{
	struct slice in;

	while (left > 0) {
		in = net_buffered();
		if (in.n == 0) {
			message_fill(s);
			continue;
		}
		if (in.n > left)
			in.n = (size_t)left;
		/* the octets stay where they are until the next fill */
		net_used(in.n);
		left -= in.n;
		if (keep)
			(void)message_decode(smtp_chunk, &in);
	}
}

static enum smtp_data_status
chunk_end(struct smtp_data *d, struct slice *in, struct smtp_room *out)
{
	(void)in;
	return smtp_chunk_end(d, out);
}

/* A chunk that is none of a message.  The first one behind a sender who was
 * refused, or recipients who all were, or behind a chunk that was, is an error,
 * and what the client had sent behind it by then is part of it (RFC 3030, 2). */
static enum reply
chunk_astray(struct session *s)
{
	const bool required = !required_met(NEED_ALL);

	s->same_error = s->chunk_refused;
	if (s->state == S_TRIED || s->mail_refused || required)
		s->chunk_refused = true;
	if (required)
		return say_required();
	if (s->same_error && s->state != S_TRIED)
		return SAY_CHUNK_BEHIND;
	return s->state == S_TRIED && !conf.lmtp ? SAY_NO_RCPT :
	    SAY_RCPT_FIRST;
}

/* A chunk of a message is there, but not the last. */
static enum reply
chunk_reply(struct session *s)
{
	enum reply say = message_verdict();

	if (say == SAY_NOTHING && message.outcome != SMTP_YES)
		say = say_outcome(message.outcome);
	if (say == SAY_NOTHING) {
		s->state = S_BDAT;
		return SAY_CHUNK;
	}
	message_refuse(s, say);
	if (reply_words(say)[0] == '5')
		s->errors++;
	s->chunk_refused = true;
	return SAY_NOTHING;
}

/* The chunk is read whatever we think of it; then it is judged. */
static enum reply
do_bdat(struct session *s, struct slice arg)
{
	const bool ours = (s->state & (S_RCPT | S_BDAT)) != 0;
	bool keep = ours, last;
	struct slice left = { "", 0 };
	uint64_t size;

	if (smtp_parse_bdat(arg, &size, &last) != SMTP_OK)
		bye(SAY_BAD_CHUNK, "bad-chunk");
	if (s->state == S_RCPT)
		keep = message_begin(s) == SMTP_YES;
	else if (!ours && !s->chunk_refused)
		rate_begin(s);
	else
		rate_check(s);
	if (size == 0 && !last)
		session_junk(s);
	chunk_receive(s, size, keep);
	if (!ours)
		return chunk_astray(s);
	if (!last)
		return chunk_reply(s);
	if (keep)
		(void)message_decode(chunk_end, &left);
	message_end(s);
	return SAY_NOTHING;
}

static enum reply
do_rset(struct session *s, struct slice arg)
{
	(void)arg;
	transaction_end(s);
	return SAY_OK;
}

static enum reply
do_quit(struct session *s, struct slice arg)
{
	(void)arg;
	s->state = S_DONE;
	return SAY_BYE;
}

/* We say no more than RCPT would, and that only where --users tells. */
static enum reply
do_vrfy(struct session *s, struct slice arg)
{
	struct smtp_path path;
	struct slice rest, domain;
	enum reply say;

	(void)s;
	if (smtp_parse_path(arg, "", &path, &rest) != SMTP_OK ||
	    path.local.n == 0)
		return SAY_BAD_RCPT;
	if (rest.n > 0 && !smtp_is(rest, "SMTPUTF8"))
		return SAY_SYNTAX;
	say = check_utf8(&path, rest.n > 0, SAY_RCPT_UTF8, SAY_BAD_RCPT);
	if (say != SAY_NOTHING)
		return say;
	domain = path.domain.n > 0 ? path.domain : domain_default();
	if (path.domain.n > 0 && domain_find(domain) != SMTP_YES)
		return SAY_VRFY;
	return say_user(path.local, domain, SAY_VRFY);
}

/* What was said goes out in clear, what came in clear goes away; and then
 * nothing is known of the client any more. */
static enum reply
do_starttls(struct session *s, struct slice arg)
{
	(void)arg;
	if (tls.started)
		return SAY_ORDER;
	if (!tls_to_be_had())
		return SAY_NOT_DONE;
	if (!tls_alive())
		return SAY_NO_TLS;
	net_reply(SAY_TLS, smtp_slice(""));
	net_flush();
	net_forget();
	if (tls_start() != SMTP_YES)
		leave(EXIT_BROKEN, "tls-failed");
	peer.login = smtp_slice("");
	s->helo_n = 0;
	s->helo_told = s->esmtp = false;
	transaction_end(s);
	return SAY_NOTHING;
}

/* Ask for a line of the exchange, or take the initial response; decoded into
 * buf.  SAY_NOTHING if it is there. */
static enum reply
auth_line(const char *challenge, struct slice initial, char *buf,
    struct slice *decoded)
{
	struct slice line = initial;

	*decoded = (struct slice){ buf, 0 };
	if (initial.n == 0) {
		net_reply(SAY_CHALLENGE, smtp_slice(challenge));
		switch (net_line(&line, SMTP_AUTH_MAX)) {
		case LINE_LONG:
			return SAY_LONG_AUTH;
		case LINE_BARE:
			return SAY_BARE_LINE;
		case LINE_NONE:
			leave(EXIT_BROKEN, "in-auth");
		case LINE_OK:
			break;
		}
		if (smtp_is(line, "*"))
			return SAY_CANCELLED;
	} else if (smtp_is(initial, "="))
		line.n = 0;
	line = smtp_trim(line);
	return smtp_base64(line, buf, SMTP_AUTH_MAX, &decoded->n) == SMTP_OK ?
	    SAY_NOTHING : SAY_BASE64;
}

static enum reply
auth_plain(struct slice initial, struct slice *user, struct slice *password,
    bool *other)
{
	struct slice all, authzid;
	enum reply say = auth_line("", initial, auth.buf[0], &all);

	if (say != SAY_NOTHING)
		return say;
	if (smtp_parse_plain(all, &authzid, user, password) != SMTP_OK)
		return SAY_BASE64;
	/* to act as someone else is not offered */
	*other = authzid.n > 0 && (authzid.n != user->n ||
	    memcmp(authzid.p, user->p, user->n) != 0);
	return SAY_NOTHING;
}

/* "Username:" and "Password:" (draft-murchison-sasl-login) */
static enum reply
auth_login(struct slice initial, struct slice *user, struct slice *password)
{
	enum reply say = auth_line("VXNlcm5hbWU6", initial, auth.buf[0], user);

	if (say != SAY_NOTHING)
		return say;
	say = auth_line("UGFzc3dvcmQ6", smtp_slice(""), auth.buf[1], password);
	if (say != SAY_NOTHING)
		return say;
	return user->n == 0 || password->n == 0 || smtp_has_control(*user) ||
	    memchr(password->p, '\0', password->n) != NULL ? SAY_BASE64 :
	    SAY_NOTHING;
}

/* The third of them is the last. */
static enum reply
auth_failed(struct session *s, enum reply say)
{
	enum { TRIES = 3 };

	if (++s->auth_failures >= TRIES)
		bye(SAY_AUTH_TRIES, "auth");
	return say;
}

/* A wrong password takes a second. */
static enum reply
auth_wrong(struct session *s)
{
	bye_if(helper_pause(now_ms() + 1000));
	return auth_failed(s, SAY_AUTH_WRONG);
}

static void
log_auth(struct slice user, const char *result)
{
	log_begin(strcmp(result, "right") == 0 ? LOG_INFO : LOG_NOTICE,
	    "auth");
	log_client();
	log_plain("result", smtp_slice(result));
	log_quoted("user", user);
	log_end();
}

static enum reply
auth_run(struct session *s, bool plain, struct slice initial)
{
	struct slice user = { "", 0 }, password = { "", 0 };
	struct smtp_text t = SMTP_TEXT(peer.login_text);
	bool other = false;
	enum smtp_reply r;
	enum reply say;

	say = plain ? auth_plain(initial, &user, &password, &other) :
	    auth_login(initial, &user, &password);
	if (say == SAY_BASE64)
		return auth_failed(s, say);
	if (say != SAY_NOTHING)
		return say;
	r = other ? SMTP_WRONG : auth_check(user, password);
	bye_if(r);
	if (r == SMTP_UNAVAILABLE) {
		log_auth(user, "fault");
		return SAY_AUTH_FAULT;
	}
	if (r == SMTP_WRONG) {
		log_auth(user, "wrong");
		/* before the wait */
		auth_wipe();
		net_forget_used();
		return auth_wrong(s);
	}
	log_auth(user, "right");
	smtp_put(&t, user);
	peer.login = smtp_written(&t);
	peer.login_method = plain ? "PLAIN" : "LOGIN";
	return SAY_AUTH_RIGHT;
}

static enum reply
do_auth(struct session *s, struct slice arg)
{
	struct slice mechanism = arg, initial;
	const char *prompt = net.prompt;
	size_t n = 0;
	enum reply say;

	if (conf.auth == NULL)
		return SAY_NOT_DONE;
	if (!auth_offered())
		return SAY_AUTH_CLEAR;
	if (s->state != S_IDLE || peer.login.n > 0)
		return SAY_ORDER;
	if (arg.n == 0)
		return auth_failed(s, SAY_NEED_ARG);
	while (n < arg.n && arg.p[n] != ' ' && arg.p[n] != '\t')
		n++;
	mechanism.n = n;
	initial = smtp_trim((struct slice){ arg.p + n, arg.n - n });
	if (!smtp_is(mechanism, "PLAIN") && !smtp_is(mechanism, "LOGIN"))
		return SAY_MECHANISM;
	net.prompt = NULL;
	say = auth_run(s, smtp_is(mechanism, "PLAIN"), initial);
	net.prompt = prompt;
	auth_wipe();
	net_forget_used();
	return say;
}

/* A number of a struct smtp_xclient, checked before. */
static unsigned
x_number(const struct smtp_xclient *x, enum smtp_x which)
{
	uint64_t v = 0;

	(void)smtp_parse_number(x->value[which], 65535, &v);
	return (unsigned)v;
}

/* Take the client's address from another, who knows it. */
static void
peer_replace(const unsigned char *ip)
{
	peer.relay_client = peer.local = false;
	peer.address = peer.port = peer.name = smtp_slice("");
	peer.ipv6 = false;
	if (ip != NULL)
		peer_keep(ip);
}

static void
xclient_take(struct session *s, const struct smtp_xclient *x)
{
	struct smtp_text name = SMTP_TEXT(peer.name_text);
	struct smtp_text login = SMTP_TEXT(peer.login_text);
	const struct slice *v = x->value;

	if (x->given[SMTP_X_ADDR])
		peer_replace(v[SMTP_X_ADDR].n > 0 ? x->addr : NULL);
	if (x->given[SMTP_X_NAME]) {
		smtp_put(&name, v[SMTP_X_NAME]);
		peer.name = smtp_written(&name);
	}
	if (x->given[SMTP_X_PORT])
		peer.port = v[SMTP_X_PORT].n > 0 ? port_text(x_number(x,
		    SMTP_X_PORT), peer.digits) : smtp_slice("");
	if (x->given[SMTP_X_DESTADDR] && v[SMTP_X_DESTADDR].n > 0) {
		peer_keep_server(x->destaddr, x_number(x, SMTP_X_DESTPORT));
		if (v[SMTP_X_DESTPORT].n == 0)
			peer.server_port = smtp_slice("");
	}
	peer.login = smtp_slice("");
	peer.login_method = "";
	if (x->given[SMTP_X_LOGIN]) {
		smtp_put(&login, v[SMTP_X_LOGIN]);
		peer.login = smtp_written(&login);
	}
	s->helo_told = false;
	s->helo_n = 0;
	s->esmtp = x->given[SMTP_X_PROTO] &&
	    !smtp_is(v[SMTP_X_PROTO], "SMTP");
	transaction_end(s);
	if (x->given[SMTP_X_HELO] && v[SMTP_X_HELO].n <= sizeof(s->helo)) {
		memcpy(s->helo, v[SMTP_X_HELO].p, v[SMTP_X_HELO].n);
		s->helo_n = v[SMTP_X_HELO].n;
		s->helo_told = s->helo_n > 0;
	}
}

static void
greet(void)
{
	char buf[SMTP_DOMAIN_MAX + 64];
	struct smtp_text t = SMTP_TEXT(buf);

	smtp_puts(&t, conf.hostname);
	smtp_puts(&t, conf.lmtp ? " LMTP ready" : " ESMTP ready");
	net_reply(SAY_GREETING, smtp_written(&t));
}

/* Greets anew. */
static enum reply
do_xclient(struct session *s, struct slice arg)
{
	static struct smtp_xclient x;

	if (!xclient_allowed())
		return SAY_XCLIENT;
	if ((s->state & S_TXN) != 0)
		return SAY_ORDER;
	if (smtp_parse_xclient(arg, &x) != SMTP_OK)
		return SAY_SYNTAX;
	xclient_take(s, &x);
	log_begin(LOG_INFO, "xclient");
	log_client();
	log_quoted("what", arg);
	log_end();
	greet();
	return SAY_NOTHING;
}

/* ---- 16. commands: the table, dispatch, the loop ----------------------- */

enum arg { ARG_NONE, ARG_MAY, ARG_MUST };

static const struct command {
	const char	*verb;
	enum arg	 arg;
	unsigned	 when;		/* the states it is allowed in */
	enum reply	 order;		/* the reply in any other */
	bool		 junk;		/* a hundred of them are an error */
	enum need	 need;		/* what --require wants before it */
	enum reply	 say;		/* all there is to it, if not run */
	enum reply	(*run)(struct session *, struct slice);
} commands[] = {
	{ "HELO", ARG_MAY, S_ANY, SAY_ORDER, true, NEED_NOTHING, 0, do_helo },
	{ "EHLO", ARG_MAY, S_ANY, SAY_ORDER, true, NEED_NOTHING, 0, do_ehlo },
	{ "LHLO", ARG_MAY, S_ANY, SAY_ORDER, true, NEED_NOTHING, 0, do_lhlo },
	{ "STARTTLS", ARG_NONE, S_ANY, SAY_ORDER, false, NEED_NOTHING, 0,
	    do_starttls },
	{ "AUTH", ARG_MAY, S_ANY, SAY_ORDER, false, NEED_TLS, 0, do_auth },
	{ "XCLIENT", ARG_MAY, S_ANY, SAY_ORDER, false, NEED_NOTHING, 0,
	    do_xclient },
	{ "MAIL", ARG_MUST, S_HELO | S_IDLE, SAY_NESTED, false, NEED_ALL, 0,
	    do_mail },
	{ "RCPT", ARG_MUST, S_MAIL | S_TRIED | S_RCPT, SAY_MAIL_FIRST, false,
	    NEED_ALL, 0, do_rcpt },
	{ "DATA", ARG_NONE, S_TRIED | S_RCPT, SAY_RCPT_FIRST, false, NEED_ALL,
	    0, do_data },
	/* reads its chunk, and then looks whether it may */
	{ "BDAT", ARG_MAY, S_ANY, SAY_ORDER, false, NEED_NOTHING, 0, do_bdat },
	{ "RSET", ARG_NONE, S_ANY, SAY_ORDER, true, NEED_NOTHING, 0, do_rset },
	{ "NOOP", ARG_MAY, S_ANY, SAY_ORDER, true, NEED_NOTHING, SAY_OK, NULL },
	{ "QUIT", ARG_NONE, S_ANY, SAY_ORDER, false, NEED_NOTHING, 0, do_quit },
	{ "VRFY", ARG_MUST, S_ANY, SAY_ORDER, true, NEED_ALL, 0, do_vrfy },
	{ "HELP", ARG_MAY, S_ANY, SAY_ORDER, true, NEED_NOTHING, SAY_HELP,
	    NULL },
	{ "VERB", ARG_MAY, S_ANY, SAY_ORDER, true, NEED_NOTHING, SAY_OK,
	    NULL },
	{ "ONEX", ARG_MAY, S_ANY, SAY_ORDER, true, NEED_NOTHING, SAY_OK,
	    NULL },
	{ "EXPN", ARG_MAY, S_ANY, SAY_ORDER, false, NEED_ALL, SAY_NOT_DONE,
	    NULL },
	{ "ETRN", ARG_MAY, S_ANY, SAY_ORDER, false, NEED_NOTHING,
	    SAY_NOT_DONE, NULL },
	{ "TURN", ARG_MAY, S_ANY, SAY_ORDER, false, NEED_NOTHING,
	    SAY_NOT_DONE, NULL },
	{ "SEND", ARG_MAY, S_ANY, SAY_ORDER, false, NEED_NOTHING,
	    SAY_NOT_DONE, NULL },
	{ "SOML", ARG_MAY, S_ANY, SAY_ORDER, false, NEED_NOTHING,
	    SAY_NOT_DONE, NULL },
	{ "SAML", ARG_MAY, S_ANY, SAY_ORDER, false, NEED_NOTHING,
	    SAY_NOT_DONE, NULL }
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command *
command_find(struct slice verb)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (smtp_is(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

static enum reply
command_run(struct session *s, const struct command *c, struct slice arg)
{
	if (c == NULL)
		return SAY_UNKNOWN;
	if (!required_met(c->need))
		return say_required();
	if (c->arg == ARG_NONE && arg.n > 0)
		return SAY_NO_ARG;
	if (c->arg == ARG_MUST && arg.n == 0)
		return SAY_NEED_ARG;
	if ((c->when & s->state) == 0)
		return s->state == S_BDAT ? SAY_IN_BDAT : c->order;
	return c->run != NULL ? c->run(s, arg) : c->say;
}

/* Is it of use in this state, and here at all? */
static bool
command_works(const struct command *c, enum state state)
{
	if (c->run == do_bdat)
		return (state & (S_RCPT | S_BDAT)) != 0;
	if (c->run == do_helo || c->run == do_ehlo)
		return !conf.lmtp;
	if (c->run == do_lhlo)
		return conf.lmtp;
	if (c->run == do_mail && conf.lmtp && state == S_HELO)
		return false;
	if (c->run == do_starttls)
		return tls_to_be_had();
	if (c->run == do_auth)
		return auth_offered() && peer.login.n == 0 && state == S_IDLE;
	if (c->run == do_xclient)
		return xclient_allowed() && (state & S_TXN) == 0;
	if (!required_met(c->need))
		return false;
	return reply_text[c->say][0] != '5';
}

/* HELP: the verbs that may be said now. */
static void
command_list(enum state state, struct smtp_text *more)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!command_works(&commands[i], state) ||
		    (commands[i].when & state) == 0)
			continue;
		smtp_puts(more, " ");
		smtp_puts(more, commands[i].verb);
	}
}

/* By hand: the verb probably meant. */
static void
command_guess(struct slice verb, struct smtp_text *more)
{
	const struct command *best = NULL;
	unsigned least = 3, d;

	for (size_t i = 0; i < COMMANDS; i++) {
		d = smtp_distance(verb, smtp_slice(commands[i].verb));
		if (d < least && command_works(&commands[i], S_ANY)) {
			least = d;
			best = &commands[i];
		}
	}
	if (best == NULL)
		return;
	smtp_puts(more, "; did you mean ");
	smtp_puts(more, best->verb);
	smtp_puts(more, "?");
}

/* By hand: how the two commands go that nobody gets right at first. */
static void
command_example(struct slice verb, struct smtp_text *more)
{
	if (smtp_is(verb, "MAIL"))
		smtp_puts(more, ": it is MAIL FROM:<you@example.org>");
	else if (smtp_is(verb, "RCPT"))
		smtp_puts(more, ": it is RCPT TO:<them@example.org>");
}

/* Reply, count what has to be counted, and send away who errs too often. */
static void
command_reply(struct session *s, enum reply say, struct slice verb,
    struct told told)
{
	char class = reply_words(say)[0], buf[256];
	struct smtp_text more = SMTP_TEXT(buf);

	if (class == '5' && !s->same_error)
		s->errors++;
	else if (class == '5' || (class == '4' && say != SAY_TOO_MANY))
		session_junk(s);
	s->same_error = false;
	if (class == '4' && say != SAY_TOO_MANY)
		logged.deferred = true;
	if (class == '4' || class == '5')
		log_refused(say, told, s->to);
	s->to = smtp_slice("");
	session_errors(s);
	if (say == SAY_HELP)
		command_list(s->state, &more);
	if (say == SAY_UNKNOWN && peer.by_hand)
		command_guess(verb, &more);
	if (say == SAY_SYNTAX && peer.by_hand)
		command_example(verb, &more);
	net_reply(say, smtp_written(&more));
}

static bool
is_auth(struct slice line)
{
	return line.n > 4 && smtp_is((struct slice){ line.p, 4 }, "AUTH") &&
	    (line.p[4] == ' ' || line.p[4] == '\t');
}

/* Of AUTH: a mechanism that we know, and not what is behind it. */
static struct slice
told_of_auth(struct slice line)
{
	struct slice mechanism;
	size_t n = 5;

	mechanism = (struct slice){ line.p + n, line.n - n };
	mechanism = smtp_trim(mechanism);
	n = (size_t)(mechanism.p - line.p) + 5;
	if (n <= line.n && (n == line.n || line.p[n] == ' ' ||
	    line.p[n] == '\t')) {
		mechanism.n = 5;
		if (smtp_is(mechanism, "PLAIN") || smtp_is(mechanism, "LOGIN"))
			return (struct slice){ line.p, n };
	}
	return (struct slice){ line.p, 4 };
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

/*
 * What the log is told of a line.  What is no command may be a password, sent
 * behind an AUTH that was refused: of that no more than the head of what looks
 * like a verb, else only the length.  And nothing behind a control character.
 */
static struct told
told_of(struct slice line)
{
	enum { VERB_TOLD = 16 };
	struct slice clean = { line.p, 0 }, verb, arg;
	size_t n = 0;

	while (clean.n < line.n && ((unsigned char)line.p[clean.n] >= 0x20 ||
	    line.p[clean.n] == '\t') && line.p[clean.n] != 0x7f)
		clean.n++;
	(void)smtp_parse_command(clean, &verb, &arg);
	if (is_auth(clean))
		return (struct told){ told_of_auth(clean), 0 };
	if (command_find(verb) != NULL)
		return (struct told){ clean, 0 };
	while (n < verb.n && smtp_lower(verb.p[n]) >= 'a' &&
	    smtp_lower(verb.p[n]) <= 'z' &&
	    /* base64 mixes them */
	    (n < 2 || is_lower(verb.p[n]) == is_lower(verb.p[1])))
		n++;
	if (n == 0 || n < verb.n || (verb.n == clean.n && clean.n < line.n))
		return (struct told){ { "", 0 }, line.n };
	verb.n = n < VERB_TOLD ? n : VERB_TOLD;
	return (struct told){ verb, 0 };
}

static void
log_heard(struct told told)
{
	if (!conf.verbose)
		return;
	log_begin(LOG_DEBUG, "dialogue");
	log_client();
	if (told.octets > 0)
		log_number("octets", told.octets);
	else
		log_quoted("heard", told.text);
	log_end();
}

/* One command line, from octets to reply. */
static void
command_line(struct session *s, struct slice line)
{
	const struct command *c;
	struct slice verb, arg;
	struct told told = told_of(line);
	enum reply say;

	log_heard(told);
	if (smtp_parse_command(line, &verb, &arg) != SMTP_OK) {
		command_reply(s, SAY_BAD_LINE, line, told);
		return;
	}
	if (peer.terminal && line.n == 0)
		return;
	if (peer.by_hand && smtp_is(verb, "?"))
		verb = smtp_slice("HELP");
	c = command_find(verb);
	if (c != NULL && c->junk)
		session_junk(s);
	session_errors(s);
	if (net.lf_alone && !peer.by_hand)
		logged.lenient |= SMTP_LENIENT_LF_LINE;
	s->to = smtp_slice("");
	say = command_run(s, c, arg);
	if (c != NULL && c->run == do_mail)
		s->mail_refused = say != SAY_SENDER;
	if (say != SAY_NOTHING)
		command_reply(s, say, verb, told);
	if (is_auth(line)) {
		net_forget_used();
		explicit_bzero(session_line, sizeof(session_line));
	}
}

/* Send away who speaks another protocol, before anything is taken for a
 * command that is none. */
static void
session_opening(void)
{
	struct slice in = net_buffered();
	enum smtp_opening what;

	while ((what = smtp_opening(in)) == SMTP_OPEN_MORE) {
		if (net_fill(in.n > 0 && in.p[0] == '\r' ? OPENING_SECONDS *
		    1000 : 0) == 0)
			return;
		in = net_buffered();
	}
	if (what == SMTP_OPEN_TLS)
		bye(SAY_IS_TLS, "tls");
	if (what == SMTP_OPEN_HTTP)
		bye(SAY_IS_HTTP, "http");
	if (what == SMTP_OPEN_PROXY)
		bye(SAY_IS_PROXY, "proxy");
}

/* The next command, in memory of its own: what is in the buffer of the net
 * moves when more comes in.  AUTH may have its response in the same line, and a
 * longer one.  Of what is too long, line is at least the verb. */
static enum net_line
command_next(struct slice *line)
{
	enum { VERB = 5 };
	enum net_line what;
	struct slice in;

	for (;;) {
		in = net_buffered();
		if (in.n >= VERB || memchr(in.p, '\n', in.n) != NULL)
			break;
		if (net_fill(0) == 0)
			return LINE_NONE;
	}
	net_look();
	*line = (struct slice){ session_line, in.n < VERB ? in.n : VERB };
	memcpy(session_line, in.p, line->n);
	what = net_line(&in, is_auth(*line) ? SMTP_AUTH_MAX : SMTP_LINE_MAX);
	if (what == LINE_OK) {
		memcpy(session_line, in.p, in.n);
		line->n = in.n;
	}
	return what;
}

static void
proxy_take(const struct smtp_proxy *p)
{
	peer_replace(p->source);
	peer.port = port_text(p->source_port, peer.digits);
	peer_keep_server(p->destination, p->destination_port);
	if (!p->tls)
		return;
	peer.tls = true;
	peer.tls_version = keep_text(p->tls_version, peer.tls_text[0]);
	peer.tls_cipher = keep_text(p->tls_cipher, peer.tls_text[1]);
}

/* The header of the PROXY protocol, before anything is said; who does not
 * bring it, or may not, is told nothing. */
static void
session_proxy(void)
{
	int64_t until = now_ms() + PROXY_SECONDS * 1000, left;
	enum smtp_status status;
	struct smtp_proxy p;
	size_t used;

	if (!smtp_nets_match(smtp_slice(conf.proxy), peer.address.n > 0 ?
	    peer.ip : NULL)) {
		log_fault("proxy: not from its networks", NULL, 0);
		leave(EXIT_BROKEN, "proxy");
	}
	while ((status = smtp_parse_proxy(net_buffered(), &p, &used)) ==
	    SMTP_EMORE) {
		left = until - now_ms();
		if (left <= 0 || net.in_n == sizeof(net_in) ||
		    net_fill(left) == 0)
			break;
	}
	if (net.ended && net.received == 0)
		leave(EXIT_LEFT, "eof");
	if (status != SMTP_OK) {
		log_fault("proxy: no header", NULL, 0);
		leave(EXIT_BROKEN, "proxy");
	}
	if (!p.local)
		proxy_take(&p);
	net_used(used);
	/* the header is not the client's */
	net.received = net_buffered().n;
}

/* By hand: what is missing is told before anything is said. */
static void
session_check_maildir(void)
{
	int dir = open(conf.maildir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *part = dir == -1 ? "" : box_open_parts(dir);

	if (part != NULL)
		(void)box_open_failed(conf.maildir, part);
	box_close();
	if (dir != -1)
		close(dir);
	log_flush(true);
}

static void
session_greet(void)
{
	if (peer.by_hand && conf.maildir != NULL && !maildir.template)
		session_check_maildir();
	greet();
	if (!peer.terminal)
		return;
	if (delivery_none())
		net_put(smtp_slice("(a dry run, without --maildir: nothing is "
		    "kept)\r\n"));
	net_put(smtp_slice("(EHLO, MAIL FROM:<you>, RCPT TO:<them>, DATA, "
	    "QUIT; HELP lists what may be said)\r\n"));
	net.prompt = "> ";
}

static _Noreturn void
session_run(struct session *s)
{
	struct slice line;

	if (peer.by_hand)
		net.newline = NL_UNKNOWN;
	if (conf.proxy != NULL)
		session_proxy();
	session_greet();
	session_opening();
	while (s->state != S_DONE) {
		switch (command_next(&line)) {
		case LINE_OK:
			command_line(s, line);
			break;
		case LINE_LONG:
			command_reply(s, is_auth(line) ? SAY_LONG_AUTH :
			    SAY_LONG_LINE, smtp_slice(""), told_of(line));
			break;
		case LINE_BARE:
			command_reply(s, SAY_BARE_LINE, smtp_slice(""),
			    told_of(line));
			break;
		case LINE_NONE:
			if ((s->state & S_TXN) != 0)
				leave(EXIT_BROKEN, "in-transaction");
			leave(EXIT_LEFT, "eof");
		}
	}
	net.prompt = NULL;
	net.closing = true;
	net_flush();
	leave(EXIT_LEFT, "quit");
}

/* ---- 17. options: one table -------------------------------------------- */

/* Exit before there is a session; under a launcher the client gets a 421. */
static _Noreturn void
die(enum exit_status status, const char *format, ...)
{
	char buf[512];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(buf, sizeof(buf), format, ap);
	va_end(ap);
	/* by hand they may both be one pipe; nothing was said there yet */
	if (!peer.no_stderr || peer.by_hand)
		(void)dprintf(peer.no_stderr ? 1 : 2, "%ssmtpd: %s\n",
		    peer.no_stderr ? "421 " : "", buf);
	if (!peer.by_hand) {
		openlog("smtpd", LOG_PID, LOG_MAIL);
		syslog(LOG_ERR, "%s", buf);
		net.closing = true;
		if (!peer.listening) {
			net_reply(SAY_CONFIG, smtp_slice(""));
			net_flush();
		}
	}
	exit((int)status);
}

struct option_row {
	char		 letter;	/* 0: none */
	const char	*name;		/* "": none */
	const char	*arg;		/* NULL: none */
	/* NULL if the value is good, else what is wrong with it */
	const char	*(*set)(const struct option_row *, const char *);
	void		*to;
	uint64_t	 min, max;
	const char	*help;
};

static const char *
set_flag(const struct option_row *o, const char *value)
{
	(void)value;
	*(bool *)o->to = true;
	return NULL;
}

static const char *
set_text(const struct option_row *o, const char *value)
{
	*(const char **)o->to = value;
	return value[0] != '\0' ? NULL : "empty";
}

static const char *
out_of_range(uint64_t min, uint64_t max)
{
	static char buf[80];

	(void)snprintf(buf, sizeof(buf), "out of range: %llu to %llu",
	    (unsigned long long)min, (unsigned long long)max);
	return buf;
}

static const char *
set_number(const struct option_row *o, const char *value)
{
	uint64_t v;

	if (smtp_parse_number(smtp_slice(value), UINT64_MAX, &v) != SMTP_OK)
		return "not a number";
	if (v < o->min || v > o->max)
		return out_of_range(o->min, o->max);
	*(uint64_t *)o->to = v;
	return NULL;
}

/* A number of octets: K is 1024 of them, M 1024 K. */
static const char *
set_size(const struct option_row *o, const char *value)
{
	struct slice s = smtp_slice(value);
	uint64_t v, unit = 1;

	if (s.n > 0 && (s.p[s.n - 1] == 'K' || s.p[s.n - 1] == 'M')) {
		unit = s.p[s.n - 1] == 'K' ? 1024 : 1024 * 1024;
		s.n--;
	}
	if (smtp_parse_number(s, UINT64_MAX, &v) != SMTP_OK)
		return "not a size";
	if (v > o->max / unit)
		return out_of_range(o->min, o->max);
	*(uint64_t *)o->to = v * unit;
	return NULL;
}

static const char *
set_domain(const struct option_row *o, const char *value)
{
	struct slice s = smtp_slice(value), name = s;

	(void)o;
	if (s.n > 1 && s.p[0] == '.')
		name = (struct slice){ s.p + 1, s.n - 1 };
	if (!(s.n > 1 && s.p[0] == '@') && !smtp_is(s, "*") &&
	    !smtp_is_domain(name) && !smtp_is_literal(s))
		return "not a domain, .domain, * or @file";
	if (conf.domains == DOMAINS_MAX)
		return "too many domains: put them in a @file";
	domains[conf.domains++] = s;
	return NULL;
}

static const char *
set_hostname(const struct option_row *o, const char *value)
{
	(void)o;
	if (!smtp_is_host(smtp_slice(value)))
		return "not a domain name";
	conf.hostname = value;
	return NULL;
}

static const char *
set_bare_newline(const struct option_row *o, const char *value)
{
	(void)o;
	conf.normalize = strcmp(value, "normalize") == 0;
	return conf.normalize || strcmp(value, "reject") == 0 ? NULL :
	    "neither reject nor normalize";
}

static const char *
set_label(const struct option_row *o, const char *value)
{
	(void)o;
	conf.label = smtp_is(smtp_slice(value), "off") ? NULL : value;
	return smtp_is_charset(smtp_slice(value)) ? NULL : "not a charset";
}

static const char *
set_delimiter(const struct option_row *o, const char *value)
{
	(void)o;
	conf.delimiter = value[0];
	if (value[0] == '\0')
		return NULL;
	if (value[1] != '\0' || value[0] <= ' ' || value[0] > '~' ||
	    strchr("@\"\\/", value[0]) != NULL)
		return "not one character of a local part";
	return NULL;
}

static const char *
set_log(const struct option_row *o, const char *value)
{
	(void)o;
	conf.log = strcmp(value, "stderr") == 0 ? TO_STDERR :
	    strcmp(value, "syslog") == 0 ? TO_SYSLOG :
	    strcmp(value, "off") == 0 ? TO_NOWHERE : TO_FIND_OUT;
	return conf.log != TO_FIND_OUT ? NULL :
	    "neither stderr, syslog nor off";
}

static const char *
set_bs(const struct option_row *o, const char *value)
{
	(void)o;
	return strcmp(value, "s") == 0 ? NULL : "only -bs is known";
}

static const char *
set_ignored(const struct option_row *o, const char *value)
{
	(void)o;
	(void)value;
	return NULL;
}

static const char *
set_sync(const struct option_row *o, const char *value)
{
#ifndef __linux__
	return "only Linux can do that";
#endif
	return access(value, F_OK) == 0 ? set_text(o, value) :
	    strerror(errno);
}

/* ADDRESS:PORT or [ADDRESS]:PORT; no DNS is asked for a name. */
static bool
set_policy_address(struct slice s)
{
	const char *colon = memrchr(s.p, ':', s.n);
	struct slice ip = s;
	uint64_t port;

	if (colon == NULL)
		return false;
	ip.n = (size_t)(colon - s.p);
	if (smtp_parse_number((struct slice){ colon + 1, s.n - ip.n - 1 },
	    65536, &port) != SMTP_OK || port == 0 || port > 65535)
		return false;
	if (ip.n > 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
		ip = (struct slice){ ip.p + 1, ip.n - 2 };
	else if (memchr(ip.p, ':', ip.n) != NULL)
		return false;
	if (smtp_parse_ip(ip, conf.policy_ip) != SMTP_OK)
		return false;
	conf.policy_port = (unsigned)port;
	return true;
}

static const char *
set_policy(const struct option_row *o, const char *value)
{
	(void)o;
	conf.policy = value;
	conf.policy_port = 0;
	if (set_policy_address(smtp_slice(value)))
		return NULL;
	if (strchr(value, '/') == NULL && strchr(value, ':') != NULL)
		return "neither ADDRESS:PORT nor a path nor a program";
	return words_split(&policy_program, value) ? NULL :
	    "empty, or too long";
}

static const char *
set_auth(const struct option_row *o, const char *value)
{
	(void)o;
	conf.auth = value;
	return words_split(&auth_program, value) ? NULL :
	    "empty, or too long";
}

static const char *
set_nets(const struct option_row *o, const char *value)
{
	*(const char **)o->to = value;
	return smtp_is_nets(smtp_slice(value)) ? NULL :
	    "not networks such as 192.0.2.0/24,2001:db8::/32, or *";
}

static const char *
set_require(const struct option_row *o, const char *value)
{
	(void)o;
	conf.require_tls = conf.require_tls || strcmp(value, "tls") == 0;
	conf.require_auth = conf.require_auth || strcmp(value, "auth") == 0;
	return strcmp(value, "tls") == 0 || strcmp(value, "auth") == 0 ? NULL :
	    "neither tls nor auth";
}

/* Rows without a setter are for the command line alone: see conf_read(). */
static const struct option_row options[] = {
	{ 'd', "domain", "NAME", set_domain, NULL, 0, 0,
	    "accept mail for NAME, .NAME (below it), *, @FILE" },
	{ 'm', "maildir", "PATH", set_text, &conf.maildir, 0, 0,
	    "deliver there; {user} {domain} {extension}" },
	{ 'u', "users", "FILE", set_text, &conf.users, 0, 0,
	    "the recipients that exist, one a line" },
	{ 'n', "hostname", "NAME", set_hostname, NULL, 0, 0,
	    "our name in the greeting and in Received" },
	{ 's', "size", "BYTES", set_size, &conf.size, 0, INT64_MAX,
	    "largest message; K, M; 0 for no limit (50M)" },
	{ 'r', "recipients", "N", set_number, &conf.recipients, 1,
	    RECIPIENTS_MAX, "most recipients of a message (1000)" },
	{ 't', "timeout", "SECONDS", set_number, &conf.timeout, 1, 86400,
	    "longest wait for the client (300)" },
	{ 'e', "errors", "N", set_number, &conf.errors, 1, 1000000,
	    "errors before the client is sent away (20)" },
	{ 'l', "lmtp", NULL, set_flag, &conf.lmtp, 0, 0,
	    "speak LMTP (RFC 2033); not on port 25" },
	{ 'S', "spool", "DIR", set_text, &conf.spool, 0, 0,
	    "where mail waits for a program ($TMPDIR, /tmp)" },
	{ 'p', "policy", "WHERE", set_policy, NULL, 0, 0,
	    "ask a policy server: path, ADDRESS:PORT, program" },
	{ 'a', "auth", "PROGRAM", set_auth, NULL, 0, 0,
	    "offer AUTH, checked by a checkpassword program" },
	{ 0, "auth-clear", "NETS", set_nets, &conf.auth_clear, 0, 0,
	    "AUTH without encryption, from these networks" },
	{ 0, "secured", NULL, set_flag, &conf.secured, 0, 0,
	    "the connection is encrypted already" },
	{ 0, "require", "WHAT", set_require, NULL, 0, 0,
	    "tls or auth before MAIL; may be repeated" },
	{ 0, "relay", NULL, set_flag, &conf.relay, 0, 0,
	    "accept recipients in any domain" },
	{ 0, "proxy", "NETS", set_nets, &conf.proxy, 0, 0,
	    "a PROXY header must come, from these; * any" },
	{ 0, "xclient", "NETS", set_nets, &conf.xclient, 0, 0,
	    "believe XCLIENT from these networks; * any" },
	{ 0, "bare-newline", "WHAT", set_bare_newline, NULL, 0, 0,
	    "reject or normalize a bare LF or CR (reject)" },
	{ 0, "label", "CHARSET", set_label, NULL, 0, 0,
	    "for unlabelled 8-bit text, or off (unknown-8bit)" },
	{ 0, "delimiter", "C", set_delimiter, NULL, 0, 0,
	    "between user and extension; empty for none (+)" },
	{ 0, "program-timeout", "SECONDS", set_number, &conf.program_timeout,
	    1, 86400, "longest time for all runs of a message (300)" },
	{ 0, "sync", "PATH", set_sync, &conf.sync, 0, 0,
	    "sync PATH's file system after the program" },
	{ 0, "log", "WHERE", set_log, NULL, 0, 0,
	    "stderr, syslog or off" },
	{ 'f', "config", "FILE", NULL, NULL, 0, 0,
	    "read options from FILE, \"name value\" a line" },
	{ 'v', "verbose", NULL, set_flag, &conf.verbose, 0, 0,
	    "log the dialogue, too" },
	{ 'T', "test", NULL, set_flag, &conf.test, 0, 0,
	    "check the configuration, print what holds, exit" },
	{ 'b', "", "s", set_bs, NULL, 0, 0,
	    "ignored, as sendmail's" },
	{ 'o', "", "X", set_ignored, NULL, 0, 0,
	    "ignored, as sendmail's, with any letters" },
	{ 'V', "version", NULL, NULL, NULL, 0, 0, "print the version" },
	{ 'h', "help", NULL, NULL, NULL, 0, 0, "print this" }
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

static _Noreturn void
conf_help(void)
{
	const struct option_row *o;
	char left[64];

	printf("usage: smtpd [option ...]\n"
	    "       smtpd [option ...] [--] program [arg ...]\n"
	    "Receive mail by SMTP on standard input and output.\n\n");
	for (o = options; o < options + OPTIONS; o++) {
		if (o->name[0] == '\0')
			(void)snprintf(left, sizeof(left), "-%c%s", o->letter,
			    o->arg);
		else
			(void)snprintf(left, sizeof(left), "%c%c%c --%s%s%s",
			    o->letter != 0 ? '-' : ' ',
			    o->letter != 0 ? o->letter : ' ',
			    o->letter != 0 ? ',' : ' ', o->name,
			    o->arg != NULL ? " " : "",
			    o->arg != NULL ? o->arg : "");
		printf("  %-29s %s\n", left, o->help);
	}
	printf("\nsmtpd(8) tells the rest.\n");
	exit(fflush(stdout) == 0 ? EXIT_LEFT : EXIT_DEFERRED);
}

/* One "name value" line of a file; line ends in NUL. */
static void
conf_line(const char *path, unsigned number, char *line)
{
	struct slice entry = smtp_trim(smtp_slice(line)), name, value;
	const struct option_row *o = options;
	const char *wrong;

	if (entry.n == 0 || entry.p[0] == '#')
		return;
	if (smtp_parse_command(entry, &name, &value) != SMTP_OK)
		die(EXIT_CONFIG, "%s:%u: a control character", path, number);
	while (o < options + OPTIONS &&
	    (o->name[0] == '\0' || !smtp_is(name, o->name)))
		o++;
	if (o == options + OPTIONS)
		die(EXIT_CONFIG, "%s:%u: %.*s: no such option", path, number,
		    (int)name.n, name.p);
	line[value.p - line + (ptrdiff_t)value.n] = '\0';
	if (o->set == NULL)
		wrong = "not in a file";
	else if (o->arg == NULL && value.n > 0)
		wrong = "takes no value";
	else
		wrong = o->set(o, value.p);
	if (wrong != NULL)
		die(EXIT_CONFIG, "%s:%u: %s: '%.*s': %s", path, number,
		    o->name, (int)value.n, value.p, wrong);
}

static void
conf_file(const char *path)
{
	static char buf[64 * 1024];
	static bool seen;
	unsigned number = 1;
	size_t have = 0;
	char *line, *lf;
	ssize_t n;
	int fd;

	if (seen)
		die(EXIT_OPTION, "--config: only one");
	seen = true;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	do {
		n = fd == -1 ? -1 : read(fd, buf + have,
		    sizeof(buf) - 1 - have);
		have += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	if (n == -1)
		die(EXIT_CONFIG, "%s: %s", path, strerror(errno));
	if (have == sizeof(buf) - 1)
		die(EXIT_CONFIG, "%s: too long", path);
	if (memchr(buf, '\0', have) != NULL)
		die(EXIT_CONFIG, "%s: not a text file", path);
	close(fd);
	for (line = buf; line < buf + have; line = lf + 1, number++) {
		lf = memchr(line, '\n', (size_t)(buf + have - line));
		if (lf == NULL)
			lf = buf + have;
		*lf = '\0';
		if (memchr(line, '\r', (size_t)(lf - line)) == lf - 1)
			lf[-1] = '\0';
		conf_line(path, number, line);
	}
}

/* Make getopt_long's tables of ours.  Values start at 256, so that none is
 * taken for one of getopt's own signs. */
static void
conf_tables(struct option longs[OPTIONS + 1], char shorts[2 * OPTIONS + 3])
{
	size_t n = 0;

	*shorts++ = '+';
	*shorts++ = ':';
	for (size_t i = 0; i < OPTIONS; i++) {
		if (options[i].name[0] != '\0')
			longs[n++] = (struct option){ options[i].name,
			    options[i].arg != NULL, NULL, 256 + (int)i };
		if (options[i].letter == 0)
			continue;
		*shorts++ = options[i].letter;
		if (options[i].arg != NULL)
			*shorts++ = ':';
	}
	longs[n] = (struct option){ 0 };
	*shorts = '\0';
}

static void
conf_option(const struct option_row *o, const char *given, const char *value)
{
	const char *wrong;

	switch (o->set != NULL ? 0 : o->letter) {
	case 'f':
		conf_file(value);
		return;
	case 'h':
		conf_help();
	case 'V':
		printf("smtpd %s\n", VERSION);
		exit(fflush(stdout) == 0 ? EXIT_LEFT : EXIT_DEFERRED);
	default:
		wrong = o->set(o, value);
		if (wrong != NULL)
			die(EXIT_OPTION, "%s: '%s': %s", given,
			    value != NULL ? value : "", wrong);
	}
}

/* What a placeholder brings is the client's, and must be in no command. */
static void
conf_check_shell(char *const argv[])
{
	enum smtp_behind behind = SMTP_BEHIND_NOTHING;

	for (; *argv != NULL; argv++)
		if (smtp_is_command(&behind, smtp_slice(*argv)))
			die(EXIT_OPTION, "%s: a placeholder where a command "
			    "may stand; use \"$RECIPIENT\" and its like",
			    *argv);
}

static void
conf_program(char *const argv[], size_t n)
{
	bool one = false;

	/* -maildir box is -m aildir, and a program */
	if (conf.maildir != NULL && strcmp(conf.maildir, "aildir") == 0)
		die(EXIT_OPTION, "-maildir: a long option has two hyphens: "
		    "--maildir");
	if (conf.maildir != NULL)
		die(EXIT_OPTION, "%s: a program, and --maildir is given, too; "
		    "see --help", argv[0]);
	if (n >= PROGRAM_ARGS_MAX)
		die(EXIT_OPTION, "%s: too many arguments", argv[0]);
	for (size_t i = 0; i < n; i++) {
		if (is_recipients(argv[i]) && conf.program_once)
			die(EXIT_OPTION, "{recipients}: may be given once");
		if (is_recipients(argv[i]))
			conf.program_once = true;
		one = one || strstr(argv[i], "{recipient}") != NULL ||
		    smtp_is_template(smtp_slice(argv[i]));
	}
	if (conf.program_once && one)
		die(EXIT_OPTION, "%s: {recipients} and a placeholder for one "
		    "recipient", argv[0]);
	if (argv[0][0] == '\0' || smtp_has_argument(smtp_slice(argv[0])) ||
	    is_recipients(argv[0]))
		die(EXIT_OPTION, "'%s': no name of a program", argv[0]);
	conf_check_shell(argv);
	conf.program = argv;
}

static void
conf_read(int argc, char *argv[])
{
	struct option longs[OPTIONS + 1];
	char shorts[2 * OPTIONS + 3];
	const struct option_row *o;
	const char *given;
	int c;

	if (argc == 0 || argv[0][0] == '-')
		die(EXIT_OPTION, "started as '%s': the line of the launcher "
		    "lacks the name of the program, before its options",
		    argc == 0 ? "" : argv[0]);
	conf_tables(longs, shorts);
	opterr = 0;
	for (;;) {
		given = optind < argc ? argv[optind] : "";
		c = getopt_long(argc, argv, shorts, longs, NULL);
		if (c == -1)
			break;
		if (c == ':')
			die(EXIT_OPTION, "%s: needs a value", given);
		if (c == '?')
			die(EXIT_OPTION, "%s: no such option, or one that "
			    "takes no value; see --help", given);
		for (o = options; c < 256 && o->letter != c; o++)
			continue;
		conf_option(c < 256 ? o : options + (c - 256), given, optarg);
	}
	if (optind < argc)
		conf_program(argv + optind, (size_t)(argc - optind));
}

/* DATABYTES, of tcprules(1), goes before --size. */
static void
conf_databytes(void)
{
	const char *v = peer_env("DATABYTES");
	uint64_t size;

	if (v == NULL)
		return;
	if (smtp_parse_number(smtp_slice(v), INT64_MAX, &size) == SMTP_OK)
		conf.size = size;
	else
		peer_skip("DATABYTES");
}

/* Our own name, if none was given: of one with a dot behind it, the rest. */
static void
conf_hostname(void)
{
	static char host[SMTP_DOMAIN_MAX + 1];
	size_t n;

	if (gethostname(host, sizeof(host) - 1) == -1)
		host[0] = '\0';
	n = strlen(host);
	if (n > 1 && host[n - 1] == '.')
		host[n - 1] = '\0';
	conf.hostname = smtp_is_host(smtp_slice(host)) ? host : "localhost";
}

static bool
conf_runs(const char *path)
{
	struct stat st;

	return access(path, X_OK) == 0 && stat(path, &st) == 0 &&
	    S_ISREG(st.st_mode);
}

/* Is the program where posix_spawnp(3) looks for it? */
static bool
conf_found(const char *name)
{
	const char *dir = getenv("PATH"), *end;
	char buf[PATH_MAX];
	struct smtp_text t;

	if (strchr(name, '/') != NULL)
		return conf_runs(name);
	for (; dir != NULL; dir = *end == ':' ? end + 1 : NULL) {
		end = strchr(dir, ':');
		if (end == NULL)
			end = dir + strlen(dir);
		t = SMTP_TEXT(buf);
		smtp_put(&t, (struct slice){ dir, (size_t)(end - dir) });
		smtp_puts(&t, end > dir ? "/" : "./");
		smtp_puts(&t, name);
		if (smtp_string(&t) != NULL && conf_runs(t.p))
			return true;
	}
	return false;
}

/* Under a launcher, what would refuse all mail for good is told at once, and
 * the client to come back. */
static void
conf_check(void)
{
	if (delivery_none())
		die(EXIT_CONFIG, "neither --maildir nor a program given");
	if (conf.no_domain)
		die(EXIT_CONFIG, "no --domain given, and the host name, %s, is "
		    "no domain with a dot", conf.hostname);
	if (conf.program != NULL && !conf_found(conf.program[0]))
		die(EXIT_CONFIG, "%s: program not found", conf.program[0]);
}

/* What was not said. */
static void
conf_finish(void)
{
	conf_databytes();
	/* as programs get it, so that --test looks where a session does */
	(void)setenv("PATH", SAFE_PATH, 0);
	if (conf.hostname == NULL)
		conf_hostname();
	conf.no_domain = conf.domains == 0 && !conf.relay && !peer.by_hand &&
	    strchr(conf.hostname, '.') == NULL;
	if (!peer.by_hand && !conf.test)
		conf_check();
	if (conf.domains == 0 && (!peer.by_hand || conf.program != NULL))
		domains[conf.domains++] = smtp_slice(conf.hostname);
	if (conf.spool == NULL)
		conf.spool = peer_env("TMPDIR");
	if (conf.spool == NULL)
		conf.spool = "/tmp";
	maildir.template = conf.maildir != NULL &&
	    smtp_is_template(smtp_slice(conf.maildir));
}

/*
 * --test.  A line says what holds, "warning:" what is unwise and "problem:"
 * what keeps mail out; the last is "ok", or how many problems there are.
 */
static unsigned test_problems;

static void
test_problem(const char *what, const char *which, const char *why)
{
	printf("problem: %s %s: %s\n", what, which, why);
	test_problems++;
}

static bool
test_path(const char *what, const char *path, int mode)
{
	if (access(path, mode) == 0)
		return true;
	test_problem(what, path, strerror(errno));
	return false;
}

/* A list that is empty, or ends without a newline, is as good as none. */
static void
test_list(const char *what, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	off_t n = fd == -1 ? 0 : lseek(fd, -1, SEEK_END);
	char last = '\0';

	printf("%s %s\n", what, path);
	if (fd == -1)
		test_problem(what, path, strerror(errno));
	else if (n == -1)
		test_problem(what, path, "it is empty");
	else if (read(fd, &last, 1) != 1)
		test_problem(what, path, "it is empty");
	else if (last != '\n')
		test_problem(what, path, "its last line has no newline");
	if (fd != -1)
		close(fd);
}

/* A word in braces that is nearly one of ours; the first ones hold there. */
static void
test_braces(const char *what, const char *text, size_t holds)
{
	static const char known[][12] = { "user", "domain", "extension",
	    "recipient", "sender", "recipients" };
	const char *open = text, *end;

	for (; (open = strchr(open, '{')) != NULL; open++) {
		struct slice word = { open + 1, 0 };
		unsigned least = 9, d;

		end = strchr(open, '}');
		if (end == NULL)
			return;
		word.n = (size_t)(end - open) - 1;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			d = smtp_distance(word, smtp_slice(known[i]));
			if (i >= holds && d == 0)
				d = 1;
			if (d < least)
				least = d;
		}
		if (least > 0 && least <= 2)
			test_problem(what, text, "a word in braces is no "
			    "placeholder");
	}
}

/* Would a file get from tmp/ to new/? */
static void
test_links(const char *path)
{
	char names[2][32];
	struct smtp_text t;
	enum smtp_reply o = SMTP_FAULT;
	bool renamed = false;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	int error;

	for (size_t i = 0; i < 2; i++) {
		t = SMTP_TEXT(names[i]);
		smtp_puts(&t, i == 0 ? "smtpd-test-" : "smtpd-test2-");
		smtp_put_number(&t, (uint64_t)own_pid);
		(void)smtp_string(&t);
	}
	if (dir != -1 && box_open_parts(dir) == NULL)
		fd = openat(maildir.tmp, names[0], O_WRONLY | O_CREAT |
		    O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	error = errno;
	if (fd != -1) {
		o = file_link(maildir.tmp, names[0], maildir.tmp, names[1],
		    &renamed);
		for (size_t i = 0; i < 2; i++)
			(void)unlinkat(maildir.tmp, names[i], 0);
		close(fd);
	}
	if (dir != -1)
		close(dir);
	box_close();
	if (fd == -1)
		test_problem("no file can be made in", path, strerror(error));
	else if (o != SMTP_YES)
		test_problem("maildir", path, o == SMTP_NO_LINKS ?
		    "no hard links on that file system, nor renameat2(2)" :
		    "no file gets from tmp/ to new/");
}

static void
test_maildir(struct slice domain)
{
	struct smtp_values v = { .user = smtp_slice("postmaster"),
	    .domain = domain };
	static const char sub[2][6] = { "/tmp/", "/new/" };
	const char *path = conf.maildir;
	char buf[PATH_MAX], part[PATH_MAX + 8];
	struct smtp_text t = SMTP_TEXT(buf), p;
	bool ok = true;

	if (maildir.template) {
		if (expand(&v, false, &t) != SMTP_YES) {
			test_problem("maildir", path, "too long");
			return;
		}
		path = t.p;
	}
	for (size_t i = 0; i < 2; i++) {
		p = SMTP_TEXT(part);
		smtp_puts(&p, path);
		smtp_puts(&p, sub[i]);
		if (smtp_string(&p) == NULL) {
			test_problem("maildir", path, "too long");
			return;
		}
		ok = test_path(maildir.template ? "postmaster's Maildir "
		    "(until it is there, unknown users are 451)" : "maildir",
		    p.p, W_OK | X_OK) && ok;
	}
	if (ok)
		test_links(path);
}

/* The domains, and, where the template has one Maildir for each, those. */
static void
test_domains(void)
{
	bool tested = false;

	for (size_t i = 0; i < conf.domains; i++) {
		if (domains[i].p[0] == '@') {
			test_list("domain list", domains[i].p + 1);
			continue;
		}
		printf("domain %s\n", domains[i].p);
		if (conf.maildir == NULL || !smtp_is_domain(domains[i]) ||
		    (tested && strstr(conf.maildir, "{domain}") == NULL))
			continue;
		test_maildir(domains[i]);
		tested = true;
	}
	if (conf.no_domain)
		test_problem("domain", conf.hostname, "no --domain given, and "
		    "no dot in the host name");
	if (conf.domains == 0)
		printf("domain * (by hand; %s under a launcher)\n",
		    strchr(conf.hostname, '.') != NULL ? conf.hostname :
		    "none, and so all mail is deferred,");
	if (conf.maildir != NULL && !tested)
		test_maildir(domain_default());
}

static void
test_program(const char *name)
{
	if (!conf_found(name))
		test_problem("program", name, "not found");
}

static void
test_delivery(void)
{
	if (delivery_none() && peer.by_hand)
		printf("maildir (none: a dry run by hand, an error under a "
		    "launcher)\n");
	else if (delivery_none())
		test_problem("maildir", "(none)", "and no program either");
	if (conf.maildir != NULL) {
		printf("maildir %s\n", conf.maildir);
		test_braces("maildir", conf.maildir, 3);
	}
	if (conf.program == NULL)
		return;
	printf("program");
	for (size_t i = 0; conf.program[i] != NULL; i++)
		printf(" %s", conf.program[i]);
	printf("\n");
	for (size_t i = 0; conf.program[i] != NULL; i++)
		test_braces("argument", conf.program[i], 6);
	test_program(conf.program[0]);
	printf("spool %s\nprogram-timeout %llu\n", conf.spool,
	    (unsigned long long)conf.program_timeout);
	if (conf.sync != NULL)
		printf("sync %s\n", conf.sync);
	(void)test_path("spool", conf.spool, W_OK | X_OK);
}

/* A server is connected to, a program is looked for. */
static void
test_policy(void)
{
	enum { PATIENCE = 2000 };

	if (conf.policy == NULL)
		return;
	printf("policy %s\n", conf.policy);
	if (policy_is_program())
		test_program(policy_program.argv[0]);
	else if (policy_open(now_ms() + PATIENCE) != SMTP_YES)
		test_problem("policy", conf.policy, strerror(errno));
	policy_close();
}

static void
test_neighbours(void)
{
	if (conf.auth != NULL) {
		printf("auth %s\n", conf.auth);
		test_program(auth_program.argv[0]);
	}
	if (conf.auth_clear != NULL)
		printf("auth-clear %s\n", conf.auth_clear);
	if (conf.auth_clear != NULL && conf.auth == NULL)
		printf("warning: --auth-clear without --auth\n");
	if (conf.secured)
		printf("secured\n");
	if (conf.require_tls || conf.require_auth)
		printf("require%s%s\n", conf.require_tls ? " tls" : "",
		    conf.require_auth ? " auth" : "");
	if (conf.require_auth && conf.auth == NULL)
		printf("warning: --require auth without --auth\n");
	if (conf.proxy != NULL)
		printf("proxy %s\n", conf.proxy);
	if (conf.xclient != NULL)
		printf("xclient %s\n", conf.xclient);
	if (conf.maildir != NULL && !conf.relay && (conf.auth != NULL ||
	    conf.xclient != NULL || getenv("RELAYCLIENT") != NULL))
		printf("warning: with Maildirs neither AUTH nor XCLIENT nor "
		    "RELAYCLIENT opens foreign domains; --relay does\n");
}

/* Print what holds, warn, and tell what will not work. */
static _Noreturn void
conf_test(void)
{
	conf.log = TO_NOWHERE;	/* what fails here is printed */
	printf("hostname %s\n", conf.hostname);
	test_delivery();
	test_domains();
	test_policy();
	test_neighbours();
	if (conf.users != NULL)
		test_list("users", conf.users);
	printf("size %llu\nrecipients %llu\ntimeout %llu\nerrors %llu\n",
	    (unsigned long long)conf.size,
	    (unsigned long long)conf.recipients,
	    (unsigned long long)conf.timeout,
	    (unsigned long long)conf.errors);
	printf("bare-newline %s\nlabel %s\ndelimiter %.1s\nrelay %s\n",
	    conf.normalize ? "normalize" : "reject",
	    conf.label != NULL ? conf.label : "off",
	    conf.delimiter != '\0' ? &conf.delimiter : "",
	    conf.relay ? "yes" : "no");
	if (conf.lmtp)
		printf("lmtp\nwarning: LMTP must not be served on port 25 "
		    "(RFC 2033, 5)\n");
	if (conf.recipients < 100)
		printf("warning: RFC 5321, 4.5.3.1.8 wants 100 recipients "
		    "at least\n");
	if (geteuid() == 0)
		printf("warning: running as root\n");
	if (test_problems == 0)
		printf("ok\n");
	else
		printf("%u problem%s\n", test_problems,
		    test_problems == 1 ? "" : "s");
	exit(fflush(stdout) != 0 ? EXIT_DEFERRED : test_problems == 0 ?
	    EXIT_LEFT : EXIT_CONFIG);
}

/* ---- 18. main ---------------------------------------------------------- */

static void
session_begin(void)
{
	logged.began = net.looked = now_ms();
	watchdog_set(logged.began);
	net.newline = NL_CRLF;
	net.until = peer.by_hand ? INT64_MAX :
	    logged.began + (int64_t)SESSION_SECONDS * 1000;
}

/* At every exit: what must not outlive us. */
static void
session_end(void)
{
	delivery_abort();
	policy_close();
	helpers_end(policy.pid);
	log_flush(true);
}

#ifdef __linux__
/*
 * Landlock: from here on nothing may be written but below the Maildirs' root
 * (if that is not there, nothing at all), and nothing executed.  ABI 1 could
 * not link from tmp/ to new/.  The numbers
 * are the kernel's (linux/landlock.h), which not every libc's headers have.
 */
static void
harden_landlock(const char *root, int why)
{
	enum { CREATE = 444, ADD = 445, RESTRICT = 446, VERSION_FLAG = 1,
	    BENEATH = 1, EXECUTE = 1 << 0, WRITE_FILE = 1 << 1,
	    REMOVE_FILE = 1 << 5, MAKE_REG = 1 << 8, REFER = 1 << 13,
	    TRUNCATE = 1 << 14, REMOVE_DIR = 1 << 4,
	    MAKE_OTHERS = 0x1ec0	/* devices, directories, links ... */ };
	const uint64_t may = WRITE_FILE | REMOVE_FILE | MAKE_REG | REFER;
	uint64_t handled = may | EXECUTE | REMOVE_DIR | MAKE_OTHERS;
	struct {
		uint64_t	allowed;
		int32_t		parent;
	} __attribute__((packed)) beneath = { may, -1 };
	long rules, abi = syscall(CREATE, NULL, 0, VERSION_FLAG);

	if (abi < 2)
		return;
	if (abi >= 3)
		handled |= TRUNCATE;
	if (root != NULL) {
		beneath.parent = open(root, O_PATH | O_DIRECTORY);
		why = errno;
	}
	if (beneath.parent == -1 && conf.maildir != NULL)
		log_fault("not there, so nothing is written in this session",
		    conf.maildir, why);
	rules = syscall(CREATE, &handled, sizeof(handled), 0);
	if (rules == -1 || (beneath.parent != -1 &&
	    syscall(ADD, rules, BENEATH, &beneath, 0) == -1) ||
	    syscall(RESTRICT, rules, 0) == -1)
		die(EXIT_DEFERRED, "landlock: %s", strerror(errno));
	/* close_inherited() closes both */
}
#endif

static void
close_range_of(unsigned from, unsigned to)
{
	enum { MOST = 1024 * 1024 };
	struct rlimit most;

	if (from > to)
		return;
#ifdef SYS_close_range
	if (syscall(SYS_close_range, from, to, 0U) == 0)
		return;
#endif
	if (getrlimit(RLIMIT_NOFILE, &most) == -1 || most.rlim_max > MOST)
		most.rlim_max = MOST;
	for (unsigned fd = from; fd <= to && fd < most.rlim_max; fd++)
		close((int)fd);
}

/* Descriptors that a launcher left open are none of ours, but those of TLS. */
static void
close_inherited(void)
{
	unsigned from = 3, next;

	for (;;) {
		next = UINT_MAX;
		for (size_t i = 0; i < 3; i++)
			if (tls.fd[i] != -1 && (unsigned)tls.fd[i] >= from &&
			    (unsigned)tls.fd[i] < next)
				next = (unsigned)tls.fd[i];
		if (next == UINT_MAX)
			break;
		close_range_of(from, next - 1);
		from = next + 1;
	}
	close_range_of(from, UINT_MAX);
}

/* Are programs or servers to be spoken to? */
static bool
helpers_wanted(void)
{
	return conf.program != NULL || conf.policy != NULL ||
	    conf.auth != NULL;
}

/* Give up what we do not need.  Which Maildirs there are decides what. */
static void
harden(void)
{
	const struct rlimit none = { 0, 0 };
	const char *root = conf.maildir;
	int why;

	umask(077);
	(void)setrlimit(RLIMIT_CORE, &none);
	if (maildir.template)
		root = maildir_root();
	why = errno;
	if (helpers_wanted()) {
		/* a set-id MDA may need what we would give up */
		helper_signals();
		close_inherited();
		return;
	}
#ifdef __linux__
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	harden_landlock(root, why);
#endif
#ifdef __OpenBSD__
	if (unveil("/", "r") == -1 ||
	    (root != NULL && unveil(root, "rwc") == -1) ||
	    unveil(NULL, NULL) == -1 ||
	    pledge("stdio rpath wpath cpath inet", NULL) == -1)
		die(EXIT_DEFERRED, "pledge: %s", strerror(errno));
#endif
	close_inherited();
}

/* What is odd about how we were started. */
static void
log_start(void)
{
	for (size_t i = 0; i < peer.nskipped; i++) {
		log_begin(LOG_WARNING, "skipped");
		log_plain("variable", smtp_slice(peer.skipped[i]));
		log_quoted("value", smtp_slice(getenv(peer.skipped[i])));
		log_end();
	}
	if (conf.lmtp && smtp_is(peer.server_port, "25"))
		log_fault("LMTP on port 25: senders expect a queue there "
		    "(RFC 2033, 5)", NULL, 0);
}

int
main(int argc, char *argv[])
{
	static struct session session = { .state = S_HELO };

	signals_set();
	peer_descriptors();
	session_begin();
	conf_read(argc, argv);
	conf_finish();
	if (conf.test)
		conf_test();
	peer_find();
	if (peer.listening)
		die(EXIT_OPTION, "standard input is a socket that listens, not "
		    "a connection: Accept=yes in the .socket unit, nowait in "
		    "inetd.conf");
	tls_find();
	if (conf.policy != NULL || conf.lmtp)
		peer_find_server();
	harden();
	log_start();
	if (atexit(session_end) != 0)
		die(EXIT_DEFERRED, "atexit failed");
	session_run(&session);
}
