# live.bash - a session that Python holds, for tests which must know when a
# reply came, when a process ended, or what became of a descriptor.
#
#	live ARG... <SCRIPT	as py; the script may import live, too
#
# In the script:
#
#	s = live.Session(argv, over='socket')	start it; over: socket, tcp, pipe
#	s.send(b'...')				as it is
#	s.lines('NOOP', 'QUIT')			each with CRLF, in one write
#	s.reply(within=1)			the next reply, such as 250/2.1.0
#	s.expect('250/2.1.0', within=1)		it, or the test fails
#	s.ended(within=1)			the exit status
#
# What is read of the replies is told, with its second, in the file `out`.

load helper

live() {
	live_py >live.py
	py "$@"
}

# hasty: the limits of a session, made short enough to be tested
hasty() {
	SMTPD=$ROOT/smtpd-hasty
	[ -x "$SMTPD" ] || make -s -C "$ROOT" smtpd-hasty
}

# may_trace: skip where strace is not to be had
may_trace() {
	need strace
	strace -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
}

live_py() {
	cat <<-'P'
		import os
		import re
		import select
		import signal
		import socket
		import subprocess
		import sys
		import time

		LIMIT = 20


		def fail(*what):
		    print(*what)
		    for child in Session.children:
		        child.kill()
		    sys.exit(1)


		def gone(pid):
		    """no such process, or one that only waits for its parent"""
		    try:
		        with open('/proc/%d/stat' % pid) as f:
		            return f.read().rsplit(')', 1)[1].split()[0] in 'ZX'
		    except (FileNotFoundError, ProcessLookupError):
		        return True


		def until(what, within):
		    """whether what() comes true in so many seconds"""
		    end = time.monotonic() + within
		    while not what():
		        if time.monotonic() > end:
		            return False
		        time.sleep(0.02)
		    return True


		class Session:
		    children = []

		    def __init__(self, argv, over='socket', stderr='log', wrap=(),
		            **more):
		        self.buf = b''
		        self.began = time.monotonic()
		        own = None
		        if isinstance(stderr, str):
		            stderr = own = open(stderr, 'ab')
		        if over == 'pipe':
		            r, self.w = os.pipe()
		            self.r, w = os.pipe()
		            fds = r, w
		        else:
		            if over == 'tcp':
		                server = socket.create_server(('127.0.0.1', 0))
		                self.sock = socket.create_connection(
		                    server.getsockname())
		                conn, _ = server.accept()
		                server.close()
		            else:
		                self.sock, conn = socket.socketpair()
		            self.r = self.w = self.sock.fileno()
		            fds = conn.fileno(), conn.fileno()
		        self.child = subprocess.Popen([*wrap, *argv], stdin=fds[0],
		            stdout=fds[1], stderr=stderr, **more)
		        Session.children.append(self.child)
		        if own:
		            own.close()
		        if over == 'pipe':
		            os.close(r)
		            os.close(w)
		        else:
		            conn.close()
		        self.over = over

		    def send(self, data):
		        while data:
		            data = data[os.write(self.w, data):]

		    def lines(self, *said):
		        self.send(b''.join((s.encode('latin1') if isinstance(s, str)
		            else s) + b'\r\n' for s in said))

		    def reply(self, within=LIMIT):
		        """the next reply; 'nothing' at the time, 'end' at the end"""
		        end = time.monotonic() + within
		        while True:
		            while b'\n' in self.buf:
		                line, self.buf = self.buf.split(b'\n', 1)
		                with open('out', 'a') as out:
		                    out.write('%.2f %s\n' % (time.monotonic() -
		                        self.began, line.decode('latin1').rstrip()))
		                m = re.match(
		                    rb'(\d{3})(?: ([245]\.\d+\.\d+))?(?: .*)?\r$', line)
		                if m:
		                    return b'/'.join(filter(None, m.groups())).decode()
		            left = end - time.monotonic()
		            if left < 0 or not select.select([self.r], [], [], left)[0]:
		                return 'nothing'
		            try:
		                more = os.read(self.r, 65536)
		            except ConnectionResetError:
		                more = b''
		            if not more:
		                return 'end'
		            self.buf += more

		    def expect(self, want, within=LIMIT, what=''):
		        began = time.monotonic()
		        for w in want.split():
		            left = max(0, within - (time.monotonic() - began))
		            got = self.reply(left)
		            if not re.fullmatch(w.replace('*', '.*'), got):
		                fail('%s: %s for %s within %s s' % (what or self.over,
		                    got, w, within))

		    def greeted(self):
		        self.expect('220', 8)
		        self.lines('EHLO c.example')
		        self.expect('250', 8)
		        return self

		    def close(self):
		        if self.over == 'pipe':
		            os.close(self.w)
		            os.close(self.r)
		        else:
		            self.sock.close()

		    def terminate(self):
		        self.child.send_signal(signal.SIGTERM)

		    def ended(self, within=LIMIT, what=''):
		        try:
		            status = self.child.wait(within)
		        except subprocess.TimeoutExpired:
		            fail('%s: not ended within %s s' % (what or self.over,
		                within))
		        return status if status >= 0 else 128 - status
	P
}
