/*
 * smtpd - receive mail on stdin/stdout and deliver it.
 *
 * This is the world's half: descriptors, time, files, programs, servers, the
 * log, options.  It asks nothing about SMTP; it answers.  The language's half,
 * which knows every verb and every reply, is smtp_parse.c; between them stand
 * the questions of smtp_next(), and nothing else.
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
 *    2 peer      who the client is, and what stdin and stderr are
 *    3 wait      the one place where we do, and what is seen of us meanwhile
 *    4 log       key=value lines to stderr or syslog
 *    5 helper    programs we start: environment, descriptors, waiting
 *    6 auth      a checkpassword program's word
 *    7 policy    a policy server's word
 *    8 tls       the launcher's, by UCSPI-TLS; XCLIENT and PROXY
 *    9 lists     whose mail we take: domains and users, in mapped files
 *   10 net       one buffer each way, all timeouts of the connection
 *   11 message   the mail being received: its envelope, header and file
 *   12 maildir   which directory, and how it gets there for good
 *   13 session   one function per question, and the loop that asks
 *   14 program   a message handed to one
 *   15 options   one table for command line, file, --help and man page
 *   16 main
 *
 * To follow a mail read sections 10 to 13: session_talk() asks smtp_next(), and
 * answer_sender(), answer_rcpt(), answer_begin(), answer_store() and
 * answer_finish() answer; the last has maildir_commit() deliver.
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
#include <dirent.h>
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

/* ---- 1. conf: options and limits ---------------------------------------- */

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
	OPTIONS_MAX = 48,
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

/* bits, as --log's words set them */
enum log_where { TO_FIND_OUT, TO_STDERR = 1, TO_SYSLOG = 2, TO_NOWHERE = 4 };

/* where a policy server is asked; bits, as --policy-states' words set them */
enum policy_state { AT_CONNECT, AT_EHLO, AT_MAIL, AT_RCPT, AT_DATA, AT_END,
    AT_VRFY, AT_ETRN };

static struct slice domains[DOMAINS_MAX];
static struct smtp_words policy_program, auth_program;

static struct {
	const char	*domain;	/* the last of these */
	size_t		 domains;	/* how many */
	const char	*maildir;
	char		*const *program;	/* NULL: none */
	bool		 program_once;	/* for all recipients together */
	uint64_t	 program_timeout;
	const char	*spool;
	const char	*sync;		/* NULL: no */
	const char	*policy;	/* NULL: none */
	unsigned	 policy_states;	/* bits, of enum policy_state */
	unsigned char	 policy_ip[16];
	unsigned	 policy_port;	/* 0: no address, a path */
	const char	*auth;		/* NULL: none */
	const char	*proxy, *xclient;	/* networks; NULL: none */
	const char	*auth_clear;
	bool		 secured, require_tls, require_auth;
	unsigned	 require;	/* bits for the last two */
	const char	*users;
	const char	*hostname;
	const char	*label;		/* NULL: off */
	uint64_t	 size;		/* 0: no limit */
	uint64_t	 recipients, timeout, errors;
	unsigned	 log;		/* enum log_where */
	unsigned	 newline;	/* 1: reject, 2: normalize */
	unsigned	 ignored;
	char		 delimiter;	/* 0: none */
	const char	*faults;	/* NULL: none; a file's name, or "" */
	bool		 lmtp, normalize, relay, strict, verbose, test;
	bool		 no_domain;	/* none was given, and we have none */
	const char	*path;		/* of the configuration file */
	/* where values are from, see FROM_DEFAULT: of options, and of those
	 * that may be repeated */
	int		 from[OPTIONS_MAX], domain_from[DOMAINS_MAX];
	int		 require_from[2];
} conf = {
	.label = "unknown-8bit",
	.size = 50 * 1024 * 1024,
	.recipients = 1000,
	.timeout = 300,
	.program_timeout = 300,
	.errors = 20,
	.newline = 1,
	.delimiter = '+',
};

/*
 * The seam.  The session is the language's half: it holds no pointer into what
 * is ours, so nothing of it goes astray when a buffer moves.  All that it sees
 * of us is in host: what is offered, and the two buffers.  See the session's
 * section.
 */
static _Alignas(4096) struct smtp_session session;
static struct smtp_host host;
static struct smtp_script script;	/* of --faults */

/* ---- 2. peer: who the client is ----------------------------------------- */

/*
 * The launcher's word, see smtp_launched(), comes before the kernel's, for
 * stunnel's children all see 127.0.0.1 as their peer.  No address grants
 * anything by itself.
 */
static struct {
	bool		 by_hand;	/* no socket, no launcher */
	bool		 terminal;	/* by hand, at a terminal */
	bool		 colours;	/* ... which may show some */
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
	struct slice	 server;	/* our own address; empty: unknown */
	struct slice	 server_port;
	char		 text[INET6_ADDRSTRLEN];
	char		 digits[8];
	char		 name_text[SMTP_DOMAIN_MAX];
	char		 tls_text[2][SMTP_TLS_WORD_MAX];
	char		 server_text[INET6_ADDRSTRLEN];
	char		 server_digits[8];
	const char	*skipped[8];	/* variables that did not parse */
	size_t		 nskipped;
} peer;

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

