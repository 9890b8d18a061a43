(defchor greet [A B] (-> A B)
  (A->B "hello"))
