"""What listens in the network of world.sh. usage: servers.py far|near FOLDER

Writes FOLDER/log, one JSON object a line for each connection, request and datagram:
    {"t": monotonic seconds, "at": address, "port": n, "what": "connect|http|tls|udp|dns", "from": address, …}
and FOLDER/<role>.ready when all listen.
"""

import asyncio
import ctypes
import http.server
import ipaddress
import json
import os
import resource
import signal
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time

ROLE, FOLDER = sys.argv[1:3]
LOG = os.open(os.path.join(FOLDER, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

ALLOWED, FORBIDDEN, ALLOWED6, FORBIDDEN6 = "9.9.9.10", "9.9.9.20", "2620:fe::10", "2620:fe::20"


def log(what, at, source, **more):
    entry = {"t": time.monotonic(), "what": what, "at": at[0], "port": at[1], "from": source[0], **more}
    os.write(LOG, (json.dumps(entry) + "\n").encode())


# -- HTTP, HTTPS -----------------------------------------------------------------------------------


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args):
        super().__init__(*args, directory=os.path.join(FOLDER, "www"))

    def parse_request(self):
        good = super().parse_request()
        if good:
            log("http", self.request.getsockname(), self.client_address, method=self.command, path=self.path,
                host=self.headers.get_all("Host", []), tls=isinstance(self.request, ssl.SSLSocket))
        return good

    def do_GET(self):
        if self.path != "/" and not self.path.startswith("http:"):
            return super().do_GET()
        return self.answer(b"served by %s\n" % self.request.getsockname()[0].encode())

    def do_POST(self):
        left = int(self.headers.get("Content-Length", 0))
        total = 0
        while left > 0:
            data = self.rfile.read(min(left, 1 << 16))
            if not data:
                break
            left -= len(data)
            total += len(data)
        return self.answer(b"took %d\n" % total)

    def do_CONNECT(self):
        """An open proxy, as far as a test can tell."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"tunnel to forbidden\n")
        self.close_connection = True

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024
    tls = None

    def __init__(self, address, port, tls=None):
        if ":" in address:
            self.address_family = socket.AF_INET6
        self.tls = tls
        super().__init__((address, port), Handler)

    def finish_request(self, request, client_address):
        log("connect", request.getsockname(), client_address)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            request.settimeout(20)
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)
        if self.tls:
            request.close()

    def handle_error(self, request, client_address):
        pass


def serve_http(address, port, tls=None):
    server = Server(address, port, tls)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(FOLDER, "server.pem"), os.path.join(FOLDER, "server.key"))
    context.sni_callback = lambda sock, name, _: log("tls", sock.getsockname() if hasattr(sock, "getsockname") else
                                                     ("?", 443), ("?", 0), sni=name)
    return context


# -- other TCP and UDP servers ----------------------------------------------------------------------


async def echo(reader, writer):
    """Sends back what comes, and after the end of that an end."""
    log("connect", writer.get_extra_info("sockname"), writer.get_extra_info("peername"))
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
    except OSError:
        pass


async def greet(reader, writer):
    """Speaks first, as SMTP and SSH do."""
    log("connect", writer.get_extra_info("sockname"), writer.get_extra_info("peername"))
    writer.write(b"220 hello\r\n")
    await echo(reader, writer)


async def reset(reader, writer):
    await reader.read(1)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def stall(reader, _writer):
    """Takes nothing, says nothing."""
    reader._transport.pause_reading()  # pylint: disable=protected-access
    await asyncio.sleep(3600)


class Datagrams(asyncio.DatagramProtocol):
    """Answers any datagram with itself."""

    def __init__(self, address, port):
        self.at = address, port

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        log("udp", self.at, addr)
        self.transport.sendto(data, addr)


# -- DNS --------------------------------------------------------------------------------------------

PRIVATE = "10.0.0.5"
METADATA = "169.254.169.254"
ZONE = {
    "allowed.test": [ALLOWED],
    "other.test": [ALLOWED],
    "forbidden.test": [FORBIDDEN],
    "flip.test": [FORBIDDEN],
    "wild.test": [ALLOWED],
    "a.wild.test": [ALLOWED],
    "c.b.a.wild.test": [ALLOWED],
    "xn--bcher-kva.test": [ALLOWED],
    "raw.test": [ALLOWED],
    "under_score.test": [ALLOWED],
    "private.test": [PRIVATE],
    "private6.test": ["fd00::5"],
    "metadata.test": [METADATA],
    "loop.test": ["127.0.0.1"],
    "loop6.test": ["::1"],
    "zero.test": ["0.0.0.0"],
    "zero6.test": ["::"],
    "own.test": ["9.9.9.1"],
    "own6.test": ["2620:fe::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "mapped2.test": ["::ffff:10.0.0.5"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "sixtofour.test": ["2002:7f00:1::"],
    "multicast.test": ["224.0.0.1"],
    "broadcast.test": ["255.255.255.255"],
    "synthetic.test": ["198.18.1.1"],
    "mixed.test": ["127.0.0.1", "10.0.0.5"],
    "both.test": [ALLOWED, ALLOWED6],
    "v6.test": [ALLOWED6],
    "many.test": [ALLOWED] * 10000,
    "code.test": ["9.9.9.11"],  # services.py
    "closed.test": ["9.9.9.21"],
    "api.test": ["9.9.9.30"],  # bound.py
    "second.test": ["9.9.9.31"],
    "mis.match.test": ["9.9.9.30"],
}
CNAMES = {"alias.test": "allowed.test", "alias-private.test": "private.test", "alias-forbidden.test": "forbidden.test",
          "loop-a.test": "loop-b.test", "loop-b.test": "loop-a.test"}
# The first question gets a public address, each later one the other.
REBIND = {"rebind-loop.test": "127.0.0.1", "rebind-meta.test": METADATA, "rebind-private.test": PRIVATE,
          "rebind-own.test": "9.9.9.1"}
asked = {}


def wire_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"


def record(name, kind, data):
    return wire_name(name) + struct.pack("!HHIH", kind, 1, 0, len(data)) + data


def addresses_of(name, kind):
    if name in REBIND:
        if kind != 1:
            return []
        asked[name] = asked.get(name, 0) + 1
        return [ALLOWED if asked[name] == 1 else REBIND[name]]
    return [a for a in ZONE.get(name, []) if (":" in a) == (kind == 28)]


def dns_answer(query, tcp):
    """The answer's bytes, or None."""
    ident, flags, n = struct.unpack_from("!HHH", query)
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin1"))
        at += 1 + query[at]
    kind, = struct.unpack_from("!H", query, at + 1)
    question = query[12:at + 5]
    name = ".".join(labels).lower()
    if name == "silent.test":
        return name, None
    if name.endswith("noise.test"):
        # Any bytes, behind a header that fits or not.
        noise = os.urandom(int.from_bytes(os.urandom(2), "big") % 600)
        head = struct.pack("!HHHHHH", ident, 0x8180, 1, 3, 1, 1) + question
        return name, (head + noise if noise[:1] < b"\x80" else query[:2] + noise if noise[:1] < b"\xc0" else noise) or b"\0"
    if name == "garbage.test":
        return name, struct.pack("!HHHHHH", ident, 0x8180, 1, 9, 0, 0) + question + b"\xc0\xff\xff" * 7
    answers, target = [], name
    known = name in ZONE or name in CNAMES or name in REBIND
    for _ in range(4):
        if target not in CNAMES:
            break
        answers.append(record(target, 5, wire_name(CNAMES[target])))
        target = CNAMES[target]
    for a in addresses_of(target, kind):
        answers.append(record(target, kind, ipaddress.ip_address(a).packed))
    head = (ident, 0x8180 | flags & 0x100 | (0 if known else 3), 1)
    body = b"".join(answers)
    if len(body) > 60000:  # all that fit: owners by a pointer, 16 bytes a record
        small = [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, 4) + ipaddress.ip_address(a).packed
                 for a in addresses_of(target, kind)][:4000]
        answers, body = small, b"".join(small)
    if not tcp and len(body) > 1100:
        return name, struct.pack("!HHHHHH", head[0], head[1] | 0x200, 1, 0, 0, 0) + question
    return name, struct.pack("!HHHHHH", *head, len(answers), 0, 0) + question + body


