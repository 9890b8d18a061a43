(defchor ping [A B] (-> A A) [n]
  (if (A=>B (A (> n 0)))
      (ping [A B] (A (- n 1)))
      n))

(defchor swap-roles [A B] (-> A #{A B}) [n]
  (let [n (A=>B n)]
    (if (> n 0)
        (swap-roles [B A] (B (- n 1)))
        n)))

(defchor not-a-tail-call [A B] (-> A A) [n]
  (if (A=>B (A (> n 0)))
      (A (+ 1 (not-a-tail-call [A B] (A (- n 1)))))
      (A 0)))

(defchor narrowed [A B C] (-> A C) [n]
  (C (print "start"))
  (let [r (swap-roles [A B] n)]
    (B->C (narrow [B] r))))
