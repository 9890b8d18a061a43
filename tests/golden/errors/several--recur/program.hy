(defchor count [A B] (-> A A) [n]
  (loop [i (B n) n 5]
    (if (A (> i 0))
        (recur (A (- i 1)))
        (do (recur i i) (A i)))))