class Dns(asyncio.DatagramProtocol):
    def __init__(self, at):
        self.at = at

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        name, answer = dns_answer(data, False)
        log("dns", (self.at, 53), addr, name=name)
        if answer:
            self.transport.sendto(answer, addr)


async def dns_tcp(reader, writer):
    try:
        while True:
            size, = struct.unpack("!H", await reader.readexactly(2))
            name, answer = dns_answer(await reader.readexactly(size), True)
            log("dns", writer.get_extra_info("sockname"), writer.get_extra_info("peername"), name=name)
            if answer:
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


# -- both hosts ---------------------------------------------------------------------------------------


async def far():
    loop = asyncio.get_running_loop()
    context = tls_context()
    for address in (ALLOWED, FORBIDDEN, ALLOWED6, FORBIDDEN6):
        for port in (80, 8080):
            serve_http(address, port)
        for port in (443, 8443):
            serve_http(address, port, context)
    for address in (PRIVATE, "10.0.0.6", METADATA, "fd00::5"):
        for port in (80, 8080):
            serve_http(address, port)
    for address in (ALLOWED, FORBIDDEN):
        for port in (22, 2222, 5432, 7777):
            await asyncio.start_server(echo, address, port, backlog=4096)
        await asyncio.start_server(greet, address, 2525)
        await asyncio.start_server(reset, address, 2601)
        await asyncio.start_server(stall, address, 2602, limit=4096)
        await loop.create_datagram_endpoint(lambda a=address: Datagrams(a, 443), local_addr=(address, 443))
    for address in ("9.9.9.53", "8.8.8.8"):
        await loop.create_datagram_endpoint(lambda a=address: Dns(a), local_addr=(address, 53))
        await asyncio.start_server(dns_tcp, address, 53)
        await asyncio.start_server(echo, address, 853)
        serve_http(address, 443, context)


async def near():
    for address in ("127.0.0.1", "::1", "9.9.9.1", "2620:fe::1"):
        serve_http(address, 80)
        serve_http(address, 8000)


async def main():
    await (far() if ROLE == "far" else near())
    with open(os.path.join(FOLDER, ROLE + ".ready"), "w", encoding="ascii"):
        pass
    await asyncio.sleep(3600)


ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
asyncio.run(main())
