(defchor notify [A B] (-> A A) [important]
  (A (when important
       (B (print "look!"))
       "told")))
