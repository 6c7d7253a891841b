#!/usr/bin/env python3
"""Verifies a bundle of `roulette bundle` with Python's standard library and nothing of ours.

  verify_bundle.py BUNDLE.tar [--trust SHA256:...|PUBLIC-KEY.pem] [--first]

Every hash, curve, parser and money rule below is this file's own, written from docs/EVIDENCE.md,
docs/RECORDS.md and docs/INVARIANTS.md, so that it can be wrong only in other places than the tool
whose word it checks. --first stops at the first finding.

Invariant: exit 0 only when every check below was made and found nothing. Each finding is a line
`NOT AUTHENTIC  <what and where>` and ends with exit 1; what is not checked here is said. Exit 2: no
file that can be read, or no Python 3.8; 64: usage. A failed run has an authentic bundle, too: its
violations are lines `VIOLATION  ...`, and the verdict stands in the last line.
"""
import base64
import bisect
import collections
import functools
import hashlib
import json
import math
import os
import re
import sys

if sys.version_info < (3, 8):  # pow() with a negative exponent
    sys.stderr.write("verify_bundle.py needs Python 3.8 or later\n")
    sys.exit(2)


def sha256(data):
    return hashlib.sha256(data).digest()


def sha256d(data):
    return sha256(sha256(data))


# ---- Ed25519 (RFC 8032, 5.1) ---------------------------------------------------------------------
ED_P = 2**255 - 19
ED_L = 2**252 + 27742317777372353535851937790883648493
ED_D = -121665 * pow(121666, -1, ED_P) % ED_P
ED_ROOT_OF_MINUS_1 = pow(2, (ED_P - 1) // 4, ED_P)


def ed_decode(text):
    """A point as extended coordinates (X, Y, Z, T); None for what encodes none."""
    y = int.from_bytes(text, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= ED_P:
        return None
    u, v = (y * y - 1) % ED_P, (ED_D * y * y + 1) % ED_P
    x = u * v**3 * pow(u * v**7, (ED_P - 5) // 8, ED_P) % ED_P
    if v * x * x % ED_P == -u % ED_P:
        x = x * ED_ROOT_OF_MINUS_1 % ED_P
    elif v * x * x % ED_P != u:
        return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = ED_P - x
    return (x, y, 1, x * y % ED_P)


def ed_encode(point):
    x, y, z, _ = point
    inverse = pow(z, -1, ED_P)
    x, y = x * inverse % ED_P, y * inverse % ED_P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def ed_add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % ED_P
    b = (p[1] + p[0]) * (q[1] + q[0]) % ED_P
    c = 2 * p[3] * q[3] * ED_D % ED_P
    d = 2 * p[2] * q[2] % ED_P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % ED_P, g * h % ED_P, f * g % ED_P, e * h % ED_P)


@functools.lru_cache(maxsize=8)
def ed_multiples(key):
    """Of an encoded point: 43 rows of 0..63 times 64^row; None for what encodes none."""
    point, rows = ed_decode(key), []
    if point is None:
        return None
    for _ in range(43):
        row = [(0, 1, 1, 0)]
        for _ in range(63):
            row.append(ed_add(row[-1], point))
        rows.append(row)
        point = ed_add(row[-1], point)
    return rows


def ed_times(scalar, key):
    out = (0, 1, 1, 0)
    for row in ed_multiples(key):
        if scalar & 63:
            out = ed_add(out, row[scalar & 63])
        scalar >>= 6
    return out


ED_BASE = (4 * pow(5, -1, ED_P) % ED_P).to_bytes(32, "little")


def ed25519_verify(key, message, signature):
    """S B = R + k A, compared as encodings, as OpenSSL does."""
    if len(key) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if ed_multiples(bytes(key)) is None or s >= ED_L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ED_L
    x, y, z, t = ed_times(k, bytes(key))
    return ed_encode(ed_add(ed_times(s, ED_BASE), (ED_P - x, y, z, ED_P - t))) == signature[:32]


# ---- secp256k1: BIP 340 and ECDSA ----------------------------------------------------------------
P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
     0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)
WINDOW = 6  # bits; a table of 43 * 63 points makes one product 43 additions and no doubling


def jacobian_double(point):
    x, y, z = point
    yy = y * y % P
    s, m = 4 * x * yy % P, 3 * x * x
    x3 = (m * m - 2 * s) % P
    return (x3, (m * (s - x3) - 8 * yy * yy) % P, 2 * y * z % P)


def jacobian_add(point, x2, y2):
    """A Jacobian point (None: infinity) and an affine one."""
    if point is None:
        return (x2, y2, 1)
    x1, y1, z1 = point
    zz = z1 * z1 % P
    h = (x2 * zz - x1) % P
    r = (y2 * zz * z1 - y1) % P
    if h == 0:
        return jacobian_double(point) if r == 0 else None
    hh = h * h % P
    hhh = h * hh % P
    v = x1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return (x3, (r * (v - x3) - y1 * hhh) % P, z1 * h % P)


def to_affine(points):
    """Many at once by one inversion (Montgomery); none may be infinity."""
    products, product = [], 1
    for _, _, z in points:
        products.append(product)
        product = product * z % P
    inverse, out = pow(product, -1, P), []
    for (x, y, z), before in zip(reversed(points), reversed(products)):
        one = inverse * before % P
        inverse = inverse * z % P
        squared = one * one % P
        out.append((x * squared % P, y * squared * one % P))
    out.reverse()
    return out


class Multiples:
    """Every digit's multiple of a point: times() adds and never doubles."""

    def __init__(self, point):
        self.rows, base = [], point
        for _ in range((256 + WINDOW - 1) // WINDOW):
            row, at = [], None
            for _ in range(2**WINDOW - 1):
                at = jacobian_add(at, *base)
                row.append(at)
            row.append(jacobian_add(at, *base))
            row = to_affine(row)
            base = row.pop()  # 2^WINDOW times the base
            self.rows.append(row)

    def add_times(self, scalar, out):
        for row in self.rows:
            digit = scalar & (2**WINDOW - 1)
            scalar >>= WINDOW
            if digit:
                out = jacobian_add(out, *row[digit - 1])
        return out


def lift_x(x):
    """The point with this x and an even y; None."""
    if x >= P:
        return None
    c = (pow(x, 3, P) + 7) % P
    y = pow(c, (P + 1) // 4, P)
    return (x, y if y % 2 == 0 else P - y) if y * y % P == c else None


def tagged_hash(tag, data):
    prefix = sha256(tag.encode())
    return sha256(prefix + prefix + data)


class Curve:
    """Verification under a key, whose multiples are kept: a run has one key."""
    base = None

    def __init__(self, point):
        self.point = point
        self.multiples = Multiples(point)
        if Curve.base is None:
            Curve.base = Multiples(G)

    def sum(self, of_base, of_key):
        return self.multiples.add_times(of_key, Curve.base.add_times(of_base, None))

    def bip340(self, message, signature):
        """The key is the x of the point, whose y is even."""
        if len(signature) != 64:
            return False
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        if r >= P or s >= N:
            return False
        key = self.point[0].to_bytes(32, "big")
        e = int.from_bytes(tagged_hash("BIP0340/challenge", signature[:32] + key + message), "big")
        found = self.sum(s, (N - e) % N)
        if found is None:
            return False
        (x, y), = to_affine([found])
        return x == r and y % 2 == 0

    def ecdsa(self, digest, der):
        """Strict DER (BIP 66), low S (BIP 146)."""
        numbers = der_numbers(der)
        if numbers is None:
            return False
        r, s = numbers
        if not 0 < r < N or not 0 < s <= N // 2:
            return False
        inverse = pow(s, -1, N)
        z = int.from_bytes(digest, "big")
        found = self.sum(z * inverse % N, r * inverse % N)
        if found is None:
            return False
        (x, _), = to_affine([found])
        return x % N == r


def der_numbers(der):
    if len(der) < 8 or len(der) > 72 or der[0] != 0x30 or der[1] != len(der) - 2:
        return None
    out, at = [], 2
    for _ in range(2):
        if at + 2 > len(der) or der[at] != 0x02:
            return None
        size = der[at + 1]
        number = der[at + 2:at + 2 + size]
        if size == 0 or len(number) != size or number[0] & 0x80:
            return None
        if size > 1 and number[0] == 0 and not number[1] & 0x80:
            return None
        out.append(int.from_bytes(number, "big"))
        at += 2 + size
    return out if at == len(der) else None


def taproot_output(threshold_key):
    """BIP 86: the key-path output of an x-only key without scripts."""
    inner = threshold_key[1:]
    point, tweak = lift_x(int.from_bytes(inner, "big")), tagged_hash("TapTweak", inner)
    if point is None or int.from_bytes(tweak, "big") >= N:
        raise ValueError("no taproot key")
    out = Curve(point).sum(int.from_bytes(tweak, "big"), 1)
    (x, _), = to_affine([out])
    return x.to_bytes(32, "big")


def decompress(key):
    point = lift_x(int.from_bytes(key[1:], "big")) if len(key) == 33 and key[0] in (2, 3) else None
    if point is None:
        raise ValueError("no compressed key")
    return (point[0], point[1] if key[0] == 2 else P - point[1])


# ---- RIPEMD-160: OpenSSL 3 may not offer it ------------------------------------------------------
RMD_LEFT = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
            7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8,
            3, 10, 14, 4, 9, 15, 8, 1, 2, 7, 0, 6, 13, 11, 5, 12,
            1, 9, 11, 10, 0, 8, 12, 4, 13, 3, 7, 15, 14, 5, 6, 2,
            4, 0, 5, 9, 7, 12, 2, 10, 14, 1, 3, 8, 11, 6, 15, 13]
RMD_RIGHT = [5, 14, 7, 0, 9, 2, 11, 4, 13, 6, 15, 8, 1, 10, 3, 12,
             6, 11, 3, 7, 0, 13, 5, 10, 14, 15, 8, 12, 4, 9, 1, 2,
             15, 5, 1, 3, 7, 14, 6, 9, 11, 8, 12, 2, 10, 0, 4, 13,
             8, 6, 4, 1, 3, 11, 15, 0, 5, 12, 2, 13, 9, 7, 10, 14,
             12, 15, 10, 4, 1, 5, 8, 7, 6, 2, 13, 14, 0, 3, 9, 11]
RMD_LEFT_TURN = [11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8,
                 7, 6, 8, 13, 11, 9, 7, 15, 7, 12, 15, 9, 11, 7, 13, 12,
                 11, 13, 6, 7, 14, 9, 13, 15, 14, 8, 13, 6, 5, 12, 7, 5,
                 11, 12, 14, 15, 14, 15, 9, 8, 9, 14, 5, 6, 8, 6, 5, 12,
                 9, 15, 5, 11, 6, 8, 13, 12, 5, 12, 13, 14, 11, 8, 5, 6]
RMD_RIGHT_TURN = [8, 9, 9, 11, 13, 15, 15, 5, 7, 7, 8, 11, 14, 14, 12, 6,
                  9, 13, 15, 7, 12, 8, 9, 11, 7, 7, 12, 7, 6, 15, 13, 11,
                  9, 7, 15, 11, 8, 6, 6, 14, 12, 13, 5, 14, 13, 13, 7, 5,
                  15, 5, 8, 11, 14, 14, 6, 14, 6, 9, 12, 9, 12, 5, 15, 8,
                  8, 5, 12, 9, 12, 5, 14, 6, 8, 13, 6, 5, 15, 13, 11, 11]
RMD_LEFT_ADD = [0, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E]
RMD_RIGHT_ADD = [0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0]


def ripemd160(data):
    def mix(round_, x, y, z):
        return ((x ^ y ^ z), (x & y) | (~x & z), (x | ~y) ^ z, (x & z) | (y & ~z),
                x ^ (y | ~z))[round_]

    def lane(state, words, order, turns, adds, first):
        a, b, c, d, e = state
        for i in range(80):
            round_ = i // 16
            t = a + mix(abs(first - round_), b, c, d) + words[order[i]] + adds[round_]
            t &= 0xFFFFFFFF
            t = (t << turns[i] | t >> (32 - turns[i])) + e
            a, e, d, c, b = e, d, (c << 10 | c >> 22) & 0xFFFFFFFF, b, t & 0xFFFFFFFF
        return a, b, c, d, e

    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0]
    data += b"\x80" + bytes(-(len(data) + 9) % 64) + (8 * len(data)).to_bytes(8, "little")
    for at in range(0, len(data), 64):
        words = [int.from_bytes(data[at + 4 * i:at + 4 * i + 4], "little") for i in range(16)]
        left = lane(state, words, RMD_LEFT, RMD_LEFT_TURN, RMD_LEFT_ADD, 0)
        right = lane(state, words, RMD_RIGHT, RMD_RIGHT_TURN, RMD_RIGHT_ADD, 4)
        state = [(state[(i + 1) % 5] + left[(i + 2) % 5] + right[(i + 3) % 5]) & 0xFFFFFFFF
                 for i in range(5)]
    return b"".join(word.to_bytes(4, "little") for word in state)


def hash160(data):
    return ripemd160(sha256(data))


# ---- Bitcoin: addresses, transactions, blocks ----------------------------------------------------
REGTEST_GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def script_of_address(address):
    """Regtest's: bcrt1 (BIP 173, BIP 350), or base58 with versions 111 and 196."""
    if address.startswith("bcrt1"):
        return segwit_script(address)
    number = 0
    for character in address:
        number = number * 58 + BASE58.index(character)
    raw = number.to_bytes(25, "big")
    if sha256d(raw[:21])[:4] != raw[21:]:
        raise ValueError("address " + address)
    if raw[0] == 111:
        return b"\x76\xa9\x14" + raw[1:21] + b"\x88\xac"
    if raw[0] == 196:
        return b"\xa9\x14" + raw[1:21] + b"\x87"
    raise ValueError("address " + address)


def segwit_script(address):
    hrp, data = "bcrt", [BECH32.index(character) for character in address[5:]]
    check = 1
    for value in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + data:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD,
                                       0x2A1462B3)):
            check ^= generator if top >> i & 1 else 0
    version, program, bits, value = data[0], bytearray(), 0, 0
    if check != (1 if version == 0 else 0x2BC830A3) or version > 16:
        raise ValueError("address " + address)
    for five in data[1:-6]:
        value, bits = (value << 5 | five) & 0xFFF, bits + 5
        if bits >= 8:
            bits -= 8
            program.append(value >> bits & 0xFF)
    if bits >= 5 or value & ((1 << bits) - 1) or not 2 <= len(program) <= 40 or \
            (version == 0 and len(program) not in (20, 32)):
        raise ValueError("address " + address)
    return bytes([0x50 + version if version else 0, len(program)]) + bytes(program)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise ValueError("bytes end too early")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def compact(self):
        first = self.number(1)
        if first < 253:
            return first
        size = {253: 2, 254: 4, 255: 8}[first]
        value = self.number(size)
        if value < {2: 253, 4: 2**16, 8: 2**32}[size]:
            raise ValueError("a length that is not written in the shortest way")
        return value

    def counted(self):
        return self.take(self.compact())


