{
  description = "Runs commands in the environment of a repository's flake.nix, sealed off from the machine";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }: let
    systems = [ "x86_64-linux" "aarch64-linux" ];
    each = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    package = { stdenv, lib, meson, ninja, pkg-config, jansson, libseccomp, c-ares, http-parser, libidn2, openssl, git, nix, makeWrapper, patchelf }:
      stdenv.mkDerivation {
        pname = "igloo";
        version = "0.1.0";
        src = self;
        nativeBuildInputs = [ meson ninja pkg-config makeWrapper patchelf ];
        buildInputs = [ jansson libseccomp c-ares http-parser libidn2 openssl ];
        # What igloo calls at run time; what the user has on PATH comes first.
        postInstall = ''
          wrapProgram $out/bin/igloo --suffix PATH : ${lib.makeBinPath [ git nix ]}
        '';
        # What igloo loads with dlopen; the fixup phase drops library paths that nothing is linked from.
        postFixup = ''
          patchelf --add-rpath ${lib.makeLibraryPath [ c-ares http-parser libidn2 openssl ]} $out/bin/.igloo-wrapped
        '';
        # The guest is linked static.
        hardeningDisable = [ "pie" ];
        LIBRARY_PATH = "${stdenv.cc.libc.static or ""}/lib";
        meta = {
          description = "Boxes for agents, builds and shells, from a repository's flake.nix";
          license = lib.licenses.mit;
          platforms = systems;
          mainProgram = "igloo";
        };
      };
  in {
    packages = each (pkgs: rec {
      igloo = pkgs.callPackage package { };
      default = igloo;
    });

    # For the systems of `igloo run --in vm --guest nixos`: docs/nixos.md.
    nixosModules = rec {
      igloo = ./nix/nixos/module.nix;
      default = igloo;
    };

    devShells = each (pkgs: {
      default = pkgs.mkShell {
        inputsFrom = [ (pkgs.callPackage package { }) ];
        packages = with pkgs; [ clang clang-tools shellcheck mandoc bubblewrap strace git nix (python3.withPackages (p: [ p.pexpect ])) ];
      };
    });
  };
}
