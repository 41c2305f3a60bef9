/*
 * bench_driver - what tests/bench and tests/gates measure with.  Its name
 * says what it is:
 *
 * bench_driver N INPUT OUTPUT COMMAND [ARG ...]
 *	Run COMMAND N times with INPUT on fd 0, OUTPUT on fd 1, emptied before
 *	each run, and /dev/null on fd 2.  Prints the CPU time of one run in
 *	microseconds, its wall time, and the fewest minor page faults a run
 *	had.  CPU is that of the process and the children it waited for.
 *
 * store [COUNT]
 *	Keep fd 0 in COUNT files (1) of equal size in the Maildir $STORE: what
 *	storage alone costs.  For a server that hands its mail to a queue
 *	program it is that program: qmail's envelope on fd 1 is read and
 *	forgotten.  COUNT is for a regular file on fd 0.
 *
 * empty
 *	Nothing: what it costs to start a process.
 */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void
die(const char *what)
{
	perror(what);
	exit(111);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
micros(struct timeval t)
{
	return (double)t.tv_sec * 1e6 + (double)t.tv_usec;
}

/* vfork, so that our own size is no part of what the child costs */
static struct rusage
run(const char *input, const char *output, char *command[])
{
	struct rusage used;
	int in, out, err, status;
	pid_t pid;

	in = open(input, O_RDONLY | O_CLOEXEC);
	out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	err = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (in < 0 || out < 0 || err < 0)
		die("bench_driver: open");
	pid = vfork();
	if (pid == 0) {
		dup2(in, 0);
		dup2(out, 1);
		dup2(err, 2);
		execvp(command[0], command);
		_exit(127);
	}
	if (pid < 0)
		die("bench_driver: vfork");
	while (wait4(pid, &status, 0, &used) < 0)
		if (errno != EINTR)
			die("bench_driver: wait4");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		die(command[0]);
	close(in);
	close(out);
	close(err);
	return used;
}

static int
measure(int n, char *argv[])
{
	struct rusage used;
	double cpu = 0, start = seconds();
	long least = -1;
	int i;

	for (i = 0; i < n; i++) {
		used = run(argv[0], argv[1], argv + 2);
		cpu += micros(used.ru_utime) + micros(used.ru_stime);
		if (least < 0 || used.ru_minflt < least)
			least = used.ru_minflt;
	}
	printf("%.1f %.1f %ld\n", cpu / n, (seconds() - start) * 1e6 / n,
	    least);
	return 0;
}

/* fd 0 to fd, limit bytes at most */
static void
copy(int fd, off_t limit)
{
	static char buf[65536];
	size_t want;
	ssize_t n;

	while (limit > 0) {
		want = limit < (off_t)sizeof(buf) ? (size_t)limit : sizeof(buf);
		n = read(0, buf, want);
		if (n < 0)
			die("store: read");
		if (n == 0)
			break;
		if (write(fd, buf, (size_t)n) != n)
			die("store: write");
		limit -= n;
	}
}

/* the same durable work as a delivery: file, link, directory */
static void
keep(const char *dir, int number, off_t limit)
{
	char tmp[512], new[512];
	int fd;

	snprintf(tmp, sizeof(tmp), "%s/tmp/%ld.%d.%d", dir,
	    (long)time(NULL), (int)getpid(), number);
	snprintf(new, sizeof(new), "%s/new/%ld.%d.%d", dir,
	    (long)time(NULL), (int)getpid(), number);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		die(tmp);
	copy(fd, limit);
	if (fsync(fd) != 0 || close(fd) != 0 || link(tmp, new) != 0 ||
	    unlink(tmp) != 0)
		die(new);
	snprintf(new, sizeof(new), "%s/new", dir);
	fd = open(new, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0 || close(fd) != 0)
		die(new);
}

static int
store(int count)
{
	const char *dir = getenv("STORE");
	struct stat st;
	off_t share = (off_t)1 << 40;
	char envelope[1024];
	int i;

	if (dir == NULL || fstat(0, &st) != 0)
		die("store");
	if (S_ISREG(st.st_mode))
		share = st.st_size / count;
	for (i = 0; i < count; i++)
		keep(dir, i, share);
	if ((fcntl(1, F_GETFL) & O_ACCMODE) == O_RDONLY)
		while (read(1, envelope, sizeof(envelope)) > 0)
			;
	return 0;
}

int
main(int argc, char *argv[])
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash != NULL ? slash + 1 : argv[0];

	if (strcmp(name, "empty") == 0)
		return 0;
	if (strcmp(name, "store") == 0)
		return store(argc > 1 ? atoi(argv[1]) : 1);
	if (argc < 5 || atoi(argv[1]) < 1) {
		fprintf(stderr, "usage: bench_driver n input output command "
		    "[arg ...]\n");
		return 64;
	}
	return measure(atoi(argv[1]), argv + 2);
}
