# parse-header.bats - the header of a message, cut in every place; and UTF-8
# RFC 5322, 2.2; RFC 3629, 4

load parse

@test "header: fields, folded and not, and where the body begins" {
	cases header <<-'T'
	A: b\n\nbody => A=b; body body
	A: b\nC:d\n\n => A=b;C=d; body\x20
	A:  b \n\nx => A=b; body x				# blanks around a value
	A: b\n c\n\td\n\nx => A=b c\x09d; body x			# folded
	A:\n b\n\nx => A=b; body x				# at once
	A:\n\nx => A=; body x				# empty
	A : b\n\nx => A=b; body x				# a blank before the colon
	\nx => \x20body x					# no header
	A: b\n \nC: d\n\nx => A=b;C=d; body x			# a blank line goes on
	A: b => A=b; body\x20				# it ends within
	A: b\n => A=b; body\x20				# or behind a field
	A => \x20body\x20					# or within a name
	A: \xe4\n\nx => A=\xe4; body x			# 8-bit in a value
	A: b:c\n\nx => A=b:c; body x				# a colon in it
	T
}

@test "header: a line that is no field is the body's first" {
	cases header <<-'T'
	text\n\nx => \x20body text\n\nx			# no colon
	two words: x\n => \x20body two words: x\n		# a blank in the name
	A: b\ntext\n => A=b; body text\n			# behind a field
	From a@b Mon\nA: b\n => \x20body From a@b Mon\nA: b\n	# mbox's
	\x20folded\n => \x20body \x20folded\n			# goes on with nothing
	: x\n => \x20body : x\n				# an empty name
	\xe4: x\n => \x20body \xe4: x\n			# 8-bit in a name
	a\0b: x\n => \x20body a\x00b: x\n			# NUL in one
	T
}

@test "header: a value is cut at 1024 octets, and what comes after is read" {
	local long
	printf -v long '%02000d' 0
	{
		printf 'A: %s\\nB: c\\n\\nx => A=%s;B=c; body x\n' "$long" \
		    "${long:0:1021}"
	} >all
	"$DRIVER" header < <(sed 's/ => .*//' all) >got
	sed 's/.* => //' all | cmp - got
}

@test "UTF-8: what it is" {
	cases utf8 <<-'T'
	 => ascii
	abc\r\n\0 => ascii
	abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\x7f => ascii	# 32 at a time
	\xc2\x80 => utf8					# the first of two
	\xdf\xbf => utf8					# the last
	\xe0\xa0\x80 => utf8				# of three
	\xed\x9f\xbf => utf8				# before the surrogates
	\xee\x80\x80 => utf8				# behind them
	\xef\xbf\xbf => utf8				# the last of three
	\xf0\x90\x80\x80 => utf8				# of four
	\xf4\x8f\xbf\xbf => utf8				# U+10FFFF
	abcdefghijklmnopqrstuvwxyzabcdefghijklmno\xc3\xa4p => utf8	# behind a block
	T
}

@test "UTF-8: what it is not" {
	cases utf8 <<-'T'
	\x80 => 8bit					# a tail alone
	\xbf => 8bit
	\xc0\x80 => 8bit					# overlong NUL
	\xc1\xbf => 8bit					# overlong
	\xe0\x9f\xbf => 8bit				# overlong
	\xf0\x8f\xbf\xbf => 8bit				# overlong
	\xed\xa0\x80 => 8bit				# a surrogate
	\xed\xbf\xbf => 8bit				# another
	\xf4\x90\x80\x80 => 8bit				# beyond U+10FFFF
	\xf5\x80\x80\x80 => 8bit
	\xfe => 8bit
	\xff => 8bit
	\xc3 => 8bit					# cut off
	\xe2\x82 => 8bit					# cut off
	\xf0\x9f\x98 => 8bit				# cut off
	\xc3a => 8bit					# a letter for a tail
	\xe2\x82a => 8bit
	\xc3\xc3\xa4 => 8bit				# begun twice
	caf\xe9 => 8bit					# Latin-1
	\xc3\xa4\xe9 => 8bit				# after good ones
	T
}
