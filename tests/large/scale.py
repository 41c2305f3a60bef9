#!/usr/bin/python3
"""scale.py - contrib/scale on machines of its own, killed at random: is each mail there once?

usage: make scale, or
       unshare --mount --net --pid --fork --kill-child --mount-proc scale.py
           [option...] redis|lmtp
  --mails N          so many (1000), which as many as
  --clients N        clients (24) send, again and again, until each has its 250
  --kills N          a kill, of a process or of a host, each so many mails (25)
  --dir DIR          for what comes out of it
  --seed N           of what is random

A host is a network, a disk (ext4 in a file) and processes of its own; killed is
all that runs on it at once, and it is started again on its disk.  They stand on
a bridge: 192.0.2.10 HAProxy, .11 to .13 smtpd, .20 Redis or Dovecot, .21 what
takes the mail out of Redis, and .1 the clients.  Only the kernel outlives a kill:
what a disk does when the power fails is not seen here.

Dovecot is not killed: between delivery and its note of the key nothing of ours
can help.  Exit status 0 if no mail was lost, none came twice, and none was altered.
"""
import argparse
import collections
import os
import pathlib
import random
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCALE = ROOT / 'contrib/scale'
ADDRESSES = {'front': 10, 'mx1': 11, 'mx2': 12, 'mx3': 13, 'store': 20,
             'files': 21}
USERS = 200
STUCK = 60          # seconds without a mail taken: it will not end

# what each host does when its network is there; a service that ended is started again
BOOT = r'''
mount --make-rprivate /
mount -o loop "$DIR/$HOST.disk" /srv
mkdir -p /srv/tmp /srv/mail
chmod 1777 /srv/tmp
mount --bind "$DIR/bin" /usr/local/bin
mount --bind "$DIR/bin" /usr/local/sbin
mount --bind "$DIR/passwd" /etc/passwd
mount --bind "$DIR/group" /etc/group
until ip link show eth0 >/dev/null 2>&1; do sleep .02; done
ip link set lo up
ip link set eth0 address "02:00:00:00:00:$NUMBER"
ip addr add "192.0.2.$NUMBER/24" dev eth0
ip link set eth0 up
keep() { while :; do "$@" </dev/null; sleep .2; done; }
'''
SERVICES = {
    'front': 'keep haproxy -db -f "$SCALE/haproxy.cfg"',
    'mx': 'keep sh "$SCALE/run-$KIND"',
    'redis': r'''
mkdir -p /srv/redis
mount --bind /srv/redis /var/lib/redis
keep redis-server "$SCALE/redis.conf"
''',
    'files': r'''keep file-mail redis://192.0.2.20:6379 mail files '/srv/mail/{user}' ''',
    'lmtp': r'''
mkdir -p /srv/mail /var/mail/smtpd
chown smtpd:smtpd /srv/mail
mount --bind /srv/mail /var/mail/smtpd
mount -t tmpfs none /run
mount -t tmpfs none /etc/dovecot
cp "$SCALE/dovecot.conf" "$SCALE/once.sieve" /etc/dovecot
sievec /etc/dovecot/once.sieve
keep dovecot -F
''',
}


