(defchor apply [A B] (-> #{A B} A B) [function x]
  (A->B (A (function x))))
