#!/usr/bin/env python3
"""Processes killed at any moment, and commands that race for one slot or name. Prints TAP; faults/world.py has the variables."""

import os
import signal
import subprocess
import threading
import time

from faults.world import (children, fine, guest_of, IDLE, igloo, keepers, kill, kill_keeper, long_running,
                          no_keeper_left, nothing_left, popen, QUICK, read, rng, run, slot_of, together, touch_flake,
                          wait, within)

KILLS, KILL_SECONDS = (40, 20) if QUICK else (200, 90)


# -- killed ------------------------------------------------------------------------------------------


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


run(killed_at_random_moments_two_hundred_times, a_keeper_ends_when_idle_and_leaves_nothing,
    a_stopped_keeper_is_replaced, an_ended_keeper_is_no_zombie_of_a_running_box, two_commands_race_for_a_fresh_slot,
    twenty_commands_race_for_a_fresh_slot, all_run_at_once_when_warm, a_hundred_boxes_at_once, names_race,
    ls_never_takes_a_box_that_starts, run_races_with_slot_rm, slot_rm_killed_half_way,
    a_slot_is_removed_while_its_keeper_lives)