class Host:
    """one of them; it runs from start() to kill(), and may be started again"""

    def __init__(self, name, kind, directory, mails):
        self.name, self.dir = name, directory
        role = {'front': 'front', 'store': kind, 'files': 'files'}.get(name, 'mx')
        self.script = BOOT + SERVICES[role]
        self.env = dict(os.environ, HOST=name, NUMBER=str(ADDRESSES[name]), KIND=kind,
                        DIR=str(directory), SCALE=str(SCALE), TMPDIR='/srv/tmp',
                        PATH='/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')
        # room for all of it: a block, an inode and what the large ones need
        keeps = mails if name in ('store', 'files') else 0
        with open(directory / f'{name}.disk', 'wb') as disk:
            disk.truncate((64 << 20) + keeps * 20000)
        subprocess.run(['mkfs.ext4', '-q', '-m', '0', '-N', str(10000 + 2 * keeps),
                        disk.name], check=True)
        self.process = self.space = None

    def start(self):
        before = os.readlink('/proc/self/ns/net')
        with open(self.dir / f'{self.name}.log', 'ab') as log:
            self.process = subprocess.Popen(
                ['unshare', '--mount', '--net', '--uts', '--pid', '--fork', '--kill-child',
                 '--mount-proc', 'sh', '-c', self.script],
                env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        pid = self.process.pid
        while os.readlink(f'/proc/{pid}/ns/net') == before:
            time.sleep(.01)
        ip('link', 'add', f'v-{self.name}', 'type', 'veth', 'peer', 'name', 'eth0',
           'netns', str(pid))
        ip('link', 'set', f'v-{self.name}', 'master', 'br0', 'up')
        children = pathlib.Path(f'/proc/{pid}/task/{pid}/children')
        while not children.read_text().split():
            time.sleep(.01)
        first = children.read_text().split()[0]
        self.space = os.readlink(f'/proc/{first}/ns/pid')

    def kill(self):
        """all that runs on it, in an instant"""
        self.process.kill()
        self.process.wait()
        # its network goes with its last process
        while subprocess.run(['ip', 'link', 'show', f'v-{self.name}'],
                             capture_output=True, check=False).returncode == 0:
            time.sleep(.01)

    def processes(self, program):
        """their numbers, as they are seen from here"""
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if os.readlink(f'/proc/{pid}/ns/pid') == self.space and \
                   pathlib.Path(f'/proc/{pid}/comm').read_text() == program + '\n':
                    yield int(pid)
            except OSError:
                pass


def ip(*arguments):
    subprocess.run(['ip', *arguments], check=True)


class Mails:
    """what is to be sent, and what was"""

    def __init__(self, count, seed):
        self.count, self.seed = count, seed
        self.lock = threading.Lock()
        self.next = self.taken = self.tries = 0

    def another(self):
        with self.lock:
            number = self.next
            self.next += 1
            return number if number < self.count else None

    def text(self, number):
        """the same at every try; lines of all lengths, some that begin with a dot"""
        rng = random.Random(f'{self.seed} {number}')
        lines = [f'X-Number: {number}', f'Subject: {number}', '']
        for _ in range(rng.randrange(20)):
            lines.append(rng.choice(['', '.', '..', 'From ']) +
                         'x' * rng.randrange(100))
        if not number % 50:
            lines.append('z' * 998)
            lines += ['a line of a large mail'] * rng.randrange(10000)
        return '\r\n'.join(lines) + '\r\n'


def client(mails, end):
    """sends some mails a connection, each until 250 is heard"""
    number, smtp, left = mails.another(), None, 0
    while number is not None and not end.is_set():
        try:
            if not left:
                smtp = smtplib.SMTP('192.0.2.10', 25, local_hostname='c.example',
                                    timeout=20)
                left = 1 + number % 4
            mails.tries += 1
            smtp.sendmail('sender@c.example', [f'user{number % USERS}@example.org'],
                          mails.text(number))
        except (OSError, smtplib.SMTPException):
            if smtp is not None:
                smtp.close()
            left = 0
            time.sleep(random.uniform(.05, .5))
            continue
        with mails.lock:
            mails.taken += 1
        number, left = mails.another(), left - 1
        if not left:
            try:
                smtp.quit()
            except (OSError, smtplib.SMTPException):
                pass


class Chaos:
    """kills at random what runs"""

    def __init__(self, hosts, kind, seed):
        self.hosts, self.random = hosts, random.Random(seed)
        self.killed = collections.Counter()
        mx = [hosts[n] for n in ('mx1', 'mx2', 'mx3')]
        self.programs = [(mx, 'smtpd')] * 12 + [(mx, 'tcpserver'), ([hosts['front']], 'haproxy')]
        self.victims = mx * 2 + [hosts['front']]
        if kind == 'redis':
            self.programs += [([hosts['store']], 'redis-server'),
                              ([hosts['files']], 'file-mail')]
            self.victims += [hosts['store'], hosts['files']]

    def strike(self):
        if self.random.random() < .15:
            host = self.random.choice(self.victims)
            host.kill()
            time.sleep(self.random.uniform(0, .5))
            host.start()
            self.killed[f'host {host.name}'] += 1
            return
        hosts, program = self.random.choice(self.programs)
        running = [p for h in hosts for p in h.processes(program)]
        if running:
            try:
                os.kill(self.random.choice(running), signal.SIGKILL)
                self.killed[program] += 1
            except ProcessLookupError:
                pass


def parts(message):
    """its number and all from there on; what stands above was put there on the way"""
    found = re.search(rb'^X-Number: (\d+)$', message, re.M)
    return int(found[1]), message[found.start():]


def count(hosts, kind, mails):
    """how often each mail is at the far end; those that were altered"""
    host = hosts['files' if kind == 'redis' else 'store']
    host.kill()
    top = host.dir / 'far'
    top.mkdir()
    subprocess.run(['mount', '-o', 'loop', f'{host.dir}/{host.name}.disk', top],
                   check=True)
    try:
        seen, altered = collections.Counter(), 0
        # wherever it is, and for whomever
        for path in (top / 'mail').glob('**/new/*'):
            number, text = parts(path.read_bytes())
            seen[number] += 1
            if f'user{number % USERS}' not in path.parts or \
               text.decode() != mails.text(number).replace('\r\n', '\n'):
                altered += 1
        return seen, altered
    finally:
        subprocess.run(['umount', top], check=True)


def filed(hosts):
    """nothing is in the stream any more"""
    asked = subprocess.run(
        ['nsenter', '-t', str(hosts['store'].process.pid), '-n', 'redis-cli', '-h',
         '192.0.2.20', 'XLEN', 'mail'], capture_output=True, check=False)
    return asked.stdout == b'0\n'


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('kind', choices=['redis', 'lmtp'])
    parser.add_argument('--mails', type=int, default=1000)
    parser.add_argument('--clients', type=int, default=24)
    parser.add_argument('--kills', type=int, default=25)
    parser.add_argument('--dir', type=pathlib.Path)
    parser.add_argument('--seed', type=int, default=time.time_ns())
    return parser.parse_args()


def prepare(directory):
    """what the hosts find in /usr/local/bin and /etc, and the bridge they stand on"""
    (directory / 'bin').mkdir()
    for tool in ('smtpd', 'contrib/mail-to-redis', 'contrib/mail-to-lmtp',
                 'contrib/mail-onward', 'contrib/scale/file-mail'):
        shutil.copy(ROOT / tool, directory / 'bin')
    for name, line in (('passwd', 'smtpd:x:64025:64025::/nonexistent:/bin/false\n'),
                       ('group', 'smtpd:x:64025:\n')):
        there = pathlib.Path('/etc', name).read_text()
        (directory / name).write_text(re.sub('(?m)^smtpd:.*\n', '', there) + line)
    subprocess.run(['mount', '--make-rprivate', '/'], check=True)
    ip('link', 'set', 'lo', 'up')
    ip('link', 'add', 'br0', 'address', '02:00:00:00:00:01', 'type', 'bridge')
    ip('addr', 'add', '192.0.2.1/24', 'dev', 'br0')
    ip('link', 'set', 'br0', 'up')


def send(args, mails, chaos):
    """all of them, killing meanwhile; False if it goes on no more"""
    end = threading.Event()
    clients = [threading.Thread(target=client, args=(mails, end), daemon=True)
               for _ in range(args.clients)]
    for thread in clients:
        thread.start()
    taken, since, kills = 0, time.monotonic(), 0
    while any(t.is_alive() for t in clients):
        time.sleep(.02)
        if mails.taken > taken:
            taken, since = mails.taken, time.monotonic()
        elif time.monotonic() - since > STUCK:
            end.set()
            return False
        if taken >= (kills + 1) * args.kills:
            chaos.strike()
            kills += 1
    return True


def all_filed(hosts):
    """False if it takes too long"""
    end = time.monotonic() + 10 * STUCK
    while not filed(hosts):
        if time.monotonic() > end:
            return False
        time.sleep(.2)
    return True


def run(args, directory, hosts):
    """0 if all is well"""
    for host in hosts.values():
        host.start()
    mails, chaos = Mails(args.mails, args.seed), Chaos(hosts, args.kind, args.seed)
    began = time.monotonic()
    if not send(args, mails, chaos):
        print(f'only {mails.taken} mails were taken')
        return 1
    seconds = time.monotonic() - began
    if args.kind == 'redis' and not all_filed(hosts):
        print(f'mails stay in the stream')
        return 1
    seen, altered = count(hosts, args.kind, mails)
    lost = args.mails - len(seen)
    twice = sum(n > 1 for n in seen.values())
    print('killed:', ', '.join(f'{n} {what}' for what, n in chaos.killed.most_common()))
    print(f'{args.mails} mails, {mails.tries} tries, {sum(chaos.killed.values())} kills, '
          f'{args.mails / seconds:.0f} mails a second (seed {args.seed})')
    print(f'{lost} lost, {twice} twice, {altered} altered')
    return 1 if lost or twice or altered else 0


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    args = arguments()
    directory = args.dir or pathlib.Path(tempfile.mkdtemp(prefix='scale.'))
    prepare(directory)
    hosts = {n: Host(n, args.kind, directory, args.mails) for n in ADDRESSES
             if n != 'files' or args.kind == 'redis'}
    try:
        status = run(args, directory, hosts)
    finally:
        for host in hosts.values():
            if host.process is not None and host.process.poll() is None:
                host.kill()
    if status:
        print(f'see {directory}')
    elif not args.dir:
        shutil.rmtree(directory)
    return status


if __name__ == '__main__':
    sys.exit(main())
