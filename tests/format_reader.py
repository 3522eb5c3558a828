#!/usr/bin/python3
"""Reads a region's folder (store/, volumes/) as docs/design/store.md and volume.md describe it, and knows nothing else; amid is stopped meanwhile.
Ends with counts of what was found, or with the first place where text and bytes differ: tests/format_reader.py DATA/regions/REGION"""
import ctypes, hashlib, os, pathlib, struct, sys

BLOCK, PAGE, GRAIN = 512 * 1024, 4096, 4096
LIVE, KINDS = 1, {1: "block", 2: "page", 3: "root"}
ALIGNMENT = {0: 4096, 1: 64}  # by class: blocks; pages and roots


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def expect(condition, what):
    if not condition:
        sys.exit(f"differs from the text: {what}")


def unzstd(data, size):
    library, out = ctypes.CDLL("libzstd.so.1"), ctypes.create_string_buffer(size)
    library.ZSTD_decompress.restype = library.ZSTD_getFrameContentSize.restype = ctypes.c_uint64
    expect(library.ZSTD_getFrameContentSize(data, ctypes.c_size_t(len(data))) == size, "the size that a frame says")
    expect(library.ZSTD_decompress(out, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data))) == size, "a frame")
    return out.raw


def read_header(data, offset, nonce):
    """An object's header, or None where there is none."""
    if len(data) < 64 or data[:4] != b"AMOB" or struct.unpack_from("<I", data, 60)[0] != crc32c(nonce + struct.pack("<Q", offset) + data[:60]):
        return None
    names = ("kind", "encoding", "state", "zero", "size", "stored", "digest", "rest")
    return dict(zip(names, struct.unpack_from("<BBBBII32s8xI", data, 4)))


def read_object(file, where, group, offset, header):
    """The plain bytes of a live object, verified."""
    expect(header["kind"] in KINDS and (header["kind"] == 1) == (group == 0), f"{where}: kind {header['kind']}")
    data = os.pread(file, header["stored"], offset + ALIGNMENT[group])
    expect((header["zero"], header["rest"]) == (0, crc32c(data) if group else 0) and header["encoding"] in (0, 1), f"{where}: {header}")
    plain = unzstd(data, header["size"]) if header["encoding"] else data
    expect(hashlib.sha256(plain).digest() == header["digest"] and len(plain) == header["size"], f"{where}: digest")
    return plain


