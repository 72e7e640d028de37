"""Commands in a machine that runs: `igloo exec` beside a new ssh connection."""

import socket
import subprocess
import time

from . import machine
from .clock import Failed, Samples, time_once
from .fixtures import call


def interleaved(row, title, subjects, rounds, log):
    """subjects: {name: (argv, env)}. Medians, by name."""
    samples, failed = {name: Samples() for name in subjects}, {}
    for turn in range(rounds + 1):
        for name, (argv, env) in subjects.items():
            if name in failed:
                continue
            try:
                wall, cpu = time_once(argv, env, log)
            except (Failed, OSError) as why:
                failed[name] = str(why)
                continue
            if turn > 0:
                samples[name].add(wall, cpu)
    row.notes += [f"{name}: {why}" for name, why in failed.items()]
    lines = [[title, "median ms", "least ms", "rounds"]]
    lines += [[name, f"{s.median() * 1e3:.0f}", f"{s.least() * 1e3:.0f}", str(len(s))] for name, s in samples.items() if len(s)]
    row.tables.append(lines)
    return {name: s for name, s in samples.items() if len(s)}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


SSHD = r"""
mkdir -p ~/ssh && cd ~/ssh && chmod 700 . && rm -f host
ssh-keygen -q -t ed25519 -N '' -f host </dev/null
cp "$1" keys && chmod 600 keys
exec "$(command -v sshd)" -D -e -f /dev/null -p 2222 -h ~/ssh/host -o UsePAM=no -o StrictModes=no -o PidFile=none \
	-o AuthorizedKeysFile=$HOME/ssh/keys -o PasswordAuthentication=no
"""


def exec_beside_ssh(row, machines, rounds):
    """`igloo exec` and a new ssh connection into the same machine, both running `true`."""
    bench, port = machines.bench, free_port()
    key = f"{machines.repository}/key"
    if not machine.find("ssh"):
        raise Failed("exec beside ssh needs an ssh client (Debian: openssh-client)")
    call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    machines.start("ssh", "bash", "-c", SSHD, "sshd", f"{key}.pub", options=["-p", f"{port}:2222"])
    ssh = [machine.find("ssh"), "-F", "/dev/null", "-i", key, "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o",
           "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "igloo@127.0.0.1", "true"]
    end = time.monotonic() + 120
    while subprocess.run(ssh, env=bench.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, check=False).returncode != 0:
        if time.monotonic() > end:
            raise Failed("no ssh login within two minutes: " + call([bench.igloo, "logs", "ssh"], env=bench.env)[-400:])
        time.sleep(0.5)
    found = interleaved(row, "one command in a machine that runs", {
        "igloo exec BOX -- true": (machines.exec("ssh", "true"), bench.env),
        "ssh BOX true": (ssh, bench.env)}, rounds, bench.log)
    if len(found) == 2:
        exec_, ssh_ = found.values()
        row.bar("exec / ssh", exec_.median() / ssh_.median(), 0.2, least=exec_.least() / ssh_.least())
    machines.stop("ssh")
