#!/usr/bin/env python3
"""The parent's side of UCSPI-TLS, what s6-ucspitlsd and sslserver -n do.

usage: ucspitls.py [option...] CERT.pem program [argument...]

Without TLS it is a module: class Program starts a program with the three
descriptors, and the test itself writes and reads what would be encrypted.

  --listen           serve who connects to a port of 127.0.0.1 that the kernel
                     chooses; it is printed, in a line.  Else serve fd 0.
  --like sslserver   be the program's parent, not its child; on failure and at
                     the end send it SIGTERM; answer with all certificates, and
                     keep the control socket open
To misbehave:
  --dead             there is no one behind the control socket
  --refuse           close when TLS is asked for
  --mute             do not answer after the handshake
  --answer TEXT      answer that; it may hold \\0, \\n, \\xHH
  --pieces N         answer N bytes at a time, each when the one before is read
  --giant N          begin the answer with a variable of N bytes
"""
import argparse
import fcntl
import hashlib
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import termios
import time

LIMIT = 20    # seconds that nothing here may last
NAMES = ('SSLCTLFD', 'SSLREADFD', 'SSLWRITEFD')


def unsent(fd):
    """how many bytes written to the socket fd are not read yet"""
    got = fcntl.ioctl(fd, termios.TIOCOUTQ, b'\0\0\0\0')
    return struct.unpack('i', got)[0]


def unread(fd):
    """how many bytes can be read from fd; of a pipe, from either end"""
    got = fcntl.ioctl(fd, termios.FIONREAD, b'\0\0\0\0')
    return struct.unpack('i', got)[0]


def until(true, what):
    end = time.monotonic() + LIMIT
    while not true():
        if time.monotonic() > end:
            raise SystemExit(what)
        os.sched_yield()


def send_in_pieces(control, answer, n):
    for i in range(0, len(answer), n):
        control.sendall(answer[i:i + n])
        until(lambda: not unsent(control.fileno()), 'the answer is not read')


# ---- a program with the descriptors, but no TLS ----

class Channel:
    """two pipes: one to the program, one from it"""

    def __init__(self):
        self.theirs_r, self.w = os.pipe()
        self.r, self.theirs_w = os.pipe()
        self.got = b''

    def say(self, data):
        os.write(self.w, data)

    def all_read(self):
        """wait until the program has read all that was said"""
        until(lambda: not unread(self.w), 'the program does not read')

    def unread(self):
        """how much of what was said the program has not read"""
        return unread(self.w)

    def more(self):
        """read some; False at the end"""
        wait = select.poll()
        wait.register(self.r, select.POLLIN)
        if not wait.poll(LIMIT * 1000):
            raise SystemExit(f'no more than {self.got} in {LIMIT} seconds')
        data = os.read(self.r, 65536)
        self.got += data
        return bool(data)

    def reply(self):
        """the next reply, whole; b'' at the end"""
        while True:
            i = 0
            while True:
                j = self.got.find(b'\r\n', i)
                if j < 0:
                    break
                if self.got[i + 3:i + 4] != b'-':
                    reply, self.got = self.got[:j + 2], self.got[j + 2:]
                    return reply
                i = j + 2
            if not self.more():
                reply, self.got = self.got, b''
                return reply

    def ask(self, line):
        self.say(line.encode() + b'\r\n')
        return self.reply()

    def code(self, line=None):
        """of the next reply, or that to line, 250/2.1.0, or 354"""
        reply = self.reply() if line is None else self.ask(line)
        word = reply.decode('latin-1').split()
        if len(word) > 1 and word[1][:2] in ('2.', '4.', '5.') and \
                word[0][3:] == '':
            return word[0] + '/' + word[1]
        return word[0][:3] if word else ''

    def rest(self):
        """all up to the end"""
        while self.more():
            pass
        rest, self.got = self.got, b''
        return rest

    def hang_up(self):
        if self.w is not None:
            os.close(self.w)
            self.w = None


