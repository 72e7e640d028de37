#!/usr/bin/env python3
"""What igloo survives: processes killed at any moment, commands that race for one slot, damaged files, store
paths that vanish, full disks, terminals that go away. Prints TAP.

IGLOO_TEST_SEED repeats a run's random moments, IGLOO_TEST_QUICK=1 makes it short."""

import fcntl
import json
import os
import pty
import random
import resource
import shutil
import signal
import subprocess
import termios
import threading
import time

from lib import Tests

tests = Tests("bash", "coreutils")
QUICK = bool(os.environ.get("IGLOO_TEST_QUICK"))
SEED = int(os.environ.get("IGLOO_TEST_SEED") or time.time())
KILLS, KILL_SECONDS = (40, 20) if QUICK else (200, 90)
IDLE = 5  # seconds a view's keeper stays
tests.env["IGLOO_VIEW_KEEP"] = str(IDLE)
MARK = f"IGLOO_E2E_FILE={tests.top}"
NULL = subprocess.DEVNULL
rng = random.Random(SEED)
print(f"# seed {SEED}")


# -- helpers -----------------------------------------------------------------------------------------


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
    igloo("ls")
    assert not runtime_files(), runtime_files()


# -- killed ------------------------------------------------------------------------------------------


def long_running():
    process = popen("run", "--", "bash", "-c", "echo $$; exec sleep 1000")
    assert process.stdout.readline(), process.stderr.read()
    return process


def kill_supervisor():
    process = long_running()
    guest = guest_of(process.pid)
    kill(process.pid)
    assert wait(process)[0] == -signal.SIGKILL
    within(5, lambda: not os.path.exists(f"/proc/{guest}/ns/user") or not read(f"/proc/{guest}/cmdline"), "the guest lives")


def kill_guest():
    process = long_running()
    kill(guest_of(process.pid))
    code, _, err = wait(process)
    assert code == 125 and "guest was killed" in err, (code, err)


def kill_keeper():
    for pid in keepers():
        kill(pid)


def kill_command():
    process = long_running()
    victims = children(guest_of(process.pid))
    assert len(victims) == 1, victims
    kill(victims[0])
    assert wait(process)[0] == -signal.SIGKILL


def kill_while_starting():
    process = popen("run", "--", "bash", "-c", "exec sleep 1000")
    time.sleep(rng.random() * 0.03)
    kill(process.pid)
    wait(process)


def kill_something_while_starting():
    """A helper, a guest before its command, the keeper being made: whatever is there."""
    if rng.random() < 0.3:
        kill_keeper()
    process = popen("run", "--", "bash", "-c", "exec sleep 1000")
    time.sleep(rng.random() * 0.02)
    victims = children(process.pid) + keepers()
    if victims:
        kill(rng.choice(victims))
    time.sleep(0.03)
    kill(process.pid)
    wait(process)


def kill_while_resolving():
    touch_flake()
    process = popen("run", "--", "true")
    time.sleep(rng.random() * 0.8)
    victims = [process.pid] + (children(process.pid) if rng.random() < 0.5 else [])
    kill(rng.choice(victims))
    wait(process)


def killed_at_random_moments_two_hundred_times():
    fine()
    kinds = [kill_supervisor, kill_guest, kill_keeper, kill_command, kill_while_starting, kill_something_while_starting,
             kill_while_resolving]
    weights = [3, 3, 2, 3, 5, 5, 1]
    end = time.monotonic() + KILL_SECONDS
    done = 0
    while done < KILLS and time.monotonic() < end:
        kind = rng.choices(kinds, weights)[0]
        try:
            kind()
            fine()
        except AssertionError as error:
            raise AssertionError(f"kill {done}, {kind.__name__}: {error}") from error
        done += 1
    print(f"# {done} kills")
    nothing_left()


def a_keeper_ends_when_idle_and_leaves_nothing():
    fine()
    if os.geteuid() == 0:
        assert len(keepers()) == 1, keepers()
    no_keeper_left()


def a_stopped_keeper_is_replaced():
    if os.geteuid() != 0:
        return "root, to tell whose a keeper is"
    fine()
    old = keepers()
    kill(old[0], signal.SIGSTOP)
    fine()
    assert set(keepers()) - set(old)
    kill(old[0], signal.SIGCONT)
    within(IDLE + 5, lambda: old[0] not in keepers(), "the old keeper stays")
    return None


