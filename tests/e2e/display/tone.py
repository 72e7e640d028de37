"""Plays SECONDS of a tone of 440 Hz on the first sound card, by ALSA's system calls (Linux include/uapi/sound/asound.h).
usage: tone.py SECONDS"""
import array
import fcntl
import math
import os
import struct
import sys

HW_PARAMS, PREPARE, WRITEI = 0xC2604111, 0x4140, 0x40184150
RATE = 48000


def mask(bit):
    return struct.pack("8I", 1 << bit, 0, 0, 0, 0, 0, 0, 0)


def params():
    # Read and write interleaved, S16_LE, of two channels; what is left open is the driver's to choose.
    fixed = {8: 16, 9: 32, 10: 2, 11: RATE}  # bits of a sample, of a frame, channels, rate
    p = struct.pack("I", 0) + mask(3) + mask(2) + mask(0) + bytes(5 * 32)
    for k in range(8, 20):
        p += struct.pack("III", fixed.get(k, 0), fixed.get(k, 0xFFFFFFFF), 4 if k in fixed else 0)
    p += bytes(9 * 12) + struct.pack("I", 0xFFFFFFFF)
    return bytearray(p.ljust(608, b"\0"))


def main():
    card = os.open("/dev/snd/pcmC0D0p", os.O_RDWR)
    fcntl.ioctl(card, HW_PARAMS, params(), True)
    fcntl.ioctl(card, PREPARE)
    for part in range(int(float(sys.argv[1]) * 10)):
        samples = array.array("h")
        for i in range(RATE // 10):
            samples.extend([int(12000 * math.sin(2 * math.pi * 440 * (part * RATE / 10 + i) / RATE))] * 2)
        try:
            fcntl.ioctl(card, WRITEI, struct.pack("qPQ", 0, samples.buffer_info()[0], RATE // 10))
        except BrokenPipeError:  # the machine was slower than the card
            fcntl.ioctl(card, PREPARE)
    print("played")


main()
