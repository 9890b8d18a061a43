(defchor serve [A B] (-> A B) [x]
  (A->B `(get ~x)))
