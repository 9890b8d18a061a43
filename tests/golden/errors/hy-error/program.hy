(defchor total [A] (-> A A) [prices]
  (A (sum (lfor [price] prices))))
