(import klorpy [simulate-chor])
(with-opts {:verify {:agreement True}}
  (defchor apply [A B] (-> #{A B} A B) [function x]
    (A->B (A ((narrow [A] function) x)))))
(simulate-chor apply (fn [x] (* 2 x)) 5 :sanitize False)
