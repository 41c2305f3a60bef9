#!/usr/bin/env bats
# package.bats - packages of contrib: Debian's, built in one clean system and installed
# in another, which is booted; an RPM, an APKBUILD, and a container
# debhelper(7), lintian(1), autopkgtest's README.package-tests, rpmbuild(8), buildah(1)

# shellcheck disable=SC2016 # what stands in single quotes is for another shell
load ../helper
load ../boot

WORK=$BATS_FILE_TMPDIR

# sources DIR: what would be committed
sources() {
	mkdir -p "$1"
	(cd "$ROOT" && git -c safe.directory='*' ls-files -co --exclude-standard -z) |
	    (cd "$ROOT" && tar cf - --null -T -) | tar xf - -C "$1"
}

setup_file() {
	local release version src
	version=$(sed -n 's/^VERSION *= *//p' "$ROOT/Makefile")
	"$SDBOOT" possible >"$WORK/why" || return 0
	command -v mmdebstrap >/dev/null || return 0
	release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	mmdebstrap --quiet --variant=buildd --include=debhelper "$release" \
	    "$WORK/build" >"$WORK/mmdebstrap" 2>&1 || return 0
	src=$WORK/build/root/smtpd-$version
	sources "$src"
	tar czf "$src/../smtpd_$version.orig.tar.gz" -C "$src/.." \
	    --exclude=contrib/debian "smtpd-$version"
	cp -r "$src/contrib/debian" "$src/debian"
	rm -r "$src/contrib/debian"
	mount -t proc proc "$WORK/build/proc"
	chroot "$WORK/build" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C sh -c \
	    "cd /root/smtpd-$version && dpkg-buildpackage -us -uc" \
	    >"$WORK/built" 2>&1 </dev/null || :
	umount "$WORK/build/proc"
	# nothing of that system is in this one
	mmdebstrap --quiet --variant=minbase \
	    --include=systemd,systemd-sysv,dbus,procps,swaks "$release" \
	    "$WORK/clean" >>"$WORK/mmdebstrap" 2>&1 || return 0
	cp "$WORK"/build/root/smtpd_*.deb "$WORK/clean/root/smtpd.deb" || return 0
	SDBOOT_ROOT=$WORK/clean "$SDBOOT" start "$MACHINE"
}

teardown_file() {
	[ ! -d "$MACHINE" ] || "$SDBOOT" stop "$MACHINE"
	! mountpoint -q "$WORK/build/proc" || umount "$WORK/build/proc"
}

# packaged: the package was built, and the clean system runs
packaged() {
	need_root
	need mmdebstrap chroot
	[ -s "$WORK/why" ] || [ -e "$(echo "$WORK"/build/root/smtpd_*.deb)" ] || {
		tail -n 40 "$WORK/mmdebstrap" "$WORK/built"
		return 1
	}
	booted
}

# dpkg_inside ARG...
dpkg_inside() {
	inside env DEBIAN_FRONTEND=noninteractive dpkg "$@" >said 2>&1 ||
	    { cat said; return 1; }
}

@test "Debian: lintian has no error and no warning, of the source and of what was built" {
	need lintian
	packaged
	lintian --fail-on error,warning "$WORK"/build/root/smtpd_*.changes >said 2>&1 || {
		cat said
		false
	}
	run ! grep -E '^[EW]:' said
}

@test "Debian: it installs where there was nothing, makes the user and postmaster's Maildir, and enables nothing" {
	packaged
	run ! inside id smtpd
	inside sh -c 'ls /etc/systemd/system/*.wants 2>/dev/null | sort' >before
	dpkg_inside -i /root/smtpd.deb
	inside sh -c 'ls /etc/systemd/system/*.wants 2>/dev/null | sort' | diff before -
	[ "$(inside systemctl is-enabled in.smtpd.socket)" = disabled ]
	[ "$(inside systemctl is-active in.smtpd.socket)" = inactive ]
	[ "$(inside stat -c '%U:%G %a' /var/mail/smtpd/postmaster/new)" = 'smtpd:smtpd 700' ]
	inside getent passwd smtpd | grep -q ':/usr/sbin/nologin$'
	inside in.smtpd --version
}

