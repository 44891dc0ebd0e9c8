"""The files of a rig: the image that every host starts from, and the HOME that may log in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rig.ground import PATH, call

# What a host has for itself; of all else it sees this machine's, read-only; /run is in memory.
PRIVATE = (
    *("srv", "root", "home", "opt", "tmp", "var/tmp", "var/log", "var/lib/nginx", "var/spool/cron", "etc/cron.d"),
    *("etc/nginx", "etc/ssh", "etc/passwd", "etc/shadow", "etc/group", "etc/hosts", "etc/hostname", "etc/crontab"),
)
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
DEPLOY = 2000  # user id of the plain user

SSHD_CONFIG = f"""\
HostKey /{HOST_KEY}
PidFile /run/sshd.pid
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
SetEnv PATH={PATH}
Subsystem sftp internal-sftp
"""

SSH_CONFIG = """\
IdentityFile "{home}/.ssh/id_ed25519"
IdentitiesOnly yes
UserKnownHostsFile "{home}/.ssh/known_hosts"
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
UpdateHostKeys no
BatchMode yes
"""


def make_home(home: Path) -> None:
    """Make a HOME from which ssh, paramiko and Fabric log in without a question."""
    (home / "bin").mkdir(parents=True)
    (home / ".ssh").mkdir(mode=0o700)
    make_key(home / ".ssh/id_ed25519")
    for name, text in (("config", SSH_CONFIG.format(home=home)), ("known_hosts", "")):
        (home / ".ssh" / name).write_text(text)
        (home / ".ssh" / name).chmod(0o600)
    for tool in ("ssh", "scp", "sftp"):
        wrapper = home / "bin" / tool
        program = shutil.which(tool, path=PATH)
        wrapper.write_text(f'#!/bin/sh\nexec {program} -F "{home}/.ssh/config" "$@"\n')
        wrapper.chmod(0o755)


def make_image(image: Path, public_key: Path) -> None:
    """Make the folder that every host is a copy of: a new server with an ssh key, no more."""
    for path in map(Path, PRIVATE):
        (image / path).parent.mkdir(parents=True, exist_ok=True)
        if Path("/", path).is_dir():
            (image / path).mkdir()
            (image / path).chmod(0o1777 if path.name == "tmp" else 0o755)
    (image / "var/log/nginx").mkdir()
    (image / "var/spool/cron/crontabs").mkdir()
    (image / "etc/crontab").touch()
    if Path("/etc/nginx").exists():
        shutil.copytree("/etc/nginx", image / "etc/nginx", symlinks=True, dirs_exist_ok=True)
    (image / "etc/ssh/sshd_config").write_text(SSHD_CONFIG)
    _make_accounts(image / "etc")
    _let_in(public_key, image / "root", owner=0)
    _let_in(public_key, image / "home/deploy", owner=DEPLOY)


def make_host(image: Path, root: Path, name: str) -> None:
    """Copy the image for one host, and give it its own name and key."""
    call("cp", "-a", f"{image}/.", str(root))
    (root / "etc/hostname").write_text(f"{name}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    make_key(root / HOST_KEY)


def make_key(file: Path) -> None:
    """Make a new pair of keys, in place of one that is there."""
    file.unlink(missing_ok=True)
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file))


def _make_accounts(etc: Path) -> None:
    """Give this machine's accounts, none with a password, and a plain user `deploy`."""
    passwd = Path("/etc/passwd").read_text() + f"deploy:x:{DEPLOY}:{DEPLOY}::/home/deploy:/bin/sh\n"
    users = [line.partition(":")[0] for line in passwd.splitlines()]
    (etc / "passwd").write_text(passwd)
    (etc / "group").write_text(Path("/etc/group").read_text() + f"deploy:x:{DEPLOY}:\n")
    (etc / "shadow").write_text("".join(f"{user}:*:19000:0:99999:7:::\n" for user in users))
    (etc / "shadow").chmod(0o600)


def _let_in(public_key: Path, home: Path, owner: int) -> None:
    ssh = home / ".ssh"
    ssh.mkdir(mode=0o700, parents=True)
    shutil.copyfile(public_key, ssh / "authorized_keys")
    (ssh / "authorized_keys").chmod(0o600)
    for path in (home, ssh, ssh / "authorized_keys"):
        os.chown(path, owner, owner)