class Program:
    """clear is what the program has on fd 0 and 1, secret what it has when
    TLS is on, control the other end of SSLCTLFD.  Names given as arguments
    are set in its environment in place of what belongs there; None is unset."""

    def __init__(self, argv, log='log', **env):
        self.clear, self.secret = Channel(), Channel()
        self.control, theirs = socket.socketpair()
        fds = [theirs.fileno(), self.secret.theirs_r, self.secret.theirs_w]
        environ = dict(os.environ, **dict(zip(NAMES, map(str, fds))))
        for name, value in env.items():
            environ.pop(name, None)
            if value is not None:
                environ[name] = str(value)
        with open(log, 'ab') as err:
            self.child = subprocess.Popen(argv, env=environ, stderr=err,
                stdin=self.clear.theirs_r, stdout=self.clear.theirs_w,
                pass_fds=fds)
        # the program is the only one who can read what is said: so one sees
        # what it has not read, and writing to one that has ended fails
        for c in (self.clear, self.secret):
            os.close(c.theirs_r)
            os.close(c.theirs_w)
        theirs.close()
        self.control.settimeout(LIMIT)

    def greeted(self, *lines):
        """past the greeting and these lines"""
        self.clear.reply()
        for line in lines:
            self.clear.ask(line)
        return self

    def asked(self):
        """the byte by which it asks for TLS; b'' if it has ended"""
        return self.control.recv(1)

    def answer(self, data=b'SSL_PROTOCOL=TLSv1.3\0SSL_CIPHER=X-TEST\0\0'):
        self.control.sendall(data)

    def start_tls(self, *answer):
        """STARTTLS, up to where all is secret"""
        said = self.clear.ask('STARTTLS')
        if not said.startswith(b'220 2.0.0 '):
            raise SystemExit(f'STARTTLS: {said}')
        if self.asked() != b'Y':
            raise SystemExit('not asked for TLS')
        self.answer(*answer)
        return self

    def end(self):
        """its exit status, when it has no more input"""
        self.clear.hang_up()
        self.secret.hang_up()
        return self.status()

    def status(self):
        """its exit status, when it ends by itself"""
        try:
            status = self.child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise SystemExit('the program does not end')
        for fd in (self.clear.w, self.clear.r, self.secret.w, self.secret.r):
            if fd is not None:
                os.close(fd)
        self.control.close()
        return status if status >= 0 else 128 - status


# ---- with TLS ----

def environment(conn, pem, like):
    """what is told about the connection, as (name, value); None for no value"""
    yield 'SSL_PROTOCOL', conn.version()
    if like == 'sslserver':
        yield 'SSL_SESSION_ID', '00' * 32
    name, _, bits = conn.cipher()
    yield 'SSL_CIPHER', name
    if like == 'sslserver':
        yield 'SSL_CIPHER_EXPORT', 'false'
        yield 'SSL_CIPHER_USEKEYSIZE', str(bits)
        yield 'SSL_CIPHER_ALGKEYSIZE', str(bits)
        yield 'SSL_VERSION_INTERFACE', 'ucspi-ssl'
        yield 'SSL_VERSION_LIBRARY', ssl.OPENSSL_VERSION
        yield 'SSL_SERVER_CERT', open(pem).read()
        return
    cert = conn.getpeercert(True)
    yield 'SSL_TLS_SNI_SERVERNAME', getattr(conn, 'sni', None)
    yield 'SSL_PEER_CERT_HASH', \
        cert and 'SHA256:' + hashlib.sha256(cert).hexdigest()
    yield 'SSL_PEER_CERT_SUBJECT', None


