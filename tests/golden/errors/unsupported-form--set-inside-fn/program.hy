(defchor count [A B] (-> A B) [n]
  (A (for [i [1 2 3]] (+= n i)))
  (A->B n))
