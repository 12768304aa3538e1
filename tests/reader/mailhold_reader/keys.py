"""docs/format/key.md: slots, bundles, seals and boxes."""
import hashlib
import hmac
import os
import struct

from nacl import bindings
from nacl.exceptions import CryptoError

from .features import saw
from .wire import Cursor, Damaged, Refused, Unsupported, need

CONTENT, STRUCT, SYNC = 1, 2, 3
SCOPES = (CONTENT, STRUCT, SYNC)
FULL, DEPOSIT, KEEPER = 1, 2, 3
# A role's flags 0 and 1, and its row of `present`.
ROLES = {FULL: (3, 0x1F), DEPOSIT: (1, 0x0F), KEEPER: (0, 0x01)}
EPOCH_FIELDS = ("struct", "sync", "drop", "public", "secret")


def kdf(key, number, context, size=32):
    """libsodium's crypto_kdf: BLAKE2b without a message."""
    return hashlib.blake2b(b"", digest_size=size, key=key, salt=struct.pack("<QQ", number, 0),
                           person=context.ljust(16, b"\0")).digest()


def keyed(key, data, size=32):
    return hashlib.blake2b(data, digest_size=size, key=key).digest()


def plain_hash(data, size=32):
    return hashlib.blake2b(data, digest_size=size).digest()


def aead_open(key, nonce, ad, sealed, what):
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(bytes(sealed), ad, nonce, key)
    except (CryptoError, ValueError):
        raise Damaged(f"{what} does not open") from None


def signed_by(public, message, signature):
    try:
        bindings.crypto_sign_open(signature + message, public)
        return True
    except (CryptoError, ValueError):
        return False


def repository_id(root_public):
    return plain_hash(b"mailhold repository 1" + root_public)[:16]


def secret_of_key_file(path):
    """32 raw bytes, or 64 hex digits and a newline."""
    with open(path, "rb") as f:
        data = f.read(128)
    if len(data) == 32:
        return data
    if len(data) == 65 and data.endswith(b"\n"):
        try:
            return bytes.fromhex(data[:64].decode("ascii"))
        except ValueError:
            pass
    raise Refused(f"{path} is no key file")


class Slot:
    """Section 2: an object of 512 bytes that gives the holder's secret to who has a password or key file."""

    def __init__(self, data, name):
        c = Cursor(data, f"slot {name}")
        need(c.take(8) == b"mh-slot\0", f"{name} is no slot")
        if c.u16() != 1:
            raise Unsupported(f"slot {name} is of another version")
        need(len(data) == 512, f"slot {name} has {len(data)} bytes")
        self.kind, self.ops, self.mem = c.u16(), c.u32(), c.u64()
        self.salt, self.holder, self.repository = c.take(16), c.take(16), c.take(16)
        self.tag, self.nonce = c.take(32), c.take(24)
        self.ad, self.sealed, self.name = data[:104], c.take(384), name
        need(self.holder.hex() == name[:32], f"slot {name} names another holder")
        if self.kind == 1:
            # The cost is the store's word: limits come before any derivation.
            need(1 <= self.ops <= 16 and 8192 <= self.mem <= 1 << 32 and self.mem % 1024 == 0,
                 f"slot {name} asks for {self.ops} passes over {self.mem} bytes")
        elif self.kind == 2:
            need(self.ops == 0 and self.mem == 0, f"slot {name} of a key file names a cost")
        else:
            raise Unsupported(f"slot {name} is of unknown kind {self.kind}")

    def derive(self, password, key_file):
        """A of section 1, or None when this slot's kind is not what we were given."""
        if self.kind == 1 and password is not None:
            return bindings.crypto_pwhash_alg(32, password, self.salt, self.ops, self.mem,
                                              bindings.crypto_pwhash_ALG_ARGON2ID13)
        if self.kind == 2 and key_file is not None:
            return keyed(key_file, b"mailhold key file 1" + self.salt)
        return None

    def open(self, password, key_file):
        """(holder secret, root public key, label), or None when the secret is not this slot's."""
        a = self.derive(password, key_file)
        if a is None or not hmac.compare_digest(kdf(a, 2, b"mh_cmt__"), self.tag):
            return None
        plain = aead_open(kdf(a, 1, b"mh_kek__"), self.nonce, self.ad, self.sealed, f"slot {self.name}")
        c = Cursor(plain, f"slot {self.name}")
        secret, root, length, label = c.take(32), c.take(32), c.u8(), c.take(64)
        need(length <= 64 and not any(label[length:]), f"the label of slot {self.name} has {length} bytes")
        if any(c.take(c.left())):
            raise Unsupported(f"slot {self.name} was written by a newer version")
        need(repository_id(root) == self.repository, f"slot {self.name} is of another repository")
        return secret, root, label[:length]


