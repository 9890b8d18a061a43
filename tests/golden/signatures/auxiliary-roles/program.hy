(defchor inferred [A B C] (-> A A) [x]
  (B->A (C->B (A->C x))))

(defchor written [A B C] (-> A A | C B) [x]
  (B->A (C->B (A->C x))))

(defchor none [A B] (-> A B | 0) [x]
  (A->B x))

(defchor alone [A] (-> A) []
  1)

(defchor nobody-given [A B] (-> B | A) []
  (A->B (A "hello")))
