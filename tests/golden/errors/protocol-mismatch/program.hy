(import klorpy [simulate-chor])
(defchor vote [A B] (-> A B A) [mine yours]
  (if (agree! mine yours)
      (B->A (B "yes"))
      (B->A (B "no"))))
(simulate-chor vote True False :sanitize False)
