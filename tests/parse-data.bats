# parse-data.bats - the octets of DATA and of BDAT, cut in every place
# RFC 5321, 4.1.1.4 and 4.5.2; RFC 3030; RFC 1870 for the size

load parse

@test "data: dots, line ends and the end; by CRLF alone" {
	cases data <<-'T'
	.\r\nNEXT => end  0 left NEXT			# an empty message
	a\r\n.\r\nNEXT => end a\n 3 left NEXT			# one line
	\r\n.\r\n => end \n 2 left\x20				# an empty line
	..\r\n.\r\n => end .\n 3 left\x20			# a doubled dot
	.a\r\n.\r\n => end a\n 3 left\x20			# one that was not
	a.\r\n.\r\n => end a.\n 4 left\x20			# at a line's end
	a..b\r\n.\r\n => end a..b\n 6 left\x20		# within
	..\r\n..\r\n.\r\n => end .\n.\n 6 left\x20		# line for line
	a\0b\xff\r\n.\r\n => end a\x00b\xff\n 6 left\x20		# any octet
	\ta\r\n.\r\n => end \x09a\n 4 left\x20		# a TAB is text
	a\r\n => more a\n 3				# not yet
	a\r => more a 1					# nor here
	a\r\n. => more a\n 3				# a dot is held back
	a\r\n.\r => more a\n 3				# and a CR behind it
	12345678\r\n.\r\n => end 12345678\n 10 left\x20	# eight octets at a time
	1234567890abcde\r\n.\r\n => end 1234567890abcde\n 17 left\x20	# and more
	T
}

@test "data: near misses end nothing, and are told" {
	cases data <<-'T'
	a\n.\n => more a\n.\n bare 4
	a\n.\r\n => more a\n.\n bare 5			# the dot is in a line
	a\r\n.\nb => more a\n\nb bare 5			# the dot goes, the LF stays
	a\r.\r => more a\r. bare 3
	a\r.\r\n => more a\r.\n bare 5
	a\r\n.\rb => more a\n\rb bare 5
	a\r\n.\r\r\n => more a\n\r\n bare 6
	a\r\r\n.\r\n => end a\r\n bare 4 left\x20		# CR CR LF: the first is bare
	a\r\n\0.\r\n => more a\n\x00.\n 7			# NUL is in the way, and text
	a\r\n.\0\r\n => more a\n\x00\n 6			# and here
	.\n.\r\n => more \n.\n bare 4			# as the very first
	\n.\r\n => more \n.\n bare 4
	a\x85.\r\n => more a\x85.\n 5				# NEL is text
	a\x0b.\x0c\r\n => more a\x0b.\x0c\n 6			# VT and FF are text
	T
}

@test "data: normalize takes a bare LF for a line end, and never for the end" {
	cases data both <<-'T'
	a\nb\r\n.\r\n => end a\nb\n bare 6 left\x20
	a\n.\n => more a\n.\n bare 6
	a\n.\r\n => more a\n.\n bare 6
	a\n..\r\n.\r\n => end a\n..\n bare 7 left\x20		# not undoubled behind it
	a\r\n.\n.\r\n => more a\n\n.\n bare 8
	a\rb\r\n.\r\n => end a\rb\n bare 5 left\x20		# a CR stays
	T
}

@test "data: by hand LF ends a line, and a CR is bare" {
	cases data lf <<-'T'
	a\n.\nNEXT => end a\n 3 left NEXT
	.\nNEXT => end  0 left NEXT
	..\n.\n => end .\n 3 left\x20
	a\r\n.\r\n => more a\r\n\r\n bare 7			# CRLF ends nothing here
	a\r\n.\n => end a\r\n bare 4 left\x20
	a\r.\n => more a\r.\n bare 5
	T
}

@test "chunk: only line ends are changed" {
	cases chunk <<-'T'
	a\r\n.\r\nb\r\n => more a\n.\nb\n 9			# no dot ends it
	..\r\n => more ..\n 4				# nor is undoubled
	a => more a\n 1					# a last line gets its end
	a\r\nb => more a\nb\n 4
	 => more  0					# nothing is nothing
	a\r\n => more a\n 3
	a\r => more a\r\n bare 2				# a CR left over
	a\nb => more a\nb\n bare 3
	a\rb\r\n => more a\rb\n bare 5
	T
}

@test "chunk: normalize, and by hand" {
	cases chunk both <<-'T'
	a\n => more a\n bare 3
	a\nb\n => more a\nb\n bare 6
	T
	cases chunk lf <<-'T'
	a\nb => more a\nb\n 4
	a\r\n => more a\r\n bare 4
	T
}

@test "data: every string of five of CR, LF, dot and x is the same in any pieces" {
	local a b c d e
	for a in '\r' '\n' . x; do for b in '\r' '\n' . x; do
		for c in '\r' '\n' . x; do for d in '\r' '\n' . x; do
			for e in '\r' '\n' . x; do
				printf '%s\n' "$a$b$c$d$e"
			done
		done; done
	done; done >all
	for mode in crlf both lf; do
		"$DRIVER" data $mode <all >got
		[ "$(wc -l <got)" = 1024 ]
		run ! grep DIFFERS got
		"$DRIVER" chunk $mode <all >got
		[ "$(wc -l <got)" = 1024 ]
		run ! grep DIFFERS got
	done
}
