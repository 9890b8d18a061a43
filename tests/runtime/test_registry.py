"""Classes that are registered: which can be, under which names, and how their objects come into being."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import types
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import pytest

import klorpy
from klorpy.runtime import registry
from klorpy.runtime.wire import decode, encode

T = TypeVar("T")


def made(source: str, module: str = "shop") -> Any:
    """A namespace of a module of this name, with what the source defines."""
    namespace = {"__name__": module, "klorpy": klorpy, "dataclass": dataclass, "field": field}
    exec(compile(source, "shop.py", "exec", dont_inherit=True), namespace)
    return types.SimpleNamespace(**namespace)


ORDER = "@klorpy.register\n@dataclass\nclass Order:\n    name: str\n"


def test_the_ways_to_register() -> None:
    @dataclass
    class A:
        x: int

    assert klorpy.register(A) is A
    assert klorpy.register(A) is A
    assert registry.of_class(A) is registry.of_name("test_the_ways_to_register.<locals>.A")

    @klorpy.register(name="shop.B")
    @dataclass(slots=True)
    class B:
        x: int

    data = encode(B(5))
    assert b"shop.B" in data
    assert decode(data) == B(5)
    C = collections.namedtuple("C", "x")
    klorpy.register(C, "c")
    assert decode(encode(C([1]))) == C([1])


def refused(cls: Any, name: Any = None) -> klorpy.KlorError:
    with pytest.raises(klorpy.KlorError) as caught:
        klorpy.register(cls, name)
    assert caught.value.slug == "bad-argument"
    assert caught.value.help
    return caught.value


def test_what_cannot_be_registered() -> None:
    @dataclass
    class Base:
        x: int

    class Child(Base):
        pass

    @dataclass
    class Taking:
        x: dataclasses.InitVar[int]

    @dataclass
    class OwnInit:
        x: int

        def __init__(self) -> None:
            self.x = 1

    @dataclass
    class IsDict(dict[str, int]):
        x: int = 0

    class Empty(enum.Enum):
        pass

    class Simple:
        pass

    assert "is not a dataclass" in refused(Simple).message
    assert "above @dataclass" in refused(Simple).help
    assert "inherits from a dataclass" in refused(Child).message
    assert "takes other arguments" in refused(Taking).message
    assert "takes other arguments" in refused(OwnInit).message
    assert "is a dict as well" in refused(IsDict).message
    assert "has no members" in refused(Empty).message
    assert "takes a class" in refused(Base(1)).message
    assert "takes a class" in refused("Base").message
    for name in ("", 5, "a\nb"):
        assert "under a text" in refused(Base, name).message
    for cls in (int, tuple, dict, object):
        assert "is not a dataclass" in refused(cls).message


def test_two_classes_of_one_name() -> None:
    first = made(ORDER, "shop")
    with pytest.raises(klorpy.KlorError, match=r"'Order' is shop.Order already, and cannot be stock.Order too") as caught:
        made(ORDER, "stock")
    assert 'klorpy.register(cls, "shop.Order")' in caught.value.help
    made(ORDER.replace("register\n", "register(name='stock.Order')\n"), "stock")
    assert "is registered as 'Order' already" in refused(first.Order, "another").message


def test_a_class_that_is_defined_again() -> None:
    old = made(ORDER).Order("tea")
    data = encode(old)
    new = made(ORDER).Order
    assert type(decode(data)) is new is not type(old)
    with pytest.raises(klorpy.KlorError) as caught:
        encode([old])
    assert caught.value.message.startswith("value[0] is an Order of shop")
    assert "defined again" in caught.value.help
    made(ORDER + "    price: int = 0\n")
    with pytest.raises(klorpy.WireError, match="came without the field price"):
        decode(data)
    made(ORDER.replace("name", "title"))
    with pytest.raises(klorpy.WireError, match="came without the field title"):
        decode(data)
    made("@klorpy.register\n@dataclass\nclass Order:\n    pass\n")
    with pytest.raises(klorpy.WireError, match='came with a field "name", which the class here does not have'):
        decode(data)


def test_a_class_that_only_the_sender_has() -> None:
    data = encode(made(ORDER).Order("tea"))
    registry._by_name.pop("Order")
    with pytest.raises(klorpy.WireError, match='a class that is not registered here: "Order"') as caught:
        decode(data)
    assert "klorpy.register" in caught.value.help


def test_a_dataclass_is_constructed() -> None:
    """`__post_init__` sees what comes from outside and may refuse it; fields that it computes are as they were sent."""
    shop = made(
        "@klorpy.register\n@dataclass(frozen=True)\nclass Amount:\n    cents: int\n    euros: float = field(init=False)\n"
        "    def __post_init__(self):\n"
        "        if self.cents < 0:\n            raise ValueError('a negative amount')\n"
        "        object.__setattr__(self, 'euros', self.cents / 100)\n"
    )
    amount = shop.Amount(250)
    object.__setattr__(amount, "euros", 2.51)
    data = encode(amount)
    assert decode(data).euros == 2.51
    object.__setattr__(amount, "cents", -1)
    with pytest.raises(klorpy.WireError, match="a negative amount") as caught:
        decode(encode(amount))
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_object_that_its_class_changes_is_refused() -> None:
    shop = made(
        "@klorpy.register\n@dataclass\nclass Counted:\n    n: int\n    def __post_init__(self):\n        self.n += 1\n"
    )
    with pytest.raises(klorpy.WireError, match="another way"):
        decode(encode(shop.Counted(1)))


def test_nothing_of_an_object_is_left_behind() -> None:
    @klorpy.register
    @dataclass
    class Basket(Generic[T]):
        items: list[T]

        @functools.cached_property
        def size(self) -> int:
            return len(self.items)

    basket = Basket([1, 2])
    assert basket.size == 2
    assert decode(encode(basket)) == basket
    basket.note = "x"  # type: ignore[attr-defined]
    with pytest.raises(klorpy.KlorError, match="with an attribute note, which is not a field"):
        encode([basket])
    del basket.note  # type: ignore[attr-defined]
    del basket.items
    with pytest.raises(klorpy.KlorError, match="whose field items has no value"):
        encode(basket)


def test_a_named_tuple_is_made_without_its_new() -> None:
    class Pair(NamedTuple):
        a: int
        b: int

    class Sorted(Pair):
        __slots__ = ()

        def __new__(cls, a: int, b: int) -> Any:
            raise AssertionError("not called")

    klorpy.register(Sorted)
    pair = tuple.__new__(Sorted, (2, 1))
    arrived = decode(encode(pair))
    assert type(arrived) is Sorted
    assert tuple(arrived) == (2, 1)
    with pytest.raises(klorpy.KlorError, match="of 3 items, not of 2"):
        encode(tuple.__new__(Sorted, (1, 2, 3)))


def test_members_and_flags() -> None:
    class Rank(enum.IntEnum):
        LOW = 1
        ALSO_LOW = 1

    class Bits(enum.IntFlag):
        A = 1
        B = 2

    class Word(enum.StrEnum):
        YES = "yes"

    for cls in (Rank, Bits, Word):
        klorpy.register(cls)
    for member in (Rank.LOW, Rank.ALSO_LOW, Bits.A, Bits.A | Bits.B, Bits(0), ~Bits.A, Bits(2**70 | 1), Word.YES):
        arrived = decode(encode(member))
        assert arrived == member
        assert type(arrived) is type(member)


def test_registered_classes_in_a_simulation_and_on_the_wire() -> None:
    """A program in Hy registers its classes as one in Python does."""
    ns = klorpy.evaluate(
        "(import klorpy dataclasses [dataclass])\n"
        "(defclass [klorpy.register (dataclass :frozen True)] Fruit [] #^ str name)\n"
        "(defchor tell [A B] (-> A B) [x] (A->B x))"
    )
    fruit = ns.Fruit("plum")
    assert klorpy.simulate_chor(ns.tell, fruit)["B"] == fruit
    assert decode(encode({"f": fruit}))["f"] == fruit
