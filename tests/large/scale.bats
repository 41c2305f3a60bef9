#!/usr/bin/env bats
# scale.bats - contrib/scale on hosts of its own, all of them killed at random: each mail
# is at the far end, once
# contrib/scale/README, scale.py

load ../helper

hosts() {
	need_root
	need unshare nsenter ip mkfs.ext4 haproxy tcpserver "$@"
	run unshare --mount --net ip link add br0 type bridge
	[ "$status" = 0 ] || {
		[ -z "${CI:-}" ] || return 1
		skip 'there is no bridge in a network of its own'
	}
}

# scale [TREE] ARG...: what it has started ends with it
scale() {
	unshare --mount --net --pid --fork --kill-child --mount-proc \
	    "${1:-$ROOT}/tests/large/scale.py" "${@:2}" 3>&-
}

# once MAILS KIND
once() {
	mkdir far
	scale '' --mails "$1" --dir far "$2" >said || {
		cat said
		tail -n 20 far/*.log
		return 1
	}
	cat said
	grep -x '0 lost, 0 twice, 0 altered' said
	# what the clients went through
	grep -E '[1-9][0-9]* smtpd' said
	grep -E 'host mx' said
}

@test "scale: through HAProxy and three smtpds into Redis and out of it: 10000 mails, each once" {
	hosts redis-server redis-cli
	/usr/bin/python3 -c 'import redis' 2>/dev/null || need python3-redis
	once 10000 redis
	grep -E '[1-9][0-9]* redis-server' said
	grep -E '[1-9][0-9]* haproxy' said
	grep -E 'host (store|files)' said
}

@test "scale: through HAProxy and three smtpds into Dovecot by LMTP: 1500 mails, each once" {
	hosts dovecot sievec msmtp
	once 1500 lmtp
}

@test "scale: without the key a mail comes twice, and that is seen" {
	hosts redis-server redis-cli
	/usr/bin/python3 -c 'import redis' 2>/dev/null || need python3-redis
	mkdir far forgetful
	cp -r "$ROOT"/{smtpd,contrib,tests} forgetful
	sed -i 's/^if redis.call("EXISTS", seen) == 1 then/if false then/' \
	    forgetful/contrib/mail-to-redis
	run ! cmp -s forgetful/contrib/mail-to-redis "$ROOT/contrib/mail-to-redis"
	run -1 scale forgetful --mails 300 --kills 5 --dir far redis
	grep -xE '0 lost, [1-9][0-9]* twice, 0 altered' <<<"$output"
}
