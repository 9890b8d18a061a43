(import klorpy)
(import anyio)
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(defn :async serve []
  (setv network (klorpy.MemoryNetwork ["Client" "Server"]))
  (await (.close (.endpoint network "Client")))
  (await (klorpy.play-role {"role" "Server" "transport" (.endpoint network "Server")} greet)))
(anyio.run serve)
