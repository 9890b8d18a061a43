(import klorpy.conversations [ANY send])
(send #("chat" ANY))
