(defchor step [C S] (-> C S) [x]
  (C->S x))
(defchor serve [C S] (-> C S) [x]
  (scope step (C->S x)))
