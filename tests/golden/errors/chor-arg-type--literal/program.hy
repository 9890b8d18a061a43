(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor greet [A B] (-> B) []
  (tell [A B] "hello"))
