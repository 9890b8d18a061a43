(defchor parse [A B] (-> A B) [text]
  (try
    (A->B (A (int text)))
    (except [ValueError] (B 0))))
