(defchor adder [A B] (-> A B A) [x y]
  (let [offset (A (+ x 1))
        add (chor (-> B A) [z] (A (+ offset (B->A z))))]
    (A (+ (add y) (add (B (* 2 y)))))))

(defchor counted [A B] (-> A A) [n]
  (let [down (chor down (-> A A | B) [i]
               (if (A=>B (A (> i 0)))
                   (do (B (print "again"))
                       (down (A (- i 1))))
                   i))]
    (down n)))
