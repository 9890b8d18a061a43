(defchor greet [A B] A [name]
  (A->B name))
