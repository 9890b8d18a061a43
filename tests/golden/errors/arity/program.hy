(defchor greet [A B] (-> A A B) [name]
  (A->B name))
