#!/usr/bin/env python3
"""igloo create without options, at a terminal: its questions, by fzf and as numbered lists."""

import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from lib import Tests  # noqa: E402

try:
    import pexpect
except ImportError:
    print("1..0 # SKIP python3-pexpect")
    sys.exit(0)

tests = Tests("bash")
tests.env["TERM"] = "xterm"
# A PATH with all but fzf.
plain = os.path.join(tests.top, "plain")
os.mkdir(plain)
for tool in "igloo", "git", "bash", "nix", "nix-store", "tar", "nft", "ip":
    found = shutil.which(tool, path=tests.env["PATH"])
    if found:
        os.symlink(found, os.path.join(plain, tool))
os.mkdir(os.path.join(tests.project, "a folder"))
os.mkdir(os.path.join(tests.env["HOME"], "data"))


def spawn(*arguments, fzf=False, **env):
    env = {**tests.env, **env}
    if not fzf:
        env["PATH"] = plain
    return pexpect.spawn(shutil.which("igloo", path=tests.env["PATH"]), ["create", *arguments], timeout=30, env=env,
                         cwd=tests.project, encoding="utf-8", dimensions=(30, 100))


def igloo(*arguments):
    return subprocess.run(["igloo", *arguments], env=tests.env, stdout=subprocess.PIPE, check=True, text=True).stdout


def options(name):
    definition = json.loads(igloo("inspect", name))["definition"]
    igloo("rm", name)
    return definition["options"]


def ended(child):
    child.expect(pexpect.EOF)
    child.close()
    return child.signalstatus if child.exitstatus is None else child.exitstatus


def answer(child, question, *lines):
    """Lines for what is asked; a line is not sent before the question was put."""
    for line in lines:
        child.expect_exact(question)
        child.sendline(line)


def nothing_was_made():
    assert igloo("ls", "-aq") == "", "a box was made"


def numbered_lists():
    child = spawn()
    child.expect_exact("1) igloo's choice")
    child.expect_exact("4) 8G")
    answer(child, "Memory [1]", "4")
    answer(child, "Processors [1]", "3cpu")
    answer(child, "Disk [1]", "")
    answer(child, "Name [1]", "by-list")
    answer(child, "Kind [1]", "1")
    answer(child, "Features [1]", "3, 4")
    answer(child, "Port [1]", "8000", "9000:90", "")
    answer(child, "Share [1]", "a folder", "")
    answer(child, "Share (read only) [1]", "~/data", "1")
    child.expect_exact("the same by options: igloo create by-list --memory=8G --cpus=3cpu --in=sandbox")
    assert ended(child) == 0
    got = options("by-list")
    assert got == ["--in=sandbox", "--read-only", f"--share-rw={tests.project}/a folder",
                   f"--share-ro={tests.env['HOME']}/data", "--cpus=3", "--memory=8G", "--offline", "--publish=8000",
                   "--publish=9000:90"], got


def all_by_return():
    child = spawn()
    for question in "Memory", "Processors", "Disk", "Name", "Kind", "Features", "Port", "Share", "Share (read only)":
        answer(child, question + " [1]", "")
    assert ended(child) == 0
    assert options("project") == ["--in=sandbox"]


def wrong_answers_are_asked_again():
    child = spawn()
    answer(child, "Memory [1]", "7")
    child.expect_exact("there is no 7 in the list")
    answer(child, "Memory [1]", "5000G")
    child.expect_exact("out of range: 16 MiB to 1 TiB")
    answer(child, "Memory [1]", "lots")
    child.expect_exact("'lots' is not a size")
    answer(child, "Memory [1]", "")
    answer(child, "Processors [1]", "200cpu")
    child.expect_exact("0.001 to 128 processors")
    answer(child, "Processors [1]", "")
    answer(child, "Disk [1]", "1M")
    child.expect_exact("out of range: 256 MiB to")
    answer(child, "Disk [1]", "")
    answer(child, "Name [1]", "Not a name")
    child.expect_exact("is not a name")
    answer(child, "Name [1]", "wrong")
    answer(child, "Kind [1]", "pod")
    child.expect_exact("'pod' is none of these")
    answer(child, "Kind [1]", "vm")
    answer(child, "Features [1]", "")
    answer(child, "Port [1]", "99999")
    child.expect_exact("99999")
    answer(child, "Port [1]", "none")
    answer(child, "Share [1]", "/no/such")
    child.expect_exact("cannot share '/no/such'")
    answer(child, "Share [1]", "")
    answer(child, "Share (read only) [1]", "")
    assert ended(child) == 0
    assert options("wrong") == ["--in=vm"]


