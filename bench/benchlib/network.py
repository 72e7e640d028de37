"""What a box's network costs: streams, new connections, idle ones, and a start, beside other ways out of a sandbox.

All of it happens in a network and a mount namespace of the bench's own: a far host with a public address is another
network namespace behind one veth link, and /etc/hosts names it `far.test`. Nothing of the machine is changed.
"""

import ctypes
import json
import os
import pickle
import select
import shutil
import signal
import statistics
import subprocess
import time
import traceback

from . import machine
from .clock import Failed, Subject, compare, spawn
from .fixtures import call
from .many import kernel_kib, parents, rollup
from .report import Row

NAME, PORT, IPERF_PORT = "far.test", 5201, 5202
# Public, so that no policy refuses them; behind the link they are whatever the bench says.
FAR, NEAR, ROUTER, BITS = "9.9.9.10", "9.9.9.9", "9.9.9.1", 24
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 1 << 18, 0x1000
IDLE = 1000
SECONDS = 1
WORK = [("down", 1), ("up", 1), ("down", 16), ("up", 16), ("down", 64), ("up", 64), ("rate", 16), ("rate", 1)]
LOAD = os.path.join(os.path.dirname(os.path.realpath(__file__)), "net", "load.c")


def build_load(to):
    """Static, so that it runs in every box; glibc's resolver would not work in it, musl's does."""
    cc = machine.find("musl-gcc")
    if not cc:
        raise Failed("the load generator needs musl-gcc (Debian: musl-tools)")
    call([cc, "-O2", "-static", "-o", to, LOAD])


def alone():
    """Puts this process into namespaces of its own, with a file system whose mounts it may change."""
    libc, uid, gid = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()

    def check(result):
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    check(libc.unshare(CLONE_NEWNS | CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)))
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as out:
                out.write(text)
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    return lambda source, target: check(libc.mount(source.encode(), target.encode(), None, MS_BIND, None))


class World:
    """The far host and the link to it; to be made in namespaces of its own."""

    def __init__(self, folder, load):
        self.running, self.folder, self.load = [], folder, load
        ip = machine.find("ip")
        if not ip:
            raise Failed("the far host needs ip(8) (Debian: iproute2)")
        call([ip, "link", "set", "lo", "up"])
        self.far = self.start([machine.find("unshare"), "-n", load, "server", str(PORT)], "ready")
        self.at_far = [machine.find("nsenter"), "-t", str(self.far), "-n"]
        call([ip, "link", "add", "far0", "type", "veth", "peer", "name", "eth0", "netns", str(self.far)])
        call([ip, "address", "add", f"{NEAR}/{BITS}", "dev", "far0"])
        for words in (["address", "add", f"{FAR}/{BITS}", "dev", "eth0"],
                      ["address", "add", f"{ROUTER}/{BITS}", "dev", "eth0"],
                      ["link", "set", "lo", "up"], ["link", "set", "eth0", "up"]):
            call([*self.at_far, ip, *words])
        call([ip, "link", "set", "far0", "up"])
        call([ip, "route", "add", "default", "via", ROUTER])

    def start(self, argv, word=None, env=None):
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True, env=env)
        self.running.append(process)
        if word and process.stdout.readline().strip() != word:
            raise Failed(f"{os.path.basename(argv[0])} did not become ready")
        return process.pid

    def close(self):
        for process in reversed(self.running):
            process.kill()
            process.wait()


