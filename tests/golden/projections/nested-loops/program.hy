(defchor table [A B] (-> #{A B} B) [n]
  (loop [i 0]
    (if (< i n)
        (do (loop [j 0]
              (when (< j n)
                (B (print (A->B (A (* i j)))))
                (recur (+ j 1))))
            (recur (+ i 1)))
        (narrow [B] i))))
