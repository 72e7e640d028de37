# The packages of one architecture, and the tools to build more from them.
{ seed, support, stdenvSupport, redirect, buildSystem, folder, source }:
let
  data = builtins.fromJSON (builtins.readFile (folder + "/packages.json"));
  inherit (data) system;

  # A .deb: downloaded by Nix itself, or already in the store (`debnix build` puts it there).
  fetch = deb: derivation {
    inherit (deb) name url;
    system = "builtin";
    builder = "builtin:fetchurl";
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = deb.sha256;
    executable = false;
    unpack = false;
    preferLocalBuild = true;
  };

  # One store path. Unpacking and patching run nothing of the package itself, so the build
  # machine's system does for every architecture.
  groups = builtins.mapAttrs (id: group: derivation {
    name = "${group.name}-${group.version}";
    system = buildSystem;
    builder = "${seed}/bin/busybox";
    args = [ "sh" "${support}/builder.sh" ];
    inherit seed support;
    inherit (data) arch;
    debs = map fetch group.debs;
    deps = map (dep: groups.${dep}) group.deps;
    plan = source (folder + "/plans/${id}") "plan";
    preferLocalBuild = true;
    ${if group.redirect then "redirect" else null} = redirect;
  } // {
    pname = group.name;
    inherit (group) version;
    meta.mainProgram = group.name;
  }) data.groups;

  packages = builtins.mapAttrs (_: id: groups.${id}) data.names;
  tools = import ./stdenv.nix {
    inherit seed system buildSystem packages;
    support = stdenvSupport;
  };
in {
  inherit system packages tools;
  outputs = groups // { inherit (tools) stdenv; };
  outPaths = builtins.mapAttrs (_: output: output.outPath) (groups // { inherit (tools) stdenv; });
}
