"""Images that must be refused, each for a reason of its own, made here from nothing; and small ones that boot."""
import io
import pathlib
import struct
import subprocess
import tarfile

BOOT_CODE = bytes.fromhex("31c08ed8fcbe167cac84c07406baf803eeebf5f4ebfd") + b"BOOTED FROM DISK\r\n\0"
BOOT_SECTOR = BOOT_CODE.ljust(510, b"\0") + b"\x55\xaa"


def boot_disk(path, mib=4):
    """A raw disk whose boot sector says so on the serial line, with some data behind it."""
    data = b"".join(bytes([i % 251]) * 4096 for i in range(64))
    pathlib.Path(path).write_bytes(BOOT_SECTOR + data + bytes(mib * (1 << 20) - 512 - len(data)))
    return pathlib.Path(path)


def qemu_img(*arguments):
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def converted(raw, out, format, **options):
    extra = ["-o", ",".join(f"{k}={v}" for k, v in options.items())] if options else []
    qemu_img("convert", "-f", "raw", "-O", format, *extra, raw, out)
    return pathlib.Path(out)


def as_tar(out, *files):
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
        for file in files:
            archive.add(file, arcname=pathlib.Path(file).name)
    return pathlib.Path(out)


def patched(data, at, form, *values):
    out = bytearray(data)
    struct.pack_into(form, out, at, *values)
    return bytes(out)


def qcow2(tmp, *more):
    """A sound qcow2 with data, as bytes."""
    raw = boot_disk(tmp / "sound.raw")
    return converted(raw, tmp / "sound.qcow2", "qcow2").read_bytes()


