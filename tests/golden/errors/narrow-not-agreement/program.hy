(defchor first [A B] (-> A B A) [x y]
  (narrow [A] (pack x y)))
