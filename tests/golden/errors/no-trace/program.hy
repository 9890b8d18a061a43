(import klorpy [simulate-chor])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(setv sim (simulate-chor greet "Ada" :trace False))
sim.messages