def answer_of(conn, options):
    if options.answer is not None:
        return options.answer.encode().decode('unicode_escape').encode('latin-1')
    answer = ''
    if options.giant:
        answer = 'SSL_GIANT=' + 'giant\n' * (options.giant // 6) + '\0'
    for name, value in environment(conn, options.cert, options.like):
        answer += name + ('' if value is None else '=' + value) + '\0'
    return (answer + '\0').encode()


def carry(conn, r, w):
    """between the client and the program, until the program closes"""
    to_client = to_program = b''
    conn.setblocking(False)
    os.set_blocking(w, False)
    client_open = program_open = True
    while program_open or to_client:
        if client_open and len(to_program) < 65536:
            try:
                data = conn.recv(16384)
                to_program += data
                client_open = bool(data)
                continue
            except ssl.SSLWantReadError:
                pass
            except OSError:
                client_open = False
        if to_client:
            try:
                to_client = to_client[conn.send(to_client):]
                continue
            except ssl.SSLWantWriteError:
                pass
            except OSError:
                return
        if not client_open and not to_program and w is not None:
            os.close(w)
            w = None
        readable, writable, _ = select.select(
            [conn] * (client_open and len(to_program) < 65536) +
            [r] * (program_open and not to_client),
            [conn] * bool(to_client) + [w] * bool(to_program), [])
        if r in readable:
            to_client = os.read(r, 65536)
            program_open = bool(to_client)
        if w in writable:
            try:
                to_program = to_program[os.write(w, to_program):]
            except BrokenPipeError:
                to_program, client_open = b'', False
    try:
        conn.unwrap()
    except OSError:
        pass


def shake_hands(sock, pem):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def named(conn, name, _):
        conn.sni = name
    context.sni_callback = named
    return context.wrap_socket(sock, server_side=True)


def engine(sock, control, r, w, options, program):
    """wait for the byte, then be TLS; program is whom to tell of a failure"""
    if control is None or control.recv(1) not in (b'y', b'Y'):
        return
    try:
        if options.refuse:
            return
        conn = shake_hands(sock, options.cert)
        if not options.mute:
            answer = answer_of(conn, options)
            send_in_pieces(control, answer, options.pieces or len(answer))
        if options.like == 's6' and not options.mute:
            control.close()
        carry(conn, r, w)
    except OSError as e:
        print('ucspitls:', e, file=sys.stderr, flush=True)
    finally:
        if program:
            try:
                os.kill(program, signal.SIGTERM)
            except ProcessLookupError:
                pass


def serve(sock, options):
    """the connection sock; does not return"""
    control, theirs = socket.socketpair()
    to_program, from_program = os.pipe(), os.pipe()
    if options.dead:
        control.close()
        control = None
    child = os.fork()
    # with s6-ucspitlsd TLS is the child, with sslserver the program is
    if (child == 0) == (options.like == 'sslserver'):
        fds = (theirs.fileno(), to_program[0], from_program[1])
        for name, fd in zip(NAMES, fds):
            os.set_inheritable(fd, True)
            os.environ[name] = str(fd)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.dup2(sock.fileno(), 0)
        os.dup2(sock.fileno(), 1)
        os.execvp(options.program[0], options.program)
    theirs.close()
    os.close(to_program[0])
    os.close(from_program[1])
    # no one but TLS may keep the connection open
    for fd in (0, 1):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    try:
        # only a parent has the program's number
        engine(sock, control, from_program[0], to_program[1], options, child)
    finally:
        os._exit(0)


def listen(options):
    with socket.create_server(('127.0.0.1', 0)) as server:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print(server.getsockname()[1], flush=True)
        while True:
            sock, peer = server.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                server.close()
                os.environ.update(PROTO='TCP', TCPREMOTEIP=peer[0],
                    TCPREMOTEPORT=str(peer[1]), TCPLOCALIP='127.0.0.1')
                serve(sock, options)
            sock.close()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    for name in ('--listen', '--dead', '--refuse', '--mute'):
        parser.add_argument(name, action='store_true')
    for name in ('--pieces', '--giant'):
        parser.add_argument(name, type=int)
    parser.add_argument('--like', choices=('s6', 'sslserver'), default='s6')
    parser.add_argument('--answer')
    parser.add_argument('cert')
    parser.add_argument('program', nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.listen:
        listen(options)
    serve(socket.socket(fileno=os.dup(0)), options)


if __name__ == '__main__':
    main()
