"""Merging: the running example and the worked cases, what is kept and what is added, and what is refused."""

from __future__ import annotations

import pytest

from klorpy.behaviour import (
    Membership,
    Merged,
    automaton,
    endpoint,
    local_type,
    member,
    merge,
    parse_global,
    parse_protocols,
    typecheck,
)
from klorpy.behaviour.behaviours import session_type
from klorpy.behaviour.endpoint import endpoints, unaware
from klorpy.behaviour.expansion import expand
from klorpy.behaviour.globalcalculus import Sel, Start, interactions
from klorpy.behaviour.globaltype import Protocol
from klorpy.behaviour.regular import tree
from klorpy.core.diagnostics import KlorError
from tests.behaviour import worked
from tests.behaviour.worked import CHANNELS, PROTOCOLS, chor


def merged(text: str, **options: object) -> Merged:
    return merge(chor(text), CHANNELS, **options)  # type: ignore[arg-type]


CASES = {
    "W0": (worked.W0, "(mu t (-> u c str) (-> c f str) (branch f c (ok (-> c f file) t) (quit t)))", []),
    "W0'": (worked.W0_STOPS, "(mu t (-> u c str) (-> c f str) (branch f c (ok (-> c f file)) (quit t)))", ["u"]),
    "W1": (worked.W1, "(-> c f str) (-> u c str) (branch f c (quit))", []),
    "W2": (worked.W2, "(-> v c str) (-> u c str)", []),
    "W3": (worked.W3, "(-> t u int) (-> u t int) (-> u t int) (-> t u int)", []),
    "W5": (worked.W5, "(branch t u (l (-> u v str)) (r))", ["v"]),
    "W6": (worked.W6, "(branch t u (l (branch t u (r))))", []),
    "W7": (worked.W7, "(mu t (branch t u (more (-> u v str) (-> u t int) t) (stop)))", ["v"]),
}


@pytest.mark.parametrize("id", CASES)
def test_the_type_of_the_merge(id: str) -> None:
    text, type_, lost = CASES[id]
    result = merged(text)
    assert tree(result.type) == tree(parse_global(type_))
    assert [u.thread for u in result.unaware] == lost
    assert result.in_mesh() is Membership.YES
    # It is typed: by its own protocol, on one channel, with nothing else.
    again = typecheck(result.chor, {result.channel: result.protocol})
    assert again.open_sessions == 1
    assert [step for step in interactions(result.chor) if isinstance(step, Start)] == [result.chor.steps[0]]


def test_the_running_example() -> None:
    result = merged(worked.W0)
    assert str(result.chor) == """\
(start z m (u u) (c c) (f f))
(rec X
  (com m (u u) (pwd) (c c) x)
  (com m (c c) x (f f) y)
  (if (check y) f
      ((sel m (f f) (c c) ok)
       (com m (c c) (file) (f f) z)
       (call X))
      ((sel m (f f) (c c) quit)
       (call X))))"""
    assert str(result.type) == "mu t. u->c:<str>; c->f:<str>; f->c:{ok: c->f:<file>; t, quit: t}"
    locals_ = {role: str(local_type(result.protocol, role)) for role in result.protocol.roles}
    assert locals_ == {
        "u": "mu t. c!<str>; t",
        "c": "mu t. u?<str>; f!<str>; f&{ok: f!<file>; t, quit: t}",
        "f": "mu t. c?<str>; c+{ok: c?<file>; t, quit: t}",
    }


def test_annotated_roles_keep_the_origin_visible() -> None:
    result = merged(worked.W0, roles="annotated")
    assert str(result.chor.steps[0]) == str(chor("(start z m (u U@u) (c C@c) (f F@f))").steps[0])
    assert result.protocol.roles == ("U@u", "C@c", "F@f")
    assert result.in_mesh(roles="annotated") is Membership.YES
    assert result.projectable


def test_annotated_roles_give_a_thread_two_roles_when_it_played_two() -> None:
    result = merged(worked.W3, roles="annotated")
    assert result.protocol.roles == ("X@t", "Y@u", "X@u", "Y@t")
    with pytest.raises(KlorError) as caught:
        typecheck(result.chor, {result.channel: result.protocol})
    assert caught.value.slug == "session-roles"
    assert typecheck(result.chor, {result.channel: result.protocol}, shared=True)
    assert result.in_mesh(roles="annotated") is Membership.YES


def test_an_unannounced_choice_has_no_type() -> None:
    with pytest.raises(KlorError) as caught:
        merged(worked.W4)
    error = caught.value
    assert error.slug == "unannounced-choice"
    assert "`if (flip)` at t" in error.message
    assert error.span is not None
    assert (error.span.line, error.span.column) == (2, 1)
    # The choreography itself is well typed: c learns of the branch by being invited.
    assert typecheck(chor(worked.W4), CHANNELS)


