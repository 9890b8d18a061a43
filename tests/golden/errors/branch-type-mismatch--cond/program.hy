(defchor sign [A B] (-> A A) [x]
  (cond (A (> x 0)) (A "positive")
        (A (< x 0)) (A "negative")))
