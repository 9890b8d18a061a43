(defchor factorial [A B] (-> A A) [n]
  (if (A (> n 1))
      (A (* n (recur (A (- n 1)))))
      (A 1)))
