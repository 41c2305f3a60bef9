#!/bin/bash
# sdboot.sh - boot the machine's own systemd in namespaces, on a throw-away
# overlay of /, with a network of its own that is only lo.  Nothing has to be
# installed and nothing stays.
#
#	sdboot.sh possible		true if it can be done here; else says why
#	sdboot.sh start DIR [TREE]	boot; the files of TREE are laid over /
#	sdboot.sh run DIR COMMAND...	run a command inside
#	sdboot.sh stop DIR		end all of it
#
# SDBOOT_ROOT is the root of another system to boot, in place of this machine's.
# DIR is a directory for the state: outer and pid, the processes; cgroup; and
# console, what systemd said.

set -eu

SYSTEMD=/lib/systemd/systemd
INSIDE=(env -i PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
    TERM=dumb SYSTEMD_COLORS=0 SYSTEMD_PAGER='' container=unshare)
NAMESPACES=(--pid --mount --uts --ipc --cgroup --net)

hierarchy() {
	awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts
}

possible() {
	[ "$(id -u)" = 0 ] || { echo 'not root'; return 1; }
	[ -x $SYSTEMD ] || { echo "no $SYSTEMD"; return 1; }
	[ -w "$(hierarchy)/cgroup.procs" ] || { echo 'no cgroup2'; return 1; }
	unshare "${NAMESPACES[@]}" --fork mount -t tmpfs tmpfs /mnt 2>/dev/null ||
	    { echo 'namespaces or mounts are not allowed'; return 1; }
}

# devices ROOT: /dev with what a service may expect, and no disk
devices() {
	local dev=$1/dev n
	mount -t tmpfs -o mode=755 tmpfs "$dev"
	for n in null zero full random urandom tty; do
		: >"$dev/$n"
		mount --bind "/dev/$n" "$dev/$n"
	done
	mkdir "$dev/pts" "$dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$dev/pts"
	mount -t tmpfs tmpfs "$dev/shm"
	ln -s pts/ptmx "$dev/ptmx"
	ln -s /proc/self/fd "$dev/fd"
	ln -s fd/0 "$dev/stdin"
	ln -s fd/1 "$dev/stdout"
	ln -s fd/2 "$dev/stderr"
}

# init DIR [TREE]: as process 1 of the new namespaces, become systemd
init() {
	local dir=$1 tree=${2:-} root
	mount --make-rprivate /
	mount -t tmpfs tmpfs "$dir/mnt"
	mkdir "$dir/mnt/upper" "$dir/mnt/work" "$dir/mnt/root"
	root=$dir/mnt/root
	mount -t overlay -o \
	    "lowerdir=${SDBOOT_ROOT:-/},upperdir=$dir/mnt/upper,workdir=$dir/mnt/work" \
	    overlay "$root"
	# nothing of the machine's is started, mounted or asked for
	rm -rf "$root"/etc/systemd/system/*.wants
	rm -f "$root/etc/fstab"
	: >"$root/etc/machine-id"
	ln -sf /lib/systemd/system/multi-user.target \
	    "$root/etc/systemd/system/default.target"
	[ -z "$tree" ] || cp -r "$tree/." "$root/"
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	devices "$root"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	mount -t tmpfs tmpfs "$root/tmp"
	cd "$root"
	mkdir -p .before
	pivot_root . .before
	umount -l .before
	# systemd does so itself, but not in what it takes for a container
	mount --make-rshared /
	exec "${INSIDE[@]}" $SYSTEMD --system --log-target=console \
	    --show-status=no
}

# swept: what a machine has left here that was killed before its stop
swept() {
	local cgroup
	for cgroup in "$(hierarchy)"/sdboot.*; do
		[ -d "$cgroup" ] && [ ! -d "/proc/${cgroup##*.}" ] &&
		    grep -qx 'populated 0' "$cgroup/cgroup.events" &&
		    find "$cgroup" -depth -type d -exec rmdir {} +
	done 2>/dev/null
	return 0
}

is_up() {
	case $(run "$1" systemctl is-system-running 2>/dev/null) in
	running|degraded) return 0 ;;
	esac
	return 1
}

start() {
	local dir=$1 tree=${2:-} cgroup pid
	swept
	mkdir -p "$dir/mnt"
	cgroup=$(hierarchy)/sdboot.$$
	mkdir "$cgroup"
	echo "$cgroup" >"$dir/cgroup"
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		exec setsid unshare "${NAMESPACES[@]}" --fork --kill-child \
		    "$0" init "$dir" "$tree"
	) >"$dir/console" 2>&1 </dev/null 3>&- &
	echo $! >"$dir/outer"
	for _ in {1..300}; do
		sleep 0.1
		pid=$(pgrep -P $!) || continue
		echo "$pid" >"$dir/pid"
		! is_up "$dir" || return 0
	done
	echo 'systemd did not come up' >&2
	cat "$dir/console" >&2
	stop "$dir"
	return 1
}

run() {
	local pid
	pid=$(cat "$1/pid")
	shift
	nsenter -t "$pid" -a --root --wd "${INSIDE[@]}" "$@"
}

# Process 1 takes all of its namespace with it, and goes itself when unshare
# does.  A SIGTERM would only make it start anew.
stop() {
	local pid
	while read -r pid; do
		kill -KILL "$pid" 2>/dev/null || :
		for _ in {1..100}; do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	done < <(cat "$1/outer" "$1/pid" 2>/dev/null)
	for _ in {1..50}; do
		find "$(cat "$1/cgroup")" -depth -type d -exec rmdir {} + \
		    2>/dev/null || :
		[ -d "$(cat "$1/cgroup")" ] || return 0
		sleep 0.1
	done
	echo "$(cat "$1/cgroup") is still in use" >&2
	return 1
}

case ${1:-} in
possible|start|run|stop|init)
	"$@" ;;
*)
	sed -n '/^#	/s/^#	//p' "$0" >&2
	exit 64 ;;
esac
