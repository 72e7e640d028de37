"""What the kernel itself takes for a mount namespace: copying one of many mounts, and dropping the copy.

Every box has a mount namespace of its own, copied from its slot's keeper; no sandbox that shows N store paths as N
mounts starts in less than this, whatever else it does.
"""

import ctypes
import glob
import os
import statistics
import time

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000


def keepers(state):
    """{number of mounts: pid} of the keepers whose slots lie in the folder `state`."""
    mark, found = f"XDG_STATE_HOME={state}".encode(), {}
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{folder}/comm") as comm, open(f"{folder}/environ", "rb") as environ:
                if comm.read() != "igloo-view\n" or mark not in environ.read().split(b"\0"):
                    continue
            with open(f"{folder}/mountinfo") as mounts:
                found[sum(1 for _ in mounts)] = int(os.path.basename(folder))
        except OSError:
            continue  # it ended
    return found


def child_ms(libc, flags):
    """One process that unshares `flags` (0: nothing) and ends, waited for."""
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(1 if flags and libc.unshare(flags) else 0)
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter() - began) * 1e3
    if status:
        raise OSError("unshare failed in the keeper's namespace")
    return took


def measure(pid, rounds):
    """Median ms that copying and dropping the mount namespace of process `pid` adds to a fork and a wait."""
    libc = ctypes.CDLL(None, use_errno=True)
    fds = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in ("user", "mnt")]
    from_child, to_parent = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for fd, kind in zip(fds, (CLONE_NEWUSER, CLONE_NEWNS)):
                if libc.setns(fd, kind):
                    os._exit(1)
            copies, plain = [], []
            for _ in range(rounds):
                copies.append(child_ms(libc, CLONE_NEWNS))
                plain.append(child_ms(libc, 0))
                time.sleep(0.01)  # the kernel frees what was dropped a little later
            os.write(to_parent, f"{statistics.median(copies) - statistics.median(plain)}".encode())
            os._exit(0)
        except BaseException:
            os._exit(1)
    for fd in (*fds, to_parent):
        os.close(fd)
    with os.fdopen(from_child) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return float(text) if text else None


def note(state, rounds):
    parts = []
    for mounts, pid in sorted(keepers(state).items()):
        took = measure(pid, rounds)
        if took is not None:
            parts.append(f"{mounts} mounts: {took:.2f} ms")
    return "the kernel's own floor, copying and dropping a mount namespace: " + (", ".join(parts) or "not measured")