def compact(value):
    if value < 253:
        return bytes([value])
    for mark, size in ((253, 2), (254, 4), (255, 8)):
        if value < 256**size:
            return bytes([mark]) + value.to_bytes(size, "little")
    raise ValueError("too long")


class Transaction:
    """Inputs are (outpoint text, 36 bytes, script, sequence); outputs (amount, script)."""

    def __init__(self, reader):
        start = reader.at
        self.version = reader.take(4)
        count = reader.compact()
        witness = count == 0
        if witness:
            if reader.number(1) != 1:
                raise ValueError("unknown transaction flag")
            count = reader.compact()
        body = reader.at - len(compact(count))
        self.inputs = [self.read_input(reader) for _ in range(count)]
        self.outputs = [(reader.number(8), reader.counted()) for _ in range(reader.compact())]
        body = reader.data[body:reader.at]
        self.witness = [[reader.counted() for _ in range(reader.compact())]
                        for _ in range(count)] if witness else [[] for _ in range(count)]
        if witness and not any(self.witness):
            raise ValueError("a witness marker without a witness")
        self.lock_time = reader.take(4)
        self.raw = reader.data[start:reader.at]
        self.stripped = self.version + body + self.lock_time
        self.hash = sha256d(self.stripped)
        self.witness_hash = sha256d(self.raw)
        self.txid = self.hash[::-1].hex()

    @staticmethod
    def read_input(reader):
        raw = reader.take(36)
        outpoint = "%s:%d" % (raw[31::-1].hex(), int.from_bytes(raw[32:], "little"))
        return outpoint, raw, reader.counted(), reader.take(4)

    def outputs_hash(self, hash_):
        return hash_(b"".join(amount.to_bytes(8, "little") + compact(len(script)) + script
                              for amount, script in self.outputs))

    def taproot_sighashes(self, prevouts):
        """BIP 341, key path, SIGHASH_DEFAULT, no annex; one a input."""
        common = b"\0\0" + self.version + self.lock_time
        common += sha256(b"".join(raw for _, raw, _, _ in self.inputs))
        common += sha256(b"".join(amount.to_bytes(8, "little") for amount, _ in prevouts))
        common += sha256(b"".join(compact(len(script)) + script for _, script in prevouts))
        common += sha256(b"".join(sequence for _, _, _, sequence in self.inputs))
        common += self.outputs_hash(sha256) + b"\0"
        return [tagged_hash("TapSighash", common + i.to_bytes(4, "little"))
                for i in range(len(self.inputs))]

    def segwit_sighashes(self, prevouts):
        """BIP 143, P2WPKH, SIGHASH_ALL."""
        start = self.version + sha256d(b"".join(raw for _, raw, _, _ in self.inputs))
        start += sha256d(b"".join(sequence for _, _, _, sequence in self.inputs))
        end = self.outputs_hash(sha256d) + self.lock_time + b"\x01\0\0\0"
        return [sha256d(start + raw + b"\x19\x76\xa9\x14" + script[2:] + b"\x88\xac" +
                        amount.to_bytes(8, "little") + sequence + end)
                for (_, raw, _, sequence), (amount, script) in zip(self.inputs, prevouts)]


def parse_transaction(text):
    reader = Reader(bytes.fromhex(text))
    transaction = Transaction(reader)
    if reader.at != len(reader.data):
        raise ValueError("bytes behind the transaction")
    return transaction


def bitcoin_merkle(hashes):
    while len(hashes) > 1:
        if len(hashes) % 2:
            hashes = hashes + hashes[-1:]
        # Two equal neighbours: another list with the same root (CVE-2012-2459).
        hashes = [sha256d(a + b) for a, b in zip(hashes[::2], hashes[1::2])]
    return hashes[0]


class Block:
    def __init__(self, data):
        reader = Reader(data)
        header = reader.take(80)
        self.hash = sha256d(header)[::-1].hex()
        self.prev = header[35:3:-1].hex()
        self.root = header[36:68]
        bits = int.from_bytes(header[72:76], "little")
        target = (bits & 0x7FFFFF) << 8 * max(0, (bits >> 24) - 3)
        self.worked = int(self.hash, 16) <= target
        self.transactions = [Transaction(reader) for _ in range(reader.compact())]
        if reader.at != len(data) or not self.transactions:
            raise ValueError("not a block of transactions and nothing else")

    def defect(self):
        txids = [tx.hash for tx in self.transactions]
        if len(set(txids)) != len(txids):
            return "holds a transaction twice"
        if bitcoin_merkle(txids) != self.root:
            return "has transactions that its header's Merkle root does not commit to"
        if not self.worked:
            return "has a hash above its target"
        return self.witness_defect()

    def witness_defect(self):
        """BIP 141: the coinbase commits to the witnesses, which no txid does."""
        if not any(any(tx.witness) for tx in self.transactions):
            return ""
        marked = [script[6:38] for _, script in self.transactions[0].outputs
                  if script[:6] == b"\x6a\x24\xaa\x21\xa9\xed" and len(script) >= 38]
        reserved = self.transactions[0].witness[0]
        root = bitcoin_merkle([bytes(32)] + [tx.witness_hash for tx in self.transactions[1:]])
        if not marked or len(reserved) != 1 or sha256d(root + reserved[0]) != marked[-1]:
            return "has witnesses that its coinbase does not commit to"
        return ""


# ---- findings ------------------------------------------------------------------------------------
MOST_LISTED = 20  # of one invariant; the others are counted


class FirstFinding(Exception):
    pass


class Unreadable(Exception):
    """A record that is not what docs/RECORDS.md says: file:line and why."""


class Report:
    def __init__(self, first):
        self.first = first
        self.findings, self.violations, self.unchecked = [], [], []
        self.counts = collections.OrderedDict()
        self.other_views = None  # their number, where it is not ours

    def find(self, what):
        self.findings.append(what)
        if self.first:
            raise FirstFinding

    def count(self, what, more=1):
        self.counts[what] = self.counts.get(what, 0) + more


# ---- the archive ---------------------------------------------------------------------------------
BLOCK = 512
MOST_LINE = 1 << 28
NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\Z")


def header_of(name, size):
    fields = name.encode().ljust(100, b"\0") + b"0000644\0" + 2 * b"0000000\0"
    fields += b"%011o\0" % size + b"00000000000\0"
    rest = b"0".ljust(101, b"\0") + b"ustar\x0000"
    rest = rest.ljust(BLOCK - 156, b"\0")
    return fields + b"%06o\0 " % sum(fields + b" " * 8 + rest) + rest


class Archive:
    """The files of a canonical ustar by their place; contents are read as they are asked for."""

    def __init__(self, file, report):
        self.file, self.report = file, report
        self.size = os.fstat(file.fileno()).st_size
        self.run, self.files, self.views = "", {}, None
        self.whole = self.index()

    def wrong(self, at, what):
        self.report.find("byte %d: %s: not a canonical archive" % (at, what))
        return False

    def index(self):
        at, last = 0, ""
        while True:
            self.file.seek(at)
            header = self.file.read(BLOCK)
            if len(header) < BLOCK or not any(header):
                break
            name = header[:100].split(b"\0")[0].decode("latin-1")
            if not NAME.match(name) or any(part in (".", "..") for part in name.split("/")):
                return self.wrong(at, "a name that may not stand here")
            if name <= last:
                return self.wrong(at, name + " does not come after " + last)
            if not re.match(rb"[0-7]{11}\0", header[124:136]):
                return self.wrong(at, name + ": the header's size")
            size = int(header[124:135], 8)
            if header != header_of(name, size):
                return self.wrong(at, name + ": a header's field")
            padded = -(-size // BLOCK) * BLOCK
            if at + BLOCK + padded > self.size:
                return self.wrong(at, name + ": the archive ends within it")
            self.file.seek(at + BLOCK + size)
            if any(self.file.read(padded - size)):
                return self.wrong(at + BLOCK + size, name + ": what follows its last byte")
            run, slash, inside = name.partition("/")
            self.run = self.run or run
            if not slash or run != self.run:
                self.report.find("%s: a bundle holds one folder, %s" % (name, self.run))
                return False
            self.files[inside] = (at + BLOCK, size)
            at, last = at + BLOCK + padded, name
        self.file.seek(at)
        if self.size != at + 2 * BLOCK or any(self.file.read()):
            return self.wrong(at, "the end is not two blocks of zeros")
        if not self.files:
            self.report.find("the archive is empty")
        return bool(self.files)

    def sha256(self, name):
        at, left = self.files[name]
        self.file.seek(at)
        digest = hashlib.sha256()
        while left:
            part = self.file.read(min(left, 1 << 20))
            digest.update(part)
            left -= len(part)
        return digest.hexdigest()

    def read(self, name):
        if name not in self.files:
            raise Unreadable(name + " is missing")
        at, size = self.files[name]
        self.file.seek(at)
        return self.file.read(size)

    def json(self, name):
        try:
            return from_json(self.read(name))
        except (ValueError, RecursionError) as error:
            raise Unreadable("%s: %s" % (name, error))

    def lines(self, name):
        """(number from 1, bytes without the line feed); the last one must have one."""
        if name not in self.files:
            raise Unreadable(name + " is missing")
        at, left = self.files[name]
        rest, number = b"", 0
        while left:
            self.file.seek(at)
            part = self.file.read(min(left, 1 << 20))
            at, left = at + len(part), left - len(part)
            lines = (rest + part).split(b"\n")
            rest = lines.pop()
            if len(rest) > MOST_LINE:
                raise Unreadable("%s:%d: a line without an end" % (name, number + 1))
            for line in lines:
                number += 1
                yield number, line
        if rest or number == 0:
            raise Unreadable("%s:%d: does not end with a line feed" % (name, number + 1))

    def records(self, name, format_, version=1):
        """(file:line, object); the heading is checked and not given."""
        for number, line in self.lines(name):
            where = "%s:%d" % (name, number)
            try:
                record = from_json(line)
            except (ValueError, RecursionError):
                raise Unreadable(where + ": not JSON")
            if not isinstance(record, dict):
                raise Unreadable(where + ": not an object")
            if number > 1:
                yield where, record
            elif record.get("format") != format_ or record.get("version") != version:
                raise Unreadable("%s: not %s of version %d" % (where, format_, version))


# ---- manifest, chains, statement -----------------------------------------------------------------
MANIFEST, ENVELOPE, PUBLIC_KEY = "manifest.json", "statement.dsse.json", "operator.pub.pem"
VIEWS = {"junit.xml", "operations.csv", "report.json", "report.html", "chaos-toolkit/journal.json",
         "oscal/assessment-plan.json", "oscal/assessment-results.json", "attached/matrix.json",
         "attached/mutants.json", "attached/compare.json"}
VIEWS_NUMBER = 1  # those are its names
TIME_STAMP = "statement.tsr"  # beside the manifest, as the envelope that it is of
IDENTITY = "identity.dsse.json"
TOP_RECORDS = ["environment.json", "events.ndjson", "experiment.yaml", "faults.ndjson",
               "history.ndjson", "journal.json", "verdict.json"]
PEM_START = "-----BEGIN PUBLIC KEY-----\n"
PEM_END = "\n-----END PUBLIC KEY-----\n"
ED25519_INFO = bytes.fromhex("302a300506032b6570032100")  # RFC 8410, SubjectPublicKeyInfo
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def no_number(word):
    raise ValueError("%s is no JSON number" % word)


def finite(word):
    number = float(word)
    return number if math.isfinite(number) else no_number(word)


def from_json(text):
    """RFC 8259, which has neither NaN nor numbers that no double holds."""
    return json.loads(text, parse_constant=no_number, parse_float=finite)


def pretty(value):
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def views_of(manifest):
    """How the views of a bundle are spelled, by number; None where no manifest says it."""
    try:
        told = from_json(manifest)
        views = told["views"]
        if told["format"] != "roulette-manifest" or told["version"] != 2:
            return None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return views if type(views) is int and 0 < views < 2**63 else None


def check_manifest(archive, report):
    if MANIFEST not in archive.files:
        return report.find(MANIFEST + " is missing")
    for name in TOP_RECORDS + ["chains.json", ENVELOPE, PUBLIC_KEY]:
        if name not in archive.files:
            report.find(name + " is missing")
    present = {name: {"name": name, "size": size, "sha256": archive.sha256(name)}
               for name, (_, size) in archive.files.items()
               if name not in (MANIFEST, ENVELOPE, TIME_STAMP)}
    report.count("files by SHA-256", len(present))
    text = archive.read(MANIFEST)
    told = views_of(text)
    if told is None:
        return report.find(MANIFEST + " cannot be read: not roulette-manifest of version 2 with "
                           "the number of its views")
    archive.views = told
    made = pretty({"format": "roulette-manifest", "version": 2, "run": archive.run, "views": told,
                   "files": [present[name] for name in sorted(present)]}).encode()
    if text == made:
        return None
    before = len(report.findings)
    try:
        listed = {file["name"]: file["sha256"] for file in from_json(text)["files"]}
    except (ValueError, KeyError, TypeError):
        return report.find(MANIFEST + " cannot be read")
    for name, file in sorted(present.items()):
        if name not in listed:
            report.find(name + " is not in the manifest")
        elif listed[name] != file["sha256"]:
            report.find(name + " is not the file that the manifest lists (SHA-256)")
    for name in sorted(set(listed) - set(present)):
        report.find(name + " is in the manifest and missing")
    if len(report.findings) == before:
        report.find(MANIFEST + " is not written as the tool writes it")
    return None


class MerkleTree:
    """RFC 6962, 2.1, of leaves as they come."""

    def __init__(self):
        self.peaks, self.leaves = [], 0

    def add(self, leaf):
        node, height = sha256(b"\0" + leaf), 0
        while self.peaks and self.peaks[-1][0] == height:
            node, height = sha256(b"\1" + self.peaks.pop()[1] + node), height + 1
        self.peaks.append((height, node))
        self.leaves += 1

    def root(self):
        if not self.peaks:
            return sha256(b"")
        node = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            node = sha256(b"\1" + left + node)
        return node


def check_chains(archive, report):
    tree, chains, events = MerkleTree(), {}, {}
    for number, line in archive.lines("events.ndjson"):
        tree.add(line)
        if number == 1:
            continue
        try:
            name = from_json(line)["process"]
            head = chains.get(name) or sha256(b"roulette-chain" + name.encode())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Unreadable("events.ndjson:%d: not an object with a process" % number)
        chains[name] = sha256(head + line)
        events[name] = events.get(name, 0) + 1
    made = {"format": "roulette-chains", "version": 1, "file": "events.ndjson",
            "lines": tree.leaves, "merkle_root": tree.root().hex(),
            "processes": {name: {"events": events[name], "head": chains[name].hex()}
                          for name in chains}}
    report.count("events in chains and under the Merkle root", tree.leaves - 1)
    report.count("processes", len(chains))
    text = archive.read("chains.json")
    if text == pretty(made).encode():
        return
    before = len(report.findings)
    try:
        told = from_json(text)
        old, root = dict(told["processes"]), told["merkle_root"]
    except (ValueError, KeyError, TypeError):
        return report.find("chains.json cannot be read")
    for name in sorted(set(old) | set(made["processes"])):
        if name not in made["processes"]:
            report.find("events.ndjson: the events of %s are missing" % name)
        elif name not in old:
            report.find("events.ndjson: events of %s that no chain has" % name)
        elif old[name] != made["processes"][name]:
            report.find("events.ndjson: the events of %s are not those of its chain" % name)
    if root != made["merkle_root"]:
        report.find("events.ndjson: its lines do not give the Merkle root of chains.json")
    if len(report.findings) == before:
        report.find("chains.json is not what the events give")


def key_of_pem(text):
    """The 32 bytes of an Ed25519 public key in the one spelling that OpenSSL gives it; None."""
    if not text.startswith(PEM_START) or not text.endswith(PEM_END):
        return None
    inside = text[len(PEM_START):-len(PEM_END)]
    try:
        der = base64.b64decode(inside, validate=True)
    except ValueError:
        return None
    if der[:12] != ED25519_INFO or len(der) != 44 or base64.b64encode(der).decode() != inside:
        return None
    return der[12:]


def fingerprint(key):
    return "SHA256:" + sha256(key).hex()


def statement_of(archive, verdict):
    """What has to be stated about this manifest and these results."""
    def named(*statuses):
        return [one["id"] for one in verdict["invariants"] if one["status"] in statuses]
    words = {"pass": "PASSED", "fail": "FAILED", "inconclusive": "WARNED"}
    return {"_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": archive.run + "/" + MANIFEST,
                         "digest": {"sha256": archive.sha256(MANIFEST)}}],
            "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
            "predicate": {"result": words[verdict["verdict"]],
                          "configuration": [{"name": archive.run + "/experiment.yaml", "digest": {
                              "sha256": archive.sha256("experiment.yaml")}}],
                          "passedTests": named("pass"),
                          "warnedTests": named("not-exercised", "inconclusive"),
                          "failedTests": named("fail")}}


