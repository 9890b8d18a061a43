(import klorpy.conversations [Kernel])
(setv kernel (Kernel))
(.start kernel "ann" [#("chat" "hello")])
