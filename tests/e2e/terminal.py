#!/usr/bin/env python3
"""igloo at a terminal: raw keys, signals from keys, job control, window size, a stdin that is none."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from lib import Tests  # noqa: E402

try:
    import pexpect
except ImportError:
    print("1..0 # SKIP python3-pexpect")
    sys.exit(0)

tests = Tests("python3", "hello")


def spawn(command, *arguments, rows=24, columns=80):
    return pexpect.spawn(command, list(arguments), dimensions=(rows, columns), timeout=60, env=tests.env,
                         cwd=tests.project, encoding="utf-8")


def ended(child):
    """("exit", status) or ("signal", number)."""
    child.expect(pexpect.EOF)
    child.close()
    return ("signal", child.signalstatus) if child.signalstatus is not None else ("exit", child.exitstatus)


def at_a_terminal():
    child = spawn("igloo", "run", "--", "bash", "-c", "test -t 0 && test -t 1 && test -t 2 && exit 5")
    assert ended(child) == ("exit", 5)


def the_terminal_has_a_name():
    """Programs that ask for a password open their terminal by name, or /dev/tty."""
    child = spawn("igloo", "run", "--", "bash", "-c", "echo to the terminal >/dev/tty && tty; exit $?")
    child.expect("to the terminal")
    assert ended(child) == ("exit", 0), "tty fails"


def pipes_stay_pipes():
    child = spawn("bash", "-c", "igloo run -- bash -c 'test -t 0 && ! test -t 1 && test -t 2; echo $?' | cat")
    child.expect("0\r\n")
    ended(child)


def size_is_known():
    child = spawn("igloo", "run", "--", "bash", "-c", "stty size", rows=31, columns=97)
    child.expect("31 97")
    ended(child)


def size_changes():
    child = spawn("igloo", "run", "--", "bash", "-c",
                  "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done")
    child.expect("ready")
    child.setwinsize(40, 120)
    child.expect("40 120")
    ended(child)


def raw_keys():
    """A program that sets the terminal raw gets every byte, also those that are signals otherwise."""
    program = ("import os, sys, termios, tty; old = termios.tcgetattr(0); tty.setraw(0); "
               "os.write(1, b'ready'); got = b''\n"
               "while len(got) < 4: got += os.read(0, 4)\n"
               "termios.tcsetattr(0, termios.TCSANOW, old); print('got', got.hex())")
    child = spawn("igloo", "run", "--", "python3", "-c", program)
    child.expect("ready")
    child.send("\x03\x1aa\x04")
    child.expect("got 031a6104")
    assert ended(child) == ("exit", 0)


def terminal_is_restored():
    child = spawn("bash", "--norc", "--noprofile")
    child.sendline("stty -a >$TMPDIR/before; igloo run -- bash -c 'stty raw -echo'; "
                   "stty -a >$TMPDIR/after; cmp $TMPDIR/before $TMPDIR/after && echo same=$?")
    child.expect("same=0")
    child.sendline("exit")
    ended(child)


def control_c():
    child = spawn("igloo", "run", "--", "bash", "-c", "trap 'echo trapped; exit 9' INT; echo ready; "
                  "while :; do sleep 0.1; done")
    child.expect("ready")
    child.sendintr()
    child.expect("trapped")
    assert ended(child) == ("exit", 9)


def control_c_kills():
    child = spawn("igloo", "run", "--", "bash", "-c", "echo ready; exec sleep 1000")
    child.expect("ready")
    child.sendintr()
    assert ended(child) == ("signal", 2)


def control_d():
    child = spawn("igloo", "run", "--", "cat")
    child.sendline("a line")
    child.expect("a line\r\na line\r\n")
    child.sendeof()
    assert ended(child) == ("exit", 0)


def stop_and_continue():
    """^Z gives the prompt back, fg goes on where it was."""
    child = spawn("bash", "--norc", "--noprofile", "-i")
    child.sendline("PS1='prompt'\"> \"")
    child.expect("prompt> ")
    child.sendline("igloo run -- bash -c 'echo rea\"\"dy; read x; echo \"read: $x\"; exit 6'")
    child.expect("ready")
    time.sleep(0.3)
    child.send("\x1a")
    child.expect("Stopped")
    child.expect("prompt> ")
    child.sendline("fg")
    child.expect("igloo run")
    time.sleep(0.3)
    child.sendline("some words")
    child.expect("read: some words")
    child.expect("prompt> ")
    child.sendline("echo status=$?")
    child.expect("status=6")
    child.sendline("exit")
    ended(child)


def background_without_stdin():
    """A job in the background that reads nothing is not stopped."""
    child = spawn("bash", "--norc", "--noprofile", "-i")
    child.sendline("igloo run -- bash -c 'sleep 1; exit 4' </dev/null & wait $!; echo status=$?")
    child.expect("status=4")
    child.sendline("exit")
    ended(child)


def hangup():
    """The terminal goes away: the command ends, and igloo."""
    child = spawn("igloo", "run", "--", "bash", "-c", "echo ready; exec sleep 1000")
    child.expect("ready")
    pid = child.pid
    os.close(child.child_fd)
    child.closed = True
    end = time.monotonic() + 20
    while time.monotonic() < end:
        done, _ = os.waitpid(pid, os.WNOHANG)
        if done:
            return
        time.sleep(0.1)
    raise AssertionError("igloo still runs")


def shell_prompts():
    child = spawn("igloo", "shell")
    child.sendline("echo in=$((6 * 7))")
    child.expect("in=42")
    child.sendline("hello; exit 3")
    child.expect("Hello")
    assert ended(child) == ("exit", 3)


tests.run(at_a_terminal, the_terminal_has_a_name, pipes_stay_pipes, size_is_known, size_changes,
          raw_keys, terminal_is_restored, control_c, control_c_kills, control_d, stop_and_continue, background_without_stdin, hangup, shell_prompts)
