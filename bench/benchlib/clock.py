"""Running a program and taking its time: posix_spawn() and wait4(), no shell in between.

Programs are compared in rounds, A B C A B C …, so that what disturbs the machine disturbs all of them
alike. As `clock.py --serve` this file is a worker that takes times in other namespaces: it reads one
JSON line for each program to run and answers with one.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time


class Failed(Exception):
    """A program that did not do what it was measured for; the text says why."""


class Samples:
    def __init__(self):
        self.wall = []  # seconds
        self.cpu = []  # seconds of the program and of every descendant that it waited for

    def add(self, wall, cpu):
        self.wall.append(wall)
        self.cpu.append(cpu)

    def median(self):
        return statistics.median(self.wall)

    def least(self):
        return min(self.wall)

    def median_cpu(self):
        return statistics.median(self.cpu)

    def __len__(self):
        return len(self.wall)


class Subject:
    """One column of a comparison.

    rounds: at most so many (for what takes seconds), spread over all; before: called untimed ahead of
    every run, may return the argv to use this time; worker: a Worker to run it in; note: for the table.
    """

    def __init__(self, name, argv, env, rounds=None, before=None, worker=None, note="", cwd=None):
        self.name, self.argv, self.env = name, argv, env
        self.rounds, self.before, self.worker, self.note, self.cwd = rounds, before, worker, note, cwd
        self.samples = Samples()
        self.failure = None


def spawn(argv, env, log, stdout=None):
    """Starts a program, stdin empty, output appended to the file `log`; the caller waits for it."""
    out = (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if stdout is not None:
        out = (os.POSIX_SPAWN_DUP2, stdout, 1)
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), out,
               (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)]
    # Python ignores SIGPIPE, which programs inherit; pasta does not start then.
    return os.posix_spawn(argv[0], argv, env, file_actions=actions, setsigdef=[signal.SIGPIPE])


def time_once(argv, env, log):
    """(seconds, CPU seconds) of one run; Failed if it does not exit with 0."""
    open(log, "wb").close()
    began = time.perf_counter()
    pid = spawn(argv, env, log)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    if status != 0:
        with open(log, errors="replace") as text:
            said = " / ".join(text.read().split("\n")[-6:]).strip(" /")[-400:]
        how = f"exit status {os.waitstatus_to_exitcode(status)}"
        raise Failed(f"{os.path.basename(argv[0])}: {how}{': ' + said if said else ''}")
    return wall, usage.ru_utime + usage.ru_stime


class Worker:
    """time_once() in a process that was started some other way, for instance through unshare."""

    def __init__(self, prefix):
        argv = prefix + [sys.executable, os.path.realpath(__file__), "--serve"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time_once(self, argv, env, log):
        self.process.stdin.write(json.dumps([argv, env, log]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Failed("the measuring worker ended")
        answer = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer["wall"], answer["cpu"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve():
    for line in sys.stdin:
        try:
            wall, cpu = time_once(*json.loads(line))
            answer = {"wall": wall, "cpu": cpu}
        except (Failed, OSError) as why:
            answer = {"failed": str(why)}
        print(json.dumps(answer), flush=True)


def run_subject(subject, log):
    argv = subject.argv
    if subject.before:
        argv = subject.before() or argv
    here = os.getcwd()
    if subject.cwd:
        os.chdir(subject.cwd)
    try:
        if subject.worker:
            return subject.worker.time_once(argv, subject.env, log)
        return time_once(argv, subject.env, log)
    finally:
        os.chdir(here)


def due(subject, turn, rounds):
    """Whether a subject with fewer rounds than the others has its turn in this one."""
    mine = min(subject.rounds or rounds, rounds)
    return (turn + 1) * mine // rounds != turn * mine // rounds


def compare(subjects, rounds, log, warm_up=2):
    """Fills in the samples of every subject, or its failure."""
    for subject in subjects:
        try:
            for _ in range(warm_up if not subject.rounds or subject.rounds > 5 else min(1, warm_up)):
                run_subject(subject, log)
        except (Failed, OSError) as why:
            subject.failure = str(why)
    for turn in range(rounds):
        for subject in subjects:
            if subject.failure or not due(subject, turn, rounds):
                continue
            try:
                subject.samples.add(*run_subject(subject, log))
            except (Failed, OSError) as why:
                subject.failure = f"in round {turn + 1}: {why}"


if __name__ == "__main__" and sys.argv[1:] == ["--serve"]:
    serve()
