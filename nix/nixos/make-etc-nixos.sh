#!/usr/bin/env bash
# Makes /etc/nixos, once: a git repository with the flake that `rebuild` builds. What is there is never touched again.
set -eu -o pipefail
host=${IGLOO_HOST:-/igloo/host}
etc=${IGLOO_ETC_NIXOS:-/etc/nixos}

[[ ! -e $etc/flake.nix && ! -e $etc/.git ]] || exit 0
name=$(<"$host/name")
flake=$(<"$host/flake")
# In a URL, and in a string of Nix.
quoted()
{
	local byte
	for byte in $(printf %s "$1" | od -An -v -tx1); do
		case $byte in
		2d | 2e | 2f | 3[0-9] | 4[1-9a-f] | 5[0-9a] | 5f | 6[1-9a-f] | 7[0-9a] | 7e) printf '%b' "\\x$byte" ;;
		*) printf '%%%s' "${byte^^}" ;;
		esac
	done
}
# The flake's own folder may be below the repository's, and is not to be seen at its place yet.
box=${IGLOO_BOX:-/igloo/box}
top=$flake
while [[ $top != / && ! -e $box$top/.git ]]; do
	top=$(dirname "$top")
done
if [[ $top == / ]]; then
	url=path:$(quoted "$flake")
else
	url=git+file://$(quoted "$top")
	[[ $top == "$flake" ]] || url+="?dir=$(quoted "${flake#"$top"/}")"
fi

mkdir -p "$etc"
umask 022
[[ -e $etc/configuration.nix ]] || cat >"$etc/configuration.nix" <<END
# What this machine has beyond the system of its repository. Edit, then run: rebuild
{ config, lib, pkgs, ... }:

{
  # environment.systemPackages = [ pkgs.htop ];
}
END
[[ -e $etc/hardware-configuration.nix ]] || cat >"$etc/hardware-configuration.nix" <<END
# The machine is igloo's: file systems, network and kernel modules come from igloo's module, which the system of the
# repository has. This is for what belongs to one machine only.
{ config, lib, ... }:

{
}
END
cat >"$etc/flake.nix.new" <<END
{
  description = "The system of this machine: that of its repository, and configuration.nix";

  # Where the repository is in the machine. After a change there: rebuild --update
  inputs.repository.url = "$url";

  outputs = { self, repository }: {
    nixosConfigurations."$name" = repository.nixosConfigurations."$name".extendModules {
      modules = [ ./hardware-configuration.nix ./configuration.nix ];
    };
  };
}
END
cd "$etc"
git init -q -b main .
mv flake.nix.new flake.nix
git add -A
git -c user.name=igloo -c user.email=igloo@localhost commit -q -m "The system as igloo first started it"
