(defchor add [A B] (-> A B) [A]
  (A->B A))
