#!/bin/bash
# A network of two hosts that no other process of the machine sees: runs a command on the near one.
# usage: [NETWORK_SERVICES=1] [NETWORK_BOUND=1] world.sh COMMAND...
#
#     near 9.9.9.1, 2620:fe::1, 127.0.0.1        the command; its own loopback has servers, too
#     far  9.9.9.10 (allowed), 9.9.9.20 (forbidden), 9.9.9.53 (DNS), 10.0.0.5, 10.0.0.6, 169.254.169.254,
#          2620:fe::10, 2620:fe::20, fd00::5; with services also 9.9.9.11 (allowed), 9.9.9.21 (forbidden);
#          with bound 9.9.9.30, 9.9.9.31
#
# Addresses as the internet has them, because igloo refuses others. servers.py is what listens there, and writes down who
# came; services.py are real servers and bound.py such that want a secret, on demand. An ordinary user gets it in a user namespace of its own, and in that a
# second one, where it has its own uid again.
# The command finds the folder of all this in $NETWORK_WORLD: ca.pem, www/, log, and *.ready while servers run.
set -u
umask 022
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

skip()
{
	echo "1..0 # SKIP $1"
	exit 0
}

certificates()
{
	local names="DNS:allowed.test,DNS:forbidden.test,DNS:code.test,DNS:closed.test,DNS:*.test,DNS:*.wild.test,IP:9.9.9.10,IP:9.9.9.20"
	local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
	openssl req -x509 "${key[@]}" -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 &&
		openssl req "${key[@]}" -keyout server.key -out server.csr -subj /CN=test &&
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem \
			-extfile <(echo "subjectAltName=$names")
}

