(defmacro both [a b form]
  `(do (~a ~form) (~b ~form)))

(defchor tell [A B] (-> A B) [x]
  (both A B (print "hello"))
  (A->B x))
