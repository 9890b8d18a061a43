(defchor greet [Client Server Client] (-> Client Server) [name]
  (Client->Server name))
