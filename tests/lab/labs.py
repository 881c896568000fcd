# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs by name: built, found, entered and taken down. tests/lab/lab is the command, tests use Lab; docs/lab.md explains
both."""
import contextlib
import json
import os
import pathlib
import pickle
import select
import shutil
import signal
import socket
import subprocess
import sys
import traceback

import fleet
import spaces

ROOT = pathlib.Path('/run/holdfast-lab')
GROUP = 86  # of NFLOG: packets that fell to the default drop
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
DEFAULT_PROGRAM = SOURCE / 'build' / 'src' / 'bin' / 'holdfast'


class LabError(Exception):
    pass


def why_not():
    """Why no lab can be built here; None when it can."""
    if os.geteuid():
        return 'a lab needs root'
    for tool in ('ip', 'nft'):
        if not shutil.which(tool):
            return f"there is no '{tool}'; install the test group of tools/packages"
    for name in ('/etc/hosts', '/etc/resolv.conf'):
        if not os.path.exists(name):
            return f"there is no '{name}' that a machine's own could be laid over"
    with contextlib.suppress(OSError):
        if subprocess.run(['unshare', '-n', '-p', '-m', '-u', '-f', 'ip', 'link', 'add', 'type', 'veth'], check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return None
    return 'this system allows no namespaces with links of their own'


def start_time(pid):
    """What tells a process from a later one with its number."""
    with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as file:
        return file.read().rpartition(')')[2].split()[19]


def hosts_text(nodes):
    lines = ['127.0.0.1 localhost', '::1 localhost']
    for node in nodes:
        lines += [f"{address} {' '.join([*node.names, node.name])}" for address, _ in node.addresses]
    return '\n'.join(lines) + '\n'


def render(program, topology, nodes):
    """The rules of each host, as holdfast renders them: text by name."""
    rules = {}
    for node in nodes:
        if not node.external:
            done = subprocess.run([program, 'ports', 'firewall', topology, '--host', node.name, '--format', 'nftables',
                                   '--log-group', str(GROUP)], capture_output=True, check=False)
            if done.returncode not in (0, 3):  # 3: something in the topology is unresolved and stays closed
                raise LabError(f"no rules for '{node.name}': {done.stderr.decode(errors='replace').strip()}")
            rules[node.name] = done.stdout.decode()
    return rules


def remove(folder):
    """Agents of a lab may have made files of repositories immutable, and let go of them no more."""
    if os.geteuid() == 0 and shutil.which('chattr'):
        subprocess.run(['chattr', '-R', '-f', '-i', str(folder)], check=False, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)


def keep(folder, nodes, rules, owner, ready):
    """The keeper's life, from its first breath as PID 1."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    keeper = spaces.Keeper(folder, nodes, rules, GROUP, owner)
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(f'{folder}/control')
        control.listen(16)
        keeper.build()
        os.write(ready, json.dumps({'spaces': keeper.spaces}).encode() + b'\n')
        os.close(ready)
        keeper.serve(control)
    remove(folder)


