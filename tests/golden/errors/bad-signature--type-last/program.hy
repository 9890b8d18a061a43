(defchor greet [A B] (-> A (list B)) [name]
  (A->B name))