def check_statement(archive, report, payload, verdict):
    try:
        told, due = from_json(payload), statement_of(archive, verdict)
        for what, told_part, due_part in (
                ("another manifest", told["subject"], due["subject"]),
                ("another experiment", told["predicate"]["configuration"],
                 due["predicate"]["configuration"]),
                ("other results than verdict.json", told["predicate"], due["predicate"])):
            if told_part != due_part:
                return report.find("%s: it states %s" % (ENVELOPE, what))
        if payload != pretty(due).encode():
            report.find(ENVELOPE + ": its statement is not written as the tool writes it")
    except (ValueError, KeyError, TypeError):
        report.find(ENVELOPE + ": its statement cannot be read, or verdict.json")
    return None


def open_envelope(text):
    """(payload, [(key id, signature)]) of the one spelling of an envelope; else what is wrong."""
    try:
        told = from_json(text)
        payload = base64.b64decode(told["payload"], validate=True)
        signatures = [(one["keyid"], base64.b64decode(one["sig"], validate=True))
                      for one in told["signatures"]]
        made = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": keyid, "sig": base64.b64encode(raw).decode()}
                               for keyid, raw in signatures]}
        spelling = json.dumps(made, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "not a DSSE envelope"
    if text != spelling:
        return "not the one spelling of a DSSE envelope"
    return payload, signatures


def pre_authentication(payload):
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def check_envelope(archive, report, verdict, trusted):
    """The fingerprint of the key that signed; None."""
    opened = open_envelope(archive.read(ENVELOPE))
    if isinstance(opened, str):
        return report.find("%s: %s" % (ENVELOPE, opened))
    payload, signatures = opened
    check_statement(archive, report, payload, verdict)
    key = key_of_pem(archive.read(PUBLIC_KEY).decode("latin-1"))
    if key is None:
        return report.find(PUBLIC_KEY + ": no Ed25519 public key as OpenSSL writes it")
    if len(signatures) != 1 or signatures[0][0] != fingerprint(key) or \
            not ed25519_verify(key, pre_authentication(payload), signatures[0][1]):
        return report.find("%s: no signature of it by %s" % (ENVELOPE, PUBLIC_KEY))
    if trusted and trusted != fingerprint(key):
        report.find("%s: signed by %s, trusted is %s" % (ENVELOPE, fingerprint(key), trusted))
    return fingerprint(key)


# ---- the records ---------------------------------------------------------------------------------
EVENTS_KEPT = {"share_released", "share_received", "session_opened", "aggregated", "broadcast",
               "broadcast_result", "signed_applied", "answered", "signer_quarantined",
               "node_height", "fault", "exited", "up"}
EVENTS = EVENTS_KEPT | {
    "started", "ready", "not_ready", "shutdown_started", "stopped", "refused", "journal_opened",
    "journal_checked", "request_received", "blamed", "took_over", "quorum", "cell",
    "signer_refused", "signing_given_up", "node_chosen", "tokens_changed", "tokens_refused",
    "restart_failed", "control_line_not_sent",
    "control_line_not_understood", "limits", "checkpoint", "end_of_run_applied",
    "snapshot_ordered", "trim_ordered", "snapshot_stored", "log_trimmed", "snapshot_loaded",
    "snapshot_failed", "diverged", "spawned", "down", "traffic", "usage", "phase"}
COMMANDS_KEPT = {"genesis", "withdraw", "signed", "block_connected", "block_disconnected",
                 "end_of_run"}
STATES = ["requested", "planned", "signed", "broadcast", "confirmed", "settled"]
ONE_SIGNER = {"single", "hsm", "vault-token"}
GETS = {"poll", "resolve"}
MISREAD = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError,
           RecursionError)

Key = collections.namedtuple("Key", "key script amount account address where replaces")
Paid = collections.namedtuple("Paid", "txid vout amount height where")


def integer(record, name):
    value = record[name]
    if type(value) is not int:
        raise ValueError("%s is no integer" % name)
    return value


def text(record, name):
    value = record[name]
    if not isinstance(value, str):
        raise ValueError("%s is no text" % name)
    return value


def cluster_of_yaml(written):
    """The words of the first `cluster:`, in braces or as lines below it; not all of YAML."""
    written = re.sub(r"(^|\s)#.*", "", written, flags=re.M)
    found = re.search(r"^( *)(- +)?cluster: *(\{[^}]*\}|(\n\1 +[^\n]*)+)", written, flags=re.M)
    words = re.findall(r"(\w+): *[\"']?([\w-]+)", found.group(3)) if found else []
    return dict(words)


def says(written, name, value):
    """Whether it has such an entry, on a line of its own or in braces, not amid words."""
    written = re.sub(r"(^|\s)#.*", "", written, flags=re.M)
    entry = r"(^ *|[{,] *)[\"']?%s[\"']?: *[\"']?%s\b" % (name, value)
    return re.search(entry, written, flags=re.M) is not None


class Operation:
    def __init__(self, where, record):
        self.where, self.number = where, integer(record, "op")
        self.invoked, self.key = integer(record, "t_us"), text(record, "key")
        self.coordinator, self.intent = text(record, "coordinator"), text(record, "intent")
        self.payload = None
        if self.intent not in GETS | {"new", "retry", "duplicate", "conflict"}:
            raise ValueError("unknown intent " + self.intent)
        if self.intent not in GETS:
            self.payload = (text(record, "account"), text(record, "address"),
                            integer(record, "amount_sat"))
        self.ended = self.status = None
        self.id = self.state = self.txid = self.problem = ""
        self.answer_where = ""

    def end(self, where, record):
        if self.ended is not None:
            raise ValueError("op %d was answered before" % self.number)
        self.answer_where, self.ended = where, integer(record, "t_us")
        if record["type"] == "answer":
            self.status = integer(record, "status")
            self.id, self.state = record.get("id") or "", record.get("state") or ""
            self.txid, self.problem = record.get("txid") or "", record.get("problem") or ""

    @property
    def ok(self):
        return self.status is not None and 200 <= self.status < 300


class Journal:
    """A signer's records and heads, joined with what a fault took from it."""

    def __init__(self, signer):
        self.signer, self.records, self.heads, self.threshold_key = signer, [], [], ""
        self.length, self.taken = 0, []  # taken: (heads, restarted_us)

    def read(self, archive, name):
        head = bytes(32)
        for where, record in archive.records(name, "roulette-signer-journal"):
            try:
                if integer(record, "sequence") != len(self.heads) + 1:
                    raise ValueError("sequence %d" % record["sequence"])
                head = sha256(b"roulette/journal" + head + self.encoded(record))
                if record["head"] != head.hex():
                    raise ValueError("head is not what the records up to here lead to")
                if record["kind"] == "signing_record":
                    record["where"] = where
                    self.records.append(record)
            except MISREAD as error:
                raise Unreadable("%s: %r" % (where, error))
            self.heads.append(record["head"])
        self.length = len(self.heads)

    def encoded(self, record):
        """The canonical encoding: big-endian, lists and texts with their length of four bytes."""
        kind, big = record["kind"], lambda value, size: value.to_bytes(size, "big")

        def inputs():
            out = big(len(record["inputs"]), 4)
            for one in record["inputs"]:
                txid, vout = one["outpoint"].split(":")
                script = bytes.fromhex(one["script"])
                out += bytes.fromhex(txid)[::-1] + big(int(vout), 4)
                out += big(integer(one, "amount_sat"), 8) + big(len(script), 4) + script
            return out

        def bound():
            return bytes.fromhex(record["withdrawal_id"] + record["payload_digest"]) + \
                bytes.fromhex(record["txid"])[::-1] + inputs()

        if kind == "signing_record":
            nonces = [bytes.fromhex(nonce) for nonce in record["nonces"]]
            return b"\x02" + bytes.fromhex(record["session_digest"]) + big(len(nonces), 4) + \
                b"".join(nonces) + bound()
        if kind == "imported_binding":
            return b"\x04" + bound()
        if kind not in ("provisioned", "reprovisioned"):
            raise ValueError("unknown kind " + kind)
        if record["signer"] != self.signer:
            raise ValueError("this is the journal of " + record["signer"])
        self.threshold_key, cluster = record["threshold_key"], record["cluster_id"].encode()
        out = b"\x01" if kind == "provisioned" else b"\x03"
        out += big(int(self.signer.split("-")[1]), 2) + big(len(cluster), 4) + cluster
        out += big(record["share_epoch"], 4) + bytes.fromhex(self.threshold_key)
        if kind == "reprovisioned":
            out += bytes.fromhex(record["group"]) + big(record["previous_epoch"], 4)
            out += big(len(record["sources"]), 4)
            for one in record["sources"]:
                out += big(int(one["signer"].split("-")[1]), 2) + big(one["share_epoch"], 4)
                out += big(one["length"], 8) + bytes.fromhex(one["head"])
            out += big(record["imported"], 4)
        return out

    def join(self, before, restarted):
        """A record that both have (the same head at its sequence) counts once."""
        known = [self.heads] + [heads for heads, _ in self.taken]
        for record in before.records:
            at = record["sequence"] - 1
            if not any(at < len(heads) and heads[at] == before.heads[at] for heads in known):
                self.records.append(record)
        self.length = max(self.length, before.length)
        self.taken.append((before.heads, restarted))


class Replica:
    def __init__(self, name):
        self.name, self.base, self.first, self.last = name, 0, None, None
        self.commands, self.rows, self.reservations = [], [], []
        self.postings, self.balances, self.state = [], [], None
        self.closed = self.whole = False

    def read(self, run, file):
        take = {"entry": self.take_entry, "withdrawal": self.take_row,
                "reservation": lambda _, record: self.reservations.append(record),
                "posting": lambda _, record: self.postings.append(record),
                "balance": lambda _, record: self.balances.append(record),
                "journal_head": lambda *_: None, "tables": lambda *_: None,
                "state": self.take_state, "base": self.take_base}
        for where, record in run.archive.records(file, "roulette-ledger", 4):
            try:
                record["where"] = where
                take[record["type"]](run, record)
            except MISREAD as error:
                raise Unreadable("%s: %r" % (where, error))
        if self.state is None:
            raise Unreadable(file + ": it has no `state` line")
        self.whole = True

    def take_base(self, _, record):
        if self.base or self.last is not None:
            raise ValueError("a `base` that is not the first line")
        self.base = integer(record, "index")

    def take_state(self, _, record):
        if self.state is not None:
            raise ValueError("a second `state`")
        self.state, self.closed = record, record["closed"] is True

    def take_entry(self, _, record):
        index = integer(record, "index")
        if index != (self.base if self.last is None else self.last) + 1:
            raise ValueError("index %d" % index)
        self.first, self.last = self.first or index, index
        for command in record["commands"]:
            if command["command"] in COMMANDS_KEPT:
                if command["command"] == "signed":
                    for told in command["journals"]:
                        text(told, "signer"), integer(told, "length"), text(told, "head")
                if command["command"] == "block_connected":
                    command = {name: command[name] for name in
                               ("command", "outcome", "hash", "prev", "height")}
                command["index"], command["where"] = index, record["where"]
                self.commands.append(command)

    def take_row(self, run, record):
        text(record, "withdrawal_id"), text(record, "key"), text(record, "state")
        integer(record, "amount_sat")
        record["txid"] = record.get("txid") or ""
        for name in ("unsigned_tx", "signed_tx", "script"):
            record[name] = run.same.setdefault(record.get(name) or "", record.get(name) or "")
        self.rows.append(record)

    def borrow(self, donor):
        """What came before its base, from a replica that saw it."""
        self.commands = [c for c in donor.commands if c["index"] <= self.base] + self.commands
        self.postings = [p for p in donor.postings if p["index"] <= self.base] + self.postings
        self.first = 1

    def chain(self):
        """Block hashes that it followed, and the height of the first: by its own entries."""
        followed, anchor = [], 0
        for command in self.commands:
            if command["outcome"] != "applied":
                continue
            if command["command"] == "block_connected":
                if not followed:
                    followed, anchor = [command["prev"]], command["height"] - 1
                if command["prev"] == followed[-1] and \
                        command["height"] == anchor + len(followed):
                    followed.append(command["hash"])
            elif command["command"] == "block_disconnected":
                if len(followed) > 1 and followed[-1] == command["hash"]:
                    followed.pop()
        return followed, anchor


