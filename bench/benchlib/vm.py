"""The row on machines: a start beside the same kernel with a bare init, an end, memory, exec beside ssh, a port's rate,
ten at once, and what going on from a memory file would save.

The bare machine has igloo's own QEMU and its arguments, read from /proc while one of igloo's runs: only what names igloo's
files and its port is another, and there is a serial port to say `ready` on.
"""

import glob
import json
import os
import re
import select
import socket
import statistics
import subprocess
import time

from . import machine, vmexec, vmpeers
from .clock import Failed, Samples, Subject, due
from .fixtures import DEBNIX, call
from .many import parents, rollup
from .report import Row

INIT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "vm", "init.c")
PACKAGES = ["bash", "coreutils", "openssh-server"]
SIZE = ["--cpus", "1", "--memory", "512M"]
FLAKE = """{
  inputs.nixpkgs.url = "path:PKGS";
  outputs = { self, nixpkgs }: let pkgs = nixpkgs.legacyPackages.SYSTEM; in {
    devShells.SYSTEM = {
      default = pkgs.mkShell { packages = with pkgs; [ bash coreutils openssh-server ]; ATTRIBUTES };
      SHELLS
    };
  };
}
"""
TICKS = os.sysconf("SC_CLK_TCK")


# -- processes


def family(root):
    """The process and all below it."""
    table, found = parents(), {root}
    while True:
        more = {pid for pid, parent in table.items() if parent in found} - found
        if not more:
            return found
        found |= more


