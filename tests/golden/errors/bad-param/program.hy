(defchor add [A B] (-> A A B) [x 5]
  (A->B (A (+ x 5))))