class Chain:
    """The recorded blocks; of their transactions what is compared, bytes only of the wallet's."""

    def __init__(self):
        self.hashes, self.order, self.transactions = [], [], {}

    def take(self, where, record):
        block, height = Block(bytes.fromhex(record["hex"])), integer(record, "height")
        if block.hash != record["hash"]:
            raise ValueError("the bytes of this block do not hash to " + record["hash"])
        if height != len(self.hashes):
            raise ValueError("height %d where %d was next" % (height, len(self.hashes)))
        if block.prev != (self.hashes[-1] if self.hashes else "00" * 32):
            raise ValueError("block %s does not continue the block before it" % block.hash)
        if height == 0 and block.hash != REGTEST_GENESIS:
            raise ValueError("block 0 is not the genesis block of regtest")
        if block.defect():
            raise ValueError("block %s %s" % (block.hash, block.defect()))
        self.hashes.append(block.hash)
        for i, tx in enumerate(block.transactions):
            tx.height, tx.where, tx.coinbase = height, where, i == 0
            if tx.txid not in self.transactions:
                self.transactions[tx.txid] = tx
                self.order.append(tx)

    def output(self, outpoint):
        """(amount, script) or None."""
        txid, vout = outpoint.split(":")
        tx = self.transactions.get(txid)
        return tx.outputs[int(vout)] if tx and int(vout) < len(tx.outputs) else None


class Run:
    """All records, or for each source why it cannot be used."""

    def __init__(self, archive):
        self.archive, self.defects = archive, collections.defaultdict(list)
        self.same, self.parsed, self.spawned = {}, {}, set()
        self.client, self.keys, self.operations, self.faults = None, {}, {}, []
        self.events = collections.defaultdict(list)
        self.journals, self.replicas, self.chain, self.transactions = {}, [], Chain(), []
        self.interrupted = False
        self.shape()
        for source, load in (("history", self.load_history), ("faults", self.load_faults),
                             ("events", self.load_events), ("journals", self.load_journals),
                             ("chain", self.load_chain), ("replicas", self.load_replicas),
                             ("transactions", self.load_transactions),
                             ("journal.json", self.load_journal_json)):
            try:
                load()
            except Unreadable as error:
                self.defects[source].append(str(error))
            except MISREAD as error:
                self.defects[source].append("%s cannot be read: %r" % (source, error))
        self.reference = next((r for r in self.replicas if r.closed and r.whole and not r.base),
                              next((r for r in self.replicas if r.closed and r.whole), None))
        if self.reference is None:
            self.defects["replicas"].append("no replica that is whole applied EndOfRun")

    def shape(self):
        """Scheme and threshold as the experiment says them; signers are those that were seen."""
        written = self.archive.read("experiment.yaml").decode("utf-8")
        try:
            said = from_json(written)["extensions"][0]["cluster"]
        except MISREAD:
            said = cluster_of_yaml(written)
        self.scheme = str(said.get("scheme") or "frost")
        self.ecdsa = self.scheme == "hsm"
        seen = [int(name[13:-7]) for name in self.archive.files
                if re.match(r"state/signer-\d+\.ndjson\Z", name)]
        self.signers = max(seen, default=-1) + 1
        self.expects_duplicate = says(written, "expect", "duplicate")
        self.uses_keys = not says(written, "idempotency", "off")
        self.clients_sign = said.get("client_signatures") not in (False, "false")
        all_sign = self.scheme == "musig2" or self.scheme in ONE_SIGNER
        self.patience_us = 1000 * int(said.get("token_patience_ms") or 5000)
        self.threshold = int(said.get("threshold") or (self.signers if all_sign else 3))

    def parse(self, hex_):
        if hex_ not in self.parsed:
            try:
                self.parsed[hex_] = parse_transaction(hex_)
            except MISREAD as error:
                self.parsed[hex_] = "does not parse: %s" % error
        return self.parsed[hex_]

    def load_history(self):
        ended, addresses = None, set()
        for where, record in self.archive.records("history.ndjson", "roulette-history", 2):
            try:
                kind = record["type"]
                if ended:
                    raise ValueError("a line behind the end of the record")
                if kind == "client":
                    if self.keys or self.client:
                        raise ValueError("a client behind the first line of the record")
                    self.client = (text(record, "name"), text(record, "cluster_id"),
                                   bytes.fromhex(text(record, "public_key")))
                elif kind == "key":
                    key = Key(text(record, "key"), script_of_address(record["address"]),
                              integer(record, "amount_sat"), text(record, "account"),
                              record["address"], where, record.get("replaces", ""))
                    if key.key in self.keys or key.address in addresses:
                        raise ValueError("a key or address that was used before")
                    old = self.keys.get(key.replaces)
                    if key.replaces and (self.uses_keys or old is None or
                                         old[2:4] != key[2:4]):  # amount and account
                        raise ValueError("it replaces a key that no client gave up")
                    addresses.add(key.address)
                    self.keys[key.key] = key
                elif kind == "invoke":
                    operation = Operation(where, record)
                    if operation.key not in self.keys or operation.number in self.operations:
                        raise ValueError("op %d" % operation.number)
                    self.operations[operation.number] = operation
                elif kind in ("answer", "no_answer"):
                    self.operations[record["op"]].end(where, record)
                elif kind == "end":
                    ended = (record["keys"], record["ops"])
                else:
                    raise ValueError("unknown type " + kind)
            except MISREAD as error:
                raise Unreadable("%s: %r" % (where, error))
        if self.clients_sign != (self.client is not None):
            raise Unreadable("history.ndjson: %s client's key, and the experiment's clients %s" % (
                "a" if self.client else "no", "sign" if self.clients_sign else "need not sign"))
        if ended != (len(self.keys), len(self.operations)):
            raise Unreadable("history.ndjson: its end does not count what stands in it")
        for operation in self.operations.values():
            if operation.ended is None:
                raise Unreadable("%s: op %d has no outcome" % (operation.where, operation.number))

    def load_faults(self):
        for where, record in self.archive.records("faults.ndjson", "roulette-faults"):
            record["where"] = where
            for name in ("role", "point", "victim", "signal", "recover"):
                text(record, name)
            integer(record, "fault_id")
            self.faults.append(record)

    def load_events(self):
        """A defect of one line leaves the others readable; what needs events stays open."""
        numbers, started, last, self.chain_end = {}, set(), 0, None
        for where, event in self.archive.records("events.ndjson", "roulette-events"):
            try:
                life, kind = (event["process"], event["boot"]), event["event"]
                defect = ""
                if integer(event, "seq") != numbers.get(life, 0) + 1:
                    defect = "seq %d of %s: an event was lost or moved" % (event["seq"], life[0])
                elif integer(event, "t_us") < last:
                    defect = "it is not in the order of time"
                elif kind not in EVENTS:
                    defect = "unknown event %s" % kind
                numbers[life], last = event["seq"], event["t_us"]
                if kind == "started":
                    started.add(life)
                self.keep(where, kind, event)
            except MISREAD as error:
                raise Unreadable("%s: %r" % (where, error))
            if defect:
                self.defects["events"].append("%s: %s" % (where, defect))
        for life in sorted(set(numbers) - started):
            if life[0] != "tool-0":
                self.defects["events"].append("events.ndjson: %s wrote events, but never `started`"
                                              % life[0])
        wanted = {"tool-0"} | {"signer-%d" % i for i in range(self.signers)} | {
            op.coordinator for op in self.operations.values()} | {
            name[6:-7] for name in self.archive.files if name.startswith("state/ledger-")}
        for name in sorted(wanted - {life[0] for life in numbers}):
            self.defects["events"].append("events.ndjson: %s wrote no event" % name)

    def keep(self, where, kind, event):
        if kind == "spawned":
            self.spawned.add(event["name"])
            if re.match(r"signer-\d+\Z", event["name"]):
                self.signers = max(self.signers, int(event["name"][7:]) + 1)
        if kind not in EVENTS_KEPT:
            return
        event.pop("wall_us", None)
        event["where"] = where
        if kind == "node_height" and event.get("why") == "export":
            self.chain_end = event["hash"]
        if kind == "broadcast":
            event["hex"] = self.same.setdefault(event["hex"], event["hex"])
        self.events[kind].append(event)

    def load_journals(self):
        key = None
        for i in range(self.signers):
            journal = self.journals["signer-%d" % i] = Journal("signer-%d" % i)
            journal.read(self.archive, "state/signer-%d.ndjson" % i)
            if not journal.threshold_key or key not in (None, journal.threshold_key):
                raise Unreadable("state/signer-%d.ndjson: it names no threshold key, or another "
                                 "than the journals before it" % i)
            key = journal.threshold_key
            for fault in self.faults:
                if fault["recover"] in ("wiped", "rolled-back") and \
                        fault["victim"] == journal.signer and \
                        fault.get("restarted_us") is not None:
                    before = Journal(journal.signer)
                    before.read(self.archive, "state/signer-%d.before-%d.ndjson" %
                                (i, fault["fault_id"]))
                    journal.join(before, fault["restarted_us"])
        raw = bytes.fromhex(key)
        if self.ecdsa:
            self.wallet_key, self.curve = raw, Curve(decompress(raw))
            self.wallet = b"\x00\x14" + hash160(raw)
        else:
            self.wallet_key = taproot_output(raw)
            self.curve = Curve(lift_x(int.from_bytes(self.wallet_key, "big")))
            self.wallet = b"\x51\x20" + self.wallet_key

    def load_chain(self):
        for where, record in self.archive.records("state/chain.ndjson", "roulette-chain"):
            try:
                self.chain.take(where, record)
            except MISREAD as error:
                raise Unreadable("%s: %s" % (where, error))
        if not self.chain.hashes or self.chain.hashes[-1] != self.chain_end:
            raise Unreadable("state/chain.ndjson: it does not end with the tip that the tool saw")

    def load_replicas(self):
        names = sorted(name for name in self.archive.files
                       if re.match(r"state/ledger-\d+\.ndjson\Z", name))
        lost = {fault["victim"] for fault in self.faults
                if fault.get("fired") and fault["recover"] == "none"}
        for name in sorted(name for name in self.spawned - lost if name.startswith("ledger-")):
            if "state/%s.ndjson" % name not in names:
                self.defects["replicas"].append("state/%s.ndjson is missing" % name)
        for name in names:
            replica = Replica(name[6:-7])
            self.replicas.append(replica)
            try:
                replica.read(self, name)
            except Unreadable as error:
                if replica.name not in lost:
                    self.defects["replicas"].append(str(error))
        for replica in sorted((r for r in self.replicas if r.base), key=lambda r: r.base):
            donor = next((r for r in self.replicas if r is not replica and r.whole and
                          r.first == 1 and r.last >= replica.base), None)
            if donor is None:
                replica.whole = False
                raise Unreadable("state/%s.ndjson: no record holds what came before its base" %
                                 replica.name)
            replica.borrow(donor)

    def load_transactions(self):
        for where, record in self.archive.records("state/transactions.ndjson",
                                                  "roulette-transactions"):
            record["where"] = where
            for name in ("withdrawal_id", "idempotency_key", "address", "txid", "hex"):
                text(record, name)
            integer(record, "amount_sat")
            record["hex"] = self.same.setdefault(record["hex"], record["hex"])
            self.transactions.append(record)

    def load_journal_json(self):
        self.journal = self.archive.json("journal.json")
        if (self.journal["format"], self.journal["version"]) != ("roulette-run", 2):
            raise Unreadable("journal.json: not roulette-run of version 2")
        self.interrupted = self.journal["interrupted"] is True
        for name, digest in self.journal["records"].items():
            if name not in self.archive.files:
                raise Unreadable("journal.json: it lists %s, which is missing" % name)
            if self.archive.sha256(name) != digest:
                raise Unreadable("journal.json: %s was changed after the run" % name)
        for name in self.archive.files:
            if (name.startswith("state/") or name == "environment.json") and \
                    name not in self.journal["records"]:
                raise Unreadable("journal.json: %s was added after the run" % name)

    # ---- what several checks need ----
    def settle_depth(self):
        for replica in self.replicas:
            if replica.commands and replica.commands[0]["command"] == "genesis":
                return max(1, replica.commands[0].get("settle_depth", 3))
        return 3

    def payments(self):
        """key -> outputs of the chain to its script, whoever pays them."""
        asked = {key.script: key.key for key in self.keys.values()}
        out = collections.defaultdict(list)
        for tx in self.chain.order:
            for vout, (amount, script) in enumerate(tx.outputs):
                if script in asked:
                    out[asked[script]].append(Paid(tx.txid, vout, amount, tx.height, tx.where))
        return out

    def depth(self, height):
        return len(self.chain.hashes) - height

    def spends_wallet(self, tx):
        if tx.coinbase:
            return False
        outputs = [self.chain.output(outpoint) for outpoint, _, _, _ in tx.inputs]
        return any(output is not None and output[1] == self.wallet for output in outputs)

    def lasting_loss(self):
        gone = {fault["victim"] for fault in self.faults if fault.get("fired") and (
            fault["recover"] == "none" or
            fault["role"] == "signer" and fault["recover"] in ("wiped", "rolled-back"))}
        gone = [name for name in gone if name.startswith("signer-")]
        return len(gone) + self.threshold > self.signers

    def signed_commands(self, replica):
        return [c for c in replica.commands
                if c["command"] == "signed" and c["outcome"] == "applied"]


