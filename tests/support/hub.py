"""A fake Hugging Face hub on the loopback interface, for downloads."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

RESOLVE = re.compile(r"/(.+?)/resolve/([^/]+)/(.+)")
RANGE = re.compile(r"bytes=(\d+)-")


class Hub:
    """Serve model repositories on 127.0.0.1 while the context is open.

    url (str): The address to use as the hub's endpoint.
    requests (List[Tuple[str, str]]): The method and path of all requests so far.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        # repo_id -> branch -> commit, and repo_id -> commit -> name -> content
        self._branches: dict[str, dict[str, str]] = {}
        self._commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self._gates: dict[str, tuple[int | None, str | None]] = {}
        self._drops: dict[str, int | None] = {}
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Hub":
        # With the default interval, stopping would take up to half a second.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse connections from now on. Can be called more than once."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def add(self, repo_id: str, folder: Path, *, branch: str = "main") -> str:
        """Publish the files of a folder as a commit, and point a branch to it. Earlier
        commits are still available by their hash.

        repo_id (str): The repository. It is created if needed.
        folder (Path): The folder. Later changes to it have no effect.
        branch (str): The branch.
        RETURNS (str): The commit. It is the same for the same files.
        """
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        listing = sorted((name, sha256(files[name]).hexdigest()) for name in files)
        commit = sha1(repr(listing).encode("utf8")).hexdigest()
        self._commits.setdefault(repo_id, {})[commit] = files
        self._branches.setdefault(repo_id, {})[branch] = commit
        return commit

    def gate(
        self, repo_id: str, status: int | None = None, token: str | None = None
    ) -> None:
        """Gate a repository.

        repo_id (str): The repository.
        status (Optional[int]): The status of refusals, 401 or 403. By default 401
            without a token and 403 with one, as on the real hub.
        token (Optional[str]): The only token with access, if any.
        """
        self._gates[repo_id] = (status, token)

    def drop(self, filename: str, after: int | None) -> None:
        """Close the connection in the middle of a file, although its full size was
        announced. Downloads resumed at or after that point get nothing.

        filename (str): The file's name, in any repository.
        after (Optional[int]): The number of bytes that arrive, None for all.
        """
        self._drops[filename] = after

    def env(self, home: Path, token: str | None = None) -> dict[str, str]:
        """Get the environment for a process that uses this hub, without the user's hub
        settings, cache and token.

        home (Path): The client's folder. Its cache is the "hub" folder inside.
        token (Optional[str]): The token to send, if any.
        RETURNS (Dict[str, str]): The complete environment.
        """
        prefixes = ("HF_", "HUGGING", "TRANSFORMERS_")
        env = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
        env.update(HF_ENDPOINT=self.url, HF_HOME=str(home), HF_HUB_OFFLINE="0")
        for name in ("XET", "TELEMETRY", "PROGRESS_BARS"):
            env[f"HF_HUB_DISABLE_{name}"] = "1"
        # Clients differ in which spelling they read first.
        env.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
        if token is not None:
            env["HF_TOKEN"] = token
        return env

    @contextmanager
    def client(self, home: Path, token: str | None = None) -> Iterator[None]:
        """Make this process use this hub, whatever its environment, and retry downloads
        without waiting.

        home (Path): The client's folder. Its cache is the "hub" folder inside.
        token (Optional[str]): The token to send, if any.
        """
        from huggingface_hub import constants, file_download, utils

        # The client reads its environment on import, so its constants are patched; 0.x
        # has a copy of one. It also keeps its sessions, which are reset by a function
        # whose name differs between 0.x and later versions.
        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        values = [
            (constants, "ENDPOINT", self.url),
            (constants, "HUGGINGFACE_CO_URL_TEMPLATE", template),
            (file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template),
            (constants, "HF_HUB_CACHE", str(home / "hub")),
            (constants, "HF_HUB_OFFLINE", False),
            (constants, "HF_HUB_DISABLE_XET", True),
            (constants, "HF_HUB_DISABLE_TELEMETRY", True),
            (constants, "HF_TOKEN_PATH", str(home / "token")),
        ]
        names = ("reset_sessions", "close_session")
        reset = next(getattr(utils, name) for name in names if hasattr(utils, name))
        env = self.env(home, token)
        with ExitStack() as stack:
            stack.callback(reset)
            stack.enter_context(mock.patch.dict(os.environ, env, clear=True))
            for module, name, value in values:
                patch = mock.patch.object(module, name, value, create=True)
                stack.enter_context(patch)
            # Otherwise retries wait for up to 23 seconds if the server is gone.
            stack.enter_context(mock.patch("time.sleep"))
            reset()
            yield


class _Handler(BaseHTTPRequestHandler):
    # Keep HTTP/1.0, the default: it closes each connection after the response. An open
    # one would still be served by its thread after the server has stopped.
    hub: Hub
    timeout = 10

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has disconnected
            super().handle()

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        hub = self.hub
        hub.requests.append((self.command, self.path))
        match = RESOLVE.fullmatch(urlsplit(self.path).path)
        if match is None:
            return self._refuse(404, "", "Not Found")
        repo, revision, name = (unquote(group) for group in match.groups())
        sent = self.headers.get("Authorization")
        if repo not in hub._commits:
            status = 404 if sent else 401
            return self._refuse(status, "RepoNotFound", "Repository not found")
        if repo in hub._gates:
            fixed, token = hub._gates[repo]
            if token is None or sent != f"Bearer {token}":
                status = fixed or (403 if sent else 401)
                return self._refuse(status, "GatedRepo", "Access is restricted")
        commit = hub._branches[repo].get(revision, revision)
        if commit not in hub._commits[repo]:
            return self._refuse(404, "RevisionNotFound", "Invalid rev id")
        files = hub._commits[repo][commit]
        if name not in files:
            return self._refuse(404, "EntryNotFound", "Entry not found", commit)
        return self._send(name, files[name], commit)

    do_HEAD = do_GET  # noqa: N815

    def _send(self, name: str, content: bytes, commit: str) -> None:
        size = len(content)
        resumed = RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(resumed[1]) if resumed else 0
        etag = f'"{sha256(content).hexdigest()}"'
        headers = {"ETag": etag, "X-Repo-Commit": commit}
        if resumed:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        body = content[start : self.hub._drops.get(name)]
        self._reply(206 if resumed else 200, headers, body, size - start)

    def _refuse(self, status: int, code: str, message: str, commit: str = "") -> None:
        # With the commit, the client caches that the file doesn't exist.
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        if commit:
            headers["X-Repo-Commit"] = commit
        body = message.encode("utf8")
        self._reply(status, headers, body, len(body))

    def _reply(self, status: int, head: dict[str, str], body: bytes, size: int) -> None:
        self.send_response(status)
        for name, value in {**head, "Content-Length": str(size)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
