#!/usr/bin/env python3
"""Damaged files, store paths that vanish, full disks, clocks that jump. Prints TAP; faults/world.py has the variables."""

import os
import shutil
import subprocess
import time

from faults.world import (fine, igloo, kill, long_running, nothing_left, NULL, one_error, popen, read, rng, run,
                          slot_of, tests, together, touch_flake, wait)

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


run(a_damaged_record_is_made_anew, a_damaged_index_is_made_anew, a_damaged_set_of_host_paths_is_made_anew_or_told,
    a_damaged_state_file_is_no_box, a_damaged_state_file_of_a_running_box, a_damaged_database_is_told,
    killed_writers_leave_no_temporary_files, clocks_that_jump, a_full_disk, a_state_folder_that_cannot_be_written,
    a_host_path_that_vanished)
