(defchor vote [A B] (-> A B A) [mine yours]
  (when (agree! mine yours)
    (A->B (A "yes")))
  (A "done"))
