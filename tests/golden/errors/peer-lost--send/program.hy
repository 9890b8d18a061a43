(import klorpy)
(import anyio)
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(defn :async ask []
  (setv network (klorpy.MemoryNetwork ["Client" "Server"]))
  (await (.close (.endpoint network "Server")))
  (await (klorpy.play-role {"role" "Client" "transport" (.endpoint network "Client")} greet "Ada")))
(anyio.run ask)
