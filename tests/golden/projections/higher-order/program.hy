(defchor tell [Teller Hearer] (-> Teller Hearer) [x]
  (Teller->Hearer x))

(defchor compose [A B C] (-> (-> A B) (-> B C) A C) [f g x]
  (g (f x)))

(defchor relay [A B C] (-> A C) [x]
  (compose [A B C] (inst tell [A B]) (chor (-> B C) [y] (B->C (B (+ y 1)))) x))

(defchor make [A B] (-> A [(-> B A) A]) [x]
  (pack (chor (-> B A) [y] (A (+ x (B->A y)))) x))
