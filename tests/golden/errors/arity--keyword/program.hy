(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor greet [A B] (-> A B) [first]
  (tell [A B] :x first))
