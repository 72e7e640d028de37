"""What the figures were measured on."""

import os
import platform
import shutil
import subprocess


def cpu_model():
    try:
        with open("/proc/cpuinfo") as info:
            for line in info:
                if line.startswith(("model name", "Model")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def memory_gib():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def load():
    return os.getloadavg()[0]


def describe():
    distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "") if os.path.exists("/etc/os-release") else ""
    return {
        "cpu": cpu_model(), "cpus": len(os.sched_getaffinity(0)), "memory_gib": round(memory_gib(), 1),
        "kernel": platform.release(), "system": distribution, "uid": os.getuid(), "load": load(),
    }


def line(machine):
    who = "root" if machine["uid"] == 0 else f"uid {machine['uid']}"
    return (f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gib']} GiB; Linux {machine['kernel']}, "
            f"{machine['system']}; as {who}; load {machine['load']:.2f}")


def version(program, *arguments):
    """The first line that a program says about its version, or "" when it says nothing."""
    try:
        done = subprocess.run([program, *(arguments or ["--version"])], stdin=subprocess.DEVNULL, timeout=30,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next((text.strip() for text in done.stdout.splitlines() if text.strip()), "")


def find(name, folders=()):
    path = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=path)
