(import klorpy [simulate-chor])
(defchor gossip [A B C] (-> A B C) [x y]
  (A (print "a"))
  (B (print "b"))
  (C (+ (A->C x) (B->C y))))
(setv plain (simulate-chor gossip 1 2))
(setv seed-7 (simulate-chor gossip 1 2 :seed 7))
