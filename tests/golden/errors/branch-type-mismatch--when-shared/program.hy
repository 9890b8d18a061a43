(defchor vote [A B] (-> A B A) [mine yours]
  (when (A=>B mine)
    (A->B (A "yes")))
  (A "done"))
