"""The row on `igloo exec` in environments with a shellHook, in a machine and in a sandbox.

Before such a command bash reads the environment's variables and functions and evaluates the hook, for every command as
`nix develop -c` does. "large" has 100 functions more, from a setup hook as packages of nixpkgs bring them.
"""

import statistics
import subprocess
import time

from . import vm
from .clock import Failed
from .fixtures import call
from .report import Row

SHELLS = """
      hook = pkgs.mkShell { packages = with pkgs; [ bash coreutils ]; shellHook = "export HOOKED=yes"; };
      large = pkgs.mkShell {
        packages = with pkgs; [ bash coreutils (derivation {
          name = "hooks";
          system = "SYSTEM";
          builder = "${pkgs.bash}/bin/bash";
          PATH = "${pkgs.coreutils}/bin";
          args = [ "-c" ''
            mkdir -p $out/nix-support
            for i in {1..100}; do
              echo "hook_$i() {"
              for j in {1..7}; do
                echo "local -a list_$j=(\\"\\''${words[@]-}\\" \\"$i\\")"
                echo "if [[ -n \\"\\''${list_$j[0]:-}\\" && \\$1 != *.so ]]; then list_$j+=(\\"\\$(type -t \\"\\$1\\")\\"); fi"
              done
              echo "}"
            done >$out/nix-support/setup-hook
          '' ];
        }) ];
        shellHook = "export HOOKED=yes";
      };
"""
NAMES = {"default": "no hook", "hook": "a hook", "large": "a hook, large"}


def once(machines, box, qemu):
    before, began = vm.cpu_of(qemu), time.perf_counter()
    done = subprocess.run(machines.exec(box, "true"), env=machines.bench.env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"exec in {box}: exit status {done.returncode}: {done.stderr[-300:].strip()}")
    return (time.perf_counter() - began) * 1e3, (vm.cpu_of(qemu) - before) * 1e3


def boxes(machines):
    """{(environment, kind): (box, QEMU's process in a list)}, all of them running."""
    found, bench = {}, machines.bench
    for shell in NAMES:
        options = ["--shell", shell, "--slot", shell]
        machines.start(f"vm-{shell}", "sleep", "3600", options=options)
        found[shell, "machine"] = f"vm-{shell}", [machines.qemu(f"vm-{shell}")[0]]
        call([bench.igloo, "run", "-C", machines.repository, *options, "--detach", "--name", f"sandbox-{shell}", "--",
              "sleep", "3600"], env=bench.env)
        machines.boxes.append(f"sandbox-{shell}")
        found[shell, "sandbox"] = f"sandbox-{shell}", []
    return found


def vmhook(bench, peers, rounds):
    row = Row("vmhook", "`igloo exec BOX -- true`, in a machine of 1 processor and 512 MiB and in a sandbox")
    machines = vm.Machines(bench, shells=SHELLS)
    try:
        found = boxes(machines)
        taken = {key: [] for key in found}
        for turn in range(max(5, min(rounds // 2, 20)) + 1):
            for key, (box, qemu) in found.items():
                sample = once(machines, box, qemu)
                if turn > 0:
                    taken[key].append(sample)
        lines = [["", "lines of bash", "machine, median ms", "least ms", "QEMU's CPU ms", "sandbox, median ms", "least ms"]]
        for shell, name in NAMES.items():
            wall, cpu = zip(*taken[shell, "machine"])
            other, _ = zip(*taken[shell, "sandbox"])
            length = call(machines.exec(f"sandbox-{shell}", "bash", "-c", "mapfile a </etc/box/env.bash; echo ${#a[@]}"),
                          env=bench.env)
            # Ticks of 10 ms: the mean says more than the median.
            lines.append([name, length.strip(), f"{statistics.median(wall):.0f}", f"{min(wall):.0f}",
                          f"{statistics.mean(cpu):.0f}", f"{statistics.median(other):.1f}", f"{min(other):.1f}"])
        row.tables.append(lines)
    finally:
        machines.close()
    return row
