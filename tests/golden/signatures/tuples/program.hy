(defchor swap [A B] (-> [A B] [A B]) [[x y]]
  (pack (B->A y) (A->B x)))

(defchor nested [A B C] (-> [A [B #{B C}] A] [[[A] C]]) [[x [y z] _]]
  (pack (pack (pack x) (narrow [C] z))))

(defchor from-tuple [A B C] (-> [A B] C) [[x y]]
  (C (+ (A->C x) (B->C y))))
