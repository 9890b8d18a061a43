(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor greet [A B] (-> A A B) [first last]
  (tell [A B] first last))
