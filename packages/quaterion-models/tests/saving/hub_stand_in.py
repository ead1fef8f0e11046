"""A small server with the Hugging Face hub's addresses, for one process: repositories of files in branches.

It speaks what huggingface_hub 2 needs to make a repository, send a folder (small files in the commit, others by LFS)
and fetch a snapshot. A private repository shows itself to whoever has the token.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_standin"  # noqa: S105  # of this server only
LFS = (".safetensors", ".bin")


class Repository:
    """Commits by number, and where branches stand."""

    def __init__(self, *, private):
        self.private = private
        self.commits = {}
        self.branches = {"main": self.commit({})}

    def commit(self, files):
        name = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()  # noqa: S324
        self.commits[name] = files
        return name

    def files(self, revision):
        name = self.branches.get(revision, revision)
        return name, self.commits.get(name)


def oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.hub.connections.append(self.connection)

    def log_message(self, *_):
        """Writes nothing; `hub.requests` has what was asked."""

    @property
    def hub(self):
        return self.server.hub

    def do_GET(self):
        self.answer_request()

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815  # names that http.server looks for

    def answer_request(self):
        address = urlsplit(self.path)
        path, query = unquote(address.path), parse_qs(address.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append(f"{self.command} {path}")
        for pattern, method in ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                return method(self, *match.groups(), body=body, query=query)
        return self.send(404, {"error": f"no such address: {path}"})

    def send(self, status, content=b"", **headers):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def repository(self, name):
        found = self.hub.repositories.get(name)
        if found is None or (found.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            self.send(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        return found

    def revision(self, name, revision):
        repository = self.repository(name)
        if repository is None:
            return None, None
        commit, files = repository.files(revision)
        if files is None:
            self.send(404, {"error": f"Invalid rev id: {revision}"}, X_Error_Code="RevisionNotFound")
            return None, None
        return commit, files

    def create(self, *, body, query):
        wanted = json.loads(body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.send(401, {"error": "Invalid user token."})
        if name in self.hub.repositories:
            return self.send(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"})
        self.hub.repositories[name] = Repository(private=wanted.get("visibility") == "private")
        return self.send(200, {"url": f"{self.hub.url}/{name}"})

    def validate(self, *, body, query):
        import yaml

        text = json.loads(body)["content"]
        metadata = yaml.safe_load(text.split("---\n")[1])
        problems = [] if isinstance(metadata, dict) and "library_name" in metadata else [{"message": "no library_name"}]
        self.send(400 if problems else 200, {"errors": problems, "warnings": []})

    def info(self, name, revision="main", *, body, query):
        commit, files = self.revision(name, revision)
        if commit is not None:
            self.send(200, {"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]})

    def branch(self, name, branch, *, body, query):
        repository = self.repository(name)
        if repository is None:
            return None
        if branch in repository.branches:
            return self.send(409, {"error": "Reference already exists"})
        repository.branches[branch] = repository.branches["main"]
        return self.send(200, {})

    def tree(self, name, revision, *, body, query):
        _, files = self.revision(name, revision)
        if files is not None:
            entries = [
                {"type": "file", "path": path, "size": len(content), "oid": oid(content)}
                for path, content in sorted(files.items())
            ]
            self.send(200, entries)

    def preupload(self, name, revision, *, body, query):
        _, files = self.revision(name, revision)
        if files is not None:
            asked = [entry["path"] for entry in json.loads(body)["files"]]
            modes = [
                {"path": path, "uploadMode": "lfs" if path.endswith(LFS) else "regular", "shouldIgnore": False}
                for path in asked
            ]
            self.send(200, {"files": modes})

    def batch(self, name, *, body, query):
        if self.repository(name) is None:
            return
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}
            for one in json.loads(body)["objects"]
        ]
        self.send(200, {"transfer": "basic", "objects": objects})

    def store(self, digest, *, body, query):
        assert hashlib.sha256(body).hexdigest() == digest
        self.hub.lfs[digest] = body
        self.send(200)

    def commit(self, name, revision, *, body, query):
        _, files = self.revision(name, revision)
        if files is None:
            return
        repository, files = self.hub.repositories[name], dict(files)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.lfs[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        commit = repository.commit(files)
        request = None
        if "create_pr" in query:
            number = 1 + sum(branch.startswith("refs/pr/") for branch in repository.branches)
            revision, request = f"refs/pr/{number}", f"{self.hub.url}/{name}/discussions/{number}"
        repository.branches[revision] = commit
        address = f"{self.hub.url}/{name}/commit/{commit}"
        self.send(200, {"commitUrl": address, "commitOid": commit, "pullRequestUrl": request})

    def resolve(self, name, revision, path, *, body, query):
        commit, files = self.revision(name, revision)
        if commit is None:
            return
        if path not in files:
            self.send(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        else:
            self.send(200, files[path], X_Repo_Commit=commit, ETag=f'"{oid(files[path])}"')


NAME = "([^/]+/[^/]+)"
ROUTES = [
    ("POST /api/repos/create", Handler.create),
    ("POST /api/validate-yaml", Handler.validate),
    (f"GET /api/models/{NAME}", Handler.info),
    (f"GET /api/models/{NAME}/revision/(.+)", Handler.info),
    (f"POST /api/models/{NAME}/branch/(.+)", Handler.branch),
    (f"GET /api/models/{NAME}/tree/(.+)", Handler.tree),
    (f"POST /api/models/{NAME}/preupload/(.+)", Handler.preupload),
    (f"POST /api/models/{NAME}/commit/(.+)", Handler.commit),
    (rf"POST /{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT /lfs/([0-9a-f]{64})", Handler.store),
    (f"(?:GET|HEAD) /{NAME}/resolve/([^/]+|refs/pr/[0-9]+)/(.+)", Handler.resolve),
]


class HubStandIn:
    """The server, while the block runs.

    Attributes:
        url: Its address.
        repositories: Repositories by name.
        requests: What was asked, method and path.
    """

    def __enter__(self):
        self.repositories, self.requests, self.lfs, self.connections = {}, [], {}, []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.hub = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:  # clients keep them open
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
