(defchor greet [A B C D] (-> A B) [name]
  (A->B name))
