(defchor serve [C S] (-> C S) [x]
  (scope step (C->S x))
  (scope step (C->S x)))
