(defchor serve [A B] (-> A -> B) [x]
  (A->B x))
