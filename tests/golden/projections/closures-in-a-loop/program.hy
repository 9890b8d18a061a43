(defchor grow [A B] (-> A B B) [n y]
  (loop [i n
         f (chor (-> A B) [x] (A->B x))]
    (if (A=>B (A (> i 0)))
        (recur (A (- i 1))
               (chor (-> A B) [x] (B (+ (f (A (+ x i))) y))))
        (f (A 100)))))

(defchor host-closures [A] (-> A A) [n]
  (loop [i n fs (A [])]
    (if (> i 0)
        (recur (- i 1) (+ fs [(fn [x] (+ x i))]))
        (lfor f fs (f 1)))))