class Way:
    """One way to the far host. argv: what stands before the load generator; relays: it carries the bytes itself."""

    def __init__(self, name, argv, env, relays=True, daemons=()):
        self.name, self.argv, self.env, self.relays, self.daemons = name, argv, env, relays, daemons
        self.figures = {}  # (what, how many) -> [dict, …]
        self.memory = None
        self.failures = []

    def client(self, *words):
        return [*self.argv, "client", NAME, str(PORT), *(str(word) for word in words)]

    def measure(self, what, count):
        try:
            done = subprocess.run(self.client(what, count, SECONDS), env=self.env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                                  timeout=20)
        except subprocess.TimeoutExpired:
            return self.fail(what, count, "not done after 20 s")
        line = next((text for text in done.stdout.splitlines() if text.startswith("{")), None)
        if done.returncode or not line:
            return self.fail(what, count, f"exit status {done.returncode}: {done.stderr.strip()[-200:]}")
        self.figures.setdefault((what, count), []).append(json.loads(line))

    def fail(self, what, count, why):
        self.failures.append(f"{self.name}, {what} {count}: {why}")

    def median(self, what, count, key=None):
        runs = [run[key or ("conn_s" if what == "rate" else "bytes_s")] for run in self.figures.get((what, count), [])]
        return statistics.median(runs) if runs else None

    # -- memory

    def family(self, root):
        """Everything that the way consists of, but not the load generator."""
        table, own = parents(), {root, *self.daemons}
        found = set()
        for pid in table:
            up = pid
            while up in table and up not in own:
                up = table[up]
            if up in own:
                found.add(pid)
        return {pid for pid in found if not is_load(pid)}

    def weigh(self, root):
        weights = [weight for weight in map(rollup, self.family(root)) if weight]
        return sum(rss for rss, _ in weights), sum(pss for _, pss in weights), kernel_kib()

    def idle(self, log, count=IDLE):
        """KiB for each of so many connections more: Rss and Pss of the way's processes, and all of the kernel's."""
        reader, writer = os.pipe()
        pid = spawn(self.client("idle", count), self.env, log, stdout=writer)
        os.close(writer)
        try:
            read_word(reader, "base")
            time.sleep(0.7)
            before = self.weigh(pid)
            read_word(reader, "ready")
            time.sleep(0.7)
            after = self.weigh(pid)
            self.memory = [count, *((b - a) / count for a, b in zip(before, after))]
        except Failed as why:
            self.fail("idle", count, why)
        finally:
            os.close(reader)
            stop(pid, self.family(pid))


def is_load(pid):
    try:
        with open(f"/proc/{pid}/comm") as comm:
            return comm.read().strip() == "load"
    except OSError:
        return True


def read_word(fd, word):
    text = b""
    while word.encode() not in text.split():
        if not select.select([fd], [], [], 60)[0]:
            raise Failed(f"no `{word}` in a minute")
        data = os.read(fd, 4096)
        if not data:
            raise Failed(f"ended before `{word}`")
        text += data


def stop(pid, others):
    os.kill(pid, signal.SIGTERM)
    for _ in range(60):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.05)
    for one in {pid, *others}:
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os.waitpid(pid, 0)


# -- the ways

def pasta_way(peers, world, env):
    # As root it gives up its user, and then cannot look at the namespace that it made, unless told otherwise.
    return [peers.find("pasta"), "-q", "--config-net", "--runas", "0", "--", world.load], ()


def slirp_way(peers, world, env):
    holder = world.start([machine.find("unshare"), "-n", "sh", "-c", "echo ready; exec sleep 100000"], "ready")
    daemon = world.start([peers.find("slirp4netns"), "--configure", "--mtu=65520", "--disable-host-loopback",
                          str(holder), "tap0"])
    look = [machine.find("nsenter"), "-t", str(holder), "-n", machine.find("ip"), "route"]
    for _ in range(100):
        if "default" in call(look):
            return [machine.find("nsenter"), "-t", str(holder), "-n", world.load], (daemon,)
        time.sleep(0.05)
    raise Failed("slirp4netns made no route in 5 s")


def srt_way(peers, world, env):
    settings = f"{world.folder}/srt.json"
    with open(settings, "w") as out:
        json.dump({"network": {"allowedDomains": [NAME], "deniedDomains": []},
                   "filesystem": {"denyRead": [], "allowWrite": [world.folder], "denyWrite": []}}, out)
    return [peers.find("srt"), "--settings", settings, world.load], ()


def nono_way(peers, world, env):
    return [peers.find("nono"), "run", "-s", "--allow", os.path.dirname(world.load), "--allow-domain", NAME, "--",
            world.load], ()


