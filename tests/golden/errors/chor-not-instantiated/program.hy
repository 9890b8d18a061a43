(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor greet [A B] (-> A B) [name]
  (tell name))
