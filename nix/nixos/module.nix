# The module that makes a NixOS system a guest of igloo (`igloo run --in vm --guest nixos`); docs/nixos.md says how.
#
# Three folders of the host come by 9p, and nothing of them is known when the system is built:
#     igloo   read-only: what igloo says of this start, and the guest's program
#     box     the root of the box: store, workspace, HOME, what was shared
#     state   the system's own, kept from start to start
{ config, lib, pkgs, ... }:

let
  cfg = config.igloo;
  inherit (lib) mkDefault mkForce mkIf mkOption types;

  share = tag: extra: {
    device = tag;
    fsType = "9p";
    options = [ "trans=virtio" "version=9p2000.L" "msize=512000" "cache=mmap" ] ++ extra;
    neededForBoot = true;
  };
  script = name: packages: replace: pkgs.writeShellScriptBin name ''
    PATH=${lib.makeBinPath packages}:$PATH
    ${builtins.replaceStrings (builtins.attrNames replace) (builtins.attrValues replace)
      (builtins.readFile (./. + "/${name}.sh"))}
  '';
  handBack = script "hand-back" [ pkgs.coreutils ] { };
  makeEtcNixos = script "make-etc-nixos" (with pkgs; [ coreutils git ]) { };
  nixosRebuild = lib.hiPrio (script "nixos-rebuild" [ pkgs.coreutils ] {
    "@nixosRebuild@" = "${config.system.build.nixos-rebuild or pkgs.nixos-rebuild}";
  });
  rebuild = script "rebuild" [ pkgs.coreutils pkgs.git pkgs.gnused nixosRebuild config.nix.package ] { };

  # Shell functions cannot be given the words of a program's command line.
  folders = root: builtins.replaceStrings [ "\nfolders \"$@\"" ] [ "\nfolders ${root} ${lib.escapeShellArgs cfg.keep}" ]
    (lib.removeSuffix "\n" (builtins.readFile ./folders.sh));
