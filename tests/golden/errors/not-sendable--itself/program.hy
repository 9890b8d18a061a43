(import klorpy.runtime.wire [encode])
(setv order {"name" "tea"})
(setv (get order "first") [order])
(encode order)