def sandlock_way(peers, world, env):
    return [peers.find("sandlock"), "run", "-r", "/", "--net-allow", f"{NAME}:{PORT}", "--", world.load], ()


# program, how it is called, whether it relays
PEERS = [("pasta", pasta_way, True), ("slirp4netns", slirp_way, True), ("nono", nono_way, True),
         ("srt", srt_way, True), ("sandlock", sandlock_way, False)]


def ways(bench, peers, world, folder):
    home = f"{peers.cache}/home"
    path = os.pathsep.join([*peers.folders, bench.env.get("PATH", os.defpath)])
    private = {**bench.env, "PATH": path, "HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home,
               "XDG_CACHE_HOME": home}
    os.makedirs(home, exist_ok=True)
    yield Way("bare veth", [world.load], bench.env, relays=False)
    yield Way("igloo", [bench.igloo, "run", "-C", folder, "--allow", f"{NAME}:{PORT}", "--", "./load"], bench.env)
    for name, make, relays in PEERS:
        if not peers.find(name):
            peers.missing.setdefault(name, "not found on PATH")
            continue
        try:
            argv, daemons = make(peers, world, private)
            yield Way(name, argv, private, relays, daemons)
        except (Failed, OSError) as why:
            peers.missing.setdefault(name, str(why))


# -- the row

def gbit(value):
    return "-" if value is None else f"{value * 8 / 1e9:.2f}"


def plain(value):
    return "-" if value is None else f"{value:.0f}"


def tables(row, found):
    streams = [(what, count) for what, count in WORK if what != "rate"]
    row.tables.append([["Gbit/s", *(f"{what} {count}" for what, count in streams)]]
                      + [[way.name, *(gbit(way.median(*one)) for one in streams)] for way in found])
    lines = [["new connections", "16 threads, /s", "1 thread, /s", "connect+byte us", "p99", "failed"]]
    for way in found:
        bad = sum(run["failed"] for key, runs in way.figures.items() if key[0] == "rate" for run in runs)
        lines.append([way.name, plain(way.median("rate", 16)), plain(way.median("rate", 1)),
                      plain(way.median("rate", 1, "us")), plain(way.median("rate", 1, "us_p99")), str(bad)])
    row.tables.append(lines)
    base = found[0].memory
    lines = [["KiB for each idle connection", "connections", "Rss", "Pss", "kernel", "kernel, less the bare veth's"]]
    for way in found:
        if way.memory:
            rest = f"{way.memory[3] - base[3]:.1f}" if base else "-"
            lines.append([way.name, *(f"{value:.{min(i, 1)}f}" for i, value in enumerate(way.memory)), rest])
    row.tables.append(lines)


def bars(row, bare, igloo, others):
    def against(what, count, unit, peers_too):
        mine, base = igloo.median(what, count), bare.median(what, count)
        label = f"{count} stream{'s'[count == 1:]} {what}" if what != "rate" else f"new connections, {count} threads"
        if not mine or not base:
            row.notes.append(f"{label}: not judged, a side was not measured")
            return
        row.bar(f"igloo / bare veth, {label}", mine / base, unit, at_least=True)
        best = max((way for way in peers_too if way.median(what, count)), default=None,
                   key=lambda way: way.median(what, count))
        if best:
            row.bar(f"igloo / {best.name}, {label}", mine / best.median(what, count), 1, at_least=True)

    for what, count in WORK:
        if count <= 16 and what != "rate":
            against(what, count, 0.6, [way for way in others if way.relays])
    against("rate", 16, 0.45, others)
    if igloo.memory:
        row.bar("KiB for each idle connection, Rss of igloo's processes", igloo.memory[1], 16)
        if bare.memory:
            row.bar("KiB for each idle connection, kernel, less the bare veth's", igloo.memory[3] - bare.memory[3], 16)


