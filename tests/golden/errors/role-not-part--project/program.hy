(import klorpy)
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(klorpy.project greet "Proxy")
