# boot.bash - a machine for all tests of a file, with a systemd of its own, which
# sdboot.sh boots.  Loaded behind helper.bash.
#
# A suite's setup_file begins with
#
#	"$SDBOOT" possible >"$BATS_FILE_TMPDIR/why" || return 0
#	"$SDBOOT" start "$MACHINE" TREE

SDBOOT=$ROOT/tests/sdboot.sh
MACHINE=$BATS_FILE_TMPDIR/machine

# booted [PROGRAM...]: skip (in CI: fail) where it cannot be, or one is missing
booted() {
	need_root
	need systemctl pgrep nsenter "$@"
	[ ! -s "$BATS_FILE_TMPDIR/why" ] || {
		cat "$BATS_FILE_TMPDIR/why"
		[ -z "${CI:-}" ] || return 1
		skip "$(cat "$BATS_FILE_TMPDIR/why")"
	}
	[ -s "$MACHINE/pid" ]
}

# inside COMMAND...: run it in the machine, as root
inside() {
	"$SDBOOT" run "$MACHINE" "$@"
}

teardown_file() {
	[ ! -d "$MACHINE" ] || "$SDBOOT" stop "$MACHINE"
}
