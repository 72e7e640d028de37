#!/usr/bin/env python3
"""Terminals that go away, signals, descriptors and folders of whoever calls igloo, and Nix in the box. Prints TAP;
faults/world.py has the variables."""

import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import termios
import time

from faults.world import (busy, children, fine, igloo, kill, kill_keeper, MARK, mine, nothing_left, NULL, one_error,
                          popen, QUICK, read, rng, run, slot_of, tests, touch_flake, wait, within)

# -- the terminal, signals and descriptors -----------------------------------------------------------


def on_terminal(*args):
    master, slave = pty.openpty()
    process = subprocess.Popen(["igloo", *args], cwd=tests.project, env=tests.env, stdin=slave, stdout=slave, stderr=slave,
                               start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(slave)
    return master, process


def a_terminal_that_goes_away_ends_the_box():
    for script in "echo ready; exec sleep 1000", "trap '' HUP; echo ready; while :; do sleep 0.1; done":
        master, process = on_terminal("run", "-e", MARK, "--", "bash", "-c", script)
        text = b""
        while b"ready" not in text:
            text += os.read(master, 1000)
        os.close(master)
        process.wait(20)
        within(5, lambda: not busy(), f"{busy()}")
    nothing_left()


def closed_descriptors():
    for line in "igloo run -- true <&-", "igloo run -- true >&-", "igloo run -- bash -c 'exit 0' <&- >&- 2>&-":
        done = subprocess.run(["bash", "-c", line], cwd=tests.project, env=tests.env, check=False, timeout=60)
        assert done.returncode == 0, line


def signals_reach_the_command():
    for signo in signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1:
        process = popen("run", "--", "bash", "-c", f"trap 'exit 7' {int(signo)}; echo ready; while :; do sleep 0.05; done")
        assert process.stdout.readline() == b"ready\n"
        kill(process.pid, signo)
        assert wait(process)[0] == 7, signo
    # At any moment of a start: the command ends by it, or igloo does before there is one.
    for _ in range(10 if QUICK else 40):
        process = popen("run", "--", "sleep", "1000")
        time.sleep(rng.random() * 0.02)
        kill(process.pid, signal.SIGTERM)
        code = wait(process, 10)[0]
        assert code == -signal.SIGTERM, code
    nothing_left()


def interrupted_while_resolving():
    for _ in range(3 if QUICK else 8):
        touch_flake()
        process = popen("run", "--", "true", start_new_session=True)
        time.sleep(0.05 + rng.random() * 0.4)
        os.killpg(process.pid, signal.SIGINT)
        code = wait(process, 20)[0]
        assert code in (-signal.SIGINT, 125, 0), code
    nothing_left()
    fine()


def stopped_and_continued():
    process = popen("run", "--", "bash", "-c", "echo ready; read -r x; echo \"got $x\"; exit 4", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    kill(process.pid, signal.SIGSTOP)
    time.sleep(0.2)
    process.stdin.write(b"it\n")
    process.stdin.flush()
    kill(process.pid, signal.SIGCONT)
    code, out, _ = wait(process)
    assert (code, out) == (4, "got it\n")
    fine()


def a_time_limit():
    began = time.monotonic()
    igloo("run", "--timeout", "1s", "--", "sleep", "1000", code=124)
    assert 0.9 < time.monotonic() - began < 5
    igloo("run", "--timeout", "1s", "--", "bash", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done", code=124)
    nothing_left()


def caller(line, code=0, **more):
    done = subprocess.run(["bash", "-c", line], cwd=more.pop("cwd", tests.project), env=tests.env | more.pop("env", {}), stdin=NULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60, **more)
    assert done.returncode == code, (line, done.returncode, done.stderr.decode())
    return done.stdout.decode() if code != 125 else done.stderr.decode()


def a_caller_that_ignores_or_blocks_signals():
    def ignore():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    def block():
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))

    for prepare in ignore, block:
        touch_flake()
        assert caller("exec igloo run -- bash -c 'sleep 0.1; (exit 3); echo $?'", preexec_fn=prepare) == "3\n"
        caller("exec igloo run -- bash -c 'exit 5'", code=5, preexec_fn=prepare)
        assert caller("exec igloo run -- bash -c 'while read -r k v; do [[ $k != SigBlk: && $k != SigIgn: ]] || echo $v; "
                      "done </proc/self/status' | sort -u", preexec_fn=prepare).split()[0].strip("0") == ""
        # An error of Nix's is an error, not a success.
        project = f"{tests.top}/broken"
        if not os.path.exists(project):
            shutil.copytree(tests.project, project)
        with open(f"{project}/flake.nix", "w", encoding="utf-8") as handle:
            handle.write("{ outputs = _: { devShells = throw \"thrown by the test\"; }; }\n")
        assert "thrown by the test" in caller("exec igloo run -- true", code=125, preexec_fn=prepare, cwd=project)
    nothing_left()


def few_descriptors():
    fine()
    touch_flake()
    caller("ulimit -n 64; exec igloo run -- true")
    kill_keeper()
    caller("ulimit -n 64; exec igloo run -- true")
    # A box that runs, and a set that grows by many paths.
    project = f"{tests.top}/few"
    shutil.copytree(tests.project, project)
    igloo("run", "-d", "--name", "runs", "--", "sleep", "1000", project=project)
    before = len(read(f"{slot_of('few')}/host-paths").splitlines())
    subprocess.run(["git", "-C", project, "checkout", "-q", "--", "."], check=True)
    text = read(f"{project}/flake.nix").decode()
    with open(f"{project}/flake.nix", "w", encoding="utf-8") as handle:
        handle.write(text.replace("packages = [", "packages = [ pkgs.git pkgs.python3 pkgs.gcc", 1))
    caller("ulimit -n 64; exec igloo run -- gcc --version", cwd=project)
    assert len(read(f"{slot_of('few')}/host-paths").splitlines()) > before, 'nothing joined the set'
    assert "gcc" in igloo("exec", "runs", "--", "bash", "-c", "ls /nix/store/*gcc*/bin")
    wait(popen("rm", "-f", "runs"))


def umasks():
    for mask in "077", "000":
        caller(f"umask {mask}; exec igloo run --slot u{mask} -- true")
        assert caller(f"umask {mask}; exec igloo run --slot u{mask} -- bash -c umask") == "0022\n"
        top = slot_of("u" + mask)
        for name in ".", "env", "host-paths", "repository":
            mode = os.stat(os.path.join(top, name)).st_mode
            assert not mode & 0o022, (mask, name, oct(mode))


def a_folder_that_was_deleted():
    folder = f"{tests.project}/gone"
    os.makedirs(folder)
    one_error(caller(f"cd {folder} && rmdir {folder} && exec igloo run -- true", code=125), "folder")


def without_proc():
    if os.geteuid() != 0:
        return "root, to unmount /proc"
    one_error(caller("unshare -m --propagation private bash -c 'umount -l /proc && exec igloo run -- true'", code=125))
    fine()
    return None


def descriptors_and_children_of_a_supervisor():
    igloo("run", "-d", "--name", "busy", "--", "sleep", "1000")
    pid = json.loads(igloo("inspect", "busy"))["supervisor"]

    def count():
        return len(os.listdir(f"/proc/{pid}/fd"))

    igloo("exec", "busy", "--", "true")
    time.sleep(1)  # what watches the workspace opens its descriptor half a second after the start
    before = count()
    for i in range(10 if QUICK else 40):
        igloo("exec", "busy", "--", "bash", "-c", f"exit {i}", code=i)
        process = popen("exec", "busy", "--", "sleep", "1000")
        time.sleep(rng.random() * 0.02)
        kill(process.pid)
        wait(process)
    within(5, lambda: count() <= before, f"{before} descriptors, then {count()}")
    states = [read(f"/proc/{child}/stat").rsplit(b")", 1)[1].split()[0] for child in children(pid)]
    assert b"Z" not in states and len(states) == 1, states
    within(5, lambda: len([n for n in mine().values() if n == "sleep"]) == 1, "a command outlives its exec")
    wait(popen("rm", "-fa"))
    nothing_left()


# -- Nix in the box ----------------------------------------------------------------------------------


def a_garbage_collection_in_the_box():
    fine()
    igloo("run", "--", "bash", "-c", "nix-collect-garbage 2>&1")
    fine()
    assert igloo("run", "--", "bash", "-c", "nix-collect-garbage >/dev/null 2>&1; echo $?; ls /nix/store | wc -l").startswith("0\n")
    fine()
    # The record's own path taken away, with its root; the mounted ones, taken out of the database, cannot be removed.
    fine(slot="unrooted")
    wait(popen("run", "--", "bash", "-c", "rm -f /nix/var/nix/gcroots/igloo/*; nix-collect-garbage", slot="unrooted"))
    fine(slot="unrooted")
    wait(popen("run", "--", "bash", "-c", "rm -rf /nix/var/nix/gcroots/igloo /nix/var/nix/db", slot="unrooted"))
    fine(slot="unrooted")
    touch_flake()
    fine(slot="unrooted")


def nix_in_the_box():
    igloo("run", "--", "bash", "-c", "sed -i 's/packages *= *\\[/NEW = \"added\"; packages = [/' flake.nix")
    assert igloo("run", "--", "bash", "-c", "nix develop --offline -c printenv NEW") == "added\n"
    assert igloo("run", "--", "printenv", "NEW") == "added\n"
    system = os.uname().machine + "-linux"
    out = igloo("run", "--", "bash", "-c", f"nix build --offline --no-link --print-out-paths .#devShells.{system}.default 2>&1; "
                f"nix shell --offline --inputs-from . nixpkgs#coreutils -c echo in the shell")
    assert "in the shell" in out, out


def a_second_project_builds_nothing():
    project = f"{tests.top}/second"
    shutil.copytree(tests.project, project, ignore=shutil.ignore_patterns("*.drv"))
    _, _, err = wait(popen("run", "-v", "--", "true", project=project))
    built = [line for line in err.splitlines() if "building '" in line and "-env.drv" not in line and "-env'" not in line]
    assert not built, built


run(a_terminal_that_goes_away_ends_the_box, closed_descriptors, signals_reach_the_command,
    interrupted_while_resolving, stopped_and_continued, a_time_limit, a_caller_that_ignores_or_blocks_signals,
    few_descriptors, umasks, a_folder_that_was_deleted, without_proc, descriptors_and_children_of_a_supervisor,
    a_garbage_collection_in_the_box, nix_in_the_box, a_second_project_builds_nothing)
