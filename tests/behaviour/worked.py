"""The choreographies of the running example and of the worked cases, with the protocols of their channels."""

from __future__ import annotations

from klorpy.behaviour import Chor, Protocol, parse_gc, parse_protocols

PROTOCOLS = parse_protocols("""
    (defprotocol Login [U C] (-> U C str))
    (defprotocol Fetch [C F] (-> C F str) (branch F C (ok (-> C F file)) (quit)))
    (defprotocol Both [X Y] (-> X Y int) (-> Y X int))
    (defprotocol Choose [A B] (branch A B (l) (r)))
    (defprotocol Ints [A B] (mu T (branch A B (more (-> B A int) T) (stop))))
""")
CHANNELS: dict[str, Protocol] = {
    "a": PROTOCOLS["Login"], "b": PROTOCOLS["Fetch"], "d": PROTOCOLS["Both"], "s": PROTOCOLS["Choose"], "l": PROTOCOLS["Ints"],
}  # fmt: skip

W0 = """
(rec X
  (start a k (u U) (c C))
  (com k (u U) (pwd) (c C) x)
  (start b h (c C) (f F))
  (com h (c C) x (f F) y)
  (if (check y) f
      ((sel h (f F) (c C) ok) (com h (c C) (file) (f F) z) (call X))
      ((sel h (f F) (c C) quit) (call X))))
"""
W0_STOPS = """
(rec X
  (start a k (u U) (c C))
  (com k (u U) (pwd) (c C) x)
  (start b h (c C) (f F))
  (com h (c C) x (f F) y)
  (if (check y) f
      ((sel h (f F) (c C) ok) (com h (c C) (file) (f F) z))
      ((sel h (f F) (c C) quit) (call X))))
"""
W1 = """
(start a k (u U) (c C)) (start b h (c C) (f F))
(com h (c C) "name" (f F) y) (com k (u U) "secret" (c C) x) (sel h (f F) (c C) quit)
"""
W2 = """
(start a k (u U) (c C)) (start a h (v U) (c C))
(com h (v U) "mine" (c C) x) (com k (u U) "yours" (c C) y)
"""
W3 = """
(start d k (t X) (u Y)) (start d h (u X) (t Y))
(com k (t X) 1 (u Y) x) (com h (u X) 2 (t Y) y) (com k (u Y) 3 (t X) z) (com h (t Y) 4 (u X) w)
"""
W4 = """
(if (flip) t ((start a k (t U) (c C)) (com k (t U) "1" (c C) x) 0) 0)
"""
W5 = """
(start s k (t A) (u B))
(if (flip) t
    ((sel k (t A) (u B) l) (start a h (u U) (v C)) (com h (u U) "now" (v C) x))
    ((sel k (t A) (u B) r)))
"""
W6 = """
(start s k (t A) (u B)) (start s h (t A) (u B))
(if (flip) t
    ((sel k (t A) (u B) l) (sel h (t A) (u B) r))
    ((sel h (t A) (u B) l) (sel k (t A) (u B) r)))
"""
W7 = """
(start l k (t A) (u B))
(rec X
  (if (flip) t
      ((sel k (t A) (u B) more) (start a h (u U) (v C)) (com h (u U) "note" (v C) x) (com k (u B) 1 (t A) y) (call X))
      ((sel k (t A) (u B) stop))))
"""


def chor(text: str) -> Chor:
    return parse_gc(text, "worked.gc")
