(import klorpy [simulate-chor])
(defn greet [name] name)
(simulate-chor greet "Ada")
