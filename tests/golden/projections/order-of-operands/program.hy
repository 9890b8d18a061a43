(defchor mixed [A B C] (-> A B C C) [x y z]
  (C (print (log "first") (A->C (A (log "second"))) (log "third") (B->C (B (log "fourth"))) z (log "last"))))

(defchor record [A B] (-> A B B) [x y]
  (B {(A->B x) (log y) "key" (A->B (A (+ x 1))) (log "k") [(A->B x) #{y}]}))
