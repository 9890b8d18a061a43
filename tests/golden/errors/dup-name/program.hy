(defchor add [A B] (-> A A B) [x x]
  (A->B (A (+ x x))))
