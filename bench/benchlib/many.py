"""Rows on many boxes at once: time, and the memory of everything that a box consists of."""

import os
import select
import signal
import statistics
import time

from . import peers as peering
from .clock import Failed, spawn
from .report import Row

COUNTS = (1, 10, 100)


def at_once(argv, env, log, count):
    """Seconds from the first start to the last end, and CPU seconds, of `count` at the same time."""
    began = time.perf_counter()
    pids = [spawn(argv, env, log) for _ in range(count)]
    cpu = 0
    bad = 0
    for pid in pids:
        _, status, usage = os.wait4(pid, 0)
        cpu += usage.ru_utime + usage.ru_stime
        bad += status != 0
    if bad:
        raise Failed(f"{bad} of {count} failed")
    return time.perf_counter() - began, cpu


def boxes(bench, peers, rounds):
    row = Row("boxes", "1, 10 and 100 at once, 500 paths: first start to last end")
    folder = bench.repository(500)
    bench.resolve(folder)
    bare = peering.bwrap_bare(peers, bench.env)
    kinds = {"igloo": bench.igloo_run(folder), "bwrap, nothing bound": bare.argv}
    taken = {(name, count): [] for count in COUNTS for name in kinds}
    failed = set()
    for _ in range(max(3, rounds // 6)):
        for count in COUNTS:
            for name, argv in kinds.items():
                try:
                    for _ in range(10 if count == 1 else 1):
                        taken[name, count].append(at_once(argv, bench.env, bench.log, count))
                except Failed as why:
                    failed.add(f"{name}: {why}")
    lines = [["", "at once", "median ms", "least ms", "ms each", "CPU ms each", "rounds"]]
    each = {}
    for (name, count), runs in taken.items():
        if not runs:
            continue
        median = statistics.median(wall for wall, _ in runs)
        each[name, count] = (median / count, min(wall for wall, _ in runs) / count)
        cpu = statistics.median(cpu for _, cpu in runs) / count
        lines.append([name, str(count), f"{median * 1e3:.1f}", f"{each[name, count][1] * count * 1e3:.1f}",
                      f"{median / count * 1e3:.2f}", f"{cpu * 1e3:.2f}", str(len(runs))])
    row.tables.append(lines)
    row.notes += sorted(failed)
    for count in COUNTS[1:]:
        if ("igloo", count) in each and ("igloo", 1) in each:
            row.bar(f"time each of {count} at once / one alone", each["igloo", count][0] / each["igloo", 1][0], 1,
                    least=each["igloo", count][1] / each["igloo", 1][1])
    return row


def rollup(pid):
    """(Rss, Pss) in KiB, or None for a process that has ended or has no memory."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as text:
            values = dict(line.split(":", 1) for line in text if ":" in line)
        return int(values["Rss"].split()[0]), int(values["Pss"].split()[0])
    except (OSError, KeyError, ValueError):
        return None


def parents():
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    table[int(entry)] = int(stat.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue
    return table


def kernel_kib():
    with open("/proc/meminfo") as text:
        values = {key: int(rest.split()[0]) for key, rest in (line.split(":", 1) for line in text)}
    return values["Slab"] + values["KernelStack"] + values["PageTables"] + values.get("Percpu", 0)


def start_sleepers(argv, env, log, count):
    """Starts `count` programs that print a line when they are ready. (pids, seconds until the last was)."""
    reader, writer = os.pipe()
    began = time.perf_counter()
    pids = [spawn(argv, env, log, stdout=writer) for _ in range(count)]
    os.close(writer)
    lines = 0
    try:
        while lines < count:
            if not select.select([reader], [], [], 60)[0]:
                break
            data = os.read(reader, 4096)
            if not data:
                break
            lines += data.count(b"\n")
    finally:
        os.close(reader)
    taken = time.perf_counter() - began
    if lines < count:
        stop_sleepers(pids)
        raise Failed(f"{lines} of {count} became ready")
    return pids, taken


def stop_sleepers(pids):
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for pid in pids:
        os.waitpid(pid, 0)


def weigh(pids, keepers):
    """Memory by role: the started processes, what they started, and the keepers beside them."""
    table = parents()
    own = set(pids)
    below = {pid for pid in table if pid not in own and pid not in keepers}
    family = set()
    for pid in below:
        up = pid
        while up in table and up not in own:
            up = table[up]
        if up in own:
            family.add(pid)
    roles = {"supervisor": [rollup(pid) for pid in own], "inside": [rollup(pid) for pid in family],
             "keeper": [rollup(pid) for pid in keepers]}
    return {role: [weight for weight in weights if weight] for role, weights in roles.items()}


def memory(bench, peers, rounds):
    row = Row("memory", "1, 10 and 100 boxes, 500 paths, each running sleep: ready time and resident memory")
    folder = bench.repository(500)
    bench.resolve(folder)
    ready = "echo ready; exec sleep 600"
    bare = peering.bwrap_bare(peers, bench.env).argv[:-1]
    kinds = {"igloo": bench.igloo_run(folder, "sh", "-c", ready), "bwrap": [*bare, "/bin/sh", "-c", ready]}
    lines = [["", "boxes", "last ready ms", "supervisor Rss KiB", "its Pss", "keeper Rss", "Pss each, all",
              "kernel KiB each"]]
    pss, supervisors = {}, []
    for name, argv in kinds.items():
        for count in COUNTS:
            before = kernel_kib()
            try:
                pids, taken = start_sleepers(argv, bench.env, bench.log, count)
            except Failed as why:
                row.notes.append(f"{name}, {count}: {why}")
                continue
            time.sleep(0.3)
            mine = parents()
            strays = set(bench.strays())
            keepers = {pid for pid in strays if mine.get(pid) == 1} - set(pids) if name == "igloo" else set()
            weights = weigh(pids, keepers)
            kernel = (kernel_kib() - before) / count
            stop_sleepers(pids)
            top = max(rss for rss, _ in weights["supervisor"])
            total = sum(pss_ for role in weights.values() for _, pss_ in role) / count
            keeper = max((rss for rss, _ in weights["keeper"]), default=0)
            if name == "igloo":
                supervisors.append(top)
                pss[count] = total
            lines.append([name, str(count), f"{taken * 1e3:.0f}", str(top),
                          str(max(p for _, p in weights["supervisor"])), str(keeper) if keeper else "-",
                          f"{total:.0f}", f"{kernel:.0f}" if count >= 10 else "-"])
            time.sleep(1)
    row.tables.append(lines)
    if supervisors:
        row.bar("resident memory of the largest supervisor, MiB", max(supervisors) / 1024, 3)
    for count in COUNTS[1:]:
        if count in pss and 1 in pss:
            row.bar(f"memory each of {count} boxes / one box", pss[count] / pss[1], 1)
    row.notes.append("kernel: growth of slab, kernel stacks, page tables and per-CPU memory; approximate")
    return row
