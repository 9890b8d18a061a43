(import klorpy.conversations [role])
(role "in" #("chat" "hello"))
