(defchor greet [Client Server] (-> Client Srever) [name]
  (Client->Server name))
