# A repository whose nixosConfigurations have systems of NixOS' shape, made by hand. @PKGS@, @SYSTEM@.
{
  inputs.nixpkgs.url = "path:@PKGS@";
  outputs = { self, nixpkgs }: let
    pkgs = nixpkgs.legacyPackages.@SYSTEM@;
    path = builtins.concatStringsSep ":" (map (p: "${p}/bin") (with pkgs; [ bash coreutils git ]));
    scripts = derivation {
      name = "igloo-scripts";
      system = "@SYSTEM@";
      builder = "${pkgs.bash}/bin/bash";
      PATH = path;
      src = ./igloo;
      args = [ "-c" ''
        mkdir -p $out/bin
        for f in $src/*.sh; do
          name=$(basename $f .sh)
          { echo '#!${pkgs.bash}/bin/bash'; echo 'PATH=${path}:$PATH'; tail -n +2 $f; } >$out/bin/$name
          chmod +x $out/bin/$name
        done
      '' ];
    };
    toplevel = { marker }: derivation {
      name = "nixos-system-test-${marker}";
      system = "@SYSTEM@";
      builder = "${pkgs.bash}/bin/bash";
      PATH = path;
      machine = ./machine;
      args = [ "-c" ''
        mkdir -p $out/sw/bin
        ln -s $machine/bzImage $out/kernel
        ln -s $machine/initrd $out/initrd
        echo -n "loglevel=4 igloo.marker=${marker} init=/nowhere" >$out/kernel-params
        echo -n @SYSTEM@ >$out/system
        echo -n 99.05.test >$out/nixos-version
        for f in ${scripts}/bin/* ${pkgs.coreutils}/bin/* ${pkgs.git}/bin/git ${pkgs.bash}/bin/bash; do ln -s $f $out/sw/bin; done
        for f in grep mount poweroff sed; do ln -s $machine/busybox $out/sw/bin/$f; done
        { echo '#!${pkgs.bash}/bin/bash'
          echo "PATH=$out/sw/bin:${path} SYSTEM=$out"
          cat $machine/stage2.sh; } >$out/init
        chmod +x $out/init
        : # coreutils close their outputs before they end, and Nix kills a builder that has none
      '' ];
    };
    system = marker: { config.system.build.toplevel = toplevel { inherit marker; }; };
  in {
    devShells.@SYSTEM@.default = pkgs.mkShell { packages = [ pkgs.bash pkgs.coreutils pkgs.git ]; };
    nixosConfigurations.test = system "first";
    nixosConfigurations.other = system "other";
    packages.@SYSTEM@.rebuilt = toplevel { marker = "rebuilt"; };
  };
}
