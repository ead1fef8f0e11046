"""Speaks the REST interface of a Qdrant server, with Qdrant's own models of requests, over its local mode.

So what our code sends and reads through HTTP is checked where no server is at hand.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

qdrant_client = pytest.importorskip("qdrant_client")
models = qdrant_client.models


_NAMES = {"with_vector": "with_vectors"}  # of fields that are other arguments in the client


def given(model):
    """What a request says, as arguments."""
    return {_NAMES.get(name, name): getattr(model, name) for name in model.model_fields_set}


def create(client, name, body):
    said = models.CreateCollection.model_validate(body)
    return client.create_collection(name, vectors_config=said.vectors, metadata=said.metadata)


def scroll(client, name, body):
    points, following = client.scroll(name, **given(models.ScrollRequest.model_validate(body)))
    return models.ScrollResult(points=points, next_page_offset=following)


def upsert(client, name, body):
    return client.upsert(name, models.PointsBatch.model_validate(body).batch)


def delete(client, name, body):
    return client.delete(name, models.PointIdsList.model_validate(body))


def query(client, name, body):
    return client.query_batch_points(name, models.QueryRequestBatch.model_validate(body).searches)


def change_aliases(client, name, body):
    return client.update_collection_aliases(models.ChangeAliasesOperation.model_validate(body).actions)


ROUTES = [
    ("GET", "/aliases", lambda client, name, body: client.get_aliases()),
    ("POST", "/aliases", change_aliases),
    ("GET", "/exists", lambda client, name, body: {"exists": client.collection_exists(name)}),
    ("PUT", "", create),
    ("GET", "", lambda client, name, body: client.get_collection(name)),
    ("PATCH", "", lambda client, name, body: client.update_collection(name, **given(models.UpdateCollection(**body)))),
    ("DELETE", "", lambda client, name, body: client.delete_collection(name)),
    ("POST", "/points/count", lambda client, name, body: client.count(name, **given(models.CountRequest(**body)))),
    ("POST", "/points", lambda client, name, body: client.retrieve(name, **given(models.PointRequest(**body)))),
    ("PUT", "/points", upsert),
    ("POST", "/points/delete", delete),
    ("POST", "/points/query/batch", query),
    ("POST", "/points/scroll", scroll),
]


def plain(result):
    if isinstance(result, list):
        return [plain(one) for one in result]
    return result.model_dump(mode="json") if hasattr(result, "model_dump") else result


@contextmanager
def qdrant_server() -> Iterator[str]:
    """Serves in memory.

    Yields:
        The URL.
    """
    client = qdrant_client.QdrantClient(":memory:")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            # Of /aliases and /collections/aliases there is no collection.
            path = re.sub(r"^(/collections)?/aliases", "/collections/-/aliases", self.path)
            found = re.fullmatch(r"/collections/([\w-]+)([\w/]*)(\?.*)?", path)
            for method, path, call in ROUTES:
                if found and (method, path) == (self.command, found[2]):
                    result = plain(call(client, found[1], json.loads(body) if body else {}))
                    return self.reply(200, {"result": result, "status": "ok", "time": 0.0})
            return self.reply(404, {"status": {"error": f"no {self.command} {self.path}"}})

        def reply(self, status, content):
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
