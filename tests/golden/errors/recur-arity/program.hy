(defchor count [A B] (-> A A) [n]
  (loop [i n sum (A 0)]
    (if (A (> i 0))
        (recur (A (- i 1)))
        sum)))
