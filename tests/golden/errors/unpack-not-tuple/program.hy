(defchor first [A B] (-> A B) [pair]
  (unpack [[x y] pair] (A->B x)))
