"""A stub of an OpenAI-compatible server. It misbehaves as it is told."""

import json
import random
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_WORDS = """
amber basket candle dragon ember feather garden harbor island jungle kettle
lantern meadow nectar orchard pebble quarry river summit timber umbrella
velvet willow yonder zephyr anchor bridge copper desert engine fabric glacier
"""
WORDS = tuple(re.findall(r"\w+", _WORDS))


def write_text(body):
    """A text that depends on the request alone, and resembles no other."""
    rng = random.Random(json.dumps(body, sort_keys=True))
    return " ".join(rng.choice(WORDS) for _ in range(6))


def completion(text, *, reason="stop", **message):
    message = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion", "choices": [choice]}


class Reply:
    """What to send, and how."""

    def __init__(self, content, *, status=200, headers=(), cut=None, delay=0.0):
        is_bytes = isinstance(content, bytes)
        self.body = content if is_bytes else json.dumps(content).encode()
        self.status, self.headers = status, dict(headers)
        self.cut, self.delay = cut, delay


class ChatServer:
    """`with ChatServer(behave) as server`: `behave(body, n)` returns the reply to the
    nth time (from 1) that a request with this body came."""

    def __init__(self, behave=None):
        self.behave = behave or (lambda body, n: Reply(completion(write_text(body))))
        self.bodies, self.headers, self.times = [], [], Counter()
        self.running = self.most = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                models = [{"id": name, "object": "model"} for name in outer.models]
                outer.send(self, Reply({"object": "list", "data": models}))

            def do_POST(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # a client that has left
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    models = ("stub",)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def answer(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            self.bodies.append(body)
            names = {name.lower(): value for name, value in handler.headers.items()}
            self.headers.append(names)
            self.times[key := json.dumps(body, sort_keys=True)] += 1
            n = self.times[key]
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            self.send(handler, self.behave(body, n))
        finally:
            with self.lock:
                self.running -= 1

    def send(self, handler, reply):
        self.stopping.wait(reply.delay)
        handler.send_response(reply.status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if reply.cut is None:
            handler.wfile.write(reply.body)
            return
        handler.wfile.write(reply.body[: reply.cut])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.shutdown(2)

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
