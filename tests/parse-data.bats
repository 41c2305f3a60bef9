# parse-data.bats - DATA and BDAT decoded, whole and in pieces
# RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2; RFC 1870, 5; RFC 3030, 2
#
# A row is input, verdict, reason; parse_driver.c says how octets are written.
# DATA's verdict is end or more|what is stored|octets counted|what follows,
# BDAT's what is stored|octets counted, and each ends in |bare if a CR or LF
# was met that belongs to no line end.  The driver cuts each input in pieces
# of every size and gives room of every size: the verdict must be the same.

load parse

@test "DATA: lines are stored with LF, and CRLF dot CRLF ends them" {
	"$DRIVER" data crlf <<-'S'
		a\r\n.\r\n			end|a\n|3|			one line
		a\r\nb c\r\n\r\nd\r\n.\r\n	end|a\nb c\n\nd\n|13|		some, and an empty one
		.\r\n				end||0|				none: DATA's own CRLF is the first
		\r\n.\r\n			end|\n|2|			an empty one
		\r\n\r\n\r\n.\r\n		end|\n\n\n|6|			three of them
		a\r\n.\r\nQUIT\r\n		end|a\n|3|QUIT\r\n		what follows is left for others
		.\r\n.\r\n			end||0|.\r\n			a second end, too
		a\r\n.\r\n\x00			end|a\n|3|\x00			and rubbish
		\{70}a\r\n\{70}b\r\n.\r\n	end|\{70}a\n\{70}b\n|144|	lines longer than a machine word
		\{1100}a\r\n.\r\n		end|\{1100}a\n|1102|		one longer than 998 octets
	S
}

@test "DATA: one dot at the head of a line goes, and no other" {
	"$DRIVER" data crlf <<-'S'
		..\r\n.\r\n		end|.\n|3|		the first line
		a\r\n..\r\n.\r\n	end|a\n.\n|6|		another
		...\r\n.\r\n		end|..\n|4|		three dots
		..a\r\n.\r\n		end|.a\n|4|		text behind two
		.a\r\n.\r\n		end|a\n|3|		text behind one: no client sends this
		. \r\n.\r\n		end| \n|3|		a blank behind one
		.\t\r\n.\r\n		end|\t\n|3|		a TAB
		a.\r\n.\r\n		end|a.\n|4|		a dot behind text
		\s.\r\n.\r\n		end| .\n|4|		a dot behind a blank
		a.b..c\r\n.\r\n		end|a.b..c\n|8|		dots in text
		\r\n..\r\n.\r\n		end|\n.\n|5|		behind an empty line
		..\r\n..\r\n..\r\n.\r\n	end|.\n.\n.\n|9|	line upon line
	S
}

@test "DATA: octets count as RFC 1870 has them: line ends two, dots undoubled" {
	"$DRIVER" data crlf <<-'S'
		ab\r\n.\r\n		end|ab\n|4|		two letters, two of CRLF, none of the end
		..ab\r\n.\r\n		end|.ab\n|5|		the dot that stays
		.\r\n			end||0|			nothing
		\x00\xff\r\n.\r\n	end|\x00\xff\n|4|	octets, not characters
	S
	"$DRIVER" data lf <<-'S'
		ab\n.\n	end|ab\n|4|	LF counts as CRLF will
	S
	"$DRIVER" data crlf-normalize <<-'S'
		a\nb\r\n.\r\n	end|a\nb\n|6||bare	a bare LF that is a line end, too
		a\rb\r\n.\r\n	end|a b\n|5||bare	a bare CR is one octet
	S
	"$DRIVER" data crlf <<-'S'
		a\nb\r\n.\r\n	end|a\nb\n|5||bare	a bare LF that is none
	S
}

