"""What a box tries with the SSH agent it was given, in the agent's own protocol. Prints a line for each try.

usage: agentprobe.py FOLDER, with mine.pub, a key the box may use, and other.pub, one that it may not.
"""

import base64
import os
import socket
import struct
import sys

FAILURE, LIST, ANSWER, SIGN, SIGNED = 5, 11, 12, 13, 14
PLACE = os.environ["SSH_AUTH_SOCK"]


def string(data):
    return struct.pack(">I", len(data)) + data


def key(name):
    with open(os.path.join(sys.argv[1], name), encoding="utf-8") as f:
        return base64.b64decode(f.read().split()[1])


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(PLACE)
    s.settimeout(20)
    return s


def read(s):
    """One message, b"" at the end."""
    data = b""
    wanted = 4
    while len(data) < wanted:
        try:
            piece = s.recv(wanted - len(data))
        except ConnectionResetError:
            piece = b""
        if not piece:
            return b""
        data += piece
        if len(data) == 4:
            wanted = 4 + struct.unpack(">I", data)[0]
    return data[4:]


def ask(message, s=None):
    s = s or connect()
    try:
        s.sendall(string(message))
    except (BrokenPipeError, ConnectionResetError):
        pass
    return read(s)


def sign(blob, flags=0):
    return bytes([SIGN]) + string(blob) + string(b"data to be signed") + struct.pack(">I", flags)


def say(good, what):
    print(("ok " if good else "not ok ") + what, flush=True)


def listed():
    answer = ask(bytes([LIST]))
    return answer[0], struct.unpack(">I", answer[1:5])[0] if len(answer) > 4 else None


mine, other = key("mine.pub"), key("other.pub")
say(listed() == (ANSWER, 1), "one key is listed")
say(ask(sign(mine))[:1] == bytes([SIGNED]), "its signature")
say(ask(sign(mine, 2))[:1] == bytes([SIGNED]), "with a flag")
say(ask(sign(other)) == bytes([FAILURE]), "another key does not sign")
say(ask(sign(b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(32))) == bytes([FAILURE]), "nor one that does not exist")
say(ask(sign(mine) + b"x") == bytes([FAILURE]), "nor with a byte too many")
say(ask(sign(mine)[:-1]) == bytes([FAILURE]), "nor with one too few")
say(ask(sign(mine + b"\0")) == bytes([FAILURE]), "nor a longer key")
say(ask(bytes([SIGN]) + b"\xff" * 40) == bytes([FAILURE]), "nor lengths beyond the message")

# Everything else that agents know; 1, 3, 7, 8 and 9 are of SSH 1. And what none knows.
refused = {"add": 17, "remove": 18, "remove all": 19, "add smartcard": 20, "remove smartcard": 21, "lock": 22,
           "unlock": 23, "add constrained": 25, "add smartcard constrained": 26, "ssh1": 1}
for name, number in refused.items():
    say(ask(bytes([number]) + string(mine) + string(b"passphrase")) == bytes([FAILURE]), name + " is refused")
say(all(ask(bytes([n])) == bytes([FAILURE]) for n in range(256) if n != LIST), "and every other number")
say(ask(bytes([27]) + string(b"query")) == bytes([FAILURE]), "extensions are refused")
say(ask(bytes([27]) + string(b"session-bind@openssh.com") + string(mine) + string(b"id") + string(b"sig") + b"\0")
    == bytes([FAILURE]), "a session-bind that is not signed")
say(listed() == (ANSWER, 1), "the agent is as before")

for name, data in (("an empty message", bytes(4)), ("256 KiB and a byte", struct.pack(">I", 256 * 1024 + 1) + bytes(9)),
                   ("4 GiB", b"\xff" * 8), ("text", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")):
    s = connect()
    s.sendall(data)
    say(read(s) == b"", name + " ends the connection")
say(ask(bytes([SIGN]) + string(mine) + string(bytes(250 * 1024)) + bytes(4)) != b"", "250 KiB are a message")
s = connect()
s.sendall(struct.pack(">I", 1))
s.close()
s = connect()
for byte in string(sign(mine)):
    s.sendall(bytes([byte]))
say(read(s)[:1] == bytes([SIGNED]), "byte by byte")
s.sendall(string(bytes([LIST])) * 3)
say(len(read(s)) + len(read(s)) > 2, "several at once")
s = connect()
s.sendall(string(sign(mine)))
s.shutdown(socket.SHUT_WR)
say(read(s)[:1] == bytes([SIGNED]), "an answer after the end of the questions")

many = [connect() for _ in range(100)]
for s in many:
    s.sendall(string(bytes([LIST])))
say(all(read(s)[:1] == bytes([ANSWER]) for s in many), "100 connections")
for s in many:
    s.close()
for _ in range(300):
    connect().close()
more = [connect() for _ in range(120)]
say(listed() == (ANSWER, 1), "beside idle ones")
for s in more:
    s.close()
say(listed() == (ANSWER, 1), "and after all of it")
