(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor greet [A B] (-> B A) [name]
  (tell [A B] name))
