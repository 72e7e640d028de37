"""Runs in a box and tries what network.sh says: probe.py NAME [ARGUMENT...]. Prints "ok …" and "not ok …" lines."""

import errno
import os
import resource
import select
import socket
import ssl
import struct
import sys
import time

CA = os.path.join(os.path.dirname(os.path.realpath(__file__)), "ca.pem")
SECONDS = 3


def say(name, good, detail=""):
    print(f"{'ok' if good else 'not ok'} {name}" + ("" if good else f": {detail!r}"), flush=True)


def resolves(name):
    """Addresses, or the error's text."""
    try:
        return sorted({a[4][0] for a in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError) as error:
        return str(error)


def talk(host, port, data=b"GET / HTTP/1.0\r\n\r\n", tls=None, enough=None):
    """What comes back, up to the end, an error or `enough`; b"" where nothing does. tls: (context, server name)"""
    got = b""
    try:
        with socket.create_connection((host, port), SECONDS) as sock:
            if tls:
                sock = tls[0].wrap_socket(sock, server_hostname=tls[1])
            sock.sendall(data)
            while enough is None or enough not in got:
                more = sock.recv(65536)
                if not more:
                    break
                got += more
            sock.close()
    except (OSError, UnicodeError):
        pass
    return got


def http(host, path="/", name=None, port=80):
    shown = name or host
    return talk(host, port, f"GET {path} HTTP/1.1\r\nHost: {shown}{'' if port in (80, 443) else f':{port}'}\r\n"
                            "Connection: close\r\n\r\n".encode())


def tls_context(check=True):
    context = ssl.create_default_context(cafile=CA)
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def https(host, sni, name=None, port=443, check=True):
    shown = name or sni or host
    return talk(host, port, f"GET / HTTP/1.1\r\nHost: {shown}\r\nConnection: close\r\n\r\n".encode(),
                (tls_context(check), sni))


# -- DNS by hand -----------------------------------------------------------------------------------


def server():
    with open("/etc/resolv.conf", encoding="utf-8") as f:
        return next(line.split()[1] for line in f if line.startswith("nameserver"))


def question(labels, kind=1, klass=1):
    return struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + b"".join(
        bytes([len(label)]) + label for label in labels) + b"\0" + struct.pack("!HH", kind, klass)


def ask(query, to=None, tcp=False, seconds=2, port=53):
    """The reply, None without one."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
            sock.settimeout(seconds)
            sock.connect((to or server(), port))
            if not tcp:
                sock.send(query)
                return sock.recv(65535)
            sock.sendall(struct.pack("!H", len(query)) + query)
            size = sock.recv(2, socket.MSG_WAITALL)
            return sock.recv(struct.unpack("!H", size)[0], socket.MSG_WAITALL) if len(size) == 2 else None
    except OSError:
        return None


def rcode(reply):
    return reply[3] & 15 if reply and len(reply) >= 12 else None


def answers(reply):
    return struct.unpack_from("!H", reply, 6)[0] if reply and len(reply) >= 12 else 0


# -- a closed box ----------------------------------------------------------------------------------


def closed():
    for name in ("allowed.test", "forbidden.test", "wild.test", "a.wild.test", "example.com", "deadbeef.allowed.test",
                 "metadata.google.internal", "host.docker.internal", "v6.test", "gateway", "test"):
        got = resolves(name)
        say(f"no address of {name}", isinstance(got, str), got)
    for kind in (1, 28, 5, 15, 16, 12, 33, 64, 65, 255):
        reply = ask(question([b"allowed", b"test"], kind))
        say(f"NXDOMAIN for type {kind}", rcode(reply) == 3, reply)
    say("NXDOMAIN over TCP", rcode(ask(question([b"allowed", b"test"]), tcp=True)) == 3)
    literals()


def literals():
    """Nothing that is not named is reached, however it is written."""
    for host in ("9.9.9.20", "151587092", "0x09090914", "011.011.011.024", "9.9.2324", "0x9.9.9.0x14", "::ffff:9.9.9.20",
                 "2620:fe::20", "64:ff9b::909:914", "9.9.9.1", "127.0.0.1", "::1", "10.0.0.5", "::ffff:10.0.0.5",
                 "169.254.169.254", "::ffff:169.254.169.254", "2852039166", "0.0.0.0", "::", "192.0.0.1", "198.18.0.1",
                 "198.19.255.254", "fd00::5", "fe80::1%eth0", "255.255.255.255", "224.0.0.1"):
        got = talk(host, 80)
        say(f"{host}, port 80, is not there", got == b"", got)
    for port in (80, 443, 8000):
        got = talk("9.9.9.1", port) + talk("192.0.0.1", port) + talk("127.0.0.1", port)
        say(f"the host has nothing on port {port}", got == b"", got)
    for host in ("9.9.9.53", "8.8.8.8"):
        query = question([b"allowed", b"test"])
        say(f"no DNS by {host}, UDP", ask(query, host, seconds=0.5) is None)
        say(f"no DNS by {host}, TCP", ask(query, host, tcp=True) is None)
        say(f"no DNS over TLS by {host}", talk(host, 853, b"x") == b"")
        say(f"no DNS over HTTPS by {host}", https(host, None, check=False) == b"")
    for host in ("9.9.9.20", "9.9.9.10", "198.18.1.0", "198.18.1.1"):
        say(f"no UDP to {host}", ask(b"quic" * 300, host, port=443, seconds=0.3) is None)
    for family, kind, proto in ((socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
                                (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
                                (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6),
                                (socket.AF_PACKET, socket.SOCK_RAW, 0)):
        say(f"no ICMP ({family.name}, {kind.name})", not pings(family, kind, proto))
    say("SCTP and the like lead nowhere", not pings(socket.AF_INET, socket.SOCK_STREAM, 132))


def pings(family, kind, proto):
    try:
        with socket.socket(family, kind, proto) as sock:
            sock.settimeout(0.3)
            sock.connect(("9.9.9.10" if family == socket.AF_INET else "2620:fe::10", 0))
            sock.send(struct.pack("!BBHHH", 8, 0, 0xf7ff - 1, 1, 1))
            return bool(sock.recv(100))
    except (OSError, TypeError):
        return False


def local(abstract):
    """The box's own loopback is its own, and no one else's."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 8000))
        listener.listen()
        with socket.create_connection(("localhost", 8000), SECONDS) as sock:
            peer, _ = listener.accept()
            peer.sendall(b"mine")
            got = sock.recv(10)
            peer.close()
        say("localhost is the box's own", got == b"mine", got)
    say("localhost is 127.0.0.1 to DNS too", answers(ask(question([b"localhost"]))) == 1)
    with socket.socket(socket.AF_UNIX) as sock:
        result = sock.connect_ex("\0" + abstract)
        say("an abstract socket of the host's is not there", result != 0, result)
    names = sorted(name for _, name in socket.if_nameindex())
    say("no interface of the host's", set(names) <= {"eth0", "lo"}, names)


# -- an open box -----------------------------------------------------------------------------------


def names():
    say("upper case", b"served by 9.9.9.10" in http("ALLOWED.Test"))
    say("a trailing dot", b"served by 9.9.9.10" in http("allowed.test."))
    say("an IDN", b"served by 9.9.9.10" in http("xn--bcher-kva.test"))
    say("a name of /etc/hosts of the host", b"served by 9.9.9.10" in http("hosts.test"))
    say("only IPv6 on the host's side", b"served by 2620:fe::10" in http("v6.test"))
    say("a CNAME", b"served by 9.9.9.10" in http("alias.test"))
    say("an underscore", b"served by 9.9.9.10" in http("under_score.test"))
    for labels, what in (([b"allowed\0", b"test"], "NUL"), ([b"allowed", b"test\0x"], "NUL at the end"),
                         ([b"allowed.test"], "a dot in a label"), ([b"allowed%", b"test"], "percent"),
                         ([b"allowed%2e", b"test"], "an encoded dot"), ([b"allowed ", b"test"], "a blank"),
                         ([b"allowed\n", b"test"], "a newline"), ([b"b\xc3\xbccher", b"test"], "raw UTF-8"),
                         ([b"a" * 63] * 4, "more than 253 bytes"), ([b"a" * 63] * 3 + [b"a.wild", b"test"], "dots inside"),
                         ([b"evil\0", b"wild", b"test"], "NUL before a wildcard's"),
                         ([b"9", b"9", b"9", b"20"], "an address"), ([b"0x7f000001"], "a number"),
                         ([b"*", b"wild", b"test"], "a star"), ([b"", b"wild", b"test"][1:], "the apex"), ([], "the root")):
        reply = ask(question(labels))
        say(f"DNS gives no address for a name with {what}", answers(reply) == 0 and rcode(reply) != 0 or labels == [],
            reply)
    say("DNS gives no address for a label of 64 bytes", answers(ask(question([b"a" * 64, b"wild", b"test"]))) == 0)
    good = ask(question([b"allowed", b"test"]))
    say("an address of a name that is allowed", rcode(good) == 0 and answers(good) == 1, good)
    for kind in (28, 15, 16, 65):
        reply = ask(question([b"allowed", b"test"], kind))
        say(f"no data of type {kind}", rcode(reply) == 0 and answers(reply) == 0, reply)
    reply = ask(question([b"allowed", b"test"], 1, 3))
    say("only class IN", answers(reply) == 0, reply)
    for query in (b"", b"\0", good[:11], question([b"a"])[:15], b"\xff" * 100, question([b"a"])[:12] + b"\xc0\x0c" * 9,
                  os.urandom(500), good, question([b"allowed", b"test"]) * 3):
        ask(query, seconds=0.1)
    say("DNS lives on after garbage", answers(ask(question([b"allowed", b"test"]))) == 1)
    where = socket.gethostbyname("allowed.test")
    try:
        back = socket.gethostbyaddr(where)[0]
    except OSError as error:
        back = str(error)
    say("back from the address to the name", back == "allowed.test", back)
    say("the wildcard", b"served by 9.9.9.10" in http("a.wild.test"))
    say("two levels below the wildcard", b"served by 9.9.9.10" in http("c.b.a.wild.test"))
    for name in ("wild.test", "forbidden.test", "notwild.test", "wild.test.evil.test", "xallowed.test"):
        got = resolves(name)
        say(f"no address of {name}", isinstance(got, str), got)


def traffic():
    say("http", b"served by 9.9.9.10" in http("allowed.test"))
    say("https", b"served by 9.9.9.10" in https("allowed.test", "allowed.test"))
    say("http on another port", b"served by 9.9.9.10" in http("allowed.test", port=8080))
    got = https("allowed.test", "allowed.test", port=8443)
    say("https on another port", b"served by 9.9.9.10" in got, got)
    say("any protocol on another port", talk("allowed.test", 2222, b"ping\n", enough=b"ping\n") == b"ping\n")
    got = talk("allowed.test", 2525, b"HELO\r\n", enough=b"HELO")
    say("a server that speaks first", got == b"220 hello\r\nHELO\r\n", got)
    start = time.monotonic()
    got = talk("allowed.test", 2601, b"x")
    say("a server that resets", got == b"" and time.monotonic() - start < SECONDS, got)
    with socket.create_connection(("allowed.test", 2602), SECONDS) as stalled:
        stalled.setblocking(False)
        sent = 0
        end = time.monotonic() + 1
        while time.monotonic() < end and sent < 200 << 20:
            try:
                sent += stalled.send(bytes(1 << 20))
            except BlockingIOError:
                select.select([], [stalled], [], 0.1)
        say("a server that stalls holds the sender back", sent < 64 << 20, sent)
        say("and nobody else", b"served by 9.9.9.10" in http("allowed.test"))
    with socket.create_connection(("allowed.test", 2222), SECONDS) as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        got = b""
        while more := sock.recv(100):
            got += more
    say("half-close", got == b"last words", got)
    body = http("allowed.test", "/big").partition(b"\r\n\r\n")[2]
    say("20 MB from afar", len(body) == 20000000, len(body))
    upload = b"POST / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 20000000\r\nConnection: close\r\n\r\n"
    got = talk("allowed.test", 80, upload + bytes(20000000))
    say("20 MB to afar", b"took 20000000" in got, got[:200])
    got = talk("allowed.test", 7777, b"x")
    say("a port that is not allowed", got == b"", got)
    got = talk(resolves("raw.test")[0], 80)
    say("a name allowed on another port only", got == b"", got)
    literals()


def wrong_names():
    """What is said inside a connection must be what was resolved."""
    where = socket.gethostbyname("allowed.test")
    for sni in ("forbidden.test", "other.test", "a.allowed.test", "9.9.9.20"):
        got = https(where, sni, check=False)
        say(f"TLS with the name {sni}", got == b"", got)
    got = https(where, "forbidden.test", port=8443, check=False)
    say("TLS with another name on another port", got == b"", got)
    say("TLS without a name", https(where, None, check=False) == b"")
    say("the same address with its name", b"served by" in https(where, "allowed.test"))
    say("TLS with its name in upper case", b"served by" in https(where, "ALLOWED.TEST", "allowed.test", check=False))
    for data, what in ((b"GET / HTTP/1.1\r\n", "plain HTTP"), (b"SSH-2.0-x\r\n", "ssh"), (b"\x16\x03\x01\0\x01\x02", "half a hello"),
                       (os.urandom(300), "noise")):
        got = talk("allowed.test", 443, data + b"Host: allowed.test\r\n\r\n")
        say(f"{what} on port 443", b"served by" not in got, got)

    def refused(what, data, port=80):
        got = talk("allowed.test", port, data)
        say(what, b"served by 9.9.9.20" not in got and b"tunnel" not in got and got.count(b"served by") == 0, got)

    refused("another Host", b"GET / HTTP/1.1\r\nHost: forbidden.test\r\n\r\n")
    refused("no Host", b"GET / HTTP/1.1\r\n\r\n")
    refused("HTTP/1.0 without a Host", b"GET / HTTP/1.0\r\n\r\n")
    refused("two Hosts", b"GET / HTTP/1.1\r\nHost: allowed.test\r\nHost: forbidden.test\r\n\r\n")
    refused("a Host behind a folded line", b"GET / HTTP/1.1\r\nX: y\r\n Host: allowed.test\r\nHost: forbidden.test\r\n\r\n")
    refused("a Host with a user", b"GET / HTTP/1.1\r\nHost: allowed.test@forbidden.test\r\n\r\n")
    refused("a Host with NUL", b"GET / HTTP/1.1\r\nHost: allowed.test\0.forbidden.test\r\n\r\n")
    refused("a Host with another port", b"GET / HTTP/1.1\r\nHost: allowed.test:8080\r\n\r\n")
    refused("an absolute target of another host",
            b"GET http://forbidden.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n")
    refused("CONNECT", b"CONNECT forbidden.test:443 HTTP/1.1\r\nHost: allowed.test\r\n\r\n")
    refused("CONNECT to itself", b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test\r\n\r\n")
    refused("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    refused("a length and chunks", b"POST / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 60\r\nTransfer-Encoding: "
                                   b"chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: forbidden.test\r\n\r\n")
    refused("no HTTP at all", b"\x16\x03\x01" + bytes(100))
    first = b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n"
    for pause in (0, 0.3):
        got = b""
        try:
            with socket.create_connection(("allowed.test", 80), SECONDS) as sock:
                sock.sendall(first)
                if pause:
                    got += sock.recv(65536)
                    time.sleep(pause)
                sock.sendall(b"GET /second HTTP/1.1\r\nHost: forbidden.test\r\nConnection: close\r\n\r\n")
                while more := sock.recv(65536):
                    got += more
        except OSError:
            pass
        say(f"another Host in a second request ({'later' if pause else 'at once'})", b"404" not in got and
            got.count(b"HTTP/1.1") <= 1, got)
    two = talk("allowed.test", 80, first + first.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    say("two good requests of a connection", two.count(b"served by 9.9.9.10") == 2, two)


def refused_addresses():
    """Names that are allowed, and lead where a box must not go."""
    for name in ("private.test", "private6.test", "metadata.test", "loop.test", "loop6.test", "zero.test", "zero6.test",
                 "own.test", "own6.test", "mapped.test", "mapped2.test", "nat64.test", "sixtofour.test", "multicast.test",
                 "broadcast.test", "synthetic.test", "mixed.test", "hosts-loop.test", "alias-private.test"):
        got = http(name)
        say(f"{name} leads nowhere", got == b"", got)


def hopeless():
    for name in ("silent.test", "garbage.test", "loop-a.test", "missing.test"):
        start = time.monotonic()
        try:
            with socket.create_connection((name, 80), SECONDS) as sock:
                sock.settimeout(30)
                sock.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                got = sock.recv(100)
        except TimeoutError:
            got = b"time-out"
        except OSError:
            got = b""
        say(f"{name}: nothing, within 25 s", got == b"" and time.monotonic() - start < 25, got)


    start = time.monotonic()
    got = http("many.test")
    say("10 000 records: the first ones do", b"served by 9.9.9.10" in got and time.monotonic() - start < 10, got)


def rebind(names_):
    names_ = names_.split(",")
    for n in names_:
        say(f"{n}: the first answer is public", b"served by 9.9.9.10" in http(n))
    end = time.monotonic() + 7
    bad = []
    while time.monotonic() < end:
        bad += [got for got in map(http, names_) if b"9.9.9.10" not in got and got]
        time.sleep(0.5)
    say("and no later one leads elsewhere", not bad, bad)


# -- used while something outside changes --------------------------------------------------------------


def get(name, port="80"):
    """Prints what the server at the name said."""
    got = http(name, port=int(port)) if port != "443" else https(name, name)
    print(got.decode("latin1").rpartition("\r\n\r\n")[2].strip())


def wait_end(name, port, ready):
    """Opens a connection, makes the file `ready`, and says how the connection ends."""
    with socket.create_connection((name, int(port)), SECONDS) as sock:
        sock.sendall(b"ping")
        sock.recv(10)
        open(ready, "w", encoding="ascii").close()
        sock.settimeout(10)
        try:
            got = sock.recv(10)
            print("end" if got == b"" else got)
        except ConnectionResetError:
            print("end")
        except OSError as error:
            print(error)


def hammer(name, port, stop):
    """Connects as often as it can until the file `stop` is there; prints how often it was let through."""
    through = 0
    while not os.path.exists(stop):
        try:
            with socket.create_connection((name, int(port)), 1) as sock:
                sock.sendall(b"ping")
                through += sock.recv(10) == b"ping"
        except OSError:
            time.sleep(0.005)
    print(through)


def flood_names(count):
    start = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server(), 53))
        sock.setblocking(False)
        for i in range(int(count)):
            try:
                sock.send(question([b"flood%d" % i, b"evil", b"test"]))
                if i % 16 == 0:
                    while True:
                        sock.recv(2000)
            except OSError:
                pass
    time.sleep(0.2)
    say(f"{count} names asked for in {time.monotonic() - start:.1f} s", True)
    say("DNS still answers", rcode(ask(question([b"allowed", b"test"]))) in (0, 3))


def noise():
    """Names whose answers are noise: none is found, and soon."""
    start = time.monotonic()
    found = []
    for i in range(40):
        with socket.socket() as sock:
            sock.settimeout(25)
            try:
                sock.connect((f"n{i}.noise.test", 7))
                if sock.recv(1):
                    found.append(i)
            except OSError:
                pass
        if time.monotonic() - start > 60:
            break
    say(f"{i + 1} names whose answers are noise lead nowhere", not found, found)


def flood_connections(name, port, count):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    at = (socket.gethostbyname(name), int(port))
    hold = min(hard - 50, 12000)
    socks, opened, refused = [], 0, 0
    start = time.monotonic()
    while opened < int(count) and time.monotonic() - start < 15:
        sock = socket.socket()
        sock.setblocking(False)
        result = sock.connect_ex(at)
        if result not in (0, errno.EINPROGRESS):
            refused += 1
            sock.close()
            if result == errno.EADDRNOTAVAIL:
                for s in socks[:1000]:
                    s.close()
                del socks[:1000]
        else:
            socks.append(sock)
        opened += 1
        if len(socks) >= hold:
            for s in socks:
                s.close()
            socks = []
    say(f"{opened} connections begun in {time.monotonic() - start:.1f} s ({refused} not)", opened >= int(count) // 4, opened)
    for s in socks:
        s.close()


globals()[sys.argv[1]](*sys.argv[2:])
