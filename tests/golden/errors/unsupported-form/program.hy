(defchor count [A B] (-> A B) [n]
  (setv n (A (+ n 1)))
  (A->B n))
