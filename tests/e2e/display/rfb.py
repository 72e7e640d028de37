#!/usr/bin/env python3
"""What a VNC server shows (RFC 6143): prints WIDTHxHEIGHT and its most frequent colours as RRGGBB.
usage: rfb.py PORT [PASSES]  tries again, at most for half a minute, until there are three colours or PASSES of this colour"""
import collections
import socket
import struct
import sys
import time


def read(conn, n):
    data = b""
    while len(data) < n:
        piece = conn.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def greet(conn):
    version = read(conn, 12)
    assert version == b"RFB 003.008\n", version
    conn.sendall(version)
    kinds = read(conn, read(conn, 1)[0])
    assert 1 in kinds, kinds  # None
    conn.sendall(b"\1")
    assert read(conn, 4) == b"\0\0\0\0"
    conn.sendall(b"\1")  # shared
    width, height = struct.unpack(">HH", read(conn, 4))
    read(conn, 16)
    read(conn, struct.unpack(">I", read(conn, 4))[0])
    # 32 bits a pixel, blue first; raw.
    conn.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
    conn.sendall(struct.pack(">BxHi", 2, 1, 0))
    return width, height


def colours(conn, width, height):
    conn.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
    found = collections.Counter()
    kind, n = struct.unpack(">BxH", read(conn, 4))
    assert kind == 0, kind
    for _ in range(n):
        _, _, w, h, encoding = struct.unpack(">HHHHi", read(conn, 12))
        assert encoding == 0, encoding
        data = read(conn, w * h * 4)
        found.update(data[i:i + 3][::-1].hex() for i in range(0, len(data), 4))
    return found


def main():
    wanted = sys.argv[2] if len(sys.argv) > 2 else None
    end = time.monotonic() + 30
    while True:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20) as conn:
            conn.settimeout(30)
            size = greet(conn)
            found = colours(conn, *size)
        good = wanted in found if wanted else len(found) > 1
        if good or time.monotonic() > end:
            break
        time.sleep(0.5)
    print(f"{size[0]}x{size[1]}", *(colour for colour, _ in found.most_common(4)))


main()
