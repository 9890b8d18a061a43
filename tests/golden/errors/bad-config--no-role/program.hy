(import klorpy [run-role])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(run-role {"send" print} greet "Ada")
