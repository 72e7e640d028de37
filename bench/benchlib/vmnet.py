"""The row on a machine's network: streams and new connections of a machine with a tap and of one with QEMU's own stack,
beside a sandbox and the bare link. The world is the network row's."""

import shutil

from .clock import Failed
from .fixtures import call
from .network import NAME, PORT, Way, World, apart, build_load, plain, told
from .report import Row
from .vm import Machines

WORK = [("down", 1), ("up", 1), ("rate", 1)]
NETS = {"tap": "machine, tap", "user": "machine, QEMU's own (SLIRP)"}


def mbit(value):
    return "-" if value is None else f"{value * 8 / 1e6:.0f}"


def ways(row, machines, load):
    bench = machines.bench
    yield Way("bare veth", [load], bench.env, relays=False)
    yield Way("sandbox", [bench.igloo, "run", "-C", machines.repository, "--allow", f"{NAME}:{PORT}", "--", "./load"],
              bench.env)
    for net, name in NETS.items():
        try:
            machines.start(f"net-{net}", "sleep", "3600", options=["--allow", f"{NAME}:{PORT}"], IGLOO_VM_NET=net)
            yield Way(name, machines.exec(f"net-{net}", "./load"), bench.env)
        except Failed as why:
            row.notes.append(f"{name}: {str(why).strip()[-300:]}")


def inside(bench, peers, rounds):
    row = Row("vmnet", f"the network of machines of 1 processor and 512 MiB, to {NAME} behind a veth link")
    load = f"{bench.folder}/repo-load"
    build_load(load)
    told(bench)
    world = World(bench.folder, load)
    machines = Machines(bench)
    try:
        shutil.copy(load, f"{machines.repository}/load")
        call(machines.run("true"), env=bench.env)
        found = list(ways(row, machines, load))
        for _ in range(max(3, min(rounds // 8, 5))):
            for what, count in WORK:
                for way in found:
                    way.measure(what, count)
        lines = [["", "Mbit/s down", "up", "new connections, /s", "connect+byte us", "p99"]]
        lines += [[way.name, mbit(way.median("down", 1)), mbit(way.median("up", 1)), plain(way.median("rate", 1)),
                   plain(way.median("rate", 1, "us")), plain(way.median("rate", 1, "us_p99"))] for way in found]
        row.tables.append(lines)
        for way in found:
            row.notes += way.failures
    finally:
        machines.close()
        world.close()
    return row


def vmnet(bench, peers, rounds):
    return apart(inside, bench, peers, rounds)
