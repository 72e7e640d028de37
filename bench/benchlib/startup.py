"""Rows on the time that one start takes."""

import os
import shutil

from . import floor, machine, peers as peering
from .clock import Failed, Subject, compare
from .report import Row


def warm(bench, peers, rounds):
    row = Row("warm", "`igloo run -- true` with a record and a keeper, beside peers that run `true`")
    sizes = (0, 500, 2000)
    repos = {count: bench.repository(count) for count in sizes}
    hook = bench.repository(500, hook=True)
    nokeep = {**bench.env, "IGLOO_VIEW_KEEP": "0"}
    for folder in (*repos.values(), hook):
        bench.resolve(folder)
    bench.resolve(repos[500], slot="nokeep", env=nokeep)
    paths = {count: bench.host_paths(repos[count]) for count in sizes}
    row.notes.append("store paths mounted in the boxes (closure, and the slot's own Nix): "
                     + ", ".join(f"{count}: {len(paths[count])}" for count in sizes))

    bare = peering.bwrap_bare(peers, bench.env)
    least = peering.bwrap_least(peers, bench.env)
    igloo = {count: Subject(f"igloo, {count} paths", bench.igloo_run(repos[count]), bench.env) for count in sizes}
    first = [Subject("spawn and wait", ["/bin/true"], bench.env), least, bare]
    own = [*igloo.values(), Subject("igloo, 500 paths, shellHook", bench.igloo_run(hook), bench.env),
           Subject("igloo, 500 paths, no keeper", bench.igloo_run(repos[500], slot="nokeep"), nokeep)]
    crun, worker = {}, None
    try:
        worker = peering.crun_worker()
        for count in sizes[1:]:
            crun[count] = peering.crun_binding(bench, peers, paths[count], worker)
            crun[count].rounds = 20
    except (Failed, OSError) as why:
        peers.missing.setdefault("crun", str(why))
    agents = list(peering.others(bench, peers))
    nix = peering.nix_develop(bench, repos[0], rounds=20)
    binding = [peering.bwrap_binding(peers, bench.env, paths[count], some) for count, some in ((500, 4), (2000, 2))]
    everything = [*first, *own, *crun.values(), *agents, nix]
    compare(everything, rounds, bench.log)
    # Apart, because they take seconds: everything else would be measured beside a cold cache.
    compare(binding, 4, bench.log, warm_up=0)
    if worker:
        worker.close()
    row.subjects([*everything, *binding], bare)
    # Keepers may have ended while bwrap bound its paths; a start brings one back.
    for folder in repos.values():
        bench.resolve(folder)
    row.notes.append(floor.note(bench.env["XDG_STATE_HOME"], max(20, rounds)))

    for count, limit in ((0, 2), (500, 2), (2000, 3)):
        row.compare(f"igloo, {count} paths / bwrap, nothing bound", igloo[count], bare, limit)
    for count, limit in ((500, 4), (2000, 10)):
        row.compare(f"crun / igloo, {count} paths", crun.get(count), igloo[count], limit, at_least=True)
    for subject in [*agents, nix]:
        limit = 15 if subject.name == "srt" else 1
        row.compare(f"{subject.name} / igloo, 2000 paths", subject, igloo[2000], limit, at_least=True)
    return row


def cold(bench, peers, rounds):
    row = Row("cold", "resolving an environment of 500 paths whose parts the host's store has; no bar")
    folder, slots, number = bench.repository(500), [], [0]
    bench.resolve(folder)

    def new_slot():
        number[0] += 1
        slots.append(f"cold{number[0]}")
        return bench.igloo_run(folder, slot=slots[-1])

    def change_flake():
        with open(f"{folder}/flake.nix", "a") as out:
            number[0] += 1
            out.write(f"# {number[0]}\n")

    nix_cold = {**bench.nix_env, "XDG_CACHE_HOME": f"{bench.folder}/nix-cold"}

    def no_cache():
        shutil.rmtree(nix_cold["XDG_CACHE_HOME"], ignore_errors=True)

    nix = [machine.find("nix"), "develop", "-c", "true"]
    subjects = [
        Subject("nix develop, caches empty", nix, nix_cold, before=no_cache, cwd=folder),
        Subject("igloo, new slot", None, bench.env, before=new_slot),
        Subject("nix develop, flake.nix changed", nix, bench.nix_env, before=change_flake, cwd=folder),
        Subject("igloo, flake.nix changed", bench.igloo_run(folder), bench.env, before=change_flake),
    ]
    compare(subjects, max(3, min(rounds // 8, 8)), bench.log, warm_up=1)
    row.subjects(subjects, subjects[0])
    return row


def index(bench, peers, rounds):
    row = Row("index", "a warm run in a git repository of 50 000 files; no bar")
    small, large = bench.repository(0), bench.repository(0, files=50000)
    row.notes.append(f"first runs, environment resolved: {bench.resolve(small):.2f} s, with 50 000 files "
                     f"{bench.resolve(large):.2f} s")
    git = [machine.find("git"), "-C", large, "status", "--porcelain"]
    one = f"{large}/files/250/file-25000.txt"
    nix_rounds = 5
    subjects = [
        Subject("igloo, few files", bench.igloo_run(small), bench.env),
        Subject("igloo, 50 000 files", bench.igloo_run(large), bench.env),
        Subject("igloo, 50 000, one touched", bench.igloo_run(large), bench.env, before=lambda: os.utime(one)),
        Subject("git status, 50 000 files", git, bench.env),
        peering.nix_develop(bench, large, "nix develop, 50 000 files", rounds=nix_rounds),
    ]
    compare(subjects, max(8, rounds // 2), bench.log, warm_up=3)
    row.subjects(subjects, subjects[0])
    few, many = subjects[0].samples, subjects[1].samples
    if len(few) and len(many):
        row.notes.append(f"the index: {(many.median() - few.median()) * 1e3:.2f} ms by medians, "
                         f"{(many.least() - few.least()) * 1e3:.2f} ms by minima")
    return row