@test "DATA: every near miss of an end ends nothing" {
	"$DRIVER" data crlf <<-'S'
		a\n.\nb				more|a\n.\nb|5||bare		LF dot LF
		a\n.\r\nb			more|a\n.\nb|6||bare		LF dot CRLF: CVE-2023-51764
		a\r\n.\nb			more|a\n\nb|5||bare		CRLF dot LF
		a\r.\rb				more|a\r.\rb|5||bare		CR dot CR
		a\r.\r\nb			more|a\r.\nb|6||bare		CR dot CRLF
		a\r\n.\rb			more|a\n\rb|5||bare		CRLF dot CR
		a\r\n.\r\r\nb			more|a\n\r\nb|7||bare		CRLF dot CR CRLF
		a\r\r\n.\r\n			end|a\r\n|4||bare		CR CRLF is a line end behind a bare CR
		a\n\r.\r\nb			more|a\n\r.\nb|7||bare		LF CR dot
		a\r\n\n.\r\nb			more|a\n\n.\nb|8||bare		CRLF LF dot
		a\r\n.\n\r\nb			more|a\n\n\nb|7||bare		CRLF dot LF CRLF
		.\nb				more|\nb|2||bare		dot LF as the very first
		.\rb				more|\rb|2||bare		dot CR
		\n.\r\nb			more|\n.\nb|5||bare		LF as the very first
		\r.\r\nb			more|\r.\nb|5||bare		CR
		a\r\n.\x00\r\nb			more|a\n\x00\nb|7|		a NUL behind the dot
		a\r\n\x00.\r\nb			more|a\n\x00.\nb|8|		before it
		a\r\x00\n.\r\nb			more|a\r\x00\n.\nb|8||bare	within a CRLF
		a\r\n. \r\nb			more|a\n \nb|7|			a blank behind it
		a\r\n .\r\nb			more|a\n .\nb|8|		before it
		a\r\n..\r\nb			more|a\n.\nb|7|			two dots
		a\x0b.\x0bb			more|a\x0b.\x0bb|5|		VT is no line end
		a\x0c.\x0cb			more|a\x0c.\x0cb|5|		nor is FF
		a\x85.\x85b			more|a\x85.\x85b|5|		nor NEL
		a\xc2\x85.\xc2\x85b		more|a\xc2\x85.\xc2\x85b|7|	in UTF-8 neither
		a\xe2\x80\xa8.\xe2\x80\xa8b	more|a\xe2\x80\xa8.\xe2\x80\xa8b|9|	nor U+2028
		\x8d\x8a.\x8d\x8a		more|\x8d\x8a.\x8d\x8a|5|	CR and LF with an eighth bit
	S
}

@test "DATA: a bare CR or LF is noted, kept, and the true end found behind it" {
	"$DRIVER" data crlf <<-'S'
		a\nb\r\n.\r\nQUIT	end|a\nb\n|5|QUIT|bare	LF
		a\rb\r\n.\r\nQUIT	end|a\rb\n|5|QUIT|bare	CR
		\n\r\n.\r\n		end|\n\n|3||bare	LF in front
		\r\r\n.\r\n		end|\r\n|3||bare	CR in front
		\r\r\r\n.\r\n		end|\r\r\n|4||bare	two of them
		a\n\n\n\r\n.\r\n	end|a\n\n\n\n|6||bare	many
		a\n\r\n.\r\n		end|a\n\n|4||bare	LF CRLF
		a\r\n.\r\r\n.\r\n	end|a\n\r\n|6||bare	CR behind a dot, then the end
		a\r\n.\nb\r\n.\r\n	end|a\n\nb\n|7||bare	LF behind a dot, then the end
		a\r\n..\nb\r\n.\r\n	end|a\n.\nb\n|8||bare	LF behind two
	S
}

@test "DATA: normalized, a bare LF is a line end, but takes no part in the end of the message" {
	"$DRIVER" data crlf-normalize <<-'S'
		a\nb\r\n.\r\n		end|a\nb\n|6||bare	a line end
		a\n.\r\nb\r\n.\r\n	end|a\n.\nb\n|9||bare	LF dot CRLF
		a\n.\nb\r\n.\r\n	end|a\n.\nb\n|9||bare	LF dot LF
		a\r\n.\nb\r\n.\r\n	end|a\n\nb\n|8||bare	CRLF dot LF
		a\n..\r\n.\r\n		end|a\n..\n|7||bare	a dot behind it is not taken for a doubled one
		a\r\n.\r\n		end|a\n|3|		without one nothing is noted
	S
}

