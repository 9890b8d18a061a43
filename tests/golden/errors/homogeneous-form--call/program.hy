(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor stream [A B] (-> A B) [items]
  (for [item items]
    (tell [A B] item)))
