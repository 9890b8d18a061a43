(defchor step [C S] (-> C S) [x]
  (C->S x))
(update step (C->S (C (+ x 1))))
