(defchor choose [A B] (-> (-> A A) A) [f]
  (A (cond f 1 True 2)))