@test "DATA: normalized, a bare CR is a blank, and takes no part in any ending" {
	"$DRIVER" data crlf-normalize <<-'S'
		a\rb\r\n.\r\n		end|a b\n|5||bare	within a line
		\r\r\n.\r\n		end| \n|3||bare	before its end
		\r\r\r\n.\r\n		end|  \n|4||bare	two of them
		a\r.\r\nb\r\n.\r\n	end|a .\nb\n|8||bare	CR dot CRLF
		a\r.\rb\r\n.\r\n	end|a . b\n|7||bare	CR dot CR
		a\r\n.\rb\r\n.\r\n	end|a\n b\n|7||bare	CRLF dot CR
		a\r\n.\r\r\nb\r\n.\r\n	end|a\n \nb\n|9||bare	CRLF dot CR CRLF
		a\n.\r\r\n.\r\n	end|a\n. \n|7||bare	LF dot CR CRLF
		a\n\r.\r\nb\r\n.\r\n	end|a\n .\nb\n|10||bare	LF CR dot
		a\r..\r\n.\r\n		end|a ..\n|6||bare	dots behind it are dots
		a\r			more|a|1|		what may yet be CRLF is held back
		a\r\n.\r		more|a\n|3|		behind a dot, too
	S
	"$DRIVER" data lf-normalize <<-'S'
		a\rb\n.\n		end|a b\n|5||bare	by hand
		a\r\n.\n		end|a\n|3|		CRLF is a line end, too
		a\n.\r\n.\n		end|a\n|3|.\n		and may be the last
		a\n.\rb\n.\n		end|a\n b\n|7||bare	behind the dot: no end
		a\r.\n.\n		end|a .\n|5||bare	before it
		\r			more||0|		what may yet be CRLF is held back
		a\n.\n			end|a\n|3|		without one nothing is noted
	S
}

@test "DATA: by hand LF is the line end, and LF dot LF the end" {
	"$DRIVER" data lf <<-'S'
		a\n.\n			end|a\n|3|		a line
		.\n			end||0|			none
		a\nb\n\n.\nQUIT\n	end|a\nb\n\n|8|QUIT\n	some
		..\n...\n.a\n.\n	end|.\n..\na\n|10|	dots
		a\r\n.\n		end|a\r\n|4||bare	CR is no part of a line end
		a\n.\r\n.\n		end|a\n\r\n|6||bare	CR behind the dot: no end
		a\r\n.\r\n		more|a\r\n\r\n|7||bare	CRLF dot CRLF is none
		\r\n			more|\r\n|3||bare	CR in front
		\r			more|\r|1||bare		nothing waits behind CR
		a\r.\r			more|a\r.\r|4||bare	CR dot CR
	S
}

@test "DATA: at the end of input before the dot what may yet be an end is held back" {
	"$DRIVER" data crlf <<-'S'
		\e		more||0|	nothing came
		a		more|a|1|	text
		a\r		more|a|1|	CR
		a\r\n		more|a\n|3|	a line
		a\r\n.		more|a\n|3|	a dot
		a\r\n.\r	more|a\n|3|	a dot and CR
		.		more||0|	a dot first
		.\r		more||0|	a dot and CR first
		\r		more||0|	CR first
		a\r\n..		more|a\n.|4|	two dots
	S
}