def open_bundle(data, slot, secret, root):
    """Section 3. Gives (role, K_id, root seed, {epoch: {field: 32 bytes or None}})."""
    c = Cursor(data, f"bundle of {slot.name}")
    need(c.take(8) == b"mh-bndl\0", f"{slot.name}.bundle is no bundle")
    version, features = c.u16(), c.take(6)
    if version != 1 or any(features):
        raise Unsupported(f"{slot.name}.bundle was written by a newer version")
    need(len(data) % 512 == 0 and len(data) <= 65536, f"{slot.name}.bundle has {len(data)} bytes")
    need(c.take(16) == slot.holder and c.take(16) == slot.repository, f"{slot.name}.bundle is another's")
    plain = aead_open(kdf(secret, 1, b"mh_bundl"), c.take(24), data[:48], data[72:], f"bundle of {slot.name}")
    c = Cursor(plain, f"bundle of {slot.name}")
    role, flags, epochs, granted, others = c.u8(), c.u8(), c.u16(), c.u16(), c.u16()
    if role not in ROLES or flags & ~7:
        raise Unsupported(f"{slot.name}.bundle was written by a newer version")
    need(flags & 3 == ROLES[role][0], f"{slot.name}.bundle: flags {flags} of role {role}")
    need(1 <= epochs <= 128 and granted <= 1024 and others <= (512 if role == FULL else 0),
         f"{slot.name}.bundle: {epochs} epochs, {granted} accounts, {others} holders")
    need(c.take(32) == root, f"{slot.name}.bundle has another root key than its slot")
    k_id, seed = c.take(32), c.take(32)
    if flags & 2:
        need(bindings.crypto_sign_seed_keypair(seed)[0] == root, f"{slot.name}.bundle: root seed is not the root's")
    table = dict(read_epoch(c, role) for _ in range(epochs))
    need(len(table) == epochs and list(table) == sorted(table), f"{slot.name}.bundle: epochs do not rise")
    c.take(16 * granted + 48 * others)
    if any(c.take(c.left())):
        raise Unsupported(f"{slot.name}.bundle was written by a newer version")
    return role, k_id if flags & 1 else None, table


def read_epoch(c, role):
    number, present = c.u32(), c.u32()
    if present & ~0x1F:
        raise Unsupported("an epoch was written by a newer version")
    need(number >= 1 and present == ROLES[role][1], f"epoch {number} of role {role} has fields {present:#x}")
    values = {}
    for bit, name in enumerate(EPOCH_FIELDS):
        value = c.take(32)
        values[name] = value if present >> bit & 1 else None
        need(present >> bit & 1 or not any(value), f"epoch {number}: an absent field is not zeros")
    return number, values


