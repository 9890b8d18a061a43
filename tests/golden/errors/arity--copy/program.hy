(defchor greet [A B] (-> A A B) [first last]
  (A->B first last))
