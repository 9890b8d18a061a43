(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor greet [A B C] (-> A B) [name]
  (tell [A B] (A=>C name)))
