"""The few facts about an ELF file that placing it into the store needs."""

import struct

MACHINES = {"amd64": 62, "arm64": 183, "i386": 3, "armhf": 40, "riscv64": 243, "ppc64el": 21,
            "s390x": 22}
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB, DT_SONAME, DT_RPATH, DT_RUNPATH, DT_STRSZ = 1, 5, 14, 15, 29, 10


def parse(data):
    """Facts about a dynamic ELF program or library, or None for anything else."""
    if data[:4] != b"\x7fELF" or len(data) < 64:
        return None
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    try:
        if wide:
            kind, machine = struct.unpack_from(order + "HH", data, 16)
            (phoff,) = struct.unpack_from(order + "Q", data, 32)
            phentsize, phnum = struct.unpack_from(order + "HH", data, 54)
        else:
            kind, machine = struct.unpack_from(order + "HH", data, 16)
            (phoff,) = struct.unpack_from(order + "I", data, 28)
            phentsize, phnum = struct.unpack_from(order + "HH", data, 42)
        if kind not in (2, 3):  # ET_EXEC, ET_DYN
            return None
        loads, dynamic, interp = [], None, None
        for i in range(phnum):
            at = phoff + i * phentsize
            if wide:
                ptype, _, offset, vaddr, _, filesz = struct.unpack_from(order + "IIQQQQ", data, at)
            else:
                ptype, offset, vaddr, _, filesz = struct.unpack_from(order + "IIIII", data, at)
            if ptype == PT_LOAD:
                loads.append((vaddr, offset, filesz))
            elif ptype == PT_DYNAMIC:
                dynamic = (offset, filesz)
            elif ptype == PT_INTERP:
                interp = data[offset:offset + filesz].rstrip(b"\0").decode("ascii", "replace")
        if dynamic is None or not dynamic[1]:
            return None
        entries = []
        step = 16 if wide else 8
        for at in range(dynamic[0], dynamic[0] + dynamic[1], step):
            tag, value = struct.unpack_from(order + ("qQ" if wide else "iI"), data, at)
            if tag == 0:
                break
            entries.append((tag, value))
        table = dict(entries)
        address = table.get(DT_STRTAB)
        if address is None:
            return None
        start = next(o + address - v for v, o, size in loads if v <= address < v + size)
        strings = data[start:start + table.get(DT_STRSZ, 0)]

        def text(offset):
            return strings[offset:strings.index(b"\0", offset)].decode("utf-8", "surrogateescape")

        runpath = next((text(v) for t, v in entries if t in (DT_RUNPATH, DT_RPATH)), "")
        facts = {"machine": machine, "needed": [text(v) for t, v in entries if t == DT_NEEDED]}
        if interp:
            facts["interp"] = interp
        if DT_SONAME in table:
            facts["soname"] = text(table[DT_SONAME])
        if runpath:
            facts["runpath"] = [p for p in runpath.split(":") if p]
        if b"\0dlopen\0" in strings:
            facts["dlopen"] = True
        if interp and (b"\0system\0" in strings or b"\0popen\0" in strings
                       or b"\0/bin/sh\0" in data):
            facts["shell"] = True
        return facts
    except (struct.error, StopIteration, ValueError):
        return None  # not a well-formed ELF file (a test case, say): leave it alone
