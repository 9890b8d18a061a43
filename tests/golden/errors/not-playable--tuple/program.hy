(import klorpy [simulate-chor])
(defchor swap [A B] (-> [A B] [A B]) [[x y]]
  (pack (B->A y) (A->B x)))
(simulate-chor swap #(1 2))