def starts(row, bench, peers, folder, rounds):
    run = [bench.igloo, "run", "-C", folder]
    offline = Subject("igloo, --offline", [*run, "--offline", "--", "true"], bench.env)
    opened = Subject("igloo, --allow", [*run, "--allow", f"{NAME}:{PORT}", "--", "true"], bench.env)
    subjects = [offline, opened]
    if peers.find("pasta"):
        subjects.append(Subject("pasta", [*pasta_true(peers)], bench.env))
    compare(subjects, rounds, bench.log)
    row.subjects(subjects, offline)
    if len(offline.samples) and len(opened.samples):
        row.bar("start with a network, ms more than without",
                (opened.samples.median() - offline.samples.median()) * 1e3, 8,
                least=(opened.samples.least() - offline.samples.least()) * 1e3)


def pasta_true(peers):
    return [peers.find("pasta"), "-q", "--config-net", "--runas", "0", "--", "/bin/true"]


def cross_check(row, world, found):
    """iperf3 beside the bench's own generator; only where it runs without a box's closure."""
    program = machine.find("iperf3")
    if not program:
        return
    world.start([*world.at_far, program, "-s", "-p", str(IPERF_PORT)])
    time.sleep(0.3)
    said = []
    for way in found:
        if way.name not in ("bare veth", "pasta", "slirp4netns"):
            continue
        argv = [*way.argv[:-1], program, "-c", FAR, "-p", str(IPERF_PORT), "-t", "1", "-J"]
        try:
            said_by = [call([*argv, *more], env=way.env) for more in (["-R"], [])]
            values = [json.loads(text[text.index("{"):])["end"]["sum_received"]["bits_per_second"] / 1e9
                      for text in said_by]
            said.append(f"{way.name} {values[0]:.1f} down, {values[1]:.1f} up")
        except (Failed, ValueError, KeyError) as why:
            said.append(f"{way.name}: {str(why)[-100:]}")
    row.notes.append("iperf3, one stream, one run, Gbit/s: " + "; ".join(said))


def told(bench):
    """Leaves the machine's network and tells this process and its children where the far host is."""
    bind = alone()
    for name, text in (("hosts", f"127.0.0.1 localhost\n{FAR} {NAME}\n"), ("resolv.conf", f"nameserver {ROUTER}\n")):
        with open(f"{bench.folder}/{name}", "w") as out:
            out.write(text)
        bind(f"{bench.folder}/{name}", os.path.realpath(f"/etc/{name}"))


def inside(bench, peers, rounds):
    """The row; in a process of its own, whose namespaces are changed."""
    row = Row("network", f"{NAME} behind a veth link: streams, new connections, idle ones, a start")
    told(bench)
    load = f"{bench.folder}/repo-load"
    build_load(load)
    world = World(bench.folder, load)
    try:
        folder = bench.repository(0)
        bench.resolve(folder)
        shutil.copy(load, f"{folder}/load")
        found = list(ways(bench, peers, world, folder))
        for _ in range(max(3, rounds // 8)):
            for what, count in WORK:
                for way in found:
                    if not any(text.startswith(f"{way.name}, {what} {count}:") for text in way.failures):
                        way.measure(what, count)
        for way in found:
            way.idle(bench.log)
            if not way.memory:
                way.idle(bench.log, IDLE // 10)
        tables(row, found)
        bars(row, found[0], found[1], found[2:])
        starts(row, bench, peers, folder, rounds)
        cross_check(row, world, found)
        for way in found:
            row.notes += way.failures
    finally:
        world.close()
    row.notes.append(f"{os.cpu_count()} CPUs carry the client, the server and whatever relays between them; "
                     "new connections have one byte there and back, through a proxy its CONNECT too")
    return row


def apart(inside, bench, peers, rounds):
    """inside(bench, peers, rounds) in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            answer = (inside(bench, peers, rounds), peers.missing, None)
        except (Failed, OSError) as why:
            answer = (None, peers.missing, str(why))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        with os.fdopen(writer, "wb") as out:
            pickle.dump(answer, out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as data:
        text = data.read()
    os.waitpid(child, 0)
    if not text:
        raise Failed("the measuring process died")
    row, missing, why = pickle.loads(text)
    peers.missing.update(missing)
    if why:
        raise Failed(why)
    return row


def network(bench, peers, rounds):
    return apart(inside, bench, peers, rounds)