def cpu_of(pids):
    """Processor seconds so far, children that were waited for included."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat:
                ticks += sum(int(field) for field in stat.read().rpartition(b")")[2].split()[11:15])
        except OSError:
            continue
    return ticks / TICKS


def wait_for(child, word, limit=240):
    said, end = b"", time.monotonic() + limit
    while word not in said:
        if not select.select([child.stdout], [], [], max(0, end - time.monotonic()))[0]:
            raise Failed(f"no {word.decode()!r} within {limit} s: {said[-200:]!r}")
        data = os.read(child.stdout.fileno(), 4096)
        if not data:
            raise Failed(f"QEMU ended before {word.decode()!r}: {said[-200:]!r}")
        said += data


def first_output(argv, env, cwd, log, limit=240):
    """(seconds to `ready` on stdout, seconds to the end, processor seconds of all processes to that word)."""
    with open(log, "wb") as said:
        began = time.perf_counter()
        child = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        try:
            wait_for(child, b"ready", limit)
        except Failed as why:
            child.kill()
            child.communicate()
            with open(log, errors="replace") as text:
                raise Failed(f"{why}: {text.read()[-400:].strip()}") from None
        first = time.perf_counter() - began
        cpu = cpu_of(family(child.pid))
        child.communicate()
        ended = time.perf_counter() - began
    if child.returncode != 0:
        with open(log, errors="replace") as text:
            raise Failed(f"{os.path.basename(argv[0])}: exit status {child.returncode}: {text.read()[-400:].strip()}")
    return first, ended, cpu


class Start(Subject):
    """A column of the comparison of starts: `samples` to the first output, `ends` to the end."""

    def __init__(self, name, argv, env, cwd, **more):
        super().__init__(name, argv, env, cwd=cwd, **more)
        self.ends, self.warm_up = [], True

    def once(self, log, keep=True):
        if self.failure:
            return
        try:
            first, ended, cpu = first_output(self.argv, self.env, self.cwd, log)
        except (Failed, OSError) as why:
            self.failure = str(why)
            return
        if keep:
            self.samples.add(first, cpu)
            self.ends.append(ended - first)


# -- igloo's machine and the bare one


class Machines:
    """attributes: of the dev shell; shells: more of them; both as Nix, to which `pkgs` is known."""

    def __init__(self, bench, attributes="", shells=""):
        self.bench = bench
        self.repository = os.path.join(bench.folder, "repo-vm")
        flake = os.path.join(bench.cache, "vm-flake")
        if not os.path.exists(f"{flake}/flake.nix"):
            call([DEBNIX, "generate", "--out", flake, *PACKAGES], env=bench.outer)
        call([DEBNIX, "build", "--out", flake, *PACKAGES], env=bench.outer)
        os.mkdir(self.repository)
        with open(f"{self.repository}/flake.nix", "w") as out:
            text = FLAKE.replace("ATTRIBUTES", attributes).replace("SHELLS", shells)
            out.write(text.replace("PKGS", flake).replace("SYSTEM", f"{os.uname().machine}-linux"))
        bench.commit(self.repository)
        call(["nix", "flake", "lock"], cwd=self.repository, env=bench.nix_env)
        bench.commit(self.repository)
        self.kernel = os.environ.get("IGLOO_BENCH_KERNEL") or os.environ.get("IGLOO_TEST_KERNEL")
        self.options = ["--in", "vm", *(["--kernel", self.kernel] if self.kernel else []), *SIZE]
        bench.resolve(self.repository)
        self.boxes = []

    def run(self, *command, options=()):
        return [self.bench.igloo, "run", "-C", self.repository, *self.options, *options, "--", *command]

    def start(self, name, *command, options=(), **env):
        """Returns what igloo said."""
        said = call(self.run(*command, options=["--verbose", "--detach", "--name", name, *options]),
                    env={**self.bench.env, **env})
        self.boxes.append(name)
        return said

    def stop(self, name):
        self.boxes.remove(name)
        call([self.bench.igloo, "stop", name], env=self.bench.env)
        call([self.bench.igloo, "rm", "-f", name], env=self.bench.env)

    def exec(self, name, *command):
        return [self.bench.igloo, "exec", name, "--", *command]

    def supervisor(self, name):
        return json.loads(call([self.bench.igloo, "inspect", name], env=self.bench.env))["supervisor"]

    def qemu(self, name):
        for pid in family(self.supervisor(name)):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as text:
                    words = text.read().split(b"\0")[:-1]
            except OSError:
                continue
            if words and re.search(rb"^/.*qemu-system-", words[0]):
                return pid, [word.decode() for word in words]
        raise Failed(f"box '{name}' has no QEMU")

    def close(self):
        for name in list(self.boxes):
            subprocess.run([self.bench.igloo, "rm", "-f", name], env=self.bench.env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def newc(files):
    """A cpio archive: {name: (mode, bytes)}."""
    out = b""
    for number, (name, (mode, data)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))]):
        raw = name.encode() + b"\0"
        fields = (number + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + raw
        out += head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
    return out


def bare_argv(machines, qemu):
    """QEMU's arguments in a box, for a machine without one."""
    folder = machines.bench.folder
    cc = machine.find("musl-gcc")
    if not cc:
        raise Failed("the bare init needs musl-gcc (Debian: musl-tools)")
    call([cc, "-O2", "-static", "-s", "-o", f"{folder}/init", INIT])
    with open(f"{folder}/init", "rb") as text, open(f"{folder}/initrd", "wb") as out:
        out.write(newc({"init": (0o100755, text.read())}))
    os.makedirs(f"{folder}/empty", exist_ok=True)
    kernels = sorted(glob.glob(f"{folder}/cache/igloo/kernels/vmlinux-*"), key=os.path.getmtime)
    if not kernels:
        raise Failed("igloo has no vmlinux in its cache")
    argv = []
    for word, before in zip(qemu, [""] + qemu):
        if word == "-add-fd" or before == "-add-fd":
            continue
        if before == "-kernel":
            word = kernels[-1]
        elif before == "-initrd":
            word = f"{folder}/initrd"
        elif before == "-chardev":
            word = re.sub(r"^socket,(id=[a-z0-9]+),fd=\d+$", r"null,\1", word)
            word = re.sub(r"^file,id=console,.*", "stdio,id=console,signal=off", word)
        elif before == "-blockdev":
            word = re.sub(r"^driver=raw,(node-name=[a-z0-9]+),.*", r"driver=null-co,size=1073741824,\1", word)
        elif before == "-netdev":
            word = re.sub(r"^tap,.*(id=[a-z0-9]+).*", r"user,\1", word)
        elif before == "-fsdev":
            word = re.sub(r",path=/[^,]*", f",path={folder}/empty", word)
        argv.append(word)
    return argv


