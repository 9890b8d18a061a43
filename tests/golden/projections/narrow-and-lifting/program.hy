(defchor places [A B C] (-> #{A B C} B) [x]
  (lifting [A B]
    (print "both")
    (C (print "only C"))
    (A->B (narrow [A] (+ x 1)))))
