"""HTTPS servers on the far host of world.sh that want a secret. usage: bound.py FOLDER

9.9.9.30 and 9.9.9.31, port 443: FOLDER/token-30 and token-31 are what they want, as a bearer token, an API key or the
password of any user. Port 8441 has a certificate that has expired, 8442 one of an authority that nobody knows, 8443 is as
443, and 80 is the same without TLS. Writes FOLDER/bound.log, a JSON object a line for each request with all its headers,
and FOLDER/bound.ready.

    /who         401 or "good token for ADDRESS"
    /show        the request's headers, as a careless server has them
    /take        "METHOD LENGTH SHA256" of the body
    /big         20 MB
    /drip        a line every 100 ms, 20 times
    /git/…       git http-backend on FOLDER/bound-git, with the token as password
"""

import base64
import ctypes
import datetime
import hashlib
import http.server
import json
import os
import signal
import socketserver
import ssl
import subprocess
import sys
import threading
import time

FOLDER = sys.argv[1]
LOG = os.open(os.path.join(FOLDER, "bound.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
BIG = os.urandom(1 << 20) * 20


def path(name):
    return os.path.join(FOLDER, name)


def run(*argv, **options):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   **options)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def good(self):
        with open(path("token-" + self.request.getsockname()[0].rsplit(".", 1)[1]), encoding="ascii") as f:
            token = f.read().strip()
        given = self.headers.get("Authorization", "")
        if given.startswith("Basic "):
            given = base64.b64decode(given[6:]).decode().split(":", 1)[-1]
        return token in (given.removeprefix("Bearer "), self.headers.get("X-Api-Key"))

    def pieces(self):
        """The body, as it comes."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while (n := int(self.rfile.readline().split(b";")[0], 16)) > 0:
                yield self.rfile.read(n)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (data := self.rfile.read(min(left, 1 << 16))):
            left -= len(data)
            yield data

    def answer(self, code, body, *headers):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self):
        at = self.request.getsockname()
        entry = {"at": at[0], "port": at[1], "method": self.command, "path": self.path,
                 "headers": self.headers.items()}
        os.write(LOG, (json.dumps(entry) + "\n").encode())
        if self.path == "/take":
            digest, total = hashlib.sha256(), 0
            for piece in self.pieces():
                digest.update(piece)
                total += len(piece)
            return self.answer(200, f"{self.command} {total} {digest.hexdigest()}\n".encode())
        body = b"".join(self.pieces())
        if self.path == "/show":
            return self.answer(200, str(self.headers).encode())
        if self.path == "/big":
            return self.answer(200, BIG)
        if self.path == "/drip":
            return self.drip()
        if not self.good():
            return self.answer(401, b"no good token\n", ("WWW-Authenticate", 'Basic realm="bound"'))
        if self.path.startswith("/git/"):
            return self.git(body)
        return self.answer(200, f"good token for {at[0]}\n".encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = handle_any

    def drip(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(20):
            self.wfile.write(b"5\r\ndrip\n\r\n")
            self.wfile.flush()
            time.sleep(0.1)
        self.wfile.write(b"0\r\n\r\n")

    def git(self, body):
        """RFC 3875, as far as git http-backend wants it."""
        where, _, query = self.path.removeprefix("/git").partition("?")
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": path("bound-git"), "GIT_HTTP_EXPORT_ALL": "1",
               "REQUEST_METHOD": self.command, "PATH_INFO": where, "QUERY_STRING": query, "REMOTE_USER": "box",
               "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
               "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "GIT_CONFIG_COUNT": "1",
               "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        done = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE, check=False)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = dict(headers).pop("Status", "200 OK")
        self.answer(int(status.split()[0]), rest, *[h for h in headers if h[0] != "Status"])

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, address, port, tls):
        self.tls = tls
        super().__init__((address, port), Handler)

    def finish_request(self, request, client_address):
        if self.tls:
            request.settimeout(30)
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)
        if self.tls:
            request.unwrap()

    def handle_error(self, request, client_address):
        pass


def context(name):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path(name + ".pem"), path("server.key"))
    return made


def certificates():
    names = path("bound.names")
    with open(names, "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:api.test,DNS:second.test\n")
    issue = ["openssl", "x509", "-req", "-in", path("server.csr"), "-extfile", names]
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
        path("unknown.key"), "-out", path("unknown-ca.pem"), "-subj", "/CN=unknown", "-days", "2")
    run(*issue, "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial", "-days", "2", "-out",
        path("bound.pem"))
    run(*issue, "-CA", path("unknown-ca.pem"), "-CAkey", path("unknown.key"), "-CAcreateserial", "-days", "2", "-out",
        path("unknown.pem"))
    old = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=10)
    open(path("index.txt"), "w", encoding="ascii").close()
    with open(path("ca.conf"), "w", encoding="ascii") as f:
        f.write(f"[ca]\ndefault_ca=a\n[a]\ndatabase={path('index.txt')}\nserial={path('ca.serial')}\npolicy=p\n"
                f"default_md=sha256\nx509_extensions=e\nnew_certs_dir={FOLDER}\nrand_serial=yes\n[p]\n"
                "commonName=supplied\n[e]\nsubjectAltName=DNS:api.test\n")
    run("openssl", "ca", "-batch", "-config", path("ca.conf"), "-cert", path("ca.pem"), "-keyfile", path("ca.key"),
        "-in", path("server.csr"), "-out", path("expired.pem"), "-notext", "-startdate",
        f"{old:%Y%m%d%H%M%SZ}", "-enddate", f"{old + datetime.timedelta(days=3):%Y%m%d%H%M%SZ}")


def main():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    certificates()
    os.makedirs(path("bound-git"))
    run("git", "clone", "-q", "--bare", path("work"), path("bound-git/repo.git"))
    run("git", "-C", path("bound-git/repo.git"), "config", "http.receivepack", "true")
    for last in 30, 31:
        with open(path(f"token-{last}"), "w", encoding="ascii") as f:
            f.write(f"real-{last}-{os.urandom(12).hex()}\n")
        for port, tls in (443, "bound"), (8441, "expired"), (8442, "unknown"), (8443, "bound"), (80, None):
            server = Server(f"9.9.9.{last}", port, context(tls) if tls else None)
            threading.Thread(target=server.serve_forever, daemon=True).start()
    open(path("bound.ready"), "w", encoding="ascii").close()
    signal.pause()


main()
