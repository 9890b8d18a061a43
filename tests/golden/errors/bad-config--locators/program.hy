(import klorpy [run-role])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(run-role {"role" "Client" "send" print "locators" ["Server"]} greet "Ada")
