# SPDX-License-Identifier: GPL-3.0-or-later
"""Real programs in the places of a lab: each function starts one on a host, with its files in `folder`, and returns when
it listens. They end with the lab."""
import contextlib
import glob
import os
import pathlib
import shutil
import socket
import subprocess
import time

PYTHON = '/usr/bin/python3'  # the system's: it has the modules of the packages

NEEDED = {
    '/usr/sbin/sshd': 'openssh-server', '/usr/bin/ssh': 'openssh-client', '/usr/lib/postgresql/15/bin/postgres':
    'postgresql', '/usr/bin/ganesha.nfsd': 'nfs-ganesha', '/usr/lib/*/ganesha/libfsalvfs.so':
    'nfs-ganesha-vfs', '/usr/sbin/rpcbind': 'rpcbind', '/usr/bin/nfs-ls': 'libnfs-utils', '/usr/sbin/smbd': 'samba',
    '/usr/bin/smbclient': 'smbclient', '/usr/sbin/tgtd': 'tgt', '/usr/bin/iscsi-ls': 'libiscsi-bin',
    '/usr/sbin/rsyslogd': 'rsyslog', '/usr/sbin/slapd': 'slapd', '/usr/bin/ldapsearch': 'ldap-utils',
    '/usr/bin/pykmip-server': 'python3-pykmip', '/usr/bin/certtool': 'gnutls-bin', '/usr/sbin/dnsmasq': 'dnsmasq-base'}


def missing():
    """The packages that are not there."""
    packages = [package for path, package in NEEDED.items() if not glob.glob(path)]
    found = subprocess.run([PYTHON, '-c', 'import aiosmtpd'], check=False, stderr=subprocess.DEVNULL)
    return packages + (['python3-aiosmtpd'] if found.returncode else [])


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
        return True
    return False


def start(lab, host, command, port, folder, seconds=20, **more):
    """Runs a server until the lab ends, and waits for its port."""
    log = pathlib.Path(folder, f'{host}-{port}.log')
    with open(log, 'wb') as output:
        process = lab.popen(host, command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **more)
    until = time.monotonic() + seconds
    while not lab.call(host, accepts, port):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f'{command[0]} on {host} does not listen on {port}: {log.read_text(errors="replace")}')
        time.sleep(0.1)
    return process


def write(folder, name, text, mode=0o600):
    path = pathlib.Path(folder, name)
    path.write_text(text, encoding='utf-8')
    path.chmod(mode)
    return path


def certificates(folder, names):
    """A CA, and a certificate and key for each of the names: ca.pem, NAME.pem, NAME.key."""
    def run(*command):
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def key(name):
        run('certtool', '--generate-privkey', '--key-type', 'rsa', '--bits', '2048', '--outfile', f'{name}.key')

    key('ca')
    write(folder, 'ca.cfg', 'cn = "Lab CA"\nca\ncert_signing_key\nexpiration_days = 30\n')
    run('certtool', '--generate-self-signed', '--load-privkey', 'ca.key', '--template', 'ca.cfg', '--outfile', 'ca.pem')
    for name in names:
        key(name)
        write(folder, f'{name}.cfg', f'cn = "{name}"\ndns_name = "{name}"\ntls_www_server\ntls_www_client\n'
              'signing_key\nencryption_key\nexpiration_days = 30\n')
        run('certtool', '--generate-certificate', '--load-privkey', f'{name}.key', '--load-ca-certificate', 'ca.pem',
            '--load-ca-privkey', 'ca.key', '--template', f'{name}.cfg', '--outfile', f'{name}.pem')
        os.chmod(f'{folder}/{name}.pem', 0o644)
    os.chmod(f'{folder}/ca.pem', 0o644)


