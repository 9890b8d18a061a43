(defchor ask [A B C] (-> A A) [x]
  (let [double (chor (-> A A | B) [y] (C->A (C (* 2 (B->C (A->B y))))))]
    (double x)))
