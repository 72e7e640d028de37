"""Real servers on the far host of world.sh: git over https and ssh, HTTP/2, WebSocket, HTTP/3, a binary cache.

usage: services.py FOLDER, with node, git, sshd and gtlsserver on PATH. They are at 9.9.9.11 (code.test, for boxes that
may) and 9.9.9.21 (closed.test, for nobody). Writes FOLDER/log as servers.py does; FOLDER/frames, every frame that came
to the far host; FOLDER/ssh/, a client's key and known_hosts; and FOLDER/services.ready.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

FOLDER = sys.argv[1]
ADDRESSES = ["9.9.9.11", "9.9.9.21"]
LOG = os.open(os.path.join(FOLDER, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 3, 0x0800, 0x86dd
UID = "1000"


def log(what, at, source, **more):
    entry = {"t": time.monotonic(), "what": what, "at": at[0], "port": at[1], "from": source[0], **more}
    os.write(LOG, (json.dumps(entry) + "\n").encode())


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def run(*argv, **options):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, **options)


# -- all that arrives --------------------------------------------------------------------------------


def datagram(frame):
    """(protocol, source, destination, port) of an IP packet that is neither TCP nor what makes IP work; else None."""
    kind, = struct.unpack_from("!H", frame, 12)
    if kind == ETH_P_IP and len(frame) >= 34:
        protocol, source, to, head = frame[23], frame[26:30], frame[30:34], 14 + 4 * (frame[14] & 15)
    elif kind == ETH_P_IPV6 and len(frame) >= 54:
        protocol, source, to, head = frame[20], frame[22:38], frame[38:54], 54
    else:
        return None
    # Hop-by-hop and ICMPv6: neighbours, routers, listeners (RFC 4861, 2710, 3810); a host does so by itself.
    icmp = frame[head] if len(frame) > head else 0
    if protocol == 6 or (kind == ETH_P_IPV6 and (protocol == 0 or protocol == 58 and 130 <= icmp <= 143)):
        return None
    port = struct.unpack_from("!H", frame, head + 2)[0] if protocol == 17 and len(frame) >= head + 4 else 0
    family = socket.AF_INET if kind == ETH_P_IP else socket.AF_INET6
    return protocol, socket.inet_ntop(family, source), socket.inet_ntop(family, to), port


def sniff(sock):
    with open(os.path.join(FOLDER, "frames"), "wb", buffering=0) as frames:
        while True:
            frame, (_, _, kind, _, _) = sock.recvfrom(1 << 16)
            if kind == socket.PACKET_OUTGOING:
                continue
            frames.write(frame)
            found = datagram(frame)
            if found and found[2:] != ("9.9.9.53", 53):
                log("packet", found[2:], found[1:2], protocol=found[0])


# -- ssh ---------------------------------------------------------------------------------------------


def prepare_ssh():
    """sshd for one user, who is not root: then it needs no user and no folder of its own, and no privilege."""
    place = os.path.join(FOLDER, "ssh")
    os.mkdir(place)
    for name in ("host", "client"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", os.path.join(place, name))
    with open(os.path.join(place, "host.pub"), encoding="ascii") as f:
        key = f.read()
    with open(os.path.join(place, "known_hosts"), "w", encoding="ascii") as f:
        f.write(f"code.test,closed.test {key}")
    with open(os.path.join(place, "passwd"), "w", encoding="ascii") as f:
        f.write(f"root:x:0:0::/:/bin/sh\ngit:x:{UID}:{UID}::{FOLDER}/git:/bin/sh\n")
    with open(os.path.join(place, "sshd_config"), "w", encoding="ascii") as f:
        f.write(f"HostKey {place}/host\nAuthorizedKeysFile {place}/client.pub\nStrictModes no\nUsePAM no\nSubsystem sftp internal-sftp\n")
    os.chmod(os.path.join(place, "client"), 0o644)
    return place


def serve_ssh(address, place):
    argv = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/passwd && shift && exec "$@"', "-", f"{place}/passwd",
            "unshare", "-U", f"--map-user={UID}", f"--map-group={UID}", shutil.which("sshd"), "-i", "-e", "-f",
            f"{place}/sshd_config"]
    with socket.create_server((address, 22), backlog=64) as listener, open(f"{place}/log-{address}", "ab") as errors:
        while True:
            sock, peer = listener.accept()
            log("connect", (address, 22), peer)
            subprocess.Popen(argv, stdin=sock, stdout=sock, stderr=errors)  # pylint: disable=consider-using-with
            sock.close()


# -- all of it -----------------------------------------------------------------------------------------


def prepare_git():
    repo = os.path.join(FOLDER, "git", "repo.git")
    run("git", "clone", "-q", "--bare", os.path.join(FOLDER, "www", "repo.git"), repo)
    run("git", "-C", repo, "config", "http.receivepack", "true")


def main():
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.bind(("far", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    threading.Thread(target=sniff, args=(sock,), daemon=True).start()
    prepare_git()
    place = prepare_ssh()
    for address in ADDRESSES:
        threading.Thread(target=serve_ssh, args=(address, place), daemon=True).start()
        subprocess.Popen(["gtlsserver", "-q", "-d", os.path.join(FOLDER, "www/files"), address, "443",
                          os.path.join(FOLDER, "server.key"), os.path.join(FOLDER, "server.pem")],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         preexec_fn=die_with_parent)
    here = os.path.dirname(os.path.realpath(__file__))
    node = subprocess.Popen(["node", os.path.join(here, "services.mjs"), FOLDER, *ADDRESSES], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, preexec_fn=die_with_parent)
    if node.stdout.readline() != b"ready\n":
        sys.exit("node does not serve")
    with open(os.path.join(FOLDER, "services.ready"), "w", encoding="ascii"):
        pass
    sys.exit(node.wait())


main()
