# SPDX-License-Identifier: GPL-3.0-or-later
"""An independent reader of Holdfast repositories, written from docs/format.md alone: lists points and restores one.

It shares no code with Holdfast and uses no index: packs are found by their directories. Slow and plain on purpose: it is a witness
that the format page says everything, and a last resort.

usage: reader.py REPOSITORY [--password-file FILE] list
       reader.py REPOSITORY [--password-file FILE] restore POINT FOLDER
"""
import argparse
import hashlib
import hmac
import os
import pathlib
import stat
import struct
import sys

import lz4.block
import nacl.bindings
import nacl.exceptions
import nacl.pwhash.argon2id
import nacl.public
import nacl.signing
import xxhash
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PIECE = 128 << 10
DATA, BLOCK, LIST, PAGE, MAP, ROOTS = 1, 2, 3, 4, 6, 7


class Bad(Exception):
    pass


class Cursor:
    """Section 1."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        if length > len(self.data) - self.at:
            raise Bad("too short")
        self.at += length
        return self.data[self.at - length:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def time(self):
        return int.from_bytes(self.take(8), "little", signed=True)

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                if byte == 0 and shift > 7:
                    raise Bad("a varint that is not the shortest")
                return value

    def zigzag(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def bytes(self):
        return self.take(self.varint())

    def text(self):
        return self.bytes().decode()

    def left(self):
        return len(self.data) - self.at


def derive(key, label):
    return hmac.new(key, label, hashlib.sha256).digest()


def unseal(secret, sealed):
    """libsodium's crypto_box_seal, 2.3."""
    public = nacl.bindings.crypto_scalarmult_base(secret)
    return nacl.bindings.crypto_box_seal_open(sealed, public, secret)


def check_signature(public, label, body):
    try:
        nacl.signing.VerifyKey(public).verify(label + b"\0" + body[:-64], body[-64:])
    except nacl.exceptions.BadSignatureError as error:
        raise Bad("a signature is not by its signer") from error
    return body[:-64]


def cleared(body):
    return Cursor(body[:-64])


