# A small stdenv: mkDerivation and mkShell with the attributes and behaviour of nixpkgs',
# and a few of its trivial builders.
{ seed, support, system, buildSystem, packages }:
let
  inherit (builtins) concatMap concatStringsSep elem filter map removeAttrs;
  inherit (import ./lib.nix) flatten;
  pick = names: map (name: packages.${name}) (filter (name: packages ? ${name}) names);
  reverse = list: builtins.foldl' (acc: x: [ x ] ++ acc) [ ] list;
  catAttrs = name: sets: builtins.catAttrs name sets;

  # What every build has on its PATH, as in nixpkgs.
  initialPath = pick [
    "coreutils" "findutils" "diffutils" "sed" "grep" "gawk" "tar" "gzip" "bzip2" "make" "bash"
    "patch" "xz-utils" "file"
  ];
  shell = "${packages.bash}/bin/bash";

  # Runs in the seed's busybox, on the build machine, whatever the target.
  runSeed = name: attrs: script: derivation ({
    inherit name seed script;
    system = buildSystem;
    builder = "${seed}/bin/busybox";
    args = [ "sh" "-euc" "eval \"$script\"" ];
    preferLocalBuild = true;
  } // attrs);

  makeStdenv = cc: runSeed "stdenv-linux" {
    inherit initialPath shell support cc;
    locales = packages.libc-bin or null;
    defaultBuildInputs = if cc == null then [ ] else [ cc ];
  } ''
    mkdir -p "$out/nix-support"
    {
      echo "export SHELL=$shell"
      echo "initialPath=\"$initialPath\""
      echo "defaultNativeBuildInputs=\"$defaultBuildInputs\""
      echo "defaultBuildInputs=\"\""
      [ -z "$locales" ] || echo "export LOCPATH=$locales/lib/locale"
      cat "$support/setup.sh"
    } >"$out/setup"
  '' // { inherit cc shell initialPath; mkDerivation = mkDerivationWith cc; };

  cc = if packages ? gcc then packages.gcc else null;
  stdenv = makeStdenv cc;
  stdenvNoCC = makeStdenv null;

  mkDerivationWith = cc: attrs: let
    theStdenv = if cc == null then stdenvNoCC else stdenv;
    name = attrs.name or "${attrs.pname}-${attrs.version}";
    inputs = field: flatten (attrs.${field} or [ ]);
    structured = attrs.__structuredAttrs or false;
  in derivation (removeAttrs attrs [ "meta" "passthru" "env" "pos" ] // (attrs.env or { }) // {
    inherit name system;
    builder = attrs.builder or shell;
    args = attrs.args or [ "-e" "${support}/default-builder.sh" ];
    stdenv = theStdenv;
    buildInputs = inputs "buildInputs";
    nativeBuildInputs = inputs "nativeBuildInputs";
    propagatedBuildInputs = inputs "propagatedBuildInputs";
    propagatedNativeBuildInputs = inputs "propagatedNativeBuildInputs";
    depsBuildBuild = inputs "depsBuildBuild";
    configureFlags = attrs.configureFlags or [ ];
    patches = attrs.patches or [ ];
    strictDeps = attrs.strictDeps or false;
    doCheck = attrs.doCheck or false;
    doInstallCheck = attrs.doInstallCheck or false;
  } // (if structured then { inherit (attrs) __structuredAttrs; } else { })
  // (if attrs ? outputs then { inherit (attrs) outputs; } else { outputs = [ "out" ]; }))
  // (attrs.passthru or { }) // { meta = attrs.meta or { }; };

  mkShellWith = cc: {
    name ? "nix-shell", packages ? [ ], inputsFrom ? [ ], buildInputs ? [ ],
    nativeBuildInputs ? [ ], propagatedBuildInputs ? [ ], propagatedNativeBuildInputs ? [ ], ...
  }@attrs: let
    # Inputs of the other shells, but not those shells themselves.
    merge = field: (attrs.${field} or [ ])
      ++ filter (x: !(elem x inputsFrom)) (flatten (catAttrs field inputsFrom));
    rest = removeAttrs attrs [
      "name" "packages" "inputsFrom" "buildInputs" "nativeBuildInputs"
      "propagatedBuildInputs" "propagatedNativeBuildInputs" "shellHook"
    ];
  in mkDerivationWith cc ({
    inherit name;
    buildInputs = merge "buildInputs";
    nativeBuildInputs = packages ++ merge "nativeBuildInputs";
    propagatedBuildInputs = merge "propagatedBuildInputs";
    propagatedNativeBuildInputs = merge "propagatedNativeBuildInputs";
    shellHook = concatStringsSep "\n" (catAttrs "shellHook" (reverse inputsFrom ++ [ attrs ]));
    phases = [ "buildPhase" ];
    # The shell can be built too: its output keeps the closure alive.
    buildPhase = ''
      { echo "------------------------------------------------------------";
        echo " WARNING: the existence of this path is not guaranteed.";
        echo " It is an internal implementation detail for pkgs.mkShell.";
        echo "------------------------------------------------------------";
        echo;
        # Record all build inputs as runtime dependencies
        export;
      } >> "$out"
    '';
    preferLocalBuild = true;
  } // rest);

  writeTextFile = { name, text, executable ? false, destination ? "" }: runSeed name {
    inherit text destination;
    mode = if executable then "755" else "644";
    passAsFile = [ "text" ];
  } ''
    mkdir -p "$(dirname "$out$destination")"
    cat "$textPath" >"$out$destination"
    chmod "$mode" "$out$destination"
  '';

  # Folders are made real, files are linked; the first path wins.
  symlinkJoin = { name, paths ? [ ], postBuild ? "", pathsToLink ? [ "/" ], ... }: runSeed name {
    paths = flatten paths;
    inherit postBuild pathsToLink;
  } ''
    mkdir -p "$out"
    for path in $paths; do
      for sub in $pathsToLink; do
        [ -d "$path$sub" ] || continue
        cd "$path$sub"
        mkdir -p "$out$sub"
        find . -type d | while read -r dir; do
          [ -d "$out$sub/$dir" ] || { rm -f "$out$sub/$dir"; mkdir -p "$out$sub/$dir"; }
        done
        find . ! -type d | while read -r file; do
          [ -e "$out$sub/$file" ] || [ -L "$out$sub/$file" ] \
            || ln -s "$path$sub''${sub:+/}$file" "$out$sub/$file"
        done
      done
    done
    cd "$out"
    eval "$postBuild"
  '';

  alias = names: builtins.listToAttrs (concatMap (name:
    if packages ? ${names.${name}} && !(packages ? ${name})
    then [ { inherit name; value = packages.${names.${name}}; } ] else [ ])
    (builtins.attrNames names));
in alias {
  bashInteractive = "bash"; gnused = "sed"; gnugrep = "grep"; gnutar = "tar"; gnumake = "make";
  xz = "xz-utils"; sqlite = "sqlite3"; nodejs_18 = "nodejs"; python311 = "python3";
  cacert = "ca-certificates"; zlib = "zlib1g-dev"; openssl_3 = "openssl"; gcc12 = "gcc-12";
  ncurses = "ncurses-bin"; iproute2mac = "iproute2"; procps-ng = "procps"; utillinux = "util-linux";
} // {
  inherit stdenv stdenvNoCC system symlinkJoin writeTextFile;
  mkDerivation = mkDerivationWith cc;
  mkShell = mkShellWith cc;
  mkShellNoCC = mkShellWith null;
  buildEnv = symlinkJoin;
  writeText = name: text: writeTextFile { inherit name text; };
  writeScript = name: text: writeTextFile { inherit name text; executable = true; };
  writeScriptBin = name: text: writeTextFile {
    inherit name text; executable = true; destination = "/bin/${name}";
  };
  writeShellScriptBin = name: text: writeTextFile {
    inherit name; executable = true; destination = "/bin/${name}";
    text = "#!${shell}\n${text}\n";
  };
  runCommand = name: attrs: script: mkDerivationWith null (attrs // {
    inherit name; buildCommand = script;
  });
  buildPackages = packages;
  lib = import ./lib.nix;
}
