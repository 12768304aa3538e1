#!/usr/bin/env python3
"""
A second implementation of docs/format/key.md, written from that page alone: makes the golden bytes that the C code
must open, and must write again bit for bit. It shares no code with libsodium.

    pip install argon2-cffi pycryptodome
    tests/unit/crypto/golden.py > tests/unit/crypto/golden.h
    tests/unit/crypto/golden.py --corpus tests/fuzz/corpus
"""
import hashlib
import os
import struct
import sys

from argon2.low_level import Type, hash_secret_raw
from Crypto.Cipher import ChaCha20_Poly1305
from Crypto.PublicKey import ECC


def run(first, count):
    return bytes((first + i) % 256 for i in range(count))


def kdf(key, number, context, size=32):
    return hashlib.blake2b(b"", digest_size=size, key=key, salt=struct.pack("<QQ", number, 0),
                           person=context.ljust(16, b"\0")).digest()


def keyed(key, data, size=32):
    return hashlib.blake2b(data, digest_size=size, key=key).digest()


def seal(key, nonce, ad, plain):
    cipher = ChaCha20_Poly1305.new(key=key, nonce=nonce)
    cipher.update(ad)
    return b"".join(cipher.encrypt_and_digest(plain))


def public(curve, seed):
    return ECC.construct(curve=curve, seed=seed).public_key().export_key(format="raw")


H = run(0x10, 32)
HOLDER = run(0xA0, 16)
KEEPER_H, KEEPER = run(0x11, 32), run(0xA1, 16)
ROOT_SEED = run(0x30, 32)
ROOT_PUBLIC = public("Ed25519", ROOT_SEED)
REPO = hashlib.blake2b(b"mailhold repository 1" + ROOT_PUBLIC, digest_size=32).digest()[:16]
K_ID = run(0x50, 32)
K_STRUCT, K_SYNC, K_DROP, CONTENT_SECRET = (run(n, 32) for n in (0x70, 0x90, 0xB0, 0xD0))
CONTENT_PUBLIC = public("Curve25519", CONTENT_SECRET)
SALT = run(0x01, 16)
NONCE = run(0x40, 24)
PASSWORD = b"correct horse"
KEY_FILE = run(0x20, 32)
LABEL = b"laptop of Ann"


def slot(kind, ops, mem, a):
    clear = b"mh-slot\0" + struct.pack("<HHIQ", 1, kind, ops, mem) + SALT + HOLDER + REPO + kdf(a, 2, b"mh_cmt__")
    plain = (H + ROOT_PUBLIC + bytes([len(LABEL)]) + LABEL).ljust(368, b"\0")
    return clear + NONCE + seal(kdf(a, 1, b"mh_kek__"), NONCE, clear, plain)


