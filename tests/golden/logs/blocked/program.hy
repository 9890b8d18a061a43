(import klorpy [simulate-chor])
(defchor vote [A B C] (-> A B A) [mine yours]
  (C (print "watching"))
  (if (agree! mine yours)
      (B->A (B "yes"))
      (B->A (A->B (A "why?"))))
  (C->A (C 1))
  (A "done"))
(setv stuck (simulate-chor vote True False :check False :sanitize False))
