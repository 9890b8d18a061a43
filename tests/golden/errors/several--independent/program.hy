(defchor relay [A B C] (-> A C) [x]
  (let [y (A->B (B "mine"))
        z (B->C x)
        [p q] (A x)]
    (C (+ y z))
    (if (A (> x 0))
        (C 1)
        (B 2))))
