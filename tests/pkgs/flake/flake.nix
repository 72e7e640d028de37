{
  description = "Debian packages as Nix packages, without a binary cache";

  outputs = { self }: let
    # Only what is reached through these becomes an input of a derivation, so that a package
    # stays built when others are added beside it.
    source = path: name: builtins.path { inherit path name; };
    seed = source ./seed "debnix-seed";
    support = source ./support "debnix-support";
    stdenvSupport = source ./stdenv "debnix-stdenv";
    targets = builtins.fromJSON (builtins.readFile ./targets.json);

    forTarget = target: import ./packages.nix {
      inherit seed support stdenvSupport source;
      redirect = source (./redirect + "/${target}") "debnix-redirect";
      inherit (targets) buildSystem;
      folder = ./targets + "/${target}";
    };
    perSystem = builtins.listToAttrs (map (target: let
      set = forTarget target;
    in { name = set.system; value = set; }) targets.names);
  in {
    lib = import ./lib.nix;
    packages = builtins.mapAttrs (_: set: set.packages) perSystem;
    legacyPackages = builtins.mapAttrs (_: set: set.packages // set.tools) perSystem;
    # For `debnix build`: which store path a package name stands for.
    outPaths = builtins.mapAttrs (_: set: set.outPaths) perSystem;
    outputs = builtins.mapAttrs (_: set: set.outputs) perSystem;
  };
}