class Keys:
    """What a holder's bundle gives, and everything that is derived from it."""

    def __init__(self, slot, role, root, k_id, epochs, secret):
        self.secret = secret
        self.holder, self.repository = slot.holder, slot.repository
        self.role, self.root, self.k_id, self.epochs = role, root, k_id, epochs
        self.chunk_keys = {scope: kdf(k_id, scope, b"mh_chunk") for scope in SCOPES} if k_id else {}

    def take_share(self, number, shares):
        """Section 7: one epoch more than the bundle has."""
        if number in self.epochs or self.holder not in shares:
            return
        public, own = bindings.crypto_box_seed_keypair(kdf(self.secret, 3, b"mh_rcpt_"))
        try:
            plain = bindings.crypto_box_seal_open(bytes(shares[self.holder]), public, own)
        except (CryptoError, ValueError):
            raise Damaged(f"the share of epoch {number} does not open") from None
        c = Cursor(plain, f"the share of epoch {number}")
        need(c.take(8) == b"mh-epch\0" and c.take(16) == self.repository and c.take(16) == self.holder,
             "a share for another holder or repository")
        got, values = read_epoch(c, self.role)
        c.end()
        need(got == number, f"a share of epoch {got} in the record of {number}")
        self.epochs[number] = values

    def epoch(self, number, field):
        value = self.epochs.get(number, {}).get(field)
        if value is None:
            raise Refused(f"this holder has no '{field}' key of epoch {number}")
        return value

    def chunk_id(self, scope, plain):
        return keyed(self.chunk_keys[scope], plain)

    def account_id(self, name):
        return keyed(kdf(self.k_id, 1, b"mh_acct_"), name, 16)

    def anchor(self, header_block):
        return keyed(kdf(self.k_id, 1, b"mh_ankr_"), header_block, 16)

    def gear(self):
        """256 numbers of 8 bytes: what the cutter rolls with."""
        table = b"".join(kdf(self.k_id, n, b"mh_cdc__", 64) for n in range(1, 33))
        return struct.unpack("<256Q", table)

    def cut(self, level, data):
        return struct.unpack("<Q", keyed(kdf(self.k_id, 1, b"mh_cut__"), struct.pack("<I", level) + data, 16)[:8])[0]

    def box_open(self, kind, epoch, ad, box, what):
        """Section 5. KIND is the context of the box's key: records, tables or names."""
        field = "sync" if kind == b"mh_names" else "struct"
        need(len(box) >= 40, f"{what} is too short for a box")
        return aead_open(kdf(self.epoch(epoch, field), 1, kind), bytes(box[:24]), ad, box[24:], what)

    def unwrap(self, seal_id, scope, epoch, wrapped):
        """Section 4: the key of a pack's seal."""
        what = f"seal {seal_id.hex()}"
        ad = b"mh-seal\0" + struct.pack("<HHI", 1, scope, epoch) + self.repository + seal_id
        field = {CONTENT: "drop", STRUCT: "struct", SYNC: "sync"}[scope]
        need(len(wrapped) == (120 if scope == CONTENT else 72), f"{what} has {len(wrapped)} bytes")
        inner = aead_open(kdf(self.epoch(epoch, field), 1, b"mh_wrap_"), wrapped[:24], ad, wrapped[24:], what)
        if scope != CONTENT:
            return inner
        try:
            return bindings.crypto_box_seal_open(inner, self.epoch(epoch, "public"), self.epoch(epoch, "secret"))
        except (CryptoError, ValueError):
            raise Damaged(f"{what} does not open") from None


def block_open(key, counter, ad, sealed, what):
    """Section 4: a block's nonce is its counter."""
    return aead_open(key, struct.pack("<Q", counter) + bytes(16), ad, sealed, what)


def slot_names(repository):
    folder = os.path.join(repository, "key")
    hexadecimal = set("0123456789abcdef")
    return sorted(n for n in os.listdir(folder) if set(n[:32] + n[33:]) <= hexadecimal and
                  (len(n) == 32 or (len(n) == 41 and n[32] == ".")))


def open_keys(repository, password=None, key_file=None):
    """Tries every slot; the first that opens gives the keys."""
    if not os.path.isdir(os.path.join(repository, "key")):
        raise Refused(f"{repository} is no repository")
    for name in slot_names(repository):
        with open(os.path.join(repository, "key", name), "rb") as f:
            slot = Slot(f.read(4096), name)
        got = slot.open(password, key_file)
        if got is None:
            continue
        saw("key file slot" if slot.kind == 2 else "password slot")
        secret, root, _ = got
        with open(os.path.join(repository, "key", name[:32] + ".bundle"), "rb") as f:
            role, k_id, epochs = open_bundle(f.read(65537), slot, secret, root)
        return Keys(slot, role, root, k_id, epochs, secret)
    raise Refused("wrong password or key file")