def hostile(tmp):
    """name → (bytes, the code with which it is refused)."""
    tmp = pathlib.Path(tmp)
    sound = qcow2(tmp)
    l1_at = struct.unpack_from(">Q", sound, 40)[0]
    l2_at = struct.unpack_from(">Q", sound, l1_at)[0] & 0x00FFFFFFFFFFFE00
    out = {
        "empty": (b"", "body-missing"),
        "no-sectors": (b"x" * 1000, "image-truncated"),
        "gzip": (b"\x1f\x8b\x08" + bytes(509), "image-compressed"),
        "xz": (b"\xfd7zXZ\0" + bytes(506), "image-compressed"),
        "zip": (b"PK\x03\x04" + bytes(508), "image-compressed"),
        "qcow2-header-cut": (sound[:60] + b"", "image-truncated"),
        "qcow2-version": (patched(sound, 4, ">I", 9), "image-unsupported"),
        "qcow2-unknown-feature": (patched(sound, 72, ">Q", 1 << 40), "image-unknown-feature"),
        "qcow2-dirty": (patched(sound, 72, ">Q", 1), "image-dirty"),
        "qcow2-corrupt": (patched(sound, 72, ">Q", 2), "image-corrupt"),
        "qcow2-external-data": (patched(sound, 72, ">Q", 4), "image-external-data"),
        "qcow2-encrypted": (patched(sound, 32, ">I", 1), "image-encrypted"),
        "qcow2-clusters": (patched(sound, 20, ">I", 40), "image-corrupt"),
        "qcow2-too-large": (patched(patched(sound, 24, ">Q", 1 << 60), 36, ">I", 1 << 22), "image-corrupt"),
        "qcow2-absurd-l1": (patched(sound, 36, ">I", 0x7FFFFFFF), "image-absurd-tables"),
        "qcow2-absurd-refcounts": (patched(sound, 56, ">I", 0x7FFFFFFF), "image-absurd-tables"),
        "qcow2-absurd-snapshots": (patched(sound, 60, ">I", 0x7FFFFFFF), "image-snapshots"),
        "qcow2-snapshots-outside": (patched(patched(sound, 60, ">I", 1), 64, ">Q", 1 << 50), "image-snapshots"),
        "qcow2-l1-outside": (patched(sound, 40, ">Q", 1 << 50), "image-truncated"),
        "qcow2-l2-outside": (patched(sound, l1_at, ">Q", (1 << 50) | (1 << 63)), "image-truncated"),
        "qcow2-data-outside": (patched(sound, l2_at, ">Q", (1 << 50) | (1 << 63)), "image-truncated"),
        "qcow2-data-askew": (patched(sound, l2_at, ">Q", 0x10200 | (1 << 63)), "image-corrupt"),
        "qcow2-cut": (sound[:l2_at + 100], "image-truncated"),
    }
    qemu_img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", tmp / "backed.qcow2", "1M")
    out["qcow2-backing"] = ((tmp / "backed.qcow2").read_bytes(), "image-backing-file")
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={tmp}/data.raw,data_file_raw=on", tmp / "external.qcow2", "1M")
    out["qcow2-external-name"] = ((tmp / "external.qcow2").read_bytes(), "image-external-data")
    big = tmp / "alias.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", big, "4G")
    aliased = big.read_bytes()
    at = struct.unpack_from(">Q", aliased, 40)[0]
    out["qcow2-l2-twice"] = (patched(aliased, at, ">2Q", 0x10000 | (1 << 63), 0x10000 | (1 << 63)), "image-corrupt")

    qemu_img("create", "-q", "-f", "qcow2", tmp / "huge.qcow2", "3000G")
    out["qcow2-over-limit"] = ((tmp / "huge.qcow2").read_bytes(), "image-too-large")

    sparse = converted(tmp / "sound.raw", tmp / "sound.vmdk", "vmdk").read_bytes()
    out["vmdk-header-cut"] = (sparse[:300], "image-truncated")
    out["vmdk-no-capacity"] = (patched(sparse, 12, "<Q", 0), "image-corrupt")
    out["vmdk-grains"] = (patched(sparse, 20, "<Q", 1 << 40), "image-absurd-tables")
    out["vmdk-grain-tables"] = (patched(sparse, 44, "<I", 1 << 30), "image-absurd-tables")
    out["vmdk-descriptor-size"] = (patched(sparse, 36, "<Q", 1 << 40), "image-absurd-tables")
    out["vmdk-descriptor-outside"] = (patched(sparse, 28, "<Q", 1 << 40), "image-truncated")
    out["vmdk-directory-outside"] = (patched(sparse, 56, "<Q", 1 << 40), "image-truncated")
    out["vmdk-dirty"] = (patched(sparse, 72, "B", 1), "image-dirty")
    out["vmdk-parent"] = (sparse.replace(b"parentCID=ffffffff", b"parentCID=12345678"), "image-backing-file")
    out["vmdk-cut"] = (sparse[: len(sparse) // 3], "image-truncated")
    head = b'# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
    out["vmdk-extent-absolute"] = (head + b'RW 2 FLAT "/etc/passwd" 0\n', "image-extent-escapes")
    out["vmdk-extent-above"] = (head + b'RW 2 FLAT "../../../etc/passwd" 0\n', "image-extent-escapes")
    out["vmdk-extent-missing"] = (head + b'RW 2 FLAT "not-sent.vmdk" 0\n', "image-truncated")
    out["vmdk-device"] = (head.replace(b"monolithicFlat", b"fullDevice") + b'RW 2 FLAT "sda" 0\n', "image-unsupported")
    out["vmdk-cowd"] = (b"COWD" + bytes(508), "image-unsupported")

    vdi = converted(tmp / "sound.raw", tmp / "sound.vdi", "vdi").read_bytes()
    out["vdi-differencing"] = (patched(vdi, 0x4C, "<I", 4), "image-backing-file")
    out["vdi-cut"] = (vdi[:200] + bytes(312), "image-corrupt")
    out["vdi-blocks"] = (patched(vdi, 0x180, "<I", 0xFFFFFFFF), "image-corrupt")
    vhdx = converted(tmp / "sound.raw", tmp / "sound.vhdx", "vhdx").read_bytes()
    out["vhdx-cut"] = (vhdx[: 1 << 20], "image-corrupt")

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("../escape.vmdk", "a.ovf"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    out["ova-escape"] = (buffer.getvalue(), "image-extent-escapes")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("link.vmdk")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    out["ova-link"] = (buffer.getvalue(), "image-unsupported")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("readme.ovf")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    out["ova-no-disk"] = (buffer.getvalue(), "image-unsupported")
    out["ova-cut"] = (patched(buffer.getvalue(), 124, "12s", b"77777777777\0"), "image-truncated")
    return out
