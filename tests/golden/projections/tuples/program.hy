(defchor swap [A B] (-> [A B] [A B]) [[x y]]
  (pack (B->A y) (A->B x)))

(defchor sort-pair [A B] (-> A B [A B]) [x y]
  (unpack [[p q] (swap [A B] (pack x y))
           [r _] (pack (A (+ p 1)) q)]
    (pack r (B (* 2 q)))))

(defchor nested [A B C] (-> [A [B #{B C}] A] [C B]) [[x [y z] _]]
  (pack (A->C x) (B (+ y z))))