# ---- the invariants, from the records ------------------------------------------------------------
class Check:
    def __init__(self, run, name, *sources):
        self.run, self.name, self.checked = run, name, 0
        self.violations, self.more = [], 0
        self.open = [text for source in sources for text in run.defects[source]]

    def violate(self, where, what):
        if len(self.violations) < MOST_LISTED:
            self.violations.append("%s: %s: %s" % (self.name, where, what))
        else:
            self.more += 1


def what_was_told(run):
    """key -> the first acceptance and the first final refusal."""
    accepted, refused = {}, {}
    for op in run.operations.values():
        if op.status is None or op.intent == "conflict":
            continue
        if op.ok and op.state != "rejected":
            accepted.setdefault(op.key, op)
        elif op.ok or (op.intent not in GETS and 400 <= op.status < 500 and op.status != 429):
            refused.setdefault(op.key, op)
    return accepted, refused


def no_duplicate_payment(run):
    check = Check(run, "no-duplicate-payment", "history", "chain", "journals")
    if check.open:
        return check
    accepted, refused = what_was_told(run)
    for name, paid in run.payments().items():
        key = run.keys[name]
        for again in paid[1:]:
            check.violate(again.where, "key %s is paid again by %s:%d (first at %s)" %
                          (name, again.txid, again.vout, paid[0].where))
        for one in paid:
            check.checked += 1
            if one.amount != key.amount:
                check.violate(one.where, "key %s is paid %d sat by %s, but asked for %d (%s)" %
                              (name, one.amount, one.txid, key.amount, key.where))
            if name not in accepted and name in refused:
                check.violate(one.where, "key %s was refused (%s), yet %s pays it" %
                              (name, refused[name].answer_where, one.txid))
    orders, paid_orders = {}, collections.defaultdict(list)
    payments = run.payments()
    for name, key in run.keys.items():
        orders[name] = orders.get(key.replaces, name)
        if payments.get(name):
            paid_orders[orders[name]].append(payments[name][0])
    twice = {order: paid for order, paid in paid_orders.items() if len(paid) > 1}
    for order, paid in twice.items():
        if not run.expects_duplicate:
            check.violate(paid[-1].where, "the order of key %s is paid %d times" %
                          (order, len(paid)))
    if run.expects_duplicate and not twice:
        check.open.append("expect: duplicate, but no order was paid twice")
    asked = {key.script for key in run.keys.values()} | {run.wallet}
    for tx in run.chain.order:
        if run.spends_wallet(tx):
            for vout, (amount, script) in enumerate(tx.outputs):
                if script not in asked:
                    check.violate(tx.where, "%s:%d pays %d sat to a script that no client asked "
                                  "for" % (tx.txid, vout, amount))
    return check


def no_lost_withdrawal(run):
    check = Check(run, "no-lost-withdrawal", "history", "chain", "faults", "replicas")
    if check.open:
        return check
    if run.interrupted:
        check.open.append("the run was interrupted")
    rows, payments, (accepted, _) = {}, run.payments(), what_was_told(run)
    for replica in sorted(run.replicas, key=lambda replica: not replica.closed):
        for row in replica.rows:
            rows.setdefault(row["key"], row)
    for name, key in run.keys.items():
        row, answer = rows.get(name), accepted.get(name)
        known = row is not None and row["state"] != "rejected"
        if answer is None and not known:
            continue
        check.checked += 1
        where = answer.answer_where if answer else row["where"]
        if answer and row is None:
            check.violate(where, "key %s was acknowledged, but no replica knows it" % name)
        elif answer and not known:
            check.violate(where, "key %s was acknowledged, but the ledger rejected it" % name)
        elif not any(paid.amount == key.amount and run.depth(paid.height) >= run.settle_depth()
                     for paid in payments.get(name, [])):
            if not run.lasting_loss() and not run.interrupted:
                check.violate(where, "key %s was accepted, but no output of %d sat pays it at "
                              "settle depth" % (name, key.amount))
    return check


class PartialTransactions:
    """Bytes on the chain = bytes in every replica = bytes handed out = bytes sent."""

    def __init__(self, run):
        self.run, self.bytes, self.in_ledger = run, {}, set()
        self.check = Check(run, "no-partial-transaction", "history", "events", "faults", "chain",
                           "transactions", "replicas")

    def judge(self):
        run, check = self.run, self.check
        if check.open:
            return check
        if run.interrupted:
            check.open.append("the run was interrupted")
        for replica in run.replicas:
            self.reservations(replica)
            for row in replica.rows:
                self.row(replica, row)
        for record in run.transactions:
            self.equal(record["txid"], record["hex"], record["where"], "transactions.ndjson")
        self.handed_out()
        sent = set()
        for event in run.events["broadcast"]:
            sent.add(event["txid"])
            self.equal(event["txid"], event["hex"], event["where"], event["process"] + " sent")
        paying = {one.txid for paid in run.payments().values() for one in paid}
        for tx in run.chain.order:
            if tx.txid in paying or tx.txid in self.in_ledger:
                self.equal(tx.txid, tx.raw.hex(), tx.where, "the chain")
            if tx.txid in self.in_ledger and tx.txid not in sent:
                check.violate(tx.where, "no coordinator told that it sent " + tx.txid)
        return check

    def equal(self, txid, hex_, where, who):
        self.check.checked += 1
        known = self.bytes.setdefault(txid, (hex_, where))
        if txid not in self.in_ledger:
            self.check.violate(where, "%s: transaction %s, of which the ledger holds no bytes" %
                               (who, txid))
        if known[0] != hex_:
            self.check.violate(where, "%s: other bytes of %s than %s" % (who, txid, known[1]))

    def reservations(self, replica):
        spent = {}
        for row in replica.rows:
            if row["unsigned_tx"]:
                tx = self.run.parse(row["unsigned_tx"])
                if isinstance(tx, str):
                    self.check.violate(row["where"], "the template " + tx)
                else:
                    spent[row["withdrawal_id"]] = {outpoint for outpoint, _, _, _ in tx.inputs}
        reserved = collections.defaultdict(set)
        for one in replica.reservations:
            self.check.checked += 1
            reserved[one["withdrawal_id"]].add(one["outpoint"])
            if one["outpoint"] not in spent.get(one["withdrawal_id"], ()):
                self.check.violate(one["where"], "%s is reserved for %s, which does not spend it"
                                   % (one["outpoint"], one["withdrawal_id"]))
        for name, outpoints in spent.items():
            for outpoint in sorted(outpoints - reserved[name]):
                self.check.violate("state/%s.ndjson" % replica.name, "withdrawal %s spends %s, "
                                   "which is not reserved for it" % (name, outpoint))

    def row(self, replica, row):
        run, check = self.run, self.check
        check.checked += 1
        if replica.closed and row["state"] not in ("settled", "rejected") and \
                not run.lasting_loss() and not run.interrupted:
            check.violate(row["where"], "withdrawal %s is stuck in state %s" %
                          (row["withdrawal_id"], row["state"]))
        if not row["signed_tx"]:
            if row["state"] in STATES[2:]:
                check.violate(row["where"], "withdrawal %s is %s without signed bytes" %
                              (row["withdrawal_id"], row["state"]))
            return
        tx = run.parse(row["signed_tx"])
        if isinstance(tx, str):
            return check.violate(row["where"], "the signed bytes " + tx)
        if tx.stripped.hex() != row["unsigned_tx"] or tx.txid != row["txid"]:
            check.violate(row["where"], "withdrawal %s is signed for other bytes than its "
                          "template" % row["withdrawal_id"])
        self.in_ledger.add(row["txid"])
        self.equal(row["txid"], row["signed_tx"], row["where"], replica.name)

    def handed_out(self):
        run, seen = self.run, set()
        rows = {row["withdrawal_id"]: row for row in run.reference.rows}
        for record in run.transactions:
            row = rows.get(record["withdrawal_id"])
            if row is None or record["withdrawal_id"] in seen:
                self.check.violate(record["where"], "withdrawal %s is in no replica, or here "
                                   "twice" % record["withdrawal_id"])
                continue
            seen.add(record["withdrawal_id"])
            same = (record["idempotency_key"], record["amount_sat"], record["txid"],
                    record["hex"]) == (row["key"], row["amount_sat"], row["txid"],
                                       row["signed_tx"])
            try:
                same = same and script_of_address(record["address"]).hex() == row["script"]
            except MISREAD:
                same = False
            if not same:
                self.check.violate(record["where"], "withdrawal %s differs from %s" %
                                   (record["withdrawal_id"], row["where"]))
            self.prevouts(record)
        for row in rows.values():
            if row["signed_tx"] and row["withdrawal_id"] not in seen:
                self.check.violate(row["where"], "withdrawal %s is signed, but "
                                   "transactions.ndjson has it not" % row["withdrawal_id"])

    def prevouts(self, record):
        tx, told = self.run.parse(record["hex"]), record["prevouts"]
        same = not isinstance(tx, str) and len(tx.inputs) == len(told)
        for i in range(len(told) if same else 0):
            outpoint = "%s:%d" % (told[i]["txid"], told[i]["vout"])
            same = same and outpoint == tx.inputs[i][0]
            real = self.run.chain.output(outpoint) if same else None
            if real:
                same = real == (told[i]["amount_sat"], bytes.fromhex(told[i]["script"]))
        if not same:
            self.check.violate(record["where"], "withdrawal %s has other prevouts than its "
                               "transaction spends" % record["withdrawal_id"])


