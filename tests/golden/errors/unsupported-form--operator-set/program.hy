(defchor count [A B] (-> A B) [n]
  (A (+= n 1))
  (A->B n))
