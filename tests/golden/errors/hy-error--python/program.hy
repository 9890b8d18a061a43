(defchor total [A B] (-> A B) [prices]
  (A->B (A ((fn [x x] x) prices 1))))