def a_disk_is_a_machines():
    child = spawn()
    answer(child, "Memory [1]", "2")
    answer(child, "Processors [1]", "1cpu")
    for line in "2) 20G", "3) 50G", "4) 100G", "5) 200G":
        child.expect_exact(line)
    answer(child, "Disk [1]", "300M")
    answer(child, "Name [1]", "disk")
    assert "sandbox" not in child.before, child.before
    answer(child, "Kind [1]", "1")
    child.expect_exact("Features")
    child.expect_exact("display=vnc")
    assert "overlay" not in child.before, child.before
    answer(child, "Features [1]", "audio, display=vnc")
    for question in "Port", "Share", "Share (read only)":
        answer(child, question + " [1]", "")
    assert ended(child) == 0
    got = options("disk")
    assert got == ["--in=vm", "--cpus=1", "--memory=2G", "--display=vnc", "--audio", "--disk=300M"], got


def a_disk_that_does_not_fit():
    child = spawn()
    answer(child, "Memory [1]", "")
    answer(child, "Processors [1]", "")
    answer(child, "Disk [1]", "9999G")
    answer(child, "Name [1]", "large")
    for question in "Kind", "Features", "Port", "Share", "Share (read only)":
        answer(child, question + " [1]", "")
    child.expect("--disk: 9.7 TiB are not to be had: .* has .* free")
    assert ended(child) == 125
    nothing_was_made()


def a_name_that_is_taken():
    igloo("create", "-C", tests.project, "project")
    child = spawn()
    answer(child, "Memory [1]", "")
    answer(child, "Processors [1]", "")
    answer(child, "Disk [1]", "")
    child.expect_exact("1) project-2")
    answer(child, "Name [1]", "project")
    child.expect_exact("there is already a box called 'project'")
    child.sendeof()
    assert ended(child) == 130
    igloo("rm", "project")
    nothing_was_made()


def leaving():
    child = spawn()
    child.expect_exact("Memory [1]")
    child.sendeof()
    child.expect_exact("no box was created: left at 'Memory'")
    assert ended(child) == 130
    child = spawn()
    child.expect_exact("Memory [1]")
    child.sendintr()
    assert ended(child) == 2, "^C"
    nothing_was_made()


def options_leave_no_questions():
    child = spawn("--memory", "2G")
    child.expect_exact("what is the box to be called?")
    assert ended(child) == 125
    child = spawn("--json")
    child.expect_exact("what is the box to be called?")
    assert ended(child) == 125
    child = spawn(IGLOO_IN="vm")
    child.expect_exact("Memory [1]")
    child.sendeof()
    ended(child)


def fzf_question(child, title):
    """It asks the terminal where its cursor is, more than once, and then draws. The prompt of the one before may come
    again until then."""
    child.expect_exact("\x1b[6n")
    while True:
        child.send("\x1b[1;1R")
        if child.expect_exact(["\x1b[6n", title + ">"]) == 1:
            return


def by_fzf():
    # What would break what it prints is not passed on.
    child = spawn(fzf=True, FZF_DEFAULT_OPTS="--print0 --filter=x", FZF_DEFAULT_COMMAND="false")
    fzf_question(child, "Memory")
    child.expect_exact("16G")
    child.send("\x1b[B\x1b[B\r")
    fzf_question(child, "Processors")
    child.send("6cpu\r")
    fzf_question(child, "Disk")
    child.send("\r")
    fzf_question(child, "Name")
    child.send("by-fzf\r")
    fzf_question(child, "Kind")
    child.send("\r")
    fzf_question(child, "Features")
    # Down twice: --read-only; then --offline: Tab marks.
    child.send("\x1b[B\x1b[B\t\x1b[B\t\r")
    fzf_question(child, "Port")
    child.send("8000\r")
    fzf_question(child, "Port")
    child.send("\r")
    fzf_question(child, "Share")
    child.send("/no/such\r")
    fzf_question(child, "Share")
    child.expect_exact("cannot share '/no/such'")
    child.send("\r")
    fzf_question(child, "Share (read only)")
    child.send("a folder\r")
    fzf_question(child, "Share (read only)")
    child.send("\r")
    assert ended(child) == 0
    got = options("by-fzf")
    assert got == ["--in=sandbox", "--read-only", f"--share-ro={tests.project}/a folder", "--cpus=6", "--memory=4G",
                   "--offline", "--publish=8000"], got


def leaving_fzf():
    child = spawn(fzf=True)
    fzf_question(child, "Memory")
    child.send("\x1b")
    child.expect_exact("no box was created")
    assert ended(child) == 130
    nothing_was_made()


functions = [numbered_lists, all_by_return, wrong_answers_are_asked_again, a_disk_is_a_machines,
             a_disk_that_does_not_fit, a_name_that_is_taken, leaving,
             options_leave_no_questions]
if shutil.which("fzf", path=tests.env["PATH"]):
    functions += [by_fzf, leaving_fzf]
tests.run(*functions)