def canonical(*parts):
    """Byte strings as the project's canonical encoding has them: each behind its length."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class Policy:
    """What was signed is what was planned and asked for; and every signature that anybody showed
    verifies under the wallet's key for the true prevouts."""

    def __init__(self, run):
        self.run, self.good, self.seen, self.known = run, set(), set(), {}
        self.rows, self.requests, self.most_fee = {}, {}, 10_000
        self.check = Check(run, "signing-policy-respected", "history", "events", "faults", "chain",
                           "transactions", "journals", "replicas")

    def judge(self):
        run, check = self.run, self.check
        if check.open:
            return check
        form = "ecdsa" if run.ecdsa else "bip340"
        for replica in run.replicas:
            genesis = replica.commands[0] if replica.commands else {}
            told = (genesis.get("signature_form"), genesis.get("wallet_output_key"),
                    genesis.get("wallet_script"))
            if told[:2] != (form, run.wallet_key.hex()) or \
                    told[2] not in (None, run.wallet.hex()):
                check.violate("state/%s.ndjson" % replica.name, "its genesis names another key or "
                              "form than the signers' journals")
            self.most_fee = genesis.get("withdrawal_fee_sat", self.most_fee)
            for row in replica.rows:
                if row["unsigned_tx"]:
                    self.known.setdefault(row["txid"], run.parse(row["unsigned_tx"]))
                    self.rows.setdefault(row["txid"], row)
        for journal in run.journals.values():
            for record in journal.records:
                self.record(record, "%s signed %s" % (journal.signer, record["txid"]))
        self.signed_again()
        for replica in run.replicas:
            for row in replica.rows:
                self.transaction(row["txid"], row["signed_tx"], row["where"])
            for command in run.signed_commands(replica):
                self.listed(command["txid"], command["signatures"], command["where"])
        for record in run.transactions:
            self.transaction(record["txid"], record["hex"], record["where"])
        for event in run.events["broadcast"]:
            self.transaction(event["txid"], event["hex"], event["where"])
        for event in run.events["aggregated"]:
            self.listed(event["txid"], event["signatures"], event["where"])
        if run.scheme in ONE_SIGNER:  # in one round a share is the signature, used or not
            for event in run.events["share_released"] + run.events["share_received"]:
                self.listed(event["txid"], [self.signature(one) for one in event["shares"]],
                            event["where"])
        for tx in run.chain.order:
            if run.spends_wallet(tx):
                self.transaction(tx.txid, tx.raw.hex(), tx.where)
        return check

    def signature(self, share):
        """A token's share is r || s; the network takes the same two numbers as strict DER."""
        if not self.run.ecdsa or len(share) != 128:
            return share
        r, s = int(share[:64], 16), int(share[64:], 16)
        body = b""
        for number in (r, s):
            if not 0 < number < N:
                return share
            digits = number.to_bytes(number.bit_length() // 8 + 1, "big")
            body += bytes([2, len(digits)]) + digits
        return (bytes([0x30, len(body)]) + body).hex()

    def record(self, record, name):
        check, where, tx = self.check, record["where"], self.known.get(record["txid"])
        check.checked += 1
        if not isinstance(tx, Transaction) or tx.txid != record["txid"]:
            return check.violate(where, name + ", which no replica planned")
        row = self.rows[record["txid"]]
        if (row["withdrawal_id"], row["payload_digest"]) != \
                (record["withdrawal_id"], record["payload_digest"]):
            check.violate(where, name + " for another withdrawal or payload than the ledger's")
        prevouts = [self.output(outpoint) for outpoint, _, _, _ in tx.inputs]
        told = [(one["outpoint"], (one["amount_sat"], bytes.fromhex(one["script"])))
                for one in record["inputs"]]
        if None in prevouts:
            return check.violate(where, name + ", which spends what no transaction created")
        if told != [(one[0], out) for one, out in zip(tx.inputs, prevouts)]:
            check.violate(where, name + " believing in other inputs, amounts or scripts than those "
                          "that it spends")
        if len(record["nonces"]) != (0 if self.run.scheme in ONE_SIGNER else len(told)):
            check.violate(where, name + " with %d nonces" % len(record["nonces"]))
        return self.money(record, name, tx, row, prevouts)

    def asked(self, record, name, row, key):
        """The client's word, under the key that its own record names."""
        if self.run.client is None:
            return
        client, cluster, public_key = self.run.client
        if key.key not in self.requests:
            said = canonical(b"roulette/payment-request/1", cluster.encode(), client.encode(),
                             key.key.encode(), key.account.encode(), key.script) + \
                key.amount.to_bytes(8, "big", signed=True)
            self.requests[key.key] = row.get("client") == client and ed25519_verify(
                public_key, said, bytes.fromhex(row.get("client_signature") or ""))
        if not self.requests[key.key]:
            self.check.violate(record["where"], name + " for a request that bears no signature of "
                               "client '%s'" % client)
        tagged = canonical(b"roulette/withdrawal-id", key.key.encode())
        if record["withdrawal_id"] != sha256(tagged).hex()[:32]:
            self.check.violate(record["where"], name + " for a withdrawal that is not its key's")

    def money(self, record, name, tx, row, prevouts):
        """One output to the client, the rest back to the wallet, a fee within bounds."""
        check, where, key = self.check, record["where"], self.run.keys.get(row["key"])
        if key is None:
            return check.violate(where, name + " for a key that no client made")
        self.asked(record, name, row, key)
        change = [amount for amount, script in tx.outputs if script == self.run.wallet]
        paid = [amount for amount, script in tx.outputs if script == key.script]
        if paid != [key.amount] or len(change) > 1 or len(paid + change) != len(tx.outputs):
            check.violate(where, "%s with other outputs than %d sat to its client and change" %
                          (name, key.amount))
        fee = sum(amount for amount, _ in prevouts) - sum(amount for amount, _ in tx.outputs)
        # BIP 141: four times the bytes, and the marker, the flag and the widest witness once.
        witness = 1 + 74 + 34 if self.run.ecdsa else 1 + 65
        least = -(-(4 * len(tx.stripped) + 2 + len(tx.inputs) * witness) // 4)
        if not least <= fee <= self.most_fee or fee != row.get("fee_sat"):
            check.violate(where, "%s with a fee of %d sat, outside %d..%d or not %s as its row says"
                          % (name, fee, least, self.most_fee, row.get("fee_sat")))
        if any(script != self.run.wallet for _, script in prevouts):
            check.violate(where, name + " spending a coin that is not the wallet's")
        return None

    def signed_again(self):
        """Who has the bytes sends them and signs no more."""
        had = {}
        for kind in ("signed_applied", "broadcast"):
            for event in self.run.events[kind]:
                session = (event["boot"], event["withdrawal_id"])
                had[session] = min(event["t_us"], had.get(session, event["t_us"]))
        for event in self.run.events["session_opened"]:
            if event["t_us"] > had.get((event["boot"], event["withdrawal_id"]), event["t_us"]):
                self.check.violate(event["where"], "%s opened a session for withdrawal %s, whose "
                                   "bytes it had" % (event["process"], event["withdrawal_id"]))

    def output(self, outpoint):
        """From the chain; from another template only where that one never came into the chain."""
        found, (txid, vout) = self.run.chain.output(outpoint), outpoint.split(":")
        template = self.known.get(txid)
        if found is None and txid not in self.run.chain.transactions and \
                isinstance(template, Transaction) and int(vout) < len(template.outputs):
            found = template.outputs[int(vout)]
        return found

    def sighashes(self, tx):
        if not hasattr(tx, "sighash"):
            prevouts = [self.output(outpoint) for outpoint, _, _, _ in tx.inputs]
            tx.sighash = None
            if all(out is not None and out[1] == self.run.wallet for out in prevouts):
                tx.sighash = (tx.segwit_sighashes(prevouts) if self.run.ecdsa
                              else tx.taproot_sighashes(prevouts))
        return tx.sighash

    def transaction(self, txid, hex_, where):
        if not hex_ or hex_ in self.seen:
            return None
        self.seen.add(hex_)
        tx = self.run.parse(hex_)
        if isinstance(tx, str):
            return self.check.violate(where, "signed bytes: " + tx)
        if tx.txid != txid:
            return self.check.violate(where, "these bytes are transaction %s, not %s" %
                                      (tx.txid, txid))
        signatures = []
        for (_, _, script_sig, _), witness in zip(tx.inputs, tx.witness):
            if self.run.ecdsa:
                right = len(witness) == 2 and witness[1] == self.run.wallet_key and \
                    witness[0][-1:] == b"\x01"
                witness = [witness[0][:-1]] if right else witness
            else:
                right = len(witness) == 1 and len(witness[0]) == 64
            if not right or script_sig:
                return self.check.violate(where, txid + " has a witness that is not the wallet's")
            signatures.append(witness[0].hex())
        self.known.setdefault(txid, tx)
        return self.listed(txid, signatures, where)

    def listed(self, txid, signatures, where):
        tx = self.known.get(txid)
        if not isinstance(tx, Transaction):
            return self.check.violate(where, "%s is signed, but no replica planned it" % txid)
        hashes = self.sighashes(tx)
        if hashes is None:
            return self.check.violate(where, txid + " spends a coin that is not the wallet's, or "
                                      "that nobody created")
        if len(hashes) != len(signatures):
            return self.check.violate(where, "%s has %d inputs, but %d signatures" %
                                      (txid, len(hashes), len(signatures)))
        verify = self.run.curve.ecdsa if self.run.ecdsa else self.run.curve.bip340
        for i, (hash_, signature) in enumerate(zip(hashes, signatures)):
            if (txid, i, signature) in self.good:
                continue
            self.good.add((txid, i, signature))
            self.check.checked += 1
            try:
                right = verify(hash_, bytes.fromhex(signature))
            except ValueError:
                right = False
            if not right:
                self.check.violate(where, "the signature of input %d of %s does not verify under "
                                   "the wallet's key" % (i, txid))
        return None


class Idempotency:
    """A key is one payload, one withdrawal, one transaction, whoever is asked and how often."""

    def __init__(self, run):
        self.run, self.known = run, {}
        self.check = Check(run, "idempotency-key-respected", "history", "events", "faults",
                           "replicas")

    def judge(self):
        run = self.run
        if self.check.open:
            return self.check
        asked = collections.Counter()
        for op in run.operations.values():
            if op.status is not None and op.status < 500:
                self.answer(op)
                asked[op.key] += op.ok and op.intent != "conflict"
        self.check.checked += sum(count - 1 for count in asked.values() if count > 1)
        for replica in run.replicas:
            self.rows(replica)
            self.commands(replica)
        self.answers_told()
        return self.check

    def agree(self, what, key, value, where):
        if value:
            known = self.known.setdefault((what, key), (value, where))
            if known[0] != value:
                self.check.violate(where, "key %s has %s %s here, but %s at %s" %
                                   (key, what, value, known[0], known[1]))

    def answer(self, op):
        check, key, where = self.check, self.run.keys[op.key], op.answer_where
        if op.intent == "conflict":
            check.checked += 1
            if op.status != 422:
                check.violate(where, "key %s was sent with another payload and answered with %d, "
                              "not 422" % (op.key, op.status))
            return
        if op.intent not in GETS:
            if op.payload != (key.account, key.address, key.amount):
                check.violate(op.where, "key %s: the client itself sent another payload" % op.key)
            if op.status == 422 and "withdrawal-rejected" not in op.problem:
                check.violate(where, "key %s was sent again and refused with 422" % op.key)
            elif op.ok and op.status != 202:
                check.violate(where, "key %s is answered with %d, not 202" % (op.key, op.status))
            elif op.status != 429:
                self.agree("status", op.key, str(op.status), where)
        if op.ok:
            if not op.id:
                check.violate(where, "key %s: an acceptance without an id" % op.key)
            self.agree("id", op.key, op.id, where)
            self.agree("txid", op.key, op.txid, where)

    def rows(self, replica):
        seen = {}
        for row in replica.rows:
            name, key = row["key"], self.run.keys.get(row["key"])
            if seen.setdefault(name, row["where"]) != row["where"]:
                self.check.violate(row["where"], "key %s has a second withdrawal" % name)
            self.agree("id", name, row["withdrawal_id"], row["where"])
            self.agree("txid", name, row["txid"], row["where"])
            if key is None:
                self.check.violate(row["where"], "key %s was made by no client" % name)
                continue
            payload = len(key.account.encode()).to_bytes(4, "big") + key.account.encode()
            payload += len(key.script).to_bytes(4, "big") + key.script
            digest = sha256(payload + key.amount.to_bytes(8, "big")).hex()
            if (row["account"], row["amount_sat"], row["script"], row["payload_digest"]) != \
                    (key.account, key.amount, key.script.hex(), digest):
                self.check.violate(row["where"], "key %s stands with another payload than the "
                                   "client's (%s)" % (name, key.where))

    def commands(self, replica):
        firsts = {}
        for command in replica.commands:
            if command["command"] != "withdraw":
                continue
            name, outcome = command["key"], command["outcome"]
            if name in firsts:
                same = firsts[name] == command["payload_digest"]
                due = {"duplicate"} if same else {"key-conflict"}
            else:
                due = {"applied", "rejected", "closed", "invalid", "ignored"}
                if outcome in ("applied", "rejected"):
                    firsts[name] = command["payload_digest"]
            if outcome not in due:
                self.check.violate(command["where"], "key %s was %s where only %s can be" %
                                   (name, outcome, " or ".join(sorted(due))))

    def answers_told(self):
        """Each answer that the client got stands in its coordinator's log, once."""
        told = collections.defaultdict(list)
        for event in self.run.events["answered"]:
            told[event["process"]].append(event)
        times = {name: [event["t_us"] for event in events] for name, events in told.items()}
        used = set()
        answered = [op for op in self.run.operations.values() if op.status is not None]
        for op in sorted(answered, key=lambda op: op.ended):
            events = told[op.coordinator]
            at = bisect.bisect_left(times.get(op.coordinator, []), op.invoked)
            while at < len(events) and events[at]["t_us"] <= op.ended:
                words = tuple(events[at].get(name) or "" for name in ("id", "state", "txid"))
                if (op.coordinator, at) not in used and events[at]["status"] == op.status and \
                        words == (op.id, op.state, op.txid):
                    used.add((op.coordinator, at))
                    break
                at += 1
            else:
                self.check.violate(op.answer_where, "op %d was answered with %d, but %s told no "
                                   "such answer" % (op.number, op.status, op.coordinator))


class Conflicts:
    """Outpoint -> transaction and withdrawal -> transaction are functions over all records."""

    def __init__(self, run):
        self.run, self.bound = run, {}
        self.check = Check(run, "no-conflicting-signature", "events", "chain", "transactions",
                           "faults", "journals", "replicas")

    def judge(self):
        run, check = self.run, self.check
        if check.open:
            return check
        if not any(journal.records for journal in run.journals.values()):
            check.open.append("no signer's journal holds a signing record")
            return check
        for journal in run.journals.values():
            for record in journal.records:
                self.bind("withdrawal", record["withdrawal_id"], record["txid"], record["where"])
                for one in record["inputs"]:
                    self.bind("outpoint", one["outpoint"], record["txid"], record["where"])
        for replica in run.replicas:
            self.replica(replica)
        for record in run.transactions:
            self.bind("withdrawal", record["withdrawal_id"], record["txid"], record["where"])
            self.bytes(record["hex"], record["txid"], record["where"])
        planned = {row["withdrawal_id"]: row["txid"] for row in run.reference.rows}
        for kind in ("session_opened", "share_released", "share_received", "aggregated",
                     "broadcast", "signed_applied", "broadcast_result"):
            for event in run.events[kind]:
                self.bind("withdrawal", event["withdrawal_id"], event["txid"], event["where"])
                if planned.get(event["withdrawal_id"]) != event["txid"]:
                    check.violate(event["where"], "%s tells %s of withdrawal %s with transaction "
                                  "%s, which the ledger did not plan" %
                                  (event["process"], kind, event["withdrawal_id"], event["txid"]))
                if kind == "broadcast":
                    self.bytes(event["hex"], event["txid"], event["where"])
        for tx in run.chain.order:
            for outpoint, _, _, _ in tx.inputs if not tx.coinbase else ():
                output = run.chain.output(outpoint)
                if output is not None and output[1] == run.wallet:
                    self.bind("outpoint", outpoint, tx.txid, tx.where)
        return check

    def bind(self, what, thing, txid, where):
        if thing and txid:
            self.check.checked += 1
            known = self.bound.setdefault((what, thing), (txid, where))
            if known[0] != txid:
                self.check.violate(where, "%s %s goes to %s here, but to %s at %s" %
                                   (what, thing, txid, known[0], known[1]))

    def bytes(self, hex_, claimed, where):
        if not hex_:
            return
        tx = self.run.parse(hex_)
        if isinstance(tx, str) or tx.txid != claimed:
            return self.check.violate(where, "these bytes are not transaction %s" % claimed)
        for outpoint, _, _, _ in tx.inputs:
            self.bind("outpoint", outpoint, tx.txid, where)

    def replica(self, replica):
        txids = {row["withdrawal_id"]: row["txid"] for row in replica.rows}
        for row in replica.rows:
            self.bind("withdrawal", row["withdrawal_id"], row["txid"], row["where"])
            self.bytes(row["unsigned_tx"], row["txid"], row["where"])
            self.bytes(row["signed_tx"], row["txid"], row["where"])
        for one in replica.reservations:
            self.bind("outpoint", one["outpoint"], txids.get(one["withdrawal_id"]), one["where"])
        for command in self.run.signed_commands(replica):
            self.bind("withdrawal", command["withdrawal_id"], command["txid"], command["where"])


class ShareRecords:
    """Who released or received a share has a durable record of it, and wrote down what it did."""

    def __init__(self, run):
        self.run = run
        self.check = Check(run, "share-has-its-record", "events", "faults", "journals", "replicas")

    def judge(self):
        run, check = self.run, self.check
        if check.open:
            return check
        self.records = collections.defaultdict(list)
        for journal in run.journals.values():
            for record in journal.records:
                self.records[journal.signer, record["session_digest"]].append(record)
        released = set()
        for share in run.events["share_released"]:
            signer = share["process"]
            record = self.share(share, signer)
            released.add((signer, "".join(share["nonces"] + share["shares"])))
            length = run.journals[signer].length if signer in run.journals else 0
            if record is not None and share["journal_length"] < record["sequence"]:
                check.violate(share["where"], "the share of %s left before its record (%s)" %
                              (signer, record["where"]))
            if share["journal_length"] > length:
                check.violate(share["where"], "%s had %d records here, its journal ends at %d" %
                              (signer, share["journal_length"], length))
        for share in run.events["share_received"]:
            self.share(share, share["signer"])
            if (share["signer"], "".join(share["nonces"] + share["shares"])) not in released:
                check.violate(share["where"], "a share of %s was received that it never released"
                              % share["signer"])
        self.heads()
        self.untold()
        return check

    def share(self, share, signer):
        self.check.checked += 1
        nonces = 0 if self.run.scheme in ONE_SIGNER else len(share["shares"])
        if not share["shares"] or len(share["nonces"]) != nonces:
            self.check.violate(share["where"], "%d nonces for %d shares" %
                               (len(share["nonces"]), len(share["shares"])))
        for record in self.records[signer, share["session_digest"]]:
            if (record["nonces"], record["txid"], record["withdrawal_id"]) == \
                    (share["nonces"], share["txid"], share["withdrawal_id"]):
                return record
        return self.check.violate(share["where"], "a share of %s for session %s, of which its "
                                  "journal has no record" % (signer, share["session_digest"]))

    def heads(self):
        """What shares told about journals, against what is left of these."""
        def holds(heads, told):
            return 0 < told["length"] <= len(heads) and heads[told["length"] - 1] == told["head"]
        lost = {}
        for command in self.run.signed_commands(self.run.reference):
            for told in command["journals"]:
                self.check.checked += 1
                journal = self.run.journals.get(told["signer"])
                if journal and holds(journal.heads, told):
                    continue
                taken = next((taken for taken in journal.taken if holds(taken[0], told)),
                             None) if journal else None
                if taken is None:
                    self.check.violate(command["where"], "%s told a journal of %d records with a "
                                       "head that is not there" % (told["signer"], told["length"]))
                else:
                    lost[told["signer"], taken[1]] = True
        for signer, back in lost:
            self.check.checked += 1
            if not any(event["signer"] == signer and event["t_us"] >= back
                       for event in self.run.events["signer_quarantined"]):
                self.check.violate("events.ndjson", "%s came back without records whose head the "
                                   "ledger keeps, and no coordinator quarantined it" % signer)
            for share in self.run.events["share_released"]:
                if share["process"] == signer and share["t_us"] >= back:
                    self.check.violate(share["where"], "%s released a share after it came back "
                                       "without records whose head the ledger keeps" % signer)

    def untold(self):
        """Signatures were made by somebody who told so, of t shares, each of a journal."""
        run, check = self.run, self.check
        opened, received, made = {}, collections.defaultdict(set), set()
        for event in run.events["session_opened"]:
            opened[event["boot"], event["session_digest"]] = event
        for event in run.events["share_received"]:
            session = (event["boot"], event["session_digest"])
            received[session].add(event["signer"])
            check.checked += 1
            if session not in opened or event["signer"] not in opened[session]["signers"] or \
                    opened[session]["withdrawal_id"] != event["withdrawal_id"]:
                check.violate(event["where"], "a share for a session that was not opened with %s"
                              % event["signer"])
        for event in run.events["aggregated"]:
            session = (event["boot"], event["session_digest"])
            check.checked += 1
            made.add((event["txid"], tuple(event["signatures"])))
            if session not in opened or \
                    opened[session]["withdrawal_id"] != event["withdrawal_id"]:
                check.violate(event["where"], "a session was aggregated that was not opened so")
            known = sum(bool(self.records.get((signer, event["session_digest"])))
                        for signer in run.journals)
            if min(len(received[session]), known) < run.threshold:
                check.violate(event["where"], "a session was aggregated of which %d shares were "
                              "told and %d journals know" % (len(received[session]), known))
        for command in run.signed_commands(run.reference):
            check.checked += 1
            if (command["txid"], tuple(command["signatures"])) not in made:
                check.violate(command["where"], "signatures of %s were applied that no "
                              "coordinator told to have made" % command["txid"])


def nonce_never_reused(run):
    check = Check(run, "nonce-never-reused", "events", "journals")
    if check.open:
        return check
    uses, shares = {}, {}

    def use(nonce, signer, session, i, share, where):
        check.checked += 1
        known = uses.setdefault(nonce, ((signer, session, i), where))
        if known[0] != (signer, session, i):
            check.violate(where, "nonce %s.. of %s is used again (first at %s)" %
                          (nonce[:20], signer, known[1]))
        elif share is not None and shares.setdefault(nonce, (share, where))[0] != share:
            check.violate(where, "nonce %s.. of %s has another share than at %s" %
                          (nonce[:20], signer, shares[nonce][1]))
    for journal in run.journals.values():
        for record in journal.records:
            for i, nonce in enumerate(record["nonces"]):
                use(nonce, journal.signer, record["session_digest"], i, None, record["where"])
    for kind, signer in (("share_released", "process"), ("share_received", "signer")):
        for event in run.events[kind]:
            for i, nonce in enumerate(event["nonces"]):
                share = event["shares"][i] if i < len(event["shares"]) else None
                use(nonce, event[signer], event["session_digest"], i, share, event["where"])
    return check


def chain_matches_ledger(run):
    check = Check(run, "chain-matches-ledger", "history", "faults", "chain", "journals",
                  "replicas")
    if check.open:
        return check
    ours = [tx for tx in run.chain.order if run.spends_wallet(tx)]
    for replica in run.replicas:
        if not replica.closed:
            continue
        followed, anchor = replica.chain()
        if not followed:
            check.open.append(replica.name + " followed no block")
        for i, hash_ in enumerate(followed):
            check.checked += 1
            if anchor + i >= len(run.chain.hashes) or run.chain.hashes[anchor + i] != hash_:
                check.violate("state/%s.ndjson" % replica.name, "it followed block %s at height "
                              "%d, which is not in the active chain" % (hash_, anchor + i))
                break
        height = anchor + len(followed) - 1
        rows = {row["txid"]: row for row in replica.rows if row["txid"]}
        for tx in ours:
            check.checked += 1
            row = rows.get(tx.txid)
            if row is None:
                check.violate(tx.where, "%s spends the wallet's coins, but %s has no such "
                              "withdrawal" % (tx.txid, replica.name))
            elif tx.height <= height and row.get("height") != tx.height:
                check.violate(row["where"], "withdrawal %s stands at height %s, its transaction "
                              "at %d" % (row["withdrawal_id"], row.get("height"), tx.height))
        for row in replica.rows:
            if row["state"] in ("confirmed", "settled"):
                check.checked += 1
                confirmed_row(run, check, row, height)
    spending = {tx.txid for tx in ours}
    for name, paid in run.payments().items():
        for one in paid:
            if one.txid not in spending:
                check.violate(one.where, "key %s is paid by %s, which spends no coin of the "
                              "wallet" % (name, one.txid))
    return check


def confirmed_row(run, check, row, height):
    tx = run.chain.transactions.get(row["txid"])
    if tx is None:
        return check.violate(row["where"], "withdrawal %s is %s, but %s is not in the active "
                             "chain" % (row["withdrawal_id"], row["state"], row["txid"]))
    paying = tx.outputs.count((row["amount_sat"], bytes.fromhex(row["script"])))
    if paying != 1:
        check.violate(row["where"], "withdrawal %s is %s, but %s pays its amount to its script %d "
                      "times" % (row["withdrawal_id"], row["state"], row["txid"], paying))
    depth = height - (row.get("height") or 0) + 1
    if row["state"] == "settled" and depth < run.settle_depth():
        check.violate(row["where"], "withdrawal %s is settled, but only %d deep" %
                      (row["withdrawal_id"], depth))
    return None


class Books:
    """Postings make the balances, nobody is overdrawn, the wallet is what the chain shows."""

    def __init__(self, run, replica, check):
        self.run, self.replica, self.check = run, replica, check
        self.where = "state/%s.ndjson" % replica.name
        self.balances, self.moved, self.deposits = collections.Counter(), {}, {}

    def judge(self):
        self.post()
        self.compare()
        for row in self.replica.rows:
            self.withdrawal(row)
        known = {row["withdrawal_id"] for row in self.replica.rows}
        for reference in self.moved:
            if reference not in known:
                self.check.violate(self.where, "money moved for %s, no withdrawal" % reference)
        self.wallet()

    def post(self):
        index, overdrawn = 0, set()
        for one in self.replica.postings + [None]:
            if one is None or integer(one, "index") != index:
                for account, amount in self.balances.items():
                    bounded = account.startswith("customer:") or \
                        account in ("pending", "fees", "wallet")
                    if bounded and amount < 0 and account not in overdrawn:
                        overdrawn.add(account)
                        self.check.violate(self.where, "account %s is at %d sat after index %d" %
                                           (account, amount, index))
            if one is None:
                break
            self.check.checked += 1
            amount = integer(one, "amount_sat")
            if one["index"] < index or amount <= 0 or one["debit"] == one["credit"]:
                self.check.violate(one["where"], "a posting out of order, of no amount, or from an "
                                   "account to itself")
            index = one["index"]
            # The wallet is what we have (a debit adds to it), all others what we owe.
            for account, sign in ((one["debit"], -1), (one["credit"], 1)):
                self.balances[account] += amount * (-sign if account == "wallet" else sign)
            self.note(one)

    def note(self, one):
        reason, reference = one["reason"], one["reference"]
        if reason == "deposit":
            if self.deposits.setdefault(reference, one) is not one:
                self.check.violate(one["where"], "deposit %s is credited twice" % reference)
            return
        if reason == "payment":
            reason = "paid" if one["debit"] == "pending" else "left"
        elif reason not in ("hold", "fee", "network-fee"):
            self.check.violate(one["where"], "a posting for the unknown reason " + reason)
        moved = self.moved.setdefault(reference, collections.Counter())
        moved[reason] += one["amount_sat"]
        moved[reason + " times"] += 1

    def compare(self):
        told, total = set(), 0
        for row in self.replica.balances:
            self.check.checked += 1
            told.add(row["account"])
            total += -row["amount_sat"] if row["account"] == "wallet" else row["amount_sat"]
            if row["amount_sat"] != self.balances[row["account"]]:
                self.check.violate(row["where"], "account %s holds %d sat, its postings make %d" %
                                   (row["account"], row["amount_sat"],
                                    self.balances[row["account"]]))
        if total != 0:
            self.check.violate(self.where, "the balances sum to %d sat, not to zero" % total)
        for account, amount in self.balances.items():
            if amount != 0 and account not in told:
                self.check.violate(self.where, "account %s has postings, but no balance" % account)

    def withdrawal(self, row):
        name, moved = "withdrawal " + row["withdrawal_id"], self.moved.get(row["withdrawal_id"])
        if row["state"] == "rejected":
            if moved:
                self.check.violate(row["where"], name + " was rejected, but money moved for it")
            return
        self.check.checked += 1
        if not moved or moved["hold times"] != 1 or moved["hold"] < row["amount_sat"]:
            return self.check.violate(row["where"], name + " is not held for exactly once")
        if not moved["paid times"]:
            if row["state"] == "settled":
                self.check.violate(row["where"], name + " is settled, but not in the books")
            return
        amount, booked = row["amount_sat"], [moved[part] for part in (
            "paid times", "paid", "left", "fee", "network-fee")]
        if booked != [1, amount, amount, moved["hold"] - amount, row.get("fee_sat") or 0]:
            self.check.violate(row["where"], "%s of %d sat is booked as %s (times, paid, out of "
                               "the wallet, fee, network fee)" % (name, amount, booked))

    def wallet(self):
        """Unspent outputs at the replica's tip, less what is not yet credited, plus what confirmed
        payments took that is not yet booked."""
        run, check = self.run, self.check
        followed, anchor = self.replica.chain()
        tip, unspent, unbooked, found = anchor + len(followed) - 1, {}, 0, set()
        rows = {row["txid"]: row["withdrawal_id"] for row in self.replica.rows}
        for tx in run.chain.order:
            if tx.height > tip:
                continue
            taken = returned = 0
            for outpoint, _, _, _ in tx.inputs if not tx.coinbase else ():
                taken += unspent.pop(outpoint, 0)
            for vout, (amount, script) in enumerate(tx.outputs):
                if script != run.wallet:
                    continue
                outpoint = "%s:%d" % (tx.txid, vout)
                unspent[outpoint] = amount
                returned += amount
                if taken:
                    continue
                deposit = self.deposits.get(outpoint)
                if deposit is None:
                    unbooked -= amount
                    if not tx.coinbase and tip - tx.height + 1 >= run.settle_depth():
                        check.violate(tx.where, "deposit %s is deep enough, but %s has not "
                                      "credited it" % (outpoint, self.replica.name))
                else:
                    found.add(outpoint)
                    if deposit["amount_sat"] != amount:
                        check.violate(deposit["where"], "deposit %s is credited with another "
                                      "amount" % outpoint)
            if taken and tx.txid in rows and \
                    not self.moved.get(rows[tx.txid], {}).get("paid times"):
                unbooked += taken - returned
        for outpoint, deposit in self.deposits.items():
            if outpoint not in found:
                check.violate(deposit["where"], "deposit %s is no output of the chain to the "
                              "wallet" % outpoint)
        check.checked += 1
        if sum(unspent.values()) + unbooked != self.balances["wallet"]:
            check.violate(self.where, "the wallet's account holds %d sat, the chain's unspent "
                          "outputs make %d (and %d not yet booked)" %
                          (self.balances["wallet"], sum(unspent.values()), unbooked))


def books_balance(run):
    check = Check(run, "books-balance", "chain", "faults", "journals", "replicas")
    if check.open:
        return check
    closed = [replica for replica in run.replicas if replica.closed]
    for replica in closed:
        if not replica.postings:
            check.open.append(replica.name + " exported no postings")
        else:
            Books(run, replica, check).judge()
    due = {row["account"]: row["amount_sat"] for row in run.reference.balances}
    for replica in closed:
        for row in replica.balances if replica.last == run.reference.last else ():
            check.checked += 1
            if due.get(row["account"]) != row["amount_sat"]:
                check.violate(row["where"], "%s has another balance in %s than %s" %
                              (replica.name, row["account"], run.reference.name))
    return check


# ---- faults and the verdict ----------------------------------------------------------------------
HERE = ["no-duplicate-payment", "no-lost-withdrawal", "no-partial-transaction",
        "idempotency-key-respected", "no-conflicting-signature", "share-has-its-record",
        "nonce-never-reused", "signing-policy-respected", "books-balance", "chain-matches-ledger"]
ELSEWHERE = ["quorum-continuity", "safe-refusal", "orderly-stop-finishes", "ledger-replicas-agree",
             "limits-respected"]
INVARIANTS = HERE + ELSEWHERE
NEAR_US = 250_000
HANG_SLACK_US = 1_000_000  # how late the end of a signer may be seen whose token hung


# A token's fault, and what its PKCS#11 module wrote down of each call that met it.
TOKEN_ANSWERS = {"token-removed": "removed", "token-session-lost": "session-lost",
                 "token-refusing": "refuse", "token-slow": "slow", "token-hangs": "hang"}


def proof_defect(fault):
    """By kind, from the proof's own fields; what the tool calls proven is not believed alone."""
    proof, signal = fault.get("proof"), fault["signal"]
    if not isinstance(proof, dict):
        return "it has no proof"
    if proof.get("send_result") != 0:
        return "its signal was not sent"
    if not fault["point"].endswith(".process.at_time") and not fault.get("hit"):
        return "its point was never hit"
    if signal == "SIGKILL" or signal == "SIGTERM" and proof.get("escalated"):
        right = proof.get("wtermsig") == 9
    elif signal == "SIGTERM" and fault["role"] == "etcd" and proof.get("wtermsig") == 15:
        right = True
    elif signal == "SIGTERM":
        right = proof.get("exit_code") == 0 and (
            fault["role"] in ("etcd", "bitcoind") or proof.get("shutdown_started") is True)
    elif signal in TOKEN_ANSWERS:
        right = (proof.get("token_calls") or 0) > 0 and proof.get("token_back_us") is not None
    else:
        right = signal == "SIGSTOP" and proof.get("stopped") is True and (
            proof.get("continued") is True or fault["recover"] == "none")
    return "" if right and fault.get("proven") is True else "it does not prove " + signal


def untold(run, fault):
    """Whether the tool's own log tells the fault's moments at these times."""
    victim, proof = fault["victim"], fault["proof"]

    def told(kind, at, fits):
        return any(abs(event["t_us"] - at) <= NEAR_US and event.get("name") == victim and
                   fits(event) for event in run.events[kind])

    def moment(name):
        return lambda event: event.get("fault_id") == fault["fault_id"] and \
            event.get("moment") == name
    if not told("fault", proof["sent_us"], moment("sent")):
        return "the tool's log tells no signal at that time"
    if fault["signal"] in TOKEN_ANSWERS:
        if "state/token-%s.ndjson" % victim not in run.archive.files:
            return "there is no record of its token"
        met = [record["t_us"] for _, record in
               run.archive.records("state/token-%s.ndjson" % victim, "roulette-token")
               if record["answer"] == TOKEN_ANSWERS[fault["signal"]] and
               proof["sent_us"] <= record["t_us"] <= proof["token_back_us"]]
        if len(met) != proof["token_calls"]:
            return "its token recorded %d calls that met it" % len(met)
        if not told("fault", proof["token_back_us"], moment("token_back")):
            return "the tool's log tells no return of its token at that time"
        late = proof["token_back_us"] + HANG_SLACK_US
        if fault["signal"] == "token-hangs" and late - met[0] >= \
                run.patience_us + 2 * HANG_SLACK_US and not any(
                    event.get("name") == victim and met[0] <= event["t_us"] <= late
                    for event in run.events["exited"]):
            return "its signer waited longer than its patience"
    if fault.get("restarted_us") is not None and \
            not told("fault", fault["restarted_us"], moment("restarted")):
        return "the tool's log tells no restart at that time"
    code = proof["exit_code"] if proof.get("exit_code") is not None else -1
    if proof.get("reaped_us") is not None and not told(
            "exited", proof["reaped_us"], lambda event: event["signal"] ==
            (proof.get("wtermsig") or 0) and event["code"] == code):
        return "the tool's log tells no such end of its victim at that time"
    if fault.get("ready_us") is not None and not told("up", fault["ready_us"], lambda _: True):
        return "the tool's log tells no return of its victim at that time"
    return ""


def check_faults(run, report, verdict):
    fired = proven = 0
    for fault in run.faults:
        if fault.get("fired") is not True:
            why = "it did not fire"
        else:
            fired += 1
            why = proof_defect(fault) or untold(run, fault)
        proven += not why
        if why and verdict["verdict"] == "pass":
            report.find("%s: fault %d (%s to %s): %s, yet verdict.json says pass" %
                        (fault["where"], fault["fault_id"], fault["signal"], fault["victim"], why))
    report.count("faults with a proof", proven)
    told = verdict["faults"]
    if not run.defects["faults"] and not run.defects["events"] and \
            [told["requested"], told["fired"], told["proven"]] != [len(run.faults), fired, proven]:
        report.find("verdict.json: it counts %s of %s faults as proven, the records prove %d of %d"
                    % (told["proven"], told["requested"], proven, len(run.faults)))


def check_weights(run, report, verdict):
    """What a verdict may say at all, given its own invariants and the run's own end."""
    word, failed = verdict["verdict"], [one["id"] for one in verdict["invariants"]
                                        if one["status"] == "fail"]
    if word not in ("pass", "fail", "inconclusive"):
        return report.find("verdict.json: no verdict: %r" % word)
    if sorted(one["id"] for one in verdict["invariants"]) != sorted(INVARIANTS):
        report.find("verdict.json: its invariants are not the fifteen")
    for one in verdict["invariants"]:
        if one["status"] not in ("pass", "fail", "inconclusive", "not-exercised"):
            report.find("verdict.json: %s has no status: %r" % (one["id"], one["status"]))
    if failed and word != "fail":
        report.find("verdict.json: %s, though %s failed" % (word, ", ".join(failed)))
    if word == "pass" and verdict["reasons"]:
        report.find("verdict.json: pass, with reasons against it")
    if word != "pass" and not verdict["reasons"]:
        report.find("verdict.json: %s without a reason" % word)
    if word == "pass" and not run.defects["journal.json"]:
        for what, bad in (("was interrupted", run.interrupted),
                          ("has an exit that nobody asked for", run.journal["unasked_exits"]),
                          ("has a step of its end that failed", run.journal["problems"])):
            if bad:
                report.find("verdict.json: pass, but the run " + what + " (journal.json)")
    lost = {fault["victim"] for fault in run.faults
            if fault.get("fired") and fault["recover"] == "none"}
    for replica in run.replicas:
        if word == "pass" and not replica.closed and replica.name not in lost:
            report.find("verdict.json: pass, but %s did not apply EndOfRun" % replica.name)
    load, depth = verdict["load"], run.settle_depth()
    if not run.defects["history"] and not run.defects["chain"]:
        settled = sum(any(one.amount == run.keys[name].amount and run.depth(one.height) >= depth
                          for one in paid) for name, paid in run.payments().items())
        if [load["requested"], load["settled"]] != [len(run.keys), settled]:
            report.find("verdict.json: it counts %s withdrawals settled of %s, the records %d of "
                        "%d" % (load["settled"], load["requested"], settled, len(run.keys)))
    return None


def judgements(run):
    return [no_duplicate_payment(run), no_lost_withdrawal(run), PartialTransactions(run).judge(),
            Idempotency(run).judge(), Conflicts(run).judge(), ShareRecords(run).judge(),
            nonce_never_reused(run), Policy(run).judge(), books_balance(run),
            chain_matches_ledger(run)]


def compare(check, stated, word, report):
    """What was found here against what verdict.json says of the same invariant, and of the run."""
    admitted = stated == "fail" or stated == "inconclusive" and word != "pass"
    for text_ in check.violations:
        if not admitted:
            report.find("%s, yet verdict.json says %s" % (text_, stated))
        else:
            report.violations.append(text_)
    if check.more:
        report.violations.append("%s: %d more" % (check.name, check.more))
    if check.open and not check.violations:
        if stated == "pass":
            report.find("%s: verdict.json says pass, but it cannot be judged: %s" %
                        (check.name, check.open[0]))
        report.unchecked.append("%s (%s)" % (check.name, check.open[0]))
    elif stated == "fail" and not check.violations:
        report.find("%s: verdict.json says fail, but no record violates it" % check.name)
    elif stated == "pass" and check.checked == 0:
        report.find("%s: verdict.json says pass, but there was nothing to check" % check.name)
    report.count(check.name, check.checked)


def check_identity(archive, report, run):
    """The cluster's own signature, under the key that its coins were spent with."""
    if IDENTITY not in archive.files:
        if run.ecdsa:  # a key in a token signs payments only
            return report.unchecked.append("the cluster's own signature: there is none")
        return report.find(IDENTITY + ": missing: the cluster's own key signed nothing of this "
                           "run")
    if run.defects["journals"]:
        return report.find("%s: the journals tell no key for it" % IDENTITY)
    opened = open_envelope(archive.read(IDENTITY))
    if isinstance(opened, str):
        return report.find("%s: %s" % (IDENTITY, opened))
    payload, signatures = opened
    due = {"_type": "https://in-toto.io/Statement/v1",
           "subject": [{"name": name, "digest": {"sha256": archive.sha256(name)}}
                       for name in ("journal.json", "verdict.json")],
           "predicateType": "urn:quorum-roulette:run-identity:v1",
           "predicate": {"claim": "these records are of the cluster that holds this key"}}
    if payload != pretty(due).encode():
        return report.find(IDENTITY + ": it was made for another journal.json or verdict.json")
    message = tagged_hash("quorum-roulette/run-identity", pre_authentication(payload))
    if run.ecdsa or [one for one, _ in signatures] != ["BIP340:" + run.wallet_key.hex()] or \
            not run.curve.bip340(message, signatures[0][1]):
        return report.find(IDENTITY + ": not the signature of the key that the coins were spent "
                           "with")
    return report.count("signature of the cluster's own key over journal.json and verdict.json")


def check_time_stamp(archive, report):
    """That it is of this envelope; by whom, and so when, needs the authority's own format."""
    if TIME_STAMP not in archive.files:
        return None
    imprint = b"\x04\x20" + hashlib.sha256(archive.read(ENVELOPE)).digest()  # an OCTET STRING
    if imprint not in archive.read(TIME_STAMP):
        return report.find("%s: no time stamp of %s" % (TIME_STAMP, ENVELOPE))
    return report.unchecked.append(TIME_STAMP + ": who signed it, and so its time")


def check_run(archive, report, verdict):
    run = Run(archive)
    check_identity(archive, report, run)
    for defect in run.defects["journal.json"]:
        record = defect.split(": ", 1)[-1].split(" ", 1)[0]
        admitted = verdict["verdict"] == "inconclusive" and any(
            reason.startswith(record + " ") for reason in verdict["reasons"])
        if not admitted:
            report.find("%s, yet verdict.json says %s" % (defect, verdict["verdict"]))
    if not run.defects["journal.json"] and \
            verdict["schedule_hash"] != run.journal["schedule_hash"]:
        report.find("verdict.json: its schedule_hash is not the one of journal.json")
    check_weights(run, report, verdict)
    check_faults(run, report, verdict)
    stated = {one["id"]: one["status"] for one in verdict["invariants"]}
    for check in judgements(run):
        compare(check, stated.get(check.name), verdict["verdict"], report)
    report.count("blocks from the genesis block on", len(run.chain.hashes))
    report.count("transactions in state/transactions.ndjson", len(run.transactions))


def verify(file, trusted, first, report):
    """The verdict as stated, and the fingerprint of the signer; None where there is none."""
    archive = Archive(file, report)
    if not archive.whole:
        return None, None
    check_manifest(archive, report)
    verdict = signer = None
    try:
        verdict = archive.json("verdict.json")
        signer = check_envelope(archive, report, verdict, trusted)
        check_time_stamp(archive, report)
        check_chains(archive, report)
        check_run(archive, report, verdict)
    except Unreadable as error:
        report.find(str(error))
    except MISREAD as error:
        report.find("the bundle cannot be read to its end: %r" % error)
    known = set(TOP_RECORDS + ["chains.json", MANIFEST, ENVELOPE, PUBLIC_KEY, IDENTITY,
                               TIME_STAMP])
    views = [name for name in archive.files if name not in known and not name.startswith("state/")]
    for name in views:
        if archive.views == VIEWS_NUMBER and name not in VIEWS:
            report.find(name + " is no file of a bundle")
    if archive.views not in (None, VIEWS_NUMBER):
        report.other_views = archive.views
    report.unchecked += ELSEWHERE + [
        "the schedule against its seed, floors, the steady state and latencies",
        "what these files say (views of number %s): %s"
        % (archive.views, ", ".join(sorted(views) or ["none"]))]
    return verdict, signer


# ---- the command ---------------------------------------------------------------------------------
def trusted_of(word):
    if re.match(r"SHA256:[0-9a-f]{64}\Z", word):
        return word
    with open(word, encoding="latin-1") as file:
        key = key_of_pem(file.read())
    if key is None:
        raise ValueError("no Ed25519 public key in PEM")
    return fingerprint(key)


def say(report, verdict, signer, trusted):
    for finding in report.findings:
        print("NOT AUTHENTIC  " + finding)
    for violation in report.violations:
        print("VIOLATION  " + violation)
    for what, count in report.counts.items():
        print("checked: %s: %d" % (what, count))
    for what in report.unchecked:
        print("not checked here: " + what)
    if not report.findings:
        print("signed by the trusted key" if trusted
              else "consistent, signer not pinned: " + signer)
    stated = verdict.get("verdict") if isinstance(verdict, dict) else None
    print("verdict stated: %s; money rules violated: %d" % (stated, len(report.violations)))
    if report.other_views is not None:
        print("CHECKED IN PART: the bundle has views of number %d, this file knows those of number "
              "%d: their names and what they say were not looked at" %
              (report.other_views, VIEWS_NUMBER))


def main(arguments):
    usage = __doc__.split("\n\n")[1].strip()
    words, trust, first = [], None, False
    arguments = list(arguments)
    while arguments:
        word = arguments.pop(0)
        if word == "--trust" and arguments:
            trust = arguments.pop(0)
        elif word == "--first":
            first = True
        elif word.startswith("-"):
            print("usage: " + usage, file=sys.stderr)
            return 64
        else:
            words.append(word)
    if len(words) != 1:
        print("usage: " + usage, file=sys.stderr)
        return 64
    report = Report(first)
    try:
        trusted = trusted_of(trust) if trust is not None else None
    except (OSError, ValueError) as error:
        print("--trust %s: %s" % (trust, error), file=sys.stderr)
        return 64
    verdict = signer = None
    try:
        with open(words[0], "rb") as file:
            verdict, signer = verify(file, trusted, first, report)
    except FirstFinding:
        pass
    except OSError as error:
        print("%s: %s" % (words[0], error.strerror), file=sys.stderr)
        return 2
    say(report, verdict, signer, trusted)
    if report.findings:
        return 1
    return 0 if report.other_views is None else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
