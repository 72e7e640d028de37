"""Runs in a box: ClientHellos of odd shapes to one that is allowed. usage: tlsprobe.py ALLOWED OTHER (of the same length).

Prints "ok …" and "not ok …" lines. Whether a refused one came through is seen at the server, too.
"""

import os
import socket
import ssl
import struct
import sys

ALLOWED, OTHER = sys.argv[1:3]


def say(name, good, detail=""):
    print(f"{'ok' if good else 'not ok'} {name}" + ("" if good else f": {detail!r}"), flush=True)


def handshake_of(flight):
    """The handshake message in the only record of a first flight."""
    assert flight[0] == 22 and struct.unpack_from("!H", flight, 3)[0] == len(flight) - 5
    return flight[5:]


def records(message, size):
    """The message in records of so many bytes (RFC 8446, 5.1)."""
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(message[i:i + size])) + message[i:i + size]
                    for i in range(0, len(message), size))


def with_extension(message, kind, data):
    """One more extension at the front: the last may have to stay the last."""
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + struct.unpack_from("!H", message, at)[0]
    at += 1 + message[at]
    extensions = struct.pack("!HH", kind, len(data)) + data + message[at + 2:]
    body = message[4:at] + struct.pack("!H", len(extensions)) + extensions
    return b"\x01" + struct.pack("!I", len(body))[1:] + body


def server_names(*names):
    entries = b"".join(b"\0" + struct.pack("!H", len(name)) + name for name in names)
    return struct.pack("!H", len(entries)) + entries


def session(change, name=ALLOWED, crumbs=0):
    """GET / over TLS; change(handshake message) is what is sent in place of the first flight.

    What the server said; "heard" when it spoke, but the change spoilt the handshake; nothing when nobody spoke."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    got, heard, asked, first = b"", b"", False, True
    try:
        with socket.create_connection((ALLOWED, 443), 5) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                try:
                    if not asked:
                        tls.do_handshake()
                        tls.write(f"GET / HTTP/1.1\r\nHost: {ALLOWED}\r\nConnection: close\r\n\r\n".encode())
                        asked = True
                    got += tls.read(65536)
                    if b"served by" in got:
                        return got
                except ssl.SSLWantReadError:
                    pass
                data = outgoing.read()
                if data and first:
                    data, first = change(handshake_of(data)), False
                for i in range(0, len(data), crumbs or len(data) or 1):
                    sock.sendall(data[i:i + (crumbs or len(data))])
                more = sock.recv(65536)
                if not more:
                    return got or heard
                heard = b"heard"
                incoming.write(more)
    except (OSError, ssl.SSLError):
        return got or heard


def rename(message):
    return message.replace(ALLOWED.encode(), OTHER.encode())


served = [(f"a hello in records of {size} bytes", lambda m, size=size: records(m, size), {}) for size in (1, 5, 50, 1000)]
served += [("a hello, byte by byte", lambda m: records(m, 16384), {"crumbs": 1}),
           ("a hello in records of 3 bytes, 2 at a time", lambda m: records(m, 3), {"crumbs": 2}),
           ("a hello of 8 KB", lambda m: records(with_extension(m, 0x3a3a, bytes(8000)), 16384), {}),
           ("a hello of 60 KB", lambda m: records(with_extension(m, 0x3a3a, bytes(60000)), 16384), {}),
           ("an extension nobody knows", lambda m: records(with_extension(m, 0x2a2a, b"x"), 16384), {})]
for what, change, how in served:
    result = session(change, **how)
    say(f"{what} is let through", result != b"", result)

ECH = b"\0" + b"\0\1\0\1" + b"\7" + struct.pack("!H", 32) + os.urandom(32) + struct.pack("!H", 144) + os.urandom(144)
refused = [(f"another name in records of {size} bytes", lambda m, size=size: records(rename(m), size), {}) for size in (1, 5, 16384)]
refused += [
    ("another name, byte by byte", lambda m: records(rename(m), 16384), {"crumbs": 1}),
    ("an encrypted hello (RFC 9849)", lambda m: records(with_extension(m, 0xfe0d, ECH), 16384), {}),
    ("an encrypted hello in records of 7 bytes", lambda m: records(with_extension(m, 0xfe0d, ECH), 7), {}),
    ("no name", lambda m: records(m, 16384), {"name": None}),
    ("no name and an encrypted hello", lambda m: records(with_extension(m, 0xfe0d, ECH), 16384), {"name": None}),
    ("two names in one extension", lambda m: records(with_extension(m, 0, server_names(ALLOWED.encode(), OTHER.encode())), 16384),
     {"name": None}),
    ("two extensions with names", lambda m: records(with_extension(m, 0, server_names(OTHER.encode())), 16384), {}),
    ("a name with NUL", lambda m: records(with_extension(m, 0, server_names(ALLOWED.encode() + b"\0." + OTHER.encode())), 16384),
     {"name": None}),
    ("an empty name", lambda m: records(with_extension(m, 0, server_names(b"")), 16384), {"name": None}),
    ("an address as a name", lambda m: records(with_extension(m, 0, server_names(b"9.9.9.21")), 16384), {"name": None}),
    ("a hello that is cut", lambda m: records(m, 16384)[:-1], {}),
    ("a hello of version 2", lambda m: b"\x80\x2e\x01\x03\x03\0\x15\0\0\0\x10" + bytes(37), {}),
    ("an alert first", lambda m: b"\x15\x03\x01\0\x02\x01\0" + records(rename(m), 16384), {}),
    ("a change of cipher first", lambda m: b"\x14\x03\x01\0\x01\x01" + records(rename(m), 16384), {}),
    ("empty records first", lambda m: b"\x16\x03\x01\0\0" * 3 + records(rename(m), 16384), {}),
    ("a hello of 66 KB with its records", lambda m: records(with_extension(m, 0x3a3a, bytes(60000)), 50), {}),
]
for what, change, how in refused:
    result = session(change, **how)
    say(f"{what} is refused", result == b"", result)
result = session(lambda m: records(m, 16384))
say("the next one is let through", b"served by" in result, result)
