"""What the OpenSSH client is told by its configuration, and what it says when it does not connect."""

import glob
import re
from pathlib import Path

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.hosts import known_hosts
from releaselib.hosts.connection import Unreachable, behind, refused

CONFIG = """\
Host *
    BatchMode yes
    StrictHostKeyChecking yes
    NoHostAuthenticationForLocalhost no
    UpdateHostKeys no
    {stage_keys}
    ConnectTimeout {connect_timeout}
    ServerAliveInterval 15
    ServerAliveCountMax 2
    ForwardAgent no
    ForwardX11 no
    ClearAllForwardings yes
    PermitLocalCommand no
    RemoteCommand none
    RequestTTY no
    ControlMaster no
    ControlPath none
    ControlPersist no
    LogLevel {level}
Include {user_config}
Include /etc/ssh/ssh_config
Host *
    UserKnownHostsFile {user_keys}
"""
"""For every hop, as ProxyJump hands on -F and no other option. The first value counts, so what we need is in front.

A hop takes no part in a connection that the user's own ssh shares: its host key was judged by other settings.
"""

NOISE = re.compile("UNKNOWN port|stdio forwarding failed|kex_exchange|terminating, |Disconnected from|^debug")
"""Lines that follow from one before."""
TOLD = re.compile("Host key verification failed|Permission denied")
"""What is not tried again, but asked more about (LogLevel DEBUG1), to be told by :func:`refusal`."""
UNKNOWN = re.compile(r"No \S+ host key is known for (\S+) and")
CHANGED = re.compile(r"[Hh]ost key for (\S+) has changed and")
REVOKED = re.compile(r"host key for (\S+) (?:is marked as|was) revoked")
DENIED = re.compile(r"@\S+: (Permission denied.*\S)")
LOGINS = re.compile(r"^debug1: Authenticating to (\S+):(\d+) as '(.*)'", re.MULTILINE)
KEYS = re.compile(r"^debug1: Server host key: (\S+ \S+)", re.MULTILINE)
JUMP = re.compile(r"^proxyjump (?:[^@,\s]*@)?(\[[^]]+\]|[^:,\s]+)", re.MULTILINE)
JUMPS = re.compile(r"^debug1: Executing proxy command: .* -W ", re.MULTILINE)


def configuration(stage: Stage, level: str) -> str:
    """What ssh goes by: ours, then the user's, by HOME as Paramiko has it, and the system's."""
    user, system = Path("~/.ssh").expanduser(), "/etc/ssh/ssh_known_hosts"
    more = f"GlobalKnownHostsFile {system} {system}2 {_word(stage.known_hosts)}"  # which leaves the user's own
    return CONFIG.format(
        stage_keys=more if stage.known_hosts else "",
        connect_timeout=stage.connect_timeout,
        level=level,
        user_config=_word(f"{glob.escape(str(user))}/config"),
        user_keys=f"{_word(f'{user}/known_hosts')} {_word(f'{user}/known_hosts2')}",
    )


def _word(text: str) -> str:
    """A word of ssh_config(5), which may have a space."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def first_jump(told: str) -> str:
    """The first host of a ProxyJump, by what ``ssh -G`` tells; empty where there is none."""
    found = JUMP.search(told)
    return found[1].strip("[]") if found and found[1] != "none" else ""


def last_words(said: str) -> str:
    """The last line that says why; empty where none does."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not NOISE.search(line)]
    return lines[-1] if lines else ""


def refusal(host: Host, stage: Stage, said: str) -> Unreachable | None:
    """The error for a host, or one that it is behind, which is not trusted or lets nobody in."""
    key = (KEYS.findall(said) or ["a key that ssh does not tell"])[-1]
    if found := REVOKED.search(said):
        return known_hosts.revoked(found[1], key)
    if found := UNKNOWN.search(said):
        return known_hosts.known(stage.known_hosts).unknown(found[1], key)
    if found := CHANGED.search(said):
        return known_hosts.known(stage.known_hosts).changed(found[1], key)
    logins = LOGINS.findall(said)
    if logins and (found := DENIED.search(said)):
        address, port, user = logins[-1]
        at = host.name if len(logins) > len(JUMPS.findall(said)) else behind(host, address)
        return refused(at, (user, address, int(port)), found[1])
    return None
