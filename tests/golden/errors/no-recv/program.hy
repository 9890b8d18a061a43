(import klorpy [run-role])
(defchor greet [Client Server] (-> Client Server) [name]
  (Client->Server name))
(run-role {"role" "Server" "locators" {"Client" 80}} greet)
