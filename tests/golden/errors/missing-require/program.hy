(defchor greet [A B] (-> A B) [name]
  (A->B name))