def an_ended_keeper_is_no_zombie_of_a_running_box():
    kill_keeper()
    process = long_running()
    kill_keeper()
    time.sleep(0.2)
    states = [read(f"/proc/{pid}/stat").rsplit(b")", 1)[1].split()[0] for pid in children(process.pid)]
    kill(process.pid)
    wait(process)
    assert b"Z" not in states, states


# -- racing ------------------------------------------------------------------------------------------


def together(count, *args, **more):
    return [wait(p, 120) for p in [popen(*args, **more) for _ in range(count)]]


def check_race(name, count):
    for code, out, err in together(count, "run", "--", "bash", "-c", "echo fine", slot=name):
        assert (code, out) == (0, "fine\n"), (code, out, err)


def two_commands_race_for_a_fresh_slot():
    check_race("two", 2)


def twenty_commands_race_for_a_fresh_slot():
    check_race("twenty", 20)
    generations = [n for n in os.listdir(os.path.join(slot_of("twenty"), "nix/var/nix/gcroots/igloo"))
                   if n.startswith("env-") and n.endswith("-link")]
    assert len(generations) <= 2, generations  # a fresh checkout's times are too young to trust once
    check_race("twenty", 20)
    assert len([pid for pid in keepers()]) <= 3
    nothing_left()


def all_run_at_once_when_warm():
    began = time.monotonic()
    results = together(8, "run", "--", "bash", "-c", "sleep 1; echo fine")
    assert all(r[:2] == (0, "fine\n") for r in results), results
    assert time.monotonic() - began < 5


def a_hundred_boxes_at_once():
    fine()
    count = 30 if QUICK else 100
    boxes = [popen("run", "--", "bash", "-c", f"read -r _; exit {i}", stdin=subprocess.PIPE) for i in range(count)]
    within(60, lambda: len(igloo("ls", "-q").split()) == count, "they do not all run")
    within(20, lambda: all(guest_of(b.pid) for b in boxes), "no guests")
    memory = sum(int(line.split()[1]) for b in boxes for line in read(f"/proc/{b.pid}/smaps_rollup").decode().splitlines()
                 if line.startswith("Pss:"))
    for box in boxes:
        box.stdin.close()
        box.stdin = None
    codes = [wait(box)[0] for box in boxes]
    assert codes == list(range(count)), codes
    assert memory < count * 3072, f"{memory} KiB"
    nothing_left()


