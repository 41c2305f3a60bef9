#!/usr/bin/env bats
# Every way a message comes and goes, crossed with every single fault (RFC 5321, 4.2.5, 6.1)
# shellcheck disable=SC2030,SC2031 # each test is a subshell
# shellcheck disable=SC2034,SC2154 # helper.bash uses and sets them

load helper

# cross WHAT: the table: modes down, faults across.  A cell is one session in
# a directory of its own, in lock-step, with one message to each of the mode's
# recipients; a fault is one call of smtpd's that fails, once, or a client that
# goes.  What holds in every cell:
#
#	who is told 250 has the whole message, byte for byte, behind our
#	header, once;
#	who is told 4xx has nothing, and neither has who is told nothing,
#	unless the end was sent: then it is there once or not at all;
#	none is told 5xx; there is no litter in tmp/ or in the spool;
#	where each mailbox has a reply of its own (LMTP, PRDR), one fault is
#	the matter of one of them.
#
# Without a fault each is told 250.  WHAT is "calls" or "client".
cross() {
	local rc=0
	[ "$1" = client ] || need strace
	py "$1" "$SMTPD" "$PWD" >cells <<-'P' || rc=$?
		import collections
		import concurrent.futures
		import os
		import re
		import shutil
		import subprocess
		import sys
		import talk

		what, smtpd, top = sys.argv[1:4]

		WRITES = ('write', 'writev', 'pwrite64', 'pwritev',
		    'copy_file_range', 'sendfile')
		FAULTS = {name: 'ENOSPC' for name in WRITES}
		FAULTS.update({name: 'EIO' for name in ('fsync', 'fdatasync',
		    'link', 'linkat', 'pread64', 'preadv')})
		FAULTS.update({name: 'EMFILE' for name in ('open', 'openat',
		    'openat2', 'creat')})
		TRACE = ','.join(FAULTS)

		PROG = """#!/bin/sh
		dir=$1
		shift
		cat >"$dir/$$"
		printf '%s\\\\n' "$@" >"$dir/$$.to"
		"""
		POLICY = """#!/bin/sh
		while read -r line; do
			[ -n "$line" ] || printf 'action=PREPEND X-Policy: yes\\\\n\\\\n'
		done
		"""
		CHECKER = """#!/bin/sh
		[ "$(tr '\\\\0' '\\\\n' <&3 | head -n 2 | paste -sd ' ' -)" = 'alice secret' ]
		"""


		def script(name, text):
		    with open(name, 'w') as f:
		        f.write(text.replace('\\\\', '\\').replace('\n\t\t', '\n'))
		    os.chmod(name, 0o755)


		script('prog', PROG)
		script('policy', POLICY)
		script('checker', CHECKER)

		# lines of 70, none like another, and three buffers of them
		LINES = b'Subject: lines\n\n' + b''.join(
		    b'%069d\n' % i for i in range(2000))
		# one line that no buffer holds
		LONG = b'Subject: long\n\n' + b''.join(
		    b'%07d ' % i for i in range(20000)) + b'\n'
		EIGHT = b'Subject: eight\n\ncaf\xe9\n' + LINES[16:]

		ONE, THREE = ['alice'], ['alice', 'bob', 'carol']
		BOX = ['-m', 'box']
		TEMPLATE = ['-m', 'home/{user}']
		RUN = ['--', top + '/prog', 'seen', '{recipient}']
		STEPS = ['--policy', top + '/policy', '--policy-states',
		    'connect,ehlo,mail,rcpt,data,end-of-message']
		RELAY = ['--', top + '/prog', 'seen', '{recipients}']


		class Mode:
		    def __init__(self, name, options, to=ONE, message=LINES, chunks=0,
		            lmtp=False, prdr=False, auth=False, label=b'', bare=False):
		        self.__dict__.update(locals())
		        # with one reply for all, and a run for each, it names who failed
		        self.named = options[-1] == '{recipient}' and len(to) > 1


		LABEL = b'MIME-Version: 1.0\nContent-Type: text/plain; ' \
		    b'charset=unknown-8bit\nContent-Transfer-Encoding: 8bit\n'
		MODES = [
		    Mode('Maildir', BOX),
		    Mode('Maildir, a long line', BOX, message=LONG),
		    Mode('template', TEMPLATE),
		    Mode('template, three', TEMPLATE, THREE),
		    Mode('LMTP', ['--lmtp'] + TEMPLATE, THREE, lmtp=True),
		    Mode('LMTP, a long line', ['--lmtp'] + TEMPLATE, THREE, LONG,
		        lmtp=True),
		    Mode('LMTP, BDAT', ['--lmtp'] + TEMPLATE, THREE, chunks=1, lmtp=True),
		    Mode('LMTP, label', ['--lmtp'] + TEMPLATE, THREE, EIGHT, lmtp=True,
		        label=LABEL),
		    Mode('PRDR', TEMPLATE, THREE, prdr=True),
		    Mode('BDAT', BOX, chunks=1),
		    Mode('BDAT, a long line', BOX, message=LONG, chunks=1),
		    Mode('BDAT, three chunks', BOX, chunks=3),
		    Mode('program', RUN),
		    Mode('program, a long line', RUN, message=LONG),
		    Mode('program, three', RUN, THREE),
		    Mode('program, LMTP', ['--lmtp'] + RUN, THREE, lmtp=True),
		    Mode('relay', RELAY, THREE),
		    Mode('relay, BDAT', RELAY, THREE, LONG, chunks=3),
		    Mode('label', BOX, message=EIGHT, label=LABEL),
		    Mode('label, template', TEMPLATE, THREE, EIGHT, label=LABEL),
		    Mode('label, program', RUN, message=EIGHT, label=LABEL),
		    Mode('normalize', ['--bare-newline', 'normalize'] + BOX,
		        message=LONG + LINES[16:], bare=True),
		    Mode('policy', ['--policy', top + '/policy'] + BOX),
		    Mode('policy, all steps', STEPS + BOX),
		    Mode('policy, all steps, LMTP', ['--lmtp'] + STEPS + TEMPLATE, THREE,
		        lmtp=True),
		    Mode('policy, all steps, PRDR', STEPS + TEMPLATE, THREE, LONG, prdr=True),
		    Mode('policy, all steps, program', STEPS + RUN, THREE),
		    Mode('AUTH', ['--secured', '--auth', top + '/checker'] + BOX,
		        auth=True),
		]


		def chunked(mode):
		    wire = mode.message.replace(b'\n', b'\r\n')
		    step = -(-len(wire) // mode.chunks)
		    parts = [wire[i:i + step] for i in range(0, len(wire), step)]
		    return [b'BDAT %d%s\r\n' % (len(p), b' LAST' if
		        p is parts[-1] else b'') + p for p in parts]


		class Gone(Exception):
		    pass


		class Session:
		    """one session: its verdicts, a recipient's each, are in told"""

		    def __init__(self, mode, argv, stop=None):
		        self.mode = mode
		        self.left = stop    # octets until the client goes
		        self.told = {}
		        self.ended = False
		        self.codes = []
		        self.child = subprocess.Popen(argv, stdin=subprocess.PIPE,
		            stdout=subprocess.PIPE, stderr=open('log', 'wb'), bufsize=0)
		        self.out = os.fdopen(os.dup(self.child.stdout.fileno()), 'rb')
		        self.sent = 0

		    def send(self, octets):
		        if self.left is not None:
		            octets = octets[:max(0, self.left - self.sent)]
		        view = memoryview(octets)
		        while view:
		            n = os.write(self.child.stdin.fileno(), view)
		            view = view[n:]
		            self.sent += n
		        if self.left is not None and self.sent >= self.left:
		            raise Gone

		    def reply(self):
		        lines = []
		        while True:
		            line = self.out.readline()
		            if not line:
		                raise SystemExit('%s: no reply; %s' % (os.getcwd(),
		                    self.codes))
		            lines.append(line)
		            if line[3:4] != b'-':
		                self.codes.append(line[:9].decode('ascii', 'replace'))
		                return line[:3].decode(), b''.join(lines)

		    def ask(self, octets):
		        self.send(octets + b'\r\n')
		        return self.reply()

		    def all(self, code, who):
		        for r in who:
		            self.told[r] = code

		    def run(self):
		        mode = self.mode
		        try:
		            self.reply()
		            self.ask(b'LHLO c.example' if mode.lmtp else b'EHLO c.example')
		            if mode.auth:
		                self.ask(b'AUTH PLAIN AGFsaWNlAHNlY3JldA==')
		            self.mail()
		            self.ask(b'RSET')
		            if self.ask(b'QUIT')[0] != '221':
		                self.told['QUIT'] = '500'
		        except Gone:
		            pass
		        self.child.stdin.close()
		        self.out.read()
		        self.out.close()
		        self.child.stdout.close()
		        try:
		            self.child.wait(talk.LIMIT)
		        except subprocess.TimeoutExpired:
		            self.child.kill()
		            raise SystemExit('smtpd does not end')

		    def mail(self):
		        mode = self.mode
		        code, _ = self.ask(b'MAIL FROM:<s@c.example>' +
		            (b' PRDR' if mode.prdr else b''))
		        if code != '250':
		            return self.all(code, mode.to)
		        taken = []
		        for r in mode.to:
		            code, _ = self.ask(b'RCPT TO:<%s@example.org>' % r.encode())
		            if code == '250':
		                taken.append(r)
		            else:
		                self.told[r] = code
		        if not taken:
		            return
		        if mode.chunks:
		            parts = chunked(mode)
		            for part in parts[:-1]:
		                self.send(part)
		                code, _ = self.reply()
		                if code != '250':
		                    return self.all(code, taken)
		            last = parts[-1]
		        else:
		            code, _ = self.ask(b'DATA')
		            if code != '354':
		                return self.all(code, taken)
		            # none of our lines begins with a dot
		            last = mode.message.replace(b'\n', b'\r\n')
		            if mode.bare:
		                last = last.replace(b'7\r\n', b'7\n')
		            last += b'.\r\n'
		        self.ended = self.left is not None and \
		            self.sent + len(last) <= self.left
		        self.send(last)
		        self.ended = True
		        self.verdicts(taken)

		    def verdicts(self, taken):
		        code, text = self.reply()
		        if self.mode.lmtp:
		            self.told[taken[0]] = code
		            for r in taken[1:]:
		                self.told[r] = self.reply()[0]
		        elif code == '353':
		            for r in taken:
		                self.told[r] = self.reply()[0]
		            code, _ = self.reply()
		            good = [r for r in taken if self.told[r] == '250']
		            if (code == '250') != bool(good):
		                self.told['all'] = '500'
		        elif self.mode.named and b'@example.org>' in text:
		            for r in taken:
		                named = b'<%s@example.org>' % r.encode() in text
		                self.told[r] = code if named else '250'
		        else:
		            self.all(code, taken)


		OURS = re.compile(rb'(Return-Path|Delivered-To|Received|X-Policy): ?'
		    rb'|[ \t]+[^ \t]')


		def whole(mode, got):
		    """is it our header, the label if one is due, and the message?"""
		    want = mode.label + mode.message
		    if not got.endswith(want):
		        return False
		    front = got[:-len(want)].split(b'\n')
		    return len(front) > 1 and front.pop() == b'' and \
		        all(OURS.match(line) for line in front) and \
		        sum(line.startswith(b'Received: ') for line in front) == 1


		def contents(path):
		    with open(path, 'rb') as f:
		        return f.read()


		def copies(mode, r):
		    """what recipient r has: a list of messages"""
		    if '-m' in mode.options:
		        new = 'home/%s/new' % r if 'home/{user}' in mode.options \
		            else 'box/new'
		        return [contents(new + '/' + n) for n in os.listdir(new)]
		    return [contents('seen/' + n[:-3]) for n in os.listdir('seen')
		        if n.endswith('.to') and
		        r + '@example.org' in contents('seen/' + n).decode().split()]


		def judge(mode, session):
		    """what does not hold, or None"""
		    for who, code in session.told.items():
		        if code[0] == '5':
		            return '%s is told %s' % (who, code)
		    for d in ['box/tmp', 'spool'] + \
		            ['home/%s/tmp' % r for r in THREE]:
		        if os.listdir(d):
		            return 'litter in ' + d
		    for r in mode.to:
		        code, got = session.told.get(r), copies(mode, r)
		        if not all(whole(mode, g) for g in got):
		            return '%s is told %s and has no whole message' % (r, code)
		        least = 1 if code == '250' else 0
		        most = 1 if code == '250' or (code is None and session.ended) \
		            else 0
		        if not least <= len(got) <= most:
		            return '%s is told %s and has %d' % (r, code, len(got))
		    if (mode.lmtp or mode.prdr) and '-m' in mode.options and \
		            sum(c[0] == '4' for c in session.told.values()) > 1:
		        return 'one fault, and not one reply: %s' % session.told
		    return None


		def cell(number, mode, fault=None, stop=None):
		    """what does not hold in one cell; and its session"""
		    d = '%s/cell%d' % (top, number)
		    for sub in ['box'] + ['home/' + r for r in THREE + ['postmaster']]:
		        for leaf in 'tmp', 'new', 'cur':
		            os.makedirs('%s/%s/%s' % (d, sub, leaf))
		    os.mkdir(d + '/seen')
		    os.mkdir(d + '/spool')
		    os.chdir(d)
		    argv = [smtpd, '-n', 'mx.example', '-d', 'example.org',
		        '--spool', 'spool'] + mode.options
		    if what == 'calls':
		        name, n, error = fault or ('', 0, '')
		        argv = ['strace', '-qq', '-y', '-o', 'trace', '-e', 'trace=' +
		            (name or TRACE)] + (['-e', 'inject=%s:error=%s:when=%d' %
		            (name, error, n)] if name else []) + argv
		    s = Session(mode, argv, stop)
		    s.run()
		    wrong = judge(mode, s)
		    if fault is None and stop is None and \
		            set(s.told.values()) != {'250'}:
		        wrong = 'without a fault: %s' % s.told
		    if fault and not wrong and not any(
		            'INJECTED' in line for line in open('trace')):
		        wrong = 'the fault did not happen'
		    calls = find_calls() if what == 'calls' and not fault else []
		    os.chdir(top)
		    shutil.rmtree(d)
		    return wrong, s.sent, calls, s.told


		def find_calls():
		    """the calls of a session that may fail: those after the greeting,
		    and of the writes only those of the message"""
		    seen, found, greeted = collections.Counter(), [], False
		    for line in open('trace', errors='replace'):
		        name = line.split('(')[0]
		        if name not in FAULTS:
		            continue
		        seen[name] += 1
		        if name in WRITES:
		            greeted = greeted or line.startswith('write(1<')
		            if not re.match(r'\w+\(\d+<[^>]*/(box|home|spool)/', line):
		                continue
		        if greeted:
		            found.append((name, seen[name], FAULTS[name]))
		    return found


		def job(args):
		    number, mode, fault, stop = args
		    return MODES[mode].name, fault, stop, \
		        cell(number, MODES[mode], fault, stop)


		def table(pool):
		    """all cells: first each mode as it is, then with its faults"""
		    plain = list(pool.map(job,
		        [(m, m, None, None) for m in range(len(MODES))]))
		    yield from plain
		    todo = []
		    for m, (_, _, _, (_, sent, calls, _)) in enumerate(plain):
		        if what == 'calls':
		            todo += [(m, f, None) for f in calls]
		            continue
		        # the client goes after so many octets: at the ends of the
		        # first lines, within the message, and around its end
		        size = len(MODES[m].message)
		        stops = {10, 30, 60, 90, 130, 200, 300, size // 2, size}
		        # RSET, QUIT and their ends are 12
		        stops |= {sent - 12 - i for i in range(-3, 8)}
		        todo += [(m, None, n) for n in sorted(stops) if n <= sent]
		    yield from pool.map(job, [(len(MODES) + i,) + t
		        for i, t in enumerate(todo)], chunksize=4)


		os.environ['ASAN_OPTIONS'] = os.environ.get('ASAN_OPTIONS', '') + \
		    ':detect_leaks=0'
		rows = collections.Counter()
		deferred = collections.Counter()
		bad = 0
		with concurrent.futures.ProcessPoolExecutor(2) as pool:
		    for name, fault, stop, (wrong, _, calls, told) in table(pool):
		        rows[name] += 1
		        deferred[name] += any(c[0] == '4' for c in told.values())
		        if wrong:
		            bad += 1
		            print('%s, %s: %s' % (name, fault or (stop and 'gone after %d'
		                % stop) or 'no fault', wrong))
		for mode in MODES:
		    print('%4d cells, %4d deferred  %s' % (rows[mode.name],
		        deferred[mode.name], mode.name))
		print('%d cells, %d wrong' % (sum(rows.values()), bad))
		# a fault nobody is told of in any cell is no fault
		if what == 'calls' and not all(deferred.values()):
		    bad += 1
		sys.exit(bad > 0)
	P
	cat cells
	tail -n 1 cells | sed 's/^/# /' >&3
	return $rc
}

@test "cross: however a message comes and goes, whichever call fails, 250 means stored once and 4xx not at all" {
	cross calls
}

@test "cross: however a message comes and goes, a client that leaves has it stored whole or not at all" {
	cross client
}
