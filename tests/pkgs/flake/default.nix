# `import nixpkgs { system = …; }`, as for nixpkgs.
{ system ? builtins.currentSystem, ... }:
((import ./flake.nix).outputs { self = { }; }).legacyPackages.${system}
