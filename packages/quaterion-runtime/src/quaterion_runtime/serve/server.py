"""Runs the service in this process until it is told to stop."""

from __future__ import annotations

import ipaddress
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

_BACKLOG = 1024
_KEEP_ALIVE = 30


def bind(host: str, port: int) -> socket.socket:
    """Takes a port; nobody can connect before it is listened on.

    Args:
        host: A name or an address.
        port: The port; 0 for any that is free.

    Returns:
        The socket.

    Raises:
        OSError: If the host is unknown or not of this machine, or the port is in use or not allowed.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def address_of(bound: socket.socket) -> str:
    """The address of a socket.

    Args:
        bound: A socket that `bind` gave.

    Returns:
        Such as `"http://127.0.0.1:8000"`.
    """
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(bound: socket.socket) -> bool:
    """Whether only this machine can connect to a socket.

    Args:
        bound: A socket that `bind` gave.
    """
    return ipaddress.ip_address(bound.getsockname()[0]).is_loopback


def run(app: Starlette, bound: socket.socket, *, grace: int, on_listening: Callable[[], object]) -> None:
    """Serves until SIGTERM or SIGINT; then accepts nothing more, and finishes what is there.

    Args:
        app: The application.
        bound: A socket that `bind` gave.
        grace: Most seconds for what is there.
        on_listening: Called as soon as clients can connect, and signals stop the service as they should.

    Raises:
        OSError: If another process listens on the port by now.
    """
    config = uvicorn.Config(
        app,
        http="h11",  # bounds the size of headers
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=grace,
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn takes signals itself while it runs, and raises them again when it is done: without handlers here that, or
    # a signal before it runs, would end the process as if it had been killed.
    kept = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        bound.listen(_BACKLOG)
        on_listening()
        server.run(sockets=[bound])
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
