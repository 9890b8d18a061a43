(import klorpy [simulate-chor])
(defchor serve [C S] (-> C S) [x]
  (scope step (C->S x)))
(simulate-chor serve 5 :order "dataflow")
