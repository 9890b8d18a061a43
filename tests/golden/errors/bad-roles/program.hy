(defchor greet [A A->B "B"] (-> A A) [name]
  name)
