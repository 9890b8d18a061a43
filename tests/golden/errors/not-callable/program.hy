(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(greet "Ada")
