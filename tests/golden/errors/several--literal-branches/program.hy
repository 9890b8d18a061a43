(defchor choose [A B] (-> A A) [x]
  (if x "yes" "no"))
