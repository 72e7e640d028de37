# Makes the derivations in this folder, with Nix 2.8:
#   nix-instantiate --store DIR --option experimental-features ca-derivations generate.nix -A top -A floating -A deferred
let
  sys = "x86_64-linux";
  mk = a: derivation ({ system = sys; builder = "/bin/sh"; } // a);
  lib = mk { name = "lib-1.2+git_3?x=y"; outputs = [ "out" "dev" "man" ]; args = [ "-c" "echo $out > $out; echo > $dev; echo > $man" ]; };
  src = builtins.toFile "builder.sh" "echo > $out";
  text = builtins.toFile "hello.txt" "hello\n";
  flat = mk { name = "flat.tar.gz"; outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "0000000000000000000000000000000000000000000000000001"; url = "https://example.org/a"; };
  flat2 = mk { name = "flat.tar.gz"; outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "0000000000000000000000000000000000000000000000000001"; url = "https://mirror.example.org/a"; dep = lib; };
  rec256 = mk { name = "tree"; outputHashMode = "recursive"; outputHash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; builder = "builtin:fetchurl"; };
  sha1 = mk { name = "old"; outputHashMode = "recursive"; outputHashAlgo = "sha1"; outputHash = "da39a3ee5e6b4b0d3255bfef95601890afd80709"; };
  md5 = mk { name = "older"; outputHashAlgo = "md5"; outputHash = "d41d8cd98f00b204e9800998ecf8427e"; };
  sha512 = mk { name = "big"; outputHashAlgo = "sha512"; outputHash = builtins.hashString "sha512" ""; };
  attrs = mk { name = "structured"; __structuredAttrs = true; outputs = [ "out" "lib" ]; list = [ 1 "two" { three = lib.dev; } ]; "ünï" = "cödé"; };
  escapes = mk { name = "escapes"; args = [ "-c" "a\nb\tc\rd\"e\\f" "" "$'x'" ]; quote = "\"quoted\" \\n \\\\"; lines = "1\n2\r\n3\t"; unicode = "žluťoučký 🐎 \u00e9"; empty = ""; out2 = "x"; passAsFile = [ "big" ]; big = "content"; control = builtins.fromJSON "\"\\u0001\\u007f\""; };
  allof = mk { name = "deep"; graph = builtins.unsafeDiscardOutputDependency lib.drvPath; whole = lib.drvPath; };
  floating = mk { name = "floating"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; outputs = [ "out" "dev" ]; };
in {
  inherit floating;
  deferred = mk { name = "deferred"; dep = floating.dev; inherit lib; };
  top = mk {
    name = "top-1.0"; outputs = [ "bin" "out" ];
    args = [ "-e" src text ];
    inputs = [ lib.out lib.dev flat flat2 rec256 sha1 md5 sha512 attrs attrs.lib escapes allof ];
  };
}
