(defchor count [A B] (-> A A) [n]
  (when (A (> n 0))
    (recur (A (- n 1)))
    (A (print n))))
