"""A flake whose dev shell has a closure of many trivial store paths, for measuring.

They are sources: half of them files that refer to two more files and a folder each, so that one
reference brings in the whole tree, half of them folders. Evaluation makes them; one build refers to them all.
"""

import json
import os
import shutil
import tempfile

from . import generate
from .util import write_atomic

FLAKE = """{
  description = "A dev shell with a closure of COUNT trivial store paths, and the stdenv's";
INPUTS
  outputs = OUTPUTS: let
    count = COUNT;
    system = "SYSTEM";
    pkgs = PKGS.legacyPackages.${system};
    inherit (builtins) elemAt genList toFile toString;

    # Folders: one content, many names, so many store paths.
    folders = genList (i: builtins.path { path = ./folder; name = "synth-folder-${toString i}"; })
      (count / 2);
    # Files: a binary tree by references; file 0 leads to all others, and to every folder.
    leaves = count - count / 2;
    child = n: if n < leaves then "${elemAt files n}\\n" else "";
    files = genList (i: toFile "synth-file-${toString i}" ''
      ${toString i}
      ${child (2 * i + 1)}${child (2 * i + 2)}${if i < count / 2 then elemAt folders i else ""}
    '') leaves;
  in {
    devShells.${system}.default = pkgs.mkShellNoCC {
      name = "synth-COUNT";
      # The one build: a machine that made it once has the whole tree to give, by its closure.
      SYNTH = pkgs.writeText "synth-root" (elemAt files 0);
      shellHook = "export SYNTH_SIZE=COUNT";
    };
  };
}
"""


def synth(out, count, packages, cache, refresh=False):
    """Write the flake; `packages` is a generated folder, or None for a small one inside `out`."""
    generate.check_folder(out, "synth.json")
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    staging = tempfile.mkdtemp(prefix=os.path.basename(out) + ".new-",
                               dir=os.path.dirname(out) or ".")
    os.chmod(staging, 0o755)
    try:
        if packages:
            inputs = f'  inputs.pkgs.url = "path:{os.path.abspath(packages)}";'
            outputs, pkgs = "{ self, pkgs }@inputs", "inputs.pkgs"
        else:
            inputs, outputs = "", "{ self }"
            pkgs = "((import ./pkgs/flake.nix).outputs { inherit self; })"
            if os.path.isdir(f"{out}/pkgs"):
                shutil.copytree(f"{out}/pkgs", f"{staging}/pkgs")
            generate.generate(f"{staging}/pkgs", ["bash"], None, cache, refresh)
        text = FLAKE.replace("INPUTS\n", inputs + "\n" if inputs else "\n")
        for word, value in (("OUTPUTS", outputs), ("PKGS", pkgs), ("COUNT", str(count)),
                            ("SYSTEM", generate.SYSTEMS[generate.host_arch()])):
            text = text.replace(word, value)
        write_atomic(f"{staging}/flake.nix", text)
        write_atomic(f"{staging}/folder/share/data", "one of many\n")
        write_atomic(f"{staging}/folder/bin/.keep", "")
        write_atomic(f"{staging}/synth.json", json.dumps({"count": count}))
        os.chmod(f"{staging}/folder", 0o755)
        generate.swap(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
