(defchor count [A B] (-> A B) [n]
  (when (A=>B (A (> n 5)))
    (return (A->B n)))
  (A->B n))
