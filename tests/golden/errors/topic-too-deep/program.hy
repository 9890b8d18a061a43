(import klorpy.conversations [role subscriber])
(setv tree "leaf")
(for [_ (range 200)]
  (setv tree #(tree)))
(role "in" (subscriber #("tree" tree)))
