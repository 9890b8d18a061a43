(import klorpy [simulate-chor])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(simulate-chor greet "Ada" :seed 1.5)
