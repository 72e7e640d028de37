# The few functions of nixpkgs' lib that flakes of repositories tend to use.
rec {
  flatten = x: if builtins.isList x then builtins.concatMap flatten x else [ x ];
  optional = cond: x: if cond then [ x ] else [ ];
  optionals = cond: xs: if cond then xs else [ ];
  optionalString = cond: text: if cond then text else "";
  optionalAttrs = cond: set: if cond then set else { };
  genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
  concatMapStringsSep = sep: f: list: builtins.concatStringsSep sep (map f list);
  makeSearchPath = sub: paths: concatMapStringsSep ":" (p: "${p}/${sub}") (flatten paths);
  makeBinPath = makeSearchPath "bin";
  makeLibraryPath = makeSearchPath "lib";
  getExe = package: "${package}/bin/${package.meta.mainProgram or package.pname}";
  inherit (builtins) attrNames concatMap concatStringsSep elem filter head mapAttrs;
}
