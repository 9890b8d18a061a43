(defchor [A B] (-> A B) [x]
  (A->B x))