@pytest.mark.parametrize(("id", "added"), [("W0'", 2), ("W5", 2), ("W7", 2)])
def test_notification_makes_the_merge_projectable(id: str, added: int) -> None:
    text, _, _ = CASES[id]
    result = merged(text, notify=True)
    assert result.projectable
    assert result.statistics.notifications == added
    assert set(endpoints(result.chor)) == {player.thread for player in result.chor.steps[0].players}  # type: ignore[union-attr]
    told = [step for step in interactions(result.chor) if isinstance(step, Sel) and step.origin is None]
    assert len(told) == added


def test_notification_passes_the_label_on() -> None:
    result = merged(worked.W0_STOPS, notify=True)
    assert str(result.type) == (
        "mu t. u->c:<str>; c->f:<str>; f->c:{ok: c->u:ok; c->f:<file>; end, quit: c->u:quit; t}"
    )


def test_notification_does_nothing_where_nothing_is_missing() -> None:
    assert merged(worked.W0, notify=True).chor == merged(worked.W0).chor


def test_branches_that_were_told_apart_by_sessions_need_qualified_labels_or_channels() -> None:
    """Both branches of W6 become `l, r` in one session; with two channels and qualified labels they differ again."""
    assert tree(merged(worked.W6).type) == tree(parse_global("(branch t u (l (branch t u (r))))"))
    two = worked.W6.replace("start s h", "start s2 h")
    result = merge(chor(two), {**CHANNELS, "s2": PROTOCOLS["Choose"]}, labels="qualified")
    assert tree(result.type) == tree(parse_global("(branch t u (s.l (branch t u (s2.r))) (s2.l (branch t u (s.r))))"))


def test_a_start_can_be_kept() -> None:
    result = merged(worked.W0, keep_start=["h"])
    starts = [step for step in interactions(result.chor) if isinstance(step, Start)]
    assert [(s.channel, s.session) for s in starts] == [("z", "m"), ("b", "h")]
    assert str(result.type) == "mu t. u->c:<str>; t"
    assert (result.statistics.starts, result.statistics.kept) == (1, 1)
    assert result.projectable


def test_the_provenance_names_the_session_and_the_roles_of_every_interaction() -> None:
    result = merged(worked.W0)
    assert [str(origin) for _, origin in result.provenance] == ["a/k: U->C", "b/h: C->F", "b/h: F->C", "b/h: C->F", "b/h: F->C"]
    assert result.certificate[0] == "a/k: U->C of Login"


def test_the_merged_type_is_a_protocol_that_others_use() -> None:
    """New protocols from old: the merge of the running example is the protocol of a channel like any other."""
    result = merged(worked.W0, name="Shop")
    assert result.protocol == Protocol("Shop", ("u", "c", "f"), result.type)
    renamed = chor("""(start shop k (ann u) (bob c) (cy f))
      (rec X (com k (ann u) "pw" (bob c) x) (com k (bob c) x (cy f) y) (sel k (cy f) (bob c) quit) (call X))""")
    assert typecheck(renamed, {"shop": result.protocol})


def test_a_merge_of_one_session_is_the_choreography_without_its_start() -> None:
    one = chor("(start b h (c C) (f F)) (com h (c C) \"n\" (f F) y) (sel h (f F) (c C) quit)")
    result = merge(one, CHANNELS)
    assert [type(step) for step in result.chor.steps] == [type(step) for step in one.steps]
    assert str(result.type) == "c->f:<str>; f->c:quit; end"


def test_names_of_the_new_session_and_its_channel_are_new() -> None:
    text = '(start z m (t U) (u C)) (com m (t U) "x" (u C) x)'
    result = merge(chor(text), {"z": PROTOCOLS["Login"]})
    assert (result.channel, result.session) == ("z1", "m1")


# --- Mesh -------------------------------------------------------------------------------------------------------------

LOGIN_AND_FETCH = [PROTOCOLS["Login"], PROTOCOLS["Fetch"]]


@pytest.mark.parametrize(
    ("text", "of", "answer"),
    [
        ("(-> c f str) (branch f c (ok (-> u c str) (-> c f file)) (quit (-> u c str)))", LOGIN_AND_FETCH, "yes"),  # W8
        ("(-> c f str) (branch f c (ok (-> c f file)) (quit) (later))", LOGIN_AND_FETCH, "no"),  # W9
        ("(-> c f str) (branch g c (quit))", [PROTOCOLS["Fetch"]], "no"),  # W10
        ("(-> c f str) (branch f c (quit))", LOGIN_AND_FETCH, "yes"),
        ("(-> u c int)", LOGIN_AND_FETCH, "no"),
        ("end", LOGIN_AND_FETCH, "yes"),
        ("end", [], "yes"),
        ("(-> c f str)", [PROTOCOLS["Fetch"]], "no"),  # a copy is left open
        ("(mu t (-> x y str) t)", [PROTOCOLS["Login"]], "yes"),  # any number of copies, one after the other
    ],
)
def test_membership(text: str, of: list[Protocol], answer: str) -> None:
    assert str(member(parse_global(text), of)) == answer