# -- a machine's memory, kept in a file


def modules_of(path):
    """The modules of an initrd that igloo wrote, as newc() takes them."""
    with open(path, "rb") as text:
        data = text.read()
    at, found = 0, {"modules": (0o40755, b"")}
    while data[at:at + 6] == b"070701":
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110:at + 109 + fields[11]].decode()
        begin = (at + 110 + fields[11] + 3) & ~3
        at = (begin + fields[6] + 3) & ~3
        if name.startswith("modules/"):
            found[name] = (fields[1], data[begin:begin + fields[6]])
    return found


def keep_memory(argv, folder):
    """Boots, and puts the machine's memory into a file. Returns the file."""
    path, address = f"{folder}/machine-memory", f"{folder}/qmp"
    child = subprocess.Popen(argv + ["-qmp", f"unix:{address},server=on,wait=off"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for(child, b"ready")
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(address)
            answers = monitor.makefile("r")

            def ask(command, **arguments):
                monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
                for line in answers:
                    answer = json.loads(line)
                    if "error" in answer:
                        raise Failed(f"{command}: {answer['error']['desc']}")
                    if "return" in answer:
                        return answer["return"]
                raise Failed(f"{command}: QEMU ended")

            ask("qmp_capabilities")
            ask("migrate", uri=f"exec:cat >{path}")
            status, end = "active", time.monotonic() + 120
            while status not in ("completed", "failed") and time.monotonic() < end:
                status = ask("query-migrate").get("status", "active")
                time.sleep(0.02)
            if status != "completed":
                raise Failed(f"the machine's memory could not be kept: {status}")
    finally:
        child.kill()
        child.communicate()
    return path


def restored(row, machines, argv, initrd, rounds):
    """The same machine with its modules loaded and 9p mounted: booted, and gone on with from its memory in a file."""
    folder, log = machines.bench.folder, machines.bench.log
    with open(f"{folder}/init", "rb") as text, open(f"{folder}/initrd-stay", "wb") as out:
        out.write(newc({"init": (0o100755, text.read()), **modules_of(initrd)}))
    argv = [f"{folder}/initrd-stay" if before == "-initrd" else word + " stay" if before == "-append" else word
            for word, before in zip(argv, [""] + argv)]
    while "-sandbox" in argv:  # exec: needs a process; igloo would give a descriptor
        at = argv.index("-sandbox")
        del argv[at:at + 2]
    memory_file = keep_memory(argv, folder)
    ways = {"booted": [], "from its memory in a file": ["-incoming", f"exec:cat {memory_file}"]}
    taken = {name: Samples() for name in ways}
    for _ in range(rounds):
        for name, more in ways.items():
            with open(log, "wb") as said:
                began = time.perf_counter()
                child = subprocess.Popen(argv + more, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
                try:
                    wait_for(child, b"tick")
                    child.stdin.write(b"go\n")
                    child.stdin.flush()
                    wait_for(child, b"mounted")
                    taken[name].add(time.perf_counter() - began, cpu_of([child.pid]))
                finally:
                    child.kill()
                    child.communicate()
    lines = [["QEMU's start to modules loaded and 9p mounted", "median ms", "least ms", "CPU ms", "rounds"]]
    lines += [[name, f"{s.median() * 1e3:.0f}", f"{s.least() * 1e3:.0f}", f"{s.median_cpu() * 1e3:.0f}", str(len(s))]
              for name, s in taken.items()]
    row.tables.append(lines)
    row.notes.append(f"the file: {os.path.getsize(memory_file) / 2**20:.0f} MiB")


# -- what is measured


def peer_starts(row, machines, peers, bare, kvm):
    """Debian with systemd, and virtme-ng, as far as they are to be had here."""
    bench, found = machines.bench, []
    vmlinux = bare[bare.index("-kernel") + 1]
    try:
        found.append(Start("the same QEMU, Debian's cloud kernel, systemd", vmpeers.debian_argv(vmpeers.debian(peers), bare),
                           bench.env, bench.folder, rounds=3))
        found[0].warm_up = False  # it takes 20 s
    except (Failed, OSError) as why:
        row.notes.append(f"Debian with systemd: {why}")
    try:
        argv, path = vmpeers.virtme(peers, bench.folder, vmlinux, machines.kernel, kvm)
        found.append(Start("virtme-ng, the same kernel", argv, {**bench.env, "PATH": path}, bench.folder, rounds=3))
    except (Failed, OSError) as why:
        row.notes.append(f"virtme-ng: {why}")
    row.notes.append(vmpeers.UNAVAILABLE)
    return found


def starts(row, machines, subjects, rounds):
    for subject in subjects:
        if subject.warm_up:
            subject.once(machines.bench.log, keep=False)
    for turn in range(rounds):
        for subject in subjects:
            if due(subject, turn, rounds):
                subject.once(machines.bench.log)
    lines = [["", "first output, median ms", "least ms", "CPU ms", "x base", "x least", "x CPU", "then to its end ms", "rounds"]]
    base = subjects[0].samples
    for subject in subjects:
        s = subject.samples
        if subject.failure:
            row.notes.append(f"{subject.name}: {subject.failure}")
        if len(s) and len(base):
            lines.append([subject.name, f"{s.median() * 1e3:.0f}", f"{s.least() * 1e3:.0f}", f"{s.median_cpu() * 1e3:.0f}",
                          f"{s.median() / base.median():.2f}", f"{s.least() / base.least():.2f}",
                          f"{s.median_cpu() / base.median_cpu():.2f}", f"{statistics.median(subject.ends) * 1e3:.0f}",
                          str(len(s))])
    row.tables.append(lines)


def memory(row, machines):
    machines.start("memory", "sleep", "600")
    machines_pid, _ = machines.qemu("memory")
    supervisor = machines.supervisor("memory")
    lines = [["memory, KiB", "Rss", "Pss"]]
    for pid in sorted(family(supervisor)):
        weight = rollup(pid)
        if weight:
            name = "QEMU" if pid == machines_pid else "supervisor" if pid == supervisor else "PID 1 of the box"
            lines.append([name, *map(str, weight)])
    row.tables.append(lines)


def throughput(row, machines, kvm):
    """Bytes out of the machine's memory through the virtio port and both bridges, and into it."""
    count = 64 << 20
    lines = [["through the port, 64 MiB", "MB/s"]]
    rates = {}
    for name, command, kwargs in (
            ("out", ["head", "-c", str(count), "/dev/zero"], {"stdout": subprocess.PIPE}),
            ("in", ["bash", "-c", "cat >/dev/null"], {"stdin": subprocess.PIPE})):
        runs = []
        for _ in range(3):
            child = subprocess.Popen(machines.exec("memory", *command), env=machines.bench.env, **kwargs)
            began = None
            if name == "out":
                while True:
                    data = os.read(child.stdout.fileno(), 1 << 16)
                    if not data:
                        break
                    began = began or time.perf_counter()
            else:
                block = bytes(1 << 20)
                child.stdin.write(block)
                began = time.perf_counter()
                for _ in range(count >> 20):
                    child.stdin.write(block)
                child.stdin.close()
            child.wait()
            runs.append(count / 1e6 / (time.perf_counter() - began))
        rates[name] = statistics.median(runs)
        lines.append([name, f"{rates[name]:.1f}"])
    row.tables.append(lines)
    for name, rate in rates.items():
        if kvm:
            row.bar(f"MB/s through the port, {name}", rate, 100, at_least=True)


def ends(row, machines, rounds):
    """`igloo stop` of a machine that runs, its QEMU's end included."""
    taken = []
    for number in range(rounds):
        if number > 0 or "memory" not in machines.boxes:
            machines.start("memory", "sleep", "600")
        pid, _ = machines.qemu("memory")
        began = time.perf_counter()
        call([machines.bench.igloo, "stop", "memory"], env=machines.bench.env)
        while os.path.exists(f"/proc/{pid}"):
            time.sleep(0.002)
        taken.append(time.perf_counter() - began)
        call([machines.bench.igloo, "rm", "-f", "memory"], env=machines.bench.env)
        machines.boxes.remove("memory")
    row.tables.append([["igloo stop, to QEMU's end", "median ms", "least ms"],
                       ["", f"{statistics.median(taken) * 1e3:.0f}", f"{min(taken) * 1e3:.0f}"]])


def ten(row, machines, count=10):
    """All at once, and the same number one after the other."""
    argv, env = machines.run("true"), machines.bench.env
    began = time.perf_counter()
    children = [subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) for _ in range(count)]
    bad = sum(child.wait() != 0 for child in children)
    together = time.perf_counter() - began
    began = time.perf_counter()
    bad += sum(subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode != 0 for _ in range(3))
    alone = (time.perf_counter() - began) / 3
    row.tables.append([[f"{count} machines at once", "seconds", "each", "one alone", "failed"],
                       ["", f"{together:.1f}", f"{together / count:.2f}", f"{alone:.2f}", str(bad)]])
    row.bar(f"time each of {count} at once / one alone", together / count / alone, 1)


def vm(bench, peers, rounds):
    row = Row("vm", "machines of 1 processor and 512 MiB: command line to first output and further, by "
                    "`igloo run --in vm`")
    machines = Machines(bench)
    rounds = max(3, min(rounds // 4, 10))
    try:
        call(machines.run("true"), env=bench.env)  # the kernel unpacked, the initrd packed
        machines.start("look", "sleep", "600")
        _, argv = machines.qemu("look")
        machines.stop("look")
        kvm = "accel=kvm" in " ".join(argv)
        row.notes.append(f"accelerator: {'KVM' if kvm else 'TCG'}; {machine.version(argv[0])}")
        bare = Start("the same QEMU, kernel, bare init", bare_argv(machines, argv), bench.env, bench.folder)
        igloo = Start("igloo run --in vm -- echo", machines.run("echo", "ready"), bench.env, bench.folder)
        warm = Start("the same, from memory (--start warm)", machines.run("echo", "ready", options=["--start", "warm"]),
                     bench.env, bench.folder)
        others = [warm, Start("the same with --overlay, no disk", machines.run("echo", "ready", options=["--overlay"]), bench.env,
                        bench.folder, rounds=5), *peer_starts(row, machines, peers, bare.argv, kvm)]
        starts(row, machines, [bare, igloo, *others], rounds)
        row.compare("igloo / bare init, to first output", igloo, bare, 1.15)
        row.compare("igloo from memory / bare init, to first output", warm, bare, 1.15)
        memory(row, machines)
        throughput(row, machines, kvm)
        ends(row, machines, 3)
        initrd = max(glob.glob(f"{bench.folder}/cache/igloo/kernels/initrd-*"), key=os.path.getmtime)
        for step in (lambda: restored(row, machines, bare.argv, initrd, rounds),
                     lambda: vmexec.exec_beside_ssh(row, machines, rounds), lambda: ten(row, machines)):
            try:
                step()
            except (Failed, OSError) as why:
                row.notes.append(str(why))
    finally:
        machines.close()
    return row
