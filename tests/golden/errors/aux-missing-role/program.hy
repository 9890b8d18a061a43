(defchor ask [A B] (-> A A | 0) [x]
  (B->A (B (* 2 (A->B x)))))