/* Is the client's address among these networks? */
static bool
peer_is_in(const char *nets)
{
	return nets != NULL && smtp_nets_match(smtp_slice(nets),
	    peer.address.n > 0 ? peer.ip : NULL);
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
	/* who is named, though not so that we understand it, isn't local */
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
	peer.colours = peer.terminal && peer_env("NO_COLOR") == NULL &&
	    peer_env("TERM") != NULL && strcmp(getenv("TERM"), "dumb") != 0;
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

/* ---- 3. wait: the one place where we do --------------------------------- */

/*
 * Signals are blocked everywhere but in ppoll(2): none is lost between a look
 * and a wait, and none comes between the dot and its reply.  Where a single
 * call blocks for good, on the server of a network file system that is dead,
 * alarm(2) ends the session, an hour after it last came by here.
 *
 * What is seen of us is written here, too, so that it is current whenever
 * somebody looks: the title that ps(1) has, and the same for $NOTIFY_SOCKET,
 * which `systemctl status` shows.
 */
enum { TITLE_MAX = 128, NOTIFY_EVERY = 1000 /* milliseconds */ };

static volatile sig_atomic_t terminated;	/* SIGTERM has come */
static volatile sig_atomic_t woken;	/* another that ends a call has */
static volatile sig_atomic_t curious;	/* SIGUSR1: what do we do? */

static struct {
	sigset_t	 mask;		/* while we wait: nothing is blocked */
	int64_t		 armed;		/* when the alarm was set */
	bool		 timer;		/* it is set to something else */
} waiting;

static struct {
	char		*title;		/* where our arguments were, ... */
	size_t		 title_n;	/* ... so many octets */
	size_t		 arguments;	/* of them; 0: there are more */
	struct sockaddr_un to;		/* $NOTIFY_SOCKET */
	socklen_t	 to_n;		/* 0: there is none */
	int		 fd;
	int64_t		 due;		/* it is told nothing before */
	size_t		 told_n;
	char		 told[TITLE_MAX];	/* what it was told last */
	char		 moved[1024];	/* what stood where the title is */
} shown;

static void
on_signal(int sig)
{
	if (sig == SIGALRM || sig == SIGCHLD)
		woken = 1;
	else if (sig == SIGUSR1)
		curious = 1;
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

/* The title takes the place of our arguments and of what lies behind them; what
 * begins there is moved.  Nothing may point at it yet. */
static void
title_begin(char *argv[])
{
	char **const lists[] = { argv, environ };
	size_t n;

	shown.title = argv[0];
	for (int i = 0; i < 2; i++)
		for (char **v = lists[i]; *v != NULL; v++) {
			n = strlen(*v) + 1;
			if (*v != shown.title + shown.title_n ||
			    (i == 1 && shown.title_n >= TITLE_MAX) ||
			    n > sizeof(shown.moved) - shown.title_n)
				return;
			*v = memcpy(shown.moved + shown.title_n, *v, n);
			shown.title_n += n;
			if (i == 0 && v[1] == NULL)
				shown.arguments = shown.title_n;
		}
}

static void
notify_begin(void)
{
	const char *path = peer_env("NOTIFY_SOCKET");
	const size_t n = path == NULL ? 0 : strlen(path);

	if (n < 2 || n > sizeof(shown.to.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	shown.to.sun_family = AF_UNIX;
	memcpy(shown.to.sun_path, path, n);
	if (path[0] == '@')		/* Linux: a name that is no file's */
		shown.to.sun_path[0] = '\0';
	shown.to_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	shown.fd = -1;
	shown.due = now_ms() + NOTIFY_EVERY;
}

/* It may have gone, or be full: nobody depends on it. */
static void
notify_tell(struct slice text, int64_t now)
{
	char buf[TITLE_MAX + 32];
	struct smtp_text t = SMTP_TEXT(buf);

	if (shown.fd == -1)
		shown.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	smtp_puts(&t, "READY=1\nSTATUS=");
	smtp_put(&t, text);
	(void)sendto(shown.fd, buf, t.n, MSG_DONTWAIT | MSG_NOSIGNAL,
	    (const struct sockaddr *)&shown.to, shown.to_n);
	memcpy(shown.told, text.p, text.n);
	shown.told_n = text.n;
	shown.due = now + NOTIFY_EVERY;
}

/* Show what the session does; the milliseconds until there is more to show. */
static int64_t
show(int64_t now)
{
	char buf[TITLE_MAX];
	struct smtp_text t = SMTP_TEXT(buf), title = { shown.title, 0, 0,
	    false };
	struct slice text;

	smtp_put_state(&t, &session, peer.address);
#if defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)
	setproctitle("%.*s", (int)t.n, buf);
#else
	if (shown.title_n > 0) {
		title.size = shown.title_n - 1;
		smtp_puts(&title, "smtpd: ");
		smtp_put(&title, smtp_written(&t));
		memset(title.p + title.n, 0, shown.title_n - title.n);
		/* Linux: where the arguments' last NUL is none, the first
		 * string is all that is shown */
		if (shown.arguments > title.n + 1)
			title.p[shown.arguments - 1] = ' ';
	}
#endif
	text = smtp_written(&t);
	if (shown.to_n == 0 || (shown.told_n == text.n &&
	    memcmp(shown.told, text.p, text.n) == 0))
		return INT64_MAX;
	if (now < shown.due)
		return shown.due - now;
	notify_tell(text, now);
	return INT64_MAX;
}

/*
 * Wait for descriptors, or for none, until a time: above 0 if one is ready, 0
 * when it is too late, below 0 for a signal, such as the end of a program.
 */
static int
wait_until(struct pollfd *p, nfds_t n, int64_t until)
{
	enum { OFTEN = WATCHDOG_SECONDS * 1000 / 60 };
	int64_t now = now_ms(), left, more;
	struct timespec t;
	int rc;

	for (;; now = now_ms()) {
		if (!waiting.timer && now - waiting.armed >= OFTEN)
			watchdog_set(now);
		more = show(now);
		left = until > now ? until - now : 0;
		if (left > OFTEN)
			left = OFTEN;
		if (left > more)
			left = more;
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
	static const int ours[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	sigset_t block;

	sigemptyset(&waiting.mask);
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		sigaddset(&block, ours[i]);
		signal_set(ours[i], on_signal);
	}
	sigprocmask(SIG_SETMASK, &block, NULL);
	signal_set(SIGPIPE, SIG_IGN);
	signal_set(SIGXFSZ, SIG_IGN);	/* a limit is EFBIG, not death */
	signal_set(SIGALRM, SIG_DFL);
	own_pid = getpid();
}

/* ---- 4. log: what is told, and to whom ---------------------------------- */

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
	uint64_t		 refusals;	/* of whatever */
	uint64_t		 notes;		/* of what was accepted */
	/* the message that is under way, for its faults */
	struct slice		 id;
	const char		*mailbox;
} logged;

/* Does JOURNAL_STREAM name fd 2? (systemd.exec(5)) */
static bool
log_is_journal(void)
{
	const char *v = peer_env("JOURNAL_STREAM");
	char is[48];
	struct stat st;

	if (v == NULL || fstat(2, &st) == -1)
		return false;
	(void)snprintf(is, sizeof(is), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	return strcmp(is, v) == 0;
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
	if (logged.where != TO_STDERR)
		return;
	smtp_puts(t, logged.prefix ? "<" : "smtpd[");
	smtp_put_number(t, (uint64_t)(logged.prefix ? priority : own_pid));
	smtp_puts(t, logged.prefix ? ">" : "]: ");
}

/* Say how many lines are missing; false if that is not to be said, either. */
static bool
log_missing(int64_t until)
{
	char buf[80];
	struct smtp_text t = SMTP_TEXT(buf);
	bool well;

	log_head(&t, LOG_WARNING);
	smtp_puts(&t, "missing lines=");
	smtp_put_number(&t, logged.missing);
	smtp_puts(&t, "\n");
	well = logged.missing == 0 ||
	    log_write(LOG_WARNING, smtp_written(&t), until);
	if (well)
		logged.missing = 0;
	return well;
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
	const bool wait = patience && !logged.stuck;
	const int64_t until = now_ms() + (wait ? LOG_PATIENCE : 0);
	struct slice queue = { log_queue, logged.queued }, rest, line;
	bool well;

	if (queue.n == 0 || (!patience && logged.full))
		return;
	if (guard)
		timer_begin(wait ? LOG_PATIENCE : LOG_GLANCE);
	for (well = log_missing(until); well && queue.n > 0;) {
		rest = (struct slice){ queue.p + 1, queue.n - 1 };
		line = smtp_cut_line(&rest, LOG_LINE);
		well = log_write(queue.p[0], line, until);
		if (well)
			queue = rest;
	}
	if (guard)
		timer_end();
	logged.stuck = !well && (patience || logged.stuck);
	logged.full = !well;
	for (size_t i = 0; patience && i < queue.n; i++)
		logged.missing += queue.p[i] == '\n';
	logged.queued = patience ? 0 : queue.n;
	memmove(log_queue, queue.p, logged.queued);
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

/* " key=value", of our own making; all of it, or nothing. */
static void
log_plain(const char *key, struct slice value)
{
	if (!smtp_put_pair(&logged.line, key, value, false))
		logged.cut = true;
}

/* One from outside. */
static void
log_quoted(const char *key, struct slice value)
{
	if (!smtp_put_pair(&logged.line, key, value, true))
		logged.cut = true;
}

static void
log_number(const char *key, uint64_t value)
{
	char digits[20];
	struct smtp_text t = SMTP_TEXT(digits);

	smtp_put_number(&t, value);
	log_plain(key, smtp_written(&t));
}

/* Never far from the line's beginning: there is room. */
static void
log_client(void)
{
	smtp_puts(&logged.line, " client=");
	smtp_put_client(&logged.line, peer.address, peer.port);
}

static void
log_known(const char *key, struct slice value)
{
	if (value.n > 0)
		log_quoted(key, value);
}

/* All that is known of the client.  Each value is cut at SMTP_ESCAPED_MAX
 * octets: what stands behind them has room in the line. */
static void
log_whom(void)
{
	log_client();
	log_known("helo", (struct slice){ session.helo, session.helo_n });
	log_known("tls", peer.tls_version);
	log_known("cipher", peer.tls_cipher);
	log_known("user", peer.login);
}

/* What the client did that the RFCs have not. */
static void
log_lenient(void)
{
	if (session.lenient == 0)
		return;
	smtp_puts(&logged.line, " lenient=\"");
	smtp_put_lenient(&logged.line, session.lenient);
	smtp_puts(&logged.line, "\"");
}

/* --test: what keeps mail out is a problem, and counted; what keeps some out,
 * or is unwise, is a warning. */
static struct {
	unsigned	 problems;
	bool		 mild;		/* it is no more than a warning */
} tested;

static void
test_told(const char *what, const char *which, const char *why)
{
	printf("%s: %s%s%s%s%s\n", tested.mild ? "warning" : "problem", what,
	    which != NULL ? " " : "", which != NULL ? which : "",
	    why != NULL ? ": " : "", why != NULL ? why : "");
	tested.problems += !tested.mild;
}

/* A call of ours failed, or something is as it should not be. */
static void
log_fault(const char *what, const char *path, int error)
{
	if (conf.test) {
		test_told(what, path, error != 0 ? strerror(error) : NULL);
		return;
	}
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

/* What the client did wrong, and against which rule. */
static void
log_verdict(struct slice what, struct slice rule)
{
	log_begin(LOG_NOTICE, "verdict");
	log_client();
	log_quoted("wrong", what);
	log_known("rule", rule);
	log_end();
}

/* A line of one value. */
static void
log_one(int priority, const char *event, const char *key, struct slice value)
{
	log_begin(priority, event);
	log_client();
	log_quoted(key, value);
	log_end();
}

/* The same of what was accepted: the first hundred of a session. */
static void
log_noted(int priority, const char *event, const char *key,
    struct slice value)
{
	if (++logged.notes <= REFUSALS_LOGGED)
		log_one(priority, event, key, value);
}

/* A session's refusals beyond the first hundred are only counted. */
static bool
log_is_flooded(void)
{
	return ++logged.refusals > REFUSALS_LOGGED;
}

/* SIGUSR1 has come: say what the session does. */
static void
log_asked(void)
{
	char buf[TITLE_MAX];
	struct smtp_text t = SMTP_TEXT(buf);

	if (!curious)
		return;
	curious = 0;
	smtp_put_state(&t, &session, peer.address);
	log_one(LOG_NOTICE, "state", "what", smtp_written(&t));
	log_flush(false);
}

/* Our reply: its code, and its text where that tells more. */
static void
log_reply(struct slice said, bool text)
{
	log_plain("reply", (struct slice){ said.p, 3 });
	if (text)
		log_quoted("text", smtp_trim((struct slice){ said.p + 4,
		    said.n - 4 }));
}

/* ---- 5. helper: programs we start --------------------------------------- */

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
	/* behind the end of a message there may be nothing more to say */
	return p->revents != 0 && host.in.n == 0 &&
	    session.asked != SMTP_FINISH &&
	    recv(p->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* As helper_wait(), but once: SMTP_LATE for a signal, too. */
static enum smtp_reply
helper_wait_once(int fd, short events, int64_t until, bool client)
{
	struct pollfd p[2] = { { .fd = fd, .events = events }, { .fd = -1 } };
	int n;

	if (client) {
		log_flush(false);
		p[1].fd = peer.socket_in ? 0 : 1;
		p[1].events = peer.socket_in ? POLLRDHUP : 0;
	}
	for (;;) {
		n = wait_until(p, 2, until);
		log_asked();
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

/* ---- 6. auth: ask a checkpassword program ------------------------------- */

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
	    peer_is_in(conf.auth_clear));
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

static void
log_auth(int priority, const char *result)
{
	log_begin(priority, "auth");
	log_client();
	log_plain("result", smtp_slice(result));
	log_quoted("user", host.user);
	log_end();
}

static enum smtp_reply
answer_password(void)
{
	const enum smtp_reply answer = auth_check(host.user, host.password);

	auth_wipe();
	if (answer == SMTP_YES)
		log_auth(LOG_INFO, "right");
	if (answer == SMTP_UNAVAILABLE)
		log_auth(LOG_NOTICE, "fault");
	return answer;
}

static enum smtp_reply
answer_pause(void)
{
	log_auth(LOG_NOTICE, "wrong");
	return helper_pause(now_ms() + 1000);
}

/* ---- 7. policy: ask a server -------------------------------------------- */

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
policy_ask(const struct smtp_question *q, struct smtp_policy *p)
{
	int64_t until = now_ms() + (int64_t)POLICY_SECONDS * 1000;
	enum smtp_reply r = SMTP_FAULT;
	bool kept = true;

	while (r == SMTP_FAULT && kept && !policy.failed) {
		kept = policy.fd != -1;
		r = kept ? SMTP_YES : policy_open(until);
		if (r == SMTP_FAULT)
			return policy_fault("policy", errno);
		if (r == SMTP_YES)
			r = policy_talk(q, p, until);
		if (r == SMTP_FAULT && !policy.failed)
			r = policy_end();
	}
	return r != SMTP_FAULT || policy.failed ? r :
	    policy_fault("policy: closed", 0);
}

/* ---- 8. tls: what stands between the client and us ----------------------- */

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
xclient_take(const struct smtp_xclient *x)
{
	struct smtp_text name = SMTP_TEXT(peer.name_text);
	const struct slice *v = x->value;

	if (x->given[SMTP_X_ADDR])
		peer_replace(v[SMTP_X_ADDR].n > 0 ? x->addr : NULL);
	if (x->given[SMTP_X_NAME]) {
		smtp_put(&name, v[SMTP_X_NAME]);
		peer.name = smtp_written(&name);
	}
	if (x->given[SMTP_X_PORT])
		peer.port = v[SMTP_X_PORT].n > 0 ? port_text(x->port,
		    peer.digits) : smtp_slice("");
	if (v[SMTP_X_DESTADDR].n > 0) {
		peer_keep_server(x->destaddr, x->destport);
		if (v[SMTP_X_DESTPORT].n == 0)
			peer.server_port = smtp_slice("");
	}
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

/* ---- 9. lists: whose mail we take --------------------------------------- */

/*
 * The lists of users and of domains that were asked last; they stay mapped for
 * as long as they are the same files.  One that is cut short while we look at
 * it has us jump back to list_ask(); --test, which looks by itself too, dies of it.
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
	if (fstat(fd, &l->st) == 0 && l->st.st_size > 0 &&
	    (uint64_t)l->st.st_size <= SIZE_MAX)
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
	i = smtp_hash(smtp_written(&t)) % ASKED;
	if (!t.cut && smtp_same(smtp_written(&asked[i].who), smtp_written(&t)))
		return asked[i].answer;
	smtp_split_extension(who.local, conf.delimiter, &who.user, &extension);
	asked[i].answer = list_ask(conf.users, &who, SMTP_NO_USER);
	asked[i].who = SMTP_TEXT(asked[i].text);
	if (!t.cut && asked[i].answer != SMTP_FAULT)
		smtp_put(&asked[i].who, smtp_written(&t));
	return asked[i].answer;
}

/* ---- 10. net: one buffer each way --------------------------------------- */

/*
 * net_fill() and net_flush() are the only callers of read and write on the
 * connection.  Replies go out when we are about to wait, for input or anything
 * else, and before a commit, so that none that was decided waits for what comes
 * behind it; and not before, so that a pipelined group gets one write.
 *
 * A client that is gone is not the end of the process here: that is said to
 * whoever called, and session_run() alone leaves.
 */
static _Alignas(4096) char net_in[IN_SIZE];
static _Alignas(4096) char net_out[OUT_SIZE];

static struct {
	uint64_t	 received;	/* octets, ever */
	int64_t		 greeted;	/* when the first reply was sent */
	size_t		 prompt;	/* octets of the last one */
	unsigned	 hinted;	/* bits: what a person was told */
	const char	*gone;		/* why nothing more can be sent */
	size_t		 logged;	/* octets of replies, with --verbose */
	int64_t		 until;		/* the end of the longest session */
	int64_t		 looked;	/* for signals, by net_look() */
	int64_t		 since;		/* see rate_is_kept(): a window, ... */
	uint64_t	 from;		/* ... and octets before it */
	bool		 trickles;	/* the client, in what it sends */
	bool		 cut, stop;	/* it ends behind so many octets: */
	uint64_t	 sent, taken;
	bool		 ended;		/* end of input was seen */
	bool		 quit;		/* ... and taken for QUIT */
	bool		 closing;	/* the last reply is in the buffer */
} net;

/* Wait for the client; when a signal has come, only for what was said to be
 * taken: it may be a 250. */
static enum smtp_reply
net_wait(int fd, int64_t ms)
{
	struct pollfd p = { .fd = fd, .events = fd == 0 ? POLLIN : POLLOUT };
	int64_t now = now_ms(), until = now + ms;
	int n;

	if (until > net.until && !net.closing)
		until = net.until;
	for (;; now = now_ms()) {
		if (terminated && fd == 0)
			return SMTP_SHUTDOWN;
		if (fd == 0 && now >= net.until)
			return SMTP_TIMEOUT;
		if (terminated && until > now + BYE_SECONDS * 1000)
			until = now + BYE_SECONDS * 1000;
		n = wait_until(&p, 1, until);
		log_asked();
		if (n >= 0)
			return n > 0 ? SMTP_YES : SMTP_LATE;
	}
}

/* What is said with --verbose, a line of ours each. */
static void
net_log(void)
{
	const char *line = net_out + net.logged, *lf;

	for (; conf.verbose && line < net_out + host.out.n; line = lf + 1) {
		lf = memchr(line, '\n', host.out.n - net.logged);
		log_one(LOG_DEBUG, "dialogue", "said", (struct slice){ line,
		    (size_t)(lf - 1 - line) });
		net.logged = (size_t)(lf + 1 - net_out);
	}
}

/* To a person, beside what the language says. */
static void
net_show(const char *text)
{
	net_log();
	smtp_puts(&host.out, text);
	net.logged = host.out.n;
}

/* "(text more)", on a line. */
static void
net_tell(const char *text, const char *more)
{
	net_show("(");
	net_show(text);
	net_show(more);
	net_show(")\r\n");
}

/* It is his turn: what he may say, told once, and what we wait for. */
static void
net_prompt(void)
{
	char prompt_buf[32], hint_buf[SMTP_DOMAIN_MAX + 80];
	struct smtp_text prompt = SMTP_TEXT(prompt_buf);
	struct smtp_text hint = SMTP_TEXT(hint_buf);
	const unsigned step = 1U << smtp_put_prompt(&prompt, &session,
	    &host.terms);

	if (net.hinted == 0 && conf.maildir == NULL && conf.program == NULL)
		net_tell("a dry run, without --maildir: nothing is kept", "");
	smtp_put_hint(&hint, &session, &host.terms, domain_default());
	if ((net.hinted & step) == 0)
		net_tell(smtp_string(&hint), "");
	net.hinted |= step;
	net.prompt = prompt.n;
	net_show(smtp_string(&prompt));
}

/* Under what he typed, a mark where it is wrong.  It is on the screen still,
 * behind its prompt; of an octet in the middle of a character none is seen. */
static void
net_mark(struct slice line, size_t wrong)
{
	for (size_t i = 0; i < net.prompt; i++)
		net_show(" ");
	for (size_t i = 0; i < wrong && i < line.n; i++)
		if ((line.p[i] & 0xc0) != 0x80)
			net_show(line.p[i] == '\t' ? "\t" : " ");
	net_show("^\r\n");
}

/* A client that does not read is given up. */
static bool
net_wait_out(void)
{
	if (net_wait(1, (net.closing ? BYE_SECONDS : (int64_t)conf.timeout) *
	    1000) == SMTP_YES)
		return true;
	net.gone = "not-reading";
	return false;
}

/* As much as it takes at once; false if it takes no more. */
static bool
net_send(struct slice *s)
{
	ssize_t n;

	if (peer.socket) {
		n = send(1, s->p, s->n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		if (!peer.file && !net_wait_out())
			return false;
		/* a pipe said to be ready takes this much at once */
		n = write(1, s->p, s->n < PIPE_BUF ? s->n : PIPE_BUF);
	}
	if (n >= 0)
		*s = (struct slice){ s->p + n, s->n - (size_t)n };
	else if (errno == EAGAIN || errno == EWOULDBLOCK)
		return net_wait_out();
	else if (errno != EINTR) {
		net.gone = "gone";
		return false;
	}
	return true;
}

static void
net_send_all(struct slice s)
{
	while (s.n > 0 && net.gone == NULL)
		(void)net_send(&s);
}

/* A line at a terminal: what its reply's class is can be seen from afar. */
static void
net_send_coloured(struct slice line)
{
	static const char classes[] = "2345( ";
	static const char colours[][6] = { "\33[32m", "\33[36m", "\33[33m",
	    "\33[31m", "\33[2m", "\33[31m" };
	const char *class = strchr(classes, line.p[0]);
	/* a prompt has no line end, nor has a reply that --faults cuts */
	const size_t n = line.n > 2 ? line.n - 2 : 0;

	if (class == NULL) {
		net_send_all(line);
		return;
	}
	net_send_all(smtp_slice(colours[class - classes]));
	net_send_all((struct slice){ line.p, n });
	net_send_all(smtp_slice("\33[m"));
	net_send_all((struct slice){ line.p + n, line.n - n });
}

/* Send all that was said; false if the client is gone. */
static bool
net_flush(void)
{
	struct slice s = { net_out, host.out.n };
	const bool ends = net.cut && s.n > 0 && s.n >= net.sent;

	if (ends)
		s.n = (size_t)net.sent;
	net.sent -= net.cut ? s.n : 0;
	net_log();
	while (peer.colours && s.n > 0)
		net_send_coloured(smtp_cut_line(&s, sizeof(net_out)));
	net_send_all(s);
	if (net.greeted == 0 && host.out.n > 0)
		net.greeted = now_ms();
	host.out.n = net.logged = 0;
	if (ends && net.gone == NULL)
		net.gone = "cut";
	return net.gone == NULL;
}

/* A client that always has something ready keeps signals, and the end of the
 * longest session, out of net_wait(). */
static enum smtp_reply
net_look(void)
{
	enum { OFTEN = 50 };	/* milliseconds */
	const int64_t now = now_ms();

	if (now - net.looked < OFTEN)
		return SMTP_YES;
	net.looked = now;
	if (termination_pending())
		return SMTP_SHUTDOWN;
	return now >= net.until ? SMTP_TIMEOUT : SMTP_YES;
}

/* Add to host.in what comes; or say that nothing did, in so many milliseconds
 * or, if ms is 0, in --timeout. */
static enum smtp_reply
net_fill(int64_t ms)
{
	enum smtp_reply answer = net_look();
	char *to = net_in;
	size_t room;
	ssize_t n = -1;

	if (!net_flush() || net.ended || (net.stop && net.taken == 0))
		return SMTP_GONE;
	log_flush(true);
	if (peer.terminal) {
		net_prompt();
		(void)net_flush();
	}
	if (host.in.n > 0)
		to += (size_t)(host.in.p - net_in) + host.in.n;
	else
		host.in.p = net_in;
	room = sizeof(net_in) - (size_t)(to - net_in);
	if (net.stop && room > net.taken)
		room = (size_t)net.taken;
	while (answer == SMTP_YES && n == -1) {
		answer = net_wait(0, ms > 0 ? ms : (int64_t)conf.timeout *
		    1000);
		if (answer != SMTP_YES)
			break;
		n = read(0, to, room);
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			n = 0;
	}
	if (n == 0) {
		net.ended = true;
		return SMTP_GONE;
	}
	if (n > 0) {
		host.in.n += (size_t)n;
		net.received += (uint64_t)n;
		net.taken -= net.stop ? (uint64_t)n : 0;
	}
	return answer;
}

/* An end of input where a command may stand is, at a terminal, a person's ^D:
 * the same as QUIT. */
static bool
net_quit(void)
{
	const bool begins = session.at == SMTP_AT_OPENING ||
	    (session.at == SMTP_AT_LINE && session.line_n == session.used);

	if (!peer.terminal || !begins || net.quit || net.gone != NULL)
		return false;
	net.quit = true;
	host.in = smtp_slice("QUIT\n");
	net_show("QUIT\r\n");
	return true;
}

/* Wipe what was used of it: there was a password in it. */
static void
net_wipe(void)
{
	memmove(net_in, host.in.p, host.in.n);
	host.in.p = net_in;
	explicit_bzero(net_in + host.in.n, sizeof(net_in) - host.in.n);
}

/* ---- 11. message: what is being received -------------------------------- */

/* The envelope of one message: what RSET forgets. */
static struct {
	struct slice	 sender;	/* empty: the null sender */
	struct smtp_rcpt rcpt[RECIPIENTS_MAX];
	size_t		 rcpts;
	struct smtp_rcpt_index index;	/* of them */
	bool		 utf8;
	bool		 each;		/* a reply for each: LMTP, PRDR */
	const char	*protocol;	/* of the Received line's "with" */
	struct smtp_text prepended;	/* header fields of the policy's */
	char		 prepended_text[PREPENDED_MAX];
	uint64_t	 size;		/* as MAIL said; 0: it did not */
	uint64_t	 number;	/* of those in this session */
	char		 pool[POOL_SIZE];	/* the addresses */
	size_t		 used;
	int64_t		 first;		/* when the first was accepted */
} envelope;

/* A box gets one copy: a mailbox, or a run of a program. */
struct box {
	size_t		 first;		/* its first recipient */
	uint64_t	 octets;	/* of its copy */
	enum smtp_reply	 outcome;	/* see worsen(); SMTP_EACH: not known */
	size_t		 words;		/* octets its program said of it */
	bool		 tmp;		/* a file of ours is in its tmp/ */
	bool		 linked;	/* and in its new/, not yet for good */
};

static struct box boxes[RECIPIENTS_MAX];
static char box_words[RECIPIENTS_MAX][SMTP_WORDS_MAX];	/* of its program */

/* What becomes of messages, chosen once: they go to a Maildir, to a program or
 * nowhere. */
struct delivery {
	const char	*how;		/* " in " or " by " its name */
	/* may this recipient get mail, and, for NULL, the sender send it? */
	enum smtp_reply	(*find)(struct smtp_rcpt *);
	enum smtp_reply	(*begin)(void);		/* see message_home() */
	enum smtp_reply	(*create)(size_t);	/* the file of a box */
	enum smtp_reply	(*commit)(void);	/* see delivery_commit() */
	void		(*serve)(size_t);	/* a box that waits for it */
};

static const struct delivery *delivery;

/* The message itself, from DATA to its reply. */
static struct {
	bool			 loops;		/* see struct smtp_rcpt */
	bool			 begun;		/* its first line is known */
	size_t			 at;		/* its place in file_buf */
	enum smtp_reply		 outcome;	/* see worsen() */
	size_t			 boxes;		/* how many get it */
	size_t			 home;		/* the box it comes into */
	int64_t			 seconds;	/* the ID's, and the date's */
	int64_t			 dot;		/* when its delivery began */
	unsigned		 runs;		/* of its program, */
	unsigned		 status;	/* and how the last that failed
						 * ended; 0: none */
	struct smtp_text	 id;
	char			 id_text[64];
	struct smtp_scan	 scan;
	bool			 summed;	/* all of it is in key */
	struct smtp_key		 key;
} message;

/* The file it is being written to: at most one at a time.  (Arrays stand
 * beside a struct with an initialiser, not in it: there they would be data of
 * ours, read from the disk page by page.) */
static _Alignas(4096) char file_buf[IN_SIZE];

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

/* What means which outcome: errno, and, with EXITED, an exit status of a
 * program: sysexits.h's, qmail-command(8)'s, the shell's.  0 ends a row. */
enum { EXITED = 1 << 16 };

static const struct {
	enum smtp_reply	 answer;
	int		 means[7];
} outcomes[] = {
	{ SMTP_YES,		{ EXITED + 0, EXITED + 99 } },
	{ SMTP_NO_ROOM,		{ ENOSPC, EFBIG } },
	{ SMTP_QUOTA,		{ EDQUOT } },
	{ SMTP_CANT_CREATE,	{ EXITED + 73 } },
	{ SMTP_MISCONFIGURED,	{ EXITED + 64, EXITED + 69, EXITED + 70,
				  EXITED + 78, EXITED + 126, EXITED + 127 } },
	{ SMTP_NO_USER,		{ EXITED + 67 } },
	{ SMTP_NO_HOST,		{ EXITED + 68 } },
	{ SMTP_DENIED,		{ EXITED + 77 } },
	{ SMTP_REJECTED,	{ EXITED + 100 } },
	{ SMTP_BAD_DATA,	{ EXITED + 65 } },
};

static enum smtp_reply
outcome_of(int what)
{
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		for (const int *m = outcomes[i].means; *m != 0; m++)
			if (*m == what)
				return outcomes[i].answer;
	return SMTP_FAULT;
}

/* Log a failed call on the way of a message, and say what it comes to. */
static enum smtp_reply
failed(const char *call, const char *path)
{
	int error = errno;

	log_fault(call, path != NULL ? path : file.path, error);
	return outcome_of(error);
}

/* A path and what is behind it; NULL, with errno, if that is too long. */
static const char *
path_join(char buf[PATH_MAX], const char *path, const char *more)
{
	struct smtp_text t = { buf, PATH_MAX, 0, false };

	smtp_puts(&t, path);
	smtp_puts(&t, more);
	errno = ENAMETOOLONG;
	return smtp_string(&t);
}

static void
fd_close(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

static enum smtp_reply
fd_sync(int fd, const char *path)
{
	while (fsync(fd) == -1)
		if (errno != EINTR)
			return failed("fsync", path);
	return SMTP_YES;
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

/* No piece is larger than the buffer. */
static void
file_put(struct slice s)
{
	if (s.n > sizeof(file_buf) - file.n && file_flush() != SMTP_YES)
		return;
	if (s.n > 0)
		memcpy(file_buf + file.n, s.p, s.n);
	file.n += s.n;
}

static void
file_put_all(const char *before, struct slice s, const char *after)
{
	file_put(smtp_slice(before));
	file_put(s);
	file_put(smtp_slice(after));
}

/* Make the file's content last; it is closed whatever comes of it. */
static enum smtp_reply
file_sync(void)
{
	if (file_flush() == SMTP_YES)
		worsen(&file.outcome, fd_sync(file.fd, NULL));
	if (close(file.fd) == -1)
		worsen(&file.outcome, failed("close", NULL));
	file.fd = -1;
	return file.outcome;
}

/* Behind what is there goes a part of another file, all of it. */
static void
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
}

/* The message is written, all of it: from here on the file is a source, and
 * what it lacks is the label. */
static void
file_to_source(void)
{
	file.label = SMTP_TEXT(file.label_text);
	smtp_put_label(&file.label, &message.scan, conf.label);
	file.source = file.fd;
	file.source_octets = file.octets;
	file.fd = -1;
}

/* Sum up the message, for the keys of its deliveries. */
static enum smtp_reply
message_sum(void)
{
	uint64_t at = file.body;
	ssize_t n;

	while (at < file.source_octets) {
		n = pread(file.source, file_buf, sizeof(file_buf), (off_t)at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return failed("read", NULL);
		smtp_key_message(&message.key, (struct slice){ file_buf,
		    (size_t)n });
		at += (uint64_t)n;
	}
	message.summed = true;
	return SMTP_YES;
}

static int
address_order(const void *a, const void *b)
{
	const struct smtp_rcpt *const *r = a, *const *q = b;
	const struct slice s = smtp_rcpt_address(*r), t =
	    smtp_rcpt_address(*q);
	const int order = memcmp(s.p, t.p, s.n < t.n ? s.n : t.n);

	return order != 0 ? order : (s.n > t.n) - (s.n < t.n);
}

/* The key of its delivery to one recipient; to all of them together, for NULL,
 * in whatever order, and however often, they were named. */
static struct slice
message_key(const struct smtp_rcpt *only)
{
	static const struct smtp_rcpt *to[RECIPIENTS_MAX];
	static char hex[64];
	struct smtp_key key = message.key;
	size_t n = only != NULL ? 1 : envelope.rcpts;

	for (size_t i = 0; i < n; i++)
		to[i] = only != NULL ? only : &envelope.rcpt[i];
	qsort(to, n, sizeof(to[0]), address_order);
	smtp_key_next(&key, envelope.sender);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || address_order(&to[i - 1], &to[i]) != 0)
			smtp_key_next(&key, smtp_rcpt_address(to[i]));
	smtp_key_end(&key, hex);
	return (struct slice){ hex, sizeof(hex) };
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

static void
envelope_clear(void)
{
	smtp_rcpt_forget(&envelope.index, envelope.rcpt, envelope.rcpts);
	envelope.rcpts = 0;
	envelope.used = 0;
	envelope.sender = smtp_slice("");
	envelope.prepended.n = 0;
	envelope.size = 0;
	envelope.number++;
	logged.id = smtp_slice("");
	logged.mailbox = NULL;
}

/* A name for the message that is under way, or comes next, for a policy server
 * that is asked about it more than once. */
static struct slice
envelope_instance(char buf[64])
{
	static int64_t session_began;
	struct smtp_text t = { buf, 64, 0, false };

	if (session_began == 0)
		session_began = time(NULL);
	smtp_put_number(&t, (uint64_t)own_pid);
	smtp_puts(&t, ".");
	smtp_put_number(&t, (uint64_t)session_began);
	smtp_puts(&t, ".");
	smtp_put_number(&t, envelope.number);
	return smtp_written(&t);
}

/* The head of the file's name, and the mail's ID. */
static void
message_new_id(void)
{
	static uint64_t counter;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	message.seconds = t.tv_sec;
	message.id = SMTP_TEXT(message.id_text);
	smtp_put_id(&message.id, (uint64_t)t.tv_sec,
	    (uint64_t)(t.tv_nsec / 1000), (uint64_t)own_pid, ++counter);
	logged.id = smtp_written(&message.id);
}

/* A Delivered-To field: does it name one of ours? */
static void
message_delivered_to(struct slice address)
{
	if (smtp_rcpt_loops(&envelope.index, envelope.rcpt, address))
		message.loops = true;
}

/* Look at the next octets of the message for what we must know of it. */
static void
message_look(struct slice in)
{
	struct slice to;

	while (smtp_scan(&message.scan, &in, &to))
		message_delivered_to(to);
}

/* The first line of the message is being decoded: what stands there must not go
 * on with our own header, or end it. */
static void
message_head(void)
{
	struct smtp_text head = { file_buf + message.at,
	    sizeof(file_buf) - message.at, file.n - message.at, false };

	message.begun = smtp_mend_first(&head);
	file.n = message.at + head.n;
	if (message.begun)
		message_look(smtp_written(&head));
}

/* Give every recipient its box. */
static void
boxes_group(void)
{
	static size_t first[RECIPIENTS_MAX];

	message.boxes = smtp_rcpt_group(envelope.rcpt, envelope.rcpts, first);
	for (size_t b = 0; b < message.boxes; b++)
		boxes[b] = (struct box){ .first = first[b],
		    .outcome = SMTP_YES };
}

/* Have all its recipients had the message before? */
static bool
box_loops(size_t b)
{
	return message.loops && smtp_rcpt_all_loop(envelope.rcpt,
	    envelope.rcpts, boxes[b].first);
}

/* Whom a box is for, if it is for one. */
static const struct smtp_rcpt *
box_only(size_t b)
{
	if (conf.program_once ? envelope.rcpts > 1 : smtp_rcpt_next(
	    envelope.rcpt, envelope.rcpts, boxes[b].first) < envelope.rcpts)
		return NULL;
	return &envelope.rcpt[boxes[b].first];
}

/* Our Received field, and above it what the policy server adds. */
static void
box_received(const struct smtp_rcpt *only)
{
	char buf[SMTP_TRACE_MAX];
	struct smtp_trace t = {
		.helo = { session.helo, session.helo_n },
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

	if (only != NULL)
		t.recipient = smtp_rcpt_address(only);
	file_put(smtp_written(&envelope.prepended));
	file_put((struct slice){ buf, smtp_received(&t, buf, sizeof(buf)) });
}

/* What a box's copy has in front: what final delivery adds, and a relay not;
 * and where it was. */
static void
box_front(size_t b)
{
	const struct smtp_rcpt *all = envelope.rcpt;
	const size_t n = envelope.rcpts;

	if (!conf.program_once)
		file_put_all("Return-Path: <", envelope.sender, ">\n");
	for (size_t i = boxes[b].first; !conf.program_once && i < n;
	    i = smtp_rcpt_next(all, n, i))
		file_put_all("Delivered-To: ", smtp_rcpt_address(&all[i]),
		    "\n");
	box_received(box_only(b));
}

/* Have the message come into a box's file: behind what we put in front there
 * is room for the head of the message, see message_head(). */
static enum smtp_reply
box_begin(size_t b)
{
	box_front(b);
	if (sizeof(file_buf) - file.n < 3 * SMTP_FIELD_MAX)
		(void)file_flush();
	file.body = file.octets + file.n;
	message.at = file.n;
	return file.outcome;
}

/* Give a box its file: the one received, or, where that is another's or wants
 * a label, a copy. */
static enum smtp_reply
box_file(size_t b)
{
	enum smtp_reply o;

	if (b == message.home && file.label.n == 0) {
		file_begin(file.source);
		file.octets = file.source_octets;
		file.source = -1;
		return SMTP_YES;
	}
	o = delivery->create(b);
	if (o != SMTP_YES)
		return o;
	box_front(b);
	file_put(smtp_written(&file.label));
	file_copy(file.source, file.body, file.source_octets);
	return file_flush();
}

/* ---- 12. maildir: which directory, and how it gets there ---------------- */

/*
 * A box is a mailbox here: a directory, by device and inode.  The copy of one,
 * the message's home, is written while it comes in; the others are copied from
 * that at the end.  In this order, and in no other: write, fsync, close, for
 * every box; link into new/, for every box; then unlink from tmp/ and fsync
 * new/.  What fails takes back all that was linked; or, where the client takes
 * a reply for each recipient, what was linked into that box.  There a home that
 * fails while the message comes in is no more than one box: another becomes
 * the home, and gets what came so far, see message_move().
 */
static char box_path[PATH_MAX];		/* of the one that is open */
static char maildir_root_path[PATH_MAX];	/* no alias leads out of here */

static struct {
	bool		 template;	/* the path has placeholders */
	size_t		 here;		/* the box that is open */
	int		 tmp;		/* its tmp/ and its new/ */
	int		 new;
	bool		 give;		/* we are root, and it is not root's */
	struct stat	 st;		/* of the box's directory, ... */
	struct stat	 new_st;	/* ... and of its new/ */
} maildir = { .tmp = -1, .new = -1 };

/* The mailbox that the template makes of a recipient's values. */
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
	smtp_put(&t, smtp_fixed(smtp_slice(conf.maildir)));
	smtp_puts(&t, t.n == 0 ? "." : "");
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
maildir_no_user(struct slice domain)
{
	const struct smtp_values v = { .user = smtp_slice("postmaster"),
	    .domain = domain };
	char buf[PATH_MAX];
	struct smtp_text path = SMTP_TEXT(buf);
	struct stat st;

	if (expand(&v, false, &path) != SMTP_YES ||
	    maildir_look(path.p, &st) == SMTP_YES)
		return SMTP_NO_USER;
	log_fault("postmaster's Maildir is missing: unmounted?", path.p, 0);
	return SMTP_FAULT;
}

/* At RCPT: has the recipient a mailbox, and which?  Without a template, yes. */
static enum smtp_reply
maildir_find(struct smtp_rcpt *r)
{
	char user[SMTP_MAILBOX_MAX], buf[PATH_MAX];
	struct smtp_text path;
	struct smtp_values v;
	struct stat st;
	enum smtp_reply o;

	if (r == NULL || !maildir.template)
		return SMTP_YES;
	smtp_values_of(&v, r->local, r->domain, conf.delimiter, user);
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
		return maildir_no_user(v.domain);
	if (o == SMTP_YES) {
		r->key[0] = (uint64_t)st.st_dev;
		r->key[1] = (uint64_t)st.st_ino;
	}
	return o;
}

static void
box_close(void)
{
	fd_close(&maildir.new);
	fd_close(&maildir.tmp);
}

/* What could not be opened: the box's directory, or a part of it. */
static enum smtp_reply
box_open_failed(const char *path, const char *part)
{
	const int error = errno;
	char buf[PATH_MAX];
	const char *whole = path_join(buf, path, part);
	enum smtp_reply o;

	errno = error;
	o = failed("open", whole);
	box_close();
	return o;
}

/* Open the two directories within a box's; neither is ever a link.  NULL, or
 * what of it failed, with errno. */
static const char *
box_open_parts(const char *path)
{
	enum { FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC };
	const int dir = open(path, FLAGS);
	const char *part = "";

	if (dir == -1)
		return part;
	if (fstat(dir, &maildir.st) == 0) {
		part = "/tmp";
		maildir.give = geteuid() == 0 && (maildir.st.st_uid != 0 ||
		    maildir.st.st_gid != getegid());
		maildir.tmp = openat(dir, "tmp", FLAGS | O_NOFOLLOW);
	}
	if (maildir.tmp != -1) {
		part = "/new";
		maildir.new = openat(dir, "new", FLAGS | O_NOFOLLOW);
	}
	if (maildir.new != -1 && fstat(maildir.new, &maildir.new_st) == 0)
		part = NULL;
	close(dir);
	return part;
}

/* By hand: what is missing is told before anything is said. */
static void
maildir_check(void)
{
	const char *part = box_open_parts(conf.maildir);

	if (part != NULL)
		(void)box_open_failed(conf.maildir, part);
	box_close();
}

/* Open a box.  With one Maildir for all it stays open for the session. */
static enum smtp_reply
box_open(size_t b)
{
	const struct smtp_rcpt *r = &envelope.rcpt[boxes[b].first];
	const char *path = conf.maildir, *part;
	char user[SMTP_MAILBOX_MAX];
	struct smtp_text t = SMTP_TEXT(box_path);
	struct smtp_values v;

	logged.mailbox = maildir.template ? box_path : path;
	if (maildir.new != -1 && maildir.here == b)
		return SMTP_YES;
	box_close();
	if (maildir.template) {
		smtp_values_of(&v, r->local, r->domain, conf.delimiter, user);
		if (expand(&v, r->extended, &t) != SMTP_YES)
			return SMTP_FAULT;
		path = t.p;
	}
	maildir.here = b;
	part = box_open_parts(path);
	if (part == NULL && maildir.template &&
	    ((uint64_t)maildir.st.st_dev != r->key[0] ||
	    (uint64_t)maildir.st.st_ino != r->key[1])) {
		errno = ESTALE;
		part = "";
	}
	return part == NULL ? SMTP_YES : box_open_failed(path, part);
}

/* Is one open, and still where it was?  It may have been moved away since, or
 * another been mounted over it. */
static bool
maildir_is_there(void)
{
	char buf[PATH_MAX];
	const char *path = path_join(buf, conf.maildir, "/new");
	struct stat st;

	return maildir.new != -1 && path != NULL && stat(path, &st) == 0 &&
	    st.st_dev == maildir.new_st.st_dev &&
	    st.st_ino == maildir.new_st.st_ino;
}

enum {
	/* the name within tmp/ or new/ is behind these */
	IN_DIR = sizeof("tmp/") - 1,
	BOX_NAME = sizeof(message.id_text) + SMTP_HOST_IN_NAME + 32
};

static const char *
box_name(size_t b, bool new, char buf[BOX_NAME])
{
	const struct slice ours = smtp_slice(conf.hostname);
	struct smtp_text t = { buf, BOX_NAME, 0, false };

	smtp_put_file(&t, new, smtp_written(&message.id), ours,
	    boxes[b].octets);
	return smtp_string(&t);
}

/* Begin a box's copy in its tmp/.  The name may be taken there: then, unless
 * there are copies of that name, the message gets another ID. */
static enum smtp_reply
box_create(size_t b)
{
	enum { TRIES = 3, FLAGS = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC };
	static char name[BOX_NAME];
	enum smtp_reply o = box_open(b);

	if (o != SMTP_YES)
		return o;
	file.path = name;
	for (int i = 0; i < TRIES; i++) {
		if (i > 0)
			message_new_id();
		file_begin(openat(maildir.tmp, box_name(b, false, name) +
		    IN_DIR, FLAGS, 0600));
		if (file.fd != -1 || errno != EEXIST || file.source != -1)
			break;
	}
	if (file.fd == -1)
		return failed("create", name);
	boxes[b].tmp = true;
	return !maildir.give || fchown(file.fd, maildir.st.st_uid,
	    maildir.st.st_gid) == 0 ? SMTP_YES : failed("chown", name);
}

/* Take a copy's name away, from new/ or from tmp/. */
static enum smtp_reply
box_unlink(size_t b, bool new)
{
	bool *there = new ? &boxes[b].linked : &boxes[b].tmp;
	char buf[BOX_NAME];
	const char *name = box_name(b, new, buf);
	enum smtp_reply o;

	if (!*there)
		return SMTP_YES;
	o = box_open(b);
	if (o == SMTP_YES && unlinkat(new ? maildir.new : maildir.tmp,
	    name + IN_DIR, 0) == -1)
		o = failed("unlink", name);
	*there = o != SMTP_YES;
	return o;
}

static void
box_take_back(size_t b)
{
	(void)box_unlink(b, true);
	(void)box_unlink(b, false);
	/* it was tried once */
	boxes[b].linked = boxes[b].tmp = false;
}

/* What of a message came before its home failed. */
struct arrived {
	int		 fd;		/* of a file ... */
	uint64_t	 at, end;	/* ... this part ... */
	struct slice	 left;		/* ... and what was not written yet */
};

static const struct arrived nothing = { .fd = -1 };

/* Have the message come into the next box that takes it, from this one on;
 * where all get it or none does, into this one.  SMTP_YES, or what the last of
 * them came to. */
static enum smtp_reply
message_home(size_t b, const struct arrived *before)
{
	enum smtp_reply o = boxes[b > 0 ? b - 1 : 0].outcome;

	for (; b < message.boxes; b++) {
		message.home = b;
		o = delivery->create(b);
		if (o == SMTP_YES)
			o = box_begin(b);
		if (o == SMTP_YES) {
			file_copy(before->fd, before->at, before->end);
			file_put(before->left);
			o = file.outcome;
		}
		if (worsen(&boxes[b].outcome, o) == SMTP_YES || !envelope.each)
			break;
		fd_close(&file.fd);
		box_take_back(b);
	}
	return o;
}

/*
 * The home has failed.  The next box that takes the message gets what the
 * home has got of it, and what it has not: that is in file_buf still, behind
 * what was put in front for the home, if that was not written yet.
 */
static enum smtp_reply
message_move(enum smtp_reply o)
{
	static char left_buf[IN_SIZE];
	const size_t front = file.body > file.octets ?
	    (size_t)(file.body - file.octets) : 0;
	const struct arrived before = { file.fd, file.body, file.octets,
	    { left_buf, file.n - front } };

	worsen(&boxes[message.home].outcome, o);
	if (!envelope.each)
		return o;
	memcpy(left_buf, file_buf + front, before.left.n);
	/* it can be read until it is closed */
	file.fd = -1;
	box_take_back(message.home);
	o = message_home(message.home + 1, &before);
	close(before.fd);
	return o;
}

/* Write what is in file_buf. */
static enum smtp_reply
message_flush(void)
{
	enum smtp_reply o;

	do {
		o = file_flush();
		if (o == SMTP_YES)
			return o;
		o = message_move(o);
	} while (o == SMTP_YES);
	return o;
}

static enum smtp_reply
maildir_begin(void)
{
	if (maildir.template || !maildir_is_there())
		box_close();
	return message_home(0, &nothing);
}

/* A box's copy is complete in its tmp/, and made to last. */
static enum smtp_reply
box_complete(size_t b)
{
	enum smtp_reply o = box_file(b);

	if (o == SMTP_YES)
		o = file_sync();
	fd_close(&file.fd);
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

/* Into the directory that will be synced, whatever its name is now; but not
 * for those who all had the message before. */
static enum smtp_reply
box_link(size_t b)
{
	char tmp_buf[BOX_NAME], new_buf[BOX_NAME];
	const char *tmp = box_name(b, false, tmp_buf);
	const char *new = box_name(b, true, new_buf);
	enum smtp_reply o = box_loops(b) ? SMTP_LOOP : box_open(b);
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

	if (o == SMTP_YES)
		o = box_unlink(b, false);
	return o == SMTP_YES ? fd_sync(maildir.new, "new/") : o;
}

/* One step for every box that is well so far, in turn from this one on.
 * Unless each stands by itself, the first failure is everyone's. */
static enum smtp_reply
maildir_step(enum smtp_reply (*step)(size_t), size_t from)
{
	size_t b;

	for (size_t i = 0; i < message.boxes; i++) {
		b = (from + i) % message.boxes;
		if (boxes[b].outcome != SMTP_YES ||
		    worsen(&boxes[b].outcome, step(b)) == SMTP_YES)
			continue;
		if (!envelope.each)
			return boxes[b].outcome;
		box_take_back(b);
	}
	return SMTP_YES;
}

/* Deliver to every box or to none; or, with a reply for each, to those that
 * take it.  Where this comes to SMTP_YES the message outlives a power cut. */
static enum smtp_reply
maildir_commit(void)
{
	enum smtp_reply o = message_flush();

	file_to_source();
	if (o == SMTP_YES && conf.verbose)
		(void)message_sum();	/* for the log alone */
	/* with a label the home is no more than a source, and gets a copy, too;
	 * a name that stays is in the way of that copy, and of no other */
	if (o == SMTP_YES && file.label.n > 0)
		(void)box_unlink(message.home, false);
	/* the source is the last to be synced: after an error of fsync(2) it
	 * might no longer be what was written */
	if (o == SMTP_YES)
		o = maildir_step(box_complete, message.home + 1);
	fd_close(&file.source);
	if (o == SMTP_YES)
		o = maildir_step(box_link, 0);
	if (o == SMTP_YES)
		o = maildir_step(box_settle, 0);
	for (size_t b = 0; o == SMTP_YES && b < message.boxes; b++)
		boxes[b].linked = false;
	return envelope.each ? SMTP_YES : o;
}

static const struct delivery to_maildir = { " in ", maildir_find,
	maildir_begin, box_create, maildir_commit, NULL };

/* A message's way, whatever the delivery. */

static bool
delivery_none(void)
{
	return conf.maildir == NULL && conf.program == NULL;
}

/* Take back whatever a message left behind; at exit, too. */
static void
delivery_abort(void)
{
	fd_close(&file.fd);
	fd_close(&file.source);
	for (size_t b = 0; b < message.boxes; b++)
		box_take_back(b);
	message.boxes = 0;
}

/* After a failure the directory is opened anew, should it be another. */
static enum smtp_reply
delivery_failed(enum smtp_reply o)
{
	delivery_abort();
	box_close();
	return o;
}

static enum smtp_reply
delivery_begin(void)
{
	enum smtp_reply o;

	boxes_group();
	o = delivery->begin();
	return o == SMTP_YES ? o : delivery_failed(o);
}

/* Deliver: the outcome of all recipients, or SMTP_EACH: rcpt_outcome() tells of
 * each. */
static enum smtp_reply
delivery_commit(void)
{
	enum smtp_reply o = delivery->commit();

	if (o != SMTP_YES && o != SMTP_EACH)
		return delivery_failed(o);
	return o == SMTP_EACH || envelope.each ? SMTP_EACH : boxes[0].outcome;
}

/* What became of one recipient. */
static enum smtp_reply
rcpt_outcome(const struct smtp_rcpt *r)
{
	if (r->loops)
		return SMTP_LOOP;
	if (boxes[r->box].outcome == SMTP_EACH)
		delivery->serve(r->box);
	return boxes[r->box].outcome;
}

/* What the program said of one recipient; empty for nothing. */
static struct slice
rcpt_words(const struct smtp_rcpt *r)
{
	return (struct slice){ box_words[r->box],
	    r->loops ? 0 : boxes[r->box].words };
}

/* ---- 13. session: the answers ------------------------------------------- */

/*
 * The language asks, we answer: one function per question, in the order in
 * which a client brings them up.
 */

/* What is offered to whom we speak with: it changes when TLS begins, or the
 * client turns out to be another one. */
static void
session_terms(void)
{
	host.terms = (struct smtp_terms){
		.hostname = smtp_slice(conf.hostname),
		.size = conf.size,
		.recipients = conf.recipients,
		.errors = conf.errors,
		.junk = JUNK_MAX,
		.lmtp = conf.lmtp,
		.by_hand = peer.by_hand,
		.terminal = peer.terminal,
		.normalize = conf.normalize && !conf.strict,
		.tls = tls_to_be_had(),
		.auth = conf.auth != NULL,
		.auth_now = auth_offered(),
		.xclient = peer_is_in(conf.xclient),
		.encrypted = peer.tls,
		.needs_tls = conf.require_tls,
		.needs_login = conf.require_auth,
		.strict = conf.strict,
		.verbose = conf.verbose
	};
}

/* Does a message come as fast as it must?  Chunks that belong together are one
 * message; a person may take his time. */
static bool
rate_is_kept(void)
{
	const bool body = session.at == SMTP_AT_BODY ||
	    session.at == SMTP_AT_CHUNK || session.state == SMTP_S_BDAT ||
	    session.chunk_refused;
	const int64_t now = now_ms();
	const bool over = now - net.since >= RATE_SECONDS * 1000;
	const bool slow = net.received - net.from <
	    RATE_OCTETS * RATE_SECONDS;

	if (body && net.since != 0 && (!over || (slow && !peer.by_hand)))
		return !over;
	net.since = body ? now : 0;
	net.from = net.received;
	return true;
}

static enum smtp_reply
answer_input(void)
{
	enum smtp_reply answer;

	answer = net_fill(host.patience * (int64_t)1000);
	if (answer == SMTP_GONE && net_quit())
		return SMTP_YES;
	if (peer.terminal && answer != SMTP_YES)	/* behind a prompt */
		net_show("\r\n");
	if (answer == SMTP_LATE && host.patience == 0)
		return SMTP_TIMEOUT;
	net.trickles = answer == SMTP_YES && !rate_is_kept();
	return net.trickles ? SMTP_TIMEOUT : answer;
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

static struct slice
domain_of(const struct smtp_path *path)
{
	return path->domain.n > 0 ? path->domain : domain_default();
}

/* With --faults: has the client to meet trouble here?  What it has sent already
 * is a part of what is taken. */
static enum smtp_reply
check_trouble(void)
{
	struct smtp_trouble t;
	enum smtp_reply answer;

	if (conf.faults == NULL || !smtp_trouble(&script, &session, &host, &t))
		return SMTP_YES;
	log_noted(LOG_NOTICE, "trouble", "what", t.what);
	answer = net_flush() ? helper_pause(now_ms() + (int64_t)t.seconds *
	    1000) : SMTP_GONE;
	if (answer != SMTP_YES)
		return answer;
	if (t.cut) {
		net.cut = true;
		net.sent = t.sent;
	}
	if (t.stop) {
		net.stop = true;
		if (host.in.n > t.taken)
			host.in.n = (size_t)t.taken;
		net.taken = t.taken - host.in.n;
	}
	return smtp_trouble_answer(&session, &t);
}

static enum smtp_reply
policy_silent(void)
{
	return smtp_own(&session, smtp_slice("451"), smtp_slice("4.3.5"),
	    smtp_slice("The policy server is silent, try again later"));
}

/* What the policy server's word comes to.  A field is for a message that has
 * begun, and is not complete. */
static enum smtp_reply
policy_obey(enum policy_state at, const struct smtp_policy *p)
{
	const bool field = at == AT_MAIL || at == AT_RCPT || at == AT_DATA;
	char enhanced[] = "4.7.1";

	switch (p->action == SMTP_PREPEND && !field ? SMTP_OTHER :
	    p->action) {
	case SMTP_REFUSE:
		enhanced[0] = p->code.p[0];
		return smtp_own(&session, p->code, p->enhanced.n > 0 ?
		    p->enhanced : smtp_slice(enhanced), p->text.n > 0 ?
		    p->text :
		    smtp_slice("Refused by policy: ask the postmaster"));
	case SMTP_PREPEND:
		if (!smtp_put_once(&envelope.prepended, p->text))
			log_noted(LOG_NOTICE, "policy-no-room", "text",
			    p->text);
		break;
	case SMTP_WARN:
		log_noted(LOG_NOTICE, "policy-warning", "text", p->all);
		break;
	case SMTP_OTHER:
		log_noted(LOG_NOTICE, "policy-unknown", "text", p->all);
		break;
	case SMTP_PASS:
		break;
	}
	return SMTP_YES;
}

/* Ask it about the step that the session is at. */
static enum smtp_reply
policy_about(enum policy_state at, struct slice recipient)
{
	static const char states[][15] = { "CONNECT", "EHLO", "MAIL", "RCPT",
	    "DATA", "END-OF-MESSAGE", "VRFY", "ETRN" };
	static const char methods[][6] = { [SMTP_BY_PLAIN] = "PLAIN",
	    [SMTP_BY_LOGIN] = "LOGIN" };
	const bool names = at == AT_EHLO;
	const bool esmtp = names ? host.esmtp : session.esmtp;
	char instance[64];
	const struct smtp_question q = {
		.state = smtp_slice(!names || !conf.lmtp ? names && !esmtp ?
		    "HELO" : states[at] : "LHLO"),
		.local = peer.local,
		.protocol = smtp_slice(conf.lmtp ? "LMTP" :
		    esmtp ? "ESMTP" : "SMTP"),
		.address = peer.address,
		.name = peer.name,
		.port = peer.port,
		.server = peer.server,
		.server_port = peer.server_port,
		.helo = names ? host.arg : (struct slice){ session.helo,
		    session.helo_n },
		.sender = envelope.sender,
		.recipient = recipient,
		.recipients = at == AT_DATA || at == AT_END ? envelope.rcpts :
		    0,
		.instance = envelope_instance(instance),
		.size = at == AT_END ? session.data.octets : envelope.size,
		.etrn = at == AT_ETRN ? host.arg : smtp_slice(""),
		.login_method = smtp_slice(methods[session.login_by]),
		.login = peer.login,
		.tls_version = peer.tls_version,
		.tls_cipher = peer.tls_cipher
	};
	struct smtp_policy p;
	enum smtp_reply answer;

	if (peer.address.n == 0 && !peer.local) {
		if (!policy.told)
			log_fault("policy: not asked about a client without "
			    "address", conf.policy, 0);
		policy.told = true;
		return policy_silent();
	}
	answer = net_flush() ? policy_ask(&q, &p) : SMTP_GONE;
	if (answer == SMTP_FAULT)
		return policy_silent();
	return answer == SMTP_YES ? policy_obey(at, &p) : answer;
}

/* It comes last, and not at every step. */
static enum smtp_reply
check_policy(enum policy_state at, struct slice recipient)
{
	return conf.policy != NULL && (conf.policy_states & 1U << at) != 0 ?
	    policy_about(at, recipient) : SMTP_YES;
}

/* The same of the message, and of its recipient, if it has one only. */
static enum smtp_reply
check_message(enum policy_state at)
{
	return check_policy(at, envelope.rcpts == 1 ?
	    smtp_rcpt_address(&envelope.rcpt[0]) : smtp_slice(""));
}

static enum smtp_reply
answer_sender(void)
{
	const struct smtp_path *path = &host.path;
	enum smtp_reply answer = check_trouble();

	if (answer != SMTP_YES)
		return answer;
	if (host.mail.has_size && !room_for(host.mail.size))
		return SMTP_NO_ROOM;
	if (path->local.n > 0 && !envelope_keep(path->local, domain_of(path),
	    &envelope.sender))
		return SMTP_BAD_ADDRESS;
	envelope.each = session.each;
	envelope.size = host.mail.has_size ? host.mail.size : 0;
	envelope.prepended = SMTP_TEXT(envelope.prepended_text);
	answer = delivery->find(NULL) == SMTP_YES ?
	    check_policy(AT_MAIL, smtp_slice("")) : SMTP_UNFIT;
	if (answer != SMTP_YES)
		envelope_clear();
	else if (host.dsn)
		log_noted(LOG_INFO, "dsn-ignored", "what", host.arg);
	return answer;
}

/* May mail go to this address? */
static enum smtp_reply
check_rcpt(const struct smtp_path *path, struct slice domain)
{
	enum smtp_reply found = SMTP_YES;

	if (path->second_at && peer_relays())
		return SMTP_BAD_ADDRESS;
	if (!peer_relays() && smtp_relays(path->local))
		return SMTP_NOT_OURS;
	if (path->domain.n > 0)
		found = domain_find(domain);
	if (found == SMTP_NOT_OURS && peer_relays())
		return SMTP_YES;
	return found == SMTP_YES ? user_find(path->local, domain) : found;
}

static enum smtp_reply
answer_rcpt(void)
{
	const struct smtp_path *path = &host.path;
	const struct slice domain = domain_of(path);
	struct smtp_rcpt *r = &envelope.rcpt[envelope.rcpts];
	enum smtp_reply answer = net_look();
	struct slice address;

	if (answer == SMTP_YES)
		answer = check_trouble();
	if (answer == SMTP_YES)
		answer = check_rcpt(path, domain);
	if (answer != SMTP_YES)
		return answer;
	if (!envelope_keep(path->local, domain, &address))
		return SMTP_BAD_ADDRESS;
	*r = (struct smtp_rcpt){
		.local = { address.p, path->local.n },
		.domain = { address.p + path->local.n + 1, domain.n }
	};
	answer = delivery->find(r);
	if (answer == SMTP_YES)
		answer = check_policy(AT_RCPT, address);
	if (answer != SMTP_YES) {
		envelope.used -= address.n;
		return answer;
	}
	if (host.dsn)
		log_noted(LOG_INFO, "dsn-ignored", "what", host.arg);
	if (envelope.rcpts == 0)
		envelope.first = now_ms();
	smtp_rcpt_enter(&envelope.index, envelope.rcpt, envelope.rcpts++);
	return SMTP_YES;
}

/* We say no more than RCPT would, and that only where --users tells. */
static enum smtp_reply
answer_vrfy(void)
{
	const struct slice domain = domain_of(&host.path);
	char buf[SMTP_MAILBOX_MAX];
	struct smtp_text address = SMTP_TEXT(buf);
	enum smtp_reply answer = SMTP_YES;

	if (host.path.domain.n == 0 || domain_find(domain) == SMTP_YES)
		answer = user_find(host.path.local, domain);
	smtp_put(&address, host.path.local);
	smtp_puts(&address, "@");
	smtp_put(&address, domain);
	return answer == SMTP_YES ? check_policy(AT_VRFY,
	    smtp_written(&address)) : answer;
}

/* Who somebody is, and how he is called. */
static enum smtp_reply
answer_name(enum policy_state at)
{
	const enum smtp_reply answer = check_trouble();

	return answer == SMTP_YES ? check_policy(at, smtp_slice("")) : answer;
}

/* Room for the next octets; what is put in front of the first must find some,
 * too. */
static void
message_room(void)
{
	host.room = (struct smtp_room){ file_buf + file.n,
	    sizeof(file_buf) - file.n };
	if (!message.begun && host.room.n > SMTP_FIELD_MAX)
		host.room.n = SMTP_FIELD_MAX;
}

static enum smtp_reply
answer_begin(void)
{
	static char protocol[16];
	struct smtp_text t = SMTP_TEXT(protocol);

	memset(&message, 0, sizeof(message));
	message.scan.labelled = conf.label == NULL;
	smtp_put_protocol(&t, &session, &host.terms);
	envelope.protocol = smtp_string(&t);
	net.since = now_ms();
	net.from = net.received;
	message_new_id();
	message.outcome = check_trouble();
	if (message.outcome == SMTP_YES)
		message.outcome = check_message(AT_DATA);
	if (message.outcome == SMTP_YES)
		message.outcome = delivery_begin();
	message_room();
	return message.outcome;
}

/* Is it looping?  A hundred Delivered-To are a loop by themselves, but not
 * where mail is only passed through. */
static bool
message_is_looping(void)
{
	return (message.loops && !session.each) ||
	    message.scan.received >= HOPS_MAX ||
	    (message.scan.delivered >= HOPS_MAX && !conf.program_once);
}

/* Do boxes that stand by themselves tell what became of each? */
static bool
boxes_tell(void)
{
	return session.each && conf.maildir != NULL;
}

/* Octets were decoded into the file's buffer: look at them there. */
static enum smtp_reply
answer_store(void)
{
	if (message.outcome == SMTP_YES)
		file.n += host.stored.n;
	/* else every box has failed, and will tell so */
	if (message.begun || message.outcome != SMTP_YES)
		message_look(host.stored);
	else
		message_head();
	/* two octets of room are what a decoder wants */
	if (sizeof(file_buf) - file.n < 2)
		worsen(&message.outcome, message_flush());
	if (message.outcome != SMTP_YES)
		file.n = 0;
	message_room();
	if (message_is_looping())
		return SMTP_LOOP;
	return boxes_tell() ? SMTP_YES : message.outcome;
}

/* An outcome, in the words of the program if it has some for it; and the ID,
 * which the client may want to ask for, or, for a person, where it lies. */
static enum smtp_reply
outcome_in(enum smtp_reply o, struct slice line)
{
	static char buf[sizeof(message.id_text) + PATH_MAX + 16];
	const enum smtp_reply answer = o != SMTP_YES ? o : delivery_none() ?
	    SMTP_DRY : SMTP_DELIVERED;
	struct slice text = smtp_reply_text(answer), enhanced, words;
	struct smtp_text t = SMTP_TEXT(buf);

	smtp_put(&t, smtp_written(&message.id));
	host.id = smtp_written(&t);
	if (smtp_parse_enhanced(line, text.p[0], &enhanced, &words) ==
	    SMTP_OK)
		return smtp_own(&session, (struct slice){ text.p, 3 },
		    enhanced, words);
	if (peer.terminal && answer == SMTP_DELIVERED) {
		smtp_puts(&t, delivery->how);
		smtp_puts(&t, conf.program != NULL ? conf.program[0] :
		    conf.maildir);
	}
	host.id = smtp_written(&t);
	return answer;
}

/* What became of the message for one recipient. */
static enum smtp_reply
answer_outcome(const struct smtp_rcpt *r)
{
	enum smtp_reply o;

	/* a program runs for it now: no reply that is decided waits */
	if (boxes[r->box].outcome == SMTP_EACH && !net_flush())
		return SMTP_GONE;
	o = rcpt_outcome(r);
	host.address = smtp_rcpt_address(r);
	return outcome_in(o, rcpt_words(r));
}

/* All octets are there: deliver. */
static enum smtp_reply
answer_finish(void)
{
	enum smtp_reply o = message.outcome;
	struct slice to;

	message.dot = now_ms();
	if (smtp_scan_end(&message.scan, &to))
		message_delivered_to(to);
	if (message_is_looping())
		return SMTP_LOOP;
	/* what was said before does not wait for this message's delivery */
	if (!net_flush())
		return SMTP_GONE;
	(void)show(now_ms());
	if (o != SMTP_YES && boxes_tell())
		o = SMTP_EACH;
	if (o == SMTP_YES)
		o = worsen(&message.outcome, check_trouble());
	if (o == SMTP_YES)
		o = worsen(&message.outcome, check_message(AT_END));
	/* the reply to a dot is no 421 of ours: that comes behind it */
	if (o == SMTP_SHUTDOWN)
		o = SMTP_FAULT;
	if (o == SMTP_YES)
		o = worsen(&message.outcome, delivery_commit());
	return o == SMTP_EACH ? o : outcome_in(o, rcpt_words(envelope.rcpt));
}

/* Where it went, or was to go. */
static void
log_place(void)
{
	if (conf.program != NULL && message.runs > 0) {
		log_quoted("program", smtp_slice(conf.program[0]));
		log_number("status", message.status);
	} else if (logged.mailbox != NULL && message.boxes == 1) {
		log_quoted("path", smtp_slice(logged.mailbox));
	} else if (message.boxes > 1)
		log_number("mailboxes", message.boxes);
}

/* When a step was, of those behind which the message has come; 0: it is now. */
static void
log_since(const char *key, int64_t step, int64_t now)
{
	log_number(key, (uint64_t)((step != 0 ? step : now) - logged.began));
}

/* What a client can make long stands last: its recipients only can be cut. */
static void
log_message(struct slice said)
{
	const int64_t now = now_ms();

	/* whom it was delivered to is never left out */
	if (said.p[0] != '2' && session.tally.good == 0 && log_is_flooded())
		return;
	log_begin(LOG_INFO, "message");
	log_plain("id", smtp_written(&message.id));
	log_whom();
	log_number("size", session.data.octets);
	log_number("rcpts", envelope.rcpts);
	log_since("greeting-ms", net.greeted, now);
	log_since("rcpt-ms", envelope.first, now);
	log_since("dot-ms", message.dot, now);
	log_number("delivery-ms", message.dot != 0 ? (uint64_t)(now -
	    message.dot) : 0);
	log_reply(said, said.p[0] != '2');
	log_place();
	log_lenient();
	if (message.summed && conf.maildir != NULL)
		log_plain("key", message_key(NULL));
	log_quoted("message-id", (struct slice){ message.scan.msgid,
	    message.scan.msgid_n });
	log_quoted("from", envelope.sender);
	for (size_t i = 0; i < envelope.rcpts && !logged.cut; i++)
		log_quoted("to", smtp_rcpt_address(&envelope.rcpt[i]));
	log_end();
}

/* What was refused, and with which words; sender and recipient, as far as they
 * are known. */
static void
log_refused(struct slice told, struct slice to)
{
	if (log_is_flooded())
		return;
	log_begin(LOG_NOTICE, "refused");
	if (logged.id.n > 0)
		log_plain("id", logged.id);
	log_whom();
	log_reply(host.said, true);
	if (host.octets > 0)
		log_number("octets", host.octets);
	else
		log_quoted("what", told);
	log_known("from", envelope.sender);
	log_known("to", to);
	log_end();
}

static enum smtp_reply
answer_note(void)
{
	struct slice rcpt;

	switch (host.note) {
	case SMTP_NOTE_HEARD:
		log_begin(LOG_DEBUG, "dialogue");
		log_client();
		if (host.octets > 0)
			log_number("octets", host.octets);
		else
			log_quoted("heard", host.told);
		log_end();
		break;
	case SMTP_NOTE_REFUSED:
		if (peer.terminal && host.wrong != SMTP_NOWHERE)
			net_mark(host.told, host.wrong);
		log_refused(host.told, host.to);
		break;
	case SMTP_NOTE_RCPT:
		rcpt = smtp_rcpt_address(&envelope.rcpt[host.rcpt]);
		log_refused(rcpt, rcpt);
		break;
	}
	return SMTP_YES;
}

static enum smtp_reply
answer_forget(void)
{
	if (host.said.n > 0)
		log_message(host.said);
	delivery_abort();
	envelope_clear();
	return SMTP_YES;
}

static enum smtp_reply
answer_handshake(void)
{
	const enum smtp_reply answer = net_flush() ? tls_start() : SMTP_GONE;

	session_terms();
	return answer;
}

static enum smtp_reply
answer_xclient(void)
{
	xclient_take(&host.xclient);
	session_terms();
	log_one(LOG_INFO, "xclient", "what", host.arg);
	return SMTP_YES;
}

static enum smtp_reply
session_answer(enum smtp_ask ask)
{
	switch (ask) {
	case SMTP_INPUT:
		return answer_input();
	case SMTP_FLUSH:
		return net_flush() ? net_look() : SMTP_GONE;
	case SMTP_PAUSE:
		return net_flush() ? answer_pause() : SMTP_GONE;
	case SMTP_NOTE:
		return answer_note();
	case SMTP_CONNECT:
		return answer_name(AT_CONNECT);
	case SMTP_HELO:
		return answer_name(AT_EHLO);
	case SMTP_ETRN:
		return check_policy(AT_ETRN, smtp_slice(""));
	case SMTP_SENDER:
		return answer_sender();
	case SMTP_RCPT:
		return answer_rcpt();
	case SMTP_VRFY:
		return answer_vrfy();
	case SMTP_BEGIN:
		return answer_begin();
	case SMTP_STORE:
		return answer_store();
	case SMTP_FINISH:
		return answer_finish();
	case SMTP_OUTCOME:
		return answer_outcome(&envelope.rcpt[host.rcpt]);
	case SMTP_FORGET:
		return answer_forget();
	case SMTP_PASSWORD:
		return net_flush() ? answer_password() : SMTP_GONE;
	case SMTP_STARTTLS:
		return tls_alive() ? SMTP_YES : SMTP_FAULT;
	case SMTP_HANDSHAKE:
		return answer_handshake();
	case SMTP_XCLIENT:
		return answer_xclient();
	default:
		return SMTP_FAULT;
	}
}

/* The header of the PROXY protocol, before anything is said; who does not
 * bring it, or may not, is told nothing.  NULL, or how the session ends. */
static const char *
session_proxy(void)
{
	const int64_t until = now_ms() + PROXY_SECONDS * 1000;
	int64_t left;
	enum smtp_reply answer = peer_is_in(conf.proxy) ? SMTP_YES :
	    SMTP_DENIED;
	enum smtp_status status = SMTP_EMORE;
	struct smtp_proxy p;
	size_t used;

	while (answer == SMTP_YES && (status = smtp_parse_proxy(host.in, &p,
	    &used)) == SMTP_EMORE) {
		left = until - now_ms();
		answer = left > 0 && host.in.n < sizeof(net_in) ?
		    net_fill(left) : SMTP_LATE;
	}
	if (answer == SMTP_GONE && net.received == 0)
		return "eof";
	if (answer == SMTP_SHUTDOWN)
		return "terminated";
	if (status != SMTP_OK) {
		log_fault(answer == SMTP_DENIED ? "proxy: not from its "
		    "networks" : "proxy: no header", NULL, 0);
		return "proxy";
	}
	if (!p.local)
		proxy_take(&p);
	host.in = (struct slice){ host.in.p + used, host.in.n - used };
	/* the header is not the client's */
	net.received = host.in.n;
	return NULL;
}

/* At a terminal: what became of it all. */
static void
session_farewell(void)
{
	char buf[PATH_MAX + 32];
	struct smtp_text t = SMTP_TEXT(buf);

	if (session.end == SMTP_END_IN_MESSAGE)
		net_tell("no dot was seen: the message was thrown away", "");
	if (session.end == SMTP_END_SHUTDOWN)
		net_tell("stopped: what has no 250 yet is not delivered", "");
	if (delivery_none())
		net_tell("a dry run: nothing was kept", "");
	if (delivery_none() || session.messages == 0)
		return;
	smtp_put_number(&t, session.messages);
	smtp_puts(&t, session.messages == 1 ? " message" : " messages");
	smtp_puts(&t, " delivered");
	smtp_puts(&t, delivery->how);
	net_tell(smtp_string(&t), conf.program != NULL ? conf.program[0] :
	    conf.maildir);
}

/* Answer what the language asks, until it is over; how it ended. */
static const char *
session_talk(void)
{
	enum smtp_reply answer = SMTP_YES;
	enum smtp_ask ask;

	session_terms();
	for (;;) {
		ask = smtp_next(&session, &host, answer);
		/* the question may be about a login that this has changed */
		peer.login = (struct slice){ session.login, session.login_n };
		if (ask == SMTP_CLOSE)
			break;
		if (host.secret)
			net_wipe();
		net_log();
		answer = session_answer(ask);
	}
	if (peer.terminal)
		session_farewell();
	net.closing = true;
	if (!net_flush())
		return net.gone;
	return net.trickles ? "trickle" : smtp_end_word(session.end);
}

/* What the client did that it should not: true if it did nothing of it. */
static bool
verdict(const char *how)
{
	const bool well = session.lenient == 0 && !session.wrong &&
	    strcmp(how, "quit") == 0;
	struct slice name, rule;

	if (!conf.verbose && !conf.strict)
		return well;
	for (unsigned i = 0; smtp_leniency(i, &name, &rule); i++)
		if ((session.lenient & 1U << i) != 0)
			log_verdict(name, rule);
	if (session.wrong)
		log_verdict(smtp_slice("refused"), smtp_slice(""));
	/* who was sent away could not say it */
	if (session.end >= SMTP_END_EOF && session.end <= SMTP_END_GONE)
		log_verdict(smtp_slice("no-quit"),
		    smtp_slice("RFC 5321, 4.1.1.10"));
	if (well)
		log_verdict(smtp_slice("nothing"), smtp_slice(""));
	return well;
}

/* The only way out of a session, whatever its end. */
static _Noreturn void
leave(const char *how)
{
	bool well = strcmp(how, "quit") == 0 || strcmp(how, "eof") == 0;

	/* who never said a word was only looking */
	if (net.gone != NULL && net.received == 0 && !peer.by_hand)
		well = true;
	if (!verdict(how) && conf.strict)
		well = false;
	log_begin(LOG_INFO, "session");
	log_whom();
	log_plain("end", smtp_slice(how));
	log_number("messages", session.messages);
	log_number("messages-refused", session.refused);
	if (logged.refusals > REFUSALS_LOGGED)
		log_number("refusals-not-logged", logged.refusals -
		    REFUSALS_LOGGED);
	log_number("octets", net.received);
	log_number("ms", (uint64_t)(now_ms() - logged.began));
	log_lenient();
	if (session.messages > 0 && conf.maildir != NULL && geteuid() == 0)
		log_quoted("warning", smtp_slice("running as root"));
	log_end();
	exit(session.deferred ? EXIT_DEFERRED : well ? EXIT_LEFT :
	    EXIT_BROKEN);
}

static _Noreturn void
session_run(void)
{
	const char *how = NULL;

	if (conf.proxy != NULL)
		how = session_proxy();
	if (peer.by_hand && conf.maildir != NULL && !maildir.template) {
		maildir_check();
		log_flush(true);
	}
	leave(how != NULL ? how : session_talk());
}

/* ---- 14. program: hand it to one ---------------------------------------- */

/*
 * The message waits, complete, in a file that has no name any more; then the
 * program runs, for each recipient with a file of its own, or once for all.
 * The one that was received is for the last of them; the others are copied
 * from it before.
 */
static struct {
	int64_t		 until;		/* the end of all runs of a message */
	struct smtp_last last;		/* of a run's output */
	struct smtp_text said;		/* its head, for the log */
	char		 said_text[4096];
	char		 args[ARGUMENTS_MAX];
	char		*argv[RECIPIENTS_MAX + PROGRAM_ARGS_MAX];
	char		 words[RECIPIENTS_MAX][SMTP_WORDS_MAX];	/* of boxes */
} program;

/* What stands for the placeholders: r's, unless it is NULL, and the
 * sender's. */
static const struct smtp_argued *
program_values(const struct smtp_rcpt *r)
{
	static struct smtp_argued a;

	smtp_argue(&a, r, conf.delimiter, envelope.sender,
	    smtp_slice(conf.program_once ? "" : "MAILER-DAEMON"));
	return &a;
}

/* May the program be given this recipient, at RCPT, or at MAIL this sender: can
 * they stand where its arguments have them?  Each has a run of its own. */
static enum smtp_reply
program_find(struct smtp_rcpt *r)
{
	struct smtp_text t = SMTP_TEXT(program.args);

	/* all must fit in the arguments */
	if (r != NULL && conf.program_once &&
	    envelope.used > ARGUMENTS_MAX / 2)
		return SMTP_CROWDED;
	if (r != NULL && !conf.program_once)
		r->key[0] = (uint64_t)(r - envelope.rcpt);
	return smtp_put_arguments(&t, conf.program, &program_values(r)->v,
	    NULL, 0) == SMTP_EVALUE ? SMTP_UNFIT : SMTP_YES;
}

/* Make the arguments of a run. */
static enum smtp_reply
program_arguments(const struct smtp_argued *a)
{
	struct smtp_text t = SMTP_TEXT(program.args);
	enum smtp_status status = smtp_put_arguments(&t, conf.program, &a->v,
	    envelope.rcpt, envelope.rcpts);
	size_t argc = 0;

	for (size_t n = 0; status == SMTP_OK && n < t.n;) {
		program.argv[argc++] = t.p + n;
		n += strlen(t.p + n) + 1;
	}
	program.argv[argc] = NULL;
	if (status == SMTP_ELONG)
		log_fault("arguments too long", NULL, 0);
	return status == SMTP_OK ? SMTP_YES : SMTP_FAULT;
}

/* Make the environment of a run: what Postfix, Exim, qmail and OpenSMTPD set;
 * a is of the only recipient, or of none. */
static void
program_environment(const struct smtp_argued *a, const struct smtp_rcpt *r)
{
	helper_env_begin(NULL);
	helper_env("SENDER", envelope.sender.n > 0 ? a->v.sender :
	    envelope.sender);
	if (a->local.p != NULL) {
		helper_env("RECIPIENT", a->v.recipient);
		helper_env("LOCAL", a->local);
		helper_env("DOMAIN", a->v.domain);
		helper_env("HOST", a->v.domain);
		helper_env("EXTENSION", a->v.extension);
		helper_env("EXT", a->v.extension);
	}
	helper_env("CLIENT_ADDRESS", peer.address);
	helper_env("CLIENT_HOSTNAME", peer.name);
	helper_env("CLIENT_HELO", (struct slice){ session.helo,
	    session.helo_n });
	helper_env("CLIENT_PROTOCOL", smtp_slice(envelope.protocol));
	helper_env("AUTH_USER", peer.login);
	helper_env("MESSAGE_ID", smtp_written(&message.id));
	helper_env("MESSAGE_KEY", message_key(r));
}

/* A file in the spool, without a name; b is as good as any other. */
static enum smtp_reply
spool_create(size_t b)
{
	char buf[PATH_MAX];
	const char *path = path_join(buf, conf.spool, "/smtpd.XXXXXX");

	(void)b;
	file.path = conf.spool;
	file_begin(path != NULL ? mkostemp(buf, O_CLOEXEC) : -1);
	if (file.fd == -1)
		return failed("create", conf.spool);
	return unlink(path) == -1 ? failed("unlink", path) : SMTP_YES;
}

/* The one that is received is for the last run. */
static enum smtp_reply
program_begin(void)
{
	return message_home(message.boxes - 1, &nothing);
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
	int n;

	for (int i = 0; i < PIPE_READS; i++) {
		n = wait_until(&p, 1, 0);
		/* below 0 it was only a signal */
		if (n == 0 || (n > 0 && !program_hear(out)))
			break;
	}
	return in_time;
}

/* Log what a run said, a line of its each, and how it ended. */
static void
program_log(const struct smtp_rcpt *r, const char *how, uint64_t number)
{
	struct slice left = smtp_written(&program.said), line;

	while (left.n > 0) {
		line = smtp_cut_line(&left, SMTP_ESCAPED_MAX);
		line.n -= line.p[line.n - 1] == '\n';
		log_begin(LOG_INFO, "output");
		log_plain("id", smtp_written(&message.id));
		log_quoted("text", line);
		log_end();
	}
	if (number == 0)
		return;
	log_begin(LOG_WARNING, "program");
	log_plain("id", smtp_written(&message.id));
	log_number(how, number);
	if (r != NULL)
		log_quoted("to", smtp_rcpt_address(r));
	log_end();
}

/* How it ended, for the message's line, as a shell has it. */
static void
program_ended(bool in_time, int status)
{
	const unsigned ended = !in_time ? 124 : (unsigned)(WIFEXITED(status) ?
	    WEXITSTATUS(status) : 128 + WTERMSIG(status));

	message.runs++;
	if (ended != 0)
		message.status = ended;
}

/* Run the program on the file; r is NULL for a relay of several. */
static enum smtp_reply
program_start(const struct smtp_rcpt *r)
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
	program_ended(in_time, status);
	if (!in_time)
		program_log(r, "seconds", conf.program_timeout);
	else if (WIFEXITED(status))
		program_log(r, "exit", (uint64_t)WEXITSTATUS(status));
	else
		program_log(r, "signal", (uint64_t)WTERMSIG(status));
	return in_time && WIFEXITED(status) ?
	    outcome_of(EXITED + WEXITSTATUS(status)) : SMTP_FAULT;
}

/* The run of a box; r is NULL for all of a relay's recipients. */
static enum smtp_reply
program_run(size_t b, const struct smtp_rcpt *r)
{
	const struct smtp_argued *a;
	enum smtp_reply o;

	program.said = SMTP_TEXT(program.said_text);
	if (now_ms() >= program.until) {
		program_log(r, "seconds", conf.program_timeout);
		return SMTP_FAULT;
	}
	fd_close(&file.fd);
	o = box_file(b);
	a = program_values(r);
	if (o == SMTP_YES)
		o = program_arguments(a);
	if (o != SMTP_YES)
		return o;
	program_environment(a, r);
	return program_start(r);
}

/* What comes of a box, and what is said of it. */
static void
program_serve(size_t b)
{
	struct slice words;

	program.last = (struct smtp_last){ 0 };
	boxes[b].outcome = box_loops(b) ? SMTP_LOOP :
	    program_run(b, box_only(b));
	words = smtp_last_line(&program.last);
	boxes[b].words = words.n;
	memcpy(box_words[b], words.p, words.n);
}

/* Not every program makes its files last (procmail and maildrop do not sync
 * the directory): --sync does, before a success is told. */
static void
program_sync(void)
{
	enum smtp_reply o = SMTP_YES;
	size_t b = 0;
	int fd;

	while (b < message.boxes && boxes[b].outcome != SMTP_YES)
		b++;
	if (conf.sync == NULL || b == message.boxes)
		return;
	fd = open(conf.sync, O_RDONLY | O_CLOEXEC);
#ifdef __linux__
	if (fd == -1 || syncfs(fd) == -1)
		o = failed("sync", conf.sync);
#endif
	fd_close(&fd);
	for (; b < message.boxes && o != SMTP_YES; b++)
		if (boxes[b].outcome == SMTP_YES) {
			boxes[b].words = 0;
			worsen(&boxes[b].outcome, o);
		}
}

/* Run for every recipient that is no loop, and not equal to one before.  Where
 * each is told of by itself a run waits until its outcome is asked for: no
 * reply that is decided waits for the next run. */
static enum smtp_reply
program_commit(void)
{
	const bool wait = envelope.each && conf.sync == NULL &&
	    !conf.program_once;
	enum smtp_reply o = message_flush();

	if (o != SMTP_YES)
		return o;
	file_to_source();
	o = message_sum();
	if (o != SMTP_YES)
		return o;
	program.until = now_ms() + (int64_t)conf.program_timeout * 1000;
	for (size_t b = 0; b < message.boxes; b++) {
		boxes[b].outcome = SMTP_EACH;
		if (!wait)
			program_serve(b);
	}
	if (wait)
		return SMTP_EACH;
	program_sync();
	return conf.program_once || envelope.rcpts == 1 ? SMTP_YES : SMTP_EACH;
}

/* A dry run keeps nothing. */
static enum smtp_reply
dry_create(size_t b)
{
	(void)b;
	file_begin(-1);
	return SMTP_YES;
}

static enum smtp_reply
dry_commit(void)
{
	boxes[0].outcome = SMTP_DRY;
	return SMTP_YES;
}

static const struct delivery
    to_program = { " by ", program_find, program_begin, spool_create,
	program_commit, program_serve },
    to_nobody = { "", maildir_find, program_begin, dry_create, dry_commit,
	NULL };

/* ---- 15. options: one table --------------------------------------------- */

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
			smtp_puts(&host.out, "421 Not configured, try again "
			    "later\r\n");
			(void)net_flush();
		}
	}
	exit((int)status);
}

static _Noreturn void
quit(enum exit_status status)
{
	exit(fflush(stdout) == 0 ? (int)status : EXIT_DEFERRED);
}

/* What keeps mail out: no session is begun. */
static void
conf_problem(const char *what, const char *which, const char *why)
{
	if (!conf.test)
		die(EXIT_CONFIG, "%s %s: %s", what, which, why);
	test_told(what, which, why);
}

static const struct smtp_option options[] = {
	{ 'd', "domain", "NAME", SMTP_KIND_DOMAIN, &conf.domain,
	    .help = "accept mail for NAME, .NAME (below it), *, @FILE" },
	{ 'm', "maildir", "PATH", SMTP_KIND_TEXT, &conf.maildir,
	    .help = "deliver there; {user} {domain} {extension}" },
	{ 'u', "users", "FILE", SMTP_KIND_TEXT, &conf.users,
	    .help = "the recipients that exist, one a line" },
	{ 'n', "hostname", "NAME", SMTP_KIND_HOST, &conf.hostname,
	    .help = "our name in the greeting and in Received" },
	{ 's', "size", "BYTES", SMTP_KIND_SIZE, &conf.size, 0, INT64_MAX,
	    .help = "largest message; K, M; 0 for no limit (50M)" },
	{ 'r', "recipients", "N", SMTP_KIND_NUMBER, &conf.recipients, 1,
	    RECIPIENTS_MAX, .help = "most recipients of a message (1000)" },
	{ 't', "timeout", "SECONDS", SMTP_KIND_NUMBER, &conf.timeout, 1, 86400,
	    .help = "longest wait for the client (300)" },
	{ 'e', "errors", "N", SMTP_KIND_NUMBER, &conf.errors, 1, 1000000,
	    .help = "errors before the client is sent away (20)" },
	{ 'l', "lmtp", NULL, SMTP_KIND_FLAG, &conf.lmtp,
	    .help = "speak LMTP (RFC 2033); not on port 25" },
	{ 'S', "spool", "DIR", SMTP_KIND_TEXT, &conf.spool,
	    .help = "where mail waits for a program ($TMPDIR, /tmp)" },
	{ 'p', "policy", "WHERE", SMTP_KIND_SERVER, &conf.policy,
	    .help = "ask a policy server: path, ADDRESS:PORT, program" },
	{ 0, "policy-states", "LIST", SMTP_KIND_SOME, &conf.policy_states,
	    .words = "connect ehlo mail rcpt data end-of-message vrfy etrn",
	    .help = "at these steps, a comma between (rcpt)" },
	{ 'a', "auth", "PROGRAM", SMTP_KIND_TEXT, &conf.auth,
	    .help = "offer AUTH, checked by a checkpassword program" },
	{ 0, "auth-clear", "NETS", SMTP_KIND_NETS, &conf.auth_clear,
	    .help = "AUTH without encryption, from these networks" },
	{ 0, "secured", NULL, SMTP_KIND_FLAG, &conf.secured,
	    .help = "the connection is encrypted already" },
	{ 0, "require", "WHAT", SMTP_KIND_SOME, &conf.require,
	    .words = "tls auth",
	    .help = "tls or auth before MAIL; may be repeated" },
	{ 0, "relay", NULL, SMTP_KIND_FLAG, &conf.relay,
	    .help = "accept recipients in any domain" },
	{ 0, "proxy", "NETS", SMTP_KIND_NETS, &conf.proxy,
	    .help = "a PROXY header must come, from these; * any" },
	{ 0, "xclient", "NETS", SMTP_KIND_NETS, &conf.xclient,
	    .help = "believe XCLIENT from these networks; * any" },
	{ 0, "bare-newline", "WHAT", SMTP_KIND_ONE, &conf.newline,
	    .words = "reject normalize",
	    .help = "reject or normalize a bare LF or CR (reject)" },
	{ 0, "label", "CHARSET", SMTP_KIND_CHARSET, &conf.label,
	    .help = "for unlabelled 8-bit text, or off (unknown-8bit)" },
	{ 0, "delimiter", "C", SMTP_KIND_DELIMITER, &conf.delimiter,
	    .help = "between user and extension; empty for none (+)" },
	{ 0, "program-timeout", "SECONDS", SMTP_KIND_NUMBER,
	    &conf.program_timeout, 1, 86400,
	    .help = "longest time for all runs of a message (300)" },
	{ 0, "sync", "PATH", SMTP_KIND_TEXT, &conf.sync,
	    .help = "sync PATH's file system after the program" },
	{ 0, "log", "WHERE", SMTP_KIND_ONE, &conf.log,
	    .words = "stderr syslog off", .help = "stderr, syslog or off" },
	{ 0, "faults", "[=FILE]", SMTP_KIND_MAYBE, &conf.faults,
	    .help = "trouble for clients, as addresses or FILE ask" },
	{ 'f', "config", "FILE", SMTP_KIND_OTHER,
	    .help = "read options from FILE, \"name value\" a line" },
	{ 0, "strict", NULL, SMTP_KIND_FLAG, &conf.strict,
	    .help = "refuse what the RFCs have not; the status tells" },
	{ 'v', "verbose", NULL, SMTP_KIND_FLAG, &conf.verbose,
	    .help = "log the dialogue, too" },
	{ 'T', "test", NULL, SMTP_KIND_FLAG, &conf.test,
	    .help = "check the configuration, print what holds, exit" },
	{ 'b', "", "s", SMTP_KIND_ONE, &conf.ignored, .words = "s",
	    .help = "ignored, as sendmail's" },
	{ 'o', "", "X", SMTP_KIND_OTHER,
	    .help = "ignored, as sendmail's, with any letters" },
	{ 'V', "version", NULL, SMTP_KIND_OTHER, .help = "print the version" },
	{ 'h', "help", NULL, SMTP_KIND_OTHER, .help = "print this" }
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };
_Static_assert((int)OPTIONS <= (int)OPTIONS_MAX, "conf.from is too small");

/* Where a value is from: a line of the configuration file, or one of these. */
enum { FROM_DEFAULT, FROM_OPTION = INT_MAX, FROM_ENVIRONMENT = INT_MAX - 1 };

static const char *
set_words(struct smtp_words *to, const char *value)
{
	return smtp_parse_words(smtp_slice(value), to) == SMTP_OK ? NULL :
	    "empty, or too long";
}

/* NULL if the value is good, else what is wrong with it. */
static const char *
conf_set(const struct smtp_option *o, const char *value, int from)
{
	static char buf[128];
	struct smtp_text t = SMTP_TEXT(buf);
	const char *wrong = smtp_option_set(o, value, &t);

	if (wrong != NULL)
		return wrong;
	conf.from[o - options] = from;
	for (unsigned i = 0; i < 2; i++)
		if ((conf.require & 1U << i) != 0 &&
		    conf.require_from[i] == 0)
			conf.require_from[i] = from;
	if (o->to == &conf.domain) {
		if (conf.domains == DOMAINS_MAX)
			return "too many domains: put them in a @file";
		conf.domain_from[conf.domains] = from;
		domains[conf.domains++] = smtp_slice(value);
	}
	if (o->to == &conf.auth)
		return set_words(&auth_program, value);
	if (o->to == &conf.policy) {
		conf.policy_port = 0;
		return smtp_parse_server(smtp_slice(value), conf.policy_ip,
		    &conf.policy_port) == SMTP_OK ? NULL :
		    set_words(&policy_program, value);
	}
	if (o->to == &conf.sync) {
#ifndef __linux__
		return "only Linux can do that";
#endif
		return access(value, F_OK) == 0 ? NULL : strerror(errno);
	}
	return NULL;
}

static _Noreturn void
conf_help(void)
{
	char buf[128];
	struct smtp_text t = SMTP_TEXT(buf);

	printf("usage: smtpd [option ...]\n"
	    "       smtpd [option ...] [--] program [arg ...]\n"
	    "Receive mail by SMTP on standard input and output.\n\n");
	for (size_t i = 0; i < OPTIONS; i++, t.n = 0) {
		smtp_put_help(&t, options + i, 32);
		printf("%.*s\n", (int)t.n, t.p);
	}
	printf("\nsmtpd(8) tells the rest.\n");
	quit(EXIT_LEFT);
}

/* Read a file, and a NUL behind it; NULL, or what is wrong. */
static const char *
conf_load(const char *path, char *buf, size_t size, struct slice *text)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	*text = (struct slice){ buf, 0 };
	do {
		n = fd == -1 ? -1 : read(fd, buf + text->n,
		    size - 1 - text->n);
		text->n += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	if (n == -1)
		return strerror(errno);
	close(fd);
	return text->n == size - 1 ? "too long" : NULL;
}

static char conf_text[64 * 1024];	/* the file; values stay there */

static void
conf_line(const char *path, int number, struct slice line)
{
	const struct smtp_option *o;
	struct slice name, value;
	const char *wrong = smtp_option_line(options, OPTIONS, line, &o, &name,
	    &value);

	if (o != NULL && wrong == NULL) {
		/* what is behind it was read */
		conf_text[value.p - conf_text + (ptrdiff_t)value.n] = '\0';
		wrong = conf_set(o, value.p, number);
	}
	if (wrong != NULL)
		die(EXIT_CONFIG, "%s:%d: %.*s: '%.*s': %s", path, number,
		    (int)name.n, name.p, (int)value.n, value.p, wrong);
}

static void
conf_file(const char *path)
{
	const char *wrong;
	struct slice text, line;
	int number = 1;

	if (conf.path != NULL)
		die(EXIT_OPTION, "--config: only one");
	conf.path = path;
	wrong = conf_load(path, conf_text, sizeof(conf_text), &text);
	if (wrong != NULL)
		die(EXIT_CONFIG, "%s: %s", path, wrong);
	while (smtp_cut(&text, '\n', &line))
		conf_line(path, number++, line);
}

/* What trouble is asked for. */
static void
conf_script(const char *path)
{
	static char buf[16 * 1024];
	const char *wrong = conf_load(path, buf, sizeof(buf), &script.text);
	const uint64_t line = smtp_script_wrong(script.text);

	if (wrong != NULL)
		die(EXIT_CONFIG, "%s: %s", path, wrong);
	if (line > 0)
		die(EXIT_CONFIG, "%s:%llu: not a step, and what is to come of "
		    "it", path, (unsigned long long)line);
}

/* What cannot be run is no program: it is the file of an option that may have
 * one. */
static bool
conf_is_file(const char *path)
{
	struct stat st;

	return path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    access(path, X_OK) == -1;
}

static void
conf_program(char *const argv[], size_t n)
{
	struct smtp_program p = { 0 };
	const char *wrong;

	if (conf.maildir != NULL)
		die(EXIT_OPTION, "%s: a program, and --maildir is given, too "
		    "(and -maildir is -m aildir); see --help", argv[0]);
	if (n >= PROGRAM_ARGS_MAX)
		die(EXIT_OPTION, "%s: too many arguments", argv[0]);
	for (size_t i = 0; i < n; i++) {
		wrong = smtp_program_word(&p, smtp_slice(argv[i]));
		if (wrong != NULL)
			die(EXIT_OPTION, "'%s': %s", argv[i], wrong);
	}
	conf.program = argv;
	conf.program_once = p.once;
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
			    options[i].arg == NULL ? no_argument :
			    options[i].kind == SMTP_KIND_MAYBE ?
			    optional_argument : required_argument, NULL,
			    256 + (int)i };
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
conf_option(const struct smtp_option *o, const char *given, const char *value)
{
	const char *wrong = conf_set(o, value != NULL ? value : "",
	    FROM_OPTION);

	if (wrong != NULL)
		die(EXIT_OPTION, "%s: '%s': %s", given, value != NULL ? value :
		    "", wrong);
	if (o->letter == 'f')
		conf_file(value);
	if (o->letter == 'h')
		conf_help();
	if (o->letter != 'V')
		return;
	printf("smtpd %s\n", VERSION);
	quit(EXIT_LEFT);
}

static void
conf_read(int argc, char *argv[])
{
	struct option longs[OPTIONS + 1];
	char shorts[2 * OPTIONS + 3];
	const struct smtp_option *o;
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
		if (c >= 256)
			o = options + (c - 256);
		if (o->kind == SMTP_KIND_MAYBE && optarg == NULL &&
		    conf_is_file(argv[optind]))
			optarg = argv[optind++];
		conf_option(o, given, optarg);
	}
	if (optind < argc)
		conf_program(argv + optind, (size_t)(argc - optind));
}

/* Our own name, if none was given: of one with a dot behind it, the rest. */
static const char *
conf_hostname(void)
{
	static char ours[SMTP_DOMAIN_MAX + 1];
	size_t n = gethostname(ours, sizeof(ours) - 1) == 0 ? strlen(ours) : 0;

	ours[n > 1 && ours[n - 1] == '.' ? n - 1 : n] = '\0';
	return smtp_is_host(smtp_slice(ours)) ? ours : "localhost";
}

/* A program must be where posix_spawnp(3) looks for it. */
static void
conf_find(const char *name)
{
	struct slice dirs = smtp_slice(getenv("PATH"));
	char buf[PATH_MAX];
	struct smtp_text t = SMTP_TEXT(buf);
	struct stat st;

	for (; smtp_put_place(&t, &dirs, smtp_slice(name)); t.n = 0)
		if (smtp_string(&t) != NULL && access(buf, X_OK) == 0 &&
		    stat(buf, &st) == 0 && S_ISREG(st.st_mode))
			return;
	conf_problem("program", name, "not found, or not executable");
}

/* Under a launcher, what would refuse all mail for good is told at once, and
 * the client to come back. */
static void
conf_check(void)
{
	if (delivery_none() && !peer.by_hand && !conf.test)
		die(EXIT_CONFIG, "neither --maildir nor a program given");
	if (delivery_none() && !peer.by_hand)
		conf_problem("maildir", "(none)", "and no program either");
	if (conf.no_domain)
		conf_problem("domain", conf.hostname, "no --domain given, and "
		    "no dot in the host name");
	if (conf.program != NULL)
		conf_find(conf.program[0]);
}

/* A value came from elsewhere. */
static void
conf_came(const void *to, int from)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (options[i].to == to)
			conf.from[i] = from;
}

/* What was not said. */
static void
conf_finish(void)
{
	const char *databytes = peer_env("DATABYTES");

	/* tcprules(1)' word goes before --size */
	if (databytes != NULL && smtp_parse_number(smtp_slice(databytes),
	    INT64_MAX, &conf.size) != SMTP_OK)
		peer_skip("DATABYTES");
	else if (databytes != NULL)
		conf_came(&conf.size, FROM_ENVIRONMENT);
	/* as programs get it, so that --test looks where a session does */
	(void)setenv("PATH", SAFE_PATH, 0);
	/* the second word, the first, the second */
	conf.normalize = (conf.newline & 2) != 0;
	conf.require_tls = (conf.require & 1) != 0;
	conf.require_auth = (conf.require & 2) != 0;
	if (conf.faults != NULL && conf.faults[0] != '\0')
		conf_script(conf.faults);
	if (conf.policy != NULL && conf.policy_states == 0)
		conf.policy_states = 1U << AT_RCPT;
	if (conf.hostname == NULL)
		conf.hostname = conf_hostname();
	conf.no_domain = conf.domains == 0 && !conf.relay && !peer.by_hand &&
	    strchr(conf.hostname, '.') == NULL;
	if (!peer.by_hand && !conf.test)
		conf_check();
	if (conf.domains == 0 && (!peer.by_hand || conf.program != NULL))
		domains[conf.domains++] = smtp_slice(conf.hostname);
	if (conf.spool == NULL) {
		conf.spool = peer_env("TMPDIR");
		conf_came(&conf.spool, conf.spool != NULL ? FROM_ENVIRONMENT :
		    FROM_DEFAULT);
	}
	if (conf.spool == NULL)
		conf.spool = "/tmp";
	maildir.template = conf.maildir != NULL &&
	    smtp_is_template(smtp_slice(conf.maildir));
	delivery = conf.maildir != NULL ? &to_maildir :
	    conf.program != NULL ? &to_program : &to_nobody;
}

#ifdef __linux__
enum { LANDLOCK_CREATE = 444 };

/* Which version of Landlock the kernel has; below 0: none. */
static long
landlock_version(void)
{
	enum { VERSION_FLAG = 1 };

	return syscall(LANDLOCK_CREATE, NULL, 0, VERSION_FLAG);
}
#endif

/*
 * --test.  A line says what holds, and in brackets where that is from;
 * "warning:" what is unwise or keeps some mail out, and "problem:" what keeps
 * all of it out; the last is "ok", or how many problems there are.  Nothing is
 * looked at in a way of its own: what a session would find wrong, and log, is
 * found here.
 */

static void
test_holds(const char *name, struct slice value, int from)
{
	char digits[16];

	(void)snprintf(digits, sizeof(digits), ":%d", from);
	printf("%s%s%.*s (%s%s)\n", name, value.n > 0 ? " " : "", (int)value.n,
	    value.n > 0 ? value.p : "", from == FROM_DEFAULT ? "default" :
	    from == FROM_OPTION ? "option" : from == FROM_ENVIRONMENT ?
	    "environment" : conf.path, from > FROM_DEFAULT &&
	    from < FROM_ENVIRONMENT ? digits : "");
}

static void
test_warn(const char *what, const char *which, const char *why)
{
	tested.mild = true;
	test_told(what, which, why);
	tested.mild = false;
}

static void
test_braces(const char *what, const char *text, bool argument)
{
	if (smtp_has_misspelt(smtp_slice(text), argument))
		conf_problem(what, text, "a word in braces is no placeholder");
}

/* A list as a session asks it; and each line of it that can name nobody. */
static struct slice
test_list(const char *path)
{
	const bool users = path == conf.users;
	const struct slice nobody = smtp_slice("postmaster");
	const struct who who = { nobody, nobody, smtp_slice(conf.hostname) };
	struct slice left, line, entry;
	char buf[SMTP_ESCAPED_MAX + 64];
	struct smtp_text t;

	if (list_ask(path, &who, SMTP_NO_USER) == SMTP_FAULT)
		return smtp_slice("");
	left = lists[users].text;
	for (uint64_t n = 1; smtp_cut(&left, '\n', &line); n++) {
		entry = smtp_list_line(line);
		if (entry.n == 0 || (users ? smtp_is_user(entry) :
		    smtp_is_domain_pattern(entry) && entry.p[0] != '@'))
			continue;
		t = SMTP_TEXT(buf);
		smtp_puts(&t, "line ");
		smtp_put_number(&t, n);
		smtp_puts(&t, " names nobody: ");
		smtp_put_escaped(&t, entry);
		test_warn("list", path, smtp_string(&t));
	}
	return lists[users].text;
}

/* Would a file get from tmp/ to new/?  None that a reader looks at. */
static void
test_box(const char *path)
{
	char name[32];
	const char *part = box_open_parts(path);
	bool renamed;
	int fd;

	(void)snprintf(name, sizeof(name), ".smtpd-test-%ld", (long)own_pid);
	if (part != NULL) {
		(void)box_open_failed(path, part);
		return;
	}
	fd = openat(maildir.tmp, name, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		(void)failed("no file can be made in tmp/ of", path);
	else if (file_link(maildir.tmp, name, maildir.new, name, &renamed) ==
	    SMTP_YES)
		(void)unlinkat(maildir.new, name, 0);
	(void)unlinkat(maildir.tmp, name, 0);
	fd_close(&fd);
	box_close();
}

/* The mailbox of one user: of postmaster all others depend. */
static void
test_mailbox(struct slice user, struct slice domain)
{
	const struct smtp_values v = { .user = user, .domain = domain };
	char buf[PATH_MAX];
	struct smtp_text path = SMTP_TEXT(buf);
	struct stat st;

	tested.mild = !smtp_is(user, "postmaster");
	if (smtp_names_file(user) && expand(&v, false, &path) == SMTP_YES &&
	    maildir_look(buf, &st) == SMTP_YES)
		test_box(buf);
	tested.mild = false;
}

/* Those of a domain, as the template's directory has them; until postmaster has
 * one, no user is known to be none. */
static void
test_mailboxes(struct slice domain)
{
	static bool done;
	const struct smtp_values v = { .domain = domain };
	const char *user = strstr(conf.maildir, "{user}");
	struct slice place = { conf.maildir, user == NULL ? 0 :
	    (size_t)(user - conf.maildir) };
	char buf[PATH_MAX];
	struct smtp_text path = SMTP_TEXT(buf);
	const struct dirent *entry;
	DIR *dir;

	if (done && strstr(conf.maildir, "{domain}") == NULL)
		return;
	done = true;
	(void)maildir_no_user(domain);
	dir = user != NULL && smtp_expand(place, &v, false, &path) == SMTP_OK ?
	    opendir(path.n > 0 ? buf : ".") : NULL;
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		test_mailbox(smtp_slice(entry->d_name), domain);
	if (dir != NULL)
		closedir(dir);
}

static void
test_domains(void)
{
	struct slice left, line;

	for (size_t i = 0; i < conf.domains; i++) {
		test_holds("domain", domains[i], conf.domain_from[i]);
		left = domains[i];
		if (left.p[0] == '@')
			left = test_list(left.p + 1);
		while (smtp_cut(&left, '\n', &line)) {
			line = smtp_list_line(line);
			if (maildir.template && smtp_is_domain(line))
				test_mailboxes(line);
		}
	}
	if (conf.domains == 0)
		printf("domain * (by hand; %s under a launcher)\n",
		    strchr(conf.hostname, '.') != NULL ? conf.hostname :
		    "none, and so all mail is deferred,");
	if (maildir.template)
		test_mailboxes(domain_default());
}

static void
test_maildir(void)
{
	test_braces("maildir", conf.maildir, false);
	if (!maildir.template)
		test_box(conf.maildir);
}

static void
test_program(void)
{
	printf("program");
	for (size_t i = 0; conf.program[i] != NULL; i++)
		printf(" %s", conf.program[i]);
	printf(" (option)\n");
	for (size_t i = 0; conf.program[i] != NULL; i++)
		test_braces("argument", conf.program[i], true);
	(void)spool_create(0);
	fd_close(&file.fd);
}

/* A server is connected to, a program is looked for. */
static void
test_policy(void)
{
	enum { PATIENCE = 2000 };

	if (policy_is_program())
		conf_find(policy_program.argv[0]);
	else if (policy_open(now_ms() + PATIENCE) != SMTP_YES)
		conf_problem("policy", conf.policy, strerror(errno));
	policy_close();
}

static void
test_warnings(void)
{
	for (size_t i = 0; i < launched.nskipped; i++)
		peer_skip(launched.skipped[i]);
	for (size_t i = 0; i < peer.nskipped; i++)
		test_warn("variable", peer.skipped[i],
		    "its value is none, and is ignored");
	if (!conf.no_domain && strchr(conf.hostname, '.') == NULL)
		test_warn("hostname", conf.hostname, "has no dot");
	if (conf.policy_states != 0 && conf.policy == NULL)
		test_warn("--policy-states without --policy", NULL, NULL);
	if (conf.faults != NULL)
		test_warn("--faults", "is for tests of clients", "who names "
		    "trouble meets it");
	if (conf.auth_clear != NULL && conf.auth == NULL)
		test_warn("--auth-clear without --auth", NULL, NULL);
	if (conf.require_auth && conf.auth == NULL)
		test_warn("--require auth without --auth", NULL, NULL);
	if (conf.maildir != NULL && !conf.relay && (conf.auth != NULL ||
	    conf.xclient != NULL || getenv("RELAYCLIENT") != NULL))
		test_warn("with Maildirs neither AUTH nor XCLIENT nor "
		    "RELAYCLIENT opens foreign domains; --relay does", NULL,
		    NULL);
	if (conf.lmtp)
		test_warn("LMTP must not be served on port 25 (RFC 2033, 5)",
		    NULL, NULL);
	if (conf.recipients < 100)
		test_warn("RFC 5321, 4.5.3.1.8 wants 100 recipients at least",
		    NULL, NULL);
	if (geteuid() == 0)
		test_warn("running as root", NULL, NULL);
#ifdef __linux__
	if (conf.maildir != NULL && conf.policy == NULL &&
	    conf.auth == NULL && landlock_version() < 2)
		test_warn("this kernel cannot confine a session to its "
		    "Maildirs (Landlock 2)", NULL, NULL);
#endif
}

static _Noreturn void
conf_test(void)
{
	char buf[128];
	struct smtp_text t = SMTP_TEXT(buf);
	struct slice value, word, words = smtp_slice("tls auth");

	/* those behind --config are about this run */
	for (size_t i = 0; options[i].letter != 'f'; i++, t.n = 0) {
		if (!smtp_option_get(options + i, &t, &value))
			continue;
		if (options[i].to != &conf.require)
			test_holds(options[i].name, value, conf.from[i]);
	}
	for (size_t i = 0; smtp_cut(&words, ' ', &word); i++)
		if ((conf.require & 1U << i) != 0)
			test_holds("require", word, conf.require_from[i]);
	if (delivery_none() && peer.by_hand)
		printf("maildir (none: a dry run by hand, an error under a "
		    "launcher)\n");
	test_domains();
	if (conf.maildir != NULL)
		test_maildir();
	if (conf.program != NULL)
		test_program();
	if (!delivery_none() && !room_for(0))
		conf_problem("no room at", conf.program != NULL ? conf.spool :
		    conf.maildir, "the file system is full");
	if (conf.users != NULL)
		(void)test_list(conf.users);
	if (conf.policy != NULL)
		test_policy();
	if (conf.auth != NULL)
		conf_find(auth_program.argv[0]);
	conf_check();
	test_warnings();
	if (tested.problems == 0)
		printf("ok\n");
	else
		printf("%u problem%s\n", tested.problems,
		    tested.problems == 1 ? "" : "s");
	quit(tested.problems == 0 ? EXIT_LEFT : EXIT_CONFIG);
}

/* ---- 16. main ----------------------------------------------------------- */

static void
session_begin(void)
{
	logged.began = net.looked = now_ms();
	watchdog_set(logged.began);
	host.out = SMTP_TEXT(net_out);
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
 * not link from tmp/ to new/.  The numbers are the kernel's
 * (linux/landlock.h), which not every libc's headers have.
 */
static void
harden_landlock(const char *root, int why)
{
	enum { ADD = 445, RESTRICT = 446, BENEATH = 1, EXECUTE = 1 << 0,
	    WRITE_FILE = 1 << 1, REMOVE_FILE = 1 << 5, MAKE_REG = 1 << 8,
	    REFER = 1 << 13, TRUNCATE = 1 << 14, REMOVE_DIR = 1 << 4,
	    MAKE_OTHERS = 0x1ec0	/* devices, directories, links ... */ };
	const uint64_t may = WRITE_FILE | REMOVE_FILE | MAKE_REG | REFER;
	uint64_t handled = may | EXECUTE | REMOVE_DIR | MAKE_OTHERS;
	struct {
		uint64_t	allowed;
		int32_t		parent;
	} __attribute__((packed)) beneath = { may, -1 };
	long rules, abi = landlock_version();

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
	rules = syscall(LANDLOCK_CREATE, &handled, sizeof(handled), 0);
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

/* Descriptors that a launcher left open are none of ours, but those of TLS;
 * where there are none these are -1, which is the greatest there is. */
static void
close_inherited(void)
{
	unsigned kept, next;

	for (unsigned from = 3; from != 0; from = next + 1) {
		next = UINT_MAX;
		for (size_t i = 0; i < 3; i++) {
			kept = (unsigned)tls.fd[i];
			if (kept >= from && kept < next)
				next = kept;
		}
		close_range_of(from, next == UINT_MAX ? next : next - 1);
	}
}

/* Give up what we do not need.  Which Maildirs there are decides what. */
static void
harden(void)
{
	const struct rlimit none = { 0, 0 };
	const char *root = maildir.template ? maildir_root() : conf.maildir;
	const int why = errno;

	umask(077);
	(void)setrlimit(RLIMIT_CORE, &none);
	if (conf.program != NULL || conf.policy != NULL || conf.auth != NULL) {
		/* a set-id MDA may need what we would give up */
		helper_signals();
		close_inherited();
		return;
	}
#ifdef __linux__
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	harden_landlock(root, why);
#else
	(void)root;
	(void)why;
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
	signals_set();
	title_begin(argv);
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
	notify_begin();
	if (atexit(session_end) != 0)
		die(EXIT_DEFERRED, "atexit failed");
	session_run();
}
