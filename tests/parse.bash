# parse.bash - tables of cases for parse_driver
#
#	cases FUNCTION [MODE] <<'T'
#	input => verdict			# reason
#	T
#
# " => " ends the input, and white space before a "#" the verdict.  What an
# input may not hold as it is, it holds as \xHH; in a verdict \x20 is a blank.
# Where a function takes several arguments, \t stands between them.

load helper

setup_file() {
	export DRIVER=$ROOT/tests/parse_driver
	[ -x "$DRIVER" ] || make -s -C "$ROOT" tests/parse_driver
}

cases() {
	sed -E 's/[[:blank:]]+#( .*)?$//; /^$/d' >table
	sed -E 's/^(.*) => .*$/\1/; s/ => $//' table >inputs
	sed -E 's/^.* => ?//; s/\\x20/ /g' table >want
	case $1 in
	distance|matches|user|expand|received)
		sed -i 's/\\t/\t/g' inputs ;;
	esac
	"$DRIVER" "$@" <inputs >got
	[ "$(wc -l <inputs)" -gt 0 ]
	diff -y -W 200 --suppress-common-lines want got || {
		echo 'wanted on the left, got on the right, of these:'
		paste inputs want got | awk -F '\t' '$(NF-1) != $NF'
		return 1
	}
}
