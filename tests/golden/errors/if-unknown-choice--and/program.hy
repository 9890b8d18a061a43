(defchor ready [A B] (-> A B A) [x y]
  (A (and x (B->A (B (bool y))))))
