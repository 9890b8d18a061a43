(defchor total [A B] (-> A B) [* price]
  (A->B price))
