(defchor repeat [A B] (-> A A) [n]
  (loop [i n]
    (B (print "again"))
    (if (A (> i 0))
        (recur (A (- i 1)))
        (A i))))
