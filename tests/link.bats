#!/usr/bin/env bats
# From tmp/ into new/: a link that lies, one that is not to be had, a name that is taken (maildir(5); link(2), NFS)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load helper

# account NAME...
account() {
	local name
	for name; do
		mkdir -p "home/$name"/{tmp,new,cur}
	done
}

# liar: the library liar.so, with which the first link that smtpd makes is told
# as failed, with the error number $LIAR_ERRNO.  $LIAR says what it does:
#	done	it is made all the same
#	taken	the name is given to another file, first
liar() {
	need cc
	cat >liar.c <<-'C'
		#define _GNU_SOURCE
		#include <errno.h>
		#include <fcntl.h>
		#include <stdlib.h>
		#include <string.h>
		#include <sys/syscall.h>
		#include <unistd.h>

		int
		linkat(int from, const char *old, int to, const char *new, int flags)
		{
			static int calls;
			const char *how = getenv("LIAR");
			int fd;

			if (calls++ == 0 && how != NULL && strcmp(how, "taken") == 0) {
				fd = openat(to, new, O_WRONLY | O_CREAT | O_EXCL, 0600);
				if (fd == -1 || write(fd, "another\n", 8) != 8)
					abort();
				close(fd);
			} else if (syscall(SYS_linkat, from, old, to, new, flags) == -1)
				return -1;
			else if (calls > 1)
				return 0;
			errno = atoi(getenv("LIAR_ERRNO"));
			return -1;
		}

		int
		link(const char *old, const char *new)
		{
			return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
		}
	C
	cc -shared -fPIC -o liar.so liar.c
	WRAP=(env LD_PRELOAD="$PWD/liar.so"
	    ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0:detect_leaks=0")
}

# the numbers of the errors
EIO=5 EEXIST=17 EPERM=1 ESTALE=116 ENOENT=2

# through: send the file in, under $WRAP
through() {
	status=0
	"${WRAP[@]}" "$SMTPD" "${OPTS[@]}" <in >out 2>log 3>&- || status=$?
}

# ---- a link that was made, and is told as failed -----------------------------

@test "link: what is told as failed, and has happened, is a delivery, and there once" {
	liar
	export LIAR='done' LIAR_ERRNO
	letter_to u@example.org >in
	for LIAR_ERRNO in $EIO $EEXIST $ESTALE $ENOENT; do
		rm -f box/new/*
		through
		[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]] ||
			{ echo "$LIAR_ERRNO: $(full_codes)"; false; }
		[ "$status" = 0 ]
		stored_is msg
		[ "$(count box)" = 1 ]
	done
}

@test "link: one of three mailboxes whose link was told as failed has its mail once, as the others do" {
	liar
	export LIAR='done' LIAR_ERRNO=$EIO
	account postmaster alice bob carol
	local lmtp user
	for lmtp in '' --lmtp; do
		rm -f home/*/new/*
		letter_to {alice,bob,carol}@example.org >in
		[ -z "$lmtp" ] || sed -i 's/^EHLO/LHLO/' in
		OPTS=(-n mx.example -d example.org -m 'home/{user}'
		    ${lmtp:+"$lmtp"})
		through
		[ "$status" = 0 ]
		for user in alice bob carol; do
			stored_is msg home/$user
			[ "$(count home/$user)" = 1 ]
		done
	done
}

@test "link: the next message of the session is delivered once, too" {
	liar
	export LIAR='done' LIAR_ERRNO=$EIO
	connect
	attempt u@example.org
	[ "$verdict" = 250/2.0.0 ]
	attempt u@example.org
	[ "$verdict" = 250/2.0.0 ]
	hangup
	[ "$(count box/new)" = 2 ]
	[ "$(count box)" = 2 ]
}

# ---- a file system without hard links -----------------------------------------

# without ERROR [OPTION...]: send the file in where every link fails with it
without() {
	local error=$1
	shift
	rm -f box/*/*
	traced -e trace=link,linkat,rename,renameat,renameat2 \
	    -e inject=link,linkat:error="$error" "$@" <in
}

@test "link: where there are no hard links, a rename that replaces nothing does it" {
	need strace
	local error
	letter_to u@example.org >in
	for error in EPERM EOPNOTSUPP; do
		without $error
		[[ $(full_codes) = *' 354 250/2.0.0 221/2.0.0' ]] ||
			{ echo "$error: $(full_codes)"; false; }
		[ "$status" = 0 ]
		stored_is msg
		[ "$(count box)" = 1 ]
		grep -E '^renameat2\(.*RENAME_NOREPLACE\) += 0' trace
		run ! grep -E '^rename(at)?\(' trace
	done
}

@test "link: where there are no hard links, several mailboxes get their copies all the same" {
	need strace
	account postmaster alice bob carol
	local lmtp user
	for lmtp in '' --lmtp; do
		rm -f home/*/new/*
		letter_to {alice,bob,carol}@example.org >in
		[ -z "$lmtp" ] || sed -i 's/^EHLO/LHLO/' in
		OPTS=(-n mx.example -d example.org -m 'home/{user}'
		    ${lmtp:+"$lmtp"})
		without EPERM
		[ "$status" = 0 ]
		for user in alice bob carol; do
			stored_is msg home/$user
			[ "$(count home/$user)" = 1 ]
		done
	done
}

@test "link: where there are no hard links, all or none get a message with one reply" {
	need strace
	account postmaster alice bob carol
	letter_to {alice,bob,carol}@example.org >in
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
	local n
	for n in 1 2 3; do
		without EPERM -e inject=renameat2:error=EIO:when=$n
		[[ $(full_codes) = *' 354 451/4.3.0 221/2.0.0' ]]
		[ "$status" = 75 ]
		[ -z "$(find home -type f)" ] || { echo "rename $n"; false; }
	done
}

@test "link: where neither a link nor such a rename is to be had, messages are deferred" {
	need strace
	local error
	letter_to u@example.org >in
	for error in EINVAL ENOSYS; do
		without EPERM -e inject=renameat2:error=$error
		[[ $(full_codes) = *' 354 451/4.3.0 221/2.0.0' ]]
		[ "$status" = 75 ]
		nothing_kept
		# it was tried, and nothing that replaces a file was
		grep '^renameat2(.*RENAME_NOREPLACE' trace
		run ! grep -E '^rename(at)?\(' trace
	done
}

@test "link: other errors of link are not taken for a file system without links" {
	need strace
	local error
	letter_to u@example.org >in
	for error in EIO EACCES ENOSPC EMLINK; do
		without $error
		[[ $(full_codes) = *' 354 45'?'/4.'?'.'?' 221/2.0.0' ]]
		nothing_kept
		run ! grep '^rename' trace
	done
}

# ---- a name that is taken ------------------------------------------------------

@test "link: a file that has the name in new/ is never replaced, by link or by rename" {
	liar
	export LIAR=taken LIAR_ERRNO
	local n=0
	letter_to u@example.org >in
	for LIAR_ERRNO in $EEXIST $EPERM; do
		rm -f box/*/*
		through
		[ "$(grep -lx another box/new/* | wc -l)" = 1 ]
		[ "$(count box/tmp)" = 0 ]
		case $(full_codes) in
		*' 354 250/2.0.0 221/2.0.0')
			[ "$(count box/new)" = 2 ] ;;
		*' 354 451/4.3.0 221/2.0.0')
			[ "$(count box/new)" = 1 ] ;;
		*)	false ;;
		esac
		n=$((n + 1))
	done
	[ $n = 2 ]
}

# ---- --test --------------------------------------------------------------------

# tried OPTION...: what --test says of box, under strace with these OPTIONs
tried() {
	OPTS=(--test -n mx.example -d example.org -m box)
	traced -e trace=link,linkat,renameat2 "$@" </dev/null
}

@test "link: --test tries a link in tmp/, exits 0 where there is one, and takes it away" {
	need strace
	tried
	[ "$status" = 0 ]
	grep -E '^link(at)?\(.*\) += 0' trace
	nothing_kept
}

@test "link: --test exits 0 where a rename does it, and 78 where neither does" {
	need strace
	local error
	for error in EPERM EOPNOTSUPP; do
		tried -e inject=link,linkat:error=$error
		[ "$status" = 0 ]
		nothing_kept
		tried -e inject=link,linkat:error=$error \
		    -e inject=renameat2:error=EINVAL
		[ "$status" = 78 ]
		grep -i link out log
		nothing_kept
	done
}
