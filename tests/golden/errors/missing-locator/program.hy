(import klorpy [run-role])
(defchor greet [Client Server Log] (-> Client Server) [name]
  (Client->Log name)
  (Client->Server name))
(run-role {"role" "Client" "send" (fn [to value]) "locators" {"Server" 80}} greet "Ada")
