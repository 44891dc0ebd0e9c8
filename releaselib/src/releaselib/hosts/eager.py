"""An ssh connection in a round trip less: its login does not wait for the word that logins are taken.

A client has to wait for it only where the exchange of keys has not proved the host (RFC 4253, sections 7 and 10). All
that Paramiko takes part in do, and the host's key is judged before anything of a login is said.

Imported with the first connection, as Paramiko is.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from paramiko import Message, PKey, ServiceRequestingTransport, SSHException
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST


class Eager(ServiceRequestingTransport):  # type: ignore[misc]
    """Paramiko's transport, which logs in together with the question for logins.

    Nothing that it sends waits for an acknowledgement (tcp(7), TCP_NODELAY): some systems take 0.04 seconds for one.
    """

    auth_handler: AuthOnlyHandler | None

    def __init__(self, sock: Any, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self._taken = threading.Event()
        if isinstance(sock, socket.socket):  # not for a host behind another one, nor with a ProxyCommand
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _parse_service_accept(self, m: Message) -> None:
        super()._parse_service_accept(m)
        self._taken.set()

    def ensure_session(self) -> None:
        """Ask for logins, without waiting for the answer."""
        if not self.active or not self.initial_kex_done:
            raise SSHException("No existing session")
        if self.auth_handler is None:
            self.auth_handler = self.get_auth_handler()  # first: a greeting may come with the answer
            asked = Message()
            asked.add_byte(cMSG_SERVICE_REQUEST)
            asked.add_string("ssh-userauth")
            self._send_message(asked)

    def get_auth_handler(self) -> AuthOnlyHandler:
        """What logs in."""
        return _Login(self)

    def auth_publickey(self, username: str, key: PKey) -> Any:
        """Log in with a key. An RSA key waits: how it may sign the server tells before that answer (RFC 8308, 2.4)."""
        self.ensure_session()
        while "rsa" in key.get_name() and self.active and not self._taken.wait(0.1):
            pass
        return super().auth_publickey(username, key)


class _Login(AuthOnlyHandler):  # type: ignore[misc]
    def send_auth_request(self, username: str, method: str, finish_message: Callable[[Message], None]) -> Any:
        """Log in; what is still asked for then. Paramiko's own misses an answer that comes before it looks for one."""
        self.auth_method, self.username, self.auth_event = method, username, threading.Event()
        request = Message()
        request.add_byte(cMSG_USERAUTH_REQUEST)
        for word in (username, "ssh-connection", method):
            request.add_string(word)
        finish_message(request)
        self.transport._send_message(request)
        return self.wait_for_response(self.auth_event)
