# tree.bash - a copy of the sources, for tests of what the Makefile makes

# tree: makes it, with its times, so that nothing is built that was
tree() {
	need make
	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MAKEFILES DESTDIR PREFIX \
	    SBINDIR LIBDIR INCDIR MANDIR PROGNAME CC AR CFLAGS CPPFLAGS LDFLAGS \
	    LDLIBS
	mkdir src
	(cd "$ROOT" && tar cf - --exclude=./.git --exclude=./run .) |
	    (cd src && tar xf -)
}

# mk ARG...: make in the copy
mk() {
	make -s -C src "$@" >make.out 2>&1 || { cat make.out; return 1; }
}

# files DIR: all that is no directory, with its mode
files() {
	(cd "$1" && find . -not -type d -printf '%P %m\n' | sort)
}
