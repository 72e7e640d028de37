"""Steps that build igloo and run Meson's tests: unit tests, the command line, fuzz corpora."""

import json
import os
import shutil

from .report import CHECK, JOBS, ROOT, need, run

# What a sanitizer finds ends the program, with a status that no test expects.
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=1:strict_string_checks=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "LSAN_OPTIONS": "exitcode=99",
}


# What only clang warns of: the macros of <seccomp.h> leave out a member; "/name" + 1 is how a slash
# is left out; gcc knows a vprintf by its va_list.
ASAN = ["-Dwerror=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
        "-Dc_args=-Wno-missing-field-initializers -Wno-string-plus-int -Wno-format-nonliteral"]


def setup(name, compiler, options=(), source=ROOT, top=None):
    """Configures the build folder `name` for these options, if it is not, and returns it."""
    folder = os.path.join(top or CHECK, name)
    wanted = json.dumps([compiler, list(options), source])
    stamp = os.path.join(folder, "options.json")
    try:
        with open(stamp, encoding="utf-8") as handle:
            same = handle.read() == wanted
    except FileNotFoundError:
        same = False
    if not same or not os.path.exists(os.path.join(folder, "build.ninja")):
        shutil.rmtree(folder, ignore_errors=True)
        need(["meson", "setup", folder, source, *options], f"meson setup {name}",
             env=dict(os.environ, CC=compiler))
        with open(stamp, "w", encoding="utf-8") as handle:
            handle.write(wanted)
    return folder


def build(name, compiler, options=(), **where):
    folder = setup(name, compiler, options, **where)
    need(["ninja", "-C", folder], f"building {name}")
    return folder


def meson_tests(report, folder, title, suites=(), env=None):
    """Runs Meson's tests and counts their subtests."""
    log = os.path.join(folder, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    argv = ["meson", "test", "-C", folder, "--no-rebuild", "--num-processes", str(JOBS)]
    for suite in suites:
        argv += ["--suite", suite]
    status, output = run(argv, env=env, timeout=1500)
    if not os.path.exists(log):
        return report.fail(f"{title}: meson test (exit status {status})", output.splitlines()[-30:])
    with open(log, encoding="utf-8") as handle:
        for line in handle:
            result = json.loads(line)
            name = f"{title} {result['name'].rpartition(' / ')[2]}"
            text = result.get("stdout", "")
            if text.startswith("TAP version") or "\nok " in "\n" + text or "\nnot ok " in "\n" + text:
                code = result["returncode"]
                if result["result"] == "TIMEOUT":
                    report.fail(f"{name}: timed out")
                report.tap(name, text + comment(result.get("stderr", "")), code)
            elif result["result"] in ("OK", "EXPECTEDFAIL"):
                report.ok()
            elif result["result"] == "SKIP":
                report.skip(name, text.strip().rpartition("\n")[2] or "what it needs")
            else:
                lines = (text + "\n" + result.get("stderr", "")).splitlines()
                report.fail(f"{name}: {result['result']}, exit status {result['returncode']}", lines[-40:])
    return None


def comment(text):
    return "".join(f"\n# {line}" for line in text.splitlines()[-60:])


def main_build():
    """The igloo that unit and end-to-end tests use."""
    return build("gcc", "gcc" if shutil.which("gcc") else "cc", ["-Dwerror=true", *foreign_guest()])


def foreign_guest():
    """Options for an igloo that can start machines of aarch64, where what that takes can be had."""
    status, output = run([os.path.join(ROOT, "tests/e2e/musl")], timeout=300)
    return [f"-Dguest-aarch64-musl={output.splitlines()[-1]}"] if status == 0 else []


def unit(report):
    meson_tests(report, main_build(), "unit")


def sanitizers(report):
    """Unit tests, fuzz corpora and some of the end-to-end tests under ASan and UBSan, by clang."""
    if not shutil.which("clang"):
        return report.skip("sanitizers", "clang")
    folder = build("asan", "clang", ASAN)
    env = dict(os.environ, **SANITIZERS)
    meson_tests(report, folder, "sanitizers", ["unit", "fuzz"], env=env)
    from . import people  # it builds on this module
    return people.e2e_sanitized(report, os.path.join(folder, "src", "igloo"), SANITIZERS)