def start_keeper(folder, nodes, rules, owner, ready):
    """Between the builder and the keeper: makes the PID namespace, and writes down who the keeper is."""
    os.setsid()
    log = os.open(f'{folder}/keeper.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open('/dev/null', os.O_RDWR)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    kept = sorted((owner, ready))
    for first, last in zip((2, *kept), (*kept, 65536)):
        os.closerange(first + 1, last)
    spaces.unshare(spaces.NEWPID)
    init = os.fork()
    if init:
        pathlib.Path(folder, 'pid').write_text(f'{init} {start_time(init)}\n', encoding='ascii')
        os._exit(0)
    try:
        keep(folder, nodes, rules, owner, ready)
    except BaseException as error:
        traceback.print_exc()
        with contextlib.suppress(OSError):
            os.write(ready, json.dumps({'error': str(error)}).encode() + b'\n')
        os._exit(1)
    os._exit(0)


class Lab:
    """A lab that exists. `with Lab.up(...) as lab:` takes it down at the end."""

    def __init__(self, name):
        self.name, self.folder = name, ROOT / name
        try:
            pid, born = (self.folder / 'pid').read_text(encoding='ascii').split()
            self.state = json.loads((self.folder / 'state.json').read_text(encoding='utf-8'))
            self.init = int(pid)
            if start_time(self.init) != born:
                raise FileNotFoundError
        except (OSError, ValueError) as error:
            raise LabError(f"there is no lab '{name}'; build it with: lab up TOPOLOGY --name {name}") from error
        self.nodes = fleet.load(self.folder / 'topology')

    # ---- up and down ----

    @classmethod
    def up(cls, topology, name='lab', owner=None, rules=None, program=None):
        """`owner`: the process with which the lab ends (default: this one). `rules`: a folder with HOST.nft files
        instead of what `program` renders; hosts without a file have no firewall."""
        reason = why_not()
        if reason:
            raise LabError(reason)
        sweep()
        folder = ROOT / name
        ROOT.mkdir(mode=0o700, exist_ok=True)
        try:
            folder.mkdir(mode=0o755)
        except FileExistsError as error:
            raise LabError(f"there is a lab '{name}' already; take it down, or choose another --name") from error
        try:
            cls.build(pathlib.Path(topology), folder, owner or os.getpid(), rules, program or DEFAULT_PROGRAM)
        except BaseException:
            end(folder)
            raise
        return cls(name)

    @staticmethod
    def build(topology, folder, owner, given, program):
        nodes = fleet.load(topology)
        shutil.copyfile(topology, folder / 'topology')
        (folder / 'hosts').write_text(hosts_text(nodes), encoding='utf-8')
        (folder / 'resolv.conf').write_text('options timeout:1 attempts:1\n', encoding='ascii')
        if given:
            rules = {path.stem: path.read_text(encoding='utf-8') for path in pathlib.Path(given).glob('*.nft')}
        else:
            rules = render(program, topology, nodes)
        try:
            pidfd = os.pidfd_open(owner)
        except OSError as error:
            raise LabError(f'the owner {owner} is not there: {error.strerror}') from error
        told, ready = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                start_keeper(str(folder), nodes, rules, pidfd, ready)
            finally:
                os._exit(1)
        os.close(ready)
        os.close(pidfd)
        os.waitpid(child, 0)
        with open(told, encoding='utf-8') as pipe:
            answer = json.loads(pipe.readline() or '{"error": "the keeper died; see its log"}')
        if 'error' in answer:
            raise LabError(answer['error'])
        partial = folder / 'state.new'
        partial.write_text(json.dumps(answer), encoding='utf-8')
        partial.rename(folder / 'state.json')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def down(self):
        end(self.folder)

    # ---- inside ----

    def node(self, name):
        for node in self.nodes:
            if name == node.name:
                return node
        raise LabError(f"lab '{self.name}' has no machine '{name}'")

    def address(self, name, version=4):
        """The first address of that version, as text."""
        return next(str(address) for address, _ in self.node(name).addresses if address.version == version)

    def enter(self, host):
        """Moves this process into the host; its children also into the lab's processes."""
        self.node(host)
        pid = os.open(f'/proc/{self.init}/ns/pid', os.O_RDONLY)
        opened = {kind: os.open(f'/proc/{self.init}/fd/{descriptor}', os.O_RDONLY)
                  for kind, descriptor in self.state['spaces'][host].items()}
        folder = os.getcwd()
        spaces.setns(pid)
        spaces.enter(opened)
        os.chdir(folder)
        for descriptor in (pid, *opened.values()):
            os.close(descriptor)

    def popen(self, host, command, **more):
        """A program on the host. It is a grandchild: signals go through, and it ends when the lab does."""
        return subprocess.Popen([sys.executable, '-B', str(pathlib.Path(__file__).with_name('lab')), 'exec', '--name',
                                 self.name, host, *map(str, command)], **more)

    def run(self, host, *command, timeout=30, **more):
        """Runs a program on the host to its end: CompletedProcess with stdout and stderr as text."""
        with self.popen(host, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                        stdin=subprocess.DEVNULL, **more) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                return subprocess.CompletedProcess(command, -signal.SIGKILL, out, err + '(timeout)')
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def call(self, host, function, *arguments):
        """What the function returns when it runs on the host, in a process of its own."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                spaces.die_with_parent()
                os.close(reader)
                self.enter(host)
                result = (True, function(*arguments))
            except BaseException:
                result = (False, traceback.format_exc())
            with open(writer, 'wb') as pipe:
                pipe.write(pickle.dumps(result))
            os._exit(0)
        os.close(writer)
        with open(reader, 'rb') as pipe:
            data = pipe.read()
        os.waitpid(child, 0)
        good, result = pickle.loads(data)
        if not good:
            raise LabError(f"on '{host}': {result}")
        return result

    def ruleset(self, host):
        return json.loads(self.call(host, spaces.run, ['nft', '-j', 'list', 'ruleset']))['nftables']

    # ---- what fell to the default drop ----

    def ask(self, request):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(10)
            channel.connect(f'{self.folder}/control')
            channel.sendall(request)
            channel.recv(1)

    def stray(self):
        """All packets so far, one record each (nflog.parse_messages), with the name of the host that dropped it."""
        self.ask(b's')
        with open(self.folder / 'stray.jsonl', encoding='utf-8') as file:
            return [json.loads(line) for line in file]

    def peer_name(self, text):
        """The machine that has the address, or the address."""
        return next((node.name for node in self.nodes for address, _ in node.addresses if str(address) == text), text)


def exec_in(lab, host, command):
    """Becomes the program, on the host; returns its exit code."""
    lab.enter(host)
    child = os.fork()
    if child == 0:
        spaces.die_with_parent()
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f'lab: {command[0]}: {error.strerror}', file=sys.stderr)
            os._exit(127)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda signum, _: os.kill(child, signum))
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except InterruptedError:
            continue


def end(folder):
    """Ends the lab of the folder, in order if its keeper answers, else at once, and takes the folder away."""
    try:
        pid, born = (folder / 'pid').read_text(encoding='ascii').split()
        pidfd = os.pidfd_open(int(pid))
        alive = start_time(pid) == born
    except (OSError, ValueError):
        alive = False
    if alive:
        try:
            with socket.socket(socket.AF_UNIX) as channel:
                channel.settimeout(3)
                channel.connect(f'{folder}/control')
                channel.sendall(b'd')
                channel.recv(1)
            ready = select.select([pidfd], [], [], 3)[0]
        except OSError:
            ready = []
        if not ready:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], 10)
        os.close(pidfd)
    remove(folder)


def existing():
    return [path.name for path in sorted(ROOT.iterdir()) if path.is_dir()] if ROOT.is_dir() else []


def sweep():
    """Takes away the folders of labs whose keeper was killed."""
    for name in existing():
        with contextlib.suppress(OSError, ValueError):
            pid, born = (ROOT / name / 'pid').read_text(encoding='ascii').split()
            try:
                alive = start_time(pid) == born
            except FileNotFoundError:
                alive = False
            if not alive:
                remove(ROOT / name)
