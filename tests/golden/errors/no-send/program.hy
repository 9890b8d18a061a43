(import klorpy [run-role])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(run-role {"role" "Client" "locators" {"Server" 80}} greet "Ada")
