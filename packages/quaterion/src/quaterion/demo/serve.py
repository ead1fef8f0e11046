"""Serves the demo's search page to this machine alone, over the standard library."""

import socketserver
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from quaterion.demo.search_page import Reply, SearchPage, error_reply

__all__ = ["PageServer"]

HOST = "127.0.0.1"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class PageServer(ThreadingHTTPServer):
    """A server on the loopback interface. It holds its port from the start, and answers once it has a page.

    Args:
        port: Port; 0 for a free one.

    Raises:
        OSError: The port cannot be had.
    """

    daemon_threads = True
    allow_reuse_port = False
    page: SearchPage  # from `open_page` on

    def __init__(self, port: int) -> None:
        super().__init__((HOST, port), _Handler, bind_and_activate=False)
        try:
            self.server_bind()
        except OSError as error:
            self.server_close()
            raise OSError(
                f"Port {port} of {HOST} cannot be used ({error.strerror}): choose another with --port, "
                "or --port 0 for a free one"
            ) from None

    def server_bind(self) -> None:
        """Binds without asking the network for this machine's name, as `HTTPServer` does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_port}/"

    def open_page(self, page: SearchPage) -> None:
        """Takes requests from now on; `serve_forever` answers them.

        Args:
            page: What answers. One search is made, so that the first one asked for is as fast as the others.
        """
        page.reply("/search?q=warm+up")
        self.page = page
        self.server_activate()

    def handle_error(self, *request: Any) -> None:
        """Shows what went wrong, but for clients that leave: browsers do when another search is asked for."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*request)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60  # seconds that an idle connection keeps its thread

    def do_GET(self) -> None:
        self._send(self._reply())

    do_HEAD = do_GET  # noqa: N815 - names that http.server looks for

    def _refuse(self) -> None:
        self.close_connection = True  # the request's body stays unread
        self._send(error_reply(405, f"{self.command} is not answered here: use GET."), Allow="GET, HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

    def _reply(self) -> Reply:
        # A foreign page whose name was made to resolve to this machine (DNS rebinding) sends its own name.
        hosts = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        if self.headers.get("Host", "").lower() not in hosts:
            return error_reply(421, f"This page is served as {self.server.address} only.")
        return self.server.page.reply(self.path)

    def _send(self, reply: Reply, **more: str) -> None:
        self.send_response(reply.status)
        headers = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.body)), **_HEADERS, **more}
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, *_: Any) -> None:
        """Says nothing: what is searched for is the user's own business."""
