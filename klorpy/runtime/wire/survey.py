"""A look at bytes before a value is made of them.

    survey(bytes) = number of items        or ValueError

msgspec checks lengths before it takes memory and bounds its recursion, but two things it does not bound: an item of one
byte may become an empty list of many, and a dict is filled before anybody sees its keys, which may have been chosen to
collide. Ints, floats, texts and bytes do not collide in numbers that matter; arrays (which would become tuples) and
extensions as keys do, and no sender writes them. Short frames cannot do harm and are not surveyed, see reader.py.
"""

from __future__ import annotations

from typing import Final

#: For each first byte: how many bytes of the item follow that say nothing of others; -1 for a container, and -2, -3, -5
#: for an item whose length is in the next 1, 2, 4 bytes; an extension has a byte more.
_FOLLOW: Final[tuple[int, ...]] = tuple(
    0 if first <= 0x7F or first >= 0xE0 or first in (0xC0, 0xC2, 0xC3)
    else first - 0xA0 if 0xA0 <= first <= 0xBF
    else {
        0xC4: -2, 0xC5: -3, 0xC6: -5, 0xC7: -2, 0xC8: -3, 0xC9: -5, 0xD9: -2, 0xDA: -3, 0xDB: -5,
        0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
        0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
    }.get(first, -1)
    for first in range(256)
)  # fmt: skip

_EXTENSIONS: Final = frozenset((*range(0xC7, 0xCA), *range(0xD4, 0xD9)))


def survey(data: bytes, most: int, deepest: int) -> int:
    """How many items the MessagePack in `data` has, itself not counted; an extension is one item.

    Raises ValueError for more items than `most`, for containers nested deeper than `deepest`, and for a key that is a
    container or an extension. Bytes that are no MessagePack may pass.

    >>> survey(bytes.fromhex("92 01 81 a1 78 90"), 10, 10)
    4
    """
    # Of each open container what is left to come, twice its number of pairs for a map, and whether it is a map.
    left: list[int] = [1]
    maps: list[bool] = [False]
    at, count = 0, -1
    size = len(data)
    while at < size:
        while left and not left[-1]:
            left.pop()
            maps.pop()
        if not left:
            break
        first = data[at]
        is_key = maps[-1] and not left[-1] & 1
        left[-1] -= 1
        count += 1
        if count > most:
            raise ValueError("too many items")
        follow = _FOLLOW[first]
        at += 1
        if follow >= 0:
            at += follow
            if not is_key or first < 0xD4 or first > 0xD8:
                continue
        if is_key and (follow == -1 or first in _EXTENSIONS):
            raise ValueError("a key that is a container")
        if follow != -1:
            width = -1 - follow
            at += width + int.from_bytes(data[at : at + width], "big") + (first <= 0xC9 and first >= 0xC7)
            continue
        items, width, is_map = _container(data, at, first)
        at += width
        left.append(items)
        maps.append(is_map)
        if len(left) > deepest + 1:
            raise ValueError("too deep")
    return count


def _container(data: bytes, at: int, first: int) -> tuple[int, int, bool]:
    """Of the container that begins before `at`: its items, the bytes of its length, and whether it is a map."""
    if first == 0xC1:
        raise ValueError("a byte that MessagePack does not have")
    if first <= 0x8F:
        return 2 * (first & 15), 0, True
    if first <= 0x9F:
        return first & 15, 0, False
    width = 2 if first in (0xDC, 0xDE) else 4
    is_map = first >= 0xDE
    return int.from_bytes(data[at : at + width], "big") * (2 if is_map else 1), width, is_map