def read_pack(path, objects):
    file = os.open(path, os.O_RDONLY)
    first, length = os.pread(file, PAGE, 0), os.fstat(file).st_size
    version, group, number = struct.unpack_from("<III", first, 8)
    expect(first[:8] == b"AMIDPACK" and version == 3 and group in ALIGNMENT and path.name == f"{number:010}.pack", path)
    expect(struct.unpack_from("<I", first, 60)[0] == crc32c(first[:60]) and not any(first[40:60] + first[64:]), f"{path}: header")
    offset, step = PAGE, ALIGNMENT[group]
    while offset < length:
        header = read_header(os.pread(file, 64, offset), offset, first[24:40])
        if not header:
            offset += step
            continue
        if header["state"] == LIVE:
            plain = read_object(file, f"{path} at {offset}", group, offset, header)
            expect(header["digest"] not in objects, f"{path} at {offset}: a second live copy")
            objects[header["digest"]] = dict(header, pack=number, offset=offset, plain=plain if header["kind"] != 1 else None)
        offset = -(-(offset + step + header["stored"]) // step) * step
    os.close(file)


def read_index(path, objects):
    data = path.read_bytes()
    version, slot_size, slots, used, live, live_bytes = struct.unpack_from("<IIQQQQ", data, 8)
    clean, collecting = struct.unpack_from("<II", data, 56)
    expect(data[:8] == b"AMIDIDX1" and (version, slot_size) == (1, 64) and slots & (slots - 1) == 0, "index header")
    expect(len(data) == PAGE + 64 * slots and (clean, collecting) == (1, 0), "index file")
    states = [data[PAGE + 64 * i + 56] & 3 for i in range(slots)]
    expect(used == sum(state != 0 for state in states) and live == states.count(1) == len(objects), "counts of the index")
    total = 0
    for i in (i for i in range(slots) if states[i] == 1):
        at = PAGE + 64 * i
        found = objects.get(data[at:at + 32])
        expect(found, f"slot {i}: no live object {data[at:at + 32].hex()}")
        pack, offset, size, stored, _generation, kind, encoding, zero = struct.unpack_from("<IIIIIBBH", data, at + 32)
        expect((pack, 64 * offset, size, stored, kind, encoding) ==
               tuple(found[name] for name in ("pack", "offset", "size", "stored", "kind", "encoding")), f"slot {i}: place")
        step, home = ALIGNMENT[int(kind != 1)], struct.unpack_from("<Q", data, at)[0] % slots
        total += -(-(64 * offset + step + stored) // step) * step - 64 * offset
        expect(all(states[(home + n) % slots] for n in range((i - home) % slots)), f"slot {i}: cannot be found by probing")
    expect(total == live_bytes, "bytes of the index")


def check_page(found, objects):
    """How many blocks there are below a page."""
    data = found["plain"]
    magic, version, level, count = struct.unpack_from("<4sBBH", data)
    bits = [n for n in range(128) if data[8 + n // 8] >> n % 8 & 1]
    below = [objects.get(data[at:at + 32]) for at in range(24, len(data), 32)]
    expect(magic == b"AMPG" and version == 3 and level and 1 <= count == len(bits) == len(below) and len(data) == 24 + 32 * count, "page")
    for child in below if "blocks" not in found else []:
        expect(child and child["kind"] == (1 if level == 1 else 2), "child of a page")
        expect(child["size"] == BLOCK if level == 1 else child["plain"][5] == level - 1, "size of a block, or level of a page")
    found["blocks"] = found.get("blocks") or (count if level == 1 else sum(check_page(child, objects) for child in below))
    return found["blocks"]


def check_root(found, objects):
    magic, version, levels, zero, block, zero2, size, blocks = struct.unpack_from("<4sBBHIIQQ", found["plain"])
    top, fewest = found["plain"][32:], 1
    while 128 ** fewest * BLOCK < size:
        fewest += 1
    expect(magic == b"AMRT" and (version, block, zero, zero2) == (3, BLOCK, 0, 0) and levels == fewest and len(top) == 32, "root")
    expect(not any(top) or top in objects and objects[top]["plain"][5] == levels, "top page of a root")
    expect(blocks == (check_page(objects[top], objects) if any(top) else 0), "number of blocks in a root")


def read_volume(folder, objects):
    data = (folder / "manifest").read_bytes()
    version, crc = struct.unpack_from("<II", data, 8)
    size, base_size, base_layer, base, count = struct.unpack_from("<QQQ32sI", data, 32)
    expect(data[:8] == b"AMIDVOLM" and version == 1 and crc == crc32c(data[16:]) and len(data) == 128 + 32 * count, f"{folder}: manifest")
    expect(size % 512 == 0 and 1 <= count <= 1024 and not any(data[92:128]), f"{folder}: manifest")
    expect(not any(base) or objects.get(base, {"kind": 0})["kind"] == 3 and base_size <= size, f"{folder}: base")
    for i in range(count):
        number, frozen, durable, rest = struct.unpack_from("<QQB15s", data, 128 + 32 * i)
        expect(number > base_layer and (frozen == 0) == (i + 1 == count) and durable in (0, 1) and not any(rest), f"{folder}: layer {i}")
        base_layer, layer_map = number, (folder / f"{number:08}.map").read_bytes()
        if not layer_map:
            continue
        expect(layer_map[:24] == struct.pack("<8sIIQ", b"AMIDLMAP", 1, 0, number) and not any(layer_map[24:PAGE]), f"{folder}: map")
        held = [n for n in range(4 * PAGE, 4 * len(layer_map)) if layer_map[n // 4] and layer_map[n // 4] >> 2 * (n % 4) & 3 == 1]
        expect(all((n - 4 * PAGE) * GRAIN < size for n in held), f"{folder}: a grain beyond the end")
        expect(os.stat(folder / f"{number:08}.data").st_size >= max([n - 4 * PAGE for n in held], default=0) * GRAIN, f"{folder}: data")


def main(region):
    objects, volumes = {}, sorted((region / "volumes").glob("vol-*"))
    for path in sorted((region / "store" / "packs").iterdir()):
        read_pack(path, objects)
    read_index(region / "store" / "index", objects)
    for found in objects.values():
        if found["kind"] != 1:
            (check_page if found["kind"] == 2 else check_root)(found, objects)
    for folder in volumes:
        read_volume(folder, objects)
    compressed = [found["encoding"] for found in objects.values()].count(1)
    print(f"plain={len(objects) - compressed} compressed={compressed} volumes={len(volumes)}")


main(pathlib.Path(sys.argv[1]))