# The PATH of services.py.
tools()
{
	HOME=$NETWORK_WORLD NIX_CONFIG="experimental-features = nix-command flakes" nix eval --impure --raw --expr "
		with (builtins.getFlake \"path:$IGLOO_E2E_PKGS\").legacyPackages.\${builtins.currentSystem};
		builtins.concatStringsSep \":\" (map (p: \"\${p}/bin\") [ nodejs git openssh-server ngtcp2-server ])"
}

# What the servers give out: a file, a git repository for dumb clients, the same files as a tarball.
www()
{
	mkdir -p www/files && echo "from afar" >www/files/hello && head -c 20000000 /dev/urandom >www/big || return
	git init -q --initial-branch=main work && cp www/files/hello work/ && git -C work add -A &&
		git -C work -c user.name=t -c user.email=t@example.org commit -qm one &&
		git clone -q --bare work www/repo.git && git -C www/repo.git update-server-info &&
		tar -C www -czf www/input.tar.gz files
}

if [[ $1 != --inside ]]; then
	for tool in ip openssl unshare nsenter git; do
		command -v $tool >/dev/null || skip "$tool"
	done
	flags=(-n -m)
	[[ $EUID == 0 ]] || flags+=(-U -r)
	unshare "${flags[@]}" ip link add near type veth peer name far 2>/dev/null ||
		skip "network namespaces and veth$([[ $EUID == 0 ]] || echo ', in user namespaces')"
	NETWORK_WORLD=$(mktemp -d "${TMPDIR:-/tmp}/world-XXXXXX") || exit 1
	export NETWORK_WORLD NETWORK_UID=$EUID NETWORK_GID
	NETWORK_GID=$(id -g)
	export NETWORK_SERVICES=${NETWORK_SERVICES-} NETWORK_TOOLS=
	unset http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY
	trap 'rm -rf "$NETWORK_WORLD"' EXIT
	trap 'exit 143' TERM HUP INT
	cd "$NETWORK_WORLD" || exit 1
	if [[ $NETWORK_SERVICES ]]; then
		[[ ${IGLOO_E2E_PKGS-} ]] || skip "packages in the host's Nix store"
		NETWORK_TOOLS=$(tools 2>setup.log) || {
			sed 's/^/# /' setup.log
			echo "Bail out! cannot find the programs for the servers"
			exit 1
		}
	fi
	{ certificates && www; } >setup.log 2>&1 || {
		sed 's/^/# /' setup.log
		echo "Bail out! cannot make certificates or files for the servers"
		exit 1
	}
	cd / || exit 1
	unshare "${flags[@]}" bash "$here/world.sh" --inside "$@" &
	wait $!
	exit $?
fi
shift

servers=()
end()
{
	kill "${servers[@]}" 2>/dev/null
	wait 2>/dev/null
}
trap end EXIT
trap 'exit 143' TERM HUP INT

setup()
{
	local ns=(nsenter -t "$far" -n) a
	ip link set lo up
	ip link add near type veth peer name far netns "$far" || return
	ip addr add 9.9.9.1/24 dev near
	ip addr add 2620:fe::1/64 dev near nodad
	ip addr add fd00::1/64 dev near nodad
	ip link set near up
	"${ns[@]}" ip link set lo up
	for a in 9.9.9.10/24 9.9.9.20/24 9.9.9.11/24 9.9.9.21/24 9.9.9.30/24 9.9.9.31/24 9.9.9.53/24 10.0.0.5/24 10.0.0.6/24 169.254.169.254/32; do
		"${ns[@]}" ip addr add $a dev far || return
	done
	for a in 2620:fe::10/64 2620:fe::20/64 fd00::5/64; do
		"${ns[@]}" ip addr add $a dev far nodad || return
	done
	"${ns[@]}" ip link set far up
	# What igloo does not stop would get there.
	ip route add default via 9.9.9.10 && ip -6 route add default via 2620:fe::10 &&
		"${ns[@]}" ip addr add 8.8.8.8/32 dev lo
	printf 'nameserver 9.9.9.53\n' >"$NETWORK_WORLD/resolv.conf"
	printf '127.0.0.1 localhost near hosts-loop.test\n::1 localhost\n9.9.9.10 hosts.test\n' >"$NETWORK_WORLD/hosts"
	mount --bind "$NETWORK_WORLD/resolv.conf" /etc/resolv.conf && mount --bind "$NETWORK_WORLD/hosts" /etc/hosts
}

unshare -n sleep 3600 &
far=$!
servers+=("$far")
until [[ $(readlink /proc/$far/ns/net) != "$(readlink /proc/self/ns/net)" && $(readlink /proc/$far/exe) == */sleep ]]; do
	sleep 0.02
done
setup >"$NETWORK_WORLD/setup.log" 2>&1 || {
	sed 's/^/# /' "$NETWORK_WORLD/setup.log"
	echo "Bail out! cannot make the network"
	exit 1
}
nsenter -t "$far" -n python3 "$here/servers.py" far "$NETWORK_WORLD" &
servers+=($!)
python3 "$here/servers.py" near "$NETWORK_WORLD" &
servers+=($!)
ready=(far near)
if [[ $NETWORK_SERVICES ]]; then
	PATH=$NETWORK_TOOLS:$PATH nsenter -t "$far" -n python3 "$here/services.py" "$NETWORK_WORLD" &
	servers+=($!)
	ready+=(services)
fi
if [[ ${NETWORK_BOUND-} ]]; then
	nsenter -t "$far" -n python3 "$here/bound.py" "$NETWORK_WORLD" &
	servers+=($!)
	ready+=(bound)
fi
for ((i = 0; i < 500 && ${#ready[@]} > 0; i++)); do
	while [[ ${#ready[@]} -gt 0 && -e $NETWORK_WORLD/${ready[-1]}.ready ]]; do unset "ready[-1]"; done
	sleep 0.02
done
if [[ $NETWORK_UID == 0 ]]; then
	"$@" &
else
	unshare -U --map-user="$NETWORK_UID" --map-group="$NETWORK_GID" "$@" &
fi
trap 'kill $! 2>/dev/null; wait $!; exit 143' TERM HUP INT
wait $!
