(defchor total [A B] (-> A B) [prices]
  (A->B (A (+ 1
              (get prices)))))
