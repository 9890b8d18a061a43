(defchor first [A B] (-> [A B] A) [pair]
  (unpack [[x y z] pair] x))
