"Work for three: `scatter` gives each worker a part, `gather` collects what they make of it.

Both are macros of the standard library, which expand to moves that could be written by hand."

(require klorpy *)

(defn squared [xs]
  (sum (gfor x xs (* x x))))

(defchor sum-of-squares [Boss P Q R] (-> Boss Boss) [xs]
  (unpack [[p q r] (scatter [Boss P Q R]
                     (Boss (cut xs 0 None 3))
                     (Boss (cut xs 1 None 3))
                     (Boss (cut xs 2 None 3)))]
    (Boss (sum (gather [Boss P Q R] (P (squared p)) (Q (squared q)) (R (squared r)))))))
