"Two choreographies that call each other: the Collatz sequence with one role for even numbers and one for odd.

A definition has to know the signature of what it calls. `odd` is therefore declared, without a body, before `even`."

(require klorpy *)

(defchor odd [Even Odd] (-> #{Even Odd} #{Even Odd} #{Even Odd}))

(defchor even [Even Odd] (-> #{Even Odd} #{Even Odd} #{Even Odd}) [n steps]
  (let [n (Even=>Odd (Even (// n 2)))
        steps (+ steps 1)]
    (if (% n 2)
      (odd [Even Odd] n steps)
      (even [Even Odd] n steps))))

(defchor odd [Even Odd] (-> #{Even Odd} #{Even Odd} #{Even Odd}) [n steps]
  (if (= n 1)
    steps
    (even [Even Odd] (Odd=>Even (Odd (+ (* 3 n) 1))) (+ steps 1))))

(defchor collatz [Even Odd] (-> Even #{Even Odd}) [n]
  "How many steps lead from n, which Even has, to 1."
  (let [n (Even=>Odd n)]
    (if (% n 2)
      (odd [Even Odd] n 0)
      (even [Even Odd] n 0))))