def names_race():
    """One name, taken and given up by several: a box or a clear error, never another's folder."""
    end = time.monotonic() + (2 if QUICK else 6)
    wrong = []

    def loop():
        while time.monotonic() < end:
            code, out, err = wait(popen("run", "--name", "same", "--", "bash", "-c", "echo fine"))
            if (code, out) != (0, "fine\n") and not (code == 125 and "already a box called 'same'" in err):
                wrong.append((code, out, err))

    def look():
        while time.monotonic() < end:
            igloo("ls", "-aq")

    threads = [threading.Thread(target=loop) for _ in range(3)] + [threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    nothing_left()


def ls_never_takes_a_box_that_starts():
    end = time.monotonic() + (2 if QUICK else 5)
    wrong = []

    def look():
        while time.monotonic() < end:
            wait(popen("ls", "-aq"))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        code, out, err = wait(popen("run", "--", "bash", "-c", "echo fine"))
        if (code, out) != (0, "fine\n"):
            wrong.append((code, out, err))
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


def run_races_with_slot_rm():
    fine(slot="race")
    identity = os.path.basename(slot_of("race"))
    end = time.monotonic() + (4 if QUICK else 12)
    wrong = []

    def loop():
        while time.monotonic() < end:
            code, out, err = wait(popen("run", "--", "bash", "-c", "echo fine", slot="race"))
            if (code, out) != (0, "fine\n") and not (code == 125 and "removes or cleans" in err):
                wrong.append((code, out, err))

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    removed = 0
    while time.monotonic() < end:
        code, out, err = wait(popen("slot", "rm", "--yes", identity))
        if code and "in use" not in err and "there is no slot" not in err:
            wrong.append((code, out, err))
        removed += code == 0
        time.sleep(rng.random() * 0.1)
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    print(f"# removed {removed} times")
    fine(slot="race")


def slot_rm_killed_half_way():
    for _ in range(3 if QUICK else 10):
        fine(slot="half")
        process = popen("slot", "rm", "--yes", os.path.basename(slot_of("half")))
        time.sleep(rng.random() * 0.01)
        kill(process.pid)
        wait(process)
        fine(slot="half")
    slots = os.path.dirname(slot_of("half"))
    igloo("slot", "rm", "--yes", os.path.basename(slot_of("half")))
    assert not [name for name in os.listdir(slots) if name.startswith(".")], os.listdir(slots)


def a_slot_is_removed_while_its_keeper_lives():
    fine(slot="kept")
    igloo("slot", "rm", "--yes", os.path.basename(slot_of("kept")))
    for _ in range(3):
        fine(slot="kept")
        igloo("slot", "rm", "--yes", os.path.basename(slot_of("kept")))


# -- damaged -----------------------------------------------------------------------------------------


def damages(path):
    whole = read(path)
    yield b""
    yield whole[:len(whole) // 2]
    yield whole[:-1]
    yield rng.randbytes(len(whole) or 100)
    yield b"\0" * (len(whole) or 100)
    if len(whole) > 10:
        at = rng.randrange(len(whole))
        yield whole[:at] + bytes([whole[at] ^ 0xff]) + whole[at + 1:]
        lines = whole.splitlines(keepends=True)
        yield b"".join(lines[:len(lines) // 2])


def damage(folder, suffix):
    """Writes damage after damage into the files of that name; yields after each."""
    fine()
    for name in [n for n in os.listdir(folder) if n.endswith(suffix) and not n.startswith(".")]:
        path = os.path.join(folder, name)
        for content in list(damages(path)):
            with open(path, "wb") as handle:
                handle.write(content)
            yield path


def a_damaged_record_is_made_anew():
    fine()
    for _ in damage(os.path.join(slot_of(), "env"), ".record"):
        fine()


def a_damaged_index_is_made_anew():
    fine()
    for _ in damage(os.path.join(slot_of(), "env"), ".index"):
        fine()


def a_damaged_set_of_host_paths_is_made_anew_or_told():
    fine()
    slot = slot_of()
    for path in damage(slot, "host-paths"):
        code, out, err = wait(popen("run", "--", "bash", "-c", "echo fine"))
        if code:
            assert code == 125, (code, out, err)
            one_error(err, "host-paths", "igloo slot rm")
            igloo("slot", "rm", "--yes", os.path.basename(slot))
        fine()
        if code and not os.path.exists(path):
            break


def a_damaged_state_file_is_no_box():
    fleeting = os.path.join(tests.env["XDG_RUNTIME_DIR"], "igloo/fleeting")
    process = long_running()
    folder = os.path.join(fleeting, os.listdir(fleeting)[0])
    spec = read(f"{folder}/spec.json")
    kill(process.pid)
    wait(process)
    igloo("ls")
    assert not os.path.exists(folder)
    for number, content in enumerate([spec[:30], rng.randbytes(200), b"", b"[]", b"{}", b'{"name":3,"guest":"x"}', spec]):
        for top in fleeting, os.path.join(tests.env["XDG_STATE_HOME"], "igloo/boxes"):
            os.makedirs(f"{top}/bad{number}")
            with open(f"{top}/bad{number}/spec.json", "wb") as handle:
                handle.write(content)
    igloo("ls", "-a")
    igloo("run", "--name", "bad1", "--", "true")
    igloo("rm", "-fa")
    nothing_left()


def a_damaged_state_file_of_a_running_box():
    igloo("run", "-d", "--name", "hurt", "--", "sleep", "1000")
    path = os.path.join(tests.env["XDG_STATE_HOME"], "igloo/boxes/hurt/spec.json")
    with open(path, "wb") as handle:
        handle.write(b"\xff\x00{")
    igloo("ls", "-a")
    igloo("run", "--name", "hurt", "--", "true", code=125)
    igloo("stop", "-t", "0", "hurt")
    wait(popen("rm", "-f", "hurt"))
    nothing_left()


def a_damaged_database_is_told():
    fine()
    slot = slot_of()
    database = os.path.join(slot, "nix/var/nix/db/db.sqlite")
    for content in rng.randbytes(20000), read(database)[:5000], b"":
        fine()
        for extra in "-wal", "-shm":
            if os.path.exists(database + extra):
                os.unlink(database + extra)
        with open(database, "wb") as handle:
            handle.write(content)
        touch_flake()
        code, out, err = wait(popen("run", "--", "bash", "-c", "echo fine"))
        if code:
            assert code == 125, (code, out, err)
            one_error(err, "igloo slot rm")
            igloo("slot", "rm", "--yes", os.path.basename(slot))
        fine()


def killed_writers_leave_no_temporary_files():
    fine()
    slot = slot_of()
    for folder in slot, f"{slot}/env":
        with open(f"{folder}/.thing.4000000.0.tmp", "wb") as handle:
            handle.write(b"x" * 1000)
        os.utime(f"{folder}/.thing.4000000.0.tmp", (time.time() - 100000,) * 2)
    touch_flake()
    fine()
    left = [n for folder in (slot, f"{slot}/env") for n in os.listdir(folder) if n.startswith(".thing")]
    assert not left, left


# -- the machine -------------------------------------------------------------------------------------


def clocks_that_jump():
    fine()
    slot = slot_of()
    fine()
    now = time.time()
    for when in now + 1e8, now - 1e8, 0, 2 ** 33:
        for path in (tests.project + "/flake.nix", slot + "/host-paths", slot, *(
                f"{slot}/env/{n}" for n in os.listdir(f"{slot}/env"))):
            os.utime(path, (when, when))
        fine()
        fine()
    # An edit that keeps size and time is seen all the same.
    path = tests.project + "/flake.nix"
    text = read(path).decode()
    when = os.stat(path)
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(text + "# a\n")
    fine()
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(text.replace("packages = [", "WORD=1; packages=[", 1) + "# b\n")
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    assert igloo("run", "--", "printenv", "WORD") == "1\n"


def a_full_disk():
    if os.geteuid() != 0:
        return "root, to mount a small file system"
    script = r"""
        mkdir "$1" && mount -t tmpfs -o size=48m,mode=0700 igloo-test "$1" || exit 90
        export XDG_STATE_HOME=$1
        for free in 0 16 64 400 1500; do
            head -c 60M /dev/zero >"$1/filler" 2>/dev/null
            truncate -s -"$free"K "$1/filler"
            igloo run --slot "full$free" -- true 2>"$1.err"
            code=$?
            [[ $code != 0 ]] || continue
            [[ $code == 125 ]] || { echo "$free: exit $code"; cat "$1.err"; exit 1; }
            [[ $(head -c 7 "$1.err") == "igloo: " ]] || { echo "$free:"; cat "$1.err"; exit 1; }
            grep -qiE 'no space|full' "$1.err" || { echo "$free:"; cat "$1.err"; exit 1; }
            rm "$1/filler"
            igloo run --slot "full$free" -- true || exit 1
            chmod -R u+w "$1/igloo/slots" && rm -rf "$1/igloo/slots"
        done
        umount -l "$1" """
    done = subprocess.run(["unshare", "-m", "--propagation", "private", "bash", "-c", script, "x", f"{tests.top}/small"],
                          cwd=tests.project, env=tests.env, stdin=NULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, timeout=120)
    assert done.returncode == 0, (done.returncode, done.stdout.decode(errors="replace"))
    return None


def a_state_folder_that_cannot_be_written():
    if os.geteuid() != 0:
        folder = f"{tests.top}/readonly"
        os.makedirs(folder)
        os.chmod(folder, 0o500)
        one_error(igloo("run", "--", "true", code=125, env={"XDG_STATE_HOME": folder}), folder)
        return
    script = 'mount --bind "$XDG_STATE_HOME" "$XDG_STATE_HOME" && mount -o remount,ro,bind "$XDG_STATE_HOME" && igloo run -- true'
    done = subprocess.run(["unshare", "-m", "--propagation", "private", "bash", "-c", script], cwd=tests.project,
                          env=tests.env, stdin=NULL, stdout=NULL, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 125, (done.returncode, done.stderr)
    one_error(done.stderr.decode(), "ead-only")
    fine()


def a_host_path_that_vanished():
    if os.geteuid() != 0:
        return "root, to add to and delete from the host's store"
    settings = tests.env | {"NIX_CONFIG": "experimental-features = nix-command flakes\nbuild-users-group =\nsandbox = false\n"
                                          "substitute = false"}
    system = os.uname().machine + "-linux"
    project = f"{tests.top}/vanishing"
    shutil.copytree(tests.project, project)
    subprocess.run(["git", "-C", project, "checkout", "-q", "--", "."], check=True)
    text = read(f"{project}/flake.nix").decode()
    with open(f"{project}/flake.nix", "w", encoding="utf-8") as handle:
        handle.write(text.replace("packages = [", f"""
          FILE = derivation {{
            name = "igloo-test-{rng.getrandbits(60):x}"; system = "{system}"; builder = "${{pkgs.bash}}/bin/bash";
            args = [ "-c" "echo made for the test >$out" ];
          }};
          packages = [""", 1))

    def nix(*args):
        done = subprocess.run(args, cwd=project, env=settings, stdin=NULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
        assert done.returncode == 0, (args, done.stderr.decode())
        return done.stdout.decode()

    file = f".#devShells.{system}.default.FILE"
    nix("nix", "build", "--no-link", file)
    path = nix("nix", "eval", "--raw", file + ".outPath")
    show = ["run", "--", "bash", "-c", "cat $FILE"]
    try:
        assert igloo(*show, project=project) == "made for the test\n"
        slot = slot_of("vanishing")
        assert path in read(f"{slot}/host-paths").decode(), "the host's copy is not used"
        # As the host's garbage collection would, had somebody removed the roots.
        for root in os.listdir(f"{slot}/roots"):
            os.unlink(f"{slot}/roots/{root}")
        nix("nix-store", "--delete", path)
        # Now made in the slot.
        assert igloo(*show, project=project) == "made for the test\n"
        assert path not in read(f"{slot}/host-paths").decode()
        assert igloo(*show, project=project) == "made for the test\n"
        assert not os.path.exists(path)
        # And back on the host, gone, twenty at once.
        nix("nix", "build", "--no-link", file)
        igloo("slot", "rm", "--yes", os.path.basename(slot))
        assert igloo(*show, project=project) == "made for the test\n"
        for root in os.listdir(f"{slot}/roots"):
            os.unlink(f"{slot}/roots/{root}")
        nix("nix-store", "--delete", path)
        for result in together(5, *show, project=project):
            assert result[:2] == (0, "made for the test\n"), result
    finally:
        subprocess.run(["nix-store", "--delete", path], env=settings, stdout=NULL, stderr=NULL, check=False)
    return None


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


def skipping(function):
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


ALL = [killed_at_random_moments_two_hundred_times, a_keeper_ends_when_idle_and_leaves_nothing, a_stopped_keeper_is_replaced,
       an_ended_keeper_is_no_zombie_of_a_running_box,
       two_commands_race_for_a_fresh_slot, twenty_commands_race_for_a_fresh_slot, all_run_at_once_when_warm,
       a_hundred_boxes_at_once, names_race, ls_never_takes_a_box_that_starts, run_races_with_slot_rm,
       slot_rm_killed_half_way, a_slot_is_removed_while_its_keeper_lives,
       a_damaged_record_is_made_anew, a_damaged_index_is_made_anew, a_damaged_set_of_host_paths_is_made_anew_or_told,
       a_damaged_state_file_is_no_box, a_damaged_state_file_of_a_running_box, a_damaged_database_is_told,
       killed_writers_leave_no_temporary_files,
       clocks_that_jump, a_full_disk, a_state_folder_that_cannot_be_written, a_host_path_that_vanished,
       a_terminal_that_goes_away_ends_the_box, closed_descriptors, signals_reach_the_command, interrupted_while_resolving,
       stopped_and_continued, a_time_limit, a_caller_that_ignores_or_blocks_signals, few_descriptors, umasks,
       a_folder_that_was_deleted, without_proc, descriptors_and_children_of_a_supervisor,
       a_garbage_collection_in_the_box, nix_in_the_box, a_second_project_builds_nothing, last_a_quiet_machine]
only = (os.environ.get("IGLOO_TEST_ONLY") or "").split()
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
tests.run(*(skipping(f) for f in ALL if not only or f.__name__ in only))
