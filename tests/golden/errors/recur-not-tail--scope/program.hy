(defchor serve [C S] (-> C S) [n]
  (loop [n n]
    (scope step
      (if (C=>S (C (> n 0)))
        (recur (C (- n 1)))
        (C->S n)))))
