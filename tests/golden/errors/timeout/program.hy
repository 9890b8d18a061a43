(import klorpy [simulate-chor])
(defchor spin [A B] (-> A B) [n]
  (loop [i n]
    (if (A=>B (A (>= i 0)))
        (recur (A (+ i 1)))
        (A->B i))))
(simulate-chor spin 0 :timeout 0.01)