def test_membership_is_unknown_where_there_was_no_room() -> None:
    """Four calls that are answered in the end need four copies at once."""
    call = parse_protocols("(defprotocol Ask [A B] (-> A B int) (-> B A str))")["Ask"]
    type_ = parse_global("(-> a b int) (-> a b int) (-> a b int) (-> a b int) (-> b a str) (-> b a str) (-> b a str) (-> b a str)")
    assert member(type_, [call], copies=3) is Membership.UNKNOWN
    assert member(type_, [call], copies=4) is Membership.YES
    # A type without recursion is given as many copies as it has actions.
    assert member(type_, [call]) is Membership.YES
    seven = parse_global("(mu t (branch c d (more " + "(-> a b int) " * 7 + "(-> b a str) " * 7 + "t) (stop)))")
    more = parse_protocols("(defprotocol M [A B] (branch A B (more) (stop)))")["M"]
    assert member(seven, [call, more]) is Membership.UNKNOWN
    assert member(seven, [call, more], copies=7) is Membership.YES
    assert member(parse_global("(mu t (-> a b int) (-> a b str) t)"), [call]) is Membership.NO


def test_annotated_roles_are_renamed_only_to_their_own() -> None:
    assert member(parse_global("(-> U@x C@y str)"), [PROTOCOLS["Login"]], roles="annotated") is Membership.YES
    assert member(parse_global("(-> C@x U@y str)"), [PROTOCOLS["Login"]], roles="annotated") is Membership.NO
    assert member(parse_global("(-> C@x U@y str)"), [PROTOCOLS["Login"]]) is Membership.YES


# --- Projection -------------------------------------------------------------------------------------------------------


def test_the_endpoints_of_the_running_example() -> None:
    assert str(endpoint(chor(worked.W0), "u")) == "rec X. request a k (U C); k[U→C]!(pwd); X"
    assert str(endpoint(chor(worked.W0), "f")) == (
        "rec X. accept b h F; h[C→F]?y; if (check y) {h[F→C]!ok; h[C→F]?z; X} else {h[F→C]!quit; X}"
    )


def test_who_is_unaware_of_what() -> None:
    [found] = unaware(chor(worked.W0_STOPS))
    assert (found.thread, found.one, found.other) == ("u", "stop", "start X again")
    diagnostic = found.diagnostic(chor(worked.W0_STOPS))
    assert diagnostic.slug == "unmergeable"
    assert diagnostic.span is not None
    assert diagnostic.span.line == 7


def test_the_local_types_of_a_merge_are_those_of_its_endpoints() -> None:
    for id in ("W0", "W1", "W2", "W3", "W6"):
        result = merged(CASES[id][0])
        for thread, behaviour in endpoints(result.chor).items():
            assert automaton(session_type(behaviour, result.session)) == automaton(local_type(result.protocol, thread)), id


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "slug"),
    [
        ("(sel k (t A) (u B) l)", {}, "no-such-session"),
        ("(new k 0)", {}, "no-such-session"),
        ("0", {}, "no-such-session"),
        ("(start q k (t A) (u B))", {}, "unknown-channel"),
        (worked.W1, {"keep_start": ["nowhere"]}, "no-such-session"),
        (worked.W1, {"keep_start": ["k", "h"]}, "no-such-session"),
        ("(start a k (u U) (c C)) (com k (u U) 5 (c C) x)", {}, "sort-mismatch"),
        ("(rec X (start s k (t A) (u B)) (call X))", {}, "unguarded-recursion"),
    ],
)
def test_what_cannot_be_merged(text: str, options: dict[str, object], slug: str) -> None:
    with pytest.raises(KlorError) as caught:
        merged(text, **options)
    assert caught.value.slug == slug
    assert caught.value.help


def test_a_protocol_of_the_library_is_written_out() -> None:
    both = parse_protocols("(defprotocol Two [A B] (do One A B) (do One B A)) (defprotocol One [P Q] (-> P Q int))")["Two"]
    assert str(expand(both)) == "A->B:<int>; B->A:<int>; end"
    two = chor("(start k s (t A) (u B)) (com s (t A) 1 (u B) x) (com s (u B) 2 (t A) y)")
    assert tree(merge(two, {"k": both}).type) == tree(parse_global("(-> t u int) (-> u t int)"))
