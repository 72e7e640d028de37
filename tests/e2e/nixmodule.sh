#!/bin/bash
# nix/nixos/module.nix, evaluated by this machine's Nix: alone, and, with NIXPKGS naming a folder of nixpkgs (its lib/ is
# enough), by nixpkgs' own module system.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$here/lib.sh"
module=$here/../../nix/nixos/module.nix

# evaluate [NAME VALUE]...: as JSON, to $T/json.
evaluate()
{
	NIX_CONFIG=$HOST_NIX nix-instantiate --eval --strict --json "$here/nixos/eval.nix" --arg module "$module" "$@" >"$T/json"
}
# value EXPRESSION: of the JSON, in Python.
value() { python3 -c 'import json, sys; v = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$T/json" "$1"; }

# look NAME [--arg NAME VALUE]...
look()
{
	local name=$1 script
	shift
	ok "$name: it evaluates" evaluate "$@"
	is "$name: what stage 1 mounts" "$(value '" ".join(k + "=" + f["device"] for k, f in sorted(v["fileSystems"].items()) if f.get("neededForBoot") or k == "/")')" \
		"/=tmpfs /igloo/box=box /igloo/host=igloo /igloo/state=state /nix=/igloo/box/nix"
	is "$name: the store is a bind mount of the box's" "$(value 'v["fileSystems"]["/nix"]["options"], v["fileSystems"]["/nix"]["depends"]')" "(['bind'], ['/igloo/box'])"
	like "$name: modules for 9p and the port" "$(value '" ".join(v["modules"])')" "*virtio_console*9pnet_virtio 9p*"
	value 'v["stage1"]' >"$T/stage1"
	ok "$name: its script is one for sh" sh -n "$T/stage1"
	like "$name: it takes the folders that are kept" "$(<"$T/stage1")" "*folders @(/mnt-root|/sysroot) @('/etc/nixos' '/root'|/etc/nixos /root)*"
	is "$name: there is one of it" "$(value 'v["otherStage1"]')" None
	is "$name: the guest's service" "$(value 'v["services"]["igloo-guest"]["serviceConfig"]["ExecStart"]')" "/igloo/host/guest --service /igloo/host/conf /igloo/box"
	is "$name: a rebuild leaves it alone" "$(value 'v["services"]["igloo-guest"]["restartIfChanged"]')" False
	is "$name: its end is the machine's" "$(value 'v["services"]["igloo-guest"]["unitConfig"]["SuccessAction"]')" poweroff
	is "$name: /etc/nixos is made once" "$(value 'v["services"]["igloo-etc-nixos"]["unitConfig"]["ConditionPathExists"]')" "!/etc/nixos/flake.nix"
	is "$name: a system is handed back as a boot loader is installed" "$(value 'v["loader"]')" "{'enable': True, 'installHook': '/nix/store/hand-back-script/bin/hand-back'}"
	is "$name: who runs there" "$(value 'v["users"]["users"]["igloo"]["uid"], v["security"]["sudo"]["extraRules"][0]["users"]')" "(1000, ['igloo'])"
	is "$name: nobody has a password" "$(value '[k for u in v["users"]["users"].values() for k in u if "assword" in k]')" "[]"
	is "$name: names are the gateway's to answer" "$(value 'v["etc"]["resolv.conf"]["source"]')" /etc/box/resolv.conf
	is "$name: no build users" "$(value 'v["nix"]["build-users-group"] == "" and not v["nix"]["sandbox"]')" True
	for script in rebuild nixos-rebuild; do
		is "$name: $script is there" "$(value "'$script' in v['scripts'] or '/nix/store/$script-script' in str(v)")" True
	done
}

look "scripted stage 1"
look "systemd in stage 1" --arg systemdStage1 true
if [[ ${NIXPKGS-} ]]; then
	look "by nixpkgs, scripted stage 1" --arg nixpkgs "$NIXPKGS"
	look "by nixpkgs, systemd in stage 1" --arg nixpkgs "$NIXPKGS" --arg systemdStage1 true
else
	skip "by nixpkgs' module system" "nixpkgs, named by NIXPKGS"
fi
