(defchor compose [A B C] (-> (-> A B) (-> B C) A C) [f g x]
  (g (f x)))

(defchor through [A B C] (-> (-> A B | C) A B) [f x]
  (f x))

(defchor make [A B] (-> A (-> B A)) [x]
  (chor (-> B A) [y] (A (+ x (B->A y)))))

(defchor make-many [A B C] (-> [(-> A B) (-> [A B] #{A B} | C)]) []
  (pack (chor (-> A B) [x] (A->B x))
        (chor (-> [A B] #{A B}) [[x y]] (A=>B (C->A (C (print "summing"))) ))))

(defchor order-three [A B] (-> (-> (-> A B) A B) A B) [f x]
  (f (chor (-> A B) [y] (A->B y)) x))
