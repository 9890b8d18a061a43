(defchor serve [A B] (-> A B) [request]
  (A->B
    (A (match request
         [key key] "twice"
         _ "once"))))
