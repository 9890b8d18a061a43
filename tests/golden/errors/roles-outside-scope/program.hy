(defchor serve [C S L] (-> C S | L) [x]
  (scope step [S C]
    (let [order (C->S x)]
      (S->L order)
      order)))
