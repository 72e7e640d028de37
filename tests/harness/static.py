"""Steps that read the source and run nothing of it."""

import concurrent.futures
import hashlib
import os
import shutil

from .report import CHECK, JOBS, ROOT, files, run
from .suites import ASAN, setup


def layers(report):
    status, output = run(["tests/layers"])
    report.tap("layers", output, status)


def clang_format(report):
    if not shutil.which("clang-format"):
        return report.skip("format", "clang-format")
    bad = []
    for path in files("*.c", "*.h"):
        status, output = run(["clang-format", "--dry-run", "-Werror", path])
        if status:
            bad += output.splitlines()[:1]
    return report.fail("format: make format would change files", bad) if bad else report.ok()


def scripts(report):
    """shellcheck over every file that starts with a shell's #!, Python's own compiler over the rest."""
    shell, python = [], []
    for path in files():
        if path.startswith(("tests/fuzz/corpus/", "tests/unit/data/")):
            continue
        with open(os.path.join(ROOT, path), "rb") as handle:
            first = handle.readline(80)
        if first.startswith((b"#!/bin/bash", b"#!/bin/sh", b"#!/usr/bin/env bash", b"# shellcheck shell=")):
            shell.append(path)
        elif path.endswith(".py") or (first.startswith(b"#!") and b"python" in first):
            python.append(path)
    if shutil.which("shellcheck"):
        for path in shell:
            status, output = run(["shellcheck", "-x", "-P", "SCRIPTDIR", path])
            report.fail(f"shellcheck {path}", output.splitlines()) if status else report.ok()
    else:
        report.skip("scripts: shell", "shellcheck")
    for path in python:
        try:
            with open(os.path.join(ROOT, path), "rb") as handle:
                compile(handle.read(), path, "exec")
            report.ok()
        except SyntaxError as error:
            report.fail(f"python {path}", [str(error)])
    lint_manuals(report)


def lint_manuals(report):
    pages = files("man/*.[1-9]", "man/**/*.[1-9]")
    if pages and not shutil.which("mandoc"):
        return report.skip("scripts: manual pages", "mandoc")
    for path in pages:
        status, output = run(["mandoc", "-Tlint", "-Wwarning", path])
        report.fail(f"mandoc {path}", output.splitlines()) if status else report.ok()


def analyzer(report):
    """gcc -fanalyzer over igloo itself, without a warning."""
    if not shutil.which("gcc"):
        return report.skip("analyzer", "gcc")
    folder = setup("analyzer", "gcc", ["-Dwerror=false", "-Dc_args=-fanalyzer -DIGLOO_ANALYSE"])
    # What is compiled already is not analysed again, so its warnings are kept beside it.
    log = os.path.join(folder, "analyzer.log")
    marker = os.path.join(folder, "analyzer.ok")
    clean = os.path.exists(marker)
    if clean:
        os.unlink(marker)
    else:
        run(["ninja", "-C", folder, "-t", "clean"])
    status, output = run(["ninja", "-C", folder, "-k", "0", "src/igloo"])
    with open(log, "w", encoding="utf-8") as handle:
        handle.write(output)
    warnings = [line for line in output.splitlines() if ": warning: " in line or ": error: " in line]
    if status or warnings:
        return report.fail(f"analyzer: see {os.path.relpath(log, ROOT)}", warnings or output.splitlines()[-20:])
    open(marker, "w", encoding="utf-8").close()
    return report.ok()


def clang_tidy(report):
    """Every source file on its own; one whose text, headers and checks are as they were is not read again."""
    if not shutil.which("clang-tidy") or not shutil.which("clang"):
        return report.skip("tidy", "clang-tidy")
    folder = setup("asan", "clang", ASAN)
    programs = ["filter", "nix_ask", "nix_store", "net_agent", "net_broker", "net_engine"]
    run(["ninja", "-C", folder] + [f"src/seccomp/{name}_program.h" for name in programs])
    stamps = os.path.join(CHECK, "tidy")
    os.makedirs(stamps, exist_ok=True)
    version = run(["clang-tidy", "--version"])[1]
    headers = digest([p for p in files("*.h") if p.startswith("src/")] + [".clang-tidy", "meson.build"], version)
    # filter_gen.c is a program of the build's, compiled with other flags.
    sources = [p for p in files("*.c") if p.startswith("src/") and not p.endswith("_gen.c")]
    used = set()

    def one(path):
        name = digest([path], headers + path)
        used.add(name)
        stamp = os.path.join(stamps, name)
        if os.path.exists(stamp):
            return path, 0, ""
        status, output = run(["clang-tidy", "--quiet", "-p", folder, path], timeout=600)
        if status == 0:
            open(stamp, "w", encoding="utf-8").close()
        return path, status, output

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for path, status, output in pool.map(one, sources):
            if status:
                faults = [line for line in output.splitlines() if "error:" in line or "warning:" in line]
                report.fail(f"clang-tidy {path}", faults or output.splitlines()[-20:])
            else:
                report.ok()
    for name in set(os.listdir(stamps)) - used:
        os.unlink(os.path.join(stamps, name))
    return None


def digest(paths, salt):
    total = hashlib.sha256(salt.encode())
    for path in paths:
        with open(os.path.join(ROOT, path), "rb") as handle:
            total.update(hashlib.sha256(handle.read()).digest())
    return total.hexdigest()
