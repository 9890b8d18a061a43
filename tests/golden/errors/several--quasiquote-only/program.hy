(defmacro wrong-roles []
  '(lifting [C D] 5))

(defchor tell [A B] (-> A B) [x]
  (A->B (wrong-roles)))