class Repository:
    def __init__(self, place, password):
        self.place = pathlib.Path(place)
        self.read_config()
        self.open_keys(password)
        self.read_writers()
        self.sessions = {}
        self.locations = {}  # (domain, id) -> (pack path, kind, offset, length, blob number)
        self.read_packs()

    # ---- 1.2 and 3: small objects ----
    def record(self, name, kind):
        """The first of three copies that is whole."""
        for copy in ("0", "1", "2"):
            path = self.place / f"{name}.{copy}"
            if path.exists():
                data = path.read_bytes()
                if len(data) >= 48 and data[:8] == b"HOLDFAST" and hashlib.sha256(data[:-32]).digest() == data[-32:]:
                    version, found, length = struct.unpack("<HHI", data[8:16])
                    if version == 1 and found == kind and length == len(data) - 48:
                        return data[16:-32]
        raise Bad(f"no copy of '{name}' is whole")

    def names(self, folder, wanted=""):
        found = set()
        if (self.place / folder).is_dir():
            for path in (self.place / folder).iterdir():
                base, _, copy = path.name.rpartition(".")
                inner = base.partition(".")[2]
                if copy in ("0", "1", "2") and inner == wanted:
                    found.add(base)
        return sorted(found)

    def read_config(self):
        body = self.record("config", 1)
        self.repository, self.family, self.admin = body[:16], body[16:32], body[32:64]
        cursor = Cursor(check_signature(self.admin, b"holdfast config", body))
        cursor.take(64)
        cursor.time()
        if cursor.number(8):
            raise Bad("this repository needs a newer reader")
        cursor.number(8)
        if cursor.number(1) != 1 or cursor.number(1) != 1:
            raise Bad("an unknown algorithm")

    def open_slot(self, name, password):
        cursor = Cursor(check_signature(self.admin, b"holdfast slot", self.record(f"keys/{name}", 2)))
        slot, way = cursor.take(16), cursor.number(1)
        passes, memory, salt, public = cursor.number(4), cursor.number(4), cursor.take(16), cursor.take(32)
        cursor.time()
        cursor.text()
        bundle = cursor.bytes()
        if way == 0:
            secret = bytes(32)
        elif way == 1 and password is not None:
            secret = nacl.pwhash.argon2id.kdf(32, password, salt, opslimit=passes, memlimit=memory << 10)
        else:
            return None
        if nacl.bindings.crypto_scalarmult_base(secret) != public:
            return None
        return slot, secret, unseal(secret, bundle)

    def open_keys(self, password):
        for name in self.names("keys"):
            opened = self.open_slot(name, password)
            if opened:
                break
        else:
            raise Bad("no slot opens with this password")
        slot, secret, bundle = opened
        self.ring, self.domains = {}, {}
        cursor = Cursor(bundle)
        for _ in range(cursor.varint()):
            kind, number, key = cursor.number(1), cursor.number(4), cursor.take(32)
            if kind == 1:
                self.ring[number] = key
            elif kind == 4:
                self.domains[number] = key
        for name in self.names("ring"):
            cursor = Cursor(check_signature(self.admin, b"holdfast ring", self.record(f"ring/{name}", 4)))
            generation = cursor.number(4)
            cursor.take(32)
            cursor.time()
            for _ in range(cursor.varint()):
                if cursor.take(16) == slot:
                    self.ring[generation] = unseal(secret, cursor.take(80))
                else:
                    cursor.take(80)

    def read_writers(self):
        self.writers = {}
        for name in self.names("writers"):
            cursor = Cursor(check_signature(self.admin, b"holdfast writer", self.record(f"writers/{name}", 5)))
            writer, public, domain = cursor.take(16), cursor.take(32), cursor.number(4)
            cursor.take(32)
            generation, sealed = cursor.number(4), cursor.take(80)
            self.writers[writer] = (public, domain)
            if domain not in self.domains and generation in self.ring:
                self.domains[domain] = unseal(self.ring[generation], sealed)

    # ---- 5.1: sessions ----
    def session(self, slot):
        """Adds the keys of a session whose slot its writer has signed; gives (K_data, K_meta)."""
        session, writer = slot[:16], slot[16:32]
        if session not in self.sessions:
            domain, generation = struct.unpack("<II", slot[32:40])
            if writer not in self.writers or self.writers[writer][1] != domain:
                raise Bad("a session by an unknown writer")
            check_signature(self.writers[writer][0], b"holdfast session", slot)
            key = unseal(self.ring[generation], slot[40:120])
            self.sessions[session] = (derive(key, b"holdfast data"), derive(key, b"holdfast meta"))
        return self.sessions[session]

    # ---- 5: packs ----
    def read_packs(self):
        for kind, folder in ((1, "data"), (2, "meta"), (2, "mirror")):
            for path in sorted((self.place / folder).glob("*/*")):
                try:
                    self.read_pack(path, kind)
                except Bad as problem:
                    print(f"reader: pack '{path}' is passed over: {problem}", file=sys.stderr)

    def read_pack(self, path, kind):
        data = path.read_bytes()
        trailer = data[-64:]
        if data[:8] != b"HFpack1\n" or trailer[:8] != b"HFend1\n\0":
            raise Bad("no head or no trailer")
        if xxhash.xxh3_64_digest(trailer[:56]) != trailer[56:]:
            raise Bad("a damaged trailer")
        offset, length = struct.unpack("<QQ", trailer[24:40])
        directory = data[offset:offset + length]
        if xxhash.xxh3_128_digest(directory) != trailer[40:56]:
            raise Bad("a damaged directory")
        domain = struct.unpack("<I", data[28:32])[0]
        cursor = Cursor(directory)
        frames, blobs, slots = cursor.number(4), cursor.number(4), cursor.number(2)
        cursor.take(2)
        for _ in range(slots):
            self.session(cursor.take(296))
        table = [(cursor.number(4), cursor.take(2), cursor.number(2), cursor.take(16)) for _ in range(frames)]
        ids = [cursor.take(32) for _ in range(blobs)]
        at, number = 32 + slots * 296 + 8, 0
        for stored, _, count, _ in table:
            for blob in range(count):
                self.locations.setdefault((domain, ids[number]), []).append((path, kind, at, stored, blob))
                number += 1
            at += stored

    # ---- 4: frames; 2.2: identity ----
    def frame(self, path, kind, offset, length):
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(length)
        header = data[:48]
        if header[:4] != b"HFf1" or xxhash.xxh3_64_digest(header + data[56:56 + struct.unpack("<I", header[40:44])[0]]) \
                != data[48:56]:
            raise Bad("a damaged frame header")
        form, codec, count = header[4], header[5], struct.unpack("<H", header[6:8])[0]
        session, nonce = header[8:24], header[24:36]
        plain, clear_length, sealed_length = struct.unpack("<III", header[36:48])
        clear, sealed = data[56:56 + clear_length], data[56 + clear_length:]
        if len(sealed) != sealed_length or session not in self.sessions:
            raise Bad("a frame that does not fit")
        key = AESGCM(self.sessions[session][0 if kind == 1 else 1])
        if form == 1:
            body = self.decode(codec, key.decrypt(nonce, sealed, header + clear), plain)
            return self.split_group(body, clear, count)
        return [(BLOCK, [], self.open_row(key, nonce, header, clear, sealed, codec, count, plain))]

    @staticmethod
    def decode(codec, data, length):
        if codec == 0:
            plain = data
        elif codec == 1:
            plain = lz4.block.decompress(data, uncompressed_size=length)
        else:
            plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=length)
        if len(plain) != length:
            raise Bad("a frame of another length than it says")
        return plain

    @staticmethod
    def split_group(body, clear, count):
        cursor, refs = Cursor(body), Cursor(clear)
        counts = [refs.varint() for _ in range(count)] if clear else [0] * count
        table = [(cursor.number(1), cursor.varint()) for _ in range(count)]
        return [(kind, [refs.take(32) for _ in range(counts[i])], cursor.take(length))
                for i, (kind, length) in enumerate(table)]

    def open_row(self, key, nonce, header, clear, sealed, codec, count, plain):
        block, at = b"", 0
        for piece in range(count):
            row = clear[piece * 36:piece * 36 + 36]
            stored = struct.unpack("<I", row[:4])[0]
            length = min(PIECE, plain - piece * PIECE)
            if stored == 0:
                block += bytes(length)
                continue
            data = key.decrypt(nonce[:11] + bytes([piece]), sealed[at:at + stored], header + row)
            block += data if stored == length + 16 else self.decode(codec, data, length)
            at += stored
        return block

    def identity(self, domain, kind, refs, payload):
        key = derive(self.domains[domain], b"holdfast id")
        if kind == BLOCK:
            leaf = derive(self.domains[domain], b"holdfast leaf")
            payload = struct.pack("<I", len(payload)) + b"".join(
                derive(leaf, payload[at:at + PIECE]) for at in range(0, len(payload), PIECE))
        return derive(key, struct.pack("<BI", kind, len(refs)) + b"".join(refs) + payload)

    def blob(self, domain, name, kind):
        """(refs, payload), from the first place that gives what the id says."""
        for path, pack_kind, offset, length, number in self.locations.get((domain, name), ()):
            try:
                place = (path, pack_kind, offset, length)
                if getattr(self, "held", (None,))[0] != place:
                    self.held = (place, self.frame(*place))
                found, refs, payload = self.held[1][number]
            except Exception as problem:  # whatever a damaged frame leads to: try the next place
                print(f"reader: {path} at {offset}: {problem!r}", file=sys.stderr)
                continue
            if found == kind and self.identity(domain, kind, refs, payload) == name:
                return refs, payload
        raise Bad(f"blob {name.hex()} cannot be had")

    # ---- 9: points ----
    def points(self):
        result = []
        for name in self.names("points"):
            if (self.place / "points" / f"{name}.gone").exists():
                continue
            body = self.record(f"points/{name}", 10)
            cursor = Cursor(body)
            point = {"id": cursor.take(16), "session": cursor.take(16), "writer": cursor.take(16)}
            point["domain"] = cursor.number(4)
            cursor.take(16)
            point["roots"], flags, slot = cursor.take(32), cursor.number(4), cursor.take(296)
            clear = bytes(16) + body[16:cursor.at]  # the id is not known when the details are sealed
            nonce, sealed = cursor.take(12), cursor.bytes()
            signed = bytes(16) + body[16:cursor.at]
            signature = cursor.take(64)
            point["sequence"], point["time"] = cursor.number(8), cursor.time()
            if hashlib.sha256(signed).digest()[:16] != point["id"]:
                raise Bad("a point that is not what its id says")
            check_signature(self.writers[point["writer"]][0], b"holdfast point", signed + signature)
            details = Cursor(AESGCM(self.session(slot)[1]).decrypt(nonce, sealed, clear))
            point["name"], point["host"] = details.text(), details.text()
            point["flags"] = flags
            result.append(point)
        return sorted(result, key=lambda p: (p["sequence"], p["time"], p["id"]))

    # ---- 7: trees ----
    def entries(self, domain, name, roots=False):
        """Entries of a folder (or of the roots), with what their content needs."""
        refs, payload = self.blob(domain, name, ROOTS if roots else PAGE)
        refs, cursor = iter(refs), Cursor(payload)
        level, has_tail = cursor.number(1), cursor.number(1)
        if level:
            while cursor.left():
                cursor.bytes()
                cursor.varint()
                yield from self.entries(domain, next(refs))
            return
        tail = self.blob(domain, next(refs), DATA)[1] if has_tail else b""
        state = {"mtime": 0, "ctime": 0, "inode": 0, "tail": 0}
        while cursor.left():
            yield self.entry(domain, cursor, refs, state, tail)

    def entry(self, domain, cursor, refs, state, tail):
        entry = {"name": cursor.bytes(), "mode": cursor.varint(), "flags": cursor.number(1), "extras": b"", "link": None}
        if entry["mode"] == 0:
            entry["size"], entry["block"], _ = cursor.varint(), cursor.number(4), cursor.number(4)
            entry["content"] = cursor.number(1)
            entry["ref"] = next(refs) if entry["content"] == 5 else None
            return entry
        entry["uid"], entry["gid"] = cursor.varint(), cursor.varint()
        state["mtime"] += cursor.zigzag()
        entry["mtime"] = state["mtime"] * 10**9 + cursor.varint()
        state["ctime"] += cursor.zigzag()
        cursor.varint()
        state["inode"] = (state["inode"] + cursor.zigzag()) % 2**64
        if entry["flags"] & 4:
            entry["link"] = (cursor.varint(), state["inode"])
        kind = stat.S_IFMT(entry["mode"])
        entry["content"] = 0
        if kind == stat.S_IFREG:
            entry["size"], entry["content"] = cursor.varint(), cursor.number(1)
        elif kind == stat.S_IFDIR:
            entry["content"] = cursor.number(1)
        elif kind == stat.S_IFLNK:
            entry["target"] = cursor.bytes()
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            entry["device"] = (cursor.varint(), cursor.varint())
        if entry["flags"] & 2:
            entry["extras"] = cursor.bytes()
        if entry["flags"] & 8:
            entry["extras"] = self.blob(domain, next(refs), DATA)[1]
        if entry["content"] == 1:
            entry["tail"] = tail[state["tail"]:state["tail"] + entry["size"]]
            state["tail"] += entry["size"]
        elif entry["content"] >= 2:
            entry["ref"] = next(refs)
        return entry

    def write_list(self, domain, name, file):
        refs, payload = self.blob(domain, name, LIST)
        refs, cursor = iter(refs), Cursor(payload)
        level = cursor.number(1)
        while cursor.left():
            value = cursor.varint()
            if level:
                self.write_list(domain, next(refs), file)
            elif value & 1:
                file.seek(value >> 1, os.SEEK_CUR)
            else:
                file.write(self.blob(domain, next(refs), DATA)[1])

    def write_map(self, domain, name, file, block, first):
        refs, payload = self.blob(domain, name, MAP)
        refs, cursor = iter(refs), Cursor(payload)
        level, count = cursor.number(1), cursor.varint()
        bits = cursor.take((count + 7) // 8)
        for slot in range(count):
            if not bits[slot // 8] >> slot % 8 & 1:
                continue
            at = first + slot * 1024**level
            if level:
                self.write_map(domain, next(refs), file, block, at)
            else:
                file.seek(at * block)
                file.write(self.blob(domain, next(refs), BLOCK)[1])


class Restore:
    def __init__(self, repository, point, folder):
        self.repository, self.domain, self.folder = repository, point["domain"], folder
        self.links = {}

    def content(self, entry, path):
        with open(path, "xb") as file:
            if entry["content"] == 1:
                file.write(entry["tail"])
            elif entry["content"] == 2:
                file.write(self.repository.blob(self.domain, entry["ref"], DATA)[1])
            elif entry["content"] == 3:
                self.repository.write_list(self.domain, entry["ref"], file)
            elif entry["content"] == 5:
                self.repository.write_map(self.domain, entry["ref"], file, entry["block"], 0)
            file.truncate(entry["size"])

    def metadata(self, entry, path):
        os.chown(path, entry["uid"], entry["gid"], follow_symlinks=False)
        cursor = Cursor(entry["extras"])
        while cursor.left():
            tag, value = cursor.varint(), cursor.bytes()
            if tag == 1:
                name, _, content = value.partition(b"\0")
                os.setxattr(path, name, content, follow_symlinks=False)
        if not stat.S_ISLNK(entry["mode"]):
            os.chmod(path, stat.S_IMODE(entry["mode"]))
        os.utime(path, ns=(entry["mtime"], entry["mtime"]), follow_symlinks=False)

    def one(self, entry, path):
        mode = entry["mode"]
        if entry["link"] and entry["link"] in self.links:
            os.link(self.links[entry["link"]], path, follow_symlinks=False)
            return
        if mode == 0 or stat.S_ISREG(mode):
            self.content(entry, path)
        elif stat.S_ISDIR(mode):
            os.mkdir(path)
            if entry["content"] == 4:
                for child in self.repository.entries(self.domain, entry["ref"]):
                    self.one(child, os.path.join(path, child["name"]))
        elif stat.S_ISLNK(mode):
            os.symlink(entry["target"], path)
        else:
            os.mknod(path, mode, os.makedev(*entry.get("device", (0, 0))))
        if entry["link"]:
            self.links[entry["link"]] = path
        if mode:
            self.metadata(entry, path)

    def run(self, roots):
        for root in self.repository.entries(self.domain, roots, roots=True):
            name = root["name"].rstrip(b"/").rpartition(b"/")[2] or b"root"
            self.one(root, os.path.join(os.fsencode(self.folder), name))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("repository")
    parser.add_argument("--password-file")
    parser.add_argument("verb", choices=("list", "restore"))
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    password = pathlib.Path(args.password_file).read_bytes().rstrip(b"\n") if args.password_file else None
    repository = Repository(args.repository, password)
    points = repository.points()
    if args.verb == "list":
        for point in points:
            print(point["id"].hex(), point["name"])
        return 0
    prefix, folder = args.words
    chosen = [p for p in points if p["id"].hex().startswith(prefix)] if prefix != "latest" else points[-1:]
    if len(chosen) != 1:
        raise Bad(f"'{prefix}' names {len(chosen)} points")
    os.makedirs(folder, exist_ok=True)
    Restore(repository, chosen[0], folder).run(chosen[0]["roots"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
