"""What all pages share: errors, and a cursor over bytes that refuses to leave them."""
import struct


class Damaged(Exception):
    """The bytes are not what the format pages allow, or not what a key or hash vouches for."""


class Unsupported(Exception):
    """The bytes are of a version or kind that the pages do not describe."""


class Refused(Exception):
    """The repository cannot be opened or read with what was given."""


def need(condition, what):
    if not condition:
        raise Damaged(what)


class Cursor:
    """Reads little-endian fields one after the other."""

    def __init__(self, data, what="data"):
        self.data, self.at, self.what = data, 0, what

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        need(0 <= count <= self.left(), f"{self.what} is cut short")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def u8(self):
        return self.number("B")

    def u16(self):
        return self.number("H")

    def i16(self):
        return self.number("h")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def i64(self):
        return self.number("q")

    def var(self):
        """LEB128 in its shortest form, at most 10 bytes and 64 bits."""
        value = 0
        for place in range(10):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * place)
            if not byte & 0x80:
                need(byte or not place, f"{self.what} holds a number that is longer than it needs to be")
                need(value < 1 << 64, f"{self.what} holds a number above 64 bits")
                return value
        raise Damaged(f"{self.what} holds a number that does not end")

    def limited(self, most, what, least=0):
        value = self.var()
        need(least <= value <= most, f"{self.what}: {value} {what}")
        return value

    def blob(self, most=1 << 32):
        return self.take(self.limited(most, "bytes in a blob"))

    def ids(self, count):
        return [self.take(32) for _ in range(count)]

    def end(self):
        need(not self.left(), f"{self.left()} bytes stand behind {self.what}")


def fields(data, what):
    """Tagged fields: tag, length, bytes; tags rise. Gives {tag: bytes}, unknown ones too."""
    cursor, found, last = Cursor(data, what), {}, -1
    while cursor.left():
        tag = cursor.var()
        need(tag > last, f"the tags of {what} do not rise")
        found[tag], last = cursor.blob(), tag
    return found


def padme(size, floor):
    """Padmé (PURBs): keeps as many leading bits of a length as its exponent has digits, and rounds up."""
    if size < 2:
        return max(size, floor)
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return max((size + mask) & ~mask, floor)
