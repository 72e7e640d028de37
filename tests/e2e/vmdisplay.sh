#!/bin/bash
# A machine's screen (--display) and sound (--audio). For time's sake machines start as root only.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$here/lib.sh"
if ! command -v qemu-system-x86_64 >/dev/null; then
	skip "machines" "qemu-system-x86_64"
	exit
elif [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	skip "machines" "an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
	exit
fi

mkproject project bash coreutils python3
cp "$here/display/tone.py" .
vm=(igloo run --in vm --kernel "$IGLOO_TEST_KERNEL" --accel tcg --memory 512M --cpus 1)
unset DISPLAY WAYLAND_DISPLAY PULSE_SERVER XAUTHORITY
# port BOX: where its screen is.
port() { igloo ls --json | python3 -c '
import json, sys
box = next(b for b in json.load(sys.stdin)["boxes"] if b["name"] == sys.argv[1])
print(next(p["host"] for p in box["ports"] if p["guest"] == 0))' "$1"; }
# Draws 100 lines of the colour #332211.
draw=(python3 -c 'open("/dev/fb0", "r+b", 0).write(b"\x11\x22\x33\0" * 1280 * 100)')

# -- what is refused before anything starts -------------------------------------------------------------------------

says "--display is a machine's" 125 '*--display*--in vm*' igloo run --display vnc -- true
says "--audio is a machine's" 125 '*--audio*--in vm*' igloo run --audio -- true
says "no such display: those there are are named" 125 '*mirror*window*vnc*' "${vm[@]}" --display mirror -- true
says "no such port" 125 '*65536*' "${vm[@]}" --display vnc:65536 -- true
if ! qemu-system-x86_64 -display help 2>/dev/null | grep -qx gtk; then
	says "a window without QEMU's part for it" 125 '*no gtk*hint:*qemu-system-gui*' "${vm[@]}" --display window -- true
else
	says "a window without a session" 125 '*WAYLAND_DISPLAY*DISPLAY*hint:*vnc*' "${vm[@]}" --display window -- true
	says "sound without a server" 125 '*--audio*PulseAudio*hint:*pipewire-pulse*' "${vm[@]}" --audio -- true
fi

# -- a screen, and sound --------------------------------------------------------------------------------------------

if [[ $EUID != 0 ]]; then
	skip "a screen, sound, a window" "root"
	exit
fi
audio=()
if command -v pulseaudio parecord pactl >/dev/null && qemu-system-x86_64 -audiodev help 2>/dev/null | grep -qx pa; then
	export PULSE_SERVER=unix:$T/pulse
	PULSE_RUNTIME_PATH=$T/run pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no \
		-L "module-native-protocol-unix socket=$T/pulse" -L "module-null-sink sink_name=null" >"$T/pulse.log" 2>&1 &
	server=$!
	if within 20 pactl info; then
		audio=(--audio)
	fi
fi
python3 -m http.server --bind 127.0.0.1 0 >"$T/server" 2>&1 &
taken=$!
within 20 grep -q 'port [0-9]' "$T/server"
number=$(sed -n 's/.* port \([0-9]*\).*/\1/p' "$T/server")
says "a port that is taken" 125 "*--display vnc*$number*" "${vm[@]}" --display "vnc:$number" -- true
kill "$taken"
prints "a screen has a name of its own" seen "${vm[@]}" --display vnc:0 "${audio[@]}" --detach --name seen -- sleep 1000
number=$(port seen)
like "igloo ports" "$(igloo ports seen)" "*$number->screen*"
like "its own text" "$(python3 "$here/display/rfb.py" "$number")" "1280x800 000000 *"
ok "a program draws" igloo exec seen -- "${draw[@]}"
like "what it drew" "$(python3 "$here/display/rfb.py" "$number" 332211)" "1280x800 *332211*"
ok "no other user sees it" bash -c "! setpriv --reuid 65534 --clear-groups python3 -c '
import socket
s = socket.create_connection((\"127.0.0.1\", $number), 20)
s.recv(1) or 1 / 0'"
prints "keyboard and tablet" yes igloo exec seen -- bash -c '[[ -w /dev/input/event0 && -w /dev/input/event1 ]] && echo yes'
if ((${#audio[@]})); then
	parecord -d null.monitor --raw --format=s16le --rate=48000 --channels=1 "$T/heard" 2>/dev/null &
	recorder=$!
	within 20 test -e "$T/heard"
	prints "a tone is played" played igloo exec seen -- python3 tone.py 1
	sleep 1
	kill "$recorder"
	wait $recorder 2>/dev/null
	ok "and heard" python3 -c '
import array, sys
heard = open(sys.argv[1], "rb").read()
samples = array.array("h", heard[:len(heard) // 2 * 2])
sys.exit(sum(abs(s) > 4000 for s in samples) < 2000)' "$T/heard"
	kill "$server"
	igloo stop seen >/dev/null
	says "sound without a server that answers" 125 '*--audio*' "${vm[@]}" --audio -- true
else
	skip "sound" "pulseaudio, and QEMU's part for it (qemu-system-gui)"
	igloo stop seen >/dev/null
fi

# -- a window -------------------------------------------------------------------------------------------------------

if ! command -v Xvfb >/dev/null || ! qemu-system-x86_64 -display help 2>/dev/null | grep -qx gtk; then
	skip "a window" "Xvfb and QEMU's part for it (qemu-system-gui)"
	exit
fi
mkdir "$T/fb"
Xvfb -displayfd 3 -screen 0 1400x1000x24 -nolisten tcp -fbdir "$T/fb" 3>"$T/number" >"$T/xvfb.log" 2>&1 &
server=$!
within 20 grep -q . "$T/number"
DISPLAY=:$(<"$T/number")
export DISPLAY
prints "a window" window "${vm[@]}" --display window --detach --name window -- sleep 1000
igloo exec window -- "${draw[@]}"
# xwd(1)'s format: the picture behind the header.
ok "what a program drew is in it" within 30 python3 -c '
import sys
sys.exit(open(sys.argv[1], "rb").read().count(b"\x11\x22\x33") < 1000)' "$T/fb/Xvfb_screen0"
igloo stop window >/dev/null
kill "$server"
wait $server 2>/dev/null
