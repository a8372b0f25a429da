"""Small servers that stand for the outside: one that answers as told, one that speaks PromQL's API."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Upstream:
    """Answers with `answers` in turn, the last one for ever; remembers the `requests`."""

    def __init__(self):
        self.answers = [(200, {}, b"")]
        self.requests = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.respond(b"")

            def do_POST(self):
                self.respond(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def respond(self, body):
                url = urlsplit(self.path)
                parameters = {k: v[0] for k, v in parse_qs(url.query).items()}
                if "form" in self.headers.get("Content-Type", ""):
                    parameters |= {k: v[0] for k, v in parse_qs(body.decode()).items()}
                request = Request(self.command, url.path, parameters, dict(self.headers), body)
                upstream.requests.append(request)
                status, headers, answer = upstream.answer(request)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Request:
    def __init__(self, method, path, parameters, headers, body):
        self.method = method
        self.path = path
        self.parameters = parameters
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body


class FakePrometheus(Upstream):
    """Answers `query_range` from `series`: labels to a function of the instant in seconds.

    The function gives the value, or None where there is no sample. `down` refuses with 503; a query
    that starts with `!` is a parse error; remote-write bodies are kept in `written`.
    """

    def __init__(self):
        self.series = {}
        self.down = False
        self.written = []
        super().__init__()

    def answer(self, request):
        if self.down:
            return 503, {}, b"down for maintenance"
        if request.path == "/api/v1/write":
            self.written.append(request.body)
            return 204, {}, b""
        query = request.parameters["query"]
        if query.startswith("!"):
            error = {"status": "error", "errorType": "bad_data", "error": "1:1: parse error: no !"}
            return 400, {"Content-Type": "application/json"}, json.dumps(error).encode()
        if request.path == "/api/v1/query":
            found = {"resultType": "scalar", "result": [0, "1"]}
        else:
            start, end, step = (float(request.parameters[k]) for k in ("start", "end", "step"))
            instants = [start + k * step for k in range(int((end - start) / step) + 1)]
            assert len(instants) <= 11_000
            found = {"resultType": "matrix", "result": []}
            for labels, value in self.series.items():
                points = [[t, repr(float(v))] for t in instants if (v := value(t)) is not None]
                if points:
                    found["result"].append({"metric": dict(labels), "values": points})
        body = json.dumps({"status": "success", "data": found}).encode()
        return 200, {"Content-Type": "application/json"}, body
