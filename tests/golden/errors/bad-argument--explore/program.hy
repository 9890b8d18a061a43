(import klorpy [explore])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(explore greet "Ada" :schedules 0)
