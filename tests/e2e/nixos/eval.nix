# What nix/nixos/module.nix makes of a system, without nixpkgs: `lib` has the few functions that it calls, and priorities are
# dropped, since there is nobody else who says anything. With nixpkgs = the folder of one that has lib/, its own lib merges
# the module with options that take anything.
{ module, nixpkgs ? null, systemdStage1 ? false }:

let
  pkgs = builtins.listToAttrs (map (name: { inherit name; value = "/nix/store/${name}"; })
    [ "coreutils" "git" "gnused" "nixos-rebuild" ]) // {
      writeShellScriptBin = name: text: { inherit name text; outPath = "/nix/store/${name}-script"; };
    };

  small = rec {
    types = { bool = null; str = null; listOf = _: null; };
    mkOption = option: option;
    mkIf = condition: content: if condition then content else null;
    mkForce = content: content;
    mkDefault = mkForce;
    hiPrio = package: package;
    makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
    escapeShellArgs = words: builtins.concatStringsSep " " (map (word: "'${word}'") words);
    removeSuffix = suffix: text: let
      n = builtins.stringLength text - builtins.stringLength suffix;
    in if builtins.substring n (-1) text == suffix then builtins.substring 0 n text else text;
  };
  alone = let
    call = config: import module { inherit pkgs config; lib = small; };
    defaults = builtins.mapAttrs (_: option: option.default) (call { }).options.igloo;
  in (call {
    igloo = defaults;
    boot.initrd.systemd.enable = systemdStage1;
    nix.package = "/nix/store/nix";
    system.build = { };
  }).config;

  lib = import (nixpkgs + "/lib");
  anything = extra: lib.mkOption {
    type = lib.types.submodule ({ freeformType = lib.types.lazyAttrsOf lib.types.anything; } // extra);
    default = { };
  };
  merged = (lib.evalModules {
    specialArgs = { inherit pkgs; };
    modules = [
      {
        options.nix = anything { options.package = lib.mkOption { default = "/nix/store/nix"; }; };
        options.boot = anything {
          options.initrd = anything {
            options.systemd = anything { options.enable = lib.mkOption { default = systemdStage1; }; };
          };
        };
        options.system.build = lib.mkOption { default = { }; };
        config._module.freeformType = lib.types.lazyAttrsOf lib.types.anything;
      }
      module
    ];
  }).config;

  found = if nixpkgs == null then alone else merged;
in {
  inherit (found) fileSystems networking users security;
  inherit (found.systemd) services;
  nix = found.nix.settings;
  etc = found.environment.etc;
  loader = found.boot.loader.external;
  modules = found.boot.initrd.kernelModules;
  stage1 = if systemdStage1 then found.boot.initrd.systemd.services.igloo-folders.script
    else found.boot.initrd.postMountCommands;
  otherStage1 = let
    # nixpkgs throws for what a condition leaves undefined.
    other = builtins.tryEval (if systemdStage1 then found.boot.initrd.postMountCommands or null
      else found.boot.initrd.systemd.services.igloo-folders or null);
  in if other.success then other.value else null;
  scripts = builtins.listToAttrs (map (package: { inherit (package) name; value = package.text; })
    (builtins.filter builtins.isAttrs found.environment.systemPackages));
}
