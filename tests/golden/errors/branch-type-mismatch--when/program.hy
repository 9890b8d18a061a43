(defchor choose [A B] (-> A A) [x]
  (when (A (> x 0))
    (A (print "positive"))))
