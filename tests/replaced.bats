#!/usr/bin/env bats
# Directories that are not what they were, or are links: no mail goes where it was not to (maildir(5))
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load helper

maildir() {
	local dir
	for dir; do
		mkdir -p "$dir"/{tmp,new,cur}
	done
}

# not_into OLD NEW: attempt $WHO: the mail is in NEW, or deferred and in
# neither; OLD has one, from before
not_into() {
	attempt "$WHO"
	case $verdict in
	250/2.0.0)	[ "$(count "$2/new") $(count "$2")" = '1 1' ] ||
			{ echo '250, and not in the new one'; return 1; } ;;
	451/4.3.0)	[ "$(count "$2")" = 0 ] ||
			{ echo '451, and in the new one'; return 1; } ;;
	*)		echo "$verdict"; return 1 ;;
	esac
	[ "$(count "$1")" = 1 ] || { echo 'not one in the old one'; return 1; }
}

WHO=alice@example.org

@test "replaced: a Maildir that is moved in a session gets no more mail, but that in its place does" {
	connect
	attempt $WHO
	[ "$verdict" = 250/2.0.0 ]
	mv box old
	maildir box
	not_into old box
	hangup
	# and in a new session it does
	rm -f box/new/*
	mail_to $WHO
	[ "$status" = 0 ]
	only_message box
	[ "$(count old)" = 1 ]
}

# unconfined: with a program to ask, which may be anywhere, nothing keeps the
# session to the place that was there at its start
unconfined() {
	cat >policy <<-'SH'
		#!/bin/sh
		while read -r line; do
			[ -n "$line" ] || printf 'action=DUNNO\n\n'
		done
	SH
	chmod 755 policy
	OPTS+=(--policy "$PWD/policy")
}

@test "replaced: without the confinement that keeps a session to the old place, the new one has the mail" {
	unconfined
	connect
	attempt $WHO
	[ "$verdict" = 250/2.0.0 ]
	mv box old
	maildir box
	not_into old box
	[ "$verdict" = 250/2.0.0 ]
	# the one that was moved comes back
	rm -r box
	mv old box
	attempt $WHO
	[ "$verdict" = 250/2.0.0 ]
	hangup
	[ "$(count box/new)" = 2 ]
	[ "$status" = 0 ]
}

@test "replaced: a Maildir that is gone defers, and when it is back the next is delivered" {
	connect
	attempt $WHO
	mv box old
	attempt $WHO
	[ "$verdict" = 451/4.3.0 ]
	[ ! -e box ]
	[ "$(count old)" = 1 ]
	mv old box
	attempt $WHO
	[ "$verdict" = 250/2.0.0 ]
	hangup
	[ "$(count box/new)" = 2 ]
	[ "$(count box)" = 2 ]
}

@test "replaced: new/ or tmp/ that is replaced in a session is not written to any more" {
	local dir confined
	for confined in true false; do
		[ $confined = true ] || unconfined
		for dir in new tmp; do
			rm -rf box old
			maildir box
			connect
			attempt $WHO
			[ "$verdict" = 250/2.0.0 ]
			mv box/$dir old
			mkdir box/$dir
			attempt $WHO
			hangup
			# new/ took one mail with it, tmp/ none
			[ "$(count old)" = "$([ $dir = tmp ]; echo $?)" ]
			[ "$(count box/tmp)" = 0 ]
			case $dir:$verdict in
			new:250/2.0.0)	[ "$(count box/new)" = 1 ] ;;
			new:451/4.3.0)	[ "$(count box/new)" = 0 ] ;;
			tmp:250/2.0.0)	[ "$(count box/new)" = 2 ] ;;
			tmp:451/4.3.0)	[ "$(count box/new)" = 1 ] ;;
			*)		echo "$dir: $verdict"; false ;;
			esac
		done
	done
}

@test "replaced: a Maildir that is mounted over in a session gets no more mail" {
	need_root
	need unshare
	need nsenter
	local below
	WRAP=(unshare -m --propagation private)
	connect
	attempt $WHO
	[ "$verdict" = 250/2.0.0 ]
	# shellcheck disable=SC2016 # for sh
	nsenter -t "$server" -m --wd="$PWD" sh -c 'mount -t tmpfs none "$1" &&
	    mkdir "$1/tmp" "$1/new" "$1/cur"' sh "$PWD/box"
	# what is mounted there, and what is below
	below=$PWD/box
	not_into "$below" "/proc/$server/root$PWD/box"
	hangup
}

@test "replaced: an account of a template that is moved in a session gets no more mail" {
	maildir home/postmaster home/alice
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
	connect
	attempt $WHO
	[ "$verdict" = 250/2.0.0 ]
	mv home/alice home/old
	maildir home/alice
	not_into home/old home/alice
	[ "$verdict" = 250/2.0.0 ]
	# all of them
	mv home/alice home/alice2
	mv home gone
	maildir home/postmaster home/alice
	attempt $WHO
	case $verdict in
	250/2.0.0)	[ "$(count home/alice/new)" = 1 ] ;;
	451/4.3.0)	[ "$(count home)" = 0 ] ;;
	*)		false ;;
	esac
	hangup
	[ "$(count gone)" = 2 ]
}

# ---- links ---------------------------------------------------------------------

# linked DIR LEAF TARGET: DIR/LEAF is a link to TARGET; mail to $WHO is
# deferred, and nothing is there; as a directory again it takes mail
linked() {
	rmdir "$1/$2"
	ln -s "$3" "$1/$2"
	mail_to $WHO
	[[ $(full_codes) = *' 451/4.3.0 '* && $(full_codes) != *' 250/2.0.0'* ]] ||
		{ echo "$1/$2 to $3: $(full_codes)"; return 1; }
	[ "$status" = 75 ] || return 1
	[ -z "$(find . -path '*/new/*' -type f -o -path '*/tmp/*' -type f \
	    -o -path '*/aside/*' -type f)" ] ||
		{ echo "$1/$2 to $3: something is there"; return 1; }
	rm "$1/$2"
	mkdir "$1/$2"
	mail_to $WHO
	[ "$status" = 0 ] || return 1
	only_message "$1" || return 1
	rm "$1"/new/*
}

@test "replaced: tmp/ or new/ that is a link takes no mail, wherever it leads" {
	local leaf
	mkdir -p aside box/aside
	for leaf in tmp new; do
		linked box $leaf "$PWD/aside"
		linked box $leaf aside
		linked box $leaf cur
	done
}

@test "replaced: tmp/ or new/ of an account that is a link takes no mail, wherever it leads" {
	local leaf
	maildir home/postmaster home/alice home/bob
	mkdir -p aside home/alice/aside
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
	for leaf in tmp new; do
		linked home/alice $leaf "$PWD/aside"
		linked home/alice $leaf aside
		linked home/alice $leaf "../bob/$leaf"
	done
}

@test "replaced: with LMTP an account whose new/ is a link defers only itself" {
	maildir home/postmaster home/alice home/bob
	rmdir home/alice/new
	ln -s ../bob/new home/alice/new
	OPTS=(-n mx.example -d example.org -m 'home/{user}' --lmtp)
	letter_to {alice,bob}@example.org | sed 's/^EHLO/LHLO/' >in
	send <in
	[ "$(full_codes)" = '220 250 250/2.1.0 250/2.1.5 250/2.1.5 354 451/4.3.0 250/2.0.0 221/2.0.0' ]
	stored_is msg home/bob
	[ "$(count home)" = 1 ]
	[ "$(count home/alice/tmp)" = 0 ]
}

@test "replaced: a Maildir may be reached through a link, and an account be one" {
	mv box real
	ln -s real box
	mail_to $WHO
	[ "$status" = 0 ]
	only_message real
	maildir home/postmaster home/bob
	ln -s bob home/alice
	OPTS=(-n mx.example -d example.org -m 'home/{user}')
	mail_to $WHO
	[ "$status" = 0 ]
	only_message home/bob
}
