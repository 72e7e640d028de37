"""What the tests of faults share: igloo run under a mark, what processes, locks and files are left.

IGLOO_TEST_SEED repeats a run's random moments, IGLOO_TEST_QUICK=1 makes it short, IGLOO_TEST_ONLY names functions."""

import os
import random
import resource
import signal
import subprocess
import time

from lib import Tests

tests = Tests("bash", "coreutils")
QUICK = bool(os.environ.get("IGLOO_TEST_QUICK"))
SEED = int(os.environ.get("IGLOO_TEST_SEED") or time.time())
IDLE = 5  # seconds a view's keeper stays
tests.env["IGLOO_VIEW_KEEP"] = str(IDLE)
MARK = f"IGLOO_E2E_FILE={tests.top}"
NULL = subprocess.DEVNULL
rng = random.Random(SEED)
print(f"# seed {SEED}")


def popen(*args, slot=None, project=None, env=None, **more):
    """igloo, with pipes; the box's command has our mark, so that it is found when it should be gone."""
    more.setdefault("stdin", NULL)
    more.setdefault("stdout", subprocess.PIPE)
    more.setdefault("stderr", subprocess.PIPE)
    more.setdefault("cwd", project or tests.project)
    args = list(args)
    if args[0] == "run":
        args[1:1] = ["-e", MARK] + (["--slot", slot] if slot else [])
    return subprocess.Popen(["igloo", *args], env=tests.env | (env or {}), **more)


def wait(process, seconds=60):
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"{process.args} does not end") from None
    return process.returncode, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace")


def igloo(*args, code=0, **more):
    """Its stdout; its stderr when 125 is expected."""
    status, out, err = wait(popen(*args, **more))
    assert status == code, f"{args}: exit {status}, not {code}: {out} {err}"
    return err if code == 125 else out


def fine(**more):
    out = igloo("run", "--", "bash", "-c", "echo fine", **more)
    assert out == "fine\n", out


def one_error(text, *words):
    """A message as they are meant: up to three lines (and Nix's own words), never a crash."""
    assert text.startswith("igloo: "), text
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"


def read(path):
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except OSError:
        return b""


def processes():
    """pid: (name, parent) of what this test started and its boxes' commands."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) != os.getpid() and MARK.encode() in read(f"/proc/{pid}/environ").split(b"\0"):
            stat = read(f"/proc/{pid}/stat")
            if stat and stat[stat.rindex(b")") + 2:][:1] != b"Z":
                found[int(pid)] = (stat[stat.index(b"(") + 1:stat.rindex(b")")].decode(),
                                   int(stat[stat.rindex(b")") + 2:].split()[1]))
    return found


def mine():
    """processes() without the test's own: bash of lib.sh, its readers."""
    return {pid: name for pid, (name, _) in processes().items() if name == "igloo-view" or "igloo" in name or name in
            ("sleep", "cat", "nix", "git")}


def children(pid):
    return [int(child) for child in read(f"/proc/{pid}/task/{pid}/children").split()]


def guest_of(pid):
    for child in children(pid):
        if read(f"/proc/{child}/comm") == b"igloo-guest\n":
            return child
    return None


def busy():
    """mine() without those that are to stay for a while: a view's keeper, and who removes placeholders later."""
    return {pid: name for pid, name in mine().items() if name not in ("igloo-view", "igloo-sweep")}


def keepers():
    return [pid for pid, name in mine().items() if name == "igloo-view"]


def kill(pid, signo=signal.SIGKILL):
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        pass


def within(seconds, function, what):
    """`what` may be a function: what there is in the end, not before the wait."""
    end = time.monotonic() + seconds
    while True:
        value = function()
        if value:
            return value
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.02)


def slot_of(name=None):
    """The folder of the project's slot."""
    slots = os.path.join(tests.env["XDG_STATE_HOME"], "igloo/slots")
    wanted = name or os.path.basename(tests.project)
    found = [entry for entry in sorted(os.listdir(slots)) if entry.rsplit("-", 1)[0] == wanted]
    assert found, f"{wanted} is not among {os.listdir(slots)}"
    return os.path.join(slots, found[0])


def touch_flake(project=None):
    """Another flake to Nix, the same environment to us."""
    with open(os.path.join(project or tests.project, "flake.nix"), "a", encoding="utf-8") as handle:
        handle.write(f"# {rng.getrandbits(64):x}\n")


def runtime_files():
    top = os.path.join(tests.env["XDG_RUNTIME_DIR"], "igloo")
    return [os.path.join(folder, name)[len(top) + 1:] for folder, _, names in os.walk(top) for name in names]


def held_locks():
    inodes = set()
    for folder, _, names in os.walk(os.path.join(tests.env["XDG_STATE_HOME"], "igloo")):
        if "/nix/store" not in folder:
            for name in names:
                inodes.add(os.lstat(os.path.join(folder, name)).st_ino)
    return [line for line in read("/proc/locks").decode().splitlines() if int(line.split(":")[3].split()[0]) in inodes]


def long_running():
    process = popen("run", "--", "bash", "-c", "echo $$; exec sleep 1000")
    assert process.stdout.readline(), process.stderr.read()
    return process


def kill_keeper():
    for pid in keepers():
        kill(pid)


def together(count, *args, **more):
    return [wait(p, 120) for p in [popen(*args, **more) for _ in range(count)]]


def nothing_left():
    """After the end of everything: no process, lock, mount or file, the keeper's own for its idle time."""
    within(10, lambda: not busy(), lambda: f"still running: {busy()}")
    # A box's own lock goes with the last process that has it, and who removes placeholders has one for five seconds.
    within(20, lambda: not held_locks(), lambda: f"held: {held_locks()}")
    assert igloo("ls", "-aq") == ""
    left = [path for path in runtime_files() if not path.startswith("views/")]
    assert not left, left
    assert tests.top not in read("/proc/self/mountinfo").decode(errors="replace")


def no_keeper_left():
    within(IDLE + 10, lambda: not keepers(), lambda: f"keepers: {keepers()}")
    # `ls` removes what is left of them. A process that ends has lost its name here before its sockets are closed, and
    # another may have the folder's lock just then.
    within(5, lambda: igloo("ls") is not None and not runtime_files(), runtime_files)


def _skipping(function):
    """A function that returns a reason was skipped."""
    def run():
        try:
            reason = function()
        except Exception:
            # One failure is one failure: what it left is not the next one's.
            for pid in mine():
                kill(pid)
            raise
        if reason:
            print(f"# {function.__name__} # SKIP {reason}")
    run.__name__ = function.__name__
    return run


def last_a_quiet_machine():
    wait(popen("rm", "-fa"))
    nothing_left()
    no_keeper_left()


def run(*functions):
    """Those that IGLOO_TEST_ONLY names, or all; and in the end all is gone."""
    only = (os.environ.get("IGLOO_TEST_ONLY") or "").split()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tests.run(*(_skipping(f) for f in (*functions, last_a_quiet_machine) if not only or f.__name__ in only))
