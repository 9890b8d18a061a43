(defchor serve [C S] (-> C S) [x]
  (scope step (C->S x)))
(update step (C=>S x))
