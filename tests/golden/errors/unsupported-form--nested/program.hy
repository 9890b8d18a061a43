(defchor outer [A B] (-> A B) [n]
  (defchor inner [A B] (-> A B) [m] (A->B m))
  (inner [A B] n))
