(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server (Client->Proxy name)))
