# smuggling.bats - nothing but CRLF "." CRLF ends a message, however it arrives
# RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2
#
# Each case is a session whose message holds a near miss of its end, followed
# by the commands of a second message.  What must come of it is worked out by
# a model of twenty lines below, which knows the whole input at once.

# shellcheck disable=SC2030,SC2031 # OPTS is each test's own
load helper

# smuggle CASES PIECE OPTION...: run all of the cases, PIECE bytes at a time
# (0: at once), and say which went otherwise than the model
smuggle() {
	local cases=$1 piece=$2 mode=reject
	shift 2
	[ "${byhand:-no}" = yes ] || launched
	[[ $* != *normalize* ]] || mode=normalize
	py "$cases" "$piece" "$mode" "$SMTPD" "${OPTS[@]}" -e 9999 "$@" <<-'P'
		import itertools
		import os
		import re
		import sys
		import talk

		CR, LF, NL = b'\r', b'\n', b'\r\n'
		HI = NL.join((b'RSET', b'MAIL FROM:<a@c.example>',
		    b'RCPT TO:<u@example.org>', b'DATA', b''))
		EVIL = NL.join((b'MAIL FROM:<e@c.example>',
		    b'RCPT TO:<e@example.org>', b'DATA', b'evil', b'.', b''))
		HEAD = b'MIME-Version: 1.0' + NL + NL + b'one'

		OURS = re.compile(rb'''((Return-Path|Delivered-To|Received|
		    MIME-Version|Content-Type|Content-Transfer-Encoding):[ ][^\n]*\n
		    |[ \t]+[^ \t\n][^\n]*\n)*''', re.X)


		def matrix():
		    """every near miss: a wrong line end before the dot, or behind
		    it, or both; in the middle of a message and at its head"""
		    odd = (LF, CR, LF + CR, CR + CR, LF + LF, CR + b'\0' + LF, b'\0',
		        b'\v', b'\f', b'\x85', b'\xc2\x85', b'\xe2\x80\xa8', b' ')
		    before = (NL, b'') + odd + (NL + b'\0', NL + b' ', NL + LF,
		        NL + CR, CR + NL)
		    behind = (NL,) + odd + (b'\0' + NL, b' ' + NL, LF + NL, CR + NL,
		        b'.' + NL)
		    for head, a, b in itertools.product((HEAD, b''), before, behind):
		        yield head + a + b'.' + b


		def all_strings():
		    """every string of up to four of these"""
		    for n in range(5):
		        for s in itertools.product((CR, LF, b'.', b'x'), repeat=n):
		            yield b'one' + NL + b''.join(s)
		            yield b''.join(s)


		def edges():
		    """dots and line ends where a buffer may end"""
		    for size in (512, 998, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
		        for off in range(-6, 4):
		            # counted from DATA, and from the session's first byte
		            for base, miss in itertools.product((0, len(HI)),
		                (b'.' + NL, LF + b'.' + NL, NL + b'.' + LF,
		                NL + b'.' + CR + b'x')):
		                yield b'x' * (size + off - base) + miss


		def stored(text):
		    """a message without its end, as the Maildir has it"""
		    text = (NL + text).replace(NL + b'.', NL)[2:]
		    # what is lone here is kept where that is normalized
		    text = text.replace(NL, LF).replace(CR, b' ')
		    if re.match(rb'[!-9;-~]+[ \t]*:|\n|$', text):
		        return text
		    # it begins with no field, so it is body
		    return LF + text


		def model(data, normalize):
		    """codes and messages that the session data must give"""
		    codes, kept, mail, rcpt = ['220'], [], False, False
		    while data:
		        line, _, data = data.partition(LF if normalize else NL)
		        if normalize and line[-1:] == CR:
		            line = line[:-1]
		        say = '500'
		        if line == b'RSET':
		            say, mail, rcpt = '250', False, False
		        elif line[:5] == b'MAIL ' and LF not in line and CR not in line:
		            say, mail = ('503' if mail else '250'), True
		        elif line[:5] == b'RCPT ':
		            say, rcpt = ('250', True) if mail else ('503', False)
		        elif line == b'QUIT':
		            return codes + ['221'], kept
		        elif line == b'DATA' and not rcpt:
		            say = '503'
		        elif line == b'DATA':
		            end = (NL + data).index(NL + b'.' + NL)
		            text, data = data[:end], data[end + 3:]
		            codes.append('354')
		            mail = rcpt = False
		            alone = text.replace(NL, b'')
		            if normalize or not (CR in alone or LF in alone):
		                say = '250'
		                kept.append(stored(text))
		            else:
		                say = '550'
		        codes.append(say)
		    return codes, kept


		def messages():
		    """what is in the Maildir, which is emptied"""
		    found = []
		    for name in os.listdir('box/new'):
		        with open('box/new/' + name, 'rb') as f:
		            found.append(f.read())
		        os.unlink('box/new/' + name)
		    return found


		def same(found, kept):
		    """whether these are those, each below a header of ours"""
		    for want in kept:
		        for got in found:
		            n = len(got) - len(want)
		            if n > 0 and got[n:] == want and OURS.fullmatch(got[:n]):
		                found.remove(got)
		                break
		        else:
		            return False
		    return not found


		def session(cases, tell):
		    """whether a session of these cases goes as the model's; tell
		    what came of it if not"""
		    data = b''.join(HI + case + EVIL for case in cases)
		    data += b'QUIT' + NL
		    codes, kept = model(data, mode == 'normalize')
		    out, log, status = talk.run(sys.argv[4:], data, piece)
		    got = re.findall(rb'^(\d\d\d)(?: .*)?\r$', out, re.M)
		    got = [code.decode() for code in got]
		    found, left = messages(), os.listdir('box/tmp')
		    if got == codes and same(found[:], kept) and not status and not left:
		        return True
		    if tell:
		        print('case', cases[0][-60:], 'of', len(cases[0]), 'octets')
		        print('  wanted', *codes, 'and', len(kept), 'kept')
		        print('  got   ', *got, 'and', len(found), 'kept, status',
		            status, 'left', left)
		        print('  they end', [text[-80:] for text in found])
		    return False


		which, piece, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
		cases = list({'matrix': matrix, 'all': all_strings,
		    'edges': edges}[which]())
		ends = sum(model(HI + case + EVIL, mode == 'normalize')[0].count('354')
		    > 1 for case in cases)
		bad = 0
		# many in a session, which is faster; one alone where that goes wrong,
		# and where it matters at which byte of a session they stand
		many = 1 if which == 'edges' else 40
		for i in range(0, len(cases), many):
		    some = cases[i:i + many]
		    if not session(some, False):
		        alone = sum(not session([case], bad < 10) for case in some)
		        bad += alone or 1
		        if not alone:
		            print('cases', some, 'go wrong together, not alone')
		print(len(cases), 'cases,', ends, 'true ends,', bad, 'otherwise')
		# true ends must be among them, or nothing was tested
		sys.exit(bad > 0 or len(cases) < 200 or
		    (ends == 0 if which != 'edges' else ends > 0))
	P
}

@test "smuggling: every near miss is refused or content, never an end" {
	smuggle matrix 0
}

@test "smuggling: every near miss, byte by byte" {
	smuggle matrix 1
}

@test "smuggling: every near miss, with --bare-newline normalize" {
	smuggle matrix 0 --bare-newline normalize
}

@test "smuggling: every near miss, normalized, byte by byte" {
	smuggle matrix 1 --bare-newline normalize
}

@test "smuggling: all short strings of CR, LF, dot and x end where they must" {
	smuggle all 0
}

@test "smuggling: all short strings, in pieces of three" {
	smuggle all 3
}

@test "smuggling: all short strings, normalized, in pieces of two" {
	smuggle all 2 --bare-newline normalize
}

@test "smuggling: no dot at the edge of a buffer is at the head of a line" {
	smuggle edges 0
}

@test "smuggling: by hand, a session of CRLF lines is held to them" {
	byhand=yes smuggle matrix 0
}

# one BYTES: a message of these bytes, then a whole second one; prints the codes
one() {
	launched
	printf '%b' 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n' \
	    'RCPT TO:<u@example.org>\r\nDATA\r\n' "$1" \
	    'MAIL FROM:<e@c.example>\r\nRCPT TO:<e@example.org>\r\nDATA\r\n' \
	    'evil\r\n.\r\nQUIT\r\n' >in
	send <in
	full_codes
}

REFUSED='220 250 250/2.1.0 250/2.1.5 354 550/5.5.2 221/2.0.0'
TAKEN='220 250 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0'

@test "smuggling: a message with a bare LF or CR gets one 550 5.5.2" {
	local text bad=0
	for text in 'x\n.\n' 'x\n.\r\n' 'x\r\n.\n' 'x\r.\r' 'x\r.\r\n' \
	    'x\r\n.\r' 'x\r\n.\r\r\n' '.\n' '.\r' '.\r\r\n' '\n.\r\n' '\r.\r\n' \
	    'x\ny\r\n' 'x\ry\r\n' 'x\n' 'x\r' '\n' '\r' '\n\r\n' '\r\r\n' \
	    'x\r\0\n.\r\0\n' 'x\n\n\n\n' 'x\r\r\r\r'; do
		[ "$(one "$text")" = "$REFUSED" ] || {
			echo "$text: $(full_codes)"
			bad=1
		}
		nothing_kept || { echo "$text: kept"; bad=1; }
	done
	[ $bad = 0 ]
}

@test "smuggling: what is near, but has neither, is content" {
	local text bad=0
	for text in 'x.\r\n' 'x\r\n..\r\n' 'x\r\n.\0\r\n' 'x\r\n\0.\r\n' \
	    'x\r\n. \r\n' 'x\r\n .\r\n' 'x\v.\v' 'x\f.\f' 'x\r\n.x\r\n'; do
		[ "$(one "$text")" = "$TAKEN" ] || {
			echo "$text: $(full_codes)"
			bad=1
		}
		[ "$(count box)" = 1 ] || { echo "$text: not kept once"; bad=1; }
		rm -f box/new/*
	done
	[ $bad = 0 ]
}

@test "smuggling: normalized, a bare LF is a line end and a bare CR a blank" {
	OPTS+=(--bare-newline normalize)
	[ "$(one 'a\nb\n.\nc\n.\r\nd\re\r\r\nf\n..g\r\n..h\r\n.\rX')" = "$TAKEN" ]
	printf '%b' 'a\nb\n.\nc\n.\nd e \nf\n..g\n.h\n XMAIL FROM:<e@c.example>\n' \
	    'RCPT TO:<e@example.org>\nDATA\nevil\n' >want
	stored_is want
}

@test "smuggling: --bare-newline reject is what happens without it" {
	OPTS+=(--bare-newline reject)
	[ "$(one 'a\nb\r\n')" = "$REFUSED" ]
	nothing_kept
}

@test "smuggling: one refused for a bare LF is read to its end, however long" {
	launched
	{
		printf 'EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n'
		printf 'RCPT TO:<u@example.org>\r\nDATA\r\nx\ny\r\n'
		yes $'RSET\r\nQUIT\n.\nDATA\r' | head -n 20000
		printf '.\r\nNOOP\r\nQUIT\r\n'
	} >in
	send <in
	[ "$(codes)" = '220 250 250 250 354 550 250 221' ]
	nothing_kept
}

@test "smuggling: the next message in the session is a clean one" {
	[ "$(one 'x\ny\r\n.\r\n')" = '220 250 250/2.1.0 250/2.1.5 354 550/5.5.2 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0' ]
	echo evil >want
	stored_is want
}