@test "Debian: autopkgtest's test sends a mail through the installed unit" {
	packaged
	inside sh -c 'test -x /usr/sbin/in.smtpd || dpkg -i /root/smtpd.deb' >said 2>&1
	inside tee /root/mail <"$ROOT/contrib/debian/tests/mail" >/dev/null
	grep -qx 'Tests: mail' "$ROOT/contrib/debian/tests/control"
	inside timeout 120 sh -x /root/mail >said 2>&1 || {
		cat said
		inside journalctl -q -n 30 -o cat
		false
	}
}

@test "Debian: it stands beside opensmtpd, which has /usr/sbin/smtpd" {
	packaged
	(cd "$BATS_TEST_TMPDIR" && apt-get -q -o APT::Sandbox::User=root \
	    download opensmtpd >said 2>&1) || { cat said; false; }
	dpkg -c opensmtpd_*.deb | awk '$1 !~ /^d/ { print $6 }' | sort >theirs
	dpkg -c "$WORK"/build/root/smtpd_*.deb | awk '$1 !~ /^d/ { print $6 }' | sort >ours
	grep -qx ./usr/sbin/smtpd theirs
	[ -z "$(comm -12 ours theirs)" ]
}

@test "Debian: an upgrade keeps what was configured, and purging leaves the mail" {
	packaged
	inside sh -c 'test -x /usr/sbin/in.smtpd || dpkg -i /root/smtpd.deb' >said 2>&1
	echo 'maildir /var/mail/smtpd/postmaster' | inside tee /etc/smtpd/smtpd.conf
	inside sh -c 'echo mail >/var/mail/smtpd/postmaster/new/mail'
	dpkg_inside -i /root/smtpd.deb
	[ "$(inside cat /etc/smtpd/smtpd.conf)" = 'maildir /var/mail/smtpd/postmaster' ]
	inside systemctl start in.smtpd.socket
	inside bash -c 'exec 9<>/dev/tcp/127.0.0.1/25'
	# an upgrade lets it listen on, by the new unit
	dpkg_inside -i /root/smtpd.deb
	inside bash -c 'exec 9<>/dev/tcp/127.0.0.1/25'
	[ "$(inside systemctl show -P NeedDaemonReload in.smtpd.socket)" = no ]
	dpkg_inside --purge smtpd
	run ! inside bash -c 'exec 9<>/dev/tcp/127.0.0.1/25'
	run ! inside sh -c 'ls -d /etc/smtpd /usr/sbin/in.smtpd* /lib/systemd/system/*smtpd* 2>/dev/null | grep .'
	[ "$(inside cat /var/mail/smtpd/postmaster/new/mail)" = mail ]
}

@test "Debian: README's steps are those by which it was built and is set up" {
	packaged
	sed -n '/^The Debian package has/,/^### /s/^    //p' "$ROOT/README.md" >steps
	[ "$(wc -l <steps)" = 4 ]
	inside sh -c 'test ! -x /usr/sbin/in.smtpd || dpkg --purge smtpd' >said 2>&1
	dpkg_inside -i /root/smtpd.deb
	(echo domain=example.org; sed 1,2d steps) | inside sh -e >said 2>&1 || { cat said; false; }
	inside swaks --server 127.0.0.1 --to postmaster@example.org >said 2>&1 || { cat said; false; }
	# what it says of itself is its own name
	inside grep -q 'Documentation=man:in.smtpd(8)' /lib/systemd/system/in.smtpd.socket
	run ! inside grep -rE '/usr/local/sbin/smtpd|[^.]smtpd@\.' /usr/share/doc/smtpd/examples
	dpkg_inside --purge smtpd
}