def sshd(lab, host, folder):
    if not os.path.exists(f'{folder}/ssh_key'):
        for name in ('ssh_key', 'ssh_host'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', f'{folder}/{name}'], check=True)
        shutil.copy(f'{folder}/ssh_key.pub', f'{folder}/authorized')
    config = write(folder, f'sshd-{host}.conf', f'HostKey {folder}/ssh_host\nPidFile none\nStrictModes no\nUsePAM no\n'
                   f'AuthorizedKeysFile {folder}/authorized\nPermitRootLogin yes\nUseDNS no\n'
                   'Subsystem sftp internal-sftp\n')
    lab.call(host, os.makedirs, '/run/sshd')
    start(lab, host, ['/usr/sbin/sshd', '-D', '-e', '-f', config], 22, folder)


def postgresql(lab, host, folder):
    data, binaries = f'{folder}/postgres', '/usr/lib/postgresql/15/bin'
    os.mkdir(data)
    shutil.chown(data, 'postgres')
    user = ['runuser', '-u', 'postgres', '--']
    subprocess.run([*user, f'{binaries}/initdb', '-D', f'{data}/db', '-A', 'trust', '-U', 'postgres', '--no-sync'],
                   check=True, stdout=subprocess.DEVNULL, cwd='/')
    with open(f'{data}/db/pg_hba.conf', 'a', encoding='ascii') as file:
        file.write('host all all all trust\n')
    start(lab, host, [*user, f'{binaries}/postgres', '-D', f'{data}/db', '-h', '*', '-k', data, '-c', 'fsync=off'], 5432,
          folder)


def nfs(lab, host, folder, mountd, statd, lockd):
    """NFS version 3 and 4 with its port mapper. `statd` is of the plan only: ganesha brings none."""
    export = pathlib.Path(folder, 'export')
    export.mkdir()
    (export / 'hello').write_text('hello\n', encoding='ascii')
    config = write(folder, 'ganesha.conf', f'''
NFS_CORE_PARAM {{ MNT_Port = {mountd}; NLM_Port = {lockd}; Protocols = 3, 4; Enable_NLM = true;
  Enable_RQUOTA = false; }}
NFSv4 {{ Grace_Period = 5; Lease_Lifetime = 10; RecoveryBackend = fs; RecoveryRoot = "{folder}/recovery";
  Graceless = true; Only_Numeric_Owners = true; }}
EXPORT {{ Export_Id = 77; Path = {export}; Pseudo = /export; Access_Type = RW; Squash = No_Root_Squash; SecType = sys;
  Protocols = 3, 4; Transports = TCP; FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = EVENT; }}
''')
    os.mkdir(f'{folder}/recovery')
    lab.call(host, os.makedirs, '/run/rpcbind')
    start(lab, host, ['rpcbind', '-f'], 111, folder)
    start(lab, host, ['ganesha.nfsd', '-F', '-f', config, '-L', f'{folder}/ganesha.log', '-p', '/run/ganesha.pid'], 2049,
          folder)
    return export, statd


def smb(lab, host, folder, password):
    base = pathlib.Path(folder, 'samba')
    for name in ('private', 'state', 'lock', 'cache', 'run', 'ncalrpc', 'share'):
        (base / name).mkdir(parents=True)
    (base / 'share' / 'hello').write_text('hello\n', encoding='ascii')
    config = write(base, 'smb.conf', f'''[global]
 workgroup = LAB
 server role = standalone server
 smb ports = 445
 disable netbios = yes
 private dir = {base}/private
 state directory = {base}/state
 lock directory = {base}/lock
 cache directory = {base}/cache
 pid directory = {base}/run
 ncalrpc dir = {base}/ncalrpc
 passdb backend = tdbsam:{base}/private/passdb.tdb
 log file = {base}/log
 server min protocol = SMB2
 load printers = no
 printing = bsd
 printcap name = /dev/null
 disable spoolss = yes
[share]
 path = {base}/share
 read only = yes
''')
    subprocess.run(['smbpasswd', '-c', config, '-a', '-s', 'root'], input=f'{password}\n{password}\n', text=True,
                   check=True, stdout=subprocess.DEVNULL)
    start(lab, host, ['smbd', '-F', '--no-process-group', '-s', config, '-l', base], 445, folder, start_new_session=True)


def iscsi(lab, host, folder, target):
    disk = pathlib.Path(folder, 'disk.img')
    with open(disk, 'wb') as file:
        file.truncate(1 << 20)
    start(lab, host, ['tgtd', '-f', '-C', '7', '--iscsi', 'portal=0.0.0.0:3260'], 3260, folder)
    admin = ['tgtadm', '-C', '7', '--lld', 'iscsi', '--op']
    for command in (['new', '--mode', 'target', '--tid', '1', '-T', target],
                    ['new', '--mode', 'logicalunit', '--tid', '1', '--lun', '1', '-b', disk],
                    ['bind', '--mode', 'target', '--tid', '1', '-I', 'ALL']):
        done = lab.run(host, *admin, *command)
        if done.returncode:
            raise RuntimeError(f'tgtadm: {done.stderr}')


def smtp(lab, host, folder):
    start(lab, host, [PYTHON, '-m', 'aiosmtpd', '-n', '-l', '0.0.0.0:25', '-c', 'aiosmtpd.handlers.Debugging', 'stderr'],
          25, folder)


def syslog(lab, host, folder, name):
    """Plain over TCP and UDP, and over TLS; what comes is in syslog.out."""
    config = write(folder, 'rsyslog.conf', f'''
global(workDirectory="{folder}" defaultNetstreamDriverCAFile="{folder}/ca.pem"
  defaultNetstreamDriverCertFile="{folder}/{name}.pem" defaultNetstreamDriverKeyFile="{folder}/{name}.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
module(load="imptcp")
module(load="imudp")
input(type="imtcp" port="6514")
input(type="imptcp" port="514")
input(type="imudp" port="514")
template(name="raw" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{folder}/syslog.out" template="raw")
''')
    start(lab, host, ['rsyslogd', '-n', '-f', config, '-i', '/run/rsyslog.pid'], 6514, folder)
    return pathlib.Path(folder, 'syslog.out')


def ldap(lab, host, folder, name):
    os.mkdir(f'{folder}/ldap')
    config = write(folder, 'slapd.conf', f'''include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile /run/slapd.pid
TLSCertificateFile {folder}/{name}.pem
TLSCertificateKeyFile {folder}/{name}.key
TLSCACertificateFile {folder}/ca.pem
database mdb
maxsize 10485760
suffix "dc=lab"
rootdn "cn=admin,dc=lab"
rootpw secret
directory {folder}/ldap
''')
    start(lab, host, ['slapd', '-d', '0', '-f', config, '-h', 'ldap:/// ldaps:///'], 636, folder)


def kmip(lab, host, folder, name):
    os.mkdir(f'{folder}/kmip-policy')
    config = write(folder, 'kmip.conf', f'''[server]
hostname={lab.address(host)}
port=5696
certificate_path={folder}/{name}.pem
key_path={folder}/{name}.key
ca_path={folder}/ca.pem
auth_suite=TLS1.2
policy_path={folder}/kmip-policy
enable_tls_client_auth=True
logging_level=INFO
database_path={folder}/kmip.db
''')
    log = open(f'{folder}/{host}-kmip.log', 'wb')
    process = lab.popen(host, ['pykmip-server', '-f', config, '-l', f'{folder}/kmip.log'], stdin=subprocess.DEVNULL,
                        stdout=log, stderr=log)
    log.close()
    until = time.monotonic() + 20
    while not lab.call(host, reaches, lab.address(host), 5696):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(pathlib.Path(f'{folder}/{host}-kmip.log').read_text(errors='replace'))
        time.sleep(0.2)


def reaches(address, port):
    with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
        return True
    return False
