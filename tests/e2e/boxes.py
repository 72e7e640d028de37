#!/usr/bin/env python3
"""Boxes that run beside: exec, attach, ls, logs, stop, rm, inspect, env, slot. Prints TAP."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from lib import Tests

tests = Tests("bash", "coreutils")


def igloo(*args, code=0, **more):
    """Runs igloo in the project and returns its stdout; stderr is shown when the exit status is not `code`."""
    more.setdefault("stdin", subprocess.DEVNULL)
    if "input" in more:
        del more["stdin"]
    done = subprocess.run(["igloo", *args], cwd=tests.project, env=tests.env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False, **more)
    assert done.returncode == code, f"{args}: exit {done.returncode}: {done.stderr.decode()}"
    return done.stdout.decode() if code != 125 else done.stderr.decode()


def start(name, script):
    igloo("run", "-d", "--name", name, "--", "bash", "-c", script)


class Terminal:
    """igloo on a terminal of its own."""

    def __init__(self, *args, rows=33, cols=99):
        self.master, self.slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.output = b""
        self.process = subprocess.Popen(["igloo", *args], cwd=tests.project, env=tests.env | {"TERM": "xterm"},
                                        stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, cols):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def read(self):
        if select.select([self.master], [], [], 0.05)[0]:
            self.output += os.read(self.master, 65536)

    def expect(self, text):
        end = time.monotonic() + 20
        while text not in self.output:
            assert time.monotonic() < end, f"{text!r} is not in {self.output[-400:]!r}"
            self.read()

    def type(self, text):
        os.write(self.master, text)

    def ends(self, code):
        end = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < end, f"does not end: {self.output[-400:]!r}"
            self.read()
        while select.select([self.master], [], [], 0)[0]:
            self.read()
        assert self.process.returncode == code, f"exit {self.process.returncode}: {self.output[-400:]!r}"
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was"


def exec_passes_descriptors_and_exit_status():
    start("one", "while read -r line; do echo \"got $line\"; done")
    assert igloo("exec", "one", "--", "bash", "-c", "cat; exit 7", input=b"piped\n", code=7) == "piped\n"
    igloo("exec", "one", "nothing-of-that-name", code=127)
    igloo("exec", "one", "/etc/passwd", code=126)
    igloo("exec", "one", "--", "bash", "-c", "kill -TERM $$", code=-signal.SIGTERM)
    assert igloo("exec", "-e", "WORD=a b", "one", "--", "bash", "-c", "echo $WORD; pwd").startswith("a b\n/")
    # A function of the dev shell, in a shell without a hook.
    assert "igloo" not in igloo("exec", "one", "showPhaseHeader", "x", code=0)


def exec_passes_signals():
    process = subprocess.Popen(["igloo", "exec", "one", "--", "bash", "-c",
                                "trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 0.05; done"],
                               env=tests.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGUSR1)
    assert process.communicate()[0] == b"caught\n"
    assert process.returncode == 3


def exec_on_a_terminal():
    terminal = Terminal("exec", "one", "--", "bash", "-c", "stty size; read -r x; echo \"x=$x\"; stty size; exit 5")
    terminal.expect(b"33 99")
    terminal.resize(50, 120)
    os.kill(terminal.process.pid, signal.SIGWINCH)
    time.sleep(0.2)
    terminal.type(b"abc\r")
    terminal.ends(5)
    assert b"x=abc\r\n50 120" in terminal.output
    terminal = Terminal("exec", "one", "--", "bash", "-c", "seq 100000; kill -TERM $$")
    terminal.ends(-signal.SIGTERM)
    assert b"\n100000\r\n" in terminal.output


def the_end_of_the_box_is_the_end_of_exec():
    start("short", "sleep 1")
    igloo("exec", "short", "sleep", "50", code=137)
    assert json.loads(igloo("inspect", "short"))["exitCode"] == 0
    assert igloo("rm", "short") == "short\n"


def attach_to_pipes():
    process = subprocess.Popen(["igloo", "attach", "one"], env=tests.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"got hello\n"
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert igloo("logs", "--tail", "1", "one") == "got hello\n"
    assert "one " in igloo("ls")


def attach_to_a_terminal_and_detach():
    Terminal("run", "-d", "--name", "two", "--", "bash", "-c",
             "stty -echo; while read -r x; do echo \"x=$x\"; stty size; [ $x != end ] || exit 4; done").ends(0)
    terminal = Terminal("attach", "two", rows=40, cols=80)
    time.sleep(0.3)
    terminal.type(b"a\r")
    terminal.expect(b"x=a\r\n40 80")
    terminal.type(b"\x10\x11")
    terminal.ends(0)
    terminal = Terminal("attach", "two")
    terminal.expect(b"x=a")
    terminal.type(b"end\r")
    terminal.ends(4)
    igloo("attach", "two", code=125)


def logs_follow_to_the_end():
    start("talks", "for i in 1 2 3; do echo line $i; sleep 0.2; done; printf end")
    assert igloo("logs", "-f", "talks") == "line 1\nline 2\nline 3\nend"


def logs_are_disarmed_on_a_terminal():
    start("paints", "printf '\\033[31mred\\033]0;title\\a\\r\\n'; sleep 0.1")
    igloo("logs", "-f", "paints")
    terminal = Terminal("logs", "paints")
    terminal.ends(0)
    assert terminal.output == b"\\x1b[31mred\\x1b]0;title\\x07\r\n", terminal.output
    assert igloo("logs", "paints") == "\033[31mred\033]0;title\a\r\n"


def stop_asks_and_then_kills():
    start("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    while igloo("logs", "stubborn") == "":
        time.sleep(0.05)
    assert "was killed" in igloo("stop", "-t", "1", "stubborn")
    assert igloo("stop", "one") == "one stopped\n"
    assert igloo("stop", "one") == "one was not running\n"
    assert "no box called" in igloo("stop", "nobody", code=125)


def stop_ends_a_supervisor_that_does_not_answer():
    start("deaf", "sleep 1000")
    os.kill(json.loads(igloo("inspect", "deaf"))["supervisor"], signal.SIGSTOP)
    assert json.loads(igloo("stop", "-t", "0", "--json", "deaf"))["boxes"][0]["how"] == "supervisor-killed"


def rm_refuses_what_runs():
    start("runs", "sleep 1000")
    assert "is running" in igloo("rm", "runs", code=125)
    igloo("rm", "-fa")
    assert igloo("ls", "-aq") == ""


def env_tells_and_explains():
    assert "PATH" in json.loads(igloo("env", "--json"))["variables"]
    assert "nothing has changed" in igloo("env", "--why")
    assert "asked to" in igloo("env", "--why", "--refresh")
    out = subprocess.run(["bash", "-c", "eval \"$(cat)\"; echo $IN_NIX_SHELL"], input=igloo("env", "--export").encode(),
                         stdout=subprocess.PIPE, check=True)
    assert out.stdout.strip()


def slots_are_kept_while_in_use():
    slot = json.loads(igloo("slot", "ls", "--json"))["slots"][0]
    assert slot["repositoryExists"] and slot["bytes"] > 0
    start("busy", "sleep 1000")
    assert "'busy'" in igloo("slot", "rm", "--yes", slot["id"], code=125)
    igloo("rm", "-f", "busy")
    assert "--yes" in igloo("slot", "rm", slot["id"], code=125)
    assert "freed" in igloo("slot", "gc")
    igloo("run", "--", "true")
    igloo("slot", "rm", "--yes", slot["id"])
    assert igloo("slot", "ls", "-q") == ""


tests.run(exec_passes_descriptors_and_exit_status, exec_passes_signals, exec_on_a_terminal,
          the_end_of_the_box_is_the_end_of_exec, attach_to_pipes, attach_to_a_terminal_and_detach,
          logs_follow_to_the_end, logs_are_disarmed_on_a_terminal, stop_asks_and_then_kills,
          stop_ends_a_supervisor_that_does_not_answer, rm_refuses_what_runs, env_tells_and_explains,
          slots_are_kept_while_in_use)
