(import klorpy [simulate-chor])
(defchor check [A B] (-> A B) [n]
  (A->B (A (do (assert (> n 0) "not positive") n))))
(defchor outer [X Y] (-> X Y) [n]
  (Y (print "ready"))
  (check [X Y] (X (- n 5))))
(simulate-chor outer 3)
