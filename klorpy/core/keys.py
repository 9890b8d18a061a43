"""Integrity keys: which message of a run is which, computed by every role on its own.

    key   ::= (root, token, site)
    token ::= ε | site·token                  the calls that led here, the innermost first

A message belongs to the site where it is sent and received, in the activation of a definition that a token names,
in the run that a root names. A key depends on the position in the program alone, never on time, on arrival or on a
shared counter, so two roles that stand at one place compute one key without a word between them.

How the token of a frame is kept (`klorpy.outoforder.walker` does just this):

    start of the run                the outermost frame has the token START
    a call at site s                the callee's frame has child(token of the caller's frame, s.index); when it
                                    returns, the caller's frame still has its own token
    a tail call at s                the same child; it takes the place of the token of the frame that ends
    a round at s                    a loop, whose site is s, begins a round: the token of the frame becomes
                                    child(token, s.index). What a round calls is below the round.
    the end of the loop             it is over: the token of the frame is again what it was before its first round
    a message at s                  the key is key(token of the frame, s.index)

So a site is passed at most once under one token, and a key is used at most once by one pair of roles. (A site that
several roles send to one, as the check of an agreement does, has one message from each: a key names one message
together with its sender and its receiver. What a run returns, choreographies among it, is not part of it.)

Bytes. A token is kept as the bytes that travel, so that it compares and hashes at the speed of bytes:

    token ::= (varint(site + 1) varint(count))*      a run for each stretch of equal sites: constant for a loop
            | 00 digest                              16 bytes, when the runs would take more than 32
    key   ::= varint(site) token

Runs are exact. The digest is BLAKE2b-128 of the parent's bytes and the site; a token has one when its runs, or
its parent's, are too long, so all roles change over at the same place. A key takes 40 bytes at most (for the sites of
a definition below 2^49); the root is not in it, since whoever carries keys knows the run that they are of.

Source: D. Plyukhin, M. Peressotti, F. Montesi, "Ozone: Fully Out-of-Order Choreographies" (2024), sections 3 and 4.
The runs, and the digest behind them, are klorpy's: a token there is the list of the calls, as long as the stack is deep.
"""

from __future__ import annotations

import hashlib
from typing import Final, TypeAlias

Token: TypeAlias = bytes
Key: TypeAlias = bytes

#: The token of the outermost activation.
START: Final[Token] = b""
#: Bytes of runs that a token may have before a digest takes their place.
LONGEST: Final = 32

_DIGEST: Final = b"\x00"
_DIGEST_SIZE: Final = 16


def child(token: Token, site: int) -> Token:
    """The token of what is called, or begun, at `site` of the activation `token`.

    >>> child(child(START, 7), 5) == child(child(START, 7), 5)
    True
    >>> show_token(child(child(child(START, 7), 5), 5))
    '5×2 in 7'
    """
    if token[:1] == _DIGEST:
        return _digest(token, site)
    line = site + 1
    head, at = _read(token, 0) if token else (0, 0)
    if head == line:
        count, at = _read(token, at)
        made = _varint(line) + _varint(count + 1) + token[at:]
    else:
        made = _varint(line) + b"\x01" + token
    return made if len(made) <= LONGEST else _digest(token, site)


def key(token: Token, site: int) -> Key:
    """The key of a message at `site` of the activation `token`, as it travels."""
    return (_BYTE[site] if site < 128 else _varint(site)) + token


def parts(key: Key) -> tuple[Token, int]:
    """The token and the site of a key; the inverse of `key`. Raises ValueError for bytes that are none.

    >>> parts(key(child(START, 300), 4)) == (child(START, 300), 4)
    True
    """
    site, at = _read(key, 0)
    token = key[at:]
    runs(token)
    return token, site


def runs(token: Token) -> tuple[tuple[int, int], ...] | None:
    """The calls of a token, the innermost first: sites, each with how many times in a row. None behind a digest.

    Raises ValueError for bytes that are no token.
    """
    if token[:1] == _DIGEST:
        if len(token) != 1 + _DIGEST_SIZE:
            raise ValueError(f"{token!r} is not a token")
        return None
    found = []
    at = 0
    while at < len(token):
        line, at = _read(token, at)
        count, at = _read(token, at)
        found.append((line - 1, count))
    return tuple(found)


def show_token(token: Token) -> str:
    """A token for people: `5×1000 in 7`, innermost first; empty for the outermost."""
    found = runs(token)
    if found is None:
        return f"#{token[1:5].hex()}"
    return " in ".join(f"{site}×{count}" if count > 1 else f"{site}" for site, count in found)


def show_key(key: Key) -> str:
    """A key for people: `2 in 5×1000 in 7`: site 2 in the 1000th round at 5 of what was called at 7."""
    token, site = parts(key)
    return f"{site} in {show_token(token)}" if token else f"{site}"


def _digest(token: Token, site: int) -> Token:
    return _DIGEST + hashlib.blake2b(_varint(site) + token, digest_size=_DIGEST_SIZE).digest()


def _varint(number: int) -> bytes:
    if number < 128:
        return _BYTE[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_BYTE: Final = tuple(bytes([number]) for number in range(128))


def _read(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where it ends."""
    number = shift = 0
    try:
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number, at
            shift += 7
    except IndexError:
        raise ValueError(f"{data!r} ends inside a number") from None