def bundle_plain():
    plain = struct.pack("<BBHHH", 1, 7, 1, 0, 0) + ROOT_PUBLIC + K_ID + ROOT_SEED
    plain += struct.pack("<II", 1, 31) + K_STRUCT + K_SYNC + K_DROP + CONTENT_PUBLIC + CONTENT_SECRET
    whole = -(-(72 + len(plain) + 16) // 512) * 512
    return plain.ljust(whole - 72 - 16, b"\0")


def bundle_keeper_plain():
    plain = struct.pack("<BBHHH", 3, 0, 1, 0, 0) + ROOT_PUBLIC + bytes(32) + bytes(32)
    plain += struct.pack("<II", 1, 1) + K_STRUCT + bytes(4 * 32)
    return plain.ljust(424, b"\0")


def bundle_keeper():
    clear = b"mh-bndl\0" + struct.pack("<HHI", 1, 0, 0) + KEEPER + REPO
    return clear + NONCE + seal(kdf(KEEPER_H, 1, b"mh_bundl"), NONCE, clear, bundle_keeper_plain())


def label():
    clear = b"mh-labl\0" + struct.pack("<HHI", 1, 0, 1) + KEEPER + REPO
    plain = struct.pack("<q", 1795378500123) + bytes([len(LABEL)]) + LABEL.ljust(64, b"\0") + bytes(15)
    return clear + NONCE + seal(kdf(K_SYNC, 1, b"mh_names"), NONCE, clear, plain)


def bundle():
    clear = b"mh-bndl\0" + struct.pack("<HHI", 1, 0, 0) + HOLDER + REPO
    return clear + NONCE + seal(kdf(H, 1, b"mh_bundl"), NONCE, clear, bundle_plain())


def wrapped_seal(scope, key, seal_id, seal_key):
    ad = b"mh-seal\0" + struct.pack("<HHI", 1, scope, 1) + REPO + seal_id
    return NONCE + seal(kdf(key, 1, b"mh_wrap_"), NONCE, ad, seal_key)


SEAL_ID, SEAL_KEY = run(0xE0, 16), run(0xC0, 32)
SLOT_PASSWORD = slot(1, 2, 64 << 10, hash_secret_raw(PASSWORD, SALT, 2, 64, 1, 32, Type.ID))
SLOT_KEY_FILE = slot(2, 0, 0, keyed(KEY_FILE, b"mailhold key file 1" + SALT))
GOLDEN = {
    "slot_password": SLOT_PASSWORD,
    "slot_key_file": SLOT_KEY_FILE,
    "bundle": bundle(),
    "bundle_keeper": bundle_keeper(),
    "keeper_sign_public": public("Ed25519", kdf(KEEPER_H, 2, b"mh_sign_")),
    "label": label(),
    "repo": REPO,
    "sign_public": public("Ed25519", kdf(H, 2, b"mh_sign_")),
    "chunk_content": keyed(kdf(K_ID, 1, b"mh_chunk"), b"abc"),
    "chunk_struct": keyed(kdf(K_ID, 2, b"mh_chunk"), b"abc"),
    "chunk_sync": keyed(kdf(K_ID, 3, b"mh_chunk"), b"abc"),
    "anchor": keyed(kdf(K_ID, 1, b"mh_ankr_"), b"From: a\r\n\r\n", 16),
    "account": keyed(kdf(K_ID, 1, b"mh_acct_"), b"ann@example.org", 16),
    "cut_short": keyed(kdf(K_ID, 1, b"mh_cut__"), struct.pack("<I", 3) + b"key", 16)[:8],
    "cut_long": keyed(kdf(K_ID, 1, b"mh_cut__"), struct.pack("<I", 3) + b"k" * 125, 16)[:8],
    "gear": b"".join(kdf(K_ID, n, b"mh_cdc__", 64) for n in range(1, 33)),
    "wrapped_struct": wrapped_seal(2, K_STRUCT, SEAL_ID, SEAL_KEY),
    "wrapped_sync": wrapped_seal(3, K_SYNC, SEAL_ID, SEAL_KEY),
    "block": seal(SEAL_KEY, struct.pack("<QQQ", 258, 0, 0), b"about it", b"a block of chunks"),
    "box_ledger": NONCE + seal(kdf(K_STRUCT, 1, b"mh_ledgr"), NONCE, b"clear", b"a record"),
    "box_table": NONCE + seal(kdf(K_STRUCT, 1, b"mh_table"), NONCE, b"clear", b"a record"),
    "box_names": NONCE + seal(kdf(K_SYNC, 1, b"mh_names"), NONCE, b"clear", b"a record"),
    "box_cache": NONCE + seal(kdf(K_STRUCT, 1, b"mh_cache"), NONCE, b"clear", b"a record"),
}


def write_corpus(folder):
    files = {"key_slot/password": SLOT_PASSWORD, "key_slot/key_file": SLOT_KEY_FILE, "bundle/sealed": bundle(),
             "bundle/plain": bundle_plain(), "bundle/keeper": bundle_keeper_plain(), "bundle/cut": bundle_plain()[:100]}
    for name, data in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(data)


if len(sys.argv) > 2 and sys.argv[1] == "--corpus":
    write_corpus(sys.argv[2])
else:
    print("/* Made by golden.py, which is a second implementation of docs/format/key.md. */")
    print("/* clang-format off */")
    for name, data in GOLDEN.items():
        print(f"static const uint8_t golden_{name}[{len(data)}] = {{")
        for at in range(0, len(data), 16):
            print("\t" + " ".join(f"0x{b:02x}," for b in data[at:at + 16]))
        print("};")
