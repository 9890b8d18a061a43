(defchor count [A B] (-> A A) [n]
  (let [down (chor down (-> A A) [i] (if (A (> i 0)) (down (A (- i 1))) i))]
    (down n)))
