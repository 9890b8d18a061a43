"""The picture of a world: nesting, topics, presence."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from klorpy import KlorError
from klorpy.conversations import (
    ANY,
    Ground,
    Kernel,
    Meta,
    Quit,
    World,
    everything,
    nested_vm,
    observer,
    publisher,
    role,
    send,
    snapshot,
    subscriber,
)  # fmt: skip
from klorpy.environment.diagrams.world import world_of, world_picture


def room() -> Kernel:
    kernel = Kernel()
    kernel.start(
        "driver", [role("watch", everything(subscriber(("tcp", ANY)))), role("in", publisher(("tcp", 1)))], {"n": 1}
    )
    kernel.start("boot", nested_vm([
        Meta(role("line", subscriber(("tcp", ANY)))), role("me", publisher(("says", "ann", ANY))),
        role("others", observer(publisher(("says", ANY, ANY)))),
    ], "room"))  # fmt: skip
    kernel.run()
    return kernel


def test_the_text_shows_who_sees_whom() -> None:
    assert snapshot(room()).text().splitlines() == [
        "driver",
        '  + watch   #("tcp" _) (e)     sees room/boot^line',
        '  + in      #("tcp" 1)         sees room/boot^line',
        "room (a VM)",
        "  boot",
        '    + me      #("says" "ann" _)',
        '    - others  #("says" _ _) (o)  sees room/boot/me',
        '    - ^line   #("tcp" _)         sees driver/in',
    ]


def test_a_snapshot_does_not_change_with_the_kernel() -> None:
    kernel = room()
    before = snapshot(kernel)
    text = before.text()
    kernel.enqueue("driver", [Quit(), send("x")])
    kernel.run()
    assert before.text() == text
    assert "driver" not in snapshot(kernel).text()


def test_what_is_queued_or_failed_is_told() -> None:
    kernel = room()
    kernel.enqueue("driver", [send("x"), send("y")])
    assert "driver (2 queued)" in snapshot(kernel).text()
    assert snapshot(Kernel()).text() == "no process"


def test_the_picture_is_well_formed_and_holds_all_names() -> None:
    picture = world_picture(room())
    root = ElementTree.fromstring(picture.svg())
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"driver", "room", "boot", "VM", "^line", '#("says" "ann" _)', "Who is there"} <= texts
    titles = " ".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title"))
    assert "driver/in and room/boot^line: " in titles
    assert "script" not in picture.svg()


def test_boxes_of_a_vm_are_inside_its_box() -> None:
    root = ElementTree.fromstring(world_picture(room()).svg())
    boxes = [
        (float(r.get("x", 0)), float(r.get("y", 0)), float(r.get("width", 0)), float(r.get("height", 0)))
        for r in root.iter("{http://www.w3.org/2000/svg}rect")
    ][2::2]
    _, vm, boot = boxes
    assert vm[0] < boot[0]
    assert vm[1] < boot[1]
    assert boot[0] + boot[2] < vm[0] + vm[2]
    assert boot[1] + boot[3] < vm[1] + vm[3]
    whole = float(root.get("height", 0))
    assert all(y + height < whole for _, y, _, height in boxes)


def test_names_and_topics_may_be_anything() -> None:
    kernel = Kernel()
    kernel.start("<b>&\u202e\n", role(']]>"', subscriber(("\x00\ud800" * 50, "<script>"))))
    kernel.run()
    picture = world_picture(kernel)
    ElementTree.fromstring(picture.svg())
    assert "<script>" not in picture.svg()
    assert "\n\n" not in picture.text()
    assert picture.mermaid().startswith("flowchart LR\n")


def test_mermaid_has_the_processes_as_subgraphs() -> None:
    text = world_picture(room()).mermaid()
    assert text.count("subgraph") == 3
    assert "-.->" in text


@pytest.mark.parametrize("make", [Kernel, Ground, World, lambda: snapshot(Kernel())])
def test_what_has_processes(make: Any) -> None:
    assert world_of(make()) is not None


def test_what_has_none() -> None:
    with pytest.raises(KlorError, match="int has no processes"):
        world_of(3)