@test "DATA: no octet but CR, LF and the dot means anything" {
	local i c row='' heads='' stored=''
	for ((i = 0; i < 256; i++)); do
		[ $i != 10 ] && [ $i != 13 ] || continue
		printf -v c '\\x%02x' $i
		row+=$c
		[ $i != 46 ] || c=..
		heads+=$c'\r\n' stored+=${c#.}'\n'
	done
	printf '%s\t%s\t%s\n' "$row"'\r\n.\r\n' "end|$row"'\n|256|' 'in a row' \
	    "$heads"'.\r\n' "end|$stored|762|" 'at the head of a line' >rows
	"$DRIVER" data crlf <rows
}

@test "DATA: every text of up to six of CR, LF, dot and a letter is decoded as a model does, however it is cut" {
	"$DRIVER" data-all crlf <<<$'6\tagrees\tonly CRLF is a line end'
	"$DRIVER" data-all crlf-normalize <<<$'6\tagrees\tLF is one, too, CR a blank'
	"$DRIVER" data-all lf <<<$'6\tagrees\tby hand'
	"$DRIVER" data-all lf-normalize <<<$'6\tagrees\tby hand, CR a blank'
}

@test "BDAT: only line ends become LF; dots stay, and end nothing" {
	"$DRIVER" chunk crlf <<-'S'
		a\r\n			a\n|3			a line
		a\r\nb\r\n\r\n		a\nb\n\n|8		some
		.\r\n			.\n|3			a dot
		a\r\n.\r\nb\r\n		a\n.\nb\n|9		no end of data
		..\r\n...a\r\n		..\n...a\n|10		dots are not doubled
		a\r\n.\r		a\n.\r\n|5|bare		nor held back
		\x00\xff\r\n		\x00\xff\n|4		any octet
		\{70}a\r\n\{70}b\r\n	\{70}a\n\{70}b\n|144	long lines
	S
}

@test "BDAT: bare CR and LF are noted and kept" {
	"$DRIVER" chunk crlf <<-'S'
		a\nb\r\n	a\nb\n|5|bare	LF
		a\rb\r\n	a\rb\n|5|bare	CR
		\n\r\n		\n\n|3|bare	LF first
		\r\r\n		\r\n|3|bare	CR first
		a\r\r\n		a\r\n|4|bare	CR CRLF
	S
	"$DRIVER" chunk crlf-normalize <<-'S'
		a\nb\r\n	a\nb\n|6|bare	LF is a line end
		a\n		a\n|3|bare	a last one, too
		a\rb\r\n	a b\n|5|bare	CR is none, and becomes a blank
		a\r\r\n	a \n|4|bare	before a line end, too
		a\n\r		a\n \n|4|bare	left over at the end
		\r		 \n|1|bare	and nothing else
		a\r\n\r	a\n \n|4|bare	behind a line
	S
	"$DRIVER" chunk lf-normalize <<-'S'
		a\rb\n	a b\n|5|bare	by hand
		a\r\n	a\n|3		CRLF is a line end, too
		a\r	a \n|2|bare	left over at the end
	S
	"$DRIVER" chunk lf <<-'S'
		a\nb\n	a\nb\n|6	by hand
		a\r\n	a\r\n|4|bare	CR
		a\r	a\r\n|2|bare	CR at the end
		\n\n	\n\n|4		empty lines
	S
}

@test "BDAT: a last line without its end is given one, which does not count" {
	"$DRIVER" chunk crlf <<-'S'
		a	a\n|1		a letter
		a\r\nb	a\nb\n|4	a second line
		a\r	a\r\n|2|bare	a CR left over is bare
		\r	\r\n|1|bare	and nothing else
		a\r\n\r	a\n\r\n|4|bare	behind a line
		\e	|0		nothing is no line
		a\r\n	a\n|3		a line with its end
		.	.\n|1		a dot
	S
}

@test "BDAT: every text of up to six of CR, LF, dot and a letter is decoded as a model does, however it is cut" {
	"$DRIVER" chunk-all crlf <<<$'6\tagrees\tonly CRLF is a line end'
	"$DRIVER" chunk-all crlf-normalize <<<$'6\tagrees\tLF is one, too, CR a blank'
	"$DRIVER" chunk-all lf <<<$'6\tagrees\tby hand'
	"$DRIVER" chunk-all lf-normalize <<<$'6\tagrees\tby hand, CR a blank'
}
