(defchor pair-only [A B C] (-> A B C) [x y]
  (let [unused (A (print x))]
    (A->B x)
    (B->A y)
    (C "done")))

(defchor through [A B C D] (-> A D) [x]
  (if (A=>B (A (> x 0)))
      (B (print "yes"))
      (B (print "no")))
  (C (print "ready"))
  (A->D x))
