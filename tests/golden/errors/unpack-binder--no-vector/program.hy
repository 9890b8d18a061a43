(defchor first [A B] (-> [A B] A) [pair]
  (unpack [x pair] x))
