(import klorpy [simulate-chor])
(defchor make [A B] (-> (-> A B)) []
  (chor (-> A B) [x] (A->B x)))
((get (simulate-chor make) "A"))