in {
  options.igloo = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether this system is a guest of igloo: the machine that it runs in is igloo's.";
    };
    keep = mkOption {
      type = types.listOf types.str;
      default = [ "/etc/nixos" "/root" "/var/lib" "/var/log" ];
      description = ''
        Folders that are there again at the next start. All else but the Nix store, HOME of the user igloo, the workspace
        and what is shared with the box is memory.
      '';
    };
    sudo = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the user igloo, who runs what igloo starts, becomes root by sudo without a password.";
    };
  };

  config = mkIf cfg.enable {
    # -- file systems ------------------------------------------------------------------------------

    fileSystems = {
      "/" = {
        device = "tmpfs";
        fsType = "tmpfs";
        options = [ "mode=0755" "size=50%" ];
      };
      "/igloo/host" = share "igloo" [ "ro" ];
      "/igloo/box" = share "box" [ ];
      "/igloo/state" = share "state" [ ];
      "/nix" = {
        device = "/igloo/box/nix";
        fsType = "none";
        options = [ "bind" ];
        depends = [ "/igloo/box" ];
        neededForBoot = true;
      };
      # QEMU's 9p has no sockets.
      "/nix/var/nix/daemon-socket" = {
        device = "tmpfs";
        fsType = "tmpfs";
        options = [ "mode=0755" "size=64k" ];
        depends = [ "/nix" ];
      };
    };

    boot = {
      initrd = {
        availableKernelModules = [ "virtio_pci" "virtio_mmio" "virtio_blk" "virtio_rng" ];
        kernelModules = [ "virtio_pci" "virtio_mmio" "virtio_console" "virtio_net" "9pnet_virtio" "9p" "overlay" ];
        # Those that are kept, by a script: where they come from is made at the first start.
        postMountCommands = mkIf (!config.boot.initrd.systemd.enable) ''
          ${folders "/mnt-root"} || fail
        '';
        systemd.services.igloo-folders = mkIf config.boot.initrd.systemd.enable {
          description = "The folders that this machine keeps";
          unitConfig.DefaultDependencies = false;
          requiredBy = [ "initrd.target" ];
          after = [ "initrd-fs.target" ];
          before = [ "initrd-find-nixos-closure.service" "initrd-nixos-activation.service" "initrd.target" ];
          serviceConfig.Type = "oneshot";
          script = folders "/sysroot";
        };
      };
      # Where other machines install a boot loader, this one hands the system to igloo.
      loader = {
        grub.enable = mkForce false;
        external = {
          enable = true;
          installHook = "${handBack}/bin/hand-back";
        };
      };
      tmp.useTmpfs = mkDefault false;
    };
    swapDevices = mkForce [ ];

    # -- igloo's guest -------------------------------------------------------------------------------

    systemd.services = {
      igloo-guest = {
        description = "igloo's guest: runs what igloo asks for";
        wantedBy = [ "multi-user.target" ];
        wants = [ "igloo-etc-nixos.service" ];
        after = [ "igloo-etc-nixos.service" "systemd-tmpfiles-setup.service" "nix-daemon.socket" "dbus.service" ];
        # The machine is there for it; what a rebuild runs in is it.
        restartIfChanged = false;
        stopIfChanged = false;
        unitConfig = {
          SuccessAction = "poweroff";
          FailureAction = "poweroff";
        };
        serviceConfig = {
          Type = "exec";
          ExecStart = "/igloo/host/guest --service /igloo/host/conf /igloo/box";
          Delegate = true;
          KillMode = "mixed";
          TimeoutStopSec = 5;
          OOMPolicy = "continue";
          TasksMax = "infinity";
          LimitNOFILE = "1024:524288";
        };
      };
      igloo-etc-nixos = {
        description = "A first /etc/nixos";
        wantedBy = [ "multi-user.target" ];
        unitConfig.ConditionPathExists = "!/etc/nixos/flake.nix";
        restartIfChanged = false;
        environment.HOME = "/root";
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${makeEtcNixos}/bin/make-etc-nixos";
        };
      };
    };
    systemd.tmpfiles.rules = [
      "d /run/user 0755 root root -"
      "d /run/user/1000 0700 igloo igloo -"
    ];
    services.journald.extraConfig = "Storage=volatile";

    # -- who runs there --------------------------------------------------------------------------------

    users.users.igloo = {
      isNormalUser = true;
      uid = 1000;
      group = "igloo";
      home = "/home/igloo";
      # It is the slot's, and comes with the box.
      createHome = mkForce false;
      description = "who runs what igloo starts";
    };
    users.groups.igloo.gid = 1000;
    security.sudo = {
      enable = mkDefault true;
      extraRules = mkIf cfg.sudo [
        {
          users = [ "igloo" ];
          commands = [ { command = "ALL"; options = [ "NOPASSWD" "SETENV" ]; } ];
        }
      ];
    };

    # -- network: igloo's guest sets the addresses, the box's gateway answers for names -------------------------

    networking = {
      hostName = mkDefault "igloo";
      useDHCP = false;
      dhcpcd.enable = false;
      resolvconf.enable = false;
      usePredictableInterfaceNames = false;
    };
    environment.etc."resolv.conf".source = "/etc/box/resolv.conf";
    services.resolved.enable = false;
    services.timesyncd.enable = mkDefault false;

    # -- Nix ---------------------------------------------------------------------------------------------

    # The store is the slot's, by 9p: everything in it belongs to one user, who is not root here, so there is none to build
    # as and no sandbox to build in. The machine is the sandbox.
    nix = {
      settings = {
        experimental-features = [ "nix-command" "flakes" ];
        build-users-group = mkForce "";
        sandbox = mkForce false;
        trusted-users = [ "root" "igloo" ];
        auto-optimise-store = mkForce false;
      };
      extraOptions = "!include /etc/box/nix.conf";
    };
    environment.systemPackages = [ pkgs.git nixosRebuild rebuild ];
    # Whoever owns the repository outside is not root inside.
    environment.etc."gitconfig".text = mkDefault ''
      [safe]
      	directory = *
    '';
  };
}
