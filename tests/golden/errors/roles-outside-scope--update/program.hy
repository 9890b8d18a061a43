(defchor serve [C S L] (-> C S | L) [x]
  (S->L (S 0))
  (scope step [S C] (C->S x)))
(update step
  (let [order (C->S x)]
    (S->L order)
    order))
