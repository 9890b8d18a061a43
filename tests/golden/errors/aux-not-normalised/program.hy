(defchor relay [A B C] (-> A C | B C) [x]
  (B->C (A->B x)))
