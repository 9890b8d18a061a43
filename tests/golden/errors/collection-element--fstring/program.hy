(defchor greet [A B] (-> A B) [name]
  (B (+ "<" f"Hello {name}!" ">")))
