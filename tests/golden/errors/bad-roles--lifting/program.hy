(defchor greet [A B] (-> A B) [name]
  (A->B (lifting [A 5] name)))
