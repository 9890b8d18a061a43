(import klorpy [simulate-chor])
(defchor vote [A B] (-> A B A) [mine yours]
  (if (agree! mine yours)
      (do (A->B (A "yes"))
          (A "done"))
      (A "no")))
(simulate-chor vote True False :sanitize False)
