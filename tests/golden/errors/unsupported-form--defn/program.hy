(defchor count [A B] (-> A B) [n]
  (defn double [x] (* 2 x))
  (A->B (A (double n))))
