"""The row on a machine's files: what a command in it reads, writes and starts, by 9p, by virtiofs, and from an image of the store.

One machine each, side by side; in each round every task runs in one and then in the other, and tells its own time. What is read for the
first time is another file in every round.
"""

import os
import shutil
import statistics
import subprocess

from .clock import Failed
from .fixtures import call
from .report import Row
from .vm import Machines

WAYS = {"9p": ["--fs", "9p"], "virtiofs": ["--fs", "virtiofs"], "image": ["--fs", "9p", "--store-image"]}
SMALL = 300
# A path of the environment; built in the box, once.
DATA = r"""DATA = derivation {
        name = "data";
        system = "SYSTEM";
        builder = "${pkgs.bash}/bin/bash";
        PATH = "${pkgs.coreutils}/bin";
        args = [ "-c" ''
          mkdir $out
          for i in {0..5}; do
            mkdir $out/small-$i
            for j in {1..300}; do echo "line $j" >$out/small-$i/$j; done
            head -c 32M /dev/urandom >$out/large-$i
          done
        '' ];
      };"""

# now: milliseconds. $1 is the task, $2 the round.
TASKS = r"""
now() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
read_small() { local x; for f in "$1"/*; do read -r x <"$f"; done; }
write_small() {
	local x
	mkdir "data/own-$way-$1"
	for i in {1..300}; do echo "a line" >"data/own-$way-$1/$i"; done
	for i in {1..300}; do read -r x <"data/own-$way-$1/$i"; done
	rm -r "data/own-$way-$1"
}
start() { for i in {1..10}; do "$(type -P true)"; done; }
way=$3 at=$(now)
case $1 in
"64 MiB read") cat "data/large-$2" >/dev/null ;;
"64 MiB read again") cat "data/large-$2" >/dev/null ;;
"16 MiB written") head -c 16M /dev/zero >"data/out-$way" && rm "data/out-$way" ;;
"300 files read") read_small data/small ;;
"300 files written, read, removed") write_small "$2" ;;
"10 programs started") start ;;
"store: 32 MiB read" | "store: 32 MiB read again") cat "$DATA/large-$2" >/dev/null ;;
"store: 300 files read" | "store: 300 files read again") read_small "$DATA/small-$2" ;;
"store: 300 files listed") ls -l "$DATA/small-$2" >/dev/null ;;
esac || exit 1
echo $(($(now) - at))
"""
NAMES = ["64 MiB read", "64 MiB read again", "16 MiB written", "300 files read", "300 files written, read, removed",
         "10 programs started", "store: 32 MiB read", "store: 32 MiB read again", "store: 300 files listed", "store: 300 files read",
         "store: 300 files read again"]


def fill(folder, rounds):
    os.makedirs(f"{folder}/data/small")
    for number in range(SMALL):
        with open(f"{folder}/data/small/{number}", "w") as out:
            out.write(f"line {number}\n")
    for number in range(rounds + 1):
        with open(f"{folder}/data/large-{number}", "wb") as out:
            for _ in range(64):
                out.write(os.urandom(1 << 20))


def once(machines, way, name, turn):
    argv = machines.exec(f"files-{way}", "bash", "-c", TASKS, "-", name, str(turn), way)
    done = subprocess.run(argv, env=machines.bench.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{name} by {way}: exit status {done.returncode}: {done.stderr[-300:].strip()}")
    return int(done.stdout)


def vmfiles(bench, peers, rounds):
    row = Row("vmfiles", "files of a machine of 1 processor and 512 MiB, in ms, by the machine's clock")
    machines = Machines(bench, attributes=DATA)
    rounds = max(3, min(rounds // 8, 5))
    ways = []
    try:
        fill(machines.repository, rounds)
        for way, options in WAYS.items():
            try:
                # All on one slot; in memory, or each would have a disk of another slot, resolved first.
                said = machines.start(f"files-{way}", "sleep", "3600", options=["--overlay", *options])
                ways.append(way)
                row.notes += [line.removeprefix("igloo: ") for line in said.splitlines() if "an image of" in line]
            except Failed as why:
                row.notes.append(f"{way}: {str(why).strip()[-300:]}")
        taken = {(name, way): [] for name in NAMES for way in ways}
        for turn in range(rounds + 1):
            for name in NAMES:
                for way in ways:
                    ms = once(machines, way, name, turn)
                    if turn > 0:
                        taken[name, way].append(ms)
        lines = [["median (least) ms", *ways]]
        lines += [[name, *(f"{statistics.median(taken[name, way]):.0f} ({min(taken[name, way])})" for way in ways)]
                  for name in NAMES]
        row.tables.append(lines)
        row.notes.append(f"{rounds} rounds, the ways in turn; {shutil.which('virtiofsd') or 'no virtiofsd in PATH'}: "
                         + (call(["virtiofsd", "--version"]).strip() if shutil.which("virtiofsd") else "-"))
    finally:
        machines.close()
    return row
