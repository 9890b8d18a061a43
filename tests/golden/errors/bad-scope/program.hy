(defchor serve [C S] (-> C S) [x]
  (scope (C->S x)))
