(defchor total [A B] (-> A B A) [x y]
  (A (sum (pack x y))))
