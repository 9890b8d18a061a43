(defchor ping-pong [A B] (-> A B A) [n stop]
  (if (A=>B (A (= n 0)))
      (A n)
      (do (A->B n)
          (recur (A (- n 1)) (B (+ stop 1))))))
