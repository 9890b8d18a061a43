(defchor count [A B] (-> A A) [n]
  (loop [i n]
    (if (A=>B (A (> i 0)))
        (recur (A->B (A (- i 1))))
        (A i))))