@test "RPM: the spec builds from the archive of dist, installs, runs, and goes" {
	need rpmbuild rpm git
	local version
	version=$(sed -n 's/^VERSION *= *//p' "$ROOT/Makefile")
	grep -qx "Version: *$version" "$ROOT/contrib/smtpd.spec"
	mkdir -p rpm/SOURCES
	sources "smtpd-$version"
	tar czf "rpm/SOURCES/smtpd-$version.tar.gz" "smtpd-$version"
	rpmbuild -bb --nodeps --define "_topdir $PWD/rpm" "$ROOT/contrib/smtpd.spec" \
	    >said 2>&1 || { tail -n 30 said; false; }
	rpm --root "$PWD/root" --initdb
	rpm --root "$PWD/root" --nodeps --noscripts -i rpm/RPMS/*/smtpd-"$version"*.rpm
	printf 'QUIT\r\n' | root/usr/sbin/in.smtpd -n mx.example -d example.org |
	    grep -q '^220 mx.example'
	grep -q '^ExecStart=-/usr/sbin/in.smtpd --config' root/usr/lib/systemd/system/in.smtpd@.service
	rpm --root "$PWD/root" --noscripts -e smtpd
	[ -z "$(find root -name '*smtpd*' ! -path '*/var/*')" ]
}

@test "APKBUILD: its steps build and install the program; abuild itself is not to be had here" {
	local version
	version=$(sed -n 's/^VERSION *= *//p' "$ROOT/Makefile")
	grep -qx "pkgver=$version" "$ROOT/contrib/APKBUILD"
	mkdir src
	sources "src/smtpd-$version"
	sh -eu -c 'srcdir=$PWD/src pkgdir=$PWD/pkg
		. "$1"
		cd "$builddir"
		build
		check
		package' - "$ROOT/contrib/APKBUILD" >said 2>&1 || { cat said; false; }
	[ -x pkg/usr/sbin/in.smtpd ]
	[ -s pkg/etc/smtpd/smtpd.conf ]
	[ ! -e pkg/usr/sbin/smtpd ]
	pkg/usr/sbin/in.smtpd -T -f pkg/etc/smtpd/smtpd.conf | grep 'maildir /var/mail/smtpd/{user}'
}

@test "container: buildah makes it from scratch, and it takes a mail where there is nothing else" {
	need_root
	need buildah musl-gcc curl
	local b
	make -s -C "$ROOT" sink-static
	b=(buildah --root "$PWD/images" --runroot "$PWD/run" --storage-driver vfs)
	"${b[@]}" bud --isolation chroot -f "$ROOT/contrib/smtpsink.container" \
	    -t smtpsink "$ROOT" >said 2>&1 || { cat said; false; }
	local c at
	c=$("${b[@]}" from smtpsink)
	at=$("${b[@]}" mount "$c")
	[ "$(find "$at" -type f | wc -l)" = 1 ]
	mkdir -p mail
	"${b[@]}" inspect --type image --format '{{.OCIv1.Config.Entrypoint}}' smtpsink |
	    grep -q smtpsink
	# in namespaces of its own, as a runtime would
	unshare --mount --uts --ipc --net --pid --fork --kill-child bash -c '
		ip link set lo up
		mkdir -p "$1/mail"
		mount --bind mail "$1/mail"
		chroot "$1" /smtpsink -p 0.0.0.0:2525 /mail &
		for _ in {1..100}; do
			! printf "Subject: x\n\nx\n" | curl -sS --crlf smtp://127.0.0.1:2525 \
			    --mail-from a@c.example --mail-rcpt u@example.org -T - \
			    2>/dev/null || exit 0
			sleep 0.1
		done
		exit 1' - "$at" </dev/null >ran 2>&1 3>&- || { cat ran; false; }
	grep -q '^Subject: x$' mail/new/*
	"${b[@]}" umount -a >/dev/null
}
